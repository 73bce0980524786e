//! What comes next in a run, told from its playbook and its state alone: what may begin, what is done, what fails it.
//! Decides nothing and keeps nothing, so that a crash in between changes nothing.

use std::sync::Arc;

use crate::domain::path;
use crate::domain::playbook::{Each, OnFailure, Playbook, Step};
use crate::domain::run::{Run, StepState, StepStatus};

/// What a run does now.
#[derive(Clone, Debug)]
pub enum Next {
    /// These may begin, side by side.
    Begin(Vec<Arc<Step>>),
    /// All items of this step are done.
    Close(Arc<Step>),
    /// Something is under way or waits.
    Wait,
    /// This step has failed, and nothing is under way beside it any more.
    Fail(Arc<Step>),
    Done,
}

/// Where one branch stands.
enum Head {
    Passed,
    Begins(Vec<Arc<Step>>),
    Closes(Arc<Step>),
    /// It is open; true when an attempt is under way or in doubt.
    Open(bool),
    Failed {
        step: Arc<Step>,
        under_way: bool,
    },
}

pub fn next(playbook: &Playbook, run: &Run) -> Next {
    for block in playbook.blocks() {
        let heads: Vec<Head> =
            block.chunk_by(|one, next| one.lane.is_some() && one.lane == next.lane).map(|branch| head(branch, run)).collect();
        if let Some(next) = of_block(heads) {
            return next;
        }
    }
    Next::Done
}

/// Whether a step has failed that ends the run, though others may still be under way beside it: nothing more may begin.
pub fn is_failing(playbook: &Playbook, run: &Run) -> bool {
    run.steps.iter().any(|(path, state)| state.failed && playbook.step(path).is_some_and(|step| step.on_failure != OnFailure::Continue))
}

/// What a block of branches does; none when it has been passed.
fn of_block(heads: Vec<Head>) -> Option<Next> {
    let mut begins = Vec::new();
    let (mut closes, mut failed, mut open, mut under_way) = (None, None, false, false);
    for head in heads {
        match head {
            Head::Passed => {}
            Head::Begins(steps) => begins.extend(steps),
            Head::Closes(step) => closes = closes.or(Some(step)),
            Head::Open(busy) => (open, under_way) = (true, under_way | busy),
            Head::Failed { step, under_way: busy } => (failed, under_way) = (failed.or(Some(step)), under_way | busy),
        }
    }
    match (failed, closes) {
        (Some(_), _) if under_way => Some(Next::Wait),
        (Some(step), _) => Some(Next::Fail(step)),
        (None, Some(step)) => Some(Next::Close(step)),
        (None, None) if !begins.is_empty() => Some(Next::Begin(begins)),
        (None, None) => open.then_some(Next::Wait),
    }
}

fn head(branch: &[Arc<Step>], run: &Run) -> Head {
    for step in branch {
        let state = run.steps.get(&step.id);
        match state {
            None => return Head::Begins(vec![step.clone()]),
            Some(state) if state.failed && step.on_failure != OnFailure::Continue => {
                return Head::Failed { step: step.clone(), under_way: false };
            }
            Some(state) if state.status.is_over() => {}
            Some(state) => return open(step, state, run),
        }
    }
    Head::Passed
}

fn is_under_way(state: &StepState) -> bool {
    matches!(state.status, StepStatus::Running | StepStatus::InDoubt)
}

fn open(step: &Arc<Step>, state: &StepState, run: &Run) -> Head {
    match (&step.each, state.status) {
        (_, StepStatus::Pending) => Head::Begins(vec![step.clone()]),
        // A list that has been made: its items are steps of their own.
        (Some(each), StepStatus::Running) => items(step, each, state.items.len(), run),
        _ => Head::Open(is_under_way(state)),
    }
}

/// Where the items of a list stand: the next may begin while fewer are open than may be at once and none has ended it.
fn items(step: &Arc<Step>, each: &Each, count: usize, run: &Run) -> Head {
    let (mut open, mut under_way, mut ended_by, mut fresh) = (0, false, None, Vec::new());
    for visit in 1..=u32::try_from(count).unwrap_or(u32::MAX) {
        match run.steps.get(&path::of_item(&step.id, visit)) {
            None => fresh.push(visit),
            Some(state) if state.status == StepStatus::Pending => fresh.push(visit),
            Some(state) if state.status.is_over() => {
                if state.failed && step.on_failure != OnFailure::Continue {
                    ended_by = Some(step.clone());
                }
            }
            Some(state) => (open, under_way) = (open + 1, under_way | is_under_way(state)),
        }
    }
    if let Some(step) = ended_by {
        return if under_way { Head::Failed { step, under_way } } else { Head::Closes(step) };
    }
    let room = each.at_once.saturating_sub(open) as usize;
    let begin: Vec<Arc<Step>> = fresh.iter().take(room).map(|visit| Arc::new(step.item(*visit))).collect();
    match (begin.is_empty(), open) {
        (false, _) => Head::Begins(begin),
        (true, 0) => Head::Closes(step.clone()),
        (true, _) => Head::Open(under_way),
    }
}
