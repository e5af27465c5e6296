//! What a rule says of one subject at the poll that was judged last, for people who ask.
//!
//! Neighbours: `verdict` decides the same for `judge`, over columns; tests of rules and `why` look here. A part of its
//! own because judging passes over whatever cannot change anything, and a person asks about just that.

use super::event::{Limit, Subject};
use super::lang::Part;
use super::outcome::Alert;
use super::plan::Plan;
use super::reading::{Poll, Reading};
use super::verdict::{self, Judged};
use super::watch::Watch;

/// One subject of one rule, after a poll was taken in.
#[derive(Clone, PartialEq, Debug)]
pub struct Look {
    /// What the poll said; for a group or a source its total, or *failed* where it has none.
    pub reading: Reading,
    /// Of a total without a value: how many members have no reading that counts.
    pub missing: Option<usize>,
    pub judged: Judged,
    /// Where the rule names a limit.
    pub limit: Option<Limit>,
    pub alert: Alert,
    /// What `when` is made of, with values.
    pub when: Vec<Part>,
    /// The same of `clear_when`, where the rule has one.
    pub clear_when: Vec<Part>,
    /// Whether the poll told the rule anything new; if not, the verdict is unknown whatever the values are.
    pub tells: bool,
    /// The verdict is a breach because the subject was absent, whatever the values are.
    pub absent_breach: bool,
}

impl Judged {
    /// For people: `breach`, `clear`, `between`, `unknown`, `outside` (the window), `not covered`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Inside(verdict) => verdict.word(),
            Self::Outside(_) => "outside",
            Self::LeftScope => "not covered",
        }
    }
}

impl Watch {
    /// What `rule` says of `subject` after `poll` was judged. None if there is no such rule or subject here.
    pub fn look(&self, rule: &str, subject: &Subject, poll: &Poll) -> Option<Look> {
        let plan = self.plan(rule)?;
        let index = plan.index_of(subject, &self.names)?;
        let inside = plan.inside(poll.at);
        Some(Look {
            reading: plan.reading(index, &self.signals),
            missing: plan.missing(index, &self.signals),
            judged: verdict::one(self, plan, index, inside),
            limit: self.limit(plan, index),
            alert: plan.alerts.get(&index).map(|alert| Alert::clone(alert)).unwrap_or_default(),
            when: verdict::explain(self, plan, &plan.rule.when, index),
            clear_when: plan
                .rule
                .clear_when
                .as_ref()
                .map_or_else(Vec::new, |program| verdict::explain(self, plan, program, index)),
            tells: verdict::tells(self, plan, index),
            absent_breach: verdict::absent_breach(self, plan, index),
        })
    }

    /// The alert of `rule` about `subject`, where one is kept.
    pub(super) fn alert(&self, rule: &str, subject: &Subject) -> Option<&Alert> {
        let plan = self.plan(rule)?;
        plan.alerts.get(&plan.index_of(subject, &self.names)?).map(AsRef::as_ref)
    }

    pub(super) fn plan(&self, rule: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.rule.name == rule)
    }
}
