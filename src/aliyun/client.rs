//! Asks the vendor: signs, waits for its turn, sends, and tries again what is worth trying, inside a deadline.
//!
//! Neighbours: `source` calls actions by it, the `api` command its single steps; `codes` says what a refusal means.
//! A part of its own because a try and what follows from its answer belong to every action alike.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::account::Account;
use super::codes::{self, Retry};
use super::credentials::{Credentials, Held};
use super::endpoint::Endpoint;
use super::headers::{LONGEST_WAIT, asked_wait, clock_skew, redirect};
use super::redact::forms_of;
use super::request::{self, Call, Prepared, Signature, Signer};
use super::transport::{self, Answer, OpenError, Options, Transport, broken};
use super::wire::{self, Envelope, Malformed};
use crate::engine::reading::{Fault, FaultClass};
use crate::engine::time::{Span, Time};

/// No call makes more tries than this, however large the budget.
const MOST_TRIES: u32 = 6;

/// When a piece of work began by the wall, and when it must be done; in between only the monotonic clock counts.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Time,
    started: Instant,
    budget: Duration,
}

impl Deadline {
    pub fn new(now: Time, budget: Span) -> Self {
        Self { began: now, started: Instant::now(), budget: budget.to_std() }
    }

    /// The wall's time now, unmoved by jumps of the clock since the beginning.
    pub fn now(&self) -> Time {
        self.began + Span::from_std(self.started.elapsed())
    }

    pub fn left(&self) -> Duration {
        self.budget.saturating_sub(self.started.elapsed())
    }
}

/// A good reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply<T> {
    pub request_id: Option<String>,
    pub fetched_at: Time,
    pub value: T,
}

/// What came of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Called<T> {
    pub result: Result<Reply<T>, Fault>,
    /// Requests that were sent.
    pub tries: u32,
    /// The vendor's clock minus ours, by the last `Date` header.
    pub skew: Option<Span>,
}

/// A failed try: what to report, whether and after how long at least to try again.
struct Failure {
    fault: Fault,
    retry: Retry,
    wait: Option<Duration>,
}

impl Failure {
    /// There are no keys to sign with; what kept them away may pass.
    fn keyless(fault: Fault) -> Self {
        let passes = match fault.class {
            FaultClass::Transport | FaultClass::Server | FaultClass::Throttled => Retry::Later,
            FaultClass::Clock
            | FaultClass::Request
            | FaultClass::Account
            | FaultClass::Permission
            | FaultClass::Credentials => Retry::Never,
        };
        Self { fault, retry: passes, wait: None }
    }
}

/// What is signed and how its reply may be told.
#[derive(Clone, Copy, Debug)]
struct Product {
    version: &'static str,
    /// Its replies hold keys and are never quoted.
    secret: bool,
}

/// Calls the actions of one endpoint with one account's keys.
#[derive(Clone, Debug)]
pub struct Client {
    account: Arc<Account>,
    endpoint: Endpoint,
    signature: Signature,
    product: Product,
    transport: Transport,
    back_off: Duration,
}

/// What the tries of one call share.
#[derive(Default)]
struct Tries {
    /// Requests that were sent.
    made: u32,
    /// Also counts those for which there were no keys.
    rounds: u32,
    skew: Option<Span>,
    /// Added to our clock where that is known to be wrong.
    shift: Span,
    at_once: bool,
    resigned: bool,
    renewed: bool,
}

impl Client {
    /// # Errors
    /// The CA file cannot be used, or the system has no roots.
    pub fn open(
        account: Arc<Account>,
        endpoint: Endpoint,
        signature: Signature,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let product = Product { version: request::VERSION, secret: false };
        Self::of_product(product, account, endpoint, signature, options)
    }

    /// A client of the Security Token Service, whose replies hold keys.
    pub(super) fn sts(
        account: Account,
        endpoint: Endpoint,
        signature: Signature,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let product = Product { version: request::STS_VERSION, secret: true };
        Self::of_product(product, Arc::new(account), endpoint, signature, options)
    }

    fn of_product(
        product: Product,
        account: Arc<Account>,
        endpoint: Endpoint,
        signature: Signature,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let transport = Transport::open(options, endpoint.is_https())?;
        Ok(Self { account, endpoint, signature, product, transport, back_off: options.back_off })
    }

    /// Whose keys it signs with.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Signs a call with a new nonce and these keys.
    pub fn prepare(
        &self,
        action: &str,
        params: &[(String, String)],
        now: Time,
        keys: &Credentials,
    ) -> Prepared {
        let forms = Arc::new(forms_of(keys));
        self.prepare_by(Signer { keys, forms: &forms }, action, &request::borrowed(params), now)
    }

    fn prepare_by(&self, by: Signer<'_>, action: &str, params: &[(&str, &str)], now: Time) -> Prepared {
        let nonce = format!("{:032x}", rand::random::<u128>());
        let call = Call { version: self.product.version, action, params, at: now, nonce: &nonce };
        request::prepare(self.signature, &self.endpoint, by, call)
    }

    /// Sends a prepared request once, when it is its turn, and gives the reply as it came, good or bad.
    ///
    /// # Errors
    /// There was no whole reply.
    pub async fn execute(&self, request: &Prepared, at_most: Duration) -> Result<Answer, Fault> {
        if !self.account.admit(at_most).await {
            return Err(out_of_budget());
        }
        self.transport.send(request, at_most).await
    }

    /// Calls an action and reads the reply's contents with `read`, trying again within the deadline.
    pub async fn call<T>(
        &self,
        action: &str,
        params: &[(String, String)],
        deadline: &Deadline,
        read: impl Fn(&[u8]) -> Result<T, Malformed>,
    ) -> Called<T> {
        let read = |body: &[u8]| Ok((wire::envelope(body)?, read(body)?));
        self.call_whole(action, &request::borrowed(params), deadline, read).await
    }

    /// The same, where `read` reads the envelope as well: replies that come by the thousand are gone through once.
    pub async fn call_whole<T>(
        &self,
        action: &str,
        params: &[(&str, &str)],
        deadline: &Deadline,
        read: impl Fn(&[u8]) -> Result<(Envelope, T), Malformed>,
    ) -> Called<T> {
        let mut tries = Tries::default();
        let mut last = None;
        let fault = loop {
            if deadline.left().is_zero() {
                break last.unwrap_or_else(out_of_budget);
            }
            tries.rounds += 1;
            let held = self.account.keys(deadline).await;
            let failure = match &held {
                Err(fault) => Failure::keyless(fault.clone()),
                Ok(held) => {
                    let asked = deadline.now();
                    if let Some(standing) = self.account.standing_refusal(held, asked) {
                        break standing;
                    }
                    if !self.account.admit(deadline.left()).await {
                        break last.unwrap_or_else(out_of_budget);
                    }
                    let now = deadline.now() + tries.shift;
                    let by = Signer { keys: &held.keys, forms: &held.forms };
                    let request = self.prepare_by(by, action, params, now);
                    let tried = self.attempt(&request, deadline, &mut tries, &read).await;
                    let fault = tried.as_ref().err().map(|failure| &failure.fault);
                    self.account.note_answer(held, fault, asked);
                    match tried {
                        Ok(reply) => {
                            return Called { result: Ok(reply), tries: tries.made, skew: tries.skew };
                        }
                        Err(failure) => failure,
                    }
                }
            };
            let (failure, again) = self.again(failure, held.ok(), &mut tries, deadline).await;
            if !again {
                break failure.fault;
            }
            last = Some(failure.fault);
        };
        Called { result: Err(with_skew(fault, tries.skew)), tries: tries.made, skew: tries.skew }
    }

    /// One try.
    async fn attempt<T>(
        &self,
        request: &Prepared,
        deadline: &Deadline,
        tries: &mut Tries,
        read: &impl Fn(&[u8]) -> Result<(Envelope, T), Malformed>,
    ) -> Result<Reply<T>, Failure> {
        tries.made += 1;
        let asked = deadline.now();
        let answer = match self.transport.send(request, deadline.left()).await {
            Ok(answer) => answer,
            Err(fault) => {
                let fault = Fault { message: request.redact(&fault.message), ..fault };
                return Err(Failure { fault, retry: Retry::Later, wait: None });
            }
        };
        let fetched_at = deadline.now();
        tries.skew = clock_skew(&answer, asked, fetched_at).or(tries.skew);
        let (request_id, value) = judge(&answer, request, read, self.product.secret)?;
        Ok(Reply { request_id, fetched_at, value })
    }

    /// Whether to try again, after what has to be done or waited for first.
    async fn again(
        &self,
        mut failure: Failure,
        held: Option<Arc<Held>>,
        tries: &mut Tries,
        deadline: &Deadline,
    ) -> (Failure, bool) {
        if failure.fault.class == FaultClass::Throttled {
            self.account.slow_down();
        }
        let again = match (failure.retry, held) {
            (Retry::Never, _) | (Retry::Renewed, None) => false,
            (Retry::AtOnce, _) => !std::mem::replace(&mut tries.at_once, true),
            (Retry::Resigned, _) => {
                let first = !std::mem::replace(&mut tries.resigned, true);
                tries.shift = tries.skew.unwrap_or_default();
                first && tries.skew.is_some()
            }
            (Retry::Renewed, Some(held)) if !std::mem::replace(&mut tries.renewed, true) => {
                match self.account.renew(&held, deadline).await {
                    Ok(changed) => changed,
                    Err(why) => {
                        let told = &mut failure.fault.message;
                        *told = format!("{told}; and no fresh keys came: {}", why.told());
                        false
                    }
                }
            }
            (Retry::Renewed, Some(_)) => false,
            (Retry::Later, _) => {
                tries.rounds < MOST_TRIES && self.pause(tries.rounds, &failure, deadline).await
            }
        };
        (failure, again)
    }

    /// Exponential back-off with full jitter, at least what the vendor asks for; false if that is too late.
    async fn pause(&self, tries: u32, failure: &Failure, deadline: &Deadline) -> bool {
        let factor = if failure.fault.class == FaultClass::Throttled { 4 } else { 1 };
        let most = self.back_off.saturating_mul(factor << tries.saturating_sub(1).min(10));
        let jittered = most.min(LONGEST_WAIT).mul_f64(rand::random::<f64>());
        let wait = jittered.max(failure.wait.unwrap_or_default());
        if wait >= deadline.left() {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }
}

fn out_of_budget() -> Fault {
    broken("budget", "the poll's budget was used up before this request's turn")
}

/// Sorts a reply: its contents, or what is wrong. An error in the body counts whatever the HTTP status says.
fn judge<T>(
    answer: &Answer,
    request: &Prepared,
    read: &impl Fn(&[u8]) -> Result<(Envelope, T), Malformed>,
    secret: bool,
) -> Result<(Option<String>, T), Failure> {
    let good = (200..300).contains(&answer.status);
    let refused = |head: &Envelope| refusal(answer, request, head.code.as_deref(), head.message.as_deref());
    match read(&answer.body) {
        Ok((head, value)) if good && head.code.is_none() => {
            Ok((head.request_id.map(|id| request.redact(&id)), value))
        }
        Ok((head, _)) => Err(refused(&head)),
        Err(why) => match wire::envelope(&answer.body) {
            Ok(head) if head.code.is_some() || !good => Err(refused(&head)),
            Err(_) if !good => Err(refused(&Envelope::default())),
            Ok(_) | Err(_) => Err(unusable(answer, request, &why, secret)),
        },
    }
}

fn unusable(answer: &Answer, request: &Prepared, why: &Malformed, secret: bool) -> Failure {
    let start = &answer.body[..answer.body.len().min(200)];
    let start = request.redact(&String::from_utf8_lossy(start));
    let quoted = if secret { String::new() } else { format!("; it starts with {start:?}") };
    let fault = broken("malformed", format!("{}: {why}{quoted}", transport::place(request)));
    Failure { fault, retry: Retry::Later, wait: None }
}

fn refusal(answer: &Answer, request: &Prepared, code: Option<&str>, message: Option<&str>) -> Failure {
    let meaning = codes::classify(code.unwrap_or_default(), answer.status);
    let said = message.unwrap_or_default();
    let same = request.same_string(said).filter(|_| code == Some("SignatureDoesNotMatch"));
    let advice = match same {
        Some(true) => "access_key_secret is wrong: both sides signed the same string",
        Some(false) => "the vendor signed another string: something on the way changes Host or parameters",
        None => meaning.advice,
    };
    let said = request.redact(said);
    let stop = if said.is_empty() || said.ends_with(['.', '!', '?', '。']) { "" } else { "." };
    let status = answer.status;
    let elsewhere = redirect(answer).map(|host| format!(" to {host}")).unwrap_or_default();
    let message = format!("{said}{stop} HTTP {status}{elsewhere}").trim_start().to_owned();
    let code = code.map_or_else(|| format!("http-{status}"), |code| request.redact(code));
    let fault = Fault { class: meaning.class, code, message, advice: Some(advice.to_owned()) };
    Failure { fault, retry: meaning.retry, wait: asked_wait(answer) }
}

/// A refusal for its time says how far the clocks are apart.
fn with_skew(mut fault: Fault, skew: Option<Span>) -> Fault {
    if let Some(skew) = skew.filter(|_| fault.class == FaultClass::Clock) {
        let seconds = skew.millis().unsigned_abs().div_ceil(1000);
        let side = if skew < Span::ZERO { "ahead of" } else { "behind" };
        fault.message = format!("{} (it is {seconds} s {side} the vendor's)", fault.message);
    }
    fault
}
