//! Takes keys, tokens and signatures out of text before anyone sees it.
//!
//! Neighbours: the client redacts every message of the vendor's, prepared requests are shown through it. A part of
//! its own because the vendor's refusal of a signature echoes all that was signed, in three encodings.

use std::sync::Arc;

use super::credentials::Credentials;
use super::sign::encode;
use crate::secret::{Forms, Secret};

/// What stands in for a secret.
pub const MASK: &str = "***";

/// Longest vendor message that is kept, in characters.
const MOST: usize = 500;

/// Words after which a value is masked whoever's it is: the echo may hold a key we do not know.
const LABELS: [&str; 6] =
    ["accesskeyid", "securitytoken", "signature", "x-acs-accesskey-id", "x-acs-security-token", "credential"];

/// The secrets to look for: those of the keys, made ready once for all requests, and those of one request.
#[derive(Clone)]
pub struct Redactor {
    keys: Arc<Forms>,
    own: Vec<Secret>,
}

/// What must never be shown of keys.
pub(super) fn forms_of(keys: &Credentials) -> Forms {
    let token = keys.security_token.as_ref().map_or("", |token| token.expose());
    travelling([&keys.access_key_id, keys.access_key_secret.expose(), token])
}

/// Secrets in each encoding they travel in. Version 1 signs what is encoded already, so its echo holds secrets encoded
/// twice; forms encode otherwise.
fn travelling<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Forms {
    let secrets = secrets.into_iter().filter(|secret| !secret.is_empty());
    let all: Vec<Secret> = secrets
        .flat_map(|secret| {
            let form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            [Secret::new(secret), Secret::new(encode(secret)), Secret::new(form)]
        })
        .collect();
    Forms::of(&all.iter().collect::<Vec<_>>())
}

impl Redactor {
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self::beside(Arc::default(), secrets)
    }

    /// For these secrets and those of the keys.
    pub fn beside<'a>(keys: Arc<Forms>, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self { keys, own: secrets.into_iter().map(Secret::new).collect() }
    }

    /// The text with every secret masked, in each encoding it travels in; nothing else is changed.
    pub fn mask(&self, text: &str) -> String {
        // No form is shorter than its secret, and the rest is made only now, because most requests are never shown.
        let fit = self.own.iter().map(Secret::expose).filter(|secret| secret.len() <= text.len());
        self.keys.mask(text, &travelling(fit)).into_owned()
    }

    /// A foreign message, fit to be shown: one line, no echo of what was signed, no secrets, not too long.
    pub fn message(&self, text: &str) -> String {
        // An id as every reply has one: no line break, no label, no echo.
        if text.len() <= MOST && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return self.mask(text);
        }
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let lower = line.to_ascii_lowercase();
        let echo = ["stringtosign is", "string to sign is", "canonicalrequest is", "string-to-sign is"];
        let cut = echo.iter().filter_map(|word| lower.find(word).map(|at| at + word.len())).min();
        let line = match cut {
            Some(at) => format!("{} [left out]", &line[..at]),
            None => line,
        };
        self.mask(&mask_labelled(&line)).chars().take(MOST).collect()
    }
}

/// Masks what follows `Label=`, `Label:` or an encoded `=`, up to the next separator.
fn mask_labelled(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut shown = String::new();
    let mut at = 0;
    while at < text.len() {
        let value = LABELS.iter().filter(|label| lower[at..].starts_with(**label)).find_map(|label| {
            let rest = &lower[at + label.len()..];
            let mark =
                ["=", ":", "%3d", "%253d", "\":\"", "\": \""].iter().filter(|mark| rest.starts_with(**mark));
            mark.map(|mark| at + label.len() + mark.len()).max()
        });
        if let Some(value) = value {
            let end = ["&", " ", ",", "\"", "]", "%26", "%2526"]
                .iter()
                .filter_map(|stop| lower[value..].find(stop))
                .min();
            shown.push_str(&text[at..value]);
            shown.push_str(MASK);
            at = end.map_or(text.len(), |end| value + end);
        } else {
            let next = text[at..].chars().next().map_or(1, char::len_utf8);
            shown.push_str(&text[at..at + next]);
            at += next;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_every_encoding() {
        let token = "CAIS+test/Token==~*%25 end";
        let redactor = Redactor::new(["LTAIcanary", token, ""]);
        let texts = [
            token.to_owned(),
            encode(token),
            encode(&encode(token)),
            form_urlencoded::byte_serialize(token.as_bytes()).collect(),
        ];
        for text in texts {
            assert_eq!(redactor.mask(&format!("a {text} b LTAIcanary")), "a *** b ***", "{text}");
        }
    }

    #[test]
    fn an_id_that_is_all_letters_and_digits_may_hold_a_secret_all_the_same() {
        let keys = Credentials {
            access_key_id: "LTAIcanary".into(),
            access_key_secret: Secret::new("hush-canary/1"),
            security_token: None,
        };
        let redactor = Redactor::beside(Arc::new(forms_of(&keys)), ["0123456789abcdef"]);
        let base64 = |text: &str| data_encoding::BASE64_NOPAD.encode(text.as_bytes());
        let cases = [
            ("14846A6A-2192-4F6A-B272-B8BD68EBC89B".to_owned(), "14846A6A-2192-4F6A-B272-B8BD68EBC89B"),
            ("R-LTAIcanary-1".to_owned(), "R-***-1"),
            ("R-0123456789abcdef".to_owned(), "R-***"),
            (base64("LTAIcanary"), "***"),
            (base64("hush-canary/1"), "***"),
            (base64("0123456789abcdef"), "***"),
        ];
        for (text, expect) in cases {
            assert_eq!(redactor.message(&text), expect);
        }
    }

    #[test]
    fn no_form_of_a_secret_is_shorter_than_it() {
        for secret in
            ["a", "ab", "\"a\"", "a b", "张/+=", "https://host/a", "0123456789abcdef0123456789abcdef"]
        {
            let shortest = |text: &String| Redactor::new([secret]).mask(text).contains(MASK);
            let parts =
                (0..secret.len()).filter(|n| secret.is_char_boundary(*n)).map(|n| secret[..n].to_owned());
            assert!(!parts.into_iter().any(|part| shortest(&part)), "{secret}");
            assert!(shortest(&secret.to_owned()), "{secret}");
        }
    }

    #[test]
    fn foreign_messages_are_one_short_line_without_echoes() {
        let redactor = Redactor::new(["canary"]);
        let cases = [
            ("The specified user is invalid.", "The specified user is invalid."),
            ("bad\r\nvalue \u{1b}[31mcanary", "bad  value  [31m***"),
            ("server string to sign is:GET&%2F&AccessKeyId%3Dother", "server string to sign is [left out]"),
            (
                "no match, server StringToSign is [x] server CanonicalRequest is [y]",
                "no match, server StringToSign is [left out]",
            ),
            ("AccessKeyId=other&Action=X", "AccessKeyId=***&Action=X"),
            ("AccessKeyId%3Dother%26Action%3DX", "AccessKeyId%3D***%26Action%3DX"),
            ("x-acs-security-token:other more", "x-acs-security-token:*** more"),
            ("张SecurityToken=other", "张SecurityToken=***"),
        ];
        for (text, expect) in cases {
            assert_eq!(redactor.message(text), expect);
        }
        assert_eq!(redactor.message(&"张".repeat(9000)).chars().count(), MOST);
    }
}
