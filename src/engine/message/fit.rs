//! A message that is too large for its channel, made smaller.
//!
//! Neighbours: channels know their sizes and ask through [`Message::shorten`]. A part of its own because what is left
//! out must be said in words, once, and words belong here.

use super::{Language, Message};

const CUT: [&str; 2] =
    ["Shortened to fit; the rest is in the database.", "内容过长，已截断；完整内容见数据库。"];

/// Later sections go first, then rows, then facts.
pub(super) fn shorten(message: &mut Message) -> bool {
    if !halve(message) {
        return false;
    }
    let cut = match message.language {
        Language::En => CUT[0],
        Language::ZhCn => CUT[1],
    };
    if message.footer.last().is_none_or(|line| line != cut) {
        message.footer.push(cut.to_owned());
    }
    true
}

fn halve(message: &mut Message) -> bool {
    let all = message.sections.len();
    if all > 1 {
        message.sections.truncate(all / 2);
        return true;
    }
    let Some(section) = message.sections.first_mut() else { return false };
    match &mut section.table {
        Some(table) if table.rows.len() > 1 => table.rows.truncate(table.rows.len() / 2),
        Some(_) => section.table = None,
        None if section.facts.len() > 1 => section.facts.truncate(section.facts.len() / 2),
        None => {
            message.sections.clear();
        }
    }
    true
}
