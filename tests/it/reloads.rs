//! Rules files read again: half written, with another database, while a poll is under way; and what an agent does
//! whose database is locked, or whose clock is years ahead.
//!
//! Neighbours: `world` has what the agent talks to, `signals` an endpoint that waits. A part of its own because each
//! of these meets the agent in the middle of something.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use rustix::process::Signal;
use seatwatch::engine::elapsed::ClockReading;
use seatwatch::engine::outcome::{Act, State};
use seatwatch::engine::reading::PollOutcome;
use seatwatch::engine::time::Span;
use seatwatch::store::{EpisodeFilter, OutboxState};

use crate::process::{STOP, rules, world};
use crate::signals::Held;
use crate::support::logged::Log;
use crate::support::program::Agent;
use crate::world::{START, World, body, counts, minute};

const SHARED: &str =
    "source shanghai 'alice', 'bob'\n[[rule]]\nname = 'shared'\nwhen = 'online > limit'\nlimit = 2\n";

#[tokio::test]
async fn a_file_half_written_changes_nothing_or_is_whole() {
    let world = World::new(&(counts("alice", "3 3 3 1") + &counts("bob", "1")), SHARED).await;
    world.live(0..2).await;
    assert_eq!(world.told("soc"), "fired shared alice");
    let text = world.rules(&SHARED.replace("limit = 2", "limit = 7"));
    for cut in (1..text.len()).step_by(7).filter(|cut| text.is_char_boundary(*cut)) {
        std::fs::write(world.rules_file(), &text[..cut]).unwrap();
        let before = world.agent().live();
        if world.agent().reload(&world.rules_file(), world.now()).await {
            assert!(text[..cut].ends_with('\n') || text[cut..].starts_with('\n'), "cut within a line: {cut}");
        } else {
            assert!(Arc::ptr_eq(&before, &world.agent().live()), "the old one stays whole");
        }
    }
    assert!(world.reload(SHARED).await);
    world.live(2..4).await;
    assert_eq!(world.told("soc"), "ended shared alice");
    for page in [include_str!("../../README.md"), include_str!("../../README.zh-CN.md")] {
        assert!(page.contains("`mv`"), "the page says how a file is put in place whole");
    }
}

#[tokio::test]
async fn commands_say_that_a_file_was_changed_and_not_read_again() {
    let world = World::new(&(counts("alice", "3") + &counts("bob", "1")), SHARED).await;
    world.agent().note_rules(&world.rules_file(), world.now(), None).await;
    world.live(0..1).await;
    assert!(!world.says("users").contains("note: "));
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    std::fs::write(world.rules_file(), text.replace("limit = 2", "limit = 9")).unwrap();
    for words in ["users", "rules list", "alerts list"] {
        let said = world.says(words);
        assert!(said.contains("rules.toml was changed since the agent read it at"), "{words}: {said}");
        assert!(said.contains("`systemctl reload seatwatch`"), "{words}: {said}");
    }
    assert!(world.agent().reload(&world.rules_file(), world.now()).await);
    assert!(!world.says("users").contains("note: "));
    let other = world.dir.path("other.toml");
    std::fs::write(&other, std::fs::read_to_string(world.rules_file()).unwrap() + "# another\n").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_seatwatch"));
    let ran =
        command.env_clear().current_dir(&world.dir.0).arg("-c").arg(other).arg("users").output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("note: the agent goes by "), "{said}");
}

#[tokio::test]
async fn a_file_that_watches_nothing_is_refused_and_ends_nothing() {
    let world = World::new(&(counts("alice", "3 3 3 1") + &counts("bob", "1")), SHARED).await;
    world.agent().note_rules(&world.rules_file(), world.now(), None).await;
    world.live(0..2).await;
    assert_eq!(world.told("soc"), "fired shared alice");
    for text in ["", "# nothing yet\n", "[agent]\nlanguage = 'en'\n"] {
        std::fs::write(world.rules_file(), text).unwrap();
        assert!(!world.agent().reload(&world.rules_file(), world.now()).await, "{text:?}");
        world.tend().await;
        world.deliver().await;
        assert_eq!(world.told("soc"), "");
    }
    let stats = world.reader().stats().unwrap();
    let refused = stats.refused_rules.unwrap();
    assert!(refused.refused.unwrap().contains("there is no [[source]]"));
    assert_eq!((&refused.file, refused.at), (&world.rules_file().display().to_string(), world.now()));
    assert!(world.reload(SHARED).await);
    assert_eq!(world.reader().refused_rules().unwrap(), None, "the next one that is taken over ends it");
    world.live(2..4).await;
    assert_eq!(world.told("soc"), "ended shared alice");
}

/// Also what keeps the agent from starting, and each key once.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_log_as_json_every_line_is_one_object() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    let json = |command: &mut std::process::Command| {
        command.args(["--log", "json"]);
    };
    let check = |log: &str, code: Option<i32>, wanted: Option<i32>, said: &str| {
        assert_eq!(code, wanted, "{log}");
        assert!(log.contains(said), "{log}");
        for line in log.lines() {
            let value: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(value["message"].is_string(), "{line}");
            assert_eq!(line.matches("\"message\":").count(), 1, "{line}");
        }
    };
    rules(&world, "onlin = 3\n");
    let (code, log) = Agent::start(&world, json).ends(STOP);
    check(&log, code, Some(78), "onlin");
    std::fs::write(world.rules_file(), "").unwrap();
    let (code, log) = Agent::start(&world, json).ends(STOP);
    check(&log, code, Some(78), "there is no [[source]]");
    rules(&world, "");
    let mut agent = Agent::start(&world, json);
    agent.says("\"running\"");
    let (code, log) = Agent::start(&world, json).ends(STOP);
    check(&log, code, Some(75), "in use by process");
    rules(&world, "onlin = 3\n");
    agent.signal(Signal::HUP);
    let refused = agent.says("onlin");
    check(&refused, None, None, "the one in force stays");
    agent.signal(Signal::TERM);
    let (code, log) = agent.ends(STOP);
    check(&log, code, Some(0), "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_needs_a_restart_and_the_rest_is_taken_over() {
    let world = world(&(counts("alice", "3") + &counts("bob", "1")));
    rules(&world, "");
    let mut agent = Agent::start(&world, |_| ());
    world.inboxes["soc"].wait(20, |posted| posted.len() == 1);
    rules(&world, "except = ['alice']\n");
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    std::fs::write(world.rules_file(), text.replace("[agent]\n", "[agent]\ndatabase = \"other.db\"\n"))
        .unwrap();
    agent.signal(Signal::HUP);
    assert!(agent.says("needs a restart").contains("other.db"));
    agent.says("in force");
    world.inboxes["soc"].wait(20, |posted| posted.len() == 2);
    agent.until("it is delivered", || world.outbox(false).is_empty());
    assert!(!world.dir.path("other.db").exists());
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends(STOP).0, Some(0));
    assert_eq!(world.told("soc"), "fired shared alice\nended shared alice(left-scope)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_leaves_while_it_is_polled_is_settled_after_its_poll() {
    let held = Held::new();
    let mut world = World::idle("", &["soc"]);
    world.endpoint.clone_from(&held.url);
    let file = |source: &str| {
        format!("source {source} 'alice', 'bob'\n[[rule]]\nname = 'seen'\nwhen = 'online > 0'\n")
    };
    world.write(&file("shanghai"));
    let text = std::fs::read_to_string(world.rules_file()).unwrap();
    std::fs::write(world.rules_file(), text.replace("budget = \"1s\"", "budget = \"20s\"")).unwrap();
    world.restart().await;
    held.answer.send(()).unwrap();
    world.poll(0).await;
    held.asked.recv().unwrap();
    world.deliver().await;
    assert_eq!(world.told("soc"), "fired seen alice bob");
    let (asked, answer) = (held.asked, held.answer);
    let meanwhile = async {
        let asked =
            tokio::task::spawn_blocking(move || asked.recv_timeout(Duration::from_secs(10)).map(|()| asked));
        let asked = asked.await.unwrap().unwrap();
        assert!(world.reload(&file("beijing")).await);
        world.tend().await;
        world.deliver().await;
        assert_eq!(world.told("soc"), "", "its poll is still under way");
        answer.send(()).unwrap();
        (asked, answer)
    };
    let (poll, _open) = tokio::join!(world.poll_of("shanghai", 1), meanwhile);
    assert_eq!(poll.unwrap().outcome, PollOutcome::Complete, "on the file that it began with");
    world.tend().await;
    world.deliver().await;
    assert_eq!(world.told("soc"), "ended seen alice(left-scope) bob(left-scope)");
}

#[tokio::test]
async fn a_locked_database_is_told_and_recovers() {
    let world = World::new(&(counts("alice", "1 3 1") + &counts("bob", "1")), SHARED).await;
    world.live(0..1).await;
    let other = rusqlite::Connection::open(world.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..2 {
        assert!(world.agent().tend_once(world.now()).await.is_err());
    }
    assert_eq!(world.told("soc"), "fired agent/storage agent", "once");
    other.execute_batch("ROLLBACK").unwrap();
    world.live(1..3).await;
    let told = world.told("soc");
    for line in ["ended agent/storage agent", "fired shared alice", "ended shared alice"] {
        assert!(told.contains(line), "{told}");
    }
}

/// The host starts with a clock ten years ahead: no jump is seen, since it was off, but the vendor's `Date` tells.
#[tokio::test]
async fn a_start_with_a_clock_far_ahead_forgets_nothing() {
    let hand = Arc::new(AtomicI64::new(START.millis()));
    let mut world =
        World::around(&(counts("alice", "1") + &counts("bob", "1")), &["soc"], hand, Arc::new(|| START));
    world.write(SHARED);
    world.restart().await;
    world.live(0..3).await;
    world.restart().await;
    let ahead = minute(3) + Span::from_days(3650);
    world.set(ahead);
    let clock = ClockReading { wall: ahead, boot: Span::from_mins(2), boot_id: "two".to_owned() };
    world.agent().collect_once("shanghai", ahead, &clock).await.unwrap().unwrap();
    world.deliver().await;
    assert_eq!(world.told("soc"), "fired agent/clock shanghai");
    assert!(!world.agent().prune_once(ahead).await.unwrap(), "there is nothing more to do");
    assert_eq!(world.reader().polls("shanghai", 1).unwrap().count(), 4, "nothing is taken away");
}

/// Who was told that the database fails is told its end by whichever process sees it work again.
#[tokio::test]
async fn an_outage_of_the_database_ends_once_whoever_sees_its_end() {
    let scenario = counts("alice", "1") + &counts("bob", "1");
    let mut world = World::with_channels(&scenario, SHARED, &["mail", "soc"]).await;
    world.live(0..1).await;
    world.inboxes["mail"].answers(500);
    let (file, aside) = (world.database(), world.dir.path("aside"));
    let mut told = Vec::new();
    for n in [1, 3, 5] {
        std::fs::rename(&file, &aside).unwrap();
        assert!(world.poll_of("shanghai", n).await.is_err());
        let fired = world.inboxes["soc"].take();
        // The first time the same process sees the end, then the next one, then the one after that.
        let story = crate::world::story(&fired);
        assert_eq!(story, "fired agent/storage agent", "minute {n}");
        std::fs::rename(&aside, &file).unwrap();
        for _ in 1..n {
            world.restart().await;
        }
        world.live(n + 1..n + 2).await;
        let ended = world.inboxes["soc"].take();
        assert_eq!(crate::world::story(&ended), "ended agent/storage agent", "minute {n}");
        let event = |posted| body(posted)["data"]["events"][0].clone();
        assert_eq!(event(&fired[0])["episode"], event(&ended[0])["episode"]);
        assert_eq!(event(&ended[0])["fired_at"], event(&fired[0])["at"]);
        told.push(event(&fired[0])["id"].clone());
        world.restart().await;
        world.live(n + 1..n + 2).await;
        assert_eq!(world.told("soc"), "", "once");
        for posted in world.inboxes["mail"].take() {
            let events = body(&posted)["data"]["events"].clone();
            let kinds: Vec<&str> =
                events.as_array().unwrap().iter().filter_map(|e| e["kind"].as_str()).collect();
            assert!(kinds[0] == "fired", "nobody hears the end of what never began for him: {kinds:?}");
        }
    }
    told.dedup();
    assert_eq!(told.len(), 3);
    let of_storage = |row: &seatwatch::store::EpisodeRow| row.rule == "agent/storage";
    let all = EpisodeFilter { all: true, ..EpisodeFilter::default() };
    let shown: Vec<_> = world.reader().episodes(&all).unwrap().into_iter().filter(of_storage).collect();
    assert_eq!(shown.len(), 3);
    assert!(shown.iter().all(|row| row.state == State::Ok && row.ended_at.is_some()), "{shown:#?}");
    world.leaves("mail never takes anything");
}

/// Telling from memory keeps to what the receiver asks for, and what it tells later is the same.
#[tokio::test]
async fn an_outage_hammers_nobody_and_is_told_afterwards_where_it_could_not_be() {
    for status in [500, 401, 410, 429, 200] {
        let scenario = counts("alice", "1") + &counts("bob", "1");
        let world = World::new(&scenario, SHARED).await;
        world.live(0..1).await;
        world.inboxes["soc"].answers(status);
        let (file, aside) = (world.database(), world.dir.path("aside"));
        std::fs::rename(&file, &aside).unwrap();
        for second in 0..60 {
            world.set(minute(1) + Span::from_secs(second));
            assert!(world.agent().tend_once(world.now()).await.is_err());
        }
        let tries = world.inboxes["soc"].take();
        let most = if matches!(status, 200 | 401 | 410) { 1 } else { 5 };
        assert!((1..=most).contains(&tries.len()), "{status}: {} in a minute", tries.len());
        assert!(tries.iter().all(|posted| posted.body == tries[0].body), "{status}");
        std::fs::rename(&aside, &file).unwrap();
        world.inboxes["soc"].answers(200);
        assert!(world.reload(SHARED).await);
        world.live(2..5).await;
        let mut told = world.inboxes["soc"].take();
        // Who took it is not told it again because the rules file was read again.
        let again = if status == 200 { 0 } else { 1 };
        if again == 0 {
            told.insert(0, tries[0].clone());
        }
        let story = crate::world::story(&told);
        assert_eq!(story, "fired agent/storage agent\nended agent/storage agent", "{status}");
        assert_eq!(told[0].body, tries[0].body, "{status}");
        assert_eq!(told[0].header("webhook-id"), tries[0].header("webhook-id"), "{status}");
        let told = world.reader().notifications(&world.past("agent/storage")).unwrap();
        let counts: Vec<_> =
            told.iter().map(|(row, attempts)| (row.told, row.attempts as usize, attempts.len())).collect();
        let expect = [(true, tries.len() + again, 1 + again), (true, 1, 1)];
        assert_eq!(counts, expect, "{status}: the last from memory is listed");
    }
}

/// Nothing is polled for a day, and everything else works again: that is the end of the outage.
#[tokio::test]
async fn an_outage_ends_when_the_database_is_written_between_polls() {
    let world = World::new(&(counts("alice", "1") + &counts("bob", "1")), SHARED).await;
    world.live(0..1).await;
    let (file, aside) = (world.database(), world.dir.path("aside"));
    std::fs::rename(&file, &aside).unwrap();
    world.set(minute(1));
    assert!(world.agent().tend_once(world.now()).await.is_err());
    assert_eq!(world.told("soc"), "fired agent/storage agent");
    std::fs::rename(&aside, &file).unwrap();
    for second in [30, 60] {
        world.set(minute(1) + Span::from_secs(second));
        world.tend().await;
        world.deliver().await;
        let told = if second == 30 { "ended agent/storage agent" } else { "" };
        assert_eq!(world.told("soc"), told);
    }
}

/// What can be read, but not written, still fails, also where nothing was to be written. Where nobody is to be told, it
/// is listed all the same.
#[tokio::test]
async fn an_outage_does_not_end_while_nothing_can_be_written() {
    for (without, expect) in
        [("", ["fired agent/storage agent", "ended agent/storage agent"]), ("without soc\n", ["", ""])]
    {
        let scenario = counts("alice", "1") + &counts("bob", "1");
        let world = World::new(&scenario, &format!("{without}{SHARED}")).await;
        world.live(0..1).await;
        let other = rusqlite::Connection::open(world.database()).unwrap();
        let tables = ["poll", "event", "alert"];
        for table in tables {
            let refuse = "BEGIN SELECT RAISE(ABORT, 'no room'); END";
            other
                .execute_batch(&format!("CREATE TRIGGER no_{table} BEFORE INSERT ON {table} {refuse}"))
                .unwrap();
        }
        assert!(world.poll_of("shanghai", 1).await.is_err());
        for second in [20, 40] {
            world.set(minute(1) + Span::from_secs(second));
            assert!(world.agent().tend_once(world.now()).await.is_err(), "{without}");
            world.deliver().await;
        }
        assert_eq!(world.told("soc"), expect[0]);
        tables.iter().for_each(|table| other.execute_batch(&format!("DROP TRIGGER no_{table}")).unwrap());
        world.tend().await;
        world.deliver().await;
        assert_eq!(world.told("soc"), expect[1]);
        let events = world.reader().episode_events(&world.past("agent/storage")).unwrap();
        let at: Vec<_> = events.iter().map(|event| event.at).collect();
        assert_eq!(at, [minute(1), world.now()]);
    }
}

/// What is told again is what was told: the same bytes under the same id, whatever the rules file says by then.
#[tokio::test]
async fn an_outage_is_told_again_in_the_words_it_was_told_in() {
    let other = "[agent]\nlanguage = \"zh-CN\"\ntimezone = \"Asia/Shanghai\"\n";
    for restarts in [false, true] {
        let mut world = World::new(&(counts("alice", "1") + &counts("bob", "1")), SHARED).await;
        world.live(0..1).await;
        world.inboxes["soc"].answers(500);
        let (file, aside) = (world.database(), world.dir.path("aside"));
        std::fs::rename(&file, &aside).unwrap();
        world.set(minute(1));
        assert!(world.agent().tend_once(world.now()).await.is_err());
        let first = world.inboxes["soc"].take();
        assert_eq!(first.len(), 1);
        std::fs::write(world.rules_file(), world.rules(SHARED).replacen("[agent]\n", other, 1)).unwrap();
        if restarts {
            std::fs::rename(&aside, &file).unwrap();
            world.restart().await;
            std::fs::rename(&file, &aside).unwrap();
        } else {
            assert!(world.agent().reload(&world.rules_file(), world.now()).await);
        }
        world.set(minute(2));
        assert!(world.agent().tend_once(world.now()).await.is_err());
        std::fs::rename(&aside, &file).unwrap();
        world.inboxes["soc"].answers(200);
        world.live(3..5).await;
        world.set(minute(30));
        world.deliver().await;
        let told = world.inboxes["soc"].take();
        let kinds = crate::world::story(&told);
        let expect = "fired agent/storage agent\nfired agent/storage agent\nended agent/storage agent";
        assert_eq!(kinds, expect, "restarts: {restarts}");
        for again in &told[..2] {
            assert_eq!(body(again), body(&first[0]), "restarts: {restarts}");
            assert!(again.body == first[0].body, "byte for byte; restarts: {restarts}");
            assert_eq!(again.header("webhook-id"), first[0].header("webhook-id"), "restarts: {restarts}");
        }
        assert_eq!(body(&told[2])["data"]["language"], "zh-CN", "what is new is told as the file says");
        let events = world.reader().episode_events(&world.past("agent/storage")).unwrap();
        let shown = |n: usize| serde_json::to_string(&events[n]).unwrap();
        assert!(shown(0).is_ascii(), "{}", shown(0));
    }
}

/// Nobody knows what became of it: an attempt was begun when the process ended, so the end is told, whoever the rules
/// file names by then.
#[tokio::test]
async fn who_may_have_been_told_of_an_outage_is_told_its_end() {
    for leaves in [false, true] {
        let scenario = counts("alice", "1") + &counts("bob", "1");
        let mut world = World::with_channels(&scenario, SHARED, &["mail", "soc"]).await;
        world.live(0..1).await;
        world.inboxes["soc"].answers(crate::world::HELD);
        let (file, aside) = (world.database(), world.dir.path("aside"));
        std::fs::rename(&file, &aside).unwrap();
        let asked = async {
            let deadline = std::time::Instant::now() + Duration::from_secs(4);
            while world.inboxes["soc"].all().is_empty() && std::time::Instant::now() < deadline {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            polled = world.poll_of("shanghai", 1) => panic!("{polled:?}"),
            () = asked => {}
        }
        let fired = world.inboxes["soc"].take();
        std::fs::rename(&aside, &file).unwrap();
        world.inboxes["soc"].answers(200);
        if leaves {
            let rules = world.rules(SHARED).replace("notify = [\"mail\", \"soc\"]", "notify = [\"mail\"]");
            std::fs::write(world.rules_file(), rules).unwrap();
        }
        world.restart().await;
        world.live(2..4).await;
        let told = world.inboxes["soc"].take();
        let story = crate::world::story(&told);
        assert_eq!(story, "fired agent/storage agent\nended agent/storage agent", "leaves: {leaves}");
        assert_eq!((&told[0].body, fired.len()), (&fired[0].body, 1));
        assert_eq!(told[0].header("webhook-id"), fired[0].header("webhook-id"));
    }
}

/// Damage that nobody came across: the weekly check does, and tells.
#[tokio::test]
async fn the_check_of_the_whole_database_tells_of_damage_and_logs_the_rest() {
    let world = World::new(&(counts("alice", "1") + &counts("bob", "1")), SHARED).await;
    world.live(0..3).await;
    let other = rusqlite::Connection::open(world.database()).unwrap();
    world.agent().check_once(world.now()).await.unwrap();
    other.execute_batch("UPDATE poll SET changes = x'ffffffff' WHERE seq = 1").unwrap();
    let found = world.agent().check_once(world.now()).await.unwrap_err();
    assert!(found.is_damage(), "{found}");
    assert!(world.agent().store().damage().is_some(), "nothing more is written");
    assert_eq!(world.told("soc"), "fired agent/storage agent");
    world.leaves("it is damaged");
}

/// Three weeks pass at a poll a minute; then a rule comes that looks back over four.
#[tokio::test]
async fn a_rule_that_is_new_looks_back_over_all_its_window() {
    const LAST: i64 = 20_149;
    let counts = counts("alice", "3 1 3") + &counts("bob", "1 1 3");
    let last = format!("\"{}m\"", LAST + 1);
    let mut world = World::new(&counts.replace("\"2m\"", &last), "source shanghai 'alice', 'bob'\n").await;
    world.live(0..3).await;
    let passed = "WITH RECURSIVE n (n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM n WHERE n < $last)
        INSERT INTO poll (source, seq, at, elapsed, took, requests, outcome, asked, changed)
        SELECT source, n + 1, at + (n - 2) * 60000, 60000, took, requests, outcome, asked, 0 FROM n, poll WHERE seq = 3;
        UPDATE source SET last_seq = $last + 1, memory = json_set(memory, '$.seq', $last + 1,
            '$.last_at', (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', max(at) / 1000, 'unixepoch') FROM poll), '$.clock', $last * 60000, '$.usable_clock', $last * 60000,
            '$.boot[1]', ($last + 1000) * 60000)";
    let other = rusqlite::Connection::open(world.database()).unwrap();
    other.execute_batch(&passed.replace("$last", &LAST.to_string())).unwrap();
    world.write(
        "source shanghai 'alice', 'bob'\n[[rule]]\nname = 'first'\nwhen = 'online > 2 and time_over(2, 28d) == 0s'\n",
    );
    world.restart().await;
    assert_eq!(world.poll(LAST + 1).await.seq, LAST as u64 + 2);
    world.deliver().await;
    assert_eq!(world.told("soc"), "fired first bob", "alice had three clients before, three weeks ago");
}

/// Alice, with a rule that is in the shadow or not, as `modes` say from which minute on; by a reload, or a restart.
async fn check_modes(counts_of: &str, modes: &[(i64, &str)], restarts: bool, expect: &str) {
    let of = |mode: &str| format!("{SHARED}repeat = '3m'\nmode = '{mode}'\n");
    let mut world = World::new(&(counts("alice", counts_of) + &counts("bob", "1")), &of(modes[0].1)).await;
    let last = i64::try_from(counts_of.split(' ').count()).unwrap();
    let ends = modes.iter().skip(1).map(|(from, _)| *from).chain([last]);
    for ((from, mode), until) in modes.iter().zip(ends) {
        if restarts {
            world.write(&of(mode));
            world.restart().await;
        } else {
            assert!(world.reload(&of(mode)).await);
        }
        world.live(*from..until).await;
    }
    assert_eq!(world.told("soc"), expect, "{counts_of} {modes:?}, restarts: {restarts}");
}

#[tokio::test]
async fn what_fires_on_when_its_rule_leaves_the_shadow_is_told_then() {
    const ALICE: &str = " shared alice";
    for restarts in [false, true] {
        let check = async |counts: &str, modes: &[(i64, &str)], kinds: &str| {
            let story: Vec<String> = kinds.split_whitespace().map(|kind| format!("{kind}{ALICE}")).collect();
            check_modes(counts, modes, restarts, &story.join("\n")).await;
        };
        check("1 3 3 3 3 3 3 1", &[(0, "shadow"), (3, "live")], "fired reminded ended").await;
        check("1 3 1 1 1 3 1", &[(0, "shadow"), (3, "live")], "fired ended").await;
        check("1 3 3 3 3 1", &[(0, "live"), (3, "shadow")], "fired changed ended").await;
        check("1 3 3 3 3 3 1", &[(0, "live"), (2, "shadow"), (4, "live")], "fired changed changed ended")
            .await;
        check("1 3 3 3 1 1", &[(0, "shadow")], "").await;
        let both = "digest shared alice alice\nfired shared alice\nended shared alice";
        check_modes("1 3 3 1 3 1", &[(0, "shadow"), (3, "live")], restarts, both).await;
    }
}

#[tokio::test]
async fn what_fires_in_the_shadow_is_marked_and_told_with_its_true_times() {
    let of = |mode: &str| format!("{SHARED}mode = '{mode}'\n");
    let world = World::new(&(counts("alice", "1 3 3 3 3 1") + &counts("bob", "1")), &of("shadow")).await;
    world.live(0..3).await;
    assert!(world.says("alerts list").contains("firing (shadow)"), "{}", world.says("alerts list"));
    let episode = world.episode("shared");
    for command in ["alerts show", "why"] {
        let said = world.says(&format!("{command} {episode}"));
        assert!(said.contains("Notifications: none; the rule is in the shadow"), "{said}");
    }
    let check = world.says("check");
    assert!(check.contains("nobody (shadow); live: soc"), "{check}");
    assert!(world.reload(&of("live")).await);
    world.live(3..4).await;
    let posted = world.inboxes["soc"].take();
    let told = body(&posted[0]);
    let event = &told["data"]["events"][0];
    assert_eq!((&told["type"], &event["episode"]), (&"alert.fired".into(), &episode.as_str().into()));
    assert_eq!(
        (&event["at"], &event["fired_at"], &event["since"]),
        (&"2026-11-23T00:03:00Z".into(), &"2026-11-23T00:01:00Z".into(), &"2026-11-23T00:01:00Z".into())
    );
    let text = told["data"]["text"].as_str().unwrap();
    let says = "Fired at 00:01 UTC in the shadow, where the rule told nobody; it goes on: ";
    assert!(text.starts_with(says), "{text}");
    assert!(!world.says("alerts list").contains("shadow"));
    assert!(world.says("check").contains("soc") && !world.says("check").contains("shadow"));
    world.live(4..6).await;
    assert_eq!(world.told("soc"), "ended shared alice");
    // It was told: a rule that goes back into the shadow does not change that.
    assert!(world.reload(&of("shadow")).await);
    let list = world.says("alerts list --all");
    assert!(list.contains("ended") && !list.contains('('), "{list}");
    let why = world.says(&format!("why {episode}"));
    assert!(!why.contains("shadow"), "{why}");
}

/// Whoever starts on a file that lacks a channel that alerts still need is warned, before it and by it.
#[tokio::test]
async fn a_channel_that_left_while_its_alerts_go_on_is_told_by_check_and_by_the_start() {
    let mut world =
        World::with_channels(&(counts("alice", "1 3 3 1") + &counts("bob", "1")), SHARED, &["soc", "war"])
            .await;
    let missed =
        |world: &World| world.says("check").lines().any(|line| line.contains("\"war\" is not in the file"));
    let without = format!("without war\n{SHARED}");
    world.live(0..1).await;
    world.write(&without);
    assert!(!missed(&world), "nothing fired");
    world.live(1..2).await;
    let said = world.says("check");
    assert!(said.contains("\"war\" is not in the file, and 1 alert that goes on was told there"), "{said}");
    assert!(said.contains("seatwatch alerts list"), "{said}");
    let log = Log::hear();
    world.restart().await;
    let warned = log.take("the channel left the rules file while alerts it was told of go on");
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("WARN") && warned[0].contains("channel=\"war\" episodes=1"), "{warned:?}");
    world.live(2..4).await;
    assert_eq!(world.told("soc"), "fired shared alice\nchanged shared alice\nended shared alice");
    assert_eq!(world.told("war"), "fired shared alice");
    assert!(!missed(&world), "it is over");
    world.restart().await;
    assert_eq!(log.take("the channel left"), Vec::<String>::new());
    world.leaves("nobody is left at war to be told");
}

/// What was over before its rule went live was told to nobody, then as now.
#[tokio::test]
async fn what_ended_in_the_shadow_is_marked_for_ever() {
    let of = |mode: &str| format!("{SHARED}mode = '{mode}'\n");
    let world = World::new(&(counts("alice", "1 3 1 1 1") + &counts("bob", "1")), &of("shadow")).await;
    world.live(0..3).await;
    let list = || world.says("alerts list --all");
    assert!(list().contains("ended (shadow)"), "{}", list());
    assert!(world.reload(&of("live")).await);
    world.live(3..5).await;
    assert_eq!(world.told("soc"), "");
    assert!(list().contains("ended (not told)"), "{}", list());
    let episode = world.past("shared");
    for command in ["alerts show", "why"] {
        let said = world.says(&format!("{command} {episode}"));
        let why = "Notifications: none; its rule was in the shadow, or named no channel";
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn a_retry_lets_all_go_that_waits_for_a_receiver_that_was_gone() {
    let world = World::new(&(counts("alice", "3 3 1 1") + &counts("bob", "1 3 3 3 1")), SHARED).await;
    world.inboxes["soc"].answers(410);
    world.live(0..3).await;
    let waiting = world.outbox(false);
    assert!(waiting.len() > 1 && waiting.iter().all(|row| row.state == OutboxState::Waiting), "{waiting:#?}");
    world.inboxes["soc"].take();
    world.inboxes["soc"].answers(200);
    let retry = Act::Retry { notification: waiting[1].id.clone() };
    assert_eq!(world.act(retry).await, (true, "it is due now".to_owned()));
    world.deliver().await;
    world.live(3..5).await;
    assert_eq!(world.told("soc").matches("shared").count(), 4, "what waited, and what came after");
}

/// Alice leaves the list while her clients keep a total over its limit; another rule comes, which needs history.
#[tokio::test]
async fn who_left_still_counts_in_the_totals_of_then_when_history_is_read_again() {
    let of = |users: &str, more: &str| {
        format!(
            "source shanghai {users}\n[[rule]]\nname = 'seats'\nper = 'source'\nwhen = 'peak(6m) > 5'\n{more}"
        )
    };
    let other = "[[rule]]\nname = 'other'\nwhen = 'mean(5m) > 30'\n";
    for more in ["", other] {
        let world =
            World::new(&(counts("alice", "5") + &counts("bob", "1")), &of("'alice', 'bob'", "")).await;
        world.live(0..2).await;
        assert!(world.reload(&of("'bob'", "")).await);
        world.live(2..4).await;
        assert!(world.reload(&of("'bob'", more)).await);
        world.live(4..7).await;
        assert_eq!(world.told("soc"), "fired seats shanghai", "{more}");
        world.live(7..10).await;
        assert_eq!(world.told("soc"), "ended seats shanghai", "{more}");
    }
}
