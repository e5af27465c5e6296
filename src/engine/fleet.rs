//! Who is watched: groups, limits, exceptions, and the slots that names keep for ever.
//!
//! Neighbours: `config` gives groups and exceptions, `judge` asks which rule covers whom with which limit. A part
//! of its own because "which limit, and who says so" must have one answer for alerts, mails and commands.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::NaiveDate;
use globset::GlobMatcher;

use super::event::Limit;
use super::rule::Rule;

/// A `[[group]]` of the rules file.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    pub users: Vec<GlobMatcher>,
    /// Only in this source, where given.
    pub source: Option<String>,
    pub limit: Option<u32>,
    pub labels: BTreeMap<String, String>,
}

/// An `[[exception]]` of the rules file: a known, owned, dated deviation for one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    pub user: String,
    pub source: Option<String>,
    pub limit: Option<u32>,
    pub reason: String,
    pub owner: String,
    /// The last day it holds, in the agent's zone.
    pub expires: NaiveDate,
}

/// The groups and exceptions of the rules file, in its order.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    pub groups: Vec<Group>,
    pub exceptions: Vec<Exception>,
}

/// The names of one source. A slot is a name's index; names are only ever added.
#[derive(Clone, Debug, Default)]
pub struct Names {
    names: Vec<Arc<str>>,
    slots: HashMap<Arc<str>, u32>,
}

impl Names {
    /// From the store, in the order of their slots.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut all = Self::default();
        for name in names {
            all.slot_or_add(&name);
        }
        all
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub fn slot(&self, name: &str) -> Option<u32> {
        self.slots.get(name).copied()
    }

    pub fn slot_or_add(&mut self, name: &str) -> u32 {
        if let Some(slot) = self.slots.get(name) {
            return *slot;
        }
        let slot = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.slots.insert(name, slot);
        slot
    }

    /// Panics for a slot that was never given out: a bug, not bad input.
    pub fn name(&self, slot: u32) -> &Arc<str> {
        &self.names[slot as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.iter()
    }
}

impl Fleet {
    /// The groups of `user` in `source`, in the file's order.
    pub fn groups_of<'a>(&'a self, source: &'a str, user: &'a str) -> impl Iterator<Item = &'a Group> {
        self.groups.iter().filter(move |group| {
            group.source.as_deref().is_none_or(|s| s == source)
                && group.users.iter().any(|g| g.is_match(user))
        })
    }

    /// The exception for `user` in `source` that still holds on `today`; one that names the source goes first.
    pub fn exception(&self, source: &str, user: &str, today: NaiveDate) -> Option<&Exception> {
        let holds = |e: &&Exception| e.user == user && e.expires >= today;
        let mut of_user = self.exceptions.iter().filter(holds);
        of_user
            .clone()
            .find(|e| e.source.as_deref() == Some(source))
            .or_else(|| of_user.find(|e| e.source.is_none()))
    }

    /// The limit of the user's own: the exception's, else the smallest of the user's groups.
    pub fn own_limit(&self, source: &str, user: &str, today: NaiveDate) -> Option<Limit> {
        let exception = self.exception(source, user, today).and_then(|e| e.limit);
        if let Some(value) = exception {
            return Some(Limit { value, origin: format!("exception:{user}") });
        }
        let groups = self.groups_of(source, user).filter_map(|g| g.limit.map(|limit| (limit, &g.name)));
        let (value, name) = groups.min_by_key(|(limit, _)| *limit)?;
        Some(Limit { value, origin: format!("group:{name}") })
    }

    /// The number allowed for `user` under `rule`: the user's own limit, else the rule's.
    pub fn limit(&self, rule: &Rule, source: &str, user: &str, today: NaiveDate) -> Option<Limit> {
        let of_rule = || rule.limit.map(|value| Limit { value, origin: "rule".to_owned() });
        self.own_limit(source, user, today).or_else(of_rule)
    }
}
