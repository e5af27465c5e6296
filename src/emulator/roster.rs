//! Whom the instance knows, and what was done to them: the list of users, kicking out, switching off and on.
//!
//! Neighbours: `action` hands its calls over, counts and connections pass through [`Touched`] on their way out. A part
//! of its own because these are the actions that change what the others answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use super::action::{Instance, Moment, name_of};
use super::answer::{Node, Refusal};
use super::call::Call;
use super::population::OnlineClient;
use crate::engine::time::Time;

/// The largest page of users; the default is the metadata's.
const MOST_USERS: u32 = 100;
const USUAL_USERS: u32 = 10;

/// What became of a user by an operator's calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touched {
    disabled: bool,
    /// Connections from before this are gone.
    kicked: Option<Time>,
    /// Connections from before this were broken and came back then.
    enabled: Option<Time>,
}

impl Touched {
    /// Whether anything was done at all.
    pub(super) const fn is_any(self) -> bool {
        self.disabled || self.kicked.is_some() || self.enabled.is_some()
    }

    /// The connections that are left of those a user's habits say.
    pub(super) fn left(self, clients: Vec<OnlineClient>) -> Vec<OnlineClient> {
        if self.disabled {
            return Vec::new();
        }
        let stays = |client: &OnlineClient| self.kicked.is_none_or(|kicked| client.since > kicked);
        let back = |client: OnlineClient| OnlineClient {
            since: self.enabled.map_or(client.since, |enabled| client.since.max(enabled)),
            ..client
        };
        clients.into_iter().filter(stays).map(back).collect()
    }
}

/// A page of a list, as all of the vendor's lists are asked for.
pub(super) struct Page {
    number: u32,
    size: u32,
}

impl Page {
    pub(super) fn of(call: &Call, usual: u32, most: u32) -> Result<Self, Refusal> {
        let read = |name: &str, usual: u32, most: u32| match call.param(name) {
            None | Some("") => Ok(usual),
            Some(text) => text.parse().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
                let message = format!("The specified parameter {name} is not valid.");
                Refusal::bad(&format!("InvalidParameter.{name}"), message)
            }),
        };
        Ok(Self { number: read("PageNumber", 1, u32::MAX)?, size: read("PageSize", usual, most)? })
    }

    /// The reply's fields: numbers, and this page of `all`, each `shown`, under its two names.
    pub(super) fn reply<T>(
        &self,
        (list, one): (&'static str, &'static str),
        all: Vec<T>,
        shown: impl Fn(T) -> Node,
    ) -> Node {
        let total = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let before = (self.number as usize - 1).saturating_mul(self.size as usize);
        let items = all.into_iter().skip(before).take(self.size as usize).map(shown).collect();
        Node::Fields(vec![
            ("TotalCount", Node::Number(total)),
            ("PageNumber", Node::Number(self.number)),
            ("PageSize", Node::Number(self.size)),
            (list, Node::Fields(vec![(one, Node::Items(items))])),
        ])
    }
}

impl Instance {
    fn touched(&self) -> MutexGuard<'_, BTreeMap<String, Touched>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn touched_of(&self, name: &str) -> Touched {
        self.touched().get(name).copied().unwrap_or_default()
    }

    /// What is done to somebody without an account is answered all the same, and not remembered.
    fn touch(&self, name: String, act: impl FnOnce(&mut Touched)) {
        if self.people.habit(&name).is_some() || self.scenario.names().any(|known| known == name) {
            act(self.touched().entry(name).or_default());
        }
    }

    /// Everybody who has an account now: the population, then who is scripted beside it, by name.
    pub(super) fn roster(&self, at: Moment) -> Vec<String> {
        let beside = self.scenario.names().filter(|name| self.people.habit(name).is_none());
        let beside: BTreeSet<String> = beside.map(str::to_owned).collect();
        let all = self.people.names().chain(beside);
        all.filter(|name| self.scenario.has(name, at.since_start)).collect()
    }

    pub(super) fn client_users(&self, call: &Call, at: Moment) -> Result<(&'static str, Node), Refusal> {
        self.check_instance(call)?;
        let page = Page::of(call, USUAL_USERS, MOST_USERS)?;
        let wanted = |param: &str, value: &str| {
            call.param(param).is_none_or(|wanted| wanted.is_empty() || wanted == value)
        };
        let mail = |name: &str| format!("{name}@example.com");
        let fits = |name: &String| wanted("UserName", name) && wanted("UserMail", &mail(name));
        let all: Vec<String> = self.roster(at).into_iter().filter(fits).collect();
        let shown = |name: String| {
            Node::Fields(vec![
                ("UserMail", Node::Text(mail(&name))),
                ("ClientIp", Node::text("")),
                ("Bandwidth", Node::Number(2_000)),
                ("State", Node::Number(u32::from(self.touched_of(&name).disabled))),
                ("AccelerateBandwidth", Node::Number(0)),
                ("IsStaticIp", Node::Number(0)),
                ("UserName", Node::Text(name)),
            ])
        };
        let reply = page.reply(("Users", "User"), all, shown);
        Ok(("DescribeSmartAccessGatewayClientUsersResponse", reply))
    }

    /// This one action spells the parameter `Username`.
    pub(super) fn kick_out(&self, call: &Call, at: Moment) -> Result<(&'static str, Node), Refusal> {
        self.check_instance(call)?;
        let name = name_of(call, "Username")?.to_owned();
        self.touch(name, |touched| touched.kicked = Some(at.now));
        Ok(("KickOutClientsResponse", Node::Fields(Vec::new())))
    }

    pub(super) fn enable(&self, call: &Call, at: Moment) -> Result<(&'static str, Node), Refusal> {
        let name = self.account(call)?;
        self.touch(name, |touched| {
            if std::mem::take(&mut touched.disabled) {
                touched.enabled = Some(at.now);
            }
        });
        Ok(("EnableSmartAccessGatewayUserResponse", Node::Fields(Vec::new())))
    }

    pub(super) fn disable(&self, call: &Call) -> Result<(&'static str, Node), Refusal> {
        let name = self.account(call)?;
        self.touch(name, |touched| touched.disabled = true);
        Ok(("DisableSmartAccessGatewayUserResponse", Node::Fields(Vec::new())))
    }

    /// The user that is to be switched on or off; the vendor documents no code of its own for a name left out.
    fn account(&self, call: &Call) -> Result<String, Refusal> {
        self.check_instance(call)?;
        let name = call.param("UserName").filter(|name| !name.is_empty());
        Ok(name.ok_or_else(|| Refusal::missing("UserName"))?.to_owned())
    }
}
