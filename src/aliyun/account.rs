//! An account: one pair of keys and the rate that all sources of it share.
//!
//! Neighbours: `[[account]]` is read here, each source's client holds its account. A part of its own because the
//! vendor counts requests per account, however many instances and sources there are.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::credentials::{Credentials, CredentialsError, Provider, STEPS};
use super::rate::Bucket;
use crate::config::Section;

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
        let chain = section.boolean("chain").unwrap_or(false);
        let keys = ["access_key_id", "access_key_secret", "security_token"];
        let given = keys.map(|key| section.has(key));
        let [id, secret, token] = keys.map(|key| section.secret(key));
        let requests_per_second = section.number("requests_per_second", 0.01..=100.0);
        let burst = section.integer("burst", 1..=1000).and_then(|burst| u32::try_from(burst).ok());
        let provider = if chain && given.contains(&true) {
            section.error_at(
                "chain",
                "an account has keys or the chain, not both",
                Some("remove one of them"),
            );
            None
        } else if chain {
            Some(Provider::Chain)
        } else if !given[0] && !given[1] {
            let hint = format!("give both keys, or chain = true, which reads: {}", STEPS.join("; "));
            section.error_at("access_key_id", "is missing", Some(&hint));
            None
        } else {
            for (key, _) in keys.into_iter().zip(given).take(2).filter(|(_, given)| !given) {
                section.missing::<()>(key);
            }
            id.zip(secret).map(|(id, secret)| Provider::Keys { id, secret, token })
        };
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
    pub(super) keys: Credentials,
    bucket: Mutex<Bucket>,
    opened: Instant,
}

impl Account {
    /// Fetches the keys; a reload opens the account anew and so sees rotated ones.
    pub fn open(settings: &Settings) -> Result<Self, CredentialsError> {
        let keys = settings.provider.resolve()?;
        let bucket = Mutex::new(Bucket::new(settings.requests_per_second, settings.burst));
        Ok(Self { name: settings.name.clone(), keys, bucket, opened: Instant::now() })
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
