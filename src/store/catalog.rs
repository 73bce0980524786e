//! Which database a URL means. Knows no verb of any.

use std::path::Path;
use std::sync::Arc;

use crate::domain::database::is_postgres;
use crate::domain::secret::Secret;
use crate::engine::archive::Archive;
use crate::engine::revisions::Revisions;
use crate::engine::sessions::Sessions;
use crate::engine::store::{Inbox, Journal, Lease, Reads};
use crate::store::postgres::archive::PostgresArchive;
use crate::store::postgres::open::PostgresStore;
use crate::store::sqlite::archive::SqliteArchive;
use crate::store::sqlite::open::SqliteStore;

/// A database, by what is asked of it.
pub struct Opened {
    pub journal: Arc<dyn Journal>,
    pub reads: Arc<dyn Reads>,
    pub revisions: Arc<dyn Revisions>,
    pub sessions: Arc<dyn Sessions>,
    /// None where only one process can have the database.
    pub lease: Option<Arc<dyn Lease>>,
    pub inbox: Arc<dyn Inbox>,
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "this is not a database Reynard can use; write for example --database-url sqlite://data/reynard.db or postgres://reynard@db.internal/reynard"
    )]
    UnknownKind,
    #[error(transparent)]
    Sqlite(#[from] crate::store::sqlite::open::OpenError),
    #[error(transparent)]
    Postgres(#[from] crate::store::postgres::open::OpenError),
}

/// Opens the database. `node` is this process's name among those that share it.
pub async fn open(url: &Secret, node: &str) -> Result<Opened, OpenError> {
    if let Some(path) = sqlite_path(url.expose()) {
        let store = Arc::new(SqliteStore::open(Path::new(path)).await?);
        return Ok(Opened {
            journal: store.clone(),
            reads: store.clone(),
            revisions: store.clone(),
            sessions: store.clone(),
            lease: None,
            inbox: store,
        });
    }
    if is_postgres(url.expose()) {
        let store = Arc::new(PostgresStore::open(url.expose(), node).await?);
        let lease: Arc<dyn Lease> = store.clone();
        return Ok(Opened {
            journal: store.clone(),
            reads: store.clone(),
            revisions: store.clone(),
            sessions: store.clone(),
            lease: Some(lease),
            inbox: store,
        });
    }
    Err(OpenError::UnknownKind)
}

/// The whole of it at one moment, for looking.
pub async fn archive(url: &Secret) -> Result<Box<dyn Archive>, OpenError> {
    if let Some(path) = sqlite_path(url.expose()) {
        return Ok(Box::new(SqliteArchive::open(Path::new(path)).await?));
    }
    if is_postgres(url.expose()) {
        return Ok(Box::new(PostgresArchive::open(url.expose()).await?));
    }
    Err(OpenError::UnknownKind)
}

/// Only for reading, beside whoever writes.
pub async fn beside(url: &Secret) -> Result<Arc<dyn Reads>, OpenError> {
    if let Some(path) = sqlite_path(url.expose()) {
        return Ok(Arc::new(SqliteStore::beside(Path::new(path)).await?));
    }
    if is_postgres(url.expose()) {
        return Ok(Arc::new(PostgresStore::beside(url.expose())?));
    }
    Err(OpenError::UnknownKind)
}

/// The file that the URL names, where it names one.
pub fn file(url: &Secret) -> Option<&Path> {
    sqlite_path(url.expose()).map(Path::new)
}

fn sqlite_path(url: &str) -> Option<&str> {
    url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:"))
}
