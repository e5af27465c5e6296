//! Titles and summaries: the one line and the sentences that a person reads first.
//!
//! Neighbours: `words` has the phrases, `mod` puts the rest under them. A part of its own because these sentences
//! accuse or reassure, and are read where the rest of a message is not.

use super::words::{NAME, SENTENCE, Words};
use super::{Entry, Language, clean, own};
use crate::engine::event::{Event, EventKind, Severity};
use crate::engine::own::Own;
use Language::{En, ZhCn};

/// The longest title, in characters.
const TITLE: usize = 200;
/// Names in titles and lists are cut sooner, so that a title still says what happened.
const SHORT_NAME: usize = 64;

pub(super) fn title(words: Words, entries: &[Entry<'_>]) -> String {
    let worst = entries.iter().map(|entry| entry.event.severity).max().unwrap_or(Severity::Info);
    let mark = format!("[{}]", words.severity(worst));
    let rest = match entries {
        [entry] => one(words, entry),
        [first, ..] if alike(entries) => match words.language {
            En => format!("{}: {} – {} subjects", happened(words, first), rule(first.event), entries.len()),
            ZhCn => format!("{}：{} – {} 个对象", happened(words, first), rule(first.event), entries.len()),
        },
        _ => match words.language {
            En => format!("Digest of {} alerts: {}", entries.len(), tally(words, entries)),
            ZhCn => format!("{} 条告警汇总：{}", entries.len(), tally(words, entries)),
        },
    };
    clean(&format!("{mark} {rest}"), TITLE)
}

fn one(words: Words, entry: &Entry<'_>) -> String {
    let event = entry.event;
    let happened = happened(words, entry);
    let colon = words.say(": ", "：");
    if let Some(own) = Own::of_name(&event.rule) {
        return format!("{happened}{colon}{}", own::title(own, &short_subject(words, event), words.language));
    }
    let value = event.value.unwrap_or_default();
    let comma = words.say(", ", "，");
    let mut parts = vec![format!("{} – {}", rule(event), short_subject(words, event))];
    match (event.ended_at, event.fired_at) {
        (Some(ended), Some(fired)) => {
            if let Some(peak) = value.peak {
                parts.push(format!("{} {peak}", words.say("peak", "峰值")));
            }
            parts.push(format!("{} {}", words.say("lasted", "持续"), words.span(ended.since(fired))));
        }
        _ => {
            if let Some(now) = value.now {
                parts.push(format!("{} {}", now, words.say("online", "个在线")));
            }
            if let Some(limit) = &event.limit {
                parts.push(match words.language {
                    En => format!("{} allowed", limit.value),
                    ZhCn => format!("允许 {} 个", limit.value),
                });
            }
        }
    }
    format!("{happened}{colon}{}", parts.join(comma))
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
    clean(&event.rule, SHORT_NAME)
}

fn short_subject(words: Words, event: &Event) -> String {
    clean(&words.subject(event), SHORT_NAME)
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
        [entry] => sentences(words, entry),
        [first, ..] if alike(entries) => {
            let names: Vec<String> =
                entries.iter().take(5).map(|entry| short_subject(words, entry.event)).collect();
            let (rule, names) = (rule(first.event), names.join(words.say(", ", "、")));
            let (happened, rest) = (happened(words, first), entries.len().saturating_sub(5));
            match (words.language, rest) {
                (En, 0) => format!("{happened}: rule {rule} for {} subjects: {names}.", entries.len()),
                (En, _) => {
                    format!(
                        "{happened}: rule {rule} for {} subjects: {names} and {rest} more.",
                        entries.len()
                    )
                }
                (ZhCn, 0) => format!("{happened}：规则 {rule}，共 {} 个对象：{names}。", entries.len()),
                (ZhCn, _) => {
                    format!("{happened}：规则 {rule}，共 {} 个对象：{names}，另有 {rest} 个。", entries.len())
                }
            }
        }
        _ => {
            let tally = tally(words, entries);
            let oldest = entries.iter().map(|entry| entry.event.at).min().unwrap_or_default();
            match words.language {
                En => format!("{} alerts since {}: {tally}.", entries.len(), words.time(oldest)),
                ZhCn => format!("自 {} 起共 {} 条告警：{tally}。", words.time(oldest), entries.len()),
            }
        }
    }
}

fn sentences(words: Words, entry: &Entry<'_>) -> String {
    let event = entry.event;
    let what = what(words, event);
    let now = now(words, event);
    let fired = words.time(event.fired_at.unwrap_or(event.at));
    let gap = words.gap();
    let first = match (event.kind, words.language) {
        _ if entry.both => both(words, event, &what),
        (EventKind::Fired, En) => format!("{what} fired."),
        (EventKind::Fired, ZhCn) => format!("{what} 已触发。"),
        (EventKind::Reminded, En) => format!("Reminder {}, firing since {fired}: {what}.", event.reminder),
        (EventKind::Reminded, ZhCn) => {
            format!("第 {} 次提醒，自 {fired} 起持续告警：{what}。", event.reminder)
        }
        (EventKind::Escalated, En) => {
            format!("{what} is now {}, firing since {fired}.", words.severity(event.severity))
        }
        (EventKind::Escalated, ZhCn) => {
            format!("{what} 升级为{}，自 {fired} 起持续告警。", words.severity(event.severity))
        }
        (EventKind::Changed, En) => {
            format!("{what} was changed while firing since {fired}; the episode goes on.")
        }
        (EventKind::Changed, ZhCn) => format!("{what} 在告警期间有变更（自 {fired} 起告警），本次告警继续。"),
        (EventKind::Acked, En) => {
            format!("{} acknowledged {what}. Reminders stop; the end will still be told.", by(words, event))
        }
        (EventKind::Acked, ZhCn) => format!("{} 已确认 {what}。不再提醒，结束时仍会通知。", by(words, event)),
        (EventKind::Closed, En) => format!("{} closed {what}.", by(words, event)),
        (EventKind::Closed, ZhCn) => format!("{} 已关闭 {what}。", by(words, event)),
        (EventKind::Ended, _) => ended(words, event, &what),
    };
    let note = event
        .note
        .as_deref()
        .map(|note| format!("{gap}{}{}", words.say("Note: ", "备注："), clean(note, SENTENCE)));
    let now = now.map(|now| format!("{gap}{now}")).unwrap_or_default();
    format!("{first}{now}{}", note.unwrap_or_default())
}

/// The rule and whom it is about, or what an own alert is called.
fn what(words: Words, event: &Event) -> String {
    let subject = words.subject(event);
    if let Some(own) = Own::of_name(&event.rule) {
        return format!("“{}”", own::title(own, &subject, words.language));
    }
    let rule = clean(&event.rule, NAME);
    match words.language {
        En => format!("{rule} for {subject}"),
        ZhCn => format!("{subject} 的规则 {rule}"),
    }
}

fn by(words: Words, event: &Event) -> String {
    event.by.as_deref().map_or_else(|| words.say("An operator", "操作人员").to_owned(), |by| clean(by, NAME))
}

/// What is the case now; an own alert says its fault.
fn now(words: Words, event: &Event) -> Option<String> {
    if event.kind == EventKind::Ended {
        return None;
    }
    if Own::of_name(&event.rule).is_some() {
        let detail = clean(event.detail.as_deref()?, SENTENCE);
        return Some(format!("{detail}{}", words.say(".", "。")));
    }
    let (value, subject) = (event.value?, words.subject(event));
    let since = words.time(event.since);
    let has = match (words.language, value.now) {
        (En, Some(1)) => format!("{subject} has 1 client online"),
        (En, Some(now)) => format!("{subject} has {now} clients online"),
        (En, None) => format!("How many clients {subject} has online is not known now"),
        (ZhCn, Some(now)) => format!("{subject} 当前在线 {now} 个客户端"),
        (ZhCn, None) => format!("{subject} 当前在线数未知"),
    };
    Some(match (words.language, &event.limit) {
        (En, Some(limit)) => {
            format!("{has}, {} allowed ({}); first seen {since}.", limit.value, words.origin(limit))
        }
        (En, None) => format!("{has}; first seen {since}."),
        (ZhCn, Some(limit)) => {
            format!("{has}，允许 {} 个（{}）；首次发现于 {since}。", limit.value, words.origin(limit))
        }
        (ZhCn, None) => format!("{has}；首次发现于 {since}。"),
    })
}

fn ended(words: Words, event: &Event, what: &str) -> String {
    match words.language {
        En => format!("{what} ended: {}", how_it_ended(words, event)),
        ZhCn => format!("{what} 已结束：{}", how_it_ended(words, event)),
    }
}

fn both(words: Words, event: &Event, what: &str) -> String {
    let (fired, end) = (event.fired_at.unwrap_or(event.at), event.ended_at.unwrap_or(event.at));
    let (fired, end, how) = (words.time(fired), words.time(end), how_it_ended(words, event));
    match words.language {
        En => format!("{what} fired at {fired} and had ended at {end} before this could be delivered: {how}"),
        ZhCn => format!("{what} 于 {fired} 触发，在本通知送达之前已于 {end} 结束：{how}"),
    }
}

/// Why, after how long, and how high it went.
fn how_it_ended(words: Words, event: &Event) -> String {
    let reason = event.reason.map_or("–", |reason| words.reason(reason));
    let lasted = words.span(event.ended_at.unwrap_or(event.at).since(event.fired_at.unwrap_or(event.at)));
    let values = event.value.map(|value| match words.language {
        En => format!(", peak {}, now {}", words.count(value.peak), words.count(value.now)),
        ZhCn => format!("，峰值 {}，当前 {}", words.count(value.peak), words.count(value.now)),
    });
    let values = values.unwrap_or_default();
    match words.language {
        En => format!("{reason}. It lasted {lasted}{values}."),
        ZhCn => format!("{reason}。持续 {lasted}{values}。"),
    }
}
