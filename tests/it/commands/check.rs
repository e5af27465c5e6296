//! `check`: what it says of a good file, a doubtful one and a wrong one, and the exit codes that services go by.
//! Neighbours: the world in `mod`. A part of its own as each command's tests are.

use std::io::Read as _;
use std::process::Stdio;

use super::{RULES, Ran, World, refused};

const FROM: [&str; 4] = ["check", "--from", "2024-11-23T00:00:00Z", "--json"];

/// With every secret in reach.
fn with_secrets(world: &World, arguments: &[&str]) -> Ran {
    let mut command = world.command(arguments);
    command.env("SEATWATCH_TEST_ID", "hunter2-id").env("SEATWATCH_TEST_SECRET", "hunter2-secret");
    command.env("SEATWATCH_TEST_HOOK", "whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjItaG9vaw==");
    command.env("SEATWATCH_TEST_URL", "https://hooks.example.com/hunter2");
    world.finish(command)
}

#[test]
fn a_good_file_is_explained() {
    let world = World::new(RULES);
    let ran = with_secrets(&world, &FROM[..3]);
    insta::assert_snapshot!("check_good", ran.all());
    assert!(!ran.all().contains("hunter2"));
    let ran = with_secrets(&world, &FROM);
    insta::assert_snapshot!("check_good_json", ran.json());
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(!world.path("seatwatch.db").exists(), "check leaves no database behind");
}

/// Whom a roster names is not known to a file; nothing says that there is nobody.
#[test]
fn a_roster_that_was_not_asked_for_is_not_an_empty_one() {
    let more = "[[rule]]\nname = 'crowd'\nper = 'group'\nwhen = 'total > 3'\n";
    let roster = RULES.replace("users = [\"bob\"]\n\n[[group]]", "roster = true\n\n[[group]]") + more;
    let world = World::new(&roster.replace("expires = 2999-12-31", "expires = 2024-11-01"));
    let ran = world.run(&FROM[..3]);
    let line = |text: &str, parts: &[&str]| {
        let holds = |line: &str| parts.iter().all(|part| line.contains(part));
        assert!(text.lines().any(holds), "{parts:?}: {text}");
    };
    line(&ran.out, &["shared-account", "beijing", "whoever is on the roster"]);
    line(&ran.out, &["crowd", "shanghai", "1 group"]);
    line(&ran.out, &["crowd", "beijing", "the groups of whoever is on the roster"]);
    line(&ran.out, &["seats", "beijing", "the source"]);
    line(&ran.out, &["lobby-kiosk", "2024-11-01", "expired since 2024-11-02"]);
    assert!(!ran.out.contains("0 users"), "{}", ran.out);
    let value: serde_json::Value = serde_json::from_str(&world.run(&FROM).out).unwrap();
    let of = |rule: &str, source: &str| {
        value["rules"]
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["rule"] == rule && r["source"] == source)
            .unwrap()
    };
    assert_eq!(of("shared-account", "beijing")["roster"], true);
    assert_eq!(of("shared-account", "shanghai")["roster"], false);
    let ran = world.run(&["rules", "list"]);
    line(&ran.out, &["shared-account", "and whoever is on the roster"]);
    line(&ran.out, &["seats", "2 sources"]);
    assert!(!ran.out.contains("everyone: 2 sources"), "{}", ran.out);
}

#[test]
fn secrets_out_of_reach_are_warnings_or_errors_as_asked() {
    let world = World::new(RULES);
    for (more, code, ok, list) in [
        (&[][..], 0, true, "warnings"),
        (&["--strict"], 1, false, "warnings"),
        (&["--resolve"], 78, false, "errors"),
        (&["--resolve", "--strict"], 78, false, "errors"),
    ] {
        let ran = world.run(&[&FROM[..], more].concat());
        let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((ran.code, &value["ok"]), (Some(code), &serde_json::json!(ok)), "{more:?}");
        assert_eq!(value[list].as_array().unwrap().len(), 4, "{more:?}: {value}");
        let text = world.run(&[&FROM[..3], more].concat());
        assert_eq!(text.code, Some(code), "{more:?}: {}", text.err);
        assert!(text.err.contains("environment variable \"SEATWATCH_TEST_ID\": is not set"), "{}", text.err);
    }
}

#[test]
fn values_that_are_there_and_of_no_use_are_told_as_run_tells_them() {
    let (url, key) = ("https://hooks.example.com/hunter2", "whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjItaG9vaw==");
    let lines = |text: &str| text.matches("ca_file = \"nowhere.pem\"").count();
    let with_ca = RULES.replace("instance = \"sag-1\"", "instance = \"sag-1\"\nca_file = \"nowhere.pem\"");
    let with_ca = with_ca.replace("kind = \"webhook\"", "kind = \"webhook\"\nca_file = \"nowhere.pem\"");
    assert_eq!(lines(&with_ca), 2);
    for (rules, url, key, wrong) in [
        (RULES, "http://hooks.example.com/hunter2", key, &["channel \"hook\".url"][..]),
        (RULES, url, "whsec_hunter2", &["channel \"hook\".secret"]),
        (&with_ca, url, key, &["source \"shanghai\".ca_file", "channel \"hook\".ca_file"]),
    ] {
        let world = World::new(rules);
        for (arguments, code, list) in [
            (&["check", "--json"][..], 0, "warnings"),
            (&["check", "--json", "--resolve"], 78, "errors"),
            (&["run"], 78, ""),
        ] {
            let mut command = world.command(arguments);
            command.env("SEATWATCH_TEST_ID", "hunter2-id").env("SEATWATCH_TEST_SECRET", "hunter2-secret");
            command.env("SEATWATCH_TEST_HOOK", key).env("SEATWATCH_TEST_URL", url);
            let ran = world.finish(command);
            assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.all());
            assert!(!ran.all().contains("hunter2"), "{}", ran.all());
            if list.is_empty() {
                assert!(wrong.iter().all(|key| ran.err.contains(key)), "{wrong:?}: {}", ran.err);
                continue;
            }
            let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
            let found = value[list].as_array().unwrap();
            let keys: Vec<&str> = found.iter().map(|problem| problem["key"].as_str().unwrap()).collect();
            assert_eq!(keys, wrong, "{value}");
            assert!(found.iter().all(|problem| problem["line"].as_u64() > Some(1)), "{value}");
        }
    }
}

#[test]
fn a_wrong_file_is_drawn_whole() {
    let rules = RULES.replace("Mon-Fri", "Fun").replace("limit = 2\n", "limt = 2\n");
    let world = World::new(&rules);
    let ran = world.run(&["check"]);
    insta::assert_snapshot!("check_wrong", ran.all());
    let ran = world.run(&["check", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(78), ""));
    insta::assert_snapshot!("check_wrong_json", ran.json());
}

#[test]
fn a_hostile_file_colours_no_terminal() {
    let rules = RULES.replace("severity = \"high\"", "severity = \"\u{9b}31m\\u001b[31m\u{202e}high\"");
    let ran = World::new(&rules).run(&["check"]);
    assert_eq!(ran.code, Some(78));
    let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!ran.err.chars().any(acts), "{:?}", ran.err);
}

#[test]
fn runs_are_those_asked_for() {
    let world = World::new(RULES);
    let ran = world.run(&["check", "--json", "--from", "2024-11-23 12:00", "--next", "1"]);
    let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(value["schedules"][0]["next"], serde_json::json!(["2024-11-23T04:05:00Z"]));
    assert_eq!(value["schedules"][1]["next"], serde_json::json!(["2024-11-25T07:00:00Z"]));
    refused(&world, &["check", "--from", "soon"], 2, "--from: \"soon\" is not a time: write it as");
    refused(&world, &["check", "--next", "0"], 2, "1..=10000");
}

#[test]
fn the_file_may_be_named_by_option_or_environment() {
    let world = World::new(RULES);
    std::fs::rename(world.path("rules.toml"), world.path("other.toml")).unwrap();
    let ran = world.run(&["check"]);
    assert_eq!(ran.code, Some(78));
    assert!(ran.err.contains("rules.toml") && ran.err.contains("-c FILE or SEATWATCH_CONFIG"), "{}", ran.err);
    assert_eq!(world.run(&["check", "-c", "other.toml"]).code, Some(0));
    let mut command = world.command(&["check"]);
    command.env("SEATWATCH_CONFIG", "other.toml");
    assert_eq!(world.finish(command).code, Some(0));
    // Or as an argument, which counts for more than the environment.
    let mut command = world.command(&["check", "other.toml"]);
    command.env("SEATWATCH_CONFIG", "nowhere.toml");
    let ran = world.finish(command);
    assert!(ran.code == Some(0) && ran.err.contains("other.toml: "), "{}", ran.all());
    assert_eq!(world.run(&["check", "other.toml", "-c", "other.toml"]).code, Some(0));
    for line in ["check other.toml -c rules.toml", "-c rules.toml check other.toml"] {
        let words: Vec<&str> = line.split(' ').collect();
        refused(&world, &words, 2, "two rules files are named, other.toml and --config rules.toml: name one");
    }
}

/// Ten thousand users under a thousand rules, by the time of the processor: a busy host does not count.
#[test]
fn a_large_file_is_checked_at_once() {
    let names: Vec<String> = (0..10_000).map(|n| format!("\"user-{n}\"")).collect();
    let mut rules = RULES.replace("\"alice\", \"bob\"", &format!("\"alice\", \"bob\", {}", names.join(",")));
    rules = rules.replace("*/5 * * * *", "0 * * * *");
    for n in 0..1_000 {
        let users = if n % 2 == 0 { String::new() } else { format!("users = [\"user-{n}*\"]\n") };
        rules += &format!("[[rule]]\nname = \"r{n}\"\nwhen = \"online > limit\"\nlimit = 2\n{users}");
    }
    let world = World::new(&rules);
    let mut child = world.command(&FROM).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    // Nobody has waited for it yet, so it is still listed; times follow the name in brackets, in hundredths.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let spent: u64 =
        stat.rsplit_once(')').unwrap().1.split(' ').skip(12).take(2).map(|t| t.parse::<u64>().unwrap()).sum();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["ok"], true);
    // What ships is optimised and takes a fraction of this.
    assert!(spent < 1_000, "{spent} hundredths of a second");
}

#[test]
fn the_schema_is_printed_as_it_is_kept() {
    let world = World::new("no rules file is looked at");
    let ran = world.run(&["check", "--schema"]);
    assert!(ran.out == include_str!("../../../rules.schema.json"), "{}", ran.out);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn a_database_that_run_would_refuse_is_a_warning() {
    let check = |database: &str, says: &str| {
        let rules = RULES.replace("[agent]\n", &format!("[agent]\ndatabase = {database:?}\n"));
        let world = World::new(&rules);
        std::fs::create_dir(world.path("sub")).unwrap();
        std::fs::write(world.path("noise"), [0xff; 64]).unwrap();
        std::fs::write(world.path("empty"), "").unwrap();
        let ran = with_secrets(&world, &["check", "--json"]);
        let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let told: Vec<String> = value["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["key"] == "agent.database")
            .map(|one| format!("{}: {}", one["line"], one["message"].as_str().unwrap()))
            .collect();
        assert_eq!((ran.code, told.join("; ")), (Some(0), says.to_owned()), "{database}");
    };
    check("new.db", "");
    check("empty", "");
    check("gone/x.db", "3: there is no directory \"gone\"");
    check("noise/x.db", "3: there is no directory \"noise\"");
    check("sub", "3: \"sub\" is not a database");
    check("noise", "3: \"noise\" is not a database");
}
