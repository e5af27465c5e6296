//! Hash chains: each event and each act carries the hash of the one before, so that a changed row shows.
//!
//! Neighbours: `events` and `acts` append, `retention` prunes and leaves an anchor, `check` walks. A part of its own
//! because a chain holds from the first row of the first release on, or proves nothing.

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::error::StoreError;
use crate::engine::time::Time;

pub(super) type Hash = [u8; 32];

/// SHA-256 over `prev` and the parts, each after its length in eight big-endian bytes.
pub(super) fn hash(prev: &Hash, parts: &[&[u8]]) -> Hash {
    let mut sha = Sha256::new();
    sha.update(prev);
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}

/// Number and hash of the newest row.
pub(super) fn head(c: &Connection, chain: &str) -> Result<(i64, Hash), StoreError> {
    let query = "SELECT no, hash FROM chain WHERE name = ?1";
    Ok(c.prepare_cached(query)?.query_row([chain], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

pub(super) fn advance(c: &Connection, chain: &str, no: i64, hash: &Hash) -> Result<(), StoreError> {
    c.prepare_cached("UPDATE chain SET no = ?2, hash = ?3 WHERE name = ?1")?
        .execute(params![chain, no, hash])?;
    Ok(())
}

/// Remembers the last row of each stretch of `taken` (ascending numbers), before the rows are deleted.
pub(super) fn anchor(
    c: &Connection,
    chain: &str,
    taken: &[(i64, Hash)],
    now: Time,
) -> Result<(), StoreError> {
    let mut insert = c.prepare_cached("INSERT OR REPLACE INTO anchor VALUES (?1, ?2, ?3, ?4)")?;
    let mut forget = c.prepare_cached("DELETE FROM anchor WHERE chain = ?1 AND no = ?2")?;
    for (index, (no, hash)) in taken.iter().enumerate() {
        forget.execute(params![chain, no - 1])?;
        if taken.get(index + 1).is_none_or(|next| next.0 != no + 1) {
            let joined = "SELECT count(*) FROM anchor WHERE chain = ?1 AND no = ?2";
            let follows: i64 = c.query_row(joined, params![chain, no], |row| row.get(0))?;
            if follows == 0 {
                insert.execute(params![chain, no, hash, now.millis()])?;
            }
        }
    }
    Ok(())
}

/// A row as it lies in its chain, with the hash its content has now.
struct Link {
    no: i64,
    prev: Hash,
    kept: Hash,
    computed: Hash,
}

/// Walks a chain and lists what does not fit, at most 20 lines. `links` gives rows from a number on, in order.
fn walk(
    c: &Connection,
    chain: &str,
    links: impl Iterator<Item = Result<Link, StoreError>>,
) -> Result<Vec<String>, StoreError> {
    let mut query = c.prepare_cached("SELECT no, hash FROM anchor WHERE chain = ?1 ORDER BY no")?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Hash>(1)?));
    let anchors = query.query_map([chain], read)?.collect::<Result<Vec<_>, _>>()?;
    let mut anchors = anchors.into_iter().peekable();
    let (mut last, mut faults) = ((0_i64, [0_u8; 32]), Vec::new());
    for link in links {
        let link = link?;
        while let Some(anchor) = anchors.next_if(|a| a.0 < link.no) {
            last = anchor;
        }
        if last.0 + 1 != link.no {
            faults.push(format!("{chain}s {} to {} are missing", last.0 + 1, link.no - 1));
        } else if link.prev != last.1 {
            faults.push(format!("{chain} {} does not follow the one before it", link.no));
        }
        if link.kept != link.computed {
            faults.push(format!("{chain} {} was changed", link.no));
        }
        last = (link.no, link.kept);
        if faults.len() >= 20 {
            return Ok(faults);
        }
    }
    if let Some(anchor) = anchors.last() {
        last = anchor;
    }
    if head(c, chain)? != last {
        faults.push(format!("{chain}s after {} are missing", last.0));
    }
    Ok(faults)
}

/// What does not fit in both chains; empty is good.
pub(super) fn verify(c: &Connection) -> Result<Vec<String>, StoreError> {
    let mut faults = Vec::new();
    for (chain, query) in [("event", super::events::CHAIN), ("act", super::acts::CHAIN)] {
        let mut query = c.prepare(query)?;
        let width = query.column_count();
        let mut rows = query.query([])?;
        let mut next = || -> Result<Option<Link>, StoreError> {
            let Some(row) = rows.next()? else { return Ok(None) };
            let (no, prev, kept): (i64, Hash, Hash) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let texts = (3..width).map(|at| row.get::<_, String>(at)).collect::<Result<Vec<_>, _>>()?;
            let parts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
            Ok(Some(Link { no, prev, kept, computed: hash(&prev, &parts) }))
        };
        faults.extend(walk(c, chain, std::iter::from_fn(|| next().transpose()))?);
    }
    Ok(faults)
}
