//! `seatwatch check`: everything that can be said of a rules file without running it.
//!
//! Neighbours: `config` finds the mistakes, `coverage` whom the rules reach. A part of its own because services
//! reload behind it: its exit code and its JSON are what they go by. Problems go to stderr, what the file means to
//! stdout.

use std::path::PathBuf;

use chrono::NaiveDate;
use serde::Serialize;

use super::coverage::{self, Coverage, LimitShare, subjects};
use super::exit::summary;
use super::{Common, Exit, Failure, open, print, records, rules, when};
use crate::agent::clock;
use crate::aliyun::account::Settings;
use crate::aliyun::credentials::Provider;
use crate::aliyun::{Account, Deadline};
use crate::config::{Config, Problem, Problems, schema};
use crate::engine::fleet::Exception;
use crate::engine::plan::Plan;
use crate::engine::time::{Span, Time};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The rules file; the same as --config
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Exit with 1 if there are warnings
    #[arg(long)]
    strict: bool,
    /// Secrets that cannot be read are errors, as they are to `run`
    #[arg(long)]
    resolve: bool,
    /// Show the runs of each schedule after this time instead of now
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// How many runs of each schedule to show
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    next: u32,
    /// Print the JSON Schema of rules files, for editors, and check nothing
    #[arg(long)]
    schema: bool,
}

/// `check --json`.
#[derive(Serialize, Default)]
struct Report {
    /// Whether the exit code is 0.
    ok: bool,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    schedules: Vec<Runs>,
    rules: Vec<Reach>,
    secrets: Vec<Reference>,
    accounts: Vec<Keys>,
    exceptions: Vec<Deviation>,
}

/// A user who may deviate for a time.
#[derive(Serialize)]
struct Deviation {
    user: String,
    source: Option<String>,
    limit: Option<u32>,
    owner: String,
    reason: String,
    /// The last day it holds.
    expires: NaiveDate,
    /// Today included; 0 once it has expired.
    days_left: i64,
}

/// When a source is polled.
#[derive(Serialize)]
struct Runs {
    source: String,
    timezone: String,
    #[serde(rename = "interval_ms")]
    interval: Span,
    next: Vec<Time>,
}

/// Whom a rule covers in one source.
#[derive(Serialize)]
struct Reach {
    rule: String,
    source: String,
    subjects: u32,
    /// Users on the instance's roster come on top of `subjects`.
    roster: bool,
    limits: Vec<LimitShare>,
    notify: Vec<String>,
    /// In the shadow `notify` is not told.
    mode: &'static str,
    #[serde(skip)]
    shown: String,
}

/// A secret that the file refers to; never its value.
#[derive(Serialize)]
struct Reference {
    key: String,
    /// None where no line refers to it: the vendor's chain.
    line: Option<usize>,
    /// Where the value is to be found.
    reference: String,
}

/// Whose keys an account signs with.
#[derive(Serialize)]
struct Keys {
    account: String,
    /// The place that gave them, with the id shortened; null where there are none.
    keys: Option<String>,
    error: Option<String>,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    if args.schema {
        print::raw(schema::text().as_bytes());
        return Ok(Exit::Fine);
    }
    let common = &named(common, args)?;
    let now = clock::now();
    let config = match Config::load(&common.config, now).and_then(Config::watching) {
        Ok(config) => config,
        Err(problems) if common.json => {
            let Problems { errors, warnings } = problems;
            print::json(&Report { errors, warnings, ..Report::default() })?;
            return Ok(Exit::Rules);
        }
        Err(problems) => {
            print::error(&summary(&problems));
            return Ok(Exit::Rules);
        }
    };
    let zone = config.agent.timezone;
    let from = args.from.as_deref().map(|text| when::time("--from", text, zone)).transpose()?;
    let mut problems = Problems { errors: Vec::new(), warnings: config.warnings.clone() };
    let unresolved = config.unresolved();
    let accounts = keys(&config, args.resolve, now)?;
    let list = if args.resolve { &mut problems.errors } else { &mut problems.warnings };
    // Keys that the file refers to were told with their place.
    if unresolved.is_empty() {
        list.extend(accounts.iter().filter_map(|keys| keyless(common, keys)));
    }
    list.extend(unresolved);
    list.sort_by_key(|problem| (problem.line, problem.column));
    problems.warnings.extend(records::warnings(&config));
    let exit = match (problems.errors.is_empty(), problems.warnings.is_empty()) {
        (false, _) => Exit::Rules,
        (true, false) if args.strict => Exit::Problem,
        (true, _) => Exit::Fine,
    };
    let next = usize::try_from(args.next).unwrap_or(usize::MAX);
    let report = Report {
        ok: exit == Exit::Fine,
        schedules: runs(&config, from.unwrap_or(now), next),
        rules: coverage::of_file(&config, now).iter().flat_map(reach).collect(),
        secrets: references(&config),
        accounts,
        exceptions: exceptions(&config, from.unwrap_or(now)),
        errors: problems.errors.clone(),
        warnings: problems.warnings.clone(),
    };
    if common.json {
        print::json(&report)?;
    } else {
        show(&config, &report);
        if !problems.is_empty() {
            print::error(&summary(&problems));
        }
    }
    Ok(exit)
}

/// With the rules file that is meant: the one named here, else as for every command.
fn named(common: &Common, args: &Args) -> Result<Common, Failure> {
    let Some(file) = &args.file else { return Ok(common.clone()) };
    if common.config_typed && common.config != *file {
        let [first, other] = [file, &common.config].map(|path| print::name(&path.display().to_string()));
        return Err(Failure::usage(format!(
            "two rules files are named, {first} and --config {other}: name one"
        )));
    }
    Ok(Common { config: file.clone(), ..common.clone() })
}

fn runs(config: &Config, from: Time, n: usize) -> Vec<Runs> {
    let of_source = |source: &crate::config::Source| Runs {
        source: source.name.clone(),
        timezone: source.schedule.zone().to_string(),
        interval: source.schedule.interval(from),
        next: source.schedule.instants(from, n),
    };
    config.sources.iter().map(of_source).collect()
}

fn reach(coverage: &Coverage<'_>) -> Vec<Reach> {
    let of_plan = |plan: &Plan| Reach {
        rule: plan.rule.name.clone(),
        source: coverage.source.name.clone(),
        subjects: plan.size(),
        roster: coverage.asks_roster(&plan.rule),
        limits: coverage.limits(plan),
        notify: plan.rule.notify.to_vec(),
        mode: rules::mode(plan.rule.mode),
        shown: subjects(
            &plan.rule,
            usize::try_from(plan.size()).unwrap_or(usize::MAX),
            coverage.asks_roster(&plan.rule),
        ),
    };
    coverage.plans.iter().map(of_plan).collect()
}

/// Those that end first come first.
fn exceptions(config: &Config, now: Time) -> Vec<Deviation> {
    let today = now.to_utc().with_timezone(&config.agent.timezone).date_naive();
    let one = |exception: &Exception| Deviation {
        user: exception.user.clone(),
        source: exception.source.clone(),
        limit: exception.limit,
        owner: exception.owner.clone(),
        reason: exception.reason.clone(),
        expires: exception.expires,
        days_left: exception.days_left(today),
    };
    let mut all: Vec<Deviation> = config.fleet.exceptions.iter().map(one).collect();
    all.sort_by_key(|deviation| deviation.expires);
    all
}

fn references(config: &Config) -> Vec<Reference> {
    let of_secret = config.references().map(|(place, reference)| Reference {
        key: place.key.clone(),
        line: Some(place.line),
        reference: reference.to_string(),
    });
    let mut all: Vec<Reference> = of_secret.collect();
    all.sort_by_key(|reference| reference.line);
    let chained = config.accounts.iter().filter(|account| account.provider == Provider::Chain);
    let mut chained: Vec<String> = chained.map(|account| format!("account {:?}", account.name)).collect();
    if config.accounts.is_empty() && !config.sources.is_empty() {
        chained.push("every source".to_owned());
    }
    let of_chain = |key| Reference { key, line: None, reference: "the default credential chain".to_owned() };
    all.extend(chained.into_iter().map(of_chain));
    all
}

/// The accounts that are used, each with the place its keys come from. Servers are asked only if `ask`.
fn keys(config: &Config, ask: bool, now: Time) -> Result<Vec<Keys>, Failure> {
    let of_chain = (config.accounts.is_empty() && !config.sources.is_empty()).then(Settings::of_chain);
    let one = |settings: &Settings| {
        let account = settings.name.clone();
        let opened = match Account::open(settings) {
            Ok(opened) => opened,
            Err(error) => return Ok(Keys { account, keys: None, error: Some(error.to_string()) }),
        };
        if !ask || opened.at_hand().is_some() {
            return Ok(Keys { account, keys: Some(opened.origin()), error: None });
        }
        let deadline = Deadline::new(now, Span::from_secs(20));
        Ok(match open::block_on(async { Ok(opened.keys(&deadline).await) })? {
            Ok(held) => Keys { account, keys: Some(held.origin.clone()), error: None },
            Err(fault) => Keys { account, keys: None, error: Some(fault.told()) },
        })
    };
    config.accounts.iter().chain(&of_chain).map(one).collect()
}

/// An account without keys, as a problem of the file as a whole.
fn keyless(common: &Common, keys: &Keys) -> Option<Problem> {
    Some(Problem {
        file: common.config.display().to_string(),
        line: 1,
        column: 1,
        key: format!("account {:?}", keys.account),
        message: keys.error.clone()?,
        hint: None,
        excerpt: None,
    })
}

fn show(config: &Config, report: &Report) {
    let runs = |runs: &Runs| {
        let (source, every) = (runs.source.clone(), runs.interval.to_string());
        let zone: chrono_tz::Tz = runs.timezone.parse().unwrap_or(config.agent.timezone);
        let text = config.sources.iter().find(|s| s.name == runs.source).map(|s| s.schedule.text());
        let first = [source, text.unwrap_or_default().to_owned(), runs.timezone.clone(), every];
        let rows = runs.next.iter().enumerate().map(|(n, at)| {
            let mut row = if n == 0 { first.to_vec() } else { vec![String::new(); first.len()] };
            row.push(when::local(zone, *at));
            row
        });
        rows.collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = report.schedules.iter().flat_map(runs).collect();
    part(&["source", "schedule", "timezone", "every", "next"], &rows);
    let row = |reach: &Reach| {
        let whom = reach.notify.join(", ");
        let tells = match (reach.mode, whom.is_empty()) {
            (_, true) => "nobody".to_owned(),
            ("shadow", false) => format!("nobody (shadow); live: {whom}"),
            (_, false) => whom,
        };
        vec![
            reach.rule.clone(),
            reach.source.clone(),
            reach.shown.clone(),
            coverage::limits(&reach.limits),
            tells,
        ]
    };
    let rows: Vec<Vec<String>> = report.rules.iter().map(row).collect();
    part(&["rule", "source", "covers", "limits", "tells"], &rows);
    let row = |one: &Deviation| {
        vec![
            one.source.as_ref().map_or_else(|| one.user.clone(), |source| format!("{source}/{}", one.user)),
            print::or_dash(one.limit),
            one.expires.to_string(),
            days_left(one),
            one.owner.clone(),
            one.reason.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = report.exceptions.iter().map(row).collect();
    part(&["exception", "limit", "until", "days left", "owner", "reason"], &rows);
    let row = |secret: &Reference| vec![secret.key.clone(), secret.reference.clone()];
    let rows: Vec<Vec<String>> = report.secrets.iter().map(row).collect();
    part(&["secret", "is in"], &rows);
    let row = |keys: &Keys| {
        let place = keys.keys.as_deref().unwrap_or("none; see below");
        vec![keys.account.clone(), print::name(place)]
    };
    let rows: Vec<Vec<String>> = report.accounts.iter().map(row).collect();
    part(&["account", "keys"], &rows);
    if report.errors.is_empty() && report.warnings.is_empty() {
        print::line("Nothing is wrong with the file.");
    }
}

fn days_left(one: &Deviation) -> String {
    match one.expires.succ_opt() {
        Some(since) if one.days_left == 0 => format!("expired since {since}"),
        Some(_) | None => one.days_left.to_string(),
    }
}

fn part(head: &[&str], rows: &[Vec<String>]) {
    if !rows.is_empty() {
        print::line(&print::table(head, rows));
    }
}
