//! Which polls a time of the wall clock needs: those in it, and as many before as may still hold in it.
//!
//! Neighbours: the agent reads the polls of past hours by it, `polls` has the rows. A part of its own because instants
//! need not rise with the numbers of polls: where the clock was set, one time may lie in several stretches.

use std::ops::{Range, RangeInclusive};

use rusqlite::{Connection, OptionalExtension, params};

use super::error::StoreError;
use super::{Reader, polls, source};
use crate::engine::reading::PollOutcome;
use crate::engine::time::{Span, Time};

/// The first poll whose reading may still hold at poll `seq`: no more than `reach` before it.
fn reaching(c: &Connection, source: &source::Row, seq: u64, reach: Span) -> Result<u64, StoreError> {
    let query =
        "SELECT seq, elapsed FROM poll WHERE source = ?1 AND seq <= ?2 AND seq > ?3 ORDER BY seq DESC";
    let mut query = c.prepare_cached(query)?;
    let mut rows = query.query(params![source.id, seq.cast_signed(), source.first_seq.cast_signed()])?;
    let (mut first, mut passed) = (seq, Span::ZERO);
    while let Some(row) = rows.next()? {
        passed = passed + Span::from_millis(row.get(1)?);
        if passed > reach {
            break;
        }
        first = row.get::<_, i64>(0)?.cast_unsigned() - 1;
    }
    Ok(first)
}

fn stretches(
    c: &Connection,
    name: &str,
    time: &Range<Time>,
    reach: Span,
    last: u64,
) -> Result<Vec<RangeInclusive<u64>>, StoreError> {
    let source = source::expect(c, name)?;
    let query = "SELECT seq FROM poll WHERE source = ?1 AND at >= ?2 AND at < ?3 AND seq BETWEEN ?4 AND ?5 ORDER BY seq";
    let (from, until) = ((time.start - reach).millis(), time.end.millis());
    let bounds = params![source.id, from, until, source.first_seq.cast_signed(), last.cast_signed()];
    let mut found: Vec<RangeInclusive<u64>> = Vec::new();
    let seqs =
        c.prepare_cached(query)?.query_map(bounds, |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    for seq in seqs.into_iter().map(i64::cast_unsigned) {
        let end = (seq + 1).min(last);
        // What goes on from, or reaches back into, the stretch before is part of it.
        match found.last_mut() {
            Some(before) if seq <= *before.end() => *before = *before.start()..=end,
            Some(before) => match reaching(c, &source, seq, reach)? {
                first if first <= *before.end() => *before = *before.start()..=end,
                first => found.push(first..=end),
            },
            None => found.push(reaching(c, &source, seq, reach)?..=end),
        }
    }
    Ok(found)
}

impl Reader {
    /// The instant of the last usable poll of a source; None if there is none.
    pub fn last_usable(&self, source: &str) -> Result<Option<Time>, StoreError> {
        self.last(source, Some(PollOutcome::Failed))
    }

    /// The instant of the last poll of a source, whatever came of it; None if it was never polled.
    pub fn last_polled(&self, source: &str) -> Result<Option<Time>, StoreError> {
        self.last(source, None)
    }

    fn last(&self, source: &str, but: Option<PollOutcome>) -> Result<Option<Time>, StoreError> {
        self.run(|c| {
            let Some(source) = source::find(c, source)? else { return Ok(None) };
            let query =
                "SELECT at FROM poll WHERE source = ?1 AND outcome IS NOT ?2 ORDER BY seq DESC LIMIT 1";
            let values = params![source.id, but.map(polls::number)];
            let at = c.prepare_cached(query)?.query_row(values, |row| row.get(0)).optional()?;
            Ok(at.map(Time::from_millis))
        })
    }

    /// Instants of the usable polls of a source with `from <= at < until`, ascending; none if it was never polled.
    pub fn usable(&self, source: &str, from: Time, until: Time) -> Result<Vec<Time>, StoreError> {
        self.run(|c| {
            let source = match source::expect(c, source) {
                Ok(source) => source,
                Err(StoreError::NotFound { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            let query = "SELECT at FROM poll WHERE source = ?1 AND at >= ?2 AND at < ?3 AND outcome != ?4 ORDER BY at";
            let failed = polls::number(PollOutcome::Failed);
            let values = params![source.id, from.millis(), until.millis(), failed];
            let times = c.prepare_cached(query)?.query_map(values, |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
            Ok(times.into_iter().map(Time::from_millis).collect())
        })
    }

    /// Numbers of the polls up to `last` with an instant in `time` or no more than `reach` before it, in stretches
    /// without gaps; each begins with what may still hold at its first poll, and ends with the poll after its last.
    pub fn stretches(
        &self,
        source: &str,
        time: &Range<Time>,
        reach: Span,
        last: u64,
    ) -> Result<Vec<RangeInclusive<u64>>, StoreError> {
        self.run(|c| stretches(c, source, time, reach, last))
    }
}
