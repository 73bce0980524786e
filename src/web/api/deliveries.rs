//! What became of a webhook call: when it came, which incidents it spoke of, which alerts could not be read.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::engine::store::{DeliveryReport, RejectedAlert};
use crate::web::extract::OfDelivery;
use crate::web::problem::{Problem, ProblemBody};
use crate::web::state::WebState;

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct DeliveryBody {
    pub id: String,
    pub source: String,
    pub received_at: String,
    /// Whether its alerts have reached their incidents.
    pub worked: bool,
    /// The body's size in bytes.
    pub bytes: usize,
    /// UUIDs of the incidents it spoke of.
    pub incidents: Vec<String>,
    pub rejected: Vec<RejectedAlert>,
}

#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, body = DeliveryBody), (status = 404, body = ProblemBody)))]
pub async fn one(State(web): State<WebState>, OfDelivery(id): OfDelivery) -> Result<Json<DeliveryBody>, Problem> {
    let report = web.runtime.reads.delivery(id).await?.ok_or_else(|| Problem::missing("delivery"))?;
    Ok(Json(DeliveryBody::new(report)))
}

impl DeliveryBody {
    fn new(report: DeliveryReport) -> Self {
        Self {
            id: report.delivery.id.to_string(),
            source: report.delivery.source,
            received_at: report.delivery.received_at.to_rfc3339(),
            worked: report.worked,
            bytes: report.delivery.body.len(),
            incidents: report.incidents.iter().map(ToString::to_string).collect(),
            rejected: report.rejected,
        }
    }
}
