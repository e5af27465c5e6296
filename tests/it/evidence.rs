//! Connections of suspected users: in the events, beside the readings, and never in the way of an alert.
//!
//! Neighbours: `world` has agent and emulator. A part of its own because these lists are asked for between a decision
//! and its commit, where nothing may be lost by them.

use std::time::{Duration, Instant};

use seatwatch::engine::event::{Event, EventKind};

use crate::world::{World, body, counts, fault, minute};

const RULE: &str = "[[rule]]\nname = 'shared'\nwhen = 'online > 2'\nevidence = 'clients'\n";

fn rules(users: &str, more: &str) -> String {
    format!("source shanghai {users}\n{RULE}{more}")
}

fn clients(event: &Event) -> Option<usize> {
    event.clients.as_ref().map(Vec::len)
}

#[tokio::test]
async fn connections_are_listed_with_tunnel_address_and_time() {
    let scenario = counts("alice", "1 2 4 5 1") + &counts("bob", "1");
    let world = World::new(&scenario, &rules("'alice', 'bob'", "for = '1m'")).await;
    world.live(0..5).await;
    let posted = world.inboxes["soc"].take();
    assert_eq!(crate::world::story(&posted), "fired shared alice\nended shared alice");
    let fired = &body(&posted[0])["data"]["events"][0];
    let listed = fired["clients"].as_array().unwrap();
    assert_eq!(listed.len(), 5, "{fired}");
    assert!(listed[0]["address"].as_str().unwrap().starts_with("10."), "{fired}");
    assert_eq!(listed[0]["online_since"], minute(0).to_string());
    assert_eq!(listed[4]["online_since"], minute(3).to_string());
    assert!(body(&posted[1])["data"]["events"][0]["clients"].is_null(), "it ended: nobody is suspected");
    let kept = world.reader().evidence("shanghai", "alice", minute(0), minute(9)).unwrap();
    let kept: Vec<_> = kept.iter().filter_map(|e| Some((e.seq, e.clients.as_ref()?.len()))).collect();
    assert_eq!(kept, [(3, 4), (4, 5)], "from the first suspicion on");
    let bob = world.reader().evidence("shanghai", "bob", minute(0), minute(9)).unwrap();
    assert!(bob.iter().all(|e| e.clients.is_none()), "nobody suspects bob");
}

#[tokio::test]
async fn an_alert_goes_out_without_its_list_if_it_must() {
    for kind in
        ["kind = 'error'\ncode = 'Forbidden.RAM'", "kind = 'delay'", "kind = 'garbage'", "kind = 'drop'"]
    {
        let planted = fault(0, 60, &format!("{kind}\nactions = ['DescribeUserOnlineClients']"));
        let world = World::new(&(counts("alice", "1 4 4 1") + &planted), &rules("'alice'", "")).await;
        let started = Instant::now();
        world.live(0..4).await;
        assert!(started.elapsed().as_secs() < 20, "{kind}: held back by its evidence");
        assert_eq!(world.told("soc"), "fired shared alice\nended shared alice", "{kind}");
        assert!(world.events().iter().all(|event| event.clients.is_none()), "{kind}");
    }
}

#[tokio::test]
async fn nobody_who_tends_waits_for_a_list() {
    let slow = fault(1, 60, "kind = 'delay'\ncode = '10s'\nactions = ['DescribeUserOnlineClients']");
    let world = World::new(&(counts("alice", "1 4 1") + &slow), &rules("'alice'", "")).await;
    world.live(0..1).await;
    let started = Instant::now();
    let (mut longest, mut last) = (Duration::ZERO, started);
    let tending = async {
        loop {
            world.tend().await;
            longest = longest.max(last.elapsed());
            last = Instant::now();
            tokio::time::sleep(Duration::from_millis(5)).await; // until the poll is done, which has a budget
        }
    };
    tokio::select! { _ = world.poll(1) => {} () = tending => {} }
    // Including one that is still waiting.
    let (longest, whole) = (longest.max(last.elapsed()), started.elapsed());
    world.deliver().await;
    assert!(longest < whole / 2, "tending waited {longest:?} in a poll of {whole:?}");
    world.live(2..3).await;
    assert_eq!(world.told("soc"), "fired shared alice\nended shared alice");
}

#[tokio::test]
async fn at_most_twenty_are_asked_for_and_new_ones_go_first() {
    let names: Vec<String> = (0..25).map(|n| format!("sharer-{n:02}")).collect();
    let scenario: String = names.iter().map(|name| counts(name, "3 3 3")).collect();
    let scenario = scenario + &counts("zoe", "1 4");
    let users: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let world = World::new(&scenario, &rules(&format!("{}, 'zoe'", users.join(", ")), "")).await;
    world.live(0..2).await;
    let fired: Vec<Event> = world.events().into_iter().filter(|e| e.kind == EventKind::Fired).collect();
    assert_eq!(fired.len(), 26);
    let listed = |event: &&Event| clients(event).is_some();
    assert_eq!(fired.iter().filter(|e| e.at == minute(0)).filter(listed).count(), 20);
    let zoe = fired.iter().find(|event| event.subject.name == "zoe").unwrap();
    assert_eq!(clients(zoe), Some(4));
    world.inboxes["soc"].take();
}

#[tokio::test]
async fn a_list_that_did_not_change_is_kept_once() {
    let world = World::new(&counts("alice", "3 3 3 4 4"), &rules("'alice'", "")).await;
    world.live(0..5).await;
    let kept = world.reader().evidence("shanghai", "alice", minute(0), minute(9)).unwrap();
    let kept: Vec<_> = kept.iter().filter(|e| e.clients.is_some()).map(|e| e.seq).collect();
    assert_eq!(kept, [1, 4]);
    world.inboxes["soc"].take();
}

/// Nobody is accused by the number of now where the rule measured something else.
#[tokio::test]
async fn what_a_window_measured_is_told_with_the_readings_in_it() {
    let rules = "source shanghai 'alice'\n[[rule]]\nname = 'over'\nwhen = 'time_over(2, 10m) > 3m'\n\
        clear_when = 'time_over(2, 10m) <= 1m'\n";
    let mut world = World::new(&counts("alice", "1 3 3 1 3 3 1"), rules).await;
    world.live(0..3).await;
    // What was read before a start counts as well.
    world.restart().await;
    world.live(3..20).await;
    let posted = world.inboxes["soc"].take();
    assert_eq!(crate::world::story(&posted), "fired over alice\nended over alice");
    let data = &body(&posted[0])["data"];
    let fired = &data["events"][0];
    assert_eq!(fired["at"], minute(6).to_string());
    assert_eq!(fired["value"]["now"], 1);
    let measured = |length: i64| serde_json::json!([{ "signal": "time_over(2, 10m)", "value": null, "value_ms": length, "decides": true }]);
    assert_eq!(fired["signals"], measured(4 * 60_000));
    let readings: Vec<(String, i64)> = fired["readings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["at"].as_str().unwrap().to_owned(), one["online"].as_i64().unwrap()))
        .collect();
    let expect = [(0, 1), (1, 3), (3, 1), (4, 3), (6, 1)].map(|(n, online)| (minute(n).to_string(), online));
    assert_eq!(readings, expect);
    let text = data["text"].as_str().unwrap();
    let says = "shanghai/alice: time_over(2, 10m) was 4 min (rule over: time_over(2, 10m) > 3m), at ";
    assert!(text.starts_with(says), "{text}");
    let ended = &body(&posted[1])["data"];
    assert_eq!(ended["events"][0]["signals"], measured(60_000));
    assert!(ended["text"].as_str().unwrap().contains("time_over(2, 10m) was 1 min"), "{ended}");
}

/// A rule may count what is absent as zero; nobody is told that it was zero.
#[tokio::test]
async fn what_is_absent_is_not_told_as_zero() {
    let rules = "source shanghai 'gw'\n[[rule]]\nname = 'offline'\nwhen = 'online == 0'\nabsent = 'zero'\n\
        for = '1m'\n[[rule]]\nname = 'must-be-there'\nwhen = 'online > 9'\nabsent = 'breach'\n";
    let world = World::new(&counts("gw", "1 0 - - 1"), rules).await;
    world.live(0..5).await;
    let posted = world.inboxes["soc"].take();
    let of = |rule: &str| {
        let data = posted.iter().map(|one| body(one)["data"].clone()).find(|data| data["rule"] == rule);
        let data = data.unwrap();
        let (event, text) = (&data["events"][0], data["text"].as_str().unwrap().to_owned());
        let kinds: Vec<String> =
            event["readings"].as_array().unwrap().iter().map(|one| one["reading"].to_string()).collect();
        (event["value"].clone(), kinds.join(" "), text)
    };
    let (value, readings, text) = of("offline");
    assert_eq!(value, serde_json::json!({ "now": null, "first": 0, "peak": 0 }));
    assert_eq!(readings, r#""online" "absent""#);
    assert!(
        text.starts_with("shanghai/gw is not in the replies (absent counts as zero for this rule)"),
        "{text}"
    );
    let (value, _, text) = of("must-be-there");
    assert_eq!(value["now"], serde_json::Value::Null);
    assert!(
        text.starts_with("shanghai/gw is not in the replies (absent is a breach for this rule)"),
        "{text}"
    );
}
