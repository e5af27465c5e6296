//! The users of a source: written in the rules file, or one a line in a file of their own.
//!
//! Neighbours: `sources` asks for them. A part of its own because a list of a million names has other limits than
//! the rules file, and its own lines to point at.

use std::io::Read as _;
use std::path::Path;

use super::place::{Place, Text};
use super::problem::Problem;
use super::section::Section;
use crate::engine::names::Names;

/// Users of one source.
const MOST: usize = 1_000_000;

/// The longest name, in bytes.
const LONGEST_NAME: usize = 256;

/// The longest users file, in bytes.
const LONGEST_FILE: u64 = 64 * 1024 * 1024;

/// The names of `users` and `users_file`, each once, in the order they are written.
pub(super) fn read(section: &mut Section<'_>) -> Names {
    let mut users = Users::default();
    for user in section.strings("users") {
        let span = user.span();
        match users.add(user.get_ref(), section.text.line(span.start), None) {
            Ok(()) => {}
            Err(Refused::Twice(message)) => section.warning_in(span, "users", &message, None),
            Err(Refused::Unfit(message)) => section.error_in(span, "users", message, None),
        }
    }
    if let Some(path) = section.path("users_file") {
        read_file(section, &path, &mut users);
    }
    if users.names.len() > MOST {
        section.error_at(
            "users_file",
            &format!("names more than {MOST} users"),
            Some("make it several sources"),
        );
    }
    users.names
}

#[derive(Default)]
struct Users {
    names: Names,
    /// The line on which each was first named.
    lines: Vec<usize>,
    /// How many of them the rules file itself names; they go first.
    own: usize,
}

enum Refused {
    Twice(String),
    Unfit(&'static str),
}

impl Users {
    /// `file` is the file the line is in, if not the rules file.
    fn add(&mut self, name: &str, line: usize, file: Option<&str>) -> Result<(), Refused> {
        fit(name).map_err(Refused::Unfit)?;
        if let Some(slot) = self.names.slot(name) {
            let (slot, mut message) = (slot as usize, format!("{name:?} is listed twice, first in line "));
            message += &self.lines[slot].to_string();
            if let Some(file) = file.filter(|_| slot >= self.own) {
                message += &format!(" of {file}");
            }
            return Err(Refused::Twice(message));
        }
        self.names.slot_or_add(name);
        self.lines.push(line);
        self.own += usize::from(file.is_none());
        Ok(())
    }
}

fn fit(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err("a user name has 1 to 256 bytes");
    }
    if name.chars().any(char::is_control) {
        return Err("a user name holds no control characters");
    }
    Ok(())
}

/// Whether it can be the name of one user, where a pattern may be meant by mistake.
pub(super) fn one(name: &str) -> Result<(), &'static str> {
    if name.contains(['*', '?']) {
        return Err("patterns name nobody here");
    }
    fit(name)
}

fn read_file(section: &Section<'_>, path: &Path, users: &mut Users) {
    let text = match load(path, LONGEST_FILE) {
        Ok(text) => text,
        Err(Unread { why, place, hint }) => {
            let at =
                place.map(|(line, column)| format!(": see line {line}, column {column}")).unwrap_or_default();
            let message = format!("{:?} {why}{at}", path.display().to_string());
            return section.error_at("users_file", &message, hint);
        }
    };
    let text = Text::new(path.display().to_string(), &text, path.parent().unwrap_or(Path::new("")));
    let start = text.text.as_ptr() as usize;
    for (index, line) in text.text.lines().enumerate() {
        let name = line.trim();
        if name.is_empty() || name.starts_with('#') || users.names.len() > MOST {
            continue;
        }
        let Err(refused) = users.add(name, index + 1, Some(&text.file)) else { continue };
        let from = name.as_ptr() as usize - start;
        let place = Place { span: from..from + name.len(), key: String::new() };
        match refused {
            Refused::Twice(message) => section.notes.warning(&text, &place, message, None),
            Refused::Unfit(message) => section.notes.error(&text, &place, message, None),
        }
    }
}

/// Why a file of text was not read.
pub(super) struct Unread {
    /// To follow the file's name.
    why: String,
    /// Line and column, where one place is to blame.
    place: Option<(usize, usize)>,
    /// The way out, unless that depends on what the file was to be.
    hint: Option<&'static str>,
}

impl Unread {
    /// As a mistake of `file`; `hint` is the way out if the path is wrong.
    pub(super) fn problem(self, file: String, hint: &str) -> Problem {
        let (line, column) = self.place.unwrap_or((1, 1));
        Problem { line, column, ..Problem::of_file(file, self.why, Some(self.hint.unwrap_or(hint))) }
    }
}

/// Reads a file of text that people wrote.
pub(super) fn load(path: &Path, longest: u64) -> Result<String, Unread> {
    let refuse = |why: String, hint| Unread { why, place: None, hint };
    let cannot = |error: std::io::Error| refuse(format!("cannot be read: {error}"), None);
    // Before opening: a FIFO would wait for a writer.
    let meta = std::fs::metadata(path).map_err(cannot)?;
    if !meta.is_file() {
        let hint = meta.is_dir().then_some("it is a directory: name the file in it");
        return Err(refuse("is not a regular file".to_owned(), hint));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(longest + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() as u64 > longest {
        let why = format!("is longer than {} MiB", longest / (1024 * 1024));
        return Err(refuse(
            why,
            (longest < LONGEST_FILE).then_some("put long lists of users into a users_file"),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let (fine, hint) = (error.utf8_error().valid_up_to(), Some("save it as UTF-8 text"));
        let before = String::from_utf8_lossy(&error.as_bytes()[..fine]).into_owned();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Unread { why: "is not UTF-8 text".to_owned(), place: Some((line, column)), hint }
    })
}
