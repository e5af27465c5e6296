//! What the store has of users' alerts: which have a row, and which moved since it was written; bits by slot.
//!
//! Neighbours: `plan` holds one for its rule, `judge` writes a share of those that moved at each poll. A part of its own
//! because every alert must have its turn within so many polls, and hardly anything may be spent on those that lie still.

use super::outcome::WRITTEN_WITHIN;

const _: () = assert!(WRITTEN_WITHIN == u64::BITS as u64, "a turn is a bit of each word");

/// A slot's bit is its remainder in the word of its 64.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Stale {
    moved: Vec<u64>,
    rows: Vec<u64>,
}

fn set(bits: &mut Vec<u64>, slot: u32, on: bool) {
    let word = slot as usize / 64;
    if on && word >= bits.len() {
        bits.resize(word + 1, 0);
    }
    if let Some(word) = bits.get_mut(word) {
        *word = *word & !(1 << (slot % 64)) | u64::from(on) << (slot % 64);
    }
}

impl Stale {
    /// Something of the alert changed that its row does not say.
    pub(super) fn moved(&mut self, slot: u32) {
        set(&mut self.moved, slot, true);
    }

    /// Nothing is known of its row, or it is written behind the back of the polls.
    pub(super) fn unsure(&mut self, slot: u32) {
        set(&mut self.moved, slot, true);
        set(&mut self.rows, slot, true);
    }

    /// The alert is written whole, or its row taken away.
    pub(super) fn written(&mut self, slot: u32, row: bool) {
        set(&mut self.moved, slot, false);
        set(&mut self.rows, slot, row);
    }

    /// Whether it may have a row.
    pub(super) fn has_row(&self, slot: u32) -> bool {
        self.rows.get(slot as usize / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }

    /// Those that moved whose turn it is, ascending. There are 64 turns, from 0.
    pub(super) fn due(&self, turn: u32) -> Vec<u32> {
        let due = (0..).step_by(64).zip(&self.moved).filter(|(_, word)| **word >> turn & 1 == 1);
        due.map(|(first, _): (u32, _)| first + turn).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn_once() {
        let mut stale = Stale::default();
        [3, 64, 67, 700, 9].into_iter().for_each(|slot| stale.moved(slot));
        stale.written(9, false);
        stale.written(9_999, false);
        assert_eq!(stale.due(3), [3, 67]);
        [3, 67].into_iter().for_each(|slot| stale.written(slot, true));
        assert_eq!((stale.has_row(67), stale.has_row(64), stale.has_row(9_999)), (true, false, false));
        stale.unsure(64);
        let rest: Vec<u32> = (0..64).flat_map(|turn| stale.due(turn)).collect();
        assert_eq!((rest, stale.has_row(64)), (vec![64, 700], true));
    }
}
