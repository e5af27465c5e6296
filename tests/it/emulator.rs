//! The emulator over a socket: requests as the vendor's SDKs send them, and requests nobody should send.
//!
//! Neighbours: `aliyun::sign` signs here, its known answers are replayed; no client of ours is in between. A part of
//! its own so that what the emulator refuses is proven apart from what our client would ever ask.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use seatwatch::aliyun::sign::{self, Pairs, v1, v3};
use seatwatch::emulator::{Clock, Emulator, Settings};
use seatwatch::engine::time::{Span, Time};
use seatwatch::secret::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const NOW: &str = "2026-01-02T03:04:05Z";

/// One running emulator with a clock that stands still.
struct World {
    address: String,
    clock: Arc<AtomicI64>,
    nonces: AtomicU64,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        assert!(self.head.contains("content-type: application/json;charset=utf-8"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// The error code, or `fine`.
    fn code(&self) -> String {
        self.json()["Code"].as_str().unwrap_or("fine").to_owned()
    }
}

impl World {
    fn new(scenario: &str) -> Self {
        Self::with(Settings { scenario: scenario.parse().unwrap(), ..Settings::default() })
    }

    fn with(settings: Settings) -> Self {
        let start: Time = NOW.parse().unwrap();
        let clock = Arc::new(AtomicI64::new(start.millis()));
        let hand = Arc::clone(&clock);
        let read: Clock = Arc::new(move || Time::from_millis(hand.load(Ordering::Relaxed)));
        let settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), ..settings };
        let (address, emulator) = Emulator::bind(settings, start, read).unwrap();
        tokio::spawn(emulator.serve(std::future::pending()));
        Self { address: address.to_string(), clock, nonces: AtomicU64::new(0) }
    }

    fn pass(&self, span: Span) {
        self.clock.fetch_add(span.millis(), Ordering::Relaxed);
    }

    /// The clock as a client writes it: whole seconds.
    fn stamp(&self) -> String {
        let now = Time::from_millis(self.clock.load(Ordering::Relaxed));
        Time::from_millis(now.seconds() * 1000).to_string()
    }

    fn nonce(&self) -> String {
        format!("nonce-{}", self.nonces.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends these bytes and reads to the end; `None` if the connection was closed without an answer.
    async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Option<Answer> {
        let mut text = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !headers.iter().any(|(name, _)| name == "host") {
            text.push_str(&format!("host: {}\r\n", self.address));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        // A cut connection ends or is reset; both are no answer.
        let _ = stream.read_to_end(&mut got).await;
        let got = String::from_utf8(got).unwrap();
        let (head, body) = got.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
    }

    async fn v1(&self, how: How, change: impl FnOnce(&mut Pairs)) -> Answer {
        let mut params = statistics(&["doctest"]);
        params.extend(pairs(&[
            ("Action", "DescribeUserOnlineClientStatistics"),
            ("Version", "2018-03-13"),
            ("Format", "JSON"),
            ("AccessKeyId", "testid"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", &self.nonce()),
            ("Timestamp", &self.stamp()),
        ]));
        change(&mut params);
        let method = if how == How::Get { "GET" } else { "POST" };
        let signature = v1::signature("testsecret", &v1::string_to_sign(method, &params));
        if !params.iter().any(|(name, _)| name == "Signature") {
            params.push(("Signature".into(), signature));
        }
        // `+` for a space, as the vendor's Python SDK writes it.
        let query = sign::query(params.iter()).replace("%20", "+");
        let form = pairs(&[("content-type", "application/x-www-form-urlencoded; charset=utf-8")]);
        match how {
            How::Form => self.send(method, "/", &form, &query).await.unwrap(),
            How::Get => self.send(method, &format!("/?{query}"), &[], "").await.unwrap(),
            How::Post => {
                // Two of the vendor's SDKs name the action in a header as well, though V1 does not ask for it.
                let named = pairs(&[("x-acs-action", STATISTICS), ("x-acs-version", "2018-03-13")]);
                self.send(method, &format!("/?{query}"), &named, "").await.unwrap()
            }
        }
    }

    /// A V3 request with all headers of the vendor's Python SDK; `change` may alter headers before they are signed.
    async fn v3(
        &self,
        how: How,
        action: &str,
        params: Pairs,
        change: impl FnOnce(&mut Pairs),
    ) -> Option<Answer> {
        let method = if how == How::Get { "GET" } else { "POST" };
        let wire = sign::query(params.iter()).replace("%20", "+");
        let body = if how == How::Form { wire.as_str() } else { "" };
        let mut headers = pairs(&[
            ("host", &self.address),
            ("accept", "application/json"),
            ("user-agent", "AlibabaCloud (Linux; x86_64) Python/3.12"),
            ("x-acs-action", action),
            ("x-acs-version", "2018-03-13"),
            ("x-acs-date", &self.stamp()),
            ("x-acs-signature-nonce", &self.nonce()),
            ("x-acs-content-sha256", &v3::digest(body.as_bytes())),
        ]);
        if how == How::Form {
            headers.extend(pairs(&[("content-type", "application/x-www-form-urlencoded")]));
        }
        change(&mut headers);
        let signed = v3::signed_headers(&headers);
        let query = if how == How::Form { &[][..] } else { &params[..] };
        let canonical =
            v3::canonical_request(method, "/", query, &headers, &signed, &v3::digest(body.as_bytes()));
        let signature = v3::signature("testsecret", &v3::string_to_sign(&canonical));
        headers.push(("authorization".into(), v3::authorization("testid", &signed, &signature)));
        let target = if how == How::Form { "/".to_owned() } else { format!("/?{wire}") };
        self.send(method, &target, &headers, body).await
    }

    /// The counts of these names as the emulator words them.
    async fn counts(&self, names: &[&str]) -> serde_json::Value {
        let answer = self.v3(How::Post, STATISTICS, statistics(names), |_| {}).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (200, "fine"), "{}", answer.body);
        answer.json()["UserStatistics"]["Statistics"].take()
    }

    async fn code(&self, action: &str, params: Pairs) -> String {
        self.v3(How::Post, action, params, |_| {}).await.unwrap().code()
    }
}

const STATISTICS: &str = "DescribeUserOnlineClientStatistics";
const CLIENTS: &str = "DescribeUserOnlineClients";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Get,
    Post,
    Form,
}

fn pairs(list: &[(&str, &str)]) -> Pairs {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn statistics(names: &[&str]) -> Pairs {
    let mut params = pairs(&[("RegionId", "cn-shanghai"), ("SmartAGId", "sag-demo")]);
    params.extend((1..).zip(names).map(|(n, name)| (format!("UserNames.{n}"), (*name).to_owned())));
    params
}

fn set(params: &mut Pairs, name: &str, value: &str) {
    params.retain(|(other, _)| other != name);
    params.push((name.to_owned(), value.to_owned()));
}

#[tokio::test]
async fn each_way_of_asking_is_answered() {
    let world = World::new("");
    for how in [How::Get, How::Post, How::Form] {
        for answer in [
            world.v1(how, |_| {}).await,
            world.v3(how, STATISTICS, statistics(&["doctest"]), |_| {}).await.unwrap(),
        ] {
            assert_eq!(answer.status, 200, "{how:?}: {}", answer.body);
            let json = answer.json();
            let expect = serde_json::json!([{ "UserName": "doctest", "OnlineCount": "1" }]);
            assert_eq!(json["UserStatistics"]["Statistics"], expect);
            let id = json["RequestId"].as_str().unwrap().to_ascii_lowercase();
            assert!(answer.head.contains(&format!("x-acs-request-id: {id}")), "{}", answer.head);
            assert!(answer.head.contains("date: fri, 02 jan 2026 03:04:05 gmt"), "{}", answer.head);
        }
    }
}

/// The vendor's own signatures, byte for byte as its SDKs put them on the wire.
#[tokio::test]
async fn known_signatures_are_let_through() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/signature-vectors.json");
    let all: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut seen = 0;
    for vector in all["vectors"].as_array().unwrap() {
        let text = |key: &str| vector[key].as_str().unwrap_or_default();
        if text("timestamp") != NOW || text("wire_url").is_empty() {
            continue;
        }
        let token = vector["security_token"].as_str().map(Secret::new);
        let world = World::with(Settings { security_token: token, ..Settings::default() });
        let mut headers: Pairs = match vector["headers"].as_object() {
            Some(map) => {
                map.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.as_str().unwrap().to_owned())).collect()
            }
            None => pairs(&[("host", text("host"))]),
        };
        if !text("authorization").is_empty() {
            set(&mut headers, "authorization", text("authorization"));
        } else if !text("wire_body").is_empty() {
            set(&mut headers, "content-type", "application/x-www-form-urlencoded");
        }
        let target =
            text("wire_url").split_once('?').map_or("/".to_owned(), |(_, query)| format!("/?{query}"));
        let answer = world.send(text("method"), &target, &headers, text("wire_body")).await.unwrap();
        let code = answer.code();
        let past_the_gate = code == "fine" || code.starts_with("SAG.") || code.starts_with("ClientUser.");
        assert!(past_the_gate || code == "InvalidAction.NotFound", "{}: {}", text("id"), answer.body);
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}

#[tokio::test]
async fn the_gate_refuses_v1_with_the_vendors_codes() {
    type Change = fn(&mut Pairs);
    let cases: [(&str, u16, Change); 15] = [
        ("InvalidAccessKeyId.NotFound", 404, |p| set(p, "AccessKeyId", "other")),
        ("SignatureDoesNotMatch", 400, |p| set(p, "Signature", "AAAA")),
        ("MissingParameter", 400, |p| set(p, "Signature", "")),
        ("MissingParameter", 400, |p| p.retain(|(name, _)| name != "AccessKeyId")),
        ("MissingParameter", 400, |p| p.retain(|(name, _)| name != "Action")),
        ("MissingParameter", 400, |p| p.retain(|(name, _)| name != "Timestamp")),
        ("IncompleteSignature", 400, |p| set(p, "SignatureMethod", "HMAC-MD5")),
        ("InvalidVersion", 400, |p| set(p, "Version", "2017-01-01")),
        ("InvalidAction.NotFound", 404, |p| set(p, "Action", "KickOutEverybody")),
        ("InvalidTimeStamp.Format", 400, |p| set(p, "Timestamp", "2026-01-02 03:04:05")),
        ("InvalidTimeStamp.Format", 400, |p| set(p, "Timestamp", "2026-01-02T03:04:05.000Z")),
        ("InvalidTimeStamp.Expired", 400, |p| set(p, "Timestamp", "2026-01-02T02:49:04Z")),
        ("InvalidTimeStamp.Expired", 400, |p| set(p, "Timestamp", "2026-01-02T03:19:06Z")),
        ("fine", 200, |p| set(p, "Timestamp", "2026-01-02T03:19:05Z")),
        ("InvalidSecurityToken.MismatchWithAccessKey", 400, |p| set(p, "SecurityToken", "t")),
    ];
    let world = World::new("");
    for (code, status, change) in cases {
        let answer = world.v1(How::Get, change).await;
        assert_eq!((answer.code().as_str(), answer.status), (code, status), "{}", answer.body);
    }
}

#[tokio::test]
async fn the_gate_refuses_v3_with_the_vendors_codes() {
    type Change = fn(&mut Pairs);
    let cases: [(&str, Change); 9] = [
        ("MissingParameter", |h| h.retain(|(name, _)| name != "x-acs-action")),
        ("MissingParameter", |h| h.retain(|(name, _)| name != "x-acs-date")),
        ("MissingParameter", |h| h.retain(|(name, _)| name != "x-acs-content-sha256")),
        ("InvalidVersion", |h| set(h, "x-acs-version", "1")),
        ("InvalidTimeStamp.Expired", |h| set(h, "x-acs-date", "2026-01-02T02:00:00Z")),
        ("IncompleteSignature", |h| h.retain(|(name, _)| name != "host")),
        ("SignatureDoesNotMatch", |h| set(h, "x-acs-content-sha256", &v3::digest(b"other"))),
        ("InvalidSecurityToken.MismatchWithAccessKey", |h| set(h, "x-acs-security-token", "t")),
        ("fine", |h| h.retain(|(name, _)| name != "accept" && name != "user-agent")),
    ];
    let world = World::new("");
    for (code, change) in cases {
        let answer = world.v3(How::Post, STATISTICS, statistics(&["doctest"]), change).await.unwrap();
        assert_eq!(answer.code(), code, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_digest_of_another_body_does_not_pass() {
    let world = World::new("");
    let headers = pairs(&[
        ("host", &world.address),
        ("x-acs-action", STATISTICS),
        ("x-acs-version", "2018-03-13"),
        ("x-acs-date", NOW),
        ("x-acs-signature-nonce", "n"),
        ("x-acs-content-sha256", &v3::digest(b"a=1")),
        ("content-type", "application/x-www-form-urlencoded"),
    ]);
    let signed = v3::signed_headers(&headers);
    let canonical = v3::canonical_request("POST", "/", &[], &headers, &signed, &v3::digest(b"a=1"));
    let signature = v3::signature("testsecret", &v3::string_to_sign(&canonical));
    for (body, changed) in [("a=2", true), ("a=1", false)] {
        let mut headers = headers.clone();
        headers.push(("authorization".into(), v3::authorization("testid", &signed, &signature)));
        let code = world.send("POST", "/", &headers, body).await.unwrap().code();
        assert_eq!(code == "SignatureDoesNotMatch", changed, "{body}: {code}");
    }
}

#[tokio::test]
async fn a_wrong_signature_is_told_what_would_have_been_signed() {
    let world = World::new("");
    let answer = world.v1(How::Get, |p| set(p, "Signature", "AAAA")).await;
    let message = answer.json()["Message"].as_str().unwrap().to_owned();
    let (_, string) = message.split_once("server string to sign is:").unwrap();
    assert!(string.starts_with("GET&%2F&AccessKeyId%3Dtestid%26Action%3D"), "{string}");
    let json = answer.json();
    assert_eq!(json["HostId"], world.address.as_str());
    assert!(json["RequestId"].is_string() && json["Recommend"].as_str().unwrap().starts_with("https://"));
}

#[tokio::test]
async fn a_nonce_serves_once_and_a_refused_one_is_not_used_up() {
    let world = World::new("");
    let with = |nonce: &'static str, signature: Option<&'static str>| {
        move |params: &mut Pairs| {
            set(params, "SignatureNonce", nonce);
            if let Some(signature) = signature {
                set(params, "Signature", signature);
            }
        }
    };
    assert_eq!(world.v1(How::Get, with("n", Some("AAAA"))).await.code(), "SignatureDoesNotMatch");
    assert_eq!(world.v1(How::Get, with("n", None)).await.code(), "fine");
    assert_eq!(world.v1(How::Post, with("n", None)).await.code(), "SignatureNonceUsed");
    world.pass(Span::from_mins(31));
    assert_eq!(world.v1(How::Get, with("n", None)).await.code(), "fine");
}

#[tokio::test]
async fn tokens_are_asked_for_and_expire() {
    let scenario = "token_expires = \"10m\"".parse().unwrap();
    let token = Some(Secret::new("CAIS+t/=="));
    let world = World::with(Settings { security_token: token, scenario, ..Settings::default() });
    assert_eq!(world.v1(How::Get, |_| {}).await.code(), "MissingSecurityToken");
    assert_eq!(world.v1(How::Get, |p| set(p, "SecurityToken", "CAIS+t/==")).await.code(), "fine");
    let code = world.v1(How::Get, |p| set(p, "SecurityToken", "other")).await.code();
    assert_eq!(code, "InvalidSecurityToken.MismatchWithAccessKey");
    let code = world.v1(How::Get, |p| set(p, "SecurityToken", "a\u{1}b")).await.code();
    assert_eq!(code, "InvalidSecurityToken.Malformed");
    world.pass(Span::from_mins(10));
    let code = world.v1(How::Get, |p| set(p, "SecurityToken", "CAIS+t/==")).await.code();
    assert_eq!(code, "InvalidSecurityToken.Expired");
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let world = World::new("");
    for (method, target, code) in [
        ("PUT", "/", "UnsupportedHTTPMethod"),
        ("DELETE", "/?Action=X", "UnsupportedHTTPMethod"),
        ("GET", "/other", "InvalidApi.NotFound"),
        ("GET", "/", "MissingParameter"),
    ] {
        assert_eq!(world.send(method, target, &[], "").await.unwrap().code(), code, "{method} {target}");
    }
    let bearer =
        pairs(&[("authorization", "Bearer x"), ("x-acs-action", "X"), ("x-acs-version", "2018-03-13")]);
    assert_eq!(world.send("GET", "/", &bearer, "").await.unwrap().code(), "IncompleteSignature");
}

#[tokio::test]
async fn parameters_are_checked_as_documented() {
    let world = World::new("");
    let long = "a".repeat(65);
    let at_most = "a".repeat(64);
    for (name, code) in [
        ("", "ClientUser.NameInvalid"),
        ("a b", "ClientUser.NameInvalid"),
        ("a+b", "ClientUser.NameInvalid"),
        ("a\r\nb", "ClientUser.NameInvalid"),
        ("<b>", "ClientUser.NameInvalid"),
        (long.as_str(), "ClientUser.NameInvalid"),
        (at_most.as_str(), "fine"),
        ("alice@example.com_-.", "fine"),
        ("张伟", "fine"),
        ("Zoë", "fine"),
        ("😀", "ClientUser.NameInvalid"),
    ] {
        assert_eq!(world.code(STATISTICS, statistics(&["doctest", name])).await, code, "{name:?}");
    }
    assert_eq!(world.code(STATISTICS, statistics(&[])).await, "ClientUser.NameEmpty");
    for (name, value, code) in [
        ("SmartAGId", "", "SAG.InstanceIdEmpty"),
        ("SmartAGId", "sag-other", "SAG.InstanceNoFound"),
        ("RegionId", "", "MissingParameter"),
    ] {
        let mut params = statistics(&["doctest"]);
        set(&mut params, name, value);
        assert_eq!(world.code(STATISTICS, params).await, code, "{name}");
    }
    let many: Vec<_> = (1..=51).map(|n| format!("user-{n:04}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(world.code(STATISTICS, statistics(&many)).await, "InvalidParameter.UserNames");
    let counts = world.counts(&many[..50]).await;
    let names: Vec<_> =
        counts.as_array().unwrap().iter().map(|row| row["UserName"].as_str().unwrap()).collect();
    assert_eq!(names, many[..50]);
    assert_eq!(world.counts(&["nobody"]).await, serde_json::json!([]), "unknown names are left out");
}

#[tokio::test]
async fn xml_says_the_same() {
    let world = World::new("[[user]]\nname = \"张伟\"\nonline = [[0, 3]]");
    let mut params = statistics(&["doctest", "张伟"]);
    set(&mut params, "Format", "xml");
    let answer = world.v3(How::Get, STATISTICS, params, |_| {}).await.unwrap();
    assert!(answer.head.contains("content-type: text/xml;charset=utf-8\r\n"), "{}", answer.head);
    let (start, rest) = answer.body.split_once("<RequestId>").unwrap();
    let (_, rest) = rest.split_once("</RequestId>").unwrap();
    assert!(start.ends_with("<DescribeUserOnlineClientStatisticsResponse>"), "{start}");
    assert_eq!(
        rest,
        "<UserStatistics><Statistics><UserName>doctest</UserName><OnlineCount>1</OnlineCount></Statistics>\
         <Statistics><UserName>张伟</UserName><OnlineCount>3</OnlineCount></Statistics></UserStatistics>\
         </DescribeUserOnlineClientStatisticsResponse>"
    );
    let accept = |headers: &mut Pairs| set(headers, "accept", "text/xml");
    let answer = world.v3(How::Get, STATISTICS, statistics(&["<&>"]), accept).await.unwrap();
    assert!(answer.body.contains("<Error><RequestId>"), "{}", answer.body);
    assert!(answer.body.contains("<Code>ClientUser.NameInvalid</Code>"), "{}", answer.body);
}

#[tokio::test]
async fn clients_are_listed_as_they_are_counted() {
    let world = World::new("[[user]]\nname = \"alice\"\nonline = [[0, 1], [\"10m\", 3]]\n");
    world.pass(Span::from_mins(12));
    let ask =
        |name: &str| pairs(&[("RegionId", "cn-shanghai"), ("SmartAGId", "sag-demo"), ("UserName", name)]);
    let answer = world.v3(How::Post, CLIENTS, ask("alice"), |_| {}).await.unwrap().json();
    let start = NOW.parse::<Time>().unwrap().seconds();
    let list = answer["Users"]["User"].as_array().unwrap();
    let since: Vec<_> = list.iter().map(|client| client["OnlineTime"].as_str().unwrap().to_owned()).collect();
    assert_eq!(since, [start, start + 600, start + 600].map(|seconds| seconds.to_string()));
    let answer = world.v3(How::Post, CLIENTS, ask("doctest"), |_| {}).await.unwrap().json();
    assert!(answer["Users"]["User"][0]["ClientIp"].as_str().unwrap().starts_with("10."), "{answer}");
    assert_eq!(world.code(CLIENTS, ask("nobody")).await, "fine");
    assert_eq!(world.code(CLIENTS, ask("a b")).await, "ClientUser.NameInvalid");
    assert_eq!(world.code(CLIENTS, ask("")).await, "ClientUser.NameEmpty");
}

#[tokio::test]
async fn the_script_sets_counts_at_the_emulators_speed() {
    let script = "count_type = \"number\"\n[[user]]\nname = \"alice\"\nonline = [[0, 1], [\"10m\", 5], [\"40m\", \"absent\"]]";
    let world =
        World::with(Settings { scenario: script.parse().unwrap(), speed: 60.0, ..Settings::default() });
    let alice = |count: u32| serde_json::json!([{ "UserName": "alice", "OnlineCount": count }]);
    assert_eq!(world.counts(&["alice"]).await, alice(1));
    world.pass(Span::from_secs(10));
    assert_eq!(world.counts(&["alice"]).await, alice(5));
    world.pass(Span::from_secs(30));
    assert_eq!(world.counts(&["alice"]).await, serde_json::json!([]));
}

#[tokio::test]
async fn too_many_requests_are_throttled() {
    let world = World::with(Settings { requests_per_second: 2, ..Settings::default() });
    world.counts(&["doctest"]).await;
    world.counts(&["doctest"]).await;
    let answer = world.v3(How::Post, STATISTICS, statistics(&["doctest"]), |_| {}).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (400, "Throttling.User"));
    assert!(answer.head.contains("x-acs-retry-after: 500"), "{}", answer.head);
    world.pass(Span::from_millis(500));
    world.counts(&["doctest"]).await;
}

#[tokio::test]
async fn planted_faults_come_and_go() {
    let world = World::new(
        r#"
        [[fault]]
        after = "1m"
        for = "1m"
        kind = "throttle"
        [[fault]]
        after = "2m"
        for = "1m"
        kind = "error"
        code = "Forbidden.RAM"
        [[fault]]
        after = "3m"
        for = "1m"
        kind = "status"
        code = 502
        [[fault]]
        after = "4m"
        for = "1m"
        kind = "drop"
        [[fault]]
        after = "5m"
        for = "1m"
        kind = "garbage"
        code = "truncated"
        [[fault]]
        after = "6m"
        for = "1m"
        kind = "delay"
        code = "20ms"
        [[fault]]
        after = "7m"
        kind = "error"
        users = ["user-0001"]
    "#,
    );
    let ask = || world.v3(How::Post, STATISTICS, statistics(&["doctest"]), |_| {});
    let minute = || world.pass(Span::from_mins(1));
    assert_eq!(ask().await.unwrap().code(), "fine");
    minute();
    let answer = ask().await.unwrap();
    assert_eq!(answer.code(), "Throttling.User");
    assert!(answer.head.contains("x-acs-retry-after: 1000"));
    minute();
    let answer = ask().await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "Forbidden.RAM"));
    minute();
    let answer = ask().await.unwrap();
    assert_eq!((answer.status, answer.body.contains("<html>")), (502, true));
    minute();
    assert!(ask().await.is_none(), "the connection closes without an answer");
    minute();
    let answer = ask().await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_err(), "{}", answer.body);
    minute();
    let began = std::time::Instant::now();
    assert_eq!(ask().await.unwrap().code(), "fine");
    assert!(began.elapsed().as_millis() >= 20);
    minute();
    assert_eq!(ask().await.unwrap().code(), "fine");
    assert_eq!(world.code(STATISTICS, statistics(&["doctest", "user-0001"])).await, "InternalError");
}

#[tokio::test]
async fn it_stops_when_told() {
    let settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), ..Settings::default() };
    let clock: Clock = Arc::new(|| Time::from_millis(0));
    let (address, emulator) = Emulator::bind(settings, Time::from_millis(0), clock).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(emulator.serve(async move { drop(stopped.await) }));
    let _idle = TcpStream::connect(address).await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), served).await.unwrap().unwrap().unwrap();
}

fn role(params: &mut Pairs) {
    set(params, "Action", "AssumeRole");
    set(params, "Version", "2015-04-01");
    set(params, "RoleArn", "acs:ram::1:role/reader");
    set(params, "RoleSessionName", "test");
    set(params, "DurationSeconds", "900");
}

#[tokio::test]
async fn roles_get_keys_that_expire() {
    let world = World::new("");
    for how in [How::Get, How::Form] {
        let answer = world.v1(how, role).await;
        let reply = answer.json();
        let keys = &reply["Credentials"];
        assert_eq!(
            (answer.status, keys["Expiration"].as_str()),
            (200, Some("2026-01-02T03:19:05Z")),
            "{reply}"
        );
        let part = |name: &str| keys[name].as_str().unwrap().to_owned();
        let (id, secret, token) = (part("AccessKeyId"), part("AccessKeySecret"), part("SecurityToken"));
        let ask = async |token: &str| {
            let sign = |params: &mut Pairs| {
                set(params, "AccessKeyId", &id);
                set(params, "SecurityToken", token);
                let signature = v1::signature(&secret, &v1::string_to_sign("GET", params));
                set(params, "Signature", &signature);
            };
            world.v1(How::Get, sign).await.code()
        };
        assert_eq!(ask(&token).await, "fine");
        assert_eq!(ask("other").await, "InvalidSecurityToken.MismatchWithAccessKey");
        assert_eq!(ask("").await, "MissingSecurityToken");
        world.pass(Span::from_mins(15));
        assert_eq!(ask(&token).await, "InvalidSecurityToken.Expired");
        world.pass(Span::from_mins(-15));
    }
    let refused = async |change: fn(&mut Pairs)| {
        let both = |params: &mut Pairs| {
            role(params);
            change(params);
        };
        world.v1(How::Get, both).await.code()
    };
    assert_eq!(refused(|p| set(p, "Signature", "AAAA")).await, "SignatureDoesNotMatch");
    assert_eq!(refused(|p| set(p, "Version", "2018-03-13")).await, "InvalidVersion");
    assert_eq!(refused(|p| set(p, "RoleArn", "reader")).await, "InvalidParameter.RoleArn");
    assert_eq!(refused(|p| set(p, "RoleSessionName", "a b")).await, "InvalidParameter.RoleSessionName");
    assert_eq!(refused(|p| set(p, "DurationSeconds", "60")).await, "InvalidParameter.DurationSeconds");
    let oidc = "/?Action=AssumeRoleWithOIDC&Version=2015-04-01&Format=JSON&RoleSessionName=test\
        &RoleArn=acs%3Aram%3A%3A1%3Arole%2Freader&OIDCProviderArn=p";
    let answer = world.send("GET", oidc, &[], "").await.unwrap();
    assert_eq!(answer.code(), "MissingParameter");
    let answer = world.send("GET", &format!("{oidc}&OIDCToken=a.b.c"), &[], "").await.unwrap();
    assert_eq!((answer.code().as_str(), answer.status), ("fine", 200));
}
