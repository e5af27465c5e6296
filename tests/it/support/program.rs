//! The program itself, started and ended by a test.
//!
//! Neighbours: `process` tells what the program promises, the `kills` program ends it at any moment. A part of its own
//! because both start it alike, with its log read as it is written.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::World;

/// A running `seatwatch run`; killed when it goes.
pub(crate) struct Agent {
    pub(crate) child: Child,
    pub(crate) log: Receiver<String>,
    /// Its log is ours, and ends with it.
    hears: bool,
    /// What it said while something was waited for.
    heard: RefCell<String>,
}

impl Agent {
    /// `seatwatch run` on the world's rules file.
    pub(crate) fn start(world: &World, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatwatch"));
        command.arg("-c").arg(world.rules_file()).arg("run");
        Self::of(command, change)
    }

    /// As `command` starts it, a tracer's perhaps.
    pub(crate) fn of(mut command: Command, change: impl FnOnce(&mut Command)) -> Self {
        command.env_remove("NOTIFY_SOCKET").stdout(Stdio::null()).stderr(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let (tell, log) = channel();
        let stderr = child.stderr.take();
        let hears = stderr.is_some();
        if let Some(stderr) = stderr {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let _ = tell.send(line);
                }
            });
        }
        Self { child, log, hears, heard: RefCell::default() }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for a line of the log that holds `part`.
    #[track_caller]
    pub(crate) fn says(&self, part: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut seen = String::new();
        loop {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen = format!("{seen}{line}\n"),
                Err(error) => panic!("{error}: no {part:?} in\n{seen}"),
            }
        }
    }

    /// Waits for something to be true.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        self.until_nothing(&|| if holds() { String::new() } else { what.to_owned() });
    }

    /// Waits for nothing to be missing; what is at the deadline is told with what the program said meanwhile.
    #[track_caller]
    pub(crate) fn until_nothing(&self, is_missing: &dyn Fn() -> String) {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let missing = is_missing();
            if missing.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "never: {missing}; it said\n{}", self.heard.borrow());
            match self.log.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => self.heard.borrow_mut().extend([line.as_str(), "\n"]),
                Err(RecvTimeoutError::Disconnected) if self.hears => {
                    panic!("it ended: {missing}; it said\n{}", self.heard.borrow())
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)), // until nothing is missing
            }
        }
    }

    /// Waits for the end; the exit code and what was still logged.
    #[track_caller]
    pub(crate) fn ends(&mut self, within: Duration) -> (Option<i32>, String) {
        let deadline = Instant::now() + within;
        let mut seen = String::new();
        // The log ends with the process.
        loop {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => seen = format!("{seen}{line}\n"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("still running after {within:?}:\n{seen}"),
            }
        }
        (self.child.wait().unwrap().code(), seen)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
