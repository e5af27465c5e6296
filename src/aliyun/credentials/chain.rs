//! The vendor's default credential chain: where to look, in the SDKs' order.
//!
//! Neighbours: `ini` and `profile` read what is found, `obtain` fetches and asks the servers after them. A part of
//! its own because it differs from the SDKs in one thing: a step that is set up but broken (half-set variables, a
//! refused profile) ends the search, since the next step would sign with a key that nobody meant.

use std::path::PathBuf;

use super::surroundings::Environment;
use super::{Credentials, CredentialsError, Provider, Role, file, ini, profile};

const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";
const TOKEN: &str = "ALIBABA_CLOUD_SECURITY_TOKEN";
const OIDC: [&str; 3] =
    ["ALIBABA_CLOUD_OIDC_TOKEN_FILE", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_ROLE_ARN"];
const SESSION: &str = "ALIBABA_CLOUD_ROLE_SESSION_NAME";
const PROFILE: &str = "ALIBABA_CLOUD_PROFILE";
const CLI_FILE: &str = "ALIBABA_CLOUD_CONFIG_FILE";
const CLI_OFF: &str = "ALIBABA_CLOUD_CLI_PROFILE_DISABLED";
const INI_FILE: &str = "ALIBABA_CLOUD_CREDENTIALS_FILE";
const ECS_OFF: &str = "ALIBABA_CLOUD_ECS_METADATA_DISABLED";
const ECS_ROLE: &str = "ALIBABA_CLOUD_ECS_METADATA";
const V1_OFF: &str = "ALIBABA_CLOUD_IMDSV1_DISABLED";
const URI: &str = "ALIBABA_CLOUD_CREDENTIALS_URI";

const BOTH_OR_NONE: &str = "set both, or none to have no keys from the environment";

/// What the steps say that need no server.
pub(super) enum Local {
    Found {
        step: String,
        provider: Provider,
    },
    /// With a word on each step.
    Nothing(Vec<String>),
}

/// Steps 1 to 4.
pub(super) fn local(environment: &Environment) -> Result<Local, CredentialsError> {
    if let Some(provider) = keys(environment)? {
        return Ok(Local::Found { step: "environment".into(), provider });
    }
    if let Some(provider) = oidc(environment)? {
        return Ok(Local::Found { step: "environment".into(), provider });
    }
    let mut looked = vec![format!("{ID} is not set"), format!("{} is not set", OIDC[0])];
    for step in [cli, credentials_file] {
        match step(environment)? {
            Ok((step, provider)) => return Ok(Local::Found { step, provider }),
            Err(why) => looked.push(why),
        }
    }
    Ok(Local::Nothing(looked))
}

fn keys(environment: &Environment) -> Result<Option<Provider>, CredentialsError> {
    let half = |set: &str, missing: &str| CredentialsError::HalfSet {
        set: set.into(),
        missing: missing.into(),
        way_out: BOTH_OR_NONE,
    };
    match (environment.secret(ID)?, environment.secret(SECRET)?) {
        (Some(id), Some(access_key_secret)) => {
            let keys = Credentials {
                access_key_id: id.expose().to_owned(),
                access_key_secret,
                security_token: environment.secret(TOKEN)?,
            };
            Ok(Some(Provider::Found { keys, place: "environment".into() }))
        }
        (Some(_), None) => Err(half(ID, SECRET)),
        (None, Some(_)) => Err(half(SECRET, ID)),
        (None, None) if environment.get(TOKEN).is_some() => Err(half(TOKEN, ID)),
        (None, None) => Ok(None),
    }
}

fn oidc(environment: &Environment) -> Result<Option<Provider>, CredentialsError> {
    let parts = OIDC.map(|name| environment.get(name));
    if let [Some(token_file), Some(provider_arn), Some(arn)] = parts {
        let refuse = |reason| CredentialsError::Place { place: OIDC[2].into(), reason };
        let mut role = Role::new(profile::arn(arn).map_err(refuse)?);
        role.session_name = environment.get(SESSION).unwrap_or(role.session_name);
        return Ok(Some(Provider::Oidc { provider_arn, token_file: PathBuf::from(token_file), role }));
    }
    let named = |set: bool| OIDC.into_iter().zip(&parts).find(|(_, part)| part.is_some() == set);
    match (named(true), named(false)) {
        (Some((set, _)), Some((missing, _))) => Err(CredentialsError::HalfSet {
            set: set.into(),
            missing: missing.into(),
            way_out: "set all three of the OIDC variables, or none to have no role from them",
        }),
        _ => Ok(None),
    }
}

/// A step's find, or why it has none.
type Step = Result<(String, Provider), String>;

fn cli(environment: &Environment) -> Result<Step, CredentialsError> {
    if environment.is_on(CLI_OFF) {
        return Ok(Err(format!("CLI profiles are switched off ({CLI_OFF})")));
    }
    let named = environment.get(CLI_FILE).map(PathBuf::from);
    let Some(path) = named.or_else(|| environment.at_home(".aliyun/config.json")) else {
        return Ok(Err("no CLI profiles, because HOME is not set".into()));
    };
    let Some(text) = file::read(&path)? else {
        return Ok(Err(format!("there is no {}", file::place(&path))));
    };
    let wanted = environment.get(PROFILE);
    let found = profile::provider(&text, &path, wanted.as_deref())?;
    Ok(found.ok_or_else(|| format!("{} has no filled-in profile {}", file::place(&path), asked(wanted))))
}

fn credentials_file(environment: &Environment) -> Result<Step, CredentialsError> {
    let home = |name: &str| environment.at_home(name);
    let paths: Vec<PathBuf> = match environment.get(INI_FILE) {
        Some(path) => vec![PathBuf::from(path)],
        // The SDKs disagree on the name.
        None => [home(".alibabacloud/credentials"), home(".alibabacloud/credentials.ini")]
            .into_iter()
            .flatten()
            .collect(),
    };
    let wanted = environment.get(PROFILE);
    let section = wanted.as_deref().unwrap_or("default");
    let mut looked = Vec::new();
    for path in &paths {
        let Some(text) = file::read(path)? else {
            looked.push(format!("there is no {}", file::place(path)));
            continue;
        };
        if let Some(provider) = ini::provider(&text, path, section)? {
            let step = format!("section [{}] of {}", section.escape_debug(), file::place(path));
            return Ok(Ok((step, provider)));
        }
        looked.push(format!("{} has no section {}", file::place(path), asked(Some(section.to_owned()))));
    }
    Ok(Err(if looked.is_empty() {
        "no credentials file, because HOME is not set".into()
    } else {
        looked.join(", ")
    }))
}

fn asked(name: Option<String>) -> String {
    name.map_or_else(|| "marked as current".to_owned(), |name| format!("{name:?}"))
}

/// Step 5: whether to ask, and for which role.
pub(super) fn instance_role(environment: &Environment) -> Result<Option<String>, String> {
    if environment.is_on(ECS_OFF) {
        return Err(format!("ECS metadata is switched off ({ECS_OFF})"));
    }
    Ok(environment.get(ECS_ROLE).map(|role| role.trim().to_owned()))
}

/// Whether metadata without a token is refused.
pub(super) fn only_v2(environment: &Environment) -> bool {
    environment.is_on(V1_OFF)
}

/// Step 6. The URI may hold a secret.
pub(super) fn uri(environment: &Environment) -> Result<Option<crate::secret::Secret>, CredentialsError> {
    environment.secret(URI)
}

/// Step 6 where it is not set up.
pub(super) fn no_uri() -> String {
    format!("{URI} is not set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(set: &[(&str, &str)], expect: &str) {
        let told = match local(&Environment::of(set)) {
            Ok(Local::Found { step, provider }) => format!("{step}: {provider:?}"),
            Ok(Local::Nothing(looked)) => looked.join("; "),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(expect) && !told.contains("canary"), "{told}");
    }

    #[test]
    fn the_environment_gives_all_parts_or_nothing() {
        let nothing = "ALIBABA_CLOUD_ACCESS_KEY_ID is not set; ALIBABA_CLOUD_OIDC_TOKEN_FILE is not set; \
            no CLI profiles, because HOME is not set; no credentials file, because HOME is not set";
        check(&[], nothing);
        check(&[(ID, ""), (SECRET, " ")], nothing);
        check(&[(ID, "canary-a"), (SECRET, "canary-b")], "environment: Found");
        check(
            &[(ID, "canary-a"), (TOKEN, "canary-c")],
            "ALIBABA_CLOUD_ACCESS_KEY_ID is set and ALIBABA_CLOUD_ACCESS_KEY_SECRET is not: set both, or none",
        );
        check(
            &[(SECRET, "canary-b")],
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET is set and ALIBABA_CLOUD_ACCESS_KEY_ID",
        );
        check(
            &[(TOKEN, "canary-c")],
            "ALIBABA_CLOUD_SECURITY_TOKEN is set and ALIBABA_CLOUD_ACCESS_KEY_ID is not",
        );
        check(
            &[(ID, "canary-a"), (SECRET, "canary\nb")],
            "\"ALIBABA_CLOUD_ACCESS_KEY_SECRET\": holds a line break",
        );
        let whole = [(OIDC[0], "/t"), (OIDC[1], "p"), (OIDC[2], "acs:ram::1:role/r")];
        check(
            &whole,
            "environment: Oidc { provider_arn: \"p\", token_file: \"/t\", role: Role { arn: \"acs:ram::1:",
        );
        check(
            &whole[..2],
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE is set and ALIBABA_CLOUD_ROLE_ARN is not: set all three",
        );
        check(&whole[2..], "ALIBABA_CLOUD_ROLE_ARN is set and ALIBABA_CLOUD_OIDC_TOKEN_FILE is not");
        check(
            &[whole[0], whole[1], (OIDC[2], "r")],
            "ALIBABA_CLOUD_ROLE_ARN: \"r\" is not the ARN of a role",
        );
        check(&[whole[0], whole[1], whole[2], (SESSION, "mine")], "session_name: \"mine\"");
    }
}
