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
    loop {
        // lettre panics on header text it did not expect; a mail that cannot be made well is made plainly.
        let made = catch_unwind(AssertUnwindSafe(|| build(from, to, notice, &message, now)));
        match made.ok().flatten() {
            Some(mail) if mail.len() <= MAX_MAIL => return mail,
            Some(_) if message.shorten() => {}
            _ => return plain(from, to, notice, &message, now),
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
