//! What a poll costs without the wire: replies parsed, readings judged by three rules, states kept, one durable commit,
//! beside the least anybody could do with the same replies (parse them, write what changed), in the same run.
//!
//! CPU time of the whole process, medians over polls: wall time on shared machines says little. Users are the
//! emulator's people on a Monday morning, a poll a minute. `cargo bench -- 1000000` measures that many.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use globset::Glob;
use rustix::time::{ClockId, clock_gettime};
use seatwatch::aliyun::wire;
use seatwatch::emulator::Population;
use seatwatch::engine::event::Severity;
use seatwatch::engine::fleet::Fleet;
use seatwatch::engine::judge::judge;
use seatwatch::engine::lang::compile;
use seatwatch::engine::message::Language;
use seatwatch::engine::reading::{Batch, Fetched, Reading};
use seatwatch::engine::rule::{AbsentMeans, Hold, Mode, OnLeave, Per, Policy, Rule, Scope};
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::{Remembered, Setup, Watch, When};
use seatwatch::store::Store;

/// Monday 2026-11-23, 10:00 in Shanghai.
const START: Time = Time::from_millis(1_795_399_200_000);
const MINUTE: Span = Span::from_mins(1);
const WARM: i64 = 5;
const MEASURED: i64 = 15;

fn main() {
    let asked: Vec<u32> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![10_000, 100_000] } else { asked };
    println!("poll without the wire, ms of CPU (median of {MEASURED})");
    println!(
        "{:>9}  {:>7}  {:>7}  {:>7}  {:>7}  {:>7}  {:>6}  {:>8}",
        "users", "parse", "judge", "commit", "sum", "floor", "ratio", "peak MiB"
    );
    for users in sizes {
        row(users);
    }
}

fn cpu_ms() -> f64 {
    let at = clock_gettime(ClockId::ProcessCPUTime);
    at.tv_sec as f64 * 1e3 + at.tv_nsec as f64 / 1e6
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = cpu_ms();
    let done = work();
    (done, cpu_ms() - before)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// The replies of one poll, 50 users each, as the vendor writes them.
fn replies(population: &Population, names: &[Arc<str>], at: Time) -> Vec<String> {
    let count = |index: usize| population.count_of(u32::try_from(index).unwrap_or(0), at);
    let reply = |(number, names): (usize, &[Arc<str>])| {
        let mut body = String::from(
            "{\"RequestId\":\"14846A6A-2192-4F6A-B272-B8BD68EBC89B\",\"UserStatistics\":{\"Statistics\":[",
        );
        for (at, name) in names.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(
                body,
                "{comma}{{\"OnlineCount\":\"{}\",\"UserName\":\"{name}\"}}",
                count(number * 50 + at)
            );
        }
        body + "]}}"
    };
    names.chunks(50).enumerate().map(reply).collect()
}

fn rule(name: &str, when: &str, absent: AbsentMeans, users: &[&str]) -> Arc<Rule> {
    Arc::new(Rule {
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
        notify: vec!["soc".to_owned()],
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
    })
}

fn watch(store: &Store, names: &[Arc<str>]) -> Watch {
    let rules = vec![
        rule("shared-account", "online > limit", AbsentMeans::Hold, &[]),
        rule("gateway-offline", "online == 0", AbsentMeans::Zero, &["user-*7"]),
        rule("flapping", "peak(1h) > 3 and changes(1h) > 6", AbsentMeans::Hold, &[]),
    ];
    let setup = Setup {
        install: store.install_id().to_owned(),
        source: "bench".to_owned(),
        interval: MINUTE,
        zone: chrono_tz::Asia::Shanghai,
        fleet: Arc::new(Fleet::default()),
        rules,
        elsewhere: Vec::new(),
        users: names.to_vec(),
        roster: false,
        language: Language::En,
        own_notify: Vec::new(),
    };
    Watch::new(Arc::new(setup), Remembered::default())
}

/// Parses as the client does: the envelope first, then the entries, joined to the names by position or by name.
fn fetched(bodies: &[String], names: &[Arc<str>], at: Time) -> Fetched {
    let mut fetched = Fetched { requests: u32::try_from(bodies.len()).unwrap_or(0), ..Fetched::default() };
    for (body, names) in bodies.iter().zip(names.chunks(50)) {
        let envelope = wire::envelope(body.as_bytes()).expect("a reply");
        let entries = wire::statistics(body.as_bytes()).expect("a reply");
        let batch = u32::try_from(fetched.batches.len()).unwrap_or(0);
        for (entry, name) in entries.iter().zip(names) {
            assert_eq!(entry.name, **name);
            fetched.readings.push(entry.count.map_or(Reading::FAILED, Reading::online));
            fetched.batch_of.push(batch);
        }
        fetched.batches.push(Batch { fetched_at: at, request_id: envelope.request_id });
    }
    fetched
}

fn row(users: u32) {
    let dir = tempfile::tempdir().expect("a directory");
    let population = Population::new(42, users);
    let mut names: Vec<Arc<str>> = population.names().map(Into::into).collect();
    names.rotate_right(1);
    let store = Store::open(&dir.path().join("bench.db"), START).expect("a store");
    let mut watch = watch(&store, &names);
    let mut floor = Floor::open(&dir.path().join("floor.db"));
    let (mut parse, mut judged, mut commit, mut least) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for n in 0..WARM + MEASURED {
        let at = START + MINUTE.times(n);
        let bodies = replies(&population, &names, at);
        let (fetched, parsing) = timed(|| fetched(&bodies, &names, at));
        let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
        let (outcome, judging) = timed(|| {
            let asked = watch.asked(at);
            let poll = watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
            judge(&mut watch, poll, at)
        });
        let ((), committing) = timed(|| store.commit(outcome).wait().expect("a commit"));
        watch.names_saved();
        let ((), floor) = timed(|| floor.poll(&bodies, n));
        if n >= WARM {
            parse.push(parsing);
            judged.push(judging);
            commit.push(committing);
            least.push(floor);
        }
    }
    let (parse, judged, commit, least) = (median(parse), median(judged), median(commit), median(least));
    let sum = parse + judged + commit;
    println!(
        "{users:>9}  {parse:>7.2}  {judged:>7.2}  {commit:>7.2}  {sum:>7.2}  {least:>7.2}  {:>6.2}  {:>8.0}",
        sum / least,
        peak_mib()
    );
}

/// The least: `serde_json` into a struct, a table of last values, one row per change in one durable transaction.
struct Floor {
    last: HashMap<String, String>,
    connection: rusqlite::Connection,
}

#[derive(serde::Deserialize)]
struct Reply {
    #[serde(rename = "UserStatistics")]
    users: Users,
}

#[derive(serde::Deserialize)]
struct Users {
    #[serde(rename = "Statistics")]
    all: Vec<User>,
}

#[derive(serde::Deserialize)]
struct User {
    #[serde(rename = "UserName")]
    name: String,
    #[serde(rename = "OnlineCount")]
    count: String,
}

impl Floor {
    fn open(path: &Path) -> Self {
        let connection = rusqlite::Connection::open(path).expect("a database");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE change (user TEXT, poll INTEGER, count INTEGER);",
            )
            .expect("a table");
        Self { last: HashMap::new(), connection }
    }

    fn poll(&mut self, bodies: &[String], poll: i64) {
        let transaction = self.connection.transaction().expect("a transaction");
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO change VALUES (?1, ?2, ?3)").expect("a statement");
            for body in bodies {
                let reply: Reply = serde_json::from_str(body).expect("a reply");
                for User { name, count } in reply.users.all {
                    if self.last.get(&name) == Some(&count) {
                        continue;
                    }
                    insert.execute((&name, poll, count.parse::<u32>().expect("a count"))).expect("a row");
                    self.last.insert(name, count);
                }
            }
        }
        transaction.commit().expect("a commit");
    }
}
