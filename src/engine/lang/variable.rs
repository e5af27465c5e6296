//! What a condition compares, and the values at which its comparisons can turn.
//!
//! Neighbours: `sense` tries a condition at each of them, `relation` says which of them go together. A part of its own
//! because what a signal can be at all, and between which numbers nothing changes, is all that a claim about every
//! possible reading rests on.

use super::parse::Binary;
use super::signal::{Signal, Type};
use crate::engine::rule::Per;
use crate::engine::time::Span;

/// No count of one user is above it.
const HIGHEST: f64 = 100_000.0;

/// What is known where a condition is judged.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    pub per: Per,
    /// The lowest and the highest limit that anybody has.
    pub limits: Option<(u32, u32)>,
    /// Between two polls, at least.
    pub interval: Option<Span>,
}

/// What the comparisons are about: a signal, something computed, or how two terms compare (-1, 0, 1).
pub(super) struct Variable {
    pub(super) key: String,
    pub(super) signal: Option<Signal>,
    pub(super) range: Range,
    /// What it is compared with.
    pub(super) turns: Vec<f64>,
}

/// What a term can be; durations are milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) least: f64,
    pub(super) most: f64,
    /// Only whole numbers.
    pub(super) whole: bool,
}

impl Variable {
    /// For people: `total is 190`.
    pub(super) fn at(&self, value: f64) -> String {
        match (self.signal, self.key.split_once('\n')) {
            (Some(signal), _) => format!("{signal} is {}", shown(signal, value)),
            (None, Some((left, right))) if value < 0.0 => format!("{left} is below {right}"),
            (None, Some((left, right))) if value > 0.0 => format!("{left} is above {right}"),
            (None, Some((left, right))) => format!("{left} is {right}"),
            (None, None) => format!("{} is {value}", self.key),
        }
    }

    /// For people: `changes(1h) is from 0 to 12`; None where it has no end or is no signal.
    pub(super) fn bounds(&self) -> Option<String> {
        let (signal, Range { least, most, .. }) = (self.signal?, self.range);
        let word = |value| shown(signal, value);
        let ends = if least == most { word(most) } else { format!("from {} to {}", word(least), word(most)) };
        (most.is_finite() && signal.gives() != Type::Boolean).then(|| format!("{signal} is {ends}"))
    }
}

/// A value of a signal as a condition writes it; durations between whole seconds are next to a turn.
fn shown(signal: Signal, value: f64) -> String {
    if signal.gives() != Type::Duration {
        return value.to_string();
    }
    let millis = value as i64;
    match millis % 1000 {
        0 => Span::from_millis(millis).to_string(),
        1 => format!("just over {}", Span::from_millis(millis - 1)),
        _ => format!("just under {}", Span::from_millis(millis + 1000 - millis % 1000)),
    }
}

/// Values for each of `members`, which are compared with each other or have an order: for every way in which all their
/// comparisons can come out, there are values that make it so. Two that may lie in any order between the same two turns
/// need room for both there, and numbers that are not whole need room between the whole ones.
pub(super) fn values(members: &[&Variable]) -> Vec<Vec<f64>> {
    let finite = |value: &f64| value.is_finite();
    let ends = members.iter().flat_map(|one| [one.range.least, one.range.most]);
    let mut turns: Vec<f64> =
        members.iter().flat_map(|one| one.turns.iter().copied()).chain(ends).filter(finite).collect();
    turns.sort_unstable_by(f64::total_cmp);
    turns.dedup();
    let wholes = members.iter().filter(|one| one.range.whole).count();
    let mut points = turns.clone();
    let (first, last) = (turns.first().copied().unwrap_or(0.0), turns.last().copied().unwrap_or(0.0));
    let beyond = |end: f64| end.abs() * 2.0 + members.len() as f64 + 1.0;
    let outside = [(-beyond(first), first), (last, beyond(last))];
    let between = turns.windows(2).map(|pair| (pair[0], pair[1]));
    for (start, end) in between.chain(outside) {
        fill(start, end, wholes, members.len() - wholes, &mut points);
    }
    points.sort_unstable_by(f64::total_cmp);
    points.dedup();
    let fits = |range: Range, value: f64| {
        (range.least..=range.most).contains(&value) && (!range.whole || value.fract() == 0.0)
    };
    members
        .iter()
        .map(|one| points.iter().copied().filter(|value| fits(one.range, *value)).collect())
        .collect()
}

/// So many whole numbers strictly between two turns, and so many others in each gap that these leave.
fn fill(start: f64, end: f64, wholes: usize, others: usize, points: &mut Vec<f64>) {
    let inside = |value: &f64| start < *value && *value < end;
    let mut marks = vec![start];
    marks.extend((1..=wholes).map(|n| start.floor() + n as f64).filter(inside));
    marks.push(end);
    for pair in marks.windows(2) {
        let part = (pair[1] - pair[0]) / (others + 1) as f64;
        points.extend((1..=others).map(|n| pair[0] + part * n as f64).filter(inside));
    }
    points.extend(&marks[1..marks.len() - 1]);
}

/// What a signal can be.
pub(super) fn range(signal: Signal, given: &Given) -> Range {
    let whole = |most: f64| Range { least: 0.0, most, whole: true };
    let any = |most: f64| Range { least: 0.0, most, whole: false };
    // Of users and of whole sources alike.
    let highest = if given.per == Per::User { HIGHEST } else { f64::INFINITY };
    match signal {
        Signal::Limit => given.limits.map_or(whole(HIGHEST), |(least, most)| Range {
            least: least.into(),
            most: most.into(),
            whole: true,
        }),
        Signal::Online | Signal::Peers(_) => whole(HIGHEST),
        Signal::Usual(_) => any(HIGHEST),
        Signal::TimeOver(above, _) if f64::from(above) >= highest => whole(0.0),
        Signal::TimeOver(_, over) => whole(over.millis() as f64),
        Signal::FailedShare => any(1.0),
        Signal::Known | Signal::Enabled => whole(1.0),
        Signal::Previous | Signal::Peak(_) | Signal::Low(_) => whole(highest),
        Signal::Mean(_) => any(highest),
        // No poll changes it twice, and the one at the window's start is not in it.
        Signal::Changes(over) => {
            let polls = |interval: Span| {
                over.millis().unsigned_abs().div_ceil(interval.millis().max(1).unsigned_abs())
            };
            whole(given.interval.map_or(f64::INFINITY, |interval| polls(interval) as f64))
        }
        Signal::OnlineTime | Signal::OfflineTime | Signal::AbsentTime => whole(f64::INFINITY),
        Signal::Total | Signal::UsersOnline | Signal::Members => whole(f64::INFINITY),
        Signal::SilentTime => whole(f64::INFINITY),
    }
}

/// The same comparison with its sides changed.
pub(super) const fn mirrored(operator: Binary) -> Binary {
    match operator {
        Binary::Less => Binary::Greater,
        Binary::LessEqual => Binary::GreaterEqual,
        Binary::Greater => Binary::Less,
        Binary::GreaterEqual => Binary::LessEqual,
        Binary::Equal | Binary::Unequal | Binary::Or | Binary::And => operator,
        Binary::Plus | Binary::Minus | Binary::Times | Binary::Divide => operator,
    }
}

pub(super) fn compares(value: f64, operator: Binary, with: f64) -> bool {
    match operator {
        Binary::Less => value < with,
        Binary::LessEqual => value <= with,
        Binary::Greater => value > with,
        Binary::GreaterEqual => value >= with,
        Binary::Unequal => value != with,
        Binary::Equal => value == with,
        Binary::Or | Binary::And | Binary::Plus | Binary::Minus | Binary::Times | Binary::Divide => false,
    }
}
