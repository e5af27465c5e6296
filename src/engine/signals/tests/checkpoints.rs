//! Which checkpoints are taken for which needs, and which are refused.
//!
//! Neighbours: `super` compares what they bring back with all readings. A part of its own because these are about bytes
//! that a later start finds.

use super::*;

#[test]
fn a_checkpoint_serves_smaller_needs_and_refuses_larger_ones() {
    let mut signals = Signals::new(&needs(&[3 * MINUTE, 10 * MINUTE]));
    for minute in 0..100 {
        signals.observe(&online(&[minute / 7 % 3, 1]), Span::from_mins(i64::from(minute)), u64::from(minute));
    }
    let bytes = encoded(&signals);
    let fewer = Signals::decode(&bytes, &needs(&[10 * MINUTE])).expect("fewer gaps");
    for signal in asked() {
        let ask = |signals: &Signals| value(signals, signal, Track::AbsentZero, 10 * MINUTE, 0);
        assert_eq!(ask(&fewer), ask(&signals), "{signal}");
    }
    assert_eq!((fewer.seq(), fewer.clock()), (99, Span::from_mins(99)));
    let mut longer = Needs::default();
    longer.add(Signal::Peak(Span::from_hours(2)), Track::AbsentHeld, Span::from_mins(10));
    let mut shorter_gap = Needs::default();
    shorter_gap.add(Signal::Peak(Span::from_mins(7)), Track::AbsentHeld, Span::from_mins(1));
    let mut other_gap = Needs::default();
    other_gap.add(Signal::OnlineTime, Track::AbsentHeld, Span::from_mins(4));
    for more in [longer, shorter_gap, other_gap] {
        assert!(Signals::decode(&bytes, &more).is_none(), "{more:?}");
    }
}

fn shorten<T>(list: &mut Vec<T>) {
    list.truncate(list.len() - 1);
}

#[test]
fn columns_that_do_not_fit_each_other_are_no_checkpoint() {
    let needs = needs(&[3 * MINUTE]);
    let mut whole = Signals::new(&needs);
    for minute in 0..20 {
        whole.observe(
            &online(&[minute / 7 % 3, minute % 2, 2 - minute % 3]),
            Span::from_mins(i64::from(minute)),
            u64::from(minute),
        );
    }
    type Spoil = fn(&mut Signals);
    let wrong: [(&str, Spoil); 8] = [
        ("a reading less", |signals| signals.now = signals.now.iter().take(2).collect()),
        ("a stretch less", |signals| shorten(&mut signals.held.since)),
        ("a log less", |signals| shorten(&mut signals.held.logs)),
        ("a run's slot less", |signals| shorten(&mut signals.held.runs[0])),
        ("a gap's run less", |signals| shorten(&mut signals.held.runs)),
        ("an order of its own", |signals| signals.held.before.reverse()),
        ("nobody", |signals| signals.held.before[0].end = signals.held.before[0].first),
        ("less of the other track", |signals| shorten(&mut signals.zero.as_mut().unwrap().since)),
    ];
    assert!(Signals::decode(&encoded(&whole), &needs).is_some());
    for (what, spoil) in wrong {
        let mut spoilt = whole.clone();
        spoil(&mut spoilt);
        assert!(Signals::decode(&encoded(&spoilt), &needs).is_none(), "{what}");
    }
}
