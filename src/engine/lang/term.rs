//! What a term of a condition can be: a constant, a signal, or what is computed of both.
//!
//! Neighbours: `sense` compares terms, `variable` says what signals can be. A part of its own because it is the arithmetic
//! of ranges, and must never leave out a value that the arithmetic of numbers can give.

use super::parse::Binary;
use super::relation::at_most;
use super::signal::Signal;
use super::variable::Range;

/// `least` is NaN where it never has a value.
pub(super) struct Term {
    pub(super) range: Range,
    pub(super) signal: Option<Signal>,
    pub(super) duration: bool,
    pub(super) text: String,
}

impl Term {
    pub(super) fn constant(value: f64, duration: bool) -> Self {
        let range = Range { least: value, most: value, whole: false };
        Self { range, signal: None, duration, text: format!("{value}") }
    }

    pub(super) fn negated(self) -> Self {
        let Range { least, most, .. } = self.range;
        let range = Range { least: -most, most: -least, whole: false };
        Self { range, signal: None, text: format!("-({})", self.text), ..self }
    }

    /// One number, whatever is read.
    pub(super) fn is_still(&self) -> bool {
        self.signal.is_none() && self.range.least == self.range.most
    }

    pub(super) const fn is_nothing(&self) -> bool {
        self.range.least.is_nan()
    }
}

/// The range of a sum or product of ranges. Rounding grows with its argument, and so keeps the ends where they are.
pub(super) fn computed(operator: Binary, left: &Term, right: &Term) -> Term {
    let (Range { least: a, most: b, .. }, Range { least: c, most: d, .. }) = (left.range, right.range);
    let nothing =
        left.is_nothing() || right.is_nothing() || operator == Binary::Divide && c == 0.0 && d == 0.0;
    let ends = if operator == Binary::Plus {
        vec![a + c, b + d]
    } else if operator == Binary::Minus {
        difference(left, right).to_vec()
    } else if operator == Binary::Times {
        vec![a * c, a * d, b * c, b * d]
    } else if c <= 0.0 && d >= 0.0 {
        // It may be zero.
        vec![f64::NAN]
    } else {
        vec![a / c, a / d, b / c, b / d]
    };
    let duration = if operator == Binary::Divide {
        left.duration && !right.duration
    } else {
        left.duration || right.duration
    };
    let product = matches!(operator, Binary::Times | Binary::Divide);
    let round = |end: f64| if duration && product { end.round() } else { end };
    let (least, most) = if nothing {
        (f64::NAN, f64::NAN)
    } else if ends.iter().any(|end| end.is_nan()) {
        (f64::NEG_INFINITY, f64::INFINITY)
    } else {
        let least = ends.iter().copied().fold(f64::INFINITY, f64::min);
        (round(least), round(ends.iter().copied().fold(f64::NEG_INFINITY, f64::max)))
    };
    let text = format!("({}) {} ({})", left.text, operator.sign(), right.text);
    Term { range: Range { least, most, whole: false }, signal: None, duration, text }
}

/// The ends of a difference: of two signals in order it has one sign.
fn difference(left: &Term, right: &Term) -> [f64; 2] {
    let (least, most) = (left.range.least - right.range.most, left.range.most - right.range.least);
    match (left.signal, right.signal) {
        (Some(one), Some(other)) if at_most(one, other) => [least, most.min(0.0)],
        (Some(one), Some(other)) if at_most(other, one) => [least.max(0.0), most],
        _ => [least, most],
    }
}
