//! The readings that decide about an alert, packed.
//!
//! Neighbours: `alert` adds to it poll by poll, the event made of it shares it. A part of its own because tens of thousands
//! of alerts may be under way with up to twenty readings each, of which most are an interval apart and say the same.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::event::EventReading;
use super::leb;
use super::reading::Reading;
use super::time::{Span, Time};

/// Reads as a list, oldest first.
///
/// In bytes: how many, then newest first each one's distance from the one after it (the newest one's from zero), its
/// reading, and how long after it the answer came. None for nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Trail(Option<Arc<[u8]>>);

/// Readings that are no counts have the highest numbers; so many are taken round to the lowest.
const ROUND: u32 = 3;

impl Trail {
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn len(&self) -> usize {
        let mut bytes = self.bytes();
        leb::take(&mut bytes).and_then(|len| usize::try_from(len).ok()).unwrap_or(0)
    }

    pub fn last(&self) -> Option<EventReading> {
        self.back().next()
    }

    pub fn list(&self) -> Vec<EventReading> {
        let mut list = Vec::with_capacity(self.len() + 1);
        list.extend(self.back());
        list.reverse();
        list
    }

    pub fn change(&mut self, change: impl FnOnce(&mut Vec<EventReading>)) {
        let mut list = self.list();
        change(&mut list);
        *self = list.into();
    }

    pub fn clear(&mut self) {
        self.0 = None;
    }

    #[cfg(test)]
    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        self.0.as_ref().zip(other.0.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Newest first.
    fn back(&self) -> impl Iterator<Item = EventReading> {
        let (mut rest, mut at) = (self.bytes(), Time::default());
        leb::take(&mut rest);
        std::iter::from_fn(move || {
            at = at + Span::from_millis(leb::unfolded(leb::take(&mut rest)?));
            let reading = Reading::of_packed((leb::take(&mut rest)? as u32).wrapping_sub(ROUND));
            let after = leb::take(&mut rest)?.checked_sub(1).map(leb::unfolded);
            Some(EventReading::new(at, reading, after.map(|after| at + Span::from_millis(after))))
        })
    }
}

impl From<Vec<EventReading>> for Trail {
    fn from(list: Vec<EventReading>) -> Self {
        if list.is_empty() {
            return Self(None);
        }
        let (mut bytes, mut next) = (Vec::with_capacity(8 * list.len()), Time::default());
        leb::put(&mut bytes, list.len() as u64);
        for one in list.iter().rev() {
            leb::put(&mut bytes, leb::folded(one.at.since(next).millis()));
            leb::put(&mut bytes, one.reading.packed().wrapping_add(ROUND).into());
            let after = one.fetched_at().map(|fetched| fetched.since(one.at).millis());
            leb::put(&mut bytes, after.map_or(0, |after| 1 + leb::folded(after)));
            next = one.at;
        }
        Self(Some(bytes.into()))
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trail").field(&self.list()).finish()
    }
}

impl Serialize for Trail {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.list().serialize(to)
    }
}

impl<'de> Deserialize<'de> for Trail {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one() -> impl Strategy<Value = EventReading> {
        let at = prop_oneof![4 => 0_i64..999_999, 1 => any::<i32>().prop_map(|n| i64::from(n) << 20)];
        let reading = prop_oneof![
            4 => any::<u32>().prop_map(Reading::online),
            1 => Just(Reading::ABSENT),
            1 => Just(Reading::FAILED),
            1 => Just(Reading::NOT_POLLED),
        ];
        (at, reading, prop::option::of(any::<i32>())).prop_map(|(at, reading, after)| {
            let at = Time::from_millis(at);
            EventReading::new(at, reading, after.map(|after| at + Span::from_millis(after.into())))
        })
    }

    proptest! {
        #[test]
        fn readings_come_back(list in prop::collection::vec(one(), 0..30), more in one()) {
            let mut trail = Trail::from(list.clone());
            prop_assert_eq!((trail.list(), trail.len(), trail.last()), (list.clone(), list.len(), list.last().copied()));
            trail.change(|list| list.push(more));
            prop_assert_eq!((trail.last(), trail.len()), (Some(more), list.len() + 1));
            prop_assert_eq!(trail == list.into(), false);
        }
    }

    #[test]
    fn a_usual_reading_is_five_bytes() {
        let minute = |n| Time::from_millis(1_795_399_200_000) + Span::from_mins(n);
        let one = |n| EventReading::new(minute(n), Reading::online(4), Some(minute(n)));
        let trail = Trail::from((0..20).map(one).collect::<Vec<_>>());
        assert_eq!(trail.bytes().len(), 1 + 6 + 2 + 19 * 5);
    }
}
