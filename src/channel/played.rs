//! A channel whose receiver is played by somebody in the process: it renders as a webhook and sends nothing.
//!
//! Neighbours: simulations give the [`Receiver`]; no rules file can. A part of its own because years of deliveries need
//! neither sockets nor waiting, and everything around the send is to be the real thing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Delivery, Letter};
use crate::engine::time::Time;

/// An answer that may take a while.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Delivery> + Send + 'a>>;

/// Whoever stands at the other end.
pub trait Receiver: Send + Sync {
    /// One attempt, as [`Channel::send`](super::Channel::send).
    fn take<'a>(&'a self, letter: &'a Letter, now: Time) -> Answering<'a>;
}

#[derive(Clone)]
pub struct Played(pub Arc<dyn Receiver>);

impl fmt::Debug for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Played")
    }
}
