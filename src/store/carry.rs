//! Carries the whole of a SQLite file over into an empty PostgreSQL: every row of every table, all in one transaction, so that the
//! target has everything or nothing. Goes by what both databases say of their tables, and knows no table's meaning but for the
//! hashes that only PostgreSQL keeps.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Postgres, Row, SqliteConnection, Transaction};

use crate::domain::database;
use crate::engine::store::StoreError;
use crate::store::postgres::open::{self as postgres, PostgresStore, store_error};
use crate::store::postgres::rows::{family_hash, key_hash, plain};
use crate::store::sqlite::open::{self as sqlite, Tables};

/// What one statement takes: so many rows, or rows of so many bytes.
const ROWS: usize = 1_000;
const BYTES: usize = 4 << 20;

/// What each database keeps for itself.
const NOT_CARRIED: [&str; 5] = ["_sqlx_migrations", "lease", "nodes", "sessions", "sqlite_sequence"];
/// What a server that was once started on the target has left there. It is written over.
const MAY_BE_THERE: [&str; 3] = ["meta", "revisions", "editions"];

/// Why nothing was carried over.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
    #[error("the target is not empty: {0} has rows already. Give an empty database or schema; nothing was carried over")]
    NotEmpty(String),
    #[error("a Reynard is active on the target ({0}); stop it first. Nothing was carried over")]
    InUse(String),
    #[error("{table}.{column} of the file has no place in the target; use the same version of Reynard for both. Nothing was carried over")]
    NoPlace { table: String, column: String },
    #[error("the file cannot be read: {0}. Nothing was carried over")]
    Unreadable(sqlx::Error),
    #[error("{0}. Nothing was carried over: the target has all of it or nothing")]
    Unwritable(StoreError),
}

/// The rows of a table that went over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    pub table: String,
    pub rows: u64,
}

/// A table as both databases have it.
struct Table {
    name: String,
    columns: Vec<Column>,
    rows: u64,
}

#[derive(Clone)]
struct Column {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Truth,
    Bytes,
    Real,
}

/// One column of the set that goes over next.
enum Values {
    Number(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Truth(Vec<Option<bool>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Real(Vec<Option<f64>>),
}

/// Carries everything over; `heard` is told how many rows of how many went. Refuses a file that a server has, and a target that has
/// anything.
pub async fn carry(from: &Path, to: &str, heard: &mut (dyn FnMut(u64, u64) + Send)) -> Result<Vec<Carried>, CarryError> {
    if !from.exists() {
        return Err(sqlite::OpenError::Unusable { path: from.to_owned(), why: "it is not there".to_owned() }.into());
    }
    let _lock = sqlite::lock(from)?;
    let mut file = reading(from).await?;
    let mut target = writing(to).await?;
    let mut tx = target.begin().await.map_err(unwritable)?;
    hold_lease(&mut tx).await?;
    let tables = tables(&mut file, &mut tx).await?;
    let all = tables.iter().map(|table| table.rows).sum();
    let (mut done, mut carried) = (0, Vec::new());
    for table in tables {
        let before = done;
        carry_table(&mut file, &mut tx, &table, &mut |rows| {
            done += rows;
            heard(done, all);
        })
        .await?;
        carried.push(Carried { table: table.name, rows: done - before });
    }
    tx.commit().await.map_err(unwritable)?;
    Ok(carried)
}

/// The file as it stands at one moment; nobody else has it.
async fn reading(path: &Path) -> Result<SqliteConnection, CarryError> {
    let unusable = |error: sqlx::Error| sqlite::OpenError::Unusable { path: path.to_owned(), why: error.to_string() };
    let options =
        SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_secs(5)).disable_statement_logging();
    let mut connection = options.connect().await.map_err(unusable)?;
    sqlite::demand_tables(&mut connection, path, Tables::Ours).await?;
    sqlx::query("begin").execute(&mut connection).await.map_err(unusable)?;
    Ok(connection)
}

/// A connection to the target, with its tables made and brought up to date.
async fn writing(url: &str) -> Result<PgConnection, CarryError> {
    drop(PostgresStore::open(url, "migrate").await?);
    let mut faults = Vec::new();
    for address in database::servers(url) {
        let server = PgConnectOptions::from_str(&address).map_err(|_| postgres::OpenError::NoAddress)?;
        let server = server.application_name("reynard migrate").disable_statement_logging();
        match postgres::primary(&server).await {
            Ok(mut connection) => {
                // What comes out of a large file between two sets may take its time.
                let patient = "select set_config('idle_in_transaction_session_timeout', '0', false)";
                sqlx::query(patient).execute(&mut connection).await.map_err(unwritable)?;
                return Ok(connection);
            }
            Err(why) => faults.push(format!("{}:{}: {why}", server.get_host(), server.get_port())),
        }
    }
    Err(postgres::OpenError::Unusable(faults.join("; ")).into())
}

/// Nobody can become active while this transaction lasts.
async fn hold_lease(tx: &mut Transaction<'_, Postgres>) -> Result<(), CarryError> {
    const LEASE: &str = "
        select case when expires_at > (extract(epoch from clock_timestamp()) * 1000)::bigint then node end
        from lease
        where shard = 0
        for update";
    let holder: Option<String> = sqlx::query_scalar(LEASE).fetch_one(&mut **tx).await.map_err(unwritable)?;
    holder.map_or(Ok(()), |node| Err(CarryError::InUse(node)))
}

/// Every table of the file, each column with its place in the target.
async fn tables(file: &mut SqliteConnection, tx: &mut Transaction<'_, Postgres>) -> Result<Vec<Table>, CarryError> {
    let names: Vec<String> = sqlx::query_scalar("select name from sqlite_master where type = 'table' order by name")
        .fetch_all(&mut *file)
        .await
        .map_err(CarryError::Unreadable)?;
    let mut tables = Vec::new();
    for name in names.into_iter().filter(|name| !NOT_CARRIED.contains(&name.as_str())) {
        let columns = columns(file, tx, &name).await?;
        make_room(tx, &name).await?;
        let count = format!("select count(*) from {name}");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut *file).await.map_err(CarryError::Unreadable)?;
        tables.push(Table { name, columns, rows: rows.unsigned_abs() });
    }
    Ok(tables)
}

async fn columns(file: &mut SqliteConnection, tx: &mut Transaction<'_, Postgres>, table: &str) -> Result<Vec<Column>, CarryError> {
    const THEIRS: &str = "
        select data_type
        from information_schema.columns
        where table_schema = current_schema() and table_name = $1 and column_name = $2";
    let ours: Vec<String> = sqlx::query_scalar("select name from pragma_table_info($1) order by cid")
        .bind(table)
        .fetch_all(&mut *file)
        .await
        .map_err(CarryError::Unreadable)?;
    let mut columns = Vec::new();
    for name in ours {
        let kind: Option<String> =
            sqlx::query_scalar(THEIRS).bind(table).bind(&name).fetch_optional(&mut **tx).await.map_err(unwritable)?;
        match kind.as_deref().and_then(Kind::of) {
            Some(kind) => columns.push(Column { name, kind }),
            // SQLite's own number for a row that nothing names.
            None if (table, name.as_str()) == ("spent", "id") => {}
            None => return Err(CarryError::NoPlace { table: table.to_owned(), column: name }),
        }
    }
    Ok(columns)
}

/// Takes away what a start may have left, and refuses anything else.
async fn make_room(tx: &mut Transaction<'_, Postgres>, table: &str) -> Result<(), CarryError> {
    if MAY_BE_THERE.contains(&table) {
        sqlx::query(AssertSqlSafe(format!("delete from {table}"))).execute(&mut **tx).await.map_err(unwritable)?;
        return Ok(());
    }
    let any = format!("select exists (select 1 from {table})");
    let any: bool = sqlx::query_scalar(AssertSqlSafe(any)).fetch_one(&mut **tx).await.map_err(unwritable)?;
    if any { Err(CarryError::NotEmpty(table.to_owned())) } else { Ok(()) }
}

async fn carry_table(
    file: &mut SqliteConnection,
    tx: &mut Transaction<'_, Postgres>,
    table: &Table,
    went: &mut (dyn FnMut(u64) + Send),
) -> Result<(), CarryError> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let select = format!("select {} from {}", names.join(", "), table.name);
    let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(&mut *file);
    let mut set = Set::of(table);
    while let Some(row) = rows.try_next().await.map_err(CarryError::Unreadable)? {
        set.add(&row).map_err(CarryError::Unreadable)?;
        if set.is_full() {
            went(set.send(tx).await?);
        }
    }
    went(set.send(tx).await?);
    Ok(())
}

/// Rows on their way, as columns.
struct Set<'a> {
    table: &'a Table,
    values: Vec<Values>,
    insert: String,
    rows: usize,
    bytes: usize,
}

impl<'a> Set<'a> {
    fn of(table: &'a Table) -> Self {
        let values = table.columns.iter().map(|column| column.kind.none_yet()).collect();
        let mut names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let mut casts: Vec<&str> = table.columns.iter().map(|column| column.kind.cast()).collect();
        for (name, _) in hashes(&table.name) {
            names.push(name);
            casts.push(Kind::Number.cast());
        }
        let holes: Vec<String> = (1..).zip(casts).map(|(at, cast)| format!("${at}::{cast}[]")).collect();
        let insert = format!("insert into {} ({}) select * from unnest({})", table.name, names.join(", "), holes.join(", "));
        Self { table, values, insert, rows: 0, bytes: 0 }
    }

    fn add(&mut self, row: &SqliteRow) -> Result<(), sqlx::Error> {
        for (at, values) in self.values.iter_mut().enumerate() {
            self.bytes += values.add(row, at)?;
        }
        self.rows += 1;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows >= ROWS || self.bytes >= BYTES
    }

    /// How many went.
    async fn send(&mut self, tx: &mut Transaction<'_, Postgres>) -> Result<u64, CarryError> {
        if self.rows == 0 {
            return Ok(0);
        }
        let hashed: Vec<Vec<i64>> = hashes(&self.table.name).iter().map(|(_, of)| self.hashed(of)).collect();
        let fresh = self.table.columns.iter().map(|column| column.kind.none_yet()).collect();
        let values = std::mem::replace(&mut self.values, fresh);
        let mut query = sqlx::query(AssertSqlSafe(self.insert.clone()));
        for column in values {
            query = column.bound_to(query);
        }
        for column in hashed {
            query = query.bind(column);
        }
        query.execute(&mut **tx).await.map_err(unwritable)?;
        self.bytes = 0;
        Ok(std::mem::take(&mut self.rows) as u64)
    }

    /// A hash a row, of one column or of two.
    fn hashed(&self, of: &[&str]) -> Vec<i64> {
        let text = |name: &str, row: usize| {
            let at = self.table.columns.iter().position(|column| column.name == name);
            match at.map(|at| &self.values[at]) {
                Some(Values::Text(texts)) => texts[row].as_deref().unwrap_or_default(),
                _ => "",
            }
        };
        let hash = |row| match of {
            [key] => key_hash(text(key, row)),
            [kind, service, ..] => family_hash(text(kind, row), text(service, row)),
            [] => 0,
        };
        (0..self.rows).map(hash).collect()
    }
}

/// What PostgreSQL keeps of a table's texts to look them up by.
fn hashes(table: &str) -> &'static [(&'static str, &'static [&'static str])] {
    if table == "incidents" { &[("key_hash", &["key"]), ("family_hash", &["type", "service"])] } else { &[] }
}

impl Kind {
    fn of(data_type: &str) -> Option<Self> {
        match data_type {
            "bigint" | "integer" => Some(Self::Number),
            "text" => Some(Self::Text),
            "boolean" => Some(Self::Truth),
            "bytea" => Some(Self::Bytes),
            "double precision" => Some(Self::Real),
            _ => None,
        }
    }

    fn cast(self) -> &'static str {
        match self {
            Self::Number => "bigint",
            Self::Text => "text",
            Self::Truth => "boolean",
            Self::Bytes => "bytea",
            Self::Real => "double precision",
        }
    }

    fn none_yet(self) -> Values {
        match self {
            Self::Number => Values::Number(Vec::new()),
            Self::Text => Values::Text(Vec::new()),
            Self::Truth => Values::Truth(Vec::new()),
            Self::Bytes => Values::Bytes(Vec::new()),
            Self::Real => Values::Real(Vec::new()),
        }
    }
}

impl Values {
    /// Takes a row's value; how many bytes it is.
    fn add(&mut self, row: &SqliteRow, at: usize) -> Result<usize, sqlx::Error> {
        match self {
            Self::Number(values) => values.push(row.try_get(at)?),
            Self::Truth(values) => values.push(row.try_get(at)?),
            Self::Real(values) => values.push(row.try_get(at)?),
            Self::Text(values) => {
                let text: Option<String> = row.try_get(at)?;
                values.push(text.map(|text| plain(&text).into_owned()));
                return Ok(values.last().and_then(Option::as_ref).map_or(0, String::len));
            }
            Self::Bytes(values) => {
                values.push(row.try_get(at)?);
                return Ok(values.last().and_then(Option::as_ref).map_or(0, Vec::len));
            }
        }
        Ok(8)
    }

    fn bound_to(self, query: Query<'_, Postgres, PgArguments>) -> Query<'_, Postgres, PgArguments> {
        match self {
            Self::Number(values) => query.bind(values),
            Self::Text(values) => query.bind(values),
            Self::Truth(values) => query.bind(values),
            Self::Bytes(values) => query.bind(values),
            Self::Real(values) => query.bind(values),
        }
    }
}

fn unwritable(error: sqlx::Error) -> CarryError {
    CarryError::Unwritable(store_error(error))
}
