//! What people do to an incident: acknowledge, resolve, reopen, snooze, set its priority, comment, assign, escalate.

use crate::domain::decide::command::Refusal;
use crate::domain::decide::turn::Turn;
use crate::domain::incident::Status;
use crate::domain::priority::Priority;
use crate::domain::time::Span;
use crate::domain::timeline::{Actor, Event};

/// The longest text a person may leave.
const LONGEST_TEXT: usize = 16_384;
const LONGEST_SNOOZE: Span = Span::hours(24 * 7);

type Answer = Result<(), Refusal>;

impl Turn<'_, '_> {
    pub(super) fn acknowledge(&mut self, note: String) -> Answer {
        match self.state.status {
            Status::Resolved => Err(Refusal::Resolved),
            // Whoever is on it ends its snooze: it stays acknowledged and does not come back by itself.
            Status::Acknowledged if self.state.escalation.snoozed_until.is_some() => {
                self.emit(Event::Acknowledged { note });
                Ok(())
            }
            // A scheduled run that needs somebody: a person takes it from the machine.
            Status::Acknowledged if self.state.acknowledged_by.as_deref() == Some(Actor::engine().name()) => {
                self.emit(Event::Acknowledged { note });
                Ok(())
            }
            Status::Acknowledged => Err(Refusal::AlreadyAcknowledged { by: self.state.acknowledged_by.clone().unwrap_or_default() }),
            Status::Triggered => {
                self.emit(Event::Acknowledged { note });
                Ok(())
            }
        }
    }

    pub(super) fn unacknowledge(&mut self) -> Answer {
        match self.state.status {
            Status::Resolved => Err(Refusal::Resolved),
            Status::Triggered => Err(Refusal::NotAcknowledged),
            Status::Acknowledged => {
                self.emit(Event::Unacknowledged { next_at: None });
                self.begin_escalation(self.now, "the acknowledgement was taken back");
                Ok(())
            }
        }
    }

    pub(super) fn resolve_by_person(&mut self, note: String) -> Answer {
        if !self.state.is_open() {
            return Err(Refusal::Resolved);
        }
        let reason = if note.is_empty() { format!("by {}", self.actor) } else { format!("by {}: {note}", self.actor) };
        self.resolve(reason, false);
        Ok(())
    }

    /// Ends the incident: what has not begun is cancelled, what runs ends by itself, what waits to be undone is undone.
    pub(super) fn resolve(&mut self, reason: String, by_engine: bool) {
        let event = Event::Resolved { reason: reason.clone() };
        if by_engine {
            self.emit_engine(event)
        } else {
            self.emit(event)
        }
        self.ledger.troubles.over(self.state.id);
        self.wind_up_runs();
        self.tell_resolved(&reason);
    }

    pub(super) fn reopen_by_person(&mut self, note: String) -> Answer {
        if self.state.is_open() {
            return Err(Refusal::NotResolved);
        }
        let reason = if note.is_empty() { format!("by {}", self.actor) } else { format!("by {}: {note}", self.actor) };
        self.reopen(reason, false);
        Ok(())
    }

    /// Takes a resolve back: it is as it was before, and whoever was on it still is.
    pub(super) fn unresolve(&mut self) -> Answer {
        if self.state.is_open() {
            return Err(Refusal::NotResolved);
        }
        self.reopen(format!("{} took the resolve back", self.actor), self.state.acknowledged_at.is_some());
        Ok(())
    }

    fn reopen(&mut self, reason: String, acknowledged: bool) {
        self.emit(Event::Reopened { reason, acknowledged });
        self.recall_troubles();
        self.watch_over_silence(self.now);
        if !acknowledged {
            self.begin_escalation(self.now, "it was reopened");
        }
    }

    pub(super) fn snooze(&mut self, span: Span) -> Answer {
        if !self.state.is_open() {
            return Err(Refusal::Resolved);
        }
        if span == Span::ZERO || span > LONGEST_SNOOZE {
            return Err(Refusal::Invalid(format!("a snooze lasts between a moment and {LONGEST_SNOOZE}; write for example 30m")));
        }
        let until = self.now + span;
        self.emit(Event::Snoozed { until });
        self.ring_at(until, None);
        Ok(())
    }

    pub(super) fn set_priority(&mut self, priority: Priority, note: String) -> Answer {
        if !self.state.is_open() {
            return Err(Refusal::Resolved);
        }
        let from = self.state.priority;
        let reason = if note.is_empty() { format!("set by {}", self.actor) } else { format!("set by {}: {note}", self.actor) };
        let next_at = if from.outranks(priority) { self.priority_falls(priority) } else { None };
        self.emit(Event::PriorityChanged { from, to: priority, reason, next_at });
        if priority.outranks(from) {
            self.priority_rose();
        } else if from.outranks(priority) {
            self.priority_fell();
        }
        if priority != from {
            self.start_matching_runs();
        }
        Ok(())
    }

    pub(super) fn comment(&mut self, text: String) -> Answer {
        if text.trim().is_empty() || text.len() > LONGEST_TEXT {
            return Err(Refusal::Invalid(format!("a comment has between 1 and {LONGEST_TEXT} bytes")));
        }
        self.emit(Event::Commented { text });
        Ok(())
    }

    pub(super) fn assign(&mut self, to: String) -> Answer {
        if to.trim().is_empty() || to.len() > 200 {
            return Err(Refusal::Invalid("say who it is assigned to: {\"to\": \"ana\"}".to_owned()));
        }
        self.emit(Event::Assigned { to });
        Ok(())
    }

    pub(super) fn escalate_now(&mut self, note: String) -> Answer {
        if !self.state.is_open() {
            return Err(Refusal::Resolved);
        }
        let reason =
            if note.is_empty() { format!("{} asked for help", self.actor) } else { format!("{} asked for help: {note}", self.actor) };
        self.page_level_after(&reason);
        Ok(())
    }
}
