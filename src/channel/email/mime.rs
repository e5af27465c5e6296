//! A notice as a whole mail, headers and both parts, as it is stored and sent at every attempt.
//!
//! Neighbours: `html` makes one part, `engine::message` the words, lettre the encoding. A part of its own because
//! threading, limits and the harmlessness of headers are decided here and nowhere else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Mailboxes, MultiPart, SinglePart, header};

use super::html;
use crate::engine::message::{Message, clean};
use crate::engine::notify::Notice;
use crate::engine::time::Time;

/// The largest mail that is made; beyond it sections and rows become a count.
const MAX_MAIL: usize = 256 * 1024;

/// Characters of a header that holds words.
const MAX_HEADER: usize = 200;

/// Episodes one mail refers to.
const MAX_REFERENCES: usize = 20;

pub(super) fn render(
    from: &Mailbox,
    to: &[Mailbox],
    notice: &Notice,
    message: &Message,
    now: Time,
) -> Vec<u8> {
    let mut message = message.clone();
    let made = fit(&mut message, |message| build(from, to, notice, message, now));
    made.unwrap_or_else(|| plain(from, to, notice, &message, now))
}

/// What `make` makes of the message, shortened until it is no larger than a mail may be. lettre panics on header text
/// it did not expect; a mail that cannot be made well (None) is made plainly.
fn fit(message: &mut Message, make: impl Fn(&Message) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    loop {
        let mail = catch_unwind(AssertUnwindSafe(|| make(message))).ok().flatten()?;
        if mail.len() <= MAX_MAIL {
            return Some(mail);
        }
        if !message.shorten() {
            return None;
        }
    }
}

fn build(from: &Mailbox, to: &[Mailbox], notice: &Notice, message: &Message, now: Time) -> Option<Vec<u8>> {
    let domain = from.email.domain();
    let parts = MultiPart::alternative()
        .boundary(boundary(&notice.id)) // not by chance: equal notices make equal mails
        .singlepart(part(ContentType::TEXT_PLAIN, &message.text()))
        .singlepart(part(ContentType::TEXT_HTML, &html::render(message)));
    let mut builder = lettre::Message::builder()
        .from(from.clone())
        .mailbox(header::To::from(to.iter().cloned().collect::<Mailboxes>()))
        .date(UNIX_EPOCH + Duration::from_secs(now.seconds().try_into().unwrap_or(0)))
        .message_id(Some(format!("<{}@{domain}>", notice.id)))
        .subject(clean(&message.title, MAX_HEADER))
        .raw_header(fixed("Auto-Submitted", "auto-generated"))
        .raw_header(fixed("X-Auto-Response-Suppress", "All"));
    let references = references(notice, domain);
    if let Some(nearest) = references.last() {
        builder = builder.in_reply_to(nearest.clone()).references(references.join(" "));
    }
    Some(builder.multipart(parts).ok()?.formatted())
}

fn fixed(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn part(kind: ContentType, text: &str) -> SinglePart {
    // base64: no line is too long, none begins with a dot, no bare CR or LF reaches the wire.
    let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
    let body = Body::new_with_encoding(text.into_bytes(), ContentTransferEncoding::Base64);
    SinglePart::builder().header(kind).body(body.unwrap_or_else(Body::new))
}

fn boundary(id: &str) -> String {
    let plain: String = id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    format!("=_{plain}")
}

/// What the mail answers, nearest last: its episode; or, for several of one rule, they and their rule's root. None
/// of these was ever sent: mail programs draw a thread under a message they do not have.
fn references(notice: &Notice, domain: &str) -> Vec<String> {
    let id = |local: &str| format!("<{local}@{domain}>");
    let episodes = notice.episodes();
    if let [only] = episodes.as_slice() {
        return vec![id(&atom(only))];
    }
    let Some(rule) = notice.events.first().map(|event| &event.rule) else { return Vec::new() };
    if notice.events.iter().any(|event| event.rule != *rule) {
        return Vec::new();
    }
    let mut all: Vec<_> = episodes.iter().take(MAX_REFERENCES).map(|episode| id(&atom(episode))).collect();
    // Last, as what is answered: programs that look at one reference only still gather a rule's batches.
    all.push(id(&format!("rule.{}", atom(rule))));
    all
}

/// Only what needs no quoting in a message id (RFC 5322, 3.6.4).
fn atom(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '-' };
    text.chars().take(64).map(safe).collect()
}

/// The form that needs no library: ASCII headers, one base64 part of the first words.
fn plain(from: &Mailbox, to: &[Mailbox], notice: &Notice, message: &Message, now: Time) -> Vec<u8> {
    let to: Vec<String> = to.iter().map(|mailbox| mailbox.email.to_string()).collect();
    let text = format!("{}\r\n\r\n{}\r\n", clean(&message.title, 1_000), clean(&message.summary, 4_000));
    let encoded = BASE64_STANDARD.encode(text);
    let lines: Vec<_> = encoded.as_bytes().chunks(76).map(String::from_utf8_lossy).collect();
    let (id, domain) = (atom(&notice.id), from.email.domain());
    let date = now.to_utc().format("%a, %d %b %Y %H:%M:%S +0000");
    let headers = format!(
        "From: {}\r\nTo: {}\r\nDate: {date}\r\nMessage-ID: <{id}@{domain}>\r\nSubject: Seatwatch {id}\r\n\
         Auto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        from.email,
        to.join(",\r\n ")
    );
    format!("{headers}{}\r\n", lines.join("\r\n")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::{Language, Section, Table, compose};

    fn render(message: &Message) -> String {
        let (from, to): (Mailbox, Mailbox) =
            ("Seatwatch <alerts@example.com>".parse().unwrap(), "soc@example.com".parse().unwrap());
        let notice = Notice::test("soc-mail", "1");
        String::from_utf8(super::render(&from, &[to], &notice, message, Time::default())).unwrap()
    }

    fn message() -> Message {
        compose(&Notice::test("soc-mail", "1"), Language::En, chrono_tz::Tz::UTC)
    }

    fn large(rows: usize, cell: usize) -> Message {
        let table = Table { head: Vec::new(), rows: vec![vec!["x".repeat(cell)]; rows] };
        let section = Section { table: Some(table), ..Section::default() };
        Message { sections: vec![section; 3], ..message() }
    }

    #[test]
    fn a_mail_that_is_too_large_is_shortened_and_says_so() {
        assert_eq!(MAX_MAIL, 256 * 1024);
        for (rows, cell) in [(20, 100), (5000, 40), (1, 1 << 20)] {
            let (whole, mail) = (large(rows, cell), render(&large(rows, cell)));
            assert!(mail.len() <= MAX_MAIL, "{} bytes", mail.len());
            assert!(mail.contains("multipart/alternative"));
            let mut message = whole.clone();
            let made = fit(&mut message, |m| Some(m.text().into_bytes())).unwrap();
            assert!(made.len() <= MAX_MAIL);
            let cut = message.footer.iter().filter(|line| line.starts_with("Shortened")).count();
            assert_eq!(cut, usize::from(whole.text().len() > MAX_MAIL), "{:?}", message.footer);
            assert_eq!(message.more, 0, "sections are not subjects");
        }
        let endless = Message { summary: "x".repeat(1 << 20), ..large(9, 9) };
        assert!(render(&endless).len() <= MAX_MAIL, "what cannot be shortened is sent plainly");
    }

    #[test]
    fn a_mail_that_the_library_cannot_make_is_made_plainly() {
        for make in [|_: &Message| -> Option<Vec<u8>> { panic!("header") }, |_: &Message| None] {
            assert_eq!(fit(&mut message(), make), None);
        }
        let to: [Mailbox; 2] = ["SOC <soc@example.com>".parse().unwrap(), "b@example.com".parse().unwrap()];
        let notice = Notice::test("soc-mail", "1");
        let hostile = Message { title: "a\r\nBcc: x 在线".to_owned(), ..message() };
        let mail = plain(&to[0], &to, &notice, &hostile, Time::default());
        let mail = String::from_utf8(mail).unwrap();
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        assert!(mail.is_ascii() && mail.lines().all(|line| line.len() <= 998), "{mail}");
        assert!(head.contains("To: soc@example.com,\r\n b@example.com\r\n"), "{head}");
        assert!(head.contains(&format!("Message-ID: <{}@example.com>", notice.id)), "{head}");
        assert!(head.contains("Date: Thu, 01 Jan 1970 00:00:00 +0000"), "{head}");
        let text = BASE64_STANDARD.decode(body.replace("\r\n", "")).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("a\\r\\nBcc: x 在线\r\n\r\nThis is a test of channel soc-mail."), "{text}");
    }
}
