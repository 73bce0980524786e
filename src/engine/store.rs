//! What the engine needs of a database, as two traits: one for the single writer, one for everybody who reads.
//! Knows no SQL; both databases answer the same verbs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::autonomy::Record;
use crate::domain::breaker::Breaker;
use crate::domain::chain::Digest;
use crate::domain::decide::command::Effect;
use crate::domain::hold::Holds;
use crate::domain::id::{DeliveryId, IncidentId, RunId};
use crate::domain::incident::{AlertMark, Incident};
use crate::domain::labels::Labels;
use crate::domain::limits::{Spent, Waiter};
use crate::domain::run::Run;
use crate::domain::time::Timestamp;
use crate::domain::timeline::Entry;
use crate::domain::trouble::Words;
use crate::domain::watch::Audit;
use crate::engine::nodes::{Overview, Role};

/// The database's no. Absence is never an error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was changed, and the same may go well later: busy, full, gone.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// This one thing cannot be stored, ever.
    #[error("the database refuses this: {0}")]
    Refused(String),
    /// Another node writes now: nothing was changed, and nothing will be by this one.
    #[error("fenced: {0}")]
    Fenced(String),
}

/// A webhook call as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub source: String,
    pub received_at: Timestamp,
    pub body: Vec<u8>,
}

/// Where a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryReport {
    pub delivery: Delivery,
    /// Whether intake is done with it.
    pub worked: bool,
    /// The incidents that its alerts belong to.
    pub incidents: Vec<IncidentId>,
    /// Alerts that could not be read: index and reason.
    pub rejected: Vec<RejectedAlert>,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RejectedAlert {
    pub index: usize,
    pub reason: String,
}

/// A stored effect; a timer is a job due later.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: i64,
    pub incident: IncidentId,
    pub due_at: Timestamp,
    pub effect: Effect,
    /// Set on an attempt from the commit that starts it; cleared when a shutdown finds it not begun.
    pub started: bool,
}

/// Everything that one commit makes true, or nothing of it.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub deliveries: Vec<Arc<DeliveryRow>>,
    /// The position of the first delivery among all.
    pub first_delivery: i64,
    /// What leaves the inbox though it is no delivery: other nodes' late answers.
    pub answers: Vec<DeliveryId>,
    /// Deliveries are worked in the order they were stored, so the last one's position says it of all before.
    pub worked_up_to: Option<i64>,
    pub entries: Vec<(IncidentId, Entry)>,
    /// What the log keeps of each entry, in the same order: its event as it is written, and its link in the incident's chain.
    pub links: Vec<Link>,
    /// The seal over all chains once this is committed; none when no chain grows.
    pub seal: Option<Digest>,
    /// The states that the entries lead to, one an incident.
    pub incidents: Vec<IncidentRow>,
    /// Incidents that were only heard of again: nothing of theirs changed but that.
    pub heard: Vec<(IncidentId, Timestamp)>,
    pub alerts: Vec<AlertRow>,
    pub jobs: Vec<Job>,
    /// Jobs that are settled.
    pub settled: Vec<i64>,
    /// Attempts that a shutdown found not begun.
    pub released: Vec<i64>,
    pub spent: Vec<Spent>,
    /// Playbooks' breakers that have counted, opened or been armed again.
    pub breakers: Vec<Breaker>,
    /// Who holds automation from this commit on, if that changes.
    pub holds: Option<Holds>,
    /// Playbooks' records that change.
    pub records: Vec<(String, Record)>,
    /// Idempotency keys of people's requests, with when they came.
    pub requests: Vec<(String, Timestamp)>,
    /// The position of the first entry in the whole log.
    pub first_position: i64,
}

impl Batch {
    /// The runs that its entries speak of, as they are afterwards: one that ended weeks ago is not written again.
    pub fn runs(&self) -> Vec<(IncidentId, &Run)> {
        let spoken_of: BTreeSet<(IncidentId, RunId)> =
            self.entries.iter().filter_map(|(id, entry)| entry.event.run().map(|run| (*id, run))).collect();
        let runs = self.incidents.iter().flat_map(|row| row.state.runs.values().map(|run| (row.state.id, run)));
        runs.filter(|(id, run)| spoken_of.contains(&(*id, run.id))).collect()
    }

    /// What it takes out of the inbox.
    pub fn taken(&self) -> Vec<DeliveryId> {
        let kept = self.deliveries.iter().filter(|row| row.from_inbox).map(|row| row.delivery.id);
        kept.chain(self.answers.iter().copied()).collect()
    }

    /// The rows that its entries are. One without a link is kept all the same: no fact is lost over it.
    pub fn log(&self) -> Vec<LogRow<'_>> {
        let links = self.links.iter().map(Some).chain(std::iter::repeat(None));
        let rows = (self.first_position..).zip(&self.entries).zip(links);
        rows.map(|((position, (incident, entry)), link)| LogRow {
            position,
            incident: *incident,
            entry,
            // Our own types have text keys and no failing serialisers.
            event: link.map_or_else(|| serde_json::to_string(&entry.event).unwrap_or_default().into(), |link| link.event.as_str().into()),
            digest: link.map(|link| link.digest.as_bytes()),
        })
        .collect()
    }

    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
            && self.answers.is_empty()
            && self.worked_up_to.is_none()
            && self.entries.is_empty()
            && self.incidents.is_empty()
            && self.heard.is_empty()
            && self.alerts.is_empty()
            && self.jobs.is_empty()
            && self.settled.is_empty()
            && self.released.is_empty()
            && self.requests.is_empty()
            && self.breakers.is_empty()
            && self.holds.is_none()
            && self.records.is_empty()
    }
}

/// An entry's event as text, and the link that it adds to its incident's chain.
#[derive(Clone, Debug)]
pub struct Link {
    pub event: String,
    pub digest: Digest,
}

/// A row of the log.
#[derive(Clone, Debug)]
pub struct LogRow<'a> {
    pub position: i64,
    pub incident: IncidentId,
    pub entry: &'a Entry,
    pub event: Cow<'a, str>,
    pub digest: Option<&'a [u8]>,
}

/// A delivery's row: what came, whom it belongs to, and what of it could not be read.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    pub delivery: Delivery,
    /// The keys of the incidents it speaks of.
    pub keys: Vec<String>,
    pub rejected: Vec<RejectedAlert>,
    /// Whether it came by the inbox: the commit that keeps it takes it out of there.
    pub from_inbox: bool,
}

/// An incident's projected row.
#[derive(Clone, Debug)]
pub struct IncidentRow {
    pub key: String,
    pub state: Arc<Incident>,
}

/// An alert's row.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRow {
    pub incident: IncidentId,
    pub fingerprint: String,
    pub mark: AlertMark,
    pub last_seen_at: Timestamp,
    /// Whether its labels may name a target, by the words that `Journal::firing` was asked with last.
    pub may_name: bool,
}

/// What the writer needs to go on after a start.
#[derive(Clone, Debug, Default)]
pub struct Resumed {
    pub last_number: u64,
    pub last_position: i64,
    pub last_job: i64,
    /// The latest instant that any commit knew; time does not run backwards over a restart.
    pub last_commit_at: Timestamp,
    pub spent: Vec<Spent>,
    pub breakers: Vec<Breaker>,
    /// Alerts of open incidents that fire and may name a target: fingerprint and labels. `Journal::firing` reads them.
    pub firing: Vec<(IncidentId, String, Labels)>,
    /// The words that it was asked with.
    pub words: Words,
    /// Runs now open, by playbook; those that wait for their turn among them.
    pub running: BTreeMap<String, u32>,
    /// Runs that have not begun because as many of their playbook are under way as may be, by playbook, in the order they came.
    pub waiting: Vec<(String, Waiter)>,
    /// Incidents with a run that is not over, that are taking something back, that are open and may yet have to, or whose timeline says
    /// that automation is held.
    pub at_work: Vec<Incident>,
    /// Deliveries stored and not worked yet, oldest first.
    pub unworked: Vec<(i64, Delivery)>,
    pub last_delivery: i64,
    /// Attempts that were under way.
    pub interrupted: Vec<Job>,
    /// The seal over all incidents' chains.
    pub seal: Digest,
    /// Who holds automation.
    pub holds: Holds,
    /// What each playbook's runs came to.
    pub records: BTreeMap<String, Record>,
}

/// Up to when things are let go; none keeps them for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// Deliveries that came before this, if they are worked.
    pub deliveries: Option<Timestamp>,
    /// Incidents that were resolved before this.
    pub resolved: Option<Timestamp>,
    /// Idempotency keys that came before this.
    pub requests: Timestamp,
    /// Destructive attempts that no limit looks back to any more.
    pub spent: Timestamp,
}

/// One slice of letting go: a commit of its own, small enough that nobody waits for it.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    pub horizon: Horizon,
    /// Incidents that leave. Their rows may be more than a slice takes; the rest go with the slices that follow.
    pub leaving: Vec<IncidentId>,
    /// The seal over the chains that stay.
    pub seal: Digest,
    /// Rows at most.
    pub rows: u32,
}

/// Rows that a slice let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LetGo {
    pub deliveries: u64,
    pub incidents: u64,
    pub entries: u64,
    pub alerts: u64,
    pub runs: u64,
    pub requests: u64,
    pub spent: u64,
}

impl LetGo {
    pub fn rows(&self) -> u64 {
        self.by_kind().iter().map(|(_, rows)| rows).sum()
    }

    /// What was let go, by the word for it.
    pub fn by_kind(&self) -> [(&'static str, u64); 7] {
        [
            ("deliveries", self.deliveries),
            ("incidents", self.incidents),
            ("entries", self.entries),
            ("alerts", self.alerts),
            ("runs", self.runs),
            ("requests", self.requests),
            ("spent", self.spent),
        ]
    }
}

/// A playbook's text, and what it is known by.
#[derive(Clone, Copy, Debug)]
pub struct RevisionText<'a> {
    pub revision: &'a str,
    pub slug: &'a str,
    pub source: &'a str,
}

/// The writer's side. One owner at a time.
#[async_trait]
pub trait Journal: Send + Sync {
    async fn resume(&self, now: Timestamp) -> Result<Resumed, StoreError>;

    /// Alerts of open incidents that fire and may name a target by one of these words: fingerprint, and the labels that say where they
    /// come from. There may be a million others, so each is marked when it is written; whenever the words are others than those it was
    /// marked by, all that fire are looked through and marked anew. Only the writer asks.
    async fn firing(&self, words: &Words) -> Result<Vec<(IncidentId, String, Labels)>, StoreError>;

    /// What the writer needs, with what fires.
    async fn resume_with(&self, now: Timestamp, words: &Words) -> Result<Resumed, StoreError> {
        Ok(Resumed { firing: self.firing(words).await?, words: words.clone(), ..self.resume(now).await? })
    }

    /// All or nothing, fsynced before it returns.
    async fn commit(&self, batch: &Batch, now: Timestamp) -> Result<(), StoreError>;

    /// The newest incident of each key, with its alerts.
    async fn newest_of_keys(&self, keys: &[String]) -> Result<Vec<(String, Incident)>, StoreError>;

    async fn load(&self, ids: &[IncidentId]) -> Result<Vec<(String, Incident)>, StoreError>;

    /// Jobs due before `until` with an id above `after`, at most `limit`, by id.
    async fn jobs_due(&self, until: Timestamp, after: i64, limit: u32) -> Result<Vec<Job>, StoreError>;

    /// Jobs due up to `until`, the soonest first, from beyond `after` on, at most `limit`.
    async fn jobs_next(&self, after: (Timestamp, i64), until: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        let mut jobs = self.jobs_due(until, 0, u32::MAX).await?;
        jobs.retain(|job| (job.due_at, job.id) > after);
        jobs.sort_by_key(|job| (job.due_at, job.id));
        jobs.truncate(limit as usize);
        Ok(jobs)
    }

    /// The latest instant that any commit knew.
    async fn last_commit_at(&self) -> Result<Timestamp, StoreError> {
        Ok(self.resume(Timestamp::default()).await?.last_commit_at)
    }

    async fn request_known(&self, key: &str) -> Result<bool, StoreError>;

    /// Keeps a playbook's text for as long as a run may be pinned to it.
    async fn keep_revision(&self, revision: &str, slug: &str, source: &str, now: Timestamp) -> Result<(), StoreError>;

    /// The same for many at once, because each commit costs the disk a moment.
    async fn keep_revisions(&self, texts: &[RevisionText<'_>], now: Timestamp) -> Result<(), StoreError> {
        for text in texts {
            self.keep_revision(text.revision, text.slug, text.source, now).await?;
        }
        Ok(())
    }

    /// The texts that open runs are pinned to: revision, slug, text.
    async fn pinned_revisions(&self) -> Result<Vec<(String, String, String)>, StoreError>;

    /// The oldest incidents that were resolved before `before`, at most `limit`, each with its last link. Never one that has a job
    /// or a run under way, and neither the one with the last number nor the one with the last entry: numbers go on from them.
    async fn expired(&self, _before: Timestamp, _limit: u32) -> Result<Vec<(IncidentId, Digest)>, StoreError> {
        Ok(Vec::new())
    }

    /// Lets go what one slice says, all or nothing. A store that does not know how keeps everything.
    async fn let_go(&self, _slice: &Slice) -> Result<LetGo, StoreError> {
        Ok(LetGo::default())
    }

    /// Whether an attempt may begin: nobody else can be the writer yet. True of a database that only one process can have.
    fn may_begin(&self) -> bool {
        true
    }
}

/// Who writes, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    Us,
    /// Another node, by its name.
    Node(String),
}

/// Who of several nodes may write. Its times are the database's; only a holder's commits are made.
#[async_trait]
pub trait Lease: Send + Sync {
    /// Takes it if it is free or its holder has been silent for too long. `at_start`: also from a former life of this node.
    async fn take(&self, at_start: bool) -> Result<Holder, StoreError>;

    /// Says that this node lives, where no commit does.
    async fn renew(&self) -> Result<(), StoreError>;

    /// Gives it back, so that another node need not wait.
    async fn release(&self) -> Result<(), StoreError>;

    /// Gives it back for one node to take; after a few seconds any other may, too.
    async fn hand_to(&self, _node: &str) -> Result<(), StoreError> {
        self.release().await
    }

    /// Says that this node is there, what it does, and where others reach it.
    async fn here(&self, _role: Role, _url: Option<&str>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Where a delivery waits that was taken in by somebody who may not write: every node puts in, the writer takes out.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Keeps it, fsynced before this returns. Asks for no lease.
    async fn put(&self, delivery: &Delivery) -> Result<(), StoreError>;

    /// The oldest, at most `limit` and not too many bytes at once. Never one that is a delivery already: a commit whose answer was
    /// lost is waited for first. Only the writer asks.
    async fn waiting(&self, limit: u32) -> Result<Vec<Delivery>, StoreError>;
}

/// Which incidents a list shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentQuery {
    /// `open` for everything that is not resolved, or one status word.
    pub status: Option<String>,
    pub priority: Option<u8>,
    pub service: Option<String>,
    /// Words looked for in title, service and type.
    pub q: Option<String>,
    /// Show incidents with smaller numbers than this.
    pub before: Option<u64>,
    pub limit: u32,
}

/// How an incident is named in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentName {
    Id(IncidentId),
    Number(u64),
}

/// A commit that changed an incident, for live pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub position: i64,
    pub incident: IncidentId,
    pub number: u64,
    pub seq: u64,
}

/// Incidents of one family tell the same trouble again: the same type and the same service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Family(pub String, pub String);

/// An incident without its state: when it was, and how bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kin {
    pub family: Family,
    pub number: u64,
    pub priority: u8,
    pub open: bool,
    pub opened_at: Timestamp,
    pub heard_at: Timestamp,
}

/// How many of what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Open incidents, P1 first.
    pub open: [u64; 4],
    pub unacknowledged: u64,
    pub deliveries: u64,
    pub last_delivery_at: Option<Timestamp>,
    /// The source that sent it.
    pub last_delivery_from: Option<String>,
    /// Of the newest entry in the whole log.
    pub last_position: i64,
    /// Who holds automation.
    pub holds: Holds,
}

/// Everybody else's side; it never waits for the writer.
#[async_trait]
pub trait Reads: Send + Sync {
    /// Newest first. States come without their alerts.
    async fn incidents(&self, query: &IncidentQuery) -> Result<Vec<Incident>, StoreError>;
    async fn incident(&self, name: IncidentName) -> Result<Option<Incident>, StoreError>;
    /// Entries with numbers above `after`, oldest first.
    async fn timeline(&self, id: IncidentId, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError>;
    /// Entries with numbers below `before`, newest first.
    async fn timeline_backwards(&self, id: IncidentId, before: u64, limit: u32) -> Result<Vec<Entry>, StoreError>;
    /// Firing ones first.
    async fn alerts(&self, id: IncidentId, limit: u32) -> Result<Vec<AlertRow>, StoreError>;
    async fn incident_of_run(&self, run: RunId) -> Result<Option<IncidentId>, StoreError>;
    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryReport>, StoreError>;
    async fn changes_since(&self, position: i64, limit: u32) -> Result<Vec<Change>, StoreError>;
    /// The newest incidents of each family, at most `limit` of each, newest first. The cost does not grow with history.
    async fn kin(&self, families: &[Family], limit: u32) -> Result<Vec<Kin>, StoreError>;
    async fn totals(&self) -> Result<Totals, StoreError>;
    /// How much work is stored and not settled. A walk over all of it, so no page asks.
    async fn jobs_pending(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// What each playbook's runs came to.
    async fn records(&self) -> Result<BTreeMap<String, Record>, StoreError> {
        Ok(BTreeMap::new())
    }

    /// Entries since then about steps in shadow, newest first.
    async fn shadowed(&self, _since: Timestamp, _limit: u32) -> Result<Vec<(IncidentId, Entry)>, StoreError> {
        Ok(Vec::new())
    }

    /// What is wrong on disk: late if it was due before `due_before`. Each list has at most `limit`; what is open costs, history does not.
    async fn audit(&self, _due_before: Timestamp, _limit: u32) -> Result<Audit, StoreError> {
        Ok(Audit::default())
    }

    /// Destructive attempts that were started since, oldest first.
    async fn spent_since(&self, _since: Timestamp) -> Result<Vec<Spent>, StoreError> {
        Ok(Vec::new())
    }
    /// Playbooks' breakers that have something to tell.
    async fn breakers(&self) -> Result<Vec<Breaker>, StoreError> {
        Ok(Vec::new())
    }
    /// The last runs of a playbook that are over, the newest first, each with its incident's number. One that its incident does not
    /// hold any more is left out.
    async fn last_runs(&self, _playbook: &str, _limit: u32) -> Result<Vec<(u64, Run)>, StoreError> {
        Ok(Vec::new())
    }
    /// The nodes that share the database, and how late the work is.
    async fn overview(&self, _now: Timestamp) -> Result<Overview, StoreError> {
        Ok(Overview::default())
    }
}
