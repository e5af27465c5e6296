//! Which of the vendor's answers a reading came from: the ids of requests and when they arrived.
//!
//! Neighbours: `polls` writes them with each poll, `retention` takes them back. A part of its own because two kinds
//! are kept for different times: what a breach rests on stays as long as events do, one row each; the rest, packed
//! per poll, only while somebody may still ask.

use data_encoding::HEXUPPER;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params};

use super::codec::{self, Cursor, Malformed};
use super::error::StoreError;
use super::{Reader, source};
use crate::engine::event::OnlineClient;
use crate::engine::outcome::PollRow;
use crate::engine::reading::{Batch, Reading, RequestId};
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

/// The 16 bytes of an upper-case UUID as the vendor writes it; none for any other text.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = HEXUPPER.decode(text.replace('-', "").as_bytes()).ok()?;
    let bytes: [u8; 16] = bytes.try_into().ok()?;
    (uuid_text(bytes) == text).then_some(bytes)
}

fn uuid_text(bytes: [u8; 16]) -> String {
    let hex = HEXUPPER.encode(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn request_value(id: Option<&str>) -> Value {
    match id {
        None => Value::Null,
        Some(text) => uuid(text).map_or_else(|| Value::Text(text.to_owned()), |b| Value::Blob(b.to_vec())),
    }
}

fn request_text(value: ValueRef<'_>) -> Option<RequestId> {
    match value {
        ValueRef::Blob(bytes) => bytes.try_into().ok().map(uuid_text).map(Into::into),
        ValueRef::Text(text) => Some((*String::from_utf8_lossy(text)).into()),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    }
}

pub(super) fn insert(c: &Connection, source: i64, row: &PollRow) -> Result<(), StoreError> {
    let poll = &row.poll;
    let mut insert = c.prepare_cached(
        "INSERT OR IGNORE INTO evidence (source, seq, slot, at, fetched_at, request_id, clients)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for &slot in &row.evidence {
        if let Some(batch) = poll.batch(slot) {
            let id = request_value(batch.request_id.as_deref());
            let (seq, at) = (poll.seq.cast_signed(), poll.at.millis());
            let listed = row.clients.binary_search_by_key(&slot, |(slot, _)| *slot).ok();
            let clients = listed.map(|n| serde_json::to_string(&row.clients[n].1)).transpose()?;
            insert.execute(params![source, seq, slot, at, batch.fetched_at.millis(), id, clients])?;
        }
    }
    let packed = pack(row);
    if !packed.is_empty() {
        let insert = "INSERT INTO reply (source, seq, at, replies) VALUES (?1, ?2, ?3, ?4)";
        c.prepare_cached(insert)?.execute(params![
            source,
            poll.seq.cast_signed(),
            poll.at.millis(),
            packed
        ])?;
    }
    Ok(())
}

/// Those batches that a change came from, then for each change its batch: 0 for none, else its place plus one, as
/// the difference from the one before.
fn pack(row: &PollRow) -> Vec<u8> {
    let batch_of = |slot: u32| {
        let batch = *row.poll.batch_of.get(slot as usize)?;
        row.poll.batches.get(batch as usize).map(|_| batch)
    };
    let mut used: Vec<u32> = row.changes.iter().filter_map(|(slot, _)| batch_of(*slot)).collect();
    used.sort_unstable();
    used.dedup();
    if used.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::new();
    codec::put(&mut out, used.len() as u64);
    for &batch in &used {
        put_batch(&mut out, &row.poll.batches[batch as usize], row.poll.at);
    }
    let mut before = 0_i64;
    for (slot, _) in &row.changes {
        let place = batch_of(*slot).and_then(|b| used.binary_search(&b).ok()).map_or(0, |p| p as i64 + 1);
        codec::put_signed(&mut out, place - before);
        before = place;
    }
    out
}

/// Length of the id's text plus two; 0 means none and 1 a UUID.
fn put_batch(out: &mut Vec<u8>, batch: &Batch, at: Time) {
    match batch.request_id.as_deref().map(|text| (text, uuid(text))) {
        None => codec::put(out, 0),
        Some((_, Some(bytes))) => {
            codec::put(out, 1);
            out.extend(bytes);
        }
        Some((text, None)) => {
            codec::put(out, text.len() as u64 + 2);
            out.extend(text.as_bytes());
        }
    }
    codec::put_signed(out, batch.fetched_at.since(at).millis());
}

fn read_batch(cursor: &mut Cursor<'_>, at: Time) -> Result<Batch, Malformed> {
    let request_id = match cursor.small()? {
        0 => None,
        1 => Some(uuid_text(cursor.bytes(16)?.try_into().map_err(|_| Malformed)?).into()),
        len => Some((*String::from_utf8_lossy(cursor.bytes(len as usize - 2)?)).into()),
    };
    let fetched_at = Time::from_millis(at.millis().wrapping_add(cursor.signed()?));
    Ok(Batch { fetched_at, request_id })
}

/// The batch behind the change numbered `nth` of a poll.
fn unpack(packed: &[u8], at: Time, nth: usize) -> Result<Option<Batch>, Malformed> {
    let mut cursor = Cursor(packed);
    let count = cursor.small()?;
    let batches = (0..count).map(|_| read_batch(&mut cursor, at)).collect::<Result<Vec<_>, _>>()?;
    let mut place = 0_i64;
    for _ in 0..=nth {
        place = place.checked_add(cursor.signed()?).ok_or(Malformed)?;
    }
    Ok(usize::try_from(place - 1).ok().and_then(|p| batches.get(p).cloned()))
}

fn packed_for(
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
        let broken = |_| StoreError::unreadable(format!("the answers of poll {seq}"), "no list of answers");
        let changes: Option<Vec<u8>> = row.get(3)?;
        let (mut nth, mut here) = (0, false);
        codec::each_change(&changes.unwrap_or_default(), |s, _: Reading| {
            here = s == slot;
            nth += usize::from(s < slot);
            s < slot
        })
        .map_err(broken)?;
        if here && let Some(batch) = unpack(&row.get::<_, Vec<u8>>(2)?, at, nth).map_err(broken)? {
            let Batch { fetched_at, request_id } = batch;
            found.push(Evidence { seq: seq.cast_unsigned(), at, fetched_at, request_id, clients: None });
        }
    }
    Ok(found)
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
            let mut found = packed_for(c, row.id, slot, from, to)?;
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
