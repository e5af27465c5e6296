//! Calendars: when a rule looks at all.
//!
//! Neighbours: `config` makes them from `[[calendar]]`, rules name them as `during`, `zone` maps wall time. A part of
//! its own because working hours are wall time: built from local dates and times, so that days with a gap or a fold,
//! windows that pass midnight, holidays and make-up days come out as people mean them.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use chrono_tz::Tz;

use super::time::Time;
use super::zone;

/// Why a calendar is refused: which value of which list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CalendarError {
    /// `days` or `hours`.
    pub field: &'static str,
    /// Which of the list, from 0.
    pub index: usize,
    pub message: String,
    pub hint: String,
}

/// Windows of wall time on working days. An instant is inside from a window's start up to, not including, its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    name: String,
    zone: Tz,
    /// From Monday.
    days: [bool; 7],
    /// In minutes from the midnight that the day begins with; sorted. An end above 24 h belongs to the day after.
    windows: Vec<(u16, u16)>,
    /// Sorted, each date once.
    holidays: Vec<NaiveDate>,
    workdays: Vec<NaiveDate>,
    /// All the rest of time instead.
    outside: bool,
}

const DAY: u16 = 24 * 60;

/// A weekday pattern without any change for this long has none.
const PATTERN: i64 = 15;

/// [`Calendar::next_change`] looks ahead this many days at most.
const FARTHEST: i64 = 3_660;

const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl Calendar {
    /// `days` are names (`Sat`) and ranges (`Mon-Fri`, `Sat-Mon`), none meaning all; `hours` are `09:00-18:30`, none
    /// meaning the whole day; an end up to the start lies on the next day and its window belongs to the day it began.
    /// Of a date's words the strongest counts: make-up workday, then holiday, then weekday. All mistakes are told.
    pub fn new<D: AsRef<str>, H: AsRef<str>>(
        name: &str,
        zone: Tz,
        days: &[D],
        hours: &[H],
        holidays: &[NaiveDate],
        workdays: &[NaiveDate],
    ) -> Result<Self, Vec<CalendarError>> {
        let mut errors = Vec::new();
        let mut open = [days.is_empty(); 7];
        for (index, text) in days.iter().enumerate() {
            match weekdays(text.as_ref()) {
                Ok(named) => named.for_each(|day| open[day] = true),
                Err((message, hint)) => errors.push(CalendarError { field: "days", index, message, hint }),
            }
        }
        let mut windows = Vec::new();
        for (index, text) in hours.iter().enumerate() {
            match window(text.as_ref()) {
                Ok(window) => windows.push(window),
                Err((message, hint)) => errors.push(CalendarError { field: "hours", index, message, hint }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        if hours.is_empty() {
            windows.push((0, DAY));
        }
        windows.sort_unstable();
        windows.dedup();
        let sorted = |dates: &[NaiveDate]| {
            let mut dates = dates.to_vec();
            dates.sort_unstable();
            dates.dedup();
            dates
        };
        let (holidays, workdays) = (sorted(holidays), sorted(workdays));
        Ok(Self { name: name.to_owned(), zone, days: open, windows, holidays, workdays, outside: false })
    }

    /// All the time that `inner` is not: nights, weekends and holidays, where `inner` are the hours of an office.
    pub fn outside(name: &str, inner: &Self) -> Self {
        Self { name: name.to_owned(), outside: !inner.outside, ..inner.clone() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Whether `at` lies in a window, by what the wall clock shows then: in an autumn overlap both passes count.
    pub fn contains(&self, at: Time) -> bool {
        let shown = zone::local(self.zone, at);
        let minute = |from: NaiveDate| (shown - from.and_time(NaiveTime::MIN)).num_minutes();
        let inside = |date: NaiveDate| {
            let minute = minute(date);
            self.is_workday(date) && self.windows.iter().any(|w| (w.0.into()..w.1.into()).contains(&minute))
        };
        let within = inside(shown.date()) || shown.date().pred_opt().is_some_and(inside);
        within != self.outside
    }

    /// The first instant after `at` at which [`Calendar::contains`] turns; None if it never does, or not within ten
    /// years.
    pub fn next_change(&self, at: Time) -> Option<Time> {
        let now = self.contains(at);
        let today = zone::local(self.zone, at).date();
        let special = self.holidays.iter().chain(&self.workdays).max();
        let ahead = special.map_or(0, |last| last.signed_duration_since(today).num_days().max(0));
        let (mut searched, mut turns) = (at, Vec::new());
        for day in -1..(ahead + PATTERN).min(FARTHEST) {
            let date = today.checked_add_signed(TimeDelta::days(day))?;
            let end = zone::last(self.zone, date.succ_opt()?.and_time(NaiveTime::MIN));
            turns.extend(self.turns(date));
            // Where the clock is set, it may be set into a window or out of it.
            turns.extend(zone::next_change(self.zone, searched, end));
            turns.sort_unstable();
            searched = searched.max(end);
            // What lies on later days waits for those days' own windows, which may turn before it.
            let mut due = turns.iter().take_while(|turn| **turn <= end);
            if let Some(turn) = due.find(|turn| **turn > at && self.contains(**turn) != now) {
                return Some(*turn);
            }
            turns.retain(|turn| *turn > end);
        }
        None
    }

    /// Equal calendars have equal texts, whatever they are called and however they are written.
    pub fn canonical(&self) -> String {
        let days: String = self.days.iter().map(|open| if *open { '1' } else { '0' }).collect();
        let windows: Vec<String> = self.windows.iter().map(|(start, end)| format!("{start}-{end}")).collect();
        let dates = |all: &[NaiveDate]| all.iter().map(NaiveDate::to_string).collect::<Vec<_>>().join(",");
        let (holidays, workdays) = (dates(&self.holidays), dates(&self.workdays));
        let outside = if self.outside { "outside " } else { "" };
        format!("{outside}{} {days} {} holidays {holidays} workdays {workdays}", self.zone, windows.join(","))
    }

    fn is_workday(&self, date: NaiveDate) -> bool {
        let on = |dates: &[NaiveDate]| dates.binary_search(&date).is_ok();
        on(&self.workdays)
            || (!on(&self.holidays) && self.days[date.weekday().num_days_from_monday() as usize])
    }

    /// Every instant at which a window of `date` may begin or end.
    fn turns(&self, date: NaiveDate) -> Vec<Time> {
        let at_minute = |minute: u16| -> NaiveDateTime {
            date.and_time(NaiveTime::MIN) + TimeDelta::minutes(minute.into())
        };
        let ends = self.windows.iter().flat_map(|window| [window.0, window.1]).map(at_minute);
        ends.flat_map(|shown| [zone::first(self.zone, shown), zone::last(self.zone, shown)]).collect()
    }
}

/// A message and a hint.
type Refusal = (String, String);

fn weekdays(text: &str) -> Result<impl Iterator<Item = usize> + use<>, Refusal> {
    let day = |name: &str| {
        let lower = name.trim().to_ascii_lowercase();
        let known = NAMES.iter().position(|known| lower == *known || lower == known[..3]);
        known.ok_or_else(|| {
            (
                format!("`{}` is no weekday", name.trim().escape_debug()),
                "weekdays are Mon to Sun, ranges `Mon-Fri`".to_owned(),
            )
        })
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    let last = if last < first { last + 7 } else { last };
    Ok((first..=last).map(|day| day % 7))
}

/// `09:00-18:30` in minutes of the day; the end is above 24 h if it lies on the next day.
fn window(text: &str) -> Result<(u16, u16), Refusal> {
    let shown = text.escape_debug();
    let wrong = || (format!("`{shown}` are no hours"), "write them as `09:00-18:30`".to_owned());
    let (start, end) = text.split_once('-').ok_or_else(wrong)?;
    let (start, end) = (minute(start.trim()).ok_or_else(wrong)?, minute(end.trim()).ok_or_else(wrong)?);
    if start == DAY {
        return Err((
            format!("`{shown}` begin when the day is over"),
            "write `00:00` for the next day".to_owned(),
        ));
    }
    if start == end {
        let hint = "the whole day is `00:00-24:00`".to_owned();
        return Err((format!("`{shown}` begin where they end"), hint));
    }
    Ok((start, if end < start { end + DAY } else { end }))
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| -> Option<u16> {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let whole = hour * 60 + minute;
    (minute < 60 && whole <= DAY).then_some(whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::time::Span;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn calendar(zone: Tz, days: &[&str], hours: &[&str], holidays: &[&str], workdays: &[&str]) -> Calendar {
        let dates = |all: &[&str]| all.iter().map(|text| date(text)).collect::<Vec<_>>();
        Calendar::new("office", zone, days, hours, &dates(holidays), &dates(workdays)).unwrap()
    }

    /// The windows inside `from` to `until`, by asking for the next change again and again; and each minute agrees.
    #[track_caller]
    fn check(calendar: &Calendar, from: &str, until: &str, expect: &[&str]) {
        let (from, until) = (time(from), time(until));
        let turns: Vec<Time> =
            std::iter::successors(calendar.next_change(from), |at| calendar.next_change(*at))
                .take_while(|at| *at < until)
                .collect();
        let shown: Vec<String> = turns.iter().map(|at| format!("{at} {}", calendar.contains(*at))).collect();
        assert_eq!(shown, expect);
        let mut inside = calendar.contains(from);
        let mut at = from;
        while at < until {
            if turns.contains(&at) && at != from {
                inside = !inside;
            }
            assert_eq!(calendar.contains(at), inside, "{at}");
            at = at + Span::from_mins(1);
        }
    }

    #[test]
    fn office_hours() {
        let office = calendar(Tz::Asia__Shanghai, &["Mon-Fri"], &["09:00-18:30"], &[], &[]);
        check(
            &office,
            "2026-11-20T00:00:00Z",
            "2026-11-23T12:00:00Z",
            &[
                "2026-11-20T01:00:00Z true",
                "2026-11-20T10:30:00Z false",
                "2026-11-23T01:00:00Z true",
                "2026-11-23T10:30:00Z false",
            ],
        );
        assert!(!office.contains(time("2026-11-20T10:30:00Z")), "the end is outside");
        assert!(office.contains(time("2026-11-20T10:29:59.999Z")));
    }

    #[test]
    fn holidays_and_make_up_days() {
        let holidays = ["2026-10-01", "2026-10-02", "2026-10-05", "2026-10-06", "2026-10-07", "2026-10-10"];
        let office = calendar(Tz::Asia__Shanghai, &["Mon-Fri"], &["09:00-18:00"], &holidays, &["2026-10-10"]);
        // From Wednesday before to Monday after: Thursday 8, Friday 9, and Saturday 10, which is worked.
        check(
            &office,
            "2026-09-30T08:00:00Z",
            "2026-10-12T00:00:00Z",
            &[
                "2026-09-30T10:00:00Z false",
                "2026-10-08T01:00:00Z true",
                "2026-10-08T10:00:00Z false",
                "2026-10-09T01:00:00Z true",
                "2026-10-09T10:00:00Z false",
                "2026-10-10T01:00:00Z true",
                "2026-10-10T10:00:00Z false",
            ],
        );
    }

    #[test]
    fn after_midnight_belongs_to_the_day_it_began() {
        let night = calendar(Tz::UTC, &["Fri"], &["22:00-06:00"], &["2026-11-27"], &["2026-11-28"]);
        check(
            &night,
            "2026-11-20T00:00:00Z",
            "2026-11-30T00:00:00Z",
            &[
                "2026-11-20T22:00:00Z true",
                "2026-11-21T06:00:00Z false",
                "2026-11-28T22:00:00Z true",
                "2026-11-29T06:00:00Z false",
            ],
        );
        let whole = calendar(Tz::UTC, &["Sat-Mon"], &["00:00-24:00"], &[], &[]);
        check(
            &whole,
            "2026-11-20T12:00:00Z",
            "2026-11-26T00:00:00Z",
            &["2026-11-21T00:00:00Z true", "2026-11-24T00:00:00Z false"],
        );
        assert_eq!(calendar(Tz::UTC, &["Sat-Mon"], &[], &[], &[]), whole);
    }

    #[test]
    fn days_with_a_gap_or_a_fold() {
        let early = calendar(Tz::Europe__Berlin, &[], &["02:30-05:00"], &[], &[]);
        // Spring: 02:00 is 03:00; autumn: 03:00 is 02:00 again, so half past two comes twice.
        let spring = ["2026-03-29T01:00:00Z true", "2026-03-29T03:00:00Z false"];
        check(&early, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", &spring);
        check(
            &early,
            "2026-10-24T12:00:00Z",
            "2026-10-25T12:00:00Z",
            &[
                "2026-10-25T00:30:00Z true",
                "2026-10-25T01:00:00Z false",
                "2026-10-25T01:30:00Z true",
                "2026-10-25T04:00:00Z false",
            ],
        );
        // A window that lies in the gap has no such day; office hours are office hours on both.
        let lost = calendar(Tz::Europe__Berlin, &[], &["02:10-02:50"], &[], &[]);
        let days = ["2026-03-30T00:10:00Z true", "2026-03-30T00:50:00Z false"];
        check(&lost, "2026-03-29T00:00:00Z", "2026-03-30T12:00:00Z", &days);
        let office = calendar(Tz::Europe__Berlin, &["Sun"], &["09:00-17:00"], &[], &[]);
        let sunday = ["2026-03-29T07:00:00Z true", "2026-03-29T15:00:00Z false"];
        check(&office, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", &sunday);
        // A Friday that was not.
        let friday = calendar(Tz::Pacific__Apia, &["Fri"], &[], &[], &[]);
        check(&friday, "2011-12-28T00:00:00Z", "2012-01-05T00:00:00Z", &[]);
    }

    #[test]
    fn some_calendars_never_change_or_change_once() {
        let always = calendar(Tz::UTC, &[], &[], &[], &[]);
        assert_eq!(always.next_change(time("2026-11-22T00:00:00Z")), None);
        assert!(always.contains(Time::from_millis(i64::MAX)) && always.contains(Time::from_millis(i64::MIN)));
        assert_eq!(always.next_change(Time::from_millis(i64::MAX)), None);
        let but_one = calendar(Tz::UTC, &[], &[], &["2029-05-01"], &[]);
        assert_eq!(but_one.next_change(time("2026-11-22T00:00:00Z")), Some(time("2029-05-01T00:00:00Z")));
        assert_eq!(but_one.next_change(time("2029-05-01T00:00:00Z")), Some(time("2029-05-02T00:00:00Z")));
        assert_eq!(but_one.next_change(time("2029-05-02T00:00:00Z")), None);
    }

    #[test]
    fn equal_calendars_have_equal_texts() {
        let one = calendar(
            Tz::UTC,
            &["Mon-Wed", "fri"],
            &["13:00-17:00", "09:00-12:00"],
            &["2026-10-02", "2026-10-01"],
            &[],
        );
        let days = ["Friday", "Wed", "Tuesday", "MON"];
        let two =
            calendar(Tz::UTC, &days, &["09:00-12:00", "13:00-17:00"], &["2026-10-01", "2026-10-02"], &[]);
        assert_eq!(one, two);
        assert_eq!(one.canonical(), two.canonical());
        assert_eq!(one.canonical(), "UTC 1110100 540-720,780-1020 holidays 2026-10-01,2026-10-02 workdays ");
        assert_ne!(one.canonical(), calendar(Tz::UTC, &days, &["09:00-12:00"], &[], &[]).canonical());
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let days = ["Mon-Fri", "Funday", "Mon-", "", "Mon-Tue-Wed", "\u{202e}"];
        let hours = [
            "9-18",
            "09:00",
            "25:00-26:00",
            "09:60-10:00",
            "24:00-06:00",
            "09:00-09:00",
            "+9:00-10:00",
            "09:00-24:01",
            "9:00-10:00",
        ];
        let errors = Calendar::new("office", Tz::UTC, &days, &hours, &[], &[]).unwrap_err();
        let shown: Vec<String> =
            errors.iter().map(|e| format!("{}[{}]: {e}\n    hint: {}", e.field, e.index, e.hint)).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_change_is_found(
            start in 0_u16..1440, length in 1_u16..1440, days in 1_u8..128, zone in 0_usize..4, hours in 0_i64..(24 * 365),
        ) {
            let zone = [Tz::America__New_York, Tz::Australia__Lord_Howe, Tz::Africa__Cairo, Tz::Asia__Shanghai][zone];
            let end = (start + length) % 1440;
            let window = format!("{:02}:{:02}-{:02}:{:02}", start / 60, start % 60, end / 60, end % 60);
            let named: Vec<&str> = (0..7).filter(|day| days >> day & 1 == 1).map(|day| NAMES[day]).collect();
            let calendar = Calendar::new("c", zone, &named, &[window], &[], &[]).unwrap();
            let from = time("2026-01-01T00:00:00Z") + Span::from_hours(hours);
            let change = calendar.next_change(from);
            let mut minutes = (1..14 * 1440).map(|n| from + Span::from_mins(n));
            prop_assert_eq!(change, minutes.find(|at| calendar.contains(*at) != calendar.contains(from)));
        }

        #[test]
        fn whatever_the_text_nothing_panics(days in "\\PC{0,12}|[A-Za-z-]{0,9}", hours in "\\PC{0,14}|[0-9:-]{0,12}") {
            let _ = Calendar::new("c", Tz::UTC, &[days], &[hours], &[], &[]);
        }
    }
}
