//! Polls that are taken up together leave what they would one after the other, to the last bit.
//!
//! Neighbours: `super` compares polls one by one with all readings. A part of its own because here signals are compared
//! with signals.

use super::*;

/// All that is kept, and what of it was cut.
fn whole(signals: &mut Signals) -> (Vec<u8>, Option<u32>, String) {
    (encoded(signals), signals.cut(), format!("{signals:#?}"))
}

/// Takes up polls one by one, and the same together: so many at a time, or whenever the backlog is full.
fn check(
    polls: &[(i64, Vec<Reading>)],
    at_a_time: usize,
    room: Option<log::Room>,
) -> Result<(), TestCaseError> {
    let needs = needs(&[3 * MINUTE, 10 * MINUTE]);
    let mut single = Signals::new(&needs);
    if let Some(room) = room {
        single.held.kept.room = room;
    }
    let (mut together, mut backlog) = (single.clone(), Backlog::default());
    for (seq, (clock, readings)) in (1..).zip(polls) {
        let (turned, clock) = (single.turned(readings), Span::from_millis(*clock));
        single.take(&turned, readings.len(), clock, seq);
        backlog.push(&turned, readings.len(), clock, seq);
        if backlog.is_full() || seq % at_a_time as u64 == 0 {
            together.take_all(&mut backlog);
            prop_assert_eq!(whole(&mut together), whole(&mut single), "{:?}", &polls[..seq as usize]);
        }
    }
    together.take_all(&mut backlog);
    prop_assert_eq!(whole(&mut together), whole(&mut single), "{:?}", polls);
    Ok(())
}

/// Polls a minute apart, nearly always: most of them are sorted by slot. Few slots turn at all, one at nearly every poll.
fn steady() -> impl Strategy<Value = Polls> {
    let reading = prop_oneof![6 => (0_u32..4).prop_map(Reading::online), 1 => reading()];
    let poll = (0_u8..60, prop::collection::vec((0_usize..9, reading), 0..4));
    (prop::collection::vec(poll, 1..150), 1_usize..10).prop_map(|(polls, len)| {
        let (mut clock, mut now, mut all) = (0, vec![Reading::online(1); len], Polls::new());
        for (rare, turns) in polls {
            clock += if rare == 0 { 5 * MINUTE } else { MINUTE };
            now.extend((rare == 1).then_some(Reading::online(2)));
            for (slot, reading) in turns {
                let slot = slot * slot / 9 % now.len();
                now[slot] = reading;
            }
            all.push((clock, now.clone()));
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_polls(polls in polls(), at_a_time in 1_usize..90) {
        check(&polls, at_a_time, None)?;
    }

    #[test]
    fn steady_polls(polls in steady(), at_a_time in 1_usize..90, each in 6_usize..24, all in 0_usize..400, which in 0..3) {
        let room = match which {
            0 => None,
            1 => Some(log::Room { each, ..log::Room::default() }),
            _ => Some(log::Room { all, least: each, ..log::Room::default() }),
        };
        check(&polls, at_a_time, room)?;
    }
}
