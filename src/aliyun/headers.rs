//! What a reply's headers say besides its body: where else to ask, when to come back, what time it is.
//!
//! Neighbours: the client acts on it. A part of its own because each header has forms of its own, and because nothing
//! in them may be believed further than a bound.

use std::time::Duration;

use super::transport::Answer;
use crate::engine::time::{Span, Time};

/// No wait between tries is longer, whatever the vendor asks for.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Where a redirect leads, the host alone: whoever sends it may have put a request's keys into the rest.
pub(super) fn redirect(answer: &Answer) -> Option<String> {
    if !(300..400).contains(&answer.status) {
        return None;
    }
    let url = url::Url::parse(answer.header("location")?).ok()?;
    Some(crate::net::place(&url).chars().filter(|c| !c.is_control()).take(100).collect())
}

/// How long the vendor wants to be left alone: `x-acs-retry-after` in milliseconds, or `Retry-After` in seconds or
/// as a date.
pub(super) fn asked_wait(answer: &Answer) -> Option<Duration> {
    let number = |name: &str| answer.header(name)?.trim().parse::<u64>().ok().filter(|n| *n > 0);
    let millis = number("x-acs-retry-after").map(Duration::from_millis);
    let seconds = number("retry-after").map(Duration::from_secs);
    let until = || {
        let until = httpdate::parse_http_date(answer.header("retry-after")?).ok()?;
        let date = httpdate::parse_http_date(answer.header("date")?).ok()?;
        until.duration_since(date).ok()
    };
    millis.or(seconds).or_else(until).map(|wait| wait.min(LONGEST_WAIT))
}

/// The reply's `Date` (whole seconds, so half a second is added) against the middle of our waiting.
pub(super) fn clock_skew(answer: &Answer, asked: Time, came: Time) -> Option<Span> {
    let date = httpdate::parse_http_date(answer.header("date")?).ok()?;
    let since_1970 = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let theirs = Time::from_millis(Span::from_std(since_1970).millis().saturating_add(500));
    let middle = asked + Span::from_millis(came.since(asked).millis() / 2);
    Some(theirs.since(middle))
}
