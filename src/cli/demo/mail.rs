//! A mail as a person would see it: its headers, and its text part decoded.
//!
//! Neighbours: the demo's `watcher`. A part of its own because what is stored and sent is MIME with base64 parts,
//! which nobody reads by eye.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Headers as they are, an empty line, the text part. A mail of another form is shown as it is.
pub(super) fn readable(raw: &str) -> String {
    let raw = raw.replace("\r\n", "\n");
    let Some((head, body)) = raw.split_once("\n\n") else { return raw };
    let text = body.split("\n--").find_map(|part| {
        let (part_head, part_body) = part.split_once("\n\n")?;
        if !part_head.contains("text/plain") {
            return None;
        }
        let packed: String = part_body.split_whitespace().collect();
        String::from_utf8(STANDARD.decode(packed).ok()?).ok()
    });
    match text {
        Some(text) => format!("{head}\n\n{}", text.replace("\r\n", "\n")),
        None => raw,
    }
}
