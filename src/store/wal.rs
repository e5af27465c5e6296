//! The write-ahead log beside the database: how large it may grow, and how it is cut back.
//!
//! Neighbours: the agent asks every half minute; `connection` has SQLite do the usual checkpoints. A part of its own
//! because a program that keeps reading pins the log, and nobody but us would ever notice.

use std::time::Duration;

use super::connection::PATIENCE;
use super::lock::beside;
use super::{Pending, Store};

/// A log beyond this is cut back; SQLite's own checkpoints keep it at a few MiB where no reader is in the way.
const LARGE: u64 = 64 << 20;

impl Store {
    /// Cuts the log back if it is large; its size in bytes where that did not help, because somebody reads.
    pub fn cut_log(&self) -> Pending<Option<u64>> {
        self.cut_log_above(LARGE)
    }

    pub(super) fn cut_log_above(&self, limit: u64) -> Pending<Option<u64>> {
        let wal = beside(&self.path, "-wal");
        Pending(self.writer.run(move |writer| {
            let length = || std::fs::metadata(&wal).map_or(0, |meta| meta.len());
            if length() <= limit {
                return Ok(None);
            }
            let connection = writer.connection()?;
            // No poll waits until the reader is done.
            connection.busy_timeout(Duration::ZERO)?;
            // One row says how far it came; that is seen in the file.
            let cut = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            connection.busy_timeout(PATIENCE)?;
            cut?;
            Ok(Some(length()).filter(|length| *length > limit))
        }))
    }
}
