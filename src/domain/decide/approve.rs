//! Approvals: a step asks for somebody's yes, shows exactly what it will do, and goes on, fails or is skipped by the answer or its lack.
//! Knows no sign-in: whoever hands in a command has found out whose it is.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::decide::command::{Refusal, Wake};
use crate::domain::decide::outbox::Page;
use crate::domain::decide::turn::Turn;
use crate::domain::directory::OPERATOR;
use crate::domain::id::RunId;
use crate::domain::playbook::{Approval, Otherwise, Playbook, Step};
use crate::domain::run::Run;
use crate::domain::timeline::{Event, StepRef, deed};

type Answer = Result<(), Refusal>;

/// Who said yes where nobody answered and the playbook says that it is done all the same.
pub(super) const BY_ITSELF: &str = "the playbook itself";
/// The message that asks.
const TEMPLATE: &str = "approval-requested";

impl Turn<'_, '_> {
    /// Asks; the step waits.
    pub(super) fn request_approval(&mut self, at: StepRef, step: &Step, approval: &Approval, (params, why): (Value, Option<String>)) {
        let expires_at = self.now + approval.expires;
        let (run, path) = (at.run, at.step.clone());
        let words = request_in_words(step, &params, approval.of) + &why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        self.emit_engine(Event::ApprovalRequested {
            at,
            title: step.title.clone(),
            action: step.action.clone(),
            target: step.target.clone(),
            params,
            by: approval.by.clone(),
            of: approval.of,
            expires_at,
            otherwise: approval.otherwise,
            why,
        });
        self.wake_at(expires_at, Wake::Approval { run, step: path });
        self.page_for_approval(approval, &words);
    }

    /// Those who may say yes are told; where that is anybody, or nobody of them can be reached, level 1.
    fn page_for_approval(&mut self, approval: &Approval, words: &str) {
        let anybody = |name: &str| name == OPERATOR && !self.rulebook.directory.has_role(OPERATOR);
        let named: Vec<String> = approval.by.iter().filter(|name| !anybody(name)).cloned().collect();
        if named.is_empty() || self.rulebook.directory.resolve(&named, None, self.now).recipients.is_empty() {
            return self.page_level_one(TEMPLATE, words);
        }
        self.page(&Page { to: &named, template: TEMPLATE, text: None, reason: words });
    }

    pub(super) fn answer_approval(&mut self, id: RunId, path: &str, yes: bool, note: String) -> Answer {
        let run = self.run_for_person(id)?;
        let state = run.steps.get(path).ok_or_else(|| Refusal::UnknownStep(path.to_owned()))?;
        let Some(request) = state.approval.as_ref().filter(|_| state.awaits_approval()) else {
            return Err(Refusal::AsksNothing { step: path.to_owned() });
        };
        let playbook = self.playbook_of(&run).ok_or(Refusal::RunOver)?;
        let step = playbook.step(path).ok_or_else(|| Refusal::UnknownStep(path.to_owned()))?;
        let who = self.actor.name().to_owned();
        if self.requester_of(&run).is_some_and(|asked| same_person(&asked, &who)) && yes {
            return Err(Refusal::OwnRequest { by: who });
        }
        if !self.rulebook.directory.stands_for(&request.by, &who, self.now) {
            return Err(Refusal::NotYours { by: who, who: request.by.join(", ") });
        }
        if !self.goes_on(&run) {
            return Err(Refusal::RunOver);
        }
        if yes && request.yes.iter().any(|earlier| same_person(earlier, &who)) {
            return Err(Refusal::Invalid(format!("{who} has said yes already; {} must, each of them another", request.of)));
        }
        let missing = request.of.saturating_sub(1 + u32::try_from(request.yes.len()).unwrap_or(u32::MAX));
        let at = StepRef { run: id, step: path.to_owned(), attempt: 0, undo: false };
        let title = step.title.clone();
        if yes {
            self.emit(Event::Approved { at, title, by: who, note, missing });
            if missing == 0 {
                self.approved(id, &playbook, &step);
            }
        } else {
            let reason = if note.is_empty() { format!("{who} rejected it") } else { format!("{who} rejected it: {note}") };
            self.emit(Event::Rejected { at, title, by: who, note });
            self.fail(id, &step, 0, (reason, false), 0);
        }
        Ok(())
    }

    /// Nobody has answered in time.
    pub(super) fn approval_expired(&mut self, id: RunId, path: &str) {
        let Some((run, playbook)) = self.open_run(id) else { return };
        let Some(state) = run.steps.get(path).filter(|state| state.awaits_approval()) else { return };
        let (Some(step), Some(request)) = (playbook.step(path), &state.approval) else { return };
        // Somebody had it asked anew meanwhile: a later timer is for that.
        if request.expires_at > self.now || !self.goes_on(&run) {
            return;
        }
        let at = StepRef { run: id, step: path.to_owned(), attempt: 0, undo: false };
        let within = request.expires_at.since(request.asked_at);
        let reason = match (request.of, request.yes.len()) {
            (0 | 1, _) | (_, 0) => format!("nobody approved it within {within}"),
            (of, _) => format!("only {} of {of} approved it within {within}", request.yes.join(", ")),
        };
        match request.otherwise {
            Otherwise::Fail => self.fail(id, &step, 0, (reason, false), 0),
            Otherwise::Skip => {
                self.emit_engine(Event::StepSkipped { at, title: step.title.clone(), reason });
                self.advance(id);
            }
            Otherwise::Continue => {
                let by = BY_ITSELF.to_owned();
                self.emit_engine(Event::Approved { at, title: step.title.clone(), by, note: reason, missing: 0 });
                self.approved(id, &playbook, &step);
            }
        }
    }

    fn approved(&mut self, id: RunId, playbook: &Playbook, step: &Arc<Step>) {
        let Some(run) = self.state.runs.get(&id).cloned() else { return };
        self.begin_step(&run, playbook, step, 1);
        self.advance(id);
    }

    /// Who asked for the run, or for the one that it is part of.
    pub(super) fn requester_of(&self, run: &Run) -> Option<String> {
        self.state.runs.get(&self.state.root_of(run)).and_then(|root| root.requested_by.clone())
    }
}

/// The same name, however it is written: there is nothing else to tell people apart by.
fn same_person(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// What will be done, and with what.
fn request_in_words(step: &Step, params: &Value, of: u32) -> String {
    let yes = if of > 1 { format!("{of} yeses") } else { "a yes".to_owned() };
    let with = match params {
        Value::Object(map) if !map.is_empty() => {
            format!(" with {}", map.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", "))
        }
        _ => String::new(),
    };
    if step.action == "approval" {
        return format!("\"{}\" needs {yes} before the playbook goes on", step.title);
    }
    format!("\"{}\" needs {yes}: it will do {}{with}", step.title, deed(&step.action, step.target.as_deref()))
}
