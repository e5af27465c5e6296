//! Bad days: ten thousand alerts in one poll, and a receiver that never answers.
//!
//! Neighbours: `world` has the agent and its receivers; how long such a day takes is measured by `cargo bench`. A part of
//! its own because nothing here is about a rule or a message, only about how many there may be at once.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use rustix::process::Signal;
use seatwatch::agent::{Live, clock};
use seatwatch::config::Config;
use seatwatch::engine::judge::judge;
use seatwatch::engine::reading::{Batch, Fetched, Reading};
use seatwatch::engine::time::Span;
use seatwatch::engine::watch::{Remembered, Watch, When};
use seatwatch::store::{EpisodeFilter, OutboxFilter, OutboxState, Store};

use crate::process::STOP;
use crate::support::program::Agent;
use crate::world::{Dir, World, counts, minute};

const ALERTS: usize = 10_000;
/// Messages one poll may cost a channel.
const MOST_MESSAGES: usize = 10;

const RULES: &str = r#"
[[account]]
name = "main"
access_key_id = { file = "id" }
access_key_secret = { file = "key" }
requests_per_second = 100
[[source]]
name = "shanghai"
kind = "aliyun-sag"
region = "cn-shanghai"
instance = "sag-demo"
schedule = "*/5 * * * *"
users_file = "users.txt"
[[rule]]
name = "shared"
when = "online > limit"
limit = 2
notify = ["hook", "mail"]
[[channel]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:9/"
allow_private = true
[[channel]]
name = "mail"
kind = "email"
server = "127.0.0.1"
port = 9
tls = "none"
from = "seatwatch@example.com"
to = ["soc@example.com"]
"#;

#[test]
fn ten_thousand_alerts_are_all_kept_and_told_in_a_few_messages() {
    let dir = Dir::new();
    dir.secret("id", "testid");
    dir.secret("key", "testsecret");
    let users: String = (0..ALERTS).fold(String::new(), |mut text, n| {
        writeln!(text, "user-{n}").unwrap();
        text
    });
    std::fs::write(dir.path("users.txt"), users).unwrap();
    let store = Store::open(&dir.path("seatwatch.db"), minute(0)).unwrap();
    let config = Config::parse(RULES, "rules.toml", &dir.0, minute(0)).unwrap_or_else(|e| panic!("{e:?}"));
    let live = Live::open(config, store.install_id()).unwrap();
    let mut watch = Watch::new(Arc::clone(live.setup("shanghai").unwrap()), Remembered::default());
    for n in 0..2 {
        let at = minute(5 * n);
        let asked = watch.asked(at);
        let fetched = Fetched {
            readings: vec![Reading::online(if n == 0 { 1 } else { 7 }); asked.len()],
            batch_of: (0..).take(asked.len()).map(|slot: u32| slot / 50).collect(),
            batches: (0..asked.len().div_ceil(50))
                .map(|n| Batch { fetched_at: at, request_id: Some(format!("R{n}").into()) })
                .collect(),
            ..Fetched::default()
        };
        let elapsed = Span::from_mins(5 * n);
        let poll = watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
        let mut outcome = judge(&mut watch, poll, at);
        outcome.notifications = live.render(&outcome, at);
        store.commit(outcome).wait().unwrap();
        watch.names_saved();
    }
    let reader = store.reader().unwrap();
    let kept: BTreeSet<String> =
        crate::world::events(&dir.path("seatwatch.db")).into_iter().map(|event| event.id).collect();
    assert_eq!(kept.len(), ALERTS);
    let filter = OutboxFilter { all: true, ..OutboxFilter::default() };
    let outbox = reader.outbox(&filter).unwrap();
    for channel in ["hook", "mail"] {
        let messages: Vec<_> = outbox.iter().filter(|row| row.channel == channel).collect();
        assert!((1..=MOST_MESSAGES).contains(&messages.len()), "{channel}: {}", messages.len());
        let told: BTreeSet<String> = messages.iter().flat_map(|row| row.events.clone()).collect();
        assert_eq!(told, kept, "{channel} is told of every one");
    }
    assert!(reader.check().unwrap().is_ok());
}

#[tokio::test]
async fn a_receiver_that_never_answers_delays_no_other() {
    let rules = "source shanghai 'alice'\n[[rule]]\nname = 'shared'\nwhen = 'online > limit'\nlimit = 2\n";
    let mut world = World::idle(&counts("alice", "1 3 1 3"), &["good", "hung"]);
    // Longer than the whole test may take: whatever waits for the hung one ends after it.
    let text = world.rules(rules).replace("timeout = \"5s\"", "timeout = \"60s\"");
    std::fs::write(world.rules_file(), text).unwrap();
    world.restart().await;
    world.leaves("one of its receivers never answers");
    world.inboxes["hung"].answers(0);
    world.poll(0).await;
    world.poll(1).await;
    let now = world.now();
    let mut hung = pin!(world.agent().deliver_to("hung", now));
    for (n, expect) in [(2, "fired shared alice"), (3, "ended shared alice"), (4, "fired shared alice")] {
        tokio::select! {
            biased;
            _ = &mut hung => panic!("nobody answered the hung channel, and yet it is done"),
            done = world.agent().deliver_to("good", world.now()) => drop(done.unwrap()),
        }
        assert_eq!(world.told("good"), expect);
        if n < 4 {
            tokio::select! {
                biased;
                _ = &mut hung => panic!("the poll came after the hung channel"),
                _ = world.poll(n) => {}
            }
        }
    }
    assert_eq!(world.inboxes["hung"].all().len(), 1, "one attempt, still waiting");
}

/// The program itself: in a fleet of ten thousand everybody shares an account from one poll to the next. What its
/// unit allows (`MemoryMax`) is more than twice what it takes, with everything that a process takes for itself and, as built
/// for tests, 24 MiB of code and symbols.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_alerts_take_bounded_memory_and_no_receiver_waits_for_another() {
    let (mut scenario, mut users) = (String::new(), String::new());
    for n in 0..ALERTS {
        write!(scenario, "[[user]]\nname = \"u-{n}\"\nonline = [[0, 1], [\"8s\", 5]]\n").unwrap();
        write!(users, "'u-{n}', ").unwrap();
    }
    let hand = Arc::new(AtomicI64::new(clock::now().millis()));
    let world = World::around(&scenario, &["good", "hung"], hand, Arc::new(clock::now));
    world.inboxes["hung"].answers(0);
    world.leaves("one of its receivers never answers");
    let rule = "[[rule]]\nname = 'shared'\nwhen = 'online > limit'\nlimit = 2\n";
    world.write(&format!("source shanghai {users} every */10 * * * * *\n{rule}"));
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    std::fs::write(world.rules_file(), text.replace("budget = \"30s\"", "budget = \"8s\"")).unwrap();
    let mut agent = Agent::start(&world, |_| ());
    world.inboxes["good"].wait(60, |posted| !posted.is_empty());
    agent.until("all is told where somebody listens", || {
        let rows = world.outbox(true);
        let good: Vec<_> = rows.iter().filter(|row| row.channel == "good").collect();
        let told: usize = good.iter().map(|row| row.events.len()).sum();
        told >= ALERTS && good.iter().all(|row| row.state == OutboxState::Sent)
    });
    assert!(world.inboxes["good"].count() <= MOST_MESSAGES, "{}", world.inboxes["good"].count());
    assert!(world.inboxes["hung"].count() <= 4, "those under way at once");
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 96 << 10, "{peak} KiB at most");
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
    let open = world.reader().episodes(&EpisodeFilter::default()).unwrap();
    assert_eq!(open.len(), ALERTS);
}
