//! A target that answers late, with the released binary: after the step's timeout, after its node has lost the work to another one,
//! before its node gives the work away, and not at all any more once its run is cancelled.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::nodes::until_active;
use crate::parts::http;
use crate::parts::postgres::Postgres;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::slow::Slow;
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const PLAYBOOK: &str = "
title: Restart
on: { type: service_down }
steps:
  - { id: restart, action: http.request, target: shop, timeout: 2s, with: { method: POST, path: /restart, json: {} } }
";

const PATIENT: &str = "
title: Restart
on: { type: service_down }
steps:
  - { id: restart, action: http.request, target: shop, timeout: 5m, with: { method: POST, path: /restart, json: {} } }
";

async fn reynard(shop: &Slow, playbook: &str, database: Option<&str>) -> Result<Reynard> {
    let settings = format!("targets: {{ shop: {{ kind: http, url: 'http://{}' }} }}\n", shop.address);
    let environment: Vec<(&str, &str)> = database.map(|url| ("REYNARD_DATABASE_URL", url)).into_iter().collect();
    let setup = Setup { settings: &settings, playbooks: &[("service_down", playbook)], environment: &environment };
    if database.is_some() { Reynard::node(setup).await } else { Reynard::start(setup).await }
}

/// The active node and one that stands by, while a step of the active one is under way.
async fn pair_at_work(shop: &Slow, database: &str) -> Result<(Reynard, Reynard)> {
    let a = reynard(shop, PATIENT, Some(database)).await?;
    until_active(&a, 5).await?;
    let b = reynard(shop, PATIENT, Some(database)).await?;
    a.fire("service-down").await?;
    asked(shop).await?;
    Ok((a, b))
}

async fn asked(shop: &Slow) -> Result<()> {
    wait_until("the target to be asked", seconds(15), async || Ok((shop.asked() == 1).then_some(()))).await
}

/// The entry of that kind, as soon as there is one.
async fn told(reynard: &Reynard, kind: &str) -> Result<Value> {
    wait_until(&format!("{kind} on the timeline"), seconds(20), async || {
        let Some(incident) = reynard.incident().await? else { return Ok(None) };
        let entries = reynard.timeline(incident["id"].as_str().unwrap_or_default()).await?;
        Ok(entries.into_iter().find(|entry| entry["kind"] == kind))
    })
    .await
}

async fn evidence(reynard: &Reynard) -> Result<Value> {
    let incident = reynard.incident().await?.context("an incident")?;
    let run = incident["runs"][0]["id"].as_str().context("a run")?.to_owned();
    reynard.get(&format!("/api/v1/runs/{run}/steps/restart")).await
}

#[tokio::test]
async fn what_is_answered_after_the_timeout_is_evidence_and_changes_nothing() -> Result<()> {
    if !real("what_is_answered_after_the_timeout") {
        return Ok(());
    }
    let shop = Slow::start().await?;
    let reynard = reynard(&shop, PLAYBOOK, None).await?;
    reynard.fire("service-down").await?;
    told(&reynard, "step_in_doubt").await?;
    ensure!(shop.hung_up() == 0, "it is listened to");
    shop.answers();
    let late = told(&reynard, "step_answered_late").await?;
    let said = late["sentence"].as_str().unwrap_or_default();
    ensure!(said.contains("when its timeout of 2s had passed; that changes nothing: it succeeded with status 200"), "{said}");
    let known = evidence(&reynard).await?;
    ensure!(known["step"]["status"] == "in_doubt" && known["attempts"][0]["status"] == "in_doubt", "{known}");
    ensure!(known["attempts"][0]["late_answer"].as_str().is_some_and(|said| said.contains("status 200")), "{known}");
    let page = reynard.text("/incidents/1").await?;
    ensure!(page.contains("its timeout of 2s had passed") && page.contains("It did not run"), "{page}");
    println!("         {said}");
    Ok(())
}

#[tokio::test]
async fn a_cancel_drops_the_request_and_a_person_can_still_say_what_became_of_it() -> Result<()> {
    if !real("a_cancel_drops_the_request") {
        return Ok(());
    }
    let shop = Slow::start().await?;
    let reynard = reynard(&shop, PATIENT, None).await?;
    reynard.fire("service-down").await?;
    asked(&shop).await?;
    let incident = reynard.incident().await?.context("an incident")?;
    let run = incident["runs"][0]["id"].as_str().context("a run")?;
    reynard.post(&format!("/api/v1/runs/{run}/cancel")).await?;
    wait_until("the request to be dropped", seconds(5), async || Ok((shop.hung_up() == 1).then_some(()))).await?;
    let doubt = told(&reynard, "step_in_doubt").await?;
    ensure!(doubt["sentence"].as_str().is_some_and(|said| said.contains("cut off on request; it may have happened")), "{doubt}");
    let settle = http::client()
        .post(format!("{}/api/v1/runs/{run}/steps/restart/settle", reynard.url))
        .json(&json!({ "outcome": "failed", "note": "it is still down", "by": "ana" }))
        .send()
        .await?;
    ensure!(settle.status().is_success(), "{}", settle.text().await?);
    let known = evidence(&reynard).await?;
    ensure!(known["step"]["status"] == "failed" && shop.asked() == 1, "{known}");
    ensure!(reynard.get(&format!("/api/v1/runs/{run}")).await?["status"] == "cancelled", "its run stays over");
    Ok(())
}

#[tokio::test]
async fn what_a_node_is_answered_after_it_was_taken_for_dead_reaches_the_log_through_the_other() -> Result<()> {
    if !real("what_a_node_is_answered_after_it_was_taken_for_dead") {
        return Ok(());
    }
    let (postgres, shop) = (Postgres::start().await?, Slow::start().await?);
    let (a, b) = pair_at_work(&shop, &postgres.url("admin")).await?;
    a.process.signal("STOP");
    println!("{:5.1} s  after SIGSTOP the other node was active", until_active(&b, 13).await?);
    told(&b, "step_in_doubt").await?;
    shop.answers();
    a.process.signal("CONT");
    let late = told(&b, "step_answered_late").await?;
    let said = late["sentence"].as_str().unwrap_or_default();
    ensure!(said.contains("had lost the work to another one; that changes nothing: it succeeded with status 200"), "{said}");
    let known = evidence(&b).await?;
    ensure!(known["step"]["status"] == "in_doubt" && known["attempts"][0]["late_answer"].is_string(), "{known}");
    ensure!(shop.asked() == 1, "it is not sent again");
    let nodes = b.get("/api/v1/nodes").await?;
    ensure!(nodes["inbox"]["waiting"] == 0, "{nodes}");
    println!("         {said}");
    Ok(())
}

#[tokio::test]
async fn a_step_under_way_may_end_before_the_work_is_given_to_another_node() -> Result<()> {
    if !real("a_step_under_way_may_end_before") {
        return Ok(());
    }
    let (postgres, shop) = (Postgres::start().await?, Slow::start().await?);
    let (a, b) = pair_at_work(&shop, &postgres.url("admin")).await?;
    let this = |nodes: &Value| nodes["nodes"].as_array()?.iter().find(|node| node["this"] == true)?["name"].as_str().map(str::to_owned);
    let to = this(&b.get("/api/v1/nodes").await?).context("its name")?;
    a.asks(&format!("/api/v1/nodes/{to}/activate"), &json!({})).await?;
    wait_until("the active node to stand by", seconds(5), async || Ok((!a.is_active().await).then_some(()))).await?;
    // Both take what comes, and neither is active.
    a.fire("service-down").await?;
    b.fire("service-down").await?;
    ensure!(!a.is_active().await && !b.is_active().await && shop.hung_up() == 0, "a step is under way");
    shop.answers();
    println!("{:5.1} s  after its step had ended the other node was active", until_active(&b, 10).await?);
    told(&b, "step_succeeded").await?;
    let incident = b.incident().await?.context("an incident")?;
    let timeline = b.timeline(incident["id"].as_str().context("an id")?).await?;
    ensure!(timeline.iter().all(|entry| entry["kind"] != "step_in_doubt"), "{timeline:?}");
    ensure!(shop.asked() == 1, "it is not sent again");
    Ok(())
}
