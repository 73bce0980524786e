//! What the writer, the worker, the keeper and the outside share: the clock, the rules and hands in force, how the engine is.
//! Knows no loop.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use tokio::sync::broadcast;

use crate::domain::settings::Rulebook;
use crate::domain::time::Timestamp;
use crate::domain::watch::{Check, Fault};
use crate::engine::cut::Cuts;
use crate::engine::gate::Gate;
use crate::engine::metrics::Metrics;
use crate::engine::ports::{Action, Brake, Clock, Heart, Sender};
use crate::engine::pulse::Pulse;
use crate::engine::render::Messages;
use crate::engine::store::{Change, StoreError};

/// Commits that a slow listener may lag behind before it has to look for itself.
const CHANGES: usize = 1_024;

/// How the engine is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether work is taken: started, not shutting down, the database writable.
    pub ready: bool,
    pub started: bool,
    /// Why it is not ready.
    pub detail: Option<String>,
    /// The node that does the work while this one stands by.
    pub standing_by: Option<String>,
    pub last_commit_at: Option<Timestamp>,
}

/// What reaches into the world: actions, senders and the words they use.
#[derive(Clone, Default)]
pub struct Hands {
    pub actions: BTreeMap<&'static str, Arc<dyn Action>>,
    pub senders: BTreeMap<String, Arc<dyn Sender>>,
    pub messages: Arc<Messages>,
    /// What holds automation besides people and settings.
    pub brake: Option<Arc<dyn Brake>>,
    /// Somebody outside who hears that all is well.
    pub heart: Option<Arc<dyn Heart>>,
}

/// What the writer, the worker and the outside share.
pub struct Shared {
    pub clock: Arc<dyn Clock>,
    pub pulse: Pulse,
    pub metrics: Arc<Metrics>,
    /// What every attempt that changes things passes before it begins.
    pub gate: Gate,
    /// What ends the attempts of a run that is cancelled.
    pub cuts: Cuts,
    rulebook: RwLock<Arc<Rulebook>>,
    hands: RwLock<Hands>,
    health: RwLock<Health>,
    /// What the last look at itself found wrong.
    faults: RwLock<Vec<Fault>>,
    /// When each source's watchdog was last heard.
    watchdogs: RwLock<BTreeMap<String, Timestamp>>,
    changes: broadcast::Sender<Change>,
}

impl Shared {
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, rulebook: Arc<Rulebook>, hands: Hands) -> Self {
        Self {
            clock,
            pulse: Pulse::default(),
            metrics,
            gate: Gate::default(),
            cuts: Cuts::default(),
            rulebook: RwLock::new(rulebook),
            hands: RwLock::new(hands),
            health: RwLock::default(),
            faults: RwLock::default(),
            watchdogs: RwLock::default(),
            changes: broadcast::channel(CHANGES).0,
        }
    }

    /// The rules in force now.
    pub fn rulebook(&self) -> Arc<Rulebook> {
        read(&self.rulebook).clone()
    }

    pub fn hands(&self) -> Hands {
        read(&self.hands).clone()
    }

    /// Puts other rules in force; what runs keeps its revision.
    pub fn replace_rulebook(&self, rulebook: Rulebook) {
        change(&self.rulebook, |current| *current = Arc::new(rulebook));
    }

    pub fn replace_hands(&self, hands: Hands) {
        change(&self.hands, |current| *current = hands);
    }

    pub fn health(&self) -> Health {
        read(&self.health).clone()
    }

    /// The clock, and never before the last commit: what a commit asked for at once is due at once, wherever the clock was set.
    pub fn now(&self) -> Timestamp {
        let last = read(&self.health).last_commit_at;
        last.map_or_else(|| self.clock.now(), |last| self.clock.now().max(last))
    }

    pub fn committed(&self, now: Timestamp) {
        change(&self.health, |health| health.last_commit_at = Some(now));
        self.healed();
    }

    /// Work is taken from now on.
    pub fn takes_work(&self, last_commit_at: Timestamp) {
        self.metrics.active(true);
        change(&self.health, |health| {
            *health = Health {
                ready: true,
                started: true,
                last_commit_at: Some(last_commit_at).filter(|at| *at > Timestamp::default()),
                ..Health::default()
            };
        });
    }

    /// Another node takes the work.
    pub fn stands_by(&self, node: &str) {
        self.metrics.active(false);
        change(&self.health, |health| {
            health.started = true;
            health.ready = false;
            health.detail = None;
            health.standing_by = Some(node.to_owned());
        });
    }

    /// Whether the database answers a node that stands by.
    pub fn out_of_reach(&self, error: Option<&StoreError>) {
        change(&self.health, |health| {
            if health.standing_by.is_some() {
                health.detail = error.map(ToString::to_string);
            }
        });
    }

    /// No new work is taken from now on; `why` if that is not as it should be.
    pub fn closes(&self, why: Option<&str>) {
        change(&self.health, |health| {
            health.ready = false;
            health.detail = why.map(str::to_owned);
        });
    }

    /// The database answers again.
    pub fn healed(&self) {
        change(&self.health, |health| {
            if health.started && health.detail.is_some() && !health.ready {
                tracing::info!("The database takes commits again");
                health.ready = true;
                health.detail = None;
            }
        });
    }

    pub fn failing(&self, error: &StoreError) {
        change(&self.health, |health| {
            health.ready = false;
            health.detail = Some(error.to_string());
        });
    }

    /// Whether nothing destructive may begin: a commit says so, or the brake is pulled and the commit about it is still to come.
    pub fn is_held(&self) -> bool {
        self.gate.is_shut() || self.brake_says()
    }

    pub fn brake_says(&self) -> bool {
        read(&self.hands).brake.as_ref().is_some_and(|brake| brake.pulled().is_some())
    }

    /// What a look at itself found wrong, for whoever asks.
    pub fn watched(&self, faults: &[Fault]) {
        for check in Check::ALL {
            self.metrics.watch(check.word(), faults.iter().filter(|fault| fault.check == check).count());
        }
        change(&self.faults, |known| *known = faults.to_vec());
    }

    pub fn faults(&self) -> Vec<Fault> {
        read(&self.faults).clone()
    }

    pub fn hear_watchdog(&self, source: &str, now: Timestamp) {
        change(&self.watchdogs, |heard| {
            heard.insert(source.to_owned(), now);
        });
    }

    pub fn watchdog_heard(&self, source: &str) -> Option<Timestamp> {
        read(&self.watchdogs).get(source).copied()
    }

    /// Whether the last commit failed.
    pub fn is_failing(&self) -> bool {
        let health = read(&self.health);
        health.started && !health.ready && health.detail.is_some()
    }

    /// Hears of every commit from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    pub fn announce(&self, changes: impl Iterator<Item = Change>) {
        // Nobody listening is fine.
        changes.for_each(|change| drop(self.changes.send(change)));
    }
}

/// A lock that a panic poisoned still holds a whole value: every change below replaces it at once.
pub(super) fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(super) fn change<T>(lock: &RwLock<T>, how: impl FnOnce(&mut T)) {
    how(&mut lock.write().unwrap_or_else(std::sync::PoisonError::into_inner));
}
