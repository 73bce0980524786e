//! What a person should know before they answer for a step: its attempts, how far limits are used up, and what it did the last times.
//! Reads and adds up; shows nothing.

use crate::domain::evidence::{Attempted, attempts};
use crate::domain::id::{IncidentId, RunId};
use crate::domain::incident::Incident;
use crate::domain::limits::{Ask, Gauge, LONGEST_WINDOW, gauges};
use crate::domain::run::{Run, StepStatus};
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::engine::store::{IncidentName, IncidentQuery, Reads, StoreError};

/// How many earlier runs are looked at, and how many of those that came to the step are told.
const LOOKED_AT: u32 = 20;
const TOLD: usize = 5;
/// How many of the newest entries are looked through for the step's attempts.
const ENTRIES: u32 = 1_000;

#[derive(Clone, Debug, Default)]
pub struct Record {
    pub attempts: Vec<Attempted>,
    pub gauges: Vec<Gauge>,
    pub before: Vec<Past>,
}

/// How the same step ended in an earlier run.
#[derive(Clone, Debug)]
pub struct Past {
    pub incident: u64,
    pub run: RunId,
    pub at: Timestamp,
    pub status: StepStatus,
    pub reason: Option<String>,
    pub took_ms: Option<u64>,
}

pub async fn record(
    reads: &dyn Reads,
    (incident, run, step): (&Incident, &Run, &str),
    rulebook: &Rulebook,
    now: Timestamp,
) -> Result<Record, StoreError> {
    let mut entries = reads.timeline_backwards(incident.id, incident.seq.saturating_add(1), ENTRIES).await?;
    entries.reverse();
    let playbook = rulebook.revisions.get(&run.revision);
    let planned = playbook.and_then(|playbook| playbook.step(step));
    let gauges = match planned.filter(|step| step.destructive) {
        Some(step) => {
            let service = rulebook.service_of(step.target.as_deref(), &incident.service);
            let ask = Ask {
                playbook: &run.playbook,
                target: step.target.as_deref(),
                service: service.as_deref(),
                own_per_target: playbook.and_then(|playbook| playbook.limits.per_target),
            };
            gauges(reads.spent_since(now - LONGEST_WINDOW).await?.iter(), ask, &rulebook.limits, now)
        }
        None => Vec::new(),
    };
    let earlier = reads.last_runs(&run.playbook, LOOKED_AT).await?;
    let before = earlier.iter().filter(|(_, past)| past.id != run.id).filter_map(|(number, past)| of_step(*number, past, step));
    Ok(Record { attempts: attempts(&entries, run.id, step), gauges, before: before.take(TOLD).collect() })
}

/// The incident on whose timeline a playbook's open breaker is armed again: the one that opened it, else the newest there is.
pub async fn armed_by(reads: &dyn Reads, playbook: &str) -> Result<Option<IncidentId>, StoreError> {
    let opened = reads.breakers().await?.into_iter().find(|breaker| breaker.playbook == playbook).and_then(|breaker| breaker.opened);
    let Some(opened) = opened else { return Ok(None) };
    if reads.incident(IncidentName::Id(opened.incident)).await?.is_some() {
        return Ok(Some(opened.incident));
    }
    let newest = reads.incidents(&IncidentQuery { limit: 1, ..IncidentQuery::default() }).await?;
    Ok(newest.first().map(|incident| incident.id))
}

/// None where the earlier run did not come to the step.
fn of_step(incident: u64, run: &Run, step: &str) -> Option<Past> {
    let state = run.steps.get(step).filter(|state| state.status.is_over())?;
    let at = state.started_at.or(state.ended_at).unwrap_or(run.started_at);
    let took_ms = state.started_at.zip(state.ended_at).map(|(began, ended)| ended.since(began).as_millis());
    Some(Past { incident, run: run.id, at, status: state.status, reason: state.reason.clone().filter(|why| !why.is_empty()), took_ms })
}
