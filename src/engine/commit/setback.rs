//! What becomes of the work of a commit that was not made: the database is gone, refuses something, or is another node's by now.
//! Whoever can be told is told; what must not be lost waits in front; what is poisoned fails alone.

use std::collections::BTreeSet;

use crate::domain::id::IncidentId;
use crate::domain::time::{Span, Timestamp};
use crate::engine::commit::Writer;
use crate::engine::error::EngineError;
use crate::engine::ledger::ledger_of;
use crate::engine::load::{Backlog, Load, give_up};
use crate::engine::store::{Resumed, StoreError};
use crate::engine::wire;
use crate::engine::work::{Asked, Put, Said, said};

/// The pause before work that found the database gone is tried again.
const HEAL: Span = Span::seconds(1);

impl Writer {
    /// Nothing was committed; what is to become of it depends on whether the database or the thing itself was at fault.
    pub(super) async fn heal(&mut self, error: StoreError, load: Load) {
        match error {
            // Whoever waits for an answer gets none, and is told so by that.
            StoreError::Fenced(_) => self.fenced = true,
            StoreError::Refused(_) => {
                self.fails(&error);
                self.untangle(error, load).await;
            }
            StoreError::Unavailable(_) => {
                self.fails(&error);
                self.put_off(error, load).await;
            }
        }
    }

    fn fails(&mut self, error: &StoreError) {
        self.doubt.get_or_insert_with(|| self.shared.pulse.begin());
        if self.shared.is_failing() {
            tracing::debug!(%error, "Commits still fail");
        } else {
            tracing::error!(%error, "A commit failed; nothing of it was made true");
        }
        self.shared.failing(error);
    }

    /// A mistake of ours in deciding one command is that command's alone: each is tried by itself, and what panics again is let go.
    pub(super) async fn single_out(&mut self, incident: IncidentId, load: Load) {
        tracing::error!(%incident, "Deciding panicked, which is a mistake of Reynard's; nothing of that commit was made true");
        match load.split() {
            Ok(parts) => self.carry_each(parts).await,
            Err(poisoned) => {
                self.lets_go_of(&poisoned);
                let mistake = EngineError::Mistake(format!("deciding about incident {incident} panicked"));
                give_up(&mistake, poisoned, &self.shared.metrics);
            }
        }
    }

    async fn carry_each(&mut self, parts: Vec<Load>) {
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            self.carry(part).await;
        }
    }

    /// The database refuses something: it is ahead of us, or one of the commands is poisoned and must fail alone.
    async fn untangle(&mut self, error: StoreError, load: Load) {
        let parts = if self.catch_up().await.unwrap_or(false) { Ok(vec![load]) } else { load.split() };
        match parts {
            Ok(parts) => self.carry_each(parts).await,
            Err(poisoned) => {
                self.lets_go_of(&poisoned);
                give_up(&EngineError::from(error), poisoned, &self.shared.metrics);
            }
        }
    }

    /// Senders and people are told that it was not done; what must not be lost waits and is tried again.
    async fn put_off(&mut self, error: StoreError, load: Load) {
        for arrival in load.deliveries {
            let _ = arrival.done.send(Err(EngineError::from(error.clone())));
        }
        for entry in load.backlog {
            match entry {
                Backlog::Put(Put { done: Some(done), settles: None, .. }, _) => {
                    let _ = done.send(Err(EngineError::from(error.clone())));
                }
                Backlog::Throw(throw, _) => drop(throw.done.send(Err(EngineError::from(error.clone())))),
                entry => self.backlog.push_back(entry),
            }
        }
        drop(load.held);
        let again_at = self.shared.clock.now() + HEAL;
        self.shared.clock.wait_until(again_at).await;
    }

    /// A commit may be made true although its answer was lost; whatever follows is then refused, because its places are taken.
    /// True when the disk was ahead of us and we have caught up: what is decided anew finds itself done already.
    pub(super) async fn catch_up(&mut self) -> Result<bool, StoreError> {
        let resumed = self.journal.resume_with(self.shared.clock.now(), &self.words).await?;
        // Letting go moves no number, but it does change the seal; and a hold that concerned no incident is known only by itself.
        self.seal = resumed.seal;
        let shadowed = std::mem::take(&mut self.ledger.shadowed);
        self.ledger = ledger_of(&resumed, &self.shared.rulebook());
        self.ledger.shadowed = shadowed;
        self.unsure = false;
        let behind =
            resumed.last_position > self.last_position || resumed.last_job > self.last_job || resumed.last_delivery > self.last_delivery;
        if !behind {
            return Ok(false);
        }
        self.hand_out_after(self.last_job, &resumed).await?;
        tracing::warn!("A commit whose answer was lost had been made; going on from there");
        (self.last_number, self.last_position, self.last_job) = (resumed.last_number, resumed.last_position, resumed.last_job);
        // Deliveries that it stored were answered "not now"; they are on disk all the same and are worked like any other.
        let rulebook = self.shared.rulebook();
        for (position, delivery) in resumed.unworked.iter().filter(|(position, _)| *position > self.last_delivery) {
            if let Ok(parsed) = wire::parse(&delivery.body) {
                let said = Said { position: *position, ..said(delivery, parsed, &rulebook) };
                self.backlog.push_back(Backlog::Said(said, self.shared.pulse.begin()));
            }
        }
        self.last_delivery = resumed.last_delivery;
        self.incidents.clear();
        Ok(true)
    }

    /// Of what is in hand, the disk still has what nobody has settled. That stays so until it is in a commit, however many of its
    /// company are committed before, and whatever comes due meanwhile is none of it.
    async fn note_settled(&mut self, resumed: &Resumed) -> Result<(), StoreError> {
        let due = self.journal.jobs_due(self.shared.now(), 0, u32::MAX).await?;
        let open: BTreeSet<i64> = due.iter().chain(&resumed.interrupted).map(|job| job.id).collect();
        self.settled = self.in_hand.difference(&open).copied().collect();
        Ok(())
    }

    /// Hands the worker the jobs of commits that nobody knew were made; none of them can have been begun.
    async fn hand_out_after(&mut self, last_job: i64, resumed: &Resumed) -> Result<(), StoreError> {
        self.note_settled(resumed).await?;
        let mut jobs = self.journal.jobs_due(Timestamp(i64::MAX), last_job, u32::MAX).await?;
        jobs.extend(resumed.interrupted.iter().filter(|job| job.id > last_job).cloned());
        self.hand_out(jobs.into_iter().map(|job| Asked { job, brief: None }).collect());
        Ok(())
    }
}
