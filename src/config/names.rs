//! Names that tables define and others use: each defined once, each use checked, each one unused known.
//!
//! Neighbours: `Config` fills one list per kind of table, rules and agent refer to them. A part of its own because
//! "is there such a channel" must be asked in the same words everywhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::place::Place;
use super::section::{Section, Spanned, suggest};

/// The names of one kind of table. A table that has mistakes still defines its name.
#[derive(Debug)]
pub(super) struct Names {
    kind: &'static str,
    /// By the small letters of the name: names that differ in case alone are one.
    defined: BTreeMap<String, (String, Place)>,
    used: RefCell<BTreeSet<String>>,
    /// There are tables of this kind whose name is not known, or that look as if they were meant to be.
    nameless: bool,
}

impl Names {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, defined: BTreeMap::new(), used: RefCell::default(), nameless: false }
    }

    /// Names that another file defines.
    pub(super) fn given<'n>(kind: &'static str, names: impl IntoIterator<Item = &'n str>) -> Self {
        let place = |name: &str| (name.to_owned(), Place { span: 0..0, key: String::new() });
        let defined = names.into_iter().map(|name| (name.to_lowercase(), place(name))).collect();
        Self { kind, defined, used: RefCell::default(), nameless: false }
    }

    /// Takes up the name of `section`, and reports one that is there already.
    pub(super) fn define(&mut self, section: &Section<'_>) {
        let Some(name) = section.peek_string("name") else { return self.misses() };
        let place = section.place("name");
        if let Some((first, at)) = self.defined.get(&name.to_lowercase()) {
            let line = section.text.line(at.span.start);
            let message = format!("another {} in line {line} is called {first:?}", self.kind);
            section.error_at("name", &message, Some("give each a name of its own; case makes no difference"));
            return;
        }
        self.defined.insert(name.to_lowercase(), (name.to_owned(), place));
    }

    /// A name that is used and not defined may be of a table with a mistake of its own.
    pub(super) fn misses(&mut self) {
        self.nameless = true;
    }

    pub(super) fn is_whole(&self) -> bool {
        !self.nameless
    }

    /// Whether `name` is defined; if not, that is an error at its place.
    pub(super) fn check(&self, section: &Section<'_>, key: &str, span: Range<usize>, name: &str) -> bool {
        if self.defined.get(&name.to_lowercase()).is_some_and(|(defined, _)| defined == name) {
            self.used.borrow_mut().insert(name.to_owned());
            return true;
        }
        if self.nameless {
            return false;
        }
        let known = self.defined.values().map(|(name, _)| name.as_str());
        let hint = suggest(name, known).unwrap_or_else(|| format!("define it with [[{}]]", self.kind));
        section.error_in(span, key, &format!("no {} is called {name:?}", self.kind), Some(&hint));
        false
    }

    /// Those of `names` that are defined; the others are errors, and one given twice a warning.
    pub(super) fn check_all(
        &self,
        section: &Section<'_>,
        key: &str,
        names: Vec<Spanned<String>>,
    ) -> Vec<String> {
        let mut kept: Vec<String> = Vec::with_capacity(names.len());
        let mut seen = BTreeSet::new();
        for name in names {
            let span = name.span();
            if !seen.insert(name.get_ref().clone()) {
                section.warning_in(span, key, &format!("{:?} is listed twice", name.get_ref()), None);
            } else if self.check(section, key, span, name.get_ref()) {
                kept.push(name.into_inner());
            }
        }
        kept
    }

    /// Names nobody used, with their places.
    pub(super) fn unused(&self) -> Vec<(String, Place)> {
        let used = self.used.borrow();
        self.defined.values().filter(|(name, _)| !used.contains(name)).cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.defined.is_empty()
    }

    /// Notes a use that names nothing: the only one is meant.
    pub(super) fn mark(&self, name: &str) {
        self.used.borrow_mut().insert(name.to_owned());
    }

    /// The only one, if there is one.
    pub(super) fn only(&self) -> Option<&str> {
        let mut names = self.defined.values();
        let (name, _) = names.next()?;
        names.next().is_none().then_some(name.as_str())
    }
}
