//! What may stand under a key, as the reader that asks for it has it: its type, its words, its bounds.
//!
//! Neighbours: every reader of a `section` says its form when it asks, `schema` writes all of them down for editors.
//! A part of its own because nobody else lists what a key takes: what the parser asks for is what editors are told.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::engine::time::Span;

/// What a key takes.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Form {
    /// Nobody has said yet.
    #[default]
    Unknown,
    Text,
    /// Not only spaces.
    Filled,
    Path,
    /// Small letters, digits and hyphens.
    Name,
    /// A name that people choose freely.
    Label,
    /// One of these.
    Choice(Vec<String>),
    Whole(RangeInclusive<i64>),
    Number(RangeInclusive<f64>),
    Boolean,
    Duration(RangeInclusive<Span>),
    /// A duration, or `n of m polls`.
    Hold,
    /// A duration, or years.
    Kept,
    Crontab,
    Date,
    Moment,
    /// A duration, or a moment.
    Offset,
    /// Where a secret is.
    Secret,
    /// The same, or a text.
    SecretOrPlain,
    /// One or several of them.
    Secrets,
    Texts,
    /// At least one.
    SomeTexts,
    Dates,
    /// Texts under names of the writer's own.
    Map,
    /// The same, with these words only.
    Words(Vec<String>),
    /// `[key]`
    Table,
    /// `[[key]]`
    Tables,
}

const DATE: &str = "[0-9]{4}-[0-9]{2}-[0-9]{2}";

impl Form {
    pub(super) fn choice<T>(among: &[(&str, T)]) -> Self {
        Self::Choice(among.iter().map(|(word, _)| (*word).to_owned()).collect())
    }

    /// As a JSON Schema. Dates, which JSON does not have, are texts, as editors take them. Of tables only the type.
    pub(super) fn schema(&self) -> Value {
        let span = span();
        let text = |pattern: &str| json!({ "type": "string", "pattern": format!("^({pattern})$") });
        let list = |of: Value| json!({ "type": "array", "items": of });
        match self {
            Self::Unknown => json!({}),
            Self::Text => json!({ "type": "string" }),
            Self::Filled => json!({ "type": "string", "pattern": "\\S" }),
            Self::Path => json!({ "type": "string", "minLength": 1 }),
            Self::Name => text("[a-z0-9-]{1,64}"),
            Self::Label => json!({ "type": "string", "pattern": "\\S", "maxLength": 100 }),
            Self::Choice(words) => json!({ "type": "string", "enum": words }),
            Self::Whole(range) => {
                json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
            }
            Self::Number(range) => {
                json!({ "type": "number", "minimum": range.start(), "maximum": range.end() })
            }
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Duration(_) => text(&span),
            Self::Hold => text(&format!("{span}|\\s*[0-9]+\\s+of\\s+[0-9]+\\s+polls\\s*")),
            Self::Kept => text(&format!("{span}|[0-9]+y")),
            Self::Crontab => text("\\s*(@[a-z]+|\\S+(\\s+\\S+){4,5})\\s*"),
            Self::Date => text(DATE),
            Self::Moment => text(&format!("{DATE}[Tt ].+")),
            Self::Offset => text(&format!("{span}|{DATE}[Tt ].+")),
            Self::Secret => secret(),
            Self::SecretOrPlain => json!({ "anyOf": [secret(), Self::Filled.schema()] }),
            Self::Secrets => {
                json!({ "anyOf": [secret(), { "type": "array", "items": secret(), "minItems": 1 }] })
            }
            Self::Texts => list(Self::Text.schema()),
            Self::SomeTexts => json!({ "type": "array", "items": Self::Text.schema(), "minItems": 1 }),
            Self::Dates => list(Self::Date.schema()),
            Self::Map => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            Self::Words(words) => {
                json!({ "type": "object", "additionalProperties": { "type": "string", "enum": words } })
            }
            Self::Table => json!({ "type": "object" }),
            Self::Tables => list(json!({ "type": "object" })),
        }
    }

    /// What a pattern cannot say, for people.
    pub(super) fn bounds(&self) -> Option<String> {
        let Self::Duration(range) = self else { return None };
        let endless = *range.start() == Span::ZERO && *range.end() >= Span::from_days(36_500);
        (!endless).then(|| format!("From {} to {}.", range.start(), range.end()))
    }
}

fn span() -> String {
    format!("[0-9]+({})", Span::units().collect::<Vec<_>>().join("|"))
}

fn secret() -> Value {
    let places =
        super::values::PLACES.map(|place| (place.to_owned(), json!({ "type": "string", "minLength": 1 })));
    json!({
        "type": "object",
        "properties": serde_json::Map::from_iter(places),
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
}
