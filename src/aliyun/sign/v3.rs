//! Signature version 3: ACS3-HMAC-SHA256 over method, query, chosen headers and the body's digest.
//!
//! Neighbours: `sign` for encoding, `v1` is the other one. A part of its own because which headers are signed is
//! the sender's choice: a checker must go by the list that was sent, not by ours.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::canonical_query;

/// The name that opens the string to sign and the `Authorization` header.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// [`digest`] of no bytes: a request without a body.
pub const DIGEST_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Lower-case hex SHA-256: the value of `x-acs-content-sha256`.
pub fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The names of all given headers, lower-case and sorted, joined by `;`.
pub fn signed_headers<N: AsRef<str>>(headers: &[(N, String)]) -> String {
    let mut names: Vec<_> = headers.iter().map(|(name, _)| lower(name.as_ref())).collect();
    names.sort_unstable();
    names.dedup();
    names.join(";")
}

/// In lower case; most are.
fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
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
pub(in crate::aliyun) fn canonical_of<N: AsRef<str>>(
    method: &str,
    path: &str,
    query: &str,
    headers: &[(N, String)],
    signed_headers: &str,
    payload: &str,
) -> String {
    let mut names: Vec<_> = signed_headers.split(';').map(lower).collect();
    names.sort_unstable();
    let (mut lines, mut values) = (String::new(), Vec::new());
    for name in &names {
        let same = headers.iter().filter(|(other, _)| other.as_ref().eq_ignore_ascii_case(name));
        values.clear();
        values.extend(same.map(|(_, value)| value.trim()));
        values.sort_unstable();
        lines.extend([name, ":"]);
        for (n, value) in values.iter().enumerate() {
            lines.extend([if n == 0 { "" } else { "," }, value]);
        }
        lines.push('\n');
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
