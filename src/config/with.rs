//! A step's `with:` against what its action declares: names, presence, types. Knows no action but by its declaration.

use crate::config::diagnostic::Code;
use crate::config::names::Names;
use crate::config::reader::{At, Fields};
use crate::config::suggest;
use crate::config::yaml::Value;
use crate::domain::action::{Param, ParamType, Spec};
use crate::domain::time::Span;

/// Checks the parameters given at `with` (none: an empty map) of the action in `fields`.
pub fn check(with: Option<At<'_>>, fields: &Fields<'_>, spec: &Spec, names: &Names) {
    let entries = with.map(At::entries).unwrap_or_default();
    for (key, at) in &entries {
        match spec.params.iter().find(|param| param.name == key.text()) {
            Some(param) => value(*at, param),
            None if at.document.is_full() => {}
            None => {
                let help = suggest::hint(key.text(), spec.params.iter().map(|param| param.name));
                let message = format!("{} takes no parameter \"{}\"", spec.name, key.text());
                key.place().error(Code::UnknownParam, message, help.or(Some("it takes none".to_owned())));
            }
        }
    }
    let missing =
        |param: &&Param| param.required && !entries.iter().any(|(key, at)| key.text() == param.name && at.node.value != Value::Null);
    for param in spec.params.iter().filter(missing) {
        let place = if with.is_some() { fields.place_of("with") } else { fields.place_of("action") };
        place.error(Code::MissingParam, format!("{} needs \"{}\"", spec.name, param.name), Some(param.doc.to_owned()));
    }
    for (key, at) in entries {
        referred(spec, key.text(), at, names);
    }
}

/// The text of a parameter that has no hole.
pub fn literal<'a>(with: Option<At<'a>>, name: &str) -> Option<&'a str> {
    let Value::Map(entries) = &with?.node.value else { return None };
    let (_, node) = entries.iter().find(|(key, _)| key.text == name)?;
    let Value::Text(text) = &node.value else { return None };
    (!text.contains("{{")).then_some(text)
}

/// Who is told and which program is started are names of `reynard.yaml`.
fn referred(spec: &Spec, param: &str, at: At<'_>, names: &Names) {
    match (spec.name, param) {
        ("notify", "to") => {
            for item in at.one_or_many().into_iter().filter(|item| matches!(item.node.value, Value::Text(_)) && !has_hole(*item)) {
                names.recipient(item);
            }
        }
        ("command.run", "command") if matches!(at.node.value, Value::Text(_)) && !has_hole(at) => {
            names.known(at, "command", &names.commands);
        }
        _ => {}
    }
}

fn value(at: At<'_>, param: &Param) {
    match (param.kind, &at.node.value) {
        (_, Value::Null) | (ParamType::Number, Value::Number(_)) | (ParamType::Bool, Value::Bool(_)) => {}
        (ParamType::Json, _) => json(at),
        (_, Value::Text(text)) if text.contains("{{") => {
            at.text();
        }
        (ParamType::Text, _) => {
            if let Some(text) = at.text().filter(|text| !param.choices.is_empty() && !param.choices.contains(text)) {
                let help = suggest::hint(text, param.choices.iter().copied());
                let message = format!("\"{text}\" is not one of {}", param.choices.join(", "));
                at.place().error(Code::BadValue, message, help);
            }
        }
        (ParamType::Span, _) => {
            at.span();
        }
        (ParamType::Texts, _) => at.one_or_many().into_iter().for_each(|item| {
            item.text();
        }),
        (ParamType::TextMap, _) => at.entries().into_iter().for_each(|(_, item)| {
            item.text();
        }),
        (ParamType::Number, other) => wrong(at, param, "a number", other),
        (ParamType::Bool, other) => wrong(at, param, "true or false", other),
    }
}

/// Secrets have no place in any depth of a parameter either.
fn json(at: At<'_>) {
    match &at.node.value {
        Value::Text(_) => {
            at.text();
        }
        Value::List(_) => at.list().into_iter().for_each(json),
        Value::Map(_) => at.entries().into_iter().for_each(|(_, item)| json(item)),
        _ => {}
    }
}

fn wrong(at: At<'_>, param: &Param, wanted: &str, got: &Value) {
    let help = match (param.kind, got) {
        (ParamType::Bool, Value::Text(text)) => match text.to_lowercase().as_str() {
            "yes" | "on" | "y" => Some("write true; in YAML 1.2 this is a text".to_owned()),
            "no" | "off" | "n" => Some("write false; in YAML 1.2 this is a text".to_owned()),
            _ => None,
        },
        (ParamType::Number, Value::Text(text)) if text.parse::<f64>().is_ok() => Some("leave the quotes out".to_owned()),
        _ => None,
    };
    at.place().error(Code::WrongType, format!("\"{}\" must be {wanted}, not {}", param.name, got.kind()), help);
}

fn has_hole(at: At<'_>) -> bool {
    matches!(&at.node.value, Value::Text(text) if text.contains("{{"))
}

/// The longest that a step waits by its own parameter `within`; what is left out or computed counts as ten minutes.
pub fn own_wait(with: Option<At<'_>>, spec: &Spec) -> Option<Span> {
    let declared = spec.params.iter().any(|param| param.name == "within" && param.kind == ParamType::Span);
    let written = literal(with, "within").and_then(|text| text.parse().ok());
    declared.then(|| written.unwrap_or(Span::minutes(10)))
}
