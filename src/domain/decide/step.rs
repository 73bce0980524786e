//! Steps: whether one may begin, and what beginning it means. An attempt is a fact before it is a deed: `step_started` is committed
//! first, so a crash leaves no guess. Knows no answers.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::decide::command::{AttemptRef, Effect, Wake};
use crate::domain::decide::run::{LOOK_FOR_A_PLACE, Start};
use crate::domain::decide::scope::step_scope;
use crate::domain::decide::tell::Unheard;
use crate::domain::decide::turn::Turn;
use crate::domain::expression::condition::{Expression, Verdict};
use crate::domain::id::RunId;
use crate::domain::playbook::{ALERTS_RESOLVED, Playbook, Step};
use crate::domain::run::{Run, StepStatus};
use crate::domain::time::Span;
use crate::domain::timeline::{Event, StepRef};

/// How deep playbooks may start each other.
pub const DEEPEST: usize = 4;

impl Turn<'_, '_> {
    /// Begins one attempt, or has it wait for a yes, its target or a limit. Whatever happens, the step has not stayed pending.
    pub(super) fn begin_step(&mut self, run: &Run, playbook: &Playbook, step: &Arc<Step>, attempt: u32) {
        let at = StepRef { run: run.id, step: step.id.clone(), attempt, undo: false };
        let title = step.title.clone();
        let known = run.steps.get(&step.id).and_then(|state| state.approval.as_ref().map(|request| (request, &state.params)));
        let approved = known.filter(|(request, _)| request.approved_by.is_some()).map(|(_, params)| params.clone());
        let reads = |variable: &str| step.when.as_ref().is_some_and(|when| when.reads(variable)) || step.with.reads(variable);
        let scope = step_scope(self.state, self.rulebook, (run, step), &reads);
        // An item's condition is asked of the item, the list's own only once; and what was approved is not asked about again.
        let asks = attempt == 1 && approved.is_none() && !step.each.as_ref().is_some_and(|each| step.when_reads(&each.name));
        if let (Some(when), true) = (&step.when, asks) {
            let verdict = when.matches(&scope);
            if !verdict.matched {
                return self.emit_engine(Event::StepSkipped { at, title, reason: not_so(when, &verdict) });
            }
        }
        if let Some(each) = &step.each {
            return self.begin_each(run, step, each);
        }
        if step.destructive && self.is_held() {
            return self.wait_for_release(run, step, attempt);
        }
        let params = match approved.clone().map_or_else(|| step.with.render(&scope), Ok) {
            Ok(params) => params,
            Err(error) => {
                let reason = format!("a parameter could not be filled in: {error}");
                return self.emit_engine(Event::StepFailed { at, title, reason, retry_at: None, duration_ms: 0, unsure: false });
            }
        };
        if let Some(why) = self.shadow_over(playbook, step) {
            return self.would_have(at, playbook, step, (params, why));
        }
        if step.destructive && self.refused(run, playbook, step, attempt) {
            return;
        }
        if let (None, 1) = (&approved, attempt) {
            let why = self.why_it_asks(playbook, step);
            let earned = why.is_some().then(Self::earned_by_asking);
            if let Some(approval) = step.approval.as_ref().or(earned.as_ref()) {
                return self.request_approval(at, step, approval, (params, why));
            }
        }
        if step.destructive && !(self.has_target(run, step, attempt) && self.admitted(run, playbook, step, attempt)) {
            return;
        }
        self.emit_engine(Event::StepStarted {
            at,
            title,
            action: step.action.clone(),
            target: step.target.clone(),
            params: params.clone(),
            destructive: step.destructive,
            items: Vec::new(),
        });
        self.set_off(run.id, step, attempt, &params);
    }

    /// Hands the attempt to a worker, or does it here when nothing leaves the process.
    pub(super) fn set_off(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, params: &Value) {
        match step.action.as_str() {
            "wait" => match text_of(params, "for").parse::<Span>() {
                Ok(span) => self.wake_at(self.now + span, Wake::Step { run, step: Some(step.id.clone()), attempt }),
                Err(error) => self.fail_here(run, step, attempt, error.to_string()),
            },
            ALERTS_RESOLVED => self.watch_alerts(run, step, attempt, params),
            "approval" => self.succeed(run, step, attempt, Value::Null),
            "note" => {
                self.emit_engine(Event::Commented { text: text_of(params, "text").trim_end().to_owned() });
                self.succeed(run, step, attempt, Value::Null);
            }
            "notify" => match self.notify(params) {
                Ok(()) => self.succeed(run, step, attempt, Value::Null),
                Err(Unheard::NobodyThere(reason)) => {
                    let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
                    self.emit_engine(Event::StepSkipped { at, title: step.title.clone(), reason });
                }
                Err(Unheard::NoSuchName(reason)) => self.fail_here(run, step, attempt, reason),
            },
            "playbook.run" => {
                if let Err(reason) = self.start_child(run, step, attempt, params) {
                    self.fail_here(run, step, attempt, reason);
                }
            }
            _ if self.is_recovery(run, &step.id) => self.ask_prometheus(run, step, attempt),
            _ => {
                let attempt = AttemptRef { run, step: step.id.clone(), attempt, undo: false, check: false };
                self.ask(Effect::Perform { attempt });
            }
        }
    }

    /// Starts the playbook that the step names; the step ends when that run does.
    fn start_child(&mut self, run: RunId, step: &Step, attempt: u32, params: &Value) -> Result<(), String> {
        let slug = text_of(params, "playbook");
        let playbook = self.rulebook.playbooks.get(&slug).cloned().ok_or_else(|| format!("there is no playbook \"{slug}\""))?;
        if self.depth_of(run) >= DEEPEST {
            return Err(format!("playbooks start each other at most {DEEPEST} deep"));
        }
        let given = params.get("vars").and_then(Value::as_object).cloned().unwrap_or_default();
        let vars = playbook.vars(&given)?;
        let parent = Some(StepRef { run, step: step.id.clone(), attempt, undo: false });
        self.start_run(&playbook, Start { requested_by: None, vars, parent });
        Ok(())
    }

    /// How many runs stand one in another, this one included.
    fn depth_of(&self, run: RunId) -> usize {
        let parent = |id: &RunId| self.state.runs.get(id).and_then(|run| run.parent.as_ref()).map(|parent| parent.run);
        std::iter::successors(Some(run), parent).take(DEEPEST + 1).count()
    }

    /// A step that the core does has failed; its run hears of it when it goes on.
    fn fail_here(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, reason: String) {
        let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
        self.emit_engine(Event::StepFailed { at, title: step.title.clone(), reason, retry_at: None, duration_ms: 0, unsure: false });
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
        let Some(step) = playbook.step(step) else { return };
        if !self.goes_on(&run) {
            return self.advance(id);
        }
        if state.action == "wait" && state.attempt == attempt && state.started_at.is_some() {
            self.succeed(id, &step, attempt, Value::Null);
            return self.advance(id);
        }
        if state.action == ALERTS_RESOLVED && state.attempt == attempt && state.started_at.is_some() {
            return self.look_for_quiet(id, &step, state);
        }
        // Somebody had the step run again meanwhile: the attempt that this timer was for has been made.
        if attempt <= state.attempt || state.awaits_approval() {
            return;
        }
        self.begin_step(&run, &playbook, &step, attempt);
        self.advance(id);
    }
}

/// Why a condition does not hold.
fn not_so(when: &Expression, verdict: &Verdict) -> String {
    let missing = || (!verdict.missing.is_empty()).then(|| format!("{} is not known", verdict.missing.join(", ")));
    let why = verdict.warning.clone().or_else(missing).map_or_else(String::new, |why| format!(" ({why})"));
    format!("not so: {}{why}", when.source())
}

fn text_of(params: &Value, name: &str) -> String {
    match params.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
