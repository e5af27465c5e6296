//! One table of the rules file while it is read: every key is asked for once, every mistake is noted with its
//! place, and what nobody asked for is an unknown key.
//!
//! Neighbours: each part's `Settings::read` takes a section, `values` has the readers of lists, dates and secrets,
//! `unknown` tells of keys that are missing or that nobody asked for.
//! A part of its own because serde's derive stops at the first mistake and forgets where things stood.
//! A reader asks for *all* its keys before it gives up on a missing one: only keys asked for count as known.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::str::FromStr;

use toml::de::{DeTable, DeValue};

pub use toml::Spanned;

use super::form::Form;
use super::place::{Notes, Place, Text};
pub use super::unknown::suggest;
use crate::engine::time::Span;

/// A table that is being read.
#[derive(Debug)]
pub struct Section<'d> {
    pub(super) text: &'d Text,
    pub(super) notes: &'d Notes,
    pub(super) table: &'d DeTable<'d>,
    pub(super) span: Range<usize>,
    /// As problems name it: `rule "shared-account"`, `rule[0]`, `agent`.
    pub(super) path: String,
    /// Without names and indices: `rule`, `agent.retention`.
    shape: String,
    pub(super) asked: Vec<&'static str>,
    /// Any key may stand here.
    pub(super) open: bool,
}

/// A value with its place in the file.
pub(super) type Value<'d> = Spanned<DeValue<'d>>;

impl<'d> Section<'d> {
    /// The whole file as a section.
    pub fn root(text: &'d Text, notes: &'d Notes, table: &'d Spanned<DeTable<'d>>) -> Self {
        Section {
            text,
            notes,
            table: table.get_ref(),
            span: 0..0,
            path: String::new(),
            shape: String::new(),
            asked: Vec::new(),
            open: false,
        }
    }

    /// A text under a key that another part reads and checks.
    pub(super) fn peek_string(&self, key: &str) -> Option<&'d str> {
        self.table.get(key)?.get_ref().as_str()
    }

    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.table.get(key).and_then(|value| value.get_ref().as_array()).is_some_and(|list| list.is_empty())
    }

    /// Asks for a key. Of several forms the first that is known counts.
    pub(super) fn value(&mut self, key: &'static str, form: impl FnOnce() -> Form) -> Option<&'d Value<'d>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.notes.ask(join(&self.shape, key), form);
        self.table.get(key)
    }

    /// Whether a key is there that was asked for already.
    pub fn peek(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Says what a key takes that is asked for as a mere text.
    pub fn form(&mut self, key: &'static str, form: Form) {
        self.value(key, || form);
    }

    /// Whether the key is there at all.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.value(key, Form::default).is_some()
    }

    pub fn string(&mut self, key: &'static str) -> Option<String> {
        self.spanned_string(key).map(Spanned::into_inner)
    }

    /// As [`Self::string`], with its place.
    pub fn spanned_string(&mut self, key: &'static str) -> Option<Spanned<String>> {
        let value = self.value(key, || Form::Text)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Spanned::new(value.span(), text.to_owned())),
            None => self.wrong_kind(key, value, "a text in quotes"),
        }
    }

    /// A text that must be there and not be empty.
    pub fn required_string(&mut self, key: &'static str) -> Option<String> {
        if self.value(key, || Form::Filled).is_none() {
            return self.missing(key);
        }
        let text = self.string(key)?;
        if text.trim().is_empty() {
            self.error_at(key, "must not be empty", None);
            return None;
        }
        Some(text)
    }

    /// A required name: 1 to 64 of `a-z`, `0-9` and `-`.
    pub fn name(&mut self, key: &'static str) -> Option<String> {
        self.value(key, || Form::Name);
        let name = self.required_string(key)?;
        if is_name(&name) {
            return Some(name);
        }
        let hint = "use small letters, digits and hyphens, at most 64, as in \"soc-mail\"";
        self.error_at(key, &format!("{name:?} is not a name"), Some(hint));
        None
    }

    /// A required name that people choose freely: 1 to 100 characters without control characters.
    pub fn label(&mut self, key: &'static str) -> Option<String> {
        self.value(key, || Form::Label);
        let label = self.required_string(key)?;
        if is_label(&label) {
            return Some(label);
        }
        let hint = "at most 100 characters, no control characters, no space at the ends";
        self.error_at(key, &format!("{label:?} is not a name"), Some(hint));
        None
    }

    /// A text that stands for one of a few values.
    pub fn choice<T: Copy>(&mut self, key: &'static str, among: &[(&str, T)]) -> Option<T> {
        self.value(key, || Form::choice(among));
        let word = self.string(key)?;
        if let Some((_, value)) = among.iter().find(|(name, _)| *name == word) {
            return Some(*value);
        }
        let names: Vec<&str> = among.iter().map(|(name, _)| *name).collect();
        let hint = suggest(&word, names.iter().copied()).unwrap_or_else(|| {
            format!("one of {}", names.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", "))
        });
        self.error_at(key, &format!("{word:?} is not a value of {key}"), Some(&hint));
        None
    }

    pub fn integer(&mut self, key: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(key, || Form::Whole(range.clone()))?;
        let Some(digits) = value.get_ref().as_integer() else {
            return self.wrong_kind(key, value, "a whole number");
        };
        match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(_) | Err(_) => {
                let (least, most) = (range.start(), range.end());
                self.error_at(
                    key,
                    &format!("{digits} is out of range"),
                    Some(&format!("from {least} to {most}")),
                );
                None
            }
        }
    }

    /// A number, whole or not.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.value(key, || Form::Number(range.clone()))?;
        let digits = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(_)
            | DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => return self.wrong_kind(key, value, "a number"),
        };
        let number = f64::from_str(digits).ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.error_at(
                key,
                &format!("{digits} is out of range"),
                Some(&format!("from {least} to {most}")),
            );
        }
        number
    }

    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key, || Form::Boolean)?;
        match value.get_ref().as_bool() {
            Some(yes) => Some(yes),
            None => self.wrong_kind(key, value, "true or false, without quotes"),
        }
    }

    /// A duration such as `"10m"`; zero is one.
    pub fn duration(&mut self, key: &'static str) -> Option<Span> {
        self.duration_in(key, Span::ZERO..=Span::from_days(36_500))
    }

    /// A duration within bounds.
    pub fn duration_in(&mut self, key: &'static str, range: RangeInclusive<Span>) -> Option<Span> {
        let value = self.value(key, || Form::Duration(range.clone()))?;
        let Some(text) = value.get_ref().as_str() else {
            return self.wrong_kind(key, value, "a duration in quotes, as in \"10m\"");
        };
        match text.parse::<Span>() {
            Ok(span) if range.contains(&span) => Some(span),
            Ok(_) => {
                let hint = format!("from {} to {}", range.start(), range.end());
                self.error_at(key, &format!("{text:?} is out of range"), Some(&hint));
                None
            }
            Err(error) => {
                self.error_at(key, &format!("{text:?} is {error}"), None);
                None
            }
        }
    }

    /// A path, relative to the directory of the rules file.
    pub fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.value(key, || Form::Path);
        let path = self.string(key)?;
        if path.is_empty() || path.contains('\0') {
            self.error_at(key, "is not a path", Some("name a file"));
            return None;
        }
        self.notes.file(self.text, &self.place(key));
        Some(self.text.path(&path))
    }

    /// A table under a key: `[agent]`, or `retention = { … }`.
    pub fn table(&mut self, key: &'static str) -> Option<Self> {
        let value = self.value(key, || Form::Table)?;
        match value.get_ref().as_table() {
            Some(table) => Some(self.inner(key, None, table, value.span())),
            None => self.wrong_kind(key, value, "a table"),
        }
    }

    /// The tables of a list: `[[rule]]`.
    pub fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.value(key, || Form::Tables) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            let message = format!("must be a list of tables: write [[{key}]]");
            self.error_at(key, &message, None);
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            match item.get_ref().as_table() {
                Some(table) => sections.push(self.inner(key, Some(index), table, item.span())),
                None => self.error_in(item.span(), key, &format!("must be a table: write [[{key}]]"), None),
            }
        }
        sections
    }

    fn inner(&self, key: &str, index: Option<usize>, table: &'d DeTable<'d>, span: Range<usize>) -> Self {
        let named = table.get("name").and_then(|name| name.get_ref().as_str()).filter(|name| is_label(name));
        let path = match (index, named) {
            (Some(_), Some(name)) => format!("{key} {name:?}"),
            (Some(index), None) => format!("{key}[{index}]"),
            (None, _) => key.to_owned(),
        };
        Section {
            text: self.text,
            notes: self.notes,
            table,
            span,
            path: join(&self.path, &path),
            shape: join(&self.shape, key),
            asked: Vec::new(),
            open: false,
        }
    }

    /// Whether it is written here, without having asked for it.
    pub(super) fn states(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The place of a key's value; of the table's own line if the key is not there.
    pub fn place(&self, key: &str) -> Place {
        let span = self.table.get(key).map_or_else(|| self.span.clone(), Spanned::span);
        Place { span, key: join(&self.path, key) }
    }

    /// The place of the table's own line.
    pub fn own_place(&self) -> Place {
        Place { span: self.span.clone(), key: self.path.clone() }
    }

    /// Where a part of the text under `key` stands in the file, if it is written there as it is (no escapes);
    /// else the whole value. `part` counts bytes of the text.
    pub fn place_within(&self, key: &str, part: Range<usize>) -> Place {
        let mut place = self.place(key);
        let Some(text) = self.table.get(key).and_then(|value| value.get_ref().as_str()) else { return place };
        let written = self.text.text.get(place.span.clone()).unwrap_or_default();
        if let Some(at) = written.find(text).filter(|_| !text.is_empty()) {
            let start = place.span.start + at;
            let part = part.start.min(text.len())..part.end.min(text.len());
            place.span = start + part.start..start + part.end;
        }
        place
    }

    pub fn error_at(&self, key: &str, message: &str, hint: Option<&str>) {
        self.notes.error(self.text, &self.place(key), message, hint);
    }

    pub fn warning_at(&self, key: &str, message: &str, hint: Option<&str>) {
        self.notes.warning(self.text, &self.place(key), message, hint);
    }

    /// An error at a span that a [`Spanned`] value of `key` gave.
    pub fn error_in(&self, span: Range<usize>, key: &str, message: &str, hint: Option<&str>) {
        let place = Place { span, key: join(&self.path, key) };
        self.notes.error(self.text, &place, message, hint);
    }

    pub fn warning_in(&self, span: Range<usize>, key: &str, message: &str, hint: Option<&str>) {
        let place = Place { span, key: join(&self.path, key) };
        self.notes.warning(self.text, &place, message, hint);
    }

    pub(super) fn wrong_kind<T>(&self, key: &str, value: &Value<'_>, wanted: &str) -> Option<T> {
        let found = match value.get_ref().as_datetime() {
            Some(moment) if moment.time.is_none() => "date alone",
            Some(moment) if moment.date.is_none() => "time of day alone",
            Some(_) => "date and time",
            None => value.get_ref().type_str(),
        };
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        self.error_in(value.span(), key, &format!("must be {wanted}, not {article} {found}"), None);
        None
    }

    /// For a table whose keys depend on its `kind`: where that is not known, neither are they, and none is reported
    /// as unknown.
    pub(super) fn settle_kind(&mut self) {
        self.open = self.asked.iter().all(|key| ["name", "kind"].contains(key));
    }
}

fn is_label(label: &str) -> bool {
    let fine = |c: char| !c.is_control();
    (1..=100).contains(&label.chars().count()) && label.chars().all(fine) && label.trim() == label
}

pub fn is_name(name: &str) -> bool {
    let fine = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(fine)
}

pub(super) fn shown(key: &str) -> String {
    let bare = key.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
    if bare && !key.is_empty() { key.to_owned() } else { format!("{key:?}") }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
