//! Groups and exceptions: who belongs together, and who deviates, why and until when.
//!
//! Neighbours: `engine::fleet` holds what is read here, `scope` checks it against the users there are. A part of
//! its own because each table of the file has one file here.

use std::collections::HashMap;

use globset::{GlobBuilder, GlobMatcher};

use super::names::Names;
use super::section::{Section, Spanned};
use crate::engine::fleet::{Exception, Group};

/// The highest limit a file may state; no reading is above it.
pub(super) const HIGHEST: i64 = 100_000;

/// Globs in one list.
const MOST_GLOBS: usize = 10_000;

/// Reads one `[[group]]`.
pub(super) fn group(section: &mut Section<'_>, sources: &Names) -> Option<Group> {
    let name = section.label("name");
    let users = section.required_strings("users");
    let users = globs(section, "users", users);
    let source = source(section, sources);
    let limit = limit(section);
    let labels = section.string_map("labels");
    Some(Group { name: name?, users, source, limit, labels })
}

/// Reads one `[[exception]]`.
pub(super) fn exception(section: &mut Section<'_>, sources: &Names) -> Option<Exception> {
    let user = section.required_string("user");
    let source = source(section, sources);
    let limit = limit(section);
    let reason = section.required_string("reason");
    let owner = section.required_string("owner");
    let expires = if section.has("expires") { section.date("expires") } else { section.missing("expires") };
    Some(Exception { user: user?, source, limit, reason: reason?, owner: owner?, expires: expires? })
}

/// Reports a second exception for the same user and source.
#[derive(Debug, Default)]
pub(super) struct Exceptions(HashMap<(String, Option<String>), usize>);

impl Exceptions {
    pub(super) fn add(&mut self, section: &Section<'_>, one: &Exception) {
        let line = section.text.line(section.place("user").span.start);
        let first = *self.0.entry((one.user.clone(), one.source.clone())).or_insert(line);
        if first != line {
            let message = format!("{:?} has an exception already, in line {first}", one.user);
            section.error_at("user", &message, Some("keep one per user and source"));
        }
    }
}

fn source(section: &mut Section<'_>, sources: &Names) -> Option<String> {
    let source = section.spanned_string("source")?;
    sources.check(section, "source", source.span(), source.get_ref()).then(|| source.into_inner())
}

pub(super) fn limit(section: &mut Section<'_>) -> Option<u32> {
    section.integer("limit", 0..=HIGHEST).and_then(|limit| u32::try_from(limit).ok())
}

/// Compiles globs over user names; each one that is none is an error at its place.
pub(super) fn globs(section: &Section<'_>, key: &str, texts: Vec<Spanned<String>>) -> Vec<GlobMatcher> {
    if texts.len() > MOST_GLOBS {
        section.error_at(
            key,
            &format!("holds more than {MOST_GLOBS} names"),
            Some("use a pattern such as \"ext-*\""),
        );
        return Vec::new();
    }
    let compile = |text: Spanned<String>| match GlobBuilder::new(text.get_ref()).build() {
        Ok(_) if text.get_ref().is_empty() => {
            section.error_in(text.span(), key, "an empty name matches nobody", None);
            None
        }
        Ok(glob) => Some(glob.compile_matcher()),
        Err(error) => {
            let message = format!("{:?} is not a pattern: {}", text.get_ref(), error.kind());
            section.error_in(text.span(), key, &message, Some("* stands for any text, ? for one character"));
            None
        }
    };
    texts.into_iter().filter_map(compile).collect()
}
