//! Where notifications go: one closed list of kinds, each a file (or folder) with its settings and its transport.
//!
//! Neighbours: `engine` makes the notice and its words, `deliver` calls [`Channel::send`] and records what came of
//! it. A part of its own so that a kind is added by one file, one variant and one arm per `match` below. Payloads
//! are rendered once and stored; what an attempt adds (signature, timestamp) is named in each kind's file.

mod note;
mod tls;

use crate::engine::backoff::Answer;
use crate::engine::time::Span;

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
