//! Rows and columns: on a terminal as wide as it is, in a pipe one line a row.
//!
//! Neighbours: `print` hands it to every command. A part of its own because what gives way first where there is no room
//! (seconds and years, then columns of little use, then the end of a sentence, and never an id or a name, which are
//! typed again) must be the same in all lists.

use std::io::IsTerminal;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use unicode_width::UnicodeWidthStr;

use super::print::WIDEST_CELL;
use crate::engine::message::clean;

/// Between two columns.
const GAP: usize = 2;
/// A column of sentences is folded to no less than this, as long as another one can go.
const LEAST_TEXT: usize = 28;
/// Cells of three words and more than this are sentences.
const LONGEST_NAME: usize = 20;
/// Lines of one row; the rest of a sentence is left out.
const MOST_LINES: usize = 3;
/// Characters of a word that is not broken, as states, numbers and short names are.
const SHORT_WORD: usize = 7;
/// Of a column, left and right.
const MARGINS: u16 = 2;
/// Characters of a first column that is never folded.
const WIDEST_ID: usize = 16;

/// A table of which nothing is left out; cells may hold foreign text.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    list(head, rows, &[])
}

/// A table for an overview: where the terminal has no room it does without seconds, without the rest of long sentences,
/// and without `spare` columns, the first of them first.
pub(super) fn list(head: &[&str], rows: &[Vec<String>], spare: &[&str]) -> String {
    let width = if std::io::stdout().is_terminal() { Table::new().width() } else { None };
    within(width, head, rows, spare)
}

/// As [`list`], for a terminal of `width` characters; on one line a row without one.
fn within(width: Option<u16>, head: &[&str], rows: &[Vec<String>], spare: &[&str]) -> String {
    let clean = |row: &Vec<String>| row.iter().map(|cell| clean(cell, WIDEST_CELL)).collect();
    let grid = Grid { head: head.to_vec(), rows: rows.iter().map(clean).collect() };
    let Some(width) = width else { return grid.draw(None) };
    let room = usize::from(width);
    if grid.fits(room) || spare.is_empty() {
        return grid.draw(Some((width, usize::MAX)));
    }
    let (mut grid, times) = grid.with_short_times();
    let mut left_out = Vec::new();
    for name in spare {
        if grid.fits(room) {
            break;
        }
        if grid.drop_column(name) {
            left_out.push(*name);
        }
    }
    let times = times.map(|times| format!("Times: {times}.\n"));
    let left_out =
        (!left_out.is_empty()).then(|| format!("No room for: {} (--json has all).\n", left_out.join(", ")));
    grid.draw(Some((width, MOST_LINES))) + &times.unwrap_or_default() + &left_out.unwrap_or_default()
}

struct Grid<'h> {
    head: Vec<&'h str>,
    rows: Vec<Vec<String>>,
}

impl<'h> Grid<'h> {
    fn column(&self, n: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(move |row| row.get(n)).map(String::as_str)
    }

    fn natural(&self, n: usize) -> usize {
        self.column(n).chain([self.head[n]]).map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    /// Whether a column holds sentences, which may be folded.
    fn is_text(&self, n: usize) -> bool {
        let sentence = |cell: &str| cell.width() > LONGEST_NAME && cell.split(' ').count() > 2;
        n > 0 && !self.is_times(n) && self.column(n).any(sentence)
    }

    fn is_times(&self, n: usize) -> bool {
        let mut times = self.column(n).filter(|cell| *cell != "-").map(Moment::read).peekable();
        times.peek().is_some() && times.all(|time| time.is_some())
    }

    /// Whether each row has room on its line, but for sentences, which have enough to be read.
    fn fits(&self, room: usize) -> bool {
        let least = |n| if self.is_text(n) { self.natural(n).min(LEAST_TEXT) } else { self.natural(n) };
        (0..self.head.len()).map(|n| least(n) + GAP).sum::<usize>() <= room + GAP
    }

    /// Times without seconds, and without what they have in common: that is returned.
    fn with_short_times(mut self) -> (Self, Option<String>) {
        let columns: Vec<usize> = (0..self.head.len()).filter(|n| self.is_times(*n)).collect();
        let all = columns.iter().flat_map(|n| self.column(*n).filter_map(Moment::read));
        let (years, offsets): (Vec<_>, Vec<_>) =
            all.map(|time| (time.year.to_owned(), time.offset.to_owned())).unzip();
        let common =
            |list: &[String]| list.first().filter(|first| list.iter().all(|one| one == *first)).cloned();
        let (year, offset) = (common(&years), common(&offsets));
        for n in columns {
            for cell in self.rows.iter_mut().filter_map(|row| row.get_mut(n)) {
                let short = Moment::read(cell).map(|time| time.short(year.is_some(), offset.is_some()));
                *cell = short.unwrap_or_else(|| cell.clone());
            }
        }
        let told: Vec<String> = year.into_iter().chain(offset).collect();
        (self, (!told.is_empty()).then(|| told.join(", ")))
    }

    fn drop_column(&mut self, name: &str) -> bool {
        let Some(n) = self.head.iter().position(|known| *known == name) else { return false };
        self.head.remove(n);
        for row in self.rows.iter_mut().filter(|row| row.len() > n) {
            row.remove(n);
        }
        true
    }

    /// In so many characters, and at most so many lines a row.
    fn draw(&self, room: Option<(u16, usize)>) -> String {
        let (width, lines) = room.unzip();
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_truncation_indicator("…");
        table.set_content_arrangement(match width {
            Some(_) => ContentArrangement::Dynamic,
            None => ContentArrangement::Disabled,
        });
        table.set_header(self.head.iter().map(|name| name.to_uppercase()));
        let fits = width.is_some_and(|width| self.fits(usize::from(width)));
        for row in &self.rows {
            let mut row = comfy_table::Row::from(row.iter());
            if let Some(lines) = lines.filter(|_| fits) {
                row.max_height(lines);
            }
            table.add_row(row);
        }
        if let Some(width) = width {
            // One space is the first column's margin, another one the last one's.
            table.set_width(width.saturating_add(MARGINS));
            self.constrain(&mut table, fits);
        }
        table
            .lines()
            .map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned() + "\n")
            .collect()
    }

    fn constrain(&self, table: &mut Table, fits: bool) {
        // No word of a heading is broken, nor a short one of a cell.
        let longest = |text: &str, most: usize| {
            text.split(' ').map(UnicodeWidthStr::width).filter(|width| *width <= most).max().unwrap_or(0)
        };
        for (n, column) in table.column_iter_mut().enumerate() {
            let cells = self.column(n).map(|cell| longest(cell, SHORT_WORD));
            let least = cells.chain([longest(self.head[n], usize::MAX)]).max();
            let least = u16::try_from(least.unwrap_or(0)).unwrap_or(0).saturating_add(MARGINS);
            // An id, which is typed again, is not broken; a name may be too long for that.
            let whole = if fits { !self.is_text(n) } else { n == 0 && self.natural(0) <= WIDEST_ID };
            column.set_constraint(match whole {
                true => ColumnConstraint::ContentWidth,
                false => ColumnConstraint::LowerBoundary(Width::Fixed(least)),
            });
        }
    }
}

/// A time as `when::local` writes it, in its parts.
struct Moment<'c> {
    year: &'c str,
    /// Month, day, hour and minute.
    minute: &'c str,
    offset: &'c str,
}

impl<'c> Moment<'c> {
    fn read(cell: &'c str) -> Option<Self> {
        let (year, rest) = cell.split_once('-')?;
        let (minute, rest) = rest.split_at_checked("11-22 11:05".len())?;
        let offset = rest.strip_prefix(':')?.split_once(' ')?.1;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b"- :".contains(&b));
        let is_time = year.len() == 4 && digits(year) && digits(minute) && offset.starts_with("UTC");
        (is_time && !offset.contains(' ')).then_some(Self { year, minute, offset })
    }

    fn short(&self, one_year: bool, one_offset: bool) -> String {
        let year = if one_year { String::new() } else { format!("{}-", self.year) };
        let offset = if one_offset { String::new() } else { format!(" {}", self.offset) };
        format!("{year}{}{offset}", self.minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect()
    }

    #[track_caller]
    fn widest(text: &str) -> usize {
        text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    const HEAD: [&str; 8] =
        ["notification", "channel", "state", "events", "created", "next attempt", "attempts", "last error"];
    const SPARE: [&str; 3] = ["attempts", "events", "created"];

    fn outbox() -> Vec<Vec<String>> {
        let error = "http://192.168.178.111:40177/… answered 503: the service is not there for a while, come back later \
                     when it is, and ask again";
        let at = "2026-11-23 10:34:09 UTC+8";
        rows(&[
            &["ntf_pnrhjj4hl3", "soc-hook", "pending", "2", at, "2026-11-23 11:04:10 UTC+8", "3", error],
            &["ntf_2nrhjj4hl3", "soc-mail", "waiting", "1", at, "-", "0", "-"],
        ])
    }

    #[test]
    fn a_list_gives_way_in_order_and_keeps_ids_whole() {
        let drawn = [80, 120, 200].map(|width| within(Some(width), &HEAD, &outbox(), &SPARE));
        for (width, drawn) in [80, 120, 200].into_iter().zip(&drawn) {
            assert!(widest(drawn) <= width, "{width}\n{drawn}");
            assert!(drawn.contains("ntf_pnrhjj4hl3") && drawn.contains("soc-mail"), "{drawn}");
        }
        insta::assert_snapshot!("lists", drawn.join("\n"));
        let piped = within(None, &HEAD, &outbox(), &SPARE);
        assert_eq!(piped.lines().count(), 3, "{piped}");
        assert!(piped.contains("2026-11-23 10:34:09 UTC+8") && piped.contains("ask again"), "{piped}");
    }

    #[test]
    fn a_table_without_spare_columns_breaks_no_heading_and_no_id() {
        let head = ["episode", "state", "severity", "rule", "subject", "online", "since", "acked by"];
        let row = [
            "ep_pnrhjj4hl3",
            "firing",
            "high",
            "agent/name-refused",
            "shanghai/alice",
            "1 of 1, peak 3",
            "soon",
            "-",
        ];
        let rows = rows(&[&row]);
        let narrow = within(Some(80), &head, &rows, &[]);
        assert!(widest(&narrow) <= 80, "{narrow}");
        for whole in head.map(|name| name.split(' ').next().unwrap_or(name).to_uppercase()) {
            assert!(narrow.contains(&whole), "{whole}\n{narrow}");
        }
        assert!(narrow.contains("ep_pnrhjj4hl3") && narrow.contains("firing"), "{narrow}");
        assert_eq!(within(None, &head, &rows, &[]).lines().count(), 2);
        // Too narrow for anything: still every row, and no panic.
        assert!(within(Some(10), &head, &rows, &["state"]).contains("ep_pnrhjj4hl3"));
    }

    #[test]
    fn times_lose_only_what_all_of_them_share() {
        let check = |times: [&str; 2], shown: [&str; 2], told: &str| {
            let wide = "x".repeat(50);
            let rows = rows(&[&[&wide, times[0]], &[&wide, times[1]]]);
            let drawn = within(Some(72), &["name", "at"], &rows, &["none"]);
            let lines: Vec<&str> = drawn.lines().collect();
            assert!(lines[1].ends_with(shown[0]) && lines[2].ends_with(shown[1]), "{drawn}");
            assert_eq!(lines.get(3).copied().unwrap_or_default(), told, "{drawn}");
        };
        let one = "2026-11-23 10:34:09 UTC+8";
        check([one, "2026-01-02 03:04:05 UTC+8"], ["11-23 10:34", "01-02 03:04"], "Times: 2026, UTC+8.");
        check([one, "2025-01-02 03:04:05 UTC+8"], ["2026-11-23 10:34", "2025-01-02 03:04"], "Times: UTC+8.");
        check([one, "2026-01-02 03:04:05 UTC+9"], ["11-23 10:34 UTC+8", "01-02 03:04 UTC+9"], "Times: 2026.");
        check([one, "-"], ["11-23 10:34", "-"], "Times: 2026, UTC+8.");
    }

    /// Evidence is complete or it is none.
    #[test]
    fn a_table_without_spare_columns_leaves_nothing_out() {
        let words = "one after another ".repeat(12);
        let whole = rows(&[&["ep_pnrhjj4hl3", "2026-11-23 10:34:09 UTC+8", words.trim()]]);
        let drawn = within(Some(50), &["episode", "at", "note"], &whole, &[]);
        assert!(drawn.contains("10:34:09") && drawn.matches("another").count() == 12, "{drawn}");
        let list = within(Some(60), &["episode", "at", "note"], &whole, &["at"]);
        assert!(list.lines().count() <= 6 && list.contains('…'), "{list}");
    }

    #[test]
    fn wide_characters_count_for_what_they_take() {
        let head = ["source", "user", "rules"];
        let rows = rows(&[&[
            "shanghai",
            "访客终端一号机",
            "one rule, and another one, and some that take more room than there is",
        ]]);
        let narrow = within(Some(60), &head, &rows, &[]);
        assert!(widest(&narrow) <= 60 && narrow.contains("访客终端一号机"), "{narrow}");
    }
}
