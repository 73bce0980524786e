//! The database as one process sees it: it takes its time, fails, refuses, and loses answers as chance will have it.
//! What it holds is in `disk`; several sessions may look at the same tables, so that a second node only needs one of its own.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reynard::domain::id::IncidentId;
use reynard::domain::incident::Incident;
use reynard::domain::labels::Labels;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::trouble::Words;
use reynard::engine::ports::Clock;
use reynard::engine::store::{Batch, Delivery, Holder, Inbox, Job, Journal, Lease, Resumed, StoreError};
use reynard::engine::wire;
use tokio::time::Instant;

use crate::clock::ProcessClock;
use crate::disk::Tables;
use crate::lease::Who;
use crate::life::Life;
use crate::node;
use crate::plant::Bug;
use crate::stage::Stage;

/// A commit that lasts longer is trouble.
const PROMPT: Span = Span(100);
/// How long after the last grant a holder of the lease may still begin something, as in `store/postgres/lease.rs`.
const SURE_FOR: Duration = Duration::from_secs(7);

/// A question to the lease's row that lasts longer was asked by somebody who stood still.
const ASLEEP: Duration = Duration::from_secs(1);

/// How long a look into an empty inbox lasts, if nothing is put in.
const LOOKS_EVERY: Duration = Duration::from_secs(30);

pub struct Session {
    stage: Arc<Stage>,
    who: Who,
    life: Arc<Life>,
    clock: Arc<ProcessClock>,
    cut_off_until: Arc<AtomicI64>,
    epoch: Mutex<Option<u64>>,
    /// When the last grant of the lease was asked for.
    held_at: Mutex<Option<Instant>>,
}

impl Session {
    pub fn new(stage: Arc<Stage>, who: Who, life: Arc<Life>, clock: Arc<ProcessClock>, cut_off_until: Arc<AtomicI64>) -> Self {
        Self { stage, who, life, clock, cut_off_until, epoch: Mutex::default(), held_at: Mutex::default() }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.stage.tables()
    }

    fn unavailable(&self, why: &str) -> StoreError {
        if self.stage.is_active(self.who) {
            self.stage.weather.failure(self.clock.now());
        }
        self.stage.record.line(|| format!("node {}: {why}", self.who.node));
        StoreError::Unavailable(why.to_owned())
    }

    fn is(&self, bug: Bug) -> bool {
        self.stage.planted == Some(bug)
    }

    /// A read, which fails now and then.
    async fn reads(&self) -> Result<(), StoreError> {
        self.life.place().await;
        if self.is_gone() {
            return Err(self.unavailable("a read failed: the database is gone"));
        }
        if !self.stage.weather.is_fair() && self.stage.chance.one_in(60) {
            return Err(self.unavailable("a read failed"));
        }
        Ok(())
    }

    /// Whether it is full, or the way to it is cut.
    fn is_gone(&self) -> bool {
        let until = self.stage.weather.full_until.load(Ordering::SeqCst).max(self.cut_off_until.load(Ordering::SeqCst));
        self.stage.truth.elapsed() < until
    }

    async fn takes_its_time(&self) {
        let still = self.stage.weather.stands_still_until.load(Ordering::SeqCst) - self.stage.truth.elapsed();
        let usual = if self.stage.chance.one_in(4) { self.stage.chance.below(20) } else { 0 };
        let millis = u64::try_from(still).unwrap_or(0) + usual;
        if millis > 0 {
            self.stage.weather.lasts(Duration::from_millis(millis)).await;
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
        if let Some(kept) = &self.stage.kept {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push((batch.clone(), now));
        }
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

    async fn tries(&self, batch: &Batch, now: Timestamp, asked_at: Instant) -> Result<(), StoreError> {
        let rough = !self.stage.weather.is_fair();
        let attempts = batch.jobs.iter().any(|job| job.started);
        if attempts {
            self.life.attempts();
        }
        self.takes_its_time().await;
        if self.is_gone() {
            return Err(self.unavailable("a commit failed: the disk is full, or gone"));
        }
        if rough && self.stage.chance.one_in(50) {
            return Err(self.unavailable("a commit failed"));
        }
        if rough && self.is_poisoned(batch) {
            self.stage.record.line(|| format!("node {}: a commit was refused", self.who.node));
            self.stage.weather.failure(self.clock.now());
            return Err(StoreError::Refused("it does not like this".to_owned()));
        }
        self.demands_the_lease(asked_at)?;
        let made = self.make(batch, now);
        // A delicate moment: what is stored and not worked waits for the next commit.
        if rough && !batch.deliveries.is_empty() && batch.worked_up_to.is_none() && self.stage.chance.one_in(3) {
            self.life.burns(self.stage.chance.between(1, 3) as i64);
        }
        let pause = if attempts { self.life.has_committed_an_attempt() } else { 0 };
        if pause > 0 && rough {
            node::pause(&self.stage, self.who, &self.life, pause);
        }
        self.takes_its_time().await;
        made?;
        if rough && self.stage.chance.one_in(50) {
            return Err(self.unavailable("a commit was made and its answer lost"));
        }
        Ok(())
    }

    /// In the commit itself, so that nobody can take it meanwhile.
    fn demands_the_lease(&self, asked_at: Instant) -> Result<(), StoreError> {
        if self.stage.nodes == 1 || self.is(Bug::IgnoresTheEpoch) {
            return Ok(());
        }
        let epoch = self.epoch().ok_or_else(fenced)?;
        if !self.stage.lease().renew(self.who, epoch, self.stage.truth.elapsed()) {
            return Err(self.lost());
        }
        self.held(Some(asked_at));
        Ok(())
    }

    fn epoch(&self) -> Option<u64> {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, at: Option<Instant>) {
        *self.held_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn lost(&self) -> StoreError {
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.held(None);
        fenced()
    }

    /// Whoever stands by looks twice a second, for hours: looks that can see nothing new are left out. Nearly half a minute of them
    /// at most, so that it is heard of what the other one does.
    async fn waits_for_news(&self) {
        for _ in 0..5 {
            let held = self.stage.lease().keeps_out_for(self.who, self.stage.truth.elapsed());
            if held < 1_000 {
                return;
            }
            let released = self.stage.released.notified();
            let _ = tokio::time::timeout(Duration::from_millis(held), released).await;
        }
    }

    /// The way to the lease's row, which is the database's.
    async fn asks(&self) -> Result<(), StoreError> {
        let began = Instant::now();
        self.takes_its_time().await;
        // Whoever has slept over it has to ask once more, and what it had in hand does not wait for the answer.
        if began.elapsed() > ASLEEP && !self.stage.weather.is_fair() {
            tokio::time::sleep(Duration::from_millis(self.stage.chance.between(1, 20))).await;
        }
        if self.is_gone() {
            return Err(self.unavailable("the lease could not be asked for"));
        }
        if !self.stage.weather.is_fair() && self.stage.chance.one_in(200) {
            return Err(self.unavailable("the lease could not be asked for"));
        }
        Ok(())
    }

    fn spoiled(&self, batch: &Batch) -> Option<Batch> {
        let mut batch = batch.clone();
        match self.stage.planted? {
            Bug::ForgetsAJob if self.stage.chance.one_in(20) => drop(batch.jobs.pop()),
            Bug::KeepsTheReleased => batch.released.clear(),
            Bug::SettlesNothing if self.stage.chance.one_in(20) => batch.settled.clear(),
            Bug::ForgetsRequests => batch.requests.clear(),
            Bug::LosesTheBreakers => batch.breakers.clear(),
            Bug::LosesTheRecords => batch.records.clear(),
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
            Some(Bug::ForgetsTheHold) => resumed.holds = Default::default(),
            Some(Bug::ForgetsTheRunning) => resumed.running.clear(),
            Some(Bug::ForgetsTheBreakers) => resumed.breakers.clear(),
            Some(Bug::ForgetsTheRecords) => resumed.records.clear(),
            Some(Bug::ForgetsTheService) => resumed.spent.iter_mut().for_each(|spent| spent.service = None),
            Some(Bug::ForgetsWhoIsAtWork) => resumed.at_work.clear(),
            _ => {}
        }
        Ok(resumed)
    }

    async fn firing(&self, words: &Words) -> Result<Vec<(IncidentId, String, Labels)>, StoreError> {
        self.reads().await?;
        let forgets = self.stage.planted == Some(Bug::ForgetsWhatFires);
        Ok(if forgets { Vec::new() } else { self.tables().firing(words) })
    }

    /// However it ends, the time that it took is one in which nothing else could be done.
    async fn commit(&self, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        let (began, asked_at) = (self.clock.now(), Instant::now());
        let made = self.tries(batch, now, asked_at).await;
        let ended = self.clock.now();
        if ended.since(began) > PROMPT && self.stage.is_active(self.who) {
            self.stage.weather.trouble(began, ended);
        }
        made
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
        let mut found: Vec<_> = ids.iter().filter_map(|id| tables.with_alerts(*id)).collect();
        if self.is(Bug::ForgetsTheYeses) {
            let steps = found.iter_mut().flat_map(|(_, state)| state.runs.values_mut()).flat_map(|run| run.steps.values_mut());
            steps.filter_map(|step| step.approval.as_mut()).for_each(|request| request.yes.clear());
        }
        Ok(found)
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

    /// Nobody else can have the lease yet, by the steady clock of this machine.
    fn may_begin(&self) -> bool {
        let held_at = *self.held_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.stage.nodes == 1 || self.is(Bug::BeginsUnsure) || held_at.is_some_and(|at| at.elapsed() < SURE_FOR)
    }
}

#[async_trait]
impl Lease for Session {
    async fn take(&self, at_start: bool) -> Result<Holder, StoreError> {
        if !at_start {
            self.waits_for_news().await;
        }
        let asked_at = Instant::now();
        self.asks().await?;
        let taken = self.stage.lease().take(self.who, at_start, self.stage.truth.elapsed());
        Ok(match taken {
            Ok(epoch) => {
                *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = Some(epoch);
                self.held(Some(asked_at));
                Holder::Us
            }
            Err(node) => Holder::Node(format!("node {node}")),
        })
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let asked_at = Instant::now();
        self.asks().await?;
        let epoch = self.epoch().ok_or_else(fenced)?;
        if !self.stage.lease().renew(self.who, epoch, self.stage.truth.elapsed()) {
            return Err(self.lost());
        }
        self.held(Some(asked_at));
        Ok(())
    }

    async fn release(&self) -> Result<(), StoreError> {
        self.asks().await?;
        let Some(epoch) = self.epoch.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        self.held(None);
        self.stage.lease().release(self.who, epoch);
        self.stage.released.notify_waiters();
        Ok(())
    }

    async fn hand_to(&self, node: &str) -> Result<(), StoreError> {
        self.asks().await?;
        let Some(epoch) = self.epoch.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        self.held(None);
        let heir = node.strip_prefix("node ").and_then(|number| number.parse().ok()).unwrap_or_default();
        self.stage.lease().hand_to(self.who, epoch, heir, self.stage.truth.elapsed());
        self.stage.released.notify_waiters();
        Ok(())
    }
}

/// Late answers alone: whoever posts to a node that stands by is sent to the other one, and posts there.
#[async_trait]
impl Inbox for Session {
    async fn put(&self, left: &Delivery) -> Result<(), StoreError> {
        let parsed = wire::parse(&left.body);
        if parsed.is_ok() {
            return Err(self.unavailable("a node that stands by takes no delivery here"));
        }
        self.reads().await?;
        self.stage.record.line(|| format!("node {}: leaves a late answer", self.who.node));
        self.tables().inbox.push(left.clone());
        self.stage.left.notify_waiters();
        Ok(())
    }

    async fn waiting(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        // Looked for four times a second, for hours: looks that can see nothing are left out.
        let left = self.stage.left.notified();
        if self.tables().inbox.is_empty() {
            let _ = tokio::time::timeout(LOOKS_EVERY, left).await;
        }
        self.reads().await?;
        Ok(self.tables().inbox.iter().take(limit as usize).cloned().collect())
    }
}

fn fenced() -> StoreError {
    StoreError::Fenced("another node writes now".to_owned())
}
