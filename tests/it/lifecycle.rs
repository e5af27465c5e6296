//! A timeline of readings in, the lifecycle of alerts out: the engine from polls to events, without store or network.
//!
//! Neighbours: `engine::judge` and what it drives. A part of its own because these stories are what users would tell.
//! In a timeline `3` is a count, `3x4` that and four repeats, `-` absent, `_` failed, `~` not polled.

use std::sync::Arc;

use chrono_tz::Asia::Shanghai;
use seatwatch::engine::calendar::Calendar;
use seatwatch::engine::event::{Event, Limit, Severity};
use seatwatch::engine::fleet::{Exception, Fleet};
use seatwatch::engine::judge::judge;
use seatwatch::engine::lang::compile;
use seatwatch::engine::message::Language;
use seatwatch::engine::names::{Asked, Names};
use seatwatch::engine::outcome::{Act, ActRow};
use seatwatch::engine::reading::{Batch, Fetched, Reading};
use seatwatch::engine::restore::Past;
use seatwatch::engine::rule::{AbsentMeans, Hold, Mode, OnLeave, Per, Policy, Rule, Scope};
use seatwatch::engine::tend::{act, reconcile, remind};
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::{Remembered, Setup, Watch, When};

/// 2026-11-23T00:00:00Z, a Monday.
pub(crate) const START: Time = Time::from_millis(1_795_392_000_000);
pub(crate) const MINUTE: Span = Span::from_mins(1);

pub(crate) fn rule(name: &str, when: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        version: format!("v-{name}"),
        per: Per::User,
        when_text: when.to_owned(),
        clear_when_text: None,
        when: compile(when, Per::User).unwrap(),
        clear_when: None,
        limit: Some(2),
        policy: Policy { hold: Hold::default(), clear_hold: Hold::default() },
        severity: Severity::High,
        notify: vec!["soc".to_owned()].into(),
        repeat: None,
        max_gap: None,
        absent: AbsentMeans::Hold,
        during: None,
        on_leave: OnLeave::Hold,
        mode: Mode::Live,
        evidence_clients: false,
        scope: Scope::default(),
    }
}

pub(crate) fn setup(rules: Vec<Rule>, users: &[&str]) -> Arc<Setup> {
    Arc::new(Setup {
        install: "install".to_owned(),
        source: "shanghai".to_owned(),
        interval: MINUTE,
        zone: Shanghai,
        fleet: Arc::new(Fleet::default()),
        rules: rules.into_iter().map(Arc::new).collect(),
        elsewhere: Vec::new(),
        users: Arc::new(Names::new(users)),
        roster: false,
        language: Language::En,
        own_notify: vec!["soc".to_owned()].into(),
    })
}

pub(crate) fn readings(timeline: &str) -> Vec<Reading> {
    let mut all = Vec::new();
    for word in timeline.split_whitespace() {
        let (value, repeats) = word.split_once('x').unwrap_or((word, "0"));
        let reading = match value {
            "-" => Reading::ABSENT,
            "_" => Reading::FAILED,
            "~" => Reading::NOT_POLLED,
            count => Reading::online(count.parse().unwrap()),
        };
        all.extend(std::iter::repeat_n(reading, repeats.parse::<usize>().unwrap() + 1));
    }
    all
}

/// A poll a minute for alice; zed is always there, so that the source never fails as a whole. Returns the events, and the watch as it ended.
fn play(watch: &mut Watch, timeline: &str, restart_at: Option<usize>) -> Vec<Arc<Event>> {
    let mut events = Vec::new();
    let mut past: Vec<(u64, Span, Vec<Reading>, bool)> = Vec::new();
    for (n, reading) in readings(timeline).into_iter().enumerate() {
        let at = START + MINUTE.times(i64::try_from(n).unwrap());
        let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
        let fetched = Fetched {
            readings: vec![reading, Reading::online(1)],
            batch_of: vec![0, 0].into(),
            batches: vec![Batch { fetched_at: at, request_id: Some(format!("R{n}").into()) }],
            ..Fetched::default()
        };
        let poll = watch.poll(
            fetched,
            &Asked::all(Arc::clone(&watch.names)),
            When { at, elapsed, jump: None, took: Span::ZERO },
        );
        let (column, usable) = (poll.readings.clone(), true);
        let outcome = judge(watch, poll, at);
        watch.names_saved();
        let tended = reconcile(watch, at);
        assert!(tended.is_empty(), "the file did not change, so nothing is to be settled: {tended:?}");
        past.push((watch.memory.seq, watch.memory.clock, column, usable));
        events.extend(outcome.events);
        if restart_at == Some(n) {
            *watch = restarted(watch, &past);
        }
    }
    events
}

/// A new watch from what a store would hold of this one.
fn restarted(watch: &Watch, past: &[(u64, Span, Vec<Reading>, bool)]) -> Watch {
    let last = past.iter().fold(vec![Reading::NOT_POLLED; 2], |last, (_, _, column, _)| {
        if column[0] == Reading::FAILED { vec![last[0], column[1]] } else { column.clone() }
    });
    let alerts = serde_json::to_string(&watch.alerts().into_iter().collect::<Vec<_>>()).unwrap();
    let memory = serde_json::to_string(&watch.memory).unwrap();
    let mut again = Watch::new(
        Arc::clone(&watch.setup),
        Remembered {
            names: Names::clone(&watch.names),
            last,
            memory: serde_json::from_str(&memory).unwrap(),
            alerts: serde_json::from_str(&alerts).unwrap(),
            roster: None,
        },
    );
    for (seq, clock, column, usable) in past {
        again.replay(&Past { seq: *seq, clock: *clock, column, usable: *usable });
    }
    again
}

fn story(events: &[Arc<Event>]) -> String {
    let line = |event: &Arc<Event>| {
        let minute = event.at.since(START).millis() / 60_000;
        let kind = format!("{:?}", event.kind).to_lowercase();
        let reason = event.reason.map(|reason| format!(" {reason:?}").to_lowercase()).unwrap_or_default();
        let value = event.value.map(|v| format!(" now {:?} first {:?} peak {:?}", v.now, v.first, v.peak));
        let since = event.since.since(START).millis() / 60_000;
        let readings: Vec<String> = event
            .readings
            .list()
            .iter()
            .map(|r| r.reading.count().map_or(r.reading.word().to_owned(), |n| n.to_string()))
            .collect();
        let value = value.unwrap_or_default().replace("Some(", "").replace(')', "").replace("None", "?");
        let (rule, blind, ids) = (&event.rule, event.blind, event.request_ids.len());
        let seen = readings.join(" ");
        format!(
            "{minute:3} {rule} {kind}{reason}{value} since {since} blind {blind} readings [{seen}] ids {ids}\n"
        )
    };
    events.iter().map(line).collect()
}

/// The events of a timeline; a restart after any poll must not change one.
#[track_caller]
fn check(rule: &Rule, timeline: &str, expect: &str) {
    let fresh = || Watch::new(setup(vec![rule.clone()], &["alice", "zed"]), Remembered::default());
    let events = play(&mut fresh(), timeline, None);
    assert_eq!(story(&events).trim_end(), expect.trim_end(), "{timeline}");
    for restart_at in 0..readings(timeline).len() {
        let again = play(&mut fresh(), timeline, Some(restart_at));
        assert_eq!(again, events, "{timeline}, restarted after poll {restart_at}");
    }
}

fn held(when: &str, hold: i64, clear_hold: i64) -> Rule {
    let policy =
        Policy { hold: Hold::For(Span::from_mins(hold)), clear_hold: Hold::For(Span::from_mins(clear_hold)) };
    Rule { policy, ..rule("shared", when) }
}

#[test]
fn a_breach_fires_at_once_and_ends_at_once_without_holds() {
    check(
        &rule("shared", "online > limit"),
        "1 3 4 2",
        "  1 shared fired now 3 first 3 peak 3 since 1 blind 0s readings [3] ids 1
  3 shared ended cleared now 2 first 3 peak 4 since 1 blind 0s readings [3 4 2] ids 3",
    );
}

#[test]
fn a_breach_must_hold_and_so_must_the_clear() {
    check(
        &held("online > limit", 2, 1),
        "3 3 1 3x3 1 1",
        "  5 shared fired now 3 first 3 peak 3 since 3 blind 0s readings [3 3 3] ids 3
  8 shared ended cleared now 1 first 3 peak 3 since 3 blind 0s readings [3 3 3 1 1] ids 5",
    );
}

#[test]
fn a_hole_counts_from_the_first_breach_on() {
    check(
        &rule("shared", "online > limit"),
        "3 1 _x3 3 1",
        "  0 shared fired now 3 first 3 peak 3 since 0 blind 0s readings [3] ids 1
  1 shared ended cleared now 1 first 3 peak 3 since 0 blind 0s readings [3 1] ids 2
  6 shared fired now 3 first 3 peak 3 since 6 blind 0s readings [3] ids 1
  7 shared ended cleared now 1 first 3 peak 3 since 6 blind 0s readings [3 1] ids 2",
    );
}

#[test]
fn what_ends_between_polls_tells_of_the_hole_that_goes_on() {
    let mut watch =
        Watch::new(setup(vec![rule("shared", "online > limit")], &["alice", "zed"]), Remembered::default());
    let fired = play(&mut watch, "3 _x3", None).remove(0);
    let close = Act::Close { episode: fired.episode.to_string(), rearm: true, finding: None, note: None };
    let at = START + Span::from_mins(5);
    let row = ActRow { id: 1, by: "olga".to_owned(), at, act: close };
    let blind: Vec<Span> =
        act(&mut watch, &row, at).unwrap().events.iter().map(|event| event.blind).collect();
    assert_eq!(blind, [Span::from_mins(4); 2], "the operator's act and the end");
}

#[test]
fn a_whole_column_is_kept_after_two_changes_of_each_user() {
    let mut watch =
        Watch::new(setup(vec![rule("shared", "online > limit")], &["alice", "zed"]), Remembered::default());
    let framed = (1..=8).filter(|n| {
        let at = START + Span::from_mins(i64::from(*n));
        let fetched = Fetched { readings: vec![Reading::online(*n); 2], ..Fetched::default() };
        let when = When { at, elapsed: Span::from_mins(1), jump: None, took: Span::ZERO };
        let poll = watch.poll(fetched, &Asked::all(Arc::clone(&watch.names)), when);
        judge(&mut watch, poll, at).poll.unwrap().keyframe.is_some()
    });
    assert_eq!(framed.collect::<Vec<u32>>(), [1, 4, 7]);
}

#[test]
fn missing_readings_hold_everything() {
    check(
        &held("online > limit", 2, 0),
        "3 _ 3 _ _ - ~ 1",
        "  2 shared fired now 3 first 3 peak 3 since 0 blind 0s readings [3 failed 3] ids 3
  7 shared ended cleared now 1 first 3 peak 3 since 0 blind 5m readings [3 failed 3 failed absent not-polled 1] ids 7",
    );
}

#[test]
fn while_firing_the_trail_keeps_what_changed() {
    check(
        &held("online > limit", 1, 2),
        "1 3 3 3 3 5 5 4 1 1 1",
        "  2 shared fired now 3 first 3 peak 3 since 1 blind 0s readings [3 3] ids 2
 10 shared ended cleared now 1 first 3 peak 5 since 1 blind 0s readings [3 3 5 4 1 1 1] ids 7",
    );
}

#[test]
fn nine_tenths_of_a_window_are_enough() {
    check(
        &rule("low", "low(10m) > 2"),
        "3x10",
        "  9 low fired now 3 first 3 peak 3 since 9 blind 0s readings [3 3] ids 1",
    );
}

#[test]
fn a_hole_starts_the_hold_again() {
    check(&held("online > limit", 2, 0), "3 _x3 3 3", "");
    check(
        &held("online > limit", 2, 0),
        "3 _x3 3 3 3",
        "  7 shared fired now 3 first 3 peak 3 since 0 blind 5m readings [3 failed 3 3 3] ids 5",
    );
}

#[test]
fn absent_means_what_the_rule_says() {
    let offline = |absent| Rule { absent, ..rule("offline", "online == 0") };
    let user_absent =
        |at: usize| format!("  {at} agent/user-absent fired since {at} blind 0s readings [] ids 0");
    check(&offline(AbsentMeans::Hold), "1 - - -x5", &user_absent(3));
    check(
        &offline(AbsentMeans::Zero),
        "1 - 1",
        "  1 offline fired now ? first ? peak ? since 1 blind 0s readings [absent] ids 1
  2 offline ended cleared now 1 first ? peak 1 since 1 blind 0s readings [absent 1] ids 2",
    );
    check(
        &offline(AbsentMeans::Breach),
        "1 - 1",
        "  1 offline fired now ? first ? peak ? since 1 blind 0s readings [absent] ids 1
  2 offline ended cleared now 1 first ? peak 1 since 1 blind 0s readings [absent 1] ids 2",
    );
}

#[test]
fn peers_are_what_the_rules_users_have_now() {
    // zed has 1 at every poll.
    let fired = "  1 odd fired now 3 first 3 peak 3 since 1 blind 0s readings [3] ids 1
  2 odd ended cleared now 2 first 3 peak 3 since 1 blind 0s readings [3 2] ids 2";
    check(&rule("odd", "online > peers(0.5) + 1"), "2 3 2 _ -", fired);
    check(&rule("odd", "online > peers(1) - 1 and online > 9"), "2 3 2", "");
    let one = globset::Glob::new("alice").unwrap().compile_matcher();
    let scope = Scope { users: vec![one], ..Scope::default() };
    check(&Rule { scope, ..rule("odd", "online > peers(0.5)") }, "2 3 2", "");
}

#[test]
fn k_of_n_polls_counts_polls() {
    let policy = Policy { hold: Hold::Polls { n: 3, of: 5 }, clear_hold: Hold::default() };
    check(
        &Rule { policy, ..rule("flaky", "online > limit") },
        "3 1 3 1 1 3 3 1",
        "  6 flaky fired now 3 first 3 peak 3 since 0 blind 0s readings [3 1 3 1 1 3 3] ids 7
  7 flaky ended cleared now 1 first 3 peak 3 since 0 blind 0s readings [3 1 3 1 1 3 3 1] ids 8",
    );
}

#[test]
fn windows_look_back_over_restarts() {
    check(
        &rule("busy", "peak(3m) >= 4 and changes(5m) > 0"),
        "1 4 1 1 1 1",
        "  1 busy fired now 4 first 4 peak 4 since 1 blind 0s readings [1 4] ids 1
  5 busy ended cleared now 1 first 4 peak 4 since 1 blind 0s readings [1 4 1 1] ids 3",
    );
}

#[test]
fn a_poll_without_a_reading_moves_nothing_though_windows_go_on() {
    check(&rule("long-offline", "offline_time >= 2m"), "1 0 0 _ _", "");
    check(
        &rule("long-offline", "offline_time >= 2m"),
        "1 0 0 _ 0",
        "  4 long-offline fired now 0 first 0 peak 0 since 4 blind 0s readings [0] ids 1",
    );
    check(
        &rule("busy", "peak(1m) >= 4"),
        "1 4 1 _ _ 1",
        "  1 busy fired now 4 first 4 peak 4 since 1 blind 0s readings [1 4] ids 1
  5 busy ended cleared now 1 first 4 peak 4 since 1 blind 0s readings [4 1 failed 1] ids 4",
    );
}

#[test]
fn what_is_no_breach_drops_pending_though_the_clear_condition_cannot_be_told() {
    let clear_when = compile("mean(1h) < 2", Per::User).unwrap();
    check(
        &Rule { clear_when: Some(clear_when), ..held("online > limit", 3, 0) },
        "3 3 1 3 3 3 3",
        "  6 shared fired now 3 first 3 peak 3 since 3 blind 0s readings [3 3 3 3] ids 4",
    );
}

#[test]
fn a_reminder_right_after_a_restart_names_the_limit_of_the_day() {
    let rule = Rule { repeat: Some(MINUTE), ..rule("shared", "online > limit") };
    let kiosk = Exception {
        user: "alice".to_owned(),
        source: None,
        limit: Some(9),
        reason: "shared terminal".to_owned(),
        owner: "it-ops".to_owned(),
        expires: "2026-11-22".parse().unwrap(),
    };
    let fleet = Arc::new(Fleet { exceptions: vec![kiosk], ..Fleet::default() });
    let setup = Setup { fleet, ..(*setup(vec![rule], &["alice", "zed"])).clone() };
    let mut watch = Watch::new(Arc::new(setup), Remembered::default());
    assert_eq!(play(&mut watch, "3", Some(0)).len(), 1, "the exception ended yesterday");
    let reminded = remind(&mut watch, START + MINUTE.times(2)).events;
    let limits: Vec<_> = reminded.iter().map(|event| event.limit.clone().unwrap()).collect();
    assert_eq!(limits, [Limit::of_rule(2)]);
}

#[test]
fn a_window_decides_when_a_rule_looks() {
    let window = |on_leave| {
        let calendar = Calendar::new("early", chrono_tz::UTC, &["Mon"], &["00:02-00:05"], &[], &[]).unwrap();
        Rule { during: Some(Arc::new(calendar)), on_leave, ..held("online > limit", 1, 0) }
    };
    // Breaches before the window do not count towards the hold; after it a pending alert is dropped.
    check(&window(OnLeave::Hold), "3 3 1 1 3 3 3", "");
    // A firing alert waits for its clear, wherever that comes.
    check(
        &window(OnLeave::Hold),
        "1 1 3 3 3 3 3 1",
        "  3 shared fired now 3 first 3 peak 3 since 2 blind 0s readings [3 3] ids 2
  7 shared ended cleared now 1 first 3 peak 3 since 2 blind 0s readings [3 3 1] ids 3",
    );
    check(
        &window(OnLeave::End),
        "1 1 3 3 3 3 3 1",
        "  3 shared fired now 3 first 3 peak 3 since 2 blind 0s readings [3 3] ids 2
  5 shared ended windowended now 3 first 3 peak 3 since 2 blind 0s readings [3 3 3] ids 3",
    );
}
