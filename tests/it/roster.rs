//! The instance's own list of users: who appears on it, who leaves it, and what is done when it does not come whole.
//!
//! Neighbours: `world` has agent and emulator; the emulator's people are the population and those of the scenario. A
//! part of its own because membership here changes while polls go on. A refresh takes effect with the poll after it.

use seatwatch::aliyun::client::Deadline;
use seatwatch::aliyun::sign::Pairs;
use seatwatch::aliyun::wire::Malformed;
use seatwatch::config::Config;
use seatwatch::engine::reading::{Kind, PollOutcome};
use seatwatch::engine::time::Span;
use seatwatch::source::Source;
use serde_json::Value;

use crate::world::{World, counts, fault, minute};

/// Everybody on the roster is asked about; the rule looks at those of the scenario.
const ROSTER: &str = "source shanghai \nroster = true\nroster_refresh = '1m'\n[[rule]]\nname = 'shared'\n\
    when = 'online > 2'\nusers = ['alice', 'bob', 'carol']\n";

fn refused(from: u32, minutes: u32) -> String {
    fault(
        from,
        minutes,
        "kind = 'error'\ncode = 'Forbidden.RAM'\nactions = ['DescribeSmartAccessGatewayClientUsers']",
    )
}

#[tokio::test]
async fn who_joins_is_watched_and_who_leaves_is_let_go() {
    let alice = counts("alice", "1 1 1 1 5 5 5 5 5 5 5") + "leaves = '7m'\n";
    let bob = counts("bob", "0 0 0 3 3 3 3 3 3 3 1") + "joins = '3m'\n";
    let world = World::new(&(alice + &bob), ROSTER).await;
    for n in 0..12 {
        let polled = world.poll(n).await;
        assert_eq!(polled.outcome, PollOutcome::Complete, "minute {n}");
        world.tend().await;
        world.deliver().await;
        let expect = match n {
            4 => "fired shared alice bob",
            8 => "ended shared alice(left-scope)",
            10 => "ended shared bob",
            _ => "",
        };
        assert_eq!(world.told("soc"), expect, "minute {n}");
    }
    let loaded = world.reader().load_source("shanghai").unwrap();
    let slot = loaded.names.slot("alice").unwrap() as usize;
    assert_eq!(loaded.column[slot].kind(), Kind::NotPolled, "she left, and keeps her slot");
    assert!(loaded.names.len() > 200, "the population is on the roster as well");
}

#[tokio::test]
async fn a_listed_user_stays_though_the_roster_drops_it() {
    let scenario = counts("alice", "3 3 3 3 3 3") + "leaves = '2m'\n";
    let rules = ROSTER.replace("shanghai ", "shanghai 'alice'")
        + "[[rule]]\nname = 'gone'\nwhen = 'not known or not enabled'\nusers = ['alice']\n";
    let world = World::new(&scenario, &rules).await;
    world.live(0..4).await;
    assert_eq!(world.told("soc"), "fired shared alice\nfired gone alice", "held while absent, and told of");
    world.live(4..6).await;
    assert_eq!(world.told("soc"), "fired agent/user-absent shanghai");
}

#[tokio::test]
async fn the_last_whole_roster_outlives_restarts_and_refusals() {
    let scenario = counts("alice", "1 1 1 1 1 5") + &refused(1, 60);
    let mut world = World::new(&scenario, ROSTER).await;
    world.live(0..3).await;
    world.restart().await;
    world.live(3..6).await;
    assert_eq!(world.told("soc"), "fired shared alice");
    let rules = ROSTER.replace("'carol'", "'carol', 'dora'");
    assert!(world.reload(&rules).await);
    assert_eq!(world.poll(6).await.outcome, PollOutcome::Complete);
    world.tend().await;
    world.deliver().await;
    assert_eq!(world.told("soc"), "changed shared alice");
}

#[tokio::test]
async fn without_a_first_roster_polls_fail_and_say_why() {
    let scenario = counts("alice", "5 5 5 5 5 5") + &refused(0, 3);
    let world = World::new(&scenario, ROSTER).await;
    for n in 0..3 {
        assert_eq!(world.poll(n).await.outcome, PollOutcome::Failed, "minute {n}");
        world.tend().await;
        world.deliver().await;
    }
    let told = world.told("soc");
    assert!(told.contains("fired agent/credentials shanghai"), "{told}");
    assert!(told.contains("fired agent/source-silent shanghai"), "{told}");
    world.live(3..4).await;
    let told = world.told("soc");
    assert!(told.contains("fired shared alice") && told.contains("ended agent/source-silent"), "{told}");
}

#[tokio::test]
async fn totals_go_on_over_new_members_and_restarts() {
    let alice = counts("alice", "1 2 2 2 2 2 2 2");
    let bob = counts("bob", "0 0 0 0 4 4 4 0") + "joins = '2m'\n";
    let rules = "source shanghai \nroster = true\nroster_refresh = '1m'\n[[rule]]\nname = 'busy'\nper = 'source'\n\
        when = 'peak(10m) >= 2 and total > 5 and members == 2'\nclear_when = 'total <= 5'\nusers = ['alice', 'bob']\n";
    for restart in [None, Some(2), Some(4), Some(5)] {
        let mut world = World::new(&format!("{alice}{bob}"), rules).await;
        for n in 0..8 {
            world.live(n..n + 1).await;
            if restart == Some(n) {
                world.restart().await;
            }
            let expect = match n {
                4 => "fired busy shanghai",
                7 => "ended busy shanghai",
                _ => "",
            };
            assert_eq!(world.told("soc"), expect, "minute {n}, restarted at {restart:?}");
        }
    }
}

#[tokio::test]
async fn commands_list_who_is_on_the_roster() {
    let world = World::new(&counts("alice", "3 3"), ROSTER).await;
    world.live(0..1).await;
    let rules = world.rules_file();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_seatwatch"));
    let ran = command.arg("-c").arg(rules).args(["users", "--user", "alice", "--json"]).output().unwrap();
    let users: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let alice = &users[0];
    assert_eq!((alice["user"].as_str(), alice["online"].as_u64()), (Some("alice"), Some(3)), "{users}");
    assert_eq!(alice["rules"], serde_json::json!(["shared"]));
    world.inboxes["soc"].take();
}

/// The source of the world's rules file, to be asked by hand.
fn source(world: &World) -> Source {
    let config = Config::load(&world.rules_file(), minute(0)).unwrap();
    let settings = &config.sources[0];
    let wanted = [(&settings.settings, settings.account.as_deref())];
    Source::open_all(&wanted, &config.accounts).remove(0).unwrap()
}

/// Calls an action about the instance; the reply, or the code of the refusal.
async fn call(source: &Source, action: &str, more: &[(&str, &str)]) -> Result<Value, String> {
    let Source::AliyunSag(sag) = source else { unreachable!("the file has no other kind") };
    let mut params: Pairs = sag.params();
    for (name, value) in more {
        params.retain(|(known, _)| known != name);
        params.push(((*name).to_owned(), (*value).to_owned()));
    }
    let deadline = Deadline::new(minute(0), Span::from_secs(5));
    let read = |body: &[u8]| serde_json::from_slice(body).map_err(|e| Malformed(e.to_string()));
    let called = sag.client().call(action, &params, &deadline, read).await;
    called.result.map(|reply| reply.value).map_err(|fault| fault.code)
}

#[tokio::test]
async fn pages_and_filters_are_the_vendors() {
    let world = World::new(&counts("张伟", "1"), ROSTER).await;
    let source = source(&world);
    let users = "DescribeSmartAccessGatewayClientUsers";
    let page = call(&source, users, &[("PageNumber", "21"), ("PageSize", "10")]).await.unwrap();
    let list = page["Users"]["User"].as_array().unwrap();
    assert_eq!(
        (page["TotalCount"].as_u64(), page["PageNumber"].as_u64(), list.len()),
        (Some(202), Some(21), 2)
    );
    let one = call(&source, users, &[("UserName", "张伟")]).await.unwrap();
    assert_eq!((one["TotalCount"].as_u64(), &one["Users"]["User"][0]["State"]), (Some(1), &Value::from(0)));
    for (param, value, code) in [
        ("PageSize", "0", "InvalidParameter.PageSize"),
        ("PageSize", "101", "InvalidParameter.PageSize"),
        ("PageNumber", "x", "InvalidParameter.PageNumber"),
        ("SmartAGId", "", "SAG.InstanceIdEmpty"),
        ("SmartAGId", "sag-other", "SAG.InstanceNoFound"),
    ] {
        assert_eq!(call(&source, users, &[(param, value)]).await, Err(code.to_owned()), "{param}={value}");
    }
    let roster = source.roster(minute(0), Span::from_secs(5)).await.unwrap();
    assert_eq!(roster.users.len(), 202);
    assert!(roster.users.iter().any(|(name, enabled)| &**name == "张伟" && *enabled == Some(true)));
}

#[tokio::test]
async fn what_is_done_to_a_user_is_seen_by_every_action() {
    let world = World::new(&counts("alice", "3"), ROSTER).await;
    let source = source(&world);
    world.set(minute(1));
    let online = async || -> (u64, usize, u64) {
        let by_name = call(&source, "DescribeUserOnlineClientStatistics", &[("UserNames.1", "alice")]).await;
        let count =
            by_name.unwrap()["UserStatistics"]["Statistics"][0]["OnlineCount"].as_str().unwrap().to_owned();
        let listed = source.clients("alice", minute(1), Span::from_secs(5)).await.unwrap().len();
        let users = call(&source, "DescribeSmartAccessGatewayClientUsers", &[("UserName", "alice")]).await;
        (count.parse().unwrap(), listed, users.unwrap()["Users"]["User"][0]["State"].as_u64().unwrap())
    };
    let total = async || source.total(minute(1), Span::from_secs(5)).await.unwrap();
    let before = total().await;
    assert_eq!(online().await, (3, 3, 0));
    call(&source, "DisableSmartAccessGatewayUser", &[("UserName", "alice")]).await.unwrap();
    assert_eq!((online().await, total().await), ((0, 0, 1), before - 3));
    call(&source, "EnableSmartAccessGatewayUser", &[("UserName", "alice")]).await.unwrap();
    assert_eq!((online().await, total().await), ((3, 3, 0), before));
    call(&source, "KickOutClients", &[("Username", "alice")]).await.unwrap();
    assert_eq!((online().await, total().await), ((0, 0, 0), before - 3));
    call(&source, "KickOutClients", &[("Username", "nobody")]).await.unwrap();
    assert_eq!(total().await, before - 3, "who has no account changes nothing");
    for (action, param, code) in [
        ("KickOutClients", ("Username", ""), "ClientUser.NameEmpty"),
        ("KickOutClients", ("SmartAGId", "other"), "SAG.InstanceNoFound"),
        ("DisableSmartAccessGatewayUser", ("UserName", ""), "MissingParameter"),
        ("EnableSmartAccessGatewayUser", ("UserName", ""), "MissingParameter"),
        ("DescribeSagOnlineClientStatistics", ("SmartAGIds.1", "other"), "InvalidId.SMARTAG"),
        ("DescribeSmartAccessGateways", ("RegionId", "mars-1"), "InvalidRegionID"),
        ("DescribeSmartAccessGateways", ("PageSize", "51"), "InvalidParameter.PageSize"),
    ] {
        assert_eq!(call(&source, action, &[param]).await, Err(code.to_owned()), "{action} {param:?}");
    }
    let none = call(&source, "DescribeSmartAccessGateways", &[("SmartAGId", "other")]).await.unwrap();
    let one = call(&source, "DescribeSmartAccessGateways", &[("InstanceType", "software")]).await.unwrap();
    assert_eq!((none["TotalCount"].as_u64(), one["TotalCount"].as_u64()), (Some(0), Some(1)));
    assert_eq!(one["SmartAccessGateways"]["SmartAccessGateway"][0]["SmartAGId"], "sag-demo");
}

#[tokio::test]
async fn documented_refusals_can_be_planted() {
    for code in ["Forbbiden.SubUser", "Forbidden"] {
        let planted = format!("kind = 'error'\ncode = '{code}'\nactions = ['DisableSmartAccessGatewayUser']");
        let world = World::new(&fault(0, 60, &planted), ROSTER).await;
        let done = call(&source(&world), "DisableSmartAccessGatewayUser", &[("UserName", "doctest")]).await;
        assert_eq!(done, Err(code.to_owned()));
    }
}
