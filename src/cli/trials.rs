//! `seatwatch rules test`: the tests of a rules file, played by the engine that decides live.
//!
//! Neighbours: `config` reads `[[test]]`, `engine::trial` plays it. A part of its own because a test that fails must
//! show, poll by poll, what the rule said and why the expectation does not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use super::{Common, Exit, Failure, open, past, print, when};
use crate::config::section::suggest;
use crate::config::{Config, Problems, Test};
use crate::engine::event::{Subject, SubjectKind};
use crate::engine::fleet::Fleet;
use crate::engine::names::Names;
use crate::engine::own::Own;
use crate::engine::rule::Per;
use crate::engine::time::Time;
use crate::engine::trial::{Miss, Round, Trial};
use crate::engine::watch::Setup;

/// What a build server calls all of it.
const SUITE: &str = "seatwatch rules test";

/// Subjects shown of one failing test.
const MOST_SHOWN: usize = 5;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Files with more [[test]] tables, about the rules of the rules file
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only tests whose name holds this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write the results there for a build server, in the XML of `JUnit`
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// One object of `rules test --json`.
#[derive(Serialize)]
struct Told<'t> {
    test: &'t str,
    file: &'t str,
    line: usize,
    ok: bool,
    polls: usize,
    failures: Vec<ToldMiss<'t>>,
}

#[derive(Serialize)]
struct ToldMiss<'t> {
    line: usize,
    at: Time,
    rule: &'t str,
    what: &'static str,
    expected: &'t BTreeSet<String>,
    found: BTreeSet<String>,
}

/// A test that was played.
struct Played<'t> {
    test: &'t Test,
    trial: Trial,
    misses: Vec<Miss>,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let ran = played(common, args);
    if let (Err(Failure::Rules(problems)), Some(path)) = (&ran, &args.junit) {
        write(path, &refused(problems)?)?;
    }
    ran
}

fn played(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let config = open::config(common)?;
    let mut tests = config.tests.clone();
    let mut wrong = Problems::default();
    for file in &args.files {
        match config.tests_of(file) {
            Ok(more) => tests.extend(more),
            Err(problems) => wrong.errors.extend(problems.errors),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.into());
    }
    if tests.is_empty() && args.only.is_none() {
        let none =
            "no test was played: there are no [[test]] tables at all; write some, as rules.example.toml does";
        return Err(Failure::usage(none));
    }
    if let Some(part) = args.only.as_ref().filter(|part| !tests.iter().any(|test| test.name.contains(*part)))
    {
        return Err(no_such(part, &tests));
    }
    let wanted = |test: &&Test| args.only.as_ref().is_none_or(|part| test.name.contains(part));
    let fleet = Arc::new(config.fleet.clone());
    let played: Vec<Played<'_>> =
        tests.iter().filter(wanted).filter_map(|test| play(&config, &fleet, test)).collect();
    if let Some(path) = &args.junit {
        write(path, &junit(&config, &played)?)?;
    }
    if common.json {
        print::json(&played.iter().map(told).collect::<Vec<_>>())?;
    } else {
        print::raw(text(&config, &played).as_bytes());
    }
    Ok(if played.iter().all(|one| one.misses.is_empty()) { Exit::Fine } else { Exit::Problem })
}

/// Nothing would be played, and a build server would take that for a success.
fn no_such(part: &str, tests: &[Test]) -> Failure {
    let near = suggest(part, tests.iter().map(|test| test.name.as_str()));
    let way_out = match tests.len() {
        0 => "there are no [[test]] tables at all".to_owned(),
        some => near.unwrap_or_else(|| {
            format!("leave --only out to play all {}, which lists their names", print::count(some, "test"))
        }),
    };
    Failure::usage(format!("--only: no test's name holds {part:?}; {way_out}"))
}

fn play<'t>(config: &Config, fleet: &Arc<Fleet>, test: &'t Test) -> Option<Played<'t>> {
    let source = config.sources.iter().find(|source| source.name == test.source)?;
    let setup = Setup {
        interval: test.interval,
        users: Arc::new(Names::new(test.timelines.iter().map(|timeline| &timeline.user))),
        roster: test.roster.is_some(),
        ..crate::agent::setup(config, source, fleet, "test")
    };
    let trial = Trial {
        setup: Arc::new(setup),
        roster: test.roster.clone(),
        start: test.start,
        interval: test.interval,
        timelines: test.timelines.clone(),
        expected: test.expected.clone(),
    };
    let misses = trial.run();
    Some(Played { test, trial, misses })
}

fn told<'t>(played: &'t Played<'_>) -> Told<'t> {
    let miss = |miss: &Miss| {
        let expected = &played.trial.expected[miss.expected];
        ToldMiss {
            line: played.test.lines[miss.expected],
            at: miss.at,
            rule: &expected.rule,
            what: expected.what.word(),
            expected: &expected.subjects,
            found: miss.found.clone(),
        }
    };
    Told {
        test: &played.test.name,
        file: &played.test.file,
        line: played.test.line,
        ok: played.misses.is_empty(),
        polls: played.trial.polls(),
        failures: played.misses.iter().map(miss).collect(),
    }
}

fn text(config: &Config, played: &[Played<'_>]) -> String {
    let mut text = String::new();
    for one in played {
        let (name, polls) = (print::name(&one.test.name), print::count(one.trial.polls(), "poll"));
        if one.misses.is_empty() {
            let _ = writeln!(text, "ok      {name} ({polls})");
        } else {
            let _ =
                writeln!(text, "FAILED  {name} ({polls}), {}:{}", print::name(&one.test.file), one.test.line);
            text += &explained(config, one);
        }
    }
    let failed = played.iter().filter(|one| !one.misses.is_empty()).count();
    let all = print::count(played.len(), "test");
    let _ = writeln!(text, "{all}: {} passed, {failed} failed", played.len() - failed);
    text
}

/// What does not hold, and the polls of those it does not hold for.
fn explained(config: &Config, played: &Played<'_>) -> String {
    let mut text = String::new();
    let mut marks: BTreeMap<(String, String), Vec<(Time, String)>> = BTreeMap::new();
    for miss in &played.misses {
        let expected = &played.trial.expected[miss.expected];
        let after = miss.at.since(played.trial.start);
        let (what, rule) = (expected.what.word(), print::name(&expected.rule));
        let _ = writeln!(
            text,
            "  line {}: {rule} after {after}: {what} should be {}, is {}",
            played.test.lines[miss.expected],
            people(&expected.subjects),
            people(&miss.found)
        );
        for name in expected.subjects.symmetric_difference(&miss.found) {
            let wanted =
                if expected.subjects.contains(name) { what.to_owned() } else { format!("not {what}") };
            marks.entry((expected.rule.clone(), name.clone())).or_default().push((miss.at, wanted));
        }
    }
    for ((rule, name), marks) in marks.iter().take(MOST_SHOWN) {
        text += &traced(config, played, rule, name, marks);
    }
    if marks.len() > MOST_SHOWN {
        let _ = writeln!(text, "  and {} more", marks.len() - MOST_SHOWN);
    }
    text
}

fn people(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "nobody".to_owned();
    }
    names.iter().map(|name| print::name(name)).collect::<Vec<_>>().join(", ")
}

/// Every poll of one subject: equal ones in a row share a line.
fn traced(config: &Config, played: &Played<'_>, rule: &str, name: &str, marks: &[(Time, String)]) -> String {
    let Some(kind) = kind(config, rule) else { return String::new() };
    let rounds = played.trial.trace(rule, &Subject { kind, name: name.to_owned() });
    let limit = rounds.iter().find_map(|round| round.look.limit.as_ref());
    let limit = limit.map_or_else(String::new, |limit| {
        format!(", limit {} ({})", limit.value, print::name(&limit.origin))
    });
    let mut text = format!("\n  {}, {}{limit}\n", print::name(rule), print::name(name));
    let mark = |at: Time| marks.iter().filter(move |(when, _)| *when == at).map(|(_, what)| what.as_str());
    let quiet = |round: &Round| round.events.is_empty() && mark(round.at).next().is_none();
    let same = |a: &Round, b: &Round| {
        let shown =
            |round: &Round| (past::said(&round.look), round.look.judged.word(), round.look.alert.state);
        quiet(a) && quiet(b) && shown(a) == shown(b)
    };
    let row = |run: &[Round]| {
        let (first, last) = (run.first()?, run.last()?);
        let after = |at: Time| at.since(played.trial.start);
        let events = first.events.iter().map(word);
        let expected = mark(first.at).map(|what| format!("<- expected: {what}"));
        Some(vec![
            if run.len() > 1 {
                format!("{} to {}", when::length(after(first.at)), when::length(after(last.at)))
            } else {
                when::length(after(first.at))
            },
            when::local(played.test.zone, first.at),
            match past::no_total(&first.look) {
                Some(none) => none,
                None => format!("{:?}{}", first.look.reading, times(run.len())),
            },
            first.look.judged.word().to_owned(),
            word(first.look.alert.state),
            events.chain(expected).collect::<Vec<_>>().join(" "),
        ])
    };
    let rows: Vec<Vec<String>> = rounds.chunk_by(same).filter_map(row).collect();
    let table = print::table(&["after", "at", "reading", "verdict", "state", ""], &rows);
    text.extend(table.lines().map(|line| format!("  {line}\n")));
    text
}

/// As a timeline writes repeats.
fn times(polls: usize) -> String {
    if polls > 1 { format!("x{}", polls - 1) } else { String::new() }
}

/// A state or a kind of event, in the words of `--json`.
fn word(of: impl std::fmt::Debug) -> String {
    format!("{of:?}").to_lowercase()
}

/// What a rule's subjects are; none for own alerts, which are not followed poll by poll.
fn kind(config: &Config, rule: &str) -> Option<SubjectKind> {
    if Own::of_name(rule).is_some() {
        return None;
    }
    Some(match config.rules.iter().find(|one| one.name == rule)?.per {
        Per::User => SubjectKind::User,
        Per::Group => SubjectKind::Group,
        Per::Source => SubjectKind::Source,
    })
}

/// The results for a build server: a suite per file.
fn junit(config: &Config, played: &[Played<'_>]) -> Result<Vec<u8>, Failure> {
    let mut report = Report::new(SUITE);
    for of_file in played.chunk_by(|a, b| a.test.file == b.test.file) {
        let Some(first) = of_file.first() else { continue };
        let mut suite = TestSuite::new(xml(&first.test.file));
        for one in of_file {
            let mut status = TestCaseStatus::success();
            if !one.misses.is_empty() {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(format!("{} not met", print::count(one.misses.len(), "expectation")));
                status.set_description(xml(&explained(config, one)));
            }
            let mut case = TestCase::new(xml(&one.test.name), status);
            case.set_classname(xml(&one.test.file));
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    serialized(&report)
}

/// A file that is refused is an error to a build server, and not a missing result.
fn refused(problems: &Problems) -> Result<Vec<u8>, Failure> {
    let mut report = Report::new(SUITE);
    let mut suite = TestSuite::new(SUITE);
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(print::count(problems.errors.len(), "error"));
    status.set_description(xml(&problems.to_string()));
    suite.add_test_case(TestCase::new("the rules file and the files with tests are accepted", status));
    report.add_test_suite(suite);
    serialized(&report)
}

/// With characters that XML 1.0 has no place for written as `\u{…}`.
fn xml(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' | '\n' | '\r' => c.to_string(),
        '\0'..' ' | '\u{fffe}' | '\u{ffff}' => c.escape_unicode().to_string(),
        _ => c.to_string(),
    };
    text.chars().map(shown).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| {
        Failure::Other(anyhow::Error::from(error).context(format!("--junit {}", path.display())))
    })
}

fn serialized(report: &Report) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    report.serialize(&mut bytes).map_err(anyhow::Error::from)?;
    Ok(bytes)
}
