//! People who have signed in, on SQLite.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::domain::time::Timestamp;
use crate::engine::sessions::{IDLE, Session, Sessions, WHOLE};
use crate::engine::store::StoreError;
use crate::store::sqlite::journal::give_back;
use crate::store::sqlite::open::{SqliteStore, store_error};

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
    set seen_at = max(seen_at, $2)
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
impl Sessions for SqliteStore {
    async fn begin(&self, session: &Session) -> Result<(), StoreError> {
        let (place, mut connection) = self.take_writer().await?;
        let now = session.began_at;
        let begun = async {
            sqlx::query(FORGET).bind((now - IDLE).0).bind((now - WHOLE).0).execute(&mut connection).await?;
            let Session { digest, person, mark, began_at, seen_at, address, agent } = session;
            let begin = sqlx::query(BEGIN).bind(digest).bind(person).bind(mark).bind(began_at.0).bind(seen_at.0).bind(address).bind(agent);
            begin.execute(&mut connection).await
        };
        let begun = begun.await.map(drop);
        give_back(place, connection, begun).await
    }

    async fn find(&self, digest: &str) -> Result<Option<Session>, StoreError> {
        let found = sqlx::query(FIND).bind(digest).fetch_optional(&self.readers).await.map_err(store_error)?;
        found.as_ref().map(session).transpose().map_err(store_error)
    }

    async fn seen(&self, digest: &str, now: Timestamp) -> Result<(), StoreError> {
        let (place, mut connection) = self.take_writer().await?;
        let seen = sqlx::query(SEEN).bind(digest).bind(now.0).execute(&mut connection).await;
        give_back(place, connection, seen.map(drop)).await
    }

    async fn sessions_of(&self, person: &str) -> Result<Vec<Session>, StoreError> {
        let found = sqlx::query(OF_PERSON).bind(person).fetch_all(&self.readers).await.map_err(store_error)?;
        found.iter().map(session).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn end(&self, person: &str, digest: &str) -> Result<bool, StoreError> {
        let (place, mut connection) = self.take_writer().await?;
        let ended = sqlx::query(END).bind(person).bind(digest).execute(&mut connection).await;
        give_back(place, connection, ended.map(|ended| ended.rows_affected() > 0)).await
    }
}

fn session(row: &SqliteRow) -> Result<Session, sqlx::Error> {
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
