//! `seatwatch db`: a copy of the database, whether it is whole, how much it holds.
//!
//! Neighbours: the store does the work, also while the agent runs. A part of its own because these are the commands
//! of a bad day: they say what is wrong and what to do.

use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::busy::Busy;
use super::{Common, Exit, Failure, open, print, when};
use crate::agent::clock;
use crate::config::Config;
use crate::engine::time::{Span, Time};
use crate::store::{Checked, Reader, RulesFile, Stats, StoreError};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Another database than the rules file names, such as a backup
    #[arg(long, global = true, value_name = "FILE")]
    database: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// Copy the database to FILE (mode 0600), also while the agent runs
    Backup {
        file: PathBuf,
        /// Replace FILE if it exists
        #[arg(long)]
        force: bool,
    },
    /// Read everything and tell what is damaged; exit code 74 if anything is
    Check,
    /// How much the database holds
    Stats {
        /// Exit with 1 if a source of the rules file was last heard longer ago than this, such as 15m; with
        /// --database, if all of them were
        #[arg(long, value_name = "SPAN")]
        max_age: Option<Span>,
    },
}

#[derive(Serialize)]
struct Copied<'a> {
    file: String,
    of: &'a Path,
    bytes: u64,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    file: &'a Path,
    #[serde(flatten)]
    checked: &'a Checked,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let (config, reader) = open::records(common, args.database.as_deref())?;
    match &args.verb {
        Verb::Backup { file, force } => backup(common, &reader, file, *force),
        Verb::Check => check(common, &reader),
        Verb::Stats { max_age } => {
            let counted = reader.stats()?;
            stats(common, &counted, config.agent.timezone)?;
            match max_age {
                Some(most) => fresh(&config, &reader, *most, clock::now()),
                None => Ok(Exit::Fine),
            }
        }
    }
}

fn backup(common: &Common, reader: &Reader, file: &Path, force: bool) -> Result<Exit, Failure> {
    let shown = print::name(&file.display().to_string());
    if !force && file.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!("{shown} exists already: name another file, or add --force")));
    }
    let busy = Busy::with(format!("copying to {shown}"));
    reader.backup(file)?;
    drop(busy);
    let bytes = std::fs::metadata(file)?.len();
    if common.json {
        print::json(&Copied { file: file.display().to_string(), of: reader.path(), bytes })?;
    } else {
        print::line(&format!("{shown}: a checked copy, {}.", HumanBytes(bytes)));
    }
    Ok(Exit::Fine)
}

fn check(common: &Common, reader: &Reader) -> Result<Exit, Failure> {
    let file = print::name(&reader.path().display().to_string());
    let busy = Busy::with(format!("reading all of {file}"));
    let checked = reader.check()?;
    drop(busy);
    let ok = checked.is_ok();
    if common.json {
        print::json(&Report { ok, file: reader.path(), checked: &checked })?;
    } else if ok {
        print::line(&format!("{file} is whole: pages, references, chains, events, readings and rows."));
    } else {
        let lists = [
            ("pages", &checked.integrity),
            ("references", &checked.foreign_keys),
            ("chains", &checked.chain),
            ("events", &checked.events),
            ("readings", &checked.polls),
            ("rows", &checked.rows),
        ];
        let of_list = |(what, faults): (&'static str, &Vec<String>)| {
            faults.iter().map(|fault| vec![what.to_owned(), fault.clone()]).collect::<Vec<_>>()
        };
        let rows: Vec<Vec<String>> = lists.into_iter().flat_map(of_list).collect();
        print::raw(print::table(&["part", "damage"], &rows).as_bytes());
        print::error(&format!(
            "{file} is damaged: stop Seatwatch, move the file and its -wal and -shm aside, and put a backup made by \
             `seatwatch db backup` in its place\n"
        ));
    }
    Ok(if ok { Exit::Fine } else { Exit::Storage })
}

/// Fewer readings than this say nothing of what one takes: the file is mostly its empty tables.
const ENOUGH_READINGS: u64 = 10_000;

fn per_reading(stats: &Stats) -> Option<String> {
    let bytes = stats.bytes_per_reading.filter(|_| stats.readings >= ENOUGH_READINGS)?;
    Some(format!("{bytes:.3}"))
}

fn refused(of: &RulesFile, at: impl std::fmt::Display) -> String {
    format!("{}, at {at}: {}", of.file, of.refused.as_deref().unwrap_or_default())
}

/// Whether what is known is young enough, for who watches the agent from outside. A poll that failed tells nothing, and
/// one source that is heard is no comfort about another.
fn fresh(config: &Config, reader: &Reader, most: Span, now: Time) -> Result<Exit, Failure> {
    let last = |name: &String| Ok((name.clone(), reader.last_usable(name)?));
    let mut heard: Vec<(String, Option<Time>)> = match &config.sources[..] {
        // Without a rules file nobody knows which of them are still to be polled.
        [] => reader.sources()?.iter().map(last).collect::<Result<_, StoreError>>()?,
        sources => sources.iter().map(|source| last(&source.name)).collect::<Result<_, StoreError>>()?,
    };
    let young = |at: &Option<Time>| at.is_some_and(|at| now.since(at) <= most && at <= now + most);
    let all = !config.sources.is_empty();
    if !all && heard.iter().any(|(_, at)| young(at)) {
        heard.clear();
    } else if !all && heard.is_empty() {
        heard.push(("the database".to_owned(), None));
    }
    heard.retain(|(_, at)| !young(at));
    for (name, at) in &heard {
        let said = match at.map(|at| now.since(at)) {
            None => format!("of {} nothing was ever heard", print::name(name)),
            Some(age) if age < Span::ZERO => {
                format!("{} was last heard {} in the future", print::name(name), Span::ZERO - age)
            }
            Some(age) => format!("{} was last heard {age} ago", print::name(name)),
        };
        print::error(&format!(
            "{said}, and {most} is allowed: see whether the agent runs and its polls succeed\n"
        ));
    }
    Ok(if heard.is_empty() { Exit::Fine } else { Exit::Problem })
}

fn stats(common: &Common, stats: &Stats, zone: Tz) -> Result<(), Failure> {
    if common.json {
        return print::json(stats);
    }
    let local = |at| when::local(zone, at);
    let bytes = |n: u64| format!("{} ({} bytes)", HumanBytes(n), HumanCount(n));
    let rows = [
        ("file", stats.file.clone()),
        ("size", bytes(stats.bytes)),
        ("write-ahead log", bytes(stats.wal_bytes)),
        ("users", HumanCount(stats.users).to_string()),
        ("polls", HumanCount(stats.polls).to_string()),
        ("readings", HumanCount(stats.readings).to_string()),
        ("changes", HumanCount(stats.changes).to_string()),
        ("bytes per reading", print::or_dash(per_reading(stats))),
        ("first poll", print::or_dash(stats.first_at.map(local))),
        ("last poll", print::or_dash(stats.last_at.map(local))),
        ("events", HumanCount(stats.events).to_string()),
        ("notifications", HumanCount(stats.notifications).to_string()),
        ("SQLite", stats.sqlite_version.clone()),
        ("schema", stats.schema.to_string()),
        (
            "rules in force",
            print::or_dash(stats.rules.as_ref().map(|of| format!("{}, since {}", of.file, local(of.at)))),
        ),
        ("rules refused", print::or_dash(stats.refused_rules.as_ref().map(|of| refused(of, local(of.at))))),
    ];
    for (what, value) in rows {
        print::line(&format!("{what:<18} {}", print::name(&value)));
    }
    Ok(())
}
