//! Databases with a past: two hours of polls and alerts, as this release leaves them and as the first one did.
//!
//! Neighbours: `edges`, `inject` and `power` begin from them. A part of its own because what a migration or a pruning
//! must not lose has to be there first.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::Connection;
use seatwatch::agent::clock;
use seatwatch::engine::time::{Span, Time};
use tempfile::TempDir;

use crate::stage::Stage;
use crate::world::counts;

const MINUTES: i64 = 120;

/// What the first release's database was made by.
const FIRST: &str = include_str!("../../migrations/0001_first.sql");

pub(crate) struct Past {
    directory: TempDir,
}

impl Past {
    /// Made by the agent, in process, up to a minute ago; nobody is over the limit at the end.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let began = clock::now() - Span::from_mins(MINUTES + 1);
        let hand = Arc::new(AtomicI64::new(began.millis()));
        let reads = Arc::clone(&hand);
        let flapping = |period: i64| -> String {
            let word = |n: i64| if n < MINUTES - 10 && n % period < period / 2 { "4 " } else { "1 " };
            (0..MINUTES).map(word).collect()
        };
        let script = counts("alice", &flapping(6)) + &counts("bob", &flapping(10));
        let clock: seatwatch::emulator::Clock =
            Arc::new(move || Time::from_millis(reads.load(Ordering::Relaxed)));
        let mut stage = Stage::by(&script, hand, clock);
        tokio::runtime::Handle::current().block_on(async {
            stage.world.restart().await;
            for n in 0..MINUTES {
                let at = began + Span::from_mins(n);
                for source in ["shanghai", "beijing"] {
                    stage.world.poll_by(source, at, Span::from_mins(n + 1000)).await.unwrap();
                }
                stage.world.deliver().await;
            }
        });
        let past = Self { directory };
        // Nobody writes meanwhile.
        for suffix in ["", "-wal"] {
            let from = stage.world.dir.path(&format!("seatwatch.db{suffix}"));
            std::fs::copy(from, past.path(&format!("now.db{suffix}"))).unwrap();
        }
        let now = Connection::open(past.path("now.db")).unwrap();
        now.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(now);
        older(&past.path("now.db"), &past.path("first.db"));
        past
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn now(&self) -> PathBuf {
        self.path("now.db")
    }

    /// As the first release left it.
    pub(crate) fn first(&self) -> PathBuf {
        self.path("first.db")
    }
}

/// Puts a database in the place of whatever is there.
pub(crate) fn put(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for name in std::fs::read_dir(to.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()) {
        let file = name.file_name().unwrap().to_string_lossy().into_owned();
        if file.starts_with(".seatwatch-backup-") {
            // Of one that was killed in the middle of it.
            std::fs::remove_dir_all(name).unwrap();
        } else if file.starts_with("seatwatch.db") {
            std::fs::remove_file(name).unwrap();
        }
    }
    if from.exists() {
        std::fs::copy(from, to).unwrap();
        std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// The rows of `now` in the first release's tables.
fn older(now: &Path, path: &Path) {
    let old = Connection::open(path).unwrap();
    old.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA foreign_keys = OFF;",
    )
    .unwrap();
    old.execute_batch(FIRST).unwrap();
    old.execute("ATTACH ?1 AS now", [now.to_str().unwrap()]).unwrap();
    let list = |sql: &str| -> Vec<String> {
        let mut query = old.prepare(sql).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for table in list("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    {
        let columns =
            |schema: &str| list(&format!("SELECT name FROM pragma_table_info('{table}', '{schema}')"));
        let kept = columns("now");
        let mut both = columns("main");
        both.retain(|column| kept.contains(column));
        let both = both.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
        let mut said = both.clone();
        if table == "poll" {
            // The first schema wrote the word.
            let word = "CASE outcome WHEN 0 THEN 'complete' WHEN 1 THEN 'partial' ELSE 'failed' END";
            said = said.replace("\"outcome\"", word);
        }
        let copy = format!("INSERT OR REPLACE INTO main.{table} ({both}) SELECT {said} FROM now.{table}");
        old.execute(&copy, []).unwrap();
    }
    // It had a row for each answer that a breach rests on, where today's are packed by poll.
    let answers = "INSERT OR IGNORE INTO main.evidence (source, seq, slot, at, fetched_at, request_id)
        SELECT p.source, p.seq, u.slot, p.at, p.at, v.event ->> '$.request_ids[0]' FROM main.event v
        JOIN main.source s ON s.name = v.event ->> '$.source' JOIN main.poll p ON p.source = s.id AND p.at = v.at
        JOIN main.user u ON u.source = s.id AND u.name = v.event ->> '$.subject.name' WHERE v.kind = 'fired'";
    assert!(old.execute(answers, []).unwrap() > 0, "nothing fired");
    old.pragma_update(Some("main"), "user_version", 1).unwrap();
}
