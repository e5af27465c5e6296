//! How much is kept of the past, and when it is given back.
//!
//! Neighbours: `super` compares what is told with all readings. A part of its own because nothing that is told shows how
//! much is kept.

use super::*;

#[test]
fn what_is_cut_off_has_no_value_until_the_window_has_left_it() {
    let (gap, d) = (Span::from_mins(3), Span::from_days(60));
    let mut needs = Needs::default();
    needs.add(Signal::Changes(d), Track::AbsentHeld, gap);
    let mut signals = Signals::new(&needs);
    for minute in 0..65_600_i64 {
        signals.observe(&online(&[u32::from(minute % 2 == 0)]), Span::from_mins(minute), 0);
    }
    let mut line = [Line::still(0.0)];
    signals.draw(&Signal::Changes(d), Track::AbsentHeld, gap, &[0], &mut line);
    // The first 63 minutes are cut off, or a few more; the window began before the first of all.
    let cut = Span::from_millis(signals.held.logs[0].cut());
    assert!((63..63 + log::FRESH as i64).contains(&(cut.millis() / MINUTE)), "{cut}");
    let until = cut + d - Span::from_mins(65_599);
    assert!(line[0].value.is_nan());
    assert_eq!(line[0].lasts, until.millis() as f64);
}

#[test]
fn a_slot_that_never_rests_is_told_of_exactly_or_not_at_all() {
    let (gap, month, longer) = (Span::from_mins(3), Span::from_days(28), Span::from_days(60));
    let looks =
        |d| [Signal::Changes(d), Signal::Peak(d), Signal::TimeOver(1, d), Signal::Low(d), Signal::Mean(d)];
    let mut needs = Needs::default();
    for signal in looks(month).into_iter().chain(looks(longer)) {
        needs.add(signal, Track::AbsentHeld, gap);
    }
    let mut signals = Signals::new(&needs);
    let mut minute = 0;
    let mut go = |signals: &mut Signals, until: u32, flaps: bool| {
        while minute < until {
            let count = if minute == 30_000 { 9 } else { u32::from(flaps) * (minute % 2) };
            signals.observe(&online(&[count, 1]), Span::from_mins(i64::from(minute)), u64::from(minute));
            minute += 1;
        }
    };
    let ask = |signals: &Signals, d| {
        looks(d).map(|signal| value(signals, signal, Track::AbsentHeld, gap.millis(), 0))
    };
    go(&mut signals, 65_000, true);
    let all = month.millis() as f64;
    let mean = (20_160.0 + 8.0) / 40_320.0;
    let exact = [Some(40_320.0), Some(9.0), Some(60_000.0), Some(0.0)];
    let found = ask(&signals, month);
    assert_eq!(found[..4], exact, "a month at one poll a minute");
    assert!((found[4].unwrap_or(f64::NAN) - mean).abs() < 2.0 / all * 60_000.0, "{found:?}");
    assert_eq!(ask(&signals, longer)[..2], [Some(64_999.0), Some(9.0)], "all there is");
    assert_eq!(signals.cut(), None);
    go(&mut signals, 66_000, true);
    assert_eq!(signals.cut(), Some(0));
    assert_eq!(ask(&signals, month)[0], Some(40_320.0));
    assert_eq!(ask(&signals, longer), [None; 5], "what was cut off may be among it");
    signals = Signals::decode(&encoded(&signals), &needs).expect("its own checkpoint");
    assert_eq!(ask(&signals, longer), [None; 5], "nor after a restart");
    assert_eq!(ask(&signals, month)[0], Some(40_320.0));
    go(&mut signals, 66_000 + 86_300, false);
    assert_eq!(ask(&signals, longer)[0], Some(101.0), "as soon as all that is left is known");
}

#[test]
fn all_slots_together_keep_a_bounded_list() {
    let mut needs = Needs::default();
    needs.add(Signal::Changes(Span::from_days(28)), Track::AbsentHeld, Span::from_mins(3));
    let mut signals = Signals::new(&needs);
    let counts = |minute: i64| vec![u32::from(minute % 2 == 1); 3];
    signals.observe(&online(&counts(0)), Span::ZERO, 0);
    signals.held.pieces = log::Room::default().all;
    for minute in 1..200 {
        signals.observe(&online(&counts(minute)), Span::from_mins(minute), 0);
    }
    let kept: usize = signals.held.logs.iter().map(log::Log::len).sum();
    assert_eq!(signals.held.pieces, log::Room::default().all + kept);
    assert!((3 * (65 - log::FRESH)..=3 * 64).contains(&kept), "{kept}");
}

#[test]
fn lists_of_slots_that_went_quiet_are_given_back() {
    let gap = Span::from_mins(3);
    let mut needs = Needs::default();
    needs.add(Signal::Changes(Span::from_mins(10)), Track::AbsentHeld, gap);
    let mut signals = Signals::new(&needs);
    for minute in 0..100 {
        let counts = vec![u32::from(minute == 3); 500];
        signals.observe(&online(&counts), Span::from_mins(minute), 0);
    }
    assert!(signals.held.logs.iter().all(|log| log.len() == 0));
}

#[test]
fn all_lists_are_looked_through_in_a_sixteenth_of_the_window() {
    let (gap, window) = (Span::from_mins(3), Span::from_hours(48));
    let mut needs = Needs::default();
    needs.add(Signal::Changes(window), Track::AbsentHeld, gap);
    let mut signals = Signals::new(&needs);
    let kept = |signals: &Signals| signals.held.logs.iter().filter(|log| log.len() > 0).count();
    let turn = 3 + 48 * 60;
    for minute in 0..=turn + 3 * 60 {
        let counts = vec![u32::from(minute == 3); 1000];
        signals.observe(&online(&counts), Span::from_mins(minute), 0);
        assert!(minute < 3 || minute > turn || kept(&signals) == 1000, "{minute}: the window reaches them");
    }
    assert_eq!((kept(&signals), signals.held.pieces), (0, 0));
}

#[test]
fn who_never_rests_gives_back_what_no_window_reaches() {
    let mut needs = Needs::default();
    needs.add(Signal::Changes(Span::from_mins(10)), Track::AbsentHeld, Span::from_mins(3));
    let mut signals = Signals::new(&needs);
    let mut counts = vec![1; 2000];
    for minute in 0..300 {
        counts[0] = u32::from(minute % 2 == 0);
        signals.observe(&online(&counts), Span::from_mins(minute), 0);
        // Those of the window, and what gathers until it is looked at again.
        let kept = signals.held.logs[0].len();
        assert!(kept <= 10 + 8, "{kept} at {minute}");
        assert!(kept == signals.held.pieces && (minute < 12 || kept >= 10), "{kept} at {minute}");
    }
}
