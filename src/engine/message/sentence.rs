//! One event in a sentence or two: who, how many, how many are allowed and by whom, since when.
//!
//! Neighbours: `headline` puts it under a title, `words` has the phrases, `own` the names of own alerts. A part of its
//! own because these sentences accuse or reassure, and are read (in a chat, on a phone) where nothing else is.

use super::words::{NAME, SENTENCE, Words};
use super::{Entry, Language, clean, grounds, own};
use crate::engine::event::{Event, EventKind};
use crate::engine::own::Own;
use crate::engine::time::Span;
use Language::{En, ZhCn};

pub(super) fn of(words: Words, entry: &Entry<'_>) -> String {
    let event = entry.event;
    let told = match Own::of_name(&event.rule) {
        Some(own) => of_own(words, entry, own) + &users(words, event),
        None if entry.both || event.kind == EventKind::Ended => over(words, entry),
        None => going_on(words, event),
    };
    [told, remarks(words, event)].concat()
}

/// Fired and not over: what was done, and what is the case.
fn going_on(words: Words, event: &Event) -> String {
    let case = case(words, event);
    match (prefix(words, event), words.language) {
        (None, En) => format!("{case}."),
        (None, ZhCn) => format!("{case}。"),
        (Some(prefix), En) => format!("{prefix} {case}."),
        (Some(prefix), ZhCn) => format!("{prefix}{case}。"),
    }
}

fn prefix(words: Words, event: &Event) -> Option<String> {
    let severity = words.severity(event.severity);
    let rule = clean(&event.rule, NAME);
    Some(match (event.kind, words.language) {
        (EventKind::Fired, language) => {
            let fired = event.fired_at.filter(|fired| *fired != event.at)?;
            let (at, offset) = (words.clock(fired, event.at), words.offset(fired));
            match language {
                En => {
                    format!("Fired at {at} {offset} in the shadow, where the rule told nobody; it goes on:")
                }
                ZhCn => format!(
                    "此告警于 {at}（{offset}）触发，当时规则处于 shadow 模式、不通知任何人；现仍在继续："
                ),
            }
        }
        (EventKind::Ended, _) => return None,
        (EventKind::Reminded, En) => format!("Reminder {}:", event.reminder),
        (EventKind::Reminded, ZhCn) => format!("第 {} 次提醒：", event.reminder),
        (EventKind::Escalated, En) => format!("Escalated to {severity}:"),
        (EventKind::Escalated, ZhCn) => format!("级别升为“{severity}”："),
        (EventKind::Changed, En) if Own::of_name(&event.rule).is_some() => "Changed:".to_owned(),
        (EventKind::Changed, ZhCn) if Own::of_name(&event.rule).is_some() => "情况有变：".to_owned(),
        (EventKind::Changed, En) => {
            format!("Rule {rule} was changed while the alert was firing; the alert goes on.")
        }
        (EventKind::Changed, ZhCn) => format!("告警期间规则 {rule} 有改动，本次告警继续。"),
        (EventKind::Acked, En) => {
            format!("Acknowledged by {}; no more reminders, the end will still be told.", by(words, event))
        }
        (EventKind::Acked, ZhCn) => {
            format!("{} 已确认此告警；不再提醒，结束时仍会通知。", by(words, event))
        }
        (EventKind::Closed, En) => format!("Closed by {}.", by(words, event)),
        (EventKind::Closed, ZhCn) => format!("{} 已关闭此告警。", by(words, event)),
    })
}

/// `demo/alice has 5 clients online, 2 allowed by the rule, since 09:45 UTC+8 (10 min)`; of a rule that is not about
/// how many are online now, what it is about: `demo/alice: time_over(2, 7d) was 10 h (rule over: …)`.
fn case(words: Words, event: &Event) -> String {
    let decided = grounds::decided(words, event);
    let (has, more) = match decided {
        Some(decided) if !grounds::counts(event) => {
            (format!("{}{}{decided}", words.subject(event), words.say(": ", "：")), String::new())
        }
        Some(decided) => (has(words, event), format!("{}{decided}", words.say("; ", "；"))),
        None => (has(words, event), String::new()),
    };
    let measure = measure(words, event);
    let (since, offset) = (words.clock(event.since, event.at), words.offset(event.since));
    let lasted = words.span(event.at.since(event.since)) + &unknown(words, event);
    match (words.language, event.since == event.at) {
        (En, true) => format!("{has}{measure}, at {since} {offset}{more}"),
        (En, false) => format!("{has}{measure}, since {since} {offset} ({lasted}){more}"),
        (ZhCn, true) => format!("{has}{measure}，时间 {since}（{offset}）{more}"),
        (ZhCn, false) => format!("{has}{measure}，自 {since}（{offset}）起，已持续 {lasted}{more}"),
    }
}

/// How much of the time since the first breach nothing is known of, where that is any.
fn unknown(words: Words, event: &Event) -> String {
    let Some(blind) = blind(words, event) else { return String::new() };
    match words.language {
        En => format!(", of which {blind} are not known"),
        ZhCn => format!("，其中 {blind} 没有读数"),
    }
}

/// The same of an episode that is over; it may have been blind before it fired.
fn unseen(words: Words, event: &Event) -> String {
    let Some(blind) = blind(words, event) else { return String::new() };
    let since = words.clock(event.since, event.at);
    match words.language {
        En => format!(" Of the time since {since}, {blind} are not known."),
        ZhCn => format!("自 {since} 起有 {blind}没有读数。"),
    }
}

fn blind(words: Words, event: &Event) -> Option<String> {
    // A clock that was set back makes the time shorter than what was counted.
    let counts = event.blind > Span::ZERO && event.blind <= event.at.since(event.since);
    counts.then(|| words.span(event.blind))
}

/// How many clients are online, or why that cannot be said.
fn has(words: Words, event: &Event) -> String {
    let subject = words.subject(event);
    if grounds::is_absent(event) {
        return format!("{subject} {}", grounds::absent(words, event));
    }
    let now = event.value.and_then(|value| value.now);
    let has = match (words.language, now) {
        (En, Some(1)) => format!("{subject} has 1 client online"),
        (En, Some(now)) => format!("{subject} has {now} clients online"),
        (En, None) => format!("how many clients {subject} has online is not known now"),
        (ZhCn, Some(now)) => format!("{subject} 当前有 {now} 个客户端在线"),
        (ZhCn, None) => format!("{subject} 当前在线客户端数未知"),
    };
    if now.is_none() && prefix(words, event).is_none() { capital(&has) } else { has }
}

/// What the number is measured by: who allows how many, or the condition where there is no limit.
fn measure(words: Words, event: &Event) -> String {
    if let Some(limit) = &event.limit {
        let (value, origin) = (limit.value, words.origin(limit));
        return match words.language {
            En => format!(", {value} allowed by {origin}"),
            ZhCn => format!("，{origin}允许 {value} 个"),
        };
    }
    let Some(when) = &event.when else { return String::new() };
    let (rule, when) = (clean(&event.rule, NAME), clean(when, SENTENCE));
    match words.language {
        En => format!(" (rule {rule}: {when})"),
        ZhCn => format!("（规则 {rule}：{when}）"),
    }
}

/// How an episode ended, and what it had been.
fn over(words: Words, entry: &Entry<'_>) -> String {
    let event = entry.event;
    let subject = words.subject(event);
    let (from, to, lasted) = stretch(words, event);
    let reason = event.reason.map(|reason| words.reason(reason));
    let value = event.value.unwrap_or_default();
    let (peak, now) = (words.count(value.peak), grounds::count(words, event, value.now, None));
    let measure = measure(words, event);
    let unseen = unseen(words, event);
    let decided = grounds::decided(words, event).filter(|_| !grounds::counts(event));
    // Without a limit the highest number may say nothing: the rule may be about too few.
    let (had, now) = match decided {
        Some(decided) => (format!("{subject}{}{decided}{measure}", words.say(": ", "：")), String::new()),
        None => match (words.language, event.limit.is_some()) {
            (En, true) => {
                let clients = if value.peak == Some(1) { "client" } else { "clients" };
                (
                    format!("{subject} had up to {peak} {clients} online{measure}"),
                    format!(" Online now: {now}."),
                )
            }
            (En, false) => (format!("Online now: {subject} {now}{measure}"), String::new()),
            (ZhCn, true) => {
                (format!("{subject} 最多有 {peak} 个客户端在线{measure}"), format!("当前在线：{now}。"))
            }
            (ZhCn, false) => (format!("{subject} 当前在线：{now}{measure}"), String::new()),
        },
    };
    match words.language {
        En => {
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let ended = if entry.both { "Fired, and ended before this could be sent" } else { "Ended" };
            format!("{ended}{reason}. {had}; the alert lasted {lasted}, {from} to {to}.{unseen}{now}")
        }
        ZhCn => {
            let reason = reason.map(|reason| format!("：{reason}")).unwrap_or_default();
            let ended = if entry.both {
                "告警已触发，并在本通知发出前结束"
            } else {
                "告警已结束"
            };
            format!("{ended}{reason}。{had}；告警持续 {lasted}（{from} 至 {to}）。{unseen}{now}")
        }
    }
}

/// From firing to the end (or now), with the offset from UTC, and how long that is.
fn stretch(words: Words, event: &Event) -> (String, String, String) {
    let (from, to) = (event.fired_at.unwrap_or(event.at), event.ended_at.unwrap_or(event.at));
    let end = format!("{} {}", words.clock(to, event.at), words.offset(to));
    (words.clock(from, event.at), end, words.span(to.since(from)))
}

fn of_own(words: Words, entry: &Entry<'_>, own: Own) -> String {
    let (event, language) = (entry.event, words.language);
    let subject = words.subject(event);
    let name = own::title(own, &subject, language);
    let (from, to, lasted) = stretch(words, event);
    if entry.both || event.kind == EventKind::Ended {
        return match language {
            En => format!(
                "{}. \"{name}\" lasted {lasted}, {from} to {to}.",
                capital(&own::over(own, &subject, language))
            ),
            ZhCn => {
                format!("{}。“{name}”持续 {lasted}（{from} 至 {to}）。", own::over(own, &subject, language))
            }
        };
    }
    let gap = words.gap();
    let prefix = prefix(words, event).map(|prefix| format!("{prefix}{gap}")).unwrap_or_default();
    let name = if prefix.is_empty() { capital(&name) } else { name };
    let (since, offset) = (words.clock(event.since, event.at), words.offset(event.since));
    let detail = event.detail.as_deref().map(|detail| clean(detail, SENTENCE));
    match (language, detail) {
        (En, Some(detail)) => format!("{prefix}{name} (since {since} {offset}): {detail}."),
        (En, None) => format!("{prefix}{name} (since {since} {offset})."),
        (ZhCn, Some(detail)) => format!("{prefix}自 {since}（{offset}）起，{name}：{detail}。"),
        (ZhCn, None) => format!("{prefix}自 {since}（{offset}）起，{name}。"),
    }
}

/// The first of the users whom an own alert lists.
fn users(words: Words, event: &Event) -> String {
    const MOST: usize = 5;
    let names: Vec<String> = event.users.iter().take(MOST).map(|user| clean(user, NAME)).collect();
    let (names, more) = (names.join(words.say(", ", "、")), event.users.len().saturating_sub(MOST));
    match (words.language, more) {
        _ if names.is_empty() => String::new(),
        (En, 0) => format!(" Users: {names}."),
        (En, more) => format!(" Users: {names} and {more} more."),
        (ZhCn, 0) => format!("用户：{names}。"),
        (ZhCn, more) => format!("用户：{names}，另有 {more} 个。"),
    }
}

/// What an operator concluded and noted.
fn remarks(words: Words, event: &Event) -> String {
    let gap = words.gap();
    let mut out = String::new();
    if let Some(finding) = event.finding {
        let (name, finding, end) =
            (words.say("Finding: ", "结论："), words.finding(finding), words.say(".", "。"));
        out.push_str(&format!("{gap}{name}{finding}{end}"));
    }
    if let Some(note) = &event.note {
        out.push_str(&format!("{gap}{}{}", words.say("Note: ", "备注："), clean(note, SENTENCE)));
    }
    out
}

fn by(words: Words, event: &Event) -> String {
    event.by.as_deref().map_or_else(|| words.say("an operator", "值班人员").to_owned(), |by| clean(by, NAME))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
