//! A set of slots, one bit each: asked for every user a poll is about.
//!
//! Neighbours: `plan` keeps whom a rule covers and whose alert is under way. A part of its own because both are asked
//! some hundred million times while a month is played again, and a tree of numbers would take most of that time.

const BITS: usize = u64::BITS as usize;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn of(slots: &[bool]) -> Self {
        let word = |chunk: &[bool]| (0..).zip(chunk).fold(0, |word, (i, on)| word | (u64::from(*on) << i));
        Self(slots.chunks(BITS).map(word).collect())
    }

    pub(super) fn contains(&self, slot: u32) -> bool {
        self.0.get(slot as usize / BITS).is_some_and(|word| word >> (slot as usize % BITS) & 1 == 1)
    }

    pub(super) fn insert(&mut self, slot: u32) {
        let at = slot as usize / BITS;
        self.0.resize(self.0.len().max(at + 1), 0);
        self.0[at] |= 1 << (slot as usize % BITS);
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, slot: u32) -> bool {
        let there = self.contains(slot);
        if there {
            self.0[slot as usize / BITS] &= !(1 << (slot as usize % BITS));
        }
        there
    }

    pub(super) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let slots = |(at, word): (u32, &u64)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                rest &= rest.wrapping_sub(1);
                (bit < u64::BITS).then_some(at * u64::BITS + bit)
            })
        };
        (0..).zip(&self.0).flat_map(slots)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_are_a_set(steps in prop::collection::vec((0_u32..200, any::<bool>()), 0..60)) {
            let (mut bits, mut set) = (Bits::default(), BTreeSet::new());
            for (slot, insert) in steps {
                if insert {
                    bits.insert(slot);
                    set.insert(slot);
                } else {
                    prop_assert_eq!(bits.remove(slot), set.remove(&slot));
                }
                prop_assert_eq!(bits.contains(slot), insert);
                prop_assert!(bits.iter().eq(set.iter().copied()));
                prop_assert_eq!(bits.len() as usize, set.len());
            }
            let all: Vec<bool> = (0..200).map(|slot| set.contains(&slot)).collect();
            prop_assert!(Bits::of(&all).iter().eq(set));
        }
    }
}
