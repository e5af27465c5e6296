//! A watch as it was: signals to bytes and back, and polls of the past taken in again.
//!
//! Neighbours: `judge` writes a checkpoint now and then, the agent hands back the newest with the polls since. A part
//! of its own because a restarted agent must go on exactly as one that never stopped.

use std::sync::Arc;

use super::absentees::Absentees;
use super::past::Column;
use super::plan::{Groups, Plan, Subjects};
use super::reading::Reading;
use super::signals::{Backlog, Needs, Signals, Totals};
use super::time::Span;
use super::watch::Watch;

/// Signals live on the clock of their source's polls; without a checkpoint at most so many polls are read again: more
/// than a year of one a minute. Signals that look further back begin there, and whoever reads says so.
pub const MOST_REPLAYED: u64 = 600_000;

/// One poll of the past. `column` holds what it said of every slot.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    pub seq: u64,
    /// The sum of `elapsed` up to it.
    pub clock: Span,
    pub column: &'a [Reading],
    pub usable: bool,
}

impl Watch {
    /// Everything that counts over polls.
    pub fn checkpoint(&self) -> Checkpoint {
        let (absentees, length) = (self.absentees.encoded_length(), self.signals.encoded_length());
        // No more than it takes: that of a million users is large.
        let mut before = Vec::with_capacity(2 * size_of::<u64>() + absentees);
        before.extend_from_slice(&(absentees as u64).to_be_bytes());
        self.absentees.encode(&mut before);
        before.extend_from_slice(&length.to_be_bytes());
        let mut after = Vec::new();
        for plan in &self.plans {
            if let Subjects::Groups(groups) = &plan.subjects {
                let mut totals = Vec::new();
                groups.totals.encode(&groups.keys(), &mut |piece| totals.extend_from_slice(piece));
                put(&mut after, plan.rule.name.as_bytes());
                put(&mut after, &totals);
            }
        }
        Checkpoint { before, signals: Arc::clone(&self.signals), length, after }
    }

    /// Takes a checkpoint over, if it holds all that the rules ask for today; changes nothing otherwise.
    pub fn restore(&mut self, bytes: &[u8]) -> bool {
        self.decode(bytes).is_some()
    }

    fn decode(&mut self, bytes: &[u8]) -> Option<()> {
        let mut rest = bytes;
        let absent_runs = take(&mut rest)?;
        let mut needs = Needs::default();
        self.plans.iter().for_each(|plan| plan.add_needs(&mut needs));
        let signals = Signals::decode(take(&mut rest)?, &needs)?;
        let mut totals: Vec<(String, &[u8])> = Vec::new();
        while !rest.is_empty() {
            totals.push((String::from_utf8(take(&mut rest)?.to_vec()).ok()?, take(&mut rest)?));
        }
        let of_plan = |plan: &Plan| match &plan.subjects {
            Subjects::Users(_) => Some(None),
            Subjects::Groups(groups) => {
                let (_, bytes) = totals.iter().find(|(rule, _)| *rule == plan.rule.name)?;
                Some(Some(Totals::decode(bytes, &plan.total_needs(), &groups.keys())?))
            }
        };
        let decoded: Vec<Option<Totals>> = self.plans.iter().map(of_plan).collect::<Option<_>>()?;
        for (plan, totals) in self.plans.iter_mut().zip(decoded) {
            if let (Subjects::Groups(groups), Some(totals)) = (&mut plan.subjects, totals) {
                groups.totals = totals;
            }
        }
        self.absentees = Absentees::decode(absent_runs, |slot| signals.reading(slot));
        self.signals = Arc::new(signals);
        self.look_at_all();
        Some(())
    }

    /// How long before the last poll history must begin for all that the rules ask for to come out as if this watch had
    /// never stopped: the longest window and what may hold into it, and the stretch of every alert under way. None where
    /// a poll of any age may count.
    pub fn reach(&self) -> Option<Span> {
        let mut needs = Needs::default();
        for plan in &self.plans {
            plan.add_needs(&mut needs);
            if !plan.per_user() {
                needs.add_all(&plan.total_needs());
            }
        }
        // The hole before a breach counts as blind time of its alert.
        let since = |plan: &Plan| {
            let since = plan.alerts.values().filter_map(|alert| alert.since).map(|since| since.clock).min();
            since.map(|since| self.memory.clock - since + plan.max_gap)
        };
        needs.reach().map(|reach| self.plans.iter().filter_map(since).fold(reach, Span::max))
    }

    /// To be called before polls of the past are taken in from the first one on: whoever has a slot may have been a member
    /// then, and whom a poll did not ask about counts for nothing in it. Gives the members of today, for
    /// [`Self::put_members`] afterwards.
    pub fn recall_members(&mut self) -> Vec<bool> {
        let today = self.member.clone();
        self.put_members(vec![true; today.len()]);
        today
    }

    /// Takes in a poll that was judged before; nothing but what counts over polls changes.
    pub fn replay(&mut self, past: &Past<'_>) {
        let turned = self.signals.turned(past.column);
        self.observe(&turned, past.column.len(), past.clock, past.seq, past.usable);
        self.look_at_all();
    }

    /// To take in many of them.
    pub fn replay_all(&mut self) -> Replay<'_> {
        // Members are added up poll by poll.
        let slot_by_slot = self.plans.iter().all(Plan::per_user);
        Replay { watch: self, backlog: Backlog::default(), slot_by_slot, usable: None }
    }
}

/// Polls of the past on their way into a watch; those that were taken in are only there once it is finished.
#[derive(Debug)]
#[must_use]
pub struct Replay<'a> {
    watch: &'a mut Watch,
    backlog: Backlog,
    slot_by_slot: bool,
    /// Whether the last poll was.
    usable: Option<bool>,
}

impl Replay<'_> {
    /// As [`Watch::replay`], of the poll that `column` has come to.
    pub fn poll(&mut self, column: &Column, clock: Span, seq: u64, usable: bool) {
        self.usable = Some(usable);
        let turned = column.turned();
        if !self.slot_by_slot {
            self.watch.observe(turned, column.len(), clock, seq, usable);
            return;
        }
        self.watch.absentees.observe(turned);
        self.backlog.push(turned, column.len(), clock, seq);
        if self.backlog.is_full() {
            Arc::make_mut(&mut self.watch.signals).take_all(&mut self.backlog);
        }
    }

    pub fn finish(mut self) {
        let Some(usable) = self.usable else { return };
        if self.slot_by_slot {
            Arc::make_mut(&mut self.watch.signals).take_all(&mut self.backlog);
            // What is asked of all users together is asked of the last poll alone.
            self.watch.plans.iter_mut().for_each(|plan| plan.observe(&self.watch.signals, usable));
        }
        self.watch.look_at_all();
    }
}

/// Everything that counts over polls, as it was after one of them: bytes in parts, each preceded by its length. They are
/// made as they are written, because those of a million users are many.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What comes before that of the signals, their length with it, and what comes after.
    before: Vec<u8>,
    signals: Arc<Signals>,
    length: u64,
    after: Vec<u8>,
}

impl Checkpoint {
    /// Of all of it, in bytes.
    pub fn length(&self) -> u64 {
        self.before.len() as u64 + self.length + self.after.len() as u64
    }

    /// Gives it to `to`, piece by piece.
    pub fn write(&self, to: &mut dyn FnMut(&[u8])) {
        to(&self.before);
        self.signals.encode(to);
        to(&self.after);
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut |piece| bytes.extend_from_slice(piece));
        bytes
    }
}

impl PartialEq for Checkpoint {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
    bytes.extend_from_slice(part);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<8>()?;
    let (part, tail) = tail.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    *rest = tail;
    Some(part)
}

impl Groups {
    /// What the indices stand for: names and, since members may change between checkpoints, how many there are.
    fn keys(&self) -> Vec<String> {
        self.names
            .iter()
            .zip(&self.members)
            .map(|(name, members)| format!("{name}/{}", members.len()))
            .collect()
    }
}
