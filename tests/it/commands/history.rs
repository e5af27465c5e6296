//! `history USER`: what was read, in runs and one by one, and what is said when a name fits nobody or several.
//! Neighbours: the world in `mod`. A part of its own as each command's tests are.

use super::{RULES, World, refused};

/// The first poll to five minutes after the last.
const SINCE: [&str; 4] = ["--since", "2024-11-23T00:00:00Z", "--until", "2024-11-23T00:40:00Z"];

#[test]
fn runs_and_blind_times_are_shown() {
    let world = World::polled();
    let history = |arguments: &[&str]| world.run(&[&["history"], arguments, &SINCE[..]].concat());
    insta::assert_snapshot!("history", history(&["alice"]).all());
    insta::assert_snapshot!("history_changes", history(&["alice", "--changes"]).all());
    insta::assert_snapshot!("history_json", history(&["ext-ann", "--json"]).json());
    insta::assert_snapshot!("history_changes_json", history(&["ext-ann", "--json", "--changes"]).json());
    let later = world.run(&["history", "alice", "--since", SINCE[1], "--until", "2024-11-23T01:00:00Z"]);
    let since =
        "Blind for 25m: nothing is known between 2024-11-23 08:35:00 UTC+8 and 2024-11-23 09:00:00 UTC+8.";
    assert!(later.out.contains(since), "{}", later.out);
    let never = history(&["n.g"]);
    assert!(never.out.contains("not polled"), "{}", never.out);
}

#[test]
fn the_window_is_what_was_asked_for() {
    let world = World::polled();
    let polls = |arguments: &[&str]| {
        let ran = world.run(&[&["history", "alice", "--json"], arguments].concat());
        let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        value["readings"].as_array().unwrap().iter().map(|r| r["poll"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(polls(&["--since", "2024-11-23 08:25", "--until", "2024-11-23 08:35"]), [6, 7]);
    assert_eq!(polls(&["--since", "2024-11-23T00:25:00Z"]), [6, 7, 8]);
    assert_eq!(polls(&["--since", "36500d"]).len(), 8);
    let ran = world.run(&["history", "alice"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.starts_with("shanghai/alice: no poll from "), "{}", ran.out);
    refused(
        &world,
        &["history", "alice", "--since", "noon"],
        2,
        "--since: \"noon\" is neither a duration such as 24h",
    );
    refused(&world, &["history", "alice", "--until", "2024-13-01"], 2, "--until: \"2024-13-01\" is neither");
    refused(&world, &["history", "alice", "--since", "1h", "--until", "2h"], 2, "is not after --since");
}

#[test]
fn a_name_is_one_user_or_refused() {
    let world = World::polled();
    let whose = |arguments: &[&str]| {
        let ran = world.run(&[&["history", "--json"], arguments].concat());
        let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        value["source"].as_str().unwrap().to_owned()
    };
    assert_eq!(whose(&["beijing/bob"]), "beijing");
    assert_eq!(whose(&["bob", "--source", "shanghai"]), "shanghai");
    assert_eq!(whose(&["alice"]), "shanghai");
    let both =
        "\"bob\" is a user of beijing and of shanghai: write beijing/bob or shanghai/bob, or add --source";
    refused(&world, &["history", "bob"], 2, both);
    refused(&world, &["history", "alcie"], 2, "no source has a user \"alcie\"; did you mean \"alice\"?");
    refused(&world, &["history", "beijing/alice"], 2, "no source has a user \"beijing/alice\"");
    refused(&world, &["history", "alice", "--source", "beijing"], 2, "source beijing has no user \"alice\"");
    refused(
        &world,
        &["history", "alice", "--source", "paris"],
        2,
        "no source \"paris\"; there is shanghai, beijing",
    );
    refused(&world, &["history", "\u{1b}[31m\nx"], 2, r#"no source has a user "\u{1b}[31m\nx""#);
}

#[test]
fn who_came_or_left_has_a_history() {
    let world = World::polled();
    let rules = RULES.replace("\"alice\", ", "\"carol\", ");
    std::fs::write(world.path("rules.toml"), rules).unwrap();
    let left = world.run(&[&["history", "alice"], &SINCE[..]].concat());
    assert!(left.out.contains("08:05:00 UTC+8"), "{}", left.all());
    let came = world.run(&["history", "carol", "--json"]);
    assert_eq!(came.out, "{\"source\":\"shanghai\",\"user\":\"carol\",\"readings\":[]}\n");
}
