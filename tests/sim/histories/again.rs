//! Histories with users who come, leave, come back and are refused, as the agent polls them, and played again as
//! `rules backtest` and `why` do: the same episodes, each with its times, reason, highest count, limit and blind time.
//!
//! Neighbours: `timeline` makes the histories, `play` judges them live. A part of its own because a backtest goes another
//! way than a live poll and must find out by itself who was a member when. What operators did and reloads are no part of
//! it, nor of these histories.

use std::collections::BTreeMap;
use std::sync::Arc;

use seatwatch::engine::backtest::members::Refused;
use seatwatch::engine::backtest::{PastPoll, Playback};
use seatwatch::engine::event::{Event, EventKind};
use seatwatch::engine::names::Names;
use seatwatch::engine::past::Column;
use seatwatch::engine::reading::{Batch, Fetched, PollOutcome, Reading};
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::usual::Raised;
use seatwatch::engine::watch::{Remembered, Setup, Watch, When};

use super::play::{Told, Way, fault, reading, roster, said, setup};
use super::slow::Said;
use super::timeline::{Timeline, USERS};

/// Whom the rules file lists from the beginning, where the instance has a roster and where not.
const LISTED: [&str; 2] = ["alice", "bob"];
const LISTED_ALONE: [&str; 3] = ["alice", "carol", "ext-2"];

/// What is different between live and played again, in words; also how many episodes were compared.
pub(super) fn compare(timeline: &Timeline) -> Result<usize, String> {
    let told = live(timeline);
    let expect = of_events(&told);
    for as_told in [false, true] {
        let found = again(timeline, &told, as_told);
        if found != expect {
            let wrong = |a: &[String], b: &[String]| -> Vec<String> {
                a.iter().filter(|one| !b.contains(one)).cloned().collect()
            };
            let (only_live, only_again) = (wrong(&expect, &found), wrong(&found, &expect));
            return Err(format!(
                "played again (as told: {as_told}),\n  only live  {only_live:#?}\n  only again {only_again:#?}\n"
            ));
        }
    }
    Ok(expect.len())
}

fn has_roster(timeline: &Timeline) -> bool {
    timeline.start % 7 != timeline.moments.len() as i64 % 2
}

/// Live, with nobody who acts and one rules file throughout.
fn live(timeline: &Timeline) -> Told {
    let on_roster = has_roster(timeline);
    let users = if on_roster { Names::new(LISTED) } else { Names::new(LISTED_ALONE) };
    let of = Arc::unwrap_or_clone(setup(&timeline.rules[0]));
    let setup = Arc::new(Setup { users: Arc::new(users), roster: on_roster, ..of });
    let mut told = Told::new(timeline, Way::Live);
    told.watch = Watch::new(setup, Remembered::default());
    let mut at = timeline.start;
    for (n, moment) in timeline.moments.iter().enumerate() {
        at += moment.passed + moment.jump;
        let instant = Time::from_millis(at);
        if let Some(roster) = roster(moment, instant).filter(|_| on_roster) {
            told.watch.take_roster(&roster);
        }
        let asked = told.watch.asked(instant);
        let (mut readings, mut refused) = (Vec::new(), Vec::new());
        for (index, slot) in (0..).zip(asked.slots()) {
            let user = USERS.iter().position(|user| *user == told.watch.names.name(slot)).unwrap();
            match moment.said[user] {
                // Refused, of one whom the vendor knew before.
                Said::NotPolled if n > 0 && !on_roster => {
                    refused.push(index);
                    readings.push(Reading::NOT_POLLED);
                }
                Said::NotPolled => readings.push(Reading::FAILED),
                other @ (Said::Online(_) | Said::Absent | Said::Failed) => readings.push(reading(other)),
            }
        }
        let fetched = Fetched {
            batch_of: vec![0; readings.len()].into(),
            readings,
            batches: vec![Batch { fetched_at: instant, request_id: Some(format!("R{n}").into()) }],
            fault: fault(moment),
            ..Fetched::default()
        };
        let elapsed = Span::from_millis(if n == 0 { 0 } else { moment.passed });
        let jump = Some(Span::from_millis(moment.jump)).filter(|jump| *jump != Span::ZERO);
        let poll = told.watch.poll(fetched, &asked, When { at: instant, elapsed, jump, took: Span::ZERO });
        told.watch.quarantine(&asked, &refused, instant);
        told.poll(poll);
    }
    told
}

/// By episode: what fired, and what ended it.
fn by_episode(told: &Told) -> Vec<(&Event, Option<&Event>)> {
    let mut all: BTreeMap<&str, (Option<&Event>, Option<&Event>)> = BTreeMap::new();
    for event in &told.events {
        let one = all.entry(&event.episode).or_default();
        match event.kind {
            EventKind::Fired => one.0 = Some(event),
            EventKind::Ended => one.1 = Some(event),
            EventKind::Reminded
            | EventKind::Escalated
            | EventKind::Changed
            | EventKind::Acked
            | EventKind::Closed => {}
        }
    }
    all.into_values().filter_map(|(fired, ended)| Some((fired?, ended))).collect()
}

fn of_events(told: &Told) -> Vec<String> {
    let of_rules = by_episode(told).into_iter().filter(|(fired, _)| !fired.rule.starts_with("agent/"));
    let mut all: Vec<String> = of_rules
        .map(|(fired, ended)| {
            let begins = (&fired.rule, &fired.subject.name, fired.since, fired.at, &fired.limit);
            let ends =
                ended.map(|ended| (ended.at, ended.reason, ended.value.and_then(|v| v.peak), ended.blind));
            format!("{begins:?} {ends:?}")
        })
        .collect();
    all.sort();
    all
}

/// With all users in the rules file, as it is by now.
fn again(timeline: &Timeline, told: &Told, as_told: bool) -> Vec<String> {
    let of = Arc::unwrap_or_clone(setup(&timeline.rules[0]));
    let setup = Arc::new(Setup { roster: has_roster(timeline), ..of });
    let names = Names::new(&told.names);
    let today = told.rosters.last().map(|(_, roster)| roster.clone());
    let mut playback = Playback::new(setup, names.clone(), today, Time::from_millis(i64::MIN));
    if as_told {
        playback = playback.as_told();
        playback.told(by_episode(told).into_iter().map(raised).collect());
    }
    let refused = by_episode(told).into_iter().filter(|(fired, _)| fired.rule == "agent/name-refused");
    let end = Time::from_millis(i64::MAX);
    playback.refused(Refused {
        times: refused.map(|(fired, ended)| fired.at..ended.map_or(end, |ended| ended.at)).collect(),
        slots: told.watch.memory.quarantine.iter().filter_map(|one| names.slot(&one.user)).collect(),
    });
    let mut column = Column::new(Vec::new());
    for kept in &told.polls {
        if let Some((_, roster)) = told.rosters.iter().find(|(seq, _)| *seq == kept.seq) {
            playback.roster(roster.clone());
        }
        if let Some(mut lesson) = playback.lesson(kept.at) {
            for past in lesson.hours() {
                lesson.begin(&past);
                let mut last = vec![Reading::NOT_POLLED; USERS.len()];
                for before in told.polls.iter().filter(|before| before.seq < kept.seq) {
                    lesson.poll(before.at, before.elapsed, &said(&mut last, before));
                }
            }
            playback.learn(lesson);
        }
        column.turn(&kept.changes, &kept.failed);
        let usable = kept.outcome != PollOutcome::Failed;
        playback.poll(PastPoll { seq: kept.seq, at: kept.at, elapsed: kept.elapsed, usable }, &column);
    }
    let mut all: Vec<String> = playback
        .finish()
        .into_iter()
        .map(|one| {
            let begins = (&one.rule, &one.subject.name, one.since, one.fired_at, &one.limit);
            let ends = one.ended_at.map(|ended| (ended, one.reason, one.peak, one.blind));
            format!("{begins:?} {ends:?}")
        })
        .collect();
    all.sort();
    all
}

fn raised((fired, ended): (&Event, Option<&Event>)) -> Raised {
    Raised {
        rule: fired.rule.to_string(),
        user: fired.subject.name.clone(),
        since: fired.since,
        fired_at: fired.at,
        ended_at: ended.map(|ended| ended.at),
    }
}
