//! One playbook tried with one alert: what it would do, whom it would tell, what would hold it back. Knows no words for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::config::worst_case;
use crate::domain::classification::Classification;
use crate::domain::decide::command::Command;
use crate::domain::decide::scope::incident_scope;
use crate::domain::incident::Incident;
use crate::domain::labels::Matcher;
use crate::domain::playbook::Playbook;
use crate::domain::settings::Rulebook;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Actor, Entry, Event};
use crate::engine::wire::Parsed;
use crate::rehearsal::answer::World;
use crate::rehearsal::stage::{CallMade, Letter, Stage};

/// What a simulation is told.
pub struct Given {
    pub playbook: Arc<Playbook>,
    pub alert: Parsed,
    pub signals: BTreeMap<String, f64>,
    /// What the run is given, as a person who starts it would.
    pub vars: Map<String, Value>,
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
    /// Other playbooks that this alert starts too, which are left out here.
    pub beside: Vec<String>,
    pub entries: Vec<Entry>,
    pub calls: Vec<CallMade>,
    pub letters: Vec<Letter>,
    pub longest: Option<Span>,
    pub lasts: Span,
}

/// Plays it. An alert that opens no incident is said to.
pub fn simulate(rulebook: &Rulebook, given: Given, world: &mut dyn World) -> Result<Simulation, String> {
    let playbook = given.playbook;
    let alone = alone(rulebook, &playbook, &given.vars);
    let mut stage = Stage::new(&alone, world, given.begin);
    stage.signals = given.signals;
    stage.hear("simulation", given.alert);
    stage.pass_until(given.begin);
    let first = stage.first().ok_or("this opens no incident: none of its alerts fires")?;
    let (id, rules, starts) = (first.id, traced(&alone, first), !first.runs.is_empty());
    let beside = beside(rulebook, first, &playbook.slug);
    if !starts {
        let command = Command::StartRun { playbook: playbook.slug.clone(), vars: given.vars };
        stage.put(id, Actor::Person("you".to_owned()), command).map_err(|no| no.to_string())?;
    }
    if !stage.pass_until(given.begin + given.lasts) {
        return Err("this goes round in circles; look at its waits and retries".to_owned());
    }
    let incident = stage.incident(id).ok_or("the incident is gone")?;
    let (title, classification) = (incident.title.clone(), incident.classification.clone());
    let entries = stage.entries.iter().filter(|(of, _)| *of == id).map(|(_, entry)| entry.clone()).collect();
    Ok(Simulation {
        longest: worst_case::duration(&playbook, &alone),
        playbook,
        begin: given.begin,
        title,
        classification,
        rules,
        starts,
        beside,
        entries,
        calls: stage.calls,
        letters: stage.letters,
        lasts: given.lasts,
    })
}

/// The rulebook in which nothing starts by itself but the playbook that is tried; whatever it runs is there. With vars it is a person
/// who starts it.
fn alone(rulebook: &Rulebook, playbook: &Arc<Playbook>, vars: &Map<String, Value>) -> Rulebook {
    let mut alone = rulebook.clone();
    // No label has an empty value and another one.
    let never: Vec<Matcher> = ["never=\"\"", "never!=\"\""].iter().filter_map(|text| text.parse().ok()).collect();
    let quiet = |playbook: &Arc<Playbook>| {
        let mut quiet = Playbook::clone(playbook);
        quiet.trigger.matchers.extend(never.clone());
        Arc::new(quiet)
    };
    alone.playbooks = rulebook.playbooks.iter().map(|(slug, playbook)| (slug.clone(), quiet(playbook))).collect();
    let tried = if vars.is_empty() { playbook.clone() } else { quiet(playbook) };
    alone.playbooks.insert(playbook.slug.clone(), tried);
    alone.revisions = alone.playbooks.values().map(|playbook| (playbook.revision.clone(), playbook.clone())).collect();
    alone
}

fn beside(rulebook: &Rulebook, incident: &Incident, tried: &str) -> Vec<String> {
    let starts =
        |playbook: &&Arc<Playbook>| playbook.slug != tried && playbook.trigger.holds(&incident.kind, incident.priority, &incident.labels);
    rulebook.playbooks.values().filter(starts).map(|playbook| playbook.slug.clone()).collect()
}

fn traced(rulebook: &Rulebook, incident: &Incident) -> Vec<RuleTrace> {
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
            "playbook": self.playbook.slug, "revision": self.playbook.revision, "title": self.title, "starts": self.starts, "beside": self.beside,
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
