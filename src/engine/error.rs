//! Why the engine did not do what it was asked. Knows no HTTP; the web gives each its status.

use crate::domain::decide::command::Refusal;
use crate::engine::store::StoreError;

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
    #[error("this Idempotency-Key was used for another request; take a new key for a new wish")]
    KeyReused,
    #[error("{0}")]
    Unavailable(String),
    /// Another node does the work; its name.
    #[error("this node stands by; {0} is active")]
    StandingBy(String),
    /// Why a node cannot be given the work.
    #[error("{0}")]
    NoHeir(String),
    /// A mistake of ours; sending it again does not help.
    #[error("Reynard made a mistake: {0}")]
    Mistake(String),
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
