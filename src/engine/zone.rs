//! Between instants and the wall clock of a named zone, with its gaps and folds.
//!
//! Neighbours: `schedule` and `calendar`, which both think in local time and answer in UTC. A part of its own so
//! that the two agree on what a spring gap and an autumn overlap are, and nobody else has to know.

use chrono::{NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::time::{Span, Time};

/// Years 5 to 9987: every zone's local time of these is within chrono's range.
const EARLIEST: i64 = -62_000_000_000_000;
const LATEST: i64 = 253_000_000_000_000;

/// No zone is further from UTC than this, so a local time read as UTC is at most this far off.
const WIDEST: Span = Span::from_hours(26);

/// Zones never change twice within this time (since 1970).
const STRIDE: Span = Span::from_hours(6);

fn bounded(at: Time) -> Time {
    Time::from_millis(at.millis().clamp(EARLIEST, LATEST))
}

/// Local time minus UTC at `at`.
pub fn offset(zone: Tz, at: Time) -> Span {
    let offset = zone.offset_from_utc_datetime(&bounded(at).to_utc().naive_utc());
    Span::from_secs(offset.fix().local_minus_utc().into())
}

/// How far local time is from UTC at `at`, as people write it: `UTC+8`, `UTC-3:30`, `UTC`.
pub fn offset_name(zone: Tz, at: Time) -> String {
    let minutes = offset(zone, at).millis() / 60_000;
    let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
    let sign = if minutes < 0 { '-' } else { '+' };
    match (hours, rest) {
        (0, 0) => "UTC".to_owned(),
        (_, 0) => format!("UTC{sign}{hours}"),
        _ => format!("UTC{sign}{hours}:{rest:02}"),
    }
}

/// What the wall clock shows at `at`.
pub fn local(zone: Tz, at: Time) -> NaiveDateTime {
    let at = bounded(at);
    (at + offset(zone, at)).to_utc().naive_utc()
}

/// The instant at which a clock with this fixed offset shows `local`.
pub fn at_offset(local: NaiveDateTime, offset: Span) -> Time {
    Time::from_utc(local.and_utc()) - offset
}

/// The instant at which the zone's wall clock shows `local` for the first time, or passes it: in a gap, its end.
pub fn first(zone: Tz, local: NaiveDateTime) -> Time {
    match zone.from_local_datetime(&local).earliest() {
        Some(at) => Time::from_utc(at.to_utc()),
        None => gap_end(zone, local),
    }
}

/// The instant at which the wall clock shows `local` for the last time; in a gap, its end.
pub fn last(zone: Tz, local: NaiveDateTime) -> Time {
    match zone.from_local_datetime(&local).latest() {
        Some(at) => Time::from_utc(at.to_utc()),
        None => gap_end(zone, local),
    }
}

/// The first instant after `from`, up to and with `until`, from which on the offset is another.
pub fn next_change(zone: Tz, from: Time, until: Time) -> Option<Time> {
    let before = offset(zone, from);
    let mut low = from;
    while low < until {
        let high = (low + STRIDE).min(until);
        if offset(zone, high) != before {
            return Some(bisect(low, high, |at| offset(zone, at) != before));
        }
        low = high;
    }
    None
}

fn gap_end(zone: Tz, shown: NaiveDateTime) -> Time {
    let near = at_offset(shown, Span::ZERO);
    bisect(near - WIDEST, near + WIDEST, |at| local(zone, at) - shown > TimeDelta::zero())
}

/// The first millisecond after `low`, up to `high`, for which `holds`; it does not hold at `low`, does at `high`.
fn bisect(low: Time, high: Time, holds: impl Fn(Time) -> bool) -> Time {
    let (mut low, mut high) = (low.millis(), high.millis());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(Time::from_millis(middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Time::from_millis(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(zone: Tz, shown: &str, expect_first: &str, expect_last: &str) {
        let shown: NaiveDateTime = shown.parse().unwrap();
        let found = (first(zone, shown).to_string(), last(zone, shown).to_string());
        assert_eq!(found, (expect_first.to_owned(), expect_last.to_owned()), "{zone} {shown}");
    }

    #[test]
    fn local_times_map_to_instants() {
        check(Tz::Asia__Shanghai, "2026-11-22T11:05:00", "2026-11-22T03:05:00Z", "2026-11-22T03:05:00Z");
        check(Tz::Europe__Berlin, "2026-10-25T02:30:00", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z");
        check(Tz::Europe__Berlin, "2026-03-29T02:30:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z");
        check(Tz::Europe__Berlin, "2026-03-29T02:00:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z");
        check(Tz::Europe__Berlin, "2026-03-29T03:00:00", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z");
        check(Tz::Pacific__Apia, "2011-12-30T12:00:00", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z");
        check(
            Tz::Australia__Lord_Howe,
            "2026-04-05T01:45:00",
            "2026-04-04T14:45:00Z",
            "2026-04-04T15:15:00Z",
        );
    }

    #[test]
    fn offsets_have_names() {
        let name = |zone| offset_name(zone, "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(name(Tz::UTC), "UTC");
        assert_eq!(name(Tz::Asia__Shanghai), "UTC+8");
        assert_eq!(name(Tz::Asia__Kathmandu), "UTC+5:45");
        assert_eq!(name(Tz::America__New_York), "UTC-5");
        assert_eq!(name(Tz::America__St_Johns), "UTC-3:30");
    }

    #[test]
    fn changes_of_the_offset_are_found() {
        let change = |zone, from: &str, until: &str| {
            next_change(zone, from.parse().unwrap(), until.parse().unwrap()).map(|at| at.to_string())
        };
        let (spring, autumn) = ("2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z");
        assert_eq!(change(Tz::Europe__Berlin, "2026-01-01T00:00:00Z", autumn).as_deref(), Some(spring));
        assert_eq!(change(Tz::Europe__Berlin, spring, autumn).as_deref(), Some(autumn));
        assert_eq!(change(Tz::Europe__Berlin, "2026-03-29T00:59:59Z", spring).as_deref(), Some(spring));
        assert_eq!(change(Tz::Europe__Berlin, spring, "2026-10-25T00:59:59Z"), None);
        assert_eq!(change(Tz::Asia__Kolkata, spring, "2036-01-01T00:00:00Z"), None);
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for at in [i64::MIN, i64::MAX, 0] {
            let shown = local(Tz::Pacific__Apia, Time::from_millis(at));
            assert!(first(Tz::Pacific__Apia, shown) <= last(Tz::Pacific__Apia, shown));
        }
    }
}
