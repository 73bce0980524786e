//! `postgres.pool_reset`: ends sessions that have done nothing for long. Never its own, and never one at work.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::params;
use crate::action::postgres::{connect_to_change, fault, may_end_sessions, session, while_it_may};
use crate::domain::action::{Field, OnInterrupt, Param, ParamType, Performer, Spec, TargetKind};
use crate::domain::time::Span;
use crate::engine::ports::{Action, ActionError, Call};

pub const SPEC: Spec = Spec {
    name: "postgres.pool_reset",
    doc: "Ends a database's idle sessions, those idle in a transaction too.",
    performer: Performer::Worker,
    destructive: true,
    on_interrupt: OnInterrupt::Ask,
    targets: &[TargetKind::Postgres],
    params: &[
        Param::optional("idle_for", ParamType::Span, "idle at least this long").default("5m"),
        Param::optional("application", ParamType::Text, "only sessions with this application_name"),
    ],
    undoable: false,
    output: &[Field::number("terminated", "how many sessions were ended")],
};

/// Found and ended in one statement, so that none can go to work in between. Reynard's own sessions are not idle, they wait.
const END_IDLE: &str = "
    select count(*) filter (where pg_terminate_backend(pid))
      from pg_stat_activity
     where backend_type = 'client backend'
       and datname = current_database()
       and pid <> pg_backend_pid()
       and state like 'idle%'
       and state_change <= clock_timestamp() - make_interval(secs => $1)
       and application_name not like 'reynard%'
       and ($2::text is null or application_name = $2)";

/// The action.
pub struct PostgresPoolReset;

#[derive(Deserialize)]
struct Params {
    #[serde(default = "five_minutes")]
    idle_for: Span,
    application: Option<String>,
}

fn five_minutes() -> Span {
    Span::minutes(5)
}

#[async_trait]
impl Action for PostgresPoolReset {
    fn spec(&self) -> Spec {
        SPEC
    }

    async fn perform(&self, call: &Call) -> Result<Value, ActionError> {
        let params: Params = params::read(call)?;
        let mut connection = connect_to_change(call).await?;
        let session = session(call, &mut connection).await?;
        let work = async {
            may_end_sessions(call, &mut connection, false).await?;
            let seconds = params.idle_for.to_std().as_secs_f64();
            let ended = sqlx::query_scalar(END_IDLE).bind(seconds).bind(params.application).fetch_one(&mut connection).await;
            ended.map_err(|error| fault(call, &error, ActionError::Unknown))
        };
        let ended: i64 = while_it_may(call, session, work).await?;
        Ok(json!({ "terminated": ended }))
    }
}
