//! Years of minute polls in virtual time: engine, schedule, back-off and outbox, on a store in memory.
//!
//! Neighbours: `model` is the store, alone or with the real one as its twin. A part of its own because a real database
//! takes ten times longer than there is; what is left out here, the agent's own loops, is what `life` drives.

use std::collections::BTreeMap;
use std::sync::Arc;

use arcstr::ArcStr;
use chrono::Offset;
use seatwatch::agent::setup;
use seatwatch::engine::backoff::{self, Answer, Next};
use seatwatch::engine::elapsed::{ClockReading, elapsed};
use seatwatch::engine::event::{EndReason, Event, EventKind, Subject, event_id};
use seatwatch::engine::judge::judge;
use seatwatch::engine::names::Asked;
use seatwatch::engine::notify::{Notice, fold, part, plan};
use seatwatch::engine::outcome::{Act, ActRow, Alert, AlertKey, Outcome};
use seatwatch::engine::reading::{Batch, Fault, FaultClass, Fetched, Poll, Reading};
use seatwatch::engine::schedule::{Due, Schedule};
use seatwatch::engine::shared::Shared;
use seatwatch::engine::tend::{act, reconcile, remind};
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::{Setup, Watch, When};
use seatwatch::store::{Store, Then};

use crate::chance::Chance;
use crate::log::{Log, note};
use crate::model::Model;
use crate::rules::{self, Variant};
use crate::{INSTALL, START, Tally};

const CHANNELS: [&str; 2] = ["soc", "boss"];
const MINUTE: i64 = 60_000;
const SHADOWED: u32 = 90;

type Key = (ArcStr, Subject);

pub(crate) struct Years<'a> {
    chance: Chance,
    setups: Vec<Arc<Setup>>,
    setup: usize,
    schedule: Schedule,
    model: Model,
    watch: Watch,
    /// The watch that a restart did away with, to be asked the same for so many polls.
    shadow: Option<(Watch, u32)>,
    wall: i64,
    boot: i64,
    host: u32,
    run: u64,
    counts: Vec<Reading>,
    /// Until then the source does not answer; until then each channel answers so.
    silent_until: i64,
    moods: BTreeMap<&'static str, (Answer, i64)>,
    /// A channel that failed is left alone until then.
    paused: BTreeMap<&'static str, Time>,
    steps: BTreeMap<Key, u32>,
    open: BTreeMap<Key, ArcStr>,
    last_poll: Option<Time>,
    /// The clock was not touched since the last poll.
    even: bool,
    pub(crate) tally: Tally,
    log: &'a mut Log,
}

/// Lives until `days` have passed; panics where a promise is broken.
pub(crate) fn live(seed: u64, days: i64, twin: Option<Store>, log: &mut Log) -> Tally {
    let chance = Chance::new(seed, 3);
    // Both look at the same signals, so that a checkpoint of one is one of the other, too.
    let setups: Vec<Arc<Setup>> = [Variant::First, Variant::Stricter]
        .into_iter()
        .map(|variant| {
            let config = rules::config(variant, "* * * * *", "America/New_York");
            Arc::new(setup(&config, &config.sources[0], &Arc::new(config.fleet.clone()), INSTALL))
        })
        .collect();
    let model = Model::new(twin);
    let mut years = Years {
        chance,
        schedule: Schedule::parse("* * * * *", chrono_tz::America::New_York).unwrap(),
        watch: Watch::new(Arc::clone(&setups[0]), Default::default()),
        shadow: None,
        setups,
        setup: 0,
        model,
        wall: START.millis(),
        boot: 0,
        host: 0,
        run: 0,
        counts: vec![Reading::online(1); rules::USERS.len()],
        silent_until: 0,
        moods: BTreeMap::new(),
        paused: BTreeMap::new(),
        steps: BTreeMap::new(),
        open: BTreeMap::new(),
        last_poll: None,
        even: false,
        tally: Tally::default(),
        log,
    };
    let end = days * 1_440;
    while i64::try_from(years.tally.polls).unwrap() < end {
        years.minute();
    }
    years.tally.millis = end * MINUTE;
    years.tally
}

fn sorted(watch: &Watch) -> BTreeMap<AlertKey, Alert> {
    watch.alerts().into_iter().collect()
}

impl Years<'_> {
    fn now(&self) -> Time {
        Time::from_millis(self.wall)
    }

    fn clocks(&self) -> ClockReading {
        ClockReading { wall: self.now(), boot: Span::from_millis(self.boot), boot_id: self.host.to_string() }
    }

    fn pass(&mut self, millis: i64) {
        self.wall += millis;
        self.boot += millis;
    }

    /// Sleeps until the next instant, polls, and now and then tends and delivers.
    fn minute(&mut self) {
        if self.chance.one_in(1_000) {
            self.surprise();
        }
        match self.schedule.due(self.watch.memory.last_at, self.now()) {
            Due::Wait(next) => {
                let sleep = next.unwrap().since(self.now()).millis();
                // A loop sleeps a minute at most, and then looks at the clock again.
                self.pass(sleep.min(MINUTE));
                assert!(sleep > 0, "an instant that came is due");
            }
            Due::Run(run) => {
                self.poll(run.at);
                if run.at.millis() % (5 * MINUTE) == 0 {
                    self.tend();
                }
            }
        }
        let now = self.now();
        for channel in CHANNELS {
            let rows = self.model.outbox.get(channel).map(Vec::as_slice).unwrap_or_default();
            let due = rows.iter().any(|row| !row.waiting && row.next <= now);
            let paused = self
                .paused
                .get(channel)
                .is_some_and(|until| *until > now && until.since(now) < Span::from_hours(1));
            if due && !paused {
                self.deliver(channel);
            }
        }
    }

    fn surprise(&mut self) {
        match self.chance.below(16) {
            0..=2 => {
                let jump =
                    self.chance.pick(&[3_600_000, -3_600_000, 86_400_000, -86_400_000, 61_000, -7_000]);
                self.wall += jump;
                self.tally.jumps += 1;
                self.even = false;
                note!(self.log, "jump {jump}");
            }
            3 => {
                let hours = self.chance.between(1, 9);
                self.pass(hours * 3_600_000);
                self.even = false;
            }
            4 => {
                let off = self.chance.between(1, 90) * MINUTE;
                self.wall += off;
                (self.boot, self.host) = (0, self.host + 1);
                self.even = false;
                self.start(false);
            }
            5 => self.silent_until = self.wall + self.chance.between(1, 30) * MINUTE,
            6..=7 => self.start(true),
            8 => {
                self.setup = usize::try_from(self.chance.below(2)).unwrap();
                self.watch = self.model.watch(&self.setups[self.setup]);
                self.shadow = None;
                self.tend();
            }
            9..=10 => self.operate(),
            _ => {
                let answers = [
                    Answer::Sent,
                    Answer::Sent,
                    Answer::Sent,
                    Answer::Retry,
                    Answer::Retry,
                    Answer::Rejected,
                    Answer::Misconfigured,
                    Answer::Gone,
                ];
                let (channel, answer) = (self.chance.pick(&CHANNELS), self.chance.pick(&answers));
                // Most troubles pass within the hour, a few last for days.
                let minutes = if self.chance.one_in(30) { 6_000 } else { self.chance.between(5, 60) };
                self.moods.insert(channel, (answer, self.wall + minutes * MINUTE));
            }
        }
    }

    /// The process ends and another begins. One that lost nothing finds its watch as it was.
    fn start(&mut self, nothing_lost: bool) {
        self.tally.crashes += 1;
        self.run += 1;
        let (run, now) = (format!("run-{}", self.run), self.now());
        self.model.start(&run, now);
        let again = self.model.watch(&self.watch.setup);
        if nothing_lost {
            assert_eq!(again.memory, self.watch.memory);
            assert_eq!(sorted(&again), sorted(&self.watch), "alerts after a restart");
        }
        let before = std::mem::replace(&mut self.watch, again);
        self.shadow = nothing_lost.then_some((before, SHADOWED));
        note!(self.log, "run {} at {now}", self.run);
    }

    fn fetch(&mut self, asked: &Asked, now: Time) -> Fetched {
        if self.chance.one_in(8) {
            let user = usize::try_from(self.chance.below(self.counts.len() as u64)).unwrap();
            self.counts[user] = match self.chance.below(24) {
                0 => Reading::ABSENT,
                1 => Reading::online(0),
                2 => Reading::online(3),
                3 => Reading::online(4),
                n => Reading::online(u32::try_from(n % 3).unwrap()),
            };
        }
        let silent = self.wall < self.silent_until || self.chance.one_in(300);
        let missed = self.chance.one_in(60).then(|| usize::try_from(self.chance.below(6)).unwrap());
        let mut fetched = Fetched { requests: 1, ..Fetched::default() };
        for (place, slot) in (0..).zip(asked.slots()) {
            let slot = slot as usize;
            let failed = silent || missed == Some(slot);
            fetched.readings.push(if failed { Reading::FAILED } else { self.counts[slot] });
            if !failed {
                fetched.batch_of.put(place..place + 1, 0);
            }
        }
        fetched.batches.push(Batch { fetched_at: now, request_id: Some("R".into()) });
        let fault = || Fault {
            class: FaultClass::Server,
            code: "500".to_owned(),
            message: String::new(),
            advice: None,
        };
        fetched.fault = silent.then(fault);
        fetched
    }

    fn poll(&mut self, at: Time) {
        let (now, instant) = (self.now(), self.clocks().at(at));
        let asked = self.watch.asked(now);
        let fetched = self.fetch(&asked, now);
        let before = self.watch.memory.last_at.map(|wall| {
            let (boot_id, boot) = self.watch.memory.boot.clone().unwrap_or_default();
            ClockReading { wall, boot: Span::from_millis(boot), boot_id }
        });
        let (elapsed, jump) = before.map_or((Span::ZERO, None), |before| elapsed(&before, &instant));
        assert!(elapsed >= Span::ZERO && elapsed < Span::from_days(400), "{elapsed}");
        self.minutes_follow_each_other(at, elapsed, jump);
        let poll = self.watch.poll(fetched, &asked, When { at, elapsed, jump, took: Span::ZERO });
        self.watch.memory.boot = Some((instant.boot_id, instant.boot.millis()));
        let expect = self.shadowed(&poll, now);
        self.log.bytes(&at.millis().to_be_bytes());
        let readings = poll.readings.clone();
        let settled = reconcile(&mut self.watch, now);
        let mut outcome = judge(&mut self.watch, poll, now);
        outcome.prepend(settled);
        if let Some(expect) = expect {
            let (expect, alerts) = expect;
            assert_eq!(expect.events, outcome.events, "a restart changed the events");
            // How they are written may differ: one that began anew does not know what of its alerts has a row.
            assert_eq!(alerts, self.watch.alerts(), "a restart changed the alerts");
        }
        self.tally.polls += 1;
        match self.chance.below(4_000) {
            // The process ends before, or right after, the commit; or the disk is full, or says nothing.
            0 => {
                self.even = false;
                self.start(false);
            }
            1 => {
                self.commit(outcome, Some(&readings));
                self.start(false);
            }
            2 => {
                self.tally.refusals += 1;
                self.even = false;
                self.shadow = None;
                self.watch = self.model.watch(&self.watch.setup);
            }
            3 => {
                self.tally.refusals += 1;
                self.shadow = None;
                self.commit(outcome, Some(&readings));
                self.watch = self.model.watch(&self.watch.setup);
            }
            _ => {
                self.commit(outcome, Some(&readings));
                self.watch.names_saved();
            }
        }
    }

    /// What the watch that never stopped makes of the same poll.
    fn shadowed(&mut self, poll: &Poll, now: Time) -> Option<(Outcome, Vec<(AlertKey, Alert)>)> {
        let (shadow, left) = self.shadow.as_mut()?;
        let settled = reconcile(shadow, now);
        let mut outcome = judge(shadow, poll.clone(), now);
        outcome.prepend(settled);
        shadow.names_saved();
        let alerts = shadow.alerts();
        *left -= 1;
        if *left == 0 {
            self.shadow = None;
        }
        Some((outcome, alerts))
    }

    /// Every minute once, over both changes of the clock, unless somebody touched clock or process.
    fn minutes_follow_each_other(&mut self, at: Time, elapsed: Span, jump: Option<Span>) {
        if let Some(last) = self.last_poll.filter(|_| self.even) {
            assert_eq!(
                (at.since(last), elapsed, jump),
                (Span::from_mins(1), Span::from_mins(1), None),
                "{last} to {at}"
            );
            let offset = |at: Time| at.to_utc().with_timezone(&chrono_tz::America::New_York).offset().fix();
            if at.millis() % 3_600_000 == 0 && offset(at) != offset(last) {
                self.tally.dst += 1;
            }
        }
        self.even = true;
        self.last_poll = Some(at);
    }

    /// Takes over what was decided, and looks at every event of it.
    fn commit(&mut self, outcome: Outcome, readings: Option<&[Reading]>) {
        if outcome.is_empty() {
            return;
        }
        if outcome.poll.is_none() {
            self.shadow = None;
        }
        for event in &outcome.events {
            self.witness(event, readings);
        }
        let told: BTreeMap<&str, &Shared<String>> =
            outcome.events.iter().map(|event| event.id.as_str()).zip(&outcome.told).collect();
        let notices = plan(&outcome.events, &|event| told[event.id.as_str()].to_vec());
        for channel in CHANNELS {
            assert!(notices.iter().filter(|notice| notice.channel == channel).count() <= 5, "{notices:?}");
        }
        self.model.commit(outcome, notices);
    }

    fn witness(&mut self, event: &Event, readings: Option<&[Reading]>) {
        let key = (event.rule.clone(), event.subject.clone());
        let step = self.steps.entry(key.clone()).or_insert(0);
        *step += 1;
        let source = event.source.as_deref();
        assert_eq!(
            event.id,
            event_id(INSTALL, &event.rule, source, &event.subject, *step, event.kind),
            "{event:?}"
        );
        assert!(
            event.blind >= Span::ZERO && event.readings.len() <= 20 && event.request_ids.len() <= 20,
            "{event:?}"
        );
        match event.kind {
            EventKind::Fired => assert_eq!(self.open.insert(key, event.episode.clone()), None, "{event:?}"),
            EventKind::Ended => assert_eq!(self.open.remove(&key), Some(event.episode.clone()), "{event:?}"),
            EventKind::Reminded
            | EventKind::Escalated
            | EventKind::Changed
            | EventKind::Acked
            | EventKind::Closed => assert_eq!(self.open.get(&key), Some(&event.episode), "{event:?}"),
        }
        let decides = event.kind == EventKind::Fired || event.reason == Some(EndReason::Cleared);
        if decides && rules::ON_A_READING.contains(&event.rule.as_str()) {
            let slot = self.watch.names.slot(&event.subject.name).unwrap();
            let count = readings.unwrap()[slot as usize].count();
            assert!(count.is_some() && event.value.and_then(|value| value.now) == count, "{event:?}");
            if let Some(limit) = &event.limit {
                assert_eq!(count > Some(limit.value), event.kind == EventKind::Fired, "{event:?}");
            }
        }
        note!(self.log, "{:?} {} {}", event.kind, event.at, event.id);
        self.tally.events += 1;
    }

    fn tend(&mut self) {
        let now = self.now();
        let mut outcome = reconcile(&mut self.watch, now);
        outcome.append(remind(&mut self.watch, now));
        self.commit(outcome, None);
    }

    /// An operator acknowledges or closes.
    fn operate(&mut self) {
        let n = usize::try_from(self.chance.below(self.open.len() as u64)).unwrap();
        let Some(episode) = self.open.values().nth(n).map(ArcStr::to_string) else { return };
        let (rearm, finding, note) = (self.chance.one_in(2), None, None);
        let wish = match self.chance.one_in(2) {
            true => Act::Ack { episode, note },
            false => Act::Close { episode, rearm, finding, note },
        };
        let row = ActRow { id: 1, by: "olga".to_owned(), at: self.now(), act: wish };
        let now = self.now();
        let outcome = act(&mut self.watch, &row, now).unwrap();
        self.commit(Outcome { acts: Vec::new(), now: self.now(), ..outcome }, None);
    }

    /// One pass of a channel: parts and folds, then sends until one fails.
    fn deliver(&mut self, channel: &'static str) {
        let now = self.now();
        let rows = loop {
            let (mut rows, mut parted) = (Vec::new(), false);
            for row in self.model.rows(channel, now) {
                let unheard = if row.attempted { Vec::new() } else { self.model.unheard_of(channel, &row) };
                match part(channel, &row, &unheard) {
                    Some(parts) => self.model.part(channel, &row.id, parts, now),
                    None => rows.push(row.clone()),
                }
                parted |= rows.last().is_none_or(|last| last.id != row.id);
            }
            if !parted {
                break rows;
            }
        };
        for one in fold(channel, &rows) {
            self.model.fold(channel, one, now);
        }
        for row in self.model.due(channel, now) {
            if !self.attempt(channel, &row.notice, row.tries + 1, row.first.unwrap_or(now)) {
                break;
            }
        }
        assert!(self.model.balances(), "{:?}", self.model.balance);
    }

    /// Whether the next row may be tried in this pass.
    fn attempt(&mut self, channel: &'static str, notice: &Notice, tries: u32, first: Time) -> bool {
        let (now, run) = (self.now(), format!("run-{}", self.run));
        let n = self.model.begin(channel, &notice.id, &run, now);
        self.tally.attempts += 1;
        if self.chance.one_in(500) {
            // The process ends within the send; it may have arrived.
            self.start(true);
            return false;
        }
        let mood = self.moods.get(channel).filter(|(_, until)| *until > self.wall);
        let answer = mood.map_or(Answer::Sent, |(answer, _)| *answer);
        let asked = self.chance.one_in(20).then(|| Span::from_secs(self.chance.between(0, 90_000)));
        let next = backoff::next(answer, tries, first, now, asked, self.chance.unit());
        let then = match next {
            Next::Done => Then::Sent,
            Next::At(at) => {
                let wait = at.since(now);
                assert!(wait >= backoff::SHORTEST_WAIT && wait <= backoff::LONGEST_WAIT, "{wait}");
                Then::At(at)
            }
            Next::Dead => Then::Dead,
            Next::Wait => Then::Wait,
        };
        note!(self.log, "{channel} {} {n} {then:?}", notice.id);
        self.model.finish(channel, &notice.id, n, answer, then, now);
        if let (false, Then::At(until)) = (answer == Answer::Sent, then) {
            self.paused.insert(channel, until);
        }
        answer == Answer::Sent
    }
}
