//! Titles and summaries: the one line and the sentences that a person reads first.
//!
//! Neighbours: `words` has the phrases, `sentence` tells one event, `mod` puts the rest under them. A part of its own
//! because a mailbox sorts by these lines: but for the words in front, the title of an episode never changes.

use std::cmp::Reverse;

use super::words::{NAME, Words};
use super::{Entry, Language, clean, own, sentence};
use crate::engine::event::{Event, EventKind, Severity};
use crate::engine::own::Own;
use Language::{En, ZhCn};

/// The longest title, in characters.
const TITLE: usize = 200;
/// Names in titles and lists are cut sooner, so that a title still says what happened.
const SHORT_NAME: usize = 64;
/// What a title has for subject and rule if all of it is to fit 78 characters (RFC 5322, 2.1.1), whatever happened.
const ROOM: usize = 52;
const SHORTEST_RULE: usize = 12;

/// `[high] Fired: shanghai/alice (shared-account)`. What follows the first colon is the same for a whole episode:
/// mail programs gather by it.
pub(super) fn title(words: Words, entries: &[Entry<'_>]) -> String {
    let worst = entries.iter().map(|entry| entry.event.severity).max().unwrap_or(Severity::Info);
    let colon = words.say(": ", "：");
    let rest = match entries {
        [entry] => format!("{}{colon}{}", happened(words, entry), about(words, entry.event)),
        [first, ..] if alike(entries) => {
            let (happened, rule, count) = (happened(words, first), rule(first.event), entries.len());
            match words.language {
                En => format!("{happened}, {count} subjects: {rule}"),
                ZhCn => format!("{happened}，{count} 个对象：{rule}"),
            }
        }
        _ => match words.language {
            En => format!("Digest: {}", tally(words, entries)),
            ZhCn => format!("告警汇总：{}", tally(words, entries)),
        },
    };
    clean(&format!("[{}] {rest}", words.severity(worst)), TITLE)
}

/// Whom and by which rule; an own alert by its name.
pub(super) fn about(words: Words, event: &Event) -> String {
    let subject = short_subject(words, event);
    if let Some(own) = Own::of_name(&event.rule) {
        return own::title(own, &subject, words.language);
    }
    let room = ROOM.saturating_sub(subject.chars().count() + 3).max(SHORTEST_RULE);
    let rule = cut(&clean(&event.rule, NAME), room);
    match words.language {
        En => format!("{subject} ({rule})"),
        ZhCn => format!("{subject}（{rule}）"),
    }
}

/// All of one rule, and the same happened to them.
pub(super) fn alike(entries: &[Entry<'_>]) -> bool {
    let key = |entry: &Entry<'_>| (entry.event.rule.clone(), entry.event.kind, entry.both);
    entries.windows(2).all(|pair| key(&pair[0]) == key(&pair[1]))
}

pub(super) fn happened(words: Words, entry: &Entry<'_>) -> String {
    if entry.both {
        return words.fired_and_ended().to_owned();
    }
    let word = words.happened(entry.event.kind);
    match entry.event.kind {
        EventKind::Reminded => match words.language {
            En => format!("{word} {}", entry.event.reminder),
            ZhCn => format!("第 {} 次提醒", entry.event.reminder),
        },
        EventKind::Fired
        | EventKind::Escalated
        | EventKind::Changed
        | EventKind::Acked
        | EventKind::Closed
        | EventKind::Ended => word.to_owned(),
    }
}

fn rule(event: &Event) -> String {
    cut(&clean(&event.rule, NAME), SHORT_NAME)
}

/// With dots in ASCII: one character beyond it, and mail has to encode a subject.
fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    format!("{}...", text.chars().take(max.saturating_sub(3)).collect::<String>())
}

fn short_subject(words: Words, event: &Event) -> String {
    cut(&words.subject(event), SHORT_NAME)
}

/// `4 fired, 3 ended`, in the order of an episode's life.
pub(super) fn tally(words: Words, entries: &[Entry<'_>]) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for entry in entries {
        let word = if entry.both { words.fired_and_ended() } else { words.happened(entry.event.kind) };
        counts.entry((entry.event.kind, entry.both)).or_insert((word, 0_u32)).1 += 1;
    }
    let parts: Vec<String> = counts
        .into_values()
        .map(|(word, count)| match words.language {
            En => format!("{count} {}", word.to_lowercase()),
            ZhCn => format!("{word} {count}"),
        })
        .collect();
    parts.join(words.say(", ", "，"))
}

pub(super) fn summary(words: Words, entries: &[Entry<'_>]) -> String {
    match entries {
        [entry] => sentence::of(words, entry),
        [first, ..] if alike(entries) => {
            let name = |entry: &Entry<'_>| short_subject(words, entry.event);
            let names: Vec<String> = entries.iter().take(5).map(name).collect();
            let (rule, names) = (rule(first.event), names.join(words.say(", ", "、")));
            let (happened, count) = (happened(words, first), entries.len());
            match (words.language, count.saturating_sub(5)) {
                (En, 0) => format!("{happened}: rule {rule} for {count} subjects: {names}."),
                (En, rest) => {
                    format!("{happened}: rule {rule} for {count} subjects: {names} and {rest} more.")
                }
                (ZhCn, 0) => format!("{happened}：规则 {rule}，共 {count} 个对象：{names}。"),
                (ZhCn, rest) => {
                    format!("{happened}：规则 {rule}，共 {count} 个对象：{names}，另有 {rest} 个。")
                }
            }
        }
        _ => {
            let (tally, count) = (tally(words, entries), entries.len());
            let oldest = entries.iter().map(|entry| entry.event.at).min().unwrap_or_default();
            let newest = entries.iter().map(|entry| entry.event.at).max().unwrap_or_default();
            let (from, offset) = (words.clock(oldest, newest), words.offset(oldest));
            // The first of the gravest, as the list below has it.
            let first = entries.iter().min_by_key(|entry| (Reverse(entry.event.severity), entry.event.at));
            let gravest = first.map_or_else(String::new, |entry| match words.language {
                En => format!(" Gravest: {}.", about(words, entry.event)),
                ZhCn => format!("最严重：{}。", about(words, entry.event)),
            });
            match words.language {
                En => format!("{count} alerts since {from} {offset}: {tally}.{gravest}"),
                ZhCn => format!("自 {from}（{offset}）起共 {count} 条告警：{tally}。{gravest}"),
            }
        }
    }
}
