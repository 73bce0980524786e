//! Who may write, where several nodes share the database: one row a shard, whose times are the database's alone.
//! Knows no node's clock but for how long ago it was sure. SQLite has a lock on its file instead.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::{PgConnection, Row};

use crate::engine::nodes::Role;
use crate::engine::store::{Holder, Lease, StoreError};
use crate::store::postgres::open::{PostgresStore, Writer, store_error};

/// One owner for everything; more shards would be more rows.
pub(super) const SHARD: i64 = 0;
/// How long a lease lasts without a word from its holder, in milliseconds.
pub(super) const LASTS: i64 = 10_000;
/// How long a lease is kept for the node that it was handed to, in milliseconds: it looks twice a second.
const KEPT_FOR: i64 = 3_000;
/// How long after the last grant a holder may still begin something: less than the lease lasts, by what a beginning takes.
const SURE_FOR: Duration = Duration::from_secs(7);
/// A database that takes longer over the lease counts as gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Free, silent for too long, already this process's, kept for this node; or, at its start, held by a former life of it.
const TAKE: &str = "
    update lease
    set owner = $2, node = $3, epoch = epoch + 1,
        expires_at = (extract(epoch from clock_timestamp()) * 1000)::bigint + $4
    where shard = $1
      and (expires_at < (extract(epoch from clock_timestamp()) * 1000)::bigint or owner = $2
        or (owner = '' and node = $3) or ($5 and node = $3))
    returning epoch";

const HOLDER: &str = "
    select node
    from lease
    where shard = $1";

const RENEW: &str = "
    update lease
    set expires_at = (extract(epoch from clock_timestamp()) * 1000)::bigint + $4
    where shard = $1 and owner = $2 and epoch = $3";

/// The first statement of every commit: it holds the row until the end, so that nobody can take the lease meanwhile.
const MARK: &str = "
    update lease
    set expires_at = (extract(epoch from clock_timestamp()) * 1000)::bigint + $4, last_batch = $5
    where shard = $1 and owner = $2 and epoch = $3";

/// Waits for a commit that is still under way in the database although its connection is gone.
const LAST_BATCH: &str = "
    select last_batch
    from lease
    where shard = $1
    for update";

const RELEASE: &str = "
    update lease
    set expires_at = 0
    where shard = $1 and owner = $2 and epoch = $3";

/// Nobody's, and kept for one node for a while.
const HAND_TO: &str = "
    update lease
    set owner = '', node = $4, expires_at = (extract(epoch from clock_timestamp()) * 1000)::bigint + $5
    where shard = $1 and owner = $2 and epoch = $3";

#[async_trait]
impl Lease for PostgresStore {
    async fn take(&self, at_start: bool) -> Result<Holder, StoreError> {
        let mut writer = self.writer.lock().await;
        let asked_at = Instant::now();
        let answer = self.within(&mut writer, async |connection| self.ask(connection, at_start).await).await?;
        Ok(match answer {
            Ok(epoch) => {
                writer.epoch = Some(epoch);
                self.held(Some(asked_at));
                Holder::Us
            }
            Err(node) => Holder::Node(node),
        })
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let epoch = writer.epoch.ok_or_else(fenced)?;
        let asked_at = Instant::now();
        let renewed = self
            .within(&mut writer, async |connection| {
                let renew = sqlx::query(RENEW).bind(SHARD).bind(&self.owner).bind(epoch).bind(LASTS);
                renew.execute(connection).await.map(|done| done.rows_affected())
            })
            .await?;
        if renewed == 0 {
            return Err(self.lost(&mut writer));
        }
        self.held(Some(asked_at));
        Ok(())
    }

    async fn release(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let Some(epoch) = writer.epoch.take() else { return Ok(()) };
        self.held(None);
        self.within(&mut writer, async |connection| {
            sqlx::query(RELEASE).bind(SHARD).bind(&self.owner).bind(epoch).execute(connection).await
        })
        .await?;
        Ok(())
    }

    async fn hand_to(&self, node: &str) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let Some(epoch) = writer.epoch.take() else { return Ok(()) };
        self.held(None);
        self.within(&mut writer, async |connection| {
            sqlx::query(HAND_TO).bind(SHARD).bind(&self.owner).bind(epoch).bind(node).bind(KEPT_FOR).execute(connection).await
        })
        .await?;
        Ok(())
    }

    async fn here(&self, role: Role, url: Option<&str>) -> Result<(), StoreError> {
        self.say_here(role, url).await.map_err(store_error)
    }
}

impl PostgresStore {
    /// The epoch, if the lease is ours now; otherwise who has it.
    async fn ask(&self, connection: &mut PgConnection, at_start: bool) -> Result<Result<i64, String>, sqlx::Error> {
        let take = sqlx::query(TAKE).bind(SHARD).bind(&self.owner).bind(&self.node).bind(LASTS).bind(at_start);
        if let Some(row) = take.fetch_optional(&mut *connection).await? {
            return Ok(Ok(row.try_get("epoch")?));
        }
        let holder: Option<String> = sqlx::query_scalar(HOLDER).bind(SHARD).fetch_optional(connection).await?;
        Ok(Err(holder.unwrap_or_default()))
    }

    /// Asks over the writer's connection; one that fails or hangs is dropped.
    pub(super) async fn within<T>(
        &self,
        writer: &mut Writer,
        ask: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut connection = match writer.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match tokio::time::timeout(PATIENCE, ask(&mut connection)).await {
            Ok(Ok(answer)) => {
                writer.connection = Some(connection);
                Ok(answer)
            }
            Ok(Err(error)) => Err(store_error(error)),
            Err(_) => Err(StoreError::Unavailable("the database takes too long over the lease".to_owned())),
        }
    }

    /// Demands the lease for a commit and leaves its mark. False when the lease is somebody else's.
    pub(super) async fn mark(&self, connection: &mut PgConnection, epoch: i64, batch: &str) -> Result<bool, sqlx::Error> {
        let marked = sqlx::query(MARK).bind(SHARD).bind(&self.owner).bind(epoch).bind(LASTS).bind(batch).execute(connection).await?;
        Ok(marked.rows_affected() == 1)
    }

    pub(super) async fn last_batch(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
        sqlx::query_scalar(LAST_BATCH).bind(SHARD).fetch_one(connection).await
    }

    pub(super) fn lost(&self, writer: &mut Writer) -> StoreError {
        writer.epoch = None;
        self.held(None);
        fenced()
    }

    pub(super) fn held(&self, at: Option<Instant>) {
        *self.held_at.write().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Whether nobody else can have the lease yet, by this machine's steady clock.
    pub(super) fn is_sure(&self) -> bool {
        self.held_at.read().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < SURE_FOR)
    }
}

pub(super) fn fenced() -> StoreError {
    StoreError::Fenced("another node writes now".to_owned())
}
