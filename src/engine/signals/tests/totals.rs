//! Totals of groups: their checkpoints, and when they are known.
//!
//! Neighbours: `super` has the signals of single users. A part of its own because a total has members that come and go.

use super::*;

fn encoded_totals(totals: &Totals, groups: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    totals.encode(groups, &mut |piece| bytes.extend_from_slice(piece));
    bytes
}

#[test]
fn a_checkpoint_of_totals_serves_the_same_needs_and_no_others() {
    let gap = Span::from_mins(3);
    let of = |tracks: &[Track]| {
        let mut needs = Needs::default();
        tracks.iter().for_each(|track| needs.add(Signal::Total, *track, gap));
        needs
    };
    let (both, one) = (of(&TRACKS), of(&TRACKS[..1]));
    let (mut of_users, groups) = (Needs::default(), ["staff".to_owned()]);
    of_users.add_members(&both);
    let (mut users, mut totals) = (Signals::new(&of_users), Totals::new(&both));
    for seq in 0..3_u32 {
        users.observe(&online(&[1, 2]), gap.times(seq.into()), seq.into());
        totals.observe(&users, &[vec![0, 1]], true);
    }
    let total = |totals: &Totals| totals.total(0, TRACKS[0], gap);
    let bytes = encoded_totals(&totals, &groups);
    assert_eq!(total(&Totals::decode(&bytes, &both, &groups).unwrap()), Some(3));
    let fewer = Totals::decode(&bytes, &one, &groups).unwrap();
    assert_eq!((total(&fewer), fewer.total(0, TRACKS[1], gap)), (Some(3), None));
    assert!(Totals::decode(&encoded_totals(&fewer, &groups), &both, &groups).is_none(), "one of two views");
    // More than a checkpoint, with a right seal.
    let mut longer = bytes[..bytes.len() - 8].to_vec();
    longer.push(0);
    let sum = <sha2::Sha256 as sha2::Digest>::digest(&longer);
    longer.extend(&sum[..8]);
    assert!(Totals::decode(&longer, &both, &groups).is_none());
}

/// `polls` as (minute, readings of one group's three members, usable).
#[track_caller]
fn check_total(polls: &[(i64, [Reading; 3], bool)], track: Track, expect: [Option<f64>; 5]) {
    let signals =
        [Signal::Total, Signal::UsersOnline, Signal::Members, Signal::SilentTime, Signal::FailedShare];
    let gap = Span::from_mins(3);
    let (mut asked, mut of_users) = (Needs::default(), Needs::default());
    for signal in signals.into_iter().chain([Signal::Peak(Span::from_mins(5))]) {
        asked.add(signal, track, gap);
    }
    of_users.add_members(&asked);
    let (mut users, mut totals) = (Signals::new(&of_users), Totals::new(&asked));
    let groups = ["staff".to_owned()];
    for (seq, (minute, readings, usable)) in polls.iter().enumerate() {
        users.observe(readings, Span::from_mins(*minute), seq as u64);
        totals.observe(&users, &[vec![0, 1, 2]], *usable);
        totals =
            Totals::decode(&encoded_totals(&totals, &groups), &asked, &groups).expect("its own checkpoint");
    }
    assert!(Totals::decode(&encoded_totals(&totals, &groups), &asked, &["others".to_owned()]).is_none());
    let found = signals.map(|signal| {
        let mut out = [0.0];
        totals.fill(&signal, track, gap, 0..1, &mut out);
        Some(out[0]).filter(|v| !v.is_nan())
    });
    assert_eq!(found, expect, "{polls:?}");
}

#[test]
fn a_total_is_known_while_every_member_is() {
    const FAILED: Reading = Reading::FAILED;
    const ABSENT: Reading = Reading::ABSENT;
    let [zero, one, two] = [0, 1, 2].map(Reading::online);
    let (held, as_zero) = (Track::AbsentHeld, Track::AbsentZero);
    let first = (0, [zero, one, two], true);
    let minute = 60_000.0;
    check_total(&[first], held, [Some(3.0), Some(2.0), Some(3.0), Some(0.0), Some(0.0)]);
    // A member nobody asks about, such as a name the vendor refuses, is not waited for.
    check_total(
        &[first, (9, [zero, one, Reading::NOT_POLLED], true)],
        held,
        [Some(1.0), Some(1.0), Some(3.0), Some(0.0), Some(0.0)],
    );
    // A failed member counts with the last known reading for max_gap, then the total is unknown.
    let third = Some(1.0 / 3.0);
    check_total(
        &[first, (3, [zero, one, FAILED], true)],
        held,
        [Some(3.0), Some(2.0), Some(3.0), Some(0.0), third],
    );
    check_total(&[first, (4, [zero, one, FAILED], true)], held, [None, None, Some(3.0), Some(0.0), third]);
    // A failed poll tells nothing new.
    let failed = (1, [FAILED; 3], false);
    check_total(&[first, failed], held, [None, None, Some(3.0), Some(minute), Some(1.0)]);
    // Absent is held, or zero.
    let gone = (4, [zero, one, ABSENT], true);
    check_total(&[first, gone], held, [None, None, Some(3.0), Some(0.0), Some(0.0)]);
    check_total(&[first, gone], as_zero, [Some(1.0), Some(1.0), Some(3.0), Some(0.0), Some(0.0)]);
    // Nobody who was never there, or never answered for, is taken for nobody online.
    check_total(&[gone], held, [None, None, Some(3.0), Some(0.0), Some(0.0)]);
    check_total(&[gone], as_zero, [Some(1.0), Some(1.0), Some(3.0), Some(0.0), Some(0.0)]);
    check_total(&[(0, [zero, one, FAILED], true)], held, [None, None, Some(3.0), Some(0.0), third]);
    // Silence counts from the first poll on.
    check_total(
        &[(0, [FAILED; 3], false), (2, [FAILED; 3], false)],
        held,
        [None, None, Some(3.0), Some(2.0 * minute), Some(1.0)],
    );
}
