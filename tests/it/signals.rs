//! Signals at awkward moments: within a poll, while stopping, a hundred at once, and a process that was asleep.
//!
//! Neighbours: `process` starts the program, `world` has what it talks to. A part of its own beside `process`, whose
//! stories are those of every day.

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use seatwatch::agent::clock;
use seatwatch::engine::reading::PollOutcome;
use seatwatch::engine::time::Span;
use seatwatch::store::Reader;

use crate::process::{EVERY_2_S, STOP, rules, world};
use crate::support::http;
use crate::support::program::Agent;
use crate::world::{World, counts, fault};

/// An endpoint that says when it was asked, and answers when it is told to.
pub(crate) struct Held {
    pub(crate) url: String,
    pub(crate) asked: Receiver<()>,
    pub(crate) answer: Sender<()>,
}

impl Held {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ((tell, asked), (answer, answers)) = (channel(), channel());
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else { return };
                let mut socket = BufReader::new(socket);
                if http::read(&mut socket).is_none() {
                    continue;
                }
                if tell.send(()).is_err() || answers.recv().is_err() {
                    return;
                }
                good(socket.get_mut());
            }
        });
        Self { url, asked, answer }
    }
}

/// One client for alice and bob each.
fn good(socket: &mut TcpStream) {
    let one = |name| format!(r#"{{"UserName":"{name}","OnlineCount":1}}"#);
    let body =
        format!(r#"{{"RequestId":"R","UserStatistics":{{"Statistics":[{},{}]}}}}"#, one("alice"), one("bob"));
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = socket.write_all((head + &body).as_bytes());
}

fn polls(world: &World) -> Vec<(seatwatch::engine::time::Time, PollOutcome)> {
    let Ok(reader) = Reader::open(&world.database()) else { return Vec::new() };
    // Before the first poll there is no source.
    let Ok(all) = reader.polls("shanghai", 1) else { return Vec::new() };
    all.map(|poll| poll.unwrap()).map(|poll| (poll.at, poll.outcome)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_within_a_poll_leaves_the_whole_poll_or_none() {
    let held = Held::new();
    let mut world = world("");
    world.endpoint.clone_from(&held.url);
    world.write("source shanghai 'alice', 'bob'\n[[rule]]\nname = 'shared'\nwhen = 'online > 2'\n");
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    std::fs::write(world.rules_file(), text.replace("budget = \"1s\"", "budget = \"20s\"")).unwrap();
    let mut agent = Agent::start(&world, |_| ());
    held.asked.recv_timeout(Duration::from_secs(20)).unwrap();
    agent.signal(Signal::TERM);
    let (code, log) = agent.ends(STOP);
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(polls(&world), [], "nothing of a poll that was cut off");
    held.answer.send(()).unwrap();
    // The next start polls at once.
    let mut agent = Agent::start(&world, |_| ());
    held.asked.recv_timeout(Duration::from_secs(20)).unwrap();
    held.answer.send(()).unwrap();
    agent.until("a poll is kept", || !polls(&world).is_empty());
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
    assert_eq!(polls(&world)[0].1, PollOutcome::Complete);
    assert!(world.reader().check().unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_signal_ends_it_at_once() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    rules(&world, "");
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    std::fs::write(world.rules_file(), text.replace("timeout = \"5s\"", "timeout = \"60s\"")).unwrap();
    world.inboxes["soc"].answers(0);
    let mut agent = Agent::start(&world, |_| ());
    world.inboxes["soc"].wait(20, |posted| !posted.is_empty());
    // The send that is cut off cannot be written down: the first signal alone would wait for that.
    let other = rusqlite::Connection::open(world.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    agent.signal(Signal::TERM);
    let mut second = Instant::now();
    let ended = loop {
        // Again and again: which one comes first is the kernel's to say.
        if let Some(status) = agent.child.try_wait().unwrap() {
            break status;
        }
        if second.elapsed() > Duration::from_millis(50) {
            agent.signal(Signal::INT);
            second = Instant::now();
        }
        let _ = agent.log.recv_timeout(Duration::from_millis(20));
    };
    assert_eq!(ended.code(), Some(1));
    other.execute_batch("ROLLBACK").unwrap();
    assert!(world.reader().check().unwrap().is_ok());
    world.inboxes["soc"].answers(200);
    let mut again = Agent::start(&world, |_| ());
    again.until("it is delivered", || world.outbox(false).is_empty());
    again.signal(Signal::TERM);
    assert_eq!(again.ends(STOP).0, Some(0));
    let all = world.inboxes["soc"].all();
    assert!(all.iter().all(|(p, _)| p.body == all[0].0.body), "the same bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_hangups_are_few_reloads_and_the_last_file_counts() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    rules(&world, "");
    let mut agent = Agent::start(&world, |_| ());
    world.inboxes["soc"].wait(20, |posted| posted.len() == 1);
    for n in 0..100 {
        rules(&world, if n % 2 == 0 { "severty = 'high'\n" } else { "severity = 'low'\n" });
        agent.signal(Signal::HUP);
    }
    rules(&world, "except = ['alice']\n");
    agent.signal(Signal::HUP);
    world.inboxes["soc"].wait(20, |posted| {
        posted.iter().any(|(p, _)| String::from_utf8_lossy(&p.body).contains("left-scope"))
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while !world.outbox(false).is_empty() {
        assert!(Instant::now() < deadline, "it is delivered");
        std::thread::yield_now();
    }
    agent.signal(Signal::TERM);
    let (code, log) = agent.ends(STOP);
    assert_eq!(code, Some(0), "{log}");
    let read =
        ["the rules file is in force", "the rules file is refused"].map(|line| log.matches(line).count());
    assert!((1..20).contains(&read.iter().sum::<usize>()), "{read:?} of 101");
    assert!(polls(&world).iter().all(|(_, outcome)| *outcome == PollOutcome::Complete));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_within_a_reload_is_a_stop() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    rules(&world, "");
    // Large enough that reading it takes longer than two signals.
    let names: String = (0..60_000).map(|n| format!("\"user-{n}\",")).collect();
    let mut agent = Agent::start(&world, |_| ());
    world.inboxes["soc"].wait(20, |posted| posted.len() == 1);
    agent.until("it is delivered", || world.outbox(false).is_empty());
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    std::fs::write(world.rules_file(), text.replace("users = [", &format!("users = [{names}"))).unwrap();
    agent.signal(Signal::HUP);
    agent.signal(Signal::TERM);
    let (code, log) = agent.ends(STOP);
    assert_eq!(code, Some(0), "{log}");
    assert!(world.reader().check().unwrap().is_ok());
    assert_eq!(world.inboxes["soc"].all().len(), 1, "nothing was told that the old file does not say");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_stopped_runs_once_on_waking_and_says_what_was_missed() {
    let world = world(&(counts("alice", "1") + &counts("bob", "1")));
    rules(&world, "");
    let mut agent = Agent::start(&world, |_| ());
    agent.until("a poll is kept", || !polls(&world).is_empty());
    agent.signal(Signal::STOP);
    let asleep = clock::now();
    agent.until("five instants have passed", || clock::now().since(asleep) > Span::from_secs(11));
    let before = polls(&world);
    agent.signal(Signal::CONT);
    let awake = clock::now();
    let missed = agent.says("polls were missed");
    let count: i64 = missed.split("missed=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((3..=6).contains(&count), "{missed}");
    agent.until("it polls on", || polls(&world).len() >= before.len() + 2);
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
    let within = polls(&world)
        .iter()
        .filter(|(at, _)| *at > asleep + Span::from_secs(2) && *at < awake - Span::from_secs(3))
        .count();
    assert_eq!(within, 0, "no poll stands for an instant that was slept through");
    assert!(polls(&world).iter().all(|(_, outcome)| *outcome == PollOutcome::Complete), "{EVERY_2_S}");
}

/// A poll that outlasts its interval is finished before the next one of its source begins.
#[tokio::test(flavor = "multi_thread")]
async fn two_polls_of_a_source_never_run_at_once() {
    let held = Held::new();
    let mut world = World::idle("", &["soc"]);
    world.endpoint.clone_from(&held.url);
    world.write("source shanghai 'alice', 'bob'\n[[rule]]\nname = 'shared'\nwhen = 'online > 2'\n");
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    std::fs::write(world.rules_file(), text.replace("budget = \"1s\"", "budget = \"20s\"")).unwrap();
    world.restart().await;
    let neighbour = async {
        let asked = |held: Held| {
            tokio::task::spawn_blocking(move || {
                let first = held.asked.recv_timeout(Duration::from_secs(10));
                // Would the second one come before the first is answered?
                let second = held.asked.recv_timeout(Duration::from_millis(500));
                held.answer.send(()).unwrap();
                held.answer.send(()).unwrap();
                ((first.is_ok(), second.is_ok()), held)
            })
        };
        asked(held).await.unwrap()
    };
    let (first, second, ((asked, overlap), _held)) =
        tokio::join!(world.poll_of("shanghai", 0), world.poll_of("shanghai", 1), neighbour);
    assert!(asked && !overlap);
    let outcomes = [first.unwrap().outcome, second.unwrap().outcome];
    assert_eq!(outcomes, [PollOutcome::Complete; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_is_refused_within_a_second() {
    let world = world(&(counts("alice", "1") + &counts("bob", "1") + &fault(0, 0, "kind = 'drop'")));
    rules(&world, "");
    let mut agent = Agent::start(&world, |_| ());
    agent.says("running");
    let before = std::fs::read(world.dir.path("seatwatch.db.lock")).unwrap();
    // The quickest of many: a host that is busy with other tests does not count.
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let began = Instant::now();
        let (code, log) = Agent::start(&world, |_| ()).ends(STOP);
        assert_eq!(code, Some(75), "{log}");
        assert!(log.contains(&format!("process {}", agent.child.id())), "{log}");
        quickest = quickest.min(began.elapsed());
        if quickest < Duration::from_secs(1) {
            break;
        }
    }
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    assert_eq!(std::fs::read(world.dir.path("seatwatch.db.lock")).unwrap(), before);
    agent.until("the first one polls on", || polls(&world).len() >= 2);
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
}
