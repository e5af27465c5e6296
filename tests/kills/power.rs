//! Power loss: what the program wrote is replayed up to some moment, the unsynced part of it lost, torn or reordered,
//! and what is left must open and hold all that was told or shown by then.
//!
//! Neighbours: `strace` records the program, `disk` is cut, `ledger` reads. A part of its own because a kill keeps what
//! the system holds in memory, and a power cut does not. The control shows that the method sees a loss where one is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use seatwatch::agent::clock;
use seatwatch::engine::time::Time;
use seatwatch::store::{Reader, Store};

use crate::dice::Dice;
use crate::disk::{self, Cut, Disk, Op, What};
use crate::ledger::{Committed, sound};
use crate::past::{Past, put};
use crate::stage::{Stage, seconds, stop};
use crate::strace;
use crate::support::program::Agent;

const CALLS: &str =
    "trace=openat,pwrite64,fsync,fdatasync,ftruncate,unlink,rename,write,writev,sendto,sendmsg";

/// A run of the program as it reached disk and neighbours.
pub(crate) struct Recording {
    ops: Vec<Op>,
    start: Option<(String, Vec<u8>)>,
    /// What a reader saw, and when it had seen it.
    shown: Vec<(Time, Committed)>,
}

fn options() -> Vec<String> {
    ["-ff", "-ttt", "-y", "-xx", "-s", "2000000", "-e", CALLS].map(str::to_owned).to_vec()
}

/// The notification that a piece of a dialogue carries.
fn notification(said: &str) -> Option<String> {
    let id = said.split_once("webhook-id: ").or_else(|| said.split_once("Message-ID: <"))?.1;
    Some(id.split(['\r', '\n', '@']).next()?.to_owned())
}

/// Records `seconds` of polls and deliveries, from nothing or from `start` on.
fn record(start: Option<PathBuf>, length: Duration) -> Recording {
    let stage = Stage::new(
        &(seconds("alice", "4 4 1 1 4 4 1 1 4 4 1 1 4 4 1")
            + &seconds("bob", "1 1 1 4 4 4 4 1 1 1 1 4 4 4 1")),
    );
    if let Some(start) = &start {
        put(start, &stage.database());
    }
    let start = start.map(|_| ("seatwatch.db".to_owned(), std::fs::read(stage.database()).unwrap()));
    let log = stage.world.dir.path("trace");
    let agent = Agent::of(strace::run(&stage, &log, &options()), |_| ());
    agent.says("running");
    let over = AtomicBool::new(false);
    let shown = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut shown = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let committed = Committed::read(&stage.database());
                shown.push((clock::now(), committed));
                std::thread::sleep(Duration::from_millis(10)); // until there is something new to be seen
            }
            shown
        });
        let until = Instant::now() + length;
        while Instant::now() < until {
            let _ = agent.log.recv_timeout(Duration::from_millis(50));
        }
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    stop(agent);
    stage.world.leaves("it is stopped in the middle of its script");
    strace::ended(&log);
    let ops = disk::read(&log, &stage.world.dir.0, notification);
    Recording { ops, start, shown }
}

pub(crate) fn recordings() -> Vec<Recording> {
    let past = Past::new();
    vec![record(None, Duration::from_secs(9)), record(Some(past.first()), Duration::from_secs(5))]
}

/// States of the disk to look at: where to cut, and how.
pub(crate) fn cuts(ops: &[Op], dice: &mut Dice, least: usize) -> Vec<(usize, Cut, u64)> {
    let mut all = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        // Before and after what makes something safe, and after what was told.
        if matches!(op.what, What::Sync(_) | What::SyncDirectory | What::Told(_)) {
            all.push((index, Cut::Reorders));
            all.push((index + 1, Cut::Loses));
        }
    }
    while all.len() < least {
        let index = usize::try_from(dice.below(ops.len() as u64 + 1)).unwrap();
        all.push((index, dice.one_of(&[Cut::Loses, Cut::Tears, Cut::Reorders])));
    }
    all.into_iter().map(|(index, cut)| (index, cut, dice.below(u64::MAX))).collect()
}

fn replay(start: Option<&(String, Vec<u8>)>, ops: &[Op], cut: Cut, seed: u64) -> tempfile::TempDir {
    let mut disk = start.map_or_else(Disk::default, |(name, bytes)| Disk::with(name, bytes.clone()));
    ops.iter().for_each(|op| disk.take(&op.what));
    let directory = tempfile::tempdir().unwrap();
    disk.cut(cut, &mut Dice::new(seed), directory.path());
    directory
}

fn told(ops: &[Op]) -> impl Iterator<Item = &String> {
    ops.iter().filter_map(|op| if let What::Told(id) = &op.what { Some(id) } else { None })
}

/// One state: it opens as after any start, is sound, and lacks nothing that anybody knew.
pub(crate) fn look(recording: &Arc<Recording>, (index, cut, seed): (usize, Cut, u64)) {
    let ops = &recording.ops[..index];
    let directory = replay(recording.start.as_ref(), ops, cut, seed);
    let database = directory.path().join("seatwatch.db");
    let when = format!("{cut:?} at {index} of {} (dice {seed})", recording.ops.len());
    {
        use std::os::unix::fs::PermissionsExt as _;
        for file in std::fs::read_dir(directory.path()).unwrap() {
            std::fs::set_permissions(file.unwrap().path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    drop(Store::open(&database, clock::now()).unwrap_or_else(|error| panic!("{when}: {error}")));
    assert!(Reader::open(&database).is_ok(), "{when}");
    sound(&database);
    let left = Committed::read(&database);
    for id in told(ops) {
        assert!(left.has("notification", id), "{when}: {id} was told and is lost");
    }
    let now = ops.last().map_or(0, |op| op.at / 1000);
    let known = recording.shown.iter().rev().find(|(at, _)| at.millis() + 1 < now);
    if let Some((_, known)) = known {
        known.is_in(&left, &when);
    }
}

impl Recording {
    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub(crate) fn told(&self) -> usize {
        told(&self.ops).count()
    }
}

/// Rows that the control writes.
const ROWS: usize = 60;

/// Writes rows and says of each that it is there, as a program would that trusts this way of syncing.
pub(crate) fn write_rows(database: &Path, synchronous: &str) {
    use std::io::Write as _;
    let connection = Connection::open(database).unwrap();
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    connection.pragma_update(None, "synchronous", synchronous).unwrap();
    let mut out = std::io::stdout();
    for n in 1..=ROWS {
        connection.execute("INSERT INTO row VALUES (?1)", [n.cast_signed()]).unwrap();
        out.write_all(format!("row {n} is there\n").as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

/// How many of the states that are looked at lack a row that was said to be there; none may be damaged.
pub(crate) fn control(seed: u64, synchronous: &str, states: usize) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("control.db");
    // The table is made in peace.
    Connection::open(&database)
        .unwrap()
        .execute_batch("CREATE TABLE row (n INTEGER PRIMARY KEY) STRICT")
        .unwrap();
    let start = ("control.db".to_owned(), std::fs::read(&database).unwrap());
    let log = directory.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["--seccomp-bpf", "-o"]).arg(&log).args(options()).arg(std::env::current_exe().unwrap());
    let status = command.arg("--write-rows").arg(&database).arg(synchronous).stdout(Stdio::null()).status();
    assert!(status.unwrap().success());
    let row = |said: &str| Some(said.strip_prefix("row ")?.split(' ').next()?.to_owned());
    let ops = disk::read(&log, directory.path(), row);
    assert_eq!(told(&ops).count(), ROWS, "every row was heard of");
    let mut dice = Dice::new(seed);
    let cuts = (0..states).map(|_| {
        let index = usize::try_from(dice.below(ops.len() as u64 + 1)).unwrap();
        (index, dice.one_of(&[Cut::Loses, Cut::Tears, Cut::Reorders]), dice.below(u64::MAX))
    });
    let cuts: Vec<_> = cuts.collect();
    let lost = |(index, cut, seed): &(usize, Cut, u64)| {
        let left = replay(Some(&start), &ops[..*index], *cut, *seed);
        let connection = Connection::open(left.path().join("control.db")).unwrap();
        let problem: String = connection.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
        assert_eq!(problem, "ok", "{synchronous} {cut:?} at {index}");
        let rows: i64 =
            connection.query_row("SELECT coalesce(max(n), 0) FROM row", [], |r| r.get(0)).unwrap();
        told(&ops[..*index]).last().is_some_and(|last| last.parse::<i64>().unwrap() > rows)
    };
    cuts.iter().filter(|cut| lost(cut)).count()
}
