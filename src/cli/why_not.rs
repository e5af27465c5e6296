//! `seatwatch why-not RULE USER`: the steps from a rule to an alert, and the first of them that fails.
//!
//! Neighbours: `past` plays the kept readings, `subject` finds whom is meant. A part of its own because each step asks
//! something else: the rules file, the list of users, the polls, the values, the hold, the operators.

use std::fmt::Write as _;

use serde::Serialize;

use super::past::{self, LastPoll, Past, Question, ToldRound};
use super::step::{Chain, Step, condition, holding, hours, scope, told_of, user};
use super::subject::{Meant, meant};
use super::{Common, Exit, Failure, coverage, local, open, pick, print, stale, when};
use crate::agent::clock;
use crate::config::Config;
use crate::engine::alert::Verdict;
use crate::engine::event::{EndReason, EventKind, Subject};
use crate::engine::look::Look;
use crate::engine::message::clean;
use crate::engine::outcome::{Act, SourceMemory, Stamp, State};
use crate::engine::rule::{Hold, Mode, Rule};
use crate::engine::time::{Span, Time};
use crate::engine::trial::Round;
use crate::engine::verdict::Judged;
use crate::store::{ActState, EpisodeFilter, EpisodeRow, Reader, StoreError, StoredAct};

/// Polls shown.
const SHOWN: usize = 10;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// The user, or SOURCE/USER; for rules per group or source the group's or the source's name
    #[arg(value_name = "USER")]
    user: String,
    /// When: so long ago, or a time; now if left out
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// `why-not --json`.
#[derive(Serialize)]
struct Told<'t> {
    rule: &'t str,
    source: &'t str,
    subject: &'t Subject,
    at: Time,
    /// The episode that goes on at that time: then it did fire.
    episode: Option<&'t str>,
    steps: &'t [Step],
    /// The first step that fails.
    failed: Option<&'static str>,
    poll: Option<&'t LastPoll>,
    polls: Vec<ToldRound>,
}

/// What was found.
#[derive(Default)]
struct Found {
    chain: Chain,
    episode: Option<EpisodeRow>,
    past: Option<Past>,
    /// When operators closed episodes.
    closed: Vec<Time>,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let (config, reader) = open::reader(common)?;
    let (zone, now) = (config.agent.timezone, clock::now());
    let at = args.at.as_deref().map(|text| when::time_or_ago("--at", text, zone, now)).transpose()?;
    let at = at.unwrap_or(now);
    let names = || config.rules.iter().map(|rule| rule.name.as_str());
    let rule = config.rules.iter().find(|rule| rule.name == args.rule);
    let rule = rule.ok_or_else(|| pick::unknown("rule", &args.rule, names()))?;
    let meant = meant(&config, &reader, rule, &args.user)?;
    if args.at.is_none() {
        stale::note(&config, &reader, Some(&meant.source), now)?;
    }
    let mut found = Found::default();
    look(&config, &reader, rule, &meant, at, &mut found)?;
    let rounds = found.past.as_ref().map(|past| &past.followed.rounds[..]).unwrap_or_default();
    let rounds = &rounds[rounds.len().saturating_sub(SHOWN)..];
    let told = Told {
        rule: &rule.name,
        source: &meant.source,
        subject: &meant.subject,
        at,
        episode: found.episode.as_ref().and_then(|row| row.episode.as_deref()),
        steps: &found.chain.steps,
        failed: found.chain.failed(),
        poll: found.past.as_ref().and_then(|past| past.last.as_ref()),
        polls: rounds.iter().map(past::told).collect(),
    };
    if common.json {
        print::json(&told)?;
    } else {
        print::raw(text(&config, rule, &told, &found, rounds).as_bytes());
    }
    Ok(Exit::Fine)
}

/// Walks the steps up to the first that fails.
fn look(
    config: &Config,
    reader: &Reader,
    rule: &Rule,
    meant: &Meant,
    at: Time,
    found: &mut Found,
) -> Result<(), Failure> {
    let zone = config.agent.timezone;
    let chain = &mut found.chain;
    let Some(source) = config.sources.iter().find(|source| source.name == meant.source) else {
        chain.fails("source", format!("the rules file has no source {}", local::name(&meant.source)));
        return Ok(());
    };
    if !rule.scope.covers_source(&source.name) {
        let covered = coverage::scope(rule);
        chain.fails("source", format!("the rule does not cover {}, its scope is {covered}", source.name));
        return Ok(());
    }
    chain.holds("source", format!("the rule covers {}", source.name));
    let memory = match reader.load_source(&source.name) {
        Ok(loaded) => loaded.memory,
        Err(StoreError::NotFound { .. }) => SourceMemory::default(),
        Err(error) => return Err(error.into()),
    };
    let held = memory.quarantine.iter().find(|held| held.user == meant.subject.name && held.since <= at);
    if !user(chain, source, held, meant, zone) || !scope(chain, &config.fleet, rule, source, meant) {
        return Ok(());
    }
    let filter = EpisodeFilter {
        all: true,
        rule: Some(rule.name.clone()),
        source: Some(source.name.clone()),
        ..EpisodeFilter::default()
    };
    let rows: Vec<EpisodeRow> =
        reader.episodes(&filter)?.into_iter().filter(|row| row.subject == meant.subject).collect();
    let goes_on = |row: &&EpisodeRow| {
        row.fired_at.is_some_and(|fired| fired <= at) && row.ended_at.is_none_or(|ended| ended > at)
    };
    found.episode = rows.iter().rev().find(goes_on).cloned();
    if found.episode.is_some() {
        return Ok(());
    }
    let question = Question { config, reader, source, rule, subject: &meant.subject };
    let interval = source.interval;
    let hold = match rule.policy.hold {
        Hold::For(span) => span,
        Hold::Polls { of, .. } => interval.times(of.into()),
    };
    let shown = interval.times(i64::try_from(SHOWN).unwrap_or(i64::MAX));
    let from = at - shown.max(hold + interval).max(question.max_gap());
    found.past = question.played(from, at + Span::from_millis(1))?;
    let closed = closed_ones(reader, &rows)?;
    if let Some(past) = &mut found.past {
        closed.iter().for_each(|one| close(&mut past.followed.rounds, one));
        found.closed = closed.iter().map(|one| one.at).collect();
    }
    let Some(round) = told_of(chain, &question, found.past.as_ref(), at) else { return Ok(()) };
    let past = found.past.as_ref();
    if hours(chain, rule, round, zone)
        && condition(chain, &question, round)
        && holding(chain, rule, round, past, zone)
    {
        chain_end(chain, past, &closed, &meant.subject, at, config);
    }
    Ok(())
}

/// An episode that an operator closed.
struct Closed<'a> {
    row: &'a EpisodeRow,
    at: Time,
    /// It may fire again at once, and need not be clear before.
    rearm: bool,
}

fn closed_ones<'a>(reader: &Reader, rows: &'a [EpisodeRow]) -> Result<Vec<Closed<'a>>, StoreError> {
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| row.reason == Some(EndReason::Closed)) {
        let (Some(at), Some(episode)) = (row.ended_at, &row.episode) else { continue };
        let again = |act: &StoredAct| matches!(act.row.act, Act::Close { rearm: true, .. });
        let rearm = reader.acts(episode)?.iter().any(|act| act.state == ActState::Done && again(act));
        found.push(Closed { row, at, rearm });
    }
    Ok(found)
}

/// The readings know nothing of operators: what went on when it was closed is closed until it is clear, or breaks anew
/// from there on.
fn close(rounds: &mut [Round], closed: &Closed<'_>) {
    let (mut cleared, mut held) = (closed.rearm, None);
    for round in rounds.iter_mut().filter(|round| round.at >= closed.at) {
        let Look { alert, judged, .. } = &mut round.look;
        let ends = round.events.contains(&EventKind::Ended);
        round.events.retain(|kind| *kind != EventKind::Ended);
        if ends || !matches!(alert.state, State::Firing | State::Recovering) {
            return;
        }
        cleared |= *judged == Judged::Inside(Verdict::Clear);
        match judged {
            Judged::Inside(Verdict::Breach) if cleared => {
                held.get_or_insert(Stamp { at: round.at, clock: Span::ZERO });
            }
            Judged::Inside(Verdict::Unknown) => {}
            Judged::Inside(_) | Judged::Outside(_) | Judged::LeftScope => held = None,
        }
        alert.held_since = held;
        alert.state = match held {
            _ if !cleared => State::Closed,
            Some(_) => State::Pending,
            None => State::Ok,
        };
    }
}

/// All that the readings ask for is there, and yet no episode.
fn chain_end(
    chain: &mut Chain,
    past: Option<&Past>,
    closed: &[Closed<'_>],
    subject: &Subject,
    at: Time,
    config: &Config,
) {
    let local = |at: Time| when::local(config.agent.timezone, at);
    let mut episodes = past.map(|past| &past.episodes[..]).unwrap_or_default().iter().rev();
    let fired = episodes.find(|one| one.subject == *subject).map(|one| one.fired_at);
    let closed = closed.iter().rev().find(|one| one.at <= at && Some(one.at) >= fired);
    if let Some(Closed { row, at, rearm }) = closed {
        let id = row.episode.as_deref().unwrap_or("-");
        let then =
            if *rearm { "it fires again at the next breach" } else { "it fires again once it was clear" };
        let says = format!("an operator closed {id} at {}; {then}", local(*at));
        return chain.fails("closed", says);
    }
    let fired = fired.map(|at| format!(" at {}", local(at))).unwrap_or_default();
    chain.fails(
        "in force",
        format!(
            "played again over the kept readings it fires{fired}, and there is no such episode: the rule was not in \
             force then as it is now"
        ),
    );
}

fn text(config: &Config, rule: &Rule, told: &Told<'_>, found: &Found, rounds: &[Round]) -> String {
    let zone = config.agent.timezone;
    let whom = local::subject(Some(told.source), told.subject);
    let at = when::local(zone, told.at);
    let name = local::name(&rule.name);
    let mut text = match found.episode {
        Some(_) => format!("{name} is firing for {whom} at {at}\n"),
        None => format!("Why {name} is not firing for {whom} at {at}\n"),
    };
    let facts: Vec<(&str, String)> = told
        .steps
        .iter()
        .map(|step| (step.step, format!("{}{}", if step.ok { "" } else { "NO: " }, clean(&step.says, 1000))))
        .collect();
    text += &local::facts(&facts);
    if let Some(row) = &found.episode {
        let id = row.episode.as_deref().unwrap_or("-");
        let fired = row.fired_at.map(|at| when::local(zone, at)).unwrap_or_default();
        let told = match rule.mode {
            Mode::Shadow => "; it is in the shadow and tells nobody".to_owned(),
            Mode::Live if rule.notify.is_empty() => "; the rule names no channel and tells nobody".to_owned(),
            Mode::Live => String::new(),
        };
        let _ = writeln!(text, "It did fire, at {fired}: {id}{told}. `seatwatch why {id}` says why.");
    }
    if !rounds.is_empty() {
        let shown = rounds.first().map(|round| round.at)..=Some(told.at);
        let closed = found.closed.iter().filter(|at| shown.contains(&Some(**at)));
        let noted: Vec<(Time, String)> = rounds
            .iter()
            .flat_map(|round| round.events.iter().map(|kind| (round.at, local::word(kind))))
            .chain(closed.map(|at| (*at, local::word(&EventKind::Closed))))
            .collect();
        let _ =
            write!(text, "\nPolls, judged by the rule as it is now\n{}", past::table(rounds, &noted, zone));
    }
    let holes = found.past.as_ref().map(|past| past::holes(&past.followed.holes, zone)).unwrap_or_default();
    for line in holes {
        let _ = writeln!(text, "{line}");
    }
    text
}
