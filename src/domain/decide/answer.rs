//! Answers: what an attempt's result, its loss or a crash in its middle means for the step. Begins no first attempt.

use std::sync::Arc;

use serde_json::json;

use crate::domain::action::OnInterrupt;
use crate::domain::decide::command::{AttemptRef, Effect, Failure, LateAnswer, Performed, Wake};
use crate::domain::decide::paging::pause;
use crate::domain::decide::turn::Turn;
use crate::domain::id::RunId;
use crate::domain::late::Answer;
use crate::domain::playbook::{OnFailure, Step, Undo};
use crate::domain::run::{Run, StepStatus};
use crate::domain::timeline::{Event, StepRef};

/// Why nobody waits for an answer, where neither a timeout nor another node is why.
const OVER: &str = "the attempt was over already";

impl Turn<'_, '_> {
    pub(super) fn performed(&mut self, performed: Performed) {
        let attempt = &performed.attempt;
        if attempt.undo {
            return self.undone(performed);
        }
        if self.state.runs.get(&attempt.run).is_some_and(|run| run.status.is_over()) {
            return self.performed_late(performed);
        }
        let Some((run, playbook)) = self.open_run(attempt.run) else { return self.lose_run(attempt.run) };
        let current =
            run.steps.get(&attempt.step).is_some_and(|state| state.status == StepStatus::Running && state.attempt == attempt.attempt);
        if !current {
            return self.answered_late(LateAnswer { performed, why: OVER.to_owned() });
        }
        let Some(step) = playbook.step(&attempt.step) else { return };
        if playbook.is_recovery(&step.id) {
            return self.looked(&step, performed);
        }
        if attempt.check {
            return self.checked(&step, performed);
        }
        let at = StepRef { run: run.id, step: step.id.clone(), attempt: attempt.attempt, undo: false };
        let (title, duration_ms) = (step.title.clone(), performed.duration_ms);
        let again = self.attempt_of_this_try(run.id, &step.id, attempt.attempt) < step.retry.attempts && self.goes_on(&run);
        match performed.result {
            Ok(output) => {
                self.emit_engine(Event::StepSucceeded { at, title, output, duration_ms });
                self.undo_later(run.id, &step);
                self.advance(run.id);
            }
            Err(Failure::Retry(reason)) if again => self.try_later(run.id, &step, attempt.attempt, (reason, false), duration_ms),
            Err(Failure::Unknown(reason)) if step.on_interrupt == OnInterrupt::Retry && again => {
                self.try_later(run.id, &step, attempt.attempt, (reason, true), duration_ms)
            }
            Err(Failure::Unknown(reason)) if step.on_interrupt == OnInterrupt::Retry => {
                self.fail(run.id, &step, attempt.attempt, (reason, true), duration_ms)
            }
            // A look that is not admitted has seen nothing, which is no failure of what it was to look at.
            Err(Failure::Barred(reason)) if step.on_failure == OnFailure::Continue => {
                self.emit_engine(Event::StepSkipped { at, title, reason });
                self.advance(run.id);
            }
            Err(Failure::Unknown(reason)) => self.cut_off(&run, &step, attempt.attempt, reason, duration_ms),
            Err(Failure::Barred(reason)) => self.fail_for_good(run.id, &step, attempt.attempt, (reason, false), duration_ms),
            Err(Failure::Retry(reason) | Failure::Fatal(reason)) => self.fail(run.id, &step, attempt.attempt, (reason, false), duration_ms),
        }
    }

    /// With the reason goes whether it may be in force all the same.
    pub(super) fn try_later(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, (reason, unsure): (String, bool), duration_ms: u64) {
        let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
        let tried = self.attempt_of_this_try(run, &step.id, attempt);
        let retry_at = self.now + pause(step.retry.backoff, step.retry.max_backoff, tried, self.state.number);
        self.emit_engine(Event::StepFailed { at, title: step.title.clone(), reason, retry_at: Some(retry_at), duration_ms, unsure });
        self.wake_at(retry_at, Wake::Step { run, step: Some(step.id.clone()), attempt: attempt + 1 });
    }

    /// Nobody waits for this answer any more. It is written down, because it may tell whoever is asked what happened, and changes
    /// nothing: neither the step nor what was said of it meanwhile.
    pub(super) fn answered_late(&mut self, LateAnswer { performed, why }: LateAnswer) {
        let AttemptRef { run, step, attempt, undo, check } = performed.attempt;
        let Some(state) = self.state.runs.get(&run).and_then(|run| run.steps.get(&step)) else { return };
        let made = if undo { state.undo_attempt } else { state.attempt };
        let counts = !undo && !check && state.attempt == attempt && state.status == StepStatus::Succeeded;
        // One that was never made has no answer; and one that counts already is not told twice.
        if made < attempt || (counts && performed.result.as_ref() == Ok(&state.output)) {
            return;
        }
        let answer = match performed.result {
            Ok(output) => Answer::Succeeded { output },
            Err(Failure::Retry(reason) | Failure::Fatal(reason) | Failure::Barred(reason)) => Answer::Failed { reason },
            Err(Failure::Unknown(reason)) => Answer::Unknown { reason },
        };
        let (title, at) = (state.title.clone(), StepRef { run, step, attempt, undo });
        self.emit_engine(Event::StepAnsweredLate { at, title, check, answer, duration_ms: performed.duration_ms, why });
    }

    /// What came of an attempt whose run was cancelled meanwhile: it is told, and taken back when that is its time.
    pub(super) fn performed_late(&mut self, performed: Performed) {
        let AttemptRef { run: id, step, attempt, check, .. } = performed.attempt.clone();
        let Some(run) = self.state.runs.get(&id) else { return };
        let current = run.steps.get(&step).is_some_and(|state| state.status == StepStatus::Running && state.attempt == attempt);
        if !current {
            return self.answered_late(LateAnswer { performed, why: OVER.to_owned() });
        }
        let Some(step) = self.playbook_of(run).and_then(|playbook| playbook.step(&step)) else { return };
        let at = StepRef { run: id, step: step.id.clone(), attempt, undo: false };
        let (title, duration_ms) = (step.title.clone(), performed.duration_ms);
        match performed.result {
            Ok(output) => {
                self.emit_engine(Event::StepSucceeded { at, title, output, duration_ms });
                if step.undo == Undo::OnFailure { self.undo_due(id, &step.id) } else { self.undo_later(id, &step) }
            }
            // Nobody knows, and what can be taken back is; for the rest its step says what that means, as it would have before.
            Err(Failure::Unknown(_)) if step.undo == Undo::Never && !check && step.looks_first() => {
                self.ask(Effect::Perform { attempt: AttemptRef { check: true, ..performed.attempt } });
            }
            Err(Failure::Unknown(reason)) if step.undo == Undo::Never && step.asks_when_cut_off() => {
                self.doubt(id, &step, attempt, reason);
            }
            Err(Failure::Unknown(reason)) => {
                self.emit_engine(Event::StepFailed { at, title, reason, retry_at: None, duration_ms, unsure: true });
                self.undo_unsure(id, &step);
            }
            Err(Failure::Retry(reason) | Failure::Fatal(reason) | Failure::Barred(reason)) => {
                self.emit_engine(Event::StepFailed { at, title, reason, retry_at: None, duration_ms, unsure: false });
                self.undo_unsure(id, &step);
            }
        }
    }

    pub(super) fn interrupted(&mut self, attempt: &AttemptRef) {
        let reason = "Reynard stopped while it was under way".to_owned();
        if attempt.undo {
            // Taking back is the same when done twice; every undoable action says so.
            return self.undo_cut_off(attempt);
        }
        if self.state.runs.get(&attempt.run).is_some_and(|run| run.status.is_over()) {
            return self.performed_late(Performed { attempt: attempt.clone(), result: Err(Failure::Unknown(reason)), duration_ms: 0 });
        }
        let Some((run, playbook)) = self.open_run(attempt.run) else { return self.lose_run(attempt.run) };
        let running =
            run.steps.get(&attempt.step).is_some_and(|state| state.status == StepStatus::Running && state.attempt == attempt.attempt);
        let Some(step) = playbook.step(&attempt.step).filter(|_| running) else { return };
        self.cut_off(&run, &step, attempt.attempt, reason, 0);
    }

    /// Nobody knows whether the attempt took effect; its step says what that means.
    pub(super) fn cut_off(&mut self, run: &Run, step: &Arc<Step>, attempt: u32, reason: String, duration_ms: u64) {
        match step.on_interrupt {
            OnInterrupt::Retry => {
                let at = StepRef { run: run.id, step: step.id.clone(), attempt, undo: false };
                let out_of_tries = self.attempt_of_this_try(run.id, &step.id, attempt) >= step.retry.attempts.max(3);
                if out_of_tries || !self.goes_on(run) {
                    return self.fail(run.id, step, attempt, (reason, true), duration_ms);
                }
                // Whoever was cut off while looking whether the trouble is over has changed nothing, and the next look tells.
                let (title, unsure) = (step.title.clone(), !self.is_recovery(run.id, &step.id));
                self.emit_engine(Event::StepFailed { at, title, reason, retry_at: Some(self.now), duration_ms, unsure });
                self.wake_at(self.now, Wake::Step { run: run.id, step: Some(step.id.clone()), attempt: attempt + 1 });
            }
            OnInterrupt::Check if step.check.is_some() => {
                let attempt = AttemptRef { run: run.id, step: step.id.clone(), attempt, undo: false, check: true };
                self.ask(Effect::Perform { attempt });
            }
            OnInterrupt::Check | OnInterrupt::Ask => self.doubt(run.id, step, attempt, reason),
            OnInterrupt::Fail => self.fail(run.id, step, attempt, (reason, true), duration_ms),
        }
    }

    pub(super) fn doubt(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, reason: String) {
        let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
        self.emit_engine(Event::StepInDoubt { at, title: step.title.clone(), reason });
        self.page_level_one("automation-failed", &format!("step \"{}\" is in doubt and needs your word", step.title));
    }

    /// The step's `check:` has answered: yes is success, no is a failure like any other, anything else needs a person.
    pub(super) fn checked(&mut self, step: &Arc<Step>, performed: Performed) {
        let AttemptRef { run, attempt, .. } = performed.attempt;
        match performed.result {
            Ok(output) => {
                let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
                self.emit_engine(Event::StepSucceeded {
                    at,
                    title: step.title.clone(),
                    output: json!({"checked": output}),
                    duration_ms: performed.duration_ms,
                });
                self.undo_later(run, step);
                self.advance(run);
            }
            Err(Failure::Fatal(reason)) => {
                let reason = format!("the check says it did not take effect: {reason}");
                let goes_on = self.state.runs.get(&run).is_some_and(|run| self.goes_on(run));
                if self.attempt_of_this_try(run, &step.id, attempt) < step.retry.attempts && goes_on {
                    return self.try_later(run, step, attempt, (reason, false), performed.duration_ms);
                }
                self.fail(run, step, attempt, (reason, false), performed.duration_ms)
            }
            Err(Failure::Retry(reason) | Failure::Barred(reason) | Failure::Unknown(reason)) => {
                self.doubt(run, step, attempt, format!("the check could not tell: {reason}"))
            }
        }
    }

    /// The step's own tries are used up; its run may have some left.
    pub(super) fn fail(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, failure: (String, bool), duration_ms: u64) {
        if !self.is_tried_anew(run, step, attempt, &failure, duration_ms) {
            self.fail_for_good(run, step, attempt, failure, duration_ms);
        }
    }

    fn fail_for_good(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, (reason, unsure): (String, bool), duration_ms: u64) {
        let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
        self.emit_engine(Event::StepFailed { at, title: step.title.clone(), reason, retry_at: None, duration_ms, unsure });
        self.after_failure(run, step);
        self.undo_unsure(run, step);
    }
}
