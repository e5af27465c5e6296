//! Signals against a naive computation from all readings, over random timelines with failures, absences, holes,
//! equal clocks and late joins, with a checkpoint taken and read back now and then.
#![expect(clippy::wildcard_enum_match_arm, reason = "the naive computation names only what it is asked for")]

mod checkpoints;
mod outlooks;
mod room;
mod together;
mod totals;

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
        // Around the largest that has a byte of its own in a narrow column.
        1 => (248_u32..254).prop_map(Reading::online),
        1 => Just(Reading::online(70_000)),
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
            cut |= signals.cut().is_some();
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

fn encoded(signals: &Signals) -> Vec<u8> {
    let mut bytes = Vec::new();
    signals.encode(&mut |piece| bytes.extend_from_slice(piece));
    bytes
}

fn online(counts: &[u32]) -> Vec<Reading> {
    counts.iter().map(|count| Reading::online(*count)).collect()
}
