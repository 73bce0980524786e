//! Starts and stops the engine, and is what the web calls: hand in a delivery, put a command, hear of changes.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, RwLock};

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::domain::decide::command::Command;
use crate::domain::id::{DeliveryId, IncidentId};
use crate::domain::settings::Rulebook;
use crate::domain::time::{Span, Timestamp};
use crate::domain::timeline::Actor;
use crate::domain::trouble::Words;
use crate::domain::watch::Fault;
use crate::engine::commit::Writer;
use crate::engine::error::EngineError;
use crate::engine::heir::Heir;
use crate::engine::inbox;
use crate::engine::late::{Letterbox, Voice};
use crate::engine::metrics::Metrics;
use crate::engine::ports::Clock;
use crate::engine::recovery;
use crate::engine::request::{Named, Request, digest};
use crate::engine::retention;
use crate::engine::schedule;
use crate::engine::shared::{Hands, Health, Shared, change, read};
use crate::engine::store::{Change, Delivery, DeliveryRow, Inbox, Journal, Reads, RejectedAlert, Resumed, StoreError};
use crate::engine::wire;
use crate::engine::work::{Item, Put, Said, Work, said};
use crate::engine::worker::{Nudge, Worker};

/// Commands that may wait for the writer.
const QUEUE: usize = 4_096;
/// Bytes of deliveries that may wait for the disk, in KiB; more is answered "not now".
const WAITING_KIB: usize = 64 * 1024;
/// How long a shutdown waits for the writer once all effects have ended.
const LAST_COMMITS: std::time::Duration = std::time::Duration::from_secs(5);

/// The answer to a delivery that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub delivery: DeliveryId,
    pub alerts: usize,
    pub rejected: Vec<RejectedAlert>,
}

/// The engine as the outside sees it. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    pub reads: Arc<dyn Reads>,
    pub clock: Arc<dyn Clock>,
    /// This node's name among those that share a database.
    pub node: Arc<str>,
    pub(super) shared: Arc<Shared>,
    lines: Arc<RwLock<Lines>>,
    room: Arc<Semaphore>,
    /// Where a delivery waits while another node writes; none where there is no other.
    inbox: Option<Arc<dyn Inbox>>,
    /// Where the node that writes is reached.
    active_url: Arc<RwLock<Option<String>>>,
    /// Whom this one is to hand the work to.
    pub(super) heir: Heir,
}

/// Why the writer did not hear of something.
pub(super) enum Unheard {
    Busy,
    Gone,
}

/// The ways to the loops that run now; whatever else is called over them finds nobody.
#[derive(Clone)]
struct Lines {
    queue: mpsc::Sender<Item>,
    nudges: mpsc::UnboundedSender<Nudge>,
}

impl Lines {
    fn dead() -> Self {
        Self { queue: mpsc::channel(1).0, nudges: mpsc::unbounded_channel().0 }
    }
}

/// The engine's loops; they end when told to, and at once when nobody holds them any more: what was left to itself would go on with
/// what it had in hand as soon as this process is active again.
pub struct Loops {
    writer: JoinHandle<Over>,
    worker: JoinHandle<()>,
    keeper: JoinHandle<()>,
    nudges: mpsc::UnboundedSender<Nudge>,
}

/// Why there is no writer any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// Another node has taken its place.
    Fenced,
    /// Another node is to have the work; its name.
    Heir(String),
    /// A fault of ours.
    Fell,
}

/// What an engine is started with.
pub struct Parts {
    pub journal: Arc<dyn Journal>,
    pub reads: Arc<dyn Reads>,
    pub clock: Arc<dyn Clock>,
    pub rulebook: Arc<Rulebook>,
    pub hands: Hands,
    pub metrics: Arc<Metrics>,
}

impl Runtime {
    /// An engine that is at work at once.
    pub async fn start(parts: Parts) -> Result<(Self, Loops), StoreError> {
        let journal = parts.journal.clone();
        let runtime = Self::idle(parts);
        let loops = runtime.take_over(journal).await?;
        Ok((runtime, loops))
    }

    /// An engine that reads, and does nothing until it takes over.
    pub fn idle(parts: Parts) -> Self {
        let shared = Arc::new(Shared::new(parts.clock.clone(), parts.metrics, parts.rulebook, parts.hands));
        let room = Arc::new(Semaphore::new(WAITING_KIB));
        let (lines, active_url) = (Arc::new(RwLock::new(Lines::dead())), Arc::default());
        Self {
            reads: parts.reads,
            clock: parts.clock,
            shared,
            lines,
            room,
            inbox: None,
            active_url,
            heir: Heir::default(),
            node: "".into(),
        }
    }

    pub fn named(self, node: &str) -> Self {
        Self { node: node.into(), ..self }
    }

    /// One that shares its database: deliveries that come while another node writes are kept for it there.
    pub fn sharing(self, inbox: Arc<dyn Inbox>) -> Self {
        Self { inbox: Some(inbox), ..self }
    }

    /// Picks up where the last life ended, or another node's: what was stored is worked, what was cut off is said to be.
    pub async fn take_over(&self, journal: Arc<dyn Journal>) -> Result<Loops, StoreError> {
        let resumed = journal.resume_with(self.clock.now(), &Words::of(&self.rulebook())).await?;
        self.clock.not_before(resumed.last_commit_at);
        let shared = &self.shared;
        // Before there is a worker: what a former life or another node held is held.
        shared.gate.follow(&resumed.holds);
        let (queue, items) = mpsc::channel(QUEUE);
        let (nudges, nudged) = mpsc::unbounded_channel();
        let (asked, asks) = mpsc::unbounded_channel();
        let mut writer = Writer::new(journal.clone(), shared.clone(), asked, &resumed);
        for put in recovery::first_words(journal.as_ref(), &resumed, self.clock.now()).await? {
            writer.recover(put, shared.pulse.begin());
        }
        for put in schedule::puts(&self.rulebook(), self.clock.now().max(resumed.last_commit_at)) {
            writer.recover(put, shared.pulse.begin());
        }
        resume_deliveries(&mut writer, shared, &resumed);
        let letterbox = self.inbox.clone().map(|inbox| Letterbox { inbox, node: self.node.clone() });
        let worker = Worker::new(journal, shared.clone(), Voice::new(shared.clone(), letterbox), (queue.clone(), nudges.downgrade()));
        let writer = tokio::spawn(watched(writer.work(items), shared.clone()));
        let worker = tokio::spawn(worker.work(asks, nudged));
        let keeper = tokio::spawn(retention::keep(shared.clone(), queue.downgrade()));
        change(&self.lines, |lines| *lines = Lines { queue, nudges: nudges.clone() });
        shared.takes_work(resumed.last_commit_at);
        self.look_if_changed();
        Ok(Loops { writer, worker, keeper, nudges })
    }

    /// Leaves the work to another node.
    pub fn stands_by(&self, node: &str) {
        change(&self.lines, |lines| *lines = Lines::dead());
        self.shared.stands_by(node);
    }

    /// Stores a delivery and works it in one commit; answers once that is on disk. While another node writes it is kept for that one.
    pub async fn deliver(&self, source: &str, body: Vec<u8>) -> Result<Receipt, EngineError> {
        self.demand_open()?;
        let parsed = wire::parse(&body).map_err(|error| EngineError::Unreadable(error.to_string()))?;
        let room = self.room.clone().try_acquire_many_owned(kib(&body)).map_err(|_| overloaded())?;
        let now = self.clock.now();
        let id = DeliveryId(Uuid::now_v7());
        let receipt = Receipt { delivery: id, alerts: parsed.alerts.len(), rejected: parsed.rejected.clone() };
        let delivery = Delivery { id, source: source.to_owned(), received_at: now, body };
        let (row, says) = self.row(delivery, parsed, false);
        match self.work(row.clone(), says, room).await {
            Some(worked) => worked?,
            None => self.leave(&row.delivery).await?,
        }
        Ok(receipt)
    }

    /// Works a delivery that another node has taken in.
    pub(super) async fn work_from_inbox(&self, delivery: Delivery, parsed: wire::Parsed) -> Result<(), EngineError> {
        let room = self.room.clone().acquire_many_owned(kib(&delivery.body)).await.map_err(|_| overloaded())?;
        let (row, says) = self.row(delivery, parsed, true);
        self.work(row, says, room).await.unwrap_or_else(|| Err(self.nobody()))
    }

    /// Writes down what another node has left. True once it is out of the inbox, also where nobody knows its incident any more.
    pub(super) async fn record_from_inbox(&self, id: DeliveryId, incident: IncidentId, command: Command) -> bool {
        let (done, answer) = oneshot::channel();
        let put = Put { incident, actor: Actor::engine(), command, settles: None, from_inbox: Some(id), request: None, done: Some(done) };
        self.hand_in(Work::Put(put)).is_ok() && matches!(answer.await, Ok(Ok(_) | Err(EngineError::NotFound)))
    }

    fn row(&self, delivery: Delivery, parsed: wire::Parsed, from_inbox: bool) -> (Arc<DeliveryRow>, Said) {
        let rejected = parsed.rejected.clone();
        let rulebook = self.rulebook();
        if rulebook.watchdogs.get(&delivery.source).is_some_and(|dog| parsed.hears(dog)) {
            self.shared.hear_watchdog(&delivery.source, delivery.received_at);
        }
        let says = said(&delivery, parsed, &rulebook);
        (Arc::new(DeliveryRow { delivery, keys: says.observations.keys().cloned().collect(), rejected, from_inbox }), says)
    }

    /// None when there is no writer to ask: nothing of it was made.
    async fn work(&self, row: Arc<DeliveryRow>, says: Said, room: OwnedSemaphorePermit) -> Option<Result<(), EngineError>> {
        let (done, answer) = oneshot::channel();
        match self.hand_in(Work::Deliver { row, says, done, room }) {
            Ok(()) => answer.await.ok(),
            Err(busy @ Unheard::Busy) => Some(Err(self.why(busy))),
            Err(Unheard::Gone) => None,
        }
    }

    /// Keeps a delivery for whoever writes.
    async fn leave(&self, delivery: &Delivery) -> Result<(), EngineError> {
        self.demand_open()?;
        let inbox = self.inbox.as_ref().ok_or_else(|| self.nobody())?;
        Ok(inbox.put(delivery).await?)
    }

    /// Takes over what other nodes have taken in; for as long as it is not dropped.
    pub(super) async fn empties_inbox(&self) {
        match &self.inbox {
            Some(inbox) => inbox::empty(self, inbox).await,
            None => std::future::pending().await,
        }
    }

    /// Puts a command to an incident. With a request key that was seen before nothing is done: the same wish is answered as done,
    /// another one is refused. Answers the incident's version.
    pub async fn command(&self, id: IncidentId, actor: Actor, command: Command, request: Option<Request>) -> Result<u64, EngineError> {
        let (done, answer) = oneshot::channel();
        // A key is one person's and one incident's, so that nobody's answers another's.
        let request = request.map(|Request { key, asked }| {
            let asked = asked.unwrap_or_else(|| digest(&format!("{command:?}")));
            Named { key: format!("{id}/{actor}/{key}"), asked }
        });
        let put = Put { incident: id, actor, command, settles: None, from_inbox: None, request, done: Some(done) };
        self.hand_in(Work::Put(put)).map_err(|unheard| self.why(unheard))?;
        answer.await.map_err(|_| self.nobody())?
    }

    pub(super) fn hand_in(&self, work: Work) -> Result<(), Unheard> {
        let beat = self.shared.pulse.begin();
        let queue = read(&self.lines).queue.clone();
        queue.try_send(Item { work, beat }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unheard::Busy,
            mpsc::error::TrySendError::Closed(_) => Unheard::Gone,
        })
    }

    pub(super) fn why(&self, unheard: Unheard) -> EngineError {
        match unheard {
            Unheard::Busy => overloaded(),
            Unheard::Gone => self.nobody(),
        }
    }

    /// Why there is no writer to ask.
    pub(super) fn nobody(&self) -> EngineError {
        self.health().standing_by.map_or_else(stopping, EngineError::StandingBy)
    }

    /// Refuses once nothing is taken any more.
    fn demand_open(&self) -> Result<(), EngineError> {
        let health = self.health();
        // A database that failed is tried anew with the next delivery: that is how it is found to have healed.
        let open = health.ready || health.detail.is_some() || (health.standing_by.is_some() && self.inbox.is_some());
        if open { Ok(()) } else { Err(self.nobody()) }
    }

    /// Where the node is reached that does the work while this one stands by.
    pub fn active_url(&self) -> Option<String> {
        read(&self.active_url).clone()
    }

    pub(super) fn active_is_at(&self, url: Option<String>) {
        change(&self.active_url, |known| *known = url);
    }

    /// Whether the database answers a node that stands by: without it, that one takes nothing.
    pub(super) fn out_of_reach(&self, error: Option<&StoreError>) {
        self.shared.out_of_reach(error);
    }

    /// The rules in force now.
    pub fn rulebook(&self) -> Arc<Rulebook> {
        self.shared.rulebook()
    }

    /// Puts other rules and other hands in force; what runs keeps its revision.
    pub fn reload(&self, rulebook: Rulebook, hands: Hands) {
        let before = self.rulebook();
        self.shared.replace_rulebook(rulebook);
        self.shared.replace_hands(hands);
        self.look_if_changed();
        self.plan_anew(schedule::changed(&before, &self.rulebook(), self.shared.now()));
    }

    /// A node that stands by plans nothing: whoever takes over plans everything.
    fn plan_anew(&self, puts: Vec<Put>) {
        let queue = read(&self.lines).queue.clone();
        let items: Vec<Item> = puts.into_iter().map(|put| Item { work: Work::Put(put), beat: self.shared.pulse.begin() }).collect();
        if !items.is_empty() {
            tokio::spawn(async move {
                for item in items {
                    // Where there is no writer any more, the next one plans it.
                    let _ = queue.send(item).await;
                }
            });
        }
    }

    /// Puts other rules in force; the hands stay.
    pub fn replace_rulebook(&self, rulebook: Rulebook) {
        self.shared.replace_rulebook(rulebook);
    }

    /// Hears of every commit from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.shared.changes()
    }

    /// What the last look at itself found wrong.
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.faults()
    }

    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// A runtime that only reads; whatever else it is asked, it answers that it is stopping.
    pub fn reading(reads: Arc<dyn Reads>, clock: Arc<dyn Clock>, rulebook: Rulebook) -> Self {
        let shared = Arc::new(Shared::new(clock.clone(), Arc::default(), Arc::new(rulebook), Hands::default()));
        let room = Arc::new(Semaphore::new(WAITING_KIB));
        let (lines, active_url) = (Arc::new(RwLock::new(Lines::dead())), Arc::default());
        Self { reads, clock, shared, lines, room, inbox: None, active_url, heir: Heir::default(), node: "".into() }
    }

    /// Whether the database answers, learned without a commit. An engine that was closed stays closed.
    pub fn database(&self, answer: Result<(), &StoreError>) {
        match answer {
            Ok(()) => self.shared.healed(),
            Err(error) if self.health().ready || self.shared.is_failing() => self.shared.failing(error),
            Err(_) => {}
        }
    }

    /// Tells pages that are open here what another node has committed.
    pub fn announce(&self, changes: Vec<Change>) {
        self.shared.announce(changes.into_iter());
    }

    /// From now on no new work is taken.
    pub fn close(&self) {
        self.shared.closes(None);
    }

    /// Carries out everything that is due now; answers when the next thing is due.
    pub async fn settle(&self) -> Option<Timestamp> {
        loop {
            self.shared.pulse.until_quiet().await;
            let (done, next) = oneshot::channel();
            read(&self.lines).nudges.send(Nudge::Look(done)).ok()?;
            let (next, busy) = next.await.ok()?;
            if !busy {
                return next;
            }
        }
    }
}

impl Loops {
    /// Lets what runs end, for so long at most; puts back what was not begun; commits; ends.
    pub async fn stop(mut self, runtime: Runtime, grace: Span) {
        let queue = read(&runtime.lines).queue.clone();
        runtime.close();
        self.end(queue, &runtime, grace).await;
    }

    /// The same for another node's sake: meanwhile deliveries are kept for that one.
    pub async fn hand_over(mut self, runtime: Runtime, heir: &str, grace: Span) {
        let queue = read(&runtime.lines).queue.clone();
        runtime.stands_by(heir);
        self.end(queue, &runtime, grace).await;
        // Whatever the last commits said of the database, this node stands by.
        runtime.stands_by(heir);
    }

    async fn end(&mut self, queue: mpsc::Sender<Item>, runtime: &Runtime, grace: Span) {
        self.keeper.abort();
        let _ = self.nudges.send(Nudge::Stop(grace));
        let _ = (&mut self.worker).await;
        // A queue that is full means a database that stands still: then nothing is waited for.
        let _ = queue.try_send(Item { work: Work::Farewell, beat: runtime.shared.pulse.begin() });
        // Pages that are still open hold on to the queue, so its end cannot be waited for; that nothing is under way can.
        let _ = tokio::time::timeout(LAST_COMMITS, runtime.shared.pulse.until_quiet()).await;
        self.writer.abort();
    }

    /// Returns when there is no writer any more.
    pub async fn over(&mut self) -> Over {
        (&mut self.writer).await.unwrap_or(Over::Fell)
    }

    /// Ends at once, as a crash would.
    pub fn abort(&self) {
        self.keeper.abort();
        self.worker.abort();
        self.writer.abort();
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.abort();
    }
}

/// A writer that fell over takes nothing any more; whoever asks "ready?" must hear it, so that the process is started anew.
async fn watched(work: impl Future<Output = ()>, shared: Arc<Shared>) -> Over {
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        // First of all: whoever fell may have fallen over the log.
        shared.closes(Some("the writer fell over; start Reynard again"));
        tracing::error!("The writer fell over; nothing is taken until Reynard is started again");
        return Over::Fell;
    }
    Over::Fenced
}

fn resume_deliveries(writer: &mut Writer, shared: &Arc<Shared>, resumed: &Resumed) {
    let rulebook = shared.rulebook();
    for (position, delivery) in &resumed.unworked {
        match wire::parse(&delivery.body) {
            Ok(parsed) => writer.resume(Said { position: *position, ..said(delivery, parsed, &rulebook) }, shared.pulse.begin()),
            Err(error) => tracing::error!(delivery = %delivery.id, %error, "A stored delivery cannot be read any more"),
        }
    }
}

/// What a body takes up of what may wait.
fn kib(body: &[u8]) -> u32 {
    u32::try_from(body.len() / 1024 + 1).unwrap_or(u32::MAX)
}

fn overloaded() -> EngineError {
    EngineError::Unavailable("more is waiting than can be taken now; try again in a moment".to_owned())
}

fn stopping() -> EngineError {
    EngineError::Unavailable("Reynard is stopping; try again in a moment".to_owned())
}
