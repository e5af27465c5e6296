//! `seatwatch run`: the agent, until SIGTERM or SIGINT; SIGHUP reloads.
//!
//! Neighbours: `agent` does the work. A part of its own because what must hold before the agent starts (a whole file,
//! secrets that resolve, a database that is ours and free) is checked here, in this order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Common, Exit, Failure, open};
use crate::agent::{Agent, Live, LiveError, Stopped, clock, warn_of};
use crate::config::{Config, Problem, Problems};
use crate::store::Store;

#[derive(clap::Args, Debug)]
pub(super) struct Args {}

pub(super) fn run(common: &Common, _: &Args) -> Result<Exit, Failure> {
    let config = checked(&common.config)?;
    open::may_use(&config.agent.database)?;
    open::block_on(async {
        // From here on: a signal that comes while the agent starts is not lost and does not kill.
        let stop = open::stopped();
        let (reload, reloads) = watch::channel(0);
        on_hangup(reload);
        let now = clock::now();
        let store = Store::open(&config.agent.database, now)?;
        let live = Live::open(config, store.install_id()).map_err(|error| unusable(&common.config, error))?;
        let agent = Arc::new(Agent::new(store, live));
        agent.begin(now).await?;
        tell_start(&agent, &common.config)?;
        agent.note_rules(&common.config, now, None).await;
        let stopped = crate::agent::run(agent, common.config.clone(), reloads, stop).await;
        Ok(ending(stopped))
    })
}

/// What runs on what: the first thing to look for in a log.
fn tell_start(agent: &Agent, rules: &Path) -> Result<(), Failure> {
    let last_poll = agent.store().reader()?.last_at()?.map_or("none".to_owned(), |at| at.to_string());
    let (version, database) = (env!("CARGO_PKG_VERSION"), agent.store().path().display());
    tracing::info!(version, rules = %rules.display(), %database, last_poll, "starting");
    Ok(())
}

/// An agent that ended although nobody told it to has a bug, or no database any more: the service manager starts
/// another, and who mended the database need not.
fn ending(stopped: Result<(), Stopped>) -> Exit {
    match stopped {
        Ok(()) => Exit::Fine,
        Err(why) => {
            tracing::error!(%why, "stopping");
            match why {
                Stopped::Bug(_) => Exit::Bug,
                Stopped::Damaged(_) => Exit::Storage,
            }
        }
    }
}

/// The rules file, with every secret it refers to within reach.
fn checked(path: &Path) -> Result<Config, Failure> {
    let config = Config::load(path, clock::now())?.watching()?;
    warn_of(&config);
    let errors = config.unresolved();
    if errors.is_empty() {
        return Ok(config);
    }
    Err(Problems { errors, warnings: Vec::new() }.into())
}

/// What went out of reach since [`checked`].
fn unusable(path: &Path, LiveError(lines): LiveError) -> Problems {
    let file = path.display().to_string();
    let problem = |line| Problem::of_file(file.clone(), line, None);
    Problems { errors: lines.into_iter().map(problem).collect(), warnings: Vec::new() }
}

/// Reloads are this far apart at least.
const RELOAD_EVERY: Duration = Duration::from_secs(1);

/// Passes SIGHUP on; many within a second are one reload, or two.
fn on_hangup(reload: watch::Sender<u64>) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            reload.send_modify(|count| *count += 1);
            // What comes meanwhile is kept as one.
            tokio::time::sleep(RELOAD_EVERY).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_unasked_says_so_by_the_exit_code() {
        assert_eq!(ending(Ok(())), Exit::Fine);
        assert_eq!(ending(Err(Stopped::Bug("a loop".to_owned()))), Exit::Bug);
        assert_eq!(Exit::Bug as i32, 70);
        let detail = "a page is torn".to_owned();
        let damage = crate::store::StoreError::Corrupt { path: "seatwatch.db".into(), detail };
        assert_eq!(ending(Err(Stopped::Damaged(damage))), Exit::Storage);
        assert_eq!(Exit::Storage as i32, 74);
    }
}
