//! One agent per database: a lock beside the file, held for life, and a note that needs no room on the disk.
//!
//! Neighbours: the store takes it before it looks at the database. A part of its own, and a file of its own,
//! because closing the database file by other means than SQLite's would drop SQLite's own locks. The kernel drops
//! this one when the process ends, however it ends: the file's presence means nothing. What stands in it is for who
//! comes next: a pid for a message, and a note, written where the file has its blocks already.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::Store;
use super::error::StoreError;

/// The lock ends when the last of them is dropped.
#[derive(Clone, Debug)]
pub(super) struct Lock(Arc<File>);

/// The line that holds the pid, with its end.
const PID: usize = 32;
/// The whole file: what is noted is as long as the rest at most.
const SIZE: usize = 16 << 10;
/// Hexadecimal digits before the note that tell whether it is whole.
const CHECK: usize = 16;

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
        let named = if path.exists() { &path } else { database };
        let mut file = opened.map_err(|e| StoreError::from(e).at(named))?;
        match patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // Only for the message; a holder that has not written its pid yet is still a holder.
                let _ = Read::by_ref(&mut file).take(PID as u64).read_to_string(&mut pid);
                let pid: String = pid.chars().filter(char::is_ascii_digit).collect();
                let pid = if pid.is_empty() { "unknown".to_owned() } else { pid };
                return Err(StoreError::Busy { path: database.to_owned(), pid });
            }
            Err(TryLockError::Error(e)) => return Err(StoreError::from(e).at(&path)),
        }
        begin(&file).map_err(|e| StoreError::from(e).at(&path))?;
        Ok(Self(Arc::new(file)))
    }

    /// What was noted last, unless it was taken back, or only a part of it was written.
    fn note(&self) -> io::Result<Option<String>> {
        let mut bytes = vec![0; SIZE - PID];
        self.0.read_exact_at(&mut bytes, PID as u64)?;
        let noted = std::str::from_utf8(&bytes).ok().map(str::trim_end).and_then(|text| text.split_once(' '));
        Ok(noted.filter(|(check, note)| *check == checksum(note)).map(|(_, note)| note.to_owned()))
    }

    /// In place of what was noted before; nothing takes it back. One line that does not end with blanks.
    fn set_note(&self, note: Option<&str>) -> io::Result<()> {
        let mut line = note.map(|note| format!("{} {note}", checksum(note))).unwrap_or_default().into_bytes();
        if line.len() >= SIZE - PID {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "there is no room for so long a note"));
        }
        line.resize(SIZE - PID - 1, b' ');
        line.push(b'\n');
        self.0.write_all_at(&line, PID as u64)?;
        self.0.sync_data()
    }
}

fn checksum(note: &str) -> String {
    let mut digits = HEXLOWER.encode(&Sha256::digest(note));
    digits.truncate(CHECK);
    digits
}

/// Writes our pid over that of the last holder, and what the file lacks of its size. Nothing is cut off first: on a
/// full disk it could not be had back.
fn begin(file: &File) -> io::Result<()> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(SIZE);
    if length < SIZE {
        let from = length.max(PID);
        let mut rest = vec![b' '; SIZE - from];
        rest[SIZE - from - 1] = b'\n';
        file.write_all_at(&rest, from as u64)?;
        file.sync_all()?;
    }
    let mut pid = format!("{:<width$}", std::process::id(), width = PID - 1).into_bytes();
    pid.push(b'\n');
    file.write_all_at(&pid, 0)
}

impl Store {
    /// What an earlier process, or this one, noted beside the database, where a full disk loses nothing.
    pub fn note(&self) -> Result<Option<String>, StoreError> {
        self.lock.note().map_err(|e| StoreError::from(e).at(&self.path))
    }

    /// Notes one line, or takes back what was noted. Blocks for as long as the disk takes, but not for the database.
    pub fn set_note(&self, note: Option<&str>) -> Result<(), StoreError> {
        self.lock.set_note(note).map_err(|e| StoreError::from(e).at(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lock: &Lock, expect: Option<&str>) {
        assert_eq!(lock.note().unwrap().as_deref(), expect);
        assert_eq!(lock.0.metadata().unwrap().len(), SIZE as u64, "it neither grows nor shrinks");
    }

    #[test]
    fn a_note_outlives_its_process_and_half_a_note_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let (database, file) =
            (directory.path().join("seatwatch.db"), directory.path().join("seatwatch.db.lock"));
        // As an earlier release left it.
        std::fs::write(&file, "4711\n").unwrap();
        let lock = Lock::take(&database).unwrap();
        check(&lock, None);
        for note in ["told", "told soc, and mail", "\u{e9}"] {
            lock.set_note(Some(note)).unwrap();
            check(&lock, Some(note));
        }
        assert!(lock.set_note(Some(&"x".repeat(SIZE))).is_err());
        check(&lock, Some("\u{e9}"));
        drop(lock);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().next().unwrap().trim_end(), std::process::id().to_string());
        let lock = Lock::take(&database).unwrap();
        check(&lock, Some("\u{e9}"));
        lock.set_note(Some("told soc and mail")).unwrap();
        lock.0.write_all_at(b"told soc", (PID + CHECK + 1 + 9) as u64).unwrap();
        check(&lock, None);
        lock.set_note(None).unwrap();
        check(&lock, None);
    }
}
