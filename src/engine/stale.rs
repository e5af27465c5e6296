//! Alerts that moved since they were written whole: a bit for each slot.
//!
//! Neighbours: `plan` holds one for its rule, `judge` writes a share of them at each poll. A part of its own because every
//! alert must have its turn within so many polls, and hardly anything may be spent on those that lie still.

use super::outcome::WRITTEN_WITHIN;

/// A slot's bit is its remainder in the word of its 64.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Stale(Vec<u64>);

const _: () = assert!(WRITTEN_WITHIN == u64::BITS as u64, "a turn is a bit of each word");

impl Stale {
    pub(super) fn insert(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (slot % 64);
    }

    pub(super) fn remove(&mut self, slot: u32) {
        if let Some(word) = self.0.get_mut(slot as usize / 64) {
            *word &= !(1 << (slot % 64));
        }
    }

    /// Those whose turn it is, ascending; they are not stale any more. There are 64 turns, from 0.
    pub(super) fn take(&mut self, turn: u32) -> Vec<u32> {
        let mut taken = Vec::new();
        for (first, word) in (0..).step_by(64).zip(&mut self.0).filter(|(_, word)| **word >> turn & 1 == 1) {
            *word &= !(1 << turn);
            taken.push(first + turn);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn_once() {
        let mut stale = Stale::default();
        [3, 64, 67, 700, 9].into_iter().for_each(|slot| stale.insert(slot));
        stale.remove(9);
        stale.remove(9_999);
        assert_eq!((stale.take(3), stale.take(3)), (vec![3, 67], vec![]));
        let rest: Vec<u32> = (0..64).flat_map(|turn| stale.take(turn)).collect();
        assert_eq!(rest, [64, 700]);
    }
}
