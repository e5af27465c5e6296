//! `seatwatch outbox`: notifications listed, shown, sent again and dropped.
//!
//! Neighbours: the store has them, `payload` reads what was stored, `acts` asks the agent. A part of its own because
//! it answers one question: who has not been told yet, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::episode::Attempt;
use super::payload::Payload;
use super::{Common, Exit, Failure, acts, local, open, pick, print, when};
use crate::channel::Settings;
use crate::config::Config;
use crate::engine::outcome::Act;
use crate::engine::time::Time;
use crate::store::{NotificationRow, OutboxFilter, OutboxState, Reader, StoreError};

/// So many notifications are named where none fits.
const NEWEST: u32 = 5;
/// How far back dead ones are looked for.
const LOOK_BACK: u32 = 1_000;

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
    /// What is still to be sent
    List {
        /// What was sent, given up or replaced, too
        #[arg(long)]
        all: bool,
        /// Only those for this channel
        #[arg(long, value_name = "NAME")]
        channel: Option<String>,
    },
    /// One notification: what it says, and each attempt to deliver it
    Show {
        /// Its id, or the beginning of it
        #[arg(value_name = "NOTIFICATION")]
        notification: String,
    },
    /// Send a dead notification again, with the same id; one that waits for its next attempt, or for an earlier one, goes at once with it, and where the
    /// receiver was gone (410) all that waits for its channel does
    Retry {
        /// Its id, or the beginning of it
        #[arg(value_name = "NOTIFICATION")]
        notification: String,
    },
    /// Give a notification up; its channel is then not told the end of what it would have told
    Drop {
        /// Its id, or the beginning of it
        #[arg(value_name = "NOTIFICATION")]
        notification: String,
    },
}

/// One element of `outbox list --json`.
#[derive(Serialize)]
struct Listed<'a> {
    notification: &'a str,
    channel: &'a str,
    state: OutboxState,
    told: bool,
    events: &'a [String],
    created_at: Time,
    /// Null unless it is still to be sent.
    next_attempt_at: Option<Time>,
    attempts: u32,
    last_error: Option<&'a str>,
    superseded_by: Option<&'a str>,
    /// The earlier notification that it waits for.
    waits_for: Option<&'a str>,
}

/// What `outbox show --json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    notification: &'a str,
    channel: &'a str,
    state: OutboxState,
    told: bool,
    events: &'a [String],
    created_at: Time,
    next_attempt_at: Option<Time>,
    last_error: Option<&'a str>,
    superseded_by: Option<&'a str>,
    waits_for: Option<&'a str>,
    attempts: Vec<Attempt<'a>>,
    payload: &'a Payload,
}

pub(super) fn run(common: &Common, args: Args) -> Result<Exit, Failure> {
    let (config, reader) = open::records(common, args.database.as_deref())?;
    let lost = |error| lost(&reader, error);
    match args.verb {
        Verb::List { all, channel } => {
            let filter = OutboxFilter { all, channel, limit: None };
            list(common, &config, &reader, &filter)
        }
        Verb::Show { notification } => {
            let (row, attempts) = reader.notification(&notification).map_err(lost)?;
            let payload = Payload::read(&reader.payload(&row.id)?);
            let attempts = attempts.iter().map(Attempt::new).collect();
            let next = next(&row, &failing(&reader)?);
            show(common, &config, (&row, next), attempts, &payload)
        }
        Verb::Retry { notification } => {
            let (row, _) = reader.notification(&notification).map_err(lost)?;
            let act = Act::Retry { notification };
            over(common, &act, &row).unwrap_or_else(|| acts::ask(common, &config, act, lost))
        }
        Verb::Drop { notification } => {
            let (row, _) = reader.notification(&notification).map_err(lost)?;
            let act = Act::Drop { notification };
            over(common, &act, &row).unwrap_or_else(|| acts::ask(common, &config, act, lost))
        }
    }
}

/// Refuses at once what no agent can do any more.
fn over(common: &Common, act: &Act, row: &NotificationRow) -> Option<Result<Exit, Failure>> {
    match row.state {
        OutboxState::Pending | OutboxState::Waiting | OutboxState::Dead => None,
        OutboxState::Sent | OutboxState::Superseded => {
            let message = format!("{} is {}; there is nothing to send or drop", row.id, row.state.word());
            Some(acts::refuse(common, act, message))
        }
    }
}

/// No notification of that name: the newest ones are.
fn lost(reader: &Reader, error: StoreError) -> Failure {
    if !matches!(error, StoreError::NotFound { .. }) {
        return error.into();
    }
    let filter = OutboxFilter { all: true, channel: None, limit: Some(NEWEST) };
    let rows = reader.outbox(&filter).unwrap_or_default();
    if rows.is_empty() {
        return Failure::usage(format!("{error}; nothing was to be sent yet"));
    }
    let named = |row: &NotificationRow| format!("\n  {} {} {}", row.id, row.channel, local::word(&row.state));
    let newest: String = rows.iter().rev().map(named).collect();
    Failure::usage(format!("{error}; the newest are{newest}"))
}

fn listed<'r>(row: &'r NotificationRow, failing: &Failing) -> Listed<'r> {
    Listed {
        notification: &row.id,
        channel: &row.channel,
        state: row.state,
        told: row.told,
        events: &row.events,
        created_at: row.created_at,
        next_attempt_at: next(row, failing),
        attempts: row.attempts,
        last_error: row.last_error.as_deref(),
        superseded_by: row.superseded_by.as_deref(),
        waits_for: row.behind.as_ref().map(|behind| behind.id.as_str()),
    }
}

/// When channels that took nothing at the last attempt are tried again at the latest: with the first of what they did
/// not take.
type Failing = BTreeMap<String, Time>;

fn failing(reader: &Reader) -> Result<Failing, StoreError> {
    let fails: BTreeSet<String> =
        reader.channel_health()?.into_iter().filter(|one| one.failing > 0).map(|one| one.channel).collect();
    let mut channels = Failing::new();
    if fails.is_empty() {
        return Ok(channels);
    }
    for row in reader.outbox(&OutboxFilter::default())? {
        if row.told && row.state == OutboxState::Pending && fails.contains(&row.channel) {
            let first = channels.entry(row.channel).or_insert(row.next_attempt_at);
            *first = row.next_attempt_at.min(*first);
        }
    }
    Ok(channels)
}

/// When it is tried next, if it is; what was never tried waits for its channel.
fn next(row: &NotificationRow, failing: &Failing) -> Option<Time> {
    let channel = failing.get(&row.channel).filter(|_| !row.told);
    let at = channel.map_or(row.next_attempt_at, |at| row.next_attempt_at.max(*at));
    let at = row.behind.as_ref().map_or(at, |behind| at.max(behind.next_attempt_at));
    (row.state == OutboxState::Pending).then_some(at)
}

/// What it waits for, and of a mail that only some have yet, for whom.
fn waits(row: &NotificationRow, config: &Config) -> Option<String> {
    let behind = row.behind.as_ref()?;
    let of = config.channels.iter().find(|channel| channel.name() == row.channel);
    let all: Vec<String> = match of {
        Some(Settings::Email(mail)) => mail.to.iter().map(|mailbox| mailbox.email.to_string()).collect(),
        Some(Settings::Webhook(_)) | None => Vec::new(),
    };
    let left: Vec<String> = all.into_iter().filter(|who| !behind.accepted.contains(who)).collect();
    let whom =
        if left.is_empty() { String::new() } else { format!(", not yet taken by {}", left.join(", ")) };
    Some(format!("waits for {}{whom}", local::short(&behind.id)))
}

fn list(common: &Common, config: &Config, reader: &Reader, filter: &OutboxFilter) -> Result<Exit, Failure> {
    let rows = reader.outbox(filter)?;
    let channels = || config.channels.iter().map(Settings::name);
    if let Some(name) = filter.channel.as_deref().filter(|name| channels().all(|known| known != *name)) {
        // Rows of a channel that left the rules file are still there to be seen.
        if rows.is_empty() {
            return Err(pick::unknown("channel", name, channels()));
        }
    }
    let failing = failing(reader)?;
    if common.json {
        print::json(&rows.iter().map(|row| listed(row, &failing)).collect::<Vec<_>>())?;
        return Ok(Exit::Fine);
    }
    let text = if rows.is_empty() { nothing(filter) } else { table(&rows, &failing, config) };
    print::raw(text.as_bytes());
    if !filter.all {
        let recent = OutboxFilter { all: true, limit: Some(LOOK_BACK), ..filter.clone() };
        let dead = reader.outbox(&recent)?.iter().filter(|row| row.state == OutboxState::Dead).count();
        if dead > 0 {
            print::line(&format!(
                "{dead} more could not be delivered or were dropped: `seatwatch outbox list --all`."
            ));
        }
    }
    Ok(Exit::Fine)
}

fn nothing(filter: &OutboxFilter) -> String {
    if filter.all { "There are no notifications yet.\n" } else { "Nothing waits to be sent.\n" }.to_owned()
}

fn table(rows: &[NotificationRow], failing: &Failing, config: &Config) -> String {
    let zone = config.agent.timezone;
    let cells = |row: &NotificationRow| {
        vec![
            local::short(&row.id),
            row.channel.clone(),
            local::word(&row.state),
            row.events.len().to_string(),
            when::local(zone, row.created_at),
            print::or_dash(next(row, failing).map(|at| when::local(zone, at))),
            row.attempts.to_string(),
            print::or_dash(waits(row, config).or_else(|| row.last_error.clone())),
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    let head =
        ["notification", "channel", "state", "events", "created", "next attempt", "attempts", "last error"];
    print::list(&head, &rows, &["attempts", "events", "created"])
}

fn show(
    common: &Common,
    config: &Config,
    (row, next): (&NotificationRow, Option<Time>),
    attempts: Vec<Attempt<'_>>,
    payload: &Payload,
) -> Result<Exit, Failure> {
    if common.json {
        print::json(&Shown {
            notification: &row.id,
            channel: &row.channel,
            state: row.state,
            told: row.told,
            events: &row.events,
            created_at: row.created_at,
            next_attempt_at: next,
            last_error: row.last_error.as_deref(),
            superseded_by: row.superseded_by.as_deref(),
            waits_for: row.behind.as_ref().map(|behind| behind.id.as_str()),
            attempts,
            payload,
        })?;
        return Ok(Exit::Fine);
    }
    let zone = config.agent.timezone;
    let mut facts = vec![
        ("notification", row.id.clone()),
        ("channel", row.channel.clone()),
        ("state", local::word(&row.state)),
        ("created", when::local(zone, row.created_at)),
        ("events", row.events.join(", ")),
    ];
    facts.extend(next.map(|at| ("next attempt", when::local(zone, at))));
    facts.extend(waits(row, config).map(|waits| ("waiting", waits)));
    facts.extend(row.superseded_by.iter().map(|by| ("replaced by", by.clone())));
    facts.extend(
        row.last_error.iter().map(|error| ("last error", crate::engine::message::clean(error, 1000))),
    );
    let rows: Vec<_> = attempts.iter().map(|attempt| attempt.cells(zone)).collect();
    let tried = match rows.is_empty() {
        true => "No attempt was made yet.\n".to_owned(),
        false => print::table(&["attempt", "at", "outcome", "status", "note"], &rows),
    };
    let facts = local::facts(&facts);
    let text = format!("{facts}\n{tried}\nPayload\n{}", payload.text());
    print::raw(text.as_bytes());
    Ok(Exit::Fine)
}
