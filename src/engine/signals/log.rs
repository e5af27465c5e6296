//! The past of one slot, oldest first: what windows look back over.
//!
//! Neighbours: `known` adds a stretch when the value turns, and says which no window reaches any more; `tally` adds long
//! logs up, `window` walks back. A part of its own because most slots have a handful of stretches, and whoever never
//! rests has thousands: both must cost little, in the processor's cache above all.

use std::collections::VecDeque;
use std::iter;

use super::known::NONE;
use super::needs::Kept;
use super::tally::Tally;

/// How many pieces are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Room {
    /// Of one slot. Beyond, the oldest are cut off, and windows that reach so far have no value.
    pub(super) each: usize,
    /// Of all slots together; beyond, whoever turns is cut.
    pub(super) all: usize,
    /// But never down to fewer than so many.
    pub(super) least: usize,
}

impl Default for Room {
    /// A value that turns at every poll of one a minute, for 45 days; 32 MiB in all.
    fn default() -> Self {
        Self { each: 65_536, all: 4 << 20, least: 64 }
    }
}

/// So many pieces are kept without room for more, and without anything beside them.
const SHORT: usize = if cfg!(test) { 3 } else { 12 };

/// A log of so many pieces is added up: to walk through fewer takes no longer than to look a sum up. Few where short
/// histories must have some.
const LONG: usize = if cfg!(test) { 8 } else { 128 };

/// About so many pieces are walked through also in a long log.
const WALKED: f64 = if cfg!(test) { 6.0 } else { 48.0 };

/// Every so many pieces those at the other end are looked at: it need not be in the processor's cache.
const FORGET_EVERY: usize = 8;

/// So many pieces make a line of the processor's cache.
const LINE: usize = 8;

/// The cut of a log that never had too much.
pub(super) const WHOLE: i64 = i64::MIN;

/// A value that was read again and again with no gap that matters in between. Clocks in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    pub(super) since: i64,
    /// Its last reading, or, where the next came before that mattered to anybody, the beginning of the next.
    pub(super) until: i64,
    pub(super) value: u32,
}

/// A stretch as it is kept: eight bytes, and as many for the blind time after it, where there was any. What lasts longer
/// than a piece can takes several, which read the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// Milliseconds to the next piece.
    pub(super) length: u32,
    /// Or [`NONE`] for time after the last reading of the piece before.
    pub(super) value: u32,
}

impl Piece {
    /// The longest, in whole hours: what is measured in minutes stays so. Short where short histories must have some.
    pub(super) const MOST: i64 = if cfg!(test) { 20 * 60 * 1000 } else { 1193 * 60 * 60 * 1000 };

    fn span(self) -> i64 {
        self.length.into()
    }

    /// So long a time in pieces.
    fn each(mut length: i64, value: u32, mut add: impl FnMut(Self)) {
        while length > Self::MOST {
            add(Self { length: Self::MOST as u32, value });
            length -= Self::MOST;
        }
        add(Self { length: length as u32, value });
    }
}

/// What came before the stretch that stands now.
#[derive(Clone, Debug)]
pub(super) enum Log {
    /// At most [`SHORT`], in an allocation that fits: there may be one for each of a million slots.
    Short(Box<[Piece]>),
    Long(Box<Long>),
}

#[derive(Clone, Debug)]
pub(super) struct Long {
    pieces: VecDeque<Piece>,
    /// When the first of them began.
    first: i64,
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
    /// As it was made by pushing what is in `pieces`; `next` began when the last of them ended. None where it can not
    /// have been.
    pub(super) fn of(pieces: Vec<Piece>, cut: i64, next: &Stretch, kept: &Kept) -> Option<Self> {
        let length = pieces.iter().try_fold(0_i64, |sum, piece| sum.checked_add(piece.span()))?;
        let first = next.since.checked_sub(length)?;
        if pieces.first().is_some_and(|piece| piece.value == NONE) {
            return None;
        }
        if pieces.len() <= SHORT && cut == WHOLE {
            return Some(Self::Short(pieces.into()));
        }
        let mut long = Box::new(Long { pieces: pieces.into(), first, cut, tally: None });
        long.add_up(next, kept);
        Some(Self::Long(long))
    }

    /// A stretch has ended, and `next` begins. Where `full`, the log grows no further.
    pub(super) fn push(&mut self, stretch: &Stretch, next: &Stretch, kept: &Kept, full: bool) {
        let add = |add: &mut dyn FnMut(Piece)| {
            let blind = next.since - stretch.until > kept.least_gap.millis();
            let until = if blind { stretch.until } else { next.since };
            Piece::each(until - stretch.since, stretch.value, &mut *add);
            if blind {
                Piece::each(next.since - until, NONE, add);
            }
        };
        let before = self.len();
        match self {
            Self::Short(pieces) => {
                let gone = gone(pieces, stretch.since, next.since - kept.horizon.millis());
                let mut all = Vec::with_capacity(before - gone + 1);
                all.extend_from_slice(&pieces[gone..]);
                add(&mut |piece| all.push(piece));
                if let Some(log) = Self::of(all, WHOLE, next, kept) {
                    *self = log;
                }
            }
            Self::Long(long) => {
                add(&mut |piece| long.pieces.push_back(piece));
                long.pushed(before, stretch, next, kept);
            }
        }
        if let Self::Long(long) = self {
            long.shorten(if full { before.max(kept.room.least) } else { kept.room.each });
        }
    }

    /// Drops stretches that ended, by a later reading, before `start`; the one that stands now began at `since`.
    pub(super) fn forget(&mut self, since: i64, start: i64) {
        match self {
            Self::Short(pieces) => {
                let gone = gone(pieces, since, start);
                if gone > 0 {
                    *pieces = pieces[gone..].into();
                }
            }
            Self::Long(long) => long.forget(start),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Short(pieces) => pieces.len(),
            Self::Long(long) => long.pieces.len(),
        }
    }

    /// From when on nothing is missing; [`WHOLE`] where nothing ever was.
    pub(super) fn cut(&self) -> i64 {
        if let Self::Long(long) = self { long.cut } else { WHOLE }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sums of all that lies in a window of `span` before `end`, where it is so much that they save time.
    pub(super) fn tally(&self, end: i64, span: i64) -> Option<&Tally> {
        let Self::Long(long) = self else { return None };
        long.tally.as_deref().filter(|_| long.share(end, span) > WALKED)
    }

    pub(super) fn pieces(&self) -> impl DoubleEndedIterator<Item = &Piece> {
        let (first, then) = self.slices();
        first.iter().chain(then)
    }

    fn slices(&self) -> (&[Piece], &[Piece]) {
        match self {
            Self::Short(pieces) => (pieces, &[]),
            Self::Long(long) => long.pieces.as_slices(),
        }
    }

    /// The stretches before the piece `at`, which began at `end`, newest first.
    pub(super) fn back(&self, at: usize, end: i64) -> impl Iterator<Item = Stretch> {
        let (first, then) = self.slices();
        let near = &then[..at.saturating_sub(first.len())];
        let mut pieces = near.iter().rev().chain(first[..at.min(first.len())].iter().rev()).peekable();
        let (mut since, mut until) = (end, end);
        iter::from_fn(move || {
            while let Some(piece) = pieces.next_if(|piece| piece.value == NONE) {
                since -= piece.span();
                until = since;
            }
            let value = pieces.peek()?.value;
            while let Some(piece) = pieces.next_if(|piece| piece.value == value) {
                since -= piece.span();
            }
            let stretch = Stretch { since, until, value };
            until = since;
            Some(stretch)
        })
    }

    /// Something of all that is read to look back over `span` before `end`; of the newest piece alone without one.
    pub(super) fn glance(&self, end: i64, span: i64) -> i64 {
        match self {
            Self::Short(pieces) => pieces.last().map_or(0, |piece| piece.span()),
            Self::Long(long) => long.glance(end, span),
        }
    }

    /// The value of a piece that begins a stretch.
    pub(super) fn value(&self, at: usize) -> u32 {
        match self {
            Self::Short(pieces) => pieces[at].value,
            Self::Long(long) => long.pieces[at].value,
        }
    }
}

/// How many pieces belong to stretches that ended, by a later reading, before `start`; the last of them ends at `end`.
fn gone(pieces: &[Piece], end: i64, start: i64) -> usize {
    let mut since = end - pieces.iter().map(|piece| piece.span()).sum::<i64>();
    let mut stands = 0;
    for (index, piece) in pieces.iter().enumerate() {
        if since > start {
            return stands;
        }
        if piece.value != NONE {
            stands = index;
        }
        since += piece.span();
    }
    if end <= start { pieces.len() } else { stands }
}

impl Long {
    /// The stretch was added after so many pieces.
    fn pushed(&mut self, before: usize, stretch: &Stretch, next: &Stretch, kept: &Kept) {
        let pieces = self.pieces.len() - before;
        match &mut self.tally {
            Some(tally) => tally.push(stretch, next, pieces, kept),
            None => self.add_up(next, kept),
        }
        if before / FORGET_EVERY != self.pieces.len() / FORGET_EVERY {
            self.forget(next.since - kept.horizon.millis());
        }
    }

    /// Cuts off what is more than so many pieces.
    fn shorten(&mut self, most: usize) {
        while self.pieces.len() > most {
            self.pop();
            self.cut = self.first;
        }
    }

    /// Begins to add up what has become long.
    fn add_up(&mut self, next: &Stretch, kept: &Kept) {
        if self.pieces.len() < LONG {
            return;
        }
        let (mut tally, mut stretches, mut since) = (Tally::new(kept), Vec::new(), self.first);
        for piece in &self.pieces {
            let until = since + piece.span();
            match stretches.last_mut().filter(|_| piece.value == NONE) {
                Some((_, pieces)) => *pieces += 1,
                None => stretches.push((Stretch { since, until, value: piece.value }, 1)),
            }
            since = until;
        }
        let ends = stretches.iter().skip(1).map(|(next, _)| next).chain([next]);
        let both = stretches.iter().zip(ends);
        both.for_each(|((stretch, pieces), next)| tally.push(stretch, next, *pieces, kept));
        self.tally = Some(Box::new(tally));
    }

    /// The first stretch and the blind time after it.
    fn pop(&mut self) {
        let mut popped = 0;
        while let Some(piece) = self.pieces.front().filter(|piece| popped == 0 || piece.value == NONE) {
            self.first += piece.span();
            self.pieces.pop_front();
            popped += 1;
        }
        if let Some(tally) = &mut self.tally {
            tally.forget(popped);
        }
    }

    fn forget(&mut self, start: i64) {
        while self.first <= start && !self.pieces.is_empty() && self.first_end() <= start {
            self.pop();
        }
    }

    /// When the second stretch began.
    fn first_end(&self) -> i64 {
        let blind = self.pieces.iter().skip(1).take_while(|piece| piece.value == NONE);
        self.first + self.pieces.iter().take(1).chain(blind).map(|piece| piece.span()).sum::<i64>()
    }

    fn glance(&self, end: i64, span: i64) -> i64 {
        let last = self.pieces.len().saturating_sub(1);
        let near = if span == 0 { 0.0 } else { self.share(end, span) };
        let read = |at: usize| self.pieces.get(at).map_or(0, |piece| piece.span());
        if let Some(tally) = self.tally.as_deref().filter(|_| near > WALKED || span == 0) {
            let oldest = if span > 0 { read(0) } else { 0 };
            return tally.glance(span > 0) ^ oldest ^ read(last);
        }
        let lines = (0..=(near as usize).min(last) / LINE).map(|line| last - line * LINE);
        lines.fold(0, |all, at| all ^ read(at))
    }

    /// About how many pieces there are in a window of `span` before `end`.
    fn share(&self, end: i64, span: i64) -> f64 {
        let share = span as f64 / (end - self.first).max(1) as f64;
        share.min(1.0) * self.pieces.len() as f64
    }
}
