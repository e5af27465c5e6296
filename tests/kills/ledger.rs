//! What was committed and what arrived, and what must hold between the two whatever happened to the agent.
//!
//! Neighbours: every part of this program keeps one per stage. A part of its own because these checks are the promise,
//! and each way of dying is held to the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use seatwatch::store::{Reader, StoreError};

use crate::stage::{Arrival, CHANNELS, RULE, Stage};

/// Rows that never change and never go: what they are, and what they hold.
#[derive(Clone, Default, Debug)]
pub(crate) struct Committed(BTreeMap<String, String>);

/// Everything in the events, polls and notifications that stays as it was written.
const ROWS: [&str; 4] = [
    "SELECT 'event ' || id, no || quote(event) || quote(prev_hash) || quote(hash) FROM event",
    // Earlier schemas wrote the outcome's word.
    "SELECT 'poll ' || source || ' ' || seq, at || CASE outcome WHEN 'complete' THEN 0 WHEN 'partial' THEN 1
     WHEN 'failed' THEN 2 ELSE outcome END || asked || changed || quote(fault) || quote(failed) || quote(changes) FROM poll",
    "SELECT 'notification ' || id, channel || created_at || quote(payload) FROM notification",
    "SELECT 'attempt ' || id || ' ' || n, started_at FROM attempt JOIN notification ON notification = no",
];

/// Reading only, and leaving the write-ahead log as it is.
pub(crate) fn look(database: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    connection
}

impl Committed {
    /// Nothing where there is no database yet, or no schema in it.
    pub(crate) fn read(database: &Path) -> Self {
        if !database.exists() {
            return Self::default();
        }
        let connection = look(database);
        let transaction = connection.unchecked_transaction().unwrap();
        let steps: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        let mut all = BTreeMap::new();
        for query in ROWS.iter().filter(|_| steps > 0) {
            let mut query = transaction.prepare(query).unwrap();
            let text = |row: &rusqlite::Row<'_>, at| -> rusqlite::Result<String> {
                let value = row.get_ref(at)?;
                Ok(value
                    .as_i64()
                    .map_or_else(|_| value.as_str().unwrap().to_owned(), |number| number.to_string()))
            };
            let rows = query.query_map([], |row| Ok((text(row, 0)?, text(row, 1)?))).unwrap();
            all.extend(rows.map(Result::unwrap));
        }
        Self(all)
    }

    /// Only rows whose name begins so.
    pub(crate) fn of(&self, whats: &[&str]) -> Self {
        let wanted = |key: &String| whats.iter().any(|what| key.starts_with(what));
        Self(self.0.iter().filter(|(key, _)| wanted(key)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    pub(crate) fn has(&self, what: &str, id: &str) -> bool {
        self.0.contains_key(&format!("{what} {id}"))
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.keys().filter(|key| key.starts_with(what)).count()
    }

    /// What `later` lacks of this, or holds otherwise.
    pub(crate) fn lost(&self, later: &Self) -> Vec<String> {
        self.0
            .iter()
            .filter(|(key, value)| later.0.get(*key) != Some(value))
            .map(|(key, _)| key.clone())
            .collect()
    }

    #[track_caller]
    pub(crate) fn is_in(&self, later: &Self, when: &str) {
        let lost = self.lost(later);
        assert!(lost.is_empty(), "{when}: lost or changed: {lost:#?}");
    }
}

/// SQLite's checks, chains, and polls without a gap; those of SQLite alone before the schema is whole.
#[track_caller]
pub(crate) fn sound(database: &Path) {
    match Reader::open(database) {
        Ok(reader) => {
            let checked = reader.check().unwrap();
            assert!(checked.is_ok(), "{checked:?}");
        }
        Err(StoreError::Missing { .. }) => {}
        // A start that was cut off has applied its first steps.
        Err(StoreError::Older { .. }) => {
            let problem: String =
                look(database).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(problem, "ok");
        }
        Err(error) => panic!("{error}"),
    }
}

/// Attempts without an end: what a kill left in doubt, by channel.
pub(crate) fn in_doubt(database: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    if !database.exists() {
        return all;
    }
    let connection = look(database);
    let query =
        "SELECT channel, id FROM attempt JOIN notification ON notification = no WHERE ended_at IS NULL";
    // Without a schema nothing is.
    let Ok(mut query) = connection.prepare(query) else { return all };
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for row in rows {
        let (channel, id) = row.unwrap();
        all.entry(channel).or_default().insert(id);
    }
    all
}

/// What a stage's life came to.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) kills: usize,
    pub(crate) events: usize,
    pub(crate) fired: usize,
    pub(crate) ended: usize,
    pub(crate) polls: usize,
    /// Messages accepted, and those of them that had been accepted before.
    pub(crate) told: usize,
    pub(crate) copies: usize,
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            kills: sum.kills + one.kills,
            events: sum.events + one.events,
            fired: sum.fired + one.fired,
            ended: sum.ended + one.ended,
            polls: sum.polls + one.polls,
            told: sum.told + one.told,
            copies: sum.copies + one.copies,
        })
    }
}

/// Nothing came that no row speaks of. What `agent/storage` tells from memory is the exception, where `storage` says so.
#[track_caller]
pub(crate) fn told_has_rows(arrivals: &[Arrival], committed: &Committed, storage: bool) {
    for arrival in arrivals {
        let exempt = storage && is_of_storage(arrival);
        assert!(
            exempt || committed.has("notification", &arrival.id),
            "{} came to {} and no row speaks of it: {:.900}",
            arrival.id,
            arrival.channel,
            String::from_utf8_lossy(&arrival.bytes)
        );
    }
}

pub(crate) fn is_of_storage(arrival: &Arrival) -> bool {
    let text = String::from_utf8_lossy(&arrival.bytes);
    // A mail's body is encoded, its subject is not.
    text.contains("\"agent/storage\"") || text.contains(": Seatwatch cannot write its database\r\n")
}

/// After everything is settled: every event of the stage's time was told to every channel by exactly one notification, which arrived;
/// copies have the same bytes, and there is at most one for each kill and channel.
pub(crate) fn balance(stage: &Stage, kills: usize) -> Tally {
    let arrivals = stage.arrivals();
    let committed = Committed::read(&stage.database());
    let mut first: BTreeMap<(&str, &str), (&[u8], usize)> = BTreeMap::new();
    for arrival in &arrivals {
        let entry = first.entry((arrival.channel, &arrival.id)).or_insert((&arrival.bytes, 0));
        assert!(entry.0 == arrival.bytes, "copies of {} differ", arrival.id);
        entry.1 += usize::from(arrival.accepted);
    }
    let connection = look(&stage.database());
    let query = "SELECT count(*), max(n.id), max(n.payload) FROM notification n
                 JOIN notification_event e ON e.notification = n.no
                 WHERE n.channel = ?1 AND e.event = ?2 AND n.state = 'sent'";
    let mut sent = connection.prepare(query).unwrap();
    let events = "SELECT id, event FROM event WHERE event LIKE ?1 AND at >= ?2";
    let mut events = connection.prepare(events).unwrap();
    let wanted = rusqlite::params![format!("%\"{RULE}\"%"), stage.began.millis() - 2000];
    let events = events.query_map(wanted, |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mut tally = Tally { kills, polls: committed.count("poll "), ..Tally::default() };
    for event in events {
        let (event, text): (String, String) = event.unwrap();
        tally.events += 1;
        tally.fired += usize::from(text.contains("\"fired\""));
        tally.ended += usize::from(text.contains("\"ended\""));
        for channel in CHANNELS {
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let (rows, id, payload): (i64, Option<String>, Option<Vec<u8>>) =
                sent.query_row([channel, &event], row).unwrap();
            assert_eq!(rows, 1, "{text} went to {channel}: {:#?}", stage.world.outbox(true));
            let (id, payload) = (id.unwrap(), payload.unwrap());
            let (bytes, accepted) = first.get(&(channel, id.as_str())).copied().unwrap_or_default();
            assert!(accepted > 0, "{id} is sent and never came to {channel}: {text}");
            assert!(
                channel != "mail" || bytes.trim_ascii_end() == payload.trim_ascii_end(),
                "{id} is another mail than was stored"
            );
        }
    }
    assert!(tally.fired > 0, "nothing fired");
    for channel in CHANNELS {
        let came = |arrival: &&Arrival| arrival.channel == channel && arrival.accepted;
        let order: Vec<&str> = arrivals.iter().filter(came).map(|arrival| arrival.id.as_str()).collect();
        let accepted: Vec<usize> =
            first.iter().filter(|(key, _)| key.0 == channel).map(|(_, value)| value.1).collect();
        let copies: usize = accepted.iter().map(|times| times.saturating_sub(1)).sum();
        assert!(copies <= kills, "{copies} copies at {channel} for {kills} kills: {order:#?}");
        tally.told += accepted.iter().sum::<usize>();
        tally.copies += copies;
    }
    told_has_rows(&arrivals, &committed, true);
    sound(&stage.database());
    tally
}
