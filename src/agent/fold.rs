//! Folding what waits: one notification in the place of several that nobody was told of, before a channel's pass and
//! when the outbox is over its limit.
//!
//! Neighbours: `deliver` calls it before it sends, `tend` when too much waits; `engine::notify` says what folds. A part
//! of its own because it decides nothing and sends nothing: it swaps rows for rows that say the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::notify::{self, Row};
use crate::engine::time::Time;
use crate::store::{Due, OutboxSize, StoreError};

use super::{Agent, Live};

/// Rows looked at at once.
const WINDOW: u32 = 256;
/// Events that are held in memory for it; rows beyond that stay as they are.
const MOST_EVENTS: usize = 20_000;
/// Relieving the outbox takes no longer at a time; the rest is done at the next time.
const LONGEST: Duration = Duration::from_secs(20);

impl Agent {
    /// Where more than `most` waits: folds what never was attempted, whether its channel works or not. No beginning is
    /// dropped. Returns whether it was over.
    pub async fn relieve(&self, most: OutboxSize, now: Time) -> Result<bool, StoreError> {
        let before = self.store.outbox_size().await?;
        if !before.is_over(most) {
            return Ok(false);
        }
        let (live, began) = (self.live(), Instant::now());
        for channel in live.channels.keys() {
            while began.elapsed() < LONGEST && self.fold(&live, channel, now).await? {}
        }
        let after = self.store.outbox_size().await?;
        tracing::error!(
            rows = before.rows,
            bytes = before.bytes,
            rows_left = after.rows,
            bytes_left = after.bytes,
            "the outbox was over its limit; what was never attempted goes as digests, and nothing is dropped"
        );
        Ok(true)
    }

    /// Lets one notification stand for several that nobody was told of yet, and parts those that hold what their
    /// channel is not to be told. Returns whether anything changed.
    pub(super) async fn fold(&self, live: &Live, channel: &str, now: Time) -> Result<bool, StoreError> {
        let mut changed = false;
        loop {
            let waiting = self.store.unfinished(channel, WINDOW).await?;
            if waiting.iter().all(|row| row.told) {
                return Ok(changed);
            }
            // Next to rows that were just parted nothing is folded before all are looked at again: they are among
            // those that a fold must not pass.
            match self.part(live, channel, waiting, now).await? {
                Some(rows) => return Ok(self.fold_rows(live, channel, &rows, now).await? || changed),
                None => changed = true,
            }
        }
    }

    /// The rows as they are, those left out that nothing can be made of; or None if any was parted.
    async fn part(
        &self,
        live: &Live,
        channel: &str,
        waiting: Vec<Due>,
        now: Time,
    ) -> Result<Option<Vec<Row>>, StoreError> {
        let (mut rows, mut parted, mut room) = (Vec::with_capacity(waiting.len()), false, MOST_EVENTS);
        let alone = waiting.iter().filter(|row| !row.told).count() < 2;
        for due in waiting {
            let unheard = match due.told || due.episodes.len() < 2 {
                true => Vec::new(),
                false => self.store.unheard(&due.id).await?,
            };
            // It takes two to fold: the events of one alone need not be read.
            if alone && unheard.is_empty() {
                continue;
            }
            let row = self.row(due, &mut room, now).await?;
            match notify::part(channel, &row, &unheard) {
                Some(parts) => {
                    let parts = parts.iter().map(|notice| live.notification(notice, now)).collect();
                    parted |= self.store.supersede(vec![row.id], parts).await?;
                }
                None => rows.push(row),
            }
        }
        Ok((!parted).then_some(rows))
    }

    /// A row of the outbox as `engine::notify` sees it. One that is too much for `room` counts as attempted: it stays.
    async fn row(&self, due: Due, room: &mut usize, now: Time) -> Result<Row, StoreError> {
        let (attempted, is_due) = (due.told || due.events.len() > *room, due.next_attempt_at <= now);
        let events = match attempted {
            true => Vec::new(),
            false => {
                *room -= due.events.len();
                self.store.events(due.events).await?.into_iter().map(Arc::new).collect()
            }
        };
        Ok(Row { id: due.id, episodes: due.episodes, events, attempted, due: is_due })
    }

    async fn fold_rows(
        &self,
        live: &Live,
        channel: &str,
        rows: &[Row],
        now: Time,
    ) -> Result<bool, StoreError> {
        let mut folded = false;
        for fold in notify::fold(channel, rows) {
            let rendered = live.notification(&fold.notice, now);
            let (id, rows) = (&fold.notice.id, fold.superseded.len());
            if self.store.supersede(fold.superseded.clone(), vec![rendered]).await? {
                tracing::info!(channel, notification = id, rows, "waiting notifications became one");
                folded = true;
            }
        }
        Ok(folded)
    }
}
