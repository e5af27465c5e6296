//! The `[agent]` table: where things are kept, in which zone and language, who hears of own alerts.
//!
//! Neighbours: `Config` reads it first because other tables fall back on it. A part of its own because each table
//! of the file has one file here.

use std::path::PathBuf;

use chrono_tz::Tz;

use super::form::Form;
use super::names::Names;
use super::section::{Section, Spanned, suggest};
use crate::engine::message::Language;
use crate::engine::time::Span;

/// The agent's own settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Agent {
    /// The SQLite file.
    pub database: PathBuf,
    /// For schedules, calendars and messages that name none, and for the days of exceptions.
    pub timezone: Tz,
    pub language: Language,
    /// Channels for own alerts, and for rules that name none.
    pub notify: Vec<String>,
    pub retention: Retention,
}

/// How long things are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    pub readings: Span,
    pub events: Span,
    pub attempts: Span,
    /// Request ids that no breach rests on.
    pub requests: Span,
}

impl Default for Retention {
    fn default() -> Self {
        let (readings, events) = (Span::from_days(400), Span::from_days(3 * 365));
        Self { readings, events, attempts: Span::from_days(90), requests: Span::from_days(7) }
    }
}

/// Reads `[agent]`, which may be missing; the names in `notify` come back unchecked, because channels come later.
pub(super) fn read(section: Option<&mut Section<'_>>, root: &Section<'_>) -> (Agent, Vec<Spanned<String>>) {
    let mut agent = Agent {
        database: root.text.path("seatwatch.db"),
        timezone: Tz::UTC,
        language: Language::En,
        notify: Vec::new(),
        retention: Retention::default(),
    };
    let Some(section) = section else { return (agent, Vec::new()) };
    agent.database = section.path("database").unwrap_or(agent.database);
    agent.timezone = zone(section, "timezone").unwrap_or(agent.timezone);
    let languages = [("en", Language::En), ("zh-CN", Language::ZhCn)];
    agent.language = section.choice("language", &languages).unwrap_or(agent.language);
    if let Some(mut table) = section.table("retention") {
        agent.retention = retention(&mut table);
        table.finish();
    }
    (agent, section.strings("notify"))
}

pub(super) fn notify(section: &Section<'_>, names: Vec<Spanned<String>>, channels: &Names) -> Vec<String> {
    channels.check_all(section, "notify", names)
}

fn retention(section: &mut Section<'_>) -> Retention {
    let usual = Retention::default();
    Retention {
        readings: kept(section, "readings").unwrap_or(usual.readings),
        events: kept(section, "events").unwrap_or(usual.events),
        attempts: kept(section, "attempts").unwrap_or(usual.attempts),
        requests: kept(section, "requests").unwrap_or(usual.requests),
    }
}

/// A duration, or whole years as in `3y` (365 days each); at least a day, so that no episode loses its ground.
fn kept(section: &mut Section<'_>, key: &'static str) -> Option<Span> {
    section.value(key, || Form::Kept);
    let years = section.peek_string(key).and_then(|text| text.strip_suffix('y'));
    let Some(years) = years.and_then(|digits| digits.parse::<i64>().ok()) else {
        let text = section.peek_string(key);
        if let Some(text) = text.filter(|text| text.parse::<Span>().is_err()) {
            let message = format!("{text:?} is no time to keep something");
            section.error_at(key, &message, Some("write days as in 400d, or whole years as in 3y"));
            return None;
        }
        return section.duration_in(key, Span::from_days(1)..=Span::from_days(36_500));
    };
    if (1..=100).contains(&years) {
        return Some(Span::from_days(years * 365));
    }
    section.error_at(key, "is out of range", Some("from 1y to 100y"));
    None
}

/// An IANA zone by its name.
pub(super) fn zone(section: &mut Section<'_>, key: &'static str) -> Option<Tz> {
    let name = section.string(key)?;
    if let Ok(zone) = name.parse() {
        return Some(zone);
    }
    let near = suggest(&name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
    let hint = near.unwrap_or_else(|| "use an IANA name, as in \"Asia/Shanghai\"".to_owned());
    section.error_at(key, &format!("{name:?} is not a time zone"), Some(&hint));
    None
}
