//! One request, signed and ready to be sent, and the same as it may be shown.
//!
//! Neighbours: the client makes and sends it, the `api` command prints it. A part of its own because what goes over
//! the wire and what people see of it must come from the same place, and the second must hold no secret.

use std::fmt::Write as _;
use std::sync::Arc;

use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::redact::Redactor;
use super::sign::{self, Pairs, v1, v3};
use crate::engine::time::Time;
use crate::secret::Forms;

/// The product's API version.
pub const VERSION: &str = "2018-03-13";

/// The API version of the Security Token Service.
pub const STS_VERSION: &str = "2015-04-01";

/// Which signature is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Signature {
    /// HMAC-SHA1, parameters and signature in a form body.
    V1,
    /// ACS3-HMAC-SHA256, parameters in the query, the signature in a header.
    #[default]
    V3,
    /// None: parameters in a form body. For the few actions that prove who asks by one of them.
    Unsigned,
}

/// Parameters that are secrets themselves.
fn is_secret(name: &str) -> bool {
    name == "OIDCToken" || name.ends_with("Password")
}

fn secrets<'a>(params: &[(&'a str, &'a str)]) -> impl Iterator<Item = &'a str> {
    params.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| *value)
}

/// Headers as they are sent.
pub(super) type Headers = Vec<(&'static str, String)>;

/// A signed request. What it holds is secret; [`Prepared::shown`] is not.
#[derive(Clone)]
pub struct Prepared {
    pub(super) method: &'static str,
    pub(super) url: String,
    pub(super) headers: Headers,
    pub(super) body: String,
    /// V3: the canonical request; V1: the canonical query.
    pub(super) canonical: String,
    pub(super) string_to_sign: String,
    pub(super) redactor: Redactor,
}

/// A request as people may see it: key id, token and signature as `***`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    pub method: String,
    pub url: String,
    pub headers: Pairs,
    pub body: String,
    pub canonical: String,
    pub string_to_sign: String,
    /// The same request as a POSIX shell command.
    pub curl: String,
}

/// What is signed: an action of a version of the API with its own parameters, at a time, with a nonce.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub version: &'a str,
    pub action: &'a str,
    pub params: &'a [(&'a str, &'a str)],
    pub at: Time,
    pub nonce: &'a str,
}

/// Keys, with what must not be shown of them.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    pub keys: &'a Credentials,
    pub forms: &'a Arc<Forms>,
}

/// Parameters that somebody else keeps.
pub fn borrowed(params: &[(String, String)]) -> Vec<(&str, &str)> {
    params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// Signs a call. Both versions use POST: V3 as the vendor's newer SDKs do (parameters in the query, no body), V1
/// with a form body, which keeps keys and tokens out of URLs.
pub fn prepare(signature: Signature, endpoint: &Endpoint, by: Signer<'_>, call: Call<'_>) -> Prepared {
    // The vendor reads whole seconds and nothing else.
    let stamp = Time::from_millis(call.at.seconds() * 1000).to_string();
    match signature {
        Signature::V1 => prepare_v1(endpoint, by, call, stamp),
        Signature::V3 => prepare_v3(endpoint, by, call, stamp),
        Signature::Unsigned => prepare_unsigned(endpoint, call, stamp),
    }
}

fn redactor(by: Signer<'_>, params: &[(&str, &str)], signature: &str) -> Redactor {
    Redactor::beside(Arc::clone(by.forms), std::iter::once(signature).chain(secrets(params)))
}

/// The parameters of a form, with those by which it is signed.
fn form(call: Call<'_>, signing: Pairs, stamp: String) -> Pairs {
    let mut params: Pairs = call.params.iter().map(|(name, value)| pair(name, *value)).collect();
    params.extend([pair("Action", call.action), pair("Version", call.version), pair("Format", "JSON")]);
    params.extend(signing);
    params.extend([pair("SignatureNonce", call.nonce), pair("Timestamp", stamp)]);
    params
}

fn post_form(
    endpoint: &Endpoint,
    params: &Pairs,
    canonical: String,
    string_to_sign: String,
    redactor: Redactor,
) -> Prepared {
    Prepared {
        method: "POST",
        url: format!("{}/", endpoint.url()),
        headers: vec![
            ("host", endpoint.authority().to_owned()),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ],
        body: sign::query(params.iter()),
        canonical,
        string_to_sign,
        redactor,
    }
}

fn prepare_unsigned(endpoint: &Endpoint, call: Call<'_>, stamp: String) -> Prepared {
    let params = form(call, Pairs::new(), stamp);
    let redactor = Redactor::new(secrets(call.params));
    post_form(endpoint, &params, String::new(), String::new(), redactor)
}

fn prepare_v1(endpoint: &Endpoint, by: Signer<'_>, call: Call<'_>, stamp: String) -> Prepared {
    let keys = by.keys;
    let signing = vec![
        pair("AccessKeyId", keys.access_key_id.as_str()),
        pair("SignatureMethod", "HMAC-SHA1"),
        pair("SignatureVersion", "1.0"),
    ];
    let mut params = form(call, signing, stamp);
    params.extend(keys.security_token.iter().map(|token| pair("SecurityToken", token.expose())));
    let canonical = sign::canonical_query(&params);
    let string_to_sign = v1::string_to_sign("POST", &params);
    let signature = v1::signature(keys.access_key_secret.expose(), &string_to_sign);
    let redactor = redactor(by, call.params, &signature);
    params.push(pair("Signature", signature));
    post_form(endpoint, &params, canonical, string_to_sign, redactor)
}

fn prepare_v3(endpoint: &Endpoint, by: Signer<'_>, call: Call<'_>, stamp: String) -> Prepared {
    let (keys, payload) = (by.keys, v3::DIGEST_OF_NOTHING);
    let mut headers: Headers = Vec::with_capacity(9);
    headers.extend([
        ("host", endpoint.authority().to_owned()),
        ("x-acs-action", call.action.to_owned()),
        ("x-acs-version", call.version.to_owned()),
        ("x-acs-date", stamp),
        ("x-acs-signature-nonce", call.nonce.to_owned()),
        ("x-acs-content-sha256", payload.to_owned()),
    ]);
    if let Some(token) = &keys.security_token {
        headers.push(("x-acs-accesskey-id", keys.access_key_id.clone()));
        headers.push(("x-acs-security-token", token.expose().to_owned()));
    }
    let signed = v3::signed_headers(&headers);
    let query = sign::canonical_query(call.params);
    let canonical = v3::canonical_of("POST", "/", &query, &headers, &signed, payload);
    let string_to_sign = v3::string_to_sign(&canonical);
    let signature = v3::signature(keys.access_key_secret.expose(), &string_to_sign);
    let authorization = v3::authorization(&keys.access_key_id, &signed, &signature);
    let redactor = redactor(by, call.params, &signature);
    headers.push(("authorization", authorization));
    let mark = if query.is_empty() { "" } else { "?" };
    Prepared {
        method: "POST",
        url: format!("{}/{mark}{query}", endpoint.url()),
        headers,
        body: String::new(),
        canonical,
        string_to_sign,
        redactor,
    }
}

impl Prepared {
    /// The request for people. The command line is complete but for the masked words.
    pub fn shown(&self) -> Shown {
        let mask = |text: &str| self.redactor.mask(text);
        let headers: Pairs = self.headers.iter().map(|(name, value)| pair(name, mask(value))).collect();
        let (url, body) = (mask(&self.url), mask(&self.body));
        let mut curl = format!("curl -sS -X {} {}", self.method, quoted(&url));
        for (name, value) in &headers {
            let _ = write!(curl, " -H {}", quoted(&format!("{name}: {value}")));
        }
        if !body.is_empty() {
            let _ = write!(curl, " --data-raw {}", quoted(&body));
        }
        Shown {
            method: self.method.to_owned(),
            url,
            headers,
            body,
            canonical: mask(&self.canonical),
            string_to_sign: mask(&self.string_to_sign),
            curl,
        }
    }

    /// Masks this request's secrets in foreign text and leaves the rest as it came.
    pub fn mask(&self, text: &str) -> String {
        self.redactor.mask(text)
    }

    /// Masks this request's secrets in foreign text and keeps it on one line.
    pub fn redact(&self, text: &str) -> String {
        self.redactor.message(text)
    }

    /// Whether the vendor's echo of what it signed is what we signed: then it is the secret that is wrong. None
    /// where the text echoes nothing.
    pub(super) fn same_string(&self, echo: &str) -> Option<bool> {
        let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let echo = bare(echo);
        let lower = echo.to_ascii_lowercase();
        let echoes = lower.contains("stringtosign") || lower.contains("canonicalrequest");
        let ours = echo.contains(&bare(&self.string_to_sign)) || echo.contains(&bare(&self.canonical));
        echoes.then_some(ours)
    }
}

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aliyun::redact::forms_of;
    use crate::secret::Secret;

    fn prepared(signature: Signature, endpoint: &str, token: Option<&str>) -> Prepared {
        let keys = Credentials {
            access_key_id: "LTAIcanary".into(),
            access_key_secret: Secret::new("testsecret-canary"),
            security_token: token.map(Secret::new),
        };
        let params = [
            ("RegionId", "cn-shanghai"),
            ("SmartAGId", "sag-test0000000001"),
            ("UserNames.1", "o'n $(e) 张"),
        ];
        let at = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let action = "DescribeUserOnlineClientStatistics";
        let call = Call { version: VERSION, action, params: &params, at, nonce: "nonce" };
        let forms = Arc::new(forms_of(&keys));
        let by = Signer { keys: &keys, forms: &forms };
        prepare(signature, &Endpoint::parse(endpoint).unwrap(), by, call)
    }

    #[test]
    fn a_request_is_shown_without_secrets() {
        let mut all = String::new();
        for (signature, token) in [
            (Signature::V3, None),
            (Signature::V3, Some("CAIS+canary/Token==")),
            (Signature::V1, Some("CAIS+canary/Token==")),
        ] {
            let shown = prepared(signature, "http://127.0.0.1:18080", token).shown();
            writeln!(all, "## {signature:?} token: {}\n{shown:#?}", token.is_some()).unwrap();
        }
        assert!(!all.contains("canary"), "{all}");
        insta::assert_snapshot!(all);
    }

    #[test]
    fn a_password_given_by_hand_is_not_shown() {
        let keys = Credentials {
            access_key_id: "LTAIkey".into(),
            access_key_secret: Secret::new("secret"),
            security_token: None,
        };
        let params = [("UserName", "alice"), ("Password", "canary/+1"), ("NewPassword", "canary")];
        let forms = Arc::new(forms_of(&keys));
        let at = "2026-01-02T03:04:05Z".parse().unwrap();
        for signature in [Signature::V1, Signature::V3] {
            let action = "CreateSmartAccessGatewayClientUser";
            let call = Call { version: VERSION, action, params: &params, at, nonce: "nonce" };
            let endpoint = Endpoint::parse("https://sag.example.com").unwrap();
            let by = Signer { keys: &keys, forms: &forms };
            let shown = format!("{:?}", prepare(signature, &endpoint, by, call).shown());
            assert!(shown.contains("Password") && !shown.contains("canary"), "{shown}");
        }
    }

    #[test]
    fn the_command_line_is_one_a_shell_reads_back() {
        let shown = prepared(Signature::V1, "https://sag.example.com", None).shown();
        let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}; {}", shown.curl);
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        let words: Vec<_> = words.lines().collect();
        assert_eq!(words[..4], ["-sS", "-X", "POST", "https://sag.example.com/"]);
        assert_eq!(words.last().copied(), Some(shown.body.as_str()));
        assert_eq!(quoted("o'n\n$(e)"), "'o'\\''n\n$(e)'");
    }

    #[test]
    fn an_echo_tells_a_wrong_secret_from_a_wrong_string() {
        for signature in [Signature::V1, Signature::V3] {
            let ours = prepared(signature, "http://127.0.0.1:1", None);
            let echo = format!("Signature is not matched, server string to sign is:{}", ours.string_to_sign);
            assert_eq!(ours.same_string(&echo), Some(true));
            assert_eq!(ours.same_string("server StringToSign is [POST&%2F&Other]"), Some(false));
            assert_eq!(ours.same_string("Specified signature is not matched."), None);
        }
    }
}
