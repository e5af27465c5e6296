//! What lies between this host and the others: names looked up a few at a time, and words for what goes wrong.
//!
//! Neighbours: `aliyun` and `channel` connect by it. A part of its own because both must tell the same failures apart
//! and name no more of an address than scheme and host: the rest may be a key. The system's resolver blocks a thread
//! for as long as it likes; a silent one must not collect a thread for each try of three days.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use url::Url;

/// Look-ups of one client or channel that may be under way at once.
const LOOKUPS: usize = 2;
/// Causes of one error that are looked through; a chain is a handful long, the bound is for one that bites its tail.
const MOST_CAUSES: usize = 32;

/// The system's resolver, for one client or channel.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    permits: Arc<Semaphore>,
}

impl Resolver {
    pub(crate) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(LOOKUPS)) }
    }

    /// Every address of the host. Whoever gives up waiting leaves at most [`LOOKUPS`] threads behind.
    ///
    /// # Errors
    /// The resolver's; see [`unknown_host`].
    pub(crate) async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let host = host.to_owned();
        self.bounded(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
    }

    async fn bounded<T: Send + 'static>(
        &self,
        find: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        let found = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            find()
        });
        found.await.map_err(io::Error::other)?
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.lookup(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Scheme, host and port of a URL: all of it that may be shown.
pub(crate) fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// The causes of an error, outermost first. An `io::Error` hides what it wraps from `source`, so that is looked into.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let inner = |cause: &'e (dyn Error + 'static)| {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| cause.source())
    };
    std::iter::successors(Some(error), move |&cause| inner(cause)).take(MOST_CAUSES)
}

/// The first cause of type `E`, the error itself included.
pub(crate) fn find_cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// The innermost cause, which says what happened; the outer ones say who noticed, and may hold a URL.
pub(crate) fn last_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// Whether names could not be looked up, as against what came of the addresses.
pub(crate) fn is_lookup(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.to_string().contains("dns error"))
}

/// Whether a resolver's failure is final: the settings name a host that does not exist. `getaddrinfo` tells a
/// passing failure (`EAI_AGAIN`) apart only by its text, which is glibc's or musl's.
pub(crate) fn unknown_host(cause: &str) -> bool {
    const PASSING: [&str; 3] = ["Temporary failure", "Try again", "temporarily"];
    cause.contains("failed to lookup address") && !PASSING.iter().any(|text| cause.contains(text))
}

/// Why TLS itself failed (a certificate, a version, bytes that are no TLS), as against the connection under it; with
/// what else it may mean.
pub(crate) fn refused_by_tls(error: &(dyn Error + 'static)) -> Option<String> {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    use rustls::Error::{InvalidCertificate, InvalidMessage};
    let refused = find_cause::<rustls::Error>(error)?;
    let hint = if matches!(refused, InvalidMessage(_)) {
        "; what answers at this port does not speak TLS"
    } else if matches!(refused, InvalidCertificate(NotValidYet | NotValidYetContext { .. })) {
        "; or this host's clock is slow"
    } else if matches!(refused, InvalidCertificate(Expired | ExpiredContext { .. })) {
        "; unless this host's clock is fast"
    } else {
        ""
    };
    Some(format!("{refused}{hint}"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(cause: &str, expect: bool) {
        assert_eq!(unknown_host(cause), expect, "{cause}");
    }

    #[test]
    fn an_unknown_host_is_told_from_a_resolver_that_is_away() {
        check("failed to lookup address information: Name or service not known", true);
        check("failed to lookup address information: No address associated with hostname", true);
        check("failed to lookup address information: Name does not resolve", true);
        check("failed to lookup address information: Temporary failure in name resolution", false);
        check("failed to lookup address information: Try again", false);
        check("connection refused", false);
    }

    #[tokio::test]
    async fn a_silent_resolver_collects_no_threads() {
        let resolver = Resolver::new();
        let (began, begun) = channel();
        let mut gates = Vec::new();
        for _ in 0..50 {
            let (open, gate) = channel::<()>();
            gates.push(open);
            let began = began.clone();
            let hang = move || {
                began.send(()).map_err(io::Error::other)?;
                let _ = gate.recv();
                Ok(())
            };
            let given_up = tokio::time::timeout(Duration::from_millis(5), resolver.bounded(hang)).await;
            assert!(given_up.is_err(), "nothing answers");
        }
        drop(gates);
        assert!(resolver.bounded(|| Ok(7)).await.is_ok_and(|found| found == 7), "it goes on once it answers");
        let others = begun.try_iter().count();
        assert!(others <= LOOKUPS, "{others} threads hung");
    }

    #[tokio::test]
    async fn addresses_are_looked_up_and_an_unknown_name_is_one() {
        let resolver = Resolver::new();
        let found = resolver.lookup("127.0.0.1", 7).await.unwrap();
        assert_eq!(found, ["127.0.0.1:7".parse().unwrap()]);
        // Two dots make it a name that no server has to be asked about.
        assert!(resolver.lookup("no..such.host", 7).await.is_err());
    }

    #[test]
    fn no_more_than_the_host_is_shown() {
        let url = Url::parse("https://key:secret@host.example:8443/path/token?key=secret#x").unwrap();
        assert_eq!(place(&url), "https://host.example:8443");
    }
}
