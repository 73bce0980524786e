//! A mitigation is a lease: it ends at its time, though the process was dead then, with its incident, with its playbook's failure, or when a
//! person takes it back; and as long as it lasts the incident's page shows it with its end. The databases say what is in force.

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::parts::alert::{ends, fires};
use crate::parts::browser::Browser;
use crate::parts::house::settings;
use crate::parts::page::{fills, photographed, says};
use crate::parts::postgres::Postgres;
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::target::Target;
use crate::parts::wait::{seconds, wait_until};
use crate::real;

/// How each database's read-only mode ends.
const ENDS: [(&str, &str); 4] = [("tills", "on_resolve"), ("carts", "on_failure"), ("desks", "on_resolve"), ("lifts", "after 4s")];

fn playbook(database: &str, undo: &str) -> String {
    format!(
        "title: Protect {database}
on: {{ match: ['service=\"{database}\"'] }}
steps:
  - {{ id: protect, title: Stop the writes, action: postgres.read_only, target: {database}-db, undo: {undo} }}
  - {{ id: repair, title: Repair it, action: http.request, target: {database}, timeout: 5m, with: {{ method: POST, path: /repair }} }}
"
    )
}

struct Databases(Postgres);

impl Databases {
    async fn start() -> Result<Databases> {
        let postgres = Postgres::start().await?;
        let mut admin = postgres.connect("admin").await?;
        for (database, _) in ENDS {
            sqlx::raw_sql(AssertSqlSafe(format!("create database {database}"))).execute(&mut admin).await?;
        }
        Ok(Databases(postgres))
    }

    fn url(&self, database: &str) -> String {
        self.0.url("admin").replace("/postgres?", &format!("/{database}?"))
    }

    async fn is(&self, database: &str, wanted: &str) -> Result<()> {
        let found = async || {
            let mut session = PgConnection::connect(&self.url(database)).await?;
            let read_only: String = sqlx::query_scalar("show default_transaction_read_only").fetch_one(&mut session).await?;
            ensure!(read_only == wanted, "read-only is {read_only}");
            Ok(Some(()))
        };
        wait_until(&format!("read-only of {database} to be {wanted}"), seconds(15), found).await
    }
}

#[tokio::test]
async fn what_was_put_in_force_ends_by_time_by_resolve_by_failure_and_by_hand() -> Result<()> {
    if !real("what_was_put_in_force_ends") {
        return Ok(());
    }
    let (databases, target, pager, browser) =
        (Databases::start().await?, Target::start().await?, Recorder::start().await?, Browser::start().await?);
    let line = |database: &str| format!("  {database}-db: {{ kind: postgres, url: '{}', service: {database} }}\n", databases.url(database));
    let targets: String = ENDS.iter().map(|(database, _)| line(database) + &target.line(database, database)).collect();
    let texts = ENDS.map(|(database, undo)| (database, playbook(database, undo)));
    let playbooks = texts.each_ref().map(|(slug, text)| (*slug, text.as_str()));
    let settings = settings(&pager, &targets, "limits: { correlated: 100% }\n");
    let mut reynard = Reynard::start(Setup { settings: &settings, playbooks: &playbooks, environment: &[] }).await?;

    target.holds();
    for (calls, (database, ends)) in (1..).zip([("tills", "on_resolve"), ("carts", "on_failure"), ("desks", "on_resolve")]) {
        in_force(&reynard, database, ends).await?;
        databases.is(database, "on").await?;
        target.is_called(calls).await?;
    }
    taken_back_by_hand(&reynard, &browser, &databases).await?;
    drop(browser);

    // The time of this one passes while there is nobody to look at the clock.
    let lifts = in_force(&reynard, "lifts", "at").await?;
    let page = reynard.text(&format!("/incidents/{}", lifts["number"])).await?;
    ensure!(page.contains("In force now") && page.contains("is taken back") && page.contains("Take back now"), "{page}");
    let ends_at = lifts["in_force"][0]["ends_at"].as_str().context("it has an end")?.parse::<chrono::DateTime<chrono::Utc>>()?;
    target.is_called(4).await?;
    reynard.dies();
    wait_until("its time to pass", seconds(10), async || Ok((chrono::Utc::now() > ends_at).then_some(()))).await?;
    databases.is("lifts", "on").await?;
    target.lets_go();
    reynard.starts_again().await?;
    databases.is("lifts", "off").await?;
    let lifts = reynard.incident_of("lifts", "with nothing in force", |incident| incident["in_force"] == json!([])).await?;
    reynard.tells(&lifts, "\"Stop the writes\" was undone").await?;
    ensure!(lifts["status"] == "triggered", "and the incident goes on");

    // With its incident; its step that was cut off is in doubt and holds nothing up.
    reynard.hears(&ends("Trouble", "tills")).await?;
    reynard.incident_of("tills", "over", |incident| incident["status"] == "resolved").await?;
    databases.is("tills", "off").await?;
    // With its playbook's failure: a person says that the repair did not happen.
    target.answers(StatusCode::UNPROCESSABLE_ENTITY);
    databases.is("carts", "on").await?;
    let carts = reynard.incident_of("carts", "there", |_| true).await?;
    let run = carts["runs"][0]["id"].as_str().context("a run")?;
    reynard.asks(&format!("/api/v1/runs/{run}/steps/repair/retry"), &json!({ "note": "it did not run", "by": "ana" })).await?;
    databases.is("carts", "off").await?;
    reynard
        .incident_of("carts", "given up", |incident| incident["runs"][0]["status"] == "failed" && incident["in_force"] == json!([]))
        .await?;
    Ok(())
}

/// The database's incident, once it says what is in force, and that it ends in this way.
async fn in_force(reynard: &Reynard, database: &str, ends: &str) -> Result<Value> {
    reynard.hears(&fires("Trouble", database)).await?;
    reynard.incident_of(database, "protected", |incident| incident["in_force"][0]["ends"] == ends).await
}

async fn taken_back_by_hand(reynard: &Reynard, browser: &Browser, databases: &Databases) -> Result<()> {
    let desks = reynard.incident_of("desks", "there", |_| true).await?;
    browser.open(&format!("{}/incidents/{}", reynard.url, desks["number"])).await?;
    for words in ["in force now", "stop the writes", "postgres.read_only on desks-db", "until the incident is resolved"] {
        says(browser, "#in-force", words).await?;
    }
    photographed(browser, "#in-force", "in-force").await?;
    browser.press("#in-force a.button").await?;
    says(browser, "main", "take “stop the writes” back now?").await?;
    fills(browser, ".confirm", "ana", "the cause is gone").await?;
    photographed(browser, ".confirm", "take-back").await?;
    browser.press(".confirm button.danger").await?;
    databases.is("desks", "off").await?;
    ensure!(browser.complaints().await?.is_empty());
    reynard.tells(&desks, "ana takes \"Stop the writes\" back now: the cause is gone").await?;
    Ok(())
}
