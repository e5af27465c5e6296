//! The dialogue with a mail server once the way is safe: login, sender, each recipient, the mail; every reply code
//! demanded exactly, and every other one sorted.
//!
//! Neighbours: `connect` brings the stream, lettre reads and writes, `email` sets the deadline around all of it. A
//! part of its own because only the code after the final dot means "sent", and only per recipient.

use std::error::Error as _;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::response::Response;

use super::connect::Reached;
use crate::engine::backoff::Answer;

/// Where in the dialogue something happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Connect,
    Tls,
    Greeting,
    Login,
    Sender,
    Recipient,
    Content,
    /// The mail was handed over; its receipt is awaited.
    Receipt,
}

impl Stage {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Connect => "while connecting",
            Self::Tls => "at the start of TLS",
            Self::Greeting => "at the greeting",
            Self::Login => "at the login",
            Self::Sender => "at the sender",
            Self::Recipient => "at the recipients",
            Self::Content => "at DATA",
            Self::Receipt => "after the mail was handed over; it may have been accepted",
        }
    }

    /// What a code means here: 4xx passes; 5xx before the recipients is about our settings, later about this mail.
    /// Another code than the one due is a server out of step.
    fn class(self, code: u16) -> Answer {
        match (code, self) {
            (500..=599, Self::Recipient | Self::Content | Self::Receipt) => Answer::Rejected,
            (500..=599, Self::Connect | Self::Tls | Self::Greeting | Self::Login | Self::Sender) => {
                Answer::Misconfigured
            }
            _ => Answer::Retry,
        }
    }
}

/// Why an attempt ended without a receipt.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) answer: Answer,
    pub(super) status: Option<u16>,
    pub(super) note: String,
}

impl Failure {
    pub(super) fn new(answer: Answer, status: Option<u16>, note: String) -> Self {
        Self { answer, status, note }
    }

    pub(super) fn tls(why: &str) -> Self {
        Self::new(Answer::Misconfigured, None, format!("tls: {why}"))
    }

    /// The connection failed, which says nothing about mail or settings.
    pub(super) fn transport(stage: Stage, why: &str) -> Self {
        Self::new(Answer::Retry, None, format!("connection lost {}: {why}", stage.words()))
    }

    pub(super) fn reply(stage: Stage, wanted: u16, code: u16, text: &str) -> Self {
        let place = if stage == Stage::Receipt { "after the mail" } else { stage.words() };
        Self::new(stage.class(code), Some(code), format!("{place}: wanted {wanted}, got {code} {text}"))
    }

    fn of(stage: Stage, wanted: u16, error: &Error) -> Self {
        let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        match error.status() {
            Some(code) => Self::reply(stage, wanted, code.into(), &why),
            None => Self::transport(stage, &why),
        }
    }
}

/// A receipt: who it is for, who was refused, and the connection to say goodbye on.
pub(super) struct Receipt {
    pub(super) taken: Vec<String>,
    pub(super) refused: Vec<(String, Failure)>,
    pub(super) login: &'static str,
    pub(super) words: String,
    pub(super) connection: AsyncSmtpConnection,
}

/// A mail on its way.
pub(super) struct Parcel<'a> {
    pub(super) login: Option<Credentials>,
    pub(super) from: &'a Address,
    pub(super) to: Vec<Address>,
    pub(super) mail: &'a [u8],
}

/// Hands the mail over. `stage` is kept up to date for whoever cuts this off.
pub(super) async fn deliver(
    reached: Reached,
    parcel: Parcel<'_>,
    stage: &mut Stage,
) -> Result<Receipt, Failure> {
    *stage = Stage::Greeting;
    let opened = AsyncSmtpConnection::connect_with_transport(reached.stream, &reached.helo).await;
    let mut connection = opened.map_err(|e| Failure::of(*stage, 250, &e))?;
    *stage = Stage::Login;
    let login = match parcel.login {
        Some(credentials) => log_in(&mut connection, credentials).await?,
        None => "no login",
    };
    *stage = Stage::Sender;
    let sender = Mail::new(Some(parcel.from.clone()), Vec::new());
    demand(*stage, &[250], connection.command(sender).await)?;
    *stage = Stage::Recipient;
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for address in parcel.to {
        let answer = connection.command(Rcpt::new(address.clone(), Vec::new())).await;
        // 251: not here, but forwarded.
        match demand(*stage, &[250, 251], answer) {
            Ok(_) => taken.push(address.to_string()),
            Err(failure) if failure.status.is_some_and(|code| code >= 400) => {
                refused.push((address.to_string(), failure));
            }
            Err(failure) => return Err(failure),
        }
    }
    if taken.is_empty() {
        return Err(all_refused(&refused));
    }
    *stage = Stage::Content;
    demand(*stage, &[354], connection.command(Data).await)?;
    *stage = Stage::Receipt;
    let receipt = demand(*stage, &[250], connection.message(parcel.mail).await)?;
    let words = receipt.message().collect::<Vec<_>>().join(" ");
    Ok(Receipt { taken, refused, login, words, connection })
}

async fn log_in(connection: &mut AsyncSmtpConnection, with: Credentials) -> Result<&'static str, Failure> {
    let known = [(Mechanism::Plain, "AUTH PLAIN"), (Mechanism::Login, "AUTH LOGIN")];
    let offered = known.into_iter().find(|(m, _)| connection.server_info().supports_auth_mechanism(*m));
    let Some((mechanism, name)) = offered else {
        let why = "at the login: the server offers neither AUTH PLAIN nor AUTH LOGIN";
        return Err(Failure::new(Answer::Misconfigured, None, why.to_owned()));
    };
    demand(Stage::Login, &[235], connection.auth(&[mechanism], &with).await)?;
    Ok(name)
}

/// The exact code, or why not: a positive reply of another kind is an answer to another question.
fn demand(stage: Stage, wanted: &[u16], answer: Result<Response, Error>) -> Result<Response, Failure> {
    let first = wanted.first().copied().unwrap_or(250);
    let response = answer.map_err(|error| Failure::of(stage, first, &error))?;
    let code = u16::from(response.code());
    if wanted.contains(&code) {
        return Ok(response);
    }
    let text = response.message().collect::<Vec<_>>().join(" ");
    Err(Failure::reply(stage, first, code, &text))
}

/// One passing refusal is enough to hope.
fn all_refused(refused: &[(String, Failure)]) -> Failure {
    let passing = refused.iter().any(|(_, failure)| failure.answer == Answer::Retry);
    let answer = if passing { Answer::Retry } else { Answer::Rejected };
    let status = refused.first().and_then(|(_, failure)| failure.status);
    Failure::new(answer, status, list_refused(refused))
}

pub(super) fn list_refused(refused: &[(String, Failure)]) -> String {
    let each = refused.iter().map(|(address, failure)| format!("{address} refused {}", failure.note));
    each.collect::<Vec<_>>().join("; ")
}
