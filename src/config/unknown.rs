//! Keys that nobody knows, and those that are missing because of them.
//!
//! Neighbours: `section` knows what was asked for, whoever checks one part against another asks here whether a key is
//! only misspelt. A part of its own because one slip of a finger is one mistake: what follows from it is not told.

use super::place::Place;
use super::section::{Section, join, shown};

impl Section<'_> {
    /// The key that is written in the place of `key`, which is not there.
    fn instead_of(&self, key: &str) -> Option<&str> {
        let others = self.table.keys().map(|other| other.get_ref().as_ref());
        let mut others = others.filter(|other| !self.asked.contains(other));
        if self.table.contains_key(key) {
            return None;
        }
        others.find(|other| nearest(other, [key]).is_some())
    }

    /// Whether `key` is not there, and one that nobody asked for so far looks like it.
    pub fn misspelt(&self, key: &str) -> bool {
        self.instead_of(key).is_some()
    }

    /// Notes that a key is not there, at the table's line. Always None, to be returned.
    pub fn missing<T>(&self, key: &str) -> Option<T> {
        self.lacks(key, &format!("add {key} = …"))
    }

    /// As [`Self::missing`], with another way out than to add it.
    pub fn lacks<T>(&self, key: &str, hint: &str) -> Option<T> {
        match self.instead_of(key) {
            Some(other) => self.unknown(other, Some(key)),
            None => self.error_at(key, "is missing", Some(hint)),
        }
        None
    }

    fn unknown(&self, name: &str, meant: Option<&str>) {
        let span = self.table.get_key_value(name).map_or_else(|| self.span.clone(), |(key, _)| key.span());
        let place = Place { span, key: join(&self.path, &shown(name)) };
        let hint = meant.map(|meant| format!("did you mean {meant:?}?"));
        self.notes.masked_error(self.text, &place, format!("unknown key {name:?}"), hint.as_deref());
    }

    /// Reports the keys nobody asked for. Call it when everything was read.
    pub fn finish(self) {
        let told = |name: &str| self.notes.refused(&join(&self.path, &shown(name)));
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if !self.open && !self.asked.contains(&name) && !told(name) {
                self.unknown(name, nearest(name, self.asked.iter().copied()));
            }
        }
    }
}

/// The one of `known` that is near enough to be meant.
fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // Distances of long texts cost their product.
    let short = word.len() <= 128;
    let near = known.into_iter().filter(|_| short).map(|k| (strsim::osa_distance(word, k), k));
    let (distance, nearest) = near.min()?;
    (distance <= (nearest.len() / 3).max(1)).then_some(nearest)
}

/// `did you mean "…"?`, if one of `known` is near enough.
pub fn suggest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    nearest(word, known).map(|nearest| format!("did you mean {nearest:?}?"))
}
