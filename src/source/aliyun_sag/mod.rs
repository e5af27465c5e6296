//! One SAG instance: its settings as the file has them, and the questions that are put to it.
//!
//! Neighbours: `fetch` asks for many users in batches, `batch` for one batch, `roster` for the list of
//! users, `aliyun` sends. A part of its own
//! because everything that is special to this product's actions is in this folder.

mod batch;
mod fetch;
mod roster;
mod settings;

use std::sync::Arc;

pub use settings::Settings;

use crate::aliyun::sign::Pairs;
use crate::aliyun::transport::{OpenError, Options};
use crate::aliyun::{Account, Client, Deadline, wire};
use crate::engine::event::OnlineClient;
use crate::engine::names::Asked;
use crate::engine::reading::{Fault, FaultClass, Fetched};
use crate::engine::roster::Roster;
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

    /// Asks for all of them; see [`crate::source::Source::fetch`].
    pub async fn fetch(&self, asked: &Asked, now: Time, budget: Span) -> Fetched {
        fetch::fetch(&self.inner, asked, Deadline::new(now, budget)).await
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

    /// Asks for the whole list of users; see [`crate::source::Source::roster`].
    ///
    /// # Errors
    /// As there.
    pub async fn roster(&self, now: Time, budget: Span) -> Result<Roster, Fault> {
        roster::roster(&self.inner, &Deadline::new(now, budget)).await
    }

    /// Asks how many clients the instance has online in all.
    ///
    /// # Errors
    /// The number did not come within `budget`, or the reply does not name the instance.
    pub async fn total(&self, now: Time, budget: Span) -> Result<u32, Fault> {
        const ACTION: &str = "DescribeSagOnlineClientStatistics";
        let params = vec![
            ("RegionId".into(), self.inner.region.clone()),
            ("SmartAGIds.1".into(), self.inner.instance.clone()),
        ];
        let deadline = Deadline::new(now, budget);
        let called = self.inner.client.call(ACTION, &params, &deadline, wire::totals).await;
        let totals = called.result?.value;
        let ours = totals.into_iter().find(|total| total.instance == self.inner.instance);
        ours.and_then(|total| total.online).ok_or_else(|| Fault {
            class: FaultClass::Server,
            code: "malformed".to_owned(),
            message: format!("{ACTION}: the reply has no total for the instance"),
            advice: None,
        })
    }
}
