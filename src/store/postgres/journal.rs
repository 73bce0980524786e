//! The writer's verbs on PostgreSQL: one transaction a batch, one statement a table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::{Connection, PgConnection, Postgres, Row, Transaction};
use uuid::Uuid;

use crate::domain::chain::Digest;
use crate::domain::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::labels::Labels;
use crate::domain::limits::LONGEST_WINDOW;
use crate::domain::time::Timestamp;
use crate::domain::trouble::Words;
use crate::engine::store::{Batch, DeliveryRow, Job, Journal, LetGo, Resumed, RevisionText, Slice, StoreError};
use crate::store::postgres::inbox;
use crate::store::postgres::lease;
use crate::store::postgres::naming::{self, Marks};
use crate::store::postgres::open::{PostgresStore, store_error};
use crate::store::postgres::retention;
use crate::store::postgres::revisions;
use crate::store::postgres::rows::{self, column, plain};

/// A commit that takes longer counts as lost; whether it was made is settled afterwards.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long is spent at once on settling a commit whose answer was lost.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

const NEWEST_OF_KEYS: &str = "
    select i.key, i.state, i.heard_at
    from unnest($1::bigint[], $2::text[]) as k (key_hash, key)
    join incidents as i on i.key_hash = k.key_hash and i.key = k.key
    where i.number = (select max(number) from incidents where key_hash = k.key_hash and key = k.key)";

const LOAD: &str = "
    select key, state, heard_at
    from incidents
    where id = any($1)";

const ALERTS_OF: &str = "
    select *
    from alerts
    where incident = any($1)";

// A run that waits for its turn has no current step yet. The state is looked into here and not by the database, which
// refuses to look into JSON with a NUL anywhere in it.
const WAITING: &str = "
    select r.playbook, r.id, i.state, i.heard_at
    from runs as r
    join incidents as i on i.id = r.incident
    where r.ended_at is null
      and r.status = 'waiting'
    order by r.started_at, i.number";

// Those that take something back, or wait to, have a job of a kind of its own; those in which something is in force may yet have to.
const AT_WORK: &str = "
    select state, heard_at
    from incidents
    where id in (select incident from runs where ended_at is null)
       or id in (select incident from jobs where kind in ('perform', 'undo'))
       or (status <> 'resolved' and id in (select incident from runs where in_force))
    order by number";

// Those whose timeline says that automation is held; asked for only while it is.
const HELD: &str = "
    select state, heard_at
    from incidents
    where status <> 'resolved'
      and state like '%\"held_since\":%'";

const LAST_COMMIT_AT: &str = "select coalesce((select cast(value as bigint) from meta where name = 'last_commit_at'), 0)";

const UNWORKED: &str = "
    select position, id, source, received_at, body
    from deliveries
    where position > coalesce((select cast(value as bigint) from meta where name = 'worked_up_to'), 0)
    order by position";

const JOBS_DUE: &str = "
    select id, incident, due_at, started, effect
    from jobs
    where not started and due_at <= $1 and id > $2
    order by id
    limit $3";

const JOBS_NEXT: &str = "
    select id, incident, due_at, started, effect
    from jobs
    where not started and due_at <= $1 and (due_at, id) > ($2, $3)
    order by due_at, id
    limit $4";

const INTO_DELIVERIES: &str = "
    insert into deliveries (position, id, source, received_at, keys, rejected, body)
    select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bytea[])";

const INTO_TIMELINE: &str = "
    insert into timeline (position, incident, seq, at, kind, actor_kind, actor, event, digest)
    select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[])";

const INTO_INCIDENTS: &str = "
    insert into incidents (id, number, key, key_hash, family_hash, status, priority, type, service, title, opened_at, heard_at, seq, state)
    select * from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[], $8::text[],
        $9::text[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[])
    on conflict (id) do update set family_hash = excluded.family_hash, status = excluded.status, priority = excluded.priority, type = excluded.type,
        service = excluded.service, title = excluded.title, heard_at = excluded.heard_at, seq = excluded.seq, state = excluded.state";

const INTO_ALERTS: &str = "
    insert into alerts (incident, fingerprint, firing, starts_at, changed_at, last_seen_at, labels, annotations, may_name)
    select * from unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::boolean[])
    on conflict (incident, fingerprint) do update set firing = excluded.firing, starts_at = excluded.starts_at,
        changed_at = excluded.changed_at, last_seen_at = excluded.last_seen_at, labels = excluded.labels, annotations = excluded.annotations,
        may_name = excluded.may_name";

const INTO_RUNS: &str = "
    insert into runs (id, incident, playbook, revision, status, started_at, ended_at, in_force)
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::boolean[])
    on conflict (id) do update set status = excluded.status, ended_at = excluded.ended_at, in_force = excluded.in_force";

const INTO_JOBS: &str = "
    insert into jobs (id, incident, kind, due_at, started, effect)
    select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::boolean[], $6::text[])";

const INTO_SPENT: &str = "
    insert into spent (at, playbook, target, service)
    select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[])";

const INTO_BREAKERS: &str = "
    insert into breakers (playbook, failures, opened_at, opened_by)
    select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[])
    on conflict (playbook) do update set failures = excluded.failures, opened_at = excluded.opened_at, opened_by = excluded.opened_by";

const INTO_REQUESTS: &str = "
    insert into requests (key, at)
    select * from unnest($1::text[], $2::bigint[])";

const INTO_META: &str = "
    insert into meta (name, value)
    select * from unnest($1::text[], $2::text[])
    on conflict (name) do update set value = excluded.value";

#[async_trait]
impl Journal for PostgresStore {
    async fn resume(&self, now: Timestamp) -> Result<Resumed, StoreError> {
        self.read_resumed(now).await.map_err(store_error)
    }

    async fn firing(&self, words: &Words) -> Result<Vec<(IncidentId, String, Labels)>, StoreError> {
        self.firing_of(words).await
    }

    async fn commit(&self, batch: &Batch, now: Timestamp) -> Result<(), StoreError> {
        self.make(&Commit::Batch(batch, now)).await.map(drop)
    }

    async fn newest_of_keys(&self, keys: &[String]) -> Result<Vec<(String, Incident)>, StoreError> {
        let query = sqlx::query(NEWEST_OF_KEYS).bind(column(keys, |key| rows::key_hash(key))).bind(column(keys, |key| plain(key)));
        self.incidents_with_alerts(query).await.map_err(store_error)
    }

    async fn load(&self, ids: &[IncidentId]) -> Result<Vec<(String, Incident)>, StoreError> {
        self.incidents_with_alerts(sqlx::query(LOAD).bind(column(ids, IncidentId::to_string))).await.map_err(store_error)
    }

    async fn jobs_due(&self, until: Timestamp, after: i64, limit: u32) -> Result<Vec<Job>, StoreError> {
        let query = sqlx::query(JOBS_DUE).bind(until.0).bind(after).bind(i64::from(limit));
        let found = query.fetch_all(&self.readers()).await.map_err(store_error)?;
        found.iter().map(rows::job).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn jobs_next(&self, (at, id): (Timestamp, i64), until: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
        let query = sqlx::query(JOBS_NEXT).bind(until.0).bind(at.0).bind(id).bind(i64::from(limit));
        let found = query.fetch_all(&self.readers()).await.map_err(store_error)?;
        found.iter().map(rows::job).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn last_commit_at(&self) -> Result<Timestamp, StoreError> {
        let found = sqlx::query_scalar(LAST_COMMIT_AT).fetch_one(&self.readers()).await;
        found.map(Timestamp).map_err(store_error)
    }

    async fn request_known(&self, key: &str) -> Result<bool, StoreError> {
        let found = sqlx::query("select 1 from requests where key = $1").bind(plain(key)).fetch_optional(&self.readers()).await;
        Ok(found.map_err(store_error)?.is_some())
    }

    async fn keep_revision(&self, revision: &str, slug: &str, source: &str, now: Timestamp) -> Result<(), StoreError> {
        self.keep_revisions(&[RevisionText { revision, slug, source }], now).await
    }

    async fn keep_revisions(&self, texts: &[RevisionText<'_>], now: Timestamp) -> Result<(), StoreError> {
        // Without the lease: a text is named by what it says, so that any node may keep it.
        revisions::keep(&self.readers(), texts, now).await.map_err(store_error)
    }

    async fn pinned_revisions(&self) -> Result<Vec<(String, String, String)>, StoreError> {
        const PINNED: &str = "
            select revision, slug, source
            from revisions
            where revision in (select r.revision from runs as r join incidents as i on i.id = r.incident
                               where r.ended_at is null or i.status <> 'resolved'
                                  or exists (select 1 from jobs where jobs.incident = i.id))";
        sqlx::query_as(PINNED).fetch_all(&self.readers()).await.map_err(store_error)
    }

    async fn expired(&self, before: Timestamp, limit: u32) -> Result<Vec<(IncidentId, Digest)>, StoreError> {
        retention::expired(&self.readers(), before, limit).await.map_err(store_error)
    }

    async fn let_go(&self, slice: &Slice) -> Result<LetGo, StoreError> {
        self.make(&Commit::Slice(slice)).await
    }

    fn may_begin(&self) -> bool {
        self.is_sure()
    }
}

/// What one transaction makes true.
enum Commit<'a> {
    Batch(&'a Batch, Timestamp),
    Slice(&'a Slice),
    Marks(&'a Marks),
}

/// What became of a commit that did not go well.
enum Fault {
    NotMade(StoreError),
    /// The lease is somebody else's.
    Fenced,
    /// The answer was lost: it may be made or not.
    Lost(StoreError),
}

type Statement<'q> = sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments>;

impl PostgresStore {
    /// Makes it as the lease's holder, or says that it was not made.
    async fn make(&self, commit: &Commit<'_>) -> Result<LetGo, StoreError> {
        let mut writer = self.writer.lock().await;
        let epoch = writer.epoch.ok_or_else(lease::fenced)?;
        let mut connection = match writer.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mark = Uuid::new_v4().to_string();
        let began = Instant::now();
        let fate = self.write(&mut connection, (epoch, &mark), commit).await;
        let mut went = LetGo::default();
        writer.connection = match fate {
            Ok(rows) => {
                went = rows;
                Some(connection)
            }
            Err(fault) => {
                // Whatever state the connection is in, a new one knows better; PostgreSQL rolls back what was not committed.
                tokio::spawn(connection.close());
                match fault {
                    Fault::NotMade(error) => return Err(error),
                    Fault::Fenced => return Err(self.lost(&mut writer)),
                    Fault::Lost(error) => {
                        writer.unsettled = true;
                        Some(self.settle(&mark, error).await?)
                    }
                }
            }
        };
        writer.unsettled = false;
        self.held(Some(began));
        Ok(went)
    }

    pub(super) async fn make_marks(&self, marks: &Marks) -> Result<(), StoreError> {
        self.make(&Commit::Marks(marks)).await.map(drop)
    }

    async fn write(&self, connection: &mut PgConnection, (epoch, mark): (i64, &str), commit: &Commit<'_>) -> Result<LetGo, Fault> {
        let late = || StoreError::Unavailable("the database takes too long over a commit".to_owned());
        let made = |error| Fault::NotMade(store_error(error));
        let prepared = tokio::time::timeout(PATIENCE, async {
            let mut tx = connection.begin().await.map_err(made)?;
            if !self.mark(&mut tx, epoch, mark).await.map_err(made)? {
                return Err(Fault::Fenced);
            }
            let went = match commit {
                Commit::Batch(batch, now) => write_all(&mut tx, batch, *now).await.map(|()| LetGo::default()),
                Commit::Slice(slice) => retention::let_go(&mut tx, slice).await,
                Commit::Marks(marks) => naming::mark(&mut tx, marks).await.map(|()| LetGo::default()),
            };
            Ok((tx, went.map_err(made)?))
        });
        let (tx, went) = prepared.await.unwrap_or_else(|_| Err(Fault::NotMade(late())))?;
        match tokio::time::timeout(PATIENCE, tx.commit()).await {
            Ok(committed) => committed.map(|()| went).map_err(|error| Fault::Lost(store_error(error))),
            Err(_) => Err(Fault::Lost(late())),
        }
    }

    /// Reads whether a commit whose answer was lost was made. While nobody can say, it counts as not made:
    /// what is decided anew then finds its places taken.
    async fn settle(&self, mark: &str, error: StoreError) -> Result<PgConnection, StoreError> {
        let last = async {
            loop {
                if let Ok(mut connection) = self.connect().await
                    && let Ok(last) = Self::last_batch(&mut connection).await
                {
                    return (last, connection);
                }
                tokio::time::sleep(SETTLE_PAUSE).await;
            }
        };
        match tokio::time::timeout(SETTLE_WITHIN, last).await {
            Ok((last, connection)) if last == mark => {
                tracing::warn!(%error, "The answer to a commit was lost; it had been made");
                Ok(connection)
            }
            _ => Err(error),
        }
    }

    async fn incidents_with_alerts(&self, query: Statement<'_>) -> Result<Vec<(String, Incident)>, sqlx::Error> {
        let mut found = Vec::new();
        for row in query.fetch_all(&self.readers()).await? {
            found.push((row.try_get::<String, _>("key")?, rows::incident(&row)?));
        }
        let ids: Vec<String> = found.iter().map(|(_, incident)| incident.id.to_string()).collect();
        let mut by_id: BTreeMap<IncidentId, &mut Incident> = found.iter_mut().map(|(_, incident)| (incident.id, incident)).collect();
        for row in sqlx::query(ALERTS_OF).bind(ids).fetch_all(&self.readers()).await? {
            let alert = rows::alert(&row)?;
            if let Some(incident) = by_id.get_mut(&alert.incident) {
                incident.alerts.insert(alert.fingerprint, alert.mark);
            }
        }
        Ok(found)
    }

    async fn read_resumed(&self, now: Timestamp) -> Result<Resumed, sqlx::Error> {
        let readers = self.readers();
        let number = async |text: &'static str| -> Result<i64, sqlx::Error> { sqlx::query_scalar(text).fetch_one(&readers).await };
        let mut resumed = Resumed {
            last_number: number("select coalesce(max(number), 0) from incidents").await?.unsigned_abs(),
            last_position: number("select coalesce(max(position), 0) from timeline").await?,
            last_job: number("select greatest(coalesce((select max(id) from jobs), 0), coalesce((select cast(value as bigint) from meta where name = 'last_job'), 0))").await?,
            last_delivery: number("select coalesce(max(position), 0) from deliveries").await?,
            last_commit_at: Timestamp(number(LAST_COMMIT_AT).await?),
            seal: sqlx::query_scalar::<_, String>("select value from meta where name = 'seal'")
                .fetch_optional(&readers)
                .await?
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            holds: rows::holds(sqlx::query_scalar("select value from meta where name = 'holds'").fetch_optional(&readers).await?)?,
            records: rows::records(&sqlx::query(rows::RECORDS).fetch_all(&readers).await?)?,
            ..Resumed::default()
        };
        resumed.spent = self.spent_after(&readers, now - LONGEST_WINDOW).await?;
        resumed.breakers = self.stored_breakers(&readers).await?;
        for row in
            sqlx::query("select playbook, count(*) as n from runs where ended_at is null group by playbook").fetch_all(&readers).await?
        {
            let n: i64 = row.try_get("n")?;
            resumed.running.insert(row.try_get("playbook")?, u32::try_from(n).unwrap_or(u32::MAX));
        }
        for row in sqlx::query(WAITING).fetch_all(&readers).await? {
            resumed.waiting.extend(rows::waiter(&row)?);
        }
        for row in sqlx::query(AT_WORK).fetch_all(&readers).await? {
            resumed.at_work.push(rows::incident(&row)?);
        }
        if !resumed.holds.are_none() {
            for row in sqlx::query(HELD).fetch_all(&readers).await? {
                resumed.at_work.push(rows::incident(&row)?);
            }
        }
        for row in sqlx::query(UNWORKED).fetch_all(&readers).await? {
            resumed.unworked.push((row.try_get("position")?, rows::delivery(&row)?));
        }
        for row in
            sqlx::query("select id, incident, due_at, started, effect from jobs where started order by id").fetch_all(&readers).await?
        {
            resumed.interrupted.push(rows::job(&row)?);
        }
        Ok(resumed)
    }
}

async fn write_all(tx: &mut Transaction<'_, Postgres>, batch: &Batch, now: Timestamp) -> Result<(), sqlx::Error> {
    write_deliveries(tx, batch).await?;
    write_log(tx, batch).await?;
    write_incidents(tx, batch).await?;
    write_jobs(tx, batch).await?;
    write_rest(tx, batch, now).await
}

async fn write_deliveries(tx: &mut Transaction<'_, Postgres>, batch: &Batch) -> Result<(), sqlx::Error> {
    inbox::remove(tx, &batch.taken()).await?;
    let placed: Vec<(i64, &Arc<DeliveryRow>)> = (batch.first_delivery..).zip(&batch.deliveries).collect();
    if placed.is_empty() {
        return Ok(());
    }
    sqlx::query(INTO_DELIVERIES)
        .bind(column(&placed, |(position, _)| *position))
        .bind(column(&placed, |(_, row)| row.delivery.id.to_string()))
        .bind(column(&placed, |(_, row)| plain(&row.delivery.source)))
        .bind(column(&placed, |(_, row)| row.delivery.received_at.0))
        .bind(column(&placed, |(_, row)| rows::to_json(&row.keys)))
        .bind(column(&placed, |(_, row)| (!row.rejected.is_empty()).then(|| rows::to_json(&row.rejected))))
        .bind(column(&placed, |(_, row)| row.delivery.body.as_slice()))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn write_log(tx: &mut Transaction<'_, Postgres>, batch: &Batch) -> Result<(), sqlx::Error> {
    let log = batch.log();
    if log.is_empty() {
        return Ok(());
    }
    sqlx::query(INTO_TIMELINE)
        .bind(column(&log, |row| row.position))
        .bind(column(&log, |row| row.incident.to_string()))
        .bind(column(&log, |row| row.entry.seq.cast_signed()))
        .bind(column(&log, |row| row.entry.at.0))
        .bind(column(&log, |row| row.entry.event.kind()))
        .bind(column(&log, |row| row.entry.actor.kind()))
        .bind(column(&log, |row| plain(row.entry.actor.name())))
        .bind(column(&log, |row| row.event.as_ref()))
        .bind(column(&log, |row| row.digest))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn write_incidents(tx: &mut Transaction<'_, Postgres>, batch: &Batch) -> Result<(), sqlx::Error> {
    if !batch.heard.is_empty() {
        const HEARD: &str = "
            update incidents
            set heard_at = h.at
            from unnest($1::text[], $2::bigint[]) as h (id, at)
            where incidents.id = h.id";
        let (ids, at) = (column(&batch.heard, |(id, _)| id.to_string()), column(&batch.heard, |(_, at)| at.0));
        sqlx::query(HEARD).bind(ids).bind(at).execute(&mut **tx).await?;
    }
    if !batch.incidents.is_empty() {
        let all = &batch.incidents;
        sqlx::query(INTO_INCIDENTS)
            .bind(column(all, |row| row.state.id.to_string()))
            .bind(column(all, |row| row.state.number.cast_signed()))
            .bind(column(all, |row| plain(&row.key)))
            .bind(column(all, |row| rows::key_hash(&row.key)))
            .bind(column(all, |row| rows::family_hash(&row.state.kind, &row.state.service)))
            .bind(column(all, |row| row.state.status.word()))
            .bind(column(all, |row| i64::from(row.state.priority.number())))
            .bind(column(all, |row| plain(&row.state.kind)))
            .bind(column(all, |row| plain(&row.state.service)))
            .bind(column(all, |row| plain(&row.state.title)))
            .bind(column(all, |row| row.state.opened_at.0))
            .bind(column(all, |row| row.state.heard_at.0))
            .bind(column(all, |row| row.state.seq.cast_signed()))
            .bind(column(all, |row| rows::to_json(&row.state)))
            .execute(&mut **tx)
            .await?;
    }
    write_alerts(tx, batch).await?;
    write_runs(tx, batch).await
}

async fn write_alerts(tx: &mut Transaction<'_, Postgres>, batch: &Batch) -> Result<(), sqlx::Error> {
    let all = &batch.alerts;
    if all.is_empty() {
        return Ok(());
    }
    sqlx::query(INTO_ALERTS)
        .bind(column(all, |row| row.incident.to_string()))
        .bind(column(all, |row| plain(&row.fingerprint)))
        .bind(column(all, |row| row.mark.firing))
        .bind(column(all, |row| row.mark.starts_at.0))
        .bind(column(all, |row| row.mark.changed_at.0))
        .bind(column(all, |row| row.last_seen_at.0))
        .bind(column(all, |row| rows::to_json(&row.mark.labels)))
        .bind(column(all, |row| rows::to_json(&row.mark.annotations)))
        .bind(column(all, |row| row.may_name))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn write_runs(tx: &mut Transaction<'_, Postgres>, batch: &Batch) -> Result<(), sqlx::Error> {
    let all = batch.runs();
    if all.is_empty() {
        return Ok(());
    }
    sqlx::query(INTO_RUNS)
        .bind(column(&all, |(_, run)| run.id.to_string()))
        .bind(column(&all, |(incident, _)| incident.to_string()))
        .bind(column(&all, |(_, run)| plain(&run.playbook)))
        .bind(column(&all, |(_, run)| plain(&run.revision)))
        .bind(column(&all, |(_, run)| run.status.word()))
        .bind(column(&all, |(_, run)| run.started_at.0))
        .bind(column(&all, |(_, run)| run.ended_at.map(|at| at.0)))
        .bind(column(&all, |(_, run)| run.has_in_force()))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn write_jobs(tx: &mut Transaction<'_, Postgres>, batch: &Batch) -> Result<(), sqlx::Error> {
    let all = &batch.jobs;
    if !all.is_empty() {
        sqlx::query(INTO_JOBS)
            .bind(column(all, |job| job.id))
            .bind(column(all, |job| job.incident.to_string()))
            .bind(column(all, kind_of))
            .bind(column(all, |job| job.due_at.0))
            .bind(column(all, |job| job.started))
            .bind(column(all, |job| rows::to_json(&job.effect)))
            .execute(&mut **tx)
            .await?;
    }
    if !batch.released.is_empty() {
        sqlx::query("update jobs set started = false where id = any($1)").bind(&batch.released).execute(&mut **tx).await?;
    }
    if !batch.settled.is_empty() {
        sqlx::query("delete from jobs where id = any($1)").bind(&batch.settled).execute(&mut **tx).await?;
    }
    Ok(())
}

async fn write_rest(tx: &mut Transaction<'_, Postgres>, batch: &Batch, now: Timestamp) -> Result<(), sqlx::Error> {
    if !batch.spent.is_empty() {
        sqlx::query(INTO_SPENT)
            .bind(column(&batch.spent, |s| s.at.0))
            .bind(column(&batch.spent, |s| plain(&s.playbook)))
            .bind(column(&batch.spent, |s| s.target.as_deref().map(plain)))
            .bind(column(&batch.spent, |s| s.service.as_deref().map(plain)))
            .execute(&mut **tx)
            .await?;
    }
    if !batch.breakers.is_empty() {
        let all = &batch.breakers;
        sqlx::query(INTO_BREAKERS)
            .bind(column(all, |breaker| plain(&breaker.playbook)))
            .bind(column(all, |breaker| i64::from(breaker.failures)))
            .bind(column(all, |breaker| breaker.opened.map(|opened| opened.at.0)))
            .bind(column(all, |breaker| breaker.opened.map(|opened| opened.incident.to_string())))
            .execute(&mut **tx)
            .await?;
    }
    if !batch.requests.is_empty() {
        let (keys, at) = (column(&batch.requests, |(key, _)| plain(key)), column(&batch.requests, |(_, at)| at.0));
        sqlx::query(INTO_REQUESTS).bind(keys).bind(at).execute(&mut **tx).await?;
    }
    let mut marks = vec![("last_commit_at", now.0.to_string())];
    marks.extend(batch.worked_up_to.map(|position| ("worked_up_to", position.to_string())));
    marks.extend(batch.seal.map(|seal| ("seal", seal.to_string())));
    let records: Vec<(String, String)> =
        batch.records.iter().map(|(slug, record)| (format!("record/{slug}"), rows::to_json(record))).collect();
    marks.extend(records.iter().map(|(name, record)| (name.as_str(), record.clone())));
    marks.extend(batch.holds.as_ref().map(|holds| ("holds", rows::to_json(holds))));
    // Ids of jobs are never used twice, even when the newest one is settled before a restart.
    marks.extend(batch.jobs.iter().map(|job| job.id).max().map(|id| ("last_job", id.to_string())));
    let (names, values) = (column(&marks, |(name, _)| *name), column(&marks, |(_, value)| value.as_str()));
    sqlx::query(INTO_META).bind(names).bind(values).execute(&mut **tx).await?;
    Ok(())
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
