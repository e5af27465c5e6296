//! Fake neighbours on the loopback, for tests of more than one module.
//! Neighbours: the test modules beside it. A part of its own so that none of them carries its own servers.

pub(crate) mod authority;
pub(crate) mod door;
pub(crate) mod echo;
pub(crate) mod hostile;
pub(crate) mod http;
pub(crate) mod logged;
pub(crate) mod metadata;
pub(crate) mod program;
pub(crate) mod sdk;
pub(crate) mod smtp;

use std::path::{Path, PathBuf};

pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target")
}

/// Notes what was proven, for the end of `tests/run`; one file for each `name`.
pub(crate) fn proven(name: &str, line: &str) {
    let folder = target().join("proven");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), format!("{line}\n")).unwrap();
}
