//! Which source, user or channel is meant by a word on the command line.
//!
//! Neighbours: the commands that take such words. A part of its own so that a word nobody knows is answered the same
//! way everywhere: by the nearest one, or by those there are.

use super::Failure;
use crate::config::section::suggest;
use crate::config::{Config, Source};

/// So many known names are listed.
const MOST_LISTED: usize = 12;

/// A usage error: the rules file has no such `kind`.
pub(super) fn unknown<'k>(kind: &str, wanted: &str, known: impl IntoIterator<Item = &'k str>) -> Failure {
    let known: Vec<&str> = known.into_iter().collect();
    if known.is_empty() {
        return Failure::usage(format!("there is no {kind} {wanted:?}: the rules file has none at all"));
    }
    let way_out = suggest(wanted, known.iter().copied()).unwrap_or_else(|| {
        let listed: Vec<String> = known.iter().take(MOST_LISTED).map(|name| format!("{name:?}")).collect();
        let more = if known.len() > MOST_LISTED { ", …" } else { "" };
        format!("known: {}{more}", listed.join(", "))
    });
    Failure::usage(format!("there is no {kind} {wanted:?} in the rules file; {way_out}"))
}

/// The sources meant: the one named, or all.
pub(super) fn sources<'c>(config: &'c Config, wanted: Option<&str>) -> Result<Vec<&'c Source>, Failure> {
    let Some(name) = wanted else {
        if config.sources.is_empty() {
            return Err(Failure::usage("the rules file has no [[source]]"));
        }
        return Ok(config.sources.iter().collect());
    };
    let found = config.sources.iter().find(|source| source.name == name);
    let names = config.sources.iter().map(|source| source.name.as_str());
    found.map(|source| vec![source]).ok_or_else(|| unknown("source", name, names))
}

/// The one source meant.
pub(super) fn source<'c>(config: &'c Config, wanted: Option<&str>) -> Result<&'c Source, Failure> {
    match sources(config, wanted)?.as_slice() {
        [only] => Ok(only),
        several => {
            let names: Vec<&str> = several.iter().map(|source| source.name.as_str()).collect();
            Err(Failure::usage(format!(
                "several sources are there: add --source with one of {}",
                names.join(", ")
            )))
        }
    }
}

/// A `user`, or `source/user`, of one of `sources`. A name that two of them have must say which.
pub(super) fn user<'c>(sources: &[&'c Source], wanted: &str) -> Result<(&'c Source, &'c str), Failure> {
    let find = |source: &'c Source, name: &str| -> Option<(&'c Source, &'c str)> {
        source.users.slot(name).map(|slot| (source, source.users.name(slot)))
    };
    let mut found: Vec<_> = sources.iter().filter_map(|source| find(source, wanted)).collect();
    if found.len() > 1 {
        let names: Vec<String> =
            found.iter().map(|(source, user)| format!("{}/{user}", source.name)).collect();
        let message = format!("several sources have the user {wanted:?}: write one of {names:?}");
        return Err(Failure::usage(message));
    }
    let in_source = wanted
        .split_once('/')
        .and_then(|(name, user)| find(sources.iter().find(|source| source.name == name)?, user));
    let names = sources.iter().flat_map(|source| source.users.iter());
    found.pop().or(in_source).ok_or_else(|| unknown("user", wanted, names))
}
