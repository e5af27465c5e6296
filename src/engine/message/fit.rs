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

#[cfg(test)]
mod tests {
    use super::super::{Section, Table, Tone};
    use super::*;

    fn section(facts: usize, rows: Option<usize>) -> Section {
        let row = |n: usize| vec![n.to_string()];
        Section {
            heading: "heading".to_owned(),
            facts: (0..facts).map(|n| (n.to_string(), n.to_string())).collect(),
            table: rows.map(|rows| Table { head: vec!["n".to_owned()], rows: (0..rows).map(row).collect() }),
            ..Section::default()
        }
    }

    fn of(sections: Vec<Section>, language: Language) -> Message {
        Message {
            language,
            title: "title".to_owned(),
            tone: Tone::Calm,
            summary: "summary".to_owned(),
            sections,
            more: 0,
            footer: vec!["footer".to_owned()],
        }
    }

    #[test]
    fn what_came_last_goes_first_and_it_is_said_once() {
        let three = (0..3).map(|_| section(4, Some(5))).collect();
        let mut message = of(three, Language::En);
        let mut seen = Vec::new();
        while message.shorten() {
            assert_eq!(message.footer, ["footer", CUT[0]]);
            let left = message.sections.first().map(|one| {
                (
                    one.facts.len(),
                    one.table.as_ref().map(|table| table.rows.iter().flatten().cloned().collect::<String>()),
                )
            });
            seen.push((message.sections.len(), left));
        }
        let rows = |rows: &str| Some(rows.to_owned());
        let expect = [
            (1, Some((4, rows("01234")))),
            (1, Some((4, rows("01")))),
            (1, Some((4, rows("0")))),
            (1, Some((4, None))),
            (1, Some((2, None))),
            (1, Some((1, None))),
            (0, None),
        ];
        assert_eq!(seen, expect);
        let mut message = of(vec![section(0, None); 4], Language::ZhCn);
        assert!(message.shorten());
        assert_eq!((message.sections.len(), message.footer[1].as_str()), (2, CUT[1]));
    }
}
