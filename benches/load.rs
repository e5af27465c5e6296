//! Bad days: ten thousand alerts in one poll, and a start on a database of millions of changes.
//!
//! Neighbours: `past` commits the history. A part of its own because these rows run what surrounds the engine too: the
//! rules file, the channels' messages, and for the start the whole program.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use seatwatch::agent::{Live, clock};
use seatwatch::config::Config;
use seatwatch::engine::judge::judge;
use seatwatch::engine::names::{Names, NewNames};
use seatwatch::engine::outcome::SourceMemory;
use seatwatch::engine::reading::{Fetched, NO_BATCH, Reading};
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::{Remembered, Watch, When};
use seatwatch::store::Store;

use crate::measure::{Row, child, median, peak_mib, timed};
use crate::past::commit;
use crate::people::{MINUTE, SOURCE, START, names};

/// Users who all share their account from one poll to the next.
const ALERTS: u32 = 10_000;

pub(crate) fn alerts() -> Vec<Row> {
    let [cpu, wall, most, messages, judged, rendered] = child("load-alerts", &[]);
    let name = |what: &str| format!("{ALERTS} alerts in one poll{what}");
    let note = format!("judge {judged:.0}, render {rendered:.0}, the rest commit; {wall:.0} ms by the wall");
    let row =
        |what, unit, reached, most, note| Row { name: name(what), unit, reached, floor: None, most, note };
    vec![
        row("", "ms", cpu, Some(2_000.0), note),
        row(", peak memory", "MiB", most, Some(64.0), "of the whole process".to_owned()),
        row(", messages a channel", "", messages, Some(10.0), "of two channels, the most".to_owned()),
    ]
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
}

/// A rules file with three rules, one source, a webhook and a mailbox; its names are in `users.txt`.
fn rules_file(dir: &Path, users: &Names, endpoint: &str, first_rule: &str) -> String {
    write_private(&dir.join("secret"), "bench-secret");
    write_private(&dir.join("id"), "LTAIbench");
    let mut list = String::new();
    users.iter().for_each(|name| writeln!(list, "{name}").expect("text"));
    write_private(&dir.join("users.txt"), &list);
    let text = format!(
        r#"
[agent]
database = "{database}"
timezone = "Asia/Shanghai"
[[account]]
name = "main"
access_key_id = {{ file = "{dir}/id" }}
access_key_secret = {{ file = "{dir}/secret" }}
requests_per_second = 100
[[source]]
name = "{SOURCE}"
kind = "aliyun-sag"
region = "cn-shanghai"
instance = "sag-bench"
schedule = "* * * * *"
users_file = "{dir}/users.txt"
endpoint = "{endpoint}"
[[rule]]
name = "shared-account"
when = "online > limit"
limit = 3
{first_rule}
notify = ["hook", "mail"]
[[rule]]
name = "gateway-offline"
when = "online == 0"
users = ["user-*7"]
absent = "zero"
for = "10m"
notify = ["hook", "mail"]
[[rule]]
name = "flapping"
when = "peak(1h) > 9 and changes(1h) > 6"
notify = ["hook", "mail"]
[[channel]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:9/hook"
allow_private = true
[[channel]]
name = "mail"
kind = "email"
server = "127.0.0.1"
port = 9
tls = "none"
from = "Seatwatch <alerts@example.com>"
to = ["soc@example.com"]
"#,
        database = dir.join("past.db").display(),
        dir = dir.display(),
    );
    write_private(&dir.join("rules.toml"), &text);
    text
}

fn live(dir: &Path, text: &str, install: &str) -> Live {
    let config = Config::parse(text, "rules.toml", dir, START).unwrap_or_else(|problems| {
        panic!("{:?}", problems.errors.iter().map(ToString::to_string).collect::<Vec<_>>())
    });
    Live::open(config, install).expect("channels and sources")
}

fn fetched(readings: Vec<Reading>) -> Fetched {
    Fetched { batch_of: vec![NO_BATCH; readings.len()].into(), readings, ..Fetched::default() }
}

/// Milliseconds of CPU and by the wall, the peak in MiB, messages a channel, and of the CPU time judging and rendering.
pub(crate) fn measure_alerts(_: &[String]) -> Vec<f64> {
    let dir = tempfile::tempdir().expect("a directory");
    let users = names(ALERTS);
    let text = rules_file(dir.path(), &users, "http://127.0.0.1:9", "");
    let store = Store::open(&dir.path().join("past.db"), START).expect("a store");
    let live = live(dir.path(), &text, store.install_id());
    drop((users, text));
    let setup = live.setup(SOURCE).expect("the source");
    let mut watch = Watch::new(Arc::clone(setup), Remembered::default());
    let mut figures = Vec::new();
    for n in 0..3 {
        let at = START + MINUTE.times(n);
        let asked = watch.asked(at);
        let count = if n < 2 { 1 } else { 9 };
        let poll = fetched(vec![Reading::online(count); asked.len()]);
        let elapsed = if n == 0 { Span::ZERO } else { MINUTE };
        let poll = watch.poll(poll, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
        let started = Instant::now();
        let (mut outcome, judged) = timed(|| judge(&mut watch, poll, at));
        let ((), rendered) = timed(|| outcome.notifications = live.render(&outcome, at));
        let fired = outcome.events.len();
        let of = |channel: &str| outcome.notifications.iter().filter(|one| one.channel == channel).count();
        let messages = of("hook").max(of("mail"));
        let ((), committed) = timed(|| store.commit(outcome).wait().expect("a commit"));
        watch.names_saved();
        let wall = started.elapsed().as_secs_f64() * 1e3;
        assert_eq!(fired, if n < 2 { 0 } else { ALERTS as usize });
        figures = vec![judged + rendered + committed, wall, peak_mib(), messages as f64, judged, rendered];
    }
    figures
}

const STARTED: u32 = 100_000;
/// Stored changes a poll, and polls: ten million in all, the last 63 after the newest checkpoint.
const TURNED: u32 = 700;
const POLLS: u64 = 14_399;

pub(crate) fn start() -> Vec<Row> {
    let dir = tempfile::tempdir().expect("a directory");
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", server.local_addr().expect("an address"));
    let users = names(STARTED);
    let text = rules_file(dir.path(), &users, &endpoint, "for = \"10m\"");
    let changes = fill(dir.path(), users, &text);
    let program = env!("CARGO_BIN_EXE_seatwatch");
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let started = Instant::now();
        let mut process = Command::new(program)
            .args(["-c", &dir.path().join("rules.toml").display().to_string(), "run"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        let (socket, _) = server.accept().expect("its first request");
        let mut request = String::new();
        BufReader::new(&socket).read_line(&mut request).expect("its first line");
        walls.push(started.elapsed().as_secs_f64() * 1e3);
        cpus.push(cpu_of(process.id()));
        assert!(request.contains("UserNames.1="), "{request}");
        drop(socket);
        stop(&mut process, &server);
    }
    let note = format!(
        "by the wall, to the first request; CPU {:.0} ms; {} users, {:.1} million changes, 63 polls after the checkpoint",
        median(cpus),
        STARTED,
        changes as f64 / 1e6
    );
    let name = "start on 10 million changes to the first poll".to_owned();
    vec![Row { name, unit: "ms", reached: median(walls), floor: None, most: Some(1_000.0), note }]
}

/// Ends it as a service manager does, so that the next start is a clean one, and forgets what it still asked.
fn stop(process: &mut Child, server: &TcpListener) {
    let id = i32::try_from(process.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is there");
    process.wait().expect("its end");
    server.set_nonblocking(true).expect("a listener");
    while server.accept().is_ok() {}
    server.set_nonblocking(false).expect("a listener");
}

/// Milliseconds of CPU that another process has used.
fn cpu_of(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok());
    ticks.sum::<f64>() * 10.0
}

/// Polls up to ten minutes ago, the last of them judged as the agent does.
fn fill(dir: &Path, users: Arc<Names>, text: &str) -> u64 {
    let store = Store::open(&dir.join("past.db"), START).expect("a store");
    let end = Time::from_millis(clock::now().millis() / 60_000 * 60_000) - Span::from_mins(10);
    let at = |seq: u64| end - MINUTE.times((POLLS - seq).cast_signed());
    let judged_from = POLLS - 63 - 64;
    let (mut memory, mut last) = (SourceMemory::default(), vec![Reading::NOT_POLLED; users.len()]);
    let (mut readings, mut random) = (vec![Reading::online(1); users.len()], 1_u32);
    let mut turn = |readings: &mut Vec<Reading>| {
        for _ in 0..TURNED {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let slot = (random >> 8) as usize % readings.len();
            readings[slot] = Reading::online(1 - readings[slot].count().unwrap_or(0));
        }
    };
    let mut changes = 0;
    for seq in 1..judged_from {
        turn(&mut readings);
        let from = if seq == 1 { 0 } else { users.len() };
        let new_names = NewNames { names: Arc::clone(&users), from };
        changes += commit(&store, &new_names, readings.clone(), &mut last, &mut memory, at(seq));
    }
    let live = live(dir, text, store.install_id());
    let remembered = Remembered { names: Names::clone(&users), last, memory, ..Remembered::default() };
    let mut watch = Watch::new(Arc::clone(live.setup(SOURCE).expect("the source")), remembered);
    for seq in judged_from..=POLLS {
        turn(&mut readings);
        let asked = watch.asked(at(seq));
        let when = When { at: at(seq), elapsed: MINUTE, jump: None, took: Span::ZERO };
        let poll = watch.poll(fetched(readings.clone()), &asked, when);
        let mut outcome = judge(&mut watch, poll, at(seq));
        outcome.notifications = live.render(&outcome, at(seq));
        changes += outcome.poll.as_ref().map_or(0, |row| row.changes.len() as u64);
        store.commit(outcome).wait().expect("a commit");
    }
    changes
}
