//! One mistake in a file: where it is, what is wrong, what to do about it; as JSON and as a drawing.
//!
//! Neighbours: `place` makes them while files are read, `check` and a refused reload print them. A part of its
//! own because its fields are read by other programs, and because what it quotes must never show a secret.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use crate::engine::message::clean;

/// A mistake (or a warning) and its place. Lines and columns count from 1, columns in characters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    pub file: String,
    pub line: usize,
    pub column: usize,
    /// Such as `rule "shared-account".when` or `rule[0].name`; empty where no key is concerned.
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
    /// The line, with what may be a secret masked; None for very long ones.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// What a drawing shows of the file: one line, and the bytes of it that are underlined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excerpt {
    pub line: String,
    pub from: usize,
    pub to: usize,
}

/// Errors and warnings of a file that is refused, each in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Problems {
    pub errors: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

impl Problem {
    /// A mistake without a place in the text: the file cannot be read at all.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>, hint: Option<&str>) -> Self {
        let hint = hint.map(str::to_owned);
        Self {
            file: file.into(),
            line: 1,
            column: 1,
            key: String::new(),
            message: message.into(),
            hint,
            excerpt: None,
        }
    }

    fn draw(&self, level: Level<'_>, renderer: &Renderer) -> String {
        let (title, file) = (harmless(&self.title()), harmless(&self.file));
        let hint = self.hint.as_deref().map(harmless);
        let line = self.excerpt.as_ref().map(|excerpt| harmless(&excerpt.line)).unwrap_or_default();
        let title = level.primary_title(title);
        let mut group = match &self.excerpt {
            Some(excerpt) => title.element(
                Snippet::source(line.as_str())
                    .path(file.as_str())
                    .line_start(self.line)
                    .fold(false)
                    .annotation(AnnotationKind::Primary.span(excerpt.from..excerpt.to)),
            ),
            None => title.element(Origin::path(file.as_str()).line(self.line).char_column(self.column)),
        };
        if let Some(hint) = &hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        renderer.render(&[group])
    }

    fn title(&self) -> String {
        if self.key.is_empty() { self.message.clone() } else { format!("{}: {}", self.key, self.message) }
    }
}

/// `text` with characters that would act on a terminal replaced by others as long in bytes, so that what is underlined
/// stays so. The renderer sees to those of one byte.
fn harmless(text: &str) -> String {
    let shown = |c: char| match c.len_utf8() {
        2.. if clean(c.encode_utf8(&mut [0; 4]), 1).starts_with(c) => c.to_string(),
        2 => "\u{b7}".to_owned(),
        3 => "\u{fffd}".to_owned(),
        4 => "\u{b7}\u{b7}".to_owned(),
        _ => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// One line, for logs.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.title())?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.warnings.is_empty()
    }

    /// All of them for a person, errors first, with the lines and carets.
    pub fn draw(&self, colour: bool) -> String {
        draw(&self.errors, &self.warnings, colour)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.draw(false))
    }
}

impl std::error::Error for Problems {}

/// Draws `errors` and then `warnings`, one paragraph each.
pub fn draw(errors: &[Problem], warnings: &[Problem], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for (level, problems) in [(Level::ERROR, errors), (Level::WARNING, warnings)] {
        for problem in problems {
            text.push_str(&problem.draw(level.clone(), &renderer));
            text.push_str("\n\n");
        }
    }
    text
}
