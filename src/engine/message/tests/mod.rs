//! Each kind of message in both languages, with hostile names.

mod grounds;
mod own;

use chrono_tz::Tz;

use super::*;
use crate::engine::event::{
    Deviation, EndReason, EventReading, Finding, Limit, OnlineClient, Plain, Severity, SignalValue, Subject,
    SubjectKind, Value,
};
use crate::engine::reading::Reading;
use crate::engine::shared::Shared;
use crate::engine::time::{Span, Time};

fn at(minutes: i64) -> Time {
    "2026-11-22T03:05:00Z".parse::<Time>().unwrap() + Span::from_mins(minutes)
}

fn event(kind: EventKind, user: &str, episode: &str) -> Event {
    let reading = |minutes: i64, reading: Reading| {
        EventReading::new(
            at(minutes),
            reading,
            reading.count().map(|_| at(minutes) + Span::from_millis(2300)),
        )
    };
    let ended = kind == EventKind::Ended;
    Event {
        id: format!("evt_{episode}_{kind:?}").to_lowercase(),
        kind,
        episode: format!("ep_{episode}").into(),
        at: if kind == EventKind::Fired { at(10) } else { at(75) },
        rule: "shared-account".into(),
        rule_version: "5f2a".into(),
        severity: Severity::High,
        source: Some("shanghai".into()),
        subject: Subject { kind: SubjectKind::User, name: user.to_owned() },
        value: Some(Value { now: Some(if ended { 1 } else { 5 }), first: Some(4), peak: Some(7) }),
        limit: Some(Limit { value: 2, origin: "group:contractors".into(), exception: None }),
        since: at(0),
        fired_at: Some(at(10)),
        ended_at: ended.then(|| at(75)),
        reason: ended.then_some(EndReason::Cleared),
        reminder: if kind == EventKind::Reminded { 3 } else { 0 },
        readings: vec![
            reading(0, Reading::online(4)),
            reading(5, Reading::FAILED),
            reading(8, Reading::ABSENT),
            reading(10, Reading::online(5)),
        ]
        .into(),
        blind: Span::from_secs(150),
        request_ids: vec!["4F1A".into(), "5B2C".into()].into(),
        clients: None,
        when: Some("online > limit".into()),
        signals: Vec::new(),
        detail: None,
        users: Vec::new().into(),
        by: None,
        note: None,
        finding: None,
    }
}

fn notice(kind: NoticeKind, events: Vec<Event>) -> Notice {
    Notice {
        channel: "soc-mail".to_owned(),
        id: "ntf_x".to_owned(),
        kind,
        events: events.into_iter().map(Arc::new).collect(),
    }
}

fn both_languages(notice: &Notice) -> String {
    let mut out = String::new();
    for (language, zone) in [(Language::En, Tz::UTC), (Language::ZhCn, Tz::Asia__Shanghai)] {
        let message = compose(notice, language, zone);
        assert!(message.title.chars().count() <= 200 && !message.title.contains('\n'));
        out.push_str(&format!("# {}\n\n{}\n", message.title, message.text()));
    }
    out
}

#[track_caller]
fn check(name: &str, notice: &Notice) {
    insta::assert_snapshot!(name, both_languages(notice));
}

#[test]
fn every_kind_of_event() {
    let clients = vec![
        OnlineClient { address: "10.0.0.7".to_owned(), online_since: Some(at(-30)) },
        OnlineClient { address: "10.0.0.9".to_owned(), online_since: None },
    ];
    for kind in [
        EventKind::Fired,
        EventKind::Reminded,
        EventKind::Escalated,
        EventKind::Changed,
        EventKind::Acked,
        EventKind::Closed,
        EventKind::Ended,
    ] {
        let mut event = event(kind, "alice", "one");
        if kind == EventKind::Fired {
            event.clients = Some(clients.clone());
        }
        if matches!(kind, EventKind::Acked | EventKind::Closed) {
            event.by = Some("kim".into());
            event.note = Some("two laptops".into());
            event.finding = (kind == EventKind::Closed).then_some(Finding::MultiDevice);
        }
        if kind == EventKind::Reminded {
            event.value = Some(Value { now: None, first: Some(4), peak: Some(7) });
        }
        check(&format!("{kind:?}").to_lowercase(), &notice(NoticeKind::Alert(kind), vec![event]));
    }
}

#[test]
fn a_table_has_one_precision_and_counts_what_it_leaves_out() {
    let mut event = event(EventKind::Fired, "alice", "seconds");
    event.readings.change(|list| list[1].at = at(5) + Span::from_secs(2));
    let client = |n: u8| OnlineClient { address: format!("10.0.0.{n}"), online_since: None };
    event.clients = Some((1..=23).map(client).collect());
    let notice = notice(NoticeKind::Alert(EventKind::Fired), vec![event]);
    let table = |language| {
        let message = compose(&notice, language, Tz::Asia__Shanghai);
        message.sections.into_iter().filter_map(|section| section.table).collect::<Vec<_>>()
    };
    let [readings, clients] = &table(Language::En)[..] else { panic!("two tables") };
    let times: Vec<_> = readings.rows.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    let expect = [
        ("11:05:00", "03:05:00"),
        ("11:10:02", "03:10:02"),
        ("11:13:00", "03:13:00"),
        ("11:15:00", "03:15:00"),
    ];
    assert_eq!(times, expect);
    assert_eq!((clients.rows.len(), clients.rows[20].join("")), (21, "and 3 more".to_owned()));
    assert_eq!(table(Language::ZhCn)[1].rows[20][0], "另有 3 个");
}

/// The last row and the heading of a table of so many connections; and of so many users of an own alert.
#[track_caller]
fn check_count(count: u8, heading: &str, last: &str) {
    let mut event = event(EventKind::Fired, "alice", "one");
    let client = |n: u8| OnlineClient { address: format!("10.0.0.{n}"), online_since: None };
    event.clients = Some((1..=count).map(client).collect());
    let message = compose(&notice(NoticeKind::Alert(EventKind::Fired), vec![event]), Language::En, Tz::UTC);
    let found = message.sections.iter().find(|section| section.heading.starts_with("Connections")).unwrap();
    assert_eq!(found.heading, heading);
    assert_eq!(found.table.as_ref().unwrap().rows.last().unwrap()[0], last);
}

#[test]
fn a_table_that_is_just_full_leaves_nothing_out() {
    check_count(19, "Connections", "10.0.0.19");
    check_count(20, "Connections", "10.0.0.20");
    check_count(21, "Connections, 20 of 21", "and 1 more");
}

#[track_caller]
fn check_tone(events: &[(EventKind, Severity)], expect: Tone) {
    let of = |(kind, severity): &(EventKind, Severity)| Event {
        severity: *severity,
        ..event(*kind, "alice", "one")
    };
    let notice = notice(NoticeKind::Digest, events.iter().map(of).collect());
    assert_eq!(compose(&notice, Language::En, Tz::UTC).tone, expect, "{events:?}");
}

#[test]
fn a_message_is_as_grave_as_the_gravest_and_calm_when_all_is_over() {
    use EventKind::{Ended, Fired, Reminded};
    check_tone(&[(Fired, Severity::Low), (Fired, Severity::Critical)], Tone::Grave(Severity::Critical));
    check_tone(&[(Reminded, Severity::Low), (Ended, Severity::High)], Tone::Grave(Severity::High));
    check_tone(&[(Ended, Severity::High), (Ended, Severity::Critical)], Tone::Over);
    let test = compose(&Notice::test("soc-mail", "1"), Language::En, Tz::UTC);
    assert_eq!(test.tone, Tone::Calm);
}

/// How long after the poll's instant the answer came, as a table shows it.
#[track_caller]
fn check_answered(after: i64, expect: &str) {
    let mut event = event(EventKind::Fired, "alice", "one");
    event.readings.change(|list| {
        let EventReading { at, reading, .. } = list[0];
        list[0] = EventReading::new(at, reading, Some(at + Span::from_millis(after)));
    });
    let message = compose(&notice(NoticeKind::Alert(EventKind::Fired), vec![event]), Language::En, Tz::UTC);
    let table = message.sections.into_iter().find_map(|section| section.table).unwrap();
    assert_eq!(table.rows[0].last().unwrap(), expect);
}

#[test]
fn answers_are_told_to_the_millisecond() {
    check_answered(0, "0 s");
    check_answered(1, "0.001 s");
    check_answered(2300, "2.3 s");
    check_answered(10_000, "10 s");
    // A clock that was set back between the two.
    check_answered(-1500, "-1.5 s");
}

#[test]
fn time_without_readings_is_told_or_said_to_be_none() {
    for (blind, expect) in [(Span::ZERO, "none"), (Span::from_secs(150), "2 min 30 s")] {
        let event = Event { blind, ..event(EventKind::Fired, "alice", "one") };
        let text =
            compose(&notice(NoticeKind::Alert(EventKind::Fired), vec![event]), Language::En, Tz::UTC).text();
        let line = text.lines().find(|line| line.starts_with("Time without readings")).unwrap();
        assert_eq!(line.trim_start_matches("Time without readings").trim(), expect);
    }
}

/// Whoever hears that it is over hears how much of it nobody saw.
#[test]
fn an_end_says_how_long_nobody_saw_anything() {
    let check = |minutes: i64, languages: [(Language, &str); 2]| {
        let event = Event { blind: Span::from_mins(minutes), ..event(EventKind::Ended, "alice", "one") };
        let events = vec![Event { kind: EventKind::Fired, ..event.clone() }, event.clone()];
        let both = notice(NoticeKind::FiredAndEnded, events);
        for notice in [notice(NoticeKind::Alert(EventKind::Ended), vec![event]), both] {
            for (language, expect) in languages {
                let said = compose(&notice, language, Tz::UTC).summary;
                assert_eq!(
                    said.contains("not known") || said.contains("没有读数"),
                    !expect.is_empty(),
                    "{said}"
                );
                assert!(said.contains(expect), "{said}");
            }
        }
    };
    let of_15 = "UTC. Of the time since 03:05, 15 min are not known. Online now: 1.";
    check(15, [(Language::En, of_15), (Language::ZhCn, "。自 03:05 起有 15 分钟没有读数。当前在线：1。")]);
    check(0, [(Language::En, ""), (Language::ZhCn, "")]);
    // More than there was: the clock was set back.
    check(500, [(Language::En, ""), (Language::ZhCn, "")]);
}

#[test]
fn one_is_not_many() {
    let mut event = event(EventKind::Ended, "ghost", "one");
    event.value = Some(Value { now: Some(0), first: Some(1), peak: Some(1) });
    let notice = notice(NoticeKind::Alert(EventKind::Ended), vec![event]);
    let summary = compose(&notice, Language::En, Tz::UTC).summary;
    assert!(summary.contains("had up to 1 client online"), "{summary}");
}

#[test]
fn fired_and_ended_in_one() {
    let events = vec![event(EventKind::Fired, "alice", "one"), event(EventKind::Ended, "alice", "one")];
    check("fired_and_ended", &notice(NoticeKind::FiredAndEnded, events));
}

#[test]
fn a_group_without_a_limit() {
    let mut group = event(EventKind::Fired, "contractors", "one");
    group.subject.kind = SubjectKind::Group;
    group.limit = None;
    group.when = Some("total > 180".into());
    check("group", &notice(NoticeKind::Alert(EventKind::Fired), vec![group]));
}

fn signal(name: &str, value: Option<Plain>, length: Option<Span>, decides: bool) -> SignalValue {
    SignalValue { signal: name.into(), value, length, decides }
}

#[test]
fn hostile_names_are_harmless() {
    for (index, name) in
        ["a\r\nBcc: x", "<script>alert(1)</script>", "\x1b[31mred", "\u{202e}evil", "=1+1"].iter().enumerate()
    {
        let mut event = event(EventKind::Closed, name, name);
        for text in [&mut event.rule, &mut event.rule_version] {
            *text = (*name).into();
        }
        event.source = Some((*name).into());
        event.limit = Some(Limit { value: 2, origin: format!("group:{name}").into(), exception: None });
        event.request_ids = vec![(*name).into()].into();
        event.clients = Some(vec![OnlineClient { address: (*name).to_owned(), online_since: None }]);
        (event.by, event.note) = (Some((*name).into()), Some((*name).into()));
        (event.when, event.detail) = (Some((*name).into()), Some((*name).into()));
        event.signals = vec![signal(name, Some(Plain::Whole(1)), None, true)];
        event.users = vec![(*name).to_owned()].into();
        let message = both_languages(&notice(NoticeKind::Alert(EventKind::Closed), vec![event]));
        let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!message.contains(acts), "{message:?}");
        assert!(!message.lines().any(|line| line.starts_with("Bcc")));
        insta::assert_snapshot!(format!("hostile_{index}"), message);
    }
}

#[test]
fn many_subjects_are_shown_and_counted() {
    let few: Vec<Event> =
        (1..=3).map(|n| event(EventKind::Fired, &format!("user-{n}"), &n.to_string())).collect();
    check("three", &notice(NoticeKind::Alert(EventKind::Fired), few));
    let many: Vec<Event> =
        (1..=23).map(|n| event(EventKind::Fired, &format!("user-{n}"), &n.to_string())).collect();
    let many = notice(NoticeKind::Alert(EventKind::Fired), many);
    assert_eq!(compose(&many, Language::En, Tz::UTC).more, 3);
    check("many", &many);
}

#[test]
fn digests_count_by_rule_and_show_the_gravest() {
    let mut events = Vec::new();
    for n in 1..=9 {
        let mut fired = event(EventKind::Fired, &format!("user-{n}"), &n.to_string());
        fired.rule = format!("rule-{}", n % 3).into();
        fired.severity = if n == 7 { Severity::Critical } else { Severity::Low };
        if n < 4 {
            let mut ended = fired.clone();
            (ended.kind, ended.at, ended.ended_at) = (EventKind::Ended, at(75), Some(at(75)));
            events.push(ended);
        }
        events.insert(0, fired);
    }
    check("digest", &notice(NoticeKind::Digest, events));
}

#[test]
fn a_test_says_that_it_is_one() {
    check("test", &Notice::test("soc-mail", "1"));
}

#[test]
fn a_megabyte_of_name_stays_a_message() {
    let name = "🙂".repeat(1 << 18);
    let message = compose(
        &notice(NoticeKind::Alert(EventKind::Fired), vec![event(EventKind::Fired, &name, "one")]),
        Language::En,
        Tz::UTC,
    );
    assert!(message.text().chars().count() < 5000);
    assert!(message.title.chars().count() <= 200 && message.title.starts_with("[high] Fired: shanghai/"));
}

#[test]
fn languages_have_codes() {
    for language in [Language::En, Language::ZhCn] {
        assert_eq!(Language::of_code(language.code()), Some(language));
    }
    assert_eq!(Language::of_code("fr"), None);
}
