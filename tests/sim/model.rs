//! A store in memory with the verbs that a life needs, told a second time: small enough for millions of polls.
//!
//! Neighbours: `years` lives on it. A part of its own because it can carry a twin, the real store, which is asked the
//! same at every verb and must answer the same; what the years prove on the model then holds for the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use seatwatch::engine::backoff::Answer;
use seatwatch::engine::event::{Event, EventKind};
use seatwatch::engine::names::Names;
use seatwatch::engine::notify::{Fold, Notice, Row};
use seatwatch::engine::outcome::{Alert, AlertKey, NewNotification, Outcome, SourceMemory};
use seatwatch::engine::reading::{PollOutcome, Reading};
use seatwatch::engine::restore::Past;
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::{Remembered, Setup, Watch};
use seatwatch::store::{Finish, OutboxFilter, Reader, Store, Then};

const MOST_CRASHES: u32 = 3;
/// Rows of a channel that the agent takes at once.
pub(crate) const WINDOW: usize = 64;

/// An unfinished notification.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) notice: Notice,
    pub(crate) waiting: bool,
    pub(crate) told: bool,
    pub(crate) tries: u32,
    attempts: u32,
    crashes: u32,
    pub(crate) first: Option<Time>,
    pub(crate) next: Time,
    open: bool,
}

/// What became of events, by channel: what went in is what came out and what is still there.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Balance {
    pub(crate) planned: u64,
    pub(crate) sent: u64,
    pub(crate) dead: u64,
    pub(crate) silenced: u64,
}

#[derive(Default)]
pub(crate) struct Model {
    names: Vec<String>,
    last: Vec<Reading>,
    memory: SourceMemory,
    alerts: BTreeMap<AlertKey, Alert>,
    checkpoint: Option<(u64, Vec<u8>)>,
    past: Vec<(u64, Span, Vec<Reading>, bool)>,
    pub(crate) outbox: BTreeMap<String, Vec<Kept>>,
    /// Per channel the open episodes whose *fired* was given up, and those whose *fired* arrived.
    pub(crate) unheard: BTreeSet<(String, String)>,
    pub(crate) heard: BTreeSet<(String, String)>,
    disabled: BTreeSet<String>,
    pub(crate) balance: Balance,
    twin: Option<Store>,
}

impl Model {
    pub(crate) fn new(twin: Option<Store>) -> Self {
        Self { twin, ..Self::default() }
    }

    pub(crate) fn commit(&mut self, mut outcome: Outcome, notices: Vec<Notice>) {
        if let Some(twin) = &self.twin {
            outcome.notifications = notices.iter().map(|notice| row_of(notice, outcome.now)).collect();
            twin.commit(outcome.clone()).wait().unwrap();
        }
        if let Some(row) = outcome.poll {
            row.lay_moves(&mut self.alerts);
            self.names.extend(row.new_names.iter().map(str::to_owned));
            self.last.resize(self.names.len(), Reading::NOT_POLLED);
            for (slot, reading) in row.changes {
                self.last[slot as usize] = reading;
            }
            let (seq, usable) = (row.poll.seq, row.tally.outcome != PollOutcome::Failed);
            assert_eq!(seq, self.memory.seq + 1, "polls follow each other");
            let mut readings = self.last.clone();
            row.failed.into_iter().flatten().for_each(|slot| readings[slot as usize] = Reading::FAILED);
            self.past.push((seq, row.memory.clock, readings, usable));
            self.memory = row.memory;
            if let Some(signals) = row.checkpoint {
                self.checkpoint = Some((seq, signals.bytes()));
                self.past.clear();
            }
        }
        let alerts = outcome.alerts.into_iter();
        self.alerts.extend(alerts.map(|(key, alert)| (key, Arc::unwrap_or_clone(alert))));
        for notice in notices {
            self.balance.planned += notice.events.len() as u64;
            self.insert(notice, outcome.now, None);
        }
    }

    fn insert(&mut self, notice: Notice, now: Time, place: Option<usize>) {
        let (channel, waiting) = (notice.channel.clone(), self.disabled.contains(&notice.channel));
        let kept = Kept {
            notice,
            waiting,
            told: false,
            tries: 0,
            attempts: 0,
            crashes: 0,
            first: None,
            next: now,
            open: false,
        };
        let rows = self.outbox.entry(channel.clone()).or_default();
        rows.insert(place.unwrap_or(rows.len()), kept);
        self.silence(&channel);
    }

    fn silence(&mut self, channel: &str) {
        let Some(rows) = self.outbox.get_mut(channel) else { return };
        let (unheard, balance) = (&self.unheard, &mut self.balance);
        let hush = |event: &Arc<Event>| {
            event.kind == EventKind::Ended
                && unheard.contains(&(channel.to_owned(), event.episode.to_string()))
        };
        rows.retain(|row| {
            let silent = !row.told && row.notice.events.iter().all(hush);
            balance.silenced += if silent { row.notice.events.len() as u64 } else { 0 };
            !silent
        });
    }

    fn at(&mut self, channel: &str, id: &str) -> &mut Kept {
        self.outbox.get_mut(channel).unwrap().iter_mut().find(|row| row.notice.id == id).unwrap()
    }

    fn take(&mut self, channel: &str, id: &str) -> Kept {
        let rows = self.outbox.get_mut(channel).unwrap();
        rows.remove(rows.iter().position(|row| row.notice.id == id).unwrap())
    }

    /// The watch as a process that begins would find it.
    pub(crate) fn watch(&self, setup: &Arc<Setup>) -> Watch {
        let remembered = Remembered {
            names: Names::new(&self.names),
            last: self.last.clone(),
            memory: self.memory.clone(),
            alerts: self.alerts.iter().map(|(key, alert)| (key.clone(), alert.clone())).collect(),
            roster: None,
        };
        if let Some(twin) = &self.twin {
            self.compare(&twin.reader().unwrap(), &setup.source);
        }
        let mut watch = Watch::new(Arc::clone(setup), remembered);
        if let Some((_, signals)) = &self.checkpoint {
            assert!(watch.restore(signals), "a checkpoint of the same rules is usable");
        }
        for (seq, clock, column, usable) in &self.past {
            watch.replay(&Past { seq: *seq, clock: *clock, column, usable: *usable });
        }
        watch
    }

    /// Everything that a process would begin with is the same in the twin.
    fn compare(&self, reader: &Reader, source: &str) {
        let loaded = reader.load_source(source).unwrap();
        assert_eq!(loaded.names.iter().map(ToString::to_string).collect::<Vec<_>>(), self.names);
        assert_eq!((&loaded.memory, &loaded.column), (&self.memory, &self.last));
        let checkpoint = loaded.checkpoint.map(|checkpoint| (checkpoint.seq, checkpoint.signals));
        assert_eq!(checkpoint, self.checkpoint);
        let quiet = |alert: &Alert| seatwatch::engine::alert::is_blank(alert);
        let mine = self.alerts.iter().filter(|(_, alert)| !quiet(alert));
        let theirs = reader.load_alerts(None).unwrap().into_iter().filter(|(_, alert)| !quiet(alert));
        let theirs: BTreeMap<_, _> = theirs.collect();
        assert!(mine.eq(theirs.iter()), "alerts differ");
        for (channel, rows) in &self.outbox {
            let filter = OutboxFilter { channel: Some(channel.clone()), ..OutboxFilter::default() };
            let theirs = reader.outbox(&filter).unwrap().into_iter();
            let theirs: Vec<_> =
                theirs.map(|row| (row.id, row.told, row.tries, row.next_attempt_at)).collect();
            let mine = rows.iter().map(|row| (row.notice.id.clone(), row.told, row.tries, row.next));
            assert_eq!(theirs, mine.collect::<Vec<_>>(), "the outbox of {channel}");
        }
    }

    /// The channel's pending rows, as folding sees them.
    pub(crate) fn rows(&self, channel: &str, now: Time) -> Vec<Row> {
        let rows = self.outbox.get(channel).map(Vec::as_slice).unwrap_or_default();
        let seen = |row: &Kept| Row {
            id: row.notice.id.clone(),
            episodes: row.notice.episodes(),
            events: row.notice.events.clone(),
            attempted: row.told,
            due: row.next <= now,
        };
        rows.iter().filter(|row| !row.waiting).take(256).map(seen).collect()
    }

    pub(crate) fn unheard_of(&self, channel: &str, row: &Row) -> Vec<String> {
        let hush = |event: &&Arc<Event>| {
            event.kind == EventKind::Ended
                && self.unheard.contains(&(channel.to_owned(), event.episode.to_string()))
        };
        let ids: Vec<String> = row.events.iter().filter(hush).map(|event| event.id.clone()).collect();
        if let Some(twin) = &self.twin {
            assert_eq!(twin.unheard(&row.id).wait().unwrap(), ids);
        }
        ids
    }

    /// A fold as the store makes it: the one that stands for the rows takes the turn of the last.
    pub(crate) fn fold(&mut self, channel: &str, fold: Fold, now: Time) {
        if let Some(twin) = &self.twin {
            let new = row_of(&fold.notice, now);
            assert!(twin.supersede(fold.superseded.clone(), vec![new]).wait().unwrap());
        }
        let last = fold.superseded.last().unwrap();
        let place = self.outbox[channel].iter().position(|row| row.notice.id == *last).unwrap();
        for id in &fold.superseded {
            assert!(!self.take(channel, id).told, "folded though told");
        }
        self.insert(fold.notice, now, Some(place + 1 - fold.superseded.len()));
    }

    pub(crate) fn part(&mut self, channel: &str, id: &str, [goes, stays]: [Notice; 2], now: Time) {
        if let Some(twin) = &self.twin {
            let parts = vec![row_of(&goes, now), row_of(&stays, now)];
            assert!(twin.supersede(vec![id.to_owned()], parts).wait().unwrap());
        }
        let place = self.outbox[channel].iter().position(|row| row.notice.id == id).unwrap();
        self.take(channel, id);
        self.insert(goes, now, Some(place));
        self.insert(stays, now, None);
    }

    /// What may be sent now: nothing that an earlier row of the same episode is still to be sent for.
    pub(crate) fn due(&mut self, channel: &str, now: Time) -> Vec<Kept> {
        let latest = now + Span::from_hours(1);
        for row in self.outbox.values_mut().flatten().filter(|row| !row.waiting) {
            row.next = row.next.min(latest);
        }
        let mut before: BTreeSet<&str> = BTreeSet::new();
        let mut due = Vec::new();
        let rows = self.outbox.get(channel).map(Vec::as_slice).unwrap_or_default();
        for row in rows {
            let episodes = || row.notice.events.iter().map(|event| event.episode.as_str());
            let free = !row.open && !episodes().any(|episode| before.contains(episode));
            if free && !row.waiting && row.next <= now && due.len() < WINDOW {
                due.push(row.clone());
            }
            before.extend(episodes());
        }
        if let Some(twin) = &self.twin {
            let theirs = twin.due(vec![channel.to_owned()], now, 64).wait().unwrap();
            let theirs: Vec<_> =
                theirs.iter().map(|row| (&row.id, row.tries, row.first_attempt_at)).collect();
            assert_eq!(
                theirs,
                due.iter().map(|row| (&row.notice.id, row.tries, row.first)).collect::<Vec<_>>()
            );
        }
        due
    }

    pub(crate) fn begin(&mut self, channel: &str, id: &str, run: &str, now: Time) -> u32 {
        let row = self.at(channel, id);
        (row.told, row.open, row.tries, row.attempts) = (true, true, row.tries + 1, row.attempts + 1);
        row.first.get_or_insert(now);
        let n = row.attempts;
        if let Some(twin) = &self.twin {
            assert_eq!(twin.begin_attempt(id, run, now).wait().unwrap(), n);
        }
        n
    }

    pub(crate) fn finish(&mut self, channel: &str, id: &str, n: u32, answer: Answer, then: Then, now: Time) {
        if let Some(twin) = &self.twin {
            let note = "played".to_owned();
            let end = Finish { ended_at: now, answer, status: None, note, accepted: Vec::new(), then };
            twin.finish_attempt(id, n, end).wait().unwrap();
        }
        self.at(channel, id).open = false;
        match then {
            Then::Sent => {
                let row = self.take(channel, id);
                self.balance.sent += row.notice.events.len() as u64;
                self.settle(channel, &row.notice, true);
            }
            Then::At(time) => self.at(channel, id).next = time,
            Then::Dead => self.die(channel, id),
            Then::Wait => {
                self.disabled.insert(channel.to_owned());
                self.outbox.get_mut(channel).unwrap().iter_mut().for_each(|row| row.waiting = true);
            }
        }
    }

    fn die(&mut self, channel: &str, id: &str) {
        let row = self.take(channel, id);
        self.balance.dead += row.notice.events.len() as u64;
        self.settle(channel, &row.notice, false);
        self.silence(channel);
    }

    fn settle(&mut self, channel: &str, notice: &Notice, heard: bool) {
        for event in notice.events.iter().filter(|event| event.kind == EventKind::Fired) {
            let key = (channel.to_owned(), event.episode.to_string());
            let new = if heard { &mut self.heard } else { &mut self.unheard }.insert(key);
            assert!(new, "told twice that it began: {event:?}");
        }
        for event in notice.events.iter().filter(|event| event.kind == EventKind::Ended) {
            let key = (channel.to_owned(), event.episode.to_string());
            // Told to whom its beginning was told; given up with it or for itself.
            assert!(self.heard.remove(&key) || !heard, "{channel} was told the end alone: {event:?}");
        }
    }

    /// A process begins: attempts that another left open are crashes, and channels that were gone get another chance.
    pub(crate) fn start(&mut self, run: &str, now: Time) {
        if let Some(twin) = &self.twin {
            twin.crashed(run, now).wait().unwrap();
        }
        let latest = now + Span::from_hours(1);
        for row in self.outbox.values_mut().flatten().filter(|row| !row.waiting) {
            row.next = row.next.min(latest);
        }
        let open =
            self.outbox.iter_mut().flat_map(|(channel, rows)| rows.iter_mut().map(move |row| (channel, row)));
        let mut dead = Vec::new();
        for (channel, row) in open.filter(|(_, row)| row.open) {
            (row.open, row.crashes) = (false, row.crashes + 1);
            if row.crashes >= MOST_CRASHES && !row.waiting {
                dead.push((channel.clone(), row.notice.id.clone()));
            }
        }
        for (channel, id) in dead {
            self.die(&channel, &id);
        }
        for channel in std::mem::take(&mut self.disabled) {
            if let Some(twin) = &self.twin {
                twin.enable_channel(&channel, now).wait().unwrap();
            }
            for row in self.outbox.get_mut(&channel).unwrap().iter_mut().filter(|row| row.waiting) {
                (row.waiting, row.next) = (false, now);
            }
        }
    }

    /// Whether every event that was to be told was sent, given up, silenced with its beginning, or is still there.
    pub(crate) fn balances(&self) -> bool {
        let Balance { planned, sent, dead, silenced } = self.balance;
        let kept: u64 = self.outbox.values().flatten().map(|row| row.notice.events.len() as u64).sum();
        planned == sent + dead + silenced + kept
    }
}

fn row_of(notice: &Notice, now: Time) -> NewNotification {
    NewNotification {
        id: notice.id.clone(),
        channel: notice.channel.clone(),
        events: notice.events.iter().map(|event| event.id.clone()).collect(),
        episodes: notice.episodes(),
        payload: notice.id.clone().into_bytes(),
        created_at: now,
    }
}
