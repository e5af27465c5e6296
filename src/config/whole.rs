//! The file as a whole: its tables in the order in which they need each other, then the checks across them.
//!
//! Neighbours: one file per kind of table reads it, `names` and `scope` do the checks. A part of its own because
//! the order matters: names first, what uses them next, whom they reach last.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;

use super::agent::{self, Agent};
use super::defaults::Defaults;
use super::fleet::Exceptions;
use super::names::Names;
use super::place::Notes;
use super::rules::Known;
use super::scope::{Crowd, Read};
use super::section::Section;
use super::sources::{Source, check_load};
use super::{Config, calendars, fleet, rules, sources, trials};
use crate::channel;
use crate::engine::calendar::Calendar;
use crate::engine::fleet::Fleet;
use crate::engine::time::Time;
use crate::source::account;

/// Requests a second where the account says nothing.
const USUAL_RATE: f64 = 1.0;

/// The tables of the file, one list a kind, with the names they define.
struct Tables<'d> {
    accounts: Vec<Section<'d>>,
    sources: Vec<Section<'d>>,
    groups: Vec<Section<'d>>,
    exceptions: Vec<Section<'d>>,
    calendars: Vec<Section<'d>>,
    rules: Vec<Section<'d>>,
    channels: Vec<Section<'d>>,
    tests: Vec<Section<'d>>,
}

/// What each kind of table is called.
struct Defined {
    accounts: Names,
    sources: Names,
    groups: Names,
    calendars: Names,
    rules: Names,
    channels: Names,
}

/// Reads everything under `root`. What it returns counts only if no error was noted.
pub(super) fn read(mut root: Section<'_>, now: Time) -> Config {
    let mut agent_table = root.table("agent");
    let defaults = root.table("defaults");
    let mut tables = Tables {
        accounts: root.tables("account"),
        sources: root.tables("source"),
        groups: root.tables("group"),
        exceptions: root.tables("exception"),
        calendars: root.tables("calendar"),
        rules: root.tables("rule"),
        channels: root.tables("channel"),
        tests: root.tables("test"),
    };
    let defined = Defined {
        accounts: names(&root, "account", &tables.accounts),
        sources: names(&root, "source", &tables.sources),
        groups: names(&root, "group", &tables.groups),
        calendars: names(&root, "calendar", &tables.calendars),
        rules: names(&root, "rule", &tables.rules),
        channels: names(&root, "channel", &tables.channels),
    };
    for kind in ["agent", "source", "group", "exception"].into_iter().filter(|kind| root.misspelt(kind)) {
        root.notes.distrust(kind);
    }
    let (mut agent, notify) = agent::read(agent_table.as_mut(), &root);
    if let Some(table) = agent_table {
        agent.notify = agent::notify(&table, notify, &defined.channels);
        table.finish();
    }
    let channels = channels(std::mem::take(&mut tables.channels));
    let accounts = accounts(std::mem::take(&mut tables.accounts));
    let sources = sources(std::mem::take(&mut tables.sources), &defined, &accounts, agent.timezone, now);
    let calendars =
        calendars::read_all(std::mem::take(&mut tables.calendars), &defined.calendars, agent.timezone);
    let mut config = Config {
        agent,
        accounts,
        sources,
        fleet: Fleet::default(),
        calendars: calendars.values().cloned().collect(),
        rules: Vec::new(),
        channels,
        tests: Vec::new(),
        warnings: Vec::new(),
        secrets: Vec::new(),
        files: Vec::new(),
        file: String::new(),
        digest: String::new(),
        asked: BTreeMap::new(),
    };
    let tests = std::mem::take(&mut tables.tests);
    reach(&mut config, defaults, tables, &defined, &calendars, (root.notes, now));
    config.tests = trials::read_all(
        tests,
        &trials::Known {
            rule_names: &defined.rules,
            source_names: &defined.sources,
            rules: &config.rules,
            sources: &config.sources,
            fleet: &config.fleet,
            zone: config.agent.timezone,
        },
    );
    leftovers(&root, &defined, &config.agent);
    config.secrets = root.notes.secrets();
    config.files = root.notes.files();
    config.asked = root.notes.asked();
    root.finish();
    config
}

fn names(root: &Section<'_>, kind: &'static str, sections: &[Section<'_>]) -> Names {
    let mut names = Names::new(kind);
    if root.misspelt(kind) {
        names.misses();
    }
    for section in sections {
        names.define(section);
    }
    names
}

fn channels(sections: Vec<Section<'_>>) -> Vec<channel::Settings> {
    let mut channels = Vec::with_capacity(sections.len());
    for mut section in sections {
        channels.extend(channel::Settings::read(&mut section));
        section.settle_kind();
        section.finish();
    }
    channels
}

fn accounts(sections: Vec<Section<'_>>) -> Vec<account::Settings> {
    let mut accounts = Vec::with_capacity(sections.len());
    for mut section in sections {
        accounts.extend(account::Settings::read(&mut section));
        section.finish();
    }
    accounts
}

fn sources(
    sections: Vec<Section<'_>>,
    defined: &Defined,
    accounts: &[account::Settings],
    zone: Tz,
    now: Time,
) -> Vec<Source> {
    let rates: BTreeMap<&str, f64> =
        accounts.iter().map(|a| (a.name.as_str(), a.requests_per_second)).collect();
    let mut read = Vec::with_capacity(sections.len());
    for mut section in sections {
        let source = sources::read(&mut section, &defined.accounts, zone, now);
        if let Some(source) = &source {
            let rate = source.account.as_deref().and_then(|name| rates.get(name)).copied();
            check_load(&section, source, rate.unwrap_or(USUAL_RATE));
        }
        read.extend(source);
        section.finish();
    }
    read
}

/// Groups, exceptions and rules, and whom they reach.
fn reach(
    config: &mut Config,
    defaults: Option<Section<'_>>,
    tables: Tables<'_>,
    defined: &Defined,
    calendars: &BTreeMap<String, Arc<Calendar>>,
    (notes, now): (&Notes, Time),
) {
    let mut groups = Vec::new();
    for mut section in tables.groups {
        let group = fleet::group(&mut section, &defined.sources);
        config.fleet.groups.extend(group.clone());
        groups.push((section, group));
    }
    let mut exceptions = Vec::new();
    let mut once = Exceptions::default();
    for mut section in tables.exceptions {
        let exception = fleet::exception(&mut section, &defined.sources);
        exception.iter().for_each(|one| once.add(&section, one));
        config.fleet.exceptions.extend(exception.clone());
        exceptions.push((section, exception));
    }
    let known = Known {
        channels: &defined.channels,
        groups: &defined.groups,
        sources: &defined.sources,
        calendar_names: &defined.calendars,
        calendars,
        notify: &config.agent.notify,
    };
    // What is unknown in them is told only after rules were checked against them.
    let misspelt =
        groups.iter().map(|(section, _)| section).chain(exceptions.iter().map(|(section, _)| section));
    let misspelt = misspelt.flat_map(|section| ["limit", "users", "user"].map(|key| section.misspelt(key)));
    let read = Read {
        sources: !notes.refused("source"),
        fleet: !notes.refused("group") && !notes.refused("exception") && !misspelt.into_iter().any(|so| so),
    };
    let crowd = Crowd::new(&config.sources, &config.fleet, read);
    let today = now.to_utc().with_timezone(&config.agent.timezone).date_naive();
    let of_all = defaults.map_or_else(Defaults::default, |mut section| {
        let of_all = Defaults::read(&mut section, known.channels);
        section.finish();
        of_all
    });
    for mut section in tables.rules {
        let rule = rules::read(&mut section, &known, &of_all);
        if let Some(rule) = &rule {
            crowd.check_rule(&section, rule, &config.fleet, config.agent.retention.readings, now);
        }
        config.rules.extend(rule);
        section.finish();
    }
    for (section, group) in groups {
        group.iter().for_each(|group| crowd.check_group(&section, group));
        section.finish();
    }
    for (section, exception) in exceptions {
        if let Some(one) = &exception {
            crowd.check_exception(&section, one, today);
            crowd.check_idle(&section, one, &config.fleet, &config.rules);
        }
        section.finish();
    }
}

/// What a file lacks, and what nobody uses.
fn leftovers(root: &Section<'_>, defined: &Defined, agent: &Agent) {
    // A file without sources is what `Config::watching` refuses.
    let lacks = [("rule", &defined.rules), ("channel", &defined.channels)];
    for (kind, names) in lacks {
        if names.is_empty() && !root.misspelt(kind) {
            let message = format!("there is no [[{kind}]]");
            root.notes.warning(root.text, &root.own_place(), message, None);
        }
    }
    let told = !defined.channels.is_empty() && defined.channels.is_whole();
    if agent.notify.is_empty() && told && !root.notes.refused("agent") {
        let hint = "name a channel: notify = [\"…\"]";
        let place = root.place("agent");
        root.notes.warning(root.text, &place, "nobody hears of own alerts: notify is empty", Some(hint));
    }
    // Each with the keys that name it, and their tables: a misspelt name may have meant one that looks unused.
    let unused = [
        ("channel", &defined.channels, &["notify"][..], &["agent", "rule", "defaults"][..]),
        ("calendar", &defined.calendars, &["during", "outside"], &["rule", "defaults"]),
        ("account", &defined.accounts, &["account"], &["source"]),
    ];
    let unused = unused.into_iter().filter(|(_, _, keys, users)| {
        !root.notes.refused_key(keys) && !users.iter().any(|kind| root.misspelt(kind))
    });
    for (kind, names, ..) in unused {
        for (name, place) in names.unused() {
            root.notes.warning(root.text, &place, format!("nobody uses the {kind} {name:?}"), None);
        }
    }
}
