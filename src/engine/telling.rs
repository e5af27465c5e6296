//! The event of a step for a subject of a rule, with everything the rules file says about it at that moment.
//!
//! Neighbours: `judge` tells what a poll made of an alert, `tend` what happens between polls; `alert` builds the event,
//! `grounds` says what it rests on. A part of its own because both must tell alike, a hole that goes on included.

use super::alert::{self, Facts, Happening};
use super::event::Event;
use super::grounds;
use super::outcome::Alert;
use super::plan::Plan;
use super::shared::Shared;
use super::time::{Span, Time};
use super::watch::Watch;

/// How long the hole lasts that goes on for a subject at the last poll, if one does.
fn hole_under_way(watch: &Watch, plan: &Plan, index: u32) -> Option<Span> {
    let unknown = !plan.known(plan.reading(index, &watch.signals));
    let last = plan.known_before(index, &watch.signals).filter(|_| unknown)?;
    Some(watch.memory.clock - last).filter(|gap| *gap > plan.max_gap)
}

/// The event of a step for a subject of `plan`, with everything the rules file says about it now. A hole that goes on
/// counts in what is told; in the alert it counts once its length is known.
pub(super) fn tell(
    watch: &Watch,
    plan: &Plan,
    index: u32,
    alert: &mut Alert,
    happening: Happening,
    at: Time,
) -> Event {
    let rule = &plan.rule;
    let limit = watch.limit(plan, index);
    let blind = alert.blind;
    if let Some(hole) = hole_under_way(watch, plan, index) {
        alert::note_blind(alert, hole, watch.memory.clock);
    }
    let mut event = alert::build_event(
        alert,
        happening,
        at,
        &Facts {
            install: &watch.setup.install,
            key: &watch.key(plan, index),
            rule_version: &plan.words.version,
            severity: rule.severity,
            when: Some(&plan.words.when),
            limit: limit.as_ref(),
            channels: &plan.channels(),
            clients: None,
            detail: None,
            users: Shared::EMPTY,
        },
    );
    if alert.since.is_some() {
        alert.blind = blind;
    }
    // Only a message shows them.
    if watch.recorded {
        grounds::add(watch, plan, index, &mut event);
    }
    event
}
