//! A message as plain text: the text part of a mail, `--json`-less commands, a log.
//!
//! Neighbours: `mod` has the parts; HTML and JSON are the channels' affair. A part of its own because layout is no
//! matter of words.

use super::{Language, Message, Section, Table};

pub(super) fn render(message: &Message) -> String {
    let mut lines = vec![message.summary.clone()];
    for section in &message.sections {
        lines.push(String::new());
        section_lines(section, message.language, &mut lines);
    }
    if message.more > 0 {
        lines.push(match message.language {
            Language::En => format!("… and {} more", message.more),
            Language::ZhCn => format!("……另有 {} 条", message.more),
        });
    }
    if !message.footer.is_empty() {
        lines.push(String::new());
        lines.extend(message.footer.iter().cloned());
    }
    lines.push(String::new());
    lines.join("\n")
}

fn section_lines(section: &Section, language: Language, lines: &mut Vec<String>) {
    let colon = match language {
        Language::En => ": ",
        Language::ZhCn => "：",
    };
    if !section.heading.is_empty() {
        lines.push(format!("== {} ==", section.heading));
    }
    lines.extend(section.facts.iter().map(|(name, value)| format!("{name}{colon}{value}")));
    if let Some(Table { head, rows }) = &section.table {
        lines.push(head.join(" | "));
        lines.extend(rows.iter().map(|row| row.join(" | ")));
    }
}
