//! The simulation: an agent's years in minutes, from a seed. `SIM_SEED=7 cargo test --test sim` runs one life alone,
//! `SIM_SEEDS=5000 cargo test --test sim` more of them than `tests/run` does, `SIM_DAYS=3653` ten years of minutes.
//! In `histories` the engine is compared with a second telling of what it must say; `MODEL_TIMELINES=10000` of them.
//!
//! `life` drives the real agent (its `collect_once`, `tend_once`, `deliver_once`, on the real store) through faults and
//! deaths at every commit and every send, and the witness asks the tables after each step. A binary of its own because
//! it is the only test that is as long as one lets it be.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
#![expect(
    clippy::print_stdout,
    reason = "how much was simulated, and the hash of one seed, are for whoever asked"
)]

mod chance;
mod histories;
mod life;
mod log;
mod model;
mod neighbours;
mod rules;
mod witness;
mod years;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::time::{ClockId, Timespec, clock_gettime};
use seatwatch::engine::time::Time;
use seatwatch::store::{Fate, Fates, Store};

/// 2026-11-23T00:00:00Z, a Monday.
pub(crate) const START: Time = Time::from_millis(1_795_392_000_000);
/// Part of every event id.
pub(crate) const INSTALL: &str = "simulated";

/// `tests/run` asks for 200.
const LIVES: u64 = 12;
const STEPS: u32 = 120;
/// Days of `years_of_minutes`; `tests/run` asks for ten years, optimised.
const DAYS: i64 = 30;
const TWINS: u64 = 4;

/// How much was simulated.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) millis: i64,
    pub(crate) polls: u64,
    /// Days on which every minute around a change of the clock was polled; lives do not count them.
    pub(crate) dst: u64,
    pub(crate) jumps: u64,
    pub(crate) crashes: u64,
    pub(crate) refusals: u64,
    pub(crate) attempts: u64,
    pub(crate) events: u64,
}

impl Tally {
    /// `spent` is what of the processor's time it took.
    fn told(&self, spent: Timespec) -> String {
        let Self { millis, polls, dst, jumps, crashes, refusals, attempts, events } = self;
        let years = *millis as f64 / 31_557_600_000.0;
        let dst = if *dst == 0 { String::new() } else { format!(" {dst} DST days,") };
        format!(
            "{years:.1} years, {polls} polls,{dst} {jumps} clock jumps, {crashes} crashes, {refusals} failed commits, \
             {attempts} attempts, {events} events, {} CPU s",
            spent.tv_sec
        )
    }

    fn add(&mut self, other: Self) {
        self.millis += other.millis;
        self.polls += other.polls;
        self.dst += other.dst;
        self.jumps += other.jumps;
        self.crashes += other.crashes;
        self.refusals += other.refusals;
        self.attempts += other.attempts;
        self.events += other.events;
    }
}

#[expect(clippy::disallowed_methods, reason = "how much to simulate is said from outside")]
fn asked(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Notes what was simulated, for the end of `tests/run`.
fn proven(name: &str, what: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/proven");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), format!("{what}\n")).unwrap();
    println!("{what}");
}

/// A database's directory, in memory where the host has such a place, that goes with the life.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let memory = PathBuf::from("/dev/shm");
        let root = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("seatwatch-sim-{}-{n}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One life, and its log's hash; or, where a promise is broken, its last lines.
fn one(seed: u64) -> Result<(Tally, String), String> {
    let (place, mut log) = (Place::new(), log::Log::default());
    let path = place.0.join("seatwatch.db");
    let lived = catch_unwind(AssertUnwindSafe(|| life::live(seed, STEPS, path, &mut log)));
    lived.map(|tally| (tally, log.hash())).map_err(|broken| {
        let why = broken.downcast_ref::<String>().cloned().unwrap_or_default();
        let (lines, last) = (log.lines, log.last());
        format!("{last}seed {seed}, line {lines}: {why}\nalone: SIM_SEED={seed} cargo test --test sim\n")
    })
}

#[test]
fn lives_of_real_agents() {
    let seeds: Vec<u64> = match asked("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=asked("SIM_SEEDS").unwrap_or(LIVES)).collect(),
    };
    // A life has threads of its own, so this counts what other tests take at the same time, too; in `tests/run` none do.
    let began = clock_gettime(ClockId::ProcessCPUTime);
    let next = AtomicU64::new(0);
    let lived = Mutex::new((Tally::default(), Vec::new()));
    let lives = || {
        while let Some(seed) = seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
            let life = one(*seed);
            let mut lived = lived.lock().unwrap();
            match life {
                Ok((tally, hash)) => {
                    lived.0.add(tally);
                    if seeds.len() == 1 {
                        println!("seed {seed}: {hash}");
                    }
                }
                Err(why) => lived.1.push(why),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, std::num::NonZero::get) {
            scope.spawn(lives);
        }
    });
    let (total, broken) = lived.into_inner().unwrap();
    assert!(
        broken.is_empty(),
        "{}\n{} of {} seeds broke a promise",
        broken.join("\n"),
        broken.len(),
        seeds.len()
    );
    let spent = clock_gettime(ClockId::ProcessCPUTime) - began;
    let seeds = seeds.len();
    proven("simulation-lives", &format!("simulated {seeds} seeds of the real agent: {}", total.told(spent)));
}

/// The years of one seed, on the model alone, or with the real store as its twin.
fn years(seed: u64, days: i64, twin: bool) -> (Tally, String) {
    let (place, mut log) = (Place::new(), log::Log::default());
    let always = || Fates(Arc::new(|| Fate::Done));
    let twin = twin.then(|| Store::rehearse(&place.0.join("twin.db"), START, always()).unwrap());
    let lived = catch_unwind(AssertUnwindSafe(|| years::live(seed, days, twin, &mut log)));
    match lived {
        Ok(tally) => (tally, log.hash()),
        Err(_) => panic!("{}years of seed {seed} broke a promise (above)", log.last()),
    }
}

#[test]
fn years_of_minutes() {
    let began = clock_gettime(ClockId::ThreadCPUTime);
    let days = asked("SIM_DAYS").map_or(DAYS, u64::cast_signed);
    let (tally, hash) = years(1, days, false);
    // Twenty changes of the clock in ten years; of more years some fall where somebody touched clock or process.
    let (days, ten_years) = (days.unsigned_abs(), 3_653);
    assert!(tally.jumps >= days * 1_000 / ten_years, "{} clock jumps in {days} days", tally.jumps);
    assert!(tally.dst >= days.min(ten_years) * 20 / ten_years, "{} DST days in {days} days", tally.dst);
    let spent = clock_gettime(ClockId::ThreadCPUTime) - began;
    let told = tally.told(spent);
    proven("simulation-years", &format!("simulated minute polls of 1 seed: {told}, log {hash}"));
}

#[test]
fn the_model_is_the_store() {
    let mut total = Tally::default();
    for seed in 1..=asked("SIM_TWINS").unwrap_or(TWINS) {
        let (alone, twin) = (years(seed, 2, false), years(seed, 2, true));
        assert_eq!(alone.1, twin.1, "seed {seed}");
        total.add(twin.0);
    }
    println!("the model and the store answered alike: {total:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let hash = |seed| one(seed).unwrap_or_else(|broken| panic!("{broken}")).1;
    let first = hash(4);
    assert_eq!(first, hash(4));
    assert_ne!(first, hash(5));
}
