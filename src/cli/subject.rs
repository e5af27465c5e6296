//! Whom a rule and a name on the command line mean: a user, a group or a source, and where.
//!
//! Neighbours: `why_not` asks; `history` finds users, `pick` answers names that nobody knows. A part of its own because
//! one word means another thing for each kind of rule.

use super::{Failure, history, pick, print};
use crate::config::{Config, Source};
use crate::engine::event::{Subject, SubjectKind};
use crate::engine::rule::{Per, Rule};
use crate::store::Reader;

/// A subject, and the source it is in.
pub(super) struct Meant {
    pub(super) source: String,
    pub(super) subject: Subject,
}

pub(super) fn meant(config: &Config, reader: &Reader, rule: &Rule, name: &str) -> Result<Meant, Failure> {
    match rule.per {
        Per::User => {
            let (source, user) = history::find(config, reader, name, None)?;
            Ok(Meant { source, subject: Subject { kind: SubjectKind::User, name: user } })
        }
        Per::Group => group(config, rule, name),
        Per::Source => {
            let source = pick::sources(config, Some(name))?.first().map(|source| source.name.clone());
            let source = source.unwrap_or_default();
            let subject = Subject { kind: SubjectKind::Source, name: source.clone() };
            Ok(Meant { source, subject })
        }
    }
}

/// A `group`, or `source/group`.
fn group(config: &Config, rule: &Rule, name: &str) -> Result<Meant, Failure> {
    let known = |name: &str| config.fleet.groups.iter().any(|group| group.name == name);
    let (of, group) = match name.split_once('/') {
        Some((of, group)) if !known(name) => (Some(of), group),
        _ => (None, name),
    };
    if !known(group) {
        let groups = config.fleet.groups.iter().map(|group| group.name.as_str());
        return Err(pick::unknown("group", group, groups));
    }
    let wanted =
        |source: &&Source| of.map_or_else(|| rule.scope.covers_source(&source.name), |of| of == source.name);
    let member =
        |source: &Source, user: &str| config.fleet.groups_of(&source.name, user).any(|one| one.name == group);
    let here = |source: &&Source| source.users.iter().any(|user| member(source, user));
    let all: Vec<&Source> = config.sources.iter().filter(wanted).collect();
    let peopled: Vec<&Source> = all.iter().copied().filter(here).collect();
    let fits = if peopled.is_empty() { all } else { peopled };
    let names = || config.sources.iter().map(|source| source.name.as_str());
    let subject = Subject { kind: SubjectKind::Group, name: group.to_owned() };
    match &fits[..] {
        [source] => Ok(Meant { source: source.name.clone(), subject }),
        [] => Err(pick::unknown("source", of.unwrap_or_default(), names())),
        [..] => {
            let written: Vec<String> =
                fits.iter().map(|source| print::name(&format!("{}/{group}", source.name))).collect();
            Err(Failure::usage(format!(
                "group {group:?} is in several sources: write {}",
                written.join(" or ")
            )))
        }
    }
}
