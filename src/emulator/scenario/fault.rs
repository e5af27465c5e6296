//! One planted fault: when, for whom, and what happens instead of an answer.
//!
//! Neighbours: `scenario` reads a list of them, `server` acts on the one that holds. A part of its own because each
//! kind takes a `code` of its own, checked here once.

use serde::Deserialize;
use serde::de::Error as _;

use super::super::answer::Refusal;
use super::super::call::Call;
use super::Offset;
use crate::engine::time::Span;

#[derive(Clone, Debug)]
pub(crate) struct Fault {
    after: Span,
    length: Span,
    users: Vec<String>,
    instances: Vec<String>,
    actions: Vec<String>,
    pub(in super::super) kind: Kind,
}

/// What happens instead of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Refuse(Refusal),
    /// This HTTP status with a page of a load balancer.
    Status(u16),
    /// The answer comes this much later.
    Delay(Span),
    /// The connection closes without an answer.
    Drop,
    /// Status 200 with this instead of the reply; `None` is the reply cut in the middle.
    Garbage(Option<&'static str>),
}

impl Fault {
    pub(super) fn is_on(&self, since_start: Span) -> bool {
        self.after <= since_start && since_start < self.after + self.length
    }

    pub(super) fn is_for(&self, call: &Call) -> bool {
        let holds = |wanted: &[String], given: &str| wanted.is_empty() || wanted.iter().any(|w| w == given);
        let names: Vec<_> = call.list("UserNames").into_iter().chain(call.param("UserName")).collect();
        (self.users.is_empty() || names.iter().any(|name| holds(&self.users, name)))
            && holds(&self.instances, call.param("SmartAGId").unwrap_or_default())
            && holds(&self.actions, call.action().unwrap_or_default())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    after: Option<Offset>,
    #[serde(rename = "for")]
    length: Option<Offset>,
    kind: Word,
    code: Option<toml::Value>,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    instances: Vec<String>,
    #[serde(default)]
    actions: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Throttle,
    Error,
    Status,
    Delay,
    Drop,
    Garbage,
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(from)?;
        Ok(Self {
            after: table.after.map_or(Span::ZERO, |after| after.0),
            length: table.length.map_or(Span::MAX, |length| length.0),
            kind: kind(table.kind, table.code.as_ref()).map_err(D::Error::custom)?,
            users: table.users,
            instances: table.instances,
            actions: table.actions,
        })
    }
}

fn kind(word: Word, code: Option<&toml::Value>) -> Result<Kind, &'static str> {
    let text = code.and_then(toml::Value::as_str);
    match word {
        Word::Throttle => match (code, text) {
            (None, _) => Ok(Kind::Refuse(Refusal::throttled(1_000))),
            (_, Some(code)) => {
                let code = code.to_owned();
                Ok(Kind::Refuse(Refusal { code, ..Refusal::throttled(1_000) }))
            }
            _ => Err("`code` of a throttle is an error code, as in \"Throttling.Api\""),
        },
        Word::Error => match (code, text) {
            (None, _) => Ok(Kind::Refuse(Refusal::planted("InternalError"))),
            (_, Some(code)) => Ok(Kind::Refuse(Refusal::planted(code))),
            _ => Err("`code` of an error is one of the vendor's, as in \"Forbidden.RAM\""),
        },
        Word::Status => match code.map_or(Some(503), toml::Value::as_integer) {
            Some(status @ 200..=599) => Ok(Kind::Status(status as u16)),
            _ => Err("`code` of a status is an HTTP status between 200 and 599, as in 503"),
        },
        Word::Delay => match (code, text.map(str::parse)) {
            (None, _) => Ok(Kind::Delay(Span::from_secs(30))),
            (_, Some(Ok(span))) => Ok(Kind::Delay(span)),
            _ => Err("`code` of a delay is a duration, as in \"5s\""),
        },
        Word::Drop if code.is_some() => Err("a drop takes no `code`"),
        Word::Drop => Ok(Kind::Drop),
        Word::Garbage => match (code, text) {
            (None, _) | (_, Some("html")) => {
                Ok(Kind::Garbage(Some("<html><body><h1>502 Bad Gateway</h1></body></html>")))
            }
            (_, Some("empty")) => Ok(Kind::Garbage(Some(""))),
            (_, Some("scalar")) => Ok(Kind::Garbage(Some("42"))),
            (_, Some("truncated")) => Ok(Kind::Garbage(None)),
            _ => Err("`code` of garbage is \"html\", \"empty\", \"scalar\" or \"truncated\""),
        },
    }
}
