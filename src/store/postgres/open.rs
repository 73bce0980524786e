//! Finding the primary among the servers: durable settings, migrations, a writer's connection and readers of their own.

use std::str::FromStr;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::domain::database;
use crate::engine::store::{Reads, StoreError};

const READERS: u32 = 8;
/// Connections for what any node may write: the inbox, and its own word that it lives.
const TAKERS: u32 = 4;
/// A server that takes longer to let us in counts as gone.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Two nodes that make the tables at once get in each other's way; the second try finds them made.
const MIGRATION_TRIES: u32 = 5;
const MIGRATION_PAUSE: Duration = Duration::from_millis(200);

/// The store on one PostgreSQL, whichever of its servers is the primary.
pub struct PostgresStore {
    servers: Vec<PgConnectOptions>,
    pub(super) writer: Mutex<Writer>,
    readers: RwLock<Readers>,
    /// This start of this process, and its name for people.
    pub(super) owner: String,
    pub(super) node: String,
    /// When the database was last asked for something that it granted only to the lease's holder.
    pub(super) held_at: RwLock<Option<Instant>>,
}

#[derive(Default)]
pub(super) struct Writer {
    /// None after an error: the next commit looks for the primary anew, so that a healed database heals the store.
    pub(super) connection: Option<PgConnection>,
    /// Of the lease, while it is ours.
    pub(super) epoch: Option<i64>,
    /// Whether a commit may still be under way in the database although nobody here waits for it.
    pub(super) unsettled: bool,
}

struct Readers {
    /// Which of the servers they read.
    server: usize,
    pool: PgPool,
    takers: PgPool,
}

impl Readers {
    fn of(server: usize, options: &PgConnectOptions) -> Self {
        Self { server, pool: pool(options), takers: takers(options) }
    }
}

/// Why the database cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("database.url is not a postgres:// address; write for example postgres://reynard:PASSWORD@db.internal/reynard")]
    NoAddress,
    #[error("cannot open the database: {0}")]
    Unusable(String),
}

impl PostgresStore {
    /// Connects to the primary and brings its tables up to date. `node` is this node's name for people.
    pub async fn open(url: &str, node: &str) -> Result<Self, OpenError> {
        let store = Self::unopened(url, node)?;
        let mut connection = store.connect().await.map_err(|error| OpenError::Unusable(error.to_string()))?;
        migrate(&mut connection).await?;
        store.writer.lock().await.connection = Some(connection);
        Ok(store)
    }

    /// Only for reading, beside the nodes that write.
    pub fn beside(url: &str) -> Result<impl Reads + use<>, OpenError> {
        Self::unopened(url, "")
    }

    fn unopened(url: &str, node: &str) -> Result<Self, OpenError> {
        let mut servers = Vec::new();
        for address in database::servers(url) {
            // The parser's own words may repeat the address, password and all.
            let server = PgConnectOptions::from_str(&address).map_err(|_| OpenError::NoAddress)?;
            servers.push(server.application_name("reynard").statement_cache_capacity(200).disable_statement_logging());
        }
        let first = servers.first().ok_or(OpenError::NoAddress)?;
        let readers = RwLock::new(Readers::of(0, first));
        Ok(Self {
            servers,
            writer: Mutex::default(),
            readers,
            owner: Uuid::new_v4().to_string(),
            node: node.to_owned(),
            held_at: RwLock::default(),
        })
    }

    /// A connection to the server that takes writes; the readers go where it is.
    pub(super) async fn connect(&self) -> Result<PgConnection, StoreError> {
        let last = self.readers.read().unwrap_or_else(PoisonError::into_inner).server;
        let mut faults = Vec::new();
        for at in (last..self.servers.len()).chain(0..last) {
            let server = &self.servers[at];
            match tokio::time::timeout(CONNECT_WITHIN, primary(server)).await {
                Ok(Ok(connection)) => {
                    self.readers_follow(at);
                    return Ok(connection);
                }
                Ok(Err(why)) => faults.push(format!("{}:{}: {why}", server.get_host(), server.get_port())),
                Err(_) => faults.push(format!("{}:{}: no answer within {CONNECT_WITHIN:?}", server.get_host(), server.get_port())),
            }
        }
        Err(StoreError::Unavailable(faults.join("; ")))
    }

    /// The readers' connections, all to the server that was last seen to be the primary.
    pub(super) fn readers(&self) -> PgPool {
        self.readers.read().unwrap_or_else(PoisonError::into_inner).pool.clone()
    }

    /// Connections that write without the lease, to the same server.
    pub(super) fn takers(&self) -> PgPool {
        self.readers.read().unwrap_or_else(PoisonError::into_inner).takers.clone()
    }

    fn readers_follow(&self, at: usize) {
        let mut readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        if readers.server != at {
            let former = std::mem::replace(&mut *readers, Readers::of(at, &self.servers[at]));
            tokio::spawn(async move { tokio::join!(former.pool.close(), former.takers.close()) });
        }
    }
}

fn pool(server: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(READERS)
        .min_connections(0)
        .acquire_timeout(Duration::from_secs(2))
        // A former primary may live on as a standby: whoever reads there reads the past.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async { Ok(!is_standby(connection).await?) }))
        .after_connect(|connection, _| {
            Box::pin(async {
                let standby = is_standby(connection).await?;
                if standby { Err(sqlx::Error::Protocol("this server is a standby now".to_owned())) } else { Ok(()) }
            })
        })
        .connect_lazy_with(server.clone())
}

fn takers(server: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(TAKERS)
        .min_connections(0)
        .acquire_timeout(Duration::from_secs(5))
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(async { Ok(!is_standby(connection).await?) }))
        .after_connect(|connection, _| Box::pin(async { demand_writable(connection).await.map_err(sqlx::Error::Protocol) }))
        .connect_lazy_with(server.clone())
}

async fn is_standby(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(connection).await
}

/// A connection that takes writes and keeps what it says it has kept; otherwise why not.
pub(in crate::store) async fn primary(server: &PgConnectOptions) -> Result<PgConnection, String> {
    let mut connection = server.connect().await.map_err(|error| error.to_string())?;
    demand_writable(&mut connection).await?;
    Ok(connection)
}

async fn demand_writable(connection: &mut PgConnection) -> Result<(), String> {
    const TAKES_WRITES: &str = "select not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off'";
    const DURABLE: &str = "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'";
    // A session that waits for a row does not notice that we are gone: without this, every try would leave one behind.
    const WAITS: &str = "select set_config('lock_timeout', '4s', false)";
    // A machine that freezes in the middle of a commit holds the lease's row: let go of it before the lease has run out.
    const FREEZES: &str = "select set_config('idle_in_transaction_session_timeout', '4s', false)";
    let words = |error: sqlx::Error| error.to_string();
    let takes_writes: bool = sqlx::query_scalar(TAKES_WRITES).fetch_one(&mut *connection).await.map_err(words)?;
    if !takes_writes {
        return Err("it is a standby or read-only".to_owned());
    }
    // Whatever the server's or the role's default is: what was answered is on disk. Stricter settings stay.
    for setting in [DURABLE, WAITS, FREEZES] {
        sqlx::query(setting).execute(&mut *connection).await.map_err(words)?;
    }
    Ok(())
}

async fn migrate(connection: &mut PgConnection) -> Result<(), OpenError> {
    let mut migrations: Migrator = sqlx::migrate!("migrations/postgres");
    // No advisory lock: not every compatible database has one. A newer node may have been here already.
    migrations.set_locking(false).set_ignore_missing(true);
    let mut tries = 1;
    loop {
        match migrations.run(&mut *connection).await {
            Ok(()) => return Ok(()),
            Err(error) if tries == MIGRATION_TRIES => return Err(OpenError::Unusable(error.to_string())),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(MIGRATION_PAUSE).await;
    }
}

/// Sorts the database's errors: what may heal, and what is wrong with the thing itself.
pub(in crate::store) fn store_error(error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    match (code.get(..2).unwrap_or_default(), code.as_str()) {
        // Cardinality, data, integrity, program limits.
        ("21" | "22" | "23" | "54", _) => StoreError::Refused(error.to_string()),
        (_, "53100") => StoreError::Unavailable("the database's disk is full".to_owned()),
        (_, "25006") => StoreError::Unavailable("the database is read-only".to_owned()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}
