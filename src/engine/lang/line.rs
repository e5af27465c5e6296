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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Machine, Outlook, Program, Signal, Truth, compile};
    use super::*;
    use crate::engine::rule::Per;

    /// What a condition says where `online`, `limit` and `online_time` go on like this.
    fn outlook(program: &Program, lines: &[Line; 3]) -> Outlook {
        let mut out = [Outlook::default()];
        let mut fill = |signal: &Signal, column: &mut [Line]| {
            let at = [Signal::Online, Signal::Limit].iter().position(|one| one == signal);
            column.fill(lines[at.unwrap_or(2)]);
        };
        program.outlook(1, &mut fill, &mut out, &mut Machine::default());
        out[0]
    }

    /// Every operation, of one and of two that move.
    const CONDITIONS: [&str; 24] = [
        "online > limit",
        "online <= limit",
        "online == 5",
        "online != limit",
        "-online < limit - 4",
        "online + limit > 9",
        "online * limit > 12",
        "3 * online >= limit * 2",
        "online * 0.5 < 7",
        "online / limit > 1.5",
        "online / 2 <= 4",
        "7 / online < 2",
        "online > 4 and limit > 3",
        "online > 4 or limit > 3",
        "not online > 4 and not (limit < 2 or online < 1)",
        "(online > 4) == (limit > 3)",
        "online_time > 6ms",
        "online_time * 0.4 > 3ms",
        "1.5 * online_time >= 9ms or online > 7",
        "online_time / 3 < 4ms",
        "online_time / 2ms > limit",
        "online_time - 2ms > 5ms and limit > 2",
        "-(online_time) < -5ms",
        "online_time + online_time > 12ms",
    ];

    fn line() -> impl Strategy<Value = Line> {
        let value = prop_oneof![8 => (-8_i32..40).prop_map(|n| f64::from(n) / 2.0), 1 => Just(f64::NAN)];
        let slope = prop::sample::select(vec![0.0, 0.0, 1.0, -1.0, 0.5, 2.0]);
        let lasts = prop::sample::select(vec![0.0, 3.0, 10.0, f64::INFINITY, f64::INFINITY]);
        (value, slope, lasts).prop_map(|(value, slope, lasts): (f64, f64, f64)| {
            let slope = if value.is_nan() { 0.0 } else { slope };
            Line { value, slope, lasts, bounds: Bounds::ANY }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn what_is_sure_to_last_lasts(lines in [line(), line(), line()]) {
            for text in CONDITIONS {
                let program = compile(text, Per::User).expect(text);
                let now = outlook(&program, &lines);
                for passed in (0..40).map(f64::from).take_while(|passed| *passed < now.lasts) {
                    // Where a signal promised nothing for then, it may be anything.
                    for anything in [f64::NAN, -3.0, 0.0, 5.0, 1000.0] {
                        let then = lines.map(|line| {
                            let known = passed < line.lasts;
                            Line::still(if known { line.value + line.slope * passed } else { anything })
                        });
                        let found = outlook(&program, &then).truth;
                        prop_assert_eq!(found, now.truth, "{} after {} of {:?}", text, passed, lines);
                    }
                }
            }
        }
    }

    const STILL: Line = Line { value: 2.0, slope: 0.0, lasts: f64::INFINITY, bounds: Bounds::ANY };
    /// Grows by one each millisecond.
    const GROWS: Line = Line { slope: 1.0, ..STILL };

    /// A condition where all three go on like the first, but `limit` like the second.
    #[track_caller]
    fn check(text: &str, line: Line, limit: Line, truth: Truth, lasts: f64) {
        let found = outlook(&compile(text, Per::User).expect(text), &[line, limit, line]);
        assert_eq!(found.truth, truth, "{text}");
        let near = found.lasts == lasts || (found.lasts - lasts).abs() < 1e-6;
        assert!(near, "{text}: lasts {}, not {lasts}", found.lasts);
    }

    #[test]
    fn nobody_is_looked_at_sooner_than_a_comparison_can_turn() {
        let for_ever = f64::INFINITY;
        let shrinks = Line { value: 9.0, slope: -1.0, ..GROWS };
        check("online > 1", STILL, STILL, Truth::True, for_ever);
        check("online_time > 10ms", GROWS, STILL, Truth::False, 8.0);
        check("online_time >= 1ms", GROWS, STILL, Truth::True, for_ever);
        check("10ms <= online_time", GROWS, STILL, Truth::False, 8.0);
        check("-online_time < -10ms", GROWS, STILL, Truth::False, 8.0);
        check("online_time == 5ms", GROWS, STILL, Truth::False, 3.0);
        check("online_time / 2ms > 5", GROWS, STILL, Truth::False, 8.0);
        check("online < 5", shrinks, STILL, Truth::False, 4.0);
        check("online * 2 > 10", GROWS, STILL, Truth::False, 3.0);
        check("limit * online > 10", GROWS, STILL, Truth::False, 3.0);
        check("online / limit > 10", GROWS, STILL, Truth::False, 18.0);
        check("online + limit > 3", STILL, STILL, Truth::True, for_ever);
        check("online * limit == 4", STILL, STILL, Truth::True, for_ever);
        check("online / limit == 1", STILL, STILL, Truth::True, for_ever);
        check("online > limit", GROWS, GROWS, Truth::False, 0.0);
        check("not online > limit", shrinks, GROWS, Truth::False, 3.5);
        check("1 / (online - limit) > 0", STILL, STILL, Truth::Unknown, for_ever);
    }

    #[test]
    fn what_may_only_creep_is_not_looked_at_before_it_can_arrive() {
        let near = |value: f64| Bounds::between(value - 100.0, value + 100.0);
        // Nothing is sure but that it moves by no more than a half in a millisecond.
        let creeps = Line { lasts: 0.0, bounds: near(2.0).moving(0.5), ..STILL };
        let other = Line { value: 9.0, lasts: 0.0, bounds: near(9.0).moving(0.25), ..STILL };
        check("online > 5", creeps, STILL, Truth::False, 6.0);
        check("5 > online", creeps, STILL, Truth::True, 6.0);
        check("online < -2", creeps, STILL, Truth::False, 8.0);
        check("online > limit", creeps, other, Truth::False, 7.0 / 0.75);
        check("limit > online", creeps, other, Truth::True, 7.0 / 0.75);
        check("online == limit", creeps, other, Truth::False, 7.0 / 0.75);
        check("online > 5 or limit < 9.5", creeps, other, Truth::True, 2.0);
        check("online >= 2", creeps, STILL, Truth::True, 0.0);
        // The faster of both says more where the other one goes straight on.
        check("online > limit", creeps, Line { lasts: 4.0, ..STILL }, Truth::False, 0.0);
        check("online > limit", creeps, Line { value: 9.0, lasts: 4.0, ..STILL }, Truth::False, 4.0);
        check("online > limit", creeps, Line { value: 9.0, ..STILL }, Truth::False, 14.0);
        check("online > limit", creeps, Line { value: 9.0, slope: -1.0, ..STILL }, Truth::False, 7.0 / 1.5);
    }

    #[test]
    fn two_truths_last_as_long_as_what_they_rest_on() {
        let until = |line: Line, lasts: f64| Line { lasts, ..line };
        let none = Line { value: f64::NAN, ..STILL };
        for (text, line, limit, truth, lasts) in [
            ("online > 1 or limit > 1", until(STILL, 5.0), until(STILL, 9.0), Truth::True, 9.0),
            ("online > 1 and limit > 1", until(STILL, 5.0), until(STILL, 9.0), Truth::True, 5.0),
            ("online > 1 or limit > 3", until(STILL, 5.0), until(STILL, 9.0), Truth::True, 5.0),
            ("online > 3 or limit > 1", until(STILL, 5.0), until(STILL, 9.0), Truth::True, 9.0),
            ("online > 3 and limit > 3", until(STILL, 5.0), until(STILL, 9.0), Truth::False, 9.0),
            ("online > 1 and limit > 3", until(STILL, 5.0), until(STILL, 9.0), Truth::False, 9.0),
            ("online > limit", until(none, 5.0), until(STILL, 9.0), Truth::Unknown, 5.0),
            ("online > limit", until(STILL, 5.0), until(none, 9.0), Truth::Unknown, 9.0),
            ("online > limit", until(none, 5.0), until(none, 9.0), Truth::Unknown, 9.0),
            ("online + limit > 1", until(none, 5.0), until(none, 9.0), Truth::Unknown, 9.0),
            ("online + limit > 1", until(STILL, 5.0), until(STILL, 9.0), Truth::True, 5.0),
            ("online > 1 or limit > 1", until(none, 5.0), until(STILL, 9.0), Truth::True, 9.0),
            ("online > 1 or limit > 3", until(none, 5.0), until(STILL, 9.0), Truth::Unknown, 5.0),
        ] {
            check(text, line, limit, truth, lasts);
        }
    }
}
