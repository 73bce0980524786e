//! What became of an incident, as far as two lives of it are compared, and how they differ. Knows no log and no database.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::domain::id::RunId;
use crate::domain::priority::Priority;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Entry, Event, recipient};

/// One life of an incident.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub entries: u64,
    pub title: String,
    pub opened_at: Timestamp,
    /// As the rules said it first.
    pub priority: Option<Priority>,
    pub kind: String,
    /// Which rule, and why.
    why: String,
    /// By playbook, with how each run ended; empty while it runs.
    runs: BTreeMap<RunId, (String, &'static str)>,
    /// By playbook and step: how it ended, and why.
    steps: BTreeMap<(String, String), (&'static str, String)>,
    pub begun: u64,
    pub destructive: u64,
    /// How often each was told, and the first reason.
    told: BTreeMap<String, (u64, String)>,
    people: BTreeSet<String>,
    pub limits: u64,
}

/// One thing that is otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub what: String,
    pub why: String,
}

impl Facts {
    pub fn take(&mut self, entry: &Entry) {
        self.entries += 1;
        match &entry.event {
            Event::Opened { title, .. } => (self.title, self.opened_at) = (title.clone(), entry.at),
            Event::Classified { classification, again } => {
                if !again {
                    self.priority = Some(classification.priority);
                }
                self.kind.clone_from(&classification.kind);
                self.why = format!("rule \"{}\": {}", classification.rule, classification.reason);
            }
            Event::RunStarted { run, playbook, .. } => drop(self.runs.insert(*run, (playbook.clone(), "begun"))),
            Event::RunSucceeded { run, .. } => self.run_ended(*run, "succeeded"),
            Event::RunFailed { run, .. } => self.run_ended(*run, "failed"),
            Event::RunCancelled { run, .. } => self.run_ended(*run, "cancelled"),
            Event::StepStarted { at, destructive, .. } if !at.undo => {
                self.begun += 1;
                self.destructive += u64::from(*destructive);
            }
            Event::StepSucceeded { .. } => self.step_ended(entry, "succeeded", ""),
            Event::StepFailed { reason, retry_at: None, .. } => self.step_ended(entry, "failed", reason),
            Event::StepSkipped { reason, .. } => self.step_ended(entry, "skipped", reason),
            Event::StepInDoubt { reason, .. } => self.step_ended(entry, "in doubt", reason),
            Event::StepUndone { .. } => self.step_ended(entry, "undone", ""),
            Event::NotificationQueued { channel, person, reason, .. } => {
                self.told.entry(recipient(channel, person.as_deref())).or_insert((0, reason.clone())).0 += 1;
                self.people.extend(person.clone());
            }
            Event::LimitHit { .. } => self.limits += 1,
            _ => {}
        }
    }

    fn run_ended(&mut self, run: RunId, how: &'static str) {
        self.runs.entry(run).or_default().1 = how;
    }

    fn step_ended(&mut self, entry: &Entry, how: &'static str, why: &str) {
        let Some(at) = entry.event.step() else { return };
        let playbook = self.runs.get(&at.run).map(|(playbook, _)| playbook.clone()).unwrap_or_default();
        self.steps.insert((playbook, at.step.clone()), (how, why.to_owned()));
    }

    pub fn messages(&self) -> u64 {
        self.told.values().map(|(count, _)| count).sum()
    }

    pub fn people(&self) -> u64 {
        self.people.len() as u64
    }

    /// How often each playbook ran, and how that ended.
    fn playbooks(&self) -> BTreeMap<(&str, &'static str), u64> {
        let mut runs = BTreeMap::new();
        for (playbook, how) in self.runs.values() {
            *runs.entry((playbook.as_str(), *how)).or_default() += 1;
        }
        runs
    }

    pub fn runs(&self) -> u64 {
        self.runs.len() as u64
    }

    /// What is otherwise in the other life, and why.
    pub fn compare(&self, now: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.priority != now.priority {
            let word = |priority: Option<Priority>| priority.map_or("none".to_owned(), |priority| priority.to_string());
            changes.push(Change::new(format!("priority {} → {}", word(self.priority), word(now.priority)), &now.why));
        }
        if self.kind != now.kind {
            changes.push(Change::new(format!("type {} → {}", self.kind, now.kind), &now.why));
        }
        self.compare_runs(now, &mut changes);
        self.compare_told(now, &mut changes);
        if self.limits != now.limits {
            changes.push(Change::new(format!("held back {} → {} times by a limit", self.limits, now.limits), ""));
        }
        changes
    }

    fn compare_runs(&self, now: &Self, changes: &mut Vec<Change>) {
        let (before, after) = (self.playbooks(), now.playbooks());
        let all: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
        let mut told: BTreeSet<&str> = BTreeSet::new();
        for (playbook, how) in all {
            let (then, now_) = (before.get(&(playbook, how)).copied().unwrap_or(0), after.get(&(playbook, how)).copied().unwrap_or(0));
            let ran_then = self.runs.values().any(|(of, _)| of == playbook);
            let runs_now = now.runs.values().any(|(of, _)| of == playbook);
            match (ran_then, runs_now) {
                (true, true) if then != now_ => {
                    let why = now.first_failure(playbook);
                    changes.push(Change::new(format!("{playbook} {how}: {then} → {now_}"), &why));
                }
                (false, true) if told.insert(playbook) => {
                    changes.push(Change::new(format!("{playbook} runs, and did not ({how})"), &now.why))
                }
                (true, false) if told.insert(playbook) => changes.push(Change::new(format!("{playbook} does not run any more"), &now.why)),
                _ => {}
            }
            if ran_then && runs_now && told.insert(playbook) {
                self.compare_steps(now, playbook, changes);
            }
        }
    }

    fn compare_steps(&self, now: &Self, playbook: &str, changes: &mut Vec<Change>) {
        let of = |facts: &Self| -> BTreeMap<String, (&'static str, String)> {
            facts.steps.iter().filter(|((of, _), _)| of == playbook).map(|((_, step), how)| (step.clone(), how.clone())).collect()
        };
        let (before, after) = (of(self), of(now));
        let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for step in all {
            match (before.get(step), after.get(step)) {
                (Some((then, _)), Some((how, why))) if then != how => {
                    changes.push(Change::new(format!("step {playbook}/{step}: {then} → {how}"), why));
                }
                (None, Some((how, why))) => changes.push(Change::new(format!("step {playbook}/{step} is new: {how}"), why)),
                (Some((then, _)), None) => changes.push(Change::new(format!("step {playbook}/{step} does not come any more ({then})"), "")),
                _ => {}
            }
        }
    }

    fn first_failure(&self, playbook: &str) -> String {
        let failed = |((of, _), (how, _)): &(&(String, String), &(&str, String))| of == playbook && matches!(*how, "failed" | "in doubt");
        self.steps.iter().find(failed).map(|((_, step), (_, why))| format!("{step}: {why}")).unwrap_or_default()
    }

    fn compare_told(&self, now: &Self, changes: &mut Vec<Change>) {
        let all: BTreeSet<&String> = self.told.keys().chain(now.told.keys()).collect();
        for who in all {
            let (then, now_) = (self.told.get(who), now.told.get(who));
            let counts = (then.map_or(0, |(count, _)| *count), now_.map_or(0, |(count, _)| *count));
            if counts.0 != counts.1 {
                let why = now_.or(then).map(|(_, why)| why.clone()).unwrap_or_default();
                changes.push(Change::new(format!("{who} is told {} → {} times", counts.0, counts.1), &why));
            }
        }
    }
}

impl Change {
    pub fn new(what: String, why: &str) -> Self {
        Self { what, why: why.to_owned() }
    }

    pub fn to_json(&self) -> Value {
        json!({ "what": self.what, "why": self.why })
    }
}

/// All incidents of one side, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub incidents: u64,
    /// P1 first.
    pub priorities: [u64; 4],
    pub runs: u64,
    pub steps: u64,
    pub destructive: u64,
    pub messages: u64,
    /// People told, each once for each incident.
    pub people: u64,
}

impl Sum {
    pub fn add(&mut self, facts: &Facts) {
        self.incidents += 1;
        if let Some(priority) = facts.priority {
            self.priorities[priority as usize] += 1;
        }
        self.runs += facts.runs();
        self.steps += facts.begun;
        self.destructive += facts.destructive;
        self.messages += facts.messages();
        self.people += facts.people();
    }

    /// Name and count, in the order in which people read them.
    pub fn rows(&self) -> [(&'static str, u64); 10] {
        let [p1, p2, p3, p4] = self.priorities;
        [
            ("incidents", self.incidents),
            ("P1", p1),
            ("P2", p2),
            ("P3", p3),
            ("P4", p4),
            ("runs", self.runs),
            ("steps", self.steps),
            ("destructive steps", self.destructive),
            ("messages", self.messages),
            ("people told", self.people),
        ]
    }

    pub fn to_json(&self) -> Value {
        self.rows().into_iter().map(|(name, count)| (name.replace(' ', "_"), json!(count))).collect::<serde_json::Map<_, _>>().into()
    }
}
