//! What a story is given: deliveries that come in, numbers that Prometheus answers, acts of people. Knows no file and no stage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::schema::test::ACTS;
use crate::domain::decide::command::Command;
use crate::domain::id::RunId;
use crate::domain::incident::Incident;
use crate::domain::priority::Priority;
use crate::domain::run::Run;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::Outcome;

/// One of them, at its time; which one it is, its fields say.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    #[serde(skip_serializing_if = "is_zero")]
    pub at: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resolved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Vec<Alert>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signals: Option<BTreeMap<String, f64>>,
    /// The playbook whose time comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub does: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playbook: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// An alert in short.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default = "firing", skip_serializing_if = "is_firing")]
    pub status: String,
}

fn firing() -> String {
    "firing".to_owned()
}

fn is_firing(status: &str) -> bool {
    status == "firing"
}

fn is_zero(span: &Span) -> bool {
    *span == Span::ZERO
}

/// Samples (`sample:NAME`) and files by name.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<String, String>;

impl Given {
    /// The body that Alertmanager would post.
    pub fn delivery(&self, begin: Timestamp, lookup: Lookup<'_>) -> Result<Value, String> {
        let now = begin + self.at;
        let read = |text: String| {
            serde_json::from_str(&text.replace("{{now}}", &begin.to_rfc3339())).map_err(|error| format!("it is not JSON: {error}"))
        };
        let mut body = match (&self.sample, &self.body, &self.alerts) {
            (Some(name), None, None) => read(lookup(&format!("sample:{name}"))?)?,
            (None, Some(Value::String(path)), None) => read(lookup(path)?)?,
            (None, Some(body), None) => body.clone(),
            (None, None, Some(alerts)) => in_full(alerts, begin, now),
            _ => return Err("say one of sample, body, alerts, signals, occurs, does".to_owned()),
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

    /// What a person asks of the incident.
    pub fn command(&self, incident: &Incident) -> Result<Command, String> {
        let does = self.does.as_deref().unwrap_or_default();
        let need = |what: &str| format!("{does}: say {what}");
        let note = self.note.clone();
        let run = || self.run(incident).ok_or_else(|| format!("{does}: there is no run"));
        let step = || self.step.clone().ok_or_else(|| need("step"));
        Ok(match does {
            "acknowledge" => Command::Acknowledge { note },
            "unacknowledge" => Command::Unacknowledge,
            "resolve" => Command::Resolve { note },
            "reopen" => Command::Reopen { note },
            "unresolve" => Command::Unresolve,
            "snooze" => Command::Snooze { span: self.until.ok_or_else(|| need("until"))? },
            "comment" => Command::Comment { text: note },
            "assign" => Command::Assign { to: self.to.clone().ok_or_else(|| need("to"))? },
            "escalate" => Command::Escalate { note },
            "set_priority" => {
                let word = self.priority.as_deref().ok_or_else(|| need("priority"))?;
                let priority: Priority = word.parse().map_err(|_| format!("\"{word}\" is not a priority"))?;
                Command::SetPriority { priority, note }
            }
            "start" => Command::StartRun { playbook: self.playbook.clone().ok_or_else(|| need("playbook"))?, vars: self.vars.clone() },
            "cancel" => Command::CancelRun { run: run()?, note },
            "settle" => {
                let outcome = self.outcome.ok_or_else(|| need("outcome"))?;
                Command::SettleStep { run: run()?, step: step()?, outcome, note }
            }
            "retry" => Command::RetryStep { run: run()?, step: step()?, note },
            "skip" => Command::SkipStep { run: run()?, step: step()?, note },
            "undo" => Command::UndoStep { run: run()?, step: step()?, note },
            "approve" => Command::AnswerApproval { run: run()?, step: step()?, yes: true, note },
            "reject" => Command::AnswerApproval { run: run()?, step: step()?, yes: false, note },
            other => {
                let known: Vec<&str> = ACTS.iter().map(|(word, _)| *word).collect();
                return Err(format!("nobody can \"{other}\" here; known are {}", known.join(", ")));
            }
        })
    }

    /// The newest run that is meant: of that playbook, with that step, or at all.
    fn run(&self, incident: &Incident) -> Option<RunId> {
        let runs = incident.runs_in_order();
        let newest = |is: &dyn Fn(&Run) -> bool| runs.iter().rev().find(|run| is(run)).map(|run| run.id);
        let named = self.playbook.as_ref().and_then(|name| newest(&|run| run.playbook == *name));
        let with_step = self.step.as_ref().and_then(|step| newest(&|run| run.steps.contains_key(step)));
        named.or(with_step).or_else(|| newest(&|_| true))
    }
}

fn in_full(alerts: &[Alert], begin: Timestamp, now: Timestamp) -> Value {
    let sent = alerts.iter().map(|alert| {
        let ends = if alert.status == "resolved" { json!(now.to_rfc3339()) } else { Value::Null };
        json!({ "status": alert.status, "labels": alert.labels, "annotations": alert.annotations, "startsAt": begin.to_rfc3339(), "endsAt": ends })
    });
    json!({ "version": "4", "receiver": "test", "groupKey": "test", "alerts": sent.collect::<Vec<_>>() })
}
