//! A message as HTML: what mail clients show, equal in meaning to the text part.
//!
//! Neighbours: `mime` puts it beside the text part; the words are `engine::message`'s. A part of its own because
//! everything foreign has to be escaped in one place. Styles stand inline and nothing is loaded: mail clients drop
//! style sheets and block remote content, and a security mail must not call home.

use crate::engine::message::{Message, Section, Table};

const BODY: &str = "margin:0;padding:16px;background:#ffffff;color:#1a1a1a;font:15px/1.5 -apple-system,'Segoe UI',\
Roboto,'PingFang SC','Microsoft YaHei',Arial,sans-serif";
const HEADING: &str = "margin:20px 0 6px;font-size:16px";
const NAME: &str =
    "padding:2px 16px 2px 0;color:#555555;vertical-align:top;text-align:left;font-weight:normal";
const VALUE: &str = "padding:2px 0;vertical-align:top;overflow-wrap:anywhere";
const HEAD: &str = "padding:3px 14px 3px 0;border-bottom:1px solid #bbbbbb;color:#555555;text-align:left";
const CELL: &str = "padding:3px 14px 3px 0;border-bottom:1px solid #eeeeee;overflow-wrap:anywhere";
const SMALL: &str = "margin:8px 0;border-collapse:collapse;font-size:13px";
const FOOTER: &str = "margin-top:24px;color:#666666;font-size:12px";

pub(super) fn render(message: &Message) -> String {
    let language = message.language.code();
    let title = escape(&message.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"{BODY}\"><div style=\"max-width:720px\">\n\
         <h1 style=\"margin:0 0 8px;font-size:19px\">{title}</h1>\n"
    );
    if !message.summary.is_empty() {
        out.push_str(&format!("<p style=\"margin:0 0 8px\">{}</p>\n", escape(&message.summary)));
    }
    for section in &message.sections {
        render_section(&mut out, section);
    }
    if message.more > 0 {
        out.push_str(&format!("<p style=\"{HEADING}\">+ {} …</p>\n", message.more));
    }
    if !message.footer.is_empty() {
        let lines: Vec<_> = message.footer.iter().map(|line| escape(line)).collect();
        out.push_str(&format!("<p style=\"{FOOTER}\">{}</p>\n", lines.join("<br>\n")));
    }
    out.push_str("</div></body></html>\n");
    out
}

fn render_section(out: &mut String, section: &Section) {
    if !section.heading.is_empty() {
        out.push_str(&format!("<h2 style=\"{HEADING}\">{}</h2>\n", escape(&section.heading)));
    }
    if !section.facts.is_empty() {
        out.push_str("<table role=\"presentation\" style=\"border-collapse:collapse\">\n");
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
    out.push_str(&format!("<table style=\"{SMALL}\">\n"));
    if !table.head.is_empty() {
        out.push_str(&row("th", HEAD, &table.head));
    }
    for cells in &table.rows {
        out.push_str(&row("td", CELL, cells));
    }
    out.push_str("</table>\n");
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
