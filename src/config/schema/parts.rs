//! What the schemas have in common: lengths of time, rates, names, texts with holes, and short ways to write them. Knows no file.

use serde_json::{Map, Value, json};

pub const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A whole schema: the file's own, with the parts that it may refer to.
pub fn document(title: &str, description: &str, root: Value) -> Value {
    let head = json!({ "$schema": DRAFT, "title": title, "description": description });
    merged([head, root, json!({ "$defs": shared() })])
}

/// A map of exactly these fields.
pub fn object(required: &[&str], fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let fields: Map<String, Value> = fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    let object = json!({ "type": "object", "additionalProperties": false, "properties": fields });
    if required.is_empty() { object } else { merged([object, json!({ "required": required })]) }
}

/// A map whose keys are names of the user's own.
pub fn named(of: Value) -> Value {
    json!({ "type": "object", "additionalProperties": of, "propertyNames": { "pattern": "^[a-z][a-z0-9_-]{0,63}$" } })
}

/// A map from text to text; in HTTP headers, labels and the like.
pub fn text_map(of: Value) -> Value {
    json!({ "type": "object", "additionalProperties": of })
}

pub fn list(of: Value) -> Value {
    json!({ "type": "array", "items": of })
}

pub fn one_or_many(of: Value) -> Value {
    json!({ "anyOf": [of, { "type": "array", "items": of }] })
}

/// One of some words, each with what it means.
pub fn words(words: &[(&str, &str)]) -> Value {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let meanings: Vec<&str> = words.iter().map(|(_, meaning)| *meaning).collect();
    let all = words.iter().filter(|(_, meaning)| !meaning.is_empty());
    let described: String = all.map(|(word, meaning)| format!("\n- `{word}`: {meaning}")).collect();
    json!({ "type": "string", "enum": names, "enumDescriptions": meanings, "description": described.trim_start() })
}

/// The schema with what a person reads about it; in front of what it says of itself.
pub fn about(description: &str, schema: Value) -> Value {
    let own = schema.get("description").and_then(Value::as_str).map(|own| format!("\n\n{own}")).unwrap_or_default();
    merged([schema, json!({ "description": format!("{description}{own}") })])
}

pub fn text() -> Value {
    json!({ "type": "string" })
}

pub fn words_of_text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

pub fn span() -> Value {
    json!({ "$ref": "#/$defs/span" })
}

pub fn rate() -> Value {
    json!({ "$ref": "#/$defs/rate" })
}

pub fn condition() -> Value {
    json!({ "$ref": "#/$defs/condition" })
}

pub fn secret() -> Value {
    json!({ "$ref": "#/$defs/secret" })
}

pub fn priority() -> Value {
    json!({ "$ref": "#/$defs/priority" })
}

pub fn matchers() -> Value {
    one_or_many(json!({ "$ref": "#/$defs/matcher" }))
}

/// A text that is one hole and keeps the type of what it inserts, so that any type may stand for it.
pub fn hole() -> Value {
    json!({ "type": "string", "pattern": "\\{\\{" })
}

pub fn or_hole(schema: Value) -> Value {
    json!({ "anyOf": [schema, hole()] })
}

pub fn merged<const N: usize>(parts: [Value; N]) -> Value {
    let mut all = Map::new();
    for part in parts {
        if let Value::Object(fields) = part {
            all.extend(fields);
        }
    }
    Value::Object(all)
}

fn shared() -> Value {
    json!({
        "span": {
            "anyOf": [{ "type": "string", "pattern": "^\\s*([0-9]+(ms|s|m|h|d|w)\\s*)+$" }, { "const": 0 }, { "const": "0" }],
            "description": "A length of time: `350ms`, `30s`, `5m`, `1h30m`, `2d`, `1w`.",
            "examples": ["30s", "5m", "2h"],
        },
        "rate": {
            "type": "string", "pattern": "^\\s*[0-9]+ per ", "examples": ["3 per 1h"],
            "description": "So many in a sliding window of at most a week: `3 per 1h`.",
        },
        "condition": {
            "type": "string", "minLength": 1, "maxLength": 1024,
            "description": "A condition in a strict subset of CEL over `incident`, `labels`, `annotations`, `signals`, `alerts`, `steps.ID.{status,output}`, `vars` and `target`. What is absent makes its comparison false.",
            "examples": ["incident.priority == \"P1\"", "has(labels.team) && signals.error_rate > 0.5"],
        },
        "secret": {
            "type": "string", "minLength": 1,
            "description": "Written as it is, or better `${env:NAME}` or `${file:/path}`; it never reaches log, page or database.",
        },
        "priority": words(&[("P1", "the most urgent"), ("P2", ""), ("P3", ""), ("P4", "the least urgent")]),
        "matcher": {
            "type": "string", "pattern": "[=!]", "examples": ["severity=~\"critical|warning\""],
            "description": "One of Alertmanager's matchers over the incident's labels: `name=\"value\"`, with `=`, `!=`, `=~` or `!~`.",
        },
    })
}
