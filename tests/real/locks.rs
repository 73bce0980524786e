//! One change at a time on a target: two playbooks want the same one. The target never sees two calls at once, who waits says for whom, and
//! it goes on when the other one ends, also when the process was killed while that one was at it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::parts::alert::fires;
use crate::parts::browser::Browser;
use crate::parts::house::{is_told, settings};
use crate::parts::page::{photographed, says};
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::target::Target;
use crate::real;

fn playbook(verb: &str) -> String {
    format!(
        "title: {verb} the shop
on: {{ match: ['alertname=\"{verb}\"'] }}
steps:
  - {{ id: act, title: {verb} it, action: http.request, target: shop, timeout: 1m, with: {{ method: POST, path: /{verb} }} }}
"
    )
}

#[tokio::test]
async fn two_playbooks_never_change_one_target_at_the_same_time() -> Result<()> {
    if !real("two_playbooks_never_change_one_target_at_the_same_time") {
        return Ok(());
    }
    let (target, pager, browser) = (Target::start().await?, Recorder::start().await?, Browser::start().await?);
    let (restart, drain) = (playbook("restart"), playbook("drain"));
    let settings = settings(&pager, &target.line("shop", "shop"), "limits: { per_target: 99 per 1h, correlated: 100% }\n");
    let setup = Setup { settings: &settings, playbooks: &[("restart", &restart), ("drain", &drain)], environment: &[] };
    let mut reynard = Reynard::start(setup).await?;

    target.holds();
    reynard.hears(&fires("restart", "tills")).await?;
    target.is_called(1).await?;
    reynard.hears(&fires("drain", "carts")).await?;
    let waits = waits_for_the_shop(&reynard, "carts").await?;
    is_told(&pager, "ana", "\"drain it\" waits for shop: ").await?;
    browser.open(&format!("{}/incidents/{}", reynard.url, waits["number"])).await?;
    says(&browser, "#machine", "waits for shop, on which playbook restart of incident 1 is at work").await?;
    photographed(&browser, "#machine", "waits-for-a-target").await?;
    ensure!(browser.complaints().await?.is_empty());
    drop(browser);
    target.is_called(1).await?;
    target.lets_go();
    target.is_called(2).await?;
    reynard.incident_of("carts", "repaired", |incident| incident["runs"][0]["status"] == "succeeded").await?;

    // The one at work is cut off: it keeps the target until a person has said what happened.
    target.holds();
    reynard.hears(&fires("restart", "desks")).await?;
    target.is_called(3).await?;
    reynard.hears(&fires("drain", "lifts")).await?;
    waits_for_the_shop(&reynard, "lifts").await?;
    reynard.dies();
    target.lets_go();
    reynard.starts_again().await?;
    let cut_off = reynard.incident_of("desks", "there", |_| true).await?;
    reynard.tells(&cut_off, "\"restart it\" is in doubt").await?;
    waits_for_the_shop(&reynard, "lifts").await?;
    target.is_called(3).await?;
    let run = cut_off["runs"][0]["id"].as_str().context("it has a run")?;
    let saw = json!({ "outcome": "succeeded", "note": "it is up again", "by": "ana" });
    reynard.asks(&format!("/api/v1/runs/{run}/steps/act/settle"), &saw).await?;
    target.is_called(4).await?;
    reynard.incident_of("lifts", "repaired", |incident| incident["runs"][0]["status"] == "succeeded").await?;

    let paths: Vec<String> = target.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths, ["/shop/restart", "/shop/drain", "/shop/restart", "/shop/drain"]);
    assert_eq!(target.most_at_once("/shop"), 1);
    Ok(())
}

async fn waits_for_the_shop(reynard: &Reynard, service: &str) -> Result<Value> {
    let incident = reynard.incident_of(service, "waiting", |incident| incident["runs"][0]["status"] == "waiting").await?;
    reynard.tells(&incident, "Waits for shop: playbook restart of incident").await?;
    assert_eq!(reynard.step(&incident, "act").await?["waits_for"], "shop");
    Ok(incident)
}
