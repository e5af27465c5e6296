//! A rule as the engine runs it: checked, compiled, with its scope and its policy.
//!
//! Neighbours: `config` makes it from the file, `judge` evaluates it, `alert` takes its [`Policy`]. A part of its
//! own because everything about a rule that is not its condition or its words meets here.

use std::sync::Arc;

use globset::GlobMatcher;

use super::calendar::Calendar;
use super::event::Severity;
use super::lang::{Program, Signal};
use super::shared::Shared;
use super::time::Span;

/// What a rule judges one by one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Per {
    #[default]
    User,
    Group,
    Source,
}

/// How long a verdict must hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hold {
    /// That long without another known verdict between; zero is at once.
    For(Span),
    /// Now, and in at least `n` of the source's last `of` polls (1 ≤ n ≤ of ≤ 64).
    Polls { n: u8, of: u8 },
}

impl Default for Hold {
    fn default() -> Self {
        Self::For(Span::ZERO)
    }
}

/// What a name missing from a good reply means to a rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum AbsentMeans {
    /// Nothing is known: the last known value holds for `max_gap`.
    #[default]
    Hold,
    /// Nobody is online.
    Zero,
    /// The condition is met, whatever it says.
    Breach,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Mode {
    #[default]
    Live,
    /// Everything but telling.
    Shadow,
}

/// What leaving the `during` window does to a firing alert.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum OnLeave {
    #[default]
    Hold,
    End,
}

/// Whom a rule watches. Empty `users`, `groups` and `sources` together mean everyone.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Globs over user names.
    pub users: Vec<GlobMatcher>,
    pub groups: Vec<String>,
    pub sources: Vec<String>,
    /// Globs over user names that are left out again.
    pub except: Vec<GlobMatcher>,
}

impl Scope {
    pub fn covers_source(&self, source: &str) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|s| s == source)
    }

    /// Whether a user of a covered source is watched; `groups` are those the user belongs to.
    pub fn covers_user(&self, user: &str, groups: &[String]) -> bool {
        let named = self.users.is_empty() && self.groups.is_empty();
        let wanted = named
            || self.users.iter().any(|glob| glob.is_match(user))
            || self.groups.iter().any(|group| groups.contains(group));
        wanted && !self.except.iter().any(|glob| glob.is_match(user))
    }
}

/// What `alert::step` needs to know of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    pub hold: Hold,
    pub clear_hold: Hold,
}

#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    /// A hash of the checked form: equal rules have equal versions, however the file is laid out.
    pub version: String,
    pub per: Per,
    /// The conditions as written, for people.
    pub when_text: String,
    pub clear_when_text: Option<String>,
    pub when: Program,
    pub clear_when: Option<Program>,
    /// The limit for users without one of their own.
    pub limit: Option<u32>,
    pub policy: Policy,
    pub severity: Severity,
    /// Channel names.
    pub notify: Shared<String>,
    pub repeat: Option<Span>,
    /// None: three intervals of the source's schedule.
    pub max_gap: Option<Span>,
    pub absent: AbsentMeans,
    pub during: Option<Arc<Calendar>>,
    pub on_leave: OnLeave,
    pub mode: Mode,
    /// Ask for the list of clients of suspected users.
    pub evidence_clients: bool,
    pub scope: Scope,
}

impl Rule {
    /// The distinct signals of both conditions.
    pub fn signals(&self) -> Vec<Signal> {
        let mut signals = self.when.signals().to_vec();
        for signal in self.clear_when.iter().flat_map(Program::signals) {
            if !signals.contains(signal) {
                signals.push(*signal);
            }
        }
        signals
    }
}
