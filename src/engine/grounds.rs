//! What an event rests on beside the readings of its stretch: what the signals were worth, and what a window saw.
//!
//! Neighbours: `judge` and `tend` add it to each event they build, `verdict` and `signals` know it. A part of its own
//! because it is asked of the few subjects that get an event, never of every user at every poll.

use super::alert::TRAIL;
use super::event::{EndReason, Event, EventKind, EventReading, Plain, SignalValue};
use super::lang::{Part, Truth, Worth};
use super::plan::{Plan, Subjects, track};
use super::reading::Reading;
use super::signals::Track;
use super::time::Span;
use super::verdict;
use super::watch::Watch;

/// Signals an event names.
const MOST_SIGNALS: usize = 20;

/// Adds to an event of `plan` what its condition saw of the subject at the last poll.
pub(super) fn add(watch: &Watch, plan: &Plan, index: u32, event: &mut Event) {
    // The condition had no part in these.
    let without = matches!(event.reason, Some(EndReason::LeftScope | EndReason::RuleRemoved));
    if without || verdict::absent_breach(watch, plan, index) {
        return;
    }
    let clears = plan.rule.clear_when.as_ref().filter(|_| event.kind == EventKind::Ended);
    let program = clears.unwrap_or(&plan.rule.when);
    let mut parts = verdict::told(watch, plan, program, index);
    parts.sort_by_key(|part| !part.decides);
    parts.truncate(MOST_SIGNALS);
    event.signals = parts.into_iter().map(value).collect();
    if let Some(window) = program.signals().iter().filter_map(|signal| signal.window()).max() {
        let gap = plan.max_gap;
        let stood: Box<dyn Iterator<Item = (Span, u32)>> = match &plan.subjects {
            Subjects::Users(_) => Box::new(watch.signals.stood(index, track(plan.rule.absent), window)),
            Subjects::Groups(groups) => {
                Box::new(groups.totals.stood(index, track(plan.rule.absent), gap, window))
            }
        };
        // On this track a zero may be an absent name: what it was is not known any more.
        let told = |count: u32| count > 0 || !plan.per_user() || track(plan.rule.absent) == Track::AbsentHeld;
        let (clock, last) = (watch.memory.clock, watch.memory.last_at.unwrap_or(event.at));
        // Before the wall clock was set, it showed something else than counting back says: nobody was asked then.
        let even = |since: Span| watch.memory.even_since.is_some_and(|even| since >= even);
        let seen = stood.filter(|(since, count)| even(*since) && told(*count));
        let seen = seen
            .map(|(since, count)| EventReading::new(last - (clock - since), Reading::online(count), None));
        event.readings.change(|trail| put_before(trail, seen));
    }
}

fn value(part: Part) -> SignalValue {
    let (value, length) = match part.worth {
        Worth::Number(number) => (number.map(plain), None),
        Worth::Duration(length) => (None, length),
        Worth::Truth(Truth::Unknown) => (None, None),
        Worth::Truth(truth) => (Some(Plain::Truth(truth == Truth::True)), None),
    };
    SignalValue { signal: part.text, value, length, decides: part.decides }
}

fn plain(number: f64) -> Plain {
    let rounded = (number * 1000.0).round() / 1000.0;
    if rounded.fract() == 0.0 { Plain::Whole(rounded as i64) } else { Plain::Number(rounded) }
}

/// Puts readings that changed something, given newest first, before those of a stretch, as many as have room; before that
/// those of the stretch that only repeat what was read give way.
fn put_before(trail: &mut Vec<EventReading>, earlier: impl Iterator<Item = EventReading>) {
    let first = trail.first().map(|reading| reading.at);
    let earlier = earlier.filter(|reading| first.is_none_or(|first| reading.at < first));
    let mut earlier: Vec<EventReading> = earlier.take(TRAIL).collect();
    if earlier.is_empty() {
        return;
    }
    if earlier.len() + trail.len() > TRAIL {
        let last = trail.last().map(|reading| reading.at);
        trail.dedup_by(|next, kept| next.reading == kept.reading && Some(next.at) != last);
    }
    earlier.truncate(TRAIL.saturating_sub(trail.len()));
    earlier.reverse();
    trail.splice(..0, earlier);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Time;

    fn readings(counts: &[(i64, u32)]) -> Vec<EventReading> {
        let start: Time = "2026-11-22T03:00:00Z".parse().unwrap();
        let reading = |(minutes, count): &(i64, u32)| {
            EventReading::new(start + Span::from_mins(*minutes), Reading::online(*count), None)
        };
        counts.iter().map(reading).collect()
    }

    #[track_caller]
    fn check(earlier: &[(i64, u32)], trail: &[(i64, u32)], expect: &[(i64, u32)]) {
        let mut found = readings(trail);
        put_before(&mut found, readings(earlier).into_iter().rev());
        assert_eq!(found, readings(expect));
    }

    #[test]
    fn what_changed_before_comes_before_what_repeats() {
        check(&[(0, 1), (5, 3)], &[(9, 3)], &[(0, 1), (5, 3), (9, 3)]);
        check(&[(0, 1), (9, 3)], &[(9, 3)], &[(0, 1), (9, 3)]);
        check(&[(0, 1)], &[], &[(0, 1)]);
        let trail: Vec<(i64, u32)> = (20..40).map(|minute| (minute, 3)).collect();
        check(&[(0, 1), (5, 3)], &trail, &[(0, 1), (5, 3), (20, 3), (39, 3)]);
        let many: Vec<(i64, u32)> = (0..30).map(|minute| (minute, minute as u32 % 2)).collect();
        let mut expect = many[11..].to_vec();
        expect.push((40, 3));
        check(&many, &[(40, 3)], &expect);
        let moving: Vec<(i64, u32)> = (40..60).map(|minute| (minute, minute as u32 % 2)).collect();
        check(&many, &moving, &moving);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(plain(5.0), Plain::Whole(5));
        assert_eq!(plain(2.0 / 3.0), Plain::Number(0.667));
    }
}
