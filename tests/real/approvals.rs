//! Approvals in a real browser, with the released binary and a target that records what reaches it.
//! With `REYNARD_SHOTS=DIR` the page is photographed as well.

use anyhow::{Result, ensure};

use crate::parts::browser::Browser;
use crate::parts::page::{LOOKS, photographed, says};
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::wait::{seconds, wait_until};
use crate::real;

const PLAYBOOK: &str = "
title: Poke
on: { type: service_down }
steps:
  - id: poke
    approval: { by: operator, of: 2, expires: 10m }
    action: http.request
    target: shop
    with: { method: POST, path: /poke, json: { service: '{{ incident.service }}' } }
";

const BOX: &str = "#machine .doubtbox";
#[tokio::test]
async fn two_people_say_yes_in_a_browser_and_the_target_is_changed_once() -> Result<()> {
    if !real("two_people_say_yes_in_a_browser_and_the_target_is_changed_once") {
        return Ok(());
    }
    let shop = Recorder::start().await?;
    let settings =
        format!("incidents: {{ settle: 1s, reopen_within: 0s }}\ntargets: {{ shop: {{ kind: http, url: 'http://{}' }} }}\n", shop.address);
    let reynard = Reynard::start(Setup { settings: &settings, playbooks: &[("service_down", PLAYBOOK)], environment: &[] }).await?;
    let browser = Browser::start().await?;
    reynard.fire("service-down").await?;
    browser.look(LOOKS[1]).await?;
    browser.open(&format!("{}/incidents/1", reynard.url)).await?;
    for words in ["it will do http.request on shop", "\"path\": \"/poke\"", "0 of 3 per 1h used", "it has not been done before"] {
        says(&browser, BOX, words).await?;
    }
    photographed(&browser, BOX, "asked").await?;
    answer(&browser, "ana", "approve").await?;
    says(&browser, BOX, "1 of 2 have said yes: ana").await?;
    answer(&browser, "Ana", "approve").await?;
    says(&browser, BOX, "1 of 2 have said yes: ana").await?;
    ensure!(shop.bodies().is_empty(), "one yes of two changes nothing");
    answer(&browser, "bo", "approve").await?;
    wait_until("the target to be poked", seconds(10), async || Ok((shop.bodies().len() == 1).then_some(()))).await?;

    reynard.asked_to(&["fire", "service-down", "--resolve"]).await?;
    let over = async || Ok((reynard.get("/api/v1/incidents/1").await?["status"] == "resolved").then_some(()));
    wait_until("the incident to be over", seconds(15), over).await?;
    reynard.fire("service-down").await?;
    browser.open(&format!("{}/incidents/2", reynard.url)).await?;
    says(&browser, BOX, "1 of 3 per 1h used").await?;
    says(&browser, BOX, "#1").await?;
    photographed(&browser, BOX, "asked-again").await?;
    answer(&browser, "ana", "reject").await?;
    let failed = async || Ok((reynard.get("/api/v1/incidents/2").await?["runs"][0]["status"] == "failed").then_some(()));
    wait_until("the run to fail", seconds(10), failed).await?;
    assert_eq!(shop.bodies().len(), 1);
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    Ok(())
}

/// Writes a name where the page asks for one, and presses the button.
async fn answer(browser: &Browser, who: &str, verb: &str) -> Result<()> {
    let written = format!("const by = document.querySelector('{BOX} input[name=by]'); if (by) by.value = '{who}'; return !!by");
    ensure!(browser.run(&written).await? == true, "the page asks nobody for a name");
    let button = if verb == "approve" { format!("{BOX} button.primary") } else { format!("{BOX} button[formaction$='/{verb}']") };
    browser.press(&button).await
}
