//! One agent per database: a lock beside the file, held for life.
//!
//! Neighbours: the store takes it before it looks at the database. A part of its own, and a file of its own,
//! because closing the database file by other means than SQLite's would drop SQLite's own locks. The kernel drops
//! this one when the process ends, however it ends: the file's presence means nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::StoreError;

#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held: the lock ends when the file is closed")] File);

/// `seatwatch.db` → `seatwatch.db.lock`, likewise for `-wal`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A holder that has just ended is waited for this long: a child process that was being started holds a copy of its
/// open files for a moment.
const PATIENCE: Duration = Duration::from_millis(500);

fn patiently(file: &File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            taken => return taken,
        }
    }
}

impl Lock {
    /// Refuses with [`StoreError::Busy`] and the holder's pid while another process holds it, after half a second.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database, ".lock");
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(|e| StoreError::from(e).at(database))?;
        match patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Only for the message; a holder that has not written its pid yet is still a holder.
                let _ = Read::by_ref(&mut file).take(32).read_to_string(&mut pid);
                let pid: String = pid.chars().filter(char::is_ascii_digit).collect();
                let pid = if pid.is_empty() { "unknown".to_owned() } else { pid };
                return Err(StoreError::Busy { path: database.to_owned(), pid });
            }
            Err(TryLockError::Error(e)) => return Err(StoreError::from(e).at(&path)),
        }
        let mut write = || -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write().map_err(|e| StoreError::from(e).at(&path))?;
        Ok(Self(file))
    }
}
