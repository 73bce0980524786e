//! Who is on call, by schedule, now or at another time.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;
use crate::web::extract::Queried;
use crate::web::problem::{Problem, ProblemBody};
use crate::web::state::WebState;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OnCallQuery {
    /// RFC 3339; now if not said.
    at: Option<String>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OnCallBody {
    pub at: String,
    pub schedules: Vec<OnCallLine>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct OnCallLine {
    pub schedule: String,
    pub time_zone: String,
    pub people: Vec<String>,
}

#[utoipa::path(get, path = "/api/v1/on-call", tag = "on-call", params(OnCallQuery),
    responses((status = 200, body = OnCallBody), (status = 400, body = ProblemBody)))]
pub async fn on_call(State(web): State<WebState>, Queried(asked): Queried<OnCallQuery>) -> Result<Json<OnCallBody>, Problem> {
    let at = match asked.at.as_deref().map(str::trim).filter(|at| !at.is_empty()) {
        Some(text) => Timestamp::parse_rfc3339(text)
            .ok_or_else(|| Problem::unreadable("\"at\" is not a time; write for example 2026-11-24T06:00:00Z"))?,
        None => web.runtime.clock.now(),
    };
    let rulebook = web.runtime.rulebook();
    let schedules = rulebook.directory.schedules.iter().map(|(name, schedule)| OnCallLine {
        schedule: name.clone(),
        time_zone: schedule.time_zone.name().to_owned(),
        people: schedule.on_call_at(at),
    });
    Ok(Json(OnCallBody { at: at.to_rfc3339(), schedules: schedules.collect() }))
}
