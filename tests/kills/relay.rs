//! Stands before the emulator and counts what it is asked, so that a test knows the moment of a poll.
//! Neighbours: `stage` puts its address into the rules file. A part of its own because the emulator tells nobody.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::door::Door;

pub(crate) struct Relay {
    pub(crate) endpoint: String,
    _door: Door,
    asked: Arc<AtomicUsize>,
}

impl Relay {
    /// Before `endpoint`, an `http://` address.
    pub(crate) fn before(endpoint: &str) -> Self {
        let behind = endpoint.trim_start_matches("http://").to_owned();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let door = Door::open(move |asker| {
            let Ok(answerer) = TcpStream::connect(&behind) else { return };
            let (back, forth) = (answerer.try_clone().unwrap(), asker.try_clone().unwrap());
            std::thread::spawn(move || carry(back, forth, &AtomicUsize::default()));
            carry(asker, answerer, &count);
        });
        Self { endpoint: format!("http://127.0.0.1:{}", door.port), _door: door, asked }
    }

    /// Pieces of requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Until one of them goes away; the other one is told then.
fn carry(mut from: TcpStream, mut to: TcpStream, pieces: &AtomicUsize) {
    let mut bytes = [0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        pieces.fetch_add(1, Ordering::Relaxed);
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}
