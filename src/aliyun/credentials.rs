//! Keys: which ones a request is signed with, and where they come from.
//!
//! Neighbours: an account's settings name a [`Provider`], the client signs with what it gives. A part of its own
//! because the vendor's tools look for keys in many places, and each further place is one more step here.

use std::fmt;

use crate::secret::{Secret, SecretError, SecretRef, Unusable};

/// An access key pair, with the token that temporary keys come with.
#[derive(Clone)]
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
}

/// Why there are no keys to sign with.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("{0}")]
    Secret(#[from] SecretError),
    #[error("{set} is set and {missing} is not: set both, or none to have no keys from the environment")]
    HalfSet { set: &'static str, missing: &'static str },
    #[error(
        "the default chain found no keys; its steps are: {}. Set them, or give access_key_id and access_key_secret",
        STEPS.join("; ")
    )]
    ChainEmpty,
}

const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";

/// The steps of the default chain, in order, for messages.
pub const STEPS: [&str; 1] =
    ["1. environment variables ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET \
     (with ALIBABA_CLOUD_SECURITY_TOKEN for temporary keys)"];

impl Provider {
    /// Reads the keys from where they are, each time anew, so that a reload sees rotated ones.
    pub fn resolve(&self) -> Result<Credentials, CredentialsError> {
        match self {
            Self::Keys { id, secret, token } => Ok(Credentials {
                access_key_id: id.resolve()?.expose().to_owned(),
                access_key_secret: secret.resolve()?,
                security_token: token.as_ref().map(SecretRef::resolve).transpose()?,
            }),
            Self::Chain => {
                let read = |name: &str| SecretRef::Env(name.to_owned()).resolve();
                from_environment(&read)?.ok_or(CredentialsError::ChainEmpty)
            }
        }
    }
}

/// Step 1 of the chain. The vendor's tools pass over a half-set pair in silence; here it is an error, because the
/// next step would sign with a key that nobody meant.
fn from_environment(
    read: &dyn Fn(&str) -> Result<Secret, SecretError>,
) -> Result<Option<Credentials>, CredentialsError> {
    let found = |name: &str| match read(name) {
        Ok(value) => Ok(Some(value)),
        // The vendor's tools, too, take an empty variable for one that is not set.
        Err(error) if matches!(error.reason, Unusable::NotSet | Unusable::Empty) => Ok(None),
        Err(error) => Err(CredentialsError::from(error)),
    };
    match (found(ID)?, found(SECRET)?) {
        (Some(id), Some(access_key_secret)) => Ok(Some(Credentials {
            access_key_id: id.expose().to_owned(),
            access_key_secret,
            security_token: found(TOKEN)?,
        })),
        (Some(_), None) => Err(CredentialsError::HalfSet { set: ID, missing: SECRET }),
        (None, Some(_)) => Err(CredentialsError::HalfSet { set: SECRET, missing: ID }),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(set: &[(&str, &str)], expect: Result<Option<(&str, bool)>, &str>) {
        let read = |name: &str| {
            let value = set.iter().find(|(other, _)| *other == name).map(|(_, value)| Secret::new(*value));
            value.ok_or(SecretError { reference: name.to_owned(), reason: Unusable::NotSet })
        };
        let found = from_environment(&read).map_err(|error| error.to_string());
        let found = found.map(|keys| keys.map(|keys| (keys.access_key_id, keys.security_token.is_some())));
        let expect = expect.map(|keys| keys.map(|(id, token)| (id.to_owned(), token)));
        assert_eq!(found, expect.map_err(String::from));
    }

    #[test]
    fn the_environment_gives_both_halves_or_nothing() {
        check(&[], Ok(None));
        check(&[(ID, "a"), (SECRET, "b")], Ok(Some(("a", false))));
        check(&[(ID, "a"), (SECRET, "b"), (TOKEN, "c")], Ok(Some(("a", true))));
        let missing = "ALIBABA_CLOUD_ACCESS_KEY_ID is set and ALIBABA_CLOUD_ACCESS_KEY_SECRET is not: set both, \
            or none to have no keys from the environment";
        check(&[(ID, "a"), (TOKEN, "c")], Err(missing));
        let missing = "ALIBABA_CLOUD_ACCESS_KEY_SECRET is set and ALIBABA_CLOUD_ACCESS_KEY_ID is not: set both, \
            or none to have no keys from the environment";
        check(&[(SECRET, "b")], Err(missing));
    }

    #[test]
    fn keys_do_not_print() {
        let plain = |text: &str| SecretRef::Plain(Secret::new(text));
        let provider =
            Provider::Keys { id: plain("canary1"), secret: plain("canary2"), token: Some(plain("canary3")) };
        let keys = provider.resolve().unwrap();
        assert!(!format!("{provider:?}{keys:?}").contains("canary"));
        assert!(CredentialsError::ChainEmpty.to_string().contains(ID));
    }
}
