//! Death, a full disk and a broken disk at each write or sync of a migration, a poll and its deliveries; a broken disk at
//! each read of the database; death at each send.
//!
//! Neighbours: `strace` does it, `past` is what the program starts on, `ledger` says what must hold. A part of its own
//! because it goes through the calls one by one, as chance never would.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use seatwatch::agent::clock;
use seatwatch::engine::reading::PollOutcome;
use seatwatch::store::{PollSummary, Reader};

use crate::dice::Dice;
use crate::ledger::{Committed, balance, is_of_storage, sound, told_has_rows};
use crate::past::{Past, put};
use crate::stage::{CHANNELS, PATIENCE, Stage, seconds, stop};
use crate::strace;
use crate::support::program::Agent;

/// What the program is at when it happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// Starting on the first release's database, up to "running".
    Migration,
    /// A start on today's database, a poll, an alert, a webhook and a mail, and a planned end.
    Day,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Blow {
    Death,
    /// The disk is full, for this call or from this one on.
    Full,
    StaysFull,
    /// The disk is broken.
    Broken,
    StaysBroken,
}

/// The n-th call of this name, in whichever thread comes to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    work: Work,
    call: &'static str,
    n: usize,
    pub(crate) blow: Blow,
}

/// Calls that change files, and how they are counted: only on the database and its log where others use them, too.
const FILES: [(&str, bool); 6] = [
    ("pwrite64", true),
    ("fsync", false),
    ("ftruncate", false),
    ("unlink", false),
    ("rename", false),
    ("openat", true),
];
const SENDS: [&str; 2] = ["sendto", "writev"];
/// Nothing changes by it, and so there is nothing that a death or a full disk could do at it.
const READ: &str = "pread64";

fn stage() -> Stage {
    Stage::new(&(seconds("alice", "4") + &seconds("bob", "1")))
}

/// The options that pick `call`; in a migration writes go to copies, too.
fn filter(stage: &Stage, work: Work, call: &str) -> Vec<String> {
    let picks = call == READ || FILES.iter().any(|(name, picks)| *name == call && *picks);
    let mut options = vec!["-e".to_owned(), format!("trace={call}")];
    if picks && (work == Work::Day || [READ, "openat"].contains(&call)) {
        for ending in ["", "-wal", "-shm", ".lock", ".schema-1"] {
            if call == "openat" || ending.is_empty() || ending == "-wal" {
                options.extend([
                    "-P".to_owned(),
                    stage.world.dir.path(&format!("seatwatch.db{ending}")).display().to_string(),
                ]);
            }
        }
    }
    options
}

/// How often the busiest thread makes the call when nothing is amiss.
fn count(past: &Past, work: Work, call: &'static str) -> usize {
    let stage = stage();
    let log = stage.world.dir.path("trace");
    prepare(past, &stage, work);
    let command = strace::run(&stage, &log, &filter(&stage, work, call));
    let (code, said) = play(Agent::of(command, |_| ()), work);
    assert_eq!(code, Some(0), "{said}");
    stage.world.leaves("it is the rehearsal");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in strace::written(&log).lines().filter(|line| line.contains(&format!(" {call}("))) {
        *counts.entry(line.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

/// `some` deaths, as many errors and half as many of reads, chosen by the seed, or all there are; and how many those are.
pub(crate) fn cases(past: &Past, seed: u64, some: Option<usize>) -> (Vec<Case>, usize) {
    let mut deaths = Vec::new();
    let mut errors = Vec::new();
    let mut reads = Vec::new();
    for work in [Work::Migration, Work::Day] {
        let sends = SENDS.iter().filter(|_| work == Work::Day).copied();
        for call in FILES.iter().map(|(name, _)| *name).chain(sends) {
            for n in 1..=count(past, work, call) {
                deaths.push(Case { work, call, n, blow: Blow::Death });
                if !SENDS.contains(&call) {
                    let blows = [Blow::Full, Blow::StaysFull, Blow::Broken, Blow::StaysBroken];
                    errors.extend(blows.map(|blow| Case { work, call, n, blow }));
                }
            }
        }
        for n in 1..=count(past, work, READ) {
            reads.extend([Blow::Broken, Blow::StaysBroken].map(|blow| Case { work, call: READ, n, blow }));
        }
    }
    let (mut dice, all) = (Dice::new(seed), deaths.len() + errors.len() + reads.len());
    for (cases, share) in [(&mut deaths, 1), (&mut errors, 1), (&mut reads, 2)] {
        while some.is_some_and(|some| cases.len() > some / share) {
            cases.swap_remove(usize::try_from(dice.below(cases.len() as u64)).unwrap());
        }
    }
    (deaths.into_iter().chain(errors).chain(reads).collect(), all)
}

fn prepare(past: &Past, stage: &Stage, work: Work) {
    match work {
        Work::Migration => put(&past.first(), &stage.database()),
        Work::Day => put(&past.now(), &stage.database()),
    }
}

/// Lets the agent do its work as far as it comes, then stops it; its exit code and what it said.
fn play(mut agent: Agent, work: Work) -> (Option<i32>, String) {
    let mut said = String::new();
    let deadline = Instant::now() + Duration::from_secs(6);
    let done = |said: &str| match work {
        Work::Migration => said.contains("running"),
        Work::Day => {
            let told = said.matches("told of the failing database").count() >= CHANNELS.len();
            told || said.matches(" delivered ").count() >= CHANNELS.len()
        }
    };
    while agent.child.try_wait().unwrap().is_none() && !done(&said) && Instant::now() < deadline {
        if let Ok(line) = agent.log.recv_timeout(Duration::from_millis(20)) {
            said += &(line + "\n");
        }
    }
    // It may have ended just now.
    let _ = rustix::process::kill_process(agent.pid(), Signal::TERM);
    let (code, rest) = agent.ends(PATIENCE);
    (code, said + &rest)
}

/// Names the case, whatever it is that fails.
struct Named(Case);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("at {:?}", self.0);
        }
    }
}

/// One blow, and then a start as if nothing had happened.
/// Whether it came to that call: threads share them out anew each time.
pub(crate) fn strike(past: &Arc<Past>, case: Case) -> bool {
    let (stage, _named) = (stage(), Named(case));
    prepare(past, &stage, case.work);
    let before = Committed::read(&stage.database());
    let log = stage.world.dir.path("trace");
    let (error, plus) = match case.blow {
        Blow::Death => ("signal=SIGKILL", ""),
        Blow::Full => ("error=ENOSPC", ""),
        Blow::StaysFull => ("error=ENOSPC", "+"),
        Blow::Broken => ("error=EIO", ""),
        Blow::StaysBroken => ("error=EIO", "+"),
    };
    let mut options = filter(&stage, case.work, case.call);
    options.extend(["-e".to_owned(), format!("inject={}:{error}:when={}{plus}", case.call, case.n)]);
    let (code, said) = play(Agent::of(strace::run(&stage, &log, &options), |_| ()), case.work);
    let ends = match case.blow {
        // It ends by the signal, or never comes to that call.
        Blow::Death => [None, Some(0)],
        // It is refused as storage, or goes on until it is told to stop.
        Blow::Full | Blow::StaysFull | Blow::Broken | Blow::StaysBroken => [Some(74), Some(0)],
    };
    assert!(ends.contains(&code), "{case:?}: exit code {code:?}: {said}");
    if case.call == READ {
        // Nothing stands wrong on the disk, whatever SQLite makes of it.
        assert!(!said.contains("is damaged ("), "{case:?}: {said}");
        assert!(code == Some(0) || !said.contains(" running"), "{case:?}: it goes on: {said}");
    }
    let struck = code.is_none() || strace::written(&log).contains("(INJECTED)");
    let now = Committed::read(&stage.database());
    before.is_in(&now, &format!("{case:?}"));
    sound(&stage.database());
    let arrivals = stage.arrivals();
    told_has_rows(&arrivals, &now, true);
    for channel in CHANNELS {
        let storage = arrivals.iter().filter(|a| a.channel == channel && a.accepted && is_of_storage(a));
        let fired = storage.filter(|a| !now.has("notification", &a.id)).count();
        assert!(fired <= 1, "{case:?}: {channel} was told {fired} times that the database fails");
    }
    recovers(&stage, case);
    now.is_in(&Committed::read(&stage.database()), &format!("after {case:?}"));
    balance(&stage, 1);
    struck
}

/// The next start mends what is to be mended: a poll, the alert, told to both, nothing left.
fn recovers(stage: &Stage, case: Case) {
    let agent = stage.start();
    let since = clock::now();
    // Under a heavy load one may fail for its time being up, and then nothing has fired yet.
    let is_new = |poll: &PollSummary| poll.at > since && poll.outcome != PollOutcome::Failed;
    let polled = |reader: &Reader| {
        reader.last_poll("shanghai").is_ok_and(|poll| poll.is_some_and(|poll| is_new(&poll)))
    };
    agent.until(&format!("all is told after {case:?}"), || {
        Reader::open(&stage.database()).is_ok_and(|reader| polled(&reader))
            && stage.world.outbox(false).is_empty()
    });
    stop(agent);
    sound(&stage.database());
}
