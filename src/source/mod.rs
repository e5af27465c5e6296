//! Where counts are read from: one closed list of kinds, each a folder with its settings and its way of asking.
//!
//! Neighbours: the agent fetches and turns what came into a poll; `aliyun` is the vendor's API below. A part of its
//! own so that a kind is added by one folder, one variant and one arm per `match` below.

pub mod aliyun_sag;
pub mod played;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::aliyun::Account;
/// Whose keys and rate a source uses: `[[account]]` of the rules file.
pub use crate::aliyun::account;
use crate::aliyun::transport::OpenError;
use crate::config::Section;
use crate::engine::event::OnlineClient;
use crate::engine::names::Asked;
use crate::engine::reading::{Fault, Fetched};
use crate::engine::roster::Roster;
use crate::engine::time::{Span, Time};
use aliyun_sag::AliyunSag;

/// A `[[source]]` of the rules file.
#[derive(Clone, PartialEq, Debug)]
pub enum Settings {
    AliyunSag(aliyun_sag::Settings),
}

impl Settings {
    pub fn read(section: &mut Section<'_>) -> Option<Self> {
        let kind = section.choice("kind", &[("aliyun-sag", ())]);
        if !section.has("kind") {
            section.missing::<()>("kind");
        }
        // Everything else is read all the same, so that all mistakes are told at once.
        let settings = aliyun_sag::Settings::read(section);
        kind.and(settings).map(Self::AliyunSag)
    }

    pub fn name(&self) -> &str {
        match self {
            Self::AliyunSag(settings) => &settings.name,
        }
    }

    /// How old the source's own list of its users may get; None if it is not to be asked for.
    pub fn roster(&self) -> Option<Span> {
        match self {
            Self::AliyunSag(settings) => settings.roster,
        }
    }
}

/// A source in use.
#[derive(Clone, Debug)]
pub enum Source {
    AliyunSag(AliyunSag),
    /// Of no rules file.
    Played(played::Played),
}

/// Why a source cannot be opened: the account or source at fault and the way out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Source {
    /// Opens sources, each with the name of its account (none: the only one, or the default chain). Those of one
    /// account share its rate.
    pub fn open_all(
        sources: &[(&Settings, Option<&str>)],
        accounts: &[account::Settings],
    ) -> Vec<Result<Self, Refused>> {
        let mut opened: BTreeMap<&str, Arc<Account>> = BTreeMap::new();
        let chain = account::Settings::of_chain();
        let of_name = |name: Option<&str>| match name {
            Some(name) => accounts.iter().find(|account| account.name == name),
            None => Some(if let [only] = accounts { only } else { &chain }),
        };
        let mut open = |settings: &Settings, name: Option<&str>| {
            let of_source =
                |error: &dyn std::fmt::Display| Refused(format!("source {}: {error}", settings.name()));
            let account = of_name(name).ok_or_else(|| of_source(&"its account is not in the file"))?;
            let account = match opened.get(account.name.as_str()) {
                Some(account) => Arc::clone(account),
                None => {
                    let fresh = Account::open(account).map(Arc::new);
                    let fresh =
                        fresh.map_err(|error| Refused(format!("account {}: {error}", account.name)))?;
                    Arc::clone(opened.entry(&account.name).or_insert(fresh))
                }
            };
            Self::open(settings, account).map_err(|error| of_source(&error))
        };
        sources.iter().map(|(settings, account)| open(settings, *account)).collect()
    }

    /// # Errors
    /// The CA file cannot be used, or the system has no roots.
    pub fn open(settings: &Settings, account: Arc<Account>) -> Result<Self, OpenError> {
        match settings {
            Settings::AliyunSag(settings) => AliyunSag::open(settings, account).map(Self::AliyunSag),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::AliyunSag(source) => source.name(),
            Self::Played(played) => &played.name,
        }
    }

    /// Which place gave the keys it signs with, the id shortened; for the log.
    pub fn origin(&self) -> String {
        match self {
            Self::AliyunSag(source) => source.client().account().origin(),
            Self::Played(_) => String::new(),
        }
    }

    /// One pass over the users `asked` about, done within `budget`. Whatever fails is in what comes back.
    pub async fn fetch(&self, asked: &Asked, now: Time, budget: Span) -> Fetched {
        match self {
            Self::AliyunSag(source) => source.fetch(asked, now, budget).await,
            Self::Played(played) => played.gateway.fetch(asked, now).await,
        }
    }

    /// The connections of one user, for evidence.
    ///
    /// # Errors
    /// The list did not come within `budget`.
    pub async fn clients(&self, user: &str, now: Time, budget: Span) -> Result<Vec<OnlineClient>, Fault> {
        match self {
            Self::AliyunSag(source) => source.clients(user, now, budget).await,
            Self::Played(_) => Err(played::refuse()),
        }
    }

    /// Everybody the source knows: the whole list, or none.
    ///
    /// # Errors
    /// A page did not come within `budget`, or the pages do not add up to the number of users the source states.
    pub async fn roster(&self, now: Time, budget: Span) -> Result<Roster, Fault> {
        match self {
            Self::AliyunSag(source) => source.roster(now, budget).await,
            Self::Played(_) => Err(played::refuse()),
        }
    }

    /// How many clients are online in all, whoever they are.
    ///
    /// # Errors
    /// The number did not come within `budget`.
    pub async fn total(&self, now: Time, budget: Span) -> Result<u32, Fault> {
        match self {
            Self::AliyunSag(source) => source.total(now, budget).await,
            Self::Played(_) => Err(played::refuse()),
        }
    }
}
