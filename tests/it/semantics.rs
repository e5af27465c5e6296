//! What the vendor's answers mean for polls and alerts, minutes and days on: instances that are not there, names that
//! are all refused, counts that flap or never move, days without an uplink.
//!
//! Neighbours: `client` has the single answers, `world` the agent around them. A part of its own because these faults
//! show only over many polls.

use seatwatch::engine::event::EventKind;
use seatwatch::engine::reading::PollOutcome;
use seatwatch::engine::time::Span;

use crate::world::{World, counts, fault, minute};

const SHARED: &str =
    "source shanghai 'alice', 'bob'\n[[rule]]\nname = 'shared'\nwhen = 'online > limit'\nlimit = 2\n";

#[tokio::test]
async fn an_instance_that_is_not_there_is_told_and_others_go_on() {
    let mut world = World::idle(&(counts("alice", "1 3 3 1") + &counts("bob", "1")), &["soc"]);
    let other = format!(
        "[[source]]\nname = 'beijing'\nkind = 'aliyun-sag'\nregion = 'cn-shanghai'\ninstance = 'sag-nowhere'\n\
         endpoint = '{}'\nbudget = '1s'\nschedule = '* * * * *'\nusers = ['alice']\n",
        world.endpoint
    );
    world.write(&format!("{SHARED}[[rule]]\nname = 'unused'\nwhen = 'online > 99'\n{other}"));
    world.start().await;
    for n in 0..4 {
        assert_eq!(world.poll_of("beijing", n).await.unwrap().outcome, PollOutcome::Failed);
        world.live(n..n + 1).await;
    }
    let told = world.told("soc");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "fired agent/credentials beijing",
            "fired shared alice",
            "fired agent/source-silent beijing",
            "ended shared alice"
        ],
        "{told}"
    );
    let events = world.events();
    let silent = events.iter().find(|event| event.rule == "agent/source-silent").unwrap();
    assert_eq!((silent.since, silent.at), (minute(0), minute(2)), "since the first poll that failed");
    let credentials = events.iter().find(|event| event.rule == "agent/credentials").unwrap();
    let detail = credentials.detail.as_deref().unwrap();
    assert!(detail.contains("SAG.InstanceNoFound") && detail.contains("instance"), "{detail}");
}

#[tokio::test]
async fn when_every_name_is_refused_the_search_ends_and_is_told() {
    let users: Vec<String> = (0..120).map(|n| format!("'bad {n}'")).collect();
    let rules = SHARED.replace("'alice', 'bob'", &users.join(", "));
    let world = World::new("", &rules).await;
    let first = world.poll(0).await;
    assert_eq!(first.outcome, PollOutcome::Failed);
    let requests = |world: &World| {
        world.reader().polls("shanghai", 1).unwrap().map(|poll| poll.unwrap().requests).collect::<Vec<_>>()
    };
    assert!(requests(&world)[0] <= 3 + 100, "{:?}", requests(&world));
    world.deliver().await;
    let told = world.told("soc");
    assert!(told.contains("fired agent/credentials shanghai"), "{told}");
    assert!(told.contains("fired agent/name-refused shanghai"), "{told}");
    world.live(1..6).await;
    let later = requests(&world);
    assert!(later.iter().all(|requests| *requests <= 3 + 100), "{later:?}");
    assert_eq!(later.last(), Some(&0), "all of them are in quarantine, and nobody is asked about: {later:?}");
}

#[tokio::test]
async fn counts_that_flap_make_one_message_where_a_hold_is_asked_for() {
    let flapping = ["5", "1"].repeat(60).join(" ");
    let people = counts("alice", &flapping) + &counts("bob", "1");
    for (hold, expect) in [("for = '3m'\n", ""), ("clear_for = '10m'\n", "fired shared alice")] {
        let world = World::new(&people, &format!("{SHARED}{hold}")).await;
        world.live(0..120).await;
        assert_eq!(world.told("soc"), expect, "{hold}");
    }
    let band = "clear_when = 'online < 1'\n";
    let world = World::new(&people, &format!("{SHARED}{band}")).await;
    world.live(0..120).await;
    assert_eq!(world.told("soc"), "fired shared alice", "1 is within the dead band");
    // Without either, every change is told once: two messages for each flap, and nothing else.
    let world = World::new(&people, SHARED).await;
    world.live(0..60).await;
    assert_eq!(world.told("soc"), ["fired shared alice\nended shared alice"; 30].join("\n"));
}

/// Who flaps faster than `clear_for` costs one message; who flaps slower, two in more than that time: with ten
/// minutes never twelve messages in an hour.
#[tokio::test]
async fn a_hold_bounds_the_messages_of_an_hour() {
    for (low, per_hour) in [(9, [1, 0]), (11, [10, 10])] {
        let flapping = format!("5 {}", "1 ".repeat(low)).repeat(12);
        let people = counts("alice", &flapping) + &counts("bob", "1");
        let world = World::new(&people, &format!("{SHARED}clear_for = '10m'\n")).await;
        for (hour, expect) in (0..).zip(per_hour) {
            world.live(hour * 60..(hour + 1) * 60).await;
            assert_eq!(world.told("soc").lines().count(), expect, "hour {hour}, {low} minutes low");
        }
    }
}

#[tokio::test]
async fn counts_that_never_move_are_just_counts() {
    let rules = SHARED.replace("'alice', 'bob'", "'alice', 'bob' every */30 * * * *");
    let world = World::new(&(counts("alice", "4") + &counts("bob", "1")), &rules).await;
    for n in 0..150 {
        let poll = world.poll(n * 30).await;
        assert_eq!((poll.outcome, poll.events), (PollOutcome::Complete, usize::from(n == 0)), "poll {n}");
        world.tend().await;
        world.deliver().await;
    }
    assert_eq!(world.told("soc"), "fired shared alice", "three days on it fires still, and is told once");
}

#[tokio::test]
async fn three_days_without_an_uplink_are_gaps_and_one_own_alert() {
    let rules = "source shanghai 'gateway-01' every 0 */6 * * *\n[[rule]]\nname = 'gateway-offline'\n\
        when = 'online == 0'\nabsent = 'zero'\n[[rule]]\nname = 'silent'\nwhen = 'offline_time > 1h or absent_time > 1h'\n";
    let scenario = counts("gateway-01", "1") + &fault(60, 72 * 60, "kind = 'drop'");
    let world = World::new(&scenario, rules).await;
    for n in 0..16 {
        let poll = world.poll(n * 360).await;
        let expect = if (1..13).contains(&n) { PollOutcome::Failed } else { PollOutcome::Complete };
        assert_eq!(poll.outcome, expect, "poll {n}");
        world.tend().await;
        world.deliver().await;
    }
    let told = world.told("soc");
    assert_eq!(told, "fired agent/source-silent shanghai\nended agent/source-silent shanghai");
    let events = world.events();
    assert!(events.iter().all(|event| event.rule.starts_with("agent/")), "nobody is falsely offline");
    let ended = events.iter().find(|event| event.kind == EventKind::Ended).unwrap();
    assert_eq!(ended.at, minute(13 * 360));
    let history = world.reader().history("shanghai", "gateway-01", minute(0), minute(16 * 360)).unwrap();
    assert_eq!(history.len(), 16, "every poll is known, the failed ones as such");
    assert!(world.now().since(minute(0)) > Span::from_days(3));
}
