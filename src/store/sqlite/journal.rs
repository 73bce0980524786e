//! The writer's verbs on SQLite: one transaction a batch, one statement a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Connection, Row, Sqlite, SqliteConnection, Transaction};
use tokio::sync::MutexGuard;

use crate::domain::chain::Digest;
use crate::domain::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::labels::Labels;
use crate::domain::limits::LONGEST_WINDOW;
use crate::domain::time::Timestamp;
use crate::domain::trouble::Words;
use crate::engine::store::{Batch, DeliveryRow, Job, Journal, LetGo, Resumed, RevisionText, Slice, StoreError};
use crate::store::sqlite::inbox;
use crate::store::sqlite::open::{SqliteStore, store_error};
use crate::store::sqlite::retention;
use crate::store::sqlite::revisions;
use crate::store::sqlite::rows::{self, Insert};

const NEWEST_OF_KEYS: &str = "
    select key, state, heard_at
    from incidents as i
    where key in (select value from json_each($1))
      and number = (select max(number) from incidents where key = i.key)";

const LOAD: &str = "
    select key, state, heard_at
    from incidents
    where id in (select value from json_each($1))";

const ALERTS_OF: &str = "
    select *
    from alerts
    where incident in (select value from json_each($1))";

// A run that waits for its turn has no current step yet.
const WAITING: &str = "
    select r.playbook, r.incident, r.id
    from runs as r
    join incidents as i on i.id = r.incident
    where r.ended_at is null
      and r.status = 'waiting'
      and (i.state -> 'runs' -> r.id ->> 'current') is null
    order by r.started_at, i.number";

// Those that take something back, or wait to, have a job of a kind of its own; those in which something is in force may yet have to.
pub(super) const AT_WORK: &str = "
    select state, heard_at
    from incidents
    where id in (select incident from runs where ended_at is null)
       or id in (select incident from jobs where kind in ('perform', 'undo'))
       or (status <> 'resolved' and id in (select incident from runs where in_force = 1))
    order by number";

// Those whose timeline says that automation is held; asked for only while it is.
const HELD: &str = "
    select state, heard_at
    from incidents
    where status <> 'resolved'
      and state ->> 'held_since' is not null";

const LAST_COMMIT_AT: &str = "select coalesce((select cast(value as integer) from meta where name = 'last_commit_at'), 0)";

const UNWORKED: &str = "
    select position, id, source, received_at, body
    from deliveries
    where position > coalesce((select cast(value as integer) from meta where name = 'worked_up_to'), 0)
    order by position";

const JOBS_DUE: &str = "
    select id, incident, due_at, started, effect
    from jobs
    where started = 0 and due_at <= $1 and id > $2
    order by id
    limit $3";

pub(super) const JOBS_NEXT: &str = "
    select id, incident, due_at, started, effect
    from jobs
    where started = 0 and due_at <= $1 and (due_at, id) > ($2, $3)
    order by due_at, id
    limit $4";

static INTO_DELIVERIES: Insert = Insert::new("insert into deliveries (position, id, source, received_at, keys, rejected, body)", 7, "");

static INTO_TIMELINE: Insert =
    Insert::new("insert into timeline (position, incident, seq, at, kind, actor_kind, actor, event, digest)", 9, "");

static INTO_INCIDENTS: Insert = Insert::new(
    "insert into incidents (id, number, key, status, priority, type, service, title, opened_at, heard_at, seq, state)",
    12,
    "on conflict (id) do update set status = excluded.status, priority = excluded.priority, type = excluded.type,
             service = excluded.service, title = excluded.title, heard_at = excluded.heard_at, seq = excluded.seq, state = excluded.state",
);

static INTO_ALERTS: Insert = Insert::new(
    "insert into alerts (incident, fingerprint, firing, starts_at, changed_at, last_seen_at, labels, annotations, may_name)",
    9,
    "on conflict (incident, fingerprint) do update set firing = excluded.firing, starts_at = excluded.starts_at,
             changed_at = excluded.changed_at, last_seen_at = excluded.last_seen_at, labels = excluded.labels, annotations = excluded.annotations,
             may_name = excluded.may_name",
);

static INTO_RUNS: Insert = Insert::new(
    "insert into runs (id, incident, playbook, revision, status, started_at, ended_at, in_force)",
    8,
    "on conflict (id) do update set status = excluded.status, ended_at = excluded.ended_at, in_force = excluded.in_force",
);

static INTO_JOBS: Insert = Insert::new("insert into jobs (id, incident, kind, due_at, started, effect)", 6, "");

static INTO_SPENT: Insert = Insert::new("insert into spent (at, playbook, target, service)", 4, "");

static INTO_BREAKERS: Insert = Insert::new(
    "insert into breakers (playbook, failures, opened_at, opened_by)",
    4,
    "on conflict (playbook) do update set failures = excluded.failures, opened_at = excluded.opened_at, opened_by = excluded.opened_by",
);

static INTO_REQUESTS: Insert = Insert::new("insert into requests (key, at)", 2, "");

static INTO_META: Insert = Insert::new("insert into meta (name, value)", 2, "on conflict (name) do update set value = excluded.value");

#[async_trait]
impl Journal for SqliteStore {
    async fn resume(&self, now: Timestamp) -> Result<Resumed, StoreError> {
        self.read_resumed(now).await.map_err(store_error)
    }

    async fn firing(&self, words: &Words) -> Result<Vec<(IncidentId, String, Labels)>, StoreError> {
        self.firing_of(words).await
    }

    async fn commit(&self, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        let (place, mut connection) = self.take_writer().await?;
        let written = write(&mut connection, batch, now).await;
        give_back(place, connection, written).await
    }

    async fn newest_of_keys(&self, keys: &[String]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.incidents_with_alerts(NEWEST_OF_KEYS, rows::to_json(&keys)).await.map_err(store_error)
    }

    async fn load(&self, ids: &[IncidentId]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.incidents_with_alerts(LOAD, rows::to_json(&ids)).await.map_err(store_error)
    }

    async fn jobs_due(&self, until: Timestamp, after: i64, limit: u32) -> Result<Vec<Job>, StoreError> {
        let found = sqlx::query(JOBS_DUE).bind(until.0).bind(after).bind(limit).fetch_all(&self.readers).await.map_err(store_error)?;
        found.iter().map(rows::job).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn jobs_next(&self, (at, id): (Timestamp, i64), until: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        let query = sqlx::query(JOBS_NEXT).bind(until.0).bind(at.0).bind(id).bind(limit);
        let found = query.fetch_all(&self.readers).await.map_err(store_error)?;
        found.iter().map(rows::job).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn last_commit_at(&self) -> Result<Timestamp, StoreError> {
        let found = sqlx::query_scalar(LAST_COMMIT_AT).fetch_one(&self.readers).await;
        found.map(Timestamp).map_err(store_error)
    }

    async fn request_known(&self, key: &str) -> Result<bool, StoreError> {
        let found = sqlx::query("select 1 from requests where key = $1").bind(key).fetch_optional(&self.readers).await;
        Ok(found.map_err(store_error)?.is_some())
    }

    async fn keep_revision(&self, revision: &str, slug: &str, source: &str, now: Timestamp) -> Result<(), StoreError> {
        self.keep_revisions(&[RevisionText { revision, slug, source }], now).await
    }

    async fn keep_revisions(&self, texts: &[RevisionText<'_>], now: Timestamp) -> Result<(), StoreError> {
        let (place, mut connection) = self.take_writer().await?;
        let kept = revisions::keep(&mut connection, texts, now).await;
        give_back(place, connection, kept).await
    }

    async fn pinned_revisions(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        const PINNED: &str = "
            select revision, slug, source
            from revisions
            where revision in (select r.revision from runs as r join incidents as i on i.id = r.incident
                               where r.ended_at is null or i.status <> 'resolved'
                                  or exists (select 1 from jobs where jobs.incident = i.id))";
        sqlx::query_as(PINNED).fetch_all(&self.readers).await.map_err(store_error)
    }

    async fn expired(&self, before: Timestamp, limit: u32) -> Result<Vec<(IncidentId, Digest)>, StoreError> {
        let mut reader = self.readers.acquire().await.map_err(store_error)?;
        retention::expired(&mut reader, before, limit).await.map_err(store_error)
    }

    async fn let_go(&self, slice: &Slice) -> Result<LetGo, StoreError> {
        let (place, mut connection) = self.take_writer().await?;
        let went = retention::let_go(&mut connection, slice).await;
        give_back(place, connection, went).await
    }
}

impl SqliteStore {
    /// The writer's connection, and the place where it is missed meanwhile.
    pub(super) async fn take_writer(&self) -> Result<(Place<'_>, SqliteConnection), StoreError> {
        let mut place = self.writer.lock().await;
        let connection = match place.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await.map_err(store_error)?,
        };
        Ok((place, connection))
    }

    async fn incidents_with_alerts(&self, text: &'static str, names: String) -> Result<Vec<(String, Incident)>, sqlx::Error> {
        let mut found = Vec::new();
        for row in sqlx::query(text).bind(names).fetch_all(&self.readers).await? {
            found.push((row.try_get::<String, _>("key")?, rows::incident(&row)?));
        }
        let ids: Vec<IncidentId> = found.iter().map(|(_, incident)| incident.id).collect();
        let mut by_id: BTreeMap<IncidentId, &mut Incident> = found.iter_mut().map(|(_, incident)| (incident.id, incident)).collect();
        for row in sqlx::query(ALERTS_OF).bind(rows::to_json(&ids)).fetch_all(&self.readers).await? {
            let alert = rows::alert(&row)?;
            if let Some(incident) = by_id.get_mut(&alert.incident) {
                incident.alerts.insert(alert.fingerprint, alert.mark);
            }
        }
        Ok(found)
    }

    async fn read_resumed(&self, now: Timestamp) -> Result<Resumed, sqlx::Error> {
        let number = async |text: &'static str| -> Result<i64, sqlx::Error> { sqlx::query_scalar(text).fetch_one(&self.readers).await };
        let mut resumed = Resumed {
            last_number: number("select coalesce(max(number), 0) from incidents").await?.unsigned_abs(),
            last_position: number("select coalesce(max(position), 0) from timeline").await?,
            last_job: number("select max(coalesce((select max(id) from jobs), 0), coalesce((select cast(value as integer) from meta where name = 'last_job'), 0))").await?,
            last_delivery: number("select coalesce(max(position), 0) from deliveries").await?,
            last_commit_at: Timestamp(number(LAST_COMMIT_AT).await?),
            seal: sqlx::query_scalar::<_, String>("select value from meta where name = 'seal'")
                .fetch_optional(&self.readers)
                .await?
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            holds: rows::holds(sqlx::query_scalar("select value from meta where name = 'holds'").fetch_optional(&self.readers).await?)?,
            records: rows::records(&sqlx::query(rows::RECORDS).fetch_all(&self.readers).await?)?,
            ..Resumed::default()
        };
        resumed.spent = self.spent_after(now - LONGEST_WINDOW).await?;
        resumed.breakers = self.stored_breakers().await?;
        for row in sqlx::query("select playbook, count(*) as n from runs where ended_at is null group by playbook")
            .fetch_all(&self.readers)
            .await?
        {
            resumed.running.insert(row.try_get("playbook")?, row.try_get("n")?);
        }
        for row in sqlx::query(WAITING).fetch_all(&self.readers).await? {
            resumed.waiting.push(rows::waiter(&row)?);
        }
        for row in sqlx::query(AT_WORK).fetch_all(&self.readers).await? {
            resumed.at_work.push(rows::incident(&row)?);
        }
        if !resumed.holds.are_none() {
            for row in sqlx::query(HELD).fetch_all(&self.readers).await? {
                resumed.at_work.push(rows::incident(&row)?);
            }
        }
        for row in sqlx::query(UNWORKED).fetch_all(&self.readers).await? {
            resumed.unworked.push((row.try_get("position")?, rows::delivery(&row)?));
        }
        for row in sqlx::query("select id, incident, due_at, started, effect from jobs where started = 1 order by id")
            .fetch_all(&self.readers)
            .await?
        {
            resumed.interrupted.push(rows::job(&row)?);
        }
        Ok(resumed)
    }
}

pub(super) type Place<'a> = MutexGuard<'a, Option<SqliteConnection>>;

pub(super) async fn give_back<T>(
    mut place: Place<'_>,
    connection: SqliteConnection,
    written: Result<T, sqlx::Error>,
) -> Result<T, StoreError> {
    match written {
        Ok(answer) => {
            *place = Some(connection);
            Ok(answer)
        }
        Err(error) => {
            // Whatever state the connection is in, a new one knows better; SQLite has rolled back what was not committed.
            let _ = connection.close().await;
            Err(store_error(error))
        }
    }
}

async fn write(connection: &mut SqliteConnection, batch: &Batch, now: Timestamp) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin_with("begin immediate").await?;
    write_deliveries(&mut tx, batch).await?;
    write_log(&mut tx, batch).await?;
    write_incidents(&mut tx, batch).await?;
    write_jobs(&mut tx, batch).await?;
    write_rest(&mut tx, batch, now).await?;
    tx.commit().await
}

async fn write_deliveries(tx: &mut Transaction<'_, Sqlite>, batch: &Batch) -> Result<(), sqlx::Error> {
    let placed: Vec<(i64, &Arc<DeliveryRow>)> = (batch.first_delivery..).zip(&batch.deliveries).collect();
    INTO_DELIVERIES
        .rows(tx, &placed, |q, (position, row)| {
            let rejected = (!row.rejected.is_empty()).then(|| rows::to_json(&row.rejected));
            let d = &row.delivery;
            q.bind(position)
                .bind(d.id.to_string())
                .bind(&d.source)
                .bind(d.received_at.0)
                .bind(rows::to_json(&row.keys))
                .bind(rejected)
                .bind(&d.body)
        })
        .await?;
    inbox::remove(tx, &batch.taken()).await
}

async fn write_log(tx: &mut Transaction<'_, Sqlite>, batch: &Batch) -> Result<(), sqlx::Error> {
    let log = batch.log();
    INTO_TIMELINE
        .rows(tx, &log, |q, row| {
            q.bind(row.position)
                .bind(row.incident.to_string())
                .bind(row.entry.seq.cast_signed())
                .bind(row.entry.at.0)
                .bind(row.entry.event.kind())
                .bind(row.entry.actor.kind())
                .bind(row.entry.actor.name())
                .bind(row.event.as_ref())
                .bind(row.digest)
        })
        .await
}

async fn write_incidents(tx: &mut Transaction<'_, Sqlite>, batch: &Batch) -> Result<(), sqlx::Error> {
    if !batch.heard.is_empty() {
        const HEARD: &str = "
            update incidents
            set heard_at = h.value ->> 1
            from json_each($1) as h
            where incidents.id = h.value ->> 0";
        sqlx::query(HEARD).bind(rows::to_json(&batch.heard)).execute(&mut **tx).await?;
    }
    INTO_INCIDENTS
        .rows(tx, &batch.incidents, |q, row| {
            let i = &row.state;
            q.bind(i.id.to_string())
                .bind(i.number.cast_signed())
                .bind(&row.key)
                .bind(i.status.word())
                .bind(i.priority.number())
                .bind(&i.kind)
                .bind(&i.service)
                .bind(&i.title)
                .bind(i.opened_at.0)
                .bind(i.heard_at.0)
                .bind(i.seq.cast_signed())
                .bind(rows::to_json(i.as_ref()))
        })
        .await?;
    INTO_ALERTS
        .rows(tx, &batch.alerts, |q, row| {
            q.bind(row.incident.to_string())
                .bind(&row.fingerprint)
                .bind(row.mark.firing)
                .bind(row.mark.starts_at.0)
                .bind(row.mark.changed_at.0)
                .bind(row.last_seen_at.0)
                .bind(rows::to_json(&row.mark.labels))
                .bind(rows::to_json(&row.mark.annotations))
                .bind(row.may_name)
        })
        .await?;
    let runs = batch.runs();
    INTO_RUNS
        .rows(tx, &runs, |q, (incident, run)| {
            q.bind(run.id.to_string())
                .bind(incident.to_string())
                .bind(&run.playbook)
                .bind(&run.revision)
                .bind(run.status.word())
                .bind(run.started_at.0)
                .bind(run.ended_at.map(|at| at.0))
                .bind(run.has_in_force())
        })
        .await
}

async fn write_jobs(tx: &mut Transaction<'_, Sqlite>, batch: &Batch) -> Result<(), sqlx::Error> {
    INTO_JOBS
        .rows(tx, &batch.jobs, |q, job| {
            let effect = rows::to_json(&job.effect);
            q.bind(job.id).bind(job.incident.to_string()).bind(kind_of(job)).bind(job.due_at.0).bind(job.started).bind(effect)
        })
        .await?;
    if !batch.released.is_empty() {
        let released = rows::to_json(&batch.released);
        sqlx::query("update jobs set started = 0 where id in (select value from json_each($1))").bind(released).execute(&mut **tx).await?;
    }
    if !batch.settled.is_empty() {
        let settled = rows::to_json(&batch.settled);
        sqlx::query("delete from jobs where id in (select value from json_each($1))").bind(settled).execute(&mut **tx).await?;
    }
    Ok(())
}

async fn write_rest(tx: &mut Transaction<'_, Sqlite>, batch: &Batch, now: Timestamp) -> Result<(), sqlx::Error> {
    INTO_SPENT.rows(tx, &batch.spent, |q, s| q.bind(s.at.0).bind(&s.playbook).bind(&s.target).bind(&s.service)).await?;
    INTO_BREAKERS
        .rows(tx, &batch.breakers, |q, breaker| {
            let opened = breaker.opened;
            q.bind(&breaker.playbook)
                .bind(breaker.failures)
                .bind(opened.map(|opened| opened.at.0))
                .bind(opened.map(|opened| opened.incident.to_string()))
        })
        .await?;
    INTO_REQUESTS.rows(tx, &batch.requests, |q, (key, at)| q.bind(key).bind(at.0)).await?;
    let mut marks = vec![("last_commit_at", now.0.to_string())];
    marks.extend(batch.worked_up_to.map(|position| ("worked_up_to", position.to_string())));
    marks.extend(batch.seal.map(|seal| ("seal", seal.to_string())));
    let records: Vec<(String, String)> =
        batch.records.iter().map(|(slug, record)| (format!("record/{slug}"), rows::to_json(record))).collect();
    marks.extend(records.iter().map(|(name, record)| (name.as_str(), record.clone())));
    marks.extend(batch.holds.as_ref().map(|holds| ("holds", rows::to_json(holds))));
    // Ids of jobs are never used twice, even when the newest one is settled before a restart.
    marks.extend(batch.jobs.iter().map(|job| job.id).max().map(|id| ("last_job", id.to_string())));
    INTO_META.rows(tx, &marks, |q, (name, value)| q.bind(*name).bind(value)).await
}

fn kind_of(job: &Job) -> &'static str {
    use crate::domain::decide::command::{Effect, Wake};
    match job.effect {
        Effect::Perform { .. } => "perform",
        Effect::Send { .. } => "send",
        Effect::Measure => "measure",
        Effect::Wake { wake: Wake::Undo { .. } } => "undo",
        Effect::Wake { .. } => "timer",
    }
}
