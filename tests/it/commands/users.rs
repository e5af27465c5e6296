//! `users` and `rules list`: who is watched, with which limit, and how the rules stand.
//! Neighbours: the world in `mod`. A part of its own as each command's tests are.

use std::io::Read as _;
use std::process::Stdio;

use seatwatch::engine::time::{Span, Time};
use seatwatch::store::Store;

use super::{RULES, START, World, refused};

#[test]
fn users_are_listed_with_reading_limit_and_rules() {
    let world = World::polled();
    let ran = world.run(&["users"]);
    insta::assert_snapshot!("users", ran.all());
    let ran = world.run(&["users", "--json"]);
    insta::assert_snapshot!("users_json", ran.json());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn users_can_be_narrowed_down() {
    let world = World::polled();
    let names = |arguments: &[&str]| {
        let ran = world.run(&[&["users", "--json"], arguments].concat());
        let value: Vec<serde_json::Value> = serde_json::from_str(&ran.out).unwrap();
        let name = |user: &serde_json::Value| format!("{}/{}", user["source"], user["user"]).replace('"', "");
        value.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&["--user", "bob"]), ["shanghai/bob", "beijing/bob"]);
    assert_eq!(names(&["--source", "beijing"]), ["beijing/bob"]);
    assert_eq!(names(&["--user", "*-*", "--source", "shanghai"]).len(), 3);
    assert_eq!(names(&["--user", "nobody"]), Vec::<String>::new());
    refused(&world, &["users", "--source", "shangai"], 2, "did you mean \"shanghai\"?");
    refused(&world, &["users", "--user", "[x"], 2, "--user: \"[x\" is not a pattern");
}

#[test]
fn rules_are_listed_with_their_standing() {
    let world = World::polled();
    insta::assert_snapshot!("rules", world.run(&["rules", "list"]).all());
    let ran = world.run(&["rules", "list", "--json"]);
    insta::assert_snapshot!("rules_json", ran.json());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

/// The wall clock, as the program reads it.
fn now() -> Time {
    seatwatch::agent::clock::now()
}

/// What rules raised of late is counted; of one in the shadow it is said whom it would have told.
#[test]
fn a_rule_in_the_shadow_says_what_it_would_have_told() {
    let world = World::new(RULES);
    // The day it is where the rules file is: eight hours ahead.
    let today = (now() + Span::from_hours(8)).to_string();
    let rules = RULES.replace("2999-12-31", &today[..10]);
    std::fs::write(world.path("rules.toml"), rules).unwrap();
    let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
    let columns = ["1 2 1 1 1 1", "1 2 1 1 1 1", "1 1 1 1 1 1", "1 2 1 1 1 1"];
    world.play_from(now() - Span::from_days(20), &store, "shanghai", &columns);
    let listed = |n: usize| {
        let ran = world.run(&["rules", "list", "--json"]);
        let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let fired = value[n]["fired"].clone();
        (fired["last_7_days"].as_u64(), fired["last_28_days"].as_u64(), fired["per_week"].as_f64())
    };
    assert_eq!(listed(1), (Some(0), Some(2), None), "half an hour of polls says nothing of a week");
    assert_eq!(listed(0), (Some(0), Some(0), None));
    let text = world.run(&["rules", "list"]).out;
    let says = "strict is in the shadow: it would have told hook of 0 episodes in 7 days and 2 in 28; ";
    assert!(text.lines().any(|line| line.starts_with(says)), "{text}");
    let check = world.run(&["check"]);
    assert!(check.err.contains("expires: ends after today (owner \"it-ops\")"), "{}", check.err);
}

#[test]
fn without_a_database_rules_stand_and_users_are_refused() {
    let world = World::new(RULES);
    insta::assert_snapshot!("rules_without_database", world.run(&["rules", "list"]).all());
    let ran = world.run(&["rules", "list", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&value[0]["armed_at"], &value[0]["firing"]),
        (&serde_json::Value::Null, &serde_json::json!(0))
    );
    for command in [&["users"][..], &["history", "alice"], &["db", "stats"], &["db", "backup", "x"]] {
        refused(
            &world,
            command,
            74,
            "seatwatch.db does not exist: name the right `database`, or start `seatwatch run`",
        );
    }
    assert!(!world.path("seatwatch.db").exists() && !world.path("x").exists());
}

#[test]
fn a_reader_that_goes_away_is_borne() {
    let world = World::polled();
    let many: String = (0..20_000).map(|n| format!("\"user-{n}\", ")).collect();
    let rules = RULES.replace("[\"alice\", \"bob\",", &format!("[{many}\"alice\", \"bob\","));
    let rules = rules.replace("access_key_id", "requests_per_second = 100\naccess_key_id");
    std::fs::write(world.path("rules.toml"), rules).unwrap();
    for arguments in [&["users"][..], &["users", "--json"]] {
        let mut child =
            world.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 10]).unwrap();
        drop(out);
        let ended = child.wait_with_output().unwrap();
        let err = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), err.as_str()), (Some(0), ""));
    }
}
