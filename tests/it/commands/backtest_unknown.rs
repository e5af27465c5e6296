//! What `rules backtest` says of what nobody can know: pruned readings, users who fail, sources without polls, rules and
//! sources that one of two files lacks. Neighbours: `backtest` plays whole pasts. A part of its own because here most of the
//! past is missing, and none of it may be told as healthy.

use std::sync::Arc;

use seatwatch::agent::setup;
use seatwatch::config::Config;
use seatwatch::engine::event::Finding;
use seatwatch::engine::judge::judge;
use seatwatch::engine::outcome::{Act, ActRow};
use seatwatch::engine::reading::Reading;
use seatwatch::engine::tend::act;
use seatwatch::engine::time::Span;
use seatwatch::engine::watch::{Remembered, Watch, When};
use seatwatch::store::{Retention, Store};
use serde_json::Value;

use super::{START, World, fetched, refused};

/// A rules file of sources with these users, polled each hour.
fn file(sources: &[(&str, &str)], rules: &str) -> String {
    let of = |(name, users): &(&str, &str)| {
        format!(
            "[[source]]\nname = \"{name}\"\nkind = \"aliyun-sag\"\nregion = \"cn-shanghai\"\n\
             instance = \"sag-{name}\"\nschedule = \"0 * * * *\"\nusers = [{users}]\n"
        )
    };
    format!("[agent]\ntimezone = \"UTC\"\n{}{rules}", sources.iter().map(of).collect::<String>())
}

const SHARED: &str = "[[rule]]\nname = \"shared\"\nwhen = \"online > limit\"\nlimit = 2\nmode = \"shadow\"\n";
const BOTH: [(&str, &str); 2] = [("shanghai", "\"alice\", \"bob\""), ("beijing", "\"zoe\"")];

/// Polls one source of the rules file at these hours; what fires at `judged` is closed with that finding.
fn record(
    world: &World,
    source: usize,
    hours: std::ops::Range<i64>,
    said: impl Fn(&str, i64) -> Reading,
    judged: Option<(i64, Finding)>,
) -> Store {
    let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
    let config = Config::load(&world.path("rules.toml"), START).unwrap();
    let fleet = Arc::new(config.fleet.clone());
    let setup = Arc::new(setup(&config, &config.sources[source], &fleet, store.install_id()));
    let mut watch = Watch::new(setup, Remembered::default());
    for n in hours {
        let at = START + Span::from_hours(n);
        let asked = watch.asked(at);
        let readings: Vec<Reading> = asked.slots().map(|slot| said(watch.names.name(slot), n)).collect();
        let fetched = fetched(n, at, readings);
        let when = When { at, elapsed: Span::from_hours(1), jump: None, took: Span::ZERO };
        let poll = watch.poll(fetched, &asked, when);
        store.commit(judge(&mut watch, poll, at)).wait().unwrap();
        watch.names_saved();
        let Some((_, finding)) = judged.filter(|(hour, _)| *hour == n) else { continue };
        for episode in watch.alerts().into_iter().filter_map(|(_, alert)| alert.episode) {
            let close = Act::Close {
                episode: episode.id.to_string(),
                rearm: false,
                finding: Some(finding),
                note: None,
            };
            let row = ActRow { id: 1, by: "ops".to_owned(), at, act: close };
            store.commit(act(&mut watch, &row, at).unwrap()).wait().unwrap();
        }
    }
    store
}

fn steady(_: &str, _: i64) -> Reading {
    Reading::online(1)
}

/// Over so many days, as text and as JSON.
fn played(world: &World, days: i64, more: &[&str]) -> (String, Value) {
    let (since, until) = (START.to_string(), (START + Span::from_days(days)).to_string());
    let words = [&["rules", "backtest", "--since", &since, "--until", &until][..], more].concat();
    let ran = world.run(&words);
    assert_eq!(ran.code, Some(0), "{}", ran.all());
    let json = world.run(&[&words[..], &["--json"]].concat());
    (ran.out, serde_json::from_str(&json.out).unwrap())
}

fn many(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

#[test]
fn what_is_not_kept_is_neither_missed_nor_fewer() {
    let world = World::new(&file(&BOTH[..1], SHARED));
    let often = |user: &str, n: i64| {
        Reading::online(if user == "alice" && [30, 31, 400].contains(&n) { 4 } else { 1 })
    };
    let store = record(&world, 0, 0..480, often, Some((30, Finding::ConfirmedSharing)));
    let counts = |limit: &str| {
        std::fs::write(world.path("rules.toml"), file(&BOTH[..1], &SHARED.replace("= 2", limit))).unwrap();
        let (text, json) = played(&world, 20, &["shared", "--diff"]);
        let rule = &json["rules"][0];
        let (found, difference) = (&rule["findings"], &rule["difference"]);
        let unknown = (found["unknown"].as_u64().unwrap(), difference["unknown"].as_u64().unwrap());
        ((many(&found["missed"]), many(&difference["fewer"])), unknown, text)
    };
    let (lost, unknown, text) = counts("= 9");
    assert_eq!((lost, unknown), ((1, 2), (0, 0)), "all is kept: {text}");
    let readings = Span::from_days(7);
    let now = START + Span::from_days(20);
    while store.prune(now, Retention { readings, ..Retention::default() }, 1000).wait().unwrap().more {}
    let (lost, unknown, text) = counts("= 2");
    assert_eq!((lost, unknown), ((0, 0), (1, 1)), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("+0 -0, 1 the same, 1 unknown: their readings are not kept"), "{text}");
    let (lost, unknown, text) = counts("= 9");
    assert_eq!((lost, unknown), ((0, 1), (1, 1)), "what is kept is fewer still: {text}");
}

#[test]
fn a_user_who_fails_is_unknown_though_the_source_is_polled() {
    let world = World::new(&file(&BOTH[..1], SHARED));
    let fails =
        |user: &str, n: i64| if user == "bob" && n > 3 { Reading::FAILED } else { Reading::online(1) };
    record(&world, 0, 0..360, fails, None);
    let (text, json) = played(&world, 15, &[]);
    insta::assert_snapshot!("backtest_failing_user", text);
    let coverage = &json["coverage"][0];
    assert_eq!((&coverage["unknown_users"], &coverage["partial"]), (&1.into(), &356.into()), "{coverage}");
    assert_eq!(coverage["unknown"][0]["user"], "bob");
    assert_eq!(json["rules"][0]["unknown_users"], 1);
}

#[test]
fn a_source_without_polls_is_unknown_and_hides_no_other() {
    let rules = SHARED.to_owned() + &SHARED.replace("\"shared\"", "\"bj\"\nsources = [\"beijing\"]");
    let world = World::new(&file(&BOTH, &rules));
    drop(record(&world, 0, 0..360, steady, None));
    let (text, json) = played(&world, 15, &[]);
    insta::assert_snapshot!("backtest_never_polled", text);
    let rule = |json: &Value, n: usize| {
        (json["rules"][n]["episodes"].clone(), json["rules"][n]["unknown_sources"].clone())
    };
    let beijing: Value = vec!["beijing"].into();
    assert_eq!(rule(&json, 0), (0.into(), beijing.clone()));
    assert_eq!(rule(&json, 1), (Value::Null, beijing.clone()));
    // Polls that all failed say as little.
    drop(record(&world, 1, 300..328, |_, _| Reading::FAILED, None));
    let (text, json) = played(&world, 15, &[]);
    assert_eq!(rule(&json, 1), (Value::Null, beijing), "{text}");
    assert!(text.contains("episodes    unknown"), "{text}");
}

#[test]
fn a_rate_is_by_the_time_that_its_sources_were_polled() {
    let world = World::new(&file(&BOTH, SHARED));
    drop(record(&world, 0, 0..360, steady, None));
    drop(record(&world, 1, 312..360, |_, n| Reading::online(if n % 6 == 0 { 3 } else { 1 }), None));
    let (text, json) = played(&world, 15, &[]);
    let rule = &json["rules"][0];
    assert_eq!(rule["episodes"], 8);
    let polled = &rule["polled"];
    assert_eq!((&polled[1]["source"], &polled[1]["episodes"]), (&"beijing".into(), &8.into()), "{polled}");
    let weeks = polled[1]["polled_ms"].as_f64().unwrap() / (7.0 * 86_400_000.0);
    assert!((rule["per_week"].as_f64().unwrap() - 8.0 / weeks).abs() < 1e-9, "{rule}");
    assert!(text.contains("by 0 in the 15d of shanghai, 8 in the 2d of beijing that were polled"), "{text}");
}

#[test]
fn each_version_has_its_own_sources_and_limits() {
    let world = World::new(&file(&BOTH, SHARED));
    let thrice = |_: &str, n: i64| Reading::online(if n % 48 == 0 { 3 } else { 1 });
    drop(record(&world, 0, 0..360, thrice, None));
    drop(record(&world, 1, 0..360, thrice, None));
    let against = |sources: &[(&str, &str)], rules: &str| {
        std::fs::write(world.path("other.toml"), file(sources, rules)).unwrap();
        let (text, json) = played(&world, 15, &["--against", "other.toml"]);
        let of = |rule: &Value| {
            let list = |key: &str| rule["difference"][key].as_array().map(Vec::len);
            (rule["episodes"].as_u64(), list("more"), list("fewer"))
        };
        (json["rules"].as_array().unwrap().iter().map(of).collect::<Vec<_>>(), text)
    };
    // Eight times each of alice, bob and zoe.
    let whole = against(&BOTH, SHARED);
    assert_eq!(whole.0, [(Some(24), Some(0), Some(0))], "{}", whole.1);
    let (found, text) = against(&BOTH[..1], SHARED);
    assert_eq!(found, [(Some(16), Some(0), Some(8))], "{text}");
    let exception = "[[exception]]\nuser = \"bob\"\nlimit = 6\nreason = \"kiosk\"\nowner = \"it\"\nexpires = 2030-01-01\n";
    let (found, text) = against(&BOTH, &(SHARED.to_owned() + exception));
    assert_eq!(found, [(Some(16), Some(0), Some(8))], "{text}");
    // One that is there alone, on a source that was never polled, and one that only the rules file has.
    let fresh = SHARED.replace("\"shared\"", "\"fresh\"\nsources = [\"new\"]");
    let (found, text) = against(&[("new", "\"zed\"")], &fresh);
    assert_eq!(found, [(Some(24), None, None), (None, None, None)], "{text}");
    assert!(text.contains("new: unknown") && !text.contains("compared    with"), "{text}");
    std::fs::write(world.path("other.toml"), "").unwrap();
    let words = ["rules", "backtest", "shared", "--against", "other.toml"];
    refused(&world, &words, 78, "there is no [[source]]");
}

#[test]
fn long_lists_fit_and_say_where_the_rest_is() {
    let users: Vec<String> = (0..30).map(|n| format!("\"somebody-with-a-name-{n}\"")).collect();
    let world = World::new(&file(&[("shanghai", &users.join(", "))], SHARED));
    record(&world, 0, 0..48, |_, n| Reading::online(if n % 6 == 0 { 3 } else { 1 }), None);
    let (text, _) = played(&world, 2, &["shared", "--set", "limit=9", "--diff"]);
    assert!(text.contains("- and 220 more; --json lists all"), "{text}");
    let (all, _) = played(&world, 2, &["shared"]);
    for line in
        text.lines().chain(all.lines()).filter(|line| line.starts_with("  ") && !line.contains("from"))
    {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(!all.contains("told"), "a rule in the shadow told nobody: {all}");
}
