//! How old what is known of each source is, said on stderr where that is older than it should be.
//!
//! Neighbours: `alerts list` and `why-not` tell of now and know nothing after the last poll; `db stats --max-age` is for
//! other programs. A part of its own because "nothing is firing" is a comfort only while somebody looks.

use super::{print, when};
use crate::config::{Config, Source};
use crate::engine::own::SKEW_BREACH;
use crate::engine::time::Time;
use crate::store::{Reader, StoreError};

/// A note for each source, or the one named, of which nothing was read in the last two intervals of its schedule, or
/// whose age nobody can tell because the clock was set back since.
pub(super) fn note(
    config: &Config,
    reader: &Reader,
    only: Option<&str>,
    now: Time,
) -> Result<(), StoreError> {
    for source in config.sources.iter().filter(|source| only.is_none_or(|only| source.name == only)) {
        let last = reader.last_usable(&source.name)?;
        if last.is_some_and(|last| !overdue(source, last, now) && !is_ahead(last, now)) {
            continue;
        }
        let polled = reader.last_polled(&source.name)?;
        let (name, zone) = (&source.name, config.agent.timezone);
        let since = |at: Time| format!("{} ago, at {}", when::length(now.since(at)), when::local(zone, at));
        let until =
            |at: Time| format!("{} in the future, at {}", when::length(at.since(now)), when::local(zone, at));
        let polls = polled.is_some_and(|polled| !overdue(source, polled, now));
        let says = match (last, polled) {
            (_, None) => {
                format!("{name} was never polled, and nothing is known of it: see whether the agent runs")
            }
            (_, Some(polled)) if is_ahead(polled, now) => format!(
                "{name} was last polled {}; this host's clock was set back since, or was wrong then, and how old what \
                 is known of it is cannot be told: see whether the clock is right and the agent runs",
                until(polled)
            ),
            (None, Some(_)) => format!("no poll of {name} has told anything yet: see the agent's log"),
            (Some(last), _) if is_ahead(last, now) => format!(
                "what is known of {name} is from {}; this host's clock was set back since, or was wrong then, and no \
                 poll has told anything since: see the agent's log",
                until(last)
            ),
            (Some(last), _) if polls => {
                format!("polls of {name} fail; what is known of it is from {}", since(last))
            }
            (Some(last), _) => format!(
                "{name} is not polled as its schedule says; what is known of it is from {}: see whether the agent runs",
                since(last)
            ),
        };
        print::error(&format!("note: {says}\n"));
    }
    Ok(())
}

/// Whether two polls should have come since `last`, and had the time they may take.
fn overdue(source: &Source, last: Time, now: Time) -> bool {
    source.schedule.instants(last, 2).last().is_some_and(|second| *second + source.budget < now)
}

/// Whether our clock was set back since `at`, by more than it may be wrong.
fn is_ahead(at: Time, now: Time) -> bool {
    at.since(now) > SKEW_BREACH
}
