//! The emulator's people as the vendor would report them, and the rules that watch them.
//!
//! Neighbours: the rows' files poll them, the floor reads the same replies. A part of its own so that all rows are about
//! the same people: on a Monday morning, a poll a minute.

use std::fmt::Write as _;
use std::sync::Arc;

use globset::Glob;
use seatwatch::aliyun::wire;
use seatwatch::emulator::Population;
use seatwatch::engine::event::Severity;
use seatwatch::engine::fleet::Fleet;
use seatwatch::engine::lang::compile;
use seatwatch::engine::message::Language;
use seatwatch::engine::names::{Asked, Names};
use seatwatch::engine::reading::{Batch, Fetched, Reading};
use seatwatch::engine::rule::{AbsentMeans, Hold, Mode, OnLeave, Per, Policy, Rule, Scope};
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::Setup;

/// Monday 2026-11-23, 10:00 in Shanghai.
pub(crate) const START: Time = Time::from_millis(1_795_399_200_000);
pub(crate) const MINUTE: Span = Span::from_mins(1);
/// Users a request.
pub(crate) const BATCH: u32 = 50;
pub(crate) const SOURCE: &str = "bench";

pub(crate) fn population(users: u32) -> Population {
    Population::new(42, users)
}

/// By slot, which is one less than the number in the name.
pub(crate) fn names(users: u32) -> Arc<Names> {
    let mut names = Names::default();
    let mut name = String::new();
    for number in 1..=users {
        name.clear();
        let _ = write!(name, "user-{number:04}");
        names.slot_or_add(&name);
    }
    Arc::new(names)
}

/// The reply for 50 users as the vendor writes it, into `body`; `batch` counts from 0.
pub(crate) fn reply(population: &Population, users: u32, batch: u32, at: Time, body: &mut String) {
    body.clear();
    body.push_str("{\"RequestId\":\"");
    let _ = write!(body, "{batch:08X}-2192-4F6A-B272-{:012X}", at.millis());
    body.push_str("\",\"UserStatistics\":{\"Statistics\":[");
    let first = batch * BATCH + 1;
    for number in first..(first + BATCH).min(users + 1) {
        let comma = if number == first { "" } else { "," };
        let count = population.count_of(number, at);
        let _ = write!(body, "{comma}{{\"OnlineCount\":\"{count}\",\"UserName\":\"user-{number:04}\"}}");
    }
    body.push_str("]}}");
}

/// Reads a reply as the client does and joins it to the names as a source does.
pub(crate) fn take(body: &[u8], asked: &Asked, at: Time, fetched: &mut Fetched) {
    let (envelope, entries) = wire::statistics(body).expect("a reply");
    let batch = u32::try_from(fetched.batches.len()).expect("few batches");
    for entry in &entries {
        assert_eq!(*entry.name, *asked.name(fetched.readings.len()));
        fetched.readings.push(entry.count.map_or(Reading::FAILED, Reading::online));
    }
    let places = fetched.readings.len() - entries.len()..fetched.readings.len();
    fetched.batch_of.put(places.start as u32..places.end as u32, batch);
    fetched.batches.push(Batch { fetched_at: at, request_id: envelope.request_id.map(Into::into) });
    fetched.requests += 1;
}

/// Room for everybody, as a source makes it.
pub(crate) fn room(asked: &Asked) -> Fetched {
    Fetched { readings: Vec::with_capacity(asked.len()), ..Fetched::default() }
}

pub(crate) fn rule(name: &str, when: &str, absent: AbsentMeans, users: &[&str]) -> Rule {
    Rule {
        name: name.to_owned(),
        version: name.to_owned(),
        per: Per::User,
        when_text: when.to_owned(),
        clear_when_text: None,
        when: compile(when, Per::User).expect("the benchmark's own rule"),
        clear_when: None,
        limit: Some(3),
        policy: Policy { hold: Hold::For(Span::from_mins(10)), clear_hold: Hold::For(Span::from_mins(5)) },
        severity: Severity::High,
        notify: vec!["soc".to_owned()].into(),
        repeat: None,
        max_gap: None,
        absent,
        during: None,
        on_leave: OnLeave::Hold,
        mode: Mode::Live,
        evidence_clients: false,
        scope: Scope {
            users: users.iter().map(|glob| Glob::new(glob).expect("a pattern").compile_matcher()).collect(),
            ..Scope::default()
        },
    }
}

/// A limit for all, a gateway's silence for one user in ten, a look back over an hour for all.
pub(crate) fn rules() -> Vec<Rule> {
    vec![
        rule("shared-account", "online > limit", AbsentMeans::Hold, &[]),
        rule("gateway-offline", "online == 0", AbsentMeans::Zero, &["user-*7"]),
        rule("flapping", "peak(1h) > 3 and changes(1h) > 6", AbsentMeans::Hold, &[]),
    ]
}

/// Rules for all, the first without a window; the last ten of them have one each or several.
pub(crate) fn windowed() -> Vec<Rule> {
    let texts = [
        "online > limit",
        "peak(1h) > 3 and changes(1h) > 6",
        "peak(1h) > 3 * mean(7d)",
        "mean(6h) > 2",
        "low(2h) > 1",
        "time_over(2, 7d) > 5h",
        "online_time > 12h",
        "offline_time > 3d and previous > 0",
        "previous == 0 and peak(10m) > 3",
        "peak(7d) > 4 and low(30m) > 2",
        "mean(1d) > 1.5 and changes(6h) > 9",
    ];
    let one = |(n, text): (usize, &&str)| rule(&format!("rule-{n}"), text, AbsentMeans::Hold, &[]);
    texts.iter().enumerate().map(one).collect()
}

pub(crate) fn setup(install: &str, users: Arc<Names>, rules: Vec<Rule>) -> Arc<Setup> {
    Arc::new(Setup {
        install: install.to_owned(),
        source: SOURCE.to_owned(),
        interval: MINUTE,
        zone: chrono_tz::Asia::Shanghai,
        fleet: Arc::new(Fleet::default()),
        rules: rules.into_iter().map(Arc::new).collect(),
        elsewhere: Vec::new(),
        users,
        roster: false,
        language: Language::En,
        own_notify: Vec::new().into(),
    })
}
