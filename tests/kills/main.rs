//! Kills the agent, fills and breaks its disk for a moment or a while, cuts its power, and shows that nothing told or committed is lost.
//!
//! `cargo test --test kills -- [--kills N] [--seed S] [--every] [PART]…`; parts are listed by `--list`. Neighbours: the world and
//! the fake neighbours of `tests/it`. A program of its own because it does nothing but start and end processes, for
//! as long as it is told to.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it runs without the usual harness")]

mod dice;
mod disk;
mod edges;
mod inject;
mod ledger;
mod mailbox;
mod moments;
mod outage;
mod past;
mod power;
mod relay;
mod stage;
mod strace;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "shared with the other integration tests; this one needs a part of it")]
mod support;
#[path = "../it/world.rs"]
#[expect(dead_code, reason = "shared with the other integration tests; this one needs a part of it")]
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ledger::Tally;

/// What the command line asks for.
struct Asked {
    kills: usize,
    seed: u64,
    /// Every error at every call, not some of them.
    every: bool,
    /// Names of parts, or pieces of them; all where there is none.
    parts: Vec<String>,
}

/// Stages played at once: each waits most of the time.
const AT_ONCE: usize = 5;

type Part = fn(&Asked) -> Result<String, String>;

/// Names, what each plays, and what it gives: what was proven.
const PARTS: [(&str, Part); 5] = [
    ("moments", killed_at_any_moment),
    ("edges", killed_at_edges),
    ("calls", struck_at_each_call),
    ("power", cut_off),
    ("outages", failed_for_a_while),
];

fn asked() -> Result<Asked, String> {
    let seed = seatwatch::agent::clock::now().millis().unsigned_abs();
    let mut asked = Asked { kills: 150, seed, every: false, parts: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || -> Result<u64, String> {
            let value = words.next().and_then(|value| value.parse().ok());
            value.ok_or_else(|| format!("{word} wants a number"))
        };
        match word.as_str() {
            "--kills" => asked.kills = usize::try_from(number()?).map_err(|e| e.to_string())?,
            "--seed" => asked.seed = number()?,
            "--every" => asked.every = true,
            // What cargo hands to every test program.
            "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--exact" => {}
            "--list" => {
                PARTS.iter().for_each(|(part, _)| println!("{part}: test"));
                asked.parts.push("nothing but the list".to_owned());
            }
            _ if word.starts_with("--") => {
                return Err(format!("{word}: there are --kills N, --seed S, --every, --list"));
            }
            _ => asked.parts.push(word),
        }
    }
    Ok(asked)
}

/// Runs jobs side by side; what each gives, in order. A job that fails has said why.
fn side_by_side<T: Send>(at_once: usize, jobs: Vec<Box<dyn FnOnce() -> T + Send>>) -> Result<Vec<T>, String> {
    let count = jobs.len();
    let (queue, done) = (Mutex::new(jobs.into_iter().enumerate()), Mutex::new(Vec::new()));
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(count) {
            scope.spawn(|| {
                let _inside = runtime.enter();
                loop {
                    let Some((number, job)) = queue.lock().unwrap().next() else { return };
                    // Its panic has been printed; the others go on.
                    if let Ok(result) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)) {
                        done.lock().unwrap().push((number, result));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    if done.len() < count {
        return Err(format!("{} of {count} failed", count - done.len()));
    }
    done.sort_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

fn killed_at_any_moment(asked: &Asked) -> Result<String, String> {
    let stages = asked.kills.div_ceil(moments::KILLS);
    let jobs = (0..stages).map(|n| -> Box<dyn FnOnce() -> Tally + Send> {
        let seed = asked.seed.wrapping_add(n as u64);
        let kills = moments::KILLS.min(asked.kills - n * moments::KILLS);
        Box::new(move || moments::play(seed, kills))
    });
    let sum: Tally = side_by_side(AT_ONCE, jobs.collect())?.into_iter().sum();
    let Tally { kills, events, polls, told, copies, .. } = sum;
    // Each stage polls two sources for a while, and its alerts go to two channels.
    if kills != asked.kills || [events, polls, told].iter().any(|seen| *seen < 5 * stages) {
        return Err(format!("too little was seen for {} kills: {sum:?}", asked.kills));
    }
    Ok(format!(
        "{kills} kills at random moments: {polls} polls, {events} events, {told} messages taken, {copies} of them \
         copies with the same id and bytes; nothing lost"
    ))
}

fn killed_at_edges(asked: &Asked) -> Result<String, String> {
    let seed = asked.seed;
    let jobs: Vec<Box<dyn FnOnce() -> usize + Send>> = vec![
        Box::new(move || edges::first_starts(seed)),
        Box::new(move || edges::migrations(seed)),
        Box::new(move || edges::backups(seed)),
        Box::new(move || edges::prunings(seed)),
    ];
    let counts = side_by_side(AT_ONCE, jobs)?;
    Ok(format!(
        "{} kills in first starts, {} in migrations, {} in backups, {} in prunings: nothing lost, nothing half done",
        counts[0], counts[1], counts[2], counts[3]
    ))
}

/// Deaths, and as many errors, that are tried unless all are asked for: each takes a second or two.
const SOME: usize = 60;

fn struck_at_each_call(asked: &Asked) -> Result<String, String> {
    strace::is_there()?;
    let past = Arc::new(past::Past::new());
    let (cases, all) = inject::cases(&past, asked.seed, (!asked.every).then_some(SOME));
    let tried = cases.len();
    let lethal = cases.iter().filter(|case| case.blow == Death).count();
    let jobs = cases.into_iter().map(|case| -> Box<dyn FnOnce() -> Option<inject::Blow> + Send> {
        let past = Arc::clone(&past);
        Box::new(move || inject::strike(&past, case).then_some(case.blow))
    });
    let mut counts: BTreeMap<inject::Blow, usize> = BTreeMap::new();
    for blow in side_by_side(AT_ONCE, jobs.collect())?.into_iter().flatten() {
        *counts.entry(blow).or_default() += 1;
    }
    let count = |blow| counts.get(&blow).copied().unwrap_or(0);
    use inject::Blow::{Broken, Death, Full, StaysBroken, StaysFull};
    let struck: usize = counts.values().sum();
    if count(Death) * 2 < lethal || (struck - count(Death)) * 2 < tried - lethal {
        return Err(format!("of {lethal} deaths and {tried} blows in all, too few came about: {counts:?}"));
    }
    Ok(format!(
        "a migration, a poll and two deliveries struck at reads, writes, syncs and sends: {} deaths, {} times a full disk, {} times \
         a broken one, {} and {} times from that call on, of {tried} tried, of {all} that there are (--every): nothing lost, \
         nothing half done",
        count(Death),
        count(Full),
        count(Broken),
        count(StaysFull),
        count(StaysBroken)
    ))
}

fn failed_for_a_while(_: &Asked) -> Result<String, String> {
    strace::is_there()?;
    let outages = outage::OUTAGES
        .into_iter()
        .map(|outage| -> Box<dyn FnOnce() + Send> { Box::new(move || outage::play(outage)) });
    let mut jobs: Vec<Box<dyn FnOnce() + Send>> = outages.collect();
    jobs.push(Box::new(outage::dies));
    jobs.push(Box::new(outage::dies_within));
    jobs.push(Box::new(outage::starts_read_only));
    side_by_side(jobs.len(), jobs)?;
    Ok("a disk that is full, read-only, or broken at writes, syncs or reads for seconds: told once, nothing lost, \
        nothing sent twice, work goes on in the same process, and who is killed meanwhile has its end told by the next"
        .to_owned())
}

/// States of the disk for each recording, and for the control.
const STATES: usize = 160;

fn cut_off(asked: &Asked) -> Result<String, String> {
    strace::is_there()?;
    let (mut states, mut told) = (0, 0);
    for (recording, seed) in power::recordings().into_iter().zip(asked.seed..) {
        let mut dice = dice::Dice::new(seed);
        let cuts = power::cuts(recording.ops(), &mut dice, STATES);
        told += recording.told();
        states += cuts.len();
        let recording = Arc::new(recording);
        let jobs = cuts.into_iter().map(|cut| -> Box<dyn FnOnce() + Send> {
            let recording = Arc::clone(&recording);
            Box::new(move || power::look(&recording, cut))
        });
        side_by_side(AT_ONCE, jobs.collect())?;
    }
    let (weak, full) =
        (power::control(asked.seed, "NORMAL", STATES), power::control(asked.seed, "FULL", STATES));
    if weak == 0 || full > 0 {
        return Err(format!("the control should lose rows with NORMAL ({weak}) and none with FULL ({full})"));
    }
    Ok(format!(
        "{states} disks after a power cut, {told} messages told: all sound, nothing told or shown is missing; \
         synchronous=NORMAL, the control, loses rows on {weak} of {STATES}"
    ))
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if let [first, database, synchronous] = words.as_slice()
        && first == "--write-rows"
    {
        power::write_rows(database.as_ref(), &synchronous.to_string_lossy());
        return ExitCode::SUCCESS;
    }
    if let [first, database] = words.as_slice()
        && first == "--prune"
    {
        edges::prune_until_done(database.as_ref());
        return ExitCode::SUCCESS;
    }
    let asked = match asked() {
        Ok(asked) => asked,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let seed = asked.seed;
    let mut failed = false;
    for (part, play) in PARTS {
        if !asked.parts.is_empty() && !asked.parts.iter().any(|wanted| part.contains(wanted.as_str())) {
            continue;
        }
        let began = Instant::now();
        println!("kills {part}: --seed {seed}");
        let proven = play(&asked);
        match proven {
            Ok(line) => {
                println!("kills {part}: {line} ({} s)", began.elapsed().as_secs());
                support::proven(&format!("kills-{part}"), &format!("{line} (seed {seed})"));
            }
            Err(why) => {
                eprintln!("kills {part}: FAILED: {why}; again with --seed {seed} {part}");
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
