//! What becomes of transactions where somebody else than the disk decides it.
//!
//! Neighbours: `connection` asks before each transaction of a rehearsal; a real store never does. A part of its own
//! because faults and deaths at every single commit cannot be had from a disk a million times over.

use std::fmt;
use std::sync::Arc;

/// What becomes of one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// What the disk makes of it.
    Done,
    /// Refused before anything is written, as by a full disk.
    Refused,
    /// Written or not, and nobody is told which.
    Unknown { written: bool },
    /// The last thing that the process did: from here on nothing is read or written.
    Ended { written: bool },
}

/// Asked once for each transaction, in order.
#[derive(Clone)]
pub struct Fates(pub Arc<dyn Fn() -> Fate + Send + Sync>);

impl fmt::Debug for Fates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fates")
    }
}
