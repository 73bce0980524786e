//! What one commit takes up, how a load that was refused is split so that what is poisoned fails alone, and how that is let go.
//! Knows neither states nor the database.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::domain::decide::command::Observation;
use crate::engine::error::EngineError;
use crate::engine::intake::Key;
use crate::engine::metrics::Metrics;
use crate::engine::pulse::Beat;
use crate::engine::store::DeliveryRow;
use crate::engine::work::{Put, Said, Throw};

/// Worked before anything new.
#[allow(clippy::large_enum_variant, reason = "nearly all of it are commands, and each is moved once or twice")]
pub enum Backlog {
    Said(Said, Beat),
    Put(Put, Beat),
    Throw(Throw, Beat),
}

/// A delivery on its way to the disk.
pub struct Arrival {
    pub row: Arc<DeliveryRow>,
    pub says: Said,
    pub done: oneshot::Sender<Result<(), EngineError>>,
    pub beat: Beat,
    /// What its bytes take up of what may wait. It goes when they go, not when the sender loses patience: its bytes stay in the queue.
    pub room: OwnedSemaphorePermit,
}

/// What one commit takes up.
#[derive(Default)]
pub struct Load {
    pub deliveries: Vec<Arrival>,
    /// Set when working these deliveries was refused: a delivery that cannot be worked is kept all the same.
    pub only_store: bool,
    pub backlog: Vec<Backlog>,
    pub released: Vec<i64>,
    /// Whether this is the last commit of a life that ends in order.
    pub farewell: bool,
    /// Whoever waits for the writer to be done waits for these commits, too.
    pub held: Vec<Waiting>,
}

/// Somebody who waits for a commit, whatever is in it, and hears of it if that was the wish.
pub struct Waiting {
    pub done: Option<oneshot::Sender<()>>,
    pub beat: Beat,
}

impl Load {
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.backlog.is_empty() && self.released.is_empty() && !self.farewell && self.held.is_empty()
    }

    pub fn commands(&self) -> usize {
        self.deliveries.len() + self.backlog.len()
    }

    /// Smaller loads in the same order; itself when there is nothing left to split.
    pub fn split(self) -> Result<Vec<Self>, Self> {
        let stored_at_once = self.only_store || self.deliveries.is_empty();
        let alone = |entry| Self { backlog: vec![entry], ..Self::default() };
        if self.commands() <= 1 && stored_at_once {
            let held = self.held;
            return match split_by_incident(self.backlog) {
                Ok(parts) => Ok(parts
                    .into_iter()
                    .map(alone)
                    .chain([Self { released: self.released, farewell: self.farewell, held, ..Self::default() }])
                    .collect()),
                Err(backlog) => Err(Self { backlog, held, ..self }),
            };
        }
        let only_stored = |deliveries| Self { deliveries, only_store: true, ..Self::default() };
        let mut parts: Vec<Self> = self.backlog.into_iter().map(alone).collect();
        if stored_at_once {
            parts.extend(self.deliveries.into_iter().map(|arrival| only_stored(vec![arrival])));
        } else {
            parts.push(only_stored(self.deliveries));
        }
        parts.push(Self { released: self.released, farewell: self.farewell, held: self.held, ..Self::default() });
        Ok(parts)
    }
}

/// What can never be committed is said and let go, so that everything else goes on.
pub fn give_up(error: &EngineError, poisoned: Load, metrics: &Metrics) {
    for arrival in poisoned.deliveries {
        metrics.poisoned("delivery");
        let _ = arrival.done.send(Err(error.clone()));
    }
    for entry in poisoned.backlog {
        match entry {
            Backlog::Said(said, _) => {
                metrics.poisoned("delivery");
                tracing::error!(delivery = %said.delivery, %error, "The delivery cannot be worked; it stays on disk");
            }
            Backlog::Put(put, _) => {
                metrics.poisoned("command");
                tracing::error!(incident = %put.incident, job = put.settles, %error, "The command cannot be committed");
                if let Some(done) = put.done {
                    let _ = done.send(Err(error.clone()));
                }
            }
            Backlog::Throw(throw, _) => {
                metrics.poisoned("command");
                tracing::error!(by = throw.by, %error, "The switch cannot be thrown; a file named HOLD holds automation, too");
                let _ = throw.done.send(Err(error.clone()));
            }
        }
    }
}

/// One delivery's words, an incident at a time, if it speaks of several: the others' are not lost with the one that is poisoned. Only
/// the last says that the delivery is worked, so that a crash in between repeats it, which changes nothing that is done.
fn split_by_incident(mut backlog: Vec<Backlog>) -> Result<Vec<Backlog>, Vec<Backlog>> {
    match backlog.pop() {
        Some(Backlog::Said(said, beat)) if said.observations.len() > 1 => {
            let last = said.observations.len() - 1;
            let part = |(at, (key, observation)): (usize, (Key, Arc<Observation>))| {
                let position = if at == last { said.position } else { said.position - 1 };
                Backlog::Said(
                    Said { position, observations: [(key, observation)].into(), source: said.source.clone(), delivery: said.delivery },
                    beat.clone(),
                )
            };
            Ok(said.observations.clone().into_iter().enumerate().map(part).collect())
        }
        entry => Err(entry.into_iter().collect()),
    }
}
