//! What a receiver's answer, or the lack of one, means for the notification.
//!
//! Neighbours: `webhook` makes the request, `engine::backoff` decides when the next one is. A part of its own
//! because the table of answers is the contract with receivers; anything not in it is tried for ever rather than
//! given up.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::RETRY_AFTER;

use super::super::Delivery;
use super::super::note::Hidden;
use super::Forbidden;
use crate::engine::backoff::Answer;
use crate::engine::time::{Span, Time};
use crate::net;

/// An answer's body is read this far, so that an endless one costs nothing; the status decides.
const MAX_ANSWER: usize = 64 * 1024;

/// The class of a status, by what the receiver can mean with it.
fn class(status: u16) -> Answer {
    match status {
        200..=299 => Answer::Sent,
        410 => Answer::Gone,
        400 | 413 | 422 => Answer::Rejected,
        // 3xx: never followed. 409 and 423 say that another moment may do.
        100..=199 | 300..=399 | 408 | 409 | 423 | 425 | 429 | 500..=599 => Answer::Retry,
        // 401, 403, 404, 407 and what else says that address or login is wrong: nothing is lost over it.
        _ => Answer::Misconfigured,
    }
}

/// What a receiver answered, as far as it is shown or needed.
pub struct Reply {
    /// 100 to 999, as HTTP has it.
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
}

/// Reads as much of the answer as is shown or needed.
pub(super) async fn read(mut response: Response) -> Reply {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.map(str::to_owned);
    let mut body = Vec::new();
    // The status has decided: what fails from here on, fails without consequence.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER - body.len())]);
        if body.len() >= MAX_ANSWER {
            break;
        }
    }
    Reply { status, retry_after, body }
}

/// What the answer means.
pub(super) fn understood(reply: &Reply, now: Time, hidden: &Hidden) -> Delivery {
    let mut note = format!("answered {}", reply.status);
    if !reply.body.is_empty() {
        note = format!("{note}: {}", hidden.foreign(&reply.body));
    }
    let retry_after = reply.retry_after.as_deref().and_then(|value| wait(value, now));
    Delivery {
        answer: class(reply.status),
        status: Some(reply.status),
        note,
        accepted: Vec::new(),
        retry_after,
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date. Anything else asks for nothing.
fn wait(value: &str, now: Time) -> Option<Span> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Span::from_secs(value.parse().unwrap_or(i64::MAX)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((Time::from_millis(0) + Span::from_std(since)).since(now))
}

fn delivery(answer: Answer, note: String) -> Delivery {
    Delivery { answer, status: None, note, accepted: Vec::new(), retry_after: None }
}

pub(super) fn forbidden(refused: &Forbidden) -> Delivery {
    delivery(Answer::Misconfigured, format!("not sent: {refused}"))
}

pub(super) fn too_slow(limit: Duration) -> Delivery {
    delivery(Answer::Retry, format!("no answer within {}", Span::from_std(limit)))
}

/// A request without an answer. The error's own text may hold the URL, so only its causes are told.
pub(super) fn failure(error: &reqwest::Error, hidden: &Hidden) -> Delivery {
    if let Some(refused) = net::find_cause::<Forbidden>(error) {
        return forbidden(refused);
    }
    if let Some(refused) = net::refused_by_tls(error) {
        return delivery(Answer::Misconfigured, format!("tls: {refused}"));
    }
    if error.is_timeout() {
        return delivery(Answer::Retry, "no connection in time".to_owned());
    }
    let cause = net::last_cause(error);
    let known = !net::unknown_host(&cause);
    let answer = if known { Answer::Retry } else { Answer::Misconfigured };
    delivery(answer, format!("no answer: {}", hidden.foreign(cause.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_class() {
        let mut table = String::new();
        let mut last = None;
        for status in 100..=599 {
            let answer = class(status);
            if last != Some(answer) {
                table.push_str(&format!("{status} {answer:?}\n"));
                last = Some(answer);
            }
        }
        insta::assert_snapshot!(table);
    }

    #[track_caller]
    fn check(value: &str, expect: Option<i64>) {
        let now = "2026-11-22T03:05:00Z".parse().unwrap();
        assert_eq!(wait(value, now).map(Span::millis), expect, "{value}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        check("120", Some(120_000));
        check("0", Some(0));
        check("99999999999999999999999", Some(i64::MAX));
        check("Sun, 22 Nov 2026 03:06:00 GMT", Some(60_000));
        check("Sun, 22 Nov 2026 03:04:00 GMT", Some(-60_000));
        for garbage in ["", "soon", "-5", "1.5", "12 minutes"] {
            check(garbage, None);
        }
    }
}
