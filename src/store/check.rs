//! Is the database whole: SQLite's own checks, our chains, and every stored reading.
//!
//! Neighbours: opening runs the quick one after an unclean stop, `db check` the thorough one. A part of its own
//! because it reads all tables and trusts none.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;

use super::error::StoreError;
use super::{OutboxFilter, Reader, chain, codec, connection, polls, references, roster};

/// What the thorough check found; each list is empty in a good database.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Checked {
    /// Of SQLite's `integrity_check`.
    pub integrity: Vec<String>,
    pub foreign_keys: Vec<String>,
    /// Events or acts that were changed or taken out.
    pub chain: Vec<String>,
    /// Events without their episodes, polls or answers, and episodes that say something else than their events.
    pub events: Vec<String>,
    /// Polls missing from their sequence, readings that do not read.
    pub polls: Vec<String>,
    /// Of other tables, rows that the agent could not read.
    pub rows: Vec<String>,
}

impl Checked {
    pub fn is_ok(&self) -> bool {
        self.damage().is_none() && self.doubts().next().is_none()
    }

    /// The first thing that cannot be read.
    pub fn damage(&self) -> Option<&str> {
        [&self.integrity, &self.polls, &self.rows].into_iter().flatten().map(String::as_str).next()
    }

    /// What can be read, and is not what was written.
    pub fn doubts(&self) -> impl Iterator<Item = &str> {
        self.chain.iter().chain(&self.events).chain(&self.foreign_keys).map(String::as_str)
    }
}

fn pragma(c: &Connection, name: &str) -> Result<Vec<String>, StoreError> {
    let mut query = c.prepare(&format!("PRAGMA {name}(20)"))?;
    findings(query.query_map([], |row| row.get::<_, String>(0))?)
}

/// What a check found. A page that cannot be read is told as a line first, and then ends the statement as if it were
/// damaged: the disk comes before whatever else was found.
fn findings(rows: impl Iterator<Item = rusqlite::Result<String>>) -> Result<Vec<String>, StoreError> {
    let (mut lines, mut ended) = (Vec::new(), Ok(()));
    for row in rows {
        match row {
            Ok(line) => lines.push(line),
            Err(error) => ended = Err(error),
        }
    }
    if let Some(line) = lines.iter().flat_map(|line| line.lines()).find(|line| is_of_the_disk(line)) {
        return Err(StoreError::Io { path: PathBuf::new(), detail: format!("disk I/O error: {line}") });
    }
    ended?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// Whether `line` of a check is about a page that could not be read, rather than about what stands on one. SQLite's
/// words (`checkTreePage` and `checkList` of its b-tree) with its code, the last byte of which is `SQLITE_IOERR`.
fn is_of_the_disk(line: &str) -> bool {
    let code = line.split_once("unable to get the page. error code=").and_then(|(_, code)| code.parse().ok());
    code.is_some_and(|code: i32| code & 0xff == rusqlite::ffi::SQLITE_IOERR)
        || line.contains("failed to get page ")
}

/// Who has more to do than to find the reason of a failure does not wait longer for it: a stop has ten seconds, and the
/// store does nothing else meanwhile.
pub(super) const LONGEST_JUDGEMENT: Duration = Duration::from_secs(8);

/// Tells damage from a disk that fails, where `error` may be either: reads the whole file beside whoever uses it, for as
/// long as `within`. What cannot be told is damage, but for want of time.
pub(super) fn judged(error: StoreError, path: &Path, within: Duration) -> StoreError {
    let StoreError::Malformed { detail, .. } = &error else { return error };
    let of_the_disk = |detail| StoreError::Io { path: path.to_owned(), detail };
    let read = connection::look(path).and_then(|c| {
        let (over, ends) = mpsc::channel::<()>();
        let handle = c.get_interrupt_handle();
        let limit = std::thread::spawn(move || {
            let late = ends.recv_timeout(within) == Err(RecvTimeoutError::Timeout);
            if late {
                handle.interrupt();
            }
            late
        });
        let found = pragma(&c, "integrity_check");
        drop(over);
        match limit.join() {
            Ok(true) if !found.as_ref().is_ok_and(|lines| !lines.is_empty()) => {
                Err(of_the_disk(format!("{detail}; to read all of it, which tells why, takes too long")))
            }
            Ok(_) | Err(_) => found,
        }
    });
    match read {
        Ok(faults) if faults.is_empty() => {
            of_the_disk(format!("a part of it could not be read a moment ago, and can be now: {detail}"))
        }
        Err(failure) if !failure.is_damage() => failure.at(path),
        Ok(_) | Err(_) => error.of_ours().at(path),
    }
}

/// Refuses what seems to be a damaged database with the first thing that is wrong.
pub(super) fn quick(c: &Connection) -> Result<(), StoreError> {
    match pragma(c, "quick_check")?.first() {
        Some(line) => Err(malformed(line)),
        None => Ok(()),
    }
}

fn malformed(line: &str) -> StoreError {
    StoreError::Malformed { path: PathBuf::new(), detail: line.lines().last().unwrap_or(line).to_owned() }
}

fn foreign_keys(c: &Connection) -> Result<Vec<String>, StoreError> {
    let mut query = c.prepare("PRAGMA foreign_key_check")?;
    let rows = query.query_map([], |row| {
        Ok(format!(
            "a row of {} names one of {} that is not there",
            row.get::<_, String>(0)?,
            row.get::<_, String>(2)?
        ))
    })?;
    Ok(rows.take(20).collect::<Result<_, _>>()?)
}

fn readings(c: &Connection) -> Result<Vec<String>, StoreError> {
    let mut faults = Vec::new();
    let query =
        "SELECT s.name, s.id, s.last_seq, s.first_seq, count(p.seq), coalesce(min(p.seq), 1) FROM source s
                 LEFT JOIN poll p ON p.source = s.id GROUP BY s.id";
    let mut query = c.prepare(query)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (name, id): (String, i64) = (row.get(0)?, row.get(1)?);
        let (last, first, count, lowest): (i64, i64, i64, i64) =
            (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
        if count != last - lowest + 1 || lowest > first {
            faults.push(format!("source {name}: polls are missing between {lowest} and {last}"));
        }
        let (mut page, mut next) = (polls::Page::default(), first.cast_unsigned());
        loop {
            if let Err(error) = page.read(c, id, next..=i64::MAX.unsigned_abs()) {
                faults.push(format!("source {name}: {}", fault(error)?));
                break;
            }
            let Some(poll) = page.polls().last() else { break };
            next = poll.seq + 1;
        }
    }
    let mut query = c.prepare("SELECT source, seq, readings FROM keyframe")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        if codec::read_column(&row.get::<_, Vec<u8>>(2)?).is_err() {
            let (source, seq): (i64, i64) = (row.get(0)?, row.get(1)?);
            faults.push(format!("the keyframe of poll {seq} of source number {source} does not read"));
        }
    }
    faults.extend(roster::damaged(c)?);
    Ok(faults)
}

/// What is wrong with what was read; Err if that was the disk's doing, perhaps.
fn fault(error: StoreError) -> Result<String, StoreError> {
    if let StoreError::Unreadable { row, what, .. } = &error {
        return Ok(format!("{row}: {what}"));
    }
    if matches!(error, StoreError::Corrupt { .. }) { Ok(error.to_string()) } else { Err(error) }
}

impl Reader {
    /// The thorough check; takes a second or so per million rows.
    pub fn check(&self) -> Result<Checked, StoreError> {
        let checked = self.checked();
        let seems = match &checked {
            Ok(checked) => checked.integrity.first().map(|line| malformed(line)),
            Err(error) => Some(error.clone()),
        };
        match seems.map(|error| judged(error, &self.path, Duration::MAX)) {
            Some(found) if checked.is_err() || !matches!(found, StoreError::Corrupt { .. }) => Err(found),
            // What was found is there at a second look, too.
            _ => checked,
        }
    }

    fn checked(&self) -> Result<Checked, StoreError> {
        let mut checked = self.run(|c| {
            let integrity = pragma(c, "integrity_check")?;
            if !integrity.is_empty() {
                // What stands on broken pages says nothing.
                return Ok(Checked { integrity, ..Checked::default() });
            }
            Ok(Checked {
                integrity,
                foreign_keys: foreign_keys(c)?,
                chain: chain::verify(c)?,
                events: references::broken(c)?,
                polls: readings(c)?,
                rows: Vec::new(),
            })
        })?;
        if checked.integrity.is_empty() {
            checked.rows = self.unread()?;
        }
        Ok(checked)
    }

    /// What a start of the agent reads, and what waits to be sent.
    fn unread(&self) -> Result<Vec<String>, StoreError> {
        let sources = self.sources()?;
        let mut read: Vec<_> = sources.iter().map(|source| self.load_source(source).map(drop)).collect();
        read.push(self.load_alerts(None).map(drop));
        read.push(self.channel_health().map(drop));
        read.push(self.outbox(&OutboxFilter::default()).map(drop));
        read.into_iter().filter_map(Result::err).map(fault).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_the_disk_is_none_about_what_stands_on_it() {
        let check = |line: &str, of_the_disk: bool| assert_eq!(is_of_the_disk(line), of_the_disk, "{line}");
        check("Tree 5 page 7: unable to get the page. error code=8458", true);
        check("Tree 5 page 7: unable to get the page. error code=266", true);
        check("Tree 5 page 7: unable to get the page. error code=11", false);
        check("Freelist: failed to get page 12", true);
        check("Tree 5 page 7: btreeInitPage() returns error code 11", false);
        check("Page 12: never used", false);
        check("ok", false);
    }

    /// A sector that is bad for good: its line comes, and then an error that means damage elsewhere.
    #[test]
    fn a_page_that_cannot_be_read_comes_before_what_follows_from_it() {
        let malformed = || rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(11), None);
        let unread = "Tree 5 page 7: unable to get the page. error code=8458";
        let check = |rows: Vec<rusqlite::Result<String>>, expect: &str| {
            let found = findings(rows.into_iter());
            assert_eq!(found.map_or_else(|error| format!("{error:?}"), |lines| lines.join(";")), expect);
        };
        let io = format!("Io {{ path: \"\", detail: \"disk I/O error: {unread}\" }}");
        check(vec![Ok(unread.to_owned()), Err(malformed())], &io);
        check(
            vec![Ok(format!("*** in database main ***\n{unread}")), Ok("Page 9: never used".to_owned())],
            &io,
        );
        check(vec![Ok("Page 9: never used".to_owned())], "Page 9: never used");
        check(vec![Ok("ok".to_owned())], "");
        check(
            vec![Ok("Page 9: never used".to_owned()), Err(malformed())],
            "Malformed { path: \"\", detail: \"Error code 11: database disk image is malformed\" }",
        );
    }
}
