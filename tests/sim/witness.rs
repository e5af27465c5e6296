//! Who looks at everything after each step, and objects: the promises of the design, asked of the tables themselves.
//!
//! Neighbours: `life` calls it with what really happened. A part of its own, and in SQL of its own, because a witness
//! that asked the code it watches would believe it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arcstr::ArcStr;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use seatwatch::config::Config;
use seatwatch::engine::event::{EndReason, Event, EventKind, Subject, episode_id, event_id};
use seatwatch::engine::time::Span;
use serde_json::Value;

use crate::neighbours::{Said, Sent};
use crate::rules::{ON_A_READING, notify};
use crate::{INSTALL, log::Log, log::note};

const STORAGE: &str = "agent/storage";

type Key = (ArcStr, String, Subject);

pub(crate) struct Witness {
    database: Connection,
    /// Whether anybody wrote since the witness looked.
    version: Vec<[String; 1]>,
    last_event: i64,
    /// What the outbox held when it was last gone through, and each of its rows.
    outbox: Option<[String; 3]>,
    kept: BTreeMap<String, [String; 3]>,
    pub(crate) events: u64,
    steps: BTreeMap<Key, u32>,
    open: BTreeMap<Key, String>,
    /// The channels of each episode, its *fired* and its *ended*.
    episodes: BTreeMap<String, (Vec<String>, String, Option<String>)>,
    /// Bytes of each notification that was sent.
    bytes: BTreeMap<(&'static str, String), Vec<u8>>,
    /// Events that a send to the channel was begun for.
    begun: BTreeSet<(&'static str, String)>,
}

impl Witness {
    pub(crate) fn new(path: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags).unwrap();
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
        Self {
            database,
            version: Vec::new(),
            last_event: 0,
            outbox: None,
            kept: BTreeMap::new(),
            events: 0,
            steps: BTreeMap::new(),
            open: BTreeMap::new(),
            episodes: BTreeMap::new(),
            bytes: BTreeMap::new(),
            begun: BTreeSet::new(),
        }
    }

    fn rows<const N: usize>(&self, query: &str, values: &[&dyn rusqlite::ToSql]) -> Vec<[String; N]> {
        let mut query = self.database.prepare_cached(query).unwrap();
        let text = |row: &rusqlite::Row<'_>, at| -> rusqlite::Result<String> {
            Ok(match row.get_ref(at)? {
                ValueRef::Null => String::new(),
                ValueRef::Integer(n) => n.to_string(),
                text @ (ValueRef::Text(_) | ValueRef::Blob(_) | ValueRef::Real(_)) => {
                    text.as_str().unwrap_or_default().to_owned()
                }
            })
        };
        let rows = query.query_map(values, |row| Ok(std::array::from_fn(|at| text(row, at).unwrap())));
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// The number and instant of the source's last poll; all its polls are there.
    pub(crate) fn last_poll(&self, source: &str) -> Option<(u64, i64)> {
        let query = "SELECT s.last_seq, (SELECT at FROM poll WHERE source = s.id AND seq = s.last_seq), s.memory ->> 'seq',
            (SELECT count(*) FROM poll WHERE source = s.id) FROM source s WHERE s.name = ?1";
        let [seq, at, memory, polls] = self.rows::<4>(query, &[&source]).pop()?;
        assert!(seq == memory && seq == polls, "{source}: poll {seq}, remembered {memory}, kept {polls}");
        Some((seq.parse().unwrap(), at.parse().unwrap()))
    }

    pub(crate) fn unfinished(&self) -> Vec<[String; 4]> {
        self.rows(
            "SELECT id, channel, state, last_error FROM notification WHERE state IN ('pending', 'waiting')",
            &[],
        )
    }

    /// A notification in one of these states, chosen by `n`; and an open episode.
    pub(crate) fn notification(&self, state: &str, n: u64) -> Option<String> {
        let all: Vec<[String; 1]> =
            self.rows("SELECT id FROM notification WHERE state = ?1 ORDER BY no", &[&state]);
        Some(all.get(usize::try_from(n).unwrap() % all.len().max(1))?[0].clone())
    }

    pub(crate) fn episode(&self, n: u64) -> Option<String> {
        self.open.values().nth(usize::try_from(n).unwrap() % self.open.len().max(1)).cloned()
    }

    /// After each step. `said` is what a poll that was committed in it learnt.
    pub(crate) fn look(
        &mut self,
        log: &mut Log,
        config: &Config,
        said: Option<(&str, &Said)>,
        sends: &[Sent],
    ) {
        let version = self.rows("PRAGMA data_version", &[]);
        if version == self.version && sends.is_empty() {
            return;
        }
        self.version = version;
        let query = "SELECT no, event FROM event WHERE no > ?1 ORDER BY no";
        for [no, json] in self.rows::<2>(query, &[&self.last_event]) {
            let event: Event = serde_json::from_str(&json).unwrap();
            note!(
                log,
                "{:?} {} {} {} {}",
                event.kind,
                event.rule,
                event.source.as_deref().unwrap_or(""),
                event.subject.name,
                event.id
            );
            self.lifecycle(&event, config);
            if let Some((source, said)) = said.filter(|(source, _)| event.source.as_deref() == Some(source)) {
                rests_on_a_reading(&event, source, said);
            }
            self.is_told(&event);
            self.last_event = no.parse().unwrap();
            self.events += 1;
        }
        self.states_and_events_agree();
        self.nothing_is_lost_or_doubled();
        for sent in sends {
            note!(log, "sent {} {} {}", sent.channel, sent.id, sent.arrived);
            self.sent(sent);
        }
    }

    /// `step_no` counts on, ids follow from it, and an episode begins and ends once.
    fn lifecycle(&mut self, event: &Event, config: &Config) {
        let source = event.source.as_deref();
        let key = (event.rule.clone(), source.unwrap_or("").to_owned(), event.subject.clone());
        let step = self.steps.entry(key.clone()).or_insert(0);
        *step += 1;
        let id = event_id(INSTALL, &event.rule, source, &event.subject, *step, event.kind);
        assert_eq!(event.id, id, "step {step} of {key:?}: {event:?}");
        assert!(
            event.blind >= Span::ZERO && event.readings.len() <= 20 && event.request_ids.len() <= 20,
            "{event:?}"
        );
        match event.kind {
            EventKind::Fired => {
                let episode = episode_id(INSTALL, &event.rule, source, &event.subject, *step);
                assert_eq!(event.episode, episode);
                assert_eq!(
                    self.open.insert(key, episode.clone()),
                    None,
                    "two open alerts of one subject: {event:?}"
                );
                let channels = notify(config, &event.rule, &event.subject.name);
                self.episodes.insert(episode, (channels, event.id.clone(), None));
            }
            EventKind::Ended => {
                assert_eq!(self.open.remove(&key), Some(event.episode.to_string()), "{event:?}");
                self.episodes.get_mut(event.episode.as_str()).unwrap().2 = Some(event.id.clone());
            }
            EventKind::Reminded
            | EventKind::Escalated
            | EventKind::Changed
            | EventKind::Acked
            | EventKind::Closed => {
                assert_eq!(self.open.get(&key).map(String::as_str), Some(&*event.episode), "{event:?}");
            }
        }
    }

    /// Invariant 3: every channel that is to be told of an event has its row with the event.
    fn is_told(&self, event: &Event) {
        let of =
            "SELECT DISTINCT n.channel FROM notification_event e JOIN notification n ON n.no = e.notification
            WHERE e.episode = ?1 AND e.event = ?2 ORDER BY 1";
        let told: Vec<String> = self
            .rows::<1>(of, &[&event.episode.as_str(), &event.id])
            .into_iter()
            .map(|[channel]| channel)
            .collect();
        let mut expect = self.episodes[event.episode.as_str()].0.clone();
        expect.sort();
        // Its beginning was told from memory, to whom it could be.
        if event.rule == STORAGE {
            return;
        }
        if event.kind == EventKind::Closed {
            expect.clear();
        }
        assert_eq!(told, expect, "{event:?}");
    }

    /// Invariant 3, the other half.
    fn states_and_events_agree(&self) {
        let query =
            "SELECT rule, source, kind, subject, episode FROM alert WHERE state IN ('firing', 'recovering')";
        let mut stored: Vec<[String; 5]> = self.rows(query, &[]);
        stored.sort();
        let open = self.open.iter().map(|((rule, source, subject), episode)| {
            let kind = serde_json::to_value(subject.kind).unwrap();
            [rule.as_str(), source, kind.as_str().unwrap(), &subject.name, episode].map(str::to_owned)
        });
        let mut open: Vec<_> = open.collect();
        open.sort();
        assert_eq!(stored, open, "open alerts, as stored and as told by events");
    }

    /// Invariant 5: each event of each channel is in one row that lives or was the last, or nobody is to hear it.
    fn nothing_is_lost_or_doubled(&mut self) {
        let now = self
            .rows::<3>("SELECT count(*), max(no), sum(unicode(state) * 7 + told) FROM notification", &[])
            .pop();
        if self.outbox == now {
            return;
        }
        self.outbox = now;
        let all = "SELECT no, channel, state, told FROM notification";
        for [no, channel, state, told] in self.rows::<4>(all, &[]) {
            assert!(state != "superseded" || told == "0", "superseded though told: {no} of {channel}");
            let row = [channel, state, told];
            // What became of an event changes only with a row that holds it.
            if self.kept.get(&no) != Some(&row) {
                self.each_event_lives_once(&no, &row[0]);
                if row[1] == "dead" {
                    self.died_rightly(&no);
                }
                self.kept.insert(no, row);
            }
        }
    }

    /// Of a notification and all others of its channel that hold the same events.
    fn each_event_lives_once(&self, no: &str, channel: &str) {
        let query = "SELECT e.event, sum(n.state <> 'superseded'), sum(n.last_error IS 'the fired notification is dead')
            FROM notification_event mine JOIN notification_event e ON e.episode = mine.episode AND e.event = mine.event
            JOIN notification n ON n.no = e.notification
            WHERE mine.notification = ?1 AND n.channel = ?2 GROUP BY 1";
        for [event, living, hushed] in self.rows::<3>(query, &[&no, &channel]) {
            assert!(living != "0" || hushed != "0", "{event} of {channel} was superseded by nothing");
            assert!(living == "0" || living == "1", "{event} of {channel} is in {living} notifications");
        }
    }

    /// Nothing is given up but at an operator's wish, with its channel, after its tries, or after three crashes.
    fn died_rightly(&self, no: &str) {
        let query = "SELECT n.channel, n.last_error, n.tries, n.crashes, (n.finished_at - n.first_attempt_at) / 60000,
            (SELECT outcome FROM attempt WHERE notification = n.no ORDER BY n DESC LIMIT 1),
            EXISTS (SELECT 1 FROM act a WHERE a.notification = n.id AND a.act LIKE '%drop%')
            FROM notification n WHERE n.no = ?1";
        let [[channel, why, tries, crashes, minutes, last, dropped]] = &self.rows::<7>(query, &[&no])[..]
        else {
            panic!("no notification {no}")
        };
        let number = |text: &String| text.parse::<i64>().unwrap_or_default();
        let rightly = match why.as_str() {
            "dropped by an operator" => dropped == "1",
            // Only this one may leave the rules file.
            "channel removed" | "its channel is not in the rules file" => channel == "boss",
            "the process ended three times within a send" => number(crashes) >= 3,
            _ if last == "rejected" => number(tries) >= 3 && number(minutes) >= 60,
            _ => last == "retry" && number(tries) >= 7 && number(minutes) >= 75 * 60,
        };
        assert!(
            rightly,
            "given up without a reason: {no} of {channel}, {why:?}, {tries} tries in {minutes} min"
        );
    }

    fn sent(&mut self, sent: &Sent) {
        let query = "SELECT e.event, e.kind, e.episode, n.channel, n.told FROM notification n
            LEFT JOIN notification_event e ON e.notification = n.no WHERE n.id = ?1";
        let rows: Vec<[String; 5]> = self.rows(query, &[&sent.id]);
        if rows.is_empty() {
            let body: Value = serde_json::from_slice(&sent.payload).unwrap();
            assert_eq!(body["data"]["rule"], STORAGE, "sent without a row: {body}");
            self.begun.insert((sent.channel, body["data"]["events"][0]["id"].as_str().unwrap().to_owned()));
            return;
        }
        let before =
            self.bytes.entry((sent.channel, sent.id.clone())).or_insert_with(|| sent.payload.clone());
        assert_eq!(*before, sent.payload, "other bytes under {}", sent.id);
        assert!(sent.payload.len() < 20_000, "{} bytes", sent.payload.len());
        for [event, kind, episode, channel, told] in &rows {
            assert!(channel == sent.channel && told == "1", "sent before it was written down: {rows:?}");
            self.begun.insert((sent.channel, event.clone()));
            let Some((channels, fired, _)) = self.episodes.get(episode).filter(|_| kind == "ended") else {
                continue;
            };
            if channels.iter().any(|channel| channel == sent.channel) {
                let heard = self.begun.contains(&(sent.channel, fired.clone()))
                    || rows.iter().any(|row| row[0] == *fired);
                let story = || self.rows_of(episode, sent.channel);
                assert!(
                    heard,
                    "{} is told the end of what it was not told began: {episode}\n{}",
                    sent.channel,
                    story()
                );
            }
        }
    }

    /// Every notification of an episode for a channel, for whoever must find out why.
    fn rows_of(&self, episode: &str, channel: &str) -> String {
        let query = "SELECT n.no || ' ' || n.id || ' ' || n.state || ' tries ' || n.tries || ' crashes ' || n.crashes || ' told ' || n.told
            || ' by ' || coalesce(n.superseded_by, '') || ' ' || coalesce(n.last_error, '') || ': '
            || (SELECT group_concat(kind || CASE WHEN episode = ?1 THEN ' THIS' ELSE '' END, ', ')
                FROM notification_event WHERE notification = n.no)
            FROM notification n WHERE n.channel = ?2 AND EXISTS (SELECT 1 FROM notification_event e
            WHERE e.notification = n.no AND e.episode = ?1) ORDER BY n.no";
        self.rows::<1>(query, &[&episode, &channel]).into_iter().map(|[row]| row + "\n").collect()
    }

    /// Invariant 4, when nothing is left to be sent. That what is dead died rightly was seen when it did.
    pub(crate) fn conclude(&self) {
        let query = "SELECT n.state, n.no, n.told FROM notification_event e JOIN notification n ON n.no = e.notification
            WHERE e.episode = ?1 AND e.event = ?2 AND n.channel = ?3 AND n.state <> 'superseded'";
        for (episode, (channels, fired, ended)) in &self.episodes {
            let own = "SELECT 1 FROM event WHERE id = ?1 AND event ->> 'rule' = ?2";
            if self.rows::<1>(own, &[fired, &STORAGE]).len() == 1 {
                continue;
            }
            for channel in channels {
                let rows = |event: &String| self.rows::<3>(query, &[episode, event, channel]);
                let (began, end) = (rows(fired), ended.as_ref().map(rows));
                let holds = match (&began[..], end.as_deref()) {
                    ([[state, ..]], None | Some([])) if state == "dead" => true,
                    // Both in one row, or the end was given up before anybody was told of it.
                    ([[state, no, _]], Some([[end, with, told]])) if state == "dead" => {
                        end == "dead" && (no == with || told == "0")
                    }
                    ([[state, ..]], None) => state == "sent",
                    ([[state, ..]], Some([[end, ..]])) => state == "sent" && (end == "sent" || end == "dead"),
                    _ => false,
                };
                let story = || self.rows_of(episode, channel);
                assert!(holds, "{episode} on {channel}: fired {began:?}, ended {end:?}\n{}", story());
            }
        }
    }
}

/// Invariant 6, for rules whose verdict rests on the reading of their user.
fn rests_on_a_reading(event: &Event, source: &str, said: &Said) {
    let cleared = event.kind == EventKind::Ended && event.reason == Some(EndReason::Cleared);
    if !ON_A_READING.contains(&event.rule.as_str()) || !(event.kind == EventKind::Fired || cleared) {
        return;
    }
    let reading = said.get(&event.subject.name).copied();
    let count = reading.and_then(seatwatch::engine::reading::Reading::count);
    assert!(count.is_some(), "{source}: {reading:?} and {event:?}");
    assert_eq!(event.value.and_then(|value| value.now), count, "{event:?}");
    if let Some(limit) = &event.limit {
        assert_eq!(count > Some(limit.value), !cleared, "{event:?}");
    }
}
