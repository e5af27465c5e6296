//! Random histories, judged by a watch that passes over whom it need not look at and by one that looks at everybody at
//! every poll: the outcomes are the same, byte for byte. So are the events when a history is judged once more.
//!
//! Neighbours: `due` and `verdict` decide whom to pass over. A part of its own because only in here can a watch be made
//! to look at all.

use std::sync::Arc;

use chrono_tz::Asia::Shanghai;
use globset::Glob;
use proptest::prelude::*;

use super::calendar::Calendar;
use super::event::{Event, Severity};
use super::fleet::{Exception, Fleet, Group};
use super::judge::{judge, judge_past};
use super::lang::compile;
use super::message::Language;
use super::names::Names;
use super::outcome::{Act, ActRow, Outcome};
use super::own::Own;
use super::past::Column;
use super::reading::{Batch, Fetched, Poll, PollOutcome, Reading};
use super::roster::Roster;
use super::rule::{AbsentMeans, Hold, Mode, OnLeave, Per, Policy, Rule, Scope};
use super::tend::{act, remind};
use super::time::{Span, Time};
use super::watch::{Remembered, Setup, Watch, When};

/// Monday 2026-11-23, 23:50 in Shanghai: ten minutes before an exception ends.
const START: Time = Time::from_millis(1_795_449_000_000);
const USERS: [&str; 4] = ["alice", "bob", "ext-1", "ext-2"];

/// Conditions with the hold in minutes, what absent means, and `max_gap` in minutes.
const RULES: [(&str, i64, AbsentMeans, i64); 24] = [
    ("online > limit", 0, AbsentMeans::Hold, 3),
    ("online > limit", 5, AbsentMeans::Zero, 3),
    ("online >= 2", -3, AbsentMeans::Hold, 3),
    ("online == 0", 1, AbsentMeans::Zero, 3),
    ("online == 0", 0, AbsentMeans::Breach, 3),
    ("peak(10m) >= 3 and changes(7m) > 1", 0, AbsentMeans::Hold, 3),
    ("low(5m) > 1 or mean(6m) > 2", 0, AbsentMeans::Hold, 3),
    ("low(4m) < 1", 7, AbsentMeans::Zero, 10),
    ("mean(9m) * 2 > limit + 1", 0, AbsentMeans::Hold, 2),
    ("mean(7m) < 1.5", 0, AbsentMeans::Hold, 10),
    ("mean(3m) > mean(9m)", 0, AbsentMeans::Zero, 3),
    ("time_over(1, 12m) > 4m", 0, AbsentMeans::Hold, 3),
    ("time_over(0, 8m) / 8m < 0.5", 0, AbsentMeans::Hold, 10),
    ("online_time >= 5m", 0, AbsentMeans::Hold, 3),
    ("offline_time > 3m and not online_time > 0m", 0, AbsentMeans::Zero, 2),
    ("online_time - offline_time > 2m or offline_time * 1.5 > 4m", 0, AbsentMeans::Hold, 10),
    ("absent_time > 3m", 0, AbsentMeans::Hold, 3),
    ("absent_time > 2m and peak(9m) > 1 or online > 3", 0, AbsentMeans::Breach, 3),
    ("previous < online", 0, AbsentMeans::Hold, 3),
    ("not (previous > 0) or 1 / changes(5m) > 0.4", 1, AbsentMeans::Zero, 3),
    ("online > peers(0.5) + 1", 0, AbsentMeans::Hold, 3),
    ("not known or not enabled", 0, AbsentMeans::Hold, 3),
    ("enabled and online_time > 3m", 0, AbsentMeans::Hold, 3),
    ("changes(6m) == 0 and online > 1", 0, AbsentMeans::Hold, 3),
];

/// One of the rules above, or one that has a window, or of groups.
fn rule(number: usize, window: Option<bool>, clear: bool) -> Rule {
    let (when, hold, absent, max_gap) = RULES[number % RULES.len()];
    let per = if number < RULES.len() { Per::User } else { Per::Group };
    let when = if per == Per::Group { "total > 4 or mean(6m) > 3" } else { when };
    let minutes = |n| Hold::For(Span::from_mins(n));
    let hold = if hold < 0 { Hold::Polls { n: 2, of: 3 } } else { minutes(hold) };
    let clear_text = if per == Per::User { "online < 2 and online_time < 9m" } else { "total < 3" };
    let calendar = Calendar::new("late", Shanghai, &["Mon-Sun"], &["23:55-00:10"], &[], &[]).unwrap();
    Rule {
        name: format!("rule-{number}"),
        version: "1".to_owned(),
        per,
        when_text: when.to_owned(),
        clear_when_text: None,
        when: compile(when, per).unwrap(),
        clear_when: clear.then(|| compile(clear_text, per).unwrap()),
        limit: Some(2),
        policy: Policy { hold, clear_hold: minutes(i64::from(clear) * [1, 5][number % 2]) },
        severity: Severity::High,
        notify: vec!["soc".to_owned()].into(),
        repeat: Some(Span::from_mins(5)),
        max_gap: Some(Span::from_mins(max_gap)),
        absent,
        during: window.map(|_| Arc::new(calendar)),
        on_leave: if window == Some(true) { OnLeave::End } else { OnLeave::Hold },
        mode: Mode::Live,
        evidence_clients: false,
        scope: Scope::default(),
    }
}

fn setup(rules: Vec<Rule>) -> Arc<Setup> {
    let ext = Group {
        name: "ext".to_owned(),
        users: vec![Glob::new("ext-*").unwrap().compile_matcher()],
        source: None,
        limit: Some(1),
        labels: Default::default(),
    };
    let bob = Exception {
        user: "bob".to_owned(),
        source: None,
        limit: Some(4),
        reason: "two desks".to_owned(),
        owner: "it".to_owned(),
        expires: "2026-11-23".parse().unwrap(),
    };
    Arc::new(Setup {
        install: "install".to_owned(),
        source: "shanghai".to_owned(),
        interval: Span::from_mins(1),
        zone: Shanghai,
        fleet: Arc::new(Fleet { groups: vec![ext], exceptions: vec![bob] }),
        rules: rules.into_iter().map(Arc::new).collect(),
        elsewhere: Vec::new(),
        users: Arc::new(Names::new(&USERS[..3])),
        roster: true,
        language: Language::En,
        own_notify: vec!["soc".to_owned()].into(),
    })
}

/// One poll of a history, and what happens before it.
#[derive(Clone, Debug)]
struct Moment {
    /// What turns: a user, and the new reading.
    turns: Vec<(usize, Reading)>,
    fails: bool,
    passed: Span,
    before: Between,
}

#[derive(Clone, Debug)]
enum Between {
    Nothing,
    /// The names that are on it, and whether they are enabled.
    Roster(Vec<(usize, Option<bool>)>),
    /// An operator closes the first open episode.
    Close(bool),
    Remind,
    /// The agent is started again.
    Restart,
}

fn moment() -> impl Strategy<Value = Moment> {
    let reading = prop_oneof![
        8 => (0_u32..5).prop_map(Reading::online),
        2 => Just(Reading::ABSENT),
        1 => Just(Reading::FAILED),
        1 => Just(Reading::NOT_POLLED),
    ];
    let passed = prop_oneof![
        16 => Just(Span::from_mins(1)),
        2 => Just(Span::from_millis(30_500)),
        1 => (1_i64..13).prop_map(Span::from_mins),
        1 => Just(Span::ZERO),
    ];
    let listed = prop::collection::vec((0..USERS.len(), any::<Option<bool>>()), 1..5);
    let before = prop_oneof![
        20 => Just(Between::Nothing),
        1 => listed.prop_map(Between::Roster),
        1 => any::<bool>().prop_map(Between::Close),
        1 => Just(Between::Remind),
        1 => Just(Between::Restart),
    ];
    let turns = prop_oneof![
        2 => Just(Vec::new()),
        2 => prop::collection::vec((0..USERS.len(), reading), 1..3),
    ];
    (turns, prop::bool::weighted(0.04), passed, before).prop_map(|(turns, fails, passed, before)| Moment {
        turns,
        fails,
        passed,
        before,
    })
}

/// A watch that was started again with what a store would hold.
fn again(watch: &Watch) -> Watch {
    let remembered = Remembered {
        names: (*watch.names).clone(),
        last: watch.last.iter().collect(),
        memory: watch.memory.clone(),
        alerts: watch.alerts(),
        roster: watch.roster.clone(),
    };
    let mut again = Watch::new(Arc::clone(&watch.setup), remembered);
    assert!(again.restore(&watch.checkpoint().bytes()), "its own checkpoint");
    again
}

fn settle(watch: &mut Watch, between: &Between, at: Time) -> Outcome {
    match between {
        Between::Nothing => {}
        Between::Roster(listed) => {
            let mut users: Vec<(Arc<str>, Option<bool>)> = Vec::new();
            for (user, enabled) in listed {
                if users.iter().all(|(name, _)| **name != *USERS[*user]) {
                    users.push((USERS[*user].into(), *enabled));
                }
            }
            watch.take_roster(&Roster { at, users });
        }
        Between::Close(rearm) => {
            let alerts = watch.alerts().into_iter();
            let mut open =
                alerts.filter_map(|(_, alert)| alert.episode.map(|episode| episode.id.to_string()));
            if let Some(episode) = open.next() {
                let act_row = Act::Close { episode, rearm: *rearm, finding: None, note: None };
                let row = ActRow { id: 1, by: "op".to_owned(), at, act: act_row };
                return act(watch, &row, at).unwrap_or_default();
            }
        }
        Between::Remind => return remind(watch, at),
        Between::Restart => *watch = again(watch),
    }
    Outcome::default()
}

fn poll(watch: &mut Watch, said: &[Reading], moment: &Moment, at: Time, first: bool) -> Outcome {
    let asked = watch.asked(at);
    let readings = asked.slots().map(|slot| match moment.fails {
        true => Reading::FAILED,
        false => USERS
            .iter()
            .position(|user| **user == *watch.names.name(slot))
            .map_or_else(Reading::default, |user| said[user]),
    });
    let fetched = Fetched {
        readings: readings.collect(),
        batch_of: vec![0; asked.len()].into(),
        batches: vec![Batch { fetched_at: at, request_id: Some(format!("R{at}").into()) }],
        ..Fetched::default()
    };
    let elapsed = if first { Span::ZERO } else { moment.passed };
    let poll = watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
    let outcome = judge(watch, poll, at);
    watch.names_saved();
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whom_a_rule_passes_over_would_have_told_it_nothing(
        rules in prop::collection::btree_map(0..RULES.len() + 2, (prop::option::weighted(0.15, any::<bool>()), any::<bool>()), 1..5),
        history in prop::collection::vec(moment(), 1..40),
    ) {
        let rules = rules.into_iter().map(|(number, (window, clear))| rule(number, window, clear)).collect();
        let mut watch = Watch::new(setup(rules), Remembered::default());
        let mut looking = watch.clone();
        let (mut said, mut at) = ([Reading::online(1); 4], START);
        for (n, moment) in history.iter().enumerate() {
            at = at + moment.passed;
            moment.turns.iter().for_each(|(user, reading)| said[*user] = *reading);
            prop_assert_eq!(settle(&mut watch, &moment.before, at), settle(&mut looking, &moment.before, at));
            looking.look_at_all();
            let found = poll(&mut watch, &said, moment, at, n == 0);
            let expect = poll(&mut looking, &said, moment, at, n == 0);
            prop_assert_eq!(&found, &expect);
            prop_assert_eq!(watch.alerts(), looking.alerts());
        }
    }
}

/// What history makes of an event: neither its answers nor what it rests on.
fn as_of_the_past(events: Vec<Arc<Event>>) -> Vec<Arc<Event>> {
    let ours = events.into_iter().filter(|event| Own::of_name(&event.rule).is_none());
    let mut all: Vec<Arc<Event>> = ours.collect();
    for event in all.iter_mut().map(Arc::make_mut) {
        event.request_ids.clear();
        event.signals.clear();
        event.readings = Vec::new().into();
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn history_is_judged_as_it_was_live(
        rules in prop::collection::btree_map(0..RULES.len() + 2, (prop::option::weighted(0.15, any::<bool>()), any::<bool>()), 1..5),
        history in prop::collection::vec(moment(), 1..60),
    ) {
        let rules = rules.into_iter().map(|(number, (window, clear))| rule(number, window, clear)).collect();
        let mut watch = Watch::new(setup(rules), Remembered::default());
        let (mut past, mut column) = (watch.clone(), Column::new(Vec::new()));
        let (mut said, mut at) = ([Reading::online(1); 4], START);
        for (n, moment) in history.iter().enumerate() {
            at = at + moment.passed;
            moment.turns.iter().for_each(|(user, reading)| said[*user] = *reading);
            if matches!(moment.before, Between::Roster(_)) {
                settle(&mut watch, &moment.before, at);
                settle(&mut past, &moment.before, at);
            }
            let live = poll(&mut watch, &said, moment, at, n == 0);
            let row = live.poll.as_ref().unwrap();
            column.turn(&row.changes, &row.failed);
            let usable = row.tally.outcome != PollOutcome::Failed;
            let header = Poll { batch_of: Vec::new().into(), batches: Vec::new(), ..row.poll.clone() };
            let again = judge_past(&mut past, &header, &column, usable);
            prop_assert_eq!(as_of_the_past(again), as_of_the_past(live.events));
        }
    }
}

#[test]
fn what_tells_nothing_for_days_takes_no_room() {
    let mut watch = Watch::new(setup(vec![rule(0, Some(false), true)]), Remembered::default());
    let mut events = Vec::new();
    let mut go = |watch: &mut Watch, minutes: std::ops::Range<i64>, said: Reading| {
        for n in minutes {
            let at = START + Span::from_mins(n);
            let passed = Span::from_mins(1);
            let moment = Moment { turns: Vec::new(), fails: false, passed, before: Between::Nothing };
            let outcome = poll(
                watch,
                &[said, Reading::online(1), Reading::online(1), Reading::online(1)],
                &moment,
                at,
                n == 0,
            );
            events.extend(outcome.events.into_iter().filter(|event| event.rule == "rule-0"));
            let plan = &watch.plans[0];
            assert!(plan.due.wanted_again() <= usize::try_from(plan.open.len()).unwrap(), "minute {n}");
        }
    };
    go(&mut watch, 0..19, Reading::online(3));
    // It recovers, and from 00:10 on nobody sees more of it for a day.
    go(&mut watch, 19..20, Reading::online(1));
    go(&mut watch, 20..1020, Reading::ABSENT);
    go(&mut watch, 1020..1023, Reading::online(1));
    let trail: Vec<Reading> =
        events.pop().unwrap().readings.list().iter().map(|reading| reading.reading).collect();
    let [one, three] = [1, 3].map(Reading::online);
    assert_eq!(trail, [three, one, Reading::ABSENT, one, one]);
}
