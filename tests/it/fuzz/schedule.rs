//! Any text as a schedule: the first byte is a zone, the next four a time, the rest crontab text.
//!
//! Neighbours: `fuzz/` feeds it what it thinks up, `mod` what was kept. A part of its own as each grammar is. Instants
//! strictly increase, none is passed over, and none is closer to the next than the interval says.

use chrono_tz::Tz;
use seatwatch::engine::schedule::Schedule;
use seatwatch::engine::time::{Span, Time};

/// Zones whose clocks do what others do not: half hours, lost days, changes at midnight, no changes.
const ZONES: [Tz; 8] = [
    Tz::UTC,
    Tz::Asia__Shanghai,
    Tz::Europe__Berlin,
    Tz::America__St_Johns,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
    Tz::Africa__Cairo,
    Tz::America__Sao_Paulo,
];

pub(crate) fn check(data: &[u8]) {
    let Some(([zone, seconds @ ..], text)) = data.split_first_chunk::<5>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let zone = ZONES[usize::from(*zone) % ZONES.len()];
    // Up to the year 2106, beyond what schedules know.
    let from = Time::from_millis(i64::from(u32::from_be_bytes(*seconds)) * 1000);
    match Schedule::parse(text, zone) {
        Ok(schedule) => sound(&schedule, from),
        Err(error) => {
            let (start, end) = (error.span.start, error.span.end);
            assert!(start <= end && end <= text.len(), "{error:?}");
            assert!(text.is_char_boundary(start) && text.is_char_boundary(end), "{error:?}");
            assert!(!error.message.is_empty());
        }
    }
}

fn sound(schedule: &Schedule, from: Time) {
    assert_eq!(Schedule::parse(schedule.text(), schedule.zone()).as_ref(), Ok(schedule));
    let instants = schedule.instants(from, 24);
    assert_eq!(instants.first().copied(), schedule.next_after(from));
    let interval = schedule.interval(from);
    assert!(interval >= Span::from_secs(2), "{interval}");
    let mut before = from;
    for at in &instants {
        assert!(*at > before, "{at} after {before}");
        assert_eq!(schedule.next_after(*at - Span::from_millis(1)), Some(*at), "the one before says so, too");
        let week = *at <= from + Span::from_days(7);
        assert!(
            before == from || !week || at.since(before) >= interval,
            "{at} after {before}, every {interval}"
        );
        before = *at;
    }
}
