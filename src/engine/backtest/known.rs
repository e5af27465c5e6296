//! How much of the time a source was polled each of its users was known.
//!
//! Neighbours: `agent::backtest` hands over which readings turned, `report` tells who is unknown. A part of its own because
//! the polls of a source may go well while one of its users fails in each of them: that user's quiet says nothing.

use crate::engine::reading::{Kind, Reading};
use crate::engine::time::{Span, Time};

/// An instant, and how long the source was blind by then.
pub type Moment = (Time, Span);

#[derive(Debug)]
pub struct Known {
    from: Time,
    /// More than this between two known readings is a hole.
    max_gap: Span,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Since when nothing is known of the user; None while something is.
    dark: Option<Moment>,
    /// In holes of the user's own, while the source was polled.
    lost: Span,
}

impl Known {
    pub fn new(from: Time, max_gap: Span) -> Self {
        Self { from, max_gap, slots: Vec::new() }
    }

    /// Of the user at `slot` the usable poll at `now` says something else than the one at `last`, or it is the first.
    pub fn turn(&mut self, slot: u32, reading: Reading, last: Moment, now: Moment) {
        let (index, max_gap) = (slot as usize, self.max_gap);
        if self.slots.len() <= index {
            let unseen = Slot { dark: Some((self.from, Span::ZERO)), lost: Span::ZERO };
            self.slots.resize(index + 1, unseen);
        }
        let slot = &mut self.slots[index];
        match (slot.dark, matches!(reading.kind(), Kind::Online(_) | Kind::Absent)) {
            (Some(since), true) => {
                *slot = Slot { dark: None, lost: slot.lost + hole(since, now, max_gap) };
            }
            (None, false) => slot.dark = Some(last),
            (Some(_), false) | (None, true) => {}
        }
    }

    /// How long the user at `slot` was known of the time `polled`, up to the `end`.
    pub fn of(&self, slot: u32, polled: Span, end: Moment) -> Span {
        let Some(slot) = self.slots.get(slot as usize) else { return Span::ZERO };
        let last = slot.dark.map_or(Span::ZERO, |since| hole(since, end, self.max_gap));
        (polled - slot.lost - last).max(Span::ZERO)
    }
}

/// The time between two known readings in which the source was not blind; none where it is no hole.
fn hole(since: Moment, until: Moment, max_gap: Span) -> Span {
    let whole = until.0.since(since.0);
    if whole <= max_gap {
        return Span::ZERO;
    }
    (whole - (until.1 - since.1)).max(Span::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Time {
        Time::from_millis(1_795_392_000_000) + Span::from_mins(minute)
    }

    /// What each poll said of one user, `.` known, `_` failed, `!` the source's own gap; a minute each, holes over three.
    #[track_caller]
    fn check(polls: &str, known: i64) {
        let mut all = Known::new(at(0), Span::from_mins(3));
        let (mut last, mut blind, mut before) = (at(0), Span::ZERO, None);
        for (minute, c) in (1..).zip(polls.chars()).filter(|(_, c)| *c != '!') {
            let then = (last, blind);
            if at(minute).since(last) > Span::from_mins(3) {
                blind = blind + at(minute).since(last);
            }
            if before != Some(c) {
                let reading = if c == '.' { Reading::online(1) } else { Reading::FAILED };
                all.turn(0, reading, then, (at(minute), blind));
            }
            (last, before) = (at(minute), Some(c));
        }
        let polled = last.since(at(0)) - blind;
        assert_eq!(all.of(0, polled, (last, blind)), Span::from_mins(known), "{polls}");
        assert_eq!(all.of(1, polled, (last, blind)), Span::ZERO, "whom no poll spoke of");
    }

    #[test]
    fn a_user_is_known_but_for_holes_of_their_own() {
        check("..........", 10);
        check("..__......", 10);
        check("...____...", 5);
        check("...._______", 4);
        check("_____.....", 4);
        check("__________", 0);
        check("...!!!!!...", 5);
        check(".._!!!!!_..", 3);
    }
}
