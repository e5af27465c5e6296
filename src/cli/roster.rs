//! Users whom the rules file does not name because the instance does: by the last roster, or by asking for one.
//!
//! Neighbours: `open` adds those the database remembers, `poll` asks. A part of its own so that every command speaks of
//! the users whom the agent watches.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::busy::Busy;
use super::{Failure, open, poll};
use crate::agent::clock;
use crate::config::{Config, Source};
use crate::engine::reading::Fault;
use crate::engine::roster::Listed;
use crate::source;
use crate::store::{Reader, StoreError};

/// Adds to each source with a roster the users who were on it when it last came.
pub(super) fn remembered(config: &mut Config, reader: &Reader) -> Result<(), StoreError> {
    for source in config.sources.iter_mut().filter(|source| source.roster.is_some()) {
        let loaded = reader.load_source(&source.name)?;
        let roster = loaded.roster.unwrap_or_default();
        let on = loaded.names.iter().zip(&roster).filter(|(_, listed)| **listed != Listed::No);
        add(source, on.map(|(name, _)| name));
    }
    Ok(())
}

/// Asks each source with a roster for it, all or the one named; what fails is returned by source.
pub(super) fn asked(config: &mut Config, only: Option<&str>) -> Result<BTreeMap<String, Fault>, Failure> {
    let mut faults = BTreeMap::new();
    for n in 0..config.sources.len() {
        let wanted = &config.sources[n];
        if wanted.roster.is_none() || only.is_some_and(|only| wanted.name != only) {
            continue;
        }
        let settings = [(&wanted.settings, wanted.account.as_deref())];
        let opened = source::Source::open_all(&settings, &config.accounts).pop();
        let Some(opened) = opened.transpose().map_err(|error| poll::refused(config, error.into()))? else {
            continue;
        };
        let busy = Busy::with(format!("asking {} for its users", wanted.name));
        let budget = wanted.budget;
        let came = open::block_on(async { Ok(opened.roster(clock::now(), budget).await) })?;
        drop(busy);
        let source = &mut config.sources[n];
        match came {
            Ok(roster) => add(source, roster.users.iter().map(|(name, _)| &**name)),
            Err(fault) => drop(faults.insert(source.name.clone(), fault)),
        }
    }
    Ok(faults)
}

fn add<'a>(source: &mut Source, names: impl Iterator<Item = &'a str>) {
    let users = Arc::make_mut(&mut source.users);
    for name in names {
        users.slot_or_add(name);
    }
}
