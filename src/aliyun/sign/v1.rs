//! Signature version 1.0: HMAC-SHA1 over all parameters, which travel beside it.
//!
//! Neighbours: `sign` for encoding, `v3` is the other one. A part of its own because old gateways and tools speak
//! only this one, and it must go on verifying when nobody looks at it any more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use super::{canonical, encode};

/// What is signed: `METHOD&%2F&` and the encoded canonical query of all parameters of query and form body but
/// `Signature` itself.
pub fn string_to_sign(method: &str, params: &[(String, String)]) -> String {
    let params = params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signed = params.filter(|(name, _)| *name != "Signature");
    format!("{method}&%2F&{}", encode(&canonical(signed)))
}

/// Base64 of HMAC-SHA1 with the secret and `&` as the key.
pub fn signature(secret: &str, string_to_sign: &str) -> String {
    let key = [secret.as_bytes(), b"&"].concat();
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(string_to_sign.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}
