//! Whom groups, exceptions and rules reach among the users the file names.
//!
//! Neighbours: `Config` calls each check once everything is read. A part of its own because it is the only check
//! that multiplies users by patterns, and must stay quick with very many of both.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use globset::GlobMatcher;

use super::lint::{self, Around};
use super::section::Section;
use super::sources::Source;
use crate::engine::fleet::{Exception, Fleet, Group};
use crate::engine::lang::{Program, Signal};
use crate::engine::rule::{Per, Rule};
use crate::engine::time::{Span, Time};

/// What of the file was read without a mistake: nobody is to be told off for what rests on the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) sources: bool,
    /// Groups and exceptions.
    pub(super) fleet: bool,
}

/// Everyone the file names, with the groups they are in.
pub(super) struct Crowd<'c> {
    sources: &'c [Source],
    names: Vec<HashSet<&'c str>>,
    /// Distinct sets of groups; users share them.
    sets: Vec<Vec<String>>,
    /// For each source and user the index into `sets`, and whether group or exception give a limit.
    members: Vec<Vec<(u32, bool)>>,
    read: Read,
}

/// An exception that holds for no more days than this is told.
const SOON: i64 = 14;

impl<'c> Crowd<'c> {
    pub(super) fn new(sources: &'c [Source], fleet: &Fleet, read: Read) -> Self {
        let names = sources.iter().map(|source| source.users.iter().collect()).collect();
        let mut crowd = Crowd { sources, names, sets: Vec::new(), members: Vec::new(), read };
        let mut index: HashMap<Vec<String>, u32> = HashMap::new();
        let excepted: HashSet<(&str, Option<&str>)> = fleet
            .exceptions
            .iter()
            .filter(|e| e.limit.is_some())
            .map(|e| (e.user.as_str(), e.source.as_deref()))
            .collect();
        for source in sources {
            let mut members = Vec::with_capacity(source.users.len());
            for user in source.users.iter() {
                let (mut set, mut limited) = (Vec::new(), false);
                for group in fleet.groups_of(&source.name, user) {
                    limited |= group.limit.is_some();
                    set.push(group.name.clone());
                }
                limited |= excepted.contains(&(user, None)) || excepted.contains(&(user, Some(&source.name)));
                let next = u32::try_from(index.len()).unwrap_or(u32::MAX);
                let number = *index.entry(set).or_insert_with_key(|set| {
                    crowd.sets.push(set.clone());
                    next
                });
                members.push((number, limited));
            }
            crowd.members.push(members);
        }
        crowd
    }

    fn has(&self, source: Option<&str>, fits: impl Fn(&HashSet<&str>) -> bool) -> bool {
        let covered = |s: &Source| source.is_none_or(|name| s.name == name);
        self.sources.iter().zip(&self.names).any(|(s, names)| covered(s) && fits(names))
    }

    pub(super) fn check_group(&self, section: &Section<'_>, group: &Group) {
        let any = |names: &HashSet<&str>| group.users.iter().any(|glob| matches_any(glob, names));
        let covered = |source: &Source| group.source.as_deref().is_none_or(|name| source.name == name);
        if !group.users.is_empty() && !self.unlisted(covered) && !self.has(group.source.as_deref(), any) {
            section.warning_at("users", "matches no user of any source", None);
        }
    }

    pub(super) fn check_exception(&self, section: &Section<'_>, exception: &Exception, today: NaiveDate) {
        let user = exception.user.as_str();
        let covered = |source: &Source| exception.source.as_deref().is_none_or(|name| source.name == name);
        if !self.unlisted(covered) && !self.has(exception.source.as_deref(), |names| names.contains(user)) {
            section.warning_at("user", &format!("no source has a user {user:?}"), None);
        }
        let left = exception.days_left(today);
        let owner = &exception.owner;
        if left == 0 {
            let message = format!("has expired, on {}", exception.expires);
            section.warning_at("expires", &message, Some("remove it, or have its owner renew it"));
        } else if left <= SOON {
            let when = match left {
                1 => "today".to_owned(),
                _ => format!("{}, {left} days are left", exception.expires),
            };
            let message = format!("ends after {when} (owner {owner:?})");
            section.warning_at("expires", &message, Some("have its owner renew it, or let it end"));
        }
    }

    /// An exception that allows what its user is allowed without it, as far as the file names everybody.
    pub(super) fn check_idle(&self, section: &Section<'_>, one: &Exception, fleet: &Fleet, rules: &[Rule]) {
        let Some(limit) = one.limit.filter(|_| self.read.fleet) else { return };
        let covered =
            self.sources.iter().filter(|source| one.source.as_deref().is_none_or(|s| s == source.name));
        let mut others = Vec::new();
        for source in covered.filter(|source| source.users.slot(&one.user).is_some()) {
            let groups = fleet.groups_of(&source.name, &one.user);
            let (mut names, mut smallest) = (Vec::new(), None);
            for group in groups {
                names.push(group.name.clone());
                smallest = [smallest, group.limit].into_iter().flatten().min();
            }
            let watching = rules.iter().filter(|rule| {
                rule.scope.covers_source(&source.name)
                    && rule.scope.covers_user(&one.user, &names)
                    && rule.signals().contains(&Signal::Limit)
            });
            others.extend(watching.map(|rule| smallest.or(rule.limit)));
        }
        if !others.is_empty() && others.iter().all(|other| *other == Some(limit)) {
            let hint = "remove it, or allow more";
            section.warning_at(
                "limit",
                &format!("changes nothing: {limit} is the limit without it"),
                Some(hint),
            );
        }
    }

    /// The users of each covered source that a rule watches, with whether they have a limit of their own.
    fn reached<'r>(&'r self, rule: &'r Rule) -> impl Iterator<Item = (&'r Source, &'r str, bool)> {
        let pairs = self.sources.iter().zip(&self.members);
        let covered = pairs.filter(|(source, _)| rule.scope.covers_source(&source.name));
        let all = covered.flat_map(|(source, members)| {
            source.users.iter().zip(members).map(move |(user, (set, limited))| (source, user, *set, *limited))
        });
        all.filter(|(_, user, set, _)| rule.scope.covers_user(user, &self.sets[*set as usize]))
            .map(|(source, user, _, limited)| (source, user, limited))
    }

    pub(super) fn check_rule(
        &self,
        section: &Section<'_>,
        rule: &Rule,
        fleet: &Fleet,
        readings: Span,
        now: Time,
    ) {
        let covered = || self.sources.iter().filter(|source| rule.scope.covers_source(&source.name));
        let anyone = self.reached(rule).next().is_some();
        let unlisted = self.unlisted(|source| rule.scope.covers_source(&source.name));
        if !anyone && !unlisted && !self.sources.is_empty() {
            let place = section.own_place();
            let hint = "see its users, groups, sources and except";
            section.notes.warning(section.text, &place, "its scope matches nobody", Some(hint));
        }
        if !unlisted {
            self.check_except(section, rule);
        }
        self.check_limit(section, rule, unlisted);
        self.check_roster(section, rule);
        self.check_peers(section, rule);
        let sources: Vec<&Source> = covered().collect();
        let named = rule.per == Per::User && rule.signals().contains(&Signal::Limit);
        let limits = if named { limits(rule, fleet) } else { None };
        lint::check(section, rule, &Around { sources: &sources, readings, now, limits });
    }

    /// A pattern that leaves nobody out.
    fn check_except(&self, section: &Section<'_>, rule: &Rule) {
        for glob in &rule.scope.except {
            let of_source = |(source, names): (&Source, &HashSet<&str>)| {
                rule.scope.covers_source(&source.name) && matches_any(glob, names)
            };
            if !self.sources.iter().zip(&self.names).any(of_source) {
                let message = format!("{:?} matches no user of the rule's sources", glob.glob().glob());
                section.warning_at("except", &message, Some("see how the name is written, or remove it"));
            }
        }
    }

    /// `peers` of one are that one.
    fn check_peers(&self, section: &Section<'_>, rule: &Rule) {
        let compared = rule.signals().into_iter().find(|signal| matches!(signal, Signal::Peers(_)));
        let Some(signal) = compared.filter(|_| self.read.sources && self.read.fleet) else { return };
        let mut users: HashMap<&str, usize> = HashMap::new();
        for (source, ..) in self.reached(rule).filter(|(source, ..)| source.roster.is_none()) {
            *users.entry(&source.name).or_default() += 1;
        }
        let alone = self.sources.iter().find(|source| users.get(source.name.as_str()) == Some(&1));
        if let Some(source) = alone {
            let message = format!("{signal} compares with the rule's users, and {:?} has one", source.name);
            section.warning_at("when", &message, Some("watch more users, or compare with `usual`"));
        }
    }

    /// An exception that has expired still counts here: whether a file is valid must not change overnight.
    fn check_limit(&self, section: &Section<'_>, rule: &Rule, unlisted: bool) {
        let named = |program: &Program| program.names_limit();
        let names_limit = named(&rule.when) || rule.clear_when.as_ref().is_some_and(named);
        let unlimited = rule.limit.is_none() && !section.misspelt("limit");
        if !names_limit || !unlimited || rule.per != Per::User || !self.read.fleet {
            return;
        }
        if let Some((source, user, _)) = self.reached(rule).find(|(_, _, limited)| !limited) {
            let message = format!("uses limit, and {:?} has none", format!("{}/{user}", source.name));
            section.error_at(
                "when",
                &message,
                Some("add limit = … to the rule, or to a group with this user"),
            );
        } else if unlisted && self.read.sources {
            let message = "uses limit without a default: users on the roster who have none are never judged";
            section.warning_at("when", message, Some("add limit = … to the rule"));
        }
    }

    /// Whether a source of these has users whom the file does not name, or names in a part that was refused.
    fn unlisted(&self, covered: impl Fn(&Source) -> bool) -> bool {
        !(self.read.sources && self.read.fleet)
            || self.sources.iter().any(|source| source.roster.is_some() && covered(source))
    }

    /// `known` and `enabled` are of the roster: every source a rule covers must have one.
    fn check_roster(&self, section: &Section<'_>, rule: &Rule) {
        let covered = |source: &&Source| rule.scope.covers_source(&source.name) && source.roster.is_none();
        let Some(without) = self.sources.iter().find(covered) else { return };
        let conditions = [("when", Some(&rule.when)), ("clear_when", rule.clear_when.as_ref())];
        for (key, program) in conditions {
            let named = program.into_iter().flat_map(Program::signals);
            for signal in named.filter(|signal| matches!(signal, Signal::Known | Signal::Enabled)) {
                let message = format!("uses {signal}, and the source {:?} asks for no roster", without.name);
                let hint = "set roster = true there, or name the rule's sources = [\"…\"]";
                section.error_at(key, &message, Some(hint));
            }
        }
    }
}

/// The lowest and the highest limit that a rule may go by: its own, those of groups, of exceptions for its users. Which
/// groups its users are in is not asked: with very many users and rules that takes long.
fn limits(rule: &Rule, fleet: &Fleet) -> Option<(u32, u32)> {
    let groups: Vec<String> = fleet.groups.iter().map(|group| group.name.clone()).collect();
    let of_users = fleet.exceptions.iter().filter(|one| rule.scope.covers_user(&one.user, &groups));
    let all = fleet.groups.iter().map(|group| group.limit).chain(of_users.map(|one| one.limit));
    let all: Vec<u32> = all.chain([rule.limit]).flatten().collect();
    Some((*all.iter().min()?, *all.iter().max()?))
}

fn matches_any(glob: &GlobMatcher, names: &HashSet<&str>) -> bool {
    let text = glob.glob().glob();
    if text.contains(['*', '?', '[', '{', '\\']) {
        return names.iter().any(|name| glob.is_match(name));
    }
    names.contains(text)
}
