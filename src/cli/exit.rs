//! How a command ends: exit codes, and failures sorted by them.
//!
//! Neighbours: every command returns these, `main` turns them into the process's end. A part of its own because
//! scripts and service managers branch on the codes.

use std::process::ExitCode;

use super::print;
use crate::config::{Problem, Problems};
use crate::store::StoreError;

/// Exit codes, as documented for scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Fine = 0,
    /// The command ran and found a problem.
    Problem = 1,
    Usage = 2,
    Bug = 70,
    Storage = 74,
    Busy = 75,
    Rules = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The rules file is refused.
    Rules(Problems),
    /// The same, where the command could do without one.
    Records(Problems),
    /// The database is refused or failed.
    Store(StoreError),
    /// The arguments do not fit what is there; says what would.
    Usage(String),
    /// Anything else.
    Other(anyhow::Error),
}

impl Failure {
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Rules(_) | Self::Records(_) => Exit::Rules,
            Self::Store(StoreError::Busy { .. }) => Exit::Busy,
            // The database is fine; what was asked for is not in it, or cannot be done to it.
            Self::Store(StoreError::NotFound { .. } | StoreError::Ambiguous { .. }) => Exit::Usage,
            Self::Store(StoreError::Refused(_)) => Exit::Problem,
            Self::Store(_) => Exit::Storage,
            Self::Usage(_) => Exit::Usage,
            Self::Other(_) => Exit::Problem,
        }
    }

    /// To stderr, for a person.
    pub fn print(&self) {
        match self {
            Self::Rules(problems) => print::error(&summary(problems)),
            // Last, where it does not scroll away.
            Self::Records(problems) => print::error(&format!(
                "{}note: with --database FILE this command reads no rules file\n",
                summary(problems)
            )),
            Self::Store(_) | Self::Usage(_) | Self::Other(_) => {
                print::error(&format!("seatwatch: {}\n", self.line()));
            }
        }
    }

    /// To the log, one event a problem, for a log that other programs read.
    pub fn log(&self) {
        let (Self::Rules(problems) | Self::Records(problems)) = self else {
            tracing::error!("{}", self.line());
            return;
        };
        for Problem { file, line, column, key, message, hint, .. } in &problems.errors {
            let (problem, hint) = (message, hint.as_deref());
            tracing::error!(file, line, column, key, problem, hint, "the rules file is refused");
        }
    }

    fn line(&self) -> String {
        match self {
            Self::Rules(problems) | Self::Records(problems) => problems.to_string(),
            Self::Store(error) => error.to_string(),
            Self::Usage(message) => message.clone(),
            Self::Other(error) => format!("{error:#}"),
        }
    }
}

/// Everything that is wrong with what was asked, so that it is told at once.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<Failure>);

impl Mistakes {
    /// Keeps the mistake, if it is one.
    pub(super) fn keep<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|failure| self.0.push(failure)).ok()
    }

    /// Err with all of them: those of rules last, since they have an exit code of their own.
    pub(super) fn none(self) -> Result<(), Failure> {
        let (mut lines, mut rules) = (Vec::new(), None::<Problems>);
        for failure in self.0 {
            match failure {
                Failure::Usage(line) => lines.push(line),
                Failure::Rules(problems) => match &mut rules {
                    None => rules = Some(problems),
                    Some(all) => {
                        all.errors.extend(problems.errors);
                        all.warnings.extend(problems.warnings);
                    }
                },
                other @ (Failure::Records(_) | Failure::Store(_) | Failure::Other(_)) => return Err(other),
            }
        }
        let usage = (!lines.is_empty()).then(|| Failure::Usage(lines.join("\nseatwatch: ")));
        match (usage, rules) {
            (None, None) => Ok(()),
            (Some(usage), None) => Err(usage),
            (usage, Some(rules)) => {
                usage.iter().for_each(Failure::print);
                Err(Failure::Rules(rules))
            }
        }
    }
}

/// The problems of a rules file with their lines, and a last line that counts them.
pub(super) fn summary(problems: &Problems) -> String {
    let counts = [("error", problems.errors.len()), ("warning", problems.warnings.len())];
    let counts = counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| print::count(*n, what));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let first = problems.errors.iter().chain(&problems.warnings).next();
    let file = first.map(|problem| print::name(&problem.file)).unwrap_or_default();
    format!("{}{file}: {counts}\n", problems.draw(print::colour()))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Rules(problems)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(error.into())
    }
}
