//! The log on stderr: text or JSON, one line per event.
//!
//! Neighbours: everything logs through `tracing`. A part of its own because what is logged is chosen where it
//! happens and how it is written is chosen here. `RUST_LOG` narrows or widens it.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// Writes to stderr and lets a closed or full pipe be: losing a log line must not stop the agent.
#[derive(Clone, Copy)]
struct Stderr;

impl std::io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = std::io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = std::io::stderr().flush();
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        *self
    }
}

/// Starts logging for the process, from `least` on unless `RUST_LOG` says otherwise; a second call (tests in one process) changes nothing.
pub(super) fn start(format: Format, least: &str) {
    let wanted = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(least));
    let log = tracing_subscriber::fmt().with_env_filter(wanted).with_writer(Stderr).with_ansi(false);
    let _ = match format {
        Format::Text => log.try_init(),
        Format::Json => log.json().flatten_event(true).try_init(),
    };
}
