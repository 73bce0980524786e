//! How long a run takes at most, and when people are told at the latest: reckoned from what the files say. Knows no clock.

use crate::config::lint::reaches;
use crate::domain::decide::step::DEEPEST;
use crate::domain::playbook::{Lane, Playbook, Retry, Step};
use crate::domain::priority::Priority;
use crate::domain::settings::Rulebook;
use crate::domain::time::Span;

/// The longest that a run takes, where no limit holds it back, with every time it is tried anew; none when a hole decides and the
/// playbook has no `timeout`.
pub fn duration(playbook: &Playbook, book: &Rulebook) -> Option<Span> {
    lasts(playbook, book, 1)
}

/// At a depth: playbooks that start each other deeper than runs may go fail at once.
fn lasts(playbook: &Playbook, book: &Rulebook, depth: usize) -> Option<Span> {
    let tried = once(playbook, book, depth).map(|once| plus(once.times(u64::from(playbook.retry.attempts)), pauses(playbook.retry)));
    match playbook.timeout {
        Some(timeout) => Some(tried.map_or(timeout, |tried| tried.min(timeout))),
        None => tried,
    }
}

fn once(playbook: &Playbook, book: &Rulebook, depth: usize) -> Option<Span> {
    stages(playbook).iter().map(|stage| of_stage(stage, book, depth)).try_fold(Span::ZERO, |sum, stage| Some(plus(sum, stage?)))
}

/// The steps by what stands side by side: stages one after the other, each with its branches.
fn stages(playbook: &Playbook) -> Vec<Vec<Vec<&Step>>> {
    let mut stages: Vec<Vec<Vec<&Step>>> = Vec::new();
    let mut last: Option<Lane> = None;
    for step in &playbook.steps {
        match (step.lane, last) {
            (Some(lane), Some(before)) if lane == before => {
                stages.last_mut().and_then(|s| s.last_mut()).into_iter().for_each(|b| b.push(step))
            }
            (Some(lane), Some(before)) if lane.group == before.group => stages.last_mut().into_iter().for_each(|s| s.push(vec![step])),
            _ => stages.push(vec![vec![step]]),
        }
        last = step.lane;
    }
    stages
}

/// As long as its longest branch.
fn of_stage(stage: &[Vec<&Step>], book: &Rulebook, depth: usize) -> Option<Span> {
    let branch = |steps: &Vec<&Step>| steps.iter().try_fold(Span::ZERO, |sum, step| Some(plus(sum, of_step(step, book, depth)?)));
    stage.iter().map(branch).try_fold(Span::ZERO, |longest, branch| Some(longest.max(branch?)))
}

/// The longest that one step takes, with all its attempts and the pauses between them, for every item that it may have.
fn of_step(step: &Step, book: &Rulebook, depth: usize) -> Option<Span> {
    let asked = step.approval.as_ref().map_or(Span::ZERO, |approval| approval.expires);
    let once = plus(asked, of_deed(step, book, depth)?);
    let rounds = step.each.as_ref().map_or(1, |each| each.max.div_ceil(each.at_once.max(1)));
    Some(once.times(u64::from(rounds)))
}

fn of_deed(step: &Step, book: &Rulebook, depth: usize) -> Option<Span> {
    let tries = |once: Span| plus(once.times(u64::from(step.retry.attempts)), pauses(step.retry));
    match step.action.as_str() {
        "wait" => step.with.to_json().get("for").and_then(|text| text.as_str()?.parse().ok()),
        "note" | "notify" => Some(Span::ZERO),
        "playbook.run" if depth > DEEPEST => Some(Span::ZERO),
        "playbook.run" => lasts(started(step, book)?, book, depth + 1).map(tries),
        _ => Some(tries(step.timeout)),
    }
}

/// The playbook that a step runs, where the file says which.
fn started<'a>(step: &Step, book: &'a Rulebook) -> Option<&'a Playbook> {
    let with = step.with.to_json();
    book.playbooks.get(with.get("playbook")?.as_str()?).map(AsRef::as_ref)
}

/// When a person is told first, by the escalation or by an unconditional `notify`; none when nobody ever is.
pub fn first_told(playbook: &Playbook, priority: Priority, book: &Rulebook) -> Option<Span> {
    let plan = book.policy(crate::domain::escalation::DEFAULT).and_then(|policy| policy.plan(priority));
    let levels = plan.into_iter().flat_map(|plan| &plan.levels);
    let escalated = levels.filter(|level| level.notify.iter().any(|name| reaches(&book.directory, name))).map(|level| level.after).min();
    escalated.into_iter().chain(by_playbook(playbook, book, 1)).min()
}

fn by_playbook(playbook: &Playbook, book: &Rulebook, depth: usize) -> Option<Span> {
    let mut before = Span::ZERO;
    for stage in stages(playbook) {
        if let Some(told) = stage.iter().filter_map(|branch| by_branch(branch, book, depth)).min() {
            return Some(plus(before, told));
        }
        before = plus(before, of_stage(&stage, book, depth)?);
    }
    None
}

fn by_branch(steps: &[&Step], book: &Rulebook, depth: usize) -> Option<Span> {
    let mut before = Span::ZERO;
    for step in steps {
        if let Some(told) = by_step(step, book, depth) {
            return Some(plus(before, told));
        }
        before = plus(before, of_step(step, book, depth)?);
    }
    None
}

/// After how long a step tells somebody who is there, whatever comes of its condition or its list.
fn by_step(step: &Step, book: &Rulebook, depth: usize) -> Option<Span> {
    let anybody = |name: &str| reaches(&book.directory, name);
    if step.when.is_some() || step.each.is_some() {
        return None;
    }
    if let Some(approval) = &step.approval {
        return approval.by.iter().any(|name| anybody(name)).then_some(Span::ZERO);
    }
    let with = step.with.to_json();
    let names = with.get("to").into_iter().flat_map(|to| to.as_array().cloned().unwrap_or_else(|| vec![to.clone()]));
    match step.action.as_str() {
        "notify" => names.into_iter().any(|name| name.as_str().is_some_and(anybody)).then_some(Span::ZERO),
        "playbook.run" if depth <= DEEPEST => by_playbook(started(step, book)?, book, depth + 1),
        _ => None,
    }
}

fn pauses(retry: Retry) -> Span {
    let pause = |attempt: u32| retry.backoff.times(1u64.checked_shl(attempt).unwrap_or(u64::MAX)).min(retry.max_backoff);
    (0..retry.attempts.saturating_sub(1)).map(pause).fold(Span::ZERO, plus)
}

fn plus(one: Span, other: Span) -> Span {
    Span(one.0.saturating_add(other.0))
}
