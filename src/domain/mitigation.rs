//! What automation has put in force and not taken back: each open mitigation of an incident, and when it ends. Decides nothing.

use serde_json::Value;

use crate::domain::incident::Incident;
use crate::domain::playbook::{Step, Undo};
use crate::domain::run::{Run, StepState, StepStatus};
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;

/// One step that is in force and has an end.
#[derive(Clone, Copy, Debug)]
pub struct Mitigation<'a> {
    pub run: &'a Run,
    /// The step's path.
    pub step: &'a str,
    pub state: &'a StepState,
    pub ends: Ends,
    pub grip: Grip,
}

/// When it is taken back by itself, at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    OnResolve,
    At(Timestamp),
    /// With its run, if that fails; a run that succeeds leaves it.
    OnFailure,
}

/// How firmly it is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grip {
    InForce,
    /// It failed, and nobody knows that it did nothing.
    Perhaps,
    /// It is being taken back, or that is tried again.
    Undoing,
    /// Taking it back was given up.
    Stuck,
}

/// What is in force now, the oldest first.
pub fn in_force<'a>(incident: &'a Incident, rulebook: &Rulebook) -> Vec<Mitigation<'a>> {
    let mut found: Vec<Mitigation<'a>> = Vec::new();
    for run in incident.runs_in_order() {
        let Some(playbook) = rulebook.revisions.get(&run.revision) else { continue };
        for (path, state) in &run.steps {
            let step = playbook.step(path).filter(|step| step.each.is_none());
            found.extend(step.and_then(|step| mitigation((run, path, state), &step)));
        }
    }
    found.sort_by_key(|mitigation| mitigation.state.started_at);
    found
}

fn mitigation<'a>((run, path, state): (&'a Run, &'a str, &'a StepState), step: &Step) -> Option<Mitigation<'a>> {
    let ends = match step.undo {
        Undo::Never => return None,
        Undo::OnFailure => Ends::OnFailure,
        Undo::OnResolve => Ends::OnResolve,
        Undo::After(span) => Ends::At(state.ended_at.unwrap_or(run.started_at) + span),
    };
    let grip = grip(state)?;
    // What was to last until a failure lasts for good once its run is through.
    let kept = ends == Ends::OnFailure && run.status.is_over() && grip == Grip::InForce;
    (!kept).then_some(Mitigation { run, step: path, state, ends, grip })
}

fn grip(state: &StepState) -> Option<Grip> {
    match state.status {
        StepStatus::Undone | StepStatus::Running | StepStatus::Pending => None,
        _ if state.undoing => Some(Grip::Undoing),
        StepStatus::Succeeded | StepStatus::Failed if state.undo_attempt > 0 => Some(Grip::Stuck),
        StepStatus::Succeeded => Some(Grip::InForce),
        _ => state.unsure.then_some(Grip::Perhaps),
    }
}

/// How a person takes it back without Reynard.
pub fn by_hand(state: &StepState) -> String {
    let target = state.target.as_deref().unwrap_or("its target");
    match (state.action.as_str(), state.params.get("scope").and_then(Value::as_str)) {
        ("postgres.read_only", Some("system")) => {
            format!("on {target}: alter system reset default_transaction_read_only; select pg_reload_conf()")
        }
        ("postgres.read_only", _) => {
            format!("on {target}: alter database NAME reset default_transaction_read_only; sessions that are open end or begin anew")
        }
        (action, _) => {
            let with = if state.params.as_object().is_none_or(|params| params.is_empty()) {
                String::new()
            } else {
                format!(", which was done with {}", state.params)
            };
            format!("do the opposite of {action} on {target}{with}")
        }
    }
}
