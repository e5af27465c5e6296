//! A rule laid out over the slots of one source: whom it covers there, its subjects, its alerts.
//!
//! Neighbours: `watch` holds one per rule, `judge` evaluates it. A part of its own because users, groups and
//! sources differ only here; everything after has subjects with an index.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alert;
use super::bits::Bits;
use super::due::Due;
use super::event::{Subject, SubjectKind};
use super::lang::Signal;
use super::names::Names;
use super::outcome::Alert;
use super::peers::Peers;
use super::reading::{Kind, Reading};
use super::rule::{AbsentMeans, Mode, Per, Rule};
use super::shared::{Shared, Words};
use super::signals::{Needs, Signals, Totals, Track};
use super::stale::Stale;
use super::time::{Span, Time};
use super::usual::Usual;
use super::watch::Setup;

/// Each apart, because a tree keeps room for more than it holds; what is written shares them.
pub(super) type Alerts = BTreeMap<u32, Arc<Alert>>;

#[derive(Clone, Debug)]
pub struct Plan {
    pub rule: Arc<Rule>,
    pub(super) words: Words,
    /// How long a value holds for this rule while readings are missing.
    pub(super) max_gap: Span,
    pub(super) subjects: Subjects,
    pub(super) peers: Peers,
    pub(super) usual: Usual,
    /// The distinct signals of its conditions.
    signals: Vec<Signal>,
    /// When to look again at users.
    pub(super) due: Due,
    /// Subjects whose alert is under way.
    pub(super) open: Bits,
    /// What the store has of them.
    pub(super) stale: Stale,
    /// By subject index: the slot of a user, or the number of a group.
    pub(super) alerts: Alerts,
}

#[derive(Clone, Debug)]
pub(super) enum Subjects {
    /// By slot.
    Users(Bits),
    Groups(Groups),
}

/// The groups a rule judges (or the source, as one group), with the totals over their members.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    kind: SubjectKind,
    pub(super) names: Vec<String>,
    /// Slots, a list per group.
    pub(super) members: Vec<Vec<u32>>,
    pub(super) totals: Totals,
}

impl Plan {
    pub fn new(rule: &Arc<Rule>, setup: &Setup, names: &Names, member: &[bool]) -> Self {
        let max_gap = setup.max_gap(rule);
        let subjects = match rule.per {
            Per::User => Subjects::Users(Bits::of(&covered(rule, setup, names, member))),
            Per::Source => {
                let covered = covered(rule, setup, names, member);
                let members = vec![slots_where(|slot| covered[slot], covered.len())];
                Subjects::Groups(Groups {
                    kind: SubjectKind::Source,
                    names: vec![setup.source.clone()],
                    members,
                    totals: Totals::new(&rule_needs(rule, max_gap)),
                })
            }
            Per::Group => {
                let (names, members) = groups(rule, setup, names, member).into_iter().unzip();
                let totals = Totals::new(&rule_needs(rule, max_gap));
                Subjects::Groups(Groups { kind: SubjectKind::Group, names, members, totals })
            }
        };
        let words = Words::of(rule);
        let signals = rule.signals();
        let (peers, due) = (Peers::new(&signals), Due::new());
        let usual = Usual::default();
        let (open, stale, alerts) = (Bits::default(), Stale::default(), BTreeMap::new());
        let rule = Arc::clone(rule);
        Self { rule, words, max_gap, subjects, peers, usual, signals, due, open, stale, alerts }
    }

    /// The plan of the same rule over other members than `old` had: its alerts go on, and so do its groups, in their
    /// order, so that what counts over polls stays where it is.
    pub(super) fn going_on(mut self, old: Self) -> Self {
        if let (Subjects::Groups(new), Subjects::Groups(old)) = (&mut self.subjects, old.subjects) {
            let (names, members) = (std::mem::take(&mut new.names), std::mem::take(&mut new.members));
            let mut fresh: BTreeMap<String, Vec<u32>> = names.iter().cloned().zip(members).collect();
            let mut take = |name: &String| fresh.remove(name).unwrap_or_default();
            new.members = old.names.iter().map(&mut take).collect();
            new.names = old.names;
            for name in names {
                if let Some(members) = fresh.remove(&name) {
                    new.names.push(name);
                    new.members.push(members);
                }
            }
            new.totals = old.totals;
        }
        self.usual = old.usual;
        (self.alerts, self.open, self.stale) = (old.alerts, old.open, old.stale);
        self
    }

    /// What the rule asks of the source's per-user signals.
    pub(super) fn add_needs(&self, needs: &mut Needs) {
        let of_rule = rule_needs(&self.rule, self.max_gap);
        match self.subjects {
            Subjects::Users(_) => {
                for signal in self.rule.signals() {
                    needs.add(signal, track(self.rule.absent), self.max_gap);
                }
                // Holes are counted on the track where what is absent is known.
                needs.add(Signal::Online, known_track(self.rule.absent), self.max_gap);
            }
            Subjects::Groups(_) => needs.add_members(&of_rule),
        }
    }

    pub(super) fn total_needs(&self) -> Needs {
        rule_needs(&self.rule, self.max_gap)
    }

    /// Adds up a poll that `users` has just observed.
    pub(super) fn observe(&mut self, users: &Signals, usable: bool) {
        match &mut self.subjects {
            Subjects::Groups(Groups { members, totals, .. }) => totals.observe(users, members, usable),
            Subjects::Users(_) if self.peers.are_asked() => {
                let slots = 0..u32::try_from(users.len()).unwrap_or(u32::MAX);
                let of = |slot| self.counted(users.reading(slot));
                let counts = slots.filter(|slot| self.covers(*slot)).filter_map(of).collect();
                let before = self.peers.clone();
                self.peers.observe(counts);
                if self.peers != before {
                    self.due.all();
                }
            }
            Subjects::Users(_) => {}
        }
    }

    /// What the last poll said of a subject; a total that is not known has *failed*.
    pub(super) fn reading(&self, index: u32, users: &Signals) -> Reading {
        match &self.subjects {
            Subjects::Users(_) => users.reading(index),
            Subjects::Groups(Groups { totals, .. }) => totals
                .total(index, track(self.rule.absent), self.max_gap)
                .map_or(Reading::FAILED, Reading::online),
        }
    }

    /// Of a group or source without a total: how many members keep it from having one.
    pub(super) fn missing(&self, index: u32, users: &Signals) -> Option<usize> {
        let Subjects::Groups(Groups { members, totals, .. }) = &self.subjects else { return None };
        let slots = members.get(index as usize)?;
        totals.missing(users, index, slots, track(self.rule.absent), self.max_gap)
    }

    /// Whether a reading tells this rule something.
    pub(super) fn known(&self, reading: Reading) -> bool {
        match reading.kind() {
            Kind::Online(_) => true,
            Kind::Absent => self.rule.absent != AbsentMeans::Hold,
            Kind::Failed | Kind::NotPolled => false,
        }
    }

    /// Whether a condition of the rule names a signal of this kind.
    pub(super) fn names(&self, kind: impl Fn(&Signal) -> bool) -> bool {
        self.signals.iter().any(kind)
    }

    /// A user's count among peers: absent is zero where the rule says so.
    fn counted(&self, reading: Reading) -> Option<u32> {
        match reading.kind() {
            Kind::Online(count) => Some(count),
            Kind::Absent => (self.rule.absent == AbsentMeans::Zero).then_some(0),
            Kind::Failed | Kind::NotPolled => None,
        }
    }

    /// The clock at which the subject was last known, before the last poll.
    pub(super) fn known_before(&self, index: u32, users: &Signals) -> Option<Span> {
        match &self.subjects {
            Subjects::Users(_) => users.known_before(index, known_track(self.rule.absent)),
            Subjects::Groups(Groups { totals, .. }) => {
                totals.known_before(index, track(self.rule.absent), self.max_gap)
            }
        }
    }

    /// The channels its alerts are told to; none while it runs in the shadow.
    pub(super) fn channels(&self) -> Shared<String> {
        if self.rule.mode == Mode::Shadow { Shared::default() } else { self.rule.notify.clone() }
    }

    /// Whether the rule looks at all at a poll of this instant.
    pub(super) fn inside(&self, at: Time) -> bool {
        self.rule.during.as_ref().is_none_or(|calendar| calendar.contains(at))
    }

    /// Takes an alert that something else than a poll changed; the next poll looks at its subject.
    pub(super) fn put(&mut self, index: u32, alert: Arc<Alert>) {
        self.follow(index, &alert);
        self.due.soon(index);
        self.stale.unsure(index);
        if alert::is_blank(&alert) {
            self.alerts.remove(&index);
        } else {
            self.alerts.insert(index, alert);
        }
    }

    /// Notes whether an alert that changed is under way now.
    pub(super) fn follow(&mut self, index: u32, alert: &Alert) {
        if alert::rests(alert) {
            self.open.remove(index);
        } else {
            self.open.insert(index);
        }
    }

    pub(super) fn per_user(&self) -> bool {
        matches!(self.subjects, Subjects::Users(_))
    }

    pub(super) fn covers(&self, index: u32) -> bool {
        match &self.subjects {
            Subjects::Users(covered) => covered.contains(index),
            Subjects::Groups(Groups { names, .. }) => (index as usize) < names.len(),
        }
    }

    /// Whether the readings of the user at `slot` count for this rule: as a subject, or as a member of one.
    pub fn counts(&self, slot: u32) -> bool {
        match &self.subjects {
            Subjects::Users(_) => self.covers(slot),
            Subjects::Groups(Groups { members, .. }) => {
                members.iter().any(|slots| slots.binary_search(&slot).is_ok())
            }
        }
    }

    /// The subjects of whom this poll may say something else than the last one that was judged, ascending: those that
    /// the rule covers, and those whose alert is under way. `turned` are users whose reading is another; `slots` is how
    /// many there are.
    pub(super) fn take_due(
        &mut self,
        turned: &[(u32, Reading)],
        slots: usize,
        clock: Span,
        elapsed: Span,
    ) -> Vec<u32> {
        let width = self.width(slots);
        // After a pause nothing goes on as it was foreseen.
        if !self.per_user() || elapsed > self.max_gap {
            self.due.all();
        }
        let mut due: Vec<u32> = Vec::new();
        if self.due.take_all() {
            due.extend(0..width);
            due.extend(self.open.iter().filter(|index| *index >= width));
        } else {
            due.extend(turned.iter().map(|(slot, _)| *slot));
            self.due.take(clock, &mut due);
            due.sort_unstable();
            due.dedup();
        }
        due.retain(|index| self.open.contains(*index) || *index < width && self.covers(*index));
        due
    }

    /// Indices run from 0 to this.
    pub(super) fn width(&self, slots: usize) -> u32 {
        let width = match &self.subjects {
            Subjects::Users(_) => slots,
            Subjects::Groups(Groups { names, .. }) => names.len(),
        };
        u32::try_from(width).unwrap_or(u32::MAX)
    }

    /// How many subjects the rule has here.
    pub fn size(&self) -> u32 {
        match &self.subjects {
            Subjects::Users(covered) => covered.len(),
            Subjects::Groups(Groups { names, .. }) => u32::try_from(names.len()).unwrap_or(u32::MAX),
        }
    }

    /// The rule's name, if its totals turned more often than there is room for.
    pub(super) fn cut(&self) -> Option<String> {
        let Subjects::Groups(groups) = &self.subjects else { return None };
        groups.totals.is_cut().then(|| self.rule.name.clone())
    }

    /// The subject of a group or source rule.
    pub(super) fn subject(&self, index: u32) -> Subject {
        match &self.subjects {
            Subjects::Users(_) => Subject { kind: SubjectKind::User, name: String::new() },
            Subjects::Groups(Groups { kind, names, .. }) => {
                Subject { kind: *kind, name: names[index as usize].clone() }
            }
        }
    }

    pub(super) fn index_of(&self, subject: &Subject, users: &Names) -> Option<u32> {
        match &self.subjects {
            Subjects::Users(_) => (subject.kind == SubjectKind::User).then(|| users.slot(&subject.name))?,
            Subjects::Groups(Groups { kind, names, .. }) => {
                let index = names.iter().position(|n| *n == subject.name && subject.kind == *kind)?;
                u32::try_from(index).ok()
            }
        }
    }
}

/// Absent means zero online in one track of the signals, and nothing at all in the other.
pub(super) const fn track(absent: AbsentMeans) -> Track {
    match absent {
        AbsentMeans::Zero => Track::AbsentZero,
        AbsentMeans::Hold | AbsentMeans::Breach => Track::AbsentHeld,
    }
}

/// The track on which a hole ends: absent is known to a rule that says what it means.
const fn known_track(absent: AbsentMeans) -> Track {
    match absent {
        AbsentMeans::Hold => Track::AbsentHeld,
        AbsentMeans::Zero | AbsentMeans::Breach => Track::AbsentZero,
    }
}

fn rule_needs(rule: &Rule, max_gap: Span) -> Needs {
    let mut needs = Needs::default();
    needs.add(
        if rule.per == Per::User { Signal::Online } else { Signal::Total },
        track(rule.absent),
        max_gap,
    );
    for signal in rule.signals() {
        needs.add(signal, track(rule.absent), max_gap);
    }
    needs
}

/// The members a rule watches, by slot.
fn covered(rule: &Rule, setup: &Setup, names: &Names, member: &[bool]) -> Vec<bool> {
    let by_group = !rule.scope.groups.is_empty();
    let covers = |(name, member): (&str, &bool)| {
        let groups: Vec<String> = match by_group {
            true => setup.fleet.groups_of(&setup.source, name).map(|group| group.name.clone()).collect(),
            false => Vec::new(),
        };
        *member && rule.scope.covers_user(name, &groups)
    };
    names.iter().zip(member).map(covers).collect()
}

/// The groups a `per = "group"` rule judges in this source, each with its members' slots. Named groups, or all that
/// have a member here.
fn groups(rule: &Rule, setup: &Setup, names: &Names, member: &[bool]) -> Vec<(String, Vec<u32>)> {
    let here = |source: &Option<String>| source.as_deref().is_none_or(|s| s == setup.source);
    let wanted = |name: &String| rule.scope.groups.is_empty() || rule.scope.groups.contains(name);
    let mut all = Vec::new();
    for group in setup.fleet.groups.iter().filter(|group| here(&group.source) && wanted(&group.name)) {
        let belongs = |slot: usize| {
            let name = names.name(u32::try_from(slot).unwrap_or(u32::MAX));
            member[slot]
                && group.users.iter().any(|glob| glob.is_match(name))
                && !rule.scope.except.iter().any(|glob| glob.is_match(name))
        };
        let slots = slots_where(belongs, names.len());
        if !slots.is_empty() || rule.scope.groups.contains(&group.name) {
            all.push((group.name.clone(), slots));
        }
    }
    all
}

fn slots_where(keep: impl Fn(usize) -> bool, len: usize) -> Vec<u32> {
    (0..len).filter(|slot| keep(*slot)).filter_map(|slot| u32::try_from(slot).ok()).collect()
}
