//! The past of one source, read from the store and handed to playbacks poll by poll.
//!
//! Neighbours: `engine::backtest` decides what would have been, commands ask and print. A part of its own because several
//! versions of the rules are played over one reading of the store, and none of them may see a poll the others do not.

use crate::config;
use crate::engine::backtest::known::Known;
use crate::engine::backtest::members::Refused;
use crate::engine::backtest::report::Coverage;
use crate::engine::backtest::{PastPoll, Playback};
use crate::engine::names::Names;
use crate::engine::outcome::SourceMemory;
use crate::engine::own::Own;
use crate::engine::past::Column;
use crate::engine::reading::PollOutcome;
use crate::engine::time::{Span, Time};
use crate::store::{EpisodeFilter, Reader, StoreError, StoredPoll};

use super::usual::{each_column, study, told};

/// The stretch of the past that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    pub from: Time,
    pub until: Time,
    /// How much earlier the rules are played, so that windows are full at `from`.
    pub run_up: Span,
    /// More than this between two usable polls is a gap.
    pub max_gap: Span,
}

/// Looks on while the past is played.
pub trait Watcher {
    /// Each poll that is asked about, and what it said of every slot.
    fn poll(&mut self, _poll: &StoredPoll, _column: &Column) {}
    /// So many polls of so many are done.
    fn progress(&mut self, _done: u64, _of: u64) {}
}

/// Plays the polls of `source` to each of `playbacks`, and says how well the source was watched meanwhile.
///
/// # Errors
/// What the store says; a source that was never polled is [`StoreError::NotFound`].
pub fn play(
    reader: &Reader,
    source: &config::Source,
    stretch: Stretch,
    playbacks: &mut [Playback],
    watcher: &mut dyn Watcher,
) -> Result<Coverage, StoreError> {
    let name = &source.name;
    let loaded = reader.load_source(name)?;
    let last = loaded.memory.seq;
    let Some(first) = reader.first_poll(name, stretch.from - stretch.run_up)? else {
        return Ok(unseen(source, stretch));
    };
    for playback in &mut *playbacks {
        playback.told(told(reader, name, playback.learners())?);
        playback.refused(refused(reader, name, &loaded.memory, &loaded.names)?);
    }
    let kept_from = kept_from(reader, name)?;
    let coverage = Coverage { kept_from, ..begun(source, stretch) };
    let mut playing = Playing {
        reader,
        stretch,
        coverage,
        rosters: reader.rosters(name, first)?,
        seen: stretch.from,
        known: Known::new(stretch.from, stretch.max_gap),
        wrong: None,
    };
    let mut done = 0;
    each_column(reader, name, first, last, |poll, column| {
        done += 1;
        if poll.at >= stretch.until || playing.wrong.is_some() {
            return;
        }
        watcher.progress(done, last - first + 1);
        if poll.at >= stretch.from {
            watcher.poll(poll, column);
        }
        if let Err(error) = playing.poll(name, poll, column, playbacks) {
            playing.wrong = Some(error);
        }
    })?;
    let Playing { mut coverage, seen, known, wrong, .. } = playing;
    if let Some(error) = wrong {
        return Err(error);
    }
    coverage.close(seen, stretch.from, stretch.until, stretch.max_gap);
    let (polled, end) = (coverage.polled, (stretch.until, coverage.blind));
    let watched = playbacks.iter().flat_map(Playback::watched);
    coverage.note_users(watched.map(|(slot, user, rules)| (user, known.of(slot, polled, end), rules)));
    Ok(coverage)
}

/// When the vendor refused names of the source, and whose it refuses now.
fn refused(
    reader: &Reader,
    source: &str,
    memory: &SourceMemory,
    names: &Names,
) -> Result<Refused, StoreError> {
    let filter = EpisodeFilter {
        all: true,
        rule: Some(Own::NameRefused.rule().name.to_owned()),
        source: Some(source.to_owned()),
        ..EpisodeFilter::default()
    };
    let episodes = reader.episodes(&filter)?;
    let end = Time::from_millis(i64::MAX);
    let times = episodes.iter().filter_map(|row| Some(row.since?..row.ended_at.unwrap_or(end))).collect();
    let slots = memory.quarantine.iter().filter_map(|one| names.slot(&one.user)).collect();
    Ok(Refused { times, slots })
}

/// Where history begins, if it was ever shortened.
fn kept_from(reader: &Reader, source: &str) -> Result<Option<Time>, StoreError> {
    let oldest = reader.first_poll(source, Time::from_millis(i64::MIN))?.filter(|seq| *seq > 1);
    let poll = oldest.map(|seq| reader.polls(source, seq)).transpose()?.and_then(|mut polls| polls.next());
    Ok(poll.transpose()?.map(|poll| poll.at))
}

/// What is said of a source of which no poll is kept in the stretch.
pub fn unseen(source: &config::Source, stretch: Stretch) -> Coverage {
    let mut coverage = Coverage { kept_from: Some(stretch.until), ..begun(source, stretch) };
    coverage.close(stretch.from, stretch.from, stretch.until, stretch.max_gap);
    coverage
}

fn begun(source: &config::Source, stretch: Stretch) -> Coverage {
    Coverage {
        source: source.name.clone(),
        scheduled: scheduled(source, stretch),
        interval: source.interval,
        ..Coverage::default()
    }
}

/// Instants of the schedule in the stretch.
fn scheduled(source: &config::Source, stretch: Stretch) -> u64 {
    let mut count = 0;
    let mut at = stretch.from - Span::from_millis(1);
    while let Some(next) = source.schedule.next_after(at).filter(|next| *next < stretch.until) {
        (count, at) = (count + 1, next);
    }
    count
}

struct Playing<'a> {
    reader: &'a Reader,
    stretch: Stretch,
    coverage: Coverage,
    /// Still to come, the next one first.
    rosters: Vec<(u64, Vec<crate::engine::roster::Listed>)>,
    /// The instant of the last usable poll, or where the stretch begins.
    seen: Time,
    known: Known,
    wrong: Option<StoreError>,
}

impl Playing<'_> {
    fn poll(
        &mut self,
        source: &str,
        poll: &StoredPoll,
        column: &Column,
        playbacks: &mut [Playback],
    ) -> Result<(), StoreError> {
        while self.rosters.first().is_some_and(|(seq, _)| *seq <= poll.seq) {
            let (_, roster) = self.rosters.remove(0);
            playbacks.iter_mut().for_each(|playback| playback.roster(roster.clone()));
        }
        if poll.at >= self.stretch.from {
            self.cover(poll, column);
        }
        let usable = poll.outcome != PollOutcome::Failed;
        let past = PastPoll { seq: poll.seq, at: poll.at, elapsed: poll.elapsed, usable };
        for playback in playbacks {
            if let Some(mut lesson) = playback.lesson(poll.at) {
                let begins = lesson.begins();
                if self.coverage.kept_from.is_some_and(|kept| begins.is_none_or(|begins| begins < kept)) {
                    // Of fewer weeks than it had live another number would come, and nothing would say so.
                    self.coverage.usual_unknown_until = Some(poll.at).filter(|at| *at >= self.stretch.from);
                } else {
                    study(self.reader, source, poll.seq - 1, &mut lesson)?;
                }
                playback.learn(lesson);
            }
            playback.poll(past, column);
        }
        Ok(())
    }

    fn cover(&mut self, poll: &StoredPoll, column: &Column) {
        self.coverage.polls += 1;
        if poll.outcome == PollOutcome::Failed {
            return;
        }
        self.coverage.usable += 1;
        self.coverage.partial += u64::from(poll.outcome == PollOutcome::Partial);
        let last = (self.seen, self.coverage.blind);
        self.coverage.saw(self.seen, poll.at, self.stretch.max_gap);
        self.seen = self.seen.max(poll.at);
        let now = (self.seen, self.coverage.blind);
        if self.coverage.usable == 1 {
            for (slot, reading) in (0..).zip(column.readings().iter()) {
                self.known.turn(slot, *reading, last, now);
            }
            return;
        }
        for (slot, reading) in column.turned() {
            self.known.turn(*slot, *reading, last, now);
        }
    }
}
