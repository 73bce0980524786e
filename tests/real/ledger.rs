//! The ledger of effects: `kill -9` in the middle of steps that may not be sent twice. Each is in doubt afterwards, page and API show what
//! was sent, and each of the three answers, given on the page and to the API, does what it says: the target sees no call more than that.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::parts::alert::fires;
use crate::parts::browser::Browser;
use crate::parts::house::{is_told, settings};
use crate::parts::page::{fills, photographed, says};
use crate::parts::recorder::Recorder;
use crate::parts::reynard::{Reynard, Setup};
use crate::parts::target::Target;
use crate::parts::wait::{seconds, wait_until};
use crate::real;

/// A service for each answer, and for each way to give it.
const SERVICES: [&str; 6] = ["page-ran", "page-not", "page-again", "api-ran", "api-not", "api-again"];
const BOX: &str = "#machine .doubtbox";

fn playbook(service: &str) -> String {
    format!(
        "title: Restart {service}
on: {{ match: ['service=\"{service}\"'] }}
steps:
  - {{ id: restart, title: Restart the unit, action: http.request, target: {service}, with: {{ method: POST, path: /restart, json: {{ unit: '{{{{ incident.service }}}}' }} }} }}
  - {{ id: wrote, title: Write it down, action: note, with: {{ text: It is restarted. }} }}
"
    )
}

#[tokio::test]
async fn a_step_that_was_cut_off_is_never_sent_again_until_a_person_says_what_happened() -> Result<()> {
    if !real("a_step_that_was_cut_off_is_never_sent_again") {
        return Ok(());
    }
    let (target, pager, browser) = (Target::start().await?, Recorder::start().await?, Browser::start().await?);
    let targets: String = SERVICES.iter().map(|service| target.line(service, service)).collect();
    let texts = SERVICES.map(|service| (service.replace('-', "_"), playbook(service)));
    let playbooks = texts.each_ref().map(|(slug, text)| (slug.as_str(), text.as_str()));
    let setup = Setup { settings: &settings(&pager, &targets, ""), playbooks: &playbooks, environment: &[] };
    let mut reynard = Reynard::start(setup).await?;

    target.holds();
    for service in SERVICES {
        reynard.hears(&fires("UnitDown", service)).await?;
    }
    target.is_called(SERVICES.len()).await?;
    reynard.dies();
    target.lets_go();
    reynard.starts_again().await?;
    for service in SERVICES {
        let incident = in_doubt(&reynard, service).await?;
        is_told(&pager, "ana", &format!("UnitDown at {service}")).await?;
        shows_what_was_sent(&reynard, &incident, &target, service).await?;
    }

    for service in &SERVICES[..3] {
        answered_on_the_page(&reynard, &browser, &target, service).await?;
    }
    for service in &SERVICES[3..] {
        answered_by_the_api(&reynard, service).await?;
    }
    for service in SERVICES {
        let who = if service.starts_with("page") { "ana" } else { "bo" };
        ends_as_answered(&reynard, &target, service, who).await?;
    }
    is_told(&pager, "ana", "\"Restart the unit\" failed").await?;
    target.is_called(SERVICES.len() + 2).await?;
    ensure!(browser.complaints().await?.is_empty());
    Ok(())
}

async fn in_doubt(reynard: &Reynard, service: &str) -> Result<Value> {
    let incident = reynard.incident_of(service, "there", |_| true).await?;
    wait_until(&format!("{service} to be in doubt"), seconds(15), async || {
        let step = reynard.step(&incident, "restart").await?;
        ensure!(step["status"] == "in_doubt", "it is {step:#}");
        Ok(Some(()))
    })
    .await?;
    reynard.tells(&incident, "\"Restart the unit\" is in doubt").await?;
    Ok(incident)
}

/// The attempt as it was on disk before it was sent, and its key as the target saw it.
async fn shows_what_was_sent(reynard: &Reynard, incident: &Value, target: &Target, service: &str) -> Result<()> {
    let evidence = reynard.get(&address(incident, "")?).await?;
    let attempts = evidence["attempts"].as_array().context("a list")?;
    let [attempt] = attempts.as_slice() else { anyhow::bail!("one attempt, not {attempts:#?}") };
    let call = target.calls_of(&format!("/{service}/")).pop().context("the target was called")?;
    assert_eq!(attempt["key"], call.key.as_str());
    assert_eq!(attempt["target"], service);
    assert_eq!(attempt["params"], json!({ "method": "POST", "path": "/restart", "json": { "unit": service } }));
    assert_eq!(attempt["status"], "in_doubt");
    let (sent, ended) = (attempt["sent_at"].as_str().unwrap_or_default(), attempt["ended_at"].as_str().unwrap_or_default());
    ensure!(!sent.is_empty() && sent < ended, "sent at {sent}, in doubt since {ended}");
    Ok(())
}

async fn answered_on_the_page(reynard: &Reynard, browser: &Browser, target: &Target, service: &str) -> Result<()> {
    let incident = in_doubt(reynard, service).await?;
    browser.open(&format!("{}/incidents/{}", reynard.url, incident["number"])).await?;
    let key = target.calls_of(&format!("/{service}/"))[0].key.clone();
    for words in ["nobody knows whether this took effect", &format!("http.request on {service}"), "\"path\": \"/restart\"", &key] {
        says(browser, BOX, words).await?;
    }
    photographed(browser, BOX, &format!("in-doubt-{service}")).await?;
    fills(browser, BOX, "ana", "the log of the unit").await?;
    match service {
        "page-ran" => browser.press(&format!("{BOX} button[value=succeeded]")).await,
        "page-not" => browser.press(&format!("{BOX} button[value=failed]")).await,
        _ => {
            browser.press(&format!("{BOX} button[formaction$='/retry']")).await?;
            says(browser, "main", "it is sent now, once, as attempt 2. if it took effect before, it happens twice").await?;
            photographed(browser, ".confirm", "run-it-again").await?;
            browser.press(".confirm button.danger").await
        }
    }
}

async fn answered_by_the_api(reynard: &Reynard, service: &str) -> Result<()> {
    let incident = in_doubt(reynard, service).await?;
    let because = json!({ "note": "the log of the unit", "by": "bo" });
    let says = |outcome: &str| json!({ "outcome": outcome, "note": "the log of the unit", "by": "bo" });
    match service {
        "api-ran" => reynard.asks(&address(&incident, "/settle")?, &says("succeeded")).await?,
        "api-not" => reynard.asks(&address(&incident, "/settle")?, &says("failed")).await?,
        _ => reynard.asks(&address(&incident, "/retry")?, &because).await?,
    };
    let again = reynard.asks(&address(&incident, "/settle")?, &says("succeeded")).await;
    ensure!(again.is_err(), "{service} is not in doubt any more: {again:?}");
    Ok(())
}

async fn ends_as_answered(reynard: &Reynard, target: &Target, service: &str, who: &str) -> Result<()> {
    let (status, words, sent) = match service.rsplit('-').next() {
        Some("ran") => ("succeeded", "says \"Restart the unit\" took effect: the log of the unit", 1),
        Some("not") => ("failed", "says \"Restart the unit\" did not take effect: the log of the unit", 1),
        _ => ("succeeded", "has \"Restart the unit\" run again: the log of the unit", 2),
    };
    let incident = reynard.incident_of(service, status, |incident| incident["runs"][0]["status"] == status).await?;
    let entry = reynard.tells(&incident, &format!("{who} {words}")).await?;
    assert_eq!(entry["actor"], json!({ "kind": "person", "name": who }));
    let wrote = reynard.step(&incident, "wrote").await?;
    assert_eq!(wrote["status"] == "succeeded", status == "succeeded", "{service}: {wrote:#}");
    let calls = target.calls_of(&format!("/{service}/"));
    assert_eq!(calls.len(), sent, "{calls:#?}");
    ensure!(calls.iter().all(|call| call.key == calls[0].key), "the same key on each: {calls:#?}");
    let attempts: Vec<&str> = calls.iter().map(|call| call.attempt.as_str()).collect();
    assert_eq!(attempts, ["1", "2"][..sent]);
    Ok(())
}

/// Where the step of the incident's run is asked about.
fn address(incident: &Value, verb: &str) -> Result<String> {
    let run = incident["runs"][0]["id"].as_str().context("it has a run")?;
    Ok(format!("/api/v1/runs/{run}/steps/restart{verb}"))
}
