//! How many clients each user has as a rule: what a limit must allow, and who stands out among the others.
//!
//! Neighbours: whoever plays the past hands the polls over, `rules suggest` prints what is found. A part of its own
//! because an account that was shared from its first day looks ordinary to itself; only the others show it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::past::Column;
use crate::engine::reading::{Kind, Reading};
use crate::engine::time::Span;

/// Above this, counts are taken for this many.
const MOST: usize = 63;

/// Whoever was online for less than a tenth of two weeks has no habit that is known.
const LEAST_ONLINE: Span = Span::from_mins(14 * 24 * 60 / 10);

/// Time that each slot spent with each count of clients.
#[derive(Clone, Debug, Default)]
pub struct Habits {
    slots: Vec<Slot>,
    /// Sum of `elapsed`, each part no longer than a value holds, in milliseconds.
    clock: i64,
    begun: bool,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    now: Option<usize>,
    since: i64,
    /// By count, in milliseconds.
    time: BTreeMap<usize, i64>,
    read: bool,
}

/// What the readings tell of one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Known {
    /// No reply gave a count.
    #[default]
    Nothing,
    /// There are counts, but hardly any time online: nothing can be said of what is usual.
    TooLittle,
    Usually(Habit),
}

impl Known {
    pub fn habit(self) -> Option<Habit> {
        match self {
            Self::Usually(habit) => Some(habit),
            Self::Nothing | Self::TooLittle => None,
        }
    }
}

/// What one user usually has while online.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Habit {
    /// For half of the time or more, at least that many; the lower median.
    pub usual: u32,
    /// For nineteen twentieths of the time, no more than that.
    pub mostly: u32,
    #[serde(rename = "online_ms")]
    pub online: Span,
}

impl Habits {
    /// Takes the next poll; `elapsed` since the one before. A value holds no longer than `max_gap`.
    pub fn poll(&mut self, column: &Column, elapsed: Span, max_gap: Span) {
        // Longer gaps than a value holds are nobody's time; what lies before them still is.
        self.clock += elapsed.min(max_gap).millis();
        self.slots.resize_with(self.slots.len().max(column.len()), Slot::default);
        if self.begun {
            column.turned().iter().for_each(|(slot, reading)| self.read(*slot, *reading));
        } else {
            // The column may have begun earlier; whoever never turns is known all the same.
            self.begun = true;
            (0..).zip(column.readings().iter()).for_each(|(slot, reading)| self.read(slot, *reading));
        }
    }

    fn read(&mut self, slot: u32, reading: Reading) {
        let Some(slot) = self.slots.get_mut(slot as usize) else { return };
        slot.settle(self.clock);
        slot.now = count(reading);
        slot.read |= slot.now.is_some();
    }

    /// By slot.
    pub fn finish(mut self) -> Vec<Known> {
        let clock = self.clock;
        self.slots.iter_mut().for_each(|slot| slot.settle(clock));
        self.slots.iter().map(Slot::known).collect()
    }
}

fn count(reading: Reading) -> Option<usize> {
    match reading.kind() {
        Kind::Online(count) => Some((count as usize).min(MOST)),
        Kind::Absent | Kind::Failed | Kind::NotPolled => None,
    }
}

impl Slot {
    fn settle(&mut self, clock: i64) {
        if let Some(count) = self.now.filter(|count| *count > 0) {
            *self.time.entry(count).or_default() += clock - self.since;
        }
        self.since = clock;
    }

    fn known(&self) -> Known {
        let whole: i64 = self.time.values().sum();
        let online = Span::from_millis(whole);
        match self.read {
            false => Known::Nothing,
            true if online < LEAST_ONLINE => Known::TooLittle,
            true => {
                Known::Usually(Habit { usual: self.at(whole, 1, 2), mostly: self.at(whole, 19, 20), online })
            }
        }
    }

    /// The lowest count that, with all below it, makes up this share of the time.
    fn at(&self, whole: i64, part: i64, of: i64) -> u32 {
        let mut below = 0;
        let reached = |(_, time): &(&usize, &i64)| {
            below += **time;
            below * of >= whole * part
        };
        let found = self.time.iter().find(reached).map(|(count, _)| *count);
        u32::try_from(found.unwrap_or_default()).unwrap_or(u32::MAX)
    }
}

/// What users have as a rule, to compare one of them with the others.
#[derive(Clone, Debug)]
pub struct Peers(Vec<u32>);

impl Peers {
    pub fn new(habits: &[Habit]) -> Self {
        let mut usual: Vec<u32> = habits.iter().map(|habit| habit.usual).collect();
        usual.sort_unstable();
        Self(usual)
    }

    /// What nine in ten of the others do not exceed as a rule; none without others.
    pub fn without(&self, habit: Habit) -> Option<u32> {
        let own = self.0.binary_search(&habit.usual).ok()?;
        let rank = ((self.0.len() - 1) * 9).div_ceil(10).checked_sub(1)?;
        self.0.get(if rank < own { rank } else { rank + 1 }).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::timeline;

    /// What is known of polls four hours apart.
    #[track_caller]
    fn known(text: &str) -> Known {
        let mut habits = Habits::default();
        let mut column = Column::new(Vec::new());
        let step = Span::from_hours(4);
        let mut last = None;
        for (n, reading) in timeline::parse(text).unwrap().into_iter().enumerate() {
            let failed = Vec::from_iter((reading == Reading::FAILED).then_some(0..1));
            let changes =
                if failed.is_empty() && last != Some(reading) { vec![(0, reading)] } else { Vec::new() };
            last = if failed.is_empty() { Some(reading) } else { last };
            column.turn(&changes, &failed);
            habits.poll(&column, if n == 0 { Span::ZERO } else { step }, step.times(3));
        }
        habits.finish().into_iter().next().unwrap_or_default()
    }

    /// Usual and mostly.
    #[track_caller]
    fn check(text: &str, expect: Option<(u32, u32)>) {
        let found = known(text).habit();
        assert_eq!(found.map(|habit| (habit.usual, habit.mostly)), expect, "{text}");
    }

    #[test]
    fn a_few_hours_are_no_habit() {
        assert_eq!(known("_x9 -x9 ~x9"), Known::Nothing);
        assert_eq!(known("_x9 0 _x9"), Known::TooLittle);
        assert_eq!(known("0x90 3x7 0x9"), Known::TooLittle, "32 hours");
        check("0x90 3x8 0x9", Some((3, 3)));
        check("_x90 3x8 _", Some((3, 3)));
    }

    #[test]
    fn a_habit_is_of_the_time_online() {
        check("0x50", None);
        check("_x9 -x9 ~x9", None);
        check("0x50 2x10 0", Some((2, 2)));
        check("1x10 3x10 1", Some((1, 3)));
        check("1x9 3x10 1", Some((3, 3)));
        check("1x99 5 1x2", Some((1, 1)));
        check("1x9 _x100 5x19 1", Some((5, 5)));
    }

    #[test]
    fn the_others_are_counted_one_by_one() {
        let habit = |usual| Habit { usual, mostly: usual, online: Span::ZERO };
        let without = |counts: &[u32], own| {
            Peers::new(&counts.iter().map(|n| habit(*n)).collect::<Vec<_>>()).without(habit(own))
        };
        assert_eq!(without(&[1, 1, 1, 9], 9), Some(1));
        assert_eq!(without(&[1, 1, 1, 9], 1), Some(9));
        assert_eq!(without(&[1, 1, 9, 1, 1, 1, 1, 1, 1, 1, 1], 1), Some(1));
        assert_eq!(without(&[3], 3), None);
    }
}
