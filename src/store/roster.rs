//! Rosters: who an instance said it has, a row for each poll at which that changed.
//!
//! Neighbours: `polls` writes a row with its poll, `source` loads the newest, `retention` keeps the one in force. A part
//! of its own because a roster of a hundred thousand users must cost a few bytes where nothing changed.
//!
//! A row is runs of slots that are alike: `length << 2 | code`, as varints.

use rusqlite::{Connection, OptionalExtension, params};

use super::codec::{self, Cursor, Malformed};
use super::error::StoreError;
use super::{Reader, source};
use crate::engine::outcome::PollRow;
use crate::engine::roster::Listed;

/// More slots in a stored row is damage, and must not become memory.
const MOST_SLOTS: usize = 1 << 24;

fn pack(roster: &[Listed]) -> Vec<u8> {
    let mut out = Vec::new();
    for run in roster.chunk_by(|a, b| a == b) {
        let code = match run[0] {
            Listed::No => 0,
            Listed::Enabled => 1,
            Listed::Disabled => 2,
            Listed::Unsaid => 3,
        };
        codec::put(&mut out, (run.len() as u64) << 2 | code);
    }
    out
}

fn unpack(bytes: &[u8]) -> Result<Vec<Listed>, Malformed> {
    let (mut cursor, mut roster) = (Cursor(bytes), Vec::new());
    while !cursor.is_empty() {
        let number = cursor.number()?;
        let listed = match number & 3 {
            0 => Listed::No,
            1 => Listed::Enabled,
            2 => Listed::Disabled,
            _ => Listed::Unsaid,
        };
        let run = usize::try_from(number >> 2).map_err(|_| Malformed)?;
        if run == 0 || run > MOST_SLOTS - roster.len() {
            return Err(Malformed);
        }
        roster.resize(roster.len() + run, listed);
    }
    Ok(roster)
}

pub(super) fn insert(c: &Connection, source: i64, row: &PollRow) -> Result<(), StoreError> {
    if let Some(roster) = &row.roster {
        let insert = "INSERT INTO roster (source, seq, users) VALUES (?1, ?2, ?3)";
        c.prepare_cached(insert)?.execute(params![source, row.poll.seq.cast_signed(), pack(roster)])?;
    }
    Ok(())
}

/// The newest roster of a source, by slot.
pub(super) fn newest(c: &Connection, source: i64) -> Result<Option<Vec<Listed>>, StoreError> {
    let query = "SELECT users FROM roster WHERE source = ?1 ORDER BY seq DESC LIMIT 1";
    let bytes: Option<Vec<u8>> = c.query_row(query, [source], |row| row.get(0)).optional()?;
    let broken = |_| StoreError::unreadable("the last roster", "no list of users");
    bytes.map(|bytes| unpack(&bytes)).transpose().map_err(broken)
}

impl Reader {
    /// The rosters of a source by the poll they came with: the one in force at poll `from`, and all later ones.
    pub fn rosters(&self, source: &str, from: u64) -> Result<Vec<(u64, Vec<Listed>)>, StoreError> {
        self.run(|c| {
            let row = source::expect(c, source)?;
            let query = "SELECT seq, users FROM roster WHERE source = ?1 AND seq >=
                         coalesce((SELECT max(seq) FROM roster WHERE source = ?1 AND seq <= ?2), 0) ORDER BY seq";
            let mut query = c.prepare_cached(query)?;
            let mut rows = query.query(params![row.id, from.cast_signed()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (seq, users): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
                let broken = |_| StoreError::unreadable(format!("the roster of poll {seq}"), "no list of users");
                found.push((seq.cast_unsigned(), unpack(&users).map_err(broken)?));
            }
            Ok(found)
        })
    }
}

/// A line for each roster that does not read.
pub(super) fn damaged(c: &Connection) -> Result<Vec<String>, StoreError> {
    let mut query = c.prepare("SELECT source, seq, users FROM roster")?;
    let (mut rows, mut faults) = (query.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        if unpack(&row.get::<_, Vec<u8>>(2)?).is_err() {
            let (source, seq): (i64, i64) = (row.get(0)?, row.get(1)?);
            faults.push(format!("the roster of poll {seq} of source number {source} does not read"));
        }
    }
    Ok(faults)
}

/// Forgets rosters that were replaced before poll `first`, at most `batch` of them; the one in force at it stays.
/// Returns how many.
pub(super) fn prune(c: &Connection, source: i64, first: i64, batch: u32) -> Result<u64, StoreError> {
    let old =
        "DELETE FROM roster WHERE source = ?1 AND seq IN (SELECT seq FROM roster WHERE source = ?1 AND seq <
               (SELECT max(seq) FROM roster WHERE source = ?1 AND seq <= ?2) ORDER BY seq LIMIT ?3)";
    Ok(c.prepare_cached(old)?.execute(params![source, first, batch])? as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rosters_come_back(codes in prop::collection::vec(0_usize..4, 0..200)) {
            let all = [Listed::No, Listed::Enabled, Listed::Disabled, Listed::Unsaid];
            let roster: Vec<Listed> = codes.into_iter().map(|code| all[code]).collect();
            prop_assert_eq!(unpack(&pack(&roster)), Ok(roster));
        }

        #[test]
        fn garbage_is_refused_or_short(bytes in prop::collection::vec(any::<u8>(), 0..4)) {
            let _ = unpack(&bytes);
        }
    }

    #[test]
    fn a_hundred_thousand_alike_are_three_bytes() {
        assert_eq!(pack(&vec![Listed::Enabled; 100_000]).len(), 3);
        assert_eq!(unpack(&[0]), Err(Malformed));
    }

    #[test]
    fn the_roster_in_force_outlives_pruning_and_damage_is_named() {
        let c = Connection::open_in_memory().unwrap();
        crate::store::migrate::STEPS.iter().for_each(|step| c.execute_batch(step).unwrap());
        c.execute("INSERT INTO source (id, name, last_seq, memory) VALUES (1, 's', 9, '{}')", []).unwrap();
        let put = |seq: i64, users: &[u8]| {
            c.execute("INSERT INTO roster VALUES (1, ?1, ?2)", params![seq, users]).unwrap();
        };
        assert_eq!(newest(&c, 1).unwrap(), None);
        put(1, &pack(&[Listed::Enabled]));
        put(4, &pack(&[Listed::Enabled, Listed::Disabled]));
        put(8, &pack(&[Listed::No, Listed::Unsaid]));
        assert_eq!(newest(&c, 1).unwrap(), Some(vec![Listed::No, Listed::Unsaid]));
        let left = |first| {
            while prune(&c, 1, first, 1).unwrap() > 0 {}
            let mut query = c.prepare("SELECT seq FROM roster ORDER BY seq").unwrap();
            let seqs = query.query_map([], |row| row.get(0)).unwrap();
            seqs.collect::<Result<Vec<i64>, _>>().unwrap()
        };
        assert_eq!(left(1), [1, 4, 8]);
        assert_eq!(left(6), [4, 8], "the one in force at poll 6");
        assert_eq!(left(9), [8]);
        assert!(damaged(&c).unwrap().is_empty());
        put(9, &[0]);
        assert_eq!(damaged(&c).unwrap().len(), 1);
        assert!(newest(&c, 1).is_err());
    }
}
