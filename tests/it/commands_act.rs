//! The commands that look and act, as typed: the program itself against an emulator, a receiver and a filled database.
//!
//! Neighbours: `cli`, from the outside. A part of its own because what scripts read (JSON, exit codes) and what people
//! read (tables, messages) is only seen where the program ends. The test plays the agent where an act waits for one.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seatwatch::agent::{Live, clock};
use seatwatch::config::Config;
use seatwatch::emulator::{Emulator, Settings};
use seatwatch::engine::backoff::Answer;
use seatwatch::engine::event::{
    EndReason, Event, EventKind, EventReading, Limit, Severity, Subject, SubjectKind, Value,
};
use seatwatch::engine::notify::{Notice, NoticeKind};
use seatwatch::engine::outcome::{
    ActResult, Alert, AlertKey, Episode, NewNotification, Outcome, Stamp, State,
};
use seatwatch::engine::reading::Reading;
use seatwatch::engine::time::{Span, Time};
use seatwatch::store::{Finish, Store, Then};
use serde_json::{Value as Json, json};

use crate::support::http::Hook;

const SECRET: &str = "testsecret-canary";
/// A user whose name would colour a terminal, turn a line round and start a formula.
const HOSTILE: &str = "=1+1\u{1b}[31m\u{202e}\r\n<b>";
/// A test that waits for a condition gives up here.
const DEADLINE: Duration = Duration::from_secs(20);

/// An empty directory with a rules file for one source.
struct Place {
    dir: tempfile::TempDir,
}

/// What a command left behind.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

impl Place {
    /// `endpoint` and `hook` are ports on loopback.
    fn new(endpoint: u16, hook: u16) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let rules = format!(
            r#"
[agent]
timezone = "Asia/Shanghai"
notify = ["soc-hook"]

[[account]]
name = "main"
access_key_id = {{ file = "id" }}
access_key_secret = {{ file = "secret" }}
requests_per_second = 50

[[source]]
name = "shanghai"
kind = "aliyun-sag"
region = "cn-shanghai"
instance = "sag-demo"
schedule = "*/5 * * * *"
endpoint = "http://127.0.0.1:{endpoint}"
users = ["alice", "bob", "nobody-here", "bad name!"]
connect_timeout = "1s"
timeout = "1s"
budget = "2s"

[[rule]]
name = "shared-account"
when = "online > limit"
limit = 2
severity = "high"
notify = ["soc-hook", "soc-mail"]

[[channel]]
name = "soc-hook"
kind = "webhook"
url = "http://127.0.0.1:{hook}/canary-path"
allow_private = true

[[channel]]
name = "soc-mail"
kind = "email"
server = "127.0.0.1"
port = 1
tls = "none"
from = "Seatwatch <alerts@example.com>"
to = ["soc@example.com"]
"#
        );
        std::fs::write(place.at("rules.toml"), rules).unwrap();
        place.secret("id", "canary-key-id");
        place.secret("secret", SECRET);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn secret(&self, name: &str, value: &str) {
        std::fs::write(self.at(name), value).unwrap();
        std::fs::set_permissions(self.at(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Adds to the rules file.
    fn add(&self, text: &str) {
        let rules = std::fs::read_to_string(self.at("rules.toml")).unwrap();
        std::fs::write(self.at("rules.toml"), rules + text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatwatch"));
        command.current_dir(self.dir.path()).args(words).env_clear().env("USER", "operator");
        command
    }

    /// Whatever is printed, no secret and nothing that acts on a terminal is.
    #[track_caller]
    fn run(&self, words: &[&str]) -> Ran {
        let done = self.command(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let ran = Ran { code: done.status.code().unwrap(), out: text(&done.stdout), err: text(&done.stderr) };
        for text in [&ran.out, &ran.err] {
            assert!(!text.contains("canary"), "{words:?}: {text}");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{words:?}: {text:?}");
        }
        assert!(!ran.out.contains('\u{202e}') && !ran.err.contains('\u{202e}'), "{words:?}: {}", ran.out);
        ran
    }
}

fn emulator() -> SocketAddr {
    let scenario = "[[user]]\nname = 'alice'\nonline = [[0, 4]]\n[[user]]\nname = 'bob'\nonline = [[0, 0]]\n";
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        access_key_id: "canary-key-id".to_owned(),
        access_key_secret: seatwatch::secret::Secret::new(SECRET),
        scenario: scenario.parse().unwrap(),
        ..Settings::default()
    };
    let (address, emulator) = Emulator::bind(settings, clock::now(), Arc::new(clock::now)).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(emulator.serve(std::future::pending())).unwrap();
    });
    address
}

/// Puts a word in the place of what differs from run to run: the values of these keys, at any depth.
fn masked(value: &mut Json, keys: &[&str]) {
    match value {
        Json::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                if keys.contains(&key.as_str()) && !value.is_null() {
                    *value = json!("[masked]");
                } else {
                    masked(value, keys);
                }
            }
        }
        Json::Array(values) => values.iter_mut().for_each(|value| masked(value, keys)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn pretty(mut value: Json, mask: &[&str]) -> String {
    masked(&mut value, mask);
    serde_json::to_string_pretty(&value).unwrap()
}

/// Columns of a table, by their number, without the rest.
fn columns(text: &str, keep: usize) -> String {
    let cut = |line: &str| {
        line.split("  ").map(str::trim).filter(|c| !c.is_empty()).take(keep).collect::<Vec<_>>().join(" | ")
    };
    text.lines().map(|line| cut(line) + "\n").collect()
}

#[test]
fn a_poll_prints_what_each_user_has() {
    let place = Place::new(emulator().port(), 1);
    let ran = place.run(&["poll", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    insta::assert_snapshot!(
        "poll_json",
        pretty(ran.json(), &["at", "duration_ms", "request_id", "fetched_at"])
    );
    let text = place.run(&["poll"]);
    let (head, rest) = text.out.split_once('\n').unwrap();
    assert!(
        head.starts_with("shanghai: complete; 4 users asked about in ") && head.ends_with(" UTC+8"),
        "{head}"
    );
    insta::assert_snapshot!("poll_text", columns(rest, 3));
    let one =
        place.run(&["poll", "--user", "alice", "--user", "shanghai/bob", "--user", "alice", "--json"]).json();
    let users: Vec<_> = one[0]["readings"].as_array().unwrap().iter().map(|r| r["user"].clone()).collect();
    assert_eq!(users, ["alice", "bob"]);
    assert!(!place.at("seatwatch.db").exists(), "a poll stores nothing");
}

#[test]
fn a_poll_of_a_roster_asks_who_is_on_it() {
    let place = Place::new(emulator().port(), 1);
    let rules = std::fs::read_to_string(place.at("rules.toml")).unwrap();
    let listed = "users = [\"alice\", \"bob\", \"nobody-here\", \"bad name!\"]";
    assert!(rules.contains(listed));
    std::fs::write(place.at("rules.toml"), rules.replace(listed, "roster = true")).unwrap();
    let all = place.run(&["poll", "--json"]).json();
    assert_eq!(
        all[0]["readings"].as_array().unwrap().len(),
        203,
        "the population, and those of the scenario"
    );
    let one = place.run(&["poll", "--user", "alice", "--json"]).json();
    assert_eq!(one[0]["readings"][0]["online"], 4);
    let refused = place.run(&["poll", "--user", "carol"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    place.secret("secret", "another-canary");
    let failed = place.run(&["poll", "--json"]);
    assert_eq!((failed.code, failed.json()[0]["outcome"].as_str()), (1, Some("failed")));
}

/// Requests and notifications go where the rules file says, whatever the environment says of proxies.
#[test]
fn a_proxy_in_the_environment_is_not_used() {
    let (trap, hook) =
        (Hook::answer("HTTP/1.1 200 OK\r\n\r\n", 0), Hook::answer("HTTP/1.1 204 X\r\n\r\n", 0));
    let place = Place::new(emulator().port(), hook.port);
    let proxied = |words: &[&str]| {
        let mut command = place.command(words);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env(name, format!("http://canary-user:canary-password@127.0.0.1:{}", trap.port));
        }
        command.env("REQUEST_METHOD", "").env_remove("NO_PROXY");
        let done = command.output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8(said).unwrap())
    };
    for words in [&["poll"][..], &["notify", "test", "soc-hook"]] {
        let (code, said) = proxied(words);
        assert_eq!(code, Some(0), "{words:?}: {said}");
        assert!(!said.contains("canary"), "{said}");
    }
    assert!(trap.untouched(), "a proxy was asked");
    assert!(!hook.untouched());
}

#[test]
fn a_failed_poll_says_why() {
    let place = Place::new(emulator().port(), 1);
    place.secret("secret", "another-canary");
    let ran = place.run(&["poll", "--user", "alice", "--json"]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!("poll_failed", pretty(ran.json(), &["at", "duration_ms"]));
    let ran = place.run(&["poll", "--user", "alice"]);
    assert!(ran.code == 1 && ran.out.contains("access_key_secret is wrong"), "{}", ran.out);
    std::fs::remove_file(place.at("secret")).unwrap();
    for command in ["poll", "run"] {
        let ran = place.run(&[command]);
        assert!(ran.code == 78 && ran.err.contains("access_key_secret") && ran.out.is_empty(), "{}", ran.err);
        assert!(ran.err.ends_with("rules.toml: 1 error\n"), "{}", ran.err);
    }
}

#[test]
fn one_of_several_sources_is_named() {
    let place = Place::new(1, 1);
    place.add(
        "[[source]]\nname = 'beijing'\nkind = 'aliyun-sag'\nregion = 'cn-beijing'\ninstance = 'sag-2'\n\
         schedule = '@hourly'\nendpoint = 'http://127.0.0.1:1'\nusers = ['alice']\n",
    );
    let both = place.run(&["poll", "--user", "alice"]);
    assert_eq!(both.code, 2);
    assert!(both.err.contains("\"shanghai/alice\", \"beijing/alice\""), "{}", both.err);
    let api = place.run(&["api", "DescribeX", "--dry-run"]);
    assert!(api.code == 2 && api.err.contains("--source with one of shanghai, beijing"), "{}", api.err);
    let api = place.run(&["api", "DescribeX", "--dry-run", "--source", "beijing", "--json"]).json();
    assert!(api["request"]["url"].as_str().unwrap().contains("SmartAGId=sag-2"), "{api}");
}

const VOLATILE: [&str; 8] =
    ["url", "curl", "canonical", "string_to_sign", "x-acs-date", "x-acs-signature-nonce", "host", "date"];

#[test]
fn a_dry_run_signs_without_keys_and_network() {
    let place = Place::new(1, 1);
    std::fs::remove_file(place.at("secret")).unwrap();
    let words = ["api", "DescribeUserOnlineClientStatistics", "--param", "UserNames.1=doctest", "--dry-run"];
    let ran = place.run(&[&words[..], &["--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut json = ran.json();
    let url = json["request"]["url"].as_str().unwrap();
    assert_eq!(url, "http://127.0.0.1:1/?RegionId=cn-shanghai&SmartAGId=sag-demo&UserNames.1=doctest");
    assert!(json["request"]["curl"].as_str().unwrap().starts_with("curl -sS -X POST 'http://127.0.0.1:1/?"));
    assert!(json["note"].as_str().unwrap().starts_with("signed with a made-up key: file "));
    json["note"] = Json::Null;
    insta::assert_snapshot!("api_dry_run", pretty(json, &VOLATILE));
    let text = place.run(&words);
    assert!(
        text.out.contains("Nothing was sent (--dry-run).") && text.out.contains("made-up key"),
        "{}",
        text.out
    );
    let real = place.run(&words[..4]);
    assert_eq!(real.code, 78, "{}", real.err);
}

#[test]
fn a_call_shows_request_and_reply() {
    let place = Place::new(emulator().port(), 1);
    let words = ["api", "DescribeUserOnlineClientStatistics", "--param", "UserNames.1=alice"];
    let ran = place.run(&[&words[..], &["--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mask = [&VOLATILE[..], &["RequestId", "x-acs-request-id", "content-length"]].concat();
    insta::assert_snapshot!("api_call", pretty(ran.json(), &mask));
    let text = place.run(&words).out;
    for part in [
        "Canonical request:",
        "String to sign:",
        "The same as curl:",
        "Reply: HTTP 200",
        "\"OnlineCount\": \"4\"",
    ] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    let other =
        place.run(&["api", "DescribeUserOnlineClientStatistics", "--param", "SmartAGId=sag-other", "--json"]);
    assert_eq!(other.code, 1);
    assert_eq!(other.json()["reply"]["body"]["Code"], other.json()["error"]["code"]);
    place.secret("secret", "another-canary");
    let refused = place.run(&words);
    assert!(refused.code == 1 && refused.out.contains("Failed: SignatureDoesNotMatch"), "{}", refused.out);
    let nobody = Place::new(1, 1).run(&[&words[..], &["--json"]].concat());
    assert_eq!((nobody.code, &nobody.json()["error"]["code"]), (1, &json!("connect")));
}

#[test]
fn wrong_inputs_are_told_with_the_way_out() {
    let place = Place::new(1, 1);
    fill(&place);
    let mut all = String::new();
    for line in [
        "poll --source shangai",
        "poll --source mars",
        "poll --user alise",
        "poll --user mars/alice",
        "api deleteUser --source shangai --write",
        "api DeleteUser",
        "api Describeuser",
        "api a/b",
        "api DescribeX --param foo",
        "api DescribeX --param Signature=x",
        "api DescribeX --dry-run --param A=1 --param A=2",
        "alerts show ep_zzz",
        "alerts show ep_",
        "alerts ack ep_zzz",
        "alerts close ep_alice --finding guilty",
        "alerts list --since yesterday",
        "outbox show ntf_zzz",
        "outbox drop zzz",
        "outbox list --channel soc-hok",
        "notify test soc-hok",
        "notify test pager",
    ] {
        let ran = place.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}: {}", ran.err);
        all += &format!("$ {line}\n{}\n", ran.err);
    }
    insta::assert_snapshot!("wrong_inputs", all);
}

#[test]
fn without_a_file_or_database_the_error_names_it() {
    let place = Place::new(1, 1);
    for words in [&["alerts", "list"][..], &["outbox", "list"], &["alerts", "ack", "ep_a"]] {
        let ran = place.run(words);
        assert!(ran.code == 74 && ran.err.contains("seatwatch.db does not exist"), "{}", ran.err);
    }
    std::fs::remove_file(place.at("rules.toml")).unwrap();
    for words in [&["poll"][..], &["api", "DescribeX", "--dry-run"], &["notify", "test", "soc-hook"]] {
        let ran = place.run(words);
        assert!(ran.code == 78 && ran.err.contains("rules.toml"), "{}", ran.err);
    }
}

#[test]
fn a_test_notification_is_sent_once() {
    let hook = Hook::answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n", 0);
    let place = Place::new(1, hook.port);
    let ran = place.run(&["notify", "test", "soc-hook", "--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let posted = hook.posted();
    assert_eq!(ran.json()["notification"], posted.header("webhook-id"));
    assert_eq!(serde_json::from_slice::<Json>(&posted.body).unwrap()["type"], "test");
    insta::assert_snapshot!("notify_test", pretty(ran.json(), &["notification", "duration_ms", "note"]));
    let text = place.run(&["notify", "test", "soc-hook"]).out;
    assert!(text.starts_with("soc-hook (webhook): the test was taken, status 204, "), "{text}");
    place.add("[[channel]]\nname = 'unset'\nkind = 'webhook'\nurl = { env = 'NOT_SET' }\n");
    let unset = place.run(&["notify", "test", "unset"]);
    assert!(
        unset.code == 78 && unset.err.contains("-->") && unset.err.contains("\"NOT_SET\""),
        "{}",
        unset.err
    );
    assert!(unset.err.ends_with("rules.toml: 1 error\n"), "{}", unset.err);
    let failed = place.run(&["notify", "test", "soc-mail"]);
    assert_eq!(failed.code, 1);
    assert!(failed.out.contains("127.0.0.1:1 connection lost while connecting"), "{}", failed.out);
    let refusing =
        Hook::answer("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", 0);
    let refused = Place::new(1, refusing.port).run(&["notify", "test", "soc-hook", "--json"]);
    assert_eq!((refused.code, &refused.json()["outcome"]), (1, &json!("misconfigured")));
}

fn at(minute: i64) -> Time {
    "2026-11-22T03:00:00Z".parse::<Time>().unwrap() + Span::from_mins(minute)
}

fn event(kind: EventKind, user: &str, episode: &str, minute: i64) -> Event {
    let reading =
        |minute| EventReading::new(at(minute), Reading::online(4), Some(at(minute) + Span::from_secs(1)));
    Event {
        id: format!("evt_{}{}", format!("{kind:?}").to_lowercase(), episode.trim_start_matches("ep_")),
        kind,
        episode: episode.into(),
        at: at(minute),
        rule: "shared-account".into(),
        rule_version: "a17f50d4edbe".into(),
        severity: Severity::High,
        source: Some("shanghai".into()),
        subject: subject(user),
        value: Some(Value { now: Some(5), first: Some(4), peak: Some(5) }),
        limit: Some(Limit::of_rule(2)),
        since: at(0),
        fired_at: Some(if kind == EventKind::Fired { at(minute) } else { at(1) }),
        ended_at: (kind == EventKind::Ended).then(|| at(minute)),
        reason: (kind == EventKind::Ended).then_some(EndReason::Cleared),
        reminder: 0,
        readings: vec![reading(0), reading(1)].into(),
        blind: Span::from_mins(2),
        request_ids: vec!["9B7A-1".into()].into(),
        clients: None,
        when: Some("online > limit".into()),
        signals: Vec::new(),
        detail: None,
        users: Vec::new().into(),
        by: None,
        note: None,
        finding: None,
    }
}

fn subject(name: &str) -> Subject {
    Subject { kind: SubjectKind::User, name: name.to_owned() }
}

fn alert(user: &str, state: State, episode: Option<&str>) -> (AlertKey, Arc<Alert>) {
    let key =
        AlertKey { rule: "shared-account".into(), source: Some("shanghai".into()), subject: subject(user) };
    let episode = episode.map(|id| {
        Box::new(Episode {
            id: id.into(),
            since: at(0),
            fired_at: at(1),
            ended_at: None,
            severity: Severity::High,
            limit: Some(Limit::of_rule(2)),
            channels: vec!["soc-hook".to_owned(), "soc-mail".to_owned()].into(),
            last_told: at(1),
            reminders: 0,
            acked_by: None,
            acked_at: None,
            finding: None,
            note: None,
            detail: None,
            users: Vec::new().into(),
        })
    });
    let value = Some(Value { now: Some(5), first: Some(4), peak: Some(5) });
    let since = Some(Stamp { at: at(0), clock: Span::ZERO });
    let (rule_version, blind) = ("a17f50d4edbe".into(), Span::from_mins(2));
    let alert = Alert { state, step_no: 1, rule_version, since, episode, value, blind, ..Alert::default() };
    (key, Arc::new(alert))
}

const ALICE: &str = "ep_aliceaaaaaaaaaaaaaaaaaaaaa";
const MALLORY: &str = "ep_mallorybbbbbbbbbbbbbbbbbbb";

/// Alice's episode fired and ended; the webhook was told both, the mail's *fired* was dropped. Mallory's is firing, bob's
/// alert is pending.
fn fill(place: &Place) -> Store {
    let store = Store::open(&place.at("seatwatch.db"), at(0)).unwrap();
    let config = Config::load(&place.at("rules.toml"), at(0)).unwrap();
    let live = Live::open(config, store.install_id()).unwrap();
    let notification = |id: &str, channel: &str, event: &Event| -> NewNotification {
        let (channel, kind) = (channel.to_owned(), NoticeKind::Alert(event.kind));
        let notice = Notice { channel, id: id.to_owned(), kind, events: vec![Arc::new(event.clone())] };
        live.notification(&notice, event.at)
    };
    let commit = |minute, alerts, events: Vec<Event>, notifications| {
        let mut outcome = Outcome { now: at(minute), alerts, notifications, ..Outcome::default() };
        events.into_iter().for_each(|event| outcome.tell(event, Vec::new().into()));
        store.commit(outcome).wait().unwrap();
    };
    let finish = |id: &str, minute, answer, then, status, note: &str| {
        let n = store.begin_attempt(id, "run", at(minute)).wait().unwrap();
        let (note, accepted, ended_at) = (note.to_owned(), Vec::new(), at(minute));
        store
            .finish_attempt(id, n, Finish { ended_at, answer, status, note, accepted, then })
            .wait()
            .unwrap();
    };
    let fired = event(EventKind::Fired, "alice", ALICE, 1);
    let rows = vec![notification("ntf_a1", "soc-hook", &fired), notification("ntf_a2", "soc-mail", &fired)];
    commit(1, vec![alert("alice", State::Firing, Some(ALICE))], vec![fired], rows);
    finish("ntf_a1", 1, Answer::Sent, Then::Sent, Some(204), "http://127.0.0.1/… answered 204");
    finish("ntf_a2", 1, Answer::Retry, Then::At(at(2)), None, "127.0.0.1:1 connection lost");
    store.drop_notification("ntf_a2", at(3)).wait().unwrap();
    let ended = event(EventKind::Ended, "alice", ALICE, 9);
    let rows = vec![notification("ntf_a3", "soc-hook", &ended), notification("ntf_a4", "soc-mail", &ended)];
    // As it was when the pass began, and as it ended.
    let alerts = vec![alert("alice", State::Firing, Some(ALICE)), alert("alice", State::Ok, None)];
    commit(9, alerts, vec![ended], rows);
    finish("ntf_a3", 9, Answer::Sent, Then::Sent, Some(204), "http://127.0.0.1/… answered 204");
    let fired = event(EventKind::Fired, HOSTILE, MALLORY, 10);
    let rows = vec![notification("ntf_m1", "soc-hook", &fired), notification("ntf_m2", "soc-mail", &fired)];
    let alerts = vec![alert(HOSTILE, State::Firing, Some(MALLORY)), alert("bob", State::Pending, None)];
    commit(10, alerts, vec![fired], rows);
    store
}

/// Both forms of a command's output, under one name.
#[track_caller]
fn check(place: &Place, name: &str, words: &[&str]) {
    let text = place.run(words);
    // Nobody polled here, and some commands say so.
    let is_note = |line: &str| line.starts_with("note: ") && line.ends_with("see whether the agent runs");
    assert!(text.code == 0 && text.err.lines().all(is_note), "{words:?}: {}", text.err);
    insta::assert_snapshot!(format!("{name}_text"), text.out);
    let json = place.run(&[words, &["--json"]].concat());
    assert_eq!((json.code, &json.err), (0, &text.err), "{words:?}");
    insta::assert_snapshot!(format!("{name}_json"), pretty(json.json(), &[]));
}

#[test]
fn episodes_and_notifications_are_listed_and_shown() {
    let place = Place::new(1, 1);
    let agent = fill(&place);
    check(&place, "alerts_list", &["alerts", "list"]);
    check(&place, "alerts_list_all", &["alerts", "list", "--all", "--pending"]);
    check(&place, "alerts_show_ended", &["alerts", "show", "alice"]);
    check(&place, "alerts_show_firing", &["alerts", "show", "ep_mal"]);
    check(&place, "outbox_list", &["outbox", "list"]);
    check(&place, "outbox_list_all", &["outbox", "list", "--all", "--channel", "soc-mail"]);
    check(&place, "outbox_show_mail", &["outbox", "show", "ntf_a2"]);
    check(&place, "outbox_show_webhook", &["outbox", "show", "ntf_m1"]);
    let stored = String::from_utf8(agent.reader().unwrap().payload("ntf_m1").unwrap()).unwrap();
    let json = place.run(&["outbox", "show", "ntf_m1", "--json"]).out;
    let shown = json.split_once("\"payload\":").unwrap().1.trim_end().strip_suffix('}').unwrap();
    assert_eq!(shown.replace("\\u202e", "\u{202e}"), stored, "in the order in which it was sent");
}

/// A channel that took nothing is not tried with what came since before it is tried again.
#[test]
fn what_waits_for_its_channel_says_until_when() {
    let place = Place::new(1, 1);
    let store = fill(&place);
    let new = |id: &str| NewNotification {
        id: id.to_owned(),
        channel: "soc-mail".to_owned(),
        events: Vec::new(),
        episodes: Vec::new(),
        payload: b"stored".to_vec(),
        created_at: at(11),
    };
    let next = |id: &str| {
        let all = place.run(&["outbox", "list", "--json"]).json();
        let row = all.as_array().unwrap().iter().find(|row| row["notification"] == id).unwrap().clone();
        let shown = place.run(&["outbox", "show", id, "--json"]).json();
        assert_eq!(row["next_attempt_at"], shown["next_attempt_at"], "{id}");
        row["next_attempt_at"].as_str().unwrap().to_owned()
    };
    let notifications = vec![new("ntf_m3"), new("ntf_m4")];
    store.commit(Outcome { now: at(11), notifications, ..Outcome::default() }).wait().unwrap();
    assert_eq!(next("ntf_m3"), "2026-11-22T03:11:00Z");
    for (id, minute) in [("ntf_m2", 41), ("ntf_m3", 40)] {
        let n = store.begin_attempt(id, "run", at(12)).wait().unwrap();
        let (note, then) = ("connection lost".to_owned(), Then::At(at(minute)));
        let finish = Finish {
            ended_at: at(12),
            answer: Answer::Retry,
            status: None,
            note,
            accepted: Vec::new(),
            then,
        };
        store.finish_attempt(id, n, finish).wait().unwrap();
    }
    assert_eq!(next("ntf_m4"), "2026-11-22T03:40:00Z");
    assert_eq!(
        (next("ntf_m2"), next("ntf_m1")),
        ("2026-11-22T03:41:00Z".to_owned(), "2026-11-22T03:10:00Z".to_owned())
    );
}

#[test]
fn lists_are_narrowed() {
    let place = Place::new(1, 1);
    let _agent = fill(&place);
    let list = |more: &[&str]| -> Vec<String> {
        let rows = place.run(&[&["alerts", "list", "--json"], more].concat()).json();
        rows.as_array().unwrap().iter().map(|row| row["episode"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list(&["--all"]), [ALICE, MALLORY]);
    assert_eq!(list(&["--all", "--user", "alice"]), [ALICE]);
    assert_eq!(list(&["--all", "--user", "shanghai/alice", "--rule", "shared-account"]), [ALICE]);
    assert!(list(&["--user", "alice"]).is_empty());
    assert!(list(&["--source", "shanghai", "--rule", "agent/clock"]).is_empty());
    for more in [&["--all"][..], &[]] {
        assert_eq!(list(&[more, &["--since", "2026-11-22T03:05:00Z"]].concat()), [ALICE, MALLORY]);
    }
    // What goes on is listed, however long ago it began.
    assert_eq!(list(&["--all", "--since", "2026-11-22T03:30:00Z"]), [MALLORY]);
    // A name that nobody bears is no reason to say that nothing is firing.
    for database in [&[][..], &["--database", "seatwatch.db"]] {
        for (words, says) in [
            (&["--rule", "shared-acount"][..], &["--rule: ", "did you mean \"shared-account\"?"][..]),
            (&["--user", "alcie", "--all"], &["--user: ", "did you mean \"alice\"?"]),
            (&["--source", "shangai", "--json"], &["--source: ", "did you mean \"shanghai\"?"]),
            (&["--source", "zz", "--rule", "zz", "--user", "zz"], &["--source: ", "--rule: ", "--user: "]),
        ] {
            let ran = place.run(&[&["alerts", "list"], words, database].concat());
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{words:?}: {}", ran.err);
            assert!(says.iter().all(|part| ran.err.contains(part)), "{words:?}: {}", ran.err);
        }
    }
}

/// Plays the agent until it has taken one act up.
fn take_up(store: &Store, done: bool, message: &str) {
    let started = Instant::now();
    loop {
        if let Some(act) = store.open_acts().wait().unwrap().first() {
            let acts = vec![ActResult { id: act.id, done, message: message.to_owned() }];
            store.commit(Outcome { now: at(20), acts, ..Outcome::default() }).wait().unwrap();
            return;
        }
        assert!(started.elapsed() < DEADLINE, "no act came");
        std::thread::sleep(Duration::from_millis(10)); // until an act is there, at most DEADLINE
    }
}

#[test]
fn acts_are_asked_for_and_what_became_of_them_is_told() {
    let place = Place::new(1, 1);
    let agent = fill(&place);
    let answered = |words: &[&str], done: bool| -> Ran {
        std::thread::scope(|scope| {
            scope.spawn(|| take_up(&agent, done, "as told"));
            place.run(words)
        })
    };
    let acked = answered(&["alerts", "ack", "ep_mal", "--note", "phone\u{202e}", "--json"], true);
    assert_eq!(
        (acked.code, acked.json()),
        (0, json!({"act": "ack", "id": 1, "result": "done", "message": "as told"}))
    );
    let closed = answered(&["alerts", "close", "mal", "--finding", "multi-device", "--rearm"], true);
    assert_eq!((closed.code, closed.out.as_str()), (0, "done: as told\n"));
    let retried = answered(&["outbox", "retry", "ntf_a2"], true);
    assert_eq!((retried.code, retried.out.as_str()), (0, "done: as told\n"));
    let refused = answered(&["outbox", "drop", "ntf_m1", "--json"], false);
    assert_eq!((refused.code, &refused.json()["result"]), (1, &json!("refused")));
    // Nobody is asked for what is over.
    let over = place.run(&["outbox", "drop", "ntf_a1", "--json"]);
    let message = "ntf_a1 is sent; there is nothing to send or drop";
    let expect = json!({"act": "drop", "id": null, "result": "refused", "message": message});
    assert_eq!((over.code, over.json()), (1, expect));
    let over = place.run(&["outbox", "retry", "ntf_a4"]);
    assert_eq!((over.code, over.out.split(';').next().unwrap()), (1, "refused: ntf_a4 is superseded"));
    assert!(agent.open_acts().wait().unwrap().is_empty());
    let acts = agent.reader().unwrap().acts(MALLORY).unwrap();
    let asked: Vec<String> = acts.iter().map(|act| serde_json::to_string(&act.row.act).unwrap()).collect();
    insta::assert_snapshot!("acts", asked.join("\n"));
    assert!(acts.iter().all(|act| act.row.by == "operator"), "{acts:?}");
    let mut shown = place.run(&["alerts", "show", MALLORY, "--json"]).json()["acts"].take();
    masked(&mut shown, &["at"]);
    insta::assert_snapshot!("alerts_show_acts", serde_json::to_string_pretty(&shown).unwrap());
}

#[test]
fn an_act_waits_for_an_agent_to_start() {
    let place = Place::new(1, 1);
    drop(fill(&place));
    let queued = place.run(&["alerts", "ack", "ep_mal", "--json"]);
    assert_eq!(queued.code, 0, "{}", queued.err);
    let expect =
        json!({"act": "ack", "id": 1, "result": "queued", "message": "taken up when the agent starts"});
    assert_eq!(queued.json(), expect);
    let agent = Store::open(Path::new(&place.at("seatwatch.db")), at(30)).unwrap();
    assert_eq!(agent.open_acts().wait().unwrap().len(), 1);
}
