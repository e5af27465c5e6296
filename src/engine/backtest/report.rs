//! What came of a rule over a stretch of the past, in numbers.
//!
//! Neighbours: `backtest` finds the episodes, commands print this. A part of its own because every number of it is of the
//! episodes alone, and can be counted by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

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
    /// Instants of the schedule as it is now, which polls of the past need not have gone by.
    pub scheduled: u64,
    /// Of the schedule as it is now.
    #[serde(rename = "interval_ms")]
    pub interval: Span,
    /// Polls that are kept.
    pub polls: u64,
    /// Those that say something.
    pub usable: u64,
    /// More than `max_gap` without a usable poll; what happened there is unknown.
    pub gaps: Vec<Gap>,
    #[serde(rename = "blind_ms")]
    pub blind: Span,
    /// The time that is asked about without the blind.
    #[serde(rename = "polled_ms")]
    pub polled: Span,
    /// Users that the rules watch of whom no reading is known in all this time.
    pub unknown_users: usize,
    /// Up to the hour of this poll `usual` has no value, for readings that it rested on are no longer kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_unknown_until: Option<Time>,
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

    /// The time from `from` to `until` of a source that has usable polls at `times` alone, ascending.
    pub fn over(times: impl IntoIterator<Item = Time>, from: Time, until: Time, longest: Span) -> Self {
        let (mut coverage, mut last) = (Self::default(), from);
        for at in times {
            coverage.saw(last, at, longest);
            last = at;
        }
        coverage.close(last, from, until, longest);
        coverage
    }

    /// The time ends at `until`; `last` is the last usable poll in it, or `from` again.
    pub fn close(&mut self, last: Time, from: Time, until: Time, longest: Span) {
        self.saw(last, until, longest);
        self.polled = (until.since(from) - self.blind).max(Span::ZERO);
    }
}

/// Less time says nothing about a week.
const LEAST: Span = Span::from_days(1);

/// Episodes a week, by the episodes of each source and the time it was polled: blind time counts for nothing. None
/// where a source that has episodes, or every source, was polled for less than a day.
pub fn per_week(sources: impl IntoIterator<Item = (usize, Span)>) -> Option<f64> {
    let mut rate = None;
    for (episodes, polled) in sources {
        match polled >= LEAST {
            true => {
                let weeks = polled.millis() as f64 / WEEK.millis() as f64;
                *rate.get_or_insert(0.0) += episodes as f64 / weeks;
            }
            false if episodes > 0 => return None,
            false => {}
        }
    }
    rate
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
    /// None where too little was polled; see [`per_week`].
    pub per_week: Option<f64>,
    /// What `per_week` is by: the longest that a source was polled.
    #[serde(rename = "polled_ms")]
    pub polled: Span,
    /// In the week, counted from the beginning, that has most.
    pub most_in_a_week: usize,
    #[serde(rename = "median_length_ms")]
    pub median_length: Option<Span>,
    pub longest: Option<Episode>,
    pub top: Vec<Busy>,
}

impl Report {
    /// Counts the episodes of `rule` that fired `within` a time; `coverage` is of the sources that it covers.
    pub fn of(
        rule: &str,
        version: &str,
        episodes: &[Episode],
        within: &Range<Time>,
        coverage: &[&Coverage],
    ) -> Self {
        let counted = |one: &&Episode| one.rule == rule && within.contains(&one.fired_at);
        let own: Vec<&Episode> = episodes.iter().filter(counted).collect();
        let mut lengths: Vec<Span> = own.iter().map(|episode| episode.length()).collect();
        lengths.sort_unstable();
        let mut weeks: BTreeMap<i64, usize> = BTreeMap::new();
        let mut busy: BTreeMap<(&str, &Subject), (usize, Span)> = BTreeMap::new();
        for episode in &own {
            *weeks.entry(episode.fired_at.since(within.start).millis() / WEEK.millis()).or_default() += 1;
            let (count, firing) = busy.entry((&episode.source, &episode.subject)).or_default();
            (*count, *firing) = (*count + 1, *firing + episode.length());
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
        let of = |name: &str| own.iter().filter(|episode| episode.source == name).count();
        let sources = coverage.iter().map(|one| (of(&one.source), one.polled));
        Self {
            rule: rule.to_owned(),
            rule_version: version.to_owned(),
            episodes: own.len(),
            subjects: subjects.len(),
            open: own.iter().filter(|episode| episode.ended_at.is_none()).count(),
            per_week: per_week(sources),
            polled: coverage.iter().map(|one| one.polled).max().unwrap_or_default(),
            most_in_a_week: weeks.into_values().max().unwrap_or_default(),
            median_length: lengths.get(lengths.len() / 2).copied(),
            longest: own.iter().max_by_key(|episode| episode.length()).map(|one| (*one).clone()),
            top,
        }
    }
}
