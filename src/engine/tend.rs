//! What happens to a source's alerts between polls: operators' acts, reminders, and what a new rules file leaves.
//!
//! Neighbours: the agent's `tend` loop calls it, `alert` has each change, `judge::tell` builds the events. A part of
//! its own because nothing here rests on readings, so none of it may wait for a poll.

use std::sync::Arc;

use arcstr::ArcStr;

use super::alert::{self, Facts, Happening, Step};
use super::conclude::conclude;
use super::event::Event;
use super::outcome::{Act, ActResult, ActRow, Alert, AlertKey, Outcome, State};
use super::own_alerts::{self, told};
use super::plan::Plan;
use super::shared::Shared;
use super::telling::tell;
use super::time::Time;
use super::watch::Watch;

/// Reminders of firing alerts that nobody acknowledged.
pub fn remind(watch: &mut Watch, now: Time) -> Outcome {
    watch.set_day(now);
    let mut outcome = Outcome { now, ..Outcome::default() };
    let mut plans = std::mem::take(&mut watch.plans);
    for plan in &mut plans {
        let inside = plan.rule.during.as_ref().is_none_or(|calendar| calendar.contains(now));
        let repeat = plan.rule.repeat;
        let due = |alert: &Alert| alert::reminder_due(alert, repeat, now, inside);
        let indices: Vec<u32> = plan.alerts.iter().filter(|(_, a)| due(a)).map(|(index, _)| *index).collect();
        for index in indices {
            let mut after = Arc::clone(&plan.alerts[&index]);
            let told = told(&after, &plan.channels());
            let event = tell(watch, plan, index, Arc::make_mut(&mut after), Happening::Reminded, now);
            outcome.tell(event, told);
            outcome.alerts.push((watch.key(plan, index), Arc::clone(&after)));
            plan.put(index, after);
        }
    }
    watch.plans = plans;
    outcome
}

/// Brings kept alerts in line with the rules file: episodes whose rule or subject is gone end, those whose rule reads
/// differently are told of, pending ones start over.
pub fn reconcile(watch: &mut Watch, now: Time) -> Outcome {
    watch.set_day(now);
    let mut outcome = Outcome { now, ..Outcome::default() };
    for (key, before) in std::mem::take(&mut watch.orphans) {
        let rule_is_there = watch.plans.iter().any(|plan| plan.rule.name == key.rule)
            || watch.setup.elsewhere.iter().any(|rule| key.rule == *rule);
        let (after, step) =
            if rule_is_there { alert::left_scope(&before) } else { alert::rule_removed(&before) };
        settle(&watch.setup.install, key, &before, after, step, now, &mut outcome);
    }
    let mut plans = std::mem::take(&mut watch.plans);
    for plan in &mut plans {
        // Every poll comes by here, and hardly ever is there anything to do.
        let settled = |index: u32, alert: &Alert| {
            let same = alert.rule_version == plan.rule.version;
            plan.covers(index) && same && !alert::surfaces(alert, &plan.channels())
        };
        let unsettled = plan.alerts.iter().filter(|(index, alert)| !settled(**index, alert));
        let indices: Vec<u32> = unsettled.map(|(index, _)| *index).collect();
        for index in indices {
            let before = Arc::clone(&plan.alerts[&index]);
            let (mut after, happening) = in_line(plan, index, &before);
            if let Some(happening) = happening {
                let told = match happening == Happening::Surfaced {
                    true => plan.channels(),
                    false => told(&before, &plan.channels()),
                };
                outcome.tell(tell(watch, plan, index, &mut after, happening, now), told);
            }
            if after != *before {
                let after = Arc::new(after);
                outcome.alerts.push((watch.key(plan, index), Arc::clone(&after)));
                plan.put(index, after);
            }
        }
    }
    watch.plans = plans;
    outcome
}

/// A kept alert as the rules file in force has it, and what is to be told of that.
fn in_line(plan: &Plan, index: u32, before: &Alert) -> (Alert, Option<Happening>) {
    if !plan.covers(index) {
        let (after, step) = alert::left_scope(before);
        return (after, step.map(Happening::from));
    }
    let (after, tells) = alert::rule_changed(before, &plan.words.version);
    match alert::surfaces(before, &plan.channels()) {
        true => (after, Some(Happening::Surfaced)),
        false => (after, tells.then_some(Happening::Changed)),
    }
}

/// Ends or drops an alert about which the rules file says nothing any more; its episode says the rest.
pub fn settle(
    install: &str,
    key: AlertKey,
    before: &Alert,
    mut after: Alert,
    step: Option<Step>,
    now: Time,
    outcome: &mut Outcome,
) {
    if let Some(step) = step {
        outcome.tell(
            bare_event(install, &key, before, &mut after, step.into(), now),
            told(before, Shared::EMPTY),
        );
    }
    if after != *before {
        outcome.alerts.push((key, Arc::new(after)));
    }
}

/// An event of an alert that no rule stands behind: what its episode remembers is all there is to say.
fn bare_event(
    install: &str,
    key: &AlertKey,
    before: &Alert,
    after: &mut Alert,
    happening: Happening,
    now: Time,
) -> Event {
    let episode = before.episode.clone();
    let severity = episode.as_ref().map(|episode| episode.severity).unwrap_or_default();
    let facts = Facts {
        install,
        key,
        rule_version: &before.rule_version,
        severity,
        when: None,
        limit: None,
        channels: Shared::EMPTY,
        clients: None,
        detail: None,
        users: Shared::EMPTY,
    };
    alert::build_event(after, happening, now, &facts)
}

/// Takes up `row` if the alert it speaks of is this source's; None if it is not.
pub fn act(watch: &mut Watch, row: &ActRow, now: Time) -> Option<Outcome> {
    let wanted = episode_of(&row.act)?;
    watch.set_day(now);
    let mut plans = std::mem::take(&mut watch.plans);
    let mut done = None;
    for plan in &mut plans {
        let of_episode = |alert: &Alert| alert.episode.as_ref().is_some_and(|episode| episode.id == wanted);
        let Some((index, before)) =
            plan.alerts.iter().find(|(_, a)| of_episode(a)).map(|(i, a)| (*i, Alert::clone(a)))
        else {
            continue;
        };
        let key = watch.key(plan, index);
        let told = told(&before, &plan.channels());
        let build = |after: &mut Alert, happening| tell(watch, plan, index, after, happening, now);
        let (after, outcome) = apply(row, key, &before, told, now, build);
        plan.put(index, Arc::new(after));
        done = Some(outcome);
        break;
    }
    watch.plans = plans;
    done.or_else(|| act_on_own(watch, row, wanted, now))
}

fn act_on_own(watch: &mut Watch, row: &ActRow, wanted: &str, now: Time) -> Option<Outcome> {
    let of_episode = |alert: &Alert| alert.episode.as_ref().is_some_and(|episode| episode.id == wanted);
    let (rule, before) =
        watch.own.iter().find(|(_, a)| of_episode(a)).map(|(r, a)| (r.clone(), a.clone()))?;
    let key = watch.own_key(&rule);
    let (after, outcome) = act_on(&watch.setup.install, row, key, &before, now);
    watch.own.insert(rule, after);
    Some(outcome)
}

/// The same for an own alert that belongs to no source.
pub fn act_on(install: &str, row: &ActRow, key: AlertKey, before: &Alert, now: Time) -> (Alert, Outcome) {
    let told = told(before, Shared::EMPTY);
    let build = |after: &mut Alert, happening| {
        let mut event = bare_event(install, &key, before, after, happening, now);
        event.rule_version.clone_from(&own_alerts::VERSION);
        event
    };
    apply(row, key.clone(), before, told, now, build)
}

/// One act on one alert.
fn apply(
    row: &ActRow,
    key: AlertKey,
    before: &Alert,
    told: Shared<String>,
    now: Time,
    build: impl Fn(&mut Alert, Happening) -> Event,
) -> (Alert, Outcome) {
    let mut outcome = Outcome { now, ..Outcome::default() };
    let by = row.by.clone();
    let open = matches!(before.state, State::Firing | State::Recovering);
    let (after, message) = match &row.act {
        Act::Ack { note: None, .. } if open && acked_by(before).is_some() => {
            (before.clone(), Err(format!("already acknowledged by {}", acked_by(before).unwrap_or_default())))
        }
        Act::Ack { note, .. } if open => {
            let mut after = before.clone();
            let event = build(&mut after, Happening::Acked { by, note: note.clone() });
            outcome.tell(event, told);
            (
                after,
                Ok(format!("acknowledged; {} {} stays firing until it is clear", key.rule, key.subject.name)),
            )
        }
        Act::Close { rearm, finding, note, .. } => match alert::close(before, *rearm) {
            Some((after, step)) => {
                let mut after = after;
                let closed = Happening::Closed { by, finding: *finding, note: note.clone() };
                // Told once, by the end: the operator's finding travels with it.
                outcome.tell(build(&mut after, closed), Shared::default());
                outcome.tell(build(&mut after, step.into()), told);
                let then = if *rearm {
                    "may fire again at the next breach"
                } else {
                    "stays closed until it is clear once"
                };
                (after, Ok(format!("closed; it {then}")))
            }
            None => concluded(&row.act, before, &mut outcome),
        },
        Act::Ack { .. } => concluded(&row.act, before, &mut outcome),
        Act::Retry { .. } | Act::Drop { .. } => (before.clone(), Err("not an act on an episode".to_owned())),
    };
    let (done, message) = match message {
        Ok(message) => (true, message),
        Err(message) => (false, message),
    };
    outcome.acts.push(ActResult { id: row.id, done, message });
    if after != *before {
        outcome.alerts.push((key, Arc::new(after.clone())));
    }
    (after, outcome)
}

/// An act on an alert that was closed: its episode is over, and only what was concluded of it can change.
fn concluded(act: &Act, before: &Alert, outcome: &mut Outcome) -> (Alert, Result<String, String>) {
    let mut after = before.clone();
    let Some(episode) = &mut after.episode else {
        return (after, Err("the episode has ended already".to_owned()));
    };
    let message = conclude(act, episode.finding, episode.note.as_deref()).map(|(conclusion, message)| {
        (episode.finding, episode.note) =
            (Some(conclusion.finding), conclusion.note.as_deref().map(ArcStr::from));
        outcome.conclusions.push(conclusion);
        message
    });
    (after, message)
}

/// Who acknowledged the open episode, if somebody did: telling everybody again says nothing new.
fn acked_by(alert: &Alert) -> Option<&str> {
    alert.episode.as_ref()?.acked_by.as_deref()
}

/// The episode an act speaks of.
pub fn episode_of(act: &Act) -> Option<&str> {
    match act {
        Act::Ack { episode, .. } | Act::Close { episode, .. } => Some(episode),
        Act::Retry { .. } | Act::Drop { .. } => None,
    }
}
