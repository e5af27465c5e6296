//! Whether events, episodes and polls still tell one story: each names the others, and the events are chained.
//!
//! Neighbours: `check` asks, `episodes` keeps in step what is compared here, `chain` vouches for the events. A part of its
//! own because a row that is gone, or says something else, reads as well as any other.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::episodes;
use super::error::StoreError;
use super::source;
use crate::engine::event::{Event, EventKind, SubjectKind};
use crate::engine::time::{Span, Time};

/// Faults told at most.
const MOST: usize = 20;
/// Where polls were pruned, those of the last day before the first one may be gone or not: clocks are set, too.
const BLURRED: Span = Span::from_days(1);

/// What does not fit, at most [`MOST`] lines; empty is good.
pub(super) fn broken(c: &Connection) -> Result<Vec<String>, StoreError> {
    let mut faults = lost_events(c)?;
    faults.extend(forged_conclusions(c)?);
    let mut first_polls = BTreeMap::new();
    let mut query = c.prepare("SELECT id, event FROM event WHERE kind IN ('fired', 'ended') ORDER BY no")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        if faults.len() >= MOST {
            break;
        }
        let (id, json): (String, String) = (row.get(0)?, row.get(1)?);
        // One that does not read was changed, and the chain tells.
        let Ok(event) = serde_json::from_str::<Event>(&json) else { continue };
        let of = &event.episode;
        match episodes::find(c, of)? {
            None => faults.push(format!("event {id} is of {of}, which is not there")),
            Some(episode) => {
                let what = episodes::differs(&episode, &event);
                faults.extend(
                    what.map(|what| format!("{of}: its {what} is not the one that event {id} tells")),
                );
            }
        }
        if event.kind == EventKind::Fired {
            faults.extend(lost_grounds(c, &event, &mut first_polls)?);
        }
    }
    faults.truncate(MOST);
    Ok(faults)
}

/// Open episodes of which nothing says that they fired.
fn lost_events(c: &Connection) -> Result<Vec<String>, StoreError> {
    let query = format!(
        "SELECT id FROM episode e WHERE ended_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM event v WHERE v.episode = e.id AND v.kind = 'fired') LIMIT {MOST}"
    );
    let mut query = c.prepare(&query)?;
    let fault =
        |row: &rusqlite::Row<'_>| Ok(format!("{} has no event that it fired", row.get::<_, String>(0)?));
    Ok(query.query_map([], fault)?.collect::<Result<_, _>>()?)
}

/// Episodes of which something is concluded that no operator's act says; where acts were pruned, only those that fired since.
fn forged_conclusions(c: &Connection) -> Result<Vec<String>, StoreError> {
    let query = format!(
        "SELECT id FROM episode e WHERE (finding IS NOT NULL OR note IS NOT NULL)
         AND (NOT EXISTS (SELECT 1 FROM anchor WHERE chain = 'act') OR fired_at >= (SELECT min(at) FROM act))
         AND NOT (EXISTS (SELECT 1 FROM act WHERE episode = e.id AND act ->> 'finding' IS e.finding)
             AND EXISTS (SELECT 1 FROM act WHERE episode = e.id AND act ->> 'note' IS e.note)) LIMIT {MOST}"
    );
    let mut query = c.prepare(&query)?;
    let fault = |row: &rusqlite::Row<'_>| {
        Ok(format!("{}: no operator's act has its finding and its note", row.get::<_, String>(0)?))
    };
    Ok(query.query_map([], fault)?.collect::<Result<_, _>>()?)
}

/// From when on a source's polls must be there.
fn first_poll(c: &Connection, source: i64) -> Result<Option<Time>, StoreError> {
    let query = "SELECT seq, at FROM poll WHERE source = ?1 ORDER BY seq LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, Time::from_millis(row.get(1)?)));
    let first = c.query_row(query, [source], read).optional()?;
    Ok(first.map(|(seq, at)| if seq > 1 { at + BLURRED } else { at }))
}

/// The poll at which it fired, and the answers that the breach rests on.
fn lost_grounds(
    c: &Connection,
    event: &Event,
    first_polls: &mut BTreeMap<i64, Option<Time>>,
) -> Result<Option<String>, StoreError> {
    let Some(source) = event.source.as_deref().filter(|_| !event.rule.starts_with("agent/")) else {
        return Ok(None);
    };
    let Some(source) = source::find(c, source)? else { return Ok(None) };
    let first = match first_polls.get(&source.id) {
        Some(first) => *first,
        None => *first_polls.entry(source.id).or_insert(first_poll(c, source.id)?),
    };
    // Where nobody was to be told at first, it is told later than it fired.
    let fired = event.fired_at.unwrap_or(event.at);
    if first.is_none_or(|first| fired < first) {
        return Ok(None);
    }
    // Where the clock was set back, two polls may have one instant.
    let query = "SELECT max(EXISTS (SELECT 1 FROM basis b WHERE b.source = p.source AND b.seq = p.seq)
        OR EXISTS (SELECT 1 FROM evidence e WHERE e.source = p.source AND e.seq = p.seq))
        FROM poll p WHERE source = ?1 AND at = ?2";
    let mut query = c.prepare_cached(query)?;
    let kept: Option<bool> = query.query_row(params![source.id, fired.millis()], |row| row.get(0))?;
    let rests = event.subject.kind == SubjectKind::User && !event.request_ids.is_empty();
    Ok(match kept {
        None => Some(format!("the poll at which event {} fired is not there", event.id)),
        Some(false) if rests => Some(format!("the answers on which event {} fired are not there", event.id)),
        Some(_) => None,
    })
}
