//! History: what a month of polls takes on disk, and what it takes to go through it again.
//!
//! Neighbours: `people` are polled every minute for a month, and their changes committed as the agent does. A part of its
//! own because these rows need a database of millions of readings, made once for all of them.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use seatwatch::engine::backtest::{PastPoll, Playback};
use seatwatch::engine::judge::judge;
use seatwatch::engine::names::NewNames;
use seatwatch::engine::outcome::{Outcome, PollRow, SourceMemory};
use seatwatch::engine::past::Column;
use seatwatch::engine::reading::{Batch, Fetched, NO_BATCH, Poll, PollOutcome, Reading};
use seatwatch::engine::rule::AbsentMeans;
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::{Remembered, Watch, When};
use seatwatch::store::{Reader, Retention, Store};

use crate::measure::{Row, child, peak_mib, timed};
use crate::people::{BATCH, MINUTE, SOURCE, START, names, population, rule, setup, windowed};

const POLLS: i64 = 30 * 24 * 60;

/// Bytes a reading, by what 1,000 users leave on disk in a month.
pub(crate) fn disk() -> Vec<Row> {
    let users = 1_000;
    let [whole, polls, replies, changes, floor] = child("past-disk", &[&users]);
    let each = |bytes: f64| bytes / (f64::from(users) * POLLS as f64);
    let note = format!(
        "polls {:.3}, a week's answers {:.3}; {:.4} changes a reading; floor: rows of changes alone",
        each(polls),
        each(replies),
        each(changes)
    );
    let name = format!("disk a reading, {users} users, 30 days of minutes");
    let floor = Some((each(floor), f64::INFINITY));
    vec![Row { name, unit: "B", reached: each(whole), floor, most: Some(0.12), note }]
}

/// One rule over what the store holds of 10,000 users.
pub(crate) fn history() -> Vec<Row> {
    let users = 10_000;
    let dir = tempfile::tempdir().expect("a directory");
    write(&dir.path().join("past.db"), users, POLLS);
    let path = dir.path().display();
    let [rebuild, judged, scan, changes] = child("past-week", &[&users, &path]);
    let note = format!(
        "rebuild {rebuild:.1}, judge {judged:.2}; {changes:.0} changes; floor: SQLite reads the same rows"
    );
    let name = format!("a rule over 7 days of {users} users");
    let floor = Some((scan, f64::INFINITY));
    let mut rows = vec![Row { name, unit: "ms", reached: rebuild + judged, floor, most: Some(50.0), note }];
    rows.extend(month(users, &path.to_string(), 1, 5.0));
    rows.extend(month(users, &path.to_string(), 5, 10.0));
    rows
}

/// So many rules over the month, in at most so many seconds.
fn month(users: u32, path: &str, rules: usize, most: f64) -> [Row; 2] {
    let [played, peak, scan] = child("past-backtest", &[&users, &path, &rules]);
    let name = format!("backtest of {rules}, 30 days of minutes, {users} users");
    let floor = Some((scan / 1e3, f64::INFINITY));
    let millions = POLLS * i64::from(users) / 1_000_000;
    let note = format!("{millions} million readings; floor: SQLite reads the same rows");
    let memory = format!("{name}, peak memory");
    [
        Row { name, unit: "s", reached: played / 1e3, floor, most: Some(most), note },
        Row { name: memory, unit: "MiB", reached: peak, floor: None, most: Some(256.0), note: String::new() },
    ]
}

fn at(poll: i64) -> Time {
    START - MINUTE.times(POLLS - poll)
}

/// Commits `polls` polls of the population, with no rule looking on.
fn write(path: &Path, users: u32, polls: i64) {
    let store = Store::open(path, START).expect("a store");
    let (population, names) = (population(users), names(users));
    let mut last = vec![Reading::NOT_POLLED; users as usize];
    let mut memory = SourceMemory::default();
    for n in 0..polls {
        let readings: Vec<Reading> =
            (1..=users).map(|number| Reading::online(population.count_of(number, at(n)))).collect();
        commit(
            &store,
            &NewNames { names: Arc::clone(&names), from: if n == 0 { 0 } else { users as usize } },
            readings,
            &mut last,
            &mut memory,
            at(n),
        );
    }
}

/// One poll with what the agent would write of it, and a keyframe where it would make one; gives its changes.
pub(crate) fn commit(
    store: &Store,
    new_names: &NewNames,
    readings: Vec<Reading>,
    last: &mut Vec<Reading>,
    memory: &mut SourceMemory,
    at: Time,
) -> u64 {
    let changed = (0..).zip(last.iter().zip(&readings)).filter(|(_, (before, now))| before != now);
    let changes: Vec<(u32, Reading)> = changed.map(|(slot, (_, now))| (slot, *now)).collect();
    let count = changes.len() as u64;
    last.clone_from(&readings);
    memory.seq += 1;
    memory.first_at.get_or_insert(at);
    let elapsed = memory.last_at.map_or(Span::ZERO, |before| at.since(before));
    (memory.last_at, memory.clock) = (Some(at), memory.clock + elapsed);
    memory.usable_clock = Some(memory.clock);
    memory.changes_since_keyframe += count;
    let framed = memory.seq == 1 || memory.changes_since_keyframe > 2 * last.len() as u64;
    let keyframe = framed.then(|| last.clone());
    if framed {
        memory.changes_since_keyframe = 0;
    }
    let poll = Poll {
        source: SOURCE.to_owned(),
        seq: memory.seq,
        at,
        elapsed,
        jump: None,
        batch_of: Vec::new().into(),
        readings,
        batches: Vec::new(),
        requests: 0,
        took: Span::ZERO,
        fault: None,
        skew: None,
    };
    let row = PollRow {
        tally: poll.tally(),
        poll,
        new_names: new_names.clone(),
        changes,
        failed: Vec::new(),
        keyframe,
        evidence: Vec::new(),
        moves: Vec::new(),
        memory: memory.clone(),
        checkpoint: None,
        roster: None,
        clients: Vec::new(),
    };
    store.commit(Outcome { now: at, poll: Some(row), ..Outcome::default() }).wait().expect("a commit");
    count
}

fn users(args: &[String]) -> u32 {
    args.first().and_then(|text| text.parse().ok()).expect("a number of users")
}

fn reader(args: &[String]) -> Reader {
    Reader::open(&Path::new(&args[1]).join("past.db")).expect("the database")
}

/// Bytes of the whole database after a month with three rules, of its polls, of its answers; changes; bytes of the floor.
pub(crate) fn measure_disk(args: &[String]) -> Vec<f64> {
    let users = users(args);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("past.db");
    let store = Store::open(&path, START).expect("a store");
    let mut floor = Connection::open(dir.path().join("floor.db")).expect("a database");
    floor.execute_batch("CREATE TABLE change (poll INTEGER, user INTEGER, count INTEGER)").expect("a table");
    let least = floor.transaction().expect("a transaction");
    let population = population(users);
    let mut watch = Watch::new(setup(store.install_id(), names(users), Vec::new()), Remembered::default());
    let mut changes = 0;
    for n in 0..POLLS {
        let asked = watch.asked(at(n));
        let readings: Vec<Reading> =
            (1..=users).map(|number| Reading::online(population.count_of(number, at(n)))).collect();
        let request = |batch: u32| Batch {
            fetched_at: at(n) + Span::from_millis(i64::from(batch) * 7),
            request_id: Some(format!("{batch:08X}-2192-4F6A-B272-{:012X}", at(n).millis()).into()),
        };
        let fetched = Fetched {
            batch_of: (0..users).map(|slot| slot / BATCH).collect(),
            readings,
            batches: (0..users.div_ceil(BATCH)).map(request).collect(),
            requests: users.div_ceil(BATCH),
            ..Fetched::default()
        };
        let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
        let poll = watch.poll(
            fetched,
            &asked,
            When { at: at(n), elapsed, jump: None, took: Span::from_millis(800) },
        );
        let outcome = judge(&mut watch, poll, at(n));
        let row = outcome.poll.as_ref().expect("a poll");
        let mut insert = least.prepare_cached("INSERT INTO change VALUES (?1, ?2, ?3)").expect("a statement");
        for (slot, reading) in &row.changes {
            insert.execute((n, slot, reading.count())).expect("a row");
        }
        changes += row.changes.len();
        store.commit(outcome).wait().expect("a commit");
        watch.names_saved();
        if n % 1_440 == 0 {
            while store.prune(at(n), Retention::default(), 10_000).wait().expect("pruned").more {}
        }
    }
    drop(store);
    least.commit().expect("a commit");
    let pages = |connection: &Connection, which: &str| -> f64 {
        let query = format!("SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE {which}");
        connection.query_row(&query, [], |row| row.get::<_, i64>(0)).expect("sizes") as f64
    };
    let database = Connection::open(&path).expect("the database");
    let of = |tables: &str| pages(&database, &format!("name IN ({tables})"));
    let bytes = std::fs::metadata(&path).expect("the file").len() as f64;
    let polls = of("'poll', 'poll_at', 'keyframe', 'sqlite_autoindex_keyframe_1'");
    let replies = of("'reply', 'sqlite_autoindex_reply_1', 'reply_at'");
    vec![bytes, polls, replies, changes as f64, pages(&floor, "name = 'change'")]
}

/// Milliseconds of CPU to rebuild a week from the store, to judge a poll by it, and to read the rows alone; changes.
pub(crate) fn measure_week(args: &[String]) -> Vec<f64> {
    let (users, reader) = (users(args), reader(args));
    let from = POLLS - 7 * 24 * 60;
    let rule = rule("unlike-the-week", "peak(1h) > 3 * mean(7d)", AbsentMeans::Hold, &[]);
    let (mut watch, rebuild) = timed(|| {
        let loaded = reader.load_source(SOURCE).expect("the source");
        let remembered = Remembered {
            names: loaded.names,
            last: loaded.column,
            memory: loaded.memory,
            ..Remembered::default()
        };
        let mut watch = Watch::new(setup("bench", names(users), vec![rule]), remembered);
        let mut column = Column::new(reader.column_at(SOURCE, from.cast_unsigned()).expect("a column"));
        let mut clock = watch.memory.clock - MINUTE.times(POLLS - from);
        let mut replay = watch.replay_all();
        let mut polls = reader.polls(SOURCE, from.cast_unsigned() + 1).expect("polls");
        while let Some(poll) = polls.advance().expect("a poll") {
            column.turn(&poll.changes, &poll.failed);
            clock = clock + poll.elapsed;
            replay.poll(&column, clock, poll.seq, true);
        }
        replay.finish();
        watch
    });
    let asked = watch.asked(START);
    let readings = reader.last_readings(SOURCE).expect("readings");
    let fetched = Fetched { batch_of: vec![NO_BATCH; readings.len()].into(), readings, ..Fetched::default() };
    let ((), judged) = timed(|| {
        let when = When { at: START, elapsed: MINUTE, jump: None, took: Span::ZERO };
        let poll = watch.poll(fetched, &asked, when);
        drop(judge(&mut watch, poll, START));
    });
    let (changes, scan) = scan(args, from);
    vec![rebuild, judged, scan, changes]
}

/// Changes of the polls after `from`, and the CPU time in which SQLite reads their rows.
fn scan(args: &[String], from: i64) -> (f64, f64) {
    let connection = Connection::open(Path::new(&args[1]).join("past.db")).expect("the database");
    timed(|| {
        let mut query = connection.prepare(
            "SELECT seq, at, elapsed, changed, changes FROM poll WHERE source = 1 AND seq > ?1 ORDER BY seq",
        );
        let mut rows = query.as_mut().expect("a query").query([from]).expect("rows");
        let (mut changes, mut bytes) = (0_i64, 0);
        while let Some(row) = rows.next().expect("a row") {
            changes += row.get::<_, i64>(3).expect("a number");
            bytes +=
                row.get_ref(4).expect("a blob").as_blob_or_null().expect("a blob").map_or(0, <[u8]>::len);
        }
        assert!(bytes > 0);
        changes as f64
    })
}

/// Milliseconds of CPU to play the first so many of [`windowed`] rules over a month, the peak in MiB, and to read the
/// rows alone.
pub(crate) fn measure_backtest(args: &[String]) -> Vec<f64> {
    let (users, reader) = (users(args), reader(args));
    let count = args[2].parse().expect("a number of rules");
    let (episodes, played) = timed(|| {
        let rules = windowed().into_iter().take(count).collect();
        let (setup, names) = (setup("bench", names(users), rules), (*names(users)).clone());
        let mut playback = Playback::new(setup, names, None, at(0));
        let mut column = Column::new(Vec::new());
        let mut polls = reader.polls(SOURCE, 1).expect("polls");
        while let Some(poll) = polls.advance().expect("a poll") {
            column.turn(&poll.changes, &poll.failed);
            let usable = poll.outcome != PollOutcome::Failed;
            let past = PastPoll { seq: poll.seq, at: poll.at, elapsed: poll.elapsed, usable };
            playback.poll(past, &column);
        }
        playback.finish()
    });
    assert!(!episodes.is_empty(), "somebody shares an account");
    let most = peak_mib();
    vec![played, most, scan(args, 0).1]
}
