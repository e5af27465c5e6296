//! A rule as it would be with other words for some of its keys: `--set limit=3`.
//!
//! Neighbours: `rules` reads the words as it reads the file's, backtests play what comes of it. A part of its own because
//! nothing of it is ever in force.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::names::Names;
use super::rules::{self, Known};
use super::walk::walk;
use super::{Config, Problems};
use crate::engine::calendar::Calendar;
use crate::engine::rule::Rule;

/// As problems name the place.
const PLACE: &str = "--set";

impl Config {
    /// `rule` with each of `words`, `KEY=VALUE`, in place of its own. A value that is no TOML is taken as a text.
    ///
    /// # Errors
    /// Everything that is wrong with the words, by line in the order in which they are given.
    pub fn amended(&self, rule: &Rule, words: &[String]) -> Result<Rule, Problems> {
        let text: String = words.iter().map(|word| line(word)).collect();
        let channels = Names::given("channel", self.channels.iter().map(crate::channel::Settings::name));
        let groups = Names::given("group", self.fleet.groups.iter().map(|group| group.name.as_str()));
        let sources = Names::given("source", self.sources.iter().map(|source| source.name.as_str()));
        let names = Names::given("calendar", self.calendars.iter().map(|calendar| calendar.name()));
        let calendars: BTreeMap<String, Arc<Calendar>> = self
            .calendars
            .iter()
            .map(|calendar| (calendar.name().to_owned(), Arc::clone(calendar)))
            .collect();
        let known = Known {
            channels: &channels,
            groups: &groups,
            sources: &sources,
            calendar_names: &names,
            calendars: &calendars,
            notify: &self.agent.notify,
        };
        let (amended, problems) = walk(PLACE, &text, Path::new(""), |mut root| {
            let amended = rules::amend(&mut root, rule, &known);
            root.finish();
            amended
        });
        match amended.flatten() {
            Some(amended) if problems.errors.is_empty() => Ok(amended),
            Some(_) | None => Err(problems),
        }
    }
}

/// As the file would write it.
fn line(word: &str) -> String {
    let Some((key, value)) = word.split_once('=') else { return format!("{word}\n") };
    let (key, value) = (key.trim(), value.trim());
    let plain = format!("{key} = {value}\n");
    if toml::from_str::<toml::Table>(&plain).is_ok() {
        return plain;
    }
    format!("{key} = {}\n", toml::Value::String(value.to_owned()))
}
