//! `seatwatch demo`: the emulator and the agent together on loopback, with two weeks of history and planted events.
//!
//! Neighbours: `stage` sets it up, `watcher` prints what happens, `mailbox` and `hook` are the receivers. A part of
//! its own because it is the first thing a new user runs: nothing to configure, and it ends with a verdict on itself.

mod hook;
mod mail;
mod mailbox;
mod past;
mod stage;
mod watcher;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::{Common, Exit, Failure, open, print};
use crate::agent::{Agent, Live, clock};
use crate::config::Config;
use crate::engine::time::Span;
use crate::store::Store;
use stage::{Cast, Stage};
use watcher::Watcher;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// End after this long, with exit code 0 only if everything planted fired and ended; default: at Ctrl-C
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<Span>,
    /// Which made-up people there are
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// Everything planted has fired and ended after this long; a shorter demo could not pass.
const SHORTEST: Span = Span::from_secs(45);

pub(super) fn run(_: &Common, args: &Args) -> Result<Exit, Failure> {
    if args.length.is_some_and(|length| length < SHORTEST) {
        return Err(Failure::usage(format!(
            "--for: what is planted takes {SHORTEST} to fire and end; give at least that"
        )));
    }
    open::block_on(async {
        let cast = Cast::gather(args.seed)?;
        print::line(&format!("files in {}", cast.dir.display()));
        let store = Store::open(&cast.database(), clock::now())?;
        past::write(&store, &cast, clock::now()).await?;
        let stage = Stage::set(&cast, args.seed).await?;
        let config = Config::load(&stage.rules, clock::now())?;
        let live = Live::open(config, store.install_id()).map_err(anyhow::Error::from)?;
        let agent = Arc::new(Agent::new(store.clone(), live));
        print::line(
            "polling every 2 seconds; alice and carol share their accounts for a while, gateway-01 goes offline\n",
        );

        let (stop, stopped) = oneshot::channel();
        let (_reload, reloads) = watch::channel(0);
        let (agent_, rules) = (Arc::clone(&agent), stage.rules.clone());
        let running = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            crate::agent::run(agent_, rules, reloads, stopped).await
        });
        let mut watcher = Watcher::new(store.reader()?, cast.zone);
        let end = async {
            match args.length {
                Some(length) => tokio::time::sleep(length.to_std()).await,
                None => std::future::pending().await,
            }
        };
        watcher
            .watch(stage.mails, stage.bodies, async {
                tokio::select! { () = end => {} () = open::stopped() => {} }
            })
            .await?;
        let _ = stop.send(());
        let ended = tokio::time::timeout(Duration::from_secs(10), running).await;
        if !matches!(ended, Ok(Ok(Ok(())))) {
            return Err(anyhow::anyhow!("the agent did not stop cleanly").into());
        }
        let as_planned = watcher.summary(&cast.dir)?;
        Ok(if as_planned || args.length.is_none() { Exit::Fine } else { Exit::Problem })
    })
}
