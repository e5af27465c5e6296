//! What a rule says that is no mistake and can hardly be meant: conditions that are certain, spans that no poll can tell.
//!
//! Neighbours: `scope` calls this for each rule with the sources it covers, `engine::lang` judges the conditions. A part
//! of its own because each doubt is one small function, and all of them are warnings.

use super::section::Section;
use super::sources::Source;
use crate::engine::calendar::Calendar;
use crate::engine::lang::{self, Certain, Given, Signal, USUAL_NEEDS};
use crate::engine::rule::{AbsentMeans, Hold, Per, Rule};
use crate::engine::time::{Span, Time};

/// The hour four weeks ago is all there, whenever in its hour the poll is.
const USUAL_COMPARES: Span = Span::from_days(29);

/// How often a calendar opens and closes before it is said that no poll comes while it is open: a year of every day.
const MOST_CHANGES: usize = 732;

/// What a rule is held against.
pub(super) struct Around<'a> {
    /// Those it covers.
    pub(super) sources: &'a [&'a Source],
    /// How long readings are kept.
    pub(super) readings: Span,
    pub(super) now: Time,
    /// The lowest and the highest limit of those it covers, where it names one.
    pub(super) limits: Option<(u32, u32)>,
}

impl Around<'_> {
    /// What is known whatever is read. A guard such as `limit > 0` is no mistake because all have one.
    fn given(&self, rule: &Rule) -> Given {
        let interval = self.sources.iter().map(|source| source.interval).min();
        Given { per: rule.per, limits: None, interval }
    }

    /// The source that is polled least often.
    fn slowest(&self) -> Option<&Source> {
        self.sources.iter().copied().max_by_key(|source| source.interval)
    }
}

/// Warns of everything doubtful about `rule`.
pub(super) fn check(section: &Section<'_>, rule: &Rule, around: &Around<'_>) {
    let sure = certain(section, "when", rule, &rule.when_text, around);
    if let Some(clear) = &rule.clear_when_text
        && !certain(section, "clear_when", rule, clear, around)
        && !sure
    {
        together(section, rule, clear, around);
    }
    for (key, text) in [("when", Some(&rule.when_text)), ("clear_when", rule.clear_when_text.as_ref())] {
        for (signal, span) in text.into_iter().flat_map(|text| lang::mentions(text, rule.per)) {
            let doubt = short_window(signal, around).or_else(|| short_memory(signal, around));
            if let Some((message, hint)) = doubt {
                let place = section.place_within(key, span);
                section.notes.warning(section.text, &place, message, Some(hint));
            }
        }
    }
    for (key, hold) in [("for", rule.policy.hold), ("clear_for", rule.policy.clear_hold)] {
        short_hold(section, key, hold, around);
        one_poll(section, key, hold);
    }
    short_repeat(section, rule, around);
    short_gap(section, rule, around);
    never_open(section, rule, around);
    short_total(section, rule);
    idle_limit(section, rule);
}

/// Parts of a condition that never or always hold; whether the whole does.
fn certain(section: &Section<'_>, key: &str, rule: &Rule, text: &str, around: &Around<'_>) -> bool {
    let given = around.given(rule);
    let mut found = lang::certain(text, given);
    let whole = |found: &[Certain]| found.iter().any(|part| part.whole);
    if !whole(&found) && around.limits.is_some() {
        let limited = lang::certain(text, Given { limits: around.limits, ..given });
        if whole(&limited) {
            found = limited;
        }
    }
    for part in &found {
        // Then names that are missing are what it fires for.
        if part.whole && !part.holds && key == "when" && rule.absent == AbsentMeans::Breach {
            continue;
        }
        let how = if part.holds { "always" } else { "never" };
        let message = match (part.whole, key, part.holds) {
            (true, "when", true) => "always holds: it fires for everyone and never ends".to_owned(),
            (true, "when", false) => "can never hold: the rule never fires".to_owned(),
            (true, _, true) => "always holds: alerts end as soon as `when` does not hold".to_owned(),
            (true, _, false) => "can never hold: alerts never end by themselves".to_owned(),
            (false, ..) => format!("this part {how} holds"),
        };
        let hint = "see what its signals can be, and how `and`, `or` and `not` join them";
        let hint = part.why.as_deref().unwrap_or(hint);
        let place = section.place_within(key, part.span.clone());
        section.notes.warning(section.text, &place, message, Some(hint));
    }
    whole(&found)
}

/// What `clear_when` says counts only where `when` does not hold; outside of `during` it counts alone.
fn together(section: &Section<'_>, rule: &Rule, clear: &str, around: &Around<'_>) {
    if rule.during.is_some() {
        return;
    }
    let given = Given { limits: around.limits, ..around.given(rule) };
    let found = lang::together(&rule.when_text, clear, given);
    if found.never_alone {
        let hint = "it counts only where `when` does not hold: turn the comparison around";
        section.warning_at(
            "clear_when",
            "never holds without `when`: alerts never end by themselves",
            Some(hint),
        );
    } else if let Some(both) = found.both {
        let message = format!("holds together with `when` where {both}; `when` counts there");
        section.warning_at("clear_when", &message, Some("let it hold only where `when` does not"));
    }
}

type Doubt = (String, &'static str);

/// A window in which there is no poll but the last.
fn short_window(signal: Signal, around: &Around<'_>) -> Option<Doubt> {
    let (window, source) = (signal.window()?, around.slowest()?);
    let short = window < source.interval;
    short.then(|| {
        let message = format!("{signal} looks back less than the {} between polls", source.interval);
        (message, "make it a few polls long, or poll more often")
    })
}

fn short_memory(signal: Signal, around: &Around<'_>) -> Option<Doubt> {
    let kept = around.readings;
    if !matches!(signal, Signal::Usual(_)) || kept >= USUAL_COMPARES {
        return None;
    }
    let message = if kept < USUAL_NEEDS {
        format!("{signal} has no value: it needs two weeks of readings, and they are kept for {kept}")
    } else {
        format!("{signal} compares fewer than four weeks: readings are kept for {kept}")
    };
    Some((message, "let retention.readings in [agent] be 29d or more"))
}

/// Warns of a duration that no two polls can tell from zero or from one interval.
fn short_hold(section: &Section<'_>, key: &str, hold: Hold, around: &Around<'_>) {
    if let (Hold::For(span), Some(source)) = (hold, around.slowest())
        && span > Span::ZERO
        && span < source.interval
    {
        let message = format!("{span} is shorter than the {} between polls", source.interval);
        section.warning_at(key, &message, Some("it is met one poll after the first, at the earliest"));
    }
}

/// The poll that decides is one of them.
fn one_poll(section: &Section<'_>, key: &str, hold: Hold) {
    if let Hold::Polls { n: 1, of } = hold {
        let message = format!("1 of {of} polls is met at once");
        section.warning_at(key, &message, Some("leave it out, or ask for more polls"));
    }
}

fn short_repeat(section: &Section<'_>, rule: &Rule, around: &Around<'_>) {
    if let (Some(repeat), Some(source)) = (rule.repeat, around.slowest())
        && repeat < source.interval
    {
        let message = format!("{repeat} is shorter than the {} between polls", source.interval);
        section.warning_at("repeat", &message, Some("it would remind of what nobody looked at again"));
    }
}

/// Between any two readings there would be a hole.
fn short_gap(section: &Section<'_>, rule: &Rule, around: &Around<'_>) {
    if let (Some(gap), Some(source)) = (rule.max_gap, around.slowest())
        && gap < source.interval
    {
        let message =
            format!("{gap} is shorter than the {} between polls: every reading is a hole", source.interval);
        section.warning_at("max_gap", &message, Some("leave it out to mean 3 intervals"));
    }
}

/// A sum over listed users which one of them, misspelt or gone, keeps from having a value.
fn short_total(section: &Section<'_>, rule: &Rule) {
    let sums =
        |signal: &Signal| !matches!(signal, Signal::Members | Signal::SilentTime | Signal::FailedShare);
    if rule.per != Per::User
        && rule.absent == AbsentMeans::Hold
        && !section.states("absent")
        && !section.misspelt("absent")
        && rule.signals().iter().any(sums)
    {
        let message = "one user whom good replies leave out keeps the total from having a value";
        let hint = "add absent = \"zero\" to count them as nobody online, or absent = \"hold\" to mean that";
        let place = section.place("when");
        section.notes.warning(section.text, &place, message.to_owned(), Some(hint));
    }
}

fn never_open(section: &Section<'_>, rule: &Rule, around: &Around<'_>) {
    let Some(calendar) = &rule.during else { return };
    if !calendar.contains(around.now) && calendar.next_change(around.now).is_none() {
        let message = format!("the calendar {:?} never opens: the rule never fires", calendar.name());
        section.warning_at("during", &message, Some("see its days, hours and outside"));
    } else if !around.sources.is_empty()
        && !around.sources.iter().any(|source| meets(source, calendar, around.now))
    {
        let message =
            format!("no poll comes while the calendar {:?} is open: the rule never fires", calendar.name());
        section.warning_at(
            "during",
            &message,
            Some("make its hours longer than the schedule's interval, or poll then"),
        );
    }
}

/// Whether a source is polled in one of the calendar's next times.
fn meets(source: &Source, calendar: &Calendar, now: Time) -> bool {
    let mut at = now;
    for _ in 0..MOST_CHANGES {
        let end = calendar.next_change(at);
        if calendar.contains(at) {
            // The first moment counts.
            let poll = source.schedule.next_after(at - Span::from_millis(1));
            if poll.is_some_and(|poll| end.is_none_or(|end| poll < end)) {
                return true;
            }
        }
        let Some(end) = end else { return false };
        at = end;
    }
    false
}

/// A number that nobody looks at.
fn idle_limit(section: &Section<'_>, rule: &Rule) {
    if section.states("limit") && rule.per == Per::User && !rule.signals().contains(&Signal::Limit) {
        section.warning_at(
            "limit",
            "is not used: no condition names `limit`",
            Some("write `online > limit`, or remove it"),
        );
    }
}
