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
        Ok(Self { name: name.to_owned(), zone, days: open, windows, holidays, workdays })
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
        inside(shown.date()) || shown.date().pred_opt().is_some_and(inside)
    }

    /// The first instant after `at` at which [`Calendar::contains`] turns; None if it never does, or not within ten
    /// years.
    pub fn next_change(&self, at: Time) -> Option<Time> {
        let now = self.contains(at);
        let today = zone::local(self.zone, at).date();
        let special = self.holidays.iter().chain(&self.workdays).max();
        let ahead = special.map_or(0, |last| last.signed_duration_since(today).num_days().max(0));
        let mut until = at;
        for day in -1..(ahead + PATTERN).min(FARTHEST) {
            let date = today.checked_add_signed(TimeDelta::days(day))?;
            let mut turns = self.turns(date);
            let from = until;
            until = until.max(zone::last(self.zone, date.and_time(NaiveTime::MIN)));
            // Where the clock is set, it may be set into a window or out of it.
            turns.extend(zone::next_change(self.zone, from, until));
            turns.sort_unstable();
            if let Some(turn) = turns.into_iter().find(|turn| *turn > at && self.contains(*turn) != now) {
                return Some(turn);
            }
        }
        None
    }

    /// Equal calendars have equal texts, whatever they are called and however they are written.
    pub fn canonical(&self) -> String {
        let days: String = self.days.iter().map(|open| if *open { '1' } else { '0' }).collect();
        let windows: Vec<String> = self.windows.iter().map(|(start, end)| format!("{start}-{end}")).collect();
        let dates = |all: &[NaiveDate]| all.iter().map(NaiveDate::to_string).collect::<Vec<_>>().join(",");
        let (holidays, workdays) = (dates(&self.holidays), dates(&self.workdays));
        format!("{} {days} {} holidays {holidays} workdays {workdays}", self.zone, windows.join(","))
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
        let name = name.trim().to_ascii_lowercase();
        let known = NAMES.iter().position(|known| name == *known || name == known[..3]);
        known.ok_or_else(|| {
            let shown = name.escape_debug();
            (format!("`{shown}` is no weekday"), "weekdays are Mon to Sun, ranges `Mon-Fri`".to_owned())
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
    if start == DAY || start == end {
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
