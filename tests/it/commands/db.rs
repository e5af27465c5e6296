//! `db backup`, `check` and `stats`, on a database that is whole, in use, or damaged.
//! Neighbours: the world in `mod`. A part of its own as each command's tests are.

use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

use seatwatch::store::Store;

use super::{START, World, refused};

#[test]
fn a_backup_is_private_whole_and_asked_for() {
    let world = World::polled();
    // As while the agent runs.
    let _writer = Store::open(&world.path("seatwatch.db"), START).unwrap();
    let ran = world.run(&["db", "backup", "copy.db"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("copy.db: a checked copy, "), "{}", ran.out);
    let mode = std::fs::metadata(world.path("copy.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    refused(
        &world,
        &["db", "backup", "copy.db"],
        2,
        "copy.db exists already: name another file, or add --force",
    );
    let ran = world.run(&["db", "backup", "copy.db", "--force", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&value["file"], &value["of"]), (&"copy.db".into(), &"seatwatch.db".into()), "{}", ran.err);
    refused(&world, &["db", "backup", "seatwatch.db", "--force"], 1, "is the database itself");
    for (name, bytes) in [("rules.toml", None), ("notes", Some("SQLite is what I like"))] {
        bytes.iter().for_each(|bytes| std::fs::write(world.path(name), bytes).unwrap());
        let before = std::fs::read(world.path(name)).unwrap();
        refused(&world, &["db", "backup", name, "--force"], 1, "is not a database, so it is not replaced");
        assert_eq!(std::fs::read(world.path(name)).unwrap(), before);
    }
    std::fs::write(world.path("empty"), "").unwrap();
    assert_eq!(world.run(&["db", "backup", "empty", "--force"]).code, Some(0));
    refused(&world, &["db", "backup", "no/such/x.db"], 74, "no/such/x.db cannot be used");
    // The copy answers, also where the rules file is refused.
    std::fs::write(world.path("rules.toml"), "wrong").unwrap();
    assert_eq!(world.run(&["db", "check", "--database", "copy.db"]).code, Some(0));
    let ran = world.run(&["db", "check"]);
    assert_eq!(ran.code, Some(78));
    let last = "note: with --database FILE this command reads no rules file\n";
    assert!(ran.err.ends_with(last), "the way out does not scroll away: {}", ran.err);
    for command in [["alerts", "list"], ["outbox", "list"]] {
        assert_eq!(world.run(&command).code, Some(78));
        let ran = world.run(&[&command[..], &["--database", "seatwatch.db"]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }
}

#[test]
fn stats_count_what_is_there() {
    let world = World::polled();
    let ran = world.run(&["db", "stats", "--json"]);
    let mut value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    for (key, least) in [("bytes", 4096.0), ("bytes_per_reading", 1.0), ("wal_bytes", 0.0), ("schema", 1.0)] {
        assert!(value[key].as_f64().unwrap() >= least, "{key}: {value}");
        value[key] = "a number".into();
    }
    assert!(value["sqlite_version"].as_str().unwrap().starts_with("3."), "{value}");
    value["sqlite_version"] = "a version".into();
    insta::assert_snapshot!("db_stats_json", serde_json::to_string_pretty(&value).unwrap());
    for (most, code) in [("15m", 1), ("1000000d", 0)] {
        let ran = world.run(&["db", "stats", "--max-age", most]);
        assert_eq!(ran.code, Some(code), "{}", ran.err);
        assert_eq!(ran.err.contains("see whether the agent runs"), code == 1, "{}", ran.err);
    }
    // One source that is heard is no comfort about another that never was.
    let rules = std::fs::read_to_string(world.path("rules.toml")).unwrap();
    let other = rules[rules.find("[[source]]").unwrap()..].split("\n\n").next().unwrap();
    let other = other.lines().map(|line| if line.starts_with("name = ") { "name = \"deaf\"" } else { line });
    let other = other.collect::<Vec<_>>().join("\n");
    std::fs::write(world.path("rules.toml"), format!("{rules}\n{other}\n")).unwrap();
    let aged = |most: &[&str]| world.run(&[&["db", "stats", "--max-age", "1000000d"], most].concat());
    let ran = aged(&[]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("of deaf nothing was ever heard"), "{}", ran.err);
    assert_eq!(aged(&["--database", "seatwatch.db"]).code, Some(0));
    let text = world.run(&["db", "stats"]).out;
    assert!(text.contains("first poll         2024-11-23 08:00:00 UTC+8\n"), "{text}");
    assert!(text.contains("bytes per reading  -\n"), "of so few readings it says nothing: {text}");
}

#[test]
fn damage_is_told_and_has_its_exit_code() {
    let world = World::polled();
    let ran = world.run(&["db", "check", "--json"]);
    insta::assert_snapshot!("db_check_json", ran.json());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(
        world.run(&["db", "check"]).out,
        "seatwatch.db is whole: pages, references, chains, events, readings and rows.\n"
    );
    let copy = world.run(&["db", "backup", "broken.db"]);
    assert_eq!(copy.code, Some(0), "{}", copy.err);
    let path = world.path("broken.db");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    for page in 3..pages {
        file.write_all_at(&[0x5a; 512], page * 4096).unwrap();
    }
    let ran = world.run(&["db", "check", "--database", "broken.db"]);
    assert_eq!(ran.code, Some(74), "{}", ran.all());
    assert!(ran.err.contains("broken.db is damaged"), "{}", ran.all());
    std::fs::write(&path, "not a database at all, but a text of some length").unwrap();
    refused(&world, &["db", "check", "--database", "broken.db"], 74, "is not a Seatwatch database");
}

/// Rows that read well and are not what was written: nothing but what they refer to tells.
#[test]
fn rows_that_were_taken_out_or_forged_are_told() {
    let world = World::polled();
    let check = |forgery: &str, says: &str| {
        let _ = std::fs::remove_file(world.path("forged.db"));
        assert_eq!(world.run(&["db", "backup", "forged.db"]).code, Some(0));
        let forged = rusqlite::Connection::open(world.path("forged.db")).unwrap();
        forged.execute_batch(&format!("PRAGMA foreign_keys = OFF; {forgery}")).unwrap();
        drop(forged);
        let ran = world.run(&["db", "check", "--database", "forged.db"]);
        assert_eq!(ran.code, Some(if says.is_empty() { 0 } else { 74 }), "{forgery}: {}", ran.all());
        assert!(ran.out.contains(says), "{forgery} should say {says:?}: {}", ran.out);
    };
    check("", "");
    check("DELETE FROM basis", "the answers on which event evt_");
    check("DELETE FROM episode WHERE subject = 'alice'", "which is not there");
    check("UPDATE episode SET since = since - 60000", "its first breach is not the one that event evt_");
    check("UPDATE episode SET subject = 'bob' WHERE subject = 'alice'", "its subject is not the one");
    check("UPDATE episode SET ended_at = ended_at + 1, value = NULL", "its end is not the one");
    check("UPDATE episode SET finding = 'compromised'", "no operator's act has its finding");
    check("UPDATE episode SET note = 'sold it'", "no operator's act has its finding");
    check("UPDATE poll SET at = at + 1 WHERE seq = 4", "the poll at which event evt_");
    for gone in ["seq = 1", "seq = 4", "seq = (SELECT max(seq) FROM poll)"] {
        check(&format!("DELETE FROM poll WHERE {gone}"), "polls are missing");
    }
    check("DELETE FROM event", "has no event that it fired");
}
