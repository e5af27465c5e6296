//! The vendor's answers as bytes: for some slots of a poll, which answer stated each.
//!
//! Neighbours: `evidence` keeps them, `moves` reads them back. A part of its own, without SQL, because a large source has
//! thousands of answers a poll: each is written once, and slots say which by a distance that is nearly always 0 or 1.

use super::codec::{self, Cursor, Malformed};
use crate::engine::reading::{Batch, Poll};
use crate::engine::request_id::RequestId;
use crate::engine::time::Time;

/// The answers behind `slots` (ascending): those that stated any, then for each slot its answer, 0 for none, else its
/// place plus one, as the difference from the one before. Nothing at all where no answer is known.
pub(super) fn pack(poll: &Poll, slots: impl Iterator<Item = u32> + Clone) -> Vec<u8> {
    let batch_of = |slot: u32| {
        let batch = poll.batch_of.get(slot)?;
        poll.batches.get(batch as usize).map(|_| batch)
    };
    let mut used: Vec<u32> = slots.clone().filter_map(batch_of).collect();
    used.dedup();
    used.sort_unstable();
    used.dedup();
    let mut out = Vec::new();
    if used.is_empty() {
        return out;
    }
    codec::put(&mut out, used.len() as u64);
    for &batch in &used {
        put_batch(&mut out, &poll.batches[batch as usize], poll.at);
    }
    let mut before = 0_i64;
    for slot in slots {
        let place = batch_of(slot).and_then(|b| used.binary_search(&b).ok()).map_or(0, |p| p as i64 + 1);
        codec::put_signed(&mut out, place - before);
        before = place;
    }
    out
}

/// The same, with the slots before.
pub(super) fn pack_with(poll: &Poll, slots: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    codec::put(&mut out, slots.len() as u64);
    let mut next = 0;
    for slot in slots {
        codec::put(&mut out, u64::from(slot.saturating_sub(next)));
        next = slot.saturating_add(1);
    }
    let packed = pack(poll, slots.iter().copied());
    out.extend_from_slice(&packed);
    if packed.is_empty() { packed } else { out }
}

/// Length of the id's text plus two; 0 means none and 1 a UUID.
fn put_batch(out: &mut Vec<u8>, batch: &Batch, at: Time) {
    match batch.request_id.as_ref().map(|id| (id, id.uuid())) {
        None => codec::put(out, 0),
        Some((_, Some(bytes))) => {
            codec::put(out, 1);
            out.extend(bytes);
        }
        Some((id, None)) => {
            let text = id.text();
            codec::put(out, text.len() as u64 + 2);
            out.extend(text.as_bytes());
        }
    }
    codec::put_signed(out, batch.fetched_at.since(at).millis());
}

/// An answer whose text is not made yet.
struct Packed<'a> {
    uuid: bool,
    id: Option<&'a [u8]>,
    fetched: i64,
}

impl<'a> Packed<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let kind = cursor.small()?;
        let id = match kind {
            0 => None,
            1 => Some(cursor.bytes(16)?),
            len => Some(cursor.bytes(len as usize - 2)?),
        };
        Ok(Self { uuid: kind == 1, id, fetched: cursor.signed()? })
    }

    fn batch(&self, at: Time) -> Batch {
        let request_id = |id: &[u8]| match <[u8; 16]>::try_from(id) {
            Ok(bytes) if self.uuid => RequestId::of_uuid(bytes),
            Ok(_) | Err(_) => String::from_utf8_lossy(id).into_owned().into(),
        };
        let fetched_at = Time::from_millis(at.millis().wrapping_add(self.fetched));
        Batch { fetched_at, request_id: self.id.map(request_id) }
    }
}

fn batches<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Packed<'a>>, Malformed> {
    let count = cursor.small()?;
    (0..count).map(|_| Packed::read(cursor)).collect()
}

/// The answer behind the slot numbered `nth` among those that [`pack`] was given.
pub(super) fn unpack(packed: &[u8], at: Time, nth: usize) -> Result<Option<Batch>, Malformed> {
    let mut cursor = Cursor(packed);
    let batches = batches(&mut cursor)?;
    let mut place = 0_i64;
    for _ in 0..=nth {
        place = place.checked_add(cursor.signed()?).ok_or(Malformed)?;
    }
    Ok(usize::try_from(place - 1).ok().and_then(|p| batches.get(p)).map(|packed| packed.batch(at)))
}

/// The slots that [`pack_with`] was given, and the rest.
fn slots<'a>(packed: &'a [u8]) -> Result<(Vec<u32>, Cursor<'a>), Malformed> {
    let mut cursor = Cursor(packed);
    let (count, mut next) = (cursor.small()?, 0_u32);
    let slots = (0..count).map(|_| {
        let slot = next.checked_add(cursor.small()?).ok_or(Malformed)?;
        next = slot.checked_add(1).ok_or(Malformed)?;
        Ok(slot)
    });
    Ok((slots.collect::<Result<_, _>>()?, cursor))
}

/// The answer behind one of the slots that [`pack_with`] was given.
pub(super) fn find(packed: &[u8], at: Time, slot: u32) -> Result<Option<Batch>, Malformed> {
    let (slots, rest) = slots(packed)?;
    slots.binary_search(&slot).map_or(Ok(None), |nth| unpack(rest.0, at, nth))
}

/// Slots with the answer behind each, those that have one.
pub(super) fn all(packed: &[u8], at: Time) -> Result<Vec<(u32, Batch)>, Malformed> {
    if packed.is_empty() {
        return Ok(Vec::new());
    }
    let (slots, mut cursor) = slots(packed)?;
    let batches: Vec<Batch> = batches(&mut cursor)?.iter().map(|packed| packed.batch(at)).collect();
    let (mut place, mut found) = (0_i64, Vec::with_capacity(slots.len()));
    for slot in slots {
        place = place.checked_add(cursor.signed()?).ok_or(Malformed)?;
        if let Some(batch) = usize::try_from(place - 1).ok().and_then(|place| batches.get(place)) {
            found.push((slot, batch.clone()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::reading::{NO_BATCH, Reading};
    use crate::engine::time::Span;

    fn batch() -> impl Strategy<Value = Batch> {
        let id = prop_oneof![
            3 => any::<[u8; 16]>().prop_map(|bytes| Some(RequestId::of_uuid(bytes))),
            1 => Just(None),
            1 => "[0-9A-Fa-f-]{36}|[a-zA-Z0-9é-]{0,40}".prop_map(|text| Some(text.into())),
        ];
        (id, -5_000_i64..100_000)
            .prop_map(|(id, millis)| Batch { fetched_at: Time::from_millis(millis), request_id: id })
    }

    proptest! {
        #[test]
        fn each_slot_finds_its_answer(
            batches in prop::collection::vec(batch(), 0..6),
            of in prop::collection::vec(prop_oneof![4 => 0_u32..7, 1 => Just(NO_BATCH)], 1..40),
            kept in prop::collection::btree_set(0_u32..45, 0..20),
        ) {
            let poll = Poll {
                source: "s".to_owned(), seq: 1, at: Time::from_millis(77), elapsed: Span::ZERO, jump: None,
                readings: vec![Reading::ABSENT; of.len()], batch_of: of.into(), batches, requests: 0, took: Span::ZERO,
                fault: None, skew: None,
            };
            let slots: Vec<u32> = kept.into_iter().collect();
            let expected: Vec<(u32, Batch)> =
                slots.iter().filter_map(|slot| Some((*slot, poll.batch(*slot)?.clone()))).collect();
            let packed = pack_with(&poll, &slots);
            prop_assert_eq!(all(&packed, poll.at).unwrap(), expected.clone());
            prop_assert_eq!(packed.is_empty(), expected.is_empty());
            for (nth, slot) in slots.iter().enumerate().filter(|_| !packed.is_empty()) {
                prop_assert_eq!(find(&packed, poll.at, *slot).unwrap(), poll.batch(*slot).cloned());
                let without = pack(&poll, slots.iter().copied());
                prop_assert_eq!(unpack(&without, poll.at, nth).unwrap(), poll.batch(*slot).cloned());
            }
        }

        #[test]
        fn garbage_is_refused_or_short(bytes in prop::collection::vec(any::<u8>(), 0..6)) {
            let _ = all(&bytes, Time::default());
            let _ = find(&bytes, Time::default(), 1);
        }
    }
}
