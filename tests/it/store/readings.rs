//! Every (user, poll) reading comes back as it went in, whatever happened between.
//! Timelines are random; the columns they were made of are what every way of reading is compared with.

use proptest::prelude::*;
use std::sync::Arc;

use seatwatch::engine::names::{Names, NewNames};
use seatwatch::engine::outcome::Outcome;
use seatwatch::engine::reading::Reading;
use seatwatch::engine::time::Span;
use seatwatch::store::{Reader, Retention, Store, StoreError};

use super::{Timeline, World, at, commit_poll};

fn reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        8 => Just(Reading::online(1)),
        3 => (0_u32..8).prop_map(Reading::online),
        1 => Just(Reading::online(100_000)),
        2 => Just(Reading::ABSENT),
        3 => Just(Reading::FAILED),
        2 => Just(Reading::NOT_POLLED),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    /// A poll over these users (at least as many as before), and whether it brings a keyframe.
    Poll(Vec<Reading>, bool),
    /// Everything failed.
    Outage,
    /// Forget what is older than so many minutes, in batches of so many rows, not necessarily to the end.
    Prune(i64, u32, bool),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (prop::collection::vec(reading(), 1..12), any::<bool>()).prop_map(|(r, k)| Step::Poll(r, k)),
        2 => Just(Step::Outage),
        1 => (0_i64..30, 1_u32..6, any::<bool>()).prop_map(|(m, b, all)| Step::Prune(m, b, all)),
        1 => Just(Step::Restart),
    ]
}

/// What a page held when it could not be read on is not given out as if it came after.
#[test]
fn polls_end_with_the_first_that_cannot_be_read() {
    let world = World::new();
    let (store, mut timeline) = (world.open(), Timeline::default());
    for count in 1..=3 {
        commit_poll(&store, timeline.poll(&[Reading::online(count)], false));
    }
    let broken = "UPDATE poll SET changes = x'ff' WHERE seq = 3";
    rusqlite::Connection::open(world.path()).unwrap().execute_batch(broken).unwrap();
    let read: Vec<_> = store.reader().unwrap().polls("shanghai", 1).unwrap().collect();
    assert_eq!(read.len(), 1, "{read:?}");
    assert!(matches!(read[0], Err(StoreError::Unreadable { .. })), "{read:?}");
}

/// Compares everything that can still be told with what was said; the oldest poll is `first` or earlier.
fn compare(reader: &Reader, timeline: &Timeline, first: usize) {
    let Some(users) = timeline.said.last().map(Vec::len) else { return };
    let loaded = reader.load_source("shanghai").unwrap();
    assert_eq!(loaded.names.len(), users);
    assert_eq!(loaded.column, timeline.kept);
    assert_eq!(loaded.memory, timeline.memory);

    let replayed: Vec<_> = reader.polls("shanghai", 1).unwrap().collect::<Result<_, _>>().unwrap();
    let oldest = replayed.first().unwrap().seq as usize;
    assert!(oldest <= first.max(1), "poll {oldest} is the oldest, {first} may still be asked for");
    assert_eq!(replayed.len(), timeline.said.len() + 1 - oldest);
    for slot in 0..users {
        let history = reader.history("shanghai", &format!("user-{slot}"), at(0), at(1_000_000)).unwrap();
        let said =
            timeline.said[oldest - 1..].iter().map(|column| column.get(slot).copied().unwrap_or_default());
        let told: Vec<_> = history.iter().map(|h| h.reading).collect();
        assert_eq!(told, said.collect::<Vec<_>>(), "user-{slot} from poll {oldest} on");
    }
    let mut column = reader.column_at("shanghai", oldest as u64).unwrap();
    column.resize(users, Reading::NOT_POLLED);
    for poll in &replayed {
        if poll.seq as usize > oldest {
            for (slot, reading) in &poll.changes {
                column[*slot as usize] = *reading;
            }
        }
        let mut said = column.clone();
        for slot in poll.failed.iter().cloned().flatten() {
            said[slot as usize] = Reading::FAILED;
        }
        let mut expect = timeline.said[poll.seq as usize - 1].clone();
        expect.resize(users, Reading::NOT_POLLED);
        assert_eq!(said, expect, "poll {} replayed", poll.seq);
        let mut exact = reader.readings_at("shanghai", poll.seq).unwrap();
        exact.resize(users, Reading::NOT_POLLED);
        assert_eq!(exact, expect, "poll {} read at once", poll.seq);
    }
    assert!(reader.check().unwrap().is_ok(), "{:?}", reader.check());
}

fn keep_readings(minutes: i64) -> Retention {
    Retention { readings: Span::from_mins(minutes), ..Retention::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn every_reading_comes_back(steps in prop::collection::vec(step(), 1..45)) {
        let world = World::new();
        let (mut store, mut timeline, mut first) = (world.open(), Timeline::default(), 1);
        for step in steps {
            let users = timeline.kept.len();
            match step {
                Step::Poll(mut readings, keyframe) => {
                    readings.resize(users.max(readings.len()), Reading::NOT_POLLED);
                    commit_poll(&store, timeline.poll(&readings, keyframe));
                }
                Step::Outage => commit_poll(&store, timeline.poll(&vec![Reading::FAILED; users], false)),
                Step::Prune(minutes, batch, to_the_end) => {
                    let seq = timeline.memory.seq as i64;
                    first = first.max((seq - minutes) as usize);
                    while store.prune(at(seq), keep_readings(minutes), batch).wait().unwrap().more && to_the_end {}
                }
                Step::Restart => {
                    drop(store);
                    store = world.open();
                }
            }
        }
        if timeline.memory.seq > 0 {
            compare(&store.reader().unwrap(), &timeline, first);
        }
    }
}

#[test]
fn pruning_makes_a_keyframe_where_none_is_near() {
    let world = World::new();
    let (store, mut timeline) = (world.open(), Timeline::default());
    for minute in 0..3_000_u32 {
        commit_poll(&store, timeline.poll(&[Reading::online(minute / 100), Reading::ABSENT], false));
    }
    let mut taken = 0;
    loop {
        let pruned = store.prune(at(3_000), keep_readings(60), 500).wait().unwrap();
        assert!(pruned.polls <= 500, "small batches");
        taken += pruned.polls;
        if !pruned.more {
            break;
        }
    }
    assert!((2_900..2_941).contains(&taken), "{taken}");
    compare(&store.reader().unwrap(), &timeline, 2_940);
}

#[test]
fn a_quiet_fleet_costs_little() {
    let world = World::new();
    let (store, mut timeline) = (world.open(), Timeline::default());
    let mut column = vec![Reading::online(1); 10_000];
    for minute in 0..800_usize {
        for n in 0..50 {
            column[(minute * 37 + n * 191) % 10_000] = Reading::online((minute % 3) as u32);
        }
        commit_poll(&store, timeline.poll(&column, minute % 400 == 0));
        timeline.said.clear();
    }
    // Without the answers behind changes, which are kept a week.
    while store
        .prune(at(1_000_000), Retention { requests: Span::ZERO, ..keep_readings(2_000_000) }, 10_000)
        .wait()
        .unwrap()
        .more
    {}
    let stats = store.reader().unwrap().stats().unwrap();
    assert_eq!(stats.readings, 8_000_000);
    let bytes = stats.bytes_per_reading.unwrap();
    assert!(bytes < 0.12, "{bytes} bytes per reading: {stats:?}");
}

#[test]
fn the_answer_behind_a_change_is_kept_for_a_week_and_behind_a_breach_longer() {
    let world = World::new();
    let (store, mut timeline) = (world.open(), Timeline::default());
    let mut first = timeline.poll(&[Reading::online(1), Reading::online(5)], true);
    first.evidence = vec![1];
    commit_poll(&store, first);
    let evidence = |user: &str| store.reader().unwrap().evidence_of("shanghai", user, 1).unwrap();
    let id = Some("4EC47282-1B74-4534-BD0E-403F3EE64CAF".into());
    assert_eq!(evidence("user-0").unwrap().request_id, id);
    assert_eq!(evidence("user-0").unwrap().fetched_at, at(1) + Span::from_secs(1));
    store.prune(at(0) + Span::from_days(8), Retention::default(), 100).wait().unwrap();
    assert_eq!(evidence("user-0"), None);
    assert_eq!(evidence("user-1").unwrap().request_id, id);
}

#[test]
fn a_poll_out_of_turn_is_refused_whole() {
    let world = World::new();
    let (store, mut timeline) = (world.open(), Timeline::default());
    let row = timeline.poll(&[Reading::online(1)], false);
    commit_poll(&store, row.clone());
    let again = store.commit(Outcome { poll: Some(row), ..Outcome::default() }).wait();
    assert_eq!(again, Err(StoreError::Sequence { name: "shanghai".to_owned(), last: 1, found: 1 }));
    let _skipped = timeline.poll(&[Reading::online(2)], false);
    let row = timeline.poll(&[Reading::online(2)], false);
    let skipped = store.commit(Outcome { poll: Some(row), ..Outcome::default() }).wait();
    assert!(matches!(skipped, Err(StoreError::Sequence { last: 1, found: 3, .. })));
}

#[test]
fn hostile_names_come_back_byte_for_byte() {
    let names =
        ["a\0b", "'; DROP TABLE user; --", "\u{202e}evil", "=1+1", "line\r\nbreak", "", "%_", "\u{1b}[31m"];
    let world = World::new();
    let (store, mut timeline) = (world.open(), Timeline::default());
    let mut row = timeline.poll(&[Reading::online(1); 8], false);
    row.new_names = NewNames { names: Arc::new(Names::new(names)), from: 0 };
    commit_poll(&store, row);
    drop(store);
    let store: Store = world.open();
    let loaded = store.load_source("shanghai").wait().unwrap();
    assert!(loaded.names.iter().eq(names));
    for name in names {
        let history = store.reader().unwrap().history("shanghai", name, at(0), at(9)).unwrap();
        assert_eq!(history.len(), 1, "{name:?}");
    }
}
