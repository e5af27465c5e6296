//! Every word a person reads about an alert, in each language, before any channel gives it a form.
//!
//! Neighbours: `notify` says what travels together, channels turn a [`Message`] into mail or JSON. A part of its
//! own so that there is one place to read what people are told, and one sanitiser in front of it.

mod clean;
mod facts;
mod fit;
mod grounds;
mod headline;
mod lists;
pub(in crate::engine) mod own;
mod sentence;
pub(crate) mod text;
mod words;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono_tz::Tz;

use super::event::{Event, EventKind, Severity};
use super::notify::{Notice, NoticeKind};
use super::own::Own;
use words::{NAME, Words};

pub use clean::clean;

/// What messages, pages and reports are written in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Language {
    #[default]
    En,
    ZhCn,
}

impl Language {
    /// As the rules file and webhook bodies write it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// None for a language that is not spoken here.
    pub fn of_code(code: &str) -> Option<Self> {
        [Self::En, Self::ZhCn].into_iter().find(|language| language.code() == code)
    }
}

/// A message without a form: sanitised text in one language. Channels escape it for theirs and add nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub language: Language,
    /// One line of at most 200 characters.
    pub title: String,
    pub tone: Tone,
    /// A sentence or two: `text` of a webhook.
    pub summary: String,
    pub sections: Vec<Section>,
    /// Subjects that are counted and not shown.
    pub more: u32,
    pub footer: Vec<String>,
}

/// What a message looks like where there are colours; the words say it too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tone {
    /// Nothing is the matter: a test.
    #[default]
    Calm,
    /// It is over, for all that the message tells of.
    Over,
    /// As bad as the worst of what it tells of.
    Grave(Severity),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Section {
    /// May be empty.
    pub heading: String,
    /// Name and value.
    pub facts: Vec<(String, String)>,
    pub table: Option<Table>,
    /// For looking up, not for reading.
    pub small: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Subjects, readings, users and rules that a message shows; the rest is counted.
pub const MOST_SHOWN: usize = 20;
/// Up to so many events are shown with all their evidence; more are a list, and `alerts show` has the rest.
const MOST_WHOLE: usize = 3;

/// What a message tells as one thing: an event, or the end of an episode whose beginning it also tells.
#[derive(Clone, Copy)]
struct Entry<'a> {
    event: &'a Event,
    both: bool,
}

/// An episode that fired and ended within one notice is one entry: its *ended* event, which has all the facts.
fn entries(events: &[Arc<Event>]) -> Vec<Entry<'_>> {
    let of = |kind: EventKind| -> BTreeSet<&str> {
        events.iter().filter(|e| e.kind == kind).map(|e| e.episode.as_str()).collect()
    };
    let (fired, ended) = (of(EventKind::Fired), of(EventKind::Ended));
    let both =
        |event: &Event| fired.contains(event.episode.as_str()) && ended.contains(event.episode.as_str());
    let told = events.iter().filter(|event| event.kind == EventKind::Ended || !both(event));
    told.map(|event| Entry { event, both: both(event) }).collect()
}

/// The words for a notice, with local times in `zone` (named beside them) and UTC.
pub fn compose(notice: &Notice, language: Language, zone: Tz) -> Message {
    let words = Words { language, zone };
    if notice.kind == NoticeKind::Test {
        return test(words, &notice.channel);
    }
    let entries = entries(&notice.events);
    let mut sections = Vec::new();
    if entries.len() > 1 {
        sections.extend(lists::list(words, &entries));
    }
    if entries.len() <= MOST_WHOLE {
        let alone = entries.len() == 1;
        sections.extend(entries.iter().flat_map(|entry| facts::of_event(words, entry, alone)));
    }
    Message {
        language,
        title: headline::title(words, &entries),
        tone: tone(&entries),
        summary: headline::summary(words, &entries),
        sections,
        more: u32::try_from(entries.len().saturating_sub(MOST_SHOWN)).unwrap_or(u32::MAX),
        footer: footer(words, &entries),
    }
}

fn tone(entries: &[Entry<'_>]) -> Tone {
    if !entries.is_empty() && entries.iter().all(|entry| entry.event.kind == EventKind::Ended) {
        return Tone::Over;
    }
    entries.iter().map(|entry| entry.event.severity).max().map_or(Tone::Calm, Tone::Grave)
}

fn test(words: Words, channel: &str) -> Message {
    let channel = clean(channel, NAME);
    let (title, summary) = match words.language {
        Language::En => (
            format!("[test] Seatwatch test of channel {channel}"),
            format!(
                "This is a test of channel {channel}. Nothing has happened, and nothing needs to be done."
            ),
        ),
        Language::ZhCn => (
            format!("[测试] Seatwatch 渠道 {channel} 测试"),
            format!("这是对渠道 {channel} 的测试。没有发生任何事件，无需处理。"),
        ),
    };
    let (title, sections, footer) = (clean(&title, 200), Vec::new(), Vec::new());
    Message { language: words.language, title, tone: Tone::Calm, summary, sections, more: 0, footer }
}

/// What the numbers do not mean, and where the rest is.
fn footer(words: Words, entries: &[Entry<'_>]) -> Vec<String> {
    let mut lines = Vec::new();
    let shown = entries.len() <= MOST_WHOLE;
    if entries.iter().any(|entry| Own::of_name(&entry.event.rule).is_none()) {
        lines.push(words.say(
            "Counts are of online clients (connections), not of people: one person with several devices counts several times.",
            "以上是在线客户端（连接）的数量，不是人数：一个人使用多台设备会计为多个。",
        ));
    }
    if shown && entries.iter().any(|entry| entry.event.clients.is_some()) {
        lines.push(words.say(
            "Tunnel addresses are given out by the gateway; they say nothing about where a client is.",
            "隧道地址由网关分配，不代表客户端所在的地点。",
        ));
    }
    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    lines.push(match entries {
        [entry] => format!(
            "{}seatwatch alerts show {}",
            words.say("All about it: ", "完整记录："),
            clean(&entry.event.episode, NAME)
        ),
        _ => words
            .say(
                "All about one: seatwatch alerts show EPISODE",
                "单条告警的完整记录：seatwatch alerts show 告警编号",
            )
            .to_owned(),
    });
    lines
}

impl Message {
    /// The message as plain text, lines ended by `\n`. Its own lines alone end lines: foreign text is clean.
    pub fn text(&self) -> String {
        text::render(self)
    }

    /// The line that says how many subjects are not shown; None when all are.
    pub fn omitted(&self) -> Option<String> {
        (self.more > 0).then(|| match self.language {
            Language::En => format!("... and {} more", self.more),
            Language::ZhCn => format!("……另有 {} 条", self.more),
        })
    }

    /// Leaves out half of what there is most of, and says so; false when nothing is left to leave out.
    pub fn shorten(&mut self) -> bool {
        fit::shorten(self)
    }
}

#[cfg(test)]
mod tests;
