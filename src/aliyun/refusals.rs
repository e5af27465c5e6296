//! Keys that the vendor refuses, and when they are tried again: not with every poll of every source.
//!
//! Neighbours: the account keeps them, the client asks before each try. A part of its own because a vendor that is
//! hammered with a refused key locks it; others than those keys, a reload and a restart are tried at once.

use std::sync::Arc;

use super::credentials::Held;
use crate::engine::reading::{Fault, FaultClass};
use crate::engine::time::{Span, Time};

/// Refusals in a row after which the keys rest: keys just made take a moment to be known everywhere.
const IN_A_ROW: u32 = 3;
/// How long they rest then, after each further refusal.
const REST: Span = Span::from_mins(15);

/// What came of the keys that were last refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    last: Option<Refused>,
}

#[derive(Debug)]
struct Refused {
    keys: Arc<Held>,
    fault: Fault,
    at: Time,
    in_a_row: u32,
}

impl Refusals {
    /// The refusal that stands for these keys at `now`, without asking again.
    pub(super) fn standing(&self, keys: &Arc<Held>, now: Time) -> Option<Fault> {
        let last = self.last.as_ref().filter(|last| Arc::ptr_eq(&last.keys, keys))?;
        let since = now.since(last.at);
        // A clock that was set back forbids nothing.
        if last.in_a_row < IN_A_ROW || since < Span::ZERO || since >= REST {
            return None;
        }
        let until = last.at + REST;
        let message = format!("{} (not asked again before {until})", last.fault.message);
        Some(Fault { message, ..last.fault.clone() })
    }

    /// Takes note of an answer to a request signed with these keys; `fault` is none for a good one.
    pub(super) fn note(&mut self, keys: &Arc<Held>, fault: Option<&Fault>, now: Time) {
        match fault {
            None => self.last = None,
            Some(fault) if fault.class == FaultClass::Credentials => {
                let before = self.last.take().filter(|last| Arc::ptr_eq(&last.keys, keys));
                let in_a_row = before.map_or(1, |last| last.in_a_row.saturating_add(1));
                let (keys, fault) = (Arc::clone(keys), fault.clone());
                self.last = Some(Refused { keys, fault, at: now, in_a_row });
            }
            Some(_) => {}
        }
    }
}
