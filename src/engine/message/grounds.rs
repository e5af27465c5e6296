//! What a condition saw when it decided, in words: its signals with their values, and a name that is not in the replies.
//!
//! Neighbours: `sentence` accuses by it, `facts` lists it. A part of its own because a rule that looks back is not about
//! how many clients are online now, and what is absent is not zero: whoever is accused must read what was measured.

use super::words::{SENTENCE, Words};
use super::{Language, clean};
use crate::engine::event::{Event, Plain, SignalValue};
use crate::engine::reading::Reading;
use crate::engine::time::Time;
use Language::{En, ZhCn};

/// Signals that a sentence names; the rest are among the facts.
const MOST_NAMED: usize = 5;

/// Whether the condition decided by how many clients are online now. Also where nothing is known of what it saw.
pub(super) fn counts(event: &Event) -> bool {
    let of_now = |signal: &SignalValue| signal.decides && is_count(signal);
    !event.signals.iter().any(|signal| signal.decides) || event.signals.iter().any(of_now)
}

fn is_count(signal: &SignalValue) -> bool {
    matches!(signal.signal.as_str(), "online" | "total")
}

/// `time_over(2, 7d) was 10 h 2 min`: each signal that decided, but for what a sentence says anyway.
pub(super) fn decided(words: Words, event: &Event) -> Option<String> {
    let said = |signal: &&SignalValue| signal.decides && !is_count(signal) && signal.signal != "limit";
    let one = |signal: &SignalValue| {
        let (name, value) = (clean(&signal.signal, SENTENCE), value(words, signal));
        match words.language {
            En => format!("{name} was {value}"),
            ZhCn => format!("{name} 为 {value}"),
        }
    };
    let all: Vec<String> = event.signals.iter().filter(said).take(MOST_NAMED).map(one).collect();
    (!all.is_empty()).then(|| all.join(words.say(", ", "，")))
}

/// `time_over(2, 7d) 10 h 2 min; online 1`: all signals, as a fact.
pub(super) fn all(words: Words, event: &Event) -> Option<String> {
    let one = |signal: &SignalValue| format!("{} {}", clean(&signal.signal, SENTENCE), value(words, signal));
    let all: Vec<String> = event.signals.iter().filter(|signal| signal.signal != "limit").map(one).collect();
    (!all.is_empty()).then(|| all.join(words.say("; ", "；")))
}

fn value(words: Words, signal: &SignalValue) -> String {
    match (signal.value, signal.length) {
        (_, Some(length)) => words.span(length),
        (Some(Plain::Truth(truth)), _) => truth.to_string(),
        (Some(Plain::Whole(number)), _) => number.to_string(),
        (Some(Plain::Number(number)), _) => number.to_string(),
        (None, None) => words.say("not known", "未知").to_owned(),
    }
}

/// The last reply did not have the name.
pub(super) fn is_absent(event: &Event) -> bool {
    let now = event.value.and_then(|value| value.now);
    now.is_none() && event.readings.last().is_some_and(|last| last.reading == Reading::ABSENT)
}

/// `is not in the replies`, and what the rule makes of that.
pub(super) fn absent(words: Words, event: &Event) -> &'static str {
    let as_zero = |signal: &SignalValue| signal.signal == "online" && signal.value == Some(Plain::Whole(0));
    if event.signals.iter().any(as_zero) {
        return words.say(
            "is not in the replies (absent counts as zero for this rule)",
            "不在应答中（本规则将缺席视为零）",
        );
    }
    // Only such a rule finds a breach without a look at its condition.
    if event.signals.is_empty() && event.when.is_some() && event.ended_at.is_none() {
        return words.say(
            "is not in the replies (absent is a breach for this rule)",
            "不在应答中（本规则将缺席视为违规）",
        );
    }
    words.say("is not in the replies", "不在应答中")
}

/// A number of clients in a fact: what a reply stated, or that it did not have the name, or that it is not known.
pub(super) fn count(words: Words, event: &Event, value: Option<u32>, at: Option<Time>) -> String {
    let reading = match at {
        Some(at) => event.readings.list().into_iter().find(|reading| reading.at == at),
        None => event.readings.last(),
    };
    match reading {
        Some(reading) if value.is_none() && reading.reading == Reading::ABSENT => {
            words.say("absent", "缺席").to_owned()
        }
        Some(_) | None => words.count(value),
    }
}
