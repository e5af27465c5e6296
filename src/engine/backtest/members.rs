//! Who was a member at each poll of the past: whom it asked about, and who was on the roster in force at it.
//!
//! Neighbours: `Playback` asks before each poll and lays the rules out anew where it changed. A part of its own because
//! the rules file of today knows neither who has come since nor who had left meanwhile, and both would change the past.

use std::ops::Range;

use crate::engine::past::Column;
use crate::engine::reading::Kind;
use crate::engine::roster::Listed;
use crate::engine::time::Time;

/// When names were refused: whoever was a member is one still, although nobody asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Refused {
    /// While any name of the source was; the first is long over in most.
    pub times: Vec<Range<Time>>,
    /// Names that are refused since a time before the past ends, by slot: some were never asked about with success.
    pub slots: Vec<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Members {
    /// By slot, as are all of these.
    member: Vec<bool>,
    asked: Vec<bool>,
    refused: Refused,
    refusing: bool,
    /// The roster is another than at the poll before, or nothing was played yet.
    stale: bool,
}

impl Members {
    pub(super) fn new() -> Self {
        Self { stale: true, ..Self::default() }
    }

    pub(super) fn refused(&mut self, refused: Refused) {
        self.refused = refused;
    }

    /// To be called when another roster is in force from the next poll on.
    pub(super) fn of_another_roster(&mut self) {
        self.stale = true;
    }

    /// The members at the poll of `at`, to which `column` has come; None where they are those of the poll before.
    pub(super) fn turn(
        &mut self,
        at: Time,
        column: &Column,
        roster: Option<&[Listed]>,
        slots: usize,
    ) -> Option<Vec<bool>> {
        self.asked.resize(slots.max(column.len()).max(self.asked.len()), false);
        self.member.resize(self.asked.len(), false);
        for (slot, reading) in column.turned() {
            let asked = reading.kind() != Kind::NotPolled;
            let before = std::mem::replace(&mut self.asked[*slot as usize], asked);
            self.stale |= before != asked;
        }
        let refusing = self.refused.times.iter().any(|time| time.contains(&at));
        self.stale |= std::mem::replace(&mut self.refusing, refusing) != refusing;
        if !std::mem::take(&mut self.stale) {
            return None;
        }
        let listed =
            |slot: usize| roster.and_then(|roster| roster.get(slot)).is_some_and(|on| *on != Listed::No);
        let refused = |slot: usize, before: bool| {
            let is = || u32::try_from(slot).is_ok_and(|slot| self.refused.slots.contains(&slot));
            refusing && roster.is_none() && (before || is())
        };
        let of = |(slot, before): (usize, &bool)| self.asked[slot] || listed(slot) || refused(slot, *before);
        let member: Vec<bool> = self.member.iter().enumerate().map(of).collect();
        self.member.clone_from(&member);
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reading::Reading;

    /// Members at each poll, of two users that each poll asks about (`1`) or not (`~`); names are refused while `refused`.
    #[track_caller]
    fn check(refused: Range<i64>, roster: Option<&[Listed]>, polls: &[&str], expect: &[&str]) {
        let at = |n: i64| Time::from_millis(n);
        let mut members = Members::new();
        members.refused(Refused { times: vec![at(refused.start)..at(refused.end)], slots: vec![1] });
        let (mut column, mut last, mut told) = (Column::new(Vec::new()), Vec::new(), Vec::new());
        for (n, poll) in (0..).zip(polls) {
            let said = |(slot, c): (u32, char)| {
                (slot, if c == '~' { Reading::NOT_POLLED } else { Reading::online(1) })
            };
            let changes: Vec<_> = (0..).zip(poll.chars()).map(said).collect();
            column.turn(&changes, &[]);
            last = members.turn(at(n), &column, roster, 2).unwrap_or(last);
            told.push(last.iter().map(|is| if *is { 'm' } else { '.' }).collect::<String>());
        }
        assert_eq!(told, expect, "{polls:?}");
    }

    #[test]
    fn members_are_those_who_were_asked_about() {
        check(9..9, None, &["1~", "11", "~1", "11", "~~"], &["m.", "mm", ".m", "mm", ".."]);
        // Who is not asked about while names are refused may be one of them.
        check(1..3, None, &["1~", "~~", "~~", "~~"], &["m.", "mm", "mm", ".."]);
        let roster = [Listed::No, Listed::Enabled];
        check(1..3, Some(&roster), &["1~", "~~", "1~"], &["mm", ".m", "mm"]);
    }
}
