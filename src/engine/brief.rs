//! What a worker is told about a job: everything it needs to act, taken from the state at the commit.

use serde_json::{Value, json};

use crate::domain::decide::command::{AttemptRef, Effect};
use crate::domain::decide::scope::{incident_scope, incident_url, step_scope};
use crate::domain::incident::{Incident, NotificationStatus};
use crate::domain::playbook::Step;
use crate::domain::settings::{Rulebook, Target};
use crate::domain::time::Span;
use crate::engine::ports::Cut;

/// A job with all it takes to do it.
#[derive(Clone, Debug)]
pub enum Brief {
    Perform(Box<Attempt>),
    Send(Box<Telling>),
    /// Expressions' variables, for queries with holes.
    Measure(Value),
}

impl Brief {
    /// The attempt, if it changes things and is neither a look nor an undo: that is what a hold stops.
    pub fn destroys(&self) -> Option<&AttemptRef> {
        self.deed().filter(|attempt| attempt.destructive).map(|attempt| &attempt.reference)
    }

    /// The attempt, if it is neither a look nor an undo: those are let end whatever becomes of their run.
    pub fn deed(&self) -> Option<&Attempt> {
        let Self::Perform(attempt) = self else { return None };
        let AttemptRef { undo, check, .. } = attempt.reference;
        (!undo && !check).then_some(attempt)
    }

    /// Has it end when its run is cancelled, if that is for it.
    pub fn cut_by(mut self, cut: impl FnOnce() -> Cut) -> Self {
        if self.deed().is_some()
            && let Self::Perform(attempt) = &mut self
        {
            attempt.cut = cut();
        }
        self
    }
}

/// An attempt to make.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub reference: AttemptRef,
    pub action: String,
    pub target: Option<Target>,
    /// A target that is named and not to be had any more.
    pub missing_target: Option<String>,
    pub params: Value,
    pub timeout: Span,
    pub key: String,
    pub destructive: bool,
    /// Made when somebody cancels its run.
    pub cut: Cut,
}

/// A message to send.
#[derive(Clone, Debug)]
pub struct Telling {
    pub key: String,
    pub channel: String,
    pub person: Option<String>,
    pub email: Option<String>,
    pub slack: Option<String>,
    pub template: String,
    /// What templates and webhooks see.
    pub data: Value,
}

/// The brief for an effect, or none when its reason is gone.
pub fn brief(incident: &Incident, rulebook: &Rulebook, effect: &Effect) -> Option<Brief> {
    match effect {
        Effect::Perform { attempt } => perform(incident, rulebook, attempt).map(|attempt| Brief::Perform(Box::new(attempt))),
        Effect::Send { notification, .. } => send(incident, rulebook, *notification).map(|telling| Brief::Send(Box::new(telling))),
        Effect::Measure => Some(Brief::Measure(incident_scope(incident, &|_| true))),
        Effect::Wake { .. } => None,
    }
}

fn perform(incident: &Incident, rulebook: &Rulebook, reference: &AttemptRef) -> Option<Attempt> {
    let run = incident.runs.get(&reference.run)?;
    let step = rulebook.revisions.get(&run.revision)?.step(&reference.step)?;
    let state = run.steps.get(&reference.step)?;
    let (action, target, params) = match (&step.check, reference.check) {
        (Some(check), true) => {
            let look = Step { target: check.target.clone(), ..(*step).clone() };
            let scope = step_scope(incident, rulebook, (run, &look), &|variable| check.with.reads(variable));
            (check.action.clone(), check.target.clone(), check.with.render(&scope).unwrap_or(Value::Null))
        }
        _ => (step.action.clone(), step.target.clone(), state.params.clone()),
    };
    let found = target.as_ref().and_then(|name| rulebook.targets.get(name)).cloned();
    Some(Attempt {
        reference: reference.clone(),
        action,
        missing_target: target.filter(|_| found.is_none()),
        target: found,
        params,
        timeout: step.timeout,
        destructive: step.destructive,
        key: reference.key(),
        cut: Cut::default(),
    })
}

fn send(incident: &Incident, rulebook: &Rulebook, id: u32) -> Option<Telling> {
    let notification = incident.notifications.get(&id).filter(|n| n.status == NotificationStatus::Queued)?;
    let person = notification.person.as_ref().and_then(|name| rulebook.directory.people.get(name));
    Some(Telling {
        key: format!("{}-{id}", incident.id),
        channel: notification.channel.clone(),
        person: notification.person.clone(),
        email: person.and_then(|person| person.email.clone()),
        slack: person.and_then(|person| person.slack.clone()),
        template: notification.template.clone(),
        data: message_data(incident, rulebook, &notification.reason, notification.text.as_deref()),
    })
}

/// What message templates see.
pub fn message_data(incident: &Incident, rulebook: &Rulebook, reason: &str, text: Option<&str>) -> Value {
    let (firing, over): (Vec<_>, Vec<_>) = incident.alerts.values().partition(|mark| mark.firing);
    let alerts: Vec<Value> = firing
        .into_iter()
        .chain(over)
        .take(20)
        .map(|mark| json!({"labels": mark.labels, "annotations": mark.annotations, "firing": mark.firing, "starts_at": mark.starts_at.to_rfc3339()}))
        .collect();
    json!({
        "incident": {
            "id": incident.id, "number": incident.number, "title": incident.title, "priority": incident.priority, "type": incident.kind,
            "service": incident.service, "status": incident.status, "opened_at": incident.opened_at.to_rfc3339(),
            "url": incident_url(rulebook, incident.number), "labels": incident.labels, "annotations": incident.annotations,
            "firing": incident.counts.firing, "resolved": incident.counts.resolved,
        },
        "reason": reason,
        "text": text,
        "level": incident.escalation.level,
        "actor": incident.acknowledged_by,
        "summary": incident.annotations.get("description").or_else(|| incident.annotations.get("summary")),
        "alerts": alerts,
    })
}
