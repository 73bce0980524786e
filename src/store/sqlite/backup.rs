//! A copy of a database file while a server uses it, and a copy put back in its place. Knows nothing of what is in it;
//! whoever calls checks that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::store::sqlite::open::{OpenError, Tables, bring_up_to_date, demand_tables, lock};

/// Why it was not copied.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot write {path}: {why}")]
    Unwritable { path: PathBuf, why: String },
}

/// A copy beside the place where it is to lie; gone again unless it is kept.
pub struct Copy {
    partial: PathBuf,
    to: PathBuf,
    kept: bool,
}

impl Copy {
    fn beside(to: &Path) -> io::Result<Self> {
        let mut name = to.as_os_str().to_owned();
        name.push(".partial");
        let copy = Self { partial: name.into(), to: to.to_owned(), kept: false };
        // What an interrupted copy has left.
        match std::fs::remove_file(&copy.partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(copy),
        }
    }

    /// Where it lies meanwhile.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Puts it in its place, durably and all at once.
    pub fn keep(mut self) -> Result<(), BackupError> {
        self.kept = true;
        self.put().map_err(|error| unwritable(&self.to, &error))
    }

    fn put(&self) -> io::Result<()> {
        File::open(&self.partial)?.sync_all()?;
        std::fs::rename(&self.partial, &self.to)?;
        sync_folder_of(&self.to)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// Copies the database beside `to` as it is at one moment, without its free pages. Nobody waits for it.
pub async fn copy(database: &Path, to: &Path) -> Result<Copy, BackupError> {
    let mut connection = reading(database).await?;
    let copy = Copy::beside(to).map_err(|error| unwritable(to, &error))?;
    let name = copy.partial.to_str().ok_or_else(|| unwritable(to, &"its name is not text"))?.to_owned();
    let made = sqlx::query("vacuum into $1").bind(name).execute(&mut connection).await;
    made.map_err(|error| unwritable(to, &error))?;
    let _ = connection.close().await;
    Ok(copy)
}

/// A place that no server has, held until it is given back.
pub struct Vacant {
    database: PathBuf,
    _lock: File,
}

/// Makes sure that no server has the database, and keeps it so.
pub fn vacate(database: &Path) -> Result<Vacant, OpenError> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| OpenError::Unusable { path: folder.to_owned(), why: error.to_string() })?;
    Ok(Vacant { database: database.to_owned(), _lock: lock(database)? })
}

impl Vacant {
    /// Copies a backup beside the database, with its tables brought up to date. Nobody is signed in on it: whoever was may have been
    /// sent away since.
    pub async fn bring(&self, backup: &Path) -> Result<Copy, BackupError> {
        let copy = copy(backup, &self.database).await?;
        let mut connection = writing(copy.path()).await?;
        bring_up_to_date(&mut connection, copy.path()).await?;
        let signed_out = sqlx::query("delete from sessions").execute(&mut connection).await;
        signed_out.map_err(|error| unwritable(copy.path(), &error))?;
        let _ = connection.close().await;
        Ok(copy)
    }

    /// Puts the copy in the database's place; what was there stays under the name `kept`. At no moment is there none.
    pub async fn replace(&self, copy: Copy, kept: &Path) -> Result<bool, BackupError> {
        let there = self.database.exists();
        if there {
            fold_in_log(&self.database).await?;
            std::fs::hard_link(&self.database, kept).map_err(|error| unwritable(kept, &error))?;
            for beside in [with_suffix(&self.database, "-wal"), with_suffix(&self.database, "-shm")] {
                let _ = std::fs::remove_file(beside);
            }
        }
        copy.keep()?;
        Ok(there)
    }
}

/// Writes everything into the file itself, so that it is whole without its log.
async fn fold_in_log(database: &Path) -> Result<(), BackupError> {
    let unusable = |error: sqlx::Error| OpenError::Unusable { path: database.to_owned(), why: error.to_string() };
    let mut connection = writing(database).await?;
    let (busy, _, _): (i64, i64, i64) =
        sqlx::query_as("pragma wal_checkpoint(truncate)").fetch_one(&mut connection).await.map_err(unusable)?;
    connection.close().await.map_err(unusable)?;
    if busy == 0 { Ok(()) } else { Err(OpenError::InUse { path: database.to_owned() }.into()) }
}

async fn writing(database: &Path) -> Result<SqliteConnection, OpenError> {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(Duration::from_secs(5)).disable_statement_logging();
    options.connect().await.map_err(|error| OpenError::Unusable { path: database.to_owned(), why: error.to_string() })
}

async fn reading(database: &Path) -> Result<SqliteConnection, OpenError> {
    let unusable = |why: String| OpenError::Unusable { path: database.to_owned(), why };
    if !database.exists() {
        return Err(unusable("it is not there".to_owned()));
    }
    let options =
        SqliteConnectOptions::new().filename(database).read_only(true).busy_timeout(Duration::from_secs(5)).disable_statement_logging();
    let mut connection = options.connect().await.map_err(|error| unusable(error.to_string()))?;
    demand_tables(&mut connection, database, Tables::OursOrOlder).await?;
    Ok(connection)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn unwritable(path: &Path, why: &dyn std::fmt::Display) -> BackupError {
    BackupError::Unwritable { path: path.to_owned(), why: why.to_string() }
}
