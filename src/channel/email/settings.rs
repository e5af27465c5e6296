//! A `[[channel]]` of kind `email`, as far as the file alone can be checked.
//!
//! Neighbours: `config` hands over the table, `email` opens what is read here. A part of its own because what may
//! be combined (TLS, port, login, loopback) is the safety of the password.

use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;

use lettre::message::Mailbox;
use rustls::pki_types::ServerName;

use crate::channel::TIMEOUTS;
use crate::config::section::Section;
use crate::engine::time::Span;
use crate::secret::SecretRef;

/// Recipients of one channel; more is what mailing lists are for.
const MAX_RECIPIENTS: usize = 50;

/// How the connection is kept from being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tls {
    /// From the first byte (RFC 8314), port 465.
    Implicit,
    /// Demanded, never opportunistic (RFC 3207), port 587.
    StartTls,
    /// To a loopback address only, port 25.
    None,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub name: String,
    pub server: String,
    pub port: u16,
    pub tls: Tls,
    /// User name and password.
    pub login: Option<(String, SecretRef)>,
    pub from: Mailbox,
    pub to: Vec<Mailbox>,
    pub ca_file: Option<PathBuf>,
    /// Of a whole attempt.
    pub timeout: Span,
    /// What EHLO says; None: the address of our end, as RFC 5321 4.1.4 has it for hosts without a name.
    pub helo: Option<String>,
}

impl Settings {
    pub(in crate::channel) fn read(name: String, section: &mut Section<'_>) -> Option<Self> {
        let server = read_server(section);
        let kinds = [("implicit", Tls::Implicit), ("starttls", Tls::StartTls), ("none", Tls::None)];
        let tls_given = section.has("tls");
        let tls = section.choice("tls", &kinds);
        let port = section.integer("port", 1..=65535).and_then(|port| u16::try_from(port).ok());
        let login = read_login(section);
        let from = read_from(section);
        let to = read_to(section);
        let ca_file = section.path("ca_file");
        let timeout = section.duration_in("timeout", TIMEOUTS).unwrap_or(Span::from_mins(1));
        let helo = read_helo(section);
        let tls = if tls_given { tls? } else { Tls::Implicit };
        let server = server?;
        if tls == Tls::None && !is_loopback(&server) {
            let hint = "use tls = \"implicit\" or \"starttls\"; mail and password would travel readable";
            section.error_at("tls", "\"none\" is for a server on a loopback address", Some(hint));
            return None;
        }
        let port = port.unwrap_or(match tls {
            Tls::Implicit => 465,
            Tls::StartTls => 587,
            Tls::None => 25,
        });
        Some(Self { name, server, port, tls, login: login?, from: from?, to: to?, ca_file, timeout, helo })
    }

    pub(in crate::channel) fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        self.login.iter().map(|(_, password)| ("password", password)).collect()
    }
}

fn read_server(section: &mut Section<'_>) -> Option<String> {
    let server = section.required_string("server")?;
    if ServerName::try_from(server.as_str()).is_ok() {
        return Some(server);
    }
    let hint = "write the bare name or address, and the port under `port`";
    section.error_at("server", &format!("{server:?} is no host name or address"), Some(hint));
    None
}

/// The outer None is a mistake, the inner one no login.
fn read_login(section: &mut Section<'_>) -> Option<Option<(String, SecretRef)>> {
    let username = section.string("username");
    let given = section.has("password");
    match (username, section.secret("password"), given) {
        (Some(username), Some(password), _) => Some(Some((username, password))),
        (None, None, false) => Some(None),
        (Some(_), None, false) => section.missing("password"),
        (None, Some(_), _) => section.missing("username"),
        (_, None, true) => None,
    }
}

fn read_from(section: &mut Section<'_>) -> Option<Mailbox> {
    section.required_string("from")?;
    let from = section.spanned_string("from")?;
    mailbox(section, "from", from.span(), from.get_ref())
}

fn read_to(section: &mut Section<'_>) -> Option<Vec<Mailbox>> {
    let texts = section.required_strings("to");
    if texts.len() > MAX_RECIPIENTS {
        section.error_at("to", "more than 50 recipients", Some("use a mailing list, or a second channel"));
        return None;
    }
    let read = texts.iter().filter_map(|text| mailbox(section, "to", text.span(), text.get_ref()));
    let to: Vec<Mailbox> = read.collect();
    (!to.is_empty() && to.len() == texts.len()).then_some(to)
}

/// `a@b` or `Name <a@b>`. Addresses are ASCII, so that any server takes them; control characters are refused before
/// lettre sees them, for it panics on some.
fn mailbox(section: &Section<'_>, key: &'static str, span: Range<usize>, text: &str) -> Option<Mailbox> {
    let hint = "write soc@example.com or \"SOC <soc@example.com>\"; a domain beyond ASCII in its xn-- form";
    let parsed =
        if text.chars().any(char::is_control) || text.len() > 320 { None } else { text.parse().ok() };
    let parsed = parsed.filter(|mailbox: &Mailbox| mailbox.email.to_string().is_ascii());
    if parsed.is_none() {
        section.error_in(span, key, &format!("{text:?} is no mail address"), Some(hint));
    }
    parsed
}

fn read_helo(section: &mut Section<'_>) -> Option<String> {
    let helo = section.string("helo")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_[]:".contains(c);
    if !helo.is_empty() && helo.len() <= 255 && helo.chars().all(plain) {
        return Some(helo);
    }
    let hint = "write this host's full name, or leave it out";
    section.error_at("helo", &format!("{helo:?} is no host name"), Some(hint));
    None
}

/// By name or address; what a name resolves to is checked again when connecting.
fn is_loopback(server: &str) -> bool {
    let address = server.parse::<IpAddr>().map(|address| address.to_canonical().is_loopback());
    address.unwrap_or_else(|_| server.eq_ignore_ascii_case("localhost"))
}
