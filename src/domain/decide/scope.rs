//! What expressions and templates see of an incident: `incident`, `labels`, `annotations`, `signals`, `alerts`, `steps`, `target`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::decide::turn::Turn;
use crate::domain::incident::Incident;
use crate::domain::run::Run;
use crate::domain::settings::{Rulebook, Target};

/// Alerts that an expression sees at most; the counts tell of the rest.
const ALERTS_IN_SCOPE: usize = 100;

impl Turn<'_, '_> {
    pub(super) fn scope_with_signals(&self, signals: &BTreeMap<String, f64>) -> Value {
        let mut scope = incident_scope(self.state);
        scope["signals"] = json!(signals);
        scope
    }
}

/// The variables of one step of one run.
pub fn step_scope(incident: &Incident, rulebook: &Rulebook, run: &Run, target: Option<&str>) -> Value {
    let mut scope = incident_scope(incident);
    scope["steps"] = steps_scope(run);
    scope["target"] = target.and_then(|name| rulebook.targets.get(name)).map_or(Value::Null, target_scope);
    scope
}

/// The variables that need no run.
pub fn incident_scope(incident: &Incident) -> Value {
    let alerts: Vec<Value> = incident
        .alerts
        .values()
        .take(ALERTS_IN_SCOPE)
        .map(|mark| json!({"labels": mark.labels, "annotations": mark.annotations, "status": if mark.firing { "firing" } else { "resolved" }}))
        .collect();
    let signals = incident.classification.as_ref().map(|c| json!(c.signals)).unwrap_or_else(|| json!({}));
    json!({
        "incident": {
            "id": incident.id, "number": incident.number, "title": incident.title, "type": incident.kind, "service": incident.service,
            "source": incident.source, "priority": incident.priority, "status": incident.status,
        },
        "labels": incident.labels,
        "annotations": incident.annotations,
        "signals": signals,
        "alerts": alerts,
        "vars": {},
    })
}

/// The URL of a target's incident page and the like stay out: only what names it.
fn target_scope(target: &Target) -> Value {
    let mut fields: Map<String, Value> = target.extra.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    fields.insert("name".to_owned(), json!(target.name));
    fields.insert("kind".to_owned(), json!(target.kind));
    fields.insert("service".to_owned(), json!(target.service));
    Value::Object(fields)
}

fn steps_scope(run: &Run) -> Value {
    run.steps
        .iter()
        .map(|(id, step)| (id.clone(), json!({"status": step.status.word(), "output": step.output})))
        .collect::<Map<_, _>>()
        .into()
}

/// Where people look at an incident.
pub fn incident_url(rulebook: &Rulebook, number: u64) -> String {
    format!("{}/incidents/{number}", rulebook.public_url.trim_end_matches('/'))
}
