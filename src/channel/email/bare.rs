//! SMTP on a socket, one byte at a time: the banner, and EHLO and STARTTLS before there is TLS.
//!
//! Neighbours: `connect` calls it, then hands the stream to lettre. A part of its own because a reader that buffers
//! would keep what an attacker sent behind the reply to STARTTLS and take it for the server's word once TLS is up.
//! Here nothing is read beyond a reply's last line, so such bytes meet the TLS handshake and break it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::smtp::{Failure, Stage};

/// RFC 5321, 4.5.3.1.5 asks for 512; some servers greet at length.
pub(super) const MAX_LINE: usize = 1_000;

/// Lines of one reply.
const MAX_LINES: usize = 100;

/// A reply as it came: its code and the text of each line.
#[derive(Debug)]
pub(super) struct Reply {
    code: u16,
    lines: Vec<String>,
}

/// Reads one reply and demands its code.
pub(super) async fn expect<S: AsyncRead + Unpin>(
    stream: &mut S,
    stage: Stage,
    code: u16,
) -> Result<Reply, Failure> {
    let reply = read(stream).await.map_err(|error| Failure::transport(stage, &error.to_string()))?;
    if reply.code == code {
        return Ok(reply);
    }
    Err(Failure::reply(stage, code, reply.code, &reply.lines.join(" ")))
}

/// The dialogue up to the server's word that TLS may begin (RFC 3207).
pub(super) async fn starttls<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    helo: &str,
) -> Result<(), Failure> {
    expect(stream, Stage::Greeting, 220).await?;
    say(stream, Stage::Greeting, &format!("EHLO {helo}\r\n")).await?;
    let offered = expect(stream, Stage::Greeting, 250).await?;
    if !offered.lines.iter().skip(1).any(|line| line.trim().eq_ignore_ascii_case("STARTTLS")) {
        return Err(Failure::tls("the server does not offer STARTTLS; nothing was sent in clear"));
    }
    say(stream, Stage::Tls, "STARTTLS\r\n").await?;
    expect(stream, Stage::Tls, 220).await.map(drop)
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, stage: Stage, line: &str) -> Result<(), Failure> {
    let sent = async {
        stream.write_all(line.as_bytes()).await?;
        stream.flush().await
    };
    sent.await.map_err(|error: io::Error| Failure::transport(stage, &error.to_string()))
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Reply> {
    let (mut code, mut lines) = (None, Vec::new());
    loop {
        let line = read_line(stream).await?;
        let no_reply = || io::Error::other("a line that is no SMTP reply");
        let (digits, rest) = line.split_at_checked(3).ok_or_else(no_reply)?;
        let number: u16 = digits.parse().map_err(|_| no_reply())?;
        if !(200..600).contains(&number) || code.is_some_and(|first| first != number) {
            return Err(no_reply());
        }
        code = Some(number);
        lines.push(rest.get(1..).unwrap_or_default().to_owned());
        match rest.bytes().next() {
            None | Some(b' ') => return Ok(Reply { code: number, lines }),
            Some(b'-') if lines.len() < MAX_LINES => {}
            Some(b'-') => return Err(io::Error::other("a reply of over 100 lines")),
            Some(_) => return Err(no_reply()),
        }
    }
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => break,
            byte => line.push(byte),
        }
        if line.len() > MAX_LINE {
            return Err(io::Error::other("a reply line over 1000 bytes"));
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}
