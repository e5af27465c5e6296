//! Every migration file is listed, applies in order over what the one before left, and only once.
//! They stand apart from the code for their length.

use super::*;

#[test]
fn every_file_is_listed_in_order() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), STEPS.len());
    for (index, (file, step)) in files.iter().zip(STEPS).enumerate() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with(&format!("{:04}_", index + 1)), "{name}");
        assert_eq!(std::fs::read_to_string(file).unwrap(), step, "{name}");
    }
}

#[test]
fn a_second_time_nothing_happens_and_a_new_step_copies_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut connection = Connection::open(&path).unwrap();
    apply(&mut connection, &path, &STEPS).unwrap();
    connection.execute("INSERT INTO source (name, last_seq, memory) VALUES ('s', 0, '{}')", []).unwrap();
    apply(&mut connection, &path, &STEPS).unwrap();
    assert_eq!(version(&connection).unwrap(), KNOWN);
    let copy = beside(&path, &format!(".schema-{KNOWN}"));
    assert!(!copy.exists());

    let mut steps = STEPS.to_vec();
    steps.push("ALTER TABLE source ADD COLUMN extra TEXT");
    apply(&mut connection, &path, &steps).unwrap();
    assert_eq!(version(&connection).unwrap(), KNOWN + 1);
    let before = Connection::open(&copy).unwrap();
    assert_eq!(version(&before).unwrap(), KNOWN);
    let rows: i64 = before.query_row("SELECT count(*) FROM source", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn a_step_that_fails_leaves_the_schema_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut connection = Connection::open(&path).unwrap();
    let steps = [STEPS[0], "CREATE TABLE half (a TEXT) STRICT; INSERT INTO nowhere VALUES (1);"];
    assert!(apply(&mut connection, &path, &steps).is_err());
    assert_eq!(version(&connection).unwrap(), 1);
    let half = "SELECT count(*) FROM sqlite_schema WHERE name = 'half'";
    assert_eq!(connection.query_row(half, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn polls_keep_all_they_said_in_their_new_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let mut connection = Connection::open(&path).unwrap();
    apply(&mut connection, &path, &STEPS[..2]).unwrap();
    let old = "INSERT INTO source (id, name, last_seq, memory) VALUES (1, 's', 3, '{}');
        INSERT INTO poll (source, seq, at, elapsed, took, jump, skew, requests, outcome, asked, changed, fault, failed, changes) VALUES
        (1, 1, 60000, 0, 7, NULL, NULL, 2, 'complete', 5, 1, NULL, NULL, x'0102'),
        (1, 2, 120000, 60000, 8, 9, -3, 2, 'partial', 5, 0, '{}', x'0101', NULL),
        (1, 3, 180000, 60000, 8, NULL, NULL, 2, 'failed', 5, 0, '{}', x'0005', NULL);";
    connection.execute_batch(old).unwrap();
    apply(&mut connection, &path, &STEPS).unwrap();
    let query = "SELECT group_concat(concat_ws(' ', seq, at, elapsed, took, jump, skew, requests, outcome, asked, changed,
        fault, hex(failed), hex(changes)), '; ' ORDER BY seq) FROM poll WHERE source = 1";
    let said: String = connection.query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(
        said,
        "1 60000 0 7 2 0 5 1  0102; 2 120000 60000 8 9 -3 2 1 5 0 {} 0101 ; 3 180000 60000 8 2 2 5 0 {} 0005 "
    );
}
