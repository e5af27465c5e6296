//! Servers that say back all that they hear, each caller in another way: the vendor's endpoint, a receiver of webhooks,
//! a mail server.
//!
//! Neighbours: `canaries` looks for what comes back of it. A part of its own because a secret leaks where somebody
//! else repeats it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::door::Door;
use super::http::{self, Posted};

/// Ways to say it.
const WAYS: usize = 6;

fn whole(posted: &Posted) -> String {
    let headers: String = posted.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{}\n{headers}\n{}", posted.line, String::from_utf8_lossy(&posted.body))
}

/// What a caller sent for others not to see: the URL, and headers of which the receiver knows the meaning.
fn told(posted: &Posted) -> String {
    let known = ["x-acs-security-token", "authorization", "webhook-signature", "x-aliyun-ecs-metadata-token"];
    let values = posted.headers.iter().filter(|(name, _)| known.contains(&name.as_str()));
    let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
    format!("{} {}", posted.line, values.join(" "))
}

fn response(way: usize, posted: &Posted) -> String {
    let (whole, told) = (whole(posted), told(posted));
    let (status, header, body) = match way {
        0 => (
            "403 Forbidden".to_owned(),
            String::new(),
            json!({ "Code": "SignatureDoesNotMatch", "Message": whole, "RequestId": "R" }).to_string(),
        ),
        1 => (
            "400 Bad".to_owned(),
            String::new(),
            json!({ "Code": told, "Message": "no", "RequestId": told }).to_string(),
        ),
        2 => ("200 OK".to_owned(), String::new(), whole),
        3 => (
            "401 Who".to_owned(),
            String::new(),
            format!("<Error><Code>{told}</Code><Message>{told}</Message></Error>"),
        ),
        4 => (
            "302 There".to_owned(),
            format!(
                "location: http://127.0.0.1:1/{}\r\nx-acs-request-id: {told}\r\n",
                told.replace(' ', "/")
            ),
            String::new(),
        ),
        _ => (
            format!("404 {told}"),
            format!("retry-after: {told}\r\nserver: {told}\r\n"),
            json!({ "Code": "Nothing", "Message": told }).to_string(),
        ),
    };
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{header}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// An HTTP server.
pub(crate) fn http() -> Door {
    let callers = AtomicUsize::new(0);
    Door::open(move |socket| {
        let mut socket = BufReader::new(socket);
        let Some(posted) = http::read(&mut socket) else { return };
        let way = callers.fetch_add(1, Ordering::Relaxed) % WAYS;
        let _ = socket.get_mut().write_all(response(way, &posted).as_bytes());
    })
}

/// A mail server: every other caller it lets in, and refuses the mail.
pub(crate) fn mail() -> Door {
    let callers = AtomicUsize::new(0);
    Door::open(move |socket| {
        let lets_in = callers.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        let _ = converse(socket, lets_in);
    })
}

fn converse(socket: TcpStream, lets_in: bool) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut login = String::new();
    socket.get_mut().write_all(b"220 mail.test\r\n")?;
    let mut line = String::new();
    while socket.read_line(&mut line)? > 0 {
        let said = line.trim().to_owned();
        let reply = match said.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-mail.test\r\n250 AUTH PLAIN\r\n".to_owned(),
            "AUTH" => {
                let coded = said.rsplit(' ').next().unwrap_or_default();
                let plain = BASE64_STANDARD.decode(coded).unwrap_or_default();
                let plain = String::from_utf8_lossy(&plain).replace('\0', " ");
                login = format!("{said} that is {plain}");
                let (code, word) = if lets_in { (235, "welcome") } else { (535, "never") };
                format!("{code} {word} {login}\r\n")
            }
            "MAIL" => format!("550 {login}\r\n"),
            "QUIT" => return socket.get_mut().write_all(b"221 bye\r\n"),
            _ => "250 ok\r\n".to_owned(),
        };
        socket.get_mut().write_all(reply.as_bytes())?;
        line.clear();
    }
    Ok(())
}
