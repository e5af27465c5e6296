//! From a step to an event with its evidence: ids, the episode, the readings that decided, values, blind time.
//!
//! Neighbours: `judge` and `tend` call it after a step; `event` has the shape. A part of its own because it is the
//! one place where `step_no` grows, so that an event computed again gets the id it had.

use arcstr::ArcStr;

use super::{Step, forget_stretch};
use crate::engine::event::{
    EndReason, Event, EventKind, Finding, Limit, OnlineClient, Severity, Value, episode_id, event_id,
};
use crate::engine::outcome::{Alert, AlertKey, Episode, State};
use crate::engine::shared::Shared;
use crate::engine::time::{Span, Time};

/// Readings (and request ids) an event carries: the first and the last ones.
pub(crate) const TRAIL: usize = 20;

/// What happened to an episode, with what only that kind of event says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Happening {
    Fired,
    /// It fired where nobody was to be told, and now somebody is: told as *fired*, of the same episode.
    Surfaced,
    Reminded,
    Escalated,
    Changed,
    Acked {
        by: String,
        note: Option<String>,
    },
    Closed {
        by: String,
        finding: Option<Finding>,
        note: Option<String>,
    },
    Ended(EndReason),
}

impl From<Step> for Happening {
    fn from(step: Step) -> Self {
        match step {
            Step::Fired => Self::Fired,
            Step::Ended(reason) => Self::Ended(reason),
        }
    }
}

/// What an event says beside its alert: whose it is, and the rule as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The installation's id, from the store.
    pub install: &'a str,
    pub key: &'a AlertKey,
    pub rule_version: &'a ArcStr,
    pub severity: Severity,
    /// The condition as written; own alerts: none.
    pub when: Option<&'a ArcStr>,
    /// None where the rule names no limit.
    pub limit: Option<&'a Limit>,
    /// Channels that *fired* goes to; kept in the episode, so that *ended* goes to the same.
    pub channels: &'a Shared<String>,
    pub clients: Option<&'a [OnlineClient]>,
    /// Own alerts: the fault in one line, and the users it lists.
    pub detail: Option<&'a str>,
    pub users: &'a Shared<String>,
}

/// The next event of this alert: counts the step, opens the episode at *fired*, notes ack, close, reminder and end
/// in it, and at *ended* clears from the alert what belonged to the episode (kept, with its end, while closed).
///
/// Call it after the step, [`note_value`] and [`push_trail`]. Anything but *fired* expects an open episode; an
/// alert without one gets an event with the id the episode would have had.
pub fn build_event(alert: &mut Alert, happening: Happening, at: Time, facts: &Facts<'_>) -> Event {
    alert.step_no = alert.step_no.saturating_add(1);
    alert.rule_version.clone_from(facts.rule_version);
    let mut episode = match (&happening, alert.episode.take()) {
        (Happening::Fired, _) | (_, None) => open(alert, at, facts),
        (_, Some(episode)) => episode,
    };
    let (kind, reason) = note(&mut episode, happening, at, facts);
    let event = fill(alert, &episode, kind, reason, at, facts);
    if kind != EventKind::Ended {
        alert.episode = Some(episode);
        return event;
    }
    forget_stretch(alert);
    if alert.state == State::Closed {
        alert.episode = Some(episode);
    }
    event
}

fn open(alert: &Alert, at: Time, facts: &Facts<'_>) -> Box<Episode> {
    let key = facts.key;
    Box::new(Episode {
        id: episode_id(facts.install, &key.rule, key.source.as_deref(), &key.subject, alert.step_no).into(),
        since: alert.since.map_or(at, |since| since.at),
        fired_at: at,
        ended_at: None,
        severity: facts.severity,
        limit: facts.limit.cloned(),
        channels: facts.channels.clone(),
        last_told: at,
        reminders: 0,
        acked_by: None,
        acked_at: None,
        finding: None,
        note: None,
        detail: facts.detail.map(ArcStr::from),
        users: facts.users.clone(),
    })
}

/// Notes in the episode what happened to it.
fn note(
    episode: &mut Episode,
    happening: Happening,
    at: Time,
    facts: &Facts<'_>,
) -> (EventKind, Option<EndReason>) {
    match happening {
        Happening::Fired => (EventKind::Fired, None),
        Happening::Surfaced => {
            episode.severity = facts.severity;
            episode.limit = facts.limit.cloned();
            episode.channels = facts.channels.clone();
            episode.last_told = at;
            // Those before reached nobody.
            episode.reminders = 0;
            (EventKind::Fired, None)
        }
        Happening::Reminded => {
            episode.reminders = episode.reminders.saturating_add(1);
            episode.last_told = at;
            (EventKind::Reminded, None)
        }
        Happening::Escalated => {
            episode.severity = facts.severity;
            episode.last_told = at;
            (EventKind::Escalated, None)
        }
        Happening::Changed => {
            episode.severity = facts.severity;
            episode.limit = facts.limit.cloned();
            episode.detail = facts.detail.map(ArcStr::from);
            episode.users = facts.users.clone();
            episode.last_told = at;
            (EventKind::Changed, None)
        }
        Happening::Acked { by, note } => {
            episode.acked_by = Some(by.into());
            episode.acked_at = Some(at);
            episode.note = note.map(ArcStr::from).or(episode.note.take());
            (EventKind::Acked, None)
        }
        Happening::Closed { by, finding, note } => {
            episode.acked_by = Some(by.into());
            episode.acked_at.get_or_insert(at);
            episode.finding = finding.or(episode.finding);
            episode.note = note.map(ArcStr::from).or(episode.note.take());
            (EventKind::Closed, None)
        }
        Happening::Ended(reason) => {
            episode.ended_at = Some(at);
            (EventKind::Ended, Some(reason))
        }
    }
}

fn fill(
    alert: &Alert,
    episode: &Episode,
    kind: EventKind,
    reason: Option<EndReason>,
    at: Time,
    facts: &Facts<'_>,
) -> Event {
    let key = facts.key;
    let source = key.source.as_deref();
    let operator = matches!(kind, EventKind::Acked | EventKind::Closed) || reason == Some(EndReason::Closed);
    let ended = kind == EventKind::Ended;
    Event {
        id: event_id(facts.install, &key.rule, source, &key.subject, alert.step_no, kind),
        kind,
        episode: episode.id.clone(),
        at,
        rule: key.rule.clone(),
        rule_version: facts.rule_version.clone(),
        severity: if ended { episode.severity } else { facts.severity },
        source: key.source.clone(),
        subject: key.subject.clone(),
        value: alert.value,
        limit: facts.limit.or(episode.limit.as_ref()).cloned(),
        since: episode.since,
        fired_at: Some(episode.fired_at),
        ended_at: episode.ended_at,
        reason,
        reminder: if kind == EventKind::Reminded { episode.reminders } else { 0 },
        readings: alert.trail.clone(),
        blind: alert.blind,
        request_ids: alert.trail_requests.clone(),
        clients: facts.clients.map(<[OnlineClient]>::to_vec),
        when: facts.when.cloned(),
        signals: Vec::new(),
        detail: facts.detail.map(ArcStr::from).or_else(|| episode.detail.clone()),
        users: if facts.users.is_empty() { episode.users.clone() } else { facts.users.clone() },
        by: operator.then(|| episode.acked_by.clone()).flatten(),
        note: operator.then(|| episode.note.clone()).flatten(),
        finding: episode.finding,
    }
}

/// Takes the subject's value at this poll, None where it is not known: `now` is it, `first` the one the stretch
/// began with, `peak` the highest so far.
pub fn note_value(alert: &mut Alert, now: Option<u32>) {
    if alert.since.is_none() {
        return;
    }
    let before = alert.value.unwrap_or(Value { now: None, first: now, peak: None });
    alert.value = Some(Value { now, first: before.first, peak: before.peak.max(now) });
}

/// Adds a hole that lasts until `clock` to the blind time of the stretch under way: what lies after its first breach.
pub fn note_blind(alert: &mut Alert, hole: Span, clock: Span) {
    if let Some(since) = alert.since {
        alert.blind = alert.blind + hole.min(clock - since.clock);
    }
}
