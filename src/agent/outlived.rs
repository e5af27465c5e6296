//! One outage of the store: what it is told by, and how telling each channel went.
//!
//! Neighbours: `outage` tells from it and has it noted, the store takes its attempts when it works again. A part of its own
//! because it must mean the same to a later process: it is all that one has of what an earlier one told.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::channel::Delivery;
use crate::engine::backoff::{self, Answer, Next};
use crate::engine::message::Language;
use crate::engine::outcome::Alert;
use crate::engine::time::Time;
use crate::store::{Finish, Made, Then};

/// Bytes of a channel's answer that are kept.
const LONGEST_NOTED: usize = 300;

/// One outage of the store, with everything that its ids and texts are made of: told by one process and ended by the
/// next, it is the same, even if a backup was put in the database's place between.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Outage {
    /// The installation's id.
    pub(super) install: String,
    /// As it was before.
    pub(super) alert: Alert,
    pub(super) began: Time,
    /// The codes of what it is told in, as the rules file said when it began. Empty in a note of an older release.
    #[serde(default)]
    language: String,
    #[serde(default)]
    zone: String,
    pub(super) error: String,
    /// It does not pass: the agent ends.
    pub(super) damaged: bool,
    /// Channels that an attempt was begun for: they were told, whatever came of it.
    #[serde(default)]
    pub(super) tries: BTreeMap<String, Tries>,
}

/// How telling one channel went so far, as the outbox would keep it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tries {
    pub(super) begun: u32,
    pub(super) first: Time,
    /// When the last was begun.
    pub(super) last: Time,
    pub(super) then: Next,
    /// Recipients that took it.
    pub(super) accepted: Vec<String>,
    /// How the last one ended; None while it is under way, and if its process ended within it.
    pub(super) ended: Option<Ended>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    at: Time,
    answer: Answer,
    status: Option<u16>,
    note: String,
}

impl Outage {
    /// One that begins at `began`, told in the language and the zone of `tongue`.
    pub(super) fn new(
        install: String,
        alert: Alert,
        began: Time,
        tongue: (Language, Tz),
        error: String,
        damaged: bool,
    ) -> Self {
        let (language, zone) = (tongue.0.code().to_owned(), tongue.1.name().to_owned());
        Self { install, alert, began, language, zone, error, damaged, tries: BTreeMap::new() }
    }

    /// What it is told in, however often: `otherwise` where that is not known.
    pub(super) fn tongue(&self, otherwise: (Language, Tz)) -> (Language, Tz) {
        let language = Language::of_code(&self.language).unwrap_or(otherwise.0);
        (language, self.zone.parse().unwrap_or(otherwise.1))
    }

    /// When `channel` may be tried: None if it took it or is not tried any more.
    pub(super) fn next(&self, channel: &str, now: Time) -> Option<Time> {
        match self.tries.get(channel).map(|tries| tries.then) {
            None => Some(now),
            Some(Next::At(at)) => Some(backoff::clamp(at, now)),
            Some(Next::Dead | Next::Wait | Next::Done) => None,
        }
    }

    /// An attempt begins: to be noted before it does.
    pub(super) fn begin(&mut self, channel: &str, now: Time) {
        let (then, accepted) = (Next::At(now), Vec::new());
        let none = Tries { begun: 0, first: now, last: now, then, accepted, ended: None };
        let tries = self.tries.entry(channel.to_owned()).or_insert(none);
        (tries.begun, tries.last, tries.ended) = (tries.begun.saturating_add(1), now, None);
    }

    pub(super) fn take(&mut self, channel: &str, delivery: Delivery, at: Time, chance: f64) {
        let Some(tries) = self.tries.get_mut(channel) else { return };
        let Delivery { answer, status, mut note, accepted, retry_after } = delivery;
        note.truncate(note.floor_char_boundary(LONGEST_NOTED));
        tries.then = backoff::next(answer, tries.begun, tries.first, at, retry_after, chance);
        (tries.accepted, tries.ended) = (accepted, Some(Ended { at, answer, status, note }));
    }

    /// Who hears of its end: `channels`, and whoever was told. The store keeps it from those for whom its beginning is dead.
    pub(super) fn hears(&self, channels: &[String]) -> BTreeSet<String> {
        self.tries.keys().chain(channels).cloned().collect()
    }
}

impl Tries {
    /// As the outbox has it of the notification `id`.
    pub(super) fn made(&self, id: &str) -> Made {
        let then = match self.then {
            Next::Done => Then::Sent,
            Next::At(at) => Then::At(at),
            Next::Dead => Then::Dead,
            Next::Wait => Then::Wait,
        };
        let finish = self.ended.clone().map(|Ended { at, answer, status, note }| {
            let accepted = self.accepted.clone();
            Finish { ended_at: at, answer, status, note, accepted, then }
        });
        Made {
            notification: id.to_owned(),
            begun: self.begun,
            first: self.first,
            last: self.last,
            accepted: self.accepted.clone(),
            finish,
        }
    }
}
