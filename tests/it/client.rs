//! The client against a scripted neighbour on the loopback: what it sends, what it makes of every kind of answer,
//! and how often it asks. No test waits: the neighbour answers at once, and hangs only where the budget ends it.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seatwatch::aliyun::account::{self, Account};
use seatwatch::aliyun::credentials::Provider;
use seatwatch::aliyun::endpoint::Endpoint;
use seatwatch::aliyun::request::Signature;
use seatwatch::aliyun::sign::{Pairs, v1, v3};
use seatwatch::aliyun::transport::Options;
use seatwatch::config::walk;
use seatwatch::engine::names::{Asked, Names};
use seatwatch::engine::reading::{FaultClass, Fetched, Kind, Odd};
use seatwatch::engine::time::{Span, Time};
use seatwatch::secret::{Secret, SecretRef};
use seatwatch::source::Settings;
use seatwatch::source::aliyun_sag::AliyunSag;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const KEY_ID: &str = "LTAIcanaryid";
const KEY_SECRET: &str = "canarysecret";
const TOKEN: &str = "CAIS+canary/Token==~*%25 end";
const NOW: &str = "2026-11-22T03:05:00Z";
const DATE: &str = "date: Sun, 22 Nov 2026 03:05:00 GMT";

/// A request as the neighbour got it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    method: String,
    headers: Pairs,
    /// Of query and form, decoded.
    params: Pairs,
    query: Pairs,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    pub(crate) fn action(&self) -> &str {
        self.header("x-acs-action")
    }

    /// In the order of their numbers.
    pub(crate) fn names(&self) -> Vec<String> {
        let of = |i: usize| self.params.iter().find(|(n, _)| *n == format!("UserNames.{i}"));
        (1..).map_while(of).map(|(_, v)| v.clone()).collect()
    }

    fn nonce(&self) -> &str {
        if self.header("x-acs-signature-nonce").is_empty() {
            self.param("SignatureNonce")
        } else {
            self.header("x-acs-signature-nonce")
        }
    }
}

/// Raw bytes, after which the connection ends; none: silence.
pub(crate) type Script = dyn Fn(&Seen, usize) -> Option<Vec<u8>> + Send + Sync;

pub(crate) struct Neighbour {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Neighbour {
    pub(crate) async fn start(
        script: impl Fn(&Seen, usize) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&script), Arc::clone(&log)));
            }
        });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, script: Arc<Script>, log: Arc<Mutex<Vec<Seen>>>) {
    let mut bytes = Vec::new();
    let seen = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(seen) = parse(&String::from_utf8_lossy(&bytes)) {
            break seen;
        }
    };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(seen.clone());
        log.len()
    };
    match script(&seen, number) {
        Some(reply) => {
            let _ = stream.write_all(&reply).await;
            let _ = stream.shutdown().await;
        }
        // Until the client hangs up.
        None => drop(stream.read_buf(&mut bytes).await),
    }
}

fn parse(text: &str) -> Option<Seen> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let method = words.next()?.to_owned();
    let target = words.next()?;
    let pair = |line: &str| {
        line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).unwrap()
    };
    let headers: Pairs = lines.map(pair).collect();
    let decode = |text: &str| form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Pairs>();
    let query = decode(target.split_once('?').map_or("", |(_, query)| query));
    let mut seen = Seen { method, headers, query: query.clone(), params: query };
    if body.len() < seen.header("content-length").parse().unwrap_or(0) {
        return None;
    }
    seen.params.extend(decode(body));
    Some(seen)
}

pub(crate) fn http(status: u16, headers: &str, body: &str) -> Option<Vec<u8>> {
    let lines = if headers.is_empty() { String::new() } else { format!("{headers}\r\n") };
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\n{DATE}\r\ncontent-length: {length}\r\nconnection: close\r\n{lines}\r\n{body}"
    );
    Some(text.into_bytes())
}

fn error(status: u16, code: &str, message: &str) -> Option<Vec<u8>> {
    let body = serde_json::json!({"RequestId": "REQ", "HostId": "h", "Code": code, "Message": message});
    http(status, "", &body.to_string())
}

/// One client online for everyone who was asked about.
fn good(seen: &Seen) -> Option<Vec<u8>> {
    let entry = |name: &String| serde_json::json!({"UserName": name, "OnlineCount": "1"});
    let list: Vec<_> = seen.names().iter().map(entry).collect();
    http(
        200,
        "",
        &serde_json::json!({"RequestId": "REQ", "UserStatistics": {"Statistics": list}}).to_string(),
    )
}

fn source(url: &str, signature: Signature, token: Option<&str>) -> AliyunSag {
    source_with(url, signature, token, |_| ())
}

/// As [`source`], with other waits than those.
pub(crate) fn source_with(
    url: &str,
    signature: Signature,
    token: Option<&str>,
    change: impl FnOnce(&mut Options),
) -> AliyunSag {
    let text = format!(
        "name='s'\nkind='aliyun-sag'\nregion='cn-shanghai'\ninstance='sag-test'\nschedule='*/5 * * * *'\n\
         users=['a']\nendpoint='{url}'\n"
    );
    let read = |mut section: seatwatch::config::Section<'_>| Settings::read(&mut section);
    let (settings, problems) = walk("rules.toml", &text, std::path::Path::new("/"), read);
    let Some(Settings::AliyunSag(mut settings)) = settings.flatten() else { panic!("{problems:?}") };
    settings.endpoint = Endpoint::parse(url).unwrap();
    settings.signature = signature;
    let plain = |text: &str| SecretRef::Plain(Secret::new(text));
    let provider = Provider::Keys { id: plain(KEY_ID), secret: plain(KEY_SECRET), token: token.map(plain) };
    let account =
        account::Settings { name: "main".into(), provider, requests_per_second: 100.0, burst: 1000 };
    let account = Arc::new(Account::open(&account).unwrap());
    let mut options = settings.options();
    options.back_off = Duration::from_millis(1);
    change(&mut options);
    AliyunSag::open_with(&settings, account, &options).unwrap()
}

pub(crate) fn now() -> Time {
    NOW.parse().unwrap()
}

pub(crate) fn users(names: &[&str]) -> Asked {
    Asked::all(Arc::new(Names::new(names)))
}

fn many(count: usize) -> Asked {
    Asked::all(Arc::new(Names::new((0..count).map(|i| format!("user-{i:04}")))))
}

/// Fetches these users from a neighbour with this script.
async fn fetched(
    names: &Asked,
    script: impl Fn(&Seen, usize) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (Fetched, Vec<Seen>) {
    let neighbour = Neighbour::start(script).await;
    let source = source(&neighbour.url, Signature::V3, None);
    let fetched = source.fetch(names, now(), Span::from_secs(20)).await;
    assert_eq!(fetched.readings.len(), names.len());
    (fetched, neighbour.seen())
}

fn failed(fetched: &Fetched) -> usize {
    fetched.readings.iter().filter(|r| r.kind() == Kind::Failed).count()
}

#[tokio::test]
async fn a_v3_request_is_the_vendors_and_verifies() {
    for token in [None, Some(TOKEN)] {
        let neighbour = Neighbour::start(|seen, _| good(seen)).await;
        let source = source(&neighbour.url, Signature::V3, token);
        let names = users(&["doctest", "张三 +*~'()", "12"]);
        let fetched = source.fetch(&names, now(), Span::from_secs(20)).await;
        assert_eq!(fetched.fault, None);
        let seen = &neighbour.seen()[0];
        assert_eq!(seen.method, "POST");
        assert_eq!(seen.header("x-acs-action"), "DescribeUserOnlineClientStatistics");
        assert_eq!(seen.header("x-acs-version"), "2018-03-13");
        assert_eq!(seen.header("x-acs-date"), NOW);
        assert_eq!(seen.param("RegionId"), "cn-shanghai");
        assert_eq!(seen.param("SmartAGId"), "sag-test");
        assert_eq!(seen.names(), ["doctest", "张三 +*~'()", "12"]);
        assert_eq!(seen.header("x-acs-security-token"), token.unwrap_or(""));
        assert_eq!(seen.header("accept-encoding"), "identity");
        let sent = seen.header("authorization");
        let signed = sent.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
        let payload = seen.header("x-acs-content-sha256");
        let canonical = v3::canonical_request("POST", "/", &seen.query, &seen.headers, signed, payload);
        let signature = v3::signature(KEY_SECRET, &v3::string_to_sign(&canonical));
        assert_eq!(sent, v3::authorization(KEY_ID, signed, &signature), "as a gateway checks it");
    }
}

#[tokio::test]
async fn a_v1_request_is_a_form_and_verifies() {
    let neighbour = Neighbour::start(|seen, _| good(seen)).await;
    let source = source(&neighbour.url, Signature::V1, Some(TOKEN));
    let fetched = source.fetch(&users(&["doctest", "a b"]), now(), Span::from_secs(20)).await;
    assert_eq!(fetched.fault, None);
    let seen = &neighbour.seen()[0];
    assert_eq!(seen.query, [], "keys stay out of URLs");
    let expect = [
        ("Action", "DescribeUserOnlineClientStatistics"),
        ("Version", "2018-03-13"),
        ("Format", "JSON"),
        ("RegionId", "cn-shanghai"),
        ("SmartAGId", "sag-test"),
        ("UserNames.2", "a b"),
        ("AccessKeyId", KEY_ID),
        ("SecurityToken", TOKEN),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("Timestamp", NOW),
    ];
    for (name, value) in expect {
        assert_eq!(seen.param(name), value, "{name}");
    }
    let string = v1::string_to_sign("POST", &seen.params);
    assert_eq!(seen.param("Signature"), v1::signature(KEY_SECRET, &string));
}

#[tokio::test]
async fn the_vendors_samples_are_readings() {
    for sample in [include_str!("../data/statistics.json"), include_str!("../data/statistics.xml")] {
        let (fetched, _) = fetched(&users(&["doctest", "else"]), move |_, _| http(200, "", sample)).await;
        let kinds: Vec<_> = fetched.readings.iter().map(|r| r.kind()).collect();
        assert_eq!(kinds, [Kind::Online(0), Kind::Absent]);
        let batch = &fetched.batches[fetched.batch_of.get(1).unwrap() as usize];
        assert_eq!(batch.request_id, Some("14846A6A-2192-4F6A-B272-B8BD68EBC89B".into()));
        assert!(batch.fetched_at.since(now()) < Span::from_secs(20));
        assert!(fetched.skew.unwrap().millis().abs() < 20_000);
    }
}

/// A refusal that is not tried again: its class, one request, and a word of it in the message.
async fn check_refusal(status: u16, code: &'static str, class: FaultClass, says: &str) {
    let (fetched, seen) = fetched(&many(120), move |_, _| error(status, code, "The vendor's words.")).await;
    let fault = fetched.fault.clone().unwrap();
    assert_eq!((fault.class, fault.code.as_str()), (class, code));
    assert!(fault.message.starts_with("The vendor's words.") && fault.told().contains(says), "{fault:?}");
    assert_eq!((failed(&fetched), seen.len()), (120, 1), "{code}: one try, and no further batch");
}

#[tokio::test]
async fn refusals_are_not_repeated() {
    check_refusal(400, "SAG.InstanceIdEmpty", FaultClass::Request, "instance").await;
    check_refusal(400, "SAG.InstanceNoFound", FaultClass::Request, "instance").await;
    check_refusal(404, "InvalidAccessKeyId.NotFound", FaultClass::Credentials, "access_key_id").await;
    check_refusal(400, "InvalidSecurityToken.Expired", FaultClass::Credentials, "token").await;
    check_refusal(403, "Forbidden.RAM", FaultClass::Permission, "smartag:").await;
    check_refusal(400, "Forbbiden.SubUser", FaultClass::Permission, "smartag:").await;
    check_refusal(500, "SmartAccessGatewayInArrears", FaultClass::Account, "arrears").await;
    check_refusal(200, "SAG.InstanceNoFound", FaultClass::Request, "instance").await;
}

/// The first answer is broken, the second good: the second is taken, under another nonce.
async fn check_again(what: &str, broken: Option<Vec<u8>>) {
    let (fetched, seen) =
        fetched(&users(&["a"]), move |seen, n| if n == 1 { broken.clone() } else { good(seen) }).await;
    assert_eq!(fetched.readings[0].kind(), Kind::Online(1), "{what}: {:?}", fetched.fault);
    assert_eq!((seen.len(), fetched.requests, &fetched.fault), (2, 2, &None), "{what}");
    assert_ne!(seen[0].nonce(), seen[1].nonce(), "{what}");
}

#[tokio::test]
async fn passing_faults_are_tried_again() {
    check_again("throttled", error(400, "Throttling.User", "slow down")).await;
    check_again("throttled for 5 ms", http(503, "x-acs-retry-after: 5", "")).await;
    check_again("too many", http(429, "", "")).await;
    check_again("their trouble", error(403, "InternalError", "oops")).await;
    check_again("unavailable", http(503, "", "<html>down</html>")).await;
    check_again("nonce", error(400, "SignatureNonceUsed", "again")).await;
    check_again("clock", error(400, "InvalidTimeStamp.Expired", "late")).await;
    check_again("closed at once", Some(Vec::new())).await;
    check_again("garbage", Some(b"\x00\x01garbage\r\n\r\n".to_vec())).await;
    check_again("cut in the body", Some(b"HTTP/1.1 200 X\r\ncontent-length: 500\r\n\r\n{\"UserSta".to_vec()))
        .await;
    let short = "HTTP/1.1 200 X\r\ncontent-length: 60\r\n\r\n{\"UserStatistics\":{\"Statistics\":[{\"UserName\":\"a\",\"OnlineCount\":1}]}}";
    check_again("length too short", Some(short.into())).await;
    check_again("bad chunk", Some(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec()))
        .await;
    check_again("empty", http(200, "", "")).await;
    check_again("page", http(200, "", "<!DOCTYPE html><html/>")).await;
    check_again("no list", http(200, "", "{\"RequestId\":\"R\"}")).await;
}

/// Fails for good with one of our own codes.
async fn check_fault(
    code: &str,
    requests: usize,
    script: impl Fn(&Seen, usize) -> Option<Vec<u8>> + Send + Sync + 'static,
) {
    let (fetched, seen) = fetched(&users(&["a", "b"]), script).await;
    let fault = fetched.fault.clone().unwrap();
    assert_eq!((fault.code.as_str(), failed(&fetched), seen.len()), (code, 2, requests), "{fault:?}");
    assert!(!fault.message.contains("UserNames") && !fault.message.contains("canary"), "{fault:?}");
}

#[tokio::test]
async fn lasting_faults_have_a_name_and_an_end() {
    check_fault("malformed", 6, |_, _| http(200, "content-encoding: gzip", "\u{1f}\u{8b}")).await;
    check_fault("malformed", 6, |_, _| http(200, "", &" ".repeat((1 << 20) + 1))).await;
    check_fault("http-302", 1, |_, _| http(302, "location: http://127.0.0.1:9/", "")).await;
    check_fault("Throttling.Api", 6, |_, _| error(400, "Throttling.Api", "slow")).await;
    check_fault("SignatureNonceUsed", 2, |_, _| error(400, "SignatureNonceUsed", "again")).await;
    let gone = source("http://127.0.0.1:1", Signature::V3, None);
    let fetched = gone.fetch(&users(&["a"]), now(), Span::from_secs(20)).await;
    assert_eq!(fetched.fault.unwrap().code, "connect");
}

/// Ends well before the test's own limit.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.unwrap()
}

#[tokio::test]
async fn a_budget_ends_a_hanging_poll() {
    let neighbour = Neighbour::start(|_, _| None).await;
    let source = source(&neighbour.url, Signature::V3, None);
    let began = Instant::now();
    let fetched = in_time(source.fetch(&many(500), now(), Span::from_millis(200))).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(failed(&fetched), 500);
    assert_eq!(fetched.fault.unwrap().code, "timeout");
}

#[tokio::test]
async fn a_wait_beyond_the_budget_is_not_begun() {
    let neighbour = Neighbour::start(|_, _| http(429, "retry-after: 50", "")).await;
    let source = source(&neighbour.url, Signature::V3, None);
    let fetched = in_time(source.fetch(&users(&["a"]), now(), Span::from_secs(8))).await;
    assert_eq!((fetched.fault.unwrap().class, neighbour.seen().len()), (FaultClass::Throttled, 1));
}

#[tokio::test]
async fn a_wrong_clock_is_named_and_signed_around() {
    let late = |seen: &Seen, _| {
        if seen.header("x-acs-date") < "2026-11-22T04:04:00Z" {
            let body = r#"{"Code":"InvalidTimeStamp.Expired","Message":"late"}"#;
            let text = format!(
                "HTTP/1.1 400 X\r\ndate: Sun, 22 Nov 2026 04:05:00 GMT\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            return Some(text.into_bytes());
        }
        good(seen)
    };
    let (first, seen) = fetched(&users(&["a"]), late).await;
    assert_eq!((first.fault, seen.len()), (None, 2));
    let (never, seen) = fetched(&users(&["a"]), |_, _| {
        let reply = error(400, "InvalidTimeStamp.Expired", "late").unwrap();
        Some(String::from_utf8(reply).unwrap().replace("03:05:00", "04:05:00").into_bytes())
    })
    .await;
    let fault = never.fault.unwrap();
    assert_eq!((fault.class, seen.len()), (FaultClass::Clock, 2));
    assert!(
        fault.message.contains(" s behind the vendor's") && fault.message.contains("(it is 360"),
        "{fault:?}"
    );
    assert!(never.skew.unwrap() > Span::from_mins(59));
}

#[tokio::test]
async fn batches_are_of_fifty_and_fail_alone() {
    let (fetched, seen) = fetched(&many(320), |seen, _| {
        if seen.names().contains(&"user-0120".to_owned()) {
            error(400, "InvalidParameter", "?")
        } else {
            good(seen)
        }
    })
    .await;
    assert_eq!(seen.len(), 7);
    assert!(seen.iter().all(|seen| seen.names().len() <= 50));
    let nonces: HashSet<_> = seen.iter().map(Seen::nonce).collect();
    assert_eq!(nonces.len(), 7);
    for (at, reading) in fetched.readings.iter().enumerate() {
        let expect = if (100..150).contains(&at) { Kind::Failed } else { Kind::Online(1) };
        assert_eq!(reading.kind(), expect, "{at}");
    }
    assert_eq!((fetched.batches.len(), fetched.requests), (6, 7));
    assert_eq!(fetched.fault.unwrap().class, FaultClass::Request);
}

/// These of fifty names are refused: they are found, the others read, with at most so many requests.
async fn check_bisect(bad: &[usize], at_most: usize) {
    let names = many(50);
    let refused: HashSet<String> = bad.iter().map(|&at| names.name(at).to_owned()).collect();
    let (fetched, seen) = fetched(&names, move |seen, _| {
        if seen.names().iter().any(|name| refused.contains(name)) {
            error(400, "ClientUser.NameInvalid", "The specified UserName is invalid.")
        } else {
            good(seen)
        }
    })
    .await;
    let found: Vec<_> = fetched.refused.iter().map(|at| *at as usize).collect();
    assert_eq!((found.as_slice(), &fetched.fault), (bad, &None));
    for (at, reading) in fetched.readings.iter().enumerate() {
        let expect = if bad.contains(&at) { Kind::NotPolled } else { Kind::Online(1) };
        assert_eq!(reading.kind(), expect, "{at} of {bad:?}");
    }
    assert!(seen.len() <= at_most, "{bad:?}: {} requests", seen.len());
}

#[tokio::test]
async fn a_refused_name_is_found_and_the_others_are_read() {
    for at in 0..50 {
        check_bisect(&[at], 1 + 11).await;
    }
    check_bisect(&[0, 49], 1 + 22).await;
    check_bisect(&[7, 8, 31], 1 + 33).await;
    let all: Vec<_> = (0..50).collect();
    check_bisect(&all, 1 + 100).await;
}

#[tokio::test]
async fn looking_for_refused_names_has_an_end() {
    let (fetched, seen) =
        fetched(&many(400), |_, _| error(400, "ClientUser.NameEmpty", "You must specify UserName.")).await;
    assert!(seen.len() <= 8 + 100, "{} requests", seen.len());
    let fault = fetched.fault.clone().unwrap();
    assert!(fault.class == FaultClass::Request && fault.message.contains("too many"), "{fault:?}");
    assert_eq!(failed(&fetched) + fetched.refused.len(), 400);
}

#[tokio::test]
async fn names_are_joined_by_their_bytes() {
    let body = r#"{"UserStatistics":{"Statistics":[
        {"UserName":"twice","OnlineCount":2},{"UserName":"extra","OnlineCount":9},{"UserName":"Case","OnlineCount":3},
        {"UserName":"odds","OnlineCount":1},{"UserName":"twice","OnlineCount":"2"},{"UserName":"odds","OnlineCount":2},
        {"UserName":"bad","OnlineCount":-1},{"UserName":"fine","OnlineCount":0}]}}"#;
    let names = users(&["fine", "bad", "twice", "odds", "case", "gone"]);
    let (fetched, _) = fetched(&names, move |_, _| http(200, "", body)).await;
    let kinds: Vec<_> = fetched.readings.iter().map(|r| r.kind()).collect();
    assert_eq!(
        kinds,
        [Kind::Online(0), Kind::Failed, Kind::Online(2), Kind::Failed, Kind::Absent, Kind::Absent]
    );
    assert_eq!((fetched.extra, fetched.fault), (2, None));
    let case = Odd::OtherCase { asked: "case".to_owned(), came: "Case".to_owned() };
    assert_eq!(fetched.odd, [Odd::Extra("extra".to_owned()), case, Odd::Twice("odds".to_owned())]);
}

/// A reply that is none is quoted from its beginning, harmlessly, and never taken for a list.
async fn check_quoted(body: &'static str, quote: &str) {
    let (fetched, seen) = fetched(&users(&["a"]), move |_, _| http(200, "", body)).await;
    let fault = fetched.fault.clone().unwrap();
    assert_eq!((fault.code.as_str(), failed(&fetched), seen.len()), ("malformed", 1, 6), "{fault:?}");
    assert!(fault.message.contains(quote) && fault.message.len() < 600, "{fault:?}");
    assert!(!fault.message.contains(char::is_control), "{fault:?}");
}

#[tokio::test]
async fn what_came_instead_of_a_reply_is_quoted() {
    check_quoted(
        "<!DOCTYPE html><p>\u{1b}[31mlogin\r\nplease",
        "it starts with \"<!DOCTYPE html><p> [31mlogin  please\"",
    )
    .await;
    check_quoted("", "the reply is empty").await;
    check_quoted("42", "it starts with \"42\"").await;
    check_quoted(r#"{"UserStatistics":{"Statistics":[]}} and more"#, "it starts with").await;
}

#[tokio::test]
async fn refused_keys_rest_after_the_third_refusal() {
    let accepts = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let knows = Arc::clone(&accepts);
    let neighbour = Neighbour::start(move |seen, _| match knows.load(std::sync::atomic::Ordering::Relaxed) {
        true => good(seen),
        false => error(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."),
    })
    .await;
    let same = source(&neighbour.url, Signature::V3, None);
    let mut asked = Vec::new();
    for n in 0..40 {
        let before = neighbour.seen().len();
        let at = now() + Span::from_mins(n);
        let fetched = same.fetch(&users(&["a"]), at, Span::from_secs(20)).await;
        let fault = fetched.fault.unwrap();
        assert_eq!(
            (fault.class, fault.code.as_str()),
            (FaultClass::Credentials, "InvalidAccessKeyId.NotFound")
        );
        match neighbour.seen().len() - before {
            0 => assert!(fault.message.contains("(not asked again before 2026-11-22T03:"), "{fault:?}"),
            1 => asked.push(n),
            many => panic!("{many} requests in one poll"),
        }
    }
    assert_eq!(asked, [0, 1, 2, 17, 32], "a try a poll, then every 15 minutes");
    // Whoever reloads has looked at it: the account is opened anew.
    let other = source(&neighbour.url, Signature::V3, None);
    let _ = other.fetch(&users(&["a"]), now() + Span::from_mins(40), Span::from_secs(20)).await;
    assert_eq!(neighbour.seen().len(), 6);
    // A clock that was set back forbids nothing, and keys that are good again are used at once.
    accepts.store(true, std::sync::atomic::Ordering::Relaxed);
    for at in [now() - Span::from_hours(5), now() + Span::from_mins(33)] {
        let fetched = same.fetch(&users(&["a"]), at, Span::from_secs(20)).await;
        assert_eq!(fetched.fault, None);
    }
}

#[tokio::test]
async fn what_the_vendor_echoes_is_not_repeated() {
    for signature in [Signature::V1, Signature::V3] {
        for (secret, advice) in
            [(KEY_SECRET, "access_key_secret is wrong"), ("other", "signed another string")]
        {
            let neighbour = Neighbour::start(move |seen, _| {
                let string = if secret == "other" {
                    format!("POST&%2F&AccessKeyId%3D{KEY_ID}%26SecurityToken%3D{TOKEN}")
                } else if signature == Signature::V1 {
                    v1::string_to_sign("POST", &seen.params)
                } else {
                    let signed = seen.header("authorization").split("SignedHeaders=").nth(1).unwrap();
                    let signed = signed.split(',').next().unwrap();
                    let payload = seen.header("x-acs-content-sha256");
                    v3::canonical_request("POST", "/", &seen.query, &seen.headers, signed, payload)
                };
                let echo = format!("Specified signature is not matched with our calculation. server StringToSign is [{string}] key {KEY_ID} {TOKEN}");
                error(400, "SignatureDoesNotMatch", &echo)
            })
            .await;
            let source = source(&neighbour.url, signature, Some(TOKEN));
            let fault = source.fetch(&users(&["a"]), now(), Span::from_secs(20)).await.fault.unwrap();
            assert_eq!(fault.class, FaultClass::Credentials);
            assert!(fault.told().contains(advice), "{fault:?}");
            assert!(!fault.message.contains("canary"), "{fault:?}");
            assert_eq!(neighbour.seen().len(), 1);
        }
    }
}

#[tokio::test]
async fn clients_of_a_user_are_listed() {
    let neighbour = Neighbour::start(|_, _| {
        http(200, "", r#"{"Users":{"User":[{"ClientIp":"10.0.0.1","OnlineTime":"1586400000"}]}}"#)
    })
    .await;
    let source = source(&neighbour.url, Signature::V3, None);
    let clients = source.clients("doctest", now(), Span::from_secs(20)).await.unwrap();
    assert_eq!((clients.len(), clients[0].address.as_str()), (1, "10.0.0.1"));
    let seen = &neighbour.seen()[0];
    assert_eq!(seen.header("x-acs-action"), "DescribeUserOnlineClients");
    assert_eq!((seen.param("UserName"), seen.param("SmartAGId")), ("doctest", "sag-test"));
}
