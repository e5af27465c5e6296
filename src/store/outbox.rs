//! The outbox: notifications that are to be, were, or will never be sent; and what operators do to them.
//!
//! Neighbours: `commit` adds rows, `deliver` takes them to their end. A part of its own because the promises about
//! *fired* and *ended* (a channel told the one is told the other, once) are kept where rows change state.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::episodes::by_prefix;
use super::error::StoreError;
use super::returned::NOT_IN_FILE;
use super::{Pending, Reader, Store, deliver, retry};
use crate::engine::outcome::NewNotification;
use crate::engine::time::Time;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutboxState {
    Pending,
    /// Its channel is disabled.
    Waiting,
    Sent,
    /// Given up, or dropped by an operator.
    Dead,
    /// Another notification says it, or nobody is to be told any more.
    Superseded,
}

impl OutboxState {
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Dead => "dead",
            Self::Superseded => "superseded",
        }
    }
}

/// A notification as it stands; its payload stays in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotificationRow {
    pub id: String,
    pub channel: String,
    pub state: OutboxState,
    /// Event ids in their order.
    pub events: Vec<String>,
    pub created_at: Time,
    pub next_attempt_at: Time,
    /// Tries of the present schedule; an operator's retry starts over.
    pub tries: u32,
    /// All attempts ever begun.
    pub attempts: u32,
    pub crashes: u32,
    pub first_attempt_at: Option<Time>,
    /// At least one attempt was begun.
    pub told: bool,
    pub last_error: Option<String>,
    pub superseded_by: Option<String>,
    /// While it is pending: the earlier notification of its episodes that it waits for.
    pub behind: Option<Behind>,
}

/// A notification that goes before another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behind {
    pub id: String,
    pub next_attempt_at: Time,
    /// Recipients that took it.
    pub accepted: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttemptRow {
    pub n: u32,
    pub started_at: Time,
    /// None: under way, or its process died.
    pub ended_at: Option<Time>,
    /// The answer's word, or `crashed`.
    pub outcome: Option<String>,
    pub status: Option<u16>,
    pub note: Option<String>,
}

/// Which notifications; the default is the unfinished ones (pending, waiting).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OutboxFilter {
    pub all: bool,
    pub channel: Option<String>,
    /// The newest so many.
    pub limit: Option<u32>,
}

/// How full the outbox is (unfinished rows).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OutboxSize {
    pub rows: u64,
    pub bytes: u64,
}

impl OutboxSize {
    /// Above either limit the agent folds new notifications into digests; nothing is dropped.
    pub const MOST: Self = Self { rows: 100_000, bytes: 256 << 20 };

    pub const fn is_over(self, most: Self) -> bool {
        self.rows > most.rows || self.bytes > most.bytes
    }
}

/// The *fired* of the same channel and episode is dead, and nothing else tells it.
const FIRED_IS_DEAD: &str =
    "EXISTS (SELECT 1 FROM notification_event f JOIN notification d ON d.no = f.notification
        WHERE f.episode = e.episode AND f.kind = 'fired' AND d.channel = n.channel AND d.state = 'dead')
    AND NOT EXISTS (SELECT 1 FROM notification_event f JOIN notification d ON d.no = f.notification
        WHERE f.episode = e.episode AND f.kind = 'fired' AND d.channel = n.channel
        AND d.state IN ('pending', 'waiting', 'sent'))";

/// Why an *ended* was superseded with its *fired*; rows that were folded into another have no such reason.
pub(super) const SILENCED: &str = "the fired notification is dead";

/// Supersedes unfinished notifications that say nothing but the end of episodes whose *fired* is dead.
pub(super) fn silence_ends(c: &Connection, channel: &str, now: Time) -> Result<(), StoreError> {
    let update = format!(
        "UPDATE notification AS n SET state = 'superseded', finished_at = ?2, last_error = '{SILENCED}',
            superseded_by = (SELECT d.id FROM notification_event e JOIN notification_event f ON f.episode = e.episode
                AND f.kind = 'fired' JOIN notification d ON d.no = f.notification
                WHERE e.notification = n.no AND d.channel = n.channel AND d.state = 'dead' ORDER BY d.no LIMIT 1)
         WHERE n.channel = ?1 AND n.state IN ('pending', 'waiting') AND n.told = 0
            AND EXISTS (SELECT 1 FROM notification_event e WHERE e.notification = n.no)
            AND NOT EXISTS (SELECT 1 FROM notification_event e WHERE e.notification = n.no
                AND NOT (e.kind = 'ended' AND {FIRED_IS_DEAD}))"
    );
    c.prepare_cached(&update)?.execute(params![channel, now.millis()])?;
    Ok(())
}

/// The ids of the events in a notification that are ends of episodes whose *fired* is dead.
pub(super) fn unheard(c: &Connection, id: &str) -> Result<Vec<String>, StoreError> {
    let query = format!(
        "SELECT e.event FROM notification n JOIN notification_event e ON e.notification = n.no
         WHERE n.id = ?1 AND e.kind = 'ended' AND {FIRED_IS_DEAD}"
    );
    let mut query = c.prepare_cached(&query)?;
    Ok(query.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Adds a notification; one of the same id is there already and stays as it is. A disabled channel's rows wait.
pub(super) fn insert(c: &Connection, new: &NewNotification) -> Result<bool, StoreError> {
    let disabled = "SELECT disabled FROM channel WHERE name = ?1";
    let disabled: Option<bool> =
        c.prepare_cached(disabled)?.query_row([&new.channel], |r| r.get(0)).optional()?;
    let state = if disabled == Some(true) { "waiting" } else { "pending" };
    let mut insert = c.prepare_cached(
        "INSERT INTO notification (id, channel, state, created_at, next_attempt_at, bytes, payload)
         VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING RETURNING no",
    )?;
    let at = new.created_at.millis();
    let values = params![new.id, new.channel, state, at, new.payload.len() as i64, new.payload];
    let Some(no) = insert.query_row(values, |row| row.get::<_, i64>(0)).optional()? else {
        return Ok(false);
    };
    let mut event = c.prepare_cached("INSERT INTO notification_event VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut known = c.prepare_cached("SELECT kind, episode FROM event WHERE id = ?1")?;
    let mut ends = false;
    for (n, id) in new.events.iter().enumerate() {
        let found =
            known.query_row([id], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?))).optional()?;
        let (kind, episode) = found.unwrap_or_default();
        ends |= kind == "ended";
        event.execute(params![no, n as i64, id, kind, episode])?;
    }
    if ends {
        silence_ends(c, &new.channel, new.created_at)?;
    }
    // Nobody could render it: it is listed, and never sent.
    if new.payload.is_empty() {
        die(c, no, Some(NOT_IN_FILE), new.created_at)?;
    }
    Ok(true)
}

/// Gives a notification up.
pub(super) fn die(c: &Connection, no: i64, why: Option<&str>, now: Time) -> Result<(), StoreError> {
    let update =
        "UPDATE notification SET state = 'dead', finished_at = ?2, last_error = coalesce(?3, last_error)
                  WHERE no = ?1 RETURNING channel";
    let channel: String =
        c.prepare_cached(update)?.query_row(params![no, now.millis(), why], |row| row.get(0))?;
    silence_ends(c, &channel, now)
}

/// Number and state of the notification that a unique prefix names.
pub(super) fn find(c: &Connection, prefix: &str) -> Result<(i64, String, OutboxState), StoreError> {
    let id = by_prefix(c, "notification", "ntf_", prefix)?;
    let query = "SELECT no, state FROM notification WHERE id = ?1";
    let (no, state): (i64, String) = c.query_row(query, [&id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((no, id, serde_json::from_value(state.into())?))
}

/// Gives a notification up at an operator's wish.
pub(super) fn drop_one(c: &Connection, prefix: &str, now: Time) -> Result<(), StoreError> {
    let (no, id, state) = find(c, prefix)?;
    match state {
        OutboxState::Pending | OutboxState::Waiting | OutboxState::Dead => {
            die(c, no, Some("dropped by an operator"), now)
        }
        OutboxState::Sent | OutboxState::Superseded => {
            Err(StoreError::Refused(format!("{id} is {}; there is nothing to drop", state.word())))
        }
    }
}

const COLUMNS: &str = "no, id, channel, state, created_at, next_attempt_at, tries, attempts, crashes, \
                       first_attempt_at, told, last_error, superseded_by";

pub(super) fn events_of(c: &Connection, no: i64) -> Result<Vec<String>, StoreError> {
    let mut query =
        c.prepare_cached("SELECT event FROM notification_event WHERE notification = ?1 ORDER BY n")?;
    Ok(query.query_map([no], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

pub(super) fn episodes_of(c: &Connection, no: i64) -> Result<Vec<String>, StoreError> {
    let query = "SELECT DISTINCT episode FROM notification_event WHERE notification = ?1 AND episode <> ''";
    let mut query = c.prepare_cached(query)?;
    Ok(query.query_map([no], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn read(c: &Connection, row: &Row<'_>) -> Result<NotificationRow, StoreError> {
    let state = serde_json::from_value(row.get::<_, String>(3)?.into())?;
    Ok(NotificationRow {
        behind: if state == OutboxState::Pending { deliver::behind(c, row.get(0)?)? } else { None },
        events: events_of(c, row.get(0)?)?,
        id: row.get(1)?,
        channel: row.get(2)?,
        state,
        created_at: Time::from_millis(row.get(4)?),
        next_attempt_at: Time::from_millis(row.get(5)?),
        tries: row.get(6)?,
        attempts: row.get(7)?,
        crashes: row.get(8)?,
        first_attempt_at: row.get::<_, Option<i64>>(9)?.map(Time::from_millis),
        told: row.get(10)?,
        last_error: row.get(11)?,
        superseded_by: row.get(12)?,
    })
}

fn select(c: &Connection, condition: &str, values: &[&str]) -> Result<Vec<NotificationRow>, StoreError> {
    let mut query = c.prepare_cached(&format!("SELECT {COLUMNS} FROM notification {condition}"))?;
    let mut rows = query.query(rusqlite::params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(c, row)?);
    }
    Ok(found)
}

fn list(c: &Connection, filter: &OutboxFilter) -> Result<Vec<NotificationRow>, StoreError> {
    let state = if filter.all { "1" } else { "state IN ('pending', 'waiting')" };
    let limit = filter.limit.unwrap_or(u32::MAX);
    let (channel, values) = match &filter.channel {
        None => ("1", vec![]),
        Some(channel) => ("channel = ?1", vec![channel.as_str()]),
    };
    let mut rows =
        select(c, &format!("WHERE {state} AND {channel} ORDER BY no DESC LIMIT {limit}"), &values)?;
    rows.reverse();
    Ok(rows)
}

fn attempts(c: &Connection, id: &str) -> Result<Vec<AttemptRow>, StoreError> {
    let mut query = c.prepare_cached(
        "SELECT a.n, a.started_at, a.ended_at, a.outcome, a.status, a.note FROM attempt a
         JOIN notification n ON n.no = a.notification WHERE n.id = ?1 ORDER BY a.n",
    )?;
    let rows = query.query_map([id], |row| {
        Ok(AttemptRow {
            n: row.get(0)?,
            started_at: Time::from_millis(row.get(1)?),
            ended_at: row.get::<_, Option<i64>>(2)?.map(Time::from_millis),
            outcome: row.get(3)?,
            status: row.get(4)?,
            note: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn size(c: &Connection) -> Result<OutboxSize, StoreError> {
    let query =
        "SELECT count(*), coalesce(sum(bytes), 0) FROM notification WHERE state IN ('pending', 'waiting')";
    Ok(c.query_row(query, [], |row| {
        Ok(OutboxSize {
            rows: row.get::<_, i64>(0)?.cast_unsigned(),
            bytes: row.get::<_, i64>(1)?.cast_unsigned(),
        })
    })?)
}

impl Store {
    pub fn outbox_size(&self) -> Pending<OutboxSize> {
        self.read(size)
    }

    /// A dead notification goes again, with the same id and payload; refused for finished ones.
    pub fn retry(&self, notification: &str, now: Time) -> Pending<()> {
        let id = notification.to_owned();
        self.write(move |c| retry::again(c, &id, now))
    }

    /// Gives an unfinished notification up; its channel is not told the end of what it would have told.
    pub fn drop_notification(&self, notification: &str, now: Time) -> Pending<()> {
        let id = notification.to_owned();
        self.write(move |c| drop_one(c, &id, now))
    }
}

impl Reader {
    /// Oldest first.
    pub fn outbox(&self, filter: &OutboxFilter) -> Result<Vec<NotificationRow>, StoreError> {
        self.run(|c| list(c, filter))
    }

    /// The notification that a unique prefix names, and its attempts, oldest first.
    pub fn notification(&self, prefix: &str) -> Result<(NotificationRow, Vec<AttemptRow>), StoreError> {
        self.run(|c| {
            let (_, id, _) = find(c, prefix)?;
            let row = select(c, "WHERE id = ?1", &[&id])?.pop();
            let row = row.ok_or_else(|| StoreError::missing(format!("notification {id}")))?;
            Ok((row, attempts(c, &id)?))
        })
    }

    /// What was stored to be sent.
    pub fn payload(&self, notification: &str) -> Result<Vec<u8>, StoreError> {
        self.run(|c| {
            let (no, ..) = find(c, notification)?;
            Ok(c.query_row("SELECT payload FROM notification WHERE no = ?1", [no], |row| row.get(0))?)
        })
    }

    /// The notifications that carry events of an episode, oldest first, each with its attempts.
    pub fn notifications(
        &self,
        episode: &str,
    ) -> Result<Vec<(NotificationRow, Vec<AttemptRow>)>, StoreError> {
        self.run(|c| {
            let of =
                "WHERE no IN (SELECT notification FROM notification_event WHERE episode = ?1) ORDER BY no";
            let rows = select(c, of, &[episode])?;
            rows.into_iter().map(|row| Ok((row.clone(), attempts(c, &row.id)?))).collect()
        })
    }
}
