//! What lies around the process: its environment, and where the vendor's own endpoints are.
//!
//! Neighbours: `chain` and `role` ask for variables, `metadata` for its host. A part of its own, passed as a value,
//! so that tests put up an environment of their own and endpoints on loopback.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::CredentialsError;
use crate::aliyun::endpoint::Endpoint;
use crate::secret::{self, Secret};

/// The value of a variable.
type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Environment variables, by name.
#[derive(Clone)]
pub struct Environment(Arc<Lookup>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        Self(Arc::new(secret::variable))
    }

    /// Made up, for tests.
    pub fn of(variables: &[(&str, &str)]) -> Self {
        let all: BTreeMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self(Arc::new(move |name| all.get(name).cloned()))
    }

    /// The vendor's tools, too, take an empty variable for one that is not set.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    pub(super) fn secret(&self, name: &str) -> Result<Option<Secret>, CredentialsError> {
        let place = || format!("environment variable {name:?}");
        Ok(self.get(name).map(|value| secret::taken(&place(), value)).transpose()?)
    }

    /// A file under the home directory.
    pub(super) fn at_home(&self, path: &str) -> Option<PathBuf> {
        Some(PathBuf::from(self.get("HOME")?).join(path))
    }
}

/// Where keys are looked for, beyond the rules file.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub environment: Environment,
    /// The metadata server of ECS: scheme and host.
    pub metadata: String,
    /// Instead of every host of the Security Token Service.
    pub sts: Option<Endpoint>,
}

impl Surroundings {
    /// Those of this process.
    pub fn real() -> Self {
        Self {
            environment: Environment::of_process(),
            // Link-local: the vendor serves it to the instance itself, over plain HTTP only.
            metadata: "http://100.100.100.200".into(),
            sts: None,
        }
    }
}
