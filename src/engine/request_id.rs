//! The vendor's id of one answer: text that nobody reads but the vendor's support.
//!
//! Neighbours: a `Batch` carries it, alerts and events repeat those of the answers that decided. A part of its own
//! because thousands of alerts keep twenty each: nearly all are UUIDs, which take 16 bytes and no allocation.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use data_encoding::HEXUPPER;
use serde::{Deserialize, Serialize};

/// Serialises as its text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct RequestId(Id);

/// Kept so that it is no larger than a UUID.
#[derive(Clone, PartialEq, Eq)]
enum Id {
    /// In upper case, as the vendor writes it; the low half of one that is not zero.
    Uuid(u64, NonZeroU64),
    Other(Arc<Box<str>>),
}

/// Where the hyphens of a UUID's text are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl RequestId {
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Id::Uuid(high, low) => Cow::Owned(text_of(*high, low.get())),
            Id::Other(text) => Cow::Borrowed(text),
        }
    }

    /// The bytes of a UUID; none for any other text.
    pub fn uuid(&self) -> Option<[u8; 16]> {
        match &self.0 {
            Id::Uuid(high, low) => Some((u128::from(*high) << 64 | u128::from(low.get())).to_be_bytes()),
            Id::Other(text) => uuid(text),
        }
    }

    pub fn of_uuid(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        let (high, low) = ((number >> 64) as u64, number as u64);
        match NonZeroU64::new(low) {
            Some(low) => Self(Id::Uuid(high, low)),
            None => Self(Id::Other(Arc::new(text_of(high, low).into()))),
        }
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        uuid(text).map_or_else(|| Self(Id::Other(Arc::new(text.into()))), Self::of_uuid)
    }
}

impl From<String> for RequestId {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.text().into_owned()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestId").field(&self.text()).finish()
    }
}

fn text_of(high: u64, low: u64) -> String {
    format!(
        "{:08X}-{:04X}-{:04X}-{:04X}-{:012X}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let text = text.as_bytes();
    if text.len() != 36 || HYPHENS.iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let (mut digits, mut bytes) = ([0; 32], [0; 16]);
    let hex = text.iter().enumerate().filter(|(at, _)| !HYPHENS.contains(at));
    digits.iter_mut().zip(hex).for_each(|(digit, (_, byte))| *digit = *byte);
    HEXUPPER.decode_mut(&digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, is_uuid: bool) {
        let id = RequestId::from(text);
        assert_eq!((id.text().as_ref(), id.uuid().is_some()), (text, is_uuid), "{text:?}");
    }

    #[test]
    fn an_id_says_what_the_vendor_wrote() {
        check("4F1A0B2C-2192-4F6A-B272-0123456789AB", true);
        check("4f1a0b2c-2192-4f6a-b272-0123456789ab", false);
        check("4F1A0B2C-2192-4F6A-B272-0123456789AG", false);
        check("4F1A0B2C+2192-4F6A-B272-0123456789AB", false);
        check("REQ-é", false);
        check("", false);
        check("4F1A0B2C-2192-4F6A-0000-000000000000", true);
        check("00000000-0000-0000-0000-000000000000", true);
        assert_eq!(size_of::<RequestId>(), 16);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "[0-9A-F]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-F]{12}|[a-zA-Z0-9é-]{0,40}") {
            let id = RequestId::from(text.as_str());
            prop_assert_eq!(id.text(), text.as_str());
            prop_assert_eq!(id.uuid().map(RequestId::of_uuid), id.uuid().map(|_| id.clone()));
        }
    }
}
