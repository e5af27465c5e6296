//! What commands write: tables that fit the terminal, JSON, plain lines.
//!
//! Neighbours: every command. A part of its own so that foreign text is made harmless and a closed pipe is borne
//! in one place.

use std::io::{IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use super::layout::laid_out;
use crate::engine::message::clean;
use crate::secret::variable;

/// The most characters of foreign text in one cell.
const WIDEST_CELL: usize = 512;
/// Characters of a word that is not broken, as states, numbers and short names are.
const SHORT_WORD: usize = 7;
/// Of a column, left and right.
const MARGINS: u16 = 2;
/// Characters of a first column that is never folded.
const WIDEST_ID: usize = 16;

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

/// A table; cells may hold foreign text. On a terminal it is folded to the width, in a pipe it stays on one line.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = if std::io::stdout().is_terminal() { Table::new().width() } else { None };
    within(width, head, rows)
}

/// As [`table`], folded to `width` characters; on one line a row without one.
fn within(width: Option<u16>, head: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(if width.is_some() {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    if let Some(width) = width {
        table.set_width(width);
    }
    table.set_header(head.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell, WIDEST_CELL)));
    }
    // No word of a heading is broken, nor a short one of a cell.
    let longest = |text: &str, most: usize| {
        text.split(' ').map(|word| word.chars().count()).filter(|length| *length <= most).max().unwrap_or(0)
    };
    for (n, (column, name)) in table.column_iter_mut().zip(head).enumerate() {
        let cells = rows.iter().filter_map(|row| row.get(n));
        let least = cells.map(|cell| longest(cell, SHORT_WORD)).chain([longest(name, usize::MAX)]).max();
        let least = u16::try_from(least.unwrap_or(0)).unwrap_or(0).saturating_add(MARGINS);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
    }
    // An id, which is typed again, is not broken; a name may be too long for that.
    if rows.iter().all(|row| row.first().is_some_and(|cell| cell.chars().count() <= WIDEST_ID))
        && let Some(first) = table.column_mut(0)
    {
        first.set_constraint(ColumnConstraint::ContentWidth);
    }
    // One space is the first column's margin.
    table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned() + "\n").collect()
}

/// Foreign text in a sentence.
pub(super) fn name(text: &str) -> String {
    clean(text, WIDEST_CELL)
}

/// `-` where there is nothing to show.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_table_breaks_no_heading_and_no_id() {
        let head = ["episode", "state", "severity", "rule", "subject", "online", "since", "acked by"];
        let at = "2026-11-23 10:34:09 CST";
        let row = [
            "ep_pnrhjj4hl3",
            "firing",
            "high",
            "agent/name-refused",
            "shanghai/alice",
            "1 of 1, peak 3",
            at,
            "-",
        ];
        let rows = vec![row.map(str::to_owned).to_vec()];
        let narrow = within(Some(80), &head, &rows);
        let widest = narrow.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{widest:?}\n{narrow}");
        for whole in [
            "EPISODE",
            "STATE",
            "SEVERITY",
            "RULE",
            "SUBJECT",
            "ONLINE",
            "SINCE",
            "ACKED",
            "ep_pnrhjj4hl3",
            "firing",
        ] {
            assert!(narrow.contains(whole), "{whole}\n{narrow}");
        }
        let whole = within(None, &head, &rows);
        assert_eq!(whole.lines().count(), 2, "{whole}");
        // Too narrow for anything: still every row, and no panic.
        assert!(within(Some(10), &head, &rows).contains("ep_pnrhjj4hl3"));
    }
}
