//! How long good replies have been without a name.
//!
//! Neighbours: `signals` feeds it whole polls, `groups` asks it whether a member was ever there. A part of its own
//! because absence is counted in good replies and no track of known readings sees those alone.

use super::clocks::Clocks;
use super::known::NOW;
use crate::engine::lang::Line;
use crate::engine::reading::{Kind, Reading};
use crate::engine::time::Span;

/// Not absent, or no good reply yet.
pub(super) const NEVER: i64 = i64::MIN;

#[derive(Clone, Debug)]
pub(super) struct Absence {
    pub(super) gaps: Vec<Span>,
    /// The clock at the last poll, and at the one before it.
    pub(super) now: i64,
    pub(super) then: i64,
    /// The clock at the last good reply, or [`NOW`].
    pub(super) good: Clocks,
    /// For each gap: since when it is absent.
    pub(super) since: Vec<Clocks>,
}

impl Absence {
    pub(super) fn new(gaps: Vec<Span>) -> Self {
        let since = vec![Clocks::default(); gaps.len()];
        Self { gaps, now: 0, then: 0, good: Clocks::default(), since }
    }

    pub(super) fn grow(&mut self, len: usize) {
        self.good.grow(len, NEVER);
        for since in &mut self.since {
            since.grow(len, NEVER);
        }
    }

    /// A poll at `clock` follows: [`Self::take`] is called for each slot whose reading turned; after a pause that
    /// matters, for every slot.
    pub(super) fn begin(&mut self, clock: i64) {
        (self.then, self.now) = (self.now, clock);
    }

    pub(super) fn take(&mut self, slot: u32, reading: Reading) {
        let slot = slot as usize;
        let good = self.good.get(slot).filter(|good| *good != NOW).unwrap_or(self.then);
        match reading.kind() {
            Kind::Online(_) => {
                self.since.iter_mut().for_each(|since| since.put(slot, NEVER));
                self.good.put(slot, NOW);
            }
            Kind::Absent => {
                for (since, gap) in self.since.iter_mut().zip(&self.gaps) {
                    if since.get(slot) == Some(NEVER) || self.now - good > gap.millis() {
                        since.put(slot, self.now);
                    }
                }
                self.good.put(slot, NOW);
            }
            Kind::Failed | Kind::NotPolled => self.good.put(slot, good),
        }
    }

    /// Zero when the last good reply had the name; no value when it is more than `gap` old.
    pub(super) fn time(&self, slot: usize, gap: i64) -> Line {
        let nothing = Line::brief(f64::NAN);
        let Some(good) = self.good.get(slot).filter(|good| *good != NEVER) else { return nothing };
        let Some(at) = self.gaps.iter().position(|g| g.millis() == gap) else { return nothing };
        let Some(since) = self.since[at].get(slot) else { return nothing };
        let line = if since == NEVER { Line::still(0.0) } else { Line::growing((self.now - since) as f64) };
        match good {
            NOW => line,
            good if self.now - good > gap => nothing,
            _ => line.unsure(),
        }
    }
}
