//! The keys of `[[account]]` that say where credentials come from, and the role to take on with them.
//!
//! Neighbours: `account` reads the rest of the table. A part of its own because the forms exclude one another, and
//! what is wrong with them must be told in one place.

use url::Url;

use super::metadata::is_role_name;
use super::role::{LONGEST, Role, SHORTEST};
use super::{Provider, STEPS, profile};
use crate::aliyun::endpoint::Endpoint;
use crate::config::Section;
use crate::secret::SecretRef;

/// Stands for whichever role an instance has; no role can be called so.
const ANY_ROLE: &str = "*";

/// Each form by the keys that begin it.
const FORMS: [(&str, &[&str]); 5] = [
    ("keys", &["access_key_id", "access_key_secret", "security_token"]),
    ("chain", &["chain"]),
    ("ecs_role", &["ecs_role"]),
    ("credentials_uri", &["credentials_uri"]),
    ("oidc", &["oidc_provider_arn", "oidc_token_file"]),
];

/// What is only of use with `role_arn`.
const OF_ROLE: [&str; 5] = ["role_session_name", "external_id", "policy", "duration", "sts_endpoint"];

pub(in crate::aliyun) fn read(section: &mut Section<'_>) -> Option<Provider> {
    // All are read before anything is given up, so that all mistakes are told at once.
    let chain = section.boolean("chain");
    let keys = keys(section);
    let ecs_role = ecs_role(section);
    let uri = uri(section);
    let provider_arn = section.string("oidc_provider_arn");
    let token_file = section.path("oidc_token_file");
    let (role, role_wanted) = role(section);
    let mut given = Vec::new();
    for (form, names) in FORMS {
        let there = names.iter().find(|name| section.peek(name));
        given.extend(there.filter(|_| form != "chain" || chain != Some(false)).map(|key| (form, *key)));
    }
    let [(form, _)] = given[..] else {
        match given.get(1) {
            Some((form, key)) => {
                let first = given[0].0;
                let message = format!("an account has {first} or {form}, not both");
                section.error_at(key, &message, Some("remove one of them"));
            }
            None => {
                let hint = format!("give both keys, or chain = true, which reads: {}", STEPS.join("; "));
                section.lacks::<()>("access_key_id", &hint);
            }
        }
        return None;
    };
    let base = match form {
        "chain" => chain.map(|_| Provider::Chain),
        "keys" => keys,
        "ecs_role" => ecs_role.map(Provider::EcsRole),
        "credentials_uri" => uri.map(Provider::Uri),
        _ => {
            for key in ["oidc_provider_arn", "oidc_token_file", "role_arn"] {
                if !section.peek(key) {
                    section.missing::<()>(key);
                }
            }
            let (provider_arn, token_file) = provider_arn.zip(token_file)?;
            return role.map(|role| Provider::Oidc { provider_arn, token_file, role });
        }
    };
    match (base?, role) {
        (base, Some(role)) => Some(Provider::Assumed { base: Box::new(base), role }),
        (_, None) if role_wanted => None,
        (base, None) => Some(base),
    }
}

fn keys(section: &mut Section<'_>) -> Option<Provider> {
    let names = ["access_key_id", "access_key_secret", "security_token"];
    let given = names.map(|key| section.has(key));
    let [id, secret, token] = names.map(|key| section.secret(key));
    if given.contains(&true) {
        for (key, _) in names.into_iter().zip(given).take(2).filter(|(_, given)| !given) {
            section.missing::<()>(key);
        }
    }
    // A token that is there and wrong was told; keys without it would be others than those meant.
    if given[2] && token.is_none() {
        return None;
    }
    id.zip(secret).map(|(id, secret)| Provider::Keys { id, secret, token })
}

fn ecs_role(section: &mut Section<'_>) -> Option<Option<String>> {
    let role = section.string("ecs_role")?;
    match role.as_str() {
        ANY_ROLE => Some(None),
        name if is_role_name(name) => Some(Some(role)),
        _ => {
            let hint = "the name of the instance's RAM role, or \"*\" for whichever it has";
            section.error_at("ecs_role", &format!("{role:?} is not the name of a role"), Some(hint));
            None
        }
    }
}

fn uri(section: &mut Section<'_>) -> Option<SecretRef> {
    let uri = section.secret_or_plain("credentials_uri")?;
    if let SecretRef::Plain(text) = &uri
        && !Url::parse(text.expose()).is_ok_and(|url| ["http", "https"].contains(&url.scheme()))
    {
        section.error_at("credentials_uri", "is not a URL", Some("https, or http to a loopback address"));
        return None;
    }
    Some(uri)
}

/// The role, and whether one is asked for at all.
fn role(section: &mut Section<'_>) -> (Option<Role>, bool) {
    let wanted = section.has("role_arn");
    let arn = section.string("role_arn").and_then(|arn| match profile::arn(arn) {
        Ok(arn) => Some(arn),
        Err(why) => {
            section.error_at("role_arn", &why, None);
            None
        }
    });
    let session = session_name(section);
    let (external_id, policy) = (section.string("external_id"), policy(section));
    let duration = section.duration_in("duration", SHORTEST..=LONGEST);
    let sts = sts_endpoint(section);
    if !wanted {
        for key in OF_ROLE.into_iter().filter(|key| section.peek(key)) {
            section.error_at(key, "is of no use without role_arn", Some("add role_arn = …, or remove it"));
        }
    }
    let role = arn.map(|arn| {
        let usual = Role::new(arn);
        Role {
            session_name: session.unwrap_or_else(|| usual.session_name.clone()),
            duration: duration.unwrap_or(usual.duration),
            external_id,
            policy,
            sts,
            ..usual
        }
    });
    (role, wanted)
}

/// The vendor's rule: 2 to 64 of `A-Z a-z 0-9 . @ - _`.
fn session_name(section: &mut Section<'_>) -> Option<String> {
    let name = section.string("role_session_name")?;
    let fine = |c: char| c.is_ascii_alphanumeric() || ".@-_".contains(c);
    if (2..=64).contains(&name.len()) && name.chars().all(fine) {
        return Some(name);
    }
    let hint = "2 to 64 letters, digits, dots, at signs, hyphens and underscores";
    section.error_at("role_session_name", &format!("{name:?} is not a session's name"), Some(hint));
    None
}

fn policy(section: &mut Section<'_>) -> Option<String> {
    let policy = section.string("policy")?;
    if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&policy).is_ok() {
        return Some(policy);
    }
    section.error_at(
        "policy",
        "is not a JSON object",
        Some("a RAM policy, in single quotes: '{\"Version\": …}'"),
    );
    None
}

fn sts_endpoint(section: &mut Section<'_>) -> Option<Endpoint> {
    match Endpoint::parse(&section.string("sts_endpoint")?) {
        Ok(endpoint) => Some(endpoint),
        Err(error) => {
            section.error_at("sts_endpoint", &error.message, Some(&error.hint));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::walk;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let (found, problems) = walk("rules.toml", text, Path::new("/etc"), |mut section| {
            let found = read(&mut section);
            section.finish();
            found
        });
        let all = format!("{:?} {problems:?}", found.flatten());
        assert!(all.contains(expect), "no {expect:?} in {all}");
    }

    const KEYS: &str = "access_key_id={env='A'}\naccess_key_secret={env='B'}\n";
    const ROLE: &str = "role_arn='acs:ram::1:role/reader'\n";

    #[test]
    fn each_form_is_read() {
        check(KEYS, "Some(Keys { id: Env(\"A\"), secret: Env(\"B\"), token: None })");
        check(&format!("{KEYS}security_token={{credential='t'}}"), "token: Some(Credential(\"t\"))");
        check("chain=true", "Some(Chain)");
        check("ecs_role='*'", "Some(EcsRole(None))");
        check("ecs_role='poller'", "Some(EcsRole(Some(\"poller\")))");
        check("credentials_uri='http://127.0.0.1:1/k'", "Some(Uri(Plain([redacted])))");
        let oidc = "oidc_provider_arn='p'\noidc_token_file='t'\n";
        check(&format!("{oidc}{ROLE}"), "Oidc { provider_arn: \"p\", token_file: \"/etc/t\", role: Role {");
        let more = "role_session_name='s1'\nexternal_id='e'\npolicy='{}'\nduration='30m'\n\
            sts_endpoint='https://sts.cn-shanghai.aliyuncs.com'";
        let role = "role: Role { arn: \"acs:ram::1:role/reader\", session_name: \"s1\", external_id: Some(\"e\"), \
            policy: Some(\"{}\"), duration: Span(1800000), sts: Some(Endpoint {";
        check(
            &format!("{KEYS}{ROLE}{more}"),
            &format!("Assumed {{ base: Keys {{ id: Env(\"A\"), secret: Env(\"B\"), token: None }}, {role}"),
        );
        check(
            &format!("chain=true\n{ROLE}"),
            "Assumed { base: Chain, role: Role { arn: \"acs:ram::1:role/reader\", session_name: \"seatwatch\"",
        );
    }

    #[test]
    fn mistakes_are_told_with_a_way_out() {
        check("", "ALIBABA_CLOUD_ACCESS_KEY_ID");
        check("chain=false", "give both keys, or chain = true");
        check(&format!("{KEYS}chain=true"), "an account has keys or chain, not both");
        check("chain=true\necs_role='*'", "an account has chain or ecs_role, not both");
        check("access_key_id={env='A'}", "add access_key_secret");
        check("access_key_secret={env='A'}", "add access_key_id");
        check("ecs_role='a b'", "whichever it has");
        check("credentials_uri='file:///etc/k'", "is not a URL");
        check("oidc_token_file='t'", "add oidc_provider_arn");
        check("oidc_provider_arn='p'\noidc_token_file='t'", "add role_arn");
        check("chain=true\nduration='1h'", "is of no use without role_arn");
        check("chain=true\nrole_arn='reader'", "is not the ARN of a role");
        check(&format!("chain=true\n{ROLE}duration='1m'"), "from 15m to 12h");
        check(&format!("chain=true\n{ROLE}role_session_name='a b'"), "2 to 64 letters");
        check(&format!("chain=true\n{ROLE}policy='x'"), "is not a JSON object");
        check(&format!("chain=true\n{ROLE}sts_endpoint='http://example.com'"), "loopback");
    }
}
