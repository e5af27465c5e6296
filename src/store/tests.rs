//! Tests that need the writer's own connection: a full disk, a commit that fails.
//! They stand apart from the code for their length.

use std::time::{Duration, Instant};

use super::*;
use crate::engine::event::{Subject, SubjectKind};
use crate::engine::outcome::{Act, Alert, AlertKey, Outcome};

fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(&directory.path().join("seatwatch.db"), Time::from_millis(0)).unwrap()
}

/// An outcome of so many alert rows, each about 200 bytes.
fn outcome(rows: u32) -> Outcome {
    let key = |n| AlertKey {
        rule: "rule".into(),
        source: None,
        subject: Subject { kind: SubjectKind::User, name: format!("user-{n}") },
    };
    let alert = Alert { step_no: 1, ..Alert::default() };
    Outcome { alerts: (0..rows).map(|n| (key(n), alert.clone().into())).collect(), ..Outcome::default() }
}

fn limit_pages(store: &Store, pages: u32) {
    let set =
        move |c: &Connection| Ok(c.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?);
    store.read(set).wait().unwrap();
}

#[test]
fn a_full_disk_is_survived_and_nothing_is_half_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    limit_pages(&store, 100);
    let full = store.commit(outcome(5_000)).wait();
    assert_eq!(full, Err(StoreError::Full { path: store.path().to_owned() }));
    assert!(store.load_alerts(None).wait().unwrap().is_empty());
    limit_pages(&store, 1_000_000);
    store.commit(outcome(5_000)).wait().unwrap();
    assert_eq!(store.load_alerts(None).wait().unwrap().len(), 5_000);
}

#[test]
fn after_a_commit_that_fails_the_connection_is_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    // Checked only at COMMIT: the row names a source that is not there.
    let failing = store.write(|c| {
        c.execute_batch("PRAGMA defer_foreign_keys = ON; INSERT INTO user VALUES (99, 0, 'nobody');")?;
        Ok(())
    });
    assert!(matches!(failing.wait(), Err(StoreError::UnknownFate { .. })));
    let users = store.read(|c| Ok(c.query_row("SELECT count(*) FROM user", [], |r| r.get::<_, i64>(0))?));
    assert_eq!(users.wait(), Ok(0));
    store.commit(outcome(1)).wait().unwrap();
    let durable = store.read(|c| Ok(c.query_row("PRAGMA synchronous", [], |r| r.get::<_, i64>(0))?));
    assert_eq!(durable.wait(), Ok(2), "FULL on the new connection too");
}

#[test]
fn a_reader_cannot_write() {
    let directory = tempfile::tempdir().unwrap();
    let reader = open(&directory).reader().unwrap();
    let written = reader.run(|c| Ok(c.execute("DELETE FROM meta", [])?));
    assert!(matches!(written, Err(StoreError::ReadOnly { .. })));
    let act = Act::Drop { notification: "ntf_x".to_owned() };
    let added = add_act(reader.path(), "ops", Time::from_millis(0), act);
    assert!(matches!(added, Err(StoreError::NotFound { .. })));
}

/// SQLite calls both malformed: the one is told from the other by reading all of it, and not at every turn.
#[test]
fn a_page_that_could_not_be_read_for_a_moment_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.commit(outcome(100)).wait().unwrap();
    let path = store.path().to_owned();
    let malformed = || StoreError::Malformed { path: path.clone(), detail: "malformed".to_owned() };
    let refused = |at: Option<Instant>| {
        let error = malformed();
        let judge = move |writer: &mut Writer| Ok(writer.judged(error, at.unwrap_or_else(Instant::now)));
        Pending(store.writer.run(judge)).wait().unwrap()
    };
    let now = Instant::now();
    let first = refused(Some(now));
    assert!(first.to_string().contains("can be now: malformed"), "{first}");
    assert!(matches!(first, StoreError::Io { .. }) && store.damage().is_none(), "{first}");
    assert!(matches!(store.condemn(malformed()).wait(), Err(StoreError::Io { .. })));
    store.commit(outcome(1)).wait().unwrap();
    store.cut_log_above(0).wait().unwrap();
    let length = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![0x5a; length - 8192], 8192).unwrap();
    // Closing the file drops SQLite's locks on it, which nobody else asks for here.
    drop(file);
    assert_eq!(refused(Some(now + Duration::from_secs(59))), first, "looked into a moment ago");
    let found = refused(Some(now + Duration::from_secs(200)));
    assert!(matches!(found, StoreError::Corrupt { .. }), "{found}");
    assert_eq!(store.condemn(found.clone()).wait(), Ok(()));
    assert_eq!(store.commit(outcome(1)).wait(), Err(found));
}

#[test]
fn answers_can_be_awaited() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(store.commit(Outcome::default())), Ok(()));
}

impl Store {
    /// The writer's thread ends, as a bug would end it.
    pub(crate) fn break_off(&self) -> Pending<()> {
        self.write(|_| panic!("the store's thread ends here"))
    }
}

#[test]
fn a_log_that_a_reader_pins_is_cut_back_when_it_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let length = || std::fs::metadata(directory.path().join("seatwatch.db-wal")).unwrap().len();
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM meta;").unwrap();
    store.commit(outcome(5_000)).wait().unwrap();
    assert!(length() > 500_000, "{}", length());
    assert_eq!(store.cut_log().wait(), Ok(None), "not large enough to matter");
    assert_eq!(store.cut_log_above(100_000).wait(), Ok(Some(length())), "somebody reads");
    store.commit(outcome(10)).wait().unwrap();
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(store.cut_log_above(100_000).wait(), Ok(None));
    assert_eq!(length(), 0);
    assert_eq!(store.load_alerts(None).wait().unwrap().len(), 5_000);
}

#[test]
fn what_is_forgotten_goes_in_batches_and_its_room_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let fill = |c: &Transaction<'_>| {
        c.execute_batch(
            "INSERT INTO source (id, name, last_seq, memory) VALUES (1, 's', 20000, '{}');
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
             INSERT INTO evidence (source, slot, seq, at, fetched_at, request_id)
                SELECT 1, i, i, i, i, hex(randomblob(40)) FROM n;
             CREATE TEMP VIEW n(i) AS WITH RECURSIVE n(i) AS
                (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n;
             INSERT INTO poll (source, seq, at, elapsed, took, requests, outcome, asked, changed)
                SELECT 1, i, i, 1, 1, 1, 0, 1, 0 FROM n;
             INSERT INTO keyframe (source, seq, readings) SELECT 1, i, randomblob(100) FROM n;
             INSERT INTO roster (source, seq, users) SELECT 1, i, randomblob(100) FROM n;
             -- Younger than their polls, so that these take them along.
             INSERT INTO reply (source, seq, at, replies) SELECT 1, i, 9223372036854775807, randomblob(100) FROM n;
             DROP VIEW n;",
        )?;
        Ok(())
    };
    store.write(fill).wait().unwrap();
    let pages = |name: &str| {
        let query = format!("PRAGMA {name}");
        store.read(move |c| Ok(c.query_row(&query, [], |r| r.get::<_, i64>(0))?)).wait().unwrap()
    };
    let (full, later) =
        (pages("page_count"), Time::from_millis(0) + crate::engine::time::Span::from_days(9_999));
    let log = || std::fs::metadata(directory.path().join("seatwatch.db-wal")).unwrap().len();
    let (filled, mut batches) = (log(), 0);
    let tables = ["evidence", "poll", "keyframe", "roster", "reply"];
    let left = || {
        let count = |table: &str| {
            let query = format!("SELECT count(*) FROM {table}");
            store.read(move |c| Ok(c.query_row(&query, [], |r| r.get::<_, i64>(0))?)).wait().unwrap()
        };
        tables.map(count)
    };
    loop {
        let before = left();
        let pruned = store.prune(later, Retention::default(), 2_000).wait().unwrap();
        let after = left();
        for ((table, before), after) in tables.iter().zip(before).zip(after) {
            assert!(before - after <= 2_000, "a batch holds up nobody for long: {table} {before} {after}");
        }
        batches += 1;
        assert!(log() <= filled + (1 << 20), "{} bytes of log, {filled} before", log());
        if !pruned.more {
            // The last poll but one, with which what is left begins, and the last.
            assert_eq!(after, [0, 2, 2, 2, 2]);
            break;
        }
    }
    assert!(batches >= 100, "{batches}");
    assert_eq!(pages("freelist_count"), 0);
    assert!(pages("page_count") * 10 < full, "{} of {full} pages are left", pages("page_count"));
}
