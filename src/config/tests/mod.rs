//! Whole files in, problems or settings out.

mod lints;

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

#[test]
fn bytes_that_are_no_rules_file_are_refused() {
    let why = |text: &str| {
        let problems = parse(text).unwrap_err();
        problems.errors.iter().map(|p| p.message.clone()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(why("a = \"\0\""), "holds a NUL byte");
    assert_eq!(why(&"#".repeat(walk::LONGEST + 1)), "is longer than 1 MiB");
    assert!(why(&format!("a = {}", "[".repeat(100_000))).contains("recurs"));
    assert!(parse(&format!("\u{feff}{}", BASE.replace('\n', "\r\n"))).is_ok(), "BOM and CRLF are fine");
    let dir = tempfile::tempdir().unwrap();
    let load = |path: &Path| Config::load(path, now()).unwrap_err().errors[0].message.clone();
    assert_eq!(load(dir.path()), "is not a regular file");
    assert!(load(&dir.path().join("none")).starts_with("cannot be read"));
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("latin"), [b'#', 0xe4]).unwrap();
    assert_eq!(load(&at("latin")), "is not UTF-8 text");
    let hint = |path: &Path| Config::load(path, now()).unwrap_err().errors[0].hint.clone().unwrap();
    std::fs::write(at("line"), b"# \xc3\xa4\n# \xc3\xa4 \xe4").unwrap();
    let problem = Config::load(&at("line"), now()).unwrap_err().errors.remove(0);
    assert_eq!((problem.line, problem.column), (2, 5));
    assert_eq!(hint(&at("line")), "save it as UTF-8 text");
    assert_eq!(hint(dir.path()), "it is a directory: name the file in it");
    let wide: Vec<u8> = format!("\u{feff}{BASE}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(at("wide"), wide).unwrap();
    assert_eq!(load(&at("wide")), "is not UTF-8 text");
    // 100 MiB that take no room on the disk, and a device without an end.
    std::fs::File::create(at("huge")).unwrap().set_len(100 << 20).unwrap();
    assert_eq!(load(&at("huge")), "is longer than 1 MiB");
    assert_eq!(hint(&at("huge")), "put long lists of users into a users_file");
    assert_eq!(load(Path::new("/dev/zero")), "is not a regular file");
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), fifo, mode, 0).unwrap();
    assert_eq!(load(&at("fifo")), "is not a regular file");
}

/// One mistake is told as one: what rests on the part that was refused is not complained of.
#[test]
fn what_rests_on_a_refused_part_is_not_complained_of() {
    #[track_caller]
    fn wrong(from: &str, to: &str, expect: &str) {
        let more = "[[group]]\nname = \"g\"\nusers = [\"ali*\"]\nlimit = 2\n[[exception]]\nuser = \"bob\"\nlimit = 9\n\
                    reason = \"r\"\nowner = \"o\"\nexpires = 2999-01-01\n[[calendar]]\nname = \"office\"\n\
                    hours = [\"09:00-18:00\"]\n[[calendar]]\nname = \"night\"\noutside = \"office\"\n\
                    [[rule]]\nname = \"over\"\nwhen = \"online > limit\"\ngroups = [\"g\"]\nexcept = [\"bob\"]\nduring = \"night\"\n";
        let text = format!("{BASE}{more}");
        assert!(parse(&text).is_ok_and(|config| config.warnings.is_empty()), "{:?}", parse(&text));
        assert!(text.contains(from), "{from}");
        let problems = parse(&text.replacen(from, to, 1)).unwrap_err();
        let told = problems.errors.iter().chain(&problems.warnings);
        let told: Vec<String> = told.map(|one| format!("{}: {}", one.key, one.message)).collect();
        assert!(told.len() == 1 && told[0].starts_with(expect), "{to}: {told:#?}");
    }
    wrong("*/5 * * * *", "*/5 * * * * * *", "source \"one\".schedule: ");
    wrong("\"bob\"]", "\"bo\\tb\"]", "source \"one\".users: a user name holds");
    wrong("notify = [\"hook\"]", "notify = [\"hok\"]", "agent.notify: no channel is called");
    wrong("notify = [\"hook\"]", "notify = \"hook\"", "agent.notify: must be");
    wrong("09:00-18:00", "09:00-26:00", "calendar \"office\".hours: ");
    wrong("limit = 2", "limit = \"2\"", "group \"g\".limit: ");
    wrong("outside = \"office\"", "outside = \"ofice\"", "calendar \"night\".outside: no calendar is called");
    wrong("[[rule]]", "[[rule]]\nnotify = \"hook\"", "rule \"many\".notify: must be");
}

/// A reload may find a file that an editor has written the first part of.
#[test]
fn a_file_cut_short_means_nothing_else_than_it_says() {
    for cut in (0..BASE.len()).filter(|cut| BASE.is_char_boundary(*cut)) {
        let Ok(config) = parse(&BASE[..cut]) else { continue };
        let whole_lines = BASE[..cut].ends_with('\n') || BASE[cut..].starts_with('\n');
        assert!(whole_lines, "cut within a line: {:?}", &BASE[..cut]);
        let tables = BASE[..cut].matches("[[").count();
        assert!(tables >= config.rules.len() + config.sources.len() + config.channels.len());
    }
}

/// Each value of a duration, number or count that cannot be meant, at its line and column.
#[test]
fn zero_and_negative_values_are_refused_where_they_stand() {
    let refused = |from: &str, to: &str, line: &str| {
        let text = BASE.replace(from, to);
        let found = parse(&text).map_or_else(|problems| problems.errors, |_| Vec::new());
        let at_line = |p: &&Problem| text.lines().nth(p.line - 1) == Some(line) && p.column > 1;
        let error = found.iter().find(at_line).unwrap_or_else(|| panic!("{line}: {found:?}"));
        error.message.clone()
    };
    for (key, value) in [
        ("schedule = \"*/5 * * * *\"", "budget = \"0s\""),
        ("schedule = \"*/5 * * * *\"", "timeout = \"0s\""),
        ("schedule = \"*/5 * * * *\"", "connect_timeout = \"0ms\""),
        ("schedule = \"*/5 * * * *\"", "timeout = \"-5s\""),
        ("access_key_id = { env = \"ID\" }", "requests_per_second = 0"),
        ("access_key_id = { env = \"ID\" }", "requests_per_second = -1"),
        ("access_key_id = { env = \"ID\" }", "burst = 0"),
        ("when = \"online > 3\"", "for = \"-10m\""),
        ("when = \"online > 3\"", "repeat = \"0s\""),
        ("when = \"online > 3\"", "max_gap = \"0s\""),
        ("when = \"online > 3\"", "limit = -1"),
        ("kind = \"webhook\"", "timeout = \"0s\""),
        ("kind = \"webhook\"", "timeout = \"-1s\""),
    ] {
        let message = refused(key, &format!("{key}\n{value}"), value);
        assert!(
            message.contains("out of range") || message.contains("is not a duration"),
            "{value}: {message}"
        );
    }
    let every_second = refused("*/5 * * * *", "* * * * * *", "schedule = \"* * * * * *\"");
    assert!(every_second.contains("second"), "{every_second}");
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
