//! What the agent logs while a test drives it in process.
//!
//! Neighbours: `world` has the agent; how lines look on stderr is shown by the library's own tests. A part of its own
//! because a line that is promised must be read. Only for tests of one thread: it hears the thread that asks.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::subscriber::DefaultGuard;

/// Hears everything from `info` on until it goes.
pub(crate) struct Log {
    kept: Kept,
    _hears: DefaultGuard,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn hear() -> Self {
        let kept = Kept::default();
        let out = kept.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
        let log = log.with_writer(move || out.clone()).finish();
        Self { kept, _hears: tracing::subscriber::set_default(log) }
    }

    /// The lines since this was last asked that hold `part`.
    pub(crate) fn take(&self, part: &str) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.kept.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().filter(|line| line.contains(part)).map(|line| line.trim().to_owned()).collect()
    }
}
