//! What every handler of the web room is handed. Knows no routes.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::domain::settings::Source;
use crate::engine::metrics::Metrics;
use crate::engine::runtime::Runtime;

/// Deliveries being read at once, in KiB; what comes on top is asked to come again.
const INTAKE_KIB: usize = 256 * 1024;

#[derive(Clone)]
pub struct WebState {
    pub runtime: Runtime,
    /// Who may post deliveries; none: only this machine.
    pub sources: Arc<Vec<Source>>,
    pub metrics: Arc<Metrics>,
    /// Cancelled when the server shuts down; streams end on it.
    pub closing: CancellationToken,
    /// Room for deliveries being read, a permit a KiB.
    pub intake: Arc<Semaphore>,
}

impl WebState {
    pub fn new(runtime: Runtime, sources: Vec<Source>, metrics: Arc<Metrics>, closing: CancellationToken) -> Self {
        Self { runtime, sources: Arc::new(sources), metrics, closing, intake: Arc::new(Semaphore::new(INTAKE_KIB)) }
    }
}
