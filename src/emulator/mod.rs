//! A stand-in for the vendor's endpoint, on loopback: signatures checked, documented errors, people with habits.
//!
//! Neighbours: `cli` starts it (`emulate`, `demo`), tests drive it over a socket; `aliyun::sign` gives the canonical forms.
//! A part of its own because it knows the server's side of the API, which nothing else may lean on. A request goes
//! `call` (what was sent) → `gate` (who may ask) → `scenario` (what goes wrong) → `action` → `answer`.

mod action;
mod answer;
mod call;
mod gate;
mod gateways;
mod nonces;
pub mod population;
mod roster;
pub mod scenario;
mod server;
mod sts;
mod wire;

pub use population::Population;
pub use scenario::Scenario;
pub use server::{Clock, Emulator, Settings};
