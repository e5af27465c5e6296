//! E-mail from notice to mailbox: against aiosmtpd over TLS, and against scripted servers for every fault.
//! Neighbours: `channel::email`, and the servers in `support::smtp`. A part of its own because mail is proven against
//! software that nobody here wrote.

use std::time::{Duration, Instant};

use seatwatch::channel::email::{self, Tls};
use seatwatch::channel::{Channel, Delivery, Letter, Settings};
use seatwatch::engine::backoff::Answer;
use seatwatch::engine::message::{Language, Message, Section, Table, Tone, clean};
use seatwatch::engine::notify::Notice;
use seatwatch::engine::time::{Span, Time};
use seatwatch::secret::{Secret, SecretRef};

use crate::support::hostile::{Hostile, Play};
use crate::support::smtp::Step::{self, Close, Hang, Hear, HearMail, Say};
use crate::support::smtp::{Aiosmtpd, Certificate, Scripted};

const PASSWORD: &str = "canary-password-7";
const HOSTILE: [&str; 5] =
    ["eve\r\nBcc: evil@example.com", "<script>alert(1)</script>", "\u{1b}[31mred", "a\u{202e}b", "=1+1"];

fn settings(port: u16, tls: Tls) -> email::Settings {
    email::Settings {
        name: "soc-mail".to_owned(),
        server: "127.0.0.1".to_owned(),
        port,
        tls,
        login: Some(("alerts".to_owned(), SecretRef::Plain(Secret::new(PASSWORD)))),
        from: "Seatwatch <alerts@example.com>".parse().unwrap(),
        to: vec!["SOC 中 <soc@example.com>".parse().unwrap(), "lead@example.com".parse().unwrap()],
        ca_file: None,
        timeout: Span::from_secs(10),
        helo: None,
    }
}

fn now() -> Time {
    "2026-11-22T03:05:00Z".parse().unwrap()
}

fn letter(channel: &Channel, message: &Message) -> Letter {
    let notice = Notice::test("soc-mail", "1");
    let payload = channel.payload(&notice, message, now());
    Letter { id: notice.id, payload, attempt: 1, accepted: Vec::new(), only: None }
}

/// As `compose` hands it over: foreign text cleaned, nothing escaped for HTML.
fn message() -> Message {
    let name = |text: &str| clean(text, 100);
    Message {
        language: Language::ZhCn,
        title: format!("共享账号 {}", HOSTILE.map(name).join(" | ")),
        tone: Tone::Calm,
        summary: "alice has 5 clients online, 2 allowed 在线".to_owned(),
        sections: vec![Section {
            heading: name(HOSTILE[1]),
            facts: HOSTILE.iter().map(|text| ("User".to_owned(), name(text))).collect(),
            table: Some(Table {
                head: vec!["At".to_owned()],
                rows: vec![vec![".".to_owned()], vec!["5".to_owned()]],
            }),
            small: false,
        }],
        more: 0,
        footer: vec!["Seatwatch".to_owned()],
    }
}

async fn send(settings: email::Settings, accepted: &[&str]) -> Delivery {
    let channel = Channel::open(&Settings::Email(settings)).unwrap();
    let mut letter = letter(&channel, &message());
    letter.accepted = accepted.iter().map(|&a| a.to_owned()).collect();
    let delivery = channel.send(&letter, now()).await;
    assert!(!delivery.note.contains(PASSWORD), "{}", delivery.note);
    delivery
}

#[tokio::test]
async fn mail_arrives_whole_over_both_kinds_of_tls() {
    let certificate = Certificate::new();
    let server = Aiosmtpd::start(&certificate);
    for (port, tls) in [(server.implicit, Tls::Implicit), (server.starttls, Tls::StartTls)] {
        let delivery =
            send(email::Settings { ca_file: Some(certificate.path()), ..settings(port, tls) }, &[]).await;
        assert_eq!(delivery.answer, Answer::Sent, "{tls:?}: {}", delivery.note);
        assert_eq!(delivery.accepted, ["soc@example.com", "lead@example.com"]);
        assert!(delivery.note.contains("TLS 1.3, AUTH PLAIN, taken for 2 of 2"), "{}", delivery.note);
        let mail = server.mail();
        assert_eq!(mail["to"], serde_json::json!(["soc@example.com", "lead@example.com"]));
        assert_eq!(mail["encodings"], serde_json::json!(["base64", "base64"]));
        assert_eq!(mail["defects"], serde_json::json!([]));
        assert_eq!(mail["bare"], 0);
        assert!(mail["longest"].as_u64().unwrap() <= 200, "{}", mail["longest"]);
        insta::assert_snapshot!("mail_headers", serde_json::to_string_pretty(&mail["headers"]).unwrap());
        let html = mail["parts"]["text/html"].as_str().unwrap();
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script"), "{html}");
        assert!(html.contains("在线") && html.contains("=1+1"));
        for part in ["text/plain", "text/html"] {
            let text = mail["parts"][part].as_str().unwrap();
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{part}: {text}");
            assert!(!text.lines().any(|line| line.starts_with("Bcc:")), "{part}: {text}");
        }
    }
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_gets_nothing() {
    let certificate = Certificate::new();
    let other = Certificate::new();
    let server = Aiosmtpd::start(&certificate);
    for (port, tls) in [(server.implicit, Tls::Implicit), (server.starttls, Tls::StartTls)] {
        let delivery =
            send(email::Settings { ca_file: Some(other.path()), ..settings(port, tls) }, &[]).await;
        assert_eq!(delivery.answer, Answer::Misconfigured, "{}", delivery.note);
        assert!(delivery.note.contains("tls: "), "{}", delivery.note);
    }
}

#[tokio::test]
async fn a_wrong_password_is_a_setting_to_be_put_right() {
    let certificate = Certificate::new();
    let server = Aiosmtpd::start(&certificate);
    let login = Some(("alerts".to_owned(), SecretRef::Plain(Secret::new("wrong-password"))));
    let wrong = email::Settings {
        ca_file: Some(certificate.path()),
        login,
        ..settings(server.implicit, Tls::Implicit)
    };
    let delivery = send(wrong, &[]).await;
    assert_eq!((delivery.answer, delivery.status), (Answer::Misconfigured, Some(535)), "{}", delivery.note);
}

const HELLO: [Step; 3] =
    [Say("220 mail.test\r\n"), Hear("EHLO [127.0.0.1]"), Say("250-mail.test\r\n250 AUTH PLAIN LOGIN\r\n")];
const LOGIN: [Step; 2] = [Hear("AUTH PLAIN "), Say("235 ok\r\n")];
const SENDER: [Step; 2] = [Hear("MAIL FROM:<alerts@example.com>"), Say("250 ok\r\n")];
const RCPTS: [Step; 4] = [
    Hear("RCPT TO:<soc@example.com>"),
    Say("250 ok\r\n"),
    Hear("RCPT TO:<lead@example.com>"),
    Say("250 ok\r\n"),
];
const DATA: [Step; 3] = [Hear("DATA"), Say("354 go on\r\n"), HearMail];

/// Plays `parts` to a client without TLS; the answer, the status, a word of the note and who has the mail.
#[track_caller]
fn check(parts: &[&[Step]], expect: (Answer, Option<u16>, &str), taken: &[&str]) -> String {
    let server = Scripted::play(parts.concat());
    let delivery =
        run(email::Settings { timeout: Span::from_millis(400), ..settings(server.port, Tls::None) });
    let (answer, status, words) = expect;
    assert_eq!((delivery.answer, delivery.status), (answer, status), "{}", delivery.note);
    assert!(delivery.note.contains(words), "{}", delivery.note);
    assert_eq!(delivery.accepted, taken, "{}", delivery.note);
    server.heard()
}

/// Sends, and demands that the deadline holds.
#[track_caller]
fn run(settings: email::Settings) -> Delivery {
    let started = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let delivery = runtime.block_on(send(settings, &[]));
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}: {}", started.elapsed(), delivery.note);
    delivery
}

const BOTH: [&str; 2] = ["soc@example.com", "lead@example.com"];

#[test]
fn each_reply_has_its_consequence() {
    use Answer::{Misconfigured, Rejected, Retry, Sent};
    let taken = [Say("250 queued\r\n"), Hear("QUIT"), Say("221 bye\r\n")];
    check(&[&HELLO, &LOGIN, &SENDER, &RCPTS, &DATA, &taken], (Sent, Some(250), "250 queued"), &BOTH);
    check(&[&[Say("421 busy\r\n")]], (Retry, Some(421), "greeting"), &[]);
    check(&[&[Say("554 no\r\n")]], (Misconfigured, Some(554), "greeting"), &[]);
    check(&[&HELLO, &[LOGIN[0], Say("535 no\r\n")]], (Misconfigured, Some(535), "login"), &[]);
    check(&[&HELLO, &[LOGIN[0], Say("454 later\r\n")]], (Retry, Some(454), "login"), &[]);
    check(&[&HELLO, &[LOGIN[0], Say("250 shifted\r\n")]], (Retry, Some(250), "wanted 235, got 250"), &[]);
    check(&[&HELLO, &LOGIN, &[SENDER[0], Say("451 grey\r\n")]], (Retry, Some(451), "sender"), &[]);
    check(&[&HELLO, &LOGIN, &[SENDER[0], Say("550 who\r\n")]], (Misconfigured, Some(550), "sender"), &[]);
    check(
        &[&HELLO, &LOGIN, &SENDER, &RCPTS, &[DATA[0], Say("554 no\r\n")]],
        (Rejected, Some(554), "DATA"),
        &[],
    );
    check(
        &[&HELLO, &LOGIN, &SENDER, &RCPTS, &[DATA[0], Say("250 no\r\n")]],
        (Retry, Some(250), "wanted 354"),
        &[],
    );
    check(
        &[&HELLO, &LOGIN, &SENDER, &RCPTS, &DATA, &[Say("554 spam\r\n")]],
        (Rejected, Some(554), "spam"),
        &[],
    );
    check(&[&HELLO, &LOGIN, &SENDER, &RCPTS, &DATA, &[Say("452 full\r\n")]], (Retry, Some(452), "full"), &[]);
}

#[test]
fn one_refused_recipient_does_not_cost_the_other_the_mail() {
    let end = [Say("250 queued\r\n"), Hear("QUIT"), Say("221 bye\r\n")];
    let refused = [RCPTS[0], Say("550 nobody\r\n"), RCPTS[2], RCPTS[3]];
    let expect = (Answer::Rejected, Some(550), "soc@example.com refused");
    check(&[&HELLO, &LOGIN, &SENDER, &refused, &DATA, &end], expect, &["lead@example.com"]);
    let later = [RCPTS[0], RCPTS[1], RCPTS[2], Say("450 grey\r\n")];
    let expect = (Answer::Retry, Some(450), "lead@example.com refused");
    check(&[&HELLO, &LOGIN, &SENDER, &later, &DATA, &end], expect, &["soc@example.com"]);
    let neither = [RCPTS[0], Say("550 nobody\r\n"), RCPTS[2], Say("450 grey\r\n")];
    check(&[&HELLO, &LOGIN, &SENDER, &neither], (Answer::Retry, Some(550), "450 grey"), &[]);
}

#[tokio::test]
async fn a_retry_goes_to_the_rest_only() {
    let rest =
        [&HELLO[..], &LOGIN, &SENDER, &RCPTS[2..], &DATA, &[Say("250 queued\r\n"), Hear("QUIT")]].concat();
    let server = Scripted::play(rest);
    let delivery = send(settings(server.port, Tls::None), &["soc@example.com"]).await;
    assert_eq!(delivery.answer, Answer::Sent, "{}", delivery.note);
    assert_eq!(delivery.accepted, BOTH);
    assert!(!server.heard().contains("RCPT TO:<soc@"));
    let delivery = send(settings(1, Tls::None), &BOTH).await;
    assert_eq!(delivery.answer, Answer::Sent, "nobody is left to ask: {}", delivery.note);
}

#[test]
fn silence_at_any_stage_ends_with_the_deadline() {
    let hang = [Hang];
    let retry = |words| (Answer::Retry, None, words);
    check(&[&hang], retry("no answer within 400ms at the greeting"), &[]);
    check(&[&HELLO[..2], &hang], retry("at the greeting"), &[]);
    check(&[&HELLO, &LOGIN[..1], &hang], retry("at the login"), &[]);
    check(&[&HELLO, &LOGIN, &SENDER[..1], &hang], retry("at the sender"), &[]);
    check(&[&HELLO, &LOGIN, &SENDER, &RCPTS[..3], &hang], retry("at the recipients"), &[]);
    check(&[&HELLO, &LOGIN, &SENDER, &RCPTS, &DATA[..1], &hang], retry("at DATA"), &[]);
    check(&[&HELLO, &LOGIN, &SENDER, &RCPTS, &DATA, &hang], retry("may have been accepted"), &[]);
    check(&[&HELLO, &LOGIN, &SENDER, &RCPTS, &DATA, &[Close]], retry("may have been accepted"), &[]);
    // The receipt counts, whatever becomes of QUIT.
    let sent = (Answer::Sent, Some(250), "250 queued");
    check(
        &[&HELLO, &LOGIN, &SENDER, &RCPTS, &DATA, &[Say("250 queued\r\n"), Hear("QUIT"), Hang]],
        sent,
        &BOTH,
    );
    check(&[&HELLO, &LOGIN, &SENDER, &RCPTS, &DATA, &[Say("250 queued\r\n"), Close]], sent, &BOTH);
    check(
        &[&HELLO, &LOGIN, &SENDER, &RCPTS, &DATA, &[Say("250 queued\r\n"), Hear("QUIT"), Close]],
        sent,
        &BOTH,
    );
}

/// A server that says one byte at a time: no single read takes long, the whole dialogue does.
#[tokio::test]
async fn a_dripping_server_is_cut_off_at_the_deadline() {
    let long = |code: &str| Play::Drip(format!("{code}-{}\r\n", "x".repeat(200)).into_bytes());
    let said = |text: &str| Play::Say(text.as_bytes().to_vec());
    let greeting = [said("220 mail.test\r\n"), Play::HearLine("EHLO")];
    let login = [said("250 AUTH PLAIN\r\n"), Play::HearLine("AUTH PLAIN ")];
    let cases = [
        (vec![long("220")], "at the greeting"),
        ([&greeting[..], &[long("250")]].concat(), "at the greeting"),
        ([&greeting[..], &login, &[long("235")]].concat(), "at the login"),
        (
            [&greeting[..], &login, &[said("235 ok\r\n"), Play::HearLine("MAIL"), long("250")]].concat(),
            "at the sender",
        ),
    ];
    for (plays, stage) in cases {
        let server = Hostile::start(move |_| plays.clone()).await;
        let quick = email::Settings { timeout: Span::from_secs(1), ..settings(server.port, Tls::None) };
        let began = Instant::now();
        let delivery = send(quick, &[]).await;
        assert!(began.elapsed() < Duration::from_secs(6), "{stage}: {:?}", began.elapsed());
        assert_eq!((delivery.answer, delivery.status), (Answer::Retry, None), "{stage}: {}", delivery.note);
        assert!(
            delivery.note.contains("no answer within 1s") && delivery.note.contains(stage),
            "{}",
            delivery.note
        );
    }
}

/// Whatever a server knows, it is sent what the oldest ones know.
#[test]
fn a_server_without_extensions_gets_ascii_in_short_lines() {
    let bare = [HELLO[0], HELLO[1], Say("250 AUTH PLAIN\r\n")];
    let end = [Say("250 queued\r\n"), Hear("QUIT"), Say("221 bye\r\n")];
    let parts = [&bare[..], &LOGIN, &SENDER, &RCPTS, &DATA, &end];
    let heard = check(&parts, (Answer::Sent, Some(250), "250 queued"), &BOTH);
    assert!(heard.is_ascii(), "{heard}");
    assert!(heard.contains("MAIL FROM:<alerts@example.com>\r\n"), "no word of extensions: {heard}");
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Subject: =?utf-8?b?"), "{head}");
    assert!(head.lines().all(|line| line.len() <= 998), "{head}");
    for line in body.lines() {
        assert!(line.len() <= 76, "{} bytes: {line}", line.len());
    }
    assert!(!body.lines().any(|line| line == ".." || (line.starts_with('.') && line != ".")), "{body}");
}

/// Plays `script` to a client that demands STARTTLS; nothing of worth may be said in clear.
#[track_caller]
fn check_starttls(script: &[Step], words: &str) {
    let server = Scripted::play(script.to_vec());
    let certificate = Certificate::new();
    let wanted =
        email::Settings { ca_file: Some(certificate.path()), ..settings(server.port, Tls::StartTls) };
    let delivery = run(email::Settings { timeout: Span::from_secs(2), ..wanted });
    assert_eq!(delivery.answer, Answer::Misconfigured, "{}", delivery.note);
    assert!(delivery.note.contains(words), "{}", delivery.note);
    let heard = server.heard();
    assert!(!heard.contains("AUTH") && !heard.contains("MAIL"), "{heard}");
}

#[test]
fn without_tls_nothing_is_said() {
    check_starttls(&[&HELLO[..], &[Hang]].concat(), "tls: the server does not offer STARTTLS");
    let offer = [HELLO[0], HELLO[1], Say("250-mail.test\r\n250 STARTTLS\r\n"), Hear("STARTTLS")];
    check_starttls(&[&offer[..], &[Say("502 no\r\n"), Hang]].concat(), "got 502");
    // What is injected behind the 220 meets the handshake, not the dialogue.
    let injected =
        Say("220 go\r\n250-mail.test\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n");
    check_starttls(&[&offer[..], &[injected, Hang]].concat(), "tls: ");
}
