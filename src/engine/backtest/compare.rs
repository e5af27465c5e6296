//! Episodes set against others: what operators concluded, what another version of the rule would have raised.
//!
//! Neighbours: `backtest` finds the episodes, the store has the findings. A part of its own because two episodes are the
//! same when they are of one subject and meet in time, and that is decided here alone.

use std::collections::HashMap;
use std::ops::Range;

use serde::Serialize;

use super::Episode;
use crate::engine::event::{Finding, Subject};
use crate::engine::time::Time;

/// An episode of the past that somebody closed with a finding.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Concluded {
    pub episode: String,
    pub source: String,
    pub subject: Subject,
    pub since: Time,
    pub fired_at: Time,
    pub ended_at: Option<Time>,
    pub finding: Finding,
}

impl Concluded {
    /// Whether the alert was right: None for those who were not sure.
    pub const fn is_confirmed(&self) -> Option<bool> {
        match self.finding {
            Finding::ConfirmedSharing | Finding::Compromised => Some(true),
            Finding::MultiDevice | Finding::SharedByPolicy | Finding::DataError => Some(false),
            Finding::Unsure => None,
        }
    }
}

/// Where and when something fired.
#[derive(Clone, Copy, Debug)]
pub struct Fired<'a> {
    pub source: &'a str,
    /// The first breach.
    pub since: Time,
    pub at: Time,
}

/// Stretches of time by subject, to find those that meet another.
struct Stretches<'a>(HashMap<(&'a str, &'a Subject), Vec<Stretch>>);

#[derive(Clone, Copy)]
struct Stretch {
    since: Time,
    end: Time,
    /// The latest end of this one and all before it.
    reach: Time,
    /// Which one of those given it is.
    index: usize,
}

/// After everything.
const NEVER: Time = Time::from_millis(i64::MAX);

impl<'a> Stretches<'a> {
    fn of_episodes(episodes: impl Iterator<Item = &'a Episode>) -> Self {
        Self::new(episodes.map(|one| (one.source.as_str(), &one.subject, one.since, one.ended_at)))
    }

    fn new(all: impl Iterator<Item = (&'a str, &'a Subject, Time, Option<Time>)>) -> Self {
        let mut by_subject: HashMap<_, Vec<Stretch>> = HashMap::new();
        for (index, (source, subject, since, ended_at)) in all.enumerate() {
            let end = ended_at.unwrap_or(NEVER);
            by_subject.entry((source, subject)).or_default().push(Stretch { since, end, reach: end, index });
        }
        for stretches in by_subject.values_mut() {
            stretches.sort_by_key(|one| one.since);
            let mut reach = Time::from_millis(i64::MIN);
            for one in stretches {
                reach = reach.max(one.end);
                one.reach = reach;
            }
        }
        Self(by_subject)
    }

    /// Those of the subject that have a moment in common with the stretch.
    fn meeting<'s>(
        &'s self,
        source: &'s str,
        subject: &'s Subject,
        since: Time,
        ended_at: Option<Time>,
    ) -> impl Iterator<Item = usize> {
        let all = self.0.get(&(source, subject)).map_or(&[][..], Vec::as_slice);
        let begun = all.partition_point(|one| one.since <= ended_at.unwrap_or(NEVER));
        let near = all[..begun].iter().rev().take_while(move |one| one.reach >= since);
        near.filter(move |one| one.end >= since).map(|one| one.index)
    }

    fn meet_episode<'s>(&'s self, one: &'s Episode) -> impl Iterator<Item = usize> {
        self.meeting(&one.source, &one.subject, one.since, one.ended_at)
    }
}

/// How a rule's episodes stand to what was concluded. What is counted are the episodes of the past that somebody judged,
/// each once, however many the rule raises in their stead.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Findings {
    /// Confirmed ones of the past that the rule raises again.
    pub confirmed: usize,
    /// Refuted ones of the past that the rule raises again.
    pub refuted: usize,
    /// Episodes of the rule that meet none that was judged.
    pub unjudged: usize,
    /// Confirmed of those that were judged and are raised again; none without any.
    pub precision: Option<Precision>,
    /// Confirmed ones of the past that the rule would not have raised.
    pub missed: Vec<Concluded>,
    /// Confirmed and refuted ones that the rule does not raise, and whose readings are not there: nobody can say.
    pub unknown: usize,
}

/// A share, and where the true one lies: 19 times out of 20 between the two ends.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Precision {
    pub share: f64,
    pub low: f64,
    pub high: f64,
    pub n: usize,
}

impl Findings {
    /// Of what fired `within` a time; `episodes` and `concluded` may reach beyond it, so that what fired on the other
    /// side of an edge is met too. `kept` says whether the readings are there by which something fired.
    pub fn of(
        episodes: &[Episode],
        concluded: &[Concluded],
        within: &Range<Time>,
        kept: impl Fn(Fired<'_>) -> bool,
    ) -> Self {
        let raised = Stretches::of_episodes(episodes.iter());
        let raised_again = |one: &Concluded| {
            raised.meeting(&one.source, &one.subject, one.since, one.ended_at).next().is_some()
        };
        let (mut confirmed, mut refuted, mut unknown, mut missed) = (0, 0, 0, Vec::new());
        for one in concluded.iter().filter(|one| within.contains(&one.fired_at)) {
            let Some(right) = one.is_confirmed() else { continue };
            let fired = Fired { source: &one.source, since: one.since, at: one.fired_at };
            match (right, raised_again(one)) {
                (true, true) => confirmed += 1,
                (false, true) => refuted += 1,
                (_, false) if !kept(fired) => unknown += 1,
                (true, false) => missed.push(one.clone()),
                (false, false) => {}
            }
        }
        let judged = concluded.iter().filter(|one| one.is_confirmed().is_some());
        let judged =
            Stretches::new(judged.map(|one| (one.source.as_str(), &one.subject, one.since, one.ended_at)));
        let own = episodes.iter().filter(|one| within.contains(&one.fired_at));
        let unjudged = own.filter(|one| judged.meet_episode(one).next().is_none()).count();
        let precision = wilson(confirmed, confirmed + refuted);
        Self { confirmed, refuted, unjudged, precision, missed, unknown }
    }
}

/// The score interval of E. B. Wilson (1927) at 95 %.
fn wilson(hits: usize, n: usize) -> Option<Precision> {
    const Z: f64 = 1.959_963_984_540_054;
    if n == 0 {
        return None;
    }
    let (count, share) = (n as f64, hits as f64 / n as f64);
    let scale = 1.0 + Z * Z / count;
    let middle = (share + Z * Z / (2.0 * count)) / scale;
    let half = Z / scale * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
    Some(Precision { share, low: (middle - half).max(0.0), high: (middle + half).min(1.0), n })
}

/// What one version of a rule raises and another does not.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Difference {
    pub more: Vec<Episode>,
    pub fewer: Vec<Episode>,
    /// Episodes of the one that the other raises too.
    pub same: usize,
    /// Episodes of the other that these are there.
    pub same_as: usize,
    /// Of `same`, those that are several there: one that goes on here ends and fires again there.
    pub split: usize,
    /// Episodes of the one that the other does not raise, and whose readings are not there: nobody can say.
    pub unknown: usize,
}

impl Difference {
    /// From `before` to `after`, of what fired `within` a time; what fired outside of it is met, and not counted.
    /// Episodes of one subject that meet are the same. `kept` says whether the readings are there by which one fired.
    pub fn between(
        before: &[Episode],
        after: &[Episode],
        within: &Range<Time>,
        kept: impl Fn(Fired<'_>) -> bool,
    ) -> Self {
        let (here, there) = (Stretches::of_episodes(before.iter()), Stretches::of_episodes(after.iter()));
        let counted = |one: &&Episode| within.contains(&one.fired_at);
        let mut found = Self::default();
        for one in after.iter().filter(counted) {
            match here.meet_episode(one).next() {
                Some(_) => found.same_as += 1,
                None => found.more.push(one.clone()),
            }
        }
        for one in before.iter().filter(counted) {
            match there.meet_episode(one).take(2).count() {
                0 if !kept(Fired { source: &one.source, since: one.since, at: one.fired_at }) => {
                    found.unknown += 1;
                }
                0 => found.fewer.push(one.clone()),
                parts => {
                    found.same += 1;
                    found.split += usize::from(parts > 1);
                }
            }
        }
        found
    }
}
