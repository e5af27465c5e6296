//! A stand-in for the vendor's endpoint, on loopback, with people who have habits.
//!
//! Neighbours: `cli` starts it, tests drive it. A part of its own because nothing else may know the server's side.

pub mod population;
pub use population::Population;
