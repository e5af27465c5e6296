//! The text of a file that is being checked, and the notes taken about it.
//!
//! Neighbours: sections and cross checks report here with a span, `problem` says what a report looks like. A part
//! of its own because turning a span into line, column and a quotable line must be done the same way for all.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use super::form::Form;
use super::problem::{Excerpt, Problem, Problems};
use super::unknown::suggest;
use crate::secret::SecretRef;

/// Problems beyond this many (errors, and warnings) are counted, not kept.
pub const MOST_PROBLEMS: usize = 1_000;

/// Longer lines are not quoted.
const LONGEST_QUOTED: usize = 500;

/// Where something stands: bytes of the text, and the dotted key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub span: Range<usize>,
    pub key: String,
}

/// A file's text with the places of its lines.
#[derive(Debug)]
pub struct Text {
    /// As problems name it.
    pub file: String,
    pub text: String,
    /// What relative paths in the file start from.
    pub base: PathBuf,
    /// The byte each line starts at.
    lines: Vec<usize>,
}

/// What was found while reading: mistakes, warnings, and which keys were asked for.
#[derive(Debug, Default)]
pub struct Notes {
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    uncounted: Cell<usize>,
    asked: RefCell<BTreeMap<String, Form>>,
    secrets: RefCell<Vec<SecretUse>>,
    files: RefCell<Vec<Problem>>,
    /// Kinds of tables that are missing because their name is misspelt.
    misspelt: RefCell<Vec<&'static str>>,
}

/// A reference to a secret, with the warning that is due if it cannot be resolved.
#[derive(Clone, Debug)]
pub struct SecretUse {
    pub reference: SecretRef,
    pub problem: Problem,
}

impl Text {
    pub fn new(file: impl Into<String>, text: &str, base: impl Into<PathBuf>) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { file: file.into(), text, base: base.into(), lines }
    }

    /// `path` as the file means it: relative to the file's own directory.
    pub fn path(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// The line, from 1, that a byte stands in.
    pub fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).max(1)
    }

    fn problem(&self, place: &Place, message: String, hint: Option<String>, mask: bool) -> Problem {
        let at = place.span.start.min(self.text.len());
        let line = self.line(at);
        let start = self.lines[line - 1];
        let rest = self.text.get(start..).unwrap_or_default();
        let quoted = rest.split('\n').next().unwrap_or_default();
        let quoted = quoted.strip_suffix('\r').unwrap_or(quoted);
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
        let (from, to) = (at - start, place.span.end.clamp(at, start + quoted.len().max(at - start)) - start);
        let excerpt = (quoted.len() <= LONGEST_QUOTED).then(|| excerpt(quoted, from, to, mask));
        Problem { file: self.file.clone(), line, column, key: place.key.clone(), message, hint, excerpt }
    }
}

/// The line as it may be quoted. `mask`: whatever stands after the `=` may be a secret.
fn excerpt(line: &str, from: usize, to: usize, mask: bool) -> Excerpt {
    let equals = line.find('=');
    let secret = |at: usize| (mask || sensitive(&line[..at])) && !is_reference(&line[at + 1..]);
    let line = match equals {
        Some(at) if secret(at) => format!("{}= ***", &line[..at]),
        // What follows a secret's opening line may be the secret.
        None if mask && !line.trim_start().starts_with('[') => String::new(),
        Some(_) | None => line.to_owned(),
    };
    let from = from.min(line.len());
    let to = to.clamp(from, line.len());
    Excerpt { from: line.floor_char_boundary(from), to: line.ceil_char_boundary(to), line }
}

/// Whether a key, perhaps misspelt, is one whose value is not to be shown.
fn sensitive(key: &str) -> bool {
    let key = key.trim().to_ascii_lowercase();
    let named =
        ["secret", "passw", "token", "url", "credential", "access_key"].iter().any(|word| key.contains(word));
    named
        || ["password", "secret", "url"].iter().any(|word| strsim::osa_distance(&key, word) <= word.len() / 3)
}

/// `{ env = "…" }` and its like say where a secret is, not what it is; whole ones only, with nothing else on the line.
fn is_reference(value: &str) -> bool {
    let inner =
        value.trim_start().trim_start_matches(['[', ' ']).strip_prefix('{').unwrap_or_default().trim_start();
    let name = ["env", "file", "credential"].iter().find_map(|word| {
        let rest = inner.strip_prefix(word)?.trim_start().strip_prefix('=')?.trim_start();
        let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c))?;
        rest[1..].split_once(quote)
    });
    let rest = name.map(|(_, rest)| rest.split('#').next().unwrap_or_default().trim_start());
    rest.is_some_and(|rest| rest.starts_with('}') && rest.chars().all(|c| "}], ".contains(c)))
}

impl Notes {
    pub fn error(&self, text: &Text, place: &Place, message: impl Into<String>, hint: Option<&str>) {
        let mask = false;
        self.keep(&self.errors, text.problem(place, message.into(), hint.map(str::to_owned), mask));
    }

    /// An error at a place whose value may be a secret in plain text.
    pub fn masked_error(&self, text: &Text, place: &Place, message: impl Into<String>, hint: Option<&str>) {
        self.keep(&self.errors, text.problem(place, message.into(), hint.map(str::to_owned), true));
    }

    pub fn warning(&self, text: &Text, place: &Place, message: impl Into<String>, hint: Option<&str>) {
        self.keep(&self.warnings, text.problem(place, message.into(), hint.map(str::to_owned), false));
    }

    /// A mistake about a file as a whole.
    pub fn refuse(&self, problem: Problem) {
        self.keep(&self.errors, problem);
    }

    fn keep(&self, list: &RefCell<Vec<Problem>>, problem: Problem) {
        let mut list = list.borrow_mut();
        if list.len() < MOST_PROBLEMS {
            list.push(problem);
        } else {
            self.uncounted.set(self.uncounted.get() + 1);
        }
    }

    /// That there are no tables of a kind is a mistake of its own.
    pub(super) fn distrust(&self, kind: &'static str) {
        self.misspelt.borrow_mut().push(kind);
    }

    /// Whether a table, or a kind of table, has mistakes so far: nobody is to be told off for what rests on it.
    pub fn refused(&self, path: &str) -> bool {
        let within = |key: &str| {
            let rest = key.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ', '[']))
        };
        self.misspelt.borrow().contains(&path)
            || self.errors.borrow().iter().any(|problem| within(&problem.key))
    }

    /// Whether one of these keys has a mistake in any table, or is misspelt.
    pub fn refused_key(&self, keys: &[&str]) -> bool {
        let last = |problem: &Problem| {
            let key = problem.key.rsplit('.').next().unwrap_or_default();
            keys.iter().any(|known| suggest(key, [*known]).is_some())
        };
        self.errors.borrow().iter().any(last)
    }

    /// Remembers that a key was asked for; `shape` is its path without indices, such as `rule.when`,
    /// and `form` what may stand there.
    pub fn ask(&self, shape: String, form: impl FnOnce() -> Form) {
        let mut asked = self.asked.borrow_mut();
        let known = asked.entry(shape).or_default();
        if *known == Form::Unknown {
            *known = form();
        }
    }

    /// Remembers a reference, to be tried later.
    pub fn secret(&self, text: &Text, place: &Place, reference: SecretRef) {
        let problem = text.problem(place, String::new(), None, true);
        self.secrets.borrow_mut().push(SecretUse { reference, problem });
    }

    /// Remembers where a file is named, for the problem that only opening it shows.
    pub fn file(&self, text: &Text, place: &Place) {
        self.files.borrow_mut().push(text.problem(place, String::new(), None, false));
    }

    /// The places that name files so far.
    pub fn files(&self) -> Vec<Problem> {
        self.files.borrow().clone()
    }

    /// The references so far, each place once.
    pub fn secrets(&self) -> Vec<SecretUse> {
        let mut secrets: Vec<SecretUse> = Vec::new();
        for one in self.secrets.borrow().iter() {
            if !secrets.iter().any(|known| known.problem == one.problem) {
                secrets.push(one.clone());
            }
        }
        secrets
    }

    /// Every key that was asked for so far.
    pub fn asked(&self) -> BTreeMap<String, Form> {
        self.asked.borrow().clone()
    }

    /// All problems, in the order of their places, each once.
    pub fn into_problems(self) -> Problems {
        let sorted = |list: RefCell<Vec<Problem>>| {
            let mut list = list.into_inner();
            list.sort_by(|a, b| {
                let place = |p: &Problem| (p.line, p.column);
                (&a.file, place(a), &a.key, &a.message).cmp(&(&b.file, place(b), &b.key, &b.message))
            });
            list.dedup();
            list
        };
        let mut problems = Problems { errors: sorted(self.errors), warnings: sorted(self.warnings) };
        let more = self.uncounted.get();
        if more > 0 {
            let list = if problems.errors.len() >= MOST_PROBLEMS {
                &mut problems.errors
            } else {
                &mut problems.warnings
            };
            if let Some(last) = list.last() {
                list.push(Problem::of_file(
                    last.file.clone(),
                    format!("{more} more problems are not listed"),
                    None,
                ));
            }
        }
        problems
    }
}
