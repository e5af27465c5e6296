//! A disk that is full, read-only or broken for a while under the running agent, and then works again.
//!
//! Neighbours: `strace` does it, `ledger` says what must hold; `inject` strikes single calls instead. A part of its own
//! because an outage has a beginning and an end in the life of one process, which must see both.

use std::time::Instant;

use rustix::process::Signal;
use seatwatch::agent::clock;
use seatwatch::engine::event::EventKind;
use seatwatch::engine::time::Span;
use seatwatch::store::{EpisodeFilter, Reader};

use crate::ledger::{Committed, balance, is_of_storage, look, sound};
use crate::stage::{Arrival, CHANNELS, PATIENCE, RULE, Stage, seconds, stop};
use crate::strace::{self, Fault};
use crate::support::program::Agent;
use crate::world::HELD;

/// What happens to the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    name: &'static str,
    calls: &'static str,
    error: &'static str,
    /// Nothing can be added to the database; where only syncs or reads fail it may be.
    writes: bool,
    /// Polls are made, though they are lost.
    asks: bool,
    /// What makes the agent read where nothing is asked of the disk otherwise: its pages are in memory.
    rouse: fn(&Stage, &Agent),
}

fn rouses_by_itself(_: &Stage, _: &Agent) {}

/// A reload opens the database anew: the first page that it reads fails.
fn reloads(_: &Stage, agent: &Agent) {
    agent.signal(Signal::HUP);
}

/// Another program's commit makes all pages in memory stale: one fails to be read in the middle of a statement, and
/// SQLite calls that a malformed image.
fn is_written_beside(stage: &Stage, _: &Agent) {
    let other = rusqlite::Connection::open(stage.database()).unwrap();
    other.busy_timeout(PATIENCE).unwrap();
    other
        .execute_batch("INSERT INTO meta VALUES ('beside', 'us'); DELETE FROM meta WHERE key = 'beside'")
        .unwrap();
}

pub(crate) const OUTAGES: [Outage; 6] = [
    Outage::of_writes("full", "ENOSPC"),
    Outage::of_writes("read-only", "EROFS"),
    Outage::of_writes("broken at writes", "EIO"),
    Outage { calls: "fsync,fdatasync", writes: false, ..Outage::of_writes("broken at syncs", "EIO") },
    Outage::of_reads("broken at reads", reloads),
    Outage::of_reads("broken at reads of a statement", is_written_beside),
];

impl Outage {
    const fn of_writes(name: &'static str, error: &'static str) -> Self {
        Self { name, calls: "pwrite64", error, writes: true, asks: true, rouse: rouses_by_itself }
    }

    const fn of_reads(name: &'static str, rouse: fn(&Stage, &Agent)) -> Self {
        Self { name, calls: "pread64", error: "EIO", writes: false, asks: false, rouse }
    }
}

/// The second of the script in which bob is over the limit, too: within the outage.
const BOB: i64 = 10;

/// Alice has just been told of when the disk fails; bob is over the limit when it has failed for a while.
pub(crate) fn play(outage: Outage) {
    let bob = "1 ".repeat(usize::try_from(BOB).unwrap()) + "4";
    let stage = Stage::new(&(seconds("alice", "4") + &seconds("bob", &bob)));
    stage.world.inboxes["soc"].answers(HELD);
    let agent = stage.start();
    agent.until("alice is told of", || stage.world.inboxes["soc"].count() > 0 && stage.mail.count() > 0);
    let fault = Fault::begins(&stage, agent.pid(), outage.calls, outage.error);
    let before = Committed::read(&stage.database());
    assert!(clock::now().since(stage.began) < Span::from_secs(BOB), "the machine is too busy");
    // Taken, and that cannot be written down.
    stage.world.inboxes["soc"].answers(200);
    (outage.rouse)(&stage, &agent);
    let told = |channel| told_of_storage(&stage, channel);
    agent.until("both channels are told", || CHANNELS.into_iter().all(|channel| told(channel) > 0));
    // A commit may have been under way when it began.
    let failing = Committed::read(&stage.database());
    // Bob is seen, and the next polls see him again: none of them can be committed.
    agent.until("bob is seen", || clock::now().since(stage.began) > Span::from_secs(BOB + 2));
    let asked = stage.relay.asked();
    // Whom to ask about is read from the database.
    agent.until("polls go on", || !outage.asks || stage.relay.asked() >= asked + 2);
    for channel in CHANNELS {
        assert_eq!(told(channel), 1, "{channel} is told once of one outage");
    }
    let during = stage.arrivals();
    let copies = during.iter().filter(|arrival| arrival.channel == "soc" && !is_of_storage(arrival)).count();
    if outage.writes {
        assert_eq!(copies, 1, "nothing is sent again that cannot be written down");
        let after = Committed::read(&stage.database());
        assert!(after.lost(&failing).is_empty(), "nothing can be committed");
    }
    fault.ends();
    recovers(&stage, &agent, outage);
    before.is_in(&Committed::read(&stage.database()), outage.name);
    stop(agent);
    balance(&stage, 0);
    sound(&stage.database());
}

fn told_of_storage(stage: &Stage, channel: &str) -> usize {
    let storage = |arrival: &Arrival| arrival.channel == channel && is_of_storage(arrival);
    stage.arrivals().into_iter().filter(storage).count()
}

/// How often it was told that an outage is over: that goes through the database.
fn told_of_its_end(stage: &Stage, channel: &str) -> usize {
    let connection = look(&stage.database());
    let query = "SELECT 1 FROM notification n JOIN notification_event e ON e.notification = n.no
                 WHERE n.id = ?1 AND e.kind = 'ended'";
    let mut ends = connection.prepare(query).unwrap();
    let mut of = |arrival: &&Arrival| {
        arrival.channel == channel && is_of_storage(arrival) && ends.exists([&arrival.id]).unwrap()
    };
    stage.arrivals().iter().filter(&mut of).count()
}

/// The process that tells of the outage is killed within the sends: nobody knows whether they arrived, so they come
/// again with the same bytes, and the next process tells the end once.
pub(crate) fn dies_within() {
    let stage = Stage::new(&seconds("alice", "4"));
    let mut agent = stage.start();
    agent.until("alice is told of", || stage.arrivals().len() == 4 && stage.world.outbox(false).is_empty());
    stage.world.inboxes["soc"].answers(HELD);
    stage.mail.replies(0);
    let fault = Fault::begins(&stage, agent.pid(), "pwrite64", "ENOSPC");
    agent.until("both are being told", || {
        CHANNELS.into_iter().all(|channel| told_of_storage(&stage, channel) > 0)
    });
    agent.signal(Signal::KILL);
    agent.child.wait().unwrap();
    fault.ends();
    stage.receivers_work();
    let agent = stage.start();
    agent.until("the end is told", || {
        CHANNELS.into_iter().all(|channel| told_of_storage(&stage, channel) > 2)
            && stage.world.outbox(false).is_empty()
    });
    stop(agent);
    for channel in CHANNELS {
        let storage = |arrival: &Arrival| arrival.channel == channel && is_of_storage(arrival);
        let told: Vec<Arrival> = stage.arrivals().into_iter().filter(storage).collect();
        assert_eq!(told.len(), 3, "{channel}: its beginning twice, and its end");
        assert!(told[0].id == told[1].id && told[0].bytes == told[1].bytes, "{channel}: the same again");
        assert!(told[2].id != told[0].id, "{channel}");
    }
    balance(&stage, 1);
    sound(&stage.database());
}

/// The process that told of the outage is killed before it ends: the next one tells the end, and nothing again.
pub(crate) fn dies() {
    let stage = Stage::new(&seconds("alice", "4"));
    let mut agent = stage.start();
    agent.until("alice is told of", || stage.arrivals().len() == 4 && stage.world.outbox(false).is_empty());
    let fault = Fault::begins(&stage, agent.pid(), "pwrite64", "ENOSPC");
    agent.until("both are told", || CHANNELS.into_iter().all(|channel| told_of_storage(&stage, channel) > 0));
    let lock = stage.world.dir.path("seatwatch.db.lock");
    agent.until("it is noted", || {
        let note = std::fs::read_to_string(&lock).unwrap();
        note.matches("\"sent\"").count() == CHANNELS.len()
    });
    agent.signal(Signal::KILL);
    agent.child.wait().unwrap();
    fault.ends();
    let agent = stage.start();
    agent.until("the end is told", || {
        CHANNELS.into_iter().all(|channel| told_of_its_end(&stage, channel) > 0)
    });
    agent.until("all is told", || stage.world.outbox(false).is_empty());
    stop(agent);
    for channel in CHANNELS {
        assert_eq!(told_of_its_end(&stage, channel), 1, "{channel}");
        assert_eq!(told_of_storage(&stage, channel), 2, "{channel}: its beginning and its end");
    }
    balance(&stage, 0);
    sound(&stage.database());
}

/// In the same process: bob's alert, once and with its evidence, and one end of the outage for each who was told.
fn recovers(stage: &Stage, agent: &Agent, outage: Outage) {
    let fired = |reader: &Reader| {
        let all = reader.episodes(&EpisodeFilter::default()).unwrap_or_default();
        all.iter().filter(|row| row.rule == RULE && row.fired_at.is_some()).count()
    };
    let ended = |channel| told_of_its_end(stage, channel);
    agent.until_nothing(&|| {
        let fired = Reader::open(&stage.database()).map_or_else(
            |error| error.to_string(),
            |reader| {
                let count = fired(&reader);
                if count == 4 { String::new() } else { format!("{count} of 4 alerts fired") }
            },
        );
        let waiting = stage.world.outbox(false);
        let unended: Vec<_> = CHANNELS.into_iter().filter(|channel| ended(channel) == 0).collect();
        if fired.is_empty() && waiting.is_empty() && unended.is_empty() {
            return String::new();
        }
        format!(
            "all is told after {outage:?}: {fired}; waiting: {waiting:#?}; the end is not told at {unended:?}"
        )
    });
    for channel in CHANNELS {
        assert_eq!(ended(channel), 1, "{outage:?}: the end is told once at {channel}");
    }
    let events = stage.world.events();
    for user in ["alice", "bob"] {
        for source in ["shanghai", "beijing"] {
            let of = |event: &&seatwatch::engine::event::Event| {
                event.subject.name == user && event.source.as_deref() == Some(source)
            };
            let mine: Vec<_> = events.iter().filter(of).collect();
            assert_eq!(mine.len(), 1, "{outage:?}: {user} at {source}: {mine:#?}");
            assert_eq!(mine[0].kind, EventKind::Fired);
            assert!(!mine[0].readings.is_empty(), "{outage:?}: without evidence: {:#?}", mine[0]);
        }
    }
}

/// A file system that is read-only from the start on: refused with the path.
pub(crate) fn starts_read_only() {
    let stage = Stage::new(&seconds("alice", "1"));
    let log = stage.world.dir.path("trace");
    let mut options: Vec<String> =
        ["-e", "trace=openat", "-e", "inject=openat:error=EROFS"].map(Into::into).into();
    for ending in ["", "-wal", "-shm", ".lock"] {
        let path = stage.world.dir.path(&format!("seatwatch.db{ending}"));
        options.extend(["-P".to_owned(), path.display().to_string()]);
    }
    let began = Instant::now();
    let (code, said) = Agent::of(strace::run(&stage, &log, &options), |_| ()).ends(PATIENCE);
    assert_eq!(code, Some(74), "{said}");
    let path = stage.database().display().to_string();
    assert!(said.contains(&path) && said.contains("cannot be written"), "{said}");
    assert!(began.elapsed() < PATIENCE, "{said}");
    assert!(!stage.database().exists());
}
