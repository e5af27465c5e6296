//! `rules suggest` on thin readings: whom it does not judge, and which sources it leaves out.
//! Neighbours: the world in `mod`; `backtest` has what it says of whole weeks. A part of its own as each command's tests are.

use std::sync::Arc;

use seatwatch::agent::setup;
use seatwatch::config::Config;
use seatwatch::engine::judge::judge;
use seatwatch::engine::names::Asked;
use seatwatch::engine::reading::{Batch, Fetched, Reading};
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::{Remembered, Watch, When};
use seatwatch::store::Store;

use super::{START, World, refused};

const RULE: &str = "[[rule]]\nname = \"shared\"\nwhen = \"online > limit\"\nlimit = 2\nmode = \"shadow\"\n";

fn source(name: &str, users: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\nkind = \"aliyun-sag\"\nregion = \"cn-shanghai\"\ninstance = \"sag-{name}\"\n\
         schedule = \"0 * * * *\"\nusers = [{users}]\n"
    )
}

fn hour(n: i64) -> Time {
    START + Span::from_hours(n)
}

/// Polls a source at the hours `from` to `until`.
fn poll(world: &World, source: &str, from: i64, until: i64, said: &dyn Fn(&str, i64) -> Reading) {
    let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
    let config = Config::load(&world.path("rules.toml"), START).unwrap();
    let fleet = Arc::new(config.fleet.clone());
    let settings = config.sources.iter().find(|one| one.name == source).unwrap();
    let setup = Arc::new(setup(&config, settings, &fleet, store.install_id()));
    let mut watch = Watch::new(setup, Remembered::default());
    for n in from..until {
        let asked = Asked::all(Arc::clone(&watch.names));
        let readings: Vec<Reading> = asked.slots().map(|slot| said(watch.names.name(slot), n)).collect();
        let fetched = Fetched {
            batch_of: vec![0; readings.len()].into(),
            readings,
            batches: vec![Batch { fetched_at: hour(n), request_id: Some(format!("R{n}").into()) }],
            requests: 1,
            ..Fetched::default()
        };
        let elapsed = if n == from { Span::ZERO } else { Span::from_hours(1) };
        let poll = watch.poll(fetched, &asked, When { at: hour(n), elapsed, jump: None, took: Span::ZERO });
        store.commit(judge(&mut watch, poll, hour(n))).wait().unwrap();
        watch.names_saved();
    }
}

/// What is said of the hours `from` to `until`.
#[track_caller]
fn suggest(world: &World, from: i64, until: i64) -> (String, serde_json::Value) {
    let (since, until) = (hour(from).to_string(), hour(until).to_string());
    let words = ["rules", "suggest", "shared", "--since", &since, "--until", &until, "--json"];
    let (text, json) = (world.run(&words[..7]), world.run(&words));
    assert_eq!((text.code, json.code), (Some(0), Some(0)), "{}", text.err);
    (text.out, serde_json::from_str(&json.out).unwrap())
}

#[test]
fn nobody_is_judged_on_an_hour() {
    let others: Vec<String> = (0..20).map(|n| format!("\"u{n}\"")).collect();
    let users = format!("\"alice\", \"gone\", {}", others.join(", "));
    let world = World::new(&format!("{}{RULE}", source("shanghai", &users)));
    poll(&world, "shanghai", 0, 24 * 15, &|user, n| match (user, n) {
        ("gone", _) => Reading::FAILED,
        ("alice", ..100) => Reading::online(0),
        ("alice", 100) => Reading::online(3),
        ("alice", _) => Reading::FAILED,
        _ => Reading::online(1),
    });
    let (text, json) = suggest(&world, 0, 24 * 15);
    assert!(!text.contains("alice") && !text.contains("[[exception]]"), "{text}");
    assert!(text.contains("Left out: 1 user of whom no count is known"), "{text}");
    assert!(text.contains("Not judged: 1 user online for less than a tenth of two weeks"), "{text}");
    let counts = ["users", "never_read", "hardly_online"].map(|key| json[key].as_u64().unwrap());
    assert_eq!(counts, [21, 1, 1], "{json}");
}

#[test]
fn who_never_turns_is_judged_by_what_was_known_before() {
    let users = "\"carol\", \"dave\", \"erin\", \"frank\"";
    let world = World::new(&format!("{}{RULE}", source("shanghai", users)));
    poll(&world, "shanghai", 0, 24 * 20, &|user, _| Reading::online(if user == "carol" { 5 } else { 1 }));
    let (text, _) = suggest(&world, 24 * 4, 24 * 20);
    assert!(text.contains("shanghai/carol: usually 5"), "{text}");
}

#[test]
fn each_source_is_asked_for_two_weeks() {
    let rules = format!(
        "{}{}{}{RULE}",
        source("shanghai", "\"a\""),
        source("beijing", "\"b\""),
        source("new", "\"c\"")
    );
    let world = World::new(&rules);
    poll(&world, "shanghai", 0, 24 * 15, &|_, _| Reading::online(1));
    poll(&world, "beijing", 24 * 15 - 29, 24 * 15, &|_, n| Reading::online(if n % 3 == 0 { 3 } else { 1 }));
    let (text, json) = suggest(&world, 0, 24 * 15);
    assert!(text.contains("beijing is left out: it was polled for 1d 5h"), "{text}");
    assert!(text.contains("new is left out: it was polled for 0s"), "{text}");
    assert_eq!((&json["users"], &json["left_out"][0]["source"]), (&1.into(), &"beijing".into()), "{json}");
    let rates = json["candidates"].as_array().unwrap();
    assert!(rates.iter().all(|one| one["limit"] == 1 || one["episodes_per_week"] == 0.0), "{json}");

    let world = World::new(&rules);
    poll(&world, "shanghai", 0, 302, &|_, _| Reading::online(1));
    let (since, until) = (hour(0).to_string(), hour(336).to_string());
    let words = ["rules", "suggest", "--since", &since, "--until", &until];
    refused(&world, &words, 1, "two weeks are the least");
}
