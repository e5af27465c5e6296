//! The loops themselves: when to call which body, signals, the service manager, the end.
//!
//! Neighbours: `cli::run` starts it; the bodies are in `collect`, `tend` and `deliver`. A part of its own, and short,
//! because nothing here decides: what is tested is the bodies.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::channel::LONGEST_TIMEOUT;
use crate::engine::elapsed::{ClockReading, elapsed};
use crate::engine::schedule::{Due, Run, Schedule};
use crate::engine::time::{Span, Time};
use crate::store::StoreError;

use super::{Agent, clock};

/// No sleep is longer, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Tending is due this often without being asked.
const TEND_EVERY: Duration = Duration::from_secs(30);
/// Acts of operators are looked for this often.
const ACTS_EVERY: Duration = Duration::from_secs(1);
/// Nothing is pruned before the first polls of a start had time to find the clock wrong.
const PRUNE_AFTER: Duration = Duration::from_secs(600);
const CHECK_EVERY: Duration = Duration::from_hours(7 * 24);
/// When the agent is told to stop, what is being sent gets this long, then what else is under way, then the end of what
/// was cut off: ten seconds at most in all.
const GRACE: Duration = Duration::from_secs(3);
/// Every loop must have come round within this for the watchdog to be fed; a send may take as long as a channel's
/// timeout on top, a poll as long as its budget.
const PULSE: Span = Span::from_secs(80);

/// When each loop has to have come round again, in boot time.
#[derive(Default)]
struct Pulse(Mutex<BTreeMap<Key, Span>>);

impl Pulse {
    fn beats(&self) -> MutexGuard<'_, BTreeMap<Key, Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It came round; what it does now may take `work`.
    fn mark(&self, key: &Key, now: Span, work: Span) {
        self.beats().insert(key.clone(), now + PULSE + work);
    }

    fn forget(&self, key: &Key) {
        self.beats().remove(key);
    }

    fn is_fresh(&self, now: Span) -> bool {
        self.beats().values().all(|until| now < *until)
    }
}

/// Why the agent ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// A loop that must not end did, which is a bug.
    #[error("a loop of the agent ended: {0}")]
    Bug(String),
    #[error(transparent)]
    Damaged(StoreError),
}

/// Runs until `stop` resolves. `rules` is read again whenever `reload` changes.
pub async fn run(
    agent: Arc<Agent>,
    rules: PathBuf,
    reload: watch::Receiver<u64>,
    stop: impl Future<Output = ()>,
) -> Result<(), Stopped> {
    let (changed, loops) = watch::channel(0_u64);
    let mut tasks = Tasks::begin(agent, loops);
    ready();
    tasks.watch_over(rules, reload, changed, stop).await
}

fn ready() {
    tracing::info!("running");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

fn feed(pulse: &Pulse) {
    if pulse.is_fresh(clock::boot_time()) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

/// How a loop ended: nothing is left for it to do, or the store is of no use any more.
type Ended = Result<Key, StoreError>;

/// What a loop is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Tend,
    Source(String),
    Channel(String),
}

/// The running loops: one per source, one per channel, tend, prune and check.
struct Tasks {
    agent: Arc<Agent>,
    pulse: Arc<Pulse>,
    loops: watch::Receiver<u64>,
    running: JoinSet<Ended>,
    keys: Vec<Key>,
}

impl Tasks {
    fn begin(agent: Arc<Agent>, loops: watch::Receiver<u64>) -> Self {
        let pulse = Arc::new(Pulse::default());
        pulse.mark(&Key::Tend, clock::boot_time(), Span::ZERO);
        let mut tasks = Self { agent, pulse, loops, running: JoinSet::new(), keys: Vec::new() };
        tasks.running.spawn(tend_loop(Arc::clone(&tasks.agent), Arc::clone(&tasks.pulse)));
        tasks.running.spawn(prune_loop(Arc::clone(&tasks.agent)));
        tasks.running.spawn(check_loop(Arc::clone(&tasks.agent)));
        tasks.fill();
        tasks
    }

    /// Until `stop` resolves, or a loop ends that must not; then all the others end, too.
    async fn watch_over(
        &mut self,
        rules: PathBuf,
        mut reload: watch::Receiver<u64>,
        changed: watch::Sender<u64>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Stopped> {
        tokio::pin!(stop);
        let mut beat = tokio::time::interval(Duration::from_secs(5));
        let ended = loop {
            tokio::select! {
                () = &mut stop => break Ok(()),
                Some(ended) = self.running.join_next() => {
                    if let Err(stopped) = self.ended(ended) { break Err(stopped) }
                }
                Ok(()) = reload.changed() => {
                    self.agent.reload(&rules, clock::now()).await;
                    changed.send_modify(|n| *n += 1);
                    self.fill();
                }
                _ = beat.tick() => {
                    self.fill();
                    feed(&self.pulse);
                }
            }
        };
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        tracing::info!("stopping; what is being sent gets {} s", GRACE.as_secs());
        // What a receiver is about to take would be sent again if it were cut off. Kept to the end: no other send begins.
        let mut sends = std::pin::pin!(self.agent.end_sends());
        let _none = tokio::time::timeout(GRACE, &mut sends).await;
        // Dropping a loop drops what it waits for; a transaction that began is finished by the store's own thread. Sends
        // that hang are cut off and written down as such.
        let _ = tokio::time::timeout(GRACE, self.running.shutdown()).await;
        match tokio::time::timeout(GRACE, self.agent.end_attempts(clock::now())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "attempts stay open: they count as crashes at the next start");
            }
            Err(_) => tracing::warn!("attempts stay open: the database takes too long"),
        }
        tracing::info!("stopped");
        ended
    }

    /// Starts a loop for each source and channel that has none.
    fn fill(&mut self) {
        let live = self.agent.live();
        let sources = live.source_names().map(|name| Key::Source(name.clone()));
        let channels = live.to_deliver().map(|(name, _)| Key::Channel(name.clone()));
        let wanted: Vec<Key> = sources.chain(channels).collect();
        for key in wanted {
            if self.keys.contains(&key) {
                continue;
            }
            self.keys.push(key.clone());
            let (agent, loops) = (Arc::clone(&self.agent), self.loops.clone());
            let pulse = Arc::clone(&self.pulse);
            match key {
                Key::Tend => {}
                Key::Source(name) => drop(self.running.spawn(collect_loop(agent, name, loops, pulse))),
                Key::Channel(name) => drop(self.running.spawn(deliver_loop(agent, name, loops, pulse))),
            }
        }
    }

    /// A loop whose source or channel left the file ends; any other end is a bug, and so is a panic.
    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> Result<(), Stopped> {
        match ended {
            Ok(Ok(key)) => {
                self.pulse.forget(&key);
                self.keys.retain(|other| *other != key);
                Ok(())
            }
            Ok(Err(damage)) if damage.is_damage() => Err(Stopped::Damaged(damage)),
            // A half-dead agent helps nobody: the service manager starts another.
            Ok(Err(_)) => Err(Stopped::Bug("the store's thread has ended".to_owned())),
            Err(error) => Err(Stopped::Bug(error.to_string())),
        }
    }
}

/// What a source's loop does next.
#[derive(PartialEq, Eq, Debug)]
enum Step {
    /// Nobody has set the clock yet: what is read now would stand at the wrong time.
    AwaitClock,
    Poll(Run),
    Sleep(Duration),
}

fn step(schedule: &Schedule, last: Option<Time>, now: &ClockReading) -> Step {
    if !now.is_set() {
        return Step::AwaitClock;
    }
    match schedule.due(last, now.wall) {
        Due::Run(run) => Step::Poll(run),
        Due::Wait(next) => {
            let wait = next.map_or(LONGEST_SLEEP, |next| next.since(now.wall).to_std());
            Step::Sleep(wait.min(LONGEST_SLEEP))
        }
    }
}

/// Polls `source` at its instants until it leaves the rules file.
async fn collect_loop(
    agent: Arc<Agent>,
    source: String,
    mut reloaded: watch::Receiver<u64>,
    pulse: Arc<Pulse>,
) -> Ended {
    let key = Key::Source(source.clone());
    let (mut tried, mut unset) = (None::<Time>, false);
    loop {
        let live = agent.live();
        let Some(schedule) = live.schedule(&source) else { return Ok(key) };
        pulse.mark(&key, clock::boot_time(), live.budget(&source));
        let now = clock::read();
        // An instant whose commit failed is not tried again before the next one.
        let last = agent.last_at(&source).await.max(tried);
        let next = step(schedule, last, &now);
        if (next == Step::AwaitClock) != unset {
            unset = !unset;
            tracing::warn!(now = %now.wall, "{}", if unset { "the clock is not set; nothing is polled" } else { "the clock is set" });
        }
        match next {
            Step::AwaitClock => tokio::time::sleep(Duration::from_secs(1)).await,
            Step::Poll(run) => {
                if run.missed > 0 {
                    let (missed, late_ms) = (run.missed, run.late.millis());
                    tracing::warn!(source, missed, late_ms, "polls were missed");
                }
                tried = Some(run.at);
                if let Err(error) = agent.collect_once(&source, run.at, &now).await {
                    agent.complain("a poll is lost", &source, &error);
                    agent.outlive(now.wall).await?;
                }
            }
            Step::Sleep(wait) => drop(tokio::time::timeout(wait, reloaded.changed()).await),
        }
    }
}

/// Sends what is due for `channel`, also after it left the rules file.
async fn deliver_loop(
    agent: Arc<Agent>,
    channel: String,
    mut reloaded: watch::Receiver<u64>,
    pulse: Arc<Pulse>,
) -> Ended {
    let mut news = agent.outbox.subscribe();
    let key = Key::Channel(channel.clone());
    loop {
        pulse.mark(&key, clock::boot_time(), LONGEST_TIMEOUT);
        news.mark_unchanged();
        if agent.live().channel(&channel).is_none() {
            return Ok(key);
        }
        let wait = match agent.deliver_to(&channel, clock::now()).await {
            Ok(Some(next)) => next.since(clock::now()).to_std(),
            Ok(None) => LONGEST_SLEEP,
            Err(error) => {
                agent.complain("the outbox cannot be read or written", &channel, &error);
                agent.outlive(clock::now()).await?;
                Duration::from_secs(5)
            }
        };
        let wait = wait.clamp(Duration::from_millis(50), LONGEST_SLEEP);
        let news = async {
            tokio::select! { _ = news.changed() => {} _ = reloaded.changed() => {} }
        };
        let _ = tokio::time::timeout(wait, news).await;
    }
}

async fn tend_loop(agent: Arc<Agent>, pulse: Arc<Pulse>) -> Ended {
    let mut last_full = None::<tokio::time::Instant>;
    loop {
        let full = last_full.is_none_or(|at| at.elapsed() >= TEND_EVERY);
        let now = clock::now();
        let result = if full { agent.tend_once(now).await } else { agent.take_up_acts(now).await };
        if let Err(error) = result {
            agent.complain("tending failed", "", &error);
            agent.outlive(now).await?;
            if matches!(error, StoreError::Stopped) {
                return Err(error);
            }
        }
        if full {
            last_full = Some(tokio::time::Instant::now());
        }
        pulse.mark(&Key::Tend, clock::boot_time(), Span::ZERO);
        tokio::time::sleep(ACTS_EVERY).await;
    }
}

/// Prunes in small batches, an hour apart unless there is more. After a jump of the clock it waits for the next hour:
/// by then a poll has said whether the clock is right.
async fn prune_loop(agent: Arc<Agent>) -> Ended {
    tokio::time::sleep(PRUNE_AFTER).await;
    let mut before = clock::read();
    loop {
        let now = clock::read();
        let (_, jump) = elapsed(&before, &now);
        before = now;
        if let Some(jump) = jump {
            tracing::warn!(jump_ms = jump.millis(), "the clock jumped; pruning waits for an hour");
            tokio::time::sleep(Duration::from_secs(3600)).await;
            continue;
        }
        let pause = match agent.prune_once(clock::now()).await {
            Ok(true) => Duration::from_secs(1),
            Ok(false) => Duration::from_secs(3600),
            Err(error) => {
                tracing::error!(%error, "pruning failed");
                agent.outlive(clock::now()).await?;
                Duration::from_secs(600)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Reads the whole database once a week that the agent runs; a start looks at what it needs by itself.
async fn check_loop(agent: Arc<Agent>) -> Ended {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let now = clock::now();
        if let Err(error) = agent.check_once(now).await {
            tracing::error!(%error, "the weekly check of the database failed");
            agent.outlive(now).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Live;
    use crate::config::Config;
    use crate::engine::elapsed::EARLIEST;

    #[test]
    fn one_loop_that_hangs_starves_the_watchdog() {
        let pulse = Pulse::default();
        let channel = |name: &str| Key::Channel(name.to_owned());
        let at = Span::from_secs;
        for key in [Key::Tend, channel("a"), channel("b")] {
            pulse.mark(&key, at(0), Span::ZERO);
        }
        assert!(pulse.is_fresh(at(79)));
        assert!(!pulse.is_fresh(at(81)), "tend hangs");
        pulse.mark(&Key::Tend, at(1000), Span::ZERO);
        pulse.mark(&channel("a"), at(1000), Span::ZERO);
        assert!(!pulse.is_fresh(at(1001)), "b hangs, though a goes on");
        pulse.forget(&channel("b"));
        assert!(pulse.is_fresh(at(1001)), "b left the file");
        pulse.mark(&Key::Source("one".to_owned()), at(1000), at(240));
        for now in [1100, 1200, 1300] {
            pulse.mark(&Key::Tend, at(now), Span::ZERO);
            pulse.mark(&channel("a"), at(now), Span::ZERO);
        }
        assert!(pulse.is_fresh(at(1319)), "a poll may take its budget");
        assert!(!pulse.is_fresh(at(1321)), "and no longer");
    }

    #[test]
    fn nothing_is_polled_before_the_clock_is_set() {
        let schedule = Schedule::parse("*/5 * * * *", chrono_tz::UTC).unwrap();
        let at = |wall: Time| ClockReading { wall, ..ClockReading::default() };
        let set = EARLIEST + Span::from_days(300);
        for last in [None, Some(set), Some(Time::from_millis(0))] {
            assert_eq!(step(&schedule, last, &at(Time::from_millis(7_000))), Step::AwaitClock, "{last:?}");
            assert_eq!(
                step(&schedule, last, &at(EARLIEST - Span::from_secs(1))),
                Step::AwaitClock,
                "{last:?}"
            );
        }
        assert!(matches!(step(&schedule, None, &at(set)), Step::Poll(_)));
        assert_eq!(step(&schedule, Some(set), &at(set)), Step::Sleep(LONGEST_SLEEP), "a minute at a time");
    }

    /// An agent without sources and channels.
    fn idle(dir: &std::path::Path) -> Arc<Agent> {
        let text = "[agent]\ndatabase = \"seatwatch.db\"\n";
        let config = Config::parse(text, "rules.toml", dir, clock::now()).unwrap();
        let store = crate::store::Store::open(&config.agent.database, clock::now()).unwrap();
        let live = Live::open(config, store.install_id()).unwrap();
        Arc::new(Agent::new(store, live))
    }

    #[tokio::test]
    async fn the_end_of_the_stores_thread_is_the_end_of_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let agent = idle(dir.path());
        assert_eq!(agent.store().break_off().await, Err(StoreError::Stopped));
        let (_reload, reloads) = watch::channel(0);
        let running = run(agent, dir.path().join("rules.toml"), reloads, std::future::pending());
        let ended = tokio::time::timeout(Duration::from_secs(20), running).await.unwrap();
        assert_eq!(ended.unwrap_err().to_string(), "a loop of the agent ended: the store's thread has ended");
    }

    #[tokio::test]
    async fn what_needs_nobody_runs_from_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let (_changed, loops) = watch::channel(0);
        assert_eq!(Tasks::begin(idle(dir.path()), loops).running.len(), 3, "tend, prune and check");
    }

    #[tokio::test]
    async fn a_loop_whose_source_left_the_file_is_no_bug() {
        let dir = tempfile::tempdir().unwrap();
        let (_changed, loops) = watch::channel(0);
        let mut tasks = Tasks::begin(idle(dir.path()), loops);
        let key = Key::Source("one".to_owned());
        tasks.keys.push(key.clone());
        tasks.ended(Ok(Ok(key))).unwrap();
        assert_eq!(tasks.keys, []);
    }

    #[tokio::test]
    async fn a_panic_in_a_loop_is_the_end_of_the_agent_within_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let (changed, loops) = watch::channel(0);
        let (_reload, reloads) = watch::channel(0);
        let mut tasks = Tasks::begin(idle(dir.path()), loops);
        let (lives, mut gone) = tokio::sync::oneshot::channel::<()>();
        tasks.running.spawn(async move {
            let _lives = lives;
            std::future::pending().await
        });
        tasks.running.spawn(async { panic!("a bug") });
        let began = tokio::time::Instant::now();
        let watching =
            tasks.watch_over(dir.path().join("rules.toml"), reloads, changed, std::future::pending());
        let ended = tokio::time::timeout(Duration::from_secs(20), watching).await.expect("it goes on");
        let took = began.elapsed();
        assert!(ended.unwrap_err().to_string().contains("panicked"));
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(tasks.running.is_empty());
        assert_eq!(gone.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Closed), "the others end");
    }
}
