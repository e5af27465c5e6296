//! Keys: which ones a request is signed with, where they come from, and how they stay fresh.
//!
//! Neighbours: an account's settings name a [`Provider`], its [`Keyring`] holds what that gives, the client signs
//! with it. A part of its own because the vendor's tools look for keys in many places; each place is one file here.
//! `chain` knows their order, `obtain` goes and fetches.

mod chain;
mod file;
mod ini;
mod keyring;
mod metadata;
mod obtain;
mod profile;
mod role;
pub(super) mod settings;
mod surroundings;
mod temporary;

use std::fmt;
use std::path::PathBuf;

use crate::engine::reading::{Fault, FaultClass};
use crate::secret::{Secret, SecretError, SecretRef};

pub use keyring::{Held, Keyring};
pub use role::Role;
pub use surroundings::{Environment, Surroundings};

/// An access key pair, with the token that temporary keys come with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub access_key_secret: Secret,
    pub security_token: Option<Secret>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials([redacted])")
    }
}

/// Where keys come from.
#[derive(Clone, PartialEq, Debug)]
pub enum Provider {
    /// The rules file says where each part is.
    Keys { id: SecretRef, secret: SecretRef, token: Option<SecretRef> },
    /// The vendor's default chain: the first step that has keys gives them.
    Chain,
    /// The RAM role of the ECS instance this runs on; None: whichever it has.
    EcsRole(Option<String>),
    /// A URI that answers with temporary keys.
    Uri(SecretRef),
    /// A role, by the word of an identity provider.
    Oidc { provider_arn: String, token_file: PathBuf, role: Role },
    /// A role, taken on with the keys of another provider.
    Assumed { base: Box<Self>, role: Role },
    /// Keys that stood at a place, named for people.
    Found { keys: Credentials, place: String },
}

/// Why there are no keys to sign with.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("{0}")]
    Secret(#[from] SecretError),
    #[error("{set} is set and {missing} is not: {}", .way_out)]
    HalfSet { set: String, missing: String, way_out: &'static str },
    #[error("{place}: {reason}")]
    Place { place: String, reason: String },
    #[error(
        "the default chain found no keys: {}. Set up one of these, or give access_key_id and access_key_secret",
        .looked.join("; ")
    )]
    ChainEmpty { looked: Vec<String> },
}

impl From<CredentialsError> for Fault {
    fn from(error: CredentialsError) -> Self {
        refused(error.to_string())
    }
}

/// A fault for which somebody must set keys right.
fn refused(message: String) -> Fault {
    Fault { class: FaultClass::Credentials, code: "no-keys".into(), message, advice: None }
}

/// The steps of the default chain, in order, for messages.
pub const STEPS: [&str; 6] = [
    "1. environment variables ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET \
     (with ALIBABA_CLOUD_SECURITY_TOKEN for temporary keys)",
    "2. an OIDC role: ALIBABA_CLOUD_OIDC_TOKEN_FILE, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and ALIBABA_CLOUD_ROLE_ARN",
    "3. the vendor's command line tool's ~/.aliyun/config.json",
    "4. ALIBABA_CLOUD_CREDENTIALS_FILE or ~/.alibabacloud/credentials[.ini]",
    "5. the RAM role of the ECS instance",
    "6. ALIBABA_CLOUD_CREDENTIALS_URI",
];

/// A key id as people may see it: enough to tell one from another.
pub fn shortened(id: &str) -> String {
    let chars: Vec<char> = id.chars().filter(char::is_ascii_graphic).collect();
    if chars.len() < 12 {
        return chars.iter().take(chars.len().min(2)).chain(&['…']).collect();
    }
    chars[..4].iter().chain(&['…']).chain(&chars[chars.len() - 4..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_print() {
        let plain = |text: &str| SecretRef::Plain(Secret::new(text));
        let keys = Credentials {
            access_key_id: "canary0".into(),
            access_key_secret: Secret::new("canary1"),
            security_token: Some(Secret::new("canary2")),
        };
        let found = Provider::Found { keys, place: "environment".into() };
        let given =
            Provider::Keys { id: plain("canary3"), secret: plain("canary4"), token: Some(plain("canary5")) };
        let all = format!("{found:?}{given:?}{:?}", Provider::Uri(plain("http://canary6")));
        assert!(!all.contains("canary"), "{all}");
    }

    #[test]
    fn an_id_is_shortened() {
        assert_eq!(shortened("LTAI5tABCDEFGHIJKLMNabcd"), "LTAI…abcd");
        assert_eq!(shortened("testid"), "te…");
        assert_eq!(shortened(""), "…");
        assert_eq!(shortened("STS.\u{1b}[31m\u{202e}ABCDEFGHIJ"), "STS.…GHIJ");
    }
}
