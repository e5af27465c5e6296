//! What a poll changed of an alert that goes on: a few bytes to write instead of the whole alert.
//!
//! Neighbours: `judge` makes moves between two outlines of an alert, the store lays them over the rows it wrote before. A
//! part of its own because alerts under way may be thousands, and each of them moves at each poll.

use super::Moment;
use super::outline::Outline;
use super::record::push_trail;
use crate::engine::event::{EventReading, Value};
use crate::engine::outcome::{Alert, Stamp};
use crate::engine::reading::{Batch, Reading};
use crate::engine::time::{Span, Time};

/// What one poll changed of the alert of one user: nothing of it is told, and its state stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    pub slot: u32,
    /// The user's value at this poll.
    pub now: Option<u32>,
    /// What the poll said, where that is among what decides.
    pub reading: Option<Reading>,
    pub marks: u64,
    pub clear_marks: u64,
    /// The source's clock, where the hold is counted anew from this poll on.
    pub held_anew: Option<Span>,
    pub blind: Span,
}

impl Move {
    /// From what an alert was to what it is now; None where more changed than a move tells.
    pub(in crate::engine) fn between(
        before: &Outline,
        after: &Outline,
        alert: &Alert,
        slot: u32,
        poll: &Moment,
    ) -> Option<Self> {
        let anew = after.held_since != before.held_since;
        let counted = if after.marks[0] | after.marks[2] == 0 { 0 } else { poll.seq };
        let pushed = (after.trail, after.last) != (before.trail, before.last);
        let (now, peak) =
            (after.value.and_then(|value| value.now), before.value.and_then(|value| value.peak));
        let value = before.value.map(|value| Value { now, peak: peak.max(now), ..value });
        let expected = Outline {
            value,
            held_since: if anew { Some(poll.stamp()) } else { before.held_since },
            marks: [after.marks[0], counted, after.marks[2]],
            blind: after.blind,
            trail: after.trail,
            last: if pushed { Some(poll.at) } else { before.last },
            requests: after.requests,
            ..*before
        };
        let reading = alert.trail.last().filter(|_| pushed).map(|last| last.reading);
        let (marks, clear_marks, blind) = (alert.marks, alert.clear_marks, alert.blind);
        let held_anew = anew.then_some(poll.clock);
        (expected == *after).then_some(Self { slot, now, reading, marks, clear_marks, held_anew, blind })
    }

    /// Moves an alert as the poll did; `batch` is the answer that stated the user's reading.
    pub fn apply(&self, alert: &mut Alert, seq: u64, at: Time, batch: Option<&Batch>) {
        if let Some(value) = &mut alert.value {
            (value.now, value.peak) = (self.now, value.peak.max(self.now));
        }
        (alert.marks, alert.clear_marks) = (self.marks, self.clear_marks);
        alert.marks_seq = if self.marks | self.clear_marks == 0 { 0 } else { seq };
        if let Some(clock) = self.held_anew {
            alert.held_since = Some(Stamp { at, clock });
        }
        alert.blind = self.blind;
        if let Some(reading) = self.reading {
            let shown = EventReading { at, reading, fetched_at: batch.map(|batch| batch.fetched_at) };
            push_trail(alert, shown, batch.and_then(|batch| batch.request_id.as_ref()));
        }
    }
}
