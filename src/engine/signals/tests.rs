//! Signals against a naive computation from all readings, over random timelines with failures, absences, holes,
//! equal clocks and late joins, with a checkpoint taken and read back now and then.
#![expect(clippy::wildcard_enum_match_arm, reason = "the naive computation names only what it is asked for")]

use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;
const TRACKS: [Track; 2] = [Track::AbsentHeld, Track::AbsentZero];

/// A poll: its clock and its readings.
type Polls = Vec<(i64, Vec<Reading>)>;

/// What the naive computation knows of a slot at a poll: known readings up to it, oldest first.
struct Naive {
    known: Vec<(i64, u32)>,
    known_now: bool,
    clock: i64,
    gap: i64,
}

impl Naive {
    fn of(polls: &[(i64, Vec<Reading>)], slot: usize, track: Track, gap: i64) -> Self {
        let mut naive = Self { known: Vec::new(), known_now: false, clock: polls[polls.len() - 1].0, gap };
        for (clock, readings) in polls {
            let value = match readings.get(slot).copied().unwrap_or_default().kind() {
                Kind::Online(count) => Some(count),
                Kind::Absent if track == Track::AbsentZero => Some(0),
                Kind::Absent | Kind::Failed | Kind::NotPolled => None,
            };
            naive.known_now = value.is_some();
            naive.known.extend(value.map(|value| (*clock, value)));
        }
        naive
    }

    fn blind(&self) -> bool {
        self.known.last().is_none_or(|(at, _)| self.clock - at > self.gap)
    }

    fn signal(&self, signal: Signal) -> Option<f64> {
        match signal {
            Signal::Online => self.known_now.then(|| f64::from(self.known[self.known.len() - 1].1)),
            Signal::Previous => {
                let before = self.known.len().checked_sub(1 + usize::from(self.known_now))?;
                let (at, value) = self.known[before];
                (self.clock - at <= self.gap).then_some(f64::from(value))
            }
            _ if self.blind() => None,
            Signal::OnlineTime => Some(self.run(true)),
            Signal::OfflineTime => Some(self.run(false)),
            _ => self.window(signal),
        }
    }

    fn run(&self, online: bool) -> f64 {
        let (mut start, _) = self.known[self.known.len() - 1];
        if (self.known[self.known.len() - 1].1 > 0) != online {
            return 0.0;
        }
        for (at, value) in self.known.iter().rev() {
            if (*value > 0) != online || start - at > self.gap {
                break;
            }
            start = *at;
        }
        (self.clock - start) as f64
    }

    /// Goes over the window millisecond range by range, one piece per known reading.
    fn window(&self, signal: Signal) -> Option<f64> {
        let span = signal.window()?.millis();
        let start = self.clock - span;
        let (mut pieces, mut changes) = (Vec::new(), 0);
        for (i, (at, value)) in self.known.iter().enumerate() {
            let next = self.known.get(i + 1);
            let end = next.map_or(self.clock, |(next, _)| (at + self.gap).min(*next));
            if end > start || next.is_none() {
                pieces.push((*value, end - (*at).max(start)));
            }
            changes += u32::from(next.is_some_and(|(next, other)| other != value && *next > start));
        }
        let known: i64 = pieces.iter().map(|(_, length)| length).sum();
        let enough = known as f64 >= span as f64 * 0.9;
        let area: f64 = pieces.iter().map(|(value, length)| f64::from(*value) * *length as f64).sum();
        match signal {
            Signal::Peak(_) => pieces.iter().map(|p| f64::from(p.0)).reduce(f64::max),
            Signal::Changes(_) => Some(f64::from(changes)),
            Signal::TimeOver(n, _) => {
                Some(pieces.iter().filter(|p| p.0 > n).map(|p| p.1).sum::<i64>() as f64)
            }
            Signal::Low(_) => pieces.iter().map(|p| f64::from(p.0)).reduce(f64::min).filter(|_| enough),
            Signal::Mean(_) => enough.then(|| area / known as f64),
            _ => None,
        }
    }
}

/// Good replies without the name, by going back over all of them.
fn naive_absence(polls: &[(i64, Vec<Reading>)], slot: usize, gap: i64) -> Option<f64> {
    let clock = polls[polls.len() - 1].0;
    let reading = |readings: &Vec<Reading>| readings.get(slot).copied().unwrap_or_default().kind();
    let good = polls.iter().filter(|(_, r)| matches!(reading(r), Kind::Online(_) | Kind::Absent));
    let good: Vec<(i64, bool)> = good.map(|(at, r)| (*at, reading(r) == Kind::Absent)).collect();
    let (mut start, absent) = *good.last().filter(|(at, _)| clock - at <= gap)?;
    if !absent {
        return Some(0.0);
    }
    for (at, absent) in good.iter().rev() {
        if !absent || start - at > gap {
            break;
        }
        start = *at;
    }
    Some((clock - start) as f64)
}

fn asked() -> Vec<Signal> {
    let mut asked = vec![Signal::Online, Signal::Previous, Signal::OnlineTime, Signal::OfflineTime];
    for minutes in [1, 7, 30, 61] {
        let d = Span::from_mins(minutes);
        asked.extend([Signal::Peak(d), Signal::Changes(d), Signal::Low(d), Signal::Mean(d)]);
        asked.extend([0, 1, 2].map(|n| Signal::TimeOver(n, d)));
    }
    asked
}

fn needs(gaps: &[i64]) -> Needs {
    let mut needs = Needs::default();
    for gap in gaps.iter().map(|gap| Span::from_millis(*gap)) {
        for track in TRACKS {
            for signal in asked().into_iter().chain([Signal::AbsentTime]) {
                needs.add(signal, track, gap);
            }
        }
    }
    needs
}

fn value(signals: &Signals, signal: Signal, track: Track, gap: i64, slot: u32) -> Option<f64> {
    let mut out = [0.0];
    signals.fill(&signal, track, Span::from_millis(gap), slot..slot + 1, &mut out);
    Some(out[0]).filter(|v| !v.is_nan())
}

#[track_caller]
fn same(found: Option<f64>, expect: Option<f64>, what: impl Fn() -> String) {
    let close = match (found, expect) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * b.abs().max(1.0),
        (a, b) => a == b,
    };
    assert!(close, "{}: {found:?} instead of {expect:?}", what());
}

fn reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        6 => (0_u32..4).prop_map(Reading::online),
        6 => Just(Reading::online(1)),
        2 => Just(Reading::ABSENT),
        2 => Just(Reading::FAILED),
        1 => Just(Reading::NOT_POLLED),
    ]
}

/// Slots differ in how often they change; a poll may fail whole, may come late, or at the same clock.
fn polls() -> impl Strategy<Value = Polls> {
    let elapsed =
        prop_oneof![8 => Just(MINUTE), 1 => Just(0), 1 => 1..2 * MINUTE, 1 => 2 * MINUTE..40 * MINUTE];
    let poll = (elapsed, 0_u8..12, prop::collection::vec((reading(), 0_u8..3), 0..4));
    prop::collection::vec(poll, 1..80).prop_map(|polls| {
        let (mut clock, mut width, mut all) = (0, 0, Polls::new());
        for (i, (elapsed, failure, readings)) in polls.into_iter().enumerate() {
            clock += if i == 0 { 0 } else { elapsed };
            width = width.max(readings.len());
            let before = all.last().map(|(_, r): &(i64, Vec<Reading>)| r.clone()).unwrap_or_default();
            let mut now: Vec<Reading> = (0..width)
                .map(|slot| {
                    let stays = readings.get(slot).is_none_or(|(_, change)| *change > 0);
                    let old = before.get(slot).copied();
                    old.filter(|_| stays).or(readings.get(slot).map(|(r, _)| *r)).unwrap_or_default()
                })
                .collect();
            if failure == 0 {
                now.fill(Reading::FAILED);
            }
            all.push((clock, now));
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn signals_are_what_all_readings_say(polls in polls(), every in 1_usize..9) {
        let gaps = [3 * MINUTE, 10 * MINUTE];
        let needs = needs(&gaps);
        let mut signals = Signals::new(&needs);
        for end in 1..=polls.len() {
            let (clock, readings) = &polls[end - 1];
            signals.observe(readings, Span::from_millis(*clock), end as u64);
            if end % every == 0 {
                signals = Signals::decode(&encoded(&signals), &needs).expect("its own checkpoint");
            }
            for (slot, gap) in (0..4).flat_map(|slot| gaps.map(|gap| (slot, gap))) {
                for track in TRACKS {
                    let naive = Naive::of(&polls[..end], slot, track, gap);
                    for signal in asked() {
                        let found = value(&signals, signal, track, gap, slot as u32);
                        same(found, naive.signal(signal), || format!("{signal} {track:?} {gap} {slot} {:?}", &polls[..end]));
                    }
                }
                let found = value(&signals, Signal::AbsentTime, Track::AbsentHeld, gap, slot as u32);
                same(found, naive_absence(&polls[..end], slot, gap), || format!("absent_time {gap} {slot} {:?}", &polls[..end]));
            }
        }
    }

    #[test]
    fn a_line_holds_until_the_reading_turns(polls in polls()) {
        let gap = 3 * MINUTE;
        let mut signals = Signals::new(&needs(&[gap]));
        // Of each slot: the lines drawn since its reading turned, with the clock then.
        let mut drawn: Vec<Vec<(i64, Vec<Line>)>> = vec![Vec::new(); 4];
        let mut before = 0;
        for (clock, readings) in &polls {
            let turned = signals.turned(readings);
            signals.observe(readings, Span::from_millis(*clock), 0);
            let paused = clock - before > gap;
            before = *clock;
            for (slot, drawn) in (0_u32..).zip(&mut drawn) {
                if paused || turned.iter().any(|(at, _)| *at == slot) {
                    drawn.clear();
                }
                let line = |signal: &Signal| {
                    let mut out = [Line::still(0.0)];
                    signals.draw(signal, Track::AbsentHeld, Span::from_millis(gap), &[slot], &mut out);
                    out[0]
                };
                let now: Vec<Line> = asked().iter().map(line).collect();
                for (then, lines) in drawn.iter() {
                    let passed = (clock - then) as f64;
                    for ((was, is), signal) in lines.iter().zip(&now).zip(asked()) {
                        let told = || format!("{signal} {slot} {was:?} {is:?} {passed} {polls:?}");
                        if passed < was.lasts {
                            let foreseen = Some(was.value + was.slope * passed).filter(|v| !v.is_nan());
                            same(Some(is.value).filter(|v| !v.is_nan()), foreseen, told);
                        }
                        prop_assert!(was.bounds.allow(was.value, is.value, passed), "{}", told());
                    }
                }
                drawn.push((*clock, now));
                if drawn.len() > 6 {
                    drawn.remove(3);
                }
            }
        }
    }

    #[test]
    fn a_log_with_little_room_tells_the_truth_or_nothing(
        polls in polls(), room in 6_usize..24, all in any::<bool>(), every in 1_usize..9
    ) {
        let gap = 3 * MINUTE;
        let needs = needs(&[gap]);
        let small = match all {
            true => log::Room { all: 0, least: room, ..log::Room::default() },
            false => log::Room { each: room, ..log::Room::default() },
        };
        let squeeze = |signals: &mut Signals| {
            let zero = signals.zero.as_mut().expect("both tracks are asked for");
            for known in [&mut signals.held, zero] {
                known.kept.room = small;
            }
        };
        let mut signals = Signals::new(&needs);
        squeeze(&mut signals);
        let mut cut = false;
        for end in 1..=polls.len() {
            let (clock, readings) = &polls[end - 1];
            signals.observe(readings, Span::from_millis(*clock), end as u64);
            cut |= signals.take_cut().is_some();
            if end % every == 0 {
                signals = Signals::decode(&encoded(&signals), &needs).expect("its own checkpoint");
                squeeze(&mut signals);
            }
            for (slot, track) in (0..4).flat_map(|slot| TRACKS.map(|track| (slot, track))) {
                let known = if track == Track::AbsentHeld { &signals.held } else { signals.zero.as_ref().unwrap() };
                prop_assert!(known.logs.get(slot).is_none_or(|log| log.len() <= room + log::FRESH));
                let naive = Naive::of(&polls[..end], slot, track, gap);
                for signal in asked() {
                    let found = value(&signals, signal, track, gap, slot as u32);
                    let window = signal.window().unwrap_or_default().millis();
                    let inside = naive.known.iter().filter(|(at, _)| *at > clock - window).count();
                    // What is longer than a piece takes several.
                    let more = (clock / stretch::Piece::MOST + 1) as usize;
                    if found.is_some() || !cut || 2 * (inside + 1) + more + log::FRESH <= room {
                        same(found, naive.signal(signal), || format!("{signal} {track:?} {slot} {:?}", &polls[..end]));
                    }
                }
            }
        }
    }

    #[test]
    fn damaged_checkpoints_are_refused(polls in polls(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let needs = needs(&[3 * MINUTE]);
        let mut signals = Signals::new(&needs);
        for (seq, (clock, readings)) in polls.iter().enumerate() {
            signals.observe(readings, Span::from_millis(*clock), seq as u64);
        }
        let mut bytes = encoded(&signals);
        let at = at.index(bytes.len());
        prop_assert!(Signals::decode(&bytes[..at], &needs).is_none());
        bytes[at] ^= 1 << bit;
        prop_assert!(Signals::decode(&bytes, &needs).is_none());
    }

    #[test]
    fn garbage_is_no_checkpoint(content in prop::collection::vec(any::<u8>(), 0..200)) {
        // With a right seal, so that what is behind it is read.
        let mut bytes = encoded(&Signals::new(&Needs::default()));
        bytes.truncate(b"seatwatch signals 0\n".len());
        bytes.extend(content);
        let sum = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
        bytes.extend(&sum[..8]);
        let _ = Signals::decode(&bytes, &needs(&[3 * MINUTE]));
    }
}

/// What windows say of one slot at each poll (minute and reading), and for how long that is sure: whoever is sure of less
/// than there is to know is looked at for nothing.
fn outlooks(polls: &[(i64, Reading)], gap: Span) -> String {
    let d = Span::from_mins(10);
    let asked = [
        Signal::Peak(d),
        Signal::Low(d),
        Signal::Mean(d),
        Signal::Changes(d),
        Signal::TimeOver(1, d),
        Signal::OnlineTime,
        Signal::OfflineTime,
        Signal::Previous,
    ];
    let mut needs = Needs::default();
    asked.iter().for_each(|signal| needs.add(*signal, Track::AbsentHeld, gap));
    let (mut signals, mut out) = (Signals::new(&needs), String::new());
    for (seq, (minute, reading)) in (0..).zip(polls) {
        signals.observe(&[*reading], Span::from_mins(*minute), seq);
        out.push_str(&format!("minute {minute}, {reading:?}\n"));
        for signal in asked {
            let mut line = [Line::still(0.0)];
            signals.draw(&signal, Track::AbsentHeld, gap, &[0], &mut line);
            let Line { value, slope, lasts, bounds } = line[0];
            let for_long = if lasts.is_finite() { format!("for {lasts} ms") } else { "for ever".to_owned() };
            let moves = if slope == 0.0 { String::new() } else { format!(" + {slope:.6} a ms") };
            out.push_str(&format!("  {signal} = {value:.6}{moves} {for_long}, {bounds:?}\n"));
        }
    }
    out
}

#[test]
fn windows_say_how_long_they_stay_as_they_are() {
    let on = Reading::online;
    let told = [
        (
            "turns",
            &[(0, on(1)), (2, on(3)), (5, on(3)), (7, on(0)), (12, on(0)), (13, on(2)), (26, on(2))][..],
        ),
        (
            "holes",
            &[
                (0, on(2)),
                (1, Reading::FAILED),
                (4, on(2)),
                (9, on(1)),
                (10, Reading::FAILED),
                (11, on(4)),
                (12, on(4)),
            ],
        ),
    ];
    let told = told.map(|(what, polls)| format!("{what}\n{}", outlooks(polls, Span::from_mins(3))));
    let wide = outlooks(&[(0, on(2)), (8, on(5)), (16, on(5)), (19, on(5))], Span::from_mins(9));
    insta::assert_snapshot!(format!("{}\na longer gap\n{wide}", told.join("\n")));
}

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

fn encoded(signals: &Signals) -> Vec<u8> {
    let mut bytes = Vec::new();
    signals.encode(&mut bytes);
    bytes
}

fn encoded_totals(totals: &Totals, groups: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    totals.encode(groups, &mut bytes);
    bytes
}

fn online(counts: &[u32]) -> Vec<Reading> {
    counts.iter().map(|count| Reading::online(*count)).collect()
}

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
        ("a reading less", |signals| shorten(&mut signals.now)),
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
    assert_eq!(signals.take_cut(), None);
    go(&mut signals, 66_000, true);
    assert_eq!((signals.take_cut(), signals.take_cut()), (Some(0), None), "told once");
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
