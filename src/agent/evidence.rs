//! Connections of suspected users, asked for after a poll was fetched and before it is committed.
//!
//! Neighbours: `engine::evidence` says whose and puts the lists in place; `collect` calls it, with nothing locked that
//! tending needs. A part of its own because it may cost a few seconds at most and nothing else: whatever fails here,
//! the alert goes out without the list.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::roster::Budget;
use crate::engine::event::OnlineClient;
use crate::engine::time::Span;
use crate::engine::watch::Setup;
use crate::source::Source;

/// No longer than this is an alert held back for its evidence.
const LONGEST: Span = Span::from_secs(5);
/// Requests under way at once.
const AT_ONCE: usize = 4;

/// Connections by slot.
pub(super) type Lists = BTreeMap<u32, Vec<OnlineClient>>;

/// Whether any rule asks for lists.
pub(super) fn is_wanted(setup: &Setup) -> bool {
    setup.rules.iter().any(|rule| rule.evidence_clients)
}

/// The lists that came in time.
pub(super) async fn ask(from: &Arc<Source>, users: Vec<(u32, String)>, budget: &Budget<'_>) -> Lists {
    let most = budget.left().min(LONGEST);
    if users.is_empty() {
        return Lists::new();
    }
    let (now, asked) = (budget.now(), users.len());
    let started = std::time::Instant::now();
    let mut users = users.into_iter();
    let (mut calls, mut lists, mut last_fault) = (JoinSet::new(), Lists::new(), None);
    let timeout = tokio::time::sleep(most.to_std());
    tokio::pin!(timeout);
    loop {
        while calls.len() < AT_ONCE
            && let Some((slot, user)) = users.next()
        {
            let (from, gone) = (Arc::clone(from), Span::from_std(started.elapsed()));
            calls.spawn(async move { (slot, from.clients(&user, now + gone, most - gone).await) });
        }
        let done = tokio::select! {
            done = calls.join_next() => done,
            () = &mut timeout => None,
        };
        match done {
            Some(Ok((slot, Ok(list)))) => drop(lists.insert(slot, list)),
            Some(Ok((_, Err(fault)))) => last_fault = Some(fault),
            Some(Err(_)) => {}
            None => break,
        }
    }
    if lists.len() < asked {
        let (code, fault) = last_fault.map(|fault| (fault.code.clone(), fault.told())).unwrap_or_default();
        let missing = asked - lists.len();
        tracing::warn!(source = from.name(), missing, code, fault, "alerts go out without lists of clients");
    }
    lists
}
