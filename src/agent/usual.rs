//! The past hours that `usual` rests on, read from the store when another hour begins.
//!
//! Neighbours: `engine::usual` says what is wanted and takes it, `collect` asks before each poll, and whoever plays
//! history over does as well. A part of its own because it reads polls long gone while a poll is under way.

use crate::engine::past::Column;
use crate::engine::time::Time;
use crate::engine::usual::{Lesson, Raised};
use crate::engine::watch::Watch;
use crate::store::{EpisodeFilter, EpisodeRow, Reader, StoreError, StoredPoll};

use super::Agent;

/// Reads what the lesson wants of the polls up to `last` of `source`. To be called before the poll at its instant is
/// judged, and after [`leave_out`]; then [`Watch::learn`].
pub fn study(reader: &Reader, source: &str, last: u64, lesson: &mut Lesson) -> Result<(), StoreError> {
    if last == 0 {
        return Ok(());
    }
    for past in lesson.hours() {
        for polls in reader.stretches(source, &past.time, lesson.reach(), last)? {
            lesson.begin(&past);
            each_column(reader, source, *polls.start(), *polls.end(), |poll, column| {
                lesson.poll(poll.at, poll.elapsed, &column.readings());
            })?;
        }
    }
    Ok(())
}

/// Leaves the episodes out that the lesson's rules raised.
pub fn leave_out(watch: &Watch, lesson: &mut Lesson, raised: &[Raised]) {
    for raised in raised {
        if let Some(slot) = watch.names.slot(&raised.user) {
            lesson.leave_out(slot, raised);
        }
    }
}

/// Episodes of the lesson's rules that may reach into the hours it wants.
fn raised(reader: &Reader, source: &str, lesson: &Lesson) -> Result<Vec<Raised>, StoreError> {
    let since = lesson.hours().first().map(|past| past.time.start);
    let mut all = Vec::new();
    for rule in lesson.rules() {
        let filter = EpisodeFilter {
            all: true,
            rule: Some(rule.to_owned()),
            source: Some(source.to_owned()),
            since,
            ..EpisodeFilter::default()
        };
        all.extend(reader.episodes(&filter)?.into_iter().filter_map(of_row));
    }
    Ok(all)
}

/// What `rules` raised live in `source`, all that is kept; of a rule with a version what that version raised.
pub fn told(
    reader: &Reader,
    source: &str,
    rules: Vec<(String, Option<String>)>,
) -> Result<Vec<Raised>, StoreError> {
    let mut all = Vec::new();
    for (rule, version) in rules {
        let filter = EpisodeFilter {
            all: true,
            rule: Some(rule),
            source: Some(source.to_owned()),
            ..EpisodeFilter::default()
        };
        let of = |row: &EpisodeRow| version.as_ref().is_none_or(|version| row.rule_version == *version);
        all.extend(reader.episodes(&filter)?.into_iter().filter(of).filter_map(of_row));
    }
    Ok(all)
}

fn of_row(row: EpisodeRow) -> Option<Raised> {
    let (since, fired_at) = (row.since?, row.fired_at?);
    Some(Raised { rule: row.rule, user: row.subject.name, since, fired_at, ended_at: row.ended_at })
}

/// Calls `take` with each poll from `first` to `last` and what it said of every slot.
pub fn each_column(
    reader: &Reader,
    source: &str,
    first: u64,
    last: u64,
    mut take: impl FnMut(&StoredPoll, &Column),
) -> Result<(), StoreError> {
    let mut column: Option<Column> = None;
    let mut polls = reader.polls(source, first)?.until(last);
    while let Some(poll) = polls.advance()? {
        let column = match &mut column {
            Some(column) => column,
            None => column.insert(Column::new(reader.column_at(source, poll.seq)?)),
        };
        column.turn(&poll.changes, &poll.failed);
        take(poll, column);
    }
    Ok(())
}

impl Agent {
    /// Has `usual` ready for a poll at `at`; nothing is read where no rule asks, or the hour goes on.
    pub(super) async fn have_usual(&self, watch: &mut Watch, at: Time) -> Result<(), StoreError> {
        let Some(mut lesson) = watch.lesson(at) else { return Ok(()) };
        let (source, last) = (watch.setup.source.clone(), watch.memory.seq);
        let (reader, name) = (self.store.reader()?, source.clone());
        let found = tokio::task::spawn_blocking(move || {
            raised(&reader, &name, &lesson).map(|raised| (reader, lesson, raised))
        });
        let (reader, episodes);
        (reader, lesson, episodes) = found.await.unwrap_or(Err(StoreError::Stopped))?;
        leave_out(watch, &mut lesson, &episodes);
        let read =
            tokio::task::spawn_blocking(move || study(&reader, &source, last, &mut lesson).map(|()| lesson));
        watch.learn(read.await.unwrap_or(Err(StoreError::Stopped))?);
        Ok(())
    }
}
