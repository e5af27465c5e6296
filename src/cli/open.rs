//! What commands open before they work: the runtime, the rules file, the database.
//!
//! Neighbours: every command. A part of its own so that a refused file or database reads the same everywhere.

use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Common, Exit, Failure, print, roster, when};
use crate::config::Config;
use crate::store::{Reader, RulesFile, StoreError};

/// Runs `work` on a runtime of its own; panics in it are bugs and end the process.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(work);
    // A resolver thread that hangs must not keep a finished command alive.
    runtime.shutdown_background();
    result
}

/// Resolves at the first SIGTERM or SIGINT since this was called. The second ends the process there and then, whatever
/// the first one still waits for: what was committed is safe, and a send that is cut off counts as it does after a kill.
pub(super) fn stopped() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    async move {
        let Ok((mut term, mut int)) = signals else { return std::future::pending().await };
        tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
        tokio::spawn(async move {
            tokio::select! { _ = term.recv() => {} _ = int.recv() => {} }
            tracing::warn!("told to stop a second time: ended at once");
            super::log::finish();
            end_now();
        });
    }
}

#[expect(clippy::exit, reason = "whatever still runs is not to be waited for")]
fn end_now() -> ! {
    std::process::exit(Exit::Problem as i32)
}

pub(super) fn config(common: &Common) -> Result<Config, Failure> {
    Ok(Config::load(&common.config, crate::agent::clock::now())?)
}

/// The rules file and its database, for reading.
pub(super) fn reader(common: &Common) -> Result<(Config, Reader), Failure> {
    let mut config = config(common)?;
    let reader = database(&config.agent.database)?;
    roster::remembered(&mut config, &reader)?;
    note_other(common, &config, &reader)?;
    Ok((config, reader))
}

/// Says on stderr that the agent goes by another rules file than the one that was just read.
fn note_other(common: &Common, config: &Config, reader: &Reader) -> Result<(), Failure> {
    let local = |at| when::local(config.agent.timezone, at);
    if let Some(RulesFile { file, at, refused, .. }) = reader.refused_rules()? {
        let (file, why, at) = (print::name(&file), print::name(&refused.unwrap_or_default()), local(at));
        print::error(&format!("note: the agent refused {file} at {at} and goes by the one before: {why}\n"));
    } else if let Some(RulesFile { file, at, digest: Some(digest), .. }) = reader.rules_in_force()? {
        let same_path = std::path::absolute(&common.config).is_ok_and(|path| path == Path::new(&file));
        if digest != config.digest {
            let (file, at) = (print::name(&file), local(at));
            print::error(&match same_path {
                true => format!(
                    "note: {file} was changed since the agent read it at {at}, and the agent goes by what it read: \
                     `systemctl reload seatwatch` takes the change over\n"
                ),
                false => format!("note: the agent goes by {file}, which it read at {at}\n"),
            });
        }
    }
    Ok(())
}

/// As [`reader`], for commands that work on what is kept: with `file` they need no rules file, which must not keep
/// anybody from a backup or an acknowledgement while it is refused.
pub(super) fn records(common: &Common, file: Option<&Path>) -> Result<(Config, Reader), Failure> {
    let Some(file) = file else {
        return reader(common).map_err(|failure| match failure {
            Failure::Rules(problems) => Failure::Records(problems),
            other @ (Failure::Records(_) | Failure::Store(_) | Failure::Usage(_) | Failure::Other(_)) => {
                other
            }
        });
    };
    let mut config = Config::parse("", "", Path::new(""), crate::agent::clock::now())?;
    file.clone_into(&mut config.agent.database);
    Ok((config, database(file)?))
}

/// A database, for reading.
pub(super) fn database(path: &Path) -> Result<Reader, Failure> {
    may_use(path)?;
    Ok(Reader::open(path)?)
}

/// As [`reader`]; before the agent ran for the first time there is no database yet.
pub(super) fn reader_if_any(common: &Common) -> Result<(Config, Option<Reader>), Failure> {
    let mut config = config(common)?;
    match database(&config.agent.database) {
        Ok(reader) => {
            roster::remembered(&mut config, &reader)?;
            note_other(common, &config, &reader)?;
            Ok((config, Some(reader)))
        }
        Err(Failure::Store(StoreError::Missing { .. })) => Ok((config, None)),
        Err(failure) => Err(failure),
    }
}

/// Commands are for the service's user and root: others would leave files behind that the agent cannot open.
pub(super) fn may_use(database: &Path) -> Result<(), Failure> {
    let Ok(found) = std::fs::metadata(database) else { return Ok(()) };
    let us = rustix::process::geteuid().as_raw();
    Ok(owned(database, found.uid(), found.mode() & 0o777, us)?)
}

fn owned(database: &Path, owner: u32, mode: u32, us: u32) -> Result<(), StoreError> {
    if us == 0 || us == owner {
        return Ok(());
    }
    let reason = format!("user {owner} owns it, mode {mode:o}, and this is user {us}");
    Err(StoreError::Exposed { path: database.to_owned(), reason })
}

/// Who asks, for the record: the login name's number, since names can change.
pub(super) fn operator() -> String {
    crate::secret::variable("SUDO_USER")
        .or_else(|| crate::secret::variable("USER"))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    #[test]
    fn only_the_owner_and_root_may_use_a_database() {
        let check = |us| owned(Path::new("/var/lib/seatwatch/seatwatch.db"), 998, 0o600, us);
        assert_eq!((check(998), check(0)), (Ok(()), Ok(())));
        let failure = Failure::from(check(1000).unwrap_err());
        // A service whose database was put back under another owner is started again until somebody mended that.
        assert_eq!(failure.exit(), Exit::Storage);
        let Failure::Store(error) = failure else { panic!("{failure:?}") };
        let said = error.to_string();
        assert!(said.contains("/seatwatch.db") && said.contains("user 998 owns it, mode 600"), "{said}");
        assert!(said.contains("as its owner or as root"), "{said}");
    }
}
