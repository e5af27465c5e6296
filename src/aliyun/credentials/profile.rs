//! The profiles of the vendor's command line tool, `~/.aliyun/config.json`. Read only: nothing is ever written back.
//!
//! Neighbours: `chain` names file and profile. A part of its own because a profile may stand on another one, and
//! because what cannot be used must be told by the profile's name and mode.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::role::{LONGEST, SHORTEST, USUAL, sts_of_region};
use super::{Credentials, CredentialsError, Provider, Role, file};
use crate::engine::time::Span;
use crate::secret;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    current: String,
    #[serde(default)]
    profiles: Vec<Profile>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Profile {
    name: String,
    mode: String,
    access_key_id: String,
    access_key_secret: String,
    sts_token: String,
    ram_role_arn: String,
    ram_role_name: String,
    ram_session_name: String,
    role_session_name: String,
    expired_seconds: i64,
    external_id: String,
    policy: String,
    sts_region: String,
    enable_vpc: bool,
    oidc_provider_arn: String,
    oidc_token_file: String,
    source_profile: String,
}

/// What the profile of that name gives, or, without a name, the current one; None where there is no such profile or
/// it was never filled in.
pub(super) fn provider(
    text: &str,
    path: &Path,
    wanted: Option<&str>,
) -> Result<Option<(String, Provider)>, CredentialsError> {
    let config: Config =
        serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(|error| {
            let reason =
                format!("is not the JSON it should be (line {}, column {})", error.line(), error.column());
            CredentialsError::Place { place: file::place(path), reason }
        })?;
    let name = wanted.unwrap_or(&config.current);
    let Some(profile) = config.named(name) else { return Ok(None) };
    if profile.mode.eq_ignore_ascii_case("AK")
        && profile.access_key_id.is_empty()
        && profile.access_key_secret.is_empty()
    {
        return Ok(None);
    }
    let found = config.provider(profile, &mut Vec::new())?;
    Ok(Some((profile.place(), found)))
}

/// A role's ARN, if it is one.
pub(super) fn arn(text: String) -> Result<String, String> {
    let role = text.strip_prefix("acs:ram::").and_then(|rest| rest.split_once(":role/"));
    let fine = |c: char| c.is_ascii_graphic();
    if role.is_some_and(|(account, name)| !account.is_empty() && !name.is_empty()) && text.chars().all(fine) {
        return Ok(text);
    }
    Err(format!("{text:?} is not the ARN of a role, such as \"acs:ram::1234567890123456:role/reader\""))
}

impl Config {
    fn named(&self, name: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// `above` are the profiles that stand on this one.
    fn provider<'p>(
        &'p self,
        profile: &'p Profile,
        above: &mut Vec<&'p str>,
    ) -> Result<Provider, CredentialsError> {
        match profile.mode.to_ascii_lowercase().as_str() {
            "ak" => profile.keys(false),
            "ststoken" => profile.keys(true),
            "ramrolearn" => {
                let base = profile.keys(!profile.sts_token.is_empty())?;
                Ok(Provider::Assumed { base: Box::new(base), role: profile.role()? })
            }
            "ecsramrole" => {
                let role = Some(profile.ram_role_name.clone()).filter(|name| !name.is_empty());
                Ok(Provider::EcsRole(role))
            }
            "oidc" => Ok(Provider::Oidc {
                provider_arn: profile.need("oidc_provider_arn", &profile.oidc_provider_arn)?,
                token_file: PathBuf::from(profile.need("oidc_token_file", &profile.oidc_token_file)?),
                role: profile.role()?,
            }),
            "chainableramrolearn" => {
                above.push(&profile.name);
                let source = profile.need("source_profile", &profile.source_profile)?;
                if above.contains(&source.as_str()) {
                    return Err(profile.refuse(format!("source_profile {source:?} leads back to itself")));
                }
                let below = self
                    .named(&source)
                    .ok_or_else(|| profile.refuse(format!("source_profile {source:?} is not in the file")))?;
                let base = Box::new(self.provider(below, above)?);
                Ok(Provider::Assumed { base, role: profile.role()? })
            }
            "external" => {
                Err(profile.refuse("mode External would run a program, which Seatwatch never does for keys"))
            }
            _ => Err(profile.refuse(format!("mode {:?} is not supported", profile.mode))),
        }
    }
}

const WAY_OUT: &str = "AK, StsToken, RamRoleArn, EcsRamRole, OIDC and ChainableRamRoleArn profiles can be used: \
    name one in ALIBABA_CLOUD_PROFILE, or set ALIBABA_CLOUD_CLI_PROFILE_DISABLED=true to pass over this file";

impl Profile {
    fn place(&self) -> String {
        format!("CLI profile {:?}", self.name)
    }

    fn refuse(&self, reason: impl Into<String>) -> CredentialsError {
        CredentialsError::Place { place: self.place(), reason: format!("{}; {WAY_OUT}", reason.into()) }
    }

    fn need(&self, key: &str, value: &str) -> Result<String, CredentialsError> {
        if value.is_empty() { Err(self.refuse(format!("{key} is missing"))) } else { Ok(value.to_owned()) }
    }

    fn keys(&self, token: bool) -> Result<Provider, CredentialsError> {
        let taken = |key: &str, value: &str| -> Result<_, CredentialsError> {
            Ok(secret::taken(&format!("{key} of {}", self.place()), self.need(key, value)?)?)
        };
        let keys = Credentials {
            access_key_id: taken("access_key_id", &self.access_key_id)?.expose().to_owned(),
            access_key_secret: taken("access_key_secret", &self.access_key_secret)?,
            security_token: if token { Some(taken("sts_token", &self.sts_token)?) } else { None },
        };
        Ok(Provider::Found { keys, place: self.place() })
    }

    fn role(&self) -> Result<Role, CredentialsError> {
        let mut role =
            Role::new(arn(self.need("ram_role_arn", &self.ram_role_arn)?).map_err(|why| self.refuse(why))?);
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        if let Some(name) = given(&self.ram_session_name).or_else(|| given(&self.role_session_name)) {
            role.session_name = name;
        }
        role.external_id = given(&self.external_id);
        role.policy = given(&self.policy);
        if self.expired_seconds > 0 {
            role.duration = Span::from_secs(self.expired_seconds).clamp(SHORTEST, LONGEST);
        } else {
            role.duration = USUAL;
        }
        if !self.sts_region.is_empty() {
            role.sts = Some(sts_of_region(&self.sts_region, self.enable_vpc)?);
        }
        Ok(role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"current":"ak","profiles":[
        {"name":"ak","mode":"AK","access_key_id":"LTAIcli","access_key_secret":"canary-cli","region_id":"x"},
        {"name":"sts","mode":"StsToken","access_key_id":"LTAIcli0002","access_key_secret":"canary-cli-4","sts_token":"canary-cli-5"},
        {"name":"ram","mode":"RamRoleArn","access_key_id":"LTAIcli0002","access_key_secret":"canary-cli-6",
         "ram_role_arn":"acs:ram::1:role/r","ram_session_name":"s","expired_seconds":60,"external_id":"e",
         "policy":"{}","sts_region":"cn-shanghai","enable_vpc":true},
        {"name":"ecs","mode":"EcsRamRole","ram_role_name":"er"},
        {"name":"oidc","mode":"OIDC","oidc_provider_arn":"p","oidc_token_file":"/t",
         "ram_role_arn":"acs:ram::1:role/o","role_session_name":"py"},
        {"name":"chain","mode":"ChainableRamRoleArn","source_profile":"ram","ram_role_arn":"acs:ram::1:role/c"},
        {"name":"loop","mode":"ChainableRamRoleArn","source_profile":"pool","ram_role_arn":"acs:ram::1:role/c"},
        {"name":"pool","mode":"ChainableRamRoleArn","source_profile":"loop","ram_role_arn":"acs:ram::1:role/c"},
        {"name":"lost","mode":"ChainableRamRoleArn","source_profile":"gone","ram_role_arn":"acs:ram::1:role/c"},
        {"name":"ext","mode":"External","process_command":"cat canary"},
        {"name":"sso","mode":"CloudSSO","access_key_id":"canary-cli-3"},
        {"name":"half","mode":"AK","access_key_id":"canary-cli-3"},
        {"name":"blank","mode":"AK","access_key_id":"","access_key_secret":""}]}"#;

    #[track_caller]
    fn check(name: Option<&str>, expect: &str) {
        let found = provider(TEXT, Path::new("/c"), name);
        let told = found.map_or_else(|error| error.to_string(), |found| format!("{found:?}"));
        assert!(told.contains(expect) && !told.contains("canary"), "{told}");
    }

    #[test]
    fn every_mode_is_read_or_named() {
        check(None, "Some((\"CLI profile \\\"ak\\\"\", Found {");
        check(Some("sts"), "Found { keys: Credentials([redacted])");
        let ram = "session_name: \"s\", external_id: Some(\"e\"), policy: Some(\"{}\"), duration: Span(900000), \
            sts: Some(Endpoint { scheme: \"https\", authority: \"sts-vpc.cn-shanghai.aliyuncs.com\" })";
        check(Some("ram"), ram);
        check(Some("ecs"), "EcsRole(Some(\"er\"))");
        check(Some("oidc"), "session_name: \"py\"");
        check(Some("chain"), "Assumed { base: Assumed { base: Found {");
        check(Some("loop"), "CLI profile \"pool\": source_profile \"loop\" leads back to itself");
        check(Some("lost"), "source_profile \"gone\" is not in the file");
        check(Some("ext"), "CLI profile \"ext\": mode External would run a program");
        check(Some("sso"), "mode \"CloudSSO\" is not supported; AK, StsToken");
        check(Some("half"), "access_key_secret is missing");
        check(Some("blank"), "None");
        check(Some("nobody"), "None");
    }

    #[test]
    fn what_is_no_profile_file_is_not_quoted() {
        let told = provider("{\"current\": canary", Path::new("/c"), None).unwrap_err().to_string();
        assert_eq!(told, "file \"/c\": is not the JSON it should be (line 1, column 13)");
    }
}
