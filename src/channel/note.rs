//! Notes: what an operator reads of an attempt, in one line that holds no secret and no live control character.
//!
//! Neighbours: `email` and `webhook` write them, the store keeps them. A part of its own because servers echo what
//! they were sent, so every foreign text has to pass here.

use crate::engine::message::clean;
use crate::secret::{self, Secret};

/// How much of a foreign answer is shown, in bytes.
pub(super) const SHOWN: usize = 200;

/// The longest note, in bytes.
const MAX_NOTE: usize = 600;

/// What must not be shown, in all the forms in which a receiver may echo it.
#[derive(Clone, Default)]
pub(super) struct Hidden(Vec<Secret>);

impl Hidden {
    /// Secrets below 4 bytes are left out: they would hide half of every note and are guessed anyway.
    pub(super) fn add(&mut self, text: &str) {
        if text.len() >= 4 {
            self.0.push(Secret::new(text));
        }
    }

    /// One line: secrets as `***`, controls, bidi and zero-width characters escaped, cut to `SHOWN` bytes.
    pub(super) fn foreign(&self, bytes: &[u8]) -> String {
        // Hidden before it is cut, so that no first half of a secret stays.
        let text = self.hide(&String::from_utf8_lossy(bytes));
        cut(&clean(text.trim(), SHOWN), SHOWN)
    }

    /// A whole note of ours, with whatever foreign text it carries.
    pub(super) fn note(&self, text: &str) -> String {
        cut(&clean(&self.hide(text), MAX_NOTE), MAX_NOTE)
    }

    fn hide(&self, text: &str) -> String {
        secret::redact(text, &self.0.iter().collect::<Vec<_>>())
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// At most `max` bytes, cut between characters and marked.
fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &[u8], expect: &str) {
        let mut hidden = Hidden::default();
        hidden.add("hunter2-canary");
        assert_eq!(hidden.foreign(answer), expect);
    }

    #[test]
    fn a_foreign_answer_is_one_harmless_line() {
        check(b"all good", "all good");
        check(b"two\r\nlines\r\n", "two\\r\\nlines");
        check(b"\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}");
        check("a\u{202e}b\u{200b}c".as_bytes(), "a\\u{202e}b\\u{200b}c");
        check(b"\xff\xfe", "\u{fffd}\u{fffd}");
        check(b"your password hunter2-canary is wrong", "your password *** is wrong");
        check(b"aHVudGVyMi1jYW5hcnk=", "***=");
    }

    #[test]
    fn a_long_answer_is_cut_between_characters_and_never_inside_a_secret() {
        let hidden = {
            let mut hidden = Hidden::default();
            hidden.add("hunter2-canary");
            hidden
        };
        let shown = hidden.foreign("é".repeat(5000).as_bytes());
        assert!(shown.len() <= SHOWN && shown.ends_with('…'), "{shown}");
        let shown = hidden.foreign(format!("{}hunter2-canary", "x".repeat(SHOWN - 6)).as_bytes());
        assert!(!shown.contains("hunt"), "{shown}");
    }
}
