//! What a rule says of each of its subjects at a poll: conditions evaluated over columns, in chunks.
//!
//! Neighbours: `judge` asks, `lang` and `signals` answer. A part of its own because this is the hot path: it runs for
//! every user and poll, and everything after it only for the few that matter.

use std::ops::Range;

use super::alert::Verdict;
use super::lang::{Program, Signal, Truth};
use super::plan::{Plan, Subjects, track};
use super::reading::{Kind, Poll, Reading};
use super::rule::AbsentMeans;
use super::watch::{NO_LIMIT, Watch};

/// What a rule says of a subject at a poll, and so what `judge` is to do with its alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judged {
    Inside(Verdict),
    /// Outside the rule's `during`.
    Outside(Verdict),
    LeftScope,
}

/// Subjects per chunk: their columns stay in the cache.
const CHUNK: u32 = 1024;

/// The verdicts that can change anything, in the order of subjects: every breach, and every verdict on a subject
/// whose alert is kept. All others are clear, or unknown, for an alert that is `ok`.
pub(super) fn of(watch: &Watch, plan: &Plan, poll: &Poll) -> Vec<(u32, Judged)> {
    let inside = plan.inside(poll.at);
    let width = plan.width(poll.readings.len());
    let mut found = Vec::new();
    let mut at = 0;
    while at < width {
        let range = at..(at + CHUNK).min(width);
        at = range.end;
        if inside && plan.covers_any(&range) {
            breaches(watch, plan, poll, range.clone(), &mut found);
        }
        kept(watch, plan, poll, range, inside, &mut found);
    }
    found
}

/// Breaches in `range` of subjects whose alert is not kept yet.
fn breaches(watch: &Watch, plan: &Plan, poll: &Poll, range: Range<u32>, found: &mut Vec<(u32, Judged)>) {
    let truths = evaluate(watch, plan, &plan.rule.when, range.clone());
    for (index, truth) in range.zip(truths) {
        let breach = truth == Truth::True || absent_breach(plan, poll, index);
        if breach && plan.covers(index) && !plan.alerts.contains_key(&index) && tells(watch, plan, index) {
            found.push((index, Judged::Inside(Verdict::Breach)));
        }
    }
}

/// Verdicts on subjects in `range` whose alert is kept.
fn kept(
    watch: &Watch,
    plan: &Plan,
    poll: &Poll,
    range: Range<u32>,
    inside: bool,
    found: &mut Vec<(u32, Judged)>,
) {
    let kept = plan.alerts.range(range).map(|(index, _)| *index);
    found.extend(kept.map(|index| (index, one(watch, plan, poll, index, inside))));
}

/// The verdict on one subject, whatever its alert. `inside` says whether the rule looks at all at this poll.
pub(super) fn one(watch: &Watch, plan: &Plan, poll: &Poll, index: u32, inside: bool) -> Judged {
    if !plan.covers(index) {
        return Judged::LeftScope;
    }
    if !tells(watch, plan, index) {
        return if inside { Judged::Inside(Verdict::Unknown) } else { outside(Truth::Unknown) };
    }
    let truth = |program: &Program| evaluate(watch, plan, program, index..index + 1)[0];
    let absent = absent_breach(plan, poll, index);
    let when = if absent { Truth::True } else { truth(&plan.rule.when) };
    let clear = match &plan.rule.clear_when {
        Some(program) => truth(program),
        // Outside its window a rule without `clear_when` still clears by its own condition.
        None => not(when),
    };
    if inside { Judged::Inside(verdict(when, clear)) } else { outside(clear) }
}

/// Outside the window nothing is a breach, and only the clear condition counts.
const fn outside(clear: Truth) -> Judged {
    Judged::Outside(match clear {
        Truth::True => Verdict::Clear,
        Truth::False => Verdict::Between,
        Truth::Unknown => Verdict::Unknown,
    })
}

/// Whether this poll tells the rule anything new of the subject. Windows hold the last value for a while, but a poll
/// that brought no reading must not move an alert; only signals about missing readings themselves may,
/// and those that need none.
fn tells(watch: &Watch, plan: &Plan, index: u32) -> bool {
    let reading = plan.reading(index, &watch.signals);
    plan.known(reading)
        || !plan.names(|signal| !matches!(signal, Signal::Known | Signal::Enabled))
        || match reading.kind() {
            Kind::Absent => plan.names(|signal| *signal == Signal::AbsentTime),
            Kind::Failed if !plan.per_user() => plan.names(|signal| {
                matches!(
                    signal,
                    Signal::SilentTime | Signal::FailedShare | Signal::Members | Signal::UsersOnline
                )
            }),
            Kind::Online(_) | Kind::Failed | Kind::NotPolled => false,
        }
}

/// The verdict that the two conditions make together.
const fn verdict(when: Truth, clear: Truth) -> Verdict {
    match (when, clear) {
        (Truth::True, _) => Verdict::Breach,
        (Truth::False | Truth::Unknown, Truth::True) => Verdict::Clear,
        // That there is no breach is known, whatever `clear_when` needs to tell the rest.
        (Truth::False, Truth::False | Truth::Unknown) => Verdict::Between,
        (Truth::Unknown, _) => Verdict::Unknown,
    }
}

const fn not(truth: Truth) -> Truth {
    match truth {
        Truth::True => Truth::False,
        Truth::False => Truth::True,
        Truth::Unknown => Truth::Unknown,
    }
}

fn absent_breach(plan: &Plan, poll: &Poll, index: u32) -> bool {
    plan.rule.absent == AbsentMeans::Breach
        && plan.per_user()
        && poll.readings.get(index as usize).copied().map(Reading::kind) == Some(Kind::Absent)
}

fn evaluate(watch: &Watch, plan: &Plan, program: &Program, range: Range<u32>) -> Vec<Truth> {
    let len = range.len();
    let mut truths = vec![Truth::Unknown; len];
    let (track, max_gap) = (track(plan.rule.absent), plan.max_gap);
    let mut fill = |signal: &Signal, out: &mut [f64]| match (signal, &plan.subjects) {
        (Signal::Limit, Subjects::Users(_)) => limits(watch, plan, range.clone(), out),
        (Signal::Limit, Subjects::Groups(_)) => out.fill(plan.rule.limit.map_or(f64::NAN, f64::from)),
        (Signal::Known | Signal::Enabled, Subjects::Users(_)) => {
            watch.fill_roster(*signal, range.clone(), out);
        }
        (Signal::Usual(q), _) => plan.usual.fill(*q, range.clone(), out),
        (Signal::Peers(q), _) => out.fill(plan.peers.value(*q)),
        (_, Subjects::Users(_)) => watch.signals.fill(signal, track, max_gap, range.clone(), out),
        (_, Subjects::Groups(groups)) => groups.totals.fill(signal, track, max_gap, range.clone(), out),
    };
    program.evaluate(len, &mut fill, &mut truths);
    truths
}

fn limits(watch: &Watch, plan: &Plan, range: Range<u32>, out: &mut [f64]) {
    let default = plan.rule.limit.map_or(f64::NAN, f64::from);
    for (slot, out) in range.zip(out) {
        *out = match watch.own_limits.get(slot as usize).copied() {
            None | Some(NO_LIMIT) => default,
            Some(limit) => f64::from(limit),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_unknown_only_where_neither_condition_tells() {
        let words = |truth| match truth {
            Truth::True => "true",
            Truth::False => "false",
            Truth::Unknown => "unknown",
        };
        let all = [Truth::True, Truth::False, Truth::Unknown];
        let mut table = String::new();
        for when in all {
            for clear in all {
                let verdict = verdict(when, clear);
                table += &format!("when {:8} clear_when {:8} -> {verdict:?}\n", words(when), words(clear));
            }
        }
        insta::assert_snapshot!(table);
    }
}
