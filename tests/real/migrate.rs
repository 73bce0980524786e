//! A SQLite installation moves to PostgreSQL: its whole history is there, and what was under way goes on.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::load::body;
use crate::parts::http;
use crate::parts::postgres::Postgres;
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const PLAYBOOK: &str = "
title: Wait, then poke
on: { type: service_down }
steps:
  - { id: pause, wait: 20s }
  - { id: poke, action: http.request, target: shop, with: { method: POST, path: /poke, json: { service: '{{ incident.service }}' } } }
";

#[tokio::test]
async fn a_history_moves_to_postgresql_whole_and_goes_on_there() -> Result<()> {
    if !real("a_history_moves_to_postgresql_whole_and_goes_on_there") {
        return Ok(());
    }
    let (postgres, shop) = (Postgres::start().await?, Recorder::start().await?);
    let settings = format!("targets: {{ shop: {{ kind: http, url: 'http://{}' }} }}\n", shop.address);
    let playbooks = [("service_down", PLAYBOOK)];
    let setup = Setup { settings: &settings, playbooks: &playbooks, environment: &[] };
    let mut before = Reynard::start(setup).await?;
    lives(&before).await?;

    let to = postgres.url("admin");
    let taken = migrates(&before, &to).await?;
    ensure!(taken.status.code() == Some(2) && said(&taken).contains("in use by another Reynard"), "{}", said(&taken));
    let timelines = timelines(&before).await?;
    ensure!(before.process.end("TERM"), "it stops");
    let moved = migrates(&before, &to).await?;
    println!("         {}", said(&moved).lines().next().unwrap_or_default());
    ensure!(moved.status.success() && said(&moved).contains("everything fits"), "{}", said(&moved));
    ensure!(!said(&moved).contains('\r'), "a pipe sees no bar: {}", said(&moved));
    let again = migrates(&before, &to).await?;
    ensure!(again.status.code() == Some(2) && said(&again).contains("not empty"), "{}", said(&again));

    let environment = [("REYNARD_DATABASE_URL", to.as_str())];
    let after = Reynard::start(Setup { environment: &environment, ..setup }).await?;
    for (id, timeline) in &timelines {
        let now = after.timeline(id).await?;
        ensure!(now.starts_with(timeline), "incident {id} is told as before, and goes on from there");
    }
    wait_until("the run that was under way to go on", seconds(40), async || Ok((shop.bodies().len() == 2).then_some(()))).await?;
    http::client().post(format!("{}/", after.url)).json(&body("afterwards")).send().await?.error_for_status()?;
    let newest = after.incident().await?.context("an incident")?;
    ensure!(newest["service"] == "afterwards" && newest["number"] == 4, "numbers go on: {newest}");
    let verified = after.command(&["verify", "--database-url", &to]).await?;
    ensure!(verified.status.success(), "{}", said(&verified));
    let used = migrates(&before, &to).await?;
    ensure!(used.status.code() == Some(2) && said(&used).contains("a Reynard is active on the target"), "{}", said(&used));
    Ok(())
}

/// Alerts that fire and end, people that act, and runs that wait in the middle.
async fn lives(reynard: &Reynard) -> Result<()> {
    for service in ["orders", "größer ' \\ {}", "gone"] {
        http::client().post(format!("{}/", reynard.url)).json(&body(service)).send().await?.error_for_status()?;
    }
    let open = async || {
        let items = reynard.get("/api/v1/incidents").await?["items"].as_array().cloned().unwrap_or_default();
        Ok((items.len() == 3).then_some(items))
    };
    let incidents = wait_until("three incidents", seconds(10), open).await?;
    let act = async |number: &Value, verb: &str, wish: Value| -> Result<()> {
        let call = http::client().post(format!("{}/api/v1/incidents/{number}/{verb}", reynard.url)).header("idempotency-key", "once");
        call.json(&wish).send().await?.error_for_status()?;
        Ok(())
    };
    act(&incidents[0]["number"], "comment", json!({"text": "a word 😀 \\u0000"})).await?;
    act(&incidents[1]["number"], "acknowledge", json!({})).await?;
    let gone = incidents.iter().find(|incident| incident["service"] == "gone").context("it is there")?;
    act(&gone["number"], "resolve", json!({})).await?;
    tokio::time::timeout(Duration::from_secs(5), async {
        while !reynard
            .timeline(gone["id"].as_str().unwrap_or_default())
            .await
            .is_ok_and(|log| log.iter().any(|e| e["kind"] == "run_cancelled"))
        {
            tokio::task::yield_now().await;
        }
    })
    .await
    .context("its run is cancelled")
}

/// Every incident's log, by its id.
async fn timelines(reynard: &Reynard) -> Result<Vec<(String, Vec<Value>)>> {
    let mut told = Vec::new();
    for incident in reynard.get("/api/v1/incidents").await?["items"].as_array().context("a list")? {
        let id = incident["id"].as_str().context("an id")?.to_owned();
        told.push((id.clone(), reynard.timeline(&id).await?));
    }
    Ok(told)
}

async fn migrates(reynard: &Reynard, to: &str) -> Result<Output> {
    reynard.command(&["migrate", "--to", to]).await
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
