//! Signature version 3: ACS3-HMAC-SHA256 over method, query, chosen headers and the body's digest.
//!
//! Neighbours: `sign` for encoding, `v1` is the other one. A part of its own because which headers are signed is
//! the sender's choice: a checker must go by the list that was sent, not by ours.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::canonical_query;

/// The name that opens the string to sign and the `Authorization` header.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// Lower-case hex SHA-256: the value of `x-acs-content-sha256`.
pub fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The names of all given headers, lower-case and sorted, joined by `;`.
pub fn signed_headers(headers: &[(String, String)]) -> String {
    let mut names: Vec<_> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(";")
}

/// The six parts joined by line feeds. `signed_headers` is the list as sent; a header it names and `headers` lacks
/// counts as empty, headers it does not name are left out, several of one name are sorted and joined by `,`.
/// `payload` is the body's [`digest`].
pub fn canonical_request(
    method: &str,
    path: &str,
    params: &[(String, String)],
    headers: &[(String, String)],
    signed_headers: &str,
    payload: &str,
) -> String {
    canonical_of(method, path, &canonical_query(params), headers, signed_headers, payload)
}

/// The same of a query that is canonical already.
pub(in crate::aliyun) fn canonical_of(
    method: &str,
    path: &str,
    query: &str,
    headers: &[(String, String)],
    signed_headers: &str,
    payload: &str,
) -> String {
    let mut names: Vec<_> = signed_headers.split(';').map(str::to_ascii_lowercase).collect();
    names.sort_unstable();
    let mut lines = String::new();
    for name in &names {
        let same = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let mut values: Vec<_> = same.map(|(_, value)| value.trim()).collect();
        values.sort_unstable();
        lines.extend([name.as_str(), ":", values.join(",").as_str(), "\n"]);
    }
    format!("{method}\n{path}\n{query}\n{lines}\n{signed_headers}\n{payload}")
}

/// The algorithm's name and the canonical request's digest.
pub fn string_to_sign(canonical_request: &str) -> String {
    format!("{ALGORITHM}\n{}", digest(canonical_request.as_bytes()))
}

/// Lower-case hex of HMAC-SHA256 with the bare secret as the key.
pub fn signature(secret: &str, string_to_sign: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(string_to_sign.as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// The value of the `Authorization` header; no space after the commas.
pub fn authorization(access_key_id: &str, signed_headers: &str, signature: &str) -> String {
    format!("{ALGORITHM} Credential={access_key_id},SignedHeaders={signed_headers},Signature={signature}")
}
