//! A run that is tried anew: it goes on from the step that failed, after a pause, with that step's retries from the beginning.
//! What has succeeded is never done again. Knows no single attempt's answer.

use std::sync::Arc;

use crate::domain::action::OnInterrupt;
use crate::domain::decide::command::Wake;
use crate::domain::decide::paging::pause;
use crate::domain::decide::turn::Turn;
use crate::domain::id::RunId;
use crate::domain::playbook::{OnFailure, Step};
use crate::domain::run::Run;
use crate::domain::timeline::{Event, StepRef};

impl Turn<'_, '_> {
    /// Which attempt of its step this is within the present try of the run.
    pub(super) fn attempt_of_this_try(&self, run: RunId, step: &str, attempt: u32) -> u32 {
        let state = self.state.runs.get(&run).and_then(|run| run.steps.get(step));
        attempt.saturating_sub(state.map_or(0, |state| state.earlier_attempts))
    }

    /// A step has failed for good. True when its run has tries left for which that is a reason; then it waits for the next one.
    pub(super) fn is_tried_anew(&mut self, id: RunId, step: &Arc<Step>, attempt: u32, failure: &(String, bool), duration_ms: u64) -> bool {
        let Some((run, playbook)) = self.open_run(id) else { return false };
        let tries_left = run.tried_anew + 1 < playbook.retry.attempts;
        if !tries_left || playbook.is_recovery(&step.id) || !self.goes_on(&run) || !may_be_tried_anew(&run, step, attempt, failure.1) {
            return false;
        }
        let at = StepRef { run: id, step: step.id.clone(), attempt, undo: false };
        let (number, of) = (run.tried_anew + 2, playbook.retry.attempts);
        let retry_at = self.now + pause(playbook.retry.backoff, playbook.retry.max_backoff, number - 1, self.state.number);
        let (title, (reason, unsure)) = (step.title.clone(), failure.clone());
        self.emit_engine(Event::StepFailed { at: at.clone(), title: title.clone(), reason, retry_at: Some(retry_at), duration_ms, unsure });
        self.emit_engine(Event::RunRetried { at, title, playbook: playbook.slug.clone(), number, of, retry_at });
        self.wake_at(retry_at, Wake::Step { run: id, step: Some(step.id.clone()), attempt: attempt + 1 });
        true
    }
}

/// Only what surely did nothing, or does no harm when done twice, is begun again without a person. A no stays a no; and another
/// playbook's steps are that playbook's to repeat.
fn may_be_tried_anew(run: &Run, step: &Step, attempt: u32, unsure: bool) -> bool {
    let unsure = unsure || run.steps.get(&step.id).is_some_and(|state| state.unsure);
    let harmless = !unsure || step.on_interrupt == OnInterrupt::Retry;
    attempt > 0 && harmless && step.on_failure != OnFailure::Continue && step.action != "playbook.run"
}
