//! A server that plays what a test tells it to, byte by byte: late, in drops, for ever, cut off, in TLS or not.
//! Neighbours: the tests of faults on the wire. A part of its own because each fault is a few steps of one script, the
//! same for the vendor's endpoint, a receiver of webhooks and a mail server.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A step of a script; after the last one the connection is closed in order.
#[derive(Clone, Debug)]
pub(crate) enum Play {
    /// Waits for a whole request, or, in a line, for one that begins so.
    Hear,
    HearLine(&'static str),
    /// A mail, up to its dot.
    HearMail,
    Say(Vec<u8>),
    /// A byte now and then, so that no single read takes long.
    Drip(Vec<u8>),
    /// Over and over, until the client goes.
    Endless(Vec<u8>),
    /// Silence until the client goes.
    Hang,
    Reset,
}

pub(crate) fn say(text: impl Into<Vec<u8>>) -> Play {
    Play::Say(text.into())
}

type Script = dyn Fn(usize) -> Vec<Play> + Send + Sync;

pub(crate) struct Hostile {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    sent: Arc<AtomicU64>,
}

impl Hostile {
    /// `script` gives each connection its part, by number from 0.
    pub(crate) async fn start(script: impl Fn(usize) -> Vec<Play> + Send + Sync + 'static) -> Self {
        Self::serve(None, Arc::new(script)).await
    }

    /// As [`Self::start`], behind TLS; whoever breaks off the handshake is not heard.
    pub(crate) async fn over_tls(
        tls: Arc<ServerConfig>,
        script: impl Fn(usize) -> Vec<Play> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(Some(TlsAcceptor::from(tls)), Arc::new(script)).await
    }

    async fn serve(tls: Option<TlsAcceptor>, script: Arc<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let (connections, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let kept = (Arc::clone(&heard), Arc::clone(&connections), Arc::clone(&sent));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let plays = script(connections.fetch_add(1, Ordering::Relaxed));
                let (heard, sent) = (Arc::clone(&heard), Arc::clone(&sent));
                match &tls {
                    None => drop(tokio::spawn(play(socket, plays, heard, sent))),
                    Some(tls) => {
                        let shaken = tls.accept(socket);
                        tokio::spawn(async move {
                            if let Ok(stream) = shaken.await {
                                play(stream, plays, heard, sent).await;
                            }
                        });
                    }
                }
            }
        });
        let (heard, connections, sent) = kept;
        Self { port, heard, connections, sent }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests, or lines, in the order they came.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Bytes that were written, all connections together.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// A stream that can be played on; only a bare socket can be reset.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn reset(&self) {}
}

impl Wire for TcpStream {
    fn reset(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Wire for tokio_rustls::server::TlsStream<TcpStream> {}

async fn play(mut stream: impl Wire, plays: Vec<Play>, heard: Arc<Mutex<Vec<String>>>, sent: Arc<AtomicU64>) {
    for step in plays {
        let goes_on = match step {
            Play::Hear => hear(&mut stream, whole_request, &heard).await.is_some(),
            Play::HearLine(beginning) => {
                let line = hear(&mut stream, |said| said.ends_with(b"\n"), &heard).await;
                line.is_some_and(|line| line.starts_with(beginning))
            }
            Play::HearMail => hear(&mut stream, |said| said.ends_with(b"\r\n.\r\n"), &heard).await.is_some(),
            Play::Say(bytes) => write(&mut stream, &bytes, &sent).await,
            Play::Drip(bytes) => drip(&mut stream, &bytes, &sent).await,
            Play::Endless(bytes) => {
                while write(&mut stream, &bytes, &sent).await {}
                false
            }
            Play::Hang => {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
                heard
                    .lock()
                    .unwrap()
                    .extend((!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned()));
                false
            }
            Play::Reset => {
                stream.reset();
                return;
            }
        };
        if !goes_on {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

async fn write(stream: &mut impl Wire, bytes: &[u8], sent: &AtomicU64) -> bool {
    let written = stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok();
    sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    written
}

async fn drip(stream: &mut impl Wire, bytes: &[u8], sent: &AtomicU64) -> bool {
    for byte in bytes {
        if !write(stream, &[*byte], sent).await {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(40)).await; // until the next drop falls
    }
    true
}

async fn hear(
    stream: &mut impl Wire,
    whole: impl Fn(&[u8]) -> bool,
    heard: &Mutex<Vec<String>>,
) -> Option<String> {
    let mut said = Vec::new();
    while !whole(&said) {
        said.push(stream.read_u8().await.ok()?);
    }
    let said = String::from_utf8_lossy(&said).into_owned();
    heard.lock().unwrap().push(said.clone());
    Some(said)
}

fn whole_request(said: &[u8]) -> bool {
    let text = String::from_utf8_lossy(said);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    body.len() >= length.unwrap_or(0)
}

/// An address that never answers: nobody accepts there, and its queue is full.
pub(crate) struct BlackHole {
    pub(crate) port: u16,
    _listener: TcpListener,
    _queued: Vec<std::net::TcpStream>,
}

impl BlackHole {
    pub(crate) fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let queued = [(); 2].map(|()| std::net::TcpStream::connect(address).unwrap());
        Self { port: address.port(), _listener: listener, _queued: queued.into() }
    }
}
