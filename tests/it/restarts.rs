//! Random histories, judged by an agent that never stops and by one that is started again now and then: the events
//! are the same, whatever was missing in between.
//!
//! Neighbours: `lifecycle` tells single stories the same way. A part of its own because nobody thinks of the history
//! that breaks: several users, groups, absences, failed polls, holes and clocks that jump, in any order.

use std::sync::Arc;

use chrono_tz::Asia::Shanghai;
use proptest::prelude::*;
use seatwatch::engine::event::{Event, EventKind};
use seatwatch::engine::fleet::{Fleet, Group};
use seatwatch::engine::judge::judge;
use seatwatch::engine::lang::compile;
use seatwatch::engine::message::Language;
use seatwatch::engine::names::{Asked, Names};
use seatwatch::engine::reading::{Batch, Fault, FaultClass, Fetched, Reading};
use seatwatch::engine::restore::Past;
use seatwatch::engine::rule::{AbsentMeans, Hold, Per, Policy, Rule};
use seatwatch::engine::tend::reconcile;
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::{Remembered, Setup, Watch, When};

use crate::lifecycle::rule;
use crate::world::START;

const USERS: [&str; 5] = ["alice", "bob", "carol", "ext-1", "ext-2"];

/// One poll of a history.
#[derive(Clone, Debug)]
struct Moment {
    /// Of each user; all failed where the poll is.
    readings: Vec<Reading>,
    /// What passed since the poll before, and how far the wall clock jumped then.
    passed: Span,
    jump: Span,
    /// The agent is started again after it; by the checkpoint of this poll, or by polls alone.
    restart: Option<bool>,
}

fn moment() -> impl Strategy<Value = Moment> {
    let reading = prop_oneof![
        6 => (0_u32..5).prop_map(Reading::online),
        2 => Just(Reading::ABSENT),
        2 => Just(Reading::FAILED),
        1 => Just(Reading::NOT_POLLED),
    ];
    let readings = prop_oneof![
        7 => proptest::collection::vec(reading, USERS.len()),
        1 => Just(vec![Reading::FAILED; USERS.len()]),
    ];
    let passed = prop_oneof![
        8 => Just(Span::from_mins(1)),
        1 => (1_i64..30).prop_map(Span::from_mins),
        1 => Just(Span::ZERO),
    ];
    let jump = prop_oneof![9 => Just(Span::ZERO), 1 => (-200_i64..200).prop_map(Span::from_mins)];
    (readings, passed, jump, proptest::option::weighted(0.25, any::<bool>()))
        .prop_map(|(readings, passed, jump, restart)| Moment { readings, passed, jump, restart })
}

fn rules() -> Vec<Rule> {
    let held = |name: &str, when: &str, hold, clear_hold| Rule {
        policy: Policy { hold, clear_hold },
        ..rule(name, when)
    };
    let minutes = |n| Hold::For(Span::from_mins(n));
    let per = |per, name: &str, when: &str| Rule {
        per,
        when: compile(when, per).unwrap(),
        ..rule(name, "online > 0")
    };
    vec![
        held("shared", "online > limit", minutes(0), minutes(0)),
        held("held", "online > limit", minutes(3), minutes(2)),
        held("often", "online >= 2", Hold::Polls { n: 2, of: 4 }, Hold::Polls { n: 2, of: 3 }),
        Rule { absent: AbsentMeans::Zero, ..held("offline", "offline_time >= 3m", minutes(0), minutes(1)) },
        Rule { absent: AbsentMeans::Breach, ..rule("missing", "absent_time > 2m") },
        rule("busy", "peak(10m) >= 4 and changes(5m) > 1 or low(4m) > 2 or mean(6m) > 3"),
        rule("leap", "online > previous + 2 or time_over(2, 10m) > 4m"),
        rule("odd", "online > peers(0.5) + 1"),
        per(Per::Group, "crowd", "total > 5"),
        per(Per::Source, "seats", "total > 9 or silent_time > 3m or failed_share > 0.7"),
    ]
}

fn setup() -> Arc<Setup> {
    let group = |name: &str, users: &str, limit| Group {
        name: name.to_owned(),
        users: vec![globset::Glob::new(users).unwrap().compile_matcher()],
        source: None,
        limit,
        labels: Default::default(),
    };
    let fleet =
        Fleet { groups: vec![group("ext", "ext-*", Some(1)), group("all", "*", None)], ..Fleet::default() };
    Arc::new(Setup {
        install: "install".to_owned(),
        source: "shanghai".to_owned(),
        interval: Span::from_mins(1),
        zone: Shanghai,
        fleet: Arc::new(fleet),
        rules: rules().into_iter().map(Arc::new).collect(),
        elsewhere: Vec::new(),
        users: Arc::new(Names::new(USERS)),
        language: Language::En,
        own_notify: vec!["soc".to_owned()].into(),
        roster: false,
    })
}

/// What a store holds of a source.
#[derive(Default)]
struct Kept {
    past: Vec<(u64, Span, Vec<Reading>, bool)>,
    last: Vec<Reading>,
    alerts: std::collections::BTreeMap<String, String>,
    checkpoint: Option<(u64, Vec<u8>)>,
    memory: String,
    names: Vec<String>,
}

fn fetched(moment: &Moment, at: Time, seq: usize) -> Fetched {
    let failed = moment.readings.iter().all(|reading| *reading == Reading::FAILED);
    let message = "nothing came".to_owned();
    Fetched {
        readings: moment.readings.clone(),
        batch_of: vec![0; USERS.len()].into(),
        batches: vec![Batch { fetched_at: at, request_id: Some(format!("R{seq}").into()) }],
        fault: failed.then(|| Fault {
            class: FaultClass::Server,
            code: "500".to_owned(),
            message,
            advice: None,
        }),
        ..Fetched::default()
    }
}

fn play(history: &[Moment], restarts: bool) -> Vec<Arc<Event>> {
    let setup = setup();
    let mut watch = Watch::new(Arc::clone(&setup), Remembered::default());
    let (mut events, mut at, mut kept) = (Vec::new(), START, Kept::default());
    for (n, moment) in history.iter().enumerate() {
        at = at + moment.passed + moment.jump;
        let elapsed = if n == 0 { Span::ZERO } else { moment.passed };
        let jump = Some(moment.jump).filter(|jump| *jump != Span::ZERO);
        let asked = Asked::all(Arc::clone(&watch.names));
        let poll = watch.poll(fetched(moment, at, n), &asked, When { at, elapsed, jump, took: Span::ZERO });
        let usable = poll.tally().outcome != seatwatch::engine::reading::PollOutcome::Failed;
        let column = poll.readings.clone();
        let mut outcome = judge(&mut watch, poll, at);
        watch.names_saved();
        kept.take(&mut outcome, (watch.memory.seq, watch.memory.clock, column, usable));
        events.append(&mut outcome.events);
        let settled = reconcile(&mut watch, at);
        assert!(settled.is_empty(), "nothing was changed: {settled:?}");
        if let Some(by_checkpoint) = moment.restart.filter(|_| restarts) {
            if by_checkpoint {
                kept.checkpoint = Some((watch.memory.seq, watch.checkpoint().bytes()));
            }
            watch = kept.watch(&setup);
        }
    }
    events
}

impl Kept {
    fn take(
        &mut self,
        outcome: &mut seatwatch::engine::outcome::Outcome,
        past: (u64, Span, Vec<Reading>, bool),
    ) {
        let row = outcome.poll.take().unwrap();
        let read = |(key, alert): (&String, &String)| {
            (serde_json::from_str(key).unwrap(), serde_json::from_str(alert).unwrap())
        };
        let mut alerts = self.alerts.iter().map(read).collect();
        row.lay_moves(&mut alerts);
        let written =
            |(key, alert)| (serde_json::to_string(&key).unwrap(), serde_json::to_string(&alert).unwrap());
        self.alerts = alerts.into_iter().map(written).collect();
        self.names.extend(row.new_names.iter().map(str::to_owned));
        self.last.resize(self.names.len(), Reading::NOT_POLLED);
        for (slot, reading) in row.changes {
            self.last[slot as usize] = reading;
        }
        self.past.push(past);
        self.memory = serde_json::to_string(&row.memory).unwrap();
        for (key, alert) in outcome.alerts.drain(..) {
            self.alerts.insert(serde_json::to_string(&key).unwrap(), serde_json::to_string(&*alert).unwrap());
        }
    }

    fn watch(&self, setup: &Arc<Setup>) -> Watch {
        let read = |(key, alert): (&String, &String)| {
            (serde_json::from_str(key).unwrap(), serde_json::from_str(alert).unwrap())
        };
        let remembered = Remembered {
            names: Names::new(&self.names),
            last: self.last.clone(),
            memory: serde_json::from_str(&self.memory).unwrap(),
            alerts: self.alerts.iter().map(read).collect(),
            roster: None,
        };
        let mut watch = Watch::new(Arc::clone(setup), remembered);
        let restored =
            self.checkpoint.as_ref().filter(|(_, bytes)| watch.restore(bytes)).map(|(seq, _)| *seq);
        assert_eq!(restored.is_some(), self.checkpoint.is_some(), "a checkpoint of the same rules is usable");
        for (seq, clock, column, usable) in self.past.iter().filter(|past| Some(past.0) > restored) {
            watch.replay(&Past { seq: *seq, clock: *clock, column, usable: *usable });
        }
        watch
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_7_restarts_change_no_event(history in proptest::collection::vec(moment(), 1..50)) {
        let expect = play(&history, false);
        prop_assert_eq!(play(&history, true), expect);
    }

    /// Each episode has one *fired*, at most one *ended*, and nothing after it; ids are never used twice.
    #[test]
    fn lifecycles_are_whole(history in proptest::collection::vec(moment(), 1..50)) {
        let events = play(&history, true);
        let mut ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        ids.sort_unstable();
        let before = ids.len();
        ids.dedup();
        prop_assert_eq!(ids.len(), before);
        let mut open = std::collections::BTreeMap::new();
        for event in &events {
            prop_assert!(event.blind >= Span::ZERO);
            let subject = (event.rule.clone(), event.subject.clone());
            match event.kind {
                EventKind::Fired => prop_assert_eq!(open.insert(subject, event.episode.clone()), None),
                EventKind::Ended => prop_assert_eq!(open.remove(&subject), Some(event.episode.clone())),
                EventKind::Changed => prop_assert_eq!(open.get(&subject), Some(&event.episode)),
                EventKind::Reminded | EventKind::Escalated | EventKind::Acked | EventKind::Closed => {
                    prop_assert!(false, "nobody asked for {:?}", event.kind);
                }
            }
        }
    }
}
