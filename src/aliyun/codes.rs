//! The vendor's error codes, sorted by what is to be done about them.
//!
//! Neighbours: the client asks whether to try again, messages and own alerts print the advice. A part of its own
//! because the same code comes with different HTTP statuses: the code decides, the status only where there is none.

use crate::engine::reading::FaultClass::{
    self, Account, Clock, Credentials, Permission, Request, Server, Throttled, Transport,
};

/// What the client does with a refused request inside a poll's budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// It would be refused again.
    Never,
    /// With exponential back-off; longer when throttled.
    Later,
    /// Once, without waiting, with a new nonce.
    AtOnce,
    /// Once, signed with the time of the vendor's `Date` header.
    Resigned,
    /// Once, if keys other than the refused ones can be had.
    Renewed,
}

/// What a refusal means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meaning {
    pub class: FaultClass,
    pub retry: Retry,
    /// One line for the operator.
    pub advice: &'static str,
}

const SLOWER: &str = "lower requests_per_second of the account, or poll less often";
const THEIRS: &str = "the vendor's own trouble; it is tried again";
const NONCE: &str = "the request met an older one of the same nonce; it is tried again with a new one";
const CLOCK: &str = "set this host's clock (NTP); requests are good for 15 minutes";
const KEY_ID: &str = "check access_key_id: the key does not exist or is disabled";
const SECRET: &str = "check access_key_secret: it does not belong to the access key";
const UNSIGNED: &str = "check that access_key_id and access_key_secret are both set, and `signature`";
const TOKEN: &str = "the security token is missing, expired or of another key: give a fresh one";
const RIGHTS: &str =
    "allow the RAM user the action, as in smartag:DescribeUserOnlineClientStatistics, on the instance";
const RISK: &str = "the vendor's risk control refuses the account: ask the vendor";
const NAME: &str = "the vendor refuses a user's name as such: correct or remove it";
const INSTANCE: &str = "check `instance` and `region`: the instance is not there, or not the key's account's";
const PARAMETER: &str = "a parameter is missing or wrong: check `instance`, `region` and `users`";
const REGION: &str = "check `region`";
const ACTION: &str = "the endpoint does not know the action: check `endpoint` and `region`";
const ENDPOINT: &str = "check `endpoint`: it wants https or another address";
const ARREARS: &str = "the vendor's account is in arrears: it must be paid";
const INACTIVE: &str = "Smart Access Gateway is not activated for the account";
const UNVERIFIED: &str = "the vendor's account must be verified first";

/// Exact codes, then families: a trailing `*` stands for any ending. The first match holds.
const CODES: &[(&str, FaultClass, Retry, &str)] = &[
    ("SignatureNonceUsed", Server, Retry::AtOnce, NONCE),
    ("InvalidTimeStamp*", Clock, Retry::Resigned, CLOCK),
    ("Throttling*", Throttled, Retry::Later, SLOWER),
    ("Rejected.Throttling", Throttled, Retry::Later, SLOWER),
    ("FlowControlError", Throttled, Retry::Later, SLOWER),
    ("ServiceUnavailable*", Server, Retry::Later, THEIRS),
    ("InternalError*", Server, Retry::Later, THEIRS),
    ("InnerServiceFailed", Server, Retry::Later, THEIRS),
    ("UnknownError", Server, Retry::Later, THEIRS),
    ("InvalidAccessKeyId*", Credentials, Retry::Never, KEY_ID),
    ("SignatureDoesNotMatch", Credentials, Retry::Never, SECRET),
    ("InvalidAccessKeySecret", Credentials, Retry::Never, SECRET),
    ("IncompleteSignature", Credentials, Retry::Never, UNSIGNED),
    ("MissingAccessKeyId", Credentials, Retry::Never, UNSIGNED),
    ("MissingSecurityToken", Credentials, Retry::Never, TOKEN),
    ("InvalidSecurityToken*", Credentials, Retry::Renewed, TOKEN),
    ("Forbidden.RiskControl", Permission, Retry::Never, RISK),
    ("Forbidden.UserVerification", Account, Retry::Never, UNVERIFIED),
    ("Forbbiden*", Permission, Retry::Never, RIGHTS),
    ("Forbidden*", Permission, Retry::Never, RIGHTS),
    ("NoPermission*", Permission, Retry::Never, RIGHTS),
    ("PermissionError", Permission, Retry::Never, RIGHTS),
    ("ClientUser.NameEmpty", Request, Retry::Never, NAME),
    ("ClientUser.NameInvalid", Request, Retry::Never, NAME),
    ("SAG.InstanceIdEmpty", Request, Retry::Never, INSTANCE),
    ("SAG.InstanceNoFound", Request, Retry::Never, INSTANCE),
    ("InvalidId.SMARTAG", Request, Retry::Never, INSTANCE),
    ("InvalidRegionID", Request, Retry::Never, REGION),
    ("InvalidRegionId*", Request, Retry::Never, REGION),
    ("InvalidAction.NotFound", Request, Retry::Never, ACTION),
    ("InvalidApi.NotFound", Request, Retry::Never, ACTION),
    ("InvalidVersion*", Request, Retry::Never, ACTION),
    ("NoSuchVersion", Request, Retry::Never, ACTION),
    ("InvalidProduct.NotFound", Request, Retry::Never, ACTION),
    ("UnsupportedHTTPMethod", Request, Retry::Never, ENDPOINT),
    ("InvalidProtocol.NeedSsl", Request, Retry::Never, ENDPOINT),
    ("InvalidOperation.NotSupportedEndpoint", Request, Retry::Never, ENDPOINT),
    ("InvalidParameter*", Request, Retry::Never, PARAMETER),
    ("Missing*", Request, Retry::Never, PARAMETER),
    ("SmartAccessGatewayInArrears", Account, Retry::Never, ARREARS),
    ("SmartAccessGatewayNotActivated", Account, Retry::Never, INACTIVE),
];

/// All codes that have a meaning of their own, and families of them.
pub fn known() -> impl Iterator<Item = &'static str> {
    CODES.iter().map(|(code, ..)| *code)
}

/// What a refusal with this `Code` and HTTP status means; an empty code is a reply without one.
pub fn classify(code: &str, status: u16) -> Meaning {
    let known = CODES.iter().find(|(pattern, ..)| match pattern.strip_suffix('*') {
        Some(family) => code.starts_with(family),
        None => code == *pattern,
    });
    match known {
        Some(&(_, class, retry, advice)) => Meaning { class, retry, advice },
        None => by_status(status),
    }
}

fn by_status(status: u16) -> Meaning {
    let (class, retry, advice) = match status {
        429 => (Throttled, Retry::Later, SLOWER),
        408 | 500..=599 => (Server, Retry::Later, THEIRS),
        300..=399 => (Transport, Retry::Never, "a redirect is not followed: check `endpoint`"),
        401 => (Credentials, Retry::Never, KEY_ID),
        403 => (Permission, Retry::Never, RIGHTS),
        407 => (Transport, Retry::Never, "a proxy wants a login: requests must reach the endpoint directly"),
        _ => (Request, Retry::Never, "the vendor's error center explains the code"),
    };
    Meaning { class, retry, advice }
}

/// Whether the code says that one of the request's user names is refused as such.
pub fn refuses_name(code: &str) -> bool {
    matches!(code, "ClientUser.NameEmpty" | "ClientUser.NameInvalid")
}

/// Whether a *request* refusal would meet every request about the instance, not just this one.
pub fn concerns_instance(code: &str) -> bool {
    const START: [&str; 11] = [
        "SAG.",
        "InvalidId.",
        "InvalidRegion",
        "InvalidAction",
        "InvalidApi",
        "InvalidVersion",
        "NoSuchVersion",
        "InvalidProduct",
        "UnsupportedHTTPMethod",
        "InvalidProtocol",
        "InvalidOperation",
    ];
    START.iter().any(|start| code.starts_with(start))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Every code the vendor documents, with its status, and replies without a code.
    const DOCUMENTED: &str = "Throttling 400, Throttling.User 400, Throttling.Api 400, Throttling.User 503, \
        Rejected.Throttling 400, FlowControlError 400, ServiceUnavailable 503, InternalError 400, \
        InternalError 403, InternalError 500, InnerServiceFailed 501, UnknownError 500, SignatureNonceUsed 400, \
        InvalidTimeStamp.Expired 400, InvalidTimeStamp.Format 400, InvalidAccessKeyId.NotFound 404, \
        InvalidAccessKeyId.NotFound 400, InvalidAccessKeyId.Inactive 400, SignatureDoesNotMatch 400, \
        SignatureDoesNotMatch 403, IncompleteSignature 400, MissingSecurityToken 400, \
        InvalidSecurityToken.Expired 400, InvalidSecurityToken.Malformed 400, \
        InvalidSecurityToken.MismatchWithAccessKey 400, Forbidden 403, Forbidden.RAM 403, Forbbiden.SubUser 400, \
        Forbidden.SubUser 400, NoPermission 403, Forbidden.RiskControl 403, PermissionError 400, \
        ClientUser.NameEmpty 400, ClientUser.NameInvalid 400, SAG.InstanceIdEmpty 400, SAG.InstanceNoFound 400, \
        InvalidId.SMARTAG 403, MissingParameter 403, MissingRegionId 400, InvalidParameter 400, \
        InvalidParameter.UserNames 400, InvalidRegionID 400, InvalidAction.NotFound 404, InvalidApi.NotFound 404, \
        InvalidVersion 400, NoSuchVersion 400, InvalidProduct.NotFound 404, UnsupportedHTTPMethod 400, \
        InvalidProtocol.NeedSsl 404, InvalidOperation.NotSupportedEndpoint 400, SmartAccessGatewayInArrears 500, \
        SmartAccessGatewayNotActivated 500, Forbidden.UserVerification 403, Unheard.Of 400, Unheard.Of 500, \
        - 302, - 400, - 401, - 403, - 404, - 407, - 408, - 429, - 500, - 502, - 503, - 504";

    #[test]
    fn every_code_has_a_class_a_policy_and_advice() {
        let mut table = String::new();
        for line in DOCUMENTED.split(", ") {
            let (code, status) = line.trim().split_once(' ').unwrap();
            let meaning = classify(if code == "-" { "" } else { code }, status.parse().unwrap());
            let Meaning { class, retry, advice } = meaning;
            let (class, retry) = (format!("{class:?}"), format!("{retry:?}"));
            writeln!(table, "{code:<44}{status}  {class:<12}{retry:<9} {advice}").unwrap();
        }
        insta::assert_snapshot!(table);
    }
}
