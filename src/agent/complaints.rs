//! What the log says of a database that goes on failing: at once, and then every ten minutes with a count.
//!
//! Neighbours: the loops and `outage` report here each time. A part of its own because every loop meets the failure
//! many times a minute, and a log full of one line hides all others.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Agent;
use super::outage::is_failure;
use crate::engine::time::Span;
use crate::store::StoreError;

/// The same is said again no sooner.
const PAUSE: Span = Span::from_mins(10);

/// For what is said: when that was last, and how often it happened since.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<BTreeMap<String, (Span, u64)>>);

impl Complaints {
    /// How often `what` happened since it was last said, this time included; None if it is not to be said now.
    fn due(&self, what: &str, now: Span) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((last, unsaid)) = said.get_mut(what) else {
            said.insert(what.to_owned(), (now, 0));
            return Some(1);
        };
        *unsaid = unsaid.saturating_add(1);
        if now - *last < PAUSE {
            return None;
        }
        *last = now;
        Some(std::mem::take(unsaid))
    }

    /// What happens next is news.
    pub(super) fn over(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Agent {
    /// Logs what `error` means for `of` (a source, a channel, or nothing). A failing database is said once, and then
    /// with how often since.
    pub(super) fn complain(&self, what: &'static str, of: &str, error: &StoreError) {
        if !is_failure(error) {
            tracing::error!(of, %error, "{what}");
        } else if let Some(times) = self.complaints.due(&format!("{of} {what}"), self.hazard.stopwatch()) {
            tracing::error!(of, times, %error, "{what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_every_ten_minutes_with_a_count() {
        let complaints = Complaints::default();
        let said = |second| complaints.due("tending failed", Span::from_secs(second));
        assert_eq!(said(5), Some(1));
        assert!((6..605).all(|second| said(second).is_none()));
        assert_eq!(complaints.due("another", Span::from_secs(7)), Some(1));
        assert_eq!(said(605), Some(600));
        assert_eq!(said(606), None);
        complaints.over();
        assert_eq!(said(607), Some(1));
    }
}
