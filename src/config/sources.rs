//! One `[[source]]`: what every kind has in common, and the settings of its kind.
//!
//! Neighbours: `source` owns the settings of each kind, `users` reads the lists of names. A part of its own because
//! schedule, account and users are checked against the rest of the file.

use std::sync::Arc;

use chrono_tz::Tz;

use super::agent::zone;
use super::names::Names;
use super::section::Section;
use super::users;
use crate::engine;
use crate::engine::rule::Rule;
use crate::engine::schedule::Schedule;
use crate::engine::time::{Span, Time};
use crate::source;

/// Users one request asks for.
const USERS_PER_REQUEST: usize = 50;

/// A source as the file describes it.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    /// None where the file has no account: the vendor's default credential chain.
    pub account: Option<String>,
    pub schedule: Schedule,
    /// The schedule's smallest interval, as of when the file was read.
    pub interval: Span,
    /// How long one poll may take; retries end there.
    pub budget: Span,
    /// Everybody to ask about, each once, in the order they are written.
    pub users: Arc<engine::names::Names>,
    /// How old the instance's own list of users may get, where it is asked for too.
    pub roster: Option<Span>,
    /// What its kind needs to know. Its own `account`, `schedule`, `users`… are the texts these fields came from.
    pub settings: source::Settings,
}

impl Source {
    /// How long a value holds under `rule` while readings are missing.
    pub fn max_gap(&self, rule: &Rule) -> Span {
        rule.max_gap.unwrap_or_else(|| self.interval.times(3))
    }

    /// What is blind time in this source whatever rule is meant: as under the rule that bears least.
    pub fn least_gap<'r>(&self, rules: impl IntoIterator<Item = &'r Rule>) -> Span {
        let here = rules.into_iter().filter(|rule| rule.scope.covers_source(&self.name));
        here.map(|rule| self.max_gap(rule)).min().unwrap_or_else(|| self.interval.times(3))
    }
}

/// Reads a source: the keys of its kind first, then what all kinds have in common.
pub(super) fn read(
    section: &mut Section<'_>,
    accounts: &Names,
    zone_of_agent: Tz,
    now: Time,
) -> Option<Source> {
    let settings = source::Settings::read(section);
    let name = section.name("name");
    let account = account(section, accounts);
    let zone = zone(section, "timezone").unwrap_or(zone_of_agent);
    let schedule = schedule(section, zone);
    let interval = schedule.as_ref().map_or(Span::MAX, |schedule| schedule.interval(now));
    let users = Arc::new(users::read(section));
    if users.is_empty() && (section.has("users") || section.has("users_file")) {
        let key = if section.has("users_file") { "users_file" } else { "users" };
        section.warning_at(key, "holds no names; the source asks for nobody", None);
    }
    let budget = budget(section, interval);
    let settings = settings?;
    let roster = settings.roster();
    Some(Source { name: name?, account, schedule: schedule?, interval, budget, users, roster, settings })
}

fn budget(section: &mut Section<'_>, interval: Span) -> Span {
    let usual = Span::from_millis(interval.millis() / 10 * 8);
    let Some(budget) = section.peek_string("budget").and_then(|text| text.parse().ok()) else { return usual };
    if budget > interval {
        let message = format!("{budget} is more than the {interval} between polls");
        section.error_at("budget", &message, Some("leave it out to mean 80 % of the interval"));
    }
    budget
}

fn schedule(section: &mut Section<'_>, zone: Tz) -> Option<Schedule> {
    let text = section.required_string("schedule")?;
    match Schedule::parse(&text, zone) {
        Ok(schedule) => Some(schedule),
        Err(error) => {
            let place = section.place_within("schedule", error.span);
            section.notes.error(section.text, &place, error.message, error.hint.as_deref());
            None
        }
    }
}

/// The account named, else the only one.
fn account(section: &mut Section<'_>, accounts: &Names) -> Option<String> {
    if let Some(name) = section.spanned_string("account") {
        return accounts.check(section, "account", name.span(), name.get_ref()).then(|| name.into_inner());
    }
    let only = accounts.only().map(str::to_owned);
    if only.is_none() && !accounts.is_empty() {
        section.error_at("account", "is missing, and there are several accounts", Some("name one of them"));
    }
    only.inspect(|name| accounts.mark(name))
}

/// Refuses a schedule that its rate cannot serve; `rate` is in requests a second.
pub(super) fn check_load(section: &Section<'_>, source: &Source, rate: f64) {
    let requests = source.users.len().div_ceil(USERS_PER_REQUEST);
    #[expect(clippy::cast_precision_loss, reason = "counts of requests and milliseconds are far below 2^52")]
    let (needed, have) = (requests as f64 / rate, source.budget.millis() as f64 / 1000.0);
    if needed <= have {
        return;
    }
    let users = source.users.len();
    let message = format!(
        "{users} {} {requests} {}, {needed:.0} s at {rate} a second, and a poll has {}",
        if users == 1 { "user is" } else { "users are" },
        if requests == 1 { "request" } else { "requests" },
        source.budget
    );
    let hint = "poll less often, or raise requests_per_second as far as the vendor allows";
    section.error_at("schedule", &message, Some(hint));
}
