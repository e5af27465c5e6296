//! The schema against the parser: the same keys, the same words, the same verdict on files.
//!
//! Neighbours: the example, the READMEs and `tests/data/config` give the files. A part of its own because a validator
//! that nobody here wrote stands in for editors.

use std::collections::BTreeSet;

use boon::{Compiler, SchemaIndex, Schemas};
use toml::Value as Toml;

use super::*;
use crate::config::{Config, Problems};

const KEPT: &str = include_str!("../../../rules.schema.json");

fn now() -> Time {
    "2026-11-22T03:05:00Z".parse().unwrap()
}

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, "rules.toml", Path::new("/nowhere"), now())
}

/// What an editor would make of files.
struct Editor {
    schemas: Schemas,
    rules: SchemaIndex,
}

impl Editor {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("mem:///rules.json", serde_json::from_str(KEPT).unwrap()).unwrap();
        let rules = compiler.compile("mem:///rules.json", &mut schemas).unwrap();
        Self { schemas, rules }
    }

    fn judge(&self, text: &str) -> Result<(), String> {
        let file: toml::Table = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
        self.schemas.validate(&json(&file.into()), self.rules).map_err(|e| format!("{e:#}"))
    }
}

/// Dates become texts, as editors hand them to schemas.
fn json(value: &Toml) -> Value {
    match value {
        Toml::String(text) => text.as_str().into(),
        Toml::Integer(number) => (*number).into(),
        Toml::Float(number) => (*number).into(),
        Toml::Boolean(yes) => (*yes).into(),
        Toml::Datetime(at) => at.to_string().into(),
        Toml::Array(list) => list.iter().map(json).collect(),
        Toml::Table(table) => table.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}

/// The example with every key in use that is only shown, as far as they can stand together.
fn full() -> String {
    EXAMPLE.replace("# timeout", "timeout").replace("# helo", "helo").replace("# budget", "budget")
}

#[test]
fn the_schema_that_is_kept_is_what_is_printed() {
    let printed = text();
    let differs = printed.lines().zip(KEPT.lines()).find(|(printed, kept)| printed != kept);
    assert!(printed == KEPT, "{differs:?}; write it anew: cargo run -- check --schema > rules.schema.json");
}

/// The shapes of all keys under a table of the schema.
fn shapes(table: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (key, under) in table["properties"].as_object().into_iter().flatten() {
        let shape = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let inner = if under["type"] == "array" { &under["items"] } else { under };
        if inner.get("additionalProperties") == Some(&false.into()) && inner.get("maxProperties").is_none() {
            shapes(inner, &shape, found);
        }
        found.insert(shape);
    }
}

#[test]
fn every_key_the_parser_asks_for_is_explained_and_no_other() {
    let schema: Value = serde_json::from_str(KEPT).unwrap();
    let mut told = BTreeSet::new();
    shapes(&schema, "", &mut told);
    let config = parse(EXAMPLE).unwrap();
    let asked: BTreeSet<String> = config.asked_keys().keys().cloned().collect();
    assert_eq!(told, asked);
    assert!(told.len() > 120, "{}", told.len());
    for (key, form) in config.asked_keys() {
        assert_ne!(*form, Form::Unknown, "{key} has no type");
        let place = key.split('.').fold(&schema, |at, key| {
            let at = if at["type"] == "array" { &at["items"] } else { at };
            &at["properties"][key]
        });
        let said = place["description"].as_str().unwrap_or_default();
        assert!(said.len() > 8 && said.ends_with('.'), "{key} is explained as {said:?}");
    }
    for (key, _) in DEFAULTS {
        assert!(told.contains(key), "{key} has a default and is no key");
    }
}

#[test]
fn editors_take_what_the_parser_takes() {
    let editor = Editor::new();
    let pages = [include_str!("../../../README.md"), include_str!("../../../README.zh-CN.md")];
    let of_page = |page: &str| -> Vec<String> {
        let blocks = page.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
        let flat = |block: &str| block.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
        blocks.map(flat).collect()
    };
    let pages: Vec<String> = pages.into_iter().flat_map(of_page).collect();
    assert!(pages.len() > 4);
    for file in pages.iter().map(String::as_str).chain([EXAMPLE, &full(), ""]) {
        editor.judge(file).unwrap_or_else(|e| panic!("{e}\n{file}"));
    }
}

#[test]
fn the_defaults_are_those_of_the_parser() {
    // Sources first and each key at its table's end, so that no place moves.
    let base = "[[source]]\nname = \"one\"\nkind = \"aliyun-sag\"\nregion = \"cn-shanghai\"\ninstance = \"sag-1\"\n\
        schedule = \"*/5 * * * *\"\nusers = [\"alice\"]\n#source\n[agent]\nnotify = [\"mail\"]\n#agent\n\
        [agent.retention]\n#agent.retention\n[[account]]\nname = \"main\"\naccess_key_id = { env = \"ID\" }\n\
        access_key_secret = { env = \"SECRET\" }\nrole_arn = \"acs:ram::1:role/reader\"\n#account\n[[rule]]\n\
        name = \"many\"\nwhen = \"online > 3\"\n#rule\n[[channel]]\nname = \"mail\"\nkind = \"email\"\n\
        server = \"mail.example.com\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n#channel\n[[channel]]\n\
        name = \"hook\"\nkind = \"webhook\"\nurl = \"https://example.com/\"\nsecret = { env = \"HOOK\" }\n#channel\n\
        [[test]]\nname = \"t\"\nexpect = [{ at = \"0m\", rule = \"many\", firing = [] }]\n#test\n[test.readings]\n\
        alice = \"1\"\n";
    let shown = |text: &str| {
        let config = parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let tests: Vec<_> = config.tests.iter().map(|test| (test.start, test.interval)).collect();
        let Config { agent, accounts, sources, rules, channels, .. } = config;
        format!("{agent:?} {accounts:?} {sources:?} {rules:?} {channels:?} {tests:?}")
    };
    let plain = shown(base);
    for (shape, value) in DEFAULTS {
        let (key, line) = (last(shape), format!("#{}\n", parent(shape)));
        // Only mails know TLS, and only webhooks private addresses.
        let value = if key == "start" { value.trim_matches('"') } else { value };
        let at = if key == "allow_private" { base.rfind(&line) } else { base.find(&line) }.unwrap();
        if shape == "account.chain" {
            continue; // It stands instead of keys.
        }
        let written = format!("{}{key} = {value}\n{}", &base[..at], &base[at..]);
        assert_eq!(shown(&written), plain, "{shape} = {value}");
    }
}

/// Every value of the example, at its path: another type, another word, a key that is not known, a key left out.
#[test]
fn both_refuse_what_is_wrong() {
    let editor = Editor::new();
    let mut file: toml::Table = EXAMPLE.parse().unwrap();
    // One test shows what tests hold.
    file["test"].as_array_mut().unwrap().truncate(1);
    let mut wrong = Vec::new();
    change(&file.clone().into(), &mut |changed| wrong.push(changed));
    assert!(wrong.len() > 300, "{}", wrong.len());
    let (mut both, mut alone) = (0, Vec::new());
    for file in wrong {
        let text = toml::to_string(&file).unwrap();
        let (editor, parser) = (editor.judge(&text), parse(&text));
        // The parser sees more: names that nothing defines, expressions, and what can stand together.
        match (editor, parser) {
            (Err(editor), Ok(_)) => alone.push(editor),
            (Err(_), Err(_)) => both += 1,
            (Ok(()), _) => {}
        }
    }
    assert!(alone.is_empty(), "only the schema refuses:\n{}", alone.join("\n"));
    assert!(both > 300, "{both}");
}

/// Hands out `value` with one thing in it changed, for each thing.
fn change(value: &Toml, hand: &mut dyn FnMut(Toml)) {
    match value {
        Toml::Table(table) => {
            let with = |key: &str, under: Option<Toml>| {
                let mut table = table.clone();
                match under {
                    Some(under) => table.insert(key.to_owned(), under),
                    None => table.remove(key),
                };
                Toml::Table(table)
            };
            hand(with("unheard-of", Some(Toml::Boolean(true))));
            for (key, under) in table {
                hand(with(key, None));
                change(under, &mut |changed| hand(with(key, Some(changed))));
            }
        }
        // The first of a kind stands for all.
        Toml::Array(list) => {
            let with = |at: usize, item: Toml| {
                let mut list = list.clone();
                list[at] = item;
                Toml::Array(list)
            };
            hand(Toml::Integer(1));
            for (at, item) in list.iter().enumerate().filter(|(at, _)| *at == 0 || list.len() < 4) {
                change(item, &mut |changed| hand(with(at, changed)));
            }
        }
        Toml::String(_) => {
            [Toml::Integer(-1), Toml::Boolean(true), Toml::String(" ".into()), Toml::Array(vec![])]
                .into_iter()
                .for_each(hand);
        }
        Toml::Integer(_) | Toml::Float(_) => {
            [Toml::Integer(-1), Toml::Integer(i64::MAX), Toml::String("7".into())].into_iter().for_each(hand);
        }
        Toml::Boolean(_) | Toml::Datetime(_) => {
            [Toml::Integer(1), Toml::String("yes".into())].into_iter().for_each(hand);
        }
    }
}

/// One mistake of each kind that a schema can see; both refuse each.
#[test]
fn a_corpus_of_wrong_files_is_refused_by_both() {
    let editor = Editor::new();
    let corpus = include_str!("../../../tests/data/config/wrong.toml");
    let mistakes: Vec<&str> = corpus.split("#---\n").skip(1).collect();
    assert!(mistakes.len() > 30, "{}", mistakes.len());
    for mistake in mistakes {
        assert!(editor.judge(mistake).is_err(), "the schema takes:\n{mistake}");
        let told = parse(mistake).map_or_else(|problems| problems.errors.len(), |_| 0);
        assert!(told > 0, "the parser takes:\n{mistake}");
    }
    let all = include_str!("../../../tests/data/config/mistakes.toml");
    assert!(editor.judge(all).is_err());
}
