//! Copies of the database: whole, private, and never half there under their final name.
//!
//! Neighbours: `db backup` calls it while the agent runs, `migrate` before it changes a schema. A part of its own
//! because copying the file by other means while it is written gives a broken copy.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::{Connection, backup::Backup};

use super::error::StoreError;
use super::{Reader, check, migrate};

/// Copies what is committed now to `target`, by way of a temporary file beside it: checked, synced, renamed, 0600.
pub(super) fn copy(from: &Connection, target: &Path) -> Result<(), StoreError> {
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let copy = || -> Result<(), StoreError> {
        // tempfile creates 0600 and deletes the file if anything below fails.
        let file = tempfile::Builder::new().prefix(".seatwatch-backup-").tempfile_in(directory)?;
        {
            let mut to = Connection::open(file.path())?;
            // All pages in one step: one read transaction, so no writer can come between and none is held up.
            Backup::new(from, &mut to)?.step(-1)?;
            check::quick(&to)?;
            migrate::mark_copy(&to)?;
            // A copy stands alone: without -wal and -shm beside it.
            to.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        }
        file.as_file().sync_all()?;
        file.persist(target).map_err(|e| e.error)?;
        std::fs::File::open(directory)?.sync_all()?;
        Ok(())
    };
    copy().map_err(|e| e.at(target))
}

impl Reader {
    /// Writes a copy to `target` (0600, replaced if it exists), also while the agent runs.
    pub fn backup(&self, target: &Path) -> Result<(), StoreError> {
        let same = |meta: &std::fs::Metadata| {
            std::fs::metadata(self.path()).is_ok_and(|own| (own.dev(), own.ino()) == (meta.dev(), meta.ino()))
        };
        match std::fs::metadata(target) {
            Ok(meta) if same(&meta) => {
                return Err(StoreError::Refused(format!("{} is the database itself", target.display())));
            }
            Ok(meta) if !meta.is_file() => {
                return Err(StoreError::Refused(format!("{} is not a regular file", target.display())));
            }
            Ok(_) | Err(_) => {}
        }
        copy(&self.connection, target)
    }
}
