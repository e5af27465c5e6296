//! Copies of the database: whole, private, and never half there under their final name.
//!
//! Neighbours: `db backup` calls it while the agent runs, `migrate` before it changes a schema. A part of its own
//! because copying the file by other means while it is written gives a broken copy.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, backup::Backup};

use super::error::StoreError;
use super::file::is_foreign;
use super::{Reader, check, migrate};

/// Directories beside a copy's place begin so; each is of one copy under way, or of one that was cut off.
const ASIDE: &str = ".seatwatch-backup-";
/// Who makes a directory takes its lock at once; without one it is left over only when it is older than this.
const UNLOCKED: Duration = Duration::from_hours(1);
/// What may lie in one.
const PARTS: [&str; 5] = ["copy.db", "copy.db-journal", "copy.db-wal", "copy.db-shm", "lock"];

/// Where a copy is made before it is put in its place; goes with this.
struct Aside {
    directory: tempfile::TempDir,
    /// As long as it is held, no other backup takes the directory for one that was cut off.
    _lock: File,
}

impl Aside {
    fn within(directory: &Path) -> Result<Self, StoreError> {
        // tempfile makes it 0700.
        let directory = tempfile::Builder::new().prefix(ASIDE).tempdir_in(directory)?;
        let lock = private(&directory.path().join("lock"))?;
        lock.lock()?;
        Ok(Self { directory, _lock: lock })
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("copy.db")
    }
}

fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Takes away what backups left in the same place that were killed. What cannot be taken away stays, and is no reason
/// not to make a copy.
fn sweep(ours: &Path) {
    let Some(entries) = ours.parent().and_then(|place| place.read_dir().ok()) else { return };
    for entry in entries.flatten() {
        let is_aside = entry.file_name().to_string_lossy().starts_with(ASIDE);
        if is_aside && entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_left_over(&entry.path(), ours)
        {
            PARTS.iter().for_each(|part| drop(std::fs::remove_file(entry.path().join(part))));
            // Refused where anything else lies in it.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// Nobody holds its lock; where it has none, `ours`, which was just made, is much younger.
fn is_left_over(aside: &Path, ours: &Path) -> bool {
    match File::open(aside.join("lock")) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => {
            let made = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
            let age = made(ours).zip(made(aside)).and_then(|(now, then)| now.duration_since(then).ok());
            age.is_some_and(|age| age > UNLOCKED)
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
        sweep(aside.directory.path());
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
