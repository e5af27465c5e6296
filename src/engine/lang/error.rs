//! A mistake in a condition, and how it is shown: the line, a caret under the place, what to do.
//!
//! Neighbours: every step of the language makes them, `config` places them in the rules file, commands print them.
//! A part of its own because columns on a terminal are neither bytes nor characters.

use std::ops::Range;

use unicode_width::UnicodeWidthChar;

/// One mistake. `span` counts bytes of the condition's text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct LangError {
    pub span: Range<usize>,
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

/// Columns of the line shown before and after the start of the caret; more is cut with `…`.
const BEFORE: usize = 60;
const AFTER: usize = 40;

impl LangError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: clean(&message.into()), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(clean(&hint.into()));
        self
    }

    /// Three lines for people: the line of the text, carets under the place with the message, the hint. Control
    /// and direction characters of the text are shown as `\u{…}`.
    pub fn render(&self, text: &str) -> String {
        let start = floor(text, self.span.start);
        let end = floor(text, self.span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let (before, width) = tail(&text[line_start..start]);
        let (marked, marked_width) = head(&text[start..end.min(line_end)], AFTER);
        let (after, _) = head(&text[end.min(line_end)..line_end], AFTER.saturating_sub(marked_width));
        let carets = "^".repeat(marked_width.max(1));
        let mut shown = format!("{before}{marked}{after}\n");
        shown.extend(std::iter::repeat_n(' ', width));
        shown.push_str(&format!("{carets} {}", self.message));
        if let Some(hint) = &self.hint {
            shown.push_str(&format!("\nhint: {hint}"));
        }
        shown
    }
}

/// A piece of the condition for a sentence: one line, not long.
pub(super) fn quote(text: &str) -> String {
    head(&clean(text), AFTER).0
}

/// White space as spaces, what moves or hides other text as `\u{…}`.
fn clean(text: &str) -> String {
    let space = |c: char| if c.is_ascii_whitespace() { ' ' } else { c };
    text.chars().map(|c| shown(space(c)).0).collect()
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A character as it is shown, and its columns.
fn shown(c: char) -> (String, usize) {
    match c.width() {
        _ if c == '\t' => (" ".to_owned(), 1),
        Some(width) if width > 0 && !hidden(c) => (c.to_string(), width),
        Some(_) | None => {
            let escape = c.escape_unicode().to_string();
            let width = escape.len();
            (escape, width)
        }
    }
}

/// Characters that have a width and yet move or hide what follows.
fn hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The first `most` columns, and how many they are.
fn head(text: &str, most: usize) -> (String, usize) {
    let (mut out, mut width) = (String::new(), 0);
    for c in text.chars() {
        let (piece, columns) = shown(c);
        if width + columns > most {
            out.push('…');
            return (out, width + 1);
        }
        out.push_str(&piece);
        width += columns;
    }
    (out, width)
}

/// The last [`BEFORE`] columns, and how many they are.
fn tail(text: &str) -> (String, usize) {
    let (mut pieces, mut width) = (Vec::new(), 0);
    for c in text.chars().rev() {
        let (piece, columns) = shown(c);
        if width + columns > BEFORE {
            pieces.push("…".to_owned());
            width += 1;
            break;
        }
        pieces.push(piece);
        width += columns;
    }
    pieces.reverse();
    (pieces.concat(), width)
}
