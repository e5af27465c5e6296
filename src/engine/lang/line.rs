//! A value and its near future: where it goes while nothing new is read, and for how long that is sure.
//!
//! Neighbours: `evaluate` computes with lines, `signals` draws them, `verdict` asks when it must look again. A part of its
//! own because a rule that looks at a million users may pass over each of them only as long as this holds.
//!
//! Whatever is not sure here is looked at too early, never too late: NaN is "no value" and "unknown", as in `evaluate`.

/// A number (of a condition: 1 true, 0 false, NaN unknown) that goes on in a straight line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Line {
    pub value: f64,
    /// Per millisecond.
    pub slope: f64,
    /// For less than so many milliseconds; longer is for ever.
    pub lasts: f64,
}

/// Computed values are trusted to this share of their size, far more than rounding takes from them.
const ROUNDING: f64 = 1e-9;

impl Line {
    /// Stays until something new is read.
    pub const fn still(value: f64) -> Self {
        Self { value, slope: 0.0, lasts: f64::INFINITY }
    }

    /// May be anything at the next poll.
    pub const fn brief(value: f64) -> Self {
        Self { value, slope: 0.0, lasts: 0.0 }
    }

    pub(super) fn map(self, value: f64) -> Self {
        Self { value, ..self }
    }

    pub(super) fn negate(self) -> Self {
        Self { value: -self.value, slope: -self.slope, ..self }
    }

    pub(super) fn round(self) -> Self {
        let value = self.value.round();
        if self.moves() { Self::brief(value) } else { self.map(value) }
    }

    pub(super) fn plus(self, other: Self, value: f64) -> Self {
        // What cancels out is not worth predicting.
        self.and_then(other, value, if self.moves() || other.moves() { None } else { Some(0.0) })
    }

    pub(super) fn times(self, other: Self) -> Self {
        let slope = match (self.moves(), other.moves()) {
            (true, true) => None,
            _ => Some(self.slope * other.value + other.slope * self.value),
        };
        self.and_then(other, self.value * other.value, slope)
    }

    pub(super) fn divided_by(self, other: Self) -> Self {
        let slope = match (self.moves(), other.moves()) {
            (_, true) => None,
            (true, false) => Some(self.slope / other.value),
            (false, false) => Some(0.0),
        };
        self.and_then(other, self.value / other.value, slope)
    }

    /// A comparison that is `truth` now: so it stays while the difference keeps its sign.
    pub(super) fn compared(self, other: Self, truth: bool) -> Self {
        if self.value.is_nan() || other.value.is_nan() {
            return self.nothing(other);
        }
        let lasts = self.lasts.min(other.lasts).min(self.meets(other));
        Self { value: f64::from(u8::from(truth)), slope: 0.0, lasts }
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
                Self { value, slope: 0.0, lasts: self.lasts.min(other.lasts) }
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
        Self { value: f64::NAN, slope: 0.0, lasts }
    }

    /// The value of both; overflow and division by zero have none. `slope` is None where it cannot be told.
    fn and_then(self, other: Self, value: f64, slope: Option<f64>) -> Self {
        if self.value.is_nan() || other.value.is_nan() {
            return self.nothing(other);
        }
        let value = if value.is_finite() { value } else { f64::NAN };
        match slope {
            Some(0.0) => Self { value, ..self.nothing(other) },
            Some(slope) if slope.is_finite() && value.is_finite() => {
                Self { value, slope, lasts: self.lasts.min(other.lasts) }
            }
            _ => Self::brief(value),
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
}
