//! Stands before the emulator and counts what it is asked, so that a test knows the moment of a poll.
//! Neighbours: `stage` puts its address into the rules file. A part of its own because the emulator tells nobody.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Relay {
    pub(crate) endpoint: String,
    asked: Arc<AtomicUsize>,
}

impl Relay {
    /// Before `endpoint`, an `http://` address.
    pub(crate) fn before(endpoint: &str) -> Self {
        let behind = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for asker in listener.incoming() {
                let (Ok(asker), Ok(answerer)) = (asker, TcpStream::connect(&behind)) else { return };
                let (back, forth) = (answerer.try_clone().unwrap(), asker.try_clone().unwrap());
                let (count, none) = (Arc::clone(&count), Arc::default());
                std::thread::spawn(move || carry(asker, answerer, &count));
                std::thread::spawn(move || carry(back, forth, &none));
            }
        });
        Self { endpoint, asked }
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
