//! What a poll's readings change of those kept before: the slots that changed, and those that failed.
//!
//! Neighbours: `judge` asks at each poll, the store keeps what is said. A part of its own because history is these changes
//! alone: whatever they leave out is lost.

use std::ops::Range;

use super::reading::Reading;
use super::watch::Watch;

/// Moves the column of last readings on; returns what changed and what failed.
pub(super) fn take_readings(
    watch: &mut Watch,
    readings: &[Reading],
    turned: &[(u32, Reading)],
) -> (Vec<(u32, Reading)>, Vec<Range<u32>>) {
    let last = &mut watch.last;
    last.grow(readings.len(), Reading::NOT_POLLED);
    let mut changes = Vec::new();
    let mut take = |slot: u32, reading: Reading| {
        let before = last.get(slot as usize);
        if reading != Reading::FAILED && before.is_some_and(|before| before != reading) {
            changes.push((slot, reading));
            last.put(slot as usize, reading);
        }
    };
    let before = watch.failed.take();
    match before {
        Some(_) => turned.iter().for_each(|(slot, reading)| take(*slot, *reading)),
        // What this watch remembers of readings need not be what its signals do.
        None => (0..).zip(readings).for_each(|(slot, reading)| take(slot, *reading)),
    }
    let failed = match before {
        Some(none) if none.is_empty() && turned.iter().all(|(_, r)| *r != Reading::FAILED) => none,
        Some(_) | None => failed(readings),
    };
    watch.failed = Some(failed.clone());
    (changes, failed)
}

/// The slots that failed, as ranges.
fn failed(readings: &[Reading]) -> Vec<Range<u32>> {
    let mut failed = Vec::<Range<u32>>::new();
    for (slot, _) in (0u32..).zip(readings).filter(|(_, reading)| **reading == Reading::FAILED) {
        match failed.last_mut().filter(|range| range.end == slot) {
            Some(range) => range.end = slot + 1,
            None => failed.push(slot..slot + 1),
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_slots_are_kept_as_ranges() {
        let (some, none) = (Reading::FAILED, Reading::ABSENT);
        assert_eq!(failed(&[some, none, some, some]), [0..1, 2..4]);
        assert_eq!(failed(&[none]), []);
    }
}
