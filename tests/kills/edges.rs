//! Kills where a database begins, changes its form, is copied, or forgets.
//!
//! Neighbours: `past` makes the databases, `ledger` says what must hold. A part of its own because these happen once in
//! a long while: chance alone would not meet them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use seatwatch::agent::clock;
use seatwatch::engine::time::Span;
use seatwatch::store::{Reader, Retention, Store, StoreError};

use crate::dice::Dice;
use crate::ledger::{Committed, look, sound, told_has_rows};
use crate::moments::until;
use crate::past::{Past, put};
use crate::stage::{PATIENCE, Stage, kills, seconds, stop};
use crate::support::program::Agent;

/// Rounds of each kind; how many of a backup or a pruning were killed and not done before is counted.
pub(crate) const KILLS: usize = 20;

/// Alice shares from the start on.
fn stage() -> Stage {
    Stage::new(&(seconds("alice", "4") + &seconds("bob", "1")))
}

/// Waits until both sources have a poll after `since`, as a start after a kill must bring about.
fn goes_on(stage: &Stage, agent: &Agent) {
    let since = clock::now();
    let polled = |reader: &Reader, source| {
        reader.last_poll(source).is_ok_and(|poll| poll.is_some_and(|poll| poll.at > since))
    };
    agent.until("polls go on", || {
        Reader::open(&stage.database()).is_ok_and(|r| polled(&r, "shanghai") || polled(&r, "beijing"))
    });
}

#[track_caller]
fn kill(mut agent: Agent) {
    assert!(kills(&mut agent.child), "it ended before it was killed");
}

pub(crate) fn first_starts(seed: u64) -> usize {
    let (stage, mut dice) = (stage(), Dice::new(seed));
    for _ in 0..KILLS {
        put(Path::new(""), &stage.database());
        let before: BTreeSet<String> = stage.arrivals().into_iter().map(|arrival| arrival.id).collect();
        let agent = stage.start();
        if dice.below(2) == 0 {
            until(Instant::now() + PATIENCE, || stage.database().exists());
            until(Instant::now() + Duration::from_micros(dice.below(40_000)), || false);
        } else {
            until(Instant::now() + Duration::from_micros(dice.below(200_000)), || false);
        }
        kill(agent);
        let mut arrivals = stage.arrivals();
        arrivals.retain(|arrival| !before.contains(&arrival.id));
        let known = Committed::read(&stage.database());
        told_has_rows(&arrivals, &known, false);
        sound(&stage.database());
        let agent = stage.start();
        goes_on(&stage, &agent);
        // Nothing of this round arrives in the next one.
        agent.until("all is told", || stage.world.outbox(false).is_empty());
        stop(agent);
        known.is_in(&Committed::read(&stage.database()), "after a kill in the first start");
        sound(&stage.database());
    }
    stage.world.leaves("each round begins anew");
    KILLS
}

/// The database is of the old schema or of the new one, nothing between, and every row is there.
fn of_one_schema(database: &Path, before: &Committed) {
    let problem: String = look(database).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(problem, "ok");
    match Reader::open(database) {
        Ok(_) => sound(database),
        Err(StoreError::Older { found, .. }) => {
            let query = "SELECT count(*) FROM sqlite_schema WHERE name = 'roster'";
            let new: i64 = look(database).query_row(query, [], |row| row.get(0)).unwrap();
            // The second step made that table.
            assert_eq!(new, i64::from(found > 1), "half a schema");
        }
        Err(error) => panic!("{error}"),
    }
    before.is_in(&Committed::read(database), "after a migration that was cut off");
}

pub(crate) fn migrations(seed: u64) -> usize {
    let (past, stage, mut dice) = (Past::new(), stage(), Dice::new(seed));
    let before = Committed::read(&past.first());
    let copy = stage.world.dir.path("seatwatch.db.schema-1");
    for _ in 0..KILLS {
        put(&past.first(), &stage.database());
        let agent = stage.start();
        // The lock comes first, the copy last before the change.
        let sign = stage.world.dir.path(dice.one_of(&[
            "seatwatch.db.lock",
            "seatwatch.db-wal",
            "seatwatch.db.schema-1",
        ]));
        until(Instant::now() + PATIENCE, || sign.exists());
        until(Instant::now() + Duration::from_micros(dice.below(30_000)), || false);
        kill(agent);
        of_one_schema(&stage.database(), &before);
        if copy.exists() {
            of_one_schema(&copy, &before);
        }
        let agent = stage.start();
        goes_on(&stage, &agent);
        stop(agent);
        of_one_schema(&stage.database(), &before);
        of_one_schema(&copy, &before);
    }
    stage.world.leaves("each round begins anew");
    KILLS
}

/// How long something takes that is to be killed within: who is too late waits less the next time, whatever the host.
struct Pace {
    most: Duration,
    tries: usize,
}

impl Pace {
    fn of(most: Duration) -> Self {
        Self { most, tries: 0 }
    }

    /// Kills at a random moment; false if it was done before.
    fn kills(&mut self, dice: &mut Dice, child: &mut Child) -> bool {
        self.tries += 1;
        assert!(self.tries <= 20 * KILLS, "it is nearly always done before");
        until(Instant::now() + self.most.mul_f64(dice.below(1_000) as f64 / 1e3), || false);
        let killed = kills(child);
        self.most = self.most.mul_f64(if killed { 1.1 } else { 0.8 });
        killed
    }
}

pub(crate) fn backups(seed: u64) -> usize {
    let (past, stage, mut dice) = (Past::new(), stage(), Dice::new(seed));
    put(&past.now(), &stage.database());
    let before = Committed::read(&past.now());
    let copy = stage.world.dir.path("copy.db");
    let agent = stage.start();
    goes_on(&stage, &agent);
    let (mut killed, mut pace) = (0, Pace::of(Duration::from_millis(80)));
    while killed < KILLS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatwatch"));
        command.arg("-c").arg(stage.world.rules_file()).args(["db", "backup", "--force"]).arg(&copy);
        let mut backup = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        killed += usize::from(pace.kills(&mut dice, &mut backup));
        if copy.exists() {
            before.is_in(&Committed::read(&copy), "in the copy");
            sound(&copy);
        }
    }
    // The next one takes away what they left.
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatwatch"));
    command.arg("-c").arg(stage.world.rules_file()).args(["db", "backup", "--force"]).arg(&copy);
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    let names = std::fs::read_dir(&stage.world.dir.0).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> =
        names.filter(|name| name.to_string_lossy().starts_with(".seatwatch-backup-")).collect();
    assert!(left.is_empty(), "{left:?}");
    stop(agent);
    before.is_in(&Committed::read(&stage.database()), "after backups that were cut off");
    sound(&stage.database());
    stage.world.leaves("it is stopped in the middle of its script");
    killed
}

/// What `prune_until_done` keeps, and how much it takes at a time.
const KEPT: Span = Span::from_mins(30);
const BATCH: u32 = 3;

pub(crate) fn prunings(seed: u64) -> usize {
    let (past, stage, mut dice) = (Past::new(), stage(), Dice::new(seed));
    let before = Committed::read(&past.now());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--prune").arg(stage.database());
    put(&past.now(), &stage.database());
    let (mut killed, mut pace) = (0, Pace::of(Duration::from_millis(60)));
    while killed < KILLS {
        if pace.tries % 5 == 0 {
            put(&past.now(), &stage.database());
        }
        let held = Committed::read(&stage.database());
        let mut pruning = command.spawn().unwrap();
        killed += usize::from(pace.kills(&mut dice, &mut pruning));
        let left = Committed::read(&stage.database());
        // What a finished notification said goes before the notification does.
        left.of(&["event ", "poll ", "attempt "]).is_in(&held, "after a pruning that was cut off");
        assert!(left.count("poll ") >= 50, "only what is old goes: {}", left.count("poll "));
        sound(&stage.database());
    }
    assert!(command.status().unwrap().success());
    let left = Committed::read(&stage.database());
    assert!(left.count("poll ") < before.count("poll ") && left.count("event ") < before.count("event "));
    sound(&stage.database());
    killed
}

/// The agent's pruning, begun at once: by itself it waits for ten minutes. Runs in a process of its own, to be killed.
pub(crate) fn prune_until_done(database: &Path) {
    let now = clock::now();
    let store = Store::open(database, now).unwrap();
    let retention = Retention { readings: KEPT, events: KEPT, attempts: KEPT, requests: KEPT };
    while store.prune(now, retention, BATCH).wait().unwrap().more {}
}
