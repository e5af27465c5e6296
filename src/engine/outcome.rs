//! What one pass of `collect` or `tend` decided, whole: the rows of one transaction.
//!
//! Neighbours: `judge` and `alert` make it, channels add payloads, the store writes it. A part of its own because
//! it is the only thing that passes from deciding to remembering: computed before the transaction, written in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arcstr::ArcStr;
use serde::{Deserialize, Serialize};

use super::alert::{MovedAt, RuleMoves, Turn};
use super::event::{Event, Finding, Limit, OnlineClient, Severity, Subject, SubjectKind, Value};
use super::names::NewNames;
use super::reading::{Poll, Reading, Tally};
use super::request_id::RequestId;
use super::restore::Checkpoint;
use super::roster::Listed;
use super::shared::Shared;
use super::time::{Span, Time};
use super::trail::Trail;

/// The state of an alert (one rule × one subject).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    #[default]
    Ok,
    Pending,
    Firing,
    Recovering,
    Closed,
}

/// Which alert: `source` is None for subjects that belong to no source (channel, agent).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AlertKey {
    pub rule: ArcStr,
    pub source: Option<ArcStr>,
    pub subject: Subject,
}

/// A moment by the wall and by the sum of `elapsed` over the source's polls, by which durations are counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Stamp {
    pub at: Time,
    pub clock: Span,
}

/// What is remembered of an alert between polls. An alert in `ok` without marks and steps is not kept at all.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Alert {
    pub state: State,
    /// Counts events, +1 each; persisted, never reset.
    pub step_no: u32,
    /// The rule's version that the state was reached under.
    pub rule_version: ArcStr,
    /// The first breach of the stretch that is pending or fired.
    pub since: Option<Stamp>,
    /// Where the hold that is being counted began: since `since` when pending (restarted by a hole), since the
    /// first clear when recovering.
    pub held_since: Option<Stamp>,
    /// For "n of m polls": bit 0 is poll `marks_seq`, bit 1 the one before, …
    pub marks: u64,
    pub marks_seq: u64,
    /// The same for "n of m polls" of `clear_for`: clears since the episode fired.
    #[serde(default)]
    pub clear_marks: u64,
    /// The open episode, from *fired* to *ended* (kept while `closed`).
    pub episode: Option<Box<Episode>>,
    /// Readings that are deciding, oldest first, at most 20: the first, then the last 19.
    pub trail: Trail,
    pub trail_requests: Shared<RequestId>,
    pub value: Option<Value>,
    /// Time in holes since `since`.
    pub blind: Span,
}

/// One stretch of an alert from firing to its end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Episode {
    pub id: ArcStr,
    pub since: Time,
    pub fired_at: Time,
    pub ended_at: Option<Time>,
    pub severity: Severity,
    pub limit: Option<Limit>,
    /// Channels that get, or got, its *fired*.
    pub channels: Shared<String>,
    pub last_told: Time,
    pub reminders: u32,
    pub acked_by: Option<ArcStr>,
    pub acked_at: Option<Time>,
    pub finding: Option<Finding>,
    pub note: Option<ArcStr>,
    /// What an own alert is about.
    #[serde(default)]
    pub detail: Option<ArcStr>,
    #[serde(default)]
    pub users: Shared<String>,
}

/// A notification to be sent: rendered, so that every attempt sends the same bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct NewNotification {
    /// `ntf_…`
    pub id: String,
    pub channel: String,
    pub events: Vec<String>,
    pub episodes: Vec<String>,
    /// Without transport fields (signature, timestamp): those are added per attempt.
    pub payload: Vec<u8>,
    pub created_at: Time,
}

/// A name the vendor refuses: not asked about until `retry_at`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Quarantined {
    pub user: String,
    pub since: Time,
    pub retry_at: Time,
}

/// What the agent remembers of a source beside readings and alerts; one JSON value in the store.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SourceMemory {
    /// The number of the last poll; 0 before the first.
    pub seq: u64,
    pub last_at: Option<Time>,
    /// Sum of `elapsed` over all polls.
    pub clock: Span,
    pub first_at: Option<Time>,
    /// Sum of `elapsed` at the last usable poll.
    pub usable_clock: Option<Span>,
    pub quarantine: Vec<Quarantined>,
    /// Polls in a row without a usable one.
    pub unusable: u32,
    /// The first of them.
    #[serde(default)]
    pub unusable_since: Option<Stamp>,
    /// Changes kept since the last keyframe; says when the next one pays.
    pub changes_since_keyframe: u64,
    /// Boot id and boot time (ms) at the last poll's instant, to see clock jumps over restarts.
    pub boot: Option<(String, i64)>,
    /// When the last whole roster came.
    #[serde(default)]
    pub roster_at: Option<Time>,
    /// `clock` at the first poll since which the wall clock moved on by `elapsed` alone: an instant before it cannot be
    /// told from `clock`.
    #[serde(default)]
    pub even_since: Option<Span>,
}

impl SourceMemory {
    /// Counts the poll at `at`, to which the clock has come, as usable or not.
    pub(super) fn note_usable(&mut self, usable: bool, at: Time) {
        if usable {
            (self.unusable, self.unusable_since, self.usable_clock) = (0, None, Some(self.clock));
        } else {
            self.unusable = self.unusable.saturating_add(1);
            self.unusable_since.get_or_insert(Stamp { at, clock: self.clock });
        }
    }
}

/// Everything one pass decided.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    pub now: Time,
    pub poll: Option<PollRow>,
    /// New states; the store replaces the row of each key. Those that only moved are in the poll's row.
    pub alerts: Vec<(AlertKey, Arc<Alert>)>,
    /// Notices of several channels share them.
    pub events: Vec<Arc<Event>>,
    /// For each event the channels it is told to, as the notifications are planned; not written.
    pub told: Vec<Shared<String>>,
    pub notifications: Vec<NewNotification>,
    /// What was concluded of episodes that are over.
    pub conclusions: Vec<Conclusion>,
    /// Acts that were taken up, with their results.
    pub acts: Vec<ActResult>,
}

impl Outcome {
    pub fn tell(&mut self, event: Event, channels: Shared<String>) {
        self.events.push(Arc::new(event));
        self.told.push(channels);
    }

    /// Takes over what another pass at the same moment decided.
    pub fn append(&mut self, mut other: Self) {
        self.alerts.append(&mut other.alerts);
        self.events.append(&mut other.events);
        self.told.append(&mut other.told);
        self.notifications.append(&mut other.notifications);
        self.conclusions.append(&mut other.conclusions);
        self.acts.append(&mut other.acts);
    }

    /// Puts what was decided just before, at the same moment, before this.
    pub fn prepend(&mut self, mut before: Self) {
        // What is written whole with a poll is as the poll left it.
        if let Some(row) = &self.poll {
            for (key, alert) in &mut before.alerts {
                row.move_on(key, Arc::make_mut(alert));
            }
        }
        let mut after = std::mem::replace(self, before);
        (self.now, self.poll) = (after.now, after.poll.take());
        self.append(after);
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        let decided = [self.alerts.len(), self.events.len(), self.conclusions.len(), self.acts.len()];
        self.poll.is_none() && decided == [0; 4]
    }
}

/// An alert that moved is written whole at one of so many polls, the first of which moved it.
pub const WRITTEN_WITHIN: u64 = 64;

/// A poll as the store takes it.
#[derive(Clone, PartialEq, Debug)]
pub struct PollRow {
    /// Without its readings.
    pub poll: Poll,
    pub tally: Tally,
    /// Names that got the next free slots, in order.
    pub new_names: NewNames,
    /// Slots whose reading is known (or *not polled*) and differs from the last such reading, ascending. A slot
    /// that no poll mentioned yet is *not polled*.
    pub changes: Vec<(u32, Reading)>,
    /// Slots that were asked and failed, as ascending ranges; they keep the last reading for later.
    pub failed: Vec<std::ops::Range<u32>>,
    /// The whole column of last readings after this poll, now and then, so that nobody needs all history.
    pub keyframe: Option<Vec<Reading>>,
    /// Slots a breach rests on: the `RequestId` of their batch is kept as long as events are.
    pub evidence: Vec<u32>,
    /// What changed of users' alerts without an event. Each alert is written whole within [`WRITTEN_WITHIN`] polls; until
    /// then these are needed.
    pub moves: Vec<RuleMoves>,
    pub memory: SourceMemory,
    /// The signals, now and then, so that a restart need not read all history.
    pub checkpoint: Option<Checkpoint>,
    /// The roster by slot, where it changed.
    pub roster: Option<Vec<Listed>>,
    /// Connections of suspected users by slot, ascending, as the vendor listed them after the poll.
    pub clients: Vec<(u32, Vec<OnlineClient>)>,
}

impl PollRow {
    fn moved_at<'a>(&'a self, rule: &'a RuleMoves, slot: u32) -> MovedAt<'a> {
        let Poll { seq, at, .. } = self.poll;
        MovedAt { seq, at, clock: self.memory.clock, version: &rule.version, batch: self.poll.batch(slot) }
    }

    /// Moves an alert that is remembered, if the poll moved it.
    fn move_on(&self, key: &AlertKey, alert: &mut Alert) {
        let of_rule = self.moves.iter().find(|one| one.rule == key.rule);
        let Some(rule) = of_rule.filter(|_| key.source.as_deref() == Some(&self.poll.source)) else { return };
        let slot = self.new_names.names.slot(&key.subject.name);
        let Some(slot) = slot.filter(|_| key.subject.kind == SubjectKind::User) else { return };
        if let Ok(at) = rule.moves.binary_search_by_key(&slot, |one| one.slot) {
            rule.moves[at].apply(alert, &self.moved_at(rule, slot));
        }
    }

    /// Lays the poll's moves over all alerts that are remembered. Those that the same outcome writes whole come after.
    pub fn lay_moves(&self, alerts: &mut BTreeMap<AlertKey, Alert>) {
        let source = ArcStr::from(&self.poll.source);
        for rule in &self.moves {
            for one in &rule.moves {
                let name = self.new_names.names.name(one.slot).to_owned();
                let subject = Subject { kind: SubjectKind::User, name };
                let key = AlertKey { rule: rule.rule.clone(), source: Some(source.clone()), subject };
                match one.turn {
                    Turn::Gone => drop(alerts.remove(&key)),
                    Turn::GoesOn | Turn::Begins => {
                        one.apply(alerts.entry(key).or_default(), &self.moved_at(rule, one.slot));
                    }
                }
            }
        }
    }
}

/// What an operator asks for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "lowercase")]
pub enum Act {
    Ack { episode: String, note: Option<String> },
    Close { episode: String, rearm: bool, finding: Option<Finding>, note: Option<String> },
    Retry { notification: String },
    Drop { notification: String },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActRow {
    pub id: i64,
    pub by: String,
    pub at: Time,
    pub act: Act,
}

/// The finding and note that an episode has from now on, though it is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conclusion {
    pub episode: String,
    pub finding: Finding,
    pub note: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActResult {
    pub id: i64,
    pub done: bool,
    /// For the operator.
    pub message: String,
}
