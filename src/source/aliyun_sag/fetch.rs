//! One poll of many users: batches of 50, a few under way at once, joined in order.
//!
//! Neighbours: `batch` asks for one of them. A part of its own because it decides when to stop asking: what one
//! refused key or missing instance tells is true for all batches, and a vendor must not be hammered with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::Inner;
use super::batch::{Asking, MOST_EXTRA_CALLS, Part};
use crate::aliyun::{Deadline, codes};
use crate::engine::reading::{Fault, FaultClass, Fetched, NO_BATCH, Reading};

/// The vendor takes no more names in one request.
pub(super) const BATCH: usize = 50;
/// Requests under way at once.
const WORKERS: usize = 4;

/// What the workers of one poll share.
struct Work {
    inner: Arc<Inner>,
    names: Vec<Arc<str>>,
    deadline: Deadline,
    next: AtomicUsize,
    stopped: AtomicBool,
    extra_calls: AtomicU32,
}

impl Work {
    /// Takes the next batch, until there is none or it is no use; parts come with their number.
    async fn run(&self, at_most: usize) -> Vec<(usize, Part)> {
        let mut parts = Vec::new();
        while parts.len() < at_most
            && !self.stopped.load(Ordering::Relaxed)
            && !self.deadline.left().is_zero()
        {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(names) = self.names.chunks(BATCH).nth(number) else { break };
            let (inner, deadline, extra_calls) = (&*self.inner, &self.deadline, &self.extra_calls);
            let asking = Asking { inner, names, deadline, extra_calls, part: Part::default() };
            let part = asking.run().await;
            if part.faults.iter().any(concerns_all) {
                self.stopped.store(true, Ordering::Relaxed);
            }
            parts.push((number, part));
        }
        parts
    }
}

/// Whether another batch would meet the same refusal.
fn concerns_all(fault: &Fault) -> bool {
    match fault.class {
        FaultClass::Transport | FaultClass::Server | FaultClass::Throttled => false,
        FaultClass::Request => codes::concerns_instance(&fault.code),
        FaultClass::Clock | FaultClass::Account | FaultClass::Permission | FaultClass::Credentials => true,
    }
}

pub(super) async fn fetch(inner: &Arc<Inner>, users: &[Arc<str>], deadline: Deadline) -> Fetched {
    let work = Arc::new(Work {
        inner: Arc::clone(inner),
        names: users.to_vec(),
        deadline,
        next: AtomicUsize::new(0),
        stopped: AtomicBool::new(false),
        extra_calls: AtomicU32::new(MOST_EXTRA_CALLS),
    });
    // The first batch goes alone: a refused key costs one request, not one of each worker.
    let mut parts = work.run(1).await;
    let mut workers = JoinSet::new();
    let batches = users.len().div_ceil(BATCH);
    for _ in 0..WORKERS.min(batches.saturating_sub(parts.len())) {
        let work = Arc::clone(&work);
        workers.spawn(async move { work.run(usize::MAX).await });
    }
    for done in workers.join_all().await {
        parts.extend(done);
    }
    parts.sort_by_key(|(number, _)| *number);
    join(users.len(), parts)
}

/// Parts in the order of their batches; users of a batch that was never asked are *failed*.
fn join(users: usize, parts: Vec<(usize, Part)>) -> Fetched {
    let mut fetched = Fetched {
        readings: vec![Reading::FAILED; users],
        batch_of: vec![NO_BATCH; users],
        ..Fetched::default()
    };
    let index = |number: usize| u32::try_from(number).unwrap_or(NO_BATCH);
    let asked = parts.len();
    let mut faults = Vec::new();
    for (number, part) in parts {
        let (start, first) = (number * BATCH, index(fetched.batches.len()));
        for (at, reading) in part.readings.into_iter().enumerate() {
            fetched.readings[start + at] = reading;
            fetched.batch_of[start + at] = match part.reply_of[at] {
                NO_BATCH => NO_BATCH,
                reply => first + reply,
            };
        }
        fetched.batches.extend(part.replies);
        fetched.refused.extend(part.refused.into_iter().map(|at| index(start + at)));
        fetched.extra += part.extra;
        fetched.requests += part.requests;
        fetched.skew = part.skew.or(fetched.skew);
        faults.extend(part.faults);
    }
    fetched.refused.sort_unstable();
    if asked < users.div_ceil(BATCH) && faults.is_empty() {
        let message = "the poll's budget was used up before every user was asked about".to_owned();
        faults.push(Fault { class: FaultClass::Transport, code: "budget".into(), message });
    }
    // Of equally grave faults the first one: it is the cause of later ones.
    fetched.fault = faults.into_iter().rev().max_by_key(|fault| fault.class);
    fetched
}
