//! Goes and gets keys from where a provider says, each time anew.
//!
//! Neighbours: `keyring` decides when, `chain` where to look, `role` and `metadata` ask servers. A part of its own
//! because providers stand on one another: a role on keys, a chain on whatever it finds.

use std::future::Future;
use std::pin::Pin;

use super::chain::{self, Local};
use super::surroundings::Surroundings;
use super::temporary::Temporary;
use super::{Credentials, CredentialsError, Provider, file, metadata, refused, role, shortened};
use crate::aliyun::client::Deadline;
use crate::engine::reading::Fault;
use crate::engine::time::Time;
use crate::secret::{self, SecretRef};

/// Keys, until when they hold, and who gave them.
#[derive(Debug)]
pub(super) struct Obtained {
    pub keys: Credentials,
    /// None: they are not known to expire.
    pub expires: Option<Time>,
    /// In words, without the key id.
    pub origin: String,
}

impl Obtained {
    fn lasting(keys: Credentials, origin: &str) -> Self {
        Self { keys, expires: None, origin: origin.to_owned() }
    }

    fn passing(found: Temporary, origin: String) -> Self {
        Self { keys: found.keys, expires: Some(found.expires), origin }
    }

    /// With the step of the chain that led there.
    fn by(self, step: &str) -> Self {
        if self.origin.contains(step) {
            return self;
        }
        let origin = format!("{step}: {}", self.origin);
        Self { origin, ..self }
    }

    /// As people see it.
    pub(super) fn told(&self) -> String {
        format!("{} ({})", self.origin, shortened(&self.keys.access_key_id))
    }
}

/// Keys that can be had without asking a server; None where one must be asked. Everything on this machine that such
/// a question rests on is looked at all the same, so that its mistakes are told at the start.
pub(super) fn at_once(
    provider: &Provider,
    around: &Surroundings,
) -> Result<Option<Obtained>, CredentialsError> {
    match provider {
        Provider::Keys { id, secret, token } => {
            let keys = Credentials {
                access_key_id: id.resolve()?.expose().to_owned(),
                access_key_secret: secret.resolve()?,
                security_token: token.as_ref().map(SecretRef::resolve).transpose()?,
            };
            Ok(Some(Obtained::lasting(keys, "keys of the rules file")))
        }
        Provider::Found { keys, place } => Ok(Some(Obtained::lasting(keys.clone(), place))),
        Provider::Chain => match chain::local(&around.environment)? {
            Local::Found { step, provider } => Ok(at_once(&provider, around)?.map(|found| found.by(&step))),
            Local::Nothing(mut looked) => match chain::instance_role(&around.environment) {
                // Nobody is left to be asked.
                Err(why) if chain::uri(&around.environment)?.is_none() => {
                    looked.extend([why, chain::no_uri()]);
                    Err(CredentialsError::ChainEmpty { looked })
                }
                Ok(_) | Err(_) => Ok(None),
            },
        },
        Provider::Assumed { base, .. } => at_once(base, around).map(|_| None),
        Provider::Uri(uri) => Ok(uri.resolve().map(|_| None)?),
        Provider::EcsRole(_) | Provider::Oidc { .. } => Ok(None),
    }
}

/// Where keys will come from, before they did.
pub(super) fn description(provider: &Provider, around: &Surroundings) -> String {
    match provider {
        Provider::Keys { .. } => "keys of the rules file".into(),
        Provider::Found { place, .. } => place.clone(),
        Provider::Chain => match chain::local(&around.environment) {
            Ok(Local::Found { step, provider }) => format!("{step}: {}", description(&provider, around)),
            Ok(Local::Nothing(_)) | Err(_) => "default chain: ECS metadata or a credentials URI".into(),
        },
        Provider::EcsRole(Some(role)) => format!("ECS role {role:?}"),
        Provider::EcsRole(None) => "ECS role of the instance".into(),
        Provider::Uri(_) => "credentials URI".into(),
        Provider::Oidc { role, .. } => format!("OIDC role {:?}", role.arn),
        Provider::Assumed { base, role } => {
            format!("role {:?} by {}", role.arn, description(base, around))
        }
    }
}

/// What a search goes by.
pub(super) struct Search<'a> {
    pub around: &'a Surroundings,
    pub deadline: &'a Deadline,
    /// The instance's metadata gave keys before: if it is silent now, no later step takes its place.
    pub instance_gave: bool,
}

type Coming<'a> = Pin<Box<dyn Future<Output = Result<Obtained, Fault>> + Send + 'a>>;

/// Gets keys, asking whom it takes.
pub(super) fn obtain<'a>(provider: &'a Provider, search: &'a Search<'a>) -> Coming<'a> {
    let (around, deadline) = (search.around, search.deadline);
    Box::pin(async move {
        if let Some(found) = at_once(provider, around)? {
            return Ok(found);
        }
        match provider {
            Provider::Chain => of_chain(search).await,
            Provider::EcsRole(role) => of_instance(role.as_deref(), search).await,
            Provider::Uri(uri) => {
                let uri = uri.resolve().map_err(CredentialsError::from)?;
                let found = metadata::of_uri(&uri, deadline).await?;
                Ok(Obtained::passing(found, "credentials URI".into()))
            }
            Provider::Oidc { provider_arn, token_file, role } => {
                let token = identity_token(token_file)?;
                let found = role::assume_with_oidc(role, provider_arn, &token, around, deadline).await?;
                Ok(Obtained::passing(found, format!("OIDC role {:?}", role.arn)))
            }
            Provider::Assumed { base, role } => {
                let below = obtain(base, search).await?;
                let found = role::assume(role, below.keys, around, deadline).await?;
                Ok(Obtained::passing(found, format!("role {:?} by {}", role.arn, below.origin)))
            }
            Provider::Keys { .. } | Provider::Found { .. } => Err(refused("no keys".into())),
        }
    })
}

async fn of_chain(search: &Search<'_>) -> Result<Obtained, Fault> {
    let environment = &search.around.environment;
    let mut looked = match chain::local(environment)? {
        Local::Found { step, provider } => return Ok(obtain(&provider, search).await?.by(&step)),
        Local::Nothing(looked) => looked,
    };
    match chain::instance_role(environment) {
        Err(why) => looked.push(why),
        Ok(role) => match of_instance(role.as_deref(), search).await {
            Ok(found) => return Ok(found),
            Err(fault) if search.instance_gave || role.is_some() => return Err(fault),
            Err(fault) => looked.push(fault.told()),
        },
    }
    match chain::uri(environment)? {
        Some(uri) => {
            let found = metadata::of_uri(&uri, search.deadline).await?;
            Ok(Obtained::passing(found, "credentials URI".into()))
        }
        None => {
            looked.push(chain::no_uri());
            Err(CredentialsError::ChainEmpty { looked }.into())
        }
    }
}

async fn of_instance(role: Option<&str>, search: &Search<'_>) -> Result<Obtained, Fault> {
    let only_v2 = chain::only_v2(&search.around.environment);
    let (role, version, found) = metadata::of_instance(role, only_v2, search.around, search.deadline).await?;
    Ok(Obtained::passing(found, format!("{INSTANCE}{role}\" by metadata v{version}")))
}

/// How an origin begins that is the instance's metadata; after it comes the role's name in quotes.
pub(super) const INSTANCE: &str = "ECS role \"";

/// Read anew each time, because Kubernetes replaces it; the newline at its end is no part of it.
fn identity_token(path: &std::path::Path) -> Result<secret::Secret, Fault> {
    let refuse = |reason: String| CredentialsError::Place { place: file::place(path), reason };
    let text = file::read(path)?.ok_or_else(|| refuse("is not there".into()))?;
    let token = secret::taken(&file::place(path), text.trim().to_owned()).map_err(CredentialsError::from)?;
    Ok(token)
}
