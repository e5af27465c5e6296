//! One subject of one rule over the kept readings, for people who ask why: played again, and told poll by poll.
//!
//! Neighbours: `agent::backtest` plays, `why` and `why_not` ask. A part of its own because both must show the same
//! readings, values and limits, judged by the engine that judges live.

use std::sync::Arc;

use chrono_tz::Tz;
use serde::Serialize;

use super::backtest::{Version, bar, setup};
use super::{Failure, local, print, users, when};
use crate::agent::backtest::{Stretch, Watcher, play};
use crate::config::{Config, Source};
use crate::engine::backtest::follow::Followed;
use crate::engine::backtest::{Episode, Playback, run_up_as_told};
use crate::engine::event::{EventKind, Limit, Subject};
use crate::engine::lang::{Part, Truth, Worth};
use crate::engine::look::Look;
use crate::engine::past::Column;
use crate::engine::reading::{Fault, PollOutcome};
use crate::engine::rule::Rule;
use crate::engine::time::{Span, Time};
use crate::engine::trial::Round;
use crate::store::{Reader, StoreError, StoredPoll};

/// Lines of a table of polls; of more the middle ones are counted.
const MOST_ROWS: usize = 60;

/// Whom is asked about.
pub(super) struct Question<'q> {
    pub(super) config: &'q Config,
    pub(super) reader: &'q Reader,
    pub(super) source: &'q Source,
    pub(super) rule: &'q Rule,
    pub(super) subject: &'q Subject,
}

/// What came of it.
pub(super) struct Past {
    pub(super) followed: Followed,
    /// Where the rule was played from: earlier than it is followed, so that its windows and holds are full.
    pub(super) begins: Time,
    /// Up to then `usual` is not known as it was, for the readings it rested on are no longer kept.
    pub(super) usual_unknown_until: Option<Time>,
    /// As the readings tell them with the rule as it is.
    pub(super) episodes: Vec<Episode>,
    pub(super) last: Option<LastPoll>,
}

/// The last poll that was played.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LastPoll {
    pub(super) poll: u64,
    pub(super) at: Time,
    pub(super) outcome: PollOutcome,
    pub(super) fault: Option<Fault>,
}

struct Watching {
    bar: indicatif::ProgressBar,
    last: Option<LastPoll>,
}

impl Watcher for Watching {
    fn poll(&mut self, poll: &StoredPoll, _column: &Column) {
        let fault = poll.fault.clone();
        self.last = Some(LastPoll { poll: poll.seq, at: poll.at, outcome: poll.outcome, fault });
    }

    fn progress(&mut self, done: u64, of: u64) {
        if done == 1 {
            self.bar.set_length(of);
        }
        if done.is_multiple_of(64) {
            self.bar.set_position(done);
        }
    }
}

impl Question<'_> {
    /// How long a value of the subject holds under the rule.
    pub(super) fn max_gap(&self) -> Span {
        self.source.max_gap(self.rule)
    }

    /// Plays the polls up to `until`, and keeps those from `from` on. None if the source was never polled.
    pub(super) fn played(&self, from: Time, until: Time) -> Result<Option<Past>, Failure> {
        let loaded = match self.reader.load_source(&self.source.name) {
            Ok(loaded) if loaded.memory.seq > 0 => loaded,
            Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let rules = vec![Arc::new(self.rule.clone())];
        let run_up = run_up_as_told(&rules, self.source.interval);
        let setup = setup(&Version { config: self.config, rules }, self.source, self.reader)?;
        let playback = Playback::new(setup, loaded.names, loaded.roster, from - run_up).as_told().following(
            &self.rule.name,
            self.subject.clone(),
            from,
        );
        let stretch = Stretch { from, until, run_up, max_gap: self.max_gap() };
        let mut watching = Watching { bar: bar(&self.source.name), last: None };
        let mut playbacks = [playback];
        let coverage = play(self.reader, self.source, stretch, &mut playbacks, &mut watching)?;
        watching.bar.finish_and_clear();
        let [mut playback] = playbacks;
        let Some(followed) = playback.followed() else { return Ok(None) };
        Ok(Some(Past {
            followed,
            begins: from - run_up,
            usual_unknown_until: coverage.usual_unknown_until,
            episodes: playback.finish(),
            last: watching.last,
        }))
    }

    /// Who set a limit, in words.
    pub(super) fn set_by(&self, limit: &Limit) -> String {
        set_by(self.config, &self.source.name, limit)
    }
}

/// As [`Question::set_by`], of a limit in a source.
pub(super) fn set_by(config: &Config, source: &str, limit: &Limit) -> String {
    let (kind, name) = limit.origin.split_once(':').unwrap_or((&limit.origin, ""));
    let of_user = config.fleet.exceptions.iter().filter(|one| one.user == name);
    let here = |wanted: Option<&str>| of_user.clone().find(|one| one.source.as_deref() == wanted);
    if let Some(one) = &limit.exception {
        let (reason, owner) = (local::name(&one.reason), local::name(&one.owner));
        return format!("an exception: {reason}; owner {owner}, until {}", one.expires);
    }
    match kind {
        // What an earlier release wrote down names the user alone.
        "exception" => match here(Some(source)).or_else(|| here(None)) {
            Some(one) => {
                let (reason, owner) = (local::name(&one.reason), local::name(&one.owner));
                format!("an exception: {reason}; owner {owner}, until {}", one.expires)
            }
            None => "an exception that the rules file no longer has".to_owned(),
        },
        "group" => format!("group {}", local::name(name)),
        _ => "the rule".to_owned(),
    }
}

/// An expression with its value, as JSON.
#[derive(Serialize)]
pub(super) struct ToldPart {
    expression: String,
    /// A number, a truth, or none; a duration is in `value_ms`.
    value: serde_json::Value,
    value_ms: Option<i64>,
    decides: bool,
}

/// One poll, as JSON.
#[derive(Serialize)]
pub(super) struct ToldRound {
    at: Time,
    /// None of a total that has no value.
    reading: Option<&'static str>,
    online: Option<u32>,
    /// Of a total that has none: members without a reading that counts.
    members_missing: Option<usize>,
    when: Vec<ToldPart>,
    clear_when: Vec<ToldPart>,
    limit: Option<Limit>,
    verdict: &'static str,
    state: String,
    events: Vec<EventKind>,
}

pub(super) fn parts(parts: &[Part]) -> Vec<ToldPart> {
    let told = |part: &Part| ToldPart {
        expression: part.text.to_string(),
        value: match part.worth {
            Worth::Number(value) => value.into(),
            Worth::Duration(_) | Worth::Truth(Truth::Unknown) => serde_json::Value::Null,
            Worth::Truth(truth) => (truth == Truth::True).into(),
        },
        value_ms: match part.worth {
            Worth::Duration(span) => span.map(Span::millis),
            Worth::Number(_) | Worth::Truth(_) => None,
        },
        decides: part.decides,
    };
    parts.iter().map(told).collect()
}

pub(super) fn told(round: &Round) -> ToldRound {
    let look = &round.look;
    ToldRound {
        at: round.at,
        reading: look.missing.is_none().then(|| look.reading.word()),
        online: look.reading.count(),
        members_missing: look.missing,
        when: parts(&look.when),
        clear_when: parts(&look.clear_when),
        limit: look.limit.clone(),
        verdict: look.judged.word(),
        state: local::word(&look.alert.state),
        events: round.events.clone(),
    }
}

/// What a poll said; of a total without a value, why it has none.
pub(super) fn said(look: &Look) -> String {
    no_total(look).unwrap_or_else(|| users::shown(look.reading))
}

/// `no total (1 member without a reading)`, where that is so.
pub(super) fn no_total(look: &Look) -> Option<String> {
    look.missing.map(|missing| format!("no total ({} without a reading)", print::count(missing, "member")))
}

/// `online: 3; limit: 2; online > limit: true`.
pub(super) fn values(look: &Look) -> String {
    let mut all: Vec<String> = look.when.iter().map(shown).collect();
    for part in look.clear_when.iter().map(shown) {
        if !all.contains(&part) {
            all.push(part);
        }
    }
    all.join("; ")
}

/// `peak(1h): 3`.
pub(super) fn shown(part: &Part) -> String {
    let value = match part.worth {
        Worth::Number(Some(value)) => ((value * 1000.0).round() / 1000.0).to_string(),
        Worth::Duration(Some(span)) => span.to_string(),
        Worth::Number(None) | Worth::Duration(None) => "no value".to_owned(),
        Worth::Truth(truth) => format!("{truth:?}").to_lowercase(),
    };
    format!("{}: {value}", part.text)
}

/// The polls, those in a row that say the same on one line; `noted` are words for what happened at a time.
pub(super) fn table(rounds: &[Round], noted: &[(Time, String)], zone: Tz) -> String {
    let words = |from: Time, until: Time| -> Vec<&str> {
        noted.iter().filter(|(at, _)| (from..=until).contains(at)).map(|(_, word)| word.as_str()).collect()
    };
    let same = |a: &Round, b: &Round| {
        let key = |round: &Round| {
            (said(&round.look), round.look.judged, round.look.alert.state, values(&round.look))
        };
        words(a.at, b.at).is_empty() && key(a) == key(b)
    };
    let mut rows: Vec<(Time, Vec<String>)> = Vec::new();
    for run in rounds.chunk_by(same) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let to = if run.len() > 1 { when::local(zone, last.at) } else { "-".to_owned() };
        rows.push((
            first.at,
            vec![
                when::local(zone, first.at),
                to,
                run.len().to_string(),
                said(&first.look),
                values(&first.look),
                first.look.judged.word().to_owned(),
                local::word(&first.look.alert.state),
                words(first.at, first.at).join(", "),
            ],
        ));
    }
    // What happened between polls.
    let dash = || "-".to_owned();
    for (at, word) in noted.iter().filter(|(at, _)| rounds.iter().all(|round| round.at != *at)) {
        let time = when::local(zone, *at);
        rows.push((*at, vec![time, dash(), "0".to_owned(), dash(), dash(), dash(), dash(), word.clone()]));
    }
    rows.sort_by_key(|(at, _)| *at);
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
    if rows.len() > MOST_ROWS {
        let more = rows.len() - MOST_ROWS;
        let left_out = format!("and {more} lines more");
        let line = vec![left_out, dash(), dash(), dash(), dash(), dash(), dash(), String::new()];
        rows.splice(MOST_ROWS / 2..MOST_ROWS / 2 + more, [line]);
    }
    let head = ["from", "to", "polls", "online", "values", "verdict", "state", "events"];
    print::table(&head, &rows)
}

/// `Blind for 20m: nothing is known between … and …`.
pub(super) fn holes(holes: &[(Time, Time)], zone: Tz) -> Vec<String> {
    let line = |(from, until): &(Time, Time)| {
        format!(
            "Blind for {}: nothing is known between {} and {}.",
            when::length(until.since(*from)),
            when::local(zone, *from),
            when::local(zone, *until)
        )
    };
    holes.iter().map(line).collect()
}
