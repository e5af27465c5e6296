//! What an alert and the event made of it share, or all alerts of a rule: lists, and the rule's texts.
//!
//! Neighbours: `alert` adds to a list reply by reply, `event` shows it; `plan` has the texts of its rule. A part of its own
//! because thousands of alerts may fire at one poll: an event is over when it is written, before the alert reads on, and then
//! nothing was ever copied.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use arcstr::ArcStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::outcome::Alert;
use super::rule::Rule;

/// Reads as a list; whoever writes to it has it alone from then on. An empty one takes no allocation.
#[derive(Clone)]
pub struct Shared<T>(Option<Arc<Vec<T>>>);

impl<T: 'static> Shared<T> {
    /// Nothing, for whoever asks for a reference.
    pub const EMPTY: &Self = &Self(None);

    const NOTHING: &Vec<T> = &Vec::new();

    /// Lets go of the list; whoever shares it keeps it.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> From<Vec<T>> for Shared<T> {
    fn from(list: Vec<T>) -> Self {
        Self((!list.is_empty()).then(|| Arc::new(list)))
    }
}

impl<T: PartialEq + 'static> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq + 'static> Eq for Shared<T> {}

impl<T: fmt::Debug + 'static> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&**self).finish()
    }
}

impl<T> FromIterator<T> for Shared<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Vec::from_iter(items).into()
    }
}

impl<'a, T: 'static> IntoIterator for &'a Shared<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: 'static> Deref for Shared<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        self.0.as_deref().unwrap_or(Self::NOTHING)
    }
}

impl<T: Clone + 'static> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl<T: Serialize + 'static> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(to)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self::from)
    }
}

/// Of a rule, for keys, alerts and events.
#[derive(Clone, Debug)]
pub(super) struct Words {
    pub(super) name: ArcStr,
    pub(super) version: ArcStr,
    /// The condition as written.
    pub(super) when: ArcStr,
}

impl Words {
    pub(super) fn of(rule: &Rule) -> Self {
        let [name, version, when] = [&rule.name, &rule.version, &rule.when_text].map(ArcStr::from);
        Self { name, version, when }
    }

    /// Has an alert that was read from somewhere share them too.
    pub(super) fn share(&self, alert: &mut Alert) {
        if alert.rule_version == self.version {
            alert.rule_version.clone_from(&self.version);
        }
    }
}
