//! The known readings of one track: the last value of each slot, how long it has stood, and what it was before.
//!
//! Neighbours: `signals` feeds it the known readings, `window` looks back over its stretches. A part of its own
//! because it is laid out for a million slots of which few change: columns for what all have, a list only for
//! slots that changed within the longest window.

use std::hint::black_box;
use std::mem;
use std::ops::Range;

use super::clocks::{Clock, Clocks};
use super::log::Log;
use super::needs::Kept;
use super::older::Older;
use super::stretch::{self, Piece, Stretch};
use crate::engine::lang::Line;
use crate::engine::narrow::Narrow;
use crate::engine::time::Span;

/// No reading yet.
pub(super) const NONE: u32 = u32::MAX;

/// The clock of whatever was so at the last poll observed: what goes on need not be written anew at each poll.
pub(super) const NOW: i64 = i64::MAX;

/// At each poll the lists of at most this share of the slots are looked through for what no window reaches any more,
/// and of so many that all have had their turn in this share of the longest window.
const SWEEP: usize = 64;
const SWEEPS: i64 = 16;

/// What was known of some slots before the last poll, where that is not simply what the poll before said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Before {
    pub(super) first: u32,
    /// One after the last of them.
    pub(super) end: u32,
    /// Or [`NONE`].
    pub(super) value: u32,
    pub(super) clock: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) kept: Kept,
    /// The clock at the last poll, and at the one before it.
    pub(super) now: i64,
    pub(super) then: i64,
    /// Nothing in the lists began before this: the clock at the first poll, where that is known.
    pub(super) first: i64,
    /// Or [`NONE`].
    pub(super) value: Narrow<u32>,
    /// The clock at the last known reading, or [`NOW`].
    pub(super) clock: Clocks,
    /// Of slots that turned at the last poll, ascending.
    pub(super) before: Vec<Before>,
    /// Since when the last value stands without a gap that matters; empty without windows.
    pub(super) since: Vec<Clock>,
    /// What it was before, as far as windows reach.
    pub(super) logs: Vec<Log>,
    /// For each gap of `kept.run_gaps`: since when it is online, or offline.
    pub(super) runs: Vec<Vec<i64>>,
    swept: usize,
    /// How many pieces all logs hold.
    pub(super) pieces: usize,
    /// The slot of which more was to be kept than there is room for, last.
    pub(super) cut: Option<u32>,
}

impl Known {
    pub(super) fn new(kept: Kept) -> Self {
        let runs = vec![Vec::new(); kept.run_gaps.len()];
        let (value, clock, before, since) = (Narrow::default(), Clocks::default(), Vec::new(), Vec::new());
        let logs = Vec::new();
        let (swept, pieces, cut) = (0, 0, None);
        Self {
            kept,
            now: 0,
            then: 0,
            first: i64::MAX,
            value,
            clock,
            before,
            since,
            logs,
            runs,
            swept,
            pieces,
            cut,
        }
    }

    pub(super) fn grow(&mut self, len: usize) {
        if len <= self.value.len() {
            return;
        }
        self.value.grow(len, NONE);
        self.clock.grow(len, 0);
        if self.kept.horizon > Span::ZERO {
            self.since.resize(len, Clock::default());
            self.logs.resize(len, Log::default());
        }
        for run in &mut self.runs {
            run.resize(len, 0);
        }
    }

    /// A poll at `clock` follows: [`Self::learn`] or [`Self::lose`] is called for each slot whose reading turned, in
    /// order; after a pause that matters, for every slot.
    pub(super) fn begin(&mut self, clock: i64) {
        (self.then, self.now) = (self.now, clock);
        self.first = self.first.min(clock);
        // Polls at which all turn are rare, and lists of that length not for keeping.
        self.before.clear();
        self.before.shrink_to(self.value.len() / 16);
    }

    /// A known reading at this poll.
    pub(super) fn learn(&mut self, slot: u32, value: u32) {
        let at = slot as usize;
        let old = self.value(at);
        let last = self.clock.get(at).filter(|clock| *clock != NOW).unwrap_or(self.then);
        if (old, last) != (value, self.then) {
            // At the first poll, and at the first after a pause, it is the same of many.
            match self.before.last_mut() {
                Some(one) if (one.end, one.value, one.clock) == (slot, old, last) => one.end += 1,
                _ => self.before.push(Before { first: slot, end: slot + 1, value: old, clock: last }),
            }
        }
        self.settle(at, value, last);
        self.clock.put(at, NOW);
    }

    /// The same for what stands and how long, of a slot that was last known at the clock `last`.
    pub(super) fn settle(&mut self, slot: usize, value: u32, last: i64) {
        if value != self.value(slot) || self.now - last > self.kept.least_gap.millis() {
            self.turn(slot, value, last);
        }
    }

    /// No known reading at this poll.
    pub(super) fn lose(&mut self, slot: u32) {
        let slot = slot as usize;
        if self.is_known(slot) {
            self.clock.put(slot, self.then);
        }
    }

    /// The reading differs from the last one, or comes after a gap that matters to somebody.
    fn turn(&mut self, slot: usize, value: u32, last: i64) {
        let (old, clock) = (self.value(slot), self.now);
        for (run, gap) in self.runs.iter_mut().zip(&self.kept.run_gaps) {
            if old == NONE || (old > 0) != (value > 0) || clock - last > gap.millis() {
                run[slot] = clock;
            }
        }
        if let Some(since) = self.since.get_mut(slot) {
            let stretch = Stretch { since: since.millis(), until: last, value: old };
            *since = clock.into();
            if old != NONE {
                let next = Stretch { since: clock, until: clock, value };
                let log = &mut self.logs[slot];
                let grown = log.push(&stretch, &next, &self.kept, self.pieces >= self.kept.room.all);
                self.pieces = self.pieces.saturating_add_signed(grown.by);
                if grown.cut {
                    self.cut = u32::try_from(slot).ok();
                }
            }
        }
        self.value.put(slot, value);
    }

    /// Drops stretches that ended, by a later reading, before the longest window begins.
    pub(super) fn forget(&mut self, slot: usize) {
        let start = self.now - self.kept.horizon.millis();
        self.pieces -= self.logs[slot].forget(self.since[slot].millis(), start);
    }

    /// Whether anything can be so old that no window reaches it from that clock.
    pub(super) fn may_forget(&self, clock: i64) -> bool {
        !self.logs.is_empty() && clock - self.kept.horizon.millis() >= self.first
    }

    /// Slots that went quiet give their lists back in time: some of them at every poll.
    pub(super) fn sweep(&mut self) {
        let slots = self.next_sweep(self.now - self.then);
        if self.may_forget(self.now) {
            self.fetch(slots.clone());
            slots.for_each(|slot| self.forget(slot));
        }
    }

    /// Those whose turn it is when so much time has passed.
    pub(super) fn next_sweep(&mut self, passed: i64) -> Range<usize> {
        let len = self.logs.len();
        let round = (self.kept.horizon.millis() / SWEEPS).max(1) as f64;
        let due = (len as f64 * passed as f64 / round) as usize;
        let end = (self.swept + due.min(len / SWEEP) + 1).min(len);
        let slots = self.swept..end;
        self.swept = if end == len { 0 } else { end };
        slots
    }

    /// Whether so many readings, up to that clock, leave room in the lists, however long they stood.
    pub(super) fn has_room_for(&self, readings: usize, clock: i64) -> bool {
        let each = 3 + usize::try_from(clock / Piece::MOST).unwrap_or(usize::MAX);
        self.pieces.saturating_add(readings.saturating_mul(each)) <= self.kept.room.all
    }

    /// Reads some of logs that are about to be added to: what is in nobody's cache comes sooner together than one after the
    /// other.
    pub(super) fn fetch(&self, slots: impl Iterator<Item = usize>) {
        let logs = slots.filter_map(|slot| self.logs.get(slot));
        black_box(logs.fold(0, |all, log| all ^ log.glance()));
    }

    /// As [`Self::fetch`], of logs to which more is about to be added than what is new in them has room for.
    pub(super) fn fetch_all(&self, slots: impl Iterator<Item = usize> + Clone) {
        self.fetch(slots.clone());
        let older = || slots.clone().filter_map(|slot| self.logs.get(slot)?.older());
        let heads = older().fold(0, |all, older: &Older| all ^ older.cut);
        black_box(heads ^ older().fold(0, |all, older: &Older| all ^ older.last()));
    }

    /// As [`Self::fetch`], of logs in which somebody is about to look back over `span`.
    pub(super) fn fetch_window(&self, slots: impl Iterator<Item = usize> + Clone, span: Span) {
        self.fetch(slots.clone());
        let (now, start) = (self.now, self.now - span.millis());
        let older = slots.filter_map(|slot| {
            let (log, since) = (self.logs.get(slot)?, self.since[slot]);
            log.older().filter(|_| since.millis() - stretch::length(log.fresh_in(&mut None)) > start)
        });
        black_box(older.fold(0, |all, older: &Older| all ^ older.glance(now, span.millis())));
    }

    fn value(&self, slot: usize) -> u32 {
        self.value.get(slot).unwrap_or(NONE)
    }

    /// The last known value and the clock at it.
    pub(super) fn last(&self, slot: usize) -> Option<(u32, i64)> {
        let value = self.value.get(slot)?;
        let clock = self.clock.get(slot)?;
        (value != NONE).then_some((value, if clock == NOW { self.now } else { clock }))
    }

    /// Whether the last poll had a known reading.
    pub(super) fn is_known(&self, slot: usize) -> bool {
        self.clock.get(slot) == Some(NOW)
    }

    /// A line as it is while the slot is known; a held value may end with any poll.
    pub(super) fn sure(&self, slot: usize, line: Line) -> Line {
        if self.is_known(slot) { line } else { line.unsure() }
    }

    /// What was known before the last poll, and the clock at that.
    pub(super) fn before(&self, slot: usize) -> Option<(u32, i64)> {
        if !self.is_known(slot) {
            return self.last(slot);
        }
        let at = self.before.partition_point(|before| before.end as usize <= slot);
        let found = self.before.get(at).filter(|before| before.first as usize <= slot);
        let (value, clock) =
            found.map_or((self.value(slot), self.then), |before| (before.value, before.clock));
        (value != NONE).then_some((value, clock))
    }

    /// The value that holds now: none before the first reading and none more than `gap` after the last.
    pub(super) fn held(&self, slot: usize, gap: i64) -> Option<u32> {
        self.last(slot).filter(|(_, last)| self.now - last <= gap).map(|(value, _)| value)
    }

    /// The known reading before this poll's, if it still held when this poll came.
    pub(super) fn previous(&self, slot: usize, gap: i64) -> Line {
        match self.before(slot).filter(|(_, last)| self.now - last <= gap) {
            // From the next poll on, and ever after, this poll's is the one before.
            Some((value, last)) if self.is_known(slot) && (value, last) == (self.value(slot), self.then) => {
                Line::still(f64::from(value))
            }
            Some((value, _)) => Line::brief(f64::from(value)),
            None => Line::brief(f64::NAN),
        }
    }

    /// The values that stood between `start` and now, newest first, each with the clock of its first reading.
    pub(super) fn stood_from(&self, slot: usize, start: i64) -> impl Iterator<Item = (i64, u32)> {
        let newest = self.since.get(slot).map(|since| since.millis()).zip(self.value.get(slot));
        let newest = newest.filter(|(_, value)| *value != NONE);
        let older = newest.into_iter().flat_map(move |(since, _)| {
            let log = &self.logs[slot];
            log.back(since).map(|stretch| (stretch.since, stretch.value))
        });
        let mut next = i64::MAX;
        newest.into_iter().chain(older).take_while(move |(since, _)| start < mem::replace(&mut next, *since))
    }

    /// The column of runs that start over after `gap`.
    pub(super) fn run(&self, gap: i64) -> Option<&[i64]> {
        let at = self.kept.run_gaps.iter().position(|g| g.millis() == gap)?;
        Some(&self.runs[at])
    }

    /// How long it has been online (or offline): 0 in the other state.
    pub(super) fn run_time(&self, run: &[i64], slot: usize, online: bool, gap: i64) -> Line {
        match self.held(slot, gap).map(|value| (value > 0) == online) {
            None => Line::brief(f64::NAN),
            Some(false) => self.sure(slot, Line::still(0.0)),
            Some(true) => self.sure(slot, Line::growing((self.now - run[slot]) as f64)),
        }
    }
}
