//! What messages say of the agent's own alerts: what is wrong, what to do, and that it is over.
//!
//! Neighbours: `engine::own` has the opinions. A part of its own because each is a text for an operator, printed whole.

use super::*;
use crate::engine::backoff::Answer;
use crate::engine::own::{self, ChannelFacts, SourceFacts};
use crate::engine::reading::{Fault, FaultClass};

fn own_event(own: Own, detail: Option<String>, users: Shared<String>) -> Event {
    let rule = own.rule();
    let name = match rule.subject {
        SubjectKind::Channel => "soc-hook",
        SubjectKind::Agent => "agent",
        SubjectKind::User | SubjectKind::Group | SubjectKind::Source => "shanghai",
    };
    Event {
        rule: rule.name.into(),
        severity: rule.severity,
        subject: Subject { kind: rule.subject, name: name.to_owned() },
        source: (rule.subject == SubjectKind::Source).then(|| name.into()),
        value: None,
        limit: None,
        readings: Default::default(),
        request_ids: Default::default(),
        when: None,
        signals: Vec::new(),
        detail: detail.map(Into::into),
        users,
        ..event(EventKind::Fired, name, "own")
    }
}

#[test]
fn own_alerts_say_what_to_do() {
    let fault = |class, code: &str, message: &str| {
        let advice = Some("check access_key_id: the key is disabled".to_owned());
        Some(Fault { class, code: code.to_owned(), message: message.to_owned(), advice })
    };
    let refused =
        fault(FaultClass::Credentials, "InvalidAccessKeyId.NotFound", "Specified access key is not found.");
    let mut out = String::new();
    for language in [Language::En, Language::ZhCn] {
        let facts = SourceFacts {
            unusable: 3,
            fault: refused.clone(),
            skew: Some(Span::from_mins(-20)),
            jump: Some(Span::from_hours(1)),
            refused: vec!["a b\r\n".to_owned()],
            absent: (0..25).map(|n| format!("user-{n}")).collect(),
            usable: false,
        };
        let mut opinions = own::of_source(&facts, language).to_vec();
        let note = ChannelFacts {
            answer: Answer::Misconfigured,
            dead: false,
            status: Some(401),
            note: "who are you".to_owned(),
        };
        opinions.push((Own::Channel, own::of_channel(&note, language)));
        let silent =
            ChannelFacts { answer: Answer::Retry, status: None, note: "no answer".to_owned(), ..note };
        opinions.push((Own::Channel, own::of_channel_down(&silent, language)));
        opinions.push((Own::Channel, own::of_channel(&ChannelFacts { dead: true, ..silent }, language)));
        opinions.push((Own::Storage, own::of_storage(Some(("disk full", false)), language)));
        opinions.push((
            Own::Storage,
            own::of_storage(Some(("it is torn: put a backup in its place", true)), language),
        ));
        for (own, opinion) in opinions {
            let event = own_event(own, opinion.detail, opinion.users);
            let message =
                compose(&notice(NoticeKind::Alert(EventKind::Fired), vec![event]), language, Tz::UTC);
            out.push_str(&format!("# {}\n{}\n", message.title, message.text()));
        }
    }
    insta::assert_snapshot!(out);
}

#[test]
fn own_alerts_that_are_over_say_so() {
    let mut out = String::new();
    for language in [Language::En, Language::ZhCn] {
        for own in [
            Own::SourceSilent,
            Own::Credentials,
            Own::Clock,
            Own::NameRefused,
            Own::UserAbsent,
            Own::Channel,
            Own::Storage,
        ] {
            let begun = own_event(own, None, Shared::default());
            let over = Event {
                kind: EventKind::Ended,
                at: at(75),
                ended_at: Some(at(75)),
                reason: Some(EndReason::Cleared),
                ..begun.clone()
            };
            for (kind, events) in [
                (NoticeKind::Alert(EventKind::Ended), vec![over.clone()]),
                (NoticeKind::FiredAndEnded, vec![begun, over]),
            ] {
                let message = compose(&notice(kind, events), language, Tz::UTC);
                out.push_str(&format!("# {}\n{}\n", message.title, message.summary));
            }
        }
    }
    insta::assert_snapshot!(out);
}
