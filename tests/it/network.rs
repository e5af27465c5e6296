//! What the network can do to a poll or a webhook: each fault is a script of bytes, played by a server on the loopback.
//! Neighbours: `support::hostile` plays, `client` and `webhook` have the ordinary answers. A part of its own because a
//! fault's meaning is the same on every road: over in time, named, never taken for an answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use seatwatch::aliyun::request::Signature;
use seatwatch::aliyun::transport::Options;
use seatwatch::channel::email::{self, Tls};
use seatwatch::channel::{Channel, Delivery, Letter, Settings, webhook};
use seatwatch::engine::backoff::Answer;
use seatwatch::engine::reading::{FaultClass, Fetched, Kind};
use seatwatch::engine::time::Span;
use seatwatch::secret::{Secret, SecretRef};

use crate::client::{now, source_with, users};
use crate::support::authority::{self, Authority, GOOD, Says};
use crate::support::hostile::Play::{Drip, Endless, Hang, Hear, Reset};
use crate::support::hostile::{BlackHole, Hostile, Play, say};

const BODY: &str = r#"{"RequestId":"R","UserStatistics":{"Statistics":[{"UserName":"a","OnlineCount":1}]}}"#;
/// One try; generous, because many tests share the processor.
const TRY: Duration = Duration::from_secs(2);

/// What may be taken of an endless reply: the 1 MiB that is read, and what lies in the buffers of the two sockets.
const MOST_TAKEN: u64 = 12 << 20;

/// A whole reply that leaves the connection open.
fn whole(body: &str) -> String {
    format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn good() -> Vec<Play> {
    vec![Hear, say(whole(BODY))]
}

fn with(head: &str, body: &[u8]) -> Play {
    say([format!("HTTP/1.1 200 X\r\n{head}\r\n\r\n").as_bytes(), body].concat())
}

fn quick(options: &mut Options) {
    (options.connect_timeout, options.timeout) = (TRY / 2, TRY);
}

async fn fetch(url: &str, budget: Span, change: impl FnOnce(&mut Options)) -> Fetched {
    let source = source_with(url, Signature::V3, None, change);
    let began = Instant::now();
    let fetched = source.fetch(&users(&["a"]), now(), budget).await;
    assert!(began.elapsed() < Duration::from_secs(15), "took {:?}: {:?}", began.elapsed(), fetched.fault);
    fetched
}

fn nonces(heard: &[String]) -> Vec<&str> {
    heard.iter().filter_map(|r| r.split("x-acs-signature-nonce: ").nth(1)?.split("\r\n").next()).collect()
}

/// A fault that one connection has is got over, with another nonce; one that every connection has is named `code`.
async fn check(what: &'static str, plays: Vec<Play>, code: &'static str) {
    let once = {
        let plays = plays.clone();
        Hostile::start(move |n| if n == 0 { plays.clone() } else { good() }).await
    };
    let fetched = fetch(&once.url(), Span::from_secs(12), quick).await;
    assert_eq!(fetched.readings[0].kind(), Kind::Online(1), "{what}: {:?}", fetched.fault);
    assert_eq!((fetched.fault, fetched.requests), (None, 2), "{what}");
    let heard = once.heard();
    let mut nonces = nonces(&heard);
    nonces.dedup();
    assert_eq!(nonces.len(), heard.len(), "{what}: a nonce is used once");

    let always = Hostile::start(move |_| plays.clone()).await;
    let fetched = fetch(&always.url(), Span::from_millis(3500), quick).await;
    let fault = fetched.fault.clone().unwrap_or_else(|| panic!("{what}: {fetched:?}"));
    assert_eq!(fetched.readings[0].kind(), Kind::Failed, "{what}");
    assert!(code.split('|').any(|code| code == fault.code), "{what}: {fault:?}");
    assert_eq!(fault.class, FaultClass::Transport, "{what}: {fault:?}");
    assert!(fault.message.starts_with(&always.url()), "{what}: which host? {fault:?}");
    assert!(!fault.message.contains("UserNames") && !fault.message.contains("canary"), "{what}: {fault:?}");
    assert!(fault.message.len() < 600 && !fault.message.contains('\n'), "{what}: {fault:?}");
    // What is endless and harmless is read, and forgotten, until the time is up.
    let limit = if fault.code == "timeout" { u64::MAX } else { MOST_TAKEN * always.connections() as u64 };
    assert!(always.sent() < limit, "{what}: {} bytes were taken", always.sent());
}

/// All at once: most of the time they wait.
async fn check_all(cases: Vec<(&'static str, Vec<Play>, &'static str)>) {
    let mut all = tokio::task::JoinSet::new();
    for (what, plays, code) in cases {
        all.spawn(check(what, plays, code));
    }
    all.join_all().await;
}

fn zeros(count: usize) -> Vec<u8> {
    vec![b'x'; count]
}

#[tokio::test]
async fn a_slow_or_silent_endpoint_costs_a_try_and_no_more() {
    let drop = || Drip(whole(&format!("{BODY}{}", " ".repeat(200))).into_bytes());
    check_all(vec![
        ("slow headers", vec![Hear, drop()], "timeout"),
        ("slow body", vec![Hear, with("content-length: 300", b""), drop()], "timeout"),
        ("silence", vec![Hang], "timeout"),
        ("silence after a request", vec![Hear, Hang], "timeout"),
        ("silence after the headers", vec![Hear, with("content-length: 300", b""), Hang], "timeout"),
        ("silence in the body", vec![Hear, with("content-length: 300", BODY.as_bytes()), Hang], "timeout"),
        (
            "endless 1xx",
            vec![Hear, Endless(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(50))],
            "timeout|malformed",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_answer() {
    let half = &BODY.as_bytes()[..40];
    check_all(vec![
        ("closed before the reply", vec![Hear], "reset"),
        ("reset before the reply", vec![Hear, Reset], "reset"),
        ("closed in the headers", vec![Hear, say("HTTP/1.1 200 X\r\ncontent-le")], "reset"),
        ("closed in the body", vec![Hear, with("content-length: 86", half)], "reset"),
        ("reset in the body", vec![Hear, with("content-length: 86", half), Reset], "reset"),
        ("length too long", vec![Hear, with("content-length: 500", BODY.as_bytes())], "reset"),
        ("length too short", vec![Hear, with("content-length: 60", BODY.as_bytes())], "malformed"),
        ("bad chunk", vec![Hear, with("transfer-encoding: chunked", b"zz\r\n")], "malformed"),
        ("no last chunk", vec![Hear, with("transfer-encoding: chunked", b"5\r\n{\"Use\r\n")], "reset"),
        (
            "two lengths",
            vec![Hear, with("content-length: 86\r\ncontent-length: 40", BODY.as_bytes())],
            "malformed",
        ),
    ])
    .await;
}

#[tokio::test]
async fn more_than_a_reply_can_be_is_not_read() {
    let lines = |count: usize| (0..count).map(|n| format!("x-{n}: y")).collect::<Vec<_>>().join("\r\n");
    let huge = format!("x-huge: {}", "y".repeat(2 << 20));
    let head = "content-length: 67108864";
    check_all(vec![
        ("64 MiB", vec![Hear, with(head, b""), Endless(zeros(1 << 16))], "malformed"),
        ("no end", vec![Hear, with("x: y", b""), Endless(zeros(1 << 16))], "malformed"),
        ("10,000 headers", vec![Hear, with(&lines(10_000), BODY.as_bytes())], "malformed"),
        ("a header of 2 MiB", vec![Hear, with(&huge, BODY.as_bytes())], "malformed"),
        (
            "endless headers",
            vec![Hear, say("HTTP/1.1 200 X\r\n"), Endless(b"x: y\r\n".repeat(999))],
            "malformed",
        ),
        ("endless header", vec![Hear, say("HTTP/1.1 200 X\r\nx: "), Endless(zeros(1 << 16))], "malformed"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_no_http_or_no_text_is_no_answer() {
    // 1 MiB of zeros, a thousand times over, by gzip: what is not asked for is not unpacked.
    let bomb = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03".to_vec();
    check_all(vec![
        ("HTTP/0.9", vec![Hear, say(BODY)], "malformed"),
        ("garbage", vec![Hear, say(b"\x00\xffgarbage\r\n\r\n".to_vec())], "malformed"),
        ("another version", vec![Hear, say(format!("HTTP/9.9 200 X\r\n\r\n{BODY}"))], "malformed"),
        ("gzip", vec![Hear, with("content-encoding: gzip", &bomb)], "malformed"),
        ("gzip twice", vec![Hear, with("content-encoding: gzip, gzip", &bomb)], "malformed"),
        ("br", vec![Hear, with("content-encoding: br", BODY.as_bytes())], "malformed"),
        ("nonsense", vec![Hear, with("content-encoding: nonsense", BODY.as_bytes())], "malformed"),
        ("gzip that nobody announced", vec![Hear, with("x: y", &bomb)], "malformed"),
    ])
    .await;
}

#[tokio::test]
async fn nobody_at_the_address_costs_a_short_try_each() {
    let hole = BlackHole::new();
    let began = Instant::now();
    let budget = Span::from_secs(3);
    let fetched = fetch(&format!("http://127.0.0.1:{}", hole.port), budget, |options| {
        options.connect_timeout = Duration::from_millis(300);
    })
    .await;
    let fault = fetched.fault.unwrap();
    assert_eq!(fault.code, "timeout", "{fault:?}");
    assert!(fault.message.contains("connecting took too long"), "{fault:?}");
    assert!(fetched.requests >= 2, "each try has its own short time: {}", fetched.requests);
    assert!(began.elapsed() < Duration::from_secs(6));
    assert_eq!(Options::default().connect_timeout, Duration::from_secs(5));
    let fetched = fetch("http://127.0.0.1:1", Span::from_secs(5), quick).await;
    assert_eq!(fetched.fault.unwrap().code, "connect");
    assert!(fetched.requests >= 2, "tried again: {}", fetched.requests);
}

#[tokio::test]
async fn a_redirect_is_named_by_its_host_and_not_followed() {
    let elsewhere = Hostile::start(|_| good()).await;
    let places = [
        (format!("{}/steal?AccessKeyId=canary", elsewhere.url()), elsewhere.url()),
        (
            "http://smartag.cn-shanghai.aliyuncs.com/".to_owned(),
            "http://smartag.cn-shanghai.aliyuncs.com".to_owned(),
        ),
        ("file:///etc/passwd".to_owned(), "file://".to_owned()),
        ("/".to_owned(), "HTTP 302: ".to_owned()),
    ];
    for (location, words) in places {
        let reply = format!("HTTP/1.1 302 X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let server = Hostile::start(move |_| vec![Hear, say(reply.clone())]).await;
        let fetched = fetch(&server.url(), Span::from_secs(5), quick).await;
        let fault = fetched.fault.unwrap();
        assert_eq!((fault.code.as_str(), fetched.requests), ("http-302", 1), "{fault:?}");
        assert!(fault.told().contains(&words) && fault.told().contains("not followed"), "{fault:?}");
        assert!(!fault.told().contains("canary") && !fault.told().contains("steal"), "{fault:?}");
    }
    assert_eq!(elsewhere.connections(), 0, "nothing is sent to anybody else");
}

#[tokio::test]
async fn a_kept_connection_that_went_stale_costs_nothing() {
    // The first closes after its reply, without a word of it; the second says more than it was asked.
    let forged = whole(&BODY.replace(":1}", ":99}"));
    let server = Hostile::start(move |n| match n {
        0 => good(),
        1 => vec![Hear, say(format!("{}{forged}", whole(BODY))), Hang],
        _ => good(),
    })
    .await;
    let source = source_with(&server.url(), Signature::V3, None, quick);
    for n in 0..3 {
        let fetched = source.fetch(&users(&["a"]), now(), Span::from_secs(10)).await;
        assert_eq!(fetched.readings[0].kind(), Kind::Online(1), "poll {n}: {:?}", fetched.fault);
    }
    assert_eq!(server.connections(), 3, "what was said unasked is never taken for the next answer");
}

/// What a webhook to `server` makes of it.
async fn hook(url: &str, ca_file: Option<PathBuf>) -> Delivery {
    let settings = webhook::Settings {
        name: "soc-hook".to_owned(),
        url: SecretRef::Plain(Secret::new(format!("{url}/canary-token"))),
        secrets: Vec::new(),
        allow_private: true,
        ca_file,
        timeout: Span::from_std(TRY),
    };
    deliver(Settings::Webhook(settings)).await
}

async fn mail(port: u16, tls: Tls, ca_file: Option<PathBuf>) -> Delivery {
    let settings = email::Settings {
        name: "soc-mail".to_owned(),
        server: "127.0.0.1".to_owned(),
        port,
        tls,
        login: Some(("alerts".to_owned(), SecretRef::Plain(Secret::new("canary-password")))),
        from: "alerts@example.com".parse().unwrap(),
        to: vec!["soc@example.com".parse().unwrap()],
        ca_file,
        timeout: Span::from_std(TRY),
        helo: None,
    };
    deliver(Settings::Email(settings)).await
}

async fn deliver(settings: Settings) -> Delivery {
    let channel = Channel::open(&settings).unwrap();
    let payload = b"{}".to_vec();
    let letter = Letter { id: "ntf_1".to_owned(), payload, attempt: 1, accepted: Vec::new(), only: None };
    let began = Instant::now();
    let delivery = channel.send(&letter, now()).await;
    assert!(began.elapsed() < Duration::from_secs(15), "took {:?}: {}", began.elapsed(), delivery.note);
    assert!(!delivery.note.contains("canary") && delivery.note.contains("127.0.0.1:"), "{}", delivery.note);
    delivery
}

/// What is played, what comes of it, and a word of the note.
type Hooked = (&'static str, Vec<Play>, (Answer, Option<u16>), &'static str);

/// A webhook's answer: its class, its status and a word of its note.
async fn check_hook(
    what: &'static str,
    plays: Vec<Play>,
    expect: (Answer, Option<u16>),
    words: &'static str,
) {
    let server = Hostile::start(move |_| plays.clone()).await;
    let delivery = hook(&server.url(), None).await;
    assert_eq!((delivery.answer, delivery.status), expect, "{what}: {}", delivery.note);
    assert!(delivery.note.contains(words), "{what}: {}", delivery.note);
    assert!(delivery.note.len() <= 600, "{what}: {}", delivery.note);
    assert!(server.sent() < MOST_TAKEN, "{what}: {} bytes were taken", server.sent());
    assert_eq!(server.connections(), 1, "{what}: one attempt is one request");
}

#[tokio::test]
async fn a_webhook_is_sent_or_is_not_whatever_the_wire_does() {
    let (retry, sent) = ((Answer::Retry, None), (Answer::Sent, Some(200)));
    let no_end = with("x: y", b"");
    let drop = || Drip(whole(&" ".repeat(300)).into_bytes());
    let cases: Vec<Hooked> = vec![
        ("silence", vec![Hang], retry, "no answer within 2s"),
        ("slow headers", vec![Hear, drop()], retry, "no answer within 2s"),
        ("closed before the answer", vec![Hear], retry, "no answer: "),
        ("reset before the answer", vec![Hear, Reset], retry, "no answer: "),
        ("closed in the headers", vec![Hear, say("HTTP/1.1 20")], retry, "no answer: "),
        ("garbage", vec![Hear, say(b"\x00\xff\r\n\r\n".to_vec())], retry, "no answer: "),
        ("HTTP/0.9", vec![Hear, say("ok")], retry, "no answer: "),
        (
            "endless headers",
            vec![Hear, say("HTTP/1.1 200 X\r\n"), Endless(b"x: y\r\n".repeat(999))],
            retry,
            "no answer: ",
        ),
        // The status has decided; what fails in the body fails without consequence.
        ("a body cut off", vec![Hear, with("content-length: 500", b"half")], sent, "answered 200: half"),
        ("a body reset", vec![Hear, with("content-length: 500", b"half"), Reset], sent, "answered 200"),
        ("an endless body", vec![Hear, no_end.clone(), Endless(zeros(1 << 16))], sent, "answered 200: xxx"),
        ("a bomb", vec![Hear, with("content-encoding: gzip", b"\x1f\x8b\x08\x00")], sent, "answered 200"),
        (
            "500 and a body cut off",
            vec![Hear, say("HTTP/1.1 500 X\r\ncontent-length: 9\r\n\r\n")],
            (Answer::Retry, Some(500)),
            "answered 500",
        ),
    ];
    let mut all = tokio::task::JoinSet::new();
    for (what, plays, expect, words) in cases {
        all.spawn(check_hook(what, plays, expect, words));
    }
    all.join_all().await;
    let hole = BlackHole::new();
    let delivery = hook(&format!("http://127.0.0.1:{}", hole.port), None).await;
    assert_eq!(delivery.answer, Answer::Retry, "{}", delivery.note);
}

/// Everybody refuses the server: the endpoint's client, a webhook and a mail, each with `words`.
async fn check_tls(what: &str, tls: Arc<ServerConfig>, trusted: PathBuf, words: &str) {
    let server = Hostile::over_tls(tls, |_| vec![Hear, say(whole(BODY))]).await;
    let url = format!("https://127.0.0.1:{}", server.port);
    let trust = trusted.clone();
    let fetched = fetch(&url, Span::from_secs(4), move |options| {
        quick(options);
        options.ca_file = Some(trust);
    })
    .await;
    let fault = fetched.fault.unwrap();
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Transport, "tls"), "{what}: {fault:?}");
    assert!(fault.message.contains(words) && fault.message.starts_with(&url), "{what}: {fault:?}");
    let hooked = hook(&url, Some(trusted.clone())).await;
    let mailed = mail(server.port, Tls::Implicit, Some(trusted)).await;
    for delivery in [hooked, mailed] {
        assert_eq!(delivery.answer, Answer::Misconfigured, "{what}: {}", delivery.note);
        assert!(
            delivery.note.contains("tls: ") && delivery.note.contains(words),
            "{what}: {}",
            delivery.note
        );
    }
    assert_eq!(server.heard(), Vec::<String>::new(), "{what}: nothing is said to a stranger");
}

#[tokio::test]
async fn a_certificate_with_anything_wrong_is_refused_with_the_reason() {
    let (ours, other) = (Authority::new(), Authority::new());
    let says = |host, years| Says { host, years };
    check_tls("wrong host", ours.server(&says("example.com", GOOD.years)), ours.path(), "not valid for")
        .await;
    let fast = "unless this host's clock is fast";
    check_tls("expired", ours.server(&says(GOOD.host, (2001, 2002))), ours.path(), fast).await;
    let slow = "this host's clock is slow";
    check_tls("not yet valid", ours.server(&says(GOOD.host, (2090, 2091))), ours.path(), slow).await;
    check_tls("self-signed", authority::self_signed(), ours.path(), "UnknownIssuer").await;
    check_tls("unknown authority", other.server(&GOOD), ours.path(), "UnknownIssuer").await;
    let (weak, path) = authority::weak();
    check_tls("weak key", weak, path, "ignature").await;
    // The same road with nothing wrong.
    let server = Hostile::over_tls(ours.server(&GOOD), |_| good()).await;
    let url = format!("https://127.0.0.1:{}", server.port);
    let trust = ours.path();
    let fetched = fetch(&url, Span::from_secs(10), move |options| options.ca_file = Some(trust)).await;
    assert_eq!((fetched.readings[0].kind(), fetched.fault), (Kind::Online(1), None));
}

#[tokio::test]
async fn without_a_handshake_nothing_is_said() {
    let plain = Hostile::start(|_| vec![say("220 mail.test ESMTP\r\n"), Hang]).await;
    let silent = Hostile::start(|_| vec![Hang]).await;
    let words = "does not speak TLS";
    for (server, code, words) in [(&plain, "tls", words), (&silent, "timeout", "")] {
        let url = format!("https://127.0.0.1:{}", server.port);
        let fault = fetch(&url, Span::from_secs(4), quick).await.fault.unwrap();
        assert_eq!(fault.code, code, "{fault:?}");
        assert!(fault.message.contains(words), "{fault:?}");
    }
    for delivery in [
        hook(&format!("https://127.0.0.1:{}", plain.port), None).await,
        mail(plain.port, Tls::Implicit, None).await,
    ] {
        assert_eq!(delivery.answer, Answer::Misconfigured, "{}", delivery.note);
        assert!(delivery.note.contains(words), "{}", delivery.note);
    }
    for delivery in [
        hook(&format!("https://127.0.0.1:{}", silent.port), None).await,
        mail(silent.port, Tls::Implicit, None).await,
    ] {
        assert_eq!(delivery.answer, Answer::Retry, "{}", delivery.note);
    }
    let heard = silent.heard().concat();
    assert!(!heard.contains("POST") && !heard.contains("EHLO") && !heard.contains("canary"), "{heard}");
}
