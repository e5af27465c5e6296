//! Which instant a run at a moment stands for: on time, late, the first of all, or after the clock went back.
//!
//! Neighbours: the collect loop asks before each run and sleeps by the answer. A part of its own, and pure, so that
//! suspends, overlong runs and clock jumps are a table in a test. One run never overlaps another: a loop runs one
//! at a time and asks again.

use super::{SEARCHED, Schedule};
use crate::engine::time::{Span, Time};
use crate::engine::zone;

/// Missed instants are counted up to here; after ten years' suspend nobody needs the exact number.
pub const MOST_MISSED: u32 = 10_000;

/// What a loop does now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing until then; None: nothing ever again (the year 2100). A loop sleeps at most a minute at a time, so
    /// that it sees a clock that was set.
    Wait(Option<Time>),
    Run(Run),
}

/// A run that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The instant it stands for: the latest one up to now; now itself where there is none to stand for.
    pub at: Time,
    /// From that instant to now.
    pub late: Span,
    /// Instants since the last run that nobody will run any more, up to [`MOST_MISSED`].
    pub missed: u32,
    pub cause: Cause,
}

/// Why a run is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// There was no run before: the first comes at once.
    First,
    /// An instant of the schedule came.
    Instant,
    /// The last run lies ahead of the clock by more than one instant: waiting for the clock to get there again
    /// would be a hole.
    ClockBack,
}

impl Schedule {
    /// What a run at `now` stands for, `last_at` being the instant that the last one stood for.
    pub fn due(&self, last_at: Option<Time>, now: Time) -> Due {
        let at_once = |cause| Due::Run(Run { at: now, late: Span::ZERO, missed: 0, cause });
        let Some(last_at) = last_at else { return at_once(Cause::First) };
        if last_at > now && self.next_after(now).is_some_and(|next| next < last_at) {
            return at_once(Cause::ClockBack);
        }
        let next = self.next_after(last_at);
        match next {
            Some(first) if first <= now => {
                let at = self.latest(first, now);
                let (mut missed, mut instant) = (0, first);
                while instant < at && missed < MOST_MISSED {
                    missed += 1;
                    instant = self.next_after(instant).unwrap_or(at);
                }
                Due::Run(Run { at, late: now.since(at), missed, cause: Cause::Instant })
            }
            Some(_) | None => Due::Wait(next),
        }
    }

    /// The latest instant up to `now`; `first` is one that is not later. Looks back over twice the time until it
    /// finds one, so that a leap of ten years is not walked.
    fn latest(&self, first: Time, now: Time) -> Time {
        // Mostly it came just now. Where clocks change, two instants may be nearer to each other than the text says.
        let steady = || zone::next_change(self.zone, first - Span::from_millis(1), now).is_none();
        if now == first || now.since(first) < self.grain && steady() {
            return first;
        }
        let now = now.min(SEARCHED.1);
        let mut back = Span::from_mins(1);
        let mut at = first;
        while back < now.since(first) {
            if let Some(found) = self.next_after(now - back).filter(|found| *found <= now) {
                at = found;
                break;
            }
            back = back.times(2);
        }
        while let Some(next) = self.next_after(at).filter(|next| *next <= now) {
            at = next;
        }
        at
    }
}
