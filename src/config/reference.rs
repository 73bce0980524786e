//! The parts of the playbook reference that the types can tell: fields from the schema, actions from their declarations.
//! Knows no prose but theirs; the page's own words stand around the marks.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::schema::playbook::playbook;
use crate::domain::action::{OnInterrupt, Param, ParamType, Performer, Spec, Specs, TargetKind};

const BEGIN: &str = "<!-- made: ";
const BEGUN: &str = " -->\n";
const END: &str = "<!-- end -->";

/// The page with all that stands between its marks made anew; and what is amiss with the marks.
pub fn renew(page: &str, specs: &Specs) -> (String, Vec<String>) {
    let parts = parts(specs);
    let (mut fresh, mut amiss, mut seen) = (String::new(), Vec::new(), BTreeSet::new());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let Some((name, after)) = after.split_once(BEGUN) else { break };
        let Some((_, after)) = after.split_once(END) else { break };
        match parts.iter().find(|(known, _)| known == name) {
            Some((_, made)) => fresh.push_str(&format!("{before}{BEGIN}{name}{BEGUN}{made}{END}")),
            None => amiss.push(name.to_owned()),
        }
        seen.insert(name.to_owned());
        rest = after;
    }
    fresh.push_str(rest);
    amiss.extend(parts.into_iter().map(|(name, _)| name).filter(|name| !seen.contains(name)));
    (fresh, amiss)
}

/// Everything that can be made, by its mark.
fn parts(specs: &Specs) -> Vec<(String, String)> {
    let schema = playbook(specs);
    let step = &schema["$defs"]["step"];
    let mut parts = vec![
        ("playbook".to_owned(), fields(&schema)),
        ("on".to_owned(), fields(&schema["properties"]["on"])),
        ("limits".to_owned(), fields(&schema["properties"]["limits"])),
        ("step".to_owned(), fields(step)),
        ("retry".to_owned(), fields(&step["properties"]["retry"])),
        ("recovered".to_owned(), fields(&schema["properties"]["recovered"])),
        ("approval".to_owned(), fields(&step["properties"]["approval"])),
        ("actions".to_owned(), overview(specs)),
    ];
    parts.extend(specs.iter().map(|spec| (spec.name.to_owned(), action(spec))));
    parts
}

/// A table of a map's fields.
fn fields(schema: &Value) -> String {
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|known| known == name));
    let mut table = "| field | takes | default | meaning |\n|---|---|---|---|\n".to_owned();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let default = match &field["default"] {
            Value::Null if required(name) => "required".to_owned(),
            Value::Null => String::new(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        // The actions have a chapter of their own.
        let (takes, meaning) = match name.as_str() {
            "action" => ("[an action](#actions)".to_owned(), "What is done."),
            _ => (cell(&takes(field)), field["description"].as_str().unwrap_or_default()),
        };
        table.push_str(&format!("| `{name}` | {takes} | {default} | {} |\n", cell(meaning)));
    }
    table
}

/// What a field takes, in words.
fn takes(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return of_shared(name).to_owned();
    }
    if let Some(words) = schema["enum"].as_array() {
        return listed(words);
    }
    if let Some(one) = schema.get("const") {
        return format!("`{one}`");
    }
    if let Some(ways) = schema["anyOf"].as_array() {
        return either(ways);
    }
    match schema["type"].as_str() {
        Some("string") if schema["pattern"].as_str().is_some_and(|pattern| pattern.starts_with("^after")) => "`after 30m`".to_owned(),
        Some("string") => "text".to_owned(),
        Some("integer") => match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            (Some(least), Some(most)) => format!("{least} to {most}"),
            _ => "whole number".to_owned(),
        },
        Some("boolean") => "true or false".to_owned(),
        Some("array") => format!("list of {}", takes(&schema["items"])),
        Some("object") => "map".to_owned(),
        Some(other) => other.to_owned(),
        // A step is one of two kinds, and both are steps.
        None if schema.get("if").is_some() => "steps".to_owned(),
        None => "any value".to_owned(),
    }
}

fn of_shared(name: &str) -> &str {
    match name.rsplit('/').next().unwrap_or(name) {
        "span" => "length of time",
        "rate" => "rate such as `3 per 1h`",
        "priority" => "`P1` to `P4`",
        other => other,
    }
}

/// One or a list of the same is said shortly; that a hole may stand for it is said once, elsewhere.
fn either(ways: &[Value]) -> String {
    let of_list = |way: &&Value| way["type"] == "array" && way["items"] == ways[0];
    let is_hole = |way: &&Value| way["pattern"] == "\\{\\{";
    let mut words: Vec<String> = ways.iter().filter(|way| !of_list(way) && !is_hole(way)).map(takes).collect();
    words.dedup();
    let words = words.join(" or ");
    if ways.iter().any(|way| of_list(&way)) { format!("{words}, or a list") } else { words }
}

fn listed(words: &[Value]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_str().unwrap_or_default())).collect::<Vec<_>>().join(", ")
}

/// A text as a cell of a table takes it: in one line, with the meanings of words after each other.
fn cell(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches("- ").trim()).filter(|line| !line.is_empty()).collect();
    lines.join("; ").replace(".; ", ". ").replace('|', "\\|")
}

/// All actions at a glance.
fn overview(specs: &Specs) -> String {
    let mut table = "| action | target | destructive | cut off | undo |\n|---|---|---|---|---|\n".to_owned();
    for spec in specs.iter() {
        let destructive = if spec.destructive { "**yes**" } else { "no" };
        let undo = if spec.undoable { "yes" } else { "–" };
        let name = spec.name;
        let anchor = name.replace('.', "");
        table.push_str(&format!("| [`{name}`](#{anchor}) | {} | {destructive} | {} | {undo} |\n", targets(spec), cut_off(spec)));
    }
    table
}

fn targets(spec: &Spec) -> String {
    let kinds: Vec<String> = spec.targets.iter().map(TargetKind::to_string).collect();
    if kinds.is_empty() { "–".to_owned() } else { kinds.join(" or ") }
}

fn cut_off(spec: &Spec) -> &'static str {
    match spec.on_interrupt {
        _ if spec.performer == Performer::Core => "–",
        OnInterrupt::Retry => "`retry`",
        OnInterrupt::Check => "`check`",
        OnInterrupt::Ask => "`ask`",
        OnInterrupt::Fail => "`fail`",
    }
}

fn action(spec: &Spec) -> String {
    let mut text = format!("{}\n\n", spec.doc);
    if spec.params.is_empty() {
        text.push_str("It takes no parameters.\n");
    } else {
        text.push_str("| parameter | takes | default | meaning |\n|---|---|---|---|\n");
        spec.params.iter().for_each(|param| text.push_str(&row(param)));
    }
    if !spec.output.is_empty() {
        text.push_str("\n| output | is | meaning |\n|---|---|---|\n");
        for field in spec.output {
            text.push_str(&format!("| `{}` | {} | {} |\n", field.name, of_kind(field.kind), cell(field.doc)));
        }
    }
    text
}

fn row(param: &Param) -> String {
    let choices: Vec<Value> = param.choices.iter().map(|choice| Value::from(*choice)).collect();
    let takes = if choices.is_empty() { of_kind(param.kind).to_owned() } else { listed(&choices) };
    let default = match param.default {
        Some(default) => format!("`{default}`"),
        None if param.required => "required".to_owned(),
        None => String::new(),
    };
    format!("| `{}` | {takes} | {default} | {} |\n", param.name, cell(param.doc))
}

fn of_kind(kind: ParamType) -> &'static str {
    match kind {
        ParamType::Text => "text",
        ParamType::Number => "number",
        ParamType::Bool => "true or false",
        ParamType::Span => "length of time",
        ParamType::Texts => "text, or a list",
        ParamType::TextMap => "map of texts",
        ParamType::Json => "any value",
    }
}
