//! What many rules cost at every poll: ten with windows, for 100,000 users, beside comparing two columns of readings.
//!
//! Neighbours: `poll` has the whole road of a poll with three rules. A part of its own because nothing but judging is
//! measured here, and it takes hours of polls until windows hold anything.

use std::sync::Arc;

use seatwatch::engine::judge::judge;
use seatwatch::engine::names::Asked;
use seatwatch::engine::reading::{Fetched, NO_BATCH, Reading};
use seatwatch::engine::time::Span;
use seatwatch::engine::watch::{Remembered, Watch, When};

use crate::measure::{Row, child, median, timed};
use crate::people::{MINUTE, START, names, population, setup, windowed};

/// Polls that are not counted, and that are.
const WARM: i64 = 240;
const MEASURED: i64 = 61;

pub(crate) fn rows() -> Vec<Row> {
    let users = 100_000;
    let [judged, floor] = child("live-time", &[&users]);
    let name = format!("ten rules with windows, {users} users, a poll");
    let note =
        format!("median of {MEASURED} after {WARM} minutes; floor: compare the columns, note what turned");
    vec![Row {
        name,
        unit: "ms",
        reached: judged,
        floor: Some((floor, f64::INFINITY)),
        most: Some(10.0),
        note,
    }]
}

/// Milliseconds of CPU to judge a poll, and to find what turned.
pub(crate) fn time(args: &[String]) -> Vec<f64> {
    let users: u32 = args.first().and_then(|text| text.parse().ok()).expect("a number of users");
    let population = population(users);
    let rules = windowed().into_iter().skip(1).collect();
    let mut watch = Watch::new(setup("bench", names(users), rules), Remembered::default());
    let asked = Asked::all(Arc::clone(&watch.names));
    let mut figures = [const { Vec::new() }; 2];
    let mut last = vec![Reading::NOT_POLLED; users as usize];
    for n in 0..WARM + MEASURED {
        let at = START - MINUTE.times(WARM - n);
        let readings: Vec<Reading> =
            (1..=users).map(|number| Reading::online(population.count_of(number, at))).collect();
        let (turned, least) = timed(|| {
            let both = (0_u32..).zip(last.iter_mut().zip(&readings));
            let turned = both.filter(|(_, (old, new))| old != new).map(|(slot, (old, new))| {
                *old = *new;
                (slot, *new)
            });
            turned.collect::<Vec<_>>()
        });
        let fetched =
            Fetched { batch_of: vec![NO_BATCH; readings.len()].into(), readings, ..Fetched::default() };
        let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
        let poll = watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
        let (outcome, judging) = timed(|| judge(&mut watch, poll, at));
        watch.names_saved();
        let changes = outcome.poll.map_or(0, |row| row.changes.len());
        assert_eq!(changes, turned.len());
        if n >= WARM {
            figures.iter_mut().zip([judging, least]).for_each(|(all, one)| all.push(one));
        }
    }
    figures.map(median).to_vec()
}
