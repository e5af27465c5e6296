//! The known readings of one track: the last value of each slot, how long it has stood, and what it was before.
//!
//! Neighbours: `signals` feeds it the known readings, `window` looks back over its stretches. A part of its own
//! because it is laid out for a million slots of which few change: columns for what all have, a list only for
//! slots that changed within the longest window.

use std::collections::VecDeque;

use super::needs::Kept;
use crate::engine::time::Span;

/// No reading yet.
pub(super) const NONE: u32 = u32::MAX;

/// The most stretches kept of one slot. Beyond, the oldest is forgotten: peaks, changes and times stay lower
/// bounds, lows and means lose their value until enough of the window is known again.
pub(super) const MOST_STRETCHES: usize = 2048;

/// The lists of this share of the slots are looked through at each poll for what no window reaches any more.
const SWEEP: usize = 64;

/// A value that was read again and again with no gap that matters in between. Clocks in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    pub(super) since: i64,
    /// Its last reading.
    pub(super) until: i64,
    pub(super) value: u32,
}

/// Past stretches of a slot, oldest first.
pub(super) type Log = Option<Box<VecDeque<Stretch>>>;

#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) kept: Kept,
    pub(super) value: Vec<u32>,
    /// The clock at the last known reading.
    pub(super) clock: Vec<i64>,
    /// The known reading before the last; empty unless needed.
    pub(super) before: Vec<(u32, i64)>,
    /// Since when the last value stands without a gap that matters; empty without windows.
    pub(super) since: Vec<i64>,
    pub(super) logs: Vec<Log>,
    /// For each gap of `kept.run_gaps`: since when it is online, or offline.
    pub(super) runs: Vec<Vec<i64>>,
    swept: usize,
}

impl Known {
    pub(super) fn new(kept: Kept) -> Self {
        let runs = vec![Vec::new(); kept.run_gaps.len()];
        let (value, clock, before, since) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { kept, value, clock, before, since, logs: Vec::new(), runs, swept: 0 }
    }

    pub(super) fn grow(&mut self, len: usize) {
        if len <= self.value.len() {
            return;
        }
        self.value.resize(len, NONE);
        self.clock.resize(len, 0);
        if self.kept.previous {
            self.before.resize(len, (NONE, 0));
        }
        if self.kept.horizon > Span::ZERO {
            self.since.resize(len, 0);
            self.logs.resize(len, None);
        }
        for run in &mut self.runs {
            run.resize(len, 0);
        }
    }

    /// A known reading at `clock`.
    pub(super) fn learn(&mut self, slot: usize, value: u32, clock: i64) {
        let (old, last) = (self.value[slot], self.clock[slot]);
        if let Some(before) = self.before.get_mut(slot) {
            *before = (old, last);
        }
        if value != old || clock - last > self.kept.least_gap.millis() {
            self.turn(slot, value, clock);
        }
        self.clock[slot] = clock;
    }

    /// The reading differs from the last one, or comes after a gap that matters to somebody.
    fn turn(&mut self, slot: usize, value: u32, clock: i64) {
        let (old, last) = (self.value[slot], self.clock[slot]);
        for (run, gap) in self.runs.iter_mut().zip(&self.kept.run_gaps) {
            if old == NONE || (old > 0) != (value > 0) || clock - last > gap.millis() {
                run[slot] = clock;
            }
        }
        if let Some(since) = self.since.get_mut(slot) {
            let stretch = Stretch { since: *since, until: last, value: old };
            *since = clock;
            if old != NONE {
                let log = self.logs[slot].get_or_insert_default();
                log.push_back(stretch);
                if log.len() > MOST_STRETCHES {
                    log.pop_front();
                }
                self.forget(slot, clock);
            }
        }
        self.value[slot] = value;
    }

    /// Drops stretches that ended, by a later reading, before the longest window begins.
    fn forget(&mut self, slot: usize, clock: i64) {
        let start = clock - self.kept.horizon.millis();
        let Some(log) = self.logs[slot].as_mut() else { return };
        while !log.is_empty() && log.get(1).map_or(self.since[slot], |next| next.since) <= start {
            log.pop_front();
        }
        if log.is_empty() {
            self.logs[slot] = None;
        }
    }

    /// Slots that went quiet give their lists back in time: some of them at every poll.
    pub(super) fn sweep(&mut self, clock: i64) {
        let len = self.logs.len();
        let end = (self.swept + len / SWEEP + 1).min(len);
        for slot in self.swept..end {
            self.forget(slot, clock);
        }
        self.swept = if end == len { 0 } else { end };
    }

    /// The last known value and the clock at it.
    pub(super) fn last(&self, slot: usize) -> Option<(u32, i64)> {
        let value = *self.value.get(slot)?;
        (value != NONE).then(|| (value, self.clock[slot]))
    }

    /// The value that holds at `clock`: none before the first reading and none more than `gap` after the last.
    pub(super) fn held(&self, slot: usize, clock: i64, gap: i64) -> Option<u32> {
        self.last(slot).filter(|(_, last)| clock - last <= gap).map(|(value, _)| value)
    }

    /// The known reading before this poll's, if it still held when this poll came.
    pub(super) fn previous(&self, slot: usize, known_now: bool, clock: i64, gap: i64) -> Option<f64> {
        let &(value, last) = self.before.get(slot)?;
        let value = if known_now {
            (value != NONE && clock - last <= gap).then_some(value)
        } else {
            self.held(slot, clock, gap)
        };
        value.map(f64::from)
    }

    /// The column of runs that start over after `gap`.
    pub(super) fn run(&self, gap: i64) -> Option<&[i64]> {
        let at = self.kept.run_gaps.iter().position(|g| g.millis() == gap)?;
        Some(&self.runs[at])
    }

    /// How long it has been online (or offline): 0 in the other state.
    pub(super) fn run_time(
        &self,
        run: &[i64],
        slot: usize,
        online: bool,
        clock: i64,
        gap: i64,
    ) -> Option<f64> {
        let value = self.held(slot, clock, gap)?;
        let length = if (value > 0) == online { clock - run[slot] } else { 0 };
        Some(length as f64)
    }
}
