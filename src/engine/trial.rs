//! A rule put to the test: polls as somebody wrote them down, and the alerts that are to be there at some of them.
//!
//! Neighbours: `config` reads the tests of a rules file, `rules test` runs them, `judge` decides as it does live. A part
//! of its own because a test runs the engine from its first poll, with no store and no neighbour.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arcstr::ArcStr;

use super::event::{Event, EventKind, Subject, SubjectKind};
use super::judge::judge;
use super::look::Look;
use super::outcome::State;
use super::reading::{Batch, Fetched, Poll, Reading};
use super::roster::Roster;
use super::time::{Span, Time};
use super::usual::Raised;
use super::watch::{Remembered, Setup, Watch, When};

/// The readings of one user, poll by poll; *not polled* after the last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timeline {
    pub user: Arc<str>,
    pub readings: Vec<Reading>,
}

/// Polls at a fixed distance, and what is expected of them.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its users are those of the timelines, its interval that of the polls.
    pub setup: Arc<Setup>,
    /// The instance's own list, from the first poll on; None where none is asked for.
    pub roster: Option<Roster>,
    pub start: Time,
    pub interval: Span,
    pub timelines: Vec<Timeline>,
    pub expected: Vec<Expected>,
}

/// What a rule's alerts are to be at one poll.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// From the first poll, counted from 0.
    pub poll: usize,
    pub rule: String,
    pub what: What,
    /// Names of subjects: exactly these.
    pub subjects: BTreeSet<String>,
}

/// What is said of the subjects.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum What {
    /// An episode is open: firing, or recovering.
    Firing,
    Pending,
    /// Fired at this very poll.
    Fired,
    /// Ended at this very poll.
    Ended,
}

impl What {
    /// The key that asks for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Pending => "pending",
            Self::Fired => "fired",
            Self::Ended => "ended",
        }
    }
}

/// An expectation that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Miss {
    /// Which of the trial's.
    pub expected: usize,
    pub at: Time,
    pub found: BTreeSet<String>,
}

/// One poll of a subject, for people who ask why.
#[derive(Clone, PartialEq, Debug)]
pub struct Round {
    pub at: Time,
    pub look: Look,
    pub events: Vec<EventKind>,
}

impl Trial {
    /// As many polls as the longest timeline has.
    pub fn polls(&self) -> usize {
        self.timelines.iter().map(|timeline| timeline.readings.len()).max().unwrap_or(0)
    }

    /// The instant of a poll, counted from 0.
    pub fn at(&self, poll: usize) -> Time {
        self.start + self.interval.times(i64::try_from(poll).unwrap_or(i64::MAX))
    }

    /// Plays all polls; what does not hold, in the order of the expectations.
    pub fn run(&self) -> Vec<Miss> {
        let mut misses = Vec::new();
        self.play(|number, watch, _, events| {
            let due = |expected: &&Expected| expected.poll == number;
            for expected in self.expected.iter().filter(due) {
                let found = found(watch, expected, events);
                if found != expected.subjects {
                    let index = self.expected.iter().position(|one| std::ptr::eq(one, expected));
                    misses.push(Miss { expected: index.unwrap_or_default(), at: self.at(number), found });
                }
            }
        });
        misses.sort_by_key(|miss| miss.expected);
        misses
    }

    /// Plays all polls again, looking at one subject of one rule; empty if the rule does not know the subject.
    pub fn trace(&self, rule: &str, subject: &Subject) -> Vec<Round> {
        let mut rounds = Vec::new();
        self.play(|_, watch, poll, events| {
            let Some(look) = watch.look(rule, subject, poll) else { return };
            let of_subject = events.iter().filter(|event| event.rule == rule && event.subject == *subject);
            rounds.push(Round { at: poll.at, look, events: of_subject.map(|event| event.kind).collect() });
        });
        rounds
    }

    fn play(&self, mut after: impl FnMut(usize, &Watch, &Poll, &[Arc<Event>])) {
        let mut watch = Watch::new(Arc::clone(&self.setup), Remembered::default());
        if let Some(roster) = &self.roster {
            watch.take_roster(roster);
        }
        let mut played = Played::default();
        for number in 0..self.polls() {
            let poll = self.poll(&watch, number);
            let at = poll.at;
            played.teach(&mut watch, at);
            let outcome = judge(&mut watch, poll.clone(), at);
            watch.names_saved();
            after(number, &watch, &poll, &outcome.events);
            played.take(poll, &outcome.events);
        }
    }

    fn poll(&self, watch: &Watch, number: usize) -> Poll {
        let at = self.at(number);
        let asked = watch.asked(at);
        let reading = |slot: u32| {
            let name = watch.names.name(slot);
            let timeline = self.timelines.iter().find(|timeline| *timeline.user == *name);
            timeline.and_then(|timeline| timeline.readings.get(number)).copied().unwrap_or_default()
        };
        let readings: Vec<Reading> = asked.slots().map(reading).collect();
        let fetched = Fetched {
            batch_of: vec![0; readings.len()].into(),
            readings,
            batches: vec![Batch { fetched_at: at, request_id: None }],
            ..Fetched::default()
        };
        let elapsed = if number == 0 { Span::ZERO } else { self.interval };
        watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO })
    }
}

/// What a trial has played so far: the past that `usual` rests on.
#[derive(Default)]
struct Played {
    /// In order, without gaps in their numbers.
    polls: Vec<Poll>,
    /// By episode.
    raised: BTreeMap<ArcStr, Raised>,
}

impl Played {
    fn take(&mut self, poll: Poll, events: &[Arc<Event>]) {
        self.polls.push(poll);
        for event in events.iter().filter(|event| event.subject.kind == SubjectKind::User) {
            let raised = self.raised.entry(event.episode.clone()).or_insert_with(|| Raised {
                rule: event.rule.to_string(),
                user: event.subject.name.clone(),
                since: event.since,
                fired_at: event.at,
                ended_at: None,
            });
            raised.ended_at = event.ended_at;
        }
    }

    /// Has `usual` ready for a poll at `at`, as the agent has before each.
    fn teach(&self, watch: &mut Watch, at: Time) {
        let Some(mut lesson) = watch.lesson(at) else { return };
        for raised in self.raised.values() {
            if let Some(slot) = watch.names.slot(&raised.user) {
                lesson.leave_out(slot, raised);
            }
        }
        for past in lesson.hours() {
            let begins = past.time.start - lesson.reach();
            let first = self.polls.partition_point(|poll| poll.at < begins);
            let after = self.polls.partition_point(|poll| poll.at < past.time.end);
            lesson.begin(&past);
            for poll in self.polls[first..].iter().take((after + 1).saturating_sub(first)) {
                lesson.poll(poll.at, poll.elapsed, &poll.readings);
            }
        }
        watch.learn(lesson);
    }
}

/// The subjects of which it holds.
fn found(watch: &Watch, expected: &Expected, events: &[Arc<Event>]) -> BTreeSet<String> {
    let stands = |states: &[State]| {
        let alerts = watch.alerts().into_iter();
        let those = alerts.filter(|(key, alert)| key.rule == expected.rule && states.contains(&alert.state));
        those.map(|(key, _)| key.subject.name).collect()
    };
    let happened = |kind: EventKind| {
        let those = events.iter().filter(|event| event.rule == expected.rule && event.kind == kind);
        those.map(|event| event.subject.name.clone()).collect()
    };
    match expected.what {
        What::Firing => stands(&[State::Firing, State::Recovering]),
        What::Pending => stands(&[State::Pending]),
        What::Fired => happened(EventKind::Fired),
        What::Ended => happened(EventKind::Ended),
    }
}
