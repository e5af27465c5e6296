//! How far a value may ever get while nothing new is read, and how fast.
//!
//! Neighbours: a `line` says where the value goes next, and carries bounds for what comes after. A part of its own
//! because a straight line ends wherever a window leaves a change behind, while most conditions are settled by what all of
//! the window holds: a mean that cannot pass its highest value need not be followed.
//!
//! Ends are computed by the same operations as the values; rounding is monotonic, so no value gets past them.

/// From `least` to `most`; where nothing is sure, everything, and "no value" as well.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    least: f64,
    most: f64,
    /// The most it moves in a millisecond; infinite for jumps.
    drift: f64,
}

impl Bounds {
    pub(super) const ANY: Self = Self { least: f64::NEG_INFINITY, most: f64::INFINITY, drift: f64::INFINITY };

    /// Stays where it is.
    pub(super) const fn at(value: f64) -> Self {
        if value.is_finite() { Self { least: value, most: value, drift: 0.0 } } else { Self::ANY }
    }

    /// What jumps between two values.
    pub fn between(one: f64, other: f64) -> Self {
        Self { least: one.min(other), most: one.max(other), drift: f64::INFINITY }.sane()
    }

    /// The same of a value that moves by no more than `drift` in a millisecond.
    #[must_use]
    pub const fn moving(self, drift: f64) -> Self {
        Self { drift, ..self }
    }

    /// Whether a value that was `was` may be `is` after so many milliseconds; NaN is no value.
    #[cfg(test)]
    pub fn allow(self, was: f64, is: f64, passed: f64) -> bool {
        let near = (is - was).abs() <= self.drift * passed + 1e-9 * (was.abs() + is.abs());
        self == Self::ANY || (self.least <= is && is <= self.most && (near || passed == 0.0))
    }

    pub(super) const fn drift(self) -> f64 {
        self.drift
    }

    /// Half of them are as good as none: what gets beyond all numbers is no value any more.
    const fn sane(self) -> Self {
        if self.least.is_finite() && self.most.is_finite() && !self.drift.is_nan() { self } else { Self::ANY }
    }

    fn is_still(self) -> bool {
        self.least == self.most
    }

    pub(super) fn negated(self) -> Self {
        Self { least: -self.most, most: -self.least, drift: self.drift }
    }

    pub(super) fn rounded(self) -> Self {
        let drift = if self.is_still() { 0.0 } else { f64::INFINITY };
        Self { least: self.least.round(), most: self.most.round(), drift }.sane()
    }

    /// What cancels out may move by more than its size: only the ends are worth anything.
    pub(super) fn plus(self, other: Self) -> Self {
        let drift = if self.is_still() && other.is_still() { 0.0 } else { f64::INFINITY };
        Self { least: self.least + other.least, most: self.most + other.most, drift }.sane()
    }

    pub(super) fn times(self, other: Self) -> Self {
        match (self.is_still(), other.is_still()) {
            (_, true) => self.scaled(|end| end * other.least),
            (true, false) => other.scaled(|end| end * self.least),
            (false, false) => Self::ANY,
        }
    }

    pub(super) fn divided_by(self, other: Self) -> Self {
        if other.is_still() { self.scaled(|end| end / other.least) } else { Self::ANY }
    }

    fn scaled(self, by: impl Fn(f64) -> f64) -> Self {
        let drift = if self.is_still() { 0.0 } else { by(self.drift).abs() };
        Self::between(by(self.least), by(self.most)).moving(drift).sane()
    }

    /// Whether an order of the two, such as `<`, is the same wherever they are.
    pub(super) fn stays(self, other: Self, holds: fn(&f64, &f64) -> bool) -> bool {
        let sure = self != Self::ANY && other != Self::ANY;
        sure && holds(&self.least, &other.most) == holds(&self.most, &other.least)
    }
}
