//! The program in bad surroundings: no descriptors, a pipe nobody reads, no zone data, files that others own or read.
//!
//! Neighbours: `process` starts the program, `world` has what it talks to. A part of its own because each story needs
//! something of the operating system that the others must not have.

use std::fs::Permissions;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, Signal, geteuid, prlimit};
use seatwatch::engine::reading::PollOutcome;
use seatwatch::store::Reader;

use crate::process::{STOP, rules, seconds, world};
use crate::support::program::Agent;
use crate::world::{World, body, counts, story};

type Damage = (&'static str, fn(&World));

/// What stands in the database's file is no database any more, or one whose rows do not read.
const DAMAGES: [Damage; 2] = [
    ("a torn file", |world| {
        for name in ["seatwatch.db", "seatwatch.db-wal"] {
            let file = std::fs::OpenOptions::new().write(true).open(world.dir.path(name)).unwrap();
            let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
            file.write_all_at(&vec![0x5a; length], 0).unwrap();
        }
    }),
    ("rows that do not read", |world| {
        let other = rusqlite::Connection::open(world.database()).unwrap();
        other.busy_timeout(STOP).unwrap();
        other.execute_batch("UPDATE poll SET changes = x'ffffffff'").unwrap();
    }),
];

/// A user who owns nothing.
const NOBODY: u32 = 54_321;

fn quiet() -> World {
    let world = world(&(counts("alice", "1") + &counts("bob", "1")));
    rules(&world, "");
    world
}

/// As [`quiet`], with what an agent left that polled and was stopped.
fn polled() -> World {
    let world = quiet();
    let mut agent = Agent::start(&world, |_| ());
    agent.until("a poll is kept", || last(&world).is_some());
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
    world
}

fn last(world: &World) -> Option<(u64, PollOutcome)> {
    let poll = Reader::open(&world.database()).ok()?.last_poll("shanghai").ok()??;
    Some((poll.seq, poll.outcome))
}

/// Runs the program from a shell that says `first`.
fn after(first: &str) -> impl FnOnce(&mut Command) + '_ {
    move |command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{first}; exec \"$@\""), "sh"]).arg(command.get_program());
        shell
            .args(command.get_args())
            .env_remove("NOTIFY_SOCKET")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        *command = shell;
    }
}

fn files(limit: u64, agent: &Agent) {
    let most =
        prlimit(Some(agent.pid()), Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(64) });
    most.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_descriptors_a_send_fails_and_recovers() {
    let world = world(&(seconds("alice", &("1 ".repeat(15) + "3")) + &counts("bob", "1")));
    rules(&world, "");
    let mut agent = Agent::start(&world, after("ulimit -n 64"));
    agent
        .until("64 are enough", || last(&world).is_some_and(|(_, outcome)| outcome == PollOutcome::Complete));
    files(4, &agent);
    let error = || world.outbox(false).first().and_then(|row| row.last_error.clone()).unwrap_or_default();
    agent.until("no connection can be opened", || error().contains("open files"));
    let (seq, _) = last(&world).unwrap();
    agent.until("what is open serves on", || last(&world).is_some_and(|(now, _)| now > seq));
    files(64, &agent);
    agent.until("it recovers", || world.outbox(false).is_empty());
    assert_eq!(world.told("soc"), "fired shared alice");
    agent.signal(Signal::TERM);
    let (code, log) = agent.ends(STOP);
    assert_eq!(code, Some(0), "{log}");
    assert!(world.reader().check().unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_nothing() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    rules(&world, "");
    let (kept, full) = std::io::pipe().unwrap();
    let end = full.try_clone().unwrap();
    let mut agent = Agent::start(&world, move |command| {
        command.env("RUST_LOG", "trace").stderr(Stdio::from(std::os::fd::OwnedFd::from(end)));
    });
    // Filled to the brim, so that the first line already finds no room.
    rustix::fs::fcntl_setfl(full.as_fd(), rustix::fs::OFlags::NONBLOCK).unwrap();
    while rustix::io::write(&full, &[b'.'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(full.as_fd(), rustix::fs::OFlags::empty()).unwrap();
    world.inboxes["soc"].wait(20, |posted| posted.len() == 1);
    agent.until("it polls on", || last(&world).is_some_and(|(seq, _)| seq >= 3));
    agent.signal(Signal::TERM);
    let deadline = std::time::Instant::now() + STOP;
    let status = loop {
        match agent.child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(std::time::Instant::now() < deadline, "it waits for its log"),
        }
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(0));
    drop(kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn zone_data_is_inside() {
    let world = quiet();
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    let text = text.replace("[agent]\n", "[agent]\ntimezone = \"America/New_York\"\n");
    std::fs::write(world.rules_file(), text.replace("*/2 * * * * *", "30 2 * * *")).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_seatwatch"));
    check.arg("-c").arg(world.rules_file()).args(["check", "--json", "--from", "2026-03-07T12:00:00Z"]);
    // Neither zone data of the system nor a usable zone of the process.
    let ran = check.env("TZ", "Nowhere/Atlantis").env("TZDIR", world.dir.path("none")).output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    // The night of the change has no 02:30.
    let expect = ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z", "2026-03-10T06:30:00Z"];
    assert_eq!(value["schedules"][0]["next"], serde_json::json!(expect), "{ran:?}");
}

/// The program where everybody may execute it, started as a user who owns the world's files; None for a user who is
/// not root: who starts it then is that user already.
fn as_service(world: &World) -> (PathBuf, Option<u32>) {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_seatwatch"));
    if !geteuid().is_root() {
        return (program, None);
    }
    let copy = world.dir.path("program");
    std::fs::copy(&program, &copy).unwrap();
    std::fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
    for entry in std::fs::read_dir(&world.dir.0).unwrap() {
        chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    chown(&world.dir.0, Some(NOBODY), Some(NOBODY)).unwrap();
    (copy, Some(NOBODY))
}

fn serve(world: &World, (program, user): (PathBuf, Option<u32>)) -> Agent {
    Agent::start(world, move |command| {
        let mut other = Command::new(program);
        other
            .args(command.get_args())
            .env_remove("NOTIFY_SOCKET")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(user) = user {
            other.uid(user).gid(user);
        }
        *command = other;
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_written_is_named() {
    let world = quiet();
    let service = as_service(&world);
    std::fs::set_permissions(&world.dir.0, Permissions::from_mode(0o500)).unwrap();
    let (code, log) = serve(&world, service.clone()).ends(STOP);
    std::fs::set_permissions(&world.dir.0, Permissions::from_mode(0o700)).unwrap();
    assert_eq!(code, Some(74), "{log}");
    let says =
        [world.database().display().to_string(), "cannot be written".to_owned(), "directory".to_owned()];
    assert!(says.iter().all(|part| log.contains(part)), "{log}");
    assert!(!world.database().exists());
    // The same for a database that is there: without its log nothing can be written.
    let mut agent = serve(&world, service.clone());
    agent.until("a poll is kept", || last(&world).is_some());
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
    let before = std::fs::read(world.database()).unwrap();
    std::fs::remove_file(world.dir.path("seatwatch.db.lock")).unwrap();
    std::fs::set_permissions(&world.dir.0, Permissions::from_mode(0o500)).unwrap();
    let (code, log) = serve(&world, service).ends(STOP);
    std::fs::set_permissions(&world.dir.0, Permissions::from_mode(0o700)).unwrap();
    assert!(code == Some(74) && log.contains("cannot be written"), "{code:?} {log}");
    assert_eq!(std::fs::read(world.database()).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_user_is_refused_and_stays_as_it_is() {
    let world = polled();
    if !geteuid().is_root() {
        // Only root can give a file to somebody else; who owns it is then decided in the store's own tests.
        return;
    }
    let service = as_service(&world);
    chown(world.database(), Some(0), Some(0)).unwrap();
    let before = std::fs::read(world.database()).unwrap();
    let (code, log) = serve(&world, service).ends(STOP);
    assert_eq!(code, Some(74), "{log}");
    for part in [&world.database().display().to_string(), "user 0 owns it", "mode 600"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert_eq!(std::fs::read(world.database()).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_or_log_of_another_user_is_named() {
    let world = polled();
    if !geteuid().is_root() {
        return;
    }
    let service = as_service(&world);
    for name in ["seatwatch.db.lock", "seatwatch.db-wal"] {
        let path = world.dir.path(name);
        // As a command left it that somebody ran as root.
        std::fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
        chown(&path, Some(0), Some(0)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let (code, log) = serve(&world, service.clone()).ends(STOP);
        assert_eq!(code, Some(74), "{log}");
        assert!(log.contains(&path.display().to_string()), "{name}: {log}");
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut agent = serve(&world, service);
    agent.says("running");
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_private_whatever_the_umask() {
    let world = quiet();
    std::fs::set_permissions(&world.dir.0, Permissions::from_mode(0o777)).unwrap();
    let mut agent = Agent::start(&world, after("umask 000"));
    agent.says("others may put another file in the place of the database");
    agent.until("a poll is kept", || last(&world).is_some());
    let mode = |name: &str| std::fs::metadata(world.dir.path(name)).unwrap().mode() & 0o777;
    for name in ["seatwatch.db", "seatwatch.db-wal", "seatwatch.db-shm", "seatwatch.db.lock"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
    std::fs::set_permissions(&world.dir.0, Permissions::from_mode(0o700)).unwrap();
    std::fs::set_permissions(world.database(), Permissions::from_mode(0o644)).unwrap();
    let mut agent = Agent::start(&world, |_| ());
    agent.says("other users may read the database");
    agent.says("running");
    agent.signal(Signal::TERM);
    let (code, log) = agent.ends(STOP);
    assert_eq!(code, Some(0));
    assert!(!log.contains("in the place of the database"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_database_is_refused_by_the_exit_code_too() {
    let world = polled();
    let other = rusqlite::Connection::open(world.database()).unwrap();
    let ours: i64 = other.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    drop(other);
    let before = std::fs::read(world.database()).unwrap();
    // However often it is started again, it says the same, and why it ended in one line. Warnings have a time.
    let starts: Vec<Vec<String>> = (0..3)
        .map(|_| {
            let (code, log) = Agent::start(&world, |_| ()).ends(STOP);
            assert_eq!(code, Some(74), "{log}");
            let untimed = |line: &str| line.split_once(" WARN ").map_or(line, |(_, said)| said).to_owned();
            assert_eq!(log.lines().filter(|line| !line.contains(" WARN ")).count(), 1, "{log}");
            log.lines().map(untimed).collect()
        })
        .collect();
    assert!(starts[0].last().unwrap().contains("newer release"), "{starts:?}");
    assert!(starts.iter().all(|said| *said == starts[0]), "{starts:?}");
    assert_eq!(std::fs::read(world.database()).unwrap(), before);
    // So that the world can look into it at its end.
    rusqlite::Connection::open(world.database()).unwrap().pragma_update(None, "user_version", ours).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dying_agent_holds_is_not_dumped() {
    let world = world(&(counts("alice", "1") + &counts("bob", "1")));
    world.dir.secret("key", "canary-key");
    rules(&world, "");
    let mut agent = Agent::start(&world, after("ulimit -c unlimited"));
    let signs = agent.says("signs with");
    assert!(signs.contains("keys=") && !signs.contains("canary"), "the place is named: {signs}");
    agent.says("running");
    let of_process = |name: &str| std::fs::read(format!("/proc/{}/{name}", agent.child.id())).unwrap();
    for name in ["cmdline", "environ", "comm", "status"] {
        let shown = std::fs::read(format!("/proc/{}/{name}", agent.child.id())).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&shown).contains("canary"), "{name}");
    }
    let limits = String::from_utf8(of_process("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
    agent.signal(Signal::ABORT);
    let status = agent.child.wait().unwrap();
    world.leaves("its keys are refused, and it ended before it told");
    assert_eq!((status.signal(), status.core_dumped()), (Some(Signal::ABORT.as_raw()), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_memory_is_warned_of() {
    let world = quiet();
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    let database = format!("[agent]\ndatabase = {:?}\n", place.path().join("seatwatch.db"));
    std::fs::write(world.rules_file(), text.replace("[agent]\n", &database)).unwrap();
    let mut agent = Agent::start(&world, |_| ());
    let warned = agent.says("put the database on a local disk");
    assert!(warned.contains("WARN") && warned.contains("memory"), "{warned}");
    agent.says("running");
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_damaged_while_in_use_is_told_and_ends_the_agent() {
    for (what, damage) in DAMAGES {
        let world = world(&(counts("alice", "3") + &counts("bob", "1")));
        rules(&world, "");
        let mut agent = Agent::start(&world, |_| ());
        world.inboxes["soc"].wait(20, |posted| posted.len() == 1);
        agent.until("it is delivered", || world.outbox(false).is_empty());
        assert_eq!(world.told("soc"), "fired shared alice");
        let copy = world.dir.path("copy.db");
        world.reader().backup(&copy).unwrap();
        damage(&world);
        let before = std::fs::read(world.database()).unwrap();
        // What is in memory is not read again: a reload reads all.
        agent.signal(Signal::HUP);
        let (code, log) = agent.ends(STOP);
        assert_eq!(code, Some(74), "{what}: {log}");
        assert!(log.contains("seatwatch db backup") && log.contains("stopping"), "{what}: {log}");
        let posted = world.inboxes["soc"].take();
        assert_eq!(story(&posted), "fired agent/storage agent", "{what}: once");
        let text = body(&posted[0])["data"]["text"].as_str().unwrap().to_owned();
        assert!(text.contains("put a backup") && text.contains("stops now"), "{what}: {text}");
        assert_eq!(std::fs::read(world.database()).unwrap(), before, "{what}: it is left as it was found");
        let (code, log) = Agent::start(&world, |_| ()).ends(STOP);
        assert_eq!(code, Some(74), "{what}: {log}");
        assert_eq!(world.told("soc"), "", "{what}: a start tells nobody again");
        for name in ["seatwatch.db-wal", "seatwatch.db-shm"] {
            // There or not: what a start refuses is closed.
            let _ = std::fs::remove_file(world.dir.path(name));
        }
        std::fs::rename(&copy, world.database()).unwrap();
        let mut agent = Agent::start(&world, |_| ());
        world.inboxes["soc"].wait(20, |posted| posted.len() == 3);
        agent.until("it is delivered", || world.outbox(false).is_empty());
        agent.signal(Signal::TERM);
        assert_eq!(agent.ends(STOP).0, Some(0), "{what}");
        let ended = world.inboxes["soc"].take();
        assert_eq!(story(&ended), "ended agent/storage agent", "{what}: once a backup is in its place");
        let episode = |posted| body(posted)["data"]["events"][0]["episode"].clone();
        assert_eq!(episode(&ended[0]), episode(&posted[0]), "{what}");
    }
}

/// A reload asks for more memory than there is: the process ends, as at the kernel's hands, and the next goes on.
#[tokio::test(flavor = "multi_thread")]
async fn who_runs_out_of_memory_goes_on_where_it_was() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    rules(&world, "");
    let mut agent = Agent::start(&world, |_| ());
    world.inboxes["soc"].wait(20, |posted| posted.len() == 1);
    agent.until("it is delivered", || world.outbox(false).is_empty());
    let good = std::fs::read_to_string(world.rules_file()).unwrap();
    let many: Vec<String> = (0..9_000).map(|n| format!("'user-with-a-name-{n}'")).collect();
    let group = |name: &str| format!("[[group]]\nname = '{name}'\nusers = [{}]\n", many.join(", "));
    std::fs::write(world.rules_file(), format!("{good}{}{}", group("one"), group("two"))).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.child.id())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let size: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    let limit = Some((size + 3_000) << 10);
    prlimit(Some(agent.pid()), Resource::As, Rlimit { current: limit, maximum: limit }).unwrap();
    agent.signal(Signal::HUP);
    let (code, log) = agent.ends(STOP);
    assert!(code != Some(0) && log.contains("memory allocation of"), "{code:?} {log}");
    std::fs::write(world.rules_file(), good).unwrap();
    let (seq, _) = last(&world).unwrap();
    let mut agent = Agent::start(&world, |_| ());
    agent.until("polls go on", || last(&world).is_some_and(|(now, _)| now > seq));
    agent.signal(Signal::TERM);
    let (code, log) = agent.ends(STOP);
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(world.told("soc"), "fired shared alice", "once");
}
