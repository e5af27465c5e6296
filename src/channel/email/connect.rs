//! The way to a mail server: socket, TLS as the settings ask for it, the banner; then lettre speaks.
//!
//! Neighbours: `bare` speaks before TLS, `lines` is what lettre reads, `smtp` goes on with what this returns. A part of
//! its own because it decides what may travel in clear (nothing, unless the server is on the loopback).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::extension::ClientId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::lines::Lines;
use super::smtp::{Failure, Stage};
use super::{Tls, bare};
use crate::engine::backoff::Answer;
use crate::net::{self, Resolver};

/// No address is waited for longer: another of the same server may answer.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// What a channel needs to know to reach its server.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) server: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) helo: Option<String>,
    pub(super) config: Arc<ClientConfig>,
    pub(super) resolver: Resolver,
}

/// A stream whose banner was read, the name to say EHLO with, and what the way is called.
pub(super) struct Reached {
    pub(super) stream: Box<dyn AsyncTokioStream>,
    pub(super) helo: ClientId,
    pub(super) way: &'static str,
}

impl Route {
    /// `stage` is kept up to date for whoever cuts this off.
    pub(super) async fn reach(&self, limit: Duration, stage: &mut Stage) -> Result<Reached, Failure> {
        *stage = Stage::Connect;
        let socket = self.connect(limit).await?;
        let (local, peer) = (socket.local_addr(), socket.peer_addr());
        let lost = |error: io::Error| Failure::transport(Stage::Connect, &error.to_string());
        self.greet(socket, local.map_err(lost)?.ip(), peer.map_err(lost)?, stage).await
    }

    /// Goes on from a connection, whose own address is `local`.
    pub(super) async fn greet<S>(
        &self,
        mut socket: S,
        local: IpAddr,
        peer: SocketAddr,
        stage: &mut Stage,
    ) -> Result<Reached, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug + 'static,
    {
        let helo = match (&self.helo, local.to_canonical()) {
            (Some(name), _) => ClientId::Domain(name.clone()),
            (None, IpAddr::V4(v4)) => ClientId::Ipv4(v4),
            (None, IpAddr::V6(v6)) => ClientId::Ipv6(v6),
        };
        *stage = Stage::Greeting;
        if self.tls == Tls::None {
            bare::expect(&mut socket, Stage::Greeting, 220).await?;
            return Ok(Reached { stream: Box::new(Lines::new(socket, peer)), helo, way: "no TLS" });
        }
        if self.tls == Tls::StartTls {
            bare::starttls(&mut socket, &helo.to_string()).await?;
        }
        *stage = Stage::Tls;
        let mut stream = self.shake_hands(socket).await?;
        if self.tls == Tls::Implicit {
            *stage = Stage::Greeting;
            bare::expect(&mut stream, Stage::Greeting, 220).await?;
        }
        let newest = stream.get_ref().1.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
        let way = if newest { "TLS 1.3" } else { "TLS 1.2" };
        Ok(Reached { stream: Box::new(Lines::new(stream, peer)), helo, way })
    }

    async fn connect(&self, limit: Duration) -> Result<TcpStream, Failure> {
        let found = match self.resolver.lookup(&self.server, self.port).await {
            Ok(found) => found,
            Err(error) if net::unknown_host(&error.to_string()) => {
                return Err(Failure::new(Answer::Misconfigured, None, format!("unknown host: {error}")));
            }
            Err(error) => return Err(Failure::transport(Stage::Connect, &error.to_string())),
        };
        let clear = self.tls == Tls::None;
        let found: Vec<_> =
            found.into_iter().filter(|a| !clear || a.ip().to_canonical().is_loopback()).collect();
        if found.is_empty() {
            let why =
                "tls = \"none\" is for a loopback address only, and the server has none; nothing was sent";
            return Err(Failure::tls(why));
        }
        first_of(found, limit).await
    }

    async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: S,
    ) -> Result<TlsStream<S>, Failure> {
        let name = ServerName::try_from(self.server.clone());
        let name = name.map_err(|_| Failure::tls("the server's name cannot stand in a certificate"))?;
        let shaken = TlsConnector::from(self.config.clone()).connect(name, socket).await;
        shaken.map_err(|error| match net::refused_by_tls(&error) {
            Some(refused) => Failure::tls(&refused),
            None => Failure::transport(Stage::Tls, &error.to_string()),
        })
    }
}

/// A connection to the first address that answers. A dead one must not use up the time of the others.
async fn first_of(found: Vec<SocketAddr>, limit: Duration) -> Result<TcpStream, Failure> {
    let share = (limit / u32::try_from(found.len()).unwrap_or(u32::MAX).max(1)).min(LONGEST_CONNECT);
    let mut last = "no address answered in time".to_owned();
    for address in found {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => {}
        }
    }
    Err(Failure::transport(Stage::Connect, &last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_address_is_passed_over() {
        // Nobody accepts here, and once two wait, the third gets no answer at all.
        let dead = tokio::net::TcpSocket::new_v4().unwrap();
        dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let dead = dead.listen(1).unwrap();
        let silent = dead.local_addr().unwrap();
        let _full =
            [std::net::TcpStream::connect(silent).unwrap(), std::net::TcpStream::connect(silent).unwrap()];
        let good = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing: SocketAddr = "[::1]:1".parse().unwrap();
        let addresses = vec![refusing, silent, good.local_addr().unwrap()];
        let found = tokio::time::timeout(LONGEST_CONNECT, first_of(addresses, Duration::from_secs(3)));
        let found = found.await.expect("no more is lost than one dead address may cost").unwrap();
        assert_eq!(found.peer_addr().unwrap(), good.local_addr().unwrap());
        let error = first_of(vec![silent], Duration::from_millis(50)).await.unwrap_err();
        assert!(error.note.contains("no address answered in time"), "{}", error.note);
    }
}
