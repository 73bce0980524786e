//! Deliveries that wait for the writer. Any node puts them in, over connections that ask for no lease; the commit that keeps one
//! takes it out.

use async_trait::async_trait;
use sqlx::{PgConnection, Row};

use crate::domain::id::DeliveryId;
use crate::engine::store::{Delivery, Inbox, StoreError};
use crate::store::postgres::open::{PostgresStore, store_error};
use crate::store::postgres::rows;

/// Bytes of bodies that are read at once.
const BYTES: i64 = 8 << 20;

const PUT: &str = "
    insert into inbox (id, source, received_at, kept_at, body)
    values ($1, $2, $3, (extract(epoch from clock_timestamp()) * 1000)::bigint, $4)";

/// The first row always, then as many as are not too much at once.
const WAITING: &str = "
    select id, source, received_at, body, exists (select 1 from deliveries where deliveries.id = oldest.id) as known
    from (select *, (sum(octet_length(body)) over (order by kept_at, id))::bigint - octet_length(body) as before
          from (select * from inbox order by kept_at, id limit $1) as first) as oldest
    where before < $2
    order by kept_at, id";

const REMOVE: &str = "
    delete from inbox
    where id = any($1)";

#[async_trait]
impl Inbox for PostgresStore {
    async fn put(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let query = sqlx::query(PUT)
            .bind(delivery.id.to_string())
            .bind(rows::plain(&delivery.source))
            .bind(delivery.received_at.0)
            .bind(delivery.body.as_slice());
        query.execute(&self.takers()).await.map_err(store_error)?;
        Ok(())
    }

    async fn waiting(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.until_settled().await?;
        let found = sqlx::query(WAITING).bind(i64::from(limit)).bind(BYTES).fetch_all(&self.readers()).await.map_err(store_error)?;
        let (mut waiting, mut known) = (Vec::new(), Vec::new());
        for row in &found {
            let delivery = rows::delivery(row).map_err(store_error)?;
            match row.try_get("known").map_err(store_error)? {
                true => known.push(delivery.id),
                false => waiting.push(delivery),
            }
        }
        // One that a node put in although its commit had been made after all.
        if !known.is_empty() {
            sqlx::query(REMOVE).bind(names(&known)).execute(&self.takers()).await.map_err(store_error)?;
        }
        Ok(waiting)
    }
}

impl PostgresStore {
    /// Waits for a commit that may still be under way although its answer was lost: what it takes out must not be taken twice.
    async fn until_settled(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        if writer.unsettled {
            self.within(&mut writer, async |connection| Self::last_batch(connection).await).await?;
            writer.unsettled = false;
        }
        Ok(())
    }
}

/// Takes out what a commit keeps.
pub(super) async fn remove(connection: &mut PgConnection, taken: &[DeliveryId]) -> Result<(), sqlx::Error> {
    if !taken.is_empty() {
        sqlx::query(REMOVE).bind(names(taken)).execute(connection).await?;
    }
    Ok(())
}

fn names(ids: &[DeliveryId]) -> Vec<String> {
    rows::column(ids, DeliveryId::to_string)
}
