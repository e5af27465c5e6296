//! How long after the first reading a condition can hold at the earliest.
//!
//! Neighbours: `signal` says when each has a value, `rules list` shows what comes of it. A part of its own because a
//! condition need not wait for all of its signals: one side of an `or` is enough.

use super::parse::{Binary, Kind};
use super::signal::Signal;
use super::{Per, sense};
use crate::engine::time::Span;

/// From when on a part can hold, and from when on it can be known not to.
#[derive(Clone, Copy, Default)]
struct Ready {
    holds: Span,
    fails: Span,
}

/// `earliest` says of each signal how long it has no value at least. Zero for a text that does not compile.
pub fn ready(text: &str, per: Per, earliest: impl Fn(Signal) -> Span) -> Span {
    let (nodes, signals) = sense::nodes(text, per);
    let mut signals = signals.into_iter();
    let mut stack: Vec<Ready> = Vec::new();
    for node in nodes {
        let ready = match node.kind {
            Kind::Name { .. } => {
                let after = signals.next().map(&earliest).unwrap_or_default();
                Ready { holds: after, fails: after }
            }
            Kind::Literal(_) | Kind::Bad => Ready::default(),
            Kind::Negate => stack.pop().unwrap_or_default(),
            Kind::Not => {
                let Ready { holds, fails } = stack.pop().unwrap_or_default();
                Ready { holds: fails, fails: holds }
            }
            Kind::Binary(operator) => {
                let (right, left) = (stack.pop().unwrap_or_default(), stack.pop().unwrap_or_default());
                let pick =
                    |both: Span, other: Span, all: bool| if all { both.max(other) } else { both.min(other) };
                let (holds, fails) = (
                    |all: bool| pick(left.holds, right.holds, all),
                    |all: bool| pick(left.fails, right.fails, all),
                );
                if operator == Binary::And {
                    Ready { holds: holds(true), fails: fails(false) }
                } else if operator == Binary::Or {
                    Ready { holds: holds(false), fails: fails(true) }
                } else {
                    // Each side must have a value, whichever.
                    let after = holds(true).max(fails(true));
                    Ready { holds: after, fails: after }
                }
            }
        };
        stack.push(ready);
    }
    stack.pop().unwrap_or_default().holds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(when: &str, expect: &str) {
        let interval = Span::from_mins(5);
        let after = ready(when, Per::User, |signal| signal.earliest(interval));
        assert_eq!(after.to_string(), expect, "{when}");
    }

    #[test]
    fn a_condition_can_hold_once_enough_of_its_signals_have_a_value() {
        check("online > 2", "0s");
        check("peak(7d) > 2 and time_over(2, 7d) > 1h and changes(1d) > 3", "0s");
        check("mean(1h) > 2", "55m");
        check("low(50m) > 2", "45m");
        check("online > previous", "5m");
        check("online > 2 * usual(0.95)", "14d");
        check("online > usual(0.95) or online > 5", "0s");
        check("online > usual(0.95) and online > 5", "14d");
        check("not (online > usual(0.95) and mean(1h) > 5)", "55m");
        check("not (online > usual(0.95) or mean(1h) > 5)", "14d");
        check("(mean(1h) > 5) == (online > 2)", "55m");
    }
}
