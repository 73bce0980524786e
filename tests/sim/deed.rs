//! What the key of a call names, as the disk has it: an incident, its run and one of its steps. Judges nothing.

use reynard::domain::id::RunId;
use reynard::domain::incident::Incident;
use reynard::domain::path;
use reynard::domain::run::{Run, StepState};

use crate::disk::Tables;

/// A step that a target was asked for.
pub struct Deed<'a> {
    pub incident: &'a Incident,
    pub run: &'a Run,
    /// The step's id, or an item's `each.2`.
    pub path: String,
    pub state: &'a StepState,
}

impl Deed<'_> {
    /// The run that it belongs to in the end.
    pub fn root(&self) -> &Run {
        self.incident.runs.get(&self.incident.root_of(self.run)).unwrap_or(self.run)
    }
}

impl Tables {
    /// Of `RUN:STEP:VISIT`, whatever follows it.
    pub fn deed(&self, key: &str) -> Option<Deed<'_>> {
        let mut parts = key.split(':');
        let (run, id, visit) = (parts.next()?.parse::<RunId>().ok()?, parts.next()?, parts.next()?.parse().ok()?);
        let (_, incident) = self.incidents.get(self.runs.get(&run)?)?;
        let run = incident.runs.get(&run)?;
        let item = path::of_item(id, visit);
        let path = if run.steps.contains_key(&item) { item } else { id.to_owned() };
        let state = run.steps.get(&path)?;
        Some(Deed { incident, run, path, state })
    }
}
