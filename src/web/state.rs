//! What every handler of the web room is handed. Knows no routes.

use tokio_util::sync::CancellationToken;

use crate::engine::runtime::Runtime;

#[derive(Clone)]
pub struct WebState {
    pub runtime: Runtime,
    /// Cancelled when the server shuts down; streams end on it.
    pub closing: CancellationToken,
}
