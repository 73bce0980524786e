//! Coming back after an outage: one entry on each incident that had work under way or due meanwhile, none on the others.
//! Knows no disk; whoever starts the engine says what was found there.

use crate::domain::decide::command::{Due, Effect, Wake};
use crate::domain::decide::turn::Turn;
use crate::domain::escalation::ONLY_WORDS;
use crate::domain::incident::{NotificationStatus, Status};
use crate::domain::playbook::waits;
use crate::domain::run::{StepState, StepStatus};
use crate::domain::time::Span;
use crate::domain::timeline::Event;

/// What is done within this time of its instant is in time. A planned restart that takes no longer says nothing.
pub const IN_TIME: Span = Span::seconds(5);

/// An outage, as one incident met it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outage {
    /// At most: from the last commit of the life before to the start of this one.
    pub down_for: Span,
    /// Attempts that were cut off, and what came due and was not done in time.
    pub missed: Vec<Due>,
}

impl Turn<'_, '_> {
    pub(super) fn recover(&mut self, outage: &Outage) {
        let missed: Vec<&Due> = outage.missed.iter().filter(|due| self.is_wanted(&due.effect)).collect();
        if missed.is_empty() {
            return;
        }
        // An attempt that was cut off had begun in time.
        let late = missed.iter().filter(|due| !matches!(due.effect, Effect::Perform { .. })).map(|due| self.now.since(due.at));
        let late_ms = late.max().unwrap_or(Span::ZERO).as_millis();
        self.emit_engine(Event::Recovered { down_for_ms: outage.down_for.as_millis(), late_ms });
    }

    /// Whether anything still hangs on the effect; a timer that outlived its reason was not missed by anybody.
    fn is_wanted(&self, effect: &Effect) -> bool {
        match effect {
            Effect::Perform { .. } => true,
            Effect::Measure => self.state.is_open(),
            Effect::Send { notification, .. } => {
                self.state.notifications.get(notification).is_some_and(|n| n.status == NotificationStatus::Queued)
            }
            Effect::Wake { wake } => self.is_awaited(wake),
        }
    }

    fn is_awaited(&self, wake: &Wake) -> bool {
        let step_of = |run, step: &str| self.state.runs.get(run).filter(|run| !run.status.is_over()).and_then(|run| run.steps.get(step));
        match wake {
            Wake::Escalate { generation, .. } => {
                let awaited = self.state.status == Status::Triggered || self.state.escalation.snoozed_until.is_some();
                self.state.escalation.generation == *generation && awaited
            }
            Wake::Tell { generation, template, .. } => {
                let awaited = self.state.status == Status::Triggered || (self.state.is_open() && template != ONLY_WORDS);
                self.state.escalation.generation == *generation && awaited
            }
            Wake::Settle { since } => self.state.quiet_since == Some(*since) && self.state.is_open(),
            Wake::Stale { since } => {
                self.state.is_open()
                    && self.state.reopened_at == *since
                    && self.now.since(self.state.heard_at) >= self.rulebook.incidents.stale_after
            }
            Wake::Step { run, step: Some(step), attempt } => step_of(run, step).is_some_and(|state| {
                let begun = waits(&state.action) && state.attempt == *attempt;
                state.status == StepStatus::Waiting && (begun || state.attempt < *attempt)
            }),
            // Only a net under being told that it is one's turn.
            Wake::Step { step: None, .. } => false,
            Wake::Approval { run, step } => step_of(run, step).is_some_and(StepState::awaits_approval),
            // It says itself how late it is.
            Wake::Occur { .. } => false,
            Wake::RunOut { run } => self.state.runs.get(run).is_some_and(|run| !run.status.is_over()),
            Wake::Undo { run, step } => {
                let state = self.state.runs.get(run).and_then(|run| run.steps.get(step));
                state.is_some_and(|state| state.status == StepStatus::Succeeded || state.undoing)
            }
        }
    }
}
