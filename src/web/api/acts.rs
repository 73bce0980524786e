//! What a person may do to an incident over HTTP: each verb is one command, answered with the incident as it then is.
//! Decides nothing; the engine may refuse.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::domain::decide::command::Command;
use crate::domain::priority::Priority;
use crate::domain::time::{Span, SpanError, Timestamp};
use crate::engine::store::IncidentName;
use crate::web::api::incidents::{IncidentBody, find};
use crate::web::extract::{Asking, Named, Wish};
use crate::web::problem::{Problem, ProblemBody};
use crate::web::state::WebState;

type Answer = Result<Json<IncidentBody>, Problem>;

/// Words to go with an act; all of it may be left out, so may the body.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Note {
    #[serde(alias = "reason")]
    pub note: String,
    /// Who does it, unless the header `Reynard-Actor` says so.
    pub by: Option<String>,
}

/// How long the incident is to be quiet; one of the two.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Snooze {
    /// Such as `30m` or `2h`.
    pub r#for: Option<String>,
    /// RFC 3339.
    pub until: Option<String>,
    pub by: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriorityWish {
    /// `P1` to `P4`.
    pub priority: String,
    #[serde(default, alias = "note")]
    pub reason: String,
    #[serde(default)]
    pub by: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    pub text: String,
    #[serde(default)]
    pub by: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// A person's name.
    pub to: String,
    #[serde(default)]
    pub by: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The playbook's slug.
    pub playbook: String,
    /// Values for the playbook's `vars`; what is left out has its default.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub vars: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    pub by: Option<String>,
}

/// Says that somebody is on it; escalation stops.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/acknowledge", tag = "incidents", request_body = Note,
    params(("id" = String, Path, description = "The UUID or the short number"),
        ("Idempotency-Key" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = IncidentBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn acknowledge(State(web): State<WebState>, Named(name): Named, asking: Asking, Wish(wish): Wish<Note>) -> Answer {
    act(&web, name, asking, wish.by, Command::Acknowledge { note: wish.note }).await
}

/// Takes the acknowledgement back; escalation starts again.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/unacknowledge", tag = "incidents", request_body = Note,
    params(("id" = String, Path, description = "The UUID or the short number"),
        ("Idempotency-Key" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = IncidentBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn unacknowledge(State(web): State<WebState>, Named(name): Named, asking: Asking, Wish(wish): Wish<Note>) -> Answer {
    act(&web, name, asking, wish.by, Command::Unacknowledge).await
}

/// Ends the incident.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/resolve", tag = "incidents", request_body = Note,
    params(("id" = String, Path, description = "The UUID or the short number"),
        ("Idempotency-Key" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = IncidentBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn resolve(State(web): State<WebState>, Named(name): Named, asking: Asking, Wish(wish): Wish<Note>) -> Answer {
    act(&web, name, asking, wish.by, Command::Resolve { note: wish.note }).await
}

/// Opens a resolved incident again.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/reopen", tag = "incidents", request_body = Note,
    params(("id" = String, Path, description = "The UUID or the short number"),
        ("Idempotency-Key" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = IncidentBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn reopen(State(web): State<WebState>, Named(name): Named, asking: Asking, Wish(wish): Wish<Note>) -> Answer {
    act(&web, name, asking, wish.by, Command::Reopen { note: wish.note }).await
}

/// Keeps escalation quiet for a while.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/snooze", tag = "incidents", request_body = Snooze,
    params(("id" = String, Path, description = "The UUID or the short number"),
        ("Idempotency-Key" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = IncidentBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn snooze(State(web): State<WebState>, Named(name): Named, asking: Asking, Wish(wish): Wish<Snooze>) -> Answer {
    let span = span(&wish, web.runtime.clock.now())?;
    let asking = asking.in_words(&format!("{:?} {:?}", wish.r#for, wish.until));
    act(&web, name, asking, wish.by, Command::Snooze { span }).await
}

/// Sets the priority; a person's choice stays.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/priority", tag = "incidents", request_body = PriorityWish,
    params(("id" = String, Path, description = "The UUID or the short number"),
        ("Idempotency-Key" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = IncidentBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn priority(State(web): State<WebState>, Named(name): Named, asking: Asking, Wish(wish): Wish<PriorityWish>) -> Answer {
    let priority = wish.priority.parse::<Priority>().map_err(Problem::unreadable)?;
    act(&web, name, asking, wish.by, Command::SetPriority { priority, note: wish.reason }).await
}

/// Puts a line of text on the timeline.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/comment", tag = "incidents", request_body = Comment,
    params(("id" = String, Path, description = "The UUID or the short number"),
        ("Idempotency-Key" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = IncidentBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn comment(State(web): State<WebState>, Named(name): Named, asking: Asking, Wish(wish): Wish<Comment>) -> Answer {
    let text = filled("text", &wish.text)?;
    act(&web, name, asking, wish.by, Command::Comment { text }).await
}

/// Says who is on it.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/assign", tag = "incidents", request_body = Assignment,
    params(("id" = String, Path, description = "The UUID or the short number"),
        ("Idempotency-Key" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = IncidentBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn assign(State(web): State<WebState>, Named(name): Named, asking: Asking, Wish(wish): Wish<Assignment>) -> Answer {
    let to = filled("to", &wish.to)?;
    act(&web, name, asking, wish.by, Command::Assign { to }).await
}

/// Tells the next level now.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/escalate", tag = "incidents", request_body = Note,
    params(("id" = String, Path, description = "The UUID or the short number"),
        ("Idempotency-Key" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = IncidentBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn escalate(State(web): State<WebState>, Named(name): Named, asking: Asking, Wish(wish): Wish<Note>) -> Answer {
    act(&web, name, asking, wish.by, Command::Escalate { note: wish.note }).await
}

/// Starts a playbook on the incident.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/runs", tag = "incidents", request_body = Start,
    params(("id" = String, Path, description = "The UUID or the short number"),
        ("Idempotency-Key" = Option<String>, Header), ("Reynard-Actor" = Option<String>, Header)),
    responses((status = 200, body = IncidentBody), (status = 400, body = ProblemBody), (status = 404, body = ProblemBody),
        (status = 409, body = ProblemBody), (status = 422, body = ProblemBody), (status = 503, body = ProblemBody)))]
pub async fn start_run(State(web): State<WebState>, Named(name): Named, asking: Asking, Wish(wish): Wish<Start>) -> Answer {
    let playbook = filled("playbook", &wish.playbook)?;
    act(&web, name, asking, wish.by, Command::StartRun { playbook, vars: wish.vars }).await
}

async fn act(web: &WebState, name: IncidentName, asking: Asking, by: Option<String>, command: Command) -> Answer {
    let actor = asking.actor(by)?;
    let id = match name {
        IncidentName::Id(id) => id,
        IncidentName::Number(_) => find(web, name).await?.id,
    };
    web.runtime.command(id, actor, command, asking.request).await?;
    let incident = find(web, IncidentName::Id(id)).await?;
    Ok(Json(IncidentBody::new(&incident, &web.runtime.rulebook())))
}

fn span(wish: &Snooze, now: Timestamp) -> Result<Span, Problem> {
    let span = match (&wish.r#for, &wish.until) {
        (Some(span), None) => span.parse().map_err(|fault: SpanError| Problem::unreadable(fault.to_string()))?,
        (None, Some(until)) => Timestamp::parse_rfc3339(until)
            .ok_or_else(|| Problem::unreadable("\"until\" is not a time; write for example 2026-11-24T06:00:00Z"))?
            .since(now),
        _ => return Err(Problem::unreadable("say how long: {\"for\": \"30m\"} or {\"until\": \"2026-11-24T06:00:00Z\"}")),
    };
    if span == Span::ZERO { Err(Problem::unreadable("that is over already; a snooze lies ahead")) } else { Ok(span) }
}

fn filled(name: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() { Err(Problem::unreadable(format!("\"{name}\" is empty"))) } else { Ok(text.to_owned()) }
}
