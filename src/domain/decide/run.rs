//! Runs: which playbooks start, whose turn it is, what comes next in a run, and how it ends. Knows no step's insides.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::domain::autonomy::Ended;
use crate::domain::decide::command::{Refusal, Wake};
use crate::domain::decide::turn::Turn;
use crate::domain::escalation::ONLY_WORDS;
use crate::domain::id::RunId;
use crate::domain::limits::Waiter;
use crate::domain::next::{Next, is_failing, next};
use crate::domain::playbook::{OnFailure, Playbook, Step, Undo};
use crate::domain::run::{Run, RunStatus};
use crate::domain::time::Span;
use crate::domain::timeline::{Actor, Event, StepRef};

/// How often a run that waits for its turn looks for itself. Whoever ends lets the next one begin in the same commit, and the
/// line is counted from the disk at the start, so nothing relies on it: it is there in case a place is free and nobody said so.
pub(super) const LOOK_FOR_A_PLACE: Span = Span::minutes(10);

/// Why a run ends whose incident is over.
const RESOLVED: &str = "the incident is resolved";

type Answer = Result<(), Refusal>;

/// Who or what starts a run, and with what.
#[derive(Default)]
pub(super) struct Start {
    pub requested_by: Option<String>,
    pub vars: Map<String, Value>,
    pub parent: Option<StepRef>,
}

impl Turn<'_, '_> {
    /// Starts every playbook that matches now and has not run since the incident (re)opened.
    pub(super) fn start_matching_runs(&mut self) {
        if !self.state.is_open() {
            return;
        }
        let since = self.state.reopened_at.unwrap_or(self.state.opened_at);
        let ran = |run: &Run, slug: &str| run.playbook == slug && run.started_at >= since && run.parent.is_none();
        let starting: Vec<Arc<Playbook>> = self
            .rulebook
            .playbooks
            .values()
            .filter(|playbook| playbook.trigger.holds(&self.state.kind, self.state.priority, &self.state.labels))
            .filter(|playbook| !self.state.runs.values().any(|run| ran(run, &playbook.slug)))
            .cloned()
            .collect();
        for playbook in starting {
            // What is loaded has a default for every var of a playbook that starts by itself.
            let vars = playbook.vars(&Map::new()).unwrap_or_default();
            self.start_run(&playbook, Start { vars, ..Start::default() });
        }
    }

    pub(super) fn start_by_person(&mut self, slug: &str, given: &Map<String, Value>) -> Answer {
        if !self.state.is_open() {
            return Err(Refusal::Resolved);
        }
        let playbook = self.rulebook.playbooks.get(slug).cloned().ok_or_else(|| Refusal::UnknownPlaybook(slug.to_owned()))?;
        let vars = playbook.vars(given).map_err(Refusal::Invalid)?;
        let requested_by = if let Actor::Person(name) = &self.actor { Some(name.clone()) } else { None };
        self.start_run(&playbook, Start { requested_by, vars, parent: None });
        Ok(())
    }

    pub(super) fn start_run(&mut self, playbook: &Arc<Playbook>, start: Start) {
        let ordinal = self.state.runs.values().map(|run| run.ordinal).max().unwrap_or(0) + 1;
        let run = RunId::derive(self.state.id, ordinal);
        self.emit(Event::RunStarted {
            run,
            ordinal,
            playbook: playbook.slug.clone(),
            title: playbook.title.clone(),
            revision: playbook.revision.clone(),
            requested_by: start.requested_by,
            vars: start.vars,
            parent: start.parent,
        });
        if let Some(timeout) = playbook.timeout {
            self.wake_at(self.now + timeout, Wake::RunOut { run });
        }
        let open = self.ledger.running(&playbook.slug);
        match playbook.limits.concurrency {
            Some(limit) if open >= limit => {
                let free_at = self.now + LOOK_FOR_A_PLACE;
                self.ledger.run_waits(&playbook.slug, Waiter { incident: self.state.id, run });
                let limit = format!("concurrency: {limit}");
                let why = format!("playbook {} waits for its turn: as many of it are under way as may be ({limit})", playbook.slug);
                self.emit_engine(Event::LimitHit { run, step: None, limit, count: open, free_at: Some(free_at), why: None, held_by: None });
                self.page_level_one(ONLY_WORDS, &why);
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

    /// Whether more of a run may begin: a resolve ends what has not begun, also when the incident fires again before the run is
    /// done; and a step that has failed lets nothing begin beside it.
    pub(super) fn goes_on(&self, run: &Run) -> bool {
        self.is_of_this_life(run) && self.playbook_of(run).is_some_and(|playbook| !is_failing(&playbook, run))
    }

    fn is_of_this_life(&self, run: &Run) -> bool {
        self.state.is_open() && self.state.reopened_at.is_none_or(|reopened_at| run.started_at >= reopened_at)
    }

    /// Goes on with whatever comes next, until it takes time or the run is over.
    pub(super) fn advance(&mut self, id: RunId) {
        loop {
            let Some((run, playbook)) = self.open_run(id) else {
                return self.lose_run(id);
            };
            if !self.is_of_this_life(&run) {
                // What runs beside it is let end first; its end comes here again.
                if !run.is_under_way() {
                    self.end_cancelled(&run, RESOLVED);
                }
                return;
            }
            match next(&playbook, &run) {
                Next::Begin(steps) => self.begin_beside(id, &playbook, &steps),
                Next::Close(step) => self.close_items(&run, &step),
                Next::Wait => return,
                Next::Fail(step) => return self.fail_run(&run, &step),
                Next::Done => return self.end_succeeded(&run),
            }
        }
    }

    /// Begins steps side by side; one that fails at once lets the others of its moment be.
    fn begin_beside(&mut self, id: RunId, playbook: &Playbook, steps: &[Arc<Step>]) {
        for step in steps {
            if let Some(run) = self.state.runs.get(&id).filter(|run| !run.status.is_over() && !is_failing(playbook, run)).cloned() {
                self.begin_step(&run, playbook, step, 1);
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

    /// A step has failed for good: the run goes on, ends, or first lets end what runs beside the step.
    pub(super) fn after_failure(&mut self, id: RunId, step: &Step) {
        let waits =
            self.open_run(id).is_some_and(|(run, playbook)| is_failing(&playbook, &run) && matches!(next(&playbook, &run), Next::Wait));
        if waits && step.on_failure != OnFailure::Continue {
            let why = format!("step \"{}\" failed; its run ends when what runs beside it has ended", step.title);
            self.page_level_one("automation-failed", &why);
        }
        self.advance(id);
    }

    fn fail_run(&mut self, run: &Run, step: &Step) {
        if self.is_recovery(run.id, &step.id) {
            return self.end_unrecovered(run);
        }
        let why = run.steps.get(&step.id).and_then(|state| state.reason.clone()).unwrap_or_default();
        self.end_failed(run, format!("step \"{}\" failed: {why}", step.title), step.on_failure == OnFailure::Escalate);
    }

    pub(super) fn end_succeeded(&mut self, run: &Run) {
        self.ledger.run_ended(&run.playbook, run.id);
        self.count_success(run);
        let duration_ms = self.now.since(run.started_at).as_millis();
        let verified = self.is_verified(run);
        self.record(run, if verified { Ended::Verified } else { Ended::Well });
        self.emit_engine(Event::RunSucceeded { run: run.id, playbook: run.playbook.clone(), duration_ms, verified });
        self.tell_parent(run.id);
        self.settle_after_run();
        self.close_scheduled(run, "its playbook succeeded");
    }

    pub(super) fn end_failed(&mut self, run: &Run, reason: String, escalate: bool) {
        self.ledger.run_ended(&run.playbook, run.id);
        self.record(run, Ended::Failed);
        self.emit_engine(Event::RunFailed { run: run.id, playbook: run.playbook.clone(), reason: reason.clone() });
        self.cancel_children(run.id, "the run that started it failed");
        self.undo_steps(run.id, Undo::OnFailure);
        let broken = self.count_failure(run).map(|why| format!("; {why}")).unwrap_or_default();
        let reason = format!("playbook {} failed: {reason}{broken}", run.playbook);
        match (self.state.is_open(), escalate) {
            _ if self.hand_over_scheduled(run, &reason) => {}
            (true, true) => self.page_level_after(&reason),
            // What a sub-playbook's failure means is said by the step that started it.
            (true, false) if run.parent.is_none() => self.page_level_one("automation-failed", &reason),
            _ => {}
        }
        self.tell_parent(run.id);
        self.settle_after_run();
    }

    pub(super) fn end_cancelled(&mut self, run: &Run, reason: &str) {
        self.ledger.run_ended(&run.playbook, run.id);
        self.record(run, if reason == RESOLVED { Ended::FalseStart } else { Ended::Left });
        self.emit_engine(Event::RunCancelled { run: run.id, playbook: run.playbook.clone(), reason: reason.to_owned() });
        self.cancel_children(run.id, reason);
        self.tell_parent(run.id);
        self.settle_after_run();
    }

    /// What a run has started ends with it.
    pub(super) fn cancel_children(&mut self, run: RunId, reason: &str) {
        let open: Vec<Run> = self.state.children(run).filter(|child| !child.status.is_over()).cloned().collect();
        for child in open {
            self.end_cancelled(&child, reason);
        }
    }

    /// The step that waits for this run's end hears of it.
    fn tell_parent(&mut self, child: RunId) {
        let Some((child, at)) = self.state.runs.get(&child).and_then(|child| Some((child.clone(), child.parent.clone()?))) else { return };
        let Some((run, playbook)) = self.open_run(at.run) else { return };
        let current = run.steps.get(&at.step).is_some_and(|state| state.attempt == at.attempt && !state.status.is_over());
        let Some(step) = playbook.step(&at.step).filter(|_| current) else { return };
        let duration_ms = self.now.since(child.started_at).as_millis();
        if child.status == RunStatus::Succeeded {
            let output = json!({ "run": child.id.to_string() });
            self.emit_engine(Event::StepSucceeded { at, title: step.title.clone(), output, duration_ms });
            return self.advance(run.id);
        }
        let reason = format!("playbook {} {}: {}", child.playbook, child.status.word(), child.reason.unwrap_or_default());
        if self.attempt_of_this_try(run.id, &at.step, at.attempt) < step.retry.attempts
            && child.status == RunStatus::Failed
            && self.goes_on(&run)
        {
            return self.try_later(run.id, &step, at.attempt, (reason, false), duration_ms);
        }
        self.fail(run.id, &step, at.attempt, (reason, false), duration_ms);
    }

    /// The run has had all the time that its playbook gives it.
    pub(super) fn run_out(&mut self, id: RunId) {
        let Some((run, playbook)) = self.open_run(id) else { return };
        let whole = playbook.timeout.unwrap_or_default();
        self.end_failed(&run, format!("it was not done within {whole}"), false);
    }

    /// The incident is over: what has not begun is cancelled, what runs ends by itself, what waits for it is undone.
    pub(super) fn wind_up_runs(&mut self) {
        for id in self.state.runs_in_order().into_iter().map(|run| run.id).collect::<Vec<_>>() {
            let idle = self.state.runs.get(&id).filter(|run| !run.status.is_over() && !run.is_under_way()).cloned();
            if let Some(run) = idle {
                self.end_cancelled(&run, RESOLVED);
            }
            self.undo_steps(id, Undo::OnResolve);
        }
    }
}
