//! Who may ask: keys, tokens, timestamps, nonces and both signatures, checked as a gateway checks them.
//!
//! Neighbours: `call` has decoded the request, `aliyun::sign` makes the canonical forms, `nonces` remembers. A part
//! of its own because it trusts nothing that the sender says of itself except the list of headers it signed.

use std::collections::{BTreeMap, VecDeque};

use super::answer::Refusal;
use super::call::Call;
use super::nonces::Nonces;
use super::sts;
use crate::aliyun::sign::{v1, v3};
use crate::engine::time::{Span, Time};
use crate::secret::Secret;

/// How far a timestamp may lie from the gate's clock, either way.
const WINDOW: Span = Span::from_mins(15);

const VERSION: &str = "2018-03-13";

/// Keys issued to roles that are remembered at once; the oldest leave first.
const MOST_ISSUED: usize = 1_000;

/// A key that lets its bearer in.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) secret: Secret,
    /// Asked for on every request, if there is one.
    pub(super) token: Option<Secret>,
    /// From then on the token is expired.
    pub(super) expires: Option<Time>,
}

#[derive(Debug)]
pub(super) struct Gate {
    main: Key,
    issued: VecDeque<Key>,
    nonces: Nonces,
}

/// What a request says of itself, from whichever place its version of the signature has for it.
struct Claim<'k, 'a> {
    key: &'k Key,
    token: Option<&'a str>,
    timestamp: &'a str,
    nonce: &'a str,
    signature: &'a str,
    expected: String,
    /// The words in which a mismatch is told; as the vendor's, they quote what the gate would have signed.
    mismatch: String,
}

impl Gate {
    pub(super) fn new(main: Key) -> Self {
        Self { main, issued: VecDeque::new(), nonces: Nonces::default() }
    }

    /// Lets the bearer of this key in, too.
    pub(super) fn issue(&mut self, key: Key) {
        self.issued.push_back(key);
        if self.issued.len() > MOST_ISSUED {
            self.issued.pop_front();
        }
    }

    fn key(&self, id: &str) -> Result<&Key, Refusal> {
        let found = std::iter::once(&self.main).chain(&self.issued).find(|key| key.id == id);
        found.ok_or_else(|| {
            Refusal::new(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        })
    }

    /// Lets a request through or says why not, in the order in which a gateway looks.
    pub(super) fn check(&mut self, call: &Call, now: Time) -> Result<(), Refusal> {
        if !matches!(call.method.as_str(), "GET" | "POST") {
            let message = "This http method is not supported.";
            return Err(Refusal::bad("UnsupportedHTTPMethod", message));
        }
        if call.path != "/" {
            return Err(Refusal::new(
                404,
                "InvalidApi.NotFound",
                "Specified api is not found, please check your url.",
            ));
        }
        let v3 = call.is_v3();
        call.action().ok_or_else(|| Refusal::missing(if v3 { "x-acs-action" } else { "Action" }))?;
        let version =
            call.version().ok_or_else(|| Refusal::missing(if v3 { "x-acs-version" } else { "Version" }))?;
        if version != if sts::answers(call) { sts::VERSION } else { VERSION } {
            return Err(Refusal::bad("InvalidVersion", "Specified parameter Version is not valid."));
        }
        if sts::is_unsigned(call) {
            return Ok(());
        }
        let claim = if v3 { self.claim_v3(call)? } else { self.claim_v1(call)? };
        check_token(claim.key, claim.token, now)?;
        check_timestamp(claim.timestamp, now)?;
        if claim.signature != claim.expected {
            return Err(Refusal::bad("SignatureDoesNotMatch", claim.mismatch));
        }
        // Only now: a stranger must not be able to use up other people's nonces.
        let nonce = claim.nonce;
        if !self.nonces.take(nonce, now, WINDOW.times(2)) {
            return Err(Refusal::bad("SignatureNonceUsed", "Specified signature nonce was used already."));
        }
        Ok(())
    }

    fn claim_v1<'a>(&self, call: &'a Call) -> Result<Claim<'_, 'a>, Refusal> {
        let need = |name| call.param(name).filter(|v| !v.is_empty()).ok_or_else(|| Refusal::missing(name));
        let (key_id, nonce, timestamp) = (need("AccessKeyId")?, need("SignatureNonce")?, need("Timestamp")?);
        let (signature, method) = (need("Signature")?, need("SignatureMethod")?);
        if !method.eq_ignore_ascii_case("HMAC-SHA1") || need("SignatureVersion")? != "1.0" {
            return Err(incomplete("only SignatureMethod HMAC-SHA1 with SignatureVersion 1.0 is known"));
        }
        let key = self.key(key_id)?;
        let string_to_sign = v1::string_to_sign(&call.method, &call.params());
        let expected = v1::signature(key.secret.expose(), &string_to_sign);
        let mismatch = format!(
            "Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}"
        );
        let token = call.param("SecurityToken").filter(|token| !token.is_empty());
        Ok(Claim { key, token, timestamp, nonce, signature, expected, mismatch })
    }

    fn claim_v3<'a>(&self, call: &'a Call) -> Result<Claim<'_, 'a>, Refusal> {
        let need = |name| call.header(name).filter(|v| !v.is_empty()).ok_or_else(|| Refusal::missing(name));
        let fields = authorization(need("authorization")?)?;
        let part = |name: &str| fields.get(name).copied().filter(|value| !value.is_empty());
        let field = |name: &str| part(name).ok_or_else(|| incomplete(&format!("Authorization lacks {name}")));
        let (key_id, signed, signature) =
            (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
        let (timestamp, nonce) = (need("x-acs-date")?, need("x-acs-signature-nonce")?);
        let stated = need("x-acs-content-sha256")?;
        let names: Vec<_> = signed.split(';').map(str::to_ascii_lowercase).collect();
        let must = |name: &str| name == "host" || name == "content-type" || name.starts_with("x-acs-");
        if let Some((name, _)) = call.headers.iter().find(|(name, _)| must(name) && !names.contains(name)) {
            return Err(incomplete(&format!("SignedHeaders lacks {name}")));
        }
        let key = self.key(key_id)?;
        // The digest is of what arrived: a body that was changed on the way does not match the one that was signed.
        let payload = v3::digest(&call.body);
        let canonical =
            v3::canonical_request(&call.method, &call.path, &call.query, &call.headers, signed, &payload);
        let string_to_sign = v3::string_to_sign(&canonical);
        let intact = stated == payload;
        // No signature is empty: a body other than the one stated matches none.
        let expected =
            if intact { v3::signature(key.secret.expose(), &string_to_sign) } else { String::new() };
        let mismatch = format!(
            "Specified signature does not match our calculation. server StringToSign is [{string_to_sign}] \
             server CanonicalRequest is [{canonical}]"
        );
        let token = call.header("x-acs-security-token").filter(|token| !token.is_empty());
        Ok(Claim { key, token, timestamp, nonce, signature, expected, mismatch })
    }
}

fn check_token(key: &Key, token: Option<&str>, now: Time) -> Result<(), Refusal> {
    let refuse = |kind: &str, message: &str| Err(Refusal::bad(kind, message));
    match (token, &key.token) {
        (None, None) => Ok(()),
        (None, Some(_)) => refuse("MissingSecurityToken", "SecurityToken is mandatory for this action."),
        (Some(token), _) if token.chars().any(char::is_control) => {
            refuse("InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed.")
        }
        (Some(token), expected) if expected.as_ref().is_none_or(|expected| expected.expose() != token) => {
            refuse(
                "InvalidSecurityToken.MismatchWithAccessKey",
                "Specified SecurityToken mismatch with the AccessKey.",
            )
        }
        (Some(_), _) if key.expires.is_some_and(|expires| expires <= now) => {
            refuse("InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
        }
        (Some(_), _) => Ok(()),
    }
}

fn incomplete(why: &str) -> Refusal {
    let message = format!("The request signature does not conform to Aliyun standards: {why}.");
    Refusal::bad("IncompleteSignature", message)
}

/// `ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…`
fn authorization(text: &str) -> Result<BTreeMap<&str, &str>, Refusal> {
    let (algorithm, fields) =
        text.split_once(' ').ok_or_else(|| incomplete("Authorization has one word only"))?;
    if algorithm != v3::ALGORITHM {
        return Err(incomplete("only ACS3-HMAC-SHA256 is known"));
    }
    Ok(fields.split(',').filter_map(|field| field.trim().split_once('=')).collect())
}

fn check_timestamp(text: &str, now: Time) -> Result<(), Refusal> {
    let shape = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ");
    // chrono would take one digit where two belong.
    let Some(stated) = shape.ok().filter(|_| text.len() == 20) else {
        let message = "Specified time stamp or date value is not well formatted.";
        return Err(Refusal::bad("InvalidTimeStamp.Format", message));
    };
    let apart = Time::from_utc(stated.and_utc()).since(now).millis().saturating_abs();
    if apart > WINDOW.millis() {
        let message = "Specified time stamp or date value is expired.";
        return Err(Refusal::bad("InvalidTimeStamp.Expired", message));
    }
    Ok(())
}
