//! The whole of a database as it stood at one moment, row by row, for whoever checks it or carries it away.
//! Knows no SQL and changes nothing; what a row says is given as it is stored, good or not.

use async_trait::async_trait;

use crate::engine::store::StoreError;

/// One incident's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentRecord {
    pub id: String,
    pub number: i64,
    pub key: String,
    pub status: String,
    pub priority: i64,
    pub kind: String,
    pub service: String,
    pub title: String,
    pub opened_at: i64,
    pub seq: i64,
    /// The state, as JSON.
    pub state: String,
}

/// One row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRecord {
    pub position: i64,
    pub seq: i64,
    pub at: i64,
    pub kind: String,
    pub actor_kind: String,
    pub actor: String,
    /// As JSON.
    pub event: String,
    /// None for entries from before the log was chained.
    pub digest: Option<Vec<u8>>,
}

/// One alert's row, as far as the log speaks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRecord {
    pub fingerprint: String,
    pub firing: bool,
    pub starts_at: i64,
    pub changed_at: i64,
}

/// One run's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    pub id: String,
    pub playbook: String,
    pub revision: String,
    pub status: String,
    pub started_at: i64,
    pub ended_at: Option<i64>,
}

/// One job's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    pub id: i64,
    /// As JSON.
    pub effect: String,
}

/// A webhook call as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    pub position: i64,
    pub id: String,
    pub source: String,
    pub received_at: i64,
    pub body: Vec<u8>,
}

/// A stretch of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Instants from here on, in milliseconds.
    pub since: i64,
    /// Rows behind this position.
    pub after: i64,
    pub limit: u32,
}

/// How much there is, for showing how far one has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    pub incidents: u64,
    pub entries: u64,
}

/// Everything at one moment: what is written meanwhile is not seen.
#[async_trait]
pub trait Archive: Send + Sync {
    /// What the database itself finds wrong with its own structure.
    async fn integrity(&self) -> Result<Vec<String>, StoreError>;
    async fn extent(&self) -> Result<Extent, StoreError>;
    /// Incidents with numbers above `after`, in order.
    async fn incidents(&self, after: i64, limit: u32) -> Result<Vec<IncidentRecord>, StoreError>;
    /// Entries with a `seq` above `after`, in order.
    async fn entries(&self, incident: &str, after: i64, limit: u32) -> Result<Vec<EntryRecord>, StoreError>;
    /// Deliveries of a stretch, in the order in which they were stored.
    async fn deliveries(&self, stretch: Stretch) -> Result<Vec<DeliveryRecord>, StoreError>;
    /// How many deliveries there are since an instant.
    async fn deliveries_since(&self, since: i64) -> Result<u64, StoreError>;
    /// The log of a stretch over all incidents, in its own order, each with its incident.
    async fn log(&self, stretch: Stretch) -> Result<Vec<(String, EntryRecord)>, StoreError>;
    /// By fingerprint.
    async fn alerts(&self, incident: &str) -> Result<Vec<AlertRecord>, StoreError>;
    async fn runs(&self, incident: &str) -> Result<Vec<RunRecord>, StoreError>;
    async fn jobs(&self, incident: &str) -> Result<Vec<JobRecord>, StoreError>;
    /// Rows of an incident that is not there and is not leaving either: its id, and what kind of rows, with an entry's number for entries.
    async fn strays(&self, limit: u32) -> Result<Vec<(String, String)>, StoreError>;
    /// The seal over all chains, as hex; none before the first.
    async fn seal(&self) -> Result<Option<String>, StoreError>;
}
