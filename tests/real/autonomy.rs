//! Earned autonomy: a playbook asks before it changes anything until it was seen to help often enough, acts by itself then, and asks again
//! once it has failed too often; a kill of the process forgets nothing of its record, and the timeline says why it asks.

use anyhow::{Context, Result, ensure};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::parts::alert::{ends, fires};
use crate::parts::browser::Browser;
use crate::parts::house::{is_told, settings};
use crate::parts::page::{fills, photographed, says};
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::target::Target;
use crate::real;

const PLAYBOOK: &str = "
title: Restart the shop
on: { match: ['alertname=\"ShopDown\"'] }
autonomy: { ask_until: 2, back_after: 2 }
recovered: { alerts: resolved, for: 1s, within: 1m }
steps:
  - { id: restart, title: Restart it, action: http.request, target: shop, with: { method: POST, path: /restart } }
";
const BOX: &str = "#machine .doubtbox";

#[tokio::test]
async fn a_playbook_earns_that_it_need_not_ask_and_loses_it_again() -> Result<()> {
    if !real("a_playbook_earns_that_it_need_not_ask") {
        return Ok(());
    }
    let (target, pager, browser) = (Target::start().await?, Recorder::start().await?, Browser::start().await?);
    let settings = settings(&pager, &target.line("shop", "shop"), "limits: { per_target: 99 per 1h, correlated: 100% }\n");
    let mut reynard = Reynard::start(Setup { settings: &settings, playbooks: &[("restart", PLAYBOOK)], environment: &[] }).await?;

    let first = asks(&reynard, "first", "playbook restart asks first: it has 0 of 2 verified successes").await?;
    is_told(&pager, "ana", "it has 0 of 2 verified successes").await?;
    browser.open(&format!("{}/incidents/{}", reynard.url, first["number"])).await?;
    says(&browser, BOX, "it will do http.request on shop").await?;
    says(&browser, BOX, "it has 0 of 2 verified successes").await?;
    photographed(&browser, BOX, "asks-until-earned").await?;
    fills(&browser, BOX, "bo", "").await?;
    browser.press(&format!("{BOX} button.primary")).await?;
    helps(&reynard, "first").await?;
    browser.open("about:blank").await?;
    reynard.dies();
    reynard.starts_again().await?;
    let second = asks(&reynard, "second", "it has 1 of 2 verified successes").await?;
    let run = second["runs"][0]["id"].as_str().context("it has a run")?;
    reynard.asks(&format!("/api/v1/runs/{run}/steps/restart/approve"), &json!({ "by": "bo" })).await?;
    helps(&reynard, "second").await?;
    target.is_called(2).await?;

    reynard.hears(&fires("ShopDown", "third")).await?;
    target.is_called(3).await?;
    helps(&reynard, "third").await?;
    browser.open(&format!("{}/playbooks", reynard.url)).await?;
    says(&browser, "#restart", "3 verified").await?;
    photographed(&browser, "#restart", "has-earned-it").await?;

    target.answers(StatusCode::UNPROCESSABLE_ENTITY);
    for (calls, service) in [(4, "fourth"), (5, "fifth")] {
        reynard.hears(&fires("ShopDown", service)).await?;
        reynard.incident_of(service, "given up", |incident| incident["runs"][0]["status"] == "failed").await?;
        target.is_called(calls).await?;
    }
    browser.open("about:blank").await?;
    reynard.dies();
    reynard.starts_again().await?;
    asks(&reynard, "sixth", "it has 0 of 2 verified successes, counted anew since it failed").await?;
    target.is_called(5).await?;
    let record = reynard.get("/api/v1/playbooks/restart").await?["record"].clone();
    assert_eq!((&record["verified"], &record["failed"]), (&json!(3), &json!(2)), "{record:#}");
    browser.open(&format!("{}/playbooks", reynard.url)).await?;
    says(&browser, "#restart", "asks before it changes anything: it has 0 of 2").await?;
    ensure!(browser.complaints().await?.is_empty());
    Ok(())
}

/// A new incident, once its playbook asks, and says why.
async fn asks(reynard: &Reynard, service: &str, why: &str) -> Result<Value> {
    reynard.hears(&fires("ShopDown", service)).await?;
    let incident = reynard.incident_of(service, "asking", |incident| incident["runs"][0]["status"] == "waiting").await?;
    let entry = reynard.tells(&incident, why).await?;
    ensure!(entry["kind"] == "approval_requested", "{entry:#}");
    Ok(incident)
}

/// The alert ends after the restart, and the playbook sees it.
async fn helps(reynard: &Reynard, service: &str) -> Result<()> {
    let incident = reynard.incident_of(service, "restarted", |_| true).await?;
    reynard.tells(&incident, "\"Restart it\" succeeded").await?;
    reynard.hears(&ends("ShopDown", service)).await?;
    reynard.tells(&incident, "; the trouble is over").await?;
    reynard.incident_of(service, "over", |incident| incident["status"] == "resolved").await.map(drop)
}
