//! The keys in use: kept while they hold, refreshed before they expire, one refresh at a time.
//!
//! Neighbours: an account has one, the client takes keys from it for each try, `obtain` fetches. A part of its own
//! because what happens when a refresh fails is decided here: the old keys serve on while they still hold.
//!
//! Decided: keys are stale when less than 15 minutes are left, or less than a quarter of their time where that is
//! shorter (a role's keys may last no longer than 15 minutes).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::obtain::{self, INSTANCE, Obtained, Search};
use super::{Credentials, CredentialsError, Provider, Surroundings};
use crate::aliyun::client::Deadline;
use crate::aliyun::redact;
use crate::aliyun::transport::broken;
use crate::engine::reading::Fault;
use crate::engine::time::{Span, Time};
use crate::secret::Forms;

/// Keys with less time left are refreshed.
const STALE: Span = Span::from_mins(15);
/// While old keys hold, they are not refreshed more often.
const PATIENCE: Span = Span::from_mins(1);
/// Without keys, a failure is not repeated sooner.
const PAUSE: Span = Span::from_secs(5);
/// A refresh takes no longer.
const LONGEST: Duration = Duration::from_secs(20);

/// Keys as they were obtained.
#[derive(Debug)]
pub struct Held {
    pub keys: Credentials,
    /// What must not be shown of them.
    pub(in crate::aliyun) forms: Arc<Forms>,
    /// Who gave them, with the shortened id.
    pub origin: String,
    /// None: they are not known to expire.
    pub expires: Option<Time>,
    fetched: Time,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Arc<Held>>,
    /// When a server was last asked.
    asked: Option<Time>,
    /// What came of it, if nothing good.
    failed: Option<Fault>,
}

/// One account's keys.
#[derive(Debug)]
pub struct Keyring {
    account: String,
    provider: Provider,
    around: Surroundings,
    state: Mutex<State>,
    turn: tokio::sync::Mutex<()>,
}

/// What to do for keys.
enum Look {
    Use(Arc<Held>),
    Fail(Fault),
    /// With what serves meanwhile.
    Ask(Option<Arc<Held>>),
}

impl Held {
    fn new(found: Obtained, now: Time) -> Self {
        let origin = found.told();
        let forms = Arc::new(redact::forms_of(&found.keys));
        Self { keys: found.keys, forms, origin, expires: found.expires, fetched: now }
    }

    fn holds(&self, now: Time) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }

    fn is_stale(&self, now: Time) -> bool {
        self.expires.is_some_and(|expires| {
            let quarter = Span::from_millis(expires.since(self.fetched).millis() / 4);
            expires.since(now) < STALE.min(quarter)
        })
    }
}

impl Keyring {
    /// Keys that need no server are fetched at once.
    ///
    /// # Errors
    /// They cannot be had, or something on this machine that the way to them rests on is wrong.
    pub fn open(account: &str, provider: Provider, around: Surroundings) -> Result<Self, CredentialsError> {
        let found = obtain::at_once(&provider, &around)?;
        // They do not expire, so when they were fetched does not matter.
        let held = found.map(|found| Arc::new(Held::new(found, Time::from_millis(0))));
        let state = Mutex::new(State { held, ..State::default() });
        Ok(Self { account: account.to_owned(), provider, around, state, turn: tokio::sync::Mutex::default() })
    }

    /// Keys at hand.
    pub(in crate::aliyun) fn holding(keys: Credentials) -> Self {
        let place = String::from("given");
        let found = Obtained { keys: keys.clone(), expires: None, origin: place.clone() };
        let held = Some(Arc::new(Held::new(found, Time::from_millis(0))));
        Self {
            account: place.clone(),
            provider: Provider::Found { keys, place },
            around: Surroundings::real(),
            state: Mutex::new(State { held, ..State::default() }),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Keys that are here already, whether they still hold or not.
    pub fn at_hand(&self) -> Option<Arc<Held>> {
        self.with(|state| state.held.clone())
    }

    /// Which place gave the keys, with the id shortened; before anyone was asked, which will be.
    pub fn origin(&self) -> String {
        match self.at_hand() {
            Some(held) => held.origin.clone(),
            None => format!("{} (not asked yet)", obtain::description(&self.provider, &self.around)),
        }
    }

    /// Keys that hold, fresh ones if it is time.
    ///
    /// # Errors
    /// There are none, or none in time.
    pub async fn keys(&self, deadline: &Deadline) -> Result<Arc<Held>, Fault> {
        let old = match self.look(deadline.now()) {
            Look::Use(held) => return Ok(held),
            Look::Fail(fault) => return Err(fault),
            Look::Ask(old) => old,
        };
        let turn = match old {
            // Somebody is at it: until then the old ones serve.
            Some(old) => match self.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(old),
            },
            None => match tokio::time::timeout(deadline.left(), self.turn.lock()).await {
                Ok(turn) => turn,
                Err(_) => return Err(broken("budget", "the keys did not come in time")),
            },
        };
        // What the one before us brought.
        let result = match self.look(deadline.now()) {
            Look::Use(held) => Ok(held),
            Look::Fail(fault) => Err(fault),
            Look::Ask(old) => match self.refresh(deadline).await {
                Ok(held) => Ok(held),
                Err(fault) => old.filter(|old| old.holds(deadline.now())).ok_or(fault),
            },
        };
        drop(turn);
        result
    }

    /// The vendor refused these keys' token: gets others, unless somebody did. Whether there are others now.
    ///
    /// # Errors
    /// None could be had; the old ones stay.
    pub async fn renew(&self, refused: &Arc<Held>, deadline: &Deadline) -> Result<bool, Fault> {
        let late = || broken("budget", "the keys did not come in time");
        let turn = tokio::time::timeout(deadline.left(), self.turn.lock()).await.map_err(|_| late())?;
        let (held, asked) = self.with(|state| (state.held.clone(), state.asked));
        let result = match held {
            Some(held) if held.keys != refused.keys => Ok(true),
            // Just fetched and refused: the next ones would be, too.
            _ if recent(asked, deadline.now(), PAUSE) => Ok(false),
            _ => self.refresh(deadline).await.map(|held| held.keys != refused.keys),
        };
        drop(turn);
        result
    }

    fn look(&self, now: Time) -> Look {
        self.with(|state| {
            let held = state.held.clone().filter(|held| held.holds(now));
            match held {
                Some(held) if !held.is_stale(now) || recent(state.asked, now, PATIENCE) => Look::Use(held),
                Some(held) => Look::Ask(Some(held)),
                None if recent(state.asked, now, PAUSE) => match state.failed.clone() {
                    Some(fault) => Look::Fail(fault),
                    None => Look::Ask(None),
                },
                None => Look::Ask(None),
            }
        })
    }

    /// Asks whom it takes; only with the turn.
    async fn refresh(&self, deadline: &Deadline) -> Result<Arc<Held>, Fault> {
        let now = deadline.now();
        let instance_gave = self.with(|state| {
            state.asked = Some(now);
            state.held.as_ref().is_some_and(|held| held.origin.contains(INSTANCE))
        });
        let within = Deadline::new(now, Span::from_std(deadline.left().min(LONGEST)));
        let search = Search { around: &self.around, deadline: &within, instance_gave };
        let found = obtain::obtain(&self.provider, &search).await;
        let found = found.and_then(|found| match found.expires {
            Some(expires) if expires <= deadline.now() => {
                let who = &found.origin;
                Err(super::refused(format!(
                    "{who}: the keys that came expired at {expires}; check this host's clock"
                )))
            }
            Some(_) | None => Ok(Arc::new(Held::new(found, deadline.now()))),
        });
        let account = self.account.as_str();
        match &found {
            Ok(held) => {
                let expires = held.expires.map(tracing::field::display);
                tracing::info!(account, keys = held.origin, expires, "keys fetched");
            }
            Err(fault) => {
                tracing::warn!(account, code = fault.code, error = fault.told(), "no fresh keys");
            }
        }
        self.with(|state| {
            state.failed = found.as_ref().err().cloned();
            if let Ok(held) = &found {
                state.held = Some(Arc::clone(held));
            }
        });
        found
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether `at` is less than `span` ago; what lies ahead is no guide after a jump of the clock.
fn recent(at: Option<Time>, now: Time, span: Span) -> bool {
    at.is_some_and(|at| (Span::ZERO..span).contains(&now.since(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[track_caller]
    fn check(lifetime: Span, stale_after: Span) {
        let start = Time::from_millis(1_000_000);
        let keys = Credentials {
            access_key_id: "id".into(),
            access_key_secret: Secret::new("s"),
            security_token: None,
        };
        let found = Obtained { keys, expires: Some(start + lifetime), origin: "x".into() };
        let held = Held::new(found, start);
        let tick = Span::from_millis(1);
        assert!(!held.is_stale(start + stale_after) && held.is_stale(start + stale_after + tick));
        assert!(held.holds(start + lifetime - tick) && !held.holds(start + lifetime));
    }

    #[test]
    fn keys_are_stale_before_they_expire() {
        check(Span::from_hours(12), Span::from_mins(705));
        check(Span::from_hours(1), Span::from_mins(45));
        check(Span::from_mins(15), Span::from_millis(675_000));
    }

    #[test]
    fn a_jump_of_the_clock_forbids_nothing() {
        let at = Time::from_millis(1_000_000);
        assert!(recent(Some(at), at, PAUSE));
        assert!(!recent(Some(at), at + PAUSE, PAUSE));
        assert!(!recent(Some(at + PAUSE), at, PAUSE));
        assert!(!recent(None, at, PAUSE));
    }
}
