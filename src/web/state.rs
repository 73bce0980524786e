//! What every handler of the web room is handed. Knows no routes.

use std::ops::Deref;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::domain::settings::Source;
use crate::engine::metrics::Metrics;
use crate::engine::runtime::Runtime;
use crate::engine::sessions::Sessions;
use crate::web::hosts::Hosts;
use crate::web::library::Library;
use crate::web::releasing::Releasing;
use crate::web::sign_in::passwords::SignIn;

/// Deliveries being read at once, in KiB; what comes on top is asked to come again.
const INTAKE_KIB: usize = 256 * 1024;

/// Where playbooks are looked at before anything runs; what stands behind it is joined elsewhere.
pub trait Desk: Send + Sync {
    /// What the check says of a playbook's text, as `reynard check --format json` does.
    fn check(&self, slug: &str, source: &str) -> Value;

    /// What it would do, as `reynard simulate --format json` does; or why that cannot be said.
    fn simulate(&self, slug: &str, source: &str, given: &Value) -> Result<Value, String>;
}

/// Cheap to clone: a request does it once for every layer around its handler.
#[derive(Clone)]
pub struct WebState(Arc<Parts>);

/// What the state holds.
pub struct Parts {
    pub runtime: Runtime,
    /// Who may post deliveries; none: only this machine.
    pub sources: Sources,
    /// By which names this server is called; any, until it is told.
    pub hosts: Hosts,
    /// What releasing automation takes; this machine alone may, until it is told.
    pub releasing: Releasing,
    /// Who may come in as whom; nobody has to show anything, until it is told.
    pub sign_in: SignIn,
    pub metrics: Arc<Metrics>,
    /// Cancelled when the server shuts down; streams end on it.
    pub closing: CancellationToken,
    /// Room for deliveries being read, a permit a KiB.
    pub intake: Semaphore,
    /// Set once, where there are files to edit.
    pub library: OnceLock<Library>,
    /// Set once, where there are files to look at.
    pub desk: OnceLock<Arc<dyn Desk>>,
    /// Set once, where there is a database to keep them in.
    pub sessions: OnceLock<Arc<dyn Sessions>>,
}

impl WebState {
    pub fn new(runtime: Runtime, sources: Vec<Source>, metrics: Arc<Metrics>, closing: CancellationToken) -> Self {
        Self(Arc::new(Parts {
            runtime,
            sources: Sources::new(sources),
            hosts: Hosts::default(),
            releasing: Releasing::default(),
            sign_in: SignIn::default(),
            metrics,
            closing,
            intake: Semaphore::new(INTAKE_KIB),
            library: OnceLock::new(),
            desk: OnceLock::new(),
            sessions: OnceLock::new(),
        }))
    }
}

impl Deref for WebState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Who may post deliveries, replaced as a whole when the settings change; cloning is cheap and means the same ones.
#[derive(Clone, Debug)]
pub struct Sources(Arc<RwLock<Arc<Vec<Source>>>>);

impl Sources {
    pub fn new(sources: Vec<Source>) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(sources))))
    }

    /// Those who may post now.
    pub fn now(&self) -> Arc<Vec<Source>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn replace(&self, sources: Vec<Source>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sources);
    }
}
