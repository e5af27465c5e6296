//! Whose connections are worth listing after a poll, and where the lists go: into the events and beside the readings.
//!
//! Neighbours: `judge` has decided; the agent asks the source, within what is left of the poll's budget, and commits.
//! A part of its own because it changes nothing that was decided: a list that does not come is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Event, OnlineClient, SubjectKind};
use super::outcome::{Alert, Outcome, State};
use super::watch::Watch;

/// Users whose connections are asked for after one poll.
pub const MOST_SUSPECTS: usize = 20;
/// Connections of one user that are kept, those online longest first.
const MOST_CLIENTS: usize = 100;

/// Who is suspected or held firing by a rule with `evidence = "clients"` and has clients online, by slot: first whose
/// alert has just fired, then pending ones, then those firing on.
pub fn suspects(watch: &Watch, outcome: &Outcome) -> Vec<(u32, String)> {
    let at = outcome.poll.as_ref().map(|row| row.poll.at);
    let urgency = |alert: &Alert| match alert.state {
        State::Firing if alert.episode.as_ref().is_some_and(|episode| Some(episode.fired_at) == at) => {
            Some(0)
        }
        State::Pending => Some(1),
        State::Firing => Some(2),
        State::Recovering => Some(3),
        State::Ok | State::Closed => None,
    };
    let online = |slot: u32| watch.signals.reading(slot).count().is_some_and(|count| count > 0);
    let mut found: BTreeMap<u32, u8> = BTreeMap::new();
    for plan in watch.plans.iter().filter(|plan| plan.rule.evidence_clients && plan.per_user()) {
        for (slot, alert) in plan.alerts.iter().filter(|(slot, _)| online(**slot)) {
            if let Some(urgency) = urgency(alert) {
                let before = found.entry(*slot).or_insert(urgency);
                *before = urgency.min(*before);
            }
        }
    }
    let mut order: Vec<(u8, u32)> = found.into_iter().map(|(slot, urgency)| (urgency, slot)).collect();
    order.sort_unstable();
    order.truncate(MOST_SUSPECTS);
    order.into_iter().map(|(_, slot)| (slot, watch.names.name(slot).to_owned())).collect()
}

/// Puts the lists that came into the outcome: into every event about the user under a rule that asked for them, and
/// beside the poll's readings where a list differs from the one before.
pub fn attach(watch: &mut Watch, outcome: &mut Outcome, lists: BTreeMap<u32, Vec<OnlineClient>>) {
    let lists: BTreeMap<u32, Vec<OnlineClient>> =
        lists.into_iter().map(|(slot, list)| (slot, ordered(list))).collect();
    let asks = |event: &Event| {
        let plan = watch.plans.iter().find(|plan| plan.rule.name == event.rule);
        plan.is_some_and(|plan| plan.rule.evidence_clients) && event.subject.kind == SubjectKind::User
    };
    for event in outcome.events.iter_mut().filter(|event| asks(event)) {
        let slot = watch.names.slot(&event.subject.name);
        Arc::make_mut(event).clients = slot.and_then(|slot| lists.get(&slot)).cloned();
    }
    if let Some(row) = &mut outcome.poll {
        let others = lists.iter().filter(|(slot, list)| watch.clients.get(slot) != Some(*list));
        row.clients = others.map(|(slot, list)| (*slot, list.clone())).collect();
        row.evidence.extend(row.clients.iter().map(|(slot, _)| *slot));
        row.evidence.sort_unstable();
        row.evidence.dedup();
    }
    watch.clients = lists;
}

fn ordered(mut list: Vec<OnlineClient>) -> Vec<OnlineClient> {
    list.sort_by(|a, b| (a.online_since, &a.address).cmp(&(b.online_since, &b.address)));
    list.truncate(MOST_CLIENTS);
    list
}
