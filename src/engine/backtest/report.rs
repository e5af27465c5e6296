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

/// Unknown users that are named.
const MOST_UNKNOWN: usize = 100;

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
    /// Usable polls that failed for some users.
    pub partial: u64,
    /// Where history begins, if it was ever shortened.
    pub kept_from: Option<Time>,
    /// Users that the rules watch who were known for less than half of the time that was polled.
    pub unknown_users: usize,
    /// The first of them, least known first.
    pub unknown: Vec<Unknown>,
    /// How many of them each rule watches.
    #[serde(skip)]
    pub unknown_of: BTreeMap<String, usize>,
    /// Up to the hour of this poll `usual` has no value, for readings that it rested on are no longer kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_unknown_until: Option<Time>,
}

/// A user of whom too little is known to say anything.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Unknown {
    /// Of the time that was polled.
    #[serde(rename = "known_ms")]
    pub known: Span,
    pub user: String,
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

    /// Whether the readings are kept by which an episode with this first breach fired, by a rule that looks so far `back`,
    /// and may ask what is `usual`.
    pub fn tells(&self, since: Time, fired_at: Time, back: Span, usual: bool) -> bool {
        let unlearnt = self.usual_unknown_until.filter(|_| usual);
        if unlearnt.is_some_and(|until| fired_at < until + Span::from_hours(1)) {
            return false;
        }
        let blind = self.gaps.iter().any(|gap| gap.from < fired_at && fired_at < gap.until);
        !blind && self.kept_from.is_none_or(|kept| since - back >= kept)
    }

    /// Takes in who is watched by which rules, and for how long they were known.
    pub fn note_users<'u>(&mut self, users: impl Iterator<Item = (&'u str, Span, Vec<&'u str>)>) {
        let mut all: BTreeMap<&str, (Span, BTreeSet<&str>)> = BTreeMap::new();
        for (user, known, rules) in users.filter(|(_, known, _)| known.times(2) < self.polled) {
            all.entry(user).or_insert_with(|| (known, BTreeSet::new())).1.extend(rules);
        }
        self.unknown_users = all.len();
        for rule in all.values().flat_map(|(_, rules)| rules) {
            *self.unknown_of.entry((*rule).to_owned()).or_default() += 1;
        }
        let unknown = all.into_iter().map(|(user, (known, _))| Unknown { known, user: user.to_owned() });
        self.unknown = unknown.collect();
        self.unknown.sort();
        self.unknown.truncate(MOST_UNKNOWN);
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

/// How long one source of a rule was polled, and what the rule raised there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Polled {
    pub source: String,
    pub episodes: usize,
    #[serde(rename = "polled_ms")]
    pub polled: Span,
}

/// A rule's episodes in numbers.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    pub rule: String,
    pub rule_version: String,
    /// None where no source that it covers has a usable poll.
    pub episodes: Option<usize>,
    /// Distinct subjects.
    pub subjects: usize,
    /// Those that go on at the end.
    pub open: usize,
    /// None where too little was polled; see [`per_week`].
    pub per_week: Option<f64>,
    /// What `per_week` is made of.
    pub polled: Vec<Polled>,
    /// Sources that it covers of which nothing is known.
    pub unknown_sources: Vec<String>,
    /// Users that it watches who were known for less than half of the time that was polled.
    pub unknown_users: usize,
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
        let (known, unknown): (Vec<&Coverage>, Vec<&Coverage>) =
            coverage.iter().partition(|one| one.usable > 0);
        let polled = |one: &&Coverage| {
            let source = one.source.clone();
            Polled { episodes: of(&source), source, polled: one.polled }
        };
        let polled: Vec<Polled> = known.iter().map(polled).collect();
        Self {
            rule: rule.to_owned(),
            rule_version: version.to_owned(),
            episodes: (!known.is_empty()).then_some(own.len()),
            subjects: subjects.len(),
            open: own.iter().filter(|episode| episode.ended_at.is_none()).count(),
            per_week: per_week(polled.iter().map(|one| (one.episodes, one.polled))),
            polled,
            unknown_sources: unknown.iter().map(|one| one.source.clone()).collect(),
            unknown_users: known.iter().filter_map(|one| one.unknown_of.get(rule)).sum(),
            most_in_a_week: weeks.into_values().max().unwrap_or_default(),
            median_length: lengths.get(lengths.len() / 2).copied(),
            longest: own.iter().max_by_key(|episode| episode.length()).map(|one| (*one).clone()),
            top,
        }
    }
}
