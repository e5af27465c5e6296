//! What people receive: every kind of mail in both languages, the text and the HTML part saying the same.
//! Neighbours: `engine::message` has the words and `channel::email` the form; `mail` proves the way. A part of its own
//! because a reader sees both together. Each HTML part is left in the build's directory for temporary files, under
//! `letters`, to be looked at.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono_tz::Tz;
use seatwatch::channel::email::{self, Tls};
use seatwatch::channel::{Channel, Settings};
use seatwatch::engine::backoff::Answer;
use seatwatch::engine::event::{
    EndReason, Event, EventKind, EventReading, Finding, Limit, OnlineClient, Severity, Subject, SubjectKind,
    Value,
};
use seatwatch::engine::message::{Language, Message, Section, Table, compose};
use seatwatch::engine::notify::{Notice, NoticeKind};
use seatwatch::engine::own::{self, ChannelFacts, Own, SourceFacts};
use seatwatch::engine::reading::{Fault, FaultClass, Reading};
use seatwatch::engine::time::{Span, Time};
use unicode_width::UnicodeWidthStr as _;

fn at(seconds: i64) -> Time {
    "2026-11-22T03:05:00Z".parse::<Time>().unwrap() + Span::from_secs(seconds)
}

fn event(kind: EventKind, user: &str) -> Event {
    let ended = kind == EventKind::Ended;
    let end = at(4500);
    let reading = |poll: i64| {
        EventReading::new(
            at(poll * 300),
            if poll == 1 { Reading::FAILED } else { Reading::online(u32::try_from(poll + 4).unwrap()) },
            (poll != 1).then(|| at(poll * 300) + Span::from_millis(412 + poll * 57)),
        )
    };
    Event {
        id: "evt_twtkjmykuyuh24hkhkmu3r6u4x".to_owned(),
        kind,
        episode: format!("ep_{:x<26}", user.replace('-', "")).into(),
        at: if kind == EventKind::Fired { at(600) } else { end },
        rule: "shared-account".into(),
        rule_version: "06b51486f89e".into(),
        severity: Severity::High,
        source: Some("shanghai".into()),
        subject: Subject { kind: SubjectKind::User, name: user.to_owned() },
        value: Some(Value { now: Some(if ended { 1 } else { 6 }), first: Some(4), peak: Some(7) }),
        limit: Some(Limit { value: 2, origin: "group:contractors".into(), exception: None }),
        since: at(0),
        fired_at: Some(at(600)),
        ended_at: ended.then_some(end),
        reason: ended.then_some(EndReason::Cleared),
        reminder: if kind == EventKind::Reminded { 3 } else { 0 },
        readings: [0, 1, 2].map(reading).to_vec().into(),
        blind: Span::from_secs(150),
        request_ids: (1..=3).map(|n| format!("AF8D431E-D74B-4B07-84B4-00000000000{n}").into()).collect(),
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

fn notice(kind: NoticeKind, events: Vec<Event>) -> Notice {
    let id = "ntf_4haqpsyuwdlwtrjizn6gr763ij".to_owned();
    Notice { channel: "soc-mail".to_owned(), id, kind, events: events.into_iter().map(Arc::new).collect() }
}

fn alert(event: Event) -> Notice {
    notice(NoticeKind::Alert(event.kind), vec![event])
}

fn users_events() -> Vec<(String, Notice)> {
    let mut all = Vec::new();
    let kinds = [
        EventKind::Fired,
        EventKind::Reminded,
        EventKind::Escalated,
        EventKind::Changed,
        EventKind::Acked,
        EventKind::Closed,
        EventKind::Ended,
    ];
    for kind in kinds {
        let mut event = event(kind, "alice");
        match kind {
            EventKind::Fired => {
                let client = |n: i64| OnlineClient {
                    address: format!("10.0.3.{n}"),
                    online_since: (n > 1).then(|| at(-600 * n)),
                };
                event.clients = Some((1..=6).map(client).collect());
            }
            EventKind::Escalated => event.severity = Severity::Critical,
            EventKind::Acked | EventKind::Closed => {
                event.by = Some("kim".into());
                event.note = Some("two laptops and a phone, asked her".into());
                event.finding = (kind == EventKind::Closed).then_some(Finding::MultiDevice);
            }
            EventKind::Reminded => event.value = Some(Value { now: None, ..event.value.unwrap() }),
            EventKind::Changed | EventKind::Ended => {}
        }
        all.push((format!("{kind:?}").to_lowercase(), alert(event)));
    }
    let both = vec![event(EventKind::Fired, "alice"), event(EventKind::Ended, "alice")];
    all.push(("fired-and-ended".to_owned(), notice(NoticeKind::FiredAndEnded, both)));
    all
}

fn other_events() -> Vec<(String, Notice)> {
    let mut offline = event(EventKind::Fired, "gateway-01");
    offline.rule = "gateway-offline".into();
    (offline.limit, offline.when) = (None, Some("online == 0".into()));
    offline.value = Some(Value { now: Some(0), first: Some(0), peak: Some(0) });
    let mut total = event(EventKind::Fired, "contractors");
    total.rule = "seats-nearly-used-up".into();
    total.subject.kind = SubjectKind::Group;
    (total.limit, total.when) = (None, Some("total > 180".into()));
    total.value = Some(Value { now: Some(187), first: Some(181), peak: Some(190) });
    let few = ["alice", "bob", "carol"].map(|user| event(EventKind::Fired, user)).to_vec();
    let many = (1..=30).map(|n| event(EventKind::Fired, &format!("user-{n:04}"))).collect();
    let mixed = (1..=30).map(|n| {
        let kind = if n % 4 == 0 { EventKind::Ended } else { EventKind::Fired };
        let mut event = event(kind, &format!("user-{n:04}"));
        event.rule = ["shared-account", "night-shift", "seats-of-contractors"][n % 3].into();
        event.severity = if n == 17 { Severity::Critical } else { Severity::Medium };
        event
    });
    vec![
        ("offline".to_owned(), alert(offline)),
        ("group".to_owned(), alert(total)),
        ("three".to_owned(), notice(NoticeKind::Alert(EventKind::Fired), few)),
        ("many".to_owned(), notice(NoticeKind::Alert(EventKind::Fired), many)),
        ("digest".to_owned(), notice(NoticeKind::Digest, mixed.collect())),
        ("test".to_owned(), Notice::test("soc-mail", "1")),
    ]
}

fn own_events(language: Language) -> Vec<(String, Notice)> {
    let fault = |class, code: &str, message: &str| Fault {
        class,
        code: code.to_owned(),
        message: message.to_owned(),
        advice: Some("check access_key_id: the key does not exist or is disabled".to_owned()),
    };
    let facts = SourceFacts {
        unusable: 3,
        fault: Some(fault(
            FaultClass::Credentials,
            "InvalidAccessKeyId.NotFound",
            "Specified access key is not found.",
        )),
        skew: Some(Span::from_mins(-20)),
        jump: Some(Span::from_hours(1)),
        refused: vec!["a b\r\n".to_owned()],
        absent: (0..25).map(|n| format!("user-{n:04}")).collect(),
        usable: false,
    };
    let mut opinions = own::of_source(&facts, language).to_vec();
    let (answer, note) =
        (Answer::Misconfigured, "https://hooks.example.com/... answered 401: who are you".to_owned());
    let channel = ChannelFacts { answer, dead: false, status: Some(401), note };
    opinions.push((Own::Channel, own::of_channel(&channel, language)));
    opinions.push((Own::Storage, own::of_storage(Some(("database or disk is full", false)), language)));
    let told = opinions.into_iter().flat_map(|(own, opinion)| {
        [EventKind::Fired, EventKind::Ended].map(|kind| {
            let rule = own.rule();
            let name = match rule.subject {
                SubjectKind::Channel => "soc-hook",
                SubjectKind::Agent => "agent",
                SubjectKind::User | SubjectKind::Group | SubjectKind::Source => "shanghai",
            };
            let event = Event {
                rule: rule.name.into(),
                severity: rule.severity,
                subject: Subject { kind: rule.subject, name: name.to_owned() },
                source: (rule.subject == SubjectKind::Source).then(|| name.into()),
                value: None,
                limit: None,
                readings: Default::default(),
                request_ids: Default::default(),
                when: None,
                signals: Vec::new(),
                detail: opinion.detail.as_deref().map(Into::into),
                users: opinion.users.clone(),
                ..event(kind, "own")
            };
            (format!("{}-{kind:?}", rule.name.replace('/', "-")).to_lowercase(), alert(event))
        })
    });
    told.collect()
}

fn channel() -> Channel {
    let settings = email::Settings {
        name: "soc-mail".to_owned(),
        server: "127.0.0.1".to_owned(),
        port: 25,
        tls: Tls::None,
        login: None,
        from: "Seatwatch <alerts@example.com>".parse().unwrap(),
        to: vec!["soc@example.com".parse().unwrap()],
        ca_file: None,
        timeout: Span::from_secs(10),
        helo: None,
    };
    Channel::open(&Settings::Email(settings)).unwrap()
}

/// A mail taken apart by hand: its headers, unfolded, and its two parts.
struct Mail {
    headers: Vec<(String, String)>,
    text: String,
    html: String,
}

impl Mail {
    fn read(mail: &[u8]) -> Self {
        let mail = String::from_utf8(mail.to_vec()).unwrap();
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        let head = head.replace("\r\n ", " ");
        let headers: Vec<(String, String)> = head
            .lines()
            .map(|line| {
                line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()
            })
            .collect();
        let part = |kind: &str| {
            let at = body.find(&format!("Content-Type: {kind}")).unwrap();
            let encoded = body[at..].split("\r\n\r\n").nth(1).unwrap();
            let encoded = encoded.split("\r\n--").next().unwrap().replace("\r\n", "");
            String::from_utf8(BASE64_STANDARD.decode(encoded).unwrap()).unwrap()
        };
        let (text, html) = (part("text/plain"), part("text/html"));
        Self { headers, text, html }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Everything that a message says, piece by piece.
fn pieces(message: &Message) -> Vec<String> {
    let mut all = vec![message.summary.clone()];
    for Section { heading, facts, table, small: _ } in &message.sections {
        all.push(heading.clone());
        all.extend(facts.iter().flat_map(|(name, value)| [name.clone(), value.clone()]));
        let Some(Table { head, rows }) = table else { continue };
        all.extend(head.iter().chain(rows.iter().flatten()).cloned());
    }
    all.extend(message.omitted());
    all.extend(message.footer.iter().cloned());
    all
}

fn bare(text: &str) -> String {
    text.split_whitespace().collect()
}

/// What is left of HTML without its tags.
fn words_of(html: &str) -> String {
    let body = &html[html.find("<body").unwrap()..];
    let text: String =
        body.split('<').filter_map(|piece| piece.split_once('>')).map(|(_, text)| text).collect();
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text, |text, (from, to)| text.replace(from, to))
}

/// Both parts hold all the message says and nothing else; the text fits a terminal; the subject needs no encoding.
#[track_caller]
fn check(name: &str, notice: &Notice, language: Language, zone: Tz) {
    let message = compose(notice, language, zone);
    let mail = Mail::read(&channel().payload(notice, &message, at(600)));
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("letters");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}-{}.html", language.code())), &mail.html).unwrap();
    std::fs::write(folder.join(format!("{name}-{}.txt", language.code())), &mail.text).unwrap();
    let (text, html) = (bare(&mail.text), bare(&words_of(&mail.html)));
    for piece in pieces(&message) {
        assert!(text.contains(&bare(&piece)), "{name}: {piece:?} is not in the text:\n{}", mail.text);
        assert!(html.contains(&bare(&piece)), "{name}: {piece:?} is not in the HTML:\n{}", mail.html);
    }
    let said: String =
        std::iter::once(message.title.clone()).chain(pieces(&message)).map(|p| bare(&p)).collect();
    assert_eq!(html.len(), said.len(), "{name}: the HTML says more than the message");
    for line in mail.text.lines() {
        assert!(line.width() <= 80, "{name}: {} columns: {line}", line.width());
    }
    let subject = mail.header("Subject").unwrap();
    if language == Language::En {
        assert!(subject.is_ascii() && !subject.starts_with("=?"), "{name}: {subject}");
        assert_eq!(subject, message.title);
        assert!(subject.len() <= 78, "{name}: {subject}");
    }
    assert!(message.title.chars().count() <= 78, "{name}: {}", message.title);
}

#[test]
fn both_parts_of_every_mail_say_the_same() {
    for (language, zone) in [(Language::En, Tz::Asia__Shanghai), (Language::ZhCn, Tz::Asia__Shanghai)] {
        for (name, notice) in [users_events(), other_events(), own_events(language)].concat() {
            check(&name, &notice, language, zone);
        }
    }
}

/// The references of a mail, in order; the last is what it answers.
#[track_caller]
fn check_thread(notice: &Notice, expect: &[&str]) {
    let message = compose(notice, Language::En, Tz::UTC);
    let mail = Mail::read(&channel().payload(notice, &message, at(600)));
    let references: Vec<&str> =
        mail.header("References").into_iter().flat_map(str::split_whitespace).collect();
    assert_eq!(references, expect);
    assert_eq!(mail.header("In-Reply-To"), expect.last().copied());
    assert_eq!(mail.header("Message-ID"), Some(format!("<{}@example.com>", notice.id).as_str()));
}

#[test]
fn mails_gather_by_episode_or_rule() {
    let short = |kind, user: &str| Event { episode: format!("ep_{user}").into(), ..event(kind, user) };
    for kind in [EventKind::Fired, EventKind::Reminded, EventKind::Ended] {
        check_thread(&alert(short(kind, "alice")), &["<ep_alice@example.com>"]);
    }
    let both = vec![short(EventKind::Fired, "alice"), short(EventKind::Ended, "alice")];
    check_thread(&notice(NoticeKind::FiredAndEnded, both), &["<ep_alice@example.com>"]);
    let two = vec![short(EventKind::Fired, "alice"), short(EventKind::Fired, "bob")];
    let rule = "<rule.shared-account@example.com>";
    let thread = ["<ep_alice@example.com>", "<ep_bob@example.com>", rule];
    check_thread(&notice(NoticeKind::Digest, two.clone()), &thread);
    let mut mixed = two;
    mixed[1].rule = "night-shift".into();
    check_thread(&notice(NoticeKind::Digest, mixed), &[]);
    let mut hostile = short(EventKind::Fired, "alice");
    hostile.episode = "ep_a>\r\nBcc: x".into();
    check_thread(&alert(hostile), &["<ep_a---Bcc--x@example.com>"]);
    check_thread(&Notice::test("soc-mail", "1"), &[]);
}

#[test]
fn the_subject_of_an_episode_changes_in_its_first_words_only() {
    let mut endings = std::collections::BTreeSet::new();
    for (_, notice) in users_events() {
        let title = compose(&notice, Language::En, Tz::UTC).title;
        endings.insert(title.split_once(": ").unwrap().1.to_owned());
    }
    assert_eq!(endings.into_iter().collect::<Vec<_>>(), ["shanghai/alice (shared-account)"]);
}
