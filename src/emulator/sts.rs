//! The Security Token Service: keys of roles, good for as long as was asked for.
//!
//! Neighbours: `gate` lets the asker through (or, with an identity provider's token, has nothing to check) and knows
//! the keys from then on. A part of its own because it is another product with a version of its own.

use super::answer::{Node, Refusal};
use super::call::Call;
use super::gate::Key;
use crate::engine::time::{Span, Time};
use crate::secret::Secret;

pub(super) const VERSION: &str = "2015-04-01";

const ASSUME: &str = "AssumeRole";
const ASSUME_WITH_OIDC: &str = "AssumeRoleWithOIDC";

/// The vendor's bounds and default, in seconds.
const DURATIONS: std::ops::RangeInclusive<i64> = 900..=43_200;
const USUAL: i64 = 3_600;

/// Whether the action is one of this product.
pub(super) fn answers(call: &Call) -> bool {
    matches!(call.action(), Some(ASSUME | ASSUME_WITH_OIDC))
}

/// Whether nothing is signed: the token of an identity provider says who asks.
pub(super) fn is_unsigned(call: &Call) -> bool {
    call.action() == Some(ASSUME_WITH_OIDC)
}

/// A new key for the role, and the reply that tells it. Every well-formed role is there and trusts everybody.
pub(super) fn issue(call: &Call, now: Time) -> Result<(Key, (&'static str, Node)), Refusal> {
    let need =
        |name| call.param(name).filter(|value| !value.is_empty()).ok_or_else(|| Refusal::missing(name));
    let arn = need("RoleArn")?;
    let role = arn.strip_prefix("acs:ram::").and_then(|rest| rest.split_once(":role/"));
    let Some((owner, role)) = role.filter(|(owner, role)| !owner.is_empty() && !role.is_empty()) else {
        return Err(wrong("RoleArn"));
    };
    let session = need("RoleSessionName")?;
    let fine = |c: char| c.is_ascii_alphanumeric() || ".@-_".contains(c);
    if !(2..=64).contains(&session.len()) || !session.chars().all(fine) {
        return Err(wrong("RoleSessionName"));
    }
    if is_unsigned(call) {
        need("OIDCProviderArn")?;
        let token = need("OIDCToken")?;
        if token.chars().any(|c| !c.is_ascii_graphic()) {
            return Err(Refusal::bad("AuthenticationFail.OIDCToken.Invalid", "This JWT is invalid."));
        }
    }
    let seconds = match call.param("DurationSeconds").filter(|text| !text.is_empty()) {
        None => USUAL,
        Some(text) => {
            text.parse().ok().filter(|s| DURATIONS.contains(s)).ok_or_else(|| wrong("DurationSeconds"))?
        }
    };
    let random = || format!("{:032x}", rand::random::<u128>());
    let (id, secret, token) =
        (format!("STS.{}", random()), random(), format!("CAIS{}{}", random(), random()));
    // The vendor writes whole seconds.
    let expires = Time::from_millis((now + Span::from_secs(seconds)).seconds() * 1000);
    let credentials = Node::Fields(vec![
        ("AccessKeyId", Node::text(&id)),
        ("AccessKeySecret", Node::text(&secret)),
        ("SecurityToken", Node::text(&token)),
        ("Expiration", Node::Text(expires.to_string())),
    ]);
    let who = Node::Fields(vec![
        ("Arn", Node::Text(format!("acs:ram::{owner}:assumed-role/{role}/{session}"))),
        ("AssumedRoleId", Node::Text(format!("300000000000000000:{session}"))),
    ]);
    let fields = vec![("Credentials", credentials), ("AssumedRoleUser", who)];
    let root = if is_unsigned(call) { "AssumeRoleWithOIDCResponse" } else { "AssumeRoleResponse" };
    let key =
        Key { id, secret: Secret::new(secret), token: Some(Secret::new(token)), expires: Some(expires) };
    Ok((key, (root, Node::Fields(fields))))
}

fn wrong(name: &str) -> Refusal {
    Refusal::bad(&format!("InvalidParameter.{name}"), format!("The parameter {name} is wrongly formed."))
}
