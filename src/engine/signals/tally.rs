//! A long log, added up: what all stretches from one of its marks on hold together.
//!
//! Neighbours: `log` adds each stretch as it ends, `window` takes all from the first mark in a window at once and walks
//! through what is left before it. A part of its own because a user who never rests has thousands of stretches in a week,
//! and every window over them is one difference of sums, whatever the signal.

use std::collections::VecDeque;

use super::log::Stretch;
use super::needs::Kept;

/// Stretches from mark to mark; few where short histories must have some.
pub(super) const BLOCK: usize = if cfg!(test) { 4 } else { 16 };

/// Of all stretches up to some point.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// Sum of value × time known.
    pub(super) area: i128,
    pub(super) known: i64,
    /// Also from the last stretch to the one after it.
    pub(super) changes: u64,
    /// After how many of them there was a gap that matters to somebody.
    broken: u64,
    /// For each of [`Kept::overs`]: time known above it.
    pub(super) over: Box<[i64]>,
}

/// A mark stands before every so manyth stretch. Columns, because what is looked at is seldom in the processor's cache.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// When the stretch after each mark began.
    starts: VecDeque<i64>,
    /// Of all stretches before each mark.
    marks: VecDeque<Sums>,
    /// The lowest and the highest value of each mark's block.
    ends: VecDeque<(u32, u32)>,
    total: Sums,
    /// Stretches there ever were, and those that were forgotten; there are only marks after these.
    count: u64,
    forgotten: u64,
}

/// What the stretches from a mark on hold.
pub(super) struct Part<'a> {
    /// Where they begin in the log.
    pub(super) at: usize,
    pub(super) low: u32,
    pub(super) peak: u32,
    pub(super) before: &'a Sums,
    pub(super) total: &'a Sums,
}

impl Tally {
    pub(super) fn new(kept: &Kept) -> Self {
        let total = Sums { over: vec![0; kept.overs.len()].into(), ..Sums::default() };
        let (starts, marks, ends) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { starts, marks, ends, total, count: 0, forgotten: 0 }
    }

    /// The next stretch has ended, and another begins.
    pub(super) fn push(&mut self, stretch: &Stretch, next: &Stretch, kept: &Kept) {
        if self.count.is_multiple_of(BLOCK as u64) {
            self.starts.push_back(stretch.since);
            self.marks.push_back(self.total.clone());
            self.ends.push_back((stretch.value, stretch.value));
        } else if let Some((low, peak)) = self.ends.back_mut() {
            (*low, *peak) = (stretch.value.min(*low), stretch.value.max(*peak));
        }
        self.count += 1;
        self.total.add(stretch, next, kept);
    }

    /// The oldest stretch is forgotten.
    pub(super) fn forget(&mut self) {
        if self.forgotten.is_multiple_of(BLOCK as u64) {
            self.starts.pop_front();
            self.marks.pop_front();
            self.ends.pop_front();
        }
        self.forgotten += 1;
    }

    /// All stretches from the first mark after `start` on, for a window in which a value holds for `gap`; None where there
    /// is no such mark, or where the sums of another gap would not do.
    pub(super) fn from(&self, start: i64, gap: i64, kept: &Kept) -> Option<Part<'_>> {
        let first = self.first_after(start)?;
        let before = &self.marks[first];
        let fits = gap == kept.least_gap.millis() || before.broken == self.total.broken;
        let (low, peak) = self
            .ends
            .range(first..)
            .fold((u32::MAX, 0), |(low, peak), (lower, higher)| (low.min(*lower), peak.max(*higher)));
        let forgotten = usize::try_from(self.forgotten % BLOCK as u64).ok()?;
        let at = first * BLOCK + (BLOCK - forgotten) % BLOCK;
        fits.then_some(Part { at, low, peak, before, total: &self.total })
    }

    /// The first mark after `start`.
    fn first_after(&self, start: i64) -> Option<usize> {
        let (front, back) = (*self.starts.front()?, *self.starts.back()?);
        if back <= start {
            return None;
        }
        // Not far from where it would be if all were equally long.
        let share = (start - front).max(0) as f64 / (back - front).max(1) as f64;
        let mut at = (share * self.starts.len() as f64) as usize;
        at = at.min(self.starts.len() - 1);
        while at > 0 && self.starts[at - 1] > start {
            at -= 1;
        }
        while self.starts[at] <= start {
            at += 1;
        }
        Some(at)
    }
}

impl Sums {
    fn add(&mut self, stretch: &Stretch, next: &Stretch, kept: &Kept) {
        let gap = kept.least_gap.millis();
        let length = next.since.min(stretch.until.saturating_add(gap)) - stretch.since;
        self.area += i128::from(stretch.value) * i128::from(length);
        self.known += length;
        self.changes += u64::from(stretch.value != next.value);
        self.broken += u64::from(next.since - stretch.until > gap);
        for (over, above) in self.over.iter_mut().zip(&kept.overs) {
            *over += if stretch.value > *above { length } else { 0 };
        }
    }
}
