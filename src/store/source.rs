//! Sources: their names in the order of slots, what the agent remembers of them, and checkpoints of signals.
//!
//! Neighbours: `polls` and `column` keep the readings that belong to it; the agent starts from [`LoadedSource`].
//! A part of its own because it is everything a restart needs before it may poll again.

use rusqlite::blob::ZeroBlob;
use rusqlite::{Connection, MAIN_DB, OptionalExtension, params};

use super::error::StoreError;
use super::{Pending, Reader, Store, column, roster};
use crate::engine::names::{Names, NewNames};
use crate::engine::outcome::SourceMemory;
use crate::engine::reading::Reading;
use crate::engine::restore;
use crate::engine::roster::Listed;

/// What is known of a source when the agent starts. All empty for a source that was never polled.
#[derive(Clone, Debug, Default)]
pub struct LoadedSource {
    pub names: Names,
    pub memory: SourceMemory,
    /// Per slot the last reading that was known or *not polled*: what the next poll's changes are against.
    pub column: Vec<Reading>,
    pub checkpoint: Option<Checkpoint>,
    /// The last whole roster by slot, where one ever came.
    pub roster: Option<Vec<Listed>>,
}

/// Encoded signals as they were after poll `seq`; polls from `seq + 1` on bring them up to date.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    pub seq: u64,
    pub signals: Vec<u8>,
}

/// A source's row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) last_seq: u64,
    /// The oldest poll whose readings can be told.
    pub(super) first_seq: u64,
}

pub(super) fn find(c: &Connection, name: &str) -> Result<Option<Row>, StoreError> {
    let mut query = c.prepare_cached("SELECT id, last_seq, first_seq FROM source WHERE name = ?1")?;
    let row = |row: &rusqlite::Row<'_>| {
        let seq = |n: i64| n.cast_unsigned();
        Ok(Row { id: row.get(0)?, last_seq: seq(row.get(1)?), first_seq: seq(row.get(2)?) })
    };
    Ok(query.query_row([name], row).optional()?)
}

pub(super) fn expect(c: &Connection, name: &str) -> Result<Row, StoreError> {
    find(c, name)?.ok_or_else(|| StoreError::missing(format!("source {name} in the database")))
}

/// The row's memory is written with each poll.
pub(super) fn remember(c: &Connection, name: &str, memory: &SourceMemory) -> Result<i64, StoreError> {
    let mut upsert = c.prepare_cached(
        "INSERT INTO source (name, last_seq, memory) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET last_seq = excluded.last_seq, memory = excluded.memory RETURNING id",
    )?;
    let json = serde_json::to_string(memory)?;
    Ok(upsert.query_row(params![name, memory.seq.cast_signed(), json], |row| row.get(0))?)
}

/// Names that the store holds already, at the slots they are given, are left alone.
pub(super) fn add_names(c: &Connection, source: i64, new: &NewNames) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let next = "SELECT coalesce(max(slot) + 1, 0) FROM user WHERE source = ?1";
    let first: i64 = c.query_row(next, [source], |row| row.get(0))?;
    let mut insert = c.prepare_cached("INSERT INTO user (source, slot, name) VALUES (?1, ?2, ?3)")?;
    for (slot, name) in (first..).zip(new.iter()) {
        insert.execute(params![source, slot, name])?;
    }
    Ok(())
}

/// Written where it is to lie, piece by piece: a million users have many bytes.
pub(super) fn put_checkpoint(
    c: &Connection,
    source: i64,
    seq: u64,
    checkpoint: &restore::Checkpoint,
) -> Result<(), StoreError> {
    c.prepare_cached("DELETE FROM checkpoint WHERE source = ?1")?.execute([source])?;

    let mut insert = c.prepare_cached("INSERT INTO checkpoint (source, seq, signals) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![source, seq.cast_signed(), ZeroBlob(checkpoint.length())])?;
    let mut blob = c.blob_open(MAIN_DB, c"checkpoint", c"signals", source, false)?;
    let (mut at, mut written) = (0, Ok(()));
    checkpoint.write(&mut |piece| {
        if written.is_ok() {
            written = blob.write_all_at(piece, at);
            at += piece.len();
        }
    });
    written?;
    Ok(blob.close()?)
}

fn checkpoint(c: &Connection, source: i64) -> Result<Option<Checkpoint>, StoreError> {
    let query = "SELECT seq FROM checkpoint WHERE source = ?1";
    let seq: Option<i64> = c.query_row(query, [source], |row| row.get(0)).optional()?;
    let Some(seq) = seq else { return Ok(None) };
    let blob = c.blob_open(MAIN_DB, c"checkpoint", c"signals", source, true)?;
    let mut signals = vec![0; blob.len()];
    blob.read_at_exact(&mut signals, 0)?;
    Ok(Some(Checkpoint { seq: seq.cast_unsigned(), signals }))
}

pub(super) fn slot(c: &Connection, source: i64, user: &str) -> Result<Option<u32>, StoreError> {
    let query = "SELECT slot FROM user WHERE source = ?1 AND name = ?2";
    Ok(c.prepare_cached(query)?.query_row(params![source, user], |row| row.get(0)).optional()?)
}

pub(super) fn name(c: &Connection, source: i64, slot: u32) -> Result<String, StoreError> {
    let query = "SELECT name FROM user WHERE source = ?1 AND slot = ?2";
    Ok(c.prepare_cached(query)?.query_row(params![source, slot], |row| row.get(0))?)
}

fn names(c: &Connection, source: i64) -> Result<Names, StoreError> {
    let mut query = c.prepare_cached("SELECT name FROM user WHERE source = ?1 ORDER BY slot")?;
    let (mut rows, mut names) = (query.query([source])?, Names::default());
    while let Some(row) = rows.next()? {
        names.slot_or_add(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?);
    }
    Ok(names)
}

fn all(c: &Connection) -> Result<Vec<String>, StoreError> {
    let mut query = c.prepare_cached("SELECT name FROM source ORDER BY name")?;
    Ok(query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn load(c: &Connection, name: &str) -> Result<LoadedSource, StoreError> {
    let Some(row) = find(c, name)? else {
        return Ok(LoadedSource::default());
    };
    let json: String = c.query_row("SELECT memory FROM source WHERE id = ?1", [row.id], |r| r.get(0))?;
    let names = names(c, row.id)?;
    let mut column = column::kept(c, &row, row.last_seq)?;
    column.resize(names.len().max(column.len()), Reading::NOT_POLLED);
    Ok(LoadedSource {
        names,
        memory: serde_json::from_str(&json)
            .map_err(|error| StoreError::unreadable(format!("source {name}"), error))?,
        column,
        checkpoint: checkpoint(c, row.id)?,
        roster: roster::newest(c, row.id)?,
    })
}

impl Store {
    /// As [`Reader::sources`].
    pub fn sources(&self) -> Pending<Vec<String>> {
        self.read(all)
    }
    /// Everything a restart needs of a source; empty for one that was never polled.
    pub fn load_source(&self, name: &str) -> Pending<LoadedSource> {
        let name = name.to_owned();
        self.read(move |c| load(c, &name))
    }
}

impl Reader {
    /// As [`Store::load_source`].
    pub fn load_source(&self, name: &str) -> Result<LoadedSource, StoreError> {
        self.run(|c| load(c, name))
    }

    /// The names of all sources that were ever polled, in order of name.
    pub fn sources(&self) -> Result<Vec<String>, StoreError> {
        self.run(all)
    }
}
