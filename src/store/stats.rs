//! How much the database holds, in the words of `db stats`.
//!
//! Neighbours: `db stats` prints it. A part of its own because it counts over all tables.

use super::error::StoreError;
use super::lock::beside;
use super::{Reader, RulesFile, migrate, rules_file};
use crate::engine::time::Time;

/// Serialises as `db stats --json`.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Stats {
    pub file: String,
    pub bytes: u64,
    pub wal_bytes: u64,
    pub users: u64,
    pub polls: u64,
    /// Readings that can be told; users who were not polled do not count.
    pub readings: u64,
    pub changes: u64,
    /// Of the pages in use, wherever they lie (the file grows and shrinks in steps).
    pub bytes_per_reading: Option<f64>,
    pub first_at: Option<Time>,
    pub last_at: Option<Time>,
    pub events: u64,
    pub notifications: u64,
    pub sqlite_version: String,
    pub schema: i64,
    /// The rules file that the agent went over to last.
    pub rules: Option<RulesFile>,
    /// The one that it refused since then.
    pub refused_rules: Option<RulesFile>,
}

impl Reader {
    /// The instant of the last poll of any source.
    pub fn last_at(&self) -> Result<Option<Time>, StoreError> {
        let last = "SELECT max(at) FROM poll";
        self.run(|c| Ok(c.query_row(last, [], |row| row.get::<_, Option<i64>>(0))?.map(Time::from_millis)))
    }

    pub fn stats(&self) -> Result<Stats, StoreError> {
        let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
        let (bytes, wal_bytes) = (size(self.path()), size(&beside(self.path(), "-wal")));
        self.run(|c| {
            let count = |table: &str| -> Result<u64, StoreError> {
                let query = format!("SELECT count(*) FROM {table}");
                Ok(c.query_row(&query, [], |row| row.get::<_, i64>(0))?.cast_unsigned())
            };
            let sums = "SELECT count(*), coalesce(sum(asked), 0), coalesce(sum(changed), 0), min(at), max(at) FROM poll";
            let (polls, readings, changes, first, last) = c.query_row(sums, [], |row| {
                let number = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.cast_unsigned());
                let time = |at: usize| row.get::<_, Option<i64>>(at);
                Ok((number(0)?, number(1)?, number(2)?, time(3)?, time(4)?))
            })?;
            let used = "SELECT (p.page_count - f.freelist_count) * s.page_size
                        FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s";
            let used: i64 = c.query_row(used, [], |row| row.get(0))?;
            Ok(Stats {
                file: self.path().display().to_string(),
                bytes,
                wal_bytes,
                users: count("user")?,
                polls,
                readings,
                changes,
                bytes_per_reading: (readings > 0).then(|| used as f64 / readings as f64),
                first_at: first.map(Time::from_millis),
                last_at: last.map(Time::from_millis),
                events: count("event")?,
                notifications: count("notification")?,
                sqlite_version: rusqlite::version().to_owned(),
                schema: migrate::version(c)?,
                rules: rules_file::in_force(c)?,
                refused_rules: rules_file::refused(c)?,
            })
        })
    }
}
