//! A whole database file as it stood at one moment, read beside a running server or from a backup. It cannot write.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Row, SqliteConnection};
use tokio::sync::Mutex;

use crate::engine::archive::{AlertRecord, Archive, DeliveryRecord, EntryRecord, Extent, IncidentRecord, JobRecord, RunRecord, Stretch};
use crate::engine::store::StoreError;
use crate::store::sqlite::open::{OpenError, Tables, demand_tables, store_error};

const INCIDENTS: &str = "
    select id, number, key, status, priority, type, service, title, opened_at, seq, state
    from incidents
    where number > $1
    order by number
    limit $2";

const ENTRIES: &str = "
    select position, seq, at, kind, actor_kind, actor, event, digest
    from timeline
    where incident = $1 and seq > $2
    order by seq
    limit $3";

const DELIVERIES: &str = "
    select position, id, source, received_at, body
    from deliveries
    where received_at >= $1 and position > $2
    order by position
    limit $3";

const LOG: &str = "
    select position, incident, seq, at, kind, actor_kind, actor, event, digest
    from timeline
    where at >= $1 and position > $2
    order by position
    limit $3";

const ALERTS: &str = "
    select fingerprint, firing, starts_at, changed_at
    from alerts
    where incident = $1
    order by fingerprint";

const RUNS: &str = "
    select id, playbook, revision, status, started_at, ended_at
    from runs
    where incident = $1
    order by started_at, id";

const JOBS: &str = "
    select id, effect
    from jobs
    where incident = $1
    order by id";

const STRAYS: &str = "
    with known (id) as (select id from incidents union all select incident from leaving)
    select incident, what
    from (select incident, 'entry ' || seq as what from timeline where incident not in (select id from known)
          union all
          select incident, 'alert ' || fingerprint from alerts where incident not in (select id from known)
          union all
          select incident, 'run ' || id from runs where incident not in (select id from known)
          union all
          select incident, 'job ' || id from jobs
          -- A playbook that will start by the clock stands under the incident that it will open.
          where incident not in (select id from known) and effect ->> '$.wake.wake' is not 'occur')
    limit $1";

/// The file at one moment.
pub struct SqliteArchive {
    /// In one transaction from the first look to the last.
    connection: Mutex<SqliteConnection>,
}

impl SqliteArchive {
    /// Opens the file; it must be there, be Reynard's, and have the tables of this version.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let unusable = |why: String| OpenError::Unusable { path: path.to_owned(), why };
        if !path.exists() {
            return Err(unusable("it is not there".to_owned()));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(Duration::from_secs(5))
            .pragma("query_only", "on")
            .disable_statement_logging();
        let mut connection = options.connect().await.map_err(|error| unusable(error.to_string()))?;
        demand_tables(&mut connection, path, Tables::Ours).await?;
        sqlx::query("begin").execute(&mut connection).await.map_err(|error| unusable(error.to_string()))?;
        Ok(Self { connection: Mutex::new(connection) })
    }
}

#[async_trait]
impl Archive for SqliteArchive {
    async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let mut connection = self.connection.lock().await;
        let said: Vec<String> = sqlx::query_scalar("pragma integrity_check").fetch_all(&mut *connection).await.map_err(store_error)?;
        Ok(said.into_iter().filter(|line| line != "ok").collect())
    }

    async fn extent(&self) -> Result<Extent, StoreError> {
        let mut connection = self.connection.lock().await;
        const EXTENT: &str = "select (select count(*) from incidents) as incidents, (select count(*) from timeline) as entries";
        let row = sqlx::query(EXTENT).fetch_one(&mut *connection).await.map_err(store_error)?;
        let number = |name: &str| row.try_get::<i64, _>(name).map(i64::unsigned_abs).map_err(store_error);
        Ok(Extent { incidents: number("incidents")?, entries: number("entries")? })
    }

    async fn incidents(&self, after: i64, limit: u32) -> Result<Vec<IncidentRecord>, StoreError> {
        let mut connection = self.connection.lock().await;
        let found = sqlx::query(INCIDENTS).bind(after).bind(limit).fetch_all(&mut *connection).await;
        read(&found.map_err(store_error)?, incident)
    }

    async fn entries(&self, incident: &str, after: i64, limit: u32) -> Result<Vec<EntryRecord>, StoreError> {
        let mut connection = self.connection.lock().await;
        let found = sqlx::query(ENTRIES).bind(incident).bind(after).bind(limit).fetch_all(&mut *connection).await;
        read(&found.map_err(store_error)?, entry)
    }

    async fn deliveries(&self, stretch: Stretch) -> Result<Vec<DeliveryRecord>, StoreError> {
        let mut connection = self.connection.lock().await;
        let query = sqlx::query(DELIVERIES).bind(stretch.since).bind(stretch.after).bind(stretch.limit);
        read(&query.fetch_all(&mut *connection).await.map_err(store_error)?, delivery)
    }

    async fn deliveries_since(&self, since: i64) -> Result<u64, StoreError> {
        let mut connection = self.connection.lock().await;
        let query = sqlx::query_scalar::<_, i64>("select count(*) from deliveries where received_at >= $1").bind(since);
        query.fetch_one(&mut *connection).await.map(i64::unsigned_abs).map_err(store_error)
    }

    async fn log(&self, stretch: Stretch) -> Result<Vec<(String, EntryRecord)>, StoreError> {
        let mut connection = self.connection.lock().await;
        let query = sqlx::query(LOG).bind(stretch.since).bind(stretch.after).bind(stretch.limit);
        let with_incident = |row: &SqliteRow| Ok((row.try_get("incident")?, entry(row)?));
        read(&query.fetch_all(&mut *connection).await.map_err(store_error)?, with_incident)
    }

    async fn alerts(&self, incident: &str) -> Result<Vec<AlertRecord>, StoreError> {
        let mut connection = self.connection.lock().await;
        let found = sqlx::query(ALERTS).bind(incident).fetch_all(&mut *connection).await;
        read(&found.map_err(store_error)?, alert)
    }

    async fn runs(&self, incident: &str) -> Result<Vec<RunRecord>, StoreError> {
        let mut connection = self.connection.lock().await;
        let found = sqlx::query(RUNS).bind(incident).fetch_all(&mut *connection).await;
        read(&found.map_err(store_error)?, run)
    }

    async fn jobs(&self, incident: &str) -> Result<Vec<JobRecord>, StoreError> {
        let mut connection = self.connection.lock().await;
        let found = sqlx::query(JOBS).bind(incident).fetch_all(&mut *connection).await;
        read(&found.map_err(store_error)?, |row| Ok(JobRecord { id: row.try_get("id")?, effect: row.try_get("effect")? }))
    }

    async fn strays(&self, limit: u32) -> Result<Vec<(String, String)>, StoreError> {
        let mut connection = self.connection.lock().await;
        sqlx::query_as(STRAYS).bind(limit).fetch_all(&mut *connection).await.map_err(store_error)
    }

    async fn seal(&self) -> Result<Option<String>, StoreError> {
        let mut connection = self.connection.lock().await;
        let found = sqlx::query_scalar("select value from meta where name = 'seal'").fetch_optional(&mut *connection).await;
        found.map_err(store_error)
    }
}

fn read<T>(rows: &[SqliteRow], how: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>) -> Result<Vec<T>, StoreError> {
    rows.iter().map(how).collect::<Result<_, _>>().map_err(store_error)
}

fn incident(row: &SqliteRow) -> Result<IncidentRecord, sqlx::Error> {
    Ok(IncidentRecord {
        id: row.try_get("id")?,
        number: row.try_get("number")?,
        key: row.try_get("key")?,
        status: row.try_get("status")?,
        priority: row.try_get("priority")?,
        kind: row.try_get("type")?,
        service: row.try_get("service")?,
        title: row.try_get("title")?,
        opened_at: row.try_get("opened_at")?,
        seq: row.try_get("seq")?,
        state: row.try_get("state")?,
    })
}

fn entry(row: &SqliteRow) -> Result<EntryRecord, sqlx::Error> {
    Ok(EntryRecord {
        position: row.try_get("position")?,
        seq: row.try_get("seq")?,
        at: row.try_get("at")?,
        kind: row.try_get("kind")?,
        actor_kind: row.try_get("actor_kind")?,
        actor: row.try_get("actor")?,
        event: row.try_get("event")?,
        digest: row.try_get("digest")?,
    })
}

fn delivery(row: &SqliteRow) -> Result<DeliveryRecord, sqlx::Error> {
    Ok(DeliveryRecord {
        position: row.try_get("position")?,
        id: row.try_get("id")?,
        source: row.try_get("source")?,
        received_at: row.try_get("received_at")?,
        body: row.try_get("body")?,
    })
}

fn alert(row: &SqliteRow) -> Result<AlertRecord, sqlx::Error> {
    Ok(AlertRecord {
        fingerprint: row.try_get("fingerprint")?,
        firing: row.try_get("firing")?,
        starts_at: row.try_get("starts_at")?,
        changed_at: row.try_get("changed_at")?,
    })
}

fn run(row: &SqliteRow) -> Result<RunRecord, sqlx::Error> {
    Ok(RunRecord {
        id: row.try_get("id")?,
        playbook: row.try_get("playbook")?,
        revision: row.try_get("revision")?,
        status: row.try_get("status")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}
