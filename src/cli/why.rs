//! `seatwatch why EPISODE`: the polls that decided, what every expression was worth at them, and what held the alert.
//!
//! Neighbours: `past` plays the kept readings again, `episode` shows what was told. A part of its own because it sets
//! what the rule says now beside what was told then, and must say so where the two differ.

use std::fmt::Write as _;

use chrono_tz::Tz;
use serde::Serialize;

use super::past::{self, Past, Question, ToldRound};
use super::{Common, Exit, Failure, alerts, episode, local, open, print, rules, when};
use crate::config::Config;
use crate::engine::alert::Verdict;
use crate::engine::backtest::Episode;
use crate::engine::event::{EndReason, Event};
use crate::engine::message::clean;
use crate::engine::outcome::State;
use crate::engine::rule::{Mode, Rule};
use crate::engine::time::{Span, Time};
use crate::engine::trial::Round;
use crate::engine::verdict::Judged;
use crate::store::EpisodeRow;

/// Polls shown from before the first breach.
const BEFORE: i64 = 3;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Its id, or the beginning of it
    #[arg(value_name = "EPISODE")]
    episode: String,
}

/// `why --json`.
#[derive(Serialize)]
struct Told<'t> {
    #[serde(flatten)]
    episode: &'t EpisodeRow,
    when: Option<&'t str>,
    #[serde(rename = "for")]
    hold: Option<String>,
    limit_set_by: Option<String>,
    rule_now: RuleNow,
    /// Where the polls are from: played again, or only those that the events carry.
    readings_from: &'static str,
    polls: Vec<ToldRound>,
    events: &'t [Event],
    holes: Vec<Hole>,
    /// Sentences on what silenced or held it.
    held: Vec<String>,
    notes: Vec<String>,
    notifications: Vec<episode::Notification<'t>>,
    untold: Vec<String>,
}

#[derive(Serialize)]
struct Hole {
    from: Time,
    until: Time,
}

/// How the rules file has the episode's rule now.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum RuleNow {
    Same,
    Changed,
    Gone,
    /// It is the program's own.
    Own,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    let (config, reader) = open::reader(common)?;
    let zone = config.agent.timezone;
    let row = reader.episode(&args.episode).map_err(|error| alerts::lost(&reader, error))?;
    let id = row.episode.clone().unwrap_or_default();
    let events = reader.episode_events(&id)?;
    let told = reader.notifications(&id)?;
    let rule = config.rules.iter().find(|rule| rule.name == row.rule);
    let source = config.sources.iter().find(|source| Some(&source.name) == row.source.as_ref());
    let question = rule.zip(source).map(|(rule, source)| Question {
        config: &config,
        reader: &reader,
        source,
        rule,
        subject: &row.subject,
    });
    let past = match (&question, row.since) {
        (Some(question), Some(since)) => {
            let from = since - question.source.interval.times(BEFORE);
            let until = row.ended_at.unwrap_or_else(crate::agent::clock::now) + Span::from_millis(1);
            question.played(from, until)?
        }
        _ => None,
    };
    // Where the readings are pruned there is nothing left to play.
    let past = past.filter(|past| past.followed.rounds.iter().any(|round| Some(round.at) == row.since));
    let now = match rule {
        _ if row.rule.starts_with("agent/") => RuleNow::Own,
        None => RuleNow::Gone,
        Some(rule) if rule.version == row.rule_version => RuleNow::Same,
        Some(_) => RuleNow::Changed,
    };
    let held = held(&row, rule, past.as_ref(), zone);
    let notes = notes(&row, now, past.as_ref(), zone);
    let limit_set_by = row
        .limit
        .as_ref()
        .map(|limit| past::set_by(&config, row.source.as_deref().unwrap_or_default(), limit));
    let told = Told {
        when: events.last().and_then(|event| event.when.as_deref()),
        hold: rule.filter(|_| now == RuleNow::Same).map(|rule| rules::hold(rule.policy.hold)),
        limit_set_by,
        rule_now: now,
        readings_from: if past.is_some() { "database" } else { "events" },
        polls: past.iter().flat_map(|past| past.followed.rounds.iter().map(past::told)).collect(),
        holes: past
            .iter()
            .flat_map(|past| {
                past.followed.holes.iter().map(|(from, until)| Hole { from: *from, until: *until })
            })
            .collect(),
        held,
        notes,
        notifications: told.iter().map(episode::as_json).collect(),
        untold: episode::untold(&events, &told),
        events: &events,
        episode: &row,
    };
    if common.json {
        print::json(&told)?;
        return Ok(Exit::Fine);
    }
    let mut text = head(&told, &config);
    text += &polls(&told, past.as_ref(), zone);
    let unheard = episode::unheard(&config, &row);
    text += &episode::deliveries(&reader.notifications(&id)?, &events, unheard, zone);
    for sentence in &told.untold {
        let _ = writeln!(text, "\n{}", clean(sentence, 1000));
    }
    print::raw(text.as_bytes());
    Ok(Exit::Fine)
}

fn head(told: &Told<'_>, config: &Config) -> String {
    let row = told.episode;
    let at = |at: Time| when::local(config.agent.timezone, at);
    let subject = local::subject(row.source.as_deref(), &row.subject);
    let mut text = format!("Why {} fired for {subject}\n", local::name(&row.rule));
    let mut facts =
        vec![("episode", format!("{}, {}", row.episode.as_deref().unwrap_or("-"), alerts::state(row)))];
    let mut add = |name: &'static str, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("condition", told.when.map(|when| clean(when, 300)));
    add("for", told.hold.clone());
    let limit = row.limit.as_ref().zip(told.limit_set_by.as_ref());
    add("limit", limit.map(|(limit, by)| format!("{}, set by {by}", limit.value)));
    add("value", row.value.as_ref().map(local::value));
    add("detail", row.detail.as_deref().map(|detail| clean(detail, 1000)));
    add("first breach", row.since.map(at));
    add("fired", row.fired_at.map(at));
    let because = row.reason.map(|reason| format!(", {}", episode::because(reason))).unwrap_or_default();
    add("ended", row.ended_at.map(|ended| at(ended) + &because));
    add("blind", (row.blind > Span::ZERO).then(|| format!("{} without a usable reading", row.blind)));
    text += &local::facts(&facts);
    for note in &told.notes {
        let _ = writeln!(text, "{}", clean(note, 1000));
    }
    text
}

fn polls(told: &Told<'_>, past: Option<&Past>, zone: Tz) -> String {
    let mut text = match past {
        None => episode::readings(told.events, zone),
        Some(past) => {
            let word = |event: &Event| {
                let by = event.by.as_deref().map(|by| format!(" by {}", local::name(by))).unwrap_or_default();
                (event.at, local::word(&event.kind) + &by)
            };
            let noted: Vec<(Time, String)> = told.events.iter().map(word).collect();
            format!("\nPolls\n{}", past::table(&past.followed.rounds, &noted, zone))
        }
    };
    let holes = past.map(|past| past::holes(&past.followed.holes, zone)).unwrap_or_default();
    for line in holes.iter().chain(&told.held) {
        let _ = writeln!(text, "{}", clean(line, 1000));
    }
    text
}

/// What the reader must know before believing the table.
fn notes(row: &EpisodeRow, now: RuleNow, past: Option<&Past>, zone: Tz) -> Vec<String> {
    let mut notes = Vec::new();
    match now {
        RuleNow::Own => {}
        RuleNow::Same => {}
        RuleNow::Gone => notes.push("The rules file no longer has this rule.".to_owned()),
        RuleNow::Changed => notes.push(
            "The rule has changed since; values, verdicts and states below are those of the rule as it is now."
                .to_owned(),
        ),
    }
    let Some(past) = past else {
        if now != RuleNow::Own {
            notes.push(
                "Its readings cannot be played again; below are those that the events carry.".to_owned(),
            );
        }
        return notes;
    };
    let Some(fired) = row.fired_at else { return notes };
    let of_subject = || past.episodes.iter().filter(|one| one.subject == row.subject);
    if !of_subject().any(|one| one.fired_at == fired) {
        let goes_on = |one: &&Episode| {
            Some(one.fired_at) < row.since && (one.ended_at.is_none() || one.ended_at > row.since)
        };
        let (before, next) =
            (of_subject().find(goes_on), of_subject().find(|one| Some(one.fired_at) >= row.since));
        let at = |time: Time| when::local(zone, time);
        notes.push(match (before, next) {
            (Some(one), _) => format!(
                "Played again from {} on, it fires at {} already, and goes on where this episode begins.",
                at(past.begins),
                at(one.fired_at)
            ),
            (None, Some(one)) => format!("Played again, it fires at {}.", at(one.fired_at)),
            (None, None) if past.usual_unknown_until.is_some() => {
                "Played again, it cannot be told: readings of the four weeks that `usual` rested on are no longer kept."
                    .to_owned()
            }
            (None, None) => "Played again, it does not fire.".to_owned(),
        });
    }
    notes
}

/// What silenced the alert, or held it where it was.
fn held(row: &EpisodeRow, rule: Option<&Rule>, past: Option<&Past>, zone: Tz) -> Vec<String> {
    let mut held = Vec::new();
    let rounds = past.map(|past| &past.followed.rounds[..]).unwrap_or_default();
    let mut count = |wanted: &dyn Fn(&Round) -> bool, says: &dyn Fn(usize) -> String| {
        let n = rounds.iter().filter(|round| Some(round.at) >= row.since && wanted(round)).count();
        held.extend((n > 0).then(|| says(n)));
    };
    let polls = |n: usize| print::count(n, "poll");
    count(&|round| round.look.judged == Judged::Inside(Verdict::Unknown), &|n| {
        format!("Held: {} told nothing of it, and left the alert as it was.", polls(n))
    });
    count(&|round| matches!(round.look.judged, Judged::Outside(_)), &|n| {
        format!("Held: {} fell outside of the rule's hours, where nothing is a breach.", polls(n))
    });
    count(&|round| round.look.judged == Judged::Inside(Verdict::Between), &|n| {
        format!("Held: {} fell neither under `when` nor under `clear_when`.", polls(n))
    });
    if let Some(rule) = rule {
        let hold = rules::hold(rule.policy.clear_hold);
        count(&|round| round.look.alert.state == State::Recovering, &|n| {
            format!("Held: at {} it was clear, and not yet for {hold}, as `clear_for` asks.", polls(n))
        });
        if rule.mode == Mode::Shadow && !row.notified {
            held.push(
                "Silenced: the rule is in the shadow (`mode = \"shadow\"`) and tells nobody.".to_owned(),
            );
        }
    }
    // Who closes an episode takes note of it too.
    let acked = row.acked_by.as_deref().zip(row.acked_at);
    if let Some((by, at)) = acked.filter(|_| row.reason != Some(EndReason::Closed)) {
        let (by, at) = (local::name(by), when::local(zone, at));
        held.push(format!("Silenced: {by} took note of it at {at}; there are no reminders since."));
    }
    if let Some(past) = past.filter(|past| past.followed.left_out > 0) {
        held.push(format!("{} in the middle are left out.", polls(past.followed.left_out)));
    }
    held
}
