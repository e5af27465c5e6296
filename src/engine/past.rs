//! History as it is stored, poll by poll: which slots turned, and what each poll said of everybody.
//!
//! Neighbours: the store keeps changes and failures, [`Watch::replay`](super::watch::Watch) and `judge` take polls. A
//! part of its own because whoever goes over weeks of polls must not look at each reading of each.

use std::borrow::Cow;
use std::ops::Range;

use super::reading::Reading;

/// The column of the poll at hand.
#[derive(Clone, Debug)]
pub struct Column {
    /// The last reading of each slot that was not *failed*.
    kept: Vec<Reading>,
    /// Slots that failed at the poll at hand, ascending.
    failed: Vec<Range<u32>>,
    turned: Vec<(u32, Reading)>,
    begun: bool,
}

impl Column {
    /// `kept` is the column of last readings before the first poll that is taken up, or at it.
    pub fn new(kept: Vec<Reading>) -> Self {
        Self { kept, failed: Vec::new(), turned: Vec::new(), begun: false }
    }

    /// Goes on to the next poll, of which this is stored.
    pub fn turn(&mut self, changes: &[(u32, Reading)], failed: &[Range<u32>]) {
        let ends = [changes.last().map(|(slot, _)| slot + 1), failed.last().map(|range| range.end)];
        let len = ends.into_iter().flatten().max().unwrap_or(0) as usize;
        self.kept.resize(len.max(self.kept.len()), Reading::NOT_POLLED);
        for (slot, reading) in changes {
            self.kept[*slot as usize] = *reading;
        }
        self.turned.clear();
        if !self.begun {
            self.turned.extend((0..).zip(self.kept.iter().copied()));
        } else if self.failed == failed {
            self.turned.extend_from_slice(changes);
        } else {
            let back = self.failed.iter().flat_map(Clone::clone);
            self.turned.extend(back.map(|slot| (slot, self.kept[slot as usize])));
            self.turned.extend_from_slice(changes);
        }
        if !self.begun || self.failed != failed {
            self.turned.extend(failed.iter().flat_map(Clone::clone).map(|slot| (slot, Reading::FAILED)));
            // Where a slot is in it twice, the later holds: what failed is failed.
            self.turned.sort_by_key(|(slot, _)| *slot);
            self.turned.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    *earlier = *later;
                }
                same
            });
            self.failed = failed.to_vec();
        }
        self.begun = true;
    }

    /// The slots of which the poll at hand says something else than the one before, ascending; at first all.
    pub fn turned(&self) -> &[(u32, Reading)] {
        &self.turned
    }

    /// What the poll at hand said of every slot.
    pub fn readings(&self) -> Cow<'_, [Reading]> {
        if self.failed.is_empty() {
            return Cow::Borrowed(&self.kept);
        }
        let mut said = self.kept.clone();
        for range in &self.failed {
            said[range.start as usize..range.end as usize].fill(Reading::FAILED);
        }
        Cow::Owned(said)
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reading() -> impl Strategy<Value = Reading> {
        prop_oneof![
            4 => (0_u32..3).prop_map(Reading::online),
            1 => Just(Reading::ABSENT),
            2 => Just(Reading::FAILED),
        ]
    }

    #[test]
    fn a_column_is_as_long_as_the_highest_slot_anybody_spoke_of() {
        let mut column = Column::new(Vec::new());
        assert_eq!((column.len(), column.is_empty()), (0, true));
        column.turn(&[(2, Reading::online(1))], &[]);
        assert_eq!((column.len(), column.is_empty()), (3, false));
        column.turn(&[(0, Reading::ABSENT)], std::slice::from_ref(&(3..5)));
        assert_eq!(column.len(), 5);
    }

    proptest! {
        #[test]
        fn what_turned_makes_each_poll_of_the_one_before(
            polls in prop::collection::vec(prop::collection::vec(reading(), 6), 1..20)
        ) {
            let (mut last, mut said) = (vec![Reading::NOT_POLLED; 6], vec![Reading::NOT_POLLED; 6]);
            let mut column = Column::new(Vec::new());
            for poll in polls {
                let slots = || (0_u32..).zip(poll.iter().copied());
                let failed: Vec<Range<u32>> =
                    slots().filter(|(_, r)| *r == Reading::FAILED).map(|(slot, _)| slot..slot + 1).collect();
                let changes: Vec<(u32, Reading)> = slots()
                    .filter(|(slot, r)| *r != Reading::FAILED && *r != last[*slot as usize])
                    .collect();
                changes.iter().for_each(|(slot, r)| last[*slot as usize] = *r);
                column.turn(&changes, &failed);
                let turned = column.turned();
                prop_assert!(turned.is_sorted_by(|a, b| a.0 < b.0));
                turned.iter().for_each(|(slot, r)| said[*slot as usize] = *r);
                prop_assert_eq!(&said, &poll);
                let mut readings = column.readings().into_owned();
                readings.resize(6, Reading::NOT_POLLED);
                prop_assert_eq!(readings, poll);
            }
        }
    }
}
