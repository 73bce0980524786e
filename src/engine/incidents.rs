//! The incidents that the writer has in memory, by id and by key. Knows no database: what is not here is brought in by the writer.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::time::Timestamp;
use crate::engine::intake::Key;

/// Incidents in memory beyond which those are forgotten that nobody speaks of at the moment.
const MOST: usize = 10_000;

/// One incident in memory.
pub struct Held {
    pub key: Key,
    /// Shared with the commit that writes it, and nobody else's by the next decision.
    pub state: Arc<Incident>,
    /// When having heard of it was last written down.
    pub heard_saved_at: Timestamp,
}

/// What the writer has in memory. The rows are the truth: anything may be forgotten at any time.
#[derive(Default)]
pub struct Incidents {
    held: HashMap<IncidentId, Held>,
    by_key: HashMap<Key, IncidentId>,
    /// Brought in since the last commit; those that are over need not stay.
    visitors: Vec<IncidentId>,
}

impl Incidents {
    pub fn get(&self, id: IncidentId) -> Option<&Held> {
        self.held.get(&id)
    }

    pub fn get_mut(&mut self, id: IncidentId) -> Option<&mut Held> {
        self.held.get_mut(&id)
    }

    pub fn state(&self, id: IncidentId) -> Option<&Incident> {
        self.held.get(&id).map(|held| held.state.as_ref())
    }

    pub fn contains(&self, id: IncidentId) -> bool {
        self.held.contains_key(&id)
    }

    /// The newest incident of a key.
    pub fn of_key(&self, key: &Key) -> Option<IncidentId> {
        self.by_key.get(key).copied()
    }

    /// Takes in the newest incident of its key, which answers to it from now on.
    pub fn remember(&mut self, key: Key, state: Incident) {
        self.by_key.insert(key.clone(), state.id);
        self.visit(key, state);
    }

    /// Takes in one that may be over, or not the newest of its key: it leaves with the next commit if it is over then.
    pub fn visit(&mut self, key: Key, state: Incident) {
        self.visitors.push(state.id);
        let heard_saved_at = state.heard_at;
        self.held.entry(state.id).or_insert_with(|| Held { key, state: Arc::new(state), heard_saved_at });
    }

    pub fn forget(&mut self, id: IncidentId) {
        if let Some(held) = self.held.remove(&id)
            && self.by_key.get(&held.key) == Some(&id)
        {
            self.by_key.remove(&held.key);
        }
    }

    /// Forgets those of the touched and of the visitors that are over; and, where memory holds too many, all that were not touched.
    pub fn forget_over(&mut self, touched: &BTreeSet<IncidentId>) {
        let visitors = std::mem::take(&mut self.visitors);
        for id in touched.iter().copied().chain(visitors) {
            if self.state(id).is_some_and(|state| !state.is_open()) {
                self.forget(id);
            }
        }
        if self.held.len() > MOST {
            self.held.retain(|id, _| touched.contains(id));
            self.by_key.retain(|_, id| touched.contains(id));
        }
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
