//! The store through its public verbs: readings come back exactly, promises about files and notifications hold.
//! The modules below share the makers of polls, events and notifications that stand here.

mod files;
mod outbox;
mod readings;

use std::path::PathBuf;
use std::sync::Arc;

use seatwatch::engine::event::{Event, EventKind, Severity, Subject, SubjectKind, episode_id, event_id};
use seatwatch::engine::names::{Names, NewNames};
use seatwatch::engine::outcome::{NewNotification, Outcome, PollRow, SourceMemory};
use seatwatch::engine::reading::{Batch, Kind, NO_BATCH, Poll, Reading};
use seatwatch::engine::time::{Span, Time};
use seatwatch::store::Store;

/// A database in a directory of its own.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("seatwatch.db")
    }

    fn open(&self) -> Store {
        Store::open(&self.path(), at(0)).unwrap()
    }
}

fn at(minute: i64) -> Time {
    Time::from_millis(1_790_000_000_000 + minute * 60_000)
}

/// Makes poll rows as the agent does, from whole columns.
#[derive(Default)]
struct Timeline {
    memory: SourceMemory,
    kept: Vec<Reading>,
    /// What each poll said, by seq − 1.
    said: Vec<Vec<Reading>>,
}

impl Timeline {
    fn poll(&mut self, readings: &[Reading], keyframe: bool) -> PollRow {
        let width = self.kept.len().max(readings.len());
        let names = Arc::new(Names::new((0..width).map(|n| format!("user-{n}"))));
        let new_names = NewNames { names, from: self.kept.len() };
        self.kept.resize(readings.len().max(self.kept.len()), Reading::NOT_POLLED);
        let (mut changes, mut failed) = (Vec::new(), Vec::<std::ops::Range<u32>>::new());
        for (slot, &reading) in readings.iter().enumerate() {
            let number = slot as u32;
            if reading.kind() == Kind::Failed {
                match failed.last_mut() {
                    Some(range) if range.end == number => range.end += 1,
                    _ => failed.push(number..number + 1),
                }
            } else if self.kept[slot] != reading {
                self.kept[slot] = reading;
                changes.push((number, reading));
            }
        }
        self.memory.seq += 1;
        self.said.push(readings.to_vec());
        let time = at(self.memory.seq as i64);
        let poll = Poll {
            source: "shanghai".to_owned(),
            seq: self.memory.seq,
            at: time,
            elapsed: Span::from_mins(1),
            jump: None,
            readings: readings.to_vec(),
            batch_of: readings.iter().map(|r| if r.kind() == Kind::Failed { NO_BATCH } else { 0 }).collect(),
            batches: vec![Batch {
                fetched_at: time + Span::from_secs(1),
                request_id: Some("4EC47282-1B74-4534-BD0E-403F3EE64CAF".into()),
            }],
            requests: 1,
            took: Span::from_secs(1),
            fault: None,
            skew: None,
        };
        let keyframe = keyframe.then(|| self.kept.clone());
        let memory = self.memory.clone();
        PollRow {
            tally: poll.tally(),
            poll,
            new_names,
            changes,
            failed,
            keyframe,
            evidence: Vec::new(),
            moves: Vec::new(),
            memory,
            checkpoint: None,
            roster: None,
            clients: Vec::new(),
        }
    }
}

fn commit_poll(store: &Store, row: PollRow) {
    store.commit(Outcome { now: row.poll.at, poll: Some(row), ..Outcome::default() }).wait().unwrap();
}

/// Event number `step` of the alert about `user`; its episode began at step `fired`.
fn event(user: &str, step: u32, fired: u32, kind: EventKind) -> Event {
    let subject = Subject { kind: SubjectKind::User, name: user.to_owned() };
    let source = Some("shanghai");
    let time = at(i64::from(step));
    Event {
        id: event_id("install", "shared-account", source, &subject, step, kind),
        kind,
        episode: episode_id("install", "shared-account", source, &subject, fired).into(),
        at: time,
        rule: "shared-account".into(),
        rule_version: "v1".into(),
        severity: Severity::High,
        source: source.map(Into::into),
        subject,
        value: None,
        limit: None,
        since: at(0),
        fired_at: Some(at(i64::from(fired))),
        ended_at: (kind == EventKind::Ended).then_some(time),
        reason: None,
        reminder: 0,
        readings: Default::default(),
        blind: Span::ZERO,
        request_ids: Default::default(),
        clients: None,
        when: None,
        signals: Vec::new(),
        detail: None,
        users: Vec::new().into(),
        by: None,
        note: None,
        finding: None,
    }
}

fn notification(id: &str, channel: &str, events: &[&Event]) -> NewNotification {
    NewNotification {
        id: format!("ntf_{id}"),
        channel: channel.to_owned(),
        events: events.iter().map(|e| e.id.clone()).collect(),
        episodes: events.iter().map(|e| e.episode.to_string()).collect(),
        payload: format!("payload of {id}").into_bytes(),
        created_at: at(1),
    }
}

fn commit_events(store: &Store, events: &[&Event], notifications: Vec<NewNotification>) {
    let events = events.iter().map(|e| (*e).clone().into()).collect();
    let outcome = Outcome { now: at(1), events, notifications, ..Outcome::default() };
    store.commit(outcome).wait().unwrap();
}
