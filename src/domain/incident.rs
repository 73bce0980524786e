//! An incident: what the facts on its timeline add up to. `apply` cannot fail and argues with nothing.
//! Knows no rules; deciding which facts happen is `decide`'s.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::chain::Digest;
use crate::domain::classification::Classification;
use crate::domain::id::{IncidentId, RunId};
use crate::domain::labels::Labels;
use crate::domain::priority::Priority;
use crate::domain::run::Run;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, Entry, Event};

/// Runs and messages that a state holds, so that one that flaps for a month weighs no more than one that flaps for a day.
const RUNS_HELD: usize = 20;
const NOTIFICATIONS_HELD: usize = 60;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Triggered,
    Acknowledged,
    Resolved,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Self::Triggered => "triggered",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// One alert of the incident, as last heard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertMark {
    pub firing: bool,
    pub starts_at: Timestamp,
    /// When we last changed our mind about it.
    pub changed_at: Timestamp,
    pub labels: Labels,
    pub annotations: Labels,
}

/// How many alerts fire and how many have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCounts {
    pub firing: u64,
    pub resolved: u64,
}

/// Where the escalation stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    pub policy: String,
    /// When the plan in force began; none while nobody is to be asked.
    pub started_at: Option<Timestamp>,
    /// Moments of the plan already carried out.
    pub done: u32,
    /// The highest level told.
    pub level: u32,
    pub next_at: Option<Timestamp>,
    pub snoozed_until: Option<Timestamp>,
    /// Grows with each change of mind, so that a timer set before it is known to be stale.
    pub generation: u64,
}

/// A message on its way, or gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    pub channel: String,
    pub person: Option<String>,
    pub template: String,
    pub text: Option<String>,
    pub reason: String,
    pub queued_at: Timestamp,
    pub attempt: u32,
    pub status: NotificationStatus,
    /// The provider's words, or why it failed.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationStatus {
    Queued,
    Sent,
    Failed,
}

/// The whole value; its alerts are kept beside it, because ten thousand of them must not make it heavy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    pub number: u64,
    pub source: String,
    pub receiver: String,
    pub group_key: String,
    pub title: String,
    pub service: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub labels: Labels,
    pub annotations: Labels,
    pub status: Status,
    pub priority: Priority,
    /// The person whose choice of priority stays.
    pub priority_by: Option<String>,
    pub classification: Option<Classification>,
    pub opened_at: Timestamp,
    /// When it last began anew; what ran before that does not count as tried.
    #[serde(default)]
    pub reopened_at: Option<Timestamp>,
    pub acknowledged_at: Option<Timestamp>,
    pub acknowledged_by: Option<String>,
    pub resolved_at: Option<Timestamp>,
    pub assignee: Option<String>,
    /// Since when automation is held, once the timeline says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_since: Option<Timestamp>,
    pub counts: AlertCounts,
    /// Since when no alert fires; the incident resolves once that has settled.
    pub quiet_since: Option<Timestamp>,
    /// Alerts that the last delivery had no room for; while there are any, it never closes by itself.
    pub truncated: u64,
    pub escalation: Escalation,
    pub runs: BTreeMap<RunId, Run>,
    pub notifications: BTreeMap<u32, Notification>,
    /// The log's last number; also the incident's version.
    pub seq: u64,
    /// The log's last link. Whoever stores the log links it; folding does not.
    #[serde(default, skip_serializing_if = "Digest::is_blank")]
    pub chain: Digest,
    #[serde(skip)]
    pub alerts: BTreeMap<String, AlertMark>,
    /// When any delivery last spoke of it; a counter, not a fact.
    #[serde(skip)]
    pub heard_at: Timestamp,
}

impl Default for Priority {
    /// The least urgent, until classification has spoken.
    fn default() -> Self {
        Self::P4
    }
}

impl Incident {
    /// An incident that nothing has happened to yet.
    pub fn blank(id: IncidentId) -> Self {
        Self { id, kind: "unknown".to_owned(), ..Self::default() }
    }

    pub fn is_open(&self) -> bool {
        self.status != Status::Resolved
    }

    /// The runs in the order they started.
    pub fn runs_in_order(&self) -> Vec<&Run> {
        let mut runs: Vec<_> = self.runs.values().collect();
        runs.sort_by_key(|run| run.ordinal);
        runs
    }

    /// The run that a run belongs to in the end: itself, or the one whose step started it.
    pub fn root_of(&self, run: &Run) -> RunId {
        let mut root = run;
        // A parent started before its children, so there is an end to it.
        while let Some(parent) = root.parent.as_ref().and_then(|parent| self.runs.get(&parent.run)).filter(|p| p.ordinal < root.ordinal) {
            root = parent;
        }
        root.id
    }

    /// The runs that a step of a run has started.
    pub fn children(&self, run: RunId) -> impl Iterator<Item = &Run> {
        self.runs.values().filter(move |child| child.parent.as_ref().is_some_and(|parent| parent.run == run))
    }

    /// Everybody who was told, once each: channel and person.
    pub fn told(&self) -> BTreeSet<(String, Option<String>)> {
        self.notifications.values().map(|n| (n.channel.clone(), n.person.clone())).collect()
    }

    /// Folds one fact in.
    pub fn apply(&mut self, entry: &Entry) {
        self.seq = entry.seq;
        let at = entry.at;
        match &entry.event {
            Event::Opened { number, source, receiver, group_key, title, service, labels, annotations, policy } => {
                self.number = *number;
                source.clone_into(&mut self.source);
                receiver.clone_into(&mut self.receiver);
                group_key.clone_into(&mut self.group_key);
                title.clone_into(&mut self.title);
                service.clone_into(&mut self.service);
                labels.clone_into(&mut self.labels);
                annotations.clone_into(&mut self.annotations);
                self.opened_at = at;
                policy.clone_into(&mut self.escalation.policy);
            }
            Event::AlertFired { alerts, labels, annotations, truncated, .. } => {
                for alert in alerts {
                    self.mark(&alert.fingerprint, alert.starts_at, true, at);
                }
                labels.clone_into(&mut self.labels);
                annotations.clone_into(&mut self.annotations);
                self.truncated = *truncated;
                if self.counts.firing > 0 {
                    self.quiet_since = None;
                }
            }
            Event::AlertResolved { alerts, truncated, .. } => {
                for alert in alerts {
                    self.mark(&alert.fingerprint, alert.starts_at, false, at);
                }
                self.truncated = *truncated;
                if self.counts.firing == 0 {
                    self.quiet_since = Some(at);
                }
            }
            Event::Classified { classification, .. } => {
                classification.kind.clone_into(&mut self.kind);
                if self.classification.is_none() {
                    self.priority = classification.priority;
                }
                self.classification = Some(classification.clone());
            }
            Event::PriorityChanged { from, to, next_at, .. } => {
                self.priority = *to;
                if from.outranks(*to) && self.escalation.started_at.is_some() {
                    self.escalation.next_at = *next_at;
                }
                if let Actor::Person(name) = &entry.actor {
                    self.priority_by = Some(name.clone());
                }
            }
            Event::Acknowledged { .. } => {
                self.status = Status::Acknowledged;
                self.acknowledged_at = Some(at);
                self.acknowledged_by = Some(entry.actor.name().to_owned());
                if self.assignee.is_none() && entry.actor.kind() != "engine" {
                    self.assignee = Some(entry.actor.name().to_owned());
                }
                self.stop_escalating();
            }
            Event::Unacknowledged { next_at } => {
                self.status = Status::Triggered;
                self.acknowledged_at = None;
                self.acknowledged_by = None;
                self.restart_escalation(*next_at);
            }
            Event::Snoozed { until } => {
                self.stop_escalating();
                self.escalation.snoozed_until = Some(*until);
                self.escalation.next_at = Some(*until);
            }
            Event::Assigned { to } => self.assignee = Some(to.clone()),
            Event::Resolved { .. } => {
                self.status = Status::Resolved;
                self.resolved_at = Some(at);
                self.held_since = None;
                self.stop_escalating();
            }
            Event::Reopened { acknowledged, .. } => {
                self.status = if *acknowledged { Status::Acknowledged } else { Status::Triggered };
                self.reopened_at = Some(at);
                self.resolved_at = None;
                if !acknowledged {
                    self.acknowledged_at = None;
                    self.acknowledged_by = None;
                }
                self.quiet_since = None;
                self.stop_escalating();
            }
            Event::Escalated { level, done, started_at, next_at, .. } => self.escalated(*level, *done, *started_at, *next_at),
            Event::NotificationQueued { notification, channel, person, template, text, reason } => {
                let queued = Notification {
                    channel: channel.clone(),
                    person: person.clone(),
                    template: template.clone(),
                    text: text.clone(),
                    reason: reason.clone(),
                    queued_at: at,
                    attempt: 0,
                    status: NotificationStatus::Queued,
                    detail: String::new(),
                };
                self.notifications.insert(*notification, queued);
                self.let_old_notifications_go();
            }
            Event::NotificationSent { notification, reply, attempt, .. } => {
                self.notified(*notification, NotificationStatus::Sent, *attempt, reply);
            }
            Event::NotificationFailed { notification, reason, attempt, retry_at, .. } => {
                let status = if retry_at.is_some() { NotificationStatus::Queued } else { NotificationStatus::Failed };
                self.notified(*notification, status, *attempt, reason);
            }
            Event::RunStarted { run, .. } => {
                self.runs.extend(Run::begun(at, &entry.event).map(|begun| (*run, begun)));
                self.let_old_runs_go(at);
            }
            Event::AutomationHeld { since, playbook: None, .. } => self.held_since = Some(since.unwrap_or(at)),
            Event::AutomationReleased { playbook: None, .. } => self.held_since = None,
            Event::Commented { .. } | Event::Recovered { .. } | Event::StepAnsweredLate { .. } => {}
            other => {
                if let Some(run) = other.run().and_then(|run| self.runs.get_mut(&run)) {
                    run.apply(at, other);
                }
            }
        }
    }

    /// The state holds what may still matter; what an incident did weeks ago is on its log. Never the newest: numbers go on from it.
    fn let_old_runs_go(&mut self, at: Timestamp) {
        while self.runs.len() > RUNS_HELD {
            // What a run's steps started is let go no sooner than that run, which may still look at it.
            let settled =
                |run: &&Run| run.is_settled_before(at) && self.runs.get(&self.root_of(run)).is_none_or(|r| r.is_settled_before(at));
            let oldest = self.runs.values().filter(settled).min_by_key(|run| run.ordinal).map(|run| run.id);
            let Some(oldest) = oldest else { return };
            self.runs.remove(&oldest);
        }
    }

    fn let_old_notifications_go(&mut self) {
        while self.notifications.len() > NOTIFICATIONS_HELD {
            let over = |(_, told): &(&u32, &Notification)| told.status != NotificationStatus::Queued;
            let Some(oldest) = self.notifications.iter().find(over).map(|(number, _)| *number) else { return };
            self.notifications.remove(&oldest);
        }
    }

    fn mark(&mut self, fingerprint: &str, starts_at: Timestamp, firing: bool, at: Timestamp) {
        let known = self.alerts.get(fingerprint).map(|mark| mark.firing);
        match (known, firing) {
            (Some(true), false) => {
                self.counts.firing = self.counts.firing.saturating_sub(1);
                self.counts.resolved += 1;
            }
            (Some(false), true) => {
                self.counts.firing += 1;
                self.counts.resolved = self.counts.resolved.saturating_sub(1);
            }
            (None, true) => self.counts.firing += 1,
            (None, false) => self.counts.resolved += 1,
            _ => {}
        }
        let mark = self.alerts.entry(fingerprint.to_owned()).or_default();
        mark.firing = firing;
        mark.starts_at = starts_at;
        mark.changed_at = at;
    }

    fn stop_escalating(&mut self) {
        self.escalation = Escalation {
            policy: std::mem::take(&mut self.escalation.policy),
            level: self.escalation.level,
            generation: self.escalation.generation + 1,
            ..Escalation::default()
        };
    }

    fn restart_escalation(&mut self, at: Option<Timestamp>) {
        self.stop_escalating();
        self.escalation.level = 0;
        self.escalation.started_at = at;
        self.escalation.next_at = at;
    }

    fn escalated(&mut self, level: u32, done: u32, started_at: Option<Timestamp>, next_at: Option<Timestamp>) {
        // Told out of turn (automation failed, somebody asked): the plan goes on as it was.
        let Some(started_at) = started_at else { return };
        if self.escalation.started_at != Some(started_at) {
            // Where no ladder stood, no timer of one is left to outlive it, and what else waits may go on waiting.
            let (generation, none_stood) =
                (self.escalation.generation, self.escalation.started_at.is_none() && self.escalation.snoozed_until.is_none());
            self.restart_escalation(Some(started_at));
            if none_stood {
                self.escalation.generation = generation;
            }
        }
        self.escalation.snoozed_until = None;
        self.escalation.level = level;
        self.escalation.done = done;
        self.escalation.next_at = next_at;
    }

    fn notified(&mut self, id: u32, status: NotificationStatus, attempt: u32, detail: &str) {
        if let Some(notification) = self.notifications.get_mut(&id) {
            notification.status = status;
            notification.attempt = attempt;
            detail.clone_into(&mut notification.detail);
        }
    }
}
