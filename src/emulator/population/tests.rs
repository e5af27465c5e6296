//! Who the made-up people are, how they spread over habits, and that the same seed has the same people.
//! The tail of `population`, kept apart for its length.

use super::*;
use crate::engine::time::Span;
use std::collections::{BTreeMap, HashSet};

/// A Monday, 00:00 in China.
fn monday() -> Time {
    "2026-11-23T00:00:00+08:00".parse().unwrap()
}

#[test]
fn the_same_question_has_the_same_answer() {
    let (one, same, other) = (Population::new(42, 500), Population::new(42, 900), Population::new(43, 500));
    let at = monday() + Span::from_hours(10);
    let counts = |people: &Population| (0..=500).map(|i| people.count_of(i, at)).collect::<Vec<_>>();
    assert_eq!(counts(&one), counts(&same), "more users change nothing for the others");
    assert_ne!(counts(&one), counts(&other));
    let later = counts(&one);
    let _ = one.count_of(7, at + Span::from_days(400));
    assert_eq!(counts(&one), later, "no question changes another's answer");
}

#[test]
fn names_are_those_that_are_there() {
    let people = Population::new(42, 12_000);
    let known = |name: &str| people.count(name, monday()).is_some();
    for name in ["user-0001", "user-9999", "user-12000", DOCTEST] {
        assert!(known(name), "{name}");
    }
    for name in
        ["user-0000", "user-1", "user-00001", "user-12001", "user-", "User-0001", "user-+001", "alice", ""]
    {
        assert!(!known(name), "{name}");
    }
    assert_eq!(people.names().count(), 12_001);
    assert!(people.names().all(|name| known(&name)));
}

#[test]
fn each_kind_of_person_has_its_share() {
    for (users, slack) in [(200, 0.006), (10_000, 0.002)] {
        let people = Population::new(42, users);
        let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
        for name in people.names().filter(|name| name != DOCTEST) {
            *kinds.entry(people.habit(&name).unwrap()).or_default() += 1;
        }
        let shares = [
            ("office", 0.62),
            ("remote", 0.14),
            ("always-on", 0.09),
            ("sharer", 0.01),
            ("flapping", 0.025),
            ("dormant", 0.115),
        ];
        for (kind, share) in shares {
            let got = f64::from(*kinds.get(kind).unwrap_or(&0)) / f64::from(users);
            assert!((got - share).abs() <= slack, "{kind} of {users}: {got}, not {share}");
        }
    }
}

/// The week as a whole: how often each count is seen and how often counts change, against the figures of the trace
/// that the design's sizes rest on (zero 73.6 %, one 23.5 %, two 2.5 %, three and more 0.36 %, 0.7 % changes a minute).
#[test]
fn a_week_looks_like_a_week() {
    let people = Population::new(42, 400);
    let (mut seen, mut changes, mut samples) = ([0_u32; 4], 0_u32, 0_u32);
    for user in 1..=400 {
        let mut before = people.count_of(user, monday());
        for minute in 1..7 * 1_440 {
            let now = people.count_of(user, monday() + Span::from_mins(minute));
            seen[now.min(3) as usize] += 1;
            changes += u32::from(now != before);
            samples += 1;
            before = now;
        }
    }
    let share = |n: u32| f64::from(n) / f64::from(samples);
    let figures = (seen.map(share), share(changes));
    assert!((0.68..0.80).contains(&share(seen[0])), "{figures:?}");
    assert!((0.17..0.28).contains(&share(seen[1])), "{figures:?}");
    assert!((0.012..0.04).contains(&share(seen[2])), "{figures:?}");
    assert!((0.001..0.007).contains(&share(seen[3])), "{figures:?}");
    assert!((0.004..0.010).contains(&share(changes)), "{figures:?}");
}

#[test]
fn only_sharers_ever_have_more_than_two_clients() {
    let people = Population::new(42, 2_000);
    let mut most: BTreeMap<&str, u32> = BTreeMap::new();
    for user in 1..=2_000 {
        let kind = people.habit(&name_of(user)).unwrap();
        for step in 0..7 * 24 * 4 {
            let count = people.count_of(user, monday() + Span::from_mins(step * 15));
            let peak = most.entry(kind).or_default();
            *peak = count.max(*peak);
        }
    }
    assert_eq!((most["always-on"], most["flapping"]), (1, 1));
    assert_eq!((most["office"], most["remote"]), (2, 2));
    assert!((4..=8).contains(&most["sharer"]), "{most:?}");
}

#[test]
fn people_are_away_for_days() {
    let people = Population::new(42, 300);
    let mut longest = Vec::new();
    for user in (1..=300).filter(|&user| people.habit(&name_of(user)) == Some("remote")) {
        let is_on = |day: i64| {
            (0..288).any(|n| people.count_of(user, monday() + Span::from_mins(day * 1_440 + n * 5)) > 0)
        };
        let (mut run, mut most) = (0, 0);
        for day in 0..60 {
            run = if is_on(day) { 0 } else { run + 1 };
            most = run.max(most);
        }
        longest.push(most);
    }
    let away = longest.iter().filter(|&&days| days >= 5).count();
    assert!(away * 4 > longest.len() && away < longest.len(), "{longest:?}");
}

#[test]
fn the_list_of_clients_agrees_with_the_count() {
    let people = Population::new(42, 300);
    let mut seen = 0;
    for name in people.names() {
        for hour in [9, 11, 15, 20, 30] {
            let at = monday() + Span::from_hours(hour) + Span::from_secs(17);
            let clients = people.clients(&name, at).unwrap();
            assert_eq!(Some(u32::try_from(clients.len()).unwrap()), people.count(&name, at), "{name}");
            let addresses: HashSet<_> = clients.iter().map(|client| &client.address).collect();
            assert_eq!(addresses.len(), clients.len(), "{name}: {clients:?}");
            for client in &clients {
                assert!(
                    client.since <= at && at.since(client.since) < Span::from_days(2),
                    "{name}: {client:?}"
                );
                let again = people.clients(&name, client.since).unwrap();
                assert!(
                    again.contains(client),
                    "{name}: a session begins where it says, {client:?} in {again:?}"
                );
                let before = people.clients(&name, client.since - Span::from_mins(1)).unwrap();
                assert!(before.iter().all(|other| other.address != client.address), "{name}: {before:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 300, "{seen}");
    assert_eq!(people.clients("alice", monday()), None);
}
