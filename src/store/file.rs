//! The database file before SQLite touches it: is it there, ours, of our time, whole, and only ours to read.
//!
//! Neighbours: `connection` opens what this file let pass. A part of its own because a file that is refused must
//! stay as it was, byte for byte, and because SQLite asks none of these questions.

use std::fs::Metadata;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::StoreError;
use super::lock::beside;
use super::migrate;

/// What tells one file from another under the same name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of the file that the path names now; [`StoreError::Gone`] if there is none.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        match std::fs::metadata(path) {
            Ok(meta) => Ok(Self { device: meta.dev(), inode: meta.ino() }),
            Err(e) if e.kind() == ErrorKind::NotFound => Err(StoreError::Gone { path: path.to_owned() }),
            Err(e) => Err(StoreError::from(e).at(path)),
        }
    }
}

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Smaller files are checked through at every start; larger ones after an unclean stop only.
const ALWAYS_CHECKED: u64 = 32 << 20;

/// What is known of the file before it is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    Nothing,
    Empty,
    /// It has our mark; `check`: read it through before trusting it.
    Ours {
        check: bool,
    },
}

/// Looks at the file without writing. Call it before any connection is open in this process.
pub(super) fn prepare(path: &Path) -> Result<Found, StoreError> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(e) => return Err(StoreError::from(e).at(path)),
    };
    if !meta.is_file() {
        return Err(StoreError::Foreign {
            path: path.to_owned(),
            why: "it is not a regular file".to_owned(),
        });
    }
    let unclean = std::fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    if meta.len() == 0 {
        private(path, &meta)?;
        return Ok(Found::Empty);
    }
    header(path, &meta, unclean)?;
    private(path, &meta)?;
    let empty = ours(path)?;
    Ok(if empty { Found::Empty } else { Found::Ours { check: unclean || meta.len() <= ALWAYS_CHECKED } })
}

/// The first 100 bytes (SQLite file format, 1.3): magic, and whether the file is as long as it says.
fn header(path: &Path, meta: &Metadata, unclean: bool) -> Result<(), StoreError> {
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(100).read_to_end(&mut head));
    read.map_err(|e| StoreError::from(e).at(path))?;
    if !head.starts_with(MAGIC) {
        return Err(StoreError::Foreign { path: path.to_owned(), why: "not an SQLite file".to_owned() });
    }
    let damaged = |detail: &str| Err(StoreError::corrupt(detail).at(path));
    let Some((head, _)) = head.split_first_chunk::<100>() else {
        return damaged("the file ends within its header");
    };
    let page_size = match u64::from(head[16]) << 8 | u64::from(head[17]) {
        1 => 65_536,
        size => size,
    };
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // The page count counts only while "version valid for" equals the change counter.
    let says_length = word(24) == word(92);
    if says_length && !unclean && u64::from(word(28)) * page_size > meta.len() {
        return damaged("the end of the file is missing");
    }
    Ok(())
}

/// Asks SQLite itself, reading only, because what counts may still be in the -wal. True: nothing in it yet.
fn ours(path: &Path) -> Result<bool, StoreError> {
    let connection = super::connection::look(path)?;
    migrate::belongs(&connection).map_err(|e| e.at(path))
}

/// Refuses a file that another user owns or others may write; warns of one that others may read.
fn private(path: &Path, meta: &Metadata) -> Result<(), StoreError> {
    let me = rustix::process::geteuid();
    let exposed = |reason: String| Err(StoreError::Exposed { path: path.to_owned(), reason });
    let mode = meta.mode() & 0o777;
    if !me.is_root() && meta.uid() != me.as_raw() {
        let (owner, me) = (meta.uid(), me.as_raw());
        return exposed(format!("user {owner} owns it, mode {mode:o}, and this is user {me}"));
    }
    if mode & 0o022 != 0 {
        return exposed(format!("its mode is {mode:o}, others may write to it"));
    }
    if mode & 0o044 != 0 {
        tracing::warn!(database = %path.display(), mode = format!("{mode:o}"), "other users may read the database; chmod 600 it");
    }
    Ok(())
}
