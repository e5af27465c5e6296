//! One `[[calendar]]`: days, hours, holidays and make-up days, with every mistake at its place.
//!
//! Neighbours: `engine::calendar` says what the words mean, rules name a calendar in `during`. A part of its own
//! because each table of the file has one file here.

use chrono_tz::Tz;

use super::agent::zone;
use super::section::{Section, Spanned};
use crate::engine::calendar::Calendar;

/// Reads one calendar; without a zone of its own it follows the agent's.
pub(super) fn read(section: &mut Section<'_>, agent_zone: Tz) -> Option<Calendar> {
    let name = section.label("name");
    let zone = zone(section, "timezone").unwrap_or(agent_zone);
    let days = section.strings("days");
    let hours = section.strings("hours");
    let holidays = section.dates("holidays");
    let workdays = section.dates("workdays");
    for day in &workdays {
        if holidays.contains(day) {
            let message = format!("{} is a holiday too; it counts as a working day", day.get_ref());
            section.warning_in(day.span(), "workdays", &message, None);
        }
    }
    let plain = |dates: &[Spanned<chrono::NaiveDate>]| dates.iter().map(|d| *d.get_ref()).collect::<Vec<_>>();
    let name_or_none = name.as_deref().unwrap_or_default();
    match Calendar::new(
        name_or_none,
        zone,
        &texts(&days),
        &texts(&hours),
        &plain(&holidays),
        &plain(&workdays),
    ) {
        Ok(calendar) => name.map(|_| calendar),
        Err(errors) => {
            for error in errors {
                let list = if error.field == "days" { &days } else { &hours };
                let span =
                    list.get(error.index).map_or_else(|| section.place(error.field).span, Spanned::span);
                section.error_in(span, error.field, &error.message, Some(&error.hint));
            }
            None
        }
    }
}

fn texts(list: &[Spanned<String>]) -> Vec<&str> {
    list.iter().map(|text| text.get_ref().as_str()).collect()
}
