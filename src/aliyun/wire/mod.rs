//! Replies: bytes of JSON or XML in, checked values out.
//!
//! Neighbours: the client reads every reply's [`Envelope`], `source` its contents. A part of its own because all
//! the decisions on broken replies are here: what spoils one user's reading, and what spoils the whole reply.
//!
//! Decided: a count is a number or text of 1 to 10 digits, at most 100,000; everything else (sign, space, fraction,
//! hex, null, list) fails that user alone. An entry without a name spoils the reply, because its user would look
//! absent. A single object where a list is due counts as a list of one. A byte-order mark is passed over.

mod json;
mod xml;

use std::borrow::Cow;

use crate::engine::event::OnlineClient;
use crate::engine::reading::MOST_ONLINE;
use crate::engine::time::Time;

/// The longest name of a user, in bytes; as in the rules file.
const LONGEST_NAME: usize = 256;

/// Why a reply cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// What every reply may say of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Envelope {
    pub request_id: Option<String>,
    /// An error's code; a code that means success is left out.
    pub code: Option<String>,
    pub message: Option<String>,
}

impl Envelope {
    fn settled(mut self) -> Self {
        let fine = |code: &String| matches!(code.as_str(), "" | "200" | "OK" | "Success" | "success");
        self.code = self.code.filter(|code| !fine(code));
        self
    }
}

/// One entry of the statistics: a name, and its count if it is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    pub name: Cow<'a, str>,
    pub count: Option<u32>,
}

/// A page of an instance's users.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RosterPage {
    /// Users on all pages.
    pub total: u64,
    /// Counted from 1; not every page says it.
    pub number: Option<u32>,
    pub users: Vec<RosterUser>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RosterUser {
    pub name: String,
    /// None where the page does not say it in a way that is documented.
    pub enabled: Option<bool>,
}

/// One entry of the instances' totals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstanceTotal {
    pub instance: String,
    /// Of a whole instance, so that a single user's bound does not hold.
    pub online: Option<u32>,
}

/// A reply's request id and error, whatever else is in it.
pub fn envelope(body: &[u8]) -> Result<Envelope, Malformed> {
    either(body, json::envelope, xml::envelope).map(Envelope::settled)
}

/// The reply of `DescribeUserOnlineClientStatistics`, its envelope too.
pub fn statistics(body: &[u8]) -> Result<(Envelope, Vec<Entry<'_>>), Malformed> {
    let (envelope, entries) = either(body, json::statistics, xml::statistics)?;
    Ok((envelope.settled(), entries))
}

/// The reply of `DescribeUserOnlineClients`.
pub fn clients(body: &[u8]) -> Result<Vec<OnlineClient>, Malformed> {
    either(body, json::clients, xml::clients)
}

/// A page of the reply of `DescribeSmartAccessGatewayClientUsers`. A user without a name spoils it.
pub fn roster(body: &[u8]) -> Result<RosterPage, Malformed> {
    let page = either(body, json::roster, xml::roster)?;
    let fit = |user: &RosterUser| (1..=LONGEST_NAME).contains(&user.name.len());
    if page.users.iter().all(fit) { Ok(page) } else { malformed("the reply has a user without a name") }
}

/// The reply of `DescribeSagOnlineClientStatistics`.
pub fn totals(body: &[u8]) -> Result<Vec<InstanceTotal>, Malformed> {
    either(body, json::totals, xml::totals)
}

fn malformed<T>(why: impl Into<String>) -> Result<T, Malformed> {
    Err(Malformed(why.into()))
}

/// Reads the body as what its first character says it is.
fn either<'a, T>(
    body: &'a [u8],
    json: fn(&'a str) -> Result<T, Malformed>,
    xml: fn(&'a str) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let Ok(text) = std::str::from_utf8(body) else {
        return malformed("the reply is not UTF-8 text");
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii();
    match text.chars().next() {
        Some('{') => json(text),
        Some('<') => xml(text),
        Some(_) => malformed("the reply is neither JSON nor XML"),
        None => malformed("the reply is empty"),
    }
}

/// A count as it stands in the reply, without quotes.
fn count(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit());
    let count = if digits { text.parse().ok() } else { None };
    count.filter(|count| *count <= MOST_ONLINE)
}

/// A whole number without a sign.
fn whole<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// 0 is enabled, 1 disabled.
fn enabled(state: &str) -> Option<bool> {
    match state {
        "0" => Some(true),
        "1" => Some(false),
        _ => None,
    }
}

/// Whole seconds since 1970, as text; anything beyond the year 9999 is no time.
fn unix_time(text: &str) -> Option<Time> {
    let seconds: i64 = text.parse().ok()?;
    (0..253_402_300_800).contains(&seconds).then(|| Time::from_millis(seconds * 1000))
}

#[cfg(test)]
mod tests;
