//! What may hold a destructive step back, counted once more from the log alone: rates, locks, shares, troubles with one cause, breakers.
//! Knows neither the engine's ledger nor what is stored of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reynard::domain::id::{IncidentId, RunId};
use reynard::domain::incident::Incident;
use reynard::domain::limits::{Rate, Spent};
use reynard::domain::run::{Run, StepState, StepStatus};
use reynard::domain::settings::Rulebook;
use reynard::domain::time::Timestamp;
use reynard::domain::timeline::{Event, StepRef};

use crate::alertmanager::target_of;
use crate::grip::most_of;
use crate::record::Record;

/// A destructive attempt that begins, and what the log has said of its incident up to there.
pub struct Beginning<'a> {
    pub incident: &'a Incident,
    pub run: &'a Run,
    pub at: &'a StepRef,
    pub target: Option<&'a str>,
    pub now: Timestamp,
    /// Whether a person has the step tried again in this very moment.
    pub by_person: bool,
}

pub struct Brakes {
    record: Arc<Record>,
    rulebook: Arc<Rulebook>,
    spent: Vec<Spent>,
    breakers: BTreeMap<String, Breaker>,
}

#[derive(Default)]
struct Breaker {
    failures: u32,
    open: bool,
}

type Folded = BTreeMap<IncidentId, Incident>;

impl Brakes {
    pub fn new(record: Arc<Record>, rulebook: Arc<Rulebook>) -> Self {
        Self { record, rulebook, spent: Vec::new(), breakers: BTreeMap::new() }
    }

    /// A fact of an incident as it was before it.
    pub fn hears(&mut self, before: &Incident, event: &Event) {
        let run = |id: &RunId| before.runs.get(id).filter(|run| run.steps.values().any(|step| step.destructive && step.attempt > 0));
        match event {
            Event::RunFailed { run: id, playbook, .. } if run(id).is_some() => {
                let most = self.rulebook.playbooks.get(playbook).and_then(|known| known.limits.breaker).or(self.rulebook.limits.breaker);
                let breaker = self.breakers.entry(playbook.clone()).or_default();
                breaker.failures += 1;
                breaker.open |= most.is_some_and(|most| breaker.failures >= most);
            }
            Event::RunSucceeded { run: id, playbook, .. } if run(id).is_some() => {
                let breaker = self.breakers.entry(playbook.clone()).or_default();
                breaker.failures = if breaker.open { breaker.failures } else { 0 };
            }
            Event::AutomationHeld { playbook: Some(playbook), .. } => {
                let open = self.breakers.get(playbook).is_some_and(|breaker| breaker.open);
                self.record.demand(open, || format!("the breaker of {playbook} is said to have opened too early"));
            }
            Event::AutomationReleased { playbook: Some(playbook), .. } => drop(self.breakers.remove(playbook)),
            _ => {}
        }
    }

    pub fn judge(&mut self, beginning: &Beginning<'_>, others: &Folded) {
        let playbook = &beginning.run.playbook;
        let open = self.breakers.get(playbook).is_some_and(|breaker| breaker.open);
        self.demand(beginning, !open, || format!("the breaker of {playbook} is open"));
        if let Some(target) = beginning.target {
            self.judge_target(beginning, others, target);
        }
        let service = self.rulebook.service_of(beginning.target, &beginning.incident.service);
        let target = beginning.target.map(str::to_owned);
        self.spent.push(Spent { at: beginning.now, playbook: playbook.clone(), target, service });
        let within = spared(&self.spent, self.spent.len() - 1, &self.rulebook);
        self.demand(beginning, within, || "a limit was exceeded".to_owned());
    }

    fn judge_target(&self, beginning: &Beginning<'_>, others: &Folded, target: &str) {
        let incident = beginning.incident;
        let root = incident.root_of(beginning.run);
        let at_work: BTreeSet<(&str, RunId)> =
            others.values().chain([incident]).flat_map(at_work).filter(|(_, other)| *other != root).collect();
        let alone = at_work.iter().all(|(name, _)| *name != target);
        self.demand(beginning, alone, || format!("another run has {target}"));
        let Some(service) = self.rulebook.targets.get(target).and_then(|target| target.service.as_deref()) else { return };
        let all = self.rulebook.targets_of(service);
        if let Some(share) = self.rulebook.limits.share {
            let beside: BTreeSet<&str> = at_work.iter().map(|(name, _)| *name).filter(|name| all.contains(name)).collect();
            let own = at_work_of(incident, root).into_iter().filter(|name| all.contains(name));
            let taken = beside.iter().copied().chain(own).chain([target]).collect::<BTreeSet<_>>().len();
            let room = beside.is_empty() || taken <= most_of(all.len(), share);
            self.demand(beginning, room, || format!("{taken} of the {} targets of {service} are worked on", all.len()));
        }
        if !is_asked_for(beginning) {
            let mut troubled: BTreeSet<&str> = others.values().chain([incident]).flat_map(named).collect();
            troubled.extend(others.values().flat_map(claimed));
            troubled.insert(target);
            troubled.retain(|name| all.contains(name));
            let beyond = troubled.len() > 1 && troubled.len() as f64 > all.len() as f64 * self.rulebook.limits.correlated;
            self.demand(beginning, !beyond, || format!("{troubled:?} of {service} are in trouble at once"));
        }
    }

    fn demand(&self, beginning: &Beginning<'_>, holds: bool, otherwise: impl FnOnce() -> String) {
        let (number, at) = (beginning.incident.number, beginning.at);
        self.record.demand(holds, || format!("#{number}: attempt {} of {} began though {}", at.attempt, at.step, otherwise()));
    }
}

/// Whether one of the attempts that were made, with those before it, lies within every rate that counts it.
pub fn spared(all: &[Spent], at: usize, rulebook: &Rulebook) -> bool {
    let spent = &all[at];
    let within = |rate: Rate, counts: &dyn Fn(&Spent) -> bool| {
        let same_window = |other: &&Spent| other.at <= spent.at && other.at + rate.window > spent.at && counts(other);
        all.iter().filter(same_window).count() <= rate.count as usize
    };
    let on_target = |other: &Spent| other.target == spent.target;
    let own = rulebook.playbooks.get(&spent.playbook).and_then(|playbook| playbook.limits.per_target);
    within(rulebook.limits.destructive, &|_| true)
        && (spent.target.is_none() || within(rulebook.limits.per_target, &on_target))
        && rulebook.limits.per_service.is_none_or(|rate| within(rate, &|other| other.service == spent.service))
        && own.is_none_or(|rate| within(rate, &|other| on_target(other) && other.playbook == spent.playbook))
}

/// Whether a person wants just this: asked for the run, said yes to the step, or has it tried again.
fn is_asked_for(beginning: &Beginning<'_>) -> bool {
    let (incident, run) = (beginning.incident, beginning.run);
    let request = run.steps.get(&beginning.at.step).and_then(|step| step.approval.as_ref());
    match request.and_then(|request| request.approved_by.as_deref()) {
        Some(who) => who != crate::trust::BY_ITSELF,
        None => incident.runs.get(&incident.root_of(run)).is_some_and(|root| root.requested_by.is_some()) || beginning.by_person,
    }
}

/// The targets that the firing alerts of an open incident name.
fn named(incident: &Incident) -> impl Iterator<Item = &'static str> {
    let firing = incident.alerts.iter().filter(|(_, mark)| incident.is_open() && mark.firing);
    firing.filter_map(|(fingerprint, _)| target_of(fingerprint))
}

/// The targets that an incident's runs are at work on or wait for.
fn claimed(incident: &Incident) -> impl Iterator<Item = &str> {
    let open = incident.runs.values().filter(|run| !run.status.is_over());
    let waits = open.flat_map(|run| run.steps.values()).filter_map(|step| step.waits_for.as_ref()).map(|(target, _)| target.as_str());
    at_work(incident).map(|(target, _)| target).chain(waits)
}

/// Who is at work on what: from the first change until the run that it belongs to ends, and while something is taken back.
fn at_work(incident: &Incident) -> impl Iterator<Item = (&str, RunId)> {
    incident.runs.values().flat_map(move |run| {
        let root = incident.root_of(run);
        let open = incident.runs.get(&root).is_some_and(|root| !root.status.is_over());
        let works =
            move |step: &&StepState| step.destructive && (step.undoing || step.status == StepStatus::Running || (open && step.attempt > 0));
        run.steps.values().filter(works).filter_map(move |step| Some((step.target.as_deref()?, root)))
    })
}

fn at_work_of(incident: &Incident, root: RunId) -> BTreeSet<&str> {
    at_work(incident).filter(|(_, of)| *of == root).map(|(target, _)| target).collect()
}
