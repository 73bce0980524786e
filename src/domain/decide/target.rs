//! Two runs do not fight over a target: who may change it now, and who waits for whom. Knows no rates; those are the limits'.

use crate::domain::decide::command::Wake;
use crate::domain::decide::run::LOOK_FOR_A_PLACE;
use crate::domain::decide::turn::Turn;
use crate::domain::limits::percent;
use crate::domain::playbook::{Step, Undo};
use crate::domain::run::Run;
use crate::domain::targets::Turned;
use crate::domain::timeline::{Event, StepRef};

impl Turn<'_, '_> {
    /// Whether the step may change its target now; if another run has it, the step waits, which is told once.
    pub(super) fn has_target(&mut self, run: &Run, step: &Step, attempt: u32) -> bool {
        let Some(target) = &step.target else { return true };
        self.let_earlier_undo_go(run, step);
        self.ledger.targets.take(self.state, self.rulebook);
        let turned = self.ledger.targets.turn(target, (self.state.id, self.state.root_of(run)), &step.id);
        let (turned, why) = if turned == Turned::Yours { self.has_room(run, target) } else { (turned, None) };
        match turned {
            Turned::Yours => true,
            Turned::Circle(other) => {
                let reason = format!("it would wait for {target}, but {other} waits for what this run has");
                let at = StepRef { run: run.id, step: step.id.clone(), attempt, undo: false };
                self.emit_engine(Event::StepFailed {
                    at,
                    title: step.title.clone(),
                    reason,
                    retry_at: None,
                    duration_ms: 0,
                    unsure: false,
                });
                false
            }
            Turned::Held(other) => {
                self.wait_for_target(run, step, (attempt, target), (other, why));
                false
            }
        }
    }

    /// Whether as many of the service's targets are worked on as may be, and why it waits if so.
    fn has_room(&self, run: &Run, target: &str) -> (Turned, Option<String>) {
        let service = self.rulebook.targets.get(target).and_then(|target| target.service.as_deref());
        let (Some(share), Some(service)) = (self.rulebook.limits.share, service) else { return (Turned::Yours, None) };
        let all = self.rulebook.targets_of(service);
        let most = most_of(all.len(), share);
        let turned = self.ledger.targets.crowd(target, self.state.root_of(run), (&all, most));
        let why = match &turned {
            Turned::Held(other) => Some(format!(
                "{most} of the {} targets of {service} may be worked on at once (limit share: {}), and {other} is at it",
                all.len(),
                percent(share)
            )),
            _ => None,
        };
        (turned, why)
    }

    fn wait_for_target(&mut self, run: &Run, step: &Step, (attempt, target): (u32, &str), (other, why): (String, Option<String>)) {
        let free_at = self.now + LOOK_FOR_A_PLACE;
        let waits = self.state.runs.get(&run.id).and_then(|run| run.steps.get(&step.id)).is_some_and(|state| state.waits_for.is_some());
        if !waits {
            let (limit, held_by) = (target.to_owned(), Some(other.clone()));
            let words = why.clone().unwrap_or_else(|| format!("{other} is at work on it"));
            let (step_id, free_at) = (Some(step.id.clone()), Some(free_at));
            self.emit_engine(Event::LimitHit { run: run.id, step: step_id, limit, count: 1, free_at, why, held_by });
            self.ledger.targets.take(self.state, self.rulebook);
            self.page_level_one("automation-failed", &format!("\"{}\" waits for {target}: {words}", step.title));
        }
        self.wake_at(free_at, Wake::Step { run: run.id, step: Some(step.id.clone()), attempt });
    }

    /// An earlier run of the same playbook that waits to try its undo again leaves it to this one, which takes it back itself.
    fn let_earlier_undo_go(&mut self, run: &Run, step: &Step) {
        if step.undo == Undo::Never {
            return;
        }
        let tries_again = |earlier: &&Run| {
            let state = earlier.steps.get(&step.id);
            earlier.playbook == run.playbook && earlier.ordinal < run.ordinal && state.is_some_and(|s| s.undoing && s.retry_at.is_some())
        };
        for earlier in self.state.runs.values().filter(tries_again).cloned().collect::<Vec<_>>() {
            self.leave_to_the_later_run(&earlier, step);
        }
    }
}

/// How many of so many a share is; one always.
fn most_of(all: usize, share: f64) -> usize {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "targets are few")]
    let most = (all as f64 * share).floor() as usize;
    most.max(1)
}
