//! When one client is connected: the day it has, the breaks in it, the weeks it is away.
//!
//! Neighbours: `population` adds clients up to counts. A part of its own because these are the invented people: every
//! figure about habits is here, and each answer is computed from a hash of (person, day), never from what was before.

use super::mix;
use crate::engine::time::{Span, Time};

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440;

/// The zone whose working hours people keep: China, UTC+8 without summer time.
const ZONE: Span = Span::from_hours(8);

/// What each hash is drawn for, so that no two draws are the same.
#[derive(Clone, Copy)]
enum Draw {
    Clients = 1,
    Absence,
    Attendance,
    Start,
    Length,
    Lunch,
    Evening,
    Break,
    Reconnect,
    Flap,
    Slot,
    Personal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// Working days from about nine to half past six, often with a break at noon.
    Office,
    /// Most days, at hours of their own, often in the evening too.
    Remote,
    /// A machine, or a person who never hangs up: one short reconnection a day.
    AlwaysOn,
    /// One account that four to eight people use, each with hours of their own.
    Sharer,
    /// A bad line: on and off every few minutes, all day.
    Flapping,
    /// Nobody for weeks.
    Dormant,
}

impl Habit {
    /// The habit at a place in 0..1; the shares are those of the design.
    pub(super) fn of_share(share: f64) -> Self {
        match share {
            s if s < 0.62 => Self::Office,
            s if s < 0.76 => Self::Remote,
            s if s < 0.85 => Self::AlwaysOn,
            s if s < 0.86 => Self::Sharer,
            s if s < 0.885 => Self::Flapping,
            _ => Self::Dormant,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Office => "office",
            Self::Remote => "remote",
            Self::AlwaysOn => "always-on",
            Self::Sharer => "sharer",
            Self::Flapping => "flapping",
            Self::Dormant => "dormant",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Person {
    pub(super) key: u64,
    pub(super) habit: Habit,
    /// Has one client whatever else holds.
    pub(super) lone: bool,
}

impl Person {
    /// The clients this person may ever have connected at once.
    pub(super) fn clients(self) -> impl Iterator<Item = Client> {
        let bits = mix(self.key, Draw::Clients as u64);
        let count = match self.habit {
            _ if self.lone => 1,
            Habit::Office | Habit::Remote if bits.is_multiple_of(2) => 2,
            Habit::Sharer => 4 + bits % 5,
            Habit::Office | Habit::Remote | Habit::AlwaysOn | Habit::Flapping | Habit::Dormant => 1,
        };
        (0..count).map(move |n| self.client(n))
    }

    fn client(self, n: u64) -> Client {
        // The first client goes with the person: its key is also the one that absences are drawn from.
        let key = if n == 0 { self.key } else { mix(self.key, 1_000 + n) };
        let shared = self.habit == Habit::Sharer;
        // Whoever shares an account has a life of their own; a second device goes where its owner goes.
        let owner = if shared { key } else { self.key };
        let habit = match key % 8 {
            _ if !shared => self.habit,
            0..=4 => Habit::Office,
            5 => Habit::Remote,
            _ => Habit::AlwaysOn,
        };
        Client { key, owner, habit, second: n > 0 && !shared }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    key: u64,
    owner: u64,
    habit: Habit,
    second: bool,
}

impl Client {
    pub(super) fn is_on(self, at: Time) -> bool {
        self.is_on_minute(minute_of(at))
    }

    /// When the session that is on at `at` began, to the minute. Sessions do not outlive two days: every client
    /// that never hangs up reconnects once a day.
    pub(super) fn since(self, at: Time) -> Time {
        let now = minute_of(at);
        let first =
            (now - 2 * DAY..now).rev().find(|&minute| !self.is_on_minute(minute)).map_or(now, |off| off + 1);
        Time::from_millis(first * MINUTE) - ZONE
    }

    /// `minute` counts local minutes since 1970-01-01 00:00.
    fn is_on_minute(self, minute: i64) -> bool {
        let (day, of_day) = (minute.div_euclid(DAY), minute.rem_euclid(DAY));
        match self.habit {
            Habit::Dormant => self.chance(Draw::Attendance, day) < 0.004 && (600..660).contains(&of_day),
            Habit::AlwaysOn => {
                let reconnect = self.within(Draw::Reconnect, day, DAY - 2);
                !(reconnect..=reconnect + self.within(Draw::Break, day, 2)).contains(&of_day)
            }
            Habit::Flapping => self.present(day) && (480..1_380).contains(&of_day) && self.flaps_on(minute),
            Habit::Office | Habit::Remote | Habit::Sharer => {
                self.present(day) && self.in_session(day, of_day) && !self.in_break(minute)
            }
        }
    }

    /// Not on one of the absences: in each 30 days, one in three people is away for 3 to 14 days.
    fn present(self, day: i64) -> bool {
        let (month, of_month) = (day.div_euclid(30), day.rem_euclid(30));
        let bits = draw(self.owner, Draw::Absence, month);
        let away = (bits % 100) < 35;
        let length = 3 + (bits >> 8) % 12;
        let first = (bits >> 16) % (30 - length);
        !away || !(first..first + length).contains(&of_month.unsigned_abs())
    }

    fn in_session(self, day: i64, minute: i64) -> bool {
        if self.chance(Draw::Attendance, day) >= self.attendance(day) {
            return false;
        }
        if self.second {
            let start = 540 + self.within(Draw::Start, day, 360);
            return (start..start + 90 + self.within(Draw::Length, day, 240)).contains(&minute);
        }
        let office = self.habit == Habit::Office;
        let (earliest, spread, shortest) = if office { (495, 60, 510) } else { (420, 420, 180) };
        // People are punctual in their own way: most of the spread is the person's, a little is the day's.
        let start = earliest + self.within(Draw::Personal, 0, spread) + self.within(Draw::Start, day, 40);
        let end = start + shortest + self.within(Draw::Length, day, 90);
        let lunch = 690 + self.within(Draw::Lunch, day, 45);
        let at_lunch = office && self.chance(Draw::Lunch, day) < 0.6 && (lunch..lunch + 45).contains(&minute);
        if (start..end).contains(&minute) {
            return !at_lunch;
        }
        let evening = 1_170 + self.within(Draw::Evening, day, 90);
        !office
            && self.chance(Draw::Evening, day) < 0.5
            && minute >= end
            && (evening..evening + 120).contains(&minute)
    }

    /// The share of such days on which this client is used at all.
    fn attendance(self, day: i64) -> f64 {
        // 1970-01-01 was a Thursday.
        let weekend = matches!((day + 3).rem_euclid(7), 5 | 6);
        match (self.habit, weekend) {
            _ if self.second => 0.8,
            (Habit::Office, false) => 0.93,
            (Habit::Office, true) => 0.05,
            (_, false) => 0.85,
            (_, true) => 0.5,
        }
    }

    /// Lines drop: in most hours once, for one or two minutes, sometimes for ten.
    fn in_break(self, minute: i64) -> bool {
        let (hour, of_hour) = (minute.div_euclid(60), minute.rem_euclid(60));
        let bits = draw(self.key, Draw::Break, hour);
        let length = if (bits >> 8).is_multiple_of(8) { 10 } else { 1 + (bits >> 16) % 2 };
        let first = (bits >> 24) % 49;
        bits % 100 < 88 && (first..first + length).contains(&of_hour.unsigned_abs())
    }

    fn flaps_on(self, minute: i64) -> bool {
        let slot = 4 + self.within(Draw::Flap, 0, 9);
        draw(self.key, Draw::Slot, minute.div_euclid(slot)).is_multiple_of(2)
    }

    fn within(self, what: Draw, day: i64, below: i64) -> i64 {
        ((draw(self.key, what, day) >> 12) % below.unsigned_abs()) as i64
    }

    fn chance(self, what: Draw, day: i64) -> f64 {
        (mix(draw(self.key, what, day), 7) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn draw(key: u64, what: Draw, n: i64) -> u64 {
    mix(key ^ ((what as u64) << 56), n.cast_unsigned())
}

fn minute_of(at: Time) -> i64 {
    (at + ZONE).millis().div_euclid(MINUTE)
}
