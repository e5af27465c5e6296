//! Notifications sent after all: at an operator's wish, or because what they wait for came about.
//!
//! Neighbours: `outbox` gave them up, `channels` opens a channel again. A part of its own because what died or was kept
//! back took others along, and those must come back with it.

use rusqlite::{Connection, params};

use super::channels;
use super::deliver::EARLIER;
use super::error::StoreError;
use super::outbox::{OutboxState, SILENCED, find, silence_ends};
use crate::engine::time::Time;

fn channel(c: &Connection, no: i64) -> Result<String, StoreError> {
    let query = "SELECT channel FROM notification WHERE no = ?1";
    Ok(c.prepare_cached(query)?.query_row([no], |row| row.get(0))?)
}

/// Puts a dead notification back with the same id and payload, and the *ended* that its death took along. One that
/// waits because its channel is disabled opens the channel again.
pub(super) fn again(c: &Connection, prefix: &str, now: Time) -> Result<(), StoreError> {
    let (no, id, state) = find(c, prefix)?;
    match state {
        OutboxState::Dead => {}
        OutboxState::Waiting => {
            // Whoever asks has seen to the receiver: all that waits for its channel may go again.
            return channels::enable(c, &channel(c, no)?, now);
        }
        OutboxState::Sent | OutboxState::Superseded => {
            return Err(StoreError::Refused(format!("{id} is {}, not dead", state.word())));
        }
        OutboxState::Pending => {
            // Already on its way: it goes at once, and so does what it waits for.
            return hurry(c, no, now);
        }
    }
    if !c.prepare_cached("SELECT 1 FROM notification WHERE no = ?1 AND length(payload) > 0")?.exists([no])? {
        let message = format!("{id} holds nothing to send; see its events with `seatwatch alerts show`");
        return Err(StoreError::Refused(message));
    }
    let revive = format!(
        "UPDATE notification SET {REVIVED}, tries = 0, crashes = 0, first_attempt_at = NULL WHERE no = ?1"
    );
    c.execute(&revive, params![no, now.millis()])?;
    revive_ends(c, &id, now)?;
    let channel = channel(c, no)?;
    silence_ends(c, &channel, now)?;
    match find(c, &id)?.2 {
        OutboxState::Superseded => Err(StoreError::Refused(format!(
            "{id} tells only the end of what {channel} was not told began; retry its beginning, and this follows"
        ))),
        OutboxState::Waiting => channels::enable(c, &channel, now),
        OutboxState::Pending | OutboxState::Sent | OutboxState::Dead => Ok(()),
    }
}

/// The row of number `no`, and those that it waits for, are due now.
fn hurry(c: &Connection, no: i64, now: Time) -> Result<(), StoreError> {
    let of = "(SELECT channel FROM notification WHERE no = ?1)";
    let earlier = EARLIER.replace("n.no", "?1").replace("n.channel", of);
    let update = format!(
        "UPDATE notification SET next_attempt_at = ?2
         WHERE state = 'pending' AND (no = ?1 OR no IN (SELECT no FROM ({earlier})))"
    );
    c.prepare_cached(&update)?.execute(params![no, now.millis()])?;
    Ok(())
}

/// What a notification takes on that is to be sent after all; `?2` is now.
const REVIVED: &str =
    "state = CASE WHEN (SELECT disabled FROM channel WHERE name = channel) THEN 'waiting' ELSE 'pending' END,
                  next_attempt_at = ?2, finished_at = NULL, superseded_by = NULL";

/// The notification `id` lives, or arrived after all: ends that its death silenced are to be told again. Rows that it
/// stands for stay superseded.
pub(super) fn revive_ends(c: &Connection, id: &str, now: Time) -> Result<(), StoreError> {
    let follow = format!(
        "UPDATE notification SET {REVIVED}, last_error = NULL
         WHERE state = 'superseded' AND last_error = '{SILENCED}' AND length(payload) > 0
            AND EXISTS (SELECT 1 FROM notification_event e
                JOIN notification_event f ON f.episode = e.episode AND f.kind = 'fired'
                JOIN notification fired ON fired.no = f.notification
                WHERE e.notification = notification.no AND e.kind = 'ended' AND fired.id = ?1
                AND fired.channel = notification.channel)"
    );
    c.execute(&follow, params![id, now.millis()])?;
    Ok(())
}
