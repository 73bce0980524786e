//! What an attempt says when nobody waits for it any more: its timeout has passed, its node was taken for dead, a person has spoken.
//! Knows no step.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an attempt said that nobody waited for any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Answer {
    Succeeded {
        output: Value,
    },
    Failed {
        reason: String,
    },
    /// Not even then does anybody know.
    Unknown {
        reason: String,
    },
}

impl Answer {
    /// What it says, in half a sentence: `it succeeded with status 200, body "ok"`.
    pub fn in_words(&self) -> String {
        match self {
            Self::Succeeded { output } => match in_brief(output) {
                said if said.is_empty() => "it succeeded".to_owned(),
                said => format!("it succeeded with {said}"),
            },
            Self::Failed { reason } => format!("it failed: {}", begin_of(reason)),
            Self::Unknown { reason } => format!("nobody knows: {}", begin_of(reason)),
        }
    }
}

/// Numbers and words first, then what is larger.
fn in_brief(output: &Value) -> String {
    let Value::Object(fields) = output else { return if output.is_null() { String::new() } else { begin_of(&output.to_string()) } };
    let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
    fields.sort_by_key(|(_, value)| (value.is_object() || value.is_array(), !value.is_number()));
    let told: Vec<String> = fields.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    begin_of(&told.join(", "))
}

/// As much of a long text as a sentence or a message has room for; the whole of it stands on the timeline.
pub fn begin_of(text: &str) -> String {
    const ROOM: usize = 400;
    let begin: String = text.chars().take(ROOM).collect();
    if begin.len() == text.len() { begin } else { format!("{} …", begin.trim_end()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_it_says_begins_with_what_is_short() {
        let said = |output: Value| Answer::Succeeded { output }.in_words();
        assert_eq!(said(Value::Null), "it succeeded");
        assert_eq!(
            said(json!({"body": {"ok": true}, "headers": {}, "status": 200})),
            "it succeeded with status 200, body {\"ok\":true}, headers {}"
        );
        assert_eq!(said(json!({"stdout": "done", "exit_code": 0})), "it succeeded with exit_code 0, stdout \"done\"");
        assert!(said(json!({"status": 200, "body": "x".repeat(10_000)})).len() < 500);
        assert_eq!(Answer::Unknown { reason: "no words".to_owned() }.in_words(), "nobody knows: no words");
    }
}
