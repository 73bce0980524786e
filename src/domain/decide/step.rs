//! Steps: whether one may begin, and what beginning it means. An attempt is a fact before it is a deed: `step_started` is committed
//! first, so a crash leaves no guess. Knows no answers.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::decide::command::{AttemptRef, Effect, Wake};
use crate::domain::decide::run::LOOK_FOR_A_PLACE;
use crate::domain::decide::scope::step_scope;
use crate::domain::decide::tell::Unheard;
use crate::domain::decide::turn::Turn;
use crate::domain::id::RunId;
use crate::domain::limits::{Ask, Spent};
use crate::domain::playbook::{Playbook, Step};
use crate::domain::run::{Run, StepStatus};
use crate::domain::settings::Automation;
use crate::domain::time::Span;
use crate::domain::timeline::{Event, StepRef};

impl Turn<'_, '_> {
    /// Begins one attempt. True when the step is over already and the next one may begin.
    pub(super) fn begin_step(&mut self, run: &Run, playbook: &Playbook, step: &Arc<Step>, attempt: u32) -> bool {
        let at = StepRef { run: run.id, step: step.id.clone(), attempt, undo: false };
        let title = step.title.clone();
        let reads = |variable: &str| step.when.as_ref().is_some_and(|when| when.reads(variable)) || step.with.reads(variable);
        let scope = step_scope(self.state, self.rulebook, (run, step.target.as_deref()), &reads);
        if let (Some(when), 1) = (&step.when, attempt) {
            let verdict = when.matches(&scope);
            if !verdict.matched {
                let why = verdict
                    .warning
                    .or_else(|| (!verdict.missing.is_empty()).then(|| format!("{} is not known", verdict.missing.join(", "))));
                let reason = why.map_or_else(|| format!("not so: {}", when.source()), |why| format!("not so: {} ({why})", when.source()));
                self.emit_engine(Event::StepSkipped { at, title, reason });
                return true;
            }
        }
        let params = match step.with.render(&scope) {
            Ok(params) => params,
            Err(error) => {
                self.emit_engine(Event::StepFailed {
                    at,
                    title,
                    reason: format!("a parameter could not be filled in: {error}"),
                    retry_at: None,
                    duration_ms: 0,
                });
                return self.after_failure(run.id, step);
            }
        };
        if let (true, Some(why)) = (step.destructive, self.withheld()) {
            let on = step.target.as_deref().map_or_else(String::new, |target| format!(" on {target}"));
            self.emit_engine(Event::StepSkipped { at, title, reason: format!("{why}; it would have done {}{on}", step.action) });
            return true;
        }
        if step.destructive && !self.admitted(run, playbook, step, attempt) {
            return false;
        }
        self.emit_engine(Event::StepStarted {
            at,
            title,
            action: step.action.clone(),
            target: step.target.clone(),
            params: params.clone(),
            destructive: step.destructive,
        });
        self.set_off(run.id, step, attempt, &params)
    }

    /// Why nothing destructive may begin at all, if `automation:` says so.
    pub(super) fn withheld(&self) -> Option<&'static str> {
        match self.rulebook.automation {
            Automation::Live => None,
            Automation::Shadow => Some("automation is in shadow"),
            Automation::Held => Some("automation is held"),
        }
    }

    /// Counts a destructive attempt in the commit that starts it, or holds it back and says until when.
    pub(super) fn admitted(&mut self, run: &Run, playbook: &Playbook, step: &Step, attempt: u32) -> bool {
        let ask = Ask { playbook: &playbook.slug, target: step.target.as_deref(), own_per_target: playbook.limits.per_target };
        match self.ledger.admit(ask, &self.rulebook.limits, self.now) {
            Ok(()) => {
                self.ledger.spend(Spent { at: self.now, playbook: playbook.slug.clone(), target: step.target.clone() });
                true
            }
            Err(held) => {
                let reason = format!("automation is held back by the limit {}", held.limit);
                let first =
                    self.state.runs.get(&run.id).is_none_or(|run| run.steps.get(&step.id).is_none_or(|s| s.status != StepStatus::Waiting));
                self.emit_engine(Event::LimitHit {
                    run: run.id,
                    step: Some(step.id.clone()),
                    limit: held.limit,
                    count: held.count,
                    free_at: held.free_at,
                });
                self.wake_at(held.free_at, Wake::Step { run: run.id, step: Some(step.id.clone()), attempt });
                if first {
                    self.page_level_one("automation-failed", &reason);
                }
                false
            }
        }
    }

    /// Hands the attempt to a worker, or does it here when nothing leaves the process.
    pub(super) fn set_off(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, params: &Value) -> bool {
        match step.action.as_str() {
            "wait" => {
                let text = text_of(params, "for");
                match text.parse::<Span>() {
                    Ok(span) => self.wake_at(self.now + span, Wake::Step { run, step: Some(step.id.clone()), attempt }),
                    Err(error) => return self.fail_here(run, step, attempt, error.to_string()),
                }
                false
            }
            "note" => {
                self.emit_engine(Event::Commented { text: text_of(params, "text").trim_end().to_owned() });
                self.succeed(run, step, attempt, Value::Null);
                true
            }
            "notify" => match self.notify(params) {
                Ok(()) => {
                    self.succeed(run, step, attempt, Value::Null);
                    true
                }
                Err(Unheard::NobodyThere(reason)) => {
                    let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
                    self.emit_engine(Event::StepSkipped { at, title: step.title.clone(), reason });
                    true
                }
                Err(Unheard::NoSuchName(reason)) => self.fail_here(run, step, attempt, reason),
            },
            _ => {
                let attempt = AttemptRef { run, step: step.id.clone(), attempt, undo: false, check: false };
                self.ask(Effect::Perform { attempt });
                false
            }
        }
    }

    /// A step that the core does has failed. True when the run goes on.
    pub(super) fn fail_here(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, reason: String) -> bool {
        let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
        self.emit_engine(Event::StepFailed { at, title: step.title.clone(), reason, retry_at: None, duration_ms: 0 });
        self.after_failure(run, step)
    }

    pub(super) fn succeed(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, output: Value) {
        let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
        self.emit_engine(Event::StepSucceeded { at, title: step.title.clone(), output, duration_ms: 0 });
    }

    /// A timer of a run rang: a wait is over, a retry is due, or a limit may have room.
    pub(super) fn step_due(&mut self, id: RunId, step: Option<&str>, attempt: u32) {
        let Some(step) = step else {
            if !self.proceed(id) {
                self.wake_at(self.now + LOOK_FOR_A_PLACE, Wake::Step { run: id, step: None, attempt: 0 });
            }
            return;
        };
        let Some((run, playbook)) = self.open_run(id) else { return self.lose_run(id) };
        let Some(state) = run.steps.get(step).filter(|state| state.status == StepStatus::Waiting) else { return };
        let Some(step) = playbook.step(step).cloned() else { return };
        if !self.goes_on(&run) {
            return self.end_cancelled(&run, "the incident is resolved");
        }
        if state.action == "wait" && state.attempt == attempt && state.started_at.is_some() {
            self.succeed(id, &step, attempt, Value::Null);
            return self.advance(id);
        }
        // Somebody had the step run again meanwhile: the attempt that this timer was for has been made.
        if attempt <= state.attempt {
            return;
        }
        if self.begin_step(&run, &playbook, &step, attempt) {
            self.advance(id);
        }
    }
}

fn text_of(params: &Value, name: &str) -> String {
    match params.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
