//! A mailbox on loopback for the demo: speaks just enough SMTP to take a mail and hand it over as text.
//!
//! Neighbours: the demo alone. A part of its own because it is the other side of the channel: it shares no code with
//! the sender, so what it shows is what arrived.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedSender;

/// The longest mail it takes, in bytes.
const BIGGEST: u64 = 1 << 20;

/// Listens on a free port and sends each mail's text to `mails` until the receiver is gone.
pub(super) async fn open(mails: UnboundedSender<String>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(receive(stream, mails.clone()));
        }
    });
    Ok(address)
}

/// One dialogue (RFC 5321 §3.3); ends at QUIT or when the other side goes away.
async fn receive(stream: TcpStream, mails: UnboundedSender<String>) -> std::io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from.take(BIGGEST)).lines();
    to.write_all(b"220 demo ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let verb = line.get(..4).unwrap_or("").to_ascii_uppercase();
        let reply = match verb.as_str() {
            "EHLO" | "HELO" => "250-demo\r\n250 8BITMIME\r\n",
            "DATA" => {
                to.write_all(b"354 go on\r\n").await?;
                let mut mail = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.push('\n');
                }
                let _ = mails.send(mail);
                "250 taken\r\n"
            }
            "QUIT" => {
                to.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 ok\r\n",
        };
        to.write_all(reply.as_bytes()).await?;
    }
    Ok(())
}
