//! A mail server on a bare socket that answers the final dot as it is told to, and keeps every mail as it came.
//! Neighbours: `stage` sets it up beside the receiver of webhooks. A part of its own so that it shares no code with the
//! sender, and because the scripted servers of the other tests play for one client only.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use crate::support::door::Door;

/// Mails from the first on, each with the reply to its final dot.
#[derive(Default)]
struct Kept {
    mails: Vec<(Vec<u8>, u16)>,
    reply: u16,
}

pub(crate) struct Mailbox {
    pub(crate) port: u16,
    _door: Door,
    kept: Arc<Mutex<Kept>>,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        let kept = Arc::new(Mutex::new(Kept { reply: 250, ..Kept::default() }));
        let shared = Arc::clone(&kept);
        let door = Door::open(move |socket| talk(socket, &shared).unwrap_or_default());
        Self { port: door.port, _door: door, kept }
    }

    /// 250 takes a mail, 451 does not; 0 keeps the sender waiting. From now on.
    pub(crate) fn replies(&self, reply: u16) {
        self.kept.lock().unwrap().reply = reply;
    }

    pub(crate) fn all(&self) -> Vec<(Vec<u8>, u16)> {
        self.kept.lock().unwrap().mails.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.kept.lock().unwrap().mails.len()
    }
}

/// One dialogue (RFC 5321), to QUIT or until the other side goes away.
fn talk(socket: TcpStream, kept: &Mutex<Kept>) -> Option<()> {
    let mut socket = BufReader::new(socket);
    let say =
        |socket: &mut BufReader<TcpStream>, line: &str| socket.get_mut().write_all(line.as_bytes()).ok();
    say(&mut socket, "220 mail.test ESMTP\r\n")?;
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).ok().filter(|&read| read > 0)?;
        match line.get(..4).unwrap_or_default() {
            "EHLO" => say(&mut socket, "250-mail.test\r\n250 8BITMIME\r\n")?,
            "DATA" => {
                say(&mut socket, "354 go on\r\n")?;
                let mail = mail(&mut socket)?;
                let reply = {
                    let mut kept = kept.lock().unwrap();
                    let reply = kept.reply;
                    kept.mails.push((mail, reply));
                    reply
                };
                match reply {
                    0 => return socket.read(&mut [0]).ok().map(drop),
                    250 => say(&mut socket, "250 taken\r\n")?,
                    _ => say(&mut socket, "451 later\r\n")?,
                }
            }
            "QUIT" => return say(&mut socket, "221 bye\r\n"),
            _ => say(&mut socket, "250 ok\r\n")?,
        }
    }
}

/// Up to the final dot, as it was before dots were doubled; nothing if the sender died before it.
fn mail(socket: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut mail = Vec::new();
    loop {
        let mut line = Vec::new();
        socket.read_until(b'\n', &mut line).ok().filter(|&read| read > 0)?;
        if line == b".\r\n" {
            return Some(mail);
        }
        mail.extend(line.strip_prefix(b".").unwrap_or(&line));
    }
}
