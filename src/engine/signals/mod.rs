//! Values derived from readings: what the signals of the rule language are for each subject of one source.
//!
//! `known` follows the known readings of one track, `window` looks back over them, `absence` counts good replies
//! without the name, `groups` adds members up, `checkpoint` turns all of it to bytes and back, `needs` says what
//! is asked for. Neighbours: `judge` observes polls and fills the columns of programs; the store keeps the
//! checkpoints. A part of its own because only here a missing reading becomes a held value or no value at all.

mod absence;
mod checkpoint;
mod groups;
mod known;
mod needs;
#[cfg(test)]
mod tests;
mod window;

use std::ops::Range;

pub use groups::Totals;
pub use needs::{Needs, Track};

use super::lang::Signal;
use super::reading::{Kind, Reading};
use super::time::Span;
use absence::Absence;
use known::Known;

/// The signals of one column of subjects: the users of a source, by slot. A subject whose reading stays the same
/// costs a comparison per poll and a few bytes; every change within the longest window asked for costs 24 more.
#[derive(Clone, Debug)]
pub struct Signals {
    clock: Span,
    seq: u64,
    now: Vec<Reading>,
    held: Known,
    zero: Option<Known>,
    absence: Option<Absence>,
}

impl Signals {
    pub fn new(needs: &Needs) -> Self {
        Self {
            clock: Span::ZERO,
            seq: 0,
            now: Vec::new(),
            held: Known::new(needs.of(Track::AbsentHeld).unwrap_or_default()),
            zero: needs.of(Track::AbsentZero).map(Known::new),
            absence: needs.absence().map(Absence::new),
        }
    }

    /// Takes up a poll. `readings` are by slot; slots beyond them are *not polled*, new ones may appear at any
    /// poll. `clock` is the sum of `elapsed` over all polls to this one and never goes back.
    pub fn observe(&mut self, readings: &[Reading], clock: Span, seq: u64) {
        self.clock = clock.max(self.clock);
        self.seq = seq;
        let len = self.now.len().max(readings.len());
        self.now.clear();
        self.now.extend_from_slice(readings);
        self.now.resize(len, Reading::NOT_POLLED);
        let clock = self.clock.millis();
        self.held.grow(len);
        for (slot, reading) in readings.iter().enumerate() {
            if let Kind::Online(count) = reading.kind() {
                self.held.learn(slot, count, clock);
            }
        }
        self.held.sweep(clock);
        if let Some(zero) = &mut self.zero {
            zero.grow(len);
            for (slot, reading) in readings.iter().enumerate() {
                match reading.kind() {
                    Kind::Online(count) => zero.learn(slot, count, clock),
                    Kind::Absent => zero.learn(slot, 0, clock),
                    Kind::Failed | Kind::NotPolled => {}
                }
            }
            zero.sweep(clock);
        }
        if let Some(absence) = &mut self.absence {
            absence.observe(readings, len, clock);
        }
    }

    /// Fills `out` with the signal's value for each slot of `slots`: NaN is no value, durations are milliseconds.
    /// `max_gap` is how long a value holds without a known reading. No value at all for `limit`, for signals of
    /// groups, and for what was not among the needs.
    pub fn fill(&self, signal: &Signal, track: Track, max_gap: Span, slots: Range<u32>, out: &mut [f64]) {
        let (gap, clock) = (max_gap.millis(), self.clock.millis());
        let known = self.known(track);
        match *signal {
            Signal::Online => each(slots, out, |slot| self.value_now(slot, track).map(f64::from)),
            Signal::Previous => {
                each(slots, out, |slot| known?.previous(slot, self.known_now(slot, track), clock, gap));
            }
            Signal::OnlineTime | Signal::OfflineTime => {
                let (run, online) = (known.and_then(|k| k.run(gap)), *signal == Signal::OnlineTime);
                each(slots, out, |slot| known?.run_time(run?, slot, online, clock, gap));
            }
            Signal::AbsentTime => each(slots, out, |slot| self.absence.as_ref()?.time(slot, clock, gap)),
            Signal::Peak(_)
            | Signal::Changes(_)
            | Signal::TimeOver(..)
            | Signal::Low(_)
            | Signal::Mean(_) => {
                each(slots, out, |slot| window::value(known?, slot, signal, clock, gap));
            }
            Signal::Limit | Signal::Total | Signal::UsersOnline | Signal::Members => out.fill(f64::NAN),
            Signal::SilentTime | Signal::FailedShare | Signal::Known | Signal::Enabled => out.fill(f64::NAN),
            Signal::Usual(_) | Signal::Peers(_) => out.fill(f64::NAN),
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
        self.now.get(slot as usize).copied().unwrap_or_default()
    }

    /// Whether the last poll's reading is a known one on this track; elsewhere nothing new is known of the slot.
    pub fn is_known(&self, slot: u32, track: Track) -> bool {
        self.known_now(slot as usize, track)
    }

    /// The last `online` reading, however old.
    pub fn last_known(&self, slot: u32) -> Option<u32> {
        self.held.last(slot as usize).map(|(count, _)| count)
    }

    /// The clock at the last `online` reading.
    pub fn last_known_clock(&self, slot: u32) -> Option<Span> {
        self.held.last(slot as usize).map(|(_, clock)| Span::from_millis(clock))
    }

    /// The last known value on a track and the clock at it.
    pub fn last_on(&self, slot: u32, track: Track) -> Option<(u32, Span)> {
        let (count, clock) = self.known(track)?.last(slot as usize)?;
        Some((count, Span::from_millis(clock)))
    }

    fn known(&self, track: Track) -> Option<&Known> {
        match track {
            Track::AbsentHeld => Some(&self.held),
            Track::AbsentZero => self.zero.as_ref(),
        }
    }

    fn value_now(&self, slot: usize, track: Track) -> Option<u32> {
        match (self.now.get(slot)?.kind(), track) {
            (Kind::Online(count), _) => Some(count),
            (Kind::Absent, Track::AbsentZero) => Some(0),
            (Kind::Absent | Kind::Failed | Kind::NotPolled, _) => None,
        }
    }

    fn known_now(&self, slot: usize, track: Track) -> bool {
        self.value_now(slot, track).is_some()
    }

    /// Whether no good reply ever stated a count for the slot and the last one, not older than `gap`, left it out.
    fn never_there(&self, slot: usize, gap: i64) -> bool {
        let clock = self.clock.millis();
        let absent = self.absence.as_ref().and_then(|a| a.time(slot, clock, gap)).is_some();
        absent && self.held.last(slot).is_none()
    }
}

/// Writes the value of each slot; `out` is as long as `slots`.
fn each(slots: Range<u32>, out: &mut [f64], value: impl Fn(usize) -> Option<f64>) {
    for (slot, out) in (slots.start as usize..).zip(out.iter_mut()) {
        *out = value(slot).unwrap_or(f64::NAN);
    }
}
