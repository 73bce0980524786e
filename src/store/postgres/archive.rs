//! A whole PostgreSQL database as it stood at one moment, read beside running nodes. It cannot write.

use std::str::FromStr;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{ConnectOptions, PgConnection, Row};
use tokio::sync::Mutex;

use crate::domain::database;

use crate::engine::archive::{AlertRecord, Archive, DeliveryRecord, EntryRecord, Extent, IncidentRecord, JobRecord, RunRecord, Stretch};
use crate::engine::store::StoreError;
use crate::store::postgres::open::{OpenError, store_error};

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
    from (select incident, 'entry ' || seq::text as what from timeline where incident not in (select id from known)
          union all
          select incident, 'alert ' || fingerprint from alerts where incident not in (select id from known)
          union all
          select incident, 'run ' || id from runs where incident not in (select id from known)
          union all
          select incident, 'job ' || id::text from jobs
          -- A playbook that will start by the clock stands under the incident that it will open.
          where incident not in (select id from known) and effect not like '%\"wake\":\"occur\"%') as strays
    limit $1";

/// The file at one moment.
pub struct PostgresArchive {
    /// In one transaction from the first look to the last.
    connection: Mutex<PgConnection>,
}

impl PostgresArchive {
    /// Asks the first server that answers; a standby will do.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let mut faults = Vec::new();
        for address in database::servers(url) {
            // The parser's own words may repeat the address, password and all.
            let server = PgConnectOptions::from_str(&address).map_err(|_| OpenError::NoAddress)?;
            let server = server.application_name("reynard").disable_statement_logging();
            match begin(&server).await {
                Ok(connection) => return Ok(Self { connection: Mutex::new(connection) }),
                Err(error) => faults.push(format!("{}:{}: {error}", server.get_host(), server.get_port())),
            }
        }
        Err(OpenError::Unusable(faults.join("; ")))
    }
}

async fn begin(server: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = server.connect().await?;
    sqlx::query("begin isolation level repeatable read read only").execute(&mut connection).await?;
    // Also the first look, which fixes the moment.
    sqlx::query("select 1 from leaving").execute(&mut connection).await?;
    Ok(connection)
}

#[async_trait]
impl Archive for PostgresArchive {
    /// PostgreSQL looks after its own structure; pages it cannot read are errors.
    async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
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
        let found = sqlx::query(INCIDENTS).bind(after).bind(i64::from(limit)).fetch_all(&mut *connection).await;
        read(&found.map_err(store_error)?, incident)
    }

    async fn entries(&self, incident: &str, after: i64, limit: u32) -> Result<Vec<EntryRecord>, StoreError> {
        let mut connection = self.connection.lock().await;
        let found = sqlx::query(ENTRIES).bind(incident).bind(after).bind(i64::from(limit)).fetch_all(&mut *connection).await;
        read(&found.map_err(store_error)?, entry)
    }

    async fn deliveries(&self, stretch: Stretch) -> Result<Vec<DeliveryRecord>, StoreError> {
        let mut connection = self.connection.lock().await;
        let query = sqlx::query(DELIVERIES).bind(stretch.since).bind(stretch.after).bind(i64::from(stretch.limit));
        read(&query.fetch_all(&mut *connection).await.map_err(store_error)?, delivery)
    }

    async fn deliveries_since(&self, since: i64) -> Result<u64, StoreError> {
        let mut connection = self.connection.lock().await;
        let query = sqlx::query_scalar::<_, i64>("select count(*) from deliveries where received_at >= $1").bind(since);
        query.fetch_one(&mut *connection).await.map(i64::unsigned_abs).map_err(store_error)
    }

    async fn log(&self, stretch: Stretch) -> Result<Vec<(String, EntryRecord)>, StoreError> {
        let mut connection = self.connection.lock().await;
        let query = sqlx::query(LOG).bind(stretch.since).bind(stretch.after).bind(i64::from(stretch.limit));
        let with_incident = |row: &PgRow| Ok((row.try_get("incident")?, entry(row)?));
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
        sqlx::query_as(STRAYS).bind(i64::from(limit)).fetch_all(&mut *connection).await.map_err(store_error)
    }

    async fn seal(&self) -> Result<Option<String>, StoreError> {
        let mut connection = self.connection.lock().await;
        let found = sqlx::query_scalar("select value from meta where name = 'seal'").fetch_optional(&mut *connection).await;
        found.map_err(store_error)
    }
}

fn read<T>(rows: &[PgRow], how: impl Fn(&PgRow) -> Result<T, sqlx::Error>) -> Result<Vec<T>, StoreError> {
    rows.iter().map(how).collect::<Result<_, _>>().map_err(store_error)
}

fn incident(row: &PgRow) -> Result<IncidentRecord, sqlx::Error> {
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

fn entry(row: &PgRow) -> Result<EntryRecord, sqlx::Error> {
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

fn delivery(row: &PgRow) -> Result<DeliveryRecord, sqlx::Error> {
    Ok(DeliveryRecord {
        position: row.try_get("position")?,
        id: row.try_get("id")?,
        source: row.try_get("source")?,
        received_at: row.try_get("received_at")?,
        body: row.try_get("body")?,
    })
}

fn alert(row: &PgRow) -> Result<AlertRecord, sqlx::Error> {
    Ok(AlertRecord {
        fingerprint: row.try_get("fingerprint")?,
        firing: row.try_get("firing")?,
        starts_at: row.try_get("starts_at")?,
        changed_at: row.try_get("changed_at")?,
    })
}

fn run(row: &PgRow) -> Result<RunRecord, sqlx::Error> {
    Ok(RunRecord {
        id: row.try_get("id")?,
        playbook: row.try_get("playbook")?,
        revision: row.try_get("revision")?,
        status: row.try_get("status")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}
