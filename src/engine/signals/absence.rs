//! How long good replies have been without a name.
//!
//! Neighbours: `signals` feeds it whole polls, `groups` asks it whether a member was ever there. A part of its own
//! because absence is counted in good replies and no track of known readings sees those alone.

use crate::engine::reading::{Kind, Reading};
use crate::engine::time::Span;

/// Not absent, or no good reply yet.
pub(super) const NEVER: i64 = i64::MIN;

#[derive(Clone, Debug)]
pub(super) struct Absence {
    pub(super) gaps: Vec<Span>,
    /// The clock at the last good reply.
    pub(super) good: Vec<i64>,
    /// For each gap: since when it is absent.
    pub(super) since: Vec<Vec<i64>>,
}

impl Absence {
    pub(super) fn new(gaps: Vec<Span>) -> Self {
        let since = vec![Vec::new(); gaps.len()];
        Self { gaps, good: Vec::new(), since }
    }

    pub(super) fn observe(&mut self, readings: &[Reading], len: usize, clock: i64) {
        self.good.resize(len, NEVER);
        for (since, gap) in self.since.iter_mut().zip(&self.gaps) {
            since.resize(len, NEVER);
            for ((since, good), reading) in since.iter_mut().zip(&self.good).zip(readings) {
                match reading.kind() {
                    Kind::Online(_) => *since = NEVER,
                    Kind::Absent if *since == NEVER || clock - *good > gap.millis() => *since = clock,
                    Kind::Absent | Kind::Failed | Kind::NotPolled => {}
                }
            }
        }
        for (good, reading) in self.good.iter_mut().zip(readings) {
            match reading.kind() {
                Kind::Online(_) | Kind::Absent => *good = clock,
                Kind::Failed | Kind::NotPolled => {}
            }
        }
    }

    /// Zero when the last good reply had the name; none when it is more than `gap` old.
    pub(super) fn time(&self, slot: usize, clock: i64, gap: i64) -> Option<f64> {
        let good = *self.good.get(slot)?;
        if good == NEVER || clock - good > gap {
            return None;
        }
        let at = self.gaps.iter().position(|g| g.millis() == gap)?;
        let since = self.since[at][slot];
        Some(if since == NEVER { 0.0 } else { (clock - since) as f64 })
    }
}
