//! One `[[calendar]]`: days, hours, holidays and make-up days, with every mistake at its place.
//!
//! Neighbours: `engine::calendar` says what the words mean, rules name a calendar in `during`. A part of its own
//! because each table of the file has one file here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono_tz::Tz;

use super::agent::zone;
use super::names::Names;
use super::section::{Section, Spanned};
use crate::engine::calendar::Calendar;

/// Reads all calendars. Those that are the rest of another come after it, wherever they stand.
pub(super) fn read_all(
    sections: Vec<Section<'_>>,
    names: &Names,
    agent_zone: Tz,
) -> BTreeMap<String, Arc<Calendar>> {
    let mut calendars: BTreeMap<String, Arc<Calendar>> = BTreeMap::new();
    let (rests, plain): (Vec<_>, Vec<_>) = sections.into_iter().partition(|section| section.peek("outside"));
    for mut section in plain {
        section.has("outside");
        let calendar = read(&mut section, agent_zone);
        calendars.extend(calendar.map(|calendar| (calendar.name().to_owned(), Arc::new(calendar))));
        section.finish();
    }
    let mut found = Vec::with_capacity(rests.len());
    let others: BTreeSet<&str> = rests.iter().filter_map(|section| section.peek_string("name")).collect();
    for mut section in rests {
        found.extend(rest(&mut section, names, &calendars, &others));
        section.finish();
    }
    calendars.extend(found.into_iter().map(|calendar| (calendar.name().to_owned(), Arc::new(calendar))));
    calendars
}

/// Reads a calendar that is all the time another one is not; `others` are such too.
fn rest(
    section: &mut Section<'_>,
    names: &Names,
    calendars: &BTreeMap<String, Arc<Calendar>>,
    others: &BTreeSet<&str>,
) -> Option<Calendar> {
    let name = section.label("name");
    let inner = section.spanned_string("outside")?;
    for key in ["timezone", "days", "hours", "holidays", "workdays"] {
        if section.has(key) {
            let hint = "leave it out: they are those of the other calendar";
            section.error_at(key, "cannot stand beside outside", Some(hint));
        }
    }
    if !names.check(section, "outside", inner.span(), inner.get_ref()) {
        return None;
    }
    let Some(calendar) = calendars.get(inner.get_ref()) else {
        // One that was refused has been told of.
        if others.contains(inner.get_ref().as_str()) {
            let hint = "name one with days or hours of its own";
            section.error_at(
                "outside",
                &format!("{:?} has no hours of its own", inner.get_ref()),
                Some(hint),
            );
        }
        return None;
    };
    Some(Calendar::outside(&name?, calendar))
}

/// Reads one calendar; without a zone of its own it follows the agent's.
fn read(section: &mut Section<'_>, agent_zone: Tz) -> Option<Calendar> {
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
