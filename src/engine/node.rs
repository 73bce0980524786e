//! One node among several: it stands by while another is active, takes the lease when that one is silent, keeps it
//! alive, and gives it to another one that somebody asks for. Knows no database; which clock a lease runs by is the database's affair.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::domain::time::Span;
use crate::engine::error::EngineError;
use crate::engine::heir::may_have_it;
use crate::engine::nodes::Role;
use crate::engine::runtime::{Loops, Over, Runtime};
use crate::engine::store::{Holder, Lease, StoreError};

/// How often one that stands by looks whether the lease is free, and what there is to show.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the active one says that it lives, where no commit does.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// How often one that stands by says that it is there, and how long that may take.
const SAY_EVERY: Duration = Duration::from_secs(3);
const SAY_WITHIN: Duration = Duration::from_secs(2);
/// Changes shown at one look.
const CHANGES: u32 = 500;

pub struct Node {
    runtime: Runtime,
    lease: Arc<dyn Lease>,
    /// Where other nodes reach this one.
    url: Option<String>,
}

impl Node {
    pub fn new(runtime: Runtime, lease: Arc<dyn Lease>) -> Self {
        Self { runtime, lease, url: None }
    }

    /// One that others may send people's acts to while it is active.
    pub fn reached_at(self, url: Option<String>) -> Self {
        Self { url, ..self }
    }

    /// At the start of the process: whether this node is the active one. What a former life of it held is its own.
    pub async fn first_look(&self) -> Result<bool, StoreError> {
        let holder = self.lease.take(true).await?;
        let active = self.is_us(&holder);
        self.says(if active { Role::Active } else { Role::StandingBy }).await;
        Ok(active)
    }

    /// Returns once this node is to be active. Until then it shows what the active one does.
    pub async fn stand_by(&self) {
        let mut seen = None;
        let mut silent = false;
        let mut beats = interval(SAY_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.lease.take(false).await {
                Ok(holder) if self.is_us(&holder) => return,
                Ok(holder) => {
                    silent = false;
                    self.runtime.out_of_reach(None);
                    self.find_out_where(&holder).await;
                }
                Err(error) => {
                    self.runtime.out_of_reach(Some(&error));
                    if !silent {
                        tracing::warn!(%error, "Standing by: the database does not say who is active; asking again");
                    }
                    silent = true;
                }
            }
            self.show_changes(&mut seen).await;
            tokio::select! {
                biased; // what happens at one moment happens in one order, so that a story can be told twice
                () = sleep(LOOK_EVERY) => {}
                _ = beats.tick() => self.says(Role::StandingBy).await,
            }
        }
    }

    /// Keeps the lease alive and works what other nodes take in; returns once the lease is another node's or is to be, or there is no
    /// writer that could use it.
    pub async fn hold(&self, loops: &mut Loops) -> Over {
        self.runtime.heir.forget();
        tokio::select! {
            biased;
            over = loops.over() => over,
            () = self.renew() => Over::Fenced,
            heir = self.runtime.heir.named() => Over::Heir(heir),
            () = self.runtime.empties_inbox() => Over::Fell,
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
                Ok(()) => {
                    if std::mem::take(&mut away) {
                        self.runtime.database(Ok(()));
                    }
                    self.says(Role::Active).await;
                }
            }
        }
    }

    /// Lets what runs end, and this one node take over before all others.
    pub async fn hand_over(&self, loops: Loops, heir: &str, grace: Span) {
        tokio::select! {
            biased;
            () = loops.hand_over(self.runtime.clone(), heir, grace) => {}
            () = self.renew() => {}
        }
        if let Err(error) = self.lease.hand_to(heir).await {
            tracing::warn!(%error, "The lease could not be handed over; it runs out by itself");
        }
        self.says(Role::StandingBy).await;
    }

    /// Lets another node take over without waiting.
    pub async fn leave(&self) {
        if let Err(error) = self.lease.release().await {
            tracing::warn!(%error, "The lease could not be given back; it runs out by itself");
        }
        self.says(Role::Stopped).await;
    }

    /// For those who look at the nodes; nothing hangs on it.
    async fn says(&self, role: Role) {
        match timeout(SAY_WITHIN, self.lease.here(role, self.url.as_deref())).await {
            Ok(Err(error)) => tracing::debug!(%error, "This node could not say that it is there"),
            Err(_) => tracing::debug!("This node could not say in time that it is there"),
            Ok(Ok(())) => {}
        }
    }

    /// Where the active node is reached, so that people's acts can be sent on to it.
    async fn find_out_where(&self, holder: &Holder) {
        let Holder::Node(node) = holder else { return };
        if self.runtime.active_url().is_none()
            && let Ok(overview) = self.runtime.reads.overview(self.runtime.clock.now()).await
        {
            self.runtime.active_is_at(overview.peer(node).and_then(|peer| peer.url.clone()));
        }
    }

    fn is_us(&self, holder: &Holder) -> bool {
        let Holder::Node(node) = holder else { return true };
        if self.runtime.health().standing_by.as_ref() != Some(node) {
            tracing::info!(active = node, "Standing by");
            self.runtime.stands_by(node);
            self.runtime.active_is_at(None);
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

impl Runtime {
    /// Has another node become active in place of this one. It is on its way when this returns: what runs here may end first, while
    /// deliveries wait in the inbox.
    pub async fn hand_over(&self, to: &str, by: &str) -> Result<(), EngineError> {
        if let Some(active) = self.health().standing_by {
            return Err(EngineError::StandingBy(active));
        }
        let overview = self.reads.overview(self.clock.now()).await?;
        may_have_it(&overview, to, &self.node).map_err(EngineError::NoHeir)?;
        tracing::warn!(to, by, "Asked to hand over to another node");
        self.heir.wish(to);
        Ok(())
    }
}
