//! Webhooks: a signed JSON body posted to a URL that is a secret itself (Standard Webhooks 1.0).
//!
//! Neighbours: `body` renders what is stored, `signing` and `guard` are the two specifications it keeps to, `answer`
//! sorts what comes back. Added per attempt, and never stored: the headers `webhook-id` (constant),
//! `webhook-timestamp` (of the attempt) and `webhook-signature`.

mod answer;
mod body;
mod guard;
mod signing;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, redirect};
use url::{Host, Url};

pub use self::answer::Reply;
use self::guard::{Forbidden, Guarded, Reach};
use self::signing::Key;
use super::note::Hidden;
use super::{Delivery, Letter, OpenError, tls};
use crate::config::section::Section;
use crate::engine::message::Message;
use crate::engine::notify::Notice;
use crate::engine::time::{Span, Time};
use crate::net::{self, Resolver};
use crate::secret::{Secret, SecretRef};

/// Of the URL and its TLS; the whole attempt has the channel's `timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A `[[channel]]` of kind `webhook`, checked as far as the file alone allows.
#[derive(Clone, Debug)]
pub struct Settings {
    pub name: String,
    /// A secret as a whole: robots and hooks carry their key in it.
    pub url: SecretRef,
    /// One, or several while they are being changed; none leaves bodies unsigned.
    pub secrets: Vec<SecretRef>,
    pub allow_private: bool,
    pub ca_file: Option<PathBuf>,
    pub timeout: Span,
}

impl Settings {
    pub(super) fn read(name: String, section: &mut Section<'_>) -> Option<Self> {
        let url = section.secret_or_plain("url");
        let secrets = section.secrets("secret");
        let allow_private = section.boolean("allow_private").unwrap_or(false);
        let ca_file = section.path("ca_file");
        let timeout = section.duration_in("timeout", super::TIMEOUTS).unwrap_or(Span::from_secs(15));
        if !section.has("secret") && !section.misspelt("secret") {
            let hint = "without it receivers cannot tell our bodies from anybody's: secret = { env = \"…\" }";
            section.warning_at("secret", "the webhook's bodies are not signed", Some(hint));
        }
        if let Some(SecretRef::Plain(plain)) = &url
            && let Err(message) = check_url(plain, allow_private)
        {
            section.error_at("url", &message, None);
            return None;
        }
        let Some(url) = url else {
            return if section.has("url") { None } else { section.missing("url") };
        };
        Some(Self { name, url, secrets, allow_private, ca_file, timeout })
    }

    pub(super) fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        let signing = self.secrets.iter().map(|secret| ("secret", secret));
        std::iter::once(("url", &self.url)).chain(signing).collect()
    }
}

/// A webhook with its secrets resolved.
#[derive(Clone)]
pub struct Webhook {
    url: Url,
    reach: Reach,
    keys: Vec<Key>,
    client: Client,
    hidden: Hidden,
    timeout: Duration,
}

impl Webhook {
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let fail = |key, message: String| OpenError { channel: settings.name.clone(), key, message };
        let resolve = |key, reference: &SecretRef| reference.resolve().map_err(|e| fail(key, e.to_string()));
        let secret = resolve("url", &settings.url)?;
        let mut hidden = Hidden::default();
        hide_url(&mut hidden, &secret);
        let (url, reach) = check_url(&secret, settings.allow_private).map_err(|m| fail("url", m))?;
        let mut keys = Vec::new();
        for reference in &settings.secrets {
            let secret = resolve("secret", reference)?;
            hidden.add(secret.expose());
            let key = Key::parse(&secret).map_err(|e| fail("secret", format!("{reference}: {e}")))?;
            keys.push(key);
        }
        let tls =
            if url.scheme() == "https" { tls::verified(settings.ca_file.as_deref()) } else { tls::unused() };
        let tls = tls.map_err(|e| fail("ca_file", e.to_string()))?;
        let client = client(tls, reach).map_err(|e| fail("url", e.without_url().to_string()))?;
        Ok(Self { url, reach, keys, client, hidden, timeout: settings.timeout.to_std() })
    }

    pub(super) fn payload(notice: &Notice, message: &Message, now: Time) -> Vec<u8> {
        body::render(notice, message, now)
    }

    pub(super) async fn send(&self, letter: &Letter, now: Time) -> Delivery {
        let attempt = async {
            if let Some(refused) = literal_address(&self.url).and_then(|a| self.reach.check(a).err()) {
                return self.noted(answer::forbidden(&refused));
            }
            match self.request(letter, now).send().await {
                Ok(response) => self.understand(&answer::read(response).await, now),
                Err(error) => self.noted(answer::failure(&error, &self.hidden)),
            }
        };
        match tokio::time::timeout(self.timeout, attempt).await {
            Ok(delivery) => delivery,
            Err(_) => self.noted(answer::too_slow(self.timeout)),
        }
    }

    /// What an answer to a notification means, with the note that is kept of it.
    pub fn understand(&self, reply: &Reply, now: Time) -> Delivery {
        self.noted(answer::understood(reply, now, &self.hidden))
    }

    /// The note begins with where it was sent.
    fn noted(&self, delivery: Delivery) -> Delivery {
        let note = self.hidden.note(&format!("{} {}", shown(&self.url), delivery.note));
        Delivery { note, ..delivery }
    }

    fn request(&self, letter: &Letter, now: Time) -> RequestBuilder {
        let mut request = self.client.post(self.url.clone());
        request = request.header(CONTENT_TYPE, "application/json; charset=utf-8").header(ACCEPT, "*/*");
        // Nothing to unpack, so nothing that unpacks to more than was sent.
        request = request.header(ACCEPT_ENCODING, "identity");
        request = request.header("webhook-id", &letter.id).header("webhook-timestamp", now.seconds());
        if !self.keys.is_empty() {
            let signature = signing::signature(&self.keys, &letter.id, now, &letter.payload);
            request = request.header("webhook-signature", signature);
        }
        request.body(letter.payload.clone())
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({})", shown(&self.url))
    }
}

/// What a URL is shown as: the rest of it may be a key.
fn shown(url: &Url) -> String {
    format!("{}/…", net::place(url))
}

/// Checks what can be known before a connection; the message never holds more of the URL than scheme and host.
fn check_url(secret: &Secret, allow_private: bool) -> Result<(Url, Reach), String> {
    let url = Url::parse(secret.expose()).map_err(|e| format!("not a URL: {e}; write https://host/path"))?;
    let reach = match (url.scheme(), allow_private) {
        ("https", false) => Reach::Public,
        ("https", true) => Reach::PublicAndPrivate,
        ("http", true) => Reach::PrivateOnly,
        ("http", false) => {
            let host = shown(&url);
            return Err(format!(
                "{host} is plain http; use https, or set allow_private = true for a private address"
            ));
        }
        (other, _) => return Err(format!("{other}: is no scheme for a webhook; use https")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "{} carries a user name or password; put a key into the path or query",
            shown(&url)
        ));
    }
    if let Some(robot) = url.domain().and_then(robot) {
        return Err(format!(
            "{} is a chat robot of {robot}: it answers 200 to what it throws away, so no alert sent there is \
             known to have arrived; send to a receiver that puts it into the robot's words, or by e-mail",
            shown(&url)
        ));
    }
    match literal_address(&url).map(|address| reach.check(address)) {
        Some(Err(refused)) => Err(refused.to_string()),
        Some(Ok(())) | None => Ok((url, reach)),
    }
}

/// Whose group robot listens at `domain`, of those that tell a refusal in the body of a 200 (`errcode`, `code`) and
/// take no body but their own. A 2xx is the receiver's word that it has the alert, and theirs isn't.
fn robot(domain: &str) -> Option<&'static str> {
    let hosts = [
        ("oapi.dingtalk.com", "DingTalk"),
        ("api.dingtalk.com", "DingTalk"),
        ("qyapi.weixin.qq.com", "WeCom"),
        ("open.feishu.cn", "Feishu"),
        ("open.larksuite.com", "Lark"),
    ];
    let domain = domain.trim_end_matches('.');
    hosts.iter().find(|(host, _)| domain == *host).map(|(_, whose)| *whose)
}

/// An address written in the URL: it never passes a resolver.
fn literal_address(url: &Url) -> Option<std::net::IpAddr> {
    match url.host()? {
        Host::Ipv4(v4) => Some(v4.into()),
        Host::Ipv6(v6) => Some(v6.into()),
        Host::Domain(_) => None,
    }
}

/// The URL, and the parts of it that a receiver echoes on its own: path, query, long segments and values.
fn hide_url(hidden: &mut Hidden, secret: &Secret) {
    hidden.add(secret.expose());
    let Ok(url) = Url::parse(secret.expose()) else { return };
    hidden.add(url.as_str());
    let path_and_query = &url[url::Position::BeforePath..];
    hidden.add(path_and_query);
    hidden.add(url.path());
    url.query().into_iter().for_each(|query| hidden.add(query));
    let segments = url.path_segments().into_iter().flatten().map(str::to_owned);
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    // Short ones are words like `hooks`, not keys.
    segments.chain(values).filter(|part| part.len() >= 8).for_each(|part| hidden.add(&part));
}

/// No redirects (a signed body goes where it was addressed), no proxy from the environment, no pool: alerts are
/// rare, and a connection that was idle for hours is one more way to fail.
fn client(tls: rustls::ClientConfig, reach: Reach) -> reqwest::Result<Client> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Guarded { reach, resolver: Resolver::new() })
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("seatwatch/", env!("CARGO_PKG_VERSION")))
        .build()
}
