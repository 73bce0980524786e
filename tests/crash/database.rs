//! The database under test, looked at beside the server: a SQLite file, or a schema of its own in a PostgreSQL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reynard::domain::secret::Secret;
use reynard::engine::store::Reads;
use reynard::store::catalog;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};
use uuid::Uuid;

pub enum Database {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Database {
    /// The file, unless `REYNARD_DATABASE_URL` names a server.
    pub async fn empty(file: PathBuf) -> Self {
        let Ok(server) = std::env::var("REYNARD_DATABASE_URL") else { return Self::Sqlite(file) };
        let schema = format!("kills_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&server).await.expect("the server answers");
        sqlx::raw_sql(AssertSqlSafe(format!("create schema {schema}"))).execute(&mut admin).await.expect("a schema");
        Self::Postgres(format!("{server}{}options[search_path]={schema}", if server.contains('?') { '&' } else { '?' }))
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite://{}", file.display()),
            Self::Postgres(url) => url.clone(),
        }
    }

    /// As the server's own code reads it; a SQLite file only once the server is gone.
    pub async fn open(&self) -> Arc<dyn Reads> {
        catalog::open(&Secret::new(self.url()), "looks").await.expect("it opens again").reads
    }

    /// What a statement counts, by name. Both dialects know it.
    pub async fn counts(&self, statement: String) -> BTreeMap<String, i64> {
        let statement = AssertSqlSafe(statement);
        let rows: Result<Vec<(String, i64)>, sqlx::Error> = match self {
            Self::Sqlite(file) => sqlx::query_as(statement).fetch_all(&mut reader(file).await).await,
            Self::Postgres(url) => {
                let mut connection = PgConnection::connect(url).await.expect("the server answers");
                sqlx::query_as(statement).fetch_all(&mut connection).await
            }
        };
        rows.expect("readable").into_iter().collect()
    }

    /// Whether the file is whole; a server looks after its own.
    pub async fn assert_sound(&self) {
        if let Self::Sqlite(file) = self {
            let sound: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&mut reader(file).await).await.expect("readable");
            assert_eq!(sound, "ok");
        }
    }
}

async fn reader(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).read_only(true).connect().await.expect("it can be read")
}
