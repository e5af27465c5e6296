//! What a poll changed of an alert without an event: a few bytes to write instead of the whole alert.
//!
//! Neighbours: `judge` makes moves between two outlines of an alert, the store lays them over the rows it wrote before. A
//! part of its own because alerts under way may be thousands, and each of them moves at each poll.

use arcstr::ArcStr;

use super::Moment;
use super::outline::{Outline, outline};
use super::push::push_trail;
use crate::engine::event::{EventReading, Value};
use crate::engine::outcome::{Alert, Stamp, State};
use crate::engine::reading::{Batch, Reading};
use crate::engine::time::{Span, Time};

/// What one poll changed of the alert of one user: nothing of it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    pub slot: u32,
    pub turn: Turn,
    /// The user's value at this poll.
    pub now: Option<u32>,
    /// What the poll said, where that is among what decides.
    pub reading: Option<Reading>,
    pub marks: u64,
    pub clear_marks: u64,
    /// The hold is counted anew from this poll on.
    pub held_anew: bool,
    pub blind: Span,
}

/// Whether the alert was there before, and is there afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// In the state it was in.
    GoesOn,
    /// Pending from this poll on, of a user of whom nothing was remembered.
    Begins,
    /// Nothing of it is remembered any more.
    Gone,
}

/// The moves of a rule's alerts at one poll, ascending by slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleMoves {
    pub rule: ArcStr,
    pub version: ArcStr,
    pub moves: Vec<Move>,
}

/// The poll that moved an alert, as it concerns that alert.
#[derive(Clone, Copy, Debug)]
pub struct MovedAt<'a> {
    pub seq: u64,
    pub at: Time,
    /// The sum of `elapsed` over the source's polls.
    pub clock: Span,
    pub version: &'a str,
    /// The answer that stated the user's reading.
    pub batch: Option<&'a Batch>,
}

impl Move {
    pub const fn gone(slot: u32) -> Self {
        let (turn, held_anew, blind) = (Turn::Gone, false, Span::ZERO);
        Self { slot, turn, now: None, reading: None, marks: 0, clear_marks: 0, held_anew, blind }
    }

    /// From what an alert was to what it is now; None where more changed than a move tells.
    pub(in crate::engine) fn between(
        before: &Outline,
        after: &Outline,
        alert: &Alert,
        slot: u32,
        poll: &Moment,
    ) -> Option<Self> {
        let now = after.value.and_then(|value| value.now);
        let stamp = Some(poll.stamp());
        let begins = *before == outline(&Alert::default());
        let (turn, start) = match begins {
            false => (Turn::GoesOn, *before),
            true => (Turn::Begins, outline(&begun(poll.stamp(), now, &alert.rule_version))),
        };
        let anew = !begins && after.held_since != before.held_since;
        let counted = if after.marks[0] | after.marks[2] == 0 { 0 } else { poll.seq };
        let pushed = (after.trail, after.last) != (start.trail, start.last);
        let expected = Outline {
            value: start.value.map(|value| Value { now, peak: value.peak.max(now), ..value }),
            held_since: if anew { stamp } else { start.held_since },
            marks: [after.marks[0], counted, after.marks[2]],
            blind: after.blind,
            trail: after.trail,
            last: if pushed { Some(poll.at) } else { start.last },
            requests: after.requests,
            ..start
        };
        let reading = alert.trail.last().filter(|_| pushed).map(|last| last.reading);
        let (marks, clear_marks, blind) = (alert.marks, alert.clear_marks, alert.blind);
        let one = Self { slot, turn, now, reading, marks, clear_marks, held_anew: anew, blind };
        (expected == *after).then_some(one)
    }

    /// Moves an alert as the poll did.
    pub fn apply(&self, alert: &mut Alert, poll: &MovedAt<'_>) {
        let stamp = Stamp { at: poll.at, clock: poll.clock };
        match self.turn {
            Turn::GoesOn => {}
            Turn::Begins => *alert = begun(stamp, self.now, poll.version),
            Turn::Gone => return *alert = Alert::default(),
        }
        if let Some(value) = &mut alert.value {
            (value.now, value.peak) = (self.now, value.peak.max(self.now));
        }
        (alert.marks, alert.clear_marks) = (self.marks, self.clear_marks);
        alert.marks_seq = if self.marks | self.clear_marks == 0 { 0 } else { poll.seq };
        if self.held_anew {
            alert.held_since = Some(stamp);
        }
        alert.blind = self.blind;
        if let Some(reading) = self.reading {
            let fetched_at = poll.batch.map(|batch| batch.fetched_at);
            let request_id = poll.batch.and_then(|batch| batch.request_id.as_ref());
            push_trail(alert, EventReading::new(poll.at, reading, fetched_at), request_id);
        }
    }
}

/// An alert at its first breach, without what moves it there.
fn begun(stamp: Stamp, first: Option<u32>, version: &str) -> Alert {
    Alert {
        state: State::Pending,
        since: Some(stamp),
        held_since: Some(stamp),
        value: Some(Value { now: None, first, peak: None }),
        rule_version: version.into(),
        ..Alert::default()
    }
}
