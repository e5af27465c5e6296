//! The program itself: signals, the service manager, exit codes, and what is left when it is killed at any moment.
//!
//! Neighbours: `world` has emulator and receivers, which live in this process while the agent runs in its own. A part
//! of its own because these promises are the process's: a test in process cannot lose what a dead one loses.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use seatwatch::agent::clock;
use seatwatch::engine::event::EventKind;
use seatwatch::engine::time::Span;
use seatwatch::store::{OutboxState, Reader};

use crate::world::{World, body, counts, events};

const EVERY_2_S: &str = "every */2 * * * * *";
const RULE: &str = "[[rule]]\nname = 'shared'\nwhen = 'online > limit'\nlimit = 2\n";

/// Starts at a real moment, so that signatures are in time; steps are seconds, not minutes.
fn world(scenario: &str) -> World {
    let now = clock::now();
    World::around(scenario, &["soc"], Arc::new(AtomicI64::new(now.millis())), Arc::new(clock::now))
}

fn seconds(user: &str, timeline: &str) -> String {
    counts(user, timeline).replace("m\",", "s\",")
}

fn rules(world: &World, rest: &str) {
    world.write(&format!("source shanghai 'alice', 'bob' {EVERY_2_S}\n{RULE}{rest}"));
}

/// A running `seatwatch run`; killed when it goes.
struct Agent {
    child: Child,
    log: Receiver<String>,
}

impl Agent {
    fn start(world: &World, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatwatch"));
        command.arg("-c").arg(world.rules_file()).arg("run");
        command.env_remove("NOTIFY_SOCKET").stdout(Stdio::null()).stderr(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let (tell, log) = channel();
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let _ = tell.send(line);
                }
            });
        }
        Self { child, log }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for a line of the log that holds `part`.
    #[track_caller]
    fn says(&self, part: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut seen = String::new();
        loop {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen = format!("{seen}{line}\n"),
                Err(error) => panic!("{error}: no {part:?} in\n{seen}"),
            }
        }
    }

    /// Waits for something to be true.
    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(40);
        while !holds() {
            assert!(Instant::now() < deadline, "never: {what}");
            let _ = self.log.recv_timeout(Duration::from_millis(50));
        }
    }

    /// Waits for the end; the exit code and what was still logged.
    #[track_caller]
    fn ends(&mut self, within: Duration) -> (Option<i32>, String) {
        let deadline = Instant::now() + within;
        let mut seen = String::new();
        // The log ends with the process.
        loop {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => seen = format!("{seen}{line}\n"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("still running after {within:?}:\n{seen}"),
            }
        }
        (self.child.wait().unwrap().code(), seen)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const STOP: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_and_a_second_start_is_refused() {
    let world = world(&(counts("alice", "1") + &counts("bob", "1")));
    rules(&world, "");
    let path = world.dir.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let hear = |wanted: &str| {
        let mut bytes = [0; 512];
        loop {
            let length = socket.recv(&mut bytes).unwrap_or_else(|e| panic!("{wanted}: {e}"));
            if String::from_utf8_lossy(&bytes[..length]).lines().any(|line| line == wanted) {
                return;
            }
        }
    };
    let mut agent = Agent::start(&world, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    hear("READY=1");
    hear("WATCHDOG=1");
    let mut second = Agent::start(&world, |_| ());
    let (code, log) = second.ends(STOP);
    assert_eq!(code, Some(75), "{log}");
    assert!(log.contains(&agent.child.id().to_string()), "{log}");
    agent.signal(Signal::TERM);
    hear("STOPPING=1");
    assert_eq!(agent.ends(STOP).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_no_webhook_that_hangs_and_counts_no_crash() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    let long = std::fs::read_to_string({
        rules(&world, "");
        world.rules_file()
    });
    std::fs::write(world.rules_file(), long.unwrap().replace("timeout = \"5s\"", "timeout = \"60s\""))
        .unwrap();
    world.inboxes["soc"].answers(0);
    let mut agent = Agent::start(&world, |_| ());
    world.inboxes["soc"].wait(20, |posted| !posted.is_empty());
    agent.signal(Signal::TERM);
    let (code, log) = agent.ends(STOP);
    assert_eq!(code, Some(0), "{log}");
    let rows = world.outbox(true);
    assert_eq!((rows.len(), rows[0].state, rows[0].crashes), (1, OutboxState::Pending, 0), "{rows:?}");
    let (_, attempts) = world.reader().notification(&rows[0].id).unwrap();
    assert!(attempts[0].ended_at.is_some(), "{attempts:?}");
    world.inboxes["soc"].answers(200);
    let mut again = Agent::start(&world, |_| ());
    again.until("it is delivered", || world.outbox(true)[0].state == OutboxState::Sent);
    again.signal(Signal::INT);
    assert_eq!(again.ends(STOP).0, Some(0));
    assert_eq!(world.outbox(true)[0].crashes, 0);
    let all = world.inboxes["soc"].all();
    assert!(all.iter().all(|(p, _)| p.body == all[0].0.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_rules_again() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    rules(&world, "");
    let mut agent = Agent::start(&world, |_| ());
    world.inboxes["soc"].wait(20, |posted| posted.len() == 1);
    let fired = agent.says(" fired ");
    assert!(fired.contains("subject=\"alice\"") && fired.contains("episode=\"ep_"), "{fired}");
    rules(&world, "severty = 'high'\n[[rule]]\nname = 'x'\n");
    agent.signal(Signal::HUP);
    let refused = agent.says("severty");
    assert!(refused.contains("severity"), "the hint names the nearest: {refused}");
    agent.says("when");
    rules(&world, "except = ['alice']\n");
    agent.signal(Signal::HUP);
    agent.says("in force");
    world.inboxes["soc"].wait(20, |posted| posted.len() == 2);
    let all = world.inboxes["soc"].all();
    assert_eq!(body(&all[1].0)["data"]["events"][0]["reason"], "left-scope");
    agent.until("it is delivered", || world.outbox(false).is_empty());
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_output_kills_nothing() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    rules(&world, "");
    let mut agent = Agent::start(&world, |command| {
        command.stdout(Stdio::piped());
    });
    drop(agent.child.stdout.take());
    let (_, gone) = channel();
    // The reader of the log hangs up: every line that follows meets a closed pipe.
    agent.log = gone;
    world.inboxes["soc"].wait(20, |posted| posted.len() == 1);
    let mut silent = Agent::start(&world, |command| {
        command.stderr(Stdio::null());
    });
    assert_eq!(silent.ends(STOP).0, Some(75));
    assert_eq!(agent.child.try_wait().unwrap(), None);
    agent.signal(Signal::TERM);
    assert_eq!(agent.child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_start_says_why_by_its_exit_code() {
    let world = world("");
    rules(&world, "");
    std::fs::remove_file(world.dir.path("key")).unwrap();
    let (code, log) = Agent::start(&world, |_| ()).ends(STOP);
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("access_key_secret"), "{log}");
    assert!(!world.database().exists(), "nothing was begun");
    world.dir.secret("key", "testsecret");
    std::fs::write(world.database(), "this is somebody else's file, and not a small one either").unwrap();
    let (code, log) = Agent::start(&world, |_| ()).ends(STOP);
    assert_eq!(code, Some(74), "{log}");
    std::fs::remove_file(world.database()).unwrap();
    rules(&world, "onlin = 3\n");
    let (code, log) = Agent::start(&world, |_| ()).ends(STOP);
    assert_eq!(code, Some(78), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_no_secret_is_in_what_is_logged_sent_or_kept() {
    // Refused signatures, a refused webhook, and everything logged that there is.
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    world.dir.secret("key", "canary-key");
    world.dir.secret("hook", "whsec_Y2FuYXJ5LXdlYmhvb2stc2VjcmV0LTAxMjM0NTY3ODk=");
    rules(&world, "");
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    let hook = "/canary-path?token=canary\"\nsecret = { file = \"hook\" }\nallow_private";
    std::fs::write(world.rules_file(), text.replace("/\"\nallow_private", hook)).unwrap();
    world.inboxes["soc"].answers(401);
    let mut agent = Agent::start(&world, |command| {
        command.env("RUST_LOG", "trace");
    });
    world.inboxes["soc"].wait(20, |posted| !posted.is_empty());
    let backup = world.dir.path("backup.db");
    let mut db = Command::new(env!("CARGO_BIN_EXE_seatwatch"));
    let db = db.arg("-c").arg(world.rules_file()).args(["db", "backup"]).arg(&backup).output().unwrap();
    assert!(db.status.success(), "{db:?}");
    agent.signal(Signal::TERM);
    let (code, log) = agent.ends(STOP);
    assert_eq!(code, Some(0));
    assert!(log.contains("SignatureDoesNotMatch") && log.contains("401"), "{log}");
    let sent: Vec<String> = world.inboxes["soc"].all().iter().map(|(p, _)| body(p).to_string()).collect();
    let kept = [world.database(), backup, world.dir.path("seatwatch.db-wal")];
    let kept = kept.iter().filter_map(|path| std::fs::read(path).ok());
    let kept: Vec<String> = kept.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    for text in [vec![log], sent, kept].concat() {
        for secret in ["canary", "Y2FuYXJ5LXdlYmhvb2stc2VjcmV0LTAxMjM0NTY3ODk="] {
            let at = text.find(secret).map(|at| text[..at].lines().last().unwrap_or_default().to_owned());
            assert_eq!(at, None, "{secret}");
        }
    }
    world.leaves("the receiver takes nothing");
}

/// xorshift, so that a failure can be played again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

const KILLS: usize = 14;
/// Seconds until the script is over.
const LAST: i64 = 28;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_nothing_told_is_forgotten() {
    let seed = seatwatch::secret::variable("SEATWATCH_SEED").and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| clock::now().millis().unsigned_abs());
    println!("SEATWATCH_SEED={seed}");
    let mut dice = Dice(seed | 1);
    // Both come and go every few seconds, out of step; at the end both are clear.
    let flapping = |period: usize| -> String {
        let word = |n: usize| if n < 26 && n % period < period / 2 { "4 " } else { "1 " };
        (0..27).map(word).collect()
    };
    let world = world(&(seconds("alice", &flapping(6)) + &seconds("bob", &flapping(10))));
    world.write("source shanghai 'alice', 'bob' every */2 * * * * *\n[[rule]]\nname = 'shared'\nwhen = 'online > 2'\n");
    let inbox = &world.inboxes["soc"];
    let mut agent = Agent::start(&world, |_| ());
    for _ in 0..KILLS {
        inbox.answers([200, 200, 200, 500, 500, 0][usize::try_from(dice.below(6)).unwrap()]);
        let seen = inbox.all().len();
        // Up to so long after a delivery, or in the middle of nowhere.
        let patience = Duration::from_millis(100 + dice.below(1700));
        let _ = agent.log.recv_timeout(patience);
        if dice.below(2) == 0 {
            let deadline = Instant::now() + patience;
            while inbox.all().len() == seen && Instant::now() < deadline {
                let _ = agent.log.recv_timeout(Duration::from_millis(5));
            }
        }
        agent.child.kill().unwrap();
        agent.child.wait().unwrap();
        inbox.answers(200);
        agent = Agent::start(&world, |_| ());
    }
    // The script is over, all is clear, and whatever waits is sent.
    let over = world.now() + Span::from_secs(LAST);
    let quiet = || {
        let Ok(reader) = Reader::open(&world.database()) else { return false };
        let open = reader.episodes(&Default::default()).unwrap().iter().any(|row| row.rule == "shared");
        let last = reader.last_poll("shanghai").unwrap();
        !open && world.outbox(false).is_empty() && last.is_some_and(|poll| poll.at > over)
    };
    agent.until("all is clear and told", quiet);
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));

    let mut bodies: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut told: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (posted, _) in inbox.all() {
        let id = posted.header("webhook-id").to_owned();
        let first = bodies.entry(id.clone()).or_insert_with(|| posted.body.clone());
        assert_eq!(*first, posted.body, "copies of {id} are the same");
        for event in body(&posted)["data"]["events"].as_array().unwrap() {
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            told.entry((text("episode"), text("kind"))).or_default().insert(id.clone());
        }
    }
    let committed = events(&world.database());
    assert!(committed.iter().any(|event| event.kind == EventKind::Ended), "the story has an end");
    // Three ends within one send give a notification up, and with it what follows on it.
    let outbox = world.outbox(true);
    let dead: Vec<_> = outbox.iter().filter(|row| row.state == OutboxState::Dead).collect();
    assert!(dead.iter().all(|row| row.crashes >= 3), "{dead:#?}");
    if !dead.is_empty() {
        world.leaves("some send was cut off three times");
    }
    let given_up: BTreeSet<&str> = committed
        .iter()
        .filter(|event| dead.iter().any(|row| row.events.contains(&event.id)))
        .map(|event| event.episode.as_str())
        .collect();
    for event in committed.iter().filter(|event| !given_up.contains(event.episode.as_str())) {
        let kind = format!("{:?}", event.kind).to_lowercase();
        let ids = told.get(&(event.episode.clone(), kind)).map_or(0, BTreeSet::len);
        let rows: Vec<_> = outbox.iter().filter(|row| row.events.contains(&event.id)).collect();
        assert_eq!(ids, 1, "{:?} of {} was told by {ids}: {rows:#?}", event.kind, event.episode);
    }
    assert!(given_up.len() * 2 < told.len(), "most were told");
}
