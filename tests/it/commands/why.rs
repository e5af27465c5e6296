//! `why` and `why-not`: episodes that the engine raised live, explained, and each step that can fail on the way to one.
//! Neighbours: the world in `mod`. A part of its own as each command's tests are.

use seatwatch::engine::event::{EventKind, Finding};
use seatwatch::engine::outcome::{Act, ActRow};
use seatwatch::engine::tend::act;
use seatwatch::engine::time::Span;
use seatwatch::engine::watch::Watch;
use seatwatch::store::{Retention, Store};

use super::{RULES, START, World, go_on, refused};

/// Outside of its hours on a Saturday, and about a group.
const MORE: &str = r#"
[[calendar]]
name = "office"
timezone = "Asia/Shanghai"
days = ["Mon-Fri"]
hours = ["09:00-18:30"]
[[rule]]
name = "at-work"
when = "online > 0 or peak(30m) >= 3"
during = "office"
[[rule]]
name = "crowd"
per = "group"
when = "not (total <= 3 or members == 0) and online_time > 1h"
clear_when = "total < 2"
[[rule]]
name = "often"
when = "online > 1"
for = "3 of 5 polls"
groups = ["contractors"]
users = ["bob"]
"#;

const COLUMNS: [&str; 9] = [
    "1 1 1 1 1 ~",
    "3 1 1 4 1 ~",
    "3 2 - 4 1 ~",
    "3 2 - 4 1 ~",
    "_ _ _ _ _ ~",
    "_ _ _ _ _ ~",
    "_ _ _ _ _ ~",
    "4 _ 1 5 0 ~",
    "1 1 1 5 0 ~",
];

fn world() -> World {
    let world = World::new(&format!("{RULES}{MORE}"));
    let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
    world.play(&store, "shanghai", &COLUMNS[..8]);
    world.play(&store, "beijing", &["2"]);
    world
}

/// The id of the one episode of a rule.
#[track_caller]
fn episode(world: &World, rule: &str) -> String {
    let ran = world.run(&["alerts", "list", "--all", "--rule", rule, "--json"]);
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    value[0]["episode"].as_str().unwrap().to_owned()
}

#[test]
fn an_episode_is_explained_poll_by_poll() {
    let world = world();
    let id = episode(&world, "shared-account");
    insta::assert_snapshot!("why", world.run(&["why", &id]).all());
    insta::assert_snapshot!("why_json", world.run(&["why", &id, "--json"]).json());
    insta::assert_snapshot!("why_shadow", world.run(&["why", &episode(&world, "strict")]).all());
    refused(&world, &["why", "ep_nothing"], 2, "the newest are");
}

/// It is open for longer than its events are kept: what it rests on stays, for people and for a restart.
#[test]
fn an_episode_older_than_what_is_kept_still_shows_its_grounds() {
    let world = World::new(RULES);
    let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
    world.play(&store, "shanghai", &["3 1 1 1 1 ~"; 90]);
    let id = episode(&world, "shared-account");
    let shown = |command: &[&str]| {
        let ran = world.run(&[command, &[&id, "--json"]].concat());
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        ran.out
    };
    let answers =
        || store.reader().unwrap().evidence("shanghai", "alice", START, START + Span::from_days(1)).unwrap();
    let alerts = || store.load_alerts(None).wait().unwrap();
    let before = (shown(&["why"]), shown(&["alerts", "show"]), alerts(), answers());
    assert_eq!(before.3.len(), 3, "it fired at the third poll");
    let (kept, none) = (Span::from_mins(30), Span::ZERO);
    let retention = Retention { events: kept, attempts: kept, requests: none, ..Retention::default() };
    let later = START + Span::from_mins(5 * 90);
    while store.prune(later, retention, 7).wait().unwrap().more {}
    assert_eq!((shown(&["why"]), shown(&["alerts", "show"]), alerts(), answers()), before);
}

/// What the file says now is not what was judged then; and what nobody has any more cannot be played.
#[test]
fn an_episode_of_another_rule_says_so() {
    let world = world();
    let id = episode(&world, "shared-account");
    let other = RULES.replace("for = \"10m\"", "for = \"5m\"").replace("limit = 2", "limit = 5");
    std::fs::write(world.path("rules.toml"), other).unwrap();
    insta::assert_snapshot!("why_changed", world.run(&["why", &id]).all());
    std::fs::write(world.path("rules.toml"), RULES.replace("shared-account", "sharing")).unwrap();
    insta::assert_snapshot!("why_gone", world.run(&["why", &id]).all());
}

/// The rule as it is now fires long before the polls that are shown.
#[test]
fn an_episode_that_would_have_begun_earlier_says_so() {
    let rules = |limit: u32| RULES.replace("limit = 2", &format!("limit = {limit}"));
    let world = World::new(&rules(4));
    let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
    let columns = ["1 1 1 1 1 ~", "3 1 1 1 1 ~", "3 1 1 1 1 ~", "3 1 1 1 1 ~", "3 1 1 1 1 ~", "3 1 1 1 1 ~"];
    world.play(&store, "shanghai", &[&columns[..], &["5 1 1 1 1 ~"; 3]].concat());
    let id = episode(&world, "shared-account");
    std::fs::write(world.path("rules.toml"), rules(2)).unwrap();
    let ran = world.run(&["why", &id]);
    let says = "it fires at 2024-11-23 08:15:00 UTC+8 already, and goes on where this episode begins";
    assert!(ran.out.contains(says), "{}", ran.out);
}

/// The step that fails is this one (`fired`: none does), and its text is in the snapshot.
#[track_caller]
fn check(world: &World, text: &mut String, rule: &str, user: &str, minute: i64, expect: &str) {
    let at = (START + Span::from_mins(minute)).to_string();
    let arguments = ["why-not", rule, user, "--at", &at];
    let ran = world.run(&[&arguments[..], &["--json"]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{arguments:?}");
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let failed = value["failed"].as_str().unwrap_or(match value["episode"].is_null() {
        true => "nothing",
        false => "fired",
    });
    assert_eq!(failed, expect, "{arguments:?}: {}", ran.out);
    *text += &format!("$ why-not {rule} {user}\n{}\n", world.run(&arguments).all());
}

#[test]
fn the_first_step_that_fails_is_named() {
    let world = world();
    let mut text = String::new();
    let mut check = |rule, user, minute, expect| check(&world, &mut text, rule, user, minute, expect);
    check("strict", "beijing/bob", 15, "source");
    check("shared-account", "n.g", 15, "user");
    check("shared-account", "gateway-1", 15, "scope");
    check("often", "alice", 15, "scope");
    check("shared-account", "shanghai/bob", -5, "poll");
    check("shared-account", "ext-ann", 10, "poll");
    check("shared-account", "shanghai/bob", 20, "poll");
    check("shared-account", "shanghai/bob", 35, "poll");
    check("shared-account", "shanghai/bob", 500, "poll");
    check("at-work", "alice", 15, "during");
    check("shared-account", "shanghai/bob", 15, "condition");
    check("shared-account", "lobby-kiosk", 15, "condition");
    check("crowd", "contractors", 5, "condition");
    check("seats", "shanghai", 15, "condition");
    check("shared-account", "alice", 12, "for");
    check("often", "shanghai/bob", 15, "for");
    check("shared-account", "alice", 15, "fired");
    check("strict", "shanghai/bob", 35, "fired");
    insta::assert_snapshot!("why_not", text);
    let at = (START + Span::from_mins(12)).to_string();
    insta::assert_snapshot!(
        "why_not_json",
        world.run(&["why-not", "shared-account", "alice", "--at", &at, "--json"]).json()
    );
}

/// "Nothing is firing" while nobody looks is no comfort: how old it is stands beside it.
#[test]
fn what_is_known_from_long_ago_says_so() {
    let world = world();
    let old = ["shanghai is not polled as its schedule says", "ago, at 2024-11-23 08:35:00 UTC+8"];
    for arguments in
        [&["alerts", "list"][..], &["alerts", "list", "--json"], &["why-not", "often", "shanghai/bob"]]
    {
        let ran = world.run(arguments);
        assert!(old.iter().all(|part| ran.err.contains(part)), "{arguments:?}: {}", ran.err);
        assert_eq!(ran.code, Some(0));
    }
    assert!(!world.run(&["alerts", "list", "--source", "beijing"]).err.contains("shanghai"));
    assert!(
        !world
            .run(&["why-not", "often", "shanghai/bob", "--at", "2024-11-23T00:15:00Z"])
            .err
            .contains("note")
    );
    let now = seatwatch::agent::clock::now();
    let known = |source: &str, since: i64, columns: &[&str]| {
        let world = World::new(RULES);
        let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
        world.play_from(now - Span::from_mins(since), &store, source, columns);
        world.run(&["alerts", "list", "--source", source]).err
    };
    let (usual, failed) = ("1 1 1 1 1 ~", "_ _ _ _ _ ~");
    let late = known("shanghai", 25, &[usual, failed, failed]);
    assert!(
        late.contains("shanghai is not polled as its schedule says; what is known of it is from 25m"),
        "{late}"
    );
    let blind = known("shanghai", 25, &[usual, failed, failed, failed, failed, failed]);
    assert!(blind.contains("polls of shanghai fail; what is known of it is from 25m"), "{blind}");
    let nothing = known("shanghai", 5, &[failed, failed]);
    assert!(nothing.contains("no poll of shanghai has told anything yet"), "{nothing}");
    assert_eq!(known("shanghai", 5, &[usual, usual]), "");
    assert!(known("beijing", 5, &[]).contains("beijing was never polled"));
    // The clock was set back: what is known is not young, nobody can tell how old it is.
    let ahead = known("shanghai", -30, &[usual, usual]);
    assert!(ahead.contains("shanghai was last polled 34m"), "{ahead}");
    assert!(ahead.contains(" in the future, at ") && ahead.contains("this host's clock"), "{ahead}");
    assert_eq!(known("shanghai", 0, &[usual]), "");
    let world = World::new(RULES);
    let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
    let mut watch = world.play_from(now + Span::from_mins(30), &store, "shanghai", &[usual]);
    go_on(&mut watch, now - Span::from_mins(15), &store, 1, &[failed, failed]);
    let blind = world.run(&["alerts", "list", "--source", "shanghai"]).err;
    assert!(blind.contains("what is known of shanghai is from 29m"), "{blind}");
    assert!(blind.contains("no poll has told anything since"), "{blind}");
}

/// Closes the episode of `shared-account` 36 minutes after the start, as an operator's wish that the agent grants.
fn close(world: &World, store: &Store, watch: &mut Watch, rearm: bool, finding: Option<Finding>) {
    let (at, episode) = (START + Span::from_mins(36), episode(world, "shared-account"));
    let close = Act::Close { episode, rearm, finding, note: None };
    let id = store.add_act("ops", at, close.clone()).wait().unwrap();
    let outcome = act(watch, &ActRow { id, by: "ops".to_owned(), at, act: close }, at).unwrap();
    assert!(outcome.events.iter().any(|event| event.kind == EventKind::Closed));
    store.commit(outcome).wait().unwrap();
}

/// An episode that an operator closed, and a rule that was another one then.
#[test]
fn operators_and_older_rules_are_steps_too() {
    let world = World::new(RULES);
    let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
    let mut watch = world.play_from(START, &store, "shanghai", &COLUMNS[..8]);
    close(&world, &store, &mut watch, false, Some(Finding::MultiDevice));
    let mut text = String::new();
    check(&world, &mut text, "shared-account", "alice", 37, "closed");
    // It goes on as closed, whatever the readings would have raised, until it is clear and breaks anew.
    go_on(&mut watch, START, &store, 8, &["4 1 1 1 1 ~", "1 1 1 1 1 ~", "3 1 1 1 1 ~"]);
    check(&world, &mut text, "shared-account", "alice", 42, "closed");
    check(&world, &mut text, "shared-account", "alice", 50, "for");
    text += &world.run(&["why", &episode(&world, "shared-account")]).all();
    std::fs::write(world.path("rules.toml"), RULES.replace("limit = 2", "limit = 1")).unwrap();
    check(&world, &mut text, "shared-account", "shanghai/bob", 20, "poll");
    std::fs::write(world.path("rules.toml"), RULES.replace("for = \"10m\"", "")).unwrap();
    check(&world, &mut text, "shared-account", "alice", 10, "in force");
    insta::assert_snapshot!("why_not_closed", text);
}

/// Whom an operator closed so that it may fire again at once is pending at the next breach, with a time that began anew.
#[test]
fn what_was_closed_to_fire_again_is_not_called_closed() {
    let world = World::new(RULES);
    let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
    let mut watch = world.play_from(START, &store, "shanghai", &COLUMNS[..8]);
    close(&world, &store, &mut watch, true, None);
    let mut text = String::new();
    check(&world, &mut text, "shared-account", "alice", 37, "closed");
    go_on(&mut watch, START, &store, 8, &["4 1 1 1 1 ~", "4 1 1 1 1 ~", "4 1 1 1 1 ~"]);
    check(&world, &mut text, "shared-account", "alice", 47, "for");
    check(&world, &mut text, "shared-account", "alice", 52, "fired");
    insta::assert_snapshot!("why_not_rearmed", text);
}

#[test]
fn names_that_nobody_knows_get_the_nearest() {
    let world = world();
    refused(&world, &["why-not", "shared-acount", "alice"], 2, "did you mean \"shared-account\"?");
    refused(&world, &["why-not", "shared-account", "alic"], 2, "did you mean \"alice\"?");
    refused(&world, &["why-not", "shared-account", "bob"], 2, "shanghai/bob");
    refused(&world, &["why-not", "crowd", "contractor"], 2, "did you mean \"contractors\"?");
    refused(&world, &["why-not", "seats", "shangai"], 2, "did you mean \"shanghai\"?");
    refused(&world, &["why-not", "seats", "shanghai", "--at", "noon"], 2, "--at: \"noon\"");
}
