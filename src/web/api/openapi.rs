//! The API's own description, derived from the handlers.

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi;

use crate::web::api::{acts, deliveries, health, incidents, metrics, on_call, playbooks, runs};
use crate::web::webhook;

#[derive(OpenApi)]
#[openapi(
    info(title = "Reynard", description = "Incident response: alerts in, playbooks run, people told, one timeline."),
    paths(
        webhook::receive,
        webhook::receive_from,
        deliveries::one,
        incidents::list,
        incidents::one,
        incidents::timeline,
        incidents::alerts,
        incidents::runs,
        acts::acknowledge,
        acts::unacknowledge,
        acts::resolve,
        acts::reopen,
        acts::snooze,
        acts::priority,
        acts::comment,
        acts::assign,
        acts::escalate,
        acts::start_run,
        runs::one,
        runs::cancel,
        runs::skip,
        runs::retry,
        runs::settle,
        runs::approve,
        runs::reject,
        playbooks::list,
        playbooks::one,
        on_call::on_call,
        health::health,
        health::ready,
        health::startup,
        metrics::metrics,
    )
)]
struct Description;

pub async fn openapi() -> Json<openapi::OpenApi> {
    Json(Description::openapi())
}
