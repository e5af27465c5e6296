//! Moves: what polls changed of users' alerts without an event, a row a poll, until the alerts are written whole.
//!
//! Neighbours: `alerts` lays them over its rows, `evidence` holds the answers they rest on, `judge` says when an alert is
//! written whole. A part of its own because alerts under way move at each poll, and most come and go without anything
//! to tell: a few bytes among their kind cost a hundredth of a row.

use std::collections::BTreeMap;

use arcstr::ArcStr;
use rusqlite::{Connection, params};

use super::codec::{self, Cursor, Malformed};
use super::error::StoreError;
use super::{answers, evidence, source};
use crate::engine::alert::{Move, MovedAt, RuleMoves, Turn, is_blank};
use crate::engine::event::{Subject, SubjectKind};
use crate::engine::outcome::{Alert, AlertKey, PollRow, WRITTEN_WITHIN};
use crate::engine::reading::{Kind, Reading};
use crate::engine::time::{Span, Time};

/// What a move holds, in the lowest bits of the distance of its slot from the slot after the one before.
const READING: u64 = 1;
/// The value is not what the reading counts.
const VALUE: u64 = 2;
const MARKS: u64 = 4;
const TIMES: u64 = 8;
/// The alert begins or is gone, as a number says.
const TURN: u64 = 16;
const FLAGS: u32 = 5;

/// The moves of a poll; those of all polls whose alerts have been written whole since go.
pub(super) fn insert(c: &Connection, source: i64, row: &PollRow) -> Result<(), StoreError> {
    let seq = row.poll.seq;
    let over = seq.saturating_sub(WRITTEN_WITHIN).cast_signed();
    c.prepare_cached("DELETE FROM move WHERE source = ?1 AND seq <= ?2")?.execute(params![source, over])?;
    if !row.moves.is_empty() {
        let insert = "INSERT INTO move (source, seq, at, moves) VALUES (?1, ?2, ?3, ?4)";
        let mut packed = head(row.memory.clock);
        row.moves.iter().for_each(|rule| pack(&mut packed, rule));
        c.prepare_cached(insert)?.execute(params![
            source,
            seq.cast_signed(),
            row.poll.at.millis(),
            packed
        ])?;
    }
    Ok(())
}

/// The row of a user's alert was taken away: what polls up to now changed of it no longer counts.
pub(super) fn forget(c: &Connection, key: &AlertKey) -> Result<(), StoreError> {
    let Some(source) = key.source.as_deref().filter(|_| key.subject.kind == SubjectKind::User) else {
        return Ok(());
    };
    let Some(row) = source::find(c, source)? else { return Ok(()) };
    let Some(slot) = source::slot(c, row.id, &key.subject.name)? else { return Ok(()) };
    let mut gone = Vec::new();
    let (rule, version) = (key.rule.clone(), ArcStr::default());
    pack(&mut gone, &RuleMoves { rule, version, moves: vec![Move::gone(slot)] });
    let mut alone = head(Span::ZERO);
    alone.extend_from_slice(&gone);
    let append = "INSERT INTO move (source, seq, at, moves) VALUES (?1, ?2, 0, ?3)
                  ON CONFLICT (source, seq) DO UPDATE SET moves = CAST(moves || ?4 AS BLOB)";
    let values = params![row.id, row.last_seq.cast_signed(), alone, gone];
    c.prepare_cached(append)?.execute(values)?;
    Ok(())
}

/// What all moves of a poll share: its clock.
fn head(clock: Span) -> Vec<u8> {
    let mut out = Vec::new();
    codec::put_signed(&mut out, clock.millis());
    out
}

fn pack(out: &mut Vec<u8>, rule: &RuleMoves) {
    for text in [&rule.rule, &rule.version] {
        codec::put(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
    codec::put(out, rule.moves.len() as u64);
    let mut next = 0;
    for one in &rule.moves {
        put(out, one, next);
        next = one.slot.saturating_add(1);
    }
}

fn put(out: &mut Vec<u8>, one: &Move, next: u32) {
    let own_value = one.now != one.reading.and_then(Reading::count);
    let marked = one.marks | one.clear_marks != 0;
    let timed = one.held_anew || one.blind != Span::ZERO;
    let turns = one.turn != Turn::GoesOn;
    let flags = [
        (one.reading.is_some(), READING),
        (own_value, VALUE),
        (marked, MARKS),
        (timed, TIMES),
        (turns, TURN),
    ];
    let flags = flags.iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum::<u64>();
    codec::put(out, u64::from(one.slot.saturating_sub(next)) << FLAGS | flags);
    if turns {
        codec::put(out, u64::from(one.turn == Turn::Gone));
    }
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
        codec::put(out, u64::from(one.held_anew));
        codec::put_signed(out, one.blind.millis());
    }
}

fn read(cursor: &mut Cursor<'_>, next: u32) -> Result<Move, Malformed> {
    let head = cursor.number()?;
    let has = |flag| head & flag != 0;
    let slot = u32::try_from(head >> FLAGS).ok().and_then(|gap| next.checked_add(gap)).ok_or(Malformed)?;
    let mut one = Move { turn: Turn::GoesOn, ..Move::gone(slot) };
    if has(TURN) {
        one.turn = if cursor.number()? == 0 { Turn::Begins } else { Turn::Gone };
    }
    if has(READING) {
        one.reading = Some(match cursor.number()? {
            0 => Reading::ABSENT,
            1 => Reading::FAILED,
            2 => Reading::NOT_POLLED,
            n => Reading::online(u32::try_from(n - 3).map_err(|_| Malformed)?),
        });
    }
    one.now = match has(VALUE) {
        false => one.reading.and_then(Reading::count),
        true => match cursor.number()? {
            0 => None,
            n => Some(u32::try_from(n - 1).map_err(|_| Malformed)?),
        },
    };
    if has(MARKS) {
        (one.marks, one.clear_marks) = (cursor.number()?, cursor.number()?);
    }
    if has(TIMES) {
        one.held_anew = cursor.number()? != 0;
        one.blind = Span::from_millis(cursor.signed()?);
    }
    Ok(one)
}

/// Calls `each` for every move, with the poll's clock, its rule and that one's version.
fn each<E: From<Malformed>>(
    packed: &[u8],
    mut each: impl FnMut(Span, &str, &str, &Move) -> Result<(), E>,
) -> Result<(), E> {
    let mut cursor = Cursor(packed);
    let clock = Span::from_millis(cursor.signed()?);
    while !cursor.is_empty() {
        let mut text = || {
            let length = cursor.small()? as usize;
            std::str::from_utf8(cursor.bytes(length)?).map_err(|_| Malformed)
        };
        let (rule, version) = (text()?, text()?);
        let mut next = 0;
        for _ in 0..cursor.small()? {
            let one = read(&mut cursor, next)?;
            next = one.slot.checked_add(1).ok_or(Malformed)?;
            each(clock, rule, version, &one)?;
        }
    }
    Ok(())
}

/// An alert as its row has it, and the last poll of its source before that was written; 0 without a row.
pub(super) struct Written {
    pub(super) key: AlertKey,
    pub(super) alert: Alert,
    pub(super) seq: u64,
}

/// Brings the alerts of users to what the last poll made of them; `whole` also finds those that have no row yet.
pub(super) fn lay(
    c: &Connection,
    source: Option<&str>,
    whole: bool,
    rows: Vec<Written>,
) -> Result<Vec<Written>, StoreError> {
    let mut query = c.prepare_cached(
        "SELECT m.seq, m.at, m.moves, b.answers, s.name, s.id FROM move m JOIN source s ON s.id = m.source
         LEFT JOIN basis b ON b.source = m.source AND b.seq = m.seq
         WHERE s.name = ?1 OR ?1 IS NULL ORDER BY m.source, m.seq",
    )?;
    let mut polls = query.query([source])?;
    let mut laid = Laid { rows, whole, source: None, places: BTreeMap::new() };
    while let Some(poll) = polls.next()? {
        let (name, id): (String, i64) = (poll.get(4)?, poll.get(5)?);
        laid.enter(c, name, id)?;
        let (number, at): (i64, Time) = (poll.get(0)?, Time::from_millis(poll.get(1)?));
        let packed = |at: usize| -> Result<&[u8], rusqlite::Error> {
            Ok(poll.get_ref(at)?.as_blob_or_null()?.unwrap_or_default())
        };
        let answers = answers::all(packed(3)?, at).map_err(|_| evidence::broken(number))?;
        let seq = number.cast_unsigned();
        let moved = each(packed(2)?, |clock, rule, version, one| {
            let batch = answers.binary_search_by_key(&one.slot, |(slot, _)| *slot).ok();
            let batch = batch.map(|nth| &answers[nth].1);
            laid.take(c, rule, one, &MovedAt { seq, at, clock, version, batch }).map_err(Broken::Store)
        });
        moved.map_err(|error| match error {
            Broken::Row => {
                StoreError::unreadable(format!("the alerts that moved at poll {number}"), "no list of moves")
            }
            Broken::Store(error) => error,
        })?;
    }
    laid.rows.retain(|row| !is_blank(&row.alert));
    Ok(laid.rows)
}

enum Broken {
    Row,
    Store(StoreError),
}

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Self {
        Self::Row
    }
}

/// Alerts while moves are laid over them, one source after the other.
struct Laid {
    rows: Vec<Written>,
    whole: bool,
    source: Option<(String, i64)>,
    /// By rule and slot of the source, the places of their rows.
    places: BTreeMap<ArcStr, BTreeMap<u32, usize>>,
}

impl Laid {
    fn enter(&mut self, c: &Connection, name: String, id: i64) -> Result<(), StoreError> {
        if self.source.as_ref().is_some_and(|(_, known)| *known == id) {
            return Ok(());
        }
        self.places.clear();
        for (at, Written { key, .. }) in self.rows.iter().enumerate() {
            let here = key.source.as_deref() == Some(name.as_str()) && key.subject.kind == SubjectKind::User;
            if here && let Some(slot) = source::slot(c, id, &key.subject.name)? {
                self.places.entry(key.rule.clone()).or_default().insert(slot, at);
            }
        }
        self.source = Some((name, id));
        Ok(())
    }

    fn take(&mut self, c: &Connection, rule: &str, one: &Move, poll: &MovedAt<'_>) -> Result<(), StoreError> {
        let place = self.places.get(rule).and_then(|slots| slots.get(&one.slot)).copied();
        match place.map(|at| &mut self.rows[at]) {
            Some(row) if row.seq < poll.seq => one.apply(&mut row.alert, poll),
            None if self.whole && one.turn == Turn::Begins => {
                let Some((source, id)) = &self.source else { return Ok(()) };
                let subject = Subject { kind: SubjectKind::User, name: source::name(c, *id, one.slot)? };
                let key = AlertKey { rule: rule.into(), source: Some(source.as_str().into()), subject };
                let mut alert = Alert::default();
                one.apply(&mut alert, poll);
                self.places.entry(rule.into()).or_default().insert(one.slot, self.rows.len());
                self.rows.push(Written { key, alert, seq: 0 });
            }
            Some(_) | None => {}
        }
        Ok(())
    }
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
        let turn = prop_oneof![8 => Just(Turn::GoesOn), 1 => Just(Turn::Begins), 1 => Just(Turn::Gone)];
        (values, marks(), marks(), any::<bool>(), millis(), turn).prop_map(
            |((reading, now, counts), marks, clear_marks, held_anew, blind, turn)| Move {
                slot: 0,
                turn,
                now: if counts { reading.and_then(Reading::count) } else { now },
                reading,
                marks,
                clear_marks,
                held_anew,
                blind: Span::from_millis(blind),
            },
        )
    }

    proptest! {
        #[test]
        fn moves_come_back(
            rules in prop::collection::btree_map(".{0,9}", prop::collection::btree_map(0_u32..1 << 24, one(), 1..9), 0..4),
            clock in -9_i64..99_999,
        ) {
            let with_slot = |(slot, one): (&u32, &Move)| Move { slot: *slot, ..*one };
            let (clock, version) = (Span::from_secs(clock), "v".to_owned());
            let mut packed = head(clock);
            let (mut all, mut back) = (Vec::new(), Vec::new());
            for (rule, moves) in rules {
                let moves: Vec<Move> = moves.iter().map(with_slot).collect();
                all.extend(moves.iter().map(|one| (clock, rule.clone(), version.clone(), *one)));
                pack(&mut packed, &RuleMoves { rule: rule.into(), version: version.as_str().into(), moves });
            }
            let read = each(&packed, |clock, rule, version, one| -> Result<(), Malformed> {
                back.push((clock, rule.to_owned(), version.to_owned(), *one));
                Ok(())
            });
            prop_assert_eq!((read, back), (Ok(()), all));
        }

        #[test]
        fn garbage_is_refused_or_short(bytes in prop::collection::vec(any::<u8>(), 0..6)) {
            let _ = each(&bytes, |_, _, _, _| -> Result<(), Malformed> { Ok(()) });
        }
    }

    #[test]
    fn a_usual_move_is_two_bytes() {
        let (now, reading) = (Some(4), Some(Reading::online(4)));
        let one = Move { turn: Turn::GoesOn, now, reading, ..Move::gone(0) };
        let moves = (0..100).map(|n| Move { slot: n * 4, ..one }).collect();
        let mut packed = Vec::new();
        pack(&mut packed, &RuleMoves { rule: "r".into(), version: "v".into(), moves });
        assert_eq!(packed.len(), 205);
    }
}
