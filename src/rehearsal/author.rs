//! Writes a test from an incident that was: its deliveries, its clock, what people did and targets answered, and what came of it.
//! Knows no database and no file; it gives a text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::domain::action::{Performer, Specs};
use crate::domain::decide::command::Failure;
use crate::domain::incident::Incident;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Entry, Event};
use crate::engine::wire;
use crate::rehearsal::answer::{Answer, Outcome};
use crate::rehearsal::given::Given;
use crate::rehearsal::judge::{Expect, Sought, Wanted, Words};
use crate::rehearsal::past::Lived;
use crate::rehearsal::script::Story;
use crate::rehearsal::written::yaml;

/// A webhook call that spoke of the incident.
pub struct Letter {
    pub source: String,
    pub received_at: Timestamp,
    pub body: Vec<u8>,
}

/// The words with which an attempt is told that a crash cut off.
const CUT_OFF: &str = "Reynard stopped while it was under way";

/// The whole file.
pub fn file(incident: &Incident, entries: &[Entry], letters: &[Letter], specs: &Specs) -> String {
    let mut lived = Lived::default();
    entries.iter().for_each(|entry| lived.take(entry));
    let begin = letters.iter().map(|letter| letter.received_at).min().unwrap_or(incident.opened_at);
    let last = entries.last().map_or(begin, |entry| entry.at);
    let story = Story {
        name: format!("Incident {}: {}", incident.number, incident.title),
        at: Some(begin.to_rfc3339()),
        given: given(&lived, letters, incident, begin),
        answers: answers(&lived, specs),
        // A little longer, so that what must not follow would be seen.
        lasts: Some(Span((last.since(begin).as_millis() / 1_000 + 60) * 1_000)),
        expect: expect(incident, entries),
    };
    let playbooks: BTreeSet<&str> = entries.iter().filter_map(|entry| started(&entry.event)).collect();
    let mut whole = json!({ "tests": [serde_json::to_value(story).unwrap_or_default()] });
    if !playbooks.is_empty() {
        whole = json!({ "playbooks": playbooks, "tests": whole["tests"].take() });
    }
    let head = "# yaml-language-server: $schema=../../schemas/test.json";
    let hint = format!("# Written from incident {} as it was. Take out what the test is not about.", incident.number);
    format!("{head}\n{hint}\n{}", yaml(&whole))
}

fn started(event: &Event) -> Option<&str> {
    if let Event::RunStarted { playbook, .. } = event { Some(playbook) } else { None }
}

fn given(lived: &Lived, letters: &[Letter], incident: &Incident, begin: Timestamp) -> Vec<Given> {
    let measured = lived.measured.first().filter(|signals| !signals.is_empty());
    let signals = measured.map(|signals| Given { signals: Some(signals.clone()), ..Given::default() });
    let deliveries = letters.iter().map(|letter| Given {
        at: letter.received_at.since(begin),
        source: Some(letter.source.clone()),
        body: Some(own(&letter.body, incident)),
        ..Given::default()
    });
    let acts = lived.acts.iter().map(|(at, act)| Given { at: at.since(begin), ..act.clone() });
    let mut all: Vec<Given> = signals.into_iter().chain(deliveries).chain(acts).collect();
    all.sort_by_key(|given| given.at);
    all
}

/// The body with only this incident's alerts: the others were other incidents.
fn own(body: &[u8], incident: &Incident) -> Value {
    let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_ours = |alert: &Value| {
        let alone = json!({ "version": "4", "alerts": [alert] }).to_string();
        let parsed = wire::parse(alone.as_bytes());
        parsed.is_ok_and(|parsed| parsed.alerts.first().is_some_and(|alert| incident.alerts.contains_key(&alert.fingerprint)))
    };
    if let Some(alerts) = body.get_mut("alerts").and_then(Value::as_array_mut) {
        alerts.retain(is_ours);
    }
    body
}

fn answers(lived: &Lived, specs: &Specs) -> BTreeMap<String, Value> {
    let mut answers: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (deed, given) in &lived.answers {
        if specs.get(deed.action()).is_some_and(|spec| spec.performer == Performer::Worker) {
            let place = if deed.undo { format!("{}:undo", deed.step) } else { deed.step.clone() };
            answers.entry(place).or_default().extend(given.iter().map(written));
        }
    }
    let one_or_many = |mut all: Vec<Value>| if all.len() == 1 { all.remove(0) } else { Value::Array(all) };
    answers.into_iter().map(|(place, all)| (place, one_or_many(all))).collect()
}

fn written(answer: &Answer) -> Value {
    let mut fields = Map::new();
    match &answer.outcome {
        Outcome::Ended(Ok(output)) => drop(fields.insert("output".to_owned(), output.clone())),
        Outcome::Ended(Err(Failure::Unknown(reason))) if reason.starts_with(CUT_OFF) => {
            drop(fields.insert("crash".to_owned(), json!(true)))
        }
        Outcome::Crash => drop(fields.insert("crash".to_owned(), json!(true))),
        Outcome::Ended(Err(failure)) => {
            let (word, reason) = match failure {
                Failure::Retry(reason) => ("retry", reason),
                Failure::Fatal(reason) => ("failed", reason),
                Failure::Barred(reason) => ("barred", reason),
                Failure::Unknown(reason) => ("unknown", reason),
            };
            fields.insert(word.to_owned(), json!(reason));
        }
    }
    if answer.after != Span::ZERO {
        fields.insert("after".to_owned(), json!(answer.after));
    }
    Value::Object(fields)
}

/// What a person would hold it to: how bad, how it ended, and what was done in which order. Times are left out: then the world was slower.
fn expect(incident: &Incident, entries: &[Entry]) -> Expect {
    let priority = incident.classification.is_some().then(|| incident.priority.to_string());
    let timeline = entries.iter().filter_map(sought).collect();
    Expect { priority, status: Some(incident.status.word().to_owned()), timeline, ..Expect::default() }
}

fn sought(entry: &Entry) -> Option<Sought> {
    let kind = entry.event.kind();
    let by = Some(entry.actor.name().to_owned()).filter(|_| entry.actor.kind() == "person");
    let says = match &entry.event {
        Event::Classified { classification, .. } => Words::One(format!("rule \"{}\"", classification.rule)),
        Event::Escalated { level, .. } => Words::One(format!("Level {level}")),
        Event::RunStarted { playbook, .. } => Words::One(playbook.clone()),
        _ => Words::default(),
    };
    let told = [
        "classified",
        "priority_changed",
        "run_started",
        "step_failed",
        "step_skipped",
        "step_succeeded",
        "step_in_doubt",
        "step_settled",
        "step_undone",
        "approval_requested",
        "approved",
        "rejected",
        "run_succeeded",
        "run_failed",
        "run_cancelled",
        "escalated",
        "acknowledged",
        "resolved",
        "reopened",
        "recovered",
    ];
    let step = entry.event.step().map(|at| at.step.clone());
    told.contains(&kind).then(|| match (&step, &by, &says) {
        (None, None, Words::Many(none)) if none.is_empty() => Sought::Kind(kind.to_owned()),
        _ => Sought::Entry(Wanted { kind: kind.to_owned(), step, at: None, by, says }),
    })
}
