//! How messages say what an alert rests on: windows, others, names that are in no reply, limits and exceptions.
//!
//! Neighbours: `message::grounds` and `facts` say it. A part of its own because the signals of a rule decide the words.

use super::*;

/// A rule that looks back accuses by what it measured, not by how many are online now.
#[test]
fn a_rule_that_looks_back() {
    let mut event = event(EventKind::Fired, "alice", "one");
    event.rule = "shared-for-weeks".into();
    (event.limit, event.at, event.since) = (None, at(10), at(10));
    event.value = Some(Value { now: Some(1), first: Some(1), peak: Some(1) });
    event.when = Some("time_over(2, 7d) > 10h and online > 0".into());
    event.signals = vec![
        signal("time_over(2, 7d)", None, Some(Span::from_mins(602)), true),
        signal("online", Some(Plain::Whole(1)), None, false),
    ];
    check("looks_back", &notice(NoticeKind::Alert(EventKind::Fired), vec![event.clone()]));
    (event.kind, event.ended_at, event.reason) = (EventKind::Ended, Some(at(75)), Some(EndReason::Cleared));
    event.signals[0].length = Some(Span::from_mins(299));
    check("looks_back_ended", &notice(NoticeKind::Alert(EventKind::Ended), vec![event]));
}

/// A count comes first where the condition is about it; beside it stands what else decided.
#[test]
fn a_rule_about_now_and_others() {
    let mut event = event(EventKind::Fired, "alice", "one");
    event.limit = None;
    event.when = Some("online > peers(0.95) + 1 and not known".into());
    event.signals = vec![
        signal("online", Some(Plain::Whole(5)), None, true),
        signal("peers(0.95)", Some(Plain::Number(2.5)), None, true),
        signal("known", Some(Plain::Truth(false)), None, true),
        signal("mean(1h)", None, None, false),
    ];
    check("now_and_others", &notice(NoticeKind::Alert(EventKind::Fired), vec![event]));
}

/// What is absent is never said to be zero.
#[test]
fn a_name_that_is_not_in_the_replies() {
    let mut event = event(EventKind::Fired, "gateway-1", "one");
    event.rule = "gateway-offline".into();
    event.limit = None;
    event.value = Some(Value { now: None, first: None, peak: None });
    event.when = Some("online == 0".into());
    event.readings.change(|list| {
        list.truncate(3);
        list[0].reading = Reading::ABSENT;
    });
    event.signals = vec![signal("online", Some(Plain::Whole(0)), None, true)];
    check("absent_as_zero", &notice(NoticeKind::Alert(EventKind::Fired), vec![event.clone()]));
    let summary = |event: &Event, language| {
        let notice = notice(NoticeKind::Alert(event.kind), vec![event.clone()]);
        compose(&notice, language, Tz::UTC).summary
    };
    event.signals.clear();
    assert!(summary(&event, Language::En).contains("(absent is a breach for this rule)"));
    event.signals = vec![signal("online", None, None, true)];
    let found = summary(&event, Language::En);
    assert!(found.starts_with("shanghai/gateway-1 is not in the replies (rule gateway-offline"), "{found}");
    (event.kind, event.ended_at) = (EventKind::Ended, Some(at(75)));
    let found = summary(&event, Language::En);
    assert!(found.contains("Online now: shanghai/gateway-1 absent"), "{found}");
}

#[test]
fn a_mail_says_whose_exception_the_limit_is() {
    let mut fired = event(EventKind::Fired, "kiosk", "1");
    fired.limit = Some(Limit {
        value: 6,
        origin: "exception:kiosk".into(),
        exception: Some(Box::new(Deviation {
            reason: "shared terminal\u{202e}".to_owned(),
            owner: "it-ops".to_owned(),
            expires: "2027-03-31".parse().unwrap(),
        })),
    });
    for (language, expect) in [
        (Language::En, "shared terminal\\u{202e}; owner it-ops, until 2027-03-31"),
        (Language::ZhCn, "shared terminal\\u{202e}；负责人 it-ops，有效期至 2027-03-31"),
    ] {
        let notice = notice(NoticeKind::Alert(EventKind::Fired), vec![fired.clone()]);
        let text = compose(&notice, language, Tz::UTC).text();
        // Wherever its lines are broken.
        let packed = |text: &str| text.split_whitespace().collect::<String>();
        assert!(packed(&text).contains(&packed(expect)), "{text}");
    }
}
