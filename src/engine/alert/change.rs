//! What changes an alert without a verdict: scope, reload, the end of a window, an operator, the passing of time.
//!
//! Neighbours: `judge` and `tend` call these; events are built by `record`. A part of its own because none of it
//! is in the table of states, and each of these must end an episode in its own way or not at all.

use arcstr::ArcStr;

use super::{Step, end, forget_stretch, reset};
use crate::engine::event::EndReason;
use crate::engine::outcome::{Alert, Episode, State};
use crate::engine::rule::OnLeave;
use crate::engine::time::{Span, Time};

/// The subject is no longer one the rule is for: a pending alert is dropped, an open episode ends.
pub fn left_scope(alert: &Alert) -> (Alert, Option<Step>) {
    let mut next = alert.clone();
    let step = dismiss(&mut next, EndReason::LeftScope);
    (next, step)
}

/// The rule is no longer in the file.
pub fn rule_removed(alert: &Alert) -> (Alert, Option<Step>) {
    let mut next = alert.clone();
    let step = dismiss(&mut next, EndReason::RuleRemoved);
    (next, step)
}

fn dismiss(alert: &mut Alert, reason: EndReason) -> Option<Step> {
    (alert.marks, alert.marks_seq) = (0, 0);
    match alert.state {
        State::Firing | State::Recovering => Some(end(alert, reason)),
        State::Ok | State::Pending | State::Closed => {
            reset(alert);
            None
        }
    }
}

/// The rule's `during` window is over: a pending alert is dropped; an open episode ends where the rule says so,
/// and otherwise waits, without reminders, for its `clear_when`.
pub fn window_left(alert: &mut Alert, on_leave: OnLeave) -> Option<Step> {
    match (alert.state, on_leave) {
        (State::Firing | State::Recovering, OnLeave::End) => dismiss(alert, EndReason::WindowEnded),
        (State::Ok | State::Pending, _) => dismiss(alert, EndReason::WindowEnded),
        (State::Firing | State::Recovering, OnLeave::Hold) | (State::Closed, _) => None,
    }
}

/// The rule reads differently than when this state was reached. An open episode is kept (true: tell of it by a
/// *changed* event), and what it has recovered so far starts over; a pending alert starts over.
pub fn rule_changed(alert: &Alert, version: &ArcStr) -> (Alert, bool) {
    let mut next = alert.clone();
    if next.rule_version == *version {
        return (next, false);
    }
    let known = !next.rule_version.is_empty();
    next.rule_version.clone_from(version);
    (next.marks, next.marks_seq, next.clear_marks) = (0, 0, 0);
    match next.state {
        State::Ok | State::Pending => {
            forget_stretch(&mut next);
            next.state = State::Ok;
            (next, false)
        }
        State::Firing | State::Recovering => {
            next.state = State::Firing;
            next.held_since = None;
            (next, known)
        }
        State::Closed => (next, false),
    }
}

/// Whether an open episode fired where nobody was to be told (in the shadow, or without a channel), and `channels` are
/// to be told now: as *fired*, or its end would be the first they hear.
pub fn surfaces(alert: &Alert, channels: &[String]) -> bool {
    let untold = |episode: &Episode| episode.ended_at.is_none() && episode.channels.is_empty();
    let open = matches!(alert.state, State::Firing | State::Recovering);
    open && !channels.is_empty() && alert.episode.as_deref().is_some_and(untold)
}

/// An operator closes the open episode: it ends now, and the alert stays `closed` until one clear verdict, or is
/// ok at once with `rearm`. None where no episode is open.
pub fn close(alert: &Alert, rearm: bool) -> Option<(Alert, Step)> {
    if !matches!(alert.state, State::Firing | State::Recovering) {
        return None;
    }
    let mut next = alert.clone();
    let step = end(&mut next, EndReason::Closed);
    if !rearm {
        next.state = State::Closed;
    }
    Some((next, step))
}

/// Whether a firing episode is to be told of again: `repeat` has passed since it was last told of, nobody has
/// acknowledged it, and the rule's window is not over. A recovering alert is not: it is about to end or to fire on.
pub fn reminder_due(alert: &Alert, repeat: Option<Span>, now: Time, in_window: bool) -> bool {
    let (Some(repeat), Some(episode)) = (repeat, &alert.episode) else {
        return false;
    };
    // Either way round, so that a clock set back a year does not silence a year of reminders.
    let passed = now.since(episode.last_told).millis().saturating_abs();
    in_window
        && alert.state == State::Firing
        && episode.acked_by.is_none()
        && repeat > Span::ZERO
        && passed >= repeat.millis()
}
