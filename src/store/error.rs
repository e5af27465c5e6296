//! Why the store refused or failed, by what the caller does about it.
//!
//! Neighbours: every file of the store returns it, the agent and the commands branch on it. A part of its own
//! because each message must name the file and the way out, and rusqlite's errors do neither.

use std::io;
use std::path::{Path, PathBuf};

/// Each message is one sentence or two for an operator. A path is empty only until [`StoreError::at`] fills it in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} is already in use by process {pid}: stop that one first, or name another `database`", path.display())]
    Busy { path: PathBuf, pid: String },
    #[error("{} stayed locked by another program (an open sqlite3 shell, perhaps): nothing was written; \
             end that program's transaction", path.display())]
    Locked { path: PathBuf },
    #[error("{} was written by a newer release (schema {found}, this one knows {known}): install that release, \
             or restore a backup; the file was not touched", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{} was written by an older release (schema {found}, this one has {known}): start `seatwatch run` \
             once to bring it up to date", path.display())]
    Older { path: PathBuf, found: i64, known: i64 },
    #[error("{} is not a Seatwatch database ({why}): name another file as `database`; this one was not \
             touched", path.display())]
    Foreign { path: PathBuf, why: String },
    #[error("{} is damaged ({detail}): stop Seatwatch, move the file and its -wal and -shm aside, and put a \
             backup made by `seatwatch db backup` in its place", path.display())]
    Corrupt { path: PathBuf, detail: String },
    /// SQLite says of a page that it cannot read in the middle of a statement what it says of a damaged one
    /// (`SQLITE_IOERR_CORRUPTFS` reaches no caller): who can, reads the whole file to tell one from the other.
    #[error("{} cannot be read ({detail}): it is damaged, or its disk fails; `seatwatch db check` tells which", path.display())]
    Malformed { path: PathBuf, detail: String },
    /// SQLite gives the row as it was written, or so it thinks; what stands in it is nothing that we write.
    #[error("{} holds a row that does not read ({row}: {what}): stop Seatwatch, move the file and its -wal and -shm \
             aside, and put a backup made by `seatwatch db backup` in its place", path.display())]
    Unreadable { path: PathBuf, row: String, what: String },
    #[error("{} cannot be written ({reason}): give the user who runs Seatwatch write permission on the file and \
             its directory", path.display())]
    ReadOnly { path: PathBuf, reason: String },
    #[error("{} is not ours alone ({reason}): run this as its owner or as root, or make the user who runs Seatwatch \
             its owner and `chmod 600` it", path.display())]
    Exposed { path: PathBuf, reason: String },
    #[error("the disk that holds {} is full: free some space; nothing was written. An agent that runs goes on \
             by itself then; one that could not start is to be started again, as its systemd unit does", path.display())]
    Full { path: PathBuf },
    #[error("{} does not exist: name the right `database`, or start `seatwatch run` to create it", path.display())]
    Missing { path: PathBuf },
    #[error("{} was deleted or replaced while in use: nothing more is written to the lost file; put the file \
             back or restart to begin a new one", path.display())]
    Gone { path: PathBuf },
    /// The caller reads its state again: the transaction is in the file or not.
    #[error("whether the last change reached {} is not known ({cause}): the state is read again", path.display())]
    UnknownFate { path: PathBuf, cause: String },
    #[error("{} cannot be used ({detail}): look at the disk and the path", path.display())]
    Io { path: PathBuf, detail: String },
    #[error("SQLite {found} can lose committed writes: this program needs 3.51.3 or later")]
    OldSqlite { found: String },
    /// The caller's memory and the store differ; the caller reads it again.
    #[error("poll {found} of source {name} does not follow poll {last}: the state is read again")]
    Sequence { name: String, last: u64, found: u64 },
    #[error("there is no {what}")]
    NotFound { what: String },
    #[error("{prefix} could be {}: write more of it", candidates.join(", "))]
    Ambiguous { prefix: String, candidates: Vec<String> },
    /// What was asked does not fit the row's state; the text says why.
    #[error("{0}")]
    Refused(String),
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// The same error, naming the file.
    pub(super) fn at(mut self, file: &Path) -> Self {
        match &mut self {
            Self::Busy { path, .. }
            | Self::Locked { path }
            | Self::Newer { path, .. }
            | Self::Older { path, .. }
            | Self::Foreign { path, .. }
            | Self::Corrupt { path, .. }
            | Self::Malformed { path, .. }
            | Self::Unreadable { path, .. }
            | Self::ReadOnly { path, .. }
            | Self::Exposed { path, .. }
            | Self::Full { path }
            | Self::Missing { path }
            | Self::Gone { path }
            | Self::UnknownFate { path, .. }
            | Self::Io { path, .. } => {
                if path.as_os_str().is_empty() {
                    file.clone_into(path);
                }
            }
            Self::OldSqlite { .. }
            | Self::Sequence { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::Refused(_)
            | Self::Stopped => {}
        }
        self
    }

    /// Whether a database that was sound when it was opened is damaged now, or seems to be. Waiting and trying again mends nothing.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. }
            | Self::Malformed { .. }
            | Self::Unreadable { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Older { .. } => true,
            Self::Busy { .. }
            | Self::Locked { .. }
            | Self::ReadOnly { .. }
            | Self::Exposed { .. }
            | Self::Full { .. }
            | Self::Missing { .. }
            | Self::Gone { .. }
            | Self::UnknownFate { .. }
            | Self::Io { .. }
            | Self::OldSqlite { .. }
            | Self::Sequence { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::Refused(_)
            | Self::Stopped => false,
        }
    }

    /// What is damage in a file that was ours a moment ago, in the words for it.
    pub(super) fn of_ours(self) -> Self {
        if let Self::Foreign { path, why: detail } | Self::Malformed { path, detail } = self {
            Self::Corrupt { path, detail }
        } else if let Self::Newer { path, found, .. } | Self::Older { path, found, .. } = self {
            Self::Corrupt { path, detail: format!("its schema is {found} now") }
        } else {
            self
        }
    }

    pub(super) fn corrupt(detail: impl Into<String>) -> Self {
        Self::Corrupt { path: PathBuf::new(), detail: detail.into() }
    }

    /// `row` in the words of whoever looks for it, such as "the roster of poll 7".
    pub(super) fn unreadable(row: impl Into<String>, what: impl ToString) -> Self {
        Self::Unreadable { path: PathBuf::new(), row: row.into(), what: what.to_string() }
    }

    pub(super) fn missing(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let path = PathBuf::new();
        let detail = error.to_string();
        let code = error.sqlite_error_code();
        let is = |codes: &[Code]| code.is_some_and(|c| codes.contains(&c));
        if is_of_a_value(&error) {
            Self::unreadable("a stored value", detail)
        } else if detail.starts_with("no such table") || detail.starts_with("no such column") {
            // Every statement of ours fits our schema.
            Self::Corrupt { path, detail }
        } else if is(&[Code::DatabaseBusy, Code::DatabaseLocked]) {
            Self::Locked { path }
        } else if is(&[Code::DiskFull]) {
            Self::Full { path }
        } else if is(&[Code::ReadOnly, Code::PermissionDenied]) {
            Self::ReadOnly { path, reason: detail }
        } else if is(&[Code::DatabaseCorrupt]) {
            Self::Malformed { path, detail }
        } else if is(&[Code::NotADatabase]) {
            Self::Foreign { path, why: detail }
        } else {
            Self::Io { path, detail }
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        let path = PathBuf::new();
        let kind = error.kind();
        if kind == io::ErrorKind::NotFound {
            Self::Io { path, detail: "the directory or file does not exist".to_owned() }
        } else if [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem].contains(&kind) {
            Self::ReadOnly { path, reason: error.to_string() }
        } else if [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&kind) {
            Self::Full { path }
        } else {
            Self::Io { path, detail: error.to_string() }
        }
    }
}

/// A value that is not of the kind that its column holds.
fn is_of_a_value(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as Of;
    matches!(
        error,
        Of::FromSqlConversionFailure(..)
            | Of::IntegralValueOutOfRange(..)
            | Of::InvalidColumnType(..)
            | Of::Utf8Error(..)
    )
}

/// A row's JSON that no longer reads is damage: we wrote it.
impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::unreadable("a stored value", error)
    }
}
