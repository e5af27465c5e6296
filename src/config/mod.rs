//! The rules file: TOML in, checked settings out, all mistakes at once.
//!
//! `walk` parses and hands out the root `section`; one file per kind of table reads it; `names` and `scope` check
//! tables against each other; `problem` shows what is wrong. Neighbours: each channel, account and source file owns
//! its settings and reads them from a section; the agent starts from a [`Config`] and nothing else, and commands
//! print its warnings. A part of its own because nothing may start on a file that was not checked whole.

mod agent;
mod amend;
mod calendars;
mod defaults;
mod fleet;
pub mod form;
mod lint;
mod names;
pub mod place;
pub mod problem;
mod rules;
pub mod schema;
mod scope;
pub mod section;
mod sources;
#[cfg(test)]
mod tests;
mod trials;
mod unknown;
mod users;
mod values;
pub mod walk;
mod whole;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use agent::{Agent, Retention};
pub use form::Form;
pub use problem::{Problem, Problems};
pub use section::Section;
pub use sources::Source;
pub use trials::Test;
pub use walk::walk;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use self::place::SecretUse;
use crate::channel::{self, Channel};
use crate::engine::calendar::Calendar;
use crate::engine::fleet::Fleet;
use crate::engine::rule::Rule;
use crate::engine::time::Time;
use crate::secret::SecretRef;
use crate::source::{self, account};

/// A rules file that was checked whole.
#[derive(Clone, Debug)]
pub struct Config {
    pub agent: Agent,
    pub accounts: Vec<account::Settings>,
    pub sources: Vec<Source>,
    pub fleet: Fleet,
    pub calendars: Vec<Arc<Calendar>>,
    pub rules: Vec<Rule>,
    pub channels: Vec<channel::Settings>,
    /// What the rules are to do, as the file itself says.
    pub tests: Vec<Test>,
    pub warnings: Vec<Problem>,
    secrets: Vec<SecretUse>,
    /// Where files are named.
    files: Vec<Problem>,
    /// As problems name it.
    file: String,
    /// Of its text: SHA-256 in hexadecimal digits.
    pub digest: String,
    asked: BTreeMap<String, Form>,
}

impl Config {
    /// Reads and checks the file at `path`, and the users files it names. `now` decides what has expired and what
    /// a schedule's interval is.
    ///
    /// # Errors
    /// Everything that is wrong, with the warnings.
    pub fn load(path: &Path, now: Time) -> Result<Self, Problems> {
        let file = path.display().to_string();
        match users::load(path, walk::LONGEST as u64) {
            Ok(text) => Self::parse(&text, &file, path.parent().unwrap_or(Path::new("")), now),
            Err(unread) => {
                let hint =
                    "see the path and who may read it; -c FILE or SEATWATCH_CONFIG names the rules file";
                Err(Problems { errors: vec![unread.problem(file, hint)], warnings: Vec::new() })
            }
        }
    }

    /// The same, if it watches anything. An agent on a file without sources would end every alert there is, and a file
    /// that is just being written is empty.
    ///
    /// # Errors
    /// That there is no `[[source]]`.
    pub fn watching(self) -> Result<Self, Problems> {
        if !self.sources.is_empty() {
            return Ok(self);
        }
        let hint = "add one; to watch nothing any more, stop the agent; if the file was just being written, put it in \
                    place whole with `mv`";
        let error = Problem::of_file(self.file, "there is no [[source]]: every alert would end", Some(hint));
        Err(Problems { errors: vec![error], warnings: self.warnings })
    }

    /// As [`Self::load`], for a text that is already there. `base` is what relative paths start from.
    ///
    /// # Errors
    /// Everything that is wrong, with the warnings.
    pub fn parse(text: &str, file: &str, base: &Path, now: Time) -> Result<Self, Problems> {
        let (config, problems) = walk(file, text, base, |root| whole::read(root, now));
        match config {
            Some(config) if problems.errors.is_empty() => {
                let digest = HEXLOWER.encode(&Sha256::digest(text));
                Ok(Self { warnings: problems.warnings, file: file.to_owned(), digest, ..config })
            }
            Some(_) | None => Err(problems),
        }
    }

    /// Tries every reference to a secret, and to open what they are for (a URL, a signing key, a CA file), and tells
    /// what gives nothing usable and why: warnings for `check`, errors for `run`.
    pub fn unresolved(&self) -> Vec<Problem> {
        let try_one = |secret: &SecretUse| {
            let error = secret.reference.resolve().err()?;
            Some(Problem { message: error.to_string(), ..secret.problem.clone() })
        };
        let mut problems: Vec<Problem> = self.secrets.iter().filter_map(try_one).collect();
        let told: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
        let told = |table: &str| told.iter().any(|key| key.starts_with(table));
        for settings in &self.channels {
            let table = format!("channel {:?}.", settings.name());
            if !told(&table)
                && let Err(error) = Channel::open(settings)
            {
                problems.push(self.problem(format!("{table}{}", error.key), error.message));
            }
        }
        // The places of an account's keys that cannot be read are told above.
        if !told("account ") {
            let wanted: Vec<_> = self.sources.iter().map(|s| (&s.settings, s.account.as_deref())).collect();
            for (source, opened) in self.sources.iter().zip(source::Source::open_all(&wanted, &self.accounts))
            {
                let Err(refused) = opened else { continue };
                let message = refused.to_string();
                let short = message.strip_prefix(&format!("source {}: ", source.name)).unwrap_or(&message);
                problems.push(self.problem(format!("source {:?}.ca_file", source.name), short.to_owned()));
            }
        }
        problems
    }

    /// A problem of the key that is called `key` in problems, at its place if that is remembered.
    pub fn problem(&self, key: String, message: String) -> Problem {
        let mut places = self.secrets.iter().map(|secret| &secret.problem).chain(&self.files);
        match places.find(|place| place.key == key) {
            Some(place) => Problem { message, ..place.clone() },
            None => Problem { key, ..Problem::of_file(self.file.clone(), message, None) },
        }
    }

    /// Every reference to a secret, at its place.
    pub fn references(&self) -> impl Iterator<Item = (&Problem, &SecretRef)> {
        self.secrets.iter().map(|secret| (&secret.problem, &secret.reference))
    }

    /// Every key that was asked for while reading, such as `rule.when` and `agent.retention.readings`, with what it
    /// takes.
    pub fn asked_keys(&self) -> &BTreeMap<String, Form> {
        &self.asked
    }
}
