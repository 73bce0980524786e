//! The lanes of the machine: a bar for each run, and below it each step with one segment an attempt, waits hatched.
//! Knows no alerts and no people.

use crate::domain::hold::AUTOMATION_IS_HELD;
use crate::domain::id::RunId;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Entry, Event, Outcome, StepRef};
use crate::web::pages::view::face::run_tone;
use crate::web::pages::view::gantt::lanes::{Interval, bars, close, open_interval};
use crate::web::pages::view::gantt::scale::Scale;
use crate::web::pages::view::gantt::{Drawn, LaneView, MarkView, percent};
use crate::web::pages::view::times::took;

/// A lane for each run, and below it one for each of its steps.
pub fn runs(drawn: &Drawn<'_>, scale: &Scale) -> Vec<LaneView> {
    let mut lanes = Vec::new();
    for run in drawn.incident.runs_in_order() {
        let mut steps = steps(drawn.entries, run.id);
        if steps.is_empty() {
            continue;
        }
        // What still waited when the run ended waits no more; what ran ends by itself.
        for waiting in steps.iter_mut().filter_map(|step| step.intervals.last_mut()).filter(|last| last.hatched && last.to.is_none()) {
            waiting.to = run.ended_at;
        }
        let span = run.ended_at.map(|end| took(end.since(run.started_at))).unwrap_or_default();
        let tone = run_tone(run.status);
        let whole = Interval {
            from: run.started_at,
            to: run.ended_at,
            tone,
            hatched: false,
            words: format!("{} {}", run.playbook, run.status.word()),
        };
        let mut head =
            LaneView { label: run.playbook.clone(), sub: run.status.word().to_owned(), head: true, took: span, ..LaneView::default() };
        head.bars = bars(drawn, scale, vec![whole]);
        lanes.push(head);
        lanes.extend(steps.into_iter().map(|lane| step_lane(drawn, scale, lane)));
    }
    lanes
}

#[derive(Default)]
struct Steps {
    title: String,
    on: String,
    intervals: Vec<Interval>,
    skipped: Option<(Timestamp, String)>,
}

fn step_lane(drawn: &Drawn<'_>, scale: &Scale, step: Steps) -> LaneView {
    let done: u64 = step.intervals.iter().filter(|one| !one.hatched).filter_map(|one| Some(one.to?.since(one.from).0)).sum();
    let running = step.intervals.last().is_some_and(|last| last.to.is_none());
    let skipped = step.skipped.map(|(at, why)| MarkView { x: percent(scale.place(at)), icon: "skip", tone: "minor", title: why });
    LaneView {
        took: if done > 0 && !running { took(Span(done)) } else { String::new() },
        bars: bars(drawn, scale, step.intervals),
        marks: skipped.into_iter().collect(),
        label: step.title,
        sub: step.on,
        head: false,
    }
}

/// What each step of a run did, in the order they came up.
fn steps(entries: &[Entry], run: RunId) -> Vec<Steps> {
    let mut order: Vec<(String, Steps)> = Vec::new();
    for entry in entries {
        let held = match &entry.event {
            Event::LimitHit { run: own, step: Some(step), .. } if *own == run => Some(step.as_str()),
            _ => None,
        };
        let Some(id) = entry.event.step().filter(|at| at.run == run).map(|at| at.step.as_str()).or(held) else { continue };
        let at = order.iter().position(|(known, _)| known == id).unwrap_or_else(|| {
            order.push((id.to_owned(), Steps { title: id.to_owned(), ..Steps::default() }));
            order.len() - 1
        });
        if let Some((_, step)) = order.get_mut(at) {
            step.took(entry);
        }
    }
    order.into_iter().map(|(_, step)| step).collect()
}

impl Steps {
    /// One more fact about the step.
    fn took(&mut self, entry: &Entry) {
        match &entry.event {
            Event::StepStarted { at, title, action, target, .. } => {
                close(&mut self.intervals, entry.at);
                title.clone_into(&mut self.title);
                self.on = target.as_ref().map_or_else(|| action.clone(), |target| format!("{action} on {target}"));
                let (tone, hatched) = if action == "wait" { ("wait", true) } else { ("busy", false) };
                self.intervals.push(Interval { hatched, ..open_interval(entry.at, tone, attempt(at)) });
            }
            Event::StepSucceeded { .. } => self.ended(entry.at, "good", "succeeded"),
            Event::StepUndone { .. } => self.ended(entry.at, "calm", "undone"),
            Event::StepInDoubt { title, .. } => {
                self.ended(entry.at, "doubt", "in doubt");
                title.clone_into(&mut self.title);
                self.waits(entry.at, "doubt", "nobody knows whether it took effect");
            }
            Event::StepSettled { outcome, .. } => {
                let said = if *outcome == Outcome::Succeeded { "a person says it took effect" } else { "a person says it did not" };
                self.ended(entry.at, "doubt", said);
            }
            Event::StepFailed { reason, retry_at, .. } => {
                self.ended(entry.at, "bad", &format!("failed: {reason}"));
                if retry_at.is_some() {
                    self.waits(entry.at, "wait", "waits to be tried again");
                }
            }
            Event::StepSkipped { title, reason, .. } => {
                close(&mut self.intervals, entry.at);
                title.clone_into(&mut self.title);
                self.skipped = Some((entry.at, format!("skipped: {reason}")));
            }
            Event::StepShadowed { title, .. } => {
                close(&mut self.intervals, entry.at);
                title.clone_into(&mut self.title);
                self.skipped = Some((entry.at, entry.event.sentence(&entry.actor)));
            }
            Event::ApprovalRequested { title, by, .. } => {
                title.clone_into(&mut self.title);
                self.waits(entry.at, "wait", &format!("waits for a yes of {}", by.join(", ")));
            }
            Event::Approved { .. } | Event::Rejected { .. } => close(&mut self.intervals, entry.at),
            Event::LimitHit { limit, held_by: Some(by), .. } if limit == AUTOMATION_IS_HELD => {
                self.waits(entry.at, "wait", &format!("waits for the release: automation is held by {by}"));
            }
            Event::LimitHit { limit, held_by: Some(other), .. } => {
                self.waits(entry.at, "wait", &format!("waits for {limit}, on which {other} is at work"));
            }
            Event::LimitHit { limit, .. } => self.waits(entry.at, "wait", &format!("held back by the limit {limit}")),
            _ => {}
        }
    }

    fn ended(&mut self, at: Timestamp, tone: &'static str, words: &str) {
        if let Some(last) = self.intervals.last_mut().filter(|last| last.to.is_none()) {
            last.to = Some(at);
            if !last.hatched {
                last.tone = tone;
                last.words = format!("{}, {words}", last.words);
            }
        }
    }

    fn waits(&mut self, from: Timestamp, tone: &'static str, words: &str) {
        self.intervals.push(Interval { hatched: true, ..open_interval(from, tone, words.to_owned()) });
    }
}

fn attempt(at: &StepRef) -> String {
    if at.undo { format!("undoing, attempt {}", at.attempt) } else { format!("attempt {}", at.attempt) }
}
