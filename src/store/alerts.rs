//! Alerts: the state of each rule × subject as it was left.
//!
//! Neighbours: `commit` replaces rows, `moves` has what changed since, the agent loads them, `episodes` keeps what
//! outlives them. A part of its own because a restart must find every state, and a quiet fleet must not keep a row for everybody.

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::events::word;
use super::moves::{self, Written};
use super::{Pending, Reader, Store};
use crate::engine::event::Subject;
use crate::engine::outcome::{Alert, AlertKey, State};

/// Replaces the row of `key`; one that says no more than "ok, and nothing ever happened" is deleted.
pub(super) fn put(c: &Connection, key: &AlertKey, alert: &Alert) -> Result<(), StoreError> {
    let (source, kind) = (key.source.as_deref().unwrap_or(""), word(&key.subject.kind)?);
    if alert.state == State::Ok && alert.step_no == 0 && alert.marks == 0 {
        let delete = "DELETE FROM alert WHERE rule = ?1 AND source = ?2 AND kind = ?3 AND subject = ?4";
        c.prepare_cached(delete)?.execute(params![key.rule.as_str(), source, kind, key.subject.name])?;
        return moves::forget(c, key);
    }
    let (rule, episode) = (key.rule.as_str(), alert.episode.as_ref().map(|e| e.id.as_str()));
    // A poll's own number is there before its alerts.
    let mut upsert = c.prepare_cached(
        "INSERT INTO alert (rule, source, kind, subject, state, episode, alert, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,
            coalesce((SELECT last_seq FROM source WHERE name = ?2), 0))
         ON CONFLICT (rule, source, kind, subject) DO UPDATE
            SET state = excluded.state, episode = excluded.episode, alert = excluded.alert, seq = excluded.seq",
    )?;
    let json = serde_json::to_string(alert)?;
    upsert.execute(params![rule, source, kind, key.subject.name, word(&alert.state)?, episode, json])?;
    Ok(())
}

/// Which alerts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which<'a> {
    All,
    Source(&'a str),
    /// Those with an open episode.
    Open,
    /// That of an open episode.
    One {
        rule: &'a str,
        source: &'a str,
        kind: &'a str,
        subject: &'a str,
    },
}

/// Alerts as the last poll left them.
pub(super) fn load(c: &Connection, which: Which<'_>) -> Result<Vec<(AlertKey, Alert)>, StoreError> {
    let (filter, value): (_, &[&str]) = match &which {
        Which::All => ("", &[]),
        Which::Source(source) => ("WHERE source = ?1", &[*source]),
        Which::Open => ("WHERE state IN ('firing', 'recovering')", &[]),
        Which::One { rule, source, kind, subject } => {
            ("WHERE rule = ?1 AND source = ?2 AND kind = ?3 AND subject = ?4", &[rule, source, kind, subject])
        }
    };
    let query = format!(
        "SELECT rule, source, kind, subject, alert, seq FROM alert {filter} ORDER BY rule, source, id"
    );
    let mut query = c.prepare_cached(&query)?;
    let mut rows = query.query(rusqlite::params_from_iter(value))?;
    let mut alerts: Vec<Written> = Vec::new();
    while let Some(row) = rows.next()? {
        let (rule, source, kind): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let subject = Subject { kind: serde_json::from_value(kind.into())?, name: row.get(3)? };
        let source = if source.is_empty() { None } else { Some(source.into()) };
        let key = AlertKey { rule: rule.into(), source, subject };
        let alert = serde_json::from_str(row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?).map_err(
            |error| {
                StoreError::unreadable(
                    format!("the alert of rule {} for {}", key.rule, key.subject.name),
                    error,
                )
            },
        )?;
        alerts.push(Written { key, alert, seq: row.get::<_, i64>(5)?.cast_unsigned() });
    }
    let (source, whole) = match which {
        Which::All => (None, true),
        Which::Source(source) => (Some(source), true),
        Which::Open => (None, false),
        Which::One { source, .. } => (Some(source), false),
    };
    let alerts = moves::lay(c, source, whole, alerts)?;
    Ok(alerts.into_iter().map(|Written { key, alert, .. }| (key, alert)).collect())
}

impl Store {
    /// All kept states, or those of one source.
    pub fn load_alerts(&self, source: Option<&str>) -> Pending<Vec<(AlertKey, Alert)>> {
        let source = source.map(str::to_owned);
        self.read(move |c| load(c, source.as_deref().map_or(Which::All, Which::Source)))
    }
}

impl Reader {
    /// As [`Store::load_alerts`].
    pub fn load_alerts(&self, source: Option<&str>) -> Result<Vec<(AlertKey, Alert)>, StoreError> {
        self.run(|c| load(c, source.map_or(Which::All, Which::Source)))
    }
}
