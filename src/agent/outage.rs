//! What the agent does when the store fails: it tells from memory, once per outage and channel, and tells the end.
//!
//! Neighbours: every loop reports failures here, `own` has the alert that they are; `store` keeps a note of an outage
//! where a full disk loses nothing, so that a start goes on with it. A part of its own because telling that the store
//! fails cannot go through the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::channel::Letter;
use crate::engine::backoff::Answer;
use crate::engine::event::{Subject, SubjectKind};
use crate::engine::message::compose;
use crate::engine::notify::{Notice, plan};
use crate::engine::outcome::{Alert, AlertKey, Outcome};
use crate::engine::own::{self, Own};
use crate::engine::time::Time;
use crate::store::StoreError;

use super::deliver::all;
use super::own::OwnAlerts;
use super::{Agent, Live};

/// Who tells of the failing database waits for no channel longer: the watchdog waits for `tend`.
const LONGEST_TELLING: Duration = Duration::from_secs(60);
/// While the agent waits to end it tries channels again that took nothing, this far apart.
const LAST_TRIES: Duration = Duration::from_secs(5);
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

/// One outage of the store, with everything that its ids and texts are made of: told by one process and ended by the
/// next, it is the same, even if a backup was put in the database's place between.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Outage {
    /// The installation's id.
    install: String,
    /// As it was before.
    alert: Alert,
    began: Time,
    error: String,
    /// It does not pass: the agent ends.
    damaged: bool,
    told: BTreeSet<String>,
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
        let install = self.live().install.clone();
        self.with_storage(|Storage { alert, outage }| {
            let (alert, told) = (alert.clone(), BTreeSet::new());
            let new = Outage { install, alert, began: now, error, damaged, told };
            outage.get_or_insert(new).damaged |= damaged;
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
    /// tried once; a channel that could not be reached is tried again at the next failure.
    pub(super) async fn note_storage(&self, error: Option<&StoreError>, now: Time) {
        let Some(error) = error.filter(|error| is_failure(error)) else { return };
        let damaged = error.is_damage() && self.store.condemn(error.clone()).await.is_ok();
        let error = self.store.damage().unwrap_or(error);
        tracing::error!(%error, "the database cannot be used; nothing is lost that was committed");
        // Several fail at once when the store does: one of them tells.
        let Ok(_telling) = self.telling.try_lock() else { return };
        self.outage(error, damaged, now);
        self.tell_outage(now).await;
    }

    /// Err where no loop may go on after a failure, because the database is damaged. Whoever is told of storage
    /// was told before, or could not be reached for a minute.
    pub(super) async fn outlive(&self, now: Time) -> Result<(), StoreError> {
        let Some(damage) = self.store.damage().cloned() else { return Ok(()) };
        let last_tries = async {
            let _telling = self.telling.lock().await;
            self.outage(&damage, true, now);
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
        let Some(outage) = self.with_storage(|storage| storage.outage.clone()) else { return false };
        let untold = live.config.agent.notify.iter().filter(|channel| !outage.told.contains(*channel));
        let letters = storage_letters(&live, &outage, untold.cloned().collect());
        if letters.is_empty() {
            return false;
        }
        // Whoever has to tell it again tells the same.
        self.keep_note().await;
        let sends = letters.iter().filter_map(|(channel, letter)| {
            let transport = live.channels.get(channel)?;
            Some(async move {
                (channel, tokio::time::timeout(LONGEST_TELLING, transport.send(letter, now)).await)
            })
        });
        let mut left = false;
        for (channel, delivery) in all(sends.collect()).await {
            let Ok(delivery) = delivery else {
                left = true;
                tracing::warn!(channel, "no answer while telling of the failing database");
                continue;
            };
            tracing::info!(channel, answer = ?delivery.answer, note = delivery.note, "told of the failing database");
            if delivery.answer != Answer::Sent {
                left = true;
                continue;
            }
            self.with_storage(|storage| {
                if let Some(outage) = &mut storage.outage {
                    outage.told.insert(channel.clone());
                }
            });
        }
        self.keep_note().await;
        left
    }

    /// The store works: the next failure is a new outage. Channels that were told of this one are told of its end,
    /// through the outbox.
    pub(super) async fn storage_works(&self, live: &Live, now: Time) {
        // Who is being told at this moment is told of the end after the next poll.
        let Ok(_telling) = self.telling.try_lock() else { return };
        let Some(outage) = self.with_storage(|storage| storage.outage.clone()) else { return };
        tracing::info!(since = %outage.began, "the database can be written again");
        let told: Vec<String> = outage.told.iter().cloned().collect();
        let mut alerts = OwnAlerts(BTreeMap::from([(storage_key(), outage.alert.clone())]));
        if !told.is_empty() {
            let mut outcome = fail(&mut alerts, live, &outage, &told);
            // That it fired was told from memory.
            outcome.told.iter_mut().for_each(Vec::clear);
            let (works, subject) = (own::of_storage(None, live.config.agent.language), storage_key().subject);
            outcome.append(alerts.take(&outage.install, Own::Storage, subject, &works, &told, now));
            if let Err(error) = self.commit(live, outcome, now).await {
                tracing::warn!(%error, "the end of the outage is told at the next poll");
                return;
            }
        }
        self.with_storage(|storage| {
            storage.outage = None;
            storage.alert = alerts.0.remove(&storage_key()).unwrap_or_default();
        });
        self.keep_note().await;
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
    alerts.take(&outage.install, Own::Storage, storage_key().subject, &opinion, channels, outage.began)
}

/// The message that the store fails, rendered for each of `channels`; the same for one outage, however often.
fn storage_letters(live: &Live, outage: &Outage, channels: Vec<String>) -> Vec<(String, Letter)> {
    let mut alerts = OwnAlerts(BTreeMap::from([(storage_key(), outage.alert.clone())]));
    let outcome = fail(&mut alerts, live, outage, &channels);
    let letter = |notice: Notice| {
        let channel = live.channels.get(&notice.channel)?;
        let message = compose(&notice, live.config.agent.language, live.config.agent.timezone);
        let payload = channel.payload(&notice, &message, outage.began);
        Some((notice.channel, Letter { id: notice.id, payload, attempt: 1, accepted: Vec::new() }))
    };
    plan(&outcome.events, &|_| channels.clone()).into_iter().filter_map(letter).collect()
}
