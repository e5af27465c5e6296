//! Ends that were given up because their channel had left the rules file, for when it comes back.
//!
//! Neighbours: `outbox` gives them up and retries them, the agent composes what nobody could. A part of its own because
//! a channel that is away for a while is owed what one that does not answer is: the end of all it was told began.

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::{Pending, Store, outbox, retry};
use crate::engine::backoff::KEEP_TRYING;
use crate::engine::time::Time;

/// Why rows are given up whose channel left the rules file.
pub const CHANNEL_REMOVED: &str = "channel removed";
/// Why rows are given up that nobody could compose.
pub(super) const NOT_IN_FILE: &str = "its channel is not in the rules file";

/// A notification that holds ends and was given up for want of its channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenUp {
    pub id: String,
    pub channel: String,
    /// Event ids in their order.
    pub events: Vec<String>,
    /// Whether there is something to send.
    pub composed: bool,
}

fn given_up(c: &Connection, now: Time) -> Result<Vec<GivenUp>, StoreError> {
    let query = "SELECT no, id, channel, length(payload) > 0 FROM notification n
        WHERE finished_at > ?1 AND state = 'dead' AND last_error IN (?2, ?3) AND EXISTS
            (SELECT 1 FROM notification_event e WHERE e.notification = n.no AND e.kind = 'ended') ORDER BY no";
    let mut query = c.prepare_cached(query)?;
    let mut rows = query.query(params![(now - KEEP_TRYING).millis(), CHANNEL_REMOVED, NOT_IN_FILE])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let events = outbox::events_of(c, row.get(0)?)?;
        found.push(GivenUp { id: row.get(1)?, channel: row.get(2)?, events, composed: row.get(3)? });
    }
    Ok(found)
}

fn take_back(c: &Connection, id: &str, payload: Option<&[u8]>, now: Time) -> Result<(), StoreError> {
    if let Some(payload) = payload {
        let compose = "UPDATE notification SET payload = ?2, bytes = length(?2)
                       WHERE id = ?1 AND state = 'dead' AND length(payload) = 0";
        c.prepare_cached(compose)?.execute(params![id, payload])?;
    }
    retry::again(c, id, now)
}

impl Store {
    /// Notifications with ends that were given up for want of their channel, oldest first: as long ago at most as one
    /// that is not taken is tried.
    pub fn given_up_ends(&self, now: Time) -> Pending<Vec<GivenUp>> {
        self.read(move |c| given_up(c, now))
    }

    /// Lets one of them go out after all, with `payload` if it holds nothing yet; [`StoreError::Refused`] if its channel
    /// was not told the beginning.
    pub fn take_back(&self, id: &str, payload: Option<Vec<u8>>, now: Time) -> Pending<()> {
        let id = id.to_owned();
        self.write(move |c| take_back(c, &id, payload.as_deref(), now))
    }
}
