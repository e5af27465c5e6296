//! Which rules file the agent goes by, and whether it refused a newer one.
//!
//! Neighbours: the agent notes it at its start and at every reload, `db stats` and whoever reads the rules file beside
//! the agent say it. A part of its own because it is about the file beside the database, and two rows of `meta`.

use rusqlite::{Connection, OptionalExtension};

use super::error::StoreError;
use super::{Pending, Reader, Store};
use crate::engine::time::Time;

/// A rules file that was taken over, or refused.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct RulesFile {
    /// Its absolute path.
    pub file: String,
    pub at: Time,
    /// SHA-256 of the text that is in force, in hexadecimal digits.
    #[serde(default)]
    pub digest: Option<String>,
    /// The first mistake, where it was refused.
    pub refused: Option<String>,
}

const IN_FORCE: &str = "rules_in_force";
const REFUSED: &str = "rules_refused";

fn note(c: &Connection, file: &RulesFile) -> Result<(), StoreError> {
    let put = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let key = if file.refused.is_some() { REFUSED } else { IN_FORCE };
    c.execute(put, [key, &serde_json::to_string(file)?])?;
    if file.refused.is_none() {
        c.execute("DELETE FROM meta WHERE key = ?1", [REFUSED])?;
    }
    Ok(())
}

fn noted(c: &Connection, key: &str) -> Result<Option<RulesFile>, StoreError> {
    let query = "SELECT value FROM meta WHERE key = ?1";
    let value: Option<String> = c.query_row(query, [key], |row| row.get(0)).optional()?;
    Ok(value.map(|value| serde_json::from_str(&value)).transpose()?)
}

pub(super) fn in_force(c: &Connection) -> Result<Option<RulesFile>, StoreError> {
    noted(c, IN_FORCE)
}

/// The one that was refused since the one in force was taken over.
pub(super) fn refused(c: &Connection) -> Result<Option<RulesFile>, StoreError> {
    noted(c, REFUSED)
}

impl Store {
    /// A file that is taken over ends what was noted of a refused one.
    pub fn note_rules(&self, file: RulesFile) -> Pending<()> {
        self.write(move |c| note(c, &file))
    }
}

impl Reader {
    /// The rules file that the agent goes by.
    pub fn rules_in_force(&self) -> Result<Option<RulesFile>, StoreError> {
        self.run(in_force)
    }

    /// The rules file that the agent refused since it took over the one in force.
    pub fn refused_rules(&self) -> Result<Option<RulesFile>, StoreError> {
        self.run(refused)
    }
}
