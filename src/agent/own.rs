//! The agent's alerts about its channels and itself, and what it does when the store fails.
//!
//! Neighbours: `tend` brings channel facts, `collect` and `tend` report failures of the store; `engine::own` judges. A part
//! of its own because these alerts belong to no source, and because telling that the store fails cannot go through
//! the store: it goes from memory, once per outage and channel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use crate::channel::Letter;
use crate::engine::alert::Moment;
use crate::engine::backoff::Answer;
use crate::engine::event::{Subject, SubjectKind};
use crate::engine::message::compose;
use crate::engine::notify::{Notice, plan};
use crate::engine::outcome::{ActRow, Alert, AlertKey, Outcome};
use crate::engine::own::{self, ChannelFacts, Own};
use crate::engine::own_alerts;
use crate::engine::tend::act_on;
use crate::engine::time::{Span, Time};
use crate::store::{Store, StoreError};

use super::deliver::all;
use super::{Agent, Live};

/// Who tells of the failing database waits for no channel longer: the watchdog waits for `tend`.
const LONGEST_TELLING: Duration = Duration::from_secs(60);
/// While the agent waits to end it tries channels again that took nothing, this far apart.
const LAST_TRIES: Duration = Duration::from_secs(5);

/// Alerts whose subject is a channel or the agent, as the store has them.
pub(super) struct OwnAlerts(BTreeMap<AlertKey, Alert>);

impl OwnAlerts {
    pub(super) async fn load(store: &Store) -> Result<Self, StoreError> {
        let all = store.load_alerts(None).await?;
        Ok(Self(all.into_iter().filter(|(key, _)| key.source.is_none()).collect()))
    }

    /// What a channel's last attempt says of it. Told on the other channels: the one that fails cannot say so.
    pub(super) fn channel(&mut self, live: &Live, channel: &str, facts: &ChannelFacts, now: Time) -> Outcome {
        let subject = Subject { kind: SubjectKind::Channel, name: channel.to_owned() };
        let others =
            live.config.agent.notify.iter().filter(|name| *name != channel).cloned().collect::<Vec<_>>();
        let opinion = own::of_channel(facts, live.config.agent.language);
        self.take(live, Own::Channel, subject, &opinion, &others, now)
    }

    fn take(
        &mut self,
        live: &Live,
        own: Own,
        subject: Subject,
        opinion: &own::Opinion,
        channels: &[String],
        now: Time,
    ) -> Outcome {
        let key = AlertKey { rule: own.rule().name.to_owned(), source: None, subject };
        let before = self.0.get(&key).cloned().unwrap_or_default();
        let moment = Moment { at: now, clock: Span::from_millis(now.millis()), seq: 0, hole: false };
        let (after, event) = own_alerts::take(&before, own, &key, opinion, &moment, &live.install, channels);
        let mut outcome = Outcome { now, ..Outcome::default() };
        if let Some((event, told)) = event {
            outcome.tell(event, told);
        }
        if after != before {
            self.0.insert(key.clone(), after.clone());
            outcome.alerts.push((key, after));
        }
        outcome
    }

    /// Channels that left the rules file have nothing to be told about any more.
    pub(super) fn reconcile(&mut self, live: &Live, now: Time) -> Outcome {
        let gone: Vec<AlertKey> = self.0.keys().filter(|key| !self.is_there(live, key)).cloned().collect();
        let mut outcome = Outcome { now, ..Outcome::default() };
        for key in gone {
            let Some(before) = self.0.get(&key).cloned() else { continue };
            let (after, step) = crate::engine::alert::left_scope(&before);
            crate::engine::tend::settle(&live.install, key, &before, after, step, now, &mut outcome);
        }
        // They may come back, and their steps count on.
        self.0.extend(outcome.alerts.iter().cloned());
        outcome
    }

    fn is_there(&self, live: &Live, key: &AlertKey) -> bool {
        match key.subject.kind {
            SubjectKind::Channel => live.channels.contains_key(&key.subject.name),
            SubjectKind::Agent => true,
            SubjectKind::User | SubjectKind::Group | SubjectKind::Source => false,
        }
    }

    pub(super) fn act(&mut self, live: &Live, row: &ActRow, wanted: &str, now: Time) -> Option<Outcome> {
        let of_episode = |alert: &Alert| alert.episode.as_ref().is_some_and(|episode| episode.id == wanted);
        let (key, before) =
            self.0.iter().find(|(_, a)| of_episode(a)).map(|(k, a)| (k.clone(), a.clone()))?;
        let (after, outcome) = act_on(&live.install, row, key.clone(), &before, now);
        self.0.insert(key, after);
        Some(outcome)
    }
}

/// The `agent/storage` alert as the store last had it, and the outage that goes on, if one does.
#[derive(Debug, Default)]
pub(super) struct Storage {
    alert: Alert,
    outage: Option<Outage>,
}

/// One outage of the store: since when, and which channels were told.
#[derive(Clone, Debug)]
struct Outage {
    began: Time,
    error: String,
    /// It does not pass: the agent ends.
    damaged: bool,
    told: BTreeSet<String>,
}

impl Agent {
    /// To be called while the store works: outages are numbered on from the last one that it knows of.
    pub(super) async fn remember_storage(&self) -> Result<(), StoreError> {
        let known = OwnAlerts::load(&self.store).await?.0;
        if let Some(alert) = known.get(&storage_key()) {
            self.with_storage(|storage| storage.alert.clone_from(alert));
        }
        Ok(())
    }

    fn with_storage<T>(&self, act: impl FnOnce(&mut Storage) -> T) -> T {
        act(&mut self.storage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// If the store failed: says so on every channel that was not told in this outage yet. Returns when each was
    /// tried once; a channel that could not be reached is tried again at the next failure.
    pub(super) async fn note_storage(&self, error: Option<&StoreError>, now: Time) {
        let Some(error) = error.filter(|error| is_failure(error)) else { return };
        let damaged = error.is_damage() && self.store.condemn(error.clone()).await.is_ok();
        let error = self.store.damage().unwrap_or(error);
        tracing::error!(%error, "the database cannot be used; nothing is lost that was committed");
        // Several fail at once when the store does: one of them tells.
        let Ok(_telling) = self.telling.try_lock() else { return };
        self.with_storage(|storage| {
            let new = || Outage { began: now, error: error.to_string(), damaged, told: BTreeSet::new() };
            storage.outage.get_or_insert_with(new);
        });
        self.tell_outage(now).await;
    }

    /// Err where no loop may go on after a failure, because the database is damaged. Whoever is told of storage
    /// was told before, or could not be reached for a minute.
    pub(super) async fn outlive(&self, now: Time) -> Result<(), StoreError> {
        let Some(damage) = self.store.damage().cloned() else { return Ok(()) };
        let began = Outage { began: now, error: damage.to_string(), damaged: true, told: BTreeSet::new() };
        let last_tries = async {
            let _telling = self.telling.lock().await;
            self.with_storage(|storage| storage.outage.get_or_insert(began).damaged = true);
            while self.tell_outage(now).await {
                tokio::time::sleep(LAST_TRIES).await;
            }
        };
        if tokio::time::timeout(LONGEST_TELLING, last_tries).await.is_err() {
            tracing::error!("not everybody could be told that the database is damaged");
        }
        Err(damage)
    }

    /// Tells every channel that was not told of the outage yet, once; whether any is left.
    async fn tell_outage(&self, now: Time) -> bool {
        let live = self.live();
        let (outage, alert) = self.with_storage(|storage| (storage.outage.clone(), storage.alert.clone()));
        let Some(outage) = outage else { return false };
        let untold = live.config.agent.notify.iter().filter(|channel| !outage.told.contains(*channel));
        let letters = storage_letters(&live, &alert, &outage, untold.cloned().collect());
        let sends = letters.iter().filter_map(|(channel, letter)| {
            let transport = live.channels.get(channel)?;
            Some(async move {
                (channel, tokio::time::timeout(LONGEST_TELLING, transport.send(letter, now)).await)
            })
        });
        let mut left = false;
        for (channel, delivery) in all(sends.collect()).await {
            left |= !matches!(&delivery, Ok(delivery) if delivery.answer == Answer::Sent);
            let Ok(delivery) = delivery else {
                tracing::warn!(channel, "no answer while telling of the failing database");
                continue;
            };
            tracing::info!(channel, answer = ?delivery.answer, note = delivery.note, "told of the failing database");
            if delivery.answer == Answer::Sent {
                self.with_storage(|storage| {
                    if let Some(outage) = &mut storage.outage {
                        outage.told.insert(channel.clone());
                    }
                });
            }
        }
        left
    }

    /// The store works: the next failure is a new outage. Channels that were told of this one are told of its end,
    /// through the outbox.
    pub(super) async fn storage_works(&self, live: &Live, now: Time) {
        let (outage, alert) = self.with_storage(|storage| (storage.outage.clone(), storage.alert.clone()));
        let Some(outage) = outage else { return };
        tracing::info!(since = %outage.began, "the database can be written again");
        let told: Vec<String> = outage.told.iter().cloned().collect();
        let mut alerts = OwnAlerts(BTreeMap::from([(storage_key(), alert)]));
        if !told.is_empty() {
            let mut outcome = fail(&mut alerts, live, &outage, &told);
            // That it fired was told from memory.
            outcome.told.iter_mut().for_each(Vec::clear);
            let works = own::of_storage(None, live.config.agent.language);
            outcome.append(alerts.take(live, Own::Storage, storage_key().subject, &works, &told, now));
            if let Err(error) = self.commit(live, outcome, now).await {
                tracing::warn!(%error, "the end of the outage is told at the next poll");
                return;
            }
        }
        self.with_storage(|storage| {
            storage.outage = None;
            storage.alert = alerts.0.remove(&storage_key()).unwrap_or_default();
        });
    }
}

/// Whether the store failed, rather than refuse what does not fit.
fn is_failure(error: &StoreError) -> bool {
    !matches!(
        error,
        StoreError::Refused(_)
            | StoreError::NotFound { .. }
            | StoreError::Ambiguous { .. }
            | StoreError::Sequence { .. }
            | StoreError::Stopped
    )
}

fn storage_key() -> AlertKey {
    let subject = Subject { kind: SubjectKind::Agent, name: "agent".to_owned() };
    AlertKey { rule: Own::Storage.rule().name.to_owned(), source: None, subject }
}

fn fail(alerts: &mut OwnAlerts, live: &Live, outage: &Outage, channels: &[String]) -> Outcome {
    let opinion = own::of_storage(Some((&outage.error, outage.damaged)), live.config.agent.language);
    alerts.take(live, Own::Storage, storage_key().subject, &opinion, channels, outage.began)
}

/// The message that the store fails, rendered for each of `channels`; the same for one outage, however often.
fn storage_letters(
    live: &Live,
    alert: &Alert,
    outage: &Outage,
    channels: Vec<String>,
) -> Vec<(String, Letter)> {
    let mut alerts = OwnAlerts(BTreeMap::from([(storage_key(), alert.clone())]));
    let outcome = fail(&mut alerts, live, outage, &channels);
    let letter = |notice: Notice| {
        let channel = live.channels.get(&notice.channel)?;
        let message = compose(&notice, live.config.agent.language, live.config.agent.timezone);
        let payload = channel.payload(&notice, &message, outage.began);
        Some((notice.channel, Letter { id: notice.id, payload, attempt: 1, accepted: Vec::new() }))
    };
    plan(&outcome.events, &|_| channels.clone()).into_iter().filter_map(letter).collect()
}
