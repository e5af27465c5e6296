//! A value that stood for a while, and how it is kept.
//!
//! Neighbours: `log` keeps pieces, `window` and `tally` take stretches. A part of its own because both forms, and the way
//! from one to the other, are the same for what is new and what is older in a log.

use std::iter;

use super::known::NONE;

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
    pub(super) const MOST: i64 = if cfg!(test) { 40 * 60 * 1000 } else { 1193 * 60 * 60 * 1000 };

    pub(super) const EMPTY: Self = Self { length: 0, value: NONE };

    pub(super) fn span(self) -> i64 {
        self.length.into()
    }

    /// Of [`Self::all`], where it is one.
    pub(super) fn only(stretch: &Stretch, end: i64, gap: i64) -> Option<Self> {
        let length = end - stretch.since;
        let one = end - stretch.until <= gap && length <= Self::MOST;
        one.then_some(Self { length: length as u32, value: stretch.value })
    }

    /// The pieces of a stretch that ended when the next began, at `end`; blind for more than `gap` before that, in
    /// milliseconds, it leaves the blind time.
    pub(super) fn all(stretch: &Stretch, end: i64, gap: i64) -> impl Iterator<Item = Self> + Clone {
        let blind = end - stretch.until > gap;
        let until = if blind { stretch.until } else { end };
        let known = Self::each(until - stretch.since, stretch.value);
        known.chain(blind.then(|| Self::each(end - until, NONE)).into_iter().flatten())
    }

    fn each(length: i64, value: u32) -> impl Iterator<Item = Self> + Clone {
        let mut left = Some(length);
        iter::from_fn(move || {
            let length = left?;
            left = Some(length - Self::MOST).filter(|left| *left > 0);
            Some(Self { length: length.min(Self::MOST) as u32, value })
        })
    }
}

/// How long pieces last together, in milliseconds.
pub(super) fn length<'a>(pieces: impl IntoIterator<Item = &'a Piece>) -> i64 {
    pieces.into_iter().map(|piece| piece.span()).sum()
}

/// The stretches of pieces that are given newest first, the newest of them ending at `end`.
pub(super) fn back(pieces: impl Iterator<Item = Piece>, end: i64) -> impl Iterator<Item = Stretch> {
    let (mut pieces, mut since) = (pieces.peekable(), end);
    iter::from_fn(move || {
        while let Some(blind) = pieces.next_if(|piece| piece.value == NONE) {
            since -= blind.span();
        }
        let (until, value) = (since, pieces.peek()?.value);
        while let Some(piece) = pieces.next_if(|piece| piece.value == value) {
            since -= piece.span();
        }
        Some(Stretch { since, until, value })
    })
}

/// How many pieces belong to stretches that ended, by a later reading, before `start`; the last of them ends at `end`.
pub(super) fn gone(pieces: &[Piece], end: i64, start: i64) -> usize {
    if end <= start {
        return pieces.len();
    }
    let (mut since, mut stands) = (end - length(pieces), 0);
    for (index, piece) in pieces.iter().enumerate() {
        if since > start {
            break;
        }
        if piece.value != NONE {
            stands = index;
        }
        since += piece.span();
    }
    stands
}
