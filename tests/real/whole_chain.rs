//! The main job from end to end: a rule fires, Reynard protects the database and tells a person, the person acknowledges,
//! the cause goes away and so does the protection.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::parts::alertmanager::Alertmanager;
use crate::parts::gauge::Gauge;
use crate::parts::postgres::Postgres;
use crate::parts::prometheus::Prometheus;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::smtp::Smtp;
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const RULES: &str = r#"
groups:
  - name: story
    rules:
      - alert: DatabaseConnectionFailure
        expr: pg_up == 0
        labels: { severity: critical }
        annotations: { summary: "{{ $labels.service }} cannot reach its database", error_rate: "0.82" }
"#;

const PLAYBOOK: &str = r#"
title: Database connection failure
on: { type: database_connection_failure, priority: [P1, P2] }
steps:
  - id: protect
    title: Make orders read-only
    when: incident.priority == "P1"
    action: postgres.read_only
    target: orders-db
    undo: on_resolve
  - id: tell
    action: notify
    with: { to: [on-call], template: incident-opened }
"#;

const STORY: [&str; 11] = [
    "opened",
    "classified",
    "run_started",
    "step_started",
    "step_succeeded",
    "step_started",
    "step_succeeded",
    "run_succeeded",
    "acknowledged",
    "alert_resolved",
    "resolved",
];

#[tokio::test]
async fn the_whole_chain() -> Result<()> {
    if !real("the_whole_chain") {
        return Ok(());
    }
    let (gauge, smtp, postgres) = (Gauge::start().await?, Smtp::start_tls().await?, Postgres::start().await?);
    let (mut idle, mut busy) = open_sessions(&postgres).await?;
    let settings = settings(smtp.port);
    let playbooks = [("database_connection_failure", PLAYBOOK)];
    let admin = postgres.url("admin");
    let certificate = smtp.certificate().to_string_lossy().into_owned();
    let environment = [("ORDERS_ADMIN_URL", admin.as_str()), ("SSL_CERT_FILE", certificate.as_str())];
    let reynard = Reynard::start(Setup { settings: &settings, playbooks: &playbooks, environment: &environment }).await?;
    let alertmanager = Alertmanager::start(&format!("{}/", reynard.url)).await?;
    gauge.set("pg_up{service=\"orders\"}", 0.0);
    let _prometheus = Prometheus::start(gauge.address, &[alertmanager.address], RULES).await?;

    let fallen = Instant::now();
    let run_succeeded = async || Ok(reynard.incident().await?.filter(|incident| incident["runs"][0]["status"] == "succeeded"));
    let incident = wait_until("the playbook to end well", seconds(30), run_succeeded).await?;
    assert_eq!(incident["priority"], "P1");
    assert_eq!(incident["type"], "database_connection_failure");
    assert_eq!(incident["service"], "orders");
    let id = incident["id"].as_str().context("an id")?;

    order(&mut idle).await.expect_err("a session that was open must not write");
    order_and_commit(&mut busy).await.expect_err("a transaction that was open must not be committed with what it writes now");
    let back_at_once = order(&mut postgres.connect("shop").await?).await.expect_err("nor must one that comes back at once");
    assert!(format!("{back_at_once:#}").contains("read-only transaction"), "{back_at_once:#}");
    assert_eq!(orders(&postgres).await?, 1, "nothing was written after the one order before");

    let mail = wait_until("the mail", seconds(15), async || Ok(smtp.mails()?.into_iter().next())).await?;
    assert!(mail.contains("ana@example.com") && mail.contains("P1"), "{mail}");

    seen(fallen, "the database is read-only and the mail was received");
    reynard.post(&format!("/api/v1/incidents/{id}/acknowledge")).await?;
    assert_eq!(reynard.get(&format!("/api/v1/incidents/{id}")).await?["status"], "acknowledged");

    gauge.set("pg_up{service=\"orders\"}", 1.0);
    let risen = Instant::now();
    let resolved = async || Ok(reynard.incident().await?.filter(|incident| incident["status"] == "resolved"));
    wait_until("the incident to be resolved", seconds(30), resolved).await?;
    seen(risen, "the incident is resolved");
    let written = async || Ok(Some(order(&mut postgres.connect("shop").await?).await?));
    wait_until("writes to be back", seconds(15), written).await?;
    seen(risen, "writes are back");
    assert_eq!(orders(&postgres).await?, 2);

    let undone = async || Ok(Some(reynard.timeline(id).await?).filter(|entries| kinds(entries).contains(&"step_undone")));
    let timeline = wait_until("the undo on the timeline", seconds(15), undone).await?;
    assert!(tells(&timeline, &STORY), "{:?}", kinds(&timeline));
    assert!(timeline.iter().zip(1..).all(|(entry, number)| entry["seq"] == number), "the numbers have a gap");
    Ok(())
}

/// What the action has to bring about, by hand: it shows that the story's measure can be met, and how.
#[tokio::test]
async fn read_only_mode_reaches_sessions_that_are_open() -> Result<()> {
    if !real("read_only_mode_reaches_sessions_that_are_open") {
        return Ok(());
    }
    let postgres = Postgres::start().await?;
    let (mut idle, mut busy) = open_sessions(&postgres).await?;
    let mut admin = postgres.connect("admin").await?;

    set_read_only(&postgres, &mut admin, "on").await?;
    let within_transactions = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid() and xact_start is not null";
    sqlx::raw_sql(within_transactions).execute(&mut admin).await?;
    let refused = order(&mut idle).await.expect_err("a session that was open must not write");
    assert!(format!("{refused:#}").contains("read-only transaction"), "{refused:#}");
    order_and_commit(&mut busy).await.expect_err("a transaction that was open must not be committed with what it writes now");
    assert_eq!(orders(&postgres).await?, 1);

    set_read_only(&postgres, &mut admin, "off").await?;
    order(&mut idle).await?;
    assert_eq!(orders(&postgres).await?, 2);
    Ok(())
}

/// A new session sees the setting only after the server has told all open ones.
async fn set_read_only(postgres: &Postgres, admin: &mut PgConnection, value: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(format!("alter system set default_transaction_read_only = {value}"))).execute(&mut *admin).await?;
    sqlx::raw_sql("select pg_reload_conf()").execute(admin).await?;
    let told = async || {
        let shown: String =
            sqlx::query_scalar("show default_transaction_read_only").fetch_one(&mut postgres.connect("shop").await?).await?;
        Ok((shown == value).then_some(()))
    };
    wait_until("a new session to see the setting", seconds(5), told).await
}

fn settings(smtp_port: u16) -> String {
    format!(
        r#"
incidents: {{ settle: 1s }}
people: {{ ana: {{ email: ana@example.com, notify: [ {{ channel: email }} ] }} }}
on_call: {{ schedules: {{ primary: {{ time_zone: UTC, rotations: [ {{ people: [ana], handoff: "0 9 * * MON" }} ] }} }} }}
channels: {{ email: {{ kind: email, smtp: "smtp://localhost:{smtp_port}?tls=required", from: alerts@example.com }} }}
targets: {{ orders-db: {{ kind: postgres, url: "${{env:ORDERS_ADMIN_URL}}", service: orders }} }}
"#
    )
}

/// Two sessions of an ordinary role from before the incident: one idle, one amid a transaction that has written.
async fn open_sessions(postgres: &Postgres) -> Result<(PgConnection, PgConnection)> {
    let mut admin = postgres.connect("admin").await?;
    let prepare = "create role shop login; create table orders (id bigint generated always as identity); alter table orders owner to shop";
    sqlx::raw_sql(prepare).execute(&mut admin).await?;
    let (mut idle, mut busy) = (postgres.connect("shop").await?, postgres.connect("shop").await?);
    order(&mut idle).await?;
    sqlx::raw_sql("begin").execute(&mut busy).await?;
    order(&mut busy).await?;
    Ok((idle, busy))
}

async fn order(session: &mut PgConnection) -> Result<()> {
    sqlx::raw_sql("insert into orders default values").execute(session).await?;
    Ok(())
}

async fn order_and_commit(session: &mut PgConnection) -> Result<()> {
    order(session).await?;
    sqlx::raw_sql("commit").execute(session).await?;
    Ok(())
}

async fn orders(postgres: &Postgres) -> Result<i64> {
    let mut admin = postgres.connect("admin").await?;
    let count = sqlx::query_scalar("select count(*) from orders").fetch_one(&mut admin).await?;
    admin.close().await?;
    Ok(count)
}

fn seen(since: Instant, what: &str) {
    println!("{:5.1} s  {what}", since.elapsed().as_secs_f64());
}

fn kinds(timeline: &[Value]) -> Vec<&str> {
    timeline.iter().filter_map(|entry| entry["kind"].as_str()).collect()
}

/// Whether these kinds happened in this order, whatever else happened between them.
fn tells(timeline: &[Value], story: &[&str]) -> bool {
    let mut happened = kinds(timeline).into_iter();
    story.iter().all(|wanted| happened.any(|kind| kind == *wanted))
}
