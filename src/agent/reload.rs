//! Another rules file in place of the one in force: read, checked and opened whole, or refused and nothing changed.
//!
//! Neighbours: `run` calls it at SIGHUP, `live` opens what the file names, `store` keeps which file is in force and
//! which one was refused, so that commands can say so. A part of its own because a refusal must reach whoever asked for
//! the reload, and the service manager does not pass it on.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use crate::config::{Config, Problem};
use crate::engine::time::Time;
use crate::store::{RulesFile, StoreError};

use super::{Agent, Live};

/// Logs what a file that is taken over says and can hardly mean.
pub fn warn_of(config: &Config) {
    for warning in &config.warnings {
        let (line, key, problem) = (warning.line, &warning.key, &warning.message);
        tracing::warn!(line, key, problem, "in the rules file");
    }
}

impl Agent {
    /// Reads the rules file again and takes it over whole, or not at all; false if it is refused.
    pub async fn reload(&self, rules: &Path, now: Time) -> bool {
        match self.read_again(rules, now).await {
            Ok(new) => {
                warn_of(&new.config);
                if let Err(error) = self.swap(new, now).await {
                    tracing::warn!(%error, "what waits for a channel goes on waiting");
                }
                tracing::info!("the rules file is in force");
                self.note_rules(rules, now, None).await;
                true
            }
            Err(problems) => {
                for Problem { line, column, key, message, hint, .. } in &problems {
                    let (problem, hint) = (message, hint.as_deref());
                    tracing::error!(
                        line,
                        column,
                        key,
                        problem,
                        hint,
                        "the rules file is refused; the one in force stays"
                    );
                }
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                self.note_rules(rules, now, Some(first)).await;
                false
            }
        }
    }

    async fn read_again(&self, rules: &Path, now: Time) -> Result<Live, Vec<Problem>> {
        let of_file = |line| Problem::of_file(rules.display().to_string(), line, None);
        let path = rules.to_owned();
        let read = tokio::task::spawn_blocking(move || Config::load(&path, now)?.watching()).await;
        let read = read.map_err(|error| vec![of_file(format!("reading it failed: {error}"))])?;
        let mut config = read.map_err(|problems| problems.errors)?;
        let live = self.live();
        if config.agent.database != live.config.agent.database {
            tracing::error!(
                database = %config.agent.database.display(),
                "another database needs a restart; the one in use stays, the rest of the file is taken over"
            );
            config.agent.database.clone_from(&live.config.agent.database);
        }
        Live::open(config, &live.install).map_err(|error| error.0.into_iter().map(of_file).collect())
    }

    /// Puts another rules file in force. Waits for nobody: a poll under way finishes on the old one, whoever comes
    /// next lays its source out anew. A channel that was disabled gets another chance.
    pub async fn swap(&self, mut live: Live, now: Time) -> Result<(), StoreError> {
        live.part_from(&self.live());
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
        self.forget_breakers();
        self.tell_again(now);
        let refreshed = self.store.refresh_channels(now).await;
        self.wake_deliver();
        refreshed
    }

    /// Notes that the file at `rules` is in force since `now`, or why it was refused then.
    pub async fn note_rules(&self, rules: &Path, now: Time, refused: Option<String>) {
        let file = std::path::absolute(rules).unwrap_or_else(|_| rules.to_owned());
        let digest = refused.is_none().then(|| self.live().config.digest.clone());
        let file = RulesFile { file: file.display().to_string(), at: now, digest, refused };
        if let Err(error) = self.store.note_rules(file).await {
            tracing::warn!(%error, "commands cannot tell which rules file is in force");
        }
    }
}
