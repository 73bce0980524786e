//! Looking whether the trouble is over: a playbook's `recovered:` is its last step, and only with that a run has succeeded.
//! Knows no PromQL; a worker asks that.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::decide::command::{AttemptRef, Effect, Failure, Performed, Wake};
use crate::domain::decide::turn::Turn;
use crate::domain::id::RunId;
use crate::domain::playbook::{ALERTS_RESOLVED, RECOVERED, Step, Undo};
use crate::domain::run::{Run, RunStatus, StepState, StepStatus};
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Event, StepRef};

impl Turn<'_, '_> {
    /// Has a worker ask Prometheus, as a question that has a yes, a no, and a "nobody can tell".
    pub(super) fn ask_prometheus(&mut self, run: RunId, step: &Step, attempt: u32) {
        self.ask(Effect::Perform { attempt: AttemptRef { run, step: step.id.clone(), attempt, undo: false, check: true } });
    }

    /// Whether the step is what its playbook's `recovered:` says.
    pub(super) fn is_recovery(&self, run: RunId, step: &str) -> bool {
        self.state.runs.get(&run).and_then(|run| self.playbook_of(run)).is_some_and(|playbook| playbook.is_recovery(step))
    }

    /// Begins to wait until no alert has fired for long enough.
    pub(super) fn watch_alerts(&mut self, run: RunId, step: &Step, attempt: u32, params: &Value) {
        self.wake_at(self.now + span(params, "within"), Wake::Step { run, step: Some(step.id.clone()), attempt });
        self.await_quiet();
    }

    /// Sets a timer for each run that waits for quiet; whatever fires before then makes it stale.
    pub(super) fn await_quiet(&mut self) {
        let waiting = |run: &&Run| !run.status.is_over() && run.steps.get(RECOVERED).is_some_and(waits_for_quiet);
        let watching: Vec<Run> = self.state.runs.values().filter(waiting).cloned().collect();
        for run in watching {
            let Some(state) = run.steps.get(RECOVERED) else { continue };
            if let Some(since) = self.quiet_since(state) {
                let at = (since + span(&state.params, "for")).max(self.now);
                self.wake_at(at, Wake::Step { run: run.id, step: Some(RECOVERED.to_owned()), attempt: state.attempt });
            }
        }
    }

    /// Since when no alert fires, as far as anybody can tell.
    fn quiet_since(&self, state: &StepState) -> Option<Timestamp> {
        let quiet = self.state.counts.firing == 0 && self.state.truncated == 0;
        self.state.quiet_since.or(state.started_at).filter(|_| quiet)
    }

    /// A timer of a run that waits for quiet rang: it is over, it is not in time, or the timer was for an earlier quiet.
    pub(super) fn look_for_quiet(&mut self, run: RunId, step: &Arc<Step>, state: &StepState) {
        let began = state.started_at.unwrap_or(self.now);
        let (hold, within) = (span(&state.params, "for"), span(&state.params, "within"));
        let duration_ms = self.now.since(began).as_millis();
        match self.quiet_since(state) {
            Some(since) if self.now >= since + hold => {
                let at = StepRef { run, step: step.id.clone(), attempt: state.attempt, undo: false };
                let output = json!({ "quiet_for": self.now.since(since).to_string() });
                self.emit_engine(Event::StepSucceeded { at, title: step.title.clone(), output, duration_ms });
                self.advance(run);
            }
            _ if self.now < began + within => {}
            quiet => {
                let (firing, left_out) = (self.state.counts.firing, self.state.truncated);
                let reason = match quiet {
                    Some(since) => format!("it has been quiet for {} only, after {within}", self.now.since(since)),
                    None if firing == 0 => format!("after {within} nobody can tell: {left_out} alerts did not fit the last delivery"),
                    None if firing == 1 => format!("an alert still fires after {within}"),
                    None => format!("{firing} alerts still fire after {within}"),
                };
                self.fail(run, step, state.attempt, (reason, false), duration_ms);
            }
        }
    }

    /// What Prometheus said. A no is one thing; that nobody could be asked is another, and no proof of anything.
    pub(super) fn looked(&mut self, step: &Arc<Step>, performed: Performed) {
        let AttemptRef { run, attempt, .. } = performed.attempt;
        let duration_ms = performed.duration_ms;
        let (reason, untold) = match performed.result {
            Ok(output) => {
                let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
                self.emit_engine(Event::StepSucceeded { at, title: step.title.clone(), output, duration_ms });
                return self.advance(run);
            }
            Err(Failure::Fatal(reason)) => (reason, false),
            Err(Failure::Retry(reason) | Failure::Barred(reason) | Failure::Unknown(reason)) => (reason, true),
        };
        self.fail(run, step, attempt, (reason, untold), duration_ms);
    }

    /// The steps went well and the trouble goes on: what can be taken back is, and the next level is told. Where nobody can tell
    /// whether it goes on, only what a failure takes back is, because what protects may be needed.
    pub(super) fn end_unrecovered(&mut self, run: &Run) {
        let state = run.steps.get(RECOVERED);
        let why = state.and_then(|state| state.reason.clone()).unwrap_or_default();
        if state.is_some_and(|state| state.unsure) {
            return self.end_failed(run, format!("nobody can tell whether the trouble is over: {why}"), true);
        }
        self.end_failed(run, format!("the trouble is not over: {why}"), true);
        self.undo_steps(run.id, Undo::OnResolve);
    }

    /// Whether the run has looked and seen that the trouble is over.
    pub(super) fn is_verified(&self, run: &Run) -> bool {
        let verifies = self.playbook_of(run).is_some_and(|playbook| playbook.recovered);
        verifies && run.steps.get(RECOVERED).is_some_and(|state| state.status == StepStatus::Succeeded)
    }

    /// Whether quiet is not enough to close the incident: a run is still looking, or the last that looked saw that it is not over.
    pub(super) fn is_kept_open(&self) -> bool {
        let since = self.state.reopened_at.unwrap_or(self.state.opened_at);
        let looked = self.state.runs.values().filter(|run| run.started_at >= since && run.steps.contains_key(RECOVERED));
        let last = looked.filter(|run| self.playbook_of(run).is_some_and(|playbook| playbook.recovered)).max_by_key(|run| run.ordinal);
        let Some(state) = last.and_then(|run| run.steps.get(RECOVERED).map(|state| (run, state))) else { return false };
        match state {
            (run, state) if !run.status.is_over() => !state.status.is_over(),
            (run, state) => run.status == RunStatus::Failed && state.failed,
        }
    }

    /// What kept the incident open may be gone: whether it can close is looked at anew.
    pub(super) fn settle_after_run(&mut self) {
        if let Some(since) = self.state.quiet_since.filter(|_| self.state.is_open()) {
            self.wake_at((since + self.rulebook.incidents.settle).max(self.now), Wake::Settle { since });
        }
    }
}

fn waits_for_quiet(state: &StepState) -> bool {
    state.action == ALERTS_RESOLVED && state.status == StepStatus::Waiting
}

/// A length of time that was checked when the file was read.
fn span(params: &Value, name: &str) -> Span {
    params.get(name).and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or_default()
}
