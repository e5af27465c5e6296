//! Acts: what operators asked for, one row each, chained; the agent takes them up and writes what became of them.
//!
//! Neighbours: commands add rows from their own process, `commit` writes the results. A part of its own because it
//! is the one table with a second writer, and that one must be brief and need no lock file.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::chain;
use super::connection;
use super::episodes::by_prefix;
use super::error::StoreError;
use super::{Pending, Reader, Store, migrate};
use crate::engine::outcome::{Act, ActResult, ActRow};
use crate::engine::time::Time;

/// Number, previous hash, hash, then the hashed texts.
pub(super) const CHAIN: &str = "SELECT no, prev_hash, hash, by, CAST(at AS TEXT), act FROM act ORDER BY no";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActState {
    /// Not taken up yet.
    Queued,
    Done,
    Refused,
}

/// An act with what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredAct {
    pub row: ActRow,
    pub state: ActState,
    pub message: Option<String>,
    pub taken_at: Option<Time>,
}

/// Whole ids in place of prefixes.
fn resolve(c: &Connection, act: Act) -> Result<Act, StoreError> {
    let episode = |prefix: &str| by_prefix(c, "episode", "ep_", prefix);
    let notification = |prefix: &str| by_prefix(c, "notification", "ntf_", prefix);
    Ok(match act {
        Act::Ack { episode: e, note } => Act::Ack { episode: episode(&e)?, note },
        Act::Close { episode: e, rearm, finding, note } => {
            Act::Close { episode: episode(&e)?, rearm, finding, note }
        }
        Act::Retry { notification: n } => Act::Retry { notification: notification(&n)? },
        Act::Drop { notification: n } => Act::Drop { notification: notification(&n)? },
    })
}

fn insert(c: &Connection, by: &str, at: Time, act: Act) -> Result<i64, StoreError> {
    let act = resolve(c, act)?;
    let (episode, notification) = match &act {
        Act::Ack { episode, .. } | Act::Close { episode, .. } => (Some(episode), None),
        Act::Retry { notification } | Act::Drop { notification } => (None, Some(notification)),
    };
    let (last, prev) = chain::head(c, "act")?;
    let (no, json, millis) = (last + 1, serde_json::to_string(&act)?, at.millis().to_string());
    let hash = chain::hash(&prev, &[by.as_bytes(), millis.as_bytes(), json.as_bytes()]);
    let insert = "INSERT INTO act (no, by, at, act, episode, notification, prev_hash, hash)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    c.prepare_cached(insert)?.execute(params![
        no,
        by,
        at.millis(),
        json,
        episode,
        notification,
        prev,
        hash
    ])?;
    chain::advance(c, "act", no, &hash)?;
    Ok(no)
}

/// Asks for `act` from any process, whether an agent runs or not, and returns its number. Ids may be unique
/// prefixes; [`StoreError::NotFound`] and [`StoreError::Ambiguous`] leave no row.
pub fn add_act(path: &Path, by: &str, at: Time, act: Act) -> Result<i64, StoreError> {
    // Looks first, reading only, so that a foreign or newer file stays untouched.
    drop(Reader::open(path)?);
    let add = || -> Result<i64, StoreError> {
        let mut connection = connection::writing(path)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        migrate::current(&transaction)?;
        let id = insert(&transaction, by, at, act)?;
        transaction.commit()?;
        Ok(id)
    };
    add().map_err(|e| e.at(path))
}

/// What became of act `id`; none while it is queued.
pub fn act_result(path: &Path, id: i64) -> Result<Option<ActResult>, StoreError> {
    Reader::open(path)?.act_result(id)
}

pub(super) fn finish(c: &Connection, result: &ActResult, now: Time) -> Result<(), StoreError> {
    let update = "UPDATE act SET done = ?2, message = ?3, taken_at = ?4 WHERE no = ?1 AND done IS NULL";
    c.prepare_cached(update)?.execute(params![result.id, result.done, result.message, now.millis()])?;
    Ok(())
}

const COLUMNS: &str = "no, by, at, act, done, message, taken_at";

fn read(row: &Row<'_>) -> Result<StoredAct, StoreError> {
    let act = serde_json::from_str(&row.get::<_, String>(3)?)
        .map_err(|error| StoreError::unreadable(format!("act {}", row.get(0).unwrap_or(0_i64)), error))?;
    let row_ = ActRow { id: row.get(0)?, by: row.get(1)?, at: Time::from_millis(row.get(2)?), act };
    let state = match row.get::<_, Option<bool>>(4)? {
        None => ActState::Queued,
        Some(true) => ActState::Done,
        Some(false) => ActState::Refused,
    };
    let taken_at = row.get::<_, Option<i64>>(6)?.map(Time::from_millis);
    Ok(StoredAct { row: row_, state, message: row.get(5)?, taken_at })
}

fn select(c: &Connection, condition: &str, value: &str) -> Result<Vec<StoredAct>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM act WHERE {condition} AND ?1 = ?1 ORDER BY no");
    let mut query = c.prepare_cached(&query)?;
    let mut rows = query.query([value])?;
    let mut acts = Vec::new();
    while let Some(row) = rows.next()? {
        acts.push(read(row)?);
    }
    Ok(acts)
}

impl Store {
    /// Acts that nobody took up yet, in the order they were asked for.
    pub fn open_acts(&self) -> Pending<Vec<ActRow>> {
        self.read(|c| Ok(select(c, "done IS NULL", "")?.into_iter().map(|a| a.row).collect()))
    }

    /// As [`add_act`], from within the agent's process.
    pub fn add_act(&self, by: &str, at: Time, act: Act) -> Pending<i64> {
        let by = by.to_owned();
        self.write(move |c| insert(c, &by, at, act))
    }
}

impl Reader {
    /// What became of act `id`; none while it is queued.
    pub fn act_result(&self, id: i64) -> Result<Option<ActResult>, StoreError> {
        self.run(|c| {
            let query = format!("SELECT {COLUMNS} FROM act WHERE no = ?1");
            let found = c.prepare_cached(&query)?.query_row([id], |row| Ok(read(row))).optional()?;
            let act = found.transpose()?.ok_or_else(|| StoreError::missing(format!("act {id}")))?;
            let done = match act.state {
                ActState::Queued => return Ok(None),
                ActState::Done => true,
                ActState::Refused => false,
            };
            Ok(Some(ActResult { id, done, message: act.message.unwrap_or_default() }))
        })
    }

    /// The acts on an episode and on its notifications, oldest first; `episode` is a whole id.
    pub fn acts(&self, episode: &str) -> Result<Vec<StoredAct>, StoreError> {
        let of_episode = "(episode = ?1 OR notification IN (SELECT n.id FROM notification n
            JOIN notification_event e ON e.notification = n.no WHERE e.episode = ?1))";
        self.run(|c| select(c, of_episode, episode))
    }
}
