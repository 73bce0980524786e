//! Which run is at work on which target, who waits for it, and who needs what was done to it: read off the incidents' own states, so
//! that nothing of it needs keeping. Knows no rate; whose turn it is, and how many of a service's targets may be worked on at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::id::{IncidentId, RunId};
use crate::domain::incident::Incident;
use crate::domain::playbook::Undo;
use crate::domain::run::{Run, StepState, StepStatus};
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;

/// Whoever waits for a target, in the order in which they came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub since: Timestamp,
    /// The incident's; of those that came in one moment, the older goes first.
    pub number: u64,
    pub incident: IncidentId,
    pub run: RunId,
    pub step: String,
    pub attempt: u32,
    /// The run that it belongs to in the end.
    pub root: RunId,
}

/// A run that is at work on a target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Holder {
    incident: IncidentId,
    /// `playbook protect of incident 7`.
    words: String,
}

/// Whether a run may change a target now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turned {
    Yours,
    /// By whom, in words.
    Held(String),
    /// Waiting would never end: the other waits for this one.
    Circle(String),
}

/// What is in force and is taken back later: the deed, on what, with what.
type Deed = (String, String, String);

/// An incident that needs what another one leaves in force, and is told so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heir {
    pub incident: IncidentId,
    /// The number of the incident that leaves it.
    pub from: u64,
    pub title: String,
    pub target: String,
}

/// What one incident's runs hold and wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Claims {
    holds: BTreeSet<(String, RunId)>,
    waits: BTreeSet<(String, Place)>,
    /// Attempts that change a target, or take that back, at this very moment.
    busy: BTreeSet<(String, RunId)>,
    /// What the incident did and takes back when it is over, and its number.
    needs: BTreeMap<Deed, u64>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    of: BTreeMap<IncidentId, Claims>,
    held: BTreeMap<String, BTreeMap<RunId, Holder>>,
    lines: BTreeMap<String, BTreeSet<Place>>,
    /// Targets that somebody let go of, for which others wait.
    freed: BTreeSet<String>,
    /// Incidents to be told what was left to them.
    heirs: Vec<Heir>,
}

impl Targets {
    /// Takes over what an incident's state says now.
    pub fn take(&mut self, incident: &Incident, rulebook: &Rulebook) {
        let new = claims(incident, rulebook);
        let old = self.of.get(&incident.id);
        if old.map_or(new == Claims::default(), |old| *old == new) {
            return;
        }
        let old = self.of.remove(&incident.id).unwrap_or_default();
        for (target, run) in &old.holds {
            remove(
                &mut self.held,
                target,
                |runs| {
                    runs.remove(run);
                },
                BTreeMap::is_empty,
            );
        }
        for (target, place) in &old.waits {
            remove(
                &mut self.lines,
                target,
                |line| {
                    line.remove(place);
                },
                BTreeSet::is_empty,
            );
        }
        for (target, run) in &new.holds {
            let holder = Holder { incident: incident.id, words: words(incident, *run) };
            self.held.entry(target.clone()).or_default().insert(*run, holder);
        }
        for (target, place) in &new.waits {
            self.lines.entry(target.clone()).or_default().insert(place.clone());
        }
        let let_go =
            old.holds.difference(&new.holds).map(|(target, _)| target).chain(old.waits.difference(&new.waits).map(|(target, _)| target));
        self.freed.extend(let_go.filter(|target| self.lines.contains_key(*target)).cloned());
        // Where only so many of a service's targets may be worked on, one that is let go makes room for another.
        if rulebook.limits.share.is_some() && old.holds.difference(&new.holds).next().is_some() {
            self.freed.extend(self.lines.keys().cloned());
        }
        if new != Claims::default() {
            self.of.insert(incident.id, new);
        }
    }

    /// Whether a step of a root run may change the target now.
    pub fn turn(&self, target: &str, (incident, root): (IncidentId, RunId), step: &str) -> Turned {
        let holders = self.held.get(target);
        let mine = holders.is_some_and(|runs| runs.contains_key(&root));
        if let Some((other, holder)) = holders.and_then(|runs| runs.iter().find(|(run, _)| **run != root)) {
            return if self.waits_for(*other, root) { Turned::Circle(holder.words.clone()) } else { Turned::Held(holder.words.clone()) };
        }
        let ahead = self.lines.get(target).and_then(BTreeSet::first).filter(|first| first.root != root);
        match ahead {
            // Whoever has waited longer goes first.
            Some(first) if !mine && self.is_behind(target, incident, (root, step)) => {
                Turned::Held(format!("another run, which has waited since {},", first.since))
            }
            _ => Turned::Yours,
        }
    }

    /// Whether a run may be at work on one more of a service's targets: `most` at once, over all runs.
    pub fn crowd(&self, target: &str, root: RunId, (service, most): (&BTreeSet<&str>, usize)) -> Turned {
        let others: BTreeMap<&str, (RunId, &Holder)> = service.iter().filter_map(|name| self.other_holder(name, root)).collect();
        let mine = service.iter().filter(|name| self.held.get(**name).is_some_and(|runs| runs.contains_key(&root)));
        let taken: BTreeSet<&str> = others.keys().copied().chain(mine.copied()).chain([target]).collect();
        let Some((_, (_, holder))) = others.first_key_value().filter(|_| taken.len() > most) else { return Turned::Yours };
        let waits_for_us = |run: RunId| self.waits_for(run, root) || self.waits_in(run, service, root);
        match others.values().find(|(run, _)| waits_for_us(*run)) {
            Some((_, holder)) => Turned::Circle(holder.words.clone()),
            None => Turned::Held(holder.words.clone()),
        }
    }

    fn other_holder(&self, name: &str, root: RunId) -> Option<(&str, (RunId, &Holder))> {
        let (target, runs) = self.held.get_key_value(name)?;
        runs.iter().find(|(run, _)| **run != root).map(|(run, holder)| (target.as_str(), (*run, holder)))
    }

    /// Whether a run waits for room among targets of which `root` has one.
    fn waits_in(&self, run: RunId, service: &BTreeSet<&str>, root: RunId) -> bool {
        let has_one = service.iter().any(|name| self.held.get(*name).is_some_and(|runs| runs.contains_key(&root)));
        let waits = |name: &&str| self.lines.get(*name).is_some_and(|line| line.iter().any(|place| place.root == run));
        has_one && service.iter().any(waits)
    }

    /// Who changes the target at this very moment, or takes a change back, if it is another run.
    pub fn busy(&self, target: &str, root: RunId) -> Option<String> {
        let busy = |run: &RunId| self.of.values().any(|claims| claims.busy.contains(&(target.to_owned(), *run)));
        let runs = self.held.get(target)?;
        runs.iter().find(|(run, _)| **run != root && busy(run)).map(|(_, holder)| holder.words.clone())
    }

    /// The targets that other incidents' runs are at work on or wait for.
    pub fn claimed_beside(&self, incident: IncidentId) -> impl Iterator<Item = &str> {
        let others = self.of.iter().filter(move |(id, _)| **id != incident).map(|(_, claims)| claims);
        others
            .flat_map(|claims| claims.holds.iter().map(|(name, _)| name).chain(claims.waits.iter().map(|(name, _)| name)))
            .map(String::as_str)
    }

    /// Another open incident that has done the same and takes it back when it is over: its id and number.
    pub fn needed_beside(&self, incident: IncidentId, state: &StepState) -> Option<(IncidentId, u64)> {
        let deed = deed_of(state)?;
        self.of.iter().filter(|(id, _)| **id != incident).find_map(|(id, claims)| Some((*id, *claims.needs.get(&deed)?)))
    }

    pub fn leave_to(&mut self, heir: Heir) {
        self.heirs.push(heir);
    }

    /// The next incident that is to be told what was left to it.
    pub fn next_heir(&mut self) -> Option<Heir> {
        self.heirs.pop()
    }

    /// Whether somebody else stands before this step in the line.
    fn is_behind(&self, target: &str, incident: IncidentId, (root, step): (RunId, &str)) -> bool {
        let Some(line) = self.lines.get(target) else { return false };
        line.first().is_some_and(|first| !(first.incident == incident && first.root == root && first.step == step))
    }

    /// Whether a run waits, in however many steps, for a target that `root` has.
    fn waits_for(&self, run: RunId, root: RunId) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![run]);
        while let Some(run) = open.pop() {
            if run == root {
                return true;
            }
            if seen.insert(run) {
                let wanted = self.lines.iter().filter(|(_, line)| line.iter().any(|place| place.root == run)).map(|(target, _)| target);
                open.extend(wanted.filter_map(|target| self.held.get(target)).flat_map(|runs| runs.keys().copied()));
            }
        }
        false
    }

    /// The first in line for a target that is free now, once for each time that somebody let go of it.
    pub fn next_in_line(&mut self) -> Option<Place> {
        while let Some(target) = self.freed.pop_first() {
            let free = |place: &&Place| self.held.get(&target).is_none_or(|runs| runs.keys().all(|run| *run == place.root));
            if let Some(first) = self.lines.get(&target).and_then(BTreeSet::first).filter(free) {
                return Some(first.clone());
            }
        }
        None
    }
}

fn remove<T>(of: &mut BTreeMap<String, T>, target: &str, change: impl FnOnce(&mut T), is_empty: impl FnOnce(&T) -> bool) {
    let Some(entry) = of.get_mut(target) else { return };
    change(entry);
    if is_empty(entry) {
        of.remove(target);
    }
}

/// Read off the state: a run has a target from its first change of it until it ends, and until what it takes back is taken back.
fn claims(incident: &Incident, rulebook: &Rulebook) -> Claims {
    let mut claims = Claims::default();
    for run in incident.runs.values() {
        let root = incident.root_of(run);
        let open = incident.runs.get(&root).is_some_and(|root| !root.status.is_over());
        let book = rulebook.revisions.get(&run.revision);
        for (path, state) in &run.steps {
            let ends = || book.and_then(|book| book.step(path)).is_some_and(|step| matches!(step.undo, Undo::OnResolve | Undo::After(_)));
            if let (true, Some(deed)) = (incident.is_open() && is_in_force(state) && ends(), deed_of(state)) {
                claims.needs.insert(deed, incident.number);
            }
            if let (Some(target), true) = (&state.target, is_busy(state)) {
                claims.busy.insert((target.clone(), root));
            }
            if let (Some(target), true) = (&state.target, has(state, open)) {
                claims.holds.insert((target.clone(), root));
            }
            if let (Some((target, since)), false) = (&state.waits_for, run.status.is_over()) {
                claims.waits.insert((target.clone(), place(incident, (run, root), (path, state, *since))));
            }
        }
    }
    claims
}

/// Done, and nobody has begun to take it back.
fn is_in_force(state: &StepState) -> bool {
    state.destructive && state.status == StepStatus::Succeeded && !state.undoing
}

fn is_busy(state: &StepState) -> bool {
    let taking_back = state.undoing && state.retry_at.is_none();
    state.destructive && (taking_back || state.status == StepStatus::Running)
}

fn deed_of(state: &StepState) -> Option<Deed> {
    Some((state.action.clone(), state.target.clone()?, state.params.to_string()))
}

fn has(state: &StepState, open: bool) -> bool {
    state.destructive && (state.undoing || state.status == StepStatus::Running || (open && state.attempt > 0))
}

fn place(incident: &Incident, (run, root): (&Run, RunId), (path, state, since): (&str, &StepState, Timestamp)) -> Place {
    Place { since, number: incident.number, incident: incident.id, run: run.id, step: path.to_owned(), attempt: state.attempt + 1, root }
}

fn words(incident: &Incident, root: RunId) -> String {
    let playbook = incident.runs.get(&root).map_or("", |run| run.playbook.as_str());
    format!("playbook {playbook} of incident {}", incident.number)
}
