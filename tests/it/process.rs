//! The program itself: signals, the service manager, exit codes.
//!
//! Neighbours: `world` has emulator and receivers, which live in this process while the agent runs in its own; the
//! program `kills` ends it at any moment. A part of its own because these promises are the process's: a test in
//! process cannot lose what a dead one loses.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use rustix::process::Signal;
use seatwatch::agent::clock;
use seatwatch::store::{OutboxState, Reader};

use crate::support::program::Agent;
use crate::world::{HELD, World, body, counts};

pub(crate) const EVERY_2_S: &str = "every */2 * * * * *";
const RULE: &str = "[[rule]]\nname = 'shared'\nwhen = 'online > limit'\nlimit = 2\n";

/// Starts at a real moment, so that signatures are in time; steps are seconds, not minutes.
pub(crate) fn world(scenario: &str) -> World {
    let now = clock::now();
    World::around(scenario, &["soc"], Arc::new(AtomicI64::new(now.millis())), Arc::new(clock::now))
}

pub(crate) fn seconds(user: &str, timeline: &str) -> String {
    counts(user, timeline).replace("m\",", "s\",")
}

pub(crate) fn rules(world: &World, rest: &str) {
    world.write(&format!("source shanghai 'alice', 'bob' {EVERY_2_S}\n{RULE}{rest}"));
}

pub(crate) const STOP: Duration = Duration::from_secs(10);

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

/// What a receiver is about to take is not cut off by a planned stop: it would come again after the next start.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_a_send_that_ends_soon_and_sends_nothing_twice() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    rules(&world, "");
    world.inboxes["soc"].answers(HELD);
    let mut agent = Agent::start(&world, |_| ());
    world.inboxes["soc"].wait(20, |posted| !posted.is_empty());
    agent.signal(Signal::TERM);
    agent.says("stopping");
    world.inboxes["soc"].answers(200);
    let (code, log) = agent.ends(STOP);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("delivered"), "{log}");
    assert_eq!(world.outbox(true)[0].state, OutboxState::Sent);
    let polled = || world.reader().last_poll("shanghai").unwrap().map(|poll| poll.seq);
    let before = polled();
    let mut again = Agent::start(&world, |_| ());
    again.until("it polls again", || polled() > before);
    again.signal(Signal::TERM);
    assert_eq!(again.ends(STOP).0, Some(0));
    assert_eq!(world.inboxes["soc"].all().len(), 1);
}

/// The first lines of a log are what somebody needs who was handed nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_says_what_runs_on_what() {
    let world = world(&(counts("alice", "1") + &counts("bob", "1")));
    rules(&world, "");
    let (rules, database) = (world.rules_file(), world.database());
    let files = [rules.display().to_string(), database.display().to_string()];
    let start = |new: &str, last_poll: &str| {
        let mut agent = Agent::start(&world, |_| ());
        if !new.is_empty() {
            assert!(agent.says(new).contains(&files[1]));
        }
        let starting = agent.says("starting");
        assert!(starting.contains(env!("CARGO_PKG_VERSION")), "{starting}");
        assert!(files.iter().all(|file| starting.contains(file)), "{starting}");
        assert!(starting.contains(&format!("last_poll=\"{last_poll}")), "{starting}");
        agent.until("a poll is kept", || {
            Reader::open(&database).is_ok_and(|reader| reader.last_at().is_ok_and(|at| at.is_some()))
        });
        agent.signal(Signal::TERM);
        assert_eq!(agent.ends(STOP).0, Some(0));
    };
    start("INFO", "none");
    start("", "20");
    std::fs::remove_file(&database).unwrap();
    start("an agent ran here before", "none");
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
    assert_eq!(world.inboxes["soc"].count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_output_kills_nothing() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    rules(&world, "");
    let (reader, end) = std::io::pipe().unwrap();
    let mut agent = Agent::start(&world, move |command| {
        command.env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(end);
    });
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    while !line.contains(" running") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "its log ends before it runs");
    }
    // Nobody else has the reading ends: every line that follows meets a closed pipe.
    drop((reader, agent.child.stdout.take()));
    let polled = || world.reader().polls("shanghai", 1).unwrap().last().map_or(0, |poll| poll.unwrap().seq);
    world.inboxes["soc"].wait(20, |posted| posted.len() == 1);
    let before = polled();
    rules(&world, "except = ['alice']\n");
    agent.signal(Signal::HUP);
    world.inboxes["soc"].wait(20, |posted| posted.len() == 2);
    agent.until("it polls on", || polled() >= before + 3);
    let mut silent = Agent::start(&world, |command| {
        command.stderr(Stdio::null());
    });
    assert_eq!(silent.ends(STOP).0, Some(75));
    assert_eq!(agent.child.try_wait().unwrap(), None);
    agent.until("it is delivered", || world.outbox(false).is_empty());
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

/// Everything that the commands print and log with all there is to log, on a world whose agent has ended.
fn said_by_commands(world: &World) -> String {
    let notification = world.outbox(true)[0].id.clone();
    let lines = [
        "check --resolve",
        "check --json",
        "poll",
        "poll --json",
        "api DescribeUserOnlineClientStatistics --param SmartAGId=sag-demo --json",
        "api DescribeUserOnlineClientStatistics --dry-run",
        "notify test soc",
        "outbox list --all",
        "outbox list --all --json",
        &format!("outbox show {notification}"),
        &format!("outbox show {notification} --json"),
        "alerts list --all --json",
        "rules list",
        "users",
        "history alice",
        "db stats",
        "db check",
        "nonsense",
    ];
    let mut said = String::new();
    for line in lines {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatwatch"));
        command.arg("-c").arg(world.rules_file()).args(line.split(' ')).env("RUST_LOG", "trace");
        let ran = command.output().unwrap();
        assert!(!ran.stdout.is_empty() || !ran.stderr.is_empty(), "{line} says nothing");
        said += &String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat());
    }
    assert!(said.contains("SignatureDoesNotMatch") && said.contains("401"), "{said}");
    said
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
    for text in [vec![log, said_by_commands(&world)], sent, kept].concat() {
        for secret in ["canary", "Y2FuYXJ5LXdlYmhvb2stc2VjcmV0LTAxMjM0NTY3ODk="] {
            let at = text.find(secret).map(|at| text[..at].lines().last().unwrap_or_default().to_owned());
            assert_eq!(at, None, "{secret}");
        }
    }
    world.leaves("the receiver takes nothing");
}
