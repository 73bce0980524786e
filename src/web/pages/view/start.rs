//! What a person fills in to start a playbook: the incident, and a field for each of its vars. Knows no engine.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::incident::Incident;
use crate::domain::playbook::{Playbook, Var, VarKind};
use crate::web::pages::view::incident::title;

#[derive(Clone, Debug, Serialize)]
pub struct StartView {
    pub slug: String,
    pub title: String,
    /// The incident's number, as far as it is known.
    pub number: String,
    pub open: Vec<OpenIncident>,
    pub vars: Vec<VarField>,
    /// Steps that change something.
    pub destructive: Vec<String>,
    pub refusal: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct OpenIncident {
    pub number: u64,
    pub words: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct VarField {
    pub name: String,
    /// `text`, `number`, `bool`, `duration` or `texts`.
    pub kind: &'static str,
    pub word: &'static str,
    pub required: bool,
    pub value: String,
    /// For a bool: what may be chosen, and which of it is.
    pub choices: Vec<Choice>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    pub value: &'static str,
    pub current: bool,
}

pub fn start_view(book: &Playbook, number: &str, open: &[Incident], typed: &BTreeMap<String, String>) -> StartView {
    let open =
        open.iter().map(|incident| OpenIncident { number: incident.number, words: format!("{} {}", incident.priority, title(incident)) });
    StartView {
        slug: book.slug.clone(),
        title: book.title.clone(),
        number: number.to_owned(),
        open: open.collect(),
        vars: book.vars.iter().map(|(name, var)| field(name, var, typed.get(name))).collect(),
        destructive: book.steps.iter().filter(|step| step.destructive).map(|step| step.title.clone()).collect(),
        refusal: None,
    }
}

fn field(name: &str, var: &Var, typed: Option<&String>) -> VarField {
    let value = typed.cloned().unwrap_or_else(|| var.default.as_ref().map(written).unwrap_or_default());
    let choices = ["true", "false"].map(|choice| Choice { value: choice, current: choice == value });
    let kind = VarKind::ALL.iter().find(|(_, kind)| *kind == var.kind).map_or("text", |(word, _)| word);
    VarField {
        name: name.to_owned(),
        kind,
        word: var.kind.word(),
        required: var.default.is_none(),
        choices: if var.kind == VarKind::Bool { choices.to_vec() } else { Vec::new() },
        value,
    }
}

/// A value as one types it: a list has an item in each line.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(written).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

/// What was typed as values of the vars' types; what is left empty has its default.
pub fn values(book: &Playbook, typed: &BTreeMap<String, String>) -> Result<Map<String, Value>, String> {
    let mut values = Map::new();
    for (name, var) in &book.vars {
        let Some(text) = typed.get(name).map(|text| text.replace("\r\n", "\n")) else { continue };
        if text.trim().is_empty() && (var.kind != VarKind::Text || var.default.is_none()) {
            continue;
        }
        let value = read(var.kind, &text).ok_or_else(|| format!("{name} must be {}.", var.kind.word()))?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn read(kind: VarKind, text: &str) -> Option<Value> {
    let value = match kind {
        VarKind::Text => Value::from(text),
        VarKind::Number => serde_json::from_str(text.trim()).ok()?,
        VarKind::Bool => Value::from(text.trim() == "true"),
        VarKind::Duration => Value::from(text.trim()),
        VarKind::Texts => text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Value::from).collect(),
    };
    kind.takes(&value).is_ok().then_some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_typed_has_the_type_of_its_var() {
        for (kind, text, value) in [
            (VarKind::Text, " as it is ", Some(json!(" as it is "))),
            (VarKind::Number, " 1.5 ", Some(json!(1.5))),
            (VarKind::Number, "7", Some(json!(7))),
            (VarKind::Number, "\"7\"", None),
            (VarKind::Number, "many", None),
            (VarKind::Bool, "true", Some(json!(true))),
            (VarKind::Duration, " 5m ", Some(json!("5m"))),
            (VarKind::Duration, "5 minutes", None),
            (VarKind::Texts, "a\n\n b \n", Some(json!(["a", "b"]))),
        ] {
            assert_eq!(read(kind, text), value, "{text}");
        }
    }
}
