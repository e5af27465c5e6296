//! Whom each rule covers with which limit, worked out from the rules file as the agent works it out.
//!
//! Neighbours: `check`, `rules list` and `users` print it; `engine` lays rules out over users. A part of its own
//! because the three must agree with each other and with what the agent does.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::agent::setup;
use crate::config::{Config, Source};
use crate::engine::event::Limit;
use crate::engine::fleet::Fleet;
use crate::engine::lang::Program;
use crate::engine::plan::Plan;
use crate::engine::rule::{Per, Rule};
use crate::engine::time::Time;

/// The rules that cover one source, laid out over the users the file names there.
pub(super) struct Coverage<'c> {
    pub(super) source: &'c Source,
    pub(super) plans: Vec<Plan>,
    /// For each user, in the order of the source, the limit of the user's own.
    own: Vec<Option<Limit>>,
}

/// So many users have this limit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct LimitShare {
    pub(super) value: u32,
    /// As in a `limit` elsewhere.
    pub(super) origin: String,
    pub(super) users: usize,
}

/// The number allowed for a user, and who says so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct UserLimit {
    pub(super) value: u32,
    pub(super) origin: String,
    /// The rule whose limit it is, where it is a rule's.
    pub(super) rule: Option<String>,
}

/// Every source of the file. Exceptions hold or not as of `now`.
pub(super) fn of_file(config: &Config, now: Time) -> Vec<Coverage<'_>> {
    let fleet = Arc::new(config.fleet.clone());
    config.sources.iter().map(|source| of_source(config, source, &fleet, now)).collect()
}

fn of_source<'c>(config: &Config, source: &'c Source, fleet: &Arc<Fleet>, now: Time) -> Coverage<'c> {
    let today = now.to_utc().with_timezone(&config.agent.timezone).date_naive();
    let setup = setup(config, source, fleet, "");
    let names = &source.users;
    let member = vec![true; names.len()];
    let plans = setup.rules.iter().map(|rule| Plan::new(rule, &setup, names, &member)).collect();
    let own = source.users.iter().map(|user| fleet.own_limit(&source.name, user, today)).collect();
    Coverage { source, plans, own }
}

/// Whether either condition of a rule names the limit of a user.
fn uses_limit(rule: &Rule) -> bool {
    let clear = rule.clear_when.as_ref().is_some_and(Program::names_limit);
    rule.per == Per::User && (rule.when.names_limit() || clear)
}

impl Coverage<'_> {
    /// Users by index, which is their slot here.
    pub(super) fn slots(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.source.users.len()).unwrap_or(u32::MAX)
    }

    /// The rules for which the user's readings count.
    pub(super) fn rules_of(&self, slot: u32) -> impl Iterator<Item = &Rule> {
        self.plans.iter().filter(move |plan| plan.counts(slot)).map(|plan| &*plan.rule)
    }

    /// The user's own limit; else the smallest that a rule over the user states.
    pub(super) fn limit(&self, slot: u32) -> Option<UserLimit> {
        if let Some(Some(Limit { value, origin, .. })) = self.own.get(slot as usize) {
            return Some(UserLimit { value: *value, origin: origin.to_string(), rule: None });
        }
        let of_rules = self.rules_of(slot).filter(|rule| uses_limit(rule));
        let (value, name) = of_rules.filter_map(|rule| Some((rule.limit?, &rule.name))).min()?;
        Some(UserLimit { value, origin: "rule".to_owned(), rule: Some(name.clone()) })
    }

    /// The number allowed for a user under a rule that covers the user; None where the rule names no limit.
    pub(super) fn limit_under(&self, rule: &Rule, slot: u32) -> Option<Limit> {
        if !uses_limit(rule) {
            return None;
        }
        let own = self.own.get(slot as usize).and_then(Clone::clone);
        own.or_else(|| rule.limit.map(Limit::of_rule))
    }

    /// Whether the instance says who else is a subject of the rule.
    pub(super) fn asks_roster(&self, rule: &Rule) -> bool {
        self.source.roster.is_some() && rule.per != Per::Source
    }

    /// How many users have which limit under a rule, the most first; empty for a rule that names no limit.
    pub(super) fn limits(&self, plan: &Plan) -> Vec<LimitShare> {
        let mut shares: BTreeMap<(u32, String), usize> = BTreeMap::new();
        for slot in self.slots().filter(|slot| uses_limit(&plan.rule) && plan.counts(*slot)) {
            if let Some(limit) = self.limit_under(&plan.rule, slot) {
                *shares.entry((limit.value, limit.origin.to_string())).or_default() += 1;
            }
        }
        shared(shares)
    }
}

/// The most users first.
fn shared(shares: BTreeMap<(u32, String), usize>) -> Vec<LimitShare> {
    let share = |((value, origin), users)| LimitShare { value, origin, users };
    let mut shares: Vec<LimitShare> = shares.into_iter().map(share).collect();
    shares.sort_by(|a, b| (b.users, a.value, &a.origin).cmp(&(a.users, b.value, &b.origin)));
    shares
}

/// The limits of a rule in all sources.
pub(super) fn together(limits: impl IntoIterator<Item = LimitShare>) -> Vec<LimitShare> {
    let mut shares: BTreeMap<(u32, String), usize> = BTreeMap::new();
    for LimitShare { value, origin, users } in limits {
        *shares.entry((value, origin)).or_default() += users;
    }
    shared(shares)
}

/// More than this many different limits are counted.
const MOST_LIMITS: usize = 4;

/// `2 (rule) for 118, 6 (exception lobby-kiosk) for 1`.
pub(super) fn limits(shares: &[LimitShare]) -> String {
    if shares.is_empty() {
        return "-".to_owned();
    }
    // One more takes no more room than to count it.
    let most = if shares.len() == MOST_LIMITS + 1 { shares.len() } else { MOST_LIMITS };
    let shown = shares
        .iter()
        .take(most)
        .map(|share| format!("{} ({}) for {}", share.value, share.origin.replacen(':', " ", 1), share.users));
    let (rest, more) = (shares.get(most..).unwrap_or_default(), |n| super::print::count(n, "user"));
    let users = || rest.iter().map(|share| share.users).sum();
    let more = (!rest.is_empty()).then(|| format!("{} other limits for {}", rest.len(), more(users())));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}

/// `120 users`, `3 groups`, `the source`; where a roster `adds` more, and nobody knows yet whom, that too.
pub(super) fn subjects(rule: &Rule, n: usize, adds: bool) -> String {
    let listed = match rule.per {
        Per::User => "whoever is on the roster",
        Per::Group | Per::Source => "the groups of whoever is on the roster",
    };
    match (adds, n) {
        (false, _) => known(rule, n),
        (true, 0) => listed.to_owned(),
        (true, _) => format!("{} and {listed}", known(rule, n)),
    }
}

fn known(rule: &Rule, n: usize) -> String {
    match rule.per {
        Per::User => super::print::count(n, "user"),
        Per::Group => super::print::count(n, "group"),
        Per::Source if n == 1 => "the source".to_owned(),
        Per::Source => super::print::count(n, "source"),
    }
}

/// A rule's scope in words with whom it reaches: `everyone: 120 users`, `the source`, `the source (users ext-*)`.
pub(super) fn reach(rule: &Rule, n: usize, adds: bool) -> String {
    let (scope, subjects) = (scope(rule), subjects(rule, n, adds));
    match rule.per {
        Per::Group | Per::Source if scope == EVERYONE => subjects,
        Per::Source => format!("{subjects} ({scope})"),
        Per::User | Per::Group => format!("{scope}: {subjects}"),
    }
}

const EVERYONE: &str = "everyone";

/// A rule's scope in words, as the file states it.
pub(super) fn scope(rule: &Rule) -> String {
    let globs = |list: &[globset::GlobMatcher]| {
        list.iter().map(|glob| glob.glob().to_string()).collect::<Vec<_>>().join(", ")
    };
    let scope = &rule.scope;
    let mut parts = Vec::new();
    if !scope.users.is_empty() {
        parts.push(format!("users {}", globs(&scope.users)));
    }
    if !scope.groups.is_empty() {
        parts.push(format!("groups {}", scope.groups.join(", ")));
    }
    if parts.is_empty() {
        parts.push(EVERYONE.to_owned());
    }
    let mut text = parts.join(" and ");
    if !scope.sources.is_empty() {
        text = format!("{text} in {}", scope.sources.join(", "));
    }
    if !scope.except.is_empty() {
        text = format!("{text} except {}", globs(&scope.except));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_most_have_are_named_and_the_rest_counted() {
        let shares = |n: u32| -> Vec<LimitShare> {
            let one = |value| LimitShare { value, origin: "rule".to_owned(), users: 1 };
            (1..=n).map(one).collect()
        };
        assert_eq!(limits(&shares(0)), "-");
        assert!(limits(&shares(5)).ends_with("4 (rule) for 1, 5 (rule) for 1"));
        assert!(limits(&shares(6)).ends_with("4 (rule) for 1, 2 other limits for 2 users"));
    }
}
