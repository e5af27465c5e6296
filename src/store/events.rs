//! Events: append-only, chained, each kept once however often it is committed.
//!
//! Neighbours: `commit` appends them, `episodes` is what they add up to, messages and commands read them back. A
//! part of its own because this table is what people are confronted with.

use rusqlite::{Connection, OptionalExtension, params};

use super::chain;
use super::error::StoreError;
use super::{Pending, Reader, Store};
use crate::engine::event::Event;

/// Number, previous hash, hash, then the hashed texts.
pub(super) const CHAIN: &str =
    "SELECT no, prev_hash, hash, id, episode, kind, CAST(at AS TEXT), event FROM event ORDER BY no";

/// A word of the engine as it serialises.
pub(super) fn word<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    let json = serde_json::to_value(value)?;
    json.as_str().map(str::to_owned).ok_or_else(|| StoreError::corrupt(format!("{json} is not a word")))
}

/// False if an event of this id is there already; then nothing is written.
pub(super) fn append(c: &Connection, event: &Event) -> Result<bool, StoreError> {
    let mut seen = c.prepare_cached("SELECT 1 FROM event WHERE id = ?1")?;
    if seen.exists([&event.id])? {
        return Ok(false);
    }
    let (last, prev) = chain::head(c, "event")?;
    let (no, kind, json) = (last + 1, word(&event.kind)?, serde_json::to_string(event)?);
    let at = event.at.millis().to_string();
    let texts = [&event.id, event.episode.as_str(), &kind, &at, &json];
    let hash = chain::hash(&prev, &texts.map(str::as_bytes));
    let insert = "INSERT INTO event (no, id, episode, kind, at, event, prev_hash, hash)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![no, event.id, event.episode.as_str(), kind, event.at.millis(), json, prev, hash];
    c.prepare_cached(insert)?.execute(values)?;
    chain::advance(c, "event", no, &hash)?;
    Ok(true)
}

fn read(id: &str, json: &str) -> Result<Event, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::unreadable(format!("event {id}"), error))
}

fn of_ids(c: &Connection, ids: &[String]) -> Result<Vec<Event>, StoreError> {
    let mut query = c.prepare_cached("SELECT event FROM event WHERE id = ?1")?;
    let mut events = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(json) = query.query_row([id], |row| row.get::<_, String>(0)).optional()? {
            events.push(read(id, &json)?);
        }
    }
    Ok(events)
}

pub(super) fn of_episode(c: &Connection, episode: &str) -> Result<Vec<Event>, StoreError> {
    let mut query = c.prepare_cached("SELECT id, event FROM event WHERE episode = ?1 ORDER BY no")?;
    let mut rows = query.query([episode])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(read(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?)?);
    }
    Ok(events)
}

impl Store {
    /// The events of these ids in this order; those pruned are left out.
    pub fn events(&self, ids: Vec<String>) -> Pending<Vec<Event>> {
        self.read(move |c| of_ids(c, &ids))
    }

    /// Oldest first.
    pub fn episode_events(&self, episode: &str) -> Pending<Vec<Event>> {
        let episode = episode.to_owned();
        self.read(move |c| of_episode(c, &episode))
    }
}

impl Reader {
    /// As [`Store::events`].
    pub fn events(&self, ids: &[String]) -> Result<Vec<Event>, StoreError> {
        self.run(|c| of_ids(c, ids))
    }

    /// Oldest first; `episode` is a whole id.
    pub fn episode_events(&self, episode: &str) -> Result<Vec<Event>, StoreError> {
        self.run(|c| of_episode(c, episode))
    }
}
