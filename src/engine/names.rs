//! The names of one source: interned, one after another in one text, each with the slot it keeps for ever.
//!
//! Neighbours: the rules file and rosters list names, `watch` gives them slots, the store keeps them, a source asks about
//! some of them. A part of its own because there may be a million: 16 bytes each and no allocation of their own.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// A slot is a name's index; names are compared byte for byte and only ever added.
#[derive(Clone, Debug, Default)]
pub struct Names {
    text: String,
    /// Where each name ends in `text`.
    ends: Vec<u32>,
    /// Slots, by the hash of their name.
    slots: HashTable<u32>,
    hasher: RandomState,
}

impl Names {
    /// In the order of their slots; a name that comes again is passed over.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut all = Self::default();
        for name in names {
            all.slot_or_add(name.as_ref());
        }
        all
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.slot(name).is_some()
    }

    pub fn slot(&self, name: &str) -> Option<u32> {
        self.slots.find(self.hasher.hash_one(name), |slot| self.name(*slot) == name).copied()
    }

    pub fn slot_or_add(&mut self, name: &str) -> u32 {
        let Self { text, ends, slots, hasher } = self;
        let is = |slot: &u32| name_at(text, ends, *slot) == name;
        let hash = |slot: &u32| hasher.hash_one(name_at(text, ends, *slot));
        match slots.entry(hasher.hash_one(name), is, hash) {
            Entry::Occupied(slot) => *slot.get(),
            Entry::Vacant(room) => {
                let slot = u32::try_from(ends.len()).expect("fewer names than 32 bits count");
                text.push_str(name);
                ends.push(u32::try_from(text.len()).expect("names of less than 4 GiB"));
                room.insert(slot);
                slot
            }
        }
    }

    /// Panics for a slot that was never given out: a bug, not bad input.
    pub fn name(&self, slot: u32) -> &str {
        name_at(&self.text, &self.ends, slot)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.from(0)
    }

    /// The names from this slot on.
    pub fn from(&self, slot: usize) -> impl Iterator<Item = &str> {
        (slot..self.len()).filter_map(|slot| u32::try_from(slot).ok()).map(|slot| self.name(slot))
    }
}

fn name_at<'a>(text: &'a str, ends: &[u32], slot: u32) -> &'a str {
    let slot = slot as usize;
    let start = if slot == 0 { 0 } else { ends[slot - 1] };
    &text[start as usize..ends[slot] as usize]
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.ends == other.ends && self.text == other.text
    }
}

impl Eq for Names {}

/// Whom one poll asks about: some of a source's names, by their slots.
#[derive(Clone, Debug)]
pub struct Asked {
    names: Arc<Names>,
    /// None where it is all of them.
    some: Option<Arc<[u32]>>,
}

impl Asked {
    /// `slots` ascending; every one of them given out by `names`.
    pub fn new(names: Arc<Names>, slots: impl Into<Arc<[u32]>>) -> Self {
        Self { names, some: Some(slots.into()) }
    }

    pub fn all(names: Arc<Names>) -> Self {
        Self { names, some: None }
    }

    pub fn len(&self) -> usize {
        self.some.as_ref().map_or(self.names.len(), |slots| slots.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn slots(&self) -> impl Iterator<Item = u32> {
        (0..self.len()).filter_map(|index| self.slot(index))
    }

    /// The slot at this place among those asked about; None beyond the last.
    pub fn slot(&self, index: usize) -> Option<u32> {
        match &self.some {
            Some(slots) => slots.get(index).copied(),
            None => u32::try_from(index).ok().filter(|slot| (*slot as usize) < self.names.len()),
        }
    }

    pub fn contains(&self, slot: u32) -> bool {
        match &self.some {
            Some(slots) => slots.binary_search(&slot).is_ok(),
            None => (slot as usize) < self.names.len(),
        }
    }

    /// The name at this place among those asked about. Panics beyond the last.
    pub fn name(&self, index: usize) -> &str {
        self.names.name(self.slot(index).expect("a place among those asked about"))
    }
}

/// Names the store does not know yet: those from a slot on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNames {
    pub names: Arc<Names>,
    pub from: usize,
}

impl NewNames {
    pub fn is_empty(&self) -> bool {
        self.from >= self.names.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.from(self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_byte_for_byte_and_keep_their_slots() {
        let mut names = Names::new(["alice", "Alice", "alice", ""]);
        assert_eq!((names.len(), names.slot("alice"), names.slot("Alice")), (3, Some(0), Some(1)));
        assert_eq!((names.slot("ALICE"), names.slot_or_add("bob"), names.slot_or_add("alice")), (None, 3, 0));
        assert_eq!(names.iter().collect::<Vec<_>>(), ["alice", "Alice", "", "bob"]);
        assert_eq!((names.name(2), names.name(3), names.contains("bob")), ("", "bob", true));
        assert!(Names::default().is_empty());
        let new = NewNames { from: 3, names: Arc::new(names) };
        assert_eq!(new.iter().collect::<Vec<_>>(), ["bob"]);
    }

    #[test]
    fn lists_are_the_same_where_each_name_is() {
        assert_eq!(Names::new(["ab", "c"]), Names::new(["ab", "c"]));
        assert_ne!(Names::new(["ab", "c"]), Names::new(["a", "bc"]));
        assert_ne!(Names::new(["ab", "c"]), Names::new(["ab", "d"]));
    }

    #[test]
    fn many_names_are_found_again() {
        let name = |n: u32| format!("user-{n:04}");
        let names = Names::new((0..5_000).map(name));
        assert!((0..5_000).all(|n| names.slot(&name(n)) == Some(n)));
        assert_eq!(names.slot("user-5000"), None);
        let asked = Asked::new(Arc::new(names), vec![7, 4_999]);
        assert_eq!((asked.len(), asked.name(0), asked.name(1)), (2, "user-0007", "user-4999"));
    }
}
