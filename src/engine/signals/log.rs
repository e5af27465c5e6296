//! The past stretches of one slot, oldest first: what windows look back over.
//!
//! Neighbours: `known` adds a stretch when the value turns, and says which no window reaches any more; `tally` adds long
//! logs up, `window` walks back. A part of its own because most slots have a handful of stretches, and whoever never
//! rests has thousands: both must cost little.

use std::collections::VecDeque;

use super::needs::Kept;
use super::tally::Tally;

/// The most stretches kept of one slot: a value that turns at every poll of one a minute, for 45 days. Beyond, the oldest
/// is cut off, and windows that reach so far have no value.
pub(super) const MOST_STRETCHES: usize = 65_536;

/// The most stretches kept of all slots together, 100 MB; beyond, whoever turns is cut, down to so few.
pub(super) const MOST_IN_ALL: usize = 4 << 20;
const LEAST_STRETCHES: usize = 64;

/// So many stretches are kept without room for more.
const SHORT: usize = if cfg!(test) { 3 } else { 8 };

/// A log of so many stretches is added up: to walk through fewer takes no longer than to look a sum up. Few where short
/// histories must have some.
const LONG: usize = if cfg!(test) { 8 } else { 128 };

/// Every so many stretches those at the other end are looked at: it need not be in the processor's cache.
const FORGET_EVERY: usize = 8;

/// The cut of a log that never had too much.
pub(super) const WHOLE: i64 = i64::MIN;

/// A value that was read again and again with no gap that matters in between. Clocks in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    pub(super) since: i64,
    /// Its last reading.
    pub(super) until: i64,
    pub(super) value: u32,
}

/// What came before the stretch that stands now.
#[derive(Clone, Debug)]
pub(super) enum Log {
    /// At most [`SHORT`], in an allocation that fits: there may be one for each of a million slots.
    Short(Box<[Stretch]>),
    Long(Box<Long>),
}

#[derive(Clone, Debug)]
pub(super) struct Long {
    stretches: VecDeque<Stretch>,
    /// Before this nothing is known any more, because there was too much of it.
    cut: i64,
    /// Of those that are [`LONG`].
    tally: Option<Box<Tally>>,
}

impl Default for Log {
    fn default() -> Self {
        Self::Short(Box::default())
    }
}

impl Log {
    /// As it was made by adding `stretches`; `next` began when the last of them ended.
    pub(super) fn of(stretches: Vec<Stretch>, cut: i64, next: &Stretch, kept: &Kept) -> Self {
        if stretches.len() <= SHORT && cut == WHOLE {
            return Self::Short(stretches.into());
        }
        let mut long = Long { stretches: stretches.into(), cut, tally: None };
        long.add_up(next, kept);
        Self::Long(Box::new(long))
    }

    /// A stretch has ended, and `next` begins. Where `full`, the log grows no further.
    pub(super) fn push(&mut self, stretch: Stretch, next: &Stretch, kept: &Kept, full: bool) {
        let start = next.since - kept.horizon.millis();
        match self {
            Self::Short(stretches) => {
                let ends = stretches.iter().skip(1).chain([&stretch]);
                let gone = stretches.iter().zip(ends).take_while(|(_, next)| next.since <= start).count();
                let mut all = Vec::with_capacity(stretches.len() - gone + 1);
                all.extend_from_slice(&stretches[gone..]);
                all.push(stretch);
                *self = Self::of(all, WHOLE, next, kept);
            }
            Self::Long(long) => long.push(stretch, next, kept, full),
        }
    }

    /// Drops stretches that ended, by a later reading, before `start`; the one that stands now began at `since`.
    pub(super) fn forget(&mut self, since: i64, start: i64) {
        match self {
            Self::Short(stretches) => {
                let ends = stretches.iter().skip(1).map(|next| next.since).chain([since]);
                let gone = stretches.iter().zip(ends).take_while(|(_, end)| *end <= start).count();
                if gone > 0 {
                    *stretches = stretches[gone..].into();
                }
            }
            Self::Long(long) => long.forget(since, start),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Short(stretches) => stretches.len(),
            Self::Long(long) => long.stretches.len(),
        }
    }

    /// From when on nothing is missing; [`WHOLE`] where nothing ever was.
    pub(super) fn cut(&self) -> i64 {
        if let Self::Long(long) = self { long.cut } else { WHOLE }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn stretch(&self, at: usize) -> &Stretch {
        match self {
            Self::Short(stretches) => &stretches[at],
            Self::Long(long) => &long.stretches[at],
        }
    }

    pub(super) fn tally(&self) -> Option<&Tally> {
        if let Self::Long(long) = self { long.tally.as_deref() } else { None }
    }

    pub(super) fn stretches(&self) -> impl DoubleEndedIterator<Item = &Stretch> {
        let (first, then) = match self {
            Self::Short(stretches) => (&**stretches, &[][..]),
            Self::Long(long) => long.stretches.as_slices(),
        };
        first.iter().chain(then)
    }
}

impl Long {
    fn push(&mut self, stretch: Stretch, next: &Stretch, kept: &Kept, full: bool) {
        self.stretches.push_back(stretch);
        match &mut self.tally {
            Some(tally) => tally.push(&stretch, next, kept),
            None => self.add_up(next, kept),
        }
        if self.stretches.len().is_multiple_of(FORGET_EVERY) {
            self.forget(next.since, next.since - kept.horizon.millis());
        }
        if self.stretches.len() > MOST_STRETCHES || full && self.stretches.len() > LEAST_STRETCHES {
            self.pop();
            self.cut = self.stretches.front().map_or(next.since, |first| first.since);
        }
    }

    /// Begins to add up what has become long.
    fn add_up(&mut self, next: &Stretch, kept: &Kept) {
        if self.stretches.len() < LONG {
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

    fn forget(&mut self, since: i64, start: i64) {
        while !self.stretches.is_empty() && self.stretches.get(1).map_or(since, |next| next.since) <= start {
            self.pop();
        }
    }
}
