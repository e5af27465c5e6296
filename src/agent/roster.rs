//! The list of an instance's users, asked for when it is due; and the instance's total, compared with the sum of users.
//!
//! Neighbours: `collect` calls both after a poll is committed, so that neither delays an alert, within what is left of
//! its budget. A part of its own because a poll goes on with the roster it has, whatever becomes of the next one.

use std::sync::Arc;
use std::time::Instant;

use crate::engine::elapsed::ClockReading;
use crate::engine::odd_names::OddNames;
use crate::engine::reading::{Fault, FaultClass};
use crate::engine::roster::Roster;
use crate::engine::schedule::LATE;
use crate::engine::time::{Span, Time};
use crate::engine::total::{POLLS, TotalCheck, TotalNews};
use crate::source::Source;

/// After a failure that may pass by itself a list of many pages is not asked for at once again.
const PAUSE: Span = Span::from_mins(10);
/// A total that was refused is asked for again after this long.
const TOTAL_PAUSE: Span = Span::from_hours(1);
/// Nothing more is asked for in less than this.
const LEAST: Span = Span::from_millis(100);
/// The total is one request.
const TOTAL_BUDGET: Span = Span::from_secs(5);

/// What is kept of a source between its polls beside its watch; held through each poll.
#[derive(Default)]
pub(super) struct UnderWay {
    /// Whom all of this is of; a new rules file makes another one.
    from: Option<Arc<Source>>,
    /// Came after the last poll; the next one begins with it.
    pub(super) waiting: Option<Roster>,
    /// A roster came since the start or the last reload; one from before may be another instance's.
    renewed: bool,
    retry_at: Option<Time>,
    /// The last answer to a refresh was a list of nobody.
    empty: bool,
    /// What is odd about names in replies.
    pub(super) odd: OddNames,
    total: TotalCheck,
    total_retry_at: Option<Time>,
}

/// What is left of a poll's budget.
#[derive(Clone, Copy)]
pub(super) struct Budget<'a> {
    pub(super) clock: &'a ClockReading,
    pub(super) started: Instant,
    pub(super) whole: Span,
}

impl Budget<'_> {
    pub(super) fn left(&self) -> Span {
        Span::from_std(self.whole.to_std().saturating_sub(self.started.elapsed()))
    }

    pub(super) fn now(&self) -> Time {
        self.clock.wall + Span::from_std(self.started.elapsed())
    }
}

impl UnderWay {
    /// What came from another source, or by another rules file, counts no more.
    pub(super) fn of(&mut self, from: &Arc<Source>) {
        if !self.from.as_ref().is_some_and(|before| Arc::ptr_eq(before, from)) {
            *self = Self { from: Some(Arc::clone(from)), ..Self::default() };
        }
    }

    /// The first roster of all, without which nobody is asked about. Its failure is the poll's.
    pub(super) async fn first(&mut self, from: &Source, budget: &Budget<'_>) -> Option<Fault> {
        match from.roster(budget.now(), budget.left()).await {
            Ok(roster) => {
                self.came(from, roster, budget);
                None
            }
            Err(fault) => Some(fault),
        }
    }

    /// Its age counts from the beginning of the poll that asked for it.
    fn came(&mut self, from: &Source, roster: Roster, budget: &Budget<'_>) {
        tracing::info!(source = from.name(), users = roster.users.len(), "a whole roster came");
        self.waiting = Some(Roster { at: budget.clock.wall, ..roster });
        self.renewed = true;
    }

    /// A list of nobody would end everybody's alerts: it is believed the second time.
    fn believes(&mut self, roster: &Roster) -> bool {
        let again = std::mem::replace(&mut self.empty, roster.users.is_empty());
        again || !self.empty
    }

    /// Asks for a roster if the last one is older than `refresh`, and once after each start and reload; it takes effect with the next poll.
    pub(super) async fn renew(
        &mut self,
        from: &Source,
        last: Option<Time>,
        refresh: Span,
        budget: &Budget<'_>,
    ) {
        let (now, began) = (budget.now(), budget.clock.wall);
        let fresh = self.renewed && last.is_some_and(|last| began.since(last) + LATE < refresh);
        let paused = self.retry_at.is_some_and(|at| now < at);
        if fresh || paused || budget.left() < LEAST {
            return;
        }
        self.retry_at = None;
        match from.roster(now, budget.left()).await {
            Ok(roster) if self.believes(&roster) => self.came(from, roster, budget),
            Ok(_) => {
                tracing::warn!(
                    source = from.name(),
                    "the roster came empty; unless the next poll finds it so again, the last one stays in force"
                );
            }
            Err(fault) => {
                tracing::warn!(
                    source = from.name(),
                    code = fault.code,
                    fault = fault.told(),
                    "no new roster; the last whole one stays in force"
                );
                let passing = matches!(
                    fault.class,
                    FaultClass::Transport | FaultClass::Server | FaultClass::Throttled | FaultClass::Clock
                );
                self.retry_at = Some(now + if passing { PAUSE.min(refresh) } else { refresh });
            }
        }
    }

    /// Compares the sum of a poll with the instance's total, and says so in the log where they differ for long.
    pub(super) async fn cross_check(&mut self, from: &Source, sum: u64, budget: &Budget<'_>) {
        let now = budget.now();
        if self.total_retry_at.is_some_and(|at| now < at) || budget.left() < LEAST {
            return;
        }
        self.total_retry_at = None;
        let source = from.name();
        let total = match from.total(now, budget.left().min(TOTAL_BUDGET)).await {
            Ok(total) => u64::from(total),
            Err(fault) => {
                tracing::debug!(source, code = fault.code, fault = fault.told(), "no total to compare with");
                self.total_retry_at = Some(now + TOTAL_PAUSE);
                return;
            }
        };
        match self.total.compare(sum, total) {
            Some(TotalNews::Differs) => tracing::warn!(
                source,
                sum,
                total,
                polls = POLLS,
                "the clients of all users do not add up to the total the vendor states; somebody may not be watched"
            ),
            Some(TotalNews::Agrees) => tracing::info!(source, sum, total, "sum and total agree again"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_of_nobody_is_believed_the_second_time() {
        let mut under_way = UnderWay::default();
        let some = Roster { users: vec![("alice".into(), Some(true))], ..Roster::default() };
        let mut check = |rosters: &[&Roster], expect: &[bool]| {
            let told: Vec<bool> = rosters.iter().map(|roster| under_way.believes(roster)).collect();
            assert_eq!(told, expect);
        };
        let none = Roster::default();
        check(&[&some, &none, &some, &none, &none], &[true, false, true, false, true]);
    }
}
