//! `seatwatch alerts`: episodes listed, shown, acknowledged and closed.
//!
//! Neighbours: the store has them, `episode` shows one whole, `acts` asks the agent. A part of its own because these
//! are the words an operator types most.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::exit::Mistakes;
use super::{Common, Exit, Failure, acts, episode, local, open, pick, print, stale, when};
use crate::agent::clock;
use crate::config::Config;
use crate::config::section::suggest;
use crate::engine::event::Finding;
use crate::engine::outcome::{Act, State};
use crate::engine::own::Own;
use crate::engine::rule::{Mode, Rule};
use crate::engine::time::Time;
use crate::store::{EpisodeFilter, EpisodeRow, Reader, StoreError};

/// So many names are listed where none is near.
const MOST_LISTED: usize = 12;

/// So many episodes are named where none fits.
const NEWEST: u32 = 5;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Work on this database, and read no rules file
    #[arg(long, global = true, value_name = "FILE")]
    database: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// What is firing or recovering now; with --since also what fired or ended since then
    List(List),
    /// One episode: facts, events, readings, whom it was told, what operators did
    Show {
        /// Its id, or the beginning of it
        #[arg(value_name = "EPISODE")]
        episode: String,
    },
    /// Take note of an episode: no more reminders, it goes on until it is clear
    Ack {
        /// Its id, or the beginning of it
        #[arg(value_name = "EPISODE")]
        episode: String,
        /// Why, or who looks into it
        #[arg(long, value_name = "TEXT", value_parser = note)]
        note: Option<String>,
    },
    /// End an episode, which stays closed until its condition was clear once; or say what you concluded of one that is over
    Close {
        /// Its id, or the beginning of it
        #[arg(value_name = "EPISODE")]
        episode: String,
        /// What you concluded; the last one holds, also of an episode that has ended
        #[arg(long, value_name = "FINDING", value_parser = finding())]
        finding: Option<Finding>,
        /// Why
        #[arg(long, value_name = "TEXT", value_parser = note)]
        note: Option<String>,
        /// Let it fire again at the next breach, without waiting for it to be clear
        #[arg(long)]
        rearm: bool,
    },
}

#[derive(clap::Args, Debug)]
struct List {
    /// Those that have ended and those that were closed, too
    #[arg(long)]
    all: bool,
    /// Alerts that are about to fire, too
    #[arg(long)]
    pending: bool,
    /// Only those of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only those about this user, as USER or SOURCE/USER
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Those that fired or ended since then, whether they have ended or not, and those that go on: so long ago
    /// (24h), or a time
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
}

impl List {
    /// Whether what has ended is listed too.
    fn ended(&self) -> bool {
        self.all || self.since.is_some()
    }
}

/// The most characters of a note.
const LONGEST_NOTE: usize = 1000;

fn note(text: &str) -> Result<String, String> {
    if text.chars().count() > LONGEST_NOTE {
        return Err(format!("a note has at most {LONGEST_NOTE} characters"));
    }
    Ok(text.to_owned())
}

fn finding() -> impl TypedValueParser<Value = Finding> {
    let known = PossibleValuesParser::new(Finding::ALL.map(Finding::word));
    known.try_map(|word| Finding::ALL.into_iter().find(|known| known.word() == word).ok_or("not a finding"))
}

pub(super) fn run(common: &Common, args: Args) -> Result<Exit, Failure> {
    let (config, reader) = open::records(common, args.database.as_deref())?;
    let lost = |error| lost(&reader, error);
    match args.verb {
        Verb::List(args) => list(common, &config, &reader, &args),
        Verb::Show { episode } => {
            let row = reader.episode(&episode).map_err(lost)?;
            episode::show(common, &config, &reader, row)
        }
        Verb::Ack { episode, note } => acts::ask(common, &config, Act::Ack { episode, note }, lost),
        Verb::Close { episode, finding, note, rearm } => {
            acts::ask(common, &config, Act::Close { episode, rearm, finding, note }, lost)
        }
    }
}

/// No episode of that name: the newest ones are.
pub(super) fn lost(reader: &Reader, error: StoreError) -> Failure {
    if !matches!(error, StoreError::NotFound { .. }) {
        return error.into();
    }
    let newest = EpisodeFilter { all: true, limit: Some(NEWEST), ..EpisodeFilter::default() };
    let rows = reader.episodes(&newest).unwrap_or_default();
    if rows.is_empty() {
        return Failure::usage(format!("{error}; nothing has fired yet"));
    }
    let named = |row: &EpisodeRow| {
        let subject = local::subject(row.source.as_deref(), &row.subject);
        format!("\n  {} {} {subject}", row.episode.as_deref().unwrap_or_default(), local::name(&row.rule))
    };
    let newest: String = rows.iter().rev().map(named).collect();
    Failure::usage(format!("{error}; the newest are{newest}"))
}

fn list(common: &Common, config: &Config, reader: &Reader, args: &List) -> Result<Exit, Failure> {
    let filter = filter(config, args)?;
    known(config, reader, &filter)?;
    stale::note(config, reader, filter.source.as_deref(), clock::now())?;
    let mut rows = reader.episodes(&filter)?;
    for row in rows.iter_mut().filter(|row| row.severity.is_none()) {
        let rule = config.rules.iter().find(|rule| rule.name == row.rule);
        row.severity = rule.map(|rule| rule.severity);
    }
    if common.json {
        print::json(&rows)?;
        return Ok(Exit::Fine);
    }
    if rows.is_empty() {
        print::line(&nothing(args));
        return Ok(Exit::Fine);
    }
    print::raw(table(&rows, config).as_bytes());
    Ok(Exit::Fine)
}

fn filter(config: &Config, args: &List) -> Result<EpisodeFilter, Failure> {
    let (mut source, mut user) = (args.source.clone(), args.user.clone());
    let known = |name: &str| config.sources.iter().any(|source| source.name == name);
    // What left the rules file still has episodes, so names are not demanded to be in it.
    if let Some((of, name)) =
        args.user.as_deref().and_then(|text| text.split_once('/')).filter(|(of, _)| known(of))
    {
        if source.as_deref().is_some_and(|source| source != of) {
            return Err(Failure::usage(format!("--user names the source {of}, --source another")));
        }
        (source, user) = (Some(of.to_owned()), Some(name.to_owned()));
    }
    if let (None, Some(name)) = (&source, &user) {
        let all: Vec<_> = config.sources.iter().collect();
        let several = all.iter().filter(|source| source.users.contains(name)).count() > 1;
        if several {
            pick::user(&all, name)?;
        }
    }
    let zone = config.agent.timezone;
    let since = args
        .since
        .as_deref()
        .map(|text| when::time_or_ago("--since", text, zone, clock::now()))
        .transpose()?;
    Ok(EpisodeFilter {
        all: args.ended(),
        pending: args.pending,
        rule: args.rule.clone(),
        source,
        user,
        since,
        limit: None,
    })
}

/// Says so when nothing fits.
fn nothing(args: &List) -> String {
    if args.ended() {
        return "No episode fits.".to_owned();
    }
    "Nothing is firing. `seatwatch alerts list --all` lists what has ended.".to_owned()
}

/// So many rows are looked at for names where no rules file gives them.
const MOST_LOOKED_AT: u32 = 1000;

/// Refuses names that nothing bears: an empty list would be taken for all being well. What left the rules file is known
/// as long as the database has alerts of it.
fn known(config: &Config, reader: &Reader, filter: &EpisodeFilter) -> Result<(), Failure> {
    let all =
        EpisodeFilter { all: true, pending: true, limit: Some(MOST_LOOKED_AT), ..EpisodeFilter::default() };
    let rows = if config.sources.is_empty() { reader.episodes(&all)? } else { Vec::new() };
    let kept = |of: EpisodeFilter| -> Result<bool, StoreError> {
        Ok(!reader.episodes(&EpisodeFilter { all: true, pending: true, limit: Some(1), ..of })?.is_empty())
    };
    let mut mistakes = Mistakes::default();
    if let Some(name) = &filter.rule
        && config.rules.iter().all(|rule| rule.name != *name)
        && Own::of_name(name).is_none()
        && !kept(EpisodeFilter { rule: Some(name.clone()), ..EpisodeFilter::default() })?
    {
        let names = config.rules.iter().map(|rule| &rule.name).chain(rows.iter().map(|row| &row.rule));
        mistakes.keep::<()>(Err(unknown("rule", name, names)));
    }
    if let Some(name) = &filter.source
        && config.sources.iter().all(|source| source.name != *name)
        && !reader.sources()?.contains(name)
        && !kept(EpisodeFilter { source: Some(name.clone()), ..EpisodeFilter::default() })?
    {
        let names = config.sources.iter().map(|source| &source.name);
        let mut stored = reader.sources()?;
        stored.extend(rows.iter().filter_map(|row| row.source.clone()));
        mistakes.keep::<()>(Err(unknown("source", name, names.chain(&stored))));
    }
    if let Some(name) = &filter.user
        && !config.sources.iter().any(|source| source.users.contains(name))
        && reader.sources_of(name)?.is_empty()
        && !kept(EpisodeFilter { user: Some(name.clone()), ..EpisodeFilter::default() })?
    {
        let listed = config.sources.iter().flat_map(|source| source.users.iter());
        let subjects = rows.iter().map(|row| row.subject.name.as_str());
        let near = suggest(name, listed.chain(subjects));
        let hint = near.unwrap_or_else(|| "`seatwatch users` lists everybody".to_owned());
        let message = format!("--user: neither the rules file nor the database has a user {name:?}; {hint}");
        mistakes.keep::<()>(Err(Failure::usage(message)));
    }
    mistakes.none()
}

fn unknown<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n String>) -> Failure {
    let known: BTreeSet<&str> = known.map(String::as_str).collect();
    let listed =
        || known.iter().take(MOST_LISTED).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    let hint = suggest(name, known.iter().copied()).unwrap_or_else(|| match known.is_empty() {
        true => "there is none at all".to_owned(),
        false => format!("there is {}", listed()),
    });
    Failure::usage(format!("--{kind}: neither the rules file nor the database has a {kind} {name:?}; {hint}"))
}

fn table(rows: &[EpisodeRow], config: &Config) -> String {
    let zone = config.agent.timezone;
    let (ended, acked) =
        (rows.iter().any(|r| r.ended_at.is_some()), rows.iter().any(|r| r.acked_by.is_some()));
    let mut head = vec!["episode", "state", "severity", "rule", "subject", "online", "since"];
    head.extend(ended.then_some("ended"));
    head.extend(acked.then_some("acked by"));
    let found = rows.iter().any(|r| r.finding.is_some());
    head.extend(found.then_some("finding"));
    let time = |at: Option<Time>| print::or_dash(at.map(|at| when::local(zone, at)));
    let cells = |row: &EpisodeRow| {
        let mut cells = vec![
            row.episode.as_deref().map_or_else(|| "-".to_owned(), local::short),
            state(row) + untold(config, row),
            row.severity.as_ref().map_or_else(|| "-".to_owned(), local::word),
            row.rule.clone(),
            local::subject(row.source.as_deref(), &row.subject),
            online(row),
            time(row.since),
        ];
        cells.extend(ended.then(|| time(row.ended_at)));
        cells.extend(acked.then(|| print::or_dash(row.acked_by.as_deref())));
        cells.extend(found.then(|| print::or_dash(row.finding.map(Finding::word))));
        cells
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    print::list(&head, &rows, &["severity", "finding", "acked by", "online"])
}

/// A mark behind the state of what nobody was told of, so that nobody takes it for told: its rule is in the shadow, or
/// was, or names no channel.
pub(super) fn untold(config: &Config, row: &EpisodeRow) -> &'static str {
    let in_shadow = |rule: &Rule| rule.name == row.rule && rule.mode == Mode::Shadow;
    match (row.notified, config.rules.iter().any(in_shadow)) {
        (true, _) => "",
        (false, true) => " (shadow)",
        (false, false) if row.episode.is_some() => " (not told)",
        (false, false) => "",
    }
}

/// `5 of 2`, and the peak where it was higher.
fn online(row: &EpisodeRow) -> String {
    let Some(value) = row.value else { return "-".to_owned() };
    let now = value.now.map_or_else(|| "?".to_owned(), |now| now.to_string());
    let limit = row.limit.as_ref().map(|limit| format!(" of {}", limit.value)).unwrap_or_default();
    let peak = value.peak.filter(|peak| value.now.is_none_or(|now| *peak > now));
    format!("{now}{limit}{}", peak.map(|peak| format!(", peak {peak}")).unwrap_or_default())
}

/// The word for a row's state: an episode is never `ok`, it has ended.
pub(super) fn state(row: &EpisodeRow) -> String {
    match row.state {
        State::Ok => "ended".to_owned(),
        State::Closed if row.ended_at.is_some() => "closed".to_owned(),
        State::Pending | State::Firing | State::Recovering | State::Closed => local::word(&row.state),
    }
}
