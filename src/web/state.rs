//! What every handler of the web room is handed. Knows no routes.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::domain::settings::Source;
use crate::engine::metrics::Metrics;
use crate::engine::runtime::Runtime;

#[derive(Clone)]
pub struct WebState {
    pub runtime: Runtime,
    /// Who may post deliveries; none: only this machine.
    pub sources: Arc<Vec<Source>>,
    pub metrics: Arc<Metrics>,
    /// Cancelled when the server shuts down; streams end on it.
    pub closing: CancellationToken,
}
