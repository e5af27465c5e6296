//! JSON replies.
//!
//! Neighbours: `wire` chooses between this and `xml` and states the decisions on broken values. A part of its own
//! because numbers are taken as written: `1e400` in one entry must not spoil the other 49.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    Entry, Envelope, InstanceTotal, Malformed, RosterPage, RosterUser, count, enabled, malformed, unix_time,
    whole,
};
use crate::engine::event::OnlineClient;
use crate::engine::reading::MOST_ONLINE;

/// Refusals write their keys in either case. A key that comes twice is refused by serde.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "RequestId", alias = "requestId", borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(rename = "Code", alias = "code", borrow)]
    code: Option<&'a RawValue>,
    #[serde(rename = "Message", alias = "message", borrow)]
    message: Option<&'a RawValue>,
}

impl From<Head<'_>> for Envelope {
    fn from(head: Head<'_>) -> Self {
        let owned = |raw| text(raw).map(Cow::into_owned);
        Self { request_id: owned(head.request_id), code: owned(head.code), message: owned(head.message) }
    }
}

/// The head's fields are here again: `serde(flatten)` would copy the whole reply.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Statistics<'a, T> {
    #[serde(rename = "RequestId", alias = "requestId", borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(rename = "Code", alias = "code", borrow)]
    code: Option<&'a RawValue>,
    #[serde(rename = "Message", alias = "message", borrow)]
    message: Option<&'a RawValue>,
    #[serde(rename = "UserStatistics")]
    user_statistics: Object<List<T>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct List<T> {
    #[serde(rename = "Statistics")]
    statistics: OneOrMany<T>,
}

/// An entry as it may be.
#[derive(Deserialize)]
struct Statistic<'a> {
    #[serde(rename = "UserName", borrow)]
    user_name: Cow<'a, str>,
    #[serde(rename = "OnlineCount", borrow)]
    online_count: Option<&'a RawValue>,
}

impl<'a> From<Statistic<'a>> for Entry<'a> {
    fn from(one: Statistic<'a>) -> Self {
        let count = text(one.online_count).and_then(|text| count(&text));
        Self { name: one.user_name, count }
    }
}

/// An entry as it is, nearly always: nothing escaped, the count text or a whole number. Anything else is refused.
#[derive(Deserialize)]
struct Plain<'a> {
    #[serde(rename = "UserName")]
    user_name: &'a str,
    #[serde(rename = "OnlineCount")]
    online_count: PlainCount,
}

impl<'a> From<Plain<'a>> for Entry<'a> {
    fn from(one: Plain<'a>) -> Self {
        Self { name: Cow::Borrowed(one.user_name), count: one.online_count.0 }
    }
}

struct PlainCount(Option<u32>);

impl<'de> Deserialize<'de> for PlainCount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Digits;
        impl<'de> Visitor<'de> for Digits {
            type Value = PlainCount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<PlainCount, E> {
                Ok(PlainCount(count(text)))
            }
            fn visit_u64<E>(self, number: u64) -> Result<PlainCount, E> {
                Ok(PlainCount(u32::try_from(number).ok().filter(|count| *count <= MOST_ONLINE)))
            }
        }
        from.deserialize_any(Digits)
    }
}

#[derive(Deserialize)]
struct Clients<'a> {
    #[serde(rename = "Users", borrow)]
    users: Object<Users<'a>>,
}

#[derive(Deserialize)]
struct Users<'a> {
    #[serde(rename = "User", borrow)]
    user: OneOrMany<User<'a>>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(rename = "ClientIp", borrow)]
    client_ip: Cow<'a, str>,
    #[serde(rename = "OnlineTime", borrow)]
    online_time: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Roster<'a> {
    #[serde(rename = "TotalCount", borrow)]
    total_count: Option<&'a RawValue>,
    #[serde(rename = "PageNumber", borrow)]
    page_number: Option<&'a RawValue>,
    #[serde(rename = "Users", borrow)]
    users: Object<Accounts<'a>>,
}

#[derive(Deserialize)]
struct Accounts<'a> {
    #[serde(rename = "User", borrow)]
    user: OneOrMany<UserAccount<'a>>,
}

#[derive(Deserialize)]
struct UserAccount<'a> {
    #[serde(rename = "UserName", borrow)]
    user_name: Cow<'a, str>,
    #[serde(rename = "State", borrow)]
    state: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Totals<'a> {
    #[serde(rename = "SagStatistics", borrow)]
    sag_statistics: Object<TotalList<'a>>,
}

#[derive(Deserialize)]
struct TotalList<'a> {
    #[serde(rename = "Statistics", borrow)]
    statistics: OneOrMany<Total<'a>>,
}

#[derive(Deserialize)]
struct Total<'a> {
    #[serde(rename = "SmartAGId", borrow)]
    instance: Cow<'a, str>,
    #[serde(rename = "OnlineCount", borrow)]
    online_count: Option<&'a RawValue>,
}

/// An object and nothing else: derived types would take a list of their fields' values as well.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Only<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Only<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        from.deserialize_map(Only(PhantomData)).map(Self)
    }
}

/// A list, or a single object that stands for a list of one.
struct OneOrMany<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(Object(one)) = seq.next_element()? {
                    all.push(one);
                }
                Ok(all)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
            }
        }
        from.deserialize_any(Either(PhantomData)).map(Self)
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Malformed> {
    // The error of serde_json may quote the reply; its kind and place are enough.
    serde_json::from_str(text).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "ends too early",
            serde_json::error::Category::Data => "has not the documented fields",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "is not JSON",
        };
        Malformed(format!("the reply {what} (line {}, column {})", error.line(), error.column()))
    })
}

/// The value as text: a string's content, anything else as written; null is none.
fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let raw = raw?.get();
    match raw.as_bytes().first()? {
        b'"' if !raw.contains('\\') => Some(Cow::Borrowed(&raw[1..raw.len() - 1])),
        b'"' => serde_json::from_str::<String>(raw).ok().map(Cow::Owned),
        b'n' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

pub(super) fn envelope(body: &str) -> Result<Envelope, Malformed> {
    read::<Head<'_>>(body).map(Envelope::from)
}

pub(super) fn statistics(body: &str) -> Result<(Envelope, Vec<Entry<'_>>), Malformed> {
    // What is not plain, or not right, is gone through a second time, with care.
    match serde_json::from_str::<Statistics<'_, Plain<'_>>>(body) {
        Ok(plain) => Ok(entries(plain)),
        Err(_) => read::<Statistics<'_, Statistic<'_>>>(body).map(entries),
    }
}

fn entries<'a, T: Into<Entry<'a>>>(reply: Statistics<'a, T>) -> (Envelope, Vec<Entry<'a>>) {
    let Statistics { request_id, code, message, user_statistics } = reply;
    let head = Head { request_id, code, message };
    (head.into(), user_statistics.0.statistics.0.into_iter().map(Into::into).collect())
}

pub(super) fn clients(body: &str) -> Result<Vec<OnlineClient>, Malformed> {
    let reply: Clients<'_> = read(body)?;
    let client = |one: User<'_>| OnlineClient {
        online_since: text(one.online_time).and_then(|text| unix_time(&text)),
        address: one.client_ip.into_owned(),
    };
    Ok(reply.users.0.user.0.into_iter().map(client).collect())
}

pub(super) fn roster(body: &str) -> Result<RosterPage, Malformed> {
    let reply: Roster<'_> = read(body)?;
    let Some(total) = text(reply.total_count).and_then(|text| whole(&text)) else {
        return malformed("the reply has no TotalCount");
    };
    let number = text(reply.page_number).and_then(|text| whole(&text));
    let user = |one: UserAccount<'_>| RosterUser {
        enabled: text(one.state).and_then(|state| enabled(&state)),
        name: one.user_name.into_owned(),
    };
    Ok(RosterPage { total, number, users: reply.users.0.user.0.into_iter().map(user).collect() })
}

pub(super) fn totals(body: &str) -> Result<Vec<InstanceTotal>, Malformed> {
    let reply: Totals<'_> = read(body)?;
    let one = |one: Total<'_>| InstanceTotal {
        online: text(one.online_count).and_then(|text| whole(&text)),
        instance: one.instance.into_owned(),
    };
    Ok(reply.sag_statistics.0.statistics.0.into_iter().map(one).collect())
}
