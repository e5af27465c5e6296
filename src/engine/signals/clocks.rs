//! A column of clocks of which most are alike: the last reading of nearly everybody is the last poll's.
//!
//! Neighbours: `known` keeps the clocks of last readings in one, `absence` those of good replies. A part of its own
//! because for a million slots eight bytes each are more than all that is said of those who differ.

/// One clock, in six bytes: there is room for four thousand years.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Clock([u8; 6]);

impl From<i64> for Clock {
    fn from(millis: i64) -> Self {
        let [a, b, c, d, e, f, ..] = millis.to_le_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl Clock {
    pub(super) const fn millis(self) -> i64 {
        let [a, b, c, d, e, f] = self.0;
        i64::from_le_bytes([0, 0, a, b, c, d, e, f]) >> 16
    }
}

/// Slots that are kept together.
const CHUNK: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Clocks {
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Chunk {
    All(i64),
    Each(Box<[i64; CHUNK]>),
}

impl Clocks {
    /// Slots up to `len` are added, each at `clock`.
    pub(super) fn grow(&mut self, len: usize, clock: i64) {
        let begun = len.min(self.chunks.len() * CHUNK);
        (self.len..begun).for_each(|slot| self.put(slot, clock));
        self.chunks.resize(self.chunks.len().max(len.div_ceil(CHUNK)), Chunk::All(clock));
        self.len = self.len.max(len);
    }

    pub(super) fn get(&self, slot: usize) -> Option<i64> {
        let chunk = self.chunks.get(slot / CHUNK).filter(|_| slot < self.len)?;
        Some(match chunk {
            Chunk::All(clock) => *clock,
            Chunk::Each(clocks) => clocks[slot % CHUNK],
        })
    }

    /// Panics beyond the last slot.
    pub(super) fn put(&mut self, slot: usize, clock: i64) {
        let chunk = &mut self.chunks[slot / CHUNK];
        let mut clocks = match chunk {
            Chunk::All(all) if *all == clock => return,
            Chunk::All(all) => Box::new([*all; CHUNK]),
            Chunk::Each(clocks) => {
                clocks[slot % CHUNK] = clock;
                if clocks.iter().all(|one| *one == clock) {
                    *chunk = Chunk::All(clock);
                }
                return;
            }
        };
        clocks[slot % CHUNK] = clock;
        *chunk = Chunk::Each(clocks);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = i64> {
        (0..self.len).filter_map(|slot| self.get(slot))
    }
}

impl FromIterator<i64> for Clocks {
    fn from_iter<T: IntoIterator<Item = i64>>(clocks: T) -> Self {
        let mut all = Self::default();
        for clock in clocks {
            all.grow(all.len + 1, clock);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn clocks_are_a_column(steps in prop::collection::vec((0_usize..200, 0_i64..3, any::<bool>()), 0..60)) {
            let (mut clocks, mut column) = (Clocks::default(), Vec::new());
            for (slot, clock, alone) in steps {
                if slot >= column.len() {
                    clocks.grow(slot + 1, clock);
                    column.resize(slot + 1, clock);
                }
                for slot in if alone { slot..slot + 1 } else { 0..column.len() } {
                    clocks.put(slot, clock);
                    column[slot] = clock;
                }
                prop_assert!(clocks.iter().eq(column.iter().copied()));
                prop_assert_eq!(clocks.get(column.len()), None);
            }
            let again: Clocks = column.iter().copied().collect();
            prop_assert!(again.iter().eq(column));
        }
    }

    #[test]
    fn a_clock_comes_back() {
        for millis in [0, 1, -1, 1 << 40, -(1 << 40), (1 << 47) - 1, -(1 << 47)] {
            assert_eq!(Clock::from(millis).millis(), millis);
        }
    }

    #[test]
    fn what_is_alike_again_takes_one_number() {
        let mut clocks = Clocks::default();
        clocks.grow(2 * CHUNK, 7);
        let apart = |clocks: &Clocks| clocks.chunks.iter().filter(|c| matches!(c, Chunk::Each(_))).count();
        clocks.put(CHUNK, 9);
        assert_eq!(apart(&clocks), 1);
        (CHUNK..2 * CHUNK).for_each(|slot| clocks.put(slot, 9));
        assert_eq!(apart(&clocks), 0);
    }
}
