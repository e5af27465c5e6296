//! What an alert is at a glance: two of the same alert, before and after a poll, tell whether anything of it moved.
//!
//! Neighbours: `judge` steps alerts where they lie and writes those that moved. A part of its own because alerts under
//! way are many and heavy, and a copy of each at each poll to compare with would cost more than all the judging.

use crate::engine::event::Value;
use crate::engine::outcome::{Alert, Stamp, State};
use crate::engine::time::{Span, Time};

/// Everything of an alert that can change at a poll, or changes with what else does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::engine) struct Outline {
    pub(in crate::engine) state: State,
    pub(in crate::engine) value: Option<Value>,
    /// Grows with every event, and nothing else changes an open episode or the rule's version.
    pub(super) step_no: u32,
    /// A version is also set where there was none.
    pub(super) versioned: bool,
    /// Forgotten where an alert that was closed is clear.
    pub(super) episode: bool,
    pub(super) since: Option<Stamp>,
    pub(super) held_since: Option<Stamp>,
    pub(super) marks: [u64; 3],
    pub(super) blind: Span,
    /// Trails grow at their end, by later readings, until they are forgotten; request ids come with readings.
    pub(super) trail: usize,
    pub(super) last: Option<Time>,
    pub(super) requests: usize,
}

/// To be compared with that of the same alert before or after one poll.
pub(in crate::engine) fn outline(alert: &Alert) -> Outline {
    Outline {
        state: alert.state,
        value: alert.value,
        step_no: alert.step_no,
        versioned: !alert.rule_version.is_empty(),
        episode: alert.episode.is_some(),
        since: alert.since,
        held_since: alert.held_since,
        marks: [alert.marks, alert.marks_seq, alert.clear_marks],
        blind: alert.blind,
        trail: alert.trail.len(),
        last: alert.trail.last().map(|reading| reading.at),
        requests: alert.trail_requests.len(),
    }
}
