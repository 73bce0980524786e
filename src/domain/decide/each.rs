//! A step for each item of a list: the list is made once and kept, so that a crash goes on with the same items. Knows no single attempt.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::decide::scope::step_scope;
use crate::domain::decide::turn::Turn;
use crate::domain::playbook::{Each, OnFailure, Step};
use crate::domain::run::{Run, StepStatus};
use crate::domain::timeline::{Event, StepRef};

/// What a list may weigh, as JSON: it is kept on the timeline.
const HEAVIEST_LIST: usize = 64 << 10;

impl Turn<'_, '_> {
    /// Makes the list. Its items begin as steps of their own.
    pub(super) fn begin_each(&mut self, run: &Run, step: &Arc<Step>, each: &Each) {
        let at = StepRef { run: run.id, step: step.id.clone(), attempt: 1, undo: false };
        let title = step.title.clone();
        match self.items_of(run, step, each) {
            Ok(items) if items.is_empty() => {
                let reason = format!("there is no item in {}", each.list.source());
                self.emit_engine(Event::StepSkipped { at, title, reason });
            }
            Ok(mut items) => {
                let (all, most) = (items.len(), each.max as usize);
                if all > most {
                    items.truncate(most);
                    self.emit_engine(Event::Commented { text: format!("\"{title}\" is done for the first {most} of {all} items") });
                }
                let (params, action) = (json!({ "items": items.len() }), "for_each".to_owned());
                self.emit_engine(Event::StepStarted { at, title, action, target: step.target.clone(), params, destructive: false, items });
            }
            Err(reason) => self.emit_engine(Event::StepFailed { at, title, reason, retry_at: None, duration_ms: 0, unsure: false }),
        }
    }

    fn items_of(&self, run: &Run, step: &Step, each: &Each) -> Result<Vec<Value>, String> {
        let scope = step_scope(self.state, self.rulebook, (run, step), &|variable| each.list.reads(variable));
        let list = each.list.evaluate(&scope).map_err(|error| format!("its list could not be made: {error}"))?.into_json();
        let Value::Array(items) = list else { return Err(format!("{} is no list", each.list.source())) };
        let weight: usize = items.iter().take(each.max as usize).map(|item| item.to_string().len()).sum();
        if weight > HEAVIEST_LIST {
            return Err(format!("its list is heavier than {HEAVIEST_LIST} bytes; let map(…) take what is needed"));
        }
        Ok(items)
    }

    /// All items are done, or one has ended it.
    pub(super) fn close_items(&mut self, run: &Run, step: &Arc<Step>) {
        let Some(state) = run.steps.get(&step.id) else { return };
        let at = StepRef { run: run.id, step: step.id.clone(), attempt: state.attempt, undo: false };
        let title = step.title.clone();
        let duration_ms = state.started_at.map_or(0, |began| self.now.since(began).as_millis());
        let items: Vec<_> = run.items(&step.id).collect();
        let failed: Vec<_> = items.iter().filter(|(_, item)| item.failed).collect();
        let Some((visit, first)) = failed.first() else {
            let done = items.iter().filter(|(_, item)| item.status == StepStatus::Succeeded).count();
            let output = json!({ "succeeded": done, "items": items.iter().map(|(_, item)| &item.output).collect::<Vec<_>>() });
            return self.emit_engine(Event::StepSucceeded { at, title, output, duration_ms });
        };
        let of = state.items.len();
        let why = first.reason.clone().unwrap_or_default();
        let reason = match step.on_failure {
            OnFailure::Continue => format!("{} of {of} items failed, first item {visit}: {why}", failed.len()),
            _ => format!("item {visit} of {of} failed: {why}"),
        };
        self.emit_engine(Event::StepFailed { at, title, reason, retry_at: None, duration_ms, unsure: false });
    }
}
