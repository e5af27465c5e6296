//! Webhooks from notice to receiver: the body, the signature, every class of answer, and where they never go.
//! Neighbours: `channel::webhook`, and the receiver in `support::http`. A part of its own because what arrives is what
//! other programs are written against.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use seatwatch::channel::{Channel, Delivery, Letter, Settings, webhook};
use seatwatch::engine::backoff::Answer;
use seatwatch::engine::event::{
    EndReason, Event, EventKind, EventReading, Limit, OnlineClient, Severity, Subject, SubjectKind, Value,
};
use seatwatch::engine::message::{Language, Message, Tone};
use seatwatch::engine::notify::{Notice, NoticeKind};
use seatwatch::engine::reading::Reading;
use seatwatch::engine::time::{Span, Time};
use seatwatch::secret::{Secret, SecretRef};
use sha2::{Digest as _, Sha256};

use crate::support::http::Hook;
use crate::support::smtp::Certificate;

const TOKEN: &str = "canary-token-in-the-path";
const KEY: [u8; 32] = [7; 32];

fn now() -> Time {
    "2026-11-22T03:05:00Z".parse().unwrap()
}

fn secret(key: &[u8]) -> SecretRef {
    SecretRef::Plain(Secret::new(format!("whsec_{}", BASE64_STANDARD.encode(key))))
}

fn settings(url: &str) -> webhook::Settings {
    webhook::Settings {
        name: "soc-hook".to_owned(),
        url: SecretRef::Plain(Secret::new(url)),
        secrets: vec![secret(&KEY)],
        allow_private: true,
        ca_file: None,
        timeout: Span::from_millis(800),
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/hooks/{TOKEN}?key=canary-query-value")
}

fn event(user: &str, kind: EventKind) -> Event {
    let reading = EventReading::new(now(), Reading::online(5), Some(now()));
    Event {
        id: format!("evt_{user}"),
        kind,
        episode: format!("ep_{user}").into(),
        at: now(),
        rule: "shared-account".into(),
        rule_version: "v1".into(),
        severity: Severity::High,
        source: Some("shanghai".into()),
        subject: Subject { kind: SubjectKind::User, name: user.to_owned() },
        value: Some(Value { now: Some(5), first: Some(4), peak: Some(5) }),
        limit: Some(Limit::of_rule(2)),
        since: now(),
        fired_at: Some(now()),
        ended_at: None,
        reason: None,
        reminder: 0,
        readings: vec![reading; 20].into(),
        blind: Span::ZERO,
        request_ids: vec!["9B7A-1".into(), "9B7A-2".into()].into(),
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

fn message() -> Message {
    Message {
        language: Language::En,
        title: "alice".to_owned(),
        tone: Tone::Calm,
        summary: "alice has 5 clients online, 2 allowed".to_owned(),
        sections: Vec::new(),
        more: 0,
        footer: Vec::new(),
    }
}

fn notice(kind: NoticeKind, events: Vec<Event>) -> Notice {
    Notice {
        channel: "soc-hook".to_owned(),
        id: "ntf_1".to_owned(),
        kind,
        events: events.into_iter().map(Arc::new).collect(),
    }
}

fn body(notice: &Notice) -> serde_json::Value {
    let channel = Channel::open(&Settings::Webhook(settings("http://127.0.0.1:1/"))).unwrap();
    let bytes = channel.payload(notice, &message(), now());
    assert!(bytes.len() < 20_000, "{} bytes", bytes.len());
    serde_json::from_slice(&bytes).unwrap()
}

async fn send(settings: webhook::Settings) -> Delivery {
    let channel = Channel::open(&Settings::Webhook(settings)).unwrap();
    let payload = br#"{"type":"test"}"#.to_vec();
    let letter = Letter { id: "ntf_1".to_owned(), payload, attempt: 1, accepted: Vec::new(), only: None };
    let delivery = channel.send(&letter, now()).await;
    assert!(!delivery.note.contains("canary") && !delivery.note.contains("whsec_"), "{}", delivery.note);
    delivery
}

#[test]
fn the_body_has_its_shape() {
    let mut fired = event("alice", EventKind::Fired);
    fired.readings.change(|list| list.truncate(1));
    let body = body(&notice(NoticeKind::Alert(EventKind::Fired), vec![fired]));
    insta::assert_snapshot!("webhook_body", serde_json::to_string_pretty(&body).unwrap());
}

#[test]
fn mixed_events_are_a_digest_and_share_nothing() {
    let (fired, mut ended) = (event("alice", EventKind::Fired), event("bob", EventKind::Ended));
    let mixed = body(&notice(NoticeKind::Alert(EventKind::Fired), vec![fired.clone(), ended.clone()]));
    assert_eq!((&mixed["type"], &mixed["data"]["rule"]), (&"alert.digest".into(), &"shared-account".into()));
    ended.rule = "gateway-offline".into();
    ended.rule_version = "v2".into();
    ended.source = None;
    ended.severity = Severity::Critical;
    let mixed = body(&notice(NoticeKind::Digest, vec![fired, ended]));
    for field in ["source", "rule", "rule_version"] {
        assert!(mixed["data"][field].is_null(), "{field}");
    }
    assert_eq!(mixed["data"]["severity"], "critical");
    assert_eq!(body(&notice(NoticeKind::Test, Vec::new()))["type"], "test");
}

#[test]
fn a_body_stays_below_20_kb_and_counts_what_it_leaves_out() {
    let client = OnlineClient { address: "10.0.0.1".to_owned(), online_since: None };
    for (count, name) in [(1, "a".to_owned()), (25, "b".repeat(60)), (10_000, "\u{1}中".repeat(64))] {
        let mut each = event(&name, EventKind::Fired);
        each.clients = Some(vec![client.clone(); 400]);
        each.detail = Some("d".repeat(30_000).into());
        let body = body(&notice(NoticeKind::Alert(EventKind::Fired), vec![each; count]));
        let shown = body["data"]["events"].as_array().unwrap();
        assert!(!shown.is_empty() && shown.len() <= 20);
        assert_eq!(body["data"]["more"], count - shown.len());
        assert_eq!(shown[0]["request_ids"][0], "9B7A-1");
        assert_eq!(shown[0]["subject"]["name"], name.as_str());
    }
}

#[test]
fn an_own_alert_has_neither_value_nor_limit() {
    for (kind, name) in
        [(SubjectKind::Source, "shanghai"), (SubjectKind::Channel, "soc-mail"), (SubjectKind::Agent, "agent")]
    {
        let mut own = event(name, EventKind::Ended);
        own.rule = "agent/source-silent".into();
        own.subject.kind = kind;
        own.source = (kind == SubjectKind::Source).then(|| name.into());
        (own.value, own.limit, own.when, own.readings) = (None, None, None, Default::default());
        own.request_ids.clear();
        (own.ended_at, own.reason) = (Some(now()), Some(EndReason::Cleared));
        let body = body(&notice(NoticeKind::Alert(EventKind::Ended), vec![own]));
        insta::assert_snapshot!(
            format!("webhook_own_{kind:?}").to_lowercase(),
            serde_json::to_string_pretty(&body).unwrap()
        );
    }
}

/// The fields that receivers are promised, at each level; more may be there.
#[test]
fn no_promised_field_is_missing() {
    let mut full = event("alice", EventKind::Fired);
    full.clients = Some(vec![OnlineClient { address: "10.0.0.1".to_owned(), online_since: None }]);
    let body = body(&notice(NoticeKind::Alert(EventKind::Fired), vec![full]));
    let has = |value: &serde_json::Value, fields: &str| {
        let object = value.as_object().unwrap();
        for field in fields.split(' ') {
            assert!(object.contains_key(field), "{field} is missing in {value}");
        }
    };
    has(&body, "type timestamp data");
    let data = &body["data"];
    has(data, "notification source rule rule_version severity language events more text link");
    let event = &data["events"][0];
    has(
        event,
        "id kind episode at rule rule_version severity source subject value limit since fired_at ended_at reason \
         reminder readings blind_ms request_ids clients",
    );
    has(&event["subject"], "kind name");
    has(&event["value"], "now first peak");
    has(&event["limit"], "value origin");
    has(&event["readings"][0], "at reading online");
}

#[test]
fn a_thousand_subjects_give_up_readings_before_events() {
    let many: Vec<Event> = (0..1000)
        .map(|n| Event {
            readings: vec![event("x", EventKind::Fired).readings.last().unwrap(); 20].into(),
            ..event(&format!("user-{n:04}"), EventKind::Fired)
        })
        .collect();
    let body = body(&notice(NoticeKind::Alert(EventKind::Fired), many));
    let events = body["data"]["events"].as_array().unwrap();
    assert_eq!((events.len(), &body["data"]["more"]), (20, &980.into()), "readings go, events stay");
    for event in events {
        assert!(event["readings"].as_array().unwrap().len() < 20);
        assert!(!event["request_ids"].as_array().unwrap().is_empty());
    }
    assert_eq!(events[0]["subject"]["name"], "user-0000");
}

/// HMAC by its definition (RFC 2104), so that the library is not checked by itself.
pub(crate) fn hmac(key: &[u8], text: &[u8]) -> String {
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|i| key.get(i).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::digest([pad(0x36), text.to_vec()].concat());
    BASE64_STANDARD.encode(Sha256::digest([pad(0x5c), inner.to_vec()].concat()))
}

#[tokio::test]
async fn the_receiver_can_check_who_sent_it() {
    let hook = Hook::answer("HTTP/1.1 204 No Content\r\n\r\n", 0);
    let rotating =
        webhook::Settings { secrets: vec![secret(&KEY), secret(&[9; 24])], ..settings(&url(hook.port)) };
    let delivery = send(rotating).await;
    assert_eq!((delivery.answer, delivery.status), (Answer::Sent, Some(204)), "{}", delivery.note);
    let posted = hook.posted();
    assert_eq!(posted.line, format!("POST /hooks/{TOKEN}?key=canary-query-value HTTP/1.1"));
    assert_eq!(posted.header("webhook-id"), "ntf_1");
    assert_eq!(posted.header("webhook-timestamp"), now().seconds().to_string());
    let signed = [b"ntf_1.1795316700.".to_vec(), posted.body.clone()].concat();
    let expect = format!("v1,{} v1,{}", hmac(&KEY, &signed), hmac(&[9; 24], &signed));
    assert_eq!(posted.header("webhook-signature"), expect);
    assert_eq!(posted.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(posted.body, br#"{"type":"test"}"#);
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_its_file_alone() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let hook = Hook::answer_over_tls(&certificate, "HTTP/1.1 204 No Content\r\n\r\n");
    for (path, answer) in [
        (Some(certificate.path()), Answer::Sent),
        (Some(other.path()), Answer::Misconfigured),
        (None, Answer::Misconfigured),
    ] {
        let inside = format!("https://127.0.0.1:{}/{TOKEN}", hook.port);
        let timeout = Span::from_secs(10);
        let delivery = send(webhook::Settings { ca_file: path.clone(), timeout, ..settings(&inside) }).await;
        assert_eq!(delivery.answer, answer, "{path:?}: {}", delivery.note);
        if answer == Answer::Sent {
            assert_eq!(hook.posted().line, format!("POST /{TOKEN} HTTP/1.1"));
        }
        assert!(hook.untouched(), "nothing is posted to a stranger");
    }
}

#[tokio::test]
async fn each_answer_has_its_consequence() {
    let cases = [
        (200, Answer::Sent),
        (400, Answer::Rejected),
        (401, Answer::Misconfigured),
        (403, Answer::Misconfigured),
        (404, Answer::Misconfigured),
        (408, Answer::Retry),
        (410, Answer::Gone),
        (413, Answer::Rejected),
        (422, Answer::Rejected),
        (425, Answer::Retry),
        (429, Answer::Retry),
        (500, Answer::Retry),
        (503, Answer::Retry),
    ];
    for (status, answer) in cases {
        let echo = format!("no such hook: /hooks/{TOKEN}\u{1b}[31m");
        let reply = format!(
            "HTTP/1.1 {status} X\r\nretry-after: 120\r\ncontent-length: {}\r\n\r\n{echo}",
            echo.len()
        );
        let hook = Hook::answer(reply, 0);
        let delivery = send(settings(&url(hook.port))).await;
        assert_eq!((delivery.answer, delivery.status), (answer, Some(status)), "{}", delivery.note);
        assert_eq!(delivery.retry_after, Some(Span::from_secs(120)));
        let start = format!("http://127.0.0.1:{}/… answered {status}: no such hook: ", hook.port);
        assert!(
            delivery.note.starts_with(&start) && delivery.note.ends_with("\\u{1b}[31m"),
            "{}",
            delivery.note
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Hook::answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 0);
    for status in [301, 302, 307, 308] {
        let place = url(elsewhere.port);
        let reply = format!("HTTP/1.1 {status} X\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n");
        let delivery = send(settings(&url(Hook::answer(reply, 0).port))).await;
        assert_eq!((delivery.answer, delivery.status), (Answer::Retry, Some(status)), "{}", delivery.note);
    }
    assert!(elsewhere.untouched());
}

#[tokio::test]
async fn no_answer_is_tried_again_and_a_huge_one_is_cut() {
    let silent = Hook::answer("", 0);
    let delivery = send(settings(&url(silent.port))).await;
    assert_eq!((delivery.answer, delivery.status), (Answer::Retry, None), "{}", delivery.note);
    assert!(delivery.note.ends_with("no answer within 800ms"), "{}", delivery.note);
    // Whoever read it to its end would come to the end of the time first.
    let huge = Hook::answer("HTTP/1.1 500 X\r\n\r\n", usize::MAX);
    let delivery =
        send(webhook::Settings { timeout: Span::from_secs(10), ..settings(&url(huge.port)) }).await;
    assert_eq!((delivery.answer, delivery.status), (Answer::Retry, Some(500)), "{}", delivery.note);
    assert!(delivery.note.len() <= 300, "{}", delivery.note);
    // Nobody listens on port 1.
    let delivery = send(settings(&url(1))).await;
    assert_eq!((delivery.answer, delivery.status), (Answer::Retry, None), "{}", delivery.note);
}

#[tokio::test]
async fn names_that_lead_inside_are_refused_at_the_connection() {
    let hook = Hook::answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 0);
    let inside = format!("https://localhost:{}/{TOKEN}", hook.port);
    let delivery = send(webhook::Settings { allow_private: false, ..settings(&inside) }).await;
    assert_eq!(delivery.answer, Answer::Misconfigured, "{}", delivery.note);
    assert!(delivery.note.contains("allow_private"), "{}", delivery.note);
    assert!(hook.untouched());
}

/// `url` is refused when the channel is opened, in words that do not hold its secret parts.
#[track_caller]
fn check_refused(url: &str, allow_private: bool, words: &str) {
    let opened = Channel::open(&Settings::Webhook(webhook::Settings { allow_private, ..settings(url) }));
    let error = opened.expect_err(url).to_string();
    assert!(error.contains(words) && !error.contains("canary"), "{url}: {error}");
}

#[test]
fn robots_that_answer_200_to_what_they_throw_away_are_refused() {
    check_refused(
        "https://oapi.dingtalk.com/robot/send?access_token=canary",
        false,
        "chat robot of DingTalk",
    );
    check_refused(
        "https://OAPI.dingtalk.com./robot/send?access_token=canary",
        true,
        "chat robot of DingTalk",
    );
    check_refused(
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=canary",
        false,
        "chat robot of WeCom",
    );
    check_refused("https://open.feishu.cn/open-apis/bot/v2/hook/canary", false, "chat robot of Feishu");
    check_refused("https://open.larksuite.com/open-apis/bot/v2/hook/canary", false, "chat robot of Lark");
    // What stands before a robot and puts alerts into its words may be named after it.
    let relay = settings("https://oapi.dingtalk.com.relay.example.com/canary");
    Channel::open(&Settings::Webhook(webhook::Settings { allow_private: false, ..relay })).expect("a relay");
}

#[test]
fn some_addresses_are_refused_before_anything_is_sent() {
    for address in ["127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:192.168.0.1]", "2130706433", "0x7f.1"] {
        check_refused(&format!("https://{address}/canary"), false, "allow_private");
    }
    for address in
        ["169.254.169.254", "100.100.100.200", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"]
    {
        check_refused(&format!("https://{address}/canary"), true, "never go there");
    }
    check_refused("http://hooks.example.com/canary", false, "plain http");
    check_refused("http://8.8.8.8/canary", true, "public address");
    check_refused("ftp://example.com/canary", true, "ftp");
    check_refused("https://canary:canary@example.com/", false, "user name");
    check_refused("canary", false, "not a URL");
}
