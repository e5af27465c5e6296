//! What a user has at this hour of the week: `usual(q)`, from the readings of the same hour in the past four weeks.
//!
//! Neighbours: `hour` says when these were, whoever drives `judge` reads the polls of then into a [`Lesson`], `plan`
//! keeps the column it ends in. A part of its own because it is the one signal that rests on readings long gone: they
//! are read again for each hour, so that nothing is kept beside them and a restart finds the same.

use std::collections::BTreeMap;
use std::ops::Range;

use super::hour::Hour;
use super::lang::{Line, Quantile, Signal};
use super::plan::{Plan, track};
use super::reading::{Kind, Reading};
use super::signals::Track;
use super::time::{Span, Time};
use super::watch::Watch;

/// How many weeks back, and in how many of them half the hour must be known.
const WEEKS: u32 = 4;
const LEAST_WEEKS: u32 = 2;

/// No value.
const NONE: u32 = u32::MAX;

/// The quantiles a rule asks for, by slot, as they are in the hour under way.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Usual(Vec<(Quantile, Vec<u32>)>);

impl Usual {
    /// NaN where there is no value. Another hour, and another lesson, is for all to look at.
    pub(super) fn draw(&self, q: Quantile, slots: &[u32], out: &mut [Line]) {
        let column = self.0.iter().find(|(asked, _)| *asked == q).map_or(&[][..], |(_, column)| column);
        for (slot, out) in slots.iter().zip(out) {
            let value = column.get(*slot as usize).copied().filter(|value| *value != NONE);
            *out = Line::still(value.map_or(f64::NAN, f64::from));
        }
    }
}

/// A stretch of an episode: what the rule that raised it must not take for usual.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Raised {
    pub rule: String,
    pub user: String,
    /// Its first breach.
    pub since: Time,
    pub fired_at: Time,
    /// None while it is open.
    pub ended_at: Option<Time>,
}

/// One of the past weeks' hours: the polls from it are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PastHour {
    /// 1 is last week.
    week: u32,
    pub time: Range<Time>,
}

/// What is read for one hour; made by [`Watch::lesson`], taken over by [`Watch::learn`].
#[derive(Clone, Debug)]
pub struct Lesson {
    hour: Hour,
    rules: Vec<OfRule>,
    /// Being read.
    past: Option<PastHour>,
    /// The last poll: its instant, and the sum of `elapsed` at it since the stretch began.
    last: Option<(Time, i64)>,
}

#[derive(Clone, Debug)]
struct OfRule {
    rule: String,
    track: Track,
    gap: i64,
    asked: Vec<Quantile>,
    /// By slot: when it was in an episode.
    raised: BTreeMap<u32, Vec<Range<Time>>>,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    /// The last known reading, and the clock at it.
    value: u32,
    clock: i64,
    /// Known in the week being read, in milliseconds.
    known: i64,
    weeks: u32,
    /// How long each value was there.
    lengths: Vec<(u32, i64)>,
}

impl Default for Slot {
    fn default() -> Self {
        Self { value: NONE, clock: 0, known: 0, weeks: 0, lengths: Vec::new() }
    }
}

impl Watch {
    /// What is to be read before a poll at `at` is judged; None if no rule asks for it or the hour's is there already.
    pub fn lesson(&self, at: Time) -> Option<Lesson> {
        let hour = Hour::at(self.setup.zone, at);
        let rules: Vec<OfRule> = self.plans.iter().filter_map(OfRule::of).collect();
        let wanted = self.hour != Some(hour) && !rules.is_empty();
        wanted.then_some(Lesson { hour, rules, past: None, last: None })
    }

    /// Takes over what was read. Without it `usual` has no value in that hour.
    pub fn learn(&mut self, mut lesson: Lesson) {
        lesson.end_week();
        self.hour = Some(lesson.hour);
        for of in lesson.rules {
            if let Some(plan) = self.plans.iter_mut().find(|plan| plan.rule.name == of.rule) {
                plan.usual = of.usual();
                plan.due.all();
            }
        }
    }

    /// Forgets what belongs to another hour than that of `at`.
    pub(super) fn set_hour(&mut self, at: Time) {
        if self.hour.is_some() && self.hour != Some(Hour::at(self.setup.zone, at)) {
            self.hour = None;
            self.plans.iter_mut().for_each(|plan| plan.usual = Usual::default());
            self.look_at_all();
        }
    }
}

impl Lesson {
    /// The hours whose polls are wanted, the oldest first.
    pub fn hours(&self) -> Vec<PastHour> {
        let of_week =
            |week| self.hour.weeks_ago(week).spans().into_iter().map(move |time| PastHour { week, time });
        (1..=WEEKS).rev().flat_map(of_week).collect()
    }

    /// Where the oldest reading may lie that it rests on; None if it wants none.
    pub fn begins(&self) -> Option<Time> {
        self.hours().first().map(|past| past.time.start - self.reach())
    }

    /// How long before an hour readings may still count in it.
    pub fn reach(&self) -> Span {
        Span::from_millis(self.rules.iter().map(|of| of.gap).max().unwrap_or_default())
    }

    /// The rules that ask: their episodes are to be left out.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|of| of.rule.as_str())
    }

    /// Polls at which the user at `slot` was in this episode are left out of what its rule learns. What fired only
    /// within the hour under way is not looked at, so that the hour has one answer however often it is asked.
    pub fn leave_out(&mut self, slot: u32, raised: &Raised) {
        let begins = self.hour.spans().first().map(|span| span.start);
        if begins.is_none_or(|begins| raised.fired_at >= begins) {
            return;
        }
        for of in self.rules.iter_mut().filter(|of| of.rule == raised.rule) {
            let end = raised.ended_at.unwrap_or(Time::from_millis(i64::MAX));
            of.raised.entry(slot).or_default().push(raised.since..end);
        }
    }

    /// Begins a stretch of polls without gaps in their numbers, for one of [`Self::hours`]. It begins early enough to
    /// hold every reading that counts, [`Self::reach`] before the hour, and ends with the poll after the hour.
    pub fn begin(&mut self, past: &PastHour) {
        self.settle(None);
        self.last = None;
        if self.past.as_ref().is_some_and(|before| before.week != past.week) {
            self.end_week();
        }
        self.past = Some(past.clone());
        let slots = self.rules.iter_mut().flat_map(|of| &mut of.slots);
        slots.for_each(|slot| slot.value = NONE);
    }

    /// The next poll of the stretch.
    pub fn poll(&mut self, at: Time, elapsed: Span, readings: &[Reading]) {
        self.settle(Some(elapsed));
        let clock = self.last.map_or(0, |(_, clock)| clock + elapsed.millis());
        self.last = Some((at, clock));
        for of in &mut self.rules {
            of.slots.resize_with(of.slots.len().max(readings.len()), Slot::default);
            for (slot, reading) in of.slots.iter_mut().zip(readings) {
                let value = match (reading.kind(), of.track) {
                    (Kind::Online(count), _) => count,
                    (Kind::Absent, Track::AbsentZero) => 0,
                    (Kind::Absent | Kind::Failed | Kind::NotPolled, _) => continue,
                };
                (slot.value, slot.clock) = (value, clock);
            }
        }
    }

    /// Counts the time from the last poll to the next; to the end of what it can hold where there is none.
    fn settle(&mut self, elapsed: Option<Span>) {
        let (Some(past), Some((at, clock))) = (&self.past, self.last) else { return };
        for of in &mut self.rules {
            let left_out: Vec<u32> = of.left_out(at);
            let longest = elapsed.map_or(of.gap, Span::millis);
            if at >= past.time.end || at + Span::from_millis(longest) <= past.time.start {
                continue;
            }
            for (index, slot) in (0_u32..).zip(&mut of.slots).filter(|(_, slot)| slot.value != NONE) {
                let holds = longest.min(slot.clock + of.gap - clock);
                let end = (at + Span::from_millis(holds)).min(past.time.end);
                let length = end.since(at.max(past.time.start)).millis();
                if length > 0 {
                    slot.known += length;
                    if left_out.binary_search(&index).is_err() {
                        slot.add(length);
                    }
                }
            }
        }
    }

    fn end_week(&mut self) {
        self.settle(None);
        self.last = None;
        let Some(week) = self.past.take().map(|past| past.week) else { return };
        let whole: i64 =
            self.hour.weeks_ago(week).spans().iter().map(|span| span.end.since(span.start).millis()).sum();
        for slot in self.rules.iter_mut().flat_map(|of| &mut of.slots) {
            slot.weeks += u32::from(slot.known > 0 && slot.known * 2 >= whole);
            slot.known = 0;
        }
    }
}

impl OfRule {
    fn of(plan: &Plan) -> Option<Self> {
        let asked = |signal: Signal| if let Signal::Usual(q) = signal { Some(q) } else { None };
        let asked: Vec<Quantile> = plan.rule.signals().into_iter().filter_map(asked).collect();
        (!asked.is_empty()).then(|| Self {
            rule: plan.rule.name.clone(),
            track: track(plan.rule.absent),
            gap: plan.max_gap.millis(),
            asked,
            raised: BTreeMap::new(),
            slots: Vec::new(),
        })
    }

    /// Slots in an episode at the poll of `at`, ascending.
    fn left_out(&self, at: Time) -> Vec<u32> {
        let out = |(slot, ranges): (&u32, &Vec<Range<Time>>)| {
            ranges.iter().any(|range| range.contains(&at)).then_some(*slot)
        };
        self.raised.iter().filter_map(out).collect()
    }

    fn usual(mut self) -> Usual {
        self.slots.iter_mut().for_each(|slot| slot.lengths.sort_unstable());
        let column = |q: Quantile| self.slots.iter().map(|slot| slot.quantile(q)).collect();
        Usual(self.asked.iter().map(|q| (*q, column(*q))).collect())
    }
}

impl Slot {
    fn add(&mut self, length: i64) {
        match self.lengths.iter_mut().find(|(value, _)| *value == self.value) {
            Some((_, sum)) => *sum += length,
            None => self.lengths.push((self.value, length)),
        }
    }

    /// Over `lengths` in the order of values; [`NONE`] where too little is known.
    fn quantile(&self, q: Quantile) -> u32 {
        let whole: i64 = self.lengths.iter().map(|(_, length)| length).sum();
        if self.weeks < LEAST_WEEKS {
            return NONE;
        }
        let rank = q.of(whole.unsigned_abs());
        let mut below = 0;
        let reached = |(_, length): &&(u32, i64)| {
            below += length.unsigned_abs();
            below >= rank
        };
        self.lengths.iter().find(reached).map_or(NONE, |(value, _)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_millis(1_795_392_000_000);

    /// Polls every ten minutes; each week's hour as seven readings, the first ten minutes before it. `q`-quantile.
    fn quantile(weeks: &[&str], q: f64, track: Track, raised: &[(i64, i64)]) -> Option<f64> {
        let of = OfRule {
            rule: "odd".to_owned(),
            track,
            gap: Span::from_mins(20).millis(),
            asked: vec![Quantile::new(q).unwrap()],
            raised: BTreeMap::new(),
            slots: Vec::new(),
        };
        let hour = Hour::at(chrono_tz::UTC, START);
        let mut lesson = Lesson { hour, rules: vec![of], past: None, last: None };
        for (from, until) in raised {
            let at = |minute: i64| START - Span::from_days(7) + Span::from_mins(minute);
            let raised = Raised {
                rule: "odd".to_owned(),
                user: "alice".to_owned(),
                since: at(*from),
                fired_at: at(*from),
                ended_at: Some(at(*until)),
            };
            lesson.leave_out(0, &raised);
        }
        let hours = lesson.hours();
        for (past, week) in hours.iter().rev().zip(weeks) {
            lesson.begin(past);
            for (n, word) in (0..).zip(week.split_whitespace()) {
                let reading = match word {
                    "-" => Reading::ABSENT,
                    "_" => Reading::FAILED,
                    "~" => Reading::NOT_POLLED,
                    count => Reading::online(count.parse().unwrap()),
                };
                let ten = Span::from_mins(10);
                lesson.poll(past.time.start + ten.times(n - 1), ten, &[reading]);
            }
        }
        lesson.end_week();
        let mut out = [Line::still(0.0)];
        lesson.rules.remove(0).usual().draw(Quantile::new(q).unwrap(), &[0], &mut out);
        Some(out[0].value).filter(|value| !value.is_nan())
    }

    /// Weeks, the newest first; the quantile of 0.5, and of 1.
    #[track_caller]
    fn check(weeks: &[&str], half: Option<f64>, whole: Option<f64>) {
        let of = |q| quantile(weeks, q, Track::AbsentHeld, &[]);
        assert_eq!((of(0.5), of(1.0)), (half, whole), "{weeks:?}");
    }

    #[test]
    fn two_weeks_are_the_least() {
        let calm = "1 1 1 1 1 1 1";
        check(&[], None, None);
        check(&[calm], None, None);
        check(&[calm, calm], Some(1.0), Some(1.0));
        check(&["", "", calm, calm], Some(1.0), Some(1.0));
        // Half of an hour must be known for its week to count.
        check(&[calm, "_ _ _ _ 1 1 1"], Some(1.0), Some(1.0));
        check(&[calm, "_ _ _ _ _ 1 1"], None, None);
        // The week before the four is not looked at.
        check(&[calm, "", "", "", calm], None, None);
    }

    #[test]
    fn values_count_for_as_long_as_they_held() {
        check(&["1 1 1 1 3 3 3", "1 1 1 1 3 3 3"], Some(1.0), Some(3.0));
        check(&["1 1 1 3 3 3 3", "1 1 1 1 3 3 3"], Some(3.0), Some(3.0));
        // The reading before the hour holds into it only while nothing newer came, and at most twenty minutes.
        check(&["9 _ 1 1 1 1 1", "1 1 1 1 1 1 1"], Some(1.0), Some(9.0));
        check(&["9 1 1 1 1 1 1", "1 1 1 1 1 1 1"], Some(1.0), Some(1.0));
        check(&["2 _ _ _ _ _ 1", "_ _ _ 2 _ _ 1"], None, None);
        check(&["0 0 0 0 - - -", "0 0 - 0 - ~ -"], Some(0.0), Some(0.0));
    }

    #[test]
    fn absent_is_zero_where_the_rule_says_so() {
        let weeks = ["1 - - - - 1 1", "1 - - - - 1 1"];
        assert_eq!(quantile(&weeks, 0.5, Track::AbsentZero, &[]), Some(0.0));
        assert_eq!(quantile(&weeks, 0.5, Track::AbsentHeld, &[]), Some(1.0));
    }

    #[test]
    fn episodes_teach_nothing() {
        let weeks = ["1 1 1 9 9 1 1", "1 1 1 1 1 1 1"];
        let highest = |raised: &[(i64, i64)]| quantile(&weeks, 1.0, Track::AbsentHeld, raised);
        assert_eq!(highest(&[]), Some(9.0));
        assert_eq!(highest(&[(20, 40)]), Some(1.0));
        assert_eq!(highest(&[(30, 40)]), Some(9.0), "from the first breach on");
        assert_eq!(highest(&[(20, 30), (30, 31)]), Some(1.0));
        let all = ["9 9 9 9 9 9 9", "9 9 9 9 9 9 9"];
        assert_eq!(quantile(&all, 1.0, Track::AbsentHeld, &[(-10, 60)]), Some(9.0), "of the other week");
        assert_eq!(quantile(&all[..1], 1.0, Track::AbsentHeld, &[(-10, 60)]), None);
    }
}
