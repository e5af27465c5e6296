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
use crate::config::Config;
use crate::engine::elapsed::elapsed;
use crate::engine::schedule::Due;
use crate::engine::time::{Span, Time};
use crate::store::StoreError;

use super::{Agent, Live, clock};

/// No sleep is longer, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Tending is due this often without being asked.
const TEND_EVERY: Duration = Duration::from_secs(30);
/// Acts of operators are looked for this often.
const ACTS_EVERY: Duration = Duration::from_secs(1);
/// Nothing is pruned before the first polls of a start had time to find the clock wrong.
const PRUNE_AFTER: Duration = Duration::from_secs(600);
/// What may still be under way when the agent is told to stop gets this long, twice.
const GRACE: Duration = Duration::from_secs(4);
/// Tend and every deliver loop must have come round within this for the watchdog to be fed; a send may take as long
/// as a channel's timeout on top.
const PULSE: Span = Span::from_secs(80);

/// When the loops last came round, in boot time.
#[derive(Default)]
struct Pulse(Mutex<BTreeMap<Key, Span>>);

impl Pulse {
    fn beats(&self) -> MutexGuard<'_, BTreeMap<Key, Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self, key: &Key, now: Span) {
        self.beats().insert(key.clone(), now);
    }

    fn forget(&self, key: &Key) {
        self.beats().remove(key);
    }

    fn is_fresh(&self, now: Span) -> bool {
        let longest = |key: &Key| match key {
            Key::Channel(_) => PULSE + LONGEST_TIMEOUT,
            Key::Tend | Key::Source(_) => PULSE,
        };
        self.beats().iter().all(|(key, beat)| now - *beat < longest(key))
    }
}

/// Why the agent ended by itself: a loop that must not end did, which is a bug.
#[derive(Debug, thiserror::Error)]
#[error("a loop of the agent ended: {0}")]
pub struct Stopped(String);

/// Runs until `stop` resolves. `rules` is read again whenever `reload` changes.
pub async fn run(
    agent: Arc<Agent>,
    rules: PathBuf,
    mut reload: watch::Receiver<u64>,
    stop: impl Future<Output = ()>,
) -> Result<(), Stopped> {
    let pulse = Arc::new(Pulse::default());
    pulse.mark(&Key::Tend, clock::boot_time());
    let (changed, loops) = watch::channel(0_u64);
    let mut tasks = Tasks {
        agent: Arc::clone(&agent),
        pulse: Arc::clone(&pulse),
        loops,
        running: JoinSet::new(),
        keys: Vec::new(),
    };
    tasks.running.spawn(tend_loop(Arc::clone(&agent), Arc::clone(&pulse)));
    tasks.running.spawn(prune_loop(Arc::clone(&agent)));
    tasks.fill();
    ready();
    tokio::pin!(stop);
    let mut beat = tokio::time::interval(Duration::from_secs(5));
    let ended = loop {
        tokio::select! {
            () = &mut stop => break Ok(()),
            Some(ended) = tasks.running.join_next() => {
                if let Err(stopped) = tasks.ended(ended) { break Err(stopped) }
            }
            Ok(()) = reload.changed() => {
                agent.reload(&rules, clock::now()).await;
                changed.send_modify(|n| *n += 1);
                tasks.fill();
            }
            _ = beat.tick() => {
                tasks.fill();
                feed(&pulse);
            }
        }
    };
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    // Dropping a loop drops what it waits for; a transaction that began is finished by the store's own thread. Sends
    // that hang are cut off and written down as such.
    let open = agent.open_attempts();
    let _ = tokio::time::timeout(GRACE, tasks.running.shutdown()).await;
    let _ = tokio::time::timeout(GRACE, agent.leave_attempts(open, clock::now())).await;
    tracing::info!("stopped");
    ended
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

/// What a loop is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    /// Ends only with the store's thread.
    Tend,
    Source(String),
    Channel(String),
}

/// The running loops: one per source, one per channel, tend and prune.
struct Tasks {
    agent: Arc<Agent>,
    pulse: Arc<Pulse>,
    loops: watch::Receiver<u64>,
    running: JoinSet<Key>,
    keys: Vec<Key>,
}

impl Tasks {
    /// Starts a loop for each source and channel that has none.
    fn fill(&mut self) {
        let live = self.agent.live();
        let sources = live.source_names().map(|name| Key::Source(name.clone()));
        let wanted: Vec<Key> =
            sources.chain(live.channels.keys().map(|name| Key::Channel(name.clone()))).collect();
        for key in wanted {
            if self.keys.contains(&key) {
                continue;
            }
            self.keys.push(key.clone());
            let (agent, loops) = (Arc::clone(&self.agent), self.loops.clone());
            let pulse = Arc::clone(&self.pulse);
            match key {
                Key::Tend => {}
                Key::Source(name) => drop(self.running.spawn(collect_loop(agent, name, loops))),
                Key::Channel(name) => drop(self.running.spawn(deliver_loop(agent, name, loops, pulse))),
            }
        }
    }

    /// A loop whose source or channel left the file ends; any other end is a bug, and so is a panic.
    fn ended(&mut self, ended: Result<Key, tokio::task::JoinError>) -> Result<(), Stopped> {
        match ended {
            // A half-dead agent helps nobody: the service manager starts another.
            Ok(Key::Tend) => Err(Stopped("the store's thread has ended".to_owned())),
            Ok(key) => {
                self.pulse.forget(&key);
                self.keys.retain(|other| *other != key);
                Ok(())
            }
            Err(error) => Err(Stopped(error.to_string())),
        }
    }
}

/// Polls `source` at its instants until it leaves the rules file.
async fn collect_loop(agent: Arc<Agent>, source: String, mut reloaded: watch::Receiver<u64>) -> Key {
    let mut tried: Option<Time> = None;
    loop {
        let live = agent.live();
        let Some(schedule) = live.schedule(&source) else { return Key::Source(source) };
        let now = clock::read();
        if !now.is_set() {
            tracing::warn!(now = %now.wall, "the clock is not set; waiting for it");
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        // An instant whose commit failed is not tried again before the next one.
        let last = agent.last_at(&source).await.max(tried);
        let wait = match schedule.due(last, now.wall) {
            Due::Run(run) => {
                if run.missed > 0 {
                    tracing::warn!(
                        source,
                        missed = run.missed,
                        late_ms = run.late.millis(),
                        "polls were missed"
                    );
                }
                tried = Some(run.at);
                if let Err(error) = agent.collect_once(&source, run.at, &now).await {
                    tracing::error!(source, %error, "a poll is lost");
                }
                continue;
            }
            Due::Wait(next) => next.map_or(LONGEST_SLEEP, |next| next.since(now.wall).to_std()),
        };
        let _ = tokio::time::timeout(wait.min(LONGEST_SLEEP), reloaded.changed()).await;
    }
}

/// Sends what is due for `channel` until it leaves the rules file.
async fn deliver_loop(
    agent: Arc<Agent>,
    channel: String,
    mut reloaded: watch::Receiver<u64>,
    pulse: Arc<Pulse>,
) -> Key {
    let mut news = agent.outbox.subscribe();
    let key = Key::Channel(channel.clone());
    loop {
        pulse.mark(&key, clock::boot_time());
        news.mark_unchanged();
        if !agent.live().channels.contains_key(&channel) {
            return key;
        }
        let wait = match agent.deliver_to(&channel, clock::now()).await {
            Ok(Some(next)) => next.since(clock::now()).to_std(),
            Ok(None) => LONGEST_SLEEP,
            Err(error) => {
                tracing::error!(channel, %error, "the outbox cannot be read or written");
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

async fn tend_loop(agent: Arc<Agent>, pulse: Arc<Pulse>) -> Key {
    let mut last_full = None::<tokio::time::Instant>;
    loop {
        let full = last_full.is_none_or(|at| at.elapsed() >= TEND_EVERY);
        let now = clock::now();
        let result = if full { agent.tend_once(now).await } else { agent.take_up_acts(now).await };
        if let Err(error) = result {
            tracing::error!(%error, "tending failed");
            if matches!(error, StoreError::Stopped) {
                return Key::Tend;
            }
        }
        if full {
            last_full = Some(tokio::time::Instant::now());
        }
        pulse.mark(&Key::Tend, clock::boot_time());
        tokio::time::sleep(ACTS_EVERY).await;
    }
}

/// Prunes in small batches, an hour apart unless there is more. After a jump of the clock it waits for the next hour:
/// by then a poll has said whether the clock is right.
async fn prune_loop(agent: Arc<Agent>) -> Key {
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
                Duration::from_secs(600)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

impl Agent {
    /// Reads the rules file again and takes it over whole, or not at all.
    pub async fn reload(&self, rules: &std::path::Path, now: Time) -> bool {
        let path = rules.to_owned();
        let read = tokio::task::spawn_blocking(move || Config::load(&path, now)).await;
        let mut config = match read {
            Ok(Ok(config)) => config,
            Ok(Err(problems)) => {
                for problem in &problems.errors {
                    let (line, column, key) = (problem.line, problem.column, &problem.key);
                    let (message, hint) = (&problem.message, problem.hint.as_deref());
                    tracing::error!(
                        line,
                        column,
                        key,
                        message,
                        hint,
                        "the rules file is refused; the one in force stays"
                    );
                }
                return false;
            }
            Err(error) => {
                tracing::error!(%error, "reading the rules file failed; the one in force stays");
                return false;
            }
        };
        let live = self.live();
        if config.agent.database != live.config.agent.database {
            tracing::error!(
                database = %config.agent.database.display(),
                "another database needs a restart; the one in use stays, the rest of the file is taken over"
            );
            config.agent.database.clone_from(&live.config.agent.database);
        }
        match Live::open(config, &live.install) {
            Ok(new) => {
                if let Err(error) = self.swap(new, now).await {
                    tracing::warn!(%error, "what waits for a channel goes on waiting");
                }
                tracing::info!("the rules file is in force");
                true
            }
            Err(error) => {
                for line in error.0 {
                    tracing::error!(problem = line, "the rules file is refused; the one in force stays");
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_that_hangs_starves_the_watchdog() {
        let pulse = Pulse::default();
        let channel = |name: &str| Key::Channel(name.to_owned());
        let at = Span::from_secs;
        for key in [Key::Tend, channel("a"), channel("b")] {
            pulse.mark(&key, at(0));
        }
        assert!(pulse.is_fresh(at(79)));
        assert!(!pulse.is_fresh(at(81)), "tend hangs");
        pulse.mark(&Key::Tend, at(1000));
        pulse.mark(&channel("a"), at(1000));
        assert!(!pulse.is_fresh(at(1001)), "b hangs, though a goes on");
        pulse.forget(&channel("b"));
        assert!(pulse.is_fresh(at(1001)), "b left the file");
    }
}
