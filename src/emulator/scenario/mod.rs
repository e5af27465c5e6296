//! A script for the emulator: users' counts by hand, and what goes wrong when.
//!
//! Neighbours: `cli` and `demo` hand in the text, `action` asks for counts, `server` for faults. A part of its own
//! so that a test or a demonstration plants exactly what it wants to see told.

mod fault;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::Error as _;

use super::call::Call;
use crate::engine::reading::MOST_ONLINE;
use crate::engine::time::Span;
pub(super) use fault::{Fault, Kind};

/// A checked script. Offsets count from the emulator's start, at its speed.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    users: HashMap<String, Vec<Step>>,
    /// From when to when users have an account here; those left out always have.
    stays: HashMap<String, (Span, Span)>,
    faults: Vec<Fault>,
    pub(super) count_type: CountType,
    pub(super) token_expires: Option<Span>,
    /// What the instance's total says beside the sum of its users.
    pub(super) total_off: i32,
}

/// How `OnlineCount` is written in JSON; the vendor's samples have both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CountType {
    #[default]
    String,
    Number,
}

/// What a reply says of a scripted user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Online {
    Count(u32),
    /// Left out of the reply.
    Absent,
}

/// From this offset on.
type Step = (Span, Online);

/// Why a script is refused: where in the file, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScenarioError {
    message: String,
}

impl Scenario {
    /// Everybody who is scripted, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    /// Whether the user has an account now: it joined and has not left.
    pub(super) fn has(&self, name: &str, since_start: Span) -> bool {
        self.stays.get(name).is_none_or(|(joins, leaves)| (*joins..*leaves).contains(&since_start))
    }

    /// What the script says of this user now; `None` if it says nothing. Before its first step a user is absent.
    pub(super) fn online(&self, name: &str, since_start: Span) -> Option<Online> {
        let steps = self.users.get(name)?;
        let last = steps.iter().rev().find(|(from, _)| *from <= since_start);
        Some(last.map_or(Online::Absent, |(_, online)| *online))
    }

    /// When each client now online came, in the order of coming; who came last leaves first.
    pub(super) fn sessions(&self, name: &str, since_start: Span) -> Option<Vec<Span>> {
        let mut begun = Vec::new();
        for (from, online) in self.users.get(name)?.iter().take_while(|(from, _)| *from <= since_start) {
            let count = match online {
                Online::Count(count) => *count as usize,
                Online::Absent => 0,
            };
            begun.resize(count, *from);
        }
        Some(begun)
    }

    /// The first fault that is on now and meant for this request.
    pub(super) fn fault(&self, call: &Call, since_start: Span) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.is_on(since_start) && fault.is_for(call))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "user")]
    users: Vec<UserTable>,
    #[serde(default, rename = "fault")]
    faults: Vec<Fault>,
    #[serde(default)]
    count_type: CountType,
    /// From then on the security token is refused as expired.
    #[serde(default)]
    token_expires: Option<Offset>,
    /// Added to the total of all online clients, to have it differ from the sum.
    #[serde(default)]
    total_off: i32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserTable {
    name: toml::Spanned<String>,
    online: toml::Spanned<Vec<(Offset, Count)>>,
    /// Before it the instance does not know the user; default always.
    #[serde(default)]
    joins: Option<Offset>,
    /// From then on it knows the user no more; default never.
    #[serde(default)]
    leaves: Option<Offset>,
}

/// `0` or `"10m"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offset(pub(super) Span);

#[derive(Clone, Copy)]
struct Count(Online);

/// A whole number or a word; told apart by hand because serde's untagged enums lose the reason.
struct NumberOrWord;

enum Value {
    Number(i64),
    Word(String),
}

impl serde::de::Visitor<'_> for NumberOrWord {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or a text")
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }
    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Value, E> {
        Ok(Value::Word(word.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.deserialize_any(NumberOrWord)? {
            Value::Number(0) => Ok(Self(Span::ZERO)),
            Value::Number(_) => {
                Err(D::Error::custom("an offset needs a unit, as in \"10m\"; only 0 goes without"))
            }
            Value::Word(word) => word.parse().map(Self).map_err(D::Error::custom),
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.deserialize_any(NumberOrWord)? {
            Value::Number(count) => match u32::try_from(count).ok().filter(|count| *count <= MOST_ONLINE) {
                Some(count) => Ok(Self(Online::Count(count))),
                None => Err(D::Error::custom(format!("a count is between 0 and {MOST_ONLINE}"))),
            },
            Value::Word(word) if word == "absent" => Ok(Self(Online::Absent)),
            Value::Word(_) => Err(D::Error::custom("a count is a whole number, or \"absent\"")),
        }
    }
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        // toml's own message draws the line and names line and column.
        let file: File = toml::from_str(text).map_err(|e| ScenarioError { message: e.to_string() })?;
        let wrong = |at: usize, why: &str| {
            let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
            ScenarioError { message: format!("line {line}: {why}") }
        };
        let (mut users, mut stays) = (HashMap::new(), HashMap::new());
        for UserTable { name, online, joins, leaves } in file.users {
            let steps: Vec<Step> = online.get_ref().iter().map(|(from, count)| (from.0, count.0)).collect();
            if steps.is_empty() || !steps.is_sorted_by(|(a, _), (b, _)| a < b) {
                let why = "online: give at least one step, each with a later offset than the one before";
                return Err(wrong(online.span().start, why));
            }
            let at = name.span().start;
            let stay = (joins.map_or(Span::ZERO, |at| at.0), leaves.map_or(Span::MAX, |at| at.0));
            if stay.0 >= stay.1 {
                return Err(wrong(at, "leaves: a user leaves after it joins"));
            }
            if joins.is_some() || leaves.is_some() {
                stays.insert(name.get_ref().clone(), stay);
            }
            if users.insert(name.into_inner(), steps).is_some() {
                return Err(wrong(at, "this user is already scripted above; put the steps into one table"));
            }
        }
        let token_expires = file.token_expires.map(|offset| offset.0);
        let (count_type, total_off) = (file.count_type, file.total_off);
        Ok(Self { users, stays, faults: file.faults, count_type, token_expires, total_off })
    }
}

#[cfg(test)]
mod tests;
