//! Schema versions: each file of `migrations/` is one step, applied once, in order, never edited afterwards.
//!
//! Neighbours: `file` asks whether a database is ours, opening brings it up to date. A part of its own because a
//! database of years must be carried along by every release: a step and its number commit together, and a copy
//! of the database is made before an existing one is changed.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::backup;
use super::error::StoreError;
use super::lock::beside;
use crate::engine::time::Time;

/// "Seat"; set by the first step.
const APPLICATION_ID: i64 = 0x5365_6174;

/// The steps; `user_version` counts those applied.
pub(super) const STEPS: [&str; 4] = [
    include_str!("../../../migrations/0001_first.sql"),
    include_str!("../../../migrations/0002_roster.sql"),
    include_str!("../../../migrations/0003_polls.sql"),
    include_str!("../../../migrations/0004_moves.sql"),
];

/// The schema this release writes.
pub(super) const KNOWN: i64 = STEPS.len() as i64;

pub(super) fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Refuses a database that is not ours or newer than this release; true if nothing is in it yet. Only reads.
pub(super) fn belongs(connection: &Connection) -> Result<bool, StoreError> {
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let found = version(connection)?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let path = std::path::PathBuf::new();
    if application == 0 && found == 0 && tables == 0 {
        return Ok(true);
    }
    if application != APPLICATION_ID {
        let why = format!("its application_id is {application:#x}");
        return Err(StoreError::Foreign { path, why });
    }
    if found > KNOWN {
        return Err(StoreError::Newer { path, found, known: KNOWN });
    }
    Ok(false)
}

/// For those who do not migrate: ours, and of exactly this release's schema.
pub(super) fn current(connection: &Connection) -> Result<(), StoreError> {
    let path = std::path::PathBuf::new();
    if belongs(connection)? {
        return Err(StoreError::Older { path, found: 0, known: KNOWN });
    }
    match version(connection)? {
        found if found < KNOWN => Err(StoreError::Older { path, found, known: KNOWN }),
        _ => Ok(()),
    }
}

/// Applies what is missing of `steps`; before it changes an existing database, copies it to `FILE.schema-N`.
pub(super) fn apply(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), StoreError> {
    let found = usize::try_from(version(connection)?).map_err(|_| StoreError::corrupt("negative schema"))?;
    if found > 0 && found < steps.len() {
        backup::copy(connection, &beside(path, &format!(".schema-{found}")))?;
    }
    for (index, step) in steps.iter().enumerate().skip(found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// The installation's id: random, made with the database, and made anew when the database turns out to be a copy that
/// was put in its place. Its alerts count on from the copy's age then, and under the old id they would give ids to
/// new events that receivers have seen already and would drop.
pub(super) fn install_id(connection: &Connection, now: Time) -> Result<String, StoreError> {
    let value = |key: &str| {
        let query = "SELECT value FROM meta WHERE key = ?1";
        connection.query_row(query, [key], |row| row.get::<_, String>(0)).optional()
    };
    let is_copy = value(COPY)?.is_some();
    if let Some(id) = value("install_id")?.filter(|_| !is_copy) {
        return Ok(id);
    }
    let new = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 16]>());
    let transaction = connection.unchecked_transaction()?;
    transaction.execute("DELETE FROM meta WHERE key = ?1", [COPY])?;
    let put = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    transaction.execute(put, ["install_id", &new])?;
    transaction.execute(put, [if is_copy { "restored_at" } else { "created_at" }, &now.to_string()])?;
    transaction.commit()?;
    Ok(new)
}

/// Set in copies, so that one that is put to use is known for what it is.
const COPY: &str = "copy";

pub(super) fn mark_copy(copy: &Connection) -> Result<(), StoreError> {
    copy.execute("INSERT INTO meta (key, value) VALUES (?1, 'yes') ON CONFLICT (key) DO NOTHING", [COPY])?;
    Ok(())
}

#[cfg(test)]
mod tests;
