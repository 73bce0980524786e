//! What people say of a run and its steps: cancel, settle, try again, skip.

use std::sync::Arc;

use crate::domain::autonomy::Ended;
use crate::domain::decide::command::Refusal;
use crate::domain::decide::turn::Turn;
use crate::domain::id::RunId;
use crate::domain::playbook::{Step, Undo};
use crate::domain::run::{Run, StepState, StepStatus};
use crate::domain::timeline::{Event, Outcome, StepRef};

type Answer = Result<(), Refusal>;

impl Turn<'_, '_> {
    pub(super) fn cancel_run(&mut self, id: RunId, note: &str) -> Answer {
        let run = self.run_for_person(id)?;
        let reason = if note.is_empty() { format!("by {}", self.actor) } else { format!("by {}: {note}", self.actor) };
        self.ledger.run_ended(&run.playbook, run.id);
        self.record(&run, Ended::Left);
        let ended = format!("its scheduled run was cancelled {reason}");
        self.emit(Event::RunCancelled { run: id, playbook: run.playbook.clone(), reason });
        let open: Vec<RunId> = self.state.runs.values().filter(|run| !run.status.is_over()).map(|run| run.id).collect();
        self.cancel_children(id, "the run that started it was cancelled");
        let cancelled = open.into_iter().filter(|run| self.state.runs.get(run).is_some_and(|run| run.status.is_over()));
        self.decision.cut.extend(cancelled.chain([id]));
        self.undo_steps(id, Undo::OnFailure);
        self.settle_after_run();
        self.close_scheduled(&run, &ended);
        Ok(())
    }

    pub(super) fn settle_step(&mut self, id: RunId, step: &str, outcome: Outcome, note: String) -> Answer {
        if self.state.runs.get(&id).is_some_and(|run| run.status.is_over()) {
            return self.settle_afterwards(id, step, outcome, note);
        }
        let (at, step) = self.step_for_person(id, step, &[StepStatus::InDoubt])?;
        self.emit(Event::StepSettled { at, title: step.title.clone(), outcome, note });
        match outcome {
            Outcome::Succeeded => {
                self.undo_later(id, &step);
                self.advance(id);
            }
            Outcome::Failed => self.after_failure(id, &step),
        }
        Ok(())
    }

    /// Its run is over: nothing goes on from it, but what took effect is known, and taken back when that is its time.
    fn settle_afterwards(&mut self, id: RunId, path: &str, outcome: Outcome, note: String) -> Answer {
        let Some(run) = self.state.runs.get(&id) else { return Err(Refusal::UnknownRun) };
        let Some(state) = run.steps.get(path).filter(|state| state.status == StepStatus::InDoubt) else { return Err(Refusal::RunOver) };
        let at = StepRef { run: id, step: path.to_owned(), attempt: state.attempt, undo: false };
        let (title, step) = (state.title.clone(), self.playbook_of(run).and_then(|playbook| playbook.step(path)));
        self.emit(Event::StepSettled { at, title, outcome, note });
        match step.filter(|_| outcome == Outcome::Succeeded) {
            Some(step) if step.undo == Undo::OnFailure => self.undo_due(id, path),
            Some(step) => self.undo_later(id, &step),
            None => {}
        }
        Ok(())
    }

    pub(super) fn retry_step(&mut self, id: RunId, step: &str, note: &str) -> Answer {
        let (at, step) = self.step_for_person(id, step, &[StepStatus::InDoubt, StepStatus::Waiting])?;
        let Some((run, playbook)) = self.open_run(id) else { return Err(Refusal::RunOver) };
        if run.steps.get(&step.id).is_some_and(StepState::awaits_approval) {
            return Err(Refusal::StepNot { step: step.id.clone(), status: "waiting for a yes" });
        }
        if !self.goes_on(&run) {
            return Err(Refusal::RunEnding);
        }
        if step.destructive && self.is_held() {
            return Err(Refusal::AutomationHeld(self.ledger.switch.holds.in_words()));
        }
        self.emit(Event::Commented { text: format!("{} has \"{}\" run again{}", self.actor, step.title, colon(note)) });
        self.begin_step(&run, &playbook, &step, at.attempt + 1);
        self.advance(id);
        Ok(())
    }

    pub(super) fn skip_step(&mut self, id: RunId, step: &str, note: &str) -> Answer {
        let (at, step) = self.step_for_person(id, step, &[StepStatus::InDoubt, StepStatus::Waiting])?;
        self.emit(Event::StepSkipped { at, title: step.title.clone(), reason: format!("by {}{}", self.actor, colon(note)) });
        self.advance(id);
        Ok(())
    }

    pub(super) fn run_for_person(&self, id: RunId) -> Result<Run, Refusal> {
        let run = self.state.runs.get(&id).ok_or(Refusal::UnknownRun)?;
        if run.status.is_over() { Err(Refusal::RunOver) } else { Ok(run.clone()) }
    }

    pub(super) fn step_for_person(&self, id: RunId, step: &str, allowed: &[StepStatus]) -> Result<(StepRef, Arc<Step>), Refusal> {
        let run = self.run_for_person(id)?;
        let unknown = || Refusal::UnknownStep(step.to_owned());
        let state = run.steps.get(step).ok_or_else(unknown)?;
        if !allowed.contains(&state.status) {
            return Err(Refusal::StepNot { step: step.to_owned(), status: state.status.word() });
        }
        let found = self.playbook_of(&run).and_then(|playbook| playbook.step(step)).ok_or_else(unknown)?;
        Ok((StepRef { run: id, step: step.to_owned(), attempt: state.attempt, undo: false }, found))
    }
}

fn colon(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(": {note}") }
}
