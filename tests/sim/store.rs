//! The database as one process sees it: it takes its time, fails, refuses, and loses answers as chance will have it.
//! What it holds is in `disk`; several sessions may look at the same tables, so that a second node only needs one of its own.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use reynard::domain::id::IncidentId;
use reynard::domain::incident::Incident;
use reynard::domain::time::{Span, Timestamp};
use reynard::engine::ports::Clock;
use reynard::engine::store::{Batch, Job, Journal, Resumed, StoreError};

use crate::clock::ProcessClock;
use crate::disk::Tables;
use crate::life::Life;
use crate::plant::Bug;
use crate::stage::Stage;

/// The engine tries again a second after a failure.
const TRIED_AGAIN: Span = Span(1_100);
/// A commit that lasts longer is trouble.
const PROMPT: Span = Span(100);

pub struct Session {
    pub stage: Arc<Stage>,
    pub life: Arc<Life>,
    pub clock: Arc<ProcessClock>,
}

impl Session {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.stage.tables()
    }

    fn unavailable(&self, why: &str) -> StoreError {
        let now = self.clock.now();
        self.stage.weather.trouble(now, now + TRIED_AGAIN);
        self.stage.record.line(|| format!("disk: {why}"));
        StoreError::Unavailable(why.to_owned())
    }

    fn is(&self, bug: Bug) -> bool {
        self.stage.planted == Some(bug)
    }

    /// A read, which fails now and then.
    async fn reads(&self) -> Result<(), StoreError> {
        self.life.place().await;
        if self.is_full() {
            return Err(self.unavailable("a read failed: the database is gone"));
        }
        if !self.stage.weather.is_fair() && self.stage.chance.one_in(60) {
            return Err(self.unavailable("a read failed"));
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.stage.machine.elapsed() < self.stage.weather.full_until.load(Ordering::SeqCst)
    }

    async fn takes_its_time(&self) {
        let still = self.stage.weather.stands_still_until.load(Ordering::SeqCst) - self.stage.machine.elapsed();
        let usual = if self.stage.chance.one_in(4) { self.stage.chance.below(20) } else { 0 };
        let millis = u64::try_from(still).unwrap_or(0) + usual;
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        self.life.place().await;
    }

    /// All of it or nothing; whether its answer arrives is another matter.
    fn make(&self, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        let mut tables = self.tables();
        if !self.is(Bug::ForgetsRequests) {
            tables.admits(batch)?;
        }
        if self.is(Bug::LosesACommit) && self.stage.chance.one_in(30) {
            return Ok(());
        }
        let spoiled = self.spoiled(batch);
        let batch = spoiled.as_ref().unwrap_or(batch);
        self.stage.oracle().before(&tables, batch);
        tables.apply(batch, now);
        for (id, entry) in &batch.entries {
            let number = tables.incidents.get(id).map_or(0, |(_, state)| state.number);
            self.stage.record.line(|| {
                format!(
                    "#{number} {} {} {}",
                    entry.seq,
                    entry.at.0,
                    serde_json::to_string(&(&entry.actor, &entry.event)).unwrap_or_default()
                )
            });
        }
        self.stage.oracle().after(&tables, batch);
        Ok(())
    }

    fn spoiled(&self, batch: &Batch) -> Option<Batch> {
        let mut batch = batch.clone();
        match self.stage.planted? {
            Bug::ForgetsAJob if self.stage.chance.one_in(20) => drop(batch.jobs.pop()),
            Bug::SettlesNothing if self.stage.chance.one_in(20) => batch.settled.clear(),
            Bug::ForgetsRequests => batch.requests.clear(),
            _ => return None,
        }
        Some(batch)
    }

    /// Whether a batch is refused for one of its commands: it can be told apart, so that what is alone goes well.
    fn is_poisoned(&self, batch: &Batch) -> bool {
        let told_apart = batch.settled.len() > 1 || (!batch.deliveries.is_empty() && batch.worked_up_to.is_some());
        told_apart && self.stage.chance.one_in(40)
    }
}

#[async_trait]
impl Journal for Session {
    async fn resume(&self, now: Timestamp) -> Result<Resumed, StoreError> {
        self.reads().await?;
        let mut resumed = self.tables().resumed(now);
        match self.stage.planted {
            Some(Bug::ForgetsTheInterrupted) => resumed.interrupted.clear(),
            Some(Bug::ForgetsWhatWasSpent) => resumed.spent.clear(),
            Some(Bug::ForgetsTheUnworked) => resumed.unworked.clear(),
            Some(Bug::ForgetsTheRunning) => resumed.running.clear(),
            _ => {}
        }
        Ok(resumed)
    }

    async fn commit(&self, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        let began = self.clock.now();
        self.takes_its_time().await;
        let rough = !self.stage.weather.is_fair();
        if self.is_full() {
            return Err(self.unavailable("a commit failed: the disk is full"));
        }
        if rough && self.stage.chance.one_in(50) {
            return Err(self.unavailable("a commit failed"));
        }
        if rough && self.is_poisoned(batch) {
            self.stage.record.line(|| "disk: a commit was refused");
            return Err(StoreError::Refused("it does not like this".to_owned()));
        }
        let made = self.make(batch, now);
        // A delicate moment: what is stored and not worked waits for the next commit.
        if rough && !batch.deliveries.is_empty() && batch.worked_up_to.is_none() && self.stage.chance.one_in(3) {
            self.life.burns(self.stage.chance.between(1, 3) as i64);
        }
        self.takes_its_time().await;
        let ended = self.clock.now();
        if ended.since(began) > PROMPT {
            self.stage.weather.trouble(began, ended);
        }
        made?;
        if rough && self.stage.chance.one_in(50) {
            return Err(self.unavailable("a commit was made and its answer lost"));
        }
        Ok(())
    }

    async fn newest_of_keys(&self, keys: &[String]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.reads().await?;
        let tables = self.tables();
        let mut found: Vec<_> = keys.iter().filter_map(|key| tables.newest_of(key)).collect();
        if self.is(Bug::ForgetsAlerts) {
            found.iter_mut().for_each(|(_, state)| state.alerts.clear());
        }
        Ok(found)
    }

    async fn load(&self, ids: &[IncidentId]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.reads().await?;
        let tables = self.tables();
        Ok(ids.iter().filter_map(|id| tables.with_alerts(*id)).collect())
    }

    async fn jobs_due(&self, until: Timestamp, after: i64, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.reads().await?;
        let tables = self.tables();
        let oldest = if self.is(Bug::ForgetsOldJobs) { tables.jobs.keys().last().map_or(0, |last| last - 30) } else { 0 };
        let due = |job: &&Job| !job.started && job.due_at <= until && job.id > after && job.id > oldest;
        Ok(tables.jobs.values().filter(due).take(limit as usize).cloned().collect())
    }

    async fn request_known(&self, key: &str) -> Result<bool, StoreError> {
        self.reads().await?;
        Ok(self.tables().requests.contains(key))
    }

    async fn keep_revision(&self, _revision: &str, _slug: &str, _source: &str, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    async fn pinned_revisions(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        Ok(Vec::new())
    }
}
