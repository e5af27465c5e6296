//! Delivering: what is due, attempts begun and finished, crashes, folding, and how each channel fares.
//!
//! Neighbours: `outbox` holds the rows, the agent's deliver loop calls these verbs around each send. A part of its
//! own because what was told is known only if an attempt is written before the send and closed after it.

use rusqlite::{Connection, Row, params};

use super::error::StoreError;
use super::outbox::{self, Behind, OutboxState};
use super::{Pending, Store, channels, retry};
use crate::engine::backoff::{Answer, LONGEST_WAIT};
use crate::engine::outcome::NewNotification;
use crate::engine::time::Time;

/// Crashes inside one send after which a notification is given up.
const MOST_CRASHES: u32 = 3;

/// A notification that may be sent now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    pub id: String,
    pub channel: String,
    pub payload: Vec<u8>,
    /// Event ids in their order.
    pub events: Vec<String>,
    /// The episodes they are of, each once.
    pub episodes: Vec<String>,
    pub created_at: Time,
    pub next_attempt_at: Time,
    pub tries: u32,
    pub crashes: u32,
    pub first_attempt_at: Option<Time>,
    /// An attempt was begun before: it must not be folded into another.
    pub told: bool,
    /// Recipients that took it over in earlier attempts.
    pub accepted: Vec<String>,
    /// Earlier notifications of its episodes wait for the rest of their recipients: these took all of them. None if
    /// none is in its way.
    pub only: Option<Vec<String>>,
}

/// What becomes of a notification after an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    Sent,
    At(Time),
    Dead,
    /// The channel is disabled; its rows wait.
    Wait,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finish {
    pub ended_at: Time,
    pub answer: Answer,
    pub status: Option<u16>,
    /// One line, fit to be shown.
    pub note: String,
    /// All recipients that have taken it over so far.
    pub accepted: Vec<String>,
    pub then: Then,
}

const COLUMNS: &str = "no, id, channel, payload, created_at, next_attempt_at, tries, crashes, first_attempt_at, \
                       told, accepted";

fn read(c: &Connection, row: &Row<'_>) -> Result<Due, StoreError> {
    Ok(Due {
        events: outbox::events_of(c, row.get(0)?)?,
        episodes: outbox::episodes_of(c, row.get(0)?)?,
        id: row.get(1)?,
        channel: row.get(2)?,
        payload: row.get(3)?,
        created_at: Time::from_millis(row.get(4)?),
        next_attempt_at: Time::from_millis(row.get(5)?),
        tries: row.get(6)?,
        crashes: row.get(7)?,
        first_attempt_at: row.get::<_, Option<i64>>(8)?.map(Time::from_millis),
        told: row.get(9)?,
        accepted: serde_json::from_str(&row.get::<_, String>(10)?)?,
        only: None,
    })
}

fn clamp(c: &Connection, now: Time) -> Result<(), StoreError> {
    let latest = (now + LONGEST_WAIT).millis();
    let update =
        "UPDATE notification SET next_attempt_at = ?1 WHERE state = 'pending' AND next_attempt_at > ?1";
    c.prepare_cached(update)?.execute([latest])?;
    Ok(())
}

/// The earlier unfinished rows of the same channel that speak of the same episodes as row `n`.
pub(super) const EARLIER: &str = "SELECT DISTINCT earlier.no AS no, earlier.accepted AS accepted
        FROM notification_event mine JOIN notification_event theirs
        ON theirs.episode = mine.episode AND theirs.notification < mine.notification AND mine.episode <> ''
        JOIN notification earlier ON earlier.no = theirs.notification
        WHERE mine.notification = n.no AND earlier.channel = n.channel AND earlier.state IN ('pending', 'waiting')";

/// Not under way, and no earlier row is in its way, or there are recipients who took all of those and not this one.
fn free() -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM attempt a WHERE a.notification = n.no AND a.ended_at IS NULL)
         AND (NOT EXISTS ({EARLIER}) OR EXISTS (SELECT 1 FROM ({EARLIER}) e, json_each(e.accepted) who
            WHERE who.value NOT IN (SELECT value FROM json_each(n.accepted))
            AND NOT EXISTS (SELECT 1 FROM ({EARLIER}) other
                WHERE who.value NOT IN (SELECT value FROM json_each(other.accepted)))))"
    )
}

/// The first of the earlier rows of the same episodes that row `no` waits for; None if it may go.
pub(super) fn behind(c: &Connection, no: i64) -> Result<Option<Behind>, StoreError> {
    let query = format!(
        "SELECT b.id, b.next_attempt_at, b.accepted FROM notification b WHERE b.no =
            (SELECT (SELECT min(e.no) FROM ({EARLIER}) e) FROM notification n WHERE n.no = ?1 AND NOT ({}))",
        free()
    );
    let mut query = c.prepare_cached(&query)?;
    let mut rows = query.query([no])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let next_attempt_at = Time::from_millis(row.get(1)?);
    let accepted = serde_json::from_str(&row.get::<_, String>(2)?)?;
    Ok(Some(Behind { id: row.get(0)?, next_attempt_at, accepted }))
}

/// The recipients who took every earlier row of the same episodes; None if there is none.
fn only(c: &Connection, no: i64, channel: &str) -> Result<Option<Vec<String>>, StoreError> {
    let query = EARLIER.replace("n.no", "?1").replace("n.channel", "?2");
    let mut query = c.prepare_cached(&query)?;
    let mut rows = query.query(params![no, channel])?;
    let mut all = None::<Vec<String>>;
    while let Some(row) = rows.next()? {
        let took: Vec<String> = serde_json::from_str(&row.get::<_, String>(1)?)?;
        all = Some(match all {
            None => took,
            Some(before) => before.into_iter().filter(|who| took.contains(who)).collect(),
        });
    }
    Ok(all)
}

fn due(c: &Connection, channels: &[String], now: Time, limit: u32) -> Result<Vec<Due>, StoreError> {
    clamp(c, now)?;
    let query = format!(
        "SELECT {COLUMNS} FROM notification n WHERE n.channel = ?1 AND n.state = 'pending' AND n.next_attempt_at <= ?2
         AND {} ORDER BY n.no LIMIT ?3",
        free()
    );
    let mut query = c.prepare_cached(&query)?;
    let mut found = Vec::new();
    for channel in channels {
        let mut rows = query.query(params![channel, now.millis(), limit])?;
        while let Some(row) = rows.next()? {
            let only = only(c, row.get(0)?, channel)?;
            found.push(Due { only, ..read(c, row)? });
        }
    }
    Ok(found)
}

fn unfinished(c: &Connection, channel: &str, limit: u32) -> Result<Vec<Due>, StoreError> {
    let query = format!(
        "SELECT {COLUMNS} FROM notification WHERE channel = ?1 AND state IN ('pending', 'waiting')
         ORDER BY no LIMIT ?2"
    );
    let mut query = c.prepare_cached(&query)?;
    let mut rows = query.query(params![channel, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(c, row)?);
    }
    Ok(found)
}

fn begin(c: &Connection, id: &str, run: &str, now: Time) -> Result<u32, StoreError> {
    let (no, id, state) = outbox::find(c, id)?;
    if state != OutboxState::Pending {
        return Err(StoreError::Refused(format!("{id} is not pending any more")));
    }
    if c.prepare_cached("SELECT 1 FROM attempt WHERE notification = ?1 AND ended_at IS NULL")?.exists([no])? {
        return Err(StoreError::Refused(format!("an attempt at {id} is under way")));
    }
    let update = "UPDATE notification SET tries = tries + 1, attempts = attempts + 1, told = 1,
                  first_attempt_at = coalesce(first_attempt_at, ?2) WHERE no = ?1 RETURNING attempts";
    let n: u32 = c.prepare_cached(update)?.query_row(params![no, now.millis()], |row| row.get(0))?;
    let insert = "INSERT INTO attempt (notification, n, run, started_at) VALUES (?1, ?2, ?3, ?4)";
    c.prepare_cached(insert)?.execute(params![no, n, run, now.millis()])?;
    Ok(n)
}

pub(super) fn finish(c: &Connection, id: &str, n: u32, end: &Finish) -> Result<(), StoreError> {
    let (no, id, state) = outbox::find(c, id)?;
    let (at, answer) = (end.ended_at.millis(), super::events::word(&end.answer)?);
    let update = "UPDATE attempt SET ended_at = ?3, outcome = ?4, status = ?5, note = ?6
                  WHERE notification = ?1 AND n = ?2 AND ended_at IS NULL";
    if c.prepare_cached(update)?.execute(params![no, n, at, answer, end.status, end.note])? == 0 {
        return Err(StoreError::Refused(format!("attempt {n} at {id} is not under way")));
    }
    let failed = end.answer != Answer::Sent;
    let update = "UPDATE notification SET last_answer = ?2, accepted = ?3, last_error = CASE WHEN ?4 THEN ?5
                  ELSE NULL END WHERE no = ?1 AND state = 'pending'";
    let before = "SELECT accepted <> '[]' FROM notification WHERE no = ?1";
    let partly: bool = c.prepare_cached(before)?.query_row([no], |row| row.get(0))?;
    let taken = accepted_by(c, no, &end.accepted)?;
    let accepted = serde_json::to_string(&taken)?;
    c.prepare_cached(update)?.execute(params![no, answer, accepted, failed, end.note])?;
    let channel: String =
        c.query_row("SELECT channel FROM notification WHERE no = ?1", [no], |row| row.get(0))?;
    // One that some recipients took, and that waits for the rest, says no more of the channel than that it works.
    match (end.answer, end.then) {
        (Answer::Retry | Answer::Rejected, Then::At(_)) if partly => {}
        (Answer::Retry | Answer::Rejected, Then::At(_)) if !taken.is_empty() => {
            channels::reached(c, &channel, end.ended_at)?;
        }
        _ => channels::fare(c, &channel, end, &answer)?,
    }
    // An operator who dropped it meanwhile is obeyed, unless it arrived all the same.
    match end.then {
        Then::Sent => {
            let sent =
                "UPDATE notification SET state = 'sent', finished_at = ?2, last_error = NULL WHERE no = ?1";
            c.prepare_cached(sent)?.execute(params![no, at])?;
            if state == OutboxState::Dead {
                retry::revive_ends(c, &id, end.ended_at)?;
            }
        }
        Then::At(_) | Then::Dead | Then::Wait if state == OutboxState::Dead => {}
        Then::At(time) => {
            let later = "UPDATE notification SET next_attempt_at = ?2 WHERE no = ?1";
            c.prepare_cached(later)?.execute(params![no, time.millis()])?;
        }
        Then::Dead => outbox::die(c, no, None, end.ended_at)?,
        Then::Wait => channels::disable(c, &channel, end.ended_at)?,
    }
    Ok(())
}

/// What began and was not followed by a send: it counts as no try.
fn withdraw(c: &Connection, id: &str, run: &str, now: Time) -> Result<(), StoreError> {
    let (no, ..) = outbox::find(c, id)?;
    let update = "UPDATE attempt SET ended_at = ?3, outcome = 'retry', note = 'broken off before it was sent'
                  WHERE notification = ?1 AND run = ?2 AND ended_at IS NULL";
    if c.prepare_cached(update)?.execute(params![no, run, now.millis()])? > 0 {
        let untried = "UPDATE notification SET tries = max(tries - 1, 0) WHERE no = ?1";
        c.prepare_cached(untried)?.execute([no])?;
    }
    Ok(())
}

/// The recipients that took it over so far: those known before, and `new` ones. An attempt that was cut off names none.
fn accepted_by(c: &Connection, no: i64, new: &[String]) -> Result<Vec<String>, StoreError> {
    let query = "SELECT accepted FROM notification WHERE no = ?1";
    let before: String = c.prepare_cached(query)?.query_row([no], |row| row.get(0))?;
    let mut all: Vec<String> = serde_json::from_str(&before)?;
    all.extend(new.iter().filter(|recipient| !all.contains(recipient)).cloned().collect::<Vec<_>>());
    Ok(all)
}

/// Closes attempts that another run left open; returns the notifications concerned, and whether each is given up.
fn crashed(c: &Connection, run: &str, now: Time) -> Result<Vec<(String, bool)>, StoreError> {
    clamp(c, now)?;
    let update = "UPDATE attempt SET ended_at = ?2, outcome = 'crashed' WHERE ended_at IS NULL AND run <> ?1
                  RETURNING notification";
    let open = c
        .prepare(update)?
        .query_map(params![run, now.millis()], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    let count = "UPDATE notification SET crashes = crashes + 1 WHERE no = ?1 RETURNING id, crashes, state = 'pending'";
    let mut found = Vec::new();
    for no in open {
        let read =
            |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, bool>(2)?));
        let (id, crashes, pending) = c.prepare_cached(count)?.query_row([no], read)?;
        let dead = pending && crashes >= MOST_CRASHES;
        if dead {
            outbox::die(c, no, Some("the process ended three times within a send"), now)?;
        }
        found.push((id, dead));
    }
    Ok(found)
}

/// False, and nothing written, if an attempt at one of `old` was begun meanwhile or it is finished, or if one of `new`
/// is there already.
fn supersede(c: &Connection, old: &[String], new: &[NewNotification]) -> Result<bool, StoreError> {
    let mut query = c.prepare_cached(
        "SELECT 1 FROM notification WHERE id = ?1 AND state IN ('pending', 'waiting') AND told = 0",
    )?;
    let mut present = c.prepare_cached("SELECT 1 FROM notification WHERE id = ?1")?;
    let Some(first) = new.first() else { return Ok(false) };
    for new in new {
        if present.exists([&new.id])? {
            return Ok(false);
        }
    }
    for id in old {
        if !query.exists([id])? {
            return Ok(false);
        }
    }
    let update =
        "UPDATE notification SET state = 'superseded', superseded_by = ?2, finished_at = ?3 WHERE id = ?1";
    for id in old {
        c.prepare_cached(update)?.execute(params![id, first.id, first.created_at.millis()])?;
    }
    for new in new {
        outbox::insert(c, new)?;
    }
    // Rows beyond those that were looked at may go on with what is told here.
    if let Some(last) = old.last() {
        let no = "SELECT no, (SELECT max(no) FROM notification) FROM notification WHERE id = ?1";
        let (place, end): (i64, i64) = c.query_row(no, [last], |row| Ok((row.get(0)?, row.get(1)?)))?;
        renumber(c, last, end + 1)?;
        renumber(c, &first.id, place)?;
    }
    Ok(true)
}

/// The row of `id` changes numbers with what it holds; rows are numbered in their order.
fn renumber(c: &Connection, id: &str, to: i64) -> Result<(), StoreError> {
    let from: i64 = c.query_row("SELECT no FROM notification WHERE id = ?1", [id], |row| row.get(0))?;
    c.execute_batch("PRAGMA defer_foreign_keys = ON")?;
    c.execute("UPDATE notification SET no = ?2 WHERE no = ?1", [from, to])?;
    c.execute("UPDATE notification_event SET notification = ?2 WHERE notification = ?1", [from, to])?;
    Ok(())
}

fn next_due(c: &Connection, channel: &str) -> Result<Option<Time>, StoreError> {
    let query = format!(
        "SELECT min(next_attempt_at) FROM notification n WHERE state = 'pending' AND channel = ?1 AND {}",
        free()
    );
    let first = |row: &Row<'_>| row.get::<_, Option<i64>>(0);
    Ok(c.prepare_cached(&query)?.query_row([channel], first)?.map(Time::from_millis))
}

impl Store {
    /// What may be sent now, at most `limit` per channel, oldest first; clocks that went back delay nothing for
    /// more than an hour.
    pub fn due(&self, channels: Vec<String>, now: Time, limit: u32) -> Pending<Vec<Due>> {
        self.write(move |c| due(c, &channels, now, limit))
    }

    /// When the first of the channel's pending notifications may be due; one that waits for another does not count.
    pub fn next_due(&self, channel: &str) -> Pending<Option<Time>> {
        let channel = channel.to_owned();
        self.read(move |c| next_due(c, &channel))
    }

    /// The channel's unfinished notifications, oldest first, blocked and attempted ones too: what may be folded, and
    /// what stands in the way.
    pub fn unfinished(&self, channel: &str, limit: u32) -> Pending<Vec<Due>> {
        let channel = channel.to_owned();
        self.read(move |c| unfinished(c, &channel, limit))
    }

    /// To be awaited before the send: from here on the notification counts as told. Returns the attempt's number;
    /// [`StoreError::Refused`] if it is not pending any more or an attempt is under way.
    pub fn begin_attempt(&self, id: &str, run: &str, now: Time) -> Pending<u32> {
        let (id, run) = (id.to_owned(), run.to_owned());
        self.write(move |c| begin(c, &id, &run, now))
    }

    /// After [`Store::begin_attempt`] failed with [`StoreError::UnknownFate`]: if it is written all the same, it ends
    /// here, or it would stay under way as long as `run`.
    pub fn withdraw_attempt(&self, id: &str, run: &str, now: Time) -> Pending<()> {
        let (id, run) = (id.to_owned(), run.to_owned());
        self.write(move |c| withdraw(c, &id, &run, now))
    }

    pub fn finish_attempt(&self, id: &str, n: u32, end: Finish) -> Pending<()> {
        let id = id.to_owned();
        self.write(move |c| finish(c, &id, n, &end))
    }

    /// At start: attempts that runs other than `run` left open count as crashes. Returns whose, and which are given up.
    pub fn crashed(&self, run: &str, now: Time) -> Pending<Vec<(String, bool)>> {
        let run = run.to_owned();
        self.write(move |c| crashed(c, &run, now))
    }

    /// Puts `new` in the place of `old`, if none of them was ever attempted; else false, and nothing is changed. The
    /// first of `new` is sent in the turn of the last of `old`, others come last.
    pub fn supersede(&self, old: Vec<String>, new: Vec<NewNotification>) -> Pending<bool> {
        self.write(move |c| supersede(c, &old, &new))
    }

    /// The events of a notification that its channel is not to be told: ends of episodes whose *fired* is dead there.
    pub fn unheard(&self, notification: &str) -> Pending<Vec<String>> {
        let id = notification.to_owned();
        self.read(move |c| outbox::unheard(c, &id))
    }
}
