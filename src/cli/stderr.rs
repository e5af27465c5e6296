//! Stderr that nobody has to wait for: lines go through a bounded queue to a thread of their own.
//!
//! Neighbours: `log` writes into it, `mod` empties it before the process ends. A part of its own because a pipe that
//! nobody reads is full after 64 KiB, and a write to it never returns: the agent would stand still with its log.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Lines that may wait; what comes on top is lost and counted.
const MOST_LINES: usize = 1024;

/// How long the end of the process waits for lines that are on their way.
const PATIENCE: Duration = Duration::from_secs(1);

enum Item {
    Line(Vec<u8>),
    /// Everything before this was written.
    Mark(SyncSender<()>),
}

/// The queue's end that takes lines; one line per write.
#[derive(Clone)]
pub(super) struct Queue {
    items: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the thread that writes to `out`. It ends with the process: a write that hangs cannot be called back.
    pub(super) fn start(out: impl Write + Send + 'static) -> Self {
        let (items, queue) = sync_channel(MOST_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        // Without a thread every line is lost, and nothing else.
        let _ =
            std::thread::Builder::new().name("log".to_owned()).spawn(move || write(&queue, &counted, out));
        Self { items, lost }
    }

    /// Waits until what was logged so far is written, or can't be.
    pub(super) fn empty(&self) {
        let (mark, reached) = sync_channel(1);
        if self.items.try_send(Item::Mark(mark)).is_ok() {
            let _ = reached.recv_timeout(PATIENCE);
        }
    }
}

fn write(queue: &Receiver<Item>, lost: &AtomicU64, mut out: impl Write) {
    for item in queue {
        match item {
            // A closed pipe is let be: losing a line must not stop the agent.
            Item::Line(line) => drop(out.write_all(&line)),
            Item::Mark(mark) => drop(mark.try_send(())),
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "seatwatch: {lost} lines of the log are lost: nobody read stderr");
        }
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.items.try_send(Item::Line(line.to_vec())) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    /// Says when the first write is there, and takes none before it is told to.
    struct Pipe {
        reached: std::sync::mpsc::Sender<()>,
        opened: Receiver<()>,
        kept: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.reached.send(());
            let _ = self.opened.recv();
            self.kept.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_pipe_delays_nobody_and_what_is_lost_is_counted() {
        let ((reached, first), (open, opened)) = (channel(), channel());
        let kept = Arc::new(Mutex::new(Vec::new()));
        let mut queue = Queue::start(Pipe { reached, opened, kept: Arc::clone(&kept) });
        queue.write_all(b"first\n").unwrap();
        first.recv().unwrap();
        for n in 0..MOST_LINES + 7 {
            queue.write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        drop(open);
        // The pipe is read again; the queue may still be full for a moment.
        let written = || String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        while !written().contains("line 1023\n") {
            queue.empty();
        }
        queue.empty();
        let written = written();
        assert!(written.contains(" 7 lines of the log are lost"), "{written}");
        assert!(!written.contains("line 1024\n"), "it did not fit");
    }
}
