//! A poll in, an outcome out: the one road from readings to events, for live polls, tests and history alike.
//!
//! Neighbours: `watch` is what it changes, `verdict` evaluates rules over columns, `alert` steps each alert, `own`
//! judges the source itself. A part of its own because everything a poll decides is decided here, in this order.

use std::sync::Arc;

use super::alert::{self, Moment, Move, Outline, Pushed, RuleMoves, Step, Turn, Verdict};
use super::changes::take_readings;
use super::event::{Event, EventReading};
use super::lang::Machine;
use super::outcome::{Alert, Outcome, PollRow, State, WRITTEN_WITHIN};
use super::own::{self, Own, SourceFacts};
use super::own_alerts::{self, told};
use super::past::Column;
use super::plan::{Alerts, Plan};
use super::reading::{Poll, PollOutcome, Reading};
use super::rule::OnLeave;
use super::shared::Words;
use super::telling::tell;
use super::time::{Span, Time};
use super::verdict::{self, Judged};
use super::watch::Watch;

/// A keyframe is written once this many changes per slot came since the last: history then costs at most about
/// twice its changes, and nobody reads further back than that to rebuild a column.
const CHANGES_PER_SLOT: u64 = 2;
/// Signals are checkpointed every so many polls; a restart replays at most that many.
const CHECKPOINT_EVERY: u64 = 64;

/// Takes `poll` into `watch` and says what follows. `watch` is ahead of the store until the outcome is committed;
/// if it cannot be, drop it and load it again. Events still need their notifications.
pub fn judge(watch: &mut Watch, mut poll: Poll, now: Time) -> Outcome {
    watch.set_day(poll.at);
    watch.set_hour(poll.at);
    let tally = poll.tally();
    let usable = tally.outcome != PollOutcome::Failed;
    count(watch, &poll, usable);
    // Those of a million users are large; they are gone before what follows from them is made.
    let readings = std::mem::take(&mut poll.readings);
    let turned = watch.signals.turned(&readings);
    let (changes, failed) = take_readings(watch, &readings, &turned);
    watch.observe(&turned, readings.len(), watch.memory.clock, poll.seq, usable);
    drop(readings);

    let mut pass = Pass::of(watch, &poll);
    pass.rules(&turned);
    pass.own(usable);
    let Pass { outcome, mut evidence, moves, .. } = pass;

    evidence.sort_unstable();
    evidence.dedup();
    let new_names = watch.new_names();
    watch.memory.changes_since_keyframe += changes.len() as u64;
    let framed =
        poll.seq == 1 || watch.memory.changes_since_keyframe > CHANGES_PER_SLOT * watch.last.len() as u64;
    let keyframe = framed.then(|| watch.last.iter().collect());
    if keyframe.is_some() {
        watch.memory.changes_since_keyframe = 0;
    }
    let roster = watch.new_roster();
    // Totals of other members cannot be restored: a new roster takes a checkpoint along.
    let due = poll.seq.is_multiple_of(CHECKPOINT_EVERY) || roster.is_some();
    let checkpoint = due.then(|| watch.checkpoint());
    let memory = watch.memory.clone();
    let row = PollRow {
        poll,
        tally,
        new_names,
        changes,
        failed,
        keyframe,
        evidence,
        moves,
        memory,
        checkpoint,
        roster,
        clients: Vec::new(),
    };
    Outcome { now, poll: Some(row), ..outcome }
}

/// Judges again the poll that `column` has come to, for its events alone: nothing is made that only a store or a message
/// has use for, such as what an event rests on, and there are no own alerts. `poll` needs no readings. A watch goes this
/// way from its first poll on.
pub(super) fn judge_past(watch: &mut Watch, poll: &Poll, column: &Column, usable: bool) -> Vec<Arc<Event>> {
    watch.recorded = false;
    watch.set_day(poll.at);
    watch.set_hour(poll.at);
    count(watch, poll, usable);
    // A name without any reading yet was not polled, as in a live poll.
    let len = column.len().max(watch.names.len());
    watch.observe(column.turned(), len, watch.memory.clock, poll.seq, usable);
    let mut pass = Pass::of(watch, poll);
    pass.rules(column.turned());
    pass.outcome.events
}

/// Counts the poll in the source's memory.
fn count(watch: &mut Watch, poll: &Poll, usable: bool) {
    let memory = &mut watch.memory;
    memory.seq = poll.seq;
    memory.first_at.get_or_insert(poll.at);
    let even = memory.last_at.replace(poll.at).is_some_and(|last| poll.at.since(last) == poll.elapsed);
    memory.clock = memory.clock + poll.elapsed;
    memory.even_since = memory.even_since.filter(|_| even).or(Some(memory.clock));
    memory.note_usable(usable, poll.at);
}

/// One poll being judged.
struct Pass<'a> {
    watch: &'a mut Watch,
    poll: &'a Poll,
    outcome: Outcome,
    evidence: Vec<u32>,
    moves: Vec<RuleMoves>,
    pushed: Pushed,
}

/// What a poll made of an alert.
enum Change {
    /// Nothing, and nothing will as long as the verdict lasts.
    Settled,
    None,
    Moved(Move),
    Whole,
}

impl<'a> Pass<'a> {
    fn of(watch: &'a mut Watch, poll: &'a Poll) -> Self {
        Self {
            watch,
            poll,
            outcome: Outcome::default(),
            evidence: Vec::new(),
            moves: Vec::new(),
            pushed: Pushed::default(),
        }
    }

    /// All rules, one after the other.
    fn rules(&mut self, turned: &[(u32, Reading)]) {
        let mut plans = std::mem::take(&mut self.watch.plans);
        let mut machine = Machine::default();
        for plan in &mut plans {
            let found = verdict::of(self.watch, plan, self.poll, turned, &mut machine);
            // Out of the plan while they are stepped where they lie, because a step asks the plan.
            let mut alerts = std::mem::take(&mut plan.alerts);
            for (index, judged) in found {
                self.advance(plan, &mut alerts, index, judged);
            }
            plan.alerts = alerts;

            self.write_stale(plan);
        }
        self.watch.plans = plans;
    }

    /// Writes whole what moved since it was, a share of it at each poll.
    fn write_stale(&mut self, plan: &mut Plan) {
        if !self.watch.recorded {
            return;
        }
        let due = u32::try_from(self.poll.seq % WRITTEN_WITHIN).unwrap_or(0);
        for index in plan.stale.due(due) {
            let alert = plan.alerts.get(&index);
            plan.stale.written(index, alert.is_some());
            if let Some(alert) = alert {
                self.outcome.alerts.push((self.watch.key(plan, index), Arc::clone(alert)));
            }
        }
    }

    /// One verdict for one subject: steps its alert, and notes what is to be written.
    fn advance(&mut self, plan: &mut Plan, alerts: &mut Alerts, index: u32, judged: Judged) {
        let mut fresh = Arc::<Alert>::default();
        let (alert, kept) = match alerts.get_mut(&index) {
            Some(alert) => (alert, true),
            None => (&mut fresh, false),
        };
        let change = self.take(plan, index, judged, alert, kept);
        let goes_on = matches!(change, Change::Moved(Move { turn: Turn::GoesOn, .. }));
        if !(goes_on || matches!(change, Change::Settled | Change::None)) {
            plan.follow(index, alert);
        }
        if !matches!(change, Change::Settled) && plan.open.contains(index) {
            match alert::held_until(alert, &plan.rule.policy).filter(|_| !self.watch.recorded) {
                // How it was held poll by poll is nobody's evidence.
                Some(clock) => plan.due.by(index, clock),
                None => plan.due.again(index, judged),
            }
        }
        let blank = alert::is_blank(alert);
        match change {
            Change::Settled | Change::None => return,
            Change::Moved(one) => {
                if one.turn != Turn::GoesOn {
                    plan.follow(index, alert);
                }
                match one.turn {
                    Turn::GoesOn | Turn::Begins => plan.stale.moved(index),
                    Turn::Gone => plan.stale.written(index, false),
                }
                self.note(&plan.words, one);
            }
            Change::Whole if self.watch.recorded => {
                plan.stale.written(index, !blank);
                self.outcome.alerts.push((self.watch.key(plan, index), Arc::clone(alert)));
            }
            Change::Whole => {}
        }
        if kept && blank {
            alerts.remove(&index);
        } else if !kept && !blank {
            alerts.insert(index, fresh);
        }
    }

    /// Notes a move under its rule, which is the last one that moved, or comes after it.
    fn note(&mut self, rule: &Words, one: Move) {
        match self.moves.last_mut().filter(|last| last.rule == rule.name) {
            Some(last) => last.moves.push(one),
            None => {
                let (rule, version) = (rule.name.clone(), rule.version.clone());
                self.moves.push(RuleMoves { rule, version, moves: vec![one] });
            }
        }
    }

    /// Steps an alert where it lies; `kept` is whether it was there before.
    fn take(
        &mut self,
        plan: &Plan,
        index: u32,
        judged: Judged,
        alert: &mut Arc<Alert>,
        kept: bool,
    ) -> Change {
        // How long ago the subject of an alert that is kept was last known.
        let last = if kept { plan.known_before(index, &self.watch.signals) } else { None };
        let reading = plan.reading(index, &self.watch.signals);
        let clock = self.watch.memory.clock;
        let gap = last.map_or(Span::ZERO, |last| clock - last);
        let hole = plan.known(reading) && gap > plan.max_gap;
        let moment = Moment { at: self.poll.at, clock, seq: self.poll.seq, hole };
        if kept && unmoved(plan, alert, reading, judged, &moment) {
            return Change::Settled;
        }
        let alert = Arc::make_mut(alert);
        let before = alert::outline(alert);
        let step = step(plan, alert, judged, &moment);
        if alert.rule_version.is_empty() && !alert::is_blank(alert) {
            alert.rule_version.clone_from(&plan.words.version);
        }
        if moment.hole {
            alert::note_blind(alert, gap, clock);
        }
        self.gather(plan, index, reading, judged, &before, alert);
        if let Some(step) = step {
            let told = told(alert, &plan.channels());
            let event = tell(self.watch, plan, index, alert, step.into(), self.poll.at);
            self.outcome.tell(event, told);
        }
        let after = alert::outline(alert);
        if after == before {
            return Change::None;
        }
        if !self.watch.recorded || !plan.per_user() {
            return Change::Whole;
        }
        let row = plan.stale.has_row(index);
        let moved = match (kept, alert::is_blank(alert)) {
            // What comes to rest and is not forgotten is written whole, so that what rests needs no moves.
            (true, false) if alert::rests(alert) => None,
            (true, false) => Move::between(&before, &after, alert, index, &moment),
            (false, false) if !row => Move::between(&before, &after, alert, index, &moment),
            (true, true) if !row => Some(Move::gone(index)),
            (_, _) => None,
        };
        moved.map_or(Change::Whole, Change::Moved)
    }

    /// Values, the trail of deciding readings and what evidence must be kept.
    fn gather(
        &mut self,
        plan: &Plan,
        index: u32,
        reading: Reading,
        judged: Judged,
        before: &Outline,
        alert: &mut Alert,
    ) {
        let value = reading.count();
        let same = |last: EventReading| last.reading == reading;
        let changed = alert.state != before.state
            || before.value.is_none_or(|was| was.now != value)
            || !alert.trail.last().is_some_and(same);
        alert::note_value(alert, value);
        let counting = matches!(alert.state, State::Ok | State::Pending | State::Recovering);
        // What tells nothing, again and again, must not drive out what decided.
        let told = !matches!(judged, Judged::Inside(Verdict::Unknown) | Judged::Outside(Verdict::Unknown));
        if alert.since.is_none() || !(counting && told || changed) {
            return;
        }
        let batch = match plan.per_user() {
            true => self.poll.batch(index),
            false => self.poll.batches.first(),
        };
        let fetched_at = batch.map(|batch| batch.fetched_at);
        let shown = EventReading::new(self.poll.at, reading, fetched_at);
        self.pushed.push(alert, shown, batch.and_then(|batch| batch.request_id.as_ref()));
        if plan.per_user() && self.watch.recorded {
            self.evidence.push(index);
        }
    }

    /// The alerts about the source itself.
    fn own(&mut self, usable: bool) {
        let watch = &mut *self.watch;
        let facts = SourceFacts {
            usable,
            unusable: watch.memory.unusable,
            fault: self.poll.fault.clone(),
            skew: self.poll.skew,
            jump: self.poll.jump,
            refused: watch.memory.quarantine.iter().map(|q| q.user.clone()).collect(),
            absent: watch.long_absent(),
        };
        let moment = Moment { at: self.poll.at, clock: watch.memory.clock, seq: self.poll.seq, hole: false };
        for (own, mut opinion) in own::of_source(&facts, watch.setup.language) {
            // It takes several failed polls to know, and it has been silent since the first.
            opinion.since = watch.memory.unusable_since.filter(|_| own == Own::SourceSilent);
            let rule = own.rule().name;
            let before = watch.own.get(rule);
            if opinion.verdict != Verdict::Breach && before.is_none_or(alert::rests) {
                continue;
            }
            let before = before.cloned().unwrap_or_default();
            let (key, setup) = (watch.own_key(rule), &watch.setup);
            let (after, event) =
                own_alerts::take(&before, own, &key, &opinion, &moment, &setup.install, &setup.own_notify);
            if let Some((event, told)) = event {
                self.outcome.tell(event, told);
            }
            if after != before {
                watch.own.insert(rule.to_owned(), after.clone());
                self.outcome.alerts.push((key, Arc::new(after)));
            }
        }
    }
}

fn step(plan: &Plan, alert: &mut Alert, judged: Judged, moment: &Moment) -> Option<Step> {
    let policy = &plan.rule.policy;
    match judged {
        Judged::Inside(verdict) => alert::step(alert, verdict, moment, policy),
        Judged::Outside(verdict) => alert::window_left(alert, plan.rule.on_leave)
            .or_else(|| alert::step_outside(alert, verdict, moment, policy)),
        Judged::LeftScope => {
            let (after, step) = alert::left_scope(alert);
            *alert = after;
            step
        }
    }
}

/// Whether nothing of a kept alert changes at this poll. False is no answer.
fn unmoved(plan: &Plan, alert: &Alert, reading: Reading, judged: Judged, moment: &Moment) -> bool {
    let verdict = match judged {
        Judged::Inside(verdict) => verdict,
        Judged::Outside(verdict) if plan.rule.on_leave == OnLeave::Hold => verdict,
        Judged::Outside(_) | Judged::LeftScope => return false,
    };
    let value = || alert.value.is_some_and(|was| was.now == reading.count());
    // After the clock was set back nothing is added to a trail for a while.
    let read = || alert.trail.last().is_some_and(|last| last.reading == reading);
    let same = || alert.since.is_none() || value() && read();
    alert::goes_on(alert, verdict, moment, &plan.rule.policy) && !alert.rule_version.is_empty() && same()
}
