//! Values derived from readings: what the signals of the rule language are for each subject of one source.
//!
//! `known` follows the known readings of one track, `log`, `packed` and `older` keep them in the form of `stretch`, `tally` adds them
//! up, `window` looks back over them, `absence` counts good replies without the name, `groups` adds members up,
//! `backlog` takes up many polls at once, `checkpoint` turns all of it to bytes, `restored` back, `needs` says what is asked
//! for. Neighbours: `judge` observes polls and fills the columns of programs; the store keeps the checkpoints. A part of its own because only here a missing reading becomes a held value or no value at all.

mod absence;
mod backlog;
mod checkpoint;
mod clocks;
mod groups;
mod known;
mod log;
mod needs;
mod older;
mod packed;
mod restored;
mod stretch;
mod tally;
#[cfg(test)]
mod tests;
mod window;

use std::ops::Range;

pub use backlog::Backlog;
pub use groups::Totals;
pub use needs::{Needs, Track};

use super::lang::{Line, Signal};
use super::narrow::Narrow;
use super::reading::{Kind, Reading};
use super::time::Span;
use absence::Absence;
use known::Known;

/// Slots compared at a time.
const CHUNK: usize = 64;

/// Logs of so many slots are fetched together.
const FETCHED: usize = 64;

/// The signals of one column of subjects: the users of a source, by slot. A subject whose reading stays the same
/// costs a comparison per poll and a few bytes; every change within the longest window asked for costs 8 more.
#[derive(Clone, Debug)]
pub struct Signals {
    clock: Span,
    seq: u64,
    now: Narrow<Reading>,
    held: Known,
    zero: Option<Known>,
    absence: Option<Absence>,
}

impl Signals {
    pub fn new(needs: &Needs) -> Self {
        Self {
            clock: Span::ZERO,
            seq: 0,
            now: Narrow::default(),
            held: Known::new(needs.of(Track::AbsentHeld).unwrap_or_default()),
            zero: needs.of(Track::AbsentZero).map(Known::new),
            absence: needs.absence().map(Absence::new),
        }
    }

    /// Takes up a poll. `readings` are by slot; slots beyond them are *not polled*, new ones may appear at any
    /// poll. `clock` is the sum of `elapsed` over all polls to this one and never goes back.
    pub fn observe(&mut self, readings: &[Reading], clock: Span, seq: u64) {
        let turned = self.turned(readings);
        self.take(&turned, readings.len(), clock, seq);
    }

    /// The slots of which a poll says something else than the poll before, ascending, with what it says.
    pub fn turned(&self, readings: &[Reading]) -> Vec<(u32, Reading)> {
        let mut turned = Vec::new();
        let mut take = |slot: u32, new: Reading| {
            if new != self.reading(slot) {
                turned.push((slot, new));
            }
        };
        // Most chunks have not changed.
        for (first, new) in (0..).step_by(CHUNK).zip(readings.chunks(CHUNK)) {
            if !self.now.is_same(first as usize, new) {
                (first..).zip(new).for_each(|(slot, new)| take(slot, *new));
            }
        }
        let gone = readings.len()..self.now.len();
        gone.for_each(|slot| take(slot as u32, Reading::NOT_POLLED));
        turned
    }

    /// As [`Self::observe`], of a poll that has `len` slots and differs from the one before in `turned`, ascending.
    /// Slots that did not turn may be among them.
    pub fn take(&mut self, turned: &[(u32, Reading)], len: usize, clock: Span, seq: u64) {
        let paused = clock - self.clock;
        self.clock = clock.max(self.clock);
        self.seq = seq;
        let len = self.now.len().max(len);
        self.now.grow(len, Reading::NOT_POLLED);
        for (slot, reading) in turned {
            self.now.put(*slot as usize, *reading);
        }
        // After a pause that is a gap to somebody, what goes on begins anew for everybody.
        if self.is_pause(paused) {
            let all: Vec<(u32, Reading)> = (0..).zip(self.now.iter()).collect();
            self.feed(&all, len);
        } else {
            self.feed(turned, len);
        }
    }

    /// Whether so much time between two polls is a gap to somebody.
    fn is_pause(&self, time: Span) -> bool {
        let gaps = self.absence.iter().flat_map(|absence| &absence.gaps).copied();
        self.tracks().map(|known| known.kept.least_gap).chain(gaps).any(|gap| time > gap)
    }

    fn tracks(&self) -> impl Iterator<Item = &Known> {
        [Some(&self.held), self.zero.as_ref()].into_iter().flatten()
    }

    fn feed(&mut self, turned: &[(u32, Reading)], len: usize) {
        let clock = self.clock.millis();
        let tracks = [(Some(&mut self.held), Track::AbsentHeld), (self.zero.as_mut(), Track::AbsentZero)];
        for (known, track) in tracks {
            let Some(known) = known else { continue };
            known.grow(len);
            known.begin(clock);
            for turned in turned.chunks(FETCHED) {
                known.fetch(turned.iter().map(|(slot, _)| *slot as usize));
                for (slot, reading) in turned {
                    match count_on(*reading, track) {
                        Some(count) => known.learn(*slot, count),
                        None => known.lose(*slot),
                    }
                }
            }
            known.sweep();
        }
        if let Some(absence) = &mut self.absence {
            absence.grow(len);
            absence.begin(clock);
            turned.iter().for_each(|(slot, reading)| absence.take(*slot, *reading));
        }
    }

    /// Fills `out` with the signal's value for each slot of `slots`: NaN is no value, durations are milliseconds.
    /// `max_gap` is how long a value holds without a known reading. No value at all for `limit`, for signals of
    /// groups, and for what was not among the needs.
    pub fn fill(&self, signal: &Signal, track: Track, max_gap: Span, slots: Range<u32>, out: &mut [f64]) {
        let slots: Vec<u32> = slots.collect();
        let mut lines = vec![Line::still(f64::NAN); slots.len()];
        self.draw(signal, track, max_gap, &slots, &mut lines);
        out.iter_mut().zip(lines).for_each(|(out, line)| *out = line.value);
    }

    /// As [`Self::fill`], with where each value goes while polls come, none of them further than `max_gap` after the
    /// one before, and the slot's reading does not turn.
    pub fn draw(&self, signal: &Signal, track: Track, max_gap: Span, slots: &[u32], out: &mut [Line]) {
        let gap = max_gap.millis();
        let known = self.known(track);
        let nothing = Line::still(f64::NAN);
        let line = |line: Option<Line>| line.unwrap_or(nothing);
        match *signal {
            Signal::Online => {
                each(slots, out, |slot| Line::still(self.value_now(slot, track).map_or(f64::NAN, f64::from)));
            }
            Signal::Previous => each(slots, out, |slot| line(known.map(|known| known.previous(slot, gap)))),
            Signal::OnlineTime | Signal::OfflineTime => {
                let (run, online) = (known.and_then(|k| k.run(gap)), *signal == Signal::OnlineTime);
                each(slots, out, |slot| {
                    line(known.zip(run).map(|(known, run)| known.run_time(run, slot, online, gap)))
                });
            }
            Signal::AbsentTime => {
                each(slots, out, |slot| line(self.absence.as_ref().map(|a| a.time(slot, gap))));
            }
            Signal::Peak(_)
            | Signal::Changes(_)
            | Signal::TimeOver(..)
            | Signal::Low(_)
            | Signal::Mean(_) => {
                let Some(known) = known else { return out.fill(nothing) };
                let span = signal.window().unwrap_or_default();
                for (slots, out) in slots.chunks(FETCHED).zip(out.chunks_mut(FETCHED)) {
                    known.fetch_window(slots.iter().map(|slot| *slot as usize), span);
                    each(slots, out, |slot| window::line(known, slot, signal, gap));
                }
            }
            Signal::Limit | Signal::Total | Signal::UsersOnline | Signal::Members => out.fill(nothing),
            Signal::SilentTime | Signal::FailedShare | Signal::Known | Signal::Enabled => out.fill(nothing),
            Signal::Usual(_) | Signal::Peers(_) => out.fill(nothing),
        }
    }

    /// Slots seen so far.
    pub fn len(&self) -> usize {
        self.now.len()
    }

    pub fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    /// The sum of `elapsed` at the last poll observed.
    pub fn clock(&self) -> Span {
        self.clock
    }

    /// The number of the last poll observed, 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The reading of the last poll observed.
    pub fn reading(&self, slot: u32) -> Reading {
        self.now.get(slot as usize).unwrap_or_default()
    }

    /// A slot of which windows had more to keep than there is room for, since this was loaded.
    pub fn cut(&self) -> Option<u32> {
        self.tracks().find_map(|known| known.cut)
    }

    /// The clock at which the slot was last known on a track, before the last poll.
    pub fn known_before(&self, slot: u32, track: Track) -> Option<Span> {
        let (_, clock) = self.known(track)?.before(slot as usize)?;
        Some(Span::from_millis(clock))
    }

    /// The last known value on a track and the clock at it.
    pub fn last_on(&self, slot: u32, track: Track) -> Option<(u32, Span)> {
        let (count, clock) = self.known(track)?.last(slot as usize)?;
        Some((count, Span::from_millis(clock)))
    }

    /// The values of a track that stood within `window` before the last poll, newest first, each with the clock of its
    /// first reading; none where no window is kept.
    pub fn stood(&self, slot: u32, track: Track, window: Span) -> impl Iterator<Item = (Span, u32)> {
        let start = (self.clock - window).millis();
        let stood =
            self.known(track).into_iter().flat_map(move |known| known.stood_from(slot as usize, start));
        stood.map(|(at, count)| (Span::from_millis(at), count))
    }

    fn known(&self, track: Track) -> Option<&Known> {
        match track {
            Track::AbsentHeld => Some(&self.held),
            Track::AbsentZero => self.zero.as_ref(),
        }
    }

    fn value_now(&self, slot: usize, track: Track) -> Option<u32> {
        count_on(self.now.get(slot)?, track)
    }
}

/// What a reading is on a track, where it is known there.
fn count_on(reading: Reading, track: Track) -> Option<u32> {
    match (reading.kind(), track) {
        (Kind::Online(count), _) => Some(count),
        (Kind::Absent, Track::AbsentZero) => Some(0),
        (Kind::Absent | Kind::Failed | Kind::NotPolled, _) => None,
    }
}

/// Draws the line of each slot; `out` is as long as `slots`.
fn each(slots: &[u32], out: &mut [Line], line: impl Fn(usize) -> Line) {
    for (slot, out) in slots.iter().zip(out.iter_mut()) {
        *out = line(*slot as usize);
    }
}
