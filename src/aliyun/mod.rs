//! The vendor's API: how a request is signed and sent, what replies and refusals look like.
//!
//! Neighbours: `source` asks through it, `emulator` answers through the same signatures and words, the `api`
//! command shows it bare. A part of its own because everything that only Alibaba Cloud decides is in here.

pub mod account;
pub mod client;
pub mod codes;
pub mod credentials;
pub mod endpoint;
mod headers;
pub mod rate;
pub mod redact;
mod refusals;
pub mod request;
pub mod sign;
pub mod transport;
pub mod wire;

pub use account::Account;
pub use client::{Client, Deadline};
