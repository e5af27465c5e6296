//! A sign of life on the terminal while something takes longer than a second.
//!
//! Neighbours: commands that read or copy the whole database. A part of its own because it must never appear in a
//! pipe, a log or a quick command.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const PATIENCE: Duration = Duration::from_secs(1);

/// Shows a moving sign on stderr, if that is a terminal, from a second after it was made until it is dropped.
pub(super) struct Busy {
    done: Option<Sender<()>>,
    shower: Option<JoinHandle<()>>,
}

impl Busy {
    pub(super) fn with(what: String) -> Self {
        let (done, waiting) = mpsc::channel::<()>();
        let show = move || {
            if waiting.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_message(what);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            // Nothing is ever sent: this ends when the sender is dropped.
            let _ = waiting.recv();
            bar.finish_and_clear();
        };
        Self { done: Some(done), shower: Some(std::thread::spawn(show)) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(shower) = self.shower.take() {
            let _ = shower.join();
        }
    }
}
