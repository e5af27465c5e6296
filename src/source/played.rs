//! A source that is played by somebody in the process: what it says of its users, and nothing else.
//!
//! Neighbours: simulations give the [`Gateway`]; no rules file can. A part of its own because years of polls need
//! neither sockets nor waiting, and everything behind the fetch is to be the real thing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::engine::names::Asked;
use crate::engine::reading::{Fault, FaultClass, Fetched};
use crate::engine::time::Time;

/// An answer that may take a while.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Fetched> + Send + 'a>>;

/// Whoever knows the counts.
pub trait Gateway: Send + Sync {
    /// One pass, as [`Source::fetch`](super::Source::fetch).
    fn fetch<'a>(&'a self, asked: &'a Asked, now: Time) -> Answering<'a>;
}

#[derive(Clone)]
pub struct Played {
    pub name: String,
    pub gateway: Arc<dyn Gateway>,
}

impl fmt::Debug for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Played({})", self.name)
    }
}

/// What is asked for beside the counts is refused.
pub(super) fn refuse() -> Fault {
    let message = "a played source knows counts only".to_owned();
    Fault { class: FaultClass::Request, code: "played".to_owned(), message, advice: None }
}
