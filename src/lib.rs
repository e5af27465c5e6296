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
//! 1. `engine` performs no I/O, reads no clock and awaits nothing; evaluating rules cannot fail.
//! 2. One file reads the clock. One poll has one `now`; tests call the loops' bodies with the time they like.
//! 3. A poll's readings, state changes, events and notifications commit together or not at all.
//! 4. What was told is known: a channel that was told *fired* gets exactly one *ended*. If *fired* was never attempted,
//!    both become one "fired and ended"; if it is dead or was dropped, there is none, and `alerts show` says so.
//! 5. Delivery is at least once. A notification keeps its id and its bytes over all attempts, so that a receiver can
//!    drop repeats.
//! 6. Missing readings never end an alert, never start one (unless the rule says what absent means), and are reported
//!    as blind time.
//! 7. Live polls, tests and history run through the same functions and give the same events.
//! 8. Everything has a limit; reaching it is logged and counted.
//! 9. A secret is never in a log line, an error, a message, a row or a backup.
//!
//! The one exception to 3 and 5: when the database itself fails, `agent/storage` is told from memory, once per outage
//! and channel. The clock is `agent::clock`, secrets are in [`secret::Secret`], names are looked up in `net`.
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
mod net;
pub mod secret;
pub mod source;
pub mod store;
