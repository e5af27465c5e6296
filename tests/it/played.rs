//! Timelines played by the engine for people who ask: rules put to the test, one subject followed through the past,
//! and whose connections are listed.
//!
//! Neighbours: `lifecycle` has the rules and the timelines; `commands` shows what is said here on a terminal. A part of
//! its own because nothing of it decides an alert, and all of it is shown as evidence.

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;

use seatwatch::engine::backtest::follow::Followed;
use seatwatch::engine::backtest::{PastPoll, Playback, run_up};
use seatwatch::engine::event::{EventReading, OnlineClient, Subject, SubjectKind};
use seatwatch::engine::evidence::{attach, suspects};
use seatwatch::engine::fleet::{Fleet, Group};
use seatwatch::engine::judge::judge;
use seatwatch::engine::lang::compile;
use seatwatch::engine::names::{Asked, Names};
use seatwatch::engine::outcome::Outcome;
use seatwatch::engine::past::Column;
use seatwatch::engine::reading::{Batch, Fetched, Reading};
use seatwatch::engine::restore::Past;
use seatwatch::engine::roster::{Listed, Roster};
use seatwatch::engine::rule::{AbsentMeans, Hold, Mode, Per, Policy, Rule, Scope};
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::trial::{Expected, Miss, Timeline, Trial, What};
use seatwatch::engine::watch::{Remembered, Setup, Watch, When};

use crate::lifecycle::{MINUTE, START, readings, rule, setup};

/// More than the limit of two, for one minute.
fn shared() -> Rule {
    let policy = Policy { hold: Hold::For(MINUTE), clear_hold: Hold::default() };
    Rule { policy, ..rule("shared", "online > limit") }
}

fn user(name: &str) -> Subject {
    Subject { kind: SubjectKind::User, name: name.to_owned() }
}

fn trial(rules: Vec<Rule>, interval: Span, lines: &[(&str, &str)]) -> Trial {
    let users: Vec<&str> = lines.iter().map(|(user, _)| *user).collect();
    let mut setup = Arc::unwrap_or_clone(setup(rules, &users));
    setup.interval = interval;
    let timelines =
        lines.iter().map(|(user, line)| Timeline { user: (*user).into(), readings: readings(line) });
    Trial {
        setup: Arc::new(setup),
        roster: None,
        start: START,
        interval,
        timelines: timelines.collect(),
        expected: Vec::new(),
    }
}

fn expected(poll: usize, rule: &str, what: What, subjects: &str) -> Expected {
    let subjects = subjects.split_whitespace().map(str::to_owned).collect();
    Expected { poll, rule: rule.to_owned(), what, subjects }
}

/// Each is true, and is missed where it is said of nobody.
#[track_caller]
fn check(mut trial: Trial, expect: &[(usize, &str, What, &str)]) {
    let all = |expected: fn(&(usize, &str, What, &str)) -> Expected| expect.iter().map(expected).collect();
    trial.expected = all(|(poll, rule, what, subjects)| expected(*poll, rule, *what, subjects));
    assert_eq!(trial.run(), [], "as expected");
    let truth: Vec<Expected> = trial.expected;
    trial.expected = all(|(poll, rule, what, _)| expected(*poll, rule, *what, "nobody"));
    let miss = |(at, truth): (usize, &Expected)| Miss {
        expected: at,
        at: trial.at(truth.poll),
        found: truth.subjects.clone(),
    };
    let misses: Vec<Miss> = truth.iter().enumerate().map(miss).collect();
    assert_eq!(trial.run(), misses, "each is missed");
}

#[test]
fn a_test_of_rules_holds_where_the_alerts_are_just_those() {
    let lines = [("alice", "1 3 3 3 1 1"), ("bob", "3 3 1 1 3 3 1"), ("carol", "1 ~ 1")];
    let trial = trial(vec![shared(), rule("busy", "online > 2")], MINUTE, &lines);
    assert_eq!((trial.polls(), trial.at(2)), (7, START + MINUTE.times(2)));
    check(
        trial,
        &[
            // In no order: misses come in the order of what was expected.
            (4, "shared", What::Ended, "alice"),
            (0, "shared", What::Pending, "bob"),
            (1, "shared", What::Pending, "alice"),
            (1, "shared", What::Firing, "bob"),
            (1, "shared", What::Fired, "bob"),
            (2, "shared", What::Ended, "bob"),
            (2, "shared", What::Fired, "alice"),
            (3, "shared", What::Fired, ""),
            (3, "shared", What::Firing, "alice"),
            (1, "busy", What::Fired, "alice"),
            (1, "busy", What::Firing, "alice bob"),
            (4, "busy", What::Ended, "alice"),
            (5, "busy", What::Ended, ""),
            (6, "shared", What::Ended, "bob"),
        ],
    );
    assert_eq!(What::Firing.word(), "firing");
    assert_eq!(What::Pending.word(), "pending");
    assert_eq!(What::Fired.word(), "fired");
    assert_eq!(What::Ended.word(), "ended");
}

#[test]
fn a_test_of_rules_knows_the_roster_and_the_past() {
    let roster = Roster { at: START, users: vec![("alice".into(), Some(false)), ("bob".into(), Some(true))] };
    let listed =
        trial(vec![rule("off", "not enabled and online > 0")], MINUTE, &[("alice", "1"), ("bob", "1")]);
    check(Trial { roster: Some(roster), ..listed }, &[(0, "off", What::Firing, "alice")]);
    // A week between polls. What raised an alert is not usual afterwards: else four would be no more than usual.
    let week = Span::from_days(7);
    let unusual = Rule { max_gap: Some(week.times(2)), ..rule("unusual", "online > usual(0.9)") };
    let weeks = trial(vec![unusual], week, &[("alice", "1 1 1 4 4 4 1"), ("bob", "1x9")]);
    check(
        weeks,
        &[
            (3, "unusual", What::Fired, "alice"),
            (4, "unusual", What::Firing, "alice"),
            (5, "unusual", What::Firing, "alice"),
            (6, "unusual", What::Ended, "alice"),
            (8, "unusual", What::Firing, ""),
        ],
    );
}

#[test]
fn a_test_of_rules_shows_one_subject_poll_by_poll() {
    let lines = [("alice", "1 3 3 1"), ("bob", "3 3 1 1")];
    let trial = trial(vec![shared(), rule("busy", "online > 2")], MINUTE, &lines);
    let rounds = trial.trace("shared", &user("alice"));
    let told: Vec<String> = rounds
        .iter()
        .map(|round| {
            let minute = round.at.since(START).millis() / 60_000;
            let count = round.look.reading.count().unwrap();
            format!(
                "{minute} {count} {} {:?} {:?}",
                round.look.judged.word(),
                round.look.alert.state,
                round.events
            )
        })
        .collect();
    let expect =
        ["0 1 clear Ok []", "1 3 breach Pending []", "2 3 breach Firing [Fired]", "3 1 clear Ok [Ended]"];
    assert_eq!(told, expect);
    let parts: Vec<&str> = rounds[1].look.when.iter().map(|part| &*part.text).collect();
    assert_eq!(parts, ["online", "limit", "online > limit"], "every expression has its value shown");
    let trail = &rounds[2].look.alert.trail;
    assert_eq!(
        trail.list().iter().map(EventReading::fetched_at).collect::<Vec<_>>(),
        [Some(trial.at(1)), Some(trial.at(2))]
    );
    assert_eq!(trial.trace("shared", &user("nobody")), []);
    assert_eq!(trial.trace("none", &user("alice")), []);
}

/// Alice's timeline, a poll a minute, as it is stored; followed from a minute on.
fn followed(rule: Rule, line: &str, from: i64) -> Followed {
    let names = Names::new(["alice", "zed"]);
    let name = rule.name.clone();
    let from = START + MINUTE.times(from);
    let playback = Playback::new(setup(vec![rule], &["alice", "zed"]), names, None, START);
    let mut playback = playback.following(&name, user("alice"), from);
    let mut column = Column::new(Vec::new());
    let (mut last, alice) = (Reading::NOT_POLLED, 0..1);
    for (n, reading) in (0_i64..).zip(readings(line)) {
        let mut changes = vec![(1, Reading::online(1))];
        if reading != Reading::FAILED && reading != last {
            changes.insert(0, (0, reading));
            last = reading;
        }
        let failed = if reading == Reading::FAILED { slice::from_ref(&alice) } else { &[] };
        column.turn(&changes, failed);
        let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
        let past = PastPoll { seq: n.unsigned_abs() + 1, at: START + MINUTE.times(n), elapsed, usable: true };
        playback.poll(past, &column);
    }
    let followed = playback.followed().unwrap();
    assert!(playback.followed().is_none(), "it is handed out once");
    followed
}

#[test]
fn a_subject_is_followed_with_its_holes() {
    let minutes = |times: &[(Time, Time)]| -> Vec<(i64, i64)> {
        let minute = |at: Time| at.since(START).millis() / 60_000;
        times.iter().map(|(from, to)| (minute(*from), minute(*to))).collect()
    };
    // Three minutes apart are no hole, four are one.
    let seen = followed(shared(), "1 _ _ 3 3 3 _ _ _ 1 1", 0);
    assert_eq!((seen.rounds.len(), seen.left_out, minutes(&seen.holes)), (11, 0, vec![(5, 9)]));
    let events: Vec<(usize, String)> = (0..)
        .zip(&seen.rounds)
        .filter(|(_, round)| !round.events.is_empty())
        .map(|(n, round)| (n, format!("{:?}", round.events)))
        .collect();
    assert_eq!(events, [(4, "[Fired]".to_owned()), (9, "[Ended]".to_owned())]);
    // From a poll on; a hole counts where it ends then.
    let seen = followed(shared(), "1 _ _ _ 1 1 _ _ _ 1 1", 9);
    assert_eq!((seen.rounds.len(), minutes(&seen.holes)), (2, vec![(5, 9)]));
    assert_eq!(seen.rounds[0].at, START + MINUTE.times(9));
    // What is long has a bound, and keeps its end.
    let seen = followed(shared(), "1x2004", 0);
    assert_eq!((seen.rounds.len(), seen.left_out), (2000, 5));
    assert_eq!(seen.rounds.last().unwrap().at, START + MINUTE.times(2004));
    assert_eq!(seen.rounds[1998].at, START + MINUTE.times(1998));
    let seen = followed(shared(), &"1 _ _ _ ".repeat(2003), 0);
    assert_eq!(minutes(&seen.holes).len(), 2000);
    assert_eq!(minutes(&seen.holes)[1999], (4 * 1999, 4 * 2000));
}

/// What a watch makes of one more poll; users in the order of the readings.
fn poll(watch: &mut Watch, minute: i64, line: &str) -> Outcome {
    let elapsed = if minute == 0 { Span::ZERO } else { MINUTE };
    poll_after(watch, elapsed, START + MINUTE.times(minute), line)
}

/// The same, with a wall clock that need not have moved by what passed.
fn poll_after(watch: &mut Watch, elapsed: Span, at: Time, line: &str) -> Outcome {
    let readings = readings(line);
    let fetched = Fetched {
        batch_of: vec![0; readings.len()].into(),
        readings,
        batches: vec![Batch { fetched_at: at, request_id: None }],
        ..Fetched::default()
    };
    let asked = Asked::all(Arc::clone(&watch.names));
    let poll = watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
    let outcome = judge(watch, poll, at);
    watch.names_saved();
    outcome
}

/// The wall clock is set by `jump` before the third of five polls a minute apart. An event shows, of what its window
/// looked back over, only instants at which somebody was asked; a watch that is started again after each poll too.
#[track_caller]
fn check_evidence_over_a_jump(jump: Span, expect: &[(i64, u32)]) {
    let users = setup(vec![rule("busy", "changes(10m) >= 4")], &["alice", "zed"]);
    for restarts in [false, true] {
        let mut watch = Watch::new(Arc::clone(&users), Remembered::default());
        let mut found = Vec::new();
        let mut at = START;
        for (n, count) in (0..).zip(["1 1", "3 1", "2 1", "4 1", "1 1"]) {
            let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
            at = at + elapsed + if n == 2 { jump } else { Span::ZERO };
            found.extend(poll_after(&mut watch, elapsed, at, count).events);
            if restarts {
                let checkpoint = watch.checkpoint().bytes();
                let memory = serde_json::to_string(&watch.memory).unwrap();
                let remembered = Remembered {
                    names: Names::clone(&watch.names),
                    last: readings(count),
                    memory: serde_json::from_str(&memory).unwrap(),
                    ..Remembered::default()
                };
                watch = Watch::new(Arc::clone(&users), remembered);
                assert!(watch.restore(&checkpoint));
            }
        }
        let [fired] = &found[..] else { panic!("it fired once: {found:?}") };
        let of = |reading: &EventReading| {
            (reading.at.since(START).millis() / 60_000, reading.reading.count().unwrap())
        };
        let told: Vec<(i64, u32)> = fired.readings.list().iter().map(of).collect();
        assert_eq!(told, expect, "restarts: {restarts}");
    }
}

#[test]
fn evidence_names_no_instant_at_which_nobody_was_asked() {
    check_evidence_over_a_jump(Span::ZERO, &[(0, 1), (1, 3), (2, 2), (3, 4), (4, 1)]);
    check_evidence_over_a_jump(Span::from_hours(1), &[(62, 2), (63, 4), (64, 1)]);
    check_evidence_over_a_jump(Span::from_mins(-30), &[(-28, 2), (-27, 4), (-26, 1)]);
}

/// What the event of a rule with a window has seen, minute and count; polls of alice and zed with `/` in between.
#[track_caller]
fn check_seen(rule: Rule, polls: &str, expect: &[(i64, u32)]) {
    let mut watch = Watch::new(setup(vec![rule], &["alice", "zed"]), Remembered::default());
    let outcomes: Vec<Outcome> =
        (0..).zip(polls.split('/')).map(|(minute, line)| poll(&mut watch, minute, line)).collect();
    let events: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.events).collect();
    let [fired] = &events[..] else { panic!("it fired once: {events:?}") };
    let of = |one: &EventReading| Some((one.at.since(START).millis() / 60_000, one.reading.count()?));
    assert_eq!(fired.readings.list().iter().filter_map(of).collect::<Vec<_>>(), expect, "{polls}");
}

#[test]
fn evidence_of_a_window_is_what_stood_in_it() {
    let zero = |rule: Rule| Rule { absent: AbsentMeans::Zero, ..rule };
    let total = |when: &str| Rule {
        per: Per::Source,
        when: compile(when, Per::Source).unwrap(),
        ..rule("all", when)
    };
    check_seen(rule("busy", "changes(10m) >= 3"), "1 1/0 1/3 1/2 1", &[(0, 1), (1, 0), (2, 3), (3, 2)]);
    // Where absent is zero nobody can tell them apart afterwards, so neither is shown but at the poll itself.
    check_seen(zero(rule("busy", "changes(10m) >= 3")), "1 1/0 1/3 1/2 1", &[(0, 1), (2, 3), (3, 2)]);
    // A total of nobody is a total.
    check_seen(total("changes(10m) >= 3"), "1 1/0 0/3 1/2 1", &[(0, 2), (1, 0), (2, 4), (3, 3)]);
    check_seen(zero(total("changes(10m) >= 3")), "1 1/0 0/3 1/2 1", &[(0, 2), (1, 0), (2, 4), (3, 3)]);
    // What stood before the window began is no part of it.
    check_seen(rule("busy", "changes(2m) >= 2"), "1 1/1 1/0 1/0 1/3 1/2 1", &[(2, 0), (4, 3), (5, 2)]);
}

#[test]
fn an_event_names_first_what_decided() {
    let mut watch = Watch::new(
        setup(vec![rule("either", "peak(1h) > 9 or low(1h) > 9 or online > limit")], &["alice"]),
        Remembered::default(),
    );
    let outcome = poll(&mut watch, 0, "3");
    let told: Vec<(&str, bool)> =
        outcome.events[0].signals.iter().map(|one| (one.signal.as_str(), one.decides)).collect();
    assert_eq!(told, [("online", true), ("limit", true), ("peak(1h)", false), ("low(1h)", false)]);
}

/// How far back a watch must read before it goes on, after polls of alice a minute apart.
#[track_caller]
fn check_reach(whens: &[&str], polls: &str, expect: Option<Span>) {
    let rules = (0..).zip(whens).map(|(n, when)| rule(&format!("rule-{n}"), when)).collect();
    let mut watch = Watch::new(setup(rules, &["alice"]), Remembered::default());
    for (minute, line) in (0..).zip(polls.split_whitespace()) {
        poll(&mut watch, minute, line);
    }
    assert_eq!(watch.reach(), expect, "{whens:?} after {polls}");
}

#[test]
fn history_is_read_back_as_far_as_it_counts() {
    let minutes = |n: i64| Some(Span::from_mins(n));
    // What a value holds, three minutes, comes on top.
    check_reach(&["online > 2"], "1 1", minutes(3));
    check_reach(&["online > 2", "peak(1h) > 9 and mean(10m) > 9"], "1 1", minutes(63));
    check_reach(&["online > 2", "online_time > 5h"], "1 1", None);
    check_reach(&["changes(5m) > 3"], "1", None);
    // An alert goes back to its first breach.
    check_reach(&["online > 2"], "1 3 3 3 3 3", minutes(4 + 3));
    check_reach(&["online > 2", "online > 4"], "1 5 1 5 3 3", minutes(2 + 3));
    check_reach(&["online > 2", "peak(9m) > 9"], "3 3 3", minutes(9 + 3));
}

#[test]
fn what_is_usual_is_learnt_once_an_hour_and_only_where_a_rule_asks() {
    let plain = || rule("busy", "online > 2");
    let watch = |rules| Watch::new(setup(rules, &["alice"]), Remembered::default());
    assert!(watch(vec![plain()]).lesson(START).is_none(), "nobody asks");
    let mut watch = watch(vec![plain(), rule("unusual", "online > usual(0.9)")]);
    for hour in 0..3 {
        let at = |minutes: i64| START + Span::from_hours(hour) + MINUTE.times(minutes);
        let lesson = watch.lesson(at(1)).unwrap();
        assert_eq!(lesson.rules().collect::<Vec<_>>(), ["unusual"], "whose episodes are left out");
        assert_eq!((lesson.hours().len(), lesson.reach()), (4, MINUTE.times(3)));
        watch.learn(lesson);
        assert!(watch.lesson(at(1)).is_none() && watch.lesson(at(59)).is_none(), "it is there already");
    }
}

/// What is written of alice's and bob's alerts, poll by poll: rows by their state, moves, the rows' end.
fn written(rule: Rule, polls: &str) -> String {
    let mut watch = Watch::new(setup(vec![rule], &["alice", "bob"]), Remembered::default());
    let mut out = String::new();
    for (minute, line) in (0..).zip(polls.split('/')) {
        let outcome = poll(&mut watch, minute, line);
        let row = outcome.poll.unwrap();
        let rows = outcome.alerts.iter().filter(|(key, _)| key.rule == "shared").map(|(key, alert)| {
            let blank = if alert.step_no == 0 && alert.since.is_none() { ", blank" } else { "" };
            format!(
                "  {} whole: {:?}, version {}, {} readings{blank}",
                key.subject.name,
                alert.state,
                alert.rule_version,
                alert.trail.len()
            )
        });
        let moves = row.moves.iter().flat_map(|of| &of.moves).map(|one| {
            let reading = one.reading.map_or("-".to_owned(), |reading| format!("{reading:?}"));
            format!(
                "  slot {} {:?}: now {:?}, {reading}, anew {}, blind {}",
                one.slot, one.turn, one.now, one.held_anew, one.blind
            )
        });
        let lines: Vec<String> = rows.chain(moves).collect();
        let events: Vec<String> =
            outcome.events.iter().map(|event| format!(" {:?} {}", event.kind, event.subject.name)).collect();
        let evidence =
            if row.evidence.is_empty() { String::new() } else { format!(" evidence {:?}", row.evidence) };
        if !lines.is_empty() || !events.is_empty() {
            out.push_str(&format!("{minute}: {line}{}{evidence}\n", events.concat()));
        }
        for line in lines {
            out.push_str(&format!("{line}\n"));
        }
    }
    out
}

#[test]
fn what_is_written_of_alerts() {
    let policy = Policy { hold: Hold::For(MINUTE.times(2)), clear_hold: Hold::For(MINUTE) };
    let held = Rule { policy, ..rule("shared", "online > limit") };
    let polls = Policy { hold: Hold::Polls { n: 2, of: 3 }, clear_hold: Hold::Polls { n: 2, of: 2 } };
    let by_polls = Rule { policy: polls, ..rule("shared", "online > limit") };
    let short = "1 1/3 1/1 1/3 1/3 3/4 3/3 3/3 1/1 1/1 1/1 1/3 1/3 _/_ _/_ _/_ _/3 3/1 1/1 1";
    // Pending and firing for longer than a row may be stale.
    let long = Rule {
        policy: Policy { hold: Hold::For(MINUTE.times(100)), clear_hold: Hold::For(MINUTE) },
        ..held.clone()
    };
    let flaps: Vec<&str> =
        (0..150).map(|n| if n == 130 { "1 1" } else { ["3 1", "4 1"][n / 9 % 2] }).collect();
    let rows = |told: String| -> String {
        let polls = told.lines().filter(|line| line.contains("whole") || line.contains("red alice"));
        polls.map(|line| format!("{line}\n")).collect()
    };
    let told = [
        ("held for two minutes", written(held, short)),
        ("two of three polls", written(by_polls, short)),
        ("held for long, the rows alone", rows(written(long, &flaps.join("/")))),
    ];
    let told: Vec<String> = told.into_iter().map(|(what, told)| format!("{what}\n{told}")).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn windows_that_were_cut_are_told_of_once() {
    let rules = vec![rule("restless", "changes(90d) > 1000000"), rule("busy", "online > 8")];
    let mut watch = Watch::new(setup(rules, &["alice", "zed"]), Remembered::default());
    let mut minute = 0;
    let mut go = |watch: &mut Watch, until: i64| {
        while minute < until {
            minute += 1;
            let column = [Reading::online(1), Reading::online(u32::from(minute % 2 == 0))];
            let (seq, clock) = (minute.unsigned_abs(), Span::from_mins(minute));
            watch.replay(&Past { seq, clock, column: &column, usable: true });
        }
    };
    go(&mut watch, 65_000);
    assert_eq!(watch.take_cut(), None);
    go(&mut watch, 66_000);
    assert_eq!(watch.take_cut().as_deref(), Some("zed"));
    go(&mut watch, 67_000);
    assert_eq!(watch.take_cut(), None, "once is enough");
}

#[test]
fn connections_are_asked_of_whom_a_rule_suspects() {
    let names = |watch: &Watch, outcome: &Outcome| -> Vec<String> {
        suspects(watch, outcome).into_iter().map(|(_, name)| name).collect()
    };
    let policy = Policy { hold: Hold::For(MINUTE), clear_hold: Hold::For(MINUTE) };
    let asks = Rule { evidence_clients: true, policy, ..shared() };
    let users = ["alice", "bob", "carol", "dave"];
    let rules = vec![
        rule("busy", "online > 0"),
        asks,
        Rule { evidence_clients: true, ..rule("crowd", "online > 8") },
    ];
    let mut watch = Watch::new(setup(rules, &users), Remembered::default());
    let first = poll(&mut watch, 0, "3 1 1 1");
    assert_eq!(names(&watch, &first), ["alice"], "pending");
    let second = poll(&mut watch, 1, "3 3 1 1");
    assert_eq!(
        names(&watch, &second),
        ["alice", "bob"],
        "one that has just fired before one that is pending"
    );
    let third = poll(&mut watch, 2, "3 3 3 1");
    assert_eq!(names(&watch, &third), ["bob", "carol", "alice"], "fired now, pending, firing on");
    let fourth = poll(&mut watch, 3, "1 3 0 9");
    // Dave has just fired by one rule and is pending by the other; carol has nothing to list.
    assert_eq!(names(&watch, &fourth), ["dave", "bob", "alice"], "recovering ones last");
    let fifth = poll(&mut watch, 4, "1 0 _ 9");
    assert_eq!(names(&watch, &fifth), ["dave"], "an alert that ended asks for nothing");

    let all: Vec<String> = (0..30).map(|n| format!("user-{n:02}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let crowd = Rule { evidence_clients: true, ..rule("shared", "online > limit") };
    let mut watch = Watch::new(setup(vec![crowd], &all), Remembered::default());
    let outcome = poll(&mut watch, 0, "3x29");
    assert_eq!(names(&watch, &outcome), all[..20], "the vendor is not asked about everybody");
}

fn client(address: &str, minute: Option<i64>) -> OnlineClient {
    OnlineClient { address: address.to_owned(), online_since: minute.map(|n| START + MINUTE.times(n)) }
}

#[test]
fn lists_of_connections_go_to_the_events_that_asked() {
    let asks = Rule { evidence_clients: true, ..rule("shared", "online > limit") };
    let mut watch =
        Watch::new(setup(vec![asks, rule("busy", "online > 2")], &["alice", "bob"]), Remembered::default());
    let lists = |list: &[OnlineClient]| BTreeMap::from([(0, list.to_vec())]);
    let sorted = [client("10.0.0.9", Some(-5)), client("10.0.0.1", Some(0)), client("10.0.0.2", Some(0))];
    let mut first = poll(&mut watch, 0, "3 3");
    attach(&mut watch, &mut first, lists(&[sorted[2].clone(), sorted[0].clone(), sorted[1].clone()]));
    assert!(
        first.told.len() == 4 && first.told.iter().all(|told| **told == ["soc"]),
        "everybody whom the rules name"
    );
    let told: Vec<(&str, &str, Option<&[OnlineClient]>)> = first
        .events
        .iter()
        .map(|event| (&*event.rule, &*event.subject.name, event.clients.as_deref()))
        .collect();
    let none: Option<&[OnlineClient]> = None;
    let expect = [
        ("shared", "alice", Some(&sorted[..])),
        ("shared", "bob", none),
        ("busy", "alice", none),
        ("busy", "bob", none),
    ];
    assert!(told.len() == 4 && expect.iter().all(|one| told.contains(one)), "longest online first: {told:?}");
    assert_eq!(first.poll.unwrap().clients, [(0, sorted.to_vec())]);
    // The same again is not stored again, another one is, and may be read as long as the event.
    let mut second = poll(&mut watch, 1, "3 3");
    attach(&mut watch, &mut second, lists(&sorted));
    assert_eq!(second.poll.unwrap().clients, []);
    let mut third = poll(&mut watch, 2, "3 3");
    attach(&mut watch, &mut third, lists(&sorted[..1]));
    let row = third.poll.unwrap();
    assert_eq!((row.clients, row.evidence), (vec![(0, sorted[..1].to_vec())], vec![0]));
    // A hundred are enough to see.
    let many: Vec<OnlineClient> = (0..120).map(|n| client(&format!("10.0.1.{n:03}"), Some(n))).collect();
    let mut fourth = poll(&mut watch, 3, "3 3");
    attach(&mut watch, &mut fourth, lists(&many));
    assert_eq!(fourth.poll.unwrap().clients, [(0, many[..100].to_vec())]);
}

#[test]
fn a_playback_takes_the_roster_of_each_time() {
    let off = rule("off", "not enabled and online > 0");
    let names = Names::new(["alice", "zed"]);
    let setup = Setup { roster: true, ..Arc::unwrap_or_clone(setup(vec![off], &["alice", "zed"])) };
    let mut playback =
        Playback::new(Arc::new(setup), names, Some(vec![Listed::Enabled, Listed::Enabled]), START);
    let mut column = Column::new(Vec::new());
    let both = [(0, Reading::online(1)), (1, Reading::online(1))];
    for minute in 0..6 {
        let changes: &[_] = if minute == 0 { &both } else { &[] };
        column.turn(changes, &[]);
        if minute == 2 {
            playback.roster(vec![Listed::Disabled, Listed::Enabled]);
        }
        if minute == 4 {
            playback.roster(vec![Listed::Enabled, Listed::Enabled]);
        }
        let elapsed = if minute == 0 { Span::ZERO } else { MINUTE };
        let at = START + MINUTE.times(minute);
        playback.poll(PastPoll { seq: minute.unsigned_abs() + 1, at, elapsed, usable: true }, &column);
    }
    assert_eq!(playback.watched().map(|(slot, ..)| slot).collect::<Vec<_>>(), [0, 1]);
    let episodes = playback.finish();
    let told: Vec<_> =
        episodes.iter().map(|one| (one.subject.name.as_str(), one.fired_at, one.ended_at)).collect();
    assert_eq!(told, [("alice", START + MINUTE.times(2), Some(START + MINUTE.times(4)))]);
}

/// When it fired, ended and was last seen, its highest count, and for how long it was blind; in minutes.
type Lasted = (i64, Option<i64>, i64, Option<u32>, i64);

/// The episodes of a rule over alice's timeline, a poll a minute; `!` before a word: a poll that tells nothing.
#[track_caller]
fn check_episodes(rule: Rule, from: i64, line: &str, expect: &[Lasted]) {
    let names = Names::new(["alice", "zed"]);
    let mut playback =
        Playback::new(setup(vec![rule], &["alice", "zed"]), names, None, START + MINUTE.times(from));
    let (mut column, alice) = (Column::new(Vec::new()), 0..1);
    for (n, word) in (0_i64..).zip(line.split_whitespace()) {
        let usable = !word.starts_with('!');
        let reading = readings(word.trim_start_matches('!'))[0];
        let failed = reading == Reading::FAILED;
        let mut changes = vec![(1, Reading::online(1))];
        changes.extend((!failed).then_some((0, reading)));
        changes.sort_unstable_by_key(|(slot, _)| *slot);
        column.turn(&changes, if failed { slice::from_ref(&alice) } else { &[] });
        let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
        playback.poll(
            PastPoll { seq: n.unsigned_abs() + 1, at: START + MINUTE.times(n), elapsed, usable },
            &column,
        );
    }
    let minute = |at: Time| at.since(START).millis() / 60_000;
    let found: Vec<_> = playback
        .finish()
        .into_iter()
        .map(|one| {
            let (ended, blind) = (one.ended_at.map(minute), one.blind.millis() / 60_000);
            (minute(one.fired_at), ended, minute(one.seen_at), one.peak, blind)
        })
        .collect();
    assert_eq!(found, expect, "{line}");
}

#[test]
fn an_episode_of_the_past_is_told_as_far_as_it_was_seen() {
    let rule = || rule("shared", "online > limit");
    check_episodes(rule(), 0, "1 3 5 4 1", &[(1, Some(4), 4, Some(5), 0)]);
    check_episodes(rule(), 0, "1 3 _ _ _ 4 1", &[(1, Some(6), 6, Some(4), 4)]);
    // What goes on has no end, and yet a highest count and a blind time.
    check_episodes(rule(), 0, "1 3 5 4", &[(1, None, 3, Some(5), 0)]);
    check_episodes(rule(), 0, "1 3 _ _ _ 7 3", &[(1, None, 6, Some(7), 4)]);
    check_episodes(rule(), 0, "1 3 3 !_ !_", &[(1, None, 2, Some(3), 0)]);
    // One that fired before the time that is asked about is left out.
    check_episodes(rule(), 2, "1 3 1 3 1", &[(3, Some(4), 4, Some(3), 0)]);
    check_episodes(rule(), 1, "1 3 1 3", &[(1, Some(2), 2, Some(3), 0), (3, None, 3, Some(3), 0)]);
}

/// Whom a rule that compares with peers fires for, of four users at one poll.
#[track_caller]
fn check_peers(when: &str, absent: AbsentMeans, line: &str, expect: &[&str]) {
    let users = ["alice", "bob", "carol", "dave"];
    let mut watch =
        Watch::new(setup(vec![Rule { absent, ..rule("odd", when) }], &users), Remembered::default());
    let outcome = poll(&mut watch, 0, line);
    let found: Vec<&str> = outcome.events.iter().map(|event| event.subject.name.as_str()).collect();
    assert_eq!(found, expect, "{when}, {absent:?}: {line}");
}

#[test]
fn peers_are_those_of_whom_a_count_is_known() {
    check_peers("online > peers(0.5)", AbsentMeans::Hold, "5 2 2 1", &["alice"]);
    // Who is absent has no count, or that of nobody.
    check_peers("online > peers(0.5)", AbsentMeans::Hold, "5 2 - -", &["alice"]);
    check_peers("online > peers(0.5)", AbsentMeans::Zero, "5 2 - -", &["alice", "bob"]);
    check_peers("online > peers(0.5)", AbsentMeans::Zero, "5 2 _ ~", &["alice"]);
    check_peers("peers(0) == 0", AbsentMeans::Zero, "5 2 - _", &["alice", "bob", "carol"]);
    check_peers("peers(0) == 0", AbsentMeans::Hold, "5 2 - _", &[]);
}

fn slots(asked: &Asked) -> Vec<u32> {
    asked.slots().collect()
}

#[test]
fn a_refused_name_is_left_out_for_a_day() {
    let mut watch = Watch::new(setup(Vec::new(), &["alice", "bob", "carol"]), Remembered::default());
    let hour = |n: i64| START + Span::from_hours(n);
    let all = watch.asked(START);
    assert_eq!(slots(&all), [0, 1, 2]);
    watch.quarantine(&all, &[1], START);
    assert_eq!(slots(&watch.asked(hour(23))), [0, 2]);
    let row = poll(&mut watch, 1, "3 ~ 1").poll.unwrap();
    assert_eq!(row.changes, [(0, Reading::online(3)), (2, Reading::online(1))]);
    assert_eq!((row.failed, row.tally.asked), (Vec::new(), 2));
    // The others say nothing about it.
    watch.quarantine(&watch.asked(hour(23)), &[], hour(23));
    assert_eq!(slots(&watch.asked(hour(23))), [0, 2]);
    let again = watch.asked(hour(24));
    assert_eq!(slots(&again), [0, 1, 2], "asked again a day later");
    // Polls do not begin to the millisecond: a daily one must not be taken for too early and pass a day.
    assert_eq!(slots(&watch.asked(hour(24) - Span::from_millis(700))), slots(&again));
    watch.quarantine(&again, &[1], hour(24));
    let held: Vec<_> =
        watch.memory.quarantine.iter().map(|one| (one.user.as_str(), one.since, one.retry_at)).collect();
    assert_eq!(held, [("bob", START, hour(48))], "it is refused since the first time");
    watch.quarantine(&watch.asked(hour(48)), &[], hour(48));
    assert_eq!((watch.memory.quarantine.len(), slots(&watch.asked(hour(48)))), (0, vec![0, 1, 2]));
}

#[test]
fn a_poll_of_some_says_nothing_of_the_others() {
    let mut watch = Watch::new(setup(Vec::new(), &["alice", "bob", "carol"]), Remembered::default());
    watch.quarantine(&watch.asked(START), &[1], START);
    let asked = watch.asked(START);
    let fetched = Fetched { readings: readings("3 1"), batch_of: vec![0, 1].into(), ..Fetched::default() };
    let poll =
        watch.poll(fetched, &asked, When { at: START, elapsed: Span::ZERO, jump: None, took: Span::ZERO });
    assert_eq!(poll.readings, readings("3 ~ 1"));
    assert_eq!((0..3).map(|slot| poll.batch_of.get(slot)).collect::<Vec<_>>(), [Some(0), None, Some(1)]);
    // Whoever was asked about and is not in the answer failed.
    let fetched = Fetched { readings: readings("3"), batch_of: vec![0].into(), ..Fetched::default() };
    let poll =
        watch.poll(fetched, &asked, When { at: START, elapsed: Span::ZERO, jump: None, took: Span::ZERO });
    assert_eq!(poll.readings, readings("3 ~ _"));
}

#[test]
fn a_rule_for_a_group_is_for_its_members() {
    let group = Group {
        name: "contractors".to_owned(),
        users: vec![globset::Glob::new("ext-*").unwrap().compile_matcher()],
        source: None,
        limit: None,
        labels: BTreeMap::new(),
    };
    let scope = Scope { groups: vec!["contractors".to_owned()], ..Scope::default() };
    let rules = vec![Rule { scope, ..rule("shared", "online > limit") }, rule("busy", "online > limit")];
    let mut setup = Arc::unwrap_or_clone(setup(rules, &["alice", "ext-1"]));
    setup.fleet = Arc::new(Fleet { groups: vec![group], ..Fleet::default() });
    let mut watch = Watch::new(Arc::new(setup), Remembered::default());
    let outcome = poll(&mut watch, 0, "3 3");
    let told: Vec<(&str, &str)> =
        outcome.events.iter().map(|event| (&*event.rule, &*event.subject.name)).collect();
    assert_eq!(told, [("shared", "ext-1"), ("busy", "alice"), ("busy", "ext-1")]);
    assert!(!outcome.is_empty() && Outcome::default().is_empty());
}

#[test]
fn a_rule_in_the_shadow_tells_nobody() {
    let shadow = Rule { mode: Mode::Shadow, ..rule("shared", "online > limit") };
    let mut watch = Watch::new(setup(vec![shadow], &["alice"]), Remembered::default());
    let outcome = poll(&mut watch, 0, "3");
    assert_eq!((outcome.events.len(), outcome.told), (1, vec![Vec::new().into()]));
}

#[test]
fn the_run_up_fills_windows_and_holds() {
    let policy = Policy { hold: Hold::For(Span::from_hours(2)), clear_hold: Hold::Polls { n: 2, of: 30 } };
    let long = Rule { policy, ..rule("long", "peak(3d) > 4 and mean(1h) > 2") };
    let rules = [Arc::new(rule("plain", "online > 2")), Arc::new(long)];
    let day = Span::from_days(1);
    assert_eq!(run_up(&rules, MINUTE), Span::from_days(4) + Span::from_hours(2) + MINUTE.times(30));
    assert_eq!((run_up(&rules[..1], MINUTE), run_up(&[], MINUTE)), (day, day));
}
