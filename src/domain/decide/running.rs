//! Running playbooks: which start, which step is next, what an attempt's answer means, and how a run ends.
//! An attempt is a fact before it is a deed: `step_started` is committed first, so a crash leaves no guess.
//! One machine in one file: beginning, failing, doubting, undoing and ending a step hand over to each other.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::action::OnInterrupt;
use crate::domain::decide::command::{AttemptRef, Effect, Failure, Performed, Refusal, Wake};
use crate::domain::decide::outbox::Page;
use crate::domain::decide::paging::pause;
use crate::domain::decide::scope::step_scope;
use crate::domain::decide::turn::Turn;
use crate::domain::escalation::ONLY_WORDS;
use crate::domain::id::RunId;
use crate::domain::limits::{Ask, Spent, Waiter};
use crate::domain::playbook::{OnFailure, Playbook, Step, Undo};
use crate::domain::run::{Run, RunStatus, StepStatus};
use crate::domain::settings::Automation;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Event, Outcome, StepRef};

/// How often a run that waits for its turn looks for itself. Whoever ends lets the next one begin in the same commit, and the
/// line is counted from the disk at the start, so nothing relies on it: it is there in case a place is free and nobody said so.
const LOOK_FOR_A_PLACE: Span = Span::minutes(10);
/// How often taking a step back is tried before people are told that it stays.
const UNDO_ATTEMPTS: u32 = 5;
const UNDO_PAUSE: Span = Span::seconds(10);
const LONGEST_UNDO_PAUSE: Span = Span::minutes(5);

type Answer = Result<(), Refusal>;

/// Why a playbook's message reaches nobody.
enum Unheard {
    NobodyThere(String),
    NoSuchName(String),
}

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

    fn start_run(&mut self, playbook: &Arc<Playbook>) {
        let ordinal = self.state.runs.values().map(|run| run.ordinal).max().unwrap_or(0) + 1;
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

    fn playbook_of(&self, run: &Run) -> Option<Arc<Playbook>> {
        self.rulebook.revisions.get(&run.revision).cloned()
    }

    fn open_run(&self, id: RunId) -> Option<(Run, Arc<Playbook>)> {
        let run = self.state.runs.get(&id).filter(|run| !run.status.is_over())?.clone();
        let playbook = self.playbook_of(&run)?;
        Some((run, playbook))
    }

    /// Whether more of a run may begin: a resolve ends what has not begun, also when the incident fires again before the run is done.
    fn goes_on(&self, run: &Run) -> bool {
        self.state.is_open() && self.state.reopened_at.is_none_or(|reopened_at| run.started_at >= reopened_at)
    }

    /// Goes on with the step after the last one that ended, until one takes time or the run is over.
    fn advance(&mut self, id: RunId) {
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
    fn lose_run(&mut self, id: RunId) {
        let Some(run) = self.state.runs.get(&id).filter(|run| !run.status.is_over()).cloned() else { return };
        let reason =
            format!("revision {} of playbook {} is not to be had any more", &run.revision.get(..12).unwrap_or(&run.revision), run.playbook);
        self.end_failed(&run, reason, false);
    }

    /// Begins one attempt. True when the step is over already and the next one may begin.
    fn begin_step(&mut self, run: &Run, playbook: &Playbook, step: &Arc<Step>, attempt: u32) -> bool {
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
                    unsure: false,
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
    fn withheld(&self) -> Option<&'static str> {
        match self.rulebook.automation {
            Automation::Live => None,
            Automation::Shadow => Some("automation is in shadow"),
            Automation::Held => Some("automation is held"),
        }
    }

    /// Counts a destructive attempt in the commit that starts it, or holds it back and says until when.
    fn admitted(&mut self, run: &Run, playbook: &Playbook, step: &Step, attempt: u32) -> bool {
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
    fn set_off(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, params: &Value) -> bool {
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
    fn fail_here(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, reason: String) -> bool {
        let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
        self.emit_engine(Event::StepFailed { at, title: step.title.clone(), reason, retry_at: None, duration_ms: 0, unsure: false });
        self.after_failure(run, step)
    }

    /// A playbook's message, or why it reaches nobody: names that come from alerts are only known now.
    fn notify(&mut self, params: &Value) -> Result<(), Unheard> {
        let to = match params.get("to") {
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let text = params.get("text").and_then(Value::as_str).map(str::to_owned);
        let template = params.get("template").and_then(Value::as_str);
        // Words without a template stand for themselves, or go with whatever else the same person is told now.
        let template = template.unwrap_or(if text.is_some() { ONLY_WORDS } else { "incident-opened" }).to_owned();
        let reason = text.as_deref().map_or_else(|| "a playbook step says so".to_owned(), |text| text.chars().take(120).collect());
        let reached = self.resolve_names(&to);
        if reached.told.is_empty() {
            let reason = format!("nobody could be told; {}", reached.nobody.join("; "));
            // That nobody is on call is for the settings to mend; a name that nobody has is a fault here.
            let known = to.iter().any(|name| self.rulebook.directory.knows(name));
            return Err(if known { Unheard::NobodyThere(reason) } else { Unheard::NoSuchName(reason) });
        }
        self.page(&Page { to: &to, template: &template, text, reason: &reason });
        Ok(())
    }

    fn succeed(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, output: Value) {
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
        let Some(step) = playbook.step(&attempt.step).cloned().filter(|_| current) else { return };
        if attempt.check {
            return self.checked(&step, performed);
        }
        let at = StepRef { run: run.id, step: step.id.clone(), attempt: attempt.attempt, undo: false };
        let (title, duration_ms) = (step.title.clone(), performed.duration_ms);
        let again = attempt.attempt < step.retry.attempts && self.goes_on(&run);
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
            Err(Failure::Retry(reason) | Failure::Fatal(reason) | Failure::Barred(reason)) => {
                self.fail(run.id, &step, attempt.attempt, (reason, false), duration_ms)
            }
        }
    }

    /// With the reason goes whether it may be in force all the same.
    fn try_later(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, (reason, unsure): (String, bool), duration_ms: u64) {
        let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
        let retry_at = self.now + pause(step.retry.backoff, step.retry.max_backoff, attempt, self.state.number);
        self.emit_engine(Event::StepFailed { at, title: step.title.clone(), reason, retry_at: Some(retry_at), duration_ms, unsure });
        self.wake_at(retry_at, Wake::Step { run, step: Some(step.id.clone()), attempt: attempt + 1 });
    }

    /// What came of an attempt whose run was cancelled meanwhile: it is told, and taken back when that is its time.
    fn performed_late(&mut self, performed: Performed) {
        let AttemptRef { run: id, step, attempt, .. } = performed.attempt;
        let Some(run) = self.state.runs.get(&id) else { return };
        let current = run.steps.get(&step).is_some_and(|state| state.status == StepStatus::Running && state.attempt == attempt);
        let Some(step) = self.playbook_of(run).and_then(|playbook| playbook.step(&step).cloned()).filter(|_| current) else { return };
        let at = StepRef { run: id, step: step.id.clone(), attempt, undo: false };
        let (title, duration_ms) = (step.title.clone(), performed.duration_ms);
        match performed.result {
            Ok(output) => {
                self.emit_engine(Event::StepSucceeded { at, title, output, duration_ms });
                if step.undo == Undo::OnFailure { self.undo_due(id, &step.id) } else { self.undo_later(id, &step) }
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
        let Some(step) = playbook.step(&attempt.step).cloned().filter(|_| running) else { return };
        self.cut_off(&run, &step, attempt.attempt, reason, 0);
    }

    /// Nobody knows whether the attempt took effect; its step says what that means.
    fn cut_off(&mut self, run: &Run, step: &Arc<Step>, attempt: u32, reason: String, duration_ms: u64) {
        match step.on_interrupt {
            OnInterrupt::Retry => {
                let at = StepRef { run: run.id, step: step.id.clone(), attempt, undo: false };
                let out_of_tries = attempt >= step.retry.attempts.max(3);
                if out_of_tries || !self.goes_on(run) {
                    return self.fail(run.id, step, attempt, (reason, true), duration_ms);
                }
                let title = step.title.clone();
                self.emit_engine(Event::StepFailed { at, title, reason, retry_at: Some(self.now), duration_ms, unsure: true });
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

    /// It has failed and, by this attempt or an earlier one, may be in force all the same: what can be taken back is, for that is the
    /// same when there is nothing to take back.
    fn undo_unsure(&mut self, run: RunId, step: &Step) {
        let state = self.state.runs.get(&run).and_then(|run| run.steps.get(&step.id));
        if step.undo != Undo::Never && state.is_some_and(|state| state.unsure && !state.undoing) {
            self.begin_undo(run, step);
        }
    }

    fn doubt(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, reason: String) {
        let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
        self.emit_engine(Event::StepInDoubt { at, title: step.title.clone(), reason });
        self.page_level_one("automation-failed", &format!("step \"{}\" is in doubt and needs your word", step.title));
    }

    /// The step's `check:` has answered: yes is success, no is a failure like any other, anything else needs a person.
    fn checked(&mut self, step: &Arc<Step>, performed: Performed) {
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
                if attempt < step.retry.attempts && goes_on {
                    return self.try_later(run, step, attempt, (reason, false), performed.duration_ms);
                }
                self.fail(run, step, attempt, (reason, false), performed.duration_ms)
            }
            Err(Failure::Retry(reason) | Failure::Barred(reason) | Failure::Unknown(reason)) => {
                self.doubt(run, step, attempt, format!("the check could not tell: {reason}"))
            }
        }
    }

    fn fail(&mut self, run: RunId, step: &Arc<Step>, attempt: u32, (reason, unsure): (String, bool), duration_ms: u64) {
        let at = StepRef { run, step: step.id.clone(), attempt, undo: false };
        self.emit_engine(Event::StepFailed { at, title: step.title.clone(), reason, retry_at: None, duration_ms, unsure });
        if self.after_failure(run, step) {
            self.advance(run);
        }
        self.undo_unsure(run, step);
    }

    /// What a failed step does to its run. True when the run goes on.
    fn after_failure(&mut self, id: RunId, step: &Step) -> bool {
        if step.on_failure == OnFailure::Continue {
            return true;
        }
        if let Some(run) = self.state.runs.get(&id).cloned() {
            let why = run.steps.get(&step.id).and_then(|state| state.reason.clone()).unwrap_or_default();
            self.end_failed(&run, format!("step \"{}\" failed: {why}", step.title), step.on_failure == OnFailure::Escalate);
        }
        false
    }

    fn end_succeeded(&mut self, run: &Run) {
        self.ledger.run_ended(&run.playbook, run.id);
        let duration_ms = self.now.since(run.started_at).as_millis();
        self.emit_engine(Event::RunSucceeded { run: run.id, playbook: run.playbook.clone(), duration_ms });
    }

    fn end_failed(&mut self, run: &Run, reason: String, escalate: bool) {
        self.ledger.run_ended(&run.playbook, run.id);
        self.emit_engine(Event::RunFailed { run: run.id, playbook: run.playbook.clone(), reason: reason.clone() });
        self.undo_steps(run.id, Undo::OnFailure);
        if !self.state.is_open() {
            return;
        }
        let reason = format!("playbook {} failed: {reason}", run.playbook);
        if escalate { self.page_level_after(&reason) } else { self.page_level_one("automation-failed", &reason) }
    }

    fn end_cancelled(&mut self, run: &Run, reason: &str) {
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

    fn undo_later(&mut self, run: RunId, step: &Step) {
        match step.undo {
            Undo::After(span) => self.wake_at(self.now + span, Wake::Undo { run, step: step.id.clone() }),
            // It succeeded after the incident had ended: nobody would take it back otherwise.
            Undo::OnResolve if !self.state.is_open() => self.undo_due(run, &step.id),
            _ => {}
        }
    }

    /// Takes back, last step first, what succeeded and is to be taken back now.
    fn undo_steps(&mut self, id: RunId, when: Undo) {
        let Some(run) = self.state.runs.get(&id).cloned() else { return };
        let Some(playbook) = self.playbook_of(&run) else { return };
        // A mitigation that was to last until the end or until a failure also ends with the incident.
        let due = |undo: Undo| undo == when || (when == Undo::OnResolve && matches!(undo, Undo::After(_)));
        for step in playbook.steps.iter().rev().filter(|step| due(step.undo)) {
            self.undo_due(id, &step.id);
        }
    }

    pub(super) fn undo_due(&mut self, id: RunId, step: &str) {
        let Some(run) = self.state.runs.get(&id).cloned() else { return };
        let Some(playbook) = self.playbook_of(&run) else { return };
        let (Some(step), Some(state)) = (playbook.step(step), run.steps.get(step)) else { return };
        let (waits, under_way) = (state.undoing && state.retry_at.is_some(), state.undoing && state.retry_at.is_none());
        // Nobody will try it again, and an attempt before may have done it.
        let unsure = state.unsure && run.status.is_over() && state.status != StepStatus::Running;
        if under_way || !(waits || unsure || state.status == StepStatus::Succeeded) {
            return;
        }
        if self.is_done_anew(&run, step) {
            return self.leave_to_the_later_run(&run, step);
        }
        self.begin_undo(id, step);
    }

    fn undo_cut_off(&mut self, attempt: &AttemptRef) {
        let Some(run) = self.state.runs.get(&attempt.run).cloned() else { return };
        let Some(step) = self.playbook_of(&run).and_then(|playbook| playbook.step(&attempt.step).cloned()) else { return };
        let current = run.steps.get(&step.id).is_some_and(|state| state.undoing && state.undo_attempt == attempt.attempt);
        if current && self.is_done_anew(&run, &step) {
            self.leave_to_the_later_run(&run, &step);
        } else if current {
            self.begin_undo(attempt.run, &step);
        }
    }

    /// Whether a later run of the same playbook has done the same since, and will take it back itself.
    fn is_done_anew(&self, run: &Run, step: &Step) -> bool {
        let done = |later: &Run| {
            let takes_back =
                || self.playbook_of(later).and_then(|book| book.step(&step.id).cloned()).is_some_and(|s| s.undo != Undo::Never);
            let state = later.steps.get(&step.id).filter(|state| !state.undoing);
            state.is_some_and(|state| matches!(state.status, StepStatus::Running | StepStatus::Succeeded | StepStatus::InDoubt))
                && takes_back()
        };
        self.state.is_open()
            && self.state.runs.values().any(|later| later.playbook == run.playbook && later.ordinal > run.ordinal && done(later))
    }

    fn leave_to_the_later_run(&mut self, run: &Run, step: &Step) {
        let Some(state) = run.steps.get(&step.id).filter(|state| state.undoing) else { return };
        let at = StepRef { run: run.id, step: step.id.clone(), attempt: state.undo_attempt, undo: true };
        let reason = "a later run did it again and takes it back itself".to_owned();
        self.emit_engine(Event::StepFailed { at, title: step.title.clone(), reason, retry_at: None, duration_ms: 0, unsure: false });
    }

    fn begin_undo(&mut self, id: RunId, step: &Step) {
        let Some(state) = self.state.runs.get(&id).and_then(|run| run.steps.get(&step.id)) else { return };
        let (attempt, params) = (state.undo_attempt + 1, state.params.clone());
        self.emit_engine(Event::StepStarted {
            at: StepRef { run: id, step: step.id.clone(), attempt, undo: true },
            title: step.title.clone(),
            action: step.action.clone(),
            target: step.target.clone(),
            params,
            destructive: step.destructive,
        });
        self.ask(Effect::Perform { attempt: AttemptRef { run: id, step: step.id.clone(), attempt, undo: true, check: false } });
    }

    fn undone(&mut self, performed: Performed) {
        let AttemptRef { run, step, attempt, .. } = performed.attempt;
        let Some(state) = self.state.runs.get(&run).and_then(|run| run.steps.get(&step)).filter(|s| s.undoing && s.undo_attempt == attempt)
        else {
            return;
        };
        let title = state.title.clone();
        let at = StepRef { run, step: step.clone(), attempt, undo: true };
        let duration_ms = performed.duration_ms;
        match performed.result {
            Ok(output) => self.emit_engine(Event::StepUndone { at, title, output, duration_ms }),
            Err(Failure::Retry(reason) | Failure::Unknown(reason)) if attempt < UNDO_ATTEMPTS => {
                let retry_at = self.now + pause(UNDO_PAUSE, LONGEST_UNDO_PAUSE, attempt, self.state.number);
                self.emit_engine(Event::StepFailed { at, title, reason, retry_at: Some(retry_at), duration_ms, unsure: false });
                self.wake_at(retry_at, Wake::Undo { run, step });
            }
            Err(Failure::Retry(reason) | Failure::Fatal(reason) | Failure::Barred(reason) | Failure::Unknown(reason)) => {
                let why = format!("\"{title}\" could not be undone and stays in force: {reason}");
                self.emit_engine(Event::StepFailed { at, title, reason, retry_at: None, duration_ms, unsure: false });
                self.page_level_one("automation-failed", &why);
            }
        }
    }

    pub(super) fn cancel_run(&mut self, id: RunId, note: &str) -> Answer {
        let run = self.run_for_person(id)?;
        let reason = if note.is_empty() { format!("by {}", self.actor) } else { format!("by {}: {note}", self.actor) };
        self.ledger.run_ended(&run.playbook, run.id);
        self.emit(Event::RunCancelled { run: id, playbook: run.playbook.clone(), reason });
        self.undo_steps(id, Undo::OnFailure);
        Ok(())
    }

    pub(super) fn settle_step(&mut self, id: RunId, step: &str, outcome: Outcome, note: String) -> Answer {
        let (at, step) = self.step_for_person(id, step, &[StepStatus::InDoubt])?;
        self.emit(Event::StepSettled { at, title: step.title.clone(), outcome, note });
        match outcome {
            Outcome::Succeeded => {
                self.undo_later(id, &step);
                self.advance(id);
            }
            Outcome::Failed => {
                if self.after_failure(id, &step) {
                    self.advance(id);
                }
            }
        }
        Ok(())
    }

    pub(super) fn retry_step(&mut self, id: RunId, step: &str, note: &str) -> Answer {
        let (at, step) = self.step_for_person(id, step, &[StepStatus::InDoubt, StepStatus::Waiting])?;
        let Some((run, playbook)) = self.open_run(id) else { return Err(Refusal::RunOver) };
        self.emit(Event::Commented { text: format!("{} has \"{}\" run again{}", self.actor, step.title, colon(note)) });
        if self.begin_step(&run, &playbook, &step, at.attempt + 1) {
            self.advance(id);
        }
        Ok(())
    }

    pub(super) fn skip_step(&mut self, id: RunId, step: &str, note: &str) -> Answer {
        let (at, step) = self.step_for_person(id, step, &[StepStatus::InDoubt, StepStatus::Waiting])?;
        self.emit(Event::StepSkipped { at, title: step.title.clone(), reason: format!("by {}{}", self.actor, colon(note)) });
        self.advance(id);
        Ok(())
    }

    fn run_for_person(&self, id: RunId) -> Result<Run, Refusal> {
        let run = self.state.runs.get(&id).ok_or(Refusal::UnknownRun)?;
        if run.status.is_over() { Err(Refusal::RunOver) } else { Ok(run.clone()) }
    }

    fn step_for_person(&self, id: RunId, step: &str, allowed: &[StepStatus]) -> Result<(StepRef, Arc<Step>), Refusal> {
        let run = self.run_for_person(id)?;
        let unknown = || Refusal::UnknownStep(step.to_owned());
        let state = run.steps.get(step).ok_or_else(unknown)?;
        if !allowed.contains(&state.status) {
            return Err(Refusal::StepNot { step: step.to_owned(), status: state.status.word() });
        }
        let found = self.playbook_of(&run).and_then(|playbook| playbook.step(step).cloned()).ok_or_else(unknown)?;
        Ok((StepRef { run: id, step: step.to_owned(), attempt: state.attempt, undo: false }, found))
    }
}

/// When a run last did something; the page shows it.
pub fn last_moved_at(run: &Run) -> Timestamp {
    run.steps.values().filter_map(|step| step.ended_at.or(step.started_at)).max().unwrap_or(run.started_at)
}

/// Whether a run waits for a person.
pub fn waits_for_person(run: &Run) -> bool {
    run.status == RunStatus::Waiting && run.steps.values().any(|step| step.status == StepStatus::InDoubt)
}

fn text_of(params: &Value, name: &str) -> String {
    match params.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn colon(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(": {note}") }
}
