//! Signatures: the parts that V1 and V3 share, as plain functions over names and values.
//!
//! Neighbours: the client signs with them, the emulator checks with them. A part of its own, without state and
//! without a clock, so that the vendor's known answers can be put to it one by one.

pub mod v1;
pub mod v3;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Names with values: parameters or headers, in no particular order.
pub type Pairs = Vec<(String, String)>;

/// Everything but `A-Z a-z 0-9 - _ . ~`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes UTF-8 bytes as both signatures want it: upper-case hex, a space is `%20`, `~` stays.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).collect()
}

/// `name=value` joined by `&`: both encoded, sorted by the raw name's bytes; an empty value gives `name=`.
pub fn canonical_query<N: AsRef<str>, V: AsRef<str>>(params: &[(N, V)]) -> String {
    canonical(params.iter().map(|(name, value)| (name.as_ref(), value.as_ref())))
}

fn canonical<'a>(params: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut sorted: Vec<_> = params.collect();
    sorted.sort_unstable();
    joined(&sorted)
}

/// The same in the order given: a query string or form body as it goes over the wire.
pub fn query<'a>(params: impl Iterator<Item = &'a (String, String)>) -> String {
    joined(&params.map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>())
}

fn joined(params: &[(&str, &str)]) -> String {
    let lengths = params.iter().map(|(name, value)| name.len() + value.len() + 2);
    let mut text = String::with_capacity(lengths.sum());
    for (name, value) in params {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(utf8_percent_encode(name, RESERVED));
        text.push('=');
        text.extend(utf8_percent_encode(value, RESERVED));
    }
    text
}

#[cfg(test)]
mod tests;
