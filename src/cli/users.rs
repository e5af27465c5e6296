//! `seatwatch users`: every watched user with the last reading, the limit, groups and rules.
//!
//! Neighbours: `coverage` says who is watched and with which limit, the store what was read last. A part of its own
//! because other programs read its list.

use std::collections::{BTreeSet, HashMap};

use globset::{GlobBuilder, GlobMatcher};
use serde::Serialize;

use super::coverage::{self, Coverage, UserLimit};
use super::{Common, Exit, Failure, open, print, when};
use crate::config::Config;
use crate::config::section::suggest;
use crate::engine::event::Limit;
use crate::engine::fleet::Fleet;
use crate::engine::reading::{Kind, Reading};
use crate::engine::rule::Rule;
use crate::engine::time::Time;
use crate::store::{Reader, StoreError};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Only users of this source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only users whose name matches, such as 'ext-*'
    #[arg(long, value_name = "GLOB")]
    user: Option<String>,
}

/// One object of `users --json`.
#[derive(Serialize)]
struct Listed {
    source: String,
    user: String,
    reading: &'static str,
    online: Option<u32>,
    /// Of the source's last poll.
    at: Option<Time>,
    limit: Option<UserLimit>,
    groups: Vec<String>,
    rules: Vec<String>,
    /// What each rule that names a limit allows this user.
    limits: Vec<UnderRule>,
    quarantined: bool,
}

/// The number a rule allows a user, and who says so.
#[derive(Serialize)]
struct UnderRule {
    rule: String,
    value: u32,
    origin: String,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let (config, reader) = open::reader(common)?;
    if let Some(source) = &args.source {
        known_source(&config, source)?;
    }
    let glob = args.user.as_deref().map(pattern).transpose()?;
    let wanted = |user: &str| glob.as_ref().is_none_or(|glob| glob.is_match(user));
    let mut users = Vec::new();
    for coverage in coverage::of_file(&config, crate::agent::clock::now()) {
        if args.source.as_ref().is_none_or(|source| *source == coverage.source.name) {
            users.extend(of_source(&coverage, &config.fleet, &reader, &wanted)?);
        }
    }
    if common.json {
        print::json(&users)?;
    } else if users.is_empty() {
        print::line("No user is watched there.");
    } else {
        table(&config, &users);
    }
    Ok(Exit::Fine)
}

/// Refuses a source that the rules file does not have.
pub(super) fn known_source(config: &Config, name: &str) -> Result<(), Failure> {
    let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    let hint =
        suggest(name, names.iter().copied()).unwrap_or_else(|| format!("there is {}", names.join(", ")));
    Err(Failure::usage(format!("--source: the rules file has no source {name:?}; {hint}")))
}

fn pattern(text: &str) -> Result<GlobMatcher, Failure> {
    let glob = GlobBuilder::new(text).build();
    let glob = glob.map_err(|error| {
        let kind = error.kind();
        Failure::usage(format!("--user: {text:?} is not a pattern: {kind}; * stands for any text"))
    })?;
    Ok(glob.compile_matcher())
}

fn of_source(
    coverage: &Coverage<'_>,
    fleet: &Fleet,
    reader: &Reader,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Listed>, StoreError> {
    let source = coverage.source.name.as_str();
    let loaded = reader.load_source(source)?;
    let readings = if loaded.memory.seq > 0 { reader.last_readings(source)? } else { Vec::new() };
    let last: HashMap<&str, Reading> = loaded.names.iter().zip(readings).collect();
    let held: BTreeSet<&str> = loaded.memory.quarantine.iter().map(|q| q.user.as_str()).collect();
    let users = (0u32..).zip(coverage.source.users.iter()).filter(|(_, user)| wanted(user));
    let listed = users.map(|(slot, user)| {
        // A name that the file gained since the last poll has no reading.
        let reading = last.get(user).copied();
        Listed {
            source: source.to_owned(),
            user: user.to_string(),
            reading: reading.unwrap_or_default().word(),
            online: reading.and_then(Reading::count),
            at: reading.and(loaded.memory.last_at),
            limit: coverage.limit(slot),
            groups: fleet.groups_of(source, user).map(|group| group.name.clone()).collect(),
            rules: coverage.rules_of(slot).map(|rule| rule.name.clone()).collect(),
            limits: coverage.rules_of(slot).filter_map(|rule| under(coverage, rule, slot)).collect(),
            quarantined: held.contains(user),
        }
    });
    Ok(listed.collect())
}

fn under(coverage: &Coverage<'_>, rule: &Rule, slot: u32) -> Option<UnderRule> {
    let Limit { value, origin, .. } = coverage.limit_under(rule, slot)?;
    Some(UnderRule { rule: rule.name.clone(), value, origin: origin.to_string() })
}

/// A reading in one word.
pub(super) fn shown(reading: Reading) -> String {
    match reading.kind() {
        Kind::Online(count) => count.to_string(),
        Kind::Absent | Kind::Failed | Kind::NotPolled => reading.word().replace('-', " "),
    }
}

fn table(config: &Config, users: &[Listed]) {
    let limit = |limit: &UserLimit| match &limit.rule {
        Some(rule) => format!("{} (rule {rule})", limit.value),
        None => format!("{} ({})", limit.value, limit.origin.replacen(':', " ", 1)),
    };
    let rule = |user: &Listed, rule: &String| match user.limits.iter().find(|limit| limit.rule == *rule) {
        Some(limit) => format!("{rule} at {} ({})", limit.value, limit.origin.replacen(':', " ", 1)),
        None => rule.clone(),
    };
    let list = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
    let row = |user: &Listed| {
        let reading = match (user.quarantined, user.online) {
            (true, _) => "quarantined".to_owned(),
            (false, Some(online)) => online.to_string(),
            (false, None) => user.reading.replace('-', " "),
        };
        vec![
            user.source.clone(),
            user.user.clone(),
            reading,
            print::or_dash(user.at.map(|at| when::local(config.agent.timezone, at))),
            print::or_dash(user.limit.as_ref().map(limit)),
            list(&user.groups),
            list(&user.rules.iter().map(|name| rule(user, name)).collect::<Vec<_>>()),
        ]
    };
    let rows: Vec<Vec<String>> = users.iter().map(row).collect();
    let head = ["source", "user", "online", "at", "limit", "groups", "rules"];
    print::raw(print::list(&head, &rows, &["at", "groups", "limit"]).as_bytes());
}
