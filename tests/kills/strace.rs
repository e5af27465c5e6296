//! The program under strace: its system calls written down, or failed, or ended at a chosen one.
//!
//! Neighbours: `inject` chooses calls, `power` replays what was written. A part of its own because both read the same
//! records, and because without strace this program must fail and say so.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::stage::Stage;

/// An error where strace is not there or may not trace.
pub(crate) fn is_there() -> Result<(), String> {
    let mut command = Command::new("strace");
    command
        .args(["-f", "--seccomp-bpf", "-o", "/dev/null", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("strace may not trace here: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("strace is needed (on Debian: apt-get install strace): {error}")),
    }
}

/// strace with `options` before the program's `run`. The tracer is the grandchild: who starts this starts the program.
pub(crate) fn run(stage: &Stage, log: &Path, options: &[String]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "--seccomp-bpf", "-o"]).arg(log).args(options);
    command.arg(env!("CARGO_BIN_EXE_seatwatch")).arg("-c").arg(stage.world.rules_file()).arg("run");
    command
}

/// Waits for the tracer to have written everything, which may be a moment after the program's end.
pub(crate) fn written(log: &Path) -> String {
    let deadline = std::time::Instant::now() + crate::stage::PATIENCE;
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let of = |line: &str| line.split(' ').next().map(str::to_owned);
        let all: BTreeSet<_> = text.lines().filter_map(of).collect();
        let ended: BTreeSet<_> = text.lines().filter(|line| line.contains(" +++ ")).filter_map(of).collect();
        if !all.is_empty() && all == ended {
            return text;
        }
        assert!(std::time::Instant::now() < deadline, "the tracer does not end: {text:.2000}");
        std::thread::sleep(std::time::Duration::from_millis(5)); // until the tracer has written its last line
    }
}

/// Waits for a tracer that writes one file for each thread.
pub(crate) fn ended(log: &Path) {
    let deadline = std::time::Instant::now() + crate::stage::PATIENCE;
    let name = log.file_name().unwrap().to_string_lossy().into_owned() + ".";
    let over = || {
        let files = std::fs::read_dir(log.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
        let mut traces = files.filter(|file| file.file_name().unwrap().to_string_lossy().starts_with(&name));
        traces.all(|file| std::fs::read_to_string(file).unwrap().trim_end().ends_with("+++"))
    };
    while !over() {
        assert!(std::time::Instant::now() < deadline, "the tracer does not end");
        std::thread::sleep(std::time::Duration::from_millis(5)); // until the tracer has written its last line
    }
}
