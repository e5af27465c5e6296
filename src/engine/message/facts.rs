//! The sections under a summary: every fact of an event, its readings, its clients; lists where there are many.
//!
//! Neighbours: `words` has the phrases, `mod` chooses the sections. A part of its own because evidence is complete
//! or it is none, and here one can see that it is.

use super::headline::happened;
use super::words::{NAME, SENTENCE, Words};
use super::{Entry, Language, MOST_SHOWN, Section, Table, clean};
use crate::engine::event::{Event, EventKind, OnlineClient};
use crate::engine::own::Own;

/// Everything about one event.
pub(super) fn of_event(words: Words, entry: &Entry<'_>) -> Vec<Section> {
    let event = entry.event;
    let heading = format!("{} – {}", clean(&event.rule, NAME), words.subject(event));
    let facts =
        [what(words, entry), values(words, event), times(words, event), origin(words, event)].concat();
    let mut sections = vec![Section { heading, facts, table: None }];
    if !event.readings.is_empty() {
        sections.push(Section {
            heading: words.say("Readings that decided", "判定依据的读数").to_owned(),
            facts: Vec::new(),
            table: Some(readings(words, event)),
        });
    }
    if let Some(clients) = &event.clients {
        sections.push(Section {
            heading: words.say("Clients online", "在线客户端").to_owned(),
            facts: Vec::new(),
            table: Some(connections(words, clients)),
        });
    }
    sections
}

type Facts = Vec<(String, String)>;

fn add(facts: &mut Facts, name: &str, value: impl Into<String>) {
    facts.push((name.to_owned(), value.into()));
}

fn what(words: Words, entry: &Entry<'_>) -> Facts {
    let (event, mut facts) = (entry.event, Vec::new());
    add(&mut facts, words.say("What happened", "事件"), happened(words, entry));
    add(&mut facts, words.say("Severity", "级别"), words.severity(event.severity));
    add(&mut facts, words.say("Subject", "对象"), words.subject(event));
    if let Some(source) = &event.source {
        add(&mut facts, words.say("Source", "来源"), clean(source, NAME));
    }
    add(&mut facts, words.say("Rule", "规则"), clean(&event.rule, NAME));
    if let Some(when) = &event.when {
        add(&mut facts, words.say("Condition", "条件"), clean(when, SENTENCE));
    }
    if let Some(detail) = &event.detail {
        add(&mut facts, words.say("Detail", "详情"), clean(detail, SENTENCE));
    }
    if !event.users.is_empty() {
        add(&mut facts, words.say("Users", "用户"), users(words, &event.users));
    }
    facts
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

fn values(words: Words, event: &Event) -> Facts {
    let mut facts = Vec::new();
    if let Some(value) = event.value {
        add(&mut facts, words.say("Online now", "当前在线"), words.count(value.now));
        add(&mut facts, words.say("At first breach", "首次违规时"), words.count(value.first));
        add(&mut facts, words.say("Peak", "峰值"), words.count(value.peak));
    }
    if let Some(limit) = &event.limit {
        let origin = words.origin(limit);
        let value = match words.language {
            Language::En => format!("{} ({origin})", limit.value),
            Language::ZhCn => format!("{}（{origin}）", limit.value),
        };
        add(&mut facts, words.say("Allowed", "允许"), value);
    }
    facts
}

fn times(words: Words, event: &Event) -> Facts {
    let mut facts = Vec::new();
    add(&mut facts, words.say("Since", "首次发现"), words.time(event.since));
    if let Some(fired) = event.fired_at {
        add(&mut facts, words.say("Fired at", "触发时间"), words.time(fired));
        if let Some(ended) = event.ended_at {
            add(&mut facts, words.say("Ended at", "结束时间"), words.time(ended));
            add(&mut facts, words.say("Lasted", "持续时长"), words.span(ended.since(fired)));
        } else if event.kind != EventKind::Fired {
            add(&mut facts, words.say("Firing for", "已持续"), words.span(event.at.since(fired)));
        }
    }
    if let Some(reason) = event.reason {
        add(&mut facts, words.say("Why it ended", "结束原因"), words.reason(reason));
    }
    if Own::of_name(&event.rule).is_none() {
        add(&mut facts, words.say("Blind time (no readings)", "无读数时长"), words.span(event.blind));
    }
    if let Some(by) = &event.by {
        add(&mut facts, words.say("By", "操作人"), clean(by, NAME));
    }
    if let Some(finding) = event.finding {
        add(&mut facts, words.say("Finding", "结论"), words.finding(finding));
    }
    if let Some(note) = &event.note {
        add(&mut facts, words.say("Note", "备注"), clean(note, SENTENCE));
    }
    facts
}

fn origin(words: Words, event: &Event) -> Facts {
    let mut facts = Vec::new();
    add(&mut facts, words.say("Episode", "告警编号"), clean(&event.episode, NAME));
    add(&mut facts, words.say("Event", "事件编号"), clean(&event.id, NAME));
    if !event.rule_version.is_empty() {
        add(&mut facts, words.say("Rule version", "规则版本"), clean(&event.rule_version, NAME));
    }
    if !event.request_ids.is_empty() {
        let ids: Vec<String> = event.request_ids.iter().take(MOST_SHOWN).map(|id| clean(id, NAME)).collect();
        add(&mut facts, words.say("Vendor's RequestIds", "云服务 RequestId"), ids.join(", "));
    }
    facts
}

fn readings(words: Words, event: &Event) -> Table {
    let head = [
        words.say("At", "时间"),
        words.say("Clients online", "在线客户端数"),
        words.say("Answered at", "应答时间"),
    ];
    let row = |reading: &crate::engine::event::EventReading| {
        let fetched = reading.fetched_at.map_or_else(|| "–".to_owned(), |at| words.time(at));
        vec![words.time(reading.at), words.reading(reading), fetched]
    };
    Table {
        head: head.map(str::to_owned).to_vec(),
        rows: event.readings.iter().take(MOST_SHOWN).map(row).collect(),
    }
}

fn connections(words: Words, clients: &[OnlineClient]) -> Table {
    let head = [words.say("Tunnel address", "隧道地址"), words.say("Online since", "上线时间")];
    let row = |client: &OnlineClient| {
        let since = client.online_since.map_or_else(|| words.count(None), |at| words.time(at));
        vec![clean(&client.address, NAME), since]
    };
    Table { head: head.map(str::to_owned).to_vec(), rows: clients.iter().take(MOST_SHOWN).map(row).collect() }
}

/// The gravest, then the oldest, at most [`MOST_SHOWN`].
pub(super) fn list(words: Words, entries: &[Entry<'_>]) -> Section {
    let mut order: Vec<&Entry<'_>> = entries.iter().collect();
    order.sort_by_key(|entry| (std::cmp::Reverse(entry.event.severity), entry.event.at));
    let head = [
        words.say("Severity", "级别"),
        words.say("What happened", "事件"),
        words.say("Rule", "规则"),
        words.say("Subject", "对象"),
        words.say("Online now", "当前在线"),
        words.say("Peak", "峰值"),
        words.say("Allowed", "允许"),
        words.say("At", "时间"),
        words.say("Episode", "告警编号"),
    ];
    let dash = |value: Option<u32>| value.map_or_else(|| "–".to_owned(), |value| value.to_string());
    let row = |entry: &&Entry<'_>| {
        let event = entry.event;
        vec![
            words.severity(event.severity).to_owned(),
            happened(words, entry),
            clean(&event.rule, NAME),
            words.subject(event),
            dash(event.value.and_then(|value| value.now)),
            dash(event.value.and_then(|value| value.peak)),
            dash(event.limit.as_ref().map(|limit| limit.value)),
            words.time(event.at),
            clean(&event.episode, NAME),
        ]
    };
    let heading = if entries.len() > MOST_SHOWN {
        words.say("The first 20, gravest and oldest first", "前 20 条（按级别和时间排序）")
    } else {
        words.say("All of them, gravest and oldest first", "全部（按级别和时间排序）")
    };
    Section {
        heading: heading.to_owned(),
        facts: Vec::new(),
        table: Some(Table {
            head: head.map(str::to_owned).to_vec(),
            rows: order.iter().take(MOST_SHOWN).map(row).collect(),
        }),
    }
}

/// How many of which rule, in the order rules first appear; the rest of very many rules in one line.
pub(super) fn counts(words: Words, entries: &[Entry<'_>]) -> Section {
    let mut rules: Vec<(String, Vec<Entry<'_>>)> = Vec::new();
    for entry in entries {
        match rules.iter_mut().find(|(rule, _)| *rule == entry.event.rule) {
            Some((_, list)) => list.push(*entry),
            None => rules.push((entry.event.rule.clone(), vec![*entry])),
        }
    }
    let more = rules.len().saturating_sub(MOST_SHOWN);
    let mut facts: Facts = Vec::new();
    for (rule, list) in rules.iter().take(MOST_SHOWN) {
        facts.push((clean(rule, NAME), super::headline::tally(words, list)));
    }
    if more > 0 {
        facts.push((words.say("more rules", "其他规则").to_owned(), more.to_string()));
    }
    Section { heading: words.say("By rule", "按规则统计").to_owned(), facts, table: None }
}
