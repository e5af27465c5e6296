//! One `[[test]]`: readings of a few users as timelines, and which alerts are to be there at which poll.
//!
//! Neighbours: `engine::timeline` reads the timelines, `rules test` makes trials of what is read here. A part of its
//! own because tests also stand in files of their own, checked against the rules file they are about.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use chrono_tz::Tz;

use super::agent::zone;
use super::form::Form;
use super::names::Names;
use super::section::{Section, shown, suggest};
use super::sources::Source;
use super::walk::{LONGEST, walk};
use super::{Config, Problems, users};
use crate::engine::fleet::Fleet;
use crate::engine::own::Own;
use crate::engine::roster::Roster;
use crate::engine::rule::{Per, Rule};
use crate::engine::time::{Span, Time};
use crate::engine::timeline;
use crate::engine::trial::{Expected, Timeline, What};

/// Where a test begins that does not say: midnight of Monday 2026-01-05, by its zone.
const MONDAY: &str = "2026-01-05T00:00:00";

/// What an account may be on a roster.
const STATES: [&str; 2] = ["enabled", "disabled"];

/// Users of one test.
const MOST_USERS: usize = 1_000;

/// A test as the file describes it.
#[derive(Clone, Debug)]
pub struct Test {
    pub name: String,
    pub file: String,
    pub line: usize,
    /// The source whose users these are to be.
    pub source: String,
    pub start: Time,
    pub interval: Span,
    /// For what is shown of it.
    pub zone: Tz,
    pub roster: Option<Roster>,
    pub timelines: Vec<Timeline>,
    pub expected: Vec<Expected>,
    /// Of each of `expected`, from 1.
    pub lines: Vec<usize>,
}

/// What tests refer to.
#[derive(Debug)]
pub(super) struct Known<'k> {
    pub(super) rule_names: &'k Names,
    pub(super) source_names: &'k Names,
    pub(super) rules: &'k [Rule],
    pub(super) sources: &'k [Source],
    pub(super) fleet: &'k Fleet,
    pub(super) zone: Tz,
}

impl Config {
    /// The tests in a file of their own, about the rules of this one.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn tests_of(&self, path: &Path) -> Result<Vec<Test>, Problems> {
        let file = path.display().to_string();
        let text = users::load(path, LONGEST as u64).map_err(|unread| Problems {
            errors: vec![unread.problem(file.clone(), "name a file with [[test]] tables")],
            warnings: Vec::new(),
        })?;
        let rule_names = Names::given("rule", self.rules.iter().map(|rule| rule.name.as_str()));
        let source_names = Names::given("source", self.sources.iter().map(|source| source.name.as_str()));
        let known = Known {
            rule_names: &rule_names,
            source_names: &source_names,
            rules: &self.rules,
            sources: &self.sources,
            fleet: &self.fleet,
            zone: self.agent.timezone,
        };
        let (tests, problems) = walk(&file, &text, path.parent().unwrap_or(Path::new("")), |mut root| {
            let tables = root.tables("test");
            let tests = read_all(tables, &known);
            root.finish();
            tests
        });
        if problems.errors.is_empty() { Ok(tests.unwrap_or_default()) } else { Err(problems) }
    }
}

/// Reads all tests of a file; each has a name of its own.
pub(super) fn read_all(tables: Vec<Section<'_>>, known: &Known<'_>) -> Vec<Test> {
    let mut names = Names::new("test");
    let mut tests = Vec::with_capacity(tables.len());
    for mut section in tables {
        names.define(&section);
        tests.extend(read(&mut section, known));
        section.finish();
    }
    tests
}

fn read(section: &mut Section<'_>, known: &Known<'_>) -> Option<Test> {
    let name = section.label("name");
    let source = source(section, known);
    let zone = zone(section, "timezone").unwrap_or(known.zone);
    let monday = MONDAY.parse().map(|local| crate::engine::zone::first(zone, local)).unwrap_or_default();
    let start = if section.has("start") { section.moment("start", zone) } else { Some(monday) };
    let interval = section.duration_in("interval", Span::from_secs(1)..=Span::from_days(7));
    let interval = interval.or_else(|| {
        let source = known.sources.iter().find(|one| Some(&one.name) == source.as_ref());
        source.map(|source| source.interval)
    });
    let timelines = timelines(section);
    let roster = roster(section, start.unwrap_or_default());
    let line = section.text.line(section.own_place().span.start);
    let mut test = Test {
        name: name.unwrap_or_default(),
        file: section.text.file.clone(),
        line,
        source: source.clone().unwrap_or_default(),
        start: start.unwrap_or_default(),
        interval: interval.unwrap_or(Span::from_mins(1)),
        zone,
        roster,
        timelines,
        expected: Vec::new(),
        lines: Vec::new(),
    };
    if !section.has("expect") {
        section.missing::<()>("expect");
    }
    for mut table in section.tables("expect") {
        expectations(&mut table, &mut test, known);
        table.finish();
    }
    (!test.name.is_empty() && source.is_some() && start.is_some()).then_some(test)
}

/// The source it is about; may be left out where there is one.
fn source(section: &mut Section<'_>, known: &Known<'_>) -> Option<String> {
    let Some(name) = section.spanned_string("source") else {
        if let Some(only) = known.source_names.only() {
            return Some(only.to_owned());
        }
        let hint = "say which of the file's sources: source = \"…\"";
        return section.lacks("source", hint);
    };
    known.source_names.check(section, "source", name.span(), name.get_ref()).then(|| name.into_inner())
}

fn timelines(section: &mut Section<'_>) -> Vec<Timeline> {
    if !section.has("readings") {
        section.missing::<()>("readings");
        return Vec::new();
    }
    section.value("readings", || Form::Map);
    let Some(mut table) = section.table("readings") else { return Vec::new() };
    let mut timelines = Vec::new();
    for (user, text) in table.texts() {
        if let Err(problem) = users::one(&user) {
            let hint = "write the name of one user, as the source has it";
            table.error_in(text.span(), &shown(&user), problem, Some(hint));
        }
        match timeline::parse(text.get_ref()) {
            Ok(readings) if readings.is_empty() => {
                timelines.push(Timeline { user: user.as_str().into(), readings });
                let hint = "write a reading for each poll, as in \"1 3x2 _ 0\", or leave the user out";
                table.error_in(text.span(), &shown(&user), "is empty: the timeline has no poll", Some(hint));
            }
            Ok(readings) => timelines.push(Timeline { user: user.as_str().into(), readings }),
            Err(errors) => {
                timelines.push(Timeline { user: user.as_str().into(), readings: Vec::new() });
                for error in errors {
                    let place = table.place_within(&user, error.span);
                    table.notes.error(table.text, &place, error.message, Some(error.hint));
                }
            }
        }
    }
    if timelines.len() > MOST_USERS {
        section.error_at(
            "readings",
            &format!("names more than {MOST_USERS} users"),
            Some("a few show as much"),
        );
    }
    timelines
}

/// Who is on the instance's own list: `alice = "enabled"`.
fn roster(section: &mut Section<'_>, at: Time) -> Option<Roster> {
    section.value("roster", || Form::Words(STATES.map(str::to_owned).to_vec()));
    let mut table = section.table("roster")?;
    let mut users: Vec<(Arc<str>, Option<bool>)> = Vec::new();
    for (user, text) in table.texts() {
        match text.get_ref().as_str() {
            word if STATES.contains(&word) => users.push((user.as_str().into(), Some(word == STATES[0]))),
            word => {
                let hint = "\"enabled\" or \"disabled\"; leave out who is not on the roster";
                let message = format!("{word:?} is no state of an account");
                table.error_in(text.span(), &user, &message, Some(hint));
            }
        }
    }
    Some(Roster { at, users })
}

/// One `[[test.expect]]`: an instant, a rule, and what its alerts are to be then.
fn expectations(section: &mut Section<'_>, test: &mut Test, known: &Known<'_>) {
    let poll = poll(section, test);
    let rule = section.spanned_string("rule");
    if rule.is_none() && !section.has("rule") {
        section.missing::<()>("rule");
    }
    let known_rule = |name: &str| Own::of_name(name).is_some();
    let rule = rule.filter(|rule| {
        known_rule(rule.get_ref()) || known.rule_names.check(section, "rule", rule.span(), rule.get_ref())
    });
    let rule = rule.map(toml::Spanned::into_inner);
    let line = section.text.line(section.own_place().span.start);
    let mut any = false;
    for what in [What::Firing, What::Pending, What::Fired, What::Ended] {
        let key = what.word();
        if !section.has(key) {
            continue;
        }
        any = true;
        let names = section.strings(key);
        let mut subjects = BTreeSet::new();
        for name in names {
            if let Some(rule) = &rule {
                check_subject(section, key, &name, rule, test, known);
            }
            subjects.insert(name.into_inner());
        }
        if let (Some(poll), Some(rule)) = (poll, &rule) {
            test.expected.push(Expected { poll, rule: rule.clone(), what, subjects });
            test.lines.push(line);
        }
    }
    if !any {
        let hint = "say who: firing = [\"alice\"], or nobody: firing = []; also pending, fired, ended";
        section.notes.error(section.text, &section.own_place(), "expects nothing", Some(hint));
    }
}

/// The poll that `at` names: so long after the first one, or by its time.
fn poll(section: &mut Section<'_>, test: &Test) -> Option<usize> {
    if section.value("at", || Form::Offset).is_none() {
        return section.missing("at");
    }
    let offset = match section.peek_string("at") {
        Some(_) => section.duration("at")?,
        None => section.moment("at", test.zone)?.since(test.start),
    };
    // How long a timeline with a mistake would have been is not known.
    let unread = test.timelines.iter().any(|timeline| timeline.readings.is_empty());
    let polls = test.timelines.iter().map(|timeline| timeline.readings.len()).max().unwrap_or(0);
    let step = test.interval.millis().max(1);
    let between = offset.millis() % step != 0;
    let poll = usize::try_from(offset.millis() / step).ok().filter(|poll| *poll < polls);
    match poll {
        Some(poll) if !between => Some(poll),
        _ if polls == 0 || unread && !between => None,
        _ => {
            let last = test.interval.times(i64::try_from(polls).unwrap_or(i64::MAX) - 1);
            let local = |at| crate::engine::zone::local(test.zone, at).format("%Y-%m-%dT%H:%M:%S");
            let (message, hint) = if section.peek_string("at").is_some() {
                (
                    format!("there is no poll {offset} after the first"),
                    format!("from 0s to {last} after the first"),
                )
            } else {
                let ends = (local(test.start), local(test.start + last));
                let message = format!("there is no poll at {}", local(test.start + offset));
                (message, format!("from {} to {}", ends.0, ends.1))
            };
            let hint = format!("polls come every {}, {hint}", test.interval);
            section.error_at("at", &message, Some(&hint));
            None
        }
    }
}

/// A name that can never be found is a mistake of the test.
fn check_subject(
    section: &Section<'_>,
    key: &str,
    name: &toml::Spanned<String>,
    rule: &str,
    test: &Test,
    known: &Known<'_>,
) {
    let per = known.rules.iter().find(|one| one.name == rule).map(|rule| rule.per);
    let on_roster = test.roster.iter().flat_map(|roster| &roster.users).map(|(user, _)| &**user);
    let subjects: Vec<&str> = match per {
        Some(Per::User) => test.timelines.iter().map(|timeline| &*timeline.user).chain(on_roster).collect(),
        Some(Per::Group) => known.fleet.groups.iter().map(|group| group.name.as_str()).collect(),
        Some(Per::Source) => vec![&test.source],
        None if Own::of_name(rule).is_some() => vec![&test.source],
        None => return,
    };
    if !subjects.contains(&name.get_ref().as_str()) {
        let what = match per {
            Some(Per::User) => "user with readings",
            Some(Per::Group) => "group",
            Some(Per::Source) | None => "source here",
        };
        let hint = suggest(name.get_ref(), subjects.iter().copied()).unwrap_or_else(|| {
            format!(
                "one of {}",
                subjects.iter().take(10).map(|s| format!("{s:?}")).collect::<Vec<_>>().join(", ")
            )
        });
        let message = format!("no {what} is called {:?}", name.get_ref());
        section.error_in(name.span(), key, &message, Some(&hint));
    }
}
