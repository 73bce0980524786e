//! The timeline: every fact that can happen to an incident, and the sentence a tired human reads for it.
//! It is the log: the engine folds it into state, the web shows it, tests assert on it.
//! One thing in one file: a kind, its fields and its sentence are read together.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::classification::Classification;
use crate::domain::escalation::DEFAULT;
use crate::domain::hold::AUTOMATION_IS_HELD;
use crate::domain::id::{DeliveryId, RunId};
use crate::domain::labels::Labels;
use crate::domain::late::Answer;
use crate::domain::playbook::Otherwise;
use crate::domain::priority::Priority;
use crate::domain::time::{Span, Timestamp};

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Actor {
    Engine(String),
    Person(String),
    Source(String),
}

impl Actor {
    pub fn engine() -> Self {
        Self::Engine("reynard".to_owned())
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Engine(_) => "engine",
            Self::Person(_) => "person",
            Self::Source(_) => "source",
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Engine(name) | Self::Person(name) | Self::Source(name) => name,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One line of an incident's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// 1, 2, 3 … without gaps.
    pub seq: u64,
    pub at: Timestamp,
    pub actor: Actor,
    pub event: Event,
}

/// An alert as the log names it; its labels live in a row of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRef {
    pub fingerprint: String,
    pub starts_at: Timestamp,
}

/// Which attempt of which step of which run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRef {
    pub run: RunId,
    pub step: String,
    #[serde(default)]
    pub attempt: u32,
    /// Whether this takes the step back rather than carrying it out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo: bool,
}

/// A fact. Facts are never rewritten: a new meaning is a new kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    Opened {
        number: u64,
        source: String,
        receiver: String,
        group_key: String,
        title: String,
        service: String,
        labels: Labels,
        annotations: Labels,
        /// The escalation policy it follows from here on.
        #[serde(default = "default_policy")]
        policy: String,
    },
    AlertFired {
        delivery: DeliveryId,
        alerts: Vec<AlertRef>,
        labels: Labels,
        annotations: Labels,
        truncated: u64,
    },
    AlertResolved {
        delivery: DeliveryId,
        alerts: Vec<AlertRef>,
        truncated: u64,
    },
    Classified {
        classification: Classification,
        /// Whether it had been classified before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    PriorityChanged {
        from: Priority,
        to: Priority,
        reason: String,
        /// When the ladder goes on under a lower priority; a higher one begins it anew.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_at: Option<Timestamp>,
    },
    RunStarted {
        run: RunId,
        ordinal: u32,
        playbook: String,
        title: String,
        revision: String,
        /// The person who asked for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        requested_by: Option<String>,
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        vars: Map<String, Value>,
        /// The step of another run that started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<StepRef>,
    },
    StepStarted {
        at: StepRef,
        title: String,
        action: String,
        target: Option<String>,
        params: Value,
        destructive: bool,
        /// What a `for_each` goes through.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<Value>,
    },
    /// What is asked for is told as it will be done, for what is approved is what is done.
    ApprovalRequested {
        at: StepRef,
        title: String,
        action: String,
        target: Option<String>,
        params: Value,
        by: Vec<String>,
        /// How many of them must say yes.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        of: u32,
        expires_at: Timestamp,
        otherwise: Otherwise,
        /// Why it asks, where the step itself does not say that it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    Approved {
        at: StepRef,
        title: String,
        by: String,
        note: String,
        /// How many more must say yes before it goes on.
        #[serde(default, skip_serializing_if = "is_zero")]
        missing: u32,
    },
    Rejected {
        at: StepRef,
        title: String,
        by: String,
        note: String,
    },
    StepSucceeded {
        at: StepRef,
        title: String,
        output: Value,
        duration_ms: u64,
    },
    StepFailed {
        at: StepRef,
        title: String,
        reason: String,
        retry_at: Option<Timestamp>,
        duration_ms: u64,
        /// Whether it may be in force all the same.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unsure: bool,
    },
    StepSkipped {
        at: StepRef,
        title: String,
        reason: String,
    },
    /// What would have been done, were it not in shadow.
    StepShadowed {
        at: StepRef,
        title: String,
        playbook: String,
        action: String,
        target: Option<String>,
        params: Value,
        /// Whose shadow it lies in.
        why: String,
        /// The limit that would have held it back.
        limit: Option<String>,
        /// Whether it would have asked first.
        asks: bool,
    },
    StepInDoubt {
        at: StepRef,
        title: String,
        reason: String,
    },
    StepSettled {
        at: StepRef,
        title: String,
        outcome: Outcome,
        note: String,
    },
    /// An attempt has answered for which nobody waited any more. It is written down for whoever is asked what became of it, and
    /// changes nothing.
    StepAnsweredLate {
        at: StepRef,
        title: String,
        /// Whether it was a look, the step's `check:`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        check: bool,
        answer: Answer,
        /// From when it was sent.
        duration_ms: u64,
        /// Why nobody waited any more.
        why: String,
    },
    StepUndone {
        at: StepRef,
        title: String,
        output: Value,
        duration_ms: u64,
        /// The incident that needs what was done as well and takes it back when it is over: nothing was done here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_to: Option<u64>,
    },
    /// A step has failed, and the run is tried again from there; what has succeeded is not done again.
    RunRetried {
        at: StepRef,
        title: String,
        playbook: String,
        /// Which try this will be, and how many there may be.
        number: u32,
        of: u32,
        retry_at: Timestamp,
    },
    RunSucceeded {
        run: RunId,
        playbook: String,
        duration_ms: u64,
        /// Whether the playbook looked and saw that the trouble is over.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        verified: bool,
    },
    RunFailed {
        run: RunId,
        playbook: String,
        reason: String,
    },
    RunCancelled {
        run: RunId,
        playbook: String,
        reason: String,
    },
    NotificationQueued {
        notification: u32,
        channel: String,
        person: Option<String>,
        template: String,
        text: Option<String>,
        reason: String,
    },
    NotificationSent {
        notification: u32,
        channel: String,
        person: Option<String>,
        reply: String,
        attempt: u32,
    },
    NotificationFailed {
        notification: u32,
        channel: String,
        person: Option<String>,
        reason: String,
        attempt: u32,
        retry_at: Option<Timestamp>,
    },
    Escalated {
        level: u32,
        round: u32,
        told: Vec<String>,
        nobody: Vec<String>,
        done: u32,
        started_at: Option<Timestamp>,
        late_ms: u64,
        reason: String,
        next_at: Option<Timestamp>,
    },
    Acknowledged {
        note: String,
    },
    Unacknowledged {
        next_at: Option<Timestamp>,
    },
    Snoozed {
        until: Timestamp,
    },
    Assigned {
        to: String,
    },
    Commented {
        text: String,
    },
    Resolved {
        reason: String,
    },
    Reopened {
        reason: String,
        /// Whether it is as it was before the end, acknowledged: a resolve that was taken back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        acknowledged: bool,
    },
    LimitHit {
        run: RunId,
        step: Option<String>,
        limit: String,
        count: u32,
        /// When there is room again; none where that is not a matter of time.
        free_at: Option<Timestamp>,
        /// What holds, in words, where the limit alone does not say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// The run that is at work on the target, in words; `limit` is then the target.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_by: Option<String>,
    },
    AutomationHeld {
        reason: String,
        /// A person, a file, or the settings.
        #[serde(default)]
        by: String,
        /// Since when, if it was held before this incident met it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
        /// Only this playbook's: its breaker has opened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        playbook: Option<String>,
    },
    AutomationReleased {
        reason: String,
        #[serde(default)]
        by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        playbook: Option<String>,
    },
    Recovered {
        /// At most: from the last commit before to the start after.
        down_for_ms: u64,
        /// How late the first thing is that was due here meanwhile.
        #[serde(default)]
        late_ms: u64,
    },
}

fn default_policy() -> String {
    DEFAULT.to_owned()
}

fn one() -> u32 {
    1
}

// Serde hands in references.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(count: &u32) -> bool {
    *count == 1
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What a person says of a step in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    Failed,
}

impl Event {
    /// The kind, as the contract names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::AlertFired { .. } => "alert_fired",
            Self::AlertResolved { .. } => "alert_resolved",
            Self::Classified { .. } => "classified",
            Self::PriorityChanged { .. } => "priority_changed",
            Self::RunStarted { .. } => "run_started",
            Self::StepStarted { .. } => "step_started",
            Self::ApprovalRequested { .. } => "approval_requested",
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "rejected",
            Self::StepSucceeded { .. } => "step_succeeded",
            Self::StepFailed { .. } => "step_failed",
            // For whoever reads kinds it was skipped.
            Self::StepSkipped { .. } | Self::StepShadowed { .. } => "step_skipped",
            Self::StepInDoubt { .. } => "step_in_doubt",
            Self::StepSettled { .. } => "step_settled",
            Self::StepAnsweredLate { .. } => "step_answered_late",
            Self::StepUndone { .. } => "step_undone",
            Self::RunRetried { .. } => "run_retried",
            Self::RunSucceeded { .. } => "run_succeeded",
            Self::RunFailed { .. } => "run_failed",
            Self::RunCancelled { .. } => "run_cancelled",
            Self::NotificationQueued { .. } => "notification_queued",
            Self::NotificationSent { .. } => "notification_sent",
            Self::NotificationFailed { .. } => "notification_failed",
            Self::Escalated { .. } => "escalated",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Unacknowledged { .. } => "unacknowledged",
            Self::Snoozed { .. } => "snoozed",
            Self::Assigned { .. } => "assigned",
            Self::Commented { .. } => "commented",
            Self::Resolved { .. } => "resolved",
            Self::Reopened { .. } => "reopened",
            Self::LimitHit { .. } => "limit_hit",
            Self::AutomationHeld { .. } => "automation_held",
            Self::AutomationReleased { .. } => "automation_released",
            Self::Recovered { .. } => "recovered",
        }
    }

    /// The step this is about, if it is about one.
    pub fn step(&self) -> Option<&StepRef> {
        match self {
            Self::StepStarted { at, .. }
            | Self::ApprovalRequested { at, .. }
            | Self::Approved { at, .. }
            | Self::Rejected { at, .. }
            | Self::StepSucceeded { at, .. }
            | Self::StepFailed { at, .. }
            | Self::StepSkipped { at, .. }
            | Self::StepShadowed { at, .. }
            | Self::StepInDoubt { at, .. }
            | Self::StepSettled { at, .. }
            | Self::StepAnsweredLate { at, .. }
            | Self::StepUndone { at, .. }
            | Self::RunRetried { at, .. } => Some(at),
            _ => None,
        }
    }

    /// The run this is about, if it is about one.
    pub fn run(&self) -> Option<RunId> {
        match self {
            Self::RunStarted { run, .. }
            | Self::RunSucceeded { run, .. }
            | Self::RunFailed { run, .. }
            | Self::RunCancelled { run, .. }
            | Self::LimitHit { run, .. } => Some(*run),
            other => other.step().map(|at| at.run),
        }
    }

    /// The playbook of which this ends a run.
    pub fn ended_playbook(&self) -> Option<&str> {
        match self {
            Self::RunSucceeded { playbook, .. } | Self::RunFailed { playbook, .. } | Self::RunCancelled { playbook, .. } => Some(playbook),
            _ => None,
        }
    }

    pub fn duration_ms(&self) -> Option<u64> {
        match self {
            Self::StepSucceeded { duration_ms, .. }
            | Self::StepFailed { duration_ms, .. }
            | Self::StepUndone { duration_ms, .. }
            | Self::StepAnsweredLate { duration_ms, .. }
            | Self::RunSucceeded { duration_ms, .. } => Some(*duration_ms),
            _ => None,
        }
    }

    /// What happened, as one plain sentence without markup.
    pub fn sentence(&self, actor: &Actor) -> String {
        match self {
            Self::Opened { title, .. } => format!("Opened: {title}"),
            Self::AlertFired { alerts, truncated: 0, .. } => format!("{} fired", alert_count(alerts.len())),
            Self::AlertFired { alerts, truncated, .. } => {
                format!("{} fired; {truncated} more did not fit the delivery", alert_count(alerts.len()))
            }
            Self::AlertResolved { alerts, truncated: 0, .. } => format!("{} resolved", alert_count(alerts.len())),
            Self::AlertResolved { alerts, truncated, .. } => {
                format!("{} resolved; {truncated} more did not fit the delivery", alert_count(alerts.len()))
            }
            Self::Classified { classification, .. } => classified(classification),
            Self::PriorityChanged { from, to, reason, .. } => format!("Priority {from} → {to}: {reason}"),
            Self::RunStarted { playbook, title, .. } => format!("Playbook {playbook} started: {title}"),
            Self::StepStarted { title, items, .. } if !items.is_empty() => format!("\"{title}\" started for {}", item_count(items.len())),
            Self::StepStarted { at, title, action, target, .. } => started(at, title, action, target.as_deref()),
            Self::ApprovalRequested { title, action, target, by, of, expires_at, otherwise, why, .. } => {
                let (deed, who) = (deed(action, target.as_deref()), asked(by, *of));
                let why = why.as_ref().map_or_else(String::new, |why| format!("; {why}"));
                format!("\"{title}\" ({deed}) asks {who} until {expires_at}; without an answer {}{why}", told(*otherwise))
            }
            Self::Approved { title, by, note, missing: 0, .. } => format!("{by} approved \"{title}\"{}", tail(note)),
            Self::Approved { title, by, note, missing, .. } => {
                format!("{by} approved \"{title}\", {missing} more must{}", tail(note))
            }
            Self::Rejected { title, by, note, .. } => format!("{by} rejected \"{title}\"{}", tail(note)),
            Self::StepSucceeded { title, duration_ms, .. } => format!("\"{title}\" succeeded in {}", Span(*duration_ms)),
            Self::StepFailed { at, title, reason, retry_at: Some(_), .. } if at.undo && at.attempt == 0 => {
                format!("Taking \"{title}\" back waits: {reason}")
            }
            Self::StepFailed { at, title, reason, retry_at: Some(_), .. } => {
                format!("\"{title}\" failed on attempt {}, will be tried again: {reason}", at.attempt)
            }
            Self::StepFailed { at, title, reason, .. } if at.undo => format!("\"{title}\" could not be undone: {reason}"),
            Self::StepFailed { title, reason, .. } => format!("\"{title}\" failed: {reason}"),
            Self::StepSkipped { title, reason, .. } => format!("\"{title}\" skipped: {reason}"),
            Self::StepShadowed { title, action, target, why, limit, asks, .. } => {
                let first = if *asks { " after a yes" } else { "" };
                let held = limit.as_ref().map_or_else(String::new, |limit| format!("; the limit {limit} would have held it back"));
                format!("\"{title}\" skipped: {why}; it would have done {}{first}{held}", deed(action, target.as_deref()))
            }
            Self::StepInDoubt { title, reason, .. } => {
                format!("\"{title}\" is in doubt: {reason}. It will not be sent again until a person says what happened")
            }
            Self::StepSettled { title, outcome: Outcome::Succeeded, note, .. } => {
                format!("{actor} says \"{title}\" took effect{}", tail(note))
            }
            Self::StepSettled { title, outcome: Outcome::Failed, note, .. } => {
                format!("{actor} says \"{title}\" did not take effect{}", tail(note))
            }
            Self::StepAnsweredLate { at, title, check, answer, duration_ms, why } => {
                let what = match (at.undo, check) {
                    (true, _) => "Taking back, attempt",
                    (_, true) => "A check of attempt",
                    _ => "Attempt",
                };
                let (attempt, after, said) = (at.attempt, Span(*duration_ms), answer.in_words());
                format!("{what} {attempt} of \"{title}\" answered after {after}, when {why}; that changes nothing: {said}")
            }
            Self::StepUndone { title, left_to: Some(number), .. } => {
                format!("\"{title}\" stays in force: incident {number} needs it too and takes it back when it is over")
            }
            Self::StepUndone { title, .. } => format!("\"{title}\" was undone"),
            Self::RunRetried { title, playbook, number, of, retry_at, .. } => {
                format!("Playbook {playbook} is tried again from \"{title}\" at {retry_at} (try {number} of {of})")
            }
            Self::RunSucceeded { playbook, duration_ms, verified, .. } => {
                let over = if *verified { "; the trouble is over" } else { "" };
                format!("Playbook {playbook} finished in {}{over}", Span(*duration_ms))
            }
            Self::RunFailed { playbook, reason, .. } => format!("Playbook {playbook} failed: {reason}"),
            Self::RunCancelled { playbook, reason, .. } => format!("Playbook {playbook} cancelled: {reason}"),
            Self::NotificationQueued { channel, person, reason, .. } => {
                format!("Telling {}: {reason}", recipient(channel, person.as_deref()))
            }
            Self::NotificationSent { channel, person, .. } => format!("{} was told", recipient(channel, person.as_deref())),
            Self::NotificationFailed { channel, person, reason, retry_at, .. } => {
                format!(
                    "{} could not be told{}: {reason}",
                    recipient(channel, person.as_deref()),
                    if retry_at.is_some() { " yet" } else { "" }
                )
            }
            Self::Escalated { level, round, told, nobody, late_ms, reason, .. } => {
                escalated(*level, *round, told, nobody, *late_ms, reason)
            }
            Self::Acknowledged { note } => format!("Acknowledged by {actor}{}", tail(note)),
            Self::Unacknowledged { .. } if actor.kind() == "engine" => "It counts as not acknowledged any more".to_owned(),
            Self::Unacknowledged { .. } => format!("{actor} took the acknowledgement back"),
            Self::Snoozed { until } => format!("Snoozed by {actor} until {until}"),
            Self::Assigned { to } => format!("Assigned to {to} by {actor}"),
            Self::Commented { text } => text.clone(),
            Self::Resolved { reason } => format!("Resolved: {reason}"),
            Self::Reopened { reason, acknowledged: false } => format!("Reopened: {reason}"),
            Self::Reopened { reason, acknowledged: true } => format!("Reopened, acknowledged as before: {reason}"),
            Self::LimitHit { step: None, limit, count, .. } => {
                format!("Waits for its turn: the limit {limit} is reached ({count} under way)")
            }
            Self::LimitHit { limit, held_by: Some(by), .. } if limit == AUTOMATION_IS_HELD => {
                format!("Does not begin: automation is held by {by}")
            }
            Self::LimitHit { limit, held_by: Some(other), why: None, .. } => format!("Waits for {limit}: {other} is at work on it"),
            Self::LimitHit { limit, held_by: Some(_), why: Some(why), .. } => format!("Waits for {limit}: {why}"),
            Self::LimitHit { limit, why: Some(why), .. } => format!("Held back by the limit {limit}: {why}"),
            Self::LimitHit { limit, count, free_at: Some(free_at), .. } => {
                format!("Held back by the limit {limit} ({count} used); free again at {free_at}")
            }
            Self::LimitHit { limit, count, .. } => format!("Held back by the limit {limit} ({count} used)"),
            Self::AutomationHeld { reason, playbook: Some(playbook), .. } => format!("Playbook {playbook} changes nothing more: {reason}"),
            Self::AutomationHeld { reason, by, since: None, .. } => format!("Automation held by {}{}", named(by, actor), tail(reason)),
            Self::AutomationHeld { reason, by, since: Some(since), .. } => {
                format!("Automation is held by {} since {since}{}", named(by, actor), tail(reason))
            }
            Self::AutomationReleased { reason, playbook: Some(playbook), .. } => {
                format!("{actor} armed playbook {playbook} again{}", tail(reason))
            }
            Self::AutomationReleased { reason, by, .. } => format!("Automation released by {}{}", named(by, actor), tail(reason)),
            Self::Recovered { down_for_ms, late_ms: 0 } => format!("Reynard is back after {} at most", Span(*down_for_ms)),
            Self::Recovered { down_for_ms, late_ms } => {
                format!("Reynard is back after {} at most; what was due here first is {} late", Span(*down_for_ms), Span(*late_ms))
            }
        }
    }
}

/// Whom a notification goes to: `ana by email`, `chat`.
pub fn recipient(channel: &str, person: Option<&str>) -> String {
    person.map_or_else(|| channel.to_owned(), |person| format!("{person} by {channel}"))
}

fn alert_count(n: usize) -> String {
    if n == 1 { "1 alert".to_owned() } else { format!("{n} alerts") }
}

fn classified(c: &Classification) -> String {
    let next = c.next.as_deref().map_or_else(String::new, |next| format!("; without it rule \"{next}\" would have decided"));
    let warnings: String = c.warnings.iter().map(|warning| format!("; {warning}")).collect();
    format!("Classified {} {} by rule \"{}\": {}{next}{warnings}", c.priority, c.kind, c.rule, c.reason)
}

fn started(at: &StepRef, title: &str, action: &str, target: Option<&str>) -> String {
    let deed = deed(action, target);
    let attempt = if at.attempt > 1 { format!(", attempt {}", at.attempt) } else { String::new() };
    if at.undo { format!("Undoing \"{title}\" ({deed}{attempt})") } else { format!("\"{title}\" started ({deed}{attempt})") }
}

/// `postgres.read_only on orders-db`.
pub fn deed(action: &str, target: Option<&str>) -> String {
    target.map_or_else(|| action.to_owned(), |target| format!("{action} on {target}"))
}

/// Whose yes is asked for, and how many.
pub fn asked(by: &[String], of: u32) -> String {
    if of > 1 { format!("{} for {of} yeses", by.join(", ")) } else { format!("{} for a yes", by.join(", ")) }
}

/// What follows when nobody answers.
pub fn told(otherwise: Otherwise) -> &'static str {
    match otherwise {
        Otherwise::Fail => "the step fails",
        Otherwise::Skip => "it is skipped",
        Otherwise::Continue => "it is done all the same",
    }
}

fn item_count(n: usize) -> String {
    if n == 1 { "1 item".to_owned() } else { format!("{n} items") }
}

fn escalated(level: u32, round: u32, told: &[String], nobody: &[String], late_ms: u64, reason: &str) -> String {
    let round = if round > 1 { format!(", round {round}") } else { String::new() };
    let who = if told.is_empty() { "nobody could be told".to_owned() } else { format!("telling {}", told.join(", ")) };
    let missing = if nobody.is_empty() { String::new() } else { format!("; {}", nobody.join("; ")) };
    let late = if late_ms > 2_000 { format!(" ({} late)", Span(late_ms)) } else { String::new() };
    format!("Level {level}{round}: {who}{missing}{late}: {reason}")
}

/// An earlier version told of nobody but the actor.
fn named<'a>(by: &'a str, actor: &'a Actor) -> &'a str {
    if by.is_empty() { actor.name() } else { by }
}

fn tail(note: &str) -> String {
    if note.is_empty() { String::new() } else { format!(": {note}") }
}
