//! A run: one execution of a playbook, as the facts about its steps fold into it.
//! Knows no playbook text; it keeps the revision it started with by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::hold::AUTOMATION_IS_HELD;
use crate::domain::id::RunId;
use crate::domain::path;
use crate::domain::playbook::{Otherwise, waits};
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Entry, Event, Outcome, StepRef};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Running,
    Waiting,
    Succeeded,
    Failed,
    Cancelled,
}

impl RunStatus {
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    #[default]
    Pending,
    Waiting,
    Running,
    Succeeded,
    Failed,
    Skipped,
    InDoubt,
    Undone,
}

impl StepStatus {
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped | Self::Undone)
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::InDoubt => "in_doubt",
            Self::Undone => "undone",
        }
    }
}

/// What is known of one step of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepState {
    pub status: StepStatus,
    pub title: String,
    pub action: String,
    pub target: Option<String>,
    pub attempt: u32,
    /// The rendered parameters of the last attempt.
    #[serde(default)]
    pub params: Value,
    #[serde(default)]
    pub output: Value,
    pub reason: Option<String>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub retry_at: Option<Timestamp>,
    /// Attempts at taking it back; 0 when nobody tried.
    #[serde(default)]
    pub undo_attempt: u32,
    /// Whether an attempt at taking it back is under way or waits to be repeated.
    #[serde(default)]
    pub undoing: bool,
    /// Whether it has failed for good, also when it was taken back since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Whether its last attempt changes things.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destructive: bool,
    /// What a `for_each` goes through; each item is a step of its own below this one's path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Value>,
    /// The yes that it asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Request>,
    /// The target that another run has, and since when this one waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<(String, Timestamp)>,
    /// Whether a limit holds its next attempt back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Whether it waits for automation to be released.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
    /// Whether an attempt failed of which nobody knows that it did nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsure: bool,
    /// Attempts that were made before the run was tried anew from here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub earlier_attempts: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A request for a yes, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub by: Vec<String>,
    pub asked_at: Timestamp,
    pub expires_at: Timestamp,
    pub otherwise: Otherwise,
    /// Who said yes, once enough have; none while not.
    pub approved_by: Option<String>,
    /// How many must say yes.
    #[serde(default = "one")]
    pub of: u32,
    /// Who has said yes so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yes: Vec<String>,
    /// Why it asks, where the step does not say so itself: its playbook has still to earn its freedom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

fn one() -> u32 {
    1
}

impl StepState {
    /// Whether it waits for automation to be released.
    pub fn is_withheld(&self) -> bool {
        self.withheld && self.status == StepStatus::Waiting
    }

    /// Whether it waits for somebody's yes.
    pub fn awaits_approval(&self) -> bool {
        self.status == StepStatus::Waiting && self.approval.as_ref().is_some_and(|request| request.approved_by.is_none())
    }
}

/// One execution of a playbook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    pub ordinal: u32,
    pub playbook: String,
    pub title: String,
    pub revision: String,
    pub status: RunStatus,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// The step that is under way or was last.
    pub current: Option<String>,
    pub reason: Option<String>,
    pub steps: BTreeMap<String, StepState>,
    /// The person who asked for it; none when it started by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// The step of another run that started it and waits for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<StepRef>,
    /// How often it was tried anew after a step had failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tried_anew: u32,
    /// Whether it looked and saw that the trouble is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verified: bool,
}

impl Run {
    /// The run as the facts of its incident tell of it; none when they do not.
    pub fn retold(entries: &[Entry], id: RunId) -> Option<Self> {
        let mut told: Option<Self> = None;
        for entry in entries.iter().filter(|entry| entry.event.run() == Some(id)) {
            match &mut told {
                Some(run) => run.apply(entry.at, &entry.event),
                None => told = Self::begun(entry.at, &entry.event),
            }
        }
        told
    }

    /// A run that nothing has happened in yet, by the fact that it began.
    pub fn begun(at: Timestamp, event: &Event) -> Option<Self> {
        let Event::RunStarted { run, ordinal, playbook, title, revision, requested_by, vars, parent } = event else { return None };
        Some(Self {
            id: *run,
            ordinal: *ordinal,
            playbook: playbook.clone(),
            title: title.clone(),
            revision: revision.clone(),
            status: RunStatus::Running,
            started_at: at,
            ended_at: None,
            current: None,
            reason: None,
            steps: BTreeMap::new(),
            requested_by: requested_by.clone(),
            vars: vars.clone(),
            parent: parent.clone(),
            tried_anew: 0,
            verified: false,
        })
    }

    /// The states of a step's items, in their order.
    pub fn items<'a>(&'a self, step: &'a str) -> impl Iterator<Item = (u32, &'a StepState)> {
        let count = self.steps.get(step).map_or(0, |state| u32::try_from(state.items.len()).unwrap_or(u32::MAX));
        (1..=count).filter_map(move |visit| Some((visit, self.steps.get(&path::of_item(step, visit))?)))
    }

    /// Whether an attempt is under way or in doubt.
    pub fn is_under_way(&self) -> bool {
        self.steps.values().any(|step| step.items.is_empty() && matches!(step.status, StepStatus::Running | StepStatus::InDoubt))
    }

    /// Whether it has changed something that nobody has begun to take back.
    pub fn has_in_force(&self) -> bool {
        self.steps.values().any(|step| step.destructive && step.status == StepStatus::Succeeded && !step.undoing)
    }

    /// Whether it was over before `at` and nothing of it is under way any more.
    pub fn is_settled_before(&self, at: Timestamp) -> bool {
        let moving = |step: &StepState| step.undoing || matches!(step.status, StepStatus::Running | StepStatus::InDoubt);
        self.status.is_over() && self.ended_at.is_some_and(|ended| ended < at) && !self.steps.values().any(moving)
    }

    /// Folds one fact in; facts about other runs never arrive here.
    pub fn apply(&mut self, at: Timestamp, event: &Event) {
        match event {
            // It changes nothing.
            Event::StepAnsweredLate { .. } => return,
            Event::StepStarted { at: step, .. } if step.undo => self.undo_started(step),
            Event::StepStarted { at: step, .. } => self.step_started(at, step, event),
            Event::StepSucceeded { at: step, title, output, .. } => {
                let state = self.ended(at, step, title, StepStatus::Succeeded, None);
                state.output = output.clone();
                self.goes_on(RunStatus::Running);
            }
            Event::StepFailed { at: step, reason, retry_at, .. } if step.undo => {
                let state = self.steps.entry(step.step.clone()).or_default();
                state.reason = Some(reason.clone());
                state.retry_at = *retry_at;
                state.undoing = retry_at.is_some();
            }
            Event::StepFailed { at: step, title, reason, retry_at, unsure, .. } => {
                let status = if retry_at.is_some() { StepStatus::Waiting } else { StepStatus::Failed };
                let state = self.ended(at, step, title, status, Some(reason));
                state.retry_at = *retry_at;
                state.failed = retry_at.is_none();
                state.unsure |= *unsure;
                self.goes_on(if retry_at.is_some() { RunStatus::Waiting } else { RunStatus::Running });
            }
            Event::StepSkipped { at: step, title, reason } => {
                self.ended(at, step, title, StepStatus::Skipped, Some(reason));
            }
            Event::StepShadowed { at: step, title, action, target, params, why, .. } => {
                let reason = format!("{why}: it would have been done");
                let state = self.ended(at, step, title, StepStatus::Skipped, Some(&reason));
                (state.action, state.target, state.params) = (action.clone(), target.clone(), params.clone());
            }
            Event::StepInDoubt { at: step, title, reason } => {
                self.ended(at, step, title, StepStatus::InDoubt, Some(reason));
                self.goes_on(RunStatus::Waiting);
            }
            Event::StepSettled { at: step, title, outcome, note } => {
                let status = match outcome {
                    Outcome::Succeeded => StepStatus::Succeeded,
                    Outcome::Failed => StepStatus::Failed,
                };
                self.ended(at, step, title, status, Some(note)).failed = *outcome == Outcome::Failed;
                self.goes_on(RunStatus::Running);
            }
            Event::StepUndone { at: step, title, .. } => self.undone(at, step, title),
            Event::LimitHit { step, limit, why, held_by, .. } => {
                self.held((at, step.as_ref()), limit, held_by.as_deref(), why.as_deref());
            }
            Event::ApprovalRequested { at: step, .. } => self.asked(at, step, event),
            Event::Approved { at: step, by, missing, .. } => {
                if let Some(request) = self.steps.get_mut(&step.step).and_then(|state| state.approval.as_mut()) {
                    request.yes.push(by.clone());
                    // Who the last one is decides: where time ran out, it is the playbook, whoever had said yes before.
                    request.approved_by = (*missing == 0).then(|| by.clone());
                }
                self.goes_on(RunStatus::Running);
            }
            // What it means for the step is told by the step's own next fact.
            Event::Rejected { .. } => self.goes_on(RunStatus::Running),
            Event::RunRetried { at: step, .. } => {
                self.tried_anew += 1;
                self.steps.entry(step.step.clone()).or_default().earlier_attempts = step.attempt;
            }
            Event::RunSucceeded { verified, .. } => {
                self.over(at, RunStatus::Succeeded, None);
                self.verified = *verified;
            }
            Event::RunFailed { reason, .. } => self.over(at, RunStatus::Failed, Some(reason)),
            Event::RunCancelled { reason, .. } => self.over(at, RunStatus::Cancelled, Some(reason)),
            _ => {}
        }
        self.settle_status();
    }

    /// Of steps side by side one may be under way while another waits: the run is under way then. A run that waits for its turn has
    /// no step yet.
    fn settle_status(&mut self) {
        if self.status.is_over() || self.steps.is_empty() {
            return;
        }
        let any = |wanted: &[StepStatus]| self.steps.values().any(|step| step.items.is_empty() && wanted.contains(&step.status));
        let waits = !any(&[StepStatus::Running]) && any(&[StepStatus::Waiting, StepStatus::InDoubt]);
        self.status = if waits { RunStatus::Waiting } else { RunStatus::Running };
    }

    fn undo_started(&mut self, step: &StepRef) {
        let state = self.steps.entry(step.step.clone()).or_default();
        state.undo_attempt = step.attempt;
        state.undoing = true;
        state.retry_at = None;
    }

    fn step_started(&mut self, at: Timestamp, step: &StepRef, event: &Event) {
        let Event::StepStarted { title, action, target, params, destructive, items, .. } = event else { return };
        let waits = waits(action);
        let state = self.steps.entry(step.step.clone()).or_default();
        *state = StepState {
            status: if waits { StepStatus::Waiting } else { StepStatus::Running },
            title: title.clone(),
            action: action.clone(),
            target: target.clone(),
            attempt: step.attempt,
            params: params.clone(),
            started_at: Some(at),
            destructive: *destructive,
            items: items.clone(),
            approval: state.approval.take(),
            unsure: state.unsure,
            earlier_attempts: state.earlier_attempts,
            ..StepState::default()
        };
        self.current = Some(step.step.clone());
        self.status = if waits && !self.is_under_way() { RunStatus::Waiting } else { RunStatus::Running };
        self.reason = None;
    }

    /// Held back: by a limit, or because another run is at work on the target.
    fn held(&mut self, (at, step): (Timestamp, Option<&String>), limit: &str, held_by: Option<&str>, why: Option<&str>) {
        self.status = RunStatus::Waiting;
        let withheld = limit == AUTOMATION_IS_HELD;
        let reason = match (held_by, why) {
            (Some(by), _) if withheld => format!("waits for the release: automation is held by {by}"),
            (Some(_), Some(why)) => format!("waits for {limit}: {why}"),
            (Some(other), None) => format!("waits for {limit}, on which {other} is at work"),
            (None, Some(why)) => format!("held back by the limit {limit}: {why}"),
            (None, None) => format!("held back by the limit {limit}"),
        };
        if let Some(step) = step {
            self.current = Some(step.clone());
            let state = self.steps.entry(step.clone()).or_default();
            state.status = StepStatus::Waiting;
            state.held = !withheld;
            state.withheld = withheld;
            state.waits_for = held_by.filter(|_| !withheld).map(|_| state.waits_for.take().unwrap_or_else(|| (limit.to_owned(), at)));
        }
        self.reason = Some(reason);
    }

    fn asked(&mut self, at: Timestamp, step: &StepRef, event: &Event) {
        let Event::ApprovalRequested { title, action, target, params, by, of, expires_at, otherwise, why, .. } = event else { return };
        let request = Request {
            by: by.clone(),
            asked_at: at,
            expires_at: *expires_at,
            otherwise: *otherwise,
            approved_by: None,
            of: *of,
            yes: Vec::new(),
            why: why.clone(),
        };
        let state = StepState {
            status: StepStatus::Waiting,
            title: title.clone(),
            action: action.clone(),
            target: target.clone(),
            params: params.clone(),
            approval: Some(request),
            ..StepState::default()
        };
        self.steps.insert(step.step.clone(), state);
        self.current = Some(step.step.clone());
        self.goes_on(RunStatus::Waiting);
    }

    /// Taken back; that it had failed before, and why, stays true.
    fn undone(&mut self, at: Timestamp, step: &StepRef, title: &str) {
        let kept = self.steps.get(&step.step).filter(|state| state.failed).and_then(|state| state.reason.clone());
        let state = self.ended(at, step, title, StepStatus::Undone, kept.as_ref());
        (state.undoing, state.unsure) = (false, false);
    }

    fn ended(&mut self, at: Timestamp, step: &StepRef, title: &str, status: StepStatus, reason: Option<&String>) -> &mut StepState {
        if !step.undo && status != StepStatus::Undone {
            self.current = Some(step.step.clone());
        }
        let state = self.steps.entry(step.step.clone()).or_default();
        state.status = status;
        title.clone_into(&mut state.title);
        state.ended_at = Some(at);
        state.reason = reason.cloned();
        state.retry_at = None;
        (state.waits_for, state.held, state.withheld) = (None, false, false);
        state
    }

    /// What is told of a step after its run was cancelled does not bring the run back.
    fn goes_on(&mut self, status: RunStatus) {
        if !self.status.is_over() {
            self.status = status;
        }
    }

    fn over(&mut self, at: Timestamp, status: RunStatus, reason: Option<&String>) {
        self.status = status;
        self.ended_at = Some(at);
        self.reason = reason.cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stored_by_an_earlier_version_is_read() {
        let stored = r#"{"id":"00000000-0000-0000-0000-000000000001","ordinal":1,"playbook":"a","title":"A","revision":"r","status":"waiting",
            "started_at":1790000000000,"ended_at":null,"current":"x","reason":null,"steps":{"x":{"status":"waiting",
            "title":"X","action":"wait","target":null,"attempt":1,"params":{"for":"5m"},"output":null,"reason":null,
            "started_at":1790000000000,"ended_at":null,"retry_at":null,"undo_attempt":0,"undoing":false}}}"#;
        let run: Run = serde_json::from_str(stored).expect("it is read");
        assert!(run.parent.is_none() && run.vars.is_empty() && !run.steps["x"].failed && !run.steps["x"].awaits_approval());
    }
}
