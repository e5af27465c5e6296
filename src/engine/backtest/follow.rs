//! One subject of one rule, followed through a playback poll by poll.
//!
//! Neighbours: `look` says what a rule says of a subject, commands that explain an episode read it. A part of its own
//! because an episode may go on for months: what is kept of it has a bound, and the holes in it must not.

use std::sync::Arc;

use crate::engine::event::{Event, EventKind, Subject};
use crate::engine::look::Look;
use crate::engine::reading::Poll;
use crate::engine::time::{Span, Time};
use crate::engine::trial::Round;
use crate::engine::watch::Watch;

/// Polls that are kept; beyond it only the last one.
const MOST: usize = 2000;

/// What the polls said of one subject from a time on.
#[derive(Debug)]
pub struct Followed {
    rule: String,
    subject: Subject,
    from: Time,
    /// Oldest first.
    pub rounds: Vec<Round>,
    /// Polls before the last one that are not kept.
    pub left_out: usize,
    /// Between known readings that lie more than the rule's `max_gap` apart.
    pub holes: Vec<(Time, Time)>,
    known: Option<Time>,
}

impl Followed {
    pub(super) fn new(rule: &str, subject: Subject, from: Time) -> Self {
        Self {
            rule: rule.to_owned(),
            subject,
            from,
            rounds: Vec::new(),
            left_out: 0,
            holes: Vec::new(),
            known: None,
        }
    }

    pub(super) fn take(&mut self, watch: &Watch, poll: &Poll, events: &[Arc<Event>]) {
        let Some(look) = watch.look(&self.rule, &self.subject, poll) else { return };
        let Some(plan) = watch.plan(&self.rule) else { return };
        if plan.known(look.reading) {
            self.hole(poll.at, plan.max_gap);
            self.known = Some(poll.at);
        }
        if poll.at < self.from {
            return;
        }
        let of_subject =
            events.iter().filter(|event| event.rule == self.rule && event.subject == self.subject);
        let events = of_subject.map(|event| event.kind).collect();
        self.push(poll.at, look, events);
    }

    fn hole(&mut self, at: Time, longest: Span) {
        let last = self.known.filter(|last| at >= self.from && at.since(*last) > longest);
        if let Some(last) = last.filter(|_| self.holes.len() < MOST) {
            self.holes.push((last, at));
        }
    }

    fn push(&mut self, at: Time, look: Look, events: Vec<EventKind>) {
        if self.rounds.len() >= MOST {
            self.rounds.pop();
            self.left_out += 1;
        }
        self.rounds.push(Round { at, look, events });
    }
}
