//! What the writer is asked to do, and what it asks of the worker. Knows nothing of how either does it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::domain::decide::command::{Command, Observation};
use crate::domain::hold::Holds;
use crate::domain::id::{DeliveryId, IncidentId};
use crate::domain::settings::Rulebook;
use crate::domain::timeline::Actor;
use crate::engine::brief::Brief;
use crate::engine::error::EngineError;
use crate::engine::intake::{self, Key};
use crate::engine::pulse::Beat;
use crate::engine::request::Named;
use crate::engine::store::{Delivery, DeliveryRow, Horizon, Job, LetGo, StoreError};
use crate::engine::wire;

/// Something for the writer to do.
pub enum Work {
    /// Store a delivery and work what it says, in one commit.
    Deliver {
        row: Arc<DeliveryRow>,
        says: Said,
        done: oneshot::Sender<Result<(), EngineError>>,
        room: OwnedSemaphorePermit,
    },
    Put(Put),
    /// Attempts that a shutdown found not begun.
    Release(Vec<i64>),
    /// The last commit of a life that ends in order: until then it was there.
    Farewell,
    /// Somebody holds automation or releases it.
    Throw(Throw),
    /// A commit of its own: it looks at what else holds automation, and shows that commits can be made.
    Look {
        done: Option<oneshot::Sender<()>>,
    },
    /// Let a slice of what is too old go, once nothing else waits; answers how much went, none if something else waited.
    LetGo {
        horizon: Horizon,
        done: oneshot::Sender<Option<LetGo>>,
    },
    /// What a worker needs to know for a job.
    Brief {
        job: Job,
        done: Briefing,
    },
}

/// Where a brief goes; none when the job's reason is gone.
pub type Briefing = oneshot::Sender<Result<Option<Brief>, StoreError>>;

/// A command to one incident.
pub struct Put {
    pub incident: IncidentId,
    pub actor: Actor,
    pub command: Command,
    /// The job that asked; settled in the same commit.
    pub settles: Option<i64>,
    /// Where it lay in the inbox: the commit takes it out of there.
    pub from_inbox: Option<DeliveryId>,
    /// A person's idempotency key, and what it was used for.
    pub request: Option<Named>,
    pub done: Option<oneshot::Sender<Result<u64, EngineError>>>,
}

/// A person throws the red switch.
pub struct Throw {
    pub by: String,
    pub reason: String,
    pub wish: Wish,
    pub done: oneshot::Sender<Result<Holds, EngineError>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing destructive begins from that commit on; with `cancel`, what is under way is cancelled.
    Hold { cancel: bool },
    /// What waited for it begins, or is left out.
    Release { leave_out: bool },
}

/// What a delivery says, to be worked with the commit that stores it or, if that is refused, in one of its own.
#[derive(Clone, Debug)]
pub struct Said {
    pub delivery: DeliveryId,
    /// Where it stands among all deliveries; known once it is stored.
    pub position: i64,
    pub source: String,
    pub observations: BTreeMap<Key, Arc<Observation>>,
}

/// Work with the mark that it is under way.
pub struct Item {
    pub work: Work,
    pub beat: Beat,
}

/// A job that a commit asked for, with its brief when it is due at once.
pub struct Asked {
    pub job: Job,
    pub brief: Option<Brief>,
}

/// What a delivery says, sorted by whom it speaks of.
pub fn said(delivery: &Delivery, mut parsed: wire::Parsed, rulebook: &Rulebook) -> Said {
    // A watchdog is no trouble: it is only missed.
    if let Some(dog) = rulebook.watchdogs.get(&delivery.source) {
        parsed.alerts.retain(|alert| !alert.is_of(dog));
    }
    let observations = intake::observations(delivery.id, &delivery.source, parsed, &rulebook.incidents, delivery.received_at);
    Said { delivery: delivery.id, position: 0, source: delivery.source.clone(), observations }
}
