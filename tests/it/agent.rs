//! The agent from readings to bodies that a receiver gets: what fires, ends, survives, and is told once.
//!
//! Neighbours: `world` has the emulator, the receivers and the clock. A part of its own because these promises hold
//! for the whole or not at all. Minutes are polls; a word a minute is what the vendor says.

use seatwatch::engine::event::{EventKind, Finding};
use seatwatch::engine::outcome::{Act, State};
use seatwatch::engine::reading::PollOutcome;
use seatwatch::engine::time::Span;
use seatwatch::store::{OutboxState, StoreError};

use crate::support::logged::Log;
use crate::world::{HELD, World, body, counts, fault, minute};

const SHARED: &str =
    "source shanghai 'alice', 'bob'\n[[rule]]\nname = 'shared'\nwhen = 'online > limit'\nlimit = 2\n";

fn held(minutes: u32) -> String {
    format!("{SHARED}for = '{minutes}m'\n")
}

fn people(alice: &str) -> String {
    counts("alice", alice) + &counts("bob", "1")
}

#[tokio::test]
async fn a_sharer_fires_and_ends_once_each() {
    let world = World::new(&people("1 3 4 4 1 1"), SHARED).await;
    world.live(0..6).await;
    let posted = world.inboxes["soc"].take();
    assert_eq!(crate::world::story(&posted), "fired shared alice\nended shared alice");
    let (fired, ended) = (body(&posted[0]), body(&posted[1]));
    for (posted, body) in posted.iter().zip([&fired, &ended]) {
        assert_eq!(posted.header("webhook-id"), body["data"]["notification"].as_str().unwrap());
    }
    let (a, b) = (&fired["data"]["events"][0], &ended["data"]["events"][0]);
    assert_eq!(a["episode"], b["episode"]);
    assert_ne!(a["id"], b["id"]);
    assert_eq!(a["value"], serde_json::json!({"now": 3, "first": 3, "peak": 3}));
    assert_eq!(b["value"], serde_json::json!({"now": 1, "first": 3, "peak": 4}));
    assert_eq!(a["limit"], serde_json::json!({"value": 2, "origin": "rule"}));
    assert!(!a["request_ids"].as_array().unwrap().is_empty(), "{a}");
    assert_eq!(b["reason"], "cleared");
}

#[tokio::test]
async fn a_restart_at_any_step_changes_nothing() {
    let scenario = people("1 3 3 3 4 1 1 3 3 3 1 1");
    let rules = held(2);
    let mut stories = Vec::new();
    for restart in [None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(7), Some(8)] {
        let mut world = World::new(&scenario, &rules).await;
        for n in 0..12 {
            world.poll(n).await;
            if restart == Some(n) {
                world.restart().await;
            }
            world.tend().await;
            if restart == Some(n) {
                world.restart().await;
            }
            world.deliver().await;
        }
        assert_eq!(
            world.told("soc"),
            "fired shared alice\nended shared alice\nfired shared alice\nended shared alice"
        );
        let story: Vec<_> =
            world.events().iter().map(|e| (e.at, e.kind, e.since, e.readings.len(), e.value)).collect();
        stories.push((restart, story));
    }
    for (restart, story) in &stories {
        assert_eq!(*story, stories[0].1, "restarted at {restart:?}");
    }
}

#[tokio::test]
async fn pending_is_not_lost_by_tending_reloading_or_restarting() {
    let mut world = World::new(&people("3 3 3 3 3 1"), &held(3)).await;
    world.poll(0).await;
    world.tend().await;
    world.poll(1).await;
    world.restart().await;
    world.tend().await;
    assert!(world.reload(&held(3)).await);
    world.tend().await;
    world.live(2..6).await;
    assert_eq!(world.told("soc"), "fired shared alice\nended shared alice");
    assert_eq!(world.events()[0].at, minute(3));
}

#[tokio::test]
async fn a_changed_rule_starts_pending_alerts_over_even_if_the_poll_comes_first() {
    let world = World::new(&people("3 3 3 3 3 3 1"), &held(3)).await;
    world.live(0..2).await;
    assert!(world.reload(&held(2)).await);
    world.live(2..7).await;
    let fired = world.events();
    assert_eq!((fired[0].kind, fired[0].at, fired[0].since), (EventKind::Fired, minute(4), minute(2)));
    world.told("soc");
}

#[tokio::test]
async fn invariant_6_missing_readings_neither_start_nor_end_an_alert() {
    let scenario = people("3 3 1 1 1 1 1 1") + &fault(2, 5, "kind = 'garbage'");
    let world = World::new(&scenario, SHARED).await;
    world.live(0..2).await;
    assert_eq!(world.told("soc"), "fired shared alice");
    world.live(2..4).await;
    assert_eq!(world.told("soc"), "");
    world.live(4..5).await;
    assert_eq!(
        world.told("soc"),
        "fired agent/source-silent shanghai",
        "after three polls without a usable one"
    );
    world.live(5..7).await;
    assert_eq!(world.told("soc"), "");
    assert_eq!(world.poll(7).await.outcome, PollOutcome::Complete);
    world.deliver().await;
    let told = world.told("soc");
    assert!(
        told.contains("ended shared alice") && told.contains("ended agent/source-silent shanghai"),
        "{told}"
    );
    let ended =
        world.events().into_iter().find(|e| e.kind == EventKind::Ended && e.rule == "shared").unwrap();
    assert_eq!(ended.blind, Span::from_mins(6), "minutes 1 to 7 lie in a hole");
    let mut bodies = world.inboxes["soc"].all().into_iter().map(|(posted, _)| body(&posted));
    let said =
        bodies.rfind(|body| body["type"] == "alert.ended" && body["data"]["rule"] == "shared").unwrap();
    let text = said["data"]["text"].as_str().unwrap();
    assert!(text.contains("6 min are not known"), "{text}");
}

#[tokio::test]
async fn refused_credentials_are_told_at_once() {
    let scenario = people("1") + &fault(1, 2, "kind = 'error'\ncode = 'InvalidAccessKeyId.NotFound'");
    let world = World::new(&scenario, SHARED).await;
    world.live(0..2).await;
    assert_eq!(world.told("soc"), "fired agent/credentials shanghai");
    world.live(2..4).await;
    assert_eq!(world.told("soc"), "ended agent/credentials shanghai");
}

#[tokio::test]
async fn a_refused_name_is_left_out_told_and_asked_again_after_a_day() {
    let rules = SHARED.replace("'bob'", "'bo b'");
    let world = World::new(&people("1 3 1"), &rules).await;
    let first = world.poll(0).await;
    world.deliver().await;
    assert_eq!(first.outcome, PollOutcome::Complete, "the poll is not partial for it");
    assert_eq!(world.told("soc"), "fired agent/name-refused shanghai");
    world.live(1..3).await;
    assert_eq!(world.told("soc"), "fired shared alice\nended shared alice");
    let requests =
        |world: &World| world.reader().polls("shanghai", 1).unwrap().last().unwrap().unwrap().requests;
    assert_eq!(requests(&world), 1, "nobody asks about a name in quarantine");
    let tomorrow = 24 * 60 + 1;
    world.poll(tomorrow).await;
    assert!(requests(&world) > 1, "asked again");
    world.deliver().await;
    assert_eq!(world.told("soc"), "", "told once");
    assert!(world.reload(SHARED).await);
    world.live(tomorrow + 1..tomorrow + 2).await;
    assert_eq!(world.told("soc"), "ended agent/name-refused shanghai");
}

#[tokio::test]
async fn invariant_5_a_channel_that_was_down_gets_the_same_bytes_under_the_same_id() {
    let mut world = World::new(&people("1 3 3 1 1"), SHARED).await;
    world.inboxes["soc"].answers(500);
    world.live(0..2).await;
    world.restart().await;
    world.set(minute(1) + Span::from_secs(30));
    world.deliver().await;
    world.live(2..4).await;
    world.inboxes["soc"].answers(200);
    for n in [10, 20, 30, 40] {
        world.set(minute(n));
        world.deliver().await;
    }
    let posted = world.inboxes["soc"].take();
    let ended = posted.last().unwrap();
    assert_eq!(body(ended)["type"], "alert.ended");
    let fired: Vec<_> = posted.iter().filter(|p| body(p)["type"] == "alert.fired").collect();
    assert!(fired.len() >= 3, "{}", fired.len());
    assert!(
        fired
            .iter()
            .all(|p| p.body == fired[0].body && p.header("webhook-id") == fired[0].header("webhook-id"))
    );
    assert_eq!(fired.len() + 1, posted.len());
}

/// A channel that failed is paused; who mended it and asks for another try is not made to wait for that.
#[tokio::test]
async fn a_retry_asked_for_is_made_while_its_channel_is_paused() {
    let world = World::new(&people("1 3 3 3 3"), SHARED).await;
    world.inboxes["soc"].answers(500);
    world.live(0..4).await;
    for wait in [10, 60, 60 * 5, 60 * 15] {
        world.set(world.now() + Span::from_secs(wait));
        world.deliver().await;
    }
    let waiting = world.outbox(false);
    let [row] = waiting.as_slice() else { panic!("{waiting:?}") };
    world.inboxes["soc"].answers(200);
    world.inboxes["soc"].take();
    world.deliver().await;
    assert!(world.inboxes["soc"].take().is_empty(), "the channel is paused");
    let (done, message) = world.act(Act::Retry { notification: row.id.clone() }).await;
    assert!(done, "{message}");
    world.deliver().await;
    assert_eq!(world.inboxes["soc"].take().len(), 1, "tried at once");
}

#[tokio::test]
async fn invariant_4_fired_and_ended_that_nobody_was_told_of_become_one() {
    let world = World::new(&people("1 3 1 1"), SHARED).await;
    for n in 0..4 {
        world.poll(n).await;
    }
    world.deliver().await;
    let posted = world.inboxes["soc"].take();
    assert_eq!(crate::world::story(&posted).lines().count(), 1);
    let kinds: Vec<_> =
        body(&posted[0])["data"]["events"].as_array().unwrap().iter().map(|e| e["kind"].clone()).collect();
    assert_eq!(kinds, ["fired", "ended"]);
}

#[tokio::test]
async fn many_that_wait_become_a_digest() {
    let mut rules = String::from("source shanghai 'alice', 'bob'\n");
    for n in 0..7 {
        rules += &format!("[[rule]]\nname = 'r{n}'\nwhen = 'online > {}'\n", n + 2);
    }
    let world = World::new(&people("1 3 4 5 6 7 8 9"), &rules).await;
    for n in 0..8 {
        world.poll(n).await;
    }
    world.deliver().await;
    let posted = world.inboxes["soc"].take();
    assert_eq!(posted.len(), 1);
    assert_eq!(body(&posted[0])["type"], "alert.digest");
    assert_eq!(body(&posted[0])["data"]["events"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn a_channel_that_is_gone_waits_and_the_other_one_says_so() {
    let world = World::with_channels(&people("1 3 1 3 1"), SHARED, &["soc", "war"]).await;
    world.inboxes["soc"].answers(410);
    world.live(0..2).await;
    assert_eq!(world.told("soc"), "fired shared alice");
    world.tend().await;
    world.deliver().await;
    assert_eq!(world.told("war"), "fired shared alice\nfired agent/channel soc");
    world.live(2..5).await;
    assert_eq!(world.told("soc"), "", "nothing is sent to a channel that is gone");
    assert!(world.outbox(false).iter().all(|row| row.state == OutboxState::Waiting && row.channel == "soc"));
    world.inboxes["soc"].answers(200);
    world.told("war");
    // Whoever reloads has looked at it.
    assert!(world.reload(SHARED).await);
    for n in 5..8 {
        world.set(minute(n));
        world.deliver().await;
        world.tend().await;
    }
    world.deliver().await;
    let told = world.told("soc");
    let mut lines: Vec<&str> = told.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["digest shared alice alice", "ended shared alice", "fired shared alice"], "{told}");
    assert_eq!(world.told("war"), "ended agent/channel soc");
}

#[tokio::test]
async fn who_was_never_told_fired_is_not_told_ended() {
    let world = World::new(&people("1 3 3 3 1 1"), SHARED).await;
    world.inboxes["soc"].answers(400);
    world.live(0..2).await;
    for n in [62, 124, 186] {
        world.set(minute(n));
        world.deliver().await;
    }
    assert_eq!(world.outbox(true)[0].state, OutboxState::Dead);
    world.inboxes["soc"].answers(200);
    world.told("soc");
    world.live(187..188).await;
    assert_eq!(world.told("soc"), "");
    let states: Vec<_> = world.outbox(true).iter().map(|row| row.state).collect();
    assert_eq!(states, [OutboxState::Dead, OutboxState::Superseded]);
    world.leaves("the dead row is the story");
}

#[tokio::test]
async fn an_end_that_nobody_is_told_does_not_travel_with_others() {
    let world = World::new(&(counts("alice", "1 3 3 3 1 1") + &counts("bob", "1 1 3 3 1 1")), SHARED).await;
    world.inboxes["soc"].answers(500);
    world.live(0..2).await;
    let notification = world.outbox(true)[0].id.clone();
    assert!(world.act(Act::Drop { notification }).await.0);
    world.inboxes["soc"].answers(200);
    world.told("soc");
    world.live(2..6).await;
    assert_eq!(world.told("soc"), "fired shared bob\nended shared bob");
    let states: Vec<_> = world.outbox(true).iter().map(|row| row.state).collect();
    let (dead, sent, superseded) = (OutboxState::Dead, OutboxState::Sent, OutboxState::Superseded);
    assert_eq!(
        states,
        [dead, sent, sent, superseded, superseded],
        "bob's end in its turn; the end of both stood for"
    );
    world.leaves("the dead row is the story");
}

#[tokio::test]
async fn reminders_come_until_somebody_acknowledges() {
    let rules = format!("{SHARED}repeat = '5m'\n");
    let world = World::new(&people("3"), &rules).await;
    world.live(0..11).await;
    assert_eq!(world.told("soc"), "fired shared alice\nreminded shared alice\nreminded shared alice");
    let episode = world.episode("shared");
    let (done, message) =
        world.act(Act::Ack { episode: episode.clone(), note: Some("looking".into()) }).await;
    assert!(done, "{message}");
    world.live(11..30).await;
    assert_eq!(world.told("soc"), "acked shared alice");
    let again = world.act(Act::Ack { episode: episode.clone(), note: None }).await;
    assert_eq!(again, (false, "already acknowledged by olga".to_owned()));
    let close = Act::Close { episode, rearm: false, finding: Some(Finding::ConfirmedSharing), note: None };
    assert!(world.act(close.clone()).await.0);
    world.deliver().await;
    assert_eq!(world.told("soc"), "ended shared alice(closed)");
    world.live(30..33).await;
    assert_eq!(world.told("soc"), "", "closed until clear once");
    let (done, message) = world.act(close_last(&world, None, None)).await;
    assert!(!done && message.contains("--finding"), "closing twice says nothing: {message}");
}

/// The last episode is to be closed.
fn close_last(world: &World, finding: Option<Finding>, note: Option<&str>) -> Act {
    Act::Close { episode: world.past("shared"), rearm: false, finding, note: note.map(str::to_owned) }
}

/// The last episode's finding, note, who concluded it, and its state.
fn concluded(world: &World) -> (Option<Finding>, Option<String>, Option<String>, State) {
    let row = world.reader().episode(&world.past("shared")).unwrap();
    (row.finding, row.note, row.finding_by, row.state)
}

#[tokio::test]
async fn what_is_over_is_still_concluded_of() {
    let mut world = World::new(&people("3 3 3 1 1 3 3 3 3 1 1"), SHARED).await;
    world.live(0..5).await;
    assert_eq!(world.told("soc"), "fired shared alice\nended shared alice");
    let (done, message) = world.act(close_last(&world, None, Some("hm"))).await;
    assert!(!done && message.contains("--finding"), "{message}");
    assert!(!world.act(Act::Ack { episode: world.past("shared"), note: None }).await.0);
    let events = world.events();
    let told = world.act(close_last(&world, Some(Finding::MultiDevice), Some("two phones"))).await;
    assert_eq!(told, (true, "recorded multi-device; the episode had ended, so nobody is told".to_owned()));
    let olga = Some("olga".to_owned());
    assert_eq!(
        concluded(&world),
        (Some(Finding::MultiDevice), Some("two phones".into()), olga.clone(), State::Ok)
    );
    // Nobody runs: the wish waits, and is taken up by the next agent.
    let wish = close_last(&world, Some(Finding::Compromised), None);
    world.agent().store().add_act("paul", world.now(), wish).await.unwrap();
    world.restart().await;
    world.tend().await;
    let paul = Some("paul".to_owned());
    assert_eq!(concluded(&world), (Some(Finding::Compromised), None, paul, State::Ok));
    let asked = world.reader().acts(&world.past("shared")).unwrap();
    assert_eq!(asked.len(), 4, "the acts keep what was concluded before: {asked:?}");

    // The same of one that was closed, while its alert remembers it and after.
    world.live(5..7).await;
    world.told("soc");
    assert!(world.act(close_last(&world, Some(Finding::Unsure), None)).await.0);
    world.live(7..8).await;
    assert!(world.act(close_last(&world, Some(Finding::Compromised), Some("stolen"))).await.0);
    assert_eq!(
        concluded(&world),
        (Some(Finding::Compromised), Some("stolen".into()), olga.clone(), State::Closed)
    );
    world.live(8..11).await;
    assert!(world.act(close_last(&world, Some(Finding::SharedByPolicy), None)).await.0);
    assert_eq!(concluded(&world).0, Some(Finding::SharedByPolicy));
    assert_eq!(world.told("soc"), "ended shared alice(closed)", "it stays closed, and nobody is told");
    assert_eq!(world.events().len(), events.len() + 3, "fired, closed, ended");
}

#[tokio::test]
async fn closed_ends_with_one_clear() {
    let world = World::new(&people("3 3 3 1 3 1"), SHARED).await;
    world.live(0..2).await;
    let close = Act::Close { episode: world.episode("shared"), rearm: false, finding: None, note: None };
    assert!(world.act(close).await.0);
    world.live(2..4).await;
    assert_eq!(world.told("soc"), "fired shared alice\nended shared alice(closed)");
    world.live(4..6).await;
    assert_eq!(world.told("soc"), "fired shared alice\nended shared alice");
}

/// Fires, reloads with `after`, and expects the channel to be told `expect`; first by `tend`, then by the poll.
async fn reload_case(after: &str, expect: &str) {
    for tend_first in [true, false] {
        let world = World::new(&people("3"), SHARED).await;
        world.live(0..2).await;
        assert_eq!(world.told("soc"), "fired shared alice");
        assert!(world.reload(after).await);
        if tend_first {
            world.tend().await;
        }
        world.live(2..4).await;
        assert_eq!(world.told("soc"), expect, "tend first: {tend_first}");
        world.leaves("it may fire on");
    }
}

#[tokio::test]
async fn a_reload_settles_what_it_changed() {
    let other = SHARED.replace("'shared'", "'other'").replace("limit = 2", "limit = 9");
    reload_case(&other, "ended shared alice(rule-removed)").await;
    reload_case(&SHARED.replace("'alice', ", ""), "ended shared alice(left-scope)").await;
    reload_case(&format!("{SHARED}except = ['alice']\n"), "ended shared alice(left-scope)").await;
    let moved = format!("source beijing 'zed'\n{SHARED}sources = ['beijing']\n");
    reload_case(&moved, "ended shared alice(left-scope)").await;
    reload_case(&SHARED.replace("limit = 2", "limit = 1"), "changed shared alice").await;
    reload_case(SHARED, "").await;
}

#[tokio::test]
async fn a_source_that_left_the_file_ends_its_alerts() {
    let world = World::new(&people("3"), SHARED).await;
    world.live(0..2).await;
    world.told("soc");
    assert!(world.reload(&SHARED.replace("shanghai", "beijing")).await);
    world.tend().await;
    world.deliver().await;
    assert_eq!(world.told("soc"), "ended shared alice(left-scope)");
}

#[tokio::test]
async fn a_channel_that_left_the_file_is_told_the_end_with_its_old_settings() {
    let world = World::with_channels(&people("3 3 3 1"), SHARED, &["soc", "war"]).await;
    world.live(0..2).await;
    assert_eq!(world.told("soc"), "fired shared alice");
    assert!(world.reload(&format!("without soc\n{SHARED}")).await);
    world.tend().await;
    world.deliver().await;
    assert_eq!(world.told("soc"), "changed shared alice", "who tells whom is part of the rule");
    assert!(world.reload(&format!("without soc\n{SHARED}")).await);
    world.live(2..4).await;
    assert_eq!(world.told("soc"), "ended shared alice");
    assert!(world.outbox(true).iter().all(|row| row.state == OutboxState::Sent));
}

/// Nobody knows its settings any more.
#[tokio::test]
async fn rows_of_a_channel_that_left_the_file_before_a_start_are_given_up() {
    let mut world = World::with_channels(&people("3"), SHARED, &["soc", "war"]).await;
    world.inboxes["soc"].answers(500);
    world.live(0..2).await;
    world.write(&format!("without soc\n{SHARED}"));
    world.restart().await;
    world.tend().await;
    let row = world.outbox(true).into_iter().find(|row| row.channel == "soc").unwrap();
    assert_eq!((row.state, row.last_error.as_deref()), (OutboxState::Dead, Some("channel removed")));
    world.leaves("a removed channel is told nothing more");
}

/// Whoever was told through it that an alert fired is told its end, once, whenever that came: before the channel left
/// (and could not be sent), while it was away, or since.
#[tokio::test]
async fn a_channel_that_comes_back_after_a_start_is_told_the_ends_of_what_it_was_told() {
    for ends in [2, 3, 6] {
        for restarts in [false, true] {
            let counts = (0..8).map(|n| if n < ends { "3" } else { "1" }).collect::<Vec<_>>().join(" ");
            let mut world = World::with_channels(&people(&counts), SHARED, &["soc", "war"]).await;
            world.live(0..2).await;
            assert_eq!(world.told("soc"), "fired shared alice");
            world.inboxes["soc"].answers(500);
            world.live(2..3).await;
            world.told("soc");
            world.inboxes["soc"].answers(200);
            world.write(&format!("without soc\n{SHARED}"));
            world.restart().await;
            world.live(3..5).await;
            world.restart().await;
            world.live(5..6).await;
            assert_eq!(world.told("soc"), "");
            world.write(SHARED);
            if restarts {
                world.restart().await;
            } else {
                assert!(world.reload(SHARED).await);
            }
            world.live(6..8).await;
            let told =
                if ends == 6 { "changed shared alice\nended shared alice" } else { "ended shared alice" };
            assert_eq!(world.told("soc"), told, "{ends} {restarts}");
            world.restart().await;
            world.live(8..9).await;
            assert_eq!(world.told("soc"), "", "once; {ends} {restarts}");
            world.leaves("what changed while a channel was away is not told");
        }
    }
}

/// As one that takes nothing for 75 hours, or one whose beginning was given up.
#[tokio::test]
async fn a_channel_that_was_away_for_long_or_was_not_told_the_beginning_is_not_told_the_end() {
    for (status, back) in [(200, 3 + 75 * 60), (500, 4)] {
        let mut world = World::with_channels(&people("3 3 3 1"), SHARED, &["soc", "war"]).await;
        world.inboxes["soc"].answers(status);
        world.live(0..2).await;
        world.told("soc");
        world.write(&format!("without soc\n{SHARED}"));
        world.restart().await;
        world.live(2..4).await;
        world.inboxes["soc"].answers(200);
        world.write(SHARED);
        world.set(minute(back));
        world.restart().await;
        world.live(back..back + 1).await;
        assert_eq!(world.told("soc"), "", "{status}");
        let rows: Vec<_> = world.outbox(true).into_iter().filter(|row| row.channel == "soc").collect();
        let ended = rows.last().unwrap();
        assert_eq!(ended.state, OutboxState::Dead, "{status}: {ended:?}");
        if status == 500 {
            // An operator has the beginning told: then the end is owed.
            let told = world.act(Act::Retry { notification: rows[0].id.clone() }).await;
            assert!(told.0, "{told:?}");
            world.live(back + 1..back + 3).await;
            assert_eq!(world.told("soc"), "fired shared alice\nended shared alice");
        }
        world.leaves("it was away, or never told");
    }
}

#[tokio::test]
async fn a_refused_file_changes_nothing() {
    let world = World::new(&people("3 3 3 1"), SHARED).await;
    world.live(0..2).await;
    assert!(!world.reload("source shanghai 'alice'\n[[rule]]\nname = 'x'\nwhen = 'onlin > 1'\n").await);
    world.live(2..4).await;
    assert_eq!(world.told("soc"), "fired shared alice\nended shared alice");
}

#[tokio::test]
async fn two_sources_may_have_the_same_user() {
    let rules =
        SHARED.replace("source shanghai 'alice', 'bob'", "source shanghai 'alice'\nsource beijing 'alice'");
    let world = World::new(&people("3 1"), &rules).await;
    for n in 0..2 {
        world.poll(n).await;
        world.poll_of("beijing", n).await.unwrap();
        world.deliver().await;
    }
    let posted = world.inboxes["soc"].take();
    let mut seen: Vec<(String, String, String)> = posted
        .iter()
        .map(body)
        .map(|b| {
            let event = &b["data"]["events"][0];
            [&b["type"], &event["source"], &event["episode"]].map(|v| v.as_str().unwrap().to_owned()).into()
        })
        .collect();
    seen.sort();
    let shown: Vec<_> = seen.iter().map(|(kind, source, _)| format!("{kind} {source}")).collect();
    assert_eq!(
        shown,
        ["alert.ended beijing", "alert.ended shanghai", "alert.fired beijing", "alert.fired shanghai"]
    );
    assert_ne!(seen[0].2, seen[1].2);
}

#[tokio::test]
async fn a_source_that_cannot_be_tended_holds_up_no_other() {
    let two = "source shanghai 'alice'\nsource beijing 'alice'";
    let rules = SHARED.replace("source shanghai 'alice', 'bob'", two) + "repeat = '5m'\n";
    let world = World::new(&people("3"), &rules).await;
    world.poll(0).await;
    world.poll_of("beijing", 0).await.unwrap();
    world.deliver().await;
    assert_eq!(world.inboxes["soc"].take().len(), 2);
    let database = rusqlite::Connection::open(world.database()).unwrap();
    let stuck = "CREATE TRIGGER stuck BEFORE INSERT ON event WHEN NEW.event LIKE '%\"beijing\"%'
                 BEGIN SELECT RAISE(ABORT, 'stuck'); END";
    database.execute_batch(stuck).unwrap();
    drop(database);
    world.set(minute(6));
    world.agent().tend_once(minute(6)).await.unwrap_err();
    world.deliver().await;
    let told: Vec<_> =
        world.inboxes["soc"].take().iter().map(|posted| body(posted)["type"].clone()).collect();
    assert!(told.contains(&"alert.reminded".into()), "{told:?}");
    rusqlite::Connection::open(world.database()).unwrap().execute_batch("DROP TRIGGER stuck").unwrap();
}

#[tokio::test]
async fn groups_and_sources_are_subjects() {
    let rules = "source shanghai 'ext-a', 'ext-b', 'carol'\n[[group]]\nname = 'ext'\nusers = ['ext-*']\n\
        [[rule]]\nname = 'crowd'\nper = 'group'\nwhen = 'total > 3'\n\
        [[rule]]\nname = 'seats'\nper = 'source'\nwhen = 'total > 6'\nclear_when = 'total <= 4'\n";
    let scenario =
        counts("ext-a", "1 2 2 2 1") + &counts("ext-b", "1 2 2 1 1") + &counts("carol", "1 1 4 2 1");
    let world = World::new(&scenario, rules).await;
    world.live(0..5).await;
    assert_eq!(
        world.told("soc"),
        "fired crowd ext\nfired seats shanghai\nended crowd ext\nended seats shanghai"
    );
}

#[tokio::test]
async fn a_limit_of_an_exception_says_who_answers_for_it_and_why() {
    let rules = format!(
        "{SHARED}[[exception]]\nuser = 'alice'\nlimit = 3\nreason = 'shared terminal'\nowner = 'it-ops'\nexpires = 2027-03-31\n"
    );
    let world = World::new(&(counts("alice", "3 5 3") + &counts("bob", "3 3 1")), &rules).await;
    world.live(0..3).await;
    let deviation =
        serde_json::json!({"reason": "shared terminal", "owner": "it-ops", "expires": "2027-03-31"});
    let mut seen = 0;
    let all: Vec<_> = world.inboxes["soc"].take().iter().map(body).collect();
    for event in all.iter().flat_map(|body| body["data"]["events"].as_array().unwrap()) {
        if event["subject"]["name"] == "alice" {
            let limit = serde_json::json!({"value": 3, "origin": "exception:alice", "exception": deviation});
            assert_eq!(event["limit"], limit, "{}", event["kind"]);
            seen += 1;
        } else {
            assert_eq!(event["limit"], serde_json::json!({"value": 2, "origin": "rule"}));
        }
    }
    assert_eq!(seen, 2, "its beginning and its end");
}

#[tokio::test]
async fn an_exception_ends_with_its_last_day() {
    let rules = format!(
        "{SHARED}[[exception]]\nuser = 'alice'\nlimit = 6\nreason = 'kiosk'\nowner = 'it'\nexpires = 2026-11-23\n"
    );
    let world = World::new(&people("3"), &rules).await;
    world.live(0..2).await;
    world.live(1439..1440).await;
    assert_eq!(world.told("soc"), "");
    world.live(1440..1441).await;
    assert_eq!(world.told("soc"), "fired shared alice");
    assert_eq!(world.events()[0].limit.as_ref().unwrap().origin, "rule");
}

#[tokio::test]
async fn a_failing_database_is_told_once_per_outage_and_nothing_committed_is_lost() {
    let mut world = World::new(&people("3 3 3 3 3 3 1 1"), SHARED).await;
    world.live(0..1).await;
    assert_eq!(world.told("soc"), "fired shared alice");
    let (file, aside) = (world.database(), world.dir.path("aside"));
    let mut ids = Vec::new();
    for outage in 0..2 {
        std::fs::rename(&file, &aside).unwrap();
        for n in [1, 2] {
            let lost = world.poll_of("shanghai", n + 2 * outage).await;
            let gone = |e: &StoreError| {
                matches!(e, StoreError::Gone { .. } | StoreError::Io { .. } | StoreError::Missing { .. })
            };
            assert!(lost.as_ref().is_err_and(gone), "{lost:?}");
            assert!(world.agent().tend_once(world.now()).await.is_err());
            assert!(world.agent().deliver_once(world.now()).await.is_err());
        }
        let posted = world.inboxes["soc"].take();
        assert_eq!(crate::world::story(&posted), "fired agent/storage agent");
        ids.push(posted[0].header("webhook-id").to_owned());
        std::fs::rename(&aside, &file).unwrap();
        world.live(5 + outage..6 + outage).await;
        let posted = world.inboxes["soc"].take();
        let told = crate::world::story(&posted);
        assert!(told.contains("ended agent/storage agent"), "{told}");
        let ended = posted.iter().find(|p| body(p)["data"]["rule"] == "agent/storage").unwrap();
        ids.push(ended.header("webhook-id").to_owned());
        world.restart().await;
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "each outage has ids of its own");
    let shared: Vec<_> = world.events().into_iter().filter(|e| e.rule == "shared").map(|e| e.kind).collect();
    assert_eq!(shared, [EventKind::Fired, EventKind::Ended]);
}

#[tokio::test]
async fn an_attempt_whose_end_could_not_be_written_is_not_stuck() {
    let world = World::new(&people("3 3 1"), SHARED).await;
    world.poll(0).await;
    world.inboxes["soc"].answers(0);
    let (file, aside) = (world.database(), world.dir.path("aside"));
    let cut = async {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(4);
        while world.inboxes["soc"].all().is_empty() && std::time::Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        std::fs::rename(&file, &aside).unwrap();
    };
    let (delivered, ()) = tokio::join!(world.agent().deliver_once(world.now()), cut);
    assert!(delivered.is_err(), "{delivered:?}");
    std::fs::rename(&aside, &file).unwrap();
    world.inboxes["soc"].answers(200);
    world.set(minute(70));
    world.deliver().await;
    let posted = world.inboxes["soc"].take();
    assert_eq!(crate::world::story(&posted), "fired shared alice\nfired shared alice");
    assert_eq!(posted[0].body, posted[1].body);
}

/// A receiver that took a message is not sent it again because the agent was stopped before that was written down, or
/// while the database failed.
#[tokio::test]
async fn what_was_taken_is_known_at_a_stop_too() {
    for fails in [true, false] {
        let mut world = World::new(&people("3 3 1"), SHARED).await;
        world.poll(0).await;
        answered_but_not_written(&world, fails).await;
        world.agent().end_attempts(world.now()).await.unwrap();
        world.restart().await;
        world.set(minute(70));
        world.deliver().await;
        assert_eq!(world.told("soc"), "fired shared alice", "the database fails: {fails}");
        assert_eq!(world.outbox(false).len(), 0);
    }
}

/// Breaks a delivery off after its answer: because the database fails, or, while another program keeps the database, as
/// a stop does.
async fn answered_but_not_written(world: &World, fails: bool) {
    let (log, inbox) = (Log::hear(), &world.inboxes["soc"]);
    let (file, aside) = (world.database(), world.dir.path("aside"));
    let other = rusqlite::Connection::open(&file).unwrap();
    inbox.answers(HELD);
    let until = async |holds: &dyn Fn() -> bool| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(4);
        while !holds() {
            assert!(std::time::Instant::now() < deadline, "not within 4 s");
            tokio::task::yield_now().await;
        }
    };
    let stop = async {
        until(&|| inbox.count() == 1).await;
        match fails {
            true => std::fs::rename(&file, &aside).unwrap(),
            false => other.execute_batch("BEGIN IMMEDIATE").unwrap(),
        }
        inbox.answers(200);
        until(&|| !log.take("delivered").is_empty()).await;
        if fails {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        delivered = world.agent().deliver_once(world.now()) => assert!(delivered.is_err() && fails, "{delivered:?}"),
        () = stop => {}
    }
    match fails {
        true => std::fs::rename(&aside, &file).unwrap(),
        false => other.execute_batch("ROLLBACK").unwrap(),
    }
}

#[tokio::test]
async fn who_tends_cuts_a_large_log_back_and_says_when_it_cannot() {
    let world = World::new(&people("3 3 1"), SHARED).await;
    world.poll(0).await;
    let wal = world.dir.path("seatwatch.db-wal");
    let grow = || std::fs::File::options().write(true).open(&wal).unwrap().set_len(1 << 30).unwrap();
    let log = Log::hear();
    grow();
    world.tend().await;
    assert!(std::fs::metadata(&wal).unwrap().len() < 1 << 20, "cut back");
    assert_eq!(log.take("the write-ahead log is large"), Vec::<String>::new());
    world.poll(1).await;
    let other = rusqlite::Connection::open(world.database()).unwrap();
    other.execute_batch("BEGIN").unwrap();
    let _: i64 = other.query_row("SELECT count(*) FROM poll", [], |row| row.get(0)).unwrap();
    world.poll(2).await;
    grow();
    for _ in 0..2 {
        world.tend().await;
    }
    assert_eq!(log.take("the write-ahead log is large").len(), 1, "once");
    drop(other);
    world.deliver().await;
    assert_eq!(world.told("soc"), "digest shared alice alice");
}

#[tokio::test]
async fn clock_jumps_neither_flood_nor_turn_time_back() {
    let world = World::new(&people("3 3 3 3"), &held(10)).await;
    let at = |n: i64| Span::from_mins(1000 + n);
    world.poll_by("shanghai", minute(0), at(0)).await.unwrap();
    world.poll_by("shanghai", minute(1), at(1)).await.unwrap();
    // The wall clock is set forward by a day and back again; a minute passes each time.
    world.poll_by("shanghai", minute(1440), at(2)).await.unwrap();
    world.deliver().await;
    assert_eq!(world.told("soc"), "fired agent/clock shanghai");
    world.agent().prune_once(minute(1440) + Span::from_days(3650)).await.unwrap();
    assert_eq!(world.reader().polls("shanghai", 1).unwrap().count(), 3, "a wrong clock takes nothing away");
    world.poll_by("shanghai", minute(3), at(3)).await.unwrap();
    world.poll_by("shanghai", minute(4), at(4)).await.unwrap();
    world.tend().await;
    world.deliver().await;
    assert_eq!(world.told("soc"), "ended agent/clock shanghai");
    for n in 5..10 {
        world.poll_by("shanghai", minute(n), at(n)).await.unwrap();
    }
    assert!(world.events().iter().all(|event| event.rule == "agent/clock"));
    world.poll_by("shanghai", minute(10), at(10)).await.unwrap();
    world.deliver().await;
    assert_eq!(world.told("soc"), "fired shared alice", "after ten minutes that passed");
    for poll in world.reader().polls("shanghai", 1).unwrap() {
        let poll = poll.unwrap();
        assert!(poll.elapsed >= Span::ZERO && poll.elapsed <= Span::from_mins(1), "{poll:?}");
    }
    assert!(world.events().iter().all(|event| event.blind >= Span::ZERO));
}

#[tokio::test]
async fn ten_thousand_at_once_are_a_few_messages() {
    let users: Vec<String> = (0..10_000).map(|n| format!("'u{n}'")).collect();
    let scenario: String = (0..10_000).map(|n| counts(&format!("u{n}"), "1 3")).collect();
    let rules = SHARED.replace("'alice', 'bob'", &users.join(", "));
    let world = World::new(&scenario, &rules).await;
    let first = world.poll(0).await;
    assert_eq!((first.outcome, first.events), (PollOutcome::Complete, 0));
    let second = world.poll(1).await;
    assert_eq!((second.outcome, second.events), (PollOutcome::Complete, 10_000));
    world.deliver().await;
    let posted = world.inboxes["soc"].take();
    assert!((1..=10).contains(&posted.len()), "{} messages", posted.len());
    let first = body(&posted[0]);
    let shown = first["data"]["events"].as_array().unwrap().len() as u64;
    assert_eq!(shown + first["data"]["more"].as_u64().unwrap(), 10_000);
    assert!(posted.iter().all(|p| p.body.len() < 20_000));
}

#[tokio::test]
async fn invariant_3_a_poll_that_cannot_be_committed_leaves_nothing() {
    let world = World::new(&people("1 3 3 1"), SHARED).await;
    world.live(0..1).await;
    let (file, aside) = (world.database(), world.dir.path("aside"));
    std::fs::rename(&file, &aside).unwrap();
    assert!(world.poll_of("shanghai", 1).await.is_err());
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(world.reader().last_poll("shanghai").unwrap().unwrap().seq, 1);
    assert!(world.events().is_empty() && world.outbox(true).is_empty());
    let next = world.poll(2).await;
    assert_eq!((next.seq, next.events), (2, 1));
    world.live(3..4).await;
    assert_eq!(world.events().iter().filter(|e| e.rule == "shared").count(), 2);
}

#[tokio::test]
async fn a_channel_that_comes_back_into_the_file_can_be_in_trouble_again() {
    let world = World::with_channels(&people("3"), SHARED, &["soc", "war"]).await;
    world.inboxes["soc"].answers(401);
    let mut told = String::new();
    for rules in [SHARED.to_owned(), format!("without soc\n{SHARED}"), SHARED.to_owned()] {
        assert!(world.reload(&rules).await);
        world.live(world.now().since(minute(0)).millis() / 60_000..3).await;
        world.set(world.now() + Span::from_mins(1));
        world.tend().await;
        world.deliver().await;
        told += &format!("{}\n", world.told("war"));
    }
    let about: Vec<&str> = told.lines().filter(|line| line.contains("agent/channel")).collect();
    let again = ["fired agent/channel soc", "ended agent/channel soc(left-scope)", "fired agent/channel soc"];
    assert_eq!(about, again, "{told}");
    world.leaves("a channel with wrong settings is told nothing");
}
