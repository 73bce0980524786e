//! Telling people: escalation by plan, out of turn when automation needs a human, and what came of each message.

use crate::domain::decide::command::{Effect, Told, ToldOutcome, Wake};
use crate::domain::decide::outbox::Page;
use crate::domain::decide::turn::Turn;
use crate::domain::directory::Recipient;
use crate::domain::escalation::{Due, ONLY_WORDS, Plan};
use crate::domain::incident::{Notification, NotificationStatus, Status};
use crate::domain::priority::Priority;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Event, recipient};

/// Sending is given up after this many tries, spread over about a day.
const SEND_ATTEMPTS: u32 = 60;
const FIRST_PAUSE: Span = Span::seconds(2);
const LONGEST_PAUSE: Span = Span::minutes(30);

/// Who was told, and why some were not.
#[derive(Default)]
pub(super) struct Reached {
    pub told: Vec<String>,
    pub nobody: Vec<String>,
}

impl Turn<'_, '_> {
    fn plan(&self) -> Option<Plan> {
        self.plan_at(self.state.priority)
    }

    fn plan_at(&self, priority: Priority) -> Option<Plan> {
        self.rulebook.policy(&self.state.escalation.policy).and_then(|policy| policy.plan(priority)).cloned()
    }

    pub(super) fn begin_escalation_if_classified(&mut self, reason: &str) {
        // What has just risen in priority is told already.
        let begun = self.state.escalation.started_at == Some(self.now);
        if self.state.classification.is_some() && self.state.status == Status::Triggered && !begun {
            self.begin_escalation(self.now, reason);
        }
    }

    pub(super) fn begin_escalation(&mut self, start: Timestamp, reason: &str) {
        let Some(plan) = self.plan() else { return };
        match (plan.due(start, 0, self.now), self.state.escalation.started_at) {
            (Some(due), _) => self.carry_out(&plan, start, &due, reason),
            // The first level is still to come; a ladder that stands already goes on by the plan that is in force now.
            (None, Some(begun)) => drop(self.await_next_moment(&plan, begun)),
            (None, None) => {
                if let Some(first) = plan.moment(start, 0) {
                    self.ring_at(first.due_at, Some(start));
                }
            }
        }
    }

    /// Sets a timer of the ladder; a change of mind before then makes it stale.
    pub(super) fn ring_at(&mut self, at: Timestamp, start: Option<Timestamp>) {
        self.wake_at(at, Wake::Escalate { generation: self.state.escalation.generation, start });
    }

    /// A timer of the plan rang, or the time of several passed while nobody was there to hear.
    pub(super) fn escalation_due(&mut self, generation: u64, first_of: Option<Timestamp>) {
        let escalation = &self.state.escalation;
        if escalation.generation != generation || !self.state.is_open() {
            return;
        }
        if let Some(until) = escalation.snoozed_until {
            if self.state.status == Status::Acknowledged {
                self.emit_engine(Event::Unacknowledged { next_at: None });
            }
            return self.begin_escalation(until, "the snooze is over");
        }
        if self.state.status != Status::Triggered {
            return;
        }
        if let (None, Some(start)) = (escalation.started_at, first_of) {
            return self.begin_escalation(start, "nobody has acknowledged");
        }
        let (Some(start), Some(plan)) = (escalation.started_at, self.plan()) else { return };
        match plan.due(start, escalation.done, self.now) {
            Some(due) => self.carry_out(&plan, start, &due, "nobody has acknowledged"),
            // The plan is another than the one this timer was set by: a lower priority, other settings.
            None => drop(self.await_next_moment(&plan, start)),
        }
    }

    /// Sets the ladder's timer by a plan that has come into force since the last one was set. Answers when it rings.
    fn await_next_moment(&mut self, plan: &Plan, start: Timestamp) -> Option<Timestamp> {
        let moment = plan.moment(start, self.state.escalation.done)?;
        self.ring_at(moment.due_at, None);
        Some(moment.due_at)
    }

    /// A lower priority keeps the rung that was reached and goes on at its own pace, which may also be the faster one.
    pub(super) fn priority_falls(&mut self, to: Priority) -> Option<Timestamp> {
        let start = self.state.escalation.started_at.filter(|_| self.state.status == Status::Triggered)?;
        let plan = self.plan_at(to)?;
        self.await_next_moment(&plan, start)
    }

    /// Where no rung was reached yet, the ladder of the lower priority begins.
    pub(super) fn priority_fell(&mut self) {
        let escalation = &self.state.escalation;
        // One that is over is still remembered while the first level of what began with its end is to come.
        let snoozed = escalation.snoozed_until.is_some_and(|until| until > self.now);
        if self.state.status == Status::Triggered && escalation.started_at.is_none() && !snoozed {
            self.begin_escalation_if_classified("the priority fell");
        }
    }

    fn carry_out(&mut self, plan: &Plan, start: Timestamp, due: &Due, reason: &str) {
        let mut to: Vec<String> = due.levels.iter().flat_map(|at| plan.levels[*at].notify.iter().cloned()).collect();
        to.dedup();
        let template = if due.moment.level <= 1 && due.moment.round == 1 { "incident-opened" } else { "escalated" };
        let reached = self.resolve_names(&to);
        let last = due.next_at.is_none();
        let reason =
            if last && due.moment.round > 1 { format!("{reason}; this is the last level of the last round") } else { reason.to_owned() };
        self.emit_engine(Event::Escalated {
            level: due.moment.level,
            round: due.moment.round,
            told: reached.told,
            nobody: reached.nobody,
            done: due.done,
            started_at: Some(start),
            late_ms: due.late.as_millis(),
            reason: reason.clone(),
            next_at: due.next_at,
        });
        self.page(&Page { to: &to, template, text: None, reason: &reason });
        if let Some(next_at) = due.next_at {
            self.ring_at(next_at, None);
        }
    }

    pub(super) fn priority_rose(&mut self) {
        match self.state.status {
            Status::Triggered => self.begin_escalation(self.now, "the priority rose"),
            Status::Acknowledged => self.page_level_one("incident-opened", "the priority rose after it was acknowledged"),
            Status::Resolved => {}
        }
    }

    /// Tells level 1 out of turn; the plan itself goes on as it was.
    pub(super) fn page_level_one(&mut self, template: &str, reason: &str) {
        self.page_level(0, template, reason);
    }

    /// Tells the level after the one that was told last.
    pub(super) fn page_level_after(&mut self, reason: &str) {
        let levels = self.plan().map_or(0, |plan| plan.levels.len());
        let next = (self.state.escalation.level as usize).min(levels.saturating_sub(1));
        self.page_level(next, "escalated", reason);
    }

    fn page_level(&mut self, at: usize, template: &str, reason: &str) {
        let to: Vec<String> = self.plan().and_then(|plan| plan.levels.get(at).map(|level| level.notify.clone())).unwrap_or_default();
        let reached = self.resolve_names(&to);
        self.emit_engine(Event::Escalated {
            level: u32::try_from(at + 1).unwrap_or(u32::MAX),
            round: 1,
            told: reached.told,
            nobody: reached.nobody,
            done: self.state.escalation.done,
            started_at: None,
            late_ms: 0,
            reason: reason.to_owned(),
            next_at: self.state.escalation.next_at,
        });
        // Words without a template are all there is to say, and go along with whatever else is said.
        let text = (template == ONLY_WORDS).then(|| reason.to_owned());
        self.page(&Page { to: &to, template, text, reason });
    }

    pub(super) fn resolve_names(&self, to: &[String]) -> Reached {
        let resolution = self.rulebook.directory.resolve(to, None, self.now);
        let told = resolution
            .recipients
            .iter()
            .map(|r| match r {
                Recipient::Person { name, channel, .. } => recipient(channel, Some(name)),
                Recipient::Channel { channel } => channel.clone(),
            })
            .collect();
        let nobody = if resolution.recipients.is_empty() && resolution.unknown.is_empty() {
            vec!["the plan names nobody".to_owned()]
        } else {
            resolution.unknown
        };
        Reached { told, nobody }
    }

    pub(super) fn told(&mut self, told: Told) {
        // An attempt is told of once, also when the commit that did so lost its answer and it is decided again.
        let news = |known: &&Notification| known.status == NotificationStatus::Queued && told.attempt > known.attempt;
        let Some(queued) = self.state.notifications.get(&told.notification).filter(news) else { return };
        let (notification, attempt) = (told.notification, told.attempt);
        let (channel, person) = (queued.channel.clone(), queued.person.clone());
        match told.outcome {
            ToldOutcome::Sent(reply) => self.emit_engine(Event::NotificationSent { notification, channel, person, reply, attempt }),
            ToldOutcome::Again { reason, after } if attempt < SEND_ATTEMPTS => {
                let retry_at =
                    self.now + after.unwrap_or_default().max(pause(FIRST_PAUSE, LONGEST_PAUSE, attempt, u64::from(notification)));
                self.emit_engine(Event::NotificationFailed { notification, channel, person, reason, attempt, retry_at: Some(retry_at) });
                self.ask_at(retry_at, Effect::Send { notification, attempt: attempt + 1 });
            }
            ToldOutcome::Again { reason, .. } | ToldOutcome::Never(reason) => {
                self.emit_engine(Event::NotificationFailed { notification, channel, person, reason, attempt, retry_at: None });
            }
        }
    }
}

/// Exponential with jitter: the pause before the try after `attempt`, between half and all of the doubled pause.
pub(super) fn pause(first: Span, longest: Span, attempt: u32, salt: u64) -> Span {
    let doubled = first.times(1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX)).min(longest).as_millis();
    // Chance is not at hand in here, so the jitter comes from who asks: enough to keep a crowd from coming back in step.
    let mixed = (salt ^ u64::from(attempt)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    Span(doubled / 2 + if doubled > 1 { mixed % (doubled / 2) } else { 0 })
}
