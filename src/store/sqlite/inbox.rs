//! Deliveries that wait for the writer, as on PostgreSQL. A file has one process, so hardly anything ever waits here.

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};

use crate::domain::id::DeliveryId;
use crate::engine::store::{Delivery, Inbox, StoreError};
use crate::store::sqlite::journal::give_back;
use crate::store::sqlite::open::{SqliteStore, store_error};
use crate::store::sqlite::rows;

/// Bytes of bodies that are read at once.
const BYTES: i64 = 8 << 20;

const PUT: &str = "
    insert into inbox (id, source, received_at, kept_at, body)
    values ($1, $2, $3, cast(unixepoch('subsec') * 1000 as integer), $4)";

/// The first row always, then as many as are not too much at once.
const WAITING: &str = "
    select id, source, received_at, body, exists (select 1 from deliveries where deliveries.id = oldest.id) as known
    from (select *, sum(length(body)) over (order by kept_at, id) - length(body) as before
          from (select * from inbox order by kept_at, id limit $1)) as oldest
    where before < $2
    order by kept_at, id";

const REMOVE: &str = "
    delete from inbox
    where id in (select value from json_each($1))";

#[async_trait]
impl Inbox for SqliteStore {
    async fn put(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let (place, mut connection) = self.take_writer().await?;
        let query = sqlx::query(PUT).bind(delivery.id.to_string()).bind(&delivery.source).bind(delivery.received_at.0).bind(&delivery.body);
        let put = query.execute(&mut connection).await.map(drop);
        give_back(place, connection, put).await
    }

    async fn waiting(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let found = sqlx::query(WAITING).bind(limit).bind(BYTES).fetch_all(&self.readers).await.map_err(store_error)?;
        let (mut waiting, mut known) = (Vec::new(), Vec::new());
        for row in &found {
            let delivery = rows::delivery(row).map_err(store_error)?;
            match row.try_get("known").map_err(store_error)? {
                true => known.push(delivery.id),
                false => waiting.push(delivery),
            }
        }
        // One that was put in although its commit had been made after all.
        if !known.is_empty() {
            let (place, mut connection) = self.take_writer().await?;
            let removed = remove(&mut connection, &known).await;
            give_back(place, connection, removed).await?;
        }
        Ok(waiting)
    }
}

/// Takes out what a commit keeps.
pub(super) async fn remove(connection: &mut SqliteConnection, taken: &[DeliveryId]) -> Result<(), sqlx::Error> {
    if !taken.is_empty() {
        sqlx::query(REMOVE).bind(rows::to_json(&taken)).execute(connection).await?;
    }
    Ok(())
}
