//! Whole files in, problems or settings out.

mod broken;
mod lints;
mod slips;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::engine::event::Severity;
use crate::engine::rule::{Hold, Mode};
use crate::engine::time::Span;

fn now() -> Time {
    "2026-11-22T03:05:00Z".parse().unwrap()
}

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, "rules.toml", Path::new("/nowhere"), now())
}

/// A file without a mistake, to which a test adds one.
const BASE: &str = r#"
[agent]
notify = ["hook"]
[[account]]
name = "main"
access_key_id = { env = "ID" }
access_key_secret = { env = "SECRET" }
[[source]]
name = "one"
kind = "aliyun-sag"
region = "cn-shanghai"
instance = "sag-1"
schedule = "*/5 * * * *"
users = ["alice", "bob"]
[[channel]]
name = "hook"
kind = "webhook"
url = "https://hooks.example.com/abc"
secret = { env = "HOOK" }
[[rule]]
name = "many"
when = "online > 3"
"#;

/// All problems of BASE and `more`, one a line: level, line counted from the first of `more`, column, the rest.
fn problems(more: &str) -> String {
    let text = format!("{BASE}{more}");
    let before = BASE.lines().count();
    let problems = match parse(&text) {
        Ok(config) => Problems { errors: Vec::new(), warnings: config.warnings },
        Err(problems) => problems,
    };
    let mut lines = String::new();
    for (level, list) in [("error", &problems.errors), ("warning", &problems.warnings)] {
        for p in list {
            let line = i64::try_from(p.line).unwrap() - i64::try_from(before).unwrap();
            writeln!(lines, "{level} {line}:{} {}: {}", p.column, p.key, p.message).unwrap();
        }
    }
    lines
}

#[track_caller]
fn check(more: &str, expect: &str) {
    assert_eq!(problems(more).trim_end(), expect, "{more}");
}

#[test]
fn a_small_file_is_fine() {
    check("", "");
    let config = parse(BASE).unwrap();
    assert_eq!(config.agent.database, Path::new("/nowhere/seatwatch.db"));
    assert_eq!(config.agent.timezone, chrono_tz::UTC);
    assert_eq!(config.agent.retention, Retention::default());
    assert_eq!(config.sources[0].account.as_deref(), Some("main"));
    assert_eq!(config.sources[0].budget, Span::from_mins(4));
    assert_eq!(*config.rules[0].notify, ["hook"]);
    assert_eq!(config.rules[0].policy.hold, Hold::For(Span::ZERO));
}

#[test]
fn names_must_be_defined_and_only_once() {
    check(
        "[[rule]]\nname = \"Many\"\nwhen = \"online > 1\"\nnotify = [\"hok\"]",
        "error 2:8 rule \"Many\".name: another rule in line 21 is called \"many\"\n\
         error 4:11 rule \"Many\".notify: no channel is called \"hok\"",
    );
    check(
        "[[rule]]\nname = \"x\"\nwhen = \"online > 1\"\nduring = \"office\"\ngroups = [\"g\"]\nsources = [\"two\"]",
        "error 4:10 rule \"x\".during: no calendar is called \"office\"\n\
         error 5:11 rule \"x\".groups: no group is called \"g\"\n\
         error 6:12 rule \"x\".sources: no source is called \"two\"",
    );
    check(
        "[[rule]]\nname = \"agent/x\"\nwhen = \"online > 1\"",
        "error 2:8 rule \"agent/x\".name: names beginning with agent/ are reserved for own alerts",
    );
    check(
        "[[channel]]\nname = \"spare\"\nkind = \"webhook\"\nurl = \"https://x.example.com/\"\nsecret = { env = \"S\" }",
        "warning 2:8 channel \"spare\".name: nobody uses the channel \"spare\"",
    );
}

#[test]
fn conditions_are_pointed_into() {
    check(
        "[[rule]]\nname = \"x\"\nwhen = \"online > 1 and onlin > 2\"",
        "error 3:24 rule \"x\".when: there is no signal `onlin`",
    );
    check(
        "[[rule]]\nname = \"x\"\nwhen = '''\nonline >\n  onlin'''",
        "error 5:3 rule \"x\".when: there is no signal `onlin`",
    );
}

#[test]
fn limits_must_come_from_somewhere() {
    let rule = "[[rule]]\nname = \"x\"\nwhen = \"online > limit\"\n";
    check(rule, "error 3:8 rule \"x\".when: uses limit, and \"one/alice\" has none");
    check(&format!("{rule}limit = 2"), "");
    let group = "[[group]]\nname = \"g\"\nusers = [\"a*\", \"bob\"]\nlimit = 1\n";
    check(&format!("{rule}{group}"), "");
    check(&format!("{rule}users = [\"zoe\"]"), "warning 1:1 rule \"x\": its scope matches nobody");
}

#[test]
fn exceptions_are_owned_dated_and_known() {
    let exception = |user: &str, expires: &str| {
        let rest = "reason = \"r\"\nowner = \"o\"\nlimit = 4";
        format!("[[exception]]\nuser = \"{user}\"\nexpires = {expires}\n{rest}\n")
    };
    let ends = |when: &str| format!("warning 3:11 exception[0].expires: ends {when} (owner \"o\")");
    check(&exception("alice", "2026-11-22"), &ends("after today"));
    check(&exception("alice", "2026-12-05"), &ends("after 2026-12-05, 14 days are left"));
    check(&exception("alice", "2026-12-06"), "");
    check(&exception("alice", "2026-11-21"), "warning 3:11 exception[0].expires: has expired, on 2026-11-21");
    check(&exception("zoe", "2027-01-01"), "warning 2:8 exception[0].user: no source has a user \"zoe\"");
    check(
        &format!("{}{}", exception("bob", "2027-01-01"), exception("bob", "2027-01-01")),
        "error 8:8 exception[1].user: \"bob\" has an exception already, in line 24",
    );
    check(
        "[[exception]]\nuser = \"bob\"\nexpires = \"2027-01-01\"",
        "error 1:1 exception[0].owner: is missing\n\
         error 1:1 exception[0].reason: is missing\n\
         error 3:11 exception[0].expires: must be a date without quotes, as in 2026-10-01, not a string",
    );
}

#[test]
fn holds_and_schedules_fit_together() {
    let rule = |hold: &str| format!("[[rule]]\nname = \"x\"\nwhen = \"online > 1\"\nfor = \"{hold}\"");
    check(&rule("5m"), "");
    check(&rule("3 of 5 polls"), "");
    check(&rule("1m"), "warning 4:7 rule \"x\".for: 1m is shorter than the 5m between polls");
    check(&rule("6 of 5 polls"), "error 4:7 rule \"x\".for: \"6 of 5 polls\" cannot be met or counted");
    check(&rule("1 of 65 polls"), "error 4:7 rule \"x\".for: \"1 of 65 polls\" cannot be met or counted");
    check(
        &rule("soon"),
        "error 4:7 rule \"x\".for: \"soon\" is not a duration: write a whole number and one of ms, s, m, h, d, as in \
         90s, 10m, 4h, 7d",
    );
    let names: Vec<String> = (0..20_000).map(|n| format!("\"u{n}\"")).collect();
    let text = BASE.replace("\"alice\", \"bob\"", &names.join(","));
    let errors = parse(&text).unwrap_err().errors;
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].message, "20000 users are 400 requests, 400 s at 1 a second, and a poll has 4m");
    assert_eq!((errors[0].line, errors[0].column), (13, 12));
}

#[test]
fn secrets_in_plain_text_are_refused_and_not_quoted() {
    let text = BASE
        .replace("{ env = \"HOOK\" }", "\"hunter2\"")
        .replace("kind = \"webhook\"", "pasword = \"hunter3\"");
    let shown = parse(&text).unwrap_err().draw(false);
    assert!(!shown.contains("hunter"), "{shown}");
    for line in
        ["password = \"hunter2", "access_key_secret = hunter2", "[x]\nsecret = [\"hunter2\" \"hunter2\"]"]
    {
        let shown = parse(line).unwrap_err().draw(false);
        assert!(!shown.contains("hunter"), "{shown}");
    }
    let text = format!("{BASE}[[account]]\nname = \"x\"\nsecurity_token = \"hunter2\"");
    let problems = parse(&text).map_or_else(|problems| problems.draw(false), |_| String::new());
    assert!(!problems.contains("hunter"), "{problems}");
}

#[test]
fn unresolved_secrets_are_named() {
    let config = parse(&BASE.replace("HOOK", "SEATWATCH_TEST_NOT_SET")).unwrap();
    let unresolved = config.unresolved();
    let found = unresolved.iter().find(|p| p.key == "channel \"hook\".secret").unwrap();
    assert_eq!(found.message, "environment variable \"SEATWATCH_TEST_NOT_SET\": is not set");
    assert_eq!((found.line, found.column), (19, 18));
}

/// A secret comes from one place; which one wins is never a question.
#[test]
fn a_secret_has_one_place() {
    let text = BASE.replace("{ env = \"ID\" }", "{ env = \"ID\", file = \"id\" }");
    let problems = parse(&text).unwrap_err();
    assert_eq!(problems.errors[0].message, "must hold one of env, file and credential");
    assert_eq!(problems.errors[0].key, "account \"main\".access_key_id");
    let text = BASE.replace("access_key_id", "chain = true\naccess_key_id");
    assert!(parse(&text).unwrap_err().to_string().contains("not both"));
}

#[test]
fn users_come_from_a_file_too() {
    let dir = tempfile::tempdir().unwrap();
    let users = "\u{feff}# people\r\n  carol \r\n\r\nalice\ncarol\na\u{1}b\n";
    std::fs::write(dir.path().join("users.txt"), users).unwrap();
    let text = BASE.replace("users = [", "users_file = \"users.txt\"\nusers = [");
    let problems = Config::parse(&text, "rules.toml", dir.path(), now()).unwrap_err();
    let told: Vec<String> =
        problems.errors.iter().chain(&problems.warnings).map(ToString::to_string).collect();
    let file = dir.path().join("users.txt").display().to_string();
    assert_eq!(
        told,
        [
            format!("{file}:6:1: a user name holds no control characters"),
            format!("{file}:4:1: \"alice\" is listed twice, first in line 15"),
            format!("{file}:5:1: \"carol\" is listed twice, first in line 2 of {file}"),
        ]
    );
    std::fs::write(dir.path().join("users.txt"), users.replace("a\u{1}b", "dave")).unwrap();
    let config = Config::parse(&text, "rules.toml", dir.path(), now()).unwrap();
    assert_eq!(config.sources[0].users.iter().collect::<Vec<_>>(), ["alice", "bob", "carol", "dave"]);
}

#[test]
fn a_rule_has_the_same_version_however_it_is_written() {
    let version = |rule: &str| {
        parse(&format!("{BASE}[[rule]]\nname = \"x\"\n{rule}")).unwrap().rules[1].version.clone()
    };
    let plain = version("when = \"online > 2\"");
    assert_eq!(plain.len(), 12);
    assert_eq!(plain, version("severity = \"medium\" # usual\nwhen = \"(online   > 2)\""));
    assert_ne!(plain, version("when = \"online > 3\""));
    assert_ne!(plain, version("when = \"online > 2\"\nfor = \"10m\""));
    let office = |hours: &str| {
        version(&format!(
            "when = \"online > 2\"\nduring = \"o\"\n[[calendar]]\nname = \"o\"\nhours = [\"{hours}\"]"
        ))
    };
    assert_ne!(office("09:00-17:00"), office("09:00-18:00"), "what the calendar says is part of the rule");
}

#[test]
fn many_users_and_rules_are_bounded_work() {
    let names: Vec<String> = (0..10_000).map(|n| format!("\"user-{n}\"")).collect();
    let mut text = BASE.replace("\"alice\", \"bob\"", &names.join(",")).replace("*/5", "0");
    for n in 0..1_000 {
        writeln!(
            text,
            "[[rule]]\nname = \"r{n}\"\nwhen = \"online > limit\"\nlimit = 2\nusers = [\"user-{n}*\"]"
        )
        .unwrap();
    }
    let began = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    assert_eq!(parse(&text).unwrap().rules.len(), 1_001);
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime) - began;
    // Time of the processor, so that a busy host does not count, and not optimised as what is shipped is.
    assert!(spent.tv_sec < 1, "{spent:?}");
}

#[test]
fn every_mistake_is_shown_at_once() {
    let text = include_str!("../../../tests/data/config/mistakes.toml");
    let problems = Config::parse(text, "mistakes.toml", Path::new("/nowhere"), now()).unwrap_err();
    insta::assert_snapshot!("mistakes", problems.draw(false));
    let json = serde_json::to_value(&problems).unwrap();
    let keys: BTreeSet<&str> = json["errors"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["file", "line", "column", "key", "message", "hint"]));
}

#[test]
fn a_rule_says_for_itself_what_the_defaults_say_for_all() {
    let defaults = "[defaults]\nseverity = \"high\"\nfor = \"3 of 5 polls\"\nlimit = 7\nrepeat = \"4h\"\nmode = \"shadow\"\n";
    let own = BASE.replace("[[rule]]", "[[rule]]\nname = \"own\"\nwhen = \"online > 1\"\nseverity = \"low\"\nfor = \"1m\"\nmode = \"live\"\n[[rule]]");
    let rules = parse(&format!("{own}\n{defaults}")).unwrap().rules;
    let told = |name: &str| {
        let rule = rules.iter().find(|rule| rule.name == name).unwrap();
        (rule.severity, rule.policy.hold, rule.limit, rule.repeat, rule.mode)
    };
    let four = Some(Span::from_hours(4));
    assert_eq!(told("own"), (Severity::Low, Hold::For(Span::from_mins(1)), Some(7), four, Mode::Live));
    let other = rules.iter().find(|rule| rule.name != "own").unwrap().name.clone();
    let (severity, _, _, repeat, mode) = told(&other);
    assert_eq!((severity, repeat, mode), (Severity::High, four, Mode::Shadow));
    let wrong =
        parse(&format!("{BASE}\n[defaults]\nwhen = \"online > 1\"\nfor = \"7 of 5 polls\"")).unwrap_err();
    let keys: Vec<&str> = wrong.errors.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["defaults.when", "defaults.for"]);
}

#[test]
fn a_calendar_is_the_rest_of_another() {
    let calendars = "[[calendar]]\nname = \"closed\"\noutside = \"office\"\n[[calendar]]\nname = \"office\"\nhours = [\"09:00-18:00\"]\n";
    let config = parse(&format!("{BASE}\n{calendars}")).unwrap();
    let find = |name: &str| config.calendars.iter().find(|calendar| calendar.name() == name).unwrap();
    for hour in 0..48 {
        let at = now() + Span::from_hours(hour);
        assert_ne!(find("office").contains(at), find("closed").contains(at), "{at}");
    }
    let wrong = |more: &str| {
        let problems = parse(&format!("{BASE}\n{calendars}[[calendar]]\nname = \"x\"\n{more}")).unwrap_err();
        problems.errors.iter().map(|p| format!("{}: {}", p.key, p.message)).collect::<Vec<_>>()
    };
    assert_eq!(wrong("outside = \"offce\""), ["calendar \"x\".outside: no calendar is called \"offce\""]);
    assert_eq!(wrong("outside = \"closed\""), ["calendar \"x\".outside: \"closed\" has no hours of its own"]);
    assert_eq!(
        wrong("outside = \"office\"\nhours = [\"01:00-02:00\"]"),
        ["calendar \"x\".hours: cannot stand beside outside"]
    );
}

#[test]
fn problems_have_a_limit() {
    let lines: String = (0..1_500).map(|n| format!("key{n} = 1\n")).collect();
    let errors = parse(&lines).unwrap_err().errors;
    assert_eq!(errors.len(), place::MOST_PROBLEMS + 1);
    assert!(errors.last().unwrap().message.starts_with("500 more"));
}

#[test]
fn columns_count_characters() {
    let errors =
        parse("[agent]\nlanguage = \"日本\" # 中\nretention = { \"日\" = 1, x = 2 }").unwrap_err().errors;
    let columns: Vec<(usize, usize)> = errors.iter().map(|p| (p.line, p.column)).collect();
    assert_eq!(columns, [(2, 12), (3, 15), (3, 24)]);
}

#[test]
fn roster_signals_need_a_roster_and_a_roster_has_unnamed_users() {
    let rule = "[[rule]]\nname = \"x\"\nwhen = \"known and enabled\"\nclear_when = \"not known\"\n";
    check(
        rule,
        "error 3:8 rule \"x\".when: uses enabled, and the source \"one\" asks for no roster\n\
         error 3:8 rule \"x\".when: uses known, and the source \"one\" asks for no roster\n\
         error 4:14 rule \"x\".clear_when: uses known, and the source \"one\" asks for no roster",
    );
    let source = "[[source]]\nname = \"two\"\nkind = \"aliyun-sag\"\nregion = \"cn-shanghai\"\ninstance = \"sag-2\"\n\
        schedule = \"@hourly\"\nroster = true\n";
    check(&format!("{source}{rule}sources = [\"two\"]"), "");
    let limited =
        "[[rule]]\nname = \"y\"\nwhen = \"online > limit\"\nsources = [\"two\"]\nusers = [\"zoe\"]\n";
    check(
        &format!("{source}{limited}"),
        "warning 10:8 rule \"y\".when: uses limit without a default: users on the roster who have none are never judged",
    );
    check(&format!("{source}{limited}limit = 2"), "");
    check(&format!("{source}[[group]]\nname = \"g\"\nusers = [\"zoe\"]"), "");
}

#[test]
fn connections_are_listed_for_users_alone() {
    let rule = "[[rule]]\nname = \"x\"\nper = \"source\"\nwhen = \"total > 3\"\nevidence = \"clients\"\nabsent = \"zero\"\n";
    check(
        rule,
        "error 5:12 rule \"x\".evidence: connections are listed for users, not for groups or sources",
    );
}
