//! What is older in a long log: all but its newest stretches, and their sums.
//!
//! Neighbours: `log` hands the stretches over, several at a time; `tally` adds them up, `window` walks back. A part of its
//! own because it lies elsewhere in memory: whoever only adds a stretch, or looks back a little, must not come here.

use std::collections::VecDeque;

use super::known::NONE;
use super::needs::Kept;
use super::stretch::{self, Piece, Stretch};
use super::tally::Tally;

/// So many pieces are added up: to walk through fewer takes no longer than to look a sum up. Few where short histories
/// must have some.
const LONG: usize = if cfg!(test) { 8 } else { 128 };

/// About so many pieces are walked through also where there are sums.
const WALKED: f64 = if cfg!(test) { 6.0 } else { 48.0 };

/// So many pieces make a line of the processor's cache.
const LINE: usize = 8;

/// The cut of a log that never had too much.
pub(super) const WHOLE: i64 = i64::MIN;

#[derive(Clone, Debug)]
pub(super) struct Older {
    pieces: VecDeque<Piece>,
    /// When the first of them began.
    first: i64,
    /// Before this nothing is known any more, because there was too much of it.
    pub(super) cut: i64,
    /// Of those that are [`LONG`].
    tally: Option<Box<Tally>>,
}

impl Older {
    /// `end` is when the last piece ended.
    pub(super) fn new(pieces: VecDeque<Piece>, end: i64, cut: i64) -> Self {
        Self { first: end - stretch::length(&pieces), pieces, cut, tally: None }
    }

    /// The next stretches, in their pieces, from `since` on; the last of them ended when `next` began.
    pub(super) fn push(&mut self, pieces: &[Piece], since: i64, next: &Stretch, kept: &Kept) {
        self.pieces.extend(pieces);
        let Some(tally) = &mut self.tally else { return self.add_up(next, kept) };
        add_to(tally, pieces.iter(), since, next, kept);
    }

    /// Begins to add up what has become long.
    pub(super) fn add_up(&mut self, next: &Stretch, kept: &Kept) {
        if self.pieces.len() < LONG {
            return;
        }
        let mut tally = Tally::new(kept);
        add_to(&mut tally, self.pieces.iter(), self.first, next, kept);
        self.tally = Some(Box::new(tally));
    }

    /// Drops stretches that ended, by a later reading, before `start`. Says how many pieces they were.
    pub(super) fn forget(&mut self, start: i64) -> usize {
        let before = self.pieces.len();
        while self.first <= start && !self.pieces.is_empty() && self.first_end() <= start {
            self.pop();
        }
        before - self.pieces.len()
    }

    /// Cuts off what is more than so many pieces.
    pub(super) fn shorten(&mut self, most: usize) {
        while self.pieces.len() > most {
            self.pop();
            self.cut = self.first;
        }
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

    /// When the second stretch began.
    fn first_end(&self) -> i64 {
        let blind = self.pieces.iter().skip(1).take_while(|piece| piece.value == NONE);
        self.first + stretch::length(self.pieces.iter().take(1).chain(blind))
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn pieces(&self) -> impl DoubleEndedIterator<Item = &Piece> {
        self.pieces.iter()
    }

    /// The pieces before the one `at`, oldest first, as they lie.
    pub(super) fn before(&self, at: usize) -> [&[Piece]; 2] {
        let (first, then) = self.pieces.as_slices();
        [&first[..at.min(first.len())], &then[..at.saturating_sub(first.len())]]
    }

    /// The value of a piece that begins a stretch.
    pub(super) fn value(&self, at: usize) -> u32 {
        self.pieces[at].value
    }

    /// The sums of all that lies in a window of `span` before `end`, where it is so much that they save time.
    pub(super) fn tally(&self, end: i64, span: i64) -> Option<&Tally> {
        self.tally.as_deref().filter(|_| self.share(end, span) > WALKED)
    }

    /// About how many pieces there are in a window of `span` before `end`.
    fn share(&self, end: i64, span: i64) -> f64 {
        let share = span as f64 / (end - self.first).max(1) as f64;
        share.min(1.0) * self.pieces.len() as f64
    }

    /// Something of where more is added.
    pub(super) fn last(&self) -> i64 {
        let tally = self.tally.as_ref().map_or(0, |tally| tally.last());
        tally ^ self.pieces.back().map_or(0, |piece| piece.span())
    }

    /// Something of all that is read to look back over `span` before `end`.
    pub(super) fn glance(&self, end: i64, span: i64) -> i64 {
        let (near, last) = (self.share(end, span), self.pieces.len().saturating_sub(1));
        let read = |at: usize| self.pieces.get(at).map_or(0, |piece| piece.span());
        match &self.tally {
            Some(tally) if near > WALKED => tally.glance() ^ read(0),
            _ => (0..=(near as usize).min(last) / LINE).fold(0, |all, line| all ^ read(last - line * LINE)),
        }
    }
}

/// Adds stretches up that are given in their pieces, oldest first, from `since` on; `next` follows the last of them.
fn add_to<'a>(
    tally: &mut Tally,
    mut pieces: impl Iterator<Item = &'a Piece>,
    since: i64,
    next: &Stretch,
    kept: &Kept,
) {
    let Some(first) = pieces.next() else { return };
    let (mut stretch, mut count) = (Stretch { since, until: since + first.span(), value: first.value }, 1);
    let mut end = stretch.until;
    for piece in pieces {
        if piece.value == NONE {
            count += 1;
        } else {
            let then = Stretch { since: end, until: end + piece.span(), value: piece.value };
            tally.push(&stretch, &then, count, kept);
            (stretch, count) = (then, 1);
        }
        end += piece.span();
    }
    tally.push(&stretch, next, count, kept);
}
