//! `collect`: one poll of one source, from asking to the commit.
//!
//! Neighbours: `source` fetches, `engine::judge` decides, the outbox renders, the store writes. A part of its own
//! because this is the loop that decides about users; it never sends.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::elapsed::{ClockReading, elapsed};
use crate::engine::evidence::{attach, suspects};
use crate::engine::judge::judge;
use crate::engine::names::Asked;
use crate::engine::outcome::{Outcome, PollRow};
use crate::engine::reading::{Fault, Fetched, PollOutcome};
use crate::engine::restore::MOST_REPLAYED;
use crate::engine::tend::reconcile;
use crate::engine::time::{Span, Time};
use crate::engine::watch::{Remembered, Setup, Watch, When};
use crate::store::{Reader, Store, StoreError};

use super::evidence::Lists;
use super::roster::Budget;
use super::story::Story;
use super::usual::each_column;
use super::{Agent, Live, evidence};

/// A poll that was committed, in short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collected {
    pub source: String,
    pub seq: u64,
    pub at: Time,
    pub outcome: PollOutcome,
    pub events: usize,
}

impl Agent {
    /// One poll of `source` for the instant `at` (a scheduled one, or a late start). None if the rules file in force
    /// has no such source.
    pub async fn collect_once(
        &self,
        source: &str,
        at: Time,
        clock: &ClockReading,
    ) -> Result<Option<Collected>, StoreError> {
        let collected = self.collect(source, at, clock).await;
        self.note_storage(collected.as_ref().err(), clock.wall).await;
        collected
    }

    async fn collect(
        &self,
        source: &str,
        at: Time,
        clock: &ClockReading,
    ) -> Result<Option<Collected>, StoreError> {
        let watched = self.watched(source).await;
        let mut under_way = watched.poll.lock().await;
        let live = self.live();
        let Some(from) = live.source(source) else { return Ok(None) };
        under_way.of(from);
        let budget = Budget { clock, started: std::time::Instant::now(), whole: live.budget(source) };
        let mut fault = None;
        if live.roster(source).is_some() && under_way.waiting.is_none() {
            let has = self.loaded(&mut *watched.watch.lock().await, &live, source).await?.has_roster();
            fault = if has { None } else { under_way.first(from, &budget).await };
        }
        let roster = under_way.waiting.take();
        let asked = {
            let mut held = watched.watch.lock().await;
            let watch = self.loaded(&mut held, &live, source).await?;
            roster.iter().for_each(|roster| watch.take_roster(roster));
            watch.asked(clock.wall)
        };
        let started = std::time::Instant::now();
        let mut fetched = from.fetch(&asked, budget.now(), budget.left()).await;
        fetched.fault = fetched.fault.or(fault);
        if let Some(names) = under_way.odd.line(&fetched.odd, fetched.extra, clock.wall) {
            tracing::warn!(source, names, "odd names in replies; this is told once a day");
        }
        let took = Span::from_std(started.elapsed());
        let taken = Taken { fetched, asked: &asked, at, took, clock };
        let mut lists = BTreeMap::new();
        if live.setup(source).is_some_and(|setup| evidence::is_wanted(setup)) {
            let mut held = watched.watch.lock().await;
            let watch = self.loaded(&mut held, &live, source).await?;
            roster.iter().for_each(|roster| watch.take_roster(roster));
            self.have_usual(watch, at).await?;
            let suspects = taken.suspects(watch);
            // Whoever tends must not wait for a server.
            drop(held);
            lists = evidence::ask(from, suspects, &budget).await;
        }
        let mut held = watched.watch.lock().await;
        let watch = self.loaded(&mut held, &live, source).await?;
        // Again, in case the watch was read from the store meanwhile.
        roster.iter().for_each(|roster| watch.take_roster(roster));
        self.have_usual(watch, at).await?;
        match self.take(watch, &live, taken, lists).await {
            Ok((collected, sum)) => {
                let last = watch.memory.roster_at;
                drop(held);
                if let Some(refresh) = live.roster(source) {
                    if let Some(sum) = sum {
                        under_way.cross_check(from, sum, &budget).await;
                    }
                    under_way.renew(from, last, refresh, &budget).await;
                }
                Ok(Some(collected))
            }
            Err(error) => {
                *held = None;
                under_way.waiting = roster;
                Err(error)
            }
        }
    }

    /// Judges what was fetched and commits what follows; also gives the sum of a whole poll's readings.
    async fn take(
        &self,
        watch: &mut Watch,
        live: &Live,
        taken: Taken<'_>,
        lists: Lists,
    ) -> Result<(Collected, Option<u64>), StoreError> {
        let now = taken.clock.wall;
        let (refused, extra, took) = (taken.fetched.refused.len(), taken.fetched.extra, taken.took);
        let (mut outcome, jump) = taken.judge(watch);
        if let Some(jump) = jump {
            tracing::warn!(source = watch.setup.source, jump_ms = jump.millis(), "the clock jumped");
        }
        if let Some(of) = watch.take_cut() {
            tracing::warn!(
                source = watch.setup.source,
                of,
                "turns so often that long windows over it have no value; this is told once"
            );
        }
        let Some(PollRow { poll, tally, .. }) = &outcome.poll else { return Err(StoreError::Stopped) };
        let sum = tally.clients.filter(|_| watch.memory.quarantine.is_empty());
        let (source, events) = (poll.source.clone(), outcome.events.len());
        let collected = Collected { source, seq: poll.seq, at: poll.at, outcome: tally.outcome, events };
        log(&collected, poll.fault.as_ref(), refused, extra, took);
        attach(watch, &mut outcome, lists);
        outcome.notifications = live.render(&outcome, now);
        let story = Story::of(&outcome);
        self.store.commit(outcome).await?;
        story.tell();
        watch.names_saved();
        if let Err(error) = self.storage_works(live, now).await {
            tracing::warn!(%error, "the end of the database's outage is told later");
        }
        self.wake_deliver();
        Ok((collected, sum))
    }
}

/// What one fetch brought, and when.
struct Taken<'a> {
    fetched: Fetched,
    asked: &'a Asked,
    at: Time,
    took: Span,
    clock: &'a ClockReading,
}

impl Taken<'_> {
    /// What follows, and how far the clock jumped before it.
    fn judge(self, watch: &mut Watch) -> (Outcome, Option<Span>) {
        let Self { fetched, asked, at, took, clock } = self;
        let instant = clock.at(at);
        let (elapsed, jump) = match last_instant(watch) {
            Some(before) => elapsed(&before, &instant),
            None => (Span::ZERO, None),
        };
        let refused = fetched.refused.clone();
        let poll = watch.poll(fetched, asked, When { at, elapsed, jump, took });
        watch.quarantine(asked, &refused, clock.wall);
        watch.memory.boot = Some((instant.boot_id, instant.boot.millis()));
        // A poll may come before `tend` has brought kept alerts in line with a new rules file.
        let settled = reconcile(watch, clock.wall);
        let mut outcome = judge(watch, poll, clock.wall);
        outcome.prepend(settled);
        (outcome, jump)
    }

    /// Who will be suspected once this is judged; that is done on a copy, since it cannot be taken back.
    fn suspects(&self, watch: &Watch) -> Vec<(u32, String)> {
        let mut ahead = watch.clone();
        let taken = Taken { fetched: self.fetched.clone(), ..*self };
        let (outcome, _) = taken.judge(&mut ahead);
        suspects(&ahead, &outcome)
    }
}

/// What the clocks showed at the instant of the poll before; without boot time, that of another start of the host.
fn last_instant(watch: &Watch) -> Option<ClockReading> {
    let (boot_id, boot) = watch.memory.boot.clone().unwrap_or_default();
    Some(ClockReading { wall: watch.memory.last_at?, boot: Span::from_millis(boot), boot_id })
}

fn log(poll: &Collected, fault: Option<&Fault>, refused: usize, extra: u32, took: Span) {
    let (source, at) = (&poll.source, poll.at);
    let outcome = poll.outcome.word();
    match fault {
        None => tracing::debug!(%source, seq = poll.seq, %at, outcome, took_ms = took.millis(), "polled"),
        Some(fault) => tracing::warn!(
            %source, seq = poll.seq, %at, outcome, code = fault.code, fault = fault.told(), "poll"
        ),
    }
    if refused > 0 {
        tracing::warn!(%source, refused, "names refused by the vendor are left out until tomorrow");
    }
    if extra > 0 {
        tracing::debug!(%source, extra, "replies held names that nobody asked for");
    }
}

/// The watch as the store remembers it: the checkpoint's signals and the polls since, taken in again.
pub(super) async fn load(store: &Store, setup: Arc<Setup>) -> Result<Watch, StoreError> {
    let store = store.clone();
    let read = tokio::task::spawn_blocking(move || read(&store.reader()?, setup, MOST_REPLAYED));
    read.await.unwrap_or(Err(StoreError::Stopped))
}

/// Without a checkpoint that fits the rules, at most `most` polls are taken in again.
fn read(reader: &Reader, setup: Arc<Setup>, most: u64) -> Result<Watch, StoreError> {
    let source = setup.source.clone();
    let loaded = reader.load_source(&source)?;
    let alerts = reader.load_alerts(Some(&source))?;
    let memory = loaded.memory.clone();
    let (names, last, roster) = (loaded.names, loaded.column, loaded.roster);
    let remembered = Remembered { names, last, memory: loaded.memory, alerts, roster };
    let mut watch = Watch::new(setup, remembered);
    let checkpoint = loaded.checkpoint.filter(|checkpoint| watch.restore(&checkpoint.signals));
    let anew = checkpoint.is_none();
    let from = match checkpoint {
        Some(checkpoint) => checkpoint.seq + 1,
        None if memory.seq == 0 => 1,
        None => {
            let (from, far_enough) = reader.poll_back(&source, watch.reach(), most)?;
            if !far_enough {
                tracing::warn!(%source, from, most, "too many polls to read again; signals begin at this one");
            }
            from
        }
    };
    if from > memory.seq {
        return Ok(watch);
    }
    let mut clock = memory.clock - reader.elapsed_from(&source, from)?;
    // A checkpoint has the totals of then, and who left took one along.
    let today = anew.then(|| watch.recall_members());
    let mut replay = watch.replay_all();
    each_column(reader, &source, from, memory.seq, |poll, column| {
        clock = clock + poll.elapsed;
        replay.poll(column, clock, poll.seq, poll.outcome != PollOutcome::Failed);
    })?;
    replay.finish();
    today.into_iter().for_each(|members| watch.put_members(members));
    Ok(watch)
}
