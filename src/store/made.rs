//! Attempts that were made while nothing could be written, taken into the outbox afterwards.
//!
//! Neighbours: the agent tells from memory that the store fails, `commit` brings what it did here, `deliver` ends an
//! attempt. A part of its own because every other attempt is written before it is made.

use rusqlite::{Connection, params};

use super::deliver::{self, Finish};
use super::error::StoreError;
use super::outbox;
use crate::engine::time::Time;

/// What was tried of a notification before it had a row. Of several attempts the last is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// `ntf_…`
    pub notification: String,
    /// So many were begun, the last one included.
    pub begun: u32,
    /// When the first was begun, and the last.
    pub first: Time,
    pub last: Time,
    /// Recipients that took it over.
    pub accepted: Vec<String>,
    /// How the last one ended; None if nobody knows.
    pub finish: Option<Finish>,
}

/// Notes what was tried of a row that was inserted in the same transaction; one that was tried since stays as it is.
pub(super) fn note(c: &Connection, made: &Made) -> Result<(), StoreError> {
    let (no, id, _) = outbox::find(c, &made.notification)?;
    let (first, last) = (made.first.millis(), made.last.millis());
    let update =
        "UPDATE notification SET tries = ?2, attempts = ?2, first_attempt_at = ?3, accepted = ?4, told = 1
                  WHERE no = ?1 AND attempts = 0";
    let accepted = serde_json::to_string(&made.accepted)?;
    if c.prepare_cached(update)?.execute(params![no, made.begun, first, accepted])? == 0 {
        return Ok(());
    }
    let insert = "INSERT INTO attempt (notification, n, run, started_at) VALUES (?1, ?2, 'memory', ?3)";
    c.prepare_cached(insert)?.execute(params![no, made.begun, last])?;
    if let Some(finish) = &made.finish {
        return deliver::finish(c, &id, made.begun, finish);
    }
    let update = "UPDATE attempt SET ended_at = started_at, outcome = 'crashed' WHERE notification = ?1 AND ended_at IS NULL";
    c.prepare_cached(update)?.execute([no])?;
    c.prepare_cached("UPDATE notification SET crashes = 1 WHERE no = ?1")?.execute([no])?;
    Ok(())
}
