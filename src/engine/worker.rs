//! Does what commits ask for: timers when their time has come, attempts, messages, measurements; each result is the next command.
//! Knows no concrete action or channel and decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::domain::decide::command::{Command, Effect, Failure, Performed, Told, ToldOutcome};
use crate::domain::id::IncidentId;
use crate::domain::settings::SignalQuery;
use crate::domain::time::{Span, Timestamp};
use crate::engine::brief::{Attempt, Brief, Telling};
use crate::engine::cut::unless_cut;
use crate::engine::late::Voice;
use crate::engine::ports::{Call, Cut, Delivered, Late, Message, Verdict};
use crate::engine::pulse::Beat;
use crate::engine::shared::Shared;
use crate::engine::store::{Job, Journal};
use crate::engine::work::{Asked, Item, Work};

/// Timers further away than this stay on disk until they come near.
const HORIZON: Span = Span::hours(1);
const PAGE: u32 = 5_000;
/// Jobs that memory holds at most; as soon as half of them are over, more are read.
const HELD: usize = 20_000;
/// Attempts under way at once.
const ATTEMPTS: usize = 64;
/// Messages under way at once on one channel; channels do not wait for each other.
const MESSAGES: usize = 4;
const LOOK_AGAIN: Span = Span::seconds(1);
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
const MEASURE_TIMEOUT: Duration = Duration::from_secs(2);

/// A word to the worker from outside.
pub enum Nudge {
    /// Do what is due; answer when the next thing is due and whether anything was.
    Look(oneshot::Sender<(Option<Timestamp>, bool)>),
    /// A job is over.
    Over(i64),
    /// Begin nothing more; wait so long for what is under way.
    Stop(Span),
}

/// The worker's own state: what is due, and what is under way.
pub struct Worker {
    journal: Arc<dyn Journal>,
    hand: Hand,
    due: BTreeSet<(Timestamp, i64)>,
    jobs: HashMap<i64, Asked>,
    under_way: BTreeSet<i64>,
    refill_at: Timestamp,
    /// Up to here the disk has been read: what is asked for before this is taken from who asks, what is later is read when it is near.
    horizon: Timestamp,
    /// How far the reading has come that is under way, the soonest first; none between two readings.
    reading: Option<(Timestamp, i64)>,
    /// Whether the disk may hold timers beyond the horizon; an idle engine without any never looks there.
    beyond: bool,
    tasks: TaskTracker,
    limits: Limits,
    closing: CancellationToken,
    /// A worker that is gone has nothing begun either.
    _closes: DropGuard,
}

/// How much may be under way at once, of attempts and of each channel's messages.
#[derive(Clone)]
struct Limits {
    senders: Arc<Mutex<BTreeMap<String, Arc<Semaphore>>>>,
    attempts: Arc<Semaphore>,
}

impl Limits {
    fn of(&self, brief: Option<&Brief>) -> Arc<Semaphore> {
        let Some(Brief::Send(telling)) = brief else { return self.attempts.clone() };
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.entry(telling.channel.clone()).or_insert_with(|| Arc::new(Semaphore::new(MESSAGES))).clone()
    }
}

/// What a task carries with it.
#[derive(Clone)]
struct Hand {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Item>,
    nudges: mpsc::WeakUnboundedSender<Nudge>,
    voice: Voice,
}

impl Worker {
    pub fn new(
        journal: Arc<dyn Journal>,
        shared: Arc<Shared>,
        voice: Voice,
        (queue, nudges): (mpsc::Sender<Item>, mpsc::WeakUnboundedSender<Nudge>),
    ) -> Self {
        let closing = CancellationToken::new();
        Self {
            journal,
            hand: Hand { shared, queue, nudges, voice },
            due: BTreeSet::new(),
            jobs: HashMap::new(),
            under_way: BTreeSet::new(),
            refill_at: Timestamp(i64::MIN),
            horizon: Timestamp(i64::MIN),
            reading: None,
            beyond: true,
            tasks: TaskTracker::new(),
            limits: Limits { senders: Arc::default(), attempts: Arc::new(Semaphore::new(ATTEMPTS)) },
            _closes: closing.clone().drop_guard(),
            closing,
        }
    }

    /// Works until told to stop.
    pub async fn work(mut self, mut asks: mpsc::UnboundedReceiver<(Vec<Asked>, Beat)>, mut nudges: mpsc::UnboundedReceiver<Nudge>) {
        loop {
            let busy = self.begin_due().await;
            let clock = self.hand.shared.clock.clone();
            let next = self.next_at();
            tokio::select! {
                biased;
                Some((asked, _beat)) = asks.recv() => asked.into_iter().for_each(|asked| self.take(asked)),
                Some(nudge) = nudges.recv() => match nudge {
                    Nudge::Look(done) => {
                        let busy = self.begin_due().await || busy;
                        let _ = done.send((self.next_at(), busy));
                    }
                    Nudge::Over(id) => {
                        self.under_way.remove(&id);
                    }
                    Nudge::Stop(grace) => return self.stop(grace, &mut asks).await,
                },
                () = wait(clock, next) => {}
                else => return,
            }
        }
    }

    fn next_at(&self) -> Option<Timestamp> {
        let refill = self.beyond.then_some(self.refill_at);
        self.due.first().map(|(at, _)| *at).into_iter().chain(refill).min()
    }

    fn take(&mut self, asked: Asked) {
        // What is due at once is begun at once, however much older work is still to be read.
        let later = asked.job.due_at > self.horizon && asked.job.due_at > self.hand.shared.now();
        if later && !asked.job.started {
            self.beyond = true;
            return;
        }
        self.hold(asked);
    }

    fn hold(&mut self, asked: Asked) {
        let id = asked.job.id;
        if !self.under_way.contains(&id) {
            self.due.insert((asked.job.due_at, id));
            self.jobs.insert(id, asked);
        }
    }

    /// Begins everything whose time has come. True when there was any.
    async fn begin_due(&mut self) -> bool {
        let now = self.hand.shared.now();
        let is_time = self.beyond && now >= self.refill_at;
        if is_time || (self.reading.is_some() && self.held() < HELD / 2) {
            self.refill(now).await;
        }
        let mut any = false;
        while let Some((at, id)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            if let Some(asked) = self.jobs.remove(&id) {
                any = true;
                self.under_way.insert(id);
                self.begin(asked);
            }
        }
        any
    }

    /// Jobs that memory holds.
    fn held(&self) -> usize {
        self.jobs.len() + self.under_way.len()
    }

    /// Reads what is due within the horizon, the soonest first, for as long as there is room for it; then again from the beginning
    /// in half an hour, in case something was let go of.
    async fn refill(&mut self, now: Timestamp) {
        let until = now + HORIZON;
        self.refill_at = now + Span(HORIZON.as_millis() / 2);
        let mut after = self.reading.unwrap_or((Timestamp(i64::MIN), 0));
        while self.held() < HELD {
            let jobs = match self.journal.jobs_next(after, until, PAGE).await {
                Ok(jobs) => jobs,
                Err(error) => {
                    tracing::error!(%error, "The jobs on disk cannot be read; trying again in a second");
                    self.refill_at = now + Span::seconds(1);
                    self.reading = None;
                    return;
                }
            };
            let full = jobs.len() == PAGE as usize;
            after = jobs.last().map_or(after, |job| (job.due_at, job.id));
            jobs.into_iter().for_each(|job| self.hold(Asked { job, brief: None }));
            if !full {
                // What lies beyond is not counted: it is enough to look again before it can be due.
                self.horizon = self.horizon.max(until);
                self.reading = None;
                return;
            }
        }
        self.horizon = self.horizon.max(after.0);
        self.reading = Some(after);
    }

    fn begin(&mut self, asked: Asked) {
        let Asked { job, brief } = asked;
        let hand = self.hand.clone();
        if let Effect::Wake { wake } = &job.effect {
            hand.shared.metrics.timer_lag(hand.shared.clock.now().since(job.due_at));
            return hand.put(&job, Command::Wake(wake.clone()));
        }
        // An earlier life put it back, and its mark with it: nothing begins that is not marked on disk.
        if let Effect::Perform { attempt } = &job.effect
            && !job.started
        {
            return hand.put(&job, Command::PutBack(attempt.clone()));
        }
        let limits = self.limits.clone();
        let closing = self.closing.clone();
        let journal = self.journal.clone();
        let beat = hand.shared.pulse.begin();
        self.tasks.spawn(async move {
            // Which limit holds is only known with the brief: a message that waited must not take an attempt's place.
            let brief = match brief {
                Some(brief) => Some(brief),
                None => match hand.ask_for_brief(&job).await {
                    Some(brief) => brief,
                    None => return,
                },
            };
            let permit = tokio::select! {
                permit = limits.of(brief.as_ref()).acquire_owned() => permit.ok(),
                () = closing.cancelled() => None,
            };
            hand.until_sure(journal.as_ref(), &closing).await;
            // Not begun, and shutting down: the job stays on disk, an attempt as if it had never been handed out.
            if permit.is_none() || closing.is_cancelled() {
                return hand.release(&job);
            }
            if let Some(deed) = brief.as_ref().and_then(Brief::deed).filter(|deed| deed.cut.is_made()) {
                let result = Err(Failure::Barred("its run was cancelled before it began".to_owned()));
                return hand.put(&job, Command::Performed(Performed { attempt: deed.reference.clone(), result, duration_ms: 0 }));
            }
            // The last look before it begins: what is held is told back, and waits where everything else waits.
            if let Some(attempt) = brief.as_ref().and_then(Brief::destroys).filter(|_| hand.shared.is_held()) {
                return hand.put(&job, Command::Withheld(attempt.clone()));
            }
            hand.carry_out(job, brief).await;
            drop(beat);
        });
    }

    async fn stop(mut self, grace: Span, asks: &mut mpsc::UnboundedReceiver<(Vec<Asked>, Beat)>) {
        self.closing.cancel();
        self.tasks.close();
        let (tasks, pulse) = (self.tasks.clone(), self.hand.shared.pulse.clone());
        // What ends may ask for more: only when its last commit has been heard of is everything here that must be released.
        let quiet = async {
            tasks.wait().await;
            pulse.until_quiet().await;
        };
        tokio::pin!(quiet);
        let bound = tokio::time::sleep(grace.to_std());
        tokio::pin!(bound);
        loop {
            tokio::select! {
                biased;
                Some((asked, _beat)) = asks.recv() => asked.into_iter().for_each(|asked| self.take(asked)),
                () = &mut quiet => break,
                () = &mut bound => break,
            }
        }
        // From here on whatever is handed out goes back to whoever hands it out.
        asks.close();
        while let Ok((asked, _beat)) = asks.try_recv() {
            asked.into_iter().for_each(|asked| self.take(asked));
        }
        self.jobs.drain().for_each(|(_, asked)| self.hand.release(&asked.job));
    }
}

/// What is said of a job whose action or channel panicked; the panic itself is in the log.
fn fell_over(effect: &Effect) -> Command {
    let reason = || "Reynard made a mistake while it was under way; the log has more".to_owned();
    match effect {
        Effect::Perform { attempt } => {
            Command::Performed(Performed { attempt: attempt.clone(), result: Err(Failure::Unknown(reason())), duration_ms: 0 })
        }
        Effect::Send { notification, attempt } => {
            let outcome = ToldOutcome::Again { reason: reason(), after: None };
            Command::Told(Told { notification: *notification, attempt: *attempt, outcome })
        }
        Effect::Measure | Effect::Wake { .. } => Command::Measured { signals: BTreeMap::new(), warnings: vec![reason()] },
    }
}

async fn wait(clock: Arc<dyn crate::engine::ports::Clock>, at: Option<Timestamp>) {
    match at {
        Some(at) => clock.wait_until(at).await,
        None => std::future::pending().await,
    }
}

impl Hand {
    /// Hands the writer a command that settles the job; the worker hears when it is committed.
    fn put(&self, job: &Job, command: Command) {
        let (voice, queue, nudges) = (self.voice.clone(), self.queue.clone(), self.nudges.clone());
        let (incident, id, beat) = (job.incident, job.id, self.shared.pulse.begin());
        tokio::spawn(async move {
            voice.says(Some(queue), incident, (command, Some(id)), beat).await;
            if let Some(nudges) = nudges.upgrade() {
                let _ = nudges.send(Nudge::Over(id));
            }
        });
    }

    fn release(&self, job: &Job) {
        if job.started {
            let item = Item { work: Work::Release(vec![job.id]), beat: self.shared.pulse.begin() };
            let queue = self.queue.clone();
            tokio::spawn(async move { queue.send(item).await });
        }
    }

    /// Whoever may have lost the work to another node begins nothing: a moment later it is sure again, or there is a new worker.
    async fn until_sure(&self, journal: &dyn Journal, closing: &CancellationToken) {
        while !journal.may_begin() && !closing.is_cancelled() {
            tokio::select! {
                () = self.shared.clock.wait_until(self.shared.clock.now() + LOOK_AGAIN) => {}
                () = closing.cancelled() => {}
            }
        }
    }

    async fn carry_out(&self, job: Job, brief: Option<Brief>) {
        // A mistake in a hand must not leave a step running or a message queued that nobody looks after any more.
        let done = AssertUnwindSafe(self.command_of(&job, brief)).catch_unwind().await;
        self.put(&job, done.unwrap_or_else(|_| fell_over(&job.effect)));
    }

    async fn command_of(&self, job: &Job, brief: Option<Brief>) -> Command {
        match brief {
            Some(Brief::Perform(attempt)) => self.perform(job.incident, *attempt).await,
            Some(Brief::Send(telling)) => self.send(*telling, &job.effect).await,
            Some(Brief::Measure(scope)) => self.measure(scope).await,
            // Its reason is gone: the job is settled by a command that nothing follows from.
            None => match &job.effect {
                Effect::Perform { attempt } => Command::Interrupted(attempt.clone()),
                Effect::Send { notification, attempt } => {
                    let outcome = ToldOutcome::Never("its reason is gone".to_owned());
                    Command::Told(Told { notification: *notification, attempt: *attempt, outcome })
                }
                Effect::Measure | Effect::Wake { .. } => Command::Measured { signals: BTreeMap::new(), warnings: Vec::new() },
            },
        }
    }

    /// None when there is no writer any more: the job stays as it is on disk.
    async fn ask_for_brief(&self, job: &Job) -> Option<Option<Brief>> {
        loop {
            let (done, answer) = oneshot::channel();
            let item = Item { work: Work::Brief { job: job.clone(), done }, beat: self.shared.pulse.begin() };
            self.queue.send(item).await.ok()?;
            match answer.await.ok()? {
                Ok(brief) => return Some(brief),
                // Not to be read is not the same as gone: a page must not be dropped because the database stumbled.
                Err(error) => tracing::warn!(job = job.id, %error, "What a job needs cannot be read; trying again in a second"),
            }
            self.shared.clock.wait_until(self.shared.clock.now() + LOOK_AGAIN).await;
        }
    }

    async fn perform(&self, incident: IncidentId, attempt: Attempt) -> Command {
        let (began, late) = (self.shared.clock.now(), Late::default());
        let result = self.try_action(&attempt, &late).await;
        if let Some(answer) = late.take().filter(|_| matches!(result, Err(Failure::Unknown(_)))) {
            self.voice.listens(self.queue.downgrade(), incident, (&attempt, began), answer);
        }
        let duration_ms = self.shared.clock.now().since(began).as_millis();
        Command::Performed(Performed { attempt: attempt.reference, result, duration_ms })
    }

    async fn try_action(&self, attempt: &Attempt, late: &Late) -> Result<Value, Failure> {
        // What cannot be begun did not happen; but a check that cannot be begun says nothing of the step it looks after.
        let impossible = if attempt.reference.check { Failure::Unknown } else { Failure::Fatal };
        if let Some(name) = &attempt.missing_target {
            return Err(impossible(format!("there is no target \"{name}\" in reynard.yaml")));
        }
        let Some(action) = self.shared.hands().actions.get(attempt.action.as_str()).cloned() else {
            return Err(impossible(format!("there is no action \"{}\"", attempt.action)));
        };
        let timeout = attempt.timeout.to_std();
        let call = Call {
            key: attempt.key.clone(),
            attempt: attempt.reference.attempt,
            target: attempt.target.clone(),
            params: attempt.params.clone(),
            timeout,
            late: late.clone(),
            cut: attempt.cut.clone(),
        };
        if attempt.reference.check {
            return match tokio::time::timeout(timeout, action.check(&call)).await {
                Ok(Verdict::Confirmed(output)) => Ok(output),
                Ok(Verdict::Denied(reason)) => Err(Failure::Fatal(reason)),
                Ok(Verdict::CannotTell(reason)) => Err(Failure::Unknown(reason)),
                Err(_) => Err(Failure::Unknown(format!("no answer within {}", attempt.timeout))),
            };
        }
        let deed = async { if attempt.reference.undo { action.undo(&call).await } else { action.perform(&call).await } };
        match tokio::time::timeout(timeout, unless_cut(deed, (&attempt.cut, attempt.destructive))).await {
            Ok(answer) => answer.map_err(Failure::from),
            // Its step says what that means: a setting may have been made, a read is merely asked again.
            Err(_) => Err(Failure::Unknown(format!("no answer within {}", attempt.timeout))),
        }
    }

    async fn send(&self, telling: Telling, effect: &Effect) -> Command {
        let Effect::Send { notification, attempt } = *effect else {
            return Command::Measured { signals: BTreeMap::new(), warnings: Vec::new() };
        };
        let hands = self.shared.hands();
        let outcome = match hands.senders.get(&telling.channel) {
            None => ToldOutcome::Never(format!("there is no channel \"{}\" in reynard.yaml", telling.channel)),
            Some(sender) => {
                let words = hands.messages.render(&telling.template, &telling.data);
                let message = Message {
                    key: telling.key,
                    person: telling.person,
                    email: telling.email,
                    slack: telling.slack,
                    subject: words.subject,
                    text: words.text,
                    html: words.html,
                    chat: words.chat,
                    data: telling.data,
                };
                match tokio::time::timeout(SEND_TIMEOUT, sender.send(&message)).await {
                    Ok(Delivered::Sent(reply)) => ToldOutcome::Sent(reply),
                    Ok(Delivered::Again { reason, after }) => {
                        ToldOutcome::Again { reason, after: after.map(|after| Span(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))) }
                    }
                    Ok(Delivered::Never(reason)) => ToldOutcome::Never(reason),
                    Err(_) => ToldOutcome::Again { reason: "no answer in time".to_owned(), after: None },
                }
            }
        };
        Command::Told(Told { notification, attempt, outcome })
    }

    /// Asks Prometheus for the numbers that no label or annotation gave; two seconds in all.
    async fn measure(&self, scope: Value) -> Command {
        let rulebook = self.shared.rulebook();
        let queries: Vec<(String, SignalQuery)> =
            rulebook.signals.iter().filter_map(|(name, source)| source.prometheus.clone().map(|query| (name.clone(), query))).collect();
        let asked = queries.into_iter().map(|(name, query)| {
            let scope = &scope;
            async move {
                let answer = tokio::time::timeout(MEASURE_TIMEOUT, self.query(&query, scope)).await;
                (name, answer.unwrap_or_else(|_| Err("no answer within 2s".to_owned())))
            }
        });
        let (mut signals, mut warnings) = (BTreeMap::new(), Vec::new());
        for (name, answer) in futures_util::future::join_all(asked).await {
            match answer {
                Ok(Some(number)) => {
                    signals.insert(name, number);
                }
                Ok(None) => {}
                Err(why) => warnings.push(format!("signal {name} could not be had: {why}; classified without it")),
            }
        }
        Command::Measured { signals, warnings }
    }

    async fn query(&self, query: &SignalQuery, scope: &Value) -> Result<Option<f64>, String> {
        let text = query.query.render(scope).map_err(|error| error.to_string())?;
        let action = self.shared.hands().actions.get("prometheus.query").cloned().ok_or("there is no action prometheus.query")?;
        let target = self.shared.rulebook().targets.get(&query.target).cloned();
        let call = Call {
            key: "signal".to_owned(),
            attempt: 1,
            target,
            params: json!({"query": text}),
            timeout: MEASURE_TIMEOUT,
            late: Late::default(),
            cut: Cut::default(),
        };
        let output = action.perform(&call).await.map_err(|error| error.to_string())?;
        Ok(output.get("value").and_then(Value::as_f64))
    }
}
