//! How long a run takes at most, and when people are told at the latest: reckoned from what the files say. Knows no clock.

use crate::config::lint::reaches;
use crate::domain::playbook::{Playbook, Retry, Step};
use crate::domain::priority::Priority;
use crate::domain::settings::Rulebook;
use crate::domain::time::Span;

/// The longest that a run takes, where nobody has to be asked and no limit holds it back; none when a hole decides.
pub fn duration(playbook: &Playbook) -> Option<Span> {
    playbook.steps.iter().map(|step| of_step(step)).try_fold(Span::ZERO, |sum, step| Some(plus(sum, step?)))
}

/// The longest that one step takes, with all its attempts and the pauses between them.
pub fn of_step(step: &Step) -> Option<Span> {
    match step.action.as_str() {
        "wait" => step.with.to_json().get("for").and_then(|text| text.as_str()?.parse().ok()),
        "note" | "notify" => Some(Span::ZERO),
        _ => Some(plus(step.timeout.times(u64::from(step.retry.attempts)), pauses(step.retry))),
    }
}

/// When a person is told first, by the escalation or by an unconditional `notify`; none when nobody ever is.
pub fn first_told(playbook: &Playbook, priority: Priority, book: &Rulebook) -> Option<Span> {
    let plan = book.policy(crate::domain::escalation::DEFAULT).and_then(|policy| policy.plan(priority));
    let levels = plan.into_iter().flat_map(|plan| &plan.levels);
    let escalated = levels.filter(|level| level.notify.iter().any(|name| reaches(&book.directory, name))).map(|level| level.after).min();
    escalated.into_iter().chain(by_playbook(playbook, book)).min()
}

fn by_playbook(playbook: &Playbook, book: &Rulebook) -> Option<Span> {
    let mut before = Span::ZERO;
    for step in &playbook.steps {
        let to = step.with.to_json();
        let names = to.get("to").into_iter().flat_map(|to| to.as_array().cloned().unwrap_or_else(|| vec![to.clone()]));
        if step.action == "notify"
            && step.when.is_none()
            && names.into_iter().any(|name| name.as_str().is_some_and(|name| reaches(&book.directory, name)))
        {
            return Some(before);
        }
        before = plus(before, of_step(step)?);
    }
    None
}

fn pauses(retry: Retry) -> Span {
    let pause = |attempt: u32| retry.backoff.times(1u64.checked_shl(attempt).unwrap_or(u64::MAX)).min(retry.max_backoff);
    (0..retry.attempts.saturating_sub(1)).map(pause).fold(Span::ZERO, plus)
}

fn plus(one: Span, other: Span) -> Span {
    Span(one.0.saturating_add(other.0))
}
