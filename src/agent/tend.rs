//! `tend`: what must happen between polls: acts of operators, reminders, channels in trouble, what a reload left.
//!
//! Neighbours: `engine::tend` decides, the store keeps; the loop calls it every 30 seconds and, for acts alone, every
//! second. A part of its own because it must go on when a poll hangs.

use std::sync::PoisonError;

use std::sync::atomic::Ordering;

use crate::engine::backoff::Answer;
use crate::engine::conclude::conclude;
use crate::engine::outcome::{Act, ActResult, ActRow, Alert, AlertKey, Outcome, State};
use crate::engine::own::{ChannelFacts, Own, is_down};
use crate::engine::tend::{act, episode_of, reconcile, remind, settle};
use crate::engine::time::{Span, Time};
use crate::store::{CHANNEL_REMOVED, ChannelHealth, Made, OutboxSize, Retention, StoreError};

use super::own::OwnAlerts;
use super::story::Story;
use super::{Agent, Live};

/// Rows of each kind that one pruning transaction takes away.
const PRUNE_BATCH: u32 = 2_000;

impl Agent {
    /// One pass over everything that is not a poll's business.
    pub async fn tend_once(&self, now: Time) -> Result<(), StoreError> {
        let mut tended = self.tend(now).await;
        if tended.is_ok() {
            // A poll may be a day away.
            tended = self.storage_works(&self.live(), now).await;
        }
        self.note_storage(tended.as_ref().err(), now).await;
        tended
    }

    /// Acts that no pass has taken up yet.
    pub async fn take_up_acts(&self, now: Time) -> Result<(), StoreError> {
        let taken = self.acts(now).await;
        self.note_storage(taken.as_ref().err(), now).await;
        taken
    }

    async fn tend(&self, now: Time) -> Result<(), StoreError> {
        let live = self.live();
        // What fails in one place holds nothing else up; the first failure is reported.
        let mut result = self.acts(now).await;
        for source in live.source_names() {
            let tended = self.with_watch(&live, source, now, |watch| {
                let mut outcome = reconcile(watch, now);
                outcome.append(remind(watch, now));
                outcome
            });
            result = result.and(tended.await);
        }
        result = result.and(self.settle_lost_sources(&live, now).await);
        result = result.and(self.tend_channels(&live, now).await);
        result = result.and(self.tell_returned(&live, now).await);
        result.and(self.watch_log().await)
    }

    /// Cuts the store's log back where it has grown large, and says once that it can't be.
    async fn watch_log(&self) -> Result<(), StoreError> {
        let large = self.store.cut_log().await?;
        if !self.large_log.swap(large.is_some(), Ordering::Relaxed)
            && let Some(bytes) = large
        {
            tracing::warn!(
                bytes,
                "the write-ahead log is large: a program that reads the database keeps it from being cut back"
            );
        }
        Ok(())
    }

    async fn acts(&self, now: Time) -> Result<(), StoreError> {
        let live = self.live();
        for row in self.store.open_acts().await? {
            let result = match &row.act {
                Act::Retry { notification } => {
                    let retried = self.store.retry(notification, now).await;
                    self.forget_breakers();
                    self.owe_again();
                    retried.map(|()| "it is due now")
                }
                Act::Drop { notification } => {
                    self.store.drop_notification(notification, now).await.map(|()| "it will not be sent")
                }
                Act::Ack { .. } | Act::Close { .. } => {
                    self.act_on_episode(&live, &row, now).await?;
                    continue;
                }
            };
            let (done, message) = match result {
                Ok(message) => (true, message.to_owned()),
                Err(StoreError::Refused(message)) => (false, message),
                Err(error @ (StoreError::NotFound { .. } | StoreError::Ambiguous { .. })) => {
                    (false, error.to_string())
                }
                Err(error) => return Err(error),
            };
            let acts = vec![ActResult { id: row.id, done, message }];
            self.commit(&live, Outcome { now, acts, ..Outcome::default() }, now).await?;
        }
        Ok(())
    }

    async fn act_on_episode(&self, live: &Live, row: &ActRow, now: Time) -> Result<(), StoreError> {
        for source in live.source_names() {
            let mut found = false;
            self.with_watch(live, source, now, |watch| {
                act(watch, row, now).inspect(|_| found = true).unwrap_or_default()
            })
            .await?;
            if found {
                return Ok(());
            }
        }
        let wanted = episode_of(&row.act).unwrap_or_default().to_owned();
        let mut own = self.own.lock().await;
        let outcome = match self.own_loaded(&mut own).await?.act(live, row, &wanted, now) {
            Some(outcome) => outcome,
            None => self.act_on_past(row, &wanted, now).await?,
        };
        self.commit_own(&mut own, live, outcome, now).await
    }

    /// An act on an episode that no alert has any more.
    async fn act_on_past(&self, row: &ActRow, wanted: &str, now: Time) -> Result<Outcome, StoreError> {
        let concluded = match self.store.episode(wanted).await {
            Ok(episode) if episode.ended_at.is_some() => {
                conclude(&row.act, episode.finding, episode.note.as_deref())
            }
            Ok(_) => Err(format!("{wanted} is of a source or rule that is being removed; ask again")),
            Err(error @ StoreError::NotFound { .. }) => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        let mut outcome = Outcome { now, ..Outcome::default() };
        let (done, message) = match concluded {
            Ok((conclusion, message)) => {
                outcome.conclusions.push(conclusion);
                (true, message)
            }
            Err(message) => (false, message),
        };
        outcome.acts.push(ActResult { id: row.id, done, message });
        Ok(outcome)
    }

    /// Runs `decide` on the source's watch and commits what follows; a failed commit drops the watch.
    async fn with_watch(
        &self,
        live: &Live,
        source: &str,
        now: Time,
        decide: impl FnOnce(&mut crate::engine::watch::Watch) -> Outcome,
    ) -> Result<(), StoreError> {
        let watched = self.watched(source).await;
        // While a poll is under way it goes on with the rules file that it began with, and so does this.
        let idle = watched.poll.try_lock();
        let mut held = watched.watch.lock().await;
        if held.is_none() || idle.is_ok() {
            self.loaded(&mut held, live, source).await?;
        }
        let Some(watch) = held.as_mut() else { return Err(StoreError::Stopped) };
        let outcome = decide(watch);
        let result = self.commit(live, outcome, now).await;
        if result.is_err() {
            *held = None;
        }
        result
    }

    /// Renders and commits; nothing at all for an empty outcome.
    pub(super) async fn commit(
        &self,
        live: &Live,
        mut outcome: Outcome,
        now: Time,
    ) -> Result<(), StoreError> {
        outcome.now = now;
        if outcome.is_empty() {
            return Ok(());
        }
        outcome.notifications = live.render(&outcome, now);
        self.write(outcome, Vec::new()).await
    }

    /// What is rendered already, and what was tried of it.
    pub(super) async fn write(&self, outcome: Outcome, made: Vec<Made>) -> Result<(), StoreError> {
        let story = Story::of(&outcome);
        self.store.commit_made(outcome, made).await?;
        story.tell();
        self.wake_deliver();
        Ok(())
    }

    /// Alerts of sources that left the rules file end.
    async fn settle_lost_sources(&self, live: &Live, now: Time) -> Result<(), StoreError> {
        for source in self.store.sources().await? {
            if live.source(&source).is_some() {
                continue;
            }
            // A poll that goes on with the file it began with commits states of its own: its turn comes after it.
            let watched = self.watched(&source).await;
            let Ok(_idle) = watched.poll.try_lock() else { continue };
            let mut outcome = Outcome { now, ..Outcome::default() };
            for (key, before) in self.store.load_alerts(Some(&source)).await? {
                let (after, step) = crate::engine::alert::left_scope(&before);
                settle(&live.install, key, &before, after, step, now, &mut outcome);
            }
            self.commit(live, outcome, now).await?;
        }
        Ok(())
    }

    /// `agent/channel` for each channel by its last attempts; rows of channels that no
    /// process knows any more are given up.
    async fn tend_channels(&self, live: &Live, now: Time) -> Result<(), StoreError> {
        let mut own = self.own.lock().await;
        let alerts = self.own_loaded(&mut own).await?;
        let known = live.to_deliver().map(|(name, _)| name.clone()).collect();
        let given_up = self.store.give_up_channels_but(known, CHANNEL_REMOVED, now).await?;
        if given_up > 0 {
            tracing::warn!(given_up, "notifications for channels that left the rules file are given up");
        }
        self.relieve(OutboxSize::MOST, now).await?;
        let mut outcome = alerts.reconcile(live, now);
        let healths = self.store.channel_health().await?;
        self.warn_if_unheard(live, &healths, now).await?;
        for health in healths {
            if !live.channels.contains_key(&health.channel) {
                continue;
            }
            let down = health.answer == Answer::Retry
                && health.failing > 0
                && is_down(health.since, health.last_at, now)
                && !self.store.unfinished(&health.channel, 1).await?.is_empty();
            let note = health.last_error.unwrap_or_default();
            let facts =
                ChannelFacts { answer: health.answer, dead: health.dead, status: health.status, note };
            outcome.append(alerts.channel(live, &health.channel, &facts, down, now));
        }
        self.commit_own(&mut own, live, outcome, now).await
    }

    /// Where no channel takes anything, the log is the only place left to say so: once an hour.
    async fn warn_if_unheard(
        &self,
        live: &Live,
        healths: &[ChannelHealth],
        now: Time,
    ) -> Result<(), StoreError> {
        let waiting = self.store.outbox_size().await?.rows;
        let said = |last: Time| (Span::ZERO..Span::from_hours(1)).contains(&now.since(last));
        let mut last = self.unheard_since.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting == 0 || !nobody_hears(live.channels.keys(), healths) {
            *last = None;
        } else if !last.is_some_and(said) {
            *last = Some(now);
            tracing::error!(
                waiting,
                "no channel takes anything; nobody is told of alerts: see `seatwatch alerts list` and `seatwatch outbox list`"
            );
        }
        Ok(())
    }

    async fn own_loaded<'a>(&self, own: &'a mut Option<OwnAlerts>) -> Result<&'a mut OwnAlerts, StoreError> {
        if own.is_none() {
            *own = Some(OwnAlerts::load(&self.store).await?);
        }
        own.as_mut().ok_or(StoreError::Stopped)
    }

    async fn commit_own(
        &self,
        own: &mut Option<OwnAlerts>,
        live: &Live,
        outcome: Outcome,
        now: Time,
    ) -> Result<(), StoreError> {
        let result = self.commit(live, outcome, now).await;
        if result.is_err() {
            *own = None;
        }
        result
    }

    /// One small batch of pruning; true if there is more. None at all while a source says that our clock is wrong: a
    /// clock ten years ahead would take everything away.
    pub async fn prune_once(&self, now: Time) -> Result<bool, StoreError> {
        let alerts = self.store.load_alerts(None).await?;
        let wrong = |(key, alert): &(AlertKey, Alert)| {
            key.rule == Own::Clock.rule().name && alert.state == State::Firing
        };
        if let Some((key, _)) = alerts.iter().find(|alert| wrong(alert)) {
            tracing::warn!(source = key.source.as_deref(), "nothing is pruned while the clock is in doubt");
            return Ok(false);
        }
        let kept = &self.live().config.agent.retention;
        let retention = Retention {
            readings: kept.readings,
            events: kept.events,
            attempts: kept.attempts,
            requests: kept.requests,
        };
        self.store.prune(now, retention, PRUNE_BATCH).await.map(|pruned| pruned.more)
    }
}

/// Whether the last attempt of every channel failed.
fn nobody_hears<'a>(mut channels: impl Iterator<Item = &'a String>, healths: &[ChannelHealth]) -> bool {
    let fails = |name: &String| healths.iter().any(|health| health.channel == *name && health.failing > 0);
    !healths.is_empty() && channels.all(fails)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_channel_that_works_is_enough_to_be_heard() {
        let health = |channel: &str, failing| ChannelHealth {
            channel: channel.to_owned(),
            answer: Answer::Retry,
            since: Time::default(),
            failing,
            disabled: false,
            last_at: Time::default(),
            status: None,
            dead: false,
            last_error: None,
        };
        let check = |channels: &[&str], healths: &[(&str, u32)], expect: bool| {
            let channels: Vec<String> = channels.iter().map(ToString::to_string).collect();
            let healths: Vec<_> = healths.iter().map(|(name, failing)| health(name, *failing)).collect();
            assert_eq!(nobody_hears(channels.iter(), &healths), expect, "{channels:?} {healths:?}");
        };
        check(&["a", "b"], &[("a", 3), ("b", 1)], true);
        check(&["a", "b"], &[("a", 3), ("b", 0)], false);
        check(&["a", "b"], &[("a", 3)], false);
        check(&["a"], &[("a", 3), ("gone", 0)], true);
        check(&["a"], &[], false);
    }
}
