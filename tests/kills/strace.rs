//! The program under strace: its system calls written down, or failed, or ended at a chosen one.
//!
//! Neighbours: `inject` chooses calls, `power` replays what was written. A part of its own because both read the same
//! records, and because without strace this program must fail and say so.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::stage::{PATIENCE, Stage};

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
    // With its filter, which is faster, strace 6.1 sends no signal.
    let filter = (!options.iter().any(|option| option.contains(":signal="))).then_some("--seccomp-bpf");
    command.args(["-D", "-f", "-o"]).arg(log).args(filter).args(options);
    command.arg(env!("CARGO_BIN_EXE_seatwatch")).arg("-c").arg(stage.world.rules_file()).arg("run");
    command
}

/// Waits for the tracer to have written everything, which may be a moment after the program's end.
pub(crate) fn written(log: &Path) -> String {
    let deadline = std::time::Instant::now() + PATIENCE;
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
    let deadline = std::time::Instant::now() + PATIENCE;
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

/// A fault of the disk under a program that runs; it ends with this.
pub(crate) struct Fault(Child);

impl Fault {
    /// From now on each of `calls` on the database or its log fails with `error`.
    pub(crate) fn begins(stage: &Stage, program: Pid, calls: &str, error: &str) -> Self {
        let pid = program.as_raw_nonzero().to_string();
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &pid, "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:error={error}")]);
        for ending in ["", "-wal"] {
            command.arg("-P").arg(stage.world.dir.path(&format!("seatwatch.db{ending}")));
        }
        let mut fault = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let deadline = std::time::Instant::now() + PATIENCE;
        while !traced(&pid) {
            let ended = fault.0.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "strace may not attach (try as root, or with kernel.yama.ptrace_scope=0)"
            );
            assert!(std::time::Instant::now() < deadline, "the tracer does not attach");
            std::thread::sleep(std::time::Duration::from_millis(5)); // until every thread is traced
        }
        fault
    }

    /// The disk works again, in the same process.
    pub(crate) fn ends(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether every thread of it has a tracer.
fn traced(pid: &str) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.map_while(Result::ok).all(|thread| {
        // A thread that has just ended needs none.
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    })
}
