//! From a file's bytes to its root section, and back to the problems that were noted.
//!
//! Neighbours: `Config` walks the rules file through it, tests of settings walk a few lines. A part of its own
//! because limits and syntax errors come before anything means anything.

use std::path::Path;

use toml::de::DeTable;

use super::place::{Notes, Place, Text};
use super::problem::{Problem, Problems};
use super::section::Section;

/// The longest rules file, in bytes.
pub const LONGEST: usize = 1024 * 1024;

/// Parses `text` and hands its root to `read`, which reports through the section. After a syntax error `read` is
/// not called, and the syntax errors are all there is. `file` is what problems name, `base` what relative paths
/// start from. The root is not finished here: `read` does that when it asked for everything.
pub fn walk<T>(
    file: &str,
    text: &str,
    base: &Path,
    read: impl FnOnce(Section<'_>) -> T,
) -> (Option<T>, Problems) {
    let notes = Notes::default();
    if let Some(problem) = unfit(file, text.as_bytes()) {
        notes.refuse(problem);
        return (None, notes.into_problems());
    }
    let text = Text::new(file, text, base);
    let (table, mistakes) = DeTable::parse_recoverable(&text.text);
    for mistake in &mistakes {
        let span = mistake.span().unwrap_or(0..0);
        notes.error(&text, &Place { span, key: String::new() }, mistake.message(), None);
    }
    if !mistakes.is_empty() {
        return (None, notes.into_problems());
    }
    let value = read(Section::root(&text, &notes, &table));
    (Some(value), notes.into_problems())
}

/// Why bytes are not a file to be parsed.
pub fn unfit(file: &str, bytes: &[u8]) -> Option<Problem> {
    if bytes.len() > LONGEST {
        let hint = "put long lists of users into a users_file";
        return Some(Problem::of_file(file, "is longer than 1 MiB", Some(hint)));
    }
    if bytes.contains(&0) {
        return Some(Problem::of_file(file, "holds a NUL byte", Some("save it as UTF-8 text")));
    }
    if std::str::from_utf8(bytes).is_err() {
        return Some(Problem::of_file(file, "is not UTF-8 text", Some("save it as UTF-8 text")));
    }
    None
}
