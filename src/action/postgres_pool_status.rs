//! `postgres.pool_status`: how a database's connections are used. Changes nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::action::postgres::{connect_to_change, fault};
use crate::domain::action::{Field, OnInterrupt, ParamType, Performer, Spec, TargetKind};
use crate::engine::ports::{Action, ActionError, Call};

pub const SPEC: Spec = Spec {
    name: "postgres.pool_status",
    doc: "Counts a database's sessions by what they do.",
    performer: Performer::Worker,
    destructive: false,
    on_interrupt: OnInterrupt::Retry,
    targets: &[TargetKind::Postgres],
    params: &[],
    undoable: false,
    output: &[
        Field::of("sessions", ParamType::Json, "this database's sessions by state: active, idle, idle in transaction, hidden …"),
        Field::number("used", "connections in use on the whole server"),
        Field::number("max", "the most there may be"),
        Field::number("used_percent", "used of max"),
        Field::number("longest_idle_in_transaction_seconds", "the oldest idle transaction, or null"),
    ],
};

const SESSIONS: &str = "
    select coalesce(state, 'hidden'), count(*)
      from pg_stat_activity
     where datname = current_database()
       and usesysid is not null
       and pid <> pg_backend_pid()
     group by 1";

const SERVER: &str = "
    select (select sum(numbackends)::bigint from pg_stat_database),
           current_setting('max_connections')::bigint,
           (select extract(epoch from max(clock_timestamp() - state_change))::float8
              from pg_stat_activity
             where datname = current_database()
               and state like 'idle in transaction%')";

/// The action.
pub struct PostgresPoolStatus;

#[async_trait]
impl Action for PostgresPoolStatus {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        let lost = |error| fault(call, &error, ActionError::Retry);
        let mut connection = connect_to_change(call).await?;
        let sessions: Vec<(String, i64)> = sqlx::query_as(SESSIONS).fetch_all(&mut connection).await.map_err(lost)?;
        let (used, max, idle): (i64, i64, Option<f64>) = sqlx::query_as(SERVER).fetch_one(&mut connection).await.map_err(lost)?;
        let sessions: BTreeMap<String, i64> = sessions.into_iter().collect();
        Ok(json!({
            "sessions": sessions,
            "used": used,
            "max": max,
            "used_percent": 100 * used / max.max(1),
            "longest_idle_in_transaction_seconds": idle,
        }))
    }
}
