//! Schedules: crontab text in a named zone, read as instants in UTC.
//!
//! Neighbours: `crontab` rewrites the text for the `cron` crate, which steps over local wall time; `zone` maps local
//! times to instants; `due` says what a run at a moment stands for. A part of its own because the crate given a zone
//! loses an hour of instants each autumn and a day's instant in spring.

mod crontab;
mod due;

use std::ops::Range;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use chrono_tz::Tz;
use cron::TimeUnitSpec;

use super::time::{Span, Time};
use super::zone;

pub use due::{Cause, Due, MOST_MISSED, Run};

/// How far ahead [`Schedule::interval`] looks.
const HORIZON: Span = Span::from_days(7);

/// Polls begin a little after their instants, now more and now less. What comes round with them counts as due this much
/// before its time: else the poll meant would be taken for too early, and the next may be a day away.
pub const LATE: Span = Span::from_secs(10);

/// The `cron` crate knows the years 1970 to 2100.
const YEARS: (i32, i32) = (1970, 2100);

/// Those years in any zone; what lies outside need not be searched (1969-12-30 to 2101-01-03).
const SEARCHED: (Time, Time) = (Time::from_millis(-172_800_000), Time::from_millis(4_134_153_600_000));

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScheduleError {
    /// The bytes of the text that are wrong.
    pub span: Range<usize>,
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

/// Crontab text in a zone: five fields, or six with seconds first, or one of `@hourly @daily @weekly @monthly`.
///
/// With `*` or `*/n` as hours it means every matching local time, both passes of an autumn hour too. With other
/// hours it means each local time once: in a spring gap at the gap's end, in an autumn overlap at the first pass.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    zone: Tz,
    /// Steps over wall time; more than one where both day fields are restricted, which means either of them.
    steps: Vec<cron::Schedule>,
    every_hour: bool,
    /// Where all hours of all days are alike, which they mostly are: the seconds of an hour, ascending. Empty otherwise.
    alike: Vec<u32>,
    /// The smallest distance between two seconds of the seconds field, over the minute's end; 60 with one second.
    grain: Span,
}

/// Same text in the same zone.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for Schedule {}

impl Schedule {
    /// Refuses what is no crontab text, what would run every second, and what never runs.
    pub fn parse(text: &str, zone: Tz) -> Result<Self, ScheduleError> {
        let crontab::Rewritten { expressions, every_hour, seconds } = crontab::rewrite(text)?;
        let whole = || ScheduleError { span: 0..text.len(), message: String::new(), hint: None };
        let mut steps = Vec::new();
        for expression in expressions {
            let step = expression.parse::<cron::Schedule>();
            steps.push(step.map_err(|error| ScheduleError { message: error.to_string(), ..whole() })?);
        }
        let all_hours = steps.iter().all(|step| step.hours().count() == 24);
        let grain = steps.first().map_or(Span::from_mins(1), grain);
        if grain < Span::from_secs(2) {
            return Err(ScheduleError {
                span: seconds,
                message: "the schedule runs twice within two seconds".to_owned(),
                hint: Some("the closest runs are two seconds apart: `*/2` as seconds".to_owned()),
            });
        }
        let alike = match &steps[..] {
            [step] => alike(step),
            _ => Vec::new(),
        };
        let (text, every_hour) = (text.to_owned(), every_hour || all_hours);
        let schedule = Self { text, zone, steps, every_hour, alike, grain };
        if schedule.next_local(NaiveDate::default().and_time(NaiveTime::MIN)).is_none() {
            return Err(ScheduleError {
                message: "the schedule never runs: no month of it has such a day".to_owned(),
                hint: Some("choose a day that the months have; `@monthly` runs on the first".to_owned()),
                ..whole()
            });
        }
        Ok(schedule)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first instant strictly after `at`. None from the year 2100 on.
    pub fn next_after(&self, at: Time) -> Option<Time> {
        let at = at.max(SEARCHED.0);
        if self.every_hour { self.next_matching(at) } else { self.next_once_a_day(at) }
    }

    /// The first `n` instants after `from`.
    pub fn instants(&self, from: Time, n: usize) -> Vec<Time> {
        std::iter::successors(self.next_after(from), |at| self.next_after(*at)).take(n).collect()
    }

    /// The smallest distance between two instants within 7 days after `from`; where there are fewer than two, the
    /// distance of the next two; without those, 7 days.
    pub fn interval(&self, from: Time) -> Span {
        let until = from + HORIZON;
        let steady = zone::next_change(self.zone, from, until).is_none();
        let mut smallest: Option<Span> = None;
        let Some(mut earlier) = self.next_after(from) else { return HORIZON };
        while let Some(at) = self.next_after(earlier) {
            if at > until && smallest.is_some() {
                break;
            }
            let distance = at.since(earlier);
            smallest = Some(smallest.map_or(distance, |s| s.min(distance)));
            // Nothing can be closer, so the rest of the week need not be walked; a change of the offset could.
            if at > until || (steady && distance <= self.grain) {
                break;
            }
            earlier = at;
        }
        smallest.unwrap_or(HORIZON)
    }

    /// Every instant at which the wall clock shows a matching time. The offset is constant between two changes of
    /// it, so each such stretch is walked with its own.
    fn next_matching(&self, at: Time) -> Option<Time> {
        let mut from = at;
        let mut shown = zone::local(self.zone, at);
        loop {
            let found = zone::at_offset(self.next_local(shown)?, zone::offset(self.zone, from));
            let Some(change) = zone::next_change(self.zone, from, found) else { return Some(found) };
            from = change;
            // `next_local` is strictly after, and the first moment of the new stretch may match.
            shown = zone::local(self.zone, change) - TimeDelta::seconds(1);
        }
    }

    /// Each matching local time once. Later local times never map to earlier instants, so the first one that lies
    /// after `at` is the next; in the second pass of an overlap some map before `at` and are passed over.
    fn next_once_a_day(&self, at: Time) -> Option<Time> {
        let mut shown = zone::local(self.zone, at);
        loop {
            shown = self.next_local(shown)?;
            let found = zone::first(self.zone, shown);
            if found > at {
                return Some(found);
            }
        }
    }

    /// The next local time, by the crate, which is given local time as if it were UTC; by the hour where all are alike.
    fn next_local(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        if after.year() > YEARS.1 {
            return None;
        }
        let before_all =
            NaiveDate::from_ymd_opt(YEARS.0, 1, 1)?.and_time(NaiveTime::MIN) - TimeDelta::seconds(1);
        let after = after.max(before_all);
        if let Some(first) = self.alike.first() {
            return next_in_hour(after, *first, &self.alike).filter(|next| next.year() <= YEARS.1);
        }
        let after = after.and_utc();
        self.steps.iter().filter_map(|step| step.after(&after).next()).min().map(|at| at.naive_utc())
    }
}

/// The seconds of an hour at which a step runs, if it runs in every hour of every day alike.
fn alike(step: &cron::Schedule) -> Vec<u32> {
    let days = [step.days_of_month().count(), step.months().count(), step.days_of_week().count()];
    if step.hours().count() < 24 || days != [31, 12, 7] {
        return Vec::new();
    }
    let minutes = step.minutes().iter();
    minutes.flat_map(|minute| step.seconds().iter().map(move |second| minute * 60 + second)).collect()
}

/// The first of the hour's `seconds` after a local time, or in the hour after that the `first` of them.
fn next_in_hour(after: NaiveDateTime, first: u32, seconds: &[u32]) -> Option<NaiveDateTime> {
    let passed = after.minute() * 60 + after.second();
    let next = seconds.get(seconds.partition_point(|second| *second <= passed)).copied();
    let further = TimeDelta::seconds(i64::from(next.unwrap_or(3600 + first)) - i64::from(passed));
    after.with_nanosecond(0)?.checked_add_signed(further)
}

fn grain(step: &cron::Schedule) -> Span {
    let seconds: Vec<u32> = step.seconds().iter().collect();
    let (Some(first), Some(last)) = (seconds.first(), seconds.last()) else { return Span::from_mins(1) };
    let over_the_end = first + 60 - last;
    let smallest = seconds.windows(2).map(|pair| pair[1] - pair[0]).chain([over_the_end]).min();
    Span::from_secs(smallest.unwrap_or(60).into())
}

#[cfg(test)]
mod tests;
