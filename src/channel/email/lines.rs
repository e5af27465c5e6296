//! What lettre gets to read of a mail server: a banner of ours, then the server's lines, each whole and none too long.
//!
//! Neighbours: `connect` puts it between stream and lettre. A part of its own because lettre waits for a banner on every
//! new stream, though ours was read (and its code demanded) before; because it reads a line of any length; and because it
//! panics at an EHLO line that is blank behind its code, which any server could send.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::bare::MAX_LINE;

/// A code and what joins it to its text.
const CODE: usize = 4;

#[derive(Debug)]
pub(super) struct Lines<S> {
    stream: S,
    peer: SocketAddr,
    /// What may be read next, from `given` on.
    whole: Vec<u8>,
    given: usize,
    /// What came of the next line.
    begun: Vec<u8>,
}

impl<S> Lines<S> {
    pub(super) fn new(stream: S, peer: SocketAddr) -> Self {
        Self { stream, peer, whole: b"220 read before\r\n".to_vec(), given: 0, begun: Vec::new() }
    }

    /// Adds what was read; no bytes are the end, after which an unfinished line is what it is.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.whole.clear();
        self.given = 0;
        for byte in bytes {
            self.begun.push(*byte);
            if *byte == b'\n' {
                shorten(&mut self.begun);
                self.whole.append(&mut self.begun);
            } else if self.begun.len() > MAX_LINE {
                return Err(io::Error::other("a reply line over 1000 bytes"));
            }
        }
        if bytes.is_empty() {
            self.whole.append(&mut self.begun);
        }
        Ok(())
    }
}

/// A text that is blank becomes none.
fn shorten(line: &mut Vec<u8>) {
    let [_, _, _, b' ' | b'-', text @ ..] = line.as_slice() else { return };
    if String::from_utf8_lossy(text).trim().is_empty() {
        line.truncate(CODE);
        line.extend_from_slice(b"\r\n");
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lines<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.given == this.whole.len() {
            let mut room = [0; 1024];
            let mut read = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
            let end = read.filled().is_empty();
            this.take(read.filled())?;
            if end && this.whole.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        let rest = &this.whole[this.given..];
        let now = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..now]);
        this.given += now;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lines<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> AsyncTokioStream for Lines<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug,
{
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// What is read of `server`, which comes in pieces of any size.
    #[track_caller]
    fn check(server: &[u8], expect: Result<&str, &str>) {
        for piece in [1, 3, 4096] {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(async {
                let (stream, mut other) = tokio::io::duplex(8192);
                let server = server.to_vec();
                tokio::spawn(async move {
                    for part in server.chunks(piece) {
                        tokio::io::AsyncWriteExt::write_all(&mut other, part).await.unwrap();
                    }
                });
                let mut text = String::new();
                let mut lines = Lines::new(stream, SocketAddr::from(([127, 0, 0, 1], 25)));
                lines.read_to_string(&mut text).await.map(|_| text)
            });
            let read = read.map_err(|error| error.to_string());
            let expect = expect.map(|text| format!("220 read before\r\n{text}")).map_err(str::to_owned);
            assert_eq!(read, expect, "in pieces of {piece}");
        }
    }

    #[test]
    fn lines_come_whole_and_blank_ones_empty() {
        check(b"250-mx\r\n250 SIZE 10\r\n", Ok("250-mx\r\n250 SIZE 10\r\n"));
        check(b"250-  \t \r\n250 ok\r\n", Ok("250-\r\n250 ok\r\n"));
        check("250-\u{a0}\u{3000}\n250 \r\n".as_bytes(), Ok("250-\r\n250 \r\n"));
        check(b"250\r\n25", Ok("250\r\n25"));
        check("550 \u{7528}\u{6237}\r\n".as_bytes(), Ok("550 \u{7528}\u{6237}\r\n"));
        check(b"", Ok(""));
        check(&[b'2'; 2000], Err("a reply line over 1000 bytes"));
    }
}
