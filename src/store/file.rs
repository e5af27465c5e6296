//! The database file before SQLite touches it: is it there, ours, of our time, whole, and only ours to read.
//!
//! Neighbours: `connection` opens what this file let pass. A part of its own because a file that is refused must
//! stay as it was, byte for byte, and because SQLite asks none of these questions.

use std::fs::Metadata;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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

/// The file that the path stands for: the lock lies beside it, whatever links lead to it.
pub(super) fn named(path: &Path) -> Result<PathBuf, StoreError> {
    let link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
    match std::fs::canonicalize(path) {
        Ok(file) if link => Ok(file),
        Ok(_) => Ok(path.to_owned()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(path.to_owned()),
        Err(e) => Err(StoreError::from(e).at(path)),
    }
}

/// Says that a database was begun; that is strange where an agent ran before, as its lock file tells.
pub(super) fn tell_new(path: &Path, ran_before: bool) {
    let database = path.display();
    if ran_before {
        tracing::warn!(%database, "a new database was made: an agent ran here before, and nothing of what it knew is there");
    } else {
        tracing::info!(%database, "a new database was made");
    }
}

/// `error`, unless it is another user's file beside the database that is at the bottom of it.
pub(super) fn blamed(error: StoreError, database: &Path) -> StoreError {
    use rustix::fs::{Access, access};
    if !matches!(error, StoreError::Io { .. } | StoreError::ReadOnly { .. }) {
        return error.at(database);
    }
    let closed = |path: &PathBuf| path.exists() && access(path, Access::READ_OK | Access::WRITE_OK).is_err();
    match ["-wal", "-shm"].map(|suffix| beside(database, suffix)).into_iter().find(closed) {
        Some(path) => StoreError::ReadOnly { path, reason: "this user may not read and write it".to_owned() },
        None => error.at(database),
    }
}

/// Whether something lies there that is no SQLite database; an empty file can become one.
///
/// # Errors
/// Why it cannot be read, or that nothing is there.
pub fn is_foreign(path: &Path) -> std::io::Result<bool> {
    if !std::fs::metadata(path)?.is_file() {
        return Ok(true);
    }
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(!head.is_empty() && head != MAGIC)
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
    if meta.nlink() > 1 {
        let detail = format!(
            "it has {} names, hard links, and under each of them an agent could start: remove all but one",
            meta.nlink()
        );
        return Err(StoreError::Io { path: path.to_owned(), detail });
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
    migrate::belongs(&connection).map_err(|e| blamed(e, path))
}

/// Refuses a file that another user owns or others may write; warns of one that others may read.
fn private(path: &Path, meta: &Metadata) -> Result<(), StoreError> {
    let me = rustix::process::geteuid().as_raw();
    if let Some(reason) = exposed(meta.uid(), meta.mode() & 0o777, me) {
        return Err(StoreError::Exposed { path: path.to_owned(), reason });
    }
    let mode = meta.mode() & 0o777;
    if mode & 0o044 != 0 {
        tracing::warn!(database = %path.display(), mode = format!("{mode:o}"), "other users may read the database; chmod 600 it");
    }
    Ok(())
}

/// Why a file of this owner and mode is not ours alone to write; root may use everybody's.
fn exposed(owner: u32, mode: u32, me: u32) -> Option<String> {
    if me != 0 && owner != me {
        return Some(format!("user {owner} owns it, mode {mode:o}, and this is user {me}"));
    }
    (mode & 0o022 != 0).then(|| format!("its mode is {mode:o}, others may write to it"))
}

/// Warns of a place that keeps a database badly: a directory others may write to, a file system without sound locks.
pub(super) fn doubt(path: &Path) {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mode = std::fs::metadata(directory).map_or(0o700, |meta| meta.mode());
    // The sticky bit leaves each file to its owner.
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        let mode = format!("{:o}", mode & 0o777);
        tracing::warn!(directory = %directory.display(), mode, "others may put another file in the place of the database; chmod 700 the directory");
    }
    #[cfg(target_os = "linux")]
    if let Some((name, why)) = rustix::fs::statfs(directory).ok().and_then(|found| doubtful(found.f_type)) {
        tracing::warn!(directory = %directory.display(), file_system = name, "{why}; put the database on a local disk");
    }
}

/// File systems, by their numbers in `statfs(2)`, that do not keep what SQLite relies on, and what goes wrong.
#[cfg(target_os = "linux")]
fn doubtful(kind: i64) -> Option<(&'static str, &'static str)> {
    const NETWORK: &str = "locks over a network are not reliable, and a database on them can be damaged";
    const LAYERS: &str = "what is written here goes when the container goes";
    const MEMORY: &str = "what is written here goes when the host stops";
    Some(match kind & 0xffff_ffff {
        0x6969 => ("nfs", NETWORK),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => ("smb", NETWORK),
        0x0102_1997 => ("9p", NETWORK),
        0x5346_414f | 0x6b41_4653 => ("afs", NETWORK),
        0x00c3_6400 => ("ceph", NETWORK),
        0x0bd0_0bd0 => ("lustre", NETWORK),
        0x7375_7245 => ("coda", NETWORK),
        0x6573_5546 => ("fuse", "many file systems of this kind have no reliable locks"),
        0x794c_7630 => ("overlay", LAYERS),
        0x0102_1994 | 0x8584_58f6 => ("memory", MEMORY),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(owner: u32, mode: u32, me: u32, expect: Option<&str>) {
        assert_eq!(exposed(owner, mode, me).as_deref(), expect);
    }

    #[test]
    fn a_database_is_ours_and_nobody_elses_to_write() {
        check(1000, 0o600, 1000, None);
        check(1000, 0o644, 1000, None);
        check(1001, 0o600, 1000, Some("user 1001 owns it, mode 600, and this is user 1000"));
        check(0, 0o600, 1000, Some("user 0 owns it, mode 600, and this is user 1000"));
        check(1001, 0o600, 0, None);
        check(1000, 0o660, 1000, Some("its mode is 660, others may write to it"));
        check(1000, 0o602, 1000, Some("its mode is 602, others may write to it"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_systems_without_sound_locks_are_known_by_their_number() {
        for (kind, name) in [
            (0x6969, "nfs"),
            (0xff53_4d42, "smb"),
            // As a signed number, which some systems give.
            (i64::from(0xfe53_4d42_u32.cast_signed()), "smb"),
            (0x6573_5546, "fuse"),
            (0x794c_7630, "overlay"),
            (0x0102_1994, "memory"),
        ] {
            assert_eq!(doubtful(kind).map(|(name, _)| name), Some(name), "{kind:x}");
        }
        // ext, xfs, btrfs, zfs.
        for local in [0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1] {
            assert_eq!(doubtful(local), None, "{local:x}");
        }
    }
}
