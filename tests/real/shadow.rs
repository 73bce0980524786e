//! Automation in shadow: whatever changes something never reaches the target, what only looks does, and the report says what it would have
//! come to, on its page, by the API and on the command line.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::parts::alert::{ends, fires};
use crate::parts::browser::Browser;
use crate::parts::house::settings;
use crate::parts::page::{photographed, says};
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::target::Target;
use crate::real;

/// Looks at a target, then restarts it, on an alert of its own.
fn playbook(alert: &str, target: &str) -> String {
    format!(
        "title: Restart {target}
on: {{ match: ['alertname=\"{alert}\"'] }}
steps:
  - {{ id: look, title: Look, action: http.check, target: {target}, with: {{ path: /health }} }}
  - {{ id: restart, title: Restart it, action: http.request, target: {target}, with: {{ method: POST, path: '/restart/{{{{ incident.service }}}}' }} }}
"
    )
}

async fn goes(reynard: &Reynard, alert: &str, service: &str) -> Result<Value> {
    reynard.hears(&fires(alert, service)).await?;
    reynard.incident_of(service, "worked on", |incident| incident["runs"][0]["status"] == "succeeded").await
}

fn paths(target: &Target, method: &str) -> Vec<String> {
    target.calls().into_iter().filter(|call| call.method == method).map(|call| call.path).collect()
}

#[tokio::test]
async fn in_shadow_nothing_is_changed_and_the_report_says_what_would_have_been() -> Result<()> {
    if !real("in_shadow_nothing_is_changed") {
        return Ok(());
    }
    let (target, pager, browser) = (Target::start().await?, Recorder::start().await?, Browser::start().await?);
    let targets = target.line("shop", "shop") + &target.line("till", "till");
    let settings = settings(&pager, &targets, "automation: shadow\nlimits: { per_target: 2 per 1h }\n");
    let (shop, till) = (playbook("ShopDown", "shop"), playbook("TillDown", "till"));
    let setup = Setup { settings: &settings, playbooks: &[("shop", &shop), ("till", &till)], environment: &[] };
    let mut reynard = Reynard::start(setup).await?;

    let itself = goes(&reynard, "ShopDown", "itself").await?;
    reynard.tells(&itself, "\"Restart it\" skipped: automation is in shadow; it would have done http.request on shop").await?;
    reynard.hears(&ends("ShopDown", "itself")).await?;
    reynard.incident_of("itself", "over", |incident| incident["status"] == "resolved").await?;
    let person = goes(&reynard, "ShopDown", "person").await?;
    for verb in ["acknowledge", "resolve"] {
        reynard.asks(&format!("/api/v1/incidents/{}/{verb}", person["number"]), &json!({ "by": "ana" })).await?;
    }
    let stopped = goes(&reynard, "ShopDown", "stopped").await?;
    reynard.tells(&stopped, "the limit per_target: 2 per 1h would have held it back").await?;
    goes(&reynard, "TillDown", "open").await?;
    reynard.dies();
    reynard.starts_again().await?;

    assert_eq!(paths(&target, "GET"), ["/shop/health", "/shop/health", "/shop/health", "/till/health"], "what only looks is done");
    assert_eq!(paths(&target, "POST"), [""; 0], "and nothing else");
    let said = reynard.get("/api/v1/automation/shadow?since=1d").await?;
    let shop = said["playbooks"].as_array().into_iter().flatten().find(|sum| sum["playbook"] == "shop").cloned().unwrap_or_default();
    let sums = ["fixed", "stopped", "by_itself", "open"].map(|fate| shop[fate].as_u64());
    assert_eq!(sums, [Some(1), Some(1), Some(1), Some(0)], "{said:#}");
    assert_eq!(said["items"].as_array().map(Vec::len), Some(4));
    assert_eq!(said["items"][0]["params"]["path"], "/restart/open");

    browser.open(&format!("{}/automation/shadow", reynard.url)).await?;
    for words in [
        "1 might have fixed what a person had to take",
        "1 would have been stopped by a limit",
        "1 would have acted on what recovered by itself",
    ] {
        says(&browser, "main", words).await?;
    }
    says(&browser, "main", "would have been stopped by per_target: 2 per 1h").await?;
    photographed(&browser, "main", "shadow").await?;
    let (good, said) = reynard.asked_to(&["shadow", "--since", "1d"]).await?;
    for words in ["shop", "1 might have fixed what a person had to take", "stopped by per_target: 2 per 1h", "#1", "http.request on till"] {
        ensure!(good && said.contains(words), "{words}: {said}");
    }
    ensure!(browser.complaints().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn one_playbook_or_one_target_is_in_shadow_while_the_others_act() -> Result<()> {
    if !real("one_playbook_or_one_target_is_in_shadow") {
        return Ok(());
    }
    let (target, pager) = (Target::start().await?, Recorder::start().await?);
    let targets = target.line("shop", "shop") + &target.line("till", "till").replace("service: till", "service: till, automation: shadow");
    let (live, trial, till) = (playbook("ShopDown", "shop"), playbook("ShopSlow", "shop"), playbook("TillDown", "till"));
    let trial = format!("automation: shadow\n{trial}");
    let playbooks = [("live", live.as_str()), ("trial", &trial), ("till", &till)];
    let reynard = Reynard::start(Setup { settings: &settings(&pager, &targets, ""), playbooks: &playbooks, environment: &[] }).await?;
    let by_playbook = goes(&reynard, "ShopSlow", "slow").await?;
    reynard.tells(&by_playbook, "\"Restart it\" skipped: playbook trial is in shadow").await?;
    let by_target = goes(&reynard, "TillDown", "tills").await?;
    reynard.tells(&by_target, "\"Restart it\" skipped: till is in shadow").await?;
    goes(&reynard, "ShopDown", "down").await?;
    assert_eq!(paths(&target, "POST"), ["/shop/restart/down"]);
    assert_eq!(paths(&target, "GET"), ["/shop/health", "/till/health", "/shop/health"]);
    Ok(())
}
