//! `seatwatch rules suggest`: which limit and hold a rule might have, by what the readings would have raised.
//!
//! Neighbours: `backtest` plays the candidates over the past, `engine::backtest::habits` says what users have as a rule.
//! A part of its own because it advises: it says on how much history, and refuses where that is too little.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::backtest::{Played, Version, chosen, played};
use super::{Common, Exit, Failure, coverage, open, print, rules, suggested, when};
use crate::agent::clock;
use crate::config::Config;
use crate::engine::backtest::habits::{Habit, Habits, Known, Peers};
use crate::engine::backtest::report::per_week;
use crate::engine::names::Names;
use crate::engine::rule::{Hold, Per, Policy, Rule};
use crate::engine::time::{Span, Time};
use crate::store::{Reader, StoreError};

/// Less history says nothing about weeks; asked of each source for itself.
const LEAST: Span = Span::from_days(14);

/// Limits that are tried, at most up to this.
const HIGHEST: u32 = 8;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The rule; may be left out where only one compares with `limit`
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// From when on: so long ago, or a time
    #[arg(long, value_name = "TIME", default_value = "28d")]
    since: String,
    /// Up to when: so long ago, or a time; now if left out
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// `rules suggest --json`.
#[derive(Serialize)]
pub(super) struct Told {
    pub(super) rule: String,
    pub(super) from: Time,
    pub(super) until: Time,
    /// The longest that a source was polled in this time.
    pub(super) polled_ms: i64,
    /// Sources of the rule that were polled for too short a time, of which nothing below tells.
    pub(super) left_out: Vec<Short>,
    /// Those of whom a count is known.
    pub(super) users: usize,
    /// Users beside them of whom no count is known.
    pub(super) never_read: usize,
    /// Of `users`, those who were online for too short a time to be compared with their limit or with others.
    pub(super) hardly_online: usize,
    pub(super) candidates: Vec<Candidate>,
    /// The smallest limit with at most one episode a week per 100 users.
    pub(super) suggested: Option<Candidate>,
    pub(super) exceptions: Vec<Stands>,
    pub(super) always_shared: Vec<Stands>,
}

/// A source that was polled for less than two weeks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Short {
    pub(super) source: String,
    #[serde(rename = "polled_ms")]
    pub(super) polled: Span,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Candidate {
    pub(super) limit: u32,
    #[serde(rename = "for")]
    pub(super) hold: String,
    /// None where less than a day was polled.
    pub(super) episodes_per_week: Option<f64>,
    pub(super) users: usize,
    /// Without the accounts that are always shared: a limit must not follow what it is to find.
    pub(super) others_per_week: Option<f64>,
}

/// A user whose normal is above the limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Stands {
    pub(super) source: String,
    pub(super) user: String,
    pub(super) limit: u32,
    #[serde(flatten)]
    pub(super) habit: Habit,
    /// What nine in ten of the others do not exceed as a rule.
    #[serde(rename = "others_usual")]
    pub(super) others: Option<u32>,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let (config, reader) = open::reader(common)?;
    let (zone, now) = (config.agent.timezone, clock::now());
    let rule = meant(&config, args.rule.as_deref())?;
    let since = when::time_or_ago("--since", &args.since, zone, now)?;
    let until =
        args.until.as_deref().map(|text| when::time_or_ago("--until", text, zone, now)).transpose()?;
    let until = until.unwrap_or(now);
    let from = since.max(beginning(&config, &reader, &rule)?.unwrap_or(until));
    if until.since(from) < LEAST {
        return Err(too_little(&when::length(until.since(from))));
    }
    let known = polled(&config, &reader)?;
    let (candidates, version) = candidates(&known, &rule);
    let mut habits = HabitsBySource::default();
    let mut played = played(&reader, &[version], from, until, &mut |source, poll, column| {
        let gap = config.sources.iter().find(|one| one.name == source).map(|one| one.max_gap(&rule));
        let gap = gap.unwrap_or_default();
        habits.entry(source.to_owned()).or_default().poll(column, poll.elapsed, gap);
    })?;
    let mut standing = standing(&config, &reader, &rule, habits, until)?;
    let left_out = left_out(&standing, &played);
    let kept = |source: &str| left_out.iter().all(|short| short.source != source);
    standing.retain(|(source, ..)| kept(source));
    if standing.is_empty() {
        let of = |short: &Short| format!("{} ({})", when::length(short.polled), short.source);
        return Err(too_little(&left_out.iter().map(of).collect::<Vec<_>>().join(", ")));
    }
    played.coverage.retain(|covered| kept(&covered.source));
    let told = Told { left_out, ..told(&rule, &candidates, &played, &standing, (from, until)) };
    if common.json {
        print::json(&told)?;
    } else {
        print::raw(suggested::text(&told, &rule, zone).as_bytes());
    }
    Ok(Exit::Fine)
}

fn too_little(known: &str) -> Failure {
    Failure::Other(anyhow::anyhow!(
        "the readings in this time are of {known}; two weeks are the least to suggest a limit from"
    ))
}

/// The sources with users of the rule that were not polled for long enough.
fn left_out(standing: &[Standing], played: &Played) -> Vec<Short> {
    let sources: BTreeSet<&String> = standing.iter().map(|(source, ..)| source).collect();
    let polled = |source: &String| {
        played.coverage.iter().find(|one| one.source == *source).map(|one| one.polled).unwrap_or_default()
    };
    let short = |source: &String| Short { source: source.clone(), polled: polled(source) };
    sources.into_iter().map(short).filter(|short| short.polled < LEAST).collect()
}

/// By source.
type HabitsBySource = BTreeMap<String, Habits>;

/// The rule meant; it must compare users with `limit`.
fn meant(config: &Config, name: Option<&str>) -> Result<Arc<Rule>, Failure> {
    let fits = |rule: &Arc<Rule>| rule.per == Per::User && rule.when.names_limit();
    let names: Vec<String> = name.map(str::to_owned).into_iter().collect();
    let mut rules = chosen(config, &names)?;
    if name.is_none() {
        rules.retain(fits);
    }
    match rules.as_slice() {
        [only] if fits(only) => Ok(Arc::clone(only)),
        [only] => Err(Failure::usage(format!(
            "{}: a limit is suggested for rules about users that compare with `limit`; this one is `{}`",
            print::name(&only.name),
            print::name(&only.when_text)
        ))),
        [] => Err(Failure::usage("no rule about users compares with `limit`, so there is none to suggest")),
        several => {
            let names: Vec<String> = several.iter().map(|rule| print::name(&rule.name)).collect();
            Err(Failure::usage(format!(
                "name one of the rules that compare with `limit`: {}",
                names.join(", ")
            )))
        }
    }
}

/// The oldest poll whose readings are kept, of the sources that the rule covers.
fn beginning(config: &Config, reader: &Reader, rule: &Rule) -> Result<Option<Time>, Failure> {
    let mut first: Option<Time> = None;
    for source in config.sources.iter().filter(|source| rule.scope.covers_source(&source.name)) {
        let oldest = match reader.polls(&source.name, 0) {
            Ok(mut polls) => polls.next().transpose()?,
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        first = first.into_iter().chain(oldest.map(|poll| poll.at)).min();
    }
    Ok(first)
}

/// The rules file without the sources that were never polled, which nothing can be played of.
fn polled(config: &Config, reader: &Reader) -> Result<Config, Failure> {
    let (mut known, polled) = (config.clone(), reader.sources()?);
    known.sources.retain(|source| polled.contains(&source.name));
    Ok(known)
}

/// Every limit with every hold, as rules of their own; and what each of these is called.
fn candidates<'c>(config: &'c Config, rule: &Rule) -> (Vec<(u32, Hold)>, Version<'c>) {
    let usual =
        [Span::ZERO, Span::from_mins(5), Span::from_mins(10), Span::from_mins(30), Span::from_hours(1)];
    let mut holds: Vec<Hold> = usual.into_iter().map(Hold::For).collect();
    if !holds.contains(&rule.policy.hold) {
        holds.push(rule.policy.hold);
    }
    // Those that count polls come last.
    holds.sort_by_key(|hold| match hold {
        Hold::For(span) => *span,
        Hold::Polls { .. } => Span::MAX,
    });
    let highest = rule.limit.unwrap_or_default().max(HIGHEST);
    let pairs: Vec<(u32, Hold)> =
        (1..=highest).flat_map(|limit| holds.iter().map(move |hold| (limit, *hold))).collect();
    let of = |(number, (limit, hold)): (usize, &(u32, Hold))| {
        let policy = Policy { hold: *hold, ..rule.policy };
        Arc::new(Rule { name: number.to_string(), limit: Some(*limit), policy, ..rule.clone() })
    };
    let rules = pairs.iter().enumerate().map(of).collect();
    (pairs, Version { config, rules })
}

fn told(
    rule: &Rule,
    pairs: &[(u32, Hold)],
    played: &Played,
    standing: &[Standing],
    (from, until): (Time, Time),
) -> Told {
    let all: Vec<Habit> = standing.iter().filter_map(|(_, _, _, known)| known.habit()).collect();
    let peers = Peers::new(&all);
    let many = |which: Known| standing.iter().filter(|(_, _, _, known)| *known == which).count();
    let never_read = many(Known::Nothing);
    let users = standing.len() - never_read;
    let above = |(source, user, limit, known): &Standing| {
        let habit = known.habit().filter(|habit| habit.usual > *limit)?;
        let others = peers.without(habit);
        Some(Stands { source: source.clone(), user: user.clone(), limit: *limit, habit, others })
    };
    let (always_shared, exceptions): (Vec<Stands>, Vec<Stands>) = standing
        .iter()
        .filter_map(above)
        .partition(|one| one.others.is_some_and(|others| one.habit.usual > others));
    let candidates = counted(pairs, played, &always_shared, from);
    let most = users as f64 / 100.0;
    let own = rules::hold(rule.policy.hold);
    let calm = |candidate: &&Candidate| {
        candidate.hold == own && candidate.others_per_week.is_some_and(|rate| rate <= most)
    };
    let suggested = candidates.iter().find(calm).cloned();
    let polled = played.coverage.iter().map(|one| one.polled).max().unwrap_or_default();
    Told {
        rule: rule.name.clone(),
        from,
        until,
        polled_ms: polled.millis(),
        left_out: Vec::new(),
        users,
        never_read,
        hardly_online: many(Known::TooLittle),
        candidates,
        suggested,
        exceptions,
        always_shared,
    }
}

/// The episodes of one candidate in one source.
#[derive(Default)]
struct Tally<'e> {
    episodes: usize,
    of_others: usize,
    users: BTreeSet<&'e str>,
}

/// What each candidate would have raised from `from` on.
fn counted(pairs: &[(u32, Hold)], played: &Played, shared: &[Stands], from: Time) -> Vec<Candidate> {
    let shared: BTreeSet<(&str, &str)> = shared.iter().map(|one| (&*one.source, &*one.user)).collect();
    let mut tallies: BTreeMap<(&str, &str), Tally<'_>> = BTreeMap::new();
    for episode in played.episodes.iter().flatten().filter(|one| one.fired_at >= from) {
        let (source, user) = (&*episode.source, &*episode.subject.name);
        let tally = tallies.entry((&episode.rule, source)).or_default();
        tally.episodes += 1;
        tally.of_others += usize::from(!shared.contains(&(source, user)));
        tally.users.insert(user);
    }
    let one = |(number, (limit, hold)): (usize, &(u32, Hold))| {
        let number = number.to_string();
        let sources: Vec<(Span, Option<&Tally<'_>>)> = played
            .coverage
            .iter()
            .map(|covered| (covered.polled, tallies.get(&(number.as_str(), covered.source.as_str()))))
            .collect();
        let rate = |of: fn(&Tally<'_>) -> usize| {
            per_week(sources.iter().map(|(polled, tally)| (tally.map_or(0, of), *polled)))
        };
        Candidate {
            limit: *limit,
            hold: rules::hold(*hold),
            episodes_per_week: rate(|tally| tally.episodes),
            users: sources.iter().filter_map(|(_, tally)| *tally).map(|tally| tally.users.len()).sum(),
            others_per_week: rate(|tally| tally.of_others),
        }
    };
    pairs.iter().enumerate().map(one).collect()
}

/// One of the rule's users, by source and name, with the limit and what is known of the habits.
type Standing = (String, String, u32, Known);

fn standing(
    config: &Config,
    reader: &Reader,
    rule: &Rule,
    mut habits: HabitsBySource,
    now: Time,
) -> Result<Vec<Standing>, Failure> {
    let mut all = Vec::new();
    let today = now.to_utc().with_timezone(&config.agent.timezone).date_naive();
    for covered in coverage::of_file(config, now) {
        let source = &covered.source.name;
        let by_slot = habits.remove(source).map(Habits::finish).unwrap_or_default();
        let names = match reader.load_source(source) {
            Ok(loaded) => loaded.names,
            Err(StoreError::NotFound { .. }) => Names::default(),
            Err(error) => return Err(error.into()),
        };
        for slot in covered.slots() {
            if !covered.rules_of(slot).any(|one| one.name == rule.name) {
                continue;
            }
            let user = covered.source.users.name(slot);
            let limit = config.fleet.own_limit(source, user, today).map(|limit| limit.value).or(rule.limit);
            let known = names.slot(user).and_then(|slot| by_slot.get(slot as usize).copied());
            all.push((source.clone(), user.to_owned(), limit.unwrap_or(u32::MAX), known.unwrap_or_default()));
        }
    }
    Ok(all)
}
