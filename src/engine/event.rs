//! What happens to an alert, in the words other programs read: subjects, severities, events and their ids.
//!
//! Neighbours: `alert` decides which event, `judge` fills it in, the store keeps it, channels and commands show
//! it. A part of its own because its serialised form is the contract with receivers (one shape for all).

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::time::{Span, Time};

/// How bad; ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    User,
    Group,
    Source,
    Channel,
    Agent,
}

/// What a rule judges. The source it belongs to stands beside it, never in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Subject {
    pub kind: SubjectKind,
    pub name: String,
}

/// One step of an episode. The list is closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    Fired,
    Reminded,
    Escalated,
    Changed,
    Acked,
    Closed,
    Ended,
}

/// Why an episode ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    Cleared,
    LeftScope,
    RuleRemoved,
    Closed,
    WindowEnded,
}

/// What an operator concluded about an episode.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    ConfirmedSharing,
    MultiDevice,
    SharedByPolicy,
    Compromised,
    DataError,
    Unsure,
}

/// `now` at the event, `first` at the first breach, `peak` the highest in the episode. A value that is not known
/// at the event is `null`, never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Value {
    pub now: Option<u32>,
    pub first: Option<u32>,
    pub peak: Option<u32>,
}

/// The number allowed, and who says so: `rule`, `group:NAME` or `exception:USER`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Limit {
    pub value: u32,
    pub origin: String,
}

/// A reading as evidence shows it; `fetched_at` is when the vendor's answer arrived.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EventReading {
    pub at: Time,
    /// `online`, `absent`, `failed` or `not-polled`.
    pub reading: String,
    pub online: Option<u32>,
    #[serde(default)]
    pub fetched_at: Option<Time>,
}

/// One connection of a user as the vendor lists it: a tunnel address and since when, not a person or a place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OnlineClient {
    pub address: String,
    pub online_since: Option<Time>,
}

/// An event with all its evidence; the shape of `data.events[]` in a webhook body and of `alerts show`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// `evt_…`, the same however often the event is computed.
    pub id: String,
    pub kind: EventKind,
    /// `ep_…`
    pub episode: String,
    pub at: Time,
    /// Own alerts: `agent/…`.
    pub rule: String,
    pub rule_version: String,
    pub severity: Severity,
    /// None for own alerts about a channel or the agent.
    pub source: Option<String>,
    pub subject: Subject,
    /// None for own alerts.
    pub value: Option<Value>,
    /// None where the rule names no limit.
    pub limit: Option<Limit>,
    /// The first breach of the stretch that led to firing.
    pub since: Time,
    pub fired_at: Option<Time>,
    pub ended_at: Option<Time>,
    pub reason: Option<EndReason>,
    /// Counts reminders from 1; 0 for other events.
    pub reminder: u32,
    /// At most 20 that decided, oldest first.
    pub readings: Vec<EventReading>,
    /// Time in holes since `since`.
    #[serde(rename = "blind_ms")]
    pub blind: Span,
    /// The vendor's RequestIds of the replies that decided.
    pub request_ids: Vec<String>,
    pub clients: Option<Vec<OnlineClient>>,
    /// The rule's condition as written; own alerts: none.
    #[serde(default)]
    pub when: Option<String>,
    /// What an own alert is about: the fault, in one line.
    #[serde(default)]
    pub detail: Option<String>,
    /// Users an own alert lists (refused or absent names).
    #[serde(default)]
    pub users: Vec<String>,
    /// The operator behind *acked* and *closed*, what they noted and found.
    #[serde(default)]
    pub by: Option<String>,
    #[serde(default)]
    pub note: Option<String>,
    #[serde(default)]
    pub finding: Option<Finding>,
}

/// Base32 (lower case, first 26 characters) of SHA-256 over the parts, each preceded by its length in bytes as
/// eight big-endian bytes, so that no two lists of parts are hashed alike.
fn digest_id(prefix: &str, parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut id = BASE32_NOPAD.encode(&hash.finalize()).to_ascii_lowercase();
    id.truncate(26);
    format!("{prefix}{id}")
}

/// Who an alert is about, as ids see it: the source (empty for channel and agent), kind and name.
fn subject_key(source: Option<&str>, subject: &Subject) -> String {
    let kind = match subject.kind {
        SubjectKind::User => "user",
        SubjectKind::Group => "group",
        SubjectKind::Source => "source",
        SubjectKind::Channel => "channel",
        SubjectKind::Agent => "agent",
    };
    format!("{}/{kind}/{}", source.unwrap_or(""), subject.name)
}

/// The id of the event that takes `rule` × `subject` to `step_no`: a recomputed event gets the same one.
pub fn event_id(
    install: &str,
    rule: &str,
    source: Option<&str>,
    subject: &Subject,
    step_no: u32,
    kind: EventKind,
) -> String {
    let kind = format!("{kind:?}").to_ascii_lowercase();
    let (key, step) = (subject_key(source, subject), step_no.to_string());
    digest_id(
        "evt_",
        &[install.as_bytes(), rule.as_bytes(), key.as_bytes(), step.as_bytes(), kind.as_bytes()],
    )
}

/// The id of the episode whose *fired* event takes `rule` × `subject` to `step_no`.
pub fn episode_id(
    install: &str,
    rule: &str,
    source: Option<&str>,
    subject: &Subject,
    step_no: u32,
) -> String {
    let (key, step) = (subject_key(source, subject), step_no.to_string());
    digest_id("ep_", &[install.as_bytes(), rule.as_bytes(), key.as_bytes(), step.as_bytes()])
}

/// The id of a notification: the same events for the same channel are the same notification.
pub fn notification_id<'a>(channel: &'a str, events: impl IntoIterator<Item = &'a str>) -> String {
    let mut parts = vec![channel.as_bytes()];
    parts.extend(events.into_iter().map(str::as_bytes));
    digest_id("ntf_", &parts)
}
