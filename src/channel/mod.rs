//! Where notifications go: one closed list of kinds, each a file (or folder) with its settings and its transport.
//!
//! Neighbours: `engine` makes the notice and its words, `deliver` calls [`Channel::send`] and records what came of
//! it. A part of its own so that a kind is added by one file, one variant and one arm per `match` below. Payloads
//! are rendered once and stored; what an attempt adds (signature, timestamp) is named in each kind's file.

pub mod email;
mod note;
pub mod played;
mod tls;
pub mod webhook;

use std::ops::RangeInclusive;

use crate::config::section::Section;
use crate::engine::backoff::Answer;
use crate::engine::message::Message;
use crate::engine::notify::Notice;
use crate::engine::time::{Span, Time};
use crate::secret::SecretRef;

/// What a `timeout` may be.
const TIMEOUTS: RangeInclusive<Span> = Span::from_millis(100)..=LONGEST_TIMEOUT;
/// No attempt takes longer.
pub const LONGEST_TIMEOUT: Span = Span::from_mins(5);

/// A `[[channel]]` of the rules file.
#[derive(Clone, Debug)]
pub enum Settings {
    Email(email::Settings),
    Webhook(webhook::Settings),
}

/// A channel with its secrets and roots loaded, ready to send.
#[derive(Clone, Debug)]
pub enum Channel {
    Email(Box<email::Email>),
    Webhook(webhook::Webhook),
    /// Of no rules file.
    Played(played::Played),
}

#[derive(Clone, Copy)]
enum Kind {
    Email,
    Webhook,
}

impl Settings {
    /// Reads one `[[channel]]`; mistakes are noted in the section. The caller finishes the section.
    pub fn read(section: &mut Section<'_>) -> Option<Self> {
        let name = section.name("name");
        if !section.has("kind") {
            return section.missing("kind");
        }
        let kind = section.choice("kind", &[("email", Kind::Email), ("webhook", Kind::Webhook)])?;
        // What else is wrong is told even where the name is.
        let known = name.clone().unwrap_or_default();
        let settings = match kind {
            Kind::Email => email::Settings::read(known, section).map(Self::Email),
            Kind::Webhook => webhook::Settings::read(known, section).map(Self::Webhook),
        };
        settings.filter(|_| name.is_some())
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Email(email) => &email.name,
            Self::Webhook(webhook) => &webhook.name,
        }
    }

    /// As the rules file names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Webhook(_) => "webhook",
        }
    }

    /// The key and reference of every secret, for `check`.
    pub fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        match self {
            Self::Email(email) => email.secrets(),
            Self::Webhook(webhook) => webhook.secrets(),
        }
    }
}

impl Channel {
    /// Resolves secrets and loads roots; a reload opens again, so that rotated ones are taken up.
    ///
    /// # Errors
    /// What only opening shows: a secret that cannot be read or is none, a URL or CA file that does not parse.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        match settings {
            Settings::Email(email) => email::Email::open(email).map(Box::new).map(Self::Email),
            Settings::Webhook(webhook) => webhook::Webhook::open(webhook).map(Self::Webhook),
        }
    }

    /// What is stored and sent at every attempt. Pure; `now` becomes the date of a mail.
    pub fn payload(&self, notice: &Notice, message: &Message, now: Time) -> Vec<u8> {
        match self {
            Self::Email(email) => email.payload(notice, message, now),
            Self::Webhook(_) | Self::Played(_) => webhook::Webhook::payload(notice, message, now),
        }
    }

    /// One attempt, bounded by the channel's `timeout`. Never fails: what went wrong is the answer.
    pub async fn send(&self, letter: &Letter, now: Time) -> Delivery {
        match self {
            Self::Email(email) => email.send(letter).await,
            Self::Webhook(webhook) => webhook.send(letter, now).await,
            Self::Played(played) => played.0.take(letter, now).await,
        }
    }
}

/// A notification as it is handed to the transport, the same at every attempt but for `attempt` and `accepted`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// `ntf_…`; the receiver drops repeats by it.
    pub id: String,
    /// What [`Channel::payload`] made.
    pub payload: Vec<u8>,
    /// Counts from 1.
    pub attempt: u32,
    /// Recipients that took it over at earlier attempts; they are not asked again.
    pub accepted: Vec<String>,
    /// If given, nobody else is asked: the others still wait for what comes before.
    pub only: Option<Vec<String>>,
}

/// What became of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    pub answer: Answer,
    /// The HTTP status or SMTP reply code that decided, where there was one.
    pub status: Option<u16>,
    /// For the operator: one line, at most 600 bytes, without secrets, foreign text escaped.
    pub note: String,
    /// All recipients that have taken it over by now, those of the letter included.
    pub accepted: Vec<String>,
    /// What the receiver asked for (`Retry-After`), unclamped.
    pub retry_after: Option<Span>,
}

/// Why a channel cannot be opened: the key at fault and the way out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("channel {channel}: {key}: {message}")]
pub struct OpenError {
    pub channel: String,
    pub key: &'static str,
    pub message: String,
}
