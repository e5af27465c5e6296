//! The past stretches of one slot, oldest first: what windows look back over.
//!
//! Neighbours: `known` adds a stretch when the value turns, and says which no window reaches any more; `tally` adds long
//! logs up, `window` walks back. A part of its own because most slots have a handful of stretches, and whoever never
//! rests has thousands: both must cost little.

use std::collections::VecDeque;

use super::needs::Kept;
use super::tally::Tally;

/// The most stretches kept of one slot. Beyond, the oldest is forgotten: peaks, changes and times stay lower
/// bounds, lows and means lose their value until enough of the window is known again.
pub(super) const MOST_STRETCHES: usize = 2048;

/// A log of so many stretches is added up: to walk through fewer takes no longer than to look a sum up. Few where short
/// histories must have some.
const LONG: usize = if cfg!(test) { 8 } else { 128 };

/// Every so many stretches those at the other end are looked at: it need not be in the processor's cache.
const FORGET_EVERY: usize = 8;

/// A value that was read again and again with no gap that matters in between. Clocks in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    pub(super) since: i64,
    /// Its last reading.
    pub(super) until: i64,
    pub(super) value: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    stretches: VecDeque<Stretch>,
    /// Of long logs.
    tally: Option<Box<Tally>>,
}

impl Log {
    /// As it was made by adding `stretches`; `next` began when the last of them ended.
    pub(super) fn of(stretches: Vec<Stretch>, next: &Stretch, kept: &Kept) -> Self {
        let mut log = Self { stretches: stretches.into(), tally: None };
        log.add_up(next, kept);
        log
    }

    /// A stretch has ended, and `next` begins.
    pub(super) fn push(&mut self, stretch: Stretch, next: &Stretch, kept: &Kept) {
        self.stretches.push_back(stretch);
        match &mut self.tally {
            Some(tally) => tally.push(&stretch, next, kept),
            None => self.add_up(next, kept),
        }
        if self.len().is_multiple_of(FORGET_EVERY) {
            self.forget(next.since, next.since - kept.horizon.millis());
        }
        if self.len() > MOST_STRETCHES {
            self.pop();
        }
    }

    /// Begins to add up a log that has become long.
    fn add_up(&mut self, next: &Stretch, kept: &Kept) {
        if self.len() < LONG {
            return;
        }
        let mut tally = Tally::new(kept);
        let ends = self.stretches.iter().skip(1).chain([next]);
        self.stretches.iter().zip(ends).for_each(|(stretch, next)| tally.push(stretch, next, kept));
        self.tally = Some(Box::new(tally));
    }

    fn pop(&mut self) {
        self.stretches.pop_front();
        if let Some(tally) = &mut self.tally {
            tally.forget();
        }
    }

    /// Drops stretches that ended, by a later reading, before `start`; the one that stands now began at `since`.
    pub(super) fn forget(&mut self, since: i64, start: i64) {
        while !self.is_empty() && self.stretches.get(1).map_or(since, |next| next.since) <= start {
            self.pop();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.stretches.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    pub(super) fn stretch(&self, at: usize) -> &Stretch {
        &self.stretches[at]
    }

    pub(super) fn tally(&self) -> Option<&Tally> {
        self.tally.as_deref()
    }

    pub(super) fn stretches(&self) -> impl DoubleEndedIterator<Item = &Stretch> {
        self.stretches.iter()
    }
}
