//! What a step's target answers in a rehearsal, as people write it. Knows no step.

use serde_json::{Value, json};

use crate::domain::decide::command::Failure;
use crate::domain::time::Span;
use crate::engine::brief::Attempt;

/// How one attempt ends, and after how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub outcome: Outcome,
    pub after: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Ended(Result<Value, Failure>),
    /// Reynard dies while it is under way, and comes back at once.
    Crash,
}

/// Whoever stands for the targets.
pub trait Targets {
    fn answer(&mut self, attempt: &Attempt) -> Answer;
}

impl Answer {
    pub fn succeeded() -> Self {
        Self::at_once(Outcome::Ended(Ok(json!({}))))
    }

    pub fn at_once(outcome: Outcome) -> Self {
        Self { outcome, after: Span::ZERO }
    }

    /// `succeeded`, `failed`, `output:{"used": 3}`, or a map such as `{ failed: no route, after: 10s }`.
    pub fn read(written: &Value) -> Result<Self, String> {
        match written {
            Value::String(word) => Self::word(word),
            Value::Object(fields) => Self::fields(fields),
            other => Err(format!("{other} is no answer; {KNOWN}")),
        }
    }

    fn word(word: &str) -> Result<Self, String> {
        if let Some(output) = word.strip_prefix("output:") {
            let output = serde_json::from_str(output).map_err(|error| format!("the output is not JSON: {error}"))?;
            return Ok(Self::at_once(Outcome::Ended(Ok(output))));
        }
        let said = || "the rehearsal says so".to_owned();
        Ok(Self::at_once(match word {
            "succeeded" => return Ok(Self::succeeded()),
            "crash" => Outcome::Crash,
            _ => Outcome::Ended(Err(failure(word, said()).ok_or_else(|| format!("\"{word}\" is no answer; {KNOWN}"))?)),
        }))
    }

    fn fields(fields: &serde_json::Map<String, Value>) -> Result<Self, String> {
        let mut answer = Self::succeeded();
        for (name, value) in fields {
            let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match name.as_str() {
                "after" => answer.after = text().parse().map_err(|error: crate::domain::time::SpanError| error.to_string())?,
                "output" => answer.outcome = Outcome::Ended(Ok(value.clone())),
                "crash" => answer.outcome = Outcome::Crash,
                other => {
                    let failure = failure(other, text()).ok_or_else(|| format!("\"{other}\" is no answer; {KNOWN}"))?;
                    answer.outcome = Outcome::Ended(Err(failure));
                }
            }
        }
        Ok(answer)
    }
}

const KNOWN: &str = "known are succeeded, failed, retry, unknown, barred, crash, output: and after:";

fn failure(word: &str, reason: String) -> Option<Failure> {
    Some(match word {
        "failed" => Failure::Fatal(reason),
        "retry" => Failure::Retry(reason),
        "unknown" => Failure::Unknown(reason),
        "barred" => Failure::Barred(reason),
        _ => return None,
    })
}

/// Answers by the step's id, one after the other; the last one holds on, and whoever is not named succeeds.
#[derive(Clone, Debug, Default)]
pub struct Written {
    answers: std::collections::BTreeMap<String, Vec<Answer>>,
    given: std::collections::BTreeMap<String, usize>,
}

impl Written {
    /// Adds one answer, or a list of them.
    pub fn add(&mut self, step: &str, written: &Value) -> Result<(), String> {
        let items = written.as_array().map_or(std::slice::from_ref(written), Vec::as_slice);
        for item in items {
            let answer = Answer::read(item).map_err(|why| format!("{step}: {why}"))?;
            self.answers.entry(step.to_owned()).or_default().push(answer);
        }
        Ok(())
    }

    pub fn knows(&self, step: &str) -> bool {
        self.answers.contains_key(step)
    }

    pub fn steps(&self) -> impl Iterator<Item = &String> {
        self.answers.keys()
    }
}

impl Targets for Written {
    fn answer(&mut self, attempt: &Attempt) -> Answer {
        let step = &attempt.reference.step;
        let Some(answers) = self.answers.get(step) else { return Answer::succeeded() };
        let at = self.given.entry(step.clone()).or_default();
        let answer = answers.get(*at).or(answers.last()).cloned();
        *at += 1;
        answer.unwrap_or_else(Answer::succeeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_people_write_them() {
        let ended = |written: Value| Answer::read(&written).map(|answer| answer.outcome);
        assert_eq!(ended(json!("succeeded")), Ok(Outcome::Ended(Ok(json!({})))));
        assert_eq!(ended(json!("output:{\"used\": 3}")), Ok(Outcome::Ended(Ok(json!({ "used": 3 })))));
        assert_eq!(ended(json!({ "crash": true })), Ok(Outcome::Crash));
        let slow = Answer::read(&json!({ "failed": "no route", "after": "10s" }));
        assert_eq!(slow, Ok(Answer { outcome: Outcome::Ended(Err(Failure::Fatal("no route".into()))), after: Span::seconds(10) }));
        for bad in [json!("suceeded"), json!(5), json!("output:{"), json!({ "failde": "x" }), json!({ "after": "soon" })] {
            assert!(Answer::read(&bad).is_err(), "{bad}");
        }
    }
}
