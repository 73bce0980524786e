//! The log lines of committed facts: each reads alone and carries its incident's number and id.

use tracing::Level;

use crate::domain::incident::Incident;
use crate::domain::timeline::{Entry, Event};

/// Says what was committed about one incident.
pub fn narrate(incident: &Incident, entries: &[&Entry]) {
    for entry in entries {
        let (number, id, kind) = (incident.number, incident.id, entry.event.kind());
        let sentence = || entry.event.sentence(&entry.actor);
        // The level of a line must be known when the program is compiled.
        match level(&entry.event) {
            Level::WARN => tracing::warn!(incident = %id, number, seq = entry.seq, kind, "#{number} {}", sentence()),
            Level::INFO => tracing::info!(incident = %id, number, seq = entry.seq, kind, "#{number} {}", sentence()),
            _ => tracing::debug!(incident = %id, number, seq = entry.seq, kind, "#{number} {}", sentence()),
        }
    }
}

fn level(event: &Event) -> Level {
    match event {
        Event::StepInDoubt { .. } | Event::RunFailed { .. } | Event::LimitHit { .. } => Level::WARN,
        Event::NotificationFailed { .. } | Event::StepFailed { .. } => Level::WARN,
        Event::Escalated { told, .. } if told.is_empty() => Level::WARN,
        Event::Opened { .. } | Event::Reopened { .. } | Event::Resolved { .. } | Event::Acknowledged { .. } | Event::Escalated { .. } => {
            Level::INFO
        }
        Event::Classified { .. } | Event::PriorityChanged { .. } | Event::RunSucceeded { .. } | Event::RunCancelled { .. } => Level::INFO,
        Event::RunRetried { .. } | Event::StepSettled { .. } | Event::StepUndone { .. } | Event::StepAnsweredLate { .. } => Level::INFO,
        _ => Level::DEBUG,
    }
}
