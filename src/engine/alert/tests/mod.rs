//! The table of states, printed whole, and what each step does. Neighbours: `slow` tells the same a second time.

mod slow;

use std::fmt::Write as _;

use arcstr::{ArcStr, literal};

use super::*;
use crate::engine::event::{EventKind, EventReading, Severity, Subject, SubjectKind};
use crate::engine::outcome::AlertKey;
use crate::engine::reading::Reading;
use crate::engine::rule::OnLeave;
use crate::engine::shared::Shared;

const START: i64 = 1_795_000_000_000;
static VERSION: ArcStr = literal!("v1");
static WHEN: ArcStr = literal!("online > limit");
const VERDICTS: [Verdict; 4] = [Verdict::Breach, Verdict::Clear, Verdict::Between, Verdict::Unknown];

fn moment(seq: u64, hole: bool) -> Moment {
    let clock = Span::from_mins(i64::try_from(seq).unwrap());
    Moment { at: Time::from_millis(START) + clock, clock, seq, hole }
}

fn policy(hold: Hold, clear_hold: Hold) -> Policy {
    Policy { hold, clear_hold }
}

fn minutes(count: i64) -> Hold {
    Hold::For(Span::from_mins(count))
}

fn polls(n: u8, of: u8) -> Hold {
    Hold::Polls { n, of }
}

fn key() -> AlertKey {
    let subject = Subject { kind: SubjectKind::User, name: "alice".to_owned() };
    AlertKey { rule: "shared".into(), source: Some("shanghai".into()), subject }
}

fn facts(key: &AlertKey) -> Facts<'_> {
    Facts {
        install: "install",
        key,
        rule_version: &VERSION,
        severity: Severity::High,
        when: Some(&WHEN),
        limit: None,
        channels: Shared::EMPTY,
        clients: None,
        detail: None,
        users: Shared::EMPTY,
    }
}

/// A step of a copy.
fn step(alert: &Alert, verdict: Verdict, now: &Moment, policy: &Policy) -> (Alert, Option<Step>) {
    let mut next = alert.clone();
    let step = super::step(&mut next, verdict, now, policy);
    (next, step)
}

/// A step and its event, as `judge` takes them.
fn advance(alert: &Alert, verdict: Verdict, now: &Moment, policy: &Policy) -> (Alert, Option<EventKind>) {
    let (mut next, step) = step(alert, verdict, now, policy);
    let key = key();
    let kind = step.map(|step| build_event(&mut next, step.into(), now.at, &facts(&key)).kind);
    (next, kind)
}

/// An alert brought to `state` at poll 10, under a rule that makes no haste.
fn in_state(state: State) -> Alert {
    let slow = policy(minutes(0), minutes(60));
    let path: &[Verdict] = match state {
        State::Ok => &[],
        State::Pending | State::Firing | State::Closed => &[Verdict::Breach],
        State::Recovering => &[Verdict::Breach, Verdict::Clear],
    };
    let slow = if state == State::Pending { policy(minutes(60), minutes(60)) } else { slow };
    let mut alert = Alert::default();
    for (verdict, seq) in path.iter().zip(10..) {
        alert = advance(&alert, *verdict, &moment(seq, false), &slow).0;
    }
    if state == State::Closed {
        let (mut closed, step) = close(&alert, false).unwrap();
        let key = key();
        build_event(&mut closed, step.into(), moment(10, false).at, &facts(&key));
        alert = closed;
    }
    assert_eq!(alert.state, state);
    alert
}

#[test]
fn the_whole_table() {
    let mut table = String::new();
    for (met, hold) in [("holds not met", minutes(120)), ("holds met", minutes(5)), ("no holds", minutes(0))]
    {
        for hole in [false, true] {
            let _ = writeln!(table, "{met}{}", if hole { ", after a hole" } else { "" });
            for state in [State::Ok, State::Pending, State::Firing, State::Recovering, State::Closed] {
                for verdict in VERDICTS {
                    let (next, event) =
                        advance(&in_state(state), verdict, &moment(30, hole), &policy(hold, hold));
                    let from = format!("{state:?} × {verdict:?}");
                    let event = event.map(|kind| format!(", {kind:?}")).unwrap_or_default();
                    let held = next.held_since.map(|held| format!(", held since {}", held.clock));
                    let _ =
                        writeln!(table, "  {from:<22} → {:?}{event}{}", next.state, held.unwrap_or_default());
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// One letter a poll: B breach, C clear, M between, U unknown, `.` no poll judged; `!` before it is a hole. The
/// states after each, with `*` for fired and `/` for ended.
fn story(timeline: &str, policy: &Policy) -> String {
    let (mut alert, mut out, mut hole, mut seq) = (Alert::default(), String::new(), false, 0);
    for letter in timeline.chars() {
        let verdict = match letter {
            'B' => Verdict::Breach,
            'C' => Verdict::Clear,
            'M' => Verdict::Between,
            'U' => Verdict::Unknown,
            '!' => {
                hole = true;
                continue;
            }
            _ => {
                seq += 1;
                out.push('.');
                continue;
            }
        };
        seq += 1;
        let (next, event) = advance(&alert, verdict, &moment(seq, std::mem::take(&mut hole)), policy);
        out.push(match next.state {
            State::Ok => 'o',
            State::Pending => 'p',
            State::Firing => 'F',
            State::Recovering => 'r',
            State::Closed => 'x',
        });
        match event {
            Some(EventKind::Fired) => out.push('*'),
            Some(EventKind::Ended) => out.push('/'),
            _ => {}
        }
        alert = next;
    }
    out
}

#[track_caller]
fn check(hold: Hold, clear: Hold, timeline: &str, expect: &str) {
    assert_eq!(story(timeline, &policy(hold, clear)), expect, "{timeline}");
}

#[test]
fn holds_by_time() {
    check(minutes(0), minutes(0), "CBBC", "oF*Fo/");
    check(minutes(2), minutes(2), "BBBBCCCC", "ppF*Frro/o");
    check(minutes(2), minutes(2), "BBCBBB", "ppoppF*");
    check(minutes(2), minutes(2), "BBMBBB", "ppoppF*");
    check(minutes(2), minutes(2), "BUUUB", "ppppF*");
    check(minutes(2), minutes(2), "BBBCBCMCUC", "ppF*rFrFrro/");
    check(minutes(2), minutes(2), "B!B!BBB", "ppppF*");
    check(minutes(2), minutes(2), "BBBC!CCC", "ppF*rrro/");
    check(minutes(0), minutes(0), "B!UUU!BC", "F*FFFFo/");
}

#[test]
fn holds_by_polls() {
    check(polls(3, 5), minutes(0), "BCBCB", "popoF*");
    check(polls(3, 5), minutes(0), "BCCBCCB", "poopoop");
    check(polls(3, 5), minutes(0), "BUBUB", "ppppF*");
    check(polls(3, 5), minutes(0), "BUUUUBB", "ppppppp");
    check(polls(3, 5), minutes(0), "B..B.BB", "p..p.pF*");
    check(polls(3, 5), minutes(0), "BB!BBB", "ppppF*");
    check(polls(3, 5), minutes(0), "BBBCB", "ppF*o/F*");
    check(polls(1, 1), polls(1, 1), "BCB", "F*o/F*");
    check(minutes(0), polls(2, 3), "CCBCBCBMCC", "ooF*rFo/F*Fro/");
    check(polls(64, 64), minutes(0), &"B".repeat(64), &format!("{}F*", "p".repeat(63)));
}

#[test]
fn quiet_alerts_stay_as_they_are() {
    let rule = policy(polls(3, 5), polls(3, 5));
    let quiet = Alert::default();
    for verdict in [Verdict::Clear, Verdict::Between, Verdict::Unknown] {
        assert_eq!(step(&quiet, verdict, &moment(9, false), &rule), (quiet.clone(), None));
    }
    assert!(rests(&quiet));
    let mut alert = step(&quiet, Verdict::Breach, &moment(1, false), &rule).0;
    for seq in 2..=6 {
        alert = step(&alert, Verdict::Clear, &moment(seq, false), &rule).0;
    }
    assert!(is_blank(&alert) && alert == quiet, "a breach that no longer counts leaves nothing behind");
}

#[test]
fn a_stretch_begins_at_its_first_breach_and_counts_its_blind_time() {
    let rule = policy(minutes(2), minutes(0));
    let (mut alert, _) = advance(&Alert::default(), Verdict::Breach, &moment(1, false), &rule);
    note_blind(&mut alert, Span::from_mins(40), moment(41, false).clock);
    let (alert, _) = advance(&alert, Verdict::Breach, &moment(41, true), &rule);
    assert_eq!(alert.held_since, Some(moment(41, false).stamp()));
    let (mut alert, step) = step(&alert, Verdict::Breach, &moment(43, false), &rule);
    let key = key();
    let event = build_event(&mut alert, step.unwrap().into(), moment(43, false).at, &facts(&key));
    assert_eq!((event.since, event.blind), (moment(1, false).at, Span::from_mins(40)));
    assert_eq!(event.fired_at, Some(moment(43, false).at));
}

#[test]
fn trails_keep_the_first_and_the_last() {
    let mut alert = Alert::default();
    let reading = |seq: u64| {
        EventReading::new(moment(seq, false).at, Reading::online(u32::try_from(seq).unwrap()), None)
    };
    push_trail(&mut alert, reading(1), Some(&"none".into()));
    assert!(alert.trail.is_empty(), "nothing is under way");
    alert.since = Some(moment(1, false).stamp());
    for seq in (1..=50).chain([50, 49]) {
        push_trail(&mut alert, reading(seq), Some(&format!("request-{}", seq / 2).into()));
        note_value(&mut alert, (seq != 50).then_some(u32::try_from(seq).unwrap()));
    }
    let seen: Vec<u32> =
        alert.trail.list().into_iter().filter_map(|reading| reading.reading.count()).collect();
    assert_eq!(seen, [1].into_iter().chain(32..=50).collect::<Vec<u32>>());
    assert_eq!((alert.trail_requests.len(), &*alert.trail_requests[0].text()), (20, "request-0"));
    assert_eq!(alert.value.map(|value| (value.first, value.peak)), Some((Some(1), Some(49))));
}

#[track_caller]
fn check_window(state: State, on_leave: OnLeave, expect: &str) {
    let left = |alert: &Alert| {
        let mut next = alert.clone();
        let step = window_left(&mut next, on_leave);
        (next, step)
    };
    check_change(state, left, expect);
}

#[track_caller]
fn check_change(state: State, change: impl Fn(&Alert) -> (Alert, Option<Step>), expect: &str) {
    let (next, step) = change(&in_state(state));
    assert_eq!(format!("{:?} {step:?}", next.state), expect, "{state:?}");
}

#[test]
fn what_no_verdict_causes() {
    for state in [State::Ok, State::Pending, State::Closed] {
        check_change(state, left_scope, "Ok None");
        check_change(state, rule_removed, "Ok None");
        assert_eq!(close(&in_state(state), false), None);
    }
    for state in [State::Firing, State::Recovering] {
        check_change(state, left_scope, "Ok Some(Ended(LeftScope))");
        check_change(state, rule_removed, "Ok Some(Ended(RuleRemoved))");
        check_window(state, OnLeave::End, "Ok Some(Ended(WindowEnded))");
        check_change(
            state,
            |a| close(a, false).map(|(a, s)| (a, Some(s))).unwrap(),
            "Closed Some(Ended(Closed))",
        );
        check_change(state, |a| close(a, true).map(|(a, s)| (a, Some(s))).unwrap(), "Ok Some(Ended(Closed))");
    }
    check_window(State::Firing, OnLeave::Hold, "Firing None");
    check_window(State::Pending, OnLeave::Hold, "Ok None");
    check_window(State::Closed, OnLeave::End, "Closed None");
}

#[test]
fn a_changed_rule_keeps_what_fires_and_starts_over_what_is_pending() {
    for (state, expect, told) in [
        (State::Ok, State::Ok, false),
        (State::Pending, State::Ok, false),
        (State::Firing, State::Firing, true),
        (State::Recovering, State::Firing, true),
        (State::Closed, State::Closed, false),
    ] {
        let mut alert = in_state(state);
        alert.rule_version = literal!("v1");
        assert_eq!(rule_changed(&alert, &literal!("v1")), (alert.clone(), false));
        let (next, changed) = rule_changed(&alert, &literal!("v2"));
        assert_eq!((next.state, changed, next.rule_version.as_str()), (expect, told, "v2"), "{state:?}");
        assert_eq!(next.episode, alert.episode);
    }
}

#[test]
fn outside_the_window_only_clear_when_counts() {
    let rule = policy(minutes(0), minutes(0));
    let outside = |state, verdict| {
        let mut next = in_state(state);
        let step = step_outside(&mut next, verdict, &moment(30, false), &rule);
        format!("{:?} {step:?}", next.state)
    };
    for verdict in VERDICTS {
        assert_eq!(outside(State::Ok, verdict), "Ok None");
        assert_eq!(outside(State::Pending, verdict), "Ok None");
    }
    assert_eq!(outside(State::Firing, Verdict::Breach), "Firing None");
    assert_eq!(outside(State::Firing, Verdict::Clear), "Ok Some(Ended(Cleared))");
    assert_eq!(outside(State::Closed, Verdict::Clear), "Ok None");
}

#[test]
fn reminders_pause_where_nobody_should_be_told() {
    let repeat = Some(Span::from_mins(30));
    let firing = in_state(State::Firing);
    let told = firing.episode.as_ref().unwrap().last_told;
    let due = |alert: &Alert, after: i64, window| {
        reminder_due(alert, repeat, told + Span::from_mins(after), window)
    };
    assert!(!due(&firing, 29, true) && due(&firing, 30, true) && !due(&firing, 30, false));
    assert!(due(&firing, -60 * 24 * 365, true), "a clock set back does not silence");
    assert!(!reminder_due(&firing, None, told + Span::from_days(9), true));
    assert!(!due(&in_state(State::Recovering), 99, true) && !due(&in_state(State::Closed), 99, true));
    let (mut acked, key) = (firing.clone(), key());
    build_event(&mut acked, Happening::Acked { by: "kim".into(), note: None }, told, &facts(&key));
    assert!(!due(&acked, 99, true));
    let mut reminded = firing;
    let event = build_event(&mut reminded, Happening::Reminded, told + Span::from_mins(30), &facts(&key));
    assert_eq!((event.reminder, event.kind), (1, EventKind::Reminded));
    assert!(!due(&reminded, 31, true) && due(&reminded, 60, true));
}

#[test]
fn ids_and_steps_go_on_over_episodes_and_come_out_the_same_again() {
    let (rule, key) = (policy(minutes(0), minutes(0)), key());
    let run = || {
        let (mut alert, mut ids) = (Alert::default(), Vec::new());
        for (seq, verdict) in (1..).zip([Verdict::Breach, Verdict::Clear, Verdict::Breach, Verdict::Clear]) {
            let now = moment(seq, false);
            let (next, step) = step(&alert, verdict, &now, &rule);
            alert = next;
            let event = build_event(&mut alert, step.unwrap().into(), now.at, &facts(&key));
            ids.push((event.id, event.episode));
        }
        assert_eq!(alert.step_no, 4);
        assert_eq!(alert.episode, None);
        ids
    };
    let ids = run();
    assert_eq!(ids, run());
    assert!(ids[0].1 == ids[1].1 && ids[1].1 != ids[2].1 && ids[2].1 == ids[3].1);
    let distinct: std::collections::BTreeSet<_> = ids.iter().map(|(id, _)| id).collect();
    assert_eq!(distinct.len(), 4);
}

#[test]
fn closing_tells_who_and_why_and_waits_for_one_clear() {
    let (firing, key) = (in_state(State::Firing), key());
    let (mut alert, step) = close(&firing, false).unwrap();
    let act = Happening::Closed { by: "kim".into(), finding: None, note: Some("known".into()) };
    let at = moment(20, false).at;
    let closed = build_event(&mut alert, act, at, &facts(&key));
    let ended = build_event(&mut alert, step.into(), at, &facts(&key));
    assert_eq!((closed.kind, closed.by.as_deref()), (EventKind::Closed, Some("kim")));
    assert_eq!(
        (ended.kind, ended.note.as_deref(), ended.ended_at),
        (EventKind::Ended, Some("known"), Some(at))
    );
    assert_eq!(ended.episode, firing.episode.as_ref().unwrap().id);
    assert!(alert.state == State::Closed && alert.episode.as_ref().is_some_and(|e| e.ended_at.is_some()));
    let rule = policy(minutes(0), minutes(0));
    let (alert, _) = advance(&alert, Verdict::Breach, &moment(21, false), &rule);
    assert_eq!(alert.state, State::Closed);
    let (alert, event) = advance(&alert, Verdict::Clear, &moment(22, false), &rule);
    assert_eq!((alert.state, event, alert.episode), (State::Ok, None, None));
}

/// An acknowledged alert whose rule has become less severe ends: who the end names, and how severe it still is.
#[track_caller]
fn check_end(reason: EndReason, by: Option<&str>, note: Option<&str>) {
    let (mut alert, key) = (in_state(State::Firing), key());
    let milder = Facts { severity: Severity::Low, ..facts(&key) };
    let now = moment(20, false).at;
    let act = Happening::Acked { by: "kim".into(), note: Some("looking".into()) };
    let acked = build_event(&mut alert, act, now, &milder);
    assert_eq!((acked.by.as_deref(), acked.note.as_deref()), (Some("kim"), Some("looking")));
    let reminded = build_event(&mut alert, Happening::Reminded, now, &milder);
    assert_eq!((reminded.by, reminded.note, reminded.reminder), (None, None, 1));
    assert_eq!(reminded.severity, Severity::Low, "what the rule says now");
    let ended = build_event(&mut alert, Happening::Ended(reason), now, &milder);
    assert_eq!((ended.by.as_deref(), ended.note.as_deref(), ended.reminder), (by, note, 0), "{reason:?}");
    assert_eq!(ended.severity, Severity::High, "as it was told");
}

#[test]
fn an_end_names_an_operator_only_where_one_closed_it() {
    check_end(EndReason::Cleared, None, None);
    check_end(EndReason::LeftScope, None, None);
    check_end(EndReason::Closed, Some("kim"), Some("looking"));
}
