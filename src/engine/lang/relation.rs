//! What holds between signals whatever is read: a lowest value is not above a mean, nobody's count above the highest.
//!
//! Neighbours: `variable` says what a signal can be alone, `sense` leaves out of its trials what these forbid. A part of
//! its own because a relation that is not always so would make `check` warn of rules that fire.

use super::signal::{Quantile, Signal};
use super::variable::Variable;

/// Whether the first is never above the second where a rule has values of both. Windows end with the present reading;
/// the rule's users, whom `peers` compares, include the one who is judged.
pub(super) fn at_most(one: Signal, other: Signal) -> bool {
    use Signal::{Changes, Low, Mean, Members, Online, Peak, Peers, TimeOver, Total, UsersOnline, Usual};
    match (one, other) {
        (Low(long), Low(short)) => short <= long,
        // What is lowest over more time is lowest over its end too.
        (Low(long), Mean(short)) => short <= long,
        (Low(_), Online | Total | Peak(_)) | (Online | Total, Peak(_)) => true,
        (Mean(short), Peak(long)) | (Peak(short), Peak(long)) | (Changes(short), Changes(long)) => {
            short <= long
        }
        (TimeOver(above, short), TimeOver(below, long)) => below <= above && short <= long,
        (Usual(low), Usual(high)) | (Peers(low), Peers(high)) => low <= high,
        (Peers(q), Online) => Some(q) == Quantile::new(0.0),
        (Online, Peers(q)) => Some(q) == Quantile::new(1.0),
        (UsersOnline, Total | Members) => true,
        _ => false,
    }
}

/// The places of those of `variables` whose signals `fit`, in this order.
pub(super) fn pairs(variables: &[Variable], fit: fn(Signal, Signal) -> bool) -> Vec<(usize, usize)> {
    let signals = || variables.iter().enumerate().filter_map(|(at, one)| Some((at, one.signal?)));
    let all = signals().flat_map(|one| signals().map(move |other| (one, other)));
    let fits = all.filter(|((a, one), (b, other))| a != b && fit(*one, *other));
    fits.map(|((a, _), (b, _))| (a, b)).collect()
}

/// Whether a rule never has these two values at once, in this order or the other.
pub(super) fn exclude(one: (Signal, f64), other: (Signal, f64)) -> bool {
    apart(one, other) || apart(other, one)
}

fn apart((one, a): (Signal, f64), (other, b): (Signal, f64)) -> bool {
    use Signal::{Low, OfflineTime, Online, OnlineTime, Peak, Total};
    match (one, other) {
        (Online | Total | Low(_) | OnlineTime, OfflineTime) => a > 0.0 && b > 0.0,
        (Online | Total | Peak(_), OnlineTime) => a == 0.0 && b > 0.0,
        _ => false,
    }
}
