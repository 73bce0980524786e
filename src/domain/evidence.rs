//! What is known of a step's attempts: what each was sent with, and what came of it. Read off the timeline; decides nothing.

use serde_json::Value;

use crate::domain::decide::command::AttemptRef;
use crate::domain::id::RunId;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Entry, Event, Outcome};

/// One attempt: its intent was on disk before it was sent, its outcome after.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempted {
    pub attempt: u32,
    /// Whether it took the step back.
    pub undo: bool,
    pub action: String,
    pub target: Option<String>,
    /// As they were sent; secrets are a target's and never stand in parameters.
    pub params: Value,
    /// The same over all attempts of a step, so that whoever got one can tell it from another.
    pub key: String,
    pub sent_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// `succeeded`, `failed`, `in_doubt`, `undone`; `running` while there is no answer.
    pub status: &'static str,
    pub answer: Option<String>,
    /// What it answered when nobody waited any more, which changed nothing.
    pub late: Option<Late>,
}

/// An answer that came too late to count, and may tell all the same what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Late {
    pub at: Timestamp,
    pub said: String,
}

/// The attempts of one step, the first one first.
pub fn attempts(entries: &[Entry], run: RunId, step: &str) -> Vec<Attempted> {
    let mut told: Vec<Attempted> = Vec::new();
    for entry in entries {
        let Some(at) = entry.event.step().filter(|at| at.run == run && at.step == step) else { continue };
        if let Event::StepStarted { action, target, params, .. } = &entry.event {
            let reference = AttemptRef { run, step: step.to_owned(), attempt: at.attempt, undo: at.undo, check: false };
            told.push(Attempted {
                attempt: at.attempt,
                undo: at.undo,
                action: action.clone(),
                target: target.clone(),
                params: params.clone(),
                key: reference.key(),
                sent_at: entry.at,
                ended_at: None,
                status: "running",
                answer: None,
                late: None,
            });
            continue;
        }
        let known = told.iter_mut().rev().find(|known| known.attempt == at.attempt && known.undo == at.undo);
        if let Event::StepAnsweredLate { check, answer, duration_ms, why, .. } = &entry.event {
            let what = if *check { "its check answered" } else { "answered" };
            let said = format!("{what} after {}, when {why}: {}", Span(*duration_ms), answer.in_words());
            if let Some(known) = known {
                known.late = Some(Late { at: entry.at, said });
            }
            continue;
        }
        if let (Some(known), Some((status, answer))) = (known, outcome(entry)) {
            (known.status, known.answer, known.ended_at) = (status, answer, Some(entry.at));
        }
    }
    told
}

fn outcome(entry: &Entry) -> Option<(&'static str, Option<String>)> {
    let said = |note: &str| {
        let tail = if note.is_empty() { String::new() } else { format!(": {note}") };
        Some(format!("said by {}{tail}", entry.actor))
    };
    match &entry.event {
        Event::StepSucceeded { output, .. } => Some(("succeeded", (!output.is_null()).then(|| output.to_string()))),
        Event::StepUndone { output, .. } => Some(("undone", (!output.is_null()).then(|| output.to_string()))),
        Event::StepFailed { reason, unsure: true, .. } => {
            Some(("failed", Some(format!("{reason}; it may have taken effect all the same"))))
        }
        Event::StepFailed { reason, .. } => Some(("failed", Some(reason.clone()))),
        Event::StepInDoubt { reason, .. } => Some(("in_doubt", Some(reason.clone()))),
        Event::StepSettled { outcome: Outcome::Succeeded, note, .. } => Some(("succeeded", said(note))),
        Event::StepSettled { outcome: Outcome::Failed, note, .. } => Some(("failed", said(note))),
        _ => None,
    }
}
