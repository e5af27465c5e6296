//! The body of a webhook: what other programs read of a notification, under 20 kB.
//!
//! Neighbours: `engine::event` gives the shape of an event, `webhook` stores the bytes. A part of its own because
//! receivers are built against this shape, and because fitting it into its size is a decision of its own.

use std::sync::Arc;

use serde::Serialize;

use crate::engine::event::{Event, Severity};
use crate::engine::message::Message;
use crate::engine::notify::{Notice, NoticeKind};
use crate::engine::time::Time;

/// Standard Webhooks asks for less than 20 kB.
const MAX_BODY: usize = 20_000;

/// Events in one body; the rest is a count.
const MAX_EVENTS: usize = 20;

/// Characters of `text`, and of each free text of an event once the body has to shrink.
const MAX_TEXT: usize = 2_000;
const SHORT_TEXT: usize = 200;

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: Time,
    data: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    notification: &'a str,
    source: Option<&'a str>,
    rule: Option<&'a str>,
    rule_version: Option<&'a str>,
    severity: Option<Severity>,
    language: &'a str,
    events: &'a [Event],
    more: usize,
    text: &'a str,
    link: Option<&'a str>,
}

/// The bytes that are stored, and sent and signed at every attempt.
pub(super) fn render(notice: &Notice, message: &Message, now: Time) -> Vec<u8> {
    let shown = notice.events.iter().take(MAX_EVENTS);
    let mut events: Vec<Event> = shown.map(|event| Event::clone(event)).collect();
    let kind = kind(notice);
    let text = shorten(&message.summary, MAX_TEXT);
    let body = |events: &[Event]| {
        let body = Body {
            r#type: &kind,
            timestamp: notice.events.iter().map(|e| e.at).max().unwrap_or(now),
            data: fields(notice, message, events, &text),
        };
        // Writing numbers, strings and lists into memory cannot fail.
        serde_json::to_vec(&body).unwrap_or_default()
    };
    for step in SHRINK {
        let bytes = body(&events);
        if bytes.len() < MAX_BODY {
            return bytes;
        }
        events.iter_mut().for_each(step);
    }
    loop {
        let bytes = body(&events);
        if bytes.len() < MAX_BODY || events.is_empty() {
            return bytes;
        }
        events.pop();
    }
}

/// What is given up, in this order, before events are: the store has it all.
const SHRINK: [fn(&mut Event); 5] = [
    |event| event.readings.change(|list| keep_last(list, 5)),
    |event| event.readings.change(|list| keep_last(list, 1)),
    |event| event.readings.clear(),
    |event| {
        event.request_ids.truncate(1);
        event.clients = None;
        event.users.truncate(20);
    },
    |event| {
        for text in [&mut event.when, &mut event.detail, &mut event.note, &mut event.by] {
            *text = text.take().map(|t| shorten(&t, SHORT_TEXT).into());
        }
        if let Some(exception) = event.limit.as_mut().and_then(|limit| limit.exception.as_mut()) {
            exception.reason = shorten(&exception.reason, SHORT_TEXT);
            exception.owner = shorten(&exception.owner, SHORT_TEXT);
        }
    },
];

fn keep_last<T>(list: &mut Vec<T>, count: usize) {
    list.drain(..list.len().saturating_sub(count));
}

fn shorten(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn fields<'a>(notice: &'a Notice, message: &Message, events: &'a [Event], text: &'a str) -> Fields<'a> {
    let all = &notice.events;
    Fields {
        notification: &notice.id,
        source: common(all, |e| e.source.as_deref()).flatten(),
        rule: common(all, |e| e.rule.as_str()),
        rule_version: common(all, |e| e.rule_version.as_str()),
        severity: all.iter().map(|e| e.severity).max(),
        language: message.language.code(),
        events,
        more: all.len() - events.len(),
        text,
        link: None,
    }
}

/// `test`, the one kind of all events, or a digest where kinds or rules are mixed.
fn kind(notice: &Notice) -> String {
    if notice.kind == NoticeKind::Test {
        return "test".to_owned();
    }
    match common(&notice.events, |e| (e.kind, e.rule.as_str())) {
        Some((kind, _)) => format!("alert.{}", format!("{kind:?}").to_ascii_lowercase()),
        None => "alert.digest".to_owned(),
    }
}

/// The value that all events share.
fn common<'a, T: PartialEq>(events: &'a [Arc<Event>], value: impl Fn(&'a Event) -> T) -> Option<T> {
    let first = value(events.first()?);
    events.iter().all(|event| value(event) == first).then_some(first)
}
