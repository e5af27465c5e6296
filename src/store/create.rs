//! A new database: whole under its name, or not there.
//!
//! Neighbours: `file` found nothing under the name, `migrate` fills what is made here. A part of its own because SQLite
//! begins a file in several steps: a process that ends between them would leave what no later start could tell from
//! another program's file.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::StoreError;
use super::lock::beside;
use super::{connection, migrate};
use crate::engine::time::Time;

/// Makes the database beside its place, 0600, and renames it there. Call it while the lock is held: what an earlier
/// start left half made is thrown away.
pub(super) fn database(path: &Path, now: Time) -> Result<(), StoreError> {
    if path.symlink_metadata().is_ok() {
        return Err(StoreError::Io { path: path.to_owned(), detail: "it is a link to nothing".to_owned() });
    }
    let new = beside(path, ".new");
    make(&new, now).map_err(|e| e.at(path))?;
    let place = || -> std::io::Result<()> {
        set_aside(path, now)?;
        File::open(&new)?.sync_all()?;
        std::fs::rename(&new, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    };
    place().map_err(|e| StoreError::from(e).at(path))
}

/// The log of a file that is gone would be taken for that of the new one. It may hold what was not in the file yet: it is
/// kept, for whoever finds the file again.
fn set_aside(path: &Path, now: Time) -> std::io::Result<()> {
    let log = beside(path, "-wal");
    if log.symlink_metadata().is_ok() {
        let aside = beside(path, &format!("-wal.lost-{}", now.millis()));
        std::fs::rename(&log, &aside)?;
        tracing::warn!(log = %aside.display(), "the log of a database that is gone was set aside");
    }
    match std::fs::remove_file(beside(path, "-shm")) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn make(new: &Path, now: Time) -> Result<(), StoreError> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        match std::fs::remove_file(beside(new, suffix)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
            Ok(()) | Err(_) => {}
        }
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    let mut connection = connection::writing(new)?;
    migrate::apply(&mut connection, new, &migrate::STEPS)?;
    migrate::install_id(&connection, now)?;
    // The last one to close moves everything from the log into the file, and deletes the log.
    connection.close().map_err(|(_, error)| error)?;
    match beside(new, "-wal").exists() {
        true => Err(StoreError::Io {
            path: new.to_owned(),
            detail: "its log could not be written back".to_owned(),
        }),
        false => Ok(()),
    }
}
