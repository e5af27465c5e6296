//! A value and its future: where it goes while nothing new is read, for how long that is sure, and how far it ever gets.
//!
//! Neighbours: `evaluate` computes with lines, `signals` draws them, `bounds` says what they never leave, `verdict` asks when it must look
//! again. A part of its own because a rule that looks at a million users may pass over each of them only as long as this
//! holds.
//!
//! Whatever is not sure here is looked at too early, never too late: NaN is "no value" and "unknown", as in `evaluate`.

use super::bounds::Bounds;

/// A number (of a condition: 1 true, 0 false, NaN unknown) that goes on in a straight line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Line {
    pub value: f64,
    /// Per millisecond.
    pub slope: f64,
    /// For less than so many milliseconds; longer is for ever.
    pub lasts: f64,
    /// Where it may be, and how fast it may move, also when it lasts no longer.
    pub bounds: Bounds,
}

/// Longer than any source is polled, in milliseconds.
const LONGEST: f64 = 1e18;

/// Computed values are trusted to this share of their size, far more than rounding takes from them.
pub const ROUNDING: f64 = 1e-9;

impl Line {
    /// Stays until something new is read.
    pub const fn still(value: f64) -> Self {
        Self { value, slope: 0.0, lasts: f64::INFINITY, bounds: Bounds::at(value) }
    }

    /// May be anything at the next poll.
    pub const fn brief(value: f64) -> Self {
        Self { value, slope: 0.0, lasts: 0.0, bounds: Bounds::ANY }
    }

    /// Milliseconds, counted on.
    pub fn growing(value: f64) -> Self {
        let bounds = Bounds::between(value, LONGEST).moving(1.0);
        Self { value, slope: 1.0, lasts: f64::INFINITY, bounds }
    }

    /// No value, for less than so many milliseconds.
    pub const fn nothing_for(lasts: f64) -> Self {
        Self { lasts, ..Self::brief(f64::NAN) }
    }

    /// True or false or unknown, for less than so many milliseconds.
    const fn truth(value: f64, lasts: f64) -> Self {
        Self { lasts, ..Self::brief(value) }
    }

    /// The same of a value that may be another, or none, at the next poll.
    #[must_use]
    pub const fn unsure(self) -> Self {
        Self { lasts: 0.0, bounds: Bounds::ANY, ..self }
    }

    pub(super) fn not(self) -> Self {
        Self::truth(1.0 - self.value, self.lasts)
    }

    pub(super) fn negate(self) -> Self {
        Self { value: -self.value, slope: -self.slope, bounds: self.bounds.negated(), ..self }
    }

    pub(super) fn round(self) -> Self {
        let lasts = if self.moves() { 0.0 } else { self.lasts };
        Self { value: self.value.round(), slope: 0.0, lasts, bounds: self.bounds.rounded() }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        // What cancels out is not worth predicting.
        let slope = if self.moves() || other.moves() { None } else { Some(0.0) };
        self.and_then(other, self.value + other.value, slope, self.bounds.plus(other.bounds))
    }

    pub(super) fn times(self, other: Self) -> Self {
        let slope = match (self.moves(), other.moves()) {
            (true, true) => None,
            _ => Some(self.slope * other.value + other.slope * self.value),
        };
        self.and_then(other, self.value * other.value, slope, self.bounds.times(other.bounds))
    }

    pub(super) fn divided_by(self, other: Self) -> Self {
        let slope = match (self.moves(), other.moves()) {
            (_, true) => None,
            (true, false) => Some(self.slope / other.value),
            (false, false) => Some(0.0),
        };
        self.and_then(other, self.value / other.value, slope, self.bounds.divided_by(other.bounds))
    }

    /// An order of the two, such as `<`.
    pub(super) fn ordered(self, other: Self, holds: fn(&f64, &f64) -> bool) -> Self {
        let sure = if self.bounds.stays(other.bounds, holds) { f64::INFINITY } else { 0.0 };
        self.compared(other, holds(&self.value, &other.value), sure)
    }

    /// Whether the two are equal: as long as neither order turns.
    pub(super) fn equals(self, other: Self, expect: bool) -> Self {
        let stays = self.bounds.stays(other.bounds, f64::lt) && self.bounds.stays(other.bounds, f64::gt);
        let sure = if stays { f64::INFINITY } else { 0.0 };
        self.compared(other, (self.value == other.value) == expect, sure)
    }

    /// A comparison that is `truth` now: so it stays while the difference keeps its sign, and for `sure` anyhow.
    fn compared(self, other: Self, truth: bool, sure: f64) -> Self {
        if self.value.is_nan() || other.value.is_nan() {
            return self.nothing(other);
        }
        let straight = self.lasts.min(other.lasts).min(self.meets(other));
        let lasts = straight.max(sure).max(self.reaches(other));
        Self::truth(f64::from(u8::from(truth)), lasts)
    }

    /// `and` and `or`: the value `settles` decides alone, else unknown stays.
    pub(super) fn joined(self, other: Self, settles: f64) -> Self {
        match (self.value == settles, other.value == settles) {
            (true, true) => Self { lasts: self.lasts.max(other.lasts), ..self },
            (true, false) => self,
            (false, true) => other,
            // Both are the other truth, or one is unknown.
            (false, false) => {
                let value = if self.value.is_nan() { self.value } else { other.value };
                Self::truth(value, self.lasts.min(other.lasts))
            }
        }
    }

    fn moves(self) -> bool {
        self.slope != 0.0
    }

    /// No value for as long as a side has none.
    fn nothing(self, other: Self) -> Self {
        let lasts = match (self.value.is_nan(), other.value.is_nan()) {
            (true, true) => self.lasts.max(other.lasts),
            (true, false) => self.lasts,
            (false, true) => other.lasts,
            (false, false) => self.lasts.min(other.lasts),
        };
        Self::nothing_for(lasts)
    }

    /// The value of both; overflow and division by zero have none. `slope` is None where it cannot be told.
    fn and_then(self, other: Self, value: f64, slope: Option<f64>, bounds: Bounds) -> Self {
        if self.value.is_nan() || other.value.is_nan() {
            return self.nothing(other);
        }
        let lasts = self.lasts.min(other.lasts);
        match slope {
            Some(0.0) if !value.is_finite() => Self::nothing_for(lasts),
            _ if !value.is_finite() => Self::brief(f64::NAN),
            Some(slope) if slope.is_finite() => Self { value, slope, lasts, bounds },
            _ => Self { value, slope: 0.0, lasts: 0.0, bounds },
        }
    }

    /// How long the two are apart at least.
    fn meets(self, other: Self) -> f64 {
        if !self.moves() && !other.moves() {
            return f64::INFINITY;
        }
        let apart = self.value - other.value;
        let sure = apart.abs() - ROUNDING * (self.value.abs() + other.value.abs());
        let closing =
            ROUNDING * (self.slope.abs() + other.slope.abs()) - apart.signum() * (self.slope - other.slope);
        match (sure > 0.0, closing > 0.0) {
            (false, _) => 0.0,
            (true, false) => f64::INFINITY,
            (true, true) => sure / closing,
        }
    }

    /// How long the two are apart at least, whichever way they go, as fast as they may.
    fn reaches(self, other: Self) -> f64 {
        let ((fast, until), (faster, till)) = (self.steady(), other.steady());
        let apart = (self.value - other.value).abs() - ROUNDING * (self.value.abs() + other.value.abs());
        let drift = (fast + faster) * (1.0 + ROUNDING);
        if apart > 0.0 { until.min(till).min(apart / drift) } else { 0.0 }
    }

    /// How fast it moves at most, and for how long that is sure.
    fn steady(self) -> (f64, f64) {
        let drift = self.bounds.drift();
        if drift.is_finite() { (drift, f64::INFINITY) } else { (self.slope.abs(), self.lasts) }
    }
}
