//! The one writer: takes whatever waits, decides each against what the earlier ones left, commits all with one fsync, answers.
//! Knows no SQL and performs nothing; what a commit asks of the world it hands to the worker.
//! One thing in one file: what a batch decides, what it commits and what is undone in memory when it fails must be read together.
//! What becomes of a commit that was not made is in `setback`.

mod setback;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::mpsc;
use uuid::Uuid;

use crate::domain::autonomy::Record;
use crate::domain::chain::{Digest, Stored};
use crate::domain::decide::command::{AttemptRef, Command, Effect, Refusal, Wake};
use crate::domain::decide::turn::{Decision, World, decide};
use crate::domain::hold::Holds;
use crate::domain::id::{IncidentId, RunId};
use crate::domain::incident::{AlertCounts, Incident};
use crate::domain::limits::{LONGEST_WINDOW, Ledger};
use crate::domain::run::RunStatus;
use crate::domain::settings::Rulebook;
use crate::domain::targets::Heir;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::{Actor, Entry, Event};
use crate::domain::trouble::Words;
use crate::engine::brief::{Brief, brief as brief_of};
use crate::engine::error::EngineError;
use crate::engine::incidents::Incidents;
use crate::engine::intake::Key;
use crate::engine::ledger::ledger_of;
use crate::engine::load::{Arrival, Backlog, Load, Waiting};
use crate::engine::narrate::narrate;
use crate::engine::ports::Cut;
use crate::engine::pulse::Beat;
use crate::engine::request::Named;
use crate::engine::shared::Shared;
use crate::engine::store::{AlertRow, Batch, Change, Horizon, IncidentRow, Job, Journal, LetGo, Link, Resumed, Slice, StoreError};
use crate::engine::tally::tally;
use crate::engine::work::{Asked, Briefing, Item, Put, Said, Work};

/// Commands that share a commit at most.
const BATCH: usize = 1_024;
/// Rows that a commit lets go at most, and the incidents among them that begin to leave.
const SLICE: u32 = 500;
const LEAVING: u32 = 50;
/// How often having heard of an incident again is written down.
const HEARD_EVERY: Span = Span::minutes(1);

/// The writer's own state: the open incidents and what numbers come next.
pub struct Writer {
    journal: Arc<dyn Journal>,
    pub(super) shared: Arc<Shared>,
    asked: mpsc::UnboundedSender<(Vec<Asked>, Beat)>,
    pub(super) incidents: Incidents,
    pub(super) ledger: Ledger,
    last_number: u64,
    last_position: i64,
    last_job: i64,
    last_delivery: i64,
    last_commit_at: Timestamp,
    /// Over all incidents' chains.
    seal: Digest,
    /// Worked before anything new: deliveries stored and not worked, and work that found the database gone.
    backlog: VecDeque<Backlog>,
    /// Another node writes now: nothing that memory holds counts any more.
    fenced: bool,
    /// A commit was not made: what the ledger has counted for it is not true. Or there are other targets.
    unsure: bool,
    /// The rules of the last commit, and the words by which an alert may name one of their targets.
    rulebook: Arc<Rulebook>,
    words: Words,
    /// Jobs whose commands were taken from the queue and are in no commit yet that was answered.
    in_hand: BTreeSet<i64>,
    /// Those of them that a commit settled whose answer was lost.
    settled: BTreeSet<i64>,
    /// Set from a commit that failed until the disk has said what became of it: until then an end in order has something to wait for.
    doubt: Option<Beat>,
    /// Attempts that a shutdown found not begun, until that is on disk.
    released: Vec<(Vec<i64>, Beat)>,
}

/// Why a commit was not made.
pub(super) enum Fault {
    Store(StoreError),
    /// Deciding about this incident panicked: a mistake of ours, and only one command's.
    Panic(IncidentId),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A commit in the making.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) batch: Batch,
    pub(super) touched: BTreeSet<IncidentId>,
    alerts: BTreeMap<IncidentId, BTreeSet<String>>,
    /// Runs that are cancelled: what is under way of them is cut off once this is committed.
    cut: Vec<RunId>,
    /// Playbooks of which a run has ended, so that the next in line may begin.
    ended: BTreeSet<String>,
    /// One for each command, in order.
    results: Vec<Result<u64, EngineError>>,
    /// One for each throw of the switch, in order.
    pub(super) thrown: Vec<Result<Holds, EngineError>>,
}

impl Writer {
    pub fn new(
        journal: Arc<dyn Journal>,
        shared: Arc<Shared>,
        asked: mpsc::UnboundedSender<(Vec<Asked>, Beat)>,
        resumed: &Resumed,
    ) -> Self {
        let rulebook = shared.rulebook();
        let (ledger, words) = (ledger_of(resumed, &rulebook), Words::of(&rulebook));
        Self {
            journal,
            shared,
            asked,
            incidents: Incidents::default(),
            ledger,
            last_number: resumed.last_number,
            last_position: resumed.last_position,
            last_job: resumed.last_job,
            last_delivery: resumed.last_delivery,
            last_commit_at: resumed.last_commit_at,
            seal: resumed.seal,
            backlog: VecDeque::new(),
            fenced: false,
            // Other rules may have come since it was read.
            unsure: words != resumed.words,
            rulebook,
            words,
            in_hand: BTreeSet::new(),
            settled: BTreeSet::new(),
            doubt: None,
            released: Vec::new(),
        }
    }

    /// Puts a delivery that an earlier life stored and did not work in front.
    pub fn resume(&mut self, said: Said, beat: Beat) {
        self.backlog.push_back(Backlog::Said(said, beat));
    }

    /// Says first of all what the end of an earlier life has left undone.
    pub fn recover(&mut self, put: Put, beat: Beat) {
        self.in_hand.extend(put.settles);
        self.backlog.push_back(Backlog::Put(put, beat));
    }

    /// Works until every sender is gone and nothing is left, or until another node writes.
    pub async fn work(mut self, mut queue: mpsc::Receiver<Item>) {
        let mut items = Vec::new();
        loop {
            // A database that failed is tried again though nobody sends anything: whoever asks "ready?" waits for the answer.
            let idle = self.backlog.is_empty() && self.released.is_empty() && !self.is_in_doubt();
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
        let mut load = Load { backlog: self.backlog.drain(..).collect(), ..Load::default() };
        let mut briefs = Vec::new();
        let mut slices = Vec::new();
        for item in items {
            match item.work {
                Work::Deliver { row, says, done, room } => {
                    load.deliveries.push(Arrival { row, says, done, beat: item.beat, room });
                }
                Work::Put(put) => {
                    self.in_hand.extend(put.settles);
                    load.backlog.push(Backlog::Put(put, item.beat));
                }
                Work::Throw(throw) => load.backlog.push(Backlog::Throw(throw, item.beat)),
                Work::Look { done } => {
                    load.held.push(Waiting { done, beat: item.beat });
                }
                Work::Release(jobs) => self.released.push((jobs, item.beat)),
                Work::Farewell => {
                    load.farewell = true;
                    load.held.push(Waiting { done: None, beat: item.beat });
                }
                Work::Brief { job, done } => briefs.push((job, done)),
                Work::LetGo { horizon, done } => slices.push((horizon, done, item.beat)),
            }
        }
        let idle = load.is_empty() && briefs.is_empty();
        load.released = self.released.iter().flat_map(|(jobs, _)| jobs.iter().copied()).collect();
        if !load.is_empty() || self.is_in_doubt() {
            self.carry(load).await;
        }
        self.answer_briefs(briefs).await;
        for (horizon, done, _beat) in slices {
            let went = if idle { self.let_go(horizon).await } else { None };
            let _ = done.send(went);
        }
    }

    /// Lets one slice of what is too old go. None when it has to wait: for a database that heals, or for whoever works with it.
    async fn let_go(&mut self, horizon: Horizon) -> Option<LetGo> {
        if self.shared.is_failing() || !self.backlog.is_empty() {
            return None;
        }
        match self.try_let_go(horizon).await {
            Ok(went) => Some(went),
            Err(error) => {
                tracing::error!(%error, "What is too old could not be let go");
                // Whether it was made is read anew with the next commit.
                self.shared.failing(&error);
                None
            }
        }
    }

    async fn try_let_go(&mut self, horizon: Horizon) -> Result<LetGo, StoreError> {
        let expired = match horizon.resolved {
            Some(before) => self.journal.expired(before, LEAVING).await?,
            None => Vec::new(),
        };
        // What memory holds is being worked with.
        let leaving: Vec<_> = expired.into_iter().filter(|(id, _)| !self.incidents.contains(*id)).collect();
        let mut seal = self.seal;
        leaving.iter().for_each(|(_, link)| seal ^= *link);
        let slice = Slice { horizon, leaving: leaving.into_iter().map(|(id, _)| id).collect(), seal, rows: SLICE };
        let went = self.journal.let_go(&slice).await?;
        self.seal = seal;
        Ok(went)
    }

    /// What a worker needs for jobs that have waited. After a start that is all that was under way, so it is read as one set.
    async fn answer_briefs(&mut self, briefs: Vec<(Job, Briefing)>) {
        let missing: BTreeSet<IncidentId> = briefs.iter().map(|(job, _)| job.incident).filter(|id| !self.incidents.contains(*id)).collect();
        let read = self.read_all(&missing.into_iter().collect::<Vec<_>>()).await;
        let rulebook = self.shared.rulebook();
        for (job, done) in briefs {
            let known = match self.incidents.state(job.incident) {
                Some(held) => Ok(Some(held)),
                None => read.get(&job.incident).map(Result::as_ref).transpose(),
            };
            let answer = known.map(|state| state.and_then(|state| self.brief_of(state, &rulebook, &job)));
            let _ = done.send(answer.map_err(Clone::clone));
        }
    }

    /// The incidents of these ids, as far as they are there. One that cannot be read is an error of its own.
    async fn read_all(&self, ids: &[IncidentId]) -> BTreeMap<IncidentId, Result<Incident, StoreError>> {
        if ids.is_empty() {
            return BTreeMap::new();
        }
        match self.journal.load(ids).await {
            Ok(found) => found.into_iter().map(|(_, state)| (state.id, Ok(state))).collect(),
            Err(StoreError::Refused(_)) if ids.len() > 1 => {
                let (left, right) = ids.split_at(ids.len() / 2);
                let mut all = Box::pin(self.read_all(left)).await;
                all.extend(Box::pin(self.read_all(right)).await);
                all
            }
            Err(error) => ids.iter().map(|id| (*id, Err(error.clone()))).collect(),
        }
    }

    async fn carry(&mut self, load: Load) {
        let now = self.shared.clock.now().max(self.last_commit_at);
        match self.commit_all(&load, now).await {
            Ok(draft) => self.answer(draft, load),
            Err(Fault::Store(error)) => Box::pin(self.heal(error, load)).await,
            Err(Fault::Panic(incident)) => Box::pin(self.single_out(incident, load)).await,
        }
    }

    /// Settings with other targets were loaded: what is in trouble is counted anew.
    fn minds_targets(&mut self, rulebook: &Arc<Rulebook>) {
        if Arc::ptr_eq(&self.rulebook, rulebook) {
            return;
        }
        self.rulebook = rulebook.clone();
        let words = Words::of(rulebook);
        if words != self.words {
            self.words = words;
            self.unsure = true;
        }
    }

    async fn commit_all(&mut self, load: &Load, now: Timestamp) -> Result<Draft, Fault> {
        let rulebook = self.shared.rulebook();
        self.minds_targets(&rulebook);
        if self.is_in_doubt() || self.unsure {
            // The commit that failed may have been made all the same: what it asked for must not wait until somebody stumbles over it.
            self.catch_up().await?;
        }
        self.load_for(load).await?;
        let mut draft = Draft::default();
        draft.batch.released.clone_from(&load.released);
        draft.batch.first_position = self.last_position + 1;
        draft.batch.first_delivery = self.last_delivery + 1;
        draft.batch.deliveries = load.deliveries.iter().map(|arrival| arrival.row.clone()).collect();
        let (counters, shadowed) = ((self.last_number, self.last_job), self.ledger.shadowed.len());
        // Whatever fails from here on, memory must not keep what the disk does not have. The ledger grows with what is open, so no
        // copy of it is kept for that: it is counted anew from the disk before anything else is decided.
        if let Err(error) = self.draft_and_commit(load, &rulebook, now, &mut draft).await {
            (self.last_number, self.last_job) = counters;
            self.ledger.shadowed.truncate(shadowed);
            self.unsure = true;
            for id in &draft.touched {
                self.incidents.forget(*id);
            }
            return Err(error);
        }
        self.last_commit_at = now;
        self.seal = draft.batch.seal.unwrap_or(self.seal);
        self.shared.gate.follow(&self.ledger.switch.holds);
        self.lets_go_of(load);
        self.doubt = None;
        self.last_position += i64::try_from(draft.batch.entries.len()).unwrap_or(0);
        self.last_delivery += i64::try_from(draft.batch.deliveries.len()).unwrap_or(0);
        self.ledger.forget(now, LONGEST_WINDOW);
        self.shared.committed(now);
        self.publish(&draft, &rulebook);
        Ok(draft)
    }

    /// Whether a commit has failed and none has been made since. An engine that is closed says nothing of its health any more.
    fn is_in_doubt(&self) -> bool {
        self.doubt.is_some() || self.shared.is_failing()
    }

    /// What it has settled is settled for everybody.
    fn lets_go_of(&mut self, load: &Load) {
        let puts = load.backlog.iter().filter_map(|entry| if let Backlog::Put(put, _) = entry { put.settles } else { None });
        for job in puts {
            self.in_hand.remove(&job);
            self.settled.remove(&job);
        }
        // What catching up has added meanwhile is for the next one.
        self.released.retain(|(jobs, _)| !jobs.iter().all(|job| load.released.contains(job)));
    }

    async fn draft_and_commit(&mut self, load: &Load, rulebook: &Rulebook, now: Timestamp, draft: &mut Draft) -> Result<(), Fault> {
        self.look_at_hands(rulebook, now, draft).await?;
        for entry in &load.backlog {
            match entry {
                Backlog::Said(said, _) => self.hear(said, said.position, rulebook, now, draft)?,
                Backlog::Put(put, _) => self.put(put, rulebook, now, draft).await?,
                Backlog::Throw(throw, _) => self.throw(throw, rulebook, now, draft).await?,
            }
            self.let_next_begin(rulebook, now, draft).await?;
        }
        if !load.only_store {
            for (position, arrival) in (draft.batch.first_delivery..).zip(&load.deliveries) {
                self.hear(&arrival.says, position, rulebook, now, draft)?;
                self.let_next_begin(rulebook, now, draft).await?;
            }
        }
        draft.batch.breakers = self.ledger.breakers.take_changed();
        self.project(draft, now);
        draft.batch.records = self.records_of(&draft.batch);
        if !self.ledger.switch.holds.are_none() {
            self.shared.gate.shut();
        }
        let began = std::time::Instant::now();
        self.journal.commit(&draft.batch, now).await?;
        self.shared.metrics.commit(load.commands(), began.elapsed());
        Ok(())
    }

    /// Brings in the incidents that this turn speaks of and memory does not hold.
    async fn load_for(&mut self, load: &Load) -> Result<(), StoreError> {
        let mut keys = BTreeSet::new();
        let mut ids = BTreeSet::new();
        let mut unknown = |said: &Said| keys.extend(said.observations.keys().filter(|key| self.incidents.of_key(key).is_none()).cloned());
        for entry in &load.backlog {
            match entry {
                Backlog::Said(said, _) => unknown(said),
                Backlog::Put(put, _) if !self.incidents.contains(put.incident) => {
                    ids.insert(put.incident);
                }
                Backlog::Put(..) | Backlog::Throw(..) => {}
            }
        }
        if !load.only_store {
            load.deliveries.iter().for_each(|arrival| unknown(&arrival.says));
        }
        if !keys.is_empty() {
            let keys: Vec<Key> = keys.into_iter().collect();
            for (key, state) in self.journal.newest_of_keys(&keys).await? {
                self.incidents.remember(key, state);
            }
        }
        if ids.is_empty() { Ok(()) } else { self.bring_in(&ids.into_iter().collect::<Vec<_>>()).await }
    }

    /// Brings in those that memory does not hold.
    pub(super) async fn bring_in_missing(&mut self, ids: &[IncidentId]) -> Result<(), StoreError> {
        let missing: Vec<IncidentId> = ids.iter().copied().filter(|id| !self.incidents.contains(*id)).collect();
        if missing.is_empty() { Ok(()) } else { self.bring_in(&missing).await }
    }

    async fn bring_in(&mut self, ids: &[IncidentId]) -> Result<(), StoreError> {
        for (key, state) in self.journal.load(ids).await? {
            // Only the newest incident of a key answers to the key.
            self.incidents.visit(key, state);
        }
        Ok(())
    }

    /// Works one delivery: each observation goes to its incident, or opens one.
    fn hear(&mut self, said: &Said, position: i64, rulebook: &Rulebook, now: Timestamp, draft: &mut Draft) -> Result<(), Fault> {
        for (key, observation) in &said.observations {
            let known = self.incidents.of_key(key).filter(|id| self.still_answers(*id, rulebook, now));
            let id = known.unwrap_or_else(|| {
                let id = IncidentId(Uuid::new_v7(uuid_time(now)));
                self.incidents.remember(key.clone(), Incident::blank(id));
                id
            });
            let actor = Actor::Source(said.source.clone());
            // Observations are never refused.
            let _ = self.decide(id, actor, Command::Observe(observation.clone()), rulebook, now, draft)?;
            self.forget_unopened(id, draft);
        }
        draft.batch.worked_up_to = draft.batch.worked_up_to.max(Some(position));
        Ok(())
    }

    /// What nothing has happened to is no incident.
    fn forget_unopened(&mut self, id: IncidentId, draft: &mut Draft) {
        if self.incidents.state(id).is_some_and(|state| state.seq == 0) {
            self.incidents.forget(id);
            draft.touched.remove(&id);
        }
    }

    /// Whether alerts of its key still belong to it: while it is open, and for a while after.
    fn still_answers(&self, id: IncidentId, rulebook: &Rulebook, now: Timestamp) -> bool {
        self.incidents.get(id).is_some_and(|cached| match cached.state.resolved_at {
            Some(resolved_at) if !cached.state.is_open() => now.since(resolved_at) < rulebook.incidents.reopen_within,
            _ => true,
        })
    }

    async fn put(&mut self, put: &Put, rulebook: &Rulebook, now: Timestamp, draft: &mut Draft) -> Result<(), Fault> {
        if let Some(rows) = put.request.as_ref().map(Named::rows) {
            let [used, for_this] = rows;
            if self.knows(&used, draft).await? {
                let same = self.knows(&for_this, draft).await?;
                draft.results.push(if same { self.version(put.incident) } else { Err(EngineError::KeyReused) });
                return Ok(());
            }
        }
        if put.settles.is_some_and(|job| self.is_settled(job)) {
            draft.results.push(self.version(put.incident));
            return Ok(());
        }
        draft.batch.settled.extend(put.settles);
        draft.batch.answers.extend(put.from_inbox);
        if let Some(occurrence) = put.command.occurrence() {
            // It stands under the incident that it may open.
            self.incidents.visit(occurrence.key(), Incident::blank(put.incident));
        }
        let result = if let Some(number) = self.newer_of_its_key(put).await? {
            Err(EngineError::from(Refusal::Superseded { number }))
        } else if self.incidents.contains(put.incident) {
            self.decide(put.incident, put.actor.clone(), put.command.clone(), rulebook, now, draft)?
                .map_err(EngineError::from)
                .and_then(|()| self.version(put.incident))
        } else {
            Err(EngineError::NotFound)
        };
        if let (Some(request), Ok(_)) = (&put.request, &result) {
            draft.batch.requests.extend(request.rows().map(|row| (row, now)));
        }
        self.forget_unopened(put.incident, draft);
        draft.results.push(result);
        Ok(())
    }

    /// One that is reopened beside a newer one of the same key would hear nothing of its alerts: those belong to the newest.
    async fn newer_of_its_key(&self, put: &Put) -> Result<Option<u64>, StoreError> {
        let reopens = matches!(put.command, Command::Reopen { .. } | Command::Unresolve);
        let Some(held) = self.incidents.get(put.incident).filter(|held| reopens && held.state.counts != AlertCounts::default()) else {
            return Ok(None);
        };
        let newest = match self.incidents.of_key(&held.key).and_then(|id| self.incidents.state(id)) {
            Some(state) => Some(state.number),
            None => self.journal.newest_of_keys(std::slice::from_ref(&held.key)).await?.first().map(|(_, state)| state.number),
        };
        Ok(newest.filter(|number| *number > held.state.number))
    }

    /// Whether that was asked and done before. What was refused is not remembered: it may be asked again under the same name.
    async fn knows(&self, request: &str, draft: &Draft) -> Result<bool, StoreError> {
        let in_this_batch = draft.batch.requests.iter().any(|(key, _)| key == request);
        Ok(in_this_batch || self.journal.request_known(request).await?)
    }

    /// Whether a commit whose answer was lost has settled this job: then what it asks for is done already.
    fn is_settled(&self, job: i64) -> bool {
        self.settled.contains(&job)
    }

    /// Whoever waited for a run that has just ended begins in the same commit, so that no crash can come between.
    pub(super) async fn let_next_begin(&mut self, rulebook: &Rulebook, now: Timestamp, draft: &mut Draft) -> Result<(), Fault> {
        loop {
            self.let_next_run_begin(rulebook, now, draft).await?;
            self.tell_heirs(rulebook, now, draft).await?;
            // One that goes on may end its run, and one that ends may let go of a target.
            let Some(place) = self.ledger.targets.next_in_line() else { return Ok(()) };
            if !self.incidents.contains(place.incident) {
                self.bring_in(&[place.incident]).await?;
            }
            let wake = Wake::Step { run: place.run, step: Some(place.step), attempt: place.attempt };
            // A timer is never refused.
            let _ = self.decide(place.incident, Actor::engine(), Command::Wake(wake), rulebook, now, draft)?;
        }
    }

    /// An incident to which another one has left something in force is told so, in the same commit.
    async fn tell_heirs(&mut self, rulebook: &Rulebook, now: Timestamp, draft: &mut Draft) -> Result<(), Fault> {
        while let Some(Heir { incident, from, title, target }) = self.ledger.targets.next_heir() {
            if !self.incidents.contains(incident) {
                self.bring_in(&[incident]).await?;
            }
            // What is left to it is never refused.
            let _ = self.decide(incident, Actor::engine(), Command::Inherit { from, title, target }, rulebook, now, draft)?;
        }
        Ok(())
    }

    async fn let_next_run_begin(&mut self, rulebook: &Rulebook, now: Timestamp, draft: &mut Draft) -> Result<(), Fault> {
        while let Some(playbook) = draft.ended.pop_first() {
            while let Some(next) = self.ledger.next_in_line(&playbook) {
                if !self.incidents.contains(next.incident) {
                    self.bring_in(&[next.incident]).await?;
                }
                // Proceeding is never refused.
                let _ = self.decide(next.incident, Actor::engine(), Command::Proceed { run: next.run }, rulebook, now, draft)?;
                if self.ledger.next_in_line(&playbook) == Some(next) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn version(&self, id: IncidentId) -> Result<u64, EngineError> {
        self.incidents.get(id).map(|cached| cached.state.seq).ok_or(EngineError::NotFound)
    }

    pub(super) fn decide(
        &mut self,
        id: IncidentId,
        actor: Actor,
        command: Command,
        rulebook: &Rulebook,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<Result<(), Refusal>, Fault> {
        let Some(cached) = self.incidents.get_mut(id) else { return Ok(Ok(())) };
        let world = World { rulebook, ledger: &mut self.ledger, now, next_number: self.last_number + 1 };
        let first = draft.touched.insert(id);
        // What a panic leaves half done is touched: it is forgotten with all of this commit, and the ledger is counted anew.
        let decided = catch_unwind(AssertUnwindSafe(|| decide(Arc::make_mut(&mut cached.state), actor, command, world)));
        match decided.map_err(|_| Fault::Panic(id))? {
            Ok(decision) => self.take(id, decision, draft),
            Err(refusal) => {
                if first {
                    draft.touched.remove(&id);
                }
                return Ok(Err(refusal));
            }
        }
        Ok(Ok(()))
    }

    /// Puts a decision into the commit in the making.
    fn take(&mut self, id: IncidentId, decision: Decision, draft: &mut Draft) {
        draft.batch.spent.extend(decision.spent);
        draft.cut.extend(decision.cut);
        for due in decision.effects {
            self.last_job += 1;
            let started = matches!(due.effect, Effect::Perform { .. });
            let incident = due.effect.incident().unwrap_or(id);
            draft.batch.jobs.push(Job { id: self.last_job, incident, due_at: due.at, effect: due.effect, started });
        }
        for entry in decision.entries {
            match &entry.event {
                Event::Opened { number, .. } => self.last_number = *number,
                Event::AlertFired { alerts, .. } | Event::AlertResolved { alerts, .. } => {
                    draft.alerts.entry(id).or_default().extend(alerts.iter().map(|alert| alert.fingerprint.clone()));
                }
                Event::RunSucceeded { playbook, .. } | Event::RunFailed { playbook, .. } | Event::RunCancelled { playbook, .. } => {
                    draft.ended.insert(playbook.clone());
                }
                _ => {}
            }
            draft.batch.entries.push((id, entry));
        }
    }

    /// The records of the playbooks of which a run has ended.
    fn records_of(&self, batch: &Batch) -> Vec<(String, Record)> {
        let ended = batch.entries.iter().filter_map(|(_, entry)| entry.event.ended_playbook());
        let slugs: BTreeSet<&str> = ended.collect();
        slugs.into_iter().filter_map(|slug| Some((slug.to_owned(), self.ledger.records.get(slug)?.clone()))).collect()
    }

    /// Chains the entries, each to the one before it of its incident.
    fn link(&mut self, batch: &mut Batch) {
        if batch.entries.is_empty() {
            return;
        }
        let mut seal = self.seal;
        for (id, entry) in &batch.entries {
            // Our own types have text keys and no failing serialisers.
            let event = serde_json::to_string(&entry.event).unwrap_or_default();
            let mut digest = Digest::default();
            if let Some(cached) = self.incidents.get_mut(*id) {
                seal ^= cached.state.chain;
                digest = cached.state.chain.then(&stored(*id, entry, &event));
                Arc::make_mut(&mut cached.state).chain = digest;
                seal ^= digest;
            }
            batch.links.push(Link { event, digest });
        }
        batch.seal = Some(seal);
    }

    /// The rows that the facts lead to: one an incident, one an alert that changed.
    fn project(&mut self, draft: &mut Draft, now: Timestamp) {
        self.link(&mut draft.batch);
        let changed: BTreeSet<IncidentId> = draft.batch.entries.iter().map(|(id, _)| *id).collect();
        for id in &draft.touched {
            let Some(cached) = self.incidents.get_mut(*id) else { continue };
            if !changed.contains(id) {
                // Silence is reckoned in hours: a crash may forget a minute of having heard.
                if now.since(cached.heard_saved_at) >= HEARD_EVERY {
                    cached.heard_saved_at = now;
                    draft.batch.heard.push((*id, cached.state.heard_at));
                }
                continue;
            }
            cached.heard_saved_at = now;
            draft.batch.incidents.push(IncidentRow { key: cached.key.clone(), state: cached.state.clone() });
            for fingerprint in draft.alerts.remove(id).unwrap_or_default() {
                if let Some(mark) = cached.state.alerts.get(&fingerprint) {
                    let (mark, may_name) = (mark.clone(), self.words.may_be_in(&mark.labels));
                    draft.batch.alerts.push(AlertRow { incident: *id, fingerprint, mark, last_seen_at: now, may_name });
                }
            }
        }
    }

    /// Tells live pages and the worker what is true now.
    fn publish(&mut self, draft: &Draft, rulebook: &Rulebook) {
        draft.cut.iter().for_each(|run| self.shared.cuts.make(*run));
        let mut last: BTreeMap<IncidentId, Change> = BTreeMap::new();
        for (position, (id, entry)) in (draft.batch.first_position..).zip(&draft.batch.entries) {
            let number = self.incidents.get(*id).map_or(0, |cached| cached.state.number);
            last.insert(*id, Change { position, incident: *id, number, seq: entry.seq });
        }
        // In the log's order: a listener takes what lies before what it has heard for a repetition.
        let mut changes: Vec<Change> = last.into_values().collect();
        changes.sort_unstable_by_key(|change| change.position);
        self.shared.announce(changes.into_iter());
        let now = self.last_commit_at;
        let mut facts: HashMap<IncidentId, Vec<&Entry>> = HashMap::new();
        for (id, entry) in &draft.batch.entries {
            facts.entry(*id).or_default().push(entry);
        }
        for (id, entries) in facts {
            if let Some(cached) = self.incidents.get(id) {
                tally(&self.shared.metrics, rulebook, &cached.state, &entries, self.shared.clock.now());
                narrate(&cached.state, &entries);
            }
        }
        let asked: Vec<Asked> = draft
            .batch
            .jobs
            .iter()
            .map(|job| {
                let brief = (job.due_at <= now).then(|| self.incidents.get(job.incident)).flatten();
                Asked { job: job.clone(), brief: brief.and_then(|cached| self.brief_of(&cached.state, rulebook, job)) }
            })
            .collect();
        self.hand_out(asked);
        self.incidents.forget_over(&draft.touched);
    }

    /// Hands the worker what is to be done. A worker that is gone begins nothing: at a shutdown that took longer than the worker had
    /// patience the rows are enough, but for the marks of attempts that never began.
    fn hand_out(&mut self, asked: Vec<Asked>) {
        if asked.is_empty() {
            return;
        }
        let beat = self.shared.pulse.begin();
        if let Err(mpsc::error::SendError((asked, beat))) = self.asked.send((asked, beat)) {
            let marked: Vec<i64> = asked.iter().filter(|asked| asked.job.started).map(|asked| asked.job.id).collect();
            if !marked.is_empty() {
                self.released.push((marked, beat));
            }
        }
    }

    fn answer(&mut self, draft: Draft, load: Load) {
        load.held.into_iter().filter_map(|waiting| waiting.done).for_each(|done| done.send(()).unwrap_or_default());
        let (mut results, mut thrown) = (draft.results.into_iter(), draft.thrown.into_iter());
        for entry in load.backlog {
            match entry {
                Backlog::Said(_, beat) => drop(beat),
                Backlog::Put(put, _beat) => {
                    if let (Some(done), Some(result)) = (put.done, results.next()) {
                        let _ = done.send(result);
                    }
                }
                Backlog::Throw(throw, _beat) => drop(thrown.next().map(|result| throw.done.send(result))),
            }
        }
        for (position, Arrival { says, done, beat, .. }) in (draft.batch.first_delivery..).zip(load.deliveries) {
            let _ = done.send(Ok(()));
            if load.only_store {
                self.backlog.push_back(Backlog::Said(Said { position, ..says }, beat));
            }
        }
    }

    /// A brief is made here alone, between two commits: a run that is cancelled before is seen, and one that is cancelled later
    /// cuts off what it is for.
    fn brief_of(&self, state: &Incident, rulebook: &Rulebook, job: &Job) -> Option<Brief> {
        let brief = brief_of(state, rulebook, &job.effect)?;
        let Effect::Perform { attempt: AttemptRef { run, .. } } = &job.effect else { return Some(brief) };
        let cancelled = state.runs.get(run).is_some_and(|run| run.status == RunStatus::Cancelled);
        Some(brief.cut_by(|| if cancelled { Cut::already() } else { self.shared.cuts.of(*run) }))
    }
}

/// An entry as the log keeps it.
fn stored<'a>(incident: IncidentId, entry: &'a Entry, event: &'a str) -> Stored<'a> {
    let Entry { seq, at, actor, event: fact } = entry;
    Stored { incident, seq: *seq, at: at.0, kind: fact.kind(), actor_kind: actor.kind(), actor: actor.name(), event }
}

/// An id made at `now` sorts by it.
fn uuid_time(now: Timestamp) -> uuid::Timestamp {
    let millis = now.0.max(0).unsigned_abs();
    uuid::Timestamp::from_unix(uuid::NoContext, millis / 1_000, u32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000)
}
