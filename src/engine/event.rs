//! What happens to an alert, in the words other programs read: subjects, severities, events and their ids.
//!
//! Neighbours: `alert` decides which event, `judge` fills it in, the store keeps it, channels and commands show
//! it. A part of its own because its serialised form is the contract with receivers (one shape for all).

use std::borrow::Cow;
use std::fmt;

use arcstr::{ArcStr, literal};
use chrono::NaiveDate;
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::reading::Reading;
use super::request_id::RequestId;
use super::shared::Shared;
use super::time::{Span, Time};
use super::trail::Trail;

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

impl Finding {
    pub const ALL: [Self; 6] = [
        Self::ConfirmedSharing,
        Self::MultiDevice,
        Self::SharedByPolicy,
        Self::Compromised,
        Self::DataError,
        Self::Unsure,
    ];

    /// As commands take it and JSON has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ConfirmedSharing => "confirmed-sharing",
            Self::MultiDevice => "multi-device",
            Self::SharedByPolicy => "shared-by-policy",
            Self::Compromised => "compromised",
            Self::DataError => "data-error",
            Self::Unsure => "unsure",
        }
    }
}

/// `now` at the event, `first` at the first breach, `peak` the highest in the episode. What no reply stated is `null`,
/// never zero: also where the rule counts an absent name as zero.
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
    pub origin: ArcStr,
    /// Where it is an exception's: who answers for it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<Box<Deviation>>,
}

/// What an `[[exception]]` of the rules file says of itself, as it was when the limit was taken from it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Deviation {
    pub reason: String,
    pub owner: String,
    /// The last day it holds, in the agent's zone.
    pub expires: NaiveDate,
}

impl Limit {
    /// The rule's own.
    pub fn of_rule(value: u32) -> Self {
        Self { value, origin: literal!("rule"), exception: None }
    }
}

/// A reading as evidence shows it. Small, because thousands of alerts keep twenty each; written with the reading's word
/// and count apart.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenReading", into = "WrittenReading")]
pub struct EventReading {
    pub at: Time,
    pub reading: Reading,
    /// Milliseconds from `at`, or [`NOT_FETCHED`].
    fetched: i32,
}

/// No answer stated the reading, or one so far from its poll's instant that a clock was wrong.
const NOT_FETCHED: i32 = i32::MIN;

impl EventReading {
    /// `fetched_at` is when the vendor's answer arrived; one more than 24 days from `at` is not kept.
    pub fn new(at: Time, reading: Reading, fetched_at: Option<Time>) -> Self {
        let after = |fetched: Time| i32::try_from(fetched.since(at).millis()).ok();
        Self { at, reading, fetched: fetched_at.and_then(after).unwrap_or(NOT_FETCHED) }
    }

    pub fn fetched_at(&self) -> Option<Time> {
        let after = || Span::from_millis(self.fetched.into());
        (self.fetched != NOT_FETCHED).then(|| self.at + after())
    }
}

impl fmt::Debug for EventReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EventReading");
        shown.field("at", &self.at).field("reading", &self.reading);
        shown.field("fetched_at", &self.fetched_at()).finish()
    }
}

/// An [`EventReading`] as receivers read it.
#[derive(Serialize, Deserialize)]
struct WrittenReading {
    at: Time,
    /// `online`, `absent`, `failed` or `not-polled`.
    reading: Cow<'static, str>,
    online: Option<u32>,
    #[serde(default)]
    fetched_at: Option<Time>,
}

impl From<EventReading> for WrittenReading {
    fn from(from: EventReading) -> Self {
        let (at, reading) = (from.at, from.reading);
        Self { at, reading: reading.word().into(), online: reading.count(), fetched_at: from.fetched_at() }
    }
}

impl TryFrom<WrittenReading> for EventReading {
    type Error = String;

    fn try_from(from: WrittenReading) -> Result<Self, String> {
        let WrittenReading { at, reading, online, fetched_at } = from;
        let known = Reading::of_word(&reading, online).ok_or_else(|| format!("no reading: {reading:?}"))?;
        Ok(Self::new(at, known, fetched_at))
    }
}

/// One connection of a user as the vendor lists it: a tunnel address and since when, not a person or a place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OnlineClient {
    pub address: String,
    pub online_since: Option<Time>,
}

/// What a signal of the rule's condition was worth when the event was built.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SignalValue {
    /// As a condition writes it: `time_over(2, 7d)`.
    pub signal: ArcStr,
    /// `null` where it had no value, and for a duration.
    pub value: Option<Plain>,
    #[serde(rename = "value_ms")]
    pub length: Option<Span>,
    /// Whether a comparison that it is in made the condition what it was.
    pub decides: bool,
}

/// A number (to three decimals) or a truth.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Plain {
    Truth(bool),
    Whole(i64),
    Number(f64),
}

/// An event with all its evidence; the shape of `data.events[]` in a webhook body and of `alerts show`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// `evt_…`, the same however often the event is computed.
    pub id: String,
    pub kind: EventKind,
    /// `ep_…`
    pub episode: ArcStr,
    pub at: Time,
    /// Own alerts: `agent/…`.
    pub rule: ArcStr,
    pub rule_version: ArcStr,
    pub severity: Severity,
    /// None for own alerts about a channel or the agent.
    pub source: Option<ArcStr>,
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
    pub readings: Trail,
    /// Time in holes since `since`.
    #[serde(rename = "blind_ms")]
    pub blind: Span,
    /// The vendor's `RequestIds` of the replies that decided.
    pub request_ids: Shared<RequestId>,
    pub clients: Option<Vec<OnlineClient>>,
    /// The rule's condition as written; own alerts: none.
    #[serde(default)]
    pub when: Option<ArcStr>,
    /// Signals of the condition that decided (`clear_when` for *ended*, where the rule has one), those that did first;
    /// at most 20. Own alerts, events of rules that are gone, and breaches by `absent = "breach"`: none.
    #[serde(default)]
    pub signals: Vec<SignalValue>,
    /// What an own alert is about: the fault, in one line.
    #[serde(default)]
    pub detail: Option<ArcStr>,
    /// Users an own alert lists (refused or absent names).
    #[serde(default)]
    pub users: Shared<String>,
    /// The operator behind *acked* and *closed*, what they noted and found.
    #[serde(default)]
    pub by: Option<ArcStr>,
    #[serde(default)]
    pub note: Option<ArcStr>,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(kind: SubjectKind, name: &str) -> Subject {
        Subject { kind, name: name.to_owned() }
    }

    #[test]
    fn ids_are_what_they_always_were() {
        let alice = subject(SubjectKind::User, "alice");
        let id = |kind| event_id("install", "shared-account", Some("shanghai"), &alice, 1, kind);
        let episode = episode_id("install", "shared-account", Some("shanghai"), &alice, 1);
        let notification = notification_id("soc-mail", ["evt_a", "evt_b"]);
        insta::assert_snapshot!(format!(
            "{}\n{}\n{episode}\n{notification}",
            id(EventKind::Fired),
            id(EventKind::Ended)
        ));
        for (text, prefix) in [(id(EventKind::Fired), "evt_"), (episode, "ep_"), (notification, "ntf_")] {
            let rest = text.strip_prefix(prefix).unwrap();
            assert!(rest.len() == 26 && rest.chars().all(|c| matches!(c, 'a'..='z' | '2'..='7')), "{text}");
        }
    }

    #[test]
    fn each_part_of_an_id_counts() {
        let (alice, group) = (subject(SubjectKind::User, "alice"), subject(SubjectKind::Group, "alice"));
        let fired = EventKind::Fired;
        let ids = [
            event_id("i", "rule", Some("s"), &alice, 1, fired),
            event_id("j", "rule", Some("s"), &alice, 1, fired),
            event_id("i", "rul", Some("s"), &alice, 1, fired),
            event_id("i", "rule", Some("t"), &alice, 1, fired),
            event_id("i", "rule", None, &alice, 1, fired),
            event_id("i", "rule", Some("s"), &group, 1, fired),
            event_id("i", "rule", Some("s"), &alice, 2, fired),
            event_id("i", "rule", Some("s"), &alice, 1, EventKind::Ended),
            event_id("ir", "ule", Some("s"), &alice, 1, fired),
        ];
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
        assert_ne!(notification_id("c", ["ab"]), notification_id("c", ["a", "b"]));
        assert_ne!(notification_id("c", ["a", "b"]), notification_id("c", ["b", "a"]));
    }

    #[test]
    fn a_reading_is_written_as_a_word_and_a_count() {
        let at: Time = "2026-11-22T03:05:00Z".parse().unwrap();
        for (reading, word, count) in [
            (Reading::online(0), "online", "0"),
            (Reading::online(100_000), "online", "100000"),
            (Reading::ABSENT, "absent", "null"),
            (Reading::FAILED, "failed", "null"),
            (Reading::NOT_POLLED, "not-polled", "null"),
        ] {
            let shown = EventReading::new(at, reading, None);
            let json = serde_json::to_string(&shown).unwrap();
            let expect = format!(
                r#"{{"at":"2026-11-22T03:05:00Z","reading":"{word}","online":{count},"fetched_at":null}}"#
            );
            assert_eq!(json, expect);
            assert_eq!(serde_json::from_str::<EventReading>(&json).unwrap(), shown);
        }
        for wrong in [r#""reading":"online","online":null"#, r#""reading":"away","online":1"#] {
            let json = format!(r#"{{"at":"2026-11-22T03:05:00Z",{wrong}}}"#);
            assert!(serde_json::from_str::<EventReading>(&json).is_err(), "{json}");
        }
        assert_eq!(size_of::<EventReading>(), 16);
    }

    #[test]
    fn a_reading_says_when_its_answer_came() {
        let at: Time = "2026-11-22T03:05:00Z".parse().unwrap();
        let check = |after: Span, kept: bool| {
            let shown = EventReading::new(at, Reading::ABSENT, Some(at + after));
            let json = serde_json::to_string(&shown).unwrap();
            assert_eq!(shown.fetched_at(), kept.then_some(at + after));
            assert_eq!(serde_json::from_str::<EventReading>(&json).unwrap(), shown);
        };
        check(Span::ZERO, true);
        check(Span::from_millis(2_300), true);
        check(Span::from_days(-24), true);
        check(Span::from_days(24), true);
        check(Span::from_days(25), false);
        check(Span::from_days(-25), false);
    }

    #[test]
    fn an_event_reads_as_receivers_expect() {
        let at: Time = "2026-11-22T03:05:00Z".parse().unwrap();
        let event = Event {
            id: "evt_1".to_owned(),
            kind: EventKind::Ended,
            episode: "ep_1".into(),
            at,
            rule: "shared-account".into(),
            rule_version: "v".into(),
            severity: Severity::High,
            source: Some("shanghai".into()),
            subject: subject(SubjectKind::User, "a\r\nb\u{202e}"),
            value: Some(Value { now: None, first: Some(4), peak: Some(5) }),
            limit: Some(Limit::of_rule(2)),
            since: at,
            fired_at: Some(at),
            ended_at: Some(at + Span::from_mins(9)),
            reason: Some(EndReason::LeftScope),
            reminder: 0,
            readings: vec![EventReading::new(at, Reading::ABSENT, None)].into(),
            blind: Span::from_secs(7),
            request_ids: vec!["4F1A".into()].into(),
            clients: None,
            when: Some("online > limit".into()),
            signals: [
                ("online", Some(Plain::Whole(5)), None),
                ("mean(1h)", Some(Plain::Number(2.125)), None),
                ("known", Some(Plain::Truth(false)), None),
                ("online_time", None, Some(Span::from_secs(90))),
                ("low(1h)", None, None),
            ]
            .map(|(signal, value, length)| SignalValue {
                signal: signal.into(),
                value,
                length,
                decides: true,
            })
            .to_vec(),
            detail: None,
            users: Vec::new().into(),
            by: None,
            note: None,
            finding: Some(Finding::MultiDevice),
        };
        let json = serde_json::to_string_pretty(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
        insta::assert_snapshot!(json);
    }
}
