//! The past played again says what was told live: by rules that learn from their own past, and over users who came, left
//! and came back. Neighbours: the world in `mod`, `backtest` and `why`, which test what is printed. A part of its own
//! because here the engine first judges weeks of polls as the agent does, and every answer must be the one it gave.

use std::collections::BTreeMap;
use std::sync::Arc;

use seatwatch::agent::setup;
use seatwatch::agent::usual::{leave_out, study, told};
use seatwatch::config::Config;
use seatwatch::engine::judge::judge;
use seatwatch::engine::reading::Reading;
use seatwatch::engine::roster::Roster;
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::{Remembered, Watch, When};
use seatwatch::store::{EpisodeFilter, EpisodeRow, Reader, Retention, Store};

use super::{START, World, fetched};

const WEEK: i64 = 168;

/// One source polled each hour; `users` is its line of them.
fn rules(users: &str, rules: &str) -> String {
    format!(
        "[agent]\ntimezone = \"UTC\"\n[[source]]\nname = \"shanghai\"\nkind = \"aliyun-sag\"\nregion = \"cn-shanghai\"\n\
         instance = \"sag-1\"\nschedule = \"0 * * * *\"\n{users}\n{rules}\n"
    )
}

fn rule(name: &str, keys: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\nmode = \"shadow\"\n{keys}\n")
}

fn hour(n: i64) -> Time {
    START + Span::from_hours(n)
}

/// The agent, without its network.
struct Live<'w> {
    world: &'w World,
    store: Store,
    watch: Watch,
}

impl<'w> Live<'w> {
    fn new(world: &'w World) -> Self {
        let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
        let config = Config::load(&world.path("rules.toml"), START).unwrap();
        let fleet = Arc::new(config.fleet.clone());
        let setup = Arc::new(setup(&config, &config.sources[0], &fleet, store.install_id()));
        Self { world, watch: Watch::new(setup, Remembered::default()), store }
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.world.path("seatwatch.db")).unwrap()
    }

    fn roster(&mut self, n: i64, users: &[&str]) {
        let users = users.iter().map(|user| ((*user).into(), Some(true))).collect();
        self.watch.take_roster(&Roster { at: hour(n), users });
    }

    /// The poll of an hour.
    fn poll(&mut self, n: i64, said: impl Fn(&str) -> Reading) {
        let at = hour(n);
        let asked = self.watch.asked(at);
        let readings: Vec<Reading> = asked.slots().map(|slot| said(self.watch.names.name(slot))).collect();
        let fetched = fetched(n, at, readings);
        if let Some(mut lesson) = self.watch.lesson(at) {
            let reader = self.reader();
            if self.watch.memory.seq > 0 {
                let asking = lesson.rules().map(|rule| (rule.to_owned(), None)).collect();
                leave_out(&self.watch, &mut lesson, &told(&reader, "shanghai", asking).unwrap());
                study(&reader, "shanghai", self.watch.memory.seq, &mut lesson).unwrap();
            }
            self.watch.learn(lesson);
        }
        let elapsed = if n == 0 { Span::ZERO } else { Span::from_hours(1) };
        let poll = self.watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
        let outcome = judge(&mut self.watch, poll, at);
        self.store.commit(outcome).wait().unwrap();
        self.watch.names_saved();
    }

    fn episodes(&self) -> Vec<EpisodeRow> {
        self.reader().episodes(&EpisodeFilter { all: true, ..EpisodeFilter::default() }).unwrap()
    }
}

/// When each episode of a rule fired and ended, in hours, by subject: as it was told live from an hour on, and as a
/// backtest from there tells it.
#[track_caller]
fn check(live: &Live<'_>, rule: &str, since: i64, until: i64, expect: &[(&str, i64, Option<i64>)]) {
    let hours = |at: Time| at.since(START).millis() / 3_600_000;
    let mut told: Vec<(String, i64, Option<i64>)> = live
        .episodes()
        .into_iter()
        .filter(|row| row.rule == rule && row.fired_at >= Some(hour(since)))
        .map(|row| (row.subject.name, hours(row.fired_at.unwrap()), row.ended_at.map(hours)))
        .collect();
    told.sort_by_key(|(_, fired, _)| *fired);
    let expect: Vec<_> = expect.iter().map(|(name, a, b)| ((*name).to_owned(), *a, *b)).collect();
    assert_eq!(told, expect, "{rule} live, from {since}");
    let (since, until) = (hour(since).to_string(), hour(until).to_string());
    let ran = live.world.run(&["rules", "backtest", rule, "--since", &since, "--until", &until, "--diff"]);
    let same = format!("with what it raised while the agent ran: +0 -0, {} the same\n", expect.len());
    assert!(ran.out.contains(&same), "{}", ran.all());
    assert!(ran.out.contains(&format!("  episodes    {}", expect.len())), "{}", ran.all());
}

/// What `why` says of the last episode that was told.
fn why(live: &Live<'_>) -> String {
    let last = live.episodes().into_iter().max_by_key(|row| row.fired_at).unwrap();
    live.world.run(&["why", &last.episode.unwrap()]).out
}

/// Seven weeks in which alice shares at the same hour of four weeks.
fn learned(world: &World) -> Live<'_> {
    let mut live = Live::new(world);
    for n in 0..7 * WEEK {
        let shares = |user: &str| user == "alice" && n / WEEK >= 3 && n % WEEK == 10;
        live.poll(n, |user| Reading::online(if shares(user) { 4 } else { 1 }));
    }
    live
}

#[test]
fn what_a_rule_raised_is_not_usual_to_it_in_a_backtest_either() {
    let odd = rule("odd", "when = \"online > usual(0.9)\"");
    let world = World::new(&rules("users = [\"alice\", \"bob\"]", &odd));
    let live = learned(&world);
    let all: Vec<_> = (3..7).map(|week| ("alice", week * WEEK + 10, Some(week * WEEK + 11))).collect();
    for since in [0, 3, 4, 5, 6] {
        check(&live, "odd", since * WEEK, 7 * WEEK, &all[(usize::try_from(since).unwrap().max(3) - 3)..]);
    }
    let said = why(&live);
    assert!(said.contains("usual(0.9): 1; online > usual(0.9): true"), "{said}");
    assert!(!said.contains("Played again"), "{said}");
    // Where the readings of then are gone it is not known, and nothing says that it was not so.
    let kept = Retention { readings: Span::from_days(21), ..Retention::default() };
    while live.store.prune(hour(7 * WEEK), kept, 1000).wait().unwrap().more {}
    let said = why(&live);
    assert!(said.contains("usual(0.9): unknown"), "{said}");
    assert!(said.contains("Played again, it cannot be told: readings of the four weeks"), "{said}");
    let (since, until) = (hour(5 * WEEK).to_string(), hour(7 * WEEK).to_string());
    let ran = world.run(&["rules", "backtest", "odd", "--since", &since, "--until", &until]);
    assert!(ran.out.contains("  `usual` unknown up to 2025-01-10 23:00:00 UTC"), "{}", ran.all());
}

#[test]
fn who_leaves_the_roster_and_returns_is_no_member_meanwhile() {
    let shared = rule("shared", "when = \"online > 2\"");
    let alone = rule("alone", "per = \"source\"\nabsent = \"hold\"\nwhen = \"members < 2\"");
    let world = World::new(&rules("roster = true", &(shared + &alone)));
    let mut live = Live::new(&world);
    let shares = |n: i64| (20..30).contains(&n) || (200..210).contains(&n);
    for n in 0..2 * WEEK {
        match n {
            0 | 200 => live.roster(n, &["alice", "bob"]),
            30 => live.roster(n, &["bob"]),
            _ => {}
        }
        live.poll(n, |user| Reading::online(if user == "alice" && shares(n) { 4 } else { 1 }));
    }
    let twice = [("alice", 20, Some(30)), ("alice", 200, Some(210))];
    check(&live, "shared", 0, 2 * WEEK, &twice);
    check(&live, "shared", 100, 2 * WEEK, &twice[1..]);
    check(&live, "alone", 0, 2 * WEEK, &[("shanghai", 30, Some(200))]);
    let first = live.episodes().into_iter().find(|row| row.fired_at == Some(hour(20))).unwrap();
    let said = world.run(&["why", &first.episode.unwrap()]).out;
    assert!(said.contains("not covered") && !said.contains("Played again"), "{said}");
}

#[test]
fn who_is_listed_only_now_was_no_member_then() {
    let empty = rule("empty", "per = \"source\"\nabsent = \"hold\"\nwhen = \"users_online < members * 0.5\"");
    let many = rule("many", "per = \"source\"\nabsent = \"hold\"\nwhen = \"members > 2\"");
    let of = |users: &str| rules(&format!("users = [{users}]"), &(empty.clone() + &many));
    let world = World::new(&of("\"u1\", \"u2\""));
    let mut live = Live::new(&world);
    (0..2 * WEEK).for_each(|n| live.poll(n, |_| Reading::online(1)));
    std::fs::write(world.path("rules.toml"), of("\"u1\", \"u2\", \"u3\", \"u4\", \"u5\", \"u6\", \"u7\""))
        .unwrap();
    check(&live, "empty", 0, 2 * WEEK, &[]);
    check(&live, "many", 0, 2 * WEEK, &[]);
    let (since, until) = (hour(0).to_string(), hour(2 * WEEK).to_string());
    let ran = world.run(&["rules", "backtest", "--since", &since, "--until", &until]);
    assert!(ran.out.contains("unknown for most of the time: 5 users: u3 (never known)"), "{}", ran.all());
}

#[test]
fn whom_the_vendor_refuses_stays_a_member() {
    let two = rule("two", "per = \"source\"\nabsent = \"hold\"\nwhen = \"members < 2\"");
    let shared = rule("shared", "when = \"online > 2\"");
    let world = World::new(&rules("users = [\"alice\", \"bob\"]", &(shared + &two)));
    let mut live = Live::new(&world);
    for n in 0..100 {
        let asked = live.watch.asked(hour(n));
        if n == 20 {
            live.watch.quarantine(&asked, &[0], hour(n));
        }
        let last = if n < 60 { 4 } else { 1 };
        live.poll(n, |user| Reading::online(if user == "alice" && n > 10 { last } else { 1 }));
    }
    let names: BTreeMap<String, usize> = live.episodes().into_iter().fold(BTreeMap::new(), |mut all, row| {
        *all.entry(row.rule).or_default() += 1;
        all
    });
    assert_eq!(names.get("agent/name-refused"), Some(&1), "{names:?}");
    check(&live, "shared", 0, 100, &[("alice", 11, Some(60))]);
    check(&live, "two", 0, 100, &[]);
}
