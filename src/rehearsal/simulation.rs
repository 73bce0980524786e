//! One playbook tried with one alert: what it would do, whom it would tell, what would hold it back. Knows no words for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::worst_case;
use crate::domain::classification::Classification;
use crate::domain::decide::command::Command;
use crate::domain::decide::scope::incident_scope;
use crate::domain::playbook::Playbook;
use crate::domain::settings::Rulebook;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Actor, Entry, Event};
use crate::engine::wire::Parsed;
use crate::rehearsal::answer::Targets;
use crate::rehearsal::stage::{CallMade, Letter, Stage};

/// What a simulation is told.
pub struct Given {
    pub playbook: Arc<Playbook>,
    pub alert: Parsed,
    pub signals: BTreeMap<String, f64>,
    pub begin: Timestamp,
    /// How long the clock runs.
    pub lasts: Span,
}

/// One rule of the classification and what it came to.
#[derive(Clone, Debug)]
pub struct RuleTrace {
    pub name: String,
    pub when: String,
    pub matched: bool,
    /// What it asked for and nobody knew.
    pub missing: Vec<String>,
}

/// What happened on the stage.
#[derive(Clone, Debug)]
pub struct Simulation {
    pub playbook: Arc<Playbook>,
    pub begin: Timestamp,
    pub title: String,
    pub classification: Option<Classification>,
    pub rules: Vec<RuleTrace>,
    /// Whether the playbook starts by itself; if not, a person started it here.
    pub starts: bool,
    pub entries: Vec<Entry>,
    pub calls: Vec<CallMade>,
    pub letters: Vec<Letter>,
    pub longest: Option<Span>,
    pub lasts: Span,
}

/// Plays it. An alert that opens no incident is said to.
pub fn simulate(rulebook: &Rulebook, given: Given, targets: &mut dyn Targets) -> Result<Simulation, String> {
    let mut rulebook = rulebook.clone();
    let playbook = given.playbook;
    // The others would only stand in the way of what is asked.
    rulebook.playbooks = [(playbook.slug.clone(), playbook.clone())].into();
    rulebook.revisions = [(playbook.revision.clone(), playbook.clone())].into();
    let mut stage = Stage::new(&rulebook, targets, given.begin);
    stage.signals = given.signals;
    stage.hear("simulation", given.alert);
    stage.pass_until(given.begin);
    let first = stage.incidents().next().ok_or("this opens no incident: none of its alerts fires")?;
    let (id, rules) = (first.id, traced(&rulebook, first));
    let starts = !first.runs.is_empty();
    if !starts {
        stage
            .put(id, Actor::Person("you".to_owned()), Command::StartRun { playbook: playbook.slug.clone(), vars: serde_json::Map::new() })
            .map_err(|no| no.to_string())?;
    }
    if !stage.pass_until(given.begin + given.lasts) {
        return Err("this goes round in circles; look at its waits and retries".to_owned());
    }
    let incident = stage.incidents().find(|incident| incident.id == id).ok_or("the incident is gone")?;
    let (title, classification) = (incident.title.clone(), incident.classification.clone());
    let entries = stage.entries.iter().filter(|(of, _)| *of == id).map(|(_, entry)| entry.clone()).collect();
    Ok(Simulation {
        longest: worst_case::duration(&playbook, &rulebook),
        playbook,
        begin: given.begin,
        title,
        classification,
        rules,
        starts,
        entries,
        calls: stage.calls,
        letters: stage.letters,
        lasts: given.lasts,
    })
}

fn traced(rulebook: &Rulebook, incident: &crate::domain::incident::Incident) -> Vec<RuleTrace> {
    let scope = incident_scope(incident, &|_| true);
    let trace = |rule: &crate::domain::classification::Rule| {
        let verdict = rule.when.matches(&scope);
        RuleTrace { name: rule.name.clone(), when: rule.when.source().to_owned(), matched: verdict.matched, missing: verdict.missing }
    };
    rulebook.rules.iter().map(trace).collect()
}

impl Simulation {
    /// The same for programs.
    pub fn to_json(&self) -> Value {
        let minute = |at: Timestamp| json!({ "after_ms": at.since(self.begin).as_millis() });
        let rules =
            self.rules.iter().map(|rule| json!({ "rule": rule.name, "when": rule.when, "matched": rule.matched, "missing": rule.missing }));
        let merged = |mut base: Value, more: Value| {
            if let (Some(base), Value::Object(more)) = (base.as_object_mut(), more) {
                base.extend(more);
            }
            base
        };
        let calls = self.calls.iter().map(|call| {
            let what = json!({ "step": call.step, "attempt": call.attempt, "action": call.action, "target": call.target, "with": call.params, "undo": call.undo, "check": call.check });
            merged(minute(call.at), what)
        });
        let told = self.letters.iter().map(|letter| {
            let who = json!({ "channel": letter.channel, "person": letter.person, "template": letter.template, "text": letter.text, "reason": letter.reason });
            merged(minute(letter.at), who)
        });
        let timeline = self.entries.iter().map(|entry| {
            let what = json!({ "seq": entry.seq, "kind": entry.event.kind(), "step": entry.event.step().map(|at| &at.step), "sentence": entry.event.sentence(&entry.actor) });
            merged(minute(entry.at), what)
        });
        json!({
            "playbook": self.playbook.slug, "revision": self.playbook.revision, "title": self.title, "starts": self.starts,
            "classification": self.classification, "rules": rules.collect::<Vec<_>>(), "calls": calls.collect::<Vec<_>>(),
            "told": told.collect::<Vec<_>>(), "limits": self.limits().collect::<Vec<_>>(), "timeline": timeline.collect::<Vec<_>>(),
            "at_most_ms": self.longest.map(Span::as_millis),
        })
    }

    /// The limits that were met, in words.
    pub fn limits(&self) -> impl Iterator<Item = String> + '_ {
        let met = |entry: &&Entry| matches!(entry.event, Event::LimitHit { .. });
        self.entries.iter().filter(met).map(|entry| entry.event.sentence(&entry.actor))
    }
}
