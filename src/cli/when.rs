//! Times on the command line and in tables, in the zone of the rules file.
//!
//! Neighbours: `check` and `history` take times, every table shows them. A part of its own because what is typed
//! without a zone, and what is shown, must mean the same clock.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;

use super::Failure;
use crate::engine::time::{Span, Time};
use crate::engine::zone;

/// `2026-11-22 11:05:00 UTC+8`, as in messages: zones' own short names are ambiguous. Milliseconds are left out.
pub(super) fn local(zone: Tz, at: Time) -> String {
    let shown = at.to_utc().with_timezone(&zone).format("%Y-%m-%d %H:%M:%S");
    format!("{shown} {}", zone::offset_name(zone, at))
}

/// The two largest units: `2h 5m`, `40s`; below a second `0s`.
pub(super) fn length(span: Span) -> String {
    let seconds = span.millis().max(0) / 1000;
    let units = [("d", 86_400, i64::MAX), ("h", 3_600, 24), ("m", 60, 60), ("s", 1, 60)];
    let parts = units.map(|(unit, size, most)| (seconds / size % most, unit));
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(parts.len() - 1);
    let shown = parts.iter().skip(first).take(2).enumerate().filter(|(place, (n, _))| *place == 0 || *n > 0);
    shown.map(|(_, (n, unit))| format!("{n}{unit}")).collect::<Vec<_>>().join(" ")
}

/// A time as typed: RFC 3339, or a date with or without a time of day on the clock of `zone`. `option` is named
/// when it is none of them.
pub(super) fn time(option: &str, text: &str, zone: Tz) -> Result<Time, Failure> {
    let text = text.trim();
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let formats = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let moment = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN));
    moment.or_else(day).map(|shown| zone::first(zone, shown)).ok_or_else(|| {
        Failure::usage(format!(
            "{option}: {text:?} is not a time: write it as 2026-11-22T03:05:00Z, or as \"2026-11-22 11:05\" on the \
             clock of {zone}"
        ))
    })
}

/// A time as typed, or how long before `now` it was: `24h`.
pub(super) fn time_or_ago(option: &str, text: &str, zone: Tz, now: Time) -> Result<Time, Failure> {
    match text.trim().parse::<Span>() {
        Ok(span) => Ok(now - span),
        Err(_) => time(option, text, zone).map_err(|_| {
            Failure::usage(format!(
                "{option}: {text:?} is neither a duration such as 24h or 7d, nor a time such as \
                 2026-11-22T03:05:00Z or \"2026-11-22 11:05\" (on the clock of {zone})"
            ))
        }),
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Asia::Shanghai;
    use chrono_tz::Europe::Berlin;

    use super::*;

    #[track_caller]
    fn check(text: &str, zone: Tz, expect: Option<&str>) {
        let now = "2026-11-23T00:00:00Z".parse().unwrap();
        let got = time_or_ago("--since", text, zone, now).ok().map(|at| at.to_string());
        assert_eq!(got.as_deref(), expect, "{text}");
    }

    #[test]
    fn times_without_a_zone_are_on_the_clock_of_the_rules_file() {
        check("24h", Shanghai, Some("2026-11-22T00:00:00Z"));
        check("2026-11-22T03:05:00Z", Shanghai, Some("2026-11-22T03:05:00Z"));
        check("2026-11-22T03:05:00+08:00", Berlin, Some("2026-11-21T19:05:00Z"));
        check("2026-11-22 11:05", Shanghai, Some("2026-11-22T03:05:00Z"));
        check("2026-11-22T11:05:06", Shanghai, Some("2026-11-22T03:05:06Z"));
        check("2026-11-22", Shanghai, Some("2026-11-21T16:00:00Z"));
        check("2026-03-29 02:30", Berlin, Some("2026-03-29T01:00:00Z"));
        for wrong in ["", "yesterday", "24", "11:05", "-24h", "2026-13-01", "99999999999999999d"] {
            check(wrong, Shanghai, None);
        }
    }

    #[test]
    fn lengths_are_short() {
        let of = |seconds| length(Span::from_secs(seconds));
        let shown = [0, 40, 60, 1_505, 7_500, 86_400, 90_061].map(of);
        assert_eq!(shown, ["0s", "40s", "1m", "25m 5s", "2h 5m", "1d", "1d 1h"]);
    }

    #[test]
    fn both_passes_of_an_autumn_hour_are_told_apart() {
        let shown = |text: &str| local(Berlin, text.parse().unwrap());
        assert_eq!(shown("2026-10-25T00:30:00Z"), "2026-10-25 02:30:00 UTC+2");
        assert_eq!(shown("2026-10-25T01:30:00Z"), "2026-10-25 02:30:00 UTC+1");
    }
}
