//! What may hold a destructive step back besides its target: limits that leave room later, and those that leave it to a person.
//! Counts nothing itself; the ledger does.

use std::collections::BTreeSet;

use crate::domain::breaker::Opened;
use crate::domain::decide::approve::BY_ITSELF;
use crate::domain::decide::command::{Refusal, Wake};
use crate::domain::decide::turn::Turn;
use crate::domain::id::RunId;
use crate::domain::limits::{Ask, Spent, percent};
use crate::domain::playbook::{Playbook, Step};
use crate::domain::run::Run;
use crate::domain::timeline::{Actor, Event, StepRef};

/// A limit that no passing of time makes room for.
struct Brake {
    limit: String,
    count: u32,
    why: String,
}

impl Turn<'_, '_> {
    /// Whether the step is left to a person: its playbook has failed too often, or too much of the service is in trouble at once.
    pub(super) fn refused(&mut self, run: &Run, playbook: &Playbook, step: &Step, attempt: u32) -> bool {
        let brake = self.broken(playbook).or_else(|| self.correlated(run, playbook, step, attempt));
        let Some(Brake { limit, count, why }) = brake else { return false };
        let at = StepRef { run: run.id, step: step.id.clone(), attempt, undo: false };
        let title = step.title.clone();
        self.emit_engine(Event::LimitHit {
            run: run.id,
            step: Some(step.id.clone()),
            limit: limit.clone(),
            count,
            free_at: None,
            why: Some(why.clone()),
            held_by: None,
        });
        self.page_level_one("automation-failed", &format!("\"{title}\" is left to you: {why} (limit {limit})"));
        let reason = format!("{why} (limit {limit})");
        if attempt == 1 {
            self.emit_engine(Event::StepSkipped { at, title, reason });
        } else {
            // What was tried before has failed, and is taken back if it may be in force.
            self.emit_engine(Event::StepFailed { at, title, reason, retry_at: None, duration_ms: 0, unsure: false });
            self.undo_unsure(run.id, step);
        }
        true
    }

    fn broken(&self, playbook: &Playbook) -> Option<Brake> {
        let breaker = self.ledger.breakers.open(&playbook.slug)?;
        let count = breaker.failures;
        let why = format!("playbook {} has failed {count} times in a row and nobody has armed it again", playbook.slug);
        Some(Brake { limit: format!("breaker: {}", self.most_failures(playbook).unwrap_or(count)), count, why })
    }

    fn most_failures(&self, playbook: &Playbook) -> Option<u32> {
        playbook.limits.breaker.or(self.rulebook.limits.breaker)
    }

    /// Many targets of a service in trouble have one cause, and it is not in each of them: nothing is repaired by itself.
    fn correlated(&self, run: &Run, playbook: &Playbook, step: &Step, attempt: u32) -> Option<Brake> {
        let target = step.target.as_deref()?;
        let service = self.rulebook.targets.get(target)?.service.as_deref()?;
        if self.is_asked_for(run, playbook, step, attempt) {
            return None;
        }
        let all = self.rulebook.targets_of(service);
        let mut troubled: BTreeSet<&str> = self.ledger.troubles.targets();
        troubled.extend(self.ledger.targets.claimed_beside(self.state.id));
        troubled.insert(target);
        troubled.retain(|name| all.contains(name));
        let (count, share) = (troubled.len(), self.rulebook.limits.correlated);
        #[allow(clippy::cast_precision_loss, reason = "targets are few")]
        let beyond = count > 1 && count as f64 > all.len() as f64 * share;
        beyond.then(|| Brake {
            limit: format!("correlated: {}", percent(share)),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            why: format!("{count} of the {} targets of {service} are in trouble at once", all.len()),
        })
    }

    /// Whether a person wants this: asked for the run, said yes to the step or has it tried again.
    fn is_asked_for(&self, run: &Run, playbook: &Playbook, step: &Step, attempt: u32) -> bool {
        let request = run.steps.get(&step.id).and_then(|state| state.approval.as_ref());
        match request.and_then(|request| request.approved_by.as_deref()) {
            Some(who) => who != BY_ITSELF,
            // Somebody is about to be asked.
            None if step.approval.is_some() || self.why_it_asks(playbook, step).is_some() => true,
            None => self.requester_of(run).is_some() || (attempt > 1 && matches!(self.actor, Actor::Person(_))),
        }
    }

    /// Counts a destructive attempt in the commit that starts it, or holds it back and says until when.
    pub(super) fn admitted(&mut self, run: &Run, playbook: &Playbook, step: &Step, attempt: u32) -> bool {
        let service = self.rulebook.service_of(step.target.as_deref(), &self.state.service);
        let ask = Ask {
            playbook: &playbook.slug,
            target: step.target.as_deref(),
            service: service.as_deref(),
            own_per_target: playbook.limits.per_target,
        };
        match self.ledger.admit(ask, &self.rulebook.limits, self.now) {
            Ok(()) => {
                let spent = Spent { at: self.now, playbook: playbook.slug.clone(), target: step.target.clone(), service };
                self.ledger.spend(spent.clone());
                self.decision.spent.push(spent);
                true
            }
            Err(gauge) => {
                let free_at = gauge.free_at.unwrap_or(self.now);
                let reason = format!("\"{}\" is held back by the limit {} until {free_at}", step.title, gauge.limit());
                let told = self.is_told(run.id, step);
                self.emit_engine(Event::LimitHit {
                    run: run.id,
                    step: Some(step.id.clone()),
                    limit: gauge.limit(),
                    count: gauge.used,
                    free_at: Some(free_at),
                    why: None,
                    held_by: None,
                });
                self.wake_at(free_at, Wake::Step { run: run.id, step: Some(step.id.clone()), attempt });
                if !told {
                    self.page_level_one("automation-failed", &reason);
                }
                false
            }
        }
    }

    /// Whether people know already that the step waits for room.
    fn is_told(&self, run: RunId, step: &Step) -> bool {
        self.state.runs.get(&run).and_then(|run| run.steps.get(&step.id)).is_some_and(|state| state.held)
    }

    /// A run has failed. Answers with what that means for its playbook, in words, when its breaker has opened.
    pub(super) fn count_failure(&mut self, run: &Run) -> Option<String> {
        if !self.has_changed_something(run) {
            return None;
        }
        let most = self.playbook_of(run).and_then(|playbook| self.most_failures(&playbook));
        let opened = Opened { at: self.now, incident: self.state.id };
        if !self.ledger.breakers.fails(&run.playbook, most, opened) {
            return None;
        }
        let times = self.ledger.breakers.failures(&run.playbook);
        let reason = format!("it has failed {times} times in a row, and begins again once somebody arms it");
        let by = "reynard".to_owned();
        self.emit_engine(Event::AutomationHeld { reason: reason.clone(), by, since: None, playbook: Some(run.playbook.clone()) });
        Some(reason)
    }

    pub(super) fn count_success(&mut self, run: &Run) {
        if self.has_changed_something(run) {
            self.ledger.breakers.succeeds(&run.playbook);
        }
    }

    fn has_changed_something(&self, run: &Run) -> bool {
        let run = self.state.runs.get(&run.id).unwrap_or(run);
        run.steps.values().any(|step| step.destructive && step.attempt > 0)
    }

    /// A person arms a playbook's breaker again.
    pub(super) fn rearm(&mut self, playbook: String, note: String) -> Result<(), Refusal> {
        if !self.ledger.breakers.rearm(&playbook) {
            return Err(Refusal::Invalid(format!("the breaker of playbook {playbook} is not open")));
        }
        let by = self.actor.name().to_owned();
        self.emit(Event::AutomationReleased { reason: note, by, playbook: Some(playbook) });
        Ok(())
    }
}
