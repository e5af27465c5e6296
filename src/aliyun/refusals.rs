//! Keys that the vendor refuses, and when they are tried again: not with every poll of every source.
//!
//! Neighbours: the account keeps them, the client asks before each try. A part of its own because a vendor that is
//! hammered with a refused key locks it; others than those keys, a reload and a restart are tried at once.

use std::sync::Arc;

use super::credentials::Held;
use crate::engine::reading::{Fault, FaultClass};
use crate::engine::schedule::LATE;
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
        let until = last.at + REST - LATE;
        // A clock that was set back forbids nothing.
        if last.in_a_row < IN_A_ROW || now < last.at || now >= until {
            return None;
        }
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

#[cfg(test)]
mod tests {
    use super::super::credentials::{Credentials, Keyring};
    use super::*;
    use crate::secret::Secret;

    /// Polls begin a little later than their instants, now more and now less, and answers take a while.
    #[test]
    fn a_poll_in_fifteen_minutes_comes_after_the_rest_whatever_its_delay() {
        let keys = Credentials {
            access_key_id: "id".to_owned(),
            access_key_secret: Secret::new("secret"),
            security_token: None,
        };
        let keys = Keyring::holding(keys).at_hand().unwrap();
        let fault = Fault {
            class: FaultClass::Credentials,
            code: "InvalidAccessKeyId.NotFound".to_owned(),
            message: "not found".to_owned(),
            advice: None,
        };
        let start: Time = "2026-11-22T03:00:00Z".parse().unwrap();
        let (mut refusals, mut asked) = (Refusals::default(), Vec::new());
        for (n, delay) in (0..40).zip([900, 3, 250, 1_900, 40].into_iter().cycle()) {
            let begins = start + Span::from_mins(n) + Span::from_millis(delay);
            if refusals.standing(&keys, begins).is_none() {
                asked.push(n);
                refusals.note(&keys, Some(&fault), begins + Span::from_secs(2));
            }
        }
        assert_eq!(asked, [0, 1, 2, 17, 32]);
    }
}
