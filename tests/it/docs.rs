//! What the READMEs say, held against the program: commands, rules files, tables, paths, the receiver's snippet.
//!
//! Neighbours: `README.md`, `README.zh-CN.md`, and what they speak of. A part of its own because people follow these
//! pages word for word, and a page that nothing checks is wrong by the next release.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use seatwatch::aliyun::codes::{self, Meaning, classify};
use seatwatch::aliyun::endpoint::REGIONS;
use seatwatch::cli::{self, Exit};
use seatwatch::config::{Config, Problems};
use seatwatch::engine::lang;
use seatwatch::engine::own::RULES;

const ENGLISH: &str = include_str!("../../README.md");
const CHINESE: &str = include_str!("../../README.zh-CN.md");
const PAGES: [(&str, &str); 2] = [("README.md", ENGLISH), ("README.zh-CN.md", CHINESE)];

/// A line of a page that stands outside of code blocks, with whether it does.
fn lines(page: &str) -> Vec<(bool, &str)> {
    let mut inside = false;
    let mut mark = |line: &str| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !(inside || fence)
    };
    page.lines().map(|line| (mark(line), line)).collect()
}

/// The code blocks of a kind, without the indent that a list gives them.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), None::<(usize, bool, String)>);
    for line in page.lines() {
        let text = line.trim_start();
        match (&mut open, text.strip_prefix("```")) {
            (None, Some(name)) => open = Some((line.len() - text.len(), name == kind, String::new())),
            (Some((_, wanted, block)), Some(_)) => {
                found.extend(wanted.then(|| block.clone()));
                open = None;
            }
            (Some((indent, _, block)), None) => {
                block.push_str(line.get(*indent..).unwrap_or_default());
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert_eq!(open, None, "a block is not closed");
    found
}

/// The rows of each table, head first, as cells.
fn tables(page: &str) -> Vec<Vec<Vec<String>>> {
    let mut found: Vec<Vec<Vec<String>>> = Vec::new();
    let mut before = false;
    for (prose, line) in lines(page) {
        let row = prose && line.starts_with('|');
        if row && !before {
            found.push(Vec::new());
        }
        if row && !line.starts_with("|---") {
            let cells = line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
            found.last_mut().unwrap().push(cells.collect());
        }
        before = row;
    }
    found
}

/// The rows below the head of the one table whose first row has a cell that begins so.
fn table(page: &str, first: &str) -> Vec<Vec<String>> {
    let mut fits = tables(page);
    fits.retain(|rows| rows[1][0].starts_with(first));
    assert_eq!(fits.len(), 1, "one table begins with {first}");
    fits.remove(0).split_off(1)
}

/// What stands between backticks outside of blocks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn parse(rules: &str) -> Result<Config, Problems> {
    Config::parse(rules, "rules.toml", Path::new("/etc/seatwatch"), "2026-11-22T03:05:00Z".parse().unwrap())
}

/// Words as a shell makes them of a line: quotes hold together, a comment ends it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quotes) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quotes = !quotes,
            '#' if !quotes && words.last().is_some_and(String::is_empty) => break,
            ' ' if !quotes => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Every `seatwatch …` of a page, in blocks and in running text.
fn commands(page: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> =
        blocks(page, "sh").iter().flat_map(|block| block.lines().map(words).collect::<Vec<_>>()).collect();
    for (_, line) in lines(page).into_iter().filter(|(prose, _)| *prose) {
        found.extend(quoted(line).iter().map(|text| words(text)));
    }
    for command in &mut found {
        if command.starts_with(&["cargo".to_owned(), "run".to_owned()]) {
            let end = command.iter().position(|word| word == "--").unwrap();
            command.splice(..=end, ["seatwatch".to_owned()]);
        }
        // As another user, or with the service's credentials: the program's name follows the user's, or all options.
        if command.first().is_some_and(|word| word == "sudo" || word == "systemd-run") {
            let program = command.iter().rposition(|word| word == "seatwatch").unwrap();
            command.drain(..program);
        }
    }
    // The bare word is the user's or the service's name.
    found.retain(|command| command.len() > 1 && command[0] == "seatwatch");
    found
}

#[test]
fn the_program_takes_every_command() {
    for (name, page) in PAGES {
        let commands = commands(page);
        assert!(commands.len() > 20, "{name} has {} commands", commands.len());
        for command in commands {
            if let Err(error) = cli::command().try_get_matches_from(&command) {
                panic!("{name}: {}\n{error}", command.join(" "));
            }
        }
    }
    let wrong = cli::command().try_get_matches_from(["seatwatch", "alerts", "list", "--firing"]);
    assert!(wrong.is_err(), "a wrong argument would be noticed");
}

/// `alerts list`, …: what a person can call.
fn leaves(command: &clap::Command, path: &str, found: &mut Vec<String>) {
    for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
        let path = format!("{path} {}", child.get_name());
        if child.has_subcommands() { leaves(child, &path, found) } else { found.push(path) }
    }
}

#[test]
fn every_command_is_mentioned() {
    let mut all = Vec::new();
    leaves(&cli::command(), "seatwatch", &mut all);
    assert!(all.len() > 15, "{all:?}");
    for (name, page) in PAGES {
        let said: Vec<String> = commands(page).iter().map(|command| command.join(" ") + " ").collect();
        for command in &all {
            let whole = format!("{command} ");
            assert!(said.iter().any(|said| said.starts_with(&whole)), "{name} does not mention {command}");
        }
    }
}

#[test]
fn rules_files_load_without_a_warning() {
    for (name, page) in PAGES {
        let mut blocks = blocks(page, "toml");
        let least = blocks.remove(0);
        let config = parse(&least).unwrap_or_else(|e| panic!("{name}:\n{}", e.draw(false)));
        assert_eq!((config.sources.len(), config.rules.len(), config.channels.len()), (1, 1, 1));
        assert!(config.warnings.is_empty(), "{name}: {:?}", config.warnings);
        for more in blocks {
            let whole = least.replace("[\"alice\", \"bob\"]", "[\"alice\", \"bob\", \"ext-carol\"]");
            let config = parse(&format!("{whole}\n{more}"));
            let config = config.unwrap_or_else(|e| panic!("{name}:\n{}", e.draw(false)));
            assert!(config.warnings.is_empty(), "{name}: {:?}", config.warnings);
        }
    }
}

/// What stands above a rule of the example, and what tests speak of it.
#[test]
fn ready_made_rules_say_what_they_find_and_carry_tests() {
    let example = include_str!("../../rules.example.toml");
    let config = parse(example).unwrap_or_else(|e| panic!("{}", e.draw(false)));
    assert!(config.rules.len() >= 11, "{}", config.rules.len());
    for rule in &config.rules {
        let above = example.split(&format!("name = \"{}\"", rule.name)).next().unwrap();
        let comment: Vec<&str> =
            above.lines().rev().skip(1).take_while(|line| line.starts_with("# ")).collect();
        let said: Vec<&str> = comment.iter().rev().filter_map(|line| line[2..].split(':').next()).collect();
        assert_eq!(said, ["finds", "wrongly", "tune"], "{}", rule.name);
        let wanted = |some: bool| {
            let expected = config.tests.iter().flat_map(|test| &test.expected);
            let of_rule = expected.filter(|expected| expected.rule == rule.name);
            of_rule.filter(|expected| expected.subjects.is_empty() != some).count()
        };
        assert!(wanted(true) > 0, "no test sees {} fire", rule.name);
    }
    let output = Command::new(env!("CARGO_BIN_EXE_seatwatch"))
        .args(["rules", "test", "-c", concat!(env!("CARGO_MANIFEST_DIR"), "/rules.example.toml")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let summary = format!("{0} tests: {0} passed, 0 failed", config.tests.len());
    assert_eq!(text.lines().last(), Some(summary.as_str()));
}

#[test]
fn own_alerts_stand_as_they_are() {
    let word = |value: &dyn erased::Word| value.word();
    let rows: Vec<Vec<String>> = RULES
        .iter()
        .map(|rule| {
            vec![
                format!("`{}`", rule.name),
                word(&rule.subject),
                word(&rule.severity),
                rule.begins.to_owned(),
                rule.ends.to_owned(),
            ]
        })
        .collect();
    assert_eq!(table(ENGLISH, "`agent/"), rows, "the rows should be:\n{}", drawn(&rows));
    let chinese = table(CHINESE, "`agent/");
    let first_three = |rows: &[Vec<String>]| rows.iter().map(|row| row[..3].to_vec()).collect::<Vec<_>>();
    assert_eq!(first_three(&chinese), first_three(&rows));
    assert!(chinese.iter().flatten().all(|cell| !cell.is_empty()));
    for (row, rule) in chinese.iter().zip(&RULES) {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        assert_eq!(digits(&row[3]) + &digits(&row[4]), digits(rule.begins) + &digits(rule.ends), "{row:?}");
    }
}

fn drawn(rows: &[Vec<String>]) -> String {
    rows.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect()
}

/// How enums are written where other programs read them.
mod erased {
    pub(super) trait Word {
        fn word(&self) -> String;
    }

    impl<T: serde::Serialize> Word for T {
        fn word(&self) -> String {
            serde_json::to_value(self).unwrap().as_str().unwrap().to_owned()
        }
    }
}

#[test]
fn every_signal_stands_in_the_table_and_no_other() {
    let known: Vec<&str> = lang::names().collect();
    for (name, page) in PAGES {
        let told: Vec<String> = table(page, "`online`").iter().flat_map(|row| quoted(&row[0])).collect();
        let bare: Vec<&str> = told.iter().map(|text| text.split('(').next().unwrap()).collect();
        assert_eq!(bare, known, "{name}");
    }
}

#[test]
fn exit_codes_are_those_of_the_program() {
    let all = [Exit::Fine, Exit::Problem, Exit::Usage, Exit::Bug, Exit::Storage, Exit::Busy, Exit::Rules];
    let codes = all.map(|exit| exit as u8);
    assert_eq!(codes, [0, 1, 2, 70, 74, 75, 78], "scripts rely on these");
    for (name, page) in PAGES {
        let told: Vec<String> = table(page, "`0`").iter().map(|row| row[0].clone()).collect();
        assert_eq!(told, codes.map(|code| format!("`{code}`")), "{name}");
    }
}

#[test]
fn every_code_of_the_vendor_has_the_class_it_is_listed_under() {
    let mut classes = BTreeSet::new();
    for (name, page) in PAGES {
        for row in table(page, "`credentials`") {
            let class = quoted(&row[0]).remove(0);
            for code in quoted(&row[1]) {
                let sample = code.replace('*', "");
                let Meaning { class: found, .. } = classify(&sample, 400);
                assert_eq!(erased::Word::word(&found), class, "{name}: {code}");
                // A code that is not known is sorted by its status alone.
                assert_eq!(classify(&sample, 400), classify(&sample, 502), "{name}: {code} is not known");
            }
            classes.insert(class);
        }
    }
    let all =
        ["account", "clock", "credentials", "permission", "request", "server", "throttled", "transport"];
    assert_eq!(classes.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn every_code_that_is_known_and_every_region_is_listed() {
    for (name, page) in PAGES {
        for known in codes::known() {
            let class = erased::Word::word(&classify(&known.replace('*', ""), 400).class);
            let rows = table(page, "`credentials`");
            let listed: Vec<String> = rows
                .iter()
                .filter(|row| quoted(&row[0])[0] == class)
                .flat_map(|row| quoted(&row[1]))
                .collect();
            let covers = |code: &String| match code.strip_suffix('*') {
                Some(family) => known.starts_with(family),
                None => known == code,
            };
            assert!(listed.iter().any(covers), "{name}: no {known} under {class}");
        }
        let missing = REGIONS.iter().find(|region| !page.contains(&format!("`{}`", region.id)));
        assert_eq!(missing, None, "{name}");
    }
}

#[test]
fn every_right_that_the_key_may_need_is_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/aliyun_sag");
    let mut actions = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let words = text.split('"').filter(|word| word.chars().all(|c| c.is_ascii_alphanumeric()));
        actions.extend(words.filter(|word| word.starts_with("Describe")).map(str::to_owned));
    }
    assert!(actions.len() > 2, "{actions:?}");
    for (name, page) in PAGES {
        let missing = actions.iter().find(|action| !page.contains(&format!("smartag:{action}")));
        assert_eq!(missing, None, "{name}");
    }
}

#[test]
fn both_pages_have_one_structure() {
    let levels = |page| {
        let lines = lines(page).into_iter().filter(|(prose, line)| *prose && line.starts_with('#'));
        lines.map(|(_, line)| line.chars().take_while(|c| *c == '#').count()).collect::<Vec<_>>()
    };
    assert_eq!(levels(ENGLISH), levels(CHINESE));
    let firsts = |page: &str| -> Vec<Vec<String>> {
        let firsts = |rows: &Vec<Vec<String>>| rows.iter().skip(1).map(|row| row[0].clone()).collect();
        tables(page).iter().map(firsts).collect()
    };
    // Numbers with units and lists of codes are written in each language's own way.
    let same = |(en, zh): (&String, &String)| {
        let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        if en.contains('`') {
            quoted(en) == quoted(zh)
        } else if en.starts_with(|c: char| c.is_ascii_digit()) {
            digits(en) == digits(zh)
        } else {
            plain(en) == plain(zh)
        }
    };
    let (english, chinese) = (firsts(ENGLISH), firsts(CHINESE));
    assert_eq!(english.len(), chinese.len());
    for (en, zh) in english.iter().zip(&chinese) {
        assert!(en.len() == zh.len() && en.iter().zip(zh).all(same), "{en:#?}\n{zh:#?}");
    }
    // Comments in code are translated, code is not.
    let code = |page: &str, kind: &str| -> Vec<String> {
        let bare = |line: &str| line.split('#').next().unwrap_or_default().trim_end().to_owned();
        blocks(page, kind)
            .iter()
            .map(|block| block.lines().map(bare).collect::<Vec<_>>().join("\n"))
            .collect()
    };
    for kind in ["sh", "toml", "json", "python"] {
        assert_eq!(code(ENGLISH, kind), code(CHINESE, kind), "{kind}");
        assert!(!code(ENGLISH, kind).is_empty(), "{kind}");
    }
}

/// The numbered lines of a text, without what marks them up.
fn invariants(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        let (digits, rest) = line.split_at(line.find(|c: char| !c.is_ascii_digit()).unwrap_or(0));
        if let (Ok(number), Some(rest)) = (digits.parse::<usize>(), rest.strip_prefix(". "))
            && number == found.len() + 1
        {
            found.push(rest.to_owned());
        } else if line.is_empty() && !found.is_empty() {
            break;
        } else if let Some(last) = found.last_mut() {
            last.push(' ');
            last.push_str(line);
        }
    }
    found.iter().map(|text| text.replace(['*', '`', '[', ']'], "")).collect()
}

#[test]
fn the_nine_invariants_are_the_librarys() {
    let library = include_str!("../../src/lib.rs").replace("//!", "");
    let library = invariants(library.split("Invariants").nth(1).unwrap());
    let section = |page: &str, from: &str| page.split(from).nth(1).unwrap().trim_start().to_owned();
    let page = section(ENGLISH, "### Invariants\n\nEach has a test.\n");
    assert_eq!(invariants(&page), library);
    assert_eq!(library.len(), 9);
    let chinese = section(CHINESE, "每一条都有测试。\n");
    assert_eq!(invariants(&chinese).len(), 9);
}

#[test]
fn every_path_and_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ours = ["src/", "tests/", "dist/", "fuzz/", "README", "rules.example.toml", "migrations/"];
    for (name, page) in PAGES {
        let prose: Vec<&str> = lines(page).into_iter().filter(|(prose, _)| *prose).map(|(_, l)| l).collect();
        let quoted = prose.iter().flat_map(|line| quoted(line));
        let paths: Vec<String> = quoted.filter(|text| ours.iter().any(|o| text.starts_with(o))).collect();
        assert!(paths.len() > 10, "{name}: {paths:?}");
        let links = prose.iter().flat_map(|line| line.split("](").skip(1));
        let links = links.filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains(':'));
        for path in paths.iter().map(String::as_str).chain(links) {
            assert!(root.join(path).exists(), "{name}: {path}");
        }
    }
}

#[test]
fn invariant_8_limits_are_those_of_the_code() {
    let known = [
        ("1,000,000", "src/config/users.rs", "MOST: usize = 1_000_000;"),
        ("256 bytes", "src/config/users.rs", "LONGEST_NAME: usize = 256;"),
        ("100,000", "src/config/fleet.rs", "HIGHEST: i64 = 100_000;"),
        ("100,000", "src/engine/reading.rs", "MOST_ONLINE: u32 = 100_000;"),
        ("50", "src/source/aliyun_sag/fetch.rs", "BATCH: usize = 50;"),
        ("1 MiB", "src/config/walk.rs", "LONGEST: usize = 1024 * 1024;"),
        ("1 MiB", "src/aliyun/transport.rs", "LONGEST: usize = 1 << 20;"),
        ("64 MiB", "src/config/users.rs", "LONGEST_FILE: u64 = 64 * 1024 * 1024;"),
        ("4096 bytes", "src/engine/lang/mod.rs", "LONGEST: usize = 4096;"),
        ("90 days", "src/engine/lang/signal.rs", "LONGEST_WINDOW: Span = Span::from_days(90);"),
        ("65,536", "src/engine/signals/log.rs", "each: 65_536,"),
        ("64 polls", "src/engine/rule.rs", "of ≤ 64)"),
        ("20", "src/engine/alert/record.rs", "TRAIL: usize = 20;"),
        ("20", "src/engine/message/mod.rs", "MOST_SHOWN: usize = 20;"),
        ("5", "src/engine/notify/mod.rs", "MOST_AT_ONCE: usize = 5;"),
        ("50", "src/channel/email/settings.rs", "MAX_RECIPIENTS: usize = 50;"),
        ("20 kB", "src/channel/webhook/body.rs", "MAX_BODY: usize = 20_000;"),
        ("256 KiB", "src/channel/email/mime.rs", "MAX_MAIL: usize = 256 * 1024;"),
        ("75 hours", "src/engine/backoff.rs", "KEEP_TRYING: Span = Span::from_hours(75);"),
        ("64 KiB", "src/secret.rs", "LONGEST: u64 = 64 * 1024;"),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (limit, path, constant) in known {
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        assert!(text.contains(constant), "{path} has no {constant:?} any more; the READMEs say {limit}");
    }
    let told: BTreeSet<String> =
        table(ENGLISH, "1,000,000").into_iter().map(|mut row| row.remove(0)).collect();
    let known: BTreeSet<String> = known.iter().map(|(limit, ..)| (*limit).to_owned()).collect();
    assert_eq!(told, known);
}

/// The vector of the specification's own libraries.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

#[test]
fn the_receivers_snippet_takes_what_is_signed_and_nothing_else() {
    let snippet = blocks(ENGLISH, "python").remove(0);
    assert!(snippet.lines().count() <= 15, "it is meant to be read");
    let driver = format!(
        "def take(body=b'{{\"test\": 2432232314}}', now=1614265330, sign='{SIGNATURE}', secret='{SECRET}'):\n\
         \x20   at = '1614265330'\n\
         \x20   return verify(secret, {{'webhook-id': '{ID}', 'webhook-timestamp': at, 'webhook-signature': sign}}, body, now)\n\
         print(take(), take(now=1614265630), take(sign='v1,AAAA {SIGNATURE}'))\n\
         print(take(now=1614265631), take(now=1614265029), take(body=b'{{}}'), take(sign='v1,AAAA'), \
         take(sign=''), take(secret='whsec_' + 'A' * 32))\n"
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{snippet}\n{driver}").unwrap();
    let ran = Command::new("python3")
        .arg(file.path())
        .output()
        .expect("python3 is there, as tests/run asks for it");
    let (out, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!(out, "True True True\nFalse False False False False False\n", "{error}");
}

#[test]
fn the_changelog_has_a_place_for_what_is_new() {
    let changes = include_str!("../../CHANGELOG.md");
    let new = changes.split("\n## Unreleased\n").nth(1).unwrap();
    assert!(new.trim_start().starts_with("### "), "sorted by what kind of change it is");
    assert!(new.lines().filter(|line| line.starts_with("- ")).count() > 10);
}
