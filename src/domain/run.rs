//! A run: one execution of a playbook, as the facts about its steps fold into it.
//! Knows no playbook text; it keeps the revision it started with by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::id::RunId;
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
    /// Whether an attempt failed of which nobody knows that it did nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsure: bool,
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
        let Event::RunStarted { run, ordinal, playbook, title, revision } = event else { return None };
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
        })
    }

    /// Whether it was over before `at` and nothing of it is under way any more.
    pub fn is_settled_before(&self, at: Timestamp) -> bool {
        let moving = |step: &StepState| step.undoing || matches!(step.status, StepStatus::Running | StepStatus::InDoubt);
        self.status.is_over() && self.ended_at.is_some_and(|ended| ended < at) && !self.steps.values().any(moving)
    }

    /// Folds one fact in; facts about other runs never arrive here.
    pub fn apply(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::StepStarted { at: step, title, action, target, params, .. } => {
                self.step_started(at, step, title, action, target.as_ref(), params)
            }
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
                state.unsure |= *unsure;
                self.goes_on(if retry_at.is_some() { RunStatus::Waiting } else { RunStatus::Running });
            }
            Event::StepSkipped { at: step, title, reason } => {
                self.ended(at, step, title, StepStatus::Skipped, Some(reason));
            }
            Event::StepInDoubt { at: step, title, reason } => {
                self.ended(at, step, title, StepStatus::InDoubt, Some(reason));
                self.status = RunStatus::Waiting;
            }
            Event::StepSettled { at: step, title, outcome, note } => {
                let status = match outcome {
                    Outcome::Succeeded => StepStatus::Succeeded,
                    Outcome::Failed => StepStatus::Failed,
                };
                self.ended(at, step, title, status, Some(note));
                self.status = RunStatus::Running;
            }
            Event::StepUndone { at: step, title, .. } => {
                let state = self.ended(at, step, title, StepStatus::Undone, None);
                (state.undoing, state.unsure) = (false, false);
            }
            Event::LimitHit { step, limit, .. } => {
                self.status = RunStatus::Waiting;
                self.reason = Some(format!("held back by the limit {limit}"));
                if let Some(step) = step {
                    self.current = Some(step.clone());
                    self.steps.entry(step.clone()).or_default().status = StepStatus::Waiting;
                }
            }
            Event::RunSucceeded { .. } => self.over(at, RunStatus::Succeeded, None),
            Event::RunFailed { reason, .. } => self.over(at, RunStatus::Failed, Some(reason)),
            Event::RunCancelled { reason, .. } => self.over(at, RunStatus::Cancelled, Some(reason)),
            _ => {}
        }
    }

    fn step_started(&mut self, at: Timestamp, step: &StepRef, title: &str, action: &str, target: Option<&String>, params: &Value) {
        let waits = action == "wait";
        let state = self.steps.entry(step.step.clone()).or_default();
        if step.undo {
            state.undo_attempt = step.attempt;
            state.undoing = true;
            state.retry_at = None;
            return;
        }
        *state = StepState {
            status: if waits { StepStatus::Waiting } else { StepStatus::Running },
            title: title.to_owned(),
            action: action.to_owned(),
            target: target.cloned(),
            attempt: step.attempt,
            params: params.clone(),
            started_at: Some(at),
            unsure: state.unsure,
            ..StepState::default()
        };
        self.current = Some(step.step.clone());
        self.status = if waits { RunStatus::Waiting } else { RunStatus::Running };
        self.reason = None;
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
