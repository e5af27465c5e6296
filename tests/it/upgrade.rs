//! Upgrade, backup and restore as the README tells them, step by step, with the program itself.
//!
//! Neighbours: `world` has emulator and receiver, `support::program` the running agent; `tests/data/schema-1.sql` is what an
//! older release left. A part of its own because these steps are taken once a year, in a hurry, by somebody who trusts
//! the page: each command of it is run here, with other paths.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use seatwatch::agent::clock;
use seatwatch::engine::reading::Reading;
use seatwatch::engine::time::{Span, Time};
use seatwatch::store::Reader;

use crate::support::program::Agent;
use crate::world::{World, body, counts};

/// The world, and the hand of the emulator's clock.
fn world(alice: &str, bob: &str) -> (World, impl Fn(i64)) {
    let start = clock::now().millis();
    let hand = Arc::new(AtomicI64::new(start));
    let (shows, moves) = (Arc::clone(&hand), Arc::clone(&hand));
    let clock = Arc::new(move || Time::from_millis(shows.load(Ordering::Relaxed)));
    let seconds = |user, timeline| counts(user, timeline).replace("m\",", "s\",");
    let world = World::around(&(seconds("alice", alice) + &seconds("bob", bob)), &["soc"], hand, clock);
    world.write(
        "source shanghai 'alice', 'bob' every */2 * * * * *\n[[rule]]\nname = 'shared'\nwhen = 'online > limit'\nlimit = 2\n",
    );
    (world, move |second| moves.store(start + second * 1000, Ordering::Relaxed))
}

/// The commands of the README below a heading.
fn steps(heading: &str) -> Vec<String> {
    let page = include_str!("../../README.md");
    let section = page.split(&format!("### {heading}\n")).nth(1).unwrap().split("\n### ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

struct Host {
    world: World,
    agent: Option<Agent>,
}

impl Host {
    fn start(&mut self) {
        let agent = Agent::start(&self.world, |_| ());
        // As the service manager waits for it.
        agent.says(" running");
        self.agent = Some(agent);
    }

    fn stop(&mut self) {
        let mut agent = self.agent.take().expect("it runs");
        agent.signal(Signal::TERM);
        assert_eq!(agent.ends(Duration::from_secs(20)).0, Some(0));
    }

    /// Takes one step of the page.
    fn take(&mut self, step: &str) {
        match step.split_whitespace().take(3).collect::<Vec<_>>()[..] {
            ["systemctl", "stop", _] => self.stop(),
            ["systemctl", "start", _] => self.start(),
            // What the package does, see `dist`.
            ["apt", "install", _] => {
                if self.agent.is_some() {
                    self.stop();
                    self.start();
                }
            }
            _ => self.shell(step),
        }
    }

    fn shell(&self, step: &str) {
        let place = |name: &str| self.world.dir.path(name).display().to_string();
        let step = step
            .replace("/var/backups/", &place("backup-"))
            .replace("/var/lib/seatwatch/", &place(""))
            .replace("-o seatwatch -g seatwatch ", "");
        let program = format!("seatwatch() {{ \"{}\" \"$@\"; }}\n", env!("CARGO_BIN_EXE_seatwatch"));
        let mut shell = Command::new("sh");
        shell.args(["-euc", &(program + &step)]).env("SEATWATCH_CONFIG", self.world.rules_file());
        let ran = shell.output().unwrap();
        assert!(ran.status.success(), "{step}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// What was told of users, each `kind user episode`, in order.
    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        for (posted, _) in self.world.inboxes["soc"].all() {
            for event in body(&posted)["data"]["events"].as_array().unwrap() {
                let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                if event["rule"] == "shared" {
                    told.push(
                        [&event["kind"], &event["subject"]["name"], &event["episode"]].map(text).join(" "),
                    );
                }
            }
        }
        told
    }

    /// Waits until so many events of users were told and written down as such.
    #[track_caller]
    fn until_told(&self, events: usize) -> Vec<String> {
        let agent = self.agent.as_ref().unwrap();
        agent.until("so much is told", || self.told().len() >= events && self.world.outbox(false).is_empty());
        self.told()
    }
}

/// Readings of alice, oldest first.
fn readings(database: &Path) -> Vec<Reading> {
    let reader = Reader::open(database).unwrap();
    let history =
        reader.history("shanghai", "alice", Time::from_millis(0), clock::now() + Span::from_days(1)).unwrap();
    history.iter().map(|one| one.reading).collect()
}

/// A database as schema 1 left it.
fn first(path: &Path) {
    let old = rusqlite::Connection::open(path).unwrap();
    old.execute_batch(include_str!("../../migrations/0001_first.sql")).unwrap();
    old.execute_batch(include_str!("../data/schema-1.sql")).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

fn schema(path: &Path) -> i64 {
    let opened = rusqlite::Connection::open(path).unwrap();
    opened.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_database_is_copied_carried_along_and_goes_on() {
    let (world, _hand) = world("1", "1");
    let mut host = Host { world, agent: None };
    let (database, copy) = (host.world.database(), host.world.dir.path("seatwatch.db.schema-1"));
    first(&database);
    host.start();
    let told = host.until_told(1);
    let [_, _, episode] = told[0].split(' ').collect::<Vec<_>>()[..] else { panic!("{told:?}") };
    assert!(
        include_str!("../data/schema-1.sql").contains(&format!("'{episode}'")),
        "it fired before the upgrade"
    );
    assert_eq!(told, [format!("ended alice {episode}")], "what was told before is not told again");
    assert_eq!((schema(&copy), schema(&database) > 1), (1, true));
    let online: Vec<Reading> = readings(&database);
    let before = [1, 1, 1, 1, 4, 4].map(Reading::online);
    assert!(online.starts_with(&before) && online.len() > before.len(), "{online:?}");
    // The same steps, from this release to the next.
    for step in steps("Upgrade") {
        host.take(&step);
    }
    assert_eq!(host.told(), told);
    host.stop();
    assert_eq!(schema(&host.world.dir.path("backup-seatwatch.db")), schema(&database));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_put_in_place_goes_on_from_where_it_was_made() {
    let (world, hand) = world("1 4 4 1", "1 1 4 1");
    let mut host = Host { world, agent: None };
    host.start();
    hand(1);
    let told = host.until_told(1);
    let alice = told[0].strip_prefix("fired alice ").unwrap().to_owned();
    let all = steps("Backup and restore");
    let (backup, restore) = all.split_first().unwrap();
    assert!(backup.starts_with("seatwatch db backup "), "while the agent runs: {backup}");
    host.take(backup);
    let kept = readings(&host.world.dir.path("backup-seatwatch.db"));
    hand(2);
    let told = host.until_told(2);
    let lost = told[1].strip_prefix("fired bob ").unwrap().to_owned();
    for step in restore {
        host.take(step);
    }
    // Of bob the backup knows nothing.
    let told = host.until_told(3);
    let bob = told[2].strip_prefix("fired bob ").unwrap().to_owned();
    assert_ne!(bob, lost, "no receiver takes it for a repeat");
    assert!(readings(&host.world.database()).starts_with(&kept));
    hand(3);
    let mut ended = host.until_told(5).split_off(3);
    ended.sort();
    assert_eq!(ended, [format!("ended alice {alice}"), format!("ended bob {bob}")], "each is ended once");
    let ids: Vec<String> = host.world.inboxes["soc"]
        .all()
        .iter()
        .map(|(posted, _)| posted.header("webhook-id").to_owned())
        .collect();
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "{ids:?}");
    host.stop();
}
