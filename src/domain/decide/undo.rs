//! Taking steps back: when that is due, in which order, how often it is tried, and when it is left to a later run.

use crate::domain::decide::command::{AttemptRef, Effect, Failure, Performed, Refusal, Wake};
use crate::domain::decide::paging::pause;
use crate::domain::decide::turn::Turn;
use crate::domain::id::RunId;
use crate::domain::mitigation::by_hand;
use crate::domain::path;
use crate::domain::playbook::{Step, Undo};
use crate::domain::run::{Run, StepState, StepStatus};
use crate::domain::targets::Heir;
use crate::domain::time::Span;
use crate::domain::timeline::{Event, StepRef};

/// How often taking a step back is tried before people are told that it stays.
const UNDO_ATTEMPTS: u32 = 5;
const UNDO_PAUSE: Span = Span::seconds(10);
/// How often an undo looks whether its target is free.
const LOOK_AGAIN: Span = Span::seconds(5);
const LONGEST_UNDO_PAUSE: Span = Span::minutes(5);

impl Turn<'_, '_> {
    /// It has failed and, by this attempt or an earlier one, may be in force all the same: what can be taken back is, for that is the
    /// same when there is nothing to take back.
    pub(super) fn undo_unsure(&mut self, run: RunId, step: &Step) {
        let state = self.state.runs.get(&run).and_then(|run| run.steps.get(&step.id));
        if step.undo != Undo::Never && state.is_some_and(|state| state.unsure && !state.undoing) {
            self.begin_undo(run, step);
        }
    }

    pub(super) fn undo_later(&mut self, run: RunId, step: &Step) {
        match step.undo {
            Undo::After(span) => self.wake_at(self.now + span, Wake::Undo { run, step: step.id.clone() }),
            // It succeeded after the incident had ended: nobody would take it back otherwise.
            Undo::OnResolve if !self.state.is_open() => self.undo_due(run, &step.id),
            _ => {}
        }
    }

    /// Takes back, last step first, what succeeded and is to be taken back now.
    pub(super) fn undo_steps(&mut self, id: RunId, when: Undo) {
        let Some(run) = self.state.runs.get(&id).cloned() else { return };
        let Some(playbook) = self.playbook_of(&run) else { return };
        // A mitigation that was to last until the end or until a failure also ends with the incident.
        let due = |undo: Undo| undo == when || (when == Undo::OnResolve && matches!(undo, Undo::After(_)));
        for step in playbook.steps.iter().rev() {
            let items: Vec<u32> = run.items(&step.id).map(|(visit, _)| visit).collect();
            for visit in items.into_iter().rev().filter(|_| due(step.undo)) {
                self.undo_due(id, &path::of_item(&step.id, visit));
            }
            if due(step.undo) && step.each.is_none() {
                self.undo_due(id, &step.id);
            }
            // What a step had another playbook do is part of the step.
            if when == Undo::OnFailure {
                let of_step = |child: &&Run| child.parent.as_ref().is_some_and(|at| path::split(&at.step).0 == step.id);
                let children: Vec<RunId> = self.state.children(id).filter(of_step).map(|child| child.id).collect();
                children.into_iter().rev().for_each(|child| self.undo_steps(child, when));
            }
        }
    }

    pub(super) fn undo_due(&mut self, id: RunId, step: &str) {
        let Some(run) = self.state.runs.get(&id).cloned() else { return };
        let Some(playbook) = self.playbook_of(&run) else { return };
        let (Some(step), Some(state)) = (playbook.step(step), run.steps.get(step)) else { return };
        let (waits, under_way) = (state.undoing && state.retry_at.is_some(), state.undoing && state.retry_at.is_none());
        // Nobody will try it again, and an attempt before may have done it.
        let unsure = state.unsure && run.status.is_over() && state.status != StepStatus::Running;
        if under_way || !(waits || unsure || state.status == StepStatus::Succeeded) {
            return;
        }
        if self.is_done_anew(&run, &step) {
            return self.leave_to_the_later_run(&run, &step);
        }
        if !unsure && self.is_needed_elsewhere(id, &step) {
            return;
        }
        self.begin_undo(id, &step);
    }

    /// Another incident needs what was done here and takes it back when it is over: it stays in force, which both incidents are told.
    fn is_needed_elsewhere(&mut self, id: RunId, step: &Step) -> bool {
        let Some(state) = self.state.runs.get(&id).and_then(|run| run.steps.get(&step.id)) else { return false };
        self.ledger.targets.take(self.state, self.rulebook);
        let Some((incident, number)) = self.ledger.targets.needed_beside(self.state.id, state) else { return false };
        let (title, target) = (step.title.clone(), step.target.clone().unwrap_or_default());
        let at = StepRef { run: id, step: step.id.clone(), attempt: state.undo_attempt, undo: true };
        let output = serde_json::Value::Null;
        self.emit_engine(Event::StepUndone { at, title: title.clone(), output, duration_ms: 0, left_to: Some(number) });
        self.ledger.targets.leave_to(Heir { incident, from: self.state.number, title, target });
        true
    }

    /// What another incident has left to this one.
    pub(super) fn inherit(&mut self, from: u64, title: &str, target: &str) {
        let text = format!(
            "Incident {from} is over and leaves \"{title}\" on {target} in force, which is needed here too: it is taken back when this one is over"
        );
        self.emit_engine(Event::Commented { text });
    }

    /// Two do not change a target at once, and taking back changes it: this one looks again in a moment.
    fn waits_to_undo(&mut self, id: RunId, step: &Step) -> bool {
        let (Some(target), Some(run)) = (&step.target, self.state.runs.get(&id).cloned()) else { return false };
        self.ledger.targets.take(self.state, self.rulebook);
        let Some(other) = self.ledger.targets.busy(target, self.state.root_of(&run)) else { return false };
        let state = run.steps.get(&step.id);
        let retry_at = self.now + LOOK_AGAIN;
        if !state.is_some_and(|state| state.undoing && state.retry_at.is_some()) {
            let at = StepRef { run: id, step: step.id.clone(), attempt: state.map_or(0, |state| state.undo_attempt), undo: true };
            let reason = format!("{other} is changing {target} just now");
            let title = step.title.clone();
            self.emit_engine(Event::StepFailed { at, title, reason, retry_at: Some(retry_at), duration_ms: 0, unsure: false });
        }
        self.wake_at(retry_at, Wake::Undo { run: id, step: step.id.clone() });
        true
    }

    pub(super) fn undo_cut_off(&mut self, attempt: &AttemptRef) {
        let Some(run) = self.state.runs.get(&attempt.run).cloned() else { return };
        let Some(step) = self.playbook_of(&run).and_then(|playbook| playbook.step(&attempt.step)) else { return };
        let current = run.steps.get(&step.id).is_some_and(|state| state.undoing && state.undo_attempt == attempt.attempt);
        if current && self.is_done_anew(&run, &step) {
            self.leave_to_the_later_run(&run, &step);
        } else if current {
            self.begin_undo(attempt.run, &step);
        }
    }

    /// Whether a later run of the same playbook has done the same since, and will take it back itself.
    pub(super) fn is_done_anew(&self, run: &Run, step: &Step) -> bool {
        let done = |later: &Run| {
            let takes_back = || self.playbook_of(later).and_then(|book| book.step(&step.id)).is_some_and(|s| s.undo != Undo::Never);
            let state = later.steps.get(&step.id).filter(|state| !state.undoing);
            let does = |state: &StepState| matches!(state.status, StepStatus::Running | StepStatus::Succeeded | StepStatus::InDoubt);
            state.is_some_and(does) && takes_back()
        };
        self.state.is_open()
            && self.state.runs.values().any(|later| later.playbook == run.playbook && later.ordinal > run.ordinal && done(later))
    }

    pub(super) fn leave_to_the_later_run(&mut self, run: &Run, step: &Step) {
        let Some(state) = run.steps.get(&step.id).filter(|state| state.undoing) else { return };
        let at = StepRef { run: run.id, step: step.id.clone(), attempt: state.undo_attempt, undo: true };
        let reason = "a later run did it again and takes it back itself".to_owned();
        self.emit_engine(Event::StepFailed { at, title: step.title.clone(), reason, retry_at: None, duration_ms: 0, unsure: false });
    }

    /// A later run waits to do the same: it need not wait for another try, for it takes back itself what it does.
    fn is_left_to_a_later_run(&mut self, run: RunId, path: &str) -> bool {
        let Some(run) = self.state.runs.get(&run).cloned() else { return false };
        let Some(step) = self.playbook_of(&run).and_then(|playbook| playbook.step(path)) else { return false };
        let later = self.is_done_anew(&run, &step);
        if later {
            self.leave_to_the_later_run(&run, &step);
        }
        later
    }

    pub(super) fn begin_undo(&mut self, id: RunId, step: &Step) {
        if self.waits_to_undo(id, step) {
            return;
        }
        let Some(state) = self.state.runs.get(&id).and_then(|run| run.steps.get(&step.id)) else { return };
        let (attempt, params) = (state.undo_attempt + 1, state.params.clone());
        self.emit_engine(Event::StepStarted {
            at: StepRef { run: id, step: step.id.clone(), attempt, undo: true },
            title: step.title.clone(),
            action: step.action.clone(),
            target: step.target.clone(),
            params,
            destructive: step.destructive,
            items: Vec::new(),
        });
        self.ask(Effect::Perform { attempt: AttemptRef { run: id, step: step.id.clone(), attempt, undo: true, check: false } });
    }

    /// A person does not wait for its end. What its action can take back may be taken back, whatever the playbook says.
    pub(super) fn undo_by_person(&mut self, id: RunId, path: &str, note: &str) -> Result<(), Refusal> {
        let run = self.state.runs.get(&id).cloned().ok_or(Refusal::UnknownRun)?;
        let state = run.steps.get(path).ok_or_else(|| Refusal::UnknownStep(path.to_owned()))?;
        let step = self.playbook_of(&run).and_then(|playbook| playbook.step(path)).ok_or_else(|| Refusal::UnknownStep(path.to_owned()))?;
        let undoable = self.rulebook.specs.get(&step.action).is_some_and(|spec| spec.undoable) && step.each.is_none();
        if !undoable {
            return Err(Refusal::NotUndoable { step: step.id.clone(), action: step.action.clone() });
        }
        if state.undoing && state.retry_at.is_none() {
            return Err(Refusal::StepNot { step: path.to_owned(), status: "being taken back" });
        }
        let in_force = state.undoing || state.status == StepStatus::Succeeded || (state.unsure && state.status == StepStatus::Failed);
        if !in_force {
            return Err(Refusal::StepNot { step: path.to_owned(), status: state.status.word() });
        }
        let note = if note.is_empty() { String::new() } else { format!(": {note}") };
        self.emit(Event::Commented { text: format!("{} takes \"{}\" back now{note}", self.actor, step.title) });
        self.begin_undo(id, &step);
        Ok(())
    }

    pub(super) fn undone(&mut self, performed: Performed) {
        let AttemptRef { run, step, attempt, .. } = performed.attempt;
        let Some(state) = self.state.runs.get(&run).and_then(|run| run.steps.get(&step)).filter(|s| s.undoing && s.undo_attempt == attempt)
        else {
            return;
        };
        let (title, hand) = (state.title.clone(), by_hand(state));
        let at = StepRef { run, step: step.clone(), attempt, undo: true };
        let duration_ms = performed.duration_ms;
        match performed.result {
            Ok(output) => self.emit_engine(Event::StepUndone { at, title, output, duration_ms, left_to: None }),
            Err(Failure::Retry(_) | Failure::Unknown(_)) if self.is_left_to_a_later_run(run, &step) => {}
            Err(Failure::Retry(reason) | Failure::Unknown(reason)) if attempt < UNDO_ATTEMPTS => {
                let retry_at = self.now + pause(UNDO_PAUSE, LONGEST_UNDO_PAUSE, attempt, self.state.number);
                self.emit_engine(Event::StepFailed { at, title, reason, retry_at: Some(retry_at), duration_ms, unsure: false });
                self.wake_at(retry_at, Wake::Undo { run, step });
            }
            Err(Failure::Retry(reason) | Failure::Fatal(reason) | Failure::Barred(reason) | Failure::Unknown(reason)) => {
                let why = format!("\"{title}\" could not be undone and stays in force: {reason}. By hand: {hand}");
                self.emit_engine(Event::StepFailed { at, title, reason, retry_at: None, duration_ms, unsure: false });
                self.page_level_one("automation-failed", &why);
            }
        }
    }
}
