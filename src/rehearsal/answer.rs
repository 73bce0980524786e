//! What the world answers in a rehearsal: targets to attempts, people to requests for a yes, Prometheus to signals. Knows no step.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::decide::command::{Failure, Observation};
use crate::domain::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::path;
use crate::domain::time::{Span, SpanError};
use crate::domain::timeline::StepRef;
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

/// What a person says to a step that asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    pub yes: bool,
    /// Who; left out, somebody who may.
    pub by: Option<String>,
    pub note: String,
    pub after: Span,
}

/// Whoever stands for everything outside.
pub trait World {
    fn answer(&mut self, incident: &Incident, attempt: &Attempt) -> Answer;

    /// None: nobody says anything.
    fn verdict(&mut self, _incident: &Incident, _step: &StepRef) -> Option<Verdict> {
        None
    }

    /// What Prometheus tells now; none where the stage's own numbers hold.
    fn measure(&mut self, _incident: &Incident) -> Option<BTreeMap<String, f64>> {
        None
    }

    /// The id and number of an incident that this opens; none where any will do.
    fn name(&mut self, _observation: &Observation) -> Option<(IncidentId, u64)> {
        None
    }
}

impl Answer {
    pub fn succeeded() -> Self {
        Self::at_once(Outcome::Ended(Ok(json!({}))))
    }

    pub fn at_once(outcome: Outcome) -> Self {
        Self { outcome, after: Span::ZERO }
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
            _ => Outcome::Ended(Err(failure(word, said()).ok_or_else(|| unknown(word))?)),
        }))
    }

    fn fields(fields: &Map<String, Value>) -> Result<Self, String> {
        let mut answer = Self::succeeded();
        for (name, value) in fields {
            match name.as_str() {
                "after" => answer.after = span(value)?,
                "output" => answer.outcome = Outcome::Ended(Ok(value.clone())),
                "crash" => answer.outcome = Outcome::Crash,
                other => answer.outcome = Outcome::Ended(Err(failure(other, text(value)).ok_or_else(|| unknown(other))?)),
            }
        }
        Ok(answer)
    }
}

impl Verdict {
    /// None where the words are about something else.
    fn read(written: &Value) -> Option<Result<Self, String>> {
        let yes = |word: &str| VERDICTS.iter().find(|(known, _)| *known == word).map(|(_, yes)| *yes);
        match written {
            Value::String(word) => yes(word).map(|yes| Ok(Self { yes, ..Self::default() })),
            Value::Object(fields) => fields.keys().find_map(|name| yes(name)).map(|yes| Self::fields(yes, fields)),
            _ => None,
        }
    }

    fn fields(yes: bool, fields: &Map<String, Value>) -> Result<Self, String> {
        let mut verdict = Self { yes, ..Self::default() };
        for (name, value) in fields {
            match name.as_str() {
                "after" => verdict.after = span(value)?,
                "by" => verdict.by = Some(text(value)),
                "approved" | "rejected" if !value.is_boolean() => verdict.note = text(value),
                "approved" | "rejected" => {}
                other => return Err(format!("\"{other}\" does not go with a yes or no; by: and after: do")),
            }
        }
        Ok(verdict)
    }
}

const VERDICTS: [(&str, bool); 2] = [("approved", true), ("rejected", false)];

const KNOWN: &str =
    "known are succeeded, failed, retry, unknown, barred, crash, output: and after:; approved and rejected for a step that asks";

fn unknown(word: &str) -> String {
    format!("\"{word}\" is no answer; {KNOWN}")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn span(value: &Value) -> Result<Span, String> {
    text(value).parse().map_err(|error: SpanError| error.to_string())
}

fn failure(word: &str, reason: String) -> Option<Failure> {
    Some(match word {
        "failed" => Failure::Fatal(reason),
        "retry" => Failure::Retry(reason),
        "unknown" => Failure::Unknown(reason),
        "barred" => Failure::Barred(reason),
        _ => return None,
    })
}

/// Of one kind, given one after the other; the last one holds on.
#[derive(Clone, Debug)]
struct InTurn<T> {
    all: Vec<T>,
    given: usize,
}

impl<T: Clone> InTurn<T> {
    fn next(&mut self) -> Option<T> {
        let next = self.all.get(self.given).or(self.all.last()).cloned();
        self.given += 1;
        next
    }
}

impl<T> Default for InTurn<T> {
    fn default() -> Self {
        Self { all: Vec::new(), given: 0 }
    }
}

/// As people write them: by the step's id, or by `step.2` for one item of a list; `step:undo` and `step:check` for what takes it back and
/// what looks whether it happened. Whoever is not named succeeds, and a step that asks is not answered.
#[derive(Clone, Debug, Default)]
pub struct Written {
    answers: BTreeMap<String, InTurn<Answer>>,
    verdicts: BTreeMap<String, InTurn<Verdict>>,
}

impl Written {
    /// Adds one answer, or a list of them.
    pub fn add(&mut self, step: &str, written: &Value) -> Result<(), String> {
        let items = written.as_array().map_or(std::slice::from_ref(written), Vec::as_slice);
        items.iter().try_for_each(|item| self.add_one(step, item).map_err(|why| format!("{step}: {why}")))
    }

    /// `succeeded`, `failed`, `output:{"used": 3}`, `approved`, or a map such as `{ failed: no route, after: 10s }`.
    fn add_one(&mut self, step: &str, written: &Value) -> Result<(), String> {
        if let Some(verdict) = Verdict::read(written) {
            self.verdicts.entry(step.to_owned()).or_default().all.push(verdict?);
            return Ok(());
        }
        let answer = match written {
            Value::String(word) => Answer::word(word)?,
            Value::Object(fields) => Answer::fields(fields)?,
            other => return Err(format!("{other} is no answer; {KNOWN}")),
        };
        self.answers.entry(step.to_owned()).or_default().all.push(answer);
        Ok(())
    }

    pub fn knows(&self, attempt: &Attempt) -> bool {
        places(attempt).iter().any(|place| self.answers.contains_key(place))
    }

    /// The steps that are answered with a yes or no.
    pub fn judged(&self) -> impl Iterator<Item = &str> {
        self.verdicts.keys().map(|place| step_of(place))
    }
}

/// The step that a place names: without its item, and without `:undo`.
pub fn step_of(place: &str) -> &str {
    let bare = place.split(':').next().unwrap_or(place);
    path::split(bare).0
}

/// Where the answer to an attempt may be written, the most exact first.
fn places(attempt: &Attempt) -> [String; 2] {
    let reference = &attempt.reference;
    let what = match (reference.undo, reference.check) {
        (true, _) => ":undo",
        (_, true) => ":check",
        _ => "",
    };
    [format!("{}{what}", reference.step), format!("{}{what}", path::split(&reference.step).0)]
}

impl World for Written {
    fn answer(&mut self, _incident: &Incident, attempt: &Attempt) -> Answer {
        let found = places(attempt).into_iter().find(|place| self.answers.contains_key(place));
        found.and_then(|place| self.answers.get_mut(&place)?.next()).unwrap_or_else(Answer::succeeded)
    }

    fn verdict(&mut self, _incident: &Incident, step: &StepRef) -> Option<Verdict> {
        let place = [step.step.as_str(), path::split(&step.step).0].into_iter().find(|place| self.verdicts.contains_key(*place))?;
        self.verdicts.get_mut(place)?.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(written: &Value) -> Result<Written, String> {
        let mut all = Written::default();
        all.add("a", written).map(|()| all)
    }

    #[test]
    fn answers_are_read_as_people_write_them() {
        let ended = |value: Value| written(&value).map(|mut all| all.answers.get_mut("a").and_then(InTurn::next).map(|one| one.outcome));
        assert_eq!(ended(json!("succeeded")), Ok(Some(Outcome::Ended(Ok(json!({}))))));
        assert_eq!(ended(json!("output:{\"used\": 3}")), Ok(Some(Outcome::Ended(Ok(json!({ "used": 3 }))))));
        assert_eq!(ended(json!({ "crash": true })), Ok(Some(Outcome::Crash)));
        let slow = written(&json!({ "failed": "no route", "after": "10s" })).map(|mut all| all.answers.get_mut("a").and_then(InTurn::next));
        let expected = Answer { outcome: Outcome::Ended(Err(Failure::Fatal("no route".into()))), after: Span::seconds(10) };
        assert_eq!(slow, Ok(Some(expected)));
        for bad in [json!("suceeded"), json!(5), json!("output:{"), json!({ "failde": "x" }), json!({ "after": "soon" })] {
            assert!(written(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_yes_or_no_may_have_words_and_take_its_time() {
        let verdict = |value: Value| written(&value).map(|mut all| all.verdicts.get_mut("a").and_then(InTurn::next));
        assert_eq!(verdict(json!("approved")), Ok(Some(Verdict { yes: true, ..Verdict::default() })));
        let no = Verdict { yes: false, by: Some("ana".to_owned()), note: "too risky".to_owned(), after: Span::minutes(5) };
        assert_eq!(verdict(json!({ "rejected": "too risky", "by": "ana", "after": "5m" })), Ok(Some(no)));
        assert_eq!(verdict(json!("failed")), Ok(None));
        assert!(verdict(json!({ "approved": true, "output": 3 })).is_err());
    }

    #[test]
    fn answers_come_in_turn_and_the_last_holds_on() {
        let mut turn = InTurn { all: vec![1, 2], given: 0 };
        assert_eq!([turn.next(), turn.next(), turn.next()], [Some(1), Some(2), Some(2)]);
        assert_eq!([step_of("each.2:undo"), step_of("protect:check"), step_of("look")], ["each", "protect", "look"]);
    }
}
