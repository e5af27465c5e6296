//! `seatwatch rules backtest`: how rules would have behaved over the readings that are kept, with nothing sent.
//!
//! Neighbours: `agent::backtest` plays the past, `backtested` prints what came of it, `suggest` plays candidates the same
//! way. A part of its own because whoever switches a rule on rests on it, and it must say what is not known.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::backtest_told::{live, told};
use super::backtested::{self, Told};
use super::exit::Mistakes;
use super::{Common, Exit, Failure, open, pick, print, roster, when};
use crate::agent::backtest::{Stretch, Watcher, play, unseen};
use crate::agent::clock;
use crate::config::section::suggest;
use crate::config::{Config, Problems, Source};
use crate::engine::backtest::report::Coverage;
use crate::engine::backtest::{Episode, Playback, run_up};
use crate::engine::past::Column;
use crate::engine::rule::Rule;
use crate::engine::time::Time;
use crate::engine::watch::Setup;
use crate::store::{Reader, StoreError, StoredPoll};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The rules to play; all of the file if none is named
    #[arg(value_name = "RULE")]
    rules: Vec<String>,
    /// From when on: so long ago, or a time
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: String,
    /// Up to when: so long ago, or a time; now if left out
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The rules with another value for a key, as in limit=3 or for=5m or 'when=online > 4'
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "against")]
    set: Vec<String>,
    /// The rules as another rules file has them, with its sources, groups and limits
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// List the episodes that come and go compared with the rules as they are
    #[arg(long)]
    diff: bool,
}

/// A version of the rules that is played.
pub(super) struct Version<'c> {
    pub(super) config: &'c Config,
    pub(super) rules: Vec<Arc<Rule>>,
}

impl Version<'_> {
    /// The source as this version has it, where one of its rules covers it.
    fn source(&self, name: &str) -> Option<&Source> {
        let covers = |rule: &Arc<Rule>| rule.scope.covers_source(name);
        self.config.sources.iter().find(|one| one.name == name).filter(|_| self.rules.iter().any(covers))
    }
}

/// Looks at each poll of a source that is asked about.
pub(super) type Looking<'l> = dyn FnMut(&str, &StoredPoll, &Column) + 'l;

/// What came of each version, in the order in which they were given.
pub(super) struct Played {
    pub(super) coverage: Vec<Coverage>,
    pub(super) episodes: Vec<Vec<Episode>>,
}

pub(super) fn run(common: &Common, args: &Args) -> Result<Exit, Failure> {
    // What was asked does not hang on a database.
    let Asked { from, until, mut other, rules } = asked(&open::config(common)?, args, clock::now())?;
    let (config, reader) = open::reader(common)?;
    if let Some(other) = &mut other {
        roster::remembered(other, &reader)?;
    }
    let zone = config.agent.timezone;
    let mine = rules.iter().filter(|rule| other.is_none() || named(&config, &rule.name).is_some());
    let mut versions = vec![Version { config: &config, rules: mine.cloned().collect() }];
    versions.extend(variant(&config, &rules, args, other.as_ref())?);
    let played = played(&reader, &versions, from, until, &mut |_, _, _| {})?;
    let told = Told {
        from,
        until,
        rules: rules
            .iter()
            .map(|rule| Ok(told(rule, &versions, &played, &live(&reader, rule, from, until)?, from..until)))
            .collect::<Result<_, Failure>>()?,
        coverage: played.coverage,
        listed: args.diff,
    };
    if common.json {
        print::json(&told)?;
    } else {
        print::raw(backtested::text(&told, zone).as_bytes());
    }
    Ok(Exit::Fine)
}

/// What is to be played.
struct Asked {
    from: Time,
    until: Time,
    other: Option<Config>,
    rules: Vec<Arc<Rule>>,
}

/// Err with every mistake in the arguments.
fn asked(config: &Config, args: &Args, now: Time) -> Result<Asked, Failure> {
    let (zone, mut mistakes) = (config.agent.timezone, Mistakes::default());
    let from = mistakes.keep(when::time_or_ago("--since", &args.since, zone, now));
    let until = args.until.as_deref().map_or(Ok(now), |text| when::time_or_ago("--until", text, zone, now));
    let until = mistakes.keep(until);
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        let late = Failure::usage("--since: lies at or after the end of the time that is played");
        mistakes.keep::<()>(Err(late));
    }
    let other = args
        .against
        .as_deref()
        .map(|path| Config::load(path, now).and_then(Config::watching).map_err(other_file));
    let other = mistakes.keep(other.transpose()).flatten();
    let rules = match (&other, &args.against) {
        (Some(other), Some(path)) => mistakes.keep(either(config, other, path, &args.rules)),
        (None, Some(_)) => None,
        (_, None) => {
            // Each name for itself: one that is unknown hides nothing that is wrong with the others.
            let names: Vec<&[String]> = match args.rules.len() {
                0 => vec![&[]],
                _ => args.rules.chunks(1).collect(),
            };
            let found: Vec<_> = names
                .into_iter()
                .map(|names| mistakes.keep(chosen(config, names)).unwrap_or_default())
                .collect();
            Some(found.concat())
        }
    };
    mistakes.keep(variant(config, rules.as_deref().unwrap_or_default(), args, None));
    match (mistakes.none()?, from, until, rules) {
        ((), Some(from), Some(until), Some(rules)) => Ok(Asked { from, until, other, rules }),
        ((), ..) => Err(Failure::usage("there is nothing to play")),
    }
}

/// The rules meant: those named, or all.
pub(super) fn chosen(config: &Config, names: &[String]) -> Result<Vec<Arc<Rule>>, Failure> {
    if config.rules.is_empty() {
        return Err(Failure::usage("the rules file has no [[rule]]"));
    }
    if names.is_empty() {
        return Ok(config.rules.iter().cloned().map(Arc::new).collect());
    }
    let known = || config.rules.iter().map(|rule| rule.name.as_str());
    names.iter().map(|name| named(config, name).ok_or_else(|| pick::unknown("rule", name, known()))).collect()
}

fn named(config: &Config, name: &str) -> Option<Arc<Rule>> {
    config.rules.iter().find(|rule| rule.name == name).cloned().map(Arc::new)
}

/// The rules meant where two files are compared: those named, or all of both. Each is in one of them at least, and
/// stands here as the first one has it, else as the other does.
fn either(config: &Config, other: &Config, path: &Path, names: &[String]) -> Result<Vec<Arc<Rule>>, Failure> {
    let both = || config.rules.iter().chain(&other.rules).map(|rule| &rule.name);
    let mut wanted: Vec<&String> = if names.is_empty() { both().collect() } else { names.iter().collect() };
    let mut seen = BTreeSet::new();
    wanted.retain(|name| seen.insert(*name));
    let find = |name: &String| {
        let found = named(config, name).or_else(|| named(other, name));
        found.ok_or_else(|| {
            let known = both().map(String::as_str);
            let near = suggest(name, known).map(|near| format!("; {near}")).unwrap_or_default();
            let against = print::name(&path.display().to_string());
            Failure::usage(format!("there is no rule {name:?} in the rules file, nor in {against}{near}"))
        })
    };
    let found = wanted.into_iter().map(find).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() {
        return Err(Failure::usage("neither rules file has a [[rule]]"));
    }
    Ok(found)
}

/// The rules as `--set` or `--against` would have them, as far as they are there.
fn variant<'c>(
    config: &'c Config,
    rules: &[Arc<Rule>],
    args: &Args,
    other: Option<&'c Config>,
) -> Result<Option<Version<'c>>, Failure> {
    if let Some(other) = other {
        let rules = rules.iter().filter_map(|rule| named(other, &rule.name)).collect();
        return Ok(Some(Version { config: other, rules }));
    }
    if args.set.is_empty() {
        return Ok(None);
    }
    let mut mistakes = Mistakes::default();
    let (words, others): (Vec<String>, Vec<String>) =
        args.set.iter().cloned().partition(|word| word.contains('='));
    for word in others {
        let wrong = format!("--set: {word:?} is not KEY=VALUE, as in limit=3");
        mistakes.keep::<()>(Err(Failure::usage(wrong)));
    }
    if args.rules.is_empty() && rules.len() > 1 {
        let name = "--set: name the rule that is to have it, as in `rules backtest RULE --set limit=3`";
        mistakes.keep::<()>(Err(Failure::usage(name)));
    }
    let amended = |rule: &Arc<Rule>| config.amended(rule, &words).map(Arc::new);
    // What is wrong with a word is wrong for each rule; the first tells.
    let amended = rules.iter().map(amended).collect::<Result<Vec<_>, _>>();
    let rules = mistakes.keep(amended.map_err(Failure::from));
    mistakes.none()?;
    Ok(Some(Version { config, rules: rules.unwrap_or_default() }))
}

/// Plays all versions over every source that their rules cover. Among the episodes are those that fired in the run-up
/// to `from`.
pub(super) fn played(
    reader: &Reader,
    versions: &[Version<'_>],
    from: Time,
    until: Time,
    looking: &mut Looking<'_>,
) -> Result<Played, Failure> {
    let mut all = Played { coverage: Vec::new(), episodes: vec![Vec::new(); versions.len()] };
    let mut seen = BTreeSet::new();
    for source in versions.iter().flat_map(|version| &version.config.sources) {
        if seen.insert(&source.name) && versions.iter().any(|one| one.source(&source.name).is_some()) {
            play_source(reader, versions, &source.name, (from, until), looking, &mut all)?;
        }
    }
    Ok(all)
}

/// Plays those versions that have the source, each with what it says of it.
fn play_source(
    reader: &Reader,
    versions: &[Version<'_>],
    name: &str,
    (from, until): (Time, Time),
    looking: &mut Looking<'_>,
    all: &mut Played,
) -> Result<(), Failure> {
    let here = || versions.iter().filter_map(|version| Some((version, version.source(name)?)));
    let Some((_, first)) = here().next() else { return Ok(()) };
    let run_up = here().map(|(version, source)| run_up(&version.rules, source.interval)).max();
    let max_gap = here().map(|(version, source)| source.least_gap(version.rules.iter().map(|rule| &**rule)));
    let (run_up, max_gap) = (run_up.unwrap_or_default(), max_gap.min().unwrap_or_default());
    let stretch = Stretch { from, until, run_up, max_gap };
    let loaded = match reader.load_source(name) {
        Ok(loaded) if loaded.memory.seq > 0 => loaded,
        Ok(_) | Err(StoreError::NotFound { .. }) => {
            all.coverage.push(unseen(first, stretch));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut playbacks: Vec<Playback> = Vec::with_capacity(versions.len());
    for (version, source) in here() {
        let setup = setup(version, source, reader)?;
        // What fired before is found too: it may be what another version raises later.
        let playback = Playback::new(setup, loaded.names.clone(), loaded.roster.clone(), from - run_up);
        playbacks.push(playback.without(dismissed(versions, source)));
    }
    let mut watcher = Shown { bar: bar(name), source: name, looking };
    let coverage = play(reader, first, stretch, &mut playbacks, &mut watcher)?;
    watcher.bar.finish_and_clear();
    all.coverage.push(coverage);
    let of_version = versions.iter().zip(&mut all.episodes).filter(|(one, _)| one.source(name).is_some());
    for ((_, episodes), playback) in of_version.zip(playbacks) {
        episodes.extend(playback.finish());
    }
    Ok(())
}

/// Users whom another version lists for the source and this one does not: with its file nobody would have asked about
/// them. Who is in neither of them is a member while polls asked about it.
fn dismissed<'v>(versions: &'v [Version<'_>], source: &'v Source) -> Vec<&'v str> {
    if source.roster.is_some() {
        return Vec::new();
    }
    let of_all = versions.iter().flat_map(|version| &version.config.sources);
    let others = of_all.filter(|other| other.name == source.name && !std::ptr::eq(*other, source));
    let users = others.flat_map(|other| other.users.iter());
    users.filter(|user| !source.users.contains(user)).collect()
}

/// As a rules file that is missing is told, with what this one is for.
fn other_file(mut problems: Problems) -> Failure {
    let hint = "--against names another rules file: copy yours, change in the copy what you want to try, and name that";
    for problem in problems.errors.iter_mut().filter(|problem| problem.message.starts_with("cannot be read"))
    {
        problem.hint = Some(hint.to_owned());
    }
    problems.into()
}

pub(super) fn setup(version: &Version<'_>, source: &Source, reader: &Reader) -> Result<Arc<Setup>, Failure> {
    let fleet = Arc::new(version.config.fleet.clone());
    let covers = |rule: &&Arc<Rule>| rule.scope.covers_source(&source.name);
    Ok(Arc::new(Setup {
        rules: version.rules.iter().filter(covers).cloned().collect(),
        elsewhere: Vec::new(),
        own_notify: Vec::new().into(),
        ..crate::agent::setup(version.config, source, &fleet, &reader.install_id()?)
    }))
}

struct Shown<'w, 'l> {
    bar: ProgressBar,
    source: &'w str,
    looking: &'w mut Looking<'l>,
}

impl Watcher for Shown<'_, '_> {
    fn poll(&mut self, poll: &StoredPoll, column: &Column) {
        (self.looking)(self.source, poll, column);
    }

    fn progress(&mut self, done: u64, of: u64) {
        if done == 1 {
            self.bar.set_length(of);
        }
        if done.is_multiple_of(64) {
            self.bar.set_position(done);
        }
    }
}

/// On stderr, and only on a terminal.
pub(super) fn bar(source: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {percent} %, {eta} left") {
        bar.set_style(style);
    }
    bar.with_message(source.to_owned())
}
