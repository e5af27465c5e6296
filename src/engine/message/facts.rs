//! The facts of one event under its summary: what answers the first questions, the evidence, then the small print.
//!
//! Neighbours: `words` has the phrases, `mod` chooses the sections, `lists` is for many events. A part of its own
//! because evidence is complete or it is none, and here one can see that it is.

use super::grounds;
use super::headline::{about, happened};
use super::words::{NAME, SENTENCE, Words};
use super::{Entry, Language, MOST_SHOWN, Section, Table, clean};
use crate::engine::event::{Deviation, Event, EventKind, EventReading, OnlineClient, SubjectKind};
use crate::engine::own::Own;
use crate::engine::time::Time;

pub(super) type Facts = Vec<(String, String)>;

fn add(facts: &mut Facts, name: &str, value: impl Into<String>) {
    facts.push((name.to_owned(), value.into()));
}

/// Everything about one event. `alone`: the title names it already.
pub(super) fn of_event(words: Words, entry: &Entry<'_>, alone: bool) -> Vec<Section> {
    let event = entry.event;
    let subject = match event.subject.kind {
        SubjectKind::User | SubjectKind::Group | SubjectKind::Agent => words.subject(event),
        SubjectKind::Source | SubjectKind::Channel => clean(&event.subject.name, NAME),
    };
    let mut facts = vec![(words.subject_kind(event.subject.kind).to_owned(), subject)];
    numbers(words, event, &mut facts);
    times(words, event, &mut facts);
    state(words, entry, &mut facts);
    rule(words, event, &mut facts);
    let heading = if alone { String::new() } else { about(words, event) };
    let mut sections = vec![Section { heading, facts, table: None, small: false }];
    if !event.readings.is_empty() {
        sections.push(readings(words, &event.readings.list(), event.subject.kind));
    }
    if let Some(clients) = &event.clients {
        sections.push(connections(words, clients, event.at));
    }
    sections.push(references(words, event));
    sections
}

fn numbers(words: Words, event: &Event, facts: &mut Facts) {
    if let Some(value) = event.value {
        let now = grounds::count(words, event, value.now, None);
        let first = grounds::count(words, event, value.first, Some(event.since));
        let peak = words.count(value.peak);
        let text = match words.language {
            Language::En => format!("{now} now, {first} at first, {peak} at most"),
            Language::ZhCn => format!("当前 {now}，首次 {first}，最多 {peak}"),
        };
        add(facts, words.say("Clients online", "在线客户端"), text);
    }
    if let Some(limit) = &event.limit {
        let origin = words.origin(limit);
        let text = match words.language {
            Language::En => format!("{}, set by {origin}", limit.value),
            Language::ZhCn => format!("{} 个，由{origin}设定", limit.value),
        };
        add(facts, words.say("Allowed", "允许"), text);
        if let Some(exception) = &limit.exception {
            add(facts, words.say("Exception", "例外"), deviation(words, exception));
        }
    }
    if let Some(signals) = grounds::all(words, event) {
        add(facts, words.say("Signals", "信号"), signals);
    }
    if let Some(detail) = &event.detail {
        add(facts, words.say("Detail", "详情"), clean(detail, SENTENCE));
    }
    if !event.users.is_empty() {
        add(facts, words.say("Users", "涉及用户"), users(words, &event.users));
    }
}

fn deviation(words: Words, exception: &Deviation) -> String {
    let (reason, owner) = (clean(&exception.reason, SENTENCE), clean(&exception.owner, NAME));
    let expires = exception.expires;
    match words.language {
        Language::En => format!("{reason}; owner {owner}, until {expires}"),
        Language::ZhCn => format!("{reason}；负责人 {owner}，有效期至 {expires}"),
    }
}

fn users(words: Words, users: &[String]) -> String {
    let shown: Vec<String> = users.iter().take(MOST_SHOWN).map(|user| clean(user, NAME)).collect();
    let shown = shown.join(words.say(", ", "、"));
    match users.len().saturating_sub(MOST_SHOWN) {
        0 => shown,
        more => match words.language {
            Language::En => format!("{shown} and {more} more"),
            Language::ZhCn => format!("{shown}，另有 {more} 个"),
        },
    }
}

fn times(words: Words, event: &Event, facts: &mut Facts) {
    add(facts, words.say("Since", "开始于"), words.instant(event.since));
    if let Some(fired) = event.fired_at {
        add(facts, words.say("Fired", "告警于"), words.instant(fired));
        if let Some(ended) = event.ended_at {
            add(facts, words.say("Ended", "结束于"), words.instant(ended));
            add(facts, words.say("Lasted", "告警时长"), words.span(ended.since(fired)));
        } else if event.kind != EventKind::Fired || fired != event.at {
            add(facts, words.say("Firing for", "已告警"), words.span(event.at.since(fired)));
        }
    }
    if words.zone != chrono_tz::Tz::UTC {
        add(facts, words.say("Time zone", "时区"), words.zone_name(event.at));
    }
}

/// Is it still so, and what was done about it?
fn state(words: Words, entry: &Entry<'_>, facts: &mut Facts) {
    let event = entry.event;
    let at = words.clock(event.at, event.since);
    let text = match (event.ended_at, event.reason, words.language) {
        (Some(_), Some(reason), Language::En) => format!("over: {}", words.reason(reason)),
        (Some(_), Some(reason), Language::ZhCn) => format!("已结束：{}", words.reason(reason)),
        (Some(_), None, _) => words.say("over", "已结束").to_owned(),
        (None, _, _) if event.kind == EventKind::Closed => words.say("closed", "已关闭").to_owned(),
        (None, _, Language::En) => format!("firing, as of {at}"),
        (None, _, Language::ZhCn) => format!("告警中（截至 {at}）"),
    };
    add(facts, words.say("State", "状态"), text);
    if !matches!(event.kind, EventKind::Fired | EventKind::Ended) {
        add(facts, words.say("This message", "本通知"), happened(words, entry));
    }
    add(facts, words.say("Severity", "级别"), words.severity(event.severity));
    if let Some(by) = &event.by {
        add(facts, words.say("By", "操作人"), clean(by, NAME));
    }
    if let Some(finding) = event.finding {
        add(facts, words.say("Finding", "结论"), words.finding(finding));
    }
    if let Some(note) = &event.note {
        add(facts, words.say("Note", "备注"), clean(note, SENTENCE));
    }
}

fn rule(words: Words, event: &Event, facts: &mut Facts) {
    let name = clean(&event.rule, NAME);
    let text = match &event.when {
        Some(when) => format!("{name}{}{}", words.say(": ", "："), clean(when, SENTENCE)),
        None => name,
    };
    add(facts, words.say("Rule", "规则"), text);
}

/// Small and last: what one copies into a ticket or a command.
fn references(words: Words, event: &Event) -> Section {
    let mut facts = Facts::new();
    if Own::of_name(&event.rule).is_none() {
        let blind = match event.blind.millis() {
            0 => words.say("none", "无").to_owned(),
            _ => words.span(event.blind),
        };
        add(&mut facts, words.say("Time without readings", "无读数时长"), blind);
    }
    if let Some(source) = &event.source {
        add(&mut facts, words.say("Source", "来源"), clean(source, NAME));
    }
    add(&mut facts, words.say("Episode", "告警编号"), clean(&event.episode, NAME));
    add(&mut facts, words.say("Event", "事件编号"), clean(&event.id, NAME));
    if !event.rule_version.is_empty() {
        add(&mut facts, words.say("Rule version", "规则版本"), clean(&event.rule_version, NAME));
    }
    if !event.request_ids.is_empty() {
        let ids: Vec<String> =
            event.request_ids.iter().take(MOST_SHOWN).map(|id| clean(&id.text(), NAME)).collect();
        add(&mut facts, words.say("Vendor's RequestIds", "云服务 RequestId"), ids.join(", "));
    }
    let heading = words.say("For reference", "备查").to_owned();
    Section { heading, facts, table: None, small: true }
}

/// Local time with the zone in the heading, UTC, the number, and how long after the poll's instant the answer came.
fn readings(words: Words, readings: &[EventReading], of: SubjectKind) -> Section {
    let shown = &readings[..readings.len().min(MOST_SHOWN)];
    let times: Vec<Time> = shown.iter().map(|reading| reading.at).collect();
    let ((date, local), beside) = (words.column(&times), words.utc_beside(&times));
    let utc = words.zone == chrono_tz::Tz::UTC;
    let mut head = vec![words.zone.to_string()];
    if !utc {
        head.push("UTC".to_owned());
    }
    head.push(words.say("Clients online", "在线客户端").to_owned());
    head.push(words.say("Answered after", "应答延迟").to_owned());
    let row = |(reading, (local, beside)): (&EventReading, (String, String))| {
        let mut row = vec![local];
        if !utc {
            row.push(beside);
        }
        row.push(words.reading(reading, of));
        row.push(reading.fetched_at().map_or_else(|| "-".to_owned(), |at| after(words, at, reading.at)));
        row
    };
    let mut rows: Vec<Vec<String>> = shown.iter().zip(local.into_iter().zip(beside)).map(row).collect();
    rows.extend(more(words, readings.len(), head.len()));
    let name = words.say("Readings that decided", "判定依据的读数");
    let heading = match (date, words.language) {
        (Some(date), Language::En) => format!("{name}, {date}"),
        (Some(date), Language::ZhCn) => format!("{name}（{date}）"),
        (None, _) => name.to_owned(),
    };
    Section { heading, facts: Vec::new(), table: Some(Table { head, rows }), small: false }
}

/// A last row of a table that says how many of `count` are left out, where any are.
fn more(words: Words, count: usize, columns: usize) -> Option<Vec<String>> {
    let left = count.checked_sub(MOST_SHOWN).filter(|left| *left > 0)?;
    let mut row = vec![String::new(); columns];
    row[0] = match words.language {
        Language::En => format!("and {left} more"),
        Language::ZhCn => format!("另有 {left} 个"),
    };
    Some(row)
}

/// Exact to the millisecond, so that the instant of the answer can be told from it: `2.3 s`.
fn after(words: Words, fetched: Time, at: Time) -> String {
    let millis = fetched.since(at).millis();
    let (sign, millis) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    let text = format!("{sign}{}.{:03}", millis / 1000, millis % 1000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} {}", words.say("s", "秒"))
}

fn connections(words: Words, clients: &[OnlineClient], at: Time) -> Section {
    let since = words.say("Online since", "上线时间");
    let head = vec![
        words.say("Tunnel address", "隧道地址").to_owned(),
        match words.language {
            Language::En => format!("{since}, {}", words.zone_name(at)),
            Language::ZhCn => format!("{since}，{}", words.zone_name(at)),
        },
    ];
    let row = |client: &OnlineClient| {
        let since = client.online_since.map_or_else(|| words.count(None), |at| words.instant(at));
        vec![clean(&client.address, NAME), since]
    };
    let mut rows: Vec<Vec<String>> = clients.iter().take(MOST_SHOWN).map(row).collect();
    rows.extend(more(words, clients.len(), head.len()));
    let name = words.say("Connections", "在线连接");
    let heading = match clients.len() {
        count if count > MOST_SHOWN => match words.language {
            Language::En => format!("{name}, {MOST_SHOWN} of {count}"),
            Language::ZhCn => format!("{name}（共 {count} 个，显示 {MOST_SHOWN} 个）"),
        },
        _ => name.to_owned(),
    };
    Section { heading, facts: Vec::new(), table: Some(Table { head, rows }), small: false }
}
