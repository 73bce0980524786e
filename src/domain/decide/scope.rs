//! What expressions and templates see of an incident: `incident`, `labels`, `annotations`, `firing`, `signals`, `alerts`, `steps`, `target`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::domain::decide::turn::Turn;
use crate::domain::expression::condition::field;
use crate::domain::incident::{AlertMark, Incident};
use crate::domain::path;
use crate::domain::playbook::Step;
use crate::domain::run::Run;
use crate::domain::settings::{Rulebook, Target};

/// Alerts that an expression sees at most; the counts tell of the rest.
const ALERTS_IN_SCOPE: usize = 100;

/// Different values of one label that an expression sees at most. Who asks for more asks for what tells each alert from the next.
const VALUES_IN_SCOPE: usize = 100;

/// Asked of each variable before it is made: whether anybody will read it. A hundred alerts are not told to who asks for a service.
pub type Reads<'a> = &'a dyn Fn(&str) -> bool;

impl Turn<'_, '_> {
    pub(super) fn scope_of_rules(&self, signals: &BTreeMap<String, f64>) -> Value {
        let mut scope = incident_scope(self.state, &|variable| self.rulebook.rules.iter().any(|rule| rule.when.reads(variable)));
        scope["signals"] = json!(signals);
        scope
    }
}

/// The variables of one step of one run; an item of a list also sees itself.
pub fn step_scope(incident: &Incident, rulebook: &Rulebook, (run, step): (&Run, &Step), reads: Reads) -> Value {
    let mut scope = incident_scope(incident, reads);
    if reads("vars") {
        scope["vars"] = Value::Object(run.vars.clone());
    }
    if reads("steps") {
        scope["steps"] = steps_scope(run);
    }
    if reads("target") {
        scope["target"] = step.target.as_ref().and_then(|name| rulebook.targets.get(name)).map_or(Value::Null, target_scope);
    }
    let (id, visit) = path::split(&step.id);
    let item = visit.and_then(|visit| run.steps.get(id)?.items.get(visit as usize - 1));
    if let (Some(item), Some(name)) = (item, &step.item_name) {
        scope[name.as_str()] = item.clone();
    }
    scope
}

/// The variables that need no run.
pub fn incident_scope(incident: &Incident, reads: Reads) -> Value {
    let mut scope = Map::new();
    let mut tell = |variable: &str, value: &dyn Fn() -> Value| {
        if reads(variable) {
            scope.insert(variable.to_owned(), value());
        }
    };
    tell("incident", &|| {
        json!({
            "id": incident.id, "number": incident.number, "title": incident.title, "type": incident.kind, "service": incident.service,
            "source": incident.source, "priority": incident.priority, "status": incident.status,
        })
    });
    tell("labels", &|| json!(incident.labels));
    tell("annotations", &|| json!(incident.annotations));
    tell("firing", &|| firing_scope(incident, reads));
    tell("signals", &|| incident.classification.as_ref().map_or_else(|| json!({}), |c| json!(c.signals)));
    tell("alerts", &|| incident.alerts.values().take(ALERTS_IN_SCOPE).map(alert_scope).collect());
    Value::Object(scope)
}

/// Each label's different values among the alerts that fire, in order; when none does any more, among all of them.
fn firing_scope(incident: &Incident, reads: Reads) -> Value {
    let any = incident.alerts.values().any(|mark| mark.firing);
    let mut values: BTreeMap<&str, Option<BTreeSet<&str>>> = BTreeMap::new();
    for mark in incident.alerts.values().filter(|mark| mark.firing || !any) {
        for (label, value) in &mark.labels {
            let asked = values.entry(label).or_insert_with(|| reads(&field("firing", label)).then(BTreeSet::new));
            if let Some(seen) = asked.as_mut().filter(|seen| seen.len() < VALUES_IN_SCOPE) {
                seen.insert(value);
            }
        }
    }
    json!(values.into_iter().filter_map(|(label, seen)| Some((label, seen?))).collect::<BTreeMap<_, _>>())
}

fn alert_scope(mark: &AlertMark) -> Value {
    json!({"labels": mark.labels, "annotations": mark.annotations, "status": if mark.firing { "firing" } else { "resolved" }})
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
        .filter(|(id, _)| path::split(id).1.is_none())
        .map(|(id, step)| (id.clone(), json!({"status": step.status.word(), "output": step.output})))
        .collect::<Map<_, _>>()
        .into()
}

/// Where people look at an incident.
pub fn incident_url(rulebook: &Rulebook, number: u64) -> String {
    format!("{}/incidents/{number}", rulebook.public_url.trim_end_matches('/'))
}
