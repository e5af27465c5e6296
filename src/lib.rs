//! Seatwatch tells security teams when an account is shared and when an expected user goes offline. It polls how many
//! clients each user has online, keeps every reading, evaluates rules and delivers alerts.
//!
//! ```text
//!           rules.toml ── config ──► sources, users, groups, calendars, rules, channels   (checked whole)
//!
//!  collect  schedule ─► source.fetch ─► Poll {seq, at, elapsed, readings}                  I/O
//!           readings → signals → rules → alerts → events → messages  = Outcome             pure: `engine`
//!           one transaction: poll, readings, alert states, events, outbox                  `store`
//!  tend     acts, reminders, channels in trouble, what a reload left → Outcome → one transaction
//!  deliver  outbox ─► channel.send ─► attempt recorded ─► done | later | dead              I/O
//! ```
//!
//! A *source* is one place counts are read from. A *poll* is one pass over its users at one instant of its
//! *schedule*; it says one *reading* of each user: online with a number, absent, failed, or not polled. *Signals* are
//! derived from readings, *rules* are conditions over signals. A rule and what it judges make an *alert* with a
//! state; a stretch from firing to its end is an *episode*; each step of one is an *event*. A *notification* carries
//! events to a *channel*; each try to deliver it is an *attempt*. Operators ask by *acts*.
//!
//! Invariants, each with a test:
//! 1. `engine` performs no I/O, reads no clock, awaits nothing; evaluation cannot fail.
//! 2. `agent::clock` alone reads the clock; one poll has one `now`.
//! 3. A poll's readings, state changes, events and notifications commit together or not at all.
//! 4. A channel that was told *fired* gets exactly one *ended*; if *fired* was never attempted, both become one; if it
//!    is dead or dropped, there is none.
//! 5. Delivery is at least once, with the same id and bytes each time.
//! 6. Missing readings never end an alert and never start one, unless the rule says what absent means.
//! 7. Live polls, restarts and history run the same functions and give the same events.
//! 8. Everything has a limit; reaching it is logged and counted.
//! 9. A secret is in a [`secret::Secret`] and in no line, error, message, row or backup.
//!
//! The exception to 3 and 5: when the store itself fails, `agent/storage` is told from memory.
//!
//! Who may use whom: `main → cli → agent → {source, store, channel, config} → engine`; `aliyun` is for source, emulator
//! and cli. The library exists so that `main` and the tests can drive the agent; its API promises nothing.

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
