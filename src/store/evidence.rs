//! Which of the vendor's answers a reading came from: the ids of requests and when they arrived.
//!
//! Neighbours: `polls` writes them with each poll, `retention` takes them back. A part of its own because two kinds
//! are kept for different times, each packed by poll: what breaches rest on stays as long as events do; the rest only while
//! somebody may still ask.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use super::answers;
use super::codec;
use super::error::StoreError;
use super::{Reader, source};
use crate::engine::event::OnlineClient;
use crate::engine::outcome::PollRow;
use crate::engine::reading::{Batch, Reading};
use crate::engine::request_id::RequestId;
use crate::engine::time::Time;

/// The answer that stated a user's reading at a poll.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    pub seq: u64,
    pub at: Time,
    pub fetched_at: Time,
    pub request_id: Option<RequestId>,
    /// The user's connections, where they were asked for and differed from those listed before.
    pub clients: Option<Vec<OnlineClient>>,
}

fn request_value(id: Option<&RequestId>) -> Value {
    let text = |id: &RequestId| Value::Text(id.text().into_owned());
    id.map_or(Value::Null, |id| id.uuid().map_or_else(|| text(id), |bytes| Value::Blob(bytes.to_vec())))
}

fn request_text(value: ValueRef<'_>) -> Option<RequestId> {
    match value {
        ValueRef::Blob(bytes) => bytes.try_into().ok().map(RequestId::of_uuid),
        ValueRef::Text(text) => Some((*String::from_utf8_lossy(text)).into()),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    }
}

pub(super) fn insert(c: &Connection, source: i64, row: &PollRow) -> Result<(), StoreError> {
    let poll = &row.poll;
    let (seq, at) = (poll.seq.cast_signed(), poll.at.millis());
    let mut insert = c.prepare_cached(
        "INSERT OR IGNORE INTO evidence (source, seq, slot, at, fetched_at, request_id, clients)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    // Those with a list of connections have rows of their own besides.
    for (slot, clients) in row.clients.iter().filter(|(slot, _)| row.evidence.binary_search(slot).is_ok()) {
        if let Some(batch) = poll.batch(*slot) {
            let id = request_value(batch.request_id.as_ref());
            let clients = serde_json::to_string(clients)?;
            insert.execute(params![source, seq, slot, at, batch.fetched_at.millis(), id, clients])?;
        }
    }
    let changed = answers::pack(poll, row.changes.iter().map(|(slot, _)| *slot));
    if !changed.is_empty() {
        let insert = "INSERT INTO reply (source, seq, at, replies) VALUES (?1, ?2, ?3, ?4)";
        c.prepare_cached(insert)?.execute(params![source, seq, at, changed])?;
    }
    let basis = answers::pack_with(poll, &row.evidence);
    if !basis.is_empty() {
        let insert = "INSERT INTO basis (source, seq, at, answers) VALUES (?1, ?2, ?3, ?4)";
        c.prepare_cached(insert)?.execute(params![source, seq, at, basis])?;
    }
    Ok(())
}

fn of_changes(
    c: &Connection,
    source: i64,
    slot: u32,
    from: Time,
    to: Time,
) -> Result<Vec<Evidence>, StoreError> {
    let mut query = c.prepare_cached(
        "SELECT r.seq, r.at, r.replies, p.changes FROM reply r JOIN poll p ON p.source = r.source AND p.seq = r.seq
         WHERE r.source = ?1 AND r.at >= ?2 AND r.at < ?3 ORDER BY r.seq",
    )?;
    let mut rows = query.query(params![source, from.millis(), to.millis()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (seq, at): (i64, Time) = (row.get(0)?, Time::from_millis(row.get(1)?));
        let broken = |_| broken(seq);
        let changes: Option<Vec<u8>> = row.get(3)?;
        let (mut nth, mut here) = (0, false);
        codec::each_change(&changes.unwrap_or_default(), |s, _: Reading| {
            here = s == slot;
            nth += usize::from(s < slot);
            s < slot
        })
        .map_err(broken)?;
        if here && let Some(batch) = answers::unpack(&row.get::<_, Vec<u8>>(2)?, at, nth).map_err(broken)? {
            let Batch { fetched_at, request_id } = batch;
            found.push(Evidence { seq: seq.cast_unsigned(), at, fetched_at, request_id, clients: None });
        }
    }
    Ok(found)
}

fn of_breaches(
    c: &Connection,
    source: i64,
    slot: u32,
    from: Time,
    to: Time,
) -> Result<Vec<Evidence>, StoreError> {
    let query = "SELECT seq, at, answers FROM basis WHERE source = ?1 AND at >= ?2 AND at < ?3";
    let mut query = c.prepare_cached(query)?;
    let mut rows = query.query(params![source, from.millis(), to.millis()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (seq, at): (i64, Time) = (row.get(0)?, Time::from_millis(row.get(1)?));
        let packed = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        let batch = answers::find(packed, at, slot).map_err(|_| broken(seq))?;
        if let Some(Batch { fetched_at, request_id }) = batch {
            found.push(Evidence { seq: seq.cast_unsigned(), at, fetched_at, request_id, clients: None });
        }
    }
    Ok(found)
}

pub(super) fn broken(seq: i64) -> StoreError {
    StoreError::unreadable(format!("the answers of poll {seq}"), "no list of answers")
}

impl Reader {
    /// The answers behind a user's changes and breaches at polls with `from <= at < to`, oldest first; only changes
    /// of the last `retention.requests` have theirs.
    pub fn evidence(
        &self,
        source: &str,
        user: &str,
        from: Time,
        to: Time,
    ) -> Result<Vec<Evidence>, StoreError> {
        self.run(|c| {
            let row = source::expect(c, source)?;
            let Some(slot) = source::slot(c, row.id, user)? else {
                return Err(StoreError::missing(format!("user {user:?} in source {source}")));
            };
            let mut found = of_changes(c, row.id, slot, from, to)?;
            found.extend(of_breaches(c, row.id, slot, from, to)?);
            let mut query = c.prepare_cached(
                "SELECT seq, at, fetched_at, request_id, clients FROM evidence
                 WHERE source = ?1 AND slot = ?2 AND at >= ?3 AND at < ?4",
            )?;
            let mut rows = query.query(params![row.id, slot, from.millis(), to.millis()])?;
            while let Some(r) = rows.next()? {
                let clients: Option<String> = r.get(4)?;
                found.push(Evidence {
                    seq: r.get::<_, i64>(0)?.cast_unsigned(),
                    at: Time::from_millis(r.get(1)?),
                    fetched_at: Time::from_millis(r.get(2)?),
                    request_id: request_text(r.get_ref(3)?),
                    clients: clients.map(|json| serde_json::from_str(&json)).transpose()?,
                });
            }
            // Of two rows of one poll the one with connections stays.
            found.sort_by_key(|e| (e.seq, e.clients.is_none()));
            found.dedup_by_key(|e| e.seq);
            Ok(found)
        })
    }

    /// The answer behind one user's reading at one poll, while it is kept.
    pub fn evidence_of(&self, source: &str, user: &str, seq: u64) -> Result<Option<Evidence>, StoreError> {
        let at = self.run(|c| {
            let row = source::expect(c, source)?;
            let query = "SELECT at FROM poll WHERE source = ?1 AND seq = ?2";
            let at = c.query_row(query, params![row.id, seq.cast_signed()], |r| r.get::<_, i64>(0));
            Ok(at.optional()?.map(Time::from_millis))
        })?;
        let Some(at) = at else { return Ok(None) };
        let near = self.evidence(source, user, at, Time::from_millis(at.millis() + 1))?;
        Ok(near.into_iter().find(|e| e.seq == seq))
    }
}
