//! Channels that come back into the rules file: they are told the ends that were given up while they were away.
//!
//! Neighbours: `tend` calls it when another rules file is in force, the store knows what was given up, `live` composes
//! what nobody could. A part of its own because whoever was told that an alert fired is told its end.

use std::sync::{Arc, PoisonError, Weak};

use crate::engine::notify::Notice;
use crate::engine::time::Time;
use crate::store::{GivenUp, StoreError};

use super::{Agent, Live};

impl Agent {
    /// What was given up is looked at again: its beginning may be told after all.
    pub(super) fn owe_again(&self) {
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = Weak::new();
    }

    /// Once for each rules file, at a start, and after an operator's retry.
    pub(super) async fn tell_returned(&self, live: &Arc<Live>, now: Time) -> Result<(), StoreError> {
        let this = Arc::downgrade(live);
        let last = || self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        if Weak::ptr_eq(&last(), &this) {
            return Ok(());
        }
        for row in self.store.given_up_ends(now).await? {
            if live.channels.contains_key(&row.channel) {
                self.tell_end(live, row, now).await?;
            }
        }
        *last() = this;
        Ok(())
    }

    async fn tell_end(&self, live: &Live, row: GivenUp, now: Time) -> Result<(), StoreError> {
        let mut payload = None;
        if !row.composed {
            let events = self.store.events(row.events).await?;
            let notice = Notice::of(&row.channel, events.into_iter().map(Arc::new).collect());
            // Some of its events are forgotten.
            if notice.id != row.id {
                return Ok(());
            }
            payload = Some(live.notification(&notice, now).payload);
        }
        match self.store.take_back(&row.id, payload, now).await {
            Ok(()) => {
                tracing::info!(
                    channel = row.channel,
                    notification = row.id,
                    "is sent now that its channel is back"
                );
                self.wake_deliver();
                Ok(())
            }
            Err(StoreError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
