//! Small words that tables share: subjects, values, limits, ids cut short.
//!
//! Neighbours: the commands that print episodes, notifications and readings. A part of its own so that the same
//! thing looks the same in every table.

use serde::Serialize;

use crate::engine::event::{Limit, Subject, SubjectKind, Value};
use crate::engine::message::clean;

/// Characters of an id that a table shows; a prefix of 10 of its 26 letters names it among millions.
const SHORT: usize = 10;
/// The most characters of a name within a line of text.
const NAME: usize = 128;

/// The word that the value serialises as.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => "?".to_owned(),
    }
}

/// The beginning of an id, as it may be typed.
pub(super) fn short(id: &str) -> String {
    let from = id.find('_').map_or(0, |at| at + 1);
    id.get(..from + SHORT).unwrap_or(id).to_owned()
}

/// Foreign text within a line.
pub(super) fn name(text: &str) -> String {
    clean(text, NAME)
}

/// `shanghai/alice`, `group contractors in shanghai`, `channel soc-mail`.
pub(super) fn subject(source: Option<&str>, subject: &Subject) -> String {
    let (name, source) = (name(&subject.name), source.map(name));
    match (subject.kind, source) {
        (SubjectKind::User, Some(source)) => format!("{source}/{name}"),
        (SubjectKind::User, None) => name,
        (SubjectKind::Group, Some(source)) => format!("group {name} in {source}"),
        (SubjectKind::Group, None) => format!("group {name}"),
        (SubjectKind::Source, _) => format!("source {name}"),
        (SubjectKind::Channel, _) => format!("channel {name}"),
        (SubjectKind::Agent, _) => "the agent".to_owned(),
    }
}

/// `2 (rule)`, `1 (group:contractors)`.
pub(super) fn limit(limit: &Limit) -> String {
    format!("{} ({})", limit.value, name(&limit.origin))
}

/// `5 now, 4 first, 5 peak`.
pub(super) fn value(value: &Value) -> String {
    let said = [(value.now, "now"), (value.first, "at first breach"), (value.peak, "peak")];
    let said: Vec<String> =
        said.iter().filter_map(|(count, what)| Some(format!("{} {what}", (*count)?))).collect();
    if said.is_empty() { "unknown".to_owned() } else { said.join(", ") }
}

/// Names and what they are, one a line, in two columns.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let widest = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    facts.iter().map(|(name, value)| format!("  {name:widest$}  {value}\n")).collect()
}
