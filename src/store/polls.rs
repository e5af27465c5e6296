//! Polls: one row each with what changed and what failed, and the ways back to every single reading.
//!
//! Neighbours: `codec` packs a row's changes, `column` lays them over keyframes, the agent and backtests replay
//! [`Polls`]. A part of its own because a (user, poll) reading must come out exactly as it went in.

use std::mem;
use std::ops::{Range, RangeInclusive};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use super::codec::{self, Malformed};
use super::error::StoreError;
use super::{Reader, column, evidence, moves, roster, source};
use crate::engine::outcome::PollRow;
use crate::engine::reading::{Fault, PollOutcome, Reading};
use crate::engine::time::{Span, Time};

/// A poll as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredPoll {
    pub seq: u64,
    pub at: Time,
    pub elapsed: Span,
    pub took: Span,
    pub jump: Option<Span>,
    pub skew: Option<Span>,
    pub requests: u32,
    pub outcome: PollOutcome,
    pub fault: Option<Fault>,
    /// Slots whose reading is known or *not polled* and differs from the last such one, ascending.
    pub changes: Vec<(u32, Reading)>,
    /// Slots that failed, ascending; their last reading stands for later.
    pub failed: Vec<Range<u32>>,
}

/// What changed and what failed.
type Lists = (Vec<(u32, Reading)>, Vec<Range<u32>>);

/// What one poll said of one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryReading {
    pub seq: u64,
    pub at: Time,
    pub reading: Reading,
    /// It differs from the reading of the poll before (of the first one listed: always).
    pub changed: bool,
}

/// A user's readings, oldest first.
pub type History = Vec<HistoryReading>;

pub(super) fn broken(seq: i64) -> StoreError {
    StoreError::unreadable(format!("poll {seq}"), "no readings")
}

pub(super) fn change_of(changes: &[u8], slot: u32) -> Result<Option<Reading>, Malformed> {
    let mut found = None;
    codec::each_change(changes, |at, reading| {
        if at == slot {
            found = Some(reading);
        }
        at < slot
    })?;
    Ok(found)
}

pub(super) fn failed(c: &Connection, source: i64, seq: u64) -> Result<Vec<Range<u32>>, StoreError> {
    let query = "SELECT failed FROM poll WHERE source = ?1 AND seq = ?2";
    let bytes: Option<Option<Vec<u8>>> = c
        .prepare_cached(query)?
        .query_row(params![source, seq.cast_signed()], |row| row.get(0))
        .optional()?;
    let bytes = bytes.ok_or_else(|| StoreError::missing(format!("poll {seq} in the database")))?;
    let mut failed = Vec::new();
    codec::read_ranges(&bytes.unwrap_or_default(), &mut failed).map_err(|_| broken(seq.cast_signed()))?;
    Ok(failed)
}

/// Writes a poll with all that belongs to it. Refuses one that does not follow the last.
pub(super) fn insert(c: &Connection, row: &PollRow) -> Result<(), StoreError> {
    let poll = &row.poll;
    let last = source::find(c, &poll.source)?.map_or(0, |s| s.last_seq);
    if poll.seq != last + 1 || row.memory.seq != poll.seq {
        return Err(StoreError::Sequence { name: poll.source.clone(), last, found: poll.seq });
    }
    let id = source::remember(c, &poll.source, &row.memory)?;
    source::add_names(c, id, &row.new_names)?;
    let blob = |bytes: Vec<u8>| if bytes.is_empty() { None } else { Some(bytes) };
    let fault = poll.fault.as_ref().map(serde_json::to_string).transpose()?;
    let mut insert = c.prepare_cached(
        "INSERT INTO poll (source, seq, at, elapsed, took, jump, skew, requests, outcome, asked, changed, fault,
         failed, changes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    insert.execute(params![
        id,
        poll.seq.cast_signed(),
        poll.at.millis(),
        poll.elapsed.millis(),
        poll.took.millis(),
        poll.jump.map(Span::millis),
        poll.skew.map(Span::millis),
        poll.requests,
        number(row.tally.outcome),
        row.tally.asked,
        row.changes.len() as i64,
        fault,
        blob(codec::ranges(&row.failed)),
        blob(codec::changes(&row.changes)),
    ])?;
    if let Some(keyframe) = &row.keyframe {
        column::put_keyframe(c, id, poll.seq, keyframe)?;
    }
    if let Some(checkpoint) = &row.checkpoint {
        source::put_checkpoint(c, id, poll.seq, checkpoint)?;
    }
    roster::insert(c, id, row)?;
    evidence::insert(c, id, row)?;
    moves::insert(c, id, row)
}

const COLUMNS: &str = "seq, at, elapsed, took, jump, skew, requests, outcome, fault, failed, changes";

const OUTCOMES: [PollOutcome; 3] = [PollOutcome::Complete, PollOutcome::Partial, PollOutcome::Failed];

/// Its number in the table.
pub(super) fn number(outcome: PollOutcome) -> i64 {
    OUTCOMES.iter().position(|one| *one == outcome).unwrap_or(2) as i64
}

/// By its number in the table; whatever else is there knows nothing.
fn outcome(number: i64) -> PollOutcome {
    usize::try_from(number).ok().and_then(|n| OUTCOMES.get(n).copied()).unwrap_or(PollOutcome::Failed)
}

/// A row of [`COLUMNS`], in the room of another poll's lists.
fn read(row: &Row<'_>, room: Lists) -> Result<StoredPoll, StoreError> {
    let span = |at: usize| -> Result<Span, rusqlite::Error> { Ok(Span::from_millis(row.get(at)?)) };
    let maybe = |at: usize| -> Result<Option<Span>, rusqlite::Error> {
        Ok(row.get::<_, Option<i64>>(at)?.map(Span::from_millis))
    };
    let blob = |at: usize| -> Result<&[u8], rusqlite::Error> {
        Ok(row.get_ref(at)?.as_blob_or_null()?.unwrap_or_default())
    };
    let number: i64 = row.get(0)?;
    let fault: Option<String> = row.get(8)?;
    let (mut changes, mut failed) = room;
    codec::read_ranges(blob(9)?, &mut failed).map_err(|_| broken(number))?;
    codec::read_changes(blob(10)?, &mut changes).map_err(|_| broken(number))?;
    Ok(StoredPoll {
        seq: number.cast_unsigned(),
        at: Time::from_millis(row.get(1)?),
        elapsed: span(2)?,
        took: span(3)?,
        jump: maybe(4)?,
        skew: maybe(5)?,
        requests: row.get(6)?,
        outcome: outcome(row.get(7)?),
        fault: fault.map(|json| serde_json::from_str(&json)).transpose()?,
        changes,
        failed,
    })
}

/// Polls read at a time, so that memory does not follow history.
const PAGE: usize = 256;

/// Polls in a row, in room that is used again.
#[derive(Debug, Default)]
pub(super) struct Page {
    polls: Vec<StoredPoll>,
    len: usize,
}

impl Page {
    /// Reads the first polls of those `wanted`, as many as a page holds.
    pub(super) fn read(
        &mut self,
        c: &Connection,
        source: i64,
        wanted: RangeInclusive<u64>,
    ) -> Result<(), StoreError> {
        self.len = 0;
        let query = format!(
            "SELECT {COLUMNS} FROM poll WHERE source = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq LIMIT ?4"
        );
        let mut query = c.prepare_cached(&query)?;
        let (first, last) = wanted.into_inner();
        let mut rows = query.query(params![source, first.cast_signed(), last.cast_signed(), PAGE as i64])?;
        while let Some(row) = rows.next()? {
            match self.polls.get_mut(self.len) {
                Some(poll) => *poll = read(row, (mem::take(&mut poll.changes), mem::take(&mut poll.failed)))?,
                None => self.polls.push(read(row, Lists::default())?),
            }
            self.len += 1;
        }
        Ok(())
    }

    /// Oldest first.
    pub(super) fn polls(&self) -> &[StoredPoll] {
        &self.polls[..self.len]
    }

    /// Whether there may be more after them.
    pub(super) fn is_full(&self) -> bool {
        self.len == PAGE
    }
}

/// A source's polls, oldest first, read page by page.
#[derive(Debug)]
pub struct Polls<'a> {
    reader: &'a Reader,
    source: i64,
    next: u64,
    last: u64,
    page: Page,
    /// How many of the page were given out.
    given: usize,
    done: bool,
}

impl Polls<'_> {
    /// Only up to this number.
    #[must_use]
    pub fn until(self, last: u64) -> Self {
        Self { last, ..self }
    }

    /// The next one, in room that one of those after it takes over; None after the last, and after an error.
    pub fn advance(&mut self) -> Result<Option<&StoredPoll>, StoreError> {
        if self.given == self.page.polls().len() && !self.done {
            let page = &mut self.page;
            let read = self.reader.run(|c| page.read(c, self.source, self.next..=self.last));
            self.given = 0;
            if read.is_err() {
                page.len = 0;
            }
            self.done = !page.is_full();
            read?;
        }
        let poll = self.page.polls().get(self.given);
        if let Some(poll) = poll {
            self.given += 1;
            self.next = poll.seq + 1;
        }
        Ok(poll)
    }
}

/// For whoever keeps them.
impl Iterator for Polls<'_> {
    type Item = Result<StoredPoll, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().map(Option::<&StoredPoll>::cloned).transpose()
    }
}

/// A user's readings at the polls with `from <= at < to` that can still be told.
fn history(c: &Connection, name: &str, user: &str, from: Time, to: Time) -> Result<History, StoreError> {
    let source = source::expect(c, name)?;
    let slot = source::slot(c, source.id, user)?;
    let slot = slot.ok_or_else(|| StoreError::missing(format!("user {user:?} in source {name}")))?;
    let first = "SELECT min(seq) FROM poll WHERE source = ?1 AND at >= ?2 AND seq >= ?3";
    let bounds = params![source.id, from.millis(), source.first_seq.cast_signed()];
    let Some(first) = c.query_row(first, bounds, |row| row.get::<_, Option<i64>>(0))? else {
        return Ok(Vec::new());
    };
    let mut last = column::kept_of(c, &source, first.cast_unsigned(), slot)?;
    let query = "SELECT seq, at, failed, changes FROM poll WHERE source = ?1 AND seq >= ?2 ORDER BY seq";
    let mut query = c.prepare_cached(query)?;
    let mut rows = query.query(params![source.id, first])?;
    let (mut history, mut failed, mut before) = (Vec::new(), Vec::new(), None);
    while let Some(row) = rows.next()? {
        let (seq, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        let blob = |at: usize| -> Result<&[u8], rusqlite::Error> {
            Ok(row.get_ref(at)?.as_blob_or_null()?.unwrap_or_default())
        };
        if seq > first {
            last = change_of(blob(3)?, slot).map_err(|_| broken(seq))?.unwrap_or(last);
        }
        codec::read_ranges(blob(2)?, &mut failed).map_err(|_| broken(seq))?;
        let reading = if failed.iter().any(|r| r.contains(&slot)) { Reading::FAILED } else { last };
        let changed = before != Some(reading);
        before = Some(reading);
        // After a clock that went back, later polls may lie in the window again.
        if at >= from.millis() && at < to.millis() {
            let at = Time::from_millis(at);
            history.push(HistoryReading { seq: seq.cast_unsigned(), at, reading, changed });
        }
    }
    Ok(history)
}

/// A poll's row without its readings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PollSummary {
    pub seq: u64,
    pub at: Time,
    pub outcome: PollOutcome,
    pub fault: Option<Fault>,
}

impl Reader {
    /// Decoded polls of a source from `from_seq` on, oldest first; begins with the oldest that can still be told.
    pub fn polls(&self, source: &str, from_seq: u64) -> Result<Polls<'_>, StoreError> {
        let row = self.run(|c| source::expect(c, source))?;
        let next = from_seq.max(row.first_seq);
        Ok(Polls {
            reader: self,
            source: row.id,
            next,
            last: i64::MAX.unsigned_abs(),
            page: Page::default(),
            given: 0,
            done: false,
        })
    }

    /// The number of the first poll of `source` at or after `at` that can still be told.
    pub fn first_poll(&self, source: &str, at: Time) -> Result<Option<u64>, StoreError> {
        self.run(|c| {
            let row = source::expect(c, source)?;
            let query = "SELECT min(seq) FROM poll WHERE source = ?1 AND at >= ?2 AND seq >= ?3";
            let bounds = params![row.id, at.millis(), row.first_seq.cast_signed()];
            let first: Option<i64> = c.query_row(query, bounds, |found| found.get(0))?;
            Ok(first.map(i64::cast_unsigned))
        })
    }

    /// The number of the newest poll of `source` that was at least `back` before the last one, by the sum of `elapsed`; of
    /// the first that can still be told where none was, or `back` is None. Of the last `most` polls at all; false where
    /// these were too few.
    pub fn poll_back(&self, source: &str, back: Option<Span>, most: u64) -> Result<(u64, bool), StoreError> {
        self.run(|c| {
            let row = source::expect(c, source)?;
            let first = row.first_seq.max(1);
            let query =
                "SELECT seq, elapsed FROM poll WHERE source = ?1 AND seq >= ?2 ORDER BY seq DESC LIMIT ?3";
            let mut statement = c.prepare(query)?;
            let limit = i64::try_from(most).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![row.id, first.cast_signed(), limit])?;
            let (mut found, mut passed) = (None, Span::ZERO);
            while let Some(row) = rows.next()? {
                let seq = row.get::<_, i64>(0)?.cast_unsigned();
                found = Some(seq);
                if back.is_some_and(|back| passed >= back) {
                    return Ok((seq, true));
                }
                passed = passed + Span::from_millis(row.get(1)?);
            }
            Ok((found.unwrap_or(first), found.is_none_or(|seq| seq == first)))
        })
    }

    /// How much time passed from one poll to the next, from `from_seq` on, that of the first with it.
    pub fn elapsed_from(&self, source: &str, from_seq: u64) -> Result<Span, StoreError> {
        self.run(|c| {
            let row = source::expect(c, source)?;
            let query = "SELECT coalesce(sum(elapsed), 0) FROM poll WHERE source = ?1 AND seq >= ?2";
            let bounds = params![row.id, from_seq.max(row.first_seq).cast_signed()];
            Ok(Span::from_millis(c.query_row(query, bounds, |sum| sum.get(0))?))
        })
    }

    /// What each poll with `from <= at < to` said of a user. [`StoreError::NotFound`] for an unknown user or source.
    pub fn history(&self, source: &str, user: &str, from: Time, to: Time) -> Result<History, StoreError> {
        self.run(|c| history(c, source, user, from, to))
    }

    /// The last poll of a source, if there was one.
    pub fn last_poll(&self, source: &str) -> Result<Option<PollSummary>, StoreError> {
        self.run(|c| {
            let row = source::expect(c, source)?;
            let query = "SELECT at, outcome, fault FROM poll WHERE source = ?1 AND seq = ?2";
            let found = c.query_row(query, params![row.id, row.last_seq.cast_signed()], |r| {
                Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?, r.get::<_, Option<String>>(2)?))
            });
            let Some((at, number, fault)) = found.optional()? else { return Ok(None) };
            let fault = fault.map(|json| serde_json::from_str(&json)).transpose()?;
            Ok(Some(PollSummary {
                seq: row.last_seq,
                at: Time::from_millis(at),
                outcome: outcome(number),
                fault,
            }))
        })
    }

    /// The sources that list this user, in order of name.
    pub fn sources_of(&self, user: &str) -> Result<Vec<String>, StoreError> {
        self.run(|c| {
            let query =
                "SELECT s.name FROM source s JOIN user u ON u.source = s.id AND u.name = ?1 ORDER BY s.name";
            Ok(c.prepare_cached(query)?.query_map([user], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
    }
}
