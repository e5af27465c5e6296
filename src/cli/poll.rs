//! `seatwatch poll`: asks the sources once and prints what they say; stores nothing.
//!
//! Neighbours: `source` fetches exactly as it does for the agent. A part of its own because it is how one finds out
//! whether keys, instance and names are right before anything is watched.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use chrono_tz::Tz;
use serde::Serialize;

use super::busy::Busy;
use super::{Common, Exit, Failure, open, pick, print, roster, when};
use crate::agent::clock;
use crate::config::{self, Config, Problems};
use crate::engine::message::clean;
use crate::engine::names::{Asked, Names};
use crate::engine::reading::{Fetched, Kind, Poll, PollOutcome};
use crate::engine::request_id::RequestId;
use crate::engine::time::{Span, Time};
use crate::source::Source;

const MORE: &str = "Nothing is stored and nobody is alerted. Names that the vendor refuses are set aside for this poll only. \
                    Exit code 1 if a poll failed; a partial one is fine.";

#[derive(clap::Args, Debug)]
#[command(after_help = MORE)]
pub(super) struct Args {
    /// Only this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only this user, as USER or SOURCE/USER; may be given several times
    #[arg(long = "user", value_name = "USER")]
    users: Vec<String>,
}

/// One element of `--json`.
#[derive(Serialize)]
struct Polled<'a> {
    source: &'a str,
    at: Time,
    outcome: PollOutcome,
    requests: u32,
    #[serde(rename = "duration_ms")]
    took: Span,
    quarantined: Vec<&'a str>,
    readings: Vec<Row<'a>>,
    error: Option<Trouble<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    user: &'a str,
    reading: &'static str,
    online: Option<u32>,
    request_id: Option<Cow<'a, str>>,
    fetched_at: Option<Time>,
}

#[derive(Serialize)]
struct Trouble<'a> {
    code: &'a str,
    message: String,
}

/// A source and whom to ask it about.
type Wanted<'c> = (&'c config::Source, Arc<Names>);

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let mut config = open::config(common)?;
    let faults = roster::asked(&mut config, args.source.as_deref())?;
    let wanted = wanted(&config, args)?;
    let settings: Vec<_> = wanted.iter().map(|(s, _)| (&s.settings, s.account.as_deref())).collect();
    let opened = Source::open_all(&settings, &config.accounts);
    let opened = opened.into_iter().collect::<Result<Vec<_>, _>>();
    let opened = opened.map_err(|error| refused(&config, error.into()))?;
    let mut polls = Vec::new();
    for ((source, users), opened) in wanted.iter().zip(&opened) {
        let busy = Busy::with(format!("asking {} about {}", source.name, print::count(users.len(), "user")));
        let (now, started) = (clock::now(), Instant::now());
        let asked = Asked::all(Arc::clone(users));
        let fetched = open::block_on(async { Ok(opened.fetch(&asked, now, source.budget).await) });
        drop(busy);
        let mut fetched = fetched?;
        fetched.fault = fetched.fault.or_else(|| faults.get(&source.name).cloned());
        polls.push(poll(&source.name, users.len(), fetched, now, Span::from_std(started.elapsed())));
    }
    let polled: Vec<_> = wanted.iter().zip(&polls).map(|((_, users), poll)| polled(users, poll)).collect();
    if common.json {
        print::json(&polled)?;
    } else {
        let text: Vec<String> = polled.iter().map(|polled| text(polled, config.agent.timezone)).collect();
        print::raw(text.join("\n").as_bytes());
    }
    let failed = polled.iter().any(|polled| polled.outcome == PollOutcome::Failed);
    Ok(if failed { Exit::Problem } else { Exit::Fine })
}

fn wanted<'c>(config: &'c Config, args: &Args) -> Result<Vec<Wanted<'c>>, Failure> {
    let sources = pick::sources(config, args.source.as_deref())?;
    if args.users.is_empty() {
        return Ok(sources.into_iter().map(|source| (source, Arc::clone(&source.users))).collect());
    }
    let mut wanted: Vec<Wanted<'c>> = Vec::new();
    for text in &args.users {
        let (source, user) = pick::user(&sources, text)?;
        match wanted.iter_mut().find(|(other, _)| other.name == source.name) {
            Some((_, users)) => drop(Arc::make_mut(users).slot_or_add(user)),
            None => wanted.push((source, Arc::new(Names::new([user])))),
        }
    }
    Ok(wanted)
}

/// Keys that do not resolve are mistakes of the rules file, with their place in it.
pub(super) fn refused(config: &Config, error: anyhow::Error) -> Failure {
    unresolved(config, "account", error)
}

/// As the mistakes of the rules file that they are, if there are any: references that do not resolve below keys that
/// begin so.
pub(super) fn unresolved(config: &Config, keys: &str, error: anyhow::Error) -> Failure {
    let mut errors = config.unresolved();
    errors.retain(|problem| problem.key.starts_with(keys));
    if errors.is_empty() {
        return Failure::Other(error);
    }
    Failure::Rules(Problems { errors, warnings: Vec::new() })
}

/// What was fetched, in the form in which an outcome is judged.
fn poll(source: &str, users: usize, fetched: Fetched, at: Time, took: Span) -> Poll {
    debug_assert_eq!(fetched.readings.len(), users);
    Poll {
        source: source.to_owned(),
        seq: 0,
        at,
        elapsed: Span::ZERO,
        jump: None,
        readings: fetched.readings,
        batch_of: fetched.batch_of,
        batches: fetched.batches,
        requests: fetched.requests,
        took,
        fault: fetched.fault,
        skew: fetched.skew,
    }
}

fn polled<'a>(users: &'a Names, poll: &'a Poll) -> Polled<'a> {
    let mut quarantined = Vec::new();
    let mut readings = Vec::with_capacity(users.len());
    for (slot, (user, reading)) in (0..).zip(users.iter().zip(&poll.readings)) {
        let batch = poll.batch(slot);
        match reading.kind() {
            Kind::NotPolled => quarantined.push(user),
            Kind::Online(_) | Kind::Absent | Kind::Failed => readings.push(Row {
                user,
                reading: reading.word(),
                online: reading.count(),
                request_id: batch.and_then(|batch| batch.request_id.as_ref()).map(RequestId::text),
                fetched_at: batch.map(|batch| batch.fetched_at),
            }),
        }
    }
    let error = poll.fault.as_ref().map(|fault| Trouble { code: &fault.code, message: fault.told() });
    Polled {
        source: &poll.source,
        at: poll.at,
        outcome: poll.tally().outcome,
        requests: poll.requests,
        took: poll.took,
        quarantined,
        readings,
        error,
    }
}

fn text(polled: &Polled<'_>, zone: Tz) -> String {
    let users = polled.readings.len() + polled.quarantined.len();
    let mut text = format!(
        "{}: {}; {users} {} asked about in {} {}, {}; {}\n",
        polled.source,
        polled.outcome.word(),
        if users == 1 { "user" } else { "users" },
        polled.requests,
        if polled.requests == 1 { "request" } else { "requests" },
        polled.took,
        when::local(zone, polled.at),
    );
    if let Some(error) = &polled.error {
        text += &format!("error: {}: {}\n", clean(error.code, 100), clean(&error.message, 1000));
    }
    if !polled.quarantined.is_empty() {
        let names: Vec<String> = polled.quarantined.iter().map(|user| format!("{user:?}")).collect();
        text += &format!("refused by the vendor as names, and left out: {}\n", names.join(", "));
    }
    if polled.readings.is_empty() {
        return text;
    }
    let cells = |row: &Row<'_>| {
        vec![
            row.user.to_owned(),
            row.reading.to_owned(),
            print::or_dash(row.online),
            print::or_dash(row.fetched_at.map(|at| when::local(zone, at))),
            print::or_dash(row.request_id.as_deref()),
        ]
    };
    let rows: Vec<_> = polled.readings.iter().map(cells).collect();
    text + &print::list(&["user", "reading", "online", "fetched", "request id"], &rows, &["fetched"])
}
