//! When a notification is tried again, and when it is given up.
//!
//! Neighbours: channels sort answers into [`Answer`]s, `deliver` asks for the next time. A part of its own, and
//! pure, so that three days of retries are a table in a test.

use serde::{Deserialize, Serialize};

use super::time::{Span, Time};

/// What an attempt's answer means for the notification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Taken over by the receiver.
    Sent,
    /// 408, 425, 429, 5xx, 3xx, transport, SMTP 4xx: tried again up to 75 h.
    Retry,
    /// The receiver refuses this message (400, 413, 422, SMTP 5xx at DATA): three tries over an hour.
    Rejected,
    /// The channel's settings are wrong (401, 403, 404, 407, 535, TLS, unknown host): hourly without end.
    Misconfigured,
    /// 410: the channel is disabled and its rows wait.
    Gone,
}

/// What becomes of a notification after an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Next {
    /// Tried again then.
    At(Time),
    /// Given up; stays listed.
    Dead,
    /// Not tried until the channel is enabled again.
    Wait,
    /// Delivered.
    Done,
}

/// How long tries go on.
pub const KEEP_TRYING: Span = Span::from_hours(75);
/// No wait is longer; a time further ahead comes from a clock that was set back.
pub const LONGEST_WAIT: Span = Span::from_hours(1);
/// No wait is shorter, so that a failing receiver is never hammered.
pub const SHORTEST_WAIT: Span = Span::from_secs(1);

/// The longest waits after the first, second, … try; then [`LONGEST_WAIT`]. (The first try is made at once.)
const LADDER: [Span; 6] = [
    Span::from_secs(5),
    Span::from_secs(30),
    Span::from_mins(2),
    Span::from_mins(5),
    Span::from_mins(15),
    Span::from_mins(30),
];
/// The ladder is climbed to its hourly end before anything is given up, however long the host was off meanwhile.
const LEAST_TRIES: u32 = LADDER.len() as u32 + 1;

/// How long a refused message is tried, and how often at least.
const REJECTED_FOR: Span = Span::from_hours(1);
const REJECTED_TRIES: u32 = 3;
/// Waits after the first and the second refusal: together the hour in which a receiver may be put right.
const REJECTED_WAITS: [Span; 2] = [Span::from_mins(20), Span::from_mins(40)];

/// When to try again. `tries` counts the attempts begun so far, this one included; `first_try` is when the first
/// was begun. `jitter` in 0..1 spreads waits of the ladder evenly over (0, longest], never below a second, so that
/// many agents do not come back at once; it stretches or shortens the other waits only a little, because "hourly"
/// and "over an hour" are promises.
pub fn next(
    answer: Answer,
    tries: u32,
    first_try: Time,
    now: Time,
    retry_after: Option<Span>,
    jitter: f64,
) -> Next {
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
    let trying_for = now.since(first_try);
    match answer {
        Answer::Sent => Next::Done,
        Answer::Gone => Next::Wait,
        Answer::Retry if trying_for >= KEEP_TRYING && tries >= LEAST_TRIES => Next::Dead,
        Answer::Retry => {
            let rung = (tries.max(1) - 1) as usize;
            let longest = LADDER.get(rung).copied().unwrap_or(LONGEST_WAIT);
            let asked = retry_after.map_or(Span::ZERO, |span| span.clamp(SHORTEST_WAIT, LONGEST_WAIT));
            after(now, scaled(longest, 1.0 - jitter).max(asked))
        }
        Answer::Rejected if trying_for >= REJECTED_FOR && tries >= REJECTED_TRIES => Next::Dead,
        Answer::Rejected => {
            let wait = REJECTED_WAITS[usize::from(tries > 1)];
            after(now, scaled(wait, 1.0 + jitter / 20.0))
        }
        Answer::Misconfigured => after(now, scaled(LONGEST_WAIT, 1.0 - jitter / 20.0)),
    }
}

/// `next_attempt` as it may stand at `now`: at most an hour ahead. For rows that waited over a clock set back.
pub fn clamp(next_attempt: Time, now: Time) -> Time {
    next_attempt.min(now + LONGEST_WAIT)
}

fn after(now: Time, wait: Span) -> Next {
    Next::At(now + wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
}

/// Waits are below 2^53 ms, so the way through `f64` is exact enough.
fn scaled(span: Span, by: f64) -> Span {
    Span::from_millis((span.millis() as f64 * by) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    const START: Time = Time::from_millis(1_795_000_000_000);

    /// Tries with one answer until it is over; a line for each.
    fn story(answer: Answer, jitter: f64, most: u32) -> String {
        let (mut out, mut now) = (String::new(), START);
        for tries in 1..=most {
            let next = next(answer, tries, START, now, None, jitter);
            let _ = write!(out, "try {tries} after {}: ", now.since(START));
            match next {
                Next::At(at) => {
                    let _ = writeln!(out, "wait {}", at.since(now));
                    now = at;
                }
                Next::Dead | Next::Wait | Next::Done => {
                    let _ = writeln!(out, "{next:?}");
                    break;
                }
            }
        }
        out
    }

    #[test]
    fn every_answer_has_its_schedule() {
        let mut table = String::new();
        for (answer, most) in [
            (Answer::Sent, 1),
            (Answer::Retry, 100),
            (Answer::Rejected, 10),
            (Answer::Misconfigured, 4),
            (Answer::Gone, 1),
        ] {
            let _ = writeln!(table, "{answer:?}, longest waits\n{}", story(answer, 0.0, most));
        }
        for (answer, most) in [(Answer::Rejected, 10), (Answer::Misconfigured, 4)] {
            let _ = writeln!(table, "{answer:?}, spread\n{}", story(answer, 0.5, most));
        }
        let _ = writeln!(table, "Retry, half waits\n{}", story(Answer::Retry, 0.5, 12));
        insta::assert_snapshot!(table);
    }

    #[track_caller]
    fn check(asked: &str, jitter: f64, wait: &str) {
        let asked = asked.parse().unwrap();
        let got = next(Answer::Retry, 1, START, START, Some(asked), jitter);
        assert_eq!(got, Next::At(START + wait.parse().unwrap()), "{asked} {jitter}");
    }

    #[test]
    fn retry_after_is_obeyed_within_a_second_and_an_hour() {
        check("20s", 0.0, "20s");
        check("3s", 0.0, "5s");
        check("3s", 0.9, "3s");
        check("0s", 1.0, "1s");
        check("3650d", 0.3, "1h");
    }

    #[test]
    fn a_long_pause_alone_gives_nothing_up() {
        let later = START + Span::from_days(30);
        assert!(matches!(next(Answer::Retry, 2, START, later, None, 0.0), Next::At(_)));
        assert!(matches!(next(Answer::Rejected, 2, START, later, None, 0.0), Next::At(_)));
        assert_eq!(next(Answer::Retry, 7, START, later, None, 0.0), Next::Dead);
    }

    #[test]
    fn the_last_try_is_when_the_time_is_up() {
        let millisecond = Span::from_millis(1);
        for (answer, tries, time) in [(Answer::Retry, 7, KEEP_TRYING), (Answer::Rejected, 3, REJECTED_FOR)] {
            let at = |tries, now| next(answer, tries, START, now, None, 0.0);
            assert_eq!(at(tries, START + time), Next::Dead, "{answer:?}");
            assert!(matches!(at(tries, START + time - millisecond), Next::At(_)), "{answer:?}: too early");
            assert!(matches!(at(tries - 1, START + time), Next::At(_)), "{answer:?}: too seldom");
        }
    }

    #[test]
    fn odd_clocks_and_odd_jitter_stay_within_the_hour() {
        for jitter in [f64::NAN, f64::INFINITY, -3.0, 0.0, 0.999, 7.0] {
            for answer in [Answer::Retry, Answer::Rejected, Answer::Misconfigured] {
                for now in [START - Span::from_days(400), START, START + Span::from_hours(2)] {
                    let Next::At(at) = next(answer, 2, START, now, None, jitter) else {
                        panic!("{answer:?} {jitter}");
                    };
                    assert!(at >= now + SHORTEST_WAIT && at <= now + LONGEST_WAIT, "{answer:?} {jitter}");
                }
            }
        }
        assert_eq!(clamp(START + Span::from_days(9), START), START + Span::from_hours(1));
        assert_eq!(clamp(START + Span::from_secs(9), START), START + Span::from_secs(9));
    }
}
