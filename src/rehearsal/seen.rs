//! What the past says about rules and conditions: how often each was asked, how often it held, and which names were not there.
//! Knows no file; where a condition stands is for others to say.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::classification::Rule;
use crate::domain::decide::scope::incident_scope;
use crate::domain::id::RunId;
use crate::domain::incident::Incident;
use crate::domain::playbook::Step;
use crate::domain::settings::Rulebook;
use crate::domain::timeline::Event;

/// Of one rule or one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub asked: u64,
    pub held: u64,
    /// How often each name that it reads was not there.
    pub missing: BTreeMap<String, u64>,
}

/// What a warning is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Rule(String),
    /// A step's condition: playbook and step.
    When(String, String),
    /// What a step is filled in with, for the incidents that its playbook ran on.
    Step(String, String),
}

#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub counts: BTreeMap<Subject, Count>,
    /// The labels and annotations that each step reads, by playbook; found once.
    reads: BTreeMap<String, Vec<(String, Vec<String>)>>,
    begun: BTreeSet<(RunId, String)>,
}

impl Seen {
    /// An incident has been classified for the first time.
    pub fn classified(&mut self, incident: &Incident, rulebook: &Rulebook) {
        let scope = incident_scope(incident, &|variable| rulebook.rules.iter().any(|rule| rule.when.reads(variable)));
        for rule in &rulebook.rules {
            let verdict = rule.when.matches(&scope);
            let count = self.counts.entry(Subject::Rule(rule.name.clone())).or_default();
            count.asked += 1;
            count.held += u64::from(verdict.matched);
            names(rule).filter(|name| is_missing(incident, name)).for_each(|name| *count.missing.entry(name).or_default() += 1);
        }
    }

    /// Something has happened in a run.
    pub fn happened(&mut self, incident: &Incident, rulebook: &Rulebook, event: &Event) {
        match event {
            Event::RunStarted { playbook, .. } => self.run_started(incident, rulebook, playbook),
            Event::StepSkipped { at, reason, .. } if reason.starts_with("not so: ") => {
                self.asked(incident, rulebook, at.run, &at.step, false)
            }
            Event::StepStarted { at, .. } | Event::ApprovalRequested { at, .. } if !at.undo && at.attempt <= 1 => {
                self.asked(incident, rulebook, at.run, &at.step, true);
            }
            // What is over is not asked about again.
            Event::RunSucceeded { run, .. } | Event::RunFailed { run, .. } | Event::RunCancelled { run, .. } => {
                self.begun.retain(|(of, _)| of != run);
            }
            _ => {}
        }
    }

    fn run_started(&mut self, incident: &Incident, rulebook: &Rulebook, slug: &str) {
        let Some(playbook) = rulebook.playbooks.get(slug) else { return };
        let reads = self.reads.entry(slug.to_owned()).or_insert_with(|| {
            playbook.steps.iter().map(|step| (step.id.clone(), labels_of(step))).filter(|(_, names)| !names.is_empty()).collect()
        });
        for (step, names) in reads {
            let count = self.counts.entry(Subject::Step(slug.to_owned(), step.clone())).or_default();
            count.asked += 1;
            names.iter().filter(|name| is_missing(incident, name)).for_each(|name| *count.missing.entry(name.clone()).or_default() += 1);
        }
    }

    fn asked(&mut self, incident: &Incident, rulebook: &Rulebook, run: RunId, step: &str, held: bool) {
        let Some(slug) = incident.runs.get(&run).map(|run| &run.playbook) else { return };
        let Some(found) = rulebook.playbooks.get(slug).and_then(|playbook| playbook.step(step)) else { return };
        // A step that asks for a yes first begins only after it; its condition was asked once.
        if found.when.is_none() || !self.begun.insert((run, step.to_owned())) {
            return;
        }
        let count = self.counts.entry(Subject::When(slug.clone(), crate::domain::path::split(step).0.to_owned())).or_default();
        count.asked += 1;
        count.held += u64::from(held);
    }
}

fn names(rule: &Rule) -> impl Iterator<Item = String> {
    rule.when.names().into_iter().filter(|name| is_told(name))
}

fn labels_of(step: &Step) -> Vec<String> {
    let list = step.each.iter().flat_map(|each| each.list.names());
    let when = step.when.iter().flat_map(|when| when.names());
    let all: BTreeSet<String> = list.chain(when).chain(step.with.names()).filter(|name| is_told(name)).collect();
    all.into_iter().collect()
}

/// Whether an alert, and not Reynard, says whether it is there.
fn is_told(name: &str) -> bool {
    ["labels.", "annotations.", "firing.", "signals."].iter().any(|head| name.starts_with(head))
}

fn is_missing(incident: &Incident, name: &str) -> bool {
    match name.split_once('.') {
        Some(("labels", label)) => !incident.labels.contains_key(label),
        Some(("annotations", annotation)) => !incident.annotations.contains_key(annotation),
        Some(("firing", label)) => !incident.alerts.values().any(|mark| mark.labels.contains_key(label)),
        Some(("signals", signal)) => incident.classification.as_ref().is_none_or(|known| !known.signals.contains_key(signal)),
        _ => false,
    }
}
