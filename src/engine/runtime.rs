//! What the web calls: hand in a delivery, put a command to an incident, look at what is in force, hear of changes.

use std::sync::{Arc, RwLock};

use tokio::sync::broadcast;

use crate::domain::decide::command::{Command, Refusal};
use crate::domain::id::{DeliveryId, IncidentId};
use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::domain::timeline::Actor;
use crate::engine::ports::Clock;
use crate::engine::store::{Change, Reads, RejectedAlert, StoreError};

/// The answer to a delivery that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub delivery: DeliveryId,
    pub alerts: usize,
    pub rejected: Vec<RejectedAlert>,
}

/// Why something was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("there is no such incident")]
    NotFound,
    /// The body cannot be read; says where.
    #[error("{0}")]
    Unreadable(String),
    #[error("{0}")]
    Unavailable(String),
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// How the engine is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether work is taken: started, not shutting down, the database writable.
    pub ready: bool,
    pub started: bool,
    /// Why it is not ready, or what the last commit's error was.
    pub detail: Option<String>,
    pub last_commit_at: Option<Timestamp>,
}

/// The engine as the outside sees it. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    pub reads: Arc<dyn Reads>,
    pub clock: Arc<dyn Clock>,
    rulebook: Arc<RwLock<Arc<Rulebook>>>,
    changes: broadcast::Sender<Change>,
}

impl Runtime {
    /// Stores a delivery and answers once it is on disk; working it comes after.
    pub async fn deliver(&self, _source: &str, _body: Vec<u8>) -> Result<Receipt, EngineError> {
        Err(EngineError::Unavailable("not started".to_owned()))
    }

    /// Puts a command to an incident. With a request key that was seen before, nothing is done again.
    /// Answers the incident's version.
    pub async fn command(&self, _id: IncidentId, _actor: Actor, _command: Command, _request: Option<String>) -> Result<u64, EngineError> {
        Err(EngineError::Unavailable("not started".to_owned()))
    }

    /// The rules in force now.
    pub fn rulebook(&self) -> Arc<Rulebook> {
        self.rulebook.read().map_or_else(|poisoned| poisoned.into_inner().clone(), |guard| guard.clone())
    }

    /// Hears of every commit from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    pub fn health(&self) -> Health {
        Health::default()
    }
}

#[cfg(test)]
impl Runtime {
    /// A runtime that only reads, for tests of the rooms above.
    pub fn reading(reads: Arc<dyn Reads>, clock: Arc<dyn Clock>, rulebook: Rulebook) -> Self {
        Self { reads, clock, rulebook: Arc::new(RwLock::new(Arc::new(rulebook))), changes: broadcast::channel(16).0 }
    }
}
