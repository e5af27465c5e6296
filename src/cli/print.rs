//! What commands write: JSON, plain lines, names.
//!
//! Neighbours: every command; `table` lays rows out. A part of its own so that foreign text is made harmless and a closed pipe is borne
//! in one place.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::layout::laid_out;
pub(super) use super::table::{list, table};
use crate::engine::message::clean;
use crate::secret::variable;

/// The most characters of foreign text in one cell.
pub(super) const WIDEST_CELL: usize = 512;

/// Bytes to stdout as they are. A reader that went away ends the output, not the program.
pub(super) fn raw(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

pub(super) fn line(text: &str) {
    raw(format!("{text}\n").as_bytes());
}

pub(super) fn error(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Whether stderr is a terminal whose user has nothing against colour (<https://no-color.org>).
pub(super) fn colour() -> bool {
    std::io::stderr().is_terminal() && variable("NO_COLOR").is_none_or(|set| set.is_empty())
}

/// `3 errors`, `1 error`.
pub(super) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// One JSON value, pretty on a terminal.
pub(super) fn json(value: &impl Serialize) -> Result<(), super::Failure> {
    let text = serde_json::to_string(value).map_err(anyhow::Error::from)?;
    let pretty = std::io::stdout().is_terminal();
    line(&harmless(&if pretty { laid_out(&text) } else { text }));
    Ok(())
}

/// The same JSON with what acts on a terminal (C1, bidi) as `\u` escapes: it can only stand in strings.
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        let plain = c == '\n' || (' '..='~').contains(&c);
        if plain || clean(c.encode_utf8(&mut [0; 4]), WIDEST_CELL).starts_with(c) {
            text.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text += &format!("\\u{unit:04x}"));
        }
    }
    text
}

/// Foreign text in a sentence.
pub(super) fn name(text: &str) -> String {
    clean(text, WIDEST_CELL)
}

/// `-` where there is nothing to show.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
