//! `seatwatch history USER`: what every poll said of one user.
//!
//! Neighbours: the store keeps the readings; `users` lists whom there is. A part of its own because people are held
//! to what it prints: it shows what was known, and when nothing was.

use std::collections::BTreeSet;

use serde::Serialize;

use super::users::{known_source, shown};
use super::{Common, Exit, Failure, open, print, when};
use crate::config::Config;
use crate::config::section::suggest;
use crate::engine::reading::{Kind, Reading};
use crate::engine::time::{Span, Time};
use crate::store::{History, HistoryReading, Reader, StoreError};

/// Older blind times are counted.
const MOST_HOLES: usize = 10;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The user's name, or SOURCE/USER
    #[arg(value_name = "USER")]
    user: String,
    /// The first poll: so long ago, or a time
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: String,
    /// Polls before this: so long ago, or a time; now if left out
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only readings that differ from the one before
    #[arg(long)]
    changes: bool,
    /// The source, where several have a user of that name
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
}

#[derive(Serialize)]
struct Told {
    source: String,
    user: String,
    readings: Vec<ToldReading>,
}

#[derive(Serialize)]
struct ToldReading {
    at: Time,
    poll: u64,
    reading: &'static str,
    online: Option<u32>,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let (config, reader) = open::reader(common)?;
    let (zone, now) = (config.agent.timezone, crate::agent::clock::now());
    let from = when::time_or_ago("--since", &args.since, zone, now)?;
    let to = args.until.as_deref().map(|text| when::time_or_ago("--until", text, zone, now)).transpose()?;
    let to = to.unwrap_or(now + Span::from_millis(1));
    if to <= from {
        let (from, to) = (when::local(zone, from), when::local(zone, to));
        return Err(Failure::usage(format!("--until ({to}) is not after --since ({from})")));
    }
    let (source, user) = find(&config, &reader, &args.user, args.source.as_deref())?;
    let history = match reader.history(&source, &user, from, to) {
        // Listed in the rules file, and not polled yet.
        Err(StoreError::NotFound { .. }) => Vec::new(),
        other => other?,
    };
    if common.json {
        print::json(&told(source, user, &history, args.changes))?;
        return Ok(Exit::Fine);
    }
    let gap = config.sources.iter().find(|s| s.name == source).map(|s| s.least_gap(&config.rules));
    let name = print::name(&format!("{source}/{user}"));
    if history.is_empty() {
        print::line(&format!("{name}: no poll from {} on.", when::local(zone, from)));
        return Ok(Exit::Fine);
    }
    print::line(&format!("{name}, times in {zone}\n"));
    print::raw(table(&history, args.changes, &|at| when::local(zone, at)).as_bytes());
    let holes = gap.map(|gap| blind(&history, gap, to.min(now))).unwrap_or_default();
    if let Some(more) = holes.len().checked_sub(MOST_HOLES).filter(|more| *more > 0) {
        print::line(&format!("\nBlind {} before:", print::count(more, "time")));
    }
    for (n, (from, to)) in holes.iter().rev().take(MOST_HOLES).rev().enumerate() {
        let length = when::length(to.since(*from));
        let (from, to) = (when::local(zone, *from), when::local(zone, *to));
        let above = if n == 0 { "\n" } else { "" };
        print::line(&format!("{above}Blind for {length}: nothing is known between {from} and {to}."));
    }
    Ok(Exit::Fine)
}

/// The one user that is meant. Who left the rules file is found as long as the database has readings.
pub(super) fn find(
    config: &Config,
    reader: &Reader,
    name: &str,
    source: Option<&str>,
) -> Result<(String, String), Failure> {
    let stored = reader.sources()?;
    if let Some(source) = source.filter(|source| !stored.iter().any(|known| known == source)) {
        known_source(config, source)?;
    }
    let mut found = BTreeSet::new();
    let mut look = |user: &str, only: Option<&str>| -> Result<(), StoreError> {
        let listed = config.sources.iter().filter(|s| s.users.contains(user));
        let sources = reader.sources_of(user)?.into_iter().chain(listed.map(|s| s.name.clone()));
        let wanted = |name: &String| only.is_none_or(|only| only == name);
        found.extend(sources.filter(wanted).map(|source| (source, user.to_owned())));
        Ok(())
    };
    look(name, source)?;
    if let Some((before, user)) = name.split_once('/')
        && source.is_none_or(|source| source == before)
    {
        look(user, Some(before))?;
    }
    let found: Vec<(String, String)> = found.into_iter().collect();
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => Err(unknown(config, name, source)),
        [..] => {
            let sources: Vec<&str> = found.iter().map(|(source, _)| source.as_str()).collect();
            let written: Vec<String> =
                found.iter().map(|(source, user)| print::name(&format!("{source}/{user}"))).collect();
            Err(Failure::usage(format!(
                "{name:?} is a user of {}: write {}, or add --source",
                sources.join(" and of "),
                written.join(" or ")
            )))
        }
    }
}

fn unknown(config: &Config, name: &str, source: Option<&str>) -> Failure {
    let user = name.rsplit('/').next().unwrap_or(name);
    let users = config.sources.iter().filter(|s| source.is_none_or(|source| source == s.name));
    let near = suggest(user, users.flat_map(|s| s.users.iter()));
    let hint = near.unwrap_or_else(|| "`seatwatch users` lists everybody".to_owned());
    let whose = source.map_or_else(|| "no source has".to_owned(), |source| format!("source {source} has no"));
    let a = if source.is_some() { "" } else { " a" };
    Failure::usage(format!("{whose}{a} user {name:?}; {hint}"))
}

fn told(source: String, user: String, history: &History, changes: bool) -> Told {
    let wanted = history.iter().filter(|one| one.changed || !changes);
    let readings = wanted
        .map(|one| ToldReading {
            at: one.at,
            poll: one.seq,
            reading: one.reading.word(),
            online: one.reading.count(),
        })
        .collect();
    Told { source, user, readings }
}

/// One line per stretch of equal readings; with `changes` the stretch's first poll alone.
fn table(history: &[HistoryReading], changes: bool, local: &dyn Fn(Time) -> String) -> String {
    let runs: Vec<&[HistoryReading]> = history.chunk_by(|a, b| a.reading == b.reading).collect();
    let row = |run: &&[HistoryReading]| {
        let (first, last) = (run[0], run[run.len() - 1]);
        match changes {
            true => vec![local(first.at), shown(first.reading)],
            false => vec![local(first.at), local(last.at), shown(first.reading), run.len().to_string()],
        }
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    let head = ["from", "to", "online", "polls"];
    let changed = ["from", "online"];
    print::table(if changes { &changed } else { &head }, &rows)
}

/// Stretches longer than `gap` between two readings that said something, or between the last of them and `end`.
fn blind(history: &[HistoryReading], gap: Span, end: Time) -> Vec<(Time, Time)> {
    let says = |reading: Reading| matches!(reading.kind(), Kind::Online(_) | Kind::Absent);
    let known = history.iter().filter(|one| says(one.reading)).map(|one| one.at);
    let known: Vec<Time> = known.chain([end]).collect();
    known.windows(2).filter(|pair| pair[1].since(pair[0]) > gap).map(|pair| (pair[0], pair[1])).collect()
}
