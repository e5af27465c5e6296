//! A role to take on, and the Security Token Service that gives its keys.
//!
//! Neighbours: the rules file, profiles and the environment name roles; `obtain` brings the keys that ask. A part of
//! its own because both ways to a role (with keys, with an identity provider's token) end in the same reply.

use std::time::Duration;

use super::surroundings::Environment;
use super::temporary::{self, Temporary};
use super::{Credentials, CredentialsError, Surroundings};
use crate::aliyun::account::Account;
use crate::aliyun::client::{Client, Deadline};
use crate::aliyun::endpoint::Endpoint;
use crate::aliyun::request::Signature;
use crate::aliyun::sign::Pairs;
use crate::aliyun::transport::Options;
use crate::aliyun::wire::Malformed;
use crate::engine::reading::{Fault, FaultClass};
use crate::engine::time::Span;
use crate::secret::Secret;

/// How long a role's keys hold, unless told otherwise (the vendor's default).
pub(super) const USUAL: Span = Span::from_hours(1);
/// The vendor's bounds.
pub(super) const SHORTEST: Span = Span::from_mins(15);
pub(super) const LONGEST: Span = Span::from_hours(12);

/// How the session is called in the vendor's audit log, unless told otherwise.
pub(super) const SESSION: &str = "seatwatch";

/// A RAM role to take on.
#[derive(Clone, PartialEq, Debug)]
pub struct Role {
    /// `acs:ram::<account>:role/<name>`
    pub arn: String,
    pub session_name: String,
    pub external_id: Option<String>,
    /// Narrows the role's rights further; JSON.
    pub policy: Option<String>,
    /// [`SHORTEST`] to [`LONGEST`].
    pub duration: Span,
    /// Where to ask; None: as the environment says, else the vendor's central host.
    pub sts: Option<Endpoint>,
}

impl Role {
    /// A role with everything else as usual.
    pub fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            session_name: SESSION.into(),
            external_id: None,
            policy: None,
            duration: USUAL,
            sts: None,
        }
    }

    fn params(&self) -> Pairs {
        let mut params = vec![
            ("RoleArn".to_owned(), self.arn.clone()),
            ("RoleSessionName".to_owned(), self.session_name.clone()),
            ("DurationSeconds".to_owned(), (self.duration.millis() / 1000).to_string()),
        ];
        params.extend(self.policy.iter().map(|policy| ("Policy".to_owned(), policy.clone())));
        params
    }
}

/// The host of a region: `sts.<region>` or, inside the vendor's networks, `sts-vpc.<region>`.
pub(super) fn sts_of_region(region: &str, vpc: bool) -> Result<Endpoint, CredentialsError> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || region.len() > 40 || !region.chars().all(fine) {
        let reason = format!("{region:?} is not a region, such as \"cn-shanghai\"");
        return Err(CredentialsError::Place { place: "STS region".into(), reason });
    }
    host(&format!("https://sts{}.{region}.aliyuncs.com", if vpc { "-vpc" } else { "" }))
}

fn host(url: &str) -> Result<Endpoint, CredentialsError> {
    Endpoint::parse(url)
        .map_err(|error| CredentialsError::Place { place: url.to_owned(), reason: error.to_string() })
}

fn endpoint(role: &Role, around: &Surroundings) -> Result<Endpoint, CredentialsError> {
    let environment: &Environment = &around.environment;
    if let Some(endpoint) = around.sts.as_ref().or(role.sts.as_ref()) {
        return Ok(endpoint.clone());
    }
    match environment.get("ALIBABA_CLOUD_STS_REGION") {
        Some(region) => sts_of_region(region.trim(), environment.is_on("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED")),
        None => host("https://sts.aliyuncs.com"),
    }
}

/// Takes the role on with keys.
pub(super) async fn assume(
    role: &Role,
    keys: Credentials,
    around: &Surroundings,
    deadline: &Deadline,
) -> Result<Temporary, Fault> {
    let mut params = role.params();
    params.extend(role.external_id.iter().map(|id| ("ExternalId".to_owned(), id.clone())));
    ask("AssumeRole", Signature::V1, keys, params, role, around, deadline).await
}

/// Takes the role on with an identity provider's token; nothing is signed.
pub(super) async fn assume_with_oidc(
    role: &Role,
    provider_arn: &str,
    token: &Secret,
    around: &Surroundings,
    deadline: &Deadline,
) -> Result<Temporary, Fault> {
    let mut params = role.params();
    params.push(("OIDCProviderArn".to_owned(), provider_arn.to_owned()));
    params.push(("OIDCToken".to_owned(), token.expose().to_owned()));
    let nobody = Credentials {
        access_key_id: String::new(),
        access_key_secret: Secret::new(""),
        security_token: None,
    };
    ask("AssumeRoleWithOIDC", Signature::Unsigned, nobody, params, role, around, deadline).await
}

async fn ask(
    action: &str,
    signature: Signature,
    keys: Credentials,
    params: Pairs,
    role: &Role,
    around: &Surroundings,
    deadline: &Deadline,
) -> Result<Temporary, Fault> {
    let endpoint = endpoint(role, around)?;
    let options = Options { timeout: Duration::from_secs(10), ..Options::default() };
    let told = |fault: Fault| told(fault, action, &role.arn);
    let client = Client::sts(Account::holding(keys), endpoint, signature, &options)
        .map_err(|error| told(crate::aliyun::transport::broken("tls", error.to_string())))?;
    let read = |body: &[u8]| temporary::of_sts(body).map_err(Malformed);
    client.call(action, &params, deadline, read).await.result.map(|reply| reply.value).map_err(told)
}

/// Names what was asked for, and what to do where the codes' own advice is meant for the product's actions.
fn told(fault: Fault, action: &str, arn: &str) -> Fault {
    let (class, advice) = match fault.class {
        FaultClass::Permission => (
            FaultClass::Permission,
            Some("for a role: allow sts:AssumeRole on it, and let its trust policy name who asks"),
        ),
        FaultClass::Request | FaultClass::Account => {
            (FaultClass::Credentials, Some("for a role: check its ARN and the other role settings"))
        }
        FaultClass::Transport
        | FaultClass::Server
        | FaultClass::Throttled
        | FaultClass::Clock
        | FaultClass::Credentials => (fault.class, None),
    };
    let message = format!("{action} of {arn:?}: {}: {}", fault.code, fault.message);
    let advice: Vec<String> = fault.advice.into_iter().chain(advice.map(str::to_owned)).collect();
    Fault { class, code: fault.code, message, advice: (!advice.is_empty()).then(|| advice.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], expect: &str) {
        let environment = Environment::of(variables);
        let around = Surroundings { environment, ..Surroundings::real() };
        let found = endpoint(&Role::new("acs:ram::1:role/r"), &around);
        assert_eq!(found.map_or_else(|error| error.to_string(), |found| found.url()), expect);
    }

    #[test]
    fn the_environment_names_the_region() {
        const REGION: &str = "ALIBABA_CLOUD_STS_REGION";
        const VPC: &str = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED";
        check(&[], "https://sts.aliyuncs.com");
        check(&[(VPC, "true")], "https://sts.aliyuncs.com");
        check(&[(REGION, "cn-shanghai")], "https://sts.cn-shanghai.aliyuncs.com");
        check(&[(REGION, "cn-shanghai"), (VPC, "True")], "https://sts-vpc.cn-shanghai.aliyuncs.com");
        check(
            &[(REGION, "evil.example.com/")],
            "STS region: \"evil.example.com/\" is not a region, such as \"cn-shanghai\"",
        );
    }
}
