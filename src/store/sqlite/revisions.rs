//! Playbooks' texts on SQLite.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

use crate::domain::time::Timestamp;
use crate::engine::revisions::{Edition, PastRun, Revisions, Save, Saving, in_order};
use crate::engine::store::{RevisionText, StoreError};
use crate::store::sqlite::journal::give_back;
use crate::store::sqlite::open::{SqliteStore, store_error};

const KEEP_TEXT: &str = "
    insert into revisions (revision, slug, source, kept_at)
    values ($1, $2, $3, $4)
    on conflict do nothing";

const KEEP_EDITION: &str = "
    insert into editions (slug, revision, first_seen_at)
    values ($1, $2, $3)
    on conflict do nothing";

const SAVE: &str = "
    insert into saves (slug, number, revision, replaces, saved_at, saved_by)
    select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5
    from saves
    where slug = $1
    returning number";

const TAKE_BACK: &str = "
    delete from saves
    where slug = $1 and number = $2";

const EDITIONS: &str = "
    select e.revision, e.first_seen_at, coalesce(r.runs, 0) as runs, r.last_run_at
    from editions as e
    left join (
        select revision, count(*) as runs, max(started_at) as last_run_at
        from runs
        where playbook = $1
        group by revision) as r on r.revision = e.revision
    where e.slug = $1";

const SAVES: &str = "
    select revision, saved_at, saved_by
    from saves
    where slug = $1
    order by number";

const TEXT: &str = "
    select r.source
    from editions as e
    join revisions as r on r.revision = e.revision
    where e.slug = $1 and e.revision = $2";

const PAST_RUNS: &str = "
    select r.id, i.number, r.revision, r.status, r.started_at, r.ended_at
    from runs as r
    join incidents as i on i.id = r.incident
    where r.playbook = $1
    order by r.started_at desc, r.id
    limit $2";

#[async_trait]
impl Revisions for SqliteStore {
    async fn save(&self, save: &Save, now: Timestamp) -> Result<u64, StoreError> {
        let (place, mut connection) = self.take_writer().await?;
        let saved = write_save(&mut connection, save, now).await;
        give_back(place, connection, saved).await
    }

    async fn take_back(&self, slug: &str, number: u64) -> Result<(), StoreError> {
        let (place, mut connection) = self.take_writer().await?;
        let went = sqlx::query(TAKE_BACK).bind(slug).bind(number.cast_signed()).execute(&mut connection).await;
        give_back(place, connection, went.map(drop)).await
    }

    async fn editions(&self, slug: &str) -> Result<Vec<Edition>, StoreError> {
        let editions = sqlx::query(EDITIONS).bind(slug).fetch_all(&self.readers).await.map_err(store_error)?;
        let saves = sqlx::query(SAVES).bind(slug).fetch_all(&self.readers).await.map_err(store_error)?;
        let editions = editions.iter().map(edition).collect::<Result<_, _>>().map_err(store_error)?;
        let saves = saves.iter().map(saving).collect::<Result<_, _>>().map_err(store_error)?;
        Ok(in_order(editions, saves))
    }

    async fn text(&self, slug: &str, revision: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar(TEXT).bind(slug).bind(revision).fetch_optional(&self.readers).await.map_err(store_error)
    }

    async fn past_runs(&self, slug: &str, limit: u32) -> Result<Vec<PastRun>, StoreError> {
        let found = sqlx::query(PAST_RUNS).bind(slug).bind(limit).fetch_all(&self.readers).await.map_err(store_error)?;
        found.iter().map(past_run).collect::<Result<_, _>>().map_err(store_error)
    }
}

/// Keeps texts under their digests, and whose they are.
pub(super) async fn keep(connection: &mut SqliteConnection, texts: &[RevisionText<'_>], now: Timestamp) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin().await?;
    for RevisionText { revision, slug, source } in texts {
        sqlx::query(KEEP_TEXT).bind(revision).bind(slug).bind(source).bind(now.0).execute(&mut *tx).await?;
        sqlx::query(KEEP_EDITION).bind(slug).bind(revision).bind(now.0).execute(&mut *tx).await?;
    }
    tx.commit().await
}

async fn write_save(connection: &mut SqliteConnection, save: &Save, now: Timestamp) -> Result<u64, sqlx::Error> {
    let mut tx = connection.begin_with("begin immediate").await?;
    sqlx::query(KEEP_TEXT).bind(&save.revision).bind(&save.slug).bind(&save.source).bind(now.0).execute(&mut *tx).await?;
    sqlx::query(KEEP_EDITION).bind(&save.slug).bind(&save.revision).bind(now.0).execute(&mut *tx).await?;
    let number: i64 = sqlx::query_scalar(SAVE)
        .bind(&save.slug)
        .bind(&save.revision)
        .bind(&save.replaces)
        .bind(now.0)
        .bind(&save.by)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(number.unsigned_abs())
}

fn edition(row: &SqliteRow) -> Result<Edition, sqlx::Error> {
    Ok(Edition {
        revision: row.try_get("revision")?,
        first_seen_at: Timestamp(row.try_get("first_seen_at")?),
        saves: Vec::new(),
        runs: row.try_get::<i64, _>("runs")?.unsigned_abs(),
        last_run_at: row.try_get::<Option<i64>, _>("last_run_at")?.map(Timestamp),
    })
}

fn saving(row: &SqliteRow) -> Result<(String, Saving), sqlx::Error> {
    Ok((row.try_get("revision")?, Saving { at: Timestamp(row.try_get("saved_at")?), by: row.try_get("saved_by")? }))
}

fn past_run(row: &SqliteRow) -> Result<PastRun, sqlx::Error> {
    Ok(PastRun {
        id: row.try_get::<String, _>("id")?.parse().map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))?,
        number: row.try_get::<i64, _>("number")?.unsigned_abs(),
        revision: row.try_get("revision")?,
        status: row.try_get("status")?,
        started_at: Timestamp(row.try_get("started_at")?),
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(Timestamp),
    })
}
