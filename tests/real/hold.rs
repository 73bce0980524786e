//! The red switch with the released binary: a recording target sees nothing from the hold's answer on, whoever holds, and also from
//! another node over the shared database; the release begins what waited.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::parts::postgres::Postgres;
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const PLAYBOOK: &str = "
title: Poke
on: { type: service_down }
steps:
  - { id: poke, action: http.request, target: shop, with: { method: POST, path: /poke, json: { service: '{{ incident.service }}' } } }
";

const PLAYBOOKS: [(&str, &str); 1] = [("service_down", PLAYBOOK)];

fn settings(shop: &Recorder) -> String {
    format!("incidents: {{ settle: 1s, reopen_within: 0s }}\ntargets: {{ shop: {{ kind: http, url: 'http://{}' }} }}\n", shop.address)
}

/// The newest incident, once its timeline says this.
async fn told(reynard: &Reynard, kind: &str) -> Result<Value> {
    wait_until(&format!("{kind} on the timeline"), seconds(15), async || {
        let Some(incident) = reynard.incident().await? else { return Ok(None) };
        let entries = reynard.timeline(incident["id"].as_str().unwrap_or_default()).await?;
        Ok(entries.iter().any(|entry| entry["kind"] == kind).then_some(incident))
    })
    .await
}

async fn poked(shop: &Recorder, times: usize) -> Result<()> {
    wait_until("the target to be poked", seconds(15), async || Ok((shop.bodies().len() == times).then_some(()))).await
}

async fn automation(reynard: &Reynard, word: &str) -> Result<Value> {
    wait_until(&format!("automation to be {word}"), seconds(15), async || {
        let said = reynard.get("/api/v1/automation").await?;
        Ok((said["automation"] == word).then_some(said))
    })
    .await
}

#[tokio::test]
async fn held_by_the_command_line_or_by_a_file_nothing_reaches_the_target() -> Result<()> {
    if !real("held_by_the_command_line_or_by_a_file") {
        return Ok(());
    }
    let shop = Recorder::start().await?;
    let reynard = Reynard::start(Setup { settings: &settings(&shop), playbooks: &PLAYBOOKS, environment: &[] }).await?;
    reynard.fire("service-down").await?;
    poked(&shop, 1).await?;

    let (good, said) = reynard.asked_to(&["hold", "--by", "ana", "--reason", "the pokes make it worse"]).await?;
    ensure!(good && said.contains("Automation is held.") && said.contains("by ana"), "{said}");
    reynard.asked_to(&["fire", "service-down", "--resolve"]).await?;
    wait_until("the first incident's end", seconds(15), async || {
        Ok(reynard.incident().await?.filter(|incident| incident["status"] == "resolved"))
    })
    .await?;
    reynard.fire("service-down").await?;
    let second = async || Ok(reynard.incident().await?.filter(|incident| incident["number"] == 2));
    wait_until("a second incident", seconds(15), second).await?;
    told(&reynard, "limit_hit").await?;
    told(&reynard, "automation_held").await?;
    ensure!(shop.bodies().len() == 1, "nothing reached the target: {:?}", shop.bodies());

    reynard.write("data/HOLD", "bo: no page from here\n")?;
    wait_until("the file to be seen", seconds(10), async || {
        let said = reynard.get("/api/v1/automation").await?;
        Ok(said["holds"].as_array().is_some_and(|holds| holds.len() == 2).then_some(()))
    })
    .await?;
    let (good, said) = reynard.asked_to(&["release", "--by", "ana", "--reason", "fixed"]).await?;
    ensure!(good && said.contains("Automation is held.") && said.contains("bo: no page from here"), "the file still holds: {said}");
    let (good, said) = reynard.asked_to(&["release", "--by", "ana", "--reason", "fixed"]).await?;
    ensure!(!good && said.contains("HOLD"), "and no person lifts it: {said}");
    ensure!(shop.bodies().len() == 1, "nothing reached the target: {:?}", shop.bodies());
    reynard.remove("data/HOLD")?;
    automation(&reynard, "live").await?;
    poked(&shop, 2).await?;
    told(&reynard, "automation_released").await?;
    Ok(())
}

#[tokio::test]
async fn a_node_that_takes_over_finds_automation_held() -> Result<()> {
    if !real("a_node_that_takes_over_finds_automation_held") {
        return Ok(());
    }
    let (postgres, shop) = (Postgres::start().await?, Recorder::start().await?);
    let url = postgres.url("admin");
    let environment = [("REYNARD_DATABASE_URL", url.as_str())];
    let settings = settings(&shop);
    let setup = Setup { settings: &settings, playbooks: &PLAYBOOKS, environment: &environment };
    let a = Reynard::start(setup).await?;
    let b = Reynard::node(setup).await?;
    let (good, said) = a.asked_to(&["hold", "--by", "ana", "--reason", "no"]).await?;
    ensure!(good, "{said}");
    ensure!(b.text("/incidents").await?.contains("<b>Automation is held</b> by ana"), "whoever stands by says so, too");
    let (good, said) = b.asked_to(&["release", "--by", "bo", "--reason", "go"]).await?;
    ensure!(!good && said.contains("stands by"), "it is released where the work is done: {said}");
    a.process.signal("KILL");
    wait_until("the other node to be ready", seconds(15), async || Ok(b.is_ready().await.then_some(()))).await?;
    b.fire("service-down").await?;
    told(&b, "limit_hit").await?;
    ensure!(shop.bodies().is_empty(), "nothing reached the target: {:?}", shop.bodies());
    let (good, said) = b.asked_to(&["release", "--by", "bo", "--reason", "go"]).await?;
    ensure!(good, "{said}");
    poked(&shop, 1).await
}
