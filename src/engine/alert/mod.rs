//! The life of an alert: a state and a verdict in, the next state and perhaps an event out.
//!
//! Neighbours: `judge` asks for a step at each poll, `marks` counts polls, `change` holds the steps that no verdict
//! causes (scope, reload, operator), `push` adds readings, `record` turns a step into an event, `outline` tells if an alert moved and `moved` how. A part
//! of its own because what people are told rests on this table alone, so it can be printed, and compared with a slow second telling in the tests.

mod change;
mod marks;
mod moved;
mod outline;
mod push;
mod record;

pub use change::{close, left_scope, reminder_due, rule_changed, rule_removed, surfaces, window_left};
pub use moved::{Move, MovedAt, RuleMoves, Turn};
pub(super) use outline::{Outline, outline};
pub(super) use push::Pushed;
pub use push::push_trail;
pub(super) use record::TRAIL;
pub use record::{Facts, Happening, build_event, note_blind, note_value};

use super::event::EndReason;
use super::outcome::{Alert, Stamp, State};
use super::rule::{Hold, Policy};
use super::time::{Span, Time};

/// What a rule says of a subject at one poll.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// `when` is true.
    Breach,
    /// `when` is not true, `clear_when` is.
    Clear,
    /// Both are known and neither is true: the dead band.
    Between,
    /// Neither can be told.
    Unknown,
}

impl Verdict {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Breach => "breach",
            Self::Clear => "clear",
            Self::Between => "between",
            Self::Unknown => "unknown",
        }
    }
}

/// When a step is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// The poll's instant.
    pub at: Time,
    /// The sum of `elapsed` over the source's polls; durations are differences of it.
    pub clock: Span,
    /// The poll's number in its source.
    pub seq: u64,
    /// More than `max_gap` lies between the subject's last known reading and this one.
    pub hole: bool,
}

impl Moment {
    fn stamp(&self) -> Stamp {
        Stamp { at: self.at, clock: self.clock }
    }
}

/// What a step amounts to, where it is an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Fired,
    Ended(EndReason),
}

/// Whether any step but a breach would leave this alert as it is: nothing is under way.
pub fn rests(alert: &Alert) -> bool {
    let marks = alert.marks | alert.clear_marks | alert.marks_seq;
    let stretch = alert.since.is_some() || alert.held_since.is_some() || alert.value.is_some();
    let told = alert.episode.is_some() || !alert.trail.is_empty() || !alert.trail_requests.is_empty();
    alert.state == State::Ok && marks == 0 && !stretch && !told && alert.blind == Span::ZERO
}

/// Whether a step would leave this alert, which is firing or closed, as it is: the way past what stays as it was for
/// days. False is no answer.
pub fn goes_on(alert: &Alert, verdict: Verdict, now: &Moment, policy: &Policy) -> bool {
    let marks = alert.marks | alert.clear_marks | alert.marks_seq;
    let stays = match alert.state {
        State::Firing => alert.held_since.is_none(),
        State::Closed => true,
        State::Ok | State::Pending | State::Recovering => false,
    };
    let unmarked = marks == 0 && (verdict != Verdict::Breach || matches!(policy.hold, Hold::For(_)));
    stays && verdict != Verdict::Clear && !now.hole && unmarked
}

/// The clock up to which nothing but a record of it comes of the same verdict again and again, where that is a hold which is
/// counted in time.
pub fn held_until(alert: &Alert, policy: &Policy) -> Option<Span> {
    let (Hold::For(hold), Hold::For(clear_hold)) = (policy.hold, policy.clear_hold) else { return None };
    let length = match alert.state {
        State::Pending => hold,
        State::Recovering => clear_hold,
        State::Ok | State::Firing | State::Closed => return None,
    };
    alert.held_since.map(|held| held.clock + length)
}

/// Whether nothing of this alert needs to be remembered.
pub fn is_blank(alert: &Alert) -> bool {
    alert.state == State::Ok && alert.step_no == 0 && alert.marks == 0 && alert.since.is_none()
}

/// The table of DESIGN §6. A step that ends an episode leaves its facts (`since`, trail, values, episode) in the
/// alert: [`build_event`] reads them and then clears them.
///
/// A hole restarts what is being counted: the hold begins at this moment and polls before it no longer count. It
/// does not move `since`, which stays the first breach of the stretch: nothing known spoke against it, and how
/// much of it was blind is told beside it.
pub fn step(alert: &mut Alert, verdict: Verdict, now: &Moment, policy: &Policy) -> Option<Step> {
    if now.hole {
        restart_counting(alert, now);
    }
    marks::take(alert, verdict, now.seq, policy);
    match (alert.state, verdict) {
        (State::Ok | State::Pending, Verdict::Breach) => breach(alert, now, policy),
        (State::Ok, Verdict::Clear | Verdict::Between | Verdict::Unknown)
        | (State::Pending, Verdict::Clear | Verdict::Between) => {
            calm(alert);
            None
        }
        (State::Firing | State::Recovering, Verdict::Clear) => clear(alert, now, policy),
        (State::Firing | State::Recovering, Verdict::Breach | Verdict::Between) => {
            alert.state = State::Firing;
            alert.held_since = None;
            None
        }
        (State::Closed, Verdict::Clear) => {
            reset(alert);
            None
        }
        (State::Pending | State::Firing | State::Recovering, Verdict::Unknown)
        | (State::Closed, Verdict::Breach | Verdict::Between | Verdict::Unknown) => None,
    }
}

/// A step outside the rule's `during`: `when` is not evaluated (a breach is no news), pending drops, and only
/// `clear_when` moves an open episode.
pub fn step_outside(alert: &mut Alert, verdict: Verdict, now: &Moment, policy: &Policy) -> Option<Step> {
    if matches!(alert.state, State::Ok | State::Pending) {
        forget_stretch(alert);
        alert.state = State::Ok;
        (alert.marks, alert.marks_seq, alert.clear_marks) = (0, 0, 0);
        return None;
    }
    let verdict = if verdict == Verdict::Breach { Verdict::Between } else { verdict };
    step(alert, verdict, now, policy)
}

fn breach(alert: &mut Alert, now: &Moment, policy: &Policy) -> Option<Step> {
    let stamp = now.stamp();
    alert.state = State::Pending;
    alert.since.get_or_insert(stamp);
    let held = *alert.held_since.get_or_insert(stamp);
    if !met(policy.hold, held, alert.marks, now) {
        return None;
    }
    alert.state = State::Firing;
    alert.held_since = None;
    alert.clear_marks = 0;
    Some(Step::Fired)
}

fn clear(alert: &mut Alert, now: &Moment, policy: &Policy) -> Option<Step> {
    alert.state = State::Recovering;
    let held = *alert.held_since.get_or_insert(now.stamp());
    met(policy.clear_hold, held, alert.clear_marks, now).then(|| end(alert, EndReason::Cleared))
}

/// The alert becomes ok; what its *ended* event needs stays in it until that is built.
fn end(alert: &mut Alert, reason: EndReason) -> Step {
    alert.state = State::Ok;
    alert.held_since = None;
    alert.clear_marks = 0;
    if alert.marks == 0 {
        alert.marks_seq = 0;
    }
    Step::Ended(reason)
}

fn met(hold: Hold, held: Stamp, marks: u64, now: &Moment) -> bool {
    match hold {
        Hold::For(length) => now.clock - held.clock >= length,
        Hold::Polls { n, of } => marks::count(marks, of) >= u32::from(n),
    }
}

/// No breach now and no episode. Where polls are counted, the stretch lives on while one of its breaches counts.
fn calm(alert: &mut Alert) {
    alert.state = State::Ok;
    alert.held_since = None;
    if alert.marks == 0 {
        forget_stretch(alert);
    }
}

fn restart_counting(alert: &mut Alert, now: &Moment) {
    (alert.marks, alert.marks_seq, alert.clear_marks) = (0, 0, 0);
    if alert.held_since.is_some() {
        alert.held_since = Some(now.stamp());
    }
}

fn forget_stretch(alert: &mut Alert) {
    alert.since = None;
    alert.held_since = None;
    alert.trail.clear();
    alert.trail_requests.clear();
    alert.value = None;
    alert.blind = Span::ZERO;
}

/// Everything but the count of steps and the version is as if the alert had never been.
fn reset(alert: &mut Alert) {
    forget_stretch(alert);
    alert.state = State::Ok;
    alert.episode = None;
    (alert.marks, alert.marks_seq, alert.clear_marks) = (0, 0, 0);
}

#[cfg(test)]
mod tests;
