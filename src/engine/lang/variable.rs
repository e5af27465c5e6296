//! What a condition compares, and the values at which its comparisons can turn.
//!
//! Neighbours: `sense` tries a condition at each of them. A part of its own because what a signal can be at all, and
//! between which numbers nothing changes, is all that a claim about every possible reading rests on.

use super::parse::Binary;
use super::signal::{Signal, Type};
use crate::engine::time::Span;

/// No count of one user is above it.
const HIGHEST: f64 = 100_000.0;

/// What the comparisons are about: a signal, or how two terms compare (-1, 0, 1).
pub(super) struct Variable {
    pub(super) key: String,
    pub(super) signal: Option<Signal>,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) whole: bool,
    /// What it is compared with.
    pub(super) turns: Vec<f64>,
    /// Every value may really come.
    pub(super) free: bool,
}

impl Variable {
    /// One value for each way in which its comparisons can come out.
    pub(super) fn values(&self) -> Vec<f64> {
        let mut values = vec![self.least, self.most];
        for turn in &self.turns {
            let near = [turn.floor() - 1.0, turn.floor(), turn.ceil(), turn.ceil() + 1.0];
            values.extend(if self.whole { &near[..] } else { std::slice::from_ref(turn) });
        }
        values.retain(|value| value.is_finite() && (self.least..=self.most).contains(value));
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        if !self.whole {
            let between: Vec<f64> = values.windows(2).map(|pair| f64::midpoint(pair[0], pair[1])).collect();
            values.extend(between);
        }
        if self.most.is_infinite() {
            let highest = values.iter().copied().fold(self.least, f64::max);
            values.push(highest * 2.0 + 1.0);
        }
        values
    }

    /// For people: `total is 190`.
    pub(super) fn at(&self, value: f64) -> String {
        match (self.signal, self.key.split_once('\n')) {
            (Some(signal), _) if signal.gives() == Type::Duration => {
                format!("{signal} is {}", Span::from_millis(value as i64))
            }
            (None, Some((left, right))) if value < 0.0 => format!("{left} is below {right}"),
            (None, Some((left, right))) if value > 0.0 => format!("{left} is above {right}"),
            (None, Some((left, right))) => format!("{left} is {right}"),
            _ => format!("{} is {value}", self.key),
        }
    }
}

/// What a signal can be, and whether only whole numbers; durations are milliseconds.
pub(super) fn range(signal: Signal) -> (f64, f64, bool) {
    match signal {
        Signal::Online | Signal::Limit | Signal::Peers(_) => (0.0, HIGHEST, true),
        Signal::Usual(_) => (0.0, HIGHEST, false),
        Signal::TimeOver(_, over) => (0.0, over.millis() as f64, true),
        Signal::FailedShare => (0.0, 1.0, false),
        Signal::Known | Signal::Enabled => (0.0, 1.0, true),
        // Of users and of whole sources alike.
        Signal::Previous | Signal::Peak(_) | Signal::Changes(_) | Signal::Low(_) => {
            (0.0, f64::INFINITY, true)
        }
        Signal::Mean(_) => (0.0, f64::INFINITY, false),
        Signal::OnlineTime | Signal::OfflineTime | Signal::AbsentTime => (0.0, f64::INFINITY, true),
        Signal::Total | Signal::UsersOnline | Signal::Members => (0.0, f64::INFINITY, true),
        Signal::SilentTime => (0.0, f64::INFINITY, true),
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
