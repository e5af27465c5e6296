//! Seatwatch: tells security teams when an account is shared and when an expected user goes offline.

pub mod agent;
pub mod aliyun;
pub mod channel;
pub mod cli;
pub mod config;
pub mod emulator;
pub mod engine;
pub mod secret;
pub mod source;
pub mod store;
