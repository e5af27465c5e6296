//! A message as HTML: what mail clients show, equal in meaning to the text part.
//!
//! Neighbours: `mime` puts it beside the text part; the words are `engine::message`'s. A part of its own because
//! everything foreign has to be escaped in one place. Styles stand inline and nothing is loaded: mail clients drop
//! style sheets and block remote content, and a security mail must not call home. Text takes the reader's own colours,
//! light or dark; only the band on top has both its colours set.

use crate::engine::event::Severity;
use crate::engine::message::{Message, Section, Table, Tone};

const HEAD: &str = "<meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"supported-color-schemes\" content=\"light dark\">";
const BODY: &str = "margin:0;padding:12px;font:15px/1.45 -apple-system,'Segoe UI',Roboto,'PingFang SC',\
'Microsoft YaHei','Noto Sans CJK SC',Arial,sans-serif";
const BAND: &str = "margin:0 0 12px;padding:8px 12px;border-radius:4px;font-size:17px;line-height:1.3;\
color:#ffffff;overflow-wrap:anywhere";
const SUMMARY: &str = "margin:0 0 12px;font-size:17px;overflow-wrap:anywhere";
const HEADING: &str = "margin:20px 0 4px;font-size:15px";
const SMALL_HEADING: &str = "margin:20px 0 4px;font-size:12px;opacity:.75";
const FACTS: &str = "border-collapse:collapse;font-size:15px;line-height:1.45";
const SMALL_FACTS: &str = "border-collapse:collapse;font-size:12px;line-height:1.4;opacity:.75";
const NAME: &str = "padding:1px 14px 1px 0;vertical-align:top;text-align:left;font-weight:normal;opacity:.75;\
min-width:96px";
const VALUE: &str = "padding:1px 0;vertical-align:top;overflow-wrap:anywhere";
const TABLE: &str =
    "border-collapse:collapse;font-size:14px;line-height:1.35;font-variant-numeric:tabular-nums";
const TH: &str = "padding:2px 14px 2px 0;border-bottom:1px solid #999999;text-align:left;vertical-align:bottom;\
font-weight:600";
const TD: &str = "padding:2px 14px 2px 0;border-bottom:1px solid #99999955;vertical-align:top";
const FOOTER: &str = "margin:20px 0 0;font-size:12px;opacity:.75;overflow-wrap:anywhere";

/// Behind white text, each at least 4.5 : 1 (WCAG 2.2, 1.4.3).
fn band(tone: Tone) -> &'static str {
    match tone {
        Tone::Calm => "#4b5563",
        Tone::Over => "#1e7a3c",
        Tone::Grave(Severity::Info) => "#2563a8",
        Tone::Grave(Severity::Low) => "#2f6f8f",
        Tone::Grave(Severity::Medium) => "#8a6100",
        Tone::Grave(Severity::High) => "#b84300",
        Tone::Grave(Severity::Critical) => "#b3001b",
    }
}

pub(super) fn render(message: &Message) -> String {
    let (language, color) = (message.language.code(), band(message.tone));
    let title = escape(&message.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\"><head>{HEAD}<title>{title}</title></head>\n\
         <body style=\"{BODY}\"><div style=\"max-width:720px\">\n\
         <h1 bgcolor=\"{color}\" style=\"{BAND};background:{color}\">{title}</h1>\n"
    );
    if !message.summary.is_empty() {
        out.push_str(&format!("<p style=\"{SUMMARY}\">{}</p>\n", escape(&message.summary)));
    }
    for section in &message.sections {
        render_section(&mut out, section);
    }
    if let Some(omitted) = message.omitted() {
        out.push_str(&format!("<p style=\"{HEADING}\">{}</p>\n", escape(&omitted)));
    }
    if !message.footer.is_empty() {
        let lines: Vec<_> = message.footer.iter().map(|line| escape(line)).collect();
        out.push_str(&format!("<p style=\"{FOOTER}\">{}</p>\n", lines.join("<br>\n")));
    }
    out.push_str("</div></body></html>\n");
    out
}

fn render_section(out: &mut String, section: &Section) {
    let (heading, facts) = if section.small { (SMALL_HEADING, SMALL_FACTS) } else { (HEADING, FACTS) };
    if !section.heading.is_empty() {
        out.push_str(&format!("<h2 style=\"{heading}\">{}</h2>\n", escape(&section.heading)));
    }
    if !section.facts.is_empty() {
        out.push_str(&format!("<table role=\"presentation\" style=\"{facts}\">\n"));
        for (name, value) in &section.facts {
            let (name, value) = (escape(name), escape(value));
            out.push_str(&format!(
                "<tr><th style=\"{NAME}\">{name}</th><td style=\"{VALUE}\">{value}</td></tr>\n"
            ));
        }
        out.push_str("</table>\n");
    }
    if let Some(table) = &section.table {
        render_table(out, table);
    }
}

fn render_table(out: &mut String, table: &Table) {
    let row = |tag: &str, style: &str, cells: &[String]| {
        let cells = cells.iter().map(|cell| format!("<{tag} style=\"{style}\">{}</{tag}>", escape(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    // On a narrow screen a wide table moves within its frame, and the page stays as wide as the screen.
    out.push_str(&format!("<div style=\"overflow-x:auto\"><table style=\"{TABLE}\">\n"));
    if !table.head.is_empty() {
        out.push_str(&row("th", TH, &table.head));
    }
    for cells in &table.rows {
        out.push_str(&row("td", TD, cells));
    }
    out.push_str("</table></div>\n");
}

/// Text for element content and quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}
