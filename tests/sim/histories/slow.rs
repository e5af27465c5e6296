//! The slow telling of signals and alerts: from the list of all readings, every time anew, by the words of the design.
//!
//! Neighbours: `timeline` makes histories, `play` has the engine tell them. A part of its own because it shares no code
//! with the engine: where both say the same of ten thousand histories, one of them would have to be wrong twice.
//! How it reads the design where that leaves room stands at [`Slow`].

use std::collections::BTreeMap;

/// What a poll said of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Online(u32),
    Absent,
    Failed,
    NotPolled,
}

#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub(crate) at: i64,
    /// The sum of what passed.
    pub(crate) clock: i64,
    pub(crate) said: Vec<Said>,
    /// On the roster, and enabled there; nothing before the first roster.
    pub(crate) roster: Option<Vec<Option<bool>>>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Signal {
    Online,
    Limit,
    Previous,
    OnlineTime,
    OfflineTime,
    AbsentTime,
    Peak(i64),
    Changes(i64),
    TimeOver(u32, i64),
    Low(i64),
    Mean(i64),
    /// Thousandths.
    Usual(u32),
    Peers(u32),
    Known,
    Enabled,
    Total,
    UsersOnline,
    Members,
    SilentTime,
    FailedShare,
}

/// A condition, of comparisons.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    /// Boolean signals.
    Is(Signal),
    Compare(Signal, &'static str, Box<Value>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Number(f64),
    Millis(i64),
    /// A signal and something more.
    Plus(Signal, f64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Absent {
    Hold,
    Zero,
    Breach,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    For(i64),
    Polls(u32, u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Per {
    User,
    Group,
    Source,
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) per: Per,
    pub(crate) when: Tree,
    pub(crate) clear_when: Option<Tree>,
    pub(crate) hold: Hold,
    pub(crate) clear_hold: Hold,
    pub(crate) absent: Absent,
    pub(crate) gap: i64,
    pub(crate) limit: Option<u32>,
    /// Minutes of the day in UTC, `[from, until)`.
    pub(crate) during: Option<(i64, i64)>,
    pub(crate) ends_on_leave: bool,
    /// By number of the user.
    pub(crate) users: Vec<usize>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) at: i64,
    pub(crate) rule: String,
    pub(crate) subject: String,
    pub(crate) step_no: u32,
    pub(crate) value: [Option<u32>; 3],
    pub(crate) since: i64,
    pub(crate) fired_at: i64,
    pub(crate) blind: i64,
    pub(crate) reason: Option<&'static str>,
    pub(crate) limit: Option<u32>,
}

/// Known readings of a subject as (clock, value), oldest first.
type Track = Vec<(i64, u32)>;

/// All that happened, and the rules in force.
///
/// Where the design leaves room, it is read like this.
/// * A poll that tells a rule nothing of a subject moves nothing: its verdict is unknown. It tells nothing where its
///   reading is not known, and no signal of the rule is about missing readings or needs none.
/// * `previous` at such a poll is the value that holds. A change is counted when it is read.
/// * A window includes its newest moment and not its oldest. Of two polls without time between them both have been: a
///   peak and a low see what held for no time at all, a mean does not.
/// * A total counts no member that nobody asked about, and is unknown at a poll that had no answer about any member. A
///   member that no reply ever had has no last reading to count with.
/// * Blind time is what of holes lies after the first breach. A hole that goes on counts in what is told meanwhile; not
///   in the end of an episode whose rule is gone, because with the rule went what a hole is.
/// * "3 of 5 polls" counts the polls of the source, judged or not; a stretch lives while one of its breaches is among
///   them.
/// * What `usual` leaves out are the polls from the first breach of an episode to its end, if it fired before the hour.
#[derive(Default)]
pub(crate) struct Slow {
    pub(crate) names: Vec<&'static str>,
    /// Limits of users' own.
    pub(crate) own_limits: Vec<Option<u32>>,
    pub(crate) groups: Vec<(&'static str, Vec<usize>)>,
    pub(crate) past: Vec<Past>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) alerts: BTreeMap<(String, String), Alert>,
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Ok,
    Pending,
    Firing,
    Recovering,
    Closed,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Alert {
    state: State,
    step_no: u32,
    version: String,
    /// The first breach: its instant and clock.
    since: Option<(i64, i64)>,
    /// Where the hold being counted began.
    held: Option<i64>,
    /// Numbers of polls that breached; that were clear since it fired.
    breaches: Vec<usize>,
    clears: Vec<usize>,
    value: Option<[Option<u32>; 3]>,
    /// Time in holes that are over, of those since the first breach.
    blind: i64,
    fired_at: i64,
    episode_since: i64,
    limit: Option<u32>,
    /// From first breach to end of each episode, and when it fired.
    episodes: Vec<(i64, i64, Option<i64>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Breach,
    Clear,
    Between,
    Unknown,
}

const WEEK: i64 = 7 * 24 * 3_600_000;
const HOUR: i64 = 3_600_000;

impl Slow {
    fn now(&self) -> &Past {
        self.past.last().unwrap()
    }

    fn said(&self, poll: &Past, user: usize) -> Said {
        poll.said.get(user).copied().unwrap_or(Said::NotPolled)
    }

    fn count(said: Said, zero: bool) -> Option<u32> {
        match said {
            Said::Online(n) => Some(n),
            Said::Absent if zero => Some(0),
            Said::Absent | Said::Failed | Said::NotPolled => None,
        }
    }

    fn track(&self, user: usize, zero: bool, upto: usize) -> Track {
        let known = |p: &Past| Some((p.clock, Self::count(self.said(p, user), zero)?));
        self.past[..upto].iter().filter_map(known).collect()
    }

    /// The last known reading of a user up to a poll.
    fn last(&self, user: usize, zero: bool, upto: usize) -> Option<(i64, u32)> {
        let known = |p: &Past| Some((p.clock, Self::count(self.said(p, user), zero)?));
        self.past[..upto].iter().rev().find_map(known)
    }

    /// The members of a subject: itself, its group, or everybody, as far as the rule goes.
    fn members(&self, rule: &Rule, subject: &str) -> Vec<usize> {
        match rule.per {
            Per::User => self.names.iter().position(|n| *n == subject).into_iter().collect(),
            Per::Source => rule.users.clone(),
            Per::Group => self.groups.iter().find(|(n, _)| *n == subject).unwrap().1.clone(),
        }
    }

    /// The total at a poll, with how many of the members had somebody online.
    fn total(&self, rule: &Rule, members: &[usize], upto: usize) -> Option<(u32, u32)> {
        let poll = &self.past[upto - 1];
        let zero = rule.absent == Absent::Zero;
        let answered = |u: &usize| matches!(self.said(poll, *u), Said::Online(_) | Said::Absent);
        if !members.is_empty() && !members.iter().any(answered) {
            return None;
        }
        let (mut total, mut online) = (0, 0);
        for user in members.iter().filter(|u| self.said(poll, **u) != Said::NotPolled) {
            match self.last(*user, zero, upto) {
                Some((clock, n)) if poll.clock - clock <= rule.gap => {
                    total += n;
                    online += u32::from(n > 0);
                }
                Some(_) | None => return None,
            }
        }
        Some((total, online))
    }

    /// The readings that windows of this rule look at.
    fn series(&self, rule: &Rule, subject: &str) -> Track {
        let members = self.members(rule, subject);
        match rule.per {
            Per::User => self.track(members[0], rule.absent == Absent::Zero, self.past.len()),
            Per::Group | Per::Source => {
                let known = |n: usize| Some((self.past[n - 1].clock, self.total(rule, &members, n)?.0));
                (1..=self.past.len()).filter_map(known).collect()
            }
        }
    }

    pub(crate) fn signal(&self, rule: &Rule, subject: &str, signal: Signal) -> Option<f64> {
        let members = self.members(rule, subject);
        let (now, all) = (self.now(), self.past.len());
        let share = |q: u32, whole: u64| (whole * u64::from(q)).div_ceil(1000).max(1);
        match signal {
            Signal::Limit => self.limit(rule, subject).map(f64::from),
            Signal::Online => {
                Self::count(self.said(now, members[0]), rule.absent == Absent::Zero).map(f64::from)
            }
            Signal::Peers(q) => {
                let zero = rule.absent == Absent::Zero;
                let mut counts: Vec<u32> =
                    rule.users.iter().filter_map(|u| Self::count(self.said(now, *u), zero)).collect();
                counts.sort_unstable();
                counts.get(share(q, counts.len() as u64) as usize - 1).map(|n| f64::from(*n))
            }
            Signal::Known => Some(f64::from(u8::from(now.roster.as_ref()?[members[0]].is_some()))),
            Signal::Enabled => now.roster.as_ref()?[members[0]].map(|on| f64::from(u8::from(on))),
            Signal::Usual(q) => self.usual(rule, subject, |whole| share(q, whole)),
            Signal::Total => self.total(rule, &members, all).map(|(n, _)| f64::from(n)),
            Signal::UsersOnline => self.total(rule, &members, all).map(|(_, n)| f64::from(n)),
            Signal::Members => Some(members.len() as f64),
            Signal::SilentTime => {
                let usable = |p: &&Past| {
                    let any = |f: &dyn Fn(&Said) -> bool| p.said.iter().any(f);
                    any(&|s| matches!(s, Said::Online(_) | Said::Absent)) || !any(&|s| *s == Said::Failed)
                };
                let from = self.past.iter().rfind(usable).unwrap_or(&self.past[0]);
                Some((now.clock - from.clock) as f64)
            }
            Signal::FailedShare => {
                let of = |f: &dyn Fn(Said) -> bool| {
                    members.iter().filter(|u| f(self.said(now, **u))).count() as f64
                };
                let asked = of(&|s| s != Said::NotPolled);
                (asked > 0.0).then(|| of(&|s| s == Said::Failed) / asked)
            }
            Signal::AbsentTime => self.absent_time(members[0], rule.gap),
            Signal::Previous
            | Signal::OnlineTime
            | Signal::OfflineTime
            | Signal::Peak(_)
            | Signal::Changes(_)
            | Signal::TimeOver(..)
            | Signal::Low(_)
            | Signal::Mean(_) => over(&self.series(rule, subject), signal, now.clock, rule.gap),
        }
    }

    fn absent_time(&self, user: usize, gap: i64) -> Option<f64> {
        let good = |p: &Past| match self.said(p, user) {
            Said::Online(_) => Some((p.clock, false)),
            Said::Absent => Some((p.clock, true)),
            Said::Failed | Said::NotPolled => None,
        };
        let good: Vec<(i64, bool)> = self.past.iter().filter_map(good).collect();
        let now = self.now().clock;
        let (mut from, absent) = *good.last().filter(|(clock, _)| now - clock <= gap)?;
        for (clock, absent) in good.iter().rev() {
            if !absent || from - clock > gap {
                break;
            }
            from = *clock;
        }
        Some(if absent { (now - from) as f64 } else { 0.0 })
    }

    /// Hours of the week in UTC.
    fn usual(&self, rule: &Rule, subject: &str, rank: impl Fn(u64) -> u64) -> Option<f64> {
        let user = self.members(rule, subject)[0];
        let zero = rule.absent == Absent::Zero;
        let begins = self.now().at.div_euclid(HOUR) * HOUR;
        let key = (rule.name.clone(), subject.to_owned());
        let raised: Vec<(i64, i64, Option<i64>)> =
            self.alerts.get(&key).map(|a| a.episodes.clone()).unwrap_or_default();
        let (mut lengths, mut weeks) = (BTreeMap::<u32, u64>::new(), 0);
        for week in 1..=4 {
            let (from, until) = (begins - week * WEEK, begins - week * WEEK + HOUR);
            let mut known = 0;
            for n in 0..self.past.len() {
                let poll = &self.past[n];
                if poll.at >= until || poll.at + rule.gap <= from {
                    continue;
                }
                let Some((clock, value)) = self.last(user, zero, n + 1) else { continue };
                let passed = self.past.get(n + 1).map_or(rule.gap, |next| next.clock - poll.clock);
                let holds = passed.min(clock + rule.gap - poll.clock);
                let length = (poll.at + holds).min(until) - poll.at.max(from);
                if length > 0 {
                    known += length;
                    let inside = |(since, fired, ended): &(i64, i64, Option<i64>)| {
                        *fired < begins && *since <= poll.at && ended.is_none_or(|ended| poll.at < ended)
                    };
                    if !raised.iter().any(inside) {
                        *lengths.entry(value).or_default() += length.unsigned_abs();
                    }
                }
            }
            weeks += u32::from(known * 2 >= HOUR);
        }
        let rank = rank(lengths.values().sum());
        let mut below = 0;
        let found = lengths.iter().find(|(_, length)| {
            below += **length;
            below >= rank
        });
        found.filter(|_| weeks >= 2).map(|(value, _)| f64::from(*value))
    }

    fn truth(&self, rule: &Rule, subject: &str, tree: &Tree) -> Option<bool> {
        let of = |tree: &Tree| self.truth(rule, subject, tree);
        match tree {
            Tree::Is(signal) => self.signal(rule, subject, *signal).map(|v| v == 1.0),
            Tree::Not(inner) => of(inner).map(|truth| !truth),
            Tree::And(a, b) => match (of(a), of(b)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (a, b) => a.zip(b).map(|_| true),
            },
            Tree::Or(a, b) => match (of(a), of(b)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (a, b) => a.zip(b).map(|_| false),
            },
            Tree::Compare(signal, sign, right) => {
                let left = self.signal(rule, subject, *signal)?;
                let right = match **right {
                    Value::Number(value) => value,
                    Value::Millis(length) => length as f64,
                    Value::Plus(signal, more) => self.signal(rule, subject, signal)? + more,
                };
                Some(match *sign {
                    ">" => left > right,
                    ">=" => left >= right,
                    "<" => left < right,
                    "<=" => left <= right,
                    "==" => left == right,
                    _ => left != right,
                })
            }
        }
    }

    fn limit(&self, rule: &Rule, subject: &str) -> Option<u32> {
        let own = || self.own_limits[self.names.iter().position(|n| *n == subject)?];
        if rule.per == Per::User { own().or(rule.limit) } else { rule.limit }
    }

    /// What the newest poll says of the subject: whether that is known to the rule, and the value for people.
    fn reading(&self, rule: &Rule, subject: &str) -> (bool, Option<u32>, bool) {
        let members = self.members(rule, subject);
        if rule.per != Per::User {
            let total = self.total(rule, &members, self.past.len()).map(|(n, _)| n);
            return (total.is_some(), total, false);
        }
        match self.said(self.now(), members[0]) {
            Said::Online(n) => (true, Some(n), false),
            Said::Absent => (rule.absent != Absent::Hold, None, true),
            Said::Failed | Said::NotPolled => (false, None, false),
        }
    }

    /// Clocks at which the subject was known to the rule, up to a poll.
    fn known_clocks(&self, rule: &Rule, subject: &str) -> Vec<i64> {
        let members = self.members(rule, subject);
        let known = |n: &usize| match rule.per {
            Per::User => match self.said(&self.past[n - 1], members[0]) {
                Said::Online(_) => true,
                Said::Absent => rule.absent != Absent::Hold,
                Said::Failed | Said::NotPolled => false,
            },
            Per::Group | Per::Source => self.total(rule, &members, *n).is_some(),
        };
        (1..=self.past.len()).filter(known).map(|n| self.past[n - 1].clock).collect()
    }

    /// How much of the time since the first breach lies in a hole between these two known readings.
    fn hole(rule: &Rule, from: i64, until: i64, since: i64) -> i64 {
        if until - from > rule.gap { until - from.max(since) } else { 0 }
    }

    fn verdict(&self, rule: &Rule, subject: &str, inside: bool) -> Verdict {
        let (known, _, absent) = self.reading(rule, subject);
        let mut named = rule.when.signals();
        named.extend(rule.clear_when.iter().flat_map(Tree::signals));
        let about = |signals: &[Signal]| named.iter().any(|signal| signals.contains(signal));
        let missing = [Signal::SilentTime, Signal::FailedShare, Signal::Members, Signal::UsersOnline];
        let tells = known
            || named.iter().all(|signal| matches!(signal, Signal::Known | Signal::Enabled))
            || (absent && about(&[Signal::AbsentTime]))
            || (rule.per != Per::User && about(&missing));
        if !tells {
            return Verdict::Unknown;
        }
        let breach = absent && rule.absent == Absent::Breach;
        let when = if breach { Some(true) } else { self.truth(rule, subject, &rule.when) };
        let clear = match &rule.clear_when {
            Some(tree) => self.truth(rule, subject, tree),
            None => when.map(|when| !when),
        };
        match (inside, when, clear) {
            (true, Some(true), _) => Verdict::Breach,
            (_, _, Some(true)) => Verdict::Clear,
            (true, None, _) | (false, _, None) => Verdict::Unknown,
            (true, Some(false), _) | (false, _, Some(false)) => Verdict::Between,
        }
    }

    /// Judges the newest poll.
    pub(crate) fn judge(&mut self) {
        let rules = self.rules.clone();
        for rule in &rules {
            let subjects: Vec<String> = match rule.per {
                Per::User => rule.users.iter().map(|u| self.names[*u].to_owned()).collect(),
                Per::Group => self.groups.iter().map(|(n, _)| (*n).to_owned()).collect(),
                Per::Source => vec!["shanghai".to_owned()],
            };
            // In the order of slots, in which the engine tells them.
            for subject in subjects {
                let key = (rule.name.clone(), subject.clone());
                let before = self.alerts.get(&key).cloned().unwrap_or_default();
                let after = self.step(rule, &subject, before);
                self.alerts.insert(key, after);
            }
        }
    }

    fn step(&mut self, rule: &Rule, subject: &str, mut alert: Alert) -> Alert {
        let now = self.now().clone();
        let minute = now.at.div_euclid(60_000).rem_euclid(24 * 60);
        let inside = rule.during.is_none_or(|(from, until)| (from..until).contains(&minute));
        let verdict = self.verdict(rule, subject, inside);
        let (known, value, _) = self.reading(rule, subject);
        let clocks = self.known_clocks(rule, subject);
        let before = clocks[..clocks.len() - usize::from(known)].last();
        let hole = known && before.is_some_and(|before| now.clock - before > rule.gap);
        alert.version.clone_from(&rule.version);
        if let (true, Some(before), Some((_, since))) = (hole, before, alert.since) {
            alert.blind += Self::hole(rule, *before, now.clock, since);
        }
        if !inside && matches!(alert.state, State::Ok | State::Pending) {
            alert.quiet();
            (alert.breaches, alert.clears) = (Vec::new(), Vec::new());
            return alert;
        }
        if !inside && rule.ends_on_leave && matches!(alert.state, State::Firing | State::Recovering) {
            alert.note(value);
            let alert = self.end(rule, subject, alert, "WindowEnded", now.at);
            return Alert { breaches: Vec::new(), ..alert };
        }
        if hole {
            (alert.breaches, alert.clears) = (Vec::new(), Vec::new());
            alert.held = alert.held.map(|_| now.clock);
        }
        self.move_on(rule, subject, alert, verdict, value)
    }

    /// The table of states.
    fn move_on(
        &mut self,
        rule: &Rule,
        subject: &str,
        mut alert: Alert,
        verdict: Verdict,
        value: Option<u32>,
    ) -> Alert {
        let (now, number) = (self.now().clone(), self.past.len());
        if verdict == Verdict::Breach {
            alert.breaches.push(number);
        }
        let open = matches!(alert.state, State::Firing | State::Recovering);
        if verdict == Verdict::Clear && open {
            alert.clears.push(number);
        }
        let met = |hold: Hold, held: i64, marks: &[usize]| match hold {
            Hold::For(length) => now.clock - held >= length,
            Hold::Polls(n, of) => {
                marks.iter().filter(|mark| **mark + of as usize > number).count() >= n as usize
            }
        };
        match (alert.state, verdict) {
            (State::Ok | State::Pending, Verdict::Breach) => {
                alert.state = State::Pending;
                alert.since.get_or_insert((now.at, now.clock));
                let held = *alert.held.get_or_insert(now.clock);
                alert.note(value);
                if met(rule.hold, held, &alert.breaches) {
                    (alert.state, alert.held) = (State::Firing, None);
                    alert.clears.clear();
                    alert.fired_at = now.at;
                    alert.episode_since = alert.since.unwrap().0;
                    alert.limit = self.limit_told(rule, subject);
                    alert.episodes.push((alert.episode_since, now.at, None));
                    self.tell(rule, subject, &mut alert, "Fired", now.at, None);
                }
            }
            (State::Ok, _) | (State::Pending, Verdict::Clear | Verdict::Between) => {
                alert.state = State::Ok;
                alert.held = None;
                let lives = matches!(rule.hold, Hold::Polls(_, of)
                    if alert.breaches.iter().any(|mark| mark + of as usize > number));
                if lives { alert.note(value) } else { alert.quiet() }
            }
            (State::Firing | State::Recovering, Verdict::Clear) => {
                alert.state = State::Recovering;
                let held = *alert.held.get_or_insert(now.clock);
                alert.note(value);
                if met(rule.clear_hold, held, &alert.clears) {
                    alert = self.end(rule, subject, alert, "Cleared", now.at);
                }
            }
            (State::Firing | State::Recovering, Verdict::Breach | Verdict::Between) => {
                (alert.state, alert.held) = (State::Firing, None);
                alert.note(value);
            }
            (State::Closed, Verdict::Clear) => {
                alert.quiet();
                (alert.breaches, alert.clears) = (Vec::new(), Vec::new());
            }
            (State::Pending | State::Firing | State::Recovering, Verdict::Unknown) => alert.note(value),
            (State::Closed, _) => {}
        }
        alert
    }

    fn limit_told(&self, rule: &Rule, subject: &str) -> Option<u32> {
        let mut named = rule.when.signals();
        named.retain(|signal| *signal == Signal::Limit);
        if named.is_empty() { None } else { self.limit(rule, subject) }
    }

    fn tell(
        &mut self,
        rule: &Rule,
        subject: &str,
        alert: &mut Alert,
        kind: &'static str,
        at: i64,
        reason: Option<&'static str>,
    ) {
        alert.step_no += 1;
        // One that goes on counts as well; what a hole is, nobody knows of a rule that is gone.
        let goes_on = || {
            let (from, (_, since)) = (*self.known_clocks(rule, subject).last()?, alert.since?);
            Some(Self::hole(rule, from, self.now().clock, since))
        };
        let goes_on = if reason == Some("RuleRemoved") { None } else { goes_on() };
        let blind = alert.blind + goes_on.unwrap_or(0);
        self.events.push(Event {
            kind,
            at,
            rule: rule.name.clone(),
            subject: subject.to_owned(),
            step_no: alert.step_no,
            value: alert.value.unwrap_or_default(),
            since: alert.episode_since,
            fired_at: alert.fired_at,
            blind,
            reason,
            limit: self.limit_told(rule, subject).or(alert.limit),
        });
    }

    fn end(&mut self, rule: &Rule, subject: &str, mut alert: Alert, reason: &'static str, at: i64) -> Alert {
        self.tell(rule, subject, &mut alert, "Ended", at, Some(reason));
        if let Some(episode) = alert.episodes.last_mut() {
            episode.2 = Some(at);
        }
        alert.quiet();
        alert.clears.clear();
        alert
    }

    /// An operator closes the open episode of a rule and subject, if there is one.
    pub(crate) fn close(&mut self, rule: &str, subject: &str, rearm: bool, at: i64) {
        let key = (rule.to_owned(), subject.to_owned());
        let Some(mut alert) = self.alerts.get(&key).cloned() else { return };
        let Some(rule) = self.rules.iter().find(|r| r.name == key.0).cloned() else { return };
        if !matches!(alert.state, State::Firing | State::Recovering) {
            return;
        }
        self.tell(&rule, subject, &mut alert, "Closed", at, None);
        alert = self.end(&rule, subject, alert, "Closed", at);
        if !rearm {
            alert.state = State::Closed;
        }
        self.alerts.insert(key, alert);
    }

    /// Other rules are in force: what is gone ends, what reads differently is told of, what was pending starts over.
    pub(crate) fn reload(&mut self, rules: Vec<Rule>, at: i64) {
        let old = std::mem::replace(&mut self.rules, rules);
        for (key, mut alert) in self.alerts.clone() {
            let before = old.iter().find(|rule| rule.name == key.0).cloned();
            let now = self.rules.iter().find(|rule| rule.name == key.0).cloned();
            let covered = now.as_ref().is_some_and(|rule| {
                rule.per != Per::User || rule.users.iter().any(|u| self.names[*u] == key.1)
            });
            let open = matches!(alert.state, State::Firing | State::Recovering);
            match (now, before) {
                (Some(rule), _) if covered => {
                    if alert.version != rule.version && !alert.version.is_empty() {
                        (alert.breaches, alert.clears) = (Vec::new(), Vec::new());
                        if open {
                            (alert.state, alert.held) = (State::Firing, None);
                            alert.limit = self.limit_told(&rule, &key.1);
                            self.tell(&rule, &key.1, &mut alert, "Changed", at, None);
                        } else if alert.state != State::Closed {
                            alert.quiet();
                        }
                        alert.version.clone_from(&rule.version);
                    }
                }
                (now, Some(rule)) => {
                    let reason = if now.is_some() { "LeftScope" } else { "RuleRemoved" };
                    if open {
                        alert = self.end(now.as_ref().unwrap_or(&rule), &key.1, alert, reason, at);
                    } else {
                        alert.quiet();
                    }
                    (alert.breaches, alert.clears) = (Vec::new(), Vec::new());
                }
                (_, None) => {}
            }
            self.alerts.insert(key, alert);
        }
    }
}

impl Alert {
    /// No stretch any more.
    fn quiet(&mut self) {
        (self.state, self.since, self.held, self.value, self.blind) = (State::Ok, None, None, None, 0);
    }

    /// Value now, at the first breach, and the highest since.
    fn note(&mut self, value: Option<u32>) {
        if self.since.is_some() {
            let [_, first, peak] = self.value.unwrap_or([None, value, None]);
            self.value = Some([value, first, peak.max(value)]);
        }
    }
}

impl Tree {
    pub(crate) fn signals(&self) -> Vec<Signal> {
        match self {
            Self::Is(signal) => vec![*signal],
            Self::Compare(signal, _, right) => match **right {
                Value::Plus(other, _) => vec![*signal, other],
                Value::Number(_) | Value::Millis(_) => vec![*signal],
            },
            Self::And(a, b) | Self::Or(a, b) => [a.signals(), b.signals()].concat(),
            Self::Not(inner) => inner.signals(),
        }
    }
}

/// A signal over known readings, each of which holds until the next, at most `gap`.
fn over(track: &Track, signal: Signal, now: i64, gap: i64) -> Option<f64> {
    let (last, value) = *track.last()?;
    if now - last > gap {
        return None;
    }
    if signal == Signal::Previous {
        let before =
            if last == now { track.len().checked_sub(2).map(|n| track[n]) } else { Some((last, value)) };
        return before.filter(|(clock, _)| now - clock <= gap).map(|(_, value)| f64::from(value));
    }
    if matches!(signal, Signal::OnlineTime | Signal::OfflineTime) {
        let online = signal == Signal::OnlineTime;
        let mut from = last;
        for (clock, v) in track.iter().rev() {
            if (*v > 0) != (value > 0) || from - clock > gap {
                break;
            }
            from = *clock;
        }
        return Some(if (value > 0) == online { (now - from) as f64 } else { 0.0 });
    }
    let (Signal::Peak(d) | Signal::Changes(d) | Signal::TimeOver(_, d) | Signal::Low(d) | Signal::Mean(d)) =
        signal
    else {
        return None;
    };
    let start = now - d;
    let (mut peak, mut low, mut known, mut area, mut above, mut changes) = (value, value, 0, 0.0, 0, 0);
    for n in 0..track.len() {
        let (clock, v) = track[n];
        let until = track.get(n + 1).map_or(now, |next| next.0).min(clock + gap);
        if n > 0 && clock > start && track[n - 1].1 != v {
            changes += 1;
        }
        if until <= start {
            continue;
        }
        let length = until - clock.max(start);
        (peak, low) = (peak.max(v), low.min(v));
        known += length;
        area += f64::from(v) * length as f64;
        if matches!(signal, Signal::TimeOver(limit, _) if v > limit) {
            above += length;
        }
    }
    let enough = known * 10 >= d * 9;
    if matches!(signal, Signal::Low(_) | Signal::Mean(_)) {
        let value = if matches!(signal, Signal::Low(_)) { f64::from(low) } else { area / known as f64 };
        return enough.then_some(value);
    }
    Some(if matches!(signal, Signal::Peak(_)) {
        f64::from(peak)
    } else if matches!(signal, Signal::Changes(_)) {
        f64::from(changes)
    } else {
        above as f64
    })
}
