//! `seatwatch rules`: what the rules are and how they stand.
//!
//! Neighbours: `coverage` says whom they reach, the store how their alerts stand. A part of its own because other
//! programs read its list, and because it answers "why does this rule say nothing yet".

use serde::Serialize;

use super::coverage::{self, Coverage, scope, subjects};
use super::{Common, Exit, Failure, backtest, open, print, suggest, trials, when};
use crate::config::Config;
use crate::engine::event::Severity;
use crate::engine::lang::Signal;
use crate::engine::outcome::{Alert, AlertKey, State};
use crate::engine::rule::{Hold, Mode, Per, Rule};
use crate::engine::time::{Span, Time};
use crate::store::{Reader, StoreError};

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
    /// When `for` can first be met with every window full; none before the first poll of a source it covers.
    armed_at: Option<Time>,
    scope: String,
    subjects: u64,
    /// Recovering ones too: their episode is open.
    firing: usize,
    pending: usize,
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
        let reach = subjects(rule, usize::try_from(listed.subjects).unwrap_or(usize::MAX));
        vec![
            listed.rule.clone(),
            listed.when.clone(),
            hold(rule.policy.hold),
            format!("{:?}", listed.severity).to_lowercase(),
            listed.mode.to_owned(),
            format!("{}: {reach}", listed.scope),
            armed(listed),
            listed.firing.to_string(),
            listed.pending.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = rules.iter().zip(&config.rules).map(row).collect();
    let head = ["rule", "when", "for", "severity", "mode", "scope", "armed", "firing", "pending"];
    print::raw(print::table(&head, &rows).as_bytes());
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
    for source in &config.sources {
        let memory = reader.map(|reader| reader.load_source(&source.name)).transpose()?;
        first_polls.push(memory.and_then(|loaded| loaded.memory.first_at));
    }
    let alerts = reader.map(|reader| reader.load_alerts(None)).transpose()?.unwrap_or_default();
    Ok(config.rules.iter().map(|rule| one(rule, &coverage, &first_polls, &alerts)).collect())
}

fn one(
    rule: &Rule,
    coverage: &[Coverage<'_>],
    first_polls: &[Option<Time>],
    alerts: &[(AlertKey, Alert)],
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
        mode: match rule.mode {
            Mode::Live => "live",
            Mode::Shadow => "shadow",
        },
        armed_at: armed.and_then(|times| times.into_iter().max()),
        scope: scope(rule),
        subjects: reached().map(|plan| u64::from(plan.size())).sum(),
        firing: of_rule(&[State::Firing, State::Recovering]),
        pending: of_rule(&[State::Pending]),
    }
}

/// From a source's first poll until every window of the rule is full and `for` can be met.
fn delay(rule: &Rule, interval: Span) -> Span {
    let window = rule.signals().into_iter().filter_map(Signal::window).max();
    let hold = match rule.policy.hold {
        Hold::For(span) => span,
        Hold::Polls { n, .. } => interval.times(i64::from(n) - 1),
    };
    window.unwrap_or_default() + hold
}
