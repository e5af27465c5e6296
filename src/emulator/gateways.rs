//! The instance seen from outside: how many are online in all, and its entry in the account's list of gateways.
//!
//! Neighbours: `action` hands its calls over, `roster` knows everybody who counts. A part of its own because these two
//! actions take several instances, or none, where all others take one.

use super::action::{Instance, Moment};
use super::answer::{Node, Refusal};
use super::call::Call;
use super::roster::Page;
use super::scenario::CountType;
use crate::aliyun::endpoint;

/// The most instances in one request (vendor's metadata).
const MOST_IDS: usize = 50;
/// The largest page of gateways, and the default.
const MOST_GATEWAYS: u32 = 50;
const USUAL_GATEWAYS: u32 = 10;

impl Instance {
    /// The ids asked for: none means all.
    fn wanted(&self, call: &Call) -> Result<bool, Refusal> {
        let ids = call.list("SmartAGIds");
        if ids.len() > MOST_IDS {
            let message = "The specified parameter SmartAGIds is invalid: at most 50 instances.";
            return Err(Refusal::bad("InvalidParameter.SmartAGIds", message));
        }
        Ok(ids.is_empty() || ids.contains(&self.id.as_str()))
    }

    pub(super) fn sag_statistics(&self, call: &Call, at: Moment) -> Result<(&'static str, Node), Refusal> {
        call.param("RegionId").filter(|r| !r.is_empty()).ok_or_else(|| Refusal::missing("RegionId"))?;
        let foreign = |id: &&str| *id != self.id;
        if !self.wanted(call)? || call.list("SmartAGIds").iter().any(foreign) {
            return Err(Refusal::new(403, "InvalidId.SMARTAG", "The specified SmartAGId is invalid."));
        }
        let total: u32 = self.roster(at).iter().filter_map(|name| self.count(name, at)).sum();
        let total = total.saturating_add_signed(self.scenario.total_off);
        let count = match self.scenario.count_type {
            CountType::String => Node::text(total.to_string()),
            CountType::Number => Node::Number(total),
        };
        let one = Node::Fields(vec![("SmartAGId", Node::text(&self.id)), ("OnlineCount", count)]);
        let list = Node::Fields(vec![("Statistics", Node::Items(vec![one]))]);
        Ok(("DescribeSagOnlineClientStatisticsResponse", Node::Fields(vec![("SagStatistics", list)])))
    }

    pub(super) fn gateways(&self, call: &Call) -> Result<(&'static str, Node), Refusal> {
        let region = call.param("RegionId").filter(|region| !region.is_empty());
        if region.is_some_and(|region| endpoint::known(region).is_none()) {
            return Err(Refusal::bad("InvalidRegionID", "The specified region is not valid."));
        }
        let page = Page::of(call, USUAL_GATEWAYS, MOST_GATEWAYS)?;
        let fits = |param: &str, value: &str| {
            call.param(param).is_none_or(|wanted| wanted.is_empty() || wanted.eq_ignore_ascii_case(value))
        };
        let here = self.wanted(call)?
            && fits("SmartAGId", &self.id)
            && fits("Name", "demo")
            && fits("InstanceType", "software")
            && fits("Status", "Active")
            && fits("BusinessState", "Normal");
        let seats = u32::try_from(self.people.names().count()).unwrap_or(u32::MAX);
        let gateway = |()| {
            Node::Fields(vec![
                ("SmartAGId", Node::text(&self.id)),
                ("Name", Node::text("demo")),
                ("Status", Node::text("Active")),
                ("UserCount", Node::Number(seats)),
                ("MaxBandwidth", Node::text("2000")),
                ("AssociatedCcnId", Node::text("")),
                ("HardwareVersion", Node::text("sag-app")),
            ])
        };
        let all = if here { vec![()] } else { Vec::new() };
        let reply = page.reply(("SmartAccessGateways", "SmartAccessGateway"), all, gateway);
        Ok(("DescribeSmartAccessGatewaysResponse", reply))
    }
}
