//! A whole engine in a temporary folder, whose methods are what happens to it.
//! Its actions and channels are fakes that record what they were asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use reynard::action::catalog;
use reynard::config::files::{Files, TextFile};
use reynard::config::load;
use reynard::config::secrets::NoSecrets;
use reynard::domain::action::Spec;
use reynard::domain::chain::Digest;
use reynard::domain::decide::command::Command;
use reynard::domain::id::IncidentId;
use reynard::domain::incident::Incident;
use reynard::domain::labels::Labels;
use reynard::domain::secret::Secret;
use reynard::domain::settings::Settings;
use reynard::domain::time::{Span, Timestamp};
use reynard::domain::timeline::{Actor, Entry};
use reynard::domain::trouble::Words;
use reynard::engine::clock::HandClock;
use reynard::engine::error::EngineError;
use reynard::engine::metrics::Metrics;
use reynard::engine::ports::{Action, ActionError, Call, Clock, Delivered, Message, Sender, Verdict};
use reynard::engine::runtime::{Loops, Parts, Receipt, Runtime};
use reynard::engine::shared::Hands;
use reynard::engine::store::{Batch, Inbox, IncidentName, IncidentQuery, Job, Journal, LetGo, Reads, Resumed, Slice, StoreError};
use reynard::engine::verify::{Fault, Listener, Verified, verify};
use reynard::store::catalog as databases;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::trouble::{Shaky, Trouble};

pub const START: Timestamp = Timestamp(1_790_000_000_000);

/// People and channels that every story has.
pub const PEOPLE: &str = "
on_call:
  schedules:
    primary: { time_zone: UTC, rotations: [ { people: [ana], handoff: '0 9 * * MON' } ] }
people:
  ana: { email: ana@example.com, notify: [ { channel: email } ] }
  bo: { email: bo@example.com, notify: [ { channel: email } ] }
channels:
  email: { kind: email, smtp: 'smtp://localhost:587', from: alerts@example.com }
targets:
  orders-db: { kind: postgres, url: 'postgres://localhost/orders', service: orders }
  orders-admin: { kind: http, url: 'http://localhost:8081', service: orders }
  prom: { kind: prometheus, url: 'http://localhost:9090' }
escalation:
  policies:
    default:
      P1: { respond_within: 15m, levels: [ { notify: [on-call], after: 0s }, { notify: [bo], after: 15m } ], repeat: 2 }
";

/// What the world was asked, and what it answers.
#[derive(Default)]
pub struct World {
    pub calls: Mutex<Vec<String>>,
    /// The idempotency keys of what was carried out.
    pub keys: Mutex<Vec<String>>,
    pub sent: Mutex<Vec<String>>,
    /// What each of them said.
    pub letters: Mutex<Vec<String>>,
    /// What channels answer, in order; afterwards they take everything.
    pub replies: Mutex<VecDeque<Delivered>>,
    pub metrics: Arc<Metrics>,
    answers: Mutex<BTreeMap<String, Vec<Result<Value, ActionError>>>>,
    /// Actions that have been asked and do not answer yet.
    held: Mutex<BTreeSet<String>>,
    /// Actions whose answer comes when their time is over: once they are let go.
    late: Mutex<BTreeSet<String>>,
    /// Actions that end when they are cut off.
    obedient: Mutex<BTreeSet<String>>,
    /// Actions and channels that panic, once each.
    pub broken: Mutex<BTreeSet<String>>,
    let_go: tokio::sync::Notify,
    /// When each target was changed: by which action, on which target.
    pub changes: Mutex<Vec<(Timestamp, String)>>,
    /// Changes under way, by target, and the most there ever were at once on one.
    under_way: Mutex<BTreeMap<String, usize>>,
    pub most_at_once: AtomicI64,
    clock: std::sync::OnceLock<Arc<HandClock>>,
}

/// A change of a target, for as long as it is under way.
struct Change<'a> {
    world: &'a World,
    target: String,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.world.under_way.lock().expect("no panics").get_mut(&self.target) {
            *count -= 1;
        }
    }
}

impl World {
    /// A target is changed, or a change of it taken back.
    fn changes(&self, call: &Call, undo: bool) -> Change<'_> {
        let target = call.target.as_ref().map(|target| target.name.clone()).unwrap_or_default();
        if let (Some(clock), false) = (self.clock.get(), undo) {
            self.changes.lock().expect("no panics").push((clock.now(), target.clone()));
        }
        let mut under_way = self.under_way.lock().expect("no panics");
        let count = under_way.entry(target.clone()).or_default();
        *count += 1;
        self.most_at_once.fetch_max(i64::try_from(*count).unwrap_or(i64::MAX), Ordering::SeqCst);
        Change { world: self, target }
    }

    fn may_fall_over(&self, name: &str) {
        let broken = self.broken.lock().expect("no panics").remove(name);
        assert!(!broken, "{name} falls over");
    }

    async fn until_let_go(&self, action: &str) {
        loop {
            let let_go = self.let_go.notified();
            if !self.held.lock().expect("no panics").contains(action) {
                return;
            }
            let_go.await;
        }
    }
}

/// A journal that dies with its process after so many commits: what it committed stays, and it answers nothing any more.
pub struct Mortal {
    inner: Arc<dyn Journal>,
    left: AtomicI64,
    dead: tokio::sync::Notify,
}

impl Mortal {
    pub async fn death(&self) {
        let dead = self.dead.notified();
        if self.left.load(Ordering::SeqCst) > 0 {
            dead.await;
        }
    }
}

#[async_trait]
impl Journal for Mortal {
    async fn resume(&self, now: Timestamp) -> Result<Resumed, StoreError> {
        self.inner.resume(now).await
    }

    async fn firing(&self, words: &Words) -> Result<Vec<(IncidentId, String, Labels)>, StoreError> {
        self.inner.firing(words).await
    }

    async fn commit(&self, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        self.inner.commit(batch, now).await?;
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 1 {
            self.dead.notify_waiters();
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn newest_of_keys(&self, keys: &[String]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.inner.newest_of_keys(keys).await
    }

    async fn load(&self, ids: &[IncidentId]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.inner.load(ids).await
    }

    async fn jobs_due(&self, until: Timestamp, after: i64, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.inner.jobs_due(until, after, limit).await
    }

    async fn request_known(&self, key: &str) -> Result<bool, StoreError> {
        self.inner.request_known(key).await
    }

    async fn keep_revision(&self, revision: &str, slug: &str, source: &str, now: Timestamp) -> Result<(), StoreError> {
        self.inner.keep_revision(revision, slug, source, now).await
    }

    async fn pinned_revisions(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        self.inner.pinned_revisions().await
    }

    async fn expired(&self, before: Timestamp, limit: u32) -> Result<Vec<(IncidentId, Digest)>, StoreError> {
        self.inner.expired(before, limit).await
    }

    async fn let_go(&self, slice: &Slice) -> Result<LetGo, StoreError> {
        self.inner.let_go(slice).await
    }

    fn may_begin(&self) -> bool {
        self.inner.may_begin()
    }
}

pub struct App {
    pub mortal: Option<Arc<Mortal>>,
    pub runtime: Runtime,
    pub clock: Arc<HandClock>,
    pub world: Arc<World>,
    pub trouble: Arc<Trouble>,
    pub loops: Option<Loops>,
    pub store: Option<Arc<dyn Journal>>,
    pub inbox: Option<Arc<dyn Inbox>>,
    pub settings: Settings,
    url: Secret,
    _folder: tempfile::TempDir,
}

impl App {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With playbooks: slug and text.
    pub async fn with(playbooks: &[(&str, &str)]) -> Self {
        Self::with_settings(PEOPLE, playbooks).await
    }

    pub async fn with_settings(settings: &str, playbooks: &[(&str, &str)]) -> Self {
        Self::that_dies_after(i64::MAX, settings, playbooks).await
    }

    /// Whose process dies once so many commits are on disk.
    pub async fn that_dies_after(commits: i64, settings: &str, playbooks: &[(&str, &str)]) -> Self {
        let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_test_writer().try_init();
        let settings = settings_of(settings, playbooks);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(HandClock::at(START));
        let world = Arc::new(World::default());
        let _ = world.clock.set(clock.clone());
        let trouble = Arc::new(Trouble::default());
        let url = Secret::new(empty_database(&folder).await);
        let (runtime, loops, (store, inbox), mortal) = start(&url, &settings, (&clock, &world, &trouble), commits).await;
        let (mortal, loops, store, inbox) = (Some(mortal), Some(loops), Some(store), Some(inbox));
        Self { mortal, runtime, clock, world, trouble, loops, store, inbox, settings, url, _folder: folder }
    }

    /// What the next attempts of an action answer, in order; afterwards they succeed.
    pub fn answers(&self, action: &str, answers: Vec<Result<Value, ActionError>>) {
        self.world.answers.lock().expect("no panics").insert(action.to_owned(), answers);
    }

    /// From now on an action is asked and gives no answer, until it is let go.
    pub fn holds(&self, action: &str) {
        self.world.held.lock().expect("no panics").insert(action.to_owned());
    }

    /// From now on an action gives up waiting, and its answer comes once it is let go.
    pub fn is_late(&self, action: &str) {
        self.world.late.lock().expect("no panics").insert(action.to_owned());
        self.holds(action);
    }

    /// From now on an action is asked and gives no answer, until it is let go or cut off.
    pub fn holds_until_cut_off(&self, action: &str) {
        self.world.obedient.lock().expect("no panics").insert(action.to_owned());
        self.holds(action);
    }

    /// From now on its answers come in time again; those that are late are still to come.
    pub fn is_in_time(&self, action: &str) {
        self.world.late.lock().expect("no panics").remove(action);
    }

    pub fn lets_go(&self, action: &str) {
        self.world.held.lock().expect("no panics").remove(action);
        self.world.let_go.notify_waiters();
    }

    /// Waits, with a bound, until the world has been asked so often.
    pub async fn is_asked(&self, calls: usize) {
        let asked = async {
            while self.calls().len() < calls {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), asked).await.expect("the world is asked");
    }

    /// Hands in a delivery without waiting for what follows.
    pub async fn hands_in(&self, body: &Value) {
        self.runtime.deliver("am", body.to_string().into_bytes()).await.expect("stored");
    }

    pub async fn posts(&self, body: &Value) -> Receipt {
        let receipt = self.runtime.deliver("am", body.to_string().into_bytes()).await.expect("stored");
        self.settles().await;
        receipt
    }

    pub async fn fires(&self, alertname: &str, severity: &str) -> Incident {
        self.posts(&body(&[alert(alertname, severity, "firing", 0)])).await;
        self.newest().await
    }

    pub async fn ends(&self, alertname: &str, severity: &str) {
        self.posts(&body(&[alert(alertname, severity, "resolved", 0)])).await;
    }

    /// Everything that is due now is carried out; a story that hangs is a story that fails.
    pub async fn settles(&self) -> Option<Timestamp> {
        tokio::time::timeout(std::time::Duration::from_secs(20), self.runtime.settle()).await.expect("the engine comes to rest")
    }

    /// Turns the clock, stopping wherever something is due.
    pub async fn passes(&self, span: Span) {
        let end = self.clock.now() + span;
        while let Some(next) = self.settles().await
            && next <= end
        {
            self.clock.set(next.max(self.clock.now()));
        }
        self.clock.set(end);
        self.settles().await;
    }

    pub async fn puts(&self, id: IncidentId, who: &str, command: Command) -> Result<u64, EngineError> {
        let answer = self.runtime.command(id, Actor::Person(who.to_owned()), command, None).await;
        self.settles().await;
        answer
    }

    /// The process dies and another takes its place.
    pub async fn crashes(&mut self) {
        if let Some(loops) = self.loops.take() {
            loops.abort();
        }
        self.comes_back().await;
    }

    pub async fn comes_back(&mut self) {
        self.comes_back_for(i64::MAX).await;
        self.settles().await;
    }

    /// Comes back into a life that ends after so many commits.
    pub async fn comes_back_for(&mut self, commits: i64) {
        self.dies().await;
        let world = (&self.clock, &self.world, &self.trouble);
        let (runtime, loops, (store, inbox), mortal) = start(&self.url, &self.settings, world, commits).await;
        (self.runtime, self.loops, self.mortal) = (runtime, Some(loops), Some(mortal));
        (self.store, self.inbox) = (Some(store), Some(inbox));
    }

    /// Stops in order and is started again after a while.
    pub async fn restarts_after(&mut self, span: Span) {
        self.loops.take().expect("running").stop(self.runtime.clone(), Span::seconds(1)).await;
        self.clock.turn(span);
        self.comes_back().await;
    }

    async fn dies(&mut self) {
        // The file's lock is free once every task that held the store is gone.
        self.runtime = Runtime::reading(Arc::new(Nowhere), self.clock.clone(), self.settings.rulebook.clone());
        (self.mortal, self.inbox) = (None, None);
        let store = self.store.take().map(|store| Arc::downgrade(&store));
        while store.as_ref().is_some_and(|store| store.strong_count() > 0) {
            tokio::task::yield_now().await;
        }
    }

    pub async fn incidents(&self) -> Vec<Incident> {
        self.runtime.reads.incidents(&IncidentQuery { limit: 100, ..IncidentQuery::default() }).await.expect("readable")
    }

    pub async fn newest_if_any(&self) -> Option<Incident> {
        self.incidents().await.into_iter().next()
    }

    pub async fn newest(&self) -> Incident {
        self.newest_if_any().await.expect("an incident")
    }

    pub async fn incident(&self, number: u64) -> Incident {
        self.runtime.reads.incident(IncidentName::Number(number)).await.expect("readable").expect("there")
    }

    pub async fn entries(&self, id: IncidentId) -> Vec<Entry> {
        let entries = self.runtime.reads.timeline(id, 0, 10_000).await.expect("readable");
        for (at, entry) in entries.iter().enumerate() {
            assert_eq!(entry.seq, at as u64 + 1, "the log has no gap");
        }
        entries
    }

    pub async fn kinds(&self, id: IncidentId) -> Vec<String> {
        self.entries(id).await.iter().map(|entry| entry.event.kind().to_owned()).collect()
    }

    pub async fn sentences(&self, id: IncidentId) -> Vec<String> {
        self.entries(id).await.iter().map(|entry| entry.event.sentence(&entry.actor)).collect()
    }

    /// The state that the log adds up to is the state that is stored, and everything on disk fits together.
    pub async fn assert_fold_is_state(&self, id: IncidentId) {
        let mut folded = Incident::blank(id);
        self.entries(id).await.iter().for_each(|entry| folded.apply(entry));
        folded.alerts.clear();
        let mut stored = self.runtime.reads.incident(IncidentName::Id(id)).await.expect("readable").expect("there");
        stored.heard_at = folded.heard_at;
        // Whoever stores the log links it; `verify` looks at the links.
        stored.chain = folded.chain;
        assert_eq!(folded, stored);
        self.assert_verified().await;
    }

    /// Everything on disk fits together.
    pub async fn assert_verified(&self) -> Verified {
        let (verified, faults) = self.verified().await;
        assert_eq!(faults, [""; 0]);
        verified
    }

    /// What `reynard verify` finds.
    pub async fn verified(&self) -> (Verified, Vec<String>) {
        let archive = databases::archive(&self.url).await.expect("readable");
        let mut heard = Heard::default();
        let verified = verify(archive.as_ref(), &mut heard).await.expect("readable");
        (verified, heard.0)
    }

    pub fn url(&self) -> &str {
        self.url.expose()
    }

    pub fn hands(&self) -> Hands {
        hands(&self.settings, &self.world)
    }

    pub fn sent(&self) -> Vec<String> {
        self.world.sent.lock().expect("no panics").clone()
    }

    pub fn calls(&self) -> Vec<String> {
        self.world.calls.lock().expect("no panics").clone()
    }
}

#[derive(Default)]
struct Heard(Vec<String>);

impl Listener for Heard {
    fn fault(&mut self, fault: &Fault) {
        self.0.push(fault.to_string());
    }
}

type Started = (Runtime, Loops, (Arc<dyn Journal>, Arc<dyn Inbox>), Arc<Mortal>);
type Around<'a> = (&'a Arc<HandClock>, &'a Arc<World>, &'a Arc<Trouble>);

/// What such files say, which must be good.
pub fn settings_of(settings: &str, playbooks: &[(&str, &str)]) -> Settings {
    let files = Files {
        settings: Some(TextFile::new("reynard.yaml", settings)),
        playbooks: playbooks.iter().map(|(slug, text)| TextFile::new(format!("playbooks/{slug}.yaml"), *text)).collect(),
    };
    let loaded = load::load(&files, &catalog::specs(), &NoSecrets, None);
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics.to_text(false));
    loaded.settings.expect("no errors")
}

/// A file in the folder; with `REYNARD_STORY_DATABASE_URL` (a superuser's) a schema in that PostgreSQL.
async fn empty_database(folder: &tempfile::TempDir) -> String {
    let Ok(server) = std::env::var("REYNARD_STORY_DATABASE_URL") else {
        return format!("sqlite://{}", folder.path().join("reynard.db").display());
    };
    let schema = format!("story_{}", uuid::Uuid::new_v4().simple());
    let mut admin = PgConnection::connect(&server).await.expect("the server answers");
    sqlx::raw_sql(AssertSqlSafe(format!("create schema {schema}"))).execute(&mut admin).await.expect("a schema");
    format!("{server}{}options[search_path]={schema}", if server.contains('?') { '&' } else { '?' })
}

fn hands(settings: &Settings, world: &Arc<World>) -> Hands {
    let actions = settings
        .rulebook
        .specs
        .iter()
        .map(|spec| (spec.name, Arc::new(Recorder { spec: *spec, world: world.clone() }) as Arc<dyn Action>))
        .collect();
    let senders = settings
        .channels
        .keys()
        .map(|name| (name.clone(), Arc::new(Mailbox { name: name.clone(), world: world.clone() }) as Arc<dyn Sender>));
    Hands { actions, senders: senders.collect(), ..Hands::default() }
}

async fn start(url: &Secret, settings: &Settings, (clock, world, trouble): Around<'_>, commits: i64) -> Started {
    let databases::Opened { journal: store, reads, lease, inbox, .. } = databases::open(url, "story").await.expect("a database");
    if let Some(lease) = lease {
        lease.take(true).await.expect("a former life's lease is ours");
    }
    let hands = hands(settings, world);
    let shaky = Arc::new(Shaky { store: store.clone(), trouble: trouble.clone() });
    let mortal = Arc::new(Mortal { inner: shaky, left: AtomicI64::new(commits), dead: tokio::sync::Notify::new() });
    let parts = Parts {
        journal: mortal.clone(),
        reads,
        clock: clock.clone(),
        rulebook: Arc::new(settings.rulebook.clone()),
        hands,
        metrics: world.metrics.clone(),
    };
    let (runtime, loops) = Runtime::start(parts).await.expect("started");
    (runtime, loops, (store, inbox), mortal)
}

struct Nowhere;

macro_rules! nowhere {
    ($($verb:ident($($name:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Reads for Nowhere {
            $(async fn $verb(&self, $($name: $kind),*) -> Result<$answer, reynard::engine::store::StoreError> {
                $(let _ = $name;)*
                Err(reynard::engine::store::StoreError::Unavailable("nowhere".to_owned()))
            })*
        }
    };
}

nowhere! {
    incidents(query: &IncidentQuery) -> Vec<Incident>;
    incident(name: IncidentName) -> Option<Incident>;
    timeline(id: IncidentId, after: u64, limit: u32) -> Vec<Entry>;
    timeline_backwards(id: IncidentId, before: u64, limit: u32) -> Vec<Entry>;
    alerts(id: IncidentId, limit: u32) -> Vec<reynard::engine::store::AlertRow>;
    incident_of_run(run: reynard::domain::id::RunId) -> Option<IncidentId>;
    delivery(id: reynard::domain::id::DeliveryId) -> Option<reynard::engine::store::DeliveryReport>;
    changes_since(position: i64, limit: u32) -> Vec<reynard::engine::store::Change>;
    kin(families: &[reynard::engine::store::Family], limit: u32) -> Vec<reynard::engine::store::Kin>;
    totals() -> reynard::engine::store::Totals;
}

struct Recorder {
    spec: Spec,
    world: Arc<World>,
}

impl Recorder {
    fn answer(&self, call: &Call, verb: &str) -> Result<Value, ActionError> {
        let target = call.target.as_ref().map_or("", |target| target.name.as_str());
        if verb.is_empty() {
            self.world.keys.lock().expect("no panics").push(call.key.clone());
        }
        self.world.calls.lock().expect("no panics").push(format!("{verb}{} {target} #{}", self.spec.name, call.attempt));
        let mut answers = self.world.answers.lock().expect("no panics");
        match answers.get_mut(&format!("{verb}{}", self.spec.name)) {
            Some(queue) if !queue.is_empty() => queue.remove(0),
            _ => Ok(json!({"done": true})),
        }
    }
}

#[async_trait]
impl Action for Recorder {
    fn spec(&self) -> Spec {
        self.spec
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        let _change = self.spec.destructive.then(|| self.world.changes(call, false));
        let answer = self.answer(call, "");
        self.world.may_fall_over(self.spec.name);
        if self.world.late.lock().expect("no panics").contains(self.spec.name) {
            let (world, action) = (self.world.clone(), self.spec.name);
            call.late.may_come(Box::pin(async move {
                world.until_let_go(action).await;
                answer
            }));
            return Err(ActionError::Unknown("it took too long".to_owned()));
        }
        let obeys = self.world.obedient.lock().expect("no panics").contains(self.spec.name);
        tokio::select! {
            biased;
            () = self.world.until_let_go(self.spec.name) => answer,
            () = call.cut.made(), if obeys => Err(ActionError::Unknown("cut off on request; it may have happened".to_owned())),
        }
    }

    async fn check(&self, call: &Call) -> Verdict {
        let answer = self.answer(call, "check ");
        self.world.until_let_go(&format!("check {}", self.spec.name)).await;
        match answer {
            Ok(output) => Verdict::Confirmed(output),
            Err(ActionError::Fatal(reason)) => Verdict::Denied(reason),
            Err(error) => Verdict::CannotTell(error.to_string()),
        }
    }

    async fn undo(&self, call: &Call) -> Result<Value, ActionError> {
        let _change = self.world.changes(call, true);
        let answer = self.answer(call, "undo ");
        self.world.until_let_go(&format!("undo {}", self.spec.name)).await;
        answer
    }
}

struct Mailbox {
    name: String,
    world: Arc<World>,
}

#[async_trait]
impl Sender for Mailbox {
    async fn send(&self, message: &Message) -> Delivered {
        self.world.may_fall_over(&self.name);
        if let Some(reply) = self.world.replies.lock().expect("no panics").pop_front() {
            return reply;
        }
        let to = message.person.clone().unwrap_or_else(|| self.name.clone());
        self.world.sent.lock().expect("no panics").push(format!("{to}: {}", message.subject));
        self.world.letters.lock().expect("no panics").push(message.text.clone());
        Delivered::Sent("250 OK".to_owned())
    }
}

/// A webhook body as Alertmanager sends it.
pub fn body(alerts: &[Value]) -> Value {
    json!({
        "version": "4", "receiver": "reynard", "status": "firing", "groupKey": "{}:{alertname=\"x\"}", "truncatedAlerts": 0,
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": alerts,
    })
}

pub fn alert(name: &str, severity: &str, status: &str, instance: u32) -> Value {
    json!({
        "status": status,
        "labels": {"alertname": name, "severity": severity, "service": "orders", "instance": format!("i{instance}")},
        "annotations": {"summary": format!("{name} on orders")},
        "startsAt": "2026-09-21T14:00:00Z",
        "endsAt": if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-09-21T15:00:00Z" },
        "fingerprint": format!("{:016x}", u64::from(instance) + 1),
    })
}
