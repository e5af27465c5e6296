//! The instance's own list of its users, page by page: whole, or not at all.
//!
//! Neighbours: `aliyun` asks for each page; the agent asks for a roster when one is due. A part of its own because half
//! a list would end the alerts of everybody on the other half.

use std::collections::HashSet;
use std::sync::Arc;

use super::Inner;
use crate::aliyun::Deadline;
use crate::aliyun::wire::{self, RosterPage};
use crate::engine::reading::{Fault, FaultClass};
use crate::engine::roster::Roster;

const ACTION: &str = "DescribeSmartAccessGatewayClientUsers";
/// Users a page, as other lists of the product take; a page may hold fewer.
const PAGE: u32 = 50;
/// Users of one roster.
const MOST: u64 = 1_000_000;

/// What has come so far.
#[derive(Default)]
struct Gathered {
    roster: Roster,
    seen: HashSet<Arc<str>>,
    total: Option<u64>,
}

/// Why a list is none.
enum Broken {
    /// It changed while it was read; reading it again may do.
    Moved(&'static str),
    Fault(Fault),
}

pub(super) async fn roster(inner: &Inner, deadline: &Deadline) -> Result<Roster, Fault> {
    let mut again = true;
    loop {
        match gather(inner, deadline).await {
            Ok(roster) => return Ok(roster),
            Err(Broken::Fault(fault)) => return Err(fault),
            Err(Broken::Moved(_)) if std::mem::take(&mut again) => {}
            Err(Broken::Moved(why)) => return Err(incoherent(why.to_owned())),
        }
    }
}

fn incoherent(why: String) -> Fault {
    let message = format!("{ACTION}: {why}; the roster before it stays in force");
    Fault { class: FaultClass::Server, code: "roster".to_owned(), message, advice: None }
}

async fn gather(inner: &Inner, deadline: &Deadline) -> Result<Roster, Broken> {
    let mut gathered = Gathered::default();
    for number in 1_u32.. {
        let mut params = inner.params();
        params.push(("PageNumber".into(), number.to_string()));
        params.push(("PageSize".into(), PAGE.to_string()));
        let called = inner.client.call(ACTION, &params, deadline, wire::roster).await;
        let named = |fault: Fault| Fault { message: format!("{ACTION}: {}", fault.message), ..fault };
        let reply = called.result.map_err(|fault| Broken::Fault(named(fault)))?;
        gathered.roster.at = reply.fetched_at;
        if gathered.take(reply.value, number)? {
            break;
        }
    }
    Ok(gathered.roster)
}

impl Gathered {
    /// Takes a page; true once the list is whole.
    fn take(&mut self, page: RosterPage, number: u32) -> Result<bool, Broken> {
        let total = *self.total.get_or_insert(page.total);
        if total > MOST {
            return Err(Broken::Fault(incoherent(format!("{total} users are more than {MOST}"))));
        }
        if page.total != total {
            return Err(Broken::Moved("TotalCount changed from page to page"));
        }
        if page.number.is_some_and(|said| said != number) {
            return Err(Broken::Fault(incoherent(format!("page {number} was asked for, another one came"))));
        }
        let empty = page.users.is_empty();
        for user in page.users {
            let name: Arc<str> = user.name.into();
            if !self.seen.insert(Arc::clone(&name)) {
                return Err(Broken::Moved("a user is on two pages"));
            }
            self.roster.users.push((name, user.enabled));
        }
        match (self.roster.users.len() as u64).cmp(&total) {
            std::cmp::Ordering::Equal => Ok(true),
            std::cmp::Ordering::Less if empty => Err(Broken::Moved("pages end before TotalCount")),
            std::cmp::Ordering::Less => Ok(false),
            std::cmp::Ordering::Greater => Err(Broken::Moved("pages hold more users than TotalCount")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aliyun::wire::RosterUser;

    /// Pages written `total:names`, as in `3:a b`; the users it makes, or why it makes none.
    #[track_caller]
    fn check(pages: &[&str], expect: &str) {
        let mut gathered = Gathered::default();
        let mut said = "not whole yet".to_owned();
        for (page, number) in pages.iter().zip(1..) {
            let (total, names) = page.split_once(':').unwrap();
            let user = |name: &str| RosterUser { name: name.to_owned(), enabled: Some(true) };
            let users = names.split_whitespace().map(user).collect();
            let page = RosterPage { total: total.parse().unwrap(), number: Some(number), users };
            match gathered.take(page, number) {
                Ok(true) => said = format!("{} users", gathered.roster.users.len()),
                Ok(false) => {}
                Err(Broken::Moved(why)) => said = why.to_owned(),
                Err(Broken::Fault(fault)) => said = fault.message,
            }
        }
        assert!(said.contains(expect), "{pages:?}: {said}");
    }

    #[test]
    fn only_a_whole_list_is_a_roster() {
        check(&["0:"], "0 users");
        check(&["3:a b", "3:c"], "3 users");
        check(&["3:a b"], "not whole yet");
        check(&["3:a b", "3:"], "pages end before TotalCount");
        check(&["3:a b", "4:c d"], "TotalCount changed");
        check(&["3:a b", "3:b"], "a user is on two pages");
        check(&["1:a b"], "more users than TotalCount");
        check(&["2000000:a b"], "are more than 1000000");
    }

    #[test]
    fn a_page_that_was_not_asked_for_is_refused() {
        let page = RosterPage { total: 1, number: Some(2), users: Vec::new() };
        assert!(matches!(Gathered::default().take(page, 1), Err(Broken::Fault(_))));
    }
}
