//! E-mail: one mail to a list of mailboxes, over TLS, with the answer for each recipient recorded.
//!
//! Neighbours: `mime` and `html` make what is stored (the whole mail; nothing is added per attempt), `connect`,
//! `bare`, `lines` and `smtp` send it. A part of its own so that opening, limits and the one deadline stand together.

mod bare;
mod connect;
mod html;
mod lines;
mod mime;
mod settings;
mod smtp;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use tokio::io::{AsyncRead, AsyncWrite};

use self::connect::{Reached, Route};
use self::smtp::{Failure, Parcel, Receipt, Stage};
use super::note::Hidden;
use super::{Delivery, Letter, OpenError, tls};
use crate::engine::backoff::Answer;
use crate::engine::message::Message;
use crate::engine::notify::Notice;
use crate::engine::time::{Span, Time};
use crate::net::Resolver;
use crate::secret::Secret;

pub use settings::{Settings, Tls};

/// How long goodbye may take; the mail is delivered whatever comes of it.
const QUIT: Duration = Duration::from_millis(200);

/// A mail channel with its password and roots loaded.
#[derive(Clone)]
pub struct Email {
    route: Route,
    login: Option<(String, Secret)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
    hidden: Hidden,
}

impl Email {
    pub(super) fn open(settings: &Settings) -> Result<Self, OpenError> {
        let fail = |key, message: String| OpenError { channel: settings.name.clone(), key, message };
        let mut hidden = Hidden::default();
        let mut login = None;
        if let Some((username, reference)) = &settings.login {
            let password = reference.resolve().map_err(|e| fail("password", e.to_string()))?;
            hidden.add(password.expose());
            hidden.add(&format!("\0{username}\0{}", password.expose()));
            login = Some((username.clone(), password));
        }
        let config = match settings.tls {
            Tls::Implicit | Tls::StartTls => tls::verified(settings.ca_file.as_deref()),
            Tls::None => tls::unused(),
        };
        let route = Route {
            server: settings.server.clone(),
            port: settings.port,
            tls: settings.tls,
            helo: settings.helo.clone(),
            config: Arc::new(config.map_err(|e| fail("ca_file", e.to_string()))?),
            resolver: Resolver::new(),
        };
        let (from, to) = (settings.from.clone(), settings.to.clone());
        Ok(Self { route, login, from, to, timeout: settings.timeout.to_std(), hidden })
    }

    pub(super) fn payload(&self, notice: &Notice, message: &Message, now: Time) -> Vec<u8> {
        mime::render(&self.from, &self.to, notice, message, now)
    }

    pub(super) async fn send(&self, letter: &Letter) -> Delivery {
        let Some(parcel) = self.parcel(letter) else { return self.had(letter) };
        let mut stage = Stage::Connect;
        let attempt = async {
            let reached = self.route.reach(self.timeout, &mut stage).await?;
            hand_over(reached, parcel, &mut stage).await
        };
        // One deadline around everything: lettre's own bounds the connection only, or each read.
        let outcome = tokio::time::timeout(self.timeout, attempt).await;
        self.judge(letter, outcome.ok(), stage).await
    }

    /// As a send, over a connection that is there already and has the loopback at both ends.
    pub async fn send_over<S>(&self, connection: S, letter: &Letter) -> Delivery
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug + 'static,
    {
        let Some(parcel) = self.parcel(letter) else { return self.had(letter) };
        let mut stage = Stage::Connect;
        let end = SocketAddr::from((Ipv4Addr::LOCALHOST, self.route.port));
        let attempt = async {
            let reached = self.route.greet(connection, end.ip(), end, &mut stage).await?;
            hand_over(reached, parcel, &mut stage).await
        };
        let outcome = tokio::time::timeout(self.timeout, attempt).await;
        self.judge(letter, outcome.ok(), stage).await
    }

    /// The mail for those who have not had it yet; None if everybody has.
    fn parcel<'a>(&'a self, letter: &'a Letter) -> Option<Parcel<'a>> {
        let to = self.to.iter().map(|mailbox| mailbox.email.clone());
        let may = |address: &String| letter.only.as_ref().is_none_or(|only| only.contains(address));
        let asked = |address: String| !letter.accepted.contains(&address) && may(&address);
        let to: Vec<_> = to.filter(|address| asked(address.to_string())).collect();
        let login =
            self.login.as_ref().map(|(name, word)| Credentials::new(name.clone(), word.expose().to_owned()));
        (!to.is_empty()).then(|| Parcel { login, from: &self.from.email, to, mail: &letter.payload })
    }

    fn had(&self, letter: &Letter) -> Delivery {
        self.report(letter, Answer::Sent, None, "every recipient had it already", &[])
    }

    /// `outcome` is None if the deadline passed at `stage`.
    async fn judge(
        &self,
        letter: &Letter,
        outcome: Option<Result<(&'static str, Receipt), Failure>>,
        stage: Stage,
    ) -> Delivery {
        match outcome {
            Some(Ok((way, receipt))) => self.received(letter, way, receipt).await,
            Some(Err(failure)) => self.report(letter, failure.answer, failure.status, &failure.note, &[]),
            None => {
                let note = format!("no answer within {} {}", Span::from_std(self.timeout), stage.words());
                self.report(letter, Answer::Retry, None, &note, &[])
            }
        }
    }

    async fn received(&self, letter: &Letter, way: &str, receipt: Receipt) -> Delivery {
        let Receipt { taken, refused, login, words, mut connection } = receipt;
        // The receipt stands, whatever the answer to goodbye is.
        let _ = tokio::time::timeout(QUIT, connection.quit()).await;
        let passing = refused.iter().any(|(_, failure)| failure.answer == Answer::Retry);
        let (answer, status) = match refused.first() {
            None => (Answer::Sent, Some(250)),
            Some((_, failure)) if !passing => (Answer::Rejected, failure.status),
            Some((_, failure)) => (Answer::Retry, failure.status),
        };
        let all = taken.len() + refused.len();
        let mut note = format!("{way}, {login}, taken for {} of {all}: 250 {words}", taken.len());
        if !refused.is_empty() {
            note = format!("{}; {note}", smtp::list_refused(&refused));
        }
        self.report(letter, answer, status, &note, &taken)
    }

    fn report(
        &self,
        letter: &Letter,
        answer: Answer,
        status: Option<u16>,
        note: &str,
        taken: &[String],
    ) -> Delivery {
        let mut accepted = letter.accepted.clone();
        accepted.extend_from_slice(taken);
        let note = self.hidden.note(&format!("{}:{} {note}", self.route.server, self.route.port));
        Delivery { answer, status, note, accepted, retry_after: None }
    }
}

async fn hand_over(
    reached: Reached,
    parcel: Parcel<'_>,
    stage: &mut Stage,
) -> Result<(&'static str, Receipt), Failure> {
    let way = reached.way;
    Ok((way, smtp::deliver(reached, parcel, stage).await?))
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Email({}:{})", self.route.server, self.route.port)
    }
}
