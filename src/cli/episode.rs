//! `seatwatch alerts show`: one episode with everything that is known of it.
//!
//! Neighbours: `alerts` picks it, the store has its parts. A part of its own because this is what an operator lays
//! before somebody: each number with where it came from, and plainly who was not told.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use arcstr::ArcStr;
use chrono_tz::Tz;
use serde::Serialize;

use super::acts::Listed;
use super::{Common, Exit, Failure, alerts, local, print, when};
use crate::config::Config;
use crate::engine::event::{EndReason, Event, EventKind};
use crate::engine::message::clean;
use crate::engine::time::{Span, Time};
use crate::store::{AttemptRow, EpisodeRow, NotificationRow, OutboxState, Reader};

/// A notification and what was tried.
pub(super) type Told = (NotificationRow, Vec<AttemptRow>);

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    episode: &'a EpisodeRow,
    events: &'a [Event],
    notifications: Vec<Notification<'a>>,
    /// A sentence for each channel that will not hear of it.
    untold: Vec<String>,
    acts: Vec<Listed<'a>>,
}

#[derive(Serialize)]
pub(super) struct Notification<'a> {
    notification: &'a str,
    channel: &'a str,
    state: OutboxState,
    told: bool,
    events: &'a [String],
    superseded_by: Option<&'a str>,
    last_error: Option<&'a str>,
    attempts: Vec<Attempt<'a>>,
}

/// One attempt as JSON.
#[derive(Serialize)]
pub(super) struct Attempt<'a> {
    n: u32,
    at: Time,
    ended_at: Option<Time>,
    outcome: Option<&'a str>,
    status: Option<u16>,
    note: Option<&'a str>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(row: &'a AttemptRow) -> Self {
        let (outcome, note) = (row.outcome.as_deref(), row.note.as_deref());
        Self { n: row.n, at: row.started_at, ended_at: row.ended_at, outcome, status: row.status, note }
    }

    /// Number, at, outcome, status, note.
    pub(super) fn cells(&self, zone: Tz) -> Vec<String> {
        vec![
            self.n.to_string(),
            when::local(zone, self.at),
            self.outcome.unwrap_or("under way").to_owned(),
            print::or_dash(self.status),
            print::or_dash(self.note),
        ]
    }
}

pub(super) fn show(
    common: &Common,
    config: &Config,
    reader: &Reader,
    row: EpisodeRow,
) -> Result<Exit, Failure> {
    let id = row.episode.clone().unwrap_or_default();
    let (events, acts) = (reader.episode_events(&id)?, reader.acts(&id)?);
    let told = reader.notifications(&id)?;
    let untold = untold(&events, &told);
    let acts: Vec<Listed<'_>> = acts.iter().map(Listed::new).collect();
    if common.json {
        let notifications = told.iter().map(as_json).collect();
        print::json(&Shown { episode: &row, events: &events, notifications, untold, acts })?;
        return Ok(Exit::Fine);
    }
    let zone = config.agent.timezone;
    let mut text = head(&row, &events, config);
    text += &history(&events, zone);
    text += &readings(&events, zone);
    text += &deliveries(&told, &events, unheard(config, &row), zone);
    for sentence in &untold {
        let _ = writeln!(text, "\n{}", clean(sentence, 1000));
    }
    if !acts.is_empty() {
        let rows: Vec<_> = acts.iter().map(|act| act.cells(zone)).collect();
        text += "\nActs\n";
        text += &print::table(&["at", "by", "act", "result", "message"], &rows);
    }
    print::raw(text.as_bytes());
    Ok(Exit::Fine)
}

pub(super) fn as_json((row, attempts): &Told) -> Notification<'_> {
    Notification {
        notification: &row.id,
        channel: &row.channel,
        state: row.state,
        told: row.told,
        events: &row.events,
        superseded_by: row.superseded_by.as_deref(),
        last_error: row.last_error.as_deref(),
        attempts: attempts.iter().map(Attempt::new).collect(),
    }
}

/// For each channel whose *fired* is dead: that it was not told, of what, why, and the way out.
pub(super) fn untold(events: &[Event], told: &[Told]) -> Vec<String> {
    let ids = |kind: EventKind| -> BTreeSet<&str> {
        events.iter().filter(|event| event.kind == kind).map(|event| event.id.as_str()).collect()
    };
    let (fired, ended) = (ids(EventKind::Fired), ids(EventKind::Ended));
    let lives = |row: &&NotificationRow| match row.state {
        OutboxState::Pending | OutboxState::Waiting | OutboxState::Sent => true,
        OutboxState::Dead | OutboxState::Superseded => false,
    };
    let channels: BTreeSet<&str> = told.iter().map(|(row, _)| row.channel.as_str()).collect();
    let sentence = |channel: &str| {
        let about = |wanted: &BTreeSet<&str>| -> Vec<&NotificationRow> {
            let says = |row: &&NotificationRow| row.events.iter().any(|id| wanted.contains(id.as_str()));
            told.iter().map(|(row, _)| row).filter(|row| row.channel == channel).filter(says).collect()
        };
        let (of_fired, of_ended) = (about(&fired), about(&ended));
        if of_fired.iter().any(lives) {
            return None;
        }
        let dead = of_fired.iter().find(|row| row.state == OutboxState::Dead)?;
        let silent = !ended.is_empty() && !of_ended.iter().any(lives);
        let what = if silent {
            "was not told of this episode, nor of its end"
        } else {
            "was not told that it fired"
        };
        let why = dead.last_error.as_deref().unwrap_or("it was given up");
        Some(format!(
            "{channel} {what}: notification {id} is dead ({why}). `seatwatch outbox retry {id}` sends it again.",
            id = dead.id
        ))
    };
    channels.into_iter().filter_map(sentence).collect()
}

fn head(row: &EpisodeRow, events: &[Event], config: &Config) -> String {
    let zone = config.agent.timezone;
    let subject = local::subject(row.source.as_deref(), &row.subject);
    let mut text = format!(
        "{}: {} {}{}\n",
        local::name(&row.rule),
        subject,
        alerts::state(row),
        alerts::untold(config, row)
    );
    let at = |at: Time| when::local(zone, at);
    let last = events.last();
    let when =
        last.and_then(|event| event.when.as_deref()).map(|when| format!(", when {}", clean(when, 300)));
    let mut facts = vec![
        ("episode", row.episode.clone().unwrap_or_default()),
        (
            "rule",
            format!("{} (version {}){}", local::name(&row.rule), row.rule_version, when.unwrap_or_default()),
        ),
        ("severity", row.severity.as_ref().map_or_else(|| "-".to_owned(), local::word)),
    ];
    let mut add = |name: &'static str, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("value", row.value.as_ref().map(local::value));
    add("limit", row.limit.as_ref().map(local::limit));
    add("first breach", row.since.map(at));
    add("fired", row.fired_at.map(at));
    let reason = row.reason.map(|reason| format!(", {}", because(reason))).unwrap_or_default();
    add("ended", row.ended_at.map(|ended| at(ended) + &reason));
    let seconds = |span: Span| Span::from_secs(span.millis() / 1000);
    let length = row.fired_at.zip(row.ended_at).map(|(fired, ended)| seconds(ended.since(fired)));
    add("lasted", length.map(|length| length.to_string()));
    add("blind", (row.blind > Span::ZERO).then(|| format!("{} without a usable reading", row.blind)));
    let acked = row.acked_by.as_deref().zip(row.acked_at);
    add("acknowledged", acked.map(|(by, when)| format!("{} by {}", at(when), local::name(by))));
    let by = row.finding_by.as_deref().zip(row.finding_at);
    let by = by.map_or_else(String::new, |(by, when)| format!(", {} by {}", at(when), local::name(by)));
    add("finding", row.finding.map(|finding| format!("{}{by}", finding.word())));
    add("note", row.note.as_deref().map(|note| clean(note, 1000)));
    add("detail", row.detail.as_deref().map(|detail| clean(detail, 1000)));
    let users =
        last.map(|event| event.users.iter().map(|user| local::name(user)).collect::<Vec<_>>().join(", "));
    add("users", users.filter(|users| !users.is_empty()));
    text += &local::facts(&facts);
    text
}

pub(super) fn because(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Cleared => "because it was clear",
        EndReason::LeftScope => "because the rule no longer covers it",
        EndReason::RuleRemoved => "because the rule was removed",
        EndReason::Closed => "because an operator closed it",
        EndReason::WindowEnded => "because the rule's hours were over",
    }
}

fn history(events: &[Event], zone: Tz) -> String {
    let cells = |event: &Event| {
        let value = event.value.unwrap_or_default();
        let said = [event.by.clone(), event.note.clone()];
        let said: Vec<ArcStr> = said.into_iter().flatten().collect();
        vec![
            when::local(zone, event.at),
            local::word(&event.kind),
            print::or_dash(value.now),
            print::or_dash(value.peak),
            if said.is_empty() { "-".to_owned() } else { said.join(": ") },
            event.id.clone(),
        ]
    };
    let rows: Vec<_> = events.iter().map(cells).collect();
    format!("\nEvents\n{}", print::table(&["at", "event", "now", "peak", "by", "id"], &rows))
}

/// All readings that decided, each once, with the vendor's ids for the replies they came from.
pub(super) fn readings(events: &[Event], zone: Tz) -> String {
    let all = events.iter().flat_map(|event| event.readings.list());
    let by_time: std::collections::BTreeMap<Time, _> = all.map(|reading| (reading.at, reading)).collect();
    let mut text = String::new();
    if !by_time.is_empty() {
        let time = |at: Time| when::local(zone, at);
        let rows: Vec<_> = by_time
            .values()
            .map(|r| {
                vec![
                    time(r.at),
                    r.reading.word().to_owned(),
                    print::or_dash(r.reading.count()),
                    print::or_dash(r.fetched_at().map(time)),
                ]
            })
            .collect();
        text = format!("\nReadings\n{}", print::table(&["at", "reading", "online", "fetched"], &rows));
    }
    // In the order of the readings they stand for.
    let mut ids: Vec<String> = Vec::new();
    for id in events.iter().flat_map(|event| &event.request_ids).map(|id| clean(&id.text(), 100)) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if !ids.is_empty() {
        let _ = writeln!(text, "Request ids of the vendor: {}", ids.join(", "));
    }
    if let Some(clients) = events.iter().rev().find_map(|event| event.clients.as_ref()) {
        let since = |at: Option<Time>| print::or_dash(at.map(|at| when::local(zone, at)));
        let rows: Vec<_> = clients.iter().map(|c| vec![c.address.clone(), since(c.online_since)]).collect();
        text += "\nConnections (not people; tunnel addresses, not places)\n";
        text += &print::table(&["tunnel address", "online since"], &rows);
    }
    text
}

/// Why there are no notifications, where that is known.
pub(super) fn unheard(config: &Config, row: &EpisodeRow) -> &'static str {
    match alerts::untold(config, row) {
        "" => "",
        " (shadow)" => "; the rule is in the shadow (`mode = \"shadow\"`) and tells nobody",
        _ => "; its rule was in the shadow, or named no channel",
    }
}

/// `why` says why there are none.
pub(super) fn deliveries(told: &[Told], events: &[Event], why: &str, zone: Tz) -> String {
    if told.is_empty() {
        return format!("\nNotifications: none{why}\n");
    }
    let kind = |id: &String| {
        let event = events.iter().find(|event| event.id == *id);
        event.map(|event| local::word(&event.kind))
    };
    let mut rows = Vec::new();
    for (row, attempts) in told {
        let about: Vec<String> = row.events.iter().filter_map(kind).collect();
        let others = row.events.len() - about.len();
        let more = if others > 0 { format!(" and {others} of other episodes") } else { String::new() };
        let last = attempts.last().map(|attempt| {
            let outcome = attempt.outcome.as_deref().unwrap_or("under way");
            format!(
                "{}: {outcome}: {}",
                when::local(zone, attempt.started_at),
                attempt.note.as_deref().unwrap_or("-")
            )
        });
        rows.push(vec![
            local::short(&row.id),
            row.channel.clone(),
            about.join(" + ") + &more,
            local::word(&row.state),
            if row.told { "yes" } else { "no" }.to_owned(),
            row.attempts.to_string(),
            print::or_dash(last.or_else(|| row.last_error.clone())),
        ]);
    }
    let head = ["notification", "channel", "about", "state", "told", "attempts", "last attempt"];
    format!("\nNotifications\n{}", print::table(&head, &rows))
}
