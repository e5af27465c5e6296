//! A column of numbers of which nearly all are small: a byte for each, and a list of those that are not.
//!
//! Neighbours: `watch` and `signals` keep last readings in some, by slot. A part of its own because a source may have a
//! million users with a handful of clients each, and for every one of them several such numbers are kept.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::reading::Reading;

/// What has no byte of its own is in the list. The four largest have theirs above this one, smaller numbers below.
const LISTED: u8 = u8::MAX - 4;

/// What is kept as a number.
pub(super) trait Number: Copy {
    fn number(self) -> u32;
    fn of_number(number: u32) -> Self;
}

impl Number for u32 {
    fn number(self) -> u32 {
        self
    }

    fn of_number(number: u32) -> Self {
        number
    }
}

impl Number for Reading {
    fn number(self) -> u32 {
        self.packed()
    }

    fn of_number(number: u32) -> Self {
        Self::of_packed(number)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Narrow<T> {
    bytes: Vec<u8>,
    /// By slot.
    listed: BTreeMap<u32, u32>,
    of: PhantomData<T>,
}

/// Or [`LISTED`].
const fn byte(number: u32) -> u8 {
    const LEAST: u32 = u32::MAX - (u8::MAX - LISTED - 1) as u32;
    if number < LISTED as u32 || number >= LEAST { number as u8 } else { LISTED }
}

/// Of a byte that is not [`LISTED`].
const fn number(byte: u8) -> u32 {
    byte as u32 | if byte > LISTED { !(u8::MAX as u32) } else { 0 }
}

impl<T: Number> Narrow<T> {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds what is missing to so many, each `value`.
    pub(super) fn grow(&mut self, len: usize, value: T) {
        let (from, number) = (self.len(), value.number());
        self.bytes.resize(len.max(from), byte(number));
        if byte(number) == LISTED {
            self.listed.extend((from..len).map(|slot| (slot as u32, number)));
        }
    }

    pub(super) fn get(&self, slot: usize) -> Option<T> {
        let number = match *self.bytes.get(slot)? {
            LISTED => *self.listed.get(&(slot as u32))?,
            byte => number(byte),
        };
        Some(T::of_number(number))
    }

    /// Panics beyond the last slot.
    pub(super) fn put(&mut self, slot: usize, value: T) {
        let number = value.number();
        let before = std::mem::replace(&mut self.bytes[slot], byte(number));
        if byte(number) == LISTED {
            self.listed.insert(slot as u32, number);
        } else if before == LISTED {
            self.listed.remove(&(slot as u32));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> {
        (0..self.len()).filter_map(|slot| self.get(slot))
    }

    /// Whether those from `first` on are surely what `others` says. False is no answer.
    pub(super) fn is_same(&self, first: usize, others: &[T]) -> bool {
        let bytes = self.bytes.get(first..first + others.len()).unwrap_or_default();
        // Without branches, because many are compared at a time.
        let differ =
            |any, (byte, other): (&u8, &T)| any | (number(*byte) != other.number()) | (*byte == LISTED);
        bytes.len() == others.len() && !bytes.iter().zip(others).fold(false, differ)
    }
}

impl<T> Default for Narrow<T> {
    fn default() -> Self {
        Self { bytes: Vec::new(), listed: BTreeMap::new(), of: PhantomData }
    }
}

impl<T: Number> FromIterator<T> for Narrow<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let values = values.into_iter();
        let mut all = Self { bytes: Vec::with_capacity(values.size_hint().0), ..Self::default() };
        for value in values {
            all.grow(all.len() + 1, value);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = u32> {
        prop_oneof![0_u32..3, 248_u32..258, (u32::MAX - 6)..=u32::MAX, any::<u32>()]
    }

    proptest! {
        #[test]
        fn a_narrow_column_is_a_column(
            first in prop::collection::vec(value(), 0..9),
            steps in prop::collection::vec((0_usize..20, value()), 0..40),
        ) {
            let (mut narrow, mut column): (Narrow<u32>, _) = (first.iter().copied().collect(), first);
            for (slot, value) in steps {
                if slot < column.len() {
                    narrow.put(slot, value);
                    column[slot] = value;
                } else {
                    narrow.grow(slot + 1, value);
                    column.resize(slot + 1, value);
                }
                prop_assert!(narrow.iter().eq(column.iter().copied()));
                prop_assert_eq!((narrow.len(), narrow.get(column.len())), (column.len(), None));
                let small = |from: usize| column[from..].iter().all(|n| byte(*n) != LISTED);
                prop_assert_eq!(narrow.is_same(1, &column[1..]), small(1));
                let other: Vec<u32> = column.iter().map(|n| n.wrapping_add(u32::from(*n == value))).collect();
                prop_assert!(!narrow.is_same(0, &other));
            }
            let listed = column.iter().filter(|n| byte(**n) == LISTED).count();
            prop_assert_eq!(narrow.listed.len(), listed, "nothing else is kept");
        }
    }
}
