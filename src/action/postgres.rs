//! Short-lived connections of actions to a PostgreSQL target, and errors in words that carry no password. Knows no single action.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};

use crate::action::params;
use crate::engine::ports::{ActionError, Call};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long ending a session from another one may take.
const ENDING: Duration = Duration::from_secs(2);

/// Where the call's target is.
pub fn options(call: &Call) -> Result<PgConnectOptions, ActionError> {
    let target = params::target(call)?;
    // The parser's own words may repeat the address, password and all.
    let options = PgConnectOptions::from_str(target.url.expose())
        .map_err(|_| ActionError::Fatal(format!("target {}: its url is not a postgres:// address", target.name)))?;
    Ok(options.application_name("reynard action").statement_cache_capacity(0).disable_statement_logging())
}

/// A connection as any client gets it.
pub async fn connect(call: &Call) -> Result<PgConnection, ActionError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, options(call)?.connect()).await {
        Ok(connected) => connected.map_err(|error| fault(call, &error, ActionError::Retry)),
        Err(_) => Err(ActionError::Retry(format!("{} did not answer within {} s", params::target(call)?.name, CONNECT_TIMEOUT.as_secs()))),
    }
}

/// A connection that may write whatever the database's default is, and whose statements cannot hang.
pub async fn connect_to_change(call: &Call) -> Result<PgConnection, ActionError> {
    const SETTINGS: &str = "set default_transaction_read_only = off; set statement_timeout = '10s'; set lock_timeout = '5s'";
    let mut connection = connect(call).await?;
    sqlx::raw_sql(SETTINGS).execute(&mut connection).await.map_err(|error| fault(call, &error, ActionError::Retry))?;
    Ok(connection)
}

/// A session on the server, so that it can be ended from another one.
pub struct Session {
    id: i32,
    began: String,
}

pub async fn session(call: &Call, connection: &mut PgConnection) -> Result<Session, ActionError> {
    const QUERY: &str = "select pid, backend_start::text from pg_stat_activity where pid = pg_backend_pid()";
    let found: (i32, String) =
        sqlx::query_as(QUERY).fetch_one(connection).await.map_err(|error| fault(call, &error, ActionError::Retry))?;
    Ok(Session { id: found.0, began: found.1 })
}

/// Does something in a session that ends when it is cut off or has no time left: a query that nobody waits for would go on.
pub async fn while_it_may<T>(call: &Call, session: Session, work: impl Future<Output = Result<T, ActionError>>) -> Result<T, ActionError> {
    let why = tokio::select! {
        biased;
        done = work => return done,
        () = call.cut.made() => "cut off on request",
        () = tokio::time::sleep(call.timeout.saturating_sub(ENDING).max(call.timeout / 2)) => "it took too long",
    };
    let ended = match tokio::time::timeout(ENDING, end(call, &session)).await {
        Ok(Ok(true)) => "its session was ended",
        _ => "its session could not be ended",
    };
    let whom = &params::target(call)?.name;
    Err(ActionError::Unknown(format!("{whom}: {why}, {ended}; part of it may have happened")))
}

/// True if it is gone, by our hand or by itself.
async fn end(call: &Call, session: &Session) -> Result<bool, ActionError> {
    const END: &str = "
        select coalesce(bool_and(pg_terminate_backend(pid)), true)
          from pg_stat_activity
         where pid = $1
           and backend_start = $2::timestamptz";
    let mut connection = connect(call).await?;
    let ended = sqlx::query_scalar(END).bind(session.id).bind(&session.began).fetch_one(&mut connection).await;
    ended.map_err(|error| fault(call, &error, ActionError::Retry))
}

/// What an error means; `lost` is what a connection that broke means.
pub fn fault(call: &Call, error: &sqlx::Error, lost: fn(String) -> ActionError) -> ActionError {
    let whom = call.target.as_ref().map_or("the database", |target| target.name.as_str());
    let text = |words: &str| format!("{whom}: {}", without_password(call, words));
    let sqlx::Error::Database(database) = error else {
        return match error {
            sqlx::Error::Configuration(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
                ActionError::Fatal(text(&error.to_string()))
            }
            _ => lost(text(&error.to_string())),
        };
    };
    let words = text(database.message());
    let code = database.code().unwrap_or_default();
    match code.as_ref() {
        // Our own session was ended.
        "57P01" | "57P02" => lost(words),
        // Too many connections, starting up, a lock or a statement that took too long, a clash of transactions.
        code if ["53", "57", "55P03", "40", "08"].iter().any(|start| code.starts_with(start)) => ActionError::Retry(words),
        _ => ActionError::Fatal(words),
    }
}

/// Sessions that the connected role cannot see or cannot end stay as they are: better nothing is begun.
pub async fn may_end_sessions(call: &Call, connection: &mut PgConnection, everywhere: bool) -> Result<(), ActionError> {
    const QUERY: &str = "
        select count(*) filter (where a.backend_type is null),
               count(*) filter (
                   where not pg_has_role(current_user, a.usesysid, 'member')
                     and (r.rolsuper or not pg_has_role(current_user, 'pg_signal_backend', 'member')))
          from pg_stat_activity a
          join pg_roles r on r.oid = a.usesysid
         where coalesce(a.backend_type, 'client backend') = 'client backend'
           and a.pid <> pg_backend_pid()
           and ($1 or a.datname = current_database())";
    let counted: (i64, i64) =
        sqlx::query_as(QUERY).bind(everywhere).fetch_one(connection).await.map_err(|error| fault(call, &error, ActionError::Retry))?;
    let whom = &params::target(call)?.name;
    match counted {
        (0, 0) => Ok(()),
        (0, n) => Err(ActionError::Fatal(format!(
            "{whom}: nothing was changed: {n} sessions belong to roles whose sessions this one may not end (grant pg_signal_backend; for a superuser's sessions it takes a superuser)"
        ))),
        (n, _) => Err(ActionError::Fatal(format!(
            "{whom}: nothing was changed: {n} sessions are hidden from this role (grant pg_read_all_stats and pg_signal_backend)"
        ))),
    }
}

fn without_password(call: &Call, words: &str) -> String {
    let Some(target) = &call.target else { return words.to_owned() };
    let url = target.url.expose();
    let words = words.replace(url, "•••");
    match reqwest::Url::parse(url).ok().and_then(|url| url.password().map(str::to_owned)) {
        Some(password) if !password.is_empty() => words.replace(&password, "•••"),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::action::http::tests::call;
    use crate::domain::action::TargetKind;
    use crate::recorder::nobody;

    #[tokio::test]
    async fn nobody_there_is_tried_again_and_no_text_shows_the_password() {
        let url = nobody().await.replace("http://", "postgres://admin:hunter2@") + "/orders";
        let error = connect(&call(TargetKind::Postgres, &url, Value::Null)).await.unwrap_err();
        assert!(matches!(&error, ActionError::Retry(text) if text.contains("refused") && !text.contains("hunter2")), "{error}");
        let broken = call(TargetKind::Postgres, "postgres://admin:hunter2@[::/x", Value::Null);
        let error = connect(&broken).await.unwrap_err();
        assert!(matches!(&error, ActionError::Fatal(text) if !text.contains("hunter2")), "{error}");
    }
}
