//! The past of one slot, oldest first: what windows look back over.
//!
//! Neighbours: `known` adds a stretch when the value turns, and says which no window reaches any more; `packed` is all of
//! short logs, `older` has what is not new in long ones, `window` walks back. A part of its own because most slots have
//! a handful of stretches, and whoever never rests has thousands: both must cost little, in the processor's cache above
//! all.

use std::collections::VecDeque;
use std::ops::Deref;

use super::known::NONE;
use super::needs::Kept;
use super::older::{Older, WHOLE};
use super::packed::Packed;
use super::stretch::{self, Piece, Stretch};

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
    /// A value that turns at every poll of one a minute, for 45 days; 32 MiB in all long logs.
    fn default() -> Self {
        Self { each: 65_536, all: 4 << 20, least: 64 }
    }
}

/// So many, and no more, may be missing of the room that there is: the newest are put to the older several at a time.
/// They fill a line of the processor's cache with what is kept beside them.
pub(super) const FRESH: usize = if cfg!(test) { 3 } else { 6 };

/// What came before the stretch that stands now.
#[derive(Clone, Debug)]
pub(super) enum Log {
    /// There may be one for each of a million slots.
    Short(Packed),
    Long(Box<Long>),
}

/// The newest pieces of a log, oldest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    pieces: [Piece; FRESH],
    len: u8,
}

/// To add a stretch is to write to one line of memory, nearly always.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Long {
    /// Whole stretches.
    fresh: Fresh,
    older: Option<Box<Older>>,
}

/// What became of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Grown {
    /// So many pieces more, or fewer.
    pub(super) by: isize,
    /// There was too much of it.
    pub(super) cut: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self::Short(Packed::default())
    }
}

impl Default for Fresh {
    fn default() -> Self {
        Self { pieces: [Piece::EMPTY; FRESH], len: 0 }
    }
}

impl IntoIterator for Fresh {
    type Item = Piece;
    type IntoIter = std::iter::Take<std::array::IntoIter<Piece, FRESH>>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter().take(self.len.into())
    }
}

impl Deref for Fresh {
    type Target = [Piece];

    fn deref(&self) -> &[Piece] {
        &self.pieces[..self.len.into()]
    }
}

impl Fresh {
    /// There must be room.
    pub(super) fn add(&mut self, piece: Piece) {
        self.pieces[usize::from(self.len)] = piece;
        self.len += 1;
    }
}

impl Log {
    /// As it was made by pushing what is in `pieces`; `next` began when the last of them ended. None where it can not
    /// have been.
    pub(super) fn of(pieces: Vec<Piece>, cut: i64, next: &Stretch, kept: &Kept) -> Option<Self> {
        let length = pieces.iter().try_fold(0_i64, |sum, piece| sum.checked_add(piece.span()))?;
        next.since.checked_sub(length)?;
        if pieces.first().is_some_and(|piece| piece.value == NONE) {
            return None;
        }
        if let Some(packed) = Packed::of(pieces.iter().copied()).filter(|_| cut == WHOLE) {
            return Some(Self::Short(packed));
        }
        // The newest whole stretches that have room are new.
        let mut from = pieces.len().saturating_sub(FRESH);
        while from > 0
            && pieces.get(from).is_some_and(|piece| [NONE, pieces[from - 1].value].contains(&piece.value))
        {
            from += 1;
        }
        let mut long = Box::new(Long { fresh: Fresh::default(), older: None });
        let mut older = VecDeque::from(pieces);
        let fresh: Vec<Piece> = older.drain(from..).collect();
        let since = next.since - stretch::length(&fresh);
        let value = fresh.first().map_or(next.value, |piece| piece.value);
        fresh.into_iter().for_each(|piece| long.fresh.add(piece));
        if !older.is_empty() || cut != WHOLE {
            let mut older = Older::new(older, since, cut);
            older.add_up(&Stretch { since, until: since, value }, kept);
            long.older = Some(Box::new(older));
        }
        Some(Self::Long(long))
    }

    /// A stretch has ended, and `next` begins. Where `full`, the log grows no further.
    pub(super) fn push(&mut self, stretch: &Stretch, next: &Stretch, kept: &Kept, full: bool) -> Grown {
        let gap = kept.least_gap.millis();
        if let Self::Long(long) = self
            && long.fresh.len() < FRESH
            && let Some(piece) = Piece::only(stretch, next.since, gap)
        {
            long.fresh.add(piece);
            return Grown { by: 1, cut: false };
        }
        let added = Piece::all(stretch, next.since, gap);
        match self {
            Self::Short(packed) => {
                let pieces = packed.pieces();
                let gone = stretch::gone(&pieces, stretch.since, next.since - kept.horizon.millis());
                let all = pieces[gone..].iter().copied().chain(added);
                let by = all.clone().count() as isize - pieces.len() as isize;
                match Packed::of(all.clone()) {
                    Some(more) => *packed = more,
                    None => {
                        if let Some(log) = Self::of(all.collect(), WHOLE, next, kept) {
                            *self = log;
                        }
                    }
                }
                Grown { by, cut: false }
            }
            Self::Long(long) => long.push(stretch, added, next, kept, full),
        }
    }

    /// Drops stretches that ended, by a later reading, before `start`; the one that stands now began at `since`. Says how
    /// many pieces they were.
    pub(super) fn forget(&mut self, since: i64, start: i64) -> usize {
        match self {
            Self::Short(packed) => {
                let pieces = packed.pieces();
                let gone = stretch::gone(&pieces, since, start);
                *packed = Packed::of(pieces[gone..].iter().copied()).unwrap_or_default();
                gone
            }
            Self::Long(long) => {
                let gone = long.forget(since, start);
                let packed = Packed::of(long.fresh.iter().copied()).filter(|_| long.older.is_none());
                if let Some(packed) = packed {
                    *self = Self::Short(packed);
                }
                gone
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.fresh().len() + self.older().map_or(0, Older::len)
    }

    /// From when on nothing is missing; [`WHOLE`] where nothing ever was.
    pub(super) fn cut(&self) -> i64 {
        self.older().map_or(WHOLE, |older| older.cut)
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.older().into_iter().flat_map(Older::pieces).copied().chain(self.fresh())
    }

    pub(super) fn older(&self) -> Option<&Older> {
        if let Self::Long(long) = self { long.older.as_deref() } else { None }
    }

    /// All stretches, newest first, the newest of which ended at `end`.
    pub(super) fn back(&self, end: i64) -> impl Iterator<Item = Stretch> {
        let fresh = self.fresh();
        let before = end - stretch::length(&*fresh);
        let older = self.older().into_iter().flat_map(|older| older.pieces().rev().copied());
        stretch::back(fresh.into_iter().rev(), end).chain(stretch::back(older, before))
    }

    /// The newest pieces, oldest first; before them come those of [`Self::older`].
    fn fresh(&self) -> Fresh {
        match self {
            Self::Short(packed) => packed.pieces(),
            Self::Long(long) => long.fresh,
        }
    }

    /// The same where they lie, or in `room`.
    pub(super) fn fresh_in<'a>(&'a self, room: &'a mut Option<Fresh>) -> &'a [Piece] {
        match self {
            Self::Short(packed) => room.insert(packed.pieces()),
            Self::Long(long) => &long.fresh,
        }
    }

    /// Something of what a push needs.
    pub(super) fn glance(&self) -> i64 {
        match self {
            Self::Short(packed) => packed.glance(),
            Self::Long(long) => long.fresh.pieces[0].span(),
        }
    }
}

impl Long {
    fn push(
        &mut self,
        stretch: &Stretch,
        added: impl Iterator<Item = Piece> + Clone,
        next: &Stretch,
        kept: &Kept,
        full: bool,
    ) -> Grown {
        let (len, more) = (self.fresh.len(), added.clone().count());
        if len + more <= FRESH {
            added.for_each(|piece| self.fresh.add(piece));
            return Grown { by: more as isize, cut: false };
        }
        let before = (len + self.older.as_ref().map_or(0, |older| older.len()), self.cut());
        let older = self.age(stretch, kept);
        if more > FRESH {
            older.push(&added.clone().collect::<Vec<_>>(), stretch.since, next, kept);
        }
        older.forget(next.since - kept.horizon.millis());
        // Until they have aged, as many as have room are more.
        let most = if full { before.0.max(kept.room.least) } else { kept.room.each };
        older.shorten(most.saturating_sub(FRESH));
        let after = (older.len(), older.cut);
        if more <= FRESH {
            added.for_each(|piece| self.fresh.add(piece));
        }
        let len = after.0 + self.fresh.len();
        Grown { by: len as isize - before.0 as isize, cut: after.1 != before.1 }
    }

    fn cut(&self) -> i64 {
        self.older.as_ref().map_or(WHOLE, |older| older.cut)
    }

    /// What was new is older; `next` comes after it.
    fn age(&mut self, next: &Stretch, kept: &Kept) -> &mut Older {
        let since = next.since - stretch::length(&*self.fresh);
        let older = self
            .older
            .get_or_insert_with(|| Box::new(Older::new(VecDeque::with_capacity(8 * FRESH), since, WHOLE)));
        older.push(&self.fresh, since, next, kept);
        self.fresh = Fresh::default();
        older
    }

    fn forget(&mut self, since: i64, start: i64) -> usize {
        let mut forgotten = 0;
        if let Some(older) = &mut self.older {
            forgotten = older.forget(start);
            if older.len() > 0 || older.cut > start {
                return forgotten;
            }
            self.older = None;
        }
        let gone = stretch::gone(&self.fresh, since, start);
        if gone > 0 {
            self.fresh.pieces.rotate_left(gone);
            self.fresh.len -= gone as u8;
        }
        forgotten + gone
    }
}
