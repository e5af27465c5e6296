//! Polls in a row, kept to be taken up together, slot by slot.
//!
//! Neighbours: `restore` fills one with polls of the past, [`Signals::take_all`](super::Signals::take_all) takes it up. A
//! part of its own because week after week of polls is only read fast if what one slot needs stays in the processor's
//! cache for all of its changes.

use std::mem;
use std::ops::Range;

use super::known::{Known, NOW};
use super::{FETCHED, Signals, Track, count_on};
use crate::engine::reading::Reading;
use crate::engine::time::Span;

/// So many changes are taken up together at least, and of more slots than that one of each.
const FULL: usize = if cfg!(test) { 40 } else { 1 << 18 };

/// Polls that are still to be taken up, oldest first.
#[derive(Debug, Default)]
pub struct Backlog {
    polls: Vec<Poll>,
    /// What turned at each of them, poll by poll.
    turned: Vec<(u32, Reading)>,
    /// Room for the same slot by slot.
    sorted: Sorted,
}

#[derive(Clone, Copy, Debug)]
struct Poll {
    clock: Span,
    seq: u64,
    /// Slots.
    len: usize,
    /// Where in [`Backlog::turned`] that of the next one begins.
    end: usize,
}

/// Changes of a slot, oldest first, each with the index of its poll.
pub(super) type Changes<'a> = &'a [(u32, Reading)];

/// What polls in a row, none after a pause that matters, say of slots that were all there before.
#[derive(Debug, Default)]
struct Sorted {
    /// Of the poll before the first, and of each.
    clocks: Vec<i64>,
    /// Where the changes of each slot begin, and at last where they end.
    starts: Vec<u32>,
    changes: Vec<(u32, Reading)>,
}

impl Backlog {
    /// Adds a poll, as for [`Signals::take`].
    pub fn push(&mut self, turned: &[(u32, Reading)], len: usize, clock: Span, seq: u64) {
        self.turned.extend_from_slice(turned);
        self.polls.push(Poll { clock, seq, len, end: self.turned.len() });
    }

    /// Whether it is time to take it up.
    pub fn is_full(&self) -> bool {
        let len = self.polls.last().map_or(0, |poll| poll.len);
        self.turned.len().max(self.polls.len()) >= FULL.max(len)
    }

    fn turned_at(&self, poll: usize) -> &[(u32, Reading)] {
        let start = poll.checked_sub(1).map_or(0, |before| self.polls[before].end);
        &self.turned[start..self.polls[poll].end]
    }

    /// By slot; `clock` is that of the poll before the first of `polls`, and `len` how many slots there are.
    fn sort(&mut self, polls: Range<usize>, clock: Span, len: usize) {
        let Sorted { mut clocks, mut starts, mut changes } = mem::take(&mut self.sorted);
        clocks.clear();
        clocks.push(clock.millis());
        starts.clear();
        starts.resize(len + 1, 0);
        for poll in polls.clone() {
            clocks.push(self.polls[poll].clock.millis().max(clocks[clocks.len() - 1]));
            for (slot, _) in self.turned_at(poll) {
                starts[*slot as usize + 1] += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        changes.resize(sum as usize, (0, Reading::NOT_POLLED));
        for (index, poll) in (0..).zip(polls) {
            for (slot, reading) in self.turned_at(poll) {
                let next = &mut starts[*slot as usize];
                changes[*next as usize] = (index, *reading);
                *next += 1;
            }
        }
        // Each has come to where the next begins.
        starts.insert(0, 0);
        starts.truncate(len + 1);
        self.sorted = Sorted { clocks, starts, changes };
    }
}

impl Signals {
    /// Takes up all polls of a backlog, as [`Self::take`] would one after the other, and leaves it empty.
    pub fn take_all(&mut self, backlog: &mut Backlog) {
        let last = backlog.polls.len().saturating_sub(1);
        let mut alone = 0;
        let (mut len, mut clock) = (self.len(), self.clock);
        for (index, poll) in backlog.polls[..last].iter().enumerate() {
            if poll.len > len || self.is_pause(poll.clock - clock) {
                alone = index + 1;
            }
            (len, clock) = (len.max(poll.len), clock.max(poll.clock));
        }
        let most = backlog.turned.len();
        if !self.tracks().all(|known| known.has_room_for(most, clock.millis())) {
            alone = last;
        }
        (0..alone).for_each(|poll| self.take_one(backlog, poll));
        if alone < last {
            self.take_slots(backlog, alone, last);
        }
        // The last one goes the usual way: what was known before it is remembered.
        (last..backlog.polls.len()).for_each(|poll| self.take_one(backlog, poll));
        backlog.polls.clear();
        backlog.turned.clear();
    }

    fn take_one(&mut self, backlog: &Backlog, poll: usize) {
        let Poll { clock, seq, len, .. } = backlog.polls[poll];
        self.take(backlog.turned_at(poll), len, clock, seq);
    }

    fn take_slots(&mut self, backlog: &mut Backlog, first: usize, end: usize) {
        backlog.sort(first..end, self.clock, self.len());
        let sorted = &backlog.sorted;
        self.held.take_slots(sorted, Track::AbsentHeld);
        if let Some(zero) = &mut self.zero {
            zero.take_slots(sorted, Track::AbsentZero);
        }
        if let Some(absence) = &mut self.absence {
            for (slot, changes) in sorted.slots() {
                for (poll, reading) in changes {
                    (absence.then, absence.now) = sorted.clocks(*poll);
                    absence.take(slot, *reading);
                }
            }
            (absence.then, absence.now) = sorted.last_clocks();
        }
        for (slot, changes) in sorted.slots() {
            if let Some((_, reading)) = changes.last() {
                self.now.put(slot as usize, *reading);
            }
        }
        (self.clock, self.seq) = (self.clock.max(backlog.polls[end - 1].clock), backlog.polls[end - 1].seq);
    }
}

impl Sorted {
    /// All slots, ascending.
    fn slots(&self) -> impl Iterator<Item = (u32, Changes<'_>)> {
        let changes = |ends: &[u32]| &self.changes[ends[0] as usize..ends[1] as usize];
        (0..).zip(self.starts.windows(2).map(changes))
    }

    /// Those of `slots` that turned.
    fn turned(&self, slots: Range<usize>) -> impl Iterator<Item = usize> + Clone {
        let len = self.starts.len() - 1;
        slots.take_while(move |slot| *slot < len).filter(|slot| self.starts[*slot] < self.starts[slot + 1])
    }

    /// Of the poll before, and of the poll of that index.
    fn clocks(&self, poll: u32) -> (i64, i64) {
        (self.clocks[poll as usize], self.clocks[poll as usize + 1])
    }

    fn last_clocks(&self) -> (i64, i64) {
        self.clocks(self.clocks.len() as u32 - 2)
    }

    /// In which slots the lists of a track are looked through at each poll.
    fn sweeps(&self, known: &mut Known) -> Vec<(u32, Range<usize>)> {
        let polls = (0..).zip(self.clocks.windows(2));
        let mut sweeps: Vec<_> =
            polls.map(|(poll, clocks)| (poll, known.next_sweep(clocks[1] - clocks[0]))).collect();
        sweeps.retain(|(poll, _)| known.may_forget(self.clocks(*poll).1));
        sweeps
    }
}

impl Known {
    fn take_slots(&mut self, sorted: &Sorted, track: Track) {
        self.first = self.first.min(sorted.clocks(0).1);
        let sweeps = sorted.sweeps(self);
        // Each round goes over the slots once, in their order.
        let mut rounds: Vec<&[(u32, Range<usize>)]> =
            sweeps.chunk_by(|_, (_, next)| next.start > 0).collect();
        let (cut, mut last_cut) = (self.cut.take(), None);
        for (slot, mut changes) in sorted.slots() {
            let at = slot as usize;
            if at.is_multiple_of(FETCHED) {
                self.fetch_all(sorted.turned(at..at + FETCHED));
            }
            for round in &mut rounds {
                while let Some((_, rest)) = round.split_first().filter(|((_, swept), _)| swept.end <= at) {
                    *round = rest;
                }
                if let Some((poll, _)) = round.first().filter(|(_, swept)| swept.contains(&at)) {
                    let (before, after) = changes.split_at(changes.partition_point(|(at, _)| at <= poll));
                    self.take_changes(slot, before, sorted, track, &mut last_cut);
                    changes = after;
                    self.now = sorted.clocks(*poll).1;
                    self.forget(at);
                }
            }
            self.take_changes(slot, changes, sorted, track, &mut last_cut);
        }
        (self.then, self.now) = sorted.last_clocks();
        self.cut = last_cut.map(|(_, slot)| slot).or(cut);
    }

    /// `cut` is the last poll at which there was too much of a slot, and the last such slot at it.
    fn take_changes(
        &mut self,
        slot: u32,
        changes: Changes<'_>,
        sorted: &Sorted,
        track: Track,
        cut: &mut Option<(u32, u32)>,
    ) {
        let at = slot as usize;
        let Some(mut clock) = self.clock.get(at).filter(|_| !changes.is_empty()) else { return };
        for (poll, reading) in changes {
            let (then, now) = sorted.clocks(*poll);
            let last = if clock == NOW { then } else { clock };
            let Some(count) = count_on(*reading, track) else {
                clock = last;
                continue;
            };
            self.now = now;
            self.settle(at, count, last);
            clock = NOW;
            if self.cut.take().is_some() {
                *cut = (*cut).max(Some((*poll, slot)));
            }
        }
        self.clock.put(at, clock);
    }
}
