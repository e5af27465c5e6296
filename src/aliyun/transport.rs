//! HTTP to the vendor: one try, bounded in time and bytes, and a word for each way it can fail.
//!
//! Neighbours: the client decides on further tries. A part of its own because an HTTP client's defaults do not suit
//! a service that runs for years: no redirects, no proxies from the environment, no decompression, no endless reads.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::dns::Resolve;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, redirect};
use url::Url;

use super::request::Prepared;
use crate::engine::reading::{Fault, FaultClass};
use crate::net::{self, Resolver};

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
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?.as_bytes()).ok()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    timeout: Duration,
}

impl Transport {
    pub(super) fn open(options: &Options, https: bool) -> Result<Self, OpenError> {
        Self::open_by(Resolver::new(), options, https)
    }

    fn open_by(resolver: impl Resolve + 'static, options: &Options, https: bool) -> Result<Self, OpenError> {
        let builder = reqwest::Client::builder()
            .https_only(https)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .dns_resolver(resolver)
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
        let chain = |error: reqwest::Error| OpenError::Tls(net::last_cause(&error));
        Ok(Self { http: builder.build().map_err(chain)?, timeout: options.timeout })
    }

    /// Sends once and reads the whole reply. `at_most` may shorten the timeout. A fault names the host.
    pub(super) async fn send(&self, request: &Prepared, at_most: Duration) -> Result<Answer, Fault> {
        let answer = self.exchange(request, at_most).await;
        let place = || place(request);
        answer.map_err(|fault| Fault { message: format!("{}: {}", place(), fault.message), ..fault })
    }

    async fn exchange(&self, request: &Prepared, at_most: Duration) -> Result<Answer, Fault> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).unwrap_or(reqwest::Method::POST);
        let mut builder = self.http.request(method, &request.url).timeout(self.timeout.min(at_most));
        // `host` is the URL's own; anything else would be signed for one place and sent to another.
        for (name, value) in request.headers.iter().filter(|(name, _)| *name != "host") {
            builder = builder.header(*name, value);
        }
        let builder = builder.header("accept", "application/json").header("accept-encoding", "identity");
        let sent = builder.body(request.body.clone()).send().await;
        let mut reply = sent.map_err(|error| fault(&error))?;
        let headers = std::mem::take(reply.headers_mut());
        let length = reply.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let body = Vec::with_capacity(length.min(LONGEST));
        let mut answer = Answer { status: reply.status().as_u16(), headers, body };
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

/// Whom the request is for, as far as that may be shown.
pub(super) fn place(request: &Prepared) -> String {
    Url::parse(&request.url).map(|url| net::place(&url)).unwrap_or_default()
}

fn roots(path: &PathBuf) -> Result<Vec<Certificate>, OpenError> {
    let refuse = |reason: String| OpenError::CaFile { path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|error| refuse(net::last_cause(&error)))?;
    if found.is_empty() {
        return Err(refuse("holds no PEM certificate".into()));
    }
    Ok(found)
}

/// A failure of the way there and back.
pub(super) fn broken(code: &str, message: impl Into<String>) -> Fault {
    Fault { class: FaultClass::Transport, code: code.into(), message: message.into(), advice: None }
}

/// Sorts an error of the HTTP client. Its own text is not used: it holds the URL.
fn fault(error: &reqwest::Error) -> Fault {
    // First, because a timeout in the body also says that it is a decoding error.
    if error.is_timeout() {
        let what = if error.is_connect() { "connecting took too long" } else { "no whole reply in time" };
        return broken("timeout", what);
    }
    if let Some(refused) = net::refused_by_tls(error) {
        return broken("tls", format!("the certificate or handshake is refused: {refused}"));
    }
    let cause = net::last_cause(error);
    if error.is_connect() {
        return broken(if net::is_lookup(error) { "dns" } else { "connect" }, cause);
    }
    let io = net::find_cause::<std::io::Error>(error).map(std::io::Error::kind);
    let reset = matches!(
        io,
        Some(
            ErrorKind::ConnectionReset
                | ErrorKind::BrokenPipe
                | ErrorKind::ConnectionAborted
                | ErrorKind::UnexpectedEof
        )
    );
    let cut = ["closed before", "end of file", "reset by peer"].iter().any(|words| cause.contains(words));
    broken(if reset || cut { "reset" } else { "malformed" }, cause)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use reqwest::dns::{Addrs, Name, Resolving};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::aliyun::redact::Redactor;

    /// Gives the first list at the first look-up, and so on; the last for ever.
    struct Moving(Vec<Vec<SocketAddr>>, AtomicUsize);

    impl Resolve for Moving {
        fn resolve(&self, _: Name) -> Resolving {
            let at = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len() - 1);
            let found = self.0[at].clone();
            Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
        }
    }

    /// A server that answers everybody with `body`, and the number of its visitors.
    async fn server(body: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, visitors) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&visitors);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let _ = socket.read(&mut [0; 4096]).await;
                let length = body.len();
                let reply =
                    format!("HTTP/1.1 200 X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
                let _ = socket.write_all(reply.as_bytes()).await;
            }
        });
        (address, visitors)
    }

    fn request() -> Prepared {
        Prepared {
            method: "POST",
            url: "http://smartag.test/".to_owned(),
            headers: Vec::new(),
            body: String::new(),
            canonical: String::new(),
            string_to_sign: String::new(),
            redactor: Redactor::new([]),
        }
    }

    /// The bodies that come from addresses looked up in this order.
    async fn check(lookups: Vec<Vec<SocketAddr>>, expect: &[&str]) {
        let options = Options { connect_timeout: Duration::from_secs(4), ..Options::default() };
        let transport = Transport::open_by(Moving(lookups, AtomicUsize::new(0)), &options, false).unwrap();
        for expect in expect {
            let request = request();
            let answer = transport.send(&request, Duration::from_secs(10));
            // What is shipped waits no longer for a connection, whatever addresses there are.
            let answer = tokio::time::timeout(Options::default().connect_timeout, answer).await;
            let answer = answer.expect("a dead address costs less than five seconds").unwrap();
            assert_eq!(String::from_utf8(answer.body).unwrap(), *expect);
        }
    }

    #[tokio::test]
    async fn a_name_nobody_has_is_told_as_such() {
        let transport = Transport::open(&Options::default(), false).unwrap();
        // Two dots make it a name that no server has to be asked about.
        let request = Prepared { url: "http://no..such.host/?Signature=canary".to_owned(), ..request() };
        let fault = transport.send(&request, Duration::from_secs(10)).await.unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Transport, "dns"), "{fault:?}");
        assert!(fault.message.starts_with("http://no..such.host: "), "{fault:?}");
        assert!(!fault.message.contains("canary"), "{fault:?}");
    }

    #[tokio::test]
    async fn an_address_that_changed_is_followed() {
        let ((old, visits), (new, _)) = (server("old").await, server("new").await);
        check(vec![vec![old], vec![new]], &["old", "new", "new"]).await;
        assert_eq!(visits.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_dead_address_is_passed_over() {
        let (good, _) = server("good").await;
        let refusing: SocketAddr = "[::1]:1".parse().unwrap();
        check(vec![vec![refusing, good]], &["good"]).await;
        // Nobody accepts there, and once two wait, the third gets no answer at all.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let silent = listener.local_addr().unwrap();
        let _full = [(); 2].map(|()| std::net::TcpStream::connect(silent).unwrap());
        check(vec![vec![silent, good]], &["good"]).await;
    }
}
