//! One life of a real agent in virtual time: its own loops' bodies on its own store, everybody else played.
//!
//! Neighbours: `neighbours` play, the witness looks after each step. A part of its own because here the order of things
//! is decided: polls by the schedule, passes of `tend` and `deliver`, jumps of the clock, reloads, acts, deaths.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use seatwatch::agent::{Agent, Live};
use seatwatch::channel::{Channel, played as receivers};
use seatwatch::config::Config;
use seatwatch::engine::elapsed::ClockReading;
use seatwatch::engine::event::Finding;
use seatwatch::engine::outcome::Act;
use seatwatch::engine::reading::Reading;
use seatwatch::engine::schedule::{Cause, Due};
use seatwatch::engine::time::{Span, Time};
use seatwatch::source::{Source, played};
use seatwatch::store::{Reader, Store, StoreError};
use tokio::runtime::Runtime;

use crate::chance::Chance;
use crate::log::{Log, note};
use crate::neighbours::{Desk, Gate, MOODS, Said, Stage, Weather};
use crate::rules::{CHANNELS, SOURCES, USERS, VARIANTS, Variant, config};
use crate::witness::Witness;
use crate::{INSTALL, START, Tally};

const SCHEDULES: [&str; 5] = ["* * * * *", "* * * * *", "*/5 * * * *", "*/20 * * * *", "7 * * * *"];
const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Shanghai"];
/// What is played after the last fault, at most: everything has been delivered or given up by then.
const CALM: u32 = 600;

pub(crate) struct Life<'a> {
    chance: Chance,
    runtime: Runtime,
    path: PathBuf,
    stage: Stage,
    agent: Option<Agent>,
    configs: BTreeMap<Variant, Config>,
    variant: Variant,
    /// Wall clock and boot time, ms; which start of the host it is.
    wall: i64,
    boot: i64,
    host: u32,
    tried: BTreeMap<&'static str, Time>,
    witness: Witness,
    /// What each committed poll said.
    truth: BTreeMap<(&'static str, u64), Said>,
    pub(crate) tally: Tally,
    log: &'a mut Log,
}

/// Lives `steps` wakes of the agent from `seed`; panics where a promise is broken.
pub(crate) fn live(seed: u64, steps: u32, path: PathBuf, log: &mut Log) -> Tally {
    let mut chance = Chance::new(seed, 1);
    let (schedule, zone) = (chance.pick(&SCHEDULES), chance.pick(&ZONES));
    // Most lives pass one of the two days of the year on which clocks are put forward or back.
    let days = chance.pick(&[0, 34, 119, 129, 131, 337, 342, 344]);
    let wall = START.millis() + chance.between(days * 86_400_000, (days + 3) * 86_400_000);
    let stage = Stage::new(seed);
    note!(log, "{schedule} {zone} from {}", Time::from_millis(wall));
    drop(Store::rehearse(&path, Time::from_millis(wall), stage.fates()).unwrap());
    let configs = VARIANTS.map(|variant| (variant, config(variant, schedule, zone)));
    let mut life = Life {
        chance,
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        witness: Witness::new(&path),
        path,
        stage,
        agent: None,
        configs: configs.into_iter().collect(),
        variant: Variant::First,
        wall,
        boot: 0,
        host: 0,
        tried: BTreeMap::new(),
        truth: BTreeMap::new(),
        tally: Tally::default(),
        log,
    };
    life.start();
    for _ in 0..steps {
        life.step();
    }
    life.end(wall);
    life.tally
}

impl Life<'_> {
    fn now(&self) -> Time {
        Time::from_millis(self.wall)
    }

    fn clocks(&self) -> ClockReading {
        ClockReading {
            wall: self.now(),
            boot: Span::from_millis(self.boot),
            boot_id: format!("host-{}", self.host),
        }
    }

    fn pass(&mut self, millis: i64) {
        self.wall += millis;
        self.boot += millis;
    }

    fn config(&self) -> &Config {
        &self.configs[&self.variant]
    }

    fn rules(&self) -> Live {
        let config = self.config().clone();
        let names = config.channels.iter().map(|channel| channel.name().to_owned()).collect::<Vec<_>>();
        let channels =
            CHANNELS.into_iter().filter(|channel| names.iter().any(|name| name == channel)).map(|channel| {
                let desk = Desk { channel, stage: self.stage.clone() };
                (channel.to_owned(), Arc::new(Channel::Played(receivers::Played(Arc::new(desk)))))
            });
        let sources = SOURCES.map(|source| {
            let gate = Gate { source: source.to_owned(), stage: self.stage.clone() };
            let played = played::Played { name: source.to_owned(), gateway: Arc::new(gate) };
            (source.to_owned(), Arc::new(Source::Played(played)))
        });
        Live::among(config, INSTALL, channels.collect(), &sources.into_iter().collect())
    }

    /// The process begins; if it ends within that, another does.
    fn start(&mut self) {
        loop {
            self.agent = None;
            self.tried.clear();
            self.stage.set().dead = false;
            let store = Store::rehearse(&self.path, self.now(), self.stage.fates()).unwrap();
            let agent = Agent::amid(store, self.rules(), Box::new(Weather(self.stage.clone())));
            let begun = self.runtime.block_on(agent.begin(self.now()));
            note!(self.log, "{} begins: {}", self.now(), begun.is_ok());
            if begun.is_ok() && !self.stage.set().dead {
                self.agent = Some(agent);
                return;
            }
        }
    }

    /// What one pass of the agent led to is looked at; if the process ended within, the next begins.
    fn after(&mut self, what: &str, failed: Option<&StoreError>, polled: Option<&'static str>, before: u64) {
        let (took, sends, dead) = {
            let mut set = self.stage.set();
            (std::mem::take(&mut set.passed), std::mem::take(&mut set.sends), set.dead)
        };
        note!(
            self.log,
            "{} {what} {} took {took}",
            self.now(),
            failed.map(ToString::to_string).unwrap_or_default().len()
        );
        self.pass(took);
        self.tally.attempts += sends.len() as u64;
        let mut said = None;
        if let Some(source) = polled {
            let (seq, _) = self.witness.last_poll(source).unwrap_or_default();
            assert!(seq == before || seq == before + 1, "{source}: poll {before}, then {seq}");
            if seq > before {
                let learnt = self.stage.set().said[source].clone();
                note!(self.log, "{source} {seq} {:?}", learnt.values());
                self.truth.insert((source, seq), learnt);
                self.tally.polls += 1;
                said = self.truth.get(&(source, seq)).map(|said| (source, said));
            }
        }
        let config = &self.configs[&self.variant];
        self.witness.look(self.log, config, said, &sends);
        // Whatever went wrong, an agent that nobody ended goes on.
        assert!(
            dead || !matches!(failed, Some(StoreError::Stopped | StoreError::Sequence { .. })),
            "{what}: {failed:?}"
        );
        if dead {
            self.tally.crashes += 1;
            self.start();
        }
    }

    fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }

    /// What is due now, as the agent's loops would do it.
    fn step(&mut self) {
        self.surprise();
        for source in SOURCES {
            self.poll(source);
        }
        if self.chance.one_in(2) {
            let tended = self.runtime.block_on(self.agent().tend_once(self.now()));
            self.after("tend", tended.err().as_ref(), None, 0);
        }
        if !self.chance.one_in(3) {
            let delivered = self.runtime.block_on(self.agent().deliver_once(self.now()));
            self.after("deliver", delivered.err().as_ref(), None, 0);
        }
        let wake = self.chance.between(3_000, 60_000);
        let due = SOURCES.iter().filter_map(|source| self.due(source)).min().unwrap_or(60_000);
        let sleep = if self.chance.one_in(3) { wake.min(due.max(50)) } else { due.max(50) };
        self.pass(sleep);
    }

    /// How long it is to the source's next instant, ms.
    fn due(&self, source: &&str) -> Option<i64> {
        let last = self.last_at(source);
        match self.config().sources[0].schedule.due(last, self.now()) {
            Due::Run(_) => Some(0),
            Due::Wait(next) => Some(next?.since(self.now()).millis()),
        }
    }

    fn last_at(&self, source: &str) -> Option<Time> {
        let last = self.witness.last_poll(source).map(|(_, at)| Time::from_millis(at));
        last.max(self.tried.get(source).copied())
    }

    fn poll(&mut self, source: &'static str) {
        let schedule = &self.config().sources[0].schedule;
        let Due::Run(run) = schedule.due(self.last_at(source), self.now()) else { return };
        assert!(run.late >= Span::ZERO && run.at <= self.now(), "{run:?}");
        assert!(run.cause != Cause::Instant || run.at.millis() % 60_000 == 0, "{run:?}");
        self.tried.insert(source, run.at);
        let before = self.witness.last_poll(source).map_or(0, |(seq, _)| seq);
        let clocks = self.clocks();
        let polled = self.runtime.block_on(self.agent().collect_once(source, run.at, &clocks));
        self.after("poll", polled.err().as_ref(), Some(source), before);
    }

    /// Now and then the world is another.
    fn surprise(&mut self) {
        let channel = self.chance.pick(&CHANNELS);
        if self.chance.one_in(12) {
            let mood = self.chance.pick(&MOODS);
            self.stage.set().moods.insert(channel, mood);
            note!(self.log, "{channel} is {mood:?}");
        }
        if self.chance.one_in(30) {
            let (source, silent) = (self.chance.pick(&SOURCES), self.chance.one_in(2));
            self.stage.set().silent.insert(source.to_owned(), silent);
        }
        match self.chance.below(160) {
            // Somebody sets the clock.
            0..=2 => {
                let jump =
                    self.chance.pick(&[3_600_000, -3_600_000, 86_400_000, -86_400_000, 61_000, -7_000]);
                self.wall += jump + self.chance.between(-900, 900);
                self.tally.jumps += 1;
            }
            // The host sleeps, or is off.
            3..=4 => {
                let hours = self.chance.pick(&[1, 3, 8, 30]) * 3_600_000;
                self.pass(hours);
            }
            5 => {
                let minutes = self.chance.between(1, 90) * 60_000;
                self.wall += minutes;
                (self.boot, self.host) = (self.chance.between(5_000, 90_000), self.host + 1);
                self.restart();
            }
            6..=7 => self.restart(),
            8..=9 => self.reload(),
            10..=19 => self.act(),
            _ => {}
        }
    }

    /// The process ends between passes.
    fn restart(&mut self) {
        self.tally.crashes += 1;
        self.start();
    }

    fn reload(&mut self) {
        self.variant = self.chance.pick(&VARIANTS);
        note!(self.log, "reload {:?}", self.variant);
        let swapped = self.runtime.block_on(self.agent().swap(self.rules(), self.now()));
        self.after("reload", swapped.err().as_ref(), None, 0);
    }

    fn act(&mut self) {
        let n = self.chance.next();
        let note = self.chance.one_in(2).then(|| "seen".to_owned());
        let act = match self.chance.below(6) {
            0 => self.witness.episode(n).map(|episode| Act::Ack { episode, note }),
            1 | 2 => {
                let rearm = self.chance.one_in(2);
                let finding = Some(Finding::MultiDevice);
                self.witness.episode(n).map(|episode| Act::Close { episode, rearm, finding, note })
            }
            3 | 4 => self.witness.notification("dead", n).map(|notification| Act::Retry { notification }),
            _ => {
                let state = self.chance.pick(&["pending", "waiting", "dead"]);
                self.witness.notification(state, n).map(|notification| Act::Drop { notification })
            }
        };
        let Some(act) = act else { return };
        note!(self.log, "{act:?}");
        let agent = self.agent.as_ref().unwrap();
        let added = self.runtime.block_on(async { agent.store().add_act("olga", self.now(), act).await });
        self.after("act", added.err().as_ref(), None, 0);
        let taken = self.runtime.block_on(self.agent().take_up_acts(self.now()));
        self.after("acts", taken.err().as_ref(), None, 0);
    }

    /// Nothing goes wrong any more: what is owed is delivered, and then everything is counted.
    fn end(&mut self, began: i64) {
        self.stage.set().trouble = false;
        self.variant = Variant::First;
        self.start();
        for round in 0..CALM {
            for source in SOURCES {
                self.poll(source);
            }
            let tended = self.runtime.block_on(self.agent().tend_once(self.now()));
            self.after("tend", tended.err().as_ref(), None, 0);
            let delivered = self.runtime.block_on(self.agent().deliver_once(self.now()));
            self.after("deliver", delivered.err().as_ref(), None, 0);
            if self.witness.unfinished().is_empty() && round > 12 {
                break;
            }
            self.pass(600_000);
        }
        assert_eq!(
            self.witness.unfinished(),
            Vec::<[String; 4]>::new(),
            "still to be sent after days of calm"
        );
        self.witness.conclude();
        let reader = Reader::open(&self.path).unwrap();
        let checked = reader.check().unwrap();
        assert!(checked.is_ok(), "{checked:?}");
        self.every_reading_is_kept(&reader);
        self.tally.events = self.witness.events;
        self.tally.millis = self.wall - began;
        let incidents = self.stage.set().incidents;
        self.tally.refusals = incidents.refused + incidents.unknown;
        note!(self.log, "{:?}", self.tally);
    }

    fn every_reading_is_kept(&self, reader: &Reader) {
        let (from, to) = (Time::from_millis(i64::MIN / 2), Time::from_millis(i64::MAX / 2));
        for source in SOURCES {
            for user in USERS {
                let said = self.truth.iter().filter(|((of, _), _)| *of == source);
                let said = said
                    .map(|((_, seq), said)| (*seq, said.get(user).copied().unwrap_or(Reading::NOT_POLLED)));
                let kept = reader.history(source, user, from, to).unwrap();
                let kept = kept.into_iter().map(|reading| (reading.seq, reading.reading));
                assert!(kept.eq(said), "{source}/{user}: what was kept is not what was said");
            }
        }
    }
}
