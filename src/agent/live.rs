//! A rules file in force: its settings, with channels and sources opened, laid out per source.
//!
//! Neighbours: `config` checked it, the loops read it; a reload makes a new one and swaps it whole. A part of its own
//! because opening (secrets, roots, endpoints) can fail, and must fail before anything is swapped.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;

use crate::channel::Channel;
use crate::config::{self, Config};
use crate::engine::event::Event;
use crate::engine::fleet::Fleet;
use crate::engine::message::{Language, compose};
use crate::engine::notify::{Notice, plan};
use crate::engine::outcome::{NewNotification, Outcome};
use crate::engine::schedule::Schedule;
use crate::engine::shared::Shared;
use crate::engine::time::{Span, Time};
use crate::engine::watch::Setup;
use crate::source::Source;

pub struct Live {
    pub config: Config,
    /// The installation's id.
    pub install: String,
    pub channels: BTreeMap<String, Arc<Channel>>,
    /// Those that left the file since this process started, with their last settings: whoever was told through one of
    /// them that an alert fired is told its end.
    parted: BTreeMap<String, Arc<Channel>>,
    sources: BTreeMap<String, Opened>,
}

struct Opened {
    source: Arc<Source>,
    setup: Arc<Setup>,
}

/// What could not be opened, all of it; each line names the key and the way out.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct LiveError(pub Vec<String>);

/// What the file says that concerns one of its sources. `fleet` is the file's, shared by all of them.
pub fn setup(config: &Config, source: &config::Source, fleet: &Arc<Fleet>, install: &str) -> Setup {
    let (rules, others): (Vec<_>, Vec<_>) =
        config.rules.iter().partition(|rule| rule.scope.covers_source(&source.name));
    Setup {
        install: install.to_owned(),
        source: source.name.clone(),
        interval: source.interval,
        zone: config.agent.timezone,
        fleet: Arc::clone(fleet),
        rules: rules.into_iter().cloned().map(Arc::new).collect(),
        elsewhere: others.into_iter().map(|rule| rule.name.clone()).collect(),
        users: Arc::clone(&source.users),
        roster: source.roster.is_some(),
        language: config.agent.language,
        own_notify: config.agent.notify.clone().into(),
    }
}

impl Live {
    /// Opens every channel and source.
    pub fn open(config: Config, install: &str) -> Result<Self, LiveError> {
        let mut problems = Vec::new();
        let mut channels = BTreeMap::new();
        for settings in &config.channels {
            match Channel::open(settings) {
                Ok(channel) => drop(channels.insert(settings.name().to_owned(), Arc::new(channel))),
                Err(error) => problems.push(error.to_string()),
            }
        }
        let fleet = Arc::new(config.fleet.clone());
        let wanted: Vec<_> = config.sources.iter().map(|s| (&s.settings, s.account.as_deref())).collect();
        let opened = Source::open_all(&wanted, &config.accounts);
        let mut sources = BTreeMap::new();
        for (settings, opened) in config.sources.iter().zip(opened) {
            let source = match opened {
                Ok(source) => Arc::new(source),
                Err(error) => {
                    problems.push(error.to_string());
                    continue;
                }
            };
            let name = settings.name.clone();
            let setup = setup(&config, settings, &fleet, install);
            sources.insert(name, Opened { source, setup: Arc::new(setup) });
        }
        if problems.is_empty() {
            for (source, opened) in &sources {
                tracing::info!(source, keys = opened.source.origin(), "signs with");
            }
            Ok(Self { config, install: install.to_owned(), channels, parted: BTreeMap::new(), sources })
        } else {
            Err(LiveError(problems))
        }
    }

    /// A rules file whose channels and sources are given instead of opened, by name; for simulations.
    pub fn among(
        config: Config,
        install: &str,
        channels: BTreeMap<String, Arc<Channel>>,
        sources: &BTreeMap<String, Arc<Source>>,
    ) -> Self {
        let fleet = Arc::new(config.fleet.clone());
        let open = |settings: &config::Source| {
            let source = Arc::clone(sources.get(&settings.name)?);
            let setup = Arc::new(setup(&config, settings, &fleet, install));
            Some((settings.name.clone(), Opened { source, setup }))
        };
        let sources = config.sources.iter().filter_map(open).collect();
        Self { config, install: install.to_owned(), channels, parted: BTreeMap::new(), sources }
    }

    /// Keeps the channels that `before` has, and this file no more.
    pub(super) fn part_from(&mut self, before: &Self) {
        let parted = before.to_deliver().filter(|(name, _)| !self.channels.contains_key(*name));
        self.parted = parted.map(|(name, channel)| (name.clone(), Arc::clone(channel))).collect();
    }

    /// Every channel that may have something to send, in the file or parted from.
    pub fn to_deliver(&self) -> impl Iterator<Item = (&String, &Arc<Channel>)> {
        self.channels.iter().chain(&self.parted)
    }

    /// One of [`Live::to_deliver`].
    pub fn channel(&self, name: &str) -> Option<&Arc<Channel>> {
        self.channels.get(name).or_else(|| self.parted.get(name))
    }

    pub fn source_names(&self) -> impl Iterator<Item = &String> {
        self.sources.keys()
    }

    pub fn source(&self, name: &str) -> Option<&Arc<Source>> {
        self.sources.get(name).map(|opened| &opened.source)
    }

    pub fn setup(&self, name: &str) -> Option<&Arc<Setup>> {
        self.sources.get(name).map(|opened| &opened.setup)
    }

    pub fn schedule(&self, name: &str) -> Option<&Schedule> {
        self.config.sources.iter().find(|source| source.name == name).map(|source| &source.schedule)
    }

    /// How old the source's roster may get; None where none is asked for.
    pub fn roster(&self, name: &str) -> Option<Span> {
        self.config.sources.iter().find(|source| source.name == name)?.roster
    }

    /// How long one poll of the source may take.
    pub fn budget(&self, name: &str) -> Span {
        let source = self.config.sources.iter().find(|source| source.name == name);
        source.map_or(Span::from_mins(1), |source| source.budget)
    }

    /// The notifications of an outcome's events, rendered.
    pub fn render(&self, outcome: &Outcome, now: Time) -> Vec<NewNotification> {
        self.render_in(self.tongue(), outcome, now)
    }

    /// The language and the zone that messages are written in.
    pub(super) fn tongue(&self) -> (Language, Tz) {
        (self.config.agent.language, self.config.agent.timezone)
    }

    /// As [`Live::render`], in another language and zone than the file's.
    pub(super) fn render_in(
        &self,
        tongue: (Language, Tz),
        outcome: &Outcome,
        now: Time,
    ) -> Vec<NewNotification> {
        let told: BTreeMap<&str, &Shared<String>> =
            outcome.events.iter().map(|event| event.id.as_str()).zip(&outcome.told).collect();
        let channels = |event: &Event| -> Vec<String> {
            told.get(event.id.as_str()).map(|told| told.to_vec()).unwrap_or_default()
        };
        plan(&outcome.events, &channels).iter().map(|notice| self.one(tongue, notice, now)).collect()
    }

    /// One notice rendered for its channel. A channel that left the rules file before this process started still gets
    /// its row, so that it is listed that somebody was not told; the store never sends it.
    pub fn notification(&self, notice: &Notice, now: Time) -> NewNotification {
        self.one(self.tongue(), notice, now)
    }

    fn one(&self, (language, zone): (Language, Tz), notice: &Notice, now: Time) -> NewNotification {
        let channel = self.channel(&notice.channel);
        let payload = channel.map(|channel| channel.payload(notice, &compose(notice, language, zone), now));
        let payload = payload.unwrap_or_default();
        NewNotification {
            id: notice.id.clone(),
            channel: notice.channel.clone(),
            events: notice.events.iter().map(|event| event.id.clone()).collect(),
            episodes: notice.episodes(),
            payload,
            created_at: now,
        }
    }
}
