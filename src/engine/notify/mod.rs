//! Which events travel together to which channel, and what is folded together while it waits.
//!
//! Neighbours: `judge` plans the notices of a poll, `deliver` folds rows that were never attempted and asks which
//! row waits for which; `message` gives a notice its words. A part of its own, and pure, because the promise
//! "told *fired*, told *ended*, once and in this order" is kept or broken here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::event::{Event, EventKind, notification_id};

/// More notices than this for one channel at once become one digest.
pub const MOST_AT_ONCE: usize = 5;

/// What a notification is, to the channel that words it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NoticeKind {
    /// Events of one rule and this kind.
    Alert(EventKind),
    /// Episodes whose *fired* was never attempted and that have ended since.
    FiredAndEnded,
    /// Mixed kinds or rules.
    Digest,
    /// Nothing happened; an operator tries the channel.
    Test,
}

/// One notification before it is rendered.
#[derive(Clone, PartialEq, Debug)]
pub struct Notice {
    pub channel: String,
    /// `ntf_…`
    pub id: String,
    pub kind: NoticeKind,
    /// Oldest first.
    pub events: Vec<Arc<Event>>,
}

impl Notice {
    fn new(channel: &str, kind: NoticeKind, events: Vec<Arc<Event>>) -> Self {
        let id = notification_id(channel, events.iter().map(|event| event.id.as_str()));
        Self { channel: channel.to_owned(), id, kind, events }
    }

    /// These events and no others, oldest first.
    pub fn of(channel: &str, events: Vec<Arc<Event>>) -> Self {
        Self::new(channel, kind_of(&events), events)
    }

    /// A test of a channel; `nonce` (say, the time) keeps two tests apart.
    pub fn test(channel: &str, nonce: &str) -> Self {
        let id = notification_id(channel, ["test", nonce]);
        Self { channel: channel.to_owned(), id, kind: NoticeKind::Test, events: Vec::new() }
    }

    /// The episodes it speaks of, each once, in order.
    pub fn episodes(&self) -> Vec<String> {
        distinct(self.events.iter().map(|event| event.episode.as_str()))
    }
}

/// The notices of one pass: per channel, one for each rule and kind; more than [`MOST_AT_ONCE`] become one digest.
/// `channels` says where an event goes; channels come in the order they are first named.
pub fn plan(events: &[Arc<Event>], channels: &dyn Fn(&Event) -> Vec<String>) -> Vec<Notice> {
    let mut per_channel: Vec<(String, Vec<Arc<Event>>)> = Vec::new();
    for event in events {
        for channel in distinct(channels(event).iter().map(String::as_str)) {
            match per_channel.iter_mut().find(|(name, _)| *name == channel) {
                Some((_, list)) => list.push(Arc::clone(event)),
                None => per_channel.push((channel, vec![Arc::clone(event)])),
            }
        }
    }
    per_channel.into_iter().flat_map(|(channel, events)| group(&channel, events)).collect()
}

fn group(channel: &str, events: Vec<Arc<Event>>) -> Vec<Notice> {
    let mut order: BTreeMap<(&str, EventKind), usize> = BTreeMap::new();
    let mut groups: Vec<(EventKind, Vec<Arc<Event>>)> = Vec::new();
    for event in &events {
        let next = groups.len();
        let at = *order.entry((&event.rule, event.kind)).or_insert(next);
        if at == next {
            groups.push((event.kind, Vec::new()));
        }
        groups[at].1.push(Arc::clone(event));
    }
    if groups.len() > MOST_AT_ONCE {
        return vec![Notice::new(channel, NoticeKind::Digest, events)];
    }
    groups.into_iter().map(|(kind, list)| Notice::new(channel, NoticeKind::Alert(kind), list)).collect()
}

/// An unfinished notification of one channel, as `deliver` sees it in the outbox.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    pub id: String,
    pub episodes: Vec<String>,
    /// Empty for tests.
    pub events: Vec<Arc<Event>>,
    /// At least one attempt was begun: it stays as it is.
    pub attempted: bool,
    /// Its time has come.
    pub due: bool,
}

impl Row {
    fn shares_episode(&self, others: &BTreeSet<&str>) -> bool {
        self.episodes.iter().any(|episode| others.contains(episode.as_str()))
    }
}

/// A row in two, where its channel is to be told only some of its events: what goes, and what stays `unheard`. None
/// where there is nothing to part. What goes is to take the row's place in the queue, so that no end of it overtakes
/// its beginning; what stays, ends alone, goes to the back: behind an end there is nothing left to overtake.
pub fn part(channel: &str, row: &Row, unheard: &[String]) -> Option<[Notice; 2]> {
    if row.attempted || unheard.is_empty() {
        return None;
    }
    let unheard = |event: &Arc<Event>| event.kind == EventKind::Ended && unheard.contains(&event.id);
    let (stays, goes): (Vec<_>, Vec<_>) = row.events.iter().cloned().partition(unheard);
    (!stays.is_empty() && !goes.is_empty()).then(|| [goes, stays].map(|events| Notice::of(channel, events)))
}

/// Rows that one new notification stands for from now on.
#[derive(Clone, PartialEq, Debug)]
pub struct Fold {
    /// Ids of rows, oldest first; none was ever attempted.
    pub superseded: Vec<String>,
    pub notice: Notice,
}

/// What to fold among a channel's unfinished rows (oldest first). *Fired* and *ended* of one episode, both never
/// attempted, become one notice; then, if more than [`MOST_AT_ONCE`] due rows were never attempted, they become one
/// digest. A row that shares an episode with one that stays is left alone, so that a fold never waits and never
/// overtakes. The new notice takes the turn of the last
/// row that it stands for.
pub fn fold(channel: &str, rows: &[Row]) -> Vec<Fold> {
    let foldable = foldable(rows);
    if foldable.len() < 2 {
        return Vec::new();
    }
    let mut clusters = cluster(&foldable);
    if clusters.len() > MOST_AT_ONCE {
        clusters = vec![in_order(rows, clusters.into_iter().flatten())];
    }
    let many = |cluster: &Vec<&Row>| cluster.len() > 1;
    clusters.into_iter().filter(many).map(|cluster| merge(channel, &cluster)).collect()
}

/// Due rows never attempted that share no episode, not even by way of others, with a row that stays. (A fold comes
/// after every row there is: it must not fall behind one that goes on with its episode.)
fn foldable(rows: &[Row]) -> Vec<&Row> {
    let stays = |row: &&Row| row.attempted || !row.due || row.events.is_empty();
    let mut staying = episodes_of(rows.iter().filter(stays));
    let mut free: Vec<&Row> = rows.iter().filter(|row| !stays(row)).collect();
    loop {
        let (held, rest): (Vec<&Row>, Vec<&Row>) =
            free.into_iter().partition(|row| row.shares_episode(&staying));
        free = rest;
        if held.is_empty() {
            return free;
        }
        staying.extend(episodes_of(held.into_iter()));
    }
}

fn episodes_of<'a>(rows: impl Iterator<Item = &'a Row>) -> BTreeSet<&'a str> {
    rows.flat_map(|row| row.episodes.iter().map(String::as_str)).collect()
}

/// Rows that become one: those of an episode that both fired and ended among them, with all that speak of the same
/// episodes. A row on its own is a cluster of one.
fn cluster<'a>(rows: &[&'a Row]) -> Vec<Vec<&'a Row>> {
    let with = |kind: EventKind| -> BTreeSet<&str> {
        let events = rows.iter().flat_map(|row| &row.events).filter(|event| event.kind == kind);
        events.map(|event| event.episode.as_str()).collect()
    };
    let (fired, ended) = (with(EventKind::Fired), with(EventKind::Ended));
    let whole: BTreeSet<&str> = fired.intersection(&ended).copied().collect();
    let mut clusters: BTreeMap<usize, Vec<&Row>> = BTreeMap::new();
    for (row, root) in rows.iter().zip(roots(rows)) {
        clusters.entry(root).or_default().push(row);
    }
    let joined = |cluster: &Vec<&Row>| cluster.iter().any(|row| row.shares_episode(&whole));
    let split = |cluster: Vec<&'a Row>| cluster.into_iter().map(|row| vec![row]).collect();
    clusters.into_values().flat_map(|rows| if joined(&rows) { vec![rows] } else { split(rows) }).collect()
}

/// For each row the first row that it hangs together with through shared episodes.
fn roots(rows: &[&Row]) -> Vec<usize> {
    fn root(parent: &mut [usize], mut at: usize) -> usize {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    }
    let mut parent: Vec<usize> = (0..rows.len()).collect();
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        for episode in &row.episodes {
            let other = *first.entry(episode).or_insert(index);
            let (a, b) = (root(&mut parent, other), root(&mut parent, index));
            parent[a.max(b)] = a.min(b);
        }
    }
    (0..rows.len()).map(|index| root(&mut parent, index)).collect()
}

fn in_order<'a>(rows: &'a [Row], chosen: impl Iterator<Item = &'a Row>) -> Vec<&'a Row> {
    let ids: BTreeSet<&str> = chosen.map(|row| row.id.as_str()).collect();
    rows.iter().filter(|row| ids.contains(row.id.as_str())).collect()
}

fn merge(channel: &str, rows: &[&Row]) -> Fold {
    let mut seen = BTreeSet::new();
    let events: Vec<Arc<Event>> = rows
        .iter()
        .flat_map(|row| row.events.iter())
        .filter(|event| seen.insert(&event.id))
        .cloned()
        .collect();
    let kind = kind_of(&events);
    Fold {
        superseded: rows.iter().map(|row| row.id.clone()).collect(),
        notice: Notice::new(channel, kind, events),
    }
}

/// What events that come together are: one rule's episodes that fired and ended, events of one rule and kind, or
/// a mixture.
fn kind_of(events: &[Arc<Event>]) -> NoticeKind {
    let Some(first) = events.first() else {
        return NoticeKind::Digest;
    };
    let episodes = |kind: EventKind| -> BTreeSet<&str> {
        events.iter().filter(|e| e.kind == kind).map(|e| e.episode.as_str()).collect()
    };
    let (fired, ended) = (episodes(EventKind::Fired), episodes(EventKind::Ended));
    let one_rule = events.iter().all(|event| event.rule == first.rule);
    if one_rule && events.iter().all(|event| event.kind == first.kind) {
        NoticeKind::Alert(first.kind)
    } else if one_rule && fired == ended && events.iter().all(|event| fired.contains(event.episode.as_str()))
    {
        NoticeKind::FiredAndEnded
    } else {
        NoticeKind::Digest
    }
}

fn distinct<'a>(items: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    items.filter(|item| seen.insert(*item)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
