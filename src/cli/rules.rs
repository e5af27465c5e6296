//! `seatwatch rules`: what the rules are and how they stand.
//!
//! Neighbours: `coverage` says whom they reach, the store how their alerts stand. A part of its own because other
//! programs read its list, and because it answers "why does this rule say nothing yet".

use serde::Serialize;

use super::coverage::{self, Coverage, LimitShare, scope};
use super::{Common, Exit, Failure, backtest, open, print, suggest, trials, when};
use crate::config::Config;
use crate::engine::backtest::report::{Coverage as Known, per_week};
use crate::engine::event::Severity;
use crate::engine::lang::ready;
use crate::engine::outcome::{Alert, AlertKey, State};
use crate::engine::rule::{Hold, Mode, Per, Rule};
use crate::engine::time::{Span, Time};
use crate::store::{EpisodeFilter, Reader, StoreError};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// Each rule with its condition, whom it covers, since when it can fire, how many alerts it has
    List,
    /// Play the [[test]] tables: timelines of readings, and the alerts that are to be there
    Test(trials::Args),
    /// How rules would have behaved over the readings that are kept; sends nothing
    Backtest(backtest::Args),
    /// Limits and holds a rule might have, by what the kept readings would have raised
    Suggest(suggest::Args),
}

/// One object of `rules list --json`.
#[derive(Serialize)]
struct Listed {
    rule: String,
    when: String,
    per: &'static str,
    severity: Severity,
    mode: &'static str,
    /// When `for` can first be met, by what its signals need; none before the first poll of a source it covers.
    armed_at: Option<Time>,
    scope: String,
    subjects: u64,
    /// Scope and subjects in words.
    #[serde(skip)]
    shown: String,
    /// Recovering ones too: their episode is open.
    firing: usize,
    pending: usize,
    /// How many users have which limit, the most first; empty for a rule that names none.
    limits: Vec<LimitShare>,
    notify: Vec<String>,
    /// What fired of late; in the shadow, what it would have told.
    fired: Fired,
}

/// Episodes that fired up to now.
#[derive(Serialize)]
struct Fired {
    last_7_days: usize,
    last_28_days: usize,
    /// Over the last 28 days by the time that was polled; none where that is less than a day.
    per_week: Option<f64>,
    /// What `per_week` is by: the longest that a source was polled in the last 28 days.
    polled_ms: i64,
    /// Of those that fired or went on in the last 28 days.
    last_at: Option<Time>,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    match &args.verb {
        Verb::List => list(common),
        Verb::Test(args) => trials::run(common, args),
        Verb::Backtest(args) => backtest::run(common, args),
        Verb::Suggest(args) => suggest::run(common, args),
    }
}

fn list(common: &Common) -> Result<Exit, Failure> {
    let (config, reader) = open::reader_if_any(common)?;
    let now = crate::agent::clock::now();
    let rules = listed(&config, reader.as_ref(), now)?;
    if common.json {
        print::json(&rules)?;
        return Ok(Exit::Fine);
    }
    if rules.is_empty() {
        print::line("The rules file has no [[rule]].");
        return Ok(Exit::Fine);
    }
    let zone = config.agent.timezone;
    let armed = |rule: &Listed| match rule.armed_at {
        None => "after the first poll".to_owned(),
        Some(at) if at <= now => "yes".to_owned(),
        Some(at) => when::local(zone, at),
    };
    let row = |(listed, rule): (&Listed, &Rule)| {
        vec![
            listed.rule.clone(),
            listed.when.clone(),
            hold(rule.policy.hold),
            format!("{:?}", listed.severity).to_lowercase(),
            listed.mode.to_owned(),
            listed.shown.clone(),
            coverage::limits(&listed.limits),
            armed(listed),
            listed.firing.to_string(),
            listed.pending.to_string(),
            format!("{} / {}", listed.fired.last_7_days, listed.fired.last_28_days),
        ]
    };
    let rows: Vec<Vec<String>> = rules.iter().zip(&config.rules).map(row).collect();
    let head = [
        "rule",
        "when",
        "for",
        "severity",
        "mode",
        "scope",
        "limits",
        "armed",
        "firing",
        "pending",
        "fired 7d / 28d",
    ];
    let spare = ["limits", "fired 7d / 28d", "scope", "armed", "severity", "for", "mode"];
    print::raw(print::list(&head, &rows, &spare).as_bytes());
    for rule in rules.iter().filter(|rule| rule.mode == "shadow") {
        print::line(&shadowed(rule, &|at| when::local(zone, at)));
    }
    if reader.is_none() {
        print::error("There is no database yet: nothing was polled. `seatwatch run` begins.\n");
    }
    Ok(Exit::Fine)
}

pub(super) fn hold(hold: Hold) -> String {
    match hold {
        Hold::For(Span::ZERO) => "at once".to_owned(),
        Hold::For(span) => span.to_string(),
        Hold::Polls { n: 1, of: 1 } => "1 poll".to_owned(),
        Hold::Polls { n, of } => format!("{n} of {of} polls"),
    }
}

fn listed(config: &Config, reader: Option<&Reader>, now: Time) -> Result<Vec<Listed>, StoreError> {
    let coverage = coverage::of_file(config, now);
    let mut first_polls = Vec::new();
    let mut unlisted = Vec::new();
    for source in &config.sources {
        let loaded = reader.map(|reader| reader.load_source(&source.name)).transpose()?.unwrap_or_default();
        first_polls.push(loaded.memory.first_at);
        unlisted.push(loaded.roster.is_none());
    }
    let alerts = reader.map(|reader| reader.load_alerts(None)).transpose()?.unwrap_or_default();
    let list = |rule| {
        let fired = fired(rule, config, reader, now)?;
        let adds = coverage.iter().zip(&unlisted).any(|(of, unlisted)| {
            *unlisted && of.asks_roster(rule) && rule.scope.covers_source(&of.source.name)
        });
        let listed = one(rule, &coverage, &first_polls, &alerts, fired);
        let shown = coverage::reach(rule, usize::try_from(listed.subjects).unwrap_or(usize::MAX), adds);
        Ok(Listed { shown, ..listed })
    };
    config.rules.iter().map(list).collect()
}

/// The time that each source was polled in the last four weeks, by the rule's idea of a gap.
fn polled(
    rule: &Rule,
    config: &Config,
    reader: Option<&Reader>,
    now: Time,
) -> Result<Vec<(String, Span)>, StoreError> {
    let from = now - Span::from_days(28);
    let mut all = Vec::new();
    for source in config.sources.iter().filter(|source| rule.scope.covers_source(&source.name)) {
        let times = reader.map(|reader| reader.usable(&source.name, from, now)).transpose()?;
        let gap = source.max_gap(rule);
        all.push((source.name.clone(), Known::over(times.unwrap_or_default(), from, now, gap).polled));
    }
    Ok(all)
}

/// What the rule raised over four weeks.
fn fired(rule: &Rule, config: &Config, reader: Option<&Reader>, now: Time) -> Result<Fired, StoreError> {
    let month = now - Span::from_days(28);
    let filter = EpisodeFilter {
        all: true,
        rule: Some(rule.name.clone()),
        since: Some(month),
        ..EpisodeFilter::default()
    };
    let rows = reader.map(|reader| reader.episodes(&filter)).transpose()?.unwrap_or_default();
    let since = |from: Time| rows.iter().filter(move |row| row.fired_at.is_some_and(|at| at >= from));
    let polled = polled(rule, config, reader, now)?;
    let of = |name: &str| since(month).filter(|row| row.source.as_deref() == Some(name)).count();
    let rate = per_week(polled.iter().map(|(source, polled)| (of(source), *polled)));
    Ok(Fired {
        last_7_days: since(now - Span::from_days(7)).count(),
        last_28_days: since(month).count(),
        per_week: rate.map(|rate| (rate * 10.0).round() / 10.0),
        polled_ms: polled.iter().map(|(_, polled)| polled.millis()).max().unwrap_or_default(),
        last_at: rows.iter().filter_map(|row| row.fired_at).max(),
    })
}

pub(super) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "live",
        Mode::Shadow => "shadow",
    }
}

/// What a rule in the shadow would have told, and whom.
fn shadowed(rule: &Listed, local: &dyn Fn(Time) -> String) -> String {
    let whom = if rule.notify.is_empty() { "nobody".to_owned() } else { rule.notify.join(", ") };
    let polled = when::length(Span::from_millis(rule.fired.polled_ms));
    let rate = rule.fired.per_week.map(|rate| format!(" ({rate:.1} a week, polled for {polled})"));
    let rate = rate.unwrap_or_default();
    let last = rule.fired.last_at.map(|at| format!("; the last fired {}", local(at))).unwrap_or_default();
    print::name(&format!(
        "{} is in the shadow: it would have told {whom} of {} in 7 days and {} in 28{rate}{last}",
        rule.rule,
        print::count(rule.fired.last_7_days, "episode"),
        rule.fired.last_28_days
    ))
}

fn one(
    rule: &Rule,
    coverage: &[Coverage<'_>],
    first_polls: &[Option<Time>],
    alerts: &[(AlertKey, Alert)],
    fired: Fired,
) -> Listed {
    let reached = || coverage.iter().flat_map(|c| &c.plans).filter(|plan| plan.rule.name == rule.name);
    let covered = coverage.iter().zip(first_polls).filter(|(c, _)| rule.scope.covers_source(&c.source.name));
    let armed: Option<Vec<Time>> =
        covered.map(|(c, first)| Some((*first)? + delay(rule, c.source.interval))).collect();
    let of_rule = |states: &[State]| {
        alerts.iter().filter(|(key, alert)| key.rule == rule.name && states.contains(&alert.state)).count()
    };
    Listed {
        rule: rule.name.clone(),
        when: rule.when_text.clone(),
        per: match rule.per {
            Per::User => "user",
            Per::Group => "group",
            Per::Source => "source",
        },
        severity: rule.severity,
        mode: mode(rule.mode),
        armed_at: armed.and_then(|times| times.into_iter().max()),
        scope: scope(rule),
        subjects: reached().map(|plan| u64::from(plan.size())).sum(),
        firing: of_rule(&[State::Firing, State::Recovering]),
        pending: of_rule(&[State::Pending]),
        limits: coverage::together(
            coverage
                .iter()
                .flat_map(|c| c.plans.iter().map(move |plan| (c, plan)))
                .filter(|(_, plan)| plan.rule.name == rule.name)
                .flat_map(|(c, plan)| c.limits(plan)),
        ),
        notify: rule.notify.to_vec(),
        fired,
        shown: String::new(),
    }
}

/// From a source's first poll until the condition can have held for as long as `for` asks.
fn delay(rule: &Rule, interval: Span) -> Span {
    let hold = match rule.policy.hold {
        Hold::For(span) => span,
        Hold::Polls { n, .. } => interval.times(i64::from(n) - 1),
    };
    ready(&rule.when_text, rule.per, |signal| signal.earliest(interval)) + hold
}
