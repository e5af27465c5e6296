//! The vendor's own SDKs against the emulator, and the client's signatures against the SDKs' signing code.
//! Neighbours: `support::sdk` drives the SDKs. A part of its own because client and emulator share one signing code:
//! only somebody else's can tell that it is the vendor's.

use std::sync::Arc;
use std::time::Duration;

use seatwatch::agent::clock;
use seatwatch::aliyun::Client;
use seatwatch::aliyun::account::{self, Account};
use seatwatch::aliyun::credentials::Provider;
use seatwatch::aliyun::endpoint::Endpoint;
use seatwatch::aliyun::request::Signature;
use seatwatch::aliyun::transport::Options;
use seatwatch::emulator::{Clock, Emulator, Settings};
use seatwatch::secret::{Secret, SecretRef};
use serde_json::{Value, json};

use crate::support::http::Hook;
use crate::support::sdk::Sdk;

const TOKEN: &str = "CAIS+test/Token==~*%25 end";
const STATISTICS: &str = "DescribeUserOnlineClientStatistics";

/// What must come of a request.
#[derive(Clone, Debug)]
enum Expect {
    /// Names and counts, in the order asked.
    Counts(Value),
    /// So many clients, all since the emulator's start.
    Clients(usize),
    /// The whole reply; `*` stands for any text.
    Body(Value),
    /// Code and HTTP status, and the milliseconds after which to come again.
    Refused(&'static str, u16, Option<u32>),
}
use Expect::{Body, Clients, Counts, Refused};

/// One request: what it differs in from a plain one for one user, and what must come of it.
type Case = (Value, Expect);

fn bad(code: &'static str) -> Expect {
    Refused(code, 400, None)
}

fn counts(names: &[&str], count: impl Fn(usize) -> String) -> Expect {
    let rows: Vec<_> = names.iter().enumerate().map(|(at, name)| json!([name, count(at)])).collect();
    Counts(Value::from(rows))
}

/// `user-0001` has one client, `user-0002` two, and so on.
fn users(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("user-{number:04}")).collect()
}

const UNICODE: [&str; 5] = ["张伟", "Zoë", "мария", "مريم", "alice@example.com_-."];

/// Every one is signed and sent by all of them; none is a name.
const MALFORMED: [&str; 14] =
    ["a b", "a+b", "a*b", "a~b", "a/b", "a=b", "a%b", "a%2Bb", "a&b", "a'(b)!", " ", "a#?b", "\t", "😀"];

/// Planted codes: the user who gets it, the code, its status, the wait.
const PLANTED: [(&str, &str, u16, Option<u32>); 10] = [
    ("gets-internal", "InternalError", 500, None),
    ("gets-unavailable", "ServiceUnavailable", 503, None),
    ("gets-denied", "Forbidden.RAM", 403, None),
    ("gets-subuser", "Forbbiden.SubUser", 400, None),
    ("gets-inactive", "InvalidAccessKeyId.Inactive", 400, None),
    ("gets-arrears", "SmartAccessGatewayInArrears", 500, None),
    ("gets-expired", "InvalidSecurityToken.Expired", 400, None),
    ("gets-throttled", "Throttling", 400, Some(1000)),
    ("gets-throttled-user", "Throttling.User", 400, Some(1000)),
    ("gets-throttled-api", "Throttling.Api", 400, Some(1000)),
];

/// The actions beside the two about online clients: what they tell, change and refuse. Who is `after` something was
/// done to somebody says so.
fn other_actions() -> Vec<Case> {
    const LIST: &str = "DescribeSmartAccessGatewayClientUsers";
    let call = |action: &str, params: Value| json!({ "action": action, "params": params });
    let done = || Body(json!({ "RequestId": "*" }));
    let user = |state: u32| {
        let user = json!({ "UserName": "user-0006", "UserMail": "user-0006@example.com", "ClientIp": "",
            "Bandwidth": 2000, "State": state, "AccelerateBandwidth": 0, "IsStaticIp": 0 });
        Body(
            json!({ "RequestId": "*", "TotalCount": 1, "PageNumber": 1, "PageSize": 10, "Users": { "User": [user] } }),
        )
    };
    let total = json!({ "SmartAGId": "sag-demo", "OnlineCount": "*" });
    let total = json!({ "RequestId": "*", "SagStatistics": { "Statistics": [total] } });
    let none = json!({ "RequestId": "*", "TotalCount": 0, "PageNumber": 1, "PageSize": 10,
        "SmartAccessGateways": { "SmartAccessGateway": [] } });
    let gone = |of: &str, left| (json!({ "clients_of": of, "after": true }), Clients(left));
    let count =
        |of: &str, count: &str| (json!({ "names": [of], "after": true }), Counts(json!([[of, count]])));
    let named = || json!({ "UserName": "user-0006" });
    vec![
        (call("DescribeSagOnlineClientStatistics", json!({ "SmartAGIds": ["sag-demo"] })), Body(total)),
        (
            call("DescribeSagOnlineClientStatistics", json!({ "SmartAGIds": ["sag-other"] })),
            Refused("InvalidId.SMARTAG", 403, None),
        ),
        (call("DescribeSmartAccessGateways", json!({ "SmartAGId": "sag-other" })), Body(none)),
        (call("DescribeSmartAccessGateways", json!({ "RegionId": "mars" })), bad("InvalidRegionID")),
        (call(LIST, named()), user(0)),
        (call(LIST, json!({ "SmartAGId": "sag-other" })), bad("SAG.InstanceNoFound")),
        (call("DisableSmartAccessGatewayUser", named()), done()),
        (call(LIST, named()), user(1)),
        count("user-0006", "0"),
        (call("EnableSmartAccessGatewayUser", named()), done()),
        (call(LIST, named()), user(0)),
        count("user-0006", "6"),
        (call("KickOutClients", json!({ "Username": "user-0051" })), done()),
        gone("user-0051", 0),
        (call("KickOutClients", json!({ "Username": "" })), bad("ClientUser.NameEmpty")),
    ]
}

/// Whether an answer is the expected one, where `*` stands for any text.
fn agrees(answer: &Value, expect: &Value) -> bool {
    match (answer, expect) {
        (Value::String(_), Value::String(any)) if any == "*" => true,
        (Value::Object(answer), Value::Object(expect)) => {
            answer.len() == expect.len()
                && expect.iter().all(|(key, expect)| answer.get(key).is_some_and(|it| agrees(it, expect)))
        }
        (Value::Array(answer), Value::Array(expect)) => {
            answer.len() == expect.len() && answer.iter().zip(expect).all(|(a, e)| agrees(a, e))
        }
        _ => answer == expect,
    }
}

/// What the SDKs talk to, by address.
struct World {
    plain: String,
    /// Asks for [`TOKEN`].
    guarded: String,
    /// One request, and no more: its clock stands still.
    slow: String,
    /// Counts are numbers.
    numbers: String,
    start: i64,
}

impl World {
    fn start() -> Self {
        let mut scenario = String::new();
        for (name, count) in users(51).iter().map(String::as_str).zip(1..).chain(UNICODE.into_iter().zip(1..))
        {
            scenario.push_str(&format!("[[user]]\nname = {name:?}\nonline = [[0, {count}]]\n"));
        }
        for (user, code, _, wait) in PLANTED {
            let kind = if wait.is_some() { "throttle" } else { "error" };
            scenario.push_str(&format!("[[fault]]\nkind = {kind:?}\ncode = {code:?}\nusers = [{user:?}]\n"));
        }
        let start = clock::now();
        let running: Clock = Arc::new(clock::now);
        let standing: Clock = Arc::new(move || start);
        let emulate = |settings: Settings, scenario: &str, clock: &Clock| {
            let (listen, scenario) = ("127.0.0.1:0".parse().unwrap(), scenario.parse().unwrap());
            let settings = Settings { listen, scenario, ..settings };
            let (address, emulator) = Emulator::bind(settings, start, Arc::clone(clock)).unwrap();
            tokio::spawn(emulator.serve(std::future::pending()));
            address.to_string()
        };
        let numbers = format!("count_type = \"number\"\n{scenario}");
        let guarded = Settings { security_token: Some(Secret::new(TOKEN)), ..Settings::default() };
        let slow = Settings { requests_per_second: 1, ..Settings::default() };
        Self {
            plain: emulate(Settings::default(), &scenario, &running),
            guarded: emulate(guarded, &scenario, &running),
            slow: emulate(slow, &scenario, &standing),
            numbers: emulate(Settings::default(), &numbers, &running),
            start: start.seconds(),
        }
    }

    /// What a driver is told, but for what a case changes.
    fn ask(&self, sdk: Sdk, change: &Value) -> Value {
        let mut ask = json!({
            "endpoint": self.plain, "key_id": "testid", "secret": "testsecret", "token": "", "instance": "sag-demo",
            "names": ["user-0001"], "clients_of": "", "clock_off": 0, "nonce": "", "format": "JSON",
            "action": "", "params": {},
            "method": sdk.method(),
        });
        for (key, value) in change.as_object().unwrap() {
            ask[key] = value.clone();
        }
        json!({ "ask": ask })
    }

    fn cases(&self) -> Vec<Case> {
        let many = users(51);
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let one = || counts(&["user-0001"], |_| "1".to_owned());
        let up = |at: usize| (at + 1).to_string();
        let mut cases = vec![
            (json!({}), one()),
            (json!({ "names": many[..50] }), counts(&many[..50], up)),
            (json!({ "names": many }), bad("InvalidParameter.UserNames")),
            (json!({ "names": UNICODE }), counts(&UNICODE, up)),
            (json!({ "names": ["user-0001", "nobody"] }), one()),
            (json!({ "endpoint": self.numbers }), Counts(json!([["user-0001", 1]]))),
            (json!({ "clients_of": "user-0003" }), Clients(3)),
            (json!({ "clients_of": "nobody" }), Clients(0)),
            (json!({ "clients_of": "a b" }), bad("ClientUser.NameInvalid")),
            // The codes on the action's own page.
            (json!({ "names": [] }), bad("ClientUser.NameEmpty")),
            (json!({ "instance": "" }), bad("SAG.InstanceIdEmpty")),
            (json!({ "instance": "sag-other" }), bad("SAG.InstanceNoFound")),
            // Who asks, and when.
            (json!({ "secret": "other" }), bad("SignatureDoesNotMatch")),
            (json!({ "secret": "other", "names": UNICODE }), bad("SignatureDoesNotMatch")),
            (json!({ "key_id": "other" }), Refused("InvalidAccessKeyId.NotFound", 404, None)),
            (json!({ "clock_off": -960 }), bad("InvalidTimeStamp.Expired")),
            (json!({ "clock_off": 960 }), bad("InvalidTimeStamp.Expired")),
            (json!({ "clock_off": -600 }), one()),
            (json!({ "nonce": "used-once" }), one()),
            (json!({ "nonce": "used-once" }), bad("SignatureNonceUsed")),
            (json!({ "endpoint": self.guarded, "token": TOKEN }), one()),
            (json!({ "endpoint": self.guarded }), bad("MissingSecurityToken")),
            (
                json!({ "endpoint": self.guarded, "token": "other" }),
                bad("InvalidSecurityToken.MismatchWithAccessKey"),
            ),
            (json!({ "endpoint": self.slow }), one()),
            (json!({ "endpoint": self.slow }), Refused("Throttling.User", 400, Some(1000))),
        ];
        cases.extend(
            MALFORMED.map(|name| (json!({ "names": ["user-0001", name] }), bad("ClientUser.NameInvalid"))),
        );
        cases.extend(other_actions());
        cases.extend(PLANTED.map(|(user, code, status, wait)| {
            (json!({ "names": ["user-0001", user] }), Refused(code, status, wait))
        }));
        cases
    }

    /// For the one SDK that lets its caller choose the format.
    fn cases_in_xml(&self) -> Vec<Case> {
        let chosen = |(change, expect): &Case| {
            !matches!(expect, Clients(_)) && change.get("action").is_none() && change.get("after").is_none()
        };
        let mut cases: Vec<Case> = self
            .cases()
            .into_iter()
            .filter(chosen)
            .filter(|(change, _)| change.get("endpoint").is_none() && change.get("clients_of").is_none())
            .collect();
        for (change, _) in &mut cases {
            change["format"] = json!("XML");
            if let Some(nonce) = change.get_mut("nonce") {
                *nonce = json!("used-once-for-xml");
            }
        }
        cases
    }

    /// What this SDK makes of it.
    fn answer(&self, sdk: Sdk, change: &Value, expect: &Expect) -> Value {
        match *expect {
            Counts(ref rows) => json!({ "counts": rows }),
            Body(ref body) => json!({ "body": body }),
            Clients(count) => {
                let row = |n| json!([format!("10.192.0.{n}"), self.start.to_string()]);
                json!({ "clients": (1..=count).map(row).collect::<Vec<_>>() })
            }
            Refused(code, _, _) if change["format"] == "XML" => {
                json!({ "raised": "Error", "code": code, "status": null })
            }
            Refused(code, status, wait) if sdk.is_smartag() => {
                let raised = match (wait, status) {
                    (Some(_), _) => "ThrottlingException",
                    (None, 400..500) => "ClientException",
                    (None, _) => "ServerException",
                };
                json!({ "raised": raised, "code": code, "status": status, "retry_after": wait })
            }
            Refused(code, status, _) if sdk.is_core() => {
                // It knows its own string to sign in the refusal, and so that the secret is wrong.
                let code = if code == "SignatureDoesNotMatch" { "InvalidAccessKeySecret" } else { code };
                json!({ "raised": "ServerException", "code": code, "status": status })
            }
            Refused(code, status, _) => {
                json!({ "raised": format!("{code}Error"), "code": code, "status": status })
            }
        }
    }
}

/// Requests as the client put them on the wire, each for the driver to sign again, and the signature they carried.
async fn ours(signature: Signature) -> Vec<(Value, String)> {
    let hook = Hook::answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}", 0);
    let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{}", hook.port)).unwrap();
    let many = users(50);
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    for token in [None, Some(TOKEN)] {
        let plain = |text: &str| SecretRef::Plain(Secret::new(text));
        let provider =
            Provider::Keys { id: plain("testid"), secret: plain("testsecret"), token: token.map(plain) };
        let account =
            account::Settings { name: "a".into(), provider, requests_per_second: 100.0, burst: 100 };
        let account = Arc::new(Account::open(&account).unwrap());
        let keys = account.at_hand().unwrap().keys.clone();
        let client = Client::open(account, endpoint.clone(), signature, &Options::default()).unwrap();
        for names in [&["doctest"][..], &many, &UNICODE, &MALFORMED, &[]] {
            let mut params = vec![("RegionId".to_owned(), "cn-shanghai".to_owned())];
            params.extend(
                (1..).zip(names).map(|(n, name): (usize, _)| (format!("UserNames.{n}"), (*name).to_owned())),
            );
            let request = client.prepare(STATISTICS, &params, clock::now(), &keys);
            client.execute(&request, Duration::from_secs(20)).await.unwrap();
            let posted = hook.posted();
            let target = posted.line.split(' ').nth(1).unwrap();
            let query = target.split_once('?').map_or("", |(_, query)| query);
            let body = String::from_utf8(posted.body.clone()).unwrap();
            let (carried, headers) = match signature {
                Signature::V1 => {
                    let mut form = form_urlencoded::parse(body.as_bytes());
                    (form.find(|(name, _)| name == "Signature").unwrap().1.into_owned(), Vec::new())
                }
                Signature::V3 => {
                    let carried = posted.header("authorization").to_owned();
                    let signed = carried.split_once("SignedHeaders=").unwrap().1.split_once(',').unwrap().0;
                    let headers = signed.split(';').map(|name| (name.to_owned(), posted.header(name).into()));
                    (carried.clone(), headers.collect())
                }
                Signature::Unsigned => panic!("only signatures are compared"),
            };
            let headers: serde_json::Map<String, Value> = headers.into_iter().collect();
            let sign = json!({ "method": "POST", "query": query, "headers": headers, "body": body,
                "key_id": "testid", "secret": "testsecret" });
            found.push((json!({ "sign": sign }), carried));
        }
    }
    found
}

/// Runs all cases of one SDK and tells every one that came out otherwise.
async fn check(sdk: Sdk) {
    let world = World::start();
    let mut cases = world.cases();
    if sdk.is_core() {
        cases.extend(world.cases_in_xml());
    }
    let asked = cases.len();
    let mut lines: Vec<_> = cases.iter().map(|(change, _)| world.ask(sdk, change)).collect();
    let mut expected: Vec<_> =
        cases.iter().map(|(change, expect)| world.answer(sdk, change, expect)).collect();
    let signature = if sdk == Sdk::SmartagV3 { Signature::V3 } else { Signature::V1 };
    for (sign, carried) in ours(signature).await {
        lines.push(sign);
        expected.push(json!({ "signature": carried }));
    }
    let sent = lines.clone();
    let (versions, answers) = tokio::task::spawn_blocking(move || sdk.run(&lines)).await.unwrap();
    let differ = |(line, (answer, expect)): (&Value, (&Value, &Value))| {
        (!agrees(answer, expect)).then(|| format!("{line}\n  gave     {answer}\n  expected {expect}"))
    };
    let wrong: Vec<_> = sent.iter().zip(answers.iter().zip(&expected)).filter_map(differ).collect();
    assert!(wrong.is_empty(), "{versions}, {sdk:?}:\n{}", wrong.join("\n"));
    let signed = sent.len() - asked;
    let what =
        format!("{asked} requests answered as they must be, {signed} signatures of the client's verified");
    sdk.proven(&versions, &what);
}

#[tokio::test]
async fn the_python_sdk_of_the_product_agrees_in_v3() {
    check(Sdk::SmartagV3).await;
}

#[tokio::test]
async fn the_python_sdk_of_the_product_agrees_in_v1() {
    check(Sdk::SmartagV1).await;
}

#[tokio::test]
async fn the_older_python_core_agrees() {
    check(Sdk::CoreGet).await;
    check(Sdk::CorePost).await;
}

#[tokio::test]
async fn the_node_core_agrees() {
    check(Sdk::PopGet).await;
    check(Sdk::PopPost).await;
}
