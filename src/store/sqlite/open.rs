//! Opening the database file: one owner, durable settings, migrations, a writer's connection and readers of their own.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::Mutex;

use crate::engine::store::{Reads, StoreError};
use crate::store::sqlite::archive::SqliteArchive;

/// The first release without the bug that could corrupt a database when two connections reset the log at once.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);
const READERS: u32 = 4;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// The store on one SQLite file.
pub struct SqliteStore {
    pub(super) options: SqliteConnectOptions,
    /// None after an error: the next commit opens it anew, so that a healed disk heals the store.
    pub(super) writer: Mutex<Option<SqliteConnection>>,
    pub(super) readers: SqlitePool,
    /// Held for as long as the store lives: a second process on the same file is refused.
    /// None for one that only reads beside it.
    _lock: Option<File>,
}

/// Why the file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} is in use by another Reynard; stop it first, or give this one a database of its own with --database-url")]
    InUse { path: PathBuf },
    #[error("cannot open {path}: {why}")]
    Unusable { path: PathBuf, why: String },
    #[error("{path} is no database of Reynard's: {why}")]
    Foreign { path: PathBuf, why: String },
    #[error("SQLite {0} is older than 3.51.3 and may corrupt the file; build against the bundled one")]
    TooOld(String),
}

impl SqliteStore {
    /// Opens the file, making it and its folder if they are not there.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let unusable = |why: String| OpenError::Unusable { path: path.to_owned(), why };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| unusable(error.to_string()))?;
        }
        let lock = lock(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            // The log file is kept at its size: truncating it makes every commit change the file's length.
            .pragma("journal_size_limit", "-1")
            .pragma("wal_autocheckpoint", "4000")
            .statement_cache_capacity(200)
            .disable_statement_logging();
        let mut writer = SqliteConnection::connect_with(&options).await.map_err(|error| unusable(error.to_string()))?;
        demand_version(&mut writer).await?;
        MIGRATIONS.run(&mut writer).await.map_err(|error| unusable(error.to_string()))?;
        demand_writable(&mut writer).await.map_err(|error| unusable(store_error(error).to_string()))?;
        let readers = readers(&options);
        Ok(Self { options, writer: Mutex::new(Some(writer)), readers, _lock: Some(lock) })
    }

    /// Only for reading, beside whoever has the file; it must be there and have the tables of this version.
    pub async fn beside(path: &Path) -> Result<impl Reads + use<>, OpenError> {
        drop(SqliteArchive::open(path).await?);
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5)).disable_statement_logging();
        let readers = readers(&options);
        Ok(Self { options, writer: Mutex::new(None), readers, _lock: None })
    }
}

fn readers(options: &SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(0)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(options.clone().read_only(true).create_if_missing(false).pragma("query_only", "on"))
}

/// Which tables a file may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Tables {
    /// Those of this version.
    Ours,
    /// Those of an earlier one, too: they can be brought up to date.
    OursOrOlder,
}

/// Brings the tables up to date.
pub(super) async fn bring_up_to_date(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let unusable = |error: sqlx::migrate::MigrateError| OpenError::Unusable { path: path.to_owned(), why: error.to_string() };
    MIGRATIONS.run(connection).await.map_err(unusable)
}

/// A file with other tables is not looked into: what it says would be misunderstood.
pub(in crate::store) async fn demand_tables(connection: &mut SqliteConnection, path: &Path, wanted: Tables) -> Result<(), OpenError> {
    let foreign = |why: String| OpenError::Foreign { path: path.to_owned(), why };
    let known: Vec<(i64, Vec<u8>)> = MIGRATIONS.iter().map(|step| (step.version, step.checksum.to_vec())).collect();
    let made: Vec<(i64, Vec<u8>)> = sqlx::query_as("select version, checksum from _sqlx_migrations where success order by version")
        .fetch_all(connection)
        .await
        .map_err(|error| foreign(error.to_string()))?;
    let versions = (made.last().map_or(0, |(version, _)| *version), known.last().map_or(0, |(version, _)| *version));
    match versions {
        (theirs, ours) if theirs > ours => {
            Err(foreign(format!("a newer Reynard made its tables (version {theirs}, this one knows {ours}); use that one")))
        }
        _ if !known.starts_with(&made) => Err(foreign("its tables are others".to_owned())),
        (theirs, ours) if theirs < ours && wanted == Tables::Ours => Err(foreign(format!(
            "an older Reynard made its tables (version {theirs}, this one has {ours}); use that one, or start the server of this one on it: it brings them up to date"
        ))),
        _ => Ok(()),
    }
}

pub(in crate::store) fn lock(path: &Path) -> Result<File, OpenError> {
    let beside = path.with_extension("lock");
    let unusable = |why: String| OpenError::Unusable { path: beside.clone(), why };
    let file = File::options().create(true).truncate(false).write(true).open(&beside).map_err(|error| unusable(error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unusable(error.to_string())),
    }
}

async fn demand_version(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let version: String = sqlx::query_scalar("select sqlite_version()").fetch_one(connection).await.unwrap_or_default();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    if (next(), next(), next()) < OLDEST_SQLITE { Err(OpenError::TooOld(version)) } else { Ok(()) }
}

/// A file that can be read but not written is refused now, and not at the first alert.
async fn demand_writable(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    // Changes nothing; asking to change is enough for SQLite to say no.
    sqlx::query("delete from meta where name = ''").execute(connection).await?;
    Ok(())
}

/// Sorts the database's errors: what may heal, and what is wrong with the thing itself.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
    match code {
        // SQLITE_CONSTRAINT and SQLITE_TOOBIG
        Some(19 | 18) => StoreError::Refused(error.to_string()),
        Some(13) => StoreError::Unavailable("the disk is full".to_owned()),
        Some(8) => StoreError::Unavailable("the database file is read-only".to_owned()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}
