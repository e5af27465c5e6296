//! The vendor's SDKs, each driven by a script that takes cases as JSON lines and answers each with one.
//! Neighbours: `tests/data/sdk` holds the scripts, `tests/run` installs what they load. A part of its own so that the
//! cases beside it read as what is asked and what must come of it.

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::target;

/// An SDK, the way it signs, and the HTTP method it is told to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sdk {
    /// Python, the product's own package; it knows POST alone.
    SmartagV3,
    SmartagV1,
    /// Python, the older core; V1.
    CoreGet,
    CorePost,
    /// Node; V1.
    PopGet,
    PopPost,
}

impl Sdk {
    pub(crate) fn is_smartag(self) -> bool {
        matches!(self, Self::SmartagV3 | Self::SmartagV1)
    }

    pub(crate) fn is_core(self) -> bool {
        matches!(self, Self::CoreGet | Self::CorePost)
    }

    pub(crate) fn method(self) -> &'static str {
        if matches!(self, Self::CoreGet | Self::PopGet) { "GET" } else { "POST" }
    }

    fn command(self) -> Command {
        let (program, script, arguments) = match self {
            Self::SmartagV3 => ("venv-sdk/bin/python", "smartag.py", &["V3"][..]),
            Self::SmartagV1 => ("venv-sdk/bin/python", "smartag.py", &["V1"][..]),
            Self::CoreGet | Self::CorePost => ("venv-sdk/bin/python", "core.py", &[][..]),
            Self::PopGet | Self::PopPost => ("npm-sdk/node", "pop.js", &[][..]),
        };
        let program = target().join(program);
        assert!(program.exists(), "run tests/run first: there is no {}", program.display());
        let mut command = Command::new(program);
        // No proxies, no keys, no profiles of whoever runs this.
        command.env_clear().env("NODE_PATH", target().join("npm-sdk/node_modules"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(root().join("tests/data/sdk").join(script)).args(arguments);
        command
    }

    /// Runs all cases in one process: the packages' names and versions, and one answer for each case.
    pub(crate) fn run(self, cases: &[Value]) -> (String, Vec<Value>) {
        let mut lines = tempfile::tempfile().unwrap();
        cases.iter().for_each(|case| writeln!(lines, "{case}").unwrap());
        lines.rewind().unwrap();
        let mut command = self.command();
        let ended = command.stdin(Stdio::from(lines)).output().unwrap();
        let (said, complaint) =
            (String::from_utf8(ended.stdout).unwrap(), String::from_utf8_lossy(&ended.stderr));
        let mut answers = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let versions = answers.next().unwrap_or_else(|| panic!("run tests/run first: {complaint}"));
        let answers: Vec<_> = answers.collect();
        assert!(ended.status.success() && answers.len() == cases.len(), "{self:?}: {complaint}\n{said}");
        let versions = versions.as_object().unwrap().iter();
        let versions: Vec<_> =
            versions.map(|(name, version)| format!("{name} {}", version.as_str().unwrap())).collect();
        (versions.join(", "), answers)
    }

    /// Notes what was proven, for the end of `tests/run`.
    pub(crate) fn proven(self, versions: &str, what: &str) {
        let method = self.method();
        let version = if self == Self::SmartagV3 { "V3" } else { "V1" };
        super::proven(&format!("{self:?}"), &format!("{versions} ({version}, {method}): {what}"));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
