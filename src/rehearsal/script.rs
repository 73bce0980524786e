//! A file of playbook tests: stories of what comes in, what targets answer and what people do, and what must then be on the timeline.
//! Knows no file; whoever reads one hands its values in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::decide::command::Command;
use crate::domain::id::{IncidentId, RunId};
use crate::domain::incident::Incident;
use crate::domain::priority::Priority;
use crate::domain::settings::Rulebook;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Actor, Outcome};
use crate::engine::wire;
use crate::rehearsal::answer::Written;
use crate::rehearsal::judge::{Expect, judge};
use crate::rehearsal::stage::Stage;

/// A file of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Settings to test with, by a path from the file.
    pub config: Option<String>,
    /// Only these playbooks are there.
    #[serde(default)]
    pub playbooks: Vec<String>,
    pub tests: Vec<Story>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    pub name: String,
    at: Option<String>,
    given: Vec<Given>,
    #[serde(default)]
    answers: BTreeMap<String, Value>,
    #[serde(rename = "for")]
    lasts: Option<Span>,
    expect: Expect,
}

/// What comes in, or what somebody does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    at: Span,
    sample: Option<String>,
    resolved: bool,
    body: Option<Value>,
    alerts: Option<Vec<Alert>>,
    signals: Option<BTreeMap<String, f64>>,
    by: Option<String>,
    does: Option<String>,
    step: Option<String>,
    outcome: Option<Outcome>,
    playbook: Option<String>,
    priority: Option<String>,
    until: Option<Span>,
    note: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default = "firing")]
    status: String,
}

fn firing() -> String {
    "firing".to_owned()
}

/// Samples and files by name.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// A Tuesday night in November.
const NIGHT: &str = "2026-11-24T03:12:00Z";

impl Story {
    /// Plays it and says what was not as expected; an error is a story that cannot be played.
    pub fn play(&self, rulebook: &Rulebook, lookup: Lookup<'_>) -> Result<Vec<String>, String> {
        if self.expect.is_empty() {
            return Err("it expects nothing".to_owned());
        }
        let at = self.at.as_deref().unwrap_or(NIGHT);
        let begin = Timestamp::parse_rfc3339(at).ok_or_else(|| format!("at: \"{at}\" is not an instant"))?;
        let mut answers = Written::default();
        for (step, written) in &self.answers {
            if !rulebook.playbooks.values().any(|playbook| playbook.step(step).is_some()) {
                return Err(format!("answers: no playbook here has a step \"{step}\""));
            }
            answers.add(step, written)?;
        }
        let mut stage = Stage::new(rulebook, &mut answers, begin);
        let mut given: Vec<&Given> = self.given.iter().collect();
        given.sort_by_key(|given| given.at);
        for given in given {
            stage.pass_until(begin + given.at);
            self.give(given, &mut stage, begin, lookup)?;
        }
        if !stage.pass_until(begin + self.lasts.unwrap_or(Span::hours(1))) {
            return Err("it goes round in circles".to_owned());
        }
        Ok(judge(&self.expect, &stage, begin))
    }

    fn give(&self, given: &Given, stage: &mut Stage<'_>, begin: Timestamp, lookup: Lookup<'_>) -> Result<(), String> {
        if let Some(signals) = &given.signals {
            stage.signals.extend(signals.clone());
            return Ok(());
        }
        if let Some(does) = &given.does {
            let incident = stage.incidents().last().ok_or("nobody can do anything: there is no incident yet")?;
            let (id, command) = (incident.id, command(does, given, incident)?);
            return put(stage, id, given, command);
        }
        let body = given.delivery(begin, lookup)?;
        let parsed = wire::parse(body.to_string().as_bytes()).map_err(|error| format!("the alert cannot be read: {error}"))?;
        stage.hear("test", parsed);
        // What is due in this very moment is done before anything else is given.
        stage.pass_until(stage.now());
        Ok(())
    }
}

fn put(stage: &mut Stage<'_>, id: IncidentId, given: &Given, command: Command) -> Result<(), String> {
    let by = given.by.clone().unwrap_or_else(|| "somebody".to_owned());
    stage.put(id, Actor::Person(by), command).map_err(|no| format!("{}: {no}", given.does.as_deref().unwrap_or_default()))
}

impl Given {
    fn delivery(&self, begin: Timestamp, lookup: Lookup<'_>) -> Result<Value, String> {
        let now = begin + self.at;
        let read = |text: String| {
            serde_json::from_str(&text.replace("{{now}}", &begin.to_rfc3339())).map_err(|error| format!("it is not JSON: {error}"))
        };
        let mut body = match (&self.sample, &self.body, &self.alerts) {
            (Some(name), None, None) => read(lookup(&format!("sample:{name}"))?)?,
            (None, Some(Value::String(path)), None) => read(lookup(path)?)?,
            (None, Some(body), None) => body.clone(),
            (None, None, Some(alerts)) => {
                let sent = alerts.iter().map(|alert| {
                    let ends = if alert.status == "resolved" { json!(now.to_rfc3339()) } else { Value::Null };
                    json!({ "status": alert.status, "labels": alert.labels, "annotations": alert.annotations, "startsAt": begin.to_rfc3339(), "endsAt": ends })
                });
                json!({ "version": "4", "receiver": "test", "groupKey": "test", "alerts": sent.collect::<Vec<_>>() })
            }
            _ => return Err("given: say one of sample, body, alerts, signals, does".to_owned()),
        };
        if self.resolved {
            body["status"] = json!("resolved");
            for alert in body["alerts"].as_array_mut().into_iter().flatten() {
                alert["status"] = json!("resolved");
                alert["endsAt"] = json!(now.to_rfc3339());
            }
        }
        Ok(body)
    }
}

fn command(does: &str, given: &Given, incident: &Incident) -> Result<Command, String> {
    let note = given.note.clone();
    let run = || -> Result<RunId, String> {
        let runs = incident.runs_in_order();
        let named = |name: &String| runs.iter().rev().find(|run| run.playbook == *name).map(|run| run.id);
        let with_step = |step: &String| runs.iter().rev().find(|run| run.steps.contains_key(step)).map(|run| run.id);
        let found = given.playbook.as_ref().and_then(named).or_else(|| given.step.as_ref().and_then(with_step));
        found.or(runs.last().map(|run| run.id)).ok_or_else(|| format!("{does}: there is no run"))
    };
    let step = || given.step.clone().ok_or_else(|| format!("{does}: say which step"));
    Ok(match does {
        "acknowledge" => Command::Acknowledge { note },
        "unacknowledge" => Command::Unacknowledge,
        "resolve" => Command::Resolve { note },
        "reopen" => Command::Reopen { note },
        "snooze" => Command::Snooze { span: given.until.ok_or("snooze: say until")? },
        "comment" => Command::Comment { text: note },
        "escalate" => Command::Escalate { note },
        "set_priority" => {
            let word = given.priority.as_deref().ok_or("set_priority: say priority")?;
            let priority: Priority = word.parse().map_err(|_| format!("\"{word}\" is not a priority"))?;
            Command::SetPriority { priority, note }
        }
        "start" => Command::StartRun { playbook: given.playbook.clone().ok_or("start: say playbook")?, vars: serde_json::Map::new() },
        "cancel" => Command::CancelRun { run: run()?, note },
        "settle" => Command::SettleStep { run: run()?, step: step()?, outcome: given.outcome.ok_or("settle: say outcome")?, note },
        "retry" => Command::RetryStep { run: run()?, step: step()?, note },
        "approve" => Command::AnswerApproval { run: run()?, step: step()?, yes: true, note },
        "reject" => Command::AnswerApproval { run: run()?, step: step()?, yes: false, note },
        other => return Err(format!("nobody can \"{other}\" here")),
    })
}
