//! The JSON Schema of the rules file (draft 7, which TOML editors know best), from what the parser asks for.
//!
//! Neighbours: `form` says what each key takes, the example explains each key, `check --schema` prints the schema, and
//! `rules.schema.json` keeps it. A part of its own because it is written down from what is there: a key that the
//! parser takes and editors do not know cannot be.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Form, walk, whole};
use crate::engine::time::Time;

/// Shows every key, with a sentence each.
const EXAMPLE: &str = include_str!("../../../rules.example.toml");

/// What holds where a key is not written, as JSON and as TOML.
pub const DEFAULTS: [(&str, &str); 27] = [
    ("agent.database", "\"seatwatch.db\""),
    ("agent.timezone", "\"UTC\""),
    ("agent.language", "\"en\""),
    ("agent.retention.readings", "\"400d\""),
    ("agent.retention.events", "\"3y\""),
    ("agent.retention.attempts", "\"90d\""),
    ("agent.retention.requests", "\"7d\""),
    ("account.requests_per_second", "1"),
    ("account.burst", "10"),
    ("account.chain", "false"),
    ("account.duration", "\"1h\""),
    ("account.role_session_name", "\"seatwatch\""),
    ("source.roster", "false"),
    ("source.roster_refresh", "\"1h\""),
    ("source.signature", "\"v3\""),
    ("source.connect_timeout", "\"5s\""),
    ("source.timeout", "\"15s\""),
    ("rule.severity", "\"medium\""),
    ("rule.for", "\"0s\""),
    ("rule.clear_for", "\"0s\""),
    ("rule.absent", "\"hold\""),
    ("rule.per", "\"user\""),
    ("rule.mode", "\"live\""),
    ("rule.on_leave", "\"hold\""),
    ("channel.tls", "\"implicit\""),
    ("channel.allow_private", "false"),
    ("test.start", "\"2026-01-05T00:00:00\""),
];

/// Tables whose keys depend on their `kind`.
const KINDS: &str = "channel.kind";

/// Of the keys in a group one must be there.
const ONE_OF: [(&str, &[&str]); 2] = [
    ("source", &["users", "users_file", "roster"]),
    ("account", &["access_key_id", "chain", "ecs_role", "credentials_uri", "oidc_provider_arn"]),
];

/// What the parser asked for in one reading.
struct Asked {
    forms: BTreeMap<String, Form>,
    /// Keys that it missed, by their shape.
    missed: Vec<String>,
}

fn ask(text: &str) -> Asked {
    let (config, problems) =
        walk("rules.toml", text, Path::new(""), |root| whole::read(root, Time::default()));
    let missed = problems.errors.iter().filter(|problem| {
        let key = problem.key.rsplit('.').next().unwrap_or_default();
        problem.message == "is missing" && problem.hint.as_deref() == Some(&format!("add {key} = …"))
    });
    let missed = missed.map(|problem| problem.key.replace("[0]", "")).collect();
    Asked { forms: config.map(|config| config.asked).unwrap_or_default(), missed }
}

/// The schema as it is printed and kept: indented, with a line's end at its end.
pub fn text() -> String {
    let asked = ask(EXAMPLE);
    let drawer = Drawer { sentences: sentences(), forms: asked.forms };
    let mut root = drawer.table("");
    let head = [
        ("$schema", "http://json-schema.org/draft-07/schema#"),
        ("title", "Seatwatch rules"),
        ("description", "The rules file of Seatwatch: what is polled, what is alerted on, and who is told."),
    ];
    root.extend(head.map(|(key, text)| (key.to_owned(), text.into())));
    format!("{:#}\n", Value::Object(root))
}

struct Drawer {
    sentences: BTreeMap<String, String>,
    forms: BTreeMap<String, Form>,
}

impl Drawer {
    /// The table of a shape, such as `rule`; of none: the file.
    fn table(&self, shape: &str) -> Map<String, Value> {
        let keys = self.forms.keys().filter(|key| parent(key) == shape);
        let properties: Map<String, Value> =
            keys.map(|key| (last(key).to_owned(), Value::Object(self.key(key)))).collect();
        let mut table = Map::from_iter([
            ("type".to_owned(), "object".into()),
            ("additionalProperties".to_owned(), false.into()),
            ("properties".to_owned(), properties.into()),
        ]);
        let missed = if shape.is_empty() { Vec::new() } else { self.required(shape, "") };
        if !missed.is_empty() {
            table.insert("required".to_owned(), missed.into());
        }
        if let Some((_, group)) = ONE_OF.iter().find(|(of, _)| *of == shape) {
            let one: Vec<Value> = group.iter().map(|key| json!({ "required": [key] })).collect();
            table.insert("anyOf".to_owned(), one.into());
        }
        if parent(KINDS) == shape {
            table.insert("allOf".to_owned(), self.kinds(shape).into());
        }
        table
    }

    fn key(&self, shape: &str) -> Map<String, Value> {
        let form = &self.forms[shape];
        let mut drawn = if *form == Form::Table {
            self.table(shape)
        } else if *form == Form::Tables {
            let table = self.table(shape);
            Map::from_iter([("type".to_owned(), "array".into()), ("items".to_owned(), table.into())])
        } else {
            form.schema().as_object().cloned().unwrap_or_default()
        };
        let of_rule = shape.replacen("defaults.", "rule.", 1);
        let mut said = self.sentences.get(shape).or_else(|| self.sentences.get(&of_rule)).cloned();
        if let (Some(said), Some(bounds)) = (&mut said, form.bounds()) {
            *said = format!("{said} {bounds}");
        }
        drawn.extend(said.map(|said| ("description".to_owned(), said.into())));
        let default = DEFAULTS.iter().find(|(key, _)| *key == shape);
        let default = default.and_then(|(_, value)| serde_json::from_str(value).ok());
        drawn.extend(default.map(|value: Value| ("default".to_owned(), value)));
        drawn
    }

    /// The keys that a table must have, by leaving all of them out.
    fn required(&self, shape: &str, rest: &str) -> Vec<String> {
        let mut text = String::new();
        for (end, _) in shape.match_indices('.').chain([(shape.len(), "")]) {
            let list = self.forms[&shape[..end]] == Form::Tables;
            let (open, close) = if list { ("[[", "]]") } else { ("[", "]") };
            text += &format!("{open}{}{close}\n", &shape[..end]);
        }
        let missed = ask(&format!("{text}{rest}")).missed;
        let mut keys: Vec<String> =
            missed.iter().filter(|key| parent(key) == shape).map(|key| last(key).to_owned()).collect();
        keys.sort_unstable();
        keys
    }

    /// For each kind what it needs, and that it has no keys of the others.
    fn kinds(&self, shape: &str) -> Vec<Value> {
        let Some(Form::Choice(kinds)) = self.forms.get(KINDS) else { return Vec::new() };
        let of_kind = |kind: &String| {
            let line = format!("kind = {kind:?}\n");
            let asked = ask(&format!("[[{shape}]]\n{line}")).forms;
            let others = self.forms.keys().filter(|key| parent(key) == shape && !asked.contains_key(*key));
            let others: Map<String, Value> = others.map(|key| (last(key).to_owned(), false.into())).collect();
            json!({
                "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] },
                "then": { "required": self.required(shape, &line), "properties": others },
            })
        };
        kinds.iter().map(of_kind).collect()
    }
}

fn parent(shape: &str) -> &str {
    shape.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn last(shape: &str) -> &str {
    shape.rsplit('.').next().unwrap_or_default()
}

/// What the example says of each key and table where it first says something.
fn sentences() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut table = "";
    for line in EXAMPLE.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let (code, said) = line.split_once(" # ").unwrap_or((line, ""));
        let shape = if code.starts_with('[') {
            table = code.trim_start_matches('[').split(']').next().unwrap_or_default();
            table.to_owned()
        } else if let Some((key, _)) = code.split_once(" = ") {
            format!("{table}.{key}")
        } else {
            continue;
        };
        if !said.is_empty() {
            found.entry(shape).or_insert_with(|| sentence(said));
        }
    }
    found
}

/// With a capital and a full stop.
fn sentence(said: &str) -> String {
    let mut rest = said.trim().chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    let said: String = first.into_iter().chain(rest).collect();
    if said.ends_with('.') { said } else { said + "." }
}

#[cfg(test)]
mod tests;
