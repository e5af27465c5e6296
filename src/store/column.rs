//! Whole columns: what every slot's last reading was after a poll, from the nearest keyframe on.
//!
//! Neighbours: `polls` holds the changes that are laid over a keyframe; `retention` makes keyframes where pruning
//! needs one. A part of its own because both reading back and pruning stand on it.

use rusqlite::{Connection, OptionalExtension, params};

use super::codec;
use super::error::StoreError;
use super::source::{self, Row};
use super::{Reader, polls};
use crate::engine::reading::Reading;

pub(super) fn put_keyframe(
    c: &Connection,
    source: i64,
    seq: u64,
    column: &[Reading],
) -> Result<(), StoreError> {
    let insert = "INSERT OR REPLACE INTO keyframe (source, seq, readings) VALUES (?1, ?2, ?3)";
    c.prepare_cached(insert)?.execute(params![source, seq.cast_signed(), codec::column(column)])?;
    Ok(())
}

/// The newest keyframe at or before `seq`, with its poll's number; (0, nothing) where the source's first poll begins.
fn base(c: &Connection, source: &Row, seq: u64) -> Result<(u64, Vec<Reading>), StoreError> {
    let query =
        "SELECT seq, readings FROM keyframe WHERE source = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1";
    let found: Option<(i64, Vec<u8>)> = c
        .prepare_cached(query)?
        .query_row(params![source.id, seq.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some((at, bytes)) => {
            let broken =
                |_| StoreError::unreadable(format!("the keyframe of poll {at}"), "no column of readings");
            Ok((at.cast_unsigned(), codec::read_column(&bytes).map_err(broken)?))
        }
        None => Ok((0, Vec::new())),
    }
}

fn set(column: &mut Vec<Reading>, slot: u32, reading: Reading) {
    let slot = slot as usize;
    if slot >= column.len() {
        column.resize(slot + 1, Reading::NOT_POLLED);
    }
    column[slot] = reading;
}

/// Per slot the last reading up to poll `seq` that was known or *not polled*.
pub(super) fn kept(c: &Connection, source: &Row, seq: u64) -> Result<Vec<Reading>, StoreError> {
    let (base, mut column) = base(c, source, seq)?;
    let query = "SELECT seq, changes FROM poll WHERE source = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq";
    let mut query = c.prepare_cached(query)?;
    let mut rows = query.query(params![source.id, base.cast_signed(), seq.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let changes = row.get_ref(1)?.as_blob_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
        let done = codec::each_change(changes, |slot, reading| {
            set(&mut column, slot, reading);
            true
        });
        done.map_err(|_| polls::broken(row.get(0).unwrap_or_default()))?;
    }
    Ok(column)
}

/// Exactly what poll `seq` said of every slot, failures included.
fn exact(c: &Connection, source: &Row, seq: u64) -> Result<Vec<Reading>, StoreError> {
    if seq < source.first_seq || seq > source.last_seq {
        return Err(StoreError::missing(format!("poll {seq} in the database")));
    }
    let mut column = kept(c, source, seq)?;
    for range in polls::failed(c, source.id, seq)? {
        for slot in range {
            set(&mut column, slot, Reading::FAILED);
        }
    }
    Ok(column)
}

/// One slot's last kept reading after poll `seq`.
pub(super) fn kept_of(c: &Connection, source: &Row, seq: u64, slot: u32) -> Result<Reading, StoreError> {
    let (base, column) = base(c, source, seq)?;
    let mut last = column.get(slot as usize).copied().unwrap_or_default();
    let query = "SELECT seq, changes FROM poll WHERE source = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq";
    let mut query = c.prepare_cached(query)?;
    let mut rows = query.query(params![source.id, base.cast_signed(), seq.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let changes = row.get_ref(1)?.as_blob_or_null().map_err(rusqlite::Error::from)?.unwrap_or_default();
        let found =
            polls::change_of(changes, slot).map_err(|_| polls::broken(row.get(0).unwrap_or_default()))?;
        last = found.unwrap_or(last);
    }
    Ok(last)
}

impl Reader {
    /// Per slot the last reading up to poll `seq` that was known or *not polled*; failures leave no trace in it.
    pub fn column_at(&self, source: &str, seq: u64) -> Result<Vec<Reading>, StoreError> {
        self.run(|c| {
            let source = source::expect(c, source)?;
            kept(c, &source, seq.min(source.last_seq))
        })
    }

    /// Exactly what poll `seq` said of every slot; slots above the highest it mentions are *not polled*.
    pub fn readings_at(&self, source: &str, seq: u64) -> Result<Vec<Reading>, StoreError> {
        self.run(|c| exact(c, &source::expect(c, source)?, seq))
    }

    /// Per user of the source what the last poll said, in order of slots.
    pub fn last_readings(&self, source: &str) -> Result<Vec<Reading>, StoreError> {
        self.run(|c| {
            let row = source::expect(c, source)?;
            if row.last_seq == 0 { Ok(Vec::new()) } else { exact(c, &row, row.last_seq) }
        })
    }
}
