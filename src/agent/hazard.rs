//! What a pass of the agent meets and cannot know beforehand: how long a send takes, and chance.
//!
//! Neighbours: `deliver` asks; a simulation gives its own. A part of its own so that the same seed gives the same run:
//! the time of a pass is its argument, and this is all that is left.

use std::time::Duration;

use super::clock;
use crate::engine::time::Span;

/// Sends of one channel go one after the other, so that a process that is killed leaves one of a channel in doubt and
/// no more. A send that takes longer than this keeps the next one waiting no longer.
const TURN: Duration = Duration::from_secs(1);

pub trait Hazard: Send + Sync {
    /// Time since some moment, the same for all calls; never goes back.
    fn stopwatch(&self) -> Span;
    /// Anywhere in 0..1, each as likely.
    fn chance(&self) -> f64;
    /// How long a send keeps the next one of its channel waiting at most, in time that really passes.
    fn turn(&self) -> Duration;
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

    fn turn(&self) -> Duration {
        TURN
    }
}
