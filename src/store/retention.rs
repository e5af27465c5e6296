//! Forgetting in time: old readings, answers, events, attempts, in batches small enough to hold nobody up.
//!
//! Neighbours: `column` makes the keyframe that pruned readings end at, `chain` keeps the anchor that pruned events
//! leave. A part of its own because what is still needed must be asked of every table before a row goes.

use rusqlite::{Connection, params};

use super::chain::{self, Hash};
use super::connection::PATIENCE;
use super::error::StoreError;
use super::outbox::SILENCED;
use super::source::{self, Row};
use super::{Pending, Store, column, roster};
use crate::engine::time::{Span, Time};

/// A keyframe holds all users, and so takes about as long to take away as this many rows of other kinds.
const FRAME: u32 = 20;

/// How long things are kept; `agent.retention`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    pub readings: Span,
    /// Events, episodes, acts, finished notifications, and the answers that breaches rest on.
    pub events: Span,
    /// Attempts, and payloads of finished notifications.
    pub attempts: Span,
    /// The answers behind other changes.
    pub requests: Span,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            readings: Span::from_days(400),
            events: Span::from_days(3 * 365),
            attempts: Span::from_days(90),
            requests: Span::from_days(7),
        }
    }
}

/// What one batch took away; `more`: call again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    pub polls: u64,
    pub replies: u64,
    pub events: u64,
    pub notifications: u64,
    pub attempts: u64,
    pub more: bool,
}

fn delete(
    c: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
    pruned: &mut Pruned,
    batch: u32,
) -> Result<u64, StoreError> {
    let count = c.prepare_cached(sql)?.execute(values)? as u64;
    pruned.more |= count >= u64::from(batch);
    Ok(count)
}

/// Readings from before `cutoff` can no longer be told, up to a keyframe; where none is near, one is made.
fn move_first(c: &Connection, name: &str, cutoff: Time) -> Result<Row, StoreError> {
    let row = source::expect(c, name)?;
    let query = "SELECT max(seq) FROM poll WHERE source = ?1 AND at < ?2 AND seq > ?3 AND seq < ?4";
    let (first, last) = (row.first_seq.cast_signed(), row.last_seq.cast_signed());
    let values = params![row.id, cutoff.millis(), first, last];
    let Some(target) = c.query_row(query, values, |r| r.get::<_, Option<i64>>(0))? else {
        return Ok(row);
    };
    let query = "SELECT max(seq) FROM keyframe WHERE source = ?1 AND seq <= ?2 AND seq > ?3";
    let framed = c.query_row(query, params![row.id, target, first], |r| r.get::<_, Option<i64>>(0))?;
    let day = "SELECT at < ?3 FROM poll WHERE source = ?1 AND seq = ?2";
    let old = (cutoff - Span::from_days(1)).millis();
    let far = |seq: i64| c.query_row(day, params![row.id, seq, old], |r| r.get::<_, bool>(0));
    let new = match framed {
        Some(framed) => framed,
        None if !far(first)? => return Ok(row),
        None => {
            let kept = column::kept(c, &row, target.cast_unsigned())?;
            column::put_keyframe(c, row.id, target.cast_unsigned(), &kept)?;
            target
        }
    };
    c.execute("UPDATE source SET first_seq = ?2 WHERE id = ?1", params![row.id, new])?;
    Ok(Row { first_seq: new.cast_unsigned(), ..row })
}

fn readings(c: &Connection, cutoff: Time, batch: u32, pruned: &mut Pruned) -> Result<(), StoreError> {
    let mut names = c.prepare("SELECT name FROM source")?;
    let names = names.query_map([], |r| r.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for name in names {
        let row = move_first(c, &name, cutoff)?;
        let polls = "DELETE FROM poll WHERE source = ?1 AND seq IN
                     (SELECT seq FROM poll WHERE source = ?1 AND seq < ?2 ORDER BY seq LIMIT ?3)";
        let first = row.first_seq.cast_signed();
        pruned.polls += delete(c, polls, params![row.id, first, batch], pruned, batch)?;
        let framed = "DELETE FROM keyframe WHERE source = ?1 AND seq IN
                      (SELECT seq FROM keyframe WHERE source = ?1 AND seq < ?2 ORDER BY seq LIMIT ?3)";
        let few = batch.div_ceil(FRAME);
        delete(c, framed, params![row.id, first, few], pruned, few)?;
        let replies = "DELETE FROM reply WHERE source = ?1 AND seq IN
                       (SELECT seq FROM reply WHERE source = ?1 AND seq < ?2 ORDER BY seq LIMIT ?3)";
        pruned.replies += delete(c, replies, params![row.id, first, batch], pruned, batch)?;
        pruned.more |= roster::prune(c, row.id, first, batch)? >= u64::from(batch);
    }
    Ok(())
}

fn take(
    c: &Connection,
    chain: &str,
    chosen: &str,
    values: impl rusqlite::Params,
    now: Time,
) -> Result<u64, StoreError> {
    let mut query = c.prepare(chosen)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let taken = query.query_map(values, read)?.collect::<Result<Vec<(i64, Hash)>, _>>()?;
    chain::anchor(c, chain, &taken, now)?;
    let mut delete = c.prepare(&format!("DELETE FROM {chain} WHERE no = ?1"))?;
    for (no, _) in &taken {
        delete.execute([no])?;
    }
    Ok(taken.len() as u64)
}

/// An episode whose events are kept fired on the answers of row `b`.
const GROUNDS: &str =
    "EXISTS (SELECT 1 FROM episode e JOIN source s ON s.name = e.source WHERE s.id = b.source
    AND (e.ended_at IS NULL OR e.ended_at >= ?1) AND b.at BETWEEN e.since AND e.fired_at)";

/// Events of episodes that ended before `cutoff`; an open episode keeps all of its own.
fn events(
    c: &Connection,
    cutoff: Time,
    now: Time,
    batch: u32,
    pruned: &mut Pruned,
) -> Result<(), StoreError> {
    let old = "SELECT no, hash FROM event WHERE at < ?1 AND NOT EXISTS (SELECT 1 FROM episode e
        WHERE e.id = event.episode AND (e.ended_at IS NULL OR e.ended_at >= ?1)) ORDER BY no LIMIT ?2";
    let cut = cutoff.millis();
    let taken = take(c, "event", old, params![cut, batch], now)?;
    let acts = "SELECT no, hash FROM act WHERE at < ?1 AND done IS NOT NULL ORDER BY no LIMIT ?2";
    let acted = take(c, "act", acts, params![cut, batch], now)?;
    pruned.events += taken;
    pruned.more |= taken.max(acted) >= u64::from(batch);
    let episodes = "DELETE FROM episode WHERE id IN (SELECT id FROM episode e WHERE ended_at < ?1
        AND NOT EXISTS (SELECT 1 FROM event v WHERE v.episode = e.id) LIMIT ?2)";
    delete(c, episodes, params![cut, batch], pruned, batch)?;
    let evidence = format!(
        "DELETE FROM evidence WHERE (source, slot, seq) IN
        (SELECT source, slot, seq FROM evidence b WHERE at < ?1 AND NOT {GROUNDS} LIMIT ?2)"
    );
    delete(c, &evidence, params![cut, batch], pruned, batch)?;
    // Moves find in it what they rest on.
    let basis = format!(
        "DELETE FROM basis WHERE (source, seq) IN (SELECT source, seq FROM basis b WHERE at < ?1
        AND NOT EXISTS (SELECT 1 FROM move m WHERE m.source = b.source AND m.seq = b.seq)
        AND NOT {GROUNDS} LIMIT ?2)"
    );
    delete(c, &basis, params![cut, batch], pruned, batch)?;
    // Who was told that an episode began is told its end: as long as one may be told of, or is listed, it is known who was.
    let notifications = "DELETE FROM notification WHERE no IN
        (SELECT no FROM notification n WHERE finished_at < ?1 AND NOT EXISTS (SELECT 1 FROM notification_event v
            JOIN episode e ON e.id = v.episode WHERE v.notification = n.no
            AND (e.ended_at IS NULL OR e.ended_at >= ?1
                OR EXISTS (SELECT 1 FROM event w WHERE w.episode = e.id))) LIMIT ?2)";
    pruned.notifications += delete(c, notifications, params![cut, batch], pruned, batch)?;
    Ok(())
}

fn attempts(c: &Connection, cutoff: Time, batch: u32, pruned: &mut Pruned) -> Result<(), StoreError> {
    let old = "DELETE FROM attempt WHERE (notification, n) IN (SELECT a.notification, a.n FROM attempt a
        JOIN notification t ON t.no = a.notification WHERE t.finished_at < ?1 AND a.ended_at < ?1 LIMIT ?2)";
    pruned.attempts += delete(c, old, params![cutoff.millis(), batch], pruned, batch)?;
    // Dead ones keep theirs: they can still be retried, and then bring back the ends that they silenced.
    let payloads = format!(
        "UPDATE notification SET payload = x'' WHERE no IN (SELECT no FROM notification WHERE finished_at < ?1
            AND (state = 'sent' OR (state = 'superseded' AND last_error IS NOT '{SILENCED}'))
            AND length(payload) > 0 LIMIT ?2)"
    );
    delete(c, &payloads, params![cutoff.millis(), batch], pruned, batch)?;
    Ok(())
}

fn prune(c: &Connection, now: Time, retention: &Retention, batch: u32) -> Result<Pruned, StoreError> {
    let mut pruned = Pruned::default();
    readings(c, now - retention.readings, batch, &mut pruned)?;
    let replies = "DELETE FROM reply WHERE id IN (SELECT id FROM reply WHERE at < ?1 LIMIT ?2)";
    let cut = (now - retention.requests).millis();
    pruned.replies += delete(c, replies, params![cut, batch], &mut pruned, batch)?;
    events(c, now - retention.events, now, batch, &mut pruned)?;
    attempts(c, now - retention.attempts, batch, &mut pruned)?;
    Ok(pruned)
}

/// Gives free pages back, a few at a time.
fn vacuum(c: &Connection) -> Result<(), StoreError> {
    let mut query = c.prepare("PRAGMA incremental_vacuum(2000)")?;
    let mut rows = query.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

impl Store {
    /// One batch: at most `batch` rows of each kind in one transaction. Call it again while `more`.
    pub fn prune(&self, now: Time, retention: Retention, batch: u32) -> Pending<Pruned> {
        Pending(self.writer.run(move |writer| {
            let pruned = writer.transaction(PATIENCE, |c| prune(c, now, &retention, batch.max(1)))?;
            vacuum(writer.connection()?)?;
            Ok(pruned)
        }))
    }
}
