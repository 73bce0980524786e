//! Exit code 0 is no recovery: a playbook looks at a real Prometheus whether the trouble is over. If not, what can be taken back is, the
//! next level is told, and nothing closes by itself; if so, the run is verified, also when the process was killed while it looked.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::parts::alert::{ends, fires};
use crate::parts::browser::Browser;
use crate::parts::gauge::Gauge;
use crate::parts::house::{is_told, settings};
use crate::parts::page::{photographed, says};
use crate::parts::postgres::Postgres;
use crate::parts::prometheus::Prometheus;
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const PLAYBOOK: &str = r#"
title: Bring it back
on: { match: ['alertname="OrdersDown"'] }
recovered: { target: prom, query: 'pg_up{service="{{ incident.service }}"} == 1', for: 1s, within: 5s }
steps:
  - { id: protect, title: Stop the writes, action: postgres.read_only, target: orders-db, undo: on_resolve }
  - { id: restart, title: Restart the unit, action: command.run, with: { command: restart } }
"#;

#[tokio::test]
async fn that_a_program_ended_well_is_no_recovery_but_what_prometheus_says_is() -> Result<()> {
    if !real("that_a_program_ended_well_is_no_recovery") {
        return Ok(());
    }
    let (gauge, postgres, pager, browser) =
        (Gauge::start().await?, Postgres::start().await?, Recorder::start().await?, Browser::start().await?);
    let series = |service: &str| format!("pg_up{{service=\"{service}\"}}");
    gauge.set(&series("orders"), 0.0);
    gauge.set(&series("users"), 0.0);
    let prometheus = Prometheus::start(gauge.address, &[], "groups: []\n").await?;
    let known = async || Ok((prometheus.query("pg_up").await?.len() == 2).then_some(()));
    wait_until("the numbers", seconds(20), known).await?;
    let targets = format!(
        "  orders-db: {{ kind: postgres, url: '{}', service: orders }}\n  prom: {{ kind: prometheus, url: '{}' }}\n",
        postgres.url("admin"),
        prometheus.url
    );
    let settings = settings(&pager, &targets, "commands: { restart: { program: /bin/true } }\nlimits: { correlated: 100% }\n");
    let mut reynard = Reynard::start(Setup { settings: &settings, playbooks: &[("bring_back", PLAYBOOK)], environment: &[] }).await?;

    reynard.hears(&fires("OrdersDown", "orders")).await?;
    looks(&reynard, "orders").await?;
    assert_eq!(read_only(&postgres).await?, "on");
    let failed = reynard.incident_of("orders", "given up", |incident| incident["runs"][0]["status"] == "failed").await?;
    assert_eq!(reynard.step(&failed, "restart").await?["output"]["exit_code"], 0);
    reynard.tells(&failed, "Playbook bring_back failed: the trouble is not over: not met within 5s").await?;
    reynard.tells(&failed, "\"Stop the writes\" was undone").await?;
    assert_eq!(read_only(&postgres).await?, "off");
    is_told(&pager, "lead", "the trouble is not over").await?;
    browser.open(&format!("{}/incidents/{}", reynard.url, failed["number"])).await?;
    says(&browser, "#machine", "the trouble is not over: not met within 5s").await?;
    photographed(&browser, "#machine", "not-recovered").await?;
    reynard.hears(&ends("OrdersDown", "orders")).await?;
    reynard.tells(&failed, "1 alert resolved").await?;

    reynard.hears(&fires("OrdersDown", "users")).await?;
    looks(&reynard, "users").await?;
    reynard.dies();
    reynard.starts_again().await?;
    gauge.set(&series("users"), 1.0);
    let verified = reynard.incident_of("users", "there", |_| true).await?;
    let entry = reynard.tells(&verified, "; the trouble is over").await?;
    assert_eq!((&entry["kind"], &entry["data"]["verified"]), (&Value::from("run_succeeded"), &Value::from(true)));
    assert_eq!(read_only(&postgres).await?, "on", "it protects until the incident is over");
    reynard.hears(&ends("OrdersDown", "users")).await?;
    reynard.incident_of("users", "over", |incident| incident["status"] == "resolved").await?;
    reynard.tells(&verified, "\"Stop the writes\" was undone").await?;
    assert_eq!(read_only(&postgres).await?, "off");
    let kept = reynard.incident_of("orders", "kept open", |_| true).await?;
    ensure!(kept["status"] == "triggered", "a person has the last word after a no, though nothing fires: {kept:#}");
    Ok(())
}

/// Waits until the incident's run has begun to look.
async fn looks(reynard: &Reynard, service: &str) -> Result<()> {
    let incident = reynard.incident_of(service, "there", |_| true).await?;
    wait_until("it to look", seconds(15), async || {
        let step = reynard.step(&incident, "recovered").await?;
        ensure!(step["status"] == "running" || step["status"] == "waiting", "it is {step:#}");
        Ok(Some(()))
    })
    .await
}

async fn read_only(postgres: &Postgres) -> Result<String> {
    Ok(sqlx::query_scalar("show default_transaction_read_only").fetch_one(&mut postgres.connect("admin").await?).await?)
}
