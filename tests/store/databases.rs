//! The databases of a story: a SQLite file, and a schema of its own in a PostgreSQL. Knows no verb.

use std::sync::Arc;

use reynard::domain::secret::Secret;
use reynard::engine::revisions::Revisions;
use reynard::engine::sessions::Sessions;
use reynard::engine::store::{Holder, Inbox, Journal, Reads};
use reynard::store::catalog;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use crate::parts::postgres::Postgres;

pub struct Database {
    pub name: &'static str,
    pub url: String,
    pub journal: Arc<dyn Journal>,
    pub reads: Arc<dyn Reads>,
    pub revisions: Arc<dyn Revisions>,
    pub sessions: Arc<dyn Sessions>,
    pub inbox: Arc<dyn Inbox>,
}

impl Database {
    pub async fn open(name: &'static str, url: String) -> Self {
        let opened = catalog::open(&Secret::new(&url), "story").await.unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(lease) = &opened.lease {
            assert_eq!(lease.take(true).await.expect("the lease is asked for"), Holder::Us);
        }
        let catalog::Opened { journal, reads, revisions, sessions, inbox, .. } = opened;
        Self { name, url, journal, reads, revisions, sessions, inbox }
    }

    /// Closes it and opens it again, as another process would.
    pub async fn again(self) -> Self {
        let (name, url) = (self.name, self.url.clone());
        drop(self);
        Self::open(name, url).await
    }
}

/// Every database that this machine has, each empty, and what they live in.
pub struct Databases {
    pub all: Vec<Database>,
    _folder: TempDir,
    _server: Option<Server>,
}

impl Databases {
    pub async fn empty(story: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("reynard.db").display());
        let mut all = vec![Database::open("SQLite", url).await];
        let server = Server::wanted(story).await;
        if let Some(server) = &server {
            all.push(Database::open("PostgreSQL", server.schema().await).await);
        }
        Self { all, _folder: folder, _server: server }
    }
}

/// A PostgreSQL: the one that is offered, else one of our own.
pub struct Server {
    url: String,
    _own: Option<Postgres>,
}

impl Server {
    /// None where no real server is wanted; says so.
    pub async fn wanted(story: &str) -> Option<Self> {
        if std::env::var_os("REYNARD_REAL").is_none_or(|value| value != "1") {
            println!("skipped: {story} on PostgreSQL needs a real server; tests/run starts one (REYNARD_REAL=1)");
            return None;
        }
        if let Ok(url) = std::env::var("REYNARD_TEST_POSTGRES_URL") {
            return Some(Self { url, _own: None });
        }
        let own = Postgres::start().await.expect("PostgreSQL starts");
        Some(Self { url: own.url("admin"), _own: Some(own) })
    }

    /// The address of an empty schema.
    pub async fn schema(&self) -> String {
        let schema = format!("s_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&self.url).await.expect("the server answers");
        sqlx::raw_sql(AssertSqlSafe(format!("create schema {schema}"))).execute(&mut admin).await.expect("a schema");
        within(&self.url, &schema)
    }
}

pub fn within(url: &str, schema: &str) -> String {
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}options[search_path]={schema}")
}
