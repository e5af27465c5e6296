//! How each channel fares: its last answer, whether it is disabled, and what that means for the rows that wait.
//!
//! Neighbours: `deliver` notes each answer here, `tend` asks for `agent/channel`. A part of its own because a channel
//! outlives its notifications, and because opening it again moves many rows at once.

use rusqlite::{Connection, params};

use super::deliver::{Finish, Then};
use super::error::StoreError;
use super::{Pending, Reader, Store, outbox};
use crate::engine::backoff::Answer;
use crate::engine::time::{Span, Time};

/// Failures in a row after which rows may wait for long. One alone may be the row's own fault.
const LONG_FAILING: u32 = 2;
/// A channel that works again is not flooded with what waited.
const APART: Span = Span::from_millis(200);

/// How a channel fares, for `agent/channel`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelHealth {
    pub channel: String,
    pub answer: Answer,
    /// Since when answers have been of this kind.
    pub since: Time,
    /// Attempts in a row that failed.
    pub failing: u32,
    pub disabled: bool,
    pub last_at: Time,
    /// The HTTP status or SMTP code of the last answer.
    pub status: Option<u16>,
    /// The last attempt was the last one for its notification.
    pub dead: bool,
    pub last_error: Option<String>,
}

/// Keeps count of a channel's answers.
pub(super) fn fare(c: &Connection, channel: &str, end: &Finish, answer: &str) -> Result<(), StoreError> {
    let failed = end.answer != Answer::Sent;
    let mut upsert = c.prepare_cached(
        "INSERT INTO channel (name, answer, since, failing, last_at, last_error, status, dead)
         VALUES (?1, ?2, ?3, ?4, ?3, ?5, ?6, ?7)
         ON CONFLICT (name) DO UPDATE SET since = CASE WHEN answer = excluded.answer THEN since ELSE excluded.since END,
            answer = excluded.answer, failing = CASE WHEN ?4 THEN failing + 1 ELSE 0 END,
            last_at = excluded.last_at, last_error = excluded.last_error, status = excluded.status,
            dead = excluded.dead",
    )?;
    let note = failed.then_some(&end.note);
    let dead = end.then == Then::Dead;
    upsert.execute(params![channel, answer, end.ended_at.millis(), failed, note, end.status, dead])?;
    Ok(())
}

/// It took a notification for some of its recipients: nothing was decided, and it is not one that takes nothing.
pub(super) fn reached(c: &Connection, channel: &str, now: Time) -> Result<(), StoreError> {
    let update = "UPDATE channel SET failing = 0, since = ?2, last_at = ?2 WHERE name = ?1";
    c.prepare_cached(update)?.execute(params![channel, now.millis()])?;
    Ok(())
}

/// The channel's rows wait until [`Store::enable_channel`].
pub(super) fn disable(c: &Connection, channel: &str, now: Time) -> Result<(), StoreError> {
    let mut upsert = c.prepare_cached(
        "INSERT INTO channel (name, disabled, answer, since, failing, last_at) VALUES (?1, 1, 'gone', ?2, 1, ?2)
         ON CONFLICT (name) DO UPDATE SET disabled = 1",
    )?;
    upsert.execute(params![channel, now.millis()])?;
    c.execute(
        "UPDATE notification SET state = 'waiting' WHERE channel = ?1 AND state = 'pending'",
        [channel],
    )?;
    Ok(())
}

pub(super) fn enable(c: &Connection, channel: &str, now: Time) -> Result<(), StoreError> {
    c.execute("UPDATE channel SET disabled = 0 WHERE name = ?1", [channel])?;
    let update = "UPDATE notification SET state = 'pending', next_attempt_at = ?2
                  WHERE channel = ?1 AND state = 'waiting'";
    c.execute(update, params![channel, now.millis()])?;
    Ok(())
}

fn give_up_channels_but(c: &Connection, known: &[String], why: &str, now: Time) -> Result<u64, StoreError> {
    let query = "SELECT no, channel FROM notification WHERE state IN ('pending', 'waiting')";
    let mut query = c.prepare_cached(query)?;
    let rows = query.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let lost = rows.into_iter().filter(|(_, channel)| !known.contains(channel));
    let mut given_up = 0;
    // One that dies takes the ends along that nobody is to hear; they are not given up for themselves.
    let mut open =
        c.prepare_cached("SELECT 1 FROM notification WHERE no = ?1 AND state IN ('pending', 'waiting')")?;
    for (no, _) in lost {
        if !open.exists([no])? {
            continue;
        }
        outbox::die(c, no, Some(why), now)?;
        given_up += 1;
    }
    Ok(given_up)
}

fn refresh(c: &Connection, now: Time) -> Result<(), StoreError> {
    c.execute("UPDATE channel SET disabled = 0", [])?;
    let update = "UPDATE notification SET state = 'pending', next_attempt_at = ?1
                  WHERE state IN ('pending', 'waiting')";
    c.execute(update, [now.millis()])?;
    Ok(())
}

/// Rows that wait because the channel took nothing are due: the oldest now, each next one a little later.
fn wake(c: &Connection, channel: &str, now: Time) -> Result<(), StoreError> {
    let update = "UPDATE notification SET next_attempt_at = ?2 + ?3 * before FROM
        (SELECT no AS waiting, row_number() OVER (ORDER BY no) - 1 AS before FROM notification
            WHERE channel = ?1 AND state = 'pending' AND last_answer IN ('retry', 'misconfigured') AND accepted = '[]')
        WHERE (SELECT failing FROM channel WHERE name = ?1) >= ?4 AND no = waiting AND next_attempt_at > ?2 + ?3 * before";
    c.prepare_cached(update)?.execute(params![channel, now.millis(), APART.millis(), LONG_FAILING])?;
    Ok(())
}

fn health(c: &Connection) -> Result<Vec<ChannelHealth>, StoreError> {
    let query = "SELECT name, answer, since, failing, disabled, last_at, last_error, status, dead FROM channel ORDER BY name";
    let mut query = c.prepare_cached(query)?;
    let mut rows = query.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(ChannelHealth {
            channel: row.get(0)?,
            answer: serde_json::from_value(row.get::<_, String>(1)?.into())?,
            since: Time::from_millis(row.get(2)?),
            failing: row.get(3)?,
            disabled: row.get(4)?,
            last_at: Time::from_millis(row.get(5)?),
            last_error: row.get(6)?,
            status: row.get(7)?,
            dead: row.get(8)?,
        });
    }
    Ok(found)
}

impl Store {
    /// The channels' settings were read again: what waited for them to be mended is due now.
    pub fn refresh_channels(&self, now: Time) -> Pending<()> {
        self.write(move |c| refresh(c, now))
    }

    /// Gives up what is unfinished for channels other than `known`; returns how many.
    pub fn give_up_channels_but(&self, known: Vec<String>, why: &'static str, now: Time) -> Pending<u64> {
        self.write(move |c| give_up_channels_but(c, &known, why, now))
    }

    /// To be called when the channel takes something, before that is written: if it failed until now, what it did not
    /// take is not kept waiting for the next try.
    pub fn wake_channel(&self, channel: &str, now: Time) -> Pending<()> {
        let channel = channel.to_owned();
        self.write(move |c| wake(c, &channel, now))
    }

    pub fn channel_health(&self) -> Pending<Vec<ChannelHealth>> {
        self.read(health)
    }

    pub fn enable_channel(&self, channel: &str, now: Time) -> Pending<()> {
        let channel = channel.to_owned();
        self.write(move |c| enable(c, &channel, now))
    }
}

impl Reader {
    pub fn channel_health(&self) -> Result<Vec<ChannelHealth>, StoreError> {
        self.run(health)
    }
}
