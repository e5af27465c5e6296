//! An account: one pair of keys and the rate that all sources of it share.
//!
//! Neighbours: `[[account]]` is read here, each source's client holds its account. A part of its own because the
//! vendor counts requests per account, however many instances and sources there are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::client::Deadline;
use super::credentials::{self, Credentials, CredentialsError, Held, Keyring, Provider, Surroundings};
use super::rate::Bucket;
use super::refusals::Refusals;
use crate::config::Section;
use crate::engine::reading::Fault;
use crate::engine::time::Time;

/// A `[[account]]` of the rules file.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    pub name: String,
    pub provider: Provider,
    /// 0.01 to 100.
    pub requests_per_second: f64,
    /// 1 to 1,000 requests that may be saved up.
    pub burst: u32,
}

impl Settings {
    /// What holds for sources where the file has no account at all: the default chain.
    pub fn of_chain() -> Self {
        Self { name: "default".into(), provider: Provider::Chain, requests_per_second: 1.0, burst: 10 }
    }

    pub fn read(section: &mut Section<'_>) -> Option<Self> {
        let name = section.name("name");
        let provider = credentials::settings::read(section);
        let requests_per_second = section.number("requests_per_second", 0.01..=100.0);
        let burst = section.integer("burst", 1..=1000).and_then(|burst| u32::try_from(burst).ok());
        Some(Self {
            name: name?,
            provider: provider?,
            requests_per_second: requests_per_second.unwrap_or(1.0),
            burst: burst.unwrap_or(10),
        })
    }
}

/// An account in use.
#[derive(Debug)]
pub struct Account {
    pub name: String,
    keyring: Keyring,
    bucket: Mutex<Bucket>,
    refusals: Mutex<Refusals>,
    opened: Instant,
}

impl Account {
    /// Fetches the keys that are on this machine; a reload opens the account anew and so sees rotated ones. Keys
    /// that a server gives are fetched when they are first needed.
    ///
    /// # Errors
    /// The keys, or what the way to them rests on, are missing or wrong.
    pub fn open(settings: &Settings) -> Result<Self, CredentialsError> {
        Self::open_in(settings, Surroundings::real())
    }

    /// As [`Self::open`], with another environment and other servers than the process's own.
    ///
    /// # Errors
    /// As there.
    pub fn open_in(settings: &Settings, around: Surroundings) -> Result<Self, CredentialsError> {
        let keyring = Keyring::open(&settings.name, settings.provider.clone(), around)?;
        let bucket = Bucket::new(settings.requests_per_second, settings.burst);
        Ok(Self::new(&settings.name, keyring, bucket))
    }

    /// For the few requests by which keys get other keys.
    pub(super) fn holding(keys: Credentials) -> Self {
        Self::new("sts", Keyring::holding(keys), Bucket::new(10.0, 10))
    }

    fn new(name: &str, keyring: Keyring, bucket: Bucket) -> Self {
        let (bucket, refusals) = (Mutex::new(bucket), Mutex::default());
        Self { name: name.to_owned(), keyring, bucket, refusals, opened: Instant::now() }
    }

    /// Keys to sign with, refreshed if it is time.
    ///
    /// # Errors
    /// There are none; the fault says what is to be done.
    pub async fn keys(&self, deadline: &Deadline) -> Result<Arc<Held>, Fault> {
        self.keyring.keys(deadline).await
    }

    /// Gets others in the place of keys that were refused; whether there are others now.
    ///
    /// # Errors
    /// None could be had; the old ones stay.
    pub async fn renew(&self, refused: &Arc<Held>, deadline: &Deadline) -> Result<bool, Fault> {
        self.keyring.renew(refused, deadline).await
    }

    /// Keys that are here already, without asking anybody.
    pub fn at_hand(&self) -> Option<Arc<Held>> {
        self.keyring.at_hand()
    }

    /// Which place gave the keys, such as `environment (LTAI…abcd)`; never more of them.
    pub fn origin(&self) -> String {
        self.keyring.origin()
    }

    /// The vendor's refusal of these keys, where they rest after it and must not be tried again yet.
    pub(super) fn standing_refusal(&self, keys: &Arc<Held>, now: Time) -> Option<Fault> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).standing(keys, now)
    }

    /// What came of a request signed with these keys; no fault is a good answer.
    pub(super) fn note_answer(&self, keys: &Arc<Held>, fault: Option<&Fault>, now: Time) {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).note(keys, fault, now);
    }

    /// Waits for this request's turn; false, at once, if that would be later than `at_most`.
    pub async fn admit(&self, at_most: Duration) -> bool {
        let wait = self.with_bucket(|bucket, now| bucket.take(now, at_most));
        let Some(wait) = wait else { return false };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        true
    }

    /// The vendor says requests come too fast.
    pub fn slow_down(&self) {
        self.with_bucket(Bucket::slow_down);
    }

    fn with_bucket<T>(&self, act: impl FnOnce(&mut Bucket, Duration) -> T) -> T {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut bucket, self.opened.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::walk;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let (settings, problems) = walk("rules.toml", text, Path::new("/"), |mut section| {
            let settings = Settings::read(&mut section);
            section.finish();
            settings
        });
        let problems = format!("{problems:?}");
        match settings.flatten() {
            Some(found) => assert!(format!("{found:?}").contains(expect), "{found:?}"),
            None => assert!(problems.contains(expect), "{problems}"),
        }
    }

    #[test]
    fn an_account_has_keys_or_the_chain() {
        let id = "name='main'\naccess_key_id={env='A'}\n";
        let secret = "access_key_secret={env='B'}\n";
        check(&format!("{id}{secret}"), "token: None }, requests_per_second: 1.0, burst: 10");
        check(&format!("{id}{secret}requests_per_second=5\nburst=20"), "requests_per_second: 5.0, burst: 20");
        check(&format!("{id}{secret}security_token={{credential='t'}}"), "token: Some(Credential(\"t\"))");
        check("name='main'\nchain=true", "provider: Chain");
        check(&format!("{id}{secret}chain=true"), "not both");
        check("name='main'", "ALIBABA_CLOUD_ACCESS_KEY_ID");
        check(id, "add access_key_secret");
        check(&format!("name='main'\n{secret}"), "add access_key_id");
    }
}
