//! The engine telling a history: live, started again in between, and fed with the polls that were kept.
//!
//! Neighbours: `slow` tells the same on its own, `timeline` makes the histories. A part of its own because it turns the
//! words of the slow telling into rules and readings, and the engine's events into words to compare.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use globset::{Glob, GlobMatcher};
use seatwatch::agent::usual::study;
use seatwatch::engine::calendar::Calendar;
use seatwatch::engine::event::{Event, EventKind, Limit, Severity, event_id};
use seatwatch::engine::fleet::{Fleet, Group};
use seatwatch::engine::judge::judge;
use seatwatch::engine::lang::compile;
use seatwatch::engine::message::Language;
use seatwatch::engine::names::{Asked, Names};
use seatwatch::engine::outcome::{Act, ActRow, Outcome};
use seatwatch::engine::reading::{Batch, Fault, FaultClass, Fetched, NO_BATCH, Poll, PollOutcome, Reading};
use seatwatch::engine::restore::Past;
use seatwatch::engine::roster::Roster;
use seatwatch::engine::rule::{AbsentMeans, Hold, Mode, OnLeave, Per, Policy, Rule, Scope};
use seatwatch::engine::tend::{act, reconcile};
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::usual::Raised;
use seatwatch::engine::watch::{Remembered, Setup, Watch, When};
use seatwatch::store::{Reader, Store, StoredPoll};

use super::slow::{self, Said, Signal, Tree, Value};
use super::timeline::{After, GROUPS, Moment, OWN_LIMITS, Timeline, USERS};
use crate::Place;

const SOURCE: &str = "shanghai";

/// Patterns take longer to make than a history to tell.
static GLOBS: LazyLock<[GlobMatcher; 5]> =
    LazyLock::new(|| USERS.map(|user| Glob::new(user).unwrap().compile_matcher()));

/// How the engine is to tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Live,
    /// Started again where the timeline says so.
    Restarted,
    /// In a database, started again from it.
    Stored,
}

fn name(signal: Signal) -> String {
    let share = |q: u32| f64::from(q) / 1000.0;
    match signal {
        Signal::Online => "online".to_owned(),
        Signal::Limit => "limit".to_owned(),
        Signal::Previous => "previous".to_owned(),
        Signal::OnlineTime => "online_time".to_owned(),
        Signal::OfflineTime => "offline_time".to_owned(),
        Signal::AbsentTime => "absent_time".to_owned(),
        Signal::Peak(d) => format!("peak({d}ms)"),
        Signal::Changes(d) => format!("changes({d}ms)"),
        Signal::TimeOver(n, d) => format!("time_over({n}, {d}ms)"),
        Signal::Low(d) => format!("low({d}ms)"),
        Signal::Mean(d) => format!("mean({d}ms)"),
        Signal::Usual(q) => format!("usual({})", share(q)),
        Signal::Peers(q) => format!("peers({})", share(q)),
        Signal::Known => "known".to_owned(),
        Signal::Enabled => "enabled".to_owned(),
        Signal::Total => "total".to_owned(),
        Signal::UsersOnline => "users_online".to_owned(),
        Signal::Members => "members".to_owned(),
        Signal::SilentTime => "silent_time".to_owned(),
        Signal::FailedShare => "failed_share".to_owned(),
    }
}

fn text(tree: &Tree) -> String {
    match tree {
        Tree::Is(signal) => name(*signal),
        Tree::Compare(left, sign, right) => {
            let right = match **right {
                Value::Number(value) => value.to_string(),
                Value::Millis(length) => format!("{length}ms"),
                Value::Plus(signal, more) => format!("({} + {more})", name(signal)),
            };
            format!("({} {sign} {right})", name(*left))
        }
        Tree::And(a, b) => format!("({} and {})", text(a), text(b)),
        Tree::Or(a, b) => format!("({} or {})", text(a), text(b)),
        Tree::Not(inner) => format!("(not {})", text(inner)),
    }
}

fn hold(hold: slow::Hold) -> Hold {
    match hold {
        slow::Hold::For(length) => Hold::For(Span::from_millis(length)),
        slow::Hold::Polls(n, of) => Hold::Polls { n: n as u8, of: of as u8 },
    }
}

fn of_slow(of: &slow::Rule) -> Rule {
    let per = match of.per {
        slow::Per::User => Per::User,
        slow::Per::Group => Per::Group,
        slow::Per::Source => Per::Source,
    };
    let window = |(from, until): (i64, i64)| {
        let hours = format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60);
        Arc::new(Calendar::new("early", chrono_tz::UTC, &["Mon-Sun"], &[hours], &[], &[]).unwrap())
    };
    let everybody = of.users.len() == USERS.len();
    let scope = Scope {
        users: if everybody {
            Vec::new()
        } else {
            of.users.iter().map(|user| GLOBS[*user].clone()).collect()
        },
        ..Scope::default()
    };
    let compiled =
        |tree: &Tree| compile(&text(tree), per).unwrap_or_else(|e| panic!("{}: {e:?}", text(tree)));
    Rule {
        name: of.name.clone(),
        version: of.version.clone(),
        per,
        when: compiled(&of.when),
        clear_when: of.clear_when.as_ref().map(compiled),
        when_text: text(&of.when),
        clear_when_text: of.clear_when.as_ref().map(text),
        limit: of.limit,
        policy: Policy { hold: hold(of.hold), clear_hold: hold(of.clear_hold) },
        max_gap: Some(Span::from_millis(of.gap)),
        absent: match of.absent {
            slow::Absent::Hold => AbsentMeans::Hold,
            slow::Absent::Zero => AbsentMeans::Zero,
            slow::Absent::Breach => AbsentMeans::Breach,
        },
        during: of.during.map(window),
        on_leave: if of.ends_on_leave { OnLeave::End } else { OnLeave::Hold },
        scope,
        severity: Severity::High,
        notify: vec!["soc".to_owned()].into(),
        repeat: None,
        mode: Mode::Live,
        evidence_clients: false,
    }
}

pub(super) fn setup(rules: &[slow::Rule]) -> Arc<Setup> {
    let group = |(number, (name, members)): (usize, &(&str, Vec<usize>))| Group {
        name: (*name).to_owned(),
        users: members.iter().map(|user| GLOBS[*user].clone()).collect(),
        source: None,
        limit: OWN_LIMITS[members[0]].filter(|_| number == 0),
        labels: BTreeMap::default(),
    };
    Arc::new(Setup {
        install: "install".to_owned(),
        source: SOURCE.to_owned(),
        interval: Span::from_mins(1),
        zone: chrono_tz::UTC,
        fleet: Arc::new(Fleet {
            groups: GROUPS().iter().enumerate().map(group).collect(),
            ..Fleet::default()
        }),
        rules: rules.iter().map(of_slow).map(Arc::new).collect(),
        elsewhere: Vec::new(),
        users: Arc::new(Names::new(USERS)),
        language: Language::En,
        own_notify: Vec::new().into(),
        roster: true,
    })
}

pub(super) fn reading(said: Said) -> Reading {
    match said {
        Said::Online(n) => Reading::online(n),
        Said::Absent => Reading::ABSENT,
        Said::Failed => Reading::FAILED,
        Said::NotPolled => Reading::NOT_POLLED,
    }
}

pub(super) fn fault(moment: &Moment) -> Option<Fault> {
    let asked = |said: &&Said| **said != Said::NotPolled;
    let failed = moment.said.iter().filter(asked).all(|said| *said == Said::Failed);
    let some = moment.said.contains(&Said::Failed);
    (failed && some).then(|| Fault {
        class: FaultClass::Server,
        code: "500".to_owned(),
        message: "nothing came".to_owned(),
        advice: None,
    })
}

pub(super) fn roster(moment: &Moment, at: Time) -> Option<Roster> {
    let listed = moment.roster.as_ref()?;
    let mut roster = Roster { at, ..Roster::default() };
    roster.users =
        USERS.iter().zip(listed).filter_map(|(user, on)| Some(((*user).into(), Some((*on)?)))).collect();
    Some(roster)
}

/// What is kept of a source, and what the engine said so far.
pub(super) struct Told {
    rules: Vec<Vec<slow::Rule>>,
    pub(super) watch: Watch,
    pub(super) polls: Vec<StoredPoll>,
    memory: String,
    pub(super) names: Vec<String>,
    alerts: BTreeMap<String, String>,
    roster: Option<Vec<seatwatch::engine::roster::Listed>>,
    /// Each with the poll that it came with.
    pub(super) rosters: Vec<(u64, Vec<seatwatch::engine::roster::Listed>)>,
    checkpoint: Option<(u64, Vec<u8>)>,
    pub(super) events: Vec<Event>,
    disk: Option<(Place, Option<Store>)>,
}

/// The events of a timeline, and the polls as they were kept.
pub(crate) fn play(timeline: &Timeline, way: Way) -> (Vec<slow::Event>, Vec<StoredPoll>) {
    let mut told = Told::new(timeline, way);
    let mut at = timeline.start;
    for (n, moment) in timeline.moments.iter().enumerate() {
        at += moment.passed + moment.jump;
        let instant = Time::from_millis(at);
        let elapsed = Span::from_millis(if n == 0 { 0 } else { moment.passed });
        let jump = Some(Span::from_millis(moment.jump)).filter(|jump| *jump != Span::ZERO);
        if let Some(roster) = roster(moment, instant) {
            told.watch.take_roster(&roster);
        }
        let fetched = Fetched {
            readings: moment.said.iter().map(|said| reading(*said)).collect(),
            batch_of: vec![0; USERS.len()].into(),
            batches: vec![Batch { fetched_at: instant, request_id: Some(format!("R{n}").into()) }],
            fault: fault(moment),
            ..Fetched::default()
        };
        let asked = Asked::all(Arc::clone(&told.watch.names));
        let poll = told.watch.poll(fetched, &asked, When { at: instant, elapsed, jump, took: Span::ZERO });
        told.poll(poll);
        told.after(moment, instant, way != Way::Live);
    }
    (told.in_words(), told.polls)
}

/// The same from polls that were kept, each judged as a live one.
pub(crate) fn fed_again(timeline: &Timeline, polls: &[StoredPoll]) -> Vec<slow::Event> {
    let mut told = Told::new(timeline, Way::Live);
    let mut column = vec![Reading::NOT_POLLED; USERS.len()];
    for (moment, kept) in timeline.moments.iter().zip(polls) {
        if let Some(roster) = roster(moment, kept.at) {
            told.watch.take_roster(&roster);
        }
        told.poll(Poll {
            source: SOURCE.to_owned(),
            seq: kept.seq,
            at: kept.at,
            elapsed: kept.elapsed,
            jump: kept.jump,
            readings: said(&mut column, kept),
            batch_of: vec![NO_BATCH; USERS.len()].into(),
            batches: Vec::new(),
            requests: kept.requests,
            took: kept.took,
            fault: kept.fault.clone(),
            skew: kept.skew,
        });
        told.after(moment, kept.at, false);
    }
    told.in_words()
}

/// What a kept poll said of everybody; `column` is what the one before left.
pub(super) fn said(column: &mut [Reading], kept: &StoredPoll) -> Vec<Reading> {
    for (slot, reading) in &kept.changes {
        column[*slot as usize] = *reading;
    }
    let mut said = column.to_vec();
    for range in &kept.failed {
        said[range.start as usize..range.end as usize].fill(Reading::FAILED);
    }
    said
}

impl Told {
    pub(super) fn new(timeline: &Timeline, way: Way) -> Self {
        let disk = (way == Way::Stored).then(|| {
            let dir = Place::new();
            let store = Store::open(&dir.0.join("a.db"), Time::from_millis(timeline.start)).unwrap();
            (dir, Some(store))
        });
        Self {
            rules: timeline.rules.clone(),
            watch: Watch::new(setup(&timeline.rules[0]), Remembered::default()),
            polls: Vec::new(),
            memory: String::new(),
            names: Vec::new(),
            alerts: BTreeMap::new(),
            roster: None,
            rosters: Vec::new(),
            checkpoint: None,
            events: Vec::new(),
            disk,
        }
    }

    pub(super) fn poll(&mut self, poll: Poll) {
        self.have_usual(poll.at);
        let (at, usable) = (poll.at, poll.tally().outcome);
        let outcome = judge(&mut self.watch, poll, at);
        self.watch.names_saved();
        self.take(outcome, usable);
    }

    fn have_usual(&mut self, at: Time) {
        let Some(mut lesson) = self.watch.lesson(at) else { return };
        let mut episodes: BTreeMap<&str, Raised> = BTreeMap::new();
        for event in &self.events {
            let raised = episodes.entry(&event.episode).or_insert_with(|| Raised {
                rule: event.rule.to_string(),
                user: event.subject.name.clone(),
                since: event.since,
                fired_at: event.at,
                ended_at: None,
            });
            raised.ended_at = event.ended_at.or(raised.ended_at);
        }
        for raised in episodes.values() {
            if let Some(slot) = self.watch.names.slot(&raised.user) {
                lesson.leave_out(slot, raised);
            }
        }
        match &self.disk {
            Some((dir, _)) => {
                let reader = Reader::open(&dir.0.join("a.db")).unwrap();
                study(&reader, SOURCE, self.watch.memory.seq, &mut lesson).unwrap();
            }
            None => {
                for past in lesson.hours() {
                    lesson.begin(&past);
                    let mut column = vec![Reading::NOT_POLLED; USERS.len()];
                    for kept in &self.polls {
                        lesson.poll(kept.at, kept.elapsed, &said(&mut column, kept));
                    }
                }
            }
        }
        self.watch.learn(lesson);
    }

    fn take(&mut self, outcome: Outcome, usable: PollOutcome) {
        self.events.extend(outcome.events.iter().map(|event| Event::clone(event)));
        if let Some(row) = &outcome.poll {
            let read = |(key, alert): (&String, &String)| {
                (serde_json::from_str(key).unwrap(), serde_json::from_str(alert).unwrap())
            };
            let mut alerts = self.alerts.iter().map(read).collect();
            row.lay_moves(&mut alerts);
            let written =
                |(key, alert)| (serde_json::to_string(&key).unwrap(), serde_json::to_string(&alert).unwrap());
            self.alerts = alerts.into_iter().map(written).collect();
        }
        for (key, alert) in &outcome.alerts {
            self.alerts.insert(serde_json::to_string(key).unwrap(), serde_json::to_string(&**alert).unwrap());
        }
        if let Some(row) = &outcome.poll {
            self.names.extend(row.new_names.iter().map(str::to_owned));
            self.rosters.extend(row.roster.clone().map(|roster| (row.poll.seq, roster)));
            self.roster = row.roster.clone().or(self.roster.take());
            self.memory = serde_json::to_string(&row.memory).unwrap();
            self.polls.push(StoredPoll {
                seq: row.poll.seq,
                at: row.poll.at,
                elapsed: row.poll.elapsed,
                took: row.poll.took,
                jump: row.poll.jump,
                skew: row.poll.skew,
                requests: row.poll.requests,
                outcome: usable,
                fault: row.poll.fault.clone(),
                changes: row.changes.clone(),
                failed: row.failed.clone(),
            });
        }
        if let Some((_, Some(store))) = &self.disk {
            store.commit(outcome).wait().unwrap();
        }
    }

    /// What the timeline says happens after a poll.
    fn after(&mut self, moment: &Moment, at: Time, restarts: bool) {
        match &moment.after {
            After::Nothing => {}
            After::Restart { by_checkpoint } => {
                if restarts {
                    if *by_checkpoint {
                        self.checkpoint = Some((self.watch.memory.seq, self.watch.checkpoint().bytes()));
                    }
                    self.start(Arc::clone(&self.watch.setup));
                }
            }
            After::Reload(which) => {
                self.start(setup(&self.rules[*which]));
                let settled = reconcile(&mut self.watch, at + Span::from_secs(20));
                self.take(settled, PollOutcome::Complete);
            }
            After::Close { rule, user, rearm } => {
                let open = self.watch.alerts().into_iter().find_map(|(key, alert)| {
                    let is = key.rule == *rule && key.subject.name == USERS[*user];
                    alert.episode.filter(|_| is && alert.state != seatwatch::engine::outcome::State::Closed)
                });
                if let Some(episode) = open {
                    let act_of = Act::Close {
                        episode: episode.id.to_string(),
                        rearm: *rearm,
                        finding: None,
                        note: None,
                    };
                    let now = at + Span::from_secs(10);
                    let row = ActRow { id: 1, by: "olga".to_owned(), at: now, act: act_of };
                    let mut outcome = act(&mut self.watch, &row, now).unwrap();
                    outcome.acts.clear();
                    self.take(outcome, PollOutcome::Complete);
                }
            }
        }
    }

    /// As a process that begins: from what is kept.
    fn start(&mut self, setup: Arc<Setup>) {
        let (remembered, polls) = match &mut self.disk {
            Some((dir, store)) => {
                // The lock goes with the last of it.
                *store = None;
                let path = dir.0.join("a.db");
                let opened = Store::open(&path, Time::default()).unwrap();
                let reader = opened.reader().unwrap();
                let loaded = reader.load_source(SOURCE).unwrap();
                let remembered = Remembered {
                    names: loaded.names,
                    last: loaded.column,
                    memory: loaded.memory,
                    alerts: reader.load_alerts(Some(SOURCE)).unwrap(),
                    roster: loaded.roster,
                };
                let polls: Vec<StoredPoll> =
                    reader.polls(SOURCE, 1).unwrap().collect::<Result<_, _>>().unwrap();
                assert_eq!(polls, self.polls, "as they were written");
                *store = Some(opened);
                (remembered, polls)
            }
            None => {
                let mut last = vec![Reading::NOT_POLLED; USERS.len()];
                self.polls
                    .iter()
                    .flat_map(|kept| &kept.changes)
                    .for_each(|(slot, r)| last[*slot as usize] = *r);
                let read = |(key, alert): (&String, &String)| {
                    (serde_json::from_str(key).unwrap(), serde_json::from_str(alert).unwrap())
                };
                let remembered = Remembered {
                    names: Names::new(&self.names),
                    last,
                    memory: serde_json::from_str(&self.memory).unwrap(),
                    alerts: self.alerts.iter().map(read).collect(),
                    roster: self.roster.clone(),
                };
                (remembered, self.polls.clone())
            }
        };
        let mut watch = Watch::new(setup, remembered);
        let restored =
            self.checkpoint.as_ref().filter(|(_, bytes)| watch.restore(bytes)).map(|(seq, _)| *seq);
        let mut column = vec![Reading::NOT_POLLED; USERS.len()];
        let mut clock = Span::ZERO;
        for kept in &polls {
            let column = said(&mut column, kept);
            clock = clock + kept.elapsed;
            if Some(kept.seq) > restored {
                let usable = kept.outcome != PollOutcome::Failed;
                watch.replay(&Past { seq: kept.seq, clock, column: &column, usable });
            }
        }
        self.watch = watch;
    }

    /// The events of rules, each with the number of its step, proven by its id.
    fn in_words(&self) -> Vec<slow::Event> {
        let mut steps: BTreeMap<(String, String), u32> = BTreeMap::new();
        let mut words = Vec::new();
        for event in self.events.iter().filter(|event| !event.rule.starts_with("agent/")) {
            let step = steps.entry((event.rule.to_string(), event.subject.name.clone())).or_default();
            *step += 1;
            let id = event_id("install", &event.rule, Some(SOURCE), &event.subject, *step, event.kind);
            assert_eq!(event.id, id, "step {step} of {event:?}");
            words.push(of_event(event, *step));
        }
        words.sort_by(|a, b| (&a.rule, &a.subject, a.step_no).cmp(&(&b.rule, &b.subject, b.step_no)));
        words
    }
}

fn of_event(event: &Event, step_no: u32) -> slow::Event {
    let kind = match event.kind {
        EventKind::Fired => "Fired",
        EventKind::Ended => "Ended",
        EventKind::Changed => "Changed",
        EventKind::Closed => "Closed",
        EventKind::Reminded | EventKind::Escalated | EventKind::Acked => "another",
    };
    let reason = event.reason.map(|reason| match format!("{reason:?}").as_str() {
        "Cleared" => "Cleared",
        "LeftScope" => "LeftScope",
        "RuleRemoved" => "RuleRemoved",
        "Closed" => "Closed",
        _ => "WindowEnded",
    });
    slow::Event {
        kind,
        at: event.at.millis(),
        rule: event.rule.to_string(),
        subject: event.subject.name.clone(),
        step_no,
        value: event.value.map_or([None; 3], |v| [v.now, v.first, v.peak]),
        since: event.since.millis(),
        fired_at: event.fired_at.map_or(0, Time::millis),
        blind: event.blind.millis(),
        reason,
        limit: event.limit.as_ref().map(|Limit { value, .. }| *value),
    }
}
