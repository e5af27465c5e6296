//! Many events in one message: a table of them, and how many of which rule.
//!
//! Neighbours: `facts` tells single events whole, `headline` counts for a title. A part of its own because a list is
//! for choosing where to look first, and shows of each event only what that takes.

use super::facts::Facts;
use super::headline::{alike, happened, tally};
use super::words::{NAME, Words};
use super::{Entry, Language, MOST_SHOWN, Section, Table, clean};
use crate::engine::time::Time;

/// `ep_` and eight characters: a prefix that commands take for the whole id.
const EPISODE: usize = 11;

/// The gravest, then the oldest, at most [`MOST_SHOWN`]; a table for each rule, all under one heading.
pub(super) fn list(words: Words, entries: &[Entry<'_>]) -> Vec<Section> {
    let mut order: Vec<Entry<'_>> = entries.to_vec();
    order.sort_by_key(|entry| (std::cmp::Reverse(entry.event.severity), entry.event.at));
    order.truncate(MOST_SHOWN);
    let (date, times) = words.column(&order.iter().map(|entry| entry.event.at).collect::<Vec<Time>>());
    let newest = entries.iter().map(|entry| entry.event.at).max().unwrap_or_default();
    let zone = words.zone_name(newest);
    let times_in = date.map_or_else(|| zone.clone(), |date| format!("{date} {zone}"));
    let mut rules: Vec<(&str, Vec<(Entry<'_>, String)>)> = Vec::new();
    for (entry, time) in order.iter().zip(times) {
        match rules.iter_mut().find(|(rule, _)| *rule == entry.event.rule) {
            Some((_, list)) => list.push((*entry, time)),
            None => rules.push((&entry.event.rule, vec![(*entry, time)])),
        }
    }
    // What is the same for all is in the title.
    if alike(entries) {
        let rows = rules.into_iter().flat_map(|(_, rows)| rows).collect();
        let heading = heading(words, entries.len(), &times_in);
        return vec![Section { heading, table: Some(table(words, rows, false)), ..Section::default() }];
    }
    let mut sections = vec![counts(words, entries, times_in)];
    sections.extend(rules.into_iter().map(|(rule, rows)| Section {
        heading: clean(rule, NAME),
        table: Some(table(words, rows, true)),
        ..Section::default()
    }));
    sections
}

fn table(words: Words, rows: Vec<(Entry<'_>, String)>, mixed: bool) -> Table {
    let mut head = vec![words.say("Subject", "对象")];
    if mixed {
        head.push(words.say("What", "事件"));
    }
    head.extend([
        words.say("Online", "在线"),
        words.say("Allowed", "允许"),
        words.say("Peak", "峰值"),
        words.say("At", "时间"),
        words.say("Episode", "告警编号"),
    ]);
    let dash = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let row = |(entry, time): (Entry<'_>, String)| {
        let event = entry.event;
        let mut row = vec![words.subject(event)];
        if mixed {
            let (comma, severity) = (words.say(", ", "，"), words.severity(event.severity));
            row.push(format!("{}{comma}{severity}", happened(words, &entry)));
        }
        row.extend([
            dash(event.value.and_then(|value| value.now)),
            dash(event.limit.as_ref().map(|limit| limit.value)),
            dash(event.value.and_then(|value| value.peak)),
            time,
            clean(&event.episode, NAME).chars().take(EPISODE).collect(),
        ]);
        row
    };
    Table { head: head.into_iter().map(str::to_owned).collect(), rows: rows.into_iter().map(row).collect() }
}

/// How many are shown, and what the times in it are.
fn heading(words: Words, count: usize, times_in: &str) -> String {
    let shown = shown(words, count);
    match words.language {
        Language::En => format!("{shown}, times: {times_in}"),
        Language::ZhCn => format!("{shown}，时间：{times_in}"),
    }
}

fn shown(words: Words, count: usize) -> String {
    match (count > MOST_SHOWN, words.language) {
        (true, Language::En) => format!("{MOST_SHOWN} of {count}, gravest first"),
        (true, Language::ZhCn) => format!("共 {count} 条，显示最严重的 {MOST_SHOWN} 条"),
        (false, Language::En) => format!("All {count}, gravest first"),
        (false, Language::ZhCn) => format!("全部 {count} 条，按级别排序"),
    }
}

/// How many of which rule, in the order rules first appear; the rest of very many rules in one line.
fn counts(words: Words, entries: &[Entry<'_>], times_in: String) -> Section {
    let mut rules: Vec<(&str, Vec<Entry<'_>>)> = Vec::new();
    for entry in entries {
        match rules.iter_mut().find(|(rule, _)| *rule == entry.event.rule) {
            Some((_, list)) => list.push(*entry),
            None => rules.push((&entry.event.rule, vec![*entry])),
        }
    }
    let more = rules.len().saturating_sub(MOST_SHOWN);
    let mut facts = Facts::new();
    for (rule, list) in rules.iter().take(MOST_SHOWN) {
        facts.push((clean(rule, NAME), tally(words, list)));
    }
    if more > 0 {
        facts.push((words.say("more rules", "其他规则").to_owned(), more.to_string()));
    }
    facts.push((words.say("Shown below", "下面列出").to_owned(), shown(words, entries.len())));
    facts.push((words.say("Times", "时间").to_owned(), times_in));
    Section { heading: words.say("By rule", "按规则统计").to_owned(), facts, ..Section::default() }
}
