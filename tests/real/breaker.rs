//! A playbook that fails again and again changes nothing more until somebody arms it, on the page, by the API or on the command line, and
//! a kill of the process arms nothing.

use anyhow::{Result, ensure};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::parts::alert::fires;
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
steps:
  - { id: restart, title: Restart it, action: http.request, target: shop, with: { method: POST, path: /restart } }
";
const CARD: &str = "#restart";
const WHY: &str = "the disk was full, it is replaced";

#[tokio::test]
async fn after_failures_in_a_row_nothing_more_is_changed_until_somebody_arms_it() -> Result<()> {
    if !real("after_failures_in_a_row_nothing_more_is_changed") {
        return Ok(());
    }
    let (target, pager, browser) = (Target::start().await?, Recorder::start().await?, Browser::start().await?);
    let settings = settings(&pager, &target.line("shop", "shop"), "limits: { breaker: 2, per_target: 99 per 1h, correlated: 100% }\n");
    let mut reynard = Reynard::start(Setup { settings: &settings, playbooks: &[("restart", PLAYBOOK)], environment: &[] }).await?;

    target.answers(StatusCode::UNPROCESSABLE_ENTITY);
    for (time, way) in ["page", "api", "cli"].into_iter().enumerate() {
        goes(&reynard, &format!("{way}-first"), "failed").await?;
        let opened = goes(&reynard, &format!("{way}-second"), "failed").await?;
        reynard.tells(&opened, "Playbook restart changes nothing more: it has failed 2 times in a row").await?;
        is_told(&pager, "ana", "it has failed 2 times in a row").await?;
        if time == 0 {
            reynard.dies();
            reynard.starts_again().await?;
        }
        let refused = goes(&reynard, &format!("{way}-third"), "succeeded").await?;
        reynard.tells(&refused, "Held back by the limit breaker: 2: playbook restart has failed 2 times in a row").await?;
        is_told(&pager, "ana", "\"Restart it\" is left to you").await?;
        target.is_called(2 * (time + 1)).await?;
        match way {
            "page" => armed_on_the_page(&reynard, &browser).await?,
            "api" => drop(reynard.asks("/api/v1/playbooks/restart/rearm", &json!({ "note": WHY, "by": "bo" })).await?),
            _ => {
                let (good, said) = reynard.asked_to(&["rearm", "restart", "--reason", WHY, "--by", "bo"]).await?;
                ensure!(good && said.contains("restart may change things again"), "{said}");
            }
        }
        let who = if way == "page" { "ana" } else { "bo" };
        reynard.tells(&opened, &format!("{who} armed playbook restart again: {WHY}")).await?;
    }
    target.answers(StatusCode::OK);
    goes(&reynard, "armed", "succeeded").await?;
    target.is_called(7).await?;
    let again = reynard.asks("/api/v1/playbooks/restart/rearm", &json!({ "note": WHY, "by": "bo" })).await;
    ensure!(again.is_err_and(|no| no.to_string().contains("not open")), "there is nothing to arm any more");
    ensure!(browser.complaints().await?.is_empty());
    Ok(())
}

/// One more shop is down, and the playbook's run comes to this end.
async fn goes(reynard: &Reynard, service: &str, status: &str) -> Result<Value> {
    reynard.hears(&fires("ShopDown", service)).await?;
    reynard.incident_of(service, status, |incident| incident["runs"][0]["status"] == status).await
}

async fn armed_on_the_page(reynard: &Reynard, browser: &Browser) -> Result<()> {
    browser.open(&format!("{}/playbooks", reynard.url)).await?;
    says(browser, CARD, "it changes nothing more. it has failed 2 times in a row").await?;
    photographed(browser, CARD, "breaker").await?;
    fills(browser, CARD, "ana", WHY).await?;
    browser.press(&format!("{CARD} form[action$='/rearm'] button")).await?;
    says(browser, ".notice", "armed again").await
}
