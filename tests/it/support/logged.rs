//! What the agent logs while a test drives it in process.
//!
//! Neighbours: `world` has the agent; how lines look on stderr is shown by the library's own tests. A part of its own
//! because a line that is promised must be read. Only for tests of one thread: it hears the thread that asks.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use tempfile::NamedTempFile;
use tracing::subscriber::DefaultGuard;

/// Hears everything from `info` on until it goes.
pub(crate) struct Log {
    /// Read up to where it was asked last.
    heard: File,
    _hears: DefaultGuard,
}

impl Log {
    pub(crate) fn hear() -> Self {
        let file = NamedTempFile::new().unwrap();
        let heard = file.reopen().unwrap();
        let log = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
        let log = log.with_writer(Arc::new(file.into_file())).finish();
        Self { heard, _hears: tracing::subscriber::set_default(log) }
    }

    /// The lines since this was last asked that hold `part`.
    pub(crate) fn take(&self, part: &str) -> Vec<String> {
        let mut text = String::new();
        (&self.heard).read_to_string(&mut text).unwrap();
        text.lines().filter(|line| line.contains(part)).map(|line| line.trim().to_owned()).collect()
    }
}
