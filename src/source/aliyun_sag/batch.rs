//! One batch of up to 50 users, and the search for the name that spoils it.
//!
//! Neighbours: `fetch` hands batches out and joins what comes back. A part of its own because the vendor refuses 50
//! users for one bad name: the batch is halved until the name stands alone, at most 2·log2 50 calls for each.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Inner;
use super::fetch::BATCH;
use crate::aliyun::wire::{self, Entry};
use crate::aliyun::{Deadline, codes};
use crate::engine::names::Asked;
use crate::engine::reading::{Batch, Fault, FaultClass, NO_BATCH, Odd, Reading};
use crate::engine::time::Span;

/// Calls beyond one a batch that a poll may spend on finding refused names.
pub(super) const MOST_EXTRA_CALLS: u32 = 100;

/// Odd names of one poll that are kept to be told of.
pub(super) const MOST_ODD: usize = 5;

/// The parameters' names for the users of a batch, in the order in which they are signed.
static NUMBERED: LazyLock<Vec<(String, usize)>> = LazyLock::new(|| {
    let mut all: Vec<_> = (0..BATCH).map(|n| (format!("UserNames.{}", n + 1), n)).collect();
    all.sort_unstable();
    all
});

/// What a batch brought: parallel to its users, with the batch's own replies.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub readings: Vec<Reading>,
    /// Indices into `replies`, or [`NO_BATCH`].
    pub reply_of: Vec<u32>,
    pub replies: Vec<Batch>,
    pub refused: Vec<usize>,
    pub extra: u32,
    pub odd: Vec<Odd>,
    pub requests: u32,
    pub faults: Vec<Fault>,
    pub skew: Option<Span>,
}

/// How one call for some of the users went.
enum Came {
    Answered,
    NameRefused,
    Failed,
}

/// Asks for one batch; a part comes back whatever happens.
pub(super) struct Asking<'a> {
    pub inner: &'a Inner,
    pub asked: &'a Asked,
    /// The batch, as places among all who are asked about.
    pub places: Range<usize>,
    pub deadline: &'a Deadline,
    /// What is left of [`MOST_EXTRA_CALLS`], for all batches of the poll.
    pub extra_calls: &'a AtomicU32,
    pub part: Part,
}

impl Asking<'_> {
    pub(super) async fn run(mut self) -> Part {
        self.part.readings = vec![Reading::FAILED; self.places.len()];
        self.part.reply_of = vec![NO_BATCH; self.places.len()];
        if let Came::NameRefused = self.ask(0..self.places.len()).await {
            self.isolate().await;
        }
        self.part
    }

    /// Halves what is known to hold a refused name. The smaller half is asked first; if that one is good, the other
    /// one is known to be bad without asking.
    async fn isolate(&mut self) {
        let mut open = vec![(0..self.places.len(), true)];
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
                Came::Answered => open.extend((!rest.is_empty()).then_some((rest, true))),
                Came::NameRefused => {
                    open.extend((!rest.is_empty()).then_some((rest, false)));
                    open.push((asked, true));
                }
                // Nothing is known of the rest any more, and what failed would fail again.
                Came::Failed => return,
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
        self.part.faults.push(Fault { class: FaultClass::Request, code, message, advice: None });
    }

    fn refuse(&mut self, at: usize) {
        self.part.readings[at] = Reading::NOT_POLLED;
        self.part.refused.push(at);
    }

    /// The user at a place of this batch.
    fn name(&self, at: usize) -> &str {
        self.asked.name(self.places.start + at)
    }

    async fn ask(&mut self, range: Range<usize>) -> Came {
        let mut params = Vec::with_capacity(2 + range.len());
        params.extend([("RegionId", self.inner.region.as_str()), ("SmartAGId", &self.inner.instance)]);
        let numbered = NUMBERED.iter().filter(|(_, n)| *n < range.len());
        params.extend(numbered.map(|(numbered, n)| (numbered.as_str(), self.name(range.start + n))));
        let action = "DescribeUserOnlineClientStatistics";
        let read = |body: &[u8]| {
            let (envelope, entries) = wire::statistics(body)?;
            Ok((envelope, self.joined(range.clone(), &entries)))
        };
        let called = self.inner.client.call_whole(action, &params, self.deadline, read).await;
        self.part.requests += called.tries;
        self.part.skew = called.skew.or(self.part.skew);
        match called.result {
            Ok(reply) => {
                let request_id = reply.request_id.map(Into::into);
                let batch = Batch { fetched_at: reply.fetched_at, request_id };
                self.take(range, reply.value, batch);
                Came::Answered
            }
            Err(fault) if codes::refuses_name(&fault.code) => Came::NameRefused,
            Err(fault) => {
                self.part.faults.push(fault);
                Came::Failed
            }
        }
    }

    /// Joins a reply to the names by their bytes.
    fn joined(&self, range: Range<usize>, entries: &[Entry<'_>]) -> Joined {
        let mut joined = Joined { readings: vec![Reading::ABSENT; range.len()], extra: 0, odd: Vec::new() };
        let mut by_name: Option<HashMap<&str, usize>> = None;
        for (nth, entry) in entries.iter().enumerate() {
            // Most replies keep the order of the request.
            let in_order = nth < range.len() && *self.name(range.start + nth) == *entry.name;
            let places = || range.clone().zip(0..).map(|(at, place)| (self.name(at), place)).collect();
            let place = match in_order {
                true => Some(nth),
                false => by_name.get_or_insert_with(places).get(&*entry.name).copied(),
            };
            let Some(place) = place else {
                joined.extra += 1;
                joined.note(|| self.stranger(range.clone(), &entry.name));
                continue;
            };
            let reading = entry.count.map_or(Reading::FAILED, Reading::online);
            let before = joined.readings[place];
            // A name twice with different counts: neither is believed.
            let agreed = before == Reading::ABSENT || before == reading;
            joined.readings[place] = if agreed { reading } else { Reading::FAILED };
            if !agreed {
                joined.note(|| Odd::Twice(entry.name.to_string()));
            }
        }
        joined
    }

    /// A name that nobody asked for, perhaps one that is spelt otherwise.
    fn stranger(&self, range: Range<usize>, came: &str) -> Odd {
        let asked = range.map(|at| self.name(at)).find(|asked| asked.eq_ignore_ascii_case(came));
        match asked {
            Some(asked) => Odd::OtherCase { asked: asked.to_owned(), came: came.to_owned() },
            None => Odd::Extra(came.to_owned()),
        }
    }

    fn take(&mut self, range: Range<usize>, joined: Joined, batch: Batch) {
        let number = u32::try_from(self.part.replies.len()).unwrap_or(NO_BATCH);
        self.part.replies.push(batch);
        self.part.readings[range.clone()].copy_from_slice(&joined.readings);
        self.part.reply_of[range].fill(number);
        self.part.extra += joined.extra;
        self.part.odd.extend(joined.odd);
    }
}

/// A reply, joined to the names that were asked for.
struct Joined {
    readings: Vec<Reading>,
    /// Names nobody asked for.
    extra: u32,
    odd: Vec<Odd>,
}

impl Joined {
    fn note(&mut self, odd: impl FnOnce() -> Odd) {
        if self.odd.len() < MOST_ODD {
            self.odd.push(odd());
        }
    }
}
