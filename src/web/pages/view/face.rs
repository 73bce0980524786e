//! How each kind of timeline entry looks: an icon, a word, the filter it belongs to, its weight. Knows no HTML.

use crate::domain::run::{RunStatus, StepStatus};
use crate::domain::timeline::Event;

/// Which of the timeline's filters shows an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    People,
    Machine,
    Messages,
    Alerts,
}

impl Group {
    pub const ALL: [Self; 4] = [Self::People, Self::Machine, Self::Messages, Self::Alerts];

    pub fn word(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Machine => "machine",
            Self::Messages => "messages",
            Self::Alerts => "alerts",
        }
    }

    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.word() == word)
    }
}

/// An entry's looks. `tone` is a colour's name in the style sheet: bad, good, wait, doubt, calm, minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Face {
    pub icon: &'static str,
    pub word: &'static str,
    pub tone: &'static str,
    pub group: Group,
}

/// Every kind has a face; the compiler sees to it.
pub fn face(event: &Event) -> Face {
    use Group::{Alerts, Machine, Messages, People};
    let (icon, word, tone, group) = match event {
        Event::Opened { .. } => ("bell", "opened", "bad", Alerts),
        Event::AlertFired { .. } => ("flame", "firing", "bad", Alerts),
        Event::AlertResolved { .. } => ("check", "alert over", "good", Alerts),
        Event::Classified { .. } => ("scale", "classified", "calm", Machine),
        Event::PriorityChanged { .. } => ("scale", "priority", "wait", People),
        Event::RunStarted { .. } => ("play", "playbook", "calm", Machine),
        Event::StepStarted { .. } => ("dot", "step started", "minor", Machine),
        Event::ApprovalRequested { .. } => ("person", "asks for a yes", "wait", Machine),
        Event::Approved { .. } => ("check", "approved", "good", People),
        Event::Rejected { .. } => ("cross", "rejected", "bad", People),
        Event::StepSucceeded { .. } => ("check", "step done", "good", Machine),
        Event::StepFailed { retry_at: Some(_), .. } => ("again", "will retry", "wait", Machine),
        Event::StepFailed { .. } => ("cross", "step failed", "bad", Machine),
        Event::StepSkipped { .. } => ("skip", "skipped", "minor", Machine),
        Event::StepShadowed { .. } => ("skip", "would have", "calm", Machine),
        Event::StepInDoubt { .. } => ("doubt", "in doubt", "doubt", Machine),
        Event::StepSettled { .. } => ("person", "settled", "calm", People),
        Event::StepAnsweredLate { .. } => ("clock", "answered late", "calm", Machine),
        Event::StepUndone { .. } => ("undo", "undone", "calm", Machine),
        Event::RunRetried { .. } => ("again", "tried again", "wait", Machine),
        Event::RunSucceeded { verified: true, .. } => ("check", "verified", "good", Machine),
        Event::RunSucceeded { .. } => ("check", "playbook done", "good", Machine),
        Event::RunFailed { .. } => ("cross", "playbook failed", "bad", Machine),
        Event::RunCancelled { .. } => ("stop", "cancelled", "wait", Machine),
        Event::NotificationQueued { .. } => ("send", "telling", "minor", Messages),
        Event::NotificationSent { .. } => ("send", "told", "calm", Messages),
        Event::NotificationFailed { .. } => ("cross", "not told", "bad", Messages),
        Event::Escalated { .. } => ("up", "escalated", "wait", Messages),
        Event::Acknowledged { .. } => ("person", "acknowledged", "calm", People),
        Event::Unacknowledged { .. } => ("undo", "un-acknowledged", "wait", People),
        Event::Snoozed { .. } => ("moon", "snoozed", "wait", People),
        Event::Assigned { .. } => ("person", "assigned", "calm", People),
        Event::Commented { .. } => ("comment", "comment", "calm", People),
        Event::Resolved { .. } => ("check", "resolved", "good", People),
        Event::Reopened { .. } => ("again", "reopened", "bad", People),
        Event::LimitHit { .. } => ("stop", "held by limit", "wait", Machine),
        Event::AutomationHeld { .. } => ("stop", "automation held", "wait", Machine),
        Event::AutomationReleased { .. } => ("play", "automation on", "calm", Machine),
        Event::Recovered { .. } => ("again", "recovered", "wait", Machine),
    };
    Face { icon, word, tone, group }
}

/// A step's icon, word and tone.
pub fn step_face(status: StepStatus) -> (&'static str, &'static str, &'static str) {
    match status {
        StepStatus::Pending => ("ring", "to do", "minor"),
        StepStatus::Waiting => ("clock", "waiting", "wait"),
        StepStatus::Running => ("busy", "running", "busy"),
        StepStatus::Succeeded => ("check", "done", "good"),
        StepStatus::Failed => ("cross", "failed", "bad"),
        StepStatus::Skipped => ("skip", "skipped", "minor"),
        StepStatus::InDoubt => ("doubt", "in doubt", "doubt"),
        StepStatus::Undone => ("undo", "undone", "calm"),
    }
}

/// A run's tone.
pub fn run_tone(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Running => "busy",
        RunStatus::Waiting => "wait",
        RunStatus::Succeeded => "good",
        RunStatus::Failed => "bad",
        RunStatus::Cancelled => "minor",
    }
}
