//! Nonces already used, for as long as a timestamp of theirs would still be accepted.
//!
//! Neighbours: `gate` asks. A part of its own because it is the gate's only memory, and it has a limit.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::engine::time::{Span, Time};

/// The most nonces remembered at once; the oldest leave first. At 16 bytes twice, about 16 MiB.
const MOST: usize = 500_000;

#[derive(Debug, Default)]
pub(super) struct Nonces {
    hasher: RandomState,
    used: HashMap<u64, Time>,
    oldest_first: VecDeque<(Time, u64)>,
}

impl Nonces {
    /// Whether this nonce is new within `keep` before `now`; from now on it is not.
    pub(super) fn take(&mut self, nonce: &str, now: Time, keep: Span) -> bool {
        while let Some(&(at, hash)) = self.oldest_first.front() {
            if now.since(at) <= keep && self.oldest_first.len() < MOST {
                break;
            }
            self.oldest_first.pop_front();
            self.used.remove(&hash);
        }
        let hash = self.hasher.hash_one(nonce);
        if self.used.contains_key(&hash) {
            return false;
        }
        self.used.insert(hash, now);
        self.oldest_first.push_back((now, hash));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_used_once_until_it_is_forgotten() {
        let mut nonces = Nonces::default();
        let keep = Span::from_mins(30);
        let at = |mins| Time::from_millis(0) + Span::from_mins(mins);
        assert!(nonces.take("a", at(0), keep));
        assert!(!nonces.take("a", at(30), keep));
        assert!(nonces.take("b", at(30), keep));
        assert!(nonces.take("a", at(31), keep), "too old a timestamp by then");
        assert!(!nonces.take("b", at(31), keep));
    }

    #[test]
    fn memory_has_a_limit() {
        let mut nonces = Nonces::default();
        for n in 0..MOST + 10 {
            assert!(nonces.take(&n.to_string(), Time::from_millis(0), Span::from_mins(30)));
        }
        assert_eq!((nonces.used.len(), nonces.oldest_first.len()), (MOST, MOST));
    }
}
