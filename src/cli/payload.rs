//! What a stored payload says: the JSON of a webhook, or the headers and the text of a mail.
//!
//! Neighbours: `outbox show` prints it, the channels made it. A part of its own because a mail is stored as it
//! travels, with its text in base64, and nobody reads that.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;

use super::layout::laid_out;
use crate::engine::message::clean;

/// The most characters of a line that are shown.
const WIDEST: usize = 4_000;

/// A payload, read.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Payload {
    /// As it was sent, its keys in their order.
    Json(Box<RawValue>),
    Mail {
        headers: Vec<(String, String)>,
        text: String,
    },
    /// Made by a channel that the rules file has no more.
    None,
}

impl Payload {
    pub(super) fn read(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::None;
        }
        if let Ok(value) = serde_json::from_slice(bytes) {
            return Self::Json(value);
        }
        let mail = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        let (head, body) = mail.split_once("\n\n").unwrap_or((&mail, ""));
        let headers = headers(head);
        let kind = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let boundary = kind.and_then(|(_, kind)| kind.split("boundary=\"").nth(1)?.split('"').next());
        let text =
            boundary.and_then(|boundary| plain_part(body, boundary)).unwrap_or_else(|| body.to_owned());
        Self::Mail { headers, text }
    }

    pub(super) fn text(&self) -> String {
        let lines = |text: &str| text.lines().map(|line| clean(line, WIDEST) + "\n").collect::<String>();
        match self {
            Self::Json(value) => lines(&laid_out(value.get())),
            Self::Mail { headers, text } => {
                let head = headers.iter().map(|(name, value)| format!("{name}: {}\n", clean(value, WIDEST)));
                format!("{}\n{}", head.collect::<String>(), lines(text))
            }
            Self::None => "(nothing was composed: its channel was not in the rules file)\n".to_owned(),
        }
    }
}

/// Names and values, with folded lines joined (RFC 5322, 2.2.3) and encoded words read (RFC 2047).
fn headers(head: &str) -> Vec<(String, String)> {
    let unfolded = head.replace("\n ", " ").replace("\n\t", " ");
    let pairs = unfolded.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), words(value.trim()))).collect()
}

/// Text with its `=?utf-8?b?…?=` words read; white space between two of them is none.
fn words(value: &str) -> String {
    let mut text = String::new();
    let mut after_word = false;
    for (at, part) in value.split(' ').enumerate() {
        let inner = part.strip_prefix("=?utf-8?b?").and_then(|rest| rest.strip_suffix("?="));
        let decoded = inner.and_then(|inner| BASE64_STANDARD.decode(inner).ok());
        if at > 0 && !(after_word && decoded.is_some()) {
            text.push(' ');
        }
        after_word = decoded.is_some();
        match decoded {
            Some(bytes) => text += &String::from_utf8_lossy(&bytes),
            None => text += part,
        }
    }
    text
}

/// The `text/plain` part between boundaries, out of its base64.
fn plain_part(body: &str, boundary: &str) -> Option<String> {
    let delimiter = format!("--{boundary}");
    let part = body.split(&delimiter).find(|part| part.to_ascii_lowercase().contains("text/plain"))?;
    let (head, content) = part.trim_start_matches('\n').split_once("\n\n")?;
    if !head.to_ascii_lowercase().contains("base64") {
        return Some(content.to_owned());
    }
    let packed: String = content.split_whitespace().collect();
    let bytes = BASE64_STANDARD.decode(packed).ok()?;
    Some(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
}
