//! A checked expression and the verdict of a condition. Knows nothing of rules, steps or who asks.
//!
//! The language is a strict subset of CEL, with three additions of ours: lengths of time may be written bare (`5m`),
//! whole numbers and fractions calculate with each other, and the absence of a name has a meaning.
//!
//! **Absence.** A name is absent when its key is not there or is null. Absence goes up to the smallest enclosing
//! comparison (`== != < <= > >= in`, `startsWith`, `endsWith`, `contains`, `matches`, `exists`, `all`), which is then
//! false, and the name is told in [`Verdict::missing`]. A name that is itself used as a condition (`!x`, `x && y`) is
//! false when absent. So `signals.x > 1` and `signals.x != 1` are both false without `signals.x`, and
//! `!(signals.x > 1)` is true; who wants to know asks `has(signals.x)`. Outside a comparison, as in `{{ labels.team }}`,
//! absence is [`EvalError::Missing`].
//!
//! **Failure.** As in CEL, `&&` and `||` look past a failure on one side when the other side decides. Numbers stay
//! finite: dividing by zero fails for fractions too, where CEL would go on with infinity.

use std::sync::Arc;

use crate::domain::expression::check::{Checked, check, push_field};
use crate::domain::expression::evaluate::Machine;
use crate::domain::expression::fault::Fault;
use crate::domain::expression::schema::{Schema, Type};
use crate::domain::expression::syntax;
use crate::domain::expression::value::{EvalError, Value};

/// An expression that was checked against a schema and is ready to run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Expression(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: String,
    checked: Checked,
}

/// How a condition turned out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the condition holds.
    pub matched: bool,
    /// Dotted names such as `signals.error_rate` that were absent and made a comparison false.
    pub missing: Vec<String>,
    /// Any other failure while running; it means that the condition did not match.
    pub warning: Option<String>,
}

impl Expression {
    /// Reads and checks a source text; all faults of meaning are found at once.
    pub fn parse(source: &str, schema: &Schema) -> Result<Self, Vec<Fault>> {
        let node = syntax::parse(source).map_err(|fault| vec![fault])?;
        Ok(Self(Arc::new(Inner { source: source.to_owned(), checked: check(source, &node, schema)? })))
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// What it gives; a condition should say `Bool` or `Any`.
    pub fn result_type(&self) -> &Type {
        &self.0.checked.result
    }

    /// The dotted names that it reads, sorted, each once: `labels.team`, `steps.protect.output`.
    pub fn names(&self) -> Vec<String> {
        self.0.checked.names.iter().cloned().collect()
    }

    /// Whether it reads anything of what a dotted name stands for: `labels` when it says `labels.team` or `labels["k8s.io/name"]`,
    /// and `labels.team` when it says `labels`.
    pub fn reads(&self, name: &str) -> bool {
        let below = |name: &str, whole: &str| name.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        self.0.checked.names.iter().any(|read| below(read, name) || below(name, read))
    }

    /// Runs it over a JSON object of the variables.
    pub fn evaluate(&self, scope: &serde_json::Value) -> Result<Value, EvalError> {
        Machine::new(scope).value(&self.0.checked.code)
    }

    /// Runs it as a condition.
    pub fn matches(&self, scope: &serde_json::Value) -> Verdict {
        let mut machine = Machine::new(scope);
        let outcome = machine.truth(&self.0.checked.code);
        let missing = machine.into_missing();
        match outcome {
            Ok(matched) => Verdict { matched, missing, warning: None },
            Err(error) => Verdict { matched: false, missing, warning: Some(error.to_string()) },
        }
    }
}

/// The dotted name of a field of what has a name: `labels.team`, `labels["k8s.io/name"]`.
pub fn field(of: &str, field: &str) -> String {
    let mut name = of.to_owned();
    push_field(&mut name, field);
    name
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn schema() -> Schema {
        let alert = Type::object([("status", Type::Text), ("age", Type::Duration), ("labels", Type::map(Type::Text))]);
        Schema::new([
            ("incident", Type::object([("priority", Type::Text), ("service", Type::Text), ("age", Type::Duration)])),
            ("alerts", Type::list(alert)),
            ("labels", Type::map(Type::Text)),
            ("signals", Type::map(Type::Number)),
            ("steps", Type::object([("check", Type::object([("status", Type::Text), ("output", Type::Any)]))])),
            ("truth", Type::Bool),
        ])
    }

    fn scope() -> Json {
        json!({
            "incident": { "priority": "P1", "service": "orders", "age": "7m" },
            "alerts": [
                { "status": "firing", "age": "2m", "labels": { "team": "db" } },
                { "status": "resolved", "age": "600000ms", "labels": { "team": "web", "zone": "b" } },
            ],
            "labels": { "team": "dbä", "k8s.io/name": "pg-0", "gone": null },
            "signals": { "error_rate": 0.25, "replicas": 3, "zero": 0, "half": 0.0 },
            "steps": { "check": { "status": "succeeded", "output": { "code": 200, "ok": true, "took": "90s", "lines": ["a", "b"] } } },
            "truth": true,
        })
    }

    fn gives(source: &str) -> Json {
        let expression = Expression::parse(source, &schema()).unwrap_or_else(|faults| panic!("{source}: {faults:?}"));
        expression.evaluate(&scope()).unwrap_or_else(|error| panic!("{source}: {error}")).into_json()
    }

    fn fails(source: &str) -> EvalError {
        let expression = Expression::parse(source, &schema()).unwrap_or_else(|faults| panic!("{source}: {faults:?}"));
        expression.evaluate(&scope()).expect_err(source)
    }

    fn faults(source: &str) -> Vec<String> {
        let faults = Expression::parse(source, &schema()).expect_err(source);
        faults.iter().map(|fault| format!("{}: {fault}", &source[fault.span.clone()])).collect()
    }

    #[test]
    fn conditions_that_hold() {
        for source in [
            r#"incident.priority == "P1" && signals.error_rate > 0.05"#,
            r#"incident.priority in ["P1", 'P2']"#,
            r#""team" in labels && !("other" in labels)"#,
            r#"labels["k8s.io/name"].startsWith("pg-") && labels.team.endsWith("ä")"#,
            r#"labels.team.matches(r"^db\w$") && labels.team.matches("^\\w+$")"#,
            "size(labels.team) == 3 && labels.team.size() == 3",
            "has(labels.team) && !has(labels.gone) && !has(labels.never)",
            "signals.replicas == 3.0 && 1 < 1.5 && 2 * 1.5 == 3",
            "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 10 - 3 - 2 == 5 && -7 / 2 == -3",
            "incident.age > 5m && incident.age < duration(\"10m\") && incident.age - 2m == 5m",
            r#"alerts.exists(a, a.status == "firing" && a.age < 5m)"#,
            r#"alerts.all(alert, has(alert.labels.team)) && !alerts.all(a, has(a.labels.zone))"#,
            r#"alerts.filter(a, a.age >= 10m).size() == 1"#,
            r#"alerts.map(a, a.labels.team) == ["db", "web"] && alerts[0].labels["team"] == "db""#,
            r#"steps.check.output.code == 200 && steps.check.output.ok && steps.check.output.took == 90s"#,
            r#""b" in steps.check.output.lines && steps.check.output.lines[1] == "b" && steps.check.output.code != "200""#,
            r#"(truth ? incident.service : "none") == "orders""#,
            "1/0 == 1 || truth",
            "!(1/0 == 1 && !truth)",
            "!!truth && --1 == 1",
            "0.0 <= -(signals.half) && 0.0 == -0.0",
        ] {
            assert_eq!(gives(source), json!(true), "{source}");
        }
    }

    #[test]
    fn an_absent_name_makes_its_comparison_false_and_is_told() {
        for (source, matched, missing) in [
            ("signals.latency > 1", false, vec!["signals.latency"]),
            ("signals.latency != 1", false, vec!["signals.latency"]),
            ("!(signals.latency > 1)", true, vec!["signals.latency"]),
            ("signals.latency > 1 || signals.error_rate > 0.05", true, vec!["signals.latency"]),
            ("signals.error_rate > 0.05 || signals.latency > 1", true, vec![]),
            ("signals.a / signals.b + 1 > 0 && truth", false, vec!["signals.a"]),
            (r#"labels.gone.contains("x")"#, false, vec!["labels.gone"]),
            ("steps.check.output.fine", false, vec!["steps.check.output.fine"]),
            ("!steps.check.output.deep.er", true, vec!["steps.check.output.deep.er"]),
            ("steps.check.output.list.all(x, x > 1)", false, vec!["steps.check.output.list"]),
            (r#"alerts.exists(a, a.labels.zone == "b")"#, true, vec!["a.labels.zone"]),
            (r#"labels[incident.service] == "c""#, false, vec![r#"labels["orders"]"#]),
            (r#"alerts[0].labels.zone == "c""#, false, vec!["alerts[0].labels.zone"]),
            (r#"labels["a b"] == "c""#, false, vec![r#"labels["a b"]"#]),
        ] {
            let verdict = Expression::parse(source, &schema()).unwrap().matches(&scope());
            assert_eq!(
                (verdict.matched, verdict.missing, verdict.warning),
                (matched, missing.into_iter().map(String::from).collect(), None),
                "{source}"
            );
        }
        assert_eq!(fails("labels.never"), EvalError::Missing("labels.never".to_owned()));
    }

    #[test]
    fn any_other_failure_is_a_warning_and_no_match() {
        for (source, warning) in [
            ("1 / signals.zero > 0", "division by zero"),
            ("1.0 / signals.half > 0", "division by zero"),
            ("9223372036854775807 + signals.replicas > 0", "a number became too large"),
            ("steps.check.output.took > 5", "found a number where text is needed"),
            ("steps.check.output.code", "found a number where true or false is needed"),
            ("steps.check.output.code.deeper == 1", "found a number where a map is needed"),
            ("alerts[2].status == \"firing\"", "there is no item 2 in a list of 2"),
        ] {
            let verdict = Expression::parse(source, &schema()).unwrap().matches(&scope());
            assert_eq!(verdict, Verdict { matched: false, missing: vec![], warning: Some(warning.to_owned()) }, "{source}");
        }
    }

    #[test]
    fn mistakes_are_told_before_anything_runs() {
        for (source, told) in [
            ("incidnet.priority == \"P1\"", "incidnet: nothing is called \"incidnet\" here; did you mean \"incident\"?"),
            ("incident.prioritiy == \"P1\"", "prioritiy: there is no field \"prioritiy\"; did you mean \"priority\"?"),
            ("incident.priority == 1", "incident.priority == 1: this compares text with a number"),
            (
                "incident.age > 300",
                "incident.age > 300: this compares a length of time with a number; a length of time is written 30s, 5m or 1h30m",
            ),
            ("alerts > alerts", "alerts > alerts: a list has no order; only numbers, texts and lengths of time do"),
            ("1 < 2 < 3", "1 < 2 < 3: this compares true or false with a number"),
            ("!signals.zero", "signals.zero: this is a number where true or false is needed"),
            ("labels.team.startswith(\"a\")", "startswith: there is no function \"startswith\"; did you mean \"startsWith\"?"),
            ("labels.team.matches(\"(\")", "\"(\": this pattern is broken: unclosed group"),
            ("labels.team.matches(labels.x)", "labels.x: a pattern is a literal text, so that it is checked before it runs"),
            (
                "labels.team.matches(\"(a{1000}){1000}\")",
                "\"(a{1000}){1000}\": this pattern is broken: Compiled regex exceeds size limit of 1048576 bytes.",
            ),
            ("alerts.exists(a, alerts.exists(b, true))", "exists: exists, all, filter and map cannot stand inside each other"),
            ("alerts.exists(a, b.status == \"\")", "b: nothing is called \"b\" here; did you mean \"a\"?"),
            ("\"a\" in \"abc\"", "\"a\" in \"abc\": \"in\" looks into a list or a map; write text.contains(\"…\")"),
            (
                "has(labels[\"a\"])",
                "labels[\"a\"]: has() asks for a field, as in has(labels.team); for other keys write \"the-key\" in labels",
            ),
            ("[1, \"a\"]", "\"a\": this list began with a number, not text"),
            ("truth ? 1 : \"a\"", "1 : \"a\": one way gives a number, the other text"),
            ("duration(\"5x\")", "\"5x\": duration() takes a written length of time, as in duration(\"5m\")"),
            ("startsWith(labels.team, \"a\")", "startsWith: \"startsWith\" stands behind a dot; write value.startsWith(…)"),
        ] {
            assert_eq!(faults(source), [told], "{source}");
        }
        assert_eq!(faults("wrong == 1 || alos == 2").len(), 2);
    }

    #[test]
    fn the_names_it_reads_are_known() {
        for (source, names) in [
            ("signals.error_rate > 0.05 && labels.team == labels.team", vec!["labels.team", "signals.error_rate"]),
            ("has(steps.check.output) || steps.check.output.a.b", vec!["steps.check.output", "steps.check.output.a.b"]),
            ("alerts.exists(a, a.status == incident.service)", vec!["alerts", "incident.service"]),
            ("labels[\"k8s.io/name\"] == labels[\"team\"]", vec!["labels.team", "labels[\"k8s.io/name\"]"]),
        ] {
            assert_eq!(Expression::parse(source, &schema()).unwrap().names(), names, "{source}");
        }
    }

    #[test]
    fn it_reads_what_lies_below_and_what_lies_above() {
        for (source, name, reads) in [
            ("labels.team == ''", "labels", true),
            ("labels.team == ''", "labels.team", true),
            ("labels.team == ''", "labels.te", false),
            ("labels.team == ''", "signals", false),
            ("labels[\"k8s.io/name\"] == ''", "labels", true),
            ("labels[\"k8s.io/name\"] == ''", "labels[\"k8s.io/name\"]", true),
            ("labels[incident.service] == ''", "labels.team", true),
        ] {
            assert_eq!(Expression::parse(source, &schema()).unwrap().reads(name), reads, "{source} reads {name}");
        }
    }

    #[test]
    fn work_is_bounded() {
        let schema = Schema::new([("many", Type::list(Type::Text)), ("long", Type::Text)]);
        let long = "x".repeat(60_000);
        let crowd = |n: usize| json!({ "many": vec![long.as_str(); n], "long": long });
        for (source, n, error) in [
            ("many.exists(x, x == '')", 10_001, "a list is longer than 10,000 items"),
            ("'' in many", 10_001, "a list is longer than 10,000 items"),
            ("many.all(x, x.contains('y') || true)", 1_000, "this takes too long over so much data"),
            ("many.map(x, 'a' + x).size() > 0", 1_000, "this takes too long over so much data"),
            ("long + long == ''", 1, "a text became longer than 64 KiB"),
        ] {
            let verdict = Expression::parse(source, &schema).unwrap().matches(&crowd(n));
            assert_eq!(verdict.warning.as_deref(), Some(error), "{source}");
        }
        let huge = Expression::parse("many.map(x, many)", &schema).unwrap().evaluate(&json!({ "many": vec!["x"; 10_000] }));
        assert_eq!(huge, Err(EvalError::TooMuch("this takes too long over so much data")));
        let fine = Expression::parse("many.all(x, x != 'y' && size(many) == 10000)", &schema).unwrap();
        assert!(fine.matches(&json!({ "many": vec!["x"; 10_000] })).matched);
    }

    #[test]
    fn the_deepest_expression_runs_on_a_small_stack() {
        let sources = [
            format!("{}1{} == 1", "(".repeat(31), ")".repeat(31)),
            format!("{}true", "!".repeat(30)),
            format!("{}1 > 0", "1 + ".repeat(29)),
            format!("{}true", "false || ".repeat(99)),
            format!("{0}1{1} == {0}1{1}", "[".repeat(29), "]".repeat(29)),
            "deep == deep".to_owned(),
        ];
        let schema = Schema::new([("deep", Type::Any)]);
        // As deep as serde_json reads.
        let scope = json!({ "deep": (0..128).fold(json!(1), |inner, _| json!([inner])) });
        let run = move || sources.iter().all(|source| Expression::parse(source, &schema).unwrap().matches(&scope).matched);
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run);
        assert!(thread.unwrap().join().unwrap());
    }
}
