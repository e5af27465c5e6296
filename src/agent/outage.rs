//! What the agent does when the store fails: it tells from memory, once per outage and channel, and tells the end.
//!
//! Neighbours: every loop reports failures here, `own` has the alert that they are; `store` keeps a note of an outage
//! where a full disk loses nothing, so that a start goes on with it. A part of its own because telling that the store
//! fails cannot go through the store.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use crate::channel::{Delivery, Letter};
use crate::engine::backoff::{self, Answer, Next};
use crate::engine::event::{Subject, SubjectKind};
use crate::engine::outcome::{Alert, AlertKey, NewNotification, Outcome};
use crate::engine::own::{self, Own};
use crate::engine::time::{Span, Time};
use crate::store::{Made, StoreError};

use super::deliver::all;
use super::outlived::Outage;
use super::own::OwnAlerts;
use super::{Agent, Live};

/// Who tells of the failing database waits for no channel longer: the watchdog waits for `tend`.
const LONGEST_TELLING: Duration = Duration::from_secs(60);
/// The note is on the disk that fails, perhaps: nobody waits for it longer.
const LONGEST_NOTE: Duration = Duration::from_secs(5);
/// Bytes of an error that are kept.
const LONGEST_ERROR: usize = 1_000;

/// The `agent/storage` alert as the store last had it, and the outage that goes on, if one does.
#[derive(Debug, Default)]
pub(super) struct Storage {
    alert: Alert,
    outage: Option<Outage>,
}

impl Agent {
    /// To be called while the store works: outages are numbered on from the last one that it knows of, and one that an
    /// earlier process told of goes on. Where that was damage, every row is looked at first.
    pub(super) async fn remember_storage(&self) -> Result<(), StoreError> {
        let alert = OwnAlerts::load(&self.store).await?.0.remove(&storage_key()).unwrap_or_default();
        let store = self.store.clone();
        let noted = tokio::task::spawn_blocking(move || store.note()).await;
        let noted = noted.unwrap_or(Err(StoreError::Stopped)).unwrap_or_else(|error| {
            tracing::warn!(%error, "whether an earlier process told of an outage of the database is not known");
            None
        });
        let outage = noted.and_then(|noted| serde_json::from_str::<Outage>(&noted).ok());
        // A process that ended right after the end was written down could not take the note back.
        let is_over =
            |outage: &Outage| outage.install == self.live().install && outage.alert.step_no < alert.step_no;
        let outage = outage.filter(|outage| !is_over(outage));
        if outage.as_ref().is_some_and(|outage| outage.damaged) {
            tracing::info!("the database was found damaged; all of it is read before it is used again");
            self.is_whole().await?;
        }
        self.with_storage(|storage| *storage = Storage { alert, outage });
        Ok(())
    }

    /// Reads the whole database beside whoever writes it, and tells if it is damaged. Rows that somebody changed are a
    /// matter for the log: what they say can be read.
    pub async fn check_once(&self, now: Time) -> Result<(), StoreError> {
        let checked = self.is_whole().await;
        self.note_storage(checked.as_ref().err(), now).await;
        checked
    }

    /// Err with the first damage that there is in the database.
    async fn is_whole(&self) -> Result<(), StoreError> {
        let store = self.store.clone();
        let checked = tokio::task::spawn_blocking(move || store.reader()?.check()).await;
        let checked = checked.unwrap_or(Err(StoreError::Stopped))?;
        for doubt in checked.doubts() {
            tracing::error!(doubt, "the database is not as it was written: see `seatwatch db check`");
        }
        match checked.damage() {
            None => {
                tracing::info!("all of the database was read, and can be");
                Ok(())
            }
            Some(damage) => {
                let (path, detail) = (self.store.path().to_owned(), damage.to_owned());
                let damage = StoreError::Corrupt { path, detail };
                self.store.condemn(damage.clone()).await?;
                Err(damage)
            }
        }
    }

    fn with_storage<T>(&self, act: impl FnOnce(&mut Storage) -> T) -> T {
        act(&mut self.storage.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The outage that goes on, which begins now if none did.
    fn outage(&self, error: &StoreError, damaged: bool, now: Time) {
        let mut error = error.to_string();
        error.truncate(error.floor_char_boundary(LONGEST_ERROR));
        let live = self.live();
        self.with_storage(|Storage { alert, outage }| {
            let new = || Outage::new(live.install.clone(), alert.clone(), now, live.tongue(), error, damaged);
            outage.get_or_insert_with(new).damaged |= damaged;
        });
    }

    /// Writes down what a later process needs to end the outage, or that there is none.
    async fn keep_note(&self) {
        let outage = self.with_storage(|storage| storage.outage.clone());
        let store = self.store.clone();
        let write = move || {
            let note = outage.map(|outage| serde_json::to_string(&outage)).transpose()?;
            store.set_note(note.as_deref())
        };
        let written = tokio::time::timeout(LONGEST_NOTE, tokio::task::spawn_blocking(write)).await;
        if !matches!(written, Ok(Ok(Ok(())))) {
            tracing::warn!(
                ?written,
                "the outage of the database could not be noted: it is known until the process ends"
            );
        }
    }

    /// If the store failed: says so on every channel that was not told in this outage yet. Returns when each was
    /// tried once; a channel that could not be reached is tried again at a later failure, when the outbox would.
    pub(super) async fn note_storage(&self, error: Option<&StoreError>, now: Time) {
        let Some(error) = error.filter(|error| is_failure(error)) else { return };
        let condemned = match error.is_damage() {
            true => Some(self.store.condemn(error.clone()).await),
            false => None,
        };
        let damaged = condemned == Some(Ok(()));
        let found = condemned.and_then(Result::err);
        let error = self.store.damage().or(found.as_ref()).unwrap_or(error);
        self.complain("the database cannot be used; nothing is lost that was committed", "", error);
        // Several fail at once when the store does: one of them tells.
        let Ok(_telling) = self.telling.try_lock() else { return };
        self.outage(error, damaged, now);
        self.tell_outage(now).await;
    }

    /// Err where no loop may go on after a failure, because the database is damaged. Whoever is told of storage
    /// was told before, or could not be reached for a minute.
    pub(super) async fn outlive(&self, now: Time) -> Result<(), StoreError> {
        let Some(damage) = self.store.damage().cloned() else { return Ok(()) };
        let started = self.hazard.stopwatch();
        let last_tries = async {
            let _telling = self.telling.lock().await;
            self.outage(&damage, true, now);
            loop {
                let at = now + (self.hazard.stopwatch() - started);
                let Some(next) = self.tell_outage(at).await else { return true };
                if next.since(now) > Span::from_std(LONGEST_TELLING) {
                    return false;
                }
                let passed = self.hazard.stopwatch() - started;
                tokio::time::sleep(next.since(now + passed).max(backoff::SHORTEST_WAIT).to_std()).await;
            }
        };
        if tokio::time::timeout(LONGEST_TELLING, last_tries).await != Ok(true) {
            tracing::error!("not everybody could be told that the database is damaged");
        }
        Err(damage)
    }

    /// When `channel` may be told of `outage`, as the outbox would try it; None if it was told or is given up.
    fn next_telling(&self, outage: &Outage, channel: &str, now: Time) -> Option<Time> {
        let next = outage.next(channel, now)?;
        Some(self.paused(channel, now).map_or(next, |until| next.max(until)))
    }

    /// Tells every channel that was not told of the outage yet and may be tried, once. Returns when the next may be.
    async fn tell_outage(&self, now: Time) -> Option<Time> {
        let live = self.live();
        let outage = self.with_storage(|storage| storage.outage.clone())?;
        let next = |outage: &Outage| {
            let all = live.config.agent.notify.iter();
            all.filter_map(|name| self.next_telling(outage, name, now)).min()
        };
        let due = |name: &&String| self.next_telling(&outage, name, now).is_some_and(|at| at <= now);
        let due: Vec<String> = live.config.agent.notify.iter().filter(due).cloned().collect();
        let letters = storage_letters(&live, &outage, &due);
        if letters.is_empty() {
            return next(&outage);
        }
        let _sending = self.sending.read().await;
        self.with_storage(|storage| {
            let outage = storage.outage.iter_mut();
            outage.for_each(|outage| letters.iter().for_each(|(channel, _)| outage.begin(channel, now)));
        });
        // Whoever has to tell it again tells the same, and whoever was told is told the end.
        self.keep_note().await;
        let sends = letters.iter().filter_map(|(channel, letter)| {
            let transport = live.channels.get(channel)?;
            Some(async move {
                let started = self.hazard.stopwatch();
                let sent = tokio::time::timeout(LONGEST_TELLING, transport.send(letter, now)).await;
                let delivery = sent.unwrap_or_else(|_| no_answer(letter));
                (channel, delivery, now + (self.hazard.stopwatch() - started))
            })
        });
        for (channel, delivery, ended) in all(sends.collect()).await {
            tracing::info!(channel, answer = ?delivery.answer, note = delivery.note, "told of the failing database");
            let before = outage.tries.get(channel).map_or(0, |tries| tries.accepted.len());
            self.fares(channel, &delivery, before, ended);
            let chance = self.hazard.chance();
            self.with_storage(|storage| {
                if let Some(outage) = &mut storage.outage {
                    outage.take(channel, delivery, ended, chance);
                }
            });
        }
        self.keep_note().await;
        self.with_storage(|storage| storage.outage.clone()).and_then(|outage| next(&outage))
    }

    /// The channels' settings were read again: who was not told yet may be tried.
    pub(super) fn tell_again(&self, now: Time) {
        self.with_storage(|storage| {
            let tries = storage.outage.iter_mut().flat_map(|outage| outage.tries.values_mut());
            tries
                .filter(|tries| matches!(tries.then, Next::At(_) | Next::Wait))
                .for_each(|tries| tries.then = Next::At(now));
        });
    }

    /// The store seems to work: if what there is to say of the outage can be written, the next failure is a new one. Its
    /// beginning and end go through the outbox, with what was tried from memory: who took the beginning is told its end,
    /// who did not of both.
    pub(super) async fn storage_works(&self, live: &Live, now: Time) -> Result<(), StoreError> {
        // Who is being told at this moment is told of the end at the next poll or pass.
        let Ok(_telling) = self.telling.try_lock() else { return Ok(()) };
        let Some(outage) = self.with_storage(|storage| storage.outage.clone()) else { return Ok(()) };
        let mut alerts = OwnAlerts(BTreeMap::from([(storage_key(), outage.alert.clone())]));
        let (outcome, made) = over(&mut alerts, live, &outage, now);
        self.write(outcome, made).await?;
        tracing::info!(since = %outage.began, "the database can be written again");
        self.complaints.over();
        self.with_storage(|storage| {
            storage.outage = None;
            storage.alert = alerts.0.remove(&storage_key()).unwrap_or_default();
        });
        self.keep_note().await;
        Ok(())
    }
}

/// The beginning and the end of an outage, rendered with the bytes that were sent, and the attempts that were made.
fn over(alerts: &mut OwnAlerts, live: &Live, outage: &Outage, now: Time) -> (Outcome, Vec<Made>) {
    let hears: Vec<String> = outage.hears(&live.config.agent.notify).into_iter().collect();
    let (mut outcome, mut notifications) = fail(alerts, live, outage, &hears);
    let made = notifications.iter().filter_map(|row| Some(outage.tries.get(&row.channel)?.made(&row.id)));
    let made = made.collect();
    // One row for the alert, as it is in the end.
    outcome.alerts.clear();
    let (works, subject) = (own::of_storage(None, live.config.agent.language), storage_key().subject);
    let ended = alerts.take(&outage.install, Own::Storage, subject, &works, &hears, now);
    notifications.extend(live.render(&ended, now));
    outcome.append(ended);
    (Outcome { now, notifications, ..outcome }, made)
}

fn no_answer(letter: &Letter) -> Delivery {
    let note = format!("no answer within {} s", LONGEST_TELLING.as_secs());
    let accepted = letter.accepted.clone();
    Delivery { answer: Answer::Retry, status: None, note, accepted, retry_after: None }
}

/// Whether the store failed, rather than refuse what does not fit.
pub(super) fn is_failure(error: &StoreError) -> bool {
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
    AlertKey { rule: Own::Storage.rule().name.into(), source: None, subject }
}

/// That the store fails, rendered for each of `channels`: the same for one outage, however often and under whichever
/// rules file.
fn fail(
    alerts: &mut OwnAlerts,
    live: &Live,
    outage: &Outage,
    channels: &[String],
) -> (Outcome, Vec<NewNotification>) {
    let tongue = outage.tongue(live.tongue());
    let opinion = own::of_storage(Some((&outage.error, outage.damaged)), tongue.0);
    let subject = storage_key().subject;
    let outcome = alerts.take(&outage.install, Own::Storage, subject, &opinion, channels, outage.began);
    let notifications = live.render_in(tongue, &outcome, outage.began);
    (outcome, notifications)
}

/// The message that the store fails for each of `channels`, as the next attempt sends it.
fn storage_letters(live: &Live, outage: &Outage, channels: &[String]) -> Vec<(String, Letter)> {
    let mut alerts = OwnAlerts(BTreeMap::from([(storage_key(), outage.alert.clone())]));
    let letter = |row: NewNotification| {
        let tries = outage.tries.get(&row.channel);
        let attempt = tries.map_or(0, |tries| tries.begun).saturating_add(1);
        let accepted = tries.map(|tries| tries.accepted.clone()).unwrap_or_default();
        (row.channel, Letter { id: row.id, payload: row.payload, attempt, accepted, only: None })
    };
    fail(&mut alerts, live, outage, channels).1.into_iter().map(letter).collect()
}
