//! Everybody around a simulated agent: the gateways it asks, the receivers it tells, the disk, and the end of its process.
//!
//! Neighbours: `life` sets the moods, the agent meets them through the seams of source, channel, store and hazard. A part
//! of its own because all of it must come from one seed, and because the witness asks it what really happened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use seatwatch::agent::Hazard;
use seatwatch::channel::played::{Answering, Receiver};
use seatwatch::channel::{Delivery, Letter};
use seatwatch::engine::backoff::Answer;
use seatwatch::engine::names::Asked;
use seatwatch::engine::reading::{Batch, Fault, FaultClass, Fetched, Reading};
use seatwatch::engine::time::{Span, Time};
use seatwatch::source::played::{self, Gateway};
use seatwatch::store::{Fate, Fates};

use crate::chance::Chance;

/// How a receiver is minded for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    Fine,
    /// Works, and takes its seconds.
    Slow,
    Flaky,
    Down,
    /// Takes everything over and never says so.
    Silent,
    Throttling,
    Rejecting,
    Misconfigured,
    Gone,
}

pub(crate) const MOODS: [Mood; 12] = [
    Mood::Fine,
    Mood::Fine,
    Mood::Fine,
    Mood::Slow,
    Mood::Flaky,
    Mood::Flaky,
    Mood::Down,
    Mood::Silent,
    Mood::Throttling,
    Mood::Rejecting,
    Mood::Misconfigured,
    Mood::Gone,
];

/// One send, as the receiver saw it, or did not.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) channel: &'static str,
    pub(crate) id: String,
    pub(crate) payload: Vec<u8>,
    /// The receiver has it.
    pub(crate) arrived: bool,
}

/// What is said of each user who was asked about.
pub(crate) type Said = BTreeMap<String, Reading>;

#[derive(Default, Clone, Copy)]
pub(crate) struct Incidents {
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
    pub(crate) ended: u64,
    pub(crate) sends: u64,
}

pub(crate) struct Set {
    pub(crate) chance: Chance,
    /// Whether anything may go wrong.
    pub(crate) trouble: bool,
    /// The process has ended.
    pub(crate) dead: bool,
    /// The stopwatch, ms.
    pub(crate) passed: i64,
    pub(crate) moods: BTreeMap<&'static str, Mood>,
    /// Sources that do not answer.
    pub(crate) silent: BTreeMap<String, bool>,
    counts: BTreeMap<(String, String), Reading>,
    pub(crate) said: BTreeMap<String, Said>,
    pub(crate) sends: Vec<Sent>,
    pub(crate) incidents: Incidents,
}

#[derive(Clone)]
pub(crate) struct Stage(Arc<Mutex<Set>>);

impl Stage {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Set {
            chance: Chance::new(seed, 2),
            trouble: true,
            dead: false,
            passed: 0,
            moods: BTreeMap::new(),
            silent: BTreeMap::new(),
            counts: BTreeMap::new(),
            said: BTreeMap::new(),
            sends: Vec::new(),
            incidents: Incidents::default(),
        })))
    }

    pub(crate) fn set(&self) -> MutexGuard<'_, Set> {
        self.0.lock().unwrap()
    }

    pub(crate) fn fates(&self) -> Fates {
        let stage = self.clone();
        Fates(Arc::new(move || stage.set().fate()))
    }
}

impl Set {
    fn fate(&mut self) -> Fate {
        if self.dead {
            return Fate::Ended { written: false };
        }
        if !self.trouble || !self.chance.one_in(90) {
            return Fate::Done;
        }
        let written = self.chance.one_in(2);
        match self.chance.below(4) {
            0 => {
                self.incidents.refused += 1;
                Fate::Refused
            }
            1 => {
                self.incidents.unknown += 1;
                Fate::Unknown { written }
            }
            _ => {
                self.incidents.ended += 1;
                self.dead = true;
                Fate::Ended { written }
            }
        }
    }

    fn reading(&mut self, source: &str, user: &str) -> Reading {
        let key = (source.to_owned(), user.to_owned());
        if !self.trouble {
            return Reading::online(1);
        }
        let before = self.counts.get(&key).copied().unwrap_or(Reading::online(1));
        let now = if self.chance.one_in(4) {
            match self.chance.below(10) {
                0 => Reading::ABSENT,
                1 => Reading::online(0),
                2..=5 => Reading::online(1),
                n => Reading::online(u32::try_from(n).unwrap() - 4),
            }
        } else {
            before
        };
        self.counts.insert(key, now);
        if self.chance.one_in(25) { Reading::FAILED } else { now }
    }

    fn fetch(&mut self, source: &str, users: &[&str], now: Time) -> Fetched {
        let silent = self.trouble && (self.silent.get(source) == Some(&true) || self.chance.one_in(40));
        let mut fetched = Fetched { requests: 1, ..Fetched::default() };
        fetched
            .batches
            .push(Batch { fetched_at: now, request_id: Some(format!("R{}", now.millis()).into()) });
        for (index, user) in (0_u32..).zip(users) {
            let mut reading = if silent { Reading::FAILED } else { self.reading(source, user) };
            if !silent && self.trouble && self.chance.one_in(400) {
                fetched.refused.push(index);
                reading = Reading::NOT_POLLED;
            }
            fetched.readings.push(reading);
            if reading != Reading::FAILED {
                fetched.batch_of.put(index..index + 1, 0);
            }
        }
        let classes =
            [FaultClass::Transport, FaultClass::Server, FaultClass::Throttled, FaultClass::Credentials];
        let fault = |class| Fault {
            class,
            code: "played".to_owned(),
            message: "nothing came".to_owned(),
            advice: None,
        };
        fetched.fault =
            fetched.readings.contains(&Reading::FAILED).then(|| fault(self.chance.pick(&classes)));
        fetched.skew =
            (!silent).then(|| Span::from_secs(if self.trouble && self.chance.one_in(60) { 90 } else { 0 }));
        let names = users.iter().map(ToString::to_string);
        self.said.insert(source.to_owned(), names.zip(fetched.readings.iter().copied()).collect());
        fetched
    }

    /// What becomes of one send, and how long it takes.
    fn answer(&mut self, channel: &'static str, letter: &Letter) -> Delivery {
        self.incidents.sends += 1;
        let mut mood =
            if self.trouble { self.moods.get(channel).copied().unwrap_or(Mood::Fine) } else { Mood::Fine };
        if mood == Mood::Flaky {
            mood = self.chance.pick(&MOODS[..9]);
        }
        let (answer, status, arrived, took) = match mood {
            Mood::Fine | Mood::Flaky => (Answer::Sent, Some(200), true, 40),
            Mood::Slow => (Answer::Sent, Some(204), true, 7_000),
            Mood::Down => (Answer::Retry, Some(503), false, 100),
            Mood::Silent => (Answer::Retry, None, true, 15_000),
            Mood::Throttling => (Answer::Retry, Some(429), false, 10),
            Mood::Rejecting => (Answer::Rejected, Some(400), false, 10),
            Mood::Misconfigured => (Answer::Misconfigured, Some(self.chance.pick(&[401, 535])), false, 10),
            Mood::Gone => (Answer::Gone, Some(410), false, 10),
        };
        self.passed += took + self.chance.between(0, 200);
        let asked = [1, 45, 600, 86_400];
        let retry_after = (mood == Mood::Throttling).then(|| Span::from_secs(self.chance.pick(&asked)));
        let mut arrived = arrived;
        if self.trouble && self.chance.one_in(30) {
            // The process ends within the send; what it had on the wire may have arrived.
            arrived = self.chance.one_in(2);
            self.incidents.ended += 1;
            self.dead = true;
        }
        let (id, payload) = (letter.id.clone(), letter.payload.clone());
        self.sends.push(Sent { channel, id, payload, arrived });
        Delivery { answer, status, note: format!("{mood:?}"), accepted: Vec::new(), retry_after }
    }
}

pub(crate) struct Gate {
    pub(crate) source: String,
    pub(crate) stage: Stage,
}

impl Gateway for Gate {
    fn fetch<'a>(&'a self, asked: &'a Asked, now: Time) -> played::Answering<'a> {
        let users: Vec<&str> = (0..asked.len()).map(|index| asked.name(index)).collect();
        Box::pin(async move { self.stage.set().fetch(&self.source, &users, now) })
    }
}

pub(crate) struct Desk {
    pub(crate) channel: &'static str,
    pub(crate) stage: Stage,
}

impl Receiver for Desk {
    fn take<'a>(&'a self, letter: &'a Letter, _now: Time) -> Answering<'a> {
        Box::pin(async move {
            let waits = self.stage.set().chance.below(3);
            for _ in 0..waits {
                others_first().await;
            }
            self.stage.set().answer(self.channel, letter)
        })
    }
}

/// Lets whoever goes on at the same time go on first.
async fn others_first() {
    let mut asked = false;
    std::future::poll_fn(|context| {
        if asked {
            return Poll::Ready(());
        }
        asked = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What the agent meets within a pass.
pub(crate) struct Weather(pub(crate) Stage);

impl Hazard for Weather {
    fn stopwatch(&self) -> Span {
        Span::from_millis(self.0.set().passed)
    }

    fn chance(&self) -> f64 {
        self.0.set().chance.unit()
    }

    /// Time that really passes must not decide who is next: a played send always ends before its turn does.
    fn turn(&self) -> Duration {
        Duration::from_hours(24)
    }
}
