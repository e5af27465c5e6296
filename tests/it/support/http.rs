//! A receiver of webhooks on a bare socket: it keeps what was posted and answers what the test says.
//! Neighbours: the webhook and agent tests. A part of its own so that it shares no code with the sender.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::smtp::Certificate;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Posted {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }
}

pub(crate) struct Hook {
    pub(crate) port: u16,
    posted: Receiver<Posted>,
}

impl Hook {
    /// Gives `answer` to every request, then `endless` times 64 KiB of `x`; keeps silent where it is empty.
    pub(crate) fn answer(answer: impl Into<String>, endless: usize) -> Self {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, posted) = channel();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = BufReader::new(socket.unwrap());
                let Some(request) = read(&mut socket) else { continue };
                if tell.send(request).is_err() {
                    return;
                }
                let socket = socket.get_mut();
                let _ = socket.write_all(answer.as_bytes());
                for _ in 0..endless {
                    if socket.write_all(&[b'x'; 65_536]).is_err() {
                        break;
                    }
                }
                if answer.is_empty() {
                    let _ = socket.read(&mut [0]);
                }
            }
        });
        Self { port, posted }
    }

    /// Gives `answer` to every request that comes through a TLS handshake; others leave no trace.
    pub(crate) fn answer_over_tls(certificate: &Certificate, answer: &'static str) -> Self {
        let key = PrivateKeyDer::from_pem_file(certificate.directory.path().join("key.pem")).unwrap();
        let chain = vec![CertificateDer::from_pem_file(certificate.path()).unwrap()];
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, posted) = channel();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let tls = ServerConnection::new(config.clone()).unwrap();
                let mut stream = BufReader::new(StreamOwned::new(tls, socket.unwrap()));
                let Some(request) = read(&mut stream) else { continue };
                let _ = stream.get_mut().write_all(answer.as_bytes());
                if tell.send(request).is_err() {
                    return;
                }
            }
        });
        Self { port, posted }
    }

    pub(crate) fn posted(&self) -> Posted {
        self.posted.recv_timeout(Duration::from_secs(20)).expect("nothing was posted")
    }

    pub(crate) fn untouched(&self) -> bool {
        self.posted.try_recv().is_err()
    }
}

pub(crate) fn read(socket: &mut impl BufRead) -> Option<Posted> {
    let mut line = String::new();
    socket.read_line(&mut line).ok().filter(|&read| read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        // A sender that died within its headers has posted nothing.
        socket.read_line(&mut header).ok().filter(|&read| read > 0)?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).ok()?;
    Some(Posted { line: line.trim().to_owned(), headers, body })
}
