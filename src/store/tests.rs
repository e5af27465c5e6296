//! Tests that need the writer's own connection: a full disk, a commit that fails.
//! They stand apart from the code for their length.

use super::*;
use crate::engine::event::{Subject, SubjectKind};
use crate::engine::outcome::{Act, Alert, AlertKey, Outcome};

fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(&directory.path().join("seatwatch.db"), Time::from_millis(0)).unwrap()
}

/// An outcome of so many alert rows, each about 200 bytes.
fn outcome(rows: u32) -> Outcome {
    let key = |n| AlertKey {
        rule: "rule".to_owned(),
        source: None,
        subject: Subject { kind: SubjectKind::User, name: format!("user-{n}") },
    };
    let alert = Alert { step_no: 1, ..Alert::default() };
    Outcome { alerts: (0..rows).map(|n| (key(n), alert.clone())).collect(), ..Outcome::default() }
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

#[test]
fn answers_can_be_awaited() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(store.commit(Outcome::default())), Ok(()));
}
