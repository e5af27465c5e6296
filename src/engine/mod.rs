//! The deciding half of the program: readings in, outcomes out. No I/O, no clock, no waiting, and evaluation
//! cannot fail; only parsing text returns errors. Everything else in the crate may use it, it uses nothing else.

mod absentees;
pub mod alert;
pub mod backoff;
pub mod backtest;
mod bits;
pub mod calendar;
mod changes;
pub mod conclude;
mod due;
pub mod elapsed;
pub mod event;
pub mod evidence;
pub mod fleet;
mod grounds;
mod hour;
pub mod judge;
pub mod lang;
pub mod look;
pub mod message;
pub mod names;
pub mod notify;
pub mod odd_names;
pub mod outcome;
pub mod own;
pub mod own_alerts;
#[cfg(test)]
mod passed_over;
pub mod past;
mod peers;
pub mod plan;
pub mod reading;
pub mod restore;
pub mod roster;
pub mod rule;
pub mod schedule;
pub mod signals;
mod stale;
pub mod tend;
pub mod time;
pub mod timeline;
pub mod total;
pub mod trial;
pub mod usual;
pub mod verdict;
pub mod watch;
pub mod zone;
