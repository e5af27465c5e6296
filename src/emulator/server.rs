//! The emulator itself: settings, the socket, and the way of a request through gate, faults, throttle and action.
//!
//! Neighbours: all other files of this part; `cli` and tests hold an [`Emulator`]. A part of its own because it is
//! the only one that waits, locks or knows HTTP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Response, Uri};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::action::{Instance, Moment};
use super::answer::{Format, Node, Refusal};
use super::call::Call;
use super::gate::{Gate, Key};
use super::population::Population;
use super::scenario::{Kind, Scenario};
use super::sts;
use super::wire::{Cutter, Wires};
use crate::engine::time::{Span, Time};
use crate::secret::Secret;

/// The most bytes of a request body; 50 long names are a tenth of it.
const MOST_BYTES: usize = 256 * 1024;

/// How long requests under way may take after the emulator was told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Where the emulator gets the time from; real time, it applies its own speed.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// What the emulator is to be; the defaults are those of the command.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Loopback only; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Tells one population from another.
    pub seed: u64,
    /// People besides `doctest`.
    pub users: u32,
    pub instance: String,
    pub access_key_id: String,
    pub access_key_secret: Secret,
    /// Asked for on every request, if given.
    pub security_token: Option<Secret>,
    /// Above it requests are answered `Throttling.User`; 0 is no limit.
    pub requests_per_second: u32,
    /// How many seconds pass for people and scenario in one real second. Signatures go by real time.
    pub speed: f64,
    pub scenario: Scenario,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 18_080)),
            seed: 42,
            users: 200,
            instance: "sag-demo".to_owned(),
            access_key_id: "testid".to_owned(),
            access_key_secret: Secret::new("testsecret"),
            security_token: None,
            requests_per_second: 0,
            speed: 1.0,
            scenario: Scenario::default(),
        }
    }
}

/// A bound socket and what will be answered on it.
pub struct Emulator {
    listener: StdListener,
    state: Arc<Desk>,
}

/// What all requests share.
struct Desk {
    instance: Instance,
    gate: Mutex<Gate>,
    throttle: Mutex<Throttle>,
    requests: AtomicU64,
    clock: Clock,
    start: Time,
    speed: f64,
    seed: u64,
}

impl Emulator {
    /// Takes the address at once, so that clients may connect before [`Self::serve`] runs. `start` is when the
    /// scenario begins; `clock` is asked at each request.
    ///
    /// # Errors
    /// The address is not a loopback address (the keys are public), is taken, or `speed` is not a positive number.
    pub fn bind(settings: Settings, start: Time, clock: Clock) -> io::Result<(SocketAddr, Self)> {
        let refuse = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        if !settings.listen.ip().is_loopback() {
            let given = settings.listen;
            return refuse(format!(
                "the emulator listens on loopback only, not on {given}: use 127.0.0.1:PORT"
            ));
        }
        if !(settings.speed.is_finite() && settings.speed > 0.0) {
            return refuse(format!("speed is a positive number, not {}", settings.speed));
        }
        let listener = StdListener::bind(settings.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((address, Self { listener, state: Arc::new(Desk::new(settings, start, clock)) }))
    }

    /// Answers until `shutdown` is ready, then at most two seconds longer for requests under way.
    ///
    /// # Errors
    /// The socket could not be handed to the runtime.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        let listener = Wires(TcpListener::from_std(self.listener)?);
        let routes =
            Router::new().fallback(handle).layer(DefaultBodyLimit::max(MOST_BYTES)).with_state(self.state);
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let serve = axum::serve(listener, routes.into_make_service_with_connect_info::<Cutter>())
            .with_graceful_shutdown(async move { stopped.notified().await });
        let told = async {
            shutdown.await;
            stop.notify_one();
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            result = async { serve.await } => result,
            () = told => Ok(()),
        }
    }
}

impl Desk {
    fn new(settings: Settings, start: Time, clock: Clock) -> Self {
        // The token is judged in real time, the rest of the scenario at the emulator's speed.
        let token_expires = settings.scenario.token_expires.map(|span| start + span);
        let people = Population::new(settings.seed, settings.users);
        let gate = Gate::new(Key {
            id: settings.access_key_id,
            secret: settings.access_key_secret,
            token: settings.security_token,
            expires: token_expires,
        });
        Self {
            instance: Instance {
                id: settings.instance,
                people,
                scenario: settings.scenario,
                touched: Mutex::default(),
            },
            gate: Mutex::new(gate),
            throttle: Mutex::new(Throttle::new(settings.requests_per_second, start)),
            requests: AtomicU64::new(0),
            clock,
            start,
            speed: settings.speed,
            seed: settings.seed,
        }
    }

    /// An upper-case UUID, as the vendor's are; another one for each request of each run.
    fn request_id(&self) -> String {
        let n = self.requests.fetch_add(1, Ordering::Relaxed);
        let run = self.seed ^ self.start.millis().cast_unsigned().rotate_left(20);
        let bits =
            run.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(n.wrapping_mul(0xD134_2543_DE82_EF95));
        let (a, b, c) = (bits >> 32, (bits >> 16) & 0xFFFF, bits & 0xFFF);
        format!("{a:08X}-{b:04X}-4{c:03X}-8{:03X}-{:012X}", (bits >> 12) & 0xFFF, n & 0xFFFF_FFFF_FFFF)
    }

    fn moment(&self, now: Time) -> Moment {
        let real = now.since(self.start).millis();
        let since_start =
            if (self.speed - 1.0).abs() < f64::EPSILON { real } else { (real as f64 * self.speed) as i64 };
        Moment {
            now: self.start + Span::from_millis(since_start),
            since_start: Span::from_millis(since_start),
        }
    }

    /// Everything but waiting: the reply, and the fault that is to spoil it.
    fn answer(&self, call: &Call, now: Time) -> (Result<(&'static str, Node), Refusal>, Option<Kind>) {
        let at = self.moment(now);
        let fault = self.instance.scenario.fault(call, at.since_start).map(|fault| fault.kind.clone());
        if let Some(Kind::Refuse(refusal)) = fault {
            return (Err(refusal), None);
        }
        let checked = self.gate.lock().unwrap_or_else(PoisonError::into_inner).check(call, now);
        let granted =
            checked.and_then(|()| self.throttle.lock().unwrap_or_else(PoisonError::into_inner).take(now));
        let answer = granted.and_then(|()| {
            if !sts::answers(call) {
                return self.instance.answer(call, at);
            }
            // As signatures, keys go by real time.
            let (key, reply) = sts::issue(call, now)?;
            self.gate.lock().unwrap_or_else(PoisonError::into_inner).issue(key);
            Ok(reply)
        });
        (answer, fault)
    }
}

async fn handle(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let lossy = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let pairs =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), lossy(value.as_bytes()))).collect();
    let call = Call::new(method.as_str(), uri.path(), uri.query().unwrap_or_default(), pairs, body.to_vec());
    let now = (desk.clock)();
    let (reply, fault) = desk.answer(&call, now);
    let reply = Reply::new(&call, reply, desk.request_id(), now);
    tracing::debug!(action = call.action(), status = reply.status, request = reply.request_id, "answered");
    match fault {
        Some(Kind::Drop) => {
            cutter.cut();
            reply.send()
        }
        Some(Kind::Delay(span)) => {
            tokio::time::sleep(span.to_std()).await;
            reply.send()
        }
        Some(Kind::Status(status)) => {
            let body = format!("<html><body><h1>{status}</h1></body></html>");
            Reply { status, content_type: "text/html", body, ..reply }.send()
        }
        Some(Kind::Garbage(Some(text))) => Reply { status: 200, body: text.to_owned(), ..reply }.send(),
        Some(Kind::Garbage(None)) => {
            let half = reply.body.chars().take(reply.body.chars().count() / 2).collect();
            Reply { status: 200, body: half, ..reply }.send()
        }
        Some(Kind::Refuse(_)) | None => reply.send(),
    }
}

struct Reply {
    status: u16,
    content_type: &'static str,
    body: String,
    request_id: String,
    retry_after_ms: Option<u64>,
    now: Time,
}

impl Reply {
    fn new(call: &Call, answer: Result<(&str, Node), Refusal>, request_id: String, now: Time) -> Self {
        let format: Format = call.format();
        let host = call.header("host").unwrap_or_default();
        let (status, root, node, retry_after_ms) = match answer {
            Ok((root, Node::Fields(mut fields))) => {
                fields.insert(0, ("RequestId", Node::text(&request_id)));
                (200, root, Node::Fields(fields), None)
            }
            Ok((root, node)) => (200, root, node, None),
            Err(refusal) => {
                (refusal.status, "Error", refusal.node(&request_id, host), refusal.retry_after_ms)
            }
        };
        let (content_type, body) = (format.content_type(), format.write(root, &node));
        Self { status, content_type, body, request_id, retry_after_ms, now }
    }

    fn send(self) -> Response<Body> {
        // The Date header is our clock's, not the machine's: clients measure their skew by it.
        let date =
            httpdate::fmt_http_date(std::time::UNIX_EPOCH + self.now.since(Time::from_millis(0)).to_std());
        let mut response = Response::builder()
            .status(self.status)
            .header("content-type", self.content_type)
            .header("date", date)
            .header("x-acs-request-id", self.request_id);
        if let Some(millis) = self.retry_after_ms {
            response = response.header("x-acs-retry-after", millis.to_string());
        }
        // Every header is ASCII of our own making; should one be refused, an empty reply says so.
        response.body(Body::from(self.body)).unwrap_or_default()
    }
}

/// A bucket of one second's requests, refilled steadily.
struct Throttle {
    per_second: u32,
    /// Thousandths of a request that may be made now.
    left: u64,
    filled: Time,
}

impl Throttle {
    fn new(per_second: u32, now: Time) -> Self {
        Self { per_second, left: u64::from(per_second) * 1_000, filled: now }
    }

    fn take(&mut self, now: Time) -> Result<(), Refusal> {
        if self.per_second == 0 {
            return Ok(());
        }
        let rate = u64::from(self.per_second);
        let passed = now.since(self.filled).millis().clamp(0, 1_000).unsigned_abs();
        self.left = (self.left + passed * rate).min(rate * 1_000);
        self.filled = now;
        match self.left.checked_sub(1_000) {
            Some(left) => self.left = left,
            None => return Err(Refusal::throttled((1_000 - self.left).div_ceil(rate))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_throttle_gives_a_second_of_requests_and_says_when_the_next_is_due() {
        let at = Time::from_millis;
        let mut throttle = Throttle::new(4, at(0));
        let asked: Vec<_> = (0..5).map(|_| throttle.take(at(0)).map_err(|r| r.retry_after_ms)).collect();
        assert_eq!(asked, [Ok(()), Ok(()), Ok(()), Ok(()), Err(Some(250))]);
        assert_eq!(throttle.take(at(100)).map_err(|r| r.retry_after_ms), Err(Some(150)));
        assert!(throttle.take(at(250)).is_ok());
        assert!(throttle.take(at(251)).is_err());
    }

    #[test]
    fn only_loopback_and_only_forwards() {
        let clock: Clock = Arc::new(|| Time::from_millis(0));
        let bind =
            |settings| Emulator::bind(settings, Time::from_millis(0), Arc::clone(&clock)).map(|(at, _)| at);
        let listen = "0.0.0.0:0".parse().unwrap();
        let error = bind(Settings { listen, ..Settings::default() }).unwrap_err().to_string();
        assert!(error.contains("loopback only") && error.contains("0.0.0.0:0"), "{error}");
        let listen = "127.0.0.1:0".parse().unwrap();
        assert!(bind(Settings { listen, speed: 0.0, ..Settings::default() }).is_err());
        assert!(bind(Settings { listen, ..Settings::default() }).unwrap().port() > 0);
    }
}
