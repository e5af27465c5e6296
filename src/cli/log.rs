//! The log on stderr: text or JSON, one line per event.
//!
//! Neighbours: everything logs through `tracing`. A part of its own because what is logged is chosen where it
//! happens and how it is written is chosen here. It is also the last line of defence: no secret and no character
//! that acts on a terminal leaves through it. `RUST_LOG` narrows or widens it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::io::Write;
use std::sync::OnceLock;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use super::stderr::Queue;
use crate::engine::message::clean;
use crate::secret::scrub;

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// Takes one line per write and passes it on harmless.
#[derive(Clone)]
struct Lines<W> {
    format: Format,
    out: W,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let line = harmless(&String::from_utf8_lossy(bytes), self.format);
        let _ = self.out.write_all(line.as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.out.flush();
        Ok(())
    }
}

impl<'a, W: Write + Clone + 'a> MakeWriter<'a> for Lines<W> {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The line without secrets, and with every character shown that would act; its last line break stays.
fn harmless(line: &str, format: Format) -> String {
    let body = line.strip_suffix('\n').unwrap_or(line);
    let end = &line[body.len()..];
    let body = scrub(body);
    let body = match format {
        Format::Text => Cow::Owned(clean(&body, usize::MAX)),
        Format::Json => escaped(&body),
    };
    format!("{body}{end}")
}

/// JSON text with characters that act written as JSON escapes, so that it stays the same JSON.
fn escaped(json: &str) -> Cow<'_, str> {
    let acts = |c: char| !c.is_ascii_graphic() && c != ' ' && clean(c.encode_utf8(&mut [0; 4]), 16).len() > 4;
    if !json.chars().any(acts) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if acts(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn subscriber<W>(format: Format, wanted: EnvFilter, out: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: Write + Clone + Send + Sync + 'static,
{
    let log =
        tracing_subscriber::fmt().with_env_filter(wanted).with_writer(Lines { format, out }).with_ansi(false);
    match format {
        Format::Text => Box::new(log.finish()),
        Format::Json => Box::new(log.json().flatten_event(true).finish()),
    }
}

/// Where the process's log goes, once it was started.
static STDERR: OnceLock<Queue> = OnceLock::new();

/// Starts logging for the process, from `least` on unless `RUST_LOG` says otherwise; a second call (tests in one
/// process) changes nothing. A panic is logged, too, so that it is one line without secrets like any other.
pub(super) fn start(format: Format, least: &str) {
    let wanted = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(least));
    let queue = STDERR.get_or_init(|| Queue::start(std::io::stderr()));
    if subscriber(format, wanted, queue.clone()).try_init().is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let said = panic.payload_as_str().unwrap_or("without a word");
            let backtrace = Backtrace::capture();
            let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
            tracing::error!(place, backtrace = backtrace.map(tracing::field::display), "a bug: {said}");
            // Whoever panicked may take the process along.
            finish();
        }));
    }
}

/// Waits a moment for lines that are still on their way.
pub(super) fn finish() {
    if let Some(queue) = STDERR.get() {
        queue.empty();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::secret::{Secret, SecretRef};

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

    /// What is written when a hostile name and a secret are logged in every way there is.
    fn logged(format: Format) -> String {
        let kept = Kept::default();
        let secret = SecretRef::Plain(Secret::new("hunter2-in-the-log")).resolve().unwrap();
        let user = "eve\r\nERROR forged\x1b[31m\u{202e}\u{85}";
        let subscriber = subscriber(format, EnvFilter::new("info"), kept.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(user, %user, ?user, token = secret.expose(), "refused {user} with {}", secret.expose());
            tracing::info!("fine");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[track_caller]
    fn check(text: &str) {
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.ends_with('\n') && !text.contains("hunter2"), "{text}");
        assert!(text.contains("forged") && text.contains("***") && text.contains("fine"), "{text}");
        assert!(!text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{text:?}");
    }

    #[test]
    fn a_hostile_name_stays_on_its_line_and_a_secret_stays_out() {
        check(&logged(Format::Text));
        let json = logged(Format::Json);
        check(&json);
        for line in json.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        let message = first["message"].as_str().unwrap();
        assert!(message.starts_with("refused eve"), "{message}");
        assert!(message.contains('\u{202e}'), "what JSON escapes it also gives back: {message:?}");
    }

    /// In a process of its own: whoever panics there would be heard by every other test.
    #[test]
    fn a_panic_is_one_line_without_secrets() {
        const MARK: &str = "SEATWATCH_TEST_PANIC";
        if crate::secret::variable(MARK).is_some() {
            start(Format::Text, "info");
            let secret = SecretRef::Plain(Secret::new("hunter2-in-a-panic")).resolve().unwrap();
            panic!("two\nlines with {}", secret.expose());
        }
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "--nocapture", "cli::log::tests::a_panic_is_one_line_without_secrets"]);
        let ran = again.env(MARK, "1").env_remove("RUST_LOG").env("RUST_BACKTRACE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert!(!ran.status.success() && !said.contains("hunter2"), "{said}");
        let line = said.lines().find(|line| line.contains("a bug: ")).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains("a bug: two\\nlines with ***") && line.contains("log.rs"), "{line}");
    }

    #[test]
    fn ordinary_lines_pass_as_they_are() {
        for line in ["INFO shanghai 120 users 张伟\n", "no end", "", "\n"] {
            assert_eq!(harmless(line, Format::Text), line);
            assert_eq!(harmless(line, Format::Json), line);
        }
    }
}
