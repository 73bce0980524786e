//! A JSON value as YAML that people like to read and that our own strict reader takes. Knows nothing of what it says.

use std::fmt::Write;

use serde_json::Value;

/// Maps and lists that fit stay on one line.
const WIDEST: usize = 110;

/// The value as a whole document.
pub fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

fn block(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            let _ = write!(text, "{:1$}{2}:", "", depth * 2, scalar(name));
            below(text, value, depth + 1);
        }),
        Value::Array(items) => items.iter().for_each(|item| {
            let _ = write!(text, "{:1$}-", "", depth * 2);
            below_dash(text, item, depth + 1);
        }),
        other => {
            let _ = writeln!(text, "{}", flow(other));
        }
    }
}

/// What stands behind a key: on its line if it fits.
fn below(text: &mut String, value: &Value, depth: usize) {
    let line = flow(value);
    let is_leaf = !value.is_object() && !value.is_array();
    if is_leaf || line.len() + depth * 2 <= WIDEST {
        let _ = writeln!(text, " {line}");
    } else {
        text.push('\n');
        block(text, value, depth);
    }
}

/// What stands behind a dash: the first field on its line.
fn below_dash(text: &mut String, value: &Value, depth: usize) {
    let line = flow(value);
    if line.len() + depth * 2 <= WIDEST || !value.is_object() {
        return below(text, value, depth);
    }
    let mut rest = String::new();
    block(&mut rest, value, depth);
    let _ = write!(text, " {}", rest.trim_start());
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Array(items) => format!("[ {} ]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}: {}", scalar(name), flow(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// Bare where nobody could take it for anything else, in quotes otherwise.
fn scalar(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '/' | ' ');
    let bare = text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.chars().all(plain) && !text.ends_with(' ');
    let taken = ["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    // JSON's quotes are YAML's double quotes.
    if bare && !taken { text.to_owned() } else { Value::String(text.to_owned()).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_the_same() {
        let long = "x".repeat(200);
        for value in [
            json!({ "a": 1, "b": [true, null, "no", "1h", "a: b", "- x", "# y", "é\u{1}\n", "{{ x }}", ""] }),
            json!({ "tests": [{ "name": "a story", "given": [{ "body": { "alerts": [{ "labels": { "k8s.io/name": long } }], "e": {} } }] }] }),
            json!([{ "long": long, "list": [[1, 2], [{ "deep": long }]] }, "plain", -3.5]),
        ] {
            let text = yaml(&value);
            let read = crate::config::yaml::parse(&text).unwrap_or_else(|faults| panic!("{text}\n{faults:?}"));
            assert_eq!(read.to_json(), value, "{text}");
        }
    }
}
