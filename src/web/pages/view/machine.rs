//! What the machine is doing: each run with its steps, done, under way and still to come. Knows no HTML.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::domain::incident::Incident;
use crate::domain::path;
use crate::domain::playbook::{Playbook, Step};
use crate::domain::run::{Run, RunStatus, StepState, StepStatus};
use crate::domain::settings::Rulebook;
use crate::domain::time::Span;
use crate::web::pages::view::answers::{ApprovalView, Doubt, approval, doubt};
use crate::web::pages::view::face::{run_tone, step_face};
use crate::web::pages::view::times::{Age, Countdown, Lens, Moment, took};

#[derive(Clone, Debug, Serialize)]
pub struct RunView {
    pub id: String,
    pub playbook: String,
    pub title: String,
    pub revision: String,
    pub word: &'static str,
    pub tone: &'static str,
    pub open: bool,
    /// `2/5`; only the first number when the plan is not known any more.
    pub progress: String,
    pub started: Moment,
    /// While it goes on.
    pub age: Option<Age>,
    /// Once it is over.
    pub took: Option<String>,
    pub reason: Option<String>,
    /// The playbook that started it.
    pub part_of: Option<String>,
    pub asked_by: Option<String>,
    pub vars: Vec<String>,
    pub steps: Vec<StepView>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StepView {
    pub id: String,
    pub number: usize,
    pub title: String,
    pub action: String,
    pub target: Option<String>,
    pub icon: &'static str,
    pub word: &'static str,
    pub tone: &'static str,
    pub now: bool,
    pub destructive: bool,
    /// `attempt 2 of 3`, once there was a second.
    pub attempt: Option<String>,
    pub age: Option<Age>,
    pub timeout: Option<String>,
    pub took: Option<String>,
    pub retry: Option<Countdown>,
    pub reason: Option<String>,
    pub when: Option<String>,
    pub params: Option<String>,
    pub output: Option<String>,
    pub undoing: bool,
    pub doubt: Option<Doubt>,
    /// The yes that it waits for.
    pub approval: Option<ApprovalView>,
    /// For a step done for each item of a list: the items.
    pub items: Vec<StepView>,
    /// Whether it stands beside the step before it.
    pub beside: bool,
    /// Whether a person may have it tried again or skipped.
    pub steerable: bool,
    /// Whether that is asked about first, on a page of its own.
    pub asks: bool,
}

/// A run in three words, for a list.
#[derive(Clone, Debug, Serialize)]
pub struct Chip {
    pub playbook: String,
    pub words: String,
    pub tone: &'static str,
}

/// The runs in the order they started, the open ones first.
pub fn runs(incident: &Incident, rulebook: &Rulebook, lens: Lens) -> Vec<RunView> {
    let mut runs = incident.runs_in_order();
    runs.sort_by_key(|run| run.status.is_over());
    runs.into_iter().map(|run| run_view((incident, run), plan_of(run, rulebook), lens)).collect()
}

/// The run that a list shows: one in doubt, else the one under way, else the last.
pub fn chip(incident: &Incident, rulebook: &Rulebook) -> Option<Chip> {
    let runs = incident.runs_in_order();
    let run = runs.iter().find(|run| in_doubt(run)).or_else(|| runs.iter().find(|run| !run.status.is_over())).or_else(|| runs.last())?;
    let progress = progress(run, plan_of(run, rulebook));
    let (words, tone) = match run.status {
        _ if in_doubt(run) => ("in doubt".to_owned(), "doubt"),
        RunStatus::Running => (format!("step {progress}"), "busy"),
        RunStatus::Waiting => (format!("waiting {progress}"), "wait"),
        over => (over.word().to_owned(), run_tone(over)),
    };
    Some(Chip { playbook: run.playbook.clone(), words, tone })
}

pub fn in_doubt(run: &Run) -> bool {
    !run.status.is_over() && run.steps.values().any(|step| step.status == StepStatus::InDoubt)
}

/// JSON as a person reads it, cut to its end; nothing when there is nothing to read.
pub fn readable(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::Object(map) if map.is_empty() => return None,
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    Some(tail(&text, 1_500))
}

fn run_view((incident, run): (&Incident, &Run), plan: Option<&Playbook>, lens: Lens) -> RunView {
    let open = !run.status.is_over();
    let doubtful = in_doubt(run);
    RunView {
        id: run.id.to_string(),
        playbook: run.playbook.clone(),
        title: run.title.clone(),
        revision: run.revision.chars().take(8).collect(),
        word: if doubtful { "in doubt" } else { run.status.word() },
        tone: if doubtful { "doubt" } else { run_tone(run.status) },
        open,
        progress: progress(run, plan),
        started: lens.moment(run.started_at),
        age: open.then(|| lens.age(run.started_at)),
        took: run.ended_at.map(|end| took(end.since(run.started_at))),
        reason: run.reason.clone().filter(|reason| !reason.is_empty()),
        steps: steps(run, plan, lens),
        part_of: run.parent.as_ref().and_then(|at| incident.runs.get(&at.run)).map(|parent| parent.playbook.clone()),
        asked_by: run.requested_by.clone(),
        vars: run.vars.iter().map(|(name, value)| format!("{name}: {}", readable(value).unwrap_or_default())).collect(),
    }
}

fn steps(run: &Run, plan: Option<&Playbook>, lens: Lens) -> Vec<StepView> {
    let blank = StepState::default();
    let mut shown: Vec<StepView> = Vec::new();
    let mut known: BTreeMap<&str, &StepState> = run.steps.iter().map(|(id, state)| (id.as_str(), state)).collect();
    let mut lane = None;
    for step in plan.map_or(&[][..], |plan| &plan.steps) {
        let state = known.remove(step.id.as_str());
        let items = items(run, step, lens);
        known.retain(|id, _| path::split(id).0 != step.id);
        if state.is_some() || !run.status.is_over() {
            let beside = step.lane.is_some() && step.lane.map(|lane| lane.group) == lane;
            shown.push(StepView { items, beside, ..step_view(run, &step.id, state.unwrap_or(&blank), Some(step), lens) });
        }
        lane = step.lane.map(|lane| lane.group);
    }
    // Steps that the plan at hand does not name, in the order they began.
    let mut rest: Vec<_> = known.into_iter().collect();
    rest.sort_by_key(|(_, state)| state.started_at.or(state.ended_at));
    shown.extend(rest.into_iter().map(|(id, state)| step_view(run, id, state, None, lens)));
    for (at, step) in shown.iter_mut().enumerate() {
        step.number = at + 1;
    }
    shown
}

/// The items of a step, as far as they have begun.
fn items(run: &Run, step: &Step, lens: Lens) -> Vec<StepView> {
    let view = |(visit, state): (u32, &StepState)| {
        let item = step.item(visit);
        StepView { number: visit as usize, ..step_view(run, &item.id, state, Some(&item), lens) }
    };
    run.items(&step.id).map(view).collect()
}

fn step_view(run: &Run, id: &str, state: &StepState, plan: Option<&Step>, lens: Lens) -> StepView {
    let (icon, word, tone) = step_face(state.status);
    let open = !run.status.is_over();
    let under_way = open && matches!(state.status, StepStatus::Running | StepStatus::Waiting);
    let planned = |text: &str, plan: Option<&str>| if text.is_empty() { plan.unwrap_or_default().to_owned() } else { text.to_owned() };
    let title = planned(&state.title, plan.map(|plan| plan.title.as_str()));
    StepView {
        id: id.to_owned(),
        number: 0,
        title: if title.is_empty() { id.to_owned() } else { title },
        action: planned(&state.action, plan.map(|plan| plan.action.as_str())),
        target: state.target.clone().or_else(|| plan.and_then(|plan| plan.target.clone())),
        icon,
        word,
        tone,
        now: open && run.current.as_deref() == Some(id) && state.status != StepStatus::Succeeded,
        destructive: plan.is_some_and(|plan| plan.destructive),
        attempt: attempt(state, plan),
        age: state.started_at.filter(|_| under_way).map(|at| lens.age(at)),
        timeout: plan.filter(|_| under_way).map(|plan| plan.timeout.to_string()),
        took: state.ended_at.zip(state.started_at).filter(|_| !under_way).map(|(end, start)| took(end.since(start))),
        retry: state.retry_at.filter(|_| under_way).map(|at| lens.countdown(at)),
        reason: state.reason.clone().filter(|reason| !reason.is_empty()),
        when: plan.filter(|_| state.status == StepStatus::Pending).and_then(|plan| plan.when.as_ref()).map(|when| when.source().to_owned()),
        params: readable(&state.params),
        output: readable(&state.output),
        undoing: state.undoing,
        doubt: doubt(run, state, lens),
        asks: state.status == StepStatus::InDoubt || plan.is_none_or(|plan| plan.destructive),
        approval: approval(run, state, lens),
        items: Vec::new(),
        beside: false,
        steerable: open && !state.awaits_approval() && matches!(state.status, StepStatus::InDoubt | StepStatus::Waiting),
    }
}

fn attempt(state: &StepState, plan: Option<&Step>) -> Option<String> {
    let most = plan.map_or(1, |plan| plan.retry.attempts);
    match state.attempt {
        0 | 1 => None,
        n if n <= most => Some(format!("attempt {n} of {most}")),
        n => Some(format!("attempt {n}")),
    }
}

fn progress(run: &Run, plan: Option<&Playbook>) -> String {
    let is_done = |status| matches!(status, StepStatus::Succeeded | StepStatus::Skipped | StepStatus::Undone);
    let done = run.steps.iter().filter(|(id, step)| path::split(id).1.is_none() && is_done(step.status)).count();
    let at = if run.status.is_over() { done } else { (done + 1).min(plan.map_or(usize::MAX, |plan| plan.steps.len().max(1))) };
    plan.map_or_else(|| at.to_string(), |plan| format!("{at}/{}", plan.steps.len()))
}

pub fn plan_of<'a>(run: &Run, rulebook: &'a Rulebook) -> Option<&'a Playbook> {
    let pinned = rulebook.revisions.get(&run.revision);
    pinned.or_else(|| rulebook.playbooks.get(&run.playbook).filter(|book| book.revision == run.revision)).map(|book| &**book)
}

fn tail(text: &str, most: usize) -> String {
    match text.char_indices().rev().nth(most) {
        Some((at, _)) => format!("… {}", &text[at..]),
        None => text.to_owned(),
    }
}

/// How long the first of something took to come, in words.
pub fn gap(from: crate::domain::time::Timestamp, to: Option<crate::domain::time::Timestamp>) -> Option<String> {
    to.map(|to| took(Span(to.since(from).0)))
}
