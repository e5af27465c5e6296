//! What a rule says of its subjects at a poll: conditions evaluated over columns of those it must look at.
//!
//! Neighbours: `judge` asks, `due` says at whom, `lang` and `signals` answer. A part of its own because this is the hot
//! path: everything after it runs only for the few whose alert moves.

use super::alert::Verdict;
use super::lang::{Line, Machine, Outlook, Part, Program, Signal, Truth};
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
const CHUNK: usize = 1024;

/// The verdicts that can change anything, in the order of subjects: every breach, and every verdict on a subject
/// whose alert is under way. All others are clear, or unknown, for an alert that rests. Nobody is even looked at
/// while what was seen at an earlier poll is sure to last; a verdict by which alone the alert may still move is given
/// again. `turned` are the readings that do not repeat those of the poll before.
pub(super) fn of(
    watch: &Watch,
    plan: &mut Plan,
    poll: &Poll,
    turned: &[(u32, Reading)],
    machine: &mut Machine,
) -> Vec<(u32, Judged)> {
    let inside = plan.inside(poll.at);
    let mut found = Vec::new();
    let (open, resting): (Vec<u32>, Vec<u32>) = if inside {
        let due = plan.take_due(turned, watch.signals.len(), watch.memory.clock, poll.elapsed);
        found = plan.due.take_again(&due);
        due.into_iter().partition(|index| plan.open.contains(*index))
    } else {
        plan.due.all();
        (plan.open.iter().collect(), Vec::new())
    };
    for resting in resting.chunks(CHUNK) {
        breaches(watch, plan, resting, &mut found, machine);
    }
    for open in open.chunks(CHUNK) {
        for (index, judged, lasts) in verdicts(watch, plan, open, inside, machine) {
            plan.due.after(index, watch.memory.clock, lasts);
            found.push((index, judged));
        }
    }
    found.sort_unstable_by_key(|(index, _)| *index);
    found
}

/// Breaches of subjects whose alert rests; the others need not be looked at as long as their outlook lasts.
fn breaches(
    watch: &Watch,
    plan: &mut Plan,
    due: &[u32],
    found: &mut Vec<(u32, Judged)>,
    machine: &mut Machine,
) {
    let told: Vec<u32> = due.iter().copied().filter(|index| tells(watch, plan, *index)).collect();
    let outlooks = evaluate(watch, plan, &plan.rule.when, &told, machine);
    for (index, outlook) in told.into_iter().zip(outlooks) {
        if outlook.truth == Truth::True || absent_breach(watch, plan, index) {
            found.push((index, Judged::Inside(Verdict::Breach)));
        }
        plan.due.after(index, watch.memory.clock, outlook.lasts);
    }
}

/// The verdict on one subject, whatever its alert. `inside` says whether the rule looks at all at this poll.
pub(super) fn one(watch: &Watch, plan: &Plan, index: u32, inside: bool) -> Judged {
    let mut all = verdicts(watch, plan, &[index], inside, &mut Machine::default());
    all.pop().map_or(Judged::LeftScope, |(_, judged, _)| judged)
}

/// Verdicts on subjects whatever their alerts, with how many milliseconds each is sure to last while nothing new is read.
/// `inside` says whether the rule looks at all at this poll.
fn verdicts(
    watch: &Watch,
    plan: &Plan,
    indices: &[u32],
    inside: bool,
    machine: &mut Machine,
) -> Vec<(u32, Judged, f64)> {
    let whens = evaluate(watch, plan, &plan.rule.when, indices, machine);
    let clears = plan.rule.clear_when.as_ref();
    let clears = clears.map(|program| evaluate(watch, plan, program, indices, machine));
    let verdict_of = |(at, index): (usize, &u32)| {
        let unknown = if inside { Judged::Inside(Verdict::Unknown) } else { outside(Truth::Unknown) };
        let (judged, lasts) = if !plan.covers(*index) {
            (Judged::LeftScope, 0.0)
        } else if !tells(watch, plan, *index) {
            (unknown, f64::INFINITY)
        } else {
            let absent = absent_breach(watch, plan, *index);
            let when = if absent { Outlook::always(Truth::True) } else { whens[at] };
            // Outside its window a rule without `clear_when` still clears by its own condition.
            let clear = clears.as_ref().map_or(when.not(), |clears| clears[at]);
            let judged =
                if inside { Judged::Inside(verdict(when.truth, clear.truth)) } else { outside(clear.truth) };
            // A breach is one whatever `clear_when` says.
            let alone = inside && when.truth == Truth::True;
            (judged, if alone { when.lasts } else { when.lasts.min(clear.lasts) })
        };
        (*index, judged, lasts)
    };
    indices.iter().enumerate().map(verdict_of).collect()
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
pub(super) fn tells(watch: &Watch, plan: &Plan, index: u32) -> bool {
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

pub(super) fn absent_breach(watch: &Watch, plan: &Plan, index: u32) -> bool {
    plan.rule.absent == AbsentMeans::Breach
        && plan.per_user()
        && watch.signals.reading(index).kind() == Kind::Absent
}

fn evaluate(
    watch: &Watch,
    plan: &Plan,
    program: &Program,
    indices: &[u32],
    machine: &mut Machine,
) -> Vec<Outlook> {
    let mut outlooks = vec![Outlook::default(); indices.len()];
    let mut draw = |signal: &Signal, out: &mut [Line]| draw(watch, plan, indices, signal, out);
    program.outlook(indices.len(), &mut draw, &mut outlooks, machine);
    outlooks
}

/// The parts of a condition of `plan` with their values for one subject.
pub(super) fn explain(watch: &Watch, plan: &Plan, program: &Program, index: u32) -> Vec<Part> {
    program.explain(&mut |signal, out| draw(watch, plan, &[index], signal, out))
}

/// The signals of a condition of `plan` with their values for one subject.
pub(super) fn told(watch: &Watch, plan: &Plan, program: &Program, index: u32) -> Vec<Part> {
    program.told(&mut |signal, out| draw(watch, plan, &[index], signal, out))
}

/// Where a signal goes for subjects of `plan`.
fn draw(watch: &Watch, plan: &Plan, indices: &[u32], signal: &Signal, out: &mut [Line]) {
    let (track, max_gap) = (track(plan.rule.absent), plan.max_gap);
    match (signal, &plan.subjects) {
        (Signal::Limit, Subjects::Users(_)) => limits(watch, plan, indices, out),
        (Signal::Limit, Subjects::Groups(_)) => {
            out.fill(Line::still(plan.rule.limit.map_or(f64::NAN, f64::from)));
        }
        (Signal::Known | Signal::Enabled, Subjects::Users(_)) => watch.fill_roster(*signal, indices, out),
        (Signal::Peers(q), _) => out.fill(Line::still(plan.peers.value(*q))),
        (Signal::Usual(q), _) => plan.usual.draw(*q, indices, out),
        (_, Subjects::Users(_)) => watch.signals.draw(signal, track, max_gap, indices, out),
        (_, Subjects::Groups(groups)) => {
            for (index, out) in indices.iter().zip(out) {
                let mut value = [f64::NAN];
                groups.totals.fill(signal, track, max_gap, *index..*index + 1, &mut value);
                *out = Line::brief(value[0]);
            }
        }
    }
}

fn limits(watch: &Watch, plan: &Plan, slots: &[u32], out: &mut [Line]) {
    let default = plan.rule.limit.map_or(f64::NAN, f64::from);
    for (slot, out) in slots.iter().zip(out) {
        *out = Line::still(match watch.own_limits.get(*slot as usize).copied() {
            None | Some(NO_LIMIT) => default,
            Some(limit) => f64::from(limit),
        });
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
