//! The past stretches of one slot, oldest first, added up in blocks: what windows look back over.
//!
//! Neighbours: `known` adds a stretch when the value turns and drops those that no window reaches, `window` walks back.
//! A part of its own because whoever never rests has thousands of stretches in a week: a walk takes a whole block at a
//! time, for all signals and windows alike, and only its ends stretch by stretch.

use std::collections::VecDeque;

use super::needs::Kept;

/// Stretches in a block; few where short histories must have some.
pub(super) const BLOCK: usize = if cfg!(test) { 4 } else { 32 };

/// The most stretches kept of one slot. Beyond, the oldest is forgotten: peaks, changes and times stay lower
/// bounds, lows and means lose their value until enough of the window is known again.
pub(super) const MOST_STRETCHES: usize = 2048;

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

/// Adjacent stretches as one.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) since: i64,
    /// When the stretch after it began.
    pub(super) end: i64,
    pub(super) peak: u32,
    pub(super) low: u32,
    /// Also from its last stretch to the one after it.
    pub(super) changes: u32,
    /// Whether there is a gap in it that may matter; then it must be walked through.
    broken: bool,
    /// Sum of value × time.
    pub(super) area: i128,
    /// For each of [`Kept::overs`]: time above it.
    pub(super) over: Box<[i64]>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    stretches: VecDeque<Stretch>,
    /// Of all whole runs of [`BLOCK`] stretches, counted from the first one there ever was.
    blocks: VecDeque<Block>,
    /// How many were forgotten.
    forgotten: u64,
}

impl Log {
    /// As it was made by adding `stretches`; `next` began when the last of them ended.
    pub(super) fn of(stretches: Vec<Stretch>, next: &Stretch, kept: &Kept) -> Self {
        let mut log = Self { stretches: stretches.into(), ..Self::default() };
        for end in (BLOCK..=log.len()).step_by(BLOCK) {
            log.close(end, *log.stretches.get(end).unwrap_or(next), kept);
        }
        log
    }

    /// A stretch has ended, and `next` begins.
    pub(super) fn push(&mut self, stretch: Stretch, next: &Stretch, kept: &Kept) {
        self.stretches.push_back(stretch);
        if self.len().is_multiple_of(FORGET_EVERY) {
            self.forget(next.since, next.since - kept.horizon.millis());
        }
        if self.len() > MOST_STRETCHES {
            self.pop();
        }
        let whole = (self.forgotten + self.len() as u64).is_multiple_of(BLOCK as u64);
        if whole && self.len() >= BLOCK {
            self.close(self.len(), *next, kept);
        }
    }

    /// Makes a block of those before `end`.
    fn close(&mut self, end: usize, mut next: Stretch, kept: &Kept) {
        let (gap, first) = (kept.least_gap.millis(), end - BLOCK);
        let mut block = Block {
            since: self.stretches[first].since,
            end: next.since,
            peak: 0,
            low: u32::MAX,
            changes: 0,
            broken: false,
            area: 0,
            over: vec![0; kept.overs.len()].into(),
        };
        for stretch in self.stretches.range(first..end).rev() {
            let length = next.since - stretch.since;
            block.peak = block.peak.max(stretch.value);
            block.low = block.low.min(stretch.value);
            block.changes += u32::from(stretch.value != next.value);
            block.broken |= next.since - stretch.until > gap;
            block.area += i128::from(stretch.value) * i128::from(length);
            for (over, above) in block.over.iter_mut().zip(&kept.overs) {
                *over += if stretch.value > *above { length } else { 0 };
            }
            next = *stretch;
        }
        self.blocks.push_back(block);
    }

    fn pop(&mut self) {
        // The block that begins with it, if there is one yet.
        if self.forgotten.is_multiple_of(BLOCK as u64) {
            self.blocks.pop_front();
        }
        self.stretches.pop_front();
        self.forgotten += 1;
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

    /// The [`BLOCK`] stretches before `end` as one, where they are one block without a gap that may matter.
    pub(super) fn block(&self, end: usize) -> Option<&Block> {
        let size = BLOCK as u64;
        let end = self.forgotten + end as u64;
        if !end.is_multiple_of(size) {
            return None;
        }
        let at = (end / size).checked_sub(1 + self.forgotten.div_ceil(size))?;
        self.blocks.get(usize::try_from(at).ok()?).filter(|block| !block.broken)
    }

    pub(super) fn stretches(&self) -> impl Iterator<Item = &Stretch> {
        self.stretches.iter()
    }
}
