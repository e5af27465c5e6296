//! What happened, line by line: a running hash of all of it, and the last lines for whoever must find out why.
//!
//! Neighbours: both lives write it. A part of its own because "the same seed gives the same run" is said by one number.

use std::collections::VecDeque;
use std::fmt::{Arguments, Write as _};

use sha2::{Digest, Sha256};

const KEPT: usize = 60;

#[derive(Default)]
pub(crate) struct Log {
    hash: Sha256,
    last: VecDeque<String>,
    pub(crate) lines: u64,
}

impl Log {
    pub(crate) fn line(&mut self, text: Arguments<'_>) {
        let mut line = if self.last.len() == KEPT { self.last.pop_front().unwrap() } else { String::new() };
        line.clear();
        line.write_fmt(text).unwrap();
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        self.last.push_back(line);
        self.lines += 1;
    }

    /// Only for the hash.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    pub(crate) fn hash(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.hash.clone().finalize())[..32].to_owned()
    }

    pub(crate) fn last(&self) -> String {
        self.last.iter().fold(String::new(), |text, line| text + "  " + line + "\n")
    }
}

macro_rules! note {
    ($log:expr, $($text:tt)*) => { $log.line(format_args!($($text)*)) };
}
pub(crate) use note;
