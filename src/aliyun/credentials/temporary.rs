//! Temporary keys as replies have them: those of the Security Token Service, of the metadata server, of a URI.
//!
//! Neighbours: `role`, `metadata` and `obtain` hand in bodies. A part of its own because such a body is all secret:
//! whatever is wrong with it is told without quoting any of it.

use serde::Deserialize;

use super::Credentials;
use crate::engine::time::Time;
use crate::secret;

/// Keys that expire.
#[derive(Clone, Debug)]
pub(super) struct Temporary {
    pub keys: Credentials,
    pub expires: Time,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parts {
    code: Option<String>,
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    security_token: Option<String>,
    expiration: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    credentials: Parts,
}

/// The reply of `AssumeRole` and `AssumeRoleWithOIDC`.
pub(super) fn of_sts(body: &[u8]) -> Result<Temporary, String> {
    let reply: Reply = serde_json::from_slice(body).map_err(|error| shape(&error))?;
    whole(reply.credentials)
}

/// The reply of the metadata server and of a credentials URI, which says `"Code": "Success"`.
pub(super) fn of_metadata(body: &[u8]) -> Result<Temporary, String> {
    let parts: Parts = serde_json::from_slice(body).map_err(|error| shape(&error))?;
    match parts.code.as_deref() {
        Some("Success") => whole(parts),
        Some(code) => {
            let word: String = code.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
            Err(format!("the reply's Code is {word:?}, not \"Success\""))
        }
        None => Err("the reply has no Code".into()),
    }
}

fn whole(parts: Parts) -> Result<Temporary, String> {
    let need = |name: &str, part: Option<String>| {
        part.filter(|part| !part.is_empty()).ok_or_else(|| format!("the reply has no {name}"))
    };
    let taken = |name: &str, text: String| {
        secret::taken(&format!("the reply's {name}"), text).map_err(|e| e.to_string())
    };
    let id = need("AccessKeyId", parts.access_key_id)?;
    let id = taken("AccessKeyId", id)?.expose().to_owned();
    let secret = taken("AccessKeySecret", need("AccessKeySecret", parts.access_key_secret)?)?;
    let token = taken("SecurityToken", need("SecurityToken", parts.security_token)?)?;
    let expires = need("Expiration", parts.expiration)?;
    let expires = expires.parse().map_err(|_| "the reply's Expiration is no time".to_owned())?;
    let keys = Credentials { access_key_id: id, access_key_secret: secret, security_token: Some(token) };
    Ok(Temporary { keys, expires })
}

/// Where it breaks, and never what stands there.
fn shape(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("the reply is not the JSON it should be (line {line}, column {column})")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"Code":"Success","AccessKeyId":"STS.canary","AccessKeySecret":"canary-secret",
        "SecurityToken":"canary-token","Expiration":"2026-11-22T04:05:00Z","LastUpdated":"x"}"#;

    #[track_caller]
    fn check(body: &str, expect: &str) {
        let found = of_metadata(body.as_bytes());
        let told = match found {
            Ok(found) => format!("{} until {}", found.keys.access_key_id, found.expires),
            Err(why) => {
                assert!(!why.contains("canary"), "{why}");
                why
            }
        };
        assert!(told.starts_with(expect), "{told}");
    }

    #[test]
    fn a_reply_is_whole_or_refused_without_being_quoted() {
        check(WHOLE, "STS.canary until 2026-11-22T04:05:00Z");
        for part in ["AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration"] {
            check(&WHOLE.replace(part, "Other"), &format!("the reply has no {part}"));
        }
        check(&WHOLE.replace("\"canary-token\"", "\"\""), "the reply has no SecurityToken");
        check(&WHOLE.replace("\"canary-token\"", "[\"canary\"]"), "the reply is not the JSON");
        check(
            &WHOLE.replace("canary-secret", "canary\\u0007"),
            "the reply's AccessKeySecret: holds a line break",
        );
        check(&WHOLE.replace("2026-11-22T04:05:00Z", "canary"), "the reply's Expiration is no time");
        check(&WHOLE.replace("Success", "Failed"), "the reply's Code is \"Failed\"");
        check("{}", "the reply has no Code");
        check("<html>canary", "the reply is not the JSON it should be (line 1, column 1)");
    }
}
