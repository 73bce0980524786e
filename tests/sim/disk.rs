//! The database as tables in memory: exactly what was committed, and what a real one would refuse.
//! Knows no faults; those are between it and the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reynard::domain::autonomy::Record;
use reynard::domain::breaker::Breaker;
use reynard::domain::chain::Digest;
use reynard::domain::decide::command::{Effect, Wake};
use reynard::domain::hold::Holds;
use reynard::domain::id::{IncidentId, RunId};
use reynard::domain::incident::Incident;
use reynard::domain::labels::Labels;
use reynard::domain::limits::{LONGEST_WINDOW, Spent, Waiter};
use reynard::domain::run::RunStatus;
use reynard::domain::time::Timestamp;
use reynard::domain::timeline::Entry;
use reynard::domain::trouble::{NAMING, Words};
use reynard::engine::store::{AlertRow, Batch, Delivery, DeliveryRow, Job, Resumed, StoreError};

#[derive(Default)]
pub struct Tables {
    pub deliveries: Vec<Arc<DeliveryRow>>,
    pub seal: Digest,
    pub worked_up_to: i64,
    pub last_commit_at: Timestamp,
    pub timeline: Vec<(IncidentId, Entry)>,
    pub incidents: BTreeMap<IncidentId, (String, Incident)>,
    newest: BTreeMap<String, IncidentId>,
    numbers: BTreeSet<u64>,
    pub runs: BTreeMap<RunId, IncidentId>,
    pub alerts: BTreeMap<IncidentId, BTreeMap<String, AlertRow>>,
    pub jobs: BTreeMap<i64, Job>,
    last_job: i64,
    spent: Vec<Spent>,
    breakers: BTreeMap<String, Breaker>,
    pub holds: Holds,
    records: BTreeMap<String, Record>,
    pub requests: BTreeSet<String>,
    /// What other nodes have left for the writer.
    pub inbox: Vec<Delivery>,
}

impl Tables {
    /// The keys that a real database holds to be unique.
    pub fn admits(&self, batch: &Batch) -> Result<(), StoreError> {
        let refused = |what: &str| Err(StoreError::Refused(format!("{what} is taken")));
        if !batch.entries.is_empty() && batch.first_position <= self.timeline.len() as i64 {
            return refused("a position of the log");
        }
        if !batch.deliveries.is_empty() && batch.first_delivery <= self.deliveries.len() as i64 {
            return refused("a position of the deliveries");
        }
        if batch.jobs.iter().any(|job| job.id <= self.last_job) {
            return refused("the id of a job");
        }
        let number_taken = |state: &Incident| !self.incidents.contains_key(&state.id) && self.numbers.contains(&state.number);
        if batch.incidents.iter().any(|row| number_taken(&row.state)) {
            return refused("the number of an incident");
        }
        if batch.requests.iter().any(|(key, _)| self.requests.contains(key)) {
            return refused("the key of a request");
        }
        let seq_taken = |id: &IncidentId, entry: &Entry| self.incidents.get(id).is_some_and(|(_, state)| entry.seq <= state.seq);
        if batch.entries.iter().any(|(id, entry)| seq_taken(id, entry)) {
            return refused("a place in an incident's log");
        }
        Ok(())
    }

    /// What was there before the story.
    pub fn remembers(&mut self, records: BTreeMap<String, Record>) {
        self.records.extend(records);
    }

    pub fn apply(&mut self, batch: &Batch, now: Timestamp) {
        self.deliveries.extend(batch.deliveries.iter().cloned());
        let taken = batch.taken();
        self.inbox.retain(|left| !taken.contains(&left.id));
        self.worked_up_to = batch.worked_up_to.unwrap_or(self.worked_up_to);
        self.last_commit_at = now;
        self.seal = batch.seal.unwrap_or(self.seal);
        self.timeline.extend(batch.entries.iter().cloned());
        for row in &batch.incidents {
            self.numbers.insert(row.state.number);
            self.runs.extend(row.state.runs.keys().map(|run| (*run, row.state.id)));
            let newest = self.newest.entry(row.key.clone()).or_insert(row.state.id);
            if self.incidents.get(newest).is_none_or(|(_, known)| known.number < row.state.number) {
                *newest = row.state.id;
            }
            let state = Incident { alerts: BTreeMap::new(), ..Incident::clone(&row.state) };
            self.incidents.insert(row.state.id, (row.key.clone(), state));
        }
        for (id, at) in &batch.heard {
            if let Some((_, state)) = self.incidents.get_mut(id) {
                state.heard_at = *at;
            }
        }
        for row in &batch.alerts {
            self.alerts.entry(row.incident).or_default().insert(row.fingerprint.clone(), row.clone());
        }
        for job in &batch.jobs {
            self.last_job = self.last_job.max(job.id);
            self.jobs.insert(job.id, job.clone());
        }
        for id in &batch.released {
            if let Some(job) = self.jobs.get_mut(id) {
                job.started = false;
            }
        }
        batch.settled.iter().for_each(|id| drop(self.jobs.remove(id)));
        self.spent.extend(batch.spent.iter().cloned());
        self.records.extend(batch.records.iter().cloned());
        self.breakers.extend(batch.breakers.iter().map(|breaker| (breaker.playbook.clone(), breaker.clone())));
        self.holds = batch.holds.clone().unwrap_or_else(|| std::mem::take(&mut self.holds));
        self.requests.extend(batch.requests.iter().map(|(key, _)| key.clone()));
    }

    pub fn with_alerts(&self, id: IncidentId) -> Option<(String, Incident)> {
        let (key, mut state) = self.incidents.get(&id).cloned()?;
        let marks = self.alerts.get(&id).into_iter().flatten();
        state.alerts = marks.map(|(fingerprint, row)| (fingerprint.clone(), row.mark.clone())).collect();
        Some((key, state))
    }

    /// By their numbers: ids made in the same moment have no order that a seed would repeat.
    pub fn in_order(&self) -> Vec<Incident> {
        let mut states: Vec<Incident> = self.incidents.values().map(|(_, state)| state.clone()).collect();
        states.sort_by_key(|state| state.number);
        states
    }

    pub fn newest_of(&self, key: &str) -> Option<(String, Incident)> {
        self.newest.get(key).and_then(|id| self.with_alerts(*id))
    }

    /// Playbooks that change nothing more, and whose run brought that about.
    pub fn open_breakers(&self) -> Vec<(String, IncidentId)> {
        self.breakers.values().filter_map(|breaker| Some((breaker.playbook.clone(), breaker.opened?.incident))).collect()
    }

    pub fn jobs_of(&self, id: IncidentId) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(move |job| job.incident == id)
    }

    /// Incidents with a run that is not over, that are taking something back, or that may yet have to.
    fn at_work(&self) -> Vec<Incident> {
        let undoes = |job: &Job| matches!(job.effect, Effect::Perform { .. } | Effect::Wake { wake: Wake::Undo { .. } });
        let told_held = |state: &Incident| state.is_open() && state.held_since.is_some();
        let runs = |state: &Incident| state.runs.values().any(|run| run.ended_at.is_none());
        let open = |state: &Incident| state.is_open() && !state.runs.is_empty();
        let works = |state: &Incident| runs(state) || open(state) || told_held(state) || self.jobs_of(state.id).any(undoes);
        self.in_order().into_iter().filter(works).collect()
    }

    pub fn firing(&self, words: &Words) -> Vec<(IncidentId, String, Labels)> {
        let says = |row: &AlertRow| row.mark.firing && words.may_be_in(&row.mark.labels);
        let open = self.incidents.values().map(|(_, state)| state).filter(|state| state.is_open());
        let of = |state: &Incident| self.alerts.get(&state.id).into_iter().flatten().map(|(name, row)| (name.clone(), row.clone()));
        let firing =
            open.flat_map(|state| of(state).filter(|(_, row)| says(row)).map(|(name, row)| (state.id, name, naming(row.mark.labels))));
        firing.filter(|(_, _, labels)| !labels.is_empty()).collect()
    }

    pub fn resumed(&self, now: Timestamp) -> Resumed {
        let mut waiting = Vec::new();
        let mut running: BTreeMap<String, u32> = BTreeMap::new();
        for (id, (_, state)) in &self.incidents {
            for run in state.runs.values().filter(|run| run.ended_at.is_none()) {
                *running.entry(run.playbook.clone()).or_default() += 1;
                if run.status == RunStatus::Waiting && run.current.is_none() {
                    waiting.push((run.started_at, state.number, run.playbook.clone(), Waiter { incident: *id, run: run.id }));
                }
            }
        }
        waiting.sort_by_key(|(started_at, number, ..)| (*started_at, *number));
        Resumed {
            words: Words::default(),
            last_number: self.numbers.last().copied().unwrap_or(0),
            last_position: self.timeline.len() as i64,
            last_job: self.last_job,
            last_commit_at: self.last_commit_at,
            seal: self.seal,
            holds: self.holds.clone(),
            records: self.records.clone(),
            spent: self.spent.iter().filter(|spent| spent.at > now - LONGEST_WINDOW).cloned().collect(),
            breakers: self.breakers.values().cloned().collect(),
            firing: Vec::new(),
            running,
            at_work: self.at_work(),
            waiting: waiting.into_iter().map(|(_, _, playbook, waiter)| (playbook, waiter)).collect(),
            unworked: (1..)
                .zip(&self.deliveries)
                .filter(|(at, _)| *at > self.worked_up_to)
                .map(|(at, row)| (at, row.delivery.clone()))
                .collect(),
            last_delivery: self.deliveries.len() as i64,
            interrupted: self.jobs.values().filter(|job| job.started).cloned().collect(),
        }
    }
}

/// The labels that may name a target.
fn naming(mut labels: Labels) -> Labels {
    labels.retain(|name, _| NAMING.contains(&name.as_str()));
    labels
}
