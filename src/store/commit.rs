//! One pass's outcome as one transaction: all of it, or nothing.
//!
//! Neighbours: every table's file writes its rows, the agent calls [`Store::commit`]. A part of its own because the
//! order matters: a notification asks its events for their kind, an alert moves its episode's row.

use rusqlite::Transaction;

use super::{Made, Patience, Pending, Store, acts, alerts, episodes, events, made, outbox, polls};
use crate::engine::outcome::Outcome;

impl Store {
    /// Commits a poll with its readings, states, events and notifications together. An outcome whose poll does not
    /// follow the last one is refused whole ([`StoreError::Sequence`](super::StoreError::Sequence)); events and notifications that are there
    /// already are kept as they are. A poll cannot be asked for again, so it waits longer for another program's lock. After [`UnknownFate`](super::StoreError::UnknownFate) the caller reads its state again.
    pub fn commit(&self, outcome: Outcome) -> Pending<()> {
        self.commit_made(outcome, Vec::new())
    }

    /// The same, with attempts at its notifications that were made before they could be written.
    pub fn commit_made(&self, outcome: Outcome, attempts: Vec<Made>) -> Pending<()> {
        let Patience { usual, poll } = self.patience;
        let patience = if outcome.poll.is_some() { poll } else { usual };
        let work = move |c: &Transaction<'_>| {
            if let Some(row) = &outcome.poll {
                polls::insert(c, row)?;
            }
            for event in &outcome.events {
                if events::append(c, event)? {
                    episodes::note_event(c, event)?;
                }
            }
            for (key, alert) in &outcome.alerts {
                alerts::put(c, key, alert)?;
                episodes::note_alert(c, alert)?;
            }
            // After the alerts: a closed one carries the finding too.
            for conclusion in &outcome.conclusions {
                episodes::conclude(c, conclusion)?;
            }
            for notification in &outcome.notifications {
                outbox::insert(c, notification)?;
            }
            for one in &attempts {
                made::note(c, one)?;
            }
            for result in &outcome.acts {
                acts::finish(c, result, outcome.now)?;
            }
            Ok(())
        };
        Pending(self.writer.run(move |writer| writer.transaction(patience, work)))
    }
}
