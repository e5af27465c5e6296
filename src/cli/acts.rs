//! Asking the agent for something: one row, then a short wait for what became of it.
//!
//! Neighbours: `alerts` and `outbox` ask through it, the agent's `tend` takes the row up. A part of its own because
//! all acts are asked for, waited for and reported in the same way, whether an agent runs or not.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::busy::Busy;
use super::{Common, Exit, Failure, open, print, when};
use crate::agent::clock;
use crate::config::Config;
use crate::engine::message::clean;
use crate::engine::outcome::{Act, ActResult};
use crate::engine::time::Time;
use crate::store::{ActState, Reader, StoreError, StoredAct, add_act};

/// How long a command waits for the agent, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a command prints of its act.
#[derive(Serialize)]
struct Asked {
    act: &'static str,
    /// Null if it was refused before the agent was asked.
    id: Option<i64>,
    result: &'static str,
    message: String,
}

/// An act as `alerts show` lists it.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    id: i64,
    by: &'a str,
    at: Time,
    #[serde(flatten)]
    act: &'a Act,
    result: &'static str,
    message: Option<&'a str>,
    taken_at: Option<Time>,
}

impl<'a> Listed<'a> {
    pub(super) fn new(stored: &'a StoredAct) -> Self {
        let result = match stored.state {
            ActState::Queued => "queued",
            ActState::Done => "done",
            ActState::Refused => "refused",
        };
        let (row, message) = (&stored.row, stored.message.as_deref());
        Self {
            id: row.id,
            by: &row.by,
            at: row.at,
            act: &row.act,
            result,
            message,
            taken_at: stored.taken_at,
        }
    }

    /// At, who, what, result, message.
    pub(super) fn cells(&self, zone: chrono_tz::Tz) -> Vec<String> {
        vec![
            when::local(zone, self.at),
            self.by.to_owned(),
            said(self.act),
            self.result.to_owned(),
            print::or_dash(self.message),
        ]
    }
}

fn word(act: &Act) -> &'static str {
    match act {
        Act::Ack { .. } => "ack",
        Act::Close { .. } => "close",
        Act::Retry { .. } => "retry",
        Act::Drop { .. } => "drop",
    }
}

/// The act's word, with what it concluded.
fn said(act: &Act) -> String {
    match act {
        Act::Close { finding: Some(finding), .. } => format!("close, {}", finding.word()),
        Act::Close { finding: None, .. } | Act::Ack { .. } | Act::Retry { .. } | Act::Drop { .. } => {
            word(act).to_owned()
        }
    }
}

/// Asks for `act` and prints what became of it; ids in it may be prefixes.
pub(super) fn ask(
    common: &Common,
    config: &Config,
    act: Act,
    lost: impl FnOnce(StoreError) -> Failure,
) -> Result<Exit, Failure> {
    let database = &config.agent.database;
    open::may_use(database)?;
    let act_word = word(&act);
    let id = add_act(database, &open::operator(), clock::now(), act).map_err(lost)?;
    let busy = Busy::with("waiting for the agent".to_owned());
    let result = wait(database, id)?;
    drop(busy);
    let (result, message) = match result {
        Some(ActResult { done: true, message, .. }) => ("done", message),
        Some(ActResult { message, .. }) => ("refused", message),
        None => ("queued", "taken up when the agent starts".to_owned()),
    };
    tell(common, &Asked { act: act_word, id: Some(id), result, message })
}

/// As an act that the agent refused, without asking it.
pub(super) fn refuse(common: &Common, act: &Act, message: String) -> Result<Exit, Failure> {
    tell(common, &Asked { act: word(act), id: None, result: "refused", message })
}

fn tell(common: &Common, asked: &Asked) -> Result<Exit, Failure> {
    if common.json {
        print::json(asked)?;
    } else {
        print::line(&format!("{}: {}", asked.result, clean(&asked.message, 500)));
    }
    Ok(if asked.result == "refused" { Exit::Problem } else { Exit::Fine })
}

/// None if nobody took the act up in time.
fn wait(database: &Path, id: i64) -> Result<Option<ActResult>, StoreError> {
    let reader = Reader::open(database)?;
    let started = Instant::now();
    loop {
        let result = reader.act_result(id)?;
        if result.is_some() || started.elapsed() >= PATIENCE {
            return Ok(result);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
