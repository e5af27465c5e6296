//! Users whom good replies leave out, and how many in a row did.
//!
//! Neighbours: `watch` feeds it what turned, `own` says how many are too many. A part of its own because it counts
//! replies, not time, and only for the few who are absent.

use std::collections::{BTreeMap, BTreeSet};

use super::own::ABSENT_REPLIES;
use super::reading::{Kind, Reading};

const LONG: u8 = ABSENT_REPLIES as u8;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Absentees {
    /// Good replies in a row without the name, by slot; not counted beyond [`LONG`].
    runs: BTreeMap<u32, u8>,
    /// Slots that were absent at the last poll and are still counted.
    counting: BTreeSet<u32>,
}

impl Absentees {
    /// Takes up a poll that differs from the one before in `turned`. A failed reading neither counts nor ends a run.
    pub(super) fn observe(&mut self, turned: &[(u32, Reading)]) {
        for (slot, reading) in turned {
            match reading.kind() {
                Kind::Absent if self.runs.get(slot).is_none_or(|run| *run < LONG) => {
                    self.counting.insert(*slot);
                }
                Kind::Absent => {}
                Kind::Failed => {
                    self.counting.remove(slot);
                }
                // Nearly always there is nobody.
                Kind::Online(_) | Kind::NotPolled if self.runs.is_empty() && self.counting.is_empty() => {}
                Kind::Online(_) | Kind::NotPolled => {
                    self.counting.remove(slot);
                    self.runs.remove(slot);
                }
            }
        }
        let runs = &mut self.runs;
        self.counting.retain(|slot| {
            let run = runs.entry(*slot).or_default();
            *run += 1;
            *run < LONG
        });
    }

    /// Slots that enough replies left out, ascending.
    pub(super) fn long(&self) -> impl Iterator<Item = u32> {
        self.runs.iter().filter(|(_, run)| **run >= LONG).map(|(slot, _)| *slot)
    }

    /// Of what [`Self::encode`] adds, in bytes.
    pub(super) fn encoded_length(&self) -> usize {
        self.runs.last_key_value().map_or(0, |(slot, _)| *slot as usize + 1)
    }

    /// Adds one byte per slot.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let first = bytes.len();
        bytes.resize(first + self.encoded_length(), 0);
        self.runs.iter().for_each(|(slot, run)| bytes[first + *slot as usize] = *run);
    }

    /// `now` is what the last poll said of a slot.
    pub(super) fn decode(bytes: &[u8], now: impl Fn(u32) -> Reading) -> Self {
        let known = (0..).zip(bytes).filter(|(_, run)| **run > 0);
        let runs: BTreeMap<u32, u8> = known.map(|(slot, run)| (slot, (*run).min(LONG))).collect();
        let still = |(slot, run): &(&u32, &u8)| **run < LONG && now(**slot) == Reading::ABSENT;
        let counting = runs.iter().filter(still).map(|(slot, _)| *slot).collect();
        Self { runs, counting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What polls in a row say of slot 2, and its run after each.
    #[test]
    fn runs_count_good_replies() {
        let [absent, failed, one] = [Reading::ABSENT, Reading::FAILED, Reading::online(1)];
        let polls =
            [absent, absent, failed, absent, absent, failed, absent, one, absent, Reading::NOT_POLLED];
        let (mut absentees, mut before, mut runs) = (Absentees::default(), Reading::NOT_POLLED, Vec::new());
        for reading in polls {
            let turned: &[(u32, Reading)] = if reading == before { &[] } else { &[(2, reading)] };
            absentees.observe(turned);
            before = reading;
            let mut bytes = Vec::new();
            absentees.encode(&mut bytes);
            let again = Absentees::decode(&bytes, |_| reading);
            assert_eq!(again, absentees);
            runs.push(absentees.runs.get(&2).copied().unwrap_or(0));
        }
        assert_eq!(runs, [1, 2, 2, 3, 3, 3, 3, 0, 1, 0]);
        assert_eq!(absentees.long().count(), 0);
    }
}
