//! What committed facts add to the metrics. Knows no wire format.

use std::time::Duration;

use crate::domain::decide::observe::knows_type;
use crate::domain::id::DeliveryId;
use crate::domain::incident::Incident;
use crate::domain::settings::Rulebook;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Entry, Event, StepRef};
use crate::engine::metrics::Metrics;

/// Counts the facts of one commit about one incident, which is as they left it.
pub fn tally(metrics: &Metrics, rulebook: &Rulebook, incident: &Incident, entries: &[&Entry], now: Timestamp) {
    let mut delivered = None;
    for entry in entries {
        match &entry.event {
            Event::AlertFired { delivery, .. } => delivered = Some(*delivery),
            Event::StepStarted { .. } => {
                if let Some(received_at) = delivered.take().and_then(received_at) {
                    metrics.first_step(now.since(received_at));
                }
            }
            _ => {}
        }
        count(metrics, rulebook, incident, entry);
    }
}

fn count(metrics: &Metrics, rulebook: &Rulebook, incident: &Incident, entry: &Entry) {
    let step = |at: &StepRef, status, ms| metrics.step(action_of(incident, at), status, Duration::from_millis(ms));
    match &entry.event {
        Event::AlertFired { alerts, .. } => metrics.alerts("firing", alerts.len() as u64),
        Event::AlertResolved { alerts, .. } => metrics.alerts("resolved", alerts.len() as u64),
        Event::Classified { classification, again: false } => {
            // A label may say anything, and each word of it would be a series for ever.
            let kind = classification.kind.as_str();
            let ruled = rulebook.rules.iter().any(|rule| rule.kind.as_deref() == Some(kind));
            metrics.incident(classification.priority, if ruled || knows_type(rulebook, kind) { kind } else { "other" });
        }
        Event::RunStarted { playbook, .. } => metrics.run(playbook, "started"),
        Event::RunSucceeded { playbook, .. } => metrics.run(playbook, "succeeded"),
        Event::RunFailed { playbook, .. } => metrics.run(playbook, "failed"),
        Event::RunCancelled { playbook, .. } => metrics.run(playbook, "cancelled"),
        Event::StepSucceeded { at, duration_ms, .. } => step(at, "succeeded", *duration_ms),
        Event::StepFailed { at, duration_ms, .. } => step(at, "failed", *duration_ms),
        Event::StepUndone { at, duration_ms, .. } => step(at, "undone", *duration_ms),
        Event::StepInDoubt { at, .. } => step(at, "in_doubt", 0),
        Event::NotificationQueued { channel, .. } => metrics.notification(channel, "queued"),
        Event::NotificationSent { channel, .. } => metrics.notification(channel, "sent"),
        Event::NotificationFailed { channel, .. } => metrics.notification(channel, "failed"),
        Event::Escalated { level, .. } => metrics.escalation(*level),
        Event::Acknowledged { .. } if entry.actor.kind() == "engine" => {}
        Event::Acknowledged { .. } => metrics.acknowledged(entry.at.since(incident.opened_at)),
        Event::Resolved { .. } => metrics.resolved(entry.at.since(incident.opened_at)),
        _ => {}
    }
}

fn action_of<'a>(incident: &'a Incident, at: &StepRef) -> &'a str {
    incident.runs.get(&at.run).and_then(|run| run.steps.get(&at.step)).map_or("", |step| step.action.as_str())
}

/// A delivery's id tells when it came.
fn received_at(delivery: DeliveryId) -> Option<Timestamp> {
    let (seconds, nanos) = delivery.0.get_timestamp()?.to_unix();
    Some(Timestamp(i64::try_from(seconds).ok()? * 1_000) + Span(u64::from(nanos / 1_000_000)))
}
