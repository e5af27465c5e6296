//! Own alerts on the common road: an opinion about a source, a channel or the agent in, a step and an event out.
//!
//! Neighbours: `own` has the rules and opinions, `judge` applies them to sources, the agent to channels and itself. A
//! part of its own because all three must step, tell and list users in the same way.

use arcstr::{ArcStr, literal};

use super::alert::{self, Facts, Happening, Moment, Step, Verdict};
use super::event::Event;
use super::outcome::{Alert, AlertKey, State};
use super::own::{Opinion, Own, POLICY, names_added};
use super::shared::Shared;

/// The version of reserved rules: they change with the program only.
pub static VERSION: ArcStr = literal!(env!("CARGO_PKG_VERSION"));

/// Steps the alert of reserved rule `own` for the subject of `key`. `channels` are those that *fired* goes to.
pub fn take(
    before: &Alert,
    own: Own,
    key: &AlertKey,
    opinion: &Opinion,
    moment: &Moment,
    install: &str,
    channels: &Shared<String>,
) -> (Alert, Option<(Event, Shared<String>)>) {
    let mut after = before.clone();
    if opinion.verdict == Verdict::Breach && after.state == State::Ok {
        after.since = opinion.since;
    }
    let step = alert::step(&mut after, opinion.verdict, moment, &POLICY);
    let grown = after.state == State::Firing
        && after.episode.as_ref().is_some_and(|episode| names_added(&episode.users, &opinion.users));
    let happening = match step {
        Some(step @ (Step::Fired | Step::Ended(_))) => Happening::from(step),
        None if grown => Happening::Changed,
        None => return (after, None),
    };
    let told = told(before, channels);
    let facts = Facts {
        install,
        key,
        rule_version: &VERSION,
        severity: own.rule().severity,
        when: None,
        limit: None,
        channels,
        clients: None,
        detail: opinion.detail.as_deref(),
        users: &opinion.users,
    };
    let event = alert::build_event(&mut after, happening, moment.at, &facts);
    (after, Some((event, told)))
}

/// Who is told of an event: those who were told that the episode began, or for a new one `channels`.
pub fn told(before: &Alert, channels: &Shared<String>) -> Shared<String> {
    match &before.episode {
        Some(episode) if episode.ended_at.is_none() => episode.channels.clone(),
        Some(_) | None => channels.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::alert::Verdict;
    use crate::engine::event::{EventKind, Subject, SubjectKind};
    use crate::engine::outcome::{Act, ActRow, Stamp};
    use crate::engine::tend::act_on;
    use crate::engine::time::{Span, Time};

    const START: Time = Time::from_millis(1_795_392_000_000);

    fn key() -> AlertKey {
        let subject = Subject { kind: SubjectKind::Channel, name: "hook".to_owned() };
        AlertKey { rule: Own::Channel.rule().name.into(), source: None, subject }
    }

    /// The alert of a channel after one more look at it, and what is told to whom.
    fn look(
        before: &Alert,
        verdict: Verdict,
        minute: i64,
        channel: &str,
    ) -> (Alert, Vec<(EventKind, String)>) {
        let clock = Span::from_mins(minute);
        let moment = Moment { at: START + clock, clock, seq: 1 + minute.unsigned_abs(), hole: false };
        let opinion = Opinion { detail: Some("no answer".to_owned()), ..Opinion::bare(verdict) };
        let channels = vec![channel.to_owned()].into();
        let (after, event) = take(before, Own::Channel, &key(), &opinion, &moment, "install", &channels);
        (after, event.into_iter().map(|(event, told)| (event.kind, told.join(" "))).collect())
    }

    #[test]
    fn who_was_told_of_the_begin_is_told_of_the_end() {
        let (firing, told) = look(&Alert::default(), Verdict::Breach, 0, "mail");
        assert_eq!(told, [(EventKind::Fired, "mail".to_owned())]);
        let (over, told) = look(&firing, Verdict::Clear, 1, "chat");
        assert_eq!(told, [(EventKind::Ended, "mail".to_owned())], "whatever the file says meanwhile");
        let (_, told) = look(&over, Verdict::Breach, 2, "chat");
        assert_eq!(told, [(EventKind::Fired, "chat".to_owned())], "the next episode goes by the file");
    }

    #[test]
    fn an_alert_of_no_source_is_acknowledged_and_closed() {
        let (firing, _) = look(&Alert::default(), Verdict::Breach, 0, "mail");
        let episode = firing.episode.as_ref().unwrap().id.clone();
        let at = START + Span::from_mins(1);
        let row = |id, act| ActRow { id, by: "olga".to_owned(), at, act };
        let ack = row(7, Act::Ack { episode: episode.to_string(), note: None });
        let (acked, outcome) = act_on("install", &ack, key(), &firing, at);
        assert_eq!(acked.episode.as_ref().unwrap().acked_by.as_deref(), Some("olga"));
        assert_eq!(outcome.alerts, [(key(), acked.clone().into())]);
        assert_eq!(outcome.told, [Shared::from(vec!["mail".to_owned()])]);
        let [event] = &outcome.events[..] else { panic!("{:?}", outcome.events) };
        assert_eq!((event.kind, &*event.episode, event.at), (EventKind::Acked, &*episode, at));
        assert_eq!((&*event.rule_version, event.by.as_deref()), (VERSION.as_str(), Some("olga")));
        assert_eq!((outcome.acts[0].id, outcome.acts[0].done), (7, true));
        let close =
            row(8, Act::Close { episode: episode.to_string(), rearm: false, finding: None, note: None });
        let (closed, outcome) = act_on("install", &close, key(), &acked, at);
        let kinds: Vec<EventKind> = outcome.events.iter().map(|event| event.kind).collect();
        assert_eq!((closed.state, kinds), (State::Closed, vec![EventKind::Closed, EventKind::Ended]));
        assert_eq!(
            outcome.told,
            [vec![].into(), Shared::from(vec!["mail".to_owned()])],
            "told once, by the end"
        );
    }

    /// Users in trouble, look after look, and what is told of each.
    #[track_caller]
    fn check_users(looks: &[(&str, Option<EventKind>)]) {
        let mut alert = Alert::default();
        for (minute, (names, expect)) in (0..).zip(looks) {
            let users: Shared<String> = names.split_whitespace().map(str::to_owned).collect();
            let clock = Span::from_mins(minute);
            let moment = Moment { at: START + clock, clock, seq: 1 + minute.unsigned_abs(), hole: false };
            let verdict = if users.is_empty() { Verdict::Clear } else { Verdict::Breach };
            let since = (!users.is_empty()).then_some(Stamp { at: START, clock: Span::ZERO });
            let opinion = Opinion { users: users.clone(), since, ..Opinion::bare(verdict) };
            let (after, event) =
                take(&alert, Own::NameRefused, &key(), &opinion, &moment, "install", Shared::EMPTY);
            let found = event.map(|(event, _)| (event.kind, event.users, event.since));
            let told = expect.map(|kind| {
                let listed = if kind == EventKind::Ended { found.clone().unwrap().1 } else { users };
                (kind, listed, START)
            });
            assert_eq!(found, told, "look {minute} at {names:?}");
            alert = after;
        }
    }

    #[test]
    fn more_users_are_told_of_and_fewer_are_not() {
        use EventKind::{Changed, Ended, Fired};
        check_users(&[("bob", Some(Fired)), ("bob", None), ("bob eve", Some(Changed)), ("bob eve", None)]);
        check_users(&[("bob eve", Some(Fired)), ("eve", None), ("", Some(Ended)), ("", None)]);
        check_users(&[("", None), ("bob", Some(Fired)), ("eve", Some(Changed)), ("bob", Some(Changed))]);
    }
}
