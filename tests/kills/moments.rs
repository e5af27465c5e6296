//! Kills at random moments of polls and deliveries, each followed by a start and by all that must have survived it.
//!
//! Neighbours: `stage` is set up anew for every few dozen kills, `ledger` says what must hold. A part of its own because
//! chance finds the moments that nobody thought of; those that were thought of have parts of their own.

use std::time::{Duration, Instant, SystemTime};

use seatwatch::agent::clock;
use seatwatch::engine::time::Span;
use seatwatch::store::Reader;

use crate::dice::Dice;
use crate::ledger::{Committed, Tally, balance, in_doubt, sound, told_has_rows};
use crate::stage::{Stage, kills, seconds, stop};
use crate::support::program::Agent;

/// Kills on one stage.
pub(crate) const KILLS: usize = 30;

/// Seconds of the script in which users come and go.
const LIVELY: usize = 24;

/// What the kill waits for.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// Any.
    Chance,
    /// The emulator has just been asked.
    Asked,
    /// The receiver has just read a webhook, or the mail server a final dot.
    Posted,
    Mailed,
    /// Something was just written to the database.
    Written,
}

/// Both come and go every few seconds, out of step; at the end both are clear.
fn script() -> String {
    let flapping = |period: usize| -> String {
        let word = |n: usize| if n < LIVELY && n % period < period / 2 { "4 " } else { "1 " };
        (0..=LIVELY).map(word).collect()
    };
    seconds("alice", &flapping(4)) + &seconds("bob", &flapping(10))
}

pub(crate) fn play(seed: u64, kills: usize) -> Tally {
    let mut dice = Dice::new(seed);
    let stage = Stage::new(&script());
    let mut known = Committed::default();
    for n in 0..kills {
        let works = n * 5 >= kills * 4;
        stage.world.inboxes["soc"].answers(if works { 200 } else { dice.one_of(&[200, 200, 200, 500, 0]) });
        stage.mail.replies(if works { 250 } else { dice.one_of(&[250, 250, 250, 451, 0]) });
        let agent = stage.start();
        known = kill(agent, &stage, &mut dice, known);
        // Receivers that keep a sender waiting are in nobody's way at the next start.
    }
    let agent = stage.start();
    agent.says("running");
    let running = clock::now();
    stage.settle(&agent, Span::from_secs(LIVELY as i64 + 2));
    stop(agent);
    let reader = Reader::open(&stage.database()).unwrap();
    for source in ["shanghai", "beijing"] {
        let mut polls = reader.polls(source, 1).unwrap().map(|poll| poll.unwrap().at);
        let next = polls.find(|at| *at > running).unwrap();
        assert!(
            next.since(running) <= Span::from_secs(3),
            "{source}: the next poll was late: {next} at {running}"
        );
    }
    known.is_in(&Committed::read(&stage.database()), "after the last start");
    let tally = balance(&stage, kills);
    assert_eq!(tally.fired, tally.ended, "each that fired has its end: {tally:?}");
    tally
}

/// Kills the agent at some moment; what is committed afterwards.
fn kill(mut agent: Agent, stage: &Stage, dice: &mut Dice, mut known: Committed) -> Committed {
    let moments = [Moment::Chance, Moment::Asked, Moment::Posted, Moment::Mailed, Moment::Written];
    let moment = dice.one_of(&moments);
    let witness = dice.below(2) == 0;
    wait(stage, moment, dice);
    if witness {
        // Whoever reads beside the agent has seen this: it is committed.
        let seen = Committed::read(&stage.database());
        known.is_in(&seen, "while it runs");
        known = seen;
    }
    assert!(kills(&mut agent.child), "it ended before it was killed");
    let after = Committed::read(&stage.database());
    known.is_in(&after, "after a kill");
    sound(&stage.database());
    let arrivals = stage.arrivals();
    told_has_rows(&arrivals, &after, false);
    for (channel, ids) in in_doubt(&stage.database()) {
        let accepted = |id: &&String| {
            let mut all = arrivals.iter().filter(|arrival| arrival.channel == channel && arrival.id == **id);
            all.next_back().is_some_and(|last| last.accepted)
        };
        let again: Vec<_> = ids.iter().filter(accepted).collect();
        assert!(again.len() <= 1, "one kill at {moment:?} makes more than one copy at {channel}: {again:?}");
    }
    after
}

fn wait(stage: &Stage, moment: Moment, dice: &mut Dice) {
    let database = stage.database();
    let written = || -> Option<SystemTime> {
        std::fs::metadata(database.with_extension("db-wal")).ok()?.modified().ok()
    };
    let (asked, posted, mailed) =
        (stage.relay.asked(), stage.world.inboxes["soc"].count(), stage.mail.count());
    let last = written();
    let come = || match moment {
        Moment::Chance => false,
        Moment::Asked => stage.relay.asked() > asked,
        Moment::Posted => stage.world.inboxes["soc"].count() > posted,
        Moment::Mailed => stage.mail.count() > mailed,
        Moment::Written => written() != last,
    };
    let most = match moment {
        Moment::Chance => Duration::from_millis(dice.below(1200)),
        Moment::Asked | Moment::Posted | Moment::Mailed | Moment::Written => Duration::from_millis(1200),
    };
    until(Instant::now() + most, come);
    until(Instant::now() + Duration::from_micros(dice.below(width(moment))), || false);
}

/// How long after the moment it may be, in µs: within the commit or the send, or a little later.
fn width(moment: Moment) -> u64 {
    match moment {
        Moment::Chance => 1,
        Moment::Asked => 30_000,
        Moment::Posted | Moment::Mailed => 3_000,
        Moment::Written => 8_000,
    }
}

/// Waits for something, or for the moment itself.
pub(crate) fn until(deadline: Instant, come: impl Fn() -> bool) {
    while !come() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(100)); // until the moment of the kill
    }
}
