//! The commands as people and scripts use them: the real binary on a directory with a rules file and a database that
//! the engine filled. The modules below share the world that stands here; snapshots hold what is printed.

mod as_live;
mod backtest;
mod backtest_unknown;
mod check;
mod db;
mod history;
mod suggest;
mod trials;
mod users;
mod why;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use seatwatch::agent::setup;
use seatwatch::config::Config;
use seatwatch::engine::judge::judge;
use seatwatch::engine::names::Asked;
use seatwatch::engine::reading::{Batch, Fetched, Reading};
use seatwatch::engine::time::{Span, Time};
use seatwatch::engine::watch::{Remembered, Watch, When};
use seatwatch::store::Store;

/// 2024-11-23T00:00:00Z, 08:00 in Shanghai.
const START: Time = Time::from_millis(1_732_320_000_000);

/// Two sources, of which both have a bob; groups, an exception, rules of all three kinds.
const RULES: &str = r#"
[agent]
timezone = "Asia/Shanghai"
notify = ["hook"]

[[account]]
name = "main"
access_key_id = { env = "SEATWATCH_TEST_ID" }
access_key_secret = { env = "SEATWATCH_TEST_SECRET" }

[[source]]
name = "shanghai"
kind = "aliyun-sag"
region = "cn-shanghai"
instance = "sag-1"
schedule = "*/5 * * * *"
users = ["alice", "bob", "ext-ann", "lobby-kiosk", "gateway-1", "n.g"]

[[source]]
name = "beijing"
kind = "aliyun-sag"
region = "eu-central-1"
instance = "sag-2"
schedule = "*/10 8-18 * * Mon-Fri"
timezone = "Europe/Berlin"
users = ["bob"]

[[group]]
name = "contractors"
users = ["ext-*"]
limit = 1

[[exception]]
user = "lobby-kiosk"
limit = 6
reason = "shared terminal"
owner = "it-ops"
expires = 2999-12-31

[[rule]]
name = "shared-account"
when = "online > limit"
limit = 2
for = "10m"
severity = "high"
except = ["gateway-*"]

[[rule]]
name = "strict"
when = "online > limit and peak(1h) > 1"
limit = 1
users = ["bob"]
sources = ["shanghai"]
mode = "shadow"

[[rule]]
name = "seats"
per = "source"
when = "total > 180"
for = "3 of 5 polls"
absent = "hold"
notify = ["hook"]

[[channel]]
name = "hook"
kind = "webhook"
url = { env = "SEATWATCH_TEST_URL" }
secret = { env = "SEATWATCH_TEST_HOOK" }
"#;

/// What a command said and how it ended.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// The one JSON value on stdout, laid out for reading.
    #[track_caller]
    fn json(&self) -> String {
        let value: serde_json::Value = serde_json::from_str(&self.out).unwrap();
        masked(&serde_json::to_string_pretty(&value).unwrap())
    }

    /// All of it, for a snapshot.
    fn all(&self) -> String {
        let code = self.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        masked(&format!("exit {code}\n--- stdout\n{}--- stderr\n{}", self.out, self.err))
    }
}

/// Ids are another installation's at every run.
fn masked(text: &str) -> String {
    let mut text = text.to_owned();
    for kind in ["ep_", "evt_", "ntf_"] {
        let mut parts = text.split(kind);
        let mut shown = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|c: char| matches!(c, 'a'..='z' | '2'..='7'));
            shown.push_str(kind);
            shown.push_str(if part.len() - rest.len() < 10 { part } else { rest });
        }
        text = shown;
    }
    text
}

struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new(rules: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("rules.toml"), rules).unwrap();
        Self { directory }
    }

    /// As [`Self::new`] with [`RULES`], and polled for a while.
    fn polled() -> Self {
        let world = Self::new(RULES);
        let store = Store::open(&world.path("seatwatch.db"), START).unwrap();
        let columns = [
            "1 1 1 1 1 ~",
            "3 1 1 4 1 ~",
            "3 2 - 4 1 ~",
            "3 2 - 4 1 ~",
            "_ _ _ _ _ ~",
            "_ _ _ _ _ ~",
            "_ _ _ _ _ ~",
            "4 _ 1 5 0 ~",
        ];
        world.play(&store, "shanghai", &columns);
        world.play(&store, "beijing", &["2"]);
        world
    }

    /// A poll every 5 minutes, one word a user as in `lifecycle`; `~` is a name the vendor refused.
    fn play(&self, store: &Store, source: &str, columns: &[&str]) {
        self.play_from(START, store, source, columns);
    }

    /// As [`Self::play`] from another time on.
    fn play_from(&self, start: Time, store: &Store, source: &str, columns: &[&str]) -> Watch {
        let config = Config::load(&self.path("rules.toml"), START).unwrap();
        let fleet = Arc::new(config.fleet.clone());
        let settings = config.sources.iter().find(|s| s.name == source).unwrap();
        let setup = Arc::new(setup(&config, settings, &fleet, store.install_id()));
        let mut watch = Watch::new(setup, Remembered::default());
        go_on(&mut watch, start, store, 0, columns);
        watch
    }
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatwatch"));
        command.current_dir(self.directory.path()).args(arguments).stdin(Stdio::null());
        for name in ["SEATWATCH_CONFIG", "RUST_LOG", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the program; the directory's name reads `DIR`.
    fn run(&self, arguments: &[&str]) -> Ran {
        self.finish(self.command(arguments))
    }

    fn finish(&self, mut command: Command) -> Ran {
        let output = command.output().unwrap();
        let directory = self.directory.path().display().to_string();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&directory, "DIR");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Polls from the one of number `first` on, counted from `start`.
fn go_on(watch: &mut Watch, start: Time, store: &Store, first: usize, columns: &[&str]) {
    for (n, column) in (first..).zip(columns) {
        let at = start + Span::from_mins(5).times(i64::try_from(n).unwrap());
        let elapsed = if n == 0 { Span::ZERO } else { Span::from_mins(5) };
        let readings: Vec<Reading> = column
            .split_whitespace()
            .map(|word| match word {
                "-" => Reading::ABSENT,
                "_" => Reading::FAILED,
                "~" => Reading::NOT_POLLED,
                count => Reading::online(count.parse().unwrap()),
            })
            .collect();
        let asked: Vec<u32> = (0..u32::try_from(readings.len()).unwrap()).collect();
        let refused: Vec<u32> =
            asked.iter().copied().filter(|i| readings[*i as usize] == Reading::NOT_POLLED).collect();
        let fetched = fetched(n, at, readings);
        let asked = Asked::new(Arc::clone(&watch.names), asked);
        watch.quarantine(&asked, &refused, at);
        let poll = watch.poll(fetched, &asked, When { at, elapsed, jump: None, took: Span::ZERO });
        store.commit(judge(watch, poll, at)).wait().unwrap();
        watch.names_saved();
    }
}

/// What one request brought, the `n`-th of a test.
fn fetched(n: impl std::fmt::Display, fetched_at: Time, readings: Vec<Reading>) -> Fetched {
    Fetched {
        batch_of: vec![0; readings.len()].into(),
        readings,
        batches: vec![Batch { fetched_at, request_id: Some(format!("R{n}").into()) }],
        requests: 1,
        ..Fetched::default()
    }
}

/// A wrong use: exit code and message, in a line each.
#[track_caller]
fn refused(world: &World, arguments: &[&str], code: i32, says: &str) {
    let ran = world.run(arguments);
    assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{arguments:?}: {}", ran.err);
    assert!(ran.err.contains(says), "{arguments:?} should say {says:?}: {}", ran.err);
}
