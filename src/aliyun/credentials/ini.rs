//! The credentials file of the vendor's SDKs: sections of `name = value`, each with a `type`.
//!
//! Neighbours: `chain` asks for a section by its name. A part of its own because the SDKs differ in what they read;
//! what all of them agree on is read here, the rest is refused in words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Credentials, CredentialsError, Provider, Role, file, profile};
use crate::secret;

/// The keys of one section.
type Section = BTreeMap<String, String>;

/// What the section of that name gives; None where there is no such section.
pub(super) fn provider(text: &str, path: &Path, name: &str) -> Result<Option<Provider>, CredentialsError> {
    let place = format!("section [{}] of {}", name.escape_debug(), file::place(path));
    let Some(section) = section(text, name) else { return Ok(None) };
    let refuse = |reason: String| CredentialsError::Place { place: place.clone(), reason };
    let get = |key: &str| section.get(key).cloned().filter(|value| !value.is_empty());
    let need = |key: &str| get(key).ok_or_else(|| refuse(format!("{key} is missing")));
    let taken = |key: &str| -> Result<_, CredentialsError> {
        Ok(secret::taken(&format!("{key} in {place}"), need(key)?)?)
    };
    let role = || -> Result<Role, CredentialsError> {
        let mut role = Role::new(profile::arn(need("role_arn")?).map_err(refuse)?);
        if let Some(name) = get("role_session_name") {
            role.session_name = name;
        }
        role.policy = get("policy");
        Ok(role)
    };
    let keys = || -> Result<Provider, CredentialsError> {
        let access_key_id = taken("access_key_id")?.expose().to_owned();
        let keys = Credentials {
            access_key_id,
            access_key_secret: taken("access_key_secret")?,
            security_token: None,
        };
        Ok(Provider::Found { keys, place: place.clone() })
    };
    let kind = need("type")?;
    let provider = match kind.as_str() {
        "access_key" => keys()?,
        "ram_role_arn" => Provider::Assumed { base: Box::new(keys()?), role: role()? },
        "oidc_role_arn" => Provider::Oidc {
            provider_arn: need("oidc_provider_arn")?,
            token_file: PathBuf::from(need("oidc_token_file_path")?),
            role: role()?,
        },
        "ecs_ram_role" => Provider::EcsRole(get("role_name")),
        _ => {
            let known = "access_key, ram_role_arn, oidc_role_arn and ecs_ram_role";
            return Err(refuse(format!("type {kind:?} is not supported; {known} are")));
        }
    };
    Ok(Some(provider))
}

/// Comments begin with `#` anywhere or with `;` at a line's start; the SDKs drop them alike.
fn section(text: &str, wanted: &str) -> Option<Section> {
    let mut found: Option<Section> = None;
    let mut inside = false;
    for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim() == wanted;
            if inside {
                found.get_or_insert_default();
            }
        } else if let Some((key, value)) = line.split_once('=')
            && inside
        {
            found.get_or_insert_default().insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "; a comment\n[default]\ntype = access_key # kept\naccess_key_id=LTAIini\n\
        access_key_secret = canary-ini#note\r\n[role]\ntype=ram_role_arn\naccess_key_id=LTAIini0002\n\
        access_key_secret=canary-ini-2\nrole_arn=acs:ram::1:role/r\nrole_session_name=s\npolicy={}\n\
        [oidc]\ntype=oidc_role_arn\nrole_arn=acs:ram::1:role/r\noidc_provider_arn=p\noidc_token_file_path=/t\n\
        [ecs]\ntype=ecs_ram_role\nrole_name=r\n[rsa]\ntype=rsa_key_pair\n[half]\ntype=access_key\n\
        access_key_id=canary-ini-3\n[bare]\naccess_key_id=canary-ini-3\n[arn]\ntype=ram_role_arn\naccess_key_id=LTAIini0002\n\
        access_key_secret=canary-ini-2\nrole_arn=r\n";

    #[track_caller]
    fn check(name: &str, expect: &str) {
        let found = provider(TEXT, Path::new("/c"), name);
        let told = found.map_or_else(|error| error.to_string(), |found| format!("{found:?}"));
        assert!(told.contains(expect) && !told.contains("canary"), "{told}");
    }

    #[test]
    fn every_type_is_read_or_named() {
        check("default", "Some(Found { keys: Credentials([redacted]), place: \"section [default] of file");
        check("role", "session_name: \"s\", external_id: None, policy: Some(\"{}\")");
        check("oidc", "Oidc { provider_arn: \"p\", token_file: \"/t\"");
        check("ecs", "EcsRole(Some(\"r\"))");
        check("none", "None");
        check("rsa", "section [rsa] of file \"/c\": type \"rsa_key_pair\" is not supported");
        check("half", "section [half] of file \"/c\": access_key_secret is missing");
        check("bare", "section [bare] of file \"/c\": type is missing");
        check("arn", "\"r\" is not the ARN of a role");
    }

    #[test]
    fn comments_are_dropped_from_values() {
        let Ok(Some(Provider::Found { keys, .. })) = provider(TEXT, Path::new("/c"), "default") else {
            panic!("no keys");
        };
        assert_eq!((keys.access_key_id.as_str(), keys.access_key_secret.expose()), ("LTAIini", "canary-ini"));
    }
}
