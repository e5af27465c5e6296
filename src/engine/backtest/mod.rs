//! Rules played over readings that are kept: which episodes they would have raised, with nothing sent.
//!
//! `report` counts what came of it, `follow` looks at one subject, `compare` sets it against findings and other versions of the rule. Neighbours: the
//! agent reads the polls from the store and hands them over one by one; `judge` decides as it does live. A part of its
//! own because the past is played from an earlier poll than it is asked about: windows and holds must be full by then.

pub mod compare;
pub mod follow;
pub mod habits;
pub mod known;
pub mod members;
pub mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arcstr::ArcStr;
use serde::Serialize;

use self::follow::Followed;
use self::members::{Members, Refused};
use super::event::{EndReason, Event, EventKind, Limit, Subject};
use super::judge::judge_past;
use super::lang::Signal;
use super::names::Names;
use super::past::Column;
use super::plan::Plan;
use super::reading::Poll;
use super::roster::Listed;
use super::rule::{Hold, Rule};
use super::time::{Span, Time};
use super::usual::{Lesson, Raised};
use super::watch::{Remembered, Setup, Watch};

/// One stretch from firing to its end, as the readings tell it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Episode {
    pub rule: String,
    pub source: String,
    pub subject: Subject,
    /// The first breach.
    pub since: Time,
    pub fired_at: Time,
    /// None while it goes on at the last poll.
    pub ended_at: Option<Time>,
    /// Its end, or the last poll that told something while it went on.
    pub seen_at: Time,
    pub reason: Option<EndReason>,
    /// The highest value so far, where any is known.
    pub peak: Option<u32>,
    pub limit: Option<Limit>,
    /// Time in holes.
    #[serde(rename = "blind_ms")]
    pub blind: Span,
}

impl Episode {
    /// From firing to its end; of one that goes on, to where it was seen last: beyond that it is not known to.
    pub fn length(&self) -> Span {
        self.seen_at.since(self.fired_at).max(Span::ZERO)
    }

    fn raised(&self) -> Raised {
        Raised {
            rule: self.rule.clone(),
            user: self.subject.name.clone(),
            since: self.since,
            fired_at: self.fired_at,
            ended_at: self.ended_at,
        }
    }

    /// Whether two stretches, from first breach to end, have a moment in common; an open one goes on for ever.
    pub fn meets(&self, since: Time, ended_at: Option<Time>) -> bool {
        ended_at.is_none_or(|end| self.since <= end) && self.ended_at.is_none_or(|end| since <= end)
    }
}

/// What is kept of a poll beside its readings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PastPoll {
    pub seq: u64,
    pub at: Time,
    pub elapsed: Span,
    /// It told something.
    pub usable: bool,
}

/// The rules of one source while its past is played.
#[derive(Debug)]
pub struct Playback {
    watch: Watch,
    /// The poll at hand, with neither readings nor answers.
    poll: Poll,
    /// Episodes that fired earlier are left out: the polls before only fill windows and holds.
    from: Time,
    open: BTreeMap<(ArcStr, Subject), Episode>,
    done: Vec<Episode>,
    /// The last poll that told something.
    seen: Time,
    followed: Option<Followed>,
    members: Members,
    /// Slots of users who are nobody's members here, though polls asked about them.
    without: Vec<u32>,
    /// Users whom a rule is about as the rules file and the roster are today, by slot, and those rules.
    watched: Vec<(u32, Vec<Arc<Rule>>)>,
    /// The first poll that was played.
    begins: Option<Time>,
    /// What the rules raised live, as far as it counts for what they learn.
    told: Vec<Raised>,
    as_told: bool,
}

impl Playback {
    /// `names` are those of the store's slots, `roster` is the one in force today: what is played begins with none, and
    /// with the members of its first poll.
    pub fn new(setup: Arc<Setup>, names: Names, roster: Option<Vec<Listed>>, from: Time) -> Self {
        let remembered = Remembered { names, roster, ..Remembered::default() };
        let poll = Poll {
            source: setup.source.clone(),
            seq: 0,
            at: from,
            elapsed: Span::ZERO,
            jump: None,
            readings: Vec::new(),
            batch_of: Vec::new().into(),
            batches: Vec::new(),
            requests: 0,
            took: Span::ZERO,
            fault: None,
            skew: None,
        };
        let mut watch = Watch::new(setup, remembered);
        let slots = 0..u32::try_from(watch.names.len()).unwrap_or(u32::MAX);
        let about = |slot: u32| -> Vec<Arc<Rule>> {
            let plans = watch.plans.iter().filter(|plan| plan.counts(slot));
            plans.map(|plan| Arc::clone(&plan.rule)).collect()
        };
        let watched = slots.map(|slot| (slot, about(slot))).filter(|(_, rules)| !rules.is_empty()).collect();
        watch.put_nobody();
        Self {
            watch,
            poll,
            from,
            open: BTreeMap::new(),
            done: Vec::new(),
            seen: Time::from_millis(i64::MIN),
            followed: None,
            members: Members::new(),
            without: Vec::new(),
            watched,
            begins: None,
            told: Vec::new(),
            as_told: false,
        }
    }

    /// Takes for unusual what the rules raised live, and nothing that they raise here: for whoever asks what was so when
    /// it was told, whatever operators did and the rules were since.
    #[must_use]
    pub fn as_told(self) -> Self {
        Self { as_told: true, ..self }
    }

    /// Plays as if nobody had asked about these users.
    #[must_use]
    pub fn without<'u>(mut self, users: impl IntoIterator<Item = &'u str>) -> Self {
        self.without = users.into_iter().filter_map(|user| self.watch.names.slot(user)).collect();
        self.without.sort_unstable();
        self.watched.retain(|(slot, _)| self.without.binary_search(slot).is_err());
        self
    }

    /// The rules that learn from the past, each with its version, or None where all that was told in its name counts.
    pub fn learners(&self) -> Vec<(String, Option<String>)> {
        let learns = |plan: &&Plan| plan.names(|signal| matches!(signal, Signal::Usual(_)));
        let of = |plan: &Plan| {
            let version = (!self.as_told).then(|| plan.rule.version.clone());
            (plan.rule.name.clone(), version)
        };
        self.watch.plans.iter().filter(learns).map(of).collect()
    }

    /// What the [`Self::learners`] raised live: before the first poll that is played, nothing else can say so.
    pub fn told(&mut self, raised: Vec<Raised>) {
        self.told = raised;
    }

    /// When names were refused, so that they are no members who left.
    pub fn refused(&mut self, refused: Refused) {
        self.members.refused(refused);
    }

    /// Looks at one subject of a rule at every poll from a time on.
    #[must_use]
    pub fn following(self, rule: &str, subject: Subject, from: Time) -> Self {
        Self { followed: Some(Followed::new(rule, subject, from)), ..self }
    }

    /// What was seen of the subject that was followed.
    pub fn followed(&mut self) -> Option<Followed> {
        self.followed.take()
    }

    /// From this poll on the instance's own list is this, by slot.
    pub fn roster(&mut self, roster: Vec<Listed>) {
        if self.watch.setup.roster {
            self.watch.roster = Some(roster);
            self.watch.look_at_all();
            self.members.of_another_roster();
        }
    }

    /// What must be read before the poll of `at` is played; then [`Self::learn`].
    pub fn lesson(&self, at: Time) -> Option<Lesson> {
        let mut lesson = self.watch.lesson(at)?;
        let rules: Vec<String> = lesson.rules().map(str::to_owned).collect();
        let here = self.done.iter().chain(self.open.values()).filter(|_| !self.as_told).map(Episode::raised);
        let begins = self.begins.unwrap_or(at);
        let told = self.told.iter().filter(|raised| self.as_told || raised.since < begins).cloned();
        for raised in here.chain(told).filter(|raised| rules.contains(&raised.rule)) {
            if let Some(slot) = self.watch.names.slot(&raised.user) {
                lesson.leave_out(slot, &raised);
            }
        }
        Some(lesson)
    }

    pub fn learn(&mut self, lesson: Lesson) {
        self.watch.learn(lesson);
    }

    /// Plays the next poll, to which `column` has come; the first one it is shown must be the column's first.
    pub fn poll(&mut self, past: PastPoll, column: &Column) {
        (self.poll.seq, self.poll.at, self.poll.elapsed) = (past.seq, past.at, past.elapsed);
        if past.usable {
            self.seen = self.seen.max(past.at);
        }
        self.begins.get_or_insert(past.at);
        let slots = self.watch.names.len();
        if let Some(mut member) = self.members.turn(past.at, column, self.watch.roster.as_deref(), slots) {
            member.truncate(slots);
            for slot in &self.without {
                if let Some(is) = member.get_mut(*slot as usize) {
                    *is = false;
                }
            }
            self.watch.put_members(member);
        }
        let events = judge_past(&mut self.watch, &self.poll, column, past.usable);
        if let Some(followed) = &mut self.followed {
            followed.take(&self.watch, &self.poll, &events);
        }
        for event in events {
            self.take(Arc::unwrap_or_clone(event));
        }
    }

    /// Users whom rules are about today, by slot and name, each with those rules.
    pub fn watched(&self) -> impl Iterator<Item = (u32, &str, Vec<&str>)> {
        self.watched.iter().map(|(slot, rules)| {
            (*slot, self.watch.names.name(*slot), rules.iter().map(|rule| rule.name.as_str()).collect())
        })
    }

    fn take(&mut self, event: Event) {
        let key = (event.rule.clone(), event.subject.clone());
        match event.kind {
            EventKind::Fired => {
                let episode = Episode {
                    rule: event.rule.to_string(),
                    source: event.source.unwrap_or_default().to_string(),
                    subject: event.subject,
                    since: event.since,
                    fired_at: event.at,
                    ended_at: None,
                    seen_at: event.at,
                    reason: None,
                    peak: event.value.and_then(|value| value.peak),
                    limit: event.limit,
                    blind: event.blind,
                };
                self.open.insert(key, episode);
            }
            EventKind::Ended => {
                if let Some(mut episode) = self.open.remove(&key) {
                    (episode.ended_at, episode.seen_at) = (Some(event.at), event.at);
                    episode.reason = event.reason;
                    episode.peak = event.value.and_then(|value| value.peak).max(episode.peak);
                    episode.blind = event.blind;
                    self.done.push(episode);
                }
            }
            EventKind::Reminded
            | EventKind::Escalated
            | EventKind::Changed
            | EventKind::Acked
            | EventKind::Closed => {}
        }
    }

    /// The episodes that fired in the time that is asked about, in the order in which they fired.
    pub fn finish(self) -> Vec<Episode> {
        let (mut all, seen) = (self.done, self.seen);
        for ((rule, subject), mut episode) in self.open {
            // No event has told yet how far it got.
            if let Some(alert) = self.watch.alert(&rule, &subject) {
                episode.peak = alert.value.and_then(|value| value.peak).max(episode.peak);
                episode.blind = alert.blind;
            }
            episode.seen_at = episode.seen_at.max(seen);
            all.push(episode);
        }
        all.retain(|episode| episode.fired_at >= self.from);
        all.sort_by(|a, b| {
            (a.fired_at, &a.rule, &a.source, &a.subject).cmp(&(b.fired_at, &b.rule, &b.source, &b.subject))
        });
        all
    }
}

/// Longer than any history.
const EVER: Span = Span::from_days(365 * 200);

/// How long before the time that is asked about the rules must be played, so that windows and holds are full then,
/// and episodes that go on are not taken for new ones. A rule that asks what is usual is played over all that is kept:
/// what it raised weeks ago is left out of what it learns.
pub fn run_up(rules: &[Arc<Rule>], interval: Span) -> Span {
    let learns = |rule: &Arc<Rule>| rule.signals().iter().any(|signal| matches!(signal, Signal::Usual(_)));
    if rules.iter().any(learns) { EVER } else { run_up_as_told(rules, interval) }
}

/// As [`run_up`], of what is played [`Playback::as_told`].
pub fn run_up_as_told(rules: &[Arc<Rule>], interval: Span) -> Span {
    let hold = |hold: Hold| match hold {
        Hold::For(span) => span,
        Hold::Polls { of, .. } => interval.times(of.into()),
    };
    let of_rule = |rule: &Arc<Rule>| {
        let window = rule.signals().into_iter().filter_map(Signal::window).max().unwrap_or_default();
        window + hold(rule.policy.hold) + hold(rule.policy.clear_hold)
    };
    rules.iter().map(of_rule).max().unwrap_or_default() + Span::from_days(1)
}
