//! Episodes: what people talk about, one row from firing to long after the end.
//!
//! Neighbours: `commit` keeps rows in step with alerts and events; commands list and show them. A part of its own
//! because an alert's row moves on to its next episode, and an episode's must stay.

use std::collections::HashMap;

use arcstr::ArcStr;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::alerts::{self, Which};
use super::error::StoreError;
use super::events::word;
use super::{Pending, Reader, Store};
use crate::engine::event::{
    EndReason, Event, EventKind, Finding, Limit, Severity, Subject, SubjectKind, Value,
};
use crate::engine::outcome::{Alert, AlertKey, Conclusion, State};
use crate::engine::time::{Span, Time};

/// An episode, or (with `episode` none) a pending alert. Serialises as one object of `alerts list`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EpisodeRow {
    pub episode: Option<String>,
    pub source: Option<String>,
    pub rule: String,
    pub rule_version: String,
    pub severity: Option<Severity>,
    pub subject: Subject,
    /// `ok` once it has ended.
    pub state: State,
    pub since: Option<Time>,
    pub fired_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub reason: Option<EndReason>,
    pub value: Option<Value>,
    pub limit: Option<Limit>,
    pub acked_by: Option<String>,
    pub acked_at: Option<Time>,
    /// The last one.
    pub finding: Option<Finding>,
    /// Who concluded that, and when it was taken up; none where the act is no longer kept.
    pub finding_by: Option<String>,
    pub finding_at: Option<Time>,
    pub note: Option<String>,
    pub detail: Option<String>,
    #[serde(rename = "blind_ms")]
    pub blind: Span,
    /// Whether any channel was, or is, to be told of it: nobody is of what fires in the shadow.
    pub notified: bool,
}

/// Which episodes; the default is those firing or recovering.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EpisodeFilter {
    /// Ended and closed ones too.
    pub all: bool,
    /// Pending alerts too, after the episodes.
    pub pending: bool,
    pub rule: Option<String>,
    pub source: Option<String>,
    pub user: Option<String>,
    /// Those that fired or ended at or after this, and those that go on.
    pub since: Option<Time>,
    /// The newest so many.
    pub limit: Option<u32>,
}

/// Brings the event's episode up to date: a row from its first event on.
pub(super) fn note_event(c: &Connection, event: &Event) -> Result<(), StoreError> {
    let state = match event.kind {
        EventKind::Ended => State::Ok,
        EventKind::Closed => State::Closed,
        EventKind::Fired
        | EventKind::Reminded
        | EventKind::Escalated
        | EventKind::Changed
        | EventKind::Acked => State::Firing,
    };
    let json = |limit: &Option<Limit>| limit.as_ref().map(serde_json::to_string).transpose();
    let value = event.value.as_ref().map(serde_json::to_string).transpose()?;
    let mut upsert = c.prepare_cached(
        "INSERT INTO episode (id, rule, rule_version, source, kind, subject, severity, state, since, fired_at, ended_at,
            reason, value, \"limit\", finding, note, detail, blind)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
         ON CONFLICT (id) DO UPDATE SET rule_version = excluded.rule_version, severity = excluded.severity,
            state = excluded.state, ended_at = coalesce(excluded.ended_at, ended_at),
            reason = coalesce(excluded.reason, reason), value = coalesce(excluded.value, value),
            \"limit\" = coalesce(excluded.\"limit\", \"limit\"), finding = coalesce(excluded.finding, finding),
            note = coalesce(excluded.note, note), detail = coalesce(excluded.detail, detail), blind = excluded.blind",
    )?;
    upsert.execute(params![
        event.episode.as_str(),
        event.rule.as_str(),
        event.rule_version.as_str(),
        event.source.as_deref().unwrap_or(""),
        word(&event.subject.kind)?,
        event.subject.name,
        word(&event.severity)?,
        word(&state)?,
        event.since.millis(),
        event.fired_at.unwrap_or(event.at).millis(),
        event.ended_at.or((event.kind == EventKind::Ended).then_some(event.at)).map(Time::millis),
        event.reason.as_ref().map(word).transpose()?,
        value,
        json(&event.limit)?,
        event.finding.as_ref().map(word).transpose()?,
        event.note.as_deref(),
        event.detail.as_deref(),
        event.blind.millis(),
    ])?;
    if event.kind == EventKind::Acked {
        let update = "UPDATE episode SET acked_by = ?2, acked_at = ?3 WHERE id = ?1";
        c.prepare_cached(update)?.execute(params![
            event.episode.as_str(),
            event.by.as_deref(),
            event.at.millis()
        ])?;
    }
    Ok(())
}

/// Brings the row of the alert's open episode up to date between events. Once it is closed nobody counts its blind time;
/// once it has ended, an alert as it was before, committed together with the end, says nothing.
pub(super) fn note_alert(c: &Connection, alert: &Alert) -> Result<(), StoreError> {
    let Some(episode) = &alert.episode else { return Ok(()) };
    let mut update = c.prepare_cached(
        "UPDATE episode SET state = ?2, ended_at = coalesce(?3, ended_at), value = coalesce(?4, value),
            \"limit\" = coalesce(?5, \"limit\"), acked_by = ?6, acked_at = ?7, finding = coalesce(?8, finding),
            note = coalesce(?9, note), detail = coalesce(?10, detail), severity = ?12,
            blind = CASE ?2 WHEN 'closed' THEN blind ELSE ?11 END
         WHERE id = ?1 AND (ended_at IS NULL OR ?3 IS NOT NULL)",
    )?;
    update.execute(params![
        episode.id.as_str(),
        word(&alert.state)?,
        episode.ended_at.map(Time::millis),
        alert.value.as_ref().map(serde_json::to_string).transpose()?,
        episode.limit.as_ref().map(serde_json::to_string).transpose()?,
        episode.acked_by.as_deref(),
        episode.acked_at.map(Time::millis),
        episode.finding.as_ref().map(word).transpose()?,
        episode.note.as_deref(),
        episode.detail.as_deref(),
        alert.blind.millis(),
        word(&episode.severity)?,
    ])?;
    Ok(())
}

/// An episode as its row has it.
pub(super) fn find(c: &Connection, id: &str) -> Result<Option<EpisodeRow>, StoreError> {
    let mut query = c.prepare_cached(&format!("SELECT {COLUMNS} FROM {EPISODES} WHERE id = ?1"))?;
    let mut rows = query.query([id])?;
    rows.next()?.map(read).transpose()
}

/// What stays as an event told it and yet is another in the row: of *fired*, how it began; of *ended*, how it ended.
pub(super) fn differs(row: &EpisodeRow, event: &Event) -> Option<&'static str> {
    // What an operator closed is looked at until it is clear.
    let goes_on = event.reason == Some(EndReason::Closed);
    let same: &[(&str, bool)] = match event.kind {
        EventKind::Fired => &[
            ("rule", row.rule == event.rule),
            ("source", row.source.as_deref() == event.source.as_deref()),
            ("subject", row.subject == event.subject),
            ("first breach", row.since == Some(event.since)),
            ("time of firing", row.fired_at == Some(event.fired_at.unwrap_or(event.at))),
        ],
        EventKind::Ended => &[
            ("end", row.ended_at == Some(event.ended_at.unwrap_or(event.at))),
            ("reason", row.reason == event.reason),
            ("severity", row.severity == Some(event.severity)),
            ("value", goes_on || event.value.is_none() || row.value == event.value),
            ("limit", goes_on || event.limit.is_none() || row.limit == event.limit),
        ],
        EventKind::Reminded
        | EventKind::Escalated
        | EventKind::Changed
        | EventKind::Acked
        | EventKind::Closed => &[],
    };
    same.iter().find(|(_, same)| !same).map(|(what, _)| *what)
}

/// Replaces what was concluded of an episode before; the acts keep it.
pub(super) fn conclude(c: &Connection, conclusion: &Conclusion) -> Result<(), StoreError> {
    let update = "UPDATE episode SET finding = ?2, note = ?3 WHERE id = ?1";
    let Conclusion { episode, finding, note } = conclusion;
    c.prepare_cached(update)?.execute(params![episode, word(finding)?, note])?;
    Ok(())
}

/// The last two say who drew the conclusion, as the acts have it.
const COLUMNS: &str = "id, rule, rule_version, source, kind, subject, severity, state, since, fired_at, ended_at, \
    reason, value, \"limit\", acked_by, acked_at, finding, note, detail, blind, \
    (SELECT by FROM act WHERE no = concluded), (SELECT taken_at FROM act WHERE no = concluded), \
    EXISTS (SELECT 1 FROM notification_event WHERE notification_event.episode = id)";

/// Each episode with the number of the act by which it has its finding.
const EPISODES: &str = "(SELECT *, rowid AS row, CASE WHEN finding IS NOT NULL THEN (SELECT max(no) FROM act
    WHERE act.episode = episode.id AND done = 1 AND act ->> 'finding' IS NOT NULL) END AS concluded FROM episode)";

fn parsed<T: serde::de::DeserializeOwned>(word: String) -> Result<T, StoreError> {
    Ok(serde_json::from_value(word.into())?)
}

fn read(row: &Row<'_>) -> Result<EpisodeRow, StoreError> {
    let time = |at: usize| -> Result<Option<Time>, rusqlite::Error> {
        Ok(row.get::<_, Option<i64>>(at)?.map(Time::from_millis))
    };
    let text = |at: usize| row.get::<_, Option<String>>(at);
    let source: String = row.get(3)?;
    Ok(EpisodeRow {
        episode: text(0)?,
        source: if source.is_empty() { None } else { Some(source) },
        rule: row.get(1)?,
        rule_version: row.get(2)?,
        severity: text(6)?.map(parsed).transpose()?,
        subject: Subject { kind: parsed::<SubjectKind>(row.get(4)?)?, name: row.get(5)? },
        state: parsed(row.get(7)?)?,
        since: time(8)?,
        fired_at: time(9)?,
        ended_at: time(10)?,
        reason: text(11)?.map(parsed).transpose()?,
        value: text(12)?.map(|json| serde_json::from_str(&json)).transpose()?,
        limit: text(13)?.map(|json| serde_json::from_str(&json)).transpose()?,
        acked_by: text(14)?,
        acked_at: time(15)?,
        finding: text(16)?.map(parsed).transpose()?,
        finding_by: text(20)?,
        finding_at: time(21)?,
        note: text(17)?,
        detail: text(18)?,
        blind: Span::from_millis(row.get(19)?),
        notified: row.get(22)?,
    })
}

fn select(c: &Connection, condition: &str, values: &[Sql]) -> Result<Vec<EpisodeRow>, StoreError> {
    let mut query = c.prepare(&format!("SELECT {COLUMNS} FROM {EPISODES} {condition}"))?;
    let mut rows = query.query(rusqlite::params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    go_on(c, &mut found)?;
    Ok(found)
}

/// What polls changed of open episodes since their rows were written is in their alerts.
fn go_on(c: &Connection, rows: &mut [EpisodeRow]) -> Result<(), StoreError> {
    let open = |row: &&mut EpisodeRow| matches!(row.state, State::Firing | State::Recovering);
    let mut open: Vec<&mut EpisodeRow> = rows.iter_mut().filter(open).collect();
    let alerts = match &open[..] {
        [] => return Ok(()),
        [one] => {
            let (source, kind) = (one.source.as_deref().unwrap_or(""), word(&one.subject.kind)?);
            let (rule, subject) = (&one.rule, &one.subject.name);
            alerts::load(c, Which::One { rule, source, kind: &kind, subject })?
        }
        _ => alerts::load(c, Which::Open)?,
    };
    let alerts =
        alerts.into_iter().filter_map(|(_, alert)| Some((alert.episode?.id, (alert.value, alert.blind))));
    let mut alerts: HashMap<ArcStr, (Option<Value>, Span)> = alerts.collect();
    for row in &mut open {
        if let Some((value, blind)) = row.episode.as_ref().and_then(|id| alerts.remove(id.as_str())) {
            (row.value, row.blind) = (value.or(row.value), blind);
        }
    }
    Ok(())
}

fn list(c: &Connection, filter: &EpisodeFilter) -> Result<Vec<EpisodeRow>, StoreError> {
    let mut conditions = vec!["1".to_owned()];
    let mut values = Vec::new();
    let mut must = |text: &str, value: Sql| {
        values.push(value);
        conditions.push(text.replace('?', &format!("?{}", values.len())));
    };
    if let Some(rule) = &filter.rule {
        must("rule = ?", rule.clone().into());
    }
    if let Some(source) = &filter.source {
        must("source = ?", source.clone().into());
    }
    if let Some(user) = &filter.user {
        must("kind = 'user' AND subject = ?", user.clone().into());
    }
    if let Some(since) = filter.since {
        must("(fired_at >= ? OR ended_at >= ? OR ended_at IS NULL)", since.millis().into());
    }
    if !filter.all {
        conditions.push("state IN ('firing', 'recovering')".to_owned());
    }
    let limit = filter.limit.unwrap_or(u32::MAX);
    let order = format!("ORDER BY fired_at DESC, row DESC LIMIT {limit}");
    let mut rows = select(c, &format!("WHERE {} {order}", conditions.join(" AND ")), &values)?;
    rows.reverse();
    if filter.pending {
        rows.extend(pending(c, filter)?);
    }
    Ok(rows)
}

fn pending(c: &Connection, filter: &EpisodeFilter) -> Result<Vec<EpisodeRow>, StoreError> {
    let loaded = alerts::load(c, Which::All)?;
    let wanted = |key: &AlertKey, alert: &Alert| {
        let user = |u: &String| key.subject.kind == SubjectKind::User && key.subject.name == *u;
        alert.state == State::Pending
            && filter.rule.as_ref().is_none_or(|r| *r == key.rule)
            && filter.source.as_ref().is_none_or(|s| Some(s.as_str()) == key.source.as_deref())
            && filter.user.as_ref().is_none_or(user)
    };
    Ok(loaded
        .into_iter()
        .filter(|(key, alert)| wanted(key, alert))
        .map(|(key, alert)| pending_row(key, alert))
        .collect())
}

fn pending_row(key: AlertKey, alert: Alert) -> EpisodeRow {
    EpisodeRow {
        episode: None,
        source: key.source.map(|source| source.to_string()),
        rule: key.rule.to_string(),
        rule_version: alert.rule_version.to_string(),
        severity: None,
        subject: key.subject,
        state: alert.state,
        since: alert.since.map(|s| s.at),
        fired_at: None,
        ended_at: None,
        reason: None,
        value: alert.value,
        limit: None,
        acked_by: None,
        acked_at: None,
        finding: None,
        finding_by: None,
        finding_at: None,
        note: None,
        detail: None,
        blind: alert.blind,
        notified: false,
    }
}

/// The one id of `table` that begins with `prefix`, with or without the kind of id (`ep_`) in front.
pub(super) fn by_prefix(c: &Connection, table: &str, kind: &str, prefix: &str) -> Result<String, StoreError> {
    let full = if prefix.starts_with(kind) { prefix.to_owned() } else { format!("{kind}{prefix}") };
    let query = format!("SELECT id FROM {table} WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 6");
    let mut found = c
        .prepare_cached(&query)?
        .query_map([&full], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    match found.len() {
        0 => Err(StoreError::missing(format!("{table} {prefix}"))),
        1 => Ok(found.remove(0)),
        _ => Err(StoreError::Ambiguous { prefix: prefix.to_owned(), candidates: found }),
    }
}

fn one(c: &Connection, prefix: &str) -> Result<EpisodeRow, StoreError> {
    let id = by_prefix(c, "episode", "ep_", prefix)?;
    let found = select(c, "WHERE id = ?1", &[id.into()])?.pop();
    found.ok_or_else(|| StoreError::missing(format!("episode {prefix}")))
}

impl Store {
    /// The episode that a unique prefix names.
    pub fn episode(&self, prefix: &str) -> Pending<EpisodeRow> {
        let prefix = prefix.to_owned();
        self.read(move |c| one(c, &prefix))
    }
}

impl Reader {
    /// Episodes in the order of firing.
    pub fn episodes(&self, filter: &EpisodeFilter) -> Result<Vec<EpisodeRow>, StoreError> {
        self.run(|c| list(c, filter))
    }

    /// The episode that a unique prefix names; [`StoreError::Ambiguous`] lists the candidates.
    pub fn episode(&self, prefix: &str) -> Result<EpisodeRow, StoreError> {
        self.run(|c| one(c, prefix))
    }
}
