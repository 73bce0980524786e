//! What the red switch means for an incident: its timeline says who holds automation and why, steps that change things wait for the
//! release, and the release begins them again or leaves them out. Taking back, looking and telling are never held.

use crate::domain::decide::command::{AttemptRef, Effect, Failure, Performed, Wake};
use crate::domain::decide::run::LOOK_FOR_A_PLACE;
use crate::domain::decide::turn::Turn;
use crate::domain::hold::AUTOMATION_IS_HELD;
use crate::domain::id::RunId;
use crate::domain::playbook::Step;
use crate::domain::run::{Run, StepState, StepStatus};
use crate::domain::settings::Automation;
use crate::domain::timeline::{Actor, Event, StepRef};

impl Turn<'_, '_> {
    /// Whether nothing destructive may begin.
    pub(super) fn is_held(&self) -> bool {
        !self.ledger.switch.holds.are_none() || self.rulebook.automation == Automation::Held
    }

    /// Somebody has thrown the switch: it stands on the timeline, and if asked for, what is under way is cancelled.
    pub(super) fn held(&mut self, cancel: bool) {
        self.tell_of_hold();
        if !cancel {
            return;
        }
        let open: Vec<RunId> = self.state.runs_in_order().into_iter().filter(|run| !run.status.is_over()).map(|run| run.id).collect();
        for run in open {
            // One that has ended with its parent is over already, which is no fault here.
            let _ = self.cancel_run(run, "automation is held");
        }
    }

    /// Once in each hold.
    fn tell_of_hold(&mut self) {
        let holds = &self.ledger.switch.holds;
        let since = holds.since().unwrap_or(self.now);
        let told = if holds.are_none() { self.state.held_since.is_some() } else { self.state.held_since == Some(since) };
        if told || !self.state.is_open() {
            return;
        }
        let by = holds.first().map_or("reynard.yaml", |(_, hold)| &hold.by).to_owned();
        let reason = holds.first().map_or_else(String::new, |(_, hold)| hold.reason.clone());
        let event = Event::AutomationHeld { reason, by, since: Some(since).filter(|since| *since != self.now), playbook: None };
        self.emit_as(self.ledger.switch.holds.actor(), event);
    }

    /// The switch is back: what waited for it begins now, or is left out if whoever released it said so.
    pub(super) fn released(&mut self, by: String, reason: String, leave_out: bool) {
        if self.state.held_since.is_some() {
            self.emit(Event::AutomationReleased { reason, by, playbook: None });
        }
        for (run, step, attempt) in self.withheld() {
            if leave_out {
                self.leave_out(run, &step);
            } else {
                // Whoever releases automation has not asked for this very step: limits and troubles decide as ever.
                let person = std::mem::replace(&mut self.actor, Actor::engine());
                self.step_due(run, Some(&step), attempt + 1);
                self.actor = person;
            }
        }
    }

    fn leave_out(&mut self, run: RunId, step: &str) {
        let Some(state) = self.state.runs.get(&run).and_then(|run| run.steps.get(step)) else { return };
        let title = if state.title.is_empty() { step.to_owned() } else { state.title.clone() };
        let at = StepRef { run, step: step.to_owned(), attempt: state.attempt, undo: false };
        let reason = format!("it waited while automation was held, and {} released it without what waited", self.actor);
        self.emit_engine(Event::StepSkipped { at, title, reason });
        self.advance(run);
    }

    /// The steps that wait for the release, in the order in which their runs began.
    fn withheld(&self) -> Vec<(RunId, String, u32)> {
        let open = self.state.runs_in_order().into_iter().filter(|run| !run.status.is_over());
        let steps = open.flat_map(|run| run.steps.iter().map(move |(path, state)| (run.id, path, state)));
        steps.filter(|(_, _, state)| state.is_withheld()).map(|(run, path, state)| (run, path.clone(), state.attempt)).collect()
    }

    /// The step waits until automation is released, the run ends, or the incident does. People are told once in each hold.
    pub(super) fn wait_for_release(&mut self, run: &Run, step: &Step, attempt: u32) {
        self.tell_of_hold();
        let free_at = self.now + LOOK_FOR_A_PLACE;
        let waits = self.state.runs.get(&run.id).and_then(|run| run.steps.get(&step.id)).is_some_and(|state| state.is_withheld());
        if !waits {
            let first = self.withheld().is_empty();
            let by = self.ledger.switch.holds.in_words();
            self.emit_engine(Event::LimitHit {
                run: run.id,
                step: Some(step.id.clone()),
                limit: AUTOMATION_IS_HELD.to_owned(),
                count: 0,
                free_at: Some(free_at),
                why: None,
                held_by: Some(by.clone()),
            });
            if first {
                self.page_level_one("automation-failed", &format!("\"{}\" does not begin: automation is held by {by}", step.title));
            }
        }
        // Whoever releases begins it in the same commit; this is the net under that.
        self.wake_at(free_at, Wake::Step { run: run.id, step: Some(step.id.clone()), attempt });
    }

    /// An attempt was handed out and not begun: nothing was done, and everybody knows it.
    pub(super) fn not_begun(&mut self, attempt: &AttemptRef, reason: &str) {
        let reason = reason.to_owned();
        if self.state.runs.get(&attempt.run).is_some_and(|run| run.status.is_over()) {
            return self.performed_late(Performed { attempt: attempt.clone(), result: Err(Failure::Barred(reason)), duration_ms: 0 });
        }
        let Some((run, playbook)) = self.open_run(attempt.run) else { return self.lose_run(attempt.run) };
        let current = |state: &&StepState| state.status == StepStatus::Running && state.attempt == attempt.attempt;
        let Some(state) = run.steps.get(&attempt.step).filter(current) else { return };
        let Some(step) = playbook.step(&attempt.step) else { return };
        if !self.goes_on(&run) && !attempt.check {
            return self.fail(run.id, &step, attempt.attempt, (reason, false), 0);
        }
        if self.is_held() && state.destructive && !attempt.check {
            return self.wait_for_release(&run, &step, attempt.attempt + 1);
        }
        // The very attempt that was committed is handed out again, with its mark.
        self.ask(Effect::Perform { attempt: attempt.clone() });
    }

    /// An orderly end put the attempt back as if it had never been handed out. It is handed out anew by a commit, like every other:
    /// one that began without its mark would be begun once more if that life, too, ended meanwhile.
    pub(super) fn put_back(&mut self, attempt: &AttemptRef) {
        if !attempt.undo {
            return self.not_begun(attempt, "Reynard stopped before it began");
        }
        let state = self.state.runs.get(&attempt.run).and_then(|run| run.steps.get(&attempt.step));
        if state.is_some_and(|state| state.undoing && state.retry_at.is_none() && state.undo_attempt == attempt.attempt) {
            self.ask(Effect::Perform { attempt: attempt.clone() });
        }
    }
}
