//! The actions that are answered, and the two about online clients: parameters they check, errors they document.
//!
//! Neighbours: `gate` has let the request through; `population` and `scenario` know the counts, `roster` and `gateways`
//! hold the other actions. A part of its own because this is what the product's pages describe; everything around it
//! is the gateway's.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::answer::{Node, Refusal};
use super::call::Call;
use super::population::{OnlineClient, Population};
use super::roster::Touched;
use super::scenario::{CountType, Online, Scenario};
use crate::engine::time::{Span, Time};

/// The most names in one request (vendor's metadata, `maxItems`).
const MOST_NAMES: usize = 50;

/// Bytes in a name; more is refused.
const LONGEST_NAME: usize = 64;

/// What the actions know of: one instance, its people, and what the scenario says of some of them.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) people: Population,
    pub(super) scenario: Scenario,
    /// By name: what was done to users.
    pub(super) touched: Mutex<BTreeMap<String, Touched>>,
}

/// The emulator's time: now, and since the start. Both run at its speed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Time,
    pub(super) since_start: Span,
}

impl Instance {
    /// Answers by the action's name; the reply lacks only its request id.
    pub(super) fn answer(&self, call: &Call, at: Moment) -> Result<(&'static str, Node), Refusal> {
        match call.action().unwrap_or_default() {
            "DescribeUserOnlineClientStatistics" => self.statistics(call, at),
            "DescribeUserOnlineClients" => self.clients(call, at),
            "DescribeSagOnlineClientStatistics" => self.sag_statistics(call, at),
            "DescribeSmartAccessGatewayClientUsers" => self.client_users(call, at),
            "DescribeSmartAccessGateways" => self.gateways(call),
            "KickOutClients" => self.kick_out(call, at),
            "EnableSmartAccessGatewayUser" => self.enable(call, at),
            "DisableSmartAccessGatewayUser" => self.disable(call),
            _ => {
                let message = "Specified api is not found, please check your url and method.";
                Err(Refusal::new(404, "InvalidAction.NotFound", message))
            }
        }
    }

    fn statistics(&self, call: &Call, at: Moment) -> Result<(&'static str, Node), Refusal> {
        self.check_instance(call)?;
        let names = call.list("UserNames");
        if names.is_empty() {
            return Err(Refusal::bad("ClientUser.NameEmpty", "You must specify UserName."));
        }
        if names.len() > MOST_NAMES {
            let message = "The specified parameter UserNames is invalid: at most 50 names.";
            return Err(Refusal::bad("InvalidParameter.UserNames", message));
        }
        names.iter().try_for_each(|name| check_name(name))?;
        let known = names.iter().filter_map(|name| {
            let count = self.count(name, at)?;
            let count = match self.scenario.count_type {
                CountType::String => Node::text(count.to_string()),
                CountType::Number => Node::Number(count),
            };
            Some(Node::Fields(vec![("UserName", Node::text(*name)), ("OnlineCount", count)]))
        });
        let list = Node::Fields(vec![("Statistics", Node::Items(known.collect()))]);
        Ok(("DescribeUserOnlineClientStatisticsResponse", Node::Fields(vec![("UserStatistics", list)])))
    }

    fn clients(&self, call: &Call, at: Moment) -> Result<(&'static str, Node), Refusal> {
        self.check_instance(call)?;
        let name = name_of(call, "UserName")?;
        check_name(name)?;
        let online = self.online(name, at).into_iter().map(|client| {
            let since = client.since.seconds().to_string();
            Node::Fields(vec![("ClientIp", Node::Text(client.address)), ("OnlineTime", Node::Text(since))])
        });
        let list = Node::Fields(vec![("User", Node::Items(online.collect()))]);
        Ok(("DescribeUserOnlineClientsResponse", Node::Fields(vec![("Users", list)])))
    }

    pub(super) fn check_instance(&self, call: &Call) -> Result<(), Refusal> {
        call.param("RegionId")
            .filter(|region| !region.is_empty())
            .ok_or_else(|| Refusal::missing("RegionId"))?;
        match call.param("SmartAGId") {
            None | Some("") => Err(Refusal::bad("SAG.InstanceIdEmpty", "You must specify SmartAGId.")),
            Some(id) if id == self.id => Ok(()),
            Some(_) => Err(Refusal::bad("SAG.InstanceNoFound", "The specified instance is not found.")),
        }
    }

    /// What the scenario says of a user holds; else the population's habits; then what was done to the user.
    pub(super) fn count(&self, name: &str, at: Moment) -> Option<u32> {
        if !self.scenario.has(name, at.since_start) {
            return None;
        }
        let count = match self.scenario.online(name, at.since_start) {
            Some(Online::Count(count)) => count,
            Some(Online::Absent) => return None,
            None => self.people.count(name, at.now)?,
        };
        if !self.touched_of(name).is_any() {
            return Some(count);
        }
        u32::try_from(self.online(name, at).len()).ok()
    }

    fn online(&self, name: &str, at: Moment) -> Vec<OnlineClient> {
        if !self.scenario.has(name, at.since_start) {
            return Vec::new();
        }
        let start = at.now - at.since_start;
        let clients = match self.scenario.sessions(name, at.since_start) {
            Some(begun) => begun.iter().zip(1_u32..).map(|(since, n)| scripted(start + *since, n)).collect(),
            None => self.people.clients(name, at.now).unwrap_or_default(),
        };
        self.touched_of(name).left(clients)
    }
}

/// The user a request is about, by the parameter that its action calls it.
pub(super) fn name_of<'a>(call: &'a Call, param: &str) -> Result<&'a str, Refusal> {
    let given = call.param(param).filter(|name| !name.is_empty());
    given.ok_or_else(|| Refusal::bad("ClientUser.NameEmpty", format!("You must specify {param}.")))
}

fn scripted(since: Time, n: u32) -> OnlineClient {
    OnlineClient { address: format!("10.192.{}.{}", n / 256, n % 256), since }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || "_@.-".contains(c) || (!c.is_ascii() && c.is_alphabetic());
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(allowed) {
        return Err(Refusal::bad("ClientUser.NameInvalid", "The specified UserName is invalid."));
    }
    Ok(())
}
