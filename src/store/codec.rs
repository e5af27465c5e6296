//! Readings as bytes: the changes of a poll, a whole column, ranges of failed slots, the answers behind changes.
//!
//! Neighbours: `polls`, `column` and `evidence` put these bytes into rows. A part of its own, without SQL, because
//! the size of a database of years is decided here, and because losing nothing is proven here.
//!
//! Numbers are little-endian base-128 varints. A reading travels with a *count* in one number: `count << 3 | code`,
//! codes 0–4 for that many clients, 5 absent, 6 not polled, 7 anything else, which follows as a number of its own.

use std::ops::Range;

use crate::engine::reading::{Kind, Reading};

const ABSENT: u64 = 5;
const NOT_POLLED: u64 = 6;
const OTHER: u64 = 7;
/// Follows [`OTHER`] for a failed reading; every other number there is a count of clients.
const FAILED: u64 = u64::MAX;
/// Slots of one source; more in a stored row is damage, and must not become memory.
const MOST_SLOTS: u64 = 1 << 24;

/// The bytes are not what this file writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Signed numbers near zero stay short.
pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Reads what the `put` functions wrote.
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        // Most are one byte or two, and nobody can guess which: no branch asks.
        if let [low, high, ..] = *self.0
            && low & high < 0x80
        {
            let more = low >> 7;
            self.0 = &self.0[1 + usize::from(more)..];
            return Ok(u64::from(low & 0x7f) | u64::from(high * more) << 7);
        }
        self.long_number()
    }

    fn long_number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                return Err(Malformed);
            }
            number |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    /// A number that must fit 32 bits.
    pub(super) fn small(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    #[inline]
    fn counted(&mut self) -> Result<(u64, Reading), Malformed> {
        let number = self.number()?;
        let reading = match number & 7 {
            ABSENT => Reading::ABSENT,
            NOT_POLLED => Reading::NOT_POLLED,
            OTHER => self.other()?,
            online => Reading::online(online as u32),
        };
        Ok((number >> 3, reading))
    }

    fn other(&mut self) -> Result<Reading, Malformed> {
        Ok(match self.number()? {
            FAILED => Reading::FAILED,
            online => Reading::online(u32::try_from(online).map_err(|_| Malformed)?),
        })
    }
}

fn put_counted(out: &mut Vec<u8>, count: u64, reading: Reading) {
    let (code, other) = match reading.kind() {
        Kind::Absent => (ABSENT, None),
        Kind::NotPolled => (NOT_POLLED, None),
        Kind::Online(online) if online < 5 => (u64::from(online), None),
        Kind::Online(online) => (OTHER, Some(u64::from(online))),
        Kind::Failed => (OTHER, Some(FAILED)),
    };
    put(out, count << 3 | code);
    if let Some(other) = other {
        put(out, other);
    }
}

/// `changes` by ascending slots, each with its distance from the slot after the one before.
pub(super) fn changes(changes: &[(u32, Reading)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(changes.len() * 2);
    let mut next = 0;
    for (slot, reading) in changes {
        put_counted(&mut out, u64::from(slot.saturating_sub(next)), *reading);
        next = slot.saturating_add(1);
    }
    out
}

/// Calls `each` for every change, in order of slots; `each` says whether to go on.
pub(super) fn each_change(bytes: &[u8], mut each: impl FnMut(u32, Reading) -> bool) -> Result<(), Malformed> {
    let mut cursor = Cursor(bytes);
    let mut next = 0_u64;
    while !cursor.is_empty() {
        let (gap, reading) = cursor.counted()?;
        let slot = next.checked_add(gap).ok_or(Malformed)?;
        if slot >= MOST_SLOTS {
            return Err(Malformed);
        }
        if !each(slot as u32, reading) {
            break;
        }
        next = slot + 1;
    }
    Ok(())
}

/// Into `changes`, in place of what it holds.
pub(super) fn read_changes(bytes: &[u8], changes: &mut Vec<(u32, Reading)>) -> Result<(), Malformed> {
    changes.clear();
    // A usual change is two bytes.
    changes.reserve(bytes.len() / 2);
    each_change(bytes, |slot, reading| {
        changes.push((slot, reading));
        true
    })
}

/// A whole column as runs of equal readings.
pub(super) fn column(readings: &[Reading]) -> Vec<u8> {
    let mut out = Vec::new();
    for run in readings.chunk_by(|a, b| a == b) {
        put_counted(&mut out, run.len() as u64 - 1, run[0]);
    }
    out
}

pub(super) fn read_column(bytes: &[u8]) -> Result<Vec<Reading>, Malformed> {
    let (mut cursor, mut readings) = (Cursor(bytes), Vec::new());
    while !cursor.is_empty() {
        let (more, reading) = cursor.counted()?;
        let len =
            (readings.len() as u64).checked_add(more).and_then(|n| n.checked_add(1)).ok_or(Malformed)?;
        if len > MOST_SLOTS {
            return Err(Malformed);
        }
        readings.resize(len as usize, reading);
    }
    Ok(readings)
}

/// Ascending ranges, as gap and length.
pub(super) fn ranges(ranges: &[Range<u32>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut next = 0;
    for range in ranges.iter().filter(|r| r.start < r.end) {
        put(&mut out, u64::from(range.start.saturating_sub(next)));
        put(&mut out, u64::from(range.end - range.start));
        next = range.end;
    }
    out
}

/// Into `ranges`, in place of what it holds.
pub(super) fn read_ranges(bytes: &[u8], ranges: &mut Vec<Range<u32>>) -> Result<(), Malformed> {
    let (mut cursor, mut next) = (Cursor(bytes), 0_u32);
    ranges.clear();
    while !cursor.is_empty() {
        let start = next.checked_add(cursor.small()?).ok_or(Malformed)?;
        let end = start.checked_add(cursor.small()?).ok_or(Malformed)?;
        ranges.push(start..end);
        next = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reading() -> impl Strategy<Value = Reading> {
        prop_oneof![
            6 => (0_u32..8).prop_map(Reading::online),
            1 => any::<u32>().prop_map(Reading::online),
            1 => Just(Reading::ABSENT),
            1 => Just(Reading::NOT_POLLED),
            1 => Just(Reading::FAILED),
        ]
    }

    proptest! {
        #[test]
        fn changes_come_back(map in prop::collection::btree_map(0_u32..1 << 24, reading(), 0..60)) {
            let list: Vec<_> = map.into_iter().collect();
            let mut back = vec![(7, Reading::ABSENT)];
            read_changes(&changes(&list), &mut back).unwrap();
            prop_assert_eq!(back, list);
        }

        #[test]
        fn columns_come_back(readings in prop::collection::vec(reading(), 0..200)) {
            prop_assert_eq!(read_column(&column(&readings)).unwrap(), readings);
        }

        #[test]
        fn garbage_is_refused_or_short(bytes in prop::collection::vec(any::<u8>(), 0..4)) {
            let _ = read_changes(&bytes, &mut Vec::new());
            let _ = read_ranges(&bytes, &mut Vec::new());
            let _ = read_column(&bytes);
        }

        #[test]
        fn signed_numbers_come_back(number in any::<i64>()) {
            let mut out = Vec::new();
            put_signed(&mut out, number);
            prop_assert_eq!(Cursor(&out).signed(), Ok(number));
        }
    }

    #[test]
    fn a_usual_change_is_two_bytes() {
        let list: Vec<_> = (0..100).map(|n| (n * 200, Reading::online(n % 4))).collect();
        assert_eq!(changes(&list).len(), 199);
        let mut back = Vec::from([1..2, 4..5]);
        read_ranges(&ranges(&[0..10, 12..13]), &mut back).unwrap();
        assert_eq!(back, [0..10, 12..13]);
    }
}
