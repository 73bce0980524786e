//! What the self-watch looks at, as the simulated disk has it: the twin of what both stores read for it. Judges nothing.

use reynard::domain::decide::command::Effect;
use reynard::domain::incident::{Incident, Status};
use reynard::domain::time::Timestamp;
use reynard::domain::watch::{Asked, Audit, Overdue};
use reynard::engine::store::Job;

use crate::disk::Tables;

impl Tables {
    /// What is due before `due_before` and not begun, who lies there with nothing to come, and what is under way.
    pub fn audit(&self, due_before: Timestamp) -> Audit {
        let states = || self.incidents.values().map(|(_, state)| state);
        let works = |state: &&Incident| state.is_open() && state.runs.values().any(|run| run.ended_at.is_none());
        let adrift = |state: &&Incident| state.status == Status::Triggered && self.jobs_of(state.id).next().is_none();
        let at_work: Vec<Incident> = states().filter(works).cloned().collect();
        let attempts = at_work.iter().flat_map(|state| self.jobs_of(state.id).map(|job| asked(state.number, job)));
        let due: Vec<&Job> = self.jobs.values().filter(|job| !job.started && job.due_at < due_before).collect();
        let first = due.iter().min_by_key(|job| (job.due_at, job.id));
        let number = |job: &Job| self.incidents.get(&job.incident).map_or(0, |(_, state)| state.number);
        Audit {
            adrift: states().filter(adrift).map(|state| state.number).collect(),
            overdue: first.map(|job| Overdue { number: number(job), due_at: job.due_at, count: due.len() as u64 }),
            attempts: attempts.filter(|asked| matches!(asked.effect, Effect::Perform { .. })).collect(),
            at_work,
        }
    }
}

fn asked(number: u64, job: &Job) -> Asked {
    Asked { number, at: job.due_at, started: job.started, effect: job.effect.clone() }
}
