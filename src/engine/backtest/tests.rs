//! Counting by hand, and the interval by published figures.

use std::ops::Range;

use proptest::prelude::*;

use super::compare::{Concluded, Difference, Findings};
use super::report::{Coverage, Report, per_week};
use super::*;
use crate::engine::event::{Finding, SubjectKind};

const START: Time = Time::from_millis(1_795_392_000_000);

fn at(minute: i64) -> Time {
    START + Span::from_mins(minute)
}

/// Of a user, fired and ended in minutes from the start, first breach a minute before.
fn episode(user: &str, fired: i64, ended: Option<i64>) -> Episode {
    Episode {
        rule: "shared".to_owned(),
        source: "shanghai".to_owned(),
        subject: Subject { kind: SubjectKind::User, name: user.to_owned() },
        since: at(fired - 1),
        fired_at: at(fired),
        ended_at: ended.map(at),
        seen_at: at(ended.unwrap_or(fired)),
        reason: ended.map(|_| EndReason::Cleared),
        peak: Some(3),
        limit: None,
        blind: Span::ZERO,
    }
}

fn concluded(user: &str, since: i64, ended: i64, finding: Finding) -> Concluded {
    Concluded {
        episode: format!("ep_{user}{since}"),
        source: "shanghai".to_owned(),
        subject: Subject { kind: SubjectKind::User, name: user.to_owned() },
        since: at(since),
        fired_at: at(since),
        ended_at: Some(at(ended)),
        finding,
    }
}

/// All time that these tests know.
fn ever() -> Range<Time> {
    at(-1000)..at(1_000_000)
}

/// Polled for so long.
fn covered(source: &str, polled: Span) -> Coverage {
    Coverage { source: source.to_owned(), polled, usable: 1, ..Coverage::default() }
}

#[test]
fn episodes_are_counted() {
    let week = 7 * 24 * 60;
    let all = [
        episode("alice", 10, Some(20)),
        episode("alice", 30, Some(35)),
        episode("bob", week + 5, Some(week + 65)),
        Episode { seen_at: at(2 * week - 20), ..episode("carol", 2 * week - 30, None) },
        episode("early", -5, Some(90)),
    ];
    let two_weeks = covered("shanghai", Span::from_days(14));
    let report = Report::of("shared", "v1", &all, &(START..at(2 * week)), &[&two_weeks]);
    assert_eq!((report.episodes, report.subjects, report.open), (Some(4), 3, 1));
    assert_eq!((report.per_week, report.most_in_a_week), (Some(2.0), 2));
    assert_eq!(report.median_length, Some(Span::from_mins(10)), "carol's as far as it was seen");
    assert_eq!(report.longest.unwrap().subject.name, "bob");
    let top: Vec<_> = report.top.iter().map(|one| (one.subject.name.as_str(), one.episodes)).collect();
    assert_eq!(top, [("alice", 2), ("bob", 1), ("carol", 1)]);
    let nothing = Report::of("other", "v1", &all, &(START..at(week)), &[&two_weeks]);
    assert_eq!((nothing.episodes, nothing.median_length, nothing.per_week), (Some(0), None, Some(0.0)));
}

#[test]
fn weeks_are_of_polled_time() {
    let (hours, days) = (Span::from_hours, Span::from_days);
    let rate = |sources: &[(usize, Span)]| per_week(sources.iter().copied());
    assert_eq!(rate(&[(4, days(14))]), Some(2.0));
    assert_eq!(rate(&[(4, days(14)), (3, days(7))]), Some(5.0));
    assert_eq!(rate(&[(1, hours(24))]), Some(7.0));
    assert_eq!(rate(&[(1, hours(23))]), None);
    assert_eq!(rate(&[(0, hours(23))]), None);
    assert_eq!(rate(&[(4, days(14)), (1, hours(1))]), None);
    assert_eq!(rate(&[(4, days(14)), (0, hours(1))]), Some(2.0));
    assert_eq!(rate(&[]), None);
    let polled = |times: &[i64]| {
        let times = times.iter().map(|minute| at(*minute));
        Coverage::over(times, at(0), at(100), Span::from_mins(15)).polled
    };
    assert_eq!(polled(&[]), Span::ZERO);
    assert_eq!(polled(&[10, 20, 30]), Span::from_mins(30));
    assert_eq!(polled(&[10, 20, 60, 70, 85, 99]), Span::from_mins(60));
}

#[test]
fn findings_count_where_episodes_meet_them() {
    let all = [
        episode("alice", 10, Some(20)),
        episode("alice", 50, Some(60)),
        episode("bob", 10, Some(20)),
        episode("carol", 10, None),
    ];
    let of = |concluded: &[Concluded]| Findings::of(&all, concluded, &ever(), |_| true);
    let found = of(&[
        concluded("alice", 15, 55, Finding::ConfirmedSharing),
        concluded("alice", 12, 13, Finding::MultiDevice),
        concluded("bob", 20, 30, Finding::MultiDevice),
        concluded("bob", 21, 30, Finding::Compromised),
        concluded("carol", 500, 600, Finding::Unsure),
        concluded("dave", 10, 20, Finding::ConfirmedSharing),
    ]);
    // The one that was confirmed counts once, though the rule raises two in its stead.
    assert_eq!((found.confirmed, found.refuted, found.unjudged), (1, 2, 1));
    let missed: Vec<_> = found.missed.iter().map(|one| one.episode.as_str()).collect();
    assert_eq!(missed, ["ep_bob21", "ep_dave10"]);
    assert_eq!(found.precision.unwrap().n, 3);
    let within = at(14)..at(600);
    let edge = [
        concluded("alice", 13, 55, Finding::ConfirmedSharing),
        concluded("alice", 15, 16, Finding::DataError),
    ];
    let found = Findings::of(&all, &edge, &within, |_| true);
    assert_eq!((found.confirmed, found.refuted, found.unjudged), (0, 1, 0), "of what fired within");
    assert_eq!(of(&[]).precision, None, "nothing is claimed where nobody judged");
}

/// Hits of n, and the two ends of the interval to three places.
#[track_caller]
fn interval(hits: usize, n: usize, low: f64, high: f64) {
    let episodes: Vec<Episode> = (0..n).map(|i| episode(&format!("u{i}"), 10, Some(20))).collect();
    let judged: Vec<Concluded> = (0..n)
        .map(|i| {
            let finding = if i < hits { Finding::ConfirmedSharing } else { Finding::MultiDevice };
            concluded(&format!("u{i}"), 10, 20, finding)
        })
        .collect();
    let found = Findings::of(&episodes, &judged, &ever(), |_| true).precision.unwrap();
    let places = |share: f64| (share * 1000.0).round() / 1000.0;
    assert_eq!((places(found.low), places(found.high), found.n), (low, high, n), "{hits} of {n}");
}

#[test]
fn the_interval_is_wilsons() {
    interval(12, 17, 0.469, 0.867);
    interval(0, 10, 0.0, 0.278);
    interval(10, 10, 0.722, 1.0);
    interval(1, 1, 0.207, 1.0);
    interval(81, 263, 0.255, 0.366);
}

#[test]
fn versions_differ_by_episodes_that_do_not_meet() {
    let before = [episode("alice", 10, Some(20)), episode("bob", 10, Some(20)), episode("bob", 90, None)];
    let after = [episode("alice", 15, Some(40)), episode("carol", 10, None), episode("bob", 500, None)];
    let found = Difference::between(&before, &after, &ever(), |_| true);
    let names = |list: &[Episode]| list.iter().map(|one| one.subject.name.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&found.more), names(&found.fewer), (found.same, found.same_as, found.split)),
        (vec!["carol".into()], vec!["bob".into()], (2, 2, 0))
    );
    let pieces =
        [episode("alice", 10, Some(12)), episode("alice", 15, Some(17)), episode("carol", 5, Some(9))];
    let found = Difference::between(&before, &pieces, &(at(8)..at(50)), |_| true);
    assert_eq!((names(&found.more), names(&found.fewer)), (vec![], vec!["bob".into()]), "what fired within");
    assert_eq!((found.same, found.same_as, found.split), (1, 2, 1));
    assert_eq!(Difference::between(&[], &[], &ever(), |_| true), Difference::default());
}

proptest! {
    #[test]
    fn stretches_meet_as_each_two_of_them_do(
        before in prop::collection::vec((0_usize..3, 0_i64..60, prop::option::of(0_i64..20)), 0..30),
        after in prop::collection::vec((0_usize..3, 0_i64..60, prop::option::of(0_i64..20)), 0..30),
    ) {
        let episodes = |list: &[(usize, i64, Option<i64>)]| -> Vec<Episode> {
            let of = |(user, fired, long): &(usize, i64, Option<i64>)| {
                episode(["alice", "bob", "carol"][*user], *fired, long.map(|long| fired + long))
            };
            list.iter().map(of).collect()
        };
        let (before, after) = (episodes(&before), episodes(&after));
        let meets = |a: &Episode, b: &Episode| a.subject == b.subject && a.meets(b.since, b.ended_at);
        let alone = |these: &[Episode], those: &[Episode]| -> Vec<Episode> {
            these.iter().filter(|one| !those.iter().any(|other| meets(one, other))).cloned().collect()
        };
        let (more, fewer) = (alone(&after, &before), alone(&before, &after));
        let (same, same_as) = (before.len() - fewer.len(), after.len() - more.len());
        let several = |one: &&Episode| after.iter().filter(|other| meets(one, other)).count() > 1;
        let split = before.iter().filter(several).count();
        let found = Difference::between(&before, &after, &ever(), |_| true);
        prop_assert_eq!(found, Difference { more, fewer, same, same_as, split, unknown: 0 });
    }
}

#[test]
fn gaps_are_what_is_longer_than_three_intervals() {
    let mut coverage = Coverage::default();
    let longest = Span::from_mins(15);
    coverage.saw(at(0), at(15), longest);
    coverage.saw(at(15), at(31), longest);
    assert_eq!((coverage.gaps.len(), coverage.blind), (1, Span::from_mins(16)));
    coverage.close(at(31), at(0), at(40), longest);
    assert_eq!(coverage.polled, Span::from_mins(24));
}
