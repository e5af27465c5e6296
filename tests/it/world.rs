//! A whole agent in a test: database, emulator, receivers of webhooks, and a clock that only the test moves.
//!
//! Neighbours: `agent` and `process` tell their stories in it. A part of its own so that a story says what happens and
//! not how it is set up. A world that ends with something left in the outbox objects, unless the test said why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use seatwatch::agent::{Agent, Collected, Live};
use seatwatch::config::Config;
use seatwatch::emulator::{Clock, Emulator, Settings};
use seatwatch::engine::elapsed::ClockReading;
use seatwatch::engine::event::Event;
use seatwatch::engine::outcome::Act;
use seatwatch::engine::time::{Span, Time};
use seatwatch::store::{
    EpisodeFilter, NotificationRow, OutboxFilter, OutboxState, Reader, Store, StoreError,
};
use serde_json::Value;

use crate::support::door::Door;
use crate::support::http::{self, Posted};

/// 2026-11-23T00:00:00Z, a Monday; minute 0 of every story.
pub(crate) const START: Time = Time::from_millis(1_795_392_000_000);

pub(crate) fn minute(n: i64) -> Time {
    START + Span::from_mins(n)
}

/// A directory that goes with the test.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("seatwatch-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn secret(&self, name: &str, value: &str) {
        let path = self.path(name);
        std::fs::write(&path, value).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An answer that is given only when another one is put in its place.
pub(crate) const HELD: u16 = 1;

/// A receiver of webhooks that answers as it is told to and keeps everything.
pub(crate) struct Inbox {
    pub(crate) port: u16,
    _door: Door,
    state: Arc<(Mutex<Kept>, Condvar)>,
}

struct Kept {
    /// 0 keeps the sender waiting until it goes away, [`HELD`] until there is another.
    status: u16,
    posted: Vec<(Posted, u16)>,
    taken: usize,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let state =
            Arc::new((Mutex::new(Kept { status: 200, posted: Vec::new(), taken: 0 }), Condvar::new()));
        let shared = Arc::clone(&state);
        let door = Door::open(move |socket| answer(socket, &shared));
        Self { port: door.port, _door: door, state }
    }

    /// From now on.
    pub(crate) fn answers(&self, status: u16) {
        self.state.0.lock().unwrap().status = status;
        self.state.1.notify_all();
    }

    /// Everything since the last call.
    pub(crate) fn take(&self) -> Vec<Posted> {
        let mut kept = self.state.0.lock().unwrap();
        let (from, to) = (kept.taken, kept.posted.len());
        kept.taken = to;
        kept.posted[from..].iter().map(|(posted, _)| posted.clone()).collect()
    }

    /// How many were ever posted.
    pub(crate) fn count(&self) -> usize {
        self.state.0.lock().unwrap().posted.len()
    }

    /// Everything ever, with the answer that was given.
    pub(crate) fn all(&self) -> Vec<(Posted, u16)> {
        self.state.0.lock().unwrap().posted.clone()
    }

    /// Waits until `holds` of everything ever posted; panics after `seconds`.
    #[track_caller]
    pub(crate) fn wait(&self, seconds: u64, holds: impl Fn(&[(Posted, u16)]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let mut kept = self.state.0.lock().unwrap();
        while !holds(&kept.posted) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not within {seconds} s; posted so far: {}", kept.posted.len());
            kept = self.state.1.wait_timeout(kept, left).unwrap().0;
        }
    }
}

fn answer(socket: std::net::TcpStream, shared: &(Mutex<Kept>, Condvar)) {
    let mut socket = BufReader::new(socket);
    let Some(posted) = http::read(&mut socket) else { return };
    let status = {
        let mut kept = shared.0.lock().unwrap();
        let (status, place) = (kept.status, kept.posted.len());
        kept.posted.push((posted, status));
        shared.1.notify_all();
        if status == HELD {
            kept = shared.1.wait_while(kept, |kept| kept.status == HELD).unwrap();
            kept.posted[place].1 = kept.status;
        }
        kept.posted[place].1
    };
    let socket = socket.get_mut();
    if status == 0 {
        let _ = socket.read(&mut [0]);
        return;
    }
    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let _ = socket.write_all(text.as_bytes());
}

/// A body as JSON.
pub(crate) fn body(posted: &Posted) -> Value {
    serde_json::from_slice(&posted.body).unwrap()
}

/// What was posted, a line each: the kind, the rule, and each subject.
pub(crate) fn story(posted: &[Posted]) -> String {
    let mut lines = String::new();
    for posted in posted {
        let body = body(posted);
        let kind = body["type"].as_str().unwrap().trim_start_matches("alert.").to_owned();
        let mut line = format!("{kind} {}", body["data"]["rule"].as_str().unwrap_or("mixed"));
        for event in body["data"]["events"].as_array().unwrap() {
            let _ = write!(line, " {}", event["subject"]["name"].as_str().unwrap());
            if let Some(reason) = event["reason"].as_str().filter(|reason| *reason != "cleared") {
                let _ = write!(line, "({reason})");
            }
        }
        let _ = writeln!(lines, "{line}");
    }
    lines.trim_end().to_owned()
}

/// Users' counts, a word a minute: a number, or `-` for a name that is left out.
pub(crate) fn counts(user: &str, timeline: &str) -> String {
    let step = |(n, word): (usize, &str)| match word {
        "-" => format!("['{n}m', 'absent']"),
        count => format!("['{n}m', {count}]"),
    };
    let steps: Vec<String> = timeline.split_whitespace().enumerate().map(step).collect();
    let steps = steps.join(", ").replace("'0m'", "0").replace('\'', "\"");
    format!("[[user]]\nname = \"{user}\"\nonline = [{steps}]\n")
}

/// A fault of the endpoint for some minutes.
pub(crate) fn fault(from: u32, minutes: u32, rest: &str) -> String {
    let after = if from == 0 { "0".to_owned() } else { format!("\"{from}m\"") };
    format!("[[fault]]\nafter = {after}\nfor = \"{minutes}m\"\n{rest}\n")
}

/// The agent and everything around it.
pub(crate) struct World {
    pub(crate) dir: Dir,
    pub(crate) inboxes: BTreeMap<&'static str, Inbox>,
    pub(crate) endpoint: String,
    hand: Arc<AtomicI64>,
    agent: Option<Agent>,
    leftovers: AtomicBool,
}

impl World {
    /// `rules` goes below the agent and account tables, which are the same for all; `CHANNELS` and sources are added
    /// by [`World::rules`].
    pub(crate) async fn new(scenario: &str, rules: &str) -> Self {
        Self::with_channels(scenario, rules, &["soc"]).await
    }

    pub(crate) async fn with_channels(scenario: &str, rules: &str, channels: &[&'static str]) -> Self {
        let mut world = Self::idle(scenario, channels);
        world.write(rules);
        world.start().await;
        world
    }

    /// Everything but the agent.
    pub(crate) fn idle(scenario: &str, channels: &[&'static str]) -> Self {
        let hand = Arc::new(AtomicI64::new(START.millis()));
        let reads = Arc::clone(&hand);
        let clock: Clock = Arc::new(move || Time::from_millis(reads.load(Ordering::Relaxed)));
        Self::around(scenario, channels, hand, clock)
    }

    pub(crate) fn around(
        scenario: &str,
        channels: &[&'static str],
        hand: Arc<AtomicI64>,
        clock: Clock,
    ) -> Self {
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            scenario: scenario.parse().unwrap(),
            ..Settings::default()
        };
        let start = clock();
        let (address, emulator) = Emulator::bind(settings, start, clock).unwrap();
        tokio::spawn(emulator.serve(std::future::pending()));
        let dir = Dir::new();
        dir.secret("id", "testid");
        dir.secret("key", "testsecret");
        Self {
            dir,
            inboxes: channels.iter().map(|name| (*name, Inbox::new())).collect(),
            endpoint: format!("http://{address}"),
            hand,
            agent: None,
            leftovers: AtomicBool::new(false),
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path("seatwatch.db")
    }

    pub(crate) fn rules_file(&self) -> PathBuf {
        self.dir.path("rules.toml")
    }

    /// Writes the rules file. A `source(users)` line becomes a whole source.
    pub(crate) fn write(&self, rules: &str) {
        std::fs::write(self.rules_file(), self.rules(rules)).unwrap();
    }

    pub(crate) fn rules(&self, rules: &str) -> String {
        let named = |name: &str| rules.contains(&format!("without {name}\n"));
        let channels: Vec<&str> = self.inboxes.keys().copied().filter(|name| !named(name)).collect();
        let mut text = format!(
            "[agent]\nnotify = {channels:?}\n[[account]]\nname = \"main\"\naccess_key_id = {{ file = \"id\" }}\n\
             access_key_secret = {{ file = \"key\" }}\nrequests_per_second = 100\nburst = 1000\n"
        );
        for name in channels {
            let port = self.inboxes[name].port;
            let _ = write!(
                text,
                "[[channel]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\"\n\
                 allow_private = true\ntimeout = \"5s\"\n"
            );
        }
        for line in rules.lines().filter(|line| !line.starts_with("without ")) {
            match line.strip_prefix("source ").and_then(|rest| rest.split_once(' ')) {
                Some((name, users)) => {
                    let (schedule, users) =
                        users.split_once(" every ").map_or(("* * * * *", users), |(users, at)| (at, users));
                    // A request that fails is tried again within the budget, in real time.
                    let budget = if users.len() > 1000 { "30s" } else { "1s" };
                    let _ = writeln!(
                        text,
                        "[[source]]\nname = \"{name}\"\nkind = \"aliyun-sag\"\nregion = \"cn-shanghai\"\n\
                         instance = \"sag-demo\"\nendpoint = \"{}\"\nbudget = \"{budget}\"\nschedule = \"{schedule}\"\n\
                         users = [{users}]",
                        self.endpoint
                    );
                }
                None => text += &format!("{line}\n"),
            }
        }
        text
    }

    pub(crate) fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_millis(self.hand.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, now: Time) {
        self.hand.store(now.millis(), Ordering::Relaxed);
    }

    /// To be called once the rules file is written.
    pub(crate) async fn start(&mut self) {
        let now = self.now();
        let config = Config::load(&self.rules_file(), now).unwrap_or_else(|e| panic!("{}", e.draw(false)));
        let store = Store::open(&self.database(), now).unwrap();
        let live = Live::open(config, store.install_id()).unwrap();
        let agent = Agent::new(store, live);
        agent.begin(now).await.unwrap();
        self.agent = Some(agent);
    }

    /// The process ends, and another one begins.
    pub(crate) async fn restart(&mut self) {
        self.agent = None;
        self.start().await;
    }

    pub(crate) async fn reload(&self, rules: &str) -> bool {
        self.write(rules);
        self.agent().reload(&self.rules_file(), self.now()).await
    }

    /// The poll of a minute.
    pub(crate) async fn poll(&self, n: i64) -> Collected {
        self.poll_of("shanghai", n).await.unwrap()
    }

    pub(crate) async fn poll_of(&self, source: &str, n: i64) -> Result<Collected, StoreError> {
        self.set(minute(n));
        self.poll_by(source, minute(n), Span::from_mins(n + 1000)).await
    }

    /// A poll at `at`, with what the boot clock shows.
    pub(crate) async fn poll_by(&self, source: &str, at: Time, boot: Span) -> Result<Collected, StoreError> {
        self.set(at);
        let clock = ClockReading { wall: at, boot, boot_id: "one".to_owned() };
        Ok(self.agent().collect_once(source, at, &clock).await?.expect("the source is in the rules file"))
    }

    pub(crate) async fn tend(&self) {
        self.agent().tend_once(self.now()).await.unwrap();
    }

    pub(crate) async fn deliver(&self) {
        self.agent().deliver_once(self.now()).await.unwrap();
    }

    /// Polls the minutes, tending before and delivering after each.
    pub(crate) async fn live(&self, minutes: std::ops::Range<i64>) {
        for n in minutes {
            self.poll(n).await;
            self.tend().await;
            self.deliver().await;
        }
    }

    /// What a command prints on its own rules file; it must succeed.
    pub(crate) fn says(&self, words: &str) -> String {
        self.prints(&words.split(' ').collect::<Vec<_>>())
    }

    pub(crate) fn prints(&self, words: &[&str]) -> String {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_seatwatch"));
        command.env_clear().current_dir(&self.dir.0).arg("-c").arg(self.rules_file()).args(words);
        let done = command.output().unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        assert_eq!(done.status.code(), Some(0), "{words:?}: {said}");
        said
    }

    /// What the channel got since this was last asked.
    pub(crate) fn told(&self, channel: &str) -> String {
        story(&self.inboxes[channel].take())
    }

    pub(crate) async fn act(&self, act: Act) -> (bool, String) {
        let id = self.agent().store().add_act("olga", self.now(), act).await.unwrap();
        self.agent().take_up_acts(self.now()).await.unwrap();
        let result = self.reader().act_result(id).unwrap().expect("the act was taken up");
        (result.done, result.message)
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(&self.database()).unwrap()
    }

    pub(crate) fn outbox(&self, all: bool) -> Vec<NotificationRow> {
        self.reader().outbox(&OutboxFilter { all, ..OutboxFilter::default() }).unwrap()
    }

    /// Every event of every episode, in order of time.
    pub(crate) fn events(&self) -> Vec<Event> {
        events(&self.database())
    }

    /// The one open episode of a rule.
    pub(crate) fn episode(&self, rule: &str) -> String {
        let all = self.reader().episodes(&Default::default()).unwrap();
        let found: Vec<_> = all.into_iter().filter(|row| row.rule == rule).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].episode.clone().unwrap()
    }

    /// The last episode of a rule, open or over.
    pub(crate) fn past(&self, rule: &str) -> String {
        let filter = EpisodeFilter { all: true, rule: Some(rule.to_owned()), ..EpisodeFilter::default() };
        self.reader().episodes(&filter).unwrap().pop().unwrap().episode.unwrap()
    }

    /// That something is left in the outbox is part of the story.
    pub(crate) fn leaves(&self, _why: &str) {
        self.leftovers.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn events(database: &Path) -> Vec<Event> {
    let reader = Reader::open(database).unwrap();
    let filter = EpisodeFilter { all: true, ..Default::default() };
    let mut events = Vec::new();
    for row in reader.episodes(&filter).unwrap() {
        if let Some(episode) = row.episode {
            events.extend(reader.episode_events(&episode).unwrap());
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

impl Drop for World {
    fn drop(&mut self) {
        self.agent = None;
        if std::thread::panicking() || self.leftovers.load(Ordering::Relaxed) || !self.database().exists() {
            return;
        }
        let left = self.outbox(false);
        assert!(left.is_empty(), "left in the outbox: {left:#?}");
        assert!(self.outbox(true).iter().all(|row| row.state != OutboxState::Dead), "somebody was not told");
        let checked = self.reader().check().unwrap();
        assert!(checked.is_ok(), "{checked:?}");
    }
}
