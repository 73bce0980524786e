//! Classification: ordered rules turn what an incident shows into a priority and a type; the first match wins.
//! Says why: which rule, with which numbers, which rule would have been next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::expression::condition::Expression;
use crate::domain::priority::Priority;

/// One rule of `classification:`.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    pub when: Expression,
    pub priority: Option<Priority>,
    /// Sets the incident's type when the rule matches and names one.
    pub kind: Option<String>,
}

/// The answer for one incident at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    pub rule: String,
    pub priority: Priority,
    #[serde(rename = "type")]
    pub kind: String,
    /// Why, in a sentence.
    pub reason: String,
    /// The signals that were known.
    pub signals: BTreeMap<String, f64>,
    /// The rule that would have decided, had this one not matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Rules that failed while running, and signals that could not be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether a signal was asked for and nobody answered, so that it is worth asking again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmeasured: bool,
}

/// The type that an alert's name stands for: `DatabaseConnectionFailure` is `database_connection_failure`.
/// Names the shipped playbooks know keep their types; everything else is `unknown` unless a rule or a `type` label says otherwise.
pub fn type_of_alert(alertname: &str, known: impl Fn(&str) -> bool) -> String {
    let snake = snake_case(alertname);
    if known(&snake) { snake } else { "unknown".to_owned() }
}

/// Puts the rules to the scope in order.
pub fn classify(rules: &[Rule], scope: &Value, kind: &str, signals: &BTreeMap<String, f64>) -> Classification {
    let mut warnings = Vec::new();
    let mut kind = kind.to_owned();
    let mut matched: Option<&Rule> = None;
    let mut next = None;
    for rule in rules {
        let verdict = rule.when.matches(scope);
        if let Some(warning) = verdict.warning {
            warnings.push(format!("rule \"{}\" did not run: {warning}", rule.name));
        }
        if !verdict.matched {
            continue;
        }
        if let (None, Some(named)) = (matched, &rule.kind) {
            kind.clone_from(named);
        }
        if rule.priority.is_none() {
            continue;
        }
        if matched.is_some() {
            next = Some(rule.name.clone());
            break;
        }
        matched = Some(rule);
    }
    let (rule, priority, reason) = match matched.and_then(|rule| rule.priority.map(|priority| (rule, priority))) {
        Some((rule, priority)) => (rule.name.clone(), priority, reason(rule, scope)),
        None => ("otherwise".to_owned(), Priority::P4, "no rule matched".to_owned()),
    };
    Classification { rule, priority, kind, reason, signals: signals.clone(), next, warnings, unmeasured: false }
}

fn reason(rule: &Rule, scope: &Value) -> String {
    let seen: Vec<String> =
        rule.when.names().iter().filter_map(|name| lookup(scope, name).map(|value| format!("{name} is {}", shown(value)))).collect();
    if seen.is_empty() { rule.when.source().to_owned() } else { format!("{} ({})", rule.when.source(), seen.join(", ")) }
}

fn lookup<'a>(scope: &'a Value, dotted: &str) -> Option<&'a Value> {
    dotted
        .split('.')
        .try_fold(scope, |value, key| value.get(key))
        .filter(|value| !value.is_null() && !value.is_object() && value.as_array().is_none_or(|items| items.iter().all(Value::is_string)))
}

/// A whole number is written as one, though every signal is a fraction; of a list, each of its texts.
fn shown(value: &Value) -> String {
    match (value.as_f64(), value.as_array()) {
        (Some(number), _) => number.to_string(),
        (None, Some(items)) => items.iter().map(Value::to_string).collect::<Vec<_>>().join(" and "),
        (None, None) => value.to_string(),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut lower_before = false;
    for letter in name.chars() {
        if letter.is_uppercase() && lower_before {
            snake.push('_');
        }
        lower_before = letter.is_lowercase() || letter.is_ascii_digit();
        if letter.is_alphanumeric() { snake.extend(letter.to_lowercase()) } else { snake.push('_') }
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alerts_name_is_its_type() {
        assert_eq!(type_of_alert("DatabaseConnectionFailure", |_| true), "database_connection_failure");
        assert_eq!(type_of_alert("HTTP5xx", |_| true), "http5xx");
        assert_eq!(type_of_alert("Strange", |known| known == "service_down"), "unknown");
    }
}
