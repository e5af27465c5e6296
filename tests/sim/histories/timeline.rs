//! Random histories: rules, readings with holes and absences, clocks that jump, restarts, reloads, operators.
//!
//! Neighbours: `slow` and `play` tell them. A part of its own because a history is made of one number, which is printed
//! when two tellings differ. Most are an hour or so of polls a minute; some are five weeks of the same hours.

use super::slow::{Absent, Hold, Per, Rule, Said, Signal, Tree, Value};

pub(crate) const USERS: [&str; 5] = ["alice", "bob", "carol", "ext-1", "ext-2"];
pub(crate) const OWN_LIMITS: [Option<u32>; 5] = [None, None, None, Some(1), Some(1)];

#[expect(non_snake_case, reason = "a constant with lists in it")]
pub(crate) fn GROUPS() -> Vec<(&'static str, Vec<usize>)> {
    vec![("ext", vec![3, 4]), ("all", vec![0, 1, 2, 3, 4])]
}

const MINUTE: i64 = 60_000;
/// 2026-11-23T00:00:00Z, a Monday.
const START: i64 = 1_795_392_000_000;

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum After {
    Nothing,
    Restart {
        by_checkpoint: bool,
    },
    /// These of the timeline's rules are in force from now on.
    Reload(usize),
    Close {
        rule: String,
        user: usize,
        rearm: bool,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) said: Vec<Said>,
    pub(crate) roster: Option<Vec<Option<bool>>>,
    /// Since the poll before, and how far the wall clock jumped.
    pub(crate) passed: i64,
    pub(crate) jump: i64,
    pub(crate) after: After,
}

#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) start: i64,
    pub(crate) rules: Vec<Vec<Rule>>,
    pub(crate) moments: Vec<Moment>,
}

/// Numbers from one seed (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: i64) -> i64 {
        (self.next() % n.unsigned_abs()).cast_signed()
    }

    fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as i64) as usize].clone()
    }

    fn minutes(&mut self, most: i64) -> i64 {
        (1 + self.below(most)) * MINUTE
    }

    fn number(&mut self, signal: Signal, most: i64) -> Tree {
        let sign = self.of(&[">", ">=", "<", "<=", "==", "!="]);
        Tree::Compare(signal, sign, Box::new(Value::Number(self.below(most) as f64)))
    }

    fn long(&mut self, signal: Signal) -> Tree {
        let sign = self.of(&[">", ">="]);
        Tree::Compare(signal, sign, Box::new(Value::Millis(self.below(8) * MINUTE)))
    }

    fn leaf(&mut self, per: Per, weeks: bool) -> Tree {
        let d = if weeks { 20 * MINUTE } else { self.minutes(12) };
        let quantile = self.of(&[0, 100, 500, 900, 1000]);
        let more = self.below(2) as f64;
        let over = |left, right| Tree::Compare(left, ">", Box::new(Value::Plus(right, more)));
        if per != Per::User {
            return match self.below(9) {
                0..=2 => self.number(Signal::Total, 12),
                3 => self.number(Signal::UsersOnline, 5),
                4 => self.number(Signal::Members, 6),
                5 => self.long(Signal::SilentTime),
                6 => Tree::Compare(Signal::FailedShare, ">", Box::new(Value::Number(0.5))),
                7 => self.number(Signal::Peak(d), 12),
                _ => over(Signal::Total, self.of(&[Signal::Previous, Signal::Mean(d), Signal::Low(d)])),
            };
        }
        if weeks && !self.one_in(4) {
            return over(Signal::Online, Signal::Usual(quantile));
        }
        match self.below(16) {
            0 | 1 => self.number(Signal::Online, 4),
            2 | 3 => over(Signal::Online, Signal::Limit),
            4 => over(Signal::Online, Signal::Previous),
            5 => self.long(Signal::OnlineTime),
            6 => self.long(Signal::OfflineTime),
            7 => self.long(Signal::AbsentTime),
            8 => self.number(Signal::Peak(d), 5),
            9 => self.number(Signal::Changes(d), 4),
            10 => {
                let above = self.below(3) as u32;
                self.long(Signal::TimeOver(above, d))
            }
            11 => self.number(Signal::Low(d), 4),
            12 => self.number(Signal::Mean(d), 4),
            13 => over(Signal::Online, Signal::Peers(quantile)),
            14 => Tree::Is(Signal::Known),
            _ => Tree::Is(Signal::Enabled),
        }
    }

    fn tree(&mut self, per: Per, weeks: bool) -> Tree {
        let leaf = self.leaf(per, weeks);
        match self.below(8) {
            0 => Tree::And(Box::new(leaf), Box::new(self.leaf(per, weeks))),
            1 => Tree::Or(Box::new(leaf), Box::new(self.leaf(per, weeks))),
            2 => Tree::Not(Box::new(leaf)),
            _ => leaf,
        }
    }

    fn hold(&mut self) -> Hold {
        match self.below(4) {
            0 | 1 => Hold::For(0),
            2 => Hold::For(self.minutes(4)),
            _ => {
                let of = 1 + self.below(6) as u32;
                Hold::Polls(1 + self.below(i64::from(of)) as u32, of)
            }
        }
    }

    fn rule(&mut self, number: usize, weeks: bool) -> Rule {
        let per = if weeks {
            Per::User
        } else {
            self.of(&[Per::User, Per::User, Per::User, Per::Group, Per::Source])
        };
        let clear_when = self.one_in(4).then(|| self.tree(per, weeks));
        let from = self.below(30);
        let (when, hold, clear_hold) = (self.tree(per, weeks), self.hold(), self.hold());
        Rule {
            name: format!("rule-{number}"),
            version: format!("{:x}", self.next()),
            per,
            when,
            clear_when,
            hold,
            clear_hold,
            absent: self.of(&[Absent::Hold, Absent::Hold, Absent::Zero, Absent::Breach]),
            gap: if weeks { 25 * MINUTE } else { self.of(&[3 * MINUTE, 3 * MINUTE, MINUTE, 10 * MINUTE]) },
            limit: (per == Per::User).then_some(2),
            during: (!weeks && self.one_in(5)).then_some((from, from + 15)),
            ends_on_leave: self.one_in(2),
            users: if self.one_in(4) { vec![0, 2, 3] } else { vec![0, 1, 2, 3, 4] },
        }
    }

    /// The same rules, of which some are gone, some read differently, some are for others.
    fn changed(&mut self, rules: &[Rule], weeks: bool) -> Vec<Rule> {
        let mut all = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            match self.below(5) {
                0 => {}
                1 => {
                    let mut other = self.rule(number, weeks);
                    (other.per, other.users, other.limit) = (rule.per, rule.users.clone(), rule.limit);
                    let of_a_user = |tree: &Tree| tree.signals().iter().all(of_users);
                    let fits = rule.per == Per::User
                        && of_a_user(&other.when)
                        && other.clear_when.as_ref().is_none_or(of_a_user);
                    if fits {
                        all.push(other);
                    } else {
                        all.push(Rule { version: other.version, hold: other.hold, ..rule.clone() });
                    }
                }
                2 if rule.per == Per::User => all.push(Rule { users: vec![0, 3], ..rule.clone() }),
                _ => all.push(rule.clone()),
            }
        }
        all
    }

    fn said(&mut self, before: &[Said]) -> Vec<Said> {
        if self.one_in(9) {
            return vec![Said::Failed; USERS.len()];
        }
        let mut one = |before: Said| match self.below(24) {
            0..=9 => before,
            10..=17 => Said::Online(self.below(5) as u32),
            18..=20 => Said::Absent,
            21..=22 => Said::Failed,
            _ => Said::NotPolled,
        };
        (0..USERS.len()).map(|user| one(before.get(user).copied().unwrap_or(Said::Online(1)))).collect()
    }
}

fn of_users(signal: &Signal) -> bool {
    !matches!(
        signal,
        Signal::Total | Signal::UsersOnline | Signal::Members | Signal::SilentTime | Signal::FailedShare
    )
}

impl Timeline {
    /// The timeline of a number; `weeks` for one that `usual` has something to say in.
    pub(crate) fn new(seed: u64, weeks: bool) -> Self {
        let mut dice = Dice(seed);
        let count = 2 + dice.below(3) as usize;
        let rules: Vec<Rule> = (0..count).map(|number| dice.rule(number, weeks)).collect();
        let changed = dice.changed(&rules, weeks);
        let length = if weeks { 42 } else { 4 + dice.below(30) };
        let mut moments: Vec<Moment> = Vec::new();
        for n in 0..length {
            let passed = match dice.below(12) {
                // Seven polls around each hour.
                _ if weeks && n % 7 == 0 => 7 * 24 * 60 * MINUTE - 90 * MINUTE,
                _ if weeks => 15 * MINUTE,
                0 => dice.minutes(30),
                1 => 0,
                _ => MINUTE,
            };
            let jump = if !weeks && dice.one_in(10) { dice.below(401) * MINUTE - 200 * MINUTE } else { 0 };
            let listed =
                |dice: &mut Dice| USERS.iter().map(|_| dice.of(&[None, Some(true), Some(false)])).collect();
            let roster = if dice.one_in(12) { Some(listed(&mut dice)) } else { None };
            let after = match dice.below(16) {
                0..=2 => After::Restart { by_checkpoint: dice.one_in(2) },
                3 if n > 2 => After::Reload(dice.below(2) as usize),
                4 => {
                    let number = dice.below(count as i64);
                    After::Close {
                        rule: format!("rule-{number}"),
                        user: dice.below(5) as usize,
                        rearm: dice.one_in(2),
                    }
                }
                _ => After::Nothing,
            };
            let before = moments.last().map(|moment| moment.said.clone()).unwrap_or_default();
            let said = dice.said(&before);
            moments.push(Moment { said, roster, passed, jump, after });
        }
        let start = START + if weeks { 30 * MINUTE } else { 0 };
        Self { start, rules: vec![rules, changed], moments }
    }
}
