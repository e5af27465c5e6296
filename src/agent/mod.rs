//! The shell around the engine: three loops, a clock, reload and shutdown.
//!
//! Neighbours: source, store, channel and config are its hands, `engine` decides; `cli` starts it. A part of its own
//! because only here do time, waiting and I/O meet. The loops' bodies ([`Agent::collect_once`], [`Agent::tend_once`],
//! [`Agent::deliver_once`]) take the time as an argument and can be driven by hand; the loops only call them.

pub mod backtest;
pub mod clock;
mod collect;
mod complaints;
mod deliver;
mod evidence;
mod fold;
mod hazard;
mod live;
mod lost;
mod outage;
mod outlived;
mod own;
mod reload;
mod returned;
mod roster;
mod run;
mod story;
mod tend;
pub mod usual;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use tokio::sync::{Mutex, watch};

pub use collect::Collected;
pub use hazard::Hazard;
pub use live::{Live, LiveError, setup};
pub use lost::lost_channels;
pub use reload::warn_of;
pub use run::{Stopped, run};

use crate::engine::time::Time;
use crate::engine::watch::Watch;
use crate::store::{Store, StoreError};

/// The agent. Everything it must not forget is in the store; the rest is made again from store and rules file.
pub struct Agent {
    store: Store,
    live: RwLock<Arc<Live>>,
    sources: Mutex<BTreeMap<String, Arc<Watched>>>,
    /// Alerts about channels and the agent itself.
    own: Mutex<Option<own::OwnAlerts>>,
    /// Counts news in the outbox.
    outbox: watch::Sender<u64>,
    /// This run's id, by which attempts of an earlier run are told from ours.
    run: String,
    /// What `agent/storage` needs while the store cannot be asked.
    storage: std::sync::Mutex<outage::Storage>,
    /// Held by who tells that the store fails.
    telling: Mutex<()>,
    /// Attempts under way, and those whose end the store could not take yet, by notification.
    unended: std::sync::Mutex<BTreeMap<String, deliver::Unended>>,
    /// Read by every send under way; the end of the agent waits to write.
    sending: tokio::sync::RwLock<()>,
    breakers: std::sync::Mutex<BTreeMap<String, deliver::Breaker>>,
    /// The rules file that channels were last found to have come back by.
    returned: std::sync::Mutex<Weak<Live>>,
    /// When the log last said that no channel works.
    unheard_since: std::sync::Mutex<Option<Time>>,
    /// Whether the store's log is large and that was said.
    large_log: std::sync::atomic::AtomicBool,
    complaints: complaints::Complaints,
    hazard: Box<dyn Hazard>,
}

/// A source as the agent holds it.
#[derive(Default)]
struct Watched {
    /// Held through a whole poll, so that there is one at a time and a reload waits for it.
    poll: Mutex<roster::UnderWay>,
    /// None until loaded, and after a commit that failed: then it is read again from the store.
    watch: Mutex<Option<Watch>>,
}

impl Agent {
    pub fn new(store: Store, live: Live) -> Self {
        Self::amid(store, live, Box::new(hazard::OfTheHost))
    }

    /// One that meets what it is given to meet; for simulations.
    pub fn amid(store: Store, live: Live, hazard: Box<dyn Hazard>) -> Self {
        Self {
            store,
            live: RwLock::new(Arc::new(live)),
            sources: Mutex::default(),
            own: Mutex::default(),
            outbox: watch::Sender::new(0),
            run: format!("run_{:016x}", rand::random::<u64>()),
            storage: std::sync::Mutex::default(),
            telling: Mutex::default(),
            unended: std::sync::Mutex::default(),
            sending: tokio::sync::RwLock::default(),
            breakers: std::sync::Mutex::default(),
            large_log: std::sync::atomic::AtomicBool::default(),
            returned: std::sync::Mutex::default(),
            unheard_since: std::sync::Mutex::default(),
            complaints: complaints::Complaints::default(),
            hazard,
        }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The rules file in force.
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn watched(&self, source: &str) -> Arc<Watched> {
        Arc::clone(self.sources.lock().await.entry(source.to_owned()).or_default())
    }

    /// The source's watch under `live`, read from the store where memory has none or one of another rules file.
    async fn loaded<'a>(
        &self,
        watch: &'a mut Option<Watch>,
        live: &Live,
        source: &str,
    ) -> Result<&'a mut Watch, StoreError> {
        let setup = live.setup(source).ok_or_else(|| StoreError::Refused(format!("no source {source}")))?;
        if watch.as_ref().is_none_or(|watch| !Arc::ptr_eq(&watch.setup, setup)) {
            *watch = None;
            *watch = Some(collect::load(&self.store, Arc::clone(setup)).await?);
        }
        // Just filled.
        watch.as_mut().ok_or(StoreError::Stopped)
    }

    /// To be called once before the loops start: attempts that an earlier process left open are counted as crashes.
    pub async fn begin(&self, now: Time) -> Result<(), StoreError> {
        for (notification, given_up) in self.store.crashed(&self.run, now).await? {
            tracing::warn!(
                notification,
                given_up,
                "an earlier process ended within a send; it may have arrived"
            );
        }
        self.remember_storage().await?;
        self.warn_of_lost_channels().await?;
        self.enable_channels(now).await
    }

    /// Channels that answered 410 wait for somebody to look at them: a start or a reload says that one did.
    async fn enable_channels(&self, now: Time) -> Result<(), StoreError> {
        for health in self.store.channel_health().await? {
            if health.disabled {
                self.store.enable_channel(&health.channel, now).await?;
            }
        }
        Ok(())
    }

    /// The instant of the source's last poll.
    async fn last_at(&self, source: &str) -> Option<Time> {
        let live = self.live();
        let watched = self.watched(source).await;
        let mut held = watched.watch.lock().await;
        if held.is_none() {
            self.loaded(&mut held, &live, source).await.ok()?;
        }
        held.as_ref()?.memory.last_at
    }
}
