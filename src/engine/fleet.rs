//! Who is watched: groups, limits, exceptions.
//!
//! Neighbours: `config` gives groups and exceptions, `judge` asks which rule covers whom with which limit. A part
//! of its own because "which limit, and who says so" must have one answer for alerts, mails and commands.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use globset::GlobMatcher;

use super::event::{Deviation, Limit};
use super::rule::Rule;

/// A `[[group]]` of the rules file.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    pub users: Vec<GlobMatcher>,
    /// Only in this source, where given.
    pub source: Option<String>,
    pub limit: Option<u32>,
    pub labels: BTreeMap<String, String>,
}

/// An `[[exception]]` of the rules file: a known, owned, dated deviation for one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    pub user: String,
    pub source: Option<String>,
    pub limit: Option<u32>,
    pub reason: String,
    pub owner: String,
    /// The last day it holds, in the agent's zone.
    pub expires: NaiveDate,
}

impl Exception {
    /// How many days it still holds, today included; 0 once it has expired.
    pub fn days_left(&self, today: NaiveDate) -> i64 {
        self.expires.signed_duration_since(today).num_days().saturating_add(1).max(0)
    }
}

/// The groups and exceptions of the rules file, in its order.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    pub groups: Vec<Group>,
    pub exceptions: Vec<Exception>,
}

impl Fleet {
    /// The groups of `user` in `source`, in the file's order.
    pub fn groups_of<'a>(&'a self, source: &'a str, user: &'a str) -> impl Iterator<Item = &'a Group> {
        self.groups.iter().filter(move |group| {
            group.source.as_deref().is_none_or(|s| s == source)
                && group.users.iter().any(|g| g.is_match(user))
        })
    }

    /// The exception for `user` in `source` that still holds on `today`; one that names the source goes first.
    pub fn exception(&self, source: &str, user: &str, today: NaiveDate) -> Option<&Exception> {
        let holds = |e: &&Exception| e.user == user && e.expires >= today;
        let mut of_user = self.exceptions.iter().filter(holds);
        of_user
            .clone()
            .find(|e| e.source.as_deref() == Some(source))
            .or_else(|| of_user.find(|e| e.source.is_none()))
    }

    /// The limit of the user's own: the exception's, else the smallest of the user's groups.
    pub fn own_limit(&self, source: &str, user: &str, today: NaiveDate) -> Option<Limit> {
        let exception = self.exception(source, user, today);
        if let Some((exception, value)) = exception.and_then(|one| Some((one, one.limit?))) {
            let Exception { reason, owner, expires, .. } = exception.clone();
            let exception = Some(Box::new(Deviation { reason, owner, expires }));
            return Some(Limit { value, origin: format!("exception:{user}").into(), exception });
        }
        let groups = self.groups_of(source, user).filter_map(|g| g.limit.map(|limit| (limit, &g.name)));
        let (value, name) = groups.min_by_key(|(limit, _)| *limit)?;
        Some(Limit { value, origin: format!("group:{name}").into(), exception: None })
    }

    /// The number allowed for `user` under `rule`: the user's own limit, else the rule's.
    pub fn limit(&self, rule: &Rule, source: &str, user: &str, today: NaiveDate) -> Option<Limit> {
        let of_rule = || rule.limit.map(Limit::of_rule);
        self.own_limit(source, user, today).or_else(of_rule)
    }
}

#[cfg(test)]
mod tests {
    use globset::Glob;

    use super::*;

    fn fleet() -> Fleet {
        let group = |name: &str, glob: &str, source: Option<&str>, limit| Group {
            name: name.to_owned(),
            users: vec![Glob::new(glob).unwrap().compile_matcher()],
            source: source.map(str::to_owned),
            limit,
            labels: BTreeMap::new(),
        };
        let exception = |user: &str, source: Option<&str>, limit, expires: &str| Exception {
            user: user.to_owned(),
            source: source.map(str::to_owned),
            limit,
            reason: "shared terminal".to_owned(),
            owner: "it-ops".to_owned(),
            expires: expires.parse().unwrap(),
        };
        Fleet {
            groups: vec![
                group("staff", "*", None, Some(3)),
                group("contractors", "ext-*", None, Some(1)),
                group("beijing", "*", Some("beijing"), Some(2)),
                group("labelled", "ext-*", None, None),
            ],
            exceptions: vec![
                exception("ext-kiosk", None, Some(6), "2027-03-31"),
                exception("ext-kiosk", Some("beijing"), Some(9), "2027-03-31"),
                exception("ext-noted", None, None, "2027-03-31"),
            ],
        }
    }

    #[track_caller]
    fn check(source: &str, user: &str, today: &str, expect: &str) {
        let fleet = fleet();
        let limit = fleet.own_limit(source, user, today.parse().unwrap());
        let limit = limit.map_or_else(|| "none".to_owned(), |l| format!("{} {}", l.value, l.origin));
        assert_eq!(limit, expect, "{source}/{user} on {today}");
    }

    #[test]
    fn exceptions_go_before_the_smallest_group() {
        check("shanghai", "alice", "2027-01-01", "3 group:staff");
        check("shanghai", "ext-bob", "2027-01-01", "1 group:contractors");
        check("beijing", "alice", "2027-01-01", "2 group:beijing");
        check("shanghai", "ext-kiosk", "2027-01-01", "6 exception:ext-kiosk");
        check("beijing", "ext-kiosk", "2027-01-01", "9 exception:ext-kiosk");
        check("shanghai", "ext-noted", "2027-01-01", "1 group:contractors");
    }

    #[test]
    fn an_exception_holds_through_its_last_day() {
        check("shanghai", "ext-kiosk", "2027-03-31", "6 exception:ext-kiosk");
        check("shanghai", "ext-kiosk", "2027-04-01", "1 group:contractors");
    }
}
