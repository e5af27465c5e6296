//! `deliver`: takes due notifications from the outbox to their channels, and writes down what came of it.
//!
//! Neighbours: the store's outbox, the channels; `fold` joins what waits before, `engine::backoff` says
//! when to try again. A part of its own because it is the only loop that sends, and it never decides whether.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::PoisonError;
use std::task::Poll;

use crate::channel::{Channel, Delivery, Letter};
use crate::engine::backoff::{self, Answer, Next};
use crate::engine::time::{Span, Time};
use crate::store::{Due, Finish, StoreError, Then};

use super::{Agent, Live};

/// Notifications of one channel that are under way at once: a slow one holds up the rest for its turn and no longer.
const AT_ONCE: usize = 4;
/// Rows looked at in one pass of a channel.
const WINDOW: u32 = 64;
/// A pass begins no further send after this: its loop must come round.
const LONGEST_PASS: Span = Span::from_secs(30);
/// So many rows that failed already make it the channel's fault: no further one is spent on finding out.
const MOST_PROBES: usize = 5;

/// Keeps a channel that fails from being tried with every row it has: while it is open, one row probes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    until: Option<Time>,
}

impl Breaker {
    const PAUSES: [Span; 5] = [
        Span::from_secs(5),
        Span::from_secs(30),
        Span::from_mins(2),
        Span::from_mins(5),
        Span::from_mins(15),
    ];

    /// How many rows may be tried at `now`.
    fn allows(&self, now: Time) -> u32 {
        match (self.failures, self.until) {
            (0, _) => WINDOW,
            (_, Some(until)) if until > now && until.since(now) <= backoff::LONGEST_WAIT => 0,
            _ => 1,
        }
    }

    fn take(&mut self, delivery: &Delivery, now: Time) {
        match delivery.answer {
            // The channel works; whether it likes this message is the message's affair.
            Answer::Sent | Answer::Rejected => *self = Self::default(),
            Answer::Retry | Answer::Misconfigured | Answer::Gone => {
                let pause =
                    Self::PAUSES.get(self.failures as usize).copied().unwrap_or(backoff::LONGEST_WAIT);
                // A refused login locks accounts: it is not for the next message to try it again.
                let pause = if is_login(delivery) { backoff::LONGEST_WAIT } else { pause };
                let asked =
                    delivery.retry_after.unwrap_or(Span::ZERO).clamp(Span::ZERO, backoff::LONGEST_WAIT);
                self.failures = self.failures.saturating_add(1);
                self.until = Some(now + pause.max(asked));
            }
        }
    }
}

/// The mail server refused name and password.
fn is_login(delivery: &Delivery) -> bool {
    delivery.answer == Answer::Misconfigured && delivery.status == Some(535)
}

/// The rows to try while only one may be: not the same one each time, because it may be the one that the receiver
/// chokes on, and not a new one each time, because what was tried cannot be folded any more.
fn probe(mut due: Vec<Due>) -> Vec<Due> {
    let enough = due.iter().filter(|row| row.told).count() >= MOST_PROBES;
    due.retain(|row| row.told || !enough);
    // The first of those with the fewest tries: `due` is in order of age.
    let least = due.iter().map(|row| row.tries).min();
    due.into_iter().find(|row| Some(row.tries) == least).into_iter().collect()
}

/// An attempt whose end the store has not taken yet.
pub(super) struct Unended {
    channel: String,
    end: End,
}

/// How it ended, or would if it were cut off now.
#[derive(Clone)]
enum End {
    /// Nobody knows whether its beginning is written; nothing was sent.
    NotMade {
        at: Time,
    },
    /// It may have arrived.
    CutOff {
        n: u32,
    },
    Made {
        n: u32,
        finish: Finish,
    },
}

impl Agent {
    /// Every channel once, side by side: one that hangs delays no other. Returns the attempts made.
    pub async fn deliver_once(&self, now: Time) -> Result<usize, StoreError> {
        let live = self.live();
        let passes = live.to_deliver().map(|(channel, _)| self.pass(&live, channel, now)).collect();
        let mut attempts = 0;
        for pass in all(passes).await {
            attempts += pass?;
        }
        Ok(attempts)
    }

    /// One channel once. Returns when its next notification may be due, if there is one.
    pub async fn deliver_to(&self, channel: &str, now: Time) -> Result<Option<Time>, StoreError> {
        let live = self.live();
        self.pass(&live, channel, now).await?;
        let next = self.store.next_due(channel).await?;
        Ok(next.map(|next| self.paused(channel, now).map_or(next, |until| next.max(until))))
    }

    async fn pass(&self, live: &Live, name: &str, now: Time) -> Result<usize, StoreError> {
        let Some(channel) = live.channel(name) else { return Ok(0) };
        self.write_ends(|channel| channel == name, now).await?;
        let allowed = self.breaker(name).allows(now);
        if allowed == 0 {
            return Ok(0);
        }
        self.fold(live, name, now).await?;
        let due = self.store.due(vec![name.to_owned()], now, WINDOW).await?;
        let due = if allowed == WINDOW { due } else { probe(due) };
        let (mut attempts, began) = (0, self.hazard.stopwatch());
        for group in due.chunks(AT_ONCE) {
            attempts += group.len();
            let turn = tokio::sync::Mutex::new(());
            let sends = group.iter().zip(0..).map(async |(row, place)| {
                let _turn = tokio::time::timeout(self.hazard.turn() * place, turn.lock()).await;
                self.attempt(channel, row, now).await
            });
            for result in all(sends.collect()).await {
                result?;
            }
            if self.breaker(name).allows(now) == 0 || self.hazard.stopwatch() - began > LONGEST_PASS {
                break;
            }
        }
        Ok(attempts)
    }

    /// One attempt: written down, sent, written down again. A crash in between leaves it open in the store.
    async fn attempt(&self, channel: &Channel, row: &Due, now: Time) -> Result<(), StoreError> {
        let _sending = self.sending.read().await;
        self.ends_as(row, End::NotMade { at: now });
        let n = match self.store.begin_attempt(&row.id, &self.run, now).await {
            Ok(n) => n,
            Err(error) => {
                if !matches!(error, StoreError::UnknownFate { .. }) {
                    self.ended(&row.id);
                }
                // Dropped by an operator, or folded, since it was read.
                return if matches!(error, StoreError::Refused(_)) { Ok(()) } else { Err(error) };
            }
        };
        self.ends_as(row, End::CutOff { n });
        let letter = Letter {
            id: row.id.clone(),
            payload: row.payload.clone(),
            attempt: n,
            accepted: row.accepted.clone(),
            only: row.only.clone(),
        };
        let started = self.hazard.stopwatch();
        let delivery = channel.send(&letter, now).await;
        let ended_at = now + (self.hazard.stopwatch() - started);
        let first = row.first_attempt_at.unwrap_or(now);
        let (answer, asked, jitter) = (delivery.answer, delivery.retry_after, self.hazard.chance());
        let next = backoff::next(answer, row.tries + 1, first, ended_at, asked, jitter);
        self.fares(&row.channel, &delivery, row.accepted.len(), ended_at);
        // The row waits as long as its channel; what is kept and logged is when it is really tried.
        let tried = match (next, self.paused(&row.channel, ended_at)) {
            (Next::At(at), Some(until)) => Next::At(at.max(until)),
            (next, _) => next,
        };
        log(row, n, &delivery, tried);
        let then = match tried {
            // The others have their turn when they took what comes before.
            Next::Done if row.only.is_some() => Then::At(ended_at),
            Next::Done => Then::Sent,
            Next::At(at) => Then::At(at),
            Next::Dead => Then::Dead,
            Next::Wait => Then::Wait,
        };
        let Delivery { answer, status, note, accepted, .. } = delivery;
        let finish = Finish { ended_at, answer, status, note, accepted, then };
        self.ends_as(row, End::Made { n, finish: finish.clone() });
        if answer == Answer::Sent {
            self.store.wake_channel(&row.channel, ended_at).await?;
        }
        let finished = self.store.finish_attempt(&row.id, n, finish).await;
        if matches!(finished, Ok(()) | Err(StoreError::Refused(_))) {
            self.ended(&row.id);
        }
        finished
    }

    fn ends_as(&self, row: &Due, end: End) {
        let unended = Unended { channel: row.channel.clone(), end };
        self.with_unended(|all| all.insert(row.id.clone(), unended));
    }

    fn ended(&self, id: &str) {
        self.with_unended(|all| all.remove(id));
    }

    /// Writes down how attempts of these channels ended while the store failed: an attempt without an end is one under
    /// way, and nothing more would be sent of that notification. Not while one of them is under way.
    async fn write_ends(&self, of: impl Fn(&str) -> bool, now: Time) -> Result<(), StoreError> {
        let ends: Vec<(String, End)> = self.with_unended(|all| {
            all.iter()
                .filter(|(_, one)| of(&one.channel))
                .map(|(id, one)| (id.clone(), one.end.clone()))
                .collect()
        });
        let mut failed = Ok(());
        for (id, end) in ends {
            let written = match end {
                End::NotMade { at } => self.store.withdraw_attempt(&id, &self.run, at).await,
                End::CutOff { n } => self.store.finish_attempt(&id, n, cut_off(now)).await,
                End::Made { n, finish } => self.store.finish_attempt(&id, n, finish).await,
            };
            match written {
                // Refused: the first try arrived after all.
                Ok(()) | Err(StoreError::Refused(_)) => self.ended(&id),
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    /// Ends when no send is under way; from the first time that it is waited for, and as long as it or its output is
    /// kept, none begins.
    pub async fn end_sends(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        // The lock is fair: who asks to read after this waits.
        self.sending.write().await
    }

    /// At a planned stop, when nothing is sent any more: writes down how the last attempts ended. Those that it cut off
    /// are no crashes and are to be tried again; what was taken is not sent again.
    pub async fn end_attempts(&self, now: Time) -> Result<(), StoreError> {
        self.write_ends(|_| true, now).await
    }

    fn with_unended<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Unended>) -> T) -> T {
        act(&mut self.unended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what a send says of its channel. A notification that some recipients took
    /// (`before`: so many at earlier attempts) and the rest did not yet is no reason to keep the next one back.
    pub(super) fn fares(&self, channel: &str, delivery: &Delivery, before: usize, now: Time) {
        let rest_alone = matches!(delivery.answer, Answer::Retry | Answer::Rejected);
        self.with_breaker(channel, |breaker| match delivery.accepted.len() {
            taken if rest_alone && taken > before => *breaker = Breaker::default(),
            _ if rest_alone && before > 0 => {}
            _ => breaker.take(delivery, now),
        });
    }

    /// Until when nothing is sent to the channel, if anything keeps it.
    pub(super) fn paused(&self, channel: &str, now: Time) -> Option<Time> {
        let until = self.breaker(channel).until?;
        (until > now && until.since(now) <= backoff::LONGEST_WAIT).then_some(until)
    }

    fn breaker(&self, channel: &str) -> Breaker {
        self.with_breaker(channel, |breaker| *breaker)
    }

    fn with_breaker<T>(&self, channel: &str, act: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        act(breakers.entry(channel.to_owned()).or_default())
    }

    /// A reload, or whoever asks for another try, may have mended what a channel was paused for.
    pub(super) fn forget_breakers(&self) {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// New rows, or rows that may go again.
    pub(super) fn wake_deliver(&self) {
        self.outbox.send_modify(|news| *news += 1);
    }
}

fn cut_off(now: Time) -> Finish {
    Finish {
        ended_at: now,
        answer: Answer::Retry,
        status: None,
        note: "stopped while sending; it may have arrived".to_owned(),
        accepted: Vec::new(),
        then: Then::At(now),
    }
}

/// Runs all of them side by side, to the end of each.
pub(super) async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

fn log(row: &Due, n: u32, delivery: &Delivery, next: Next) {
    let (channel, notification, status, note) = (&row.channel, &row.id, delivery.status, &delivery.note);
    match next {
        Next::Done => tracing::info!(channel, notification, attempt = n, "delivered"),
        Next::At(at) => {
            tracing::warn!(channel, notification, attempt = n, status, note, next = %at, "not delivered");
        }
        Next::Dead => tracing::error!(channel, notification, attempt = n, status, note, "given up"),
        Next::Wait => {
            tracing::error!(channel, notification, attempt = n, status, note, "the channel is gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1_795_000_000_000);

    fn due(id: &str, tries: u32) -> Due {
        Due {
            id: id.to_owned(),
            channel: "hook".to_owned(),
            payload: Vec::new(),
            events: Vec::new(),
            episodes: Vec::new(),
            created_at: NOW,
            next_attempt_at: NOW,
            tries,
            crashes: 0,
            first_attempt_at: None,
            told: tries > 0,
            accepted: Vec::new(),
            only: None,
        }
    }

    #[track_caller]
    fn check(tries: &[u32], chosen: usize) {
        let rows = tries.iter().enumerate().map(|(i, tries)| due(&i.to_string(), *tries)).collect();
        let ids: Vec<String> = probe(rows).into_iter().map(|row| row.id).collect();
        assert_eq!(ids, [chosen.to_string()], "{tries:?}");
    }

    #[test]
    fn a_row_that_keeps_failing_does_not_hold_up_the_next() {
        check(&[1, 0], 1);
        check(&[7, 1, 1], 1);
        check(&[0, 0], 0);
        check(&[4, 3, 3, 3, 3, 0], 1);
        assert!(probe(Vec::new()).is_empty());
    }

    #[test]
    fn a_refused_login_pauses_the_channel_for_an_hour() {
        let pause = |answer, status| {
            let mut breaker = Breaker::default();
            let delivery =
                Delivery { answer, status, note: String::new(), accepted: Vec::new(), retry_after: None };
            breaker.take(&delivery, NOW);
            breaker.until.map(|until| until.since(NOW))
        };
        assert_eq!(pause(Answer::Misconfigured, Some(535)), Some(Span::from_hours(1)));
        assert_eq!(pause(Answer::Misconfigured, Some(403)), Some(Span::from_secs(5)));
        assert_eq!(pause(Answer::Sent, None), None);
    }
}
