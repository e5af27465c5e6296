//! The users an instance says it has: a whole list, and what a watch holds of it for each slot.
//!
//! Neighbours: a source brings a [`Roster`], `watch` takes it in and keeps it, conditions ask by `known` and `enabled`.
//! A part of its own because a name on the roster is a member like a listed one, and leaves when the roster says so.

use std::sync::Arc;

use super::lang::{Line, Signal};
use super::names::Names;
use super::plan::Plan;
use super::time::Time;
use super::watch::Watch;

/// Everybody an instance knows, whole: a list of which a part is missing is no roster.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Roster {
    /// When it was asked for.
    pub at: Time,
    /// Each name once, with whether it is enabled, where that was said.
    pub users: Vec<(Arc<str>, Option<bool>)>,
}

/// What the last roster says of a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Listed {
    #[default]
    No,
    Enabled,
    Disabled,
    /// On it, without a word on whether it is enabled.
    Unsaid,
}

impl Listed {
    const fn of(enabled: Option<bool>) -> Self {
        match enabled {
            Some(true) => Self::Enabled,
            Some(false) => Self::Disabled,
            None => Self::Unsaid,
        }
    }

    /// What a signal is for this name: 1, 0, or NaN where nothing is said.
    fn value(self, signal: Signal) -> f64 {
        match (signal, self) {
            (Signal::Known, Self::No) => 0.0,
            (Signal::Known, Self::Enabled | Self::Disabled | Self::Unsaid) => 1.0,
            (_, Self::Enabled) => 1.0,
            (_, Self::Disabled) => 0.0,
            (_, Self::No | Self::Unsaid) => f64::NAN,
        }
    }
}

impl Watch {
    /// Takes a new roster in: names it brings get slots, names it no longer has leave unless the rules file lists
    /// them. Alerts of who left end at the next poll. To be saved with the next poll, like new names.
    pub fn take_roster(&mut self, roster: &Roster) {
        let mut column = vec![Listed::No; self.names.len()];
        for (name, enabled) in &roster.users {
            let slot = slot_of(&mut self.names, name);
            column.resize(self.names.len(), Listed::No);
            column[slot] = Listed::of(*enabled);
        }
        self.memory.roster_at = Some(roster.at);
        let same = |before: &Vec<Listed>| {
            let gone = before.get(column.len()..).unwrap_or_default();
            let padding = std::iter::repeat(&Listed::No);
            column.iter().eq(before.iter().chain(padding).take(column.len()))
                && gone.iter().all(|listed| *listed == Listed::No)
        };
        if self.roster.as_ref().is_some_and(same) {
            return;
        }
        self.roster_is_new = true;
        self.put_roster(column);
    }

    /// The roster by slot, as the store keeps it.
    fn put_roster(&mut self, column: Vec<Listed>) {
        self.roster = Some(column);
        self.look_at_all();
        self.last.grow(self.names.len(), super::reading::Reading::NOT_POLLED);
        let member = members(&self.setup.users, self.roster.as_deref(), &mut self.names);
        self.put_members(member);
    }

    /// Whom the rules are about from the next poll on, by slot.
    pub fn put_members(&mut self, member: Vec<bool>) {
        if member != self.member {
            self.member = member;
            self.lay_out();
        }
    }

    /// Begins anew with nobody, for a past whose members are still to come: a group that never had one is none then.
    pub(super) fn put_nobody(&mut self) {
        self.roster = None;
        self.member.fill(false);
        let plan = |rule| Plan::new(rule, &self.setup, &self.names, &self.member);
        self.plans = self.setup.rules.iter().map(plan).collect();
    }

    /// The roster, if the next poll is to carry it to the store.
    pub(super) fn new_roster(&self) -> Option<Vec<Listed>> {
        self.roster.clone().filter(|_| self.roster_is_new)
    }

    /// Whether a roster ever arrived.
    pub fn has_roster(&self) -> bool {
        self.roster.is_some()
    }

    /// Fills a column of `known` or `enabled`; no value before the first roster.
    pub(super) fn fill_roster(&self, signal: Signal, slots: &[u32], out: &mut [Line]) {
        for (slot, out) in slots.iter().zip(out) {
            let listed = self.roster.as_ref().map(|roster| roster.get(*slot as usize).copied());
            *out = Line::still(listed.map_or(f64::NAN, |listed| listed.unwrap_or_default().value(signal)));
        }
    }

    /// Plans over other members than before; alerts and totals go on.
    fn lay_out(&mut self) {
        for old in std::mem::take(&mut self.plans) {
            let new = Plan::new(&old.rule, &self.setup, &self.names, &self.member);
            self.plans.push(new.going_on(old));
        }
    }
}

/// Who is to be asked about, by slot: the listed and those on the roster.
pub(super) fn members(listed: &Names, roster: Option<&[Listed]>, names: &mut Arc<Names>) -> Vec<bool> {
    let on = |listed: &Listed| *listed != Listed::No;
    let mut member: Vec<bool> = roster.unwrap_or_default().iter().map(on).collect();
    member.resize(names.len().max(member.len()), false);
    for user in listed.iter() {
        let slot = slot_of(names, user);
        member.resize(names.len().max(member.len()), false);
        member[slot] = true;
    }
    member
}

/// Names are copied from those of the rules file when the first other one comes.
fn slot_of(names: &mut Arc<Names>, name: &str) -> usize {
    let known = names.slot(name);
    known.unwrap_or_else(|| Arc::make_mut(names).slot_or_add(name)) as usize
}
