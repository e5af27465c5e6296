//! Moves: what polls changed of alerts that went on, a row a poll, until the alerts are written whole.
//!
//! Neighbours: `alerts` lays them over its rows, `evidence` holds the answers they rest on, `judge` says when an alert is
//! written whole. A part of its own because an alert under way moves at each poll, and a few bytes among thousands of its
//! kind cost a hundredth of a row.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::codec::{self, Cursor, Malformed};
use super::error::StoreError;
use super::{answers, evidence, source};
use crate::engine::alert::Move;
use crate::engine::event::SubjectKind;
use crate::engine::outcome::{Alert, AlertKey, PollRow, WRITTEN_WITHIN};
use crate::engine::reading::{Kind, Reading};
use crate::engine::time::{Span, Time};

/// What a move holds, in the lowest bits of the distance of its slot from the slot after the one before.
const READING: u64 = 1;
/// The value is not what the reading counts.
const VALUE: u64 = 2;
const MARKS: u64 = 4;
const TIMES: u64 = 8;

/// The moves of a poll; those of all polls whose alerts have been written whole since go.
pub(super) fn insert(c: &Connection, source: i64, row: &PollRow) -> Result<(), StoreError> {
    let seq = row.poll.seq;
    let over = seq.saturating_sub(WRITTEN_WITHIN).cast_signed();
    c.prepare_cached("DELETE FROM move WHERE source = ?1 AND seq <= ?2")?.execute(params![source, over])?;
    if !row.moves.is_empty() {
        let insert = "INSERT INTO move (source, seq, at, moves) VALUES (?1, ?2, ?3, ?4)";
        let values = params![source, seq.cast_signed(), row.poll.at.millis(), packed(&row.moves)];
        c.prepare_cached(insert)?.execute(values)?;
    }
    Ok(())
}

fn packed(rules: &[(String, Vec<Move>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (rule, moves) in rules {
        codec::put(&mut out, rule.len() as u64);
        out.extend_from_slice(rule.as_bytes());
        codec::put(&mut out, moves.len() as u64);
        let mut next = 0;
        for one in moves {
            put(&mut out, one, next);
            next = one.slot.saturating_add(1);
        }
    }
    out
}

fn put(out: &mut Vec<u8>, one: &Move, next: u32) {
    let own_value = one.now != one.reading.and_then(Reading::count);
    let (marked, timed) =
        (one.marks | one.clear_marks != 0, one.held_anew.is_some() || one.blind != Span::ZERO);
    let flags = [(one.reading.is_some(), READING), (own_value, VALUE), (marked, MARKS), (timed, TIMES)];
    let flags = flags.iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum::<u64>();
    codec::put(out, u64::from(one.slot.saturating_sub(next)) << 4 | flags);
    match one.reading.map(Reading::kind) {
        None => {}
        Some(Kind::Absent) => codec::put(out, 0),
        Some(Kind::Failed) => codec::put(out, 1),
        Some(Kind::NotPolled) => codec::put(out, 2),
        Some(Kind::Online(count)) => codec::put(out, 3 + u64::from(count)),
    }
    if own_value {
        codec::put(out, one.now.map_or(0, |now| 1 + u64::from(now)));
    }
    if marked {
        codec::put(out, one.marks);
        codec::put(out, one.clear_marks);
    }
    if timed {
        codec::put(out, one.held_anew.map_or(0, |clock| 1 + clock.millis().cast_unsigned()));
        codec::put_signed(out, one.blind.millis());
    }
}

fn read(cursor: &mut Cursor<'_>, next: u32) -> Result<Move, Malformed> {
    let head = cursor.number()?;
    let has = |flag| head & flag != 0;
    let slot = u32::try_from(head >> 4).ok().and_then(|gap| next.checked_add(gap)).ok_or(Malformed)?;
    let reading = match has(READING) {
        false => None,
        true => Some(match cursor.number()? {
            0 => Reading::ABSENT,
            1 => Reading::FAILED,
            2 => Reading::NOT_POLLED,
            n => Reading::online(u32::try_from(n - 3).map_err(|_| Malformed)?),
        }),
    };
    let now = match has(VALUE) {
        false => reading.and_then(Reading::count),
        true => match cursor.number()? {
            0 => None,
            n => Some(u32::try_from(n - 1).map_err(|_| Malformed)?),
        },
    };
    let (marks, clear_marks) = if has(MARKS) { (cursor.number()?, cursor.number()?) } else { (0, 0) };
    let mut one = Move { slot, now, reading, marks, clear_marks, held_anew: None, blind: Span::ZERO };
    if has(TIMES) {
        one.held_anew = cursor.number()?.checked_sub(1).map(|clock| Span::from_millis(clock.cast_signed()));
        one.blind = Span::from_millis(cursor.signed()?);
    }
    Ok(one)
}

/// Calls `each` for every move, with its rule.
fn each(packed: &[u8], mut each: impl FnMut(&str, &Move)) -> Result<(), Malformed> {
    let mut cursor = Cursor(packed);
    while !cursor.is_empty() {
        let length = cursor.small()? as usize;
        let rule = std::str::from_utf8(cursor.bytes(length)?).map_err(|_| Malformed)?;
        let mut next = 0;
        for _ in 0..cursor.small()? {
            let one = read(&mut cursor, next)?;
            next = one.slot.checked_add(1).ok_or(Malformed)?;
            each(rule, &one);
        }
    }
    Ok(())
}

/// An alert's row as it was written, and the last poll of its source before that.
pub(super) struct Written {
    pub(super) key: AlertKey,
    pub(super) alert: Alert,
    pub(super) seq: u64,
}

/// Brings alerts to what the last poll made of them.
pub(super) fn go_on(c: &Connection, rows: &mut [Written]) -> Result<(), StoreError> {
    let of_user = |row: &&Written| row.key.subject.kind == SubjectKind::User;
    let sources: BTreeSet<String> =
        rows.iter().filter(of_user).filter_map(|row| row.key.source.clone()).collect();
    for name in sources {
        if let Some(row) = source::find(c, &name)? {
            go_on_in(c, row.id, &name, rows)?;
        }
    }
    Ok(())
}

fn go_on_in(c: &Connection, source: i64, name: &str, rows: &mut [Written]) -> Result<(), StoreError> {
    let mut query = c.prepare_cached(
        "SELECT m.seq, m.at, m.moves, b.answers FROM move m LEFT JOIN basis b ON b.source = m.source AND b.seq = m.seq
         WHERE m.source = ?1 ORDER BY m.seq",
    )?;
    let mut polls = query.query([source])?;
    // By rule and slot, the places of their rows; made when there is a first move.
    let mut places: Option<BTreeMap<String, BTreeMap<u32, usize>>> = None;
    while let Some(poll) = polls.next()? {
        let places = match &mut places {
            Some(places) => places,
            None => places.insert(places_of(c, source, name, rows)?),
        };
        let (number, at): (i64, Time) = (poll.get(0)?, Time::from_millis(poll.get(1)?));
        let packed = |at: usize| -> Result<&[u8], rusqlite::Error> {
            Ok(poll.get_ref(at)?.as_blob_or_null()?.unwrap_or_default())
        };
        let answers = answers::all(packed(3)?, at).map_err(|_| evidence::broken(number))?;
        let seq = number.cast_unsigned();
        let moved = each(packed(2)?, |rule, one| {
            let Some(row) = places.get(rule).and_then(|slots| slots.get(&one.slot)).map(|at| &mut rows[*at])
            else {
                return;
            };
            if row.seq < seq {
                let batch = answers.binary_search_by_key(&one.slot, |(slot, _)| *slot).ok();
                one.apply(&mut row.alert, seq, at, batch.map(|nth| &answers[nth].1));
            }
        });
        moved.map_err(|_| {
            StoreError::unreadable(format!("the alerts that moved at poll {number}"), "no list of moves")
        })?;
    }
    Ok(())
}

fn places_of(
    c: &Connection,
    source: i64,
    name: &str,
    rows: &[Written],
) -> Result<BTreeMap<String, BTreeMap<u32, usize>>, StoreError> {
    let mut places: BTreeMap<String, BTreeMap<u32, usize>> = BTreeMap::new();
    for (at, Written { key, .. }) in rows.iter().enumerate() {
        let here = key.source.as_deref() == Some(name) && key.subject.kind == SubjectKind::User;
        if here && let Some(slot) = source::slot(c, source, &key.subject.name)? {
            if let Some(slots) = places.get_mut(&key.rule) {
                slots.insert(slot, at);
            } else {
                places.insert(key.rule.clone(), BTreeMap::from([(slot, at)]));
            }
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one() -> impl Strategy<Value = Move> {
        let reading = prop_oneof![
            4 => any::<u32>().prop_map(Reading::online),
            1 => Just(Reading::ABSENT),
            1 => Just(Reading::FAILED),
            1 => Just(Reading::NOT_POLLED),
        ];
        let millis = || prop_oneof![Just(0_i64), 0..i64::MAX - 1];
        let marks = || prop_oneof![Just(0), any::<u64>()];
        let values = (prop::option::of(reading), prop::option::of(any::<u32>()), any::<bool>());
        (values, marks(), marks(), prop::option::of(millis()), millis()).prop_map(
            |((reading, now, counts), marks, clear_marks, held_anew, blind)| Move {
                slot: 0,
                now: if counts { reading.and_then(Reading::count) } else { now },
                reading,
                marks,
                clear_marks,
                held_anew: held_anew.map(Span::from_millis),
                blind: Span::from_millis(blind),
            },
        )
    }

    proptest! {
        #[test]
        fn moves_come_back(
            rules in prop::collection::btree_map(".{0,9}", prop::collection::btree_map(0_u32..1 << 24, one(), 1..9), 0..4),
        ) {
            let with_slot = |(slot, one): (&u32, &Move)| Move { slot: *slot, ..*one };
            let rules: Vec<(String, Vec<Move>)> =
                rules.iter().map(|(rule, moves)| (rule.clone(), moves.iter().map(with_slot).collect())).collect();
            let mut back: Vec<(String, Move)> = Vec::new();
            each(&packed(&rules), |rule, one| back.push((rule.to_owned(), *one))).unwrap();
            let all = rules.into_iter().flat_map(|(rule, moves)| moves.into_iter().map(move |one| (rule.clone(), one)));
            prop_assert_eq!(back, all.collect::<Vec<_>>());
        }

        #[test]
        fn garbage_is_refused_or_short(bytes in prop::collection::vec(any::<u8>(), 0..6)) {
            let _ = each(&bytes, |_, _| ());
        }
    }

    #[test]
    fn a_usual_move_is_two_bytes() {
        let count = Reading::online(4);
        let one = Move {
            slot: 0,
            now: Some(4),
            reading: Some(count),
            marks: 0,
            clear_marks: 0,
            held_anew: None,
            blind: Span::ZERO,
        };
        let moves = (0..100).map(|n| Move { slot: n * 8, ..one }).collect();
        assert_eq!(packed(&[("r".to_owned(), moves)]).len(), 203);
    }
}
