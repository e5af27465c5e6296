//! The metadata servers: that of an ECS instance, version 2 (with a token) then 1, and one's own at a URI.
//!
//! Neighbours: `obtain` asks. A part of its own because these speak bare HTTP without a signature, answer with keys
//! to whoever can reach them, and must be given up quickly where there is none.

use std::time::Duration;

use url::{Host, Url};

use super::refused;
use super::surroundings::Surroundings;
use super::temporary::{self, Temporary};
use crate::aliyun::client::Deadline;
use crate::aliyun::endpoint::is_loopback;
use crate::aliyun::redact::Redactor;
use crate::aliyun::request::{Headers, Prepared};
use crate::aliyun::transport::{Answer, Options, Transport, broken};
use crate::engine::reading::Fault;
use crate::secret::Secret;

const ROLES: &str = "/latest/meta-data/ram/security-credentials/";
const TOKEN: &str = "X-aliyun-ecs-metadata-token";
const TOKEN_TTL: &str = "X-aliyun-ecs-metadata-token-ttl-seconds";
/// Seconds a token is good for: the vendor's most.
const TTL: &str = "21600";

struct Server<'a> {
    base: &'a str,
    transport: Transport,
    deadline: &'a Deadline,
    /// Proves that the request is no forwarded one (version 2).
    token: Option<String>,
}

fn open(https: bool, timeout: Duration) -> Result<Transport, Fault> {
    let options = Options { connect_timeout: Duration::from_secs(1), timeout, ..Options::default() };
    Transport::open(&options, https).map_err(|error| broken("tls", error.to_string()))
}

fn request(method: &'static str, url: String, headers: Headers) -> Prepared {
    let secrets = headers.iter().filter(|(name, _)| *name == TOKEN).map(|(_, value)| value.as_str());
    let redactor = Redactor::new(secrets);
    let (canonical, string_to_sign) = (String::new(), String::new());
    Prepared { method, url, headers, body: String::new(), canonical, string_to_sign, redactor }
}

impl Server<'_> {
    async fn ask(&self, method: &'static str, path: &str, headers: Headers) -> Result<Answer, Fault> {
        let request = request(method, format!("{}{path}", self.base), headers);
        self.transport.send(&request, self.deadline.left()).await
    }

    async fn get(&self, path: &str) -> Result<Answer, Fault> {
        let headers = self.token.iter().map(|token| (TOKEN, token.clone())).collect();
        let answer = self.ask("GET", path, headers).await?;
        match answer.status {
            200 => Ok(answer),
            404 => Err(refused("the ECS instance has no such RAM role: give it one, or keys".into())),
            status => Err(broken(&format!("http-{status}"), format!("the metadata server answers {status}"))),
        }
    }

    async fn token(&self) -> Result<String, Fault> {
        let answer = self.ask("PUT", "/latest/api/token", vec![(TOKEN_TTL, TTL.to_owned())]).await?;
        let text = String::from_utf8(answer.body).unwrap_or_default().trim().to_owned();
        if answer.status == 200 && !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) {
            return Ok(text);
        }
        Err(broken("malformed", format!("the metadata server gives no token (HTTP {})", answer.status)))
    }

    /// The role asked for, else the one the instance has, and its keys.
    async fn keys(&self, role: Option<&str>) -> Result<(String, Temporary), Fault> {
        let role = match role {
            Some(role) => role.to_owned(),
            None => {
                let answer = self.get(ROLES).await?;
                let text = String::from_utf8(answer.body).unwrap_or_default();
                text.lines().next().unwrap_or_default().trim().to_owned()
            }
        };
        if !is_role_name(&role) {
            return Err(broken("malformed", "the metadata server names no role"));
        }
        let answer = self.get(&format!("{ROLES}{role}")).await?;
        let found = temporary::of_metadata(&answer.body).map_err(|why| broken("malformed", why))?;
        Ok((role, found))
    }
}

/// The vendor's rule for names of roles.
pub(super) fn is_role_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=64).contains(&name.len()) && name.chars().all(fine)
}

/// The keys of the instance's role, with the role's name and the version (2 or 1) that gave them.
pub(super) async fn of_instance(
    role: Option<&str>,
    only_v2: bool,
    around: &Surroundings,
    deadline: &Deadline,
) -> Result<(String, u8, Temporary), Fault> {
    let told = |fault: Fault| Fault { message: format!("ECS metadata: {}", fault.message), ..fault };
    let transport = open(false, Duration::from_secs(2))?;
    let mut server = Server { base: &around.metadata, transport, deadline, token: None };
    let second = match server.token().await {
        Ok(token) => {
            server.token = Some(token);
            server.keys(role).await
        }
        // Where nobody listens, nobody listens to version 1 either.
        Err(fault) if fault.code == "connect" || only_v2 => return Err(told(fault)),
        Err(fault) => Err(fault),
    };
    let fault = match second {
        Ok((role, found)) => return Ok((role, 2, found)),
        Err(fault) if only_v2 || fault.code == "no-keys" => return Err(told(fault)),
        Err(fault) => fault,
    };
    server.token = None;
    match server.keys(role).await {
        Ok((role, found)) => Ok((role, 1, found)),
        Err(first) if first.code == "no-keys" => Err(told(first)),
        // What version 2 said is nearer to the cause.
        Err(_) => Err(told(fault)),
    }
}

/// The keys at a URI: https, or http to a loopback address. The URI may hold a secret and is never shown.
pub(super) async fn of_uri(uri: &Secret, deadline: &Deadline) -> Result<Temporary, Fault> {
    let refuse = |why: &str| refused(format!("credentials URI: {why}"));
    let url = Url::parse(uri.expose()).map_err(|_| refuse("is not a URL"))?;
    let loopback = url.host().is_some_and(|host: Host<&str>| is_loopback(&host));
    let https = match url.scheme() {
        "https" => true,
        "http" if loopback => false,
        _ => return Err(refuse("must be https, or http to a loopback address")),
    };
    let transport = open(https, Duration::from_secs(10))?;
    let told = |fault: Fault| Fault { message: format!("credentials URI: {}", fault.message), ..fault };
    let request = request("GET", url.to_string(), Headers::new());
    let answer = transport.send(&request, deadline.left()).await.map_err(told)?;
    if answer.status != 200 {
        let status = answer.status;
        return Err(told(broken(&format!("http-{status}"), format!("the server answers {status}"))));
    }
    temporary::of_metadata(&answer.body).map_err(|why| told(broken("malformed", why)))
}
