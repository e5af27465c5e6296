//! Channels in trouble for hours and days: what is told elsewhere, what waits, what arrives in the end, and how often.
//!
//! Neighbours: `world` has receivers and clock, `mail` and `webhook` the single answers. A part of its own because what
//! an outage does to alerts shows only over its whole length.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use seatwatch::engine::event::EventKind;
use seatwatch::engine::outcome::Act;
use seatwatch::engine::time::Span;
use seatwatch::store::{NotificationRow, OutboxSize, OutboxState};
use serde_json::Value;

use crate::support::hostile::Play::{self, HearLine};
use crate::support::hostile::{Hostile, say};
use crate::support::http::Posted;
use crate::support::logged::Log;
use crate::world::{World, body, counts, minute, story};

const SHARED: &str =
    "source shanghai 'alice', 'bob'\n[[rule]]\nname = 'shared'\nwhen = 'online > limit'\nlimit = 2\n";

fn people(alice: &str) -> String {
    counts("alice", alice) + &counts("bob", "1")
}

/// Everything that was taken with 200: each event once, by id, with its kind and episode in the order it was told.
fn told(world: &World, channel: &str) -> Vec<(String, String, String)> {
    let taken = world.inboxes[channel].all().into_iter().filter(|(_, status)| *status == 200);
    let mut seen = BTreeSet::new();
    let mut events = Vec::new();
    for (posted, _) in taken {
        for event in body(&posted)["data"]["events"].as_array().unwrap() {
            let word = |key: &str| event[key].as_str().unwrap().to_owned();
            assert!(seen.insert(word("id")), "{} was told twice", word("id"));
            events.push((word("id"), word("kind"), word("episode")));
        }
    }
    events
}

/// Delivers again and again, time going on by `step`, until nothing waits.
async fn drain(world: &World, step: Span) {
    for _ in 0..200 {
        if world.outbox(false).is_empty() {
            return;
        }
        world.deliver().await;
        world.set(world.now() + step);
    }
    panic!("left in the outbox: {:#?}", world.outbox(false));
}

#[tokio::test]
async fn what_is_given_up_is_told_on_the_other_channels() {
    let world = World::with_channels(&people("1 3 3 3 3 3"), SHARED, &["soc", "war"]).await;
    world.inboxes["soc"].answers(413);
    world.live(0..2).await;
    assert_eq!(world.told("war"), "fired shared alice");
    for n in [62, 124, 186] {
        world.set(minute(n));
        world.deliver().await;
        world.tend().await;
        world.deliver().await;
    }
    assert_eq!(world.told("war"), "fired agent/channel soc");
    let tries = world.inboxes["soc"].all();
    assert_eq!(tries.len(), 3, "three tries over an hour, all alike");
    assert!(tries.iter().all(|(posted, _)| posted.body == tries[0].0.body));
    let dead: Vec<_> = world.outbox(true).into_iter().filter(|row| row.state == OutboxState::Dead).collect();
    assert_eq!((dead.len(), dead[0].channel.as_str()), (1, "soc"));
    world.leaves("the dead row is the story");
}

/// A mail server that refuses soc@ and takes everybody else's mail.
fn refusing_one(_: usize) -> Vec<Play> {
    let take = |line: &'static str, reply: &'static str| [HearLine(line), say(reply)];
    let begin = [say("220 mail.test\r\n")];
    [
        &begin[..],
        &take("EHLO", "250 mail.test\r\n"),
        &take("MAIL FROM:", "250 ok\r\n"),
        &take("RCPT TO:<soc@", "550 nobody of that name\r\n"),
        &take("RCPT TO:<lead@", "250 ok\r\n"),
        &take("DATA", "354 go on\r\n"),
        &[Play::HearMail, say("250 queued\r\n")],
    ]
    .concat()
}

#[tokio::test]
async fn one_mailbox_that_is_refused_is_given_up_alone_and_told_elsewhere() {
    let server = Hostile::start(refusing_one).await;
    let mut world = World::idle(&people("1 3 3 3 3 3"), &["war"]);
    let mail = format!(
        "[[channel]]\nname = 'soc-mail'\nkind = 'email'\nserver = '127.0.0.1'\nport = {}\ntls = 'none'\n\
         timeout = '5s'\nfrom = 'alerts@example.com'\nto = ['soc@example.com', 'lead@example.com']\n",
        server.port
    );
    world.write(&format!("{SHARED}notify = ['soc-mail', 'war']\n{mail}"));
    world.start().await;
    world.live(0..2).await;
    for n in [62, 124, 186] {
        world.set(minute(n));
        world.deliver().await;
        world.tend().await;
        world.deliver().await;
    }
    assert_eq!(world.told("war"), "fired shared alice\nfired agent/channel soc-mail");
    let row = world.outbox(true).into_iter().find(|row| row.channel == "soc-mail").unwrap();
    assert_eq!(row.state, OutboxState::Dead);
    let (_, attempts) = world.reader().notification(&row.id).unwrap();
    let note = attempts[0].note.as_deref().unwrap();
    assert!(note.contains("soc@example.com refused") && note.contains("taken for 1 of 2"), "{note}");
    let heard = server.heard();
    let asked = |who: &str| heard.iter().filter(|line| line.starts_with(&format!("RCPT TO:<{who}@"))).count();
    assert_eq!((asked("lead"), asked("soc")), (1, 3), "who has the mail is not asked again");
    world.leaves("the dead row is the story");
}

/// A mail server that is too busy for soc@, and takes everybody else's mail: the first mail is for both, the third
/// for lead@ alone, and the others are tries for soc@.
fn busy_for_one(connection: usize) -> Vec<Play> {
    let mut plays = vec![say("220 mail.test\r\n")];
    let mut take = |line: &'static str, reply: &'static str| plays.extend([HearLine(line), say(reply)]);
    take("EHLO", "250 mail.test\r\n");
    take("MAIL FROM:", "250 ok\r\n");
    if connection == 0 || connection == 2 {
        take("RCPT TO:<lead@", "250 ok\r\n");
    }
    if connection != 2 {
        take("RCPT TO:<soc@", "450 busy\r\n");
    }
    if connection == 0 || connection == 2 {
        take("DATA", "354 go on\r\n");
        plays.extend([Play::HearMail, say("250 queued\r\n")]);
    }
    plays
}

#[tokio::test]
async fn one_mailbox_that_is_busy_holds_nothing_back_from_the_others() {
    let server = Hostile::start(busy_for_one).await;
    let mut world = World::idle(&people("1 3 1 1 1"), &["war"]);
    let mail = format!(
        "[[channel]]\nname = 'soc-mail'\nkind = 'email'\nserver = '127.0.0.1'\nport = {}\ntls = 'none'\n\
         timeout = '5s'\nfrom = 'alerts@example.com'\nto = ['lead@example.com', 'soc@example.com']\n",
        server.port
    );
    world.write(&format!("{SHARED}notify = ['soc-mail', 'war']\n{mail}"));
    world.start().await;
    world.live(0..4).await;
    let heard = server.heard();
    let asked = |who: &str| heard.iter().filter(|line| line.starts_with(&format!("RCPT TO:<{who}@"))).count();
    assert_eq!(asked("lead"), 2, "the beginning and the end, each within its minute: {heard:#?}");
    assert!(asked("soc") >= 2, "{heard:#?}");
    let rows: Vec<_> = world.outbox(false).into_iter().map(|row| (row.channel, row.told)).collect();
    assert_eq!(rows, [("soc-mail".to_owned(), true), ("soc-mail".to_owned(), true)]);
    let (first, last) = (world.outbox(false).remove(0), world.outbox(false).remove(1));
    assert_eq!((&first.behind, last.behind.as_ref().map(|row| &row.id)), (&None, Some(&first.id)));
    for command in ["outbox list".to_owned(), format!("outbox show {}", last.id)] {
        let (said, waits) = (world.says(&command), format!("waits for {}", &first.id[..14]));
        assert!(said.contains(&waits) && said.contains("not yet taken by soc@example.com"), "{said}");
    }
    let before = asked("soc");
    assert_eq!(world.act(Act::Retry { notification: last.id }).await, (true, "it is due now".to_owned()));
    world.deliver().await;
    let tried = server.heard().iter().filter(|line| line.starts_with("RCPT TO:<soc@")).count();
    assert_eq!(tried, before + 1, "what it waits for is tried at once");
    for n in [40, 50] {
        world.set(minute(n));
        world.deliver().await;
        world.tend().await;
    }
    world.deliver().await;
    assert_eq!(world.told("war"), "fired shared alice\nended shared alice", "the channel is not down");
    world.leaves("soc never takes anything");
}

#[tokio::test]
async fn a_channel_that_is_down_for_half_an_hour_is_told_elsewhere() {
    let world = World::with_channels(&people("1 3"), SHARED, &["soc", "war"]).await;
    world.inboxes["soc"].answers(503);
    world.live(0..2).await;
    let pass = async |n| {
        world.set(minute(n));
        world.deliver().await;
        world.tend().await;
        world.deliver().await;
    };
    for n in [10, 20, 30] {
        pass(n).await;
    }
    assert_eq!(world.told("war"), "fired shared alice", "not yet");
    pass(32).await;
    assert_eq!(world.told("war"), "fired agent/channel soc");
    world.inboxes["soc"].answers(200);
    pass(95).await;
    assert_eq!(world.told("war"), "ended agent/channel soc");
}

#[tokio::test]
async fn a_channel_that_hangs_delays_no_other() {
    let world = World::with_channels(&people("3 3"), SHARED, &["soc", "war"]).await;
    world.inboxes["soc"].answers(0);
    world.poll(0).await;
    let began = std::time::Instant::now();
    let heard = async {
        while world.inboxes["war"].all().is_empty() || world.inboxes["soc"].all().is_empty() {
            assert!(began.elapsed().as_secs() < 20);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = world.agent().deliver_once(world.now()) => panic!("soc answered"),
        () = heard => assert!(began.elapsed().as_secs() < 4, "{:?}, while soc has 5 s", began.elapsed()),
    }
    world.leaves("the send that hangs is cut off here");
}

#[tokio::test]
async fn a_channel_that_is_down_for_three_days_is_told_everything_in_the_end() {
    let rules = SHARED.replace("'alice', 'bob'", "'alice', 'bob' every 0 * * * *") + "max_gap = '6h'\n";
    // An hour is a step of the scenario here.
    let hours = |user: &str, timeline: &str| counts(user, timeline).replace("m\",", "h\",");
    let flapping = ["1", "3", "3", "1", "4"].repeat(15).join(" ");
    let world = World::new(&(hours("alice", &flapping) + &hours("bob", "1 1 1 5 1")), &rules).await;
    world.inboxes["soc"].answers(503);
    for n in 0..74 {
        world.poll(n * 60).await;
        world.tend().await;
        world.deliver().await;
    }
    assert!(told(&world, "soc").is_empty());
    assert!(world.outbox(true).iter().all(|row| row.state != OutboxState::Dead), "three days are borne");
    let waiting = world.outbox(false);
    // Five were tried to find out, and their ends wait behind them; five more may stand alone.
    assert!(waiting.len() <= 16, "{} rows: what nobody was told of yet is folded meanwhile", waiting.len());
    world.inboxes["soc"].answers(200);
    world.set(minute(74 * 60));
    drain(&world, Span::from_mins(20)).await;
    let told = told(&world, "soc");
    let mut open: BTreeMap<&str, &str> = BTreeMap::new();
    for (_, kind, episode) in &told {
        let before = open.insert(episode, kind);
        match kind.as_str() {
            "fired" => assert_eq!(before, None, "{episode}"),
            "ended" => assert_eq!(before, Some("fired"), "{episode}: an end comes after its beginning"),
            other => panic!("{other}"),
        }
    }
    // A body shows the first of many; the rest is counted in it.
    let more: u64 = world.inboxes["soc"]
        .all()
        .iter()
        .filter(|(_, status)| *status == 200)
        .map(|(posted, _)| body(posted)["data"]["more"].as_u64().unwrap())
        .sum();
    let all = world.events().into_iter().filter(|event| event.rule == "shared").count();
    assert_eq!(told.len() as u64 + more, all as u64, "nothing is lost");
    let digest =
        world.inboxes["soc"].all().into_iter().rev().find(|(p, s)| *s == 200 && is_digest(p)).unwrap().0;
    let first = &body(&digest)["data"]["events"][0]["at"];
    assert!(first.as_str().unwrap() < "2026-11-24", "the oldest first, with its time: {first}");
}

fn is_digest(posted: &Posted) -> bool {
    body(posted)["data"]["events"].as_array().unwrap().len() > 5
}

#[tokio::test]
async fn with_every_channel_down_all_is_kept_and_shown() {
    let world = World::with_channels(&people("1 3 3 1 1"), SHARED, &["soc", "war"]).await;
    world.inboxes["soc"].answers(401);
    world.inboxes["war"].answers(410);
    let log = Log::hear();
    let unheard = |log: &Log| log.take("no channel takes anything").len();
    world.live(0..5).await;
    assert_eq!(unheard(&log), 1);
    let mut shown: Vec<_> = world
        .reader()
        .episodes(&Default::default())
        .unwrap()
        .into_iter()
        .map(|row| format!("{} {}", row.rule, row.subject.name))
        .collect();
    shown.sort();
    assert_eq!(shown, ["agent/channel soc", "agent/channel war"], "`alerts list` shows who is not told");
    let waiting = world.outbox(false);
    assert!(waiting.iter().any(|row| row.state == OutboxState::Waiting && row.channel == "war"));
    assert!(waiting.iter().any(|row| row.last_error.is_some() && row.channel == "soc"));
    for (words, row) in [
        ("alerts list", [&["agent/channel", "soc"][..], &["agent/channel", "war"]]),
        ("outbox list", [&["soc", "pending"], &["war", "waiting"]]),
    ] {
        let said = world.says(words);
        let has = |row: &[&str]| said.lines().any(|line| row.iter().all(|word| line.contains(word)));
        assert!(row.into_iter().all(has), "{words}: {said}");
    }
    let mut said = Vec::new();
    for n in 5..200 {
        world.set(minute(n));
        world.deliver().await;
        world.tend().await;
        said.extend(vec![n; unheard(&log)]);
    }
    let apart: Vec<i64> = said.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(apart, [60, 60], "at {said:?}");
    for inbox in world.inboxes.values() {
        inbox.answers(200);
    }
    assert!(world.reload(SHARED).await);
    for n in 200..235 {
        world.set(minute(n));
        world.deliver().await;
        world.tend().await;
    }
    for n in 235..400 {
        world.set(minute(n));
        world.tend().await;
    }
    assert_eq!(unheard(&log), 0, "somebody hears again");
    for channel in ["soc", "war"] {
        let kinds: Vec<_> =
            told(&world, channel).into_iter().map(|(_, kind, episode)| (episode, kind)).collect();
        let shared: Vec<_> = world.events().into_iter().filter(|e| e.rule == "shared").collect();
        for event in shared {
            let kind = format!("{:?}", event.kind).to_lowercase();
            assert!(
                kinds.contains(&(event.episode.to_string(), kind.clone())),
                "{channel}: {kind} {}",
                event.episode
            );
        }
    }
}

#[tokio::test]
async fn an_outbox_over_its_limit_is_folded_and_loses_no_beginning() {
    let mut rules = String::from("source shanghai 'alice', 'bob'\n");
    for n in 0..5 {
        rules += &format!("[[rule]]\nname = 'r{n}'\nwhen = 'online > {}'\n", n + 2);
    }
    let world = World::new(&people(&["9", "1"].repeat(40).join(" ")), &rules).await;
    // Nobody delivers: the channel is paused, say.
    for n in 0..70 {
        world.poll(n).await;
    }
    let before = world.outbox(false);
    assert_eq!(before.len(), 350);
    let (now, most) = (world.now(), OutboxSize { rows: 100, bytes: OutboxSize::MOST.bytes });
    assert_eq!((OutboxSize::MOST.rows, OutboxSize::MOST.bytes), (100_000, 256 * 1024 * 1024));
    let log = Log::hear();
    let over = |log: &Log| log.take("the outbox was over its limit");
    assert!(!world.agent().relieve(OutboxSize::MOST, now).await.unwrap());
    assert_eq!(world.outbox(false).len(), 350, "below the limit nothing is touched");
    assert_eq!(over(&log), Vec::<String>::new());
    assert!(world.agent().relieve(most, now).await.unwrap());
    let left = world.outbox(false);
    let said = over(&log);
    assert_eq!(said.len(), 1, "{said:?}");
    let numbers = format!("rows_left={}", left.len());
    assert!(said[0].starts_with("ERROR") && said[0].contains("rows=350"), "{said:?}");
    assert!(said[0].contains(&numbers) && said[0].contains("nothing is dropped"), "{said:?}");
    assert!(left.len() <= 10, "{} rows", left.len());
    let said: BTreeSet<&String> = left.iter().flat_map(|row| &row.events).collect();
    let all = world.events();
    assert_eq!(all.iter().filter(|event| event.kind == EventKind::Fired).count(), 175);
    assert!(all.iter().all(|event| said.contains(&event.id)), "every event is still to be told");
    let bytes = OutboxSize { rows: OutboxSize::MOST.rows, bytes: 1 };
    assert!(world.agent().relieve(bytes, now).await.unwrap());
    assert_eq!(over(&log).len(), 1, "each time");
    drain(&world, Span::from_mins(1)).await;
    let posted = world.inboxes["soc"].take();
    assert!(posted.len() <= 10, "{}", story(&posted));
}

/// The same where nobody calls for it: a receiver is gone, what waits for it grows beyond what the disk is to hold, and
/// the agent goes on with its rounds.
#[tokio::test]
async fn an_agent_whose_outbox_is_over_its_limit_folds_it_in_its_rounds() {
    let world =
        World::with_channels(&people(&["9", "1"].repeat(40).join(" ")), SHARED, &["soc", "war"]).await;
    world.inboxes["soc"].answers(410);
    world.live(0..1).await;
    for n in 1..60 {
        world.poll(n).await;
        world.tend().await;
    }
    let waiting = || world.outbox(false).into_iter().filter(|row| row.channel == "soc").count();
    assert_eq!(waiting(), 60, "below its limit nothing is touched");
    let log = Log::hear();
    // Sixty mails of five megabytes each.
    let most = OutboxSize::MOST.bytes.cast_signed();
    let grow = |bytes: i64| {
        let other = rusqlite::Connection::open(world.database()).unwrap();
        let rows = i64::try_from(world.outbox(false).len()).unwrap();
        let each = "UPDATE notification SET bytes = ?1 WHERE state IN ('pending', 'waiting')";
        other.execute(each, [bytes / rows]).unwrap();
        let rest = "UPDATE notification SET bytes = bytes + ?1 WHERE no = (SELECT max(no) FROM notification)";
        other.execute(rest, [bytes % rows]).unwrap();
    };
    grow(most);
    world.tend().await;
    assert_eq!((waiting(), log.take("over its limit")), (60, Vec::new()), "full, and not over");
    grow(most + 1);
    world.tend().await;
    let said = log.take("the outbox was over its limit");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains(&format!("bytes={}", most + 1)) && said[0].contains("nothing is dropped"),
        "{said:?}"
    );
    let left = world.outbox(false);
    assert!(left.iter().filter(|row| row.channel == "war").count() == 1, "{left:#?}");
    assert!((1..=3).contains(&waiting()), "{left:#?}");
    world.tend().await;
    assert_eq!(log.take("the outbox was over its limit"), Vec::<String>::new(), "it is below it again");
    // The receiver is back, and hears of every beginning and every end, once.
    world.inboxes["soc"].answers(200);
    assert!(world.reload(SHARED).await);
    drain(&world, Span::from_mins(1)).await;
    let shared: BTreeSet<String> =
        world.events().into_iter().filter(|event| event.rule == "shared").map(|event| event.id).collect();
    assert_eq!(shared.len(), 60);
    for channel in ["soc", "war"] {
        let of = |row: &NotificationRow| row.channel == channel && row.state == OutboxState::Sent;
        let sent: Vec<String> =
            world.outbox(true).into_iter().filter(of).flat_map(|row| row.events).collect();
        let times = |event: &String| sent.iter().filter(|one| *one == event).count();
        assert!(shared.iter().all(|event| times(event) == 1), "{channel}: {shared:?} in {sent:?}");
        // A body has room for so many; the rest are counted.
        let bodies = world.inboxes[channel].all().into_iter().filter(|(_, status)| *status == 200);
        let said = bodies.map(|(posted, _)| {
            let body = body(&posted);
            body["data"]["events"].as_array().unwrap().len() as u64 + body["data"]["more"].as_u64().unwrap()
        });
        assert_eq!(said.sum::<u64>(), sent.len() as u64, "{channel}");
    }
}

#[tokio::test]
async fn the_outbox_says_when_a_row_is_really_tried() {
    let world = World::new(&people("3"), SHARED).await;
    world.inboxes["soc"].answers(500);
    world.poll(0).await;
    world.deliver().await;
    assert_eq!(world.inboxes["soc"].take().len(), 1);
    for _ in 0..6 {
        let next = world.outbox(false)[0].next_attempt_at;
        assert!(next > world.now() && next.since(world.now()) <= Span::from_hours(1) + Span::from_secs(5));
        for (at, tries) in [(next - Span::from_millis(1), 0), (next, 1)] {
            world.set(at);
            world.deliver().await;
            assert_eq!(world.inboxes["soc"].take().len(), tries, "at {at}, next attempt {next}");
        }
    }
    assert!(world.reload(SHARED).await);
    world.deliver().await;
    assert_eq!(world.inboxes["soc"].take().len(), 1, "whoever reloads may have mended it");
    world.leaves("it never arrives here");
}

#[tokio::test]
async fn a_digest_does_not_tell_the_end_of_what_was_never_told() {
    let mut rules =
        String::from("source shanghai 'alice', 'bob'\n[[rule]]\nname = 'r0'\nwhen = 'online == 3'\n");
    for n in 1..6 {
        rules += &format!("[[rule]]\nname = 'r{n}'\nwhen = 'online > {}'\n", n + 3);
    }
    let world = World::new(&people("1 3 9 1"), &rules).await;
    world.inboxes["soc"].answers(500);
    world.live(0..2).await;
    let notification = world.outbox(true)[0].id.clone();
    assert!(world.act(Act::Drop { notification }).await.0);
    world.inboxes["soc"].answers(200);
    world.inboxes["soc"].take();
    for n in 2..4 {
        world.poll(n).await;
        world.deliver().await;
        world.set(minute(n) + Span::from_secs(30));
        world.deliver().await;
    }
    let events = world.events();
    let never: Vec<_> = events.iter().filter(|event| event.rule == "r0").map(|event| &event.id).collect();
    assert_eq!((never.len(), events.len()), (2, 12));
    let told = told(&world, "soc");
    assert_eq!(told.len(), 10, "five beginnings and five ends: {told:?}");
    assert!(told.iter().all(|(id, ..)| !never.contains(&id)), "{told:?}");
    world.leaves("the dead row is the story");
}

fn signed_by(posted: &Posted, key: &[u8]) -> bool {
    let signed = format!("{}.{}.", posted.header("webhook-id"), posted.header("webhook-timestamp"));
    let expect = crate::webhook::hmac(key, &[signed.as_bytes(), &posted.body].concat());
    posted.header("webhook-signature").split(' ').any(|one| one == format!("v1,{expect}"))
}

#[tokio::test]
async fn a_secret_that_changes_while_a_message_waits_signs_the_next_attempt() {
    let (old, new) = ([3_u8; 32], [4_u8; 32]);
    let secret = |key: &[u8]| format!("whsec_{}", BASE64_STANDARD.encode(key));
    let mut world = World::idle(&people("3"), &["soc"]);
    world.dir.secret("old", &secret(&old));
    world.dir.secret("new", &secret(&new));
    let rules = |secrets: &str| {
        let port = world.inboxes["soc"].port;
        format!(
            "{SHARED}notify = ['signed']\n[[channel]]\nname = 'signed'\nkind = 'webhook'\n\
             url = 'http://127.0.0.1:{port}/'\nallow_private = true\nsecret = {secrets}\n"
        )
    };
    let (first, both, second) =
        (rules("{ file = 'old' }"), rules("[{ file = 'new' }, { file = 'old' }]"), rules("{ file = 'new' }"));
    world.write(&first);
    world.start().await;
    world.inboxes["soc"].answers(500);
    world.poll(0).await;
    world.deliver().await;
    for (n, rules) in [(10, both), (30, second)] {
        assert!(world.reload(&rules).await);
        world.set(minute(n));
        world.deliver().await;
    }
    let posted = world.inboxes["soc"].take();
    assert_eq!(posted.len(), 3);
    let by = |at: usize| (signed_by(&posted[at], &old), signed_by(&posted[at], &new));
    assert_eq!([by(0), by(1), by(2)], [(true, false), (true, true), (false, true)]);
    assert!(posted.iter().all(|p| p.body == posted[0].body));
    assert!(posted.iter().all(|p| p.header("webhook-id") == posted[0].header("webhook-id")));
    world.leaves("it never arrives here");
}

#[tokio::test]
async fn a_restart_with_a_thousand_alerts_tells_nothing_again() {
    let users: Vec<String> = (0..1000).map(|n| format!("'u{n}'")).collect();
    let scenario: String = (0..1000).map(|n| counts(&format!("u{n}"), "3")).collect();
    let rules = SHARED.replace("'alice', 'bob'", &users.join(", "));
    let mut world = World::new(&scenario, &rules).await;
    assert_eq!(world.poll(0).await.events, 1000);
    world.deliver().await;
    assert!(world.told("soc").starts_with("fired shared u0 "));
    for n in 1..4 {
        world.restart().await;
        world.tend().await;
        assert_eq!(world.poll(n).await.events, 0);
        world.tend().await;
        world.deliver().await;
        assert_eq!(world.told("soc"), "");
    }
    let firing = world.reader().episodes(&Default::default()).unwrap();
    assert_eq!(firing.len(), 1000);
}

#[tokio::test]
async fn a_clock_set_back_keeps_no_retry_waiting_longer_than_an_hour() {
    let world = World::new(&people("3"), SHARED).await;
    world.inboxes["soc"].answers(500);
    world.poll(0).await;
    world.deliver().await;
    for n in [5, 20, 60, 120] {
        world.set(minute(n));
        world.deliver().await;
    }
    let tries = world.inboxes["soc"].take().len();
    assert!(tries >= 3, "{tries}");
    world.inboxes["soc"].answers(200);
    // The clock was an hour and more ahead, and is put right.
    for n in [-60, -30, 0, 1] {
        world.set(minute(n));
        world.deliver().await;
    }
    let arrived: Vec<Value> = world.inboxes["soc"].take().iter().map(body).collect();
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0]["type"], "alert.fired");
}
