//! All that is remembered of one source between polls, in memory: names, last readings, signals, alerts.
//!
//! Neighbours: `judge` changes it, the agent loads it from the store and drops it when a commit fails. A part of
//! its own because restart, reload and live polls must build the very same thing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arcstr::ArcStr;
use chrono::NaiveDate;
use chrono_tz::Tz;

use super::absentees::Absentees;
use super::event::{Limit, OnlineClient, Subject, SubjectKind};
use super::fleet::Fleet;
use super::hour::Hour;
use super::message::Language;
use super::names::{Asked, Names, NewNames};
use super::narrow::Narrow;
use super::outcome::{Alert, AlertKey, Quarantined, SourceMemory};
use super::own;
use super::plan::Plan;
use super::reading::{Fetched, Poll, Reading};
use super::roster::{Listed, members};
use super::rule::Rule;
use super::schedule::LATE;
use super::shared::Shared;
use super::signals::{Needs, Signals};
use super::time::{Span, Time};

/// A refused name is asked about again after this long.
const QUARANTINE: Span = Span::from_days(1);

/// What the rules file says that concerns one source.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The installation's id, part of every event id.
    pub install: String,
    pub source: String,
    /// Of the source's schedule.
    pub interval: Span,
    /// For the days on which exceptions end.
    pub zone: Tz,
    pub fleet: Arc<Fleet>,
    /// Those that cover the source.
    pub rules: Vec<Arc<Rule>>,
    /// Names of the file's other rules: they cover other sources only.
    pub elsewhere: Vec<String>,
    /// The users to ask about.
    pub users: Arc<Names>,
    /// Whether those on the instance's roster are asked about as well.
    pub roster: bool,
    /// Of the words in own alerts.
    pub language: Language,
    /// Channels for own alerts.
    pub own_notify: Shared<String>,
}

impl Setup {
    /// How long a value holds under `rule` while readings are missing.
    pub fn max_gap(&self, rule: &Rule) -> Span {
        rule.max_gap.unwrap_or_else(|| self.interval.times(3))
    }
}

/// No limit of a user's own.
pub(super) const NO_LIMIT: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub struct Watch {
    pub setup: Arc<Setup>,
    /// That of `setup`, for keys and events to share.
    source: ArcStr,
    /// Those of the rules file are not copied while they are all there is.
    pub names: Arc<Names>,
    /// How many of `names` the store knows; the rest are new with the next poll.
    saved_names: usize,
    /// Whether the rules file or the roster lists the slot's user.
    pub(super) member: Vec<bool>,
    /// What the last whole roster said, by slot; None before the first one, and where none is asked for.
    pub(super) roster: Option<Vec<Listed>>,
    /// The store does not know it yet.
    pub(super) roster_is_new: bool,
    /// The connections last listed of suspected users, by slot.
    pub(super) clients: BTreeMap<u32, Vec<OnlineClient>>,
    /// The last reading that was not *failed*.
    pub(super) last: Narrow<Reading>,
    pub memory: SourceMemory,
    /// Slots that failed at the last poll that was judged; None before the first.
    pub(super) failed: Option<Vec<Range<u32>>>,
    pub(super) absentees: Absentees,
    /// Whether what is judged is going to be remembered; not where history is judged once more.
    pub(super) recorded: bool,
    /// A checkpoint under way shares them.
    pub(super) signals: Arc<Signals>,
    /// That windows had too much to keep.
    cut_is_told: bool,
    pub(super) plans: Vec<Plan>,
    /// Own alerts whose subject is this source, by rule name.
    pub(super) own: BTreeMap<String, Alert>,
    /// Kept alerts whose rule or subject is no longer in the rules file.
    pub(super) orphans: Vec<(AlertKey, Alert)>,
    /// The hour that the plans' `usual` is of.
    pub(super) hour: Option<Hour>,
    /// The day `own_limits` was made for, and how many names there were.
    today: Option<(NaiveDate, usize)>,
    /// The limit of each slot's exception or smallest group, or [`NO_LIMIT`], as far as any has one.
    pub(super) own_limits: Vec<u32>,
}

/// What the store knows of a source.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    pub names: Names,
    pub last: Vec<Reading>,
    pub memory: SourceMemory,
    pub alerts: Vec<(AlertKey, Alert)>,
    /// By slot, where one ever arrived.
    pub roster: Option<Vec<Listed>>,
}

impl Watch {
    /// Signals are empty until [`Self::restore`] or [`Self::replay`]; alerts of rules and subjects that are no longer
    /// there are left to `reconcile`, which ends them.
    pub fn new(setup: Arc<Setup>, remembered: Remembered) -> Self {
        let saved_names = remembered.names.len();
        let same = saved_names == 0 || remembered.names == *setup.users;
        let mut names = if same { Arc::clone(&setup.users) } else { Arc::new(remembered.names) };
        let roster = remembered.roster.filter(|_| setup.roster);
        let member = members(&setup.users, roster.as_deref(), &mut names);
        let mut last: Narrow<Reading> = remembered.last.into_iter().collect();
        last.grow(names.len(), Reading::NOT_POLLED);
        let plans: Vec<Plan> =
            setup.rules.iter().map(|rule| Plan::new(rule, &setup, &names, &member)).collect();
        let mut needs = Needs::default();
        plans.iter().for_each(|plan| plan.add_needs(&mut needs));
        let signals = Arc::new(Signals::new(&needs));
        let mut watch = Self {
            source: setup.source.as_str().into(),
            names,
            saved_names,
            member,
            roster,
            roster_is_new: false,
            clients: BTreeMap::new(),
            last,
            memory: remembered.memory,
            failed: None,
            absentees: Absentees::default(),
            recorded: true,
            orphans: Vec::new(),
            signals,
            cut_is_told: false,
            plans,
            own: BTreeMap::new(),
            hour: None,
            today: None,
            own_limits: Vec::new(),
            setup,
        };
        for (key, alert) in remembered.alerts {
            watch.take_alert(key, alert);
        }
        watch
    }

    fn take_alert(&mut self, key: AlertKey, mut alert: Alert) {
        if own::Own::of_name(&key.rule).is_some() {
            self.own.insert(key.rule.to_string(), alert);
            return;
        }
        let names = &self.names;
        let plan = self.plans.iter_mut().find(|plan| plan.rule.name == key.rule);
        match plan.and_then(|plan| plan.index_of(&key.subject, names).map(|index| (plan, index))) {
            Some((plan, index)) => {
                plan.words.share(&mut alert);
                plan.put(index, Arc::new(alert));
            }
            None => self.orphans.push((key, alert)),
        }
    }

    /// Takes what turned at one poll of `len` slots into everything that counts over polls; `judge` and
    /// [`Self::replay`] both do.
    pub(super) fn observe(
        &mut self,
        turned: &[(u32, Reading)],
        len: usize,
        clock: Span,
        seq: u64,
        usable: bool,
    ) {
        Arc::make_mut(&mut self.signals).take(turned, len, clock, seq);
        for plan in &mut self.plans {
            plan.observe(&self.signals, usable);
        }
        self.absentees.observe(turned);
    }

    /// The first time since this watch was loaded that windows had to keep more than there is room for: the user whose
    /// readings turn so often, or a rule about totals.
    pub fn take_cut(&mut self) -> Option<String> {
        if self.cut_is_told {
            return None;
        }
        let user = self.signals.cut().map(|slot| self.names.name(slot).to_owned());
        let cut = user.or_else(|| self.plans.iter().find_map(Plan::cut));
        self.cut_is_told = cut.is_some();
        cut
    }

    /// Users whom several good replies in a row left out, by name.
    pub(super) fn long_absent(&self) -> Vec<String> {
        let slots = self.absentees.long().filter(|slot| self.member[*slot as usize]);
        let mut users: Vec<String> = slots.map(|slot| self.names.name(slot).to_string()).collect();
        users.sort();
        users
    }

    /// The users to ask about at `now`: members that are not in quarantine.
    pub fn asked(&self, now: Time) -> Asked {
        let held: Vec<u32> = self
            .memory
            .quarantine
            .iter()
            .filter(|q| q.retry_at > now + LATE)
            .filter_map(|q| self.names.slot(&q.user))
            .collect();
        let names = Arc::clone(&self.names);
        if held.is_empty() && self.member.iter().all(|member| *member) {
            return Asked::all(names);
        }
        let asked = (0u32..).zip(&self.member).filter(|(slot, member)| **member && !held.contains(slot));
        Asked::new(names, asked.map(|(slot, _)| slot).collect::<Vec<_>>())
    }

    /// Names the store does not know yet.
    pub fn new_names(&self) -> NewNames {
        NewNames { names: Arc::clone(&self.names), from: self.saved_names }
    }

    /// To be called once the poll that carried the new names, and the new roster, is committed.
    pub fn names_saved(&mut self) {
        self.saved_names = self.names.len();
        self.roster_is_new = false;
    }

    /// The poll that `fetched` makes, with columns by slot. `asked` is what it ran parallel to.
    pub fn poll(&self, mut fetched: Fetched, asked: &Asked, when: When) -> Poll {
        fetched.readings.resize(asked.len(), Reading::FAILED);
        let (mut readings, mut batch_of) = (fetched.readings, fetched.batch_of);
        // Whoever is asked about everybody has the columns already.
        if asked.len() < self.names.len() {
            let asked_readings = readings;
            readings = vec![Reading::NOT_POLLED; self.names.len()];
            for (slot, reading) in asked.slots().zip(asked_readings) {
                readings[slot as usize] = reading;
            }
            batch_of = batch_of.moved(|place| asked.slot(place as usize));
        }
        Poll {
            source: self.setup.source.clone(),
            seq: self.memory.seq + 1,
            at: when.at,
            elapsed: when.elapsed,
            jump: when.jump,
            readings,
            batch_of,
            batches: fetched.batches,
            requests: fetched.requests,
            took: when.took,
            fault: fetched.fault,
            skew: fetched.skew,
        }
    }

    /// Takes refused names into quarantine, and out of it those that were asked again and accepted.
    pub fn quarantine(&mut self, asked: &Asked, refused: &[u32], now: Time) {
        let refused: Vec<&str> = refused
            .iter()
            .filter_map(|i| asked.slot(*i as usize))
            .map(|slot| self.names.name(slot))
            .collect();
        let since: BTreeMap<String, Time> =
            self.memory.quarantine.iter().map(|q| (q.user.clone(), q.since)).collect();
        let names = &self.names;
        let asked_again = |user: &str| names.slot(user).is_some_and(|slot| asked.contains(slot));
        let member = |user: &str| names.slot(user).is_some_and(|slot| self.member[slot as usize]);
        self.memory.quarantine.retain(|q| !asked_again(&q.user) && member(&q.user));
        for user in refused {
            let since = since.get(user).copied().unwrap_or(now);
            self.memory.quarantine.push(Quarantined {
                user: user.to_owned(),
                since,
                retry_at: now + QUARANTINE,
            });
        }
        self.memory.quarantine.sort_by(|a, b| a.user.cmp(&b.user));
    }

    pub(super) fn user(&self, slot: u32) -> Subject {
        Subject { kind: SubjectKind::User, name: self.names.name(slot).to_string() }
    }

    /// The number allowed for a subject of `plan`, and who says so.
    pub(super) fn limit(&self, plan: &Plan, index: u32) -> Option<Limit> {
        if !plan.rule.when.names_limit() {
            return None;
        }
        let (day, _) = self.today.unwrap_or_default();
        match plan.per_user() {
            true => self.setup.fleet.limit(&plan.rule, &self.setup.source, self.names.name(index), day),
            false => plan.rule.limit.map(Limit::of_rule),
        }
    }

    /// Limits depend on the day, because exceptions end.
    pub(super) fn set_day(&mut self, at: Time) {
        let day = at.to_utc().with_timezone(&self.setup.zone).date_naive();
        let today = Some((day, self.names.len()));
        if std::mem::replace(&mut self.today, today) == today {
            return;
        }
        let (fleet, source) = (&self.setup.fleet, &self.setup.source);
        self.own_limits = Vec::new();
        for (slot, name) in self.names.iter().enumerate() {
            if let Some(limit) = fleet.own_limit(source, name, day) {
                self.own_limits.resize(slot, NO_LIMIT);
                self.own_limits.push(limit.value);
            }
        }
        self.look_at_all();
    }

    /// Something changed that no reading tells.
    pub(super) fn look_at_all(&mut self) {
        self.plans.iter_mut().for_each(|plan| plan.due.all());
    }

    /// Every alert that is kept, with its key.
    pub fn alerts(&self) -> Vec<(AlertKey, Alert)> {
        let mut all = Vec::new();
        for plan in &self.plans {
            all.extend(
                plan.alerts.iter().map(|(index, alert)| (self.key(plan, *index), Alert::clone(alert))),
            );
        }
        all.extend(self.own.iter().map(|(rule, alert)| (self.own_key(rule), alert.clone())));
        all
    }

    pub(super) fn key(&self, plan: &Plan, index: u32) -> AlertKey {
        let subject = if plan.per_user() { self.user(index) } else { plan.subject(index) };
        AlertKey { rule: plan.words.name.clone(), source: Some(self.source.clone()), subject }
    }

    pub(super) fn own_key(&self, rule: &str) -> AlertKey {
        let subject = Subject { kind: SubjectKind::Source, name: self.setup.source.clone() };
        AlertKey { rule: rule.into(), source: Some(self.source.clone()), subject }
    }
}

/// When a poll was, and how long it took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct When {
    pub at: Time,
    pub elapsed: Span,
    pub jump: Option<Span>,
    pub took: Span,
}
