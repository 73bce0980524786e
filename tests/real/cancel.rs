//! A run is cancelled while a step of it changes a PostgreSQL: its session is ended there, so that nothing goes on that nobody waits for,
//! the timeline says what is known, and what may be in force is taken back.

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};

use crate::parts::alert::fires;
use crate::parts::house::settings;
use crate::parts::postgres::Postgres;
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const PLAYBOOK: &str = r#"
title: Protect
on: { match: ['alertname="OrdersDown"'] }
steps:
  - { id: protect, title: Stop the writes, action: postgres.read_only, target: orders-db, timeout: 1m, undo: on_resolve }
"#;

/// The statement gives up by itself after 5 s of waiting: whoever is gone before was ended.
const GONE_WITHIN: u64 = 3;

#[tokio::test]
async fn a_cancelled_run_leaves_no_session_behind_that_goes_on_changing_the_database() -> Result<()> {
    if !real("a_cancelled_run_leaves_no_session_behind") {
        return Ok(());
    }
    let (postgres, pager) = (Postgres::start().await?, Recorder::start().await?);
    let mut other = postgres.connect("admin").await?;
    sqlx::raw_sql("create database orders").execute(&mut other).await?;
    let orders = postgres.url("admin").replace("/postgres?", "/orders?");
    let target = format!("  orders-db: {{ kind: postgres, url: '{orders}', service: orders }}\n");
    let settings = settings(&pager, &target, "");
    let reynard = Reynard::start(Setup { settings: &settings, playbooks: &[("protect", PLAYBOOK)], environment: &[] }).await?;

    // Somebody else has the same setting in hand: the step's statement waits for them.
    sqlx::raw_sql("begin; alter database orders set default_transaction_read_only = off").execute(&mut other).await?;
    reynard.hears(&fires("OrdersDown", "orders")).await?;
    let mut looker = postgres.connect("admin").await?;
    let session = wait_until("its statement to wait", seconds(15), async || waits(&mut looker).await).await?;
    let incident = reynard.incident_of("orders", "there", |_| true).await?;
    let run = incident["runs"][0]["id"].as_str().context("it has a run")?;
    reynard.post(&format!("/api/v1/runs/{run}/cancel")).await?;
    wait_until("its session to be gone", seconds(GONE_WITHIN), async || Ok((!is_there(&mut looker, session).await?).then_some(()))).await?;
    sqlx::raw_sql("rollback").execute(&mut other).await?;

    reynard
        .tells(&incident, "\"Stop the writes\" failed: orders-db: cut off on request, its session was ended; part of it may have happened")
        .await?;
    reynard.tells(&incident, "\"Stop the writes\" was undone").await?;
    let kinds: Vec<String> = reynard.timeline(id_of(&incident)?).await?.iter().map(|entry| entry["kind"].to_string()).collect();
    let place =
        |kind: &str| kinds.iter().position(|known| known == &format!("\"{kind}\"")).with_context(|| format!("no {kind}: {kinds:?}"));
    ensure!(place("run_cancelled")? < place("step_failed")? && place("step_failed")? < place("step_undone")?, "{kinds:?}");
    let mut orders = PgConnection::connect(&orders).await?;
    let now: String = sqlx::query_scalar("show default_transaction_read_only").fetch_one(&mut orders).await?;
    ensure!(now == "off", "nothing of it is left in force: {now}");
    Ok(())
}

fn id_of(incident: &serde_json::Value) -> Result<&str> {
    incident["id"].as_str().context("an incident has an id")
}

/// The session in which the step's statement waits for a lock.
async fn waits(looker: &mut PgConnection) -> Result<Option<i32>> {
    const WAITS: &str = "
        select pid
          from pg_stat_activity
         where application_name = 'reynard action'
           and wait_event_type = 'Lock'
           and query like 'alter database%'";
    Ok(sqlx::query_scalar(WAITS).fetch_optional(looker).await?)
}

async fn is_there(looker: &mut PgConnection, session: i32) -> Result<bool> {
    let there = "select exists (select from pg_stat_activity where pid = $1 and application_name = 'reynard action')";
    Ok(sqlx::query_scalar(there).bind(session).fetch_one(looker).await?)
}
