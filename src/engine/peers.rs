//! What the users of a rule have online now, as a whole: `peers(q)`, one number for everybody.
//!
//! Neighbours: `plan` says who they are at each poll, `verdict` puts the number in every user's column. A part of its
//! own because it is the one signal of a user that rests on the readings of others.

use super::lang::{Quantile, Signal};

/// The quantiles a rule asks for, as the last poll has them.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Peers(Vec<(Quantile, Option<u32>)>);

impl Peers {
    pub(super) fn new(signals: &[Signal]) -> Self {
        let asked = |signal: &Signal| if let Signal::Peers(q) = signal { Some((*q, None)) } else { None };
        Self(signals.iter().filter_map(asked).collect())
    }

    pub(super) fn are_asked(&self) -> bool {
        !self.0.is_empty()
    }

    /// Takes the known counts of one poll, in any order; of nobody there is no quantile.
    pub(super) fn observe(&mut self, mut counts: Vec<u32>) {
        for (q, value) in &mut self.0 {
            let rank = usize::try_from(q.of(counts.len() as u64)).unwrap_or(usize::MAX);
            *value = (rank <= counts.len()).then(|| *counts.select_nth_unstable(rank - 1).1);
        }
    }

    /// NaN is no value.
    pub(super) fn value(&self, q: Quantile) -> f64 {
        let found = self.0.iter().find(|(asked, _)| *asked == q);
        found.and_then(|(_, value)| *value).map_or(f64::NAN, f64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `q`-quantile of `counts`.
    #[track_caller]
    fn check(q: f64, counts: &[u32], expect: Option<u32>) {
        let q = Quantile::new(q).unwrap();
        let mut peers = Peers::new(&[Signal::Online, Signal::Peers(q)]);
        assert!(peers.are_asked() && peers.value(q).is_nan());
        peers.observe(counts.to_vec());
        let found = Some(peers.value(q)).filter(|value| !value.is_nan());
        assert_eq!(found, expect.map(f64::from), "{q} of {counts:?}");
    }

    #[test]
    fn a_quantile_is_a_count_that_somebody_has() {
        check(0.5, &[], None);
        check(0.0, &[4, 1, 9], Some(1));
        check(0.5, &[4, 1, 9], Some(4));
        check(0.5, &[4, 1, 9, 2], Some(2));
        check(0.500_001, &[4, 1, 9, 2], Some(4));
        check(1.0, &[4, 1, 9, 2], Some(9));
        check(0.95, &(1..=20).collect::<Vec<_>>(), Some(19));
        check(0.07, &(1..=100).collect::<Vec<_>>(), Some(7));
    }

    #[test]
    fn shares_are_exact_to_six_decimals() {
        let written = |share: f64| Quantile::new(share).map(|q| q.to_string());
        assert_eq!(written(0.95).as_deref(), Some("0.95"));
        assert_eq!(written(0.000_001).as_deref(), Some("0.000001"));
        assert_eq!((written(0.0).as_deref(), written(1.0).as_deref()), (Some("0"), Some("1")));
        for wrong in [-0.1, 1.000_001, 0.123_456_7, f64::NAN, f64::INFINITY] {
            assert_eq!(written(wrong), None, "{wrong}");
        }
        for parts in 0..=1_000_000_u32 {
            let share = f64::from(parts) / 1e6;
            assert!(Quantile::new(share).is_some(), "{share}");
        }
    }
}
