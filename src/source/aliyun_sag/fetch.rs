//! One poll of many users: batches of 50, a few under way at once, each written into the poll's columns as it comes.
//!
//! Neighbours: `batch` asks for one of them. A part of its own because it decides when to stop asking: what one
//! refused key or missing instance tells is true for all batches, and a vendor must not be hammered with it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

use super::Inner;
use super::batch::{Asking, MOST_EXTRA_CALLS, MOST_ODD, Part};
use crate::aliyun::{Deadline, codes};
use crate::engine::names::Asked;
use crate::engine::reading::{Fault, FaultClass, Fetched, NO_BATCH, Reading};

/// The vendor takes no more names in one request.
pub(super) const BATCH: usize = 50;
/// Requests under way at once.
const WORKERS: usize = 4;

/// What the workers of one poll share.
struct Work {
    inner: Arc<Inner>,
    asked: Asked,
    deadline: Deadline,
    next: AtomicUsize,
    stopped: AtomicBool,
    extra_calls: AtomicU32,
    gathered: Mutex<Gathered>,
}

/// What has come so far.
#[derive(Default)]
struct Gathered {
    fetched: Fetched,
    batches: usize,
    /// The gravest fault, with the number of its batch: of equally grave ones the first is the cause of the others.
    fault: Option<(usize, Fault)>,
}

impl Work {
    /// Takes the next batch, until there is none or it is no use.
    async fn run(&self, at_most: usize) {
        for _ in 0..at_most {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let start = number.saturating_mul(BATCH);
            if start >= self.asked.len()
                || self.stopped.load(Ordering::Relaxed)
                || self.deadline.left().is_zero()
            {
                return;
            }
            let places = start..(start + BATCH).min(self.asked.len());
            let (inner, asked, deadline) = (&*self.inner, &self.asked, &self.deadline);
            let extra_calls = &self.extra_calls;
            let part = Asking { inner, asked, places, deadline, extra_calls, part: Part::default() };
            let part = part.run().await;
            if part.faults.iter().any(concerns_all) {
                self.stopped.store(true, Ordering::Relaxed);
            }
            self.gathered().take(number, part);
        }
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
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

pub(super) async fn fetch(inner: &Arc<Inner>, asked: &Asked, deadline: Deadline) -> Fetched {
    // Users of a batch that is never asked are *failed*.
    let readings = vec![Reading::FAILED; asked.len()];
    let fetched = Fetched { readings, ..Fetched::default() };
    let work = Arc::new(Work {
        inner: Arc::clone(inner),
        asked: asked.clone(),
        deadline,
        next: AtomicUsize::new(0),
        stopped: AtomicBool::new(false),
        extra_calls: AtomicU32::new(MOST_EXTRA_CALLS),
        gathered: Mutex::new(Gathered { fetched, ..Gathered::default() }),
    });
    // The first batch goes alone: a refused key costs one request, not one of each worker.
    work.run(1).await;
    let mut workers = JoinSet::new();
    let batches = asked.len().div_ceil(BATCH);
    for _ in 0..WORKERS.min(batches.saturating_sub(1)) {
        let work = Arc::clone(&work);
        workers.spawn(async move { work.run(usize::MAX).await });
    }
    workers.join_all().await;
    let gathered = std::mem::take(&mut *work.gathered());
    gathered.whole(batches)
}

impl Gathered {
    /// Writes a batch's readings to their places.
    fn take(&mut self, number: usize, part: Part) {
        let index = |number: usize| u32::try_from(number).unwrap_or(NO_BATCH);
        let fetched = &mut self.fetched;
        let (start, first) = (number * BATCH, index(fetched.batches.len()));
        let places = start..start + part.readings.len();
        fetched.readings[places].copy_from_slice(&part.readings);
        for (place, reply) in (index(start)..).zip(part.reply_of).filter(|(_, reply)| *reply != NO_BATCH) {
            fetched.batch_of.put(place..place + 1, first + reply);
        }
        fetched.batches.extend(part.replies);
        fetched.refused.extend(part.refused.into_iter().map(|at| index(start + at)));
        fetched.extra += part.extra;
        fetched.odd.extend(part.odd.into_iter().take(MOST_ODD.saturating_sub(fetched.odd.len())));
        fetched.requests += part.requests;
        fetched.skew = part.skew.or(fetched.skew);
        self.batches += 1;
        for fault in part.faults {
            let graver = |(other, so_far): &(usize, Fault)| {
                fault.class > so_far.class || (fault.class == so_far.class && number < *other)
            };
            if self.fault.as_ref().is_none_or(graver) {
                self.fault = Some((number, fault));
            }
        }
    }

    fn whole(self, batches: usize) -> Fetched {
        let Self { mut fetched, batches: came, fault } = self;
        fetched.refused.sort_unstable();
        fetched.fault = fault.map(|(_, fault)| fault);
        if came < batches && fetched.fault.is_none() {
            let message = "the poll's budget was used up before every user was asked about".to_owned();
            fetched.fault =
                Some(Fault { class: FaultClass::Transport, code: "budget".into(), message, advice: None });
        }
        fetched
    }
}
