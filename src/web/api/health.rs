//! Whether Reynard is well, takes work, has started: for load balancers, orchestrators and people.
//! Says how things are, never why in the words of a database.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use crate::web::state::WebState;

/// A database that takes longer than this to count counts as gone.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct HealthBody {
    /// `healthy`, `degraded` or `unhealthy`; 503 goes with the last.
    pub status: &'static str,
    pub timestamp: String,
    pub checks: BTreeMap<&'static str, CheckBody>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CheckBody {
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

type Answer = (StatusCode, Json<HealthBody>);

/// Everything that must be well for alerts to reach people.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn health(State(web): State<WebState>) -> Answer {
    // A node that stands by is well: whether it takes work is another question.
    let engine = standing_by(&web).map_or_else(|| engine(&web), |detail| CheckBody { status: "healthy", detail: Some(detail) });
    let checks =
        BTreeMap::from([("database", database(&web).await), ("engine", engine), ("playbooks", playbooks(&web)), ("watch", watch(&web))]);
    answer(&web, checks)
}

/// Whether it takes deliveries and acts: a load balancer asks this. A node that stands by takes both for the active one.
#[utoipa::path(get, path = "/ready", tag = "health", responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn ready(State(web): State<WebState>) -> Answer {
    let stands_by = |detail| match web.runtime.health().detail {
        None if !web.closing.is_cancelled() => CheckBody { status: "healthy", detail: Some(detail) },
        None => CheckBody::unhealthy("shutting down"),
        Some(_) => CheckBody::unhealthy("standing by, and the database does not answer; the log says why"),
    };
    let engine = standing_by(&web).map_or_else(|| engine(&web), stands_by);
    answer(&web, BTreeMap::from([("engine", engine)]))
}

/// Whether this is the node that does the work; always so where there is only one.
#[utoipa::path(get, path = "/active", tag = "health", responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn active(State(web): State<WebState>) -> Answer {
    let engine = standing_by(&web).map_or_else(|| engine(&web), |detail| CheckBody::unhealthy(&detail));
    answer(&web, BTreeMap::from([("engine", engine), ("watch", watch(&web))]))
}

/// Whether the start is over.
#[utoipa::path(get, path = "/startup", tag = "health", responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub async fn startup(State(web): State<WebState>) -> Answer {
    let check = if web.runtime.health().started { CheckBody::healthy() } else { CheckBody::unhealthy("still starting") };
    answer(&web, BTreeMap::from([("startup", check)]))
}

fn answer(web: &WebState, checks: BTreeMap<&'static str, CheckBody>) -> Answer {
    let any = |status| checks.values().any(|check| check.status == status);
    let (code, status) = match (any("unhealthy"), any("degraded")) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
        (false, true) => (StatusCode::OK, "degraded"),
        (false, false) => (StatusCode::OK, "healthy"),
    };
    (code, Json(HealthBody { status, timestamp: web.runtime.clock.now().to_rfc3339(), checks }))
}

async fn database(web: &WebState) -> CheckBody {
    match tokio::time::timeout(PATIENCE, web.runtime.reads.totals()).await {
        Ok(Ok(_)) => CheckBody::healthy(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "health: the database does not answer");
            CheckBody::unhealthy("the database does not answer; the log says why")
        }
        Err(_) => CheckBody::unhealthy("the database takes too long to answer"),
    }
}

fn standing_by(web: &WebState) -> Option<String> {
    match web.runtime.health().standing_by?.as_str() {
        "" => Some("standing by; another node is about to be active".to_owned()),
        node => Some(format!("standing by; {node} is active")),
    }
}

fn engine(web: &WebState) -> CheckBody {
    let health = web.runtime.health();
    match (health.ready && !web.closing.is_cancelled(), health.detail) {
        (true, None) => CheckBody::healthy(),
        (ready, detail) => {
            if let Some(detail) = detail {
                tracing::debug!(%detail, "health: the engine");
            }
            match (ready, health.started, web.closing.is_cancelled()) {
                (true, ..) => CheckBody { status: "degraded", detail: Some("the last commit failed; the log says why".to_owned()) },
                (_, _, true) => CheckBody::unhealthy("shutting down"),
                (_, false, _) => CheckBody::unhealthy("still starting"),
                _ => CheckBody::unhealthy("no work is taken now; the log says why"),
            }
        }
    }
}

/// What the last look at itself found. It takes work all the same: another node would not do it better.
fn watch(web: &WebState) -> CheckBody {
    let faults: Vec<String> = web.runtime.faults().into_iter().map(|fault| fault.words).collect();
    if faults.is_empty() { CheckBody::healthy() } else { CheckBody { status: "degraded", detail: Some(faults.join("; ")) } }
}

fn playbooks(web: &WebState) -> CheckBody {
    match web.runtime.rulebook().broken.len() {
        0 => CheckBody::healthy(),
        n => CheckBody { status: "degraded", detail: Some(format!("{n} broken; see /api/v1/playbooks")) },
    }
}

impl CheckBody {
    fn healthy() -> Self {
        Self { status: "healthy", detail: None }
    }

    fn unhealthy(detail: &str) -> Self {
        Self { status: "unhealthy", detail: Some(detail.to_owned()) }
    }
}
