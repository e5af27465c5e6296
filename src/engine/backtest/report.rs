//! What came of a rule over a stretch of the past, in numbers.
//!
//! Neighbours: `backtest` finds the episodes, commands print this. A part of its own because every number of it is of the
//! episodes alone, and can be counted by hand.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Episode;
use crate::engine::event::Subject;
use crate::engine::time::{Span, Time};

const WEEK: Span = Span::from_days(7);

/// Subjects that are listed.
const MOST_LISTED: usize = 10;

/// How well a source was watched in the time that is asked about.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Coverage {
    pub source: String,
    /// Instants of the schedule.
    pub scheduled: u64,
    /// Polls that are kept.
    pub polls: u64,
    /// Those that say something.
    pub usable: u64,
    /// More than `max_gap` without a usable poll; what happened there is unknown.
    pub gaps: Vec<Gap>,
    #[serde(rename = "blind_ms")]
    pub blind: Span,
    /// Users that the rules watch of whom no reading is known in all this time.
    pub unknown_users: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Gap {
    pub from: Time,
    pub until: Time,
}

impl Coverage {
    /// Takes a usable poll in; `last` is the instant of the one before it, or where the time begins.
    pub fn saw(&mut self, last: Time, at: Time, longest: Span) {
        if at.since(last) > longest {
            self.gaps.push(Gap { from: last, until: at });
            self.blind = self.blind + at.since(last);
        }
    }

    /// Of the scheduled polls, how many say something: 0 to 1.
    pub fn share(&self) -> Option<f64> {
        (self.scheduled > 0).then(|| (self.usable as f64 / self.scheduled as f64).min(1.0))
    }
}

/// A subject with its episodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Busy {
    pub source: String,
    pub subject: Subject,
    pub episodes: usize,
    #[serde(rename = "firing_ms")]
    pub firing: Span,
}

/// A rule's episodes in numbers.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    pub rule: String,
    pub rule_version: String,
    pub episodes: usize,
    /// Distinct subjects.
    pub subjects: usize,
    /// Those that go on at the end.
    pub open: usize,
    pub per_week: f64,
    /// In the week, counted from the beginning, that has most.
    pub most_in_a_week: usize,
    #[serde(rename = "median_length_ms")]
    pub median_length: Option<Span>,
    pub longest: Option<Episode>,
    pub top: Vec<Busy>,
}

impl Report {
    /// Counts the episodes of `rule` that fired from `from` on; `until` is where the past that was played ends.
    pub fn of(rule: &str, version: &str, episodes: &[Episode], from: Time, until: Time) -> Self {
        let own: Vec<&Episode> = episodes.iter().filter(|episode| episode.rule == rule).collect();
        let mut lengths: Vec<Span> = own.iter().map(|episode| episode.length(until)).collect();
        lengths.sort_unstable();
        let mut weeks: BTreeMap<i64, usize> = BTreeMap::new();
        let mut busy: BTreeMap<(&str, &Subject), (usize, Span)> = BTreeMap::new();
        for episode in &own {
            *weeks.entry(episode.fired_at.since(from).millis() / WEEK.millis()).or_default() += 1;
            let (count, firing) = busy.entry((&episode.source, &episode.subject)).or_default();
            (*count, *firing) = (*count + 1, *firing + episode.length(until));
        }
        let subjects: BTreeSet<_> = own.iter().map(|episode| (&episode.source, &episode.subject)).collect();
        let mut top: Vec<Busy> = busy
            .into_iter()
            .map(|((source, subject), (episodes, firing))| Busy {
                source: source.to_owned(),
                subject: subject.clone(),
                episodes,
                firing,
            })
            .collect();
        top.sort_by_key(|busy| (std::cmp::Reverse((busy.episodes, busy.firing)), busy.subject.clone()));
        top.truncate(MOST_LISTED);
        let length = until.since(from).millis().max(1) as f64 / WEEK.millis() as f64;
        Self {
            rule: rule.to_owned(),
            rule_version: version.to_owned(),
            episodes: own.len(),
            subjects: subjects.len(),
            open: own.iter().filter(|episode| episode.ended_at.is_none()).count(),
            per_week: own.len() as f64 / length,
            most_in_a_week: weeks.into_values().max().unwrap_or_default(),
            median_length: lengths.get(lengths.len() / 2).copied(),
            longest: own.iter().max_by_key(|episode| episode.length(until)).map(|one| (*one).clone()),
            top,
        }
    }
}
