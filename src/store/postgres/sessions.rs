//! People who have signed in, on PostgreSQL. Without the lease, over the connections of what any node may write: whichever node a
//! browser speaks to knows who it is.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::domain::time::Timestamp;
use crate::engine::sessions::{IDLE, Session, Sessions, WHOLE};
use crate::engine::store::StoreError;
use crate::store::postgres::open::{PostgresStore, store_error};
use crate::store::postgres::rows::plain;

const FORGET: &str = "
    delete from sessions
    where seen_at <= $1 or began_at <= $2";

const BEGIN: &str = "
    insert into sessions (digest, person, mark, began_at, seen_at, address, agent)
    values ($1, $2, $3, $4, $5, $6, $7)";

const FIND: &str = "
    select digest, person, mark, began_at, seen_at, address, agent
    from sessions
    where digest = $1";

const SEEN: &str = "
    update sessions
    set seen_at = greatest(seen_at, $2)
    where digest = $1";

const OF_PERSON: &str = "
    select digest, person, mark, began_at, seen_at, address, agent
    from sessions
    where person = $1
    order by began_at desc, digest";

const END: &str = "
    delete from sessions
    where person = $1 and digest = $2";

#[async_trait]
impl Sessions for PostgresStore {
    async fn begin(&self, session: &Session) -> Result<(), StoreError> {
        let takers = self.takers();
        let now = session.began_at;
        sqlx::query(FORGET).bind((now - IDLE).0).bind((now - WHOLE).0).execute(&takers).await.map_err(store_error)?;
        let Session { digest, person, mark, began_at, seen_at, address, agent } = session;
        let begin = sqlx::query(BEGIN).bind(digest).bind(plain(person)).bind(mark).bind(began_at.0).bind(seen_at.0);
        begin.bind(plain(address)).bind(plain(agent)).execute(&takers).await.map(drop).map_err(store_error)
    }

    async fn find(&self, digest: &str) -> Result<Option<Session>, StoreError> {
        let found = sqlx::query(FIND).bind(digest).fetch_optional(&self.readers()).await.map_err(store_error)?;
        found.as_ref().map(session).transpose().map_err(store_error)
    }

    async fn seen(&self, digest: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(SEEN).bind(digest).bind(now.0).execute(&self.takers()).await.map(drop).map_err(store_error)
    }

    async fn sessions_of(&self, person: &str) -> Result<Vec<Session>, StoreError> {
        let found = sqlx::query(OF_PERSON).bind(plain(person)).fetch_all(&self.readers()).await.map_err(store_error)?;
        found.iter().map(session).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn end(&self, person: &str, digest: &str) -> Result<bool, StoreError> {
        let ended = sqlx::query(END).bind(plain(person)).bind(plain(digest)).execute(&self.takers()).await.map_err(store_error)?;
        Ok(ended.rows_affected() > 0)
    }
}

fn session(row: &PgRow) -> Result<Session, sqlx::Error> {
    Ok(Session {
        digest: row.try_get("digest")?,
        person: row.try_get("person")?,
        mark: row.try_get("mark")?,
        began_at: Timestamp(row.try_get("began_at")?),
        seen_at: Timestamp(row.try_get("seen_at")?),
        address: row.try_get("address")?,
        agent: row.try_get("agent")?,
    })
}
