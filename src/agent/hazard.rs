//! What a pass of the agent meets and cannot know beforehand: how long a send takes, and chance.
//!
//! Neighbours: `deliver` asks; a simulation gives its own. A part of its own so that the same seed gives the same run:
//! the time of a pass is its argument, and this is all that is left.

use super::clock;
use crate::engine::time::Span;

pub trait Hazard: Send + Sync {
    /// Time since some moment, the same for all calls; never goes back.
    fn stopwatch(&self) -> Span;
    /// Anywhere in 0..1, each as likely.
    fn chance(&self) -> f64;
}

/// The host's.
pub(super) struct OfTheHost;

impl Hazard for OfTheHost {
    fn stopwatch(&self) -> Span {
        clock::boot_time()
    }

    fn chance(&self) -> f64 {
        rand::random()
    }
}
