//! `postgres.read_only`: stops a database's writes, those of sessions already open too, and lets them begin again.
//! Knows nothing of what the database holds.
//!
//! Two ways. `database` (default) changes this one database's default, which PostgreSQL reads only when a session begins: so every
//! session that began before is ended, and pools come back read-only. It needs the database's owner, and `pg_signal_backend` when
//! others are connected. `system` changes the whole server's default and reloads: idle sessions stay and follow from their next
//! transaction on; only transactions already under way are ended, after a pause. It needs a superuser.
//! Done twice it ends sessions twice: which of them began after the first time cannot be told.
//! Both change a default, not a right: a session that itself asks for `begin read write` gets it. Those seen writing at the end make
//! the step fail with their number. The server's own workers (logical replication, autovacuum) are left alone.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::{Instant, sleep};

use crate::action::params;
use crate::action::postgres::{connect, connect_to_change, fault, may_end_sessions, options, session, while_it_may};
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec, TargetKind};
use crate::engine::ports::{Action, ActionError, Call};

/// How long a transaction under way may take to end by itself, where it does no harm to let it.
const GRACE: Duration = Duration::from_secs(5);
/// How long ended sessions may take to go.
const END_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// A session appears in the statistics a moment after it has read its settings: one empty look is no proof.
const QUIET_LOOKS: u32 = 3;

pub const SPEC: Spec = Spec {
    name: "postgres.read_only",
    doc: "Makes a database read-only, for sessions already open too; its undo brings writes back.",
    performer: Performer::Worker,
    destructive: true,
    on_interrupt: OnInterrupt::Retry,
    targets: &[TargetKind::Postgres],
    params: &[
        Param::optional("enabled", ParamType::Bool, "true stops writes, false lets them begin again").default("true"),
        Param::optional("scope", ParamType::Text, "database ends its sessions; system needs a superuser, and idle sessions stay")
            .one_of(&["database", "system"])
            .default("database"),
    ],
    undoable: true,
    output: &[
        Field::text("scope", "database or system"),
        Field::of("read_only", ParamType::Bool, "the default of new sessions, as one of them saw it"),
        Field::number("terminated", "how many sessions were ended"),
        Field::of("verified", ParamType::Bool, "true: a new session has the default, and nobody writes"),
    ],
};

/// Ends, once `$2` allows it, what began up to `$1`; idle sessions are ended at once. Each row is one that is still there.
const END_DATABASE_SESSIONS: &str = "
    select pid, case when $2 or state = 'idle' then pg_terminate_backend(pid) else false end
      from pg_stat_activity
     where backend_type = 'client backend'
       and datname = current_database()
       and pid <> pg_backend_pid()
       and backend_start <= $1::text::timestamptz";

/// The same for transactions on the whole server that began up to `$1`, and for whoever writes all the same.
const END_SYSTEM_TRANSACTIONS: &str = "
    select pid, case when $2 then pg_terminate_backend(pid) else false end
      from pg_stat_activity
     where backend_type = 'client backend'
       and pid <> pg_backend_pid()
       and (xact_start <= $1::text::timestamptz or backend_xid is not null)";

/// Sessions that write, here or everywhere.
const WRITING_SESSIONS: &str = "
    select count(*)
      from pg_stat_activity
     where backend_type = 'client backend'
       and pid <> pg_backend_pid()
       and backend_xid is not null
       and ($1 or datname = current_database())";

/// Roles and databases whose own setting outranks the one we are about to make.
const OVERRIDES: &str = "
    select coalesce('role ' || r.rolname, 'database ' || d.datname)
      from pg_db_role_setting s
      cross join unnest(s.setconfig) as entry
      left join pg_roles r on r.oid = s.setrole
      left join pg_database d on d.oid = s.setdatabase
     where entry like 'default\\_transaction\\_read\\_only=%'
       and split_part(entry, '=', 2)::bool <> $1
       and (s.setrole <> 0 or $2)
       and ($2 or s.setdatabase = 0 or d.datname = current_database())
     limit 1";

/// The action.
pub struct PostgresReadOnly {
    /// Reynard's own database on each of its servers: it must not lock itself out of it.
    own: Vec<PgConnectOptions>,
}

#[derive(Deserialize)]
struct Params {
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    scope: Scope,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    #[default]
    Database,
    System,
}

impl PostgresReadOnly {
    /// `own` is Reynard's own database, on each of its servers if it is a PostgreSQL.
    pub fn new(own: Vec<PgConnectOptions>) -> Self {
        Self { own }
    }

    async fn set(&self, call: &Call, scope: Scope, read_only: bool) -> Result<Value, ActionError> {
        self.is_not_own(call, scope)?;
        let mut connection = connect_to_change(call).await?;
        let session = session(call, &mut connection).await?;
        let work = async {
            is_possible(call, &mut connection, scope, read_only).await?;
            let terminated = match scope {
                Scope::Database => set_database(call, &mut connection, read_only).await?,
                Scope::System => set_system(call, &mut connection, read_only).await?,
            };
            verify(call, &mut connection, scope, read_only).await.map_err(half_done)?;
            Ok(terminated)
        };
        let terminated = while_it_may(call, session, work).await?;
        let scope = if scope == Scope::System { "system" } else { "database" };
        Ok(json!({ "scope": scope, "read_only": read_only, "terminated": terminated, "verified": true }))
    }

    fn is_not_own(&self, call: &Call, scope: Scope) -> Result<(), ActionError> {
        let target = options(call)?;
        let is_own = |own: &PgConnectOptions| {
            let server = own.get_host() == target.get_host() && own.get_port() == target.get_port();
            server && (scope == Scope::System || own.get_database() == target.get_database())
        };
        if self.own.iter().any(is_own) {
            return Err(ActionError::Fatal("this would stop Reynard's own database".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Action for PostgresReadOnly {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        let params: Params = params::read(call)?;
        self.set(call, params.scope, params.enabled).await
    }

    async fn undo(&self, call: &Call) -> Result<Value, ActionError> {
        let params: Params = params::read(call)?;
        self.set(call, params.scope, !params.enabled).await
    }
}

/// Looks before anything is changed, so that a refusal leaves nothing half done.
async fn is_possible(call: &Call, connection: &mut PgConnection, scope: Scope, read_only: bool) -> Result<(), ActionError> {
    let whom = &params::target(call)?.name;
    let standby: bool = ask(call, sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&mut *connection).await)?;
    if standby {
        return Err(ActionError::Fatal(format!("{whom} is a standby, read-only by nature: point the target at the primary")));
    }
    if scope == Scope::System {
        let superuser: bool =
            ask(call, sqlx::query_scalar("select rolsuper from pg_roles where rolname = current_user").fetch_one(&mut *connection).await)?;
        if !superuser {
            return Err(ActionError::Fatal(format!("{whom}: `scope: system` needs a superuser; use `scope: database`")));
        }
    }
    let overrides = sqlx::query_scalar(OVERRIDES).bind(read_only).bind(scope == Scope::System).fetch_optional(&mut *connection).await;
    if let Some(name) = ask::<Option<String>>(call, overrides)? {
        return Err(ActionError::Fatal(format!(
            "{whom}: nothing was changed: {name} has a default_transaction_read_only of its own, which outranks this; reset it first"
        )));
    }
    may_end_sessions(call, connection, scope == Scope::System).await
}

async fn set_database(call: &Call, connection: &mut PgConnection, read_only: bool) -> Result<usize, ActionError> {
    let change = if read_only { "set default_transaction_read_only = on" } else { "reset default_transaction_read_only" };
    let statement = sqlx::query_scalar("select format('alter database %I ', current_database()) || $1").bind(change);
    let statement: String = ask(call, statement.fetch_one(&mut *connection).await)?;
    // The name was quoted by the server itself.
    ask(call, sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await)?;
    // Readers that finish their work harm nobody while writes come back; writers do while they must stop.
    let grace = if read_only { Duration::ZERO } else { GRACE };
    end(call, connection, END_DATABASE_SESSIONS, grace).await.map_err(half_done)
}

async fn set_system(call: &Call, connection: &mut PgConnection, read_only: bool) -> Result<usize, ActionError> {
    let change =
        if read_only { "alter system set default_transaction_read_only = on" } else { "alter system reset default_transaction_read_only" };
    ask(call, sqlx::raw_sql(change).execute(&mut *connection).await)?;
    ask(call, sqlx::raw_sql("select pg_reload_conf()").execute(&mut *connection).await)?;
    let deadline = Instant::now() + END_TIMEOUT;
    while default_of_new_session(call).await.map_err(half_done)? != read_only && Instant::now() < deadline {
        sleep(POLL).await;
    }
    // The server tells its sessions right after itself; give the word time to arrive.
    sleep(POLL * 2).await;
    if read_only { end(call, connection, END_SYSTEM_TRANSACTIONS, GRACE).await.map_err(half_done) } else { Ok(0) }
}

/// Ends whatever `query` finds, after `grace`, until it finds nothing; how many sessions were ended.
async fn end(call: &Call, connection: &mut PgConnection, query: &'static str, grace: Duration) -> Result<usize, ActionError> {
    let until: String = ask(call, sqlx::query_scalar("select clock_timestamp()::text").fetch_one(&mut *connection).await)?;
    let begun = Instant::now();
    let (mut ended, mut quiet) = (BTreeSet::new(), 0);
    while quiet < QUIET_LOOKS {
        let look = sqlx::query_as(query).bind(&until).bind(begun.elapsed() >= grace).fetch_all(&mut *connection).await;
        let found: Vec<(i32, bool)> = ask(call, look)?;
        if begun.elapsed() > grace + END_TIMEOUT {
            return Err(ActionError::Retry(format!("{} sessions did not end in time", found.len())));
        }
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        ended.extend(found.into_iter().filter(|(_, told)| *told).map(|(pid, _)| pid));
        sleep(POLL).await;
    }
    Ok(ended.len())
}

async fn verify(call: &Call, connection: &mut PgConnection, scope: Scope, read_only: bool) -> Result<(), ActionError> {
    let whom = &params::target(call)?.name;
    if default_of_new_session(call).await? != read_only {
        let state = if read_only { "writable" } else { "read-only" };
        return Err(ActionError::Retry(format!("{whom}: a new session is still {state}: something outranks this setting")));
    }
    let writing = sqlx::query_scalar(WRITING_SESSIONS).bind(scope == Scope::System).fetch_one(connection).await;
    match ask::<i64>(call, writing)? {
        n if n > 0 && read_only => Err(ActionError::Retry(format!("{whom}: {n} sessions still write: they ask for it themselves"))),
        _ => Ok(()),
    }
}

/// Whether a session that begins now is read-only.
async fn default_of_new_session(call: &Call) -> Result<bool, ActionError> {
    let mut fresh = connect(call).await?;
    let default: bool = ask(call, sqlx::query_scalar("select current_setting('transaction_read_only')::bool").fetch_one(&mut fresh).await)?;
    let _ = sqlx::Connection::close(fresh).await;
    Ok(default)
}

/// The default is set by now: the step failed, and must be taken back all the same.
fn half_done(error: ActionError) -> ActionError {
    match error {
        ActionError::Retry(reason) | ActionError::Fatal(reason) | ActionError::Unknown(reason) | ActionError::Barred(reason) => {
            ActionError::Unknown(reason)
        }
    }
}

/// Every part of this may be done again, so a broken connection is merely a pity.
fn ask<T>(call: &Call, answer: Result<T, sqlx::Error>) -> Result<T, ActionError> {
    answer.map_err(|error| fault(call, &error, ActionError::Retry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::http::tests::call;

    #[tokio::test]
    async fn its_own_database_is_left_alone() {
        let own = || ["postgres://reynard@first/reynard", "postgres://reynard@db:5432/reynard"].map(|url| url.parse().unwrap()).to_vec();
        let refused = async |url: &str, params: Value| {
            let action = PostgresReadOnly::new(own());
            let Params { scope, .. } = params::read(&call(TargetKind::Postgres, url, params.clone())).unwrap();
            action.is_not_own(&call(TargetKind::Postgres, url, params), scope).is_err()
        };
        assert!(refused("postgres://admin@db/reynard", json!({})).await);
        assert!(!refused("postgres://admin@db/orders", json!({})).await);
        assert!(refused("postgres://admin@db/orders", json!({ "scope": "system" })).await);
        assert!(!refused("postgres://admin@other/reynard", json!({ "scope": "system" })).await);
    }
}
