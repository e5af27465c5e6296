//! Hours of a local day, and when the wall clock shows them: once, twice over a fold, never in a gap.
//!
//! Neighbours: `usual` compares the same hour of several weeks, `zone` knows the offsets. A part of its own because an
//! hour of the week is a thing of local time, and only its spans are times.

use std::ops::Range;

use chrono::{Days, NaiveDate, NaiveDateTime, Timelike};
use chrono_tz::Tz;

use super::time::{Span, Time};
use super::zone;

const HOUR: Span = Span::from_hours(1);

/// Local time read as UTC is at most this far off.
const WIDEST: Span = Span::from_hours(26);

/// One hour of one day in a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hour {
    zone: Tz,
    day: NaiveDate,
    hour: u32,
}

impl Hour {
    pub(super) fn at(zone: Tz, at: Time) -> Self {
        let local = zone::local(zone, at);
        Self { zone, day: local.date(), hour: local.hour() }
    }

    /// The same hour of the same day of the week, so many weeks before.
    pub(super) fn weeks_ago(self, weeks: u32) -> Self {
        let day = self.day.checked_sub_days(Days::new(7 * u64::from(weeks))).unwrap_or(self.day);
        Self { day, ..self }
    }

    /// When the wall clock shows it, in order.
    pub(super) fn spans(self) -> Vec<Range<Time>> {
        let begins = NaiveDateTime::from(self.day) + chrono::TimeDelta::hours(i64::from(self.hour));
        let near = zone::at_offset(begins, Span::ZERO);
        let (mut from, until) = (near - WIDEST, near + WIDEST + HOUR);
        let mut spans = Vec::new();
        while from < until {
            let change = zone::next_change(self.zone, from, until).unwrap_or(until);
            let start = zone::at_offset(begins, zone::offset(self.zone, from));
            let shown = start.max(from)..(start + HOUR).min(change);
            if shown.start < shown.end {
                spans.push(shown);
            }
            from = change;
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hour at an instant, `weeks` before.
    #[track_caller]
    fn check(zone: Tz, at: &str, weeks: u32, expect: &[&str]) {
        let at: Time = at.parse().unwrap();
        let spans = Hour::at(zone, at).weeks_ago(weeks).spans();
        let shown: Vec<String> = spans.iter().map(|span| format!("{}/{}", span.start, span.end)).collect();
        assert_eq!(shown, expect, "{zone} {at} {weeks}");
        let whole: Vec<Range<Time>> = Hour::at(zone, at).spans();
        assert!(whole.iter().any(|span| span.contains(&at)), "{whole:?}");
    }

    #[test]
    fn hours_are_those_of_the_wall_clock() {
        use chrono_tz::{
            America::St_Johns, Asia::Kathmandu, Asia::Shanghai, Australia::Lord_Howe, Europe::Berlin,
        };
        check(Shanghai, "2026-11-23T00:30:00Z", 0, &["2026-11-23T00:00:00Z/2026-11-23T01:00:00Z"]);
        check(Shanghai, "2026-11-23T00:30:00Z", 2, &["2026-11-09T00:00:00Z/2026-11-09T01:00:00Z"]);
        check(Kathmandu, "2026-11-23T00:30:00Z", 1, &["2026-11-16T00:15:00Z/2026-11-16T01:15:00Z"]);
        check(St_Johns, "2026-11-23T00:30:00Z", 0, &["2026-11-23T00:30:00Z/2026-11-23T01:30:00Z"]);
        // Berlin leaves summer time on 2026-10-25 at 01:00Z: 02:xx is there twice. Nine in the morning stays nine.
        let twice =
            ["2026-10-25T00:00:00Z/2026-10-25T01:00:00Z", "2026-10-25T01:00:00Z/2026-10-25T02:00:00Z"];
        check(Berlin, "2026-10-25T01:30:00Z", 0, &twice);
        check(Berlin, "2026-11-08T01:30:00Z", 2, &twice);
        check(Berlin, "2026-10-26T08:10:00Z", 1, &["2026-10-19T07:00:00Z/2026-10-19T08:00:00Z"]);
        // On 2027-03-28 it never is.
        check(Berlin, "2027-04-04T00:30:00Z", 1, &[]);
        check(Berlin, "2027-04-04T01:30:00Z", 1, &["2027-03-28T01:00:00Z/2027-03-28T02:00:00Z"]);
        // Half an hour is repeated here.
        let spans = Hour::at(Lord_Howe, "2027-04-03T14:40:00Z".parse().unwrap()).spans();
        let length: i64 = spans.iter().map(|span| span.end.since(span.start).millis()).sum();
        assert_eq!(length, 90 * 60_000, "{spans:?}");
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for at in [i64::MIN, i64::MAX] {
            let _ = Hour::at(chrono_tz::Asia::Shanghai, Time::from_millis(at)).weeks_ago(4).spans();
        }
    }
}
