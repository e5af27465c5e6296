//! HTTP to the vendor: one try, bounded in time and bytes, and a word for each way it can fail.
//!
//! Neighbours: the client decides on further tries. A part of its own because an HTTP client's defaults do not suit
//! a service that runs for years: no redirects, no proxies from the environment, no decompression, no endless reads.

use std::error::Error as _;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Certificate, redirect};

use super::request::Prepared;
use super::sign::Pairs;
use crate::engine::reading::{Fault, FaultClass};

/// The longest reply that is read, in bytes.
pub const LONGEST: usize = 1 << 20;

/// How requests are sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    pub connect_timeout: Duration,
    /// For one try, from connecting to the last byte.
    pub timeout: Duration,
    /// Trusted besides the system's roots.
    pub ca_file: Option<PathBuf>,
    /// The first wait before another try is at most this, and doubles; throttling quadruples it.
    pub back_off: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            ca_file: None,
            back_off: Duration::from_millis(250),
        }
    }
}

/// Why requests cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("ca_file {path}: {reason}")]
    CaFile { path: String, reason: String },
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// A reply as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Pairs,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    timeout: Duration,
}

impl Transport {
    pub(super) fn open(options: &Options, https: bool) -> Result<Self, OpenError> {
        let builder = reqwest::Client::builder()
            .https_only(https)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .http1_only()
            .user_agent(concat!("seatwatch/", env!("CARGO_PKG_VERSION")));
        let builder = match &options.ca_file {
            // Plain HTTP on the loopback must work where no roots are installed.
            _ if !https => builder.tls_certs_only([]),
            Some(path) => builder.tls_certs_merge(roots(path)?),
            None => builder,
        };
        let chain = |error: reqwest::Error| OpenError::Tls(last_cause(&error));
        Ok(Self { http: builder.build().map_err(chain)?, timeout: options.timeout })
    }

    /// Sends once and reads the whole reply. `at_most` may shorten the timeout.
    pub(super) async fn send(&self, request: &Prepared, at_most: Duration) -> Result<Answer, Fault> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).unwrap_or(reqwest::Method::POST);
        let mut builder = self.http.request(method, &request.url).timeout(self.timeout.min(at_most));
        // `host` is the URL's own; anything else would be signed for one place and sent to another.
        for (name, value) in request.headers.iter().filter(|(name, _)| name != "host") {
            builder = builder.header(name, value);
        }
        let builder = builder.header("accept", "application/json").header("accept-encoding", "identity");
        let sent = builder.body(request.body.clone()).send().await;
        let mut reply = sent.map_err(|error| fault(&error))?;
        let text =
            |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: Pairs = reply.headers().iter().map(|(n, v)| (n.to_string(), text(v))).collect();
        let mut answer = Answer { status: reply.status().as_u16(), headers, body: Vec::new() };
        if answer.header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Err(broken("malformed", "the reply is compressed, which was not asked for"));
        }
        while let Some(chunk) = reply.chunk().await.map_err(|error| fault(&error))? {
            if answer.body.len() + chunk.len() > LONGEST {
                return Err(broken("malformed", "the reply is longer than 1 MiB"));
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

fn roots(path: &PathBuf) -> Result<Vec<Certificate>, OpenError> {
    let refuse = |reason: String| OpenError::CaFile { path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| refuse(last_cause(&error)))?;
    if found.is_empty() {
        return Err(refuse("holds no PEM certificate".into()));
    }
    Ok(found)
}

/// A failure of the way there and back.
pub(super) fn broken(code: &str, message: impl Into<String>) -> Fault {
    Fault { class: FaultClass::Transport, code: code.into(), message: message.into() }
}

/// Sorts an error of the HTTP client. Its own text is not used: it holds the URL.
fn fault(error: &reqwest::Error) -> Fault {
    // First, because a timeout in the body also says that it is a decoding error.
    if error.is_timeout() {
        let what = if error.is_connect() { "connecting took too long" } else { "no whole reply in time" };
        return broken("timeout", what);
    }
    if let Some(tls) = cause::<rustls::Error>(error) {
        return broken("tls", tls_message(tls));
    }
    let cause_text = last_cause(error);
    if error.is_connect() {
        let dns = chain(error).any(|cause| cause.to_string().contains("dns error"));
        return broken(if dns { "dns" } else { "connect" }, cause_text);
    }
    let io = cause::<std::io::Error>(error).map(std::io::Error::kind);
    let reset = matches!(
        io,
        Some(
            ErrorKind::ConnectionReset
                | ErrorKind::BrokenPipe
                | ErrorKind::ConnectionAborted
                | ErrorKind::UnexpectedEof
        )
    );
    let cut =
        ["closed before", "end of file", "reset by peer"].iter().any(|words| cause_text.contains(words));
    broken(if reset || cut { "reset" } else { "malformed" }, cause_text)
}

fn tls_message(error: &rustls::Error) -> String {
    let text = error.to_string();
    let clock = text.contains("NotValidYet") || text.contains("not valid yet");
    let hint = if clock { "; this host's clock may be slow" } else { "" };
    format!("the endpoint's certificate or handshake is refused: {text}{hint}")
}

fn chain<'e>(error: &'e reqwest::Error) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| {
        // What an I/O error wraps is not its source, but the source's source.
        let io = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match io {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => cause.source(),
        }
    })
}

fn cause<E: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// The innermost reason, which names no URL.
fn last_cause(error: &reqwest::Error) -> String {
    chain(error).last().map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}
