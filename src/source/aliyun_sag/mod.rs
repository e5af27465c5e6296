//! One SAG instance: its settings as the file has them, and the two questions that are put to it.
//!
//! Neighbours: `fetch` asks for many users in batches, `batch` for one batch, `aliyun` sends. A part of its own
//! because everything that is special to this product's actions is in this folder.

mod batch;
mod fetch;
mod settings;

use std::sync::Arc;

pub use settings::Settings;

use crate::aliyun::sign::Pairs;
use crate::aliyun::transport::{OpenError, Options};
use crate::aliyun::{Account, Client, Deadline, wire};
use crate::engine::event::OnlineClient;
use crate::engine::reading::{Fault, Fetched};
use crate::engine::time::{Span, Time};

/// A SAG instance that can be asked; cheap to clone.
#[derive(Clone, Debug)]
pub struct AliyunSag {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    region: String,
    instance: String,
    client: Client,
}

impl Inner {
    /// The parameters every action about an instance has.
    fn params(&self) -> Pairs {
        vec![("RegionId".into(), self.region.clone()), ("SmartAGId".into(), self.instance.clone())]
    }
}

impl AliyunSag {
    /// # Errors
    /// The CA file cannot be used, or the system has no roots.
    pub fn open(settings: &Settings, account: Arc<Account>) -> Result<Self, OpenError> {
        Self::open_with(settings, account, &settings.options())
    }

    /// As [`Self::open`], with other waits than the file's.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(
        settings: &Settings,
        account: Arc<Account>,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let client = Client::open(account, settings.endpoint.clone(), settings.signature, options)?;
        let (name, region) = (settings.name.clone(), settings.region.clone());
        let inner = Inner { name, region, instance: settings.instance.clone(), client };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// For calling other actions on the same endpoint.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// `RegionId` and `SmartAGId`, which an action about this instance wants.
    pub fn params(&self) -> Pairs {
        self.inner.params()
    }

    /// Asks for all users; see [`crate::source::Source::fetch`].
    pub async fn fetch(&self, users: &[Arc<str>], now: Time, budget: Span) -> Fetched {
        fetch::fetch(&self.inner, users, Deadline::new(now, budget)).await
    }

    /// Asks for one user's connections.
    ///
    /// # Errors
    /// The list did not come within `budget`.
    pub async fn clients(&self, user: &str, now: Time, budget: Span) -> Result<Vec<OnlineClient>, Fault> {
        let mut params = self.inner.params();
        params.push(("UserName".into(), user.to_owned()));
        let deadline = Deadline::new(now, budget);
        let client = &self.inner.client;
        let called = client.call("DescribeUserOnlineClients", &params, &deadline, wire::clients).await;
        called.result.map(|reply| reply.value)
    }
}
