//! Random timelines of one alert, told a second time by a function that looks at all polls so far each time.
//!
//! Neighbours: `mod` has the examples. A part of its own because the slow telling must share nothing with what it checks.

use proptest::prelude::*;

use super::*;

/// One poll of a random timeline.
#[derive(Clone, Debug)]
struct Poll {
    verdict: Verdict,
    hole: bool,
    minutes: i64,
    restart: bool,
}

/// The slow telling: looks at all polls so far each time, and remembers only when an episode fired or ended.
fn slow_telling(timeline: &[Poll], policy: &Policy) -> Vec<(usize, EventKind)> {
    let (mut events, mut fired, mut last_end) = (Vec::new(), None::<usize>, None::<usize>);
    let clock = |i: usize| timeline[..=i].iter().map(|p| p.minutes).sum::<i64>();
    for now in 0..timeline.len() {
        let want = if fired.is_some() { Verdict::Clear } else { Verdict::Breach };
        let hold = if fired.is_some() { policy.clear_hold } else { policy.hold };
        if timeline[now].verdict != want {
            continue;
        }
        // What came before a hole does not count; time is counted from the first poll after it.
        let hole = (0..=now).rev().find(|i| timeline[*i].hole).unwrap_or(0);
        let holds = match hold {
            Hold::For(length) => {
                // Polls since the other verdict; an episode's end or beginning is one too.
                let from = if fired.is_some() { fired } else { last_end };
                let unbroken = (0..now).rev().take_while(|i| {
                    from.is_none_or(|f| *i > f)
                        && (timeline[*i].verdict == want || timeline[*i].verdict == Verdict::Unknown)
                });
                let first = unbroken.filter(|i| timeline[*i].verdict == want).last().unwrap_or(now);
                let begun = first.max(hole);
                clock(now) - clock(begun) >= length.millis() / 60_000
            }
            Hold::Polls { n, of } => {
                let oldest = (now + 1).saturating_sub(usize::from(of)).max(hole);
                let oldest = fired.map_or(oldest, |fired| oldest.max(fired + 1));
                (oldest..=now).filter(|i| timeline[*i].verdict == want).count() >= usize::from(n)
            }
        };
        if holds && fired.is_some() {
            (fired, last_end) = (None, Some(now));
            events.push((now, EventKind::Ended));
        } else if holds {
            fired = Some(now);
            events.push((now, EventKind::Fired));
        }
    }
    events
}

fn any_hold() -> impl Strategy<Value = Hold> {
    prop_oneof![
        (0_i64..12).prop_map(minutes),
        (1_u8..=6).prop_flat_map(|of| (1..=of).prop_map(move |n| polls(n, of))),
    ]
}

fn any_poll() -> impl Strategy<Value = Poll> {
    let verdict = prop_oneof![
        5 => Just(Verdict::Breach),
        4 => Just(Verdict::Clear),
        1 => Just(Verdict::Between),
        2 => Just(Verdict::Unknown),
    ];
    (verdict, prop::bool::weighted(0.08), 0_i64..7, prop::bool::weighted(0.2))
        .prop_map(|(verdict, hole, minutes, restart)| Poll { verdict, hole, minutes, restart })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn the_slow_telling_has_the_same_events(
        hold in any_hold(),
        clear_hold in any_hold(),
        timeline in prop::collection::vec(any_poll(), 0..60),
    ) {
        let rule = policy(hold, clear_hold);
        let (mut alert, mut events, mut clock) = (Alert::default(), Vec::new(), 0);
        for (index, poll) in timeline.iter().enumerate() {
            clock += poll.minutes;
            if poll.restart {
                alert = serde_json::from_str(&serde_json::to_string(&alert).unwrap()).unwrap();
            }
            let seq = index as u64 + 1;
            let now = Moment { clock: Span::from_mins(clock), hole: poll.hole, ..moment(seq, false) };
            let (next, kind) = advance(&alert, poll.verdict, &now, &rule);
            let passed_over = match poll.verdict {
                Verdict::Breach => false,
                Verdict::Clear | Verdict::Between | Verdict::Unknown => rests(&alert),
            };
            let goes_on = goes_on(&alert, poll.verdict, &now, &rule);
            if passed_over || goes_on {
                prop_assert_eq!(&next, &alert);
            }
            prop_assert_eq!(next.episode.is_some(), matches!(next.state, State::Firing | State::Recovering));
            events.extend(kind.map(|kind| (index, kind)));
            alert = next;
        }
        prop_assert_eq!(events, slow_telling(&timeline, &rule));
    }
}

/// What a poll does to an alert, as `judge` does it.
#[derive(Clone, Debug)]
struct Passing {
    verdict: Verdict,
    /// Outside the window, with what its end means.
    outside: Option<OnLeave>,
    left: bool,
    hole: bool,
    value: Option<u32>,
    trail: bool,
}

fn any_passing() -> impl Strategy<Value = Passing> {
    let outside = prop::option::weighted(0.1, prop::sample::select(vec![OnLeave::End, OnLeave::Hold]));
    let value = prop::option::weighted(0.9, 0_u32..3);
    (any_poll(), outside, prop::bool::weighted(0.04), value, any::<bool>()).prop_map(
        |(poll, outside, left, value, trail)| Passing {
            verdict: poll.verdict,
            outside,
            left,
            hole: poll.hole,
            value,
            trail,
        },
    )
}

fn pass(alert: &mut Alert, passing: &Passing, now: &Moment, rule: &Policy) {
    let step = match passing.outside {
        _ if passing.left => {
            let (after, step) = left_scope(alert);
            *alert = after;
            step
        }
        None => crate::engine::alert::step(alert, passing.verdict, now, rule),
        Some(on_leave) => {
            window_left(alert, on_leave).or_else(|| step_outside(alert, passing.verdict, now, rule))
        }
    };
    if alert.rule_version.is_empty() && !is_blank(alert) {
        alert.rule_version = "v1".into();
    }
    if now.hole {
        note_blind(alert, Span::from_mins(4), now.clock);
    }
    note_value(alert, passing.value);
    if passing.trail {
        let reading = passing.value.map_or(Reading::FAILED, Reading::online);
        let shown = EventReading::new(now.at, reading, None);
        push_trail(alert, shown, Some(&format!("request-{}", now.seq / 2).into()));
    }
    if let Some(step) = step {
        build_event(alert, step.into(), now.at, &facts(&key()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn an_alert_moved_if_its_outline_did(
        hold in any_hold(),
        clear_hold in any_hold(),
        close_at in prop::option::of(0_usize..60),
        timeline in prop::collection::vec(any_passing(), 0..80),
    ) {
        let rule = policy(hold, clear_hold);
        let mut alert = Alert::default();
        for (seq, passing) in timeline.iter().enumerate() {
            if let Some((mut closed, step)) = close(&alert, false).filter(|_| close_at == Some(seq)) {
                build_event(&mut closed, step.into(), moment(seq as u64, false).at, &facts(&key()));
                alert = closed;
            }
            let before = alert.clone();
            pass(&mut alert, passing, &moment(seq as u64 + 1, passing.hole), &rule);
            prop_assert_eq!(outline(&before) == outline(&alert), before == alert);
        }
    }
}
