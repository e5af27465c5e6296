//! What `check` says of a file beside what is kept: of the database's place, and of channels that alerts still need.
//!
//! Neighbours: `check` prints it among its warnings, the agent says the same when it starts. A part of its own because a
//! file is checked without a database, and these are the only mistakes that the two make together.

use std::path::Path;

use super::open;
use crate::agent::lost_channels;
use crate::channel::Settings;
use crate::config::{Config, Problem};
use crate::store::is_foreign;

pub(super) fn warnings(config: &Config) -> Vec<Problem> {
    match place(config) {
        Some(problem) => vec![problem],
        None => lost(config),
    }
}

/// Channels that are not in the file, and that open alerts were told on. A database that cannot be read is for the
/// commands to complain of that need it.
fn lost(config: &Config) -> Vec<Problem> {
    let alerts = open::database(&config.agent.database).ok().and_then(|reader| reader.load_alerts(None).ok());
    let alerts = alerts.unwrap_or_default();
    let known = |name: &str| config.channels.iter().map(Settings::name).any(|known| known == name);
    let warn = |(channel, episodes): (&str, usize)| {
        let alerts = match episodes {
            1 => "1 alert that goes on was".to_owned(),
            more => format!("{more} alerts that go on were"),
        };
        let message = format!(
            "{channel:?} is not in the file, and {alerts} told there: after a restart it hears no more of them"
        );
        let hint =
            "leave it until they ended (`seatwatch alerts list`), or reload: then it is told their end";
        Problem { hint: Some(hint.to_owned()), ..config.problem("channel".to_owned(), message) }
    };
    lost_channels(alerts.iter().map(|(_, alert)| alert), known).into_iter().map(warn).collect()
}

/// A database that `run` could not make or open where it is to be.
fn place(config: &Config) -> Option<Problem> {
    let path = &config.agent.database;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = |path: &Path| path.display().to_string();
    let (message, hint) = if !directory.is_dir() && directory.try_exists().is_ok() {
        let hint = "make it, and let the user who runs Seatwatch write to it";
        (format!("there is no directory {:?}", shown(directory)), hint)
    } else if is_foreign(path).unwrap_or_default() {
        (format!("{:?} is not a database", shown(path)), "name another file: `run` refuses this one")
    } else {
        return None;
    };
    Some(Problem { hint: Some(hint.to_owned()), ..config.problem("agent.database".to_owned(), message) })
}
