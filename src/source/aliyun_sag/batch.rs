//! One batch of up to 50 users, and the search for the name that spoils it.
//!
//! Neighbours: `fetch` hands batches out and joins what comes back. A part of its own because the vendor refuses 50
//! users for one bad name: the batch is halved until the name stands alone, at most 2·log2 50 calls for each.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Inner;
use crate::aliyun::wire::{self, Entry};
use crate::aliyun::{Deadline, codes};
use crate::engine::reading::{Batch, Fault, FaultClass, NO_BATCH, Reading};
use crate::engine::time::Span;

/// Calls beyond one a batch that a poll may spend on finding refused names.
pub(super) const MOST_EXTRA_CALLS: u32 = 100;

/// What a batch brought: parallel to its names, with the batch's own replies.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub readings: Vec<Reading>,
    /// Indices into `replies`, or [`NO_BATCH`].
    pub reply_of: Vec<u32>,
    pub replies: Vec<Batch>,
    pub refused: Vec<usize>,
    pub extra: u32,
    pub requests: u32,
    pub faults: Vec<Fault>,
    pub skew: Option<Span>,
}

/// How one call for some of the names went.
enum Asked {
    Answered,
    NameRefused,
    Failed,
}

/// Asks for one batch; a part comes back whatever happens.
pub(super) struct Asking<'a> {
    pub inner: &'a Inner,
    pub names: &'a [Arc<str>],
    pub deadline: &'a Deadline,
    /// What is left of [`MOST_EXTRA_CALLS`], for all batches of the poll.
    pub extra_calls: &'a AtomicU32,
    pub part: Part,
}

impl Asking<'_> {
    pub(super) async fn run(mut self) -> Part {
        self.part.readings = vec![Reading::FAILED; self.names.len()];
        self.part.reply_of = vec![NO_BATCH; self.names.len()];
        if let Asked::NameRefused = self.ask(0..self.names.len()).await {
            self.isolate().await;
        }
        self.part
    }

    /// Halves what is known to hold a refused name. The smaller half is asked first; if that one is good, the other
    /// one is known to be bad without asking.
    async fn isolate(&mut self) {
        let mut open = vec![(0..self.names.len(), true)];
        while let Some((range, bad)) = open.pop() {
            if bad && range.len() == 1 {
                self.refuse(range.start);
                continue;
            }
            let middle = range.start + range.len() / 2;
            let (asked, rest) = if bad { (range.start..middle, middle..range.end) } else { (range, 0..0) };
            if !self.may_ask_again() {
                self.give_up();
                return;
            }
            match self.ask(asked.clone()).await {
                Asked::Answered => open.extend((!rest.is_empty()).then_some((rest, true))),
                Asked::NameRefused => {
                    open.extend((!rest.is_empty()).then_some((rest, false)));
                    open.push((asked, true));
                }
                // Nothing is known of the rest any more, and what failed would fail again.
                Asked::Failed => return,
            }
        }
    }

    fn may_ask_again(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.extra_calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_up(&mut self) {
        let message = format!(
            "too many user names are refused: {MOST_EXTRA_CALLS} calls of one poll were spent on finding them; \
             check `users` for names this instance cannot have"
        );
        let code = "ClientUser.NameInvalid".to_owned();
        self.part.faults.push(Fault { class: FaultClass::Request, code, message });
    }

    fn refuse(&mut self, at: usize) {
        self.part.readings[at] = Reading::NOT_POLLED;
        self.part.refused.push(at);
    }

    async fn ask(&mut self, range: Range<usize>) -> Asked {
        let mut params = self.inner.params();
        let names = &self.names[range.clone()];
        params.extend(
            names.iter().enumerate().map(|(i, name)| (format!("UserNames.{}", i + 1), name.to_string())),
        );
        let action = "DescribeUserOnlineClientStatistics";
        let called = self.inner.client.call(action, &params, self.deadline, wire::statistics).await;
        self.part.requests += called.tries;
        self.part.skew = called.skew.or(self.part.skew);
        match called.result {
            Ok(reply) => {
                let batch = Batch { fetched_at: reply.fetched_at, request_id: reply.request_id };
                self.take(range, reply.value, batch);
                Asked::Answered
            }
            Err(fault) if codes::refuses_name(&fault.code) => Asked::NameRefused,
            Err(fault) => {
                self.part.faults.push(fault);
                Asked::Failed
            }
        }
    }

    /// Joins a reply to the names by their bytes.
    fn take(&mut self, range: Range<usize>, entries: Vec<Entry>, batch: Batch) {
        let number = u32::try_from(self.part.replies.len()).unwrap_or(NO_BATCH);
        self.part.replies.push(batch);
        let names = &self.names[range.clone()];
        let places: HashMap<&str, usize> = names.iter().map(|n| &**n).zip(range.clone()).collect();
        for at in range {
            self.part.readings[at] = Reading::ABSENT;
            self.part.reply_of[at] = number;
        }
        for entry in entries {
            let Some(&at) = places.get(entry.name.as_str()) else {
                self.part.extra += 1;
                continue;
            };
            let reading = entry.count.map_or(Reading::FAILED, Reading::online);
            let before = self.part.readings[at];
            // A name twice with different counts: neither is believed.
            let agreed = before == Reading::ABSENT || before == reading;
            self.part.readings[at] = if agreed { reading } else { Reading::FAILED };
        }
    }
}
