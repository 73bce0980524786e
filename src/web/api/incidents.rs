//! Incidents as programs see them: the list, one, its timeline, alerts and runs.
//! Changes nothing; that is `acts`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::decide::scope::incident_url;
use crate::domain::incident::Incident;
use crate::domain::labels::Labels;
use crate::domain::mitigation::{Ends, Grip, Mitigation, by_hand, in_force};
use crate::domain::priority::Priority;
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::domain::timeline::{Actor, Entry};
use crate::engine::store::{AlertRow, IncidentName, IncidentQuery};
use crate::web::api::runs::RunBody;
use crate::web::extract::{Named, Queried};
use crate::web::problem::{Problem, ProblemBody};
use crate::web::state::WebState;

const STATUSES: [&str; 4] = ["open", "triggered", "acknowledged", "resolved"];
const LIST_LIMITS: (u32, u32) = (50, 200);
const LONG_LIMITS: (u32, u32) = (1_000, 5_000);

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The `cursor` of the next page; null on the last.
    pub next: Option<String>,
}

/// An incident.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct IncidentBody {
    /// A UUIDv7.
    pub id: String,
    pub number: u64,
    pub title: String,
    /// `P1` to `P4`.
    pub priority: String,
    /// `triggered`, `acknowledged` or `resolved`.
    pub status: &'static str,
    pub r#type: String,
    pub service: String,
    pub labels: Labels,
    /// RFC 3339, UTC, with milliseconds, as all times are.
    pub opened_at: String,
    pub acknowledged_at: Option<String>,
    pub resolved_at: Option<String>,
    pub alerts: AlertCountsBody,
    pub classification: Option<ClassificationBody>,
    pub escalation: EscalationBody,
    pub runs: Vec<RunLine>,
    /// What automation has put in force and not taken back, the oldest first.
    pub in_force: Vec<MitigationBody>,
    pub assignee: Option<String>,
    /// Grows with each line of the timeline.
    pub version: u64,
    /// The page for people.
    pub url: String,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AlertCountsBody {
    pub firing: u64,
    pub resolved: u64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ClassificationBody {
    pub rule: String,
    pub reason: String,
    pub signals: BTreeMap<String, f64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EscalationBody {
    pub policy: String,
    /// The highest level told; 0 for none yet.
    pub level: u32,
    pub next_at: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RunLine {
    pub id: String,
    pub playbook: String,
    pub revision: String,
    pub status: &'static str,
}

/// Something that automation has put in force and will take back.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MitigationBody {
    pub run: String,
    pub step: String,
    pub title: String,
    pub action: String,
    pub target: Option<String>,
    pub since: Option<String>,
    /// `on_resolve`, `at` or `on_failure`.
    pub ends: &'static str,
    /// For `at`: when.
    pub ends_at: Option<String>,
    /// `in_force`; `perhaps`, when it failed and nobody knows that it did nothing; `undoing`; `stuck`, when that was given up.
    pub status: &'static str,
    /// How a person takes it back without Reynard.
    pub by_hand: String,
}

/// One line of a timeline.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EntryBody {
    /// 1, 2, 3 … without gaps.
    pub seq: u64,
    pub at: String,
    pub kind: &'static str,
    pub actor: ActorBody,
    /// What happened, for people.
    pub sentence: String,
    /// What happened, for programs; its fields depend on the kind.
    pub data: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ActorBody {
    /// `engine`, `person` or `source`.
    pub kind: &'static str,
    pub name: String,
}

/// An alert, as last heard.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct AlertBody {
    pub fingerprint: String,
    /// `firing` or `resolved`.
    pub status: &'static str,
    pub starts_at: String,
    pub changed_at: String,
    pub last_seen_at: String,
    pub labels: Labels,
    pub annotations: Labels,
}

/// Which incidents a list shows; what is left out or empty holds nothing back.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// `open`, `triggered`, `acknowledged`, `resolved` or `all`.
    status: Option<String>,
    /// `P1` to `P4`.
    priority: Option<String>,
    service: Option<String>,
    /// Words in title, service or type.
    q: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Up to 200; 50 if not said.
    limit: Option<String>,
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LongQuery {
    /// `next` of the page before: entries with greater numbers.
    cursor: Option<String>,
    /// Up to 5,000; 1,000 if not said.
    limit: Option<String>,
}

/// Newest first.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents", params(ListQuery),
    responses((status = 200, body = Page<IncidentBody>), (status = 400, body = ProblemBody)))]
pub async fn list(State(web): State<WebState>, Queried(asked): Queried<ListQuery>) -> Result<Json<Page<IncidentBody>>, Problem> {
    let mut query = asked.parsed()?;
    let limit = query.limit as usize;
    query.limit += 1;
    let mut found = web.runtime.reads.incidents(&query).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.number.to_string());
    let rulebook = web.runtime.rulebook();
    Ok(Json(Page { items: found.iter().map(|incident| IncidentBody::new(incident, &rulebook)).collect(), next }))
}

#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "incidents",
    params(("id" = String, Path, description = "The UUID or the short number")),
    responses((status = 200, body = IncidentBody), (status = 404, body = ProblemBody)))]
pub async fn one(State(web): State<WebState>, Named(name): Named) -> Result<Json<IncidentBody>, Problem> {
    let incident = find(&web, name).await?;
    Ok(Json(IncidentBody::new(&incident, &web.runtime.rulebook())))
}

/// Oldest first.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/timeline", tag = "incidents",
    params(("id" = String, Path, description = "The UUID or the short number"), LongQuery),
    responses((status = 200, body = Page<EntryBody>), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn timeline(
    State(web): State<WebState>,
    Named(name): Named,
    Queried(asked): Queried<LongQuery>,
) -> Result<Json<Page<EntryBody>>, Problem> {
    let after = cursor(asked.cursor.as_deref())?.unwrap_or(0);
    let limit = limit(asked.limit.as_deref(), LONG_LIMITS)?;
    let incident = find(&web, name).await?;
    let entries = web.runtime.reads.timeline(incident.id, after, limit).await?;
    let next = entries.last().map(|last| last.seq).filter(|seq| *seq < incident.seq && entries.len() >= limit as usize);
    Ok(Json(Page { items: entries.iter().map(EntryBody::new).collect(), next: next.map(|seq| seq.to_string()) }))
}

/// Firing ones first.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/alerts", tag = "incidents",
    params(("id" = String, Path, description = "The UUID or the short number"), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Page<AlertBody>), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn alerts(
    State(web): State<WebState>,
    Named(name): Named,
    Queried(asked): Queried<LongQuery>,
) -> Result<Json<Page<AlertBody>>, Problem> {
    let limit = limit(asked.limit.as_deref(), LONG_LIMITS)?;
    let incident = find(&web, name).await?;
    let alerts = web.runtime.reads.alerts(incident.id, limit).await?;
    Ok(Json(Page { items: alerts.into_iter().map(AlertBody::new).collect(), next: None }))
}

/// In the order they started.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/runs", tag = "incidents",
    params(("id" = String, Path, description = "The UUID or the short number")),
    responses((status = 200, body = Page<RunBody>), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub async fn runs(State(web): State<WebState>, Named(name): Named) -> Result<Json<Page<RunBody>>, Problem> {
    let incident = find(&web, name).await?;
    let rulebook = web.runtime.rulebook();
    let items = incident.runs_in_order().into_iter().map(|run| RunBody::new(&incident, run, &rulebook)).collect();
    Ok(Json(Page { items, next: None }))
}

/// The incident of that name.
pub async fn find(web: &WebState, name: IncidentName) -> Result<Incident, Problem> {
    web.runtime.reads.incident(name).await?.ok_or_else(|| Problem::missing("incident"))
}

/// RFC 3339 of an instant that may not have come.
pub fn instant(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_rfc3339)
}

impl ListQuery {
    fn parsed(self) -> Result<IncidentQuery, Problem> {
        let status = present(self.status).filter(|status| status != "all");
        if let Some(unknown) = status.as_ref().filter(|status| !STATUSES.contains(&status.as_str())) {
            return Err(Problem::unreadable(format!("\"{unknown}\" is not a status; write {} or all", STATUSES.join(", "))));
        }
        let priority = present(self.priority).map(|text| text.parse::<Priority>()).transpose().map_err(Problem::unreadable)?;
        Ok(IncidentQuery {
            status,
            priority: priority.map(Priority::number),
            service: present(self.service),
            q: present(self.q),
            before: cursor(self.cursor.as_deref())?,
            limit: limit(self.limit.as_deref(), LIST_LIMITS)?,
        })
    }
}

fn present(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn cursor(text: Option<&str>) -> Result<Option<u64>, Problem> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let fault = || Problem::unreadable("the cursor is not one of ours; take it from \"next\" of the page before, or leave it out");
    text.map(|text| text.parse().map_err(|_| fault())).transpose()
}

fn limit(text: Option<&str>, (usual, most): (u32, u32)) -> Result<u32, Problem> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(usual),
        Some(text) => match text.parse::<u32>() {
            Ok(n) if n > 0 => Ok(n.min(most)),
            _ => Err(Problem::unreadable(format!("the limit is a whole number from 1 to {most}"))),
        },
    }
}

impl IncidentBody {
    pub fn new(incident: &Incident, rulebook: &Rulebook) -> Self {
        let classification = incident.classification.as_ref().map(|classification| ClassificationBody {
            rule: classification.rule.clone(),
            reason: classification.reason.clone(),
            signals: classification.signals.clone(),
        });
        let runs = incident.runs_in_order().into_iter().map(|run| RunLine {
            id: run.id.to_string(),
            playbook: run.playbook.clone(),
            revision: run.revision.clone(),
            status: run.status.word(),
        });
        Self {
            id: incident.id.to_string(),
            number: incident.number,
            title: incident.title.clone(),
            priority: incident.priority.to_string(),
            status: incident.status.word(),
            r#type: incident.kind.clone(),
            service: incident.service.clone(),
            labels: incident.labels.clone(),
            opened_at: incident.opened_at.to_rfc3339(),
            acknowledged_at: instant(incident.acknowledged_at),
            resolved_at: instant(incident.resolved_at),
            alerts: AlertCountsBody { firing: incident.counts.firing, resolved: incident.counts.resolved },
            classification,
            escalation: EscalationBody {
                policy: incident.escalation.policy.clone(),
                level: incident.escalation.level,
                next_at: instant(incident.escalation.next_at),
            },
            runs: runs.collect(),
            in_force: in_force(incident, rulebook).iter().map(MitigationBody::new).collect(),
            assignee: incident.assignee.clone(),
            version: incident.seq,
            url: incident_url(rulebook, incident.number),
        }
    }
}

impl MitigationBody {
    fn new(mitigation: &Mitigation<'_>) -> Self {
        let (ends, ends_at) = match mitigation.ends {
            Ends::OnResolve => ("on_resolve", None),
            Ends::OnFailure => ("on_failure", None),
            Ends::At(at) => ("at", Some(at.to_rfc3339())),
        };
        let state = mitigation.state;
        Self {
            run: mitigation.run.id.to_string(),
            step: mitigation.step.to_owned(),
            title: state.title.clone(),
            action: state.action.clone(),
            target: state.target.clone(),
            since: instant(state.ended_at.or(state.started_at)),
            ends,
            ends_at,
            status: match mitigation.grip {
                Grip::InForce => "in_force",
                Grip::Perhaps => "perhaps",
                Grip::Undoing => "undoing",
                Grip::Stuck => "stuck",
            },
            by_hand: by_hand(state),
        }
    }
}

impl EntryBody {
    pub fn new(entry: &Entry) -> Self {
        let step = entry.event.step();
        Self {
            seq: entry.seq,
            at: entry.at.to_rfc3339(),
            kind: entry.event.kind(),
            actor: ActorBody::new(&entry.actor),
            sentence: entry.event.sentence(&entry.actor),
            data: data(entry),
            run: entry.event.run().map(|run| run.to_string()),
            step: step.map(|step| step.step.clone()),
            attempt: step.map(|step| step.attempt).filter(|attempt| *attempt > 0),
            duration_ms: entry.event.duration_ms(),
        }
    }
}

/// The fact's own fields: the kind stands above, so does the step, and instants are RFC 3339 as everywhere.
fn data(entry: &Entry) -> Map<String, Value> {
    let Ok(Value::Object(mut data)) = serde_json::to_value(&entry.event) else {
        return Map::new();
    };
    data.shift_remove("kind");
    if let Some(step) = data.shift_remove("at")
        && step.get("undo").is_some_and(|undo| undo == true)
    {
        data.insert("undo".to_owned(), Value::Bool(true));
    }
    for (name, value) in &mut data {
        match (name.as_str(), value) {
            ("alerts", Value::Array(alerts)) => alerts.iter_mut().for_each(readable_start),
            (name, value) if name == "until" || name.ends_with("_at") => readable(value),
            _ => {}
        }
    }
    data
}

fn readable_start(alert: &mut Value) {
    if let Some(starts_at) = alert.get_mut("starts_at") {
        readable(starts_at);
    }
}

fn readable(value: &mut Value) {
    if let Some(at) = value.as_i64() {
        *value = Value::String(Timestamp(at).to_rfc3339());
    }
}

impl ActorBody {
    pub fn new(actor: &Actor) -> Self {
        Self { kind: actor.kind(), name: actor.name().to_owned() }
    }
}

impl AlertBody {
    pub fn new(row: AlertRow) -> Self {
        Self {
            fingerprint: row.fingerprint,
            status: if row.mark.firing { "firing" } else { "resolved" },
            starts_at: row.mark.starts_at.to_rfc3339(),
            changed_at: row.mark.changed_at.to_rfc3339(),
            last_seen_at: row.last_seen_at.to_rfc3339(),
            labels: row.mark.labels,
            annotations: row.mark.annotations,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::id::RunId;
    use crate::domain::timeline::{Event, StepRef};

    #[test]
    fn a_step_s_line_names_run_step_and_attempt_once() {
        let at = StepRef { run: RunId::default(), step: "reset".to_owned(), attempt: 2, undo: true };
        let event = Event::StepFailed {
            at,
            title: "Reset".to_owned(),
            reason: "gone".to_owned(),
            retry_at: Some(Timestamp(1_000)),
            duration_ms: 12,
            unsure: false,
        };
        let entry = Entry { seq: 7, at: Timestamp(0), actor: Actor::engine(), event };
        assert_eq!(
            serde_json::to_value(EntryBody::new(&entry)).expect("it is JSON"),
            json!({
                "seq": 7, "at": "1970-01-01T00:00:00.000Z", "kind": "step_failed", "actor": {"kind": "engine", "name": "reynard"},
                "sentence": "\"Reset\" failed on attempt 2, will be tried again: gone",
                "data": {"title": "Reset", "reason": "gone", "retry_at": "1970-01-01T00:00:01.000Z", "duration_ms": 12, "undo": true},
                "run": "00000000-0000-0000-0000-000000000000", "step": "reset", "attempt": 2, "duration_ms": 12
            })
        );
    }
}
