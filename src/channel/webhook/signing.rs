//! Signatures of Standard Webhooks 1.0: the receiver can tell who sent a body, and that it is not an old one.
//!
//! Neighbours: `webhook` adds the three headers at every attempt; the stored body has none of them. A part of its
//! own because it is the whole of a public specification (standard-webhooks.com, "Signature scheme", symmetric).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;

use crate::engine::time::Time;
use crate::secret::Secret;

/// The specification's range for a symmetric secret, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A checked signing secret.
#[derive(Clone)]
pub(super) struct Key(SecretSlice<u8>);

/// Why a text is no signing secret; never shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum KeyError {
    #[error(
        "a signing secret begins with whsec_; make one with: printf whsec_ && head -c 32 /dev/urandom | base64"
    )]
    Prefix,
    #[error("what follows whsec_ is not base64")]
    Base64,
    #[error("the key is {0} bytes long; 24 to 64 are allowed")]
    Length(usize),
}

impl Key {
    /// Reads `whsec_` + base64 of 24 to 64 bytes.
    pub(super) fn parse(secret: &Secret) -> Result<Self, KeyError> {
        let text = secret.expose().strip_prefix("whsec_").ok_or(KeyError::Prefix)?;
        let key = Self(SecretSlice::from(BASE64_STANDARD.decode(text).map_err(|_| KeyError::Base64)?));
        let length = key.0.expose_secret().len();
        if KEY_BYTES.contains(&length) { Ok(key) } else { Err(KeyError::Length(length)) }
    }

    fn sign(&self, signed: &[u8]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret()) else {
            unreachable!("HMAC takes keys of any length")
        };
        mac.update(signed);
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The value of `webhook-signature`: one signature for each key, so that a receiver accepts the body while the
/// secret is being changed. `id` holds no dot, or the parts could be read in two ways.
pub(super) fn signature(keys: &[Key], id: &str, at: Time, body: &[u8]) -> String {
    let mut signed = format!("{id}.{}.", at.seconds()).into_bytes();
    signed.extend_from_slice(body);
    keys.iter().map(|key| key.sign(&signed)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(secret: &str, expect: Result<(), KeyError>) {
        assert_eq!(Key::parse(&Secret::new(secret)).map(drop), expect, "{secret}");
    }

    #[test]
    fn a_key_is_prefix_and_base64_of_24_to_64_bytes() {
        let of = |length: usize| format!("whsec_{}", BASE64_STANDARD.encode(vec![7; length]));
        check(&of(24), Ok(()));
        check(&of(64), Ok(()));
        check(&of(23), Err(KeyError::Length(23)));
        check(&of(65), Err(KeyError::Length(65)));
        check("whsec_***", Err(KeyError::Base64));
        check("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Err(KeyError::Prefix));
    }

    #[test]
    fn the_vector_of_the_reference_libraries_is_met() {
        let key = Key::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let body = br#"{"test": 2432232314}"#;
        let at = Time::from_millis(1_614_265_330_999);
        let signed = signature(std::slice::from_ref(&key), "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = signature(&[key.clone(), key], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body);
        assert_eq!(both, format!("{signed} {signed}"));
    }
}
