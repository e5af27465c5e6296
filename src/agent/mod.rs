//! The shell around the engine: the clock, and later the loops.
//! Neighbours: `cli` starts it; it uses sources, store and channels. (Replaced by its owner.)

pub mod clock;
