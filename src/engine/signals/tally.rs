//! A long log, added up: what all stretches from one of its marks on hold together.
//!
//! Neighbours: `older` adds each stretch, `window` takes all from the first mark in a window at once and walks
//! through what is left before it. A part of its own because a user who never rests has thousands of stretches in a week,
//! and every window over them is one difference of sums, whatever the signal.

use std::collections::VecDeque;

use super::needs::Kept;
use super::stretch::Stretch;

/// Pieces from mark to mark at least; few where short histories must have some.
const BLOCK: u64 = if cfg!(test) { 4 } else { 16 };

/// There is room for so many marks from the beginning: who needs one soon needs more.
const MARKS: usize = 16;

/// Of all stretches up to some point.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Sum of value × time known.
    pub(super) area: i128,
    pub(super) known: i64,
    /// Also from the last stretch to the one after it.
    pub(super) changes: u64,
    /// After how many of them there was a gap that matters to somebody.
    broken: u64,
}

/// A mark stands before a stretch now and then.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// When the stretch after it began.
    since: i64,
    /// How many pieces there ever were before it.
    place: u64,
    /// Of all stretches before it.
    before: Sums,
}

#[derive(Clone, Debug)]
pub(super) struct Tally {
    marks: VecDeque<Mark>,
    /// For each of [`Kept::overs`]: time known above it, before each mark.
    overs: VecDeque<i64>,
    /// The lowest and the highest value of each mark's block.
    ends: VecDeque<Ends>,
    /// Of all blocks, or more.
    all_ends: Ends,
    total: Sums,
    total_over: Box<[i64]>,
    /// Pieces there ever were, and those that were forgotten; there are only marks after these.
    count: u64,
    forgotten: u64,
}

/// The lowest and the highest of some values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) low: u32,
    pub(super) peak: u32,
}

/// What the stretches from a mark on hold.
pub(super) struct Part<'a> {
    tally: &'a Tally,
    mark: usize,
    /// Where they begin in the log.
    pub(super) at: usize,
    /// When they begin.
    pub(super) since: i64,
    pub(super) before: &'a Sums,
    pub(super) total: &'a Sums,
}

impl Part<'_> {
    /// Time known above the number of that place among [`Kept::overs`].
    pub(super) fn over(&self, place: usize) -> i64 {
        let all = &self.tally.total_over;
        all[place] - self.tally.overs[self.mark * all.len() + place]
    }

    /// The lowest and the highest value.
    pub(super) fn ends(&self) -> Ends {
        self.tally.ends.range(self.mark..).fold(Ends::NONE, |ends, more| ends.with(*more))
    }

    /// Values beyond which there are none; there may be none so far as that.
    pub(super) const fn wide_ends(&self) -> Ends {
        self.tally.all_ends
    }
}

impl Tally {
    pub(super) fn new(kept: &Kept) -> Self {
        Self {
            marks: VecDeque::with_capacity(MARKS),
            overs: VecDeque::with_capacity(MARKS * kept.overs.len()),
            ends: VecDeque::with_capacity(MARKS),
            all_ends: Ends::NONE,
            total: Sums::default(),
            total_over: vec![0; kept.overs.len()].into(),
            count: 0,
            forgotten: 0,
        }
    }

    /// The next stretch has ended, which takes so many pieces, and another begins.
    pub(super) fn push(&mut self, stretch: &Stretch, next: &Stretch, pieces: usize, kept: &Kept) {
        let value = Ends { low: stretch.value, peak: stretch.value };
        self.all_ends = self.all_ends.with(value);
        match self.ends.back_mut() {
            Some(ends) if self.marks.back().is_some_and(|mark| self.count < mark.place + BLOCK) => {
                *ends = ends.with(value);
            }
            _ => {
                self.marks.push_back(Mark { since: stretch.since, place: self.count, before: self.total });
                self.overs.extend(&self.total_over);
                self.ends.push_back(value);
            }
        }
        self.count += pieces as u64;
        let length = self.total.add(stretch, next, kept);
        for (over, above) in self.total_over.iter_mut().zip(&kept.overs) {
            *over += if stretch.value > *above { length } else { 0 };
        }
    }

    /// The oldest pieces are forgotten.
    pub(super) fn forget(&mut self, pieces: usize) {
        self.forgotten += pieces as u64;
        while self.marks.front().is_some_and(|mark| mark.place < self.forgotten) {
            self.marks.pop_front();
            self.overs.drain(..self.total_over.len());
            self.ends.pop_front();
            self.all_ends = self.ends.iter().fold(Ends::NONE, |ends, more| ends.with(*more));
        }
    }

    /// All stretches from the first mark after `start` on, for a window in which a value holds for `gap`; None where there
    /// is no such mark, or where the sums of another gap would not do.
    pub(super) fn from(&self, start: i64, gap: i64, kept: &Kept) -> Option<Part<'_>> {
        let mark = self.first_after(start)?;
        let Mark { since, place, before } = &self.marks[mark];
        let fits = gap == kept.least_gap.millis() || before.broken == self.total.broken;
        let (at, since) = (usize::try_from(place - self.forgotten).ok()?, *since);
        fits.then_some(Part { tally: self, mark, at, since, before, total: &self.total })
    }

    /// Something of what is written when more is added.
    pub(super) fn last(&self) -> i64 {
        let newest = self.ends.back().map_or(0, |ends| ends.low.into());
        newest ^ self.marks.back().map_or(0, |mark| mark.since) ^ self.total.known
    }

    /// Something of all that is read to look back far.
    pub(super) fn glance(&self) -> i64 {
        let newest = self.ends.back().map_or(0, |ends| ends.low.into());
        newest ^ self.marks.front().map_or(0, |mark| mark.since) ^ self.total.known
    }

    /// The first mark after `start`.
    fn first_after(&self, start: i64) -> Option<usize> {
        let (front, back) = (self.marks.front()?.since, self.marks.back()?.since);
        if back <= start {
            return None;
        }
        // Not far from where it would be if all were equally long.
        let share = (start - front).max(0) as f64 / (back - front).max(1) as f64;
        let mut at = (share * self.marks.len() as f64) as usize;
        at = at.min(self.marks.len() - 1);
        while at > 0 && self.marks[at - 1].since > start {
            at -= 1;
        }
        while self.marks[at].since <= start {
            at += 1;
        }
        Some(at)
    }
}

impl Sums {
    /// How long the stretch was known.
    fn add(&mut self, stretch: &Stretch, next: &Stretch, kept: &Kept) -> i64 {
        let gap = kept.least_gap.millis();
        let length = next.since.min(stretch.until.saturating_add(gap)) - stretch.since;
        self.area += i128::from(stretch.value) * i128::from(length);
        self.known += length;
        self.changes += u64::from(stretch.value != next.value);
        self.broken += u64::from(next.since - stretch.until > gap);
        length
    }
}

impl Ends {
    const NONE: Self = Self { low: u32::MAX, peak: 0 };

    fn with(self, more: Self) -> Self {
        Self { low: self.low.min(more.low), peak: self.peak.max(more.peak) }
    }
}
