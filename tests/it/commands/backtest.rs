//! `rules backtest` and `rules suggest`: over readings that the engine judged live, closed with findings, and with holes.
//! Neighbours: the world in `mod`. A part of its own as each command's tests are.

use std::sync::Arc;

use seatwatch::agent::setup;
use seatwatch::config::Config;
use seatwatch::engine::event::{EventKind, Finding};
use seatwatch::engine::judge::judge;
use seatwatch::engine::names::Asked;
use seatwatch::engine::outcome::{Act, ActRow};
use seatwatch::engine::reading::{Batch, Fetched, Reading};
use seatwatch::engine::tend::act;
use seatwatch::engine::time::Span;
use seatwatch::engine::timeline;
use seatwatch::engine::watch::{Remembered, Watch, When};
use seatwatch::store::Store;

use super::{START, World, refused};

const RULES: &str = r#"
[agent]
timezone = "Asia/Shanghai"
[[source]]
name = "shanghai"
kind = "aliyun-sag"
region = "cn-shanghai"
instance = "sag-1"
schedule = "0 * * * *"
users = ["alice", "bob", "carol", "dave", "erin", "nobody"]
[[rule]]
name = "shared-account"
when = "online > limit"
limit = 2
for = "2h"
mode = "shadow"
[[rule]]
name = "seats"
per = "source"
when = "total > 12"
mode = "shadow"
"#;

/// Fifteen days, an hour a word: alice shares on Mondays and is found out, bob has a laptop and a phone, carol's account
/// is shared always, dave is ordinary, erin shares once for too short a time. On the tenth day nothing was read for six hours.
fn past() -> World {
    let world = World::new(RULES);
    let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
    let day = |text: &str| timeline::parse(text).unwrap();
    let days = |ordinary: &str, special: &[(usize, &str)]| -> Vec<Reading> {
        let of = |n: usize| special.iter().find(|(day, _)| *day == n).map_or(ordinary, |(_, text)| *text);
        (0..15).flat_map(|n| day(of(n))).collect()
    };
    let calm = "0x7 1x9 0x5";
    let shared = "0x7 1x1 4x4 1x2 0x5";
    let columns = [
        days(calm, &[(2, shared), (9, shared)]),
        days("0x7 2x9 0x5", &[]),
        days("0x7 5x9 0x5", &[]),
        days(calm, &[]),
        days(calm, &[(4, "0x7 1x4 3x1 1x2 0x5")]),
    ];
    let config = Config::load(&world.path("rules.toml"), START).unwrap();
    let fleet = Arc::new(config.fleet.clone());
    let setup = Arc::new(setup(&config, &config.sources[0], &fleet, store.install_id()));
    let mut watch = Watch::new(setup, Remembered::default());
    let mut last = START;
    for n in 0..columns[0].len() {
        if (240..246).contains(&n) {
            continue;
        }
        let at = START + Span::from_hours(i64::try_from(n).unwrap());
        let elapsed = at.since(last);
        last = at;
        let asked = Asked::all(Arc::clone(&watch.names));
        let mut readings: Vec<Reading> = columns.iter().map(|column| column[n]).collect();
        readings.push(Reading::NOT_POLLED);
        if n == 100 {
            readings.fill(Reading::FAILED);
        }
        let fetched = Fetched {
            batch_of: vec![0; 6].into(),
            readings,
            batches: vec![Batch { fetched_at: at, request_id: Some(format!("R{n}").into()) }],
            requests: 1,
            ..Fetched::default()
        };
        let poll = watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
        let outcome = judge(&mut watch, poll, at);
        let fired: Vec<_> =
            outcome.events.iter().filter(|event| event.kind == EventKind::Fired).cloned().collect();
        store.commit(outcome).wait().unwrap();
        watch.names_saved();
        for event in fired {
            let finding = match event.subject.name.as_str() {
                "alice" => Finding::ConfirmedSharing,
                "carol" if n < 40 => Finding::Compromised,
                "carol" if n < 60 => Finding::SharedByPolicy,
                _ => continue,
            };
            let episode = event.episode.to_string();
            let close = Act::Close { episode, rearm: false, finding: Some(finding), note: None };
            let row = ActRow { id: 1, by: "ops".to_owned(), at, act: close };
            let outcome = act(&mut watch, &row, at).unwrap();
            store.commit(outcome).wait().unwrap();
        }
    }
    world
}

const TIME: [&str; 4] = ["--since", "2024-11-23T00:00:00Z", "--until", "2024-12-07T20:00:00Z"];

#[test]
fn a_rule_is_played_over_the_past() {
    let world = past();
    let play = |more: &[&str]| world.run(&[&["rules", "backtest"][..], more, &TIME].concat());
    let plain = play(&[]);
    assert_eq!(plain.code, Some(0), "{}", plain.err);
    insta::assert_snapshot!("backtest", plain.all());
    insta::assert_snapshot!("backtest_json", play(&["shared-account", "--json"]).json());
    insta::assert_snapshot!(
        "backtest_set",
        play(&["shared-account", "--set", "limit=4", "--set", "for=1h", "--diff"]).all()
    );
    let other =
        RULES.replace("limit = 2", "limit = 1").replace("online > limit", "online > limit and peak(4h) > 3");
    std::fs::write(world.path("other.toml"), other).unwrap();
    insta::assert_snapshot!("backtest_against", play(&["shared-account", "--against", "other.toml"]).all());
    // Rules that only one of the two files has are compared with nothing.
    let renamed = RULES.replace("name = \"seats\"", "name = \"seats-used\"");
    std::fs::write(world.path("renamed.toml"), renamed).unwrap();
    let ran = play(&["--against", "renamed.toml"]);
    let told: Vec<&str> =
        ran.out.lines().filter(|line| line.contains("compared") || line.contains("such rule")).collect();
    assert_eq!(
        told.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>(),
        [
            "compared with the rule as it is: +0 -0, 17 the same",
            "missing the file it is compared with has no such rule; below as the rules file has it",
            "missing the rules file has no such rule",
        ],
        "{}",
        ran.all()
    );
    // Whom a file does not list nobody would have asked about: his episodes are not its.
    let fewer = RULES.replacen("\"alice\", ", "", 1);
    std::fs::write(world.path("fewer.toml"), fewer).unwrap();
    let compared = |file: &str, against: &str| {
        let words = ["-c", file, "rules", "backtest", "shared-account", "--against", against, "--diff"];
        let ran = world.run(&[&words[..], &TIME].concat());
        assert!(ran.out.contains("shanghai/alice"), "{}", ran.all());
        let line = ran.out.lines().find(|line| line.contains("compared")).unwrap().to_owned();
        let sums = line.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
        sums.map(|digits| digits.parse().unwrap()).collect::<Vec<u32>>()
    };
    let (less, more) = (compared("rules.toml", "fewer.toml"), compared("fewer.toml", "rules.toml"));
    assert!(less[0] == 0 && less[1] > 0 && less[1] + less[2] == 17, "{less:?}");
    assert_eq!(more, [less[1], 0, less[2]]);
    let none = play(&["shared-account", "--against", "none.toml"]);
    assert_eq!(none.code, Some(78));
    assert!(none.err.contains("none.toml") && none.err.contains("copy yours"), "{}", none.err);
    let before = ["--since", "2024-10-01T00:00:00Z", "--until", "2024-10-08T00:00:00Z"];
    let nothing = world.run(&[&["rules", "backtest", "shared-account"][..], &before].concat());
    insta::assert_snapshot!("backtest_unknown", nothing.all());
}

/// The first rule of a backtest.
fn first(world: &World, words: &[&str]) -> serde_json::Value {
    let ran = world.run(&[&["rules", "backtest", "shared-account", "--json"], words].concat());
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    value["rules"][0].clone()
}

#[test]
fn what_lies_at_the_edges_is_neither_more_nor_fewer() {
    let world = past();
    // Carol's fires daily at 18:00 on the wall, an hour after the first breach.
    let day = |until: &'static str| first(&world, &["--since", "2024-11-24T00:00:00Z", "--until", until]);
    let counts = |rule: &serde_json::Value| {
        let difference = &rule["difference"];
        let many = |key: &str| difference[key].as_array().unwrap().len() as u64;
        (
            many("more"),
            many("fewer"),
            difference["same"].as_u64().unwrap(),
            rule["episodes"].as_u64().unwrap(),
        )
    };
    let pending = day("2024-11-24T09:30:00Z");
    assert_eq!(counts(&pending), (0, 0, 0, 0), "it began before the end, and fired after it: {pending}");
    let fires = day("2024-11-24T10:30:00Z");
    assert_eq!(counts(&fires), (0, 0, 1, 1), "{fires}");
    assert_eq!(
        (&fires["open"], &fires["per_week"]),
        (&1.into(), &serde_json::Value::Null),
        "half a day: {fires}"
    );
    let from = first(
        &world,
        &["--since", "2024-11-24T10:30:00Z", "--until", "2024-11-24T23:00:00Z", "--set", "for=1h"],
    );
    assert_eq!(counts(&from), (0, 0, 0, 0), "it fired before: {from}");
}

#[test]
fn one_that_goes_on_has_its_peak_and_length_so_far() {
    let world = past();
    // Alice has one client from 08:00 on, four from 10:00 on; with the rule as it is she fires at 12:00.
    let time = ["--since", "2024-11-25T06:00:00Z", "--until", "2024-11-25T12:00:00Z"];
    let words = [&time[..], &["--set", "limit=0", "--set", "for=1h"]].concat();
    let rule = first(&world, &words);
    let more = rule["difference"]["more"].as_array().unwrap();
    let alice = more.iter().find(|one| one["subject"]["name"] == "alice").unwrap();
    assert_eq!((&alice["ended_at"], &alice["peak"]), (&serde_json::Value::Null, &4.into()), "{alice}");
    assert_eq!(alice["seen_at"], "2024-11-25T11:00:00Z");
    // Three days after the last poll it was not seen for any longer.
    let calm = "2024-12-07T18:00:00Z";
    let rules = RULES.replace("online > limit", "online >= 0");
    std::fs::write(world.path("rules.toml"), rules).unwrap();
    let rule = first(&world, &["--since", calm, "--until", "2024-12-11T00:00:00Z"]);
    assert_eq!(rule["episodes"], 0, "{rule}");
    let rule = first(&world, &["--since", "2024-11-22T00:00:00Z", "--until", "2024-12-18T00:00:00Z"]);
    assert_eq!(rule["open"], 5, "{rule}");
    assert!(rule["longest"]["seen_at"].as_str().unwrap() <= "2024-12-08T00:00:00Z", "{rule}");
    assert_eq!(rule["polled"][0]["polled_ms"].as_i64().unwrap() / 86_400_000, 14, "{rule}");
}

#[test]
fn a_limit_that_splits_an_episode_is_told() {
    let world = past();
    let rules = RULES.replace("limit = 2", "limit = 0\nclear_for = \"20h\"");
    std::fs::write(world.path("rules.toml"), rules).unwrap();
    let words = ["rules", "backtest", "shared-account", "--set", "clear_for=1h"];
    let ran = world.run(&[&words[..], &TIME].concat());
    let words = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("would be clear in between, end, and fire again"), "{}", ran.all());
}

#[test]
fn what_cannot_be_played_is_refused() {
    let world = past();
    refused(&world, &["rules", "backtest", "shared-acount"], 2, "did you mean \"shared-account\"?");
    refused(&world, &["rules", "backtest", "--set", "limit=3"], 2, "--set: name the rule");
    refused(&world, &["rules", "backtest", "--since", "yesterday"], 2, "--since: \"yesterday\"");
    refused(&world, &["rules", "backtest", "--since", "1d", "--until", "2d"], 2, "--since: lies at or after");
    let wrong = ["limit=many", "for=7 of 5 polls", "when=online >", "colour=red", "during=office"];
    refused(&world, &["rules", "backtest", "shared-account", "--set", "limit"], 2, "is not KEY=VALUE");
    let mut words = vec!["rules", "backtest", "shared-account"];
    wrong.iter().for_each(|word| words.extend(["--set", word]));
    let ran = world.run(&words);
    assert_eq!(ran.code, Some(78));
    insta::assert_snapshot!("backtest_wrong_set", ran.all());
    // All at once, and before the database is looked for.
    let fresh = World::new(RULES);
    let ran = fresh
        .run(&[&words[..], &["nobodys", "--set", "limit", "--since", "noon", "--until", "never"]].concat());
    assert_eq!((ran.code, ran.out.as_str()), (Some(78), ""), "{}", ran.err);
    let told =
        ["\"nobodys\"", "\"limit\" is not KEY=VALUE", "--since: \"noon\"", "--until: \"never\"", "colour"];
    assert!(told.iter().all(|part| ran.err.contains(part)), "{}", ran.err);
    refused(&fresh, &["rules", "backtest"], 74, "does not exist");
    std::fs::write(world.path("other.toml"), RULES.replace("shared-account", "sharing")).unwrap();
    refused(
        &world,
        &["rules", "backtest", "shared-acount", "--against", "other.toml"],
        2,
        "in the rules file, nor in other.toml; did you mean \"shared-account\"?",
    );
}

#[test]
fn a_limit_is_suggested_from_two_weeks_on() {
    let world = past();
    let suggest =
        |more: &[&str]| world.run(&[&["rules", "suggest", "shared-account"][..], more, &TIME].concat());
    insta::assert_snapshot!("suggest", suggest(&[]).all());
    insta::assert_snapshot!("suggest_json", suggest(&["--json"]).json());
    let lower = RULES.replace("limit = 2", "limit = 1");
    std::fs::write(world.path("rules.toml"), &lower).unwrap();
    let ran = suggest(&[]);
    insta::assert_snapshot!("suggest_lower", ran.all());
    let pasted: String = ran
        .out
        .split("[[exception]]")
        .skip(1)
        .map(|rest| format!("[[exception]]{}", rest.split("\n\n").next().unwrap()))
        .collect();
    assert!(!pasted.is_empty(), "{}", ran.out);
    std::fs::write(world.path("rules.toml"), format!("{lower}\n{pasted}\n")).unwrap();
    let check = world.run(&["check"]);
    assert_eq!(check.code, Some(0), "what is to be pasted is a rules file's: {}\n{pasted}", check.err);
    let short = ["--since", "2024-11-25T00:00:00Z", "--until", "2024-12-07T20:00:00Z"];
    refused(
        &world,
        &[&["rules", "suggest", "shared-account"][..], &short].concat(),
        1,
        "two weeks are the least",
    );
    refused(&world, &["rules", "suggest", "seats"], 2, "compare with `limit`");
}
