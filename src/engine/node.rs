//! One node among several: it stands by while another is active, takes the lease when that one is silent, and keeps it alive.
//! Knows no database; which clock a lease runs by is the database's affair.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::engine::runtime::{Loops, Over, Runtime};
use crate::engine::store::{Holder, Lease, StoreError};

/// How often one that stands by looks whether the lease is free, and what there is to show.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the active one says that it lives, where no commit does.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Changes shown at one look.
const CHANGES: u32 = 500;

pub struct Node {
    runtime: Runtime,
    lease: Arc<dyn Lease>,
}

impl Node {
    pub fn new(runtime: Runtime, lease: Arc<dyn Lease>) -> Self {
        Self { runtime, lease }
    }

    /// At the start of the process: whether this node is the active one. What a former life of it held is its own.
    pub async fn first_look(&self) -> Result<bool, StoreError> {
        let holder = self.lease.take(true).await?;
        Ok(self.is_us(&holder))
    }

    /// Returns once this node is to be active. Until then it shows what the active one does.
    pub async fn stand_by(&self) {
        let mut seen = None;
        let mut silent = false;
        loop {
            match self.lease.take(false).await {
                Ok(holder) if self.is_us(&holder) => return,
                Ok(_) => silent = false,
                Err(error) if !silent => {
                    silent = true;
                    tracing::warn!(%error, "Standing by: the database does not say who is active; asking again");
                }
                Err(_) => {}
            }
            self.show_changes(&mut seen).await;
            sleep(LOOK_EVERY).await;
        }
    }

    /// Keeps the lease alive; returns once it is another node's, or there is no writer that could use it.
    pub async fn hold(&self, loops: &mut Loops) -> Over {
        tokio::select! {
            over = loops.over() => over,
            () = self.renew() => Over::Fenced,
        }
    }

    /// Renews the lease for as long as it is ours.
    pub async fn renew(&self) {
        let mut away = false;
        let mut beats = interval(RENEW_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            match self.lease.renew().await {
                Err(StoreError::Fenced(_)) => return,
                // An idle node has no commit that could fail: whoever asks whether it is ready is told all the same.
                Err(error) => {
                    tracing::debug!(%error, "The lease could not be renewed");
                    away = true;
                    self.runtime.database(Err(&error));
                }
                Ok(()) if away => {
                    away = false;
                    self.runtime.database(Ok(()));
                }
                Ok(()) => {}
            }
        }
    }

    /// Lets another node take over without waiting.
    pub async fn leave(&self) {
        if let Err(error) = self.lease.release().await {
            tracing::warn!(%error, "The lease could not be given back; it runs out by itself");
        }
    }

    fn is_us(&self, holder: &Holder) -> bool {
        let Holder::Node(node) = holder else { return true };
        if self.runtime.health().standing_by.as_ref() != Some(node) {
            tracing::info!(active = node, "Standing by");
            self.runtime.stands_by(node);
        }
        false
    }

    /// Pages that are open here hear of the active node's commits a moment later.
    async fn show_changes(&self, seen: &mut Option<i64>) {
        let from = match seen {
            Some(position) => *position,
            None => match self.runtime.reads.totals().await {
                Ok(totals) => *seen.insert(totals.last_position),
                Err(_) => return,
            },
        };
        if let Ok(changes) = self.runtime.reads.changes_since(from, CHANGES).await {
            *seen = changes.iter().map(|change| change.position).max().or(*seen);
            self.runtime.announce(changes);
        }
    }
}
