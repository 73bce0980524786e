//! The one writer: takes whatever waits, decides each against what the earlier ones left, commits all with one fsync, answers.
//! Knows no SQL and performs nothing; what a commit asks of the world it hands to the worker.
//! One thing in one file: what a batch decides, what it commits and what is undone in memory when it fails must be read together.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::domain::decide::command::{Command, Effect, Observation, Refusal};
use crate::domain::decide::turn::{Decision, World, decide};
use crate::domain::id::{DeliveryId, IncidentId};
use crate::domain::incident::Incident;
use crate::domain::limits::{Ledger, Spent};
use crate::domain::settings::Rulebook;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Actor, Entry, Event};
use crate::engine::brief::{Brief, brief as brief_of};
use crate::engine::intake::Key;
use crate::engine::narrate::narrate;
use crate::engine::pulse::Beat;
use crate::engine::runtime::{EngineError, Shared, said};
use crate::engine::store::{AlertRow, Batch, Change, Delivery, DeliveryRow, IncidentRow, Job, Journal, RejectedAlert, Resumed, StoreError};
use crate::engine::tally::tally;
use crate::engine::wire;

/// Commands that share a commit at most.
const BATCH: usize = 1_024;
/// The pause before work that found the database gone is tried again.
const HEAL: Span = Span::seconds(1);
/// How often having heard of an incident again is written down.
const HEARD_EVERY: Span = Span::minutes(1);
const LONGEST_WINDOW: Span = Span::hours(24 * 7);

/// Something for the writer to do.
pub enum Work {
    /// Store a delivery; what it says is worked in the commit after the one that stored it.
    Deliver {
        delivery: Delivery,
        says: Said,
        done: oneshot::Sender<Result<(), EngineError>>,
    },
    Put(Put),
    /// Attempts that a shutdown found not begun.
    Release(Vec<i64>),
    /// What a worker needs to know for a job.
    Brief {
        job: Job,
        done: Briefing,
    },
}

/// Where a brief goes; none when the job's reason is gone.
type Briefing = oneshot::Sender<Result<Option<Brief>, StoreError>>;

/// A command to one incident.
pub struct Put {
    pub incident: IncidentId,
    pub actor: Actor,
    pub command: Command,
    /// The job that asked; settled in the same commit.
    pub settles: Option<i64>,
    /// A person's idempotency key.
    pub request: Option<String>,
    pub done: Option<oneshot::Sender<Result<u64, EngineError>>>,
}

/// What a stored delivery says, waiting to be worked.
#[derive(Clone, Debug)]
pub struct Said {
    pub delivery: DeliveryId,
    /// Where it stands among all deliveries; known once it is stored.
    pub position: i64,
    pub source: String,
    pub observations: BTreeMap<Key, Observation>,
    pub rejected: Vec<RejectedAlert>,
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

struct Cached {
    key: Key,
    state: Incident,
    heard_saved_at: Timestamp,
}

impl Cached {
    fn new(key: Key, state: Incident) -> Self {
        let heard_saved_at = state.heard_at;
        Self { key, state, heard_saved_at }
    }
}

/// The writer's own state: the open incidents and what numbers come next.
pub struct Writer {
    journal: Arc<dyn Journal>,
    shared: Arc<Shared>,
    asked: mpsc::UnboundedSender<(Vec<Asked>, Beat)>,
    incidents: HashMap<IncidentId, Cached>,
    by_key: HashMap<Key, IncidentId>,
    /// Brought in since the last commit; those that are over need not stay.
    visitors: Vec<IncidentId>,
    ledger: Ledger,
    last_number: u64,
    last_position: i64,
    last_job: i64,
    last_delivery: i64,
    last_commit_at: Timestamp,
    /// Worked before anything new: deliveries already stored, and work that found the database gone.
    backlog: VecDeque<Backlog>,
    /// Another node writes now: nothing that memory holds counts any more.
    fenced: bool,
}

enum Backlog {
    Said(Said, Beat),
    Put(Put, Beat),
}

/// A delivery on its way to the disk.
struct Stored {
    delivery: Delivery,
    says: Said,
    done: oneshot::Sender<Result<(), EngineError>>,
    beat: Beat,
}

impl Stored {
    fn row(&self) -> DeliveryRow {
        DeliveryRow {
            delivery: self.delivery.clone(),
            keys: self.says.observations.keys().cloned().collect(),
            rejected: self.says.rejected.clone(),
        }
    }
}

/// A commit in the making.
#[derive(Default)]
struct Draft {
    batch: Batch,
    touched: BTreeSet<IncidentId>,
    alerts: BTreeMap<IncidentId, BTreeSet<String>>,
    /// One for each command, in order.
    results: Vec<Result<u64, EngineError>>,
}

impl Writer {
    pub fn new(
        journal: Arc<dyn Journal>,
        shared: Arc<Shared>,
        asked: mpsc::UnboundedSender<(Vec<Asked>, Beat)>,
        resumed: &Resumed,
    ) -> Self {
        Self {
            journal,
            shared,
            asked,
            incidents: HashMap::new(),
            by_key: HashMap::new(),
            visitors: Vec::new(),
            ledger: ledger_of(resumed),
            last_number: resumed.last_number,
            last_position: resumed.last_position,
            last_job: resumed.last_job,
            last_delivery: resumed.last_delivery,
            last_commit_at: resumed.last_commit_at,
            backlog: VecDeque::new(),
            fenced: false,
        }
    }

    /// Puts a delivery that an earlier life stored and did not work in front.
    pub fn resume(&mut self, said: Said, beat: Beat) {
        self.backlog.push_back(Backlog::Said(said, beat));
    }

    /// Works until every sender is gone and nothing is left, or until another node writes.
    pub async fn work(mut self, mut queue: mpsc::Receiver<Item>) {
        let mut items = Vec::new();
        loop {
            // A database that failed is tried again though nobody sends anything: whoever asks "ready?" waits for the answer.
            let idle = self.backlog.is_empty() && !self.shared.is_failing();
            if (idle && queue.recv_many(&mut items, BATCH).await == 0) || (queue.is_closed() && queue.is_empty() && items.is_empty()) {
                return;
            }
            while items.len() < BATCH
                && let Ok(item) = queue.try_recv()
            {
                items.push(item);
            }
            self.turn(std::mem::take(&mut items)).await;
            if self.fenced {
                return;
            }
        }
    }

    async fn turn(&mut self, items: Vec<Item>) {
        let now = self.shared.clock.now().max(self.last_commit_at);
        let mut deliveries = Vec::new();
        let mut backlog: Vec<Backlog> = self.backlog.drain(..).collect();
        let mut released = Vec::new();
        let mut briefs = Vec::new();
        for item in items {
            match item.work {
                Work::Deliver { delivery, says, done } => deliveries.push(Stored { delivery, says, done, beat: item.beat }),
                Work::Put(put) => backlog.push(Backlog::Put(put, item.beat)),
                Work::Release(jobs) => released.extend(jobs),
                Work::Brief { job, done } => briefs.push((job, done)),
            }
        }
        if deliveries.is_empty() && backlog.is_empty() && released.is_empty() && !self.shared.is_failing() {
            return self.answer_briefs(briefs).await;
        }
        let outcome = self.commit_all(&deliveries, &backlog, released, now).await;
        match outcome {
            Ok(draft) => self.answer(draft, deliveries, backlog),
            Err(error) => self.heal(error, deliveries, backlog).await,
        }
        self.answer_briefs(briefs).await;
    }

    async fn answer_briefs(&mut self, briefs: Vec<(Job, Briefing)>) {
        for (job, done) in briefs {
            let _ = done.send(self.brief(&job).await);
        }
    }

    async fn commit_all(
        &mut self,
        deliveries: &[Stored],
        backlog: &[Backlog],
        released: Vec<i64>,
        now: Timestamp,
    ) -> Result<Draft, StoreError> {
        self.load_for(backlog).await?;
        let rulebook = self.shared.rulebook();
        let mut draft = Draft::default();
        draft.batch.released = released;
        draft.batch.first_position = self.last_position + 1;
        draft.batch.first_delivery = self.last_delivery + 1;
        draft.batch.deliveries = deliveries.iter().map(Stored::row).collect();
        let counters = (self.last_number, self.last_job, self.ledger.clone());
        // Whatever fails from here on, memory must not keep what the disk does not have.
        if let Err(error) = self.draft_and_commit(backlog, &rulebook, now, &mut draft).await {
            (self.last_number, self.last_job, self.ledger) = counters;
            for id in &draft.touched {
                self.forget(*id);
            }
            return Err(error);
        }
        self.last_commit_at = now;
        self.last_position += i64::try_from(draft.batch.entries.len()).unwrap_or(0);
        self.last_delivery += i64::try_from(draft.batch.deliveries.len()).unwrap_or(0);
        self.ledger.forget(now, LONGEST_WINDOW);
        self.shared.committed(now);
        self.publish(&draft, &rulebook);
        Ok(draft)
    }

    async fn draft_and_commit(
        &mut self,
        backlog: &[Backlog],
        rulebook: &Rulebook,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        for entry in backlog {
            match entry {
                Backlog::Said(said, _) => self.hear(said, rulebook, now, draft),
                Backlog::Put(put, _) => self.put(put, rulebook, now, draft).await?,
            }
        }
        self.project(draft, now);
        let began = std::time::Instant::now();
        self.journal.commit(&draft.batch, now).await?;
        self.shared.metrics.commit(draft.batch.deliveries.len() + backlog.len(), began.elapsed());
        Ok(())
    }

    /// Brings in the incidents that this turn speaks of and memory does not hold.
    async fn load_for(&mut self, backlog: &[Backlog]) -> Result<(), StoreError> {
        let mut keys = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for entry in backlog {
            match entry {
                Backlog::Said(said, _) => keys.extend(said.observations.keys().filter(|key| !self.by_key.contains_key(*key)).cloned()),
                Backlog::Put(put, _) if !self.incidents.contains_key(&put.incident) => {
                    ids.insert(put.incident);
                }
                Backlog::Put(..) => {}
            }
        }
        if !keys.is_empty() {
            let keys: Vec<Key> = keys.into_iter().collect();
            for (key, state) in self.journal.newest_of_keys(&keys).await? {
                self.visitors.push(state.id);
                self.remember(key, state);
            }
        }
        if !ids.is_empty() {
            let ids: Vec<IncidentId> = ids.into_iter().collect();
            for (key, state) in self.journal.load(&ids).await? {
                self.visitors.push(state.id);
                // Only the newest incident of a key answers to the key.
                self.incidents.entry(state.id).or_insert_with(|| Cached::new(key, state));
            }
        }
        Ok(())
    }

    fn remember(&mut self, key: Key, state: Incident) {
        self.by_key.insert(key.clone(), state.id);
        self.incidents.entry(state.id).or_insert_with(|| Cached::new(key, state));
    }

    fn forget(&mut self, id: IncidentId) {
        if let Some(cached) = self.incidents.remove(&id)
            && self.by_key.get(&cached.key) == Some(&id)
        {
            self.by_key.remove(&cached.key);
        }
    }

    /// Works one delivery: each observation goes to its incident, or opens one.
    fn hear(&mut self, said: &Said, rulebook: &Rulebook, now: Timestamp, draft: &mut Draft) {
        for (key, observation) in &said.observations {
            let known = self.by_key.get(key).copied().filter(|id| self.still_answers(*id, rulebook, now));
            let id = known.unwrap_or_else(|| {
                let id = IncidentId(Uuid::new_v7(uuid_time(now)));
                self.remember(key.clone(), Incident::blank(id));
                id
            });
            let actor = Actor::Source(said.source.clone());
            // Observations are never refused.
            let _ = self.decide(id, actor, Command::Observe(observation.clone()), rulebook, now, draft);
            if self.incidents.get(&id).is_some_and(|cached| cached.state.seq == 0) {
                self.forget(id);
                draft.touched.remove(&id);
            }
        }
        draft.batch.worked_up_to = draft.batch.worked_up_to.max(Some(said.position));
    }

    /// Whether alerts of its key still belong to it: while it is open, and for a while after.
    fn still_answers(&self, id: IncidentId, rulebook: &Rulebook, now: Timestamp) -> bool {
        self.incidents.get(&id).is_some_and(|cached| match cached.state.resolved_at {
            Some(resolved_at) if !cached.state.is_open() => now.since(resolved_at) < rulebook.incidents.reopen_within,
            _ => true,
        })
    }

    async fn put(&mut self, put: &Put, rulebook: &Rulebook, now: Timestamp, draft: &mut Draft) -> Result<(), StoreError> {
        if let Some(request) = &put.request {
            let in_this_batch = draft.batch.requests.iter().any(|(key, _)| key == request);
            if in_this_batch || self.journal.request_known(request).await? {
                draft.results.push(self.version(put.incident));
                return Ok(());
            }
        }
        draft.batch.settled.extend(put.settles);
        let result = if self.incidents.contains_key(&put.incident) {
            self.decide(put.incident, put.actor.clone(), put.command.clone(), rulebook, now, draft)
                .map_err(EngineError::from)
                .and_then(|()| self.version(put.incident))
        } else {
            Err(EngineError::NotFound)
        };
        if let (Some(request), Ok(_)) = (&put.request, &result) {
            draft.batch.requests.push((request.clone(), now));
        }
        draft.results.push(result);
        Ok(())
    }

    fn version(&self, id: IncidentId) -> Result<u64, EngineError> {
        self.incidents.get(&id).map(|cached| cached.state.seq).ok_or(EngineError::NotFound)
    }

    fn decide(
        &mut self,
        id: IncidentId,
        actor: Actor,
        command: Command,
        rulebook: &Rulebook,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), Refusal> {
        let Some(cached) = self.incidents.get_mut(&id) else { return Ok(()) };
        let world = World { rulebook, ledger: &mut self.ledger, now, next_number: self.last_number + 1 };
        let decision = decide(&mut cached.state, actor, command, world)?;
        draft.touched.insert(id);
        self.take(id, decision, draft);
        Ok(())
    }

    /// Puts a decision into the commit in the making.
    fn take(&mut self, id: IncidentId, decision: Decision, draft: &mut Draft) {
        for due in decision.effects {
            self.last_job += 1;
            let started = matches!(due.effect, Effect::Perform { .. });
            draft.batch.jobs.push(Job { id: self.last_job, incident: id, due_at: due.at, effect: due.effect, started });
        }
        for entry in decision.entries {
            match &entry.event {
                Event::Opened { number, .. } => self.last_number = *number,
                Event::StepStarted { at, target, destructive: true, .. } if !at.undo => {
                    let playbook = self.incidents.get(&id).and_then(|c| c.state.runs.get(&at.run)).map(|run| run.playbook.clone());
                    draft.batch.spent.push(Spent { at: entry.at, playbook: playbook.unwrap_or_default(), target: target.clone() });
                }
                Event::AlertFired { alerts, .. } | Event::AlertResolved { alerts, .. } => {
                    draft.alerts.entry(id).or_default().extend(alerts.iter().map(|alert| alert.fingerprint.clone()));
                }
                _ => {}
            }
            draft.batch.entries.push((id, entry));
        }
    }

    /// The rows that the facts lead to: one an incident, one an alert that changed.
    fn project(&mut self, draft: &mut Draft, now: Timestamp) {
        let changed: BTreeSet<IncidentId> = draft.batch.entries.iter().map(|(id, _)| *id).collect();
        for id in &draft.touched {
            let Some(cached) = self.incidents.get_mut(id) else { continue };
            if !changed.contains(id) {
                // Silence is reckoned in hours: a crash may forget a minute of having heard.
                if now.since(cached.heard_saved_at) >= HEARD_EVERY {
                    cached.heard_saved_at = now;
                    draft.batch.heard.push((*id, cached.state.heard_at));
                }
                continue;
            }
            cached.heard_saved_at = now;
            draft.batch.incidents.push(IncidentRow { key: cached.key.clone(), state: cached.state.without_alerts() });
            for fingerprint in draft.alerts.remove(id).unwrap_or_default() {
                if let Some(mark) = cached.state.alerts.get(&fingerprint) {
                    draft.batch.alerts.push(AlertRow { incident: *id, fingerprint, mark: mark.clone(), last_seen_at: now });
                }
            }
        }
    }

    /// Tells live pages and the worker what is true now.
    fn publish(&mut self, draft: &Draft, rulebook: &Rulebook) {
        let mut last: BTreeMap<IncidentId, Change> = BTreeMap::new();
        for (position, (id, entry)) in (draft.batch.first_position..).zip(&draft.batch.entries) {
            let number = self.incidents.get(id).map_or(0, |cached| cached.state.number);
            last.insert(*id, Change { position, incident: *id, number, seq: entry.seq });
        }
        self.shared.announce(last.into_values());
        let now = self.last_commit_at;
        let mut facts: HashMap<IncidentId, Vec<&Entry>> = HashMap::new();
        for (id, entry) in &draft.batch.entries {
            facts.entry(*id).or_default().push(entry);
        }
        for (id, entries) in facts {
            if let Some(cached) = self.incidents.get(&id) {
                tally(&self.shared.metrics, &cached.state, &entries, self.shared.clock.now());
                narrate(&cached.state, &entries);
            }
        }
        let asked: Vec<Asked> = draft
            .batch
            .jobs
            .iter()
            .map(|job| {
                let brief = (job.due_at <= now).then(|| self.incidents.get(&job.incident)).flatten();
                Asked { job: job.clone(), brief: brief.and_then(|cached| brief_of(&cached.state, rulebook, &job.effect)) }
            })
            .collect();
        if !asked.is_empty() {
            // The worker lives as long as the writer; at a shutdown the rows are enough.
            let _ = self.asked.send((asked, self.shared.pulse.begin()));
        }
        let seen = draft.touched.iter().copied().chain(std::mem::take(&mut self.visitors));
        let over: Vec<IncidentId> = seen.filter(|id| self.incidents.get(id).is_some_and(|c| !c.state.is_open())).collect();
        over.into_iter().for_each(|id| self.forget(id));
    }

    fn answer(&mut self, draft: Draft, deliveries: Vec<Stored>, backlog: Vec<Backlog>) {
        let mut results = draft.results.into_iter();
        for entry in backlog {
            match entry {
                Backlog::Said(_, beat) => drop(beat),
                Backlog::Put(put, _beat) => {
                    if let (Some(done), Some(result)) = (put.done, results.next()) {
                        let _ = done.send(result);
                    }
                }
            }
        }
        for (position, Stored { says, done, beat, .. }) in (draft.batch.first_delivery..).zip(deliveries) {
            let _ = done.send(Ok(()));
            self.backlog.push_back(Backlog::Said(Said { position, ..says }, beat));
        }
    }

    /// Nothing was committed: senders are told so, what must not be lost waits and is tried again.
    async fn heal(&mut self, error: StoreError, deliveries: Vec<Stored>, backlog: Vec<Backlog>) {
        if let StoreError::Fenced(_) = error {
            // Whoever waits for an answer gets none, and is told so by that.
            self.fenced = true;
            return;
        }
        if self.shared.is_failing() {
            tracing::debug!(%error, "Commits still fail");
        } else {
            tracing::error!(%error, "A commit failed; nothing of it was made true");
        }
        self.shared.failing(&error);
        let single = deliveries.len() + backlog.len() == 1;
        for stored in deliveries {
            let _ = stored.done.send(Err(EngineError::from(error.clone())));
        }
        let refused = matches!(error, StoreError::Refused(_));
        if refused && self.catch_up().await {
            return self.backlog.extend(backlog);
        }
        if refused && !single {
            // One of them is poisoned: each alone, so that it fails alone.
            for entry in backlog {
                self.alone(entry).await;
            }
            return;
        }
        for entry in backlog {
            match entry {
                Backlog::Put(Put { done: Some(done), settles: None, .. }, _) => {
                    let _ = done.send(Err(EngineError::from(error.clone())));
                }
                Backlog::Said(said, _) if refused => {
                    tracing::error!(delivery = %said.delivery, "The delivery cannot be worked; it stays on disk")
                }
                Backlog::Put(put, _) if refused => tracing::error!(incident = %put.incident, "The command cannot be committed"),
                entry => self.backlog.push_back(entry),
            }
        }
        let again_at = self.shared.clock.now() + HEAL;
        self.shared.clock.wait_until(again_at).await;
    }

    /// A commit may be made true although its answer was lost; whatever follows is then refused, because its places are taken.
    /// True when the disk was ahead of us and we have caught up: what is decided anew finds itself done already.
    async fn catch_up(&mut self) -> bool {
        let Ok(resumed) = self.journal.resume(self.shared.clock.now()).await else { return false };
        let behind =
            resumed.last_position > self.last_position || resumed.last_job > self.last_job || resumed.last_delivery > self.last_delivery;
        if !behind {
            return false;
        }
        tracing::warn!("A commit whose answer was lost had been made; going on from there");
        self.ledger = ledger_of(&resumed);
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
        self.by_key.clear();
        true
    }

    async fn alone(&mut self, entry: Backlog) {
        let now = self.shared.clock.now().max(self.last_commit_at);
        let backlog = vec![entry];
        match self.commit_all(&[], &backlog, Vec::new(), now).await {
            Ok(draft) => self.answer(draft, Vec::new(), backlog),
            Err(error) => Box::pin(self.heal(error, Vec::new(), backlog)).await,
        }
    }

    /// What a worker needs for a job that has waited.
    async fn brief(&mut self, job: &Job) -> Result<Option<Brief>, StoreError> {
        let rulebook = self.shared.rulebook();
        if let Some(cached) = self.incidents.get(&job.incident) {
            return Ok(brief_of(&cached.state, &rulebook, &job.effect));
        }
        let loaded = self.journal.load(&[job.incident]).await?;
        Ok(loaded.first().and_then(|(_, state)| brief_of(state, &rulebook, &job.effect)))
    }
}

/// What was spent and what runs, counted from the disk.
fn ledger_of(resumed: &Resumed) -> Ledger {
    let mut ledger = Ledger::default();
    resumed.spent.iter().for_each(|spent| ledger.spend(spent.clone()));
    for (playbook, n) in &resumed.running {
        (0..*n).for_each(|_| ledger.run_started(playbook));
    }
    ledger
}

/// An id made at `now` sorts by it.
fn uuid_time(now: Timestamp) -> uuid::Timestamp {
    let millis = now.0.max(0).unsigned_abs();
    uuid::Timestamp::from_unix(uuid::NoContext, millis / 1_000, u32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000)
}
