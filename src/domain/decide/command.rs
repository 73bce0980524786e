//! The words of deciding: what may be asked of an incident, what is answered, and what is asked of the world.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::decide::recovery::Outage;
use crate::domain::id::{DeliveryId, IncidentId, RunId};
use crate::domain::labels::Labels;
use crate::domain::path;
use crate::domain::planned::Occurrence;
use crate::domain::priority::Priority;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::Outcome;

/// What a delivery says about one incident.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    pub delivery: DeliveryId,
    pub source: String,
    pub receiver: String,
    pub group_key: String,
    pub alerts: Vec<ObservedAlert>,
    /// Alerts that the sender left out.
    pub truncated: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedAlert {
    pub fingerprint: String,
    pub firing: bool,
    pub starts_at: Timestamp,
    /// Whether its sender did not say when it began, so that the time of receipt stands in for it.
    pub undated: bool,
    /// When it ended, as the sender says; none while it fires.
    pub ends_at: Option<Timestamp>,
    pub labels: Labels,
    pub annotations: Labels,
}

/// A wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Shared, because a commit that fails hears it again.
    Observe(Arc<Observation>),
    /// The numbers that had to be fetched have arrived, or why not.
    Measured {
        signals: BTreeMap<String, f64>,
        warnings: Vec<String>,
    },
    Wake(Wake),
    /// A playbook starts by the clock at such a time.
    Plan(Occurrence),
    /// Another run of its playbook has ended: the run that waited for that may begin.
    Proceed {
        run: RunId,
    },
    Performed(Performed),
    /// An attempt has answered for which nobody waits any more.
    AnsweredLate(LateAnswer),
    /// Reynard is back: what this incident missed meanwhile.
    Recover(Outage),
    /// The attempt was cut off by a crash.
    Interrupted(AttemptRef),
    /// The attempt found automation held before it began.
    Withheld(AttemptRef),
    /// The attempt was put back by an orderly end before it began.
    PutBack(AttemptRef),
    /// Automation is held from now on; what is under way is cancelled if asked for.
    Held {
        cancel: bool,
    },
    /// Automation is released; what waited for that begins, or is left out.
    Released {
        by: String,
        reason: String,
        leave_out: bool,
    },
    Told(Told),
    Acknowledge {
        note: String,
    },
    Unacknowledge,
    Resolve {
        note: String,
    },
    /// Takes a resolve back.
    Unresolve,
    Reopen {
        note: String,
    },
    Snooze {
        span: Span,
    },
    SetPriority {
        priority: Priority,
        note: String,
    },
    Comment {
        text: String,
    },
    Assign {
        to: String,
    },
    Escalate {
        note: String,
    },
    StartRun {
        playbook: String,
        vars: Map<String, Value>,
    },
    CancelRun {
        run: RunId,
        note: String,
    },
    SettleStep {
        run: RunId,
        step: String,
        outcome: Outcome,
        note: String,
    },
    RetryStep {
        run: RunId,
        step: String,
        note: String,
    },
    SkipStep {
        run: RunId,
        step: String,
        note: String,
    },
    /// Another incident is over that had done the same and leaves taking it back to this one.
    Inherit {
        /// Its number.
        from: u64,
        title: String,
        target: String,
    },
    /// A playbook that had failed too often may change things again.
    Rearm {
        playbook: String,
        note: String,
    },
    /// Takes a step back before its time.
    UndoStep {
        run: RunId,
        step: String,
        note: String,
    },
    /// Yes or no to a step that asks.
    AnswerApproval {
        run: RunId,
        step: String,
        yes: bool,
        note: String,
    },
}

impl Command {
    /// The occurrence that it is about: its incident need not be there yet.
    pub fn occurrence(&self) -> Option<&Occurrence> {
        match self {
            Self::Plan(occurrence) | Self::Wake(Wake::Occur { occurrence }) => Some(occurrence),
            _ => None,
        }
    }
}

/// An attempt's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Performed {
    pub attempt: AttemptRef,
    pub result: Result<Value, Failure>,
    pub duration_ms: u64,
}

/// The answer of an attempt for which nobody waits any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LateAnswer {
    pub performed: Performed,
    /// Why nobody waits, in words: `its timeout of 10s had passed`.
    pub why: String,
}

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    Retry(String),
    Fatal(String),
    /// It was not tried: the settings do not admit it here.
    Barred(String),
    /// Nobody knows whether it happened.
    Unknown(String),
}

/// How one sending went.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub notification: u32,
    pub attempt: u32,
    pub outcome: ToldOutcome,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ToldOutcome {
    Sent(String),
    Again { reason: String, after: Option<Span> },
    Never(String),
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRef {
    pub run: RunId,
    pub step: String,
    pub attempt: u32,
    #[serde(default)]
    pub undo: bool,
    /// Whether this runs the step's `check:` to learn what an interrupted attempt did.
    #[serde(default)]
    pub check: bool,
}

impl AttemptRef {
    /// What whoever gets it knows it by: the same over all attempts of a step.
    pub fn key(&self) -> String {
        let (id, visit) = path::split(&self.step);
        let kind = match (self.undo, self.check) {
            (true, _) => ":undo",
            (_, true) => ":check",
            _ => "",
        };
        format!("{}:{id}:{}{kind}", self.run, visit.unwrap_or(1))
    }
}

/// What the core asks of the world; each becomes a job in the same commit as the facts that caused it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Effect {
    Perform { attempt: AttemptRef },
    Send { notification: u32, attempt: u32 },
    Measure,
    Wake { wake: Wake },
}

impl Effect {
    /// The incident that it is about, where that is another one than the one that asked.
    pub fn incident(&self) -> Option<IncidentId> {
        match self {
            Self::Wake { wake: Wake::Occur { occurrence } } => Some(occurrence.incident()),
            _ => None,
        }
    }
}

/// Simply time passing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "wake", rename_all = "snake_case")]
pub enum Wake {
    Escalate {
        generation: u64,
        /// When the plan began whose first level is still to come; a ladder that has begun knows by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        start: Option<Timestamp>,
    },
    Settle {
        since: Timestamp,
    },
    /// Nobody may have spoken of it for long; `since` is the beginning of the life that this watches over, if not the first.
    Stale {
        #[serde(default)]
        since: Option<Timestamp>,
    },
    /// A wait is over, a retry is due, a limit may have room again.
    Step {
        run: RunId,
        step: Option<String>,
        attempt: u32,
    },
    Undo {
        run: RunId,
        step: String,
    },
    /// A request for a yes expires.
    Approval {
        run: RunId,
        step: String,
    },
    /// A run has had all its time.
    RunOut {
        run: RunId,
    },
    /// A playbook starts by the clock. This timer stands under the incident that it opens.
    Occur {
        occurrence: Occurrence,
    },
    /// A person's later way of being told is due.
    Tell {
        generation: u64,
        channel: String,
        person: Option<String>,
        template: String,
        #[serde(default)]
        text: Option<String>,
        reason: String,
    },
}

/// An effect and when it is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    pub at: Timestamp,
    pub effect: Effect,
}

/// A polite no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the incident is resolved; reopen it first")]
    Resolved,
    #[error("step \"{step}\" cannot be taken back: {action} has no opposite here")]
    NotUndoable { step: String, action: String },
    #[error("incident {number} has taken over what it was about, and hears of its alerts; reopen that one, or work there")]
    Superseded { number: u64 },
    #[error("the incident is not resolved")]
    NotResolved,
    #[error("{by} acknowledged it already")]
    AlreadyAcknowledged { by: String },
    #[error("nobody has acknowledged it")]
    NotAcknowledged,
    #[error("there is no playbook \"{0}\"; the playbooks page lists those that can start")]
    UnknownPlaybook(String),
    #[error("the incident has no such run")]
    UnknownRun,
    #[error("the run is over")]
    RunOver,
    #[error("a step of the run has failed; it ends when what runs beside that step has ended")]
    RunEnding,
    #[error("step \"{step}\" asks for no approval now; skip it, retry it or cancel the run")]
    AsksNothing { step: String },
    #[error("{by} asked for this run, so somebody else must approve it")]
    OwnRequest { by: String },
    #[error("{by} may not answer this; it is for {who}")]
    NotYours { by: String, who: String },
    #[error("the run has no step \"{0}\"")]
    UnknownStep(String),
    #[error("step \"{step}\" is {status}, so this cannot be said of it")]
    StepNot { step: String, status: &'static str },
    #[error("automation is held by {0}; release it first")]
    AutomationHeld(String),
    #[error("nobody holds automation")]
    NotHeld,
    #[error("no person holds automation, but {0}; what holds it must let go itself: take the file away, or change the setting")]
    HeldOtherwise(String),
    #[error("{0}")]
    Invalid(String),
}
