//! Keys and names that somebody meant otherwise: missing, misspelt, as other languages write them; and the example, which
//! shows every key there is.
//!
//! Neighbours: `unknown`, `lacks` and `misspelt` complain. A part of its own because each slip is tried at every key.

use std::collections::BTreeSet;

use super::*;

const EXAMPLE: &str = include_str!("../../../rules.example.toml");

#[test]
fn the_example_has_no_mistake() {
    match parse(EXAMPLE) {
        Ok(config) => assert_eq!(config.warnings, []),
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn the_example_shows_every_key() {
    let mut shown = BTreeSet::new();
    let mut table = String::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_start_matches('[').split(']').next().unwrap().to_owned();
            shown.insert(table.clone());
        }
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some((key, _)) = line.split_once(" = ") {
            shown.insert(format!("{table}.{key}"));
        }
    }
    let config = parse(EXAMPLE).unwrap_or_else(|problems| panic!("{problems}"));
    let hidden: Vec<_> = config.asked_keys().keys().filter(|key| !shown.contains(*key)).collect();
    assert!(hidden.is_empty(), "keys the example does not show: {hidden:?}");
}

/// Readers that give up on a missing key before they asked for the rest would call the rest unknown.
#[test]
fn a_missing_key_makes_no_other_unknown() {
    for (at, gone) in EXAMPLE.lines().enumerate().filter(|(_, line)| line.contains(" = ")) {
        let rest: Vec<&str> =
            EXAMPLE.lines().enumerate().filter(|(n, _)| *n != at).map(|(_, line)| line).collect();
        if let Err(problems) = parse(&rest.join("\n")) {
            let told = problems.to_string();
            assert!(!told.contains("unknown key"), "without {gone}: {told}");
        }
    }
}

#[test]
fn near_misses_of_tables_and_keys_get_the_name() {
    let hints = |text: &str| -> Vec<String> {
        parse(text).unwrap_err().errors.into_iter().filter_map(|p| p.hint).collect()
    };
    assert_eq!(hints("[[rules]]"), ["did you mean \"rule\"?"]);
    assert_eq!(hints("[agents]"), ["did you mean \"agent\"?"]);
    assert_eq!(hints("[agent]\ntimezon = \"UTC\""), ["did you mean \"timezone\"?"]);
    assert!(parse("[[rules]]").unwrap_err().to_string().contains("| [[rules]]"));
    assert!(parse("[rule]").unwrap_err().to_string().contains("write [[rule]]"));
}

#[test]
fn operators_and_times_as_other_languages_write_them_are_corrected() {
    for (when, expect) in [
        ("online > 2 AND limit > 1", "2:20 rule \"x\".when: `AND` is not an operator here"),
        ("online > 2 Or online < 1", "2:20 rule \"x\".when: `Or` is not an operator here"),
        ("NOT online > 2", "2:9 rule \"x\".when: `NOT` is not an operator here"),
        ("online > 2 && limit > 1", "2:20 rule \"x\".when: `&&` is not an operator here"),
    ] {
        let told = problems(&format!("[[rule]]\nwhen = \"{when}\"\nname = \"x\"\nlimit = 2\n"));
        assert!(told.contains(expect), "{when}: {told}");
    }
    let text = BASE.replace("[agent]\n", "[agent]\nretention = { events = \"3 years\" }\n");
    let errors = parse(&text).unwrap_err().errors;
    let told: Vec<_> = errors.iter().map(|error| (error.message.as_str(), error.hint.as_deref())).collect();
    let hint = "write days as in 400d, or whole years as in 3y";
    assert_eq!(told, [("\"3 years\" is no time to keep something", Some(hint))]);
    let text = BASE.replace("[agent]\n", "[agent]\nretention = { events = \"3y\" }\n");
    assert_eq!(parse(&text).unwrap().agent.retention.events, Span::from_days(1095));
}

/// What follows from a key that is misspelt is not told: nothing but the key.
#[test]
fn one_slip_of_a_finger_is_one_complaint() {
    let whole = BASE
        .replace("when = \"online > 3\"", "when = \"online > limit\"\nlimit = 2\nduring = \"office\"")
        + r#"[[channel]]
name = "mail"
kind = "email"
server = "smtp.example.com"
username = "alerts"
password = { env = "MAIL" }
from = "a@example.com"
to = ["b@example.com"]
[[group]]
name = "few"
users = ["al*"]
limit = 1
[[rule]]
name = "of-few"
groups = ["few"]
when = "online > limit"
notify = ["mail"]
[[rule]]
name = "seats"
per = "source"
when = "total > 180"
clear_when = "total < 150"
absent = "hold"
[[calendar]]
name = "office"
hours = ["09:00-18:00"]
"#;
    let said = |text: &str| match parse(text) {
        Ok(config) => config.warnings,
        Err(problems) => [problems.errors, problems.warnings].concat(),
    };
    // Not all of it is watched by a limit, so that each slip has something to break.
    let whole = whole.replace("users = [\"alice\", \"bob\"]", "users = [\"alice\"]");
    assert_eq!(said(&whole), Vec::new());
    let (mut tried, mut wrong) = (0, Vec::new());
    let mut check = |slip: &str, text: &str, hint: &str| {
        let problems = said(text);
        let hinted = |problem: &Problem| problem.hint.as_ref().is_some_and(|told| told.contains(hint));
        let one = problems.len() == 1 && problems[0].message == format!("unknown key {slip:?}");
        if !one || !hinted(&problems[0]) {
            wrong
                .push(format!("{slip}: {:#?}", problems.iter().map(ToString::to_string).collect::<Vec<_>>()));
        }
        tried += 1;
    };
    for (n, line) in whole.lines().enumerate() {
        let key = line.split_once(" = ").map(|(key, _)| key).filter(|key| key.len() > 2);
        // The last letter but one twice, or gone.
        let slips = key.into_iter().flat_map(|key| {
            let (start, end) = key.split_at(key.len() - 1);
            let (shorter, last) = start.split_at(start.len() - 1);
            [(key, format!("{start}{last}{end}")), (key, format!("{shorter}{end}"))]
        });
        for (key, slip) in slips {
            let lines = whole.lines().enumerate();
            let lines =
                lines.map(|(m, old)| if m == n { old.replacen(key, &slip, 1) } else { old.to_owned() });
            check(&slip, &lines.collect::<Vec<_>>().join("\n"), &format!("{key:?}"));
        }
    }
    for table in ["agent", "account", "source", "channel", "group", "rule", "calendar"] {
        let slip = format!("{table}s");
        check(&slip, &whole.replace(&format!("[{table}]"), &format!("[{slip}]")), table);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 60, "{tried}");
}
