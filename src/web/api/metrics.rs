//! Serves the numbers to Prometheus; those that are a state rather than a count are read when asked for.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::engine::metrics;
use crate::web::problem::Problem;
use crate::web::state::WebState;

/// Longer than this and the scrape goes on with the numbers of before.
const PATIENCE: Duration = Duration::from_secs(1);

#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub async fn metrics(State(web): State<WebState>) -> Result<impl IntoResponse, Problem> {
    if let Ok(Ok(totals)) = tokio::time::timeout(PATIENCE, web.runtime.reads.totals()).await {
        web.metrics.incidents_open(totals.open);
        web.metrics.jobs_pending("all", totals.jobs_pending);
        web.metrics.automation_held(!totals.holds.are_none());
    }
    if let Ok(Ok(overview)) = tokio::time::timeout(PATIENCE, web.runtime.reads.overview(web.runtime.clock.now())).await {
        web.metrics.nodes(&overview);
    }
    let text = web.metrics.text().map_err(Problem::fault)?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}
