//! Copies of the database: whole, private, and never half there under their final name.
//!
//! Neighbours: `db backup` calls it while the agent runs, `migrate` before it changes a schema. A part of its own
//! because copying the file by other means while it is written gives a broken copy.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, backup::Backup};

use super::error::StoreError;
use super::file::is_foreign;
use super::{Reader, check, migrate};

/// Directories beside a copy's place begin so; each is of one copy under way, or of one that was cut off.
const ASIDE: &str = ".seatwatch-backup-";
/// What may lie in one beside its lock.
const PARTS: [&str; 4] = ["copy.db", "copy.db-journal", "copy.db-wal", "copy.db-shm"];

/// Where a copy is made before it is put in its place; goes with this.
struct Aside {
    directory: tempfile::TempDir,
    /// As long as it is held, no other backup takes the directory for one that was cut off.
    _lock: File,
}

impl Aside {
    fn within(place: &Path) -> Result<Self, StoreError> {
        loop {
            // tempfile makes it 0700.
            let directory = tempfile::Builder::new().prefix(ASIDE).tempdir_in(place)?;
            // Another backup may take it for left over until its lock is held.
            if let Some(lock) = first_lock(directory.path())? {
                return Ok(Self { directory, _lock: lock });
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("copy.db")
    }
}

fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn lock_of(aside: &Path) -> PathBuf {
    aside.join("lock")
}

/// The lock of a directory that was just made; none if another backup came first.
fn first_lock(aside: &Path) -> std::io::Result<Option<File>> {
    let lock = match private(&lock_of(aside)) {
        Ok(lock) => lock,
        Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => return Ok(None),
        Err(e) => return Err(e),
    };
    lock.lock()?;
    let own = lock.metadata()?;
    let there =
        lock_of(aside).metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == (own.dev(), own.ino()));
    Ok(there.then_some(lock))
}

/// Takes away what backups left in the same place that were killed. What cannot be taken away stays, and is no reason
/// not to make a copy.
fn sweep(place: &Path) {
    let Ok(entries) = place.read_dir() else { return };
    for entry in entries.flatten() {
        let is_aside = entry.file_name().to_string_lossy().starts_with(ASIDE);
        if !is_aside || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let (aside, lock) = (entry.path(), lock_of(&entry.path()));
        // Where it has none yet, whoever made it finds this one in its place, and makes another directory.
        let Ok(held) = File::open(&lock).or_else(|_| private(&lock)) else { continue };
        if held.try_lock().is_ok() {
            PARTS.iter().for_each(|part| drop(std::fs::remove_file(aside.join(part))));
            let _ = std::fs::remove_file(lock);
            // Refused where anything else lies in it.
            let _ = std::fs::remove_dir(aside);
        }
    }
}

/// Copies what is committed now to `target`, by way of a directory beside it: checked, synced, renamed, 0600.
pub(super) fn copy(from: &Connection, target: &Path) -> Result<(), StoreError> {
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let copy = || -> Result<(), StoreError> {
        let aside = Aside::within(directory)?;
        sweep(directory);
        let path = aside.file();
        let file = private(&path)?;
        {
            let mut to = Connection::open(&path)?;
            // All pages in one step: one read transaction, so no writer can come between and none is held up.
            Backup::new(from, &mut to)?.step(-1)?;
            check::quick(&to).map_err(StoreError::of_ours)?;
            migrate::mark_copy(&to)?;
            // A copy stands alone: without -wal and -shm beside it.
            to.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        }
        file.sync_all()?;
        std::fs::rename(&path, target)?;
        File::open(directory)?.sync_all()?;
        Ok(())
    };
    copy().map_err(|e| e.at(target))
}

impl Reader {
    /// Writes a copy to `target` (0600; a database there is replaced, nothing else is), also while the agent runs.
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
            Ok(_) if is_foreign(target).map_err(|error| StoreError::from(error).at(target))? => {
                let target = target.display();
                let why = format!("{target} is not a database, so it is not replaced: name another file");
                return Err(StoreError::Refused(why));
            }
            Ok(_) | Err(_) => {}
        }
        copy(&self.connection, target)
    }
}
