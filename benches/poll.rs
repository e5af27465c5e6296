//! A poll without the wire: replies parsed, readings judged by three rules, states kept, one durable commit.
//!
//! Neighbours: `floor` reads the same replies in the same run. A part of its own because time and memory are measured
//! by processes of their own: for time all replies of a poll are made beforehand, for memory each is made when it is due.

use seatwatch::engine::judge::judge;
use seatwatch::engine::time::Span;
use seatwatch::engine::watch::{Remembered, Watch, When};
use seatwatch::store::Store;

use crate::floor::Floor;
use crate::measure::{Row, child, median, peak_mib, timed};
use crate::people::{BATCH, MINUTE, START, names, population, reply, room, rules, setup, take};

/// Polls that are not counted, and that are.
pub(crate) const WARM: i64 = 5;
pub(crate) const MEASURED: i64 = 15;
/// Signals are kept every 64 polls: the peak must have seen one of those.
const REMEMBERED: i64 = 65;

pub(crate) fn rows(users: u32) -> Vec<Row> {
    let [parse, judged, commit, floor] = child("poll-time", &[&users]);
    let [most] = child("poll-memory", &[&users]);
    let (sum, large) = (parse + judged + commit, users > 100_000);
    let name = |what: &str| format!("poll of {users} without the wire{what}");
    let note =
        format!("parse {parse:.1}, judge {judged:.1}, commit {commit:.1}; floor: serde_json and change rows");
    let mut rows = vec![
        Row { name: name(""), unit: "ms", reached: sum, floor: Some((floor, 2.5)), most: None, note },
        Row {
            name: name(", peak memory"),
            unit: "MiB",
            reached: most,
            floor: None,
            most: Some(if large { 128.0 } else { 32.0 }),
            note: format!("{REMEMBERED} polls, each reply made when it is due"),
        },
    ];
    if large {
        let [parse, judged, commit, _] = child("poll-time", &[&(users / 10)]);
        let floor = Some((parse + judged + commit, 11.0));
        let (name, note) = (name(" / a tenth"), "floor: the same of a tenth of the users".to_owned());
        rows.push(Row { name, unit: "ms", reached: sum, floor, most: None, note });
    }
    rows
}

fn users(args: &[String]) -> u32 {
    args.first().and_then(|text| text.parse().ok()).expect("a number of users")
}

/// Milliseconds of CPU to parse, to judge, to commit, and of the floor.
pub(crate) fn time(args: &[String]) -> Vec<f64> {
    let users = users(args);
    let dir = tempfile::tempdir().expect("a directory");
    let population = population(users);
    let store = Store::open(&dir.path().join("bench.db"), START).expect("a store");
    let mut watch = Watch::new(setup(store.install_id(), names(users), rules()), Remembered::default());
    let mut floor = Floor::open(&dir.path().join("floor.db"));
    let mut figures = [const { Vec::new() }; 4];
    let mut bodies = vec![String::new(); users.div_ceil(BATCH) as usize];
    for n in 0..WARM + MEASURED {
        let at = START + MINUTE.times(n);
        for (batch, body) in (0..).zip(&mut bodies) {
            reply(&population, users, batch, at, body);
        }
        let (fetched, parsing) = timed(|| {
            let asked = watch.asked(at);
            let mut fetched = room(&asked);
            bodies.iter().for_each(|body| take(body.as_bytes(), &asked, at, &mut fetched));
            (asked, fetched)
        });
        let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
        let (outcome, judging) = timed(|| {
            let poll = watch.poll(fetched.1, &fetched.0, When { at, elapsed, jump: None, took: Span::ZERO });
            judge(&mut watch, poll, at)
        });
        let ((), committing) = timed(|| store.commit(outcome).wait().expect("a commit"));
        watch.names_saved();
        let ((), least) = timed(|| floor.poll(&bodies, n));
        if n >= WARM {
            for (all, one) in figures.iter_mut().zip([parsing, judging, committing, least]) {
                all.push(one);
            }
        }
    }
    figures.map(median).to_vec()
}

/// The most memory it ever took, in MiB.
pub(crate) fn memory(args: &[String]) -> Vec<f64> {
    let users = users(args);
    let dir = tempfile::tempdir().expect("a directory");
    let population = population(users);
    let store = Store::open(&dir.path().join("bench.db"), START).expect("a store");
    let mut watch = Watch::new(setup(store.install_id(), names(users), rules()), Remembered::default());
    let mut body = String::new();
    for n in 0..REMEMBERED {
        let at = START + MINUTE.times(n);
        let asked = watch.asked(at);
        let mut fetched = room(&asked);
        for batch in 0..users.div_ceil(BATCH) {
            reply(&population, users, batch, at, &mut body);
            take(body.as_bytes(), &asked, at, &mut fetched);
        }
        let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
        let poll = watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
        drop(asked);
        let outcome = judge(&mut watch, poll, at);
        store.commit(outcome).wait().expect("a commit");
        watch.names_saved();
    }
    vec![peak_mib()]
}
