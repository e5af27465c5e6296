//! Where counts are read from: one closed list of kinds, each a folder with its settings and its way of asking.
//!
//! Neighbours: the agent fetches and turns what came into a poll; `aliyun` is the vendor's API below. A part of its
//! own so that a kind is added by one folder, one variant and one arm per `match` below.

pub mod aliyun_sag;

use std::sync::Arc;

use crate::aliyun::Account;
use crate::aliyun::transport::OpenError;
use crate::config::Section;
use crate::engine::event::OnlineClient;
use crate::engine::reading::{Fault, Fetched};
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
}

/// A source in use.
#[derive(Clone, Debug)]
pub enum Source {
    AliyunSag(AliyunSag),
}

impl Source {
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
        }
    }

    /// One pass over `users`, done within `budget`. Whatever fails is in what comes back.
    pub async fn fetch(&self, users: &[Arc<str>], now: Time, budget: Span) -> Fetched {
        match self {
            Self::AliyunSag(source) => source.fetch(users, now, budget).await,
        }
    }

    /// The connections of one user, for evidence.
    ///
    /// # Errors
    /// The list did not come within `budget`.
    pub async fn clients(&self, user: &str, now: Time, budget: Span) -> Result<Vec<OnlineClient>, Fault> {
        match self {
            Self::AliyunSag(source) => source.clients(user, now, budget).await,
        }
    }
}
