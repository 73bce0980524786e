//! Runs: which playbooks start, whose turn it is, what comes next in a run, and how it ends. Knows no step's insides.

use std::sync::Arc;

use crate::domain::decide::command::{Refusal, Wake};
use crate::domain::decide::turn::Turn;
use crate::domain::id::RunId;
use crate::domain::limits::Waiter;
use crate::domain::playbook::{OnFailure, Playbook, Step, Undo};
use crate::domain::run::{Run, StepStatus};
use crate::domain::time::Span;
use crate::domain::timeline::Event;

/// How often a run that waits for its turn looks for itself. Whoever ends lets the next one begin in the same commit, and the
/// line is counted from the disk at the start, so nothing relies on it: it is there in case a place is free and nobody said so.
pub(super) const LOOK_FOR_A_PLACE: Span = Span::minutes(10);

type Answer = Result<(), Refusal>;

impl Turn<'_, '_> {
    /// Starts every playbook that matches now and has not run since the incident (re)opened.
    pub(super) fn start_matching_runs(&mut self) {
        if !self.state.is_open() {
            return;
        }
        let since = self.state.reopened_at.unwrap_or(self.state.opened_at);
        let starting: Vec<Arc<Playbook>> = self
            .rulebook
            .playbooks
            .values()
            .filter(|playbook| playbook.trigger.holds(&self.state.kind, self.state.priority, &self.state.labels))
            .filter(|playbook| !self.state.runs.values().any(|run| run.playbook == playbook.slug && run.started_at >= since))
            .cloned()
            .collect();
        for playbook in starting {
            self.start_run(&playbook);
        }
    }

    pub(super) fn start_by_person(&mut self, slug: &str) -> Answer {
        if !self.state.is_open() {
            return Err(Refusal::Resolved);
        }
        let playbook = self.rulebook.playbooks.get(slug).cloned().ok_or_else(|| Refusal::UnknownPlaybook(slug.to_owned()))?;
        self.start_run(&playbook);
        Ok(())
    }

    pub(super) fn start_run(&mut self, playbook: &Arc<Playbook>) {
        let ordinal = u32::try_from(self.state.runs.len()).unwrap_or(u32::MAX) + 1;
        let run = RunId::derive(self.state.id, ordinal);
        self.emit(Event::RunStarted {
            run,
            ordinal,
            playbook: playbook.slug.clone(),
            title: playbook.title.clone(),
            revision: playbook.revision.clone(),
        });
        let open = self.ledger.running(&playbook.slug);
        match playbook.limits.concurrency {
            Some(limit) if open >= limit => {
                let free_at = self.now + LOOK_FOR_A_PLACE;
                self.ledger.run_waits(&playbook.slug, Waiter { incident: self.state.id, run });
                self.emit_engine(Event::LimitHit { run, step: None, limit: format!("concurrency: {limit}"), count: open, free_at });
                self.wake_at(free_at, Wake::Step { run, step: None, attempt: 0 });
            }
            _ => {
                self.ledger.run_begins(&playbook.slug, run);
                self.advance(run);
            }
        }
    }

    /// Begins a run that has waited for its turn, if it is its turn. True when it need not wait any more.
    pub(super) fn proceed(&mut self, id: RunId) -> bool {
        let Some((run, playbook)) = self.open_run(id) else {
            self.lose_run(id);
            return true;
        };
        if !run.steps.is_empty() {
            return true;
        }
        let first = self.ledger.next_in_line(&run.playbook).is_none_or(|next| next.run == id);
        let room = playbook.limits.concurrency.is_none_or(|limit| self.ledger.running(&run.playbook) < limit);
        if first && room {
            self.ledger.run_begins(&run.playbook, id);
            self.advance(id);
        }
        first && room
    }

    pub(super) fn playbook_of(&self, run: &Run) -> Option<Arc<Playbook>> {
        self.rulebook.revisions.get(&run.revision).cloned()
    }

    pub(super) fn open_run(&self, id: RunId) -> Option<(Run, Arc<Playbook>)> {
        let run = self.state.runs.get(&id).filter(|run| !run.status.is_over())?.clone();
        let playbook = self.playbook_of(&run)?;
        Some((run, playbook))
    }

    /// Whether more of a run may begin: a resolve ends what has not begun, also when the incident fires again before the run is done.
    pub(super) fn goes_on(&self, run: &Run) -> bool {
        self.state.is_open() && self.state.reopened_at.is_none_or(|reopened_at| run.started_at >= reopened_at)
    }

    /// Goes on with the step after the last one that ended, until one takes time or the run is over.
    pub(super) fn advance(&mut self, id: RunId) {
        loop {
            let Some((run, playbook)) = self.open_run(id) else {
                return self.lose_run(id);
            };
            if !self.goes_on(&run) {
                return self.end_cancelled(&run, "the incident is resolved");
            }
            let Some(step) = playbook.step_after(run.current.as_deref()).cloned() else {
                return self.end_succeeded(&run);
            };
            if !self.begin_step(&run, &playbook, &step, 1) {
                return;
            }
        }
    }

    /// A run whose playbook nobody has any more cannot go on; people are told.
    pub(super) fn lose_run(&mut self, id: RunId) {
        let Some(run) = self.state.runs.get(&id).filter(|run| !run.status.is_over()).cloned() else { return };
        let reason =
            format!("revision {} of playbook {} is not to be had any more", &run.revision.get(..12).unwrap_or(&run.revision), run.playbook);
        self.end_failed(&run, reason, false);
    }

    /// What a failed step does to its run. True when the run goes on.
    pub(super) fn after_failure(&mut self, id: RunId, step: &Step) -> bool {
        if step.on_failure == OnFailure::Continue {
            return true;
        }
        if let Some(run) = self.state.runs.get(&id).cloned() {
            let why = run.steps.get(&step.id).and_then(|state| state.reason.clone()).unwrap_or_default();
            self.end_failed(&run, format!("step \"{}\" failed: {why}", step.title), step.on_failure == OnFailure::Escalate);
        }
        false
    }

    pub(super) fn end_succeeded(&mut self, run: &Run) {
        self.ledger.run_ended(&run.playbook, run.id);
        let duration_ms = self.now.since(run.started_at).as_millis();
        self.emit_engine(Event::RunSucceeded { run: run.id, playbook: run.playbook.clone(), duration_ms });
    }

    pub(super) fn end_failed(&mut self, run: &Run, reason: String, escalate: bool) {
        self.ledger.run_ended(&run.playbook, run.id);
        self.emit_engine(Event::RunFailed { run: run.id, playbook: run.playbook.clone(), reason: reason.clone() });
        self.undo_steps(run.id, Undo::OnFailure);
        if !self.state.is_open() {
            return;
        }
        let reason = format!("playbook {} failed: {reason}", run.playbook);
        if escalate { self.page_level_after(&reason) } else { self.page_level_one("automation-failed", &reason) }
    }

    pub(super) fn end_cancelled(&mut self, run: &Run, reason: &str) {
        self.ledger.run_ended(&run.playbook, run.id);
        self.emit_engine(Event::RunCancelled { run: run.id, playbook: run.playbook.clone(), reason: reason.to_owned() });
    }

    /// The incident is over: what has not begun is cancelled, what runs ends by itself, what waits for it is undone.
    pub(super) fn wind_up_runs(&mut self) {
        for run in self.state.runs_in_order().into_iter().cloned().collect::<Vec<_>>() {
            let under_way = run.steps.values().any(|step| matches!(step.status, StepStatus::Running | StepStatus::InDoubt));
            if !run.status.is_over() && !under_way {
                self.end_cancelled(&run, "the incident is resolved");
            }
            self.undo_steps(run.id, Undo::OnResolve);
        }
    }
}
