//! A message as plain text of at most 80 columns: the text part of a mail, read in a terminal.
//!
//! Neighbours: `mod` has the parts; HTML and JSON are the channels' affair. A part of its own because layout is no
//! matter of words. Columns are counted as terminals do: wide characters take two (UAX #11).

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Message, Section, Table};

const WIDTH: usize = 80;
/// Between columns.
const GAP: usize = 2;
/// No column of a table gets narrower.
const NARROWEST: usize = 8;
/// Names of facts beyond this do not push the values of the others to the right.
const LONGEST_NAME: usize = 24;

pub(super) fn render(message: &Message) -> String {
    let mut lines = wrap(&message.summary, WIDTH);
    for section in &message.sections {
        lines.push(String::new());
        section_lines(section, &mut lines);
    }
    lines.extend(message.omitted());
    if !message.footer.is_empty() {
        lines.push(String::new());
        lines.extend(message.footer.iter().flat_map(|line| wrap(line, WIDTH)));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn section_lines(section: &Section, lines: &mut Vec<String>) {
    if !section.heading.is_empty() {
        lines.extend(wrap(&format!("== {} ==", section.heading), WIDTH));
    }
    let widths = section.facts.iter().map(|(name, _)| name.width().min(LONGEST_NAME));
    let indent = widths.max().unwrap_or(0) + GAP;
    for (name, value) in &section.facts {
        let mut values = wrap(value, WIDTH - indent).into_iter();
        if name.width() > indent - GAP {
            lines.extend(wrap(name, WIDTH));
        } else {
            lines.push(format!("{}{}", pad(name, indent), values.next().unwrap_or_default()));
        }
        lines.extend(values.map(|value| format!("{}{value}", " ".repeat(indent))));
    }
    if let Some(table) = &section.table {
        table_lines(table, lines);
    }
}

fn table_lines(table: &Table, lines: &mut Vec<String>) {
    let all = || std::iter::once(&table.head).chain(&table.rows);
    let count = all().map(Vec::len).max().unwrap_or(0);
    let widest = |at: usize| all().filter_map(|row| row.get(at)).map(|cell| cell.width()).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..count).map(widest).collect();
    // The widest column gives way until the table fits.
    while widths.iter().sum::<usize>() + GAP * count.saturating_sub(1) > WIDTH {
        match widths.iter_mut().max().filter(|width| **width > NARROWEST) {
            Some(width) => *width -= 1,
            None => break,
        }
    }
    for row in all() {
        let cells: Vec<Vec<String>> =
            row.iter().zip(&widths).map(|(cell, width)| wrap(cell, (*width).max(1))).collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let parts = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| pad(cell.get(line).map_or("", String::as_str), width + GAP));
            lines.push(parts.collect::<String>().trim_end().to_owned());
        }
    }
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Lines of at most `width` columns: broken at spaces, between wide characters, and within a word only where it is
/// longer than a line. Nothing but the spaces at a break is lost.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0);
    // Where the line may be broken: everything from here on moves to the next.
    let mut last_break = None;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if line.chars().next_back().is_some_and(|before| breaks(before, c)) {
            last_break = Some(line.len());
        }
        while used + wide > width && !line.is_empty() {
            let rest = line.split_off(last_break.unwrap_or(line.len()));
            lines.push(line.trim_end().to_owned());
            line = rest;
            (used, last_break) = (line.width(), None);
        }
        if c == ' ' && line.is_empty() && !lines.is_empty() {
            continue;
        }
        line.push(c);
        used += wide;
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// May a line end between the two? At a space, and beside a wide character unless punctuation forbids it.
fn breaks(before: char, after: char) -> bool {
    let wide = |c: char| c.width() == Some(2);
    before == ' ' || after == ' ' || (wide(before) || wide(after)) && !opens(before) && !closes(after)
}

/// Punctuation that does not begin a line.
fn closes(c: char) -> bool {
    "，。、；：？！）”’》】…".contains(c)
}

/// Punctuation that does not end a line.
fn opens(c: char) -> bool {
    "（“‘《【".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, width: usize, expect: &[&str]) {
        assert_eq!(wrap(text, width), expect);
    }

    #[test]
    fn lines_break_where_a_reader_expects_it() {
        check("", 5, &[""]);
        check("one two three", 7, &["one two", "three"]);
        check("one two three", 8, &["one two", "three"]);
        check("abcdefgh ij", 4, &["abcd", "efgh", "ij"]);
        check("当前在线，未知", 8, &["当前在", "线，未知"]);
        check("中（文", 5, &["中", "（文"]);
        check("ab 中文", 5, &["ab 中", "文"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_is_too_long(text in "[a-z 中文，。-]{0,200}", width in 2_usize..40) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|line| line.width() <= width), "{lines:?}");
            let bare = |text: &str| text.replace(' ', "");
            prop_assert_eq!(bare(&lines.concat()), bare(&text));
        }
    }

    /// How wide the widest line of a table is whose cells are so long; nothing of it is cut off.
    #[track_caller]
    fn check_table(cells: &[usize], widest: usize) {
        let row = |fill: &str| cells.iter().map(|cell| fill.repeat(*cell)).collect::<Vec<String>>();
        let mut lines = Vec::new();
        table_lines(&Table { head: row("h"), rows: vec![row("r"), row("s")] }, &mut lines);
        assert_eq!(lines.iter().map(String::len).max(), Some(widest), "{lines:#?}");
        let letters = |letter: char| lines.concat().matches(letter).count();
        let all: usize = cells.iter().sum();
        assert_eq!(['h', 'r', 's'].map(letters), [all; 3], "{lines:#?}");
    }

    #[test]
    fn a_table_is_as_wide_as_the_text_and_no_wider() {
        check_table(&[80], 80);
        check_table(&[81], 80);
        check_table(&[10, 20], 32);
        check_table(&[58, 20], 80);
        check_table(&[59, 20], 80);
        check_table(&[500, 20], 80);
        check_table(&[90, 90], 80);
        check_table(&[18, 18, 18, 18], 78);
        check_table(&[30, 30, 30, 30], 80);
        // Ten columns of the least width are more than there is room for.
        check_table(&[20; 10], 98);
    }
}
