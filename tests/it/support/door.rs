//! A port of the loopback that answers each caller in a thread of its own, until it goes.
//!
//! Neighbours: receivers of webhooks and the `kills` program's mail server and relay stand behind one. A part of its own
//! because a listener that nobody ends keeps its thread and its port: a program that plays thousands of stages runs out.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) struct Door {
    pub(crate) port: u16,
    closed: Arc<AtomicBool>,
}

impl Door {
    pub(crate) fn open(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let closed = Arc::new(AtomicBool::new(false));
        let (over, answer) = (Arc::clone(&closed), Arc::new(answer));
        std::thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || answer(caller));
            }
        });
        Self { port, closed }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // So that it looks up.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}
